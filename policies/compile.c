/*
 * Makes the program: see compile.h.
 *
 * A call with branches enters libseccomp's tree with a marker as its action: SECCOMP_RET_TRACE and its number, an
 * action that no profile can have. In the exported program each "return marker" then becomes "jump to the section of
 * that call": one instruction for one, so nothing else moves. Sections:
 *
 *     load low half of argument 1
 *     is it 0x5412 (TIOCSTI)?   no: skip 1
 *     return errno 1
 *     ...
 *     return allow              when no branch holds
 */
#include "policies/compile.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "policies/profile.h"
#include "policies/program.h"
#include "policies/rules.h"
#include "policies/simulate.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "low() and high() know where the halves of an argument are");
static_assert(POLICY_NR_MAX <= SECCOMP_RET_DATA, "a call number fits the data of an action");

/* ---- the frame: libseccomp ---- */

/* Rules are added by the number that the machine we run on has for the name, even when the filter is for another. */
static int add_call(scmp_filter_ctx ctx, const struct policy_rules *rules, int nr, struct error *err)
{
	const struct policy_call *call = &rules->calls[nr];
	uint32_t action = call->n_branches ? SECCOMP_RET_TRACE | (uint32_t)nr : call->otherwise;
	int r;

	if (action == rules->default_action) /* seccomp_rule_add(3) refuses what the default does anyway */
		return 0;
	r = seccomp_rule_add(ctx, action, seccomp_syscall_resolve_name(call->name), 0);
	return r < 0 ? policy_library_error(err, r, call->name) : 0;
}

static int set_up(scmp_filter_ctx ctx, uint32_t arch, struct error *err)
{
	int r;

	if (arch != seccomp_arch_native()) {
		r = seccomp_arch_add(ctx, arch);
		if (r == 0)
			r = seccomp_arch_remove(ctx, seccomp_arch_native());
		if (r < 0)
			return policy_library_error(err, r, "architecture");
	}
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	return r < 0 ? policy_library_error(err, r, "attributes") : 0;
}

static int make_frame(const struct policy_rules *rules, struct policy_program *program, struct error *err)
{
	scmp_filter_ctx ctx;
	int r;

	(void)seccomp_api_set(
		5); /* our oldest kernel has it all; otherwise the library would probe by calling seccomp(2) */
	ctx = seccomp_init(rules->default_action);
	if (!ctx)
		return error_set(err, ENOMEM, "libseccomp: no filter");
	r = set_up(ctx, rules->context.arch, err);
	for (int nr = 0; r == 0 && nr < POLICY_NR_MAX; nr++) {
		if (rules->calls[nr].name)
			r = add_call(ctx, rules, nr, err);
	}
	if (r == 0)
		r = policy_program_export(ctx, program, err);
	seccomp_release(ctx);
	return r;
}

/* ---- sections: ours ---- */

/* Jump targets while a condition or a branch is not finished; real distances are far smaller. */
enum { JUMP_HOLDS = 254, JUMP_FAILS = 255, JUMP_REAL_MAX = 253 };

static void emit(struct policy_program *p, struct sock_filter in)
{
	if (p->n < BPF_MAXINSNS)
		p->code[p->n] = in;
	p->n++;
}

static void emit_return(struct policy_program *p, uint32_t action)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Make every placeholder since `from` point behind the last instruction. */
static void land(struct policy_program *p, size_t from, uint8_t placeholder)
{
	for (size_t i = from; i < p->n && i < BPF_MAXINSNS; i++) {
		struct sock_filter *in = &p->code[i];
		size_t distance = p->n - i - 1;

		if (BPF_CLASS(in->code) != BPF_JMP || BPF_OP(in->code) == BPF_JA)
			continue;
		assert(distance <= JUMP_REAL_MAX); /* six conditions of five instructions, and a return */
		in->jt = in->jt == placeholder ? (uint8_t)distance : in->jt;
		in->jf = in->jf == placeholder ? (uint8_t)distance : in->jf;
	}
}

static uint32_t low(unsigned index)
{
	return (uint32_t)(offsetof(struct seccomp_data, args) + index * sizeof(uint64_t));
}

static uint32_t high(unsigned index)
{
	return low(index) + sizeof(uint32_t);
}

static void emit_load(struct policy_program *p, uint32_t offset)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void emit_test(struct policy_program *p, unsigned short compare, uint32_t k, uint8_t if_true, uint8_t if_false)
{
	emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | compare | BPF_K, k, if_true, if_false));
}

