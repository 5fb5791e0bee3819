/* Jobs as the API shows them. Pure. Runs in: front. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct queue_job;
struct queue_record;

/* One job: its result with "state" added, or where it stands. Owned; NULL out of memory. */
json_t *api_job_json(const struct queue_record *r);

/* {"jobs":[...],"next":cursor} */
json_t *api_jobs_json(const struct queue_job *jobs, size_t n, const char *next);
