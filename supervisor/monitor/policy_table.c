/* Policies by name: see policy_table.h. */
#include "supervisor/monitor/policy_table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/digest.h"
#include "policies/builtin.h"
#include "policies/cache.h"
#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "supervisor/protocol/proto.h"

enum { NAME_BYTES = 65 };

struct known {
	char name[NAME_BYTES]; /* "": a free row */
	bool is_file;          /* what there is, or was tried, is the operator's */
	bool is_seen;          /* by the reading that is going on */
	char error[256];       /* of the last reading; "": none */
	/* the last good one; filter NULL: there is none */
	struct policy_filter *filter;
	struct digest digest;
	char *text;
};

struct policy_table {
	const char *dir;
	bool may_replace;
	struct policy_cache *cache; /* two names for one text are one program */
	struct policy_context context;
	struct known known[MONITOR_POLICIES_MAX];
};

int policy_table_new(const char *dir, bool may_replace, struct policy_table **ret, struct error *err)
{
	struct policy_table *t = calloc(1, sizeof(*t));
	int r = t ? 0 : error_errno(err, ENOMEM, "policies");

	if (r == 0)
		r = policy_context_host(0, &t->context, err);
	if (r == 0) {
		t->dir = dir;
		t->may_replace = may_replace;
		t->cache = policy_cache_new();
		r = t->cache ? 0 : error_errno(err, ENOMEM, "policies");
	}
	if (r < 0)
		policy_table_free(t);
	else
		*ret = t;
	return r;
}

static void drop(struct known *k)
{
	policy_filter_unref(k->filter);
	free(k->text);
	*k = (struct known){ .filter = NULL };
}

void policy_table_free(struct policy_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < MONITOR_POLICIES_MAX; i++)
		drop(&t->known[i]);
	policy_cache_free(t->cache);
	free(t);
}

static struct known *find(struct policy_table *t, const char *name)
{
	for (size_t i = 0; i < MONITOR_POLICIES_MAX; i++) {
		if (strcmp(t->known[i].name, name) == 0) /* "" finds a free row */
			return &t->known[i];
	}
	return NULL;
}

/* ---- reading one ---- */

static int path_of(const struct policy_table *t, const char *name, char *ret, size_t room, struct error *err)
{
	if ((size_t)snprintf(ret, room, "%s/%s.json", t->dir, name) >= room)
		return error_set(err, ENAMETOOLONG, "the path of its file is too long");
	return 0;
}

/* The operator's file, else what is built in. */
static int read_profile(const struct policy_table *t, struct known *k, struct policy_profile **ret, struct error *err)
{
	char path[PATH_MAX];
	int r = path_of(t, k->name, path, sizeof(path), err);
	bool is_builtin = policy_builtin_find(k->name);

	if (r < 0)
		return r;
	k->is_file = !is_builtin || access(path, F_OK) == 0;
	if (!k->is_file)
		return policy_lookup(k->name, ret, err);
	if (is_builtin && !t->may_replace)
		return error_set(err, EINVAL,
				 "%s.json has the name of a built-in policy, which it may only replace with "
				 "CUBIT_POLICIES_REPLACE=yes",
				 k->name);
	return policy_profile_load(path, ret, err);
}

static int compile(struct policy_table *t, struct known *k, const struct policy_profile *profile, struct error *err)
{
	struct policy_filter *filter = NULL;
	char *text = malloc(profile->text_size + 1);
	int r = text ? policy_cache_get(t->cache, profile, &t->context, &filter, err)
		     : error_errno(err, ENOMEM, "policies");

	if (r < 0) {
		free(text);
		return r;
	}
	memcpy(text, profile->text, profile->text_size + 1);
	policy_filter_unref(k->filter);
	free(k->text);
	k->filter = filter;
	k->text = text;
	digest_of(profile->text, profile->text_size, &k->digest);
	return 0;
}

/* "/etc/cubit/policies/mine.json: syscalls[3]: ..." is told to whoever names the policy: where it lies is not. */
static const char *without_dir(const struct policy_table *t, const char *text)
{
	size_t n = strlen(t->dir);

	return strncmp(text, t->dir, n) == 0 && text[n] == '/' ? text + n + 1 : text;
}

/* Read what a row names (again). What goes wrong is kept with it, and what it had. */
static int refresh(struct policy_table *t, struct known *k)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	struct error err = ERROR_INIT;
	int r = read_profile(t, k, &profile, &err);

	if (r == 0)
		r = compile(t, k, profile, &err);
	k->is_seen = true;
	text_copy(k->error, sizeof(k->error), r < 0 ? without_dir(t, err.text) : "");
	return r;
}

/* ---- reading all ---- */

static void say(const struct known *k)
{
	const struct log_fact *facts = LOG_FACTS(LOG_STR("policy", k->name), LOG_STR("error", k->error));

	if (!*k->error)
		return;
	if (k->filter)
		log_error(facts, "a policy cannot be read, keeping the one that was read before");
	else
		log_error(facts, "a policy cannot be read, refusing what names it");
}

