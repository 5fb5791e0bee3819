/* The table of facts and the loop over it: see cgroup_facts.h. */
#include "runtime/cgroup/cgroup_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fd.h"

enum { FILE_MAX = 16384 }; /* io.stat has a line for each device; the other files are far smaller */

/* ---- the forms that numbers come in ---------------------------------------------------------------------------- */

typedef uint64_t parse_fn(const char *text, const char *key);

/* Digits at p, or CGROUP_UNKNOWN. */
static uint64_t digits(const char *p)
{
	uint64_t n = 0;

	if (*p < '0' || *p > '9')
		return CGROUP_UNKNOWN;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > (CGROUP_UNKNOWN - 9) / 10)
			return CGROUP_UNKNOWN;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	return n;
}

/* The file is one number. */
static uint64_t whole(const char *text, const char *key)
{
	(void)key;
	return digits(text);
}

uint64_t cgroup_facts_keyed(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return digits(p + n + 1);
	return CGROUP_UNKNOWN;
}

/* A number for each device after the same key, "8:0 rbytes=12 wbytes=3" or "8:0 Read 12": their sum, 0 of none. */
static uint64_t sum(const char *text, const char *key)
{
	size_t n = strlen(key);
	uint64_t total = 0;

	for (const char *p = text; (p = strstr(p, key)); p += n)
		if (digits(p + n) != CGROUP_UNKNOWN)
			total += digits(p + n);
	return total;
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

struct fact {
	size_t offset; /* in struct cgroup_stats */
	enum cgroup_controller controller;
	enum cgroup_version version;
	const char *file;
	parse_fn *parse;
	const char *key;
	uint64_t scale; /* to the unit of the field */
};

#define FACT(field) offsetof(struct cgroup_stats, field)
#define V1_IO       "blkio.throttle.io_service_bytes_recursive"

/*
 * Rows of one file stand together: it is then read once. No row for memory_max_hits on v1: memory.failcnt and
 * memory.memsw.failcnt stay 0 on kernel 6.18 even after an oom kill, and a wrong 0 is worse than none.
 */
/* clang-format off */
static const struct fact facts[] = {
	{ FACT(cpu_usage_ns),      CGROUP_CPUACCT, CGROUP_V2, "cpu.stat",                   cgroup_facts_keyed, "usage_usec", NS_PER_US },
	{ FACT(cpu_user_ns),       CGROUP_CPUACCT, CGROUP_V2, "cpu.stat",                   cgroup_facts_keyed, "user_usec", NS_PER_US },
	{ FACT(cpu_system_ns),     CGROUP_CPUACCT, CGROUP_V2, "cpu.stat",                   cgroup_facts_keyed, "system_usec", NS_PER_US },
	{ FACT(cpu_throttled_ns),  CGROUP_CPU,     CGROUP_V2, "cpu.stat",                   cgroup_facts_keyed, "throttled_usec", NS_PER_US },
	{ FACT(cpu_usage_ns),      CGROUP_CPUACCT, CGROUP_V1, "cpuacct.usage",              whole, NULL, 1 },
	{ FACT(cpu_user_ns),       CGROUP_CPUACCT, CGROUP_V1, "cpuacct.usage_user",         whole, NULL, 1 },
	{ FACT(cpu_system_ns),     CGROUP_CPUACCT, CGROUP_V1, "cpuacct.usage_sys",          whole, NULL, 1 },
	{ FACT(cpu_throttled_ns),  CGROUP_CPU,     CGROUP_V1, "cpu.stat",                   cgroup_facts_keyed, "throttled_time", 1 },
	{ FACT(memory_now_bytes),  CGROUP_MEMORY,  CGROUP_V2, "memory.current",             whole, NULL, 1 },
	{ FACT(memory_peak_bytes), CGROUP_MEMORY,  CGROUP_V2, "memory.peak",                whole, NULL, 1 }, /* since 5.19 */
	{ FACT(oom_kills),         CGROUP_MEMORY,  CGROUP_V2, "memory.events",              cgroup_facts_keyed, "oom_kill", 1 },
	{ FACT(ooms),              CGROUP_MEMORY,  CGROUP_V2, "memory.events",              cgroup_facts_keyed, "oom", 1 },
	{ FACT(memory_max_hits),   CGROUP_MEMORY,  CGROUP_V2, "memory.events",              cgroup_facts_keyed, "max", 1 },
	{ FACT(memory_now_bytes),  CGROUP_MEMORY,  CGROUP_V1, "memory.usage_in_bytes",      whole, NULL, 1 },
	{ FACT(memory_peak_bytes), CGROUP_MEMORY,  CGROUP_V1, "memory.max_usage_in_bytes",  whole, NULL, 1 },
	{ FACT(oom_kills),         CGROUP_MEMORY,  CGROUP_V1, "memory.oom_control",         cgroup_facts_keyed, "oom_kill", 1 },
	{ FACT(pids_now),          CGROUP_PIDS,    CGROUP_V2, "pids.current",               whole, NULL, 1 },
	{ FACT(pids_peak),         CGROUP_PIDS,    CGROUP_V2, "pids.peak",                  whole, NULL, 1 }, /* since 6.6 */
	{ FACT(pids_max_hits),     CGROUP_PIDS,    CGROUP_V2, "pids.events",                cgroup_facts_keyed, "max", 1 },
	{ FACT(pids_now),          CGROUP_PIDS,    CGROUP_V1, "pids.current",               whole, NULL, 1 },
	{ FACT(pids_peak),         CGROUP_PIDS,    CGROUP_V1, "pids.peak",                  whole, NULL, 1 },
	{ FACT(pids_max_hits),     CGROUP_PIDS,    CGROUP_V1, "pids.events",                cgroup_facts_keyed, "max", 1 },
	{ FACT(io_read_bytes),     CGROUP_IO,      CGROUP_V2, "io.stat",                    sum, " rbytes=", 1 },
	{ FACT(io_write_bytes),    CGROUP_IO,      CGROUP_V2, "io.stat",                    sum, " wbytes=", 1 },
	{ FACT(io_read_bytes),     CGROUP_IO,      CGROUP_V1, V1_IO,                        sum, " Read ", 1 },
	{ FACT(io_write_bytes),    CGROUP_IO,      CGROUP_V1, V1_IO,                        sum, " Write ", 1 },
};
/* clang-format on */

enum { FACTS = sizeof(facts) / sizeof(*facts) };

/* ---- reading -------------------------------------------------------------------------------------------------- */

/*
 * A small kernel file as a text on the stack: these are read at the end of every job. False when it cannot be. The kernel
 * makes each of them in one piece, and the first read(2) gives all of it that fits.
 */
static bool read_small(int dir_fd, const char *file, char text[FILE_MAX])
{
	cleanup_fd int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	do {
		n = read(fd, text, FILE_MAX - 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

static uint64_t read_fact(const struct fact *f, const char *text)
{
	uint64_t value = f->parse(text, f->key);

	return value > (CGROUP_UNKNOWN - 1) / f->scale ? CGROUP_UNKNOWN : value * f->scale;
}

void cgroup_facts_read(const struct cgroup_dirs *dirs, struct cgroup_stats *ret)
{
	const struct fact *last = NULL; /* whose file is in text */
	char text[FILE_MAX];
	bool is_read = false;

	memset(ret, 0xff, sizeof(*ret)); /* CGROUP_UNKNOWN in every field */
	for (int i = 0; i < FACTS; i++) {
		const struct fact *f = &facts[i];
		const struct cgroup_dir *dir = &dirs->at[f->controller];
		uint64_t value = CGROUP_UNKNOWN;

		if (dir->version != f->version || dir->fd < 0)
			continue;
		if (!last || strcmp(last->file, f->file) != 0 || dirs->at[last->controller].fd != dir->fd)
			is_read = read_small(dir->fd, f->file, text);
		last = f;
		if (is_read)
			value = read_fact(f, text);
		memcpy((char *)ret + f->offset, &value, sizeof(value));
	}
}

uint64_t cgroup_facts_cpu_usage_ns(const struct cgroup_dirs *dirs)
{
	const struct cgroup_dir *dir = &dirs->at[CGROUP_CPUACCT];
	char text[FILE_MAX];

	for (int i = 0; i < FACTS; i++) {
		const struct fact *f = &facts[i];

		if (f->offset == FACT(cpu_usage_ns) && f->version == dir->version && dir->fd >= 0)
			return read_small(dir->fd, f->file, text) ? read_fact(f, text) : CGROUP_UNKNOWN;
	}
	return CGROUP_UNKNOWN;
}
