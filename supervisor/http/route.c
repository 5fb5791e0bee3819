/* The route table: see route.h. */
#include "supervisor/http/route.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "supervisor/http/http.h"
#include "supervisor/http/uri.h"

struct routes {
	size_t n;
	struct route_match list[];
};

bool route_next_segment(const char **path, struct route_segment *ret)
{
	const char *s = *path, *end;
	size_t size;

	if (*s != '/')
		return false;
	s++;
	end = strchrnul(s, '/');
	*path = end;
	size = (size_t)(end - s);
	ret->kind = ROUTE_LITERAL;
	if (size > 2 && s[0] == '{' && s[size - 1] == '}') {
		s++;
		size -= 2;
		ret->kind = ROUTE_ONE;
		if (size > 3 && memcmp(s + size - 3, "...", 3) == 0) {
			size -= 3;
			ret->kind = ROUTE_REST;
			assert(!*end); /* the rest is the last */
		}
	}
	assert(size < sizeof(ret->text));
	memcpy(ret->text, s, size);
	ret->text[size] = '\0';
	ret->size = size;
	return true;
}

static void compile(const struct http_route *row, struct route_match *ret)
{
	const char *path = row->path;
	struct route_segment s;

	assert(path && path[0] == '/' && row->handle);
	ret->row = row;
	ret->n_segments = 0;
	while (route_next_segment(&path, &s)) {
		assert(ret->n_segments < ROUTE_SEGMENTS_MAX);
		ret->segments[ret->n_segments++] = s;
	}
}

static int by_exactness(const void *pa, const void *pb)
{
	const struct route_match *a = pa, *b = pb;
	size_t n = a->n_segments < b->n_segments ? a->n_segments : b->n_segments;
	int order;

	for (size_t i = 0; i < n; i++) {
		if (a->segments[i].kind != b->segments[i].kind)
			return a->segments[i].kind < b->segments[i].kind ? -1 : 1;
		order = a->segments[i].kind == ROUTE_LITERAL ? strcmp(a->segments[i].text, b->segments[i].text) : 0;
		if (order != 0)
			return order;
	}
	if (a->n_segments != b->n_segments)
		return a->n_segments > b->n_segments ? -1 : 1;
	/* ANY after what names its method; otherwise as the table has them */
	order = (strcmp(a->row->method, "ANY") == 0) - (strcmp(b->row->method, "ANY") == 0);
	return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

struct routes *routes_new(const struct http_route *rows)
{
	struct routes *r;
	size_t n = 0;

	while (rows[n].method)
		n++;
	r = alloc_bytes(sizeof(*r) + n * sizeof(r->list[0]));
	r->n = n;
	for (size_t i = 0; i < n; i++)
		compile(&rows[i], &r->list[i]);
	qsort(r->list, n, sizeof(r->list[0]), by_exactness);
	return r;
}

void routes_free(struct routes *r)
{
	free(r);
}

static bool path_matches(const struct route_match *m, const struct uri *uri)
{
	bool has_rest = m->n_segments > 0 && m->segments[m->n_segments - 1].kind == ROUTE_REST;

	if (has_rest ? uri->n_segments < m->n_segments : uri->n_segments != m->n_segments)
		return false;
	for (size_t i = 0; i < m->n_segments; i++) {
		const struct route_segment *s = &m->segments[i];

		if (s->kind == ROUTE_LITERAL && strcmp(s->text, uri->segments[i]) != 0)
			return false;
		if (s->kind == ROUTE_ONE && !uri->segments[i][0])
			return false;
	}
	return true;
}

static void allow_add(char allow[ROUTES_ALLOW_BYTES], const char *method)
{
	size_t n = strlen(allow);

	if (!strstr(allow, method)) /* no method's name is part of another's */
		(void)snprintf(allow + n, ROUTES_ALLOW_BYTES - n, "%s%s", n ? ", " : "", method);
}

const struct route_match *routes_match(const struct routes *r, const char *method, const struct uri *uri,
				       char allow[ROUTES_ALLOW_BYTES])
{
	const char *served = strcmp(method, "HEAD") == 0 ? "GET" : method;

	allow[0] = '\0';
	for (size_t i = 0; i < r->n; i++) {
		const struct route_match *m = &r->list[i];

		if (!path_matches(m, uri))
			continue;
		if (strcmp(m->row->method, served) == 0 || strcmp(m->row->method, method) == 0 ||
		    strcmp(m->row->method, "ANY") == 0)
			return m;
		allow_add(allow, m->row->method);
		if (strcmp(m->row->method, "GET") == 0)
			allow_add(allow, "HEAD");
	}
	if (allow[0])
		allow_add(allow, "OPTIONS");
	return NULL;
}

const char *route_param(const struct route_match *m, const struct uri *uri, const char *name)
{
	for (size_t i = 0; i < m->n_segments; i++) {
		if (m->segments[i].kind == ROUTE_LITERAL || strcmp(m->segments[i].text, name) != 0)
			continue;
		return m->segments[i].kind == ROUTE_ONE ? uri->segments[i] : uri->path + uri->offsets[i];
	}
	return NULL;
}
