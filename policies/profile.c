/* Reads a profile: see profile.h. Each JSON object is a table of fields. */
#include "policies/profile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>

#include "policies/arch.h"
#include "policies/call_name.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_table.h"

static int warn(struct json_reader *p, enum policy_warning_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int warn(struct json_reader *p, enum policy_warning_kind kind, const char *fmt, ...)
{
	struct policy_profile *profile = p->owner;
	struct policy_warning *more;
	char reason[256], *text;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	va_end(ap);
	if ((profile->n_warnings & (profile->n_warnings - 1)) == 0) { /* full at every power of two */
		size_t room = profile->n_warnings ? profile->n_warnings * 2 : 1;

		more = reallocarray(profile->warnings, room, sizeof(*more));
		if (!more)
			return json_no_memory(p);
		profile->warnings = more;
	}
	if (asprintf(&text, "%s: %s", p->path, reason) < 0)
		return json_no_memory(p);
	profile->warnings[profile->n_warnings++] = (struct policy_warning){ .kind = kind, .text = text };
	return 0;
}

/* ---- values ---- */

struct action_row {
	const char *name;
	uint32_t action;
	const char *why_not; /* refused, because ... */
};

/* clang-format off */
static const struct action_row actions[] = {
	{ "SCMP_ACT_ALLOW",        SECCOMP_RET_ALLOW, NULL },
	{ "SCMP_ACT_ERRNO",        SECCOMP_RET_ERRNO, NULL },
	{ "SCMP_ACT_KILL",         SECCOMP_RET_KILL_THREAD, NULL },
	{ "SCMP_ACT_KILL_THREAD",  SECCOMP_RET_KILL_THREAD, NULL },
	{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, NULL },
	{ "SCMP_ACT_TRAP",         SECCOMP_RET_TRAP, NULL },
	{ "SCMP_ACT_LOG",          SECCOMP_RET_LOG, NULL },
	{ "SCMP_ACT_TRACE",        SECCOMP_RET_TRACE, "no tracer is attached to a sandbox, so the call would always fail" },
	{ "SCMP_ACT_NOTIFY",       SECCOMP_RET_USER_NOTIF, "nobody answers notifications of an enforced profile" },
};

static const struct { const char *name; enum policy_op op; } ops[] = {
	{ "SCMP_CMP_NE", POLICY_NE }, { "SCMP_CMP_LT", POLICY_LT }, { "SCMP_CMP_LE", POLICY_LE },
	{ "SCMP_CMP_EQ", POLICY_EQ }, { "SCMP_CMP_GE", POLICY_GE }, { "SCMP_CMP_GT", POLICY_GT },
	{ "SCMP_CMP_MASKED_EQ", POLICY_MASKED_EQ },
};
static_assert(sizeof(ops) / sizeof(ops[0]) == POLICY_OPS, "every comparison has a name");

static const struct { const char *name; unsigned flag; const char *ignored; } flags[] = {
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG, NULL },
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0, "a sandbox has one thread when its filter is installed" },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", 0, "speculation stays restricted in every sandbox" },
};
/* clang-format on */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const char *policy_action_name(uint32_t action, char *ret, size_t size)
{
	uint32_t what = action & SECCOMP_RET_ACTION_FULL;
	const char *name = "unknown action";

	for (size_t i = 0; i < COUNT(actions); i++) {
		if (actions[i].action == what) {
			name = actions[i].name;
			if (what != SECCOMP_RET_KILL_THREAD) /* has two names; the later one says more */
				break;
		}
	}
	if (what == SECCOMP_RET_ERRNO || what == SECCOMP_RET_TRACE)
		(void)snprintf(ret, size, "%s(%u)", name, action & SECCOMP_RET_DATA);
	else
		(void)snprintf(ret, size, "%s", name);
	return ret;
}

/* An action and its errno, which come as two fields in any order. */
struct action_draft {
	const struct action_row *row;
	bool has_errno;
	unsigned errno_ret;
	bool has_name;
	unsigned errno_named;
};

static int parse_action(struct json_reader *p, json_t *value, struct action_draft *draft)
{
	const char *text = json_string_value(value);

	for (size_t i = 0; i < COUNT(actions); i++) {
		if (strcmp(actions[i].name, text) != 0)
			continue;
		if (actions[i].why_not)
			return json_refuse(p, "%s: %s", text, actions[i].why_not);
		draft->row = &actions[i];
		return 0;
	}
	return json_refuse(p, "'%.60s' is not an action (SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, ...)", text);
}

