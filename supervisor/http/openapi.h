/* /openapi.json, generated from the route table: what is served is what is described. Pure; runs anywhere. */
#pragma once

#include <jansson.h>

struct http_route;

/*
 * frame    JSON text of a document whose info.version and paths are filled in, with components.schemas, the schemas that
 *          the routes name, and components.responses.Error; borrowed. A route that names a schema that is not there is a
 *          broken invariant (assert).
 * scopes   names of scope bits, lowest first, NULL-terminated
 * Owned; NULL when out of memory. OpenAPI 3.1: paths, path and query parameters, bodies, answers, the common error,
 * security, WebSocket routes marked by a 101; tags are the segment behind /v1/, "node" outside, "doors" for others'.
 */
json_t *openapi_document(const struct http_route *routes, const char *frame, const char *const *scopes,
			 const char *version);
