/* Time: monotonic, saturating, and rounded up so that a poll never wakes too early. */
#include <limits.h>
#include <poll.h>

#include "runtime/base/clock.h"
#include "tests/tap.h"

static void now(void)
{
	uint64_t before = clock_now_ns(), after;
	bool is_monotonic = true;

	for (int i = 0; i < 1000; i++) {
		after = clock_now_ns();
		is_monotonic = is_monotonic && after >= before;
		before = after;
	}
	ok(before > 0 && is_monotonic, "time never goes back");
}

static void deadlines(void)
{
	uint64_t start = clock_now_ns(), deadline = clock_deadline_ns(5 * NS_PER_S);

	ok(deadline >= start + 5 * NS_PER_S && deadline < start + 6 * NS_PER_S, "a deadline is now plus the delta");
	ok(clock_deadline_ns(CLOCK_NEVER) == CLOCK_NEVER, "never stays never");
	ok(clock_deadline_ns(UINT64_MAX - 1) == CLOCK_NEVER, "what would wrap around is never");
}

static void for_poll(void)
{
	uint64_t deadline;
	int ms;

	is_int(clock_poll_ms(CLOCK_NEVER), -1, "never is -1 for poll");
	is_int(clock_poll_ms(0), 0, "the past is 0");
	is_int(clock_poll_ms(clock_now_ns()), 0, "now is 0");
	is_int(clock_poll_ms(clock_deadline_ns(1)) <= 1, 1, "a nanosecond is at most a millisecond");
	ms = clock_poll_ms(clock_deadline_ns(10 * NS_PER_S));
	ok(ms > 9000 && ms <= 10000, "ten seconds are ten thousand milliseconds");
	is_int(clock_poll_ms(clock_now_ns() + (uint64_t)INT_MAX * NS_PER_MS * 2), INT_MAX, "a far deadline saturates");
	is_int(clock_poll_ms(CLOCK_NEVER - 1), INT_MAX, "the farthest one too");

	deadline = clock_deadline_ns(3 * NS_PER_MS + 1);
	while ((ms = clock_poll_ms(deadline)) > 0)
		(void)poll(NULL, 0, ms); /* an early wake-up by a signal is what the loop is for */
	ok(clock_now_ns() >= deadline, "0 milliseconds to go means that the deadline has passed");
}

int main(void)
{
	now();
	deadlines();
	for_poll();
	return done_testing();
}
