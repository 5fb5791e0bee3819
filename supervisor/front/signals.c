/* Names of signals: see signals.h. */
#include "supervisor/front/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

int signal_number(const char *name)
{
	if (!name)
		return 0;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0)
			return i;
	}
	return 0;
}
