/*
 * Fuzz target: manifests, indexes and configurations. The first byte says which; the rest is the document. What is
 * accepted must keep its promises: bounds, valid digests, and a manifest that is written again reads as the same.
 */
#include "images/manifest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "images/config.h"
#include "images/platform.h"
#include "images/user.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void image(const char *text, size_t size, const char *type)
{
	struct buf again = BUF_INIT;
	struct manifest *m = NULL, *m2 = NULL;
	struct error err = ERROR_INIT;
	struct digest copy;

	if (manifest_parse(text, size, type, &m, &err) < 0) {
		assert(!m && err.code);
		return;
	}
	assert(m->n_layers <= MANIFEST_LAYERS_MAX && m->config.size <= CONFIG_MAX_BYTES);
	for (size_t i = 0; i < m->n_layers; i++)
		assert(digest_parse(m->layers[i].digest.text, &copy, NULL) == 0);
	assert(manifest_format(m, &again, &err) == 0);
	assert(manifest_parse(buf_str(&again), again.size, m->media_type, &m2, &err) == 0);
	assert(m2->n_layers == m->n_layers && digest_equal(&m2->config.digest, &m->config.digest));
	manifest_free(m);
	manifest_free(m2);
	buf_done(&again);
}

static void list(const char *text, size_t size, const char *type)
{
	struct platform p = { .os = "linux", .architecture = "amd64" };
	struct error err = ERROR_INIT;
	struct descriptor d;
	struct digest copy;

	if (index_select(text, size, type, &p, &d, &err) == 0)
		assert(digest_parse(d.digest.text, &copy, NULL) == 0 && d.size <= MANIFEST_MAX_BYTES);
}

static void config(const char *text, size_t size)
{
	struct image_config *c = NULL;
	struct error err = ERROR_INIT;

	if (image_config_parse(text, size, &c, &err) < 0) {
		assert(!c && err.code);
		return;
	}
	assert(c->user && c->working_dir && (c->working_dir[0] == '\0' || c->working_dir[0] == '/'));
	for (size_t i = 0; i < c->env.count; i++)
		assert(strchr(c->env.items[i], '=') > c->env.items[i]);
	assert(c->label_names.count == c->label_values.count && c->n_diff_ids <= MANIFEST_LAYERS_MAX);
	image_config_free(c);
}

/* A specification, a line break, and the rest is both account files. */
static void user(const char *text, size_t size)
{
	const char *end = memchr(text, '\n', size);
	struct image_user u;
	char spec[300];
	size_t n = end ? (size_t)(end - text) : 0;

	if (!end || n >= sizeof(spec))
		return;
	memcpy(spec, text, n);
	spec[n] = '\0';
	if (image_user_resolve(spec, end + 1, size - n - 1, end + 1, size - n - 1, &u, NULL) == 0)
		assert(u.uid <= USER_ID_MAX && u.gid <= USER_ID_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "", MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST, MEDIA_OCI_INDEX,
					     MEDIA_DOCKER_LIST };
	char *text;

	if (size < 1)
		return 0;
	text = malloc(size - 1 ? size - 1 : 1); /* of the exact size, so that a sanitizer sees one byte past it */
	assert(text);
	memcpy(text, data + 1, size - 1);
	switch (data[0] & 3) {
	case 0:
		image(text, size - 1, types[(data[0] >> 2) % 5]);
		break;
	case 1:
		list(text, size - 1, types[(data[0] >> 2) % 5]);
		break;
	case 2:
		config(text, size - 1);
		break;
	default:
		user(text, size - 1);
		break;
	}
	free(text);
	return 0;
}
