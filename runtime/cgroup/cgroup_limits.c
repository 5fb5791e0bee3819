/* The table of limits and the loop over it: see cgroup_limits.h. */
#include "runtime/cgroup/cgroup_limits.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum {
	VALUE_SIZE = 256,
	CPU_PERIOD_US = 100000,
	CPU_PERIOD_MAX_US = 1000000,
	CPUSET_TEXT_MAX = 4096,
	SOCKETS_MIN = 1 << 20
};

/* ---- how a value is written ----------------------------------------------------------------------------------- */

typedef void format_fn(uint64_t value, char *out, size_t size);

static void plain(uint64_t value, char *out, size_t size)
{
	(void)snprintf(out, size, "%" PRIu64, value);
}

/*
 * The period is the kernel's default of 100 ms. A shorter one would spread the pauses of a throttled job more evenly,
 * but cpus fetch their share of the quota in slices of 5 ms (sched_cfs_bandwidth_slice_us), so that a quota of few
 * milliseconds becomes inexact, and each period has its price in timers. Quotas below 1 ms do not exist: a limit
 * under ten thousandths uses the longest period there is.
 */
static uint64_t period_us(uint64_t milli)
{
	return milli * CPU_PERIOD_US / 1000 >= 1000 ? CPU_PERIOD_US : CPU_PERIOD_MAX_US;
}

static uint64_t quota_us(uint64_t milli)
{
	return milli * period_us(milli) / 1000;
}

static void cpu_max(uint64_t milli, char *out, size_t size)
{
	(void)snprintf(out, size, "%" PRIu64 " %" PRIu64, quota_us(milli), period_us(milli));
}

static void cfs_period(uint64_t milli, char *out, size_t size)
{
	plain(period_us(milli), out, size);
}

static void cfs_quota(uint64_t milli, char *out, size_t size)
{
	plain(quota_us(milli), out, size);
}

/* The kernel's own mapping between the two scales: 100 is 1024, kernel/sched/core.c cpu_weight_write_u64(). */
static void cpu_shares(uint64_t weight, char *out, size_t size)
{
	plain(weight * 1024 / 100 < 2 ? 2 : weight * 1024 / 100, out, size);
}

/* BFQ counts from 1 to 1000 around the same default of 100: straight lines on both sides of it. */
static void bfq_weight(uint64_t weight, char *out, size_t size)
{
	plain(weight <= 100 ? weight : 100 + (weight - 100) * 900 / 9900, out, size);
}

static void zero(uint64_t value, char *out, size_t size)
{
	(void)value;
	plain(0, out, size);
}

/*
 * v1 counts socket buffers apart from other memory, and not at all without a limit of their own (memory.rst 2.7.2; it
 * holds for UDP as for TCP). An eighth on top of the memory; a loopback connection with full windows has a megabyte.
 */
static void socket_share(uint64_t memory_bytes, char *out, size_t size)
{
	plain(memory_bytes / 8 < SOCKETS_MIN ? SOCKETS_MIN : memory_bytes / 8, out, size);
}

