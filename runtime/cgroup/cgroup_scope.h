/*
 * A control group of one's own for a command that somebody typed. On pure cgroup v2 a login session's group has the
 * shell in it, so it hands no controllers down (cgroups(7), "no internal processes"): a command there cannot limit a
 * sandbox. systemd gives each that asks a *scope*, a group made for it, with Delegate=yes ours to divide.
 *
 * Runs in: cubit-sandbox, cubit. Never in the daemon, which has a unit. Kernel: cgroups(7); systemd-run(1).
 */
#pragma once

/*
 * Execute this program again in a scope, with the same arguments, descriptors and terminal, when that is what it takes:
 * as root, where systemd runs, and our own group cannot be used. Otherwise, also when systemd refuses, returns: whoever
 * opens the groups next says what is wrong.
 */
void cgroup_scope_enter(void);
