/*
 * The daemon's doors beside a bare process: latency of POST /v1/run interleaved with fork+exec+wait of the same
 * program, and runs per second with several clients. Prints ratios; raw samples into a CSV.
 *
 * usage: api SOCKET HOST:PORT KEY ROUNDS CSV STATIC_PROGRAM MONITOR_PID LANGUAGES
 *
 * STATIC_PROGRAM: what the C program of the request does, as a host program, for the bare side. MONITOR_PID: whose CPU
 * time, with that of its children, is the daemon's; it waits for every sandbox. LANGUAGES:
 * what the daemon has beside python, C and bash. Bounded: ROUNDS of each row, and two
 * seconds for each number of clients.
 *
 * One at a time: before a row that takes an interpreter that waits, /v1/pool says that one does. A row measured too early
 * would show the pool's refill instead, and which row that is depended on the one before it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUNDS_MAX = 2000,
	ANSWER_MAX = 65536,
	CLIENTS_MAX = 50,
	THROUGHPUT_S = 2,
	READY_MAX_MS = 2000,
	READY_LOOK_MS = 5
};

static const char *sock_path, *tcp, *key;

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "api: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- a client ---- */

static int dial_unix(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", sock_path);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	return s;
}

static int dial_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char host[64];
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	const char *colon = strrchr(tcp, ':');

	(void)snprintf(host, sizeof(host), "%.*s", (int)(colon - tcp), tcp);
	a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	(void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return s;
}

