/*
 * The agent protocol: every message between the host (monitor, front, cubit-sandbox) and cubit-init, pid 1 of a
 * sandbox. One SOCK_SEQPACKET pair a sandbox, made before the clone; the inside end is close-on-exec and belongs to
 * pid 1 alone. Framing, bounds and byte order: runtime/base/frame.h.
 *
 * What comes from an agent is as hostile as what comes from the network: the host decodes with these tables, checks
 * every number against what it asked for, and never acts on a path or an id that the agent made up.
 *
 *   host -> agent                                  agent -> host
 *   ------------------------------------------------------------------------------------------------------------
 *   SETUP    once; build the sandbox               READY    self-report, or FAILED with the stage and the object
 *            fds: root mount, dev mount, proc files
 *   START    start a process                       STARTED  fds: stdin, stdout, stderr; or the PTY master; or
 *                                                           REFUSED with the stage
 *                                                  EXITED   wait status and usage, once a process
 *   SIGNAL   to one process (its group) or all     DONE | REFUSED
 *   RESIZE   the PTY of a process                  DONE | REFUSED
 *   FILE     one file call                         FILE_OPEN  fds: the pipe that content flows through, for
 *                                                           read, write, list, walk; then
 *                                                  FILE_DONE  errno, facts
 *   DELIVER  a small file, before the first START   FILE_DONE errno; or REFUSED: a START came before
 *   CONNECT  to a port inside                      CONNECTED  fds: the socket; or REFUSED
 *   REPORT   what does the kernel say of you?      READY
 *   ATTACH   a new peer has taken the socket over  READY, then STARTED for each living process (descriptors again)
 *                                                  and EXITED for each end not yet acknowledged
 *   ACK      an EXITED was recorded                (nothing)
 *   CLOSE_STDIN  of a process; needed with             DONE | REFUSED
 *            AGENT_SETUP_KEEP_STDIO (and SURVIVE), where the agent keeps a copy of the write end
 *
 * `seq` of an answer is that of the request; of EXITED and of re-sent STARTED it is the process's START. A process is
 * named by that number ("proc") for ever.
 *
 * Runs in: front, monitor, cubit-sandbox, and cubit-init inside. Pure; no allocation.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/field_table.h"
#include "runtime/base/frame.h"

struct error;

enum { AGENT_VERSION = 4 };

enum agent_message {
	AGENT_SETUP = 1,
	AGENT_START,
	AGENT_SIGNAL,
	AGENT_RESIZE,
	AGENT_FILE,
	AGENT_CONNECT,
	AGENT_REPORT,
	AGENT_ATTACH,
	AGENT_ACK,
	AGENT_CLOSE_STDIN,
	AGENT_DELIVER,

	AGENT_READY = 64,
	AGENT_FAILED,
	AGENT_STARTED,
	AGENT_REFUSED,
	AGENT_EXITED,
	AGENT_DONE,
	AGENT_FILE_OPEN,
	AGENT_FILE_DONE,
	AGENT_CONNECTED,
	AGENT_MESSAGES,
};

/* What pid 1 has to build. Order of work and reasons: runtime/init/setup.c. */
struct agent_setup {
	uint32_t flags;       /* AGENT_SETUP_* */
	uint64_t caps;        /* capabilities (bits, capabilities(7)) that processes may keep: 0 for jobs */
	uint64_t shm_bytes;   /* size of /dev/shm */
	uint32_t uid, gid;    /* identity of processes that do not ask for another; 1000 */
	uint32_t ptys;        /* terminals that there may be at once */
	uint32_t fault_stage; /* tests: fail with ENOTRECOVERABLE at this stage; 0 is none */
	char hostname[65];
	struct span filter;         /* struct sock_filter[]; every process gets it, there is no way to ask for none */
	struct span compile_filter; /* the same, for those that ask for it instead; empty: there is no other */
};

enum agent_filter { AGENT_FILTER_RUN = 0, AGENT_FILTER_COMPILE = 1, AGENT_FILTERS };

enum {
	AGENT_SETUP_OWN_NET = 1,     /* the network namespace is new: bring lo up */
	AGENT_SETUP_ROOT = 2,        /* processes may be uid 0 inside (cube, build) */
	AGENT_SETUP_SURVIVE = 4,     /* stay when the peer goes away (cubes); otherwise the sandbox ends with it */
	AGENT_SETUP_CORE_SCHED = 8,  /* no SMT sharing with others, PR_SCHED_CORE */
	AGENT_SETUP_SPEC_ALLOW = 16, /* leave speculation as the host has it */
	/*
	 * Keep copies of the host's ends of standard descriptors, and ends until their ACK, so that ATTACH can tell a new
	 * holder of the socket everything again (the front died, the monitor has a duplicate). When nobody holds the
	 * socket any more the sandbox ends all the same. SURVIVE implies it.
	 */
	AGENT_SETUP_KEEP_STDIO = 32,
};

