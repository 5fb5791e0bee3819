/*
 * The connection to Redis against real servers and against hostile ones: it comes back by itself, answers every command
 * exactly once, never hangs, never takes the memory that a server would like it to, and never says its password.
 * # timeout: 120
 */
#include "supervisor/redis/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/redis/link_impl.h"
#include "tests/tap.h"

#define PASSWORD "hunter2-and-more"

enum { PATIENCE_S = 30 };

static uv_loop_t loop;
static uv_timer_t tick; /* so that the loop comes back to look at the clock */
static char dir[512];

/* ---- the loop ---- */

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static uint64_t give_up_ns;

#define UNTIL(cond, ...)                                                                                               \
	do {                                                                                                           \
		give_up_ns = clock_deadline_ns(PATIENCE_S * NS_PER_S);                                                 \
		while (!(cond) && clock_now_ns() < give_up_ns)                                                         \
			uv_run(&loop, UV_RUN_ONCE);                                                                    \
		need((cond), __VA_ARGS__);                                                                             \
	} while (0)

static void run_for(unsigned ms)
{
	uint64_t end = clock_deadline_ns(ms * NS_PER_MS);

	while (clock_now_ns() < end)
		uv_run(&loop, UV_RUN_ONCE);
}

/* ---- servers ---- */

struct server {
	pid_t pid;
	unsigned port;
	char socket[600];
};

static const char *path(const char *name)
{
	static char text[4][1024];
	static unsigned i;

	i = (i + 1) % 4;
	(void)snprintf(text[i], sizeof(text[i]), "%s/%s", dir, name);
	return text[i];
}

