/*
 * The monitor with this test as its front, an honest one and a hostile one, over a socket pair; then as a process with
 * fronts of its own, which are this program again (FRONT_ARGUMENT).
 *
 * # timeout: 180
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/store/store.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/core_sched.h"
#include "runtime/sandbox.h"
#include "runtime/verdict.h"
#include "supervisor/front/confine.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/monitor/monitor_impl.h"
#include "supervisor/monitor/sandboxes.h"
#include "supervisor/protocol/front_fds.h"
#include "supervisor/settings.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/support/settings.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"
#define IMAGE   "localhost/payload:latest"
#define MIB     (1ULL << 20)

enum { WAIT_S = 180, TURN_MS = 10, FRONT_UID = 61234, KEPT_MAX = 16 };

static struct test_host host;
static struct guest guest;
static struct settings settings;
static struct monitor *mon;
static int front = -1; /* our end */
static char manifest[MONITOR_DIGEST_BYTES];
static uint32_t seq;

/* ---- an image of one program ---- */

static int copy_file(int from_dir, const char *from, int to_dir, const char *to)
{
	cleanup_fd int in = openat(from_dir, from, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = openat(to_dir, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	char chunk[65536];
	ssize_t n;

	while ((n = read(in, chunk, sizeof(chunk))) > 0) {
		if (fd_write_all(out, chunk, (size_t)n, NULL) < 0)
			return -1;
	}
	return (int)n;
}

static void make_image(const char *state)
{
	static const char config[] = "{\"config\":{\"Env\":[\"MADE=by hand\"]}}";
	struct image_record r = { .name = IMAGE, .n_layers = 1 };
	struct store_layer_writer *w = NULL;
	struct error err = ERROR_INIT;
	struct digest diff, blob;
	struct store *s = NULL;
	char root[700];
	int dir = -1;

	(void)snprintf(root, sizeof(root), "%s/images", state);
	digest_of(state, strlen(state), &diff);
	digest_of("a layer as it came", 18, &blob);
	digest_of("the manifest", 12, &r.manifest);
	need(mkdir(state, 0711) == 0 && store_open(root, &s, &err) == 0, "a store opens %s", err.text);
	need(store_layer_begin(s, &diff, &w, &dir, &err) == 0, "a layer is begun %s", err.text);
	need(mkdirat(dir, "bin", 0755) == 0 && copy_file(host.layer_fd, "bin/payload", dir, "bin/payload") == 0 &&
		     store_layer_commit(w, NULL, &err) == 0,
	     "and finished");
	need(store_blob_put(s, config, strlen(config), &r.config, &err) == 0, "with a configuration");
	r.blobs = &blob;
	r.diff_ids = &diff;
	need(store_ref_set(s, &r, &err) == 0, "and a name %s", err.text);
	(void)snprintf(manifest, sizeof(manifest), "%s", r.manifest.text);
	store_close(s);
}

static char *below(const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", host.dir, name) < 0)
		abort();
	return path;
}

/* The sandbox host has its claims elsewhere. */
static void make_settings(struct settings *s, char *run_dir)
{
	test_settings(s, host.dir);
	free(s->run_dir);
	s->run_dir = run_dir;
	s->max_output = MIB;
	s->pool_memory = s->pool_per_class = 0;
}

/* ---- being the front ---- */

struct message {
	struct frame_header h;
	union monitor_any any;
	int fds[MONITOR_FDS_SANDBOX];
	size_t n_fds;
	bool is_end; /* the monitor closed the link */
};

static void message_done(struct message *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		fd_close(&m->fds[i]);
	m->n_fds = 0;
}

static void turn(int ms)
{
	struct error err = ERROR_INIT;

	if (monitor_turn(mon, ms, &err) < 0) {
		diag("%s", err.text);
		abort();
	}
}

/* The next message, the monitor taking turns meanwhile. False when none comes. */
static bool next_within(struct message *m, uint64_t ms)
{
	static uint8_t memory[8192];
	uint64_t deadline = clock_deadline_ns(ms * NS_PER_MS);

	*m = (struct message){ .n_fds = MONITOR_FDS_SANDBOX };
	do {
		ssize_t n = frame_recv(front, memory, sizeof(memory), m->fds, &m->n_fds, MSG_DONTWAIT, NULL);

		if (n == 0 || n == -ECONNRESET) {
			m->is_end = true;
			m->n_fds = 0;
			return true;
		}
		if (n > 0)
			return monitor_decode(memory, (size_t)n, &m->h, &m->any, NULL) == 0;
		m->n_fds = MONITOR_FDS_SANDBOX;
		turn(TURN_MS);
	} while (clock_now_ns() < deadline);
	m->n_fds = 0;
	return false;
}

static bool next(struct message *m)
{
	return next_within(m, WAIT_S * 1000);
}

static void say(enum monitor_message type, const void *what)
{
	static uint8_t memory[8192];
	struct frame_writer w;

	if (monitor_encode(&w, memory, sizeof(memory), type, ++seq, what, NULL) < 0 ||
	    frame_send(front, &w, NULL, 0, 0, NULL) < 0)
		diag("%s was not sent", monitor_message_name(type));
}

/* Ask and take the answer; STOPPED of others may come between. */
static void ask(enum monitor_message type, const void *what, struct message *m)
{
	say(type, what);
	while (next(m) && !m->is_end && m->h.seq != seq)
		message_done(m);
}

static bool is_refused(const struct message *m, uint32_t code)
{
	if (m->h.type == MONITOR_REFUSED && m->any.refused.code == code)
		return true;
	diag("%s %u '%s'", monitor_message_name(m->h.type), m->any.refused.code,
	     m->h.type == MONITOR_REFUSED ? m->any.refused.text : "");
	return false;
}

/* A new front; returns how many sandboxes it is offered. */
static uint32_t connect_front(void)
{
	struct error err = ERROR_INIT;
	struct message m;
	int pair[2];

	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	front = pair[0];
	need(monitor_attach_front(mon, pair[1], &err) == 0, "a front is attached %s", err.text);
	need(next(&m) && m.h.type == MONITOR_WELCOME, "it is told WELCOME");
	return m.any.welcome.n_adopt;
}

/* ---- sandboxes of the front ---- */

struct box {
	struct sandbox s; /* of which guest.h uses the socket */
	int out, err, index;
	char id[MONITOR_ID_BYTES];
};

static struct monitor_create request(const char *id)
{
	struct monitor_create m = {
		.policy = "default",
		.memory_bytes = 64 * MIB,
		.disk_bytes = 16 * MIB,
		.processes = 16,
		.cpus_milli = 1000,
	};

	(void)snprintf(m.id, sizeof(m.id), "%s%s", host.prefix, id);
	(void)snprintf(m.manifest, sizeof(m.manifest), "%s", manifest);
	return m;
}

static void box_take(struct box *b, struct message *m)
{
	b->s = (struct sandbox){ .sock = m->fds[0], .pidfd = -1, .disk_fd = -1, .proc_fd = -1, .next_seq = 1 };
	b->out = m->fds[1];
	b->err = m->fds[2];
	b->index = m->fds[3];
	m->n_fds = 0;
}

static void box_close(struct box *b)
{
	fd_close(&b->s.sock);
	fd_close(&b->out);
	fd_close(&b->err);
	fd_close(&b->index);
}

static void create(struct box *b, const struct monitor_create *m)
{
	struct message a;

	ask(MONITOR_CREATE, m, &a);
	need(a.h.type == MONITOR_CREATED && a.n_fds == MONITOR_FDS_SANDBOX, "a sandbox is made: %s",
	     a.h.type == MONITOR_REFUSED ? a.any.refused.text : "CREATED with four descriptors");
	memcpy(b->id, m->id, sizeof(b->id));
	box_take(b, &a);
}

/* READY is awaited before anything counts, as a front does. */
static void ready(struct box *b)
{
	struct error err = ERROR_INIT;

	need(sandbox_wait_ready(&b->s, WAIT_S * 1000, &err) == 0, "it is ready %s", err.text);
	guest_init(&guest, &b->s);
}

static void stage(const struct box *b, struct monitor_stage s)
{
	struct message a;

	memcpy(s.id, b->id, sizeof(s.id));
	ask(MONITOR_STAGE, &s, &a);
	ok(a.h.type == MONITOR_DONE, "a stage begins %s", a.h.type == MONITOR_REFUSED ? a.any.refused.text : "");
}

static struct monitor_facts finish(const struct box *b)
{
	struct monitor_finish f;
	struct message a;

	memcpy(f.id, b->id, sizeof(f.id));
	ask(MONITOR_FINISH, &f, &a);
	ok(a.h.type == MONITOR_FACTS && strcmp(a.any.facts.id, b->id) == 0, "FINISH gives its facts");
	return a.any.facts;
}

static bool wait_stopped(const struct box *b, uint32_t *ret_stop)
{
	struct message m;

	if (!next(&m) || m.h.type != MONITOR_STOPPED || m.h.seq != 0 || strcmp(m.any.stopped.id, b->id) != 0)
		return false;
	*ret_stop = m.any.stopped.stop;
	return true;
}

static struct guest_call *start(const char *const *argv)
{
	const struct process_spec p = guest_process(argv);
	struct guest_call *c = guest_start(&guest, &p);

	need(guest_wait_open(&guest, c), "%s starts", argv[1]);
	return c;
}

static void settle(size_t n)
{
	for (int i = 0; i < 1000 && (sandboxes_count(mon->sandboxes) > n || netns_pool_wants_more(&mon->nets)); i++)
		turn(TURN_MS);
}

/* ---- an honest front ---- */

/* What the kernel cannot do is refused once, in words; where it can, every sandbox below has it. */
static void test_core_sched(void)
{
	struct monitor *none = NULL;
	struct error err = ERROR_INIT;

	settings.core_sched = true;
	if (core_sched_probe() != CORE_SCHED_NO_KERNEL)
		return;
	is_int(monitor_open(&settings, &none, &err), -ENOTSUP, "CUBIT_CORE_SCHED on a kernel without it is refused");
	ok(strstr(err.text, "CUBIT_CORE_SCHED") && strstr(err.text, "CONFIG_SCHED_CORE"), "in words: %s", err.text);
	settings.core_sched = false;
}

static void test_resolve(void)
{
	struct monitor_resolve r = { .image = IMAGE };
	cleanup_buf struct buf text = BUF_INIT;
	struct message m;

	ask(MONITOR_RESOLVE, &r, &m);
	ok(m.h.type == MONITOR_IMAGE && strcmp(m.any.image.manifest, manifest) == 0, "an image is found by its name");
	ok(m.n_fds == 1 && fd_read_all(m.fds[0], 4096, &text, NULL) == 0 && strstr(buf_str(&text), "MADE=by hand"),
	   "with its configuration to read");
	ok(m.n_fds == 1 && write(m.fds[0], "x", 1) < 0 && errno == EBADF, "and not to write");
	message_done(&m);
	(void)snprintf(r.image, sizeof(r.image), "localhost/payload");
	ask(MONITOR_RESOLVE, &r, &m);
	ok(m.h.type == MONITOR_IMAGE, "the tag may be left out");
	message_done(&m);
	(void)snprintf(r.image, sizeof(r.image), "localhost/nothing:1");
	ask(MONITOR_RESOLVE, &r, &m);
	ok(is_refused(&m, ENOENT), "an unknown one is refused");
	(void)snprintf(r.image, sizeof(r.image), "../../etc/passwd");
	ask(MONITOR_RESOLVE, &r, &m);
	ok(is_refused(&m, EINVAL), "a path is no name");
	r.image[0] = '\0';
	ask(MONITOR_RESOLVE, &r, &m);
	ok(is_refused(&m, EINVAL), "nor is nothing");
}

static void test_run(void)
{
	struct monitor_create m = request("run");
	cleanup_buf struct buf out = BUF_INIT;
	struct monitor_facts facts;
	struct guest_call *c;
	struct message a;
	struct box b;

	create(&b, &m);
	ok(write(b.out, "journal", 7) == 7 && write(b.index, "x", 1) == 1, "its journal can be written");
	ready(&b);
	stage(&b, (struct monitor_stage){ .cpu_ns = 5 * NS_PER_S, .wall_ns = 10 * NS_PER_S, .processes = 8 });
	c = start(ARGV(PAYLOAD, "echo", "hello", "there"));
	is_int(guest_finish(&guest, c, NULL, 0, &out, NULL), 0, "a program runs in it");
	is_str(buf_str(&out), "hello there\n", "and is heard");
	ask(MONITOR_CREATE, &m, &a);
	ok(is_refused(&a, EEXIST), "its id is taken");
	facts = finish(&b);
	ok(facts.stop == STOP_NONE && facts.cpu_ns > 0 && facts.cpu_ns < 5 * NS_PER_S && facts.oom_kills == 0 &&
		   facts.pids_max_hits == 0 && facts.pids_peak >= 2,
	   "the facts are those of a short program");
	is_str(guest_done(&guest), "", "every answer was asked for");
	box_close(&b);
	settle(0);
	is_int(sandboxes_count(mon->sandboxes), 0, "then it is removed");
	ask(MONITOR_FINISH, &(struct monitor_finish){ .id = "nobody" }, &a);
	ok(is_refused(&a, ENOENT), "who is not there cannot be finished");
}

static void test_cpu_limit(void)
{
	struct monitor_create m = request("cpu");
	uint64_t began, took;
	uint32_t stop = 99;
	struct box b;

	create(&b, &m);
	ready(&b);
	stage(&b, (struct monitor_stage){ .cpu_ns = 300 * NS_PER_MS, .wall_ns = 20 * NS_PER_S });
	began = clock_now_ns();
	(void)start(ARGV(PAYLOAD, "spin"));
	ok(wait_stopped(&b, &stop) && stop == STOP_CPU, "a program that uses up its cpu time is stopped");
	took = clock_now_ns() - began;
	ok(took >= 250 * NS_PER_MS && took < 5 * NS_PER_S, "about when it has (%llu ms)",
	   (unsigned long long)(took / NS_PER_MS));
	{
		struct monitor_facts f = finish(&b);

		ok(f.stop == STOP_CPU && f.cpu_ns >= 300 * NS_PER_MS && f.cpu_ns < NS_PER_S,
		   "the facts say so: %llu ms", (unsigned long long)(f.cpu_ns / NS_PER_MS));
	}
	(void)guest_done(&guest);
	box_close(&b);
}

static void test_wall_limit(void)
{
	struct monitor_create m = request("wall");
	uint32_t stop = 99;
	struct box b;

	create(&b, &m);
	ready(&b);
	stage(&b, (struct monitor_stage){ .wall_ns = 200 * NS_PER_MS });
	(void)start(ARGV(PAYLOAD, "ignore"));
	ok(wait_stopped(&b, &stop) && stop == STOP_WALL, "the wall clock stops one that sleeps");
	is_int(finish(&b).stop, STOP_WALL, "and the facts say so");
	(void)guest_done(&guest);
	box_close(&b);
}

/* Calls of read(2) and its like that this process, the monitor, has made. */
static unsigned long count_reads(void)
{
	cleanup_buf struct buf text = BUF_BOUNDED(4096);
	const char *at;

	(void)fd_read_file(AT_FDCWD, "/proc/self/io", 4096, &text, NULL);
	at = strstr(buf_str(&text), "syscr: ");
	return at ? strtoul(at + strlen("syscr: "), NULL, 10) : 0;
}

/* Hundreds of them may do nothing at once: what is counted for them is not looked at all the time. */
static void test_idle(void)
{
	struct monitor_create m = request("idle");
	unsigned long before, reads;
	struct box b;

	create(&b, &m);
	ready(&b);
	stage(&b, (struct monitor_stage){ .cpu_ns = 10 * NS_PER_S, .wall_ns = 30 * NS_PER_S });
	(void)start(ARGV(PAYLOAD, "sleep"));
	for (uint64_t until = clock_deadline_ns(NS_PER_S); clock_now_ns() < until;)
		turn(TURN_MS); /* namespaces are made ahead meanwhile */
	before = count_reads();
	for (uint64_t until = clock_deadline_ns(NS_PER_S); clock_now_ns() < until;)
		turn(TURN_MS);
	reads = count_reads() - before;
	ok(before > 0 && reads < 60, "a program that sleeps is hardly looked at: %lu reads in a second", reads);
	(void)finish(&b);
	(void)guest_done(&guest);
	box_close(&b);
}

static void test_memory_limit(void)
{
	const bool is_hybrid = sandbox_host_cgroups(host.host)->is_hybrid;
	struct monitor_create m = request("memory");
	struct monitor_facts f;
	uint64_t began;
	uint32_t stop = 99;
	struct box b;

	m.memory_bytes = 128 * MIB;
	create(&b, &m);
	ready(&b);
	stage(&b, (struct monitor_stage){ .memory_bytes = 32 * MIB, .wall_ns = 20 * NS_PER_S });
	began = clock_now_ns();
	(void)start(ARGV(PAYLOAD, "memory-child"));
	ok(wait_stopped(&b, &stop) && (stop == STOP_MEMORY || stop == STOP_NONE),
	   "a program that takes too much memory ends, with all of its sandbox");
	/* v1 kills one process alone: the monitor is told, and does not find out at its next look in two seconds */
	ok(!is_hybrid || clock_now_ns() - began < 1500 * NS_PER_MS, "at once");
	f = finish(&b);
	ok(f.oom_kills > 0, "the kernel counted why");
	/* a process that the kernel is killing may take a little more */
	ok(f.memory_peak_bytes <= 40 * MIB, "and the stage's limit held, not the sandbox's first (%llu KiB)",
	   (unsigned long long)(f.memory_peak_bytes >> 10));
	(void)guest_done(&guest);
	box_close(&b);
}

static void test_process_limit(void)
{
	struct monitor_create m = request("forks");
	struct monitor_facts f;
	uint32_t stop = 99;
	struct box b;

	create(&b, &m);
	ready(&b);
	stage(&b, (struct monitor_stage){ .processes = 8, .wall_ns = NS_PER_S });
	(void)start(ARGV(PAYLOAD, "fork"));
	ok(wait_stopped(&b, &stop) && stop == STOP_WALL,
	   "a program that forks too often is refused, and goes on till its time is over");
	f = finish(&b);
	ok(f.pids_max_hits > 0 && f.pids_peak <= 9, "at the stage's limit");
	(void)guest_done(&guest);
	box_close(&b);
}

static void test_kill(void)
{
	struct monitor_create m = request("kill");
	struct monitor_kill k;
	struct message a;
	struct box b;

	create(&b, &m);
	ready(&b);
	(void)start(ARGV(PAYLOAD, "ignore"));
	memcpy(k.id, b.id, sizeof(k.id));
	say(MONITOR_KILL, &k);
	ok(next(&a) && a.h.type == MONITOR_STOPPED && a.any.stopped.stop == STOP_NONE,
	   "a sandbox that is killed says so when it is over");
	say(MONITOR_KILL, &k); /* twice is nothing */
	ask(MONITOR_STAGE, &(struct monitor_stage){ .id = "" }, &a);
	ok(is_refused(&a, ENOENT), "a stage needs a sandbox");
	{
		struct monitor_stage s = { .wall_ns = 1 };

		memcpy(s.id, b.id, sizeof(s.id));
		ask(MONITOR_STAGE, &s, &a);
		ok(is_refused(&a, ESRCH), "that lives");
	}
	is_int(finish(&b).stop, STOP_NONE, "FINISH gives the facts of a killed one");
	(void)guest_done(&guest);
	box_close(&b);

	m = request("kill-finish");
	create(&b, &m);
	memcpy(k.id, b.id, sizeof(k.id));
	say(MONITOR_KILL, &k);
	is_int(finish(&b).stop, STOP_NONE, "KILL and FINISH at once, in the middle of its set-up: the facts as well");
	box_close(&b);

	m = request("dies");
	create(&b, &m);
	ready(&b);
	fd_close(&b.s.sock);
	box_close(&b);
	is_int(next_within(&a, 300), false, "a front that closes its copies ends nothing: the monitor has one");
	is_int(finish(&b).stop, STOP_NONE, "FINISH does");
}

static void test_refused_create(void)
{
	struct monitor_create m;
	struct message a;
	/* clang-format off */
	static const struct {
		const char *what;
		size_t offset, size;
		uint64_t value;
		uint32_t code;
	} numbers[] = {
		{ "memory above the ceiling", offsetof(struct monitor_create, memory_bytes), 8, 513 * MIB, ERANGE },
		{ "no memory limit", offsetof(struct monitor_create, memory_bytes), 8, 0, ERANGE },
		{ "all memory", offsetof(struct monitor_create, memory_bytes), 8, UINT64_MAX, ERANGE },
		{ "a disk above the ceiling", offsetof(struct monitor_create, disk_bytes), 8, 129 * MIB, ERANGE },
		{ "a disk without a limit", offsetof(struct monitor_create, disk_bytes), 8, 0, ERANGE },
		{ "processes above the ceiling", offsetof(struct monitor_create, processes), 4, 129, ERANGE },
		{ "processes that wrap around", offsetof(struct monitor_create, processes), 4, UINT32_MAX, ERANGE },
		{ "no processes", offsetof(struct monitor_create, processes), 4, 0, ERANGE },
		{ "cpus above the ceiling", offsetof(struct monitor_create, cpus_milli), 4, 4001, ERANGE },
		{ "no cpu limit", offsetof(struct monitor_create, cpus_milli), 4, 0, ERANGE },
		{ "a network there is not", offsetof(struct monitor_create, network), 4, 1, EINVAL },
	};
	static const struct {
		const char *what, *id, *manifest, *policy;
		uint32_t code;
	} texts[] = {
		{ "an id with a slash", "../x", NULL, "default", EINVAL },
		{ "no id", "", NULL, "default", EINVAL },
		{ "an unknown manifest", "x", "sha256:0000000000000000000000000000000000000000000000000000000000000000", "default", ENOMEDIUM },
		{ "a manifest that is a path", "x", "../../etc", "default", EINVAL },
		{ "no manifest", "x", "", "default", EINVAL },
		{ "an unknown policy", "x", NULL, "nothing", ENOENT },
		{ "a policy that is a path", "x", NULL, "../x", EINVAL },
		{ "a policy that is an absolute path", "x", NULL, "/etc/passwd", EINVAL },
		{ "no policy", "x", NULL, "", EINVAL },
		{ "a policy of the operator's that is wrong", "x", NULL, "broken", EINVAL },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		m = request("refused");
		memcpy((char *)&m + numbers[i].offset, &numbers[i].value, numbers[i].size); /* little-endian */
		ask(MONITOR_CREATE, &m, &a);
		ok(is_refused(&a, numbers[i].code), "%s: refused", numbers[i].what);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		m = request("refused");
		if (strcmp(texts[i].id, "x") != 0)
			(void)snprintf(m.id, sizeof(m.id), "%s", texts[i].id);
		if (texts[i].manifest)
			(void)snprintf(m.manifest, sizeof(m.manifest), "%s", texts[i].manifest);
		(void)snprintf(m.policy, sizeof(m.policy), "%s", texts[i].policy);
		ask(MONITOR_CREATE, &m, &a);
		ok(is_refused(&a, texts[i].code), "%s: refused", texts[i].what);
	}
	is_int(sandboxes_count(mon->sandboxes), 0, "nothing was made");
}

static void write_policy(const char *name, const char *text)
{
	char path[700];
	int fd;

	(void)mkdir(settings.policies_dir, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s.json", settings.policies_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	need(fd >= 0 && fd_write_all(fd, text, strlen(text), NULL) == 0, "policy '%s' is written", name);
	(void)close(fd);
}

static void test_policies(void)
{
	struct monitor_create m = request("policy");
	char digest[MONITOR_DIGEST_BYTES];
	struct message a;

	for (int i = 0; i < 2; i++) {
		ask(MONITOR_CREATE, &m, &a);
		ok(a.h.type == MONITOR_CREATED && strncmp(a.any.created.policy_digest, "sha256:", 7) == 0,
		   "a built-in policy has a digest");
		if (i == 0)
			(void)snprintf(digest, sizeof(digest), "%s", a.any.created.policy_digest);
		else
			is_str(a.any.created.policy_digest, digest, "the same one each time");
		message_done(&a);
		ask(MONITOR_FINISH, &m, &a); /* they begin with the same id */
		settle(0);
	}
	write_policy("mine", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
	(void)snprintf(m.policy, sizeof(m.policy), "mine");
	ask(MONITOR_CREATE, &m, &a);
	ok(a.h.type == MONITOR_CREATED && strcmp(a.any.created.policy_digest, digest) != 0,
	   "one of the operator's has another");
	message_done(&a);
	{
		struct monitor_finish f;

		memcpy(f.id, m.id, sizeof(f.id));
		ask(MONITOR_FINISH, &f, &a);
	}
	settle(0);
}

/* ---- a front that was taken over: each request is within its ceilings, only their sum is not ---- */

static void finish_all(struct box *boxes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)finish(&boxes[i]);
		box_close(&boxes[i]);
	}
	settle(0);
}

static void test_total_sandboxes(void)
{
	const struct totals before = mon->totals;
	struct box boxes[3];
	struct monitor_create m;
	struct message a;

	ok(before.sandboxes >= 2 * settings.slots && before.sandboxes < SANDBOXES_MAX,
	   "%zu sandboxes are the most that %d slots need", before.sandboxes, (int)settings.slots);
	mon->totals.sandboxes = 3;
	m = request("first");
	create(&boxes[0], &m);
	m = request("second");
	create(&boxes[1], &m);
	m = request("third");
	create(&boxes[2], &m);
	m = request("fourth");
	ask(MONITOR_CREATE, &m, &a);
	ok(is_refused(&a, EAGAIN), "one sandbox more than there may be: refused");
	finish_all(boxes, 3);
	create(&boxes[0], &m);
	ok(boxes[0].s.sock >= 0, "when they are gone there is room again");
	finish_all(boxes, 1);
	mon->totals = before;
}

static void test_total_memory(void)
{
	const struct totals before = mon->totals;
	struct monitor_create m = request("heavy");
	struct box boxes[2];
	struct monitor_stage s = { .memory_bytes = 200 * MIB };
	struct message a;

	is_int((long)(before.memory_bytes / MIB), (long)(before.sandboxes * settings.max_memory / MIB),
	       "without CUBIT_TOTAL_MEMORY the bound is that of the number");
	mon->totals.memory_bytes = 192 * MIB;
	create(&boxes[0], &m);
	m = request("heavy-2");
	create(&boxes[1], &m);
	m = request("heavy-3");
	m.memory_bytes = 65 * MIB;
	ask(MONITOR_CREATE, &m, &a);
	ok(is_refused(&a, EAGAIN), "more memory than all may have: refused");
	memcpy(s.id, boxes[0].id, sizeof(s.id));
	ask(MONITOR_STAGE, &s, &a);
	ok(is_refused(&a, EAGAIN), "... and as a stage of one that is there");
	stage(&boxes[0], (struct monitor_stage){ .memory_bytes = 128 * MIB });
	finish_all(boxes, 2);
	mon->totals = before;
}

static void test_total_journal(void)
{
	struct monitor_create m = request("writer");
	struct statfs fs;
	struct box b;

	create(&b, &m);
	ok(fstatfs(b.out, &fs) == 0 && (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize == mon->totals.journal_bytes,
	   "all journals lie in a room of %llu MiB", (unsigned long long)(mon->totals.journal_bytes / MIB));
	ok(fallocate(b.out, 0, 0, MIB) == 0, "one may be written");
	ok(fallocate(b.out, 0, MIB, (off_t)mon->totals.journal_bytes + 4096) < 0 && errno == ENOSPC,
	   "but not beyond that room");
	ok(fchmod(b.out, 0755) == 0 && faccessat(b.out, "", X_OK, AT_EMPTY_PATH) < 0, "nor can it be a program");
	finish_all(&b, 1);
}

/* Terminals are the machine's: each has its part, so that all of them together leave those of the host. */
static void test_total_terminals(void)
{
	const struct totals before = mon->totals;
	struct monitor_create m = request("terminals");
	struct guest_call *c;
	struct totals t;
	struct box b;

	totals_of(&settings, 1 << 30, 3072, &t);
	is_int(t.ptys, 3072 / t.sandboxes, "3072 terminals are shared out among %zu sandboxes", t.sandboxes);
	ok((uint64_t)before.ptys * before.sandboxes <= 3072 || before.ptys == 1,
	   "... and so are those of this machine");
	mon->totals.ptys = 3;
	create(&b, &m);
	ready(&b);
	c = start(ARGV(PAYLOAD, "pty-hog"));
	(void)guest_wait_open(&guest, c);
	ok(guest_expect(c->fds[0], "terminals 3 then ENOSPC"), "three are three");
	(void)guest_done(&guest);
	finish_all(&b, 1);
	mon->totals = before;
}

/* The clock of what is never started, and of what is started again and again. */
static void test_lives(void)
{
	struct monitor_create m = request("idle");
	uint32_t stop = STOP_NONE;
	struct box b;
	uint64_t now;

	create(&b, &m);
	ready(&b);
	now = clock_now_ns();
	(void)sandboxes_check(mon->sandboxes, now + mon->totals.unused_ns - NS_PER_S);
	is_int(sandboxes_count(mon->sandboxes), 1, "a sandbox may stand ready for a while");
	(void)sandboxes_check(mon->sandboxes, now + mon->totals.unused_ns + NS_PER_S);
	ok(wait_stopped(&b, &stop) && stop == STOP_WALL, "but not for ever");
	finish_all(&b, 1);

	m = request("again");
	create(&b, &m);
	ready(&b);
	stage(&b, (struct monitor_stage){ .wall_ns = 0 });
	now = clock_now_ns();
	(void)usleep(20000);
	stage(&b, (struct monitor_stage){ .wall_ns = 0 });
	ok(mon->totals.life_ns < mon->totals.unused_ns, "one in use has less time");
	(void)sandboxes_check(mon->sandboxes, now + mon->totals.life_ns + 10 * NS_PER_MS);
	ok(wait_stopped(&b, &stop) && stop == STOP_WALL,
	   "a stage without a clock, and one more, do not put its end off");
	finish_all(&b, 1);
}

static void test_allowed_policies(void)
{
	char *before = settings.allow_policies;
	struct monitor_create m = request("listed");
	struct message a;
	struct box b;

	settings.allow_policies = strdup("strict net");
	ask(MONITOR_CREATE, &m, &a);
	ok(is_refused(&a, EPERM), "a policy that is not on the list: refused");
	(void)snprintf(m.policy, sizeof(m.policy), "mine");
	ask(MONITOR_CREATE, &m, &a);
	ok(is_refused(&a, EPERM), "... one of the operator's as well");
	(void)snprintf(m.policy, sizeof(m.policy), "strict");
	create(&b, &m);
	finish_all(&b, 1);
	free(settings.allow_policies);
	settings.allow_policies = before;
}

static void test_many(void)
{
	enum { N = 50 };
	static struct box boxes[N];
	const uint64_t began = clock_now_ns();
	int n_ready = 0, n_facts = 0;
	struct message a;

	for (int i = 0; i < N; i++) {
		struct monitor_create m;
		char name[16];

		(void)snprintf(name, sizeof(name), "many-%d", i);
		m = request(name);
		say(MONITOR_CREATE, &m);
		memcpy(boxes[i].id, m.id, sizeof(m.id));
	}
	for (int i = 0; i < N && next(&a) && a.h.type == MONITOR_CREATED; i++)
		box_take(&boxes[i], &a);
	for (int i = 0; i < N; i++)
		n_ready += boxes[i].s.sock > 0 && sandbox_wait_ready(&boxes[i].s, WAIT_S * 1000, NULL) == 0;
	is_int(n_ready, N, "%d sandboxes at once", N);
	diag("made in %llu ms", (unsigned long long)((clock_now_ns() - began) / NS_PER_MS));
	for (int i = 0; i < N; i++) {
		struct monitor_finish f;

		memcpy(f.id, boxes[i].id, sizeof(f.id));
		say(MONITOR_FINISH, &f);
	}
	for (int i = 0; i < N && next(&a); i++)
		n_facts += a.h.type == MONITOR_FACTS;
	is_int(n_facts, N, "all of them finished");
	for (int i = 0; i < N; i++)
		box_close(&boxes[i]);
	settle(0);
	is_int(sandboxes_count(mon->sandboxes), 0, "and removed");
}

/* ---- fronts that come and go ---- */

/*
 * Three sandboxes whose front goes: b has a program that waits for input, the time of the slow one passes meanwhile, and one
 * was killed. Returns the number of the program.
 */
static uint32_t lose_front(struct box *b, struct box *slow)
{
	struct monitor_create m = request("adopt");
	struct monitor_tag tag = { .tag = "attempt 2", .tag_size = 9 };
	struct monitor_kill k;
	struct guest_call *c;
	struct box killed;
	uint32_t cat;
	struct process_spec p = guest_process(ARGV(PAYLOAD, "cat"));

	m.tag_size = 9;
	memcpy(m.tag, "attempt 1", 9);
	create(b, &m);
	m = request("adopt-slow");
	create(slow, &m);
	m = request("adopt-killed");
	create(&killed, &m);
	ok(write(b->out, "so far", 6) == 6, "the journal is begun");
	ready(b);
	p.stdio = AGENT_STDIO_PIPES;
	c = guest_start(&guest, &p);
	need(guest_wait_open(&guest, c), "a program waits for input");
	cat = c->seq;
	memcpy(tag.id, b->id, sizeof(tag.id));
	say(MONITOR_TAG, &tag);
	stage(b, (struct monitor_stage){ .wall_ns = 30 * NS_PER_S, .memory_bytes = 48 * MIB });
	stage(slow, (struct monitor_stage){ .wall_ns = 100 * NS_PER_MS });
	memcpy(k.id, killed.id, sizeof(k.id));
	say(MONITOR_KILL, &k);
	turn(0);
	(void)guest_done(&guest);
	box_close(b);
	box_close(slow);
	box_close(&killed);
	fd_close(&front);
	for (uint64_t until = clock_deadline_ns(NS_PER_S); clock_now_ns() < until;)
		turn(TURN_MS); /* the slow one's time passes */
	settle(2);
	is_int(sandboxes_count(mon->sandboxes), 2, "without a front sandboxes live on, but for those it had given up");
	return cat;
}

/* The next front is told of both that are left. */
static void take_offers(struct box *b, struct box *slow)
{
	struct message a;
	uint32_t n;

	n = connect_front();
	is_int(n, 2, "the next front is offered two");
	for (uint32_t i = 0; i < n; i++) {
		need(next(&a) && a.h.type == MONITOR_ADOPT && a.n_fds == MONITOR_FDS_SANDBOX, "each with ADOPT");
		if (strcmp(a.any.adopt.id, b->id) != 0) {
			is_str(a.any.adopt.id, slow->id, "one is that whose time was up");
			is_int(a.any.adopt.stop, STOP_WALL, "which happened while nobody listened");
			box_take(slow, &a);
			continue;
		}
		ok(a.any.adopt.tag_size == 9 && memcmp(a.any.adopt.tag, "attempt 2", 9) == 0,
		   "its tag is the last one");
		ok(a.any.adopt.memory_bytes == 48 * MIB && a.any.adopt.disk_bytes == 16 * MIB &&
			   a.any.adopt.processes == 16 && a.any.adopt.stop == STOP_NONE &&
			   strcmp(a.any.adopt.manifest, manifest) == 0 && strcmp(a.any.adopt.policy, "default") == 0,
		   "what it is made of and its limits are said");
		box_take(b, &a);
	}
	ok(next(&a) && a.h.type == MONITOR_STOPPED && strcmp(a.any.stopped.id, slow->id) == 0 &&
		   a.any.stopped.stop == STOP_WALL,
	   "and STOPPED for that which is over");
}

static void test_adopt(void)
{
	struct guest_call *c, *again;
	struct box b, slow;
	uint32_t cat = lose_front(&b, &slow);

	take_offers(&b, &slow);
	ok(lseek(b.out, 0, SEEK_END) == 6, "the journal is as it was");
	b.s.next_seq = 1000;
	guest_init(&guest, &b.s);
	c = guest_request(&guest, AGENT_ATTACH, NULL);
	again = guest_adopt(&guest, cat);
	ok(guest_wait_over(&guest, c) && guest_wait_open(&guest, again) && again->n_fds == 3,
	   "the agent hands the program's descriptors out again");
	ok(fd_write_all(again->fds[0], "still there", 11, NULL) == 0 && guest_expect(again->fds[1], "still there"),
	   "and it answers");
	(void)guest_done(&guest);
	(void)finish(&b);
	is_int(finish(&slow).stop, STOP_WALL, "the other's facts can still be had");
	box_close(&b);
	box_close(&slow);
	settle(0);
}

/* ---- a hostile front ---- */

static void send_raw(const void *data, size_t size, const int *fds, size_t n_fds)
{
	(void)fd_send(front, data, size, fds, n_fds, MSG_DONTWAIT, NULL); /* the link may be closed already */
}

static void test_garbage(void)
{
	static const uint8_t noise[5000] = { 0xff, 1, 2 };
	struct monitor_create m = request("garbage");
	uint8_t memory[4096];
	struct frame_writer w;
	struct message a;
	struct box b;
	uint32_t n;
	static const char *const kinds[] = { "noise",
					     "nothing",
					     "a message too long",
					     "an answer",
					     "an unknown type",
					     "a descriptor with it",
					     "a message cut short" };

	create(&b, &m);
	ready(&b);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct monitor_kill k = { .id = "x" };

		if (i == 3)
			(void)monitor_encode(&w, memory, sizeof(memory), MONITOR_DRAIN, 1, NULL, NULL);
		else
			(void)monitor_encode(&w, memory, sizeof(memory), MONITOR_KILL, 1, &k, NULL);
		if (i == 4)
			memory[4] = 50;
		if (i == 5)
			memory[6] = 1;
		if (i == 0)
			send_raw(noise, 100, NULL, 0);
		else if (i == 1)
			send_raw("", 0, NULL, 0);
		else if (i == 2)
			send_raw(noise, sizeof(noise), NULL, 0);
		else
			send_raw(memory, w.size - (i == 6), &front, i == 5);
		ok(next(&a) && a.is_end, "%s ends the front", kinds[i]);
		fd_close(&front);
		n = connect_front();
		is_int(n, 1, "and nothing else: its sandbox is offered to the next");
		need(next(&a) && a.h.type == MONITOR_ADOPT, "and taken");
		message_done(&a);
	}
	(void)guest_done(&guest);
	(void)finish(&b);
	box_close(&b);
	settle(0);
}

/* A front that asks and asks and never reads: requests wait, and nothing grows without bound. */
static void test_never_reads(void)
{
	struct monitor_resolve r = { .image = IMAGE };
	uint8_t memory[4096];
	struct frame_writer w;
	size_t n_sent = 0;
	size_t n_answers = 0;
	struct message a;

	(void)monitor_encode(&w, memory, sizeof(memory), MONITOR_RESOLVE, 7, &r, NULL);
	for (int i = 0; i < 5000; i++) {
		n_sent += frame_send(front, &w, NULL, 0, MSG_DONTWAIT, NULL) == 0;
		turn(0);
	}
	ok(n_sent < 5000, "a front that does not read is not read from (%zu requests)", n_sent);
	while (n_answers < n_sent && next_within(&a, 5000) && a.h.type == MONITOR_IMAGE) {
		n_answers++;
		message_done(&a);
	}
	is_int(n_answers, n_sent, "when it reads, it has every answer");
}

/* ---- monitors that come and go ---- */

static void open_monitor(void)
{
	struct error err = ERROR_INIT;

	need(monitor_open(&settings, &mon, &err) == 0, "a monitor opens %s", err.text);
}

static void test_second_monitor(void)
{
	static char nobody[] = "no-such-account", root[] = "root";
	char *other_run = below("other-run");
	struct settings other = settings;
	struct error err = ERROR_INIT;
	struct monitor *second = NULL;

	is_int(monitor_open(&settings, &second, &err), -EBUSY, "a second monitor on the same directories is refused");
	has_str(err.text, "another cubitd", "in words");
	other.run_dir = other_run;
	is_int(monitor_open(&other, &second, &err), -EBUSY, "also when only the state is the same");
	other.user = nobody;
	is_int(monitor_open(&other, &second, &err), -EINVAL, "an account that is none is refused");
	other.user = root;
	is_int(monitor_open(&other, &second, &err), -EINVAL, "so is root");
	free(other_run);
}

static bool is_alive(const char *id)
{
	struct cgroup *cg = NULL;
	bool is_populated;

	if (cgroup_open(sandbox_host_cgroups(host.host), id, &cg, NULL) < 0)
		return false;
	is_populated = cgroup_is_populated(cg);
	cgroup_close(cg);
	return is_populated;
}

/* Copies of another process's agent sockets: as if a front were slow to die. */
static size_t keep_sockets(pid_t pid, int kept[KEPT_MAX])
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	size_t n = 0;

	for (int fd = 3; fd < 256 && n < KEPT_MAX; fd++) {
		int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0), type = 0;
		socklen_t size = sizeof(type);

		if (copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
			kept[n++] = copy;
		else
			fd_close(&copy);
	}
	return n;
}

/* A monitor that is killed with a sandbox whose processes somehow live on: the next one ends them. */
static void test_orphans(void)
{
	char id[MONITOR_ID_BYTES];
	struct monitor_create m = request("orphan");
	int said[2], kept[KEPT_MAX];
	size_t n_kept;
	struct box b;
	char c = 0;
	pid_t pid;

	memcpy(id, m.id, sizeof(id));
	monitor_close(mon);
	mon = NULL;
	fd_close(&front);
	need(pipe2(said, O_CLOEXEC) == 0, "a pipe");
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(null, STDOUT_FILENO); /* its assertions are not ours */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		open_monitor();
		(void)connect_front();
		create(&b, &m);
		ready(&b);
		(void)start(ARGV(PAYLOAD, "ignore"));
		(void)!write(said[1], "x", 1);
		for (;;)
			(void)pause();
	}
	need(read(said[0], &c, 1) == 1 && c == 'x', "another monitor makes a sandbox");
	n_kept = keep_sockets(pid, kept);
	ok(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "and is killed");
	ok(is_alive(id), "the sandbox lives on: its socket is held");
	open_monitor();
	ok(!is_alive(id), "the next monitor ends it");
	(void)close(said[0]);
	(void)close(said[1]);
	while (n_kept > 0)
		(void)close(kept[--n_kept]);
}

