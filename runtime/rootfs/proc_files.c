/* Files of /proc made for one sandbox: see proc_files.h. */
#include "runtime/rootfs/proc_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/rootfs/mount_api.h"

enum {
	CPUINFO_MAX_BYTES = 8 << 20, /* of the machine; some 2 KiB for each of its processors */
	MILLI = 1000,
	UUID_BYTES = 16,
};

/* What the machine is, read once: single-threaded, and none of it changes (processors that come or go are not followed). */
static struct {
	bool is_known;
	uint64_t memory_bytes;
	uint64_t cpus;
	char *cpu; /* what /proc/cpuinfo says of the first processor, without the empty line; NULL: nothing */
	unsigned long
		mhz; /* nominal, where /proc/cpuinfo tells: the present one would move with the load; 0: unknown */
} machine;

/* On x86 the loop that is counted does two million of its steps in a second for each MHz of the time stamp counter. */
static unsigned long nominal_mhz(const char *cpu)
{
	const char *line = strstr(cpu, "\nbogomips");
	const char *value = line ? strchr(line, ':') : NULL;

	return value ? strtoul(value + 1, NULL, 10) / 2 : 0;
}

static int look_at_machine(struct error *err)
{
	cleanup_buf struct buf text = BUF_BOUNDED(CPUINFO_MAX_BYTES);
	struct sysinfo info;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char *end;
	int r;

	if (machine.is_known)
		return 0;
	if (sysinfo(&info) < 0)
		return error_errno(err, errno, "ask for the size of this machine");
	r = fd_read_file(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX_BYTES, &text, err);
	if (r < 0)
		return r;
	machine.memory_bytes = (uint64_t)info.totalram * info.mem_unit;
	machine.cpus = cpus > 0 ? (uint64_t)cpus : 1;
	machine.cpu = buf_take(&text);
	end = machine.cpu ? strstr(machine.cpu, "\n\n") : NULL;
	if (end)
		end[1] = '\0'; /* one line feed stays */
	machine.mhz = machine.cpu ? nominal_mhz(machine.cpu) : 0;
	machine.is_known = true;
	return 0;
}

static uint64_t cpus_of(const struct proc_size *size)
{
	uint64_t n = (size->cpus_milli + MILLI - 1) / MILLI;

	return n == 0 || n > machine.cpus ? machine.cpus : n;
}

static uint64_t memory_of(const struct proc_size *size)
{
	return size->memory_bytes == 0 || size->memory_bytes > machine.memory_bytes ? machine.memory_bytes
										    : size->memory_bytes;
}

/* ---- the texts: each returns what buf.h does ---- */

/* Programs want to know how much they may use: all of it is free. What is counted stays zero. */
static int write_meminfo(const struct proc_size *size, struct buf *b)
{
	static const char *const all[] = { "MemTotal", "MemFree", "MemAvailable" };
	static const char *const none[] = {
		"Buffers",        "Cached",       "SwapCached",     "Active",      "Inactive",    "Active(anon)",
		"Inactive(anon)", "Active(file)", "Inactive(file)", "Unevictable", "Mlocked",     "SwapTotal",
		"SwapFree",       "Dirty",        "Writeback",      "AnonPages",   "Mapped",      "Shmem",
		"KReclaimable",   "Slab",         "SReclaimable",   "SUnreclaim",  "KernelStack", "PageTables",
		"NFS_Unstable",   "Bounce",       "WritebackTmp",
	};
	const uint64_t kib = memory_of(size) / 1024;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = buf_printf(b, "%s:%*" PRIu64 " kB\n", all[i], 23 - (int)strlen(all[i]), kib);
	for (size_t i = 0; r == 0 && i < sizeof(none) / sizeof(none[0]); i++)
		r = buf_printf(b, "%s:%*d kB\n", none[i], 23 - (int)strlen(none[i]), 0);
	if (r == 0)
		r = buf_printf(b, "CommitLimit:    %8" PRIu64 " kB\nCommitted_AS:   %8d kB\n", kib, 0);
	return r;
}

/* The value of a line of cpuinfo that speaks of this processor's place among the others; -1: the line stays as it is. */
static long placed(const char *line, uint64_t i, uint64_t n)
{
	enum { NUMBER, COUNT, ZERO };
	static const struct {
		const char *key;
		int value;
	} rows[] = {
		{ "processor", NUMBER }, { "core id", NUMBER },  { "apicid", NUMBER },    { "initial apicid", NUMBER },
		{ "siblings", COUNT },   { "cpu cores", COUNT }, { "physical id", ZERO },
	};

	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		size_t length = strlen(rows[k].key);

		if (strncmp(line, rows[k].key, length) == 0 && line[length + strspn(line + length, " \t")] == ':')
			return rows[k].value == NUMBER ? (long)i : rows[k].value == COUNT ? (long)n : 0;
	}
	return -1;
}