static pid_t spawn(const char *const *argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open(path("servers.log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

static void end(pid_t *pid, int signal)
{
	if (*pid > 0) {
		(void)kill(*pid, signal);
		while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*pid = 0;
}

/* A port that nobody has right now; the socket keeps it until it is closed. */
static int hold_port(unsigned *ret)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 &&
		     getsockname(fd, (struct sockaddr *)&a, &size) == 0,
	     "a port of our own");
	*ret = ntohs(a.sin_port);
	return fd;
}

static bool answers(const char *socket_path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_there;

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
	is_there = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return is_there;
}

/* port 0: only a unix socket. further: up to 12 words. */
static void serve(struct server *s, const char *const *further)
{
	char port[16];
	const char *argv[40] = { "redis-server", "--port", port, "--unixsocket",
				 s->socket,      "--save", "",   "--appendonly",
				 "no",           "--dir",  dir,  "--bind",
				 "127.0.0.1" };
	size_t n = 13;

	(void)snprintf(port, sizeof(port), "%u", s->port);
	while (further && *further)
		argv[n++] = *further++;
	s->pid = spawn(argv);
	for (int i = 0; i < 500 && !answers(s->socket); i++)
		usleep(20000);
	need(answers(s->socket), "a redis-server is there");
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- the link under test ---- */

struct seen {
	unsigned ups, downs;
	char why[512];
};

static void on_state(struct redis_link *link, bool is_up, const char *why, void *arg)
{
	struct seen *s = arg;

	if (link && is_up)
		s->ups++;
	else
		s->downs++;
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
}

static struct redis_link *open_url(const char *url, const char *ca, struct seen *s, unsigned connect_ms,
				   unsigned command_ms)
{
	struct redis_options o = { .url = url,
				   .ca_file = ca,
				   .name = "cubit:test",
				   .connect_ms = connect_ms,
				   .command_ms = command_ms,
				   .state = on_state,
				   .arg = s };
	struct error err = ERROR_INIT;
	struct redis_link *link = NULL;

	memset(s, 0, sizeof(*s));
	if (redis_link_new(&loop, &o, &link, &err) < 0)
		diag("%s", err.text);
	need(link && !redis_link_is_up(link) && s->ups == 0 && s->downs == 0, "a link begins to connect");
	return link;
}

static struct redis_link *open_unix(const struct server *server, const char *user, struct seen *s)
{
	char url[1024];
	struct redis_link *link;

	(void)snprintf(url, sizeof(url), "unix://%s%s", user, server->socket);
	link = open_url(url, NULL, s, 2000, 2000);
	UNTIL(s->ups == 1, "it comes up");
	return link;
}

static void on_done(void *arg)
{
	*(bool *)arg = true;
}

static void shut(struct redis_link *link)
{
	bool is_done = false;

	redis_link_close(link, on_done, &is_done);
	need(!is_done, "closing is not over within the call");
	UNTIL(is_done, "and then it is");
}

/* An answer. */
struct got {
	unsigned n;
	int code, type;
	long long number;
	size_t size;
	char text[600];
};

static void on_reply(const struct error *e, const redisReply *reply, void *arg)
{
	struct got *g = arg;

	g->n++;
	g->code = e ? e->code : 0;
	g->type = reply ? reply->type : 0;
	g->number = reply ? reply->integer : 0;
	g->size = reply ? (reply->type == REDIS_REPLY_ARRAY ? reply->elements : reply->len) : 0;
	if (!e == !reply)
		g->code = -1; /* exactly one of them is promised */
	if (e)
		(void)snprintf(g->text, sizeof(g->text), "%.500s", e->text);
	else if (reply && reply->str)
		(void)snprintf(g->text, sizeof(g->text), "%.500s", reply->str);
}

#define ASK(link, g, ...)                                                                                              \
	do {                                                                                                           \
		memset((g), 0, sizeof(*(g)));                                                                          \
		is_int(REDIS_SEND(link, on_reply, g, __VA_ARGS__), 0, "sent: %s", #__VA_ARGS__);                       \
		UNTIL((g)->n > 0, "answered");                                                                         \
	} while (0)

/* The value of many MiB. A sanitizer looks at each of its bytes several times: give it the time. */
static void get_big(struct redis_link *link, struct got *g)
{
	enum { LONG_MS = 100000, STEP_MS = 20 };

	memset(g, 0, sizeof(*g));
	is_int(redis_send(link, on_reply, g, LONG_MS, 2, WORDS("GET", "big"), (const size_t[]){ 3, 3 }), 0,
	       "asked for it");
	for (int i = 0; i < LONG_MS / STEP_MS && g->n == 0; i++)
		run_for(STEP_MS);
	need(g->n > 0, "answered");
}

/* ---- a false server: answers the greeting, then says what it is told to ---- */

struct false_server {
	pid_t pid;
	unsigned port;
};

enum then { THEN_SAY, THEN_SAY_AGAIN_AND_AGAIN, THEN_CLOSE, THEN_RESET };

static const char greeting_good[] = "+OK\r\n+PONG\r\n";

static void lie(int listener, const char *greeting, const char *text, size_t size, enum then then)
{
	struct linger now = { .l_onoff = 1 };
	char in[4096];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n = read(fd, in, sizeof(in));

		n = n > 0 ? write(fd, greeting, strlen(greeting)) : n;
		n = n > 0 ? read(fd, in, sizeof(in)) : n;
		do {
			n = n > 0 ? write(fd, text, size) : n;
		} while (n > 0 && then == THEN_SAY_AGAIN_AND_AGAIN);
		if (then == THEN_RESET)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		while (n > 0 && then == THEN_SAY)
			n = read(fd, in, sizeof(in));
		close(fd);
	}
}

static void false_server(struct false_server *s, const char *greeting, const char *text, size_t size, enum then then)
{
	int fd = hold_port(&s->port);

	need(listen(fd, 16) == 0, "a false server listens");
	s->pid = fork();
	if (s->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_IGN);
		lie(fd, greeting, text, size, then);
	}
	close(fd);
}

static struct redis_link *open_port(unsigned port, struct seen *s, unsigned connect_ms, unsigned command_ms)
{
	char url[64];

	(void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u", port);
	return open_url(url, NULL, s, connect_ms, command_ms);
}

/* ---- tests ---- */

static void test_commands(void)
{
	struct server server = { .socket = "" };
	struct redis_counts counts;
	struct redis_link *link;
	struct seen s;
	struct got g, h;

	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("one.sock"));
	serve(&server, NULL);
	link = open_unix(&server, "", &s);
	is_str(redis_link_why(link), "", "up needs no reason");

	ASK(link, &g, "SET", "k", "v");
	is_str(g.text, "OK", "SET works");
	ASK(link, &g, "GET", "k");
	is_str(g.text, "v", "GET gives what was set");
	ASK(link, &g, "GET", "none");
	ok(g.code == 0 && g.type == REDIS_REPLY_NIL, "nothing is nil, and no error");
	ASK(link, &g, "CLIENT", "GETNAME");
	is_str(g.text, "cubit:test", "the connection has its name");
	ASK(link, &g, "NOSUCH", "thing");
	ok(g.code == EPROTO && strncmp(g.text, "ERR unknown command", 19) == 0,
	   "an error reply is EPROTO with its text");
	ok(redis_link_is_up(link), "and the link stays");

	memset(&g, 0, sizeof(g));
	memset(&h, 0, sizeof(h));
	is_int(redis_send(link, on_reply, &g, 0, 3, WORDS("SET", "bin", "a\0b\r\nc"), (const size_t[]){ 3, 3, 6 }), 0,
	       "bytes of any value are sent");
	is_int(REDIS_SEND(link, on_reply, &h, "STRLEN", "bin"), 0, "with another behind");
	ok(g.n == 0 && h.n == 0, "no callback from inside the call");
	UNTIL(h.n == 1, "both are answered");
	ok(g.n == 1 && h.number == 6, "in their order, and all six bytes arrived");

	is_int(REDIS_SEND(link, NULL, NULL, "INCR", "n"), 0, "a command may have no callback");
	ASK(link, &g, "GET", "n");
	is_str(g.text, "1", "and is done");
	redis_link_counts(link, &counts);
	ok(counts.connects == 1 && counts.failures == 0 && counts.errors == 1 && counts.pending == 0 &&
		   counts.bytes_in > 0 && counts.bytes_out > 0 && counts.commands >= 10,
	   "the counts say so");
	shut(link);
	end(&server.pid, SIGTERM);
}

/* ---- */

static void test_scripts(const struct server *server)
{
	static struct redis_script add = { .text = "return redis.call('INCRBY', KEYS[1], ARGV[1]) .. ARGV[2]" };
	static struct redis_script wrong = { .text = "return {err='MINE is the error'}" };
	struct seen s;
	struct redis_link *link = open_unix(server, "", &s);
	struct got g, h;

	ASK(link, &g, "SCRIPT", "FLUSH");
	ASK(link, &g, "DEL", "sum");
	for (int i = 1; i <= 2; i++) {
		memset(&g, 0, sizeof(g));
		is_int(redis_eval(link, &add, on_reply, &g, 1, 3, WORDS("sum", "5", "a\0b"),
				  (const size_t[]){ 3, 1, 3 }),
		       0, "a script is sent");
		ok(g.n == 0, "no callback from inside");
		UNTIL(g.n == 1, "and answered");
		ok(g.code == 0 && g.size == (i == 1 ? 4 : 5), "%s",
		   i == 1 ? "by its text when the server does not know it" : "by its digest when it does");
	}
	is_int(strlen(add.sha), 40, "the digest was filled in");
	ASK(link, &g, "GET", "sum");
	is_str(g.text, "10", "and each ran once");
	memset(&g, 0, sizeof(g));
	(void)redis_eval(link, &wrong, on_reply, &g, 0, 0, NULL, NULL);
	UNTIL(g.n == 1, "a script that fails is answered");
	ok(g.code == EPROTO && strstr(g.text, "MINE"), "with its error");

	ASK(link, &g, "SCRIPT", "FLUSH");
	memset(&g, 0, sizeof(g));
	memset(&h, 0, sizeof(h));
	(void)redis_eval(link, &add, on_reply, &g, 1, 3, WORDS("sum", "1", ""), NULL);
	(void)redis_eval(link, &add, on_reply, &h, 1, 3, WORDS("sum", "1", ""), NULL);
	UNTIL(g.n == 1 && h.n == 1, "two at once that both are unknown");
	ok(g.code == 0 && h.code == 0 && strcmp(h.text, "12") == 0, "both run once");

	memset(&g, 0, sizeof(g));
	(void)redis_eval(link, &add, on_reply, &g, 1, 3, WORDS("sum", "1", ""), NULL);
	shut(link);
	ok(g.n == 1 && g.code == ECANCELED, "closing answers a script that waits, once");
}

/* ---- */

static unsigned n_in_order, n_refused;

static void in_order(const struct error *e, const redisReply *reply, void *arg)
{
	if (!e && reply->integer == (long long)(uintptr_t)arg)
		n_in_order++;
}

static void count_refused(const struct error *e, const redisReply *reply, void *arg)
{
	(void)reply;
	if (e && e->code == (int)(uintptr_t)arg)
		n_refused++;
}

static void test_much(const struct server *server)
{
	struct seen s;
	struct redis_link *link = open_unix(server, "", &s);
	struct got g;
	size_t big = 40 << 20, n;
	char *bytes = malloc(big);
	uint64_t start;

	ASK(link, &g, "DEL", "counter");
	start = clock_now_ns();
	for (uintptr_t i = 1; i <= 10000; i++)
		(void)REDIS_SEND(link, in_order, (void *)i, "INCR", "counter");
	UNTIL(n_in_order == 10000, "10000 commands at once are answered in their order");
	diag("10000 in %llu ms", (unsigned long long)((clock_now_ns() - start) / NS_PER_MS));

	need(bytes, "memory");
	memset(bytes, 'x', big);
	memset(&g, 0, sizeof(g));
	is_int(redis_send(link, on_reply, &g, 8000, 3, WORDS("SET", "big", bytes), (const size_t[]){ 3, 3, big }), 0,
	       "40 MiB are sent");
	is_int(redis_send(link, on_reply, &g, 8000, 3, WORDS("SET", "big", bytes), (const size_t[]){ 3, 3, big }),
	       -EAGAIN, "40 more while they wait are not");
	UNTIL(g.n == 1, "they arrive");
	get_big(link, &g);
	ok(g.code == 0 && g.size == big, "and come back whole");

	for (n = 0; REDIS_SEND(link, count_refused, (void *)(uintptr_t)ECANCELED, "PING") == 0; n++)
		;
	is_int(n, LINK_PENDING_MAX, "so many commands may wait, no more");
	shut(link);
	is_int(n_refused, n, "closing answers each of them with ECANCELED");

	link = open_unix(server, "", &s);
	ASK(link, &g, "APPEND", "big", "x");
	(void)redis_send(link, on_reply, &g, 8000, 3, WORDS("APPEND", "big", bytes), (const size_t[]){ 6, 3, big });
	UNTIL(g.n == 2, "a value of 80 MiB is made");
	get_big(link, &g);
	ok(g.code == ECONNRESET && strstr(g.text, "more than 64 MiB"), "reading it is refused: '%s'", g.text);
	UNTIL(s.ups == 2, "and the link comes back");
	ASK(link, &g, "DEL", "big");
	shut(link);
	free(bytes);
}

/* ---- */

static void test_lost(void)
{
	struct server server = { .socket = "" };
	struct redis_link *link;
	struct seen s;
	struct got g, h;
	uint64_t start;

	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("two.sock"));
	serve(&server, NULL);
	link = open_unix(&server, "", &s);
	memset(&g, 0, sizeof(g));
	memset(&h, 0, sizeof(h));
	(void)redis_send(link, on_reply, &g, 20000, 3, WORDS("BLPOP", "nothing", "15"), NULL);
	(void)redis_send(link, on_reply, &h, 20000, 1, WORDS("PING"), NULL);
	run_for(100);
	ok(g.n == 0 && h.n == 0, "a blocking command waits, and what is behind it too");
	end(&server.pid, SIGKILL);
	UNTIL(g.n == 1 && h.n == 1, "the server is killed: both are answered");
	ok(g.code == ECONNRESET && h.code == ECONNRESET, "with ECONNRESET");
	ok(s.downs == 1 && !redis_link_is_up(link) && redis_link_why(link)[0], "the link is down and says why: '%s'",
	   s.why);
	is_int(REDIS_SEND(link, on_reply, &g, "PING"), -ENOTCONN, "nothing can be sent");
	run_for(1000);
	is_int(s.downs, 1, "and however often it fails, down is said once");
	is_int(g.n, 1, "nothing is answered twice");
	has_str(redis_link_why(link), "refused", "the reason is that of the latest attempt");
	start = clock_now_ns();
	serve(&server, NULL);
	UNTIL(s.ups == 2, "the server comes back, and so does the link");
	ok(clock_now_ns() - start < 8 * NS_PER_S, "soon enough");
	ASK(link, &g, "PING");
	is_str(g.text, "PONG", "and works");

	(void)kill(server.pid, SIGSTOP);
	memset(&g, 0, sizeof(g));
	memset(&h, 0, sizeof(h));
	start = clock_now_ns();
	(void)redis_send(link, on_reply, &g, 300, 1, WORDS("PING"), NULL);
	(void)redis_send(link, on_reply, &h, 5000, 1, WORDS("PING"), NULL);
	UNTIL(g.n == 1 && h.n == 1, "a server that hangs: both are answered");
	ok(g.code == ETIMEDOUT && h.code == ECONNRESET,
	   "ETIMEDOUT for the one whose time was over, ECONNRESET for the other");
	ok(clock_now_ns() - start >= 290 * NS_PER_MS && clock_now_ns() - start < 3 * NS_PER_S, "in time");
	run_for(200);
	(void)kill(server.pid, SIGCONT);
	UNTIL(s.ups == 3, "it goes on, and the link comes back");

	/* idle: only the PING finds out */
	shut(link);
	link = open_unix(&server, "", &s);
	link->idle_ms = 200;
	link->command_ms = 300;
	ASK(link, &g, "PING");
	run_for(1000);
	ok(redis_link_is_up(link) && link->counts.commands >= 5, "an idle connection is looked after");
	(void)kill(server.pid, SIGSTOP);
	UNTIL(s.downs == 1, "and a server that hangs meanwhile is noticed without a command");
	(void)kill(server.pid, SIGCONT);
	shut(link);
	end(&server.pid, SIGTERM);
}

/* A loop that was busy for longer than the time-out must not take an answer that lies there for a lost one. */
static void test_busy(const struct server *server)
{
	struct seen s;
	struct redis_link *link = open_unix(server, "", &s);
	struct got g;

	memset(&g, 0, sizeof(g));
	(void)redis_send(link, on_reply, &g, 100, 1, WORDS("PING"), NULL);
	for (int i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT); /* it is sent */
	usleep(300000);
	UNTIL(g.n == 1, "an answer that came while the loop was busy");
	is_int(g.code, 0, "is taken");
	shut(link);
}

static void test_nobody(void)
{
	struct seen s;
	unsigned port;
	int fd = hold_port(&port);
	struct redis_link *link = open_port(port, &s, 300, 300);
	struct redis_counts counts;
	uint64_t start;

	UNTIL(s.downs == 1, "a refused connect is reported");
	has_str(s.why, "refused", "for what it is");
	run_for(1000);
	redis_link_counts(link, &counts);
	ok(counts.failures >= 3 && counts.failures <= 12, "it tries again with growing pauses (%llu times in a second)",
	   (unsigned long long)counts.failures);
	shut(link);

	need(listen(fd, 16) == 0, "now somebody listens who never answers");
	start = clock_now_ns();
	link = open_port(port, &s, 300, 300);
	UNTIL(s.downs == 1, "that is reported");
	has_str(s.why, "in time", "for what it is");
	ok(clock_now_ns() - start >= 290 * NS_PER_MS, "not before its time");
	shut(link);
	close(fd);

	link = open_url("redis://name.invalid", NULL, &s, 5000, 300);
	UNTIL(s.downs == 1, "a host that does not exist is reported");
	has_str(s.why, "name.invalid", "by its name");
	shut(link);
	link = open_url("redis://name.invalid", NULL, &s, 5000, 300);
	run_for(5);
	shut(link);
	ok(true, "closing while a name is looked up ends well");
	link = open_url("unix:///nowhere/redis.sock", NULL, &s, 300, 300);
	UNTIL(s.downs == 1, "a socket that does not exist is reported");
	has_str(s.why, "No such file", "for what it is");
	shut(link);
	link = open_url("redis://127.0.0.1:1", NULL, &s, 300, 300);
	shut(link);
	ok(s.downs == 0 && s.ups == 0, "closing before anything happened says nothing");
}

/* "localhost" is ::1 and 127.0.0.1; the server is at the second only. */
static void test_addresses(void)
{
	struct server server = { .socket = "" };
	char url[64];
	struct redis_link *link;
	struct seen s;
	int fd = hold_port(&server.port);

	close(fd);
	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("tcp.sock"));
	serve(&server, NULL);
	(void)snprintf(url, sizeof(url), "redis://localhost:%u", server.port);
	link = open_url(url, NULL, &s, 2000, 2000);
	UNTIL(s.ups == 1, "each address of a name is tried");
	is_int(s.downs, 0, "within one attempt");
	shut(link);
	end(&server.pid, SIGTERM);
}

