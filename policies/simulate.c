/* A classic BPF interpreter for seccomp: see simulate.h. */
#include "policies/simulate.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/error.h"

struct machine {
	const struct seccomp_data *call;
	uint32_t a, x, mem[BPF_MEMWORDS];
};

/* BPF_LD and BPF_LDX in the modes seccomp leaves: an aligned word of the call, its size, a constant, scratch memory. */
static int load(struct machine *m, const struct sock_filter *in, uint32_t *ret)
{
	switch (BPF_MODE(in->code)) {
	case BPF_ABS:
		if (BPF_CLASS(in->code) != BPF_LD || in->k % 4 != 0 || in->k >= sizeof(*m->call))
			return -EINVAL;
		memcpy(ret, (const char *)m->call + in->k, sizeof(*ret));
		return 0;
	case BPF_LEN:
		*ret = sizeof(*m->call);
		return 0;
	case BPF_IMM:
		*ret = in->k;
		return 0;
	case BPF_MEM:
		if (in->k >= BPF_MEMWORDS)
			return -EINVAL;
		*ret = m->mem[in->k];
		return 0;
	default:
		return -EINVAL;
	}
}

/* A constant shift must be below 32; one by X is taken modulo 32. */
static bool is_shift(const struct sock_filter *in)
{
	return BPF_SRC(in->code) == BPF_X || in->k < 32;
}

/* The kernel ends a classic program that divides by a zero X, with the answer 0. */
static bool divides_by_zero(const struct machine *m, const struct sock_filter *in)
{
	return in->code == (BPF_ALU | BPF_DIV | BPF_X) && m->x == 0;
}

static int arithmetic(struct machine *m, const struct sock_filter *in)
{
	uint32_t v = BPF_SRC(in->code) == BPF_X ? m->x : in->k;

	switch (BPF_OP(in->code)) {
	/* clang-format off */
	case BPF_ADD: m->a += v; return 0;
	case BPF_SUB: m->a -= v; return 0;
	case BPF_MUL: m->a *= v; return 0;
	case BPF_DIV: if (v == 0) return -EINVAL; m->a /= v; return 0; /* division by X: see divides_by_zero */
	case BPF_OR:  m->a |= v; return 0;
	case BPF_AND: m->a &= v; return 0;
	case BPF_XOR: m->a ^= v; return 0;
	case BPF_LSH: if (!is_shift(in)) return -EINVAL; m->a <<= v & 31; return 0;
	case BPF_RSH: if (!is_shift(in)) return -EINVAL; m->a >>= v & 31; return 0;
	case BPF_NEG: m->a = -m->a; return 0;
	default: return -EINVAL;
		/* clang-format on */
	}
}

/* How far to jump over the following instructions. */
static int jump(const struct machine *m, const struct sock_filter *in, uint32_t *ret)
{
	uint32_t v = BPF_SRC(in->code) == BPF_X ? m->x : in->k;

	switch (BPF_OP(in->code)) {
	/* clang-format off */
	case BPF_JA:   *ret = in->k; return 0;
	case BPF_JEQ:  *ret = m->a == v ? in->jt : in->jf; return 0;
	case BPF_JGT:  *ret = m->a > v ? in->jt : in->jf; return 0;
	case BPF_JGE:  *ret = m->a >= v ? in->jt : in->jf; return 0;
	case BPF_JSET: *ret = m->a & v ? in->jt : in->jf; return 0;
	default: return -EINVAL;
		/* clang-format on */
	}
}

static int step(struct machine *m, const struct sock_filter *in, uint32_t *skip)
{
	switch (BPF_CLASS(in->code)) {
	case BPF_LD:
		return BPF_SIZE(in->code) == BPF_W ? load(m, in, &m->a) : -EINVAL;
	case BPF_LDX:
		return BPF_SIZE(in->code) == BPF_W ? load(m, in, &m->x) : -EINVAL;
	case BPF_ST:
	case BPF_STX:
		if (in->k >= BPF_MEMWORDS)
			return -EINVAL;
		m->mem[in->k] = BPF_CLASS(in->code) == BPF_ST ? m->a : m->x;
		return 0;
	case BPF_ALU:
		return arithmetic(m, in);
	case BPF_JMP:
		return jump(m, in, skip);
	case BPF_MISC:
		if (BPF_MISCOP(in->code) == BPF_TAX)
			m->x = m->a;
		else
			m->a = m->x;
		return 0;
	default:
		return -EINVAL;
	}
}

int policy_simulate(const struct sock_filter *program, size_t n, const struct seccomp_data *call, uint32_t *ret,
		    unsigned *ret_steps, struct error *err)
{
	struct machine m = { .call = call };
	unsigned steps = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *in = &program[pc];
		uint32_t skip = 0;

		steps++;
		if (BPF_CLASS(in->code) == BPF_RET || divides_by_zero(&m, in)) {
			*ret = BPF_CLASS(in->code) != BPF_RET ? 0 : BPF_RVAL(in->code) == BPF_A ? m.a : in->k;
			if (ret_steps)
				*ret_steps = steps;
			return 0;
		}
		if (step(&m, in, &skip) < 0)
			return error_set(err, EINVAL,
					 "instruction %zu (code 0x%x, k 0x%x): not one a seccomp filter may have", pc,
					 in->code, in->k);
		if (skip >= n - pc)
			return error_set(err, EINVAL, "instruction %zu: jumps past the end", pc);
		pc += skip;
	}
	return error_set(err, EINVAL, "the program ends without an answer");
}
