/*
 * Whatever joins a sandbox later (a second process, one on a terminal, file calls, connections) is as restricted as the
 * first process (firejail#2718). Looked at from outside, where no payload can lie: /proc/PID of everything in the range.
 *
 * # timeout: 60
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/idrange.h"
#include "runtime/sandbox.h"
#include "tests/lib/attack.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

enum { TEXT_BYTES = 8192, MEMBERS_MAX = 32 };

static struct test_host host;
static struct guest guest;

/* One process of the sandbox as the host sees it. */
struct member {
	int pid;
	char name[64];
	char status[TEXT_BYTES];
	char namespaces[512], limits[TEXT_BYTES], cgroup[2048];
};

static struct member members[MEMBERS_MAX];
static size_t n_members;

static void read_text(int pid, const char *file, char *ret, size_t room)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t n = 0;
	size_t used = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && used < room - 1 && (n = read(fd, ret + used, room - 1 - used)) > 0)
		used += (size_t)n;
	ret[used] = '\0';
}

/* That of time is made by pid 1 for its children, and it does not enter it itself: time_namespaces(7). */
static void read_namespaces(int pid, bool is_init, char *ret, size_t room)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };
	size_t used = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64], link[64];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s%s", pid, names[i],
			       is_init && strcmp(names[i], "time") == 0 ? "_for_children" : "");
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		used += (size_t)snprintf(ret + used, room - used, "%s ", link);
	}
}

/* The line of a status file, in static memory. */
static const char *line_of(const struct member *m, const char *key)
{
	static char line[256];
	const char *p = strstr(m->status, key);

	(void)snprintf(line, sizeof(line), "%.*s", p ? (int)strcspn(p, "\n") : 0, p ? p : "");
	return line;
}

static void look_at(const struct sandbox *s, int pid)
{
	struct member *m = &members[n_members];
	unsigned uid = 0;
	const char *p;

	read_text(pid, "status", m->status, sizeof(m->status));
	p = strstr(m->status, "\nUid:\t");
	if (!p || sscanf(p, "\nUid:\t%u", &uid) != 1 || uid < s->id_base || uid >= s->id_base + IDRANGE_SIZE ||
	    n_members == MEMBERS_MAX)
		return;
	m->pid = pid;
	if (sscanf(m->status, "Name:\t%63s", m->name) != 1)
		m->name[0] = '\0';
	read_namespaces(pid, pid == s->pid, m->namespaces, sizeof(m->namespaces));
	read_text(pid, "limits", m->limits, sizeof(m->limits));
	read_text(pid, "cgroup", m->cgroup, sizeof(m->cgroup));
	n_members++;
}

static void look(const struct sandbox *s)
{
	cleanup_dir DIR *d = opendir("/proc");
	const struct dirent *e;

	n_members = 0;
	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]))
			look_at(s, atoi(e->d_name));
}

