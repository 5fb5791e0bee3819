/*
 * The agent protocol: every message survives the way there, and nothing but a whole, exact message is taken. Both ends'
 * host side helpers (agent.h) over a socket pair.
 */
#include "runtime/agent/agent_proto.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/agent/agent.h"
#include "runtime/base/error.h"
#include "runtime/sandbox.h"
#include "tests/tap.h"

static const struct agent_setup setup = {
	.flags = AGENT_SETUP_ROOT | AGENT_SETUP_SURVIVE,
	.caps = SANDBOX_CAPS_ROOT,
	.shm_bytes = 1ULL << 40,
	.ptys = 7,
	.uid = 1000,
	.gid = 100,
	.fault_stage = AGENT_STAGE_DROP,
	.hostname = "a-host-name-as-long-as-linux-takes-them-that-is-64-bytes-no-more",
	.filter = { "\x06\0\0\0\0\0\xff\x7f", 8 },
	.compile_filter = { "\x06\0\0\0\0\0\xff\x7e", 8 },
};
static const struct agent_start start = {
	.argv = { "python3\0-c\0\0print(1)", 21 },
	.env = { "PATH=/bin\0LANG=C", 17 },
	.cwd = "/work/with a space",
	.uid = UINT32_MAX,
	.gid = 5,
	.stdio = AGENT_STDIO_PTY,
	.filter = AGENT_FILTER_COMPILE,
	.cols = 65535,
	.rows = 24,
	.umask = 027,
	.rlimits = { "\7\0\0\0aaaaaaaabbbbbbbb", 20 },
};
static const struct agent_signal signal_ = { .proc = 7, .signo = 15 };
static const struct agent_resize resize = { .proc = 0xfffffffe, .cols = 132, .rows = 43 };
static const struct agent_file file = {
	.op = AGENT_FILE_RENAME,
	.flags = AGENT_FILE_RECURSIVE | AGENT_FILE_PARENTS,
	.uid = 1,
	.gid = 2,
	.mode = 0640,
	.offset = UINT64_MAX,
	.limit = 1ULL << 33,
	.path = "/work/from",
	.path2 = "/work/\xff\xfenot text",
};
static const struct agent_deliver deliver = {
	.mode = 0755,
	.path = "/work/a program",
	.content = { "\x7f"
		     "ELF\0\1",
		     6 },
};
static const struct agent_connect connect_ = { .port = 8080, .is_v6 = 1 };
static const struct agent_ready ready = {
	.is_probe = 1,
	.seccomp = 2,
	.no_new_privs = 1,
	.cap_eff = 1,
	.cap_prm = 1ULL << 40,
	.cap_bnd = UINT64_MAX,
	.uid = 1000,
	.gid = 1000,
	.uid_map = "         0 1879048192      65536\n",
	.speculation = "Speculation_Store_Bypass:\tthread force mitigated\n",
};
static const struct agent_failed failed = { .stage = AGENT_STAGE_MASK, .code = ENODEV, .object = "/proc/kcore" };
static const struct agent_started started = { .pid_inside = 2, .at_ns = 123456789012345 };
static const struct agent_exited exited = {
	.wait_status = 0x8b, .at_ns = UINT64_MAX, .user_ns = 1, .system_ns = 2, .max_rss_bytes = 1 << 20
};
static const struct agent_file_done file_done = {
	.code = ENOSPC, .bytes = 5, .mode = 0100644, .uid = 1000, .gid = 1000, .size = 6, .mtime_ns = -1, .is_cut = 1
};
static const struct agent_connected connected = { .code = ECONNREFUSED };

static const struct sample {
	enum agent_message type;
	const void *message;
	size_t size;
	const char *name;
} samples[] = {
	{ AGENT_SETUP, &setup, sizeof(setup), "SETUP" },
	{ AGENT_START, &start, sizeof(start), "START" },
	{ AGENT_SIGNAL, &signal_, sizeof(signal_), "SIGNAL" },
	{ AGENT_RESIZE, &resize, sizeof(resize), "RESIZE" },
	{ AGENT_FILE, &file, sizeof(file), "FILE" },
	{ AGENT_CONNECT, &connect_, sizeof(connect_), "CONNECT" },
	{ AGENT_REPORT, NULL, 0, "REPORT" },
	{ AGENT_ATTACH, NULL, 0, "ATTACH" },
	{ AGENT_ACK, NULL, 0, "ACK" },
	{ AGENT_CLOSE_STDIN, NULL, 0, "CLOSE_STDIN" },
	{ AGENT_DELIVER, &deliver, sizeof(deliver), "DELIVER" },
	{ AGENT_READY, &ready, sizeof(ready), "READY" },
	{ AGENT_FAILED, &failed, sizeof(failed), "FAILED" },
	{ AGENT_STARTED, &started, sizeof(started), "STARTED" },
	{ AGENT_REFUSED, &failed, sizeof(failed), "REFUSED" },
	{ AGENT_EXITED, &exited, sizeof(exited), "EXITED" },
	{ AGENT_DONE, NULL, 0, "DONE" },
	{ AGENT_FILE_OPEN, NULL, 0, "FILE_OPEN" },
	{ AGENT_FILE_DONE, &file_done, sizeof(file_done), "FILE_DONE" },
	{ AGENT_CONNECTED, &connected, sizeof(connected), "CONNECTED" },
};
enum { N_SAMPLES = sizeof(samples) / sizeof(samples[0]), OFFSET_VERSION = 2, OFFSET_TYPE = 4 };

