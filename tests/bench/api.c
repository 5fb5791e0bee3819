/*
 * The daemon's doors beside a bare process: latency of POST /v1/run interleaved with fork+exec+wait of the same
 * program, and runs per second with several clients. Prints ratios; raw samples into a CSV.
 *
 * usage: api SOCKET HOST:PORT KEY ROUNDS CSV STATIC_PROGRAM
 *
 * STATIC_PROGRAM: what the C program of the request does, as a host program, for the bare side. Bounded: ROUNDS of each
 * row, and two seconds for each number of clients.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

enum { ROUNDS_MAX = 2000, ANSWER_MAX = 65536, CLIENTS_MAX = 16, THROUGHPUT_S = 2 };

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

/* One request on a connection that stays. Dies when the verdict is not ok. */
static void run(int s, const char *body)
{
	char request[4096], answer[ANSWER_MAX];
	size_t have = 0, wanted = 0;
	int n = snprintf(
		request, sizeof(request),
		"POST /v1/run HTTP/1.1\r\nHost: cubit\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		key, strlen(body), body);

	if (write(s, request, (size_t)n) != n)
		die("write");
	while (wanted == 0 || have < wanted) {
		ssize_t got = read(s, answer + have, sizeof(answer) - 1 - have);
		const char *end, *length;

		if (got <= 0)
			die("read");
		have += (size_t)got;
		answer[have] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = end ? strcasestr(answer, "content-length:") : NULL;
		if (length)
			wanted = (size_t)(end - answer) + 4 + strtoul(length + 15, NULL, 10);
	}
	if (!strstr(answer, "\"status\":\"ok\"")) {
		fprintf(stderr, "api: %s\n", answer);
		exit(1);
	}
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

static const char *python_argv[] = { "/usr/bin/python3", "-c", "print('hello')", NULL };
static const char *static_argv[] = { NULL, "true", NULL };

enum row { BARE_PYTHON, BARE_STATIC, PRESTART, STARTED, STARTED_TCP, C_UNIX, C_TCP, BASH, ROWS };

static const struct {
	const char *name;
	const char *body; /* NULL: a bare process */
	const char **argv;
	bool is_tcp;
	enum row against;
} rows[ROWS] = {
	[BARE_PYTHON] = { "bare python3 -c", NULL, python_argv, false, BARE_PYTHON },
	[BARE_STATIC] = { "bare static program", NULL, static_argv, false, BARE_STATIC },
	[PRESTART] = { "python, prestarted, unix socket", python_prestart, NULL, false, BARE_PYTHON },
	[STARTED] = { "python, started in a ready sandbox, unix", python_started, NULL, false, BARE_PYTHON },
	[STARTED_TCP] = { "python, prestarted, HTTP over TCP", python_prestart, NULL, true, BARE_PYTHON },
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
			t = now_ns();
			if (rows[r].body)
				run(rows[r].is_tcp ? s_tcp : s_unix, rows[r].body);
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

/* ---- throughput ---- */

static uint64_t deadline;

static void *client(void *arg)
{
	const char *body = arg;
	int s = body ? dial_unix() : -1;
	uintptr_t n = 0;

	while (now_ns() < deadline) {
		if (body)
			run(s, body);
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

int main(int argc, char **argv)
{
	unsigned rounds;
	FILE *csv;

	if (argc != 7) {
		fprintf(stderr, "usage: api SOCKET HOST:PORT KEY ROUNDS CSV STATIC_PROGRAM\n");
		return 2;
	}
	sock_path = argv[1];
	tcp = argv[2];
	key = argv[3];
	rounds = (unsigned)strtoul(argv[4], NULL, 10);
	static_argv[0] = argv[6];
	csv = fopen(argv[5], "we");
	if (!csv || rounds < 1 || rounds > ROUNDS_MAX)
		die(argv[5]);
	latency(rounds, csv);
	throughput();
	return fclose(csv) == 0 ? 0 : 1;
}