/* ---- as a process, with fronts of its own ---- */

/* In the front: what am I? Written to a file of the state directory, which we stand in. */
static void report_front(FILE *f)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof(line), status)) {
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) || !strncmp(line, "Groups:", 7) ||
		    !strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs:", 11) || !strncmp(line, "Seccomp:", 8))
			fputs(line, f);
	}
	if (status)
		(void)fclose(status);
	for (int fd = 0; fd < 64; fd++) {
		struct stat st;

		if (fd != fileno(f) && fstat(fd, &st) == 0)
			fprintf(f, "fd %d\n", fd);
	}
	fprintf(f, "env %s %s %s\n", getenv("CUBIT_FRONT_TCP"), getenv("CUBIT_ADMIN_HASH") ? "hash" : "none",
		getenv("CUBIT_ADMIN_KEY") ? "KEY" : "none");
}

static void report_confined(FILE *f)
{
	static char *none[] = { NULL };
	long pid;
	int fd;

	fprintf(f, "execve %s\n", execve("/bin/true", none, none) < 0 ? strerrorname_np(errno) : "done");
	pid = syscall(SYS_fork);
	if (pid == 0) /* nobody refused it: a build with sanitizers has no filter */
		_exit(0);
	fprintf(f, "fork %s\n", pid < 0 ? strerrorname_np(errno) : "done");
	fprintf(f, "unshare %s\n", unshare(CLONE_NEWUSER) < 0 ? strerrorname_np(errno) : "done");
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	fprintf(f, "packet %s\n", fd < 0 ? strerrorname_np(errno) : "done");
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	fprintf(f, "inet6 %s\n", fd < 0 ? strerrorname_np(errno) : "done");
	fd = open("written", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fprintf(f, "own file %s\n", fd < 0 ? strerrorname_np(errno) : "done");
	fd = open("/tmp/cubit-front-was-here", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	fprintf(f, "other file %s\n", fd < 0 ? strerrorname_np(errno) : "done");
	if (fd >= 0)
		(void)unlink("/tmp/cubit-front-was-here");
	fprintf(f, "landlock %ld\n", syscall(SYS_landlock_create_ruleset, NULL, 0, 1));
}

static void *thread_main(void *arg)
{
	return arg;
}

/* This program as front: reports, says that it listens, and ends when told to drain. */
static int be_front(void)
{
	static char runtimes[] = "/etc/cubit/runtimes";
	struct settings s = { .runtimes_dir = runtimes, .redis_ca = (char[]){ "" } };
	struct monitor_state_message listening = { .state = MONITOR_STATE_LISTENING, .text = "the test's front" };
	FILE *f = access("refuse", F_OK) == 0 ? NULL : fopen("report.tmp", "we");
	struct error err = ERROR_INIT;
	struct message m;
	uint8_t memory[8192];
	struct frame_writer w;
	pthread_t thread;
	ssize_t n;

	if (!f) /* as the test wants it */
		return 4;
	report_front(f);
	fprintf(f, "confine %d %s\n", confine_front(&s, FRONT_FD_STATE, &err), err.text);
	report_front(f);
	report_confined(f);
	fprintf(f, "thread %d\n", pthread_create(&thread, NULL, thread_main, NULL));
	(void)fclose(f);
	while ((n = frame_recv(FRONT_FD_MONITOR, memory, sizeof(memory), m.fds, &(size_t){ MONITOR_FDS_SANDBOX }, 0,
			       NULL)) > 0) {
		if (monitor_decode(memory, (size_t)n, &m.h, &m.any, NULL) < 0)
			return 5;
		if (m.h.type == MONITOR_WELCOME) {
			char name[32];

			(void)snprintf(name, sizeof(name), "report.%u", m.any.welcome.front_number);
			(void)rename("report.tmp", name);
			(void)monitor_encode(&w, memory, sizeof(memory), MONITOR_STATE, 1, &listening, NULL);
			(void)frame_send(FRONT_FD_MONITOR, &w, NULL, 0, 0, NULL);
		}
		if (m.h.type == MONITOR_RELOAD)
			_exit(9); /* as good as a crash */
		if (m.h.type == MONITOR_DRAIN)
			return 0;
	}
	return 6;
}

static bool wait_file(const char *name, struct buf *ret)
{
	char path[700];

	(void)snprintf(path, sizeof(path), "%s/front/%s", settings.state_dir, name);
	for (int i = 0; i < 1000; i++) {
		buf_reset(ret);
		if (fd_read_file(AT_FDCWD, path, 1 << 16, ret, NULL) == 0)
			return true;
		(void)usleep(10000);
	}
	return false;
}

static pid_t start_process(void)
{
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct error err = ERROR_INIT;
		int status;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		status = monitor_main(&settings, &err);
		if (err.code)
			fprintf(stderr, "# monitor: %s\n", err.text);
		_exit(status);
	}
	return pid;
}

static bool can_connect_unix(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	cleanup_fd int dir = open(settings.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/cubit.sock", dir);
	return connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
}

static bool can_connect_tcp(void)
{
	cleanup_buf struct buf text = BUF_INIT;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[700];
	unsigned port = 0;

	(void)snprintf(path, sizeof(path), "%s/listen", settings.run_dir);
	if (fd_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0 || sscanf(buf_str(&text), "127.0.0.1:%u\n", &port) != 1)
		return false;
	at.sin_port = htons((uint16_t)port);
	return port != 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
}

static void check_report(const char *text)
{
	char ids[64];

	(void)snprintf(ids, sizeof(ids), "Uid:\t%d\t%d\t%d\t%d\n", FRONT_UID, FRONT_UID, FRONT_UID, FRONT_UID);
	has_str(text, ids, "the front is another user");
	has_str(text, "Groups:\t \n", "without groups");
	has_str(text, "CapInh:\t0000000000000000\n", "without a capability to inherit");
	has_str(text, "CapPrm:\t0000000000000000\n", "without a capability");
	has_str(text, "CapBnd:\t0000000000000000\n", "nor the possibility of one");
	has_str(text, "NoNewPrivs:\t1\n", "nor of new privileges");
	has_str(text, "fd 0\nfd 1\nfd 2\nfd 3\nfd 4\nfd 5\nfd 6\nenv 1 hash none\n",
		"it has exactly the descriptors it should, and knows the key's hash only");
	has_str(text, "confine 0 \n", "it confines itself");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	has_str(text, "Seccomp:\t2\n", "with a filter");
	has_str(text, "execve EPERM\n", "no program can be executed");
	has_str(text, "fork EPERM\n", "no process made");
	has_str(text, "unshare EPERM\n", "no namespace");
	has_str(text, "packet EPERM\n", "no raw packets read");
#endif
	has_str(text, "inet6 done\n", "TCP works");
	has_str(text, "own file done\n", "its own directory is its own");
	has_str(text, "thread 0\n", "and threads can be started");
	if (!strstr(text, "landlock -1\n") && !strstr(text, "landlock 0\n"))
		has_str(text, "other file EACCES\n", "Landlock keeps it from other files, /tmp for one");
}

/* Our own network namespace begins with everything down. */
static bool bring_up_loopback(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return ioctl(sock, SIOCSIFFLAGS, &ifr) == 0;
}

static void test_process(void)
{
	cleanup_buf struct buf text = BUF_INIT;
	char path[700];
	struct stat st;
	pid_t pid;
	int status = -1;

	monitor_close(mon);
	mon = NULL;
	need(bring_up_loopback(), "a loopback");
	pid = start_process();
	ok(wait_file("report.1", &text), "a monitor starts its front");
	check_report(buf_str(&text));
	ok(can_connect_unix() && can_connect_tcp(), "the doors are open, and RUN/listen says where");
	(void)snprintf(path, sizeof(path), "%s/admin.key", settings.state_dir);
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_size == 50,
	   "there is an admin key, for root alone");
	ok(kill(pid, SIGHUP) == 0 && wait_file("report.2", &text), "a front that dies is followed by another");
	ok(can_connect_unix() && can_connect_tcp(), "behind the same doors");
	ok(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid, "SIGTERM ends it");
	is_int(status, 0, "well");
	(void)snprintf(path, sizeof(path), "%s/cubit.sock", settings.run_dir);
	ok(access(path, F_OK) < 0 && errno == ENOENT, "the socket is gone");

	(void)snprintf(path, sizeof(path), "%s/front/refuse", settings.state_dir);
	(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	pid = start_process();
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1,
	   "a front that never comes up ends the monitor, after some attempts");
	(void)unlink(path);
}

int main(int argc, char **argv)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before, at_first;

	if (argc == 2 && strcmp(argv[1], FRONT_ARGUMENT) == 0)
		return be_front();
	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	make_settings(&settings, strdup(host.run_dir));
	make_image(settings.state_dir);
	write_policy("broken", "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"nonsense\":1}");
	leftovers_count(&host, &at_first);
	test_core_sched();
	open_monitor();
	is_int(connect_front(), 0, "the first front has nothing to adopt");
	test_resolve();
	test_run(); /* makes what all share: the staging mount of older kernels */
	settle(0);
	leftovers_count(&host, &before);
	test_cpu_limit();
	test_wall_limit();
	test_idle();
	test_memory_limit();
	test_process_limit();
	test_kill();
	settle(0);
	test_refused_create();
	test_policies();
	test_total_sandboxes();
	test_total_memory();
	test_total_journal();
	test_total_terminals();
	test_lives();
	test_allowed_policies();
	test_many();
	test_adopt();
	test_garbage();
	test_never_reads();
	settle(0);
	is_str(leftovers_since(&host, &before), "", "nothing is left of any of it");
	test_second_monitor();
	test_orphans();
	test_process();
	leftovers_count(&host, &before);
	/* the stage of older kernels: a mount of a namespace that ends with us, and the descriptor of the former one */
	at_first.counts[LEFT_MOUNTS] = before.counts[LEFT_MOUNTS];
	if (before.counts[LEFT_DESCRIPTORS] < at_first.counts[LEFT_DESCRIPTORS])
		at_first.counts[LEFT_DESCRIPTORS] = before.counts[LEFT_DESCRIPTORS];
	is_str(leftovers_since(&host, &at_first), "", "nothing is left of the monitors");
	test_host_close(&host);
	return done_testing();
}
