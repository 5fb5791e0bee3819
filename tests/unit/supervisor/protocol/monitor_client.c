/* The front's side of the monitor protocol, with this test as the monitor. */
#include "supervisor/protocol/monitor_client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

static uv_loop_t loop;
static struct monitor_client *client;
static int monitor = -1; /* our end */

/* What was heard, in order: one letter each. */
static char heard[256];
static int last_code;
static int taken[4];
static bool is_inside; /* a call of ours is on the stack: no callback may come */

static void hear(const char *what)
{
	size_t n = strlen(heard);

	if (n + 1 < sizeof(heard))
		memcpy(heard + n, is_inside ? "!" : what, 1);
}

static void on_welcome(const struct monitor_welcome *m, void *arg)
{
	(void)arg;
	hear(m->front_number == 3 ? "W" : "?");
}
static void on_adopt(const struct monitor_adopt *m, struct sandbox_fds *fds, void *arg)
{
	(void)arg;
	hear(strcmp(m->id, "adopted") == 0 ? "A" : "?");
	taken[0] = fd_take(&fds->sock);
}
static void on_adopted(void *arg)
{
	(void)arg;
	hear("a");
}
static void on_stopped(const struct monitor_stopped *m, void *arg)
{
	(void)arg;
	hear(m->stop == 2 ? "S" : "?");
}
static void on_reload(void *arg)
{
	(void)arg;
	hear("R");
}
static void on_drain(void *arg)
{
	(void)arg;
	hear("D");
}
static void on_gone(void *arg)
{
	(void)arg;
	hear("G");
}

static const struct monitor_handlers handlers = {
	.welcome = on_welcome,
	.adopt = on_adopt,
	.adopted = on_adopted,
	.stopped = on_stopped,
	.reload = on_reload,
	.drain = on_drain,
	.gone = on_gone,
};

static void on_image(const struct error *e, const struct monitor_image *image, int *config_fd, void *arg)
{
	(void)arg;
	last_code = e ? e->code : 0;
	hear(e ? "i" : strcmp(image->manifest, "m") == 0 && *config_fd >= 0 ? "I" : "?");
}
static void on_created(const struct error *e, const struct monitor_created *m, struct sandbox_fds *fds, void *arg)
{
	(void)arg;
	last_code = e ? e->code : 0;
	hear(e ? "c" : m->policy_digest[0] && fds->index >= 0 ? "C" : "?");
}
static void on_done(const struct error *e, void *arg)
{
	last_code = e ? e->code : 0;
	hear(e ? "d" : (const char *)arg);
}
static void on_facts(const struct error *e, const struct monitor_facts *f, void *arg)
{
	(void)arg;
	last_code = e ? e->code : 0;
	hear(e ? "f" : f->cpu_ns == 5 ? "F" : "?");
}

