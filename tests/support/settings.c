/* One maker of settings: see settings.h. */
#include "tests/support/settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "supervisor/settings.h"
#include "tests/support/id_slot.h"

#define MIB (UINT64_C(1) << 20)

static char *own(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

static char *below(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	return path;
}

void test_settings(struct settings *ret, const char *dir)
{
	*ret = (struct settings){
		.listen = own("127.0.0.1:0"),
		.run_dir = below(dir, "run"),
		.state_dir = below(dir, "state"),
		.user = own("61234"),
		.node = own("test"),
		.runtimes_dir = below(dir, "runtimes"),
		.policies_dir = below(dir, "policies"),
		.id_base = id_slot_base(),
		.id_count = ID_SLOT_COUNT,
		.admin_key = own(""),
		.log_level = own("warning"),
		.log_format = own("text"),
		.run_timeout_ns = 5 * NS_PER_S,
		.memory_bytes = 64 * MIB,
		.cpus_milli = 1000,
		.max_wall_ns = 60 * NS_PER_S,
		.max_memory = 512 * MIB,
		.max_cpus_milli = 4000,
		.max_processes = 128,
		.max_open_files = 4096,
		.max_output = 16 * MIB,
		.max_disk = 128 * MIB,
		.max_body = 16 * MIB,
		.slots = 4,
		.drain_ns = 2 * NS_PER_S,
		.pool_memory = 256 * MIB,
		.pool_per_class = 4,
		.guests = own(""),
		.origins = own(""),
		.trusted_proxies = own(""),
		.status_networks = own(""),
		.callback_networks = own(""),
		.redis_url = own(""),
		.redis_ca = own(""),
		.redis_streams = own(""),
		.redis_list = own(""),
		.redis_prefix = own(""),
		.redis_policies = own(""),
		.allow_policies = own(""),
	};
}
