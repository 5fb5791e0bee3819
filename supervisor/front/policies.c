/* The policies of this node, and GET /v1/policies: see policies.h. */
#include "supervisor/front/policies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policies/builtin.h"
#include "policies/check.h"
#include "policies/profile.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
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
	struct front *front;
	void (*done)(struct front *f);
};

static void on_list(const struct error *e, int *list_fd, void *arg)
{
	struct asking *a = arg;
	struct front *f = a->front;
	cleanup_buf struct buf text = BUF_BOUNDED(LIST_BYTES_MAX);
	json_t *list = NULL;

	if (!e && fd_read_all(*list_fd, LIST_BYTES_MAX, &text, NULL) == 0)
		list = read_list(buf_str(&text));
	if (list) {
		json_decref(f->policies);
		f->policies = list;
	} else {
		log_error(LOG_FACTS(LOG_STR("error", e ? e->text : "it cannot be read")),
			  "no list of policies from the monitor, going on with the last one");
	}
	if (a->done)
		a->done(f);
	free(a);
}

void policies_ask(struct front *f, void (*done)(struct front *f))
{
	struct asking *a = malloc(sizeof(*a));

	if (a) {
		*a = (struct asking){ .front = f, .done = done };
		if (monitor_ask_policies(f->monitor, on_list, a) == 0)
			return;
		free(a);
	}
	log_error(LOG_NONE, "the monitor cannot be asked for its policies, going on with the last list");
	if (done)
		done(f);
}

/* ---- for requests ---- */

static const char *text_of(const json_t *policy, const char *key)
{
	return json_string_value(json_object_get(policy, key));
}

bool front_has_policy(const char *name, void *arg)
{
	const struct front *f = arg;

	return json_object_get(f->policies, name) != NULL;
}

const char *front_policy_error(const char *name, void *arg)
{
	const struct front *f = arg;
	const json_t *policy = json_object_get(f->policies, name);
	const char *state = text_of(policy, "state");

	return state && strcmp(state, "refused") == 0 ? text_of(policy, "error") : NULL;
}

void policies_problems(const struct front *f, void (*fn)(const char *text, void *arg), void *arg)
{
	const char *name;
	char text[512];
	json_t *policy;

	json_object_foreach(f->policies, name, policy)
	{
		const char *error = text_of(policy, "error");

		if (!error)
			continue;
		(void)snprintf(text, sizeof(text), "policy '%s': %s; %s", name, error,
			       front_policy_error(name, (void *)(uintptr_t)f) ? "it cannot be used"
									      : "the one read before is in use");
		fn(text, arg);
	}
}

/* ---- GET /v1/policies ---- */

/* What a caller's key may name is what a caller sees. */
static bool may_use(const struct front *f, const struct caller *c, const char *name)
{
	const struct auth_allow *allow = auth_allowed(f->auth, c);
	const struct policy_builtin *builtin = policy_builtin_find(name);

	if (builtin && builtin->is_admins && !(caller_is_admin(c) && f->settings.allow_unconfined))
		return false;
	if (f->settings.allow_policies[0] && !text_has_word(f->settings.allow_policies, name))
		return false;
	return !allow || !*allow->policies || text_has_word(allow->policies, name);
}

/* Where files lie is the operator's to know. */
static json_t *shown(const struct caller *c, const char *name, json_t *policy, bool is_whole)
{
	const struct policy_builtin *builtin = policy_builtin_find(name);
	json_t *o = json_copy(policy);
	bool is_builtin = strcmp(text_of(policy, "origin"), "builtin") == 0;

	if (!is_whole)
		(void)json_object_del(o, "profile");
	if (is_builtin && builtin)
		(void)json_object_set_new(o, "summary", json_string(builtin->summary));
	if (!is_builtin && !caller_is_admin(c))
		(void)json_object_set_new(o, "origin", json_string("file"));
	return o;
}

void api_policies(struct http_request *rq)
{
	const struct front *f = front_of(rq);
	const struct caller *c = front_caller(rq);
	json_t *list = json_array(), *policy;
	const char *name;

	json_object_foreach(f->policies, name, policy)
	{
		if (may_use(f, c, name))
			(void)json_array_append_new(list, shown(c, name, policy, false));
	}
	http_reply_json(rq, 200, json_pack("{s:o}", "policies", list));
}

void api_policy(struct http_request *rq)
{
	const struct front *f = front_of(rq);
	const struct caller *c = front_caller(rq);
	const char *name = http_param(rq, "name");
	json_t *policy = json_object_get(f->policies, name);

	if (!policy || !may_use(f, c, name))
		http_error(rq, 404, "not_found", "name", "there is no policy '%s' that this key may use", name);
	else
		http_reply_json(rq, 200, shown(c, name, policy, true));
}
