/*
 * A payload against the agent that serves it: between fork and exec a new process has the payload's uid already, so the
 * payload may stop it, kill it, and look at what it executes. The agent must go on answering, and cubit-init, one memory
 * file for all sandboxes, must not be there to be opened: a lock or an attribute on it would be seen by every other.
 *
 * # timeout: 100
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/lib/attack.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

enum { ROUNDS = 150, ANSWER_MS = 5000 };

static struct test_host host;
static struct leftovers before;

/* A program that names what executes it as its interpreter: for a moment, cubit-init runs as a payload. */
static void make_script(void)
{
	cleanup_fd int fd = openat(host.layer_fd, "bin/script", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	need(fd >= 0 && fd_write_all(fd, "#!/proc/self/exe\n", 17, NULL) == 0, "a script that executes cubit-init");
}

/* Wait for any message; false when none comes. */
static bool take(struct sandbox *s, struct agent_event *e, unsigned ms)
{
	struct pollfd p = { .fd = s->sock, .events = POLLIN };

	return poll(&p, 1, (int)ms) > 0 && agent_receive(s->sock, e, MSG_DONTWAIT, NULL) == 1;
}

/* Start a program again and again, whatever becomes of it. Returns rounds that were answered. */
static int start_many(struct sandbox *s, const char *program, uint32_t attacker)
{
	static struct agent_event e;
	const struct process_spec spec = guest_process(ARGV(program, "true"));

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t seq = sandbox_next_seq(s);

		if (agent_start(s->sock, seq, &spec, NULL) < 0)
			return i;
		for (;;) { /* until STARTED or REFUSED of this one; ends of others come in between */
			if (!take(s, &e, ANSWER_MS))
				return i;
			agent_event_done(&e);
			if (e.header.seq == attacker)
				return ROUNDS; /* it has seen enough */
			if (e.header.seq == seq && (e.header.type == AGENT_STARTED || e.header.type == AGENT_REFUSED))
				break;
		}
		if (e.header.type ==
		    AGENT_STARTED) { /* a stopped process does not end: at most a moment for this one */
			struct agent_signal kill_it = { .proc = seq, .signo = SIGKILL };

			(void)take(s, &e, 20);
			agent_event_done(&e);
			(void)agent_request(s->sock, AGENT_SIGNAL, sandbox_next_seq(s), &kill_it, NULL);
		}
	}
	return ROUNDS;
}

static struct sandbox *begin(void)
{
	struct sandbox_spec spec;
	struct sandbox *s = NULL;
	struct error err = ERROR_INIT;

	test_host_spec(&host, &spec);
	spec.limits.cpu_max_milli = 2000;
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox %s", err.text);
	return s;
}

static void end(struct sandbox *s)
{
	struct error err = ERROR_INIT;

	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "nothing is left");
}

/* Start an attacker and wait until it is ready; its number and its output. */
static uint32_t attack(struct sandbox *s, const char *const *argv, int *ret_out)
{
	static struct agent_event e;
	const struct process_spec spec = guest_process(argv);
	uint32_t seq = sandbox_next_seq(s);

	*ret_out = -1;
	need(agent_start(s->sock, seq, &spec, NULL) == 0 && take(s, &e, 20000) && e.header.type == AGENT_STARTED,
	     "the attacker starts");
	*ret_out = fd_take(&e.fds[0]);
	agent_event_done(&e);
	ok(guest_expect(*ret_out, "ready"), "... and is ready");
	return seq;
}

/* Looking at what others execute, with and without stopping them. */
static void test_grab(bool is_stopping)
{
	struct sandbox *s = begin();
	const char *const *argv = is_stopping ? ARGV(PAYLOAD, "grab", "6", "stop") : ARGV(PAYLOAD, "grab", "6");
	cleanup_buf struct buf said = BUF_INIT;
	struct agent_signal kill_it = { .signo = SIGKILL };
	int out, rounds;

	kill_it.proc = attack(s, argv, &out);
	rounds = start_many(s, "/bin/script", kill_it.proc);
	(void)agent_request(s->sock, AGENT_SIGNAL, sandbox_next_seq(s), &kill_it, NULL);
	is_int(rounds, ROUNDS, "the agent answers every start%s", is_stopping ? " beside one who stops processes" : "");
	if (rounds == ROUNDS) {
		(void)fd_read_all(out, 4096, &said, NULL);
		if (!ok(!strstr(buf_str(&said), "cubit-init"), "cubit-init cannot be opened by way of a script%s",
			is_stopping ? ", stopped" : ""))
			for (const char *line = buf_str(&said); *line; line += strcspn(line, "\n") + 1)
				diag("%.*s", (int)strcspn(line, "\n"), line);
	}
	fd_close(&out);
	end(s);
}

/* Stopping what is between fork and exec. */
static void test_freeze(void)
{
	struct sandbox *s = begin();
	int out;
	uint32_t attacker = attack(s, ARGV(PAYLOAD, "freeze-others", "30"), &out);

	is_int(start_many(s, PAYLOAD, attacker), ROUNDS,
	       "an agent whose new processes are stopped answers every start");
	fd_close(&out);
	end(s);
}

/* The same for the probe: the self-report is made by a process with the payload's uid. */
static void test_freeze_report(void)
{
	static struct agent_event e;
	struct sandbox *s = begin();
	int out, n = 0;

	(void)attack(s, ARGV(PAYLOAD, "freeze-others", "30"), &out);
	for (; n < ROUNDS; n++) {
		if (agent_request(s->sock, AGENT_REPORT, sandbox_next_seq(s), NULL, NULL) < 0 ||
		    !take(s, &e, ANSWER_MS))
			break;
		agent_event_done(&e);
	}
	is_int(n, ROUNDS, "an agent whose probe is stopped answers every request for a report");
	fd_close(&out);
	end(s);
}

/* When the peer goes away pid 1 has to notice, whatever its children do: nobody else would end the sandbox. */
static void test_orphan(void)
{
	struct sandbox *s = begin();
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
	int out;
	uint32_t attacker = attack(s, ARGV(PAYLOAD, "freeze-others", "30"), &out);

	(void)start_many(s, PAYLOAD, attacker);
	fd_close(&s->sock);
	fd_close(&out);
	ok(poll(&p, 1, ANSWER_MS) > 0, "a sandbox whose supervisor went away ends, whatever its payload stops");
	end(s);
}

/* The sealed memory file itself: what rights does it give to those who get a descriptor? */
static void test_memory_file(void)
{
	struct sandbox *s = begin();
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)s->pid);
	need(stat(path, &st) == 0, "the program of pid 1 can be looked at from outside");
	is_int(st.st_mode & 0066, 0, "... and nobody else may read or write it");
	end(s);
}

int main(void)
{
	if (!attack_open(&host, &before))
		return 0;
	make_script();
	test_memory_file();
	test_grab(false);
	test_grab(true);
	test_freeze();
	test_freeze_report();
	test_orphan();
	test_host_close(&host);
	return done_testing();
}
