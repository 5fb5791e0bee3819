/* Is a node able? Every cell of the table, how probes come later and later, and when a disk is too full. */
#include <errno.h>

#include "runtime/base/clock.h"
#include "supervisor/front/health.h"
#include "tests/tap.h"

/* One cell: from this state, with so many failures in a row in DOUBT, this event leads there and asks for that. */
struct cell {
	enum health_state from;
	enum health_event event;
	unsigned in_row;
	enum health_state to;
	unsigned todo;
};

/* clang-format off */
static const struct cell cells[] = {
	{ HEALTH_WELL,    HEALTH_FAILED,       0, HEALTH_DOUBT,   HEALTH_PROBE },
	{ HEALTH_WELL,    HEALTH_MADE,         0, HEALTH_WELL,    0 },
	{ HEALTH_WELL,    HEALTH_PROBE_FAILED, 0, HEALTH_WELL,    0 },
	{ HEALTH_WELL,    HEALTH_PROBE_MADE,   0, HEALTH_WELL,    0 },
	{ HEALTH_WELL,    HEALTH_DUE,          0, HEALTH_WELL,    0 },
	{ HEALTH_DOUBT,   HEALTH_FAILED,       1, HEALTH_DOUBT,   0 },
	{ HEALTH_DOUBT,   HEALTH_MADE,         1, HEALTH_DOUBT,   0 },
	{ HEALTH_DOUBT,   HEALTH_PROBE_FAILED, 1, HEALTH_DOUBT,   HEALTH_PROBE },
	{ HEALTH_DOUBT,   HEALTH_PROBE_FAILED, HEALTH_FEW - 1, HEALTH_UNABLE, HEALTH_BLAME },
	{ HEALTH_DOUBT,   HEALTH_PROBE_MADE,   1, HEALTH_WELL,    HEALTH_CLEAR },
	{ HEALTH_DOUBT,   HEALTH_DUE,          1, HEALTH_DOUBT,   0 },
	{ HEALTH_UNABLE,  HEALTH_FAILED,       0, HEALTH_UNABLE,  HEALTH_BLAME },
	{ HEALTH_UNABLE,  HEALTH_MADE,         0, HEALTH_WELL,    HEALTH_CLEAR },
	{ HEALTH_UNABLE,  HEALTH_PROBE_FAILED, 0, HEALTH_UNABLE,  0 },
	{ HEALTH_UNABLE,  HEALTH_PROBE_MADE,   0, HEALTH_UNABLE,  0 },
	{ HEALTH_UNABLE,  HEALTH_DUE,          0, HEALTH_PROBING, HEALTH_PROBE },
	{ HEALTH_PROBING, HEALTH_FAILED,       0, HEALTH_PROBING, HEALTH_BLAME },
	{ HEALTH_PROBING, HEALTH_MADE,         0, HEALTH_WELL,    HEALTH_CLEAR },
	{ HEALTH_PROBING, HEALTH_PROBE_FAILED, 0, HEALTH_UNABLE,  HEALTH_BLAME },
	{ HEALTH_PROBING, HEALTH_PROBE_MADE,   0, HEALTH_WELL,    HEALTH_CLEAR },
	{ HEALTH_PROBING, HEALTH_DUE,          0, HEALTH_PROBING, 0 },
};
/* clang-format on */

static const char *const events[HEALTH_EVENTS] = { "failed", "made", "probe failed", "probe made", "due" };

static struct error why(const char *text)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, EPERM, "%s", text);
	return e;
}

static void test_cells(void)
{
	const struct error e = why("no");
	bool is_walked[HEALTH_STATES][HEALTH_EVENTS] = { { false } };
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		const struct cell *c = &cells[i];
		struct health h = { .state = c->from, .in_row = c->in_row };
		bool is_bad = c->event == HEALTH_FAILED || c->event == HEALTH_PROBE_FAILED;
		unsigned todo = health_happen(&h, c->event, 1000, is_bad ? &e : NULL);

		is_walked[c->from][c->event] = true;
		ok(h.state == c->to && todo == c->todo, "%s, %s: %s", health_state_name(c->from), events[c->event],
		   health_state_name(c->to));
		ok(health_takes_work(&h) == (c->to == HEALTH_WELL) &&
			   health_is_unable(&h) == (c->to == HEALTH_UNABLE || c->to == HEALTH_PROBING),
		   "and it takes work only when it is well");
	}
	for (int s = 0; s < HEALTH_STATES; s++)
		for (int v = 0; v < HEALTH_EVENTS; v++)
			n += is_walked[s][v];
	is_int(n, HEALTH_STATES * HEALTH_EVENTS, "every cell was walked");
}

