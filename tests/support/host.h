/*
 * What every test that makes sandboxes starts from: a sandbox host with a run directory and id ranges of its own, the
 * compiled default policy, and a root file system with nothing but the payload in it.
 *
 * Tests run beside each other: ids of sandboxes carry our pid, id ranges are chosen by it, and the process moves into a
 * network namespace of its own, so that what others make is not taken for ours.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/id_slot.h"

struct error;
struct policy_filter;
struct sandbox;
struct sandbox_host;
struct sandbox_spec;

enum { TEST_ID_COUNT = ID_SLOT_COUNT, TEST_READY_MS = 60000, TEST_DESTROY_MS = 30000 };

struct test_host {
	struct sandbox_host *host;
	struct policy_filter *filter;
	char dir[512];     /* CUBIT_TEST_DIR */
	char run_dir[520]; /* below it */
	uint32_t id_base;
	int layer_fd;    /* the root file system: /bin/payload */
	char prefix[24]; /* of all ids made by test_host_spec() */
	char id[48];     /* the latest */
	unsigned n_ids;
	int guard_fd; /* its end tells the guard that we are gone */
	int guard_pid;
};

/* Why this test cannot run here, or NULL. Goes into `1..0 # SKIP`. */
const char *test_host_unfit(void);

/*
 * id_count 0: TEST_ID_COUNT. Returns 0 or -errno. Once a process; test_host_reopen() gives another sandbox host on the
 * same run directory, and layer_fd anew.
 */
int test_host_open(struct test_host *ret, uint32_t id_count, struct error *err);
int test_host_reopen(struct test_host *h, uint32_t id_count, struct error *err);
void test_host_close(struct test_host *h);

/* Defaults, the payload's layer, the policy, and an id not used before. Borrows from h. */
void test_host_spec(struct test_host *h, struct sandbox_spec *ret);

/* Make a sandbox of spec and wait until it is ready. Returns 0 with ret owned, or -errno with nothing left. */
int test_sandbox(struct test_host *h, const struct sandbox_spec *spec, struct sandbox **ret, struct error *err);

/* Make a directory below CUBIT_TEST_DIR and open it; -1 on failure. For layers and disks; h must be open. */
int test_host_mkdir(const struct test_host *h, const char *name);

bool test_is_guest(void);
