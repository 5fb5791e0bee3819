/*
 * What would the kernel answer? Runs a classic BPF program on a system call as seccomp(2) does, without the kernel.
 * An instruction that the kernel refuses in a seccomp filter is refused here, when it is reached.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct seccomp_data;
struct sock_filter;

/*
 * program    n instructions
 * call       the call: nr, arch, instruction_pointer, args[6]
 * ret        SECCOMP_RET_* with data
 * ret_steps  instructions executed; may be NULL
 *
 * Returns 0, or -EINVAL with err naming the instruction that the kernel would have refused. Programs only jump
 * forward, so this ends after at most n steps.
 */
int policy_simulate(const struct sock_filter *program, size_t n, const struct seccomp_data *call, uint32_t *ret,
		    unsigned *ret_steps, struct error *err);
