/*
 * A filter as libseccomp writes it, for those who go on working on it.
 *
 * Runs in: monitor, cubit-sandbox, the cubit command.
 */
#pragma once

#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>

struct error;

struct policy_program {
	struct sock_filter code[BPF_MAXINSNS];
	size_t n; /* compile.c counts past the array: the program is then too long */
};

/* What libseccomp makes of ctx, by way of a memfd. Returns 0 or -errno (-E2BIG: longer than the kernel takes). */
int policy_program_export(scmp_filter_ctx ctx, struct policy_program *ret, struct error *err);

/* r: a result of libseccomp, -errno. Returns it, with what and its words in err. */
int policy_library_error(struct error *err, int r, const char *what);
