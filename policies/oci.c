/* From rules with exceptions to rules that do not overlap: see oci.h. */
#include "policies/oci.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policies/arch.h"
#include "policies/profile.h"
#include "policies/program.h"
#include "policies/rules.h"
#include "policies/simulate.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"

/* ---- parts of all the arguments that a call can have ---- */

/* The calls with args[i] & mask[i] == value[i] for each i. */
struct part {
	uint64_t mask[POLICY_ARGS], value[POLICY_ARGS];
};

struct parts {
	struct part *of;
	size_t n, room;
	bool is_lost; /* no memory, or too many */
};

static void add_part(struct parts *list, const struct part *p)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct part *more = room <= POLICY_OCI_PARTS_MAX ? reallocarray(list->of, room, sizeof(*more)) : NULL;

		if (!more) {
			list->is_lost = true;
			return;
		}
		list->of = more;
		list->room = room;
	}
	list->of[list->n++] = *p;
}

/* What is in both. False: nothing. */
static bool meet(const struct part *a, const struct part *b, struct part *ret)
{
	for (size_t i = 0; i < POLICY_ARGS; i++) {
		if ((a->value[i] ^ b->value[i]) & a->mask[i] & b->mask[i])
			return false;
		ret->mask[i] = a->mask[i] | b->mask[i];
		ret->value[i] = a->value[i] | b->value[i];
	}
	return true;
}

/*
 * What of a is not in b, in parts: for each bit that b asks for and a does not, from the first argument's highest on, those
 * that have the bits before as b wants them and this one not.
 */
static void subtract(struct part a, const struct part *b, struct parts *ret)
{
	struct part both;

	if (!meet(&a, b, &both)) {
		add_part(ret, &a);
		return;
	}
	for (size_t i = 0; i < POLICY_ARGS; i++) {
		for (uint64_t bit = UINT64_C(1) << 63; bit; bit >>= 1) {
			struct part other = a;

			if (!(b->mask[i] & ~a.mask[i] & bit))
				continue;
			a.mask[i] |= bit;
			a.value[i] |= b->value[i] & bit;
			other.mask[i] |= bit;
			other.value[i] |= ~b->value[i] & bit;
			add_part(ret, &other);
		}
	}
}

/* ---- conditions as parts ---- */

static void add_masked(struct parts *ret, const struct part *in, unsigned index, uint64_t mask, uint64_t value)
{
	struct part one = { .mask = { 0 } }, both;

	one.mask[index] = mask;
	one.value[index] = value;
	if (meet(in, &one, &both))
		add_part(ret, &both);
}

/* low <= argument <= high, in blocks of a power of two */
static void add_range(struct parts *ret, const struct part *in, unsigned index, uint64_t low, uint64_t high)
{
	for (;;) {
		uint64_t rest =
			0; /* the bits that are free in the largest block that begins here and does not end behind */

		while (rest != UINT64_MAX && !(low & (rest + 1)) && (low | (rest << 1 | 1)) <= high)
			rest = rest << 1 | 1;
		add_masked(ret, in, index, ~rest, low);
		if ((low | rest) >= high)
			return;
		low = (low | rest) + 1;
	}
}

static void add_condition(struct parts *ret, const struct part *in, const struct policy_condition *c)
{
	switch (c->op) {
	case POLICY_EQ:
		add_masked(ret, in, c->index, UINT64_MAX, c->value);
		return;
	case POLICY_MASKED_EQ:
		add_masked(ret, in, c->index, c->value, c->value_two);
		return;
	case POLICY_NE:
		if (c->value > 0)
			add_range(ret, in, c->index, 0, c->value - 1);
		if (c->value < UINT64_MAX)
			add_range(ret, in, c->index, c->value + 1, UINT64_MAX);
		return;
	case POLICY_LT:
		if (c->value > 0)
			add_range(ret, in, c->index, 0, c->value - 1);
		return;
	case POLICY_LE:
		add_range(ret, in, c->index, 0, c->value);
		return;
	case POLICY_GE:
		add_range(ret, in, c->index, c->value, UINT64_MAX);
		return;
	case POLICY_GT:
		if (c->value < UINT64_MAX)
			add_range(ret, in, c->index, c->value + 1, UINT64_MAX);
		return;
	case POLICY_OPS:
		return;
	}
}

