/* Stamps of compiled filters: see stamp.h. */
#include "policies/stamp.h"

#include <seccomp.h>
#include <string.h>

uint64_t policy_hash(uint64_t h, const void *data, size_t size)
{
	const char *at = data;

	h ^= size;
	for (; size > 0;) {
		size_t part = size < sizeof(h) ? size : sizeof(h);
		uint64_t word = 0;

		memcpy(&word, at, part);
		h = (h ^ word) * 0x9e3779b97f4a7c15; /* odd, its bits well mixed: 2^64 divided by the golden ratio */
		h ^= h >> 32;
		at += part;
		size -= part;
	}
	return h;
}

uint64_t policy_stamp(const char *text, size_t size)
{
	const struct scmp_version *library = seccomp_version();
	const unsigned numbers[] = { library->major, library->minor, library->micro };
	uint64_t h = policy_hash(0, policy_compiler_id, strlen(policy_compiler_id));

	h = policy_hash(h, numbers, sizeof(numbers));
	return policy_hash(h, text, size);
}
