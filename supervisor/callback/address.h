/*
 * Which addresses a service that acts on a stranger's word may connect to: public ones, and those the operator listed.
 *
 * Judged is the address itself, as it goes into connect(2): how a name or an odd spelling came to stand for it plays no
 * part, so there is nothing to rebind or to disguise. A form of IPv6 that carries an IPv4 address (mapped, NAT64, 6to4)
 * is judged by both.
 *
 * Runs in: front. Does not block.
 */
#pragma once

#include <stdbool.h>

struct address_list;
struct error;
struct sockaddr;

/*
 * Prefixes separated by blanks or commas: "10.0.0.0/8 fd00::/8 192.0.2.7".
 * ret  owned: address_list_free(); never NULL after success, also for "".
 * Returns 0, -EINVAL naming the one that is none.
 */
int address_list_parse(const char *text, struct address_list **ret, struct error *err);
void address_list_free(struct address_list *list);
bool address_list_has(const struct address_list *list, const struct sockaddr *address);

/*
 * Why not to connect there, "a loopback address", or NULL when it is fine: a public address that is not this machine's,
 * or one in `allowed` (may be NULL). What is not an internet address is refused.
 */
const char *address_refusal(const struct sockaddr *address, const struct address_list *allowed);
