/* Names of images to what they stand for, and the versions of runtimes in them: see pool_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/config.h"
#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/text.h"
#include "supervisor/pool/pool_impl.h"

enum { CONFIG_MAX = 4 << 20 };

uint64_t pool_backoff_ns(unsigned failures)
{
	uint64_t ms = POOL_RETRY_MIN_MS;

	for (; failures > 1 && ms < POOL_RETRY_MAX_MS; failures--)
		ms *= 2;
	return (ms < POOL_RETRY_MAX_MS ? ms : POOL_RETRY_MAX_MS) * NS_PER_MS;
}

struct pool_image *pool_image_find(struct pool *p, const char *name)
{
	struct pool_image *i = p->images;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	if (i)
		return i;
	i = alloc_zeroed(1, sizeof(*i));
	if (text_copy(i->name, sizeof(i->name), name) < 0) {
		free(i);
		return NULL;
	}
	i->pool = p;
	i->next = p->images;
	p->images = i;
	return i;
}

/* The configuration is the image maker's word: hostile data. */
static int read_config(int fd, struct image_config **ret, struct error *err)
{
	cleanup_buf struct buf text = BUF_BOUNDED(CONFIG_MAX + 1);
	int r = fd_read_all(fd, CONFIG_MAX, &text, err);

	return r < 0 ? r : image_config_parse(buf_str(&text), text.size, ret, err);
}

static const struct pool_manifest *know(struct pool *p, const struct monitor_image *m, int config_fd, struct error *err)
{
	struct pool_manifest *k = p->manifests;

	while (k && strcmp(k->manifest, m->manifest) != 0)
		k = k->next;
	if (k)
		return k;
	k = alloc_zeroed(1, sizeof(*k));
	if (text_copy(k->manifest, sizeof(k->manifest), m->manifest) < 0)
		(void)error_set(err, EPROTO, "a digest that is too long");
	else
		(void)read_config(config_fd, &k->config, err);
	if (!k->config) {
		free(k);
		return NULL;
	}
	k->next = p->manifests;
	p->manifests = k;
	return k;
}

static void on_image(const struct error *e, const struct monitor_image *m, int *config_fd, void *arg)
{
	struct pool_image *i = arg;
	struct pool *p = i->pool;
	const struct pool_manifest *now = NULL;
	struct error err = ERROR_INIT;

	i->is_asked = false;
	if (p->is_freed) {
		pool_answered(p);
		return;
	}
	pool_answered(p);
	i->asked_ns = clock_now_ns();
	if (!e)
		now = know(p, m, *config_fd, &err);
	if (now) {
		i->now = now;
		i->failures = 0;
	} else {
		i->failure = e ? *e : err;
		i->failures++;
		i->retry_ns = i->asked_ns + pool_backoff_ns(i->failures);
		if (i->retry_ns > i->asked_ns + POOL_IMAGE_ABSENT_S * NS_PER_S)
			i->retry_ns =
				i->asked_ns + POOL_IMAGE_ABSENT_S * NS_PER_S; /* somebody may be about to make it */
		if (i->failure.code == ENOENT || i->failure.code == EIO)
			i->now = NULL; /* taken away, or in part; what already stands ready may be used up */
	}
	pool_image_known(i, now ? NULL : &i->failure);
}

void pool_image_ask(struct pool_image *i)
{
	struct pool *p = i->pool;

	if (i->is_asked)
		return;
	if (monitor_resolve_image(p->monitor, i->name, on_image, i) < 0)
		return; /* too much is waiting there: the next turn asks again */
	i->is_asked = true;
	p->n_pending++;
}

struct pool_version *pool_version_find(struct pool *p, const struct runtime_def *runtime,
				       const struct pool_manifest *manifest)
{
	struct pool_version *v = p->versions;

	while (v && (v->manifest != manifest || strcmp(v->runtime, runtime->name) != 0))
		v = v->next;
	if (v)
		return v;
	v = alloc_zeroed(1, sizeof(*v));
	if (text_copy(v->runtime, sizeof(v->runtime), runtime->name) < 0) {
		free(v);
		return NULL;
	}
	v->manifest = manifest;
	v->next = p->versions;
	p->versions = v;
	return v;
}

void pool_images_free(struct pool *p)
{
	while (p->images) {
		struct pool_image *i = p->images;

		p->images = i->next;
		free(i);
	}
	while (p->versions) {
		struct pool_version *v = p->versions;

		p->versions = v->next;
		free(v);
	}
	while (p->manifests) {
		struct pool_manifest *m = p->manifests;

		p->manifests = m->next;
		image_config_free(m->config);
		free(m);
	}
}
