/* From a request's body to a checked job: shared by runs and submissions. Runs in: front, on the loop. */
#pragma once

#include <stdbool.h>

struct http_request;
struct job_spec;

/* Owned spec, or NULL: it was answered with a 4xx that names the field. */
struct job_spec *api_spec(struct http_request *rq, bool is_queued);

/* 429 for a quota, queue or slots that are used up, 503 while stopping. r: -errno of auth_job_begins or dispatch_run. */
struct error;
void api_refuse_work(struct http_request *rq, int r, unsigned retry_s, const struct error *e);
