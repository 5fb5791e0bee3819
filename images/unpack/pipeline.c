/* Threads that read, inflate and hash beside the one that unpacks: see pipeline.h. */
#include "images/unpack/pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"

enum { BLOCK_BYTES = 64 << 10, BLOCKS = 24, THREADS = 2 };

struct block {
	unsigned n_refs; /* under the lock */
	bool is_input;
	size_t size;
	uint8_t *data;
};

/* Never full: it has a place for every block there is. */
struct queue {
	struct block *items[BLOCKS];
	size_t head, n;
};

struct pipeline {
	int fd;
	struct pipeline_limits limits;
	pthread_t threads[THREADS];
	struct digest_hasher *in_hash, *out_hash;
	struct inflater *inflater; /* made when the first bytes are there */

	pthread_mutex_t lock;
	/* What each thread waits for: a block in its queue, or a flag below. One waiter each, so nobody is woken for nothing. */
	pthread_cond_t is_unused, is_to_hash, is_to_caller;
	pthread_cond_t is_started; /* n_started, may_go: before the work begins */
	struct block blocks[BLOCKS];
	struct queue unused, to_hash, to_caller;
	unsigned n_started;
	bool may_go, is_input_over;
	struct error failure; /* the first one; code 0: none */

	struct block *current; /* what the caller reads */
	atomic_uint_fast64_t in_bytes;
	uint64_t out_bytes;
	enum inflate_format format;
};

/* ---- blocks and queues; the lock is held ---- */

static void put(struct queue *q, struct block *b)
{
	q->items[(q->head + q->n++) % BLOCKS] = b;
}

static struct block *get(struct queue *q)
{
	struct block *b;

	if (q->n == 0)
		return NULL;
	b = q->items[q->head];
	q->head = (q->head + 1) % BLOCKS;
	q->n--;
	return b;
}

static void release(struct pipeline *p, struct block *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&p->lock);
	if (--b->n_refs == 0) {
		put(&p->unused, b);
		pthread_cond_signal(&p->is_unused);
	}
	pthread_mutex_unlock(&p->lock);
}

/* A flag was set that ends every wait. */
static void wake_all(struct pipeline *p)
{
	pthread_cond_signal(&p->is_unused);
	pthread_cond_signal(&p->is_to_hash);
	pthread_cond_signal(&p->is_to_caller);
}

static void fail(struct pipeline *p, const struct error *err)
{
	pthread_mutex_lock(&p->lock);
	if (p->failure.code == 0)
		p->failure = *err;
	wake_all(p);
	pthread_mutex_unlock(&p->lock);
}

/* A block to fill, or NULL when somebody failed. */
static struct block *take_unused(struct pipeline *p)
{
	struct block *b;

	pthread_mutex_lock(&p->lock);
	while (!(b = get(&p->unused)) && p->failure.code == 0)
		pthread_cond_wait(&p->is_unused, &p->lock);
	if (b)
		b->n_refs = 1;
	pthread_mutex_unlock(&p->lock);
	return b;
}

/* Hand out a filled block; the caller's own reference is separate. */
static void publish(struct pipeline *p, struct block *b, bool is_input)
{
	pthread_mutex_lock(&p->lock);
	b->is_input = is_input;
	b->n_refs += is_input ? 1 : 2;
	put(&p->to_hash, b);
	pthread_cond_signal(&p->is_to_hash);
	if (!is_input) {
		put(&p->to_caller, b);
		pthread_cond_signal(&p->is_to_caller);
	}
	pthread_mutex_unlock(&p->lock);
}

