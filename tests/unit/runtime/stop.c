/* Every limit below, at and over, and when to look again: by how many processors there are, and by what is announced. */
#include "runtime/stop.h"

#include <stddef.h>

#include "runtime/base/clock.h"
#include "tests/tap.h"

#define MS(n) ((n)*NS_PER_MS)
#define S(n)  ((n)*NS_PER_S)

enum { NOW_S = 1000 };

static const char *const causes[] = {
	[STOP_NONE] = "nothing",  [STOP_WALL] = "wall clock", [STOP_CPU] = "cpu time",
	[STOP_OUTPUT] = "output", [STOP_MEMORY] = "memory",
};

/* ---- causes ---- */

/* One counter of struct stop_seen against its limit. */
struct limit {
	const char *what;
	enum verdict_stop cause;
	size_t limit_at, seen_at; /* limit_at: SIZE_MAX where none is set */
	uint64_t limit;
	bool is_reached_at; /* at the limit; otherwise only over it */
};

/* clang-format off */
static const struct limit limits[] = {
	{ "wall clock", STOP_WALL,   offsetof(struct stop_limits, deadline_ns),  offsetof(struct stop_seen, now_ns),       S(NOW_S), true },
	{ "cpu time",   STOP_CPU,    offsetof(struct stop_limits, cpu_ns),       offsetof(struct stop_seen, cpu_ns),       S(2),     true },
	{ "output",     STOP_OUTPUT, offsetof(struct stop_limits, output_bytes), offsetof(struct stop_seen, output_bytes), 4096,     false },
	{ "memory",     STOP_MEMORY, SIZE_MAX,                                   offsetof(struct stop_seen, oom_kills),    1,        true },
};
/* clang-format on */

enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

static const uint64_t some_cpus[] = { 0, 1, 2, 64 };

static void set(void *of, size_t at, uint64_t value)
{
	if (at != SIZE_MAX)
		memcpy((char *)of + at, &value, sizeof(value));
}

static enum verdict_stop look_at(const struct limit *l, uint64_t value, bool has_limit, uint64_t n_cpus)
{
	struct stop_limits of = { .n_cpus = n_cpus };
	struct stop_seen seen = { .notice = STOP_NOT_TOLD };

	if (has_limit)
		set(&of, l->limit_at, l->limit);
	set(&seen, l->seen_at, value);
	return stop_look(&of, &seen, NULL);
}

static void every_limit(void)
{
	for (size_t i = 0; i < LIMITS; i++) {
		const struct limit *l = &limits[i];

		for (size_t c = 0; c < sizeof(some_cpus) / sizeof(some_cpus[0]); c++) {
			unsigned n = (unsigned)some_cpus[c];

			is_str(causes[look_at(l, l->limit - 1, true, n)], "nothing", "%s below its limit, %u cpus",
			       l->what, n);
			is_str(causes[look_at(l, l->limit, true, n)], causes[l->is_reached_at ? l->cause : STOP_NONE],
			       "%s at its limit, %u cpus", l->what, n);
			is_str(causes[look_at(l, l->limit + 1, true, n)], causes[l->cause],
			       "%s over its limit, %u cpus", l->what, n);
		}
		if (l->limit_at != SIZE_MAX)
			is_str(causes[look_at(l, l->limit + 1, false, 1)], "nothing", "%s without a limit", l->what);
	}
}

/* Over several at once: the first of the table is the cause. */
static void the_first_cause(void)
{
	struct stop_limits of = { 0 };
	struct stop_seen seen = { 0 };
	uint64_t look = 7;

	for (size_t i = LIMITS; i-- > 0;) {
		set(&of, limits[i].limit_at, limits[i].limit);
		set(&seen, limits[i].seen_at, limits[i].limit + 1);
		is_str(causes[stop_look(&of, &seen, &look)], causes[limits[i].cause], "%s comes before %s",
		       limits[i].what, i + 1 < LIMITS ? limits[i + 1].what : "nothing");
	}
	is_int(look, 7, "when it is over no next look is said");
}

/* ---- the next look ---- */

struct row {
	const char *what;
	struct stop_limits limits;
	uint64_t cpu_ns;
	enum stop_notice notice;
	uint64_t wait_ns; /* from now; CLOCK_NEVER: never */
};

