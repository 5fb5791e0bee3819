/*
 * Filters already compiled, so that nothing is compiled on the way of a start.
 *
 * The key is the profile's whole text and the context, compared byte for byte: no hash that could collide or want a
 * library. Bounded: the entry unused for longest makes room. One process, one thread.
 *
 * Runs in: monitor.
 */
#pragma once

#include <stddef.h>

struct error;
struct policy_cache;
struct policy_context;
struct policy_filter;
struct policy_profile;

enum { POLICY_CACHE_MAX = 64 }; /* programs kept; each some KiB, and its key the size of the profile */

struct policy_cache *policy_cache_new(void); /* NULL: out of memory */
void policy_cache_free(struct policy_cache *cache);

/*
 * The filter of a profile in a context, compiled when it is not there.
 *
 * profile  borrowed for the call only
 * ret      on success a reference of the caller's own: policy_filter_unref(). It stays valid whatever happens to the
 *          cache. Untouched on failure.
 *
 * Returns 0 or what policy_compile() returns. A failure is not remembered.
 */
int policy_cache_get(struct policy_cache *cache, const struct policy_profile *profile,
		     const struct policy_context *context, struct policy_filter **ret, struct error *err);

/* How many calls of policy_cache_get found their filter, and how many compiled. */
void policy_cache_counts(const struct policy_cache *cache, size_t *ret_hits, size_t *ret_misses);