static uint8_t wire[FRAME_MAX_BYTES];
static union agent_any any;

/* No assertion of its own: it is called in loops, and a failure shows in everything that follows. */
static size_t encode(const struct sample *s)
{
	struct frame_writer w;

	return agent_encode(&w, wire, sizeof(wire), s->type, 4711, s->message, NULL) == 0 ? w.size : 0;
}

/* Of the exact size, so that a sanitizer sees one byte past it. */
static uint8_t *memory(size_t size)
{
	uint8_t *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return p;
}

static int decode(const uint8_t *data, size_t size, struct frame_header *h, struct error *err)
{
	uint8_t *copy = memory(size);
	int r;

	memcpy(copy, data, size);
	r = agent_decode(copy, size, h, &any, err);
	free(copy);
	return r;
}

static void test_round_trip(const struct sample *s)
{
	size_t size = encode(s);
	uint8_t *again = memory(size);
	struct error err = ERROR_INIT;
	struct frame_header h = { 0 };
	struct frame_writer w;

	memset(&any, 0, sizeof(any));
	need(agent_decode(wire, size, &h, &any, &err) == 0, "%s: is read back %s", s->name, err.text);
	ok(h.type == s->type && h.seq == 4711 && h.version == AGENT_VERSION,
	   "%s: type, number and version are those sent", s->name);
	if (s->type != AGENT_SETUP && s->type != AGENT_START &&
	    s->type != AGENT_DELIVER) /* their spans point elsewhere now: looked at below */
		ok(s->size == 0 || memcmp(&any, s->message, s->size) == 0, "%s: every field is what was sent", s->name);
	ok(agent_encode(&w, again, size, s->type, 4711, &any, NULL) == 0 && w.size == size &&
		   memcmp(again, wire, size) == 0,
	   "%s: written again it is the same bytes", s->name);
	free(again);
}

static bool is_span(const struct span *got, const struct span *want)
{
	return got->size == want->size && memcmp(got->data, want->data, want->size) == 0;
}

static void test_spans(void)
{
	struct frame_header h;
	const char *argv[6];
	size_t n = 0, size = encode(&samples[0]);

	need(agent_decode(wire, size, &h, &any, NULL) == 0, "SETUP is read");
	ok(is_span(&any.setup.filter, &setup.filter) && is_span(&any.setup.compile_filter, &setup.compile_filter) &&
		   strcmp(any.setup.hostname, setup.hostname) == 0 && any.setup.caps == setup.caps,
	   "SETUP: filter, name and capabilities are those sent");
	size = encode(&samples[1]);
	need(agent_decode(wire, size, &h, &any, NULL) == 0, "START is read");
	ok(is_span(&any.start.argv, &start.argv) && is_span(&any.start.env, &start.env) &&
		   is_span(&any.start.rlimits, &start.rlimits) && any.start.cols == 65535 && any.start.umask == 027,
	   "START: lists and numbers are those sent");
	for (const char *p = span_next(&any.start.argv, NULL); p && n < 6; p = span_next(&any.start.argv, p))
		argv[n++] = p;
	is_int(n, 4, "START: four arguments");
	ok(n == 4 && !strcmp(argv[0], "python3") && !strcmp(argv[1], "-c") && !argv[2][0] &&
		   !strcmp(argv[3], "print(1)"),
	   "START: an empty one among them");
	any.start.argv = (struct span){ "", 0 };
	ok(!span_next(&any.start.argv, NULL), "an empty list has no first string");
	any.start.argv = (struct span){ NULL, 0 };
	ok(!span_next(&any.start.argv, NULL), "nor has none");
	size = encode(&samples[10]);
	need(agent_decode(wire, size, &h, &any, NULL) == 0, "DELIVER is read");
	ok(is_span(&any.deliver.content, &deliver.content) && strcmp(any.deliver.path, deliver.path) == 0 &&
		   any.deliver.mode == 0755,
	   "DELIVER: content, path and mode are those sent");
}

