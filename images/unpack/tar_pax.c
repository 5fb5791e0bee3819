/* Pax extended headers: records of "LENGTH KEY=VALUE\n". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "images/unpack/quote.h"
#include "images/unpack/tar_impl.h"
#include "runtime/base/error.h"

enum { XATTR_NAME_BYTES_MAX = 255, ID_MAX_EXCLUSIVE = 0xffffffff /* -1 means: leave as it is */ };

struct record {
	char *key;   /* terminated */
	char *value; /* terminated, but may hold NUL */
	size_t size;
	const char *owner;
};

typedef int record_fn(struct tar_reader *r, const struct record *rec, struct error *err);

static int bad(const struct record *rec, struct error *err)
{
	return error_set(err, EBADMSG, "entry %s: pax header: '%.60s' is not valid", QUOTE(rec->owner), rec->key);
}

static int set_name(struct tar_reader *r, const struct record *rec, struct buf *to, struct error *err)
{
	if (memchr(rec->value, '\0', rec->size))
		return bad(rec, err);
	if (rec->size > r->limits.path_bytes)
		return error_set(err, EFBIG, "entry %s: a path of %zu bytes, the limit is %zu", QUOTE(rec->value),
				 rec->size, r->limits.path_bytes);
	buf_reset(to);
	return buf_append(to, rec->value, rec->size) < 0 ? error_errno(err, ENOMEM, "path") : 0;
}

static int on_path(struct tar_reader *r, const struct record *rec, struct error *err)
{
	/* of a sparse file, path is a made-up name for readers that do not know the format */
	return r->meta.has_sparse_name ? 0 : set_name(r, rec, &r->meta.path, err);
}

static int on_sparse_name(struct tar_reader *r, const struct record *rec, struct error *err)
{
	r->meta.has_sparse_name = true;
	return set_name(r, rec, &r->meta.path, err);
}

static int on_linkpath(struct tar_reader *r, const struct record *rec, struct error *err)
{
	return set_name(r, rec, &r->meta.link, err);
}

static int on_size(struct tar_reader *r, const struct record *rec, struct error *err)
{
	r->meta.has_size = true;
	return tar_decimal(rec->value, rec->size, &r->meta.size) < 0 || r->meta.size > INT64_MAX ? bad(rec, err) : 0;
}

static int set_id(const struct record *rec, bool *has, uint32_t *id, struct error *err)
{
	uint64_t v = 0;

	if (tar_decimal(rec->value, rec->size, &v) < 0 || v >= ID_MAX_EXCLUSIVE)
		return bad(rec, err);
	*has = true;
	*id = (uint32_t)v;
	return 0;
}

static int on_uid(struct tar_reader *r, const struct record *rec, struct error *err)
{
	return set_id(rec, &r->meta.has_uid, &r->meta.uid, err);
}

static int on_gid(struct tar_reader *r, const struct record *rec, struct error *err)
{
	return set_id(rec, &r->meta.has_gid, &r->meta.gid, err);
}

static int on_mtime(struct tar_reader *r, const struct record *rec, struct error *err)
{
	r->meta.has_mtime = true;
	return tar_time(rec->value, rec->size, &r->meta.mtime_s, &r->meta.mtime_ns) < 0 ? bad(rec, err) : 0;
}

static int on_xattr(struct tar_reader *r, const struct record *rec, struct error *err)
{
	const char *name = rec->key + strlen("SCHILY.xattr.");
	struct tar_meta *m = &r->meta;
	size_t i = 0;

	if (!*name || strlen(name) > XATTR_NAME_BYTES_MAX)
		return bad(rec, err);
	m->xattr_bytes += strlen(name) + rec->size;
	if (m->xattr_bytes > r->limits.xattr_bytes)
		return 0; /* refused when we know whose they are */
	while (i < m->n_xattrs && strcmp(m->xattrs[i].name, name) != 0)
		i++; /* the last of that name wins */
	if (i == TAR_XATTRS_MAX)
		return error_set(err, EFBIG, "entry %s: more than %d extended attributes", QUOTE(rec->owner),
				 TAR_XATTRS_MAX);
	m->xattrs[i] = (struct tar_xattr){ .name = name, .value = rec->value, .size = rec->size };
	if (i == m->n_xattrs)
		m->n_xattrs++;
	return 0;
}

/* ---- sparse files ---- */

static int on_sparse_version(struct tar_reader *r, const struct record *rec, struct error *err)
{
	uint64_t v = 0;

	if (tar_decimal(rec->value, rec->size, &v) < 0 || v > 99)
		return bad(rec, err);
	*(strcmp(rec->key, "GNU.sparse.major") == 0 ? &r->meta.sparse_major : &r->meta.sparse_minor) = (unsigned)v;
	r->meta.is_sparse = true;
	return 0;
}

static int on_sparse_size(struct tar_reader *r, const struct record *rec, struct error *err)
{
	if (tar_decimal(rec->value, rec->size, &r->meta.real_size) < 0 || r->meta.real_size > INT64_MAX)
		return bad(rec, err);
	r->meta.is_sparse = r->meta.has_real_size = true;
	return 0;
}

