/*
 * The handlers of the native API (docs/api.md; the table of routes is daemon/routes.c), thin views over the parts of the
 * front. One file a subject.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "supervisor/http/http.h"

struct caller;
struct error;

/* A foreign document with a bounded depth; NULL when it is not JSON. Owned. */
json_t *api_json(const char *text, size_t size);

/* The caller of a request; never NULL behind a route with a scope. */
const struct caller *front_caller(struct http_request *rq);

/* May this caller see and change what belongs to owner? The one place that decides it. */
bool front_may(const struct caller *caller, const char *owner);

/* Answers for failures. */
void api_busy(struct http_request *rq);                        /* 503 the database is behind */
void api_fail(struct http_request *rq, const struct error *e); /* by its code */

/* api_run.c */
void api_run(struct http_request *rq);
/* api_jobs.c */
void api_submit(struct http_request *rq);
void api_get_job(struct http_request *rq);
void api_cancel_job(struct http_request *rq);
void api_events(struct http_request *rq); /* GET /v1/jobs/{id}/events: views.h */
void api_stream(struct http_request *rq); /* WS /v1/jobs/{id}/stream */
/* api_lists.c */
void api_list_jobs(struct http_request *rq);
void api_list_dead(struct http_request *rq);
/* api_dead.c */
void api_replay(struct http_request *rq);
void api_delete_dead(struct http_request *rq);
/* api_system.c */
void api_root(struct http_request *rq);
void api_health(struct http_request *rq);
void api_ready(struct http_request *rq);
void api_version(struct http_request *rq);
void api_metrics(struct http_request *rq);
void api_openapi(struct http_request *rq);
void api_runtimes(struct http_request *rq);
void api_pool(struct http_request *rq);
/* api_policies.c */
void api_policies(struct http_request *rq);
void api_policy(struct http_request *rq);
/* api_nodes.c */
void api_nodes(struct http_request *rq);
void api_drain_node(struct http_request *rq);
void api_resume_node(struct http_request *rq);
