/*
 * The built-in profiles as finished programs, so that nothing is compiled or proven when Cubit starts.
 *
 * The Makefile builds and runs policies/embed/main.c, which compiles every built-in profile for every architecture that
 * we have filters for, with policy_compile() and so with its proof, and writes them as C. A profile whose rules depend on
 * capabilities or on the kernel has no program here: it is compiled where it is used.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct policy_context;
struct policy_filter;
struct policy_profile;
struct sock_filter;

struct policy_embedded {
	const char *name; /* of the built-in profile */
	uint32_t arch;    /* AUDIT_ARCH_* */
	uint64_t stamp;   /* policy_stamp() of its text when it was compiled */
	unsigned install_flags;
	unsigned short n_instructions;
	const struct sock_filter *program;
};

/* Written by policies/embed/main.c; the last has no name. */
extern const struct policy_embedded policy_embedded_programs[];

/* By name and architecture; NULL when there is none. */
const struct policy_embedded *policy_embedded_find(const char *name, uint32_t arch);

/*
 * The filter of a program that was embedded for this text.
 *
 * ret  owned by the caller, one reference: policy_filter_unref(). Untouched on failure.
 *
 * Returns 0, or -errno with err filled: -ESTALE it was made from another text, by another compiler or with another
 * libseccomp, so the text must be compiled; -ENOMEM.
 */
int policy_embedded_filter(const struct policy_embedded *embedded, const char *text, size_t size,
			   struct policy_filter **ret, struct error *err);

/* The filter of a profile: the embedded one where it has the text of a built-in one, else policy_compile(). */
int policy_filter_make(const struct policy_profile *profile, const struct policy_context *context,
		       struct policy_filter **ret, struct error *err);
