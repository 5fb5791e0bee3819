/*
 * WWW-Authenticate, RFC 9110 §11.6.1: which way a registry wants to be asked. A header may hold several challenges,
 * there may be several headers, and quoted values hold commas. Pure; runs anywhere. Input is hostile.
 */
#pragma once

#include <stddef.h>

struct error;

enum { CHALLENGE_MAX = 8, CHALLENGE_VALUE_BYTES = 1024 };

enum challenge_scheme { CHALLENGE_OTHER, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_scheme scheme;
	char realm[CHALLENGE_VALUE_BYTES];
	char service[CHALLENGE_VALUE_BYTES];
	char scope[CHALLENGE_VALUE_BYTES]; /* told to people only: we ask for what we need, not for what we are told */
	char error[64];                    /* "insufficient_scope", "invalid_token" */
};

/*
 * Read the challenges of one header value into ret, of room for `max`. Unknown schemes are kept as CHALLENGE_OTHER,
 * unknown parameters dropped. Returns how many (0 for an empty header), or -EBADMSG: malformed, a value too long, or a
 * control character in one.
 */
int challenge_parse(const char *value, struct challenge *ret, size_t max, struct error *err);
