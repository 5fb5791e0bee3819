/*
 * A profile made definite: which rule decides each system call, for one set of capabilities, kernel and architecture.
 * The filter is generated from this and checked against it; explaining, comparing and replaying read it too.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct policy_condition;
struct policy_profile;
struct policy_rule;
struct seccomp_data;

enum {
	POLICY_NR_MAX = 1024,           /* system call numbers we can hold; the kernel has some 470 */
	POLICY_BRANCHES_MAX = 1024,     /* conditional rules of one call; a filter has room for fewer */
	POLICY_BRANCHES_ALL_MAX = 2048, /* of all calls together: each takes two instructions or more */
	POLICY_X32_BIT = 0x40000000     /* in nr: the x32 entry of x86_64 */
};

/* What includes, excludes and names depend on. */
struct policy_context {
	uint64_t caps; /* set of 1 << CAP_*: what the payload may hold */
	unsigned kernel_major, kernel_minor;
	uint32_t arch; /* AUDIT_ARCH_*: 64 bits, little endian */
};

/* This machine: its architecture, its kernel by uname(2). Returns 0 or -errno (-ENOTSUP: we have no filters for it). */
int policy_context_host(uint64_t caps, struct policy_context *ret, struct error *err);

/* One alternative of a call: all of the conditions, then the action. */
struct policy_branch {
	const struct policy_condition *conditions;
	size_t n_conditions;
	uint32_t action;
	const struct policy_rule *rule;
};

struct policy_call {
	const char *name; /* NULL: no rule names this call */
	struct policy_branch
		*branches; /* a special case before what contains it; otherwise disjoint or of one action */
	size_t n_branches;
	uint32_t otherwise;             /* when no branch holds */
	const struct policy_rule *rule; /* that says so; NULL: the default action */
};

/* Read-only. Points into the profile, which must outlive it. */
struct policy_rules {
	struct policy_context context;
	uint32_t default_action;
	struct policy_call calls[POLICY_NR_MAX]; /* by number */
};

/*
 * ret  owned by the caller: policy_rules_free(). Untouched on failure.
 *
 * Returns 0, or -errno with err filled: -EINVAL two rules contradict each other, or the profile is for other
 * architectures; -E2BIG; -ENOTSUP the context's architecture; -ENOMEM.
 */
int policy_rules_build(const struct policy_profile *profile, const struct policy_context *context,
		       struct policy_rules **ret, struct error *err);

void policy_rules_free(struct policy_rules *rules);

static inline void policy_rules_free_(struct policy_rules **rules)
{
	policy_rules_free(*rules);
}

#define cleanup_policy_rules __attribute__((cleanup(policy_rules_free_)))

/*
 * What the profile says about a call: SECCOMP_RET_*. Another architecture and the x32 entry are
 * SECCOMP_RET_KILL_PROCESS. ret_rule: the rule that decides, borrowed from the profile; NULL when it is none; may
 * itself be NULL.
 */
uint32_t policy_rules_decide(const struct policy_rules *rules, const struct seccomp_data *call,
			     const struct policy_rule **ret_rule);

bool policy_condition_holds(const struct policy_condition *condition, uint64_t arg);

/*
 * Calls that stand for all others: every number, and for a call with conditions its arguments on, beside and far from
 * every boundary, with garbage in the bits a mask leaves out; numbers and architectures that are none of ours. A call with
 * very many combinations is sampled, always the same way. To compare two sets of rules, walk the witnesses of both.
 * fn returns 0 to go on; anything else ends the walk and is returned.
 */
typedef int policy_witness_fn(const struct seccomp_data *call, void *arg);
int policy_rules_witness(const struct policy_rules *rules, policy_witness_fn *fn, void *arg);
