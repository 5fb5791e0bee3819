/* The parts of the HTTP edge that need no socket: targets, routes, bodies, heads, peers. */
#include <arpa/inet.h>
#include <errno.h>

#include "runtime/base/error.h"
#include "supervisor/http/arena.h"
#include "supervisor/http/body.h"
#include "supervisor/http/http.h"
#include "supervisor/http/peer.h"
#include "supervisor/http/request.h"
#include "supervisor/http/route.h"
#include "supervisor/http/uri.h"
#include "tests/tap.h"

static struct arena memory;

static int parse(const char *target, struct uri *u)
{
	const char *why = NULL;

	arena_reset(&memory);
	return uri_parse(&memory, target, strlen(target), u, &why);
}

static void targets(void)
{
	static const struct {
		const char *target, *path;
		size_t n_segments, n_query;
	} rows[] = {
		{ "/", "/", 1, 0 },
		{ "/a", "/a", 1, 0 },
		{ "/a/", "/a/", 2, 0 },
		{ "//", "//", 2, 0 },
		{ "/a%2fb/c", "/a/b/c", 2, 0 },
		{ "/%e2%82%ac", "/\xe2\x82\xac", 1, 0 },
		{ "/a+b", "/a+b", 1, 0 },
		{ "/?", "/", 1, 0 },
		{ "/?a", "/", 1, 1 },
		{ "/?a=1&&b=2&", "/", 1, 2 },
		{ "http://h", "/", 1, 0 },
		{ "http://h?x=1", "/", 1, 1 },
		{ "https://h:1/a?b", "/a", 1, 1 },
		{ "/...", "/...", 1, 0 },
		{ "/..a/b..", "/..a/b..", 2, 0 },
	};
	static const char *const bad[] = { "",        "a",        "*",           "/%",  "/%1",    "/%g1",
					   "/%1g",    "/%00",     "/.",          "/..", "/a/..",  "/../a",
					   "/a/./b",  "/%2e.",    "/a%2f..%2fb", "/#",  "/a#b?c", "/?%0",
					   "/?a=%zz", "ftp://h/", "http:/a" };
	struct uri u;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = parse(rows[i].target, &u);

		ok(r == 0 && strcmp(u.path, rows[i].path) == 0 && u.n_segments == rows[i].n_segments &&
			   u.n_query == rows[i].n_query,
		   "'%s' is '%s'", rows[i].target, rows[i].path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(parse(bad[i], &u), -EINVAL, "'%s' is refused", bad[i]);
	need(parse("/a?x=1%26+2&y&=z", &u) == 0, "a query");
	is_str(u.query[0].value, "1& 2", "is decoded after it was taken apart");
	is_str(u.query[1].value, "", "may have no value");
	is_str(u.query[2].name, "", "or no name");
}

static void nothing(struct http_request *rq)
{
	(void)rq;
}

static void table(void)
{
	static const struct http_route rows[] = {
		{ .method = "GET", .path = "/files/{path...}", .handle = nothing },
		{ .method = "GET", .path = "/jobs/{id}", .handle = nothing },
		{ .method = "DELETE", .path = "/jobs/{id}", .handle = nothing },
		{ .method = "POST", .path = "/jobs/import", .handle = nothing },
		{ .method = "GET", .path = "/jobs/stats", .handle = nothing },
		{ .method = "ANY", .path = "/ports/{port}/{rest...}", .handle = nothing },
		{ .method = "GET", .path = "/ports/{port}/own", .handle = nothing },
		{ .method = "POST", .path = "/build/", .handle = nothing },
		{ .method = "GET", .path = "/", .handle = nothing },
		{ 0 },
	};
	static const struct {
		const char *method, *path;
		int row; /* -1: none */
		const char *allow;
	} asks[] = {
		{ "GET", "/", 8, NULL },
		{ "GET", "/jobs/7", 1, NULL },
		{ "HEAD", "/jobs/7", 1, NULL },
		{ "GET", "/jobs/stats", 4, NULL },
		{ "DELETE", "/jobs/stats", 2, NULL },
		{ "POST", "/jobs/import", 3, NULL },
		{ "GET", "/jobs/import", 1, NULL },
		{ "PUT", "/jobs/7", -1, "GET, HEAD, DELETE, OPTIONS" },
		{ "PUT", "/jobs/import", -1, "POST, GET, HEAD, DELETE, OPTIONS" },
		{ "GET", "/jobs/", -1, "" },
		{ "GET", "/jobs", -1, "" },
		{ "GET", "/jobs/7/8", -1, "" },
		{ "GET", "/files/a/b", 0, NULL },
		{ "GET", "/files/", 0, NULL },
		{ "GET", "/files", -1, "" },
		{ "PATCH", "/ports/80/x/y", 5, NULL },
		{ "GET", "/ports/80/own", 6, NULL },
		{ "POST", "/ports/80/own", 5, NULL },
		{ "POST", "/build/", 7, NULL },
		{ "POST", "/build", -1, "" },
		{ "GET", "/JOBS/7", -1, "" },
	};
	struct routes *r = routes_new(rows);
	char allow[ROUTES_ALLOW_BYTES];
	const struct route_match *m;
	struct uri u;

	need(r, "a table");
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		need(parse(asks[i].path, &u) == 0, "a path");
		m = routes_match(r, asks[i].method, &u, allow);
		ok((m ? (int)(m->row - rows) : -1) == asks[i].row && (m || strcmp(allow, asks[i].allow) == 0),
		   "%s %s: row %d", asks[i].method, asks[i].path, asks[i].row);
	}
	need(parse("/files/a/b%2fc//d", &u) == 0 && (m = routes_match(r, "GET", &u, allow)), "a path with a rest");
	is_str(route_param(m, &u, "path"), "a/b/c//d", "which is all of it, decoded");
	ok(!route_param(m, &u, "id"), "another parameter is not there");
	need(parse("/ports/80/", &u) == 0 && (m = routes_match(r, "GET", &u, allow)), "an empty rest");
	is_str(route_param(m, &u, "rest"), "", "is empty");
	is_str(route_param(m, &u, "port"), "80", "beside a segment");
	routes_free(r);
}

