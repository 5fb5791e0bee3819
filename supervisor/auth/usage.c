/* What owners use: see usage.h. */
#include "supervisor/auth/usage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

void usage_table_done(struct usage_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->all[i]);
	free((void *)t->all);
	*t = (struct usage_table){ .n = 0 };
}

static size_t lower_bound(const struct usage_table *t, const char *owner)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(t->all[middle]->owner, owner) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct usage *usage_find(const struct usage_table *t, const char *owner)
{
	size_t i = lower_bound(t, owner);

	return i < t->n && strcmp(t->all[i]->owner, owner) == 0 ? t->all[i] : NULL;
}

static void make_room(struct usage_table *t)
{
	if (t->n < t->room)
		return;
	t->room = t->room ? 2 * t->room : 16;
	t->all = alloc_again((void *)t->all, t->room, sizeof(struct usage *));
}

static struct usage *add(struct usage_table *t, size_t i, const char *owner, uint64_t day)
{
	struct usage *u = alloc_zeroed(1, sizeof(*u));

	make_room(t);
	(void)text_copy(u->owner, sizeof(u->owner), owner);
	u->day = day;
	memmove(t->all + i + 1, t->all + i, (t->n - i) * sizeof(struct usage *));
	t->all[i] = u;
	t->n++;
	return u;
}

/* A day that ended in between was written by whoever changed it last; what comes late counts for the new one. */
struct usage *usage_get(struct usage_table *t, const char *owner, uint64_t day)
{
	size_t i = lower_bound(t, owner);
	struct usage *u;

	if (i == t->n || strcmp(t->all[i]->owner, owner) != 0)
		return add(t, i, owner, day);
	u = t->all[i];
	if (u->day < day) { /* a clock that is set back does not give a second day */
		u->day = day;
		u->jobs = u->cpu_ms = u->bytes = 0;
	}
	return u;
}

void usage_forget(struct usage_table *t, uint64_t day)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct usage *u = t->all[i];

		if (u->jobs_now == 0 && u->day < day && !u->is_dirty)
			free(u);
		else
			t->all[kept++] = u;
	}
	t->n = kept;
}

int usage_check(const struct usage *u, const struct auth_quota *quota, uint64_t now_ms, unsigned *ret_retry_s,
		struct error *err)
{
	unsigned until_midnight = (unsigned)((86400000 - now_ms % 86400000) / 1000 + 1);

	if (quota->jobs && u->jobs_now >= quota->jobs) {
		*ret_retry_s = 1;
		return error_set(err, EDQUOT, "jobs: %" PRIu64 " of %" PRIu64 " are waiting or running", u->jobs_now,
				 quota->jobs);
	}
	if (quota->cpu_ms_per_day && u->cpu_ms >= quota->cpu_ms_per_day) {
		*ret_retry_s = until_midnight;
		return error_set(err, EDQUOT,
				 "cpu_ms_per_day: %" PRIu64 " of %" PRIu64 " are used up until midnight UTC", u->cpu_ms,
				 quota->cpu_ms_per_day);
	}
	if (quota->bytes_per_day && u->bytes >= quota->bytes_per_day) {
		*ret_retry_s = until_midnight;
		return error_set(err, EDQUOT,
				 "bytes_per_day: %" PRIu64 " of %" PRIu64 " are used up until midnight UTC", u->bytes,
				 quota->bytes_per_day);
	}
	return 0;
}