/* One request on a connection that stays. answer: room for ANSWER_MAX bytes; returns where the body begins. */
static const char *ask(int s, const char *method, const char *path, const char *body, char *answer)
{
	char request[4096];
	size_t have = 0, wanted = 0, head = 0;
	int n = snprintf(
		request, sizeof(request),
		"%s %s HTTP/1.1\r\nHost: cubit\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, key, strlen(body), body);

	if (write(s, request, (size_t)n) != n)
		die("write");
	while (wanted == 0 || have < wanted) {
		ssize_t got = read(s, answer + have, ANSWER_MAX - 1 - have);
		const char *end, *length;

		if (got <= 0)
			die("read");
		have += (size_t)got;
		answer[have] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = end ? strcasestr(answer, "content-length:") : NULL;
		if (length) {
			head = (size_t)(end - answer) + 4;
			wanted = head + strtoul(length + 15, NULL, 10);
		}
	}
	return answer + head;
}

/* A run. Dies when the verdict is not ok. Returns whether a program that waited already was taken. */
static bool run(int s, const char *body)
{
	char answer[ANSWER_MAX];
	const char *result = ask(s, "POST", "/v1/run", body, answer);

	if (!strstr(result, "\"status\":\"ok\"")) {
		fprintf(stderr, "api: %s\n", answer);
		exit(1);
	}
	return strstr(result, "\"prestarted\":true") && strstr(result, "\"pooled\":true");
}

/* Does a program of this language wait, and is nothing being made? */
static bool is_ready(int s, const char *runtime)
{
	char answer[ANSWER_MAX];
	json_t *pool = json_loads(ask(s, "GET", "/v1/pool", "", answer), 0, NULL), *class;
	bool waits = false, is_quiet = true;
	size_t i;

	json_array_foreach(json_object_get(pool, "classes"), i, class)
	{
		const char *name = json_string_value(json_object_get(class, "runtime"));

		if (json_integer_value(json_object_get(class, "starting")) > 0)
			is_quiet = false;
		if (name && strcmp(name, runtime) == 0 && json_is_true(json_object_get(class, "prestart")) &&
		    json_integer_value(json_object_get(class, "ready")) > 0)
			waits = true;
	}
	json_decref(pool);
	return waits && is_quiet;
}

/* A connection of its own: one serves a bounded number of requests. After READY_MAX_MS the row is measured as it is. */
static void await(const char *runtime)
{
	int s;

	if (!runtime)
		return;
	s = dial_unix();
	for (int ms = 0; ms < READY_MAX_MS && !is_ready(s, runtime); ms += READY_LOOK_MS)
		(void)usleep(READY_LOOK_MS * 1000);
	(void)close(s);
}

/* ---- the bare side ---- */

static void bare(const char *const argv[])
{
	int status = 0, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid = fork();

	if (pid == 0) {
		(void)dup2(null, 0);
		(void)dup2(null, 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	(void)close(null);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die(argv[0]);
}

/* ---- latency ---- */

static const char python_prestart[] = "{\"runtime\":\"python\",\"source\":\"print('hello')\"}";
/* an interpreter's own variable: it has to be started anew */
static const char python_started[] =
	"{\"runtime\":\"python\",\"source\":\"print('hello')\",\"env\":{\"PYTHONDONTWRITEBYTECODE\":\"1\"}}";
static const char c_hello[] = "{\"runtime\":\"c\",\"source\":\"#include <unistd.h>\\nint main(void) { return write(1, "
			      "\\\"hello\\\\n\\\", 6) != 6; }\"}";
static const char bash_hello[] = "{\"runtime\":\"bash\",\"source\":\"echo hello\"}";
static const char node_hello[] = "{\"runtime\":\"node\",\"source\":\"console.log('hello')\"}";

static const char *python_argv[] = { "/usr/bin/python3", "-c", "print('hello')", NULL };
static const char *node_argv[] = { "node", "-e", "console.log('hello')", NULL };
static const char *static_argv[] = { NULL, "true", NULL };

enum row { BARE_PYTHON, BARE_STATIC, PRESTART, STARTED, STARTED_TCP, C_UNIX, C_TCP, BASH, ROWS };

static const struct {
	const char *name;
	const char *body; /* NULL: a bare process */
	const char **argv;
	bool is_tcp;
	enum row against;
	const char *waits; /* the language of which a program must wait */
} rows[ROWS] = {
	[BARE_PYTHON] = { "bare python3 -c", NULL, python_argv, false, BARE_PYTHON },
	[BARE_STATIC] = { "bare static program", NULL, static_argv, false, BARE_STATIC },
	[PRESTART] = { "python, prestarted, unix socket", python_prestart, NULL, false, BARE_PYTHON, "python" },
	[STARTED] = { "python, started in a ready sandbox, unix", python_started, NULL, false, BARE_PYTHON },
	[STARTED_TCP] = { "python, prestarted, HTTP over TCP", python_prestart, NULL, true, BARE_PYTHON, "python" },
	[C_UNIX] = { "C, compiled once, unix socket", c_hello, NULL, false, BARE_STATIC },
	[C_TCP] = { "C, compiled once, HTTP over TCP", c_hello, NULL, true, BARE_STATIC },
	[BASH] = { "bash, ready sandbox, unix socket", bash_hello, NULL, false, BARE_STATIC },
};

static uint64_t samples[ROWS][ROUNDS_MAX];

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void latency(unsigned rounds, FILE *csv)
{
	int s_unix = dial_unix(), s_tcp = dial_tcp();

	for (unsigned i = 0; i < rounds + 3; i++) {
		for (int r = 0; r < ROWS; r++) {
			uint64_t t;

			(void)usleep(15000); /* let the pool refill: this is about one at a time */
			await(rows[r].waits);
			t = now_ns();
			if (rows[r].body)
				(void)run(rows[r].is_tcp ? s_tcp : s_unix, rows[r].body);
			else
				bare(rows[r].argv);
			if (i >= 3) /* the first ones warm caches and pools */
				samples[r][i - 3] = now_ns() - t;
		}
	}
	for (int r = 0; r < ROWS; r++) {
		for (unsigned i = 0; i < rounds; i++)
			fprintf(csv, "%s,%u,%llu\n", rows[r].name, i, (unsigned long long)samples[r][i]);
		qsort(samples[r], rounds, sizeof(samples[r][0]), by_value);
	}
	printf("%-44s %9s %9s %9s\n", "one at a time", "p50 us", "p99 us", "x bare");
	for (int r = 0; r < ROWS; r++)
		printf("%-44s %9.0f %9.0f %9.2f\n", rows[r].name, (double)samples[r][rounds / 2] / 1e3,
		       (double)samples[r][rounds * 99 / 100] / 1e3,
		       (double)samples[r][rounds / 2] / (double)samples[rows[r].against][rounds / 2]);
	(void)close(s_unix);
	(void)close(s_tcp);
}

/* ---- back to back ---- */

static long clock_ticks_of(const char *pid)
{
	char path[64], text[1024];
	unsigned long long own[4] = { 0 };
	const char *after;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0; /* it ended meanwhile */
	text[n] = '\0';
	after = strrchr(text, ')');
	/* utime, stime, and those of children that were waited for: fields 14 to 17, proc(5) */
	if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu", &own[0],
			     &own[1], &own[2], &own[3]) != 4)
		die(path);
	return (long)(own[0] + own[1] + own[2] + own[3]);
}

static const char *monitor;

/* CPU time of the daemon until now: the monitor, the front, and every sandbox that ended. */
static double daemon_cpu_ms(void)
{
	char path[64], list[4096] = "", *save = NULL;
	long ticks = clock_ticks_of(monitor);
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%s/task/%s/children", monitor, monitor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, list, sizeof(list) - 1) < 0)
		die(path);
	(void)close(fd);
	for (const char *pid = strtok_r(list, " ", &save); pid; pid = strtok_r(NULL, " ", &save))
		ticks += clock_ticks_of(pid);
	return (double)ticks * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

/* One client that asks again at once: what a pool that is too slow for it costs. */
static void back_to_back(const char *name, const char *body, const char **argv, unsigned rounds, FILE *csv)
{
	static uint64_t ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
	unsigned hits = 0;
	double cpu;
	int s;

	for (unsigned i = 0; i < rounds; i++) {
		uint64_t t = now_ns();

		bare(argv);
		theirs[i] = now_ns() - t;
	}
	s = dial_unix(); /* only now: a connection that says nothing is closed */
	(void)run(s, body);
	(void)sleep(1); /* the pool is full again */
	cpu = daemon_cpu_ms();
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t t = now_ns();
		bool is_hit = run(s, body);

		ours[i] = now_ns() - t;
		hits += is_hit;
		fprintf(csv, "back to back %s (%s),%u,%llu\n", name, is_hit ? "hit" : "miss", i,
			(unsigned long long)ours[i]);
	}
	(void)usleep(200000); /* what was made for the next one counts too */
	cpu = daemon_cpu_ms() - cpu;
	(void)close(s);
	qsort(ours, rounds, sizeof(ours[0]), by_value);
	qsort(theirs, rounds, sizeof(theirs[0]), by_value);
	printf("%-12s %9.0f %9.0f %9.2f %6u %6u %12.1f\n", name, (double)ours[rounds / 2] / 1e3,
	       (double)ours[rounds * 99 / 100] / 1e3, (double)ours[rounds / 2] / (double)theirs[rounds / 2], hits,
	       rounds - hits, cpu / rounds);
}

static void all_back_to_back(unsigned rounds, FILE *csv, bool has_node)
{
	printf("\n%-12s %9s %9s %9s %6s %6s %12s\n", "back to back", "p50 us", "p99 us", "x bare", "hits", "misses",
	       "CPU ms a run");
	back_to_back("python", python_prestart, python_argv, rounds, csv);
	if (has_node)
		back_to_back("node", node_hello, node_argv, rounds, csv);
	else
		printf("# node: no image, or no node on this machine to compare with\n");
}

/* ---- throughput ---- */

static uint64_t deadline;

static void *client(void *arg)
{
	const char *body = arg;
	int s = body ? dial_unix() : -1;
	uintptr_t n = 0;

	while (now_ns() < deadline) {
		if (body)
			(void)run(s, body);
		else
			bare(static_argv);
		n++;
	}
	if (s >= 0)
		(void)close(s);
	return (void *)n;
}

static double per_second(unsigned clients, const char *body)
{
	pthread_t threads[CLIENTS_MAX];
	uintptr_t sum = 0;
	uint64_t begun = now_ns();

	deadline = begun + THROUGHPUT_S * 1000000000ull;
	for (unsigned i = 0; i < clients; i++) {
		if (pthread_create(&threads[i], NULL, client, (void *)body) != 0)
			die("pthread_create");
	}
	for (unsigned i = 0; i < clients; i++) {
		void *n;

		(void)pthread_join(threads[i], &n);
		sum += (uintptr_t)n;
	}
	return (double)sum / ((double)(now_ns() - begun) / 1e9);
}

static void throughput(void)
{
	static const unsigned counts[] = { 1, 2, 4, 16 };

	printf("\n%-12s %16s %16s %9s\n", "clients", "C runs/s", "bare static/s", "ratio");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		double ours = per_second(counts[i], c_hello), theirs = per_second(counts[i], NULL);

		printf("%-12u %16.0f %16.0f %9.2f\n", counts[i], ours, theirs, ours / theirs);
	}
}

