/*
 * What one answer of the HTTP edge costs: a server that says hello on a port, alone on its thread, for a load generator
 * (wrk, ab) to ask; prints its port first and, at the end of standard input, its CPU time for each request.
 *
 * usage: http_hello [IDLE]   IDLE connections of our own stay open without asking anything
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "supervisor/http/http.h"

static struct http_server *server;

static void hello(struct http_request *rq)
{
	http_reply(rq, 200, "text/plain", "Hello, world!", 13);
}

static void hello_json(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("{s:s}", "hello", "world"));
}

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/", .handle = hello },
	{ .method = "GET", .path = "/json", .handle = hello_json },
	{ .method = "GET", .path = "/v1/jobs/{id}", .handle = hello },
	{ 0 },
};

static void on_stdin(uv_poll_t *poll, int status, int events)
{
	struct http_counts c;
	struct rusage u;
	char byte;

	(void)status;
	(void)events;
	if (read(STDIN_FILENO, &byte, 1) > 0)
		return;
	http_server_counts(server, &c);
	(void)getrusage(RUSAGE_SELF, &u); /* cannot fail */
	printf("%llu requests, %.2f us of CPU each, %ld KiB resident at most\n", (unsigned long long)c.requests,
	       ((double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec)) /
		       (double)(c.requests ? c.requests : 1),
	       u.ru_maxrss);
	uv_stop(poll->loop);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct http_options o = { .routes = routes };
	struct error err = ERROR_INIT;
	socklen_t n = sizeof(at);
	uv_loop_t loop;
	uv_poll_t in;

	http_limits_defaults(&o.limits);
	o.limits.connections = 20000;
	o.limits.idle_ms = o.limits.header_ms = 600000;
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) < 0 || getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
	    uv_loop_init(&loop) < 0 || http_server_new(&loop, &o, &server, &err) < 0 ||
	    http_server_listen(server, fd, &err) < 0 || uv_poll_init(&loop, &in, STDIN_FILENO) < 0 ||
	    uv_poll_start(&in, UV_READABLE, on_stdin) < 0) {
		fprintf(stderr, "http_hello: %s\n", err.text);
		return 1;
	}
	printf("%d\n", ntohs(at.sin_port));
	(void)fflush(stdout);
	for (long i = argc > 1 ? strtol(argv[1], NULL, 10) : 0; i > 0; i--) {
		int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (idle < 0 || connect(idle, (struct sockaddr *)&at, n) < 0)
			perror("idle connection");
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}