/* A body fed in steps of `step` bytes; content in out. Returns bytes used or -1. */
static int read_body(struct body_reader b, const char *text, size_t size, size_t step, char *out)
{
	size_t at = 0, n_out = 0;

	while (at < size && !body_is_complete(&b)) {
		const char *piece;
		size_t n;
		ptrdiff_t used = body_next(&b, text + at, size - at < step ? size - at : step, &piece, &n);

		if (used < 0)
			return -1;
		memcpy(out + n_out, piece, n);
		n_out += n;
		at += (size_t)used;
	}
	out[n_out] = '\0';
	return body_is_complete(&b) ? (int)at : -2;
}

static void bodies(void)
{
	static const struct {
		const char *text;
		int used; /* -1: refused, -2: not the end */
		const char *content;
	} rows[] = {
		{ "0\r\n\r\nX", 5, "" },
		{ "3\r\nabc\r\n0\r\n\r\nGET", 13, "abc" },
		{ "3;a=b\r\nabc\r\n00\r\n\r\n", 18, "abc" },
		{ "3 \r\nabc\r\n0\r\n\r\n", 14, "abc" },
		{ "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\nT: x\r\nU: y\r\n\r\n", 47, "01234567890123456789" },
		{ "3\r\nabc\r\n0\r\n", -2, "abc" },
		{ "3\nabc\r\n0\r\n\r\n", -1, "" },
		{ "3\r\nabc\n0\r\n\r\n", -1, "" },
		{ "3\r\nabc\r\n0\n\r\n", -1, "" },
		{ "3\r\nabc\r\n0\r\n\n", -1, "" },
		{ "\r\nabc", -1, "" },
		{ ";\r\n", -1, "" },
		{ "x\r\n", -1, "" },
		{ "123456789\r\n", -1, "" },
		{ "0\r\nT: \001\r\n\r\n", -1, "" },
	};
	char out[256], large[16384];
	struct body_reader b;

	for (size_t step = 1; step <= 64; step *= 8) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			body_begin_chunked(&b);
			ok(read_body(b, rows[i].text, strlen(rows[i].text), step, out) == rows[i].used &&
				   (rows[i].used == -1 || strcmp(out, rows[i].content) == 0),
			   "chunks, row %zu in steps of %zu", i, step);
		}
		body_begin_sized(&b, 5);
		ok(read_body(b, "helloGET", 8, step, out) == 5 && strcmp(out, "hello") == 0, "a length in steps of %zu",
		   step);
	}
	body_begin_sized(&b, 0);
	ok(body_is_complete(&b), "no length is complete");
	body_begin_chunked(&b);
	memset(large, 'x', sizeof(large));
	memcpy(large, "1;", 2);
	is_int(read_body(b, large, 400, 64, out), -1, "a long extension is refused");
	memcpy(large, "0\r\n", 3);
	is_int(read_body(b, large, sizeof(large), 64, out), -1, "so are long trailers");
}

