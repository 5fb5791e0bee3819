/*
 * The architectures a profile may name, in the two spellings that are in use: the OCI constant (SCMP_ARCH_X86_64) and
 * the short name that "includes" and "excludes" carry (amd64).
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy_arch {
	const char *constant;   /* "SCMP_ARCH_X86_64" */
	const char *short_name; /* "amd64" */
	uint32_t token;         /* AUDIT_ARCH_*, what struct seccomp_data carries; 0 when this libseccomp has none */
	bool is_target;         /* we compile for it: 64 bits, little endian */
};

enum { POLICY_ARCH_MAX = 31 }; /* rows fit a uint32_t set, whose last bit is */
#define POLICY_ARCH_UNKNOWN (UINT32_C(1) << 31)

/* The row of a name in either spelling, as an index into policy_arch_at, or -1. */
int policy_arch_find(const char *name);

/* The row of an AUDIT_ARCH_* token, or -1. */
int policy_arch_find_token(uint32_t token);

/* A row; NULL past the last one. */
const struct policy_arch *policy_arch_at(size_t row);