static int parse_errno(struct json_reader *p, json_t *value, struct action_draft *draft)
{
	if (json_read_u64(value) > POLICY_ERRNO_MAX)
		return json_refuse(p, "%" PRIu64 " is not an errno: 0 to %d", json_read_u64(value), POLICY_ERRNO_MAX);
	draft->has_errno = true;
	draft->errno_ret = (unsigned)json_read_u64(value);
	return 0;
}

/* As Podman and CRI-O write it, beside the number or instead of it. */
static int parse_errno_name(struct json_reader *p, json_t *value, struct action_draft *draft)
{
	const char *text = json_string_value(value);

	if (!*text) /* as encoders write an absent one */
		return 0;
	for (int e = 1; e <= POLICY_ERRNO_MAX; e++) {
		const char *name = strerrorname_np(e);

		if (!name || strcmp(name, text) != 0)
			continue;
		draft->has_name = true;
		draft->errno_named = (unsigned)e;
		return 0;
	}
	return json_refuse(p, "'%.60s' is not the name of an errno such as EPERM", text);
}

/* Without an errno of its own, a refusal is EPERM, as the OCI specification says. */
static int finish_action(struct json_reader *p, const struct action_draft *draft, const char *action_key,
			 const char *errno_key, uint32_t *ret)
{
	const char *dot = p->path[0] ? "." : "";

	if (!draft->row) {
		json_enter(p, "%s%s", dot, action_key);
		return json_refuse(p, "is missing");
	}
	if (draft->has_name && draft->has_errno && draft->errno_ret != draft->errno_named) {
		json_enter(p, "%s%s", dot, errno_key);
		return json_refuse(p, "is %u, and the name beside it %s, which is %u", draft->errno_ret,
				   strerrorname_np((int)draft->errno_named), draft->errno_named);
	}
	if ((draft->has_errno || draft->has_name) && draft->row->action != SECCOMP_RET_ERRNO) {
		json_enter(p, "%s%s", dot, errno_key);
		return json_refuse(p, "has no meaning with %s", draft->row->name);
	}
	*ret = draft->row->action;
	if (draft->row->action == SECCOMP_RET_ERRNO)
		*ret |= draft->has_errno ? draft->errno_ret : draft->has_name ? draft->errno_named : EPERM;
	return 0;
}

/* ---- includes, excludes ---- */

static int parse_cap(struct json_reader *p, json_t *value, void *target)
{
	struct policy_when *when = target;
	const char *text = json_string_value(value);

	/* libcap takes numbers, small letters and what follows a comma as well; a profile has one spelling for each */
	bool is_name = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(text);
	cap_value_t cap;

	if (!is_name || cap_from_name(text, &cap) < 0)
		return json_refuse(p, "'%.60s' is not a capability", text);
	when->caps |= UINT64_C(1) << cap;
	return 0;
}

static int parse_caps(struct json_reader *p, json_t *value, void *target)
{
	return json_read_list(p, value, JSON_STRING, parse_cap, target);
}

static int parse_arch(struct json_reader *p, json_t *value, void *target)
{
	uint32_t *set = target;
	int row = policy_arch_find(json_string_value(value));

	if (row < 0)
		return json_refuse(p, "'%.60s' is not an architecture", json_string_value(value));
	*set |= UINT32_C(1) << row;
	return 0;
}

/* In a selection a name that nobody knows is one that never is this machine's: published profiles have such. */
static int parse_when_arch(struct json_reader *p, json_t *value, void *target)
{
	uint32_t *set = target;
	int row = policy_arch_find(json_string_value(value));

	*set |= row < 0 ? POLICY_ARCH_UNKNOWN : UINT32_C(1) << row;
	return row < 0 ? warn(p, POLICY_WARN_UNKNOWN_NAME, "'%.60s' is not an architecture that is known here",
			      json_string_value(value))
		       : 0;
}

static int parse_arches(struct json_reader *p, json_t *value, void *target)
{
	return json_read_list(p, value, JSON_STRING, parse_when_arch, &((struct policy_when *)target)->arches);
}

/* Up to five digits; the end, or NULL. */
static const char *version_part(const char *text, unsigned *ret)
{
	unsigned v = 0;
	int i;

	for (i = 0; i < 5 && text[i] >= '0' && text[i] <= '9'; i++)
		v = v * 10 + (unsigned)(text[i] - '0');
	*ret = v;
	return i == 0 ? NULL : text + i;
}

