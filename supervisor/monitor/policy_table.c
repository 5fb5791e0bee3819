/* Policies by name: see policy_table.h. */
#include "supervisor/monitor/policy_table.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/digest.h"
#include "policies/cache.h"
#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"

enum { NAMES_MAX = 64, NAME_BYTES = 65 };

struct known {
	char name[NAME_BYTES];
	struct digest digest;
	struct policy_filter *filter; /* NULL: a free row */
};

struct policy_table {
	const char *dir;
	struct policy_cache *cache; /* two names for one text are one program */
	struct policy_context context;
	struct known known[NAMES_MAX];
};

int policy_table_new(const char *dir, struct policy_table **ret, struct error *err)
{
	struct policy_table *t = calloc(1, sizeof(*t));
	int r = t ? 0 : error_errno(err, ENOMEM, "policies");

	if (r == 0)
		r = policy_context_host(0, &t->context, err);
	if (r == 0) {
		t->dir = dir;
		t->cache = policy_cache_new();
		r = t->cache ? 0 : error_errno(err, ENOMEM, "policies");
	}
	if (r < 0)
		policy_table_free(t);
	else
		*ret = t;
	return r;
}

static void forget_names(struct policy_table *t)
{
	for (size_t i = 0; i < NAMES_MAX; i++) {
		policy_filter_unref(t->known[i].filter);
		t->known[i] = (struct known){ .filter = NULL };
	}
}

void policy_table_free(struct policy_table *t)
{
	if (!t)
		return;
	forget_names(t);
	policy_cache_free(t->cache);
	free(t);
}

void policy_table_forget(struct policy_table *t)
{
	forget_names(t); /* the cache stays: it goes by the whole text */
}

static struct known *find(struct policy_table *t, const char *name)
{
	for (size_t i = 0; i < NAMES_MAX; i++) {
		if (t->known[i].filter && strcmp(t->known[i].name, name) == 0)
			return &t->known[i];
	}
	return NULL;
}

/* More names than rows are no everyday thing: all make room together. */
static struct known *make_room(struct policy_table *t)
{
	for (size_t i = 0; i < NAMES_MAX; i++) {
		if (!t->known[i].filter)
			return &t->known[i];
	}
	forget_names(t);
	return &t->known[0];
}

static int read_profile(const struct policy_table *t, const char *name, struct policy_profile **ret, struct error *err)
{
	struct error why = ERROR_INIT;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/%s.json", t->dir, name) >= (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "policy '%s': the name is too long", name);
	r = policy_profile_load(path, ret, &why);
	if (r == -ENOENT) {
		r = policy_lookup(name, ret, &why);
		return r == -ENOENT ? error_set(err, ENOENT, "no policy '%s'", name)
		       : r < 0      ? error_set(err, -r, "policy '%s': %s", name, why.text)
				    : 0;
	}
	return r < 0 ? error_set(err, -r, "policy '%s': %s", name, why.text) : 0;
}

static int load(struct policy_table *t, const char *name, struct known **ret, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	struct policy_filter *filter = NULL;
	struct known *k;
	int r = read_profile(t, name, &profile, err);

	if (r == 0)
		r = policy_cache_get(t->cache, profile, &t->context, &filter, err);
	if (r < 0)
		return r;
	k = make_room(t);
	*k = (struct known){ .filter = filter };
	(void)snprintf(k->name, sizeof(k->name), "%s", name);
	digest_of(profile->text, profile->text_size, &k->digest);
	*ret = k;
	return 0;
}

int policy_table_get(struct policy_table *t, const char *name, struct policy_filter **ret, struct digest *ret_digest,
		     struct error *err)
{
	struct known *k;
	int r = parse_id(name, err);

	if (r < 0) {
		(void)error_wrap(err, "policy");
		return r;
	}
	k = find(t, name);
	if (!k)
		r = load(t, name, &k, err);
	if (r < 0)
		return r;
	*ret = policy_filter_ref(k->filter);
	*ret_digest = k->digest;
	return 0;
}
