/* From a blob to an unpacked layer: see unpack_layer.h. */
#include "images/whole/unpack_layer.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "images/manifest.h"
#include "images/store/store.h"
#include "images/unpack/unpack.h"
#include "images/whole/below.h"
#include "images/whole/image.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

struct layer_unpacking {
	struct unpack_job *job;
	struct store *store;
	struct layer_spec spec;
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};

static void on_progress(const struct unpack_progress *p, void *arg)
{
	const struct layer_unpacking *u = arg;

	if (u->progress && p->in_bytes <= p->total_bytes)
		u->progress(p->in_bytes, p->total_bytes, u->arg);
}

static int open_below(void *arg, struct error *err)
{
	const struct layer_unpacking *u = arg;

	return below_open(u->store, u->spec.below, u->spec.n_below, err);
}

int layer_unpack_begin(struct store *s, const struct layer_spec *spec, struct layer_unpacking **ret, struct error *err)
{
	const char *worker = secure_getenv("CUBIT_WORKER");
	cleanup_fd int blob = store_blob_open(s, &spec->blob->digest, err);
	struct layer_unpacking *u;
	int r;

	if (blob < 0)
		return blob;
	u = calloc(1, sizeof(*u));
	if (!u)
		return error_set(err, ENOMEM, "out of memory");
	*u = (struct layer_unpacking){ .store = s, .spec = *spec };
	r = unpack_begin(
		&(struct unpack_spec){
			.worker = worker && *worker ? worker : NULL,
			.input_fd = blob, /* the worker has its own from here on */
			.dir_fd = spec->dir_fd,
			.total_bytes = spec->blob->size,
			.budget = { .out_bytes = spec->options->layer_max,
				    .ratio = spec->options->layer_ratio,
				    .ratio_floor = LAYER_RATIO_FROM },
			.skip_compressed = true, /* store_blob_begin: what is in the store was verified */
			.diff_id = spec->diff_id,
			.below = spec->n_below > 0 ? open_below : NULL,
			.below_arg = u,
			.progress = on_progress,
			.progress_arg = u,
		},
		&u->job, err);
	if (r < 0)
		free(u);
	else
		*ret = u;
	return r;
}

int layer_unpack_end(struct layer_unpacking *u, void (*progress)(uint64_t done, uint64_t total, void *arg), void *arg,
		     struct unpack_result *ret, struct error *err)
{
	int r;

	u->progress = progress;
	u->arg = arg;
	r = unpack_end(u->job, ret, err);
	free(u);
	return r;
}

void layer_unpack_cancel(struct layer_unpacking *u)
{
	if (!u)
		return;
	unpack_cancel(u->job);
	free(u);
}
