/*
 * The time of day, for what people and records of other machines compare. Deadlines and durations are clock.h's.
 * Pure but for the clock; runs anywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970, UTC: CLOCK_REALTIME, clock_gettime(2). It may jump. */
uint64_t time_now_ms(void);

/* "2026-01-31T12:00:00.123Z" of milliseconds since 1970; ret at least 25 bytes. */
void time_text(uint64_t ms, char *ret, size_t bytes);
