/* cubit policy: the policies of the daemon, and a look at a profile before it is used. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policies/builtin.h"
#include "policies/check.h"
#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/oci.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/listing.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },   { "STATE", "state", COLUMN_TEXT },     { "ORIGIN", "origin", COLUMN_TEXT },
	{ "ERROR", "error", COLUMN_TEXT }, { "SUMMARY", "summary", COLUMN_TEXT }, { NULL },
};

static int ls(struct invocation *v)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error err = ERROR_INIT;

	if (client_call(v->client, "GET", "/v1/policies", NULL, &reply, &err) < 0)
		return family_fail(v, &err);
	if (v->is_json)
		listing_print_json(reply.json);
	else
		listing_print(columns, json_object_get(reply.json, "policies"));
	return EXIT_YES;
}

/* The profile as a file of CUBIT_POLICIES may have it; with --json what the daemon says of it as well. */
static int show(struct invocation *v)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error err = ERROR_INIT;
	const json_t *profile;
	char path[200];

	if (client_path(path, sizeof(path), "/v1/policies/", v->arguments[0], "", &err) < 0 ||
	    client_call(v->client, "GET", path, NULL, &reply, &err) < 0)
		return family_fail(v, &err);
	if (v->is_json) {
		listing_print_json(reply.json);
		return EXIT_YES;
	}
	profile = json_object_get(reply.json, "profile");
	if (!json_is_object(profile)) {
		const char *why = json_string_value(json_object_get(reply.json, "error"));

		(void)error_set(&err, ENOENT, "'%s' has no profile that could be shown%s%.200s", v->arguments[0],
				why ? ": " : "", why ? why : "");
		return family_fail(v, &err);
	}
	(void)json_dumpf(profile, stdout, JSON_INDENT(2)); /* main checks the stream at the end */
	putchar('\n');
	return EXIT_YES;
}

/* ---- check: no daemon is asked ---- */

static void add_warning(const char *text, void *list)
{
	(void)json_array_append_new(list, json_string(text));
}

static int read_profile(const char *name, struct policy_profile **ret, struct error *err)
{
	bool is_file = strchr(name, '/') || !policy_builtin_find(name);

	return is_file ? policy_profile_load(name, ret, err) : policy_lookup(name, ret, err);
}

/* As the monitor would take it, on this machine. */
static int check_profile(const char *name, json_t *warnings, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	cleanup_policy_filter struct policy_filter *filter = NULL;
	struct policy_context context;
	int r = read_profile(name, &profile, err);

	if (r == 0)
		r = policy_check(profile, add_warning, warnings, err);
	if (r == 0)
		r = policy_context_host(0, &context, err);
	if (r == 0)
		r = policy_compile(profile, &context, &filter, err);
	return r;
}

static void print_warnings(const char *name, const json_t *warnings)
{
	const json_t *text;
	size_t i;

	json_array_foreach(warnings, i, text) printf("%s: warning: %s\n", name, json_string_value(text));
}

static int check(struct invocation *v)
{
	json_t *list = json_array();
	int status = EXIT_YES;

	for (size_t i = 0; i < v->n; i++) {
		json_t *warnings = json_array();
		struct error err = ERROR_INIT;
		int r = check_profile(v->arguments[i], warnings, &err);

		if (r < 0)
			status = EXIT_NO;
		if (!v->is_json) {
			print_warnings(v->arguments[i], warnings);
			printf("%s: %s\n", v->arguments[i], r < 0 ? err.text : "good");
		}
		(void)json_array_append_new(list,
					    json_pack("{s:s,s:b,s:s*,s:o}", "profile", v->arguments[i], "good", r == 0,
						      "error", r < 0 ? err.text : NULL, "warnings", warnings));
	}
	if (v->is_json)
		listing_print_json(list);
	json_decref(list);
	return status;
}

/* ---- for other runtimes ---- */

enum { OCI_BYTES_MAX = 64 << 20 };

static int write_oci(const char *name, struct buf *ret, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	cleanup_policy_rules struct policy_rules *rules = NULL;
	struct policy_context context;
	int r = read_profile(name, &profile, err);

	if (r == 0)
		r = policy_context_host(0, &context, err);
	if (r == 0)
		r = policy_rules_build(profile, &context, &rules, err);
	return r < 0 ? r : policy_oci_write(profile, rules, ret, err);
}

static int oci(struct invocation *v)
{
	struct error err = ERROR_INIT;
	cleanup_buf struct buf text = BUF_BOUNDED(OCI_BYTES_MAX);

	if (write_oci(v->arguments[0], &text, &err) < 0)
		return family_fail(v, &err);
	puts(buf_str(&text)); /* main checks the stream at the end */
	return EXIT_YES;
}

static const struct family_call calls[] = {
	{ "ls", "", 0, 0, ls, NULL, "list the policies that the key may use, and what is wrong with their files" },
	{ "show", "NAME", 1, 1, show, NULL, "print the profile of a policy that is in use" },
	{ "check", "FILE...", 1, FAMILY_ARGUMENTS_MAX, check, NULL,
	  "read and compile profiles as the daemon would; no daemon is asked. A word may be a built-in name" },
	{ "oci", "FILE", 1, 1, oci, NULL,
	  "print a profile as runc, crun, Docker and Podman read it and mean the same, for this machine. A built-in "
	  "name will do" },
	{ NULL },
};

const struct family policy_family = {
	"policy", calls,
	"exit status: 0 done, all profiles are good; 1 one is not, or it could not be done;\n"
	"2 the command line was wrong; 3 the daemon cannot be reached, or it refused.\n",
	false
};

int policy_main(int argc, char **argv)
{
	return family_main(&policy_family, argc, argv);
}