/* ---- many at once ---- */

static pthread_barrier_t start;

static void *one_of_many(void *arg)
{
	int s = dial_unix();

	(void)pthread_barrier_wait(&start);
	(void)run(s, c_hello);
	*(uint64_t *)arg = now_ns();
	(void)close(s);
	return NULL;
}

/* 50 requests at the same moment, against 50 times the CPU time of one divided by the cores. */
static void at_once(void)
{
	pthread_t threads[CLIENTS_MAX];
	uint64_t ends[CLIENTS_MAX], begun, last = 0;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	double one;
	int s = dial_unix();

	one = daemon_cpu_ms();
	for (int i = 0; i < CLIENTS_MAX * 2; i++)
		(void)run(s, c_hello);
	(void)close(s);
	(void)usleep(200000);
	one = (daemon_cpu_ms() - one) / (CLIENTS_MAX * 2);
	(void)pthread_barrier_init(&start, NULL, CLIENTS_MAX + 1);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (pthread_create(&threads[i], NULL, one_of_many, &ends[i]) != 0)
			die("pthread_create");
	}
	(void)usleep(100000); /* all are connected */
	begun = now_ns();
	(void)pthread_barrier_wait(&start);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		(void)pthread_join(threads[i], NULL);
		last = ends[i] > last ? ends[i] : last;
	}
	printf("\n%d at once: all done in %.0f ms; one takes %.2f ms of CPU, so %d on %ld cores %.0f ms; ratio %.2f\n",
	       CLIENTS_MAX, (double)(last - begun) / 1e6, one, CLIENTS_MAX, cores, one * CLIENTS_MAX / (double)cores,
	       (double)(last - begun) / 1e6 / (one * CLIENTS_MAX / (double)cores));
}

int main(int argc, char **argv)
{
	unsigned rounds;
	FILE *csv;

	if (argc != 9) {
		fprintf(stderr, "usage: api SOCKET HOST:PORT KEY ROUNDS CSV STATIC_PROGRAM MONITOR_PID LANGUAGES\n");
		return 2;
	}
	sock_path = argv[1];
	tcp = argv[2];
	key = argv[3];
	rounds = (unsigned)strtoul(argv[4], NULL, 10);
	static_argv[0] = argv[6];
	monitor = argv[7];
	csv = fopen(argv[5], "we");
	if (!csv || rounds < 1 || rounds > ROUNDS_MAX)
		die(argv[5]);
	latency(rounds, csv);
	all_back_to_back(rounds, csv, strstr(argv[8], "node"));
	throughput();
	at_once();
	return fclose(csv) == 0 ? 0 : 1;
}
