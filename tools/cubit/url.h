/*
 * The address of a service, as settings have it: scheme://[[user]:password@]host[:port][/path].
 *
 * It holds a password, so no message here ever quotes the text it was made from.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdint.h>

struct error;

struct url {
	char scheme[16];
	char user[128]; /* percent-decoded, as the password is; "" when not given */
	char password[256];
	char host[256]; /* an IPv6 address without its brackets */
	uint16_t port;  /* 0 when not given */
	char path[256]; /* with its first slash; "" when not given; up to '?' or '#' */
};

/* Returns 0, or -EINVAL with err saying which part is wrong. *ret is untouched on failure. */
int url_parse(const char *text, struct url *ret, struct error *err);
