/* cubit key: who may use the daemon from elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/parse.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/job_list.h"
#include "tools/cubit/listing.h"

static const char *note, *expires;
static struct family_list scopes, quotas, allowed, limits;

/* ---- make ---- */

/* "run,cubes", also several times */
static int add_scopes(json_t *list, const char *text, struct error *err)
{
	while (*text) {
		size_t n = strcspn(text, ",");

		if (n > 0 && json_array_append_new(list, json_stringn(text, n)) < 0)
			return error_set(err, EINVAL, "--scope %s is not UTF-8", text);
		text += n + (text[n] == ',');
	}
	return 0;
}

static int add_quota(json_t *quota, const char *text, struct error *err)
{
	size_t n = strcspn(text, "=");
	char name[64];
	uint64_t value;

	if (!text[n] || n == 0 || n >= sizeof(name))
		return error_set(err, EINVAL, "--quota %s: NAME=NUMBER", text);
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, text);
	if (parse_bytes(text + n + 1, 0, INT64_MAX, &value, err) < 0)
		return error_wrap(err, "--quota %s", name);
	return json_object_set_new(quota, name, json_integer((json_int_t)value)) < 0
		       ? error_set(err, EINVAL, "--quota %s is not UTF-8", text)
		       : 0;
}

/* "runtimes=python,bash" */
static int add_allowed(json_t *allow, const char *text, struct error *err)
{
	size_t n = strcspn(text, "=");
	cleanup_json json_t *list = json_array();
	char name[64];

	if (!text[n] || n == 0 || n >= sizeof(name))
		return error_set(err, EINVAL, "--allow %s: runtimes=NAMES or policies=NAMES", text);
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, text);
	if (add_scopes(list, text + n + 1, NULL) < 0 || json_object_set(allow, name, list) < 0)
		return error_set(err, EINVAL, "--allow %s is not UTF-8", text);
	return 0;
}

/* What a key may run, and until when. What goes wrong is an error: a key without its bounds is worse than none. */
static int add_bounds(json_t *o, struct error *err)
{
	cleanup_json json_t *allow = json_object(), *most = json_object();
	uint64_t ns = 0;
	int r = expires ? parse_duration_ns(expires, NS_PER_S, UINT64_MAX, &ns, err) : 0;

	if (r < 0)
		return error_wrap(err, "--expires");
	for (size_t i = 0; r == 0 && i < allowed.n; i++)
		r = add_allowed(allow, allowed.items[i], err);
	for (size_t i = 0; r == 0 && i < limits.n; i++)
		r = add_quota(most, limits.items[i], err);
	if (r == 0 &&
	    ((expires && json_object_set_new(o, "expires_s", json_integer((json_int_t)(ns / NS_PER_S))) < 0) ||
	     (limits.n > 0 && json_object_set(allow, "limits", most) < 0) ||
	     (allowed.n + limits.n > 0 && json_object_set(o, "allow", allow) < 0)))
		r = error_set(err, ENOMEM, "out of memory");
	return r;
}

static int build(const struct invocation *v, json_t *o, struct error *err)
{
	json_t *list = json_array(), *quota = json_object();
	int r = json_object_set_new(o, "owner", json_string(v->arguments[0])) < 0 ||
				(note && json_object_set_new(o, "note", json_string(note)) < 0)
			? error_set(err, EINVAL, "the owner or the note is not UTF-8")
			: 0;

	for (size_t i = 0; r == 0 && i < scopes.n; i++)
		r = add_scopes(list, scopes.items[i], err);
	for (size_t i = 0; r == 0 && i < quotas.n; i++)
		r = add_quota(quota, quotas.items[i], err);
	if (scopes.n > 0)
		(void)json_object_set(o, "scopes",
				      list); /* short of memory, the daemon makes a key that may only run */
	if (quotas.n > 0 && json_object_set(o, "quota", quota) < 0)
		r = error_set(err, ENOMEM, "out of memory"); /* a key without its bounds is worse than none */
	json_decref(list);
	json_decref(quota);
	return r == 0 ? add_bounds(o, err) : r;
}

static int make(struct invocation *v)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	cleanup_json json_t *o = json_object();
	struct error err = ERROR_INIT;
	const char *key;
	int r = build(v, o, &err);

	if (r == 0)
		r = client_call(v->client, "POST", "/v1/keys", o, &reply, &err);
	if (r < 0)
		return family_fail(v, &err);
	key = json_string_value(json_object_get(reply.json, "key"));
	if (v->is_json) {
		listing_print_json(reply.json);
		return EXIT_YES;
	}
	/* the key alone on standard output, for $(...) */
	(void)fprintf(stderr, "id %s; the key is shown this once:\n",
		      json_string_value(json_object_get(reply.json, "id")));
	printf("%s\n", key ? key : "");
	return EXIT_YES;
}

/* ---- ls, rm ---- */

static int ls(struct invocation *v)
{
	static const struct column columns[] = {
		{ "ID", "id", COLUMN_TEXT },
		{ "OWNER", "owner", COLUMN_TEXT },
		{ "SCOPES", "scopes", COLUMN_LIST },
		{ "QUOTA", "quota", COLUMN_OBJECT },
		{ "EXPIRES (UTC)", "expires_at", COLUMN_TIME },
		{ "NOTE", "note", COLUMN_TEXT },
		{ "MADE (UTC)", "created_at", COLUMN_TIME },
		{ NULL },
	};

	return listing_run(v, "/v1/keys", NULL, "1000000", "keys", columns, "no keys but the admin key");
}

static int rm(struct invocation *v)
{
	return job_each(v, "DELETE", "/v1/keys/", "", "revoked");
}

static const struct family_option make_options[] = {
	{ "--scope", "LIST", FAMILY_LIST, &scopes,
	  "rights: run, cubes, images, policies, admin, status (default: run)" },
	{ "--quota", "NAME=N", FAMILY_LIST, &quotas, "jobs, cpu_ms_per_day, bytes_per_day, rate_per_s, rate_burst" },
	{ "--expires", "DURATION", FAMILY_TEXT, &expires, "it ends then, such as 24h" },
	{ "--allow", "WHAT=NAMES", FAMILY_LIST, &allowed, "runtimes or policies that it may use, separated by commas" },
	{ "--limit", "NAME=N", FAMILY_LIST, &limits,
	  "the most a job may ask: wall_ms, memory, processes, output, disk" },
	{ "--note", "TEXT", FAMILY_TEXT, &note, "what it is for" },
	{ NULL },
};

static const struct family_call calls[] = {
	{ "make", "OWNER", 1, 1, make, make_options, "make a key; prints it, this once" },
	{ "ls", "", 0, 0, ls, NULL, "list keys, without their secrets" },
	{ "rm", "ID...", 1, FAMILY_ARGUMENTS_MAX, rm, NULL, "revoke keys" },
	{ NULL },
};

const struct family key_family = { "key", calls, NULL, false };

int key_main(int argc, char **argv)
{
	return family_main(&key_family, argc, argv);
}
