/*
 * What a compiled filter was made from, in one number: the profile's text, the sources of this compiler and the version
 * of libseccomp. A filter that was kept carries its stamp, and whoever finds it compares: another stamp means that
 * compiling now might give another program.
 *
 * It tells apart what changed by itself. It is no protection against somebody who forges a filter and its stamp.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A digest of policies/'s sources, in hexadecimal; the Makefile writes it. */
extern const char policy_compiler_id[];

/* A hash of 64 bits, not a cryptographic one. h: 0, or the hash of what comes before. */
uint64_t policy_hash(uint64_t h, const void *data, size_t size);

uint64_t policy_stamp(const char *text, size_t size);
