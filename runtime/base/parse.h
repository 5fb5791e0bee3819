/*
 * Strict parsers for what people type and files say. The whole string must be the value: no blanks, no sign where
 * none makes sense, no trailing text, no wrap-around. All return 0, -EINVAL (not of that form) or -ERANGE (outside
 * [min, max] or the type) with err saying what was expected; *ret is untouched on failure.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;

/* Decimal digits, or 0x and hexadecimal ones. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err);

/* An optional '-' and decimal digits. */
int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct error *err);

/* Bytes: "4096", "64K", "64M", "2G", "1T" (powers of 1024), with an optional B or iB: "64MiB". */
int parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err);

/* A time in nanoseconds from "500ns", "20us", "250ms", "5s", "2m", "1h"; a bare number is an error: units are said. */
int parse_duration_ns(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err);

/* Thousandths from a decimal fraction: "1.5" is 1500. At most three digits after the point. For CPUs. */
int parse_milli(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *err);

/* yes/no, true/false, on/off, 1/0. */
int parse_bool(const char *text, bool *ret, struct error *err);

/*
 * An id as we make and accept them: 1-64 of A-Z a-z 0-9 '-' '_' '.', starting with a letter or digit. Safe as one
 * path component and as a cgroup name; ".." cannot be formed.
 */
int parse_id(const char *text, struct error *err);
