/*
 * Requests that no honest front sends: numbers out of all bounds, messages out of order, unknown, cut, with descriptors.
 * The agent refuses each by name and goes on; what it starts afterwards is as restricted as ever.
 *
 * # timeout: 60
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/frame.h"
#include "runtime/sandbox.h"
#include "tests/lib/attack.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

static struct test_host host;
static struct guest guest;

static struct process_spec plain(void)
{
	static const char *const argv[] = { PAYLOAD, "ids", NULL };

	return guest_process(argv);
}

/* The answer to a start must be a refusal at this stage with this errno. */
static void refused(const struct process_spec *spec, enum agent_stage stage, int code, const char *title)
{
	struct guest_call *c = guest_start(&guest, spec);

	(void)guest_wait_open(&guest, c);
	if (!ok(c->is_over && c->last == AGENT_REFUSED, "%s is refused", title)) {
		(void)guest_finish(&guest, c, NULL, 0, NULL, NULL);
		return;
	}
	is_int(c->answer.failed.stage, stage, "... at the right stage (%s)", agent_stage_name(c->answer.failed.stage));
	is_int(c->answer.failed.code, code, "... with the right errno (%s)", strerror((int)c->answer.failed.code));
}

static void still_well(const char *when)
{
	const struct process_spec spec = plain();
	int status = -1;
	const char *text = guest_run_spec(&guest, &status, &spec);

	has_str(text, "uid 1000 1000 1000 gid 1000 1000 1000 groups 0", "%s: a process starts as ever", when);
	is_int(status, 0, "... and ends well");
}

static void test_identity(void)
{
	struct process_spec spec = plain();
	int status = -1;

	spec.uid = 0;
	refused(&spec, AGENT_STAGE_CREDENTIALS, EPERM, "uid 0");
	spec.uid = 1000;
	spec.gid = 0;
	refused(&spec, AGENT_STAGE_CREDENTIALS, EPERM, "gid 0");
	spec.gid = 1000;
	spec.uid = 65536;
	refused(&spec, AGENT_STAGE_CREDENTIALS, EINVAL, "uid 65536");
	spec.uid = 70000;
	refused(&spec, AGENT_STAGE_CREDENTIALS, EINVAL, "uid 70000");
	spec.uid = UINT32_MAX - 1;
	refused(&spec, AGENT_STAGE_CREDENTIALS, EINVAL, "uid -2");
	spec.uid = 1000;
	spec.gid = 0x10000;
	refused(&spec, AGENT_STAGE_CREDENTIALS, EINVAL, "gid 65536");
	spec.uid = spec.gid = 65535;
	has_str(guest_run_spec(&guest, &status, &spec), "uid 65535 65535 65535", "uid 65535 is one of the range");
	spec.uid = spec.gid = 1;
	spec.argv = ARGV(PAYLOAD, "status");
	spec.cwd = "/";
	has_str(guest_run_spec(&guest, &status, &spec), "CapEff:\t0000000000000000",
		"so is uid 1, without a capability");
}

static void test_limits(void)
{
	struct process_rlimit limits[AGENT_RLIMITS_MAX + 1] = { { 0, { 0, 0 } } };
	struct process_spec spec = plain();
	struct error err = ERROR_INIT;

	spec.rlimits = limits;
	spec.n_rlimits = 1;
	limits[0] = (struct process_rlimit){ RLIMIT_NOFILE, { 1u << 30, 1u << 30 } };
	refused(&spec, AGENT_STAGE_RLIMIT, EPERM, "raising the limit of descriptors");
	limits[0] = (struct process_rlimit){ RLIMIT_NICE, { 40, 40 } };
	refused(&spec, AGENT_STAGE_RLIMIT, EPERM, "raising the priority");
	limits[0] = (struct process_rlimit){ RLIMIT_RTPRIO, { 99, 99 } };
	refused(&spec, AGENT_STAGE_RLIMIT, EPERM, "asking for real time");
	limits[0] = (struct process_rlimit){ RLIMIT_MEMLOCK, { RLIM_INFINITY, RLIM_INFINITY } };
	refused(&spec, AGENT_STAGE_RLIMIT, EPERM, "locking all memory");
	limits[0] = (struct process_rlimit){ RLIMIT_NOFILE, { 20, 10 } };
	refused(&spec, AGENT_STAGE_RLIMIT, EINVAL, "a soft limit above the hard one");
	limits[0] = (struct process_rlimit){ 99, { 1, 1 } };
	refused(&spec, AGENT_STAGE_RLIMIT, EINVAL, "an unknown limit");
	limits[0] = (struct process_rlimit){ -1, { 1, 1 } };
	refused(&spec, AGENT_STAGE_RLIMIT, EINVAL, "limit -1");
	spec.n_rlimits = AGENT_RLIMITS_MAX + 1;
	ok(agent_start(guest.s->sock, sandbox_next_seq(guest.s), &spec, &err) == -E2BIG,
	   "more limits than there are are not even sent");
	spec.n_rlimits = 1;
	limits[0] = (struct process_rlimit){ RLIMIT_AS, { 1 << 20, 1 << 20 } };
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	limits[0] = (struct process_rlimit){ RLIMIT_NOFILE, { 0, 0 } };
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	limits[0] = (struct process_rlimit){ RLIMIT_STACK, { 0, 0 } };
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	limits[0] = (struct process_rlimit){ RLIMIT_CPU, { 0, 0 } };
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	limits[0] = (struct process_rlimit){ RLIMIT_NPROC, { 0, 0 } };
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	limits[0] = (struct process_rlimit){ RLIMIT_FSIZE, { 0, 0 } };
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	still_well("after processes that could not live");
}

