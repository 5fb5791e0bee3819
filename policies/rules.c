/* Selects, resolves and orders the rules of a profile: see rules.h. */
#include "policies/rules.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "policies/arch.h"
#include "policies/profile.h"
#include "runtime/base/error.h"

/* ---- context ---- */

static int check_arch(uint32_t token, struct error *err)
{
	int row = policy_arch_find_token(token);

	if (row >= 0 && policy_arch_at((size_t)row)->is_target)
		return 0;
	return error_set(err, ENOTSUP, "no filters are made for architecture %s (0x%x)",
			 row >= 0 ? policy_arch_at((size_t)row)->constant : "unknown", token);
}

int policy_context_host(uint64_t caps, struct policy_context *ret, struct error *err)
{
	struct policy_context context = { .caps = caps, .arch = seccomp_arch_native() };
	struct utsname host;
	int r = check_arch(context.arch, err);

	if (r < 0)
		return r;
	if (uname(&host) < 0)
		return error_errno(err, errno, "uname");
	/* five digits cannot overflow; NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(host.release, "%5u.%5u", &context.kernel_major, &context.kernel_minor) != 2)
		return error_set(err, EINVAL, "the kernel calls itself '%.60s', which is not a version", host.release);
	*ret = context;
	return 0;
}

static bool is_kernel_at_least(const struct policy_context *context, const struct policy_when *when)
{
	if (context->kernel_major != when->kernel_major)
		return context->kernel_major > when->kernel_major;
	return context->kernel_minor >= when->kernel_minor;
}

static bool is_selected(const struct policy_rule *rule, const struct policy_context *context, uint32_t arch_bit)
{
	const struct policy_when *in = &rule->includes, *out = &rule->excludes;

	if ((in->caps & ~context->caps) || (in->arches && !(in->arches & arch_bit)) ||
	    (in->has_kernel && !is_kernel_at_least(context, in)))
		return false;
	return !(out->caps & context->caps) && !(out->arches & arch_bit) &&
	       !(out->has_kernel && is_kernel_at_least(context, out));
}

/* ---- conditions as sets of values of one argument ---- */

bool policy_condition_holds(const struct policy_condition *condition, uint64_t arg)
{
	switch (condition->op) {
	/* clang-format off */
	case POLICY_NE: return arg != condition->value;
	case POLICY_LT: return arg < condition->value;
	case POLICY_LE: return arg <= condition->value;
	case POLICY_EQ: return arg == condition->value;
	case POLICY_GE: return arg >= condition->value;
	case POLICY_GT: return arg > condition->value;
	case POLICY_MASKED_EQ: return (arg & condition->value) == condition->value_two;
	case POLICY_OPS: break;
		/* clang-format on */
	}
	return false;
}

/* Smallest and largest value; every value between them belongs to it too, but for NE and MASKED_EQ. */
static void bounds(const struct policy_condition *c, uint64_t *low, uint64_t *high)
{
	*low = c->op == POLICY_GT ? c->value + 1 : c->op == POLICY_EQ || c->op == POLICY_GE ? c->value : 0;
	*high = c->op == POLICY_LT ? c->value - 1 : c->op == POLICY_EQ || c->op == POLICY_LE ? c->value : UINT64_MAX;
	if (c->op == POLICY_MASKED_EQ) {
		*low = c->value_two;
		*high = c->value_two | ~c->value;
	} else if (c->op == POLICY_NE) {
		*low = c->value == 0;
		*high = UINT64_MAX - (c->value == UINT64_MAX);
	}
}

/* Does every value of a belong to b? "No" when it cannot be shown. */
static bool is_within(const struct policy_condition *a, const struct policy_condition *b)
{
	uint64_t low_a, high_a, low_b, high_b;

	bounds(a, &low_a, &high_a);
	bounds(b, &low_b, &high_b);
	if (low_a == high_a)
		return policy_condition_holds(b, low_a);
	switch (b->op) {
	case POLICY_NE:
		return !policy_condition_holds(a, b->value);
	case POLICY_MASKED_EQ:
		return b->value == 0 || (a->op == POLICY_MASKED_EQ && (b->value & ~a->value) == 0 &&
					 (a->value_two & b->value) == b->value_two);
	default:
		return low_a >= low_b && high_a <= high_b;
	}
}

/* Is no value in both? "No" when it cannot be shown. */
static bool is_apart(const struct policy_condition *a, const struct policy_condition *b)
{
	uint64_t low_a, high_a, low_b, high_b;

	bounds(a, &low_a, &high_a);
	bounds(b, &low_b, &high_b);
	if (low_a > high_b || low_b > high_a)
		return true;
	if (low_a == high_a)
		return !policy_condition_holds(b, low_a);
	if (low_b == high_b)
		return !policy_condition_holds(a, low_b);
	return a->op == POLICY_MASKED_EQ && b->op == POLICY_MASKED_EQ &&
	       ((a->value_two ^ b->value_two) & a->value & b->value) != 0;
}

/* ---- branches ---- */

/* Every call of a is one of b: each condition of b follows from one of a. */
static bool is_branch_within(const struct policy_branch *a, const struct policy_branch *b)
{
	for (size_t i = 0; i < b->n_conditions; i++) {
		bool follows = is_within(&(struct policy_condition){ .op = POLICY_GE }, &b->conditions[i]);

		for (size_t j = 0; j < a->n_conditions && !follows; j++)
			follows = a->conditions[j].index == b->conditions[i].index &&
				  is_within(&a->conditions[j], &b->conditions[i]);
		if (!follows)
			return false;
	}
	return true;
}

static bool is_branch_apart(const struct policy_branch *a, const struct policy_branch *b)
{
	for (size_t i = 0; i < a->n_conditions; i++) {
		for (size_t j = 0; j < b->n_conditions; j++) {
			if (a->conditions[i].index == b->conditions[j].index &&
			    is_apart(&a->conditions[i], &b->conditions[j]))
				return true;
		}
	}
	return false;
}

struct builder {
	struct policy_rules *rules;
	const struct policy_profile *profile;
	struct error *err;
	size_t n_branches; /* of all calls */
};

static int contradict(const struct builder *b, const char *name, const struct policy_rule *x,
		      const struct policy_rule *y, const char *how)
{
	char a[40], c[40];

	return error_set(b->err, EINVAL,
			 "%s: syscalls[%zu] (%s) and syscalls[%zu] (%s) contradict each other on '%s': %s",
			 b->profile->origin, x->position, policy_action_name(x->action, a, sizeof(a)), y->position,
			 policy_action_name(y->action, c, sizeof(c)), name, how);
}

static int add_branch(struct builder *b, struct policy_call *call, const struct policy_branch *new)
{
	struct policy_branch *more;

	for (size_t i = 0; i < call->n_branches; i++) {
		const struct policy_branch *old = &call->branches[i];
		bool in = is_branch_within(new, old), out = is_branch_within(old, new);

		if (new->action == old->action) {
			if (in && out)
				return 0; /* said already */
			continue;
		}
		if (in && out)
			return contradict(b, call->name, old->rule, new->rule, "the same conditions");
		if (!in && !out && !is_branch_apart(new, old))
			return contradict(b, call->name, old->rule, new->rule,
					  "some arguments meet the conditions of both, and neither is a special case "
					  "of the other");
	}
	if (call->n_branches == POLICY_BRANCHES_MAX || ++b->n_branches > POLICY_BRANCHES_ALL_MAX)
		return error_set(b->err, E2BIG, "%s: syscalls[%zu]: more conditions on '%s' than a filter has room for",
				 b->profile->origin, new->rule->position, call->name);
	more = reallocarray(call->branches, call->n_branches + 1, sizeof(*more));
	if (!more)
		return error_set(b->err, ENOMEM, "out of memory");
	call->branches = more;
	call->branches[call->n_branches++] = *new;
	return 0;
}

/* The first counts, as in libseccomp: published profiles allow a call, and refuse it again for want of a capability. */
static void add_unconditional(struct policy_call *call, const struct policy_rule *rule)
{
	if (call->rule)
		return;
	call->rule = rule;
	call->otherwise = rule->action;
}

static int add_rule_to_call(struct builder *b, struct policy_call *call, const struct policy_rule *rule)
{
	struct policy_branch branch = {
		.conditions = rule->conditions, .n_conditions = rule->n_conditions, .action = rule->action, .rule = rule
	};

	if (rule->n_conditions == 0) {
		add_unconditional(call, rule);
		return 0;
	}
	if (!rule->is_split)
		return add_branch(b, call, &branch);
	branch.n_conditions = 1;
	for (size_t i = 0; i < rule->n_conditions; i++) {
		int r;

		branch.conditions = &rule->conditions[i];
		r = add_branch(b, call, &branch);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_rule(struct builder *b, const struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->n_names; i++) {
		/* negative: unknown, which the parser warned of, or a call that this architecture does not have */
		int r, nr = seccomp_syscall_resolve_name_arch(b->rules->context.arch, rule->names[i]);
		struct policy_call *call;

		if (nr < 0)
			continue;
		if (nr >= POLICY_NR_MAX)
			return error_set(b->err, EINVAL, "%s: syscalls[%zu]: '%s' has number %d, more than we can hold",
					 b->profile->origin, rule->position, rule->names[i], nr);
		call = &b->rules->calls[nr];
		if (!call->name) {
			call->name = rule->names[i];
			call->otherwise = b->rules->default_action;
		}
		r = add_rule_to_call(b, call, rule);
		if (r < 0)
			return r;
	}
	return 0;
}

/* How many other branches lie inside this one. What lies inside has a smaller count, so sorting by it puts it first. */
static size_t depth(const struct policy_call *call, const struct policy_branch *branch)
{
	size_t n = 0;

	for (size_t i = 0; i < call->n_branches; i++)
		n += &call->branches[i] != branch && is_branch_within(&call->branches[i], branch);
	return n;
}

static int order(struct policy_call *call)
{
	struct policy_branch *sorted;
	size_t *depths, done = 0;

	if (call->n_branches < 2)
		return 0;
	sorted = calloc(call->n_branches, sizeof(*sorted));
	depths = calloc(call->n_branches, sizeof(*depths));
	if (sorted && depths) {
		for (size_t i = 0; i < call->n_branches; i++)
			depths[i] = depth(call, &call->branches[i]);
		for (size_t d = 0; done < call->n_branches; d++) {
			for (size_t i = 0; i < call->n_branches; i++) {
				if (depths[i] == d)
					sorted[done++] = call->branches[i];
			}
		}
		memcpy(call->branches, sorted, done * sizeof(*sorted));
	}
	free(sorted);
	free(depths);
	return done ? 0 : -ENOMEM;
}

static int check_profile_arch(const struct builder *b, uint32_t arch_bit)
{
	int row = policy_arch_find_token(b->rules->context.arch);

	if (!b->profile->arches || (b->profile->arches & arch_bit))
		return 0;
	return error_set(b->err, EINVAL, "%s: not meant for %s: its list of architectures does not have it",
			 b->profile->origin, policy_arch_at((size_t)row)->constant);
}

static int build(struct builder *b)
{
	uint32_t arch_bit = UINT32_C(1) << policy_arch_find_token(b->rules->context.arch);
	int r = check_profile_arch(b, arch_bit);

	for (size_t i = 0; r == 0 && i < b->profile->n_rules; i++) {
		if (is_selected(&b->profile->rules[i], &b->rules->context, arch_bit))
			r = add_rule(b, &b->profile->rules[i]);
	}
	for (size_t i = 0; r == 0 && i < POLICY_NR_MAX; i++) {
		r = order(&b->rules->calls[i]);
		if (r < 0)
			(void)error_set(b->err, ENOMEM, "out of memory"); /* r has the code */
	}
	return r;
}

int policy_rules_build(const struct policy_profile *profile, const struct policy_context *context,
		       struct policy_rules **ret, struct error *err)
{
	struct builder b = { .profile = profile, .err = err };
	int r = check_arch(context->arch, err);

	if (r < 0)
		return r;
	b.rules = calloc(1, sizeof(*b.rules));
	if (!b.rules)
		return error_set(err, ENOMEM, "out of memory");
	b.rules->context = *context;
	b.rules->default_action = profile->default_action;
	r = build(&b);
	if (r < 0) {
		policy_rules_free(b.rules);
		return r;
	}
	*ret = b.rules;
	return 0;
}

void policy_rules_free(struct policy_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < POLICY_NR_MAX; i++)
		free(rules->calls[i].branches);
	free(rules);
}

/* ---- deciding ---- */

static bool is_branch_taken(const struct policy_branch *branch, const struct seccomp_data *call)
{
	for (size_t i = 0; i < branch->n_conditions; i++) {
		if (!policy_condition_holds(&branch->conditions[i], call->args[branch->conditions[i].index]))
			return false;
	}
	return true;
}

uint32_t policy_rules_decide(const struct policy_rules *rules, const struct seccomp_data *call,
			     const struct policy_rule **ret_rule)
{
	const struct policy_rule *unused = NULL;
	const struct policy_call *c;

	ret_rule = ret_rule ? ret_rule : &unused;
	*ret_rule = NULL;
	/* -1 is what a tracer leaves of a call it skipped, and no x32 call: libseccomp gives it the default action */
	if (call->arch != rules->context.arch ||
	    (call->arch == SCMP_ARCH_X86_64 && call->nr != -1 && (uint32_t)call->nr >= POLICY_X32_BIT))
		return SECCOMP_RET_KILL_PROCESS;
	if (call->nr < 0 || call->nr >= POLICY_NR_MAX || !rules->calls[call->nr].name)
		return rules->default_action;
	c = &rules->calls[call->nr];
	for (size_t i = 0; i < c->n_branches; i++) {
		if (is_branch_taken(&c->branches[i], call)) {
			*ret_rule = c->branches[i].rule;
			return c->branches[i].action;
		}
	}
	*ret_rule = c->rule;
	return c->otherwise;
}

/* ---- witnesses ---- */

enum { WITNESSES = 8192, VALUES_MAX = 256 };

struct values {
	uint64_t of[POLICY_ARGS][VALUES_MAX];
	size_t n[POLICY_ARGS];
};

static void add_value(struct values *values, unsigned index, uint64_t value)
{
	for (size_t i = 0; i < values->n[index]; i++) {
		if (values->of[index][i] == value)
			return;
	}
	if (values->n[index] < VALUES_MAX)
		values->of[index][values->n[index]++] = value;
}

static void add_condition_values(struct values *values, const struct policy_condition *c)
{
	uint64_t at = c->op == POLICY_MASKED_EQ ? c->value_two : c->value,
		 mask = c->op == POLICY_MASKED_EQ ? c->value : 0;
	const uint64_t near[] = { at,
				  at - 1,
				  at + 1,
				  at | 1ULL << 32,
				  at ^ 1ULL << 63,
				  at | ~mask,
				  at ^ (mask & -mask),
				  at ^ (mask & ~(mask >> 1)),
				  ~at };

	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		add_value(values, c->index, near[i]);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Every combination of the values, or a sample when there are too many. */
static int each_combination(const struct values *values, struct seccomp_data *call, policy_witness_fn *fn, void *arg)
{
	uint64_t total = 1, random = 1;

	for (size_t i = 0; i < POLICY_ARGS && total <= WITNESSES; i++)
		total *= values->n[i];
	for (uint64_t k = 0; k < total && k < WITNESSES; k++) {
		uint64_t rest = k;
		int r;

		for (size_t i = 0; i < POLICY_ARGS; i++) {
			uint64_t pick = total > WITNESSES ? next_random(&random) : rest;

			call->args[i] = values->of[i][pick % values->n[i]];
			rest /= values->n[i];
		}
		r = fn(call, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

/* A call that meets a branch: what a sample of many combinations might miss. */
static int each_branch(const struct policy_call *c, struct seccomp_data *call, policy_witness_fn *fn, void *arg)
{
	for (size_t i = 0; i < c->n_branches; i++) {
		uint64_t low, high;
		int r;

		memset(call->args, 0, sizeof(call->args));
		for (size_t j = 0; j < c->branches[i].n_conditions; j++) {
			bounds(&c->branches[i].conditions[j], &low, &high);
			call->args[c->branches[i].conditions[j].index] = low;
		}
		r = fn(call, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

static int witness_call(const struct policy_call *c, struct seccomp_data *call, policy_witness_fn *fn, void *arg)
{
	struct values *values;
	int r;

	if (c->n_branches == 0) {
		memset(call->args, 0, sizeof(call->args));
		return fn(call, arg);
	}
	values = calloc(1, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (unsigned i = 0; i < POLICY_ARGS; i++)
		add_value(values, i, 0);
	for (size_t i = 0; i < c->n_branches; i++) {
		for (size_t j = 0; j < c->branches[i].n_conditions; j++)
			add_condition_values(values, &c->branches[i].conditions[j]);
	}
	r = each_combination(values, call, fn, arg);
	free(values);
	return r != 0 ? r : each_branch(c, call, fn, arg);
}

int policy_rules_witness(const struct policy_rules *rules, policy_witness_fn *fn, void *arg)
{
	static const uint32_t odd_numbers[] = { POLICY_NR_MAX,        100000,     POLICY_X32_BIT - 1, POLICY_X32_BIT,
						POLICY_X32_BIT + 520, 0x7fffffff, 0x80000000,         0xffffffff };
	struct seccomp_data call = { .arch = rules->context.arch };
	int r = 0;

	for (int nr = 0; r == 0 && nr < POLICY_NR_MAX; nr++) {
		call.nr = nr;
		r = witness_call(&rules->calls[nr], &call, fn, arg);
	}
	memset(call.args, 0, sizeof(call.args));
	for (size_t i = 0; r == 0 && i < sizeof(odd_numbers) / sizeof(odd_numbers[0]); i++) {
		call.nr = (int)odd_numbers[i];
		r = fn(&call, arg);
	}
	for (size_t i = 0; r == 0 && policy_arch_at(i); i++) {
		call.arch = policy_arch_at(i)->token;
		call.nr = 0;
		r = fn(&call, arg);
	}
	return r;
}
