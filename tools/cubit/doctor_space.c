/* Checks of free disk and memory: see doctor.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "runtime/base/buf.h"
#include "runtime/base/fd.h"
#include "tools/cubit/doctor.h"

#define GIB (1024.0 * 1024 * 1024)

enum { DISK_NEEDED_GIB = 2, DISK_WANTED_GIB = 10, MEMORY_WANTED_MIB = 1024, MEMINFO_MAX = 64 << 10 };

void check_disk(const struct check *c, struct finding *f)
{
	struct statvfs fs;
	char dir[512];
	double free_gib;

	(void)c;
	doctor_state_dir(dir, sizeof(dir));
	if (statvfs(dir, &fs) < 0) {
		finding_missing(f, "'%s': %s", dir, strerror(errno));
		return;
	}
	free_gib = (double)fs.f_bavail * (double)fs.f_frsize / GIB;
	if (free_gib >= DISK_WANTED_GIB) {
		finding_ok(f, "%.1f GiB free at '%s'", free_gib, dir);
		return;
	}
	if (free_gib >= DISK_NEEDED_GIB)
		finding_warning(f, "%.1f GiB free at '%s', %d are recommended", free_gib, dir, DISK_WANTED_GIB);
	else
		finding_missing(f, "%.1f GiB free at '%s', images need at least %d", free_gib, dir, DISK_NEEDED_GIB);
	finding_remedy(f, "make room, or let CUBIT_STATE name a directory on a larger disk");
}

/* MemAvailable of proc(5) in KiB, -1 when it is not there. */
static long long memory_available_kib(void)
{
	cleanup_buf struct buf text = BUF_BOUNDED(MEMINFO_MAX);
	const char *line;

	if (fd_read_file(AT_FDCWD, "/proc/meminfo", MEMINFO_MAX, &text, NULL) < 0)
		return -1;
	line = strstr(buf_str(&text), "MemAvailable:");
	return line ? strtoll(line + strlen("MemAvailable:"), NULL, 10) : -1;
}

void check_memory(const struct check *c, struct finding *f)
{
	long long kib = memory_available_kib();

	(void)c;
	if (kib < 0) {
		finding_warning(f, "/proc/meminfo does not say how much memory is available");
	} else if (kib < MEMORY_WANTED_MIB * 1024LL) {
		finding_warning(f, "%lld MiB available: room for few sandboxes at 256 MiB each", kib / 1024);
		finding_remedy(f, "lower MAX_MEM_MB, or add memory");
	} else {
		finding_ok(f, "%.1f GiB available", (double)kib / 1024 / 1024);
	}
}
