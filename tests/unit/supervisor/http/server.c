/* The HTTP edge: requests and answers, order, bounds with their messages, time-outs, clients that go away. */
#include <malloc.h>
#include <sys/resource.h>

#include "tests/unit/supervisor/http/http_client.h"

/* ---- what the handlers saw ---- */

static struct http_request *waiting; /* an answer is owed */
static int gone, done_calls, last_status, gate_calls, body_bytes_seen, drains;
static bool gate_refuses, gate_saw_body;
static struct edge edge;

static void say_hello(struct http_request *rq)
{
	http_reply(rq, 200, "text/plain", "hello", 5);
}

static void say_body(struct http_request *rq)
{
	size_t size;
	const char *body = http_body(rq, &size);

	body_bytes_seen = (int)size;
	http_reply(rq, 200, "application/octet-stream", body, size < 1000 ? size : 0);
}

static void on_gone(struct http_request *rq, void *data)
{
	(void)data;
	gone++;
	if (waiting == rq)
		waiting = NULL;
}

static void wait_for_it(struct http_request *rq)
{
	waiting = rq;
	http_on_gone(rq, on_gone, NULL);
}

static void on_drain(struct http_request *rq, void *data)
{
	(void)rq;
	(void)data;
	drains++;
}

static void begin_stream(struct http_request *rq)
{
	waiting = rq;
	http_on_gone(rq, on_gone, NULL);
	http_stream_on_drain(rq, on_drain);
	http_stream_begin(rq, 200, "application/x-ndjson");
}

static void short_stream(struct http_request *rq)
{
	http_on_gone(rq, on_gone, NULL);
	http_stream_begin(rq, 200, "text/event-stream");
	(void)http_stream_write(rq, "one\n", 4);
	(void)http_stream_write(rq, "", 0);
	(void)http_stream_write(rq, "two\n", 4);
	http_stream_end(rq);
}

static void say_file(struct http_request *rq)
{
	http_reply_file(rq, "text/plain", "0123456789", 10, "abc");
}

static void say_facts(struct http_request *rq)
{
	const char *value, *name = http_query_at(rq, 0, &value), *q = http_query(rq, "q"), *c = http_cookie(rq, "sid");
	uid_t uid = 0;
	pid_t pid = 0;
	bool has_cred = http_peer_cred(rq, &uid, &pid);

	http_set_header(rq, "X-Bad", "a\r\nSet-Cookie: evil=1");
	http_set_header_f(rq, "X-Good", "%d", 7);
	http_reply_json(rq, 200,
			json_pack("{s:s, s:s, s:s*, s:s*, s:s, s:b, s:s, s:b, s:b, s:s*, s:s}", "path", http_path(rq),
				  "id", http_param(rq, "id"), "q", q, "cookie", c, "first", name ? name : "", "cred",
				  has_cred && uid == getuid(), "peer", http_peer(rq), "ndjson",
				  http_accepts(rq, "application/x-ndjson"), "foreign", http_is_cross_origin(rq), "x",
				  http_header(rq, "x-twice"), "rid", http_id(rq)));
}

static void fail_inside(struct http_request *rq)
{
	http_error(rq, 500, "internal_error", NULL, "the secret path is /etc/shadow");
}

/* As when jansson has no memory, or refuses a text that is no UTF-8. */
static void say_nothing(struct http_request *rq)
{
	http_reply_json(rq, 200, NULL);
}

static void say_large(struct http_request *rq)
{
	static char large[3 << 20];

	memset(large, 'x', sizeof(large));
	http_reply(rq, 200, "text/plain", large, sizeof(large));
}

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/hello", .handle = say_hello },
	{ .method = "POST", .path = "/echo", .handle = say_body },
	{ .method = "PUT", .path = "/echo", .handle = say_body },
	{ .method = "GET", .path = "/wait", .handle = wait_for_it },
	{ .method = "GET", .path = "/stream", .handle = begin_stream },
	{ .method = "GET", .path = "/short", .handle = short_stream },
	{ .method = "GET", .path = "/file", .handle = say_file },
	{ .method = "GET", .path = "/facts/{id}", .handle = say_facts },
	{ .method = "GET", .path = "/fail", .handle = fail_inside },
	{ .method = "GET", .path = "/unwritable", .handle = say_nothing },
	{ .method = "GET", .path = "/large", .handle = say_large },
	{ 0 },
};

static bool gate(struct http_request *rq, const struct http_route *route, void *arg)
{
	size_t size;

	(void)arg;
	(void)route;
	gate_calls++;
	(void)http_body(rq, &size);
	gate_saw_body |= size > 0;
	if (gate_refuses)
		http_error(rq, 401, "unauthorized", NULL, "a key is needed");
	return !gate_refuses;
}

static void on_done(struct http_request *rq, const struct http_route *route, int status, uint64_t ns, void *arg)
{
	(void)arg;
	(void)rq;
	(void)route;
	(void)ns;
	done_calls++;
	last_status = status;
}

static struct http_options options(void)
{
	struct http_options o = { .routes = routes, .gate = gate, .done = on_done };

	http_limits_defaults(&o.limits);
	o.limits.header_bytes = 4096;
	o.limits.body_bytes = 100000;
	o.limits.bodies_bytes = 300000;
	o.limits.queue_bytes = 256 << 10;
	o.limits.header_ms = 600;
	o.limits.body_ms = 600;
	o.limits.idle_ms = 1500;
	o.limits.write_ms = 600;
	o.limits.connections = 300;
	o.origins = "https://ide.example.org http://other.example";
	return o;
}

static const char *ask(const char *request, const char *until)
{
	return edge_ask(&edge, request, until);
}

static unsigned open_connections(void)
{
	struct http_counts c;

	http_server_counts(edge.server, &c);
	return (unsigned)c.connections;
}

/* ---- requests and answers ---- */

