/* What the front counts: between its parts and supervisor/metrics. Runs in: front, on the loop. */
#pragma once

#include <stdint.h>

struct front;
struct http_request;
struct http_route;
struct job_result;
struct metrics;

void front_metrics_new(struct front *f); /* sets f->metrics */

void front_metrics_job(struct metrics *m, const struct job_result *result);
void front_metrics_stage(const char *stage, uint64_t ns, void *metrics); /* engine_options.observe */
void front_metrics_http(struct http_request *rq, const struct http_route *route, int status, uint64_t ns, void *front);
