/* Compiled filters by content: see cache.h. Few entries and no hot path, so a list that is searched. */
#include "policies/cache.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policies/compile.h"
#include "policies/embedded.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/error.h"

struct entry {
	struct policy_filter *filter; /* NULL: free */
	char *text;
	size_t text_size;
	struct policy_context context;
	uint64_t used; /* policy_cache.clock at the last use */
};

struct policy_cache {
	struct entry entries[POLICY_CACHE_MAX];
	uint64_t clock; /* counts uses */
	size_t hits, misses;
};

struct policy_cache *policy_cache_new(void)
{
	return calloc(1, sizeof(struct policy_cache));
}

static void drop(struct entry *e)
{
	policy_filter_unref(e->filter);
	free(e->text);
	*e = (struct entry){ .filter = NULL };
}

void policy_cache_free(struct policy_cache *cache)
{
	for (size_t i = 0; cache && i < POLICY_CACHE_MAX; i++)
		drop(&cache->entries[i]);
	free(cache);
}

static bool is_same_context(const struct policy_context *a, const struct policy_context *b)
{
	return a->caps == b->caps && a->arch == b->arch && a->kernel_major == b->kernel_major &&
	       a->kernel_minor == b->kernel_minor;
}

static struct entry *find(struct policy_cache *cache, const struct policy_profile *profile,
			  const struct policy_context *context)
{
	for (size_t i = 0; i < POLICY_CACHE_MAX; i++) {
		struct entry *e = &cache->entries[i];

		if (e->filter && e->text_size == profile->text_size && is_same_context(&e->context, context) &&
		    memcmp(e->text, profile->text, e->text_size) == 0)
			return e;
	}
	return NULL;
}

/* A free entry, or the one unused for longest, emptied. */
static struct entry *make_room(struct policy_cache *cache)
{
	struct entry *oldest = &cache->entries[0];

	for (size_t i = 0; i < POLICY_CACHE_MAX; i++) {
		struct entry *e = &cache->entries[i];

		if (!e->filter)
			return e;
		if (e->used < oldest->used)
			oldest = e;
	}
	drop(oldest);
	return oldest;
}

static int compile_into(struct policy_cache *cache, const struct policy_profile *profile,
			const struct policy_context *context, struct entry **ret, struct error *err)
{
	struct policy_filter *filter = NULL;
	char *text = malloc(profile->text_size + 1);
	struct entry *e;
	int r;

	if (!text)
		return error_set(err, ENOMEM, "%s: out of memory", profile->origin);
	memcpy(text, profile->text, profile->text_size + 1);
	r = policy_filter_make(profile, context, &filter, err);
	if (r < 0) {
		free(text);
		return r;
	}
	e = make_room(cache);
	*e = (struct entry){ .filter = filter, .text = text, .text_size = profile->text_size, .context = *context };
	*ret = e;
	return 0;
}

int policy_cache_get(struct policy_cache *cache, const struct policy_profile *profile,
		     const struct policy_context *context, struct policy_filter **ret, struct error *err)
{
	struct entry *e = find(cache, profile, context);

	if (e) {
		cache->hits++;
	} else {
		int r = compile_into(cache, profile, context, &e, err);

		if (r < 0)
			return r;
		cache->misses++;
	}
	assert(e);
	e->used = ++cache->clock;
	*ret = policy_filter_ref(e->filter);
	return 0;
}

void policy_cache_counts(const struct policy_cache *cache, size_t *ret_hits, size_t *ret_misses)
{
	*ret_hits = cache->hits;
	*ret_misses = cache->misses;
}
