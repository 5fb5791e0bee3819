/*
 * Memory where there must be some: in programs whose death loses nothing, as it is the design of the front, of the command
 * line and of workers, what cannot be had ends the program, and nobody handles it.
 *
 * That is for sizes which are bounded before. What a peer could make too large is refused by a limit, never found out here.
 *
 * Runs in: those programs; alloc_failed() anywhere, also in cubit-init. Not in the monitor: hdr-check looks at that.
 */
#pragma once

#include <stddef.h>

/*
 * From now on what base needs memory for (buf.h, base64.h) cannot fail for want of it in this process: say(bytes) is called,
 * log_no_memory() of log.h for one, then abort(3). First thing in main(); without it these return what they return.
 */
typedef void alloc_say_fn(size_t bytes);
void alloc_must(alloc_say_fn *say);

/* For base: so many bytes were not to be had. Returns NULL, or not at all. */
void *alloc_failed(size_t bytes);

/* calloc(3), malloc(3), reallocarray(3), strdup(3), strndup(3), which never return NULL: they end the program. free(3) it. */
void *alloc_zeroed(size_t n, size_t size) __attribute__((returns_nonnull, malloc, alloc_size(1, 2)));
void *alloc_bytes(size_t size) __attribute__((returns_nonnull, malloc, alloc_size(1)));
void *alloc_again(void *old, size_t n, size_t size) __attribute__((returns_nonnull, alloc_size(2, 3)));
char *alloc_text(const char *text) __attribute__((returns_nonnull, malloc, nonnull));
char *alloc_text_of(const char *text, size_t size) __attribute__((returns_nonnull, malloc, nonnull));