/* ---- */

static void test_password(void)
{
	struct server server = { .socket = "" };
	static const char password_rule[] = ">" PASSWORD;
	struct redis_link *link, *other;
	struct seen s, t;
	struct got g;
	char url[1024];

	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("auth.sock"));
	serve(&server, WORDS("--requirepass", PASSWORD, "--user", "ann", "on", password_rule, "~*", "+@all", "--user",
			     "bob", "on", password_rule, "~*", "+get"));
	link = open_unix(&server, ":" PASSWORD "@", &s);
	ASK(link, &g, "ACL", "WHOAMI");
	is_str(g.text, "default", "a password alone is the default user's");
	other = open_unix(&server, "ann:" PASSWORD "@", &t);
	ASK(other, &g, "ACL", "WHOAMI");
	is_str(g.text, "ann", "a user is that user");
	shut(other);
	other = open_unix(&server, "bob:" PASSWORD "@", &t);
	ASK(other, &g, "GET", "x");
	is_int(g.code, 0, "an account that may not even PING is served");
	ASK(other, &g, "SET", "x", "y");
	ok(g.code == EPROTO && strncmp(g.text, "NOPERM", 6) == 0 && redis_link_is_up(other),
	   "and refused what it may not");
	shut(other);

	(void)snprintf(url, sizeof(url), "unix://%s", server.socket);
	other = open_url(url, NULL, &t, 2000, 2000);
	UNTIL(t.downs == 1, "without a password");
	has_str(t.why, "NOAUTH", "the reason is that one is wanted");
	shut(other);

	(void)snprintf(url, sizeof(url), "unix://:%s@%s", "not-the-password", server.socket);
	other = open_url(url, NULL, &t, 2000, 2000);
	UNTIL(t.downs == 1, "with another");
	ok(strstr(t.why, "WRONGPASS") && !strstr(t.why, "not-the-password"), "the reason does not quote it");
	shut(other);

	ASK(link, &g, "NOSUCH", PASSWORD);
	ok(g.code == EPROTO && !strstr(g.text, PASSWORD), "an answer that quotes it is not passed on: '%s'", g.text);

	ASK(link, &g, "CONFIG", "SET", "requirepass", "changed-meanwhile");
	(void)REDIS_SEND(link, on_reply, &g, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no");
	UNTIL(s.downs == 1, "the password is changed and we are thrown out");
	UNTIL(strstr(redis_link_why(link), "WRONGPASS"), "the reason is found");
	run_for(300);
	is_int(s.ups, 1, "and it stays down");
	other = open_unix(&server, "ann:" PASSWORD "@", &t);
	ASK(other, &g, "CONFIG", "SET", "requirepass", PASSWORD);
	UNTIL(s.ups == 2, "until the password is right again");
	shut(other);
	shut(link);
	end(&server.pid, SIGTERM);
}

