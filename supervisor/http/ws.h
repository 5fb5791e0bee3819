/* A WebSocket as its connection sees it; for everybody else: http.h. Runs in: front, on the loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/http/deadline.h"

struct ws;

/* Bytes from the peer. Returns how many were used: all, or none while it is paused. */
size_t ws_feed(struct ws *ws, const char *data, size_t size);
bool ws_wants_to_read(const struct ws *ws);
enum deadline_class ws_deadline(const struct ws *ws);

void ws_settle(struct ws *ws);     /* at the end of each round: control frames out; is it over? */
void ws_tick(struct ws *ws);       /* its deadline has passed */
void ws_drained(struct ws *ws);    /* everything queued was written */
void ws_going_away(struct ws *ws); /* the server closes: says so, without waiting */
void ws_ended(struct ws *ws);      /* the connection is closed: tells whoever uses it, once */
void ws_free(struct ws *ws);       /* after that, when no callback can be running */