static void plain(void)
{
	const char *a = ask("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);

	has_str(a, "HTTP/1.1 200 OK\r\n", "a request is answered");
	has_str(a, "\r\nContent-Length: 5\r\n", "with its length");
	has_str(a, "\r\nX-Content-Type-Options: nosniff\r\n", "no sniffing");
	has_str(a, "\r\nCache-Control: no-store\r\n", "no caching");
	has_str(a, "\r\nDate: ", "a date");
	has_str(a, "\r\nConnection: close\r\n\r\nhello", "and closes when it was asked to");
	ok(!strstr(a, "Server:"), "the server's name is nobody's business");
	is_int(last_status, 200, "whoever counts answers is told");
	a = ask("HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "\r\nContent-Length: 5\r\n", "HEAD gets the head of GET");
	ok(!strstr(a, "\r\n\r\nh"), "and no body");
	a = ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "HTTP/1.1 204 No Content\r\n", "OPTIONS is answered");
	has_str(a, "\r\nAllow: POST, PUT, OPTIONS\r\n", "with what the path takes");
	a = ask("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "HTTP/1.1 204 No Content\r\n", "also for the server as a whole");
	a = ask("DELETE /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "HTTP/1.1 405 Method Not Allowed\r\n", "another method is refused");
	has_str(a, "\r\nAllow: POST, PUT, OPTIONS\r\n", "with those that are not");
	has_str(a, "\"message\":\"this path takes POST, PUT, OPTIONS\"", "in words as well");
	a = ask("GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "HTTP/1.1 404 Not Found\r\n", "a path without a route is not found");
	has_str(a, "{\"error\":{\"code\":\"not_found\",\"message\":", "as a JSON error");
	a = ask("GET http://x/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "hello", "the absolute form of a target is understood");
	a = ask("GET /fail HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "under request abc-1", "an inner failure names the request's id");
	ok(!strstr(a, "shadow"), "and not what broke");
	a = ask("GET /unwritable HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
	ok(strstr(a, " 500 ") && strstr(a, "\"internal_error\""), "so is an answer that cannot be written");
}

static void http10(void)
{
	const char *a = ask("GET /hello HTTP/1.0\r\n\r\n", NULL);

	has_str(a, "\r\nConnection: close\r\n\r\nhello", "HTTP/1.0 needs no Host, and the connection ends");
	a = ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "hello");
	has_str(a, "\r\nConnection: keep-alive\r\n", "unless it asks to keep it");
	a = ask("GET /short HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", NULL);
	has_str(a, "\r\n\r\none\ntwo\n", "a stream to HTTP/1.0 is not in chunks");
	ok(!strstr(a, "chunked"), "and says nothing of them");
}

static void facts(void)
{
	const char *a =
		ask("GET /facts/a%2Fb%20c?q=1%2B1+x&z HTTP/1.1\r\nHost: x:80\r\nCookie: a=b; sid=s1\r\nX-Twice: 1\r\n"
		    "Accept: text/html, application/x-ndjson;q=0.5\r\nX-Twice: 2\r\nOrigin: http://x\r\n"
		    "X-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n\r\n",
		    NULL);

	has_str(a, "\"id\":\"a/b c\"", "a path's parameter is decoded");
	has_str(a, "\"path\":\"/facts/a/b c\"", "and the path");
	has_str(a, "\"q\":\"1+1 x\"", "a query's parameter, too");
	has_str(a, "\"cookie\":\"s1\"", "a cookie is found by its name");
	has_str(a, "\"x\":\"1, 2\"", "fields of one name are one list");
	has_str(a, "\"ndjson\":true", "what is accepted is seen");
	has_str(a, "\"foreign\":false", "our own origin is not foreign");
	has_str(a, "\"peer\":\"127.0.0.1\"", "a stranger's X-Forwarded-For is not believed");
	has_str(a, "\"cred\":false", "TCP has no credentials");
	has_str(a, "X-Good: 7\r\n", "a handler's field is sent");
	ok(!strstr(a, "evil"), "one with a line break is not");
	a = ask("GET /facts/a HTTP/1.1\r\nHost: x\r\nOrigin: http://x.evil\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "\"foreign\":true", "another origin is");
	a = ask("GET /facts/a HTTP/1.1\r\nHost: x\r\nOrigin: null\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "\"foreign\":true", "so is the null one");
	a = ask("GET /facts/a HTTP/1.1\r\nHost: x\r\nOrigin: http://other.example\r\nConnection: close\r\n\r\n", NULL);
	has_str(a, "\"foreign\":false", "an allowed one is not");
}

/* Pages of other origins: which answers they may read, and what a browser hears before it sends. */
static void cors(void)
{
	static const struct {
		const char *request, *has[4], *lacks, *title;
	} rows[] = {
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://other.example\r\n",
		  { "\r\nAccess-Control-Allow-Origin: http://other.example\r\n", "\r\nVary: Origin\r\n",
		    "\r\nAccess-Control-Expose-Headers: Retry-After, " },
		  "Access-Control-Allow-Credentials",
		  "a listed origin may read the answer" },
		{ "GET /none HTTP/1.1\r\nHost: x\r\nOrigin: http://other.example\r\n",
		  { " 404 ", "\r\nAccess-Control-Allow-Origin: http://other.example\r\n" },
		  "Access-Control-Allow-Methods",
		  "a refusal, too" },
		{ "GET /stream HTTP/1.1\r\nHost: x\r\nOrigin: https://ide.example.org\r\n",
		  { "\r\nAccess-Control-Allow-Origin: https://ide.example.org\r\n" },
		  "http://other.example",
		  "and a stream" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n",
		  { " 200 ", "\r\nVary: Origin\r\n" },
		  "Access-Control",
		  "one that is not listed may not" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://other.example.evil\r\n",
		  { " 200 " },
		  "Access-Control",
		  "nor one that begins so" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n", { " 200 " }, "Access-Control", "nor none" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n",
		  { " 200 " },
		  "Access-Control",
		  "our own needs nothing" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\n",
		  { " 200 ", "\r\nVary: Origin\r\n" },
		  "Access-Control",
		  "and neither does a program" },
		{ "OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://other.example\r\nAccess-Control-Request-Method: "
		  "POST\r\n"
		  "Access-Control-Request-Headers: authorization,content-type\r\n",
		  { " 204 ", "\r\nAccess-Control-Allow-Methods: POST",
		    "\r\nAccess-Control-Allow-Headers: Authorization, ", "\r\nAccess-Control-Max-Age: 600\r\n" },
		  "Access-Control-Allow-Credentials",
		  "a preflight is answered, without a key" },
		{ "OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: "
		  "POST\r\n",
		  { " 204 ", "\r\nAllow: POST" },
		  "Access-Control",
		  "not for an origin that is not listed" },
		{ "OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://other.example\r\n",
		  { " 204 ", "\r\nAllow: POST" },
		  "Access-Control-Allow-Methods",
		  "an OPTIONS that is none stays what it was" },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_good = true;
		const char *a;

		(void)snprintf(text, sizeof(text), "%sConnection: close\r\n\r\n", rows[i].request);
		a = ask(text, NULL);
		for (size_t k = 0; k < 4 && rows[i].has[k]; k++)
			is_good = is_good && strstr(a, rows[i].has[k]);
		ok(is_good && !strstr(a, rows[i].lacks), "%s", rows[i].title) || (diag("%s", a), 0);
	}
}

static void unix_peer(void)
{
	char a[4096], want[64];
	int fd = edge_connect_unix(&edge);

	(void)snprintf(want, sizeof(want), "\"peer\":\"unix:%u\"", getuid());
	edge_say(&edge, fd,
		 "GET /facts/1 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n");
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "\"cred\":true", "a unix socket's peer has credentials");
	has_str(a, want, "and is known by its uid");
	(void)close(fd);
}

static void bodies(void)
{
	char a[4096], *large = calloc(1, 90000);
	int fd;

	need(large, "memory");
	has_str(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", NULL),
		"\r\n\r\nabc", "a body of a length arrives");
	has_str(ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		    "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: 1\r\n\r\n",
		    NULL),
		"\r\n\r\nabcdefg", "a body in chunks arrives");
	fd = edge_connect(&edge);
	edge_say(&edge, fd, "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\nExpect: 100-continue\r\n\r\n");
	(void)edge_read(&edge, fd, a, sizeof(a), "\r\n\r\n", NULL);
	is_str(a, "HTTP/1.1 100 Continue\r\n\r\n", "a client that asks first is told to go on");
	edge_send(&edge, fd, large, 90000);
	(void)edge_read(&edge, fd, a, sizeof(a), "\r\n\r\n", NULL);
	is_int(body_bytes_seen, 90000, "and its body arrives");
	ok(!gate_saw_body, "the gate was asked before any body came");
	(void)close(fd);
	free(large);
}

/* What curl makes of stdin, and proxies forward: nothing of the framing may depend on blanks. */
static void blanks(void)
{
	const char *a =
		ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \t chunked \t\r\nConnection: close\r\n\r\n"
		    "3\r\nabc\r\n0\r\n\r\n",
		    NULL);

	ok(strstr(a, "\r\n\r\nabc") || strncmp(a, "HTTP/1.1 400 ", 13) == 0,
	   "'chunked' between blanks is chunked, or refused");
	a = ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \t 3 \t\r\nConnection: close\r\n\r\nabc", NULL);
	ok(strstr(a, "\r\n\r\nabc") || strncmp(a, "HTTP/1.1 400 ", 13) == 0, "so is a length");
}

/* A file of requests through `nc -N`: everything is answered though the client stopped sending long before. */
/* What clients send and what is right, though it looks odd. */
static void odd_but_good(void)
{
	static const struct {
		const char *request, *title;
	} rows[] = {
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nX-A:\r\nX-B: 1\r\n", "an empty value before another field" },
		{ "GET /hello HTTP/1.1\r\nX-A: \r\nX-B:\t\r\nHost: x\r\n", "blank values" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nX-A:\r\n", "an empty value at the end" },
		{ "GET /hello HTTP/1.1\r\nX-A:\r\nX-B:\r\nX-C:\r\nHost: x\r\n", "empty values in a row" },
		{ "GET /hello HTTP/1.1\r\nHost:\r\nX: y\r\n", "an empty Host: the target has no authority" },
		{ "GET /hello HTTP/1.1\r\nHost: x:\r\n", "a Host with an empty port" },
		{ "GET /hello HTTP/1.1\r\nHost: a_b.example:65535\r\n", "an underscore in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: [::1]:7070\r\n", "an IPv6 address" },
		{ "GET /hello HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n", "one with a zone" },
		{ "GET /hello HTTP/1.1\r\nHost: a%41.example\r\n", "an escape in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n", "a coding of no body" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: identity\r\nContent-Length: 0\r\n",
		  "no coding, by name" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Encoding:\r\nContent-Length: 0\r\n",
		  "no coding, by no name" },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *a;

		(void)snprintf(text, sizeof(text), "%sConnection: close\r\n\r\n", rows[i].request);
		a = ask(text, NULL);
		ok(strncmp(a, "HTTP/1.1 200 ", 13) == 0, "%s: 200", rows[i].title) || (diag("%s", a), 0);
	}
	has_str(ask("GET /facts/a HTTP/1.1\r\nX-Twice:\r\nX-Twice: b\r\nHost: x\r\nConnection: close\r\n\r\n", NULL),
		"\"x\":\", b\"", "an empty value is one of a list");
	has_str(ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		    "3\r\nabc\r\n0\r\nA: b\r\nC:\r\nD:e\r\n\r\n",
		    NULL),
		"\r\n\r\nabc", "trailers are read over");
}

static void half_closed_pipeline(void)
{
	static const char one[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
	static char text[(sizeof(one) - 1) * 3000], a[4 << 20];
	int fd = edge_connect_unix(&edge);
	size_t answers = 0;

	for (size_t i = 0; i < 3000; i++)
		memcpy(text + i * (sizeof(one) - 1), one, sizeof(one) - 1);
	edge_send(&edge, fd, text, sizeof(text));
	(void)shutdown(fd, SHUT_WR);
	edge_turn(&edge, 20);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	for (const char *s = a; (s = strstr(s, "\r\n\r\nhello")); s++)
		answers++;
	is_int(answers, 3000, "3000 requests by a client that stopped sending are all answered");
	(void)close(fd);
}

/* Byte by byte, two requests: whatever the boundaries of reads, the same is understood. */
static void in_pieces(void)
{
	static const char text[] =
		"\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\ndef";
	char a[4096];
	int fd = edge_connect(&edge);

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		edge_send(&edge, fd, text + i, 1);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "\r\n\r\nabcHTTP/1.1 200", "requests that come byte by byte are understood");
	has_str(a, "\r\n\r\ndef", "one after the other");
	(void)close(fd);
}

static void pipelined(void)
{
	char a[8192];
	int fd = edge_connect(&edge);
	const char *hello, *after;

	waiting = NULL;
	edge_say(&edge, fd,
		 "GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
		 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast");
	edge_turn(&edge, 20);
	need(waiting, "the first of three requests in one packet waits");
	is_int(recv(fd, a, sizeof(a), MSG_DONTWAIT), -1, "nothing is said before its answer");
	http_reply(waiting, 200, "text/plain", "first", 5);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	hello = strstr(a, "\r\n\r\nhello");
	after = strstr(a, "\r\n\r\nlast");
	ok(strstr(a, "\r\n\r\nfirst") && hello && after && strstr(a, "first") < hello && hello < after,
	   "the answers come in the order of the requests");
	(void)close(fd);
}

/* Deep pipelines must not become deep stacks, nor stay in memory. */
static void deep_pipeline(void)
{
	static const char one[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
	enum { N = 20000 };
	static char a[1 << 16];
	int fd = edge_connect(&edge);
	size_t sent = 0, answers = 0;
	uint64_t until = clock_now_ns() + 20 * NS_PER_S;
	char *text = malloc(N * (sizeof(one) - 1));

	need(text, "memory");
	for (size_t i = 0; i < N; i++)
		memcpy(text + i * (sizeof(one) - 1), one, sizeof(one) - 1);
	while (answers < N && clock_now_ns() < until) {
		ssize_t n = sent < N * (sizeof(one) - 1)
				    ? send(fd, text + sent, N * (sizeof(one) - 1) - sent, MSG_DONTWAIT)
				    : 0;

		sent += n > 0 ? (size_t)n : 0;
		(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
		n = recv(fd, a, sizeof(a), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			answers += a[i] == 'l' && i + 2 < n && a[i + 1] == 'l' && a[i + 2] == 'o';
		if (n <= 0 && sent == N * (sizeof(one) - 1) && open_connections() == 0)
			break;
		if (n > 0 && answers > N - 100) /* a few stand across the reads */
			break;
	}
	ok(answers > N - 1000, "%d requests in one stream are all answered (%zu seen whole)", N, answers);
	free(text);
	(void)close(fd);
	edge_turn(&edge, 5);
}

/* ---- refusals ---- */

static void refusals(void)
{
	static const struct {
		const char *request, *status, *words, *title;
	} rows[] = {
		{ "GET /hello HTTP/1.1\r\n\r\n", "400", "exactly one Host", "no Host" },
		{ "GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400", "exactly one Host", "two Hosts" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "400", "Transfer-Encoding", "both lengths" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		  "400", "Transfer-Encoding", "both lengths, the other way round" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400",
		  "Content-Length", "the length twice" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", "400", "Content-Length",
		  "a signed length" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3,3\r\n\r\nabc", "400", "Content-Length",
		  "a list of lengths" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", "400", "Content-Length",
		  "a hexadecimal length" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "400", "Content-Length",
		  "an empty length" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "400",
		  "Content-Length", "a length beyond 64 bits" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501", "chunked",
		  "another transfer coding" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "", "Transfer-Encoding",
		  "almost chunked" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400", "",
		  "a blank before the colon" },
		{ "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501", "chunked",
		  "chunks in HTTP/1.0" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\rXabc\r\n0\r\n\r\n", "400",
		  "chunk", "a chunk's size that ends without LF" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\n0\r\n\r\n", "400",
		  "chunk", "a chunk that is longer than it says" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "400", "chunk",
		  "a negative chunk" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n000000003\r\nabc\r\n0\r\n\r\n",
		  "400", "chunk", "a chunk's size of nine digits" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", "400", "folded line", "a folded line" },
		{ " GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "folded line", "a blank at the begin" },
		{ "GET /hello HTTP/1.1\nHost: x\n\n", "400", "bare CR or LF", "lines that end without CR" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", "400", "bare CR", "a CR within a line" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nX: a\001b\r\n\r\n", "400", "control character",
		  "a control character" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nX y: a\r\n\r\n", "400", "", "a blank in a field's name" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", "400", "", "a field without a name" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n", "400", "", "a field without a colon" },
		{ "GET  /hello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "single blanks", "two blanks before the target" },
		{ "GET /hello  HTTP/1.1\r\nHost: x\r\n\r\n", "400", "single blanks", "two blanks behind it" },
		{ "GET /hello HTTP/1.1 \r\nHost: x\r\n\r\n", "505", "HTTP/1.1",
		  "a blank at the end of the request line" },
		{ "GET\t/hello HTTP/1.1\r\nHost: x\r\n\r\n", "", "error", "a tab in it" },
		{ "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", "400", "Host", "a blank in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: a,b\r\n\r\n", "400", "Host", "two names in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: http://a\r\n\r\n", "400", "Host", "a URL in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: me@a\r\n\r\n", "400", "Host", "a user in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", "400", "Host", "a path in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: a:x\r\n\r\n", "400", "Host", "a port that is no number" },
		{ "GET /hello HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400", "Host", "a port that is too high" },
		{ "GET /hello HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400", "Host", "two ports" },
		{ "GET /hello HTTP/1.1\r\nHost: [::1\r\n\r\n", "400", "Host", "half a bracket" },
		{ "GET /hello HTTP/1.1\r\nHost: [x]\r\n\r\n", "400", "Host", "brackets around no address" },
		{ "GET /hello HTTP/1.1\r\nHost: ::1\r\n\r\n", "400", "Host", "an IPv6 address without brackets" },
		{ "GET /hello HTTP/1.1\r\nHost: a%zz\r\n\r\n", "400", "Host", "a bad escape in Host" },
		{ "GET /hello HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", "400", "Host", "a Host that is not ASCII" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n3\r\nabc\r\n0\r\nnothing\r\n\r\n",
		  "400", "chunk", "a trailer without a colon" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n: x\r\n\r\n",
		  "400", "chunk", "a trailer without a name" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX : x\r\n\r\n",
		  "400", "chunk", "a trailer with a blank before the colon" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n "
		  "folded\r\n\r\n",
		  "400", "chunk", "a trailer that is folded" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "415",
		  "Content-Encoding", "a body that is compressed" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: identity, br\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n",
		  "415", "Content-Encoding", "one in chunks" },
		{ "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", "505", "HTTP/1.1", "another version" },
		{ "PRI * HTTP/2.0\r\n\r\n", "505", "HTTP/1.1", "the preface of HTTP/2" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", "HTTP/1.1", "the whole of it" },
		{ "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3 3\r\n\r\nabc", "400", "Content-Length",
		  "two numbers in one length" },
		{ "GET /hello\r\n\r\n", "505", "HTTP/1.1", "no version" },
		{ "BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n", "501", "method", "an unknown method" },
		{ "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "target", "a tunnel" },
		{ "GET hello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "", "a target that is no path" },
		{ "GET /a/../hello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "'..'", "a path that goes up" },
		{ "GET /a/%2e%2E/hello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "'..'", "the same, encoded" },
		{ "GET /facts/..%2fhello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "'..'", "the same, within a segment" },
		{ "GET /hello/. HTTP/1.1\r\nHost: x\r\n\r\n", "400", "'.'", "a dot segment" },
		{ "GET /facts/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400", "two hexadecimal digits", "a bad escape" },
		{ "GET /facts/%4 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "two hexadecimal digits", "half an escape" },
		{ "GET /facts/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "400", "%00", "an encoded NUL" },
		{ "GET /facts/a?x=%00 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "the query", "an encoded NUL in the query" },
		{ "GET /hello#x HTTP/1.1\r\nHost: x\r\n\r\n", "400", "fragment", "a fragment" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", "413", "larger than 100000 bytes",
		  "a body announced too large" },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: magic\r\n\r\n", "417", "100-continue",
		  "another expectation" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char want[32];
		const char *a = ask(rows[i].request, NULL);

		(void)snprintf(want, sizeof(want), "HTTP/1.1 %s", rows[i].status);
		ok(strncmp(a, want, strlen(want)) == 0 && strstr(a, rows[i].words) &&
			   strstr(a, "\r\nConnection: close\r\n") && strstr(a, "{\"error\":{\"code\":"),
		   "%s: %s", rows[i].title, rows[i].status) ||
			(diag("%s", a), 0);
	}
	is_int(open_connections(), 0, "none of them leaves a connection");
}

static void nul_in_head(void)
{
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n";
	char a[1024];
	int fd = edge_connect(&edge);

	edge_send(&edge, fd, request, sizeof(request) - 1);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "control character", "a NUL in the head is refused");
	(void)close(fd);
}

static void large_heads(void)
{
	char request[16384], *s;

	s = stpcpy(request, "GET /hello HTTP/1.1\r\nHost: x\r\nX: ");
	memset(s, 'x', 5000);
	strcpy(s + 5000, "\r\n\r\n");
	has_str(ask(request, NULL), "HTTP/1.1 431 ", "header fields beyond the bound are refused");
	s = stpcpy(request, "GET /");
	memset(s, 'x', 5000);
	strcpy(s + 5000, " HTTP/1.1\r\nHost: x\r\n\r\n");
	has_str(ask(request, NULL), "HTTP/1.1 414 ", "so is a target");
	s = stpcpy(request, "GET /hello HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 120; i++)
		s = stpcpy(s, "A: b\r\n");
	strcpy(s, "\r\n");
	has_str(ask(request, NULL), "too many header fields", "and too many fields");
	s = stpcpy(request, "GET /hello?");
	for (int i = 0; i < 200; i++)
		s = stpcpy(s, "a=b&");
	strcpy(s, " HTTP/1.1\r\nHost: x\r\n\r\n");
	has_str(ask(request, NULL), "too many parameters", "and parameters");
	s = stpcpy(request, "GET ");
	for (int i = 0; i < 100; i++)
		s = stpcpy(s, "/a");
	strcpy(s, " HTTP/1.1\r\nHost: x\r\n\r\n");
	has_str(ask(request, NULL), "too many segments", "and segments");
}

/* 200 KB of chunks to a bound of 100000: refused while it streams, and the answer survives the bytes still under way. */
static void large_chunked(void)
{
	static char chunk[1024 + 8], a[4096];
	int fd = edge_connect(&edge);

	memcpy(chunk, "400\r\n", 5);
	memset(chunk + 5, 'x', 1024);
	memcpy(chunk + 5 + 1024, "\r\n", 2);
	edge_say(&edge, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 200; i++)
		edge_send(&edge, fd, chunk, 5 + 1024 + 2);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "HTTP/1.1 413 ", "a body that grows too large is refused while it comes");
	(void)close(fd);
}

static void gate_first(void)
{
	char a[4096];
	int fd = edge_connect(&edge), before = done_calls;

	gate_refuses = true;
	edge_say(&edge, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n");
	(void)edge_read(&edge, fd, a, sizeof(a), "}}", NULL);
	has_str(a, "HTTP/1.1 401 ", "the gate answers before the body came");
	ok(!strstr(a, "Connection: close"), "a small body is read and forgotten");
	gate_refuses = false;
	for (int i = 0; i < 50; i++)
		edge_send(&edge, fd, (char[1000]){ 0 }, 1000);
	edge_say(&edge, fd, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "hello", "and the next request is answered");
	is_int(done_calls - before, 2, "each was counted once");
	(void)close(fd);
	gate_refuses = true;
	has_str(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\nExpect: 100-continue\r\n\r\n", NULL),
		"Connection: close", "a client that waits to be told to go on is not kept");
	gate_refuses = false;
}

/* ---- time ---- */

static void slow_senders(void)
{
	char a[4096];
	int fd = edge_connect(&edge), silent = edge_connect(&edge), body = edge_connect(&edge);
	uint64_t began = clock_now_ns();
	bool has_ended;

	edge_say(&edge, body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12");
	for (const char *s = "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaaaaaaa";
	     *s && clock_now_ns() < began + 2 * NS_PER_S; s++) {
		edge_send(&edge, fd, s, 1);
		edge_turn(&edge, 30);
	}
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, &has_ended);
	ok(has_ended && strstr(a, "HTTP/1.1 408 "), "a head that comes byte by byte for too long is refused");
	(void)edge_read(&edge, body, a, sizeof(a), NULL, &has_ended);
	ok(has_ended && strstr(a, "HTTP/1.1 408 ") && strstr(a, "body did not arrive"), "so is a body that stops");
	(void)edge_read(&edge, silent, a, sizeof(a), NULL, &has_ended);
	ok(has_ended && !a[0], "a connection on which nothing comes is closed without a word");
	(void)close(fd);
	(void)close(silent);
	(void)close(body);
}

static void idle(void)
{
	char a[4096];
	int fd = edge_connect(&edge);
	uint64_t began = clock_now_ns();
	bool has_ended;

	edge_say(&edge, fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	(void)edge_read(&edge, fd, a, sizeof(a), "hello", &has_ended);
	ok(!has_ended, "a connection is kept");
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, &has_ended);
	ok(has_ended && !a[0], "until it is idle for too long");
	ok(clock_now_ns() - began > 1400 * NS_PER_MS && clock_now_ns() - began < 4500 * NS_PER_MS, "which is idle_ms");
	(void)close(fd);
}

/* ---- clients that go away ---- */

static void until_gone(int want)
{
	for (int i = 0; i < 200 && gone < want; i++)
		edge_turn(&edge, 5);
}

static void hang_ups(void)
{
	char a[4096];
	uint64_t began;
	int fd;

	for (int is_unix = 0; is_unix < 2; is_unix++) {
		fd = is_unix ? edge_connect_unix(&edge) : edge_connect(&edge);
		gone = 0;
		edge_say(&edge, fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
		edge_turn(&edge, 10);
		need(waiting, "a request waits for its answer");
		began = clock_now_ns();
		(void)close(fd);
		until_gone(1);
		is_int(gone, 1, "its client hangs up, and whoever prepares the answer is told");
		ok(clock_now_ns() - began < 500 * NS_PER_MS, "at once");
		is_int(last_status, 499, "it is counted as 499");
		is_int(open_connections(), 0, "nothing is left");
	}

	fd = edge_connect(&edge);
	gone = 0;
	edge_say(&edge, fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	edge_turn(&edge, 10);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	(void)close(fd);
	until_gone(1);
	is_int(gone, 1, "a reset is seen as well");

	for (int is_unix = 0; is_unix < 2; is_unix++) {
		fd = is_unix ? edge_connect_unix(&edge) : edge_connect(&edge);
		gone = 0;
		edge_say(&edge, fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
		(void)shutdown(fd, SHUT_WR);
		edge_turn(&edge, 100);
		need(waiting && gone == 0, "a client that only stops sending and waits is not gone");
		http_reply(waiting, 200, "text/plain", "late", 4);
		waiting = NULL;
		(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
		has_str(a, "\r\n\r\nlate", "it gets its answer");
		is_int(strncmp(a, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 0, !is_unix, "after an interim one on TCP");
		(void)close(fd);
		edge_turn(&edge, 5);
		is_int(open_connections(), 0, "and the connection ends");
	}

	fd = edge_connect_unix(&edge);
	gone = 0;
	edge_say(&edge, fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	(void)shutdown(fd, SHUT_WR);
	edge_turn(&edge, 20);
	is_int(gone, 0, "one that stops sending");
	(void)close(fd);
	until_gone(1);
	is_int(gone, 1, "and then goes, is gone");

	fd = edge_connect(&edge);
	gone = 0;
	edge_say(&edge, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	edge_turn(&edge, 10);
	(void)close(fd);
	until_gone(1);
	is_int(gone, 1, "the end of a stream's reader is seen without writing to it");

	fd = edge_connect(&edge);
	edge_say(&edge, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12");
	edge_turn(&edge, 10);
	(void)close(fd);
	edge_turn(&edge, 20);
	is_int(last_status, 499, "a client that goes in the middle of its body is counted, too");
	is_int(open_connections(), 0, "and leaves nothing");
}

/* ---- streams ---- */

static void streams(void)
{
	const char *a = ask("GET /short HTTP/1.1\r\nHost: x\r\n\r\n", "0\r\n\r\n");

	has_str(a, "\r\nTransfer-Encoding: chunked\r\n", "a stream is sent in chunks");
	has_str(a, "\r\n\r\n4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n", "an empty write is not its end");
	ok(!strstr(a, "Content-Length"), "and has no length");
	gone = 0;
	a = ask("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
	has_str(a, "200 OK", "HEAD of a stream gets its head");
	is_int(gone, 1, "and nobody goes on writing");
}

static void slow_reader(void)
{
	static char piece[16384], a[1 << 16];
	int fd = edge_connect_unix(&edge), r = 0; /* its buffers do not grow */
	struct mallinfo2 before, after;
	size_t written = 0;
	uint64_t began;

	memset(piece, 'x', sizeof(piece));
	gone = drains = 0;
	edge_say(&edge, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	edge_turn(&edge, 10);
	need(waiting, "a stream begins");
	before = mallinfo2();
	while (written < (size_t)64 << 20 && (r = http_stream_write(waiting, piece, sizeof(piece))) == 0)
		written += sizeof(piece);
	after = mallinfo2();
	is_int(r, -ENOBUFS, "a reader that does not read: at some point nothing more is taken");
	ok(http_stream_queued(waiting) <= 256 << 10, "what waits is bounded (%zu)", http_stream_queued(waiting));
	ok(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd < 600 << 10, "so is the memory (%zu KiB)",
	   (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) >> 10);
	began = clock_now_ns();
	while (drains == 0 && clock_now_ns() < began + 5 * NS_PER_S) {
		(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
		(void)!recv(fd, a, sizeof(a), MSG_DONTWAIT);
	}
	is_int(drains, 1, "when it has read everything, the writer is told");
	is_int(http_stream_queued(waiting), 0, "nothing waits then");
	while (http_stream_write(waiting, piece, sizeof(piece)) == 0)
		;
	began = clock_now_ns();
	until_gone(1);
	for (int i = 0; i < 300 && gone == 0; i++)
		edge_turn(&edge, 10);
	is_int(gone, 1, "one that reads nothing for too long is gone");
	ok(clock_now_ns() - began > 500 * NS_PER_MS && clock_now_ns() - began < 4 * NS_PER_S, "after write_ms");
	(void)close(fd);
}

/* An answer larger than the socket takes is sent on as the client reads; the next request waits for that. */
static void large_answer(void)
{
	static char a[8 << 20];
	int fd = edge_connect(&edge);
	size_t n;

	edge_say(&edge, fd,
		 "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	edge_turn(&edge, 50);
	n = edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	ok(n > 3 << 20 && strcmp(a + n - 5, "hello") == 0, "a large answer arrives whole, and the next after it");
	(void)close(fd);
}

/* ---- files ---- */

static void files(void)
{
	static const struct {
		const char *fields, *status, *has, *title;
	} rows[] = {
		{ "", "200", "\r\nETag: \"abc\"\r\n", "a file has a tag" },
		{ "", "200", "\r\nAccept-Ranges: bytes\r\n", "and takes ranges" },
		{ "If-None-Match: \"abc\"\r\n", "304", "\r\nETag: \"abc\"\r\n", "the same file is not sent again" },
		{ "If-None-Match: \"x\", W/\"abc\"\r\n", "304", "", "also when several are known" },
		{ "If-None-Match: *\r\n", "304", "", "or any" },
		{ "If-None-Match: \"abd\"\r\n", "200", "0123456789", "another one is" },
		{ "Range: bytes=2-4\r\n", "206", "\r\n\r\n234", "a range is sent" },
		{ "Range: bytes=2-4\r\n", "206", "\r\nContent-Range: bytes 2-4/10\r\n", "and says which" },
		{ "Range: bytes=8-\r\n", "206", "\r\n\r\n89", "a range to the end" },
		{ "Range: bytes=-3\r\n", "206", "\r\n\r\n789", "the last bytes" },
		{ "Range: bytes=-99\r\n", "206", "\r\n\r\n0123456789", "more last bytes than there are" },
		{ "Range: bytes=5-99\r\n", "206", "\r\n\r\n56789", "a range past the end is cut" },
		{ "Range: bytes=10-\r\n", "416", "\r\nContent-Range: bytes */10\r\n",
		  "a range behind the end is refused" },
		{ "Range: bytes=-0\r\n", "416", "", "so are no last bytes" },
		{ "Range: bytes=4-2\r\n", "200", "0123456789", "a range that is none is ignored" },
		{ "Range: bytes=0-1,3-4\r\n", "200", "0123456789", "so are several" },
		{ "Range: lines=1-2\r\n", "200", "0123456789", "and other units" },
		{ "Range: bytes=99999999999999999999999-\r\n", "416", "", "a number too large does not wrap" },
		{ "If-Range: \"abc\"\r\nRange: bytes=2-4\r\n", "206", "\r\n\r\n234",
		  "a range of the file that is meant" },
		{ "If-Range: \"old\"\r\nRange: bytes=2-4\r\n", "200", "0123456789", "all of it when it has changed" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char request[512], want[32];
		const char *a;

		(void)snprintf(request, sizeof(request), "GET /file HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\n\r\n",
			       rows[i].fields);
		(void)snprintf(want, sizeof(want), "HTTP/1.1 %s ", rows[i].status);
		a = ask(request, NULL);
		ok(strncmp(a, want, strlen(want)) == 0 && strstr(a, rows[i].has), "%s", rows[i].title) ||
			(diag("%s", a), 0);
	}
}

/* ---- many ---- */

static void two_hundred(void)
{
	enum { N = 200 };
	int fds[N], answered = 0;
	char a[4096];

	for (int i = 0; i < N; i++) {
		fds[i] = edge_connect(&edge);
		edge_say(&edge, fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	for (int i = 0; i < N; i++) {
		(void)edge_read(&edge, fds[i], a, sizeof(a), "hello", NULL);
		answered += strstr(a, "hello") != NULL;
	}
	is_int(answered, N, "two hundred connections at once are served");
	is_int(open_connections(), N, "and kept");
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
	edge_turn(&edge, 20);
	is_int(open_connections(), 0, "until they go");
}

/* From an address of its own: the whole of 127.0.0.0/8 is this machine. */
static int connect_from(const char *address)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, address, &from.sin_addr);
	need(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
		     connect(fd, (struct sockaddr *)&edge.at, sizeof(edge.at)) == 0,
	     "a client connects from %s", address);
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)uv_run(&edge.loop, UV_RUN_NOWAIT);
	return fd;
}

static bool was_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* 300 places, 18 of them for root: one peer may have 211 or 212 of the rest. */
static void too_many(void)
{
	enum { N = 300 };
	int fds[N], fd, other, closed = 0;
	char a[4096];

	for (int i = 0; i < N; i++)
		fds[i] = connect_from("127.0.0.1");
	edge_turn(&edge, 5);
	ok(open_connections() >= 210 && open_connections() <= 213, "a peer that is alone may have three quarters");
	for (int i = 0; i < N; i++)
		closed += was_closed(fds[i]);
	ok(closed >= 87 && was_closed(fds[0]) && !was_closed(fds[N - 1]),
	   "its own oldest idle ones go for its new ones");
	for (int i = 0; i < 60; i++) {
		char address[32];

		(void)snprintf(address, sizeof(address), "127.0.1.%d", 1 + i);
		other = connect_from(address);
		edge_say(&edge, other, "GET /hello HTTP/1.0\r\n\r\n");
		(void)edge_read(&edge, other, a, sizeof(a), NULL, NULL);
		closed += strstr(a, "hello") == NULL;
		(void)close(other);
	}
	is_int(closed, 88, "sixty other peers are all served meanwhile");
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
	edge_turn(&edge, 20);

	/* busy ones are not closed for anybody: who has its share is turned away, others are served */
	for (int i = 0; i < N; i++) {
		fds[i] = connect_from("127.0.0.1");
		edge_say(&edge, fds[i], "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
	}
	fd = connect_from("127.0.0.1");
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "HTTP/1.1 503 ", "one more of a peer that has its share at work is turned away");
	has_str(a, "too many connections are open\"}}", "with a sentence");
	(void)close(fd);
	other = connect_from("127.0.0.9");
	edge_say(&edge, other, "GET /hello HTTP/1.0\r\n\r\n");
	(void)edge_read(&edge, other, a, sizeof(a), NULL, NULL);
	has_str(a, "hello", "another peer is served");
	(void)close(other);
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
	edge_turn(&edge, 20);
	has_str(ask("GET /hello HTTP/1.0\r\n\r\n", NULL), "hello", "and taken when there is room again");
}

static void no_descriptors(void)
{
	enum { MANY = 1024 };
	static int taken[MANY];
	struct rlimit before, low = { 0 };
	char a[4096] = "";
	int n = 0, fd;

	need(getrlimit(RLIMIT_NOFILE, &before) == 0, "the limit on descriptors");
	low = before;
	low.rlim_cur = 512;
	need(setrlimit(RLIMIT_NOFILE, &low) == 0, "made low");
	while (n < MANY && (taken[n] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0)
		n++;
	if (n > 0)
		(void)close(taken[--n]);
	fd = edge_connect(&edge); /* the last there is */
	edge_say(&edge, fd, "GET /hello HTTP/1.0\r\n\r\n");
	edge_turn(&edge, 300);
	is_int(open_connections(), 0, "without a descriptor left nothing is accepted");
	while (n > 0)
		(void)close(taken[--n]);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, NULL);
	has_str(a, "hello", "when there are some again, whoever waited is served");
	(void)setrlimit(RLIMIT_NOFILE, &before);
	(void)close(fd);
	edge_turn(&edge, 5);
}

/* Each within its bound, together too much. */
static void many_bodies(void)
{
	enum { N = 4 };
	static char part[90000], a[4096];
	int fds[N], refused = 0, taken = 0;

	for (int i = 0; i < N; i++) {
		fds[i] = edge_connect(&edge);
		edge_say(&edge, fds[i], "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90001\r\n\r\n");
		edge_send(&edge, fds[i], part, sizeof(part));
		edge_turn(&edge, 5);
	}
	for (int i = 0; i < N; i++) {
		edge_send(&edge, fds[i], "x", 1);
		(void)edge_read(&edge, fds[i], a, sizeof(a), "\r\n\r\n", NULL);
		refused += strncmp(a, "HTTP/1.1 503 ", 13) == 0 && strstr(a, "Retry-After: 1\r\n");
		taken += strncmp(a, "HTTP/1.1 200 ", 13) == 0;
		(void)close(fds[i]);
	}
	ok(refused > 0 && taken > 0 && refused + taken == N, "of %d bodies %d are refused for the memory of all", N,
	   refused);
	edge_turn(&edge, 5);
	has_str(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", NULL),
		"\r\n\r\nabc", "which is free again afterwards");
}

/* ---- the end ---- */

static void drain_and_close(void)
{
	char a[4096];
	int idle_fd = edge_connect(&edge), fd = edge_connect(&edge), last = edge_connect_unix(&edge);
	bool has_ended;

	edge_say(&edge, idle_fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	(void)edge_read(&edge, idle_fd, a, sizeof(a), "hello", NULL);
	edge_say(&edge, last, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	edge_turn(&edge, 10);
	edge_say(&edge, fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	edge_turn(&edge, 10);
	http_server_drain(edge.server);
	(void)edge_read(&edge, idle_fd, a, sizeof(a), NULL, &has_ended);
	ok(has_ended, "draining closes what is idle");
	has_str(ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", NULL), "Connection: close",
		"who connects now is answered, once");
	need(waiting, "and leaves a request under way");
	http_reply(waiting, 200, "text/plain", "done", 4);
	(void)edge_read(&edge, fd, a, sizeof(a), NULL, &has_ended);
	ok(has_ended && strstr(a, "\r\n\r\ndone") && strstr(a, "Connection: close"), "its answer is the last");
	(void)close(idle_fd);
	(void)close(fd);
	edge_turn(&edge, 10);
	gone = 0;
	edge_stop(&edge);
	is_int(gone, 1, "closing tells a handler that its client is gone");
	(void)close(last);
}

int main(void)
{
	struct http_options o = options();

	edge_start(&edge, &o);
	plain();
	http10();
	facts();
	cors();
	unix_peer();
	bodies();
	blanks();
	in_pieces();
	pipelined();
	deep_pipeline();
	odd_but_good();
	half_closed_pipeline();
	refusals();
	nul_in_head();
	large_heads();
	large_chunked();
	gate_first();
	slow_senders();
	idle();
	hang_ups();
	streams();
	slow_reader();
	large_answer();
	files();
	two_hundred();
	too_many();
	no_descriptors();
	many_bodies();
	drain_and_close();
	return done_testing();
}
