/* Looks at a profile for its author: see check.h. */
#include "policies/check.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>

#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/error.h"

/* The program is started under its own filter, so a payload begins with this call. */
static void check_execve(const struct policy_rules *rules, void (*fn)(const char *text, void *arg), void *arg)
{
	const struct seccomp_data call = {
		.nr = seccomp_syscall_resolve_name_arch(rules->context.arch, "execve"),
		.arch = rules->context.arch,
		/* three pointers of a program, which no condition can mean */
		.args = { 0x7ffc00001000, 0x7ffc00002000, 0x7ffc00003000 },
	};
	uint32_t action = policy_rules_decide(rules, &call, NULL), what = action & SECCOMP_RET_ACTION_FULL;
	char name[40], text[120];

	if (what == SECCOMP_RET_ALLOW || what == SECCOMP_RET_LOG)
		return;
	(void)snprintf(text, sizeof(text), "refuses execve (%s): no program can start under it",
		       policy_action_name(action, name, sizeof(name)));
	fn(text, arg);
}

int policy_check(const struct policy_profile *profile, void (*fn)(const char *text, void *arg), void *arg,
		 struct error *err)
{
	cleanup_policy_rules struct policy_rules *rules = NULL;
	struct policy_context context;
	int r = policy_context_host(0, &context, err);

	for (size_t i = 0; i < profile->n_warnings; i++)
		fn(profile->warnings[i].text, arg);
	if (r == 0)
		r = policy_rules_build(profile, &context, &rules, err);
	if (r == 0)
		check_execve(rules, fn, arg);
	return r;
}
