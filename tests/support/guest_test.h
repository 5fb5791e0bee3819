/*
 * A test of one sandbox whose layer the test fills: the host, a first sandbox that makes what all share, the one that is
 * tested, and whether anything is left of it. What the main() of such a test is.
 * Included once a test, since TAP counts in each file (tests/tap.h).
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "runtime/base/error.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

typedef void guest_test_fn(void);

static inline struct sandbox *guest_test_begin_(struct test_host *h, size_t disk_bytes, const char *which)
{
	struct error err = ERROR_INIT;
	struct sandbox *s = NULL;
	struct sandbox_spec spec;

	test_host_spec(h, &spec);
	spec.disk.size_bytes = disk_bytes;
	need(test_sandbox(h, &spec, &s, &err) == 0, "%s becomes ready %s", which, err.text);
	return s;
}

/*
 * make_layer  fills h->layer_fd, before the first sandbox
 * disk_bytes  of each sandbox
 * tests       in this order, with g ready; ended by NULL
 * Returns the exit status of the test program: TAP's plan was printed, also where nothing can be tested.
 */
static inline int guest_test(struct test_host *h, struct guest *g, guest_test_fn *make_layer, size_t disk_bytes,
			     guest_test_fn *const tests[])
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before;
	struct sandbox *s;

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(h, 0, &err) == 0, "a sandbox host opens %s", err.text);
	make_layer();
	s = guest_test_begin_(h, disk_bytes, "a sandbox");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, NULL) == 0, "and is removed: the first one makes what all share");
	leftovers_count(h, &before);
	s = guest_test_begin_(h, disk_bytes, "a second one");
	guest_init(g, s);
	for (size_t i = 0; tests[i]; i++)
		tests[i]();
	is_str(guest_done(g), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(h, &before), "", "nothing is left of any of it");
	test_host_close(h);
	return done_testing();
}
