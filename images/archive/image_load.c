/* Images from files: see image.h and load_impl.h. */
#include <errno.h>

#include "images/archive/load_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

int image_load(struct store *s, const char *path, const struct image_ref *name, const struct image_options *o,
	       void (*fn)(const struct image_record *r, void *arg), void *arg, struct error *err)
{
	struct load l = { .store = s, .name = name, .options = o, .fn = fn, .arg = arg };
	struct members *m = NULL;
	struct member one;
	int r = members_open(path, &m, err);

	if (r < 0)
		return error_wrap(err, "load"), r;
	l.members = m;
	/* what current docker writes is both: the layout keeps the compressed layers and their digests */
	if (members_find(m, "index.json", &one, NULL) == 0) {
		fd_close(&one.fd);
		r = layout_load(&l, err);
	} else if (members_find(m, "manifest.json", &one, NULL) == 0) {
		fd_close(&one.fd);
		r = docker_archive_load(&l, err);
	} else {
		r = error_set(err, EBADMSG, "neither an OCI layout (index.json) nor a docker archive (manifest.json)");
	}
	members_close(m);
	return r < 0 ? (error_wrap(err, "load '%s'", path), r) : 0;
}
