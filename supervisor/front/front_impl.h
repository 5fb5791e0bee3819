/*
 * What the parts of the front share: one struct, made by front.c, borrowed by everybody else for the life of the process.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/queue/source.h"
#include "supervisor/settings.h"

struct able;
struct auth;
struct callbacks;
struct caller;
struct db;
struct dispatch;
struct engine;
struct http_request;
struct http_route;
struct http_server;
struct metrics;
struct monitor_client;
struct pool;
struct queue;
struct redis;
struct runtime_set;
struct views;

enum { FRONT_SOURCES_MAX = 8 };

struct front {
	uv_loop_t loop;
	struct settings settings;
	json_t *policies;                   /* as the monitor tells, by name: policies.h */
	const struct runtime_set *runtimes; /* old ones are kept: jobs may still point into them */
	struct monitor_client *monitor;
	struct db *db;
	struct auth *auth;
	struct queue *queue; /* the embedded one, which is the first source as well */
	struct source embedded;
	struct source *home; /* where direct runs are recorded, and names that owners gave */
	struct redis *redis; /* NULL: no REDIS_URL */
	struct source *sources[FRONT_SOURCES_MAX];
	size_t n_sources;
	struct callbacks *callbacks;
	struct pool *pool;
	struct engine *engine;
	struct dispatch *dispatch;
	struct able *able;
	struct views *views;
	struct http_server *http;
	const struct http_route *routes; /* given to front_main(), and so is openapi */
	const char *openapi;
	struct metrics *metrics;
	char boot_id[40];
	unsigned front_number;
	bool is_hybrid;   /* cgroups of this host */
	bool is_ready;    /* serving */
	bool is_draining; /* SIGTERM: nothing new */
	bool is_paused;   /* an operator drains this node: nothing from the sources, its clients are served */
	uint64_t started_ms;
};

struct front *front_of(struct http_request *rq);

/* The caller of a request; never NULL behind a route with a scope. */
const struct caller *front_caller(struct http_request *rq);

/* May this caller see and change what belongs to owner? The one place that decides it. */
bool front_may(const struct caller *caller, const char *owner);

/* A policy of that name is set up (job_context.has_policy; arg is the front). The monitor has the last word. */
bool front_has_policy(const char *name, void *arg);

/* Why one that is there cannot be used (job_context.policy_error); NULL: it can. Borrowed until the next list. */
const char *front_policy_error(const char *name, void *arg);

/* 128 random bits as an id: "j" and 32 hex digits. */
void front_new_id(char ret[65]);

/* Does it look like one of those? Nobody else may give such a name, so that none is taken before it is made. */
bool front_is_our_id(const char *id);
