/*
 * Where a Redis server is and who we are to it, out of one URL:
 *
 *   redis://[user:password@]host[:port][/database]     rediss://... with TLS      unix://[user:password@]/path[?db=N]
 *
 * User, password and path may be percent-encoded. ":password@" is the default user's. Pure.
 *
 * Runs in: front.
 */
#pragma once

#include <stdbool.h>

struct error;

struct redis_url {
	bool is_tls;
	char *host; /* without the brackets of an IPv6 address; NULL: path */
	char port[6];
	char *path;            /* of a unix socket, or NULL */
	char *user, *password; /* "" when there is none */
	char database[11];     /* decimal; "0" unless said */
};

/*
 * ret: redis_url_done(), also after a failure.
 * Returns 0, -EINVAL with err saying which part is wrong without quoting any of the text, or -ENOMEM.
 */
int redis_url_parse(const char *text, struct redis_url *ret, struct error *err);
void redis_url_done(struct redis_url *u);
