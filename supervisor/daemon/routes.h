/*
 * The routes of this daemon: those of the native API (front/) and of the doors of other services (doors/), one table that
 * main hands to the front. It is here because the daemon alone knows both. Data; the handlers run in the front.
 *
 * Runs in: front.
 */
#pragma once

#include "supervisor/http/http.h"

extern const struct http_route daemon_routes[];
extern const char daemon_openapi[]; /* openapi.json: the document without its paths, for openapi_document() */
