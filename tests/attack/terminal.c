/*
 * A process on a terminal: it cannot type into it for somebody else (CVE-2017-5226), paste into a console, load line
 * disciplines, take the terminal of another session, or reach one that is not its sandbox's.
 *
 * # timeout: 60
 */
#include <signal.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/lib/attack.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

static struct test_host host;
static struct guest guest;

/* What a process on a terminal of its own says until its end. */
static const char *on_terminal(const char *const *argv, int *ret_status)
{
	static char text[16384];
	struct process_spec spec = guest_process(argv);
	cleanup_buf struct buf out = BUF_INIT;
	struct guest_call *c;

	spec.stdio = AGENT_STDIO_PTY;
	spec.cols = 80;
	spec.rows = 24;
	c = guest_start(&guest, &spec);
	if (!guest_wait_open(&guest, c) || c->n_fds != 1)
		return "not started";
	*ret_status = guest_finish(&guest, c, NULL, 0, &out, NULL);
	(void)snprintf(text, sizeof(text), "%s", buf_str(&out));
	return text;
}

/* The request number comes first in what `payload each` says of a part. */
static void refused(const char *text, const char *part, const char *code)
{
	char want[256];

	(void)snprintf(want, sizeof(want), "[%s] call: %s", part, code);
	has_str(text, want, "%s is refused", part);
}

static void test_injection(void)
{
	int status = -1;
	const char *text =
		on_terminal(ARGV(PAYLOAD, "each", "tiocsti", ";", "call", "ioctl", "0", "0x5412", "buf", ";", "call",
				 "ioctl", "0", "0x100005412", "buf", ";", "call", "ioctl", "0", "0xffffffff00005412",
				 "buf", ";", "call", "ioctl", "0", "0x541c", "buf", ";", "call", "ioctl", "0",
				 "0x10000541c", "buf", ";", "call", "ioctl", "0", "0x5423", "buf", ";", "call", "ioctl",
				 "0", "0x541d", "0", ";", "call", "ioctl", "0", "0x5437", "0", ";", "tty", ";", "ids"),
			    &status);

	has_str(text, "tiocsti: EPERM", "TIOCSTI is refused");
	refused(text, "call ioctl 0 0x5412 buf", "EPERM");
	refused(text, "call ioctl 0 0x100005412 buf", "EPERM");
	refused(text, "call ioctl 0 0xffffffff00005412 buf", "EPERM");
	refused(text, "call ioctl 0 0x541c buf", "EPERM");
	refused(text, "call ioctl 0 0x10000541c buf", "EPERM");
	refused(text, "call ioctl 0 0x5423 buf", "EPERM");
	refused(text, "call ioctl 0 0x541d 0", "EPERM"); /* TIOCCONS */
	refused(text, "call ioctl 0 0x5437 0", "EPERM"); /* TIOCVHANGUP */
	has_str(text, "isatty 111", "it is on a terminal");
	has_str(text, "size 80 24", "... of the size asked for");
	is_int(status, 0, "and lives through all of it");
	ok(!strstr(text, "x\r\n$"), "nothing was typed");
}

/* Two processes, each with a terminal: the second cannot take the first one's as its own. */
static void test_stealing(void)
{
	struct process_spec spec = guest_process(ARGV(PAYLOAD, "each", "tty", ";", "sleep", "30"));
	struct guest_call *first;
	const char *text;
	int status = -1;

	spec.stdio = AGENT_STDIO_PTY;
	first = guest_start(&guest, &spec);
	need(guest_wait_open(&guest, first) && first->n_fds == 1, "a first process has a terminal");
	ok(guest_expect(first->fds[0], "/dev/pts/0"), "... the first of this sandbox");
	text = on_terminal(ARGV(PAYLOAD, "each", "tty", ";", "ls", "/dev/pts", ";", "call", "ioctl", "0", "0x540e", "1",
				";", "call", "512", ";", "open", "/dev/tty", "rw", ";", "open", "/dev/console", ";",
				"open", "/dev/tty0", ";", "open", "/dev/ttyS0"),
			   &status);
	has_str(text, "tty /dev/pts/1", "a second one has another");
	has_str(text, "[call ioctl 0 0x540e 1] call: EPERM", "taking a terminal by force is refused");
	has_str(text, "[open /dev/tty rw] open: DONE", "/dev/tty is its own terminal");
	has_str(text, "[open /dev/console] open: ENOENT", "there is no console");
	has_str(text, "[open /dev/tty0] open: ENOENT", "... no screen");
	has_str(text, "[open /dev/ttyS0] open: ENOENT", "... no serial line");
	/* with pipes there is no terminal to be had at all */
	text = guest_run(&guest, &status, ARGV(PAYLOAD, "each", "open", "/dev/tty", "rw", ";", "tiocsti", ";", "ids"));
	has_str(text, "[open /dev/tty rw] open: ENXIO", "a process with pipes has no controlling terminal");
	has_str(text, "tiocsti: EPERM", "... and types nowhere");
}

/* A terminal's other end is the host's: filling it up, hanging it up, making many is the sandbox's own trouble. */
static void test_flood(void)
{
	struct process_spec spec = guest_process(ARGV(PAYLOAD, "output", "1000000"));
	struct guest_call *c;
	struct agent_signal stop = { .signo = SIGKILL };
	struct guest_call *s;
	int status;

	spec.stdio = AGENT_STDIO_PTY;
	c = guest_start(&guest, &spec);
	need(guest_wait_open(&guest, c), "a process that floods its terminal is started");
	/* nobody reads: it has to wait, and the agent must not */
	(void)guest_run(&guest, &status, ARGV(PAYLOAD, "true"));
	is_int(status, 0, "a full terminal does not hold up the agent");
	stop.proc = c->seq;
	s = guest_request(&guest, AGENT_SIGNAL, &stop);
	ok(guest_wait_over(&guest, s) && s->last == AGENT_DONE, "the flooder can be killed");
	ok(guest_wait_over(&guest, c) && c->last == AGENT_EXITED, "... and ends");
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
	test_injection();
	test_stealing();
	test_flood();
	is_str(guest_done(&guest), "", "every answer was asked for");
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
	test_host_close(&host);
	return done_testing();
}
