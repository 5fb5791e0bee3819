/*
 * What compilers made, kept so that the same source is compiled once. Content-addressed: the key is a digest of every
 * input (job_artefact.c), and the files carry a digest of their own, so what a crash left half-written is not there.
 *
 *   artefacts/KEY   one file each, below the front's own directory; written beside and renamed
 *
 * Bounded in blocks of the disk; what was not used the longest time goes first: of the owner whose new one needs the room,
 * while that has more than a quarter, so that nobody empties it for the others. The most recently used are held in memory
 * as well, bounded by what the allocator gives for them, in the same way.
 *
 * Runs in: front, on the loop. Large files are read and all are written by libuv's worker threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct artefacts;
struct error;

enum {
	ARTEFACT_BYTES_MAX = 32 << 20, /* of one, all its files */
	ARTEFACT_FILES_MAX = 256,
	ARTEFACT_KEY_MAX = 64,
	ARTEFACT_OWNER_MAX = 65,
};

struct artefact_file {
	char *path; /* relative to /work; owned */
	uint32_t mode;
	char *data; /* owned */
	size_t size;
};

/* Counted: several jobs may write it into their sandboxes at once. Not changed any more once it was put or got. */
struct artefact {
	unsigned references;
	struct artefact_file *files;
	size_t n_files;
	size_t bytes;
};

struct artefact *artefact_new(void);
struct artefact *artefact_ref(struct artefact *a);
void artefact_unref(struct artefact *a); /* NULL does nothing */
/* data: taken in any case. -E2BIG too many or too large. */
int artefact_add(struct artefact *a, const char *path, uint32_t mode, char *data, size_t size);
/* The content of one that was added without: taken, and cut to its size. */
void artefact_set(struct artefact *a, size_t i, char *data, size_t size);
uint64_t artefact_memory(const struct artefact *a); /* what it takes, with what the allocator adds */

/*
 * state_fd   borrowed directory of ours
 * max_bytes  of all files together
 */
int artefacts_open(uv_loop_t *loop, int state_fd, uint64_t max_bytes, struct artefacts **ret, struct error *err);
void artefacts_free(struct artefacts *c); /* what is still being written is finished by the loop */

/*
 * a: owned by the callback's side, NULL when there is none. The callback comes once, from inside the call when nothing
 * has to be waited for.
 */
typedef void artefacts_found_fn(struct artefact *a, void *arg);
void artefacts_get(struct artefacts *c, const char *key, artefacts_found_fn *fn, void *arg);

/*
 * Keep it. Borrowed. owner: of the job it was made for, who is part of the key. A failure is logged: a cache that does not
 * keep is no cache, but nothing is lost.
 */
void artefacts_put(struct artefacts *c, const char *key, struct artefact *a, const char *owner);

struct artefacts_counts {
	uint64_t files, bytes, hits, misses; /* bytes: blocks on the disk */
	uint64_t held_bytes;                 /* in memory, as of the last one that was held */
};
void artefacts_counts(const struct artefacts *c, struct artefacts_counts *ret);