static void test_refusals(const struct sample *s)
{
	size_t size = encode(s), refused = 0;
	struct error err = ERROR_INIT;
	struct frame_header h;

	for (size_t n = 0; n < size; n++)
		refused += decode(wire, n, &h, NULL) == -EPROTO;
	is_int(refused, size, "%s: cut anywhere, it is refused", s->name);
	wire[size] = 0;
	is_int(decode(wire, size + 1, &h, &err), -EPROTO, "%s: with a byte too many it is refused", s->name);
	has_str(err.text, s->name, "%s: by name", s->name);
	refused = 0;
	for (size_t n = 0; n < size; n++) {
		struct frame_writer w;
		uint8_t *small = memory(n);

		refused += agent_encode(&w, small, n, s->type, 1, s->message, NULL) == -EMSGSIZE;
		free(small);
	}
	is_int(refused, size, "%s: without room for all of it, it is not written", s->name);
}

static void test_headers(void)
{
	size_t size = encode(&samples[2]), refused = 0, wanted = 0;
	struct error err = ERROR_INIT;
	struct frame_header h;

	wire[OFFSET_VERSION] = AGENT_VERSION + 1;
	is_int(decode(wire, size, &h, &err), -EPROTO, "another version is refused");
	has_str(err.text, "protocol version 5, we speak 4", "by name");
	wire[OFFSET_VERSION] = 0;
	is_int(decode(wire, size, &h, &err), -EPROTO, "so is version 0");
	for (uint32_t type = 0; type <= UINT16_MAX; type++) {
		bool is_known = false;

		for (size_t i = 0; i < N_SAMPLES; i++)
			is_known |= samples[i].type == type;
		if (is_known)
			continue;
		size = encode(&samples[6]); /* REPORT: only a header, so nothing but the type can be wrong */
		wire[OFFSET_TYPE] = (uint8_t)type;
		wire[OFFSET_TYPE + 1] = (uint8_t)(type >> 8);
		wanted++;
		refused += agent_decode(wire, size, &h, &any, &err) == -EPROTO;
	}
	is_int(refused, wanted, "every type that is none is refused");
	has_str(err.text, "unknown type", "by name");
}

/* A message written by hand: what no encoder of ours makes. */
static void by_hand(struct frame_writer *w, uint16_t type)
{
	const struct frame_header h = { .version = AGENT_VERSION, .type = type, .seq = 1 };

	frame_begin(w, wire, sizeof(wire), &h);
}

/* START with these lists, everything else empty. */
static int decode_start(const char *argv, size_t argv_size, const char *env, size_t env_size, const char *cwd,
			size_t cwd_size)
{
	struct frame_writer w;
	struct frame_header h;

	by_hand(&w, AGENT_START);
	frame_put_bytes(&w, argv, argv_size);
	frame_put_bytes(&w, env, env_size);
	frame_put_bytes(&w, cwd, cwd_size);
	for (int i = 0; i < 4; i++) /* uid, gid, stdio, filter */
		frame_put_u32(&w, 0);
	frame_put_u16(&w, 0);
	frame_put_u16(&w, 0);
	frame_put_u32(&w, 0);
	frame_put_bytes(&w, NULL, 0);
	return decode(wire, w.size, &h, NULL);
}

static void test_strings(void)
{
	static char long_path[5000];
	struct frame_writer w;
	struct frame_header h;

	memset(long_path, 'x', sizeof(long_path));
	is_int(decode_start("ls\0-l", 6, "A=1", 4, "/", 1), 0, "lists that end with NUL are taken");
	is_int(decode_start("", 0, "", 0, "", 0), 0, "so are empty ones");
	is_int(decode_start("ls\0-l", 5, "A=1", 4, "/", 1), -EPROTO, "an unterminated argument is refused");
	is_int(decode_start("ls", 3, "A=1", 3, "/", 1), -EPROTO, "an unterminated variable is refused");
	is_int(decode_start("ls", 3, "A=1", 4, "/a\0b", 4), -EPROTO, "a path with a NUL in it is refused");
	is_int(decode_start("ls", 3, "A=1", 4, long_path, 4095), 0, "a path of 4095 bytes is taken");
	is_int(decode_start("ls", 3, "A=1", 4, long_path, 4096), -EPROTO, "a path of 4096 bytes is refused");

	by_hand(&w, AGENT_FAILED);
	frame_put_u32(&w, 1);
	frame_put_u32(&w, 1);
	frame_put_u32(&w, UINT32_MAX); /* the length of what follows */
	is_int(decode(wire, w.size, &h, NULL), -EPROTO, "a length beyond the message is refused");
}