/* The word at an offset, masked, is `want`; otherwise the branch fails. A mask of 0 needs no code. */
static void emit_masked(struct policy_program *p, uint32_t offset, uint32_t mask, uint32_t want, bool is_loaded)
{
	if (mask == 0)
		return;
	if (!is_loaded)
		emit_load(p, offset);
	if (mask != UINT32_MAX)
		emit(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
	emit_test(p, BPF_JEQ, want, 0, JUMP_FAILS);
}

/* A comparison of 64 bits by halves; `above` and `below` say what it means that the high half decides. */
static void emit_order(struct policy_program *p, const struct policy_condition *c, uint8_t above, uint8_t below,
		       unsigned short compare, uint8_t if_true, uint8_t if_false)
{
	emit_load(p, high(c->index));
	emit_test(p, BPF_JGT, (uint32_t)(c->value >> 32), above, 0);
	emit_test(p, BPF_JEQ, (uint32_t)(c->value >> 32), 0, below);
	emit_load(p, low(c->index));
	emit_test(p, compare, (uint32_t)c->value, if_true, if_false);
}

static void emit_condition(struct policy_program *p, const struct policy_condition *c, bool is_loaded)
{
	size_t from = p->n;

	switch (c->op) {
	case POLICY_EQ:
		emit_masked(p, high(c->index), UINT32_MAX, (uint32_t)(c->value >> 32), false);
		emit_masked(p, low(c->index), UINT32_MAX, (uint32_t)c->value, false);
		break;
	case POLICY_MASKED_EQ:
		emit_masked(p, high(c->index), (uint32_t)(c->value >> 32), (uint32_t)(c->value_two >> 32), false);
		emit_masked(p, low(c->index), (uint32_t)c->value, (uint32_t)c->value_two, is_loaded);
		break;
	case POLICY_NE:
		emit_load(p, high(c->index));
		emit_test(p, BPF_JEQ, (uint32_t)(c->value >> 32), 0, JUMP_HOLDS);
		emit_load(p, low(c->index));
		emit_test(p, BPF_JEQ, (uint32_t)c->value, JUMP_FAILS, JUMP_HOLDS);
		break;
	case POLICY_GT:
		emit_order(p, c, JUMP_HOLDS, JUMP_FAILS, BPF_JGT, JUMP_HOLDS, JUMP_FAILS);
		break;
	case POLICY_GE:
		emit_order(p, c, JUMP_HOLDS, JUMP_FAILS, BPF_JGE, JUMP_HOLDS, JUMP_FAILS);
		break;
	case POLICY_LT:
		emit_order(p, c, JUMP_FAILS, JUMP_HOLDS, BPF_JGE, JUMP_FAILS, JUMP_HOLDS);
		break;
	case POLICY_LE:
		emit_order(p, c, JUMP_FAILS, JUMP_HOLDS, BPF_JGT, JUMP_FAILS, JUMP_HOLDS);
		break;
	case POLICY_OPS:
		break;
	}
	land(p, from, JUMP_HOLDS);
}

/* Is the low half of one argument all that a branch reads, unmasked? Then the next one finds it still loaded. */
static bool reads_one_word(const struct policy_branch *b)
{
	return b->n_conditions == 1 && b->conditions[0].op == POLICY_MASKED_EQ && b->conditions[0].value == UINT32_MAX;
}

/* Can this branch use the low half of `index` that the one before it left behind? */
static bool can_continue(const struct policy_branch *before, const struct policy_branch *b)
{
	const struct policy_condition *first = &b->conditions[0];

	return reads_one_word(before) && first->op == POLICY_MASKED_EQ && first->value <= UINT32_MAX &&
	       first->index == before->conditions[0].index;
}

static void emit_section(struct policy_program *p, const struct policy_call *call)
{
	for (size_t i = 0; i < call->n_branches; i++) {
		const struct policy_branch *b = &call->branches[i];
		size_t from = p->n;

		for (size_t j = 0; j < b->n_conditions; j++)
			emit_condition(p, &b->conditions[j],
				       i > 0 && j == 0 && can_continue(&call->branches[i - 1], b));
		emit_return(p, b->action);
		land(p, from, JUMP_FAILS);
	}
	emit_return(p, call->otherwise);
}

/* The section of each call with branches, and the jumps to it. */
static int finish_sections(const struct policy_rules *rules, struct policy_program *p, struct error *err)
{
	size_t frame = p->n;

	for (uint32_t nr = 0; nr < POLICY_NR_MAX; nr++) {
		size_t start = p->n, n_jumps = 0;

		if (rules->calls[nr].n_branches == 0)
			continue;
		for (size_t i = 0; i < frame; i++) {
			if (p->code[i].code != (BPF_RET | BPF_K) || p->code[i].k != (SECCOMP_RET_TRACE | nr))
				continue;
			p->code[i] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(start - i - 1));
			n_jumps++;
		}
		if (n_jumps == 0)
			return error_set(err, EPROTO, "libseccomp left '%s' out", rules->calls[nr].name);
		emit_section(p, &rules->calls[nr]);
	}
	if (p->n > BPF_MAXINSNS)
		return error_set(err, E2BIG, "the filter has %zu instructions, more than %d", p->n, BPF_MAXINSNS);
	return 0;
}

