/*
 * Which connections are taken. Before anybody has signed in the owner of a connection is its peer: an IPv4 address, the
 * /64 of an IPv6 one, the uid at the other end of a unix socket. Each may hold its share (supervisor/share.h). When
 * nothing is free, the oldest idle connection of the greediest peer goes; root's never goes, and
 * root on the unix socket has a reserve.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>

struct http_server;
struct peer;

/* May it have one more? May close another one for it. */
bool admit_peer(struct http_server *s, const struct peer *peer);