enum agent_stdio { AGENT_STDIO_PIPES = 0, AGENT_STDIO_PTY = 1, AGENT_STDIO_NO_STDIN = 2 /* pipes, stdin is null */ };

enum { AGENT_RLIMITS_MAX = 16 };

struct agent_start {
	struct span argv;  /* NUL-terminated strings, one after the other; at least one */
	struct span env;   /* the same; the whole environment, nothing is inherited */
	char cwd[4096];    /* "" is / */
	uint32_t uid, gid; /* UINT32_MAX: the sandbox's default. 0 only with AGENT_SETUP_ROOT */
	uint32_t stdio;    /* enum agent_stdio */
	uint32_t filter;   /* enum agent_filter */
	uint16_t cols, rows;
	uint32_t umask;
	struct span rlimits; /* struct agent_rlimit[], packed little-endian: u32 resource, u64 soft, u64 hard */
};

struct agent_signal {
	uint32_t proc;  /* 0: every process of the sandbox but pid 1 */
	uint32_t signo; /* sent to the process group, then, if that is gone, to the process */
};

struct agent_resize {
	uint32_t proc;
	uint16_t cols, rows;
};

enum agent_file_op {
	AGENT_FILE_READ = 1, /* content comes out of the pipe */
	AGENT_FILE_WRITE,    /* content goes into the pipe; written beside and renamed at end of file */
	AGENT_FILE_LIST,     /* records come out of the pipe, see struct agent_file_record */
	AGENT_FILE_WALK,     /* the same, recursively, at most `limit` records */
	AGENT_FILE_STAT,
	AGENT_FILE_MKDIR, /* and its parents; an existing directory is no error */
	AGENT_FILE_RENAME,
	AGENT_FILE_REMOVE, /* with AGENT_FILE_RECURSIVE a whole tree */
	AGENT_FILE_CHMOD,
	AGENT_FILE_OPS,
};

enum { AGENT_FILE_RECURSIVE = 1, AGENT_FILE_PARENTS = 2 /* write: make missing parent directories */ };

struct agent_file {
	uint32_t op;
	uint32_t flags;
	uint32_t uid, gid; /* as agent_start: file calls have an identity too */
	uint32_t mode;
	uint64_t offset, limit; /* read: from, at most (0: to the end); walk: depth in offset, records in limit */
	char path[4096], path2[4096];
};

/*
 * A file that was not there, with the directories above it, written by the agent itself with the sandbox's default identity:
 * no process and no pipe. Only as long as no program was started inside, when nobody can have prepared the way: then, and
 * where the image has (EEXIST) or leads elsewhere (ELOOP), there is FILE.
 */
enum { AGENT_DELIVER_MAX = 20 << 10 /* of content; some of them fit into the socket together */ };

struct agent_deliver {
	uint32_t mode;
	char path[4096]; /* absolute */
	struct span content;
};

struct agent_connect {
	uint16_t port;
	uint8_t is_v6;
};

/*
 * After SETUP and ATTACH only is_probe = 0 and the identity are filled. After REPORT the agent starts a process that goes
 * through what every payload goes through, up to its filter, and reads what /proc says of it.
 */
struct agent_ready {
	uint32_t is_probe;
	uint32_t seccomp;                   /* the "Seccomp:" of a probe process started like any payload: 2 */
	uint32_t no_new_privs;              /* its "NoNewPrivs:" */
	uint64_t cap_eff, cap_prm, cap_bnd; /* its "CapEff:" ... */
	uint32_t uid, gid;                  /* its real ids inside */
	char uid_map[256];                  /* /proc/self/uid_map */
	char speculation[256];              /* its "Speculation_Store_Bypass:" and indirect branch lines */
};

struct agent_failed {
	uint32_t stage; /* enum agent_stage */
	uint32_t code;  /* errno */
	char object[256];
};

struct agent_started {
	uint32_t pid_inside;
	uint64_t at_ns; /* CLOCK_MONOTONIC just before exec */
};

struct agent_exited {
	uint32_t wait_status; /* waitpid(2) form */
	uint64_t at_ns;
	uint64_t user_ns, system_ns;
	uint64_t max_rss_bytes;
	uint64_t
		agent_ns; /* cpu time that pid 1 itself used from the START to this end: it is in the group's counters */
	uint32_t
		tasks_made; /* processes and threads made inside since the START, the program itself among them; 0: unknown */
	uint8_t never_began; /* it ended before its program began, although nothing of ours failed: the filter, or a signal */
};

