/*
 * What a producer put into a stream or the list, as a job: the fields of spec.h, and names that others use for them.
 * Pure; input is hostile.
 *
 *   id       id, job_id; text. A stream's entry without one is called as the entry is
 *   owner    user_id, owner; text or a whole number; "redis"
 *   runtime  runtime, language, cube_type
 *   source   source, code
 *   others   as in spec.h. What has no meaning here is ignored, so that producers may say more than we know
 *
 * Two names for one thing must say the same. In the list, what has nothing to run (no source, code, files) and a
 * cube_type is a request for a cube.
 *
 * Runs in: front.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct job_context;

struct redis_payload {
	char id[65]; /* also filled on failure when it was read and is one; "" otherwise */
	char owner[65];
	char name[129], cube_type[65]; /* of a cube; "" none */
	bool is_cube;
	char *spec; /* canonical JSON, owned; NULL for a cube */
	size_t spec_size;
	int priority;
	uint64_t delay_ms, retention_ms; /* 0: none; as long as the node keeps results */
};

/*
 * fallback_id  what it is called when the payload does not say; NULL: it must. is_list: may be a cube.
 * ret          redis_payload_done(), also on failure
 * Returns 0 or -errno with one sentence (UTF-8, no control characters): -EINVAL, -ENOENT runtime, -ERANGE, -E2BIG: it
 * never can run; -ENOMEM.
 */
int redis_payload_read(const char *data, size_t size, const char *fallback_id, bool is_list,
		       const struct job_context *context, struct redis_payload *ret, struct error *err);
void redis_payload_done(struct redis_payload *p);
