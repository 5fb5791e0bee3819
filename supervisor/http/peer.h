/*
 * Who is at the other end: the address of a TCP peer or the credentials of a unix one, and whose word about a third
 * party is believed.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;

enum { PEER_TEXT_BYTES = INET6_ADDRSTRLEN + 1, PEER_PREFIXES_MAX = 64 };

struct peer {
	bool is_unix;
	uid_t uid; /* unix only */
	pid_t pid;
	struct in6_addr address; /* TCP only; IPv4 as ::ffff:a.b.c.d */
};

struct peer_prefixes {
	size_t n;
	struct peer_prefix {
		struct in6_addr address;
		unsigned bits; /* of 128 */
	} list[PEER_PREFIXES_MAX];
};

/* text: addresses or "address/bits", blank separated; NULL is none. Returns 0, -EINVAL or -ENOSPC with err. */
int peer_prefixes_parse(const char *text, struct peer_prefixes *ret, struct error *err);
bool peer_prefixes_hold(const struct peer_prefixes *p, const struct in6_addr *address);

/* Of a connected socket: getpeername(2) or SO_PEERCRED. Returns 0 or -errno. */
int peer_of_socket(int fd, struct peer *ret);

/*
 * The address that limits and audit go by. forwarded: X-Forwarded-For or NULL; it counts only when the peer itself is a
 * trusted proxy: then the right-most address in it that is not one. A hop that is no address ends the search: what
 * stands left of it is anybody's invention.
 */
void peer_text(const struct peer *p, const struct peer_prefixes *trusted, const char *forwarded,
	       char ret[PEER_TEXT_BYTES]);

/* Does the trusted proxies' word lead to an address in these prefixes? Not when there is no word, or no such proxy. */
bool peer_forwarded_is_in(const struct peer *p, const struct peer_prefixes *trusted, const char *forwarded,
			  const struct peer_prefixes *in);
