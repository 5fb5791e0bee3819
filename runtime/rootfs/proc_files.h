/*
 * The files of /proc that are made for a sandbox, because the kernel's own are those of the whole machine: sizes as its
 * limits give them, and no counter that moves with what others do.
 *
 * They lie in a small tmpfs that is attached where /dev/mqueue is mounted afterwards, so that nobody inside reaches it;
 * pid 1 puts a read-only clone of each over the kernel's file (runtime/init/setup.c). Each sandbox has inodes of its
 * own: a shared one would carry locks, flock(2), from one to another. Only root outside can write to them.
 *
 * What moves (uptime, load, ticks) is what it was when the sandbox was made, or zero.
 *
 * Runs in: monitor, cubit-sandbox; the table also in cubit-init. Kernel: proc(5).
 */
#pragma once

#include <stdint.h>

struct error;

/* Name in the tmpfs, and what it covers below the root of the sandbox. */
#define PROC_FILES(X)                                                                                                  \
	X(MEMINFO, "meminfo", "proc/meminfo")                                                                          \
	X(CPUINFO, "cpuinfo", "proc/cpuinfo")                                                                          \
	X(STAT, "stat", "proc/stat")                                                                                   \
	X(UPTIME, "uptime", "proc/uptime")                                                                             \
	X(LOADAVG, "loadavg", "proc/loadavg")                                                                          \
	X(BOOT_ID, "boot_id", "proc/sys/kernel/random/boot_id")

#define PROC_FILES_PLACE "dev/mqueue"

enum proc_file {
#define X(name, file, path) PROC_FILE_##name,
	PROC_FILES(X)
#undef X
		PROC_FILE_COUNT,
};

/* What the files speak of; 0: no limit, then it is the machine's. */
struct proc_size {
	uint64_t memory_bytes;
	uint64_t cpus_milli; /* thousandths of a cpu; a part of one counts as one */
};

/* Returns a detached mount, owned by the caller, or -errno. */
int proc_files_build(const struct proc_size *size, struct error *err);

/*
 * The limits have changed: write those anew that tell of them. mount_fd is that of proc_files_build(), wherever it is
 * attached by now. Readers inside may see the old text or the new one, or, for a moment, a mixture.
 * Returns 0 or -errno.
 */
int proc_files_resize(int mount_fd, const struct proc_size *size, struct error *err);