/* clang-format off */
static const struct row rows[] = {
	{ "nothing is limited", { 0 }, 0, STOP_TOLD, CLOCK_NEVER },
	{ "a wall clock alone", { .deadline_ns = S(NOW_S + 60) }, 0, STOP_TOLD, S(60) },
	{ "output is looked at by who reads it", { .output_bytes = 1 }, 0, STOP_TOLD, CLOCK_NEVER },

	/* cpu time: not before all processors can have used it up */
	{ "10 s of cpu time, one processor", { .cpu_ns = S(10), .n_cpus = 1 }, 0, STOP_TOLD, S(10) },
	{ "... two", { .cpu_ns = S(10), .n_cpus = 2 }, 0, STOP_TOLD, S(5) },
	{ "... 64", { .cpu_ns = S(10), .n_cpus = 64 }, 0, STOP_TOLD, MS(10000) / 64 },
	{ "... as many as nobody has", { .cpu_ns = S(10), .n_cpus = 1000 }, 0, STOP_TOLD, MS(50) },
	{ "... an unknown number", { .cpu_ns = S(10) }, 0, STOP_TOLD, S(10) },
	{ "... two, half of it used", { .cpu_ns = S(10), .n_cpus = 2 }, S(5), STOP_TOLD, MS(2500) },
	{ "... two, 100 ms left", { .cpu_ns = S(10), .n_cpus = 2 }, MS(9900), STOP_TOLD, MS(50) },
	{ "... two, 99 ms left", { .cpu_ns = S(10), .n_cpus = 2 }, MS(9901), STOP_TOLD, MS(50) },
	{ "... two, 49 ms left: exact for one thread", { .cpu_ns = S(10), .n_cpus = 2 }, MS(9951), STOP_TOLD, MS(49) },
	{ "... 64, 1 ns left", { .cpu_ns = S(10), .n_cpus = 64 }, S(10) - 1, STOP_TOLD, 1 },
	{ "the wall clock is sooner", { .cpu_ns = S(10), .n_cpus = 1, .deadline_ns = S(NOW_S + 3) }, 0, STOP_TOLD, S(3) },
	{ "the wall clock is later", { .cpu_ns = S(10), .n_cpus = 1, .deadline_ns = S(NOW_S + 30) }, 0, STOP_TOLD, S(10) },

	/* ... nor before cpu.max gives it, two periods aside */
	{ "half a processor of two", { .cpu_ns = S(10), .cpus_milli = 500, .n_cpus = 2 }, 0, STOP_TOLD, MS(19800) },
	{ "one of 64", { .cpu_ns = S(10), .cpus_milli = 1000, .n_cpus = 64 }, 0, STOP_TOLD, MS(9800) },
	{ "100 of two: they are the bound", { .cpu_ns = S(10), .cpus_milli = 100000, .n_cpus = 2 }, 0, STOP_TOLD, S(5) },
	{ "a hundredth", { .cpu_ns = S(1), .cpus_milli = 10, .n_cpus = 2 }, 0, STOP_TOLD, MS(99800) },
	{ "less than a hundredth: longer periods", { .cpu_ns = S(9), .cpus_milli = 9, .n_cpus = 2 }, 0, STOP_TOLD, MS(998000) },
	{ "one, 201 ms left: within its slack", { .cpu_ns = S(10), .cpus_milli = 1000, .n_cpus = 64 }, MS(9799), STOP_TOLD, MS(50) },

	/* what v1 does not announce */
	{ "nothing is announced", { .deadline_ns = S(NOW_S + 60) }, 0, STOP_NOT_TOLD, MS(50) },
	{ "memory is announced", { .deadline_ns = S(NOW_S + 60) }, 0, STOP_TOLD_MOSTLY, MS(2000) },
	{ "memory ran out just now", { .deadline_ns = S(NOW_S + 60) }, 0, STOP_TOLD_OOM, MS(5) },
	{ "cpu time is sooner than memory", { .cpu_ns = S(1), .n_cpus = 1 }, 0, STOP_TOLD_MOSTLY, S(1) },
	{ "the deadline is sooner than memory", { .deadline_ns = S(NOW_S) + MS(3) }, 0, STOP_TOLD_OOM, MS(3) },
	{ "without a deadline", { 0 }, 0, STOP_NOT_TOLD, MS(50) },
};
/* clang-format on */

static void next_looks(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		const struct stop_seen seen = { .now_ns = S(NOW_S), .cpu_ns = r->cpu_ns, .notice = r->notice };
		uint64_t look = 0;

		is_str(causes[stop_look(&r->limits, &seen, &look)], "nothing", "%s: no limit is reached", r->what);
		is_int(look, r->wait_ns == CLOCK_NEVER ? CLOCK_NEVER : S(NOW_S) + r->wait_ns,
		       "%s: looked at again then", r->what);
	}
}

/* ---- output ---- */

static void output_room(void)
{
	const struct stop_limits some = { .output_bytes = 4096 }, none = { 0 };

	is_int(stop_output_room(&some, 0), 4096, "all of it");
	is_int(stop_output_room(&some, 4095), 1, "one byte below the limit");
	is_int(stop_output_room(&some, 4096), 0, "nothing at the limit");
	is_int(stop_output_room(&some, 4097), 0, "nor over it");
	ok(stop_output_room(&none, S(1)) == UINT64_MAX, "no limit, no end");
}

int main(void)
{
	every_limit();
	the_first_cause();
	next_looks();
	output_room();
	return done_testing();
}
