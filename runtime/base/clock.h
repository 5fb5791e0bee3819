/*
 * Time as the rest of the tree uses it: CLOCK_MONOTONIC in nanoseconds, deadlines absolute.
 *
 * Runs anywhere, also in cubit-init.
 */
#pragma once

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* "never", as a deadline */
#define CLOCK_NEVER UINT64_MAX

/* Now; cannot fail. */
uint64_t clock_now_ns(void);

/* Now + delta, saturating at CLOCK_NEVER. */
uint64_t clock_deadline_ns(uint64_t delta_ns);

/* Milliseconds until a deadline, rounded up, for poll(2): 0 when it has passed, -1 for CLOCK_NEVER. */
int clock_poll_ms(uint64_t deadline_ns);