struct agent_file_done {
	uint32_t code; /* errno, 0 when it went well */
	uint64_t bytes;
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime_ns;
	uint8_t is_cut; /* a walk or list that reached its limit */
};

struct agent_connected {
	uint32_t code;
};

/* SETUP and START happen in stages; each has a name for messages. The order is the order of work. */
#define AGENT_STAGES(X)                                                                                                \
	X(NONE, "nothing")                                                                                             \
	X(SHED, "shed what the process that made it had")                                                              \
	X(JOIN_CGROUP, "join the control groups")                                                                      \
	X(KEEP_CAPS, "keep capabilities over exec")                                                                    \
	X(EXEC_INIT, "execute cubit-init")                                                                             \
	X(RECEIVE, "receive the specification")                                                                        \
	X(IDENTITY, "become root inside")                                                                              \
	X(CGROUP_NS, "enter a cgroup and a time namespace")                                                            \
	X(PROC, "mount /proc")                                                                                         \
	X(ROOT, "attach the root file system")                                                                         \
	X(DEV, "attach /dev")                                                                                          \
	X(MASK, "mask a path in /proc")                                                                                \
	X(PIVOT, "change the root")                                                                                    \
	X(HOSTNAME, "set the host name")                                                                               \
	X(NETWORK, "bring the loopback interface up")                                                                  \
	X(SESSION, "start a new session and keyring")                                                                  \
	X(SPECULATION, "restrict speculation")                                                                         \
	X(CORE_SCHED, "ask for core scheduling")                                                                       \
	X(DROP, "drop privileges")                                                                                     \
	X(STDIO, "make pipes or a terminal")                                                                           \
	X(FORK, "start a process")                                                                                     \
	X(CWD, "change to the working directory")                                                                      \
	X(RLIMIT, "set a resource limit")                                                                              \
	X(CREDENTIALS, "take the identity")                                                                            \
	X(CAPABILITIES, "empty the capability sets")                                                                   \
	X(SECCOMP, "install the system call filter")                                                                   \
	X(EXEC, "execute the program")                                                                                 \
	X(POLICY, "execute the program: the policy refuses execve")                                                    \
	X(REQUEST, "understand the request")

enum agent_stage {
#define X(name, text) AGENT_STAGE_##name,
	AGENT_STAGES(X)
#undef X
		AGENT_STAGE_COUNT,
};

/* The stage in words; "an unknown stage" for numbers out of range. Static memory. */
const char *agent_stage_name(uint32_t stage);

/*
 * One encoder and one decoder for every message, driven by the field tables in agent_proto.c.
 *
 * agent_encode   message points to the struct of `type`; types without fields take NULL.
 *                memory: where to, at most capacity bytes; w is ready for frame_send().
 * agent_decode   data: a received datagram; ret: large enough for the struct of its type: union agent_any.
 *                Spans and nothing else point into data.
 * Return 0 or -errno (-EMSGSIZE, -EPROTO) with err filled.
 */
union agent_any {
	struct agent_setup setup;
	struct agent_start start;
	struct agent_signal signal;
	struct agent_resize resize;
	struct agent_file file;
	struct agent_deliver deliver;
	struct agent_connect connect;
	struct agent_ready ready;
	struct agent_failed failed;
	struct agent_started started;
	struct agent_exited exited;
	struct agent_file_done file_done;
	struct agent_connected connected;
};

int agent_encode(struct frame_writer *w, void *memory, size_t capacity, enum agent_message type, uint32_t seq,
		 const void *message, struct error *err);
int agent_decode(const void *data, size_t size, struct frame_header *ret_header, union agent_any *ret,
		 struct error *err);

/*
 * Walk a span of NUL-terminated strings: NULL starts, the result is the next string, NULL at the end.
 * A span whose last byte is not NUL is refused by agent_decode for argv and env, so this cannot run over.
 */
const char *span_next(const struct span *s, const char *previous);

enum { AGENT_RLIMIT_BYTES = 20 };

/* Records of list and walk: one line of JSON-free text would need escaping, so: frame fields, each record preceded by
 * its u32 length. type: 'f' file, 'd' directory, 'l' symbolic link, 'p', 's', 'c', 'b'. */
struct agent_file_record {
	uint8_t type;
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime_ns;
	char path[4096]; /* relative to the path asked for */
	char link[4096]; /* target of a symbolic link, as it stands there */
};

/* Append a record to memory; returns bytes written, or 0 when it does not fit. */
size_t agent_record_encode(void *memory, size_t capacity, const struct agent_file_record *r);

/* Take one record from the front of a stream. Returns bytes used, 0 when more bytes are needed, -EPROTO. */
ssize_t agent_record_decode(const void *data, size_t size, struct agent_file_record *ret);
