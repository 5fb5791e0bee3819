/* Kernel versions: see kernel_release.h. */
#include "tools/cubit/kernel_release.h"

#include <ctype.h>
#include <stdlib.h>

bool kernel_release_at_least(const char *release, unsigned major, unsigned minor)
{
	unsigned long have_major, have_minor;
	char *end;

	if (!isdigit((unsigned char)release[0]))
		return false;
	have_major = strtoul(release, &end, 10);
	if (end[0] != '.' || !isdigit((unsigned char)end[1]))
		return false;
	have_minor = strtoul(end + 1, NULL, 10);
	return have_major > major || (have_major == major && have_minor >= minor);
}
