/* The policies of this node: see policies.h. */
#include "supervisor/front/policies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policies/check.h"
#include "policies/profile.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "runtime/base/log.h"
#include "supervisor/front/catalog.h"
#include "supervisor/protocol/monitor_client.h"

enum { LIST_BYTES_MAX = MONITOR_POLICIES_MAX * 2 * POLICY_FILE_MAX /* JSON in JSON */ };

/* ---- from the monitor ---- */

static void add_warning(const char *text, void *list)
{
	(void)json_array_append_new(list, json_string(text));
}

/* What the profile says, read: the document, and what a reader should know. */
static void read_profile(json_t *policy, const char *text)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	json_t *warnings = json_array();

	if (policy_profile_parse(text, strlen(text), "profile", &profile, NULL) == 0)
		(void)policy_check(profile, add_warning, warnings, NULL);
	(void)json_object_set_new(policy, "warnings", warnings);
	(void)json_object_set_new(policy, "profile", json_loads(text, 0, NULL));
}

/* The monitor's list, as an object by name; NULL: out of memory, or it is none. */
static json_t *read_list(const char *text)
{
	json_t *list = json_loads(text, 0, NULL), *by_name = json_object(), *policy;
	size_t i;

	json_array_foreach(list, i, policy)
	{
		const json_t *profile = json_object_get(policy, "text");

		if (json_is_string(profile))
			read_profile(policy, json_string_value(profile));
		(void)json_object_del(policy, "text");
		(void)json_object_set(by_name, json_string_value(json_object_get(policy, "name")), policy);
	}
	if (!json_is_array(list)) {
		json_decref(by_name);
		by_name = NULL;
	}
	json_decref(list);
	return by_name;
}

struct asking {
	struct catalog *catalog;
	void (*done)(void *arg);
	void *arg;
};

static void on_list(const struct error *e, int *list_fd, void *arg)
{
	struct asking *a = arg;
	struct catalog *c = a->catalog;
	cleanup_buf struct buf text = BUF_BOUNDED(LIST_BYTES_MAX);
	json_t *list = NULL;

	if (!e && fd_read_all(*list_fd, LIST_BYTES_MAX, &text, NULL) == 0)
		list = read_list(buf_str(&text));
	if (list) {
		json_decref(c->policies);
		c->policies = list;
	} else {
		log_error(LOG_FACTS(LOG_STR("error", e ? e->text : "it cannot be read")),
			  "no list of policies from the monitor, going on with the last one");
	}
	if (a->done)
		a->done(a->arg);
	free(a);
}

void policies_ask(struct catalog *c, struct monitor_client *monitor, void (*done)(void *arg), void *arg)
{
	struct asking *a = alloc_bytes(sizeof(*a));

	*a = (struct asking){ .catalog = c, .done = done, .arg = arg };
	if (monitor_ask_policies(monitor, on_list, a) == 0)
		return;
	free(a);
	log_error(LOG_NONE, "the monitor cannot be asked for its policies, going on with the last list");
	if (done)
		done(arg);
}

/* ---- for requests ---- */

static const char *text_of(const json_t *policy, const char *key)
{
	return json_string_value(json_object_get(policy, key));
}

bool policies_have(const char *name, void *arg)
{
	const struct catalog *c = arg;

	return json_object_get(c->policies, name) != NULL;
}

const char *policies_error(const char *name, void *arg)
{
	const struct catalog *c = arg;
	const json_t *policy = json_object_get(c->policies, name);
	const char *state = text_of(policy, "state");

	return state && strcmp(state, "refused") == 0 ? text_of(policy, "error") : NULL;
}

void policies_problems(const struct catalog *c, void (*fn)(const char *text, void *arg), void *arg)
{
	const char *name;
	char text[512];
	json_t *policy;

	json_object_foreach(c->policies, name, policy)
	{
		const char *error = text_of(policy, "error");

		if (!error)
			continue;
		(void)snprintf(text, sizeof(text), "policy '%s': %s; %s", name, error,
			       policies_error(name, (void *)(uintptr_t)c) ? "it cannot be used"
									  : "the one read before is in use");
		fn(text, arg);
	}
}
