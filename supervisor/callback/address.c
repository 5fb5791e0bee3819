/* Public addresses and others: see address.h. The registry of special ones: RFC 6890 and what IANA added since. */
#include "supervisor/callback/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"

enum { TOKEN_MAX = 64, LIST_MAX = 256 };

/* Every address as 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison does for all. */
struct prefix {
	uint8_t bytes[16];
	unsigned bits;
};

struct address_list {
	size_t n;
	struct prefix prefixes[];
};

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* clang-format off */
static const struct special {
	const char *prefix, *what;
} specials[] = {
	{ "0.0.0.0/8",       "an unspecified address" },
	{ "10.0.0.0/8",      "a private address" },
	{ "100.64.0.0/10",   "a private address" },       /* of carriers; some clouds have their metadata here */
	{ "127.0.0.0/8",     "a loopback address" },
	{ "169.254.0.0/16",  "a link-local address" },    /* 169.254.169.254: metadata */
	{ "172.16.0.0/12",   "a private address" },
	{ "192.0.0.0/24",    "a reserved address" },      /* 192.0.0.192: metadata */
	{ "192.0.2.0/24",    "a reserved address" },
	{ "192.88.99.0/24",  "a reserved address" },
	{ "192.168.0.0/16",  "a private address" },
	{ "198.18.0.0/15",   "a reserved address" },
	{ "198.51.100.0/24", "a reserved address" },
	{ "203.0.113.0/24",  "a reserved address" },
	{ "224.0.0.0/4",     "a multicast address" },
	{ "240.0.0.0/4",     "a reserved address" },      /* and broadcast */
	{ "::/128",          "an unspecified address" },
	{ "::1/128",         "a loopback address" },
	{ "::/96",           "a reserved address" },      /* "compatible" with IPv4, long given up */
	{ "fe80::/10",       "a link-local address" },
	{ "fc00::/7",        "a private address" },       /* unique local; fd00:ec2::254: metadata */
	{ "ff00::/8",        "a multicast address" },
	{ "2001::/23",       "a reserved address" },      /* Teredo, ORCHID and other protocols' */
	{ "2001:db8::/32",   "a reserved address" },
	{ "3fff::/20",       "a reserved address" },
};

/* Where an IPv4 address stands in an IPv6 one. */
static const struct carrier {
	const char *prefix;
	unsigned at;
} carriers[] = {
	{ "64:ff9b::/96",  12 }, /* NAT64 */
	{ "2002::/16",     2 },  /* 6to4 */
};
/* clang-format on */

