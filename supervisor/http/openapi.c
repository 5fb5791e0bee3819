/* /openapi.json from the route table: see openapi.h. */
#include "supervisor/http/openapi.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "supervisor/http/http.h"
#include "supervisor/http/route.h"

/* jansson takes what it is given in the _new calls, and complains when that is NULL: out of memory goes up as NULL. */

static json_t *reference(const json_t *schemas, const char *name)
{
	assert(json_object_get(schemas, name)); /* a route names a schema that is not there */
	return json_pack("{s:s+}", "$ref", "#/components/schemas/", name);
}

/* "/v1/jobs/{id}/files/{path...}" as OpenAPI writes it, and its parameters. */
static int describe_path(const char *path, struct buf *ret_path, json_t *parameters)
{
	struct route_segment s;
	int r = 0;

	while (r == 0 && route_next_segment(&path, &s)) {
		r = buf_printf(ret_path, s.kind == ROUTE_LITERAL ? "/%s" : "/{%s}", s.text);
		if (r < 0 || s.kind == ROUTE_LITERAL)
			continue;
		r = json_array_append_new(
			parameters,
			json_pack("{s:s, s:s, s:b, s:{s:s}, s:s*}", "name", s.text, "in", "path", "required", 1,
				  "schema", "type", "string", "description",
				  s.kind == ROUTE_REST ? "the rest of the path; it may contain '/'" : NULL));
	}
	return r;
}

/* One of "name type: text"; a description of the table's is a broken invariant when it is not of this form. */
static json_t *query_parameter(const char *text, size_t size)
{
	char copy[256], *type, *words;

	assert(size < sizeof(copy));
	memcpy(copy, text, size);
	copy[size] = '\0';
	type = strchr(copy, ' ');
	assert(type);
	*type++ = '\0';
	words = strchr(type, ':');
	assert(words);
	*words++ = '\0';
	return json_pack("{s:s, s:s, s:{s:s}, s:s}", "name", copy, "in", "query", "schema", "type", type, "description",
			 words + strspn(words, " "));
}

static int describe_query(const char *text, json_t *parameters)
{
	int r = 0;

	for (const char *s = text ? text : ""; r == 0 && *(s += strspn(s, "; ")); s += strcspn(s, ";"))
		r = json_array_append_new(parameters, query_parameter(s, strcspn(s, ";")));
	return r;
}

/* "get" and "/v1/jobs/{id}" make "getV1JobsId". */
static json_t *operation_id(const char *method, const char *path)
{
	char id[256];
	size_t n = 0;

	for (; *method && n < sizeof(id) - 1; method++)
		id[n++] = *method;
	for (bool is_start = true; *path && n < sizeof(id) - 1; path++) {
		if (isalnum((unsigned char)*path))
			id[n++] = (char)(is_start ? toupper((unsigned char)*path) : *path);
		is_start = !isalnum((unsigned char)*path);
	}
	return json_stringn(id, n);
}

static bool is_media_type(const char *answer)
{
	return strchr(answer, '/');
}

/* What an answer carries: a schema by its name, or text of a media type. */
static json_t *content(const char *answer, bool is_stream, const json_t *schemas)
{
	json_t *schema, *r;

	if (is_media_type(answer))
		return json_pack("{s:{s:{s:s}}}", answer, "schema", "type", "string");
	schema = reference(schemas, answer);
	if (is_stream)
		r = json_pack("{s:{s:O}, s:{s:O}}", "text/event-stream", "schema", schema, "application/x-ndjson",
			      "schema", schema);
	else
		r = json_pack("{s:{s:O}}", "application/json", "schema", schema);
	json_decref(schema);
	return r;
}

/* answer: NULL for none. */
static int add_response(json_t *all, const char *status, const char *words, const char *answer, bool is_stream,
			const json_t *schemas)
{
	json_t *response = json_pack("{s:s}", "description", words);

	if (response && answer && json_object_set_new(response, "content", content(answer, is_stream, schemas)) < 0) {
		json_decref(response);
		return -ENOMEM;
	}
	return json_object_set_new(all, status, response) < 0 ? -ENOMEM : 0;
}

static int add_success(json_t *all, const struct http_route *route, const json_t *schemas)
{
	bool is_stream = route->flags & HTTP_ROUTE_STREAM;
	char status[16];

	if (route->flags & HTTP_ROUTE_WS)
		return add_response(all, "101", "a WebSocket", NULL, false, schemas);
	/* there is no success */
	if (route->status >= 400)
		return 0;
	(void)snprintf(status, sizeof(status), "%d", route->status ? route->status : 200); /* it fits */
	return add_response(all, status, is_stream ? "events as they happen" : "done", route->answer, is_stream,
			    schemas);
}

