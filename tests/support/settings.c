/* One maker of settings: see settings.h. */
#include "tests/support/settings.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "supervisor/setting_row.h"
#include "supervisor/settings.h"
#include "tests/support/id_slot.h"

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
		.log_level = own("warning"),
		.log_format = own("text"),
		.run_timeout_ns = 5 * NS_PER_S,
		.memory_bytes = 64 * MEBI,
		.cpus_milli = 1000,
		.max_wall_ns = 60 * NS_PER_S,
		.max_memory = 512 * MEBI,
		.max_cpus_milli = 4000,
		.max_processes = 128,
		.max_open_files = 4096,
		.max_output = 16 * MEBI,
		.max_disk = 128 * MEBI,
		.max_body = 16 * MEBI,
		.slots = 4,
		.drain_ns = 2 * NS_PER_S,
		.pool_memory = 256 * MEBI,
		.pool_per_class = 4,
	};
	for (size_t i = 0; i < setting_count; i++) {
		char **text = setting_rows[i].kind == KIND_TEXT ? setting_text(ret, &setting_rows[i]) : NULL;

		if (text && !*text)
			*text = own(""); /* as the header of the settings says: never NULL */
	}
}
