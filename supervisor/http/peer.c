/* Who is at the other end: see peer.h. */
#include "supervisor/http/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/error.h"
#include "runtime/base/parse.h"

static void map_v4(const struct in_addr *v4, struct in6_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
	memcpy(&ret->s6_addr[12], v4, 4);
}

/* IPv4 or IPv6, as inet_pton(3) reads them. */
static bool parse_address(const char *text, struct in6_addr *ret, bool *ret_is_v4)
{
	struct in_addr v4;

	*ret_is_v4 = inet_pton(AF_INET, text, &v4) == 1;
	if (*ret_is_v4)
		map_v4(&v4, ret);
	return *ret_is_v4 || inet_pton(AF_INET6, text, ret) == 1;
}

static int parse_prefix(const char *text, struct peer_prefix *ret, struct error *err)
{
	char address[PEER_TEXT_BYTES + 4];
	const char *slash = strchrnul(text, '/');
	uint64_t bits;
	bool is_v4;

	(void)snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text); /* cut short: no address then */
	if (!parse_address(address, &ret->address, &is_v4))
		return error_set(err, EINVAL, "'%s' is neither an address nor a prefix", text);
	bits = is_v4 ? 32 : 128;
	if (*slash && parse_u64(slash + 1, 0, bits, &bits, err) < 0)
		return error_wrap(err, "prefix '%s'", text);
	ret->bits = (unsigned)bits + (is_v4 ? 96 : 0);
	return 0;
}

int peer_prefixes_parse(const char *text, struct peer_prefixes *ret, struct error *err)
{
	ret->n = 0;
	for (const char *s = text ? text : ""; *(s += strspn(s, " \t,")); s += strcspn(s, " \t,")) {
		char word[128];
		int n = (int)strcspn(s, " \t,"), r;

		if (ret->n == PEER_PREFIXES_MAX)
			return error_set(err, ENOSPC, "more than %d prefixes", PEER_PREFIXES_MAX);
		(void)snprintf(word, sizeof(word), "%.*s", n, s); /* cut short: no address then */
		r = parse_prefix(word, &ret->list[ret->n], err);
		if (r < 0)
			return r;
		ret->n++;
	}
	return 0;
}

static bool prefix_holds(const struct peer_prefix *p, const struct in6_addr *a)
{
	unsigned bytes = p->bits / 8, rest = p->bits % 8;

	if (memcmp(&p->address, a, bytes) != 0)
		return false;
	return rest == 0 || ((p->address.s6_addr[bytes] ^ a->s6_addr[bytes]) & (0xff00u >> rest) & 0xff) == 0;
}

bool peer_prefixes_hold(const struct peer_prefixes *p, const struct in6_addr *address)
{
	for (size_t i = 0; i < p->n; i++)
		if (prefix_holds(&p->list[i], address))
			return true;
	return false;
}

int peer_of_socket(int fd, struct peer *ret)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} a = { .room = { 0 } };
	socklen_t n = sizeof(a);
	struct ucred cred;

	memset(ret, 0, sizeof(*ret));
	if (getpeername(fd, &a.any, &n) < 0)
		return -errno;
	switch (a.any.sa_family) {
	case AF_INET:
		map_v4(&a.v4.sin_addr, &ret->address);
		return 0;
	case AF_INET6:
		ret->address = a.v6.sin6_addr;
		return 0;
	case AF_UNIX:
		n = sizeof(cred);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
			return -errno;
		ret->is_unix = true;
		ret->uid = cred.uid;
		ret->pid = cred.pid;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

static void format(const struct in6_addr *a, char ret[PEER_TEXT_BYTES])
{
	if (IN6_IS_ADDR_V4MAPPED(a))
		(void)inet_ntop(AF_INET, &a->s6_addr[12], ret, PEER_TEXT_BYTES); /* it fits */
	else
		(void)inet_ntop(AF_INET6, a, ret, PEER_TEXT_BYTES);
}

/* One hop of X-Forwarded-For: "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80". */
static bool parse_hop(const char *text, size_t size, struct in6_addr *ret)
{
	char hop[PEER_TEXT_BYTES + 8], *at = hop, *end;
	bool is_v4;

	while (size > 0 && strchr(" \t", text[0]))
		text++, size--;
	while (size > 0 && strchr(" \t", text[size - 1]))
		size--;
	if (size == 0 || size >= sizeof(hop))
		return false;
	memcpy(hop, text, size);
	hop[size] = '\0';
	if (*at == '[') {
		end = strchr(++at, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		*end = '\0';
	} else if ((end = strchr(at, ':')) && !strchr(end + 1, ':')) {
		*end = '\0'; /* a single colon: IPv4 with a port */
	}
	return parse_address(at, ret, &is_v4);
}

/* Whoever the trusted proxies say. Returns how many of them were believed. */
static unsigned follow(const struct peer *p, const struct peer_prefixes *trusted, const char *forwarded,
		       struct in6_addr *ret)
{
	struct in6_addr hop;
	size_t end = forwarded ? strlen(forwarded) : 0;
	unsigned n = 0;

	*ret = p->address;
	while (end > 0 && peer_prefixes_hold(trusted, ret)) {
		size_t start = end;

		while (start > 0 && forwarded[start - 1] != ',')
			start--;
		if (!parse_hop(forwarded + start, end - start, &hop))
			break;
		*ret = hop;
		end = start > 0 ? start - 1 : 0;
		n++;
	}
	return n;
}

void peer_text(const struct peer *p, const struct peer_prefixes *trusted, const char *forwarded,
	       char ret[PEER_TEXT_BYTES])
{
	struct in6_addr seen;

	if (p->is_unix) {
		(void)snprintf(ret, PEER_TEXT_BYTES, "unix:%u", (unsigned)p->uid);
		return;
	}
	(void)follow(p, trusted, forwarded, &seen);
	format(&seen, ret);
}

bool peer_forwarded_is_in(const struct peer *p, const struct peer_prefixes *trusted, const char *forwarded,
			  const struct peer_prefixes *in)
{
	struct in6_addr seen;

	return !p->is_unix && follow(p, trusted, forwarded, &seen) > 0 && peer_prefixes_hold(in, &seen);
}
