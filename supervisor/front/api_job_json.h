/* Jobs as the API shows them. Pure. Runs in: front. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct queue_job;
struct queue_record;

/* One job: its result with "state" added, or where it stands. Owned; NULL out of memory. */
json_t *api_job_json(const struct queue_record *r);

/* As a list has it: a job, or a letter as it came. Owned; NULL out of memory. */
json_t *api_job_row(const struct queue_job *job);