/* Some of "202 Accepted; 4XX OtherError". */
static int add_others(json_t *all, const struct http_route *route, const json_t *schemas)
{
	char status[4], answer[32];
	int used, r = 0;

	for (const char *s = route->also ? route->also : ""; r == 0 && *s; s += used + strspn(s + used, "; ")) {
		bool is_one = sscanf(s, "%3s %31[A-Za-z]%n", status, answer, &used) == 2;

		assert(is_one); /* the table is ours */
		(void)is_one;
		r = add_response(all, status, status[0] == '2' ? "done, in another way" : "not done", answer, false,
				 schemas);
	}
	return r;
}

static json_t *responses(const struct http_route *route, const json_t *schemas)
{
	json_t *all = json_pack("{s:{s:s}, s:{s:s}}", "4XX", "$ref", "#/components/responses/Error", "default", "$ref",
				"#/components/responses/Error");

	if (all && add_success(all, route, schemas) == 0 && add_others(all, route, schemas) == 0)
		return all;
	json_decref(all);
	return NULL;
}

/* Any of two ways to show a key, and the right it needs; nothing when everybody may. */
static json_t *security(unsigned scope, const char *const *scopes, json_t **ret_names)
{
	json_t *names = json_array();

	for (unsigned i = 0; scopes[i]; i++)
		if (scope & (1U << i) && json_array_append_new(names, json_string(scopes[i])) < 0) {
			json_decref(names);
			names = NULL;
		}
	*ret_names = names;
	return scope ? json_pack("[{s:O}, {s:O}]", "bearer", names, "key", names) : json_array();
}

/* "/v1/jobs/{id}" is about jobs; what stands outside is about the node itself. */
static json_t *tag(const struct http_route *route)
{
	static const char native[] = "/v1/";
	const char *path = route->path;

	if (route->flags & HTTP_ROUTE_DOOR)
		return json_string("doors");
	if (strncmp(path, native, sizeof(native) - 1) != 0)
		return json_string("node");
	path += sizeof(native) - 1;
	return json_stringn(path, strcspn(path, "/"));
}

static json_t *operation(const struct http_route *route, const char *method, const char *path, json_t *parameters,
			 const json_t *schemas, const char *const *scopes)
{
	json_t *names, *rights = security(route->scope, scopes, &names), *op;

	op = json_pack("{s:o, s:[o], s:s, s:O, s:o, s:o}", "operationId", operation_id(method, path), "tags",
		       tag(route), "summary", route->summary ? route->summary : "", "parameters", parameters,
		       "responses", responses(route, schemas), "security", rights);
	json_decref(names);
	if (op && route->body &&
	    json_object_set_new(op, "requestBody",
				json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json", "schema",
					  reference(schemas, route->body))) < 0) {
		json_decref(op);
		return NULL;
	}
	return op;
}

static int add_operation(json_t *paths, const struct http_route *route, const char *method, const char *path,
			 json_t *parameters, const json_t *schemas, const char *const *scopes)
{
	json_t *item = json_object_get(paths, path);
	char lower[16];
	size_t n = 0;

	for (; n < sizeof(lower) - 1 && method[n]; n++)
		lower[n] = (char)tolower((unsigned char)method[n]);
	lower[n] = '\0';
	if (!item && json_object_set_new(paths, path, item = json_object()) < 0)
		return -ENOMEM;
	return json_object_set_new(item, lower, operation(route, lower, path, parameters, schemas, scopes));
}

static int add_route(json_t *paths, const struct http_route *route, const json_t *schemas, const char *const *scopes)
{
	static const char *const every[] = { "GET", "POST", "PUT", "PATCH", "DELETE", NULL };
	const char *one[] = { route->method, NULL };
	const char *const *methods = strcmp(route->method, "ANY") == 0 ? every : one;
	json_t *parameters = json_array();
	cleanup_buf struct buf path = BUF_INIT;
	int r = describe_path(route->path, &path, parameters);

	if (r == 0)
		r = describe_query(route->parameters, parameters);
	for (; r == 0 && *methods; methods++)
		r = add_operation(paths, route, *methods, buf_str(&path), parameters, schemas, scopes);
	json_decref(parameters);
	return r;
}

json_t *openapi_document(const struct http_route *routes, const char *frame, const char *const *scopes,
			 const char *version)
{
	json_t *document = json_loads(frame, 0, NULL), *info = json_object_get(document, "info"),
	       *paths = json_object_get(document, "paths"),
	       *schemas = json_object_get(json_object_get(document, "components"), "schemas");
	int r;

	assert(info && paths && schemas); /* the text is ours */
	r = json_object_set_new(info, "version", json_string(version));
	for (; r == 0 && routes->method; routes++)
		r = add_route(paths, routes, schemas, scopes);
	if (r == 0)
		return document;
	json_decref(document);
	return NULL;
}