static void test_arguments(void)
{
	static const char *many[4100];
	static char big[70000];
	struct process_spec spec = plain();
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < 4097; i++)
		many[i] = "x";
	many[0] = PAYLOAD;
	spec.argv = many;
	refused(&spec, AGENT_STAGE_REQUEST, E2BIG, "a program with 4097 arguments");
	spec = plain();
	many[0] = "A=B";
	spec.env = many;
	refused(&spec, AGENT_STAGE_REQUEST, E2BIG, "4097 variables");
	memset(big, 'x', sizeof(big) - 1);
	spec = plain();
	spec.argv = ARGV(PAYLOAD, "echo", big, big);
	ok(agent_start(guest.s->sock, sandbox_next_seq(guest.s), &spec, &err) < 0,
	   "140 KB of arguments are not even sent");
	spec = plain();
	spec.argv = ARGV("");
	refused(&spec, AGENT_STAGE_EXEC, EACCES, "an empty name of a program, which is a directory of PATH,");
	spec.argv = ARGV("/bin");
	refused(&spec, AGENT_STAGE_EXEC, EACCES, "a directory as a program");
	spec.argv = ARGV("../../../../bin/sh");
	refused(&spec, AGENT_STAGE_EXEC, ENOENT, "a program above the root");
	spec.argv = ARGV("/proc/self/fd/3");
	refused(&spec, AGENT_STAGE_EXEC, EACCES, "the agent's socket as a program");
	spec = plain();
	spec.cwd = "/proc/self/fd/3";
	refused(&spec, AGENT_STAGE_CWD, ENOTDIR, "the agent's socket as a directory");
	spec.cwd = "nowhere";
	refused(&spec, AGENT_STAGE_CWD, ENOENT, "a directory that is not there");
	spec = plain();
	spec.umask = 0xffffffff;
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	spec.stdio = (enum agent_stdio)77;
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	spec.stdio = AGENT_STDIO_PTY;
	spec.cols = spec.rows = 65535;
	(void)guest_run_spec(&guest, &(int){ 0 }, &spec);
	still_well("after odd arguments");
}

/* ---- messages ---- */

static void send_bytes(const void *data, size_t size, const int *fds, size_t n_fds)
{
	(void)fd_send(guest.s->sock, data, size, fds, n_fds, 0, NULL);
}

/* The next message must be a refusal as "not understood". */
static void not_understood(const char *title)
{
	static struct agent_event e;
	struct pollfd p = { .fd = guest.s->sock, .events = POLLIN };
	int r = poll(&p, 1, 20000) > 0 ? agent_receive(guest.s->sock, &e, MSG_DONTWAIT, NULL) : -ETIMEDOUT;

	if (!ok(r == 1 && e.header.type == AGENT_REFUSED && e.any.failed.stage == AGENT_STAGE_REQUEST, "%s is refused",
		title))
		diag("got %d, type %u", r, e.header.type);
	agent_event_done(&e);
}

static void send_frame(uint16_t type, const void *body, size_t size)
{
	uint8_t data[4096];
	struct frame_writer w;
	const struct frame_header h = { .version = AGENT_VERSION, .type = type, .seq = 4242 };

	frame_begin(&w, data, sizeof(data), &h);
	if (size > 0) {
		memcpy(data + w.size, body, size);
		w.size += size;
	}
	(void)frame_send(guest.s->sock, &w, NULL, 0, 0, NULL);
}

