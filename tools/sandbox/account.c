/*
 * Accounts for a static program, which has no name services: those of /etc/passwd, and no others. The only one who asks is
 * the check of CUBIT_USER in supervisor/settings.c, about an account that cubit-sandbox itself has no use for.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/cleanup.h"

struct passwd *getpwnam(const char *name)
{
	cleanup_file FILE *file = fopen("/etc/passwd", "re");
	struct passwd *account;

	if (!file)
		return NULL;
	while ((account = fgetpwent(file))) { /* NOLINT(concurrency-mt-unsafe): one thread */
		if (strcmp(account->pw_name, name) == 0)
			return account;
	}
	errno = 0; /* what getpwnam(3) says of one that is not there */
	return NULL;
}
