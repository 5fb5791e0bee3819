/* Finds a profile: see lookup.h. */
#include "policies/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policies/builtin.h"
#include "policies/profile.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"

static int no_such_profile(const char *name, struct error *err)
{
	cleanup_buf struct buf names = BUF_INIT;
	const struct policy_builtin *builtin;

	for (size_t i = 0; (builtin = policy_builtin_at(i)); i++)
		(void)buf_printf(&names, "%s%s", i ? ", " : "", builtin->name); /* a shorter list is no harm */
	return error_set(err, ENOENT, "no profile '%.64s': there are %s, or give a path with a '/' in it", name,
			 buf_str(&names));
}

int policy_lookup(const char *name, struct policy_profile **ret, struct error *err)
{
	const struct policy_builtin *builtin;
	char origin[64];

	if (strchr(name, '/'))
		return policy_profile_load(name, ret, err);
	builtin = policy_builtin_find(name);
	if (!builtin)
		return no_such_profile(name, err);
	(void)snprintf(origin, sizeof(origin), "builtin %s", builtin->name); /* our own short names */
	return policy_profile_parse(builtin->text, policy_builtin_size(builtin), origin, ret, err);
}
