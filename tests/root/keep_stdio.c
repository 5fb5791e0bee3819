/*
 * A job whose front dies goes on: who holds a duplicate of its socket is told everything again. When nobody holds it
 * any more, the job ends.
 *
 * # timeout: 60
 */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/sandbox.h"
#include "tests/support/guest.h"
#include "tests/support/host.h"
#include "tests/support/leftovers.h"
#include "tests/tap.h"

#define PAYLOAD "/bin/payload"

static struct test_host host;
static struct guest guest;

static struct guest_call *start(enum agent_stdio stdio, const char *const *argv)
{
	struct process_spec p = guest_process(argv);
	struct guest_call *c;

	p.stdio = stdio;
	c = guest_start(&guest, &p);
	need(guest_wait_open(&guest, c), "%s starts", argv[1]);
	return c;
}

/* All that the front had is closed; the monitor's duplicate goes to its successor. Returns the answer to ATTACH. */
static struct guest_call *change_front(struct sandbox *s)
{
	int next = fcntl(s->sock, F_DUPFD_CLOEXEC, 0);

	is_str(guest_done(&guest), "", "the old front heard only what it asked for");
	(void)close(s->sock);
	s->sock = next;
	guest_init(&guest, s);
	return guest_request(&guest, AGENT_ATTACH, NULL);
}

static bool is_dead_within(const struct sandbox *s, int ms)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void test_front_changes(struct sandbox *s)
{
	const uint32_t cat = start(AGENT_STDIO_PIPES, ARGV(PAYLOAD, "cat"))->seq;
	struct guest_call *over = start(AGENT_STDIO_NO_STDIN, ARGV(PAYLOAD, "echo", "last words"));
	const uint32_t over_seq = over->seq;
	struct guest_call *c, *again;
	cleanup_buf struct buf out = BUF_INIT;

	ok(guest_wait_over(&guest, over), "one of two processes ends");
	c = change_front(s);
	again = guest_adopt(&guest, cat);
	over = guest_adopt(&guest, over_seq);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_READY, "the next front is told READY");
	ok(guest_wait_open(&guest, again) && again->n_fds == 3, "the living process again, with its three descriptors");
	ok(fd_write_all(again->fds[0], "still here", 10, NULL) == 0 && guest_expect(again->fds[1], "still here"),
	   "its input and output go on");
	ok(guest_wait_over(&guest, over) && over->last == AGENT_EXITED && over->answer.exited.wait_status == 0,
	   "the end that nobody acknowledged again");
	(void)guest_finish(&guest, over, NULL, 0, &out, NULL);
	is_str(buf_str(&out), "last words\n", "with what was not read yet");
	ok(agent_request(s->sock, AGENT_ACK, over_seq, NULL, NULL) == 0, "it is acknowledged");
	c = guest_request_about(&guest, AGENT_CLOSE_STDIN, again);
	ok(guest_wait_over(&guest, c) && c->last == AGENT_DONE, "CLOSE_STDIN takes the agent's copy away");
	is_int(guest_finish(&guest, again, NULL, 0, NULL, NULL), 0, "and with ours closed the input ends");
	ok(agent_request(s->sock, AGENT_ACK, cat, NULL, NULL) == 0, "it is acknowledged");
	c = change_front(s);
	ok(guest_wait_over(&guest, c), "the front after that is told of nothing: guest_done() would say so");
}

static void test_all_gone(struct sandbox *s)
{
	int monitors = fcntl(s->sock, F_DUPFD_CLOEXEC, 0);

	(void)start(AGENT_STDIO_PIPES, ARGV(PAYLOAD, "ignore"));
	is_str(guest_done(&guest), "", "every answer was asked for");
	fd_close(&s->sock);
	ok(!is_dead_within(s, 300), "while one duplicate is held the sandbox lives");
	fd_close(&monitors);
	ok(is_dead_within(s, 10000), "when the last one is closed it ends");
}

int main(void)
{
	const char *unfit = test_host_unfit();
	struct error err = ERROR_INIT;
	struct leftovers before;
	struct sandbox_spec spec;
	struct sandbox *s = NULL;

	if (unfit) {
		printf("1..0 # SKIP %s\n", unfit);
		return 0;
	}
	need(test_host_open(&host, 0, &err) == 0, "a sandbox host opens %s", err.text);
	leftovers_count(&host, &before);
	test_host_spec(&host, &spec);
	spec.keep_stdio = true;
	need(test_sandbox(&host, &spec, &s, &err) == 0, "a sandbox becomes ready %s", err.text);
	guest_init(&guest, s);
	test_front_changes(s);
	test_all_gone(s);
	ok(sandbox_destroy(s, TEST_DESTROY_MS, &err) == 0, "it is removed %s", err.text);
	is_str(leftovers_since(&host, &before), "", "and nothing is left");
	test_host_close(&host);
	return done_testing();
}