static int write_cpu(uint64_t i, uint64_t n, struct buf *b)
{
	int r = machine.cpu ? 0 : buf_printf(b, "processor\t: %" PRIu64 "\n", i);

	for (const char *line = machine.cpu; r == 0 && line && *line;) {
		const char *end = strchrnul(line, '\n');
		const int name = (int)strcspn(line, ":");
		long value = placed(line, i, n);

		if (value >= 0)
			r = buf_printf(b, "%.*s: %ld\n", name, line, value);
		else if (machine.mhz && strncmp(line, "cpu MHz", 7) == 0)
			r = buf_printf(b, "%.*s: %lu.000\n", name, line, machine.mhz);
		else
			r = buf_printf(b, "%.*s\n", (int)(end - line), line);
		line = *end ? end + 1 : end;
	}
	return r < 0 ? r : buf_append_str(b, "\n");
}

static int write_cpuinfo(const struct proc_size *size, struct buf *b)
{
	const uint64_t n = cpus_of(size);
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++)
		r = write_cpu(i, n, b);
	return r;
}

static uint64_t up_s(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &t); /* cannot fail, clock_gettime(2) */
	return (uint64_t)t.tv_sec;
}

/* C libraries count the lines of processors (glibc's sysconf(_SC_NPROCESSORS_ONLN) where there is no /sys). */
static int write_stat(const struct proc_size *size, struct buf *b)
{
	static const char ticks[] = "0 0 0 0 0 0 0 0 0 0";
	int r = buf_printf(b, "cpu  %s\n", ticks);

	for (uint64_t i = 0; r == 0 && i < cpus_of(size); i++)
		r = buf_printf(b, "cpu%" PRIu64 " %s\n", i, ticks);
	return r < 0 ? r
		     : buf_printf(b,
				  "intr 0\nctxt 0\nbtime %" PRIu64
				  "\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0 %s\n",
				  (uint64_t)time(NULL) - up_s(), ticks);
}

static int write_uptime(const struct proc_size *size, struct buf *b)
{
	(void)size;
	return buf_printf(b, "%" PRIu64 ".00 0.00\n", up_s());
}

static int write_loadavg(const struct proc_size *size, struct buf *b)
{
	(void)size;
	return buf_append_str(b, "0.00 0.00 0.00 1/1 1\n");
}

/* A random one, as the kernel's is (RFC 4122, version 4): the real one says which sandboxes share a machine. */
static int write_boot_id(const struct proc_size *size, struct buf *b)
{
	unsigned char u[UUID_BYTES];

	(void)size;
	if (getrandom(u, sizeof(u), 0) != sizeof(u)) /* so few bytes are never cut short, getrandom(2) */
		return -EIO;
	u[6] = (u[6] & 0x0f) | 0x40;
	u[8] = (u[8] & 0x3f) | 0x80;
	return buf_printf(b, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", u[0], u[1], u[2],
			  u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

/* ---- the files ---- */

static const char *const names[PROC_FILE_COUNT] = {
#define X(name, file, path) [PROC_FILE_##name] = (file),
	PROC_FILES(X)
#undef X
};

static const struct {
	int (*write)(const struct proc_size *size, struct buf *b);
	bool is_sized; /* tells of the limits */
} files[PROC_FILE_COUNT] = {
	[PROC_FILE_MEMINFO] = { write_meminfo, true },  [PROC_FILE_CPUINFO] = { write_cpuinfo, true },
	[PROC_FILE_STAT] = { write_stat, true },        [PROC_FILE_UPTIME] = { write_uptime, false },
	[PROC_FILE_LOADAVG] = { write_loadavg, false }, [PROC_FILE_BOOT_ID] = { write_boot_id, false },
};

/* The new text is there before the old one's rest is cut off: a reader never finds the file empty. */
static int write_file(int dir, enum proc_file f, const struct proc_size *size, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_fd int fd = openat(dir, names[f], O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
	int r;

	if (fd < 0)
		return error_errno(err, errno, "make '%s'", names[f]);
	r = files[f].write(size, &text);
	if (r < 0)
		return error_errno(err, -r, "write '%s'", names[f]);
	r = fd_write_all(fd, text.data, text.size, err);
	if (r == 0 && ftruncate(fd, (off_t)text.size) < 0)
		r = error_errno(err, errno, "cut '%s'", names[f]);
	return r;
}

int proc_files_resize(int mount_fd, const struct proc_size *size, struct error *err)
{
	int r = look_at_machine(err);

	for (int f = 0; r == 0 && f < PROC_FILE_COUNT; f++) {
		if (files[f].is_sized)
			r = write_file(mount_fd, (enum proc_file)f, size, err);
	}
	return r;
}

int proc_files_build(const struct proc_size *size, struct error *err)
{
	static const struct mount_option options[] = {
		{ "mode", "0555" }, { "size", "16777216" }, { "nr_inodes", "16" }, { NULL, NULL }
	};
	cleanup_fd int mount = -1;
	int r = look_at_machine(err);

	if (r < 0)
		return r;
	mount = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (mount < 0)
		return mount;
	for (int f = 0; r == 0 && f < PROC_FILE_COUNT; f++)
		r = write_file(mount, (enum proc_file)f, size, err);
	return r < 0 ? r : fd_take(&mount);
}