static void test_life(void)
{
	struct health h = { .state = HEALTH_WELL };
	const struct error first = why("of the job"), second = why("of the probe");
	uint64_t now = NS_PER_S, waited = 0;

	(void)health_happen(&h, HEALTH_FAILED, now, &first);
	is_str(h.why.text, "of the job", "the first reason is kept");
	(void)health_happen(&h, HEALTH_PROBE_FAILED, now, &second);
	(void)health_happen(&h, HEALTH_PROBE_FAILED, now, &second);
	is_int(h.state, HEALTH_UNABLE, "after a few failures it is unable");
	is_str(h.why.text, "of the probe", "for the reason of the probe");
	is_int(h.due_ns - now, HEALTH_AGAIN_MIN_MS * NS_PER_MS, "a probe is due soon");
	for (unsigned i = 0; i < 12; i++) {
		uint64_t wait = h.due_ns - now;

		ok(wait >= waited && wait <= HEALTH_AGAIN_MAX_MS * NS_PER_MS, "probe %u comes no sooner than the last",
		   i);
		waited = wait;
		now = h.due_ns;
		(void)health_happen(&h, HEALTH_DUE, now, NULL);
		(void)health_happen(&h, HEALTH_PROBE_FAILED, now, &second);
	}
	is_int(waited, HEALTH_AGAIN_MAX_MS * NS_PER_MS, "and never later than a bound");
	(void)health_happen(&h, HEALTH_DUE, now, NULL);
	is_int(health_happen(&h, HEALTH_PROBE_MADE, now, NULL), HEALTH_CLEAR, "one that is made");
	is_int(h.state, HEALTH_WELL, "makes it well");
	is_int(h.why.code, 0, "without a reason");
	(void)health_happen(&h, HEALTH_FAILED, now, &first);
	(void)health_happen(&h, HEALTH_PROBE_FAILED, now, &second);
	(void)health_happen(&h, HEALTH_PROBE_FAILED, now, &second);
	is_int(h.due_ns - now, HEALTH_AGAIN_MIN_MS * NS_PER_MS, "the next time it begins anew");
}

static struct health_disk disk;
static uint64_t now_ns;

/* mib free of so many, with bodies of at most 1 MiB. */
static bool low(uint64_t mib_free, uint64_t mib_total)
{
	const struct health_room room = { .free_bytes = mib_free << 20,
					  .total_bytes = mib_total << 20,
					  .largest_body = 1 << 20 };

	return health_look_at_disk(&disk, &room, now_ns);
}

static bool low_anew(uint64_t mib_free, uint64_t mib_total)
{
	disk = (struct health_disk){ .is_low = false };
	return low(mib_free, mib_total);
}

static void test_disk(void)
{
	const uint64_t large = 100000;

	ok(!low_anew(33, large), "33 MiB are enough of a large disk");
	ok(low_anew(31, large), "31 are not");
	ok(low(63, large), "it stays low until there is twice as much");
	ok(!low(65, large), "and then it is not");
	ok(!low(33, large), "and stays well until it is low once more");
	ok(!low_anew(5, 64), "of a small one it is a sixteenth");
	ok(low_anew(3, 64), "below that it is low");
	ok(low(7, 64), "until there is an eighth");
	ok(low_anew(0, 64), "none at all is low");
	ok(!low_anew(0, 0), "a file system without a size is not judged");
}

/* Whatever says that the disk is full must not take it back a moment later. */
static void test_disk_at_its_end(void)
{
	const struct health_room body = { .free_bytes = 100 << 20,
					  .total_bytes = UINT64_C(100) << 30,
					  .largest_body = 64 << 20 };
	struct health_room few = { .free_bytes = 1 << 30,
				   .total_bytes = 1 << 30,
				   .has_inodes = true,
				   .free_inodes = HEALTH_INODES_MIN - 1 },
			   failing = { .free_bytes = 1 << 30, .total_bytes = 1 << 30, .is_write_failing = true };

	disk = (struct health_disk){ .is_low = false };
	ok(health_look_at_disk(&disk, &body, 0), "where the largest body and its result do not fit it is low");
	ok(low_anew(1, 6), "a body may claim as much as a quarter of a tiny disk");
	ok(!low_anew(2, 6), "and no more");

	disk = (struct health_disk){ .is_low = false };
	ok(health_look_at_disk(&disk, &few, 0), "without inodes it is low");
	few.free_inodes = HEALTH_INODES_MIN + 1;
	ok(health_look_at_disk(&disk, &few, 0), "one more does not make it well");
	few.free_inodes = 2 * HEALTH_INODES_MIN;
	ok(!health_look_at_disk(&disk, &few, 0), "twice as many do");

	disk = (struct health_disk){ .is_low = false };
	ok(health_look_at_disk(&disk, &failing, 0), "a write that failed makes it low, whatever is said to be free");
	failing.is_write_failing = false;
	ok(health_look_at_disk(&disk, &failing, NS_PER_S), "one that did not fail does not take it back at once");
	ok(!health_look_at_disk(&disk, &failing, HEALTH_FULL_MS * NS_PER_MS), "a while without a failure does");
}

static void test_words(void)
{
	is_str(health_kind(EPERM), "permission", "an errno has a word");
	is_str(health_kind(12345), "other", "any has");
}

int main(void)
{
	test_cells();
	test_life();
	test_disk();
	test_disk_at_its_end();
	test_words();
	return done_testing();
}