static void test_refusals(void)
{
	static struct redis_script put = { .text = "return redis.call('SET', KEYS[1], ARGV[1])" };
	struct server server = { .socket = "" };
	struct redis_link *link;
	struct seen s;
	struct got g, h;

	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("three.sock"));
	serve(&server, WORDS("--repl-diskless-sync", "yes"));
	link = open_unix(&server, "", &s);

	ASK(link, &g, "CONFIG", "SET", "maxmemory", "1");
	ASK(link, &g, "SET", "k", "v");
	is_int(g.code, ENOSPC, "a server without memory: ENOSPC");
	memset(&g, 0, sizeof(g));
	(void)redis_eval(link, &put, on_reply, &g, 1, 2, WORDS("k", "v"), NULL);
	UNTIL(g.n == 1, "a script");
	is_int(g.code, ENOSPC, "gets the same: '%s'", g.text);
	ok(redis_link_is_up(link), "and the link stays");
	ASK(link, &g, "CONFIG", "SET", "maxmemory", "0");

	ASK(link, &g, "REPLICAOF", "127.0.0.1", "1");
	memset(&h, 0, sizeof(h));
	memset(&g, 0, sizeof(g));
	(void)REDIS_SEND(link, on_reply, &g, "SET", "k", "v");
	(void)REDIS_SEND(link, on_reply, &h, "GET", "k");
	UNTIL(g.n == 1 && h.n == 1, "a replica");
	is_int(g.code, EROFS, "refuses to write: EROFS");
	ok(h.code == ECONNRESET && s.downs == 1 && strstr(s.why, "READONLY"), "and the connection is made again");
	UNTIL(s.ups == 2, "which works");
	ASK(link, &g, "CONFIG", "SET", "replica-serve-stale-data", "no");
	ASK(link, &g, "GET", "k");
	ok(g.code == EPROTO && strncmp(g.text, "MASTERDOWN", 10) == 0,
	   "a replica that lost its master refuses to read");
	UNTIL(s.downs == 2, "the link is made again");
	UNTIL(strstr(redis_link_why(link), "MASTERDOWN"), "and does not come up with such a server");
	run_for(300);
	is_int(s.ups, 2, "as long as it is one");
	shut(link);
	end(&server.pid, SIGKILL);
}