static void test_stages(void)
{
	for (uint32_t i = 0; i < AGENT_STAGE_COUNT; i++) {
		bool is_distinct = true;

		for (uint32_t k = 0; k < i; k++)
			is_distinct &= strcmp(agent_stage_name(i), agent_stage_name(k)) != 0;
		ok(agent_stage_name(i)[0] && is_distinct, "stage %u has words of its own: %s", i, agent_stage_name(i));
	}
	is_str(agent_stage_name(AGENT_STAGE_COUNT), "an unknown stage", "the number after the last has none");
	is_str(agent_stage_name(UINT32_MAX), "an unknown stage", "nor has the largest");
	for (int i = 0; i < SANDBOX_STAGE_COUNT; i++)
		ok(sandbox_stage_name((enum sandbox_stage)i)[0], "host stage %d has words: %s", i,
		   sandbox_stage_name((enum sandbox_stage)i));
}

/* ---- agent.h over a socket pair ---- */

static struct agent_event event;

static void test_start_bounds(int sock)
{
	static char text[FRAME_MAX_BYTES];
	const char *const argv[] = { "true", NULL }, *const env[] = { text, NULL };
	struct process_rlimit rlimits[AGENT_RLIMITS_MAX + 1] = { { .resource = 0 } };
	struct process_spec spec = { .argv = argv, .env = env };
	struct error err = ERROR_INIT;

	memset(text, 'x', sizeof(text) - 1);
	is_int(agent_start(sock, 1, &spec, &err), -EMSGSIZE, "an environment longer than a message is refused");
	has_str(err.text, "longer than 131072 bytes", "in words");
	text[sizeof(text) - 20] = '\0'; /* fits the list, not the message around it */
	is_int(agent_start(sock, 1, &spec, &err), -EMSGSIZE, "one that only nearly fits is refused, too");
	text[1000] = '\0';
	spec.n_rlimits = AGENT_RLIMITS_MAX + 1;
	spec.rlimits = rlimits;
	is_int(agent_start(sock, 1, &spec, &err), -E2BIG, "a limit more than there is room for is refused");
	spec.n_rlimits = 1;
	text[1000] = 'x';
	text[4096] = '\0';
	spec.cwd = text;
	is_int(agent_start(sock, 1, &spec, &err), -ENAMETOOLONG, "a directory of 4096 bytes is refused");
	spec.cwd = "/";
	rlimits[0] = (struct process_rlimit){ RLIMIT_NOFILE, { 20, 30 } };
	is_int(agent_start(sock, 9, &spec, &err), 0, "a start within bounds is sent %s", err.text);
}

static void test_start_arrives(int sock)
{
	struct frame_header h;
	struct frame_reader r;
	ssize_t n = frame_recv(sock, wire, sizeof(wire), NULL, NULL, MSG_DONTWAIT, NULL);

	need(n > 0 && agent_decode(wire, (size_t)n, &h, &any, NULL) == 0 && h.type == AGENT_START && h.seq == 9,
	     "it arrives, and it alone");
	is_str(any.start.argv.data, "true", "with its program");
	r = (struct frame_reader){ .data = any.start.rlimits.data, .size = any.start.rlimits.size };
	ok(any.start.rlimits.size == AGENT_RLIMIT_BYTES && frame_get_u32(&r) == RLIMIT_NOFILE &&
		   frame_get_u64(&r) == 20 && frame_get_u64(&r) == 30,
	   "and its resource limit");
	is_int(frame_recv(sock, wire, sizeof(wire), NULL, NULL, MSG_DONTWAIT, NULL), -EAGAIN, "nothing else was sent");
}

static int lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	(void)close(fd);
	return fd;
}

