/* The description of the API is the route table's: every route, its parameters, bodies, answers, rights. */
#include "supervisor/http/openapi.h"

#include "supervisor/http/http.h"
#include "tests/tap.h"

static void nothing(struct http_request *rq)
{
	(void)rq;
}

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/healthz", .handle = nothing, .summary = "alive?", .status = 200 },
	{ .method = "POST",
	  .path = "/v1/jobs",
	  .scope = 1,
	  .handle = nothing,
	  .summary = "queue",
	  .body = "Job",
	  .answer = "Result",
	  .status = 202,
	  .also = "200 Job; 409 Result" },
	{ .method = "GET", .path = "/metrics", .handle = nothing, .answer = "text/plain" },
	{ .method = "GET", .path = "/none", .handle = nothing, .status = 405, .flags = HTTP_ROUTE_DOOR },
	{ .method = "GET",
	  .path = "/v1/jobs",
	  .scope = 1,
	  .handle = nothing,
	  .summary = "list",
	  .answer = "Result",
	  .parameters = "limit integer: how many; cursor string: where to go on: as the last page said" },
	{ .method = "GET",
	  .path = "/v1/jobs/{id}/events",
	  .scope = 3,
	  .handle = nothing,
	  .flags = HTTP_ROUTE_STREAM,
	  .answer = "Result" },
	{ .method = "GET",
	  .path = "/v1/jobs/{id}/stream",
	  .scope = 1,
	  .handle = nothing,
	  .flags = HTTP_ROUTE_WS,
	  .status = 101 },
	{ .method = "ANY", .path = "/ports/{port}/{path...}", .handle = nothing },
	{ 0 },
};

static const char frame[] =
	"{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Cubit\"},\"paths\":{},\"components\":{\"schemas\":{"
	"\"Job\":{\"type\":\"object\"},\"Result\":{\"type\":\"object\"},\"Error\":{\"type\":\"object\"}}}}";
static const char *const scopes[] = { "run", "cubes", NULL };

/* The value at a path of keys and indexes, as JSON text; "" when there is none. Valid until the next call. */
static const char *at(json_t *doc, const char *const *keys)
{
	static char text[4096];
	char *dumped;

	for (; *keys && doc; keys++)
		doc = json_is_array(doc) ? json_array_get(doc, (size_t)atoi(*keys)) : json_object_get(doc, *keys);
	dumped = doc ? json_dumps(doc, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
	(void)snprintf(text, sizeof(text), "%s", dumped ? dumped : "");
	free(dumped);
	return text;
}

#define AT(...) at(doc, (const char *const[]){ __VA_ARGS__, NULL })

int main(void)
{
	json_t *doc = openapi_document(routes, frame, scopes, "1.2.3");

	need(doc, "a document");
	is_str(AT("openapi"), "\"3.1.0\"", "of OpenAPI 3.1");
	is_str(AT("info", "version"), "\"1.2.3\"", "with our version");
	is_int(json_object_size(json_object_get(doc, "paths")), 7, "every path is in it");
	is_str(AT("paths", "/healthz", "get", "security"), "[]", "what everybody may needs no key");
	is_str(AT("paths", "/v1/jobs", "post", "security"), "[{\"bearer\":[\"run\"]},{\"key\":[\"run\"]}]",
	       "other things do");
	is_str(AT("paths", "/v1/jobs/{id}/events", "get", "security", "0"), "{\"bearer\":[\"run\",\"cubes\"]}",
	       "with the names of the rights");
	is_str(AT("paths", "/v1/jobs", "post", "requestBody", "content", "application/json", "schema"),
	       "{\"$ref\":\"#/components/schemas/Job\"}", "a body has a schema");
	is_str(AT("paths", "/v1/jobs", "post", "responses", "202", "content", "application/json", "schema"),
	       "{\"$ref\":\"#/components/schemas/Result\"}", "and so has an answer");
	is_str(AT("paths", "/v1/jobs", "get", "operationId"), "\"getV1Jobs\"",
	       "two methods of one path are two operations");
	is_str(AT("paths", "/v1/jobs", "get", "parameters", "0"),
	       "{\"description\":\"how many\",\"in\":\"query\",\"name\":\"limit\",\"schema\":{\"type\":\"integer\"}}",
	       "a query parameter is described");
	is_str(AT("paths", "/v1/jobs", "get", "parameters", "1", "description"),
	       "\"where to go on: as the last page said\"", "colons in its words are words");
	is_str(AT("paths", "/v1/jobs/{id}/events", "get", "parameters", "0"),
	       "{\"in\":\"path\",\"name\":\"id\",\"required\":true,\"schema\":{\"type\":\"string\"}}",
	       "so is one of the path");
	has_str(AT("paths", "/v1/jobs/{id}/events", "get", "responses", "200", "content"), "text/event-stream",
		"a stream is described");
	has_str(AT("paths", "/v1/jobs/{id}/stream", "get", "responses", "101"), "WebSocket", "and a WebSocket");
	has_str(AT("paths", "/ports/{port}/{path}", "delete", "parameters", "1"), "the rest of the path",
		"any method and the rest of a path");
	is_str(AT("paths", "/healthz", "get", "responses", "default"), "{\"$ref\":\"#/components/responses/Error\"}",
	       "every operation may fail");
	is_str(AT("paths", "/healthz", "get", "responses", "4XX"), "{\"$ref\":\"#/components/responses/Error\"}",
	       "also for a reason of the client's");
	is_str(AT("paths", "/metrics", "get", "responses", "200", "content"),
	       "{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}", "an answer that is no JSON has its media type");
	is_str(AT("paths", "/v1/jobs", "post", "responses", "200", "content", "application/json", "schema"),
	       "{\"$ref\":\"#/components/schemas/Job\"}", "one that has two answers has both");
	has_str(AT("paths", "/v1/jobs", "post", "responses", "409", "content"), "Result", "or more");
	is_str(AT("paths", "/none", "get", "responses", "405"), "", "what never succeeds has no success");
	is_str(AT("paths", "/v1/jobs", "post", "tags"), "[\"jobs\"]", "an operation is about what stands behind /v1");
	is_str(AT("paths", "/healthz", "get", "tags"), "[\"node\"]", "or about the node");
	is_str(AT("paths", "/none", "get", "tags"), "[\"doors\"]", "or of another service");
	has_str(AT("components", "schemas", "Error"), "object", "what the frame says stays");
	json_decref(doc);
	return done_testing();
}
