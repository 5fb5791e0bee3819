/*
 * cubit-init: pid 1 of every sandbox, and the host's agent inside.
 *
 * How it works
 *
 *   monitor --clone3--> child --execveat(sealed memfd)--> cubit-init (pid 1, uid 0 inside = nobody outside)
 *                                                            |  SETUP: attach root, /proc, /dev; pivot; drop
 *                                                            |  serve the agent socket (descriptor 3)
 *                                                            +-- payload   uid 1000, no capability, filter, rlimits
 *                                                            +-- helper    one file call or connect, then exits
 *
 * It starts with every capability of the sandbox's own user namespace and no mapping it could abuse outside; it uses
 * them for the set-up (setup.c) and gives up all but those an agent needs (restrict.c): change identity for a
 * child, signal it. Everything it starts passes through one function that restricts it further.
 *
 * Descriptors: 0, 1, 2 are the sandbox's /dev/null; 3 is the agent socket, close-on-exec, the only way in or out;
 * a signalfd; host ends of pipes only where the socket may change hands (keeps_stdio()).
 *
 * Who outlives whom: when pid 1 ends, the kernel kills the whole pid namespace. When the socket's peer ends, pid 1
 * ends, unless the sandbox was made to survive (a cube, handed to the next front).
 *
 *   USER     PID  COMMAND                         as seen from outside
 *   1879048192  812  cubit-init
 *   1879049192  813   \_ python3 /work/main.py
 *
 * Exit status of pid 1: 0 the peer went away, 1 the set-up failed (and FAILED was sent).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/init/init.h"

static struct init the_init; /* all zero, so that its 380 KB are not in the image */

static int take_filter(struct init_filter *to, const struct span *from)
{
	if (from->size % sizeof(struct sock_filter) != 0 || from->size > sizeof(to->code))
		return -1;
	to->len = (uint16_t)(from->size / sizeof(struct sock_filter));
	if (from->size)
		memcpy(to->code, from->data, from->size);
	return 0;
}

/* Receive the first message: it must be SETUP with its mounts. */
static int receive_setup(struct init *in, int fds[SETUP_FDS], struct failure *f)
{
	struct frame_header h;
	static union agent_any m;
	size_t n_fds = SETUP_FDS;
	ssize_t n = frame_recv(INIT_SOCKET, in->in, sizeof(in->in), fds, &n_fds, 0, NULL);

	if (n <= 0) {
		errno = n < 0 ? (int)-n : ECONNRESET;
		return fail(f, AGENT_STAGE_RECEIVE, "SETUP");
	}
	errno = EPROTO;
	if (agent_decode(in->in, (size_t)n, &h, &m, NULL) < 0 || h.type != AGENT_SETUP || n_fds != SETUP_FDS ||
	    take_filter(&in->filters[AGENT_FILTER_RUN], &m.setup.filter) < 0 ||
	    take_filter(&in->filters[AGENT_FILTER_COMPILE], &m.setup.compile_filter) < 0)
		return fail(f, AGENT_STAGE_RECEIVE, "SETUP");
	in->setup = m.setup;
	return 0;
}