static void test_receive(int host, int agent)
{
	struct error err = ERROR_INIT;
	struct frame_writer w;
	int fds[2] = { agent, agent }, before = lowest_fd();

	is_int(agent_receive(host, &event, MSG_DONTWAIT, &err), -EAGAIN, "an empty socket is no event");

	(void)agent_encode(&w, wire, sizeof(wire), AGENT_STARTED, 3, &started, NULL);
	(void)frame_send(agent, &w, fds, 2, 0, NULL);
	is_int(agent_receive(host, &event, MSG_DONTWAIT, &err), 1, "STARTED is one %s", err.text);
	ok(event.header.type == AGENT_STARTED && event.n_fds == 2 && event.any.started.pid_inside == 2,
	   "with descriptors");
	ok(fcntl(event.fds[0], F_GETFD) == FD_CLOEXEC, "close-on-exec");
	agent_event_done(&event);
	is_int(event.n_fds, 0, "which can be given up");

	(void)agent_encode(&w, wire, sizeof(wire), AGENT_ATTACH, 3, NULL, NULL);
	(void)frame_send(agent, &w, fds, 2, 0, NULL);
	is_int(agent_receive(host, &event, MSG_DONTWAIT, &err), -EPROTO, "a request from an agent is refused");
	has_str(err.text, "agent sent a request", "in words");

	(void)agent_encode(&w, wire, sizeof(wire), AGENT_EXITED, 3, &exited, NULL);
	w.size--;
	(void)frame_send(agent, &w, fds, 1, 0, NULL);
	is_int(agent_receive(host, &event, MSG_DONTWAIT, &err), -EPROTO, "a message cut short is refused");
	is_int(lowest_fd(), before, "and no descriptor of the refused is kept");
	(void)shutdown(agent, SHUT_WR);
	is_int(agent_receive(host, &event, MSG_DONTWAIT, &err), 0, "the end is the end");
}

static void test_failure(void)
{
	struct agent_failed f = { .stage = AGENT_STAGE_MASK, .code = ENODEV, .object = "/proc/kcore" };
	struct error err = ERROR_INIT;

	is_int(agent_failure(&f, &err), -ENODEV, "a failure has its code");
	is_str(err.text, "mask a path in /proc: '/proc/kcore': No such device", "and says stage, object and error");
	f = (struct agent_failed){ .stage = 77, .code = 0x80000000u };
	is_int(agent_failure(&f, &err), -EPROTO, "a code that is none is EPROTO");
	has_str(err.text, "an unknown stage", "and a stage that is none is said to be so");
	f.code = 0;
	is_int(agent_failure(&f, NULL), -EPROTO, "a failure without a code is one all the same");
}

/* ---- an agent that is gone ---- */

/* Sends to an agent that said `words` (or nothing) and closed, with a request of ours unread or not. */
static int send_to_the_dead(bool says, bool leaves_unread, struct error *err)
{
	struct agent_failed f = { .stage = AGENT_STAGE_DROP, .code = EPERM };
	uint8_t memory[512];
	struct frame_writer w;
	int pair[2], r;

	memcpy(f.object, "core limit", sizeof("core limit"));
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	if (leaves_unread)
		need(agent_request(pair[0], AGENT_REPORT, 1, NULL, NULL) == 0, "a request");
	if (says)
		need(agent_encode(&w, memory, sizeof(memory), AGENT_FAILED, 0, &f, NULL) == 0 &&
			     frame_send(pair[1], &w, NULL, 0, 0, NULL) == 0,
		     "last words");
	(void)close(pair[1]);
	error_clear(err);
	r = agent_request(pair[0], AGENT_REPORT, 2, NULL, err);
	if (says) {
		static struct agent_event e;
		struct error again = ERROR_INIT;

		ok(agent_receive(pair[0], &e, MSG_DONTWAIT, &again) == 1 && e.header.type == AGENT_FAILED,
		   "who reads the socket still gets them");
		agent_event_done(&e);
	}
	(void)close(pair[0]);
	return r;
}

static void test_last_words(void)
{
	struct error err = ERROR_INIT;

	for (int unread = 0; unread < 2; unread++) {
		is_int(send_to_the_dead(true, unread, &err), -EPERM,
		       "a request to an agent that failed has its reason");
		has_str(err.text, "'core limit': Operation not permitted", "in its words");
		ok(!strstr(err.text, "pipe"), "and not in those of the pipe");
		is_int(send_to_the_dead(false, unread, &err), -EPIPE, "one that said nothing");
		has_str(err.text, "pid 1 of the sandbox has ended", "is said to have ended");
	}
}

int main(void)
{
	int pair[2];

	for (size_t i = 0; i < N_SAMPLES; i++) {
		test_round_trip(&samples[i]);
		test_refusals(&samples[i]);
	}
	test_spans();
	test_headers();
	test_strings();
	test_stages();
	test_failure();
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	test_start_bounds(pair[0]);
	test_start_arrives(pair[1]);
	test_receive(pair[0], pair[1]);
	(void)close(pair[0]);
	(void)close(pair[1]);
	test_last_words();
	return done_testing();
}
