/*
 * Memory that lives as long as one request: small pieces from one block, all given back at once.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stddef.h>

struct arena_block;

enum { ARENA_FIRST = 3072 };

struct arena {
	size_t used; /* of `first` */
	struct arena_block *blocks;
	_Alignas(max_align_t) char first[ARENA_FIRST];
};

/* Aligned for anything. */
void *arena_alloc(struct arena *a, size_t size);
/* A copy with a NUL behind it. */
char *arena_copy(struct arena *a, const char *text, size_t size);
void arena_reset(struct arena *a);