static void wait_for_go(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	p->n_started++;
	pthread_cond_broadcast(&p->is_started);
	while (!p->may_go)
		pthread_cond_wait(&p->is_started, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* ---- inflate ---- */

/* Fill a block from the input as far as it goes; a pipe gives little at a time. */
static int read_block(struct pipeline *p, struct block *b, struct error *err)
{
	b->size = 0;
	while (b->size < BLOCK_BYTES) {
		ssize_t n = read(p->fd, b->data + b->size, BLOCK_BYTES - b->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "read the layer");
		if (n == 0)
			break;
		b->size += (size_t)n;
		if (atomic_fetch_add(&p->in_bytes, (uint64_t)n) + (uint64_t)n > p->limits.in_bytes)
			return error_set(err, EFBIG, "the layer has more than the %llu compressed bytes it may have",
					 (unsigned long long)p->limits.in_bytes);
		if (p->inflater == NULL && b->size >= INFLATE_SNIFF_BYTES)
			break; /* begin early */
	}
	return 0;
}

/* unused: of what was read, what is not inflated yet. */
static int check_out(struct pipeline *p, size_t more, size_t unused, struct error *err)
{
	uint64_t in = atomic_load(&p->in_bytes) - unused;

	p->out_bytes += more;
	if (p->out_bytes > p->limits.out_bytes)
		return error_set(err, EFBIG,
				 "the layer inflates to more than the %llu bytes it may have (CUBIT_LAYER_MAX)",
				 (unsigned long long)p->limits.out_bytes);
	if (p->out_bytes > p->limits.ratio_floor && p->out_bytes / p->limits.ratio > in)
		return error_set(err, EFBIG, "the layer inflates to more than %llu times its size (CUBIT_LAYER_RATIO)",
				 (unsigned long long)p->limits.ratio);
	return 0;
}

static int inflate_block(struct pipeline *p, const struct block *in, struct error *err)
{
	const uint8_t *at = in->data;
	size_t left = in->size, made = BLOCK_BYTES;

	while (left > 0 || made == BLOCK_BYTES) {
		struct block *out = take_unused(p);
		int r;

		if (!out)
			return error_set(err, ECANCELED, "somebody else failed");
		r = inflater_step(p->inflater, &at, &left, out->data, BLOCK_BYTES, &made, err);
		out->size = made;
		if (r == 0)
			r = check_out(p, made, left, err);
		if (r == 0 && made > 0)
			publish(p, out, false);
		release(p, out);
		if (r < 0)
			return r;
	}
	return 0;
}

static int inflate_all(struct pipeline *p, struct error *err)
{
	for (;;) {
		struct block *in = take_unused(p);
		int r;

		if (!in)
			return error_set(err, ECANCELED, "somebody else failed");
		r = read_block(p, in, err);
		if (r == 0 && !p->inflater) {
			p->format = inflate_sniff(in->data, in->size);
			p->inflater = inflater_new(p->format, false);
			if (!p->inflater)
				r = error_errno(err, ENOMEM, "decompressor");
		}
		if (r == 0 && in->size == 0) {
			release(p, in);
			return inflater_end(p->inflater, err);
		}
		if (r == 0) {
			if (p->in_hash)
				publish(p, in, true);
			r = inflate_block(p, in, err);
		}
		release(p, in);
		if (r < 0)
			return r;
	}
}

static void *inflate_thread(void *arg)
{
	struct pipeline *p = arg;
	struct error err = ERROR_INIT;

	wait_for_go(p);
	if (inflate_all(p, &err) < 0) {
		fail(p, &err);
		return NULL;
	}
	pthread_mutex_lock(&p->lock);
	p->is_input_over = true;
	wake_all(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- hash ---- */

/* The next block of a queue, which is_filled tells of; NULL at the end or after a failure. */
static struct block *take_from(struct pipeline *p, struct queue *q, pthread_cond_t *is_filled)
{
	struct block *b;

	pthread_mutex_lock(&p->lock);
	while (!(b = get(q)) && !p->is_input_over && p->failure.code == 0)
		pthread_cond_wait(is_filled, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return b;
}

static void *hash_thread(void *arg)
{
	struct pipeline *p = arg;
	struct block *b;

	wait_for_go(p);
	while ((b = take_from(p, &p->to_hash, &p->is_to_hash))) {
		digest_hasher_add(b->is_input ? p->in_hash : p->out_hash, b->data, b->size);
		release(p, b);
	}
	return NULL;
}

/* ---- the caller's side ---- */

int pipeline_new(int fd, const struct pipeline_limits *limits, struct pipeline **ret, struct error *err)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	bool is_made = p != NULL;

	if (p) {
		p->fd = fd;
		p->limits = *limits;
		p->in_hash = limits->skip_compressed ? NULL : digest_hasher_new();
		p->out_hash = digest_hasher_new();
		is_made = (p->in_hash || limits->skip_compressed) && p->out_hash;
		(void)pthread_mutex_init(&p->lock, NULL); /* cannot fail on Linux, neither can the next */
		(void)pthread_cond_init(&p->is_unused, NULL);
		(void)pthread_cond_init(&p->is_to_hash, NULL);
		(void)pthread_cond_init(&p->is_to_caller, NULL);
		(void)pthread_cond_init(&p->is_started, NULL);
		for (size_t i = 0; is_made && i < BLOCKS; i++) {
			p->blocks[i].data = malloc(BLOCK_BYTES);
			is_made = p->blocks[i].data != NULL;
			put(&p->unused, &p->blocks[i]);
		}
	}
	if (!is_made) {
		pipeline_free(p);
		return error_errno(err, ENOMEM, "pipeline");
	}
	*ret = p;
	return 0;
}

int pipeline_start(struct pipeline *p, struct error *err)
{
	static void *(*const bodies[THREADS])(void *) = { inflate_thread, hash_thread };

	for (size_t i = 0; i < THREADS; i++) {
		int code = pthread_create(&p->threads[i], NULL, bodies[i], p);

		if (code != 0)
			return error_errno(err, code, "make a thread");
	}
	pthread_mutex_lock(&p->lock);
	while (p->n_started < THREADS)
		pthread_cond_wait(&p->is_started, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

void pipeline_go(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	p->may_go = true;
	pthread_cond_broadcast(&p->is_started);
	pthread_mutex_unlock(&p->lock);
}

static int report_failure(struct pipeline *p, struct error *err)
{
	int code;

	pthread_mutex_lock(&p->lock);
	code = p->failure.code;
	if (code != 0 && err)
		*err = p->failure;
	pthread_mutex_unlock(&p->lock);
	return -code;
}

int pipeline_fill(void *arg, const uint8_t **data, size_t *size, struct error *err)
{
	struct pipeline *p = arg;

	release(p, p->current);
	p->current = take_from(p, &p->to_caller, &p->is_to_caller);
	if (!p->current)
		return report_failure(p, err);
	*data = p->current->data;
	*size = p->current->size;
	return 1;
}

uint64_t pipeline_in_bytes(const struct pipeline *p)
{
	return atomic_load(&p->in_bytes);
}

int pipeline_finish(struct pipeline *p, struct pipeline_result *ret, struct error *err)
{
	const uint8_t *data;
	size_t size;
	int r;

	do
		r = pipeline_fill(p, &data, &size, err);
	while (r == 1);
	if (r < 0)
		return r;
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(p->threads[i], NULL); /* ours and joinable */
	ret->compressed.text[0] = '\0';
	if (p->in_hash)
		digest_hasher_end(p->in_hash, &ret->compressed);
	digest_hasher_end(p->out_hash, &ret->diff_id);
	ret->in_bytes = pipeline_in_bytes(p);
	ret->out_bytes = p->out_bytes;
	ret->format = p->format;
	return 0;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < BLOCKS; i++)
		free(p->blocks[i].data);
	inflater_free(p->inflater);
	digest_hasher_free(p->in_hash);
	digest_hasher_free(p->out_hash);
	free(p);
}
