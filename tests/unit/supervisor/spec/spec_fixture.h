/* What tests of requests share: a node with ceilings, and the languages that are built in (runtime_set_load() in main). */
#pragma once

#include "images/languages/runtime_set.h"
#include "runtime/base/clock.h"
#include "supervisor/settings.h"

static struct settings settings = {
	.run_timeout_ns = 5000 * NS_PER_MS,
	.memory_bytes = 256 << 20,
	.cpus_milli = 1000,
	.max_wall_ns = 60 * NS_PER_S,
	.max_memory = 1 << 30,
	.max_cpus_milli = 2500,
	.max_processes = 512,
	.max_open_files = 4096,
	.max_output = 16 << 20,
	.max_disk = 1 << 30,
	.max_body = 16 << 20,
	.retention_ns = 3600 * NS_PER_S,
};
static struct runtime_set *runtimes;