static void test_messages(void)
{
	static const uint16_t types[] = { 0,
					  AGENT_SETUP,
					  11,
					  63,
					  AGENT_READY,
					  AGENT_FAILED,
					  AGENT_STARTED,
					  AGENT_REFUSED,
					  AGENT_EXITED,
					  AGENT_DONE,
					  AGENT_FILE_OPEN,
					  AGENT_FILE_DONE,
					  AGENT_CONNECTED,
					  AGENT_MESSAGES,
					  1000,
					  65535 };
	static uint8_t junk[512];
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct agent_signal sig = { .proc = 424242, .signo = 9 };
	struct guest_call *c;

	send_bytes("x", 1, NULL, 0);
	not_understood("one byte");
	memset(junk, 0xff, sizeof(junk));
	send_bytes(junk, sizeof(junk), NULL, 0);
	not_understood("rubbish");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		char title[64];

		(void)snprintf(title, sizeof(title), "a message of type %u without a body", types[i]);
		send_frame(types[i], NULL, 0);
		not_understood(title);
	}
	for (unsigned type = AGENT_START; type <= AGENT_CONNECT; type++) {
		char title[64];

		(void)snprintf(title, sizeof(title), "a message of type %u with rubbish in it", type);
		send_frame(type, junk, sizeof(junk));
		not_understood(title);
		(void)snprintf(title, sizeof(title), "a message of type %u cut short", type);
		send_frame(type, junk, 1);
		not_understood(title);
	}
	send_bytes(junk, sizeof(junk), &null, 1);
	not_understood("rubbish with a descriptor");
	still_well("after rubbish");

	/* well made, at the wrong moment or about nobody */
	c = guest_request(&guest, AGENT_SIGNAL, &sig);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED, "a signal for nobody is refused");
	for (size_t signo = 0; signo < 4; signo++) {
		static const uint32_t odd[] = { 65, 1000, 0x80000000, 0xffffffff };

		sig = (struct agent_signal){ .proc = 0, .signo = odd[signo] };
		c = guest_request(&guest, AGENT_SIGNAL, &sig);
		ok(guest_wait_over(&guest, c), "signal %u is none, and answered", odd[signo]);
	}
	c = guest_request(&guest, AGENT_RESIZE, &(struct agent_resize){ .proc = 424242, .cols = 1, .rows = 1 });
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED, "a size for nobody is refused");
	c = guest_request(&guest, AGENT_CLOSE_STDIN, NULL);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_REFUSED, "closing nobody's input is refused");
	(void)agent_request(guest.s->sock, AGENT_ACK, 424242, NULL, NULL);
	c = guest_request(&guest, AGENT_CONNECT, &(struct agent_connect){ .port = 0 });
	ok(guest_wait_over(&guest, c) && c->last == AGENT_CONNECTED && c->answer.connected.code != 0,
	   "port 0 is refused");
	c = guest_request(&guest, AGENT_REPORT, NULL);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_READY && c->answer.ready.is_probe,
	   "the agent can still report");
	is_int(c->answer.ready.seccomp, 2, "... a filter");
	is_int(c->answer.ready.cap_eff, 0, "... and no capability");
	still_well("after messages out of order");
}

/* One process too many for the agent's table, then all gone. */
static void test_full_table(void)
{
	struct process_spec spec = guest_process(ARGV(PAYLOAD, "sleep", "100"));
	const struct agent_signal kill_all = { .proc = 0, .signo = SIGKILL };
	struct guest_call *calls[GUEST_CALLS - 8];
	size_t n = 0, n_refused = 0;

	for (; n < sizeof(calls) / sizeof(calls[0]); n++) {
		calls[n] = guest_start(&guest, &spec);
		if (!guest_wait_open(&guest, calls[n]) && calls[n]->is_over)
			n_refused++;
	}
	ok(n_refused > 0, "%zu processes at once are too many, %zu are refused", n, n_refused);
	ok(guest_wait_over(&guest, guest_request(&guest, AGENT_SIGNAL, &kill_all)), "all are killed at once");
	for (size_t i = 0; i < n; i++)
		if (!guest_wait_over(&guest, calls[i]))
			ok(false, "process %zu has not ended", i);
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
	spec.limits.pids_max = 60;
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	guest_init(&guest, s);
	test_identity();
	test_limits();
	test_arguments();
	test_messages();
	is_str(guest_done(&guest), "", "every answer was asked for");
	guest_init(&guest, s);
	test_full_table();
	is_str(guest_done(&guest), "", "every answer was asked for");
	guest_init(&guest, s);
	still_well("after a full table");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	test_host_close(&host);
	return done_testing();
}
