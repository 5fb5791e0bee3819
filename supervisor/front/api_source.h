/*
 * Which sources a request is about: ?source=embedded or redis; without it all of them, one for each space of names, since
 * those of one space share their lists.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/queue/queue.h"

struct front;
struct http_request;
struct source;

struct source_choice {
	bool is_said;
	enum queue_space space; /* when it is */
};

/* False: the client was answered. is_letters: those of some spaces are for administrators. */
bool source_choose(struct http_request *rq, bool is_letters, struct source_choice *ret);
bool source_is_chosen(const struct front *f, size_t i, const struct source_choice *choice);
size_t source_last(const struct front *f, const struct source_choice *choice); /* the last one that is chosen */
const char *source_word(const struct source *s);                               /* "Redis", "the database" */
void source_away(struct http_request *rq, const struct source *s);             /* 503 that says which */
