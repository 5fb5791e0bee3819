/* What the attack tests in C start from: a sandbox host, and a count of what is there before the first attack. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "runtime/base/error.h"
#include "runtime/sandbox.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

/* False when this test cannot run here: it has said so, and main returns. */
static inline bool attack_open(struct test_host *h, struct leftovers *before)
{
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;

	if (test_host_unfit()) {
		printf("1..0 # SKIP %s\n", test_host_unfit());
		return false;
	}
	need(test_host_open(h, 0, &err) == 0, "a sandbox host %s", err.text);
	/* the first sandbox makes what all share: the staging mount of older kernels */
	test_host_spec(h, &spec);
	need(test_sandbox(h, &spec, &s, &err) == 0 && sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0,
	     "a first sandbox comes and goes %s", err.text);
	leftovers_count(h, before);
	return true;
}