static bool to_bytes(const struct sockaddr *address, uint8_t ret[16])
{
	if (address->sa_family == AF_INET) {
		memcpy(ret, mapped, sizeof(mapped));
		memcpy(ret + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
		return true;
	}
	if (address->sa_family == AF_INET6) {
		memcpy(ret, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
		return true;
	}
	return false;
}

static bool is_within(const struct prefix *p, const uint8_t bytes[16])
{
	unsigned whole = p->bits / 8, rest = p->bits % 8;

	return memcmp(p->bytes, bytes, whole) == 0 &&
	       (rest == 0 || ((p->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

/* "10.0.0.0/8", "fd00::1" */
static int parse_prefix(const char *text, struct prefix *ret, struct error *err)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	bool is_v6 = memchr(text, ':', n) != NULL;
	struct prefix p = { .bits = 128 };
	char host[TOKEN_MAX];
	uint64_t bits;

	if (n >= sizeof(host))
		return error_set(err, EINVAL, "'%s' is not an address or prefix", text);
	memcpy(host, text, n);
	host[n] = '\0';
	if (!is_v6)
		memcpy(p.bytes, mapped, sizeof(mapped));
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, host, is_v6 ? p.bytes : p.bytes + 12) != 1)
		return error_set(err, EINVAL, "'%s' is not an address or prefix", text);
	if (slash) {
		if (parse_u64(slash + 1, 0, is_v6 ? 128 : 32, &bits, NULL) < 0)
			return error_set(err, EINVAL, "'%s': the length of the prefix is not 0 to %d", text,
					 is_v6 ? 128 : 32);
		p.bits = (unsigned)bits + (is_v6 ? 0 : 96);
	}
	*ret = p;
	return 0;
}

int address_list_parse(const char *text, struct address_list **ret, struct error *err)
{
	static const char blanks[] = " \t\n,";
	struct address_list *list = alloc_zeroed(1, sizeof(*list) + LIST_MAX * sizeof(list->prefixes[0]));

	for (const char *at = text + strspn(text, blanks); *at; at += strspn(at, blanks)) {
		size_t n = strcspn(at, blanks);
		char token[TOKEN_MAX];
		int r;

		(void)snprintf(token, sizeof(token), "%.*s", (int)n, at); /* one that was cut is none */
		if (list->n == LIST_MAX)
			r = error_set(err, E2BIG, "more than %d prefixes", LIST_MAX);
		else
			r = parse_prefix(token, &list->prefixes[list->n++], err);
		if (r < 0) {
			free(list);
			return r;
		}
		at += n;
	}
	*ret = list;
	return 0;
}

void address_list_free(struct address_list *list)
{
	free(list);
}

bool address_list_has(const struct address_list *list, const struct sockaddr *address)
{
	uint8_t bytes[16];

	if (!list || !to_bytes(address, bytes))
		return false;
	for (size_t i = 0; i < list->n; i++) {
		if (is_within(&list->prefixes[i], bytes))
			return true;
	}
	return false;
}

static const char *special_of(const uint8_t bytes[16])
{
	bool is_v4 = memcmp(bytes, mapped, sizeof(mapped)) == 0;
	struct prefix p;

	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
		if (parse_prefix(specials[i].prefix, &p, NULL) == 0 && is_within(&p, bytes))
			return specials[i].what;
	}
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
		uint8_t inner[16];

		if (parse_prefix(carriers[i].prefix, &p, NULL) < 0 || !is_within(&p, bytes))
			continue;
		memcpy(inner, mapped, sizeof(mapped));
		memcpy(inner + 12, bytes + carriers[i].at, 4);
		return special_of(inner); /* once: a mapped address is within no carrier */
	}
	/* the rest of what is not handed out: IPv6 addresses of the internet are 2000::/3 */
	return is_v4 || bytes[0] >> 5 == 1 ? NULL : "a reserved address";
}

/* ---- this machine ---- */

static bool can_bind(const struct sockaddr *address)
{
	struct sockaddr_storage a = { .ss_family = address->sa_family };
	socklen_t size = address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	cleanup_fd int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&a, address, size);
	if (a.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&a)->sin_port = 0;
	else
		((struct sockaddr_in6 *)(void *)&a)->sin6_port = 0;
	return fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0;
}

/*
 * An address can be bound exactly when it is ours, ip(7); unless ip_nonlocal_bind says that any can, which a try with
 * one that is nobody's tells. Then this question stays open: routing such an address to another machine is what that
 * setting is for.
 */
static bool is_ours(const struct sockaddr *address)
{
	static const struct sockaddr_in6 nobody6 = {
		.sin6_family = AF_INET6,
		.sin6_addr = { .s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, /* 2001:db8::1 */
	};
	struct sockaddr_in nobody4 = { .sin_family = AF_INET, .sin_addr = { htonl(0xc0000201) } }; /* 192.0.2.1 */

	return can_bind(address) &&
	       !can_bind(address->sa_family == AF_INET ? (const struct sockaddr *)(const void *)&nobody4
						       : (const struct sockaddr *)(const void *)&nobody6);
}

const char *address_refusal(const struct sockaddr *address, const struct address_list *allowed)
{
	uint8_t bytes[16];
	const char *what;

	if (!to_bytes(address, bytes))
		return "not an internet address";
	if (address_list_has(allowed, address))
		return NULL;
	what = special_of(bytes);
	return what ? what : is_ours(address) ? "an address of this machine" : NULL;
}
