/*
 * Errors that travel upward and gather context.
 *
 * A function that can fail returns 0 or -errno and takes `struct error *err` last. It sets the error where it
 * happened, naming the object; each caller wraps it with what it was doing; the edge (main, an API reply, an
 * event callback) prints it once. Fixed size: reporting a failure cannot fail.
 *
 * err may be NULL everywhere: the code is then returned and the words are dropped.
 * Async-signal-safe: no, formatting uses vsnprintf(3). The child between clone3 and exec does not use it.
 */
#pragma once

struct error {
	int code;       /* positive errno; 0 means none */
	char text[512]; /* outermost context first, always terminated */
};

#define ERROR_INIT                                                                                                     \
	{                                                                                                              \
		.code = 0, .text = ""                                                                                  \
	}

/*
 * Record a failure. code is a positive errno; the text is exactly what fmt makes, nothing is appended.
 * Returns -code. errno is left as it was.
 */
int error_set(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same with ": " and strerror(code) appended. For a system call that failed: error_errno(err, errno, "open 'x'"). */
int error_errno(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Prepend context and ": " to an error already set. Returns -err->code (or -1 when err is NULL: the caller that
 * passes NULL has the code in its own variable).
 */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The static analyser cannot see into another file: tell it that what these return is below zero. */
#ifdef __clang_analyzer__
#define error_set(err, code, ...)   (error_set(err, code, __VA_ARGS__) < 0 ? -1 : -2)
#define error_errno(err, code, ...) (error_errno(err, code, __VA_ARGS__) < 0 ? -1 : -2)
#endif

/* Forget. For a failure we know how to do without. */
void error_clear(struct error *err);
