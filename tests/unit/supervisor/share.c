/* How budgets are shared: parts, the reserve of root, turns. */
#include <stdlib.h>

#include "supervisor/share.h"
#include "tests/tap.h"

/* n owners that ask in turn until none of them gets any more. */
static uint64_t fill(uint64_t total, size_t n, uint64_t *held)
{
	uint64_t used = 0, before;

	do {
		before = used;
		for (size_t i = 0; i < n; i++) {
			if (!share_allows(total, used, held[i], false))
				continue;
			held[i]++;
			used++;
		}
	} while (used > before);
	return used;
}

static void test_parts(void)
{
	enum { TOTAL = 1600, RESERVE = 100 };
	uint64_t one[1] = { 0 }, two[2] = { 0 }, ten[10] = { 0 }, used;

	used = fill(TOTAL, 1, one);
	is_int((int)one[0], 1125, "an owner that is alone gets three quarters of what is not kept for root");
	ok(share_allows(TOTAL, used, 0, false), "and whoever comes next is let in");
	(void)fill(TOTAL, 2, two);
	ok(two[0] >= 640 && two[0] <= 645 && two[1] >= 640 && two[1] <= 645, "two have three sevenths each");
	used = fill(TOTAL, 10, ten);
	ok(ten[0] >= 143 && ten[9] >= 143, "ten have as much as each other");
	ok(share_allows(TOTAL, used, 0, false), "and the eleventh is let in");
}

static void test_greedy_first(void)
{
	uint64_t greedy[1] = { 0 }, used = fill(1600, 1, greedy), other = 0;

	while (share_allows(1600, used, other, false)) {
		other++;
		used++;
	}
	ok(other >= 275, "who comes after a greedy one still gets %d of 1500", (int)other);
	ok(!share_allows(1600, used, greedy[0], false), "while the greedy one gets no more");
}

static void test_reserve(void)
{
	is_int((int)share_reserve(4096), 256, "a sixteenth is root's");
	is_int((int)share_reserve(2), 0, "of very little nothing is");
	ok(!share_allows(4096, 4096 - 256, 0, false), "nobody else gets into the reserve");
	ok(share_allows(4096, 4096 - 256, 4000, true), "root does, however much it holds");
	ok(share_allows(4096, 4095, 0, true), "up to the last one");
	ok(!share_allows(4096, 4096, 0, true), "and not beyond");
	ok(!share_allows(4096, 5000, 0, false) && !share_allows(4096, 5000, 0, true), "more than full is full");
	ok(share_allows(UINT64_MAX, 0, UINT64_MAX - 1, false), "a budget without a bound has parts without one");
	ok(share_allows(1, 0, 0, false) && !share_allows(1, 1, 0, false), "a budget of one can be used");
}

static void test_turns(void)
{
	static struct share_turns t;

	is_int((int)share_turn(&t, "ann"), 0, "nobody was served yet");
	share_serve(&t, "ann");
	share_serve(&t, "bob");
	ok(share_turn(&t, "ann") < share_turn(&t, "bob"), "ann was served before bob");
	ok(share_turn(&t, "eve") < share_turn(&t, "ann"), "who never was comes first");
	share_serve(&t, "ann");
	ok(share_turn(&t, "bob") < share_turn(&t, "ann"), "now it is bob's turn");
}

int main(void)
{
	test_parts();
	test_greedy_first();
	test_reserve();
	test_turns();
	return done_testing();
}