static void heads(void)
{
	static const struct {
		const char *text;
		int size; /* 0: incomplete, -1: refused */
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18 },
		{ "GET / HTTP/1.1\r\nA: b\r\n\r\nbody", 24 },
		{ "GET / HTTP/1.1\r\nA: b\r\n", 0 },
		{ "GET / HTTP/1.1\r\nA: b\r\n\r", 0 },
		{ "GET / HTTP/1.1\r\nA:\tb\r\n\r\n", 24 },
		{ "GET / HTTP/1.1\r\nA: \xff\r\n\r\n", 24 },
		{ "GET / HTTP/1.1\n\n", -1 },
		{ "GET / HTTP/1.1\r\n\n", -1 },
		{ "GET / HTTP/1.1\r\nA: b\r c\r\n\r\n", -1 },
		{ "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", -1 },
		{ "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", -1 },
		{ "GET / HTTP/1.1\r\nA: \x7f\r\n\r\n", -1 },
		{ "\tGET / HTTP/1.1\r\n\r\n", -1 },
		{ "\nGET / HTTP/1.1\r\n\r\n", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t scanned = 0, n = strlen(rows[i].text), k = 0;
		ptrdiff_t whole = request_scan_head(rows[i].text, n, &scanned), pieces = 0;

		scanned = 0;
		while (pieces == 0 && k < n)
			pieces = request_scan_head(rows[i].text, ++k, &scanned);
		ok((rows[i].size < 0 ? whole < 0 : whole == rows[i].size) && pieces == whole,
		   "a head, row %zu: whole and byte by byte the same", i);
	}
}

static void peers(void)
{
	static const struct {
		const char *address, *trusted, *forwarded, *seen;
	} rows[] = {
		{ "192.0.2.1", "", "9.9.9.9", "192.0.2.1" },
		{ "192.0.2.1", "192.0.2.1", NULL, "192.0.2.1" },
		{ "192.0.2.1", "192.0.2.1", "9.9.9.9", "9.9.9.9" },
		{ "192.0.2.1", "192.0.2.0/24", "1.1.1.1, 9.9.9.9", "9.9.9.9" },
		{ "192.0.2.1", "192.0.2.0/24 9.9.9.9", "1.1.1.1, 9.9.9.9", "1.1.1.1" },
		{ "192.0.2.1", "192.0.2.0/24", "1.1.1.1, 192.0.2.7", "1.1.1.1" },
		{ "192.0.2.1", "192.0.2.0/24", "1.1.1.1, evil, 192.0.2.7", "192.0.2.7" },
		{ "192.0.2.1", "192.0.2.0/24", "", "192.0.2.1" },
		{ "192.0.2.1", "192.0.2.0/24", ",,", "192.0.2.1" },
		{ "192.0.2.1", "192.0.2.0/24", "9.9.9.9:1234", "9.9.9.9" },
		{ "192.0.2.1", "192.0.2.0/24", "[2001:db8::1]:80", "2001:db8::1" },
		{ "192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::1" },
		{ "192.0.3.1", "192.0.2.0/24", "9.9.9.9", "192.0.3.1" },
		{ "192.0.2.129", "192.0.2.128/25", "9.9.9.9", "9.9.9.9" },
		{ "192.0.2.127", "192.0.2.128/25", "9.9.9.9", "192.0.2.127" },
		{ "2001:db8::5", "2001:db8::/32", "9.9.9.9", "9.9.9.9" },
		{ "::ffff:192.0.2.1", "192.0.2.1", "9.9.9.9", "9.9.9.9" },
		{ "192.0.2.1", "0.0.0.0/0", "1.1.1.1, 2.2.2.2", "1.1.1.1" },
	};
	static const char *const bad[] = {
		"x", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "::/129", "1.2.3.4/-1", "1.2.3.4/8x"
	};
	struct peer_prefixes p;
	struct error err = ERROR_INIT;
	char text[PEER_TEXT_BYTES];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer who = { 0 };
		struct in_addr v4;

		if (inet_pton(AF_INET, rows[i].address, &v4) == 1) {
			who.address.s6_addr[10] = who.address.s6_addr[11] = 0xff;
			memcpy(&who.address.s6_addr[12], &v4, 4);
		} else {
			need(inet_pton(AF_INET6, rows[i].address, &who.address) == 1, "an address");
		}
		need(peer_prefixes_parse(rows[i].trusted, &p, &err) == 0, "prefixes '%s'", rows[i].trusted);
		peer_text(&who, &p, rows[i].forwarded, text);
		is_str(text, rows[i].seen, "%s, trusting '%s', saying '%s'", rows[i].address, rows[i].trusted,
		       rows[i].forwarded ? rows[i].forwarded : "nothing");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ok(peer_prefixes_parse(bad[i], &p, &err) == -EINVAL || err.code == ERANGE, "'%s' is no prefix", bad[i]);
		has_str(err.text, bad[i], "and named");
	}
}

int main(void)
{
	targets();
	table();
	bodies();
	heads();
	peers();
	arena_reset(&memory);
	return done_testing();
}
