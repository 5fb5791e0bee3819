/*
 * The policies of this node, as the monitor tells of them: asked for at the start and at each RELOAD. What a request may
 * name is decided with it, and GET /v1/policies (api_policies.c) shows it.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>

struct catalog;
struct monitor_client;

/*
 * Ask the monitor for catalog->policies; done(arg), which may be NULL, is called when the answer is here, whatever it is.
 * catalog: borrowed until then.
 */
void policies_ask(struct catalog *catalog, struct monitor_client *monitor, void (*done)(void *arg), void *arg);

/* A policy of that name is set up (job_context.has_policy). The monitor has the last word. */
bool policies_have(const char *name, void *catalog);

/* Why one that is there cannot be used (job_context.policy_error); NULL: it can. Borrowed until the next list. */
const char *policies_error(const char *name, void *catalog);

/* Call fn with a sentence for each policy whose file is wrong. */
void policies_problems(const struct catalog *catalog, void (*fn)(const char *text, void *arg), void *arg);
