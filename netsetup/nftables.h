/*
 * Rules by libnftables, in its own language: the one place that wraps it.
 *
 * Runs in: monitor, doctor. Blocks until the kernel has answered. Acts on the caller's network namespace.
 */
#pragma once

struct error;

/*
 * Run commands ("add table ip x; ...") as one transaction: all of them take effect, or none.
 *
 * Returns 0, or -errno: libnftables gives words and no code, so it is errno as the library left it, EINVAL without one;
 * err has the first line of those words. The text is ours: never put a stranger's string into it.
 */
int nftables_run(const char *commands, struct error *err);
