/* Checks of what keeps programs from observing each other through the processor: see doctor.h. */
#include <errno.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "runtime/core_sched.h"
#include "supervisor/settings.h"
#include "tools/cubit/doctor.h"

enum { NUMBER_OF_WAYS = 3 };

/* clang-format off */
static const struct {
	unsigned long control;
	const char *name;
	bool is_asked_for; /* by every sandbox (runtime/init/setup.c) */
} controls[NUMBER_OF_WAYS] = {
	{ PR_SPEC_STORE_BYPASS,    "store bypass",    true },
	{ PR_SPEC_INDIRECT_BRANCH, "indirect branches", true },
	{ PR_SPEC_L1D_FLUSH,       "L1D flush",       false },
};
/* clang-format on */

/* What the kernel says of one control, prctl(2) PR_GET_SPECULATION_CTRL; *ret_open: programs speculate, and cannot do without. */
static const char *state_of(unsigned long control, bool *ret_open)
{
	int state = prctl(PR_GET_SPECULATION_CTRL, control, 0, 0, 0);

	*ret_open = false;
	if (state < 0)
		return errno == ENODEV ? "this processor has no such control" : "this kernel knows no such control";
	if (state == PR_SPEC_NOT_AFFECTED)
		return "this processor is not affected";
	if (state & PR_SPEC_PRCTL)
		return "a process can choose";
	if (state & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE))
		return "off for all processes";
	*ret_open = true;
	return "on for all processes, the choice is refused";
}

void check_speculation(const struct check *c, struct finding *f)
{
	char text[sizeof(f->detail)] = "", open_ones[64] = "";
	size_t used = 0;

	(void)c;
	for (size_t i = 0; i < NUMBER_OF_WAYS; i++) {
		bool is_open;
		const char *state = state_of(controls[i].control, &is_open);

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s: %s", i ? "; " : "", controls[i].name,
					 state);
		if (is_open && controls[i].is_asked_for)
			(void)snprintf(open_ones + strlen(open_ones), sizeof(open_ones) - strlen(open_ones), "%s%s",
				       open_ones[0] ? ", " : "", controls[i].name);
	}
	if (!open_ones[0]) {
		finding_ok(f, "%s", text);
		return;
	}
	finding_warning(f, "%s", text);
	finding_remedy(
		f,
		"sandboxes run without a restriction of %s: start the kernel with spec_store_bypass_disable=prctl and "
		"spectre_v2_user=prctl, or keep code that must not be observed off this machine",
		open_ones);
}

void check_core_sched(const struct check *c, struct finding *f)
{
	struct settings s;
	long long active = 1;
	bool is_asked_for = settings_load(&s, NULL) == 0; /* the check "settings" says what is wrong with them */

	(void)c;
	if (is_asked_for) {
		is_asked_for = s.core_sched;
		settings_done(&s);
	}
	switch (core_sched_probe()) {
	case CORE_SCHED_HAVE:
		finding_ok(f, "%s",
			   is_asked_for ? "on: no two sandboxes run on one core at the same moment"
					: "possible (CUBIT_CORE_SCHED=yes keeps two sandboxes off one core)");
		return;
	case CORE_SCHED_NO_THREADS:
		finding_ok(f, "needless: the kernel sees no core with two hardware threads");
		return;
	case CORE_SCHED_NO_KERNEL:
		break;
	}
	if (!is_asked_for && doctor_read_number("/sys/devices/system/cpu/smt/active", &active) && !active) {
		finding_ok(
			f,
			"needless: hardware threads are off (this kernel has no core scheduling, CONFIG_SCHED_CORE)");
		return;
	}
	if (is_asked_for)
		finding_missing(f,
				"CUBIT_CORE_SCHED is on, and this kernel has no core scheduling (CONFIG_SCHED_CORE)");
	else
		finding_warning(f, "this kernel has no core scheduling (CONFIG_SCHED_CORE)");
	finding_remedy(
		f, "%s",
		is_asked_for
			? "CUBIT_CORE_SCHED=no, and hardware threads off (nosmt), or another kernel"
			: "where sandboxes must not share a core: hardware threads off (nosmt), or another kernel");
}
