/* The check of what the kernel has once for everybody (runtime/budgets.h): see doctor.h. */
#include <inttypes.h>
#include <string.h>

#include "runtime/budgets.h"
#include "tools/cubit/doctor.h"

enum { FULL_PERCENT = 75 };

/* Of 100; 0 when it cannot be told. */
static unsigned percent(const struct budget *b, uint64_t *ret_used, uint64_t *ret_most)
{
	if (!budget_read(&b->used, ret_used) || !budget_read(&b->most, ret_most) || *ret_most == 0)
		return 0;
	return *ret_used >= *ret_most ? 100 : (unsigned)((double)*ret_used * 100 / (double)*ret_most);
}

void check_budgets(const struct check *c, struct finding *f)
{
	const struct budget *fullest = NULL;
	uint64_t used = 0, most = 0;
	unsigned highest = 0, n = 0;

	(void)c;
	for (size_t i = 0; i < budgets_count(); i++) {
		const struct budget *b = budget_at(i);
		uint64_t b_used, b_most = 0;
		unsigned p = percent(b, &b_used, &b_most);

		n += b_most != 0;
		if (b_most == 0 || (fullest && p <= highest))
			continue;
		fullest = b;
		highest = p;
		used = b_used;
		most = b_most;
	}
	if (!fullest) {
		finding_warning(f, "none of the budgets of this machine can be read below /proc");
	} else if (highest >= FULL_PERCENT) {
		finding_warning(f, "%s: %" PRIu64 " of %" PRIu64 " are taken, of this machine and all sandboxes",
				fullest->name, used, most);
		finding_remedy(f, "find who holds them, or raise %s; docs/budgets.md says what bounds sandboxes",
			       fullest->most.path);
	} else {
		finding_ok(f, "%u that can be read have room; the fullest: %s, %" PRIu64 " of %" PRIu64, n,
			   fullest->name, used, most);
	}
}
