/*
 * From a profile to the program that the kernel runs: seccomp(2), classic BPF.
 *
 * libseccomp makes the frame: check of the architecture (anything else, and the x32 entry, kills the process) and a
 * binary tree over the call numbers. Calls with conditions are sections of our own behind it, because libseccomp has
 * no way to say "all ioctls but these two": it drops a condition beside a rule without any, keeps one comparison per
 * argument, and compares all 64 bits where the kernel reads 32. The finished program is then run on every witness of
 * policy_rules_witness() and must say what the rules say; otherwise it is not handed out. (CVE-2019-9893 was a
 * generator that got comparisons wrong.)
 *
 * For the monitor, outside the way of a start: milliseconds, no other process, a memfd as scratch. One thread at a
 * time.
 *
 * Runs in: monitor, cubit-sandbox, the cubit command. No privilege is needed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct policy_context;
struct policy_profile;
struct policy_rules;
struct sock_filter;

/* A finished program, read-only, counted by references. It keeps no pointer into the profile. */
struct policy_filter {
	struct sock_filter *program; /* for struct sock_fprog */
	unsigned short n_instructions;
	unsigned install_flags; /* SECCOMP_FILTER_FLAG_*, for seccomp(2) */
	unsigned references;    /* policy_filter_ref, policy_filter_unref */
};

/*
 * ret  owned by the caller, one reference: policy_filter_unref(). Untouched on failure.
 *
 * No_new_privs is not part of it: whoever installs the filter sets it before.
 *
 * Returns 0, or -errno with err filled: those of policy_rules_build(); -E2BIG more than BPF_MAXINSNS instructions;
 * -EPROTO the program does not say what the rules say (our fault or libseccomp's); others from libseccomp.
 */
int policy_compile(const struct policy_profile *profile, const struct policy_context *context,
		   struct policy_filter **ret, struct error *err);

/* The same from rules already built. flags: install_flags of the profile. */
int policy_compile_rules(const struct policy_rules *rules, unsigned flags, struct policy_filter **ret,
			 struct error *err);

/* A filter of a finished program, which is copied: 1 to BPF_MAXINSNS instructions. NULL: out of memory. */
struct policy_filter *policy_filter_new(const struct sock_filter *program, size_t n_instructions, unsigned flags);

struct policy_filter *policy_filter_ref(struct policy_filter *filter);
void policy_filter_unref(struct policy_filter *filter); /* the last one frees; NULL does nothing */

static inline void policy_filter_unref_(struct policy_filter **filter)
{
	policy_filter_unref(*filter);
}

#define cleanup_policy_filter __attribute__((cleanup(policy_filter_unref_)))