static void run(void)
{
	for (int i = 0; i < 10; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void begin(void)
{
	struct error err = ERROR_INIT;
	int pair[2];

	memset(heard, 0, sizeof(heard));
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	monitor = pair[0];
	need(monitor_client_new(&loop, pair[1], &handlers, &client, &err) == 0, "a client %s", err.text);
}

static void end(void)
{
	monitor_client_free(client);
	run();
	fd_close(&monitor);
}

static void say(enum monitor_message type, uint32_t seq, const void *m, size_t n_fds)
{
	uint8_t memory[4096];
	struct frame_writer w;
	int fds[8];

	for (size_t i = 0; i < n_fds; i++)
		fds[i] = monitor; /* any will do */
	(void)monitor_encode(&w, memory, sizeof(memory), type, seq, m, NULL);
	(void)frame_send(monitor, &w, fds, n_fds, MSG_DONTWAIT, NULL);
}

/* The next request; its number, 0 for none. */
static uint32_t request(enum monitor_message type)
{
	static union monitor_any any;
	uint8_t memory[4096];
	struct frame_header h;
	ssize_t n = frame_recv(monitor, memory, sizeof(memory), NULL, NULL, MSG_DONTWAIT, NULL);

	if (n <= 0 || monitor_decode(memory, (size_t)n, &h, &any, NULL) < 0 || h.type != type)
		return 0;
	return h.seq ? h.seq : UINT32_MAX;
}

static void test_said(void)
{
	const struct monitor_welcome w = { .n_adopt = 2, .front_number = 3 };
	const struct monitor_adopt a = { .id = "adopted" };
	const struct monitor_stopped s = { .id = "x", .stop = 2 };

	begin();
	say(MONITOR_WELCOME, 0, &w, 0);
	say(MONITOR_ADOPT, 0, &a, 4);
	run();
	is_str(heard, "WA", "one of two adopted");
	ok(fcntl(taken[0], F_GETFL) & O_NONBLOCK, "the agent's socket does not block");
	(void)close(taken[0]);
	say(MONITOR_ADOPT, 0, &a, 4);
	say(MONITOR_STOPPED, 0, &s, 0);
	say(MONITOR_RELOAD, 0, NULL, 0);
	say(MONITOR_DRAIN, 0, NULL, 0);
	say(MONITOR_PING, 0, NULL, 0);
	run();
	ok(request(MONITOR_PONG) != 0, "a ping is answered");
	is_str(heard, "WAAaSRD", "all that a monitor says by itself is heard, in order");
	(void)close(taken[0]);
	say(MONITOR_ADOPT, 0, &a, 4);
	run();
	is_str(heard, "WAAaSRDG", "one more ADOPT than announced is no monitor's");
	end();

	begin();
	say(MONITOR_WELCOME, 0, &(struct monitor_welcome){ .front_number = 3 }, 0);
	run();
	is_str(heard, "Wa", "with nothing to adopt, all is adopted");
	fd_close(&monitor);
	run();
	is_str(heard, "WaG", "the monitor's end is heard");
	is_int(monitor_kill_sandbox(client, "x"), -EPIPE, "and nothing can be asked any more");
	end();
}

static void test_answers(void)
{
	const struct monitor_image image = { .manifest = "m", .config = "c" };
	const struct monitor_created created = { .policy_digest = "p" };
	const struct monitor_facts facts = { .cpu_ns = 5 };
	const struct monitor_refused refused = { .code = ENOENT, .text = "no" };
	const struct monitor_stage stage = { .id = "x" };
	uint32_t first, second;
	char one[] = "1", two[] = "2";

	begin();
	is_inside = true;
	ok(monitor_resolve_image(client, "name", on_image, NULL) == 0 &&
		   monitor_create_sandbox(client, &(struct monitor_create){ .id = "x" }, on_created, NULL) == 0,
	   "requests are sent");
	is_inside = false;
	first = request(MONITOR_RESOLVE);
	second = request(MONITOR_CREATE);
	ok(first && second && first != second, "with numbers of their own");
	say(MONITOR_CREATED, second, &created, 4);
	say(MONITOR_IMAGE, first, &image, 1);
	run();
	is_str(heard, "CI", "answers find their callbacks, in whatever order");
	(void)monitor_set_stage(client, &stage, on_done, one);
	(void)monitor_set_stage(client, &stage, on_done, two);
	first = request(MONITOR_STAGE);
	say(MONITOR_DONE, request(MONITOR_STAGE), NULL, 0);
	say(MONITOR_DONE, first, NULL, 0);
	run();
	is_str(heard, "CI21", "with their arguments");
	(void)monitor_finish_sandbox(client, "x", on_facts, NULL);
	(void)monitor_finish_sandbox(client, "y", on_facts, NULL);
	say(MONITOR_FACTS, request(MONITOR_FINISH), &facts, 0);
	say(MONITOR_REFUSED, request(MONITOR_FINISH), &refused, 0);
	run();
	is_str(heard, "CI21Ff", "a refusal is an error");
	is_int(last_code, ENOENT, "with its code");
	ok(monitor_kill_sandbox(client, "x") == 0 && monitor_tag_sandbox(client, "x", "t", 1) == 0 &&
		   monitor_say_state(client, MONITOR_STATE_LISTENING, "here") == 0,
	   "what has no answer is sent");
	ok(request(MONITOR_KILL) && request(MONITOR_TAG) && request(MONITOR_STATE), "and comes");
	is_int(monitor_kill_sandbox(client, "an id that is much longer than any id of a sandbox can ever be, by far"),
	       -ENAMETOOLONG, "an id that is none is refused here");
	say(MONITOR_DONE, 12345, NULL, 0);
	run();
	is_str(heard, "CI21FfG", "an answer to nothing is no monitor's");
	end();
}

static void test_wrong_answer(void)
{
	begin();
	(void)monitor_resolve_image(client, "name", on_image, NULL);
	say(MONITOR_DONE, request(MONITOR_RESOLVE), NULL, 0);
	run();
	is_str(heard, "G", "an answer of another kind is no monitor's");
	end();
	is_str(heard, "Gi", "the callback comes all the same, when the client is freed");
	is_int(last_code, ECONNRESET, "and says that the monitor is gone");

	begin();
	(void)monitor_resolve_image(client, "name", on_image, NULL);
	say(MONITOR_IMAGE, request(MONITOR_RESOLVE), &(struct monitor_image){ .manifest = "m" }, 2);
	run();
	is_str(heard, "G", "nor is one with other descriptors");
	end();

	begin();
	say(MONITOR_KILL, 0, &(struct monitor_kill){ .id = "x" }, 0);
	run();
	is_str(heard, "G", "nor is what only fronts say");
	end();
}

static void test_full(void)
{
	int n = 0, n_come = 0, r;

	begin();
	while ((r = monitor_kill_sandbox(client, "x")) == 0 && n < 100000)
		n++;
	is_int(r, -EAGAIN, "what the monitor does not read is bounded (%d messages)", n);
	for (int i = 0; i < 10000 && n_come < n; i++) {
		while (request(MONITOR_KILL))
			n_come++;
		run();
	}
	is_int(n_come, n, "and all of it comes when it reads");
	ok(monitor_kill_sandbox(client, "x") == 0, "then there is room again");
	end();

	begin();
	for (n = 0; monitor_finish_sandbox(client, "x", on_facts, NULL) == 0 && n < 100000; n++) {
		if (n % 100 == 0) {
			run();
			while (request(MONITOR_FINISH)) {
			}
		}
	}
	ok(n >= 4000 && n < 100000, "so are requests that are never answered (%d)", n);
	end();
	is_int(strlen(heard), sizeof(heard) - 1, "each is called in the end");
}

int main(void)
{
	need(uv_loop_init(&loop) == 0, "a loop");
	test_said();
	test_answers();
	test_wrong_answer();
	test_full();
	is_int(uv_loop_close(&loop), 0, "nothing is left on the loop");
	return done_testing();
}
