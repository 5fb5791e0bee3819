/*
 * Resource limits, setrlimit(2), between the process that makes sandboxes and what runs in them.
 *
 * They are inherited, and without CAP_SYS_RESOURCE over the host no hard limit can be raised: pid 1 of a sandbox, which
 * has no capability outside, can only lower what its maker had. So the maker raises its own first, once, to what
 * sandboxes need (a table); and the child takes a set of its own before it executes cubit-init, so that what a shell or
 * a unit happened to set is not found inside.
 */
#pragma once

#include <stddef.h>

struct error;

/*
 * Raise the limits of this process to what sandboxes need. Once, before the first sandbox.
 * Returns 0, or -EPERM when a hard limit is too low and may not be raised: err names the limit and the ways out.
 * Kernel: getrlimit(2), capabilities(7).
 */
int rlimits_prepare(struct error *err);

/*
 * In words, without changing anything: what rlimits_prepare() would refuse (returns -EPERM, `ret` has its sentence), or
 * what it would have to leave lower than is wise (returns 1, `ret` lists it), or neither (0). ret is then a summary.
 */
int rlimits_look(char *ret, size_t size);

/*
 * In the child between clone3 and exec: take the limits of a sandbox. Only system calls. Nothing is raised above the
 * maker's. Returns 0 or -1 with errno.
 */
int rlimits_shed(void);