static int share_births(struct init *in, struct failure *f)
{
	in->births = mmap(NULL, INIT_PROCS_MAX * sizeof(*in->births), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return in->births == MAP_FAILED ? fail(f, AGENT_STAGE_RECEIVE, "shared memory") : 0;
}

static void reply_ready(struct init *in, uint32_t seq)
{
	struct agent_ready ready = { .is_probe = 0, .uid = in->setup.uid, .gid = in->setup.gid };

	reply(in, AGENT_READY, seq, &ready, NULL, 0);
}

static void attach(struct init *in, uint32_t seq)
{
	reply_ready(in, seq);
	for (size_t i = 0; i < INIT_PROCS_MAX; i++) {
		const struct proc *p = &in->procs[i];

		if (p->kind == PROC_PAYLOAD && (p->state == PROC_RUNNING || p->state == PROC_ENDED))
			process_announce(in, p);
	}
}

static void acknowledge(struct init *in, uint32_t seq)
{
	struct proc *p = proc_find(in, seq);

	if (p && p->state == PROC_ENDED)
		proc_release(p);
}

static void refuse_message(struct init *in, uint32_t seq)
{
	struct failure f = { .stage = AGENT_STAGE_REQUEST, .code = EPROTO, .object = "message" };

	reply_refused(in, seq, &f);
}

/* One message from the host. Returns false when the peer is gone. */
static bool serve_message(struct init *in)
{
	static union agent_any m;
	struct frame_header h = { .seq = 0 };
	ssize_t n = frame_recv(INIT_SOCKET, in->in, sizeof(in->in), NULL, NULL, MSG_DONTWAIT, NULL);

	if (n == -EAGAIN)
		return true;
	if (n == 0 || n == -ECONNRESET)
		return false;
	if (n < 0 || agent_decode(in->in, (size_t)n, &h, &m, NULL) < 0) {
		refuse_message(in, h.seq);
		return true;
	}
	switch (h.type) {
	case AGENT_START:
		process_start(in, h.seq, &m.start);
		break;
	case AGENT_SIGNAL:
		process_signal(in, h.seq, &m.signal);
		break;
	case AGENT_RESIZE:
		process_resize(in, h.seq, &m.resize);
		break;
	case AGENT_CLOSE_STDIN:
		process_close_stdin(in, h.seq);
		break;
	case AGENT_FILE:
		file_call(in, h.seq, &m.file);
		break;
	case AGENT_DELIVER:
		deliver(in, h.seq, &m.deliver);
		break;
	case AGENT_CONNECT:
		connect_call(in, h.seq, &m.connect);
		break;
	case AGENT_REPORT:
		probe_start(in, h.seq);
		break;
	case AGENT_ATTACH:
		attach(in, h.seq);
		break;
	case AGENT_ACK:
		acknowledge(in, h.seq);
		break;
	default:
		refuse_message(in, h.seq);
	}
	return true;
}

enum { POLL_SOCKET, POLL_SIGNALS, POLL_FIXED };

/* Add the report pipes of who is starting; procs[i] belongs to fds[POLL_FIXED + i]. Returns how many. */
static size_t add_starting(struct init *in, struct pollfd *fds, struct proc **procs)
{
	size_t n = 0;

	for (size_t i = 0; i < INIT_PROCS_MAX; i++) {
		if (in->procs[i].state != PROC_STARTING)
			continue;
		fds[POLL_FIXED + n] = (struct pollfd){ .fd = in->procs[i].report_fd, .events = POLLIN };
		procs[n++] = &in->procs[i];
	}
	return n;
}

/* Serve until the peer is gone; then end, or wait for the next one when made to survive. */
static void serve(struct init *in, int signal_fd)
{
	struct pollfd fds[POLL_FIXED + INIT_PROCS_MAX] = {
		[POLL_SOCKET] = { .fd = INIT_SOCKET, .events = POLLIN },
		[POLL_SIGNALS] = { .fd = signal_fd, .events = POLLIN },
	};
	struct proc *starting[INIT_PROCS_MAX];

	for (;;) {
		size_t n = add_starting(in, fds, starting);
		struct signalfd_siginfo si;
		int r = poll(fds, POLL_FIXED + n, n ? START_WAKE_MS : -1);

		if (r < 0 && errno != EINTR)
			return;
		if (r <= 0) { /* nobody had anything to say: is somebody being held? */
			process_push(in);
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			if (fds[POLL_FIXED + i].revents)
				process_settle(in, starting[i]);
		}
		/* ends before requests: a START may need the table slot that an end frees */
		if (fds[POLL_SIGNALS].revents && read(signal_fd, &si, sizeof(si)) > 0)
			process_reap(in);
		if (fds[POLL_SOCKET].revents && !serve_message(in)) {
			if (!(in->setup.flags & AGENT_SETUP_SURVIVE))
				return;
			/* The monitor keeps a copy of the other end, so this is the end of it as well; its next
			 * life finds us by the control group and may only kill. Reap until then. */
			fds[POLL_SOCKET].fd = -1;
		}
		process_push(in); /* a busy socket must not keep the held ones waiting */
	}
}

int main(void)
{
	struct init *in = &the_init;
	struct failure f = { .stage = AGENT_STAGE_NONE };
	int fds[SETUP_FDS] = { -1, -1, -1 }, signal_fd;
	sigset_t set;

	in->loadavg_fd = -1;
	/* executed by descriptor, ps would show its number */
	(void)prctl(PR_SET_NAME, "cubit-init", 0, 0, 0);
	/* Until the sandbox is closed nobody may look into this process. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	default_signals(); /* whoever started the supervisor may have ignored SIGCHLD: no end would be seen */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, UNBORN_SIGNAL);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0 || share_births(in, &f) < 0 || receive_setup(in, fds, &f) < 0 ||
	    setup_sandbox(in, fds, &f) < 0) {
		if (f.stage == AGENT_STAGE_NONE)
			(void)fail(&f, AGENT_STAGE_RECEIVE, "signalfd");
		reply_failure(in, AGENT_FAILED, 0, &f);
		return 1;
	}
	reply_ready(in, 0);
	serve(in, signal_fd);
	return 0;
}
