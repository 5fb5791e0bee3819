/*
 * Can this kernel do the networking that sandboxes need? Found out by doing it.
 *
 * Each probe forks a child that makes itself a user and a network namespace, does the real thing there and exits: links
 * and rules vanish with the namespace, the caller and the host are as before. (The kernel may have loaded a module.)
 *
 * Return 0, or -errno with err saying what could not be done: -EPERM or -ENOSPC when not even the namespaces can be
 * made, -EOPNOTSUPP when a kind of link is missing, -EIO when the child died without a word.
 *
 * Runs in: doctor; a program with one thread. Blocks for the milliseconds it takes. Needs no privilege where user
 * namespaces are allowed to everybody.
 */
#pragma once

struct error;

/* A bridge; a veth pair, its host end a port of the bridge from birth, its peer born in another network namespace. */
int netsetup_probe_veth(struct error *err);

/* A table, a chain hooked into postrouting and a masquerade rule, in one transaction of libnftables. */
int netsetup_probe_nftables(struct error *err);
