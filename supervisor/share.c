/* Parts, a reserve, and turns: see share.h. */
#include "supervisor/share.h"

#include <stddef.h>

uint64_t share_reserve(uint64_t total)
{
	return total / SHARE_RESERVE;
}

uint64_t share_part(uint64_t total, uint64_t used, bool is_root)
{
	uint64_t most = is_root ? total : total - share_reserve(total);
	uint64_t free = used < most ? most - used : 0;

	if (is_root)
		return free ? UINT64_MAX : 0;
	return free > UINT64_MAX / SHARE_FACTOR ? UINT64_MAX : free * SHARE_FACTOR;
}

static size_t slot_of(const struct share_turns *t, const char *owner)
{
	uint32_t h = 2166136261u ^ t->seed; /* FNV-1a */

	for (; *owner; owner++)
		h = (h ^ (unsigned char)*owner) * 16777619u;
	return (h ^ h >> 16) % SHARE_SLOTS;
}

uint64_t share_turn(const struct share_turns *t, const char *owner)
{
	return t->served[slot_of(t, owner)];
}

void share_serve(struct share_turns *t, const char *owner)
{
	t->served[slot_of(t, owner)] = ++t->n;
}
