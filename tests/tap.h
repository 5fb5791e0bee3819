/*
 * TAP for tests in C: `ok(condition, "a title is a promise")`, then `return done_testing()`.
 * Also the few helpers every test needs. One translation unit a test, so everything is static inline.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count_, tap_failed_;

static inline bool tap_ok_(bool is_ok, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static inline bool tap_ok_(bool is_ok, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", is_ok ? "" : "not ", ++tap_count_);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!is_ok) {
		tap_failed_++;
		printf("#   at %s:%d\n", file, line);
	}
	fflush(stdout);
	return is_ok;
}

static inline void diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

#define ok(cond, ...) tap_ok_((cond), __FILE__, __LINE__, __VA_ARGS__)

/* Compare and show both on failure. */
#define is_int(got, want, ...)                                                                                         \
	do {                                                                                                           \
		long long got_ = (long long)(got), want_ = (long long)(want);                                          \
		if (!ok(got_ == want_, __VA_ARGS__))                                                                   \
			diag("got %lld, wanted %lld", got_, want_);                                                    \
	} while (0)

#define is_str(got, want, ...)                                                                                         \
	do {                                                                                                           \
		const char *got_ = (got), *want_ = (want);                                                             \
		if (!ok(got_ && strcmp(got_, want_) == 0, __VA_ARGS__))                                                \
			diag("got '%s', wanted '%s'", got_ ? got_ : "(null)", want_);                                  \
	} while (0)

#define has_str(text, part, ...)                                                                                       \
	do {                                                                                                           \
		const char *text_ = (text), *part_ = (part);                                                           \
		if (!ok(text_ && strstr(text_, part_), __VA_ARGS__))                                                   \
			diag("'%s' is not in '%s'", part_, text_ ? text_ : "(null)");                                  \
	} while (0)

/* The rest makes no sense without this. */
#define need(cond, ...)                                                                                                \
	do {                                                                                                           \
		bool need_ = (cond); /* asked itself, not what ok() says of it: the static analyser sees through */    \
		(void)ok(need_, __VA_ARGS__);                                                                          \
		if (!need_) {                                                                                          \
			printf("Bail out! line %d\n", __LINE__);                                                       \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static inline int done_testing(void)
{
	printf("1..%d\n", tap_count_);
	return tap_failed_ ? 1 : 0;
}