/* ---- proof ---- */

struct proof {
	const struct policy_rules *rules;
	const struct policy_filter *filter;
	struct error *err;
};

static int check_witness(const struct seccomp_data *call, void *arg)
{
	const struct proof *proof = arg;
	uint32_t want = policy_rules_decide(proof->rules, call, NULL), got = 0;
	char a[40], b[40];
	int r = policy_simulate(proof->filter->program, proof->filter->n_instructions, call, &got, NULL, proof->err);

	if (r < 0)
		return error_set(proof->err, EPROTO, "the filter is not valid at call %d", call->nr);
	if (got == want)
		return 0;
	return error_set(proof->err, EPROTO,
			 "the filter answers %s to call %d(0x%llx, 0x%llx, 0x%llx), and the rules say %s",
			 policy_action_name(got, a, sizeof(a)), call->nr, (unsigned long long)call->args[0],
			 (unsigned long long)call->args[1], (unsigned long long)call->args[2],
			 policy_action_name(want, b, sizeof(b)));
}

/* ---- together ---- */

struct policy_filter *policy_filter_new(const struct sock_filter *program, size_t n_instructions, unsigned flags)
{
	size_t bytes = n_instructions * sizeof(*program);
	struct policy_filter *filter = calloc(1, sizeof(*filter));
	struct sock_filter *code;

	assert(n_instructions > 0 && n_instructions <= BPF_MAXINSNS);
	code = malloc(bytes);
	if (!filter || !code) {
		free(filter);
		free(code);
		return NULL;
	}
	memcpy(code, program, bytes);
	filter->program = code;
	filter->n_instructions = (unsigned short)n_instructions;
	filter->install_flags = flags;
	filter->references = 1;
	return filter;
}

int policy_compile_rules(const struct policy_rules *rules, unsigned flags, struct policy_filter **ret,
			 struct error *err)
{
	cleanup_policy_filter struct policy_filter *filter = NULL;
	struct policy_program program = { .n = 0 };
	struct proof proof = { .rules = rules, .err = err };
	int r = make_frame(rules, &program, err);

	if (r == 0)
		r = finish_sections(rules, &program, err);
	if (r < 0)
		return r;
	filter = policy_filter_new(program.code, program.n, flags); /* not empty: export saw to it */
	if (!filter)
		return error_set(err, ENOMEM, "out of memory");
	proof.filter = filter;
	r = policy_rules_witness(rules, check_witness, &proof);
	if (r == -ENOMEM)
		return error_set(err, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	*ret = filter;
	filter = NULL;
	return 0;
}

int policy_compile(const struct policy_profile *profile, const struct policy_context *context,
		   struct policy_filter **ret, struct error *err)
{
	cleanup_policy_rules struct policy_rules *rules = NULL;
	int r = policy_rules_build(profile, context, &rules, err);

	if (r < 0)
		return r;
	r = policy_compile_rules(rules, profile->install_flags, ret, err);
	if (r < 0)
		(void)error_wrap(err, "%s", profile->origin); /* r has the code */
	return r;
}

struct policy_filter *policy_filter_ref(struct policy_filter *filter)
{
	filter->references++;
	return filter;
}

void policy_filter_unref(struct policy_filter *filter)
{
	if (!filter || --filter->references > 0)
		return;
	free(filter->program);
	free(filter);
}
