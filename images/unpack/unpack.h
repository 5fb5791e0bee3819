/*
 * Unpack one layer archive into one directory, in a confined worker: no network, chrooted there, five capabilities, a
 * seccomp filter, resource limits. gzip, zstd or plain tar, told by its first bytes. What it makes of an archive is
 * written in images/unpack/writer.h, how it reads one in tar.h.
 *
 * Runs in: monitor, the cubit command (root). unpack_layer and unpack_end block until the worker is done: seconds for
 * large layers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"

struct error;

/* What a stranger's archive may cost. Zero in a field means the default, given here. */
struct unpack_budget {
	uint64_t in_bytes;     /* compressed: 16 GiB */
	uint64_t out_bytes;    /* inflated, and files at their logical size: 32 GiB */
	uint64_t ratio;        /* inflated : compressed, once ... : 1000 */
	uint64_t ratio_floor;  /* ... that much was inflated: 64 MiB */
	uint64_t entries;      /* with the parents they need: 1,000,000 */
	uint64_t path_bytes;   /* of one path; at most and by default 4096 */
	uint64_t xattr_entry;  /* bytes of names and values of one entry: 64 KiB */
	uint64_t xattr_bytes;  /* of the layer: 64 MiB */
	uint64_t wall_ms;      /* 30 minutes; a slow download may be the input */
	uint64_t memory_bytes; /* address space of the worker: 1 GiB */
};

struct unpack_progress {
	uint64_t in_bytes, total_bytes; /* total: as the caller said, 0 unknown */
	uint64_t entries;
};

struct unpack_spec {
	const char *worker; /* the program; NULL: cubit-worker beside ours */
	int input_fd; /* borrowed; the archive, read from where it is to its end. A file, or a pipe that is still filled */
	int dir_fd;           /* borrowed; an empty directory of ours (store_layer_begin) */
	uint64_t total_bytes; /* for progress only */
	struct unpack_budget budget;
	const struct digest *compressed, *diff_id; /* what they must be; NULL: not known, look at the result */
	bool skip_compressed; /* its digest was verified before, and need not be computed: a sixth of the work */
	int cancel_fd;        /* borrowed; readable means stop. 0: none (descriptor 0 cannot be used for this) */
	/*
	 * A directory that shows the layers below, merged, read-only, with nothing above its root; owned by the caller of it. Called
	 * within unpack_end, at most once, when the layer turns out to need it. NULL: this is the lowest layer.
	 */
	int (*below)(void *arg, struct error *err);
	void *below_arg;
	void (*progress)(const struct unpack_progress *p, void *arg); /* NULL: not wanted; about ten a second */
	void *progress_arg;
};

struct unpack_result {
	struct digest diff_id;    /* of the uncompressed stream, to its very end */
	struct digest compressed; /* of what was read; empty with skip_compressed */
	uint64_t in_bytes, out_bytes, file_bytes;
	uint64_t entries, parents; /* in the archive; made because it left them out */
	uint64_t xattrs_dropped, devices_skipped;
	uint64_t depends; /* 1: over other layers it would be another tree */
	uint64_t format;  /* enum inflate_format */
};

/*
 * Returns 0, or -errno with err naming the entry and the budget: -EPERM an entry is refused; -EFBIG a budget was passed;
 * -EBADMSG the archive is damaged, or not the one whose digest was given; -ENOTSUP a kind of entry nobody knows;
 * -ETIMEDOUT; -ECANCELED; -EPROTO the worker died or made no sense; else the host (-ENOSPC, ...).
 * After a failure the directory holds rubbish: the caller gives it up (store_layer_abandon).
 */
int unpack_layer(const struct unpack_spec *spec, struct unpack_result *ret, struct error *err);

/*
 * The same in two parts, so that there is something else to do, or another layer, while the worker works. Until unpack_end
 * nobody listens to it: progress gets lost, and it waits at its end. input_fd
 * is borrowed only until unpack_begin returns, everything else in spec until the end.
 */
struct unpack_job; /* opaque */
int unpack_begin(const struct unpack_spec *spec, struct unpack_job **ret, struct error *err);
int unpack_end(struct unpack_job *j, struct unpack_result *ret, struct error *err); /* frees j */
void unpack_cancel(struct unpack_job *j); /* kills the worker, frees j; NULL is nothing */