static int on_sparse_offset(struct tar_reader *r, const struct record *rec, struct error *err)
{
	if (r->meta.has_offset || tar_decimal(rec->value, rec->size, &r->meta.sparse_offset) < 0)
		return bad(rec, err);
	r->meta.has_offset = r->meta.is_sparse = true;
	return 0;
}

static int on_sparse_bytes(struct tar_reader *r, const struct record *rec, struct error *err)
{
	uint64_t size = 0;

	if (!r->meta.has_offset || tar_decimal(rec->value, rec->size, &size) < 0)
		return bad(rec, err);
	r->meta.has_offset = false;
	r->meta.has_map = true;
	return tar_segment_add(r, r->meta.sparse_offset, size, rec->owner, err);
}

static int on_sparse_map(struct tar_reader *r, const struct record *rec, struct error *err)
{
	r->meta.is_sparse = r->meta.has_map = true;
	r->n_segments = 0;
	return tar_sparse_map_text(r, rec->value, rec->size, rec->owner, err);
}

/* ---- records ---- */

/* clang-format off */
static const struct {
	const char *key;
	bool is_prefix, may_be_empty; /* an empty value otherwise means: as the header has it */
	record_fn *fn;
} keys[] = {
	{ "path",                 false, false, on_path },
	{ "linkpath",             false, false, on_linkpath },
	{ "size",                 false, false, on_size },
	{ "uid",                  false, false, on_uid },
	{ "gid",                  false, false, on_gid },
	{ "mtime",                false, false, on_mtime },
	{ "SCHILY.xattr.",        true,  true,  on_xattr },
	{ "GNU.sparse.major",     false, false, on_sparse_version },
	{ "GNU.sparse.minor",     false, false, on_sparse_version },
	{ "GNU.sparse.size",      false, false, on_sparse_size },
	{ "GNU.sparse.realsize",  false, false, on_sparse_size },
	{ "GNU.sparse.name",      false, false, on_sparse_name },
	{ "GNU.sparse.offset",    false, false, on_sparse_offset },
	{ "GNU.sparse.numbytes",  false, false, on_sparse_bytes },
	{ "GNU.sparse.map",       false, true,  on_sparse_map },
};
/* clang-format on */

static int take_record(struct tar_reader *r, const struct record *rec, struct error *err)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		bool is_it = keys[i].is_prefix ? strncmp(rec->key, keys[i].key, strlen(keys[i].key)) == 0
					       : strcmp(rec->key, keys[i].key) == 0;

		if (is_it)
			return rec->size == 0 && !keys[i].may_be_empty ? 0 : keys[i].fn(r, rec, err);
	}
	return 0; /* atime, comment, vendor keys: not ours */
}

static int malformed(const char *owner, struct error *err)
{
	return error_set(err, EBADMSG, "entry %s: pax header: a record is malformed", QUOTE(owner));
}

int tar_pax_parse(struct tar_reader *r, const char *owner, struct error *err)
{
	char *at = r->meta.pax.data, *end = at ? at + r->meta.pax.size : NULL;

	r->n_segments = 0;
	while (at < end) {
		char *space = memchr(at, ' ', (size_t)(end - at)), *equals, *last;
		struct record rec = { .owner = owner };
		uint64_t size = 0;

		if (!space || tar_decimal(at, (size_t)(space - at), &size) < 0 || size > (uint64_t)(end - at) ||
		    size < (uint64_t)(space - at) + 4) /* "N k=\n" */
			return malformed(owner, err);
		last = at + size - 1;
		rec.key = space + 1;
		equals = memchr(rec.key, '=', (size_t)(last - rec.key));
		if (*last != '\n' || !equals || equals == rec.key || memchr(rec.key, '\0', (size_t)(equals - rec.key)))
			return malformed(owner, err);
		*equals = *last = '\0'; /* key and value become strings in place */
		rec.value = equals + 1;
		rec.size = (size_t)(last - rec.value);
		{
			int ret = take_record(r, &rec, err);

			if (ret < 0)
				return ret;
		}
		at = last + 1;
	}
	return 0;
}

/* What GNU's L and K headers said stays: only what pax said is forgotten. */
void tar_meta_reset(struct tar_meta *m)
{
	buf_reset(&m->pax);
	buf_reset(&m->path);
	buf_reset(&m->link);
	m->n_xattrs = m->xattr_bytes = 0;
	m->too_large = 0;
	m->has_size = m->has_uid = m->has_gid = m->has_mtime = false;
	m->is_sparse = m->has_map = m->has_offset = m->has_real_size = m->has_sparse_name = false;
	m->sparse_major = m->sparse_minor = 0;
}

void tar_meta_done(struct tar_meta *m)
{
	buf_done(&m->pax);
	buf_done(&m->path);
	buf_done(&m->link);
	buf_done(&m->gnu_path);
	buf_done(&m->gnu_link);
}
