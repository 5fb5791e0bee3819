/* /openapi.json, generated from the route table: what is served is what is described. */
#pragma once

#include <jansson.h>

struct http_route;

/*
 * schemas  JSON text of an object, name -> JSON schema; borrowed. A route that names a schema that is not there is a
 *          broken invariant (assert).
 * scopes   names of scope bits, lowest first, NULL-terminated
 * Owned; NULL when out of memory. OpenAPI 3.1: paths, path and query parameters, bodies, answers, the common error,
 * security (bearer, X-API-Key), WebSocket routes marked by a 101.
 */
json_t *openapi_document(const struct http_route *routes, const char *schemas, const char *const *scopes,
			 const char *version);
