/*
 * The probe: a process that goes through all a payload goes through, and what the kernel then says of it. See init.h.
 *
 * It opens its own files of /proc before the filter and hands them to pid 1, which reads them when the probe has ended:
 * until it is reaped, a process that ended still says there which filter it had. So nothing is called under the filter,
 * and a policy may refuse what it wants.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"

enum { MODE_DEAD = 3 /* SECCOMP_MODE_DEAD of kernel/seccomp.c: a filter has killed it */ };
enum { STATUS_BYTES = 8192, PROBE_STATUS = 0, PROBE_UID_MAP = 1, PROBE_FILES = 2 /* in proc.fds */ };

static uint64_t status_number(const char *text, const char *key, int base)
{
	const char *p = strstr(text, key);
	uint64_t v = 0;

	if (!p)
		return UINT64_MAX;
	for (p += strlen(key); *p == ' ' || *p == '\t';)
		p++;
	for (; *p; p++) {
		int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : 99;

		if (digit >= base)
			break;
		v = v * (uint64_t)base + (uint64_t)digit;
	}
	return v;
}

static void copy_line(char *ret, size_t room, const char *text, const char *key)
{
	const char *p = strstr(text, key);
	size_t used = strnlen(ret, room), n;

	if (!p)
		return;
	n = strcspn(p, "\n");
	if (used + n + 2 > room)
		return;
	memcpy(ret + used, p, n);
	ret[used + n] = '\n';
	ret[used + n + 1] = '\0';
}

static void read_whole(int fd, char *ret, size_t room)
{
	ssize_t n = read(fd, ret, room - 1);

	ret[n > 0 ? n : 0] = '\0';
}

static void fill_report(const int fds[PROBE_FILES], struct agent_ready *ready)
{
	static char text[STATUS_BYTES];

	read_whole(fds[PROBE_STATUS], text, sizeof(text));
	*ready = (struct agent_ready){
		.is_probe = 1,
		.seccomp = (uint32_t)status_number(text, "\nSeccomp:", 10),
		.no_new_privs = (uint32_t)status_number(text, "\nNoNewPrivs:", 10),
		.cap_eff = status_number(text, "\nCapEff:", 16),
		.cap_prm = status_number(text, "\nCapPrm:", 16),
		.cap_bnd = status_number(text, "\nCapBnd:", 16),
		.uid = (uint32_t)status_number(text, "\nUid:", 10),
		.gid = (uint32_t)status_number(text, "\nGid:", 10),
	};
	if (ready->seccomp == MODE_DEAD)
		ready->seccomp =
			SECCOMP_MODE_FILTER; /* which was in force when it killed the probe for its exit_group(2) */
	copy_line(ready->speculation, sizeof(ready->speculation), text, "Speculation_Store_Bypass:");
	copy_line(ready->speculation, sizeof(ready->speculation), text, "SpeculationIndirectBranch:");
	read_whole(fds[PROBE_UID_MAP], ready->uid_map, sizeof(ready->uid_map));
}

/* In the probe. */
static int hand_over_files(int sock, struct failure *f)
{
	static const char *const paths[PROBE_FILES] = { "/proc/self/status", "/proc/self/uid_map" };
	int fds[PROBE_FILES];

	for (size_t i = 0; i < PROBE_FILES; i++) {
		fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return fail(f, AGENT_STAGE_SECCOMP, paths[i]);
	}
	errno = -fd_send(sock, "", 1, fds, PROBE_FILES, 0, NULL);
	return errno > 0 ? fail(f, AGENT_STAGE_SECCOMP, "files of the probe") : 0;
}

/* In the probe. */
_Noreturn static void be_probed(struct init *in, const struct identity *id, struct birth *b, int sock)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };

	if (restrict_identity(id, "/", &f) == 0 && hand_over_files(sock, &f) == 0 &&
	    restrict_filter(in, AGENT_FILTER_RUN, &f) == 0)
		b->is_filtered = 1;
	birth_end(b, &f);
}

static void settle(struct proc *p)
{
	char one;
	size_t n = PROBE_FILES;
	ssize_t r;

	if (p->report_fd < 0)
		return;
	r = fd_recv(p->report_fd, &one, sizeof(one), p->fds, &n, MSG_DONTWAIT, NULL);
	if (r != 1 && r != -EAGAIN)
		fd_close(&p->report_fd); /* its end: what there is to say is said when it can be reaped */
}

static void report(struct init *in, struct proc *p)
{
	struct failure f = { .stage = AGENT_STAGE_SECCOMP, .code = EIO, .object = "probe" };
	struct agent_ready ready;

	settle(p); /* it may have ended before anybody looked */
	if (birth_failed(in, p, &f) || !birth_of(in, p)->is_filtered || p->fds[PROBE_UID_MAP] < 0) {
		reply_refused(in, p->seq, &f);
	} else {
		fill_report(p->fds, &ready);
		reply(in, AGENT_READY, p->seq, &ready, NULL, 0);
	}
	proc_release(p);
}

static const struct proc_watch watch = { .settle = settle, .unborn = report };

void probe_start(struct init *in, uint32_t seq)
{
	struct failure f = { .stage = AGENT_STAGE_NONE };
	struct proc *p = proc_new(in, PROC_PROBE, seq);
	struct identity id;
	int pair[2], r = -1;

	(void)identity_resolve(in, UINT32_MAX, UINT32_MAX, &id); /* the default identity always resolves */
	if (!p)
		(void)fail(&f, AGENT_STAGE_REQUEST, "process table");
	else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		(void)fail(&f, AGENT_STAGE_STDIO, "report socket");
	else
		r = process_fork(in, p, pair, &f);
	if (r > 0)
		p->watch = &watch;
	if (r == 0)
		be_probed(in, &id, birth_of(in, p), pair[1]);
	if (r > 0)
		return;
	if (p)
		proc_release(p);
	reply_refused(in, seq, &f);
}
