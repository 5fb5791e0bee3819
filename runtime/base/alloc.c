/* Memory where there must be some: see alloc.h. */
#include "runtime/base/alloc.h"

#include <stdlib.h>
#include <string.h>

static alloc_say_fn *say_it; /* NULL: callers handle it */

void alloc_must(alloc_say_fn *say)
{
	say_it = say;
}

void *alloc_failed(size_t bytes)
{
	if (!say_it)
		return NULL;
	say_it(bytes);
	abort();
}

static void *need(void *got, size_t bytes)
{
	if (!got && !alloc_failed(bytes))
		abort();
	return got;
}

/* 0 bytes are a byte: NULL always means that there is no memory. */
static size_t some(size_t n)
{
	return n ? n : 1;
}

void *alloc_zeroed(size_t n, size_t size)
{
	return need(calloc(some(n), some(size)), n * size);
}

void *alloc_bytes(size_t size)
{
	return need(malloc(some(size)), size);
}

void *alloc_again(void *old, size_t n, size_t size)
{
	return need(reallocarray(old, some(n), some(size)), n * size);
}

char *alloc_text(const char *text)
{
	return need(strdup(text), strlen(text) + 1);
}

char *alloc_text_of(const char *text, size_t size)
{
	return need(strndup(text, size), size + 1);
}
