/* GET /v1/policies: those that a caller's key may name. */
#include <jansson.h>
#include <string.h>

#include "policies/builtin.h"
#include "runtime/base/text.h"
#include "supervisor/auth/auth.h"
#include "supervisor/front/api.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"

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
	bool is_builtin = strcmp(json_string_value(json_object_get(policy, "origin")), "builtin") == 0;

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

	json_object_foreach(f->catalog.policies, name, policy)
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
	json_t *policy = json_object_get(f->catalog.policies, name);

	if (!policy || !may_use(f, c, name))
		http_error(rq, 404, "not_found", "name", "there is no policy '%s' that this key may use", name);
	else
		http_reply_json(rq, 200, shown(c, name, policy, true));
}
