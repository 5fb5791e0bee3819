/* From a blob to an unpacked layer: see unpack_layer.h. */
#include "images/unpack_layer.h"

#include <stddef.h>
#include <stdlib.h>

#include "images/manifest.h"
#include "images/store.h"
#include "images/unpack/unpack.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

struct relay {
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};

static void on_progress(const struct unpack_progress *p, void *arg)
{
	const struct relay *r = arg;

	if (r->progress && p->in_bytes <= p->total_bytes)
		r->progress(p->in_bytes, p->total_bytes, r->arg);
}

int unpack_blob(struct store *s, const struct descriptor *d, const struct digest *diff_id, int dir_fd,
		void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg, struct error *err)
{
	struct relay relay = { progress, arg };
	const char *worker = secure_getenv("CUBIT_WORKER");
	cleanup_fd int blob = store_blob_open(s, &d->digest, err);
	struct unpack_spec spec = {
		.worker = worker && *worker ? worker : NULL,
		.input_fd = blob,
		.dir_fd = dir_fd,
		.total_bytes = d->size,
		.compressed = &d->digest,
		.diff_id = diff_id,
		.progress = on_progress,
		.progress_arg = &relay,
	};
	struct unpack_result result;

	return blob < 0 ? blob : unpack_layer(&spec, &result, err);
}