static void one(uint64_t value, char *out, size_t size)
{
	(void)value;
	plain(1, out, size);
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

enum limit_key {
	LIMIT_MEMORY_MAX,
	LIMIT_MEMORY_HIGH,
	LIMIT_PIDS_MAX,
	LIMIT_CPU_MAX,
	LIMIT_CPU_WEIGHT,
	LIMIT_IO_WEIGHT,
	LIMIT_IO_MAX,
	LIMIT_CPUSET,
	LIMITS,
};

struct limit {
	const char *name;
	enum cgroup_controller controller;
	size_t offset;     /* in struct cgroup_limits */
	size_t text_size;  /* of a text, its room; 0: a number */
	uint64_t min, max; /* of a number, in the unit of the field */
};

#define NUMBER(field) .offset = offsetof(struct cgroup_limits, field)
#define TEXT(field)   NUMBER(field), .text_size = sizeof(((struct cgroup_limits *)0)->field)

/* clang-format off */
static const struct limit limits_table[LIMITS] = {
	[LIMIT_MEMORY_MAX]  = { "memory_max_bytes",  CGROUP_MEMORY, NUMBER(memory_max_bytes),  .min = 4096, .max = INT64_MAX },
	[LIMIT_MEMORY_HIGH] = { "memory_high_bytes", CGROUP_MEMORY, NUMBER(memory_high_bytes), .min = 4096, .max = INT64_MAX },
	[LIMIT_PIDS_MAX]    = { "pids_max",          CGROUP_PIDS,   NUMBER(pids_max),          .min = 1,    .max = 4194304 },
	[LIMIT_CPU_MAX]     = { "cpu_max_milli",     CGROUP_CPU,    NUMBER(cpu_max_milli),     .min = 1,    .max = 10000000 },
	[LIMIT_CPU_WEIGHT]  = { "cpu_weight",        CGROUP_CPU,    NUMBER(cpu_weight),        .min = 1,    .max = 10000 },
	[LIMIT_IO_WEIGHT]   = { "io_weight",         CGROUP_IO,     NUMBER(io_weight),         .min = 1,    .max = 10000 },
	[LIMIT_IO_MAX]      = { "io_max",            CGROUP_IO,     TEXT(io_max) },
	[LIMIT_CPUSET]      = { "cpuset",            CGROUP_CPUSET, TEXT(cpuset) },
};
/* clang-format on */

enum missing {
	MISSING_FAILS,     /* without this file the limit is not enforced */
	MISSING_IS_FINE,   /* a companion of the file before */
	MISSING_TRIES_NEXT /* the next row is the alternative, skipped when this one worked */
};

/*
 * One write. Rows of one limit stand together, in the order of writing.
 *
 * memory.swap.max and memory.memsw.* are missing where the kernel was told to do without swap accounting. That is
 * taken as it is: such a host has no swap, or its operator chose that swap is nobody's.
 * v1 has no memory.oom.group: one process dies, and whoever reads oom_kills ends the rest.
 */
struct setting {
	enum limit_key limit;
	enum cgroup_version version;
	const char *file;
	format_fn *format; /* NULL: a text, written line by line */
	enum missing missing;
};

/* clang-format off */
static const struct setting settings[] = {
	{ LIMIT_MEMORY_MAX,  CGROUP_V2, "memory.max",                  plain,      MISSING_FAILS },
	{ LIMIT_MEMORY_MAX,  CGROUP_V2, "memory.swap.max",             zero,       MISSING_IS_FINE },
	{ LIMIT_MEMORY_MAX,  CGROUP_V2, "memory.oom.group",            one,        MISSING_FAILS },
	{ LIMIT_MEMORY_MAX,  CGROUP_V1, "memory.limit_in_bytes",       plain,      MISSING_FAILS },
	{ LIMIT_MEMORY_MAX,  CGROUP_V1, "memory.memsw.limit_in_bytes", plain,      MISSING_IS_FINE },
	{ LIMIT_MEMORY_MAX,  CGROUP_V1, "memory.swappiness",           zero,       MISSING_IS_FINE },
	{ LIMIT_MEMORY_MAX,  CGROUP_V1, "memory.kmem.tcp.limit_in_bytes", socket_share, MISSING_FAILS },
	{ LIMIT_MEMORY_HIGH, CGROUP_V2, "memory.high",                 plain,      MISSING_FAILS },
	{ LIMIT_PIDS_MAX,    CGROUP_V2, "pids.max",                    plain,      MISSING_FAILS },
	{ LIMIT_PIDS_MAX,    CGROUP_V1, "pids.max",                    plain,      MISSING_FAILS },
	{ LIMIT_CPU_MAX,     CGROUP_V2, "cpu.max",                     cpu_max,    MISSING_FAILS },
	{ LIMIT_CPU_MAX,     CGROUP_V1, "cpu.cfs_period_us",           cfs_period, MISSING_FAILS },
	{ LIMIT_CPU_MAX,     CGROUP_V1, "cpu.cfs_quota_us",            cfs_quota,  MISSING_FAILS },
	{ LIMIT_CPU_WEIGHT,  CGROUP_V2, "cpu.weight",                  plain,      MISSING_FAILS },
	{ LIMIT_CPU_WEIGHT,  CGROUP_V1, "cpu.shares",                  cpu_shares, MISSING_FAILS },
	{ LIMIT_IO_WEIGHT,   CGROUP_V2, "io.weight",                   plain,      MISSING_TRIES_NEXT },
	{ LIMIT_IO_WEIGHT,   CGROUP_V2, "io.bfq.weight",               bfq_weight, MISSING_FAILS },
	{ LIMIT_IO_WEIGHT,   CGROUP_V1, "blkio.bfq.weight",            bfq_weight, MISSING_FAILS },
	{ LIMIT_IO_MAX,      CGROUP_V2, "io.max",                      NULL,       MISSING_FAILS },
	{ LIMIT_CPUSET,      CGROUP_V2, "cpuset.cpus",                 NULL,       MISSING_FAILS },
	{ LIMIT_CPUSET,      CGROUP_V1, "cpuset.cpus",                 NULL,       MISSING_FAILS },
};
/* clang-format on */

enum { SETTINGS = sizeof(settings) / sizeof(*settings) };
static_assert(sizeof(((struct cgroup_limits *)0)->io_max) <= VALUE_SIZE, "a text fits a value");

/* ---- questions to the table ----------------------------------------------------------------------------------- */

static uint64_t number_of(const struct limit *l, const struct cgroup_limits *limits)
{
	uint64_t value;

	memcpy(&value, (const char *)limits + l->offset, sizeof(value));
	return value;
}

static const char *text_of(const struct limit *l, const struct cgroup_limits *limits)
{
	return (const char *)limits + l->offset;
}

static bool is_asked(const struct limit *l, const struct cgroup_limits *limits)
{
	return l->text_size > 0 ? text_of(l, limits)[0] != '\0' : number_of(l, limits) != 0;
}

static bool has_setting(enum limit_key k, enum cgroup_version version)
{
	for (int i = 0; i < SETTINGS; i++)
		if (settings[i].limit == k && settings[i].version == version)
			return true;
	return false;
}

bool cgroup_limits_need(const struct cgroup_limits *limits, enum cgroup_controller c)
{
	for (int k = 0; k < LIMITS; k++)
		if (limits_table[k].controller == c && is_asked(&limits_table[k], limits))
			return true;
	return false;
}

/* Cannot be enforced: a failure, or a bit when the operator allows it. why: what is missing. */
static int refuse(const struct limit *l, bool allow_unenforced, unsigned *unenforced, const char *why,
		  struct error *err)
{
	if (allow_unenforced) {
		*unenforced |= 1U << l->controller;
		return 0;
	}
	return error_set(err, ENOTSUP,
			 "limit %s cannot be enforced on this host: controller %s: %s; leave the limit out, or accept "
			 "that with CUBIT_ALLOW_UNENFORCED=1",
			 l->name, cgroup_controller_name(l->controller), why);
}

static int check_range(const struct limit *l, const struct cgroup_limits *limits, struct error *err)
{
	uint64_t value;

	if (l->text_size > 0) {
		if (strnlen(text_of(l, limits), l->text_size) == l->text_size)
			return error_set(err, EINVAL, "limit %s is longer than %zu bytes", l->name, l->text_size - 1);
		return 0;
	}
	value = number_of(l, limits);
	if (value < l->min || value > l->max)
		return error_set(err, EINVAL, "limit %s is %" PRIu64 ", not between %" PRIu64 " and %" PRIu64, l->name,
				 value, l->min, l->max);
	return 0;
}

int cgroup_limits_check(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits, bool allow_unenforced,
			unsigned *unenforced, struct error *err)
{
	for (int k = 0; k < LIMITS; k++) {
		const struct limit *l = &limits_table[k];
		const struct cgroup_dir *dir = &dirs->at[l->controller];
		int r;

		if (!is_asked(l, limits))
			continue;
		r = check_range(l, limits, err);
		if (r == 0 && dir->version == CGROUP_NONE)
			r = refuse(l, allow_unenforced, unenforced, dir->why_not, err);
		else if (r == 0 && !has_setting(k, dir->version))
			r = refuse(l, allow_unenforced, unenforced, "it is on a v1 hierarchy, which has no such limit",
				   err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* One write(2) a line: io.max takes one device at a time, and everything else is one line. */
static int write_lines(int dir_fd, const char *file, const char *text, struct error *err)
{
	char line[VALUE_SIZE];
	int r = 0;

	for (const char *p = text; *p != '\0' && r == 0;) {
		size_t n = strcspn(p, "\n");

		if (n > 0) {
			memcpy(line, p, n);
			line[n] = '\0';
			r = fd_write_file(dir_fd, file, line, err);
		}
		p += n + (p[n] == '\n');
	}
	return r;
}

static int write_setting(const struct setting *s, const struct cgroup_dir *dir, const struct cgroup_limits *limits,
			 struct error *err)
{
	const struct limit *l = &limits_table[s->limit];
	char value[VALUE_SIZE];

	if (!s->format)
		return write_lines(dir->fd, s->file, text_of(l, limits), err);
	s->format(number_of(l, limits), value, sizeof(value));
	return fd_write_file(dir->fd, s->file, value, err);
}

/*
 * What the kernel says to a value that it does not take: no such cpu, not one of the parent's cpus (v1 cpuset, EACCES),
 * more than the parent has (v1 cpu), no such device.
 */
static bool is_bad_value(const struct setting *s, int code)
{
	return code == EINVAL || code == ERANGE || code == ENODEV || code == EOVERFLOW ||
	       (code == EACCES && s->limit == LIMIT_CPUSET);
}

/*
 * v2 takes cpus that the parent has not, and falls back to all of the parent's when none is left
 * (cgroup-v2.rst, cpuset.cpus.effective): a limit that is none. Both files print lists in the same form.
 */
static int verify_cpuset_v2(const struct cgroup_dir *dir, struct error *err)
{
	cleanup_buf struct buf asked = BUF_BOUNDED(CPUSET_TEXT_MAX), given = BUF_BOUNDED(CPUSET_TEXT_MAX);
	int r = fd_read_file(dir->fd, "cpuset.cpus", CPUSET_TEXT_MAX, &asked, err);

	if (r == 0)
		r = fd_read_file(dir->fd, "cpuset.cpus.effective", CPUSET_TEXT_MAX, &given, err);
	if (r < 0)
		return r;
	if (strcmp(buf_str(&asked), buf_str(&given)) == 0)
		return 0;
	return error_set(err, EINVAL, "limit cpuset: only '%.*s' of '%.*s' is ours to give",
			 (int)strcspn(buf_str(&given), "\n"), buf_str(&given), (int)strcspn(buf_str(&asked), "\n"),
			 buf_str(&asked));
}

/*
 * On v1 the limit with swap is never below the one without, so a raised limit has to start with the former. Best
 * effort: refused when the limit is lowered, and the rows of the table then do it in the right order. A group that was
 * just made has no limit to raise.
 */
void cgroup_limits_make_room(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits)
{
	const struct cgroup_dir *dir = &dirs->at[CGROUP_MEMORY];
	char value[VALUE_SIZE];

	if (limits->memory_max_bytes == 0 || dir->version != CGROUP_V1)
		return;
	plain(limits->memory_max_bytes, value, sizeof(value));
	(void)fd_write_file(dir->fd, "memory.memsw.limit_in_bytes", value, NULL);
}

int cgroup_limits_write(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits, bool allow_unenforced,
			unsigned *unenforced, struct error *err)
{
	struct error why;
	int r;

	for (int i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		const struct limit *l = &limits_table[s->limit];
		const struct cgroup_dir *dir = &dirs->at[l->controller];

		if (!is_asked(l, limits) || dir->version != s->version)
			continue;
		error_clear(&why);
		r = write_setting(s, dir, limits, &why);
		if (r == 0 && s->missing == MISSING_TRIES_NEXT)
			i++;
		if (r == 0 || (r == -ENOENT && s->missing != MISSING_FAILS))
			continue;
		if (r == -ENOENT)
			r = refuse(l, allow_unenforced, unenforced, why.text, err);
		else if (is_bad_value(s, -r))
			r = error_set(err, EINVAL, "limit %s: the kernel refuses the value: %s", l->name, why.text);
		else
			r = error_set(err, -r, "limit %s: %s", l->name, why.text);
		if (r < 0)
			return r;
	}
	if (is_asked(&limits_table[LIMIT_CPUSET], limits) && dirs->at[CGROUP_CPUSET].version == CGROUP_V2)
		return verify_cpuset_v2(&dirs->at[CGROUP_CPUSET], err);
	return 0;
}

void cgroup_limits_lift_cpu(const struct cgroup_dirs *dirs)
{
	const struct cgroup_dir *dir = &dirs->at[CGROUP_CPU];

	if (dir->fd < 0)
		return;
	/* best effort: without it the processes die all the same, only later */
	if (dir->version == CGROUP_V2)
		(void)fd_write_file(dir->fd, "cpu.max", "max", NULL);
	else if (dir->version == CGROUP_V1)
		(void)fd_write_file(dir->fd, "cpu.cfs_quota_us", "-1", NULL);
}

int cgroup_limits_fill_cpuset_v1(int base_fd, int dir_fd, struct error *err)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		cleanup_buf struct buf list = BUF_BOUNDED(CPUSET_TEXT_MAX);
		int r = fd_read_file(base_fd, files[i], CPUSET_TEXT_MAX, &list, err);

		if (r == 0)
			r = fd_write_file(dir_fd, files[i], buf_str(&list), err);
		if (r < 0)
			return r;
	}
	return 0;
}
