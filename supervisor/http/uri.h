/*
 * The target of a request: strict percent-decoding, the path in segments, the query in pairs. Pure.
 *
 * Runs in: front. Input is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;

enum { URI_SEGMENTS_MAX = 64, URI_QUERY_MAX = 128 };

struct uri_pair {
	const char *name, *value; /* "" when there is no '=' */
};

struct uri {
	const char *path;                       /* decoded; begins with '/' */
	const char *segments[URI_SEGMENTS_MAX]; /* decoded; n >= 1: "/" is one empty segment */
	size_t offsets[URI_SEGMENTS_MAX];       /* where segment i begins in path */
	size_t n_segments;
	struct uri_pair *query;
	size_t n_query;
};

/*
 * Decode %XX into out, which has room for size + 1 bytes, and terminate it. is_form: '+' is a blank.
 * Returns the bytes written or -EINVAL: a '%' without two hexadecimal digits, or %00.
 */
ptrdiff_t uri_decode(char *out, const char *text, size_t size, bool is_form);

/*
 * Take a target apart: origin form "/path?query", or absolute form "http://host/path?query".
 *
 * memory  of the caller; everything in ret lives there
 * ret_why what is wrong with it, static, on -EINVAL
 * Returns 0 or -EINVAL. A segment "." or ".." is refused, encoded or not; a fragment, too.
 */
int uri_parse(struct arena *memory, const char *target, size_t size, struct uri *ret, const char **ret_why);

/* Is it a host[:port] as the field Host has it, RFC 9110 section 7.2? Empty is: of a target without an authority. */
bool uri_is_host(const char *text);
