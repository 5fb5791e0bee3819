/* Names of system calls: see call_name.h. */
#include "policies/call_name.h"

#include <ctype.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 };

/* What came after Linux 5.17, which the libseccomp of Debian 12 knows all of. Published profiles name such calls. */
/* clang-format off */
static const char *const newer[] = {
	"cachestat", "fchmodat2", "file_getattr", "file_setattr", "futex_requeue", "futex_wait", "futex_wake",
	"getxattrat", "listmount", "listns", "listxattrat", "lsm_get_self_attr", "lsm_list_modules",
	"lsm_set_self_attr", "map_shadow_stack", "mseal", "open_tree_attr", "removexattrat", "riscv_hwprobe",
	"set_mempolicy_home_node", "setxattrat", "statmount", "uprobe", "uretprobe",
};
/* clang-format on */

bool policy_call_is_name(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return text[n] == '\0' && n > 1 && n <= NAME_MAX_BYTES && !isdigit((unsigned char)text[0]);
}

enum policy_call_known policy_call_known(const char *name)
{
	if (seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR)
		return POLICY_CALL_KNOWN;
	for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++) {
		if (strcmp(newer[i], name) == 0)
			return POLICY_CALL_NEWER;
	}
	return POLICY_CALL_UNKNOWN;
}
