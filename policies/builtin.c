/* The built-in profiles: see builtin.h. Their text is policies/profiles/NAME.json, by way of builtin_profiles.S. */
#include "policies/builtin.h"

#include <string.h>

#define TEXT(name) extern const char policy_profile_##name[], policy_profile_##name##_end[]
#define ROW(n, s, ...)                                                                                                 \
	{                                                                                                              \
		.name = #n, .summary = (s), .text = policy_profile_##n, .end = policy_profile_##n##_end, __VA_ARGS__   \
	}

TEXT(default);
TEXT(strict);
TEXT(net);
TEXT(build);
TEXT(unconfined);

/* clang-format off */
static const struct policy_builtin rows[] = {
	ROW(default, "programs of every kind as an ordinary user; local, TCP and UDP sockets"),
	ROW(strict, "computing: reads files, starts threads; no network, no second process, no writing to files"),
	ROW(net, "default, and what servers and network tools need on top"),
	ROW(build, "net, and what build steps do as root of their own user namespace"),
	ROW(unconfined, "everything but what endangers the host or its neighbours; for administrators", .is_admins = true),
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

const struct policy_builtin *policy_builtin_at(size_t i)
{
	return i < ROWS ? &rows[i] : NULL;
}

const struct policy_builtin *policy_builtin_find(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}
