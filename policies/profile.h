/*
 * A seccomp profile as written: the JSON that Docker and the OCI runtime specification share, read strictly.
 *
 *   defaultAction, defaultErrnoRet       what happens to a call that no rule decides; the errno also by name, defaultErrno
 *   architectures  or  archMap           where the profile is meant to be used
 *   flags                                SECCOMP_FILTER_FLAG_*
 *   syscalls[]                           names (or the old name), action, errnoRet or errno ("EPERM"), args[], comment,
 *                                        includes and excludes: {caps[], arches[], minKernel}
 *
 * Anything else is refused with its place: "my.json: syscalls[3].args[0].op: ..."; bad JSON with line and column.
 *
 * Which rule decides a call. Among the rules that name it, are selected by includes/excludes and whose conditions hold,
 * the most specific one: conditions are exceptions to the rule that contains them, and any condition is an exception
 * to a rule without. Of two rules without conditions for one call the first counts, as in libseccomp. Two rules that give
 * the same calls different actions under the same conditions, or that overlap with neither inside the other, are refused. (libseccomp, and so runc and Docker, agree as long as all conditions of a call are disjoint
 * or of one action, and silently drop conditions beside a rule without any.)
 *
 * Two points follow runc. A rule that tests the same argument twice is taken as one rule per condition, "or" instead of
 * the "and" that was probably meant: a warning says so. A call of a kernel newer than libseccomp is skipped, with a
 * warning, as published profiles name such; it gets the default action. Unlike there, a name that no kernel known here has
 * is refused: it is a mistake, and the rule would be none. A rule with an includes.minKernel beyond those may name what it wants.
 *
 * No process state is touched; nothing here blocks except reading the file.
 *
 * Runs in: monitor, cubit-sandbox, the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct json_t;

enum {
	POLICY_FILE_MAX = 1 << 20,
	POLICY_RULES_MAX = 4096,
	POLICY_CONDITIONS_MAX = 64, /* in one rule */
	POLICY_ERRNO_MAX = 4095,    /* the kernel's MAX_ERRNO */
	POLICY_ARGS = 6,            /* of a system call */
};

enum policy_op { POLICY_NE, POLICY_LT, POLICY_LE, POLICY_EQ, POLICY_GE, POLICY_GT, POLICY_MASKED_EQ, POLICY_OPS };

struct policy_condition {
	unsigned index; /* below POLICY_ARGS */
	enum policy_op op;
	uint64_t value;     /* compared as 64 bits; POLICY_MASKED_EQ: the mask */
	uint64_t value_two; /* POLICY_MASKED_EQ: what argument & mask must be; else 0 */
};

/* includes: every part that is present must hold. excludes: the rule falls away when any part holds. */
struct policy_when {
	uint64_t caps;   /* set of 1 << CAP_*; includes: all of them, excludes: any of them */
	uint32_t arches; /* set of 1 << row of policies/arch.h; 0: not mentioned */
	bool has_kernel;
	unsigned kernel_major, kernel_minor; /* this version or later */
};

struct policy_rule {
	size_t position;    /* syscalls[position] */
	const char **names; /* n_names of them, in the order written, known or not */
	size_t n_names;
	uint32_t action; /* SECCOMP_RET_*, with the errno in it */
	struct policy_condition *conditions;
	size_t n_conditions;
	bool is_split;       /* one argument is tested twice: each condition is a rule of its own */
	const char *comment; /* NULL: none */
	struct policy_when includes, excludes;
};

enum policy_warning_kind {
	POLICY_WARN_UNKNOWN_NAME, /* a well-formed name that this libseccomp does not know */
	POLICY_WARN_SPLIT,        /* is_split */
	POLICY_WARN_IGNORED,      /* accepted and without effect */
};

struct policy_warning {
	enum policy_warning_kind kind;
	char *text; /* "syscalls[3].names[7]: ..." */
};

/* Plain data, read-only once parsed. Strings live as long as the profile. */
struct policy_profile {
	char *origin; /* the file, or "builtin NAME" */
	char *text;   /* the document as read, text_size bytes and a NUL: the identity of the profile */
	size_t text_size;
	uint32_t default_action;
	uint32_t arches;        /* set of rows it is meant for; 0: any */
	unsigned install_flags; /* SECCOMP_FILTER_FLAG_* the installer should add */
	struct policy_rule *rules;
	size_t n_rules;
	struct policy_warning *warnings;
	size_t n_warnings;
	struct json_t *document; /* keeps the strings */
};

/*
 * text    borrowed, size bytes, no NUL needed
 * origin  what messages call it
 * ret     owned by the caller: policy_profile_free(). Untouched on failure.
 *
 * Returns 0, or -errno with err filled: -EINVAL what the document says is refused; -E2BIG it passes a bound; -ENOMEM.
 */
int policy_profile_parse(const char *text, size_t size, const char *origin, struct policy_profile **ret,
			 struct error *err);

/* The same from a file of the operator's; path as openat(2) resolves it from the working directory. Also its errors. */
int policy_profile_load(const char *path, struct policy_profile **ret, struct error *err);

void policy_profile_free(struct policy_profile *profile);

static inline void policy_profile_free_(struct policy_profile **profile)
{
	policy_profile_free(*profile);
}

#define cleanup_policy_profile __attribute__((cleanup(policy_profile_free_)))

/* "SCMP_ACT_ERRNO(38)" from an action. Writes at most size bytes, terminated; returns ret. */
const char *policy_action_name(uint32_t action, char *ret, size_t size);
