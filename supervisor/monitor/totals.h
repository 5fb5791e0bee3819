/*
 * What all sandboxes of a node may have together, whatever the front asks for. Each number is the most that an honest
 * front needs under these settings; one that was taken over gets no more than that.
 *
 * Runs in: monitor.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct settings;

struct totals {
	size_t sandboxes;       /* those that are not being removed */
	uint64_t memory_bytes;  /* sum of their limits */
	uint32_t ptys;          /* terminals of each: their part of what the kernel does not keep for the host */
	uint64_t journal_bytes; /* of all journals that somebody still holds open */
	uint64_t unused_ns;     /* how long a sandbox may stand without a STAGE */
	uint64_t life_ns;       /* from its first STAGE to its end, however many follow */
	int journals;           /* a mount of that size, for totals_journal(); -1: none yet */
};

#define TOTALS_INIT                                                                                                    \
	{                                                                                                              \
		.journals = -1                                                                                         \
	}

/* The numbers alone. machine_bytes: memory of this machine; machine_ptys: terminals for others than the host itself. */
void totals_of(const struct settings *s, uint64_t machine_bytes, uint64_t machine_ptys, struct totals *ret);

/* The numbers, and the room for journals. Returns 0 with ret owned (totals_done), or -errno. */
int totals_open(const struct settings *s, struct totals *ret, struct error *err);
void totals_done(struct totals *t);

/*
 * An empty file without a name, whose content counts against journal_bytes until nobody holds it open (then the writer
 * meets ENOSPC). Never run as a program. Returns an owned descriptor or -errno.
 */
int totals_journal(const struct totals *t, struct error *err);
