/*
 * cubit-init: what its files share. Runs in: pid 1 of a sandbox, and the children it forks. Single-threaded.
 *
 * No allocation and no stdio anywhere in this program: the tables below are all the memory there is.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/agent/agent_proto.h"

enum {
	INIT_SOCKET = 3,        /* the agent socket, put there before exec */
	INIT_FILTER_MAX = 4096, /* BPF_MAXINSNS */
	INIT_PROCS_MAX = 128,
};

/*
 * A payload or a probe is STARTING from fork to exec, when its report pipe closes. It has the payload's uid by then, so
 * other payloads may stop it: pid 1 never waits for it, wakes it up again, and gives up after START_TIMEOUT_MS.
 */
enum proc_state { PROC_FREE, PROC_STARTING, PROC_RUNNING, PROC_ENDED };

enum proc_kind {
	PROC_PAYLOAD,
	PROC_HELPER, /* a file or connect call: its end is not reported, it reports by itself */
	PROC_PROBE,  /* what the kernel says of it, a process like any payload, becomes READY: probe.c */
};

enum { START_TIMEOUT_MS = 3000, START_WAKE_MS = 5 };

enum { UNBORN_SIGNAL = 10 /* SIGUSR1: a child ended before its program began; fork_unborn() in process.c */ };

struct init;
struct proc;

/* Who wants to know more of a process than its end, and settles what comes on its report itself. */
struct proc_watch {
	void (*settle)(struct proc *p); /* its report has something, or its end */
	void (*unborn)(struct init *in,
		       struct proc *p); /* it ended before exec and is not reaped: answer, release it */
};

/* One process started for the host. */
struct proc {
	enum proc_state state;
	enum proc_kind kind;
	uint32_t seq;
	pid_t pid;
	int report_fd; /* while STARTING: ends with exec or with the child. Of a probe: a socket that brings files */
	uint64_t deadline_ns; /* while STARTING */
	int fds[3];           /* host ends; once RUNNING, kept only when keeps_stdio(). fds[0] alone for a PTY */
	bool is_pty;
	uint32_t last_pid; /* the last one given away inside before it was made; 0: unknown */
	uint64_t agent_ns; /* what pid 1 had used by then */
	struct agent_started started;
	struct agent_exited exited;
	const struct proc_watch *watch; /* NULL: nobody */
};

/* Why something could not be done: goes out as FAILED or REFUSED. */
struct failure {
	enum agent_stage stage;
	int code; /* positive errno */
	char object[256];
};

/*
 * What a child says before exec: in memory that it shares with pid 1, as the payload's filter may refuse write(2). Only
 * code of ours runs in a process that has this memory: exec takes it away.
 */
struct birth {
	uint32_t is_filtered; /* the filter is installed */
	uint32_t has_failed;  /* `failure` is whole */
	struct failure failure;
};

struct init_filter {
	struct sock_filter code[INIT_FILTER_MAX];
	uint16_t len; /* 0: there is none */
};

struct init {
	struct agent_setup setup; /* its filters are in `filters` */
	struct init_filter filters[AGENT_FILTERS];
	bool has_started; /* a program was asked for: the files are its own */
	int loadavg_fd;   /* the kernel's own /proc/loadavg, which ends with the last pid given away inside; -1: none */
	struct proc procs[INIT_PROCS_MAX];
	struct birth *births; /* INIT_PROCS_MAX of them: births[i] is of procs[i] */
	uint8_t in[FRAME_MAX_BYTES];
	uint8_t out[FRAME_MAX_BYTES];
};

/* Will another holder of the socket ask again (ATTACH)? */
static inline bool keeps_stdio(const struct init *in)
{
	return in->setup.flags & (AGENT_SETUP_SURVIVE | AGENT_SETUP_KEEP_STDIO);
}

/* ---- reply.c ---- */

/* Record errno and the object; always returns -1. */
int fail(struct failure *f, enum agent_stage stage, const char *object);

/* Send one message; a peer that is gone ends the sandbox unless it is to survive, so there is nothing to return. */
void reply(struct init *in, enum agent_message type, uint32_t seq, const void *message, const int *fds, size_t n_fds);
void reply_failure(struct init *in, enum agent_message type, uint32_t seq, const struct failure *f);
void reply_refused(struct init *in, uint32_t seq, const struct failure *f);

/* ---- setup.c ---- */

