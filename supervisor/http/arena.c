/* Memory that lives as long as one request: see arena.h. */
#include "supervisor/http/arena.h"

#include "runtime/base/alloc.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	alignas(max_align_t) char data[];
};

void *arena_alloc(struct arena *a, size_t size)
{
	size_t start = (a->used + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct arena_block *b;

	if (start <= ARENA_FIRST && size <= ARENA_FIRST - start) {
		a->used = start + size;
		return a->first + start;
	}
	b = alloc_bytes(sizeof(*b) + size);
	b->next = a->blocks;
	a->blocks = b;
	return b->data;
}

char *arena_copy(struct arena *a, const char *text, size_t size)
{
	char *copy = arena_alloc(a, size + 1);

	memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

void arena_reset(struct arena *a)
{
	struct arena_block *b = a->blocks, *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
	a->blocks = NULL;
	a->used = 0;
}