static int parse_min_kernel(struct json_reader *p, json_t *value, void *target)
{
	struct policy_when *when = target;
	const char *text = json_string_value(value), *at = version_part(text, &when->kernel_major);

	if (at && *at == '.')
		at = version_part(at + 1, &when->kernel_minor);
	else
		at = NULL;
	if (!at || *at != '\0')
		return json_refuse(p, "'%.60s' is not a kernel version such as 5.10", text);
	when->has_kernel = true;
	return 0;
}

static const struct json_row when_fields[] = {
	{ "caps", JSON_ARRAY, false, parse_caps, 0 },
	{ "arches", JSON_ARRAY, false, parse_arches, 0 },
	{ "minKernel", JSON_STRING, false, parse_min_kernel, 0 },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

/* ---- conditions ---- */

struct condition_draft {
	struct policy_condition *condition;
	bool has_index, has_op;
};

static int parse_index(struct json_reader *p, json_t *value, void *target)
{
	struct condition_draft *draft = target;

	if (json_read_u64(value) >= POLICY_ARGS)
		return json_refuse(p, "%" PRIu64 " is not an argument: 0 to %d", json_read_u64(value), POLICY_ARGS - 1);
	draft->condition->index = (unsigned)json_read_u64(value);
	draft->has_index = true;
	return 0;
}

static int parse_value(struct json_reader *p, json_t *value, void *target)
{
	(void)p; /* every uint64_t is one */
	((struct condition_draft *)target)->condition->value = json_read_u64(value);
	return 0;
}

static int parse_value_two(struct json_reader *p, json_t *value, void *target)
{
	(void)p; /* every uint64_t is one */
	((struct condition_draft *)target)->condition->value_two = json_read_u64(value);
	return 0;
}

static int parse_op(struct json_reader *p, json_t *value, void *target)
{
	struct condition_draft *draft = target;
	const char *text = json_string_value(value);

	for (size_t i = 0; i < COUNT(ops); i++) {
		if (strcmp(ops[i].name, text) == 0) {
			draft->condition->op = ops[i].op;
			draft->has_op = true;
			return 0;
		}
	}
	return json_refuse(p, "'%.60s' is not a comparison (SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ, ...)", text);
}

static const struct json_row condition_fields[] = {
	{ "index", JSON_INTEGER, false, parse_index, 0 },
	{ "value", JSON_INTEGER, false, parse_value, 0 },
	{ "valueTwo", JSON_INTEGER, false, parse_value_two, 0 },
	{ "op", JSON_STRING, false, parse_op, 0 },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int check_condition(struct json_reader *p, const struct condition_draft *draft)
{
	struct policy_condition *c = draft->condition;

	if (!draft->has_index)
		return json_refuse(p, "'index' is missing");
	if (!draft->has_op)
		return json_refuse(p, "'op' is missing");
	if (c->op == POLICY_MASKED_EQ && (c->value_two & ~c->value) != 0)
		return json_refuse(
			p, "never true: valueTwo (%" PRIu64 ") has bits outside the mask, which is value (%" PRIu64 ")",
			c->value_two, c->value);
	if (c->op == POLICY_LT && c->value == 0)
		return json_refuse(p, "never true: nothing is less than 0");
	if (c->op == POLICY_GT && c->value == UINT64_MAX)
		return json_refuse(p, "never true: nothing is greater than %" PRIu64, UINT64_MAX);
	if (c->op != POLICY_MASKED_EQ)
		c->value_two = 0; /* encoders write it always; it means nothing here */
	return 0;
}

static int parse_condition(struct json_reader *p, json_t *value, void *target)
{
	struct policy_rule *rule = target;
	struct condition_draft draft = { .condition = &rule->conditions[rule->n_conditions] };
	int r = json_read_object(p, value, condition_fields, &draft);

	if (r == 0)
		r = check_condition(p, &draft);
	if (r == 0)
		rule->n_conditions++;
	return r;
}

/* ---- rules ---- */

struct rule_draft {
	struct policy_rule *rule;
	struct action_draft action;
	bool has_name, has_names;
};

static int add_name(struct json_reader *p, json_t *value, void *target)
{
	struct policy_rule *rule = ((struct rule_draft *)target)->rule;
	const char *name = json_string_value(value);

	if (!policy_call_is_name(name))
		return json_refuse(p, "'%.60s' is not the name of a system call", name);
	rule->names[rule->n_names++] = name;
	return 0;
}

/* Does the rule itself say that it is about kernels that are newer than our table of calls? */
static bool is_of_the_future(const struct policy_rule *rule)
{
	const struct policy_when *in = &rule->includes;

	return in->has_kernel && (in->kernel_major > POLICY_CALLS_MAJOR ||
				  (in->kernel_major == POLICY_CALLS_MAJOR && in->kernel_minor > POLICY_CALLS_MINOR));
}

/* A name that no kernel has is a mistake: a rule for "opneat" would silently be none. */
static int check_names(struct json_reader *p, const struct rule_draft *draft)
{
	const struct policy_rule *rule = draft->rule;

	for (size_t i = 0; i < rule->n_names; i++) {
		const char *name = rule->names[i];
		size_t before;
		int r;

		if (policy_call_known(name) == POLICY_CALL_KNOWN)
			continue;
		before = draft->has_name ? json_enter(p, ".name") : json_enter(p, ".names[%zu]", i);
		if (policy_call_known(name) == POLICY_CALL_NEWER || is_of_the_future(rule))
			r = warn(p, POLICY_WARN_UNKNOWN_NAME,
				 "'%s' is not known to libseccomp, it gets the default action", name);
		else
			r = json_refuse(
				p,
				"'%s' is no system call of any kernel known here, up to %d.%d (a rule for newer "
				"ones has includes.minKernel)",
				name, POLICY_CALLS_MAJOR, POLICY_CALLS_MINOR);
		if (r < 0)
			return r;
		json_leave(p, before);
	}
	return 0;
}

static int names_room(struct json_reader *p, struct rule_draft *draft, size_t n)
{
	free(draft->rule->names);
	draft->rule->n_names = 0;
	draft->rule->names = calloc(n ? n : 1, sizeof(*draft->rule->names));
	return draft->rule->names ? 0 : json_no_memory(p);
}

static int parse_names(struct json_reader *p, json_t *value, void *target)
{
	struct rule_draft *draft = target;
	int r;

	if (draft->has_name)
		return json_refuse(p, "'name' and 'names' do not go together");
	draft->has_names = true;
	r = names_room(p, draft, json_array_size(value));
	return r < 0 ? r : json_read_list(p, value, JSON_STRING, add_name, draft);
}

static int parse_name(struct json_reader *p, json_t *value, void *target)
{
	struct rule_draft *draft = target;
	int r;

	if (json_string_length(value) == 0) /* as encoders write an absent one */
		return 0;
	if (draft->has_names)
		return json_refuse(p, "'name' and 'names' do not go together");
	draft->has_name = true;
	r = names_room(p, draft, 1);
	return r < 0 ? r : add_name(p, value, draft);
}

static int parse_rule_action(struct json_reader *p, json_t *value, void *target)
{
	return parse_action(p, value, &((struct rule_draft *)target)->action);
}

static int parse_rule_errno(struct json_reader *p, json_t *value, void *target)
{
	return parse_errno(p, value, &((struct rule_draft *)target)->action);
}

static int parse_rule_errno_name(struct json_reader *p, json_t *value, void *target)
{
	return parse_errno_name(p, value, &((struct rule_draft *)target)->action);
}

static int parse_args(struct json_reader *p, json_t *value, void *target)
{
	struct policy_rule *rule = ((struct rule_draft *)target)->rule;
	size_t n = json_array_size(value);

	if (n > POLICY_CONDITIONS_MAX)
		return json_too_big(p, "%zu conditions, more than %d", n, POLICY_CONDITIONS_MAX);
	rule->conditions = calloc(n ? n : 1, sizeof(*rule->conditions));
	if (!rule->conditions)
		return json_no_memory(p);
	return json_read_list(p, value, JSON_OBJECT, parse_condition, rule);
}

static int parse_comment(struct json_reader *p, json_t *value, void *target)
{
	(void)p; /* any text will do */
	((struct rule_draft *)target)->rule->comment = json_string_value(value);
	return 0;
}

static int parse_includes(struct json_reader *p, json_t *value, void *target)
{
	return json_read_object(p, value, when_fields, &((struct rule_draft *)target)->rule->includes);
}

static int parse_excludes(struct json_reader *p, json_t *value, void *target)
{
	return json_read_object(p, value, when_fields, &((struct rule_draft *)target)->rule->excludes);
}

static const struct json_row rule_fields[] = {
	{ "names", JSON_ARRAY, false, parse_names, 0 },
	{ "name", JSON_STRING, false, parse_name, 0 },
	{ "action", JSON_STRING, false, parse_rule_action, 0 },
	{ "errnoRet", JSON_INTEGER, false, parse_rule_errno, 0 },
	{ "errno", JSON_STRING, false, parse_rule_errno_name, 0 },
	{ "args", JSON_ARRAY, false, parse_args, 0 },
	{ "comment", JSON_STRING, false, parse_comment, 0 },
	{ "includes", JSON_OBJECT, false, parse_includes, 0 },
	{ "excludes", JSON_OBJECT, false, parse_excludes, 0 },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static bool tests_twice(const struct policy_rule *rule)
{
	unsigned seen = 0;

	for (size_t i = 0; i < rule->n_conditions; i++) {
		if (seen & (1U << rule->conditions[i].index))
			return true;
		seen |= 1U << rule->conditions[i].index;
	}
	return false;
}

static int parse_rule(struct json_reader *p, json_t *value, void *target)
{
	struct policy_profile *profile = target;
	struct rule_draft draft = { .rule = &profile->rules[profile->n_rules] };
	int r;

	draft.rule->position = profile->n_rules++; /* counted first, so that a half-read rule is freed */
	r = json_read_object(p, value, rule_fields, &draft);
	if (r < 0)
		return r;
	if (draft.rule->n_names == 0)
		return json_refuse(p, "names no system call");
	r = check_names(p, &draft);
	if (r == 0)
		r = finish_action(p, &draft.action, "action", "errnoRet", &draft.rule->action);
	if (r < 0)
		return r;
	draft.rule->is_split = tests_twice(draft.rule);
	if (draft.rule->is_split)
		return warn(p, POLICY_WARN_SPLIT,
			    "tests one argument twice: as in runc, each of its %zu conditions is then a rule of its "
			    "own (or, not and)",
			    draft.rule->n_conditions);
	return 0;
}

/* ---- the document ---- */

struct document_draft {
	struct policy_profile *profile;
	struct action_draft action;
	bool has_architectures, has_arch_map;
};

static int parse_default_action(struct json_reader *p, json_t *value, void *target)
{
	return parse_action(p, value, &((struct document_draft *)target)->action);
}

static int parse_default_errno(struct json_reader *p, json_t *value, void *target)
{
	return parse_errno(p, value, &((struct document_draft *)target)->action);
}

static int parse_default_errno_name(struct json_reader *p, json_t *value, void *target)
{
	return parse_errno_name(p, value, &((struct document_draft *)target)->action);
}

static int parse_architectures(struct json_reader *p, json_t *value, void *target)
{
	struct document_draft *draft = target;

	draft->has_architectures = json_array_size(value) > 0;
	return json_read_list(p, value, JSON_STRING, parse_arch, &draft->profile->arches);
}

static int parse_sub_architecture(struct json_reader *p, json_t *value, void *target)
{
	uint32_t unused = 0;
	int r = parse_arch(p, value, &unused);

	(void)target; /* only the native entry point is open */
	return r < 0 ? r : warn(p, POLICY_WARN_IGNORED, "calls of %s stay closed", json_string_value(value));
}

static int parse_map_architecture(struct json_reader *p, json_t *value, void *target)
{
	return parse_arch(p, value, &((struct policy_profile *)target)->arches);
}

static int parse_map_sub(struct json_reader *p, json_t *value, void *target)
{
	return json_read_list(p, value, JSON_STRING, parse_sub_architecture, target);
}

static const struct json_row arch_map_fields[] = {
	{ "architecture", JSON_STRING, false, parse_map_architecture, 0 },
	{ "subArchitectures", JSON_ARRAY, false, parse_map_sub, 0 },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int parse_arch_map_row(struct json_reader *p, json_t *value, void *target)
{
	if (!json_object_get(value, "architecture"))
		return json_refuse(p, "'architecture' is missing");
	return json_read_object(p, value, arch_map_fields, target);
}

static int parse_arch_map(struct json_reader *p, json_t *value, void *target)
{
	struct document_draft *draft = target;

	draft->has_arch_map = json_array_size(value) > 0;
	return json_read_list(p, value, JSON_OBJECT, parse_arch_map_row, draft->profile);
}

static int parse_flag(struct json_reader *p, json_t *value, void *target)
{
	struct policy_profile *profile = target;
	const char *text = json_string_value(value);

	for (size_t i = 0; i < COUNT(flags); i++) {
		if (strcmp(flags[i].name, text) != 0)
			continue;
		profile->install_flags |= flags[i].flag;
		return flags[i].ignored ? warn(p, POLICY_WARN_IGNORED, "%s has no effect: %s", text, flags[i].ignored)
					: 0;
	}
	return json_refuse(p, "'%.60s' is not a flag that can be honoured", text);
}

static int parse_flags(struct json_reader *p, json_t *value, void *target)
{
	return json_read_list(p, value, JSON_STRING, parse_flag, ((struct document_draft *)target)->profile);
}

static int parse_syscalls(struct json_reader *p, json_t *value, void *target)
{
	struct policy_profile *profile = ((struct document_draft *)target)->profile;
	size_t n = json_array_size(value);

	if (n > POLICY_RULES_MAX)
		return json_too_big(p, "%zu rules, more than %d", n, POLICY_RULES_MAX);
	profile->rules = calloc(n ? n : 1, sizeof(*profile->rules));
	if (!profile->rules)
		return json_no_memory(p);
	return json_read_list(p, value, JSON_OBJECT, parse_rule, profile);
}

static int refuse_listener(struct json_reader *p, json_t *value, void *target)
{
	(void)value, (void)target; /* whatever it says */
	return json_refuse(p, "belongs to SCMP_ACT_NOTIFY, and nobody answers notifications of an enforced profile");
}

static const struct json_row document_fields[] = {
	{ "defaultAction", JSON_STRING, false, parse_default_action, 0 },
	{ "defaultErrnoRet", JSON_INTEGER, false, parse_default_errno, 0 },
	{ "defaultErrno", JSON_STRING, false, parse_default_errno_name, 0 },
	{ "architectures", JSON_ARRAY, false, parse_architectures, 0 },
	{ "archMap", JSON_ARRAY, false, parse_arch_map, 0 },
	{ "flags", JSON_ARRAY, false, parse_flags, 0 },
	{ "syscalls", JSON_ARRAY, false, parse_syscalls, 0 },
	{ "listenerPath", JSON_STRING, false, refuse_listener, 0 },
	{ "listenerMetadata", JSON_STRING, false, refuse_listener, 0 },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int read_document(struct json_reader *p)
{
	struct policy_profile *profile = p->owner;
	struct document_draft draft = { .profile = profile };
	int r = json_read_object(p, profile->document, document_fields, &draft);

	if (r < 0)
		return r;
	if (draft.has_architectures && draft.has_arch_map)
		return json_refuse(p, "'architectures' and 'archMap' do not go together");
	return finish_action(p, &draft.action, "defaultAction", "defaultErrnoRet", &profile->default_action);
}

static int read_profile(struct json_reader *p, struct policy_profile *profile, const char *text, size_t size)
{
	int r = json_read_text(p, text, size, &profile->document);

	if (r < 0)
		return r;
	profile->origin = strdup(p->origin);
	profile->text = malloc(size + 1);
	if (!profile->origin || !profile->text)
		return json_no_memory(p);
	memcpy(profile->text, text, size); /* not empty, or it would not have parsed */
	profile->text[size] = '\0';
	profile->text_size = size;
	return read_document(p);
}

int policy_profile_parse(const char *text, size_t size, const char *origin, struct policy_profile **ret,
			 struct error *err)
{
	struct policy_profile *profile = calloc(1, sizeof(*profile));
	struct error why = ERROR_INIT;
	struct json_reader p = {
		.origin = origin,
		.err = err ? err : &why,
		.owner = profile,
		.max_bytes = POLICY_FILE_MAX,
		.is_unsigned = true,
		.null_is_absent = true, /* how encoders of this format write an absent list */
	};
	int r = profile ? read_profile(&p, profile, text, size) : json_no_memory(&p);

	if (r < 0) {
		policy_profile_free(profile);
		return r;
	}
	*ret = profile;
	return 0;
}

int policy_profile_load(const char *path, struct policy_profile **ret, struct error *err)
{
	cleanup_buf struct buf text = BUF_BOUNDED((size_t)POLICY_FILE_MAX + 1);
	int r = fd_read_file(AT_FDCWD, path, POLICY_FILE_MAX, &text, err);

	if (r < 0)
		return r;
	return policy_profile_parse(buf_str(&text), text.size, path, ret, err);
}

void policy_profile_free(struct policy_profile *profile)
{
	if (!profile)
		return;
	for (size_t i = 0; i < profile->n_rules; i++) {
		free(profile->rules[i].names);
		free(profile->rules[i].conditions);
	}
	for (size_t i = 0; i < profile->n_warnings; i++)
		free(profile->warnings[i].text);
	free(profile->rules);
	free(profile->warnings);
	json_decref(profile->document);
	free(profile->text);
	free(profile->origin);
	free(profile);
}