/* Every process but pid 1 of the sandbox; the filter is checked apart, our own helpers have none. */
static void all_restricted(const struct sandbox *s, size_t want, const char *when)
{
	char uid[64], gid[64];
	size_t n = 0;

	for (int tries = 0; tries < 100; tries++) { /* some are just being started */
		look(s);
		if (n_members == want + 1)
			break;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	(void)snprintf(uid, sizeof(uid), "Uid:\t%u\t%u\t%u\t%u", s->id_base + 1000, s->id_base + 1000,
		       s->id_base + 1000, s->id_base + 1000);
	(void)snprintf(gid, sizeof(gid), "Gid:\t%u\t%u\t%u\t%u", s->id_base + 1000, s->id_base + 1000,
		       s->id_base + 1000, s->id_base + 1000);
	for (size_t i = 0; i < n_members; i++) {
		const struct member *m = &members[i], *init = &members[0];

		if (m->pid == s->pid)
			continue;
		n++;
		for (size_t k = 0; k < n_members; k++)
			if (members[k].pid == s->pid)
				init = &members[k];
		is_str(line_of(m, "Uid:"), uid, "%s: process %zu ('%s') is uid 1000 inside", when, n, m->name);
		is_str(line_of(m, "Gid:"), gid, "... and gid 1000");
		is_str(line_of(m, "Groups:"), "Groups:\t ", "... in no other group");
		is_str(line_of(m, "NoNewPrivs:"), "NoNewPrivs:\t1", "... can gain nothing");
		is_str(line_of(m, "CapEff:"), "CapEff:\t0000000000000000", "... has no effective capability");
		is_str(line_of(m, "CapPrm:"), "CapPrm:\t0000000000000000", "... no permitted one");
		is_str(line_of(m, "CapInh:"), "CapInh:\t0000000000000000", "... none to inherit");
		is_str(line_of(m, "CapBnd:"), "CapBnd:\t0000000000000000", "... and none to get");
		is_str(m->namespaces, init->namespaces, "... is in all namespaces of the sandbox");
		is_str(m->cgroup, init->cgroup, "... and in its control groups");
	}
	is_int(n, want, "%s: that many processes", when);
}

static const struct member *find(const char *name, size_t nth)
{
	for (size_t i = 0; i < n_members; i++)
		if (strcmp(members[i].name, name) == 0 && nth-- == 0)
			return &members[i];
	return NULL;
}

/* Programs on pipes, on a terminal, started first and last: one state for all. */
static void test_processes(struct sandbox *s)
{
	static const struct process_rlimit rlimits[] = { { RLIMIT_NOFILE, { 50, 50 } } };
	struct process_spec spec = guest_process(ARGV(PAYLOAD, "each", "echo", "up", ";", "sleep", "60"));
	struct guest_call *calls[3];

	spec.rlimits = rlimits;
	spec.n_rlimits = 1;
	for (size_t i = 0; i < 3; i++) {
		spec.stdio = i == 1 ? AGENT_STDIO_PTY : AGENT_STDIO_NO_STDIN;
		calls[i] = guest_start(&guest, &spec);
		need(guest_wait_open(&guest, calls[i]), "process %zu starts", i);
		ok(guest_expect(calls[i]->fds[0], "up"), "... and runs");
	}
	all_restricted(s, 6, "three of two processes each");
	for (size_t i = 1; i < 6; i++) {
		const struct member *first = find("payload", 0), *m = find("payload", i);

		if (!first || !m)
			continue;
		is_str(line_of(m, "Seccomp:"), "Seccomp:\t2", "process %zu is filtered", i);
		is_str(line_of(m, "Seccomp_filters:"), "Seccomp_filters:\t1", "... once");
		is_str(m->limits, first->limits, "... and has the limits of the first");
	}
	for (size_t i = 0; i < 3; i++) {
		const struct agent_signal kill_it = { .proc = calls[i]->seq, .signo = 9 };

		(void)guest_wait_over(&guest, guest_request(&guest, AGENT_SIGNAL, &kill_it));
		ok(guest_wait_over(&guest, calls[i]), "process %zu is ended", i);
	}
}

/* A file call in the middle of its work: a big file, and nobody reads. */
static void test_file_helper(struct sandbox *s)
{
	static struct agent_file file = {
		.op = AGENT_FILE_READ, .uid = UINT32_MAX, .gid = UINT32_MAX, .path = PAYLOAD
	};
	struct guest_call *c = guest_request(&guest, AGENT_FILE, &file);
	cleanup_buf struct buf content = BUF_INIT;

	need(guest_wait_open(&guest, c), "a file call starts");
	all_restricted(s, 1, "a file call at work");
	(void)guest_drain(&c->fds[0], 64 << 20, &content);
	c->n_fds = 0;
	ok(guest_wait_over(&guest, c) && c->last == AGENT_FILE_DONE && c->answer.file_done.code == 0, "it ends well");
	ok(content.size > 100000, "... with the whole file");

	file.uid = file.gid = 0;
	c = guest_request(&guest, AGENT_FILE, &file);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED, "a file call as root is refused");
}

/* A connection in the middle of being made: the listener's queue is full. */
static void test_connect_helper(struct sandbox *s)
{
	const struct process_spec spec = guest_process(ARGV(PAYLOAD, "listen-full", "4000"));
	const struct agent_connect to = { .port = 4000 };
	struct guest_call *server = guest_start(&guest, &spec), *c;
	const struct agent_signal kill_it = { .proc = 0, .signo = 9 };

	need(guest_wait_open(&guest, server) && guest_expect(server->fds[0], "full"), "a listener is full");
	c = guest_request(&guest, AGENT_CONNECT, &to);
	(void)nanosleep(&(struct timespec){ .tv_sec = test_is_guest() ? 1 : 0, .tv_nsec = 300000000 }, NULL);
	all_restricted(s, 2, "a connection being made");
	ok(guest_wait_over(&guest, c), "it comes to an end");
	ok(c->last == AGENT_CONNECTED && c->answer.connected.code == ETIMEDOUT, "... by running out of time");
	(void)guest_wait_over(&guest, guest_request(&guest, AGENT_SIGNAL, &kill_it));
	(void)guest_wait_over(&guest, server);
}

/* And pid 1 itself, which has to be able to do all this: no more than that. */
static void test_init(struct sandbox *s)
{
	const struct member *m = NULL;

	look(s);
	for (size_t i = 0; i < n_members; i++)
		if (members[i].pid == s->pid)
			m = &members[i];
	need(m != NULL, "pid 1 is there");
	is_str(line_of(m, "CapEff:"), "CapEff:\t00000000000001e0",
	       "pid 1 has kill, setgid, setuid, setpcap and nothing else");
	is_str(line_of(m, "CapBnd:"), "CapBnd:\t00000000000001e0", "... and can get nothing else");
	is_str(line_of(m, "CapAmb:"), "CapAmb:\t0000000000000000", "... hands nothing on");
	is_str(line_of(m, "NoNewPrivs:"), "NoNewPrivs:\t1", "... and gains nothing");
	is_str(line_of(m, "Groups:"), "Groups:\t ", "... has no groups of the supervisor");
}

int main(void)
{
	struct error err = ERROR_INIT;
	struct sandbox_spec spec;
	struct leftovers before;
	struct sandbox *s = NULL;

	if (!attack_open(&host, &before))
		return 0;
	test_host_spec(&host, &spec);
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	guest_init(&guest, s);
	test_init(s);
	test_processes(s);
	test_file_helper(s);
	test_connect_helper(s);
	test_init(s);
	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	test_host_close(&host);
	return done_testing();
}