/* ---- */

/* Resident memory of ours in MiB. */
static long memory_mib(void)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *line;

	(void)fd_read_file(AT_FDCWD, "/proc/self/status", 1 << 16, &b, NULL);
	line = strstr(buf_str(&b), "VmHWM:");
	return line ? strtol(line + 6, NULL, 10) >> 10 : 0;
}

#define SAYS(text) (text), sizeof(text) - 1

/* code of the command's answer; why the link is down afterwards */
static void hostile(const char *what, const char *text, size_t size, enum then then, int code, const char *why)
{
	struct false_server f = { 0 };
	struct redis_link *link;
	struct seen s;
	struct got g;

	false_server(&f, greeting_good, text, size, then);
	link = open_port(f.port, &s, 2000, 30000); /* 64 MiB in small pieces, on a busy machine */
	UNTIL(s.ups == 1, "a false server is believed at first");
	memset(&g, 0, sizeof(g));
	(void)REDIS_SEND(link, on_reply, &g, "GET", "k");
	UNTIL(g.n == 1 && s.downs == 1, "%s: the command is answered", what);
	ok(g.code == code && strstr(s.why, why), "with %s: '%s'", code ? strerror(code) : "its reply", s.why);
	shut(link);
	end(&f.pid, SIGKILL);
}