enum { SETUP_ROOT, SETUP_DEV, SETUP_PROC, SETUP_FDS }; /* descriptors that come with SETUP */

/*
 * Build the sandbox from inside, in the order of enum agent_stage, ending unprivileged.
 * fds: detached mounts: the root, /dev, made files of /proc (proc_files.h); all are consumed. Returns 0 or -1 with f filled.
 */
int setup_sandbox(struct init *in, const int fds[SETUP_FDS], struct failure *f);

/* ---- restrict.c ---- */

/* What a process inside is allowed to be. */
struct identity {
	uint32_t uid, gid;
	uint64_t caps;       /* it keeps these, and only as uid 0 */
	uint64_t agent_caps; /* what pid 1 has in its bounding set */
};

/* Make uid/gid UINT32_MAX the default; refuse uid or gid 0 without AGENT_SETUP_ROOT. 0 or -1 with errno EPERM. */
int identity_resolve(const struct init *in, uint32_t uid, uint32_t gid, struct identity *ret);

/* Shrink pid 1 itself after the set-up: to what an agent needs. */
int restrict_agent(const struct agent_setup *setup, struct failure *f);

/*
 * The one function that turns a forked child into a payload: signals, identity, capabilities, working directory,
 * descriptors. Every process a host asks for passes through it, the first and all later ones.
 */
int restrict_identity(const struct identity *id, const char *cwd, struct failure *f);

/* Every signal does what it does by default, and none is blocked. Once, in pid 1: its children have it from there. */
void default_signals(void);

/* Install one of the sandbox's filters: last before exec. One that is not there is refused. */
int restrict_filter(const struct init *in, uint32_t which, struct failure *f);

/* ---- process.c ---- */

struct proc *proc_new(struct init *in, enum proc_kind kind, uint32_t seq);
struct proc *proc_find(struct init *in, uint32_t seq);
struct proc *proc_by_pid(struct init *in, pid_t pid);
void proc_release(struct proc *p);

/* Begin what START asks for; STARTED or REFUSED follows when the program runs or has failed to. */
void process_start(struct init *in, uint32_t seq, const struct agent_start *start);

/* Tell the host about a process again (ATTACH). */
void process_announce(struct init *in, const struct proc *p);

/* Take every dead child; report the ends of processes. */
void process_reap(struct init *in);

/* A STARTING process's report has something, or its end. */
void process_settle(struct init *in, struct proc *p);

/* Wake up who is STARTING and was stopped; give up on those past their deadline. */
void process_push(struct init *in);

void process_signal(struct init *in, uint32_t seq, const struct agent_signal *s);
void process_resize(struct init *in, uint32_t seq, const struct agent_resize *r);
void process_close_stdin(struct init *in, uint32_t seq);

/*
 * Fork a child that is to become a program, or to be a probe. pair: its report, pid 1's end and the child's; taken in
 * pid 1, and pair[1] stays open in the child. Returns 0 in the child; in pid 1: 1 with p's pid, report and deadline set, or
 * -1 with f filled.
 */
int process_fork(struct init *in, struct proc *p, int pair[2], struct failure *f);

struct birth *birth_of(struct init *in, const struct proc *p);

/* In the child: say f, unless its stage is NONE, and end, whatever calls the filter refuses. */
_Noreturn void birth_end(struct birth *b, const struct failure *f);

/* In pid 1, when the child has ended: did it say why? */
bool birth_failed(struct init *in, const struct proc *p, struct failure *ret);

/* ---- probe.c ---- */

/* REPORT: what does the kernel say of a process like any payload? READY or REFUSED follows when the probe has ended. */
void probe_start(struct init *in, uint32_t seq);

/* ---- file.c, connect.c: each call is a forked child with the caller's identity ---- */

void file_call(struct init *in, uint32_t seq, const struct agent_file *file);
void connect_call(struct init *in, uint32_t seq, const struct agent_connect *c);

/* ---- deliver.c ---- */

/* DELIVER: by pid 1 itself. FILE_DONE or REFUSED is sent. */
void deliver(struct init *in, uint32_t seq, const struct agent_deliver *d);

/* ---- helper.c ---- */

/*
 * Fork a helper for a call. In the child: identity taken, returns 0. In pid 1: returns 1, or -1 after REFUSED was
 * sent. The child ends with _exit.
 */
int helper_fork(struct init *in, uint32_t seq, uint32_t uid, uint32_t gid);