static void read_name(struct policy_table *t, const char *name)
{
	struct known *k = find(t, name);

	if (!k)
		k = find(t, "");
	if (!k) {
		log_error(LOG_FACTS(LOG_STR("policy", name)), "not read: there are more than %d policies",
			  MONITOR_POLICIES_MAX);
		return;
	}
	text_copy(k->name, sizeof(k->name), name);
	(void)refresh(t, k); /* which is said */
	say(k);
}

/* "NAME.json" -> NAME. Other files are none of ours. */
static bool name_of(const char *file, char ret[NAME_BYTES])
{
	size_t n = strlen(file);

	if (n < 6 || n - 5 >= NAME_BYTES || strcmp(file + n - 5, ".json") != 0)
		return false;
	(void)snprintf(ret, NAME_BYTES, "%.*s", (int)(n - 5), file);
	return parse_id(ret, NULL) == 0;
}

static void read_directory(struct policy_table *t)
{
	DIR *dir = opendir(t->dir);
	const struct dirent *entry;
	char name[NAME_BYTES];

	if (!dir && errno != ENOENT)
		log_error(LOG_FACTS(LOG_STR("error", strerror(errno))), "cannot read the directory of policies '%s'",
			  t->dir);
	while (dir && (entry = readdir(dir))) {
		if (name_of(entry->d_name, name) && !policy_builtin_find(name))
			read_name(t, name);
	}
	if (dir)
		(void)closedir(dir);
}

void policy_table_read(struct policy_table *t)
{
	const struct policy_builtin *builtin;

	for (size_t i = 0; i < MONITOR_POLICIES_MAX; i++)
		t->known[i].is_seen = false;
	for (size_t i = 0; (builtin = policy_builtin_at(i)); i++)
		read_name(t, builtin->name);
	read_directory(t);
	for (size_t i = 0; i < MONITOR_POLICIES_MAX; i++) {
		struct known *k = &t->known[i];

		if (!*k->name || k->is_seen)
			continue;
		log_notice(LOG_FACTS(LOG_STR("policy", k->name)), "the file of a policy is gone, and so is the policy");
		drop(k);
	}
}

/* ---- using ---- */

/* One that was not there when all were read. */
static int read_late(struct policy_table *t, const char *name, struct known **ret, struct error *err)
{
	struct known *k = find(t, "");
	char path[PATH_MAX];
	int r = path_of(t, name, path, sizeof(path), err);

	if (r < 0)
		return r;
	if (!policy_builtin_find(name) && access(path, F_OK) < 0)
		return error_set(err, ENOENT, "no policy '%s'", name);
	if (!k)
		return error_set(err, ENOSPC, "policy '%s': there are more than %d", name, MONITOR_POLICIES_MAX);
	text_copy(k->name, sizeof(k->name), name);
	(void)refresh(t, k);
	say(k);
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
		r = read_late(t, name, &k, err);
	if (r < 0)
		return r;
	if (!k->filter)
		return error_set(err, EINVAL, "policy '%s': %s", name, k->error);
	*ret = policy_filter_ref(k->filter);
	*ret_digest = k->digest;
	return 0;
}

/* ---- telling ---- */

static json_t *json_of(const struct policy_table *t, const struct known *k)
{
	char path[PATH_MAX] = "";

	(void)snprintf(path, sizeof(path), "%s/%s.json", t->dir, k->name); /* it was read by it */
	return json_pack(
		"{s:s,s:s,s:s,s:s*,s:s*,s:s*}", "name", k->name, "origin", k->is_file ? path : "builtin", "state",
		!*k->error  ? "good"
		: k->filter ? "kept"
			    : "refused",
		"digest", k->filter ? k->digest.text : NULL, "error", *k->error ? k->error : NULL, "text", k->text);
}

static int seal(const char *text, struct error *err)
{
	cleanup_fd int fd = memfd_create("policies", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = fd < 0 ? error_errno(err, errno, "memfd") : fd_write_all(fd, text, strlen(text), err);

	if (r < 0)
		return r;
	(void)lseek(fd, 0, SEEK_SET); /* whoever gets it reads from the beginning */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return error_errno(err, errno, "seal");
	return fd_take(&fd);
}

int policy_table_describe(const struct policy_table *t, struct error *err)
{
	json_t *list = json_array();
	char *text;
	int r;

	for (size_t i = 0; i < MONITOR_POLICIES_MAX; i++) {
		if (*t->known[i].name)
			(void)json_array_append_new(list, json_of(t, &t->known[i]));
	}
	text = json_dumps(list, JSON_COMPACT);
	r = text ? seal(text, err) : error_errno(err, ENOMEM, "policies");
	free(text);
	json_decref(list);
	return r;
}