/* What only a client that said HELLO 3 may be sent: a hiredis that can read it must not make it for us. */
static void test_resp3(void)
{
	static const struct {
		const char *what, *text;
	} rows[] = {
		{ "a map of two thousand million", "%2000000000\r\n" },
		{ "a set of two thousand million", "~2000000000\r\n" },
		{ "a push of two thousand million", ">2000000000\r\n" },
		{ "attributes", "|1\r\n+k\r\n+v\r\n+OK\r\n" },
		{ "a small map", "%1\r\n+k\r\n+v\r\n" },
		{ "a map in an array", "*1\r\n%1\r\n+k\r\n+v\r\n" },
		{ "a double", ",3.14\r\n" },
		{ "a double in an array", "*2\r\n:1\r\n,3.14\r\n" },
		{ "a truth value", "#t\r\n" },
		{ "a big number", "(3492890328409238509324850943850943825024385\r\n" },
		{ "a text with a type", "=7\r\ntxt:abc\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		hostile(rows[i].what, rows[i].text, strlen(rows[i].text), THEN_SAY, ECONNRESET, "not the protocol");
}

static void test_hostile(void)
{
	static char array[1 << 20], deep[200];
	size_t n = 0;

	n = (size_t)snprintf(array, sizeof(array), "*1000000\r\n");
	while (n + 16 < sizeof(array))
		n += (size_t)snprintf(array + n, sizeof(array) - n, ":1\r\n");
	for (size_t i = 0; i < 20; i++)
		(void)snprintf(deep + i * 4, sizeof(deep) - i * 4, "*1\r\n");
	hostile("rubbish", SAYS("HTTP/1.1 400 Bad Request\r\n\r\n"), THEN_SAY, ECONNRESET, "not the protocol");
	hostile("an array of two thousand million", SAYS("*2147483647\r\n"), THEN_SAY, ECONNRESET, "64 MiB");
	hostile("arrays in arrays", SAYS("*4000000\r\n*4000000\r\n*4000000\r\n"), THEN_SAY, ECONNRESET, "64 MiB");
	hostile("a negative length", SAYS("$-2\r\n"), THEN_SAY, ECONNRESET, "not the protocol");
	hostile("a length beyond all numbers", SAYS("$99999999999999999999999\r\n"), THEN_SAY, ECONNRESET,
		"not the protocol");
	hostile("an endless text", SAYS("$2000000000\r\n$2000000000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		THEN_SAY_AGAIN_AND_AGAIN, ECONNRESET, "64 MiB");
	hostile("an endless line", SAYS("+xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		THEN_SAY_AGAIN_AND_AGAIN, ECONNRESET, "64 MiB");
	hostile("endless numbers", array, n, THEN_SAY_AGAIN_AND_AGAIN, ECONNRESET, "");
	hostile("arrays twenty deep", deep, strlen(deep), THEN_SAY, ECONNRESET, "not the protocol");
	hostile("two answers to one question", SAYS("+a\r\n+b\r\n"), THEN_SAY, 0, "not asked for");
	hostile("half an answer", SAYS("$10\r\nabc"), THEN_CLOSE, ECONNRESET, "closed");
	hostile("half an answer and a reset", SAYS("$10\r\nabc"), THEN_RESET, ECONNRESET, "");
	hostile("a script on a replica, as an older server says it",
		SAYS("-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You "
		     "can't\r\n"),
		THEN_SAY, EROFS, "READONLY");
	hostile("a server that has just begun", SAYS("-LOADING Redis is loading the dataset in memory\r\n"), THEN_SAY,
		EPROTO, "LOADING");
	diag("at most %ld MiB resident", memory_mib());
}

/* Servers that are there and do not want us. */
static void test_unwilling(void)
{
	static const struct {
		const char *greeting, *why;
	} rows[] = {
		{ "+OK\r\n-LOADING Redis is loading the dataset in memory\r\n", "LOADING" },
		{ "+OK\r\n-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN" },
		{ "-ERR max number of clients reached\r\n", "" },
		{ "-DENIED Redis is running in protected mode\r\n-DENIED\r\n", "DENIED" },
		{ "$-1\r\n\r\n", "not the protocol" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct false_server f = { 0 };
		struct redis_link *link;
		struct seen s;

		false_server(&f, rows[i].greeting, SAYS(""), THEN_CLOSE);
		link = open_port(f.port, &s, 500, 500);
		UNTIL(s.downs == 1 || s.ups == 1, "a greeting is refused");
		ok(s.ups == 0 && strstr(s.why, rows[i].why), "and the link does not come up: '%s'", s.why);
		shut(link);
		end(&f.pid, SIGKILL);
	}
}

/* ---- TLS ---- */

static bool run(const char *const *argv)
{
	pid_t pid = spawn(argv);
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool certificate(const char *name, const char *subject, const char *alt)
{
	char key[1024], cert[1024], ext[256];

	(void)snprintf(key, sizeof(key), "%s/%s.key", dir, name);
	(void)snprintf(cert, sizeof(cert), "%s/%s.crt", dir, name);
	(void)snprintf(ext, sizeof(ext), "subjectAltName=%s", alt);
	return run(WORDS("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
			 "-keyout", key, "-out", cert, "-days", "2", "-subj", subject, "-addext", ext));
}

/* One attempt that must fail. */
static void refused(const char *url, const char *ca, const char *why)
{
	struct seen s;
	struct redis_link *link = open_url(url, ca, &s, 3000, 3000);

	UNTIL(s.downs == 1 || s.ups == 1, "TLS is tried");
	ok(s.ups == 0 && strstr(s.why, why), "and refused: '%s'", s.why);
	shut(link);
}

static void test_tls(void)
{
	struct server server = { .socket = "" };
	struct redis_options bad = { .ca_file = "/nowhere/ca.pem" };
	char url[128], by_name[128], plain[128], port[16];
	struct error err = ERROR_INIT;
	struct redis_link *link = NULL;
	size_t big = 8 << 20;
	char *bytes = calloc(1, big);
	struct seen s;
	struct got g;
	unsigned tls_port;
	int fd = hold_port(&tls_port);

	need(bytes && certificate("own", "/CN=localhost", "DNS:localhost") &&
		     certificate("other", "/CN=localhost", "DNS:localhost"),
	     "two certificates are made");
	close(fd);
	(void)snprintf(port, sizeof(port), "%u", tls_port);
	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("tls.sock"));
	serve(&server,
	      WORDS("--tls-port", port, "--tls-cert-file", path("own.crt"), "--tls-key-file", path("own.key"),
		    "--tls-ca-cert-file", path("own.crt"), "--tls-auth-clients", "no", "--requirepass", PASSWORD));
	(void)snprintf(by_name, sizeof(by_name), "rediss://:" PASSWORD "@localhost:%u/3", tls_port);
	(void)snprintf(url, sizeof(url), "rediss://:" PASSWORD "@127.0.0.1:%u", tls_port);
	(void)snprintf(plain, sizeof(plain), "redis://:" PASSWORD "@localhost:%u", tls_port);

	link = open_url(by_name, path("own.crt"), &s, 3000, 3000);
	UNTIL(s.ups == 1, "TLS with a certificate that we believe");
	ASK(link, &g, "CLIENT", "INFO");
	ok(strstr(g.text, " db=3 ") && strstr(g.text, "name=cubit:test"), "in the database that was asked for");
	memset(&g, 0, sizeof(g));
	(void)redis_send(link, on_reply, &g, 0, 3, WORDS("SET", "big", bytes), (const size_t[]){ 3, 3, big });
	UNTIL(g.n == 1, "8 MiB are written");
	get_big(link, &g);
	ok(g.code == 0 && g.size == big, "and read");
	n_in_order = 0;
	for (uintptr_t i = 1; i <= 10000; i++)
		(void)REDIS_SEND(link, in_order, (void *)i, "INCR", "counter");
	UNTIL(n_in_order == 10000, "10000 commands at once");
	memset(&g, 0, sizeof(g));
	(void)redis_send(link, on_reply, &g, 20000, 3, WORDS("BLPOP", "nothing", "15"), NULL);
	run_for(50);
	end(&server.pid, SIGKILL);
	UNTIL(g.n == 1 && g.code == ECONNRESET, "a server that dies is noticed");
	serve(&server,
	      WORDS("--tls-port", port, "--tls-cert-file", path("own.crt"), "--tls-key-file", path("own.key"),
		    "--tls-ca-cert-file", path("own.crt"), "--tls-auth-clients", "no", "--requirepass", PASSWORD));
	UNTIL(s.ups == 2, "and comes back");
	shut(link);

	refused(by_name, path("other.crt"), "not accepted");
	refused(by_name, NULL, "not accepted");
	refused(url, path("own.crt"), "mismatch");
	refused(plain, NULL, "");
	(void)snprintf(by_name, sizeof(by_name), "rediss://:" PASSWORD "@127.0.0.1:%u", tls_port);
	end(&server.pid, SIGTERM);

	serve(&server,
	      WORDS("--tls-port", port, "--tls-cert-file", path("own.crt"), "--tls-key-file", path("own.key"),
		    "--tls-ca-cert-file", path("own.crt"), "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.1"));
	(void)snprintf(by_name, sizeof(by_name), "rediss://localhost:%u", tls_port);
	refused(by_name, path("own.crt"), "");
	end(&server.pid, SIGTERM);

	bad.url = by_name;
	is_int(redis_link_new(&loop, &bad, &link, &err), -EINVAL,
	       "a file of certificates that is not there is said at once");
	has_str(err.text, "/nowhere/ca.pem", "by its name");
	free(bytes);
}

/* A server that takes TLS's port and talks something else. */
static void test_not_tls(void)
{
	struct false_server f = { 0 };
	char url[64];

	false_server(&f, greeting_good, SAYS("x"), THEN_CLOSE);
	(void)snprintf(url, sizeof(url), "rediss://127.0.0.1:%u", f.port);
	refused(url, NULL, "TLS");
	end(&f.pid, SIGKILL);
}

/* ---- close from inside ---- */

static bool closed_inside;

static void close_inside(const struct error *e, const redisReply *reply, void *arg)
{
	(void)e;
	(void)reply;
	redis_link_close(arg, on_done, &closed_inside);
}

static void close_when_down(struct redis_link *link, bool is_up, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	if (!is_up)
		redis_link_close(link, on_done, &closed_inside);
}

static void test_close(const struct server *server)
{
	struct redis_options o = { .url = "unix:///nowhere", .state = close_when_down };
	struct seen s;
	struct redis_link *link = open_unix(server, "", &s);
	struct got g = { 0 };

	(void)REDIS_SEND(link, close_inside, link, "PING");
	(void)REDIS_SEND(link, on_reply, &g, "PING");
	UNTIL(closed_inside, "a callback may close the link");
	ok(g.n == 1 && g.code == ECANCELED, "what waits behind it is cancelled");

	closed_inside = false;
	need(redis_link_new(&loop, &o, &link, NULL) == 0, "another");
	UNTIL(closed_inside, "and so may the callback of the state");
}

/* ---- */

static void no_secrets_in(const char *file)
{
	cleanup_buf struct buf b = BUF_INIT;

	need(fd_read_file(AT_FDCWD, file, 1 << 20, &b, NULL) == 0 && b.size > 0, "there is a log");
	ok(!strstr(buf_str(&b), PASSWORD) && !strstr(buf_str(&b), "not-the-password"), "no password is in it");
	has_str(buf_str(&b), "link=cubit:test", "it names the link");
}

int main(void)
{
	struct server server = { .socket = "" };
	int log;

	(void)snprintf(dir, sizeof(dir), "%s", getenv("CUBIT_TEST_DIR") ? getenv("CUBIT_TEST_DIR") : ".");
	(void)signal(SIGPIPE, SIG_IGN);
	log = open(path("link.log"), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
	log_init(log, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, on_tick, 10, 10);

	test_commands();
	(void)snprintf(server.socket, sizeof(server.socket), "%s", path("main.sock"));
	serve(&server, NULL);
	test_scripts(&server);
	test_much(&server);
	test_busy(&server);
	test_close(&server);
	end(&server.pid, SIGTERM);
	test_lost();
	test_nobody();
	test_addresses();
	test_password();
	test_refusals();
	test_hostile();
	test_resp3();
	test_unwilling();
	test_tls();
	test_not_tls();
	no_secrets_in(path("link.log"));

	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	is_int(uv_loop_close(&loop), 0, "nothing is left on the loop");
	return done_testing();
}
