/* Names of architectures: see arch.h. */
#include "policies/arch.h"

#include <assert.h>
#include <seccomp.h>
#include <string.h>

#define ROW(c, s, ...)                                                                                                 \
	{                                                                                                              \
		.constant = "SCMP_ARCH_" #c, .short_name = (s), .token = SCMP_ARCH_##c, __VA_ARGS__                    \
	}
#define FOREIGN(c, s)                                                                                                  \
	{                                                                                                              \
		.constant = "SCMP_ARCH_" #c, .short_name = (s)                                                         \
	} /* newer than the libseccomp we build with */

/* clang-format off */
static const struct policy_arch rows[] = {
	ROW(X86_64,      "amd64", .is_target = true),
	ROW(AARCH64,     "arm64", .is_target = true),
	ROW(RISCV64,     "riscv64", .is_target = true),
	ROW(X86,         "x86"),
	ROW(X32,         "x32"),
	ROW(ARM,         "arm"),
	ROW(MIPS,        "mips"),
	ROW(MIPS64,      "mips64"),
	ROW(MIPS64N32,   "mips64n32"),
	ROW(MIPSEL,      "mipsel"),
	ROW(MIPSEL64,    "mipsel64"),
	ROW(MIPSEL64N32, "mipsel64n32"),
	ROW(PPC,         "ppc"),
	ROW(PPC64,       "ppc64"),
	ROW(PPC64LE,     "ppc64le"),
	ROW(S390,        "s390"),
	ROW(S390X,       "s390x"),
	ROW(PARISC,      "parisc"),
	ROW(PARISC64,    "parisc64"),
	FOREIGN(LOONGARCH64, "loong64"),
	FOREIGN(M68K,    "m68k"),
	FOREIGN(SH,      "sh"),
	FOREIGN(SHEB,    "sheb"),
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
static_assert((int)ROWS <= (int)POLICY_ARCH_MAX, "a set of architectures is a uint32_t");

int policy_arch_find(const char *name)
{
	for (int i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].constant, name) == 0 || strcmp(rows[i].short_name, name) == 0)
			return i;
	}
	return -1;
}

int policy_arch_find_token(uint32_t token)
{
	for (int i = 0; i < ROWS; i++) {
		if (token != 0 && rows[i].token == token)
			return i;
	}
	return -1;
}

const struct policy_arch *policy_arch_at(size_t row)
{
	return row < ROWS ? &rows[row] : NULL;
}
