/* Totals of a node: see totals.h. */
#include "supervisor/monitor/totals.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/budgets.h"
#include "runtime/rootfs/mount_api.h"
#include "runtime/sandbox.h"
#include "supervisor/monitor/sandboxes.h"
#include "supervisor/settings.h"

enum {
	READY_MIN_BYTES = 1 << 20, /* the pool counts no ready sandbox for less */
	SPARE = 64,                /* being made, measured, proven; over, with their result not taken yet */
	INDEX_BYTES = 4 << 20,     /* of a journal, beside both outputs */
	JOURNALS_KEPT = 2,         /* as many again are of jobs that are over, and still read */
	UNUSED_S = 3600,           /* the pool makes another one */
	STAGES_MAX = 4,            /* that may take all of CUBIT_MAX_WALL: compilers, programs */
	STAGE_GRACE_S = 15,
	PTYS_MAX = 4096,
	PTYS_RESERVE = 1024,
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void totals_of(const struct settings *s, uint64_t machine_bytes, uint64_t machine_ptys, struct totals *ret)
{
	const uint64_t ready = s->pool_memory / READY_MIN_BYTES;
	const uint64_t sandboxes = least(2 * s->slots + ready + SPARE, SANDBOXES_MAX);
	const uint64_t ptys = machine_ptys / sandboxes;
	uint64_t journal = 2 * s->max_output + INDEX_BYTES;

	*ret = (struct totals){
		.sandboxes = (size_t)sandboxes,
		.memory_bytes = s->total_memory ? s->total_memory : sandboxes * s->max_memory,
		.ptys = (uint32_t)(ptys > 0 ? least(ptys, SANDBOX_PTYS) : 1),
		.journal_bytes = least(JOURNALS_KEPT * sandboxes * journal, machine_bytes / 2),
		.unused_ns = UNUSED_S * NS_PER_S,
		.life_ns = STAGES_MAX * (s->max_wall_ns + STAGE_GRACE_S * NS_PER_S),
		.journals = -1,
	};
}

/* Where the kernel does not say, what it has when nobody changed it. */
static uint64_t ptys_of_machine(void)
{
	uint64_t most = PTYS_MAX, kept = PTYS_RESERVE;

	(void)budget_read(&(struct budget_number){ "/proc/sys/kernel/pty/max", NULL, 0 }, &most);
	(void)budget_read(&(struct budget_number){ "/proc/sys/kernel/pty/reserve", NULL, 0 }, &kept);
	return most > kept ? most - kept : 0;
}

int totals_open(const struct settings *s, struct totals *ret, struct error *err)
{
	char size[24];
	const struct mount_option options[] = { { "mode", "0700" }, { "size", size }, { NULL, NULL } };
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return error_errno(err, errno, "ask for the size of this machine");
	totals_of(s, (uint64_t)info.totalram * info.mem_unit, ptys_of_machine(), ret);
	(void)snprintf(size, sizeof(size), "%" PRIu64, ret->journal_bytes);
	ret->journals = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	return ret->journals < 0 ? ret->journals : 0;
}

void totals_done(struct totals *t)
{
	fd_close(&t->journals);
}

int totals_journal(const struct totals *t, struct error *err)
{
	int fd = openat(t->journals, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? error_errno(err, errno, "make a file for a journal") : fd;
}