static void branch_parts(const struct policy_branch *branch, struct parts *ret)
{
	*ret = (struct parts){ 0 };
	add_part(ret, &(struct part){ .mask = { 0 } });
	for (size_t i = 0; i < branch->n_conditions; i++) {
		struct parts next = { .is_lost = ret->is_lost };

		for (size_t k = 0; k < ret->n; k++)
			add_condition(&next, &ret->of[k], &branch->conditions[i]);
		free(ret->of);
		*ret = next;
	}
}

/* ---- the document ---- */

/* All that a profile can have; the parser lets no other through. */
static const struct {
	const char *word;
	uint32_t action; /* without data */
} actions[] = {
	{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW },
	{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO },
	{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SECCOMP_RET_TRAP },
	{ "SCMP_ACT_LOG", SECCOMP_RET_LOG },
	{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD },
};
enum { ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static const char *action_word(uint32_t action)
{
	size_t i = 0;

	while (i + 1 < ACTIONS && actions[i].action != (action & SECCOMP_RET_ACTION_FULL))
		i++;
	return actions[i].word;
}

static json_t *rule_json(const char *name, uint32_t action, const struct part *p)
{
	json_t *rule = json_pack("{s:[s],s:s}", "names", name, "action", action_word(action)), *args = json_array();

	if ((action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
		(void)json_object_set_new(rule, "errnoRet", json_integer(action & SECCOMP_RET_DATA));
	for (int i = 0; p && i < POLICY_ARGS; i++) {
		if (p->mask[i] != 0)
			(void)json_array_append_new(
				args, json_pack("{s:i,s:I,s:I,s:s}", "index", i, "value", (json_int_t)p->mask[i],
						"valueTwo", (json_int_t)p->value[i], "op", "SCMP_CMP_MASKED_EQ"));
	}
	if (json_array_size(args) > 0)
		(void)json_object_set(rule, "args", args);
	json_decref(args);
	return rule;
}

/* What of the call is left takes the branch's action; the rest stays left. */
static void take_branch(json_t *rules, const struct policy_call *call, const struct policy_branch *branch,
			uint32_t by_default, struct parts *left)
{
	struct parts mine;

	branch_parts(branch, &mine);
	for (size_t i = 0; i < mine.n; i++) {
		struct parts rest = { 0 };

		for (size_t k = 0; k < left->n; k++) {
			struct part both;

			if (branch->action != by_default && meet(&left->of[k], &mine.of[i], &both))
				(void)json_array_append_new(rules, rule_json(call->name, branch->action, &both));
			subtract(left->of[k], &mine.of[i], &rest);
		}
		rest.is_lost |= left->is_lost;
		free(left->of);
		*left = rest;
	}
	left->is_lost |= mine.is_lost;
	free(mine.of);
}

static int write_call(json_t *rules, const struct policy_call *call, uint32_t by_default, struct error *err)
{
	struct parts left = { 0 };
	bool is_lost;

	add_part(&left, &(struct part){ .mask = { 0 } });
	for (size_t i = 0; i < call->n_branches; i++)
		take_branch(rules, call, &call->branches[i], by_default, &left);
	for (size_t i = 0; i < left.n && call->otherwise != by_default; i++)
		(void)json_array_append_new(rules, rule_json(call->name, call->otherwise, &left.of[i]));
	is_lost = left.is_lost;
	free(left.of);
	return is_lost ? error_set(err, E2BIG, "%s: its conditions fall into more than %d parts", call->name,
				   POLICY_OCI_PARTS_MAX)
		       : 0;
}

/* ---- what libseccomp makes of it, as runc hands it over ---- */

static uint32_t action_of(const json_t *rule)
{
	const char *word = json_string_value(json_object_get(rule, "action"));
	size_t i = 0;

	while (i + 1 < ACTIONS && strcmp(actions[i].word, word) != 0)
		i++;
	return actions[i].action | (uint32_t)json_integer_value(json_object_get(rule, "errnoRet"));
}

static int add_to_library(scmp_filter_ctx ctx, const json_t *rule)
{
	struct scmp_arg_cmp args[POLICY_ARGS];
	const json_t *arg;
	unsigned n = 0;
	size_t i;
	const char *name = json_string_value(json_array_get(json_object_get(rule, "names"), 0));

	json_array_foreach(json_object_get(rule, "args"), i, arg) args[n++] =
		SCMP_CMP((unsigned)json_integer_value(json_object_get(arg, "index")), SCMP_CMP_MASKED_EQ,
			 (scmp_datum_t)json_integer_value(json_object_get(arg, "value")),
			 (scmp_datum_t)json_integer_value(json_object_get(arg, "valueTwo")));
	return seccomp_rule_add_array(ctx, action_of(rule), seccomp_syscall_resolve_name(name), n, args);
}

struct comparison {
	const struct policy_rules *rules;
	const struct policy_program *program;
	struct error *err;
};

static int compare(const struct seccomp_data *call, void *arg)
{
	const struct comparison *c = arg;
	uint32_t want = policy_rules_decide(c->rules, call, NULL), got = 0;
	int r;

	/* other architectures, the x32 entry and numbers that are none: the runtime's own answer */
	if (call->arch != c->rules->context.arch || call->nr < 0 || call->nr >= POLICY_NR_MAX)
		return 0;
	r = policy_simulate(c->program->code, c->program->n, call, &got, NULL, c->err);
	if (r == 0 && got != want)
		r = error_set(c->err, EPROTO,
			      "libseccomp does not mean the same by it: system call %d(%#llx, %#llx, %#llx)", call->nr,
			      (unsigned long long)call->args[0], (unsigned long long)call->args[1],
			      (unsigned long long)call->args[2]);
	return r;
}

static int ask_library(const struct policy_rules *rules, const json_t *list, struct error *err)
{
	struct policy_program *program = calloc(1, sizeof(*program)); /* 32 KiB */
	struct comparison c = { .rules = rules, .program = program, .err = err };
	scmp_filter_ctx ctx = seccomp_init(rules->default_action);
	const json_t *rule;
	size_t i;
	int r = ctx && program ? 0 : error_set(err, ENOMEM, "out of memory");

	json_array_foreach(list, i, rule)
	{
		int code = r == 0 ? add_to_library(ctx, rule) : 0;

		if (code < 0)
			r = error_set(err, EPROTO, "libseccomp refuses the rule %zu, of '%s': %s", i,
				      json_string_value(json_array_get(json_object_get(rule, "names"), 0)),
				      strerror(-code));
	}
	if (r == 0)
		r = policy_program_export(ctx, program, err);
	if (r == 0)
		r = policy_rules_witness(rules, compare, &c);
	free(program);
	if (ctx)
		seccomp_release(ctx);
	return r;
}

/*
 * As text, in which arguments are unsigned: jansson has no integers above INT64_MAX, so such a one is negative in the tree,
 * and no other number is.
 */
static int print(const json_t *document, struct buf *ret, struct error *err)
{
	char *text = document ? json_dumps(document, JSON_INDENT(1) | JSON_ENSURE_ASCII) : NULL;
	int r = text ? 0 : -ENOMEM;

	for (const char *at = text; r == 0 && *at;) {
		size_t n = strcspn(at, "-");
		char *end;

		r = buf_append(ret, at, n);
		at += n;
		if (r == 0 && at[0] == '-' && isdigit((unsigned char)at[1])) {
			r = buf_printf(ret, "%llu", (unsigned long long)strtoll(at, &end, 10));
			at = end;
		} else if (r == 0 && *at) {
			r = buf_append(ret, at++, 1);
		}
	}
	free(text);
	return r < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

int policy_oci_write(const struct policy_profile *profile, const struct policy_rules *rules, struct buf *ret,
		     struct error *err)
{
	uint32_t by_default = rules->default_action;
	json_t *list = json_array(), *flags = json_object_get(profile->document, "flags"), *o;
	int r = 0;

	for (size_t nr = 0; r == 0 && nr < POLICY_NR_MAX; nr++) {
		if (rules->calls[nr].name)
			r = write_call(list, &rules->calls[nr], by_default, err);
	}
	if (r == 0)
		r = ask_library(rules, list, err);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	o = json_pack("{s:s,s:[s],s:o}", "defaultAction", action_word(by_default), "architectures",
		      policy_arch_at((size_t)policy_arch_find_token(rules->context.arch))->constant, "syscalls", list);
	if (o && (by_default & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
		(void)json_object_set_new(o, "defaultErrnoRet", json_integer(by_default & SECCOMP_RET_DATA));
	if (o && flags)
		(void)json_object_set(o, "flags", flags);
	r = print(o, ret, err);
	json_decref(o);
	return r;
}
