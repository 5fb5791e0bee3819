/*
 * The confinement of the unpack worker, in the order of its steps:
 *
 *   confine_process   before the threads: new network and IPC namespaces, chroot into the layer, resource limits, the five
 *                     capabilities that writing a tree needs (chown, dac_override, fowner, fsetid, setfcap),
 *                     no_new_privs. What comes later inherits it.
 *   confine_calls     once the threads run: a seccomp filter on all of them. No program, process, socket or device can be
 *                     made, no mapping be executable; anything unforeseen ends the process.
 *
 * Runs in: cubit-worker unpack. Kernel: capabilities(7), seccomp(2), chroot(2).
 */
#pragma once

#include <stdint.h>

struct error;

struct confine_limits {
	uint64_t file_bytes, memory_bytes, cpu_s;
};

int confine_process(int dir_fd, const struct confine_limits *limits, struct error *err);
int confine_calls(struct error *err);
