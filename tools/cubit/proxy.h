/*
 * Which HTTP proxy the environment names for a host: https_proxy or all_proxy, unless no_proxy excepts it. As libcurl
 * reads these variables, so that all requests of a command go the same way.
 *
 * Only for https: a key in clear text does not pass through a proxy.
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>

#include "tools/cubit/url.h"

struct error;

/*
 * host  as in a URL, an IPv6 address in brackets or not
 * ret   untouched when there is none; its port is set
 * Returns 1 through *ret, 0 none, or -EINVAL: a variable names something that is not an HTTP proxy.
 */
int proxy_find(const char *host, struct url *ret, struct error *err);

/* Whether a list as no_proxy has it names the host: "*", names and what is below them, addresses, prefixes. */
bool proxy_is_excepted(const char *list, const char *host);
