/*
 * The policies of this node, as the monitor tells of them: asked for at the start and at each RELOAD. What a request may
 * name is decided with it, and GET /v1/policies shows it. The handlers are in api.h.
 *
 * Runs in: front, on the loop.
 */
#pragma once

struct front;

/* Ask the monitor; done(front), which may be NULL, is called when the answer is here, whatever it is. */
void policies_ask(struct front *f, void (*done)(struct front *f));

/* Call fn with a sentence for each policy whose file is wrong. */
void policies_problems(const struct front *f, void (*fn)(const char *text, void *arg), void *arg);
