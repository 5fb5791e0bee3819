/*
 * Fuzz target: what a registry says about authentication. An even first byte: a WWW-Authenticate value; an odd one: the
 * answer of a token server. What is accepted holds nothing that could break out of a header.
 */
#include "images/registry/challenge.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "images/registry/client_impl.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const char *v)
{
	assert(strlen(v) < CHALLENGE_VALUE_BYTES);
	for (; *v; v++)
		assert((unsigned char)*v >= ' ' && *v != 0x7f);
}

static void header(const char *text)
{
	static struct challenge list[CHALLENGE_MAX];
	struct error err = ERROR_INIT;
	int n = challenge_parse(text, list, CHALLENGE_MAX, &err);

	assert(n <= CHALLENGE_MAX && (n >= 0 || err.code));
	for (int i = 0; i < n; i++) {
		check_value(list[i].realm);
		check_value(list[i].service);
		check_value(list[i].scope);
		check_value(list[i].error);
	}
}

static void token(const char *text, size_t size)
{
	uint64_t seconds = 0;
	char *t = NULL;

	if (auth_token_parse(text, size, &t, &seconds, NULL) == 0) {
		assert(t[0] && !strpbrk(t, "\r\n ") && seconds >= 60 && seconds <= 3600);
		free(t);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1)
		return 0;
	text = malloc(size);
	assert(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] & 1)
		token(text, size - 1);
	else
		header(text);
	free(text);
	return 0;
}
