/* Platforms: linux/amd64, linux/arm64/v8. Pure but for platform_host (uname(2)); runs anywhere. */
#pragma once

#include <stdbool.h>

struct error;

enum { PLATFORM_WORD_BYTES = 32, PLATFORM_TEXT_BYTES = 100 };

struct platform {
	char os[PLATFORM_WORD_BYTES], architecture[PLATFORM_WORD_BYTES], variant[PLATFORM_WORD_BYTES];
};

/* This machine, in the words of Go's GOARCH. */
void platform_host(struct platform *ret);

/* "linux/arm64[/v8]"; 0 or -EINVAL. */
int platform_parse(const char *text, struct platform *ret, struct error *err);

/* Is the offer what was asked for? All three must be equal; without a variant, amd64 is v1, arm is v7, arm64 is v8. */
bool platform_matches(const struct platform *want, const struct platform *offer);

void platform_text(const struct platform *p, char ret[PLATFORM_TEXT_BYTES]);
