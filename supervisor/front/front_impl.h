/*
 * The whole of the front: made by front.c, and known to it, to what is scraped (front_metrics.c) and to handlers of
 * requests (api_*.c, doors/), which take from it what they ask a room with. A room of the front is given what it needs in
 * a struct of its own, NAME_env, and does not include this.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "supervisor/front/able.h"
#include "supervisor/front/catalog.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/lookup.h"
#include "supervisor/front/node_state.h"
#include "supervisor/front/record.h"
#include "supervisor/front/sources.h"
#include "supervisor/front/submit.h"
#include "supervisor/front/views.h"
#include "supervisor/queue/source.h"
#include "supervisor/settings.h"

struct auth;
struct db;
struct engine;
struct http_request;
struct http_route;
struct http_server;
struct metrics;
struct monitor_client;
struct pool;
struct queue;
struct redis;

struct front {
	uv_loop_t loop;
	struct settings settings;
	struct node_state state;
	struct catalog catalog;
	struct monitor_client *monitor;
	struct db *db;
	struct auth *auth;
	struct queue *queue; /* the embedded one, which is the first source as well */
	struct source embedded;
	struct redis *redis; /* NULL: no REDIS_URL */
	struct sources sources;
	struct lookup_env lookup;
	struct record_env record;
	struct submit_env submit;
	struct job_callbacks callbacks;
	struct pool *pool;
	struct engine *engine;
	struct dispatch *dispatch;
	struct able *able;
	struct views *views;
	struct dispatch_env dispatch_env; /* of these three: what they borrow */
	struct able_env able_env;
	struct views_env views_env;
	struct http_server *http;
	const struct http_route *routes; /* given to front_main(), and so is openapi */
	const char *openapi;
	struct metrics *metrics;
	char boot_id[40];
	unsigned front_number;
	bool is_hybrid; /* cgroups of this host */
};

struct front *front_of(struct http_request *rq);
