/* Our own capabilities: see capability.h. */
#include "runtime/capability.h"

#include <sys/capability.h>

bool capability_is_effective(int cap)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t now = cap_get_proc();

	if (now && cap_get_flag(now, cap, CAP_EFFECTIVE, &value) < 0)
		value = CAP_CLEAR; /* one that this kernel does not know is held by nobody */
	(void)cap_free(now);       /* NULL is refused, and nothing else */
	return value == CAP_SET;
}
