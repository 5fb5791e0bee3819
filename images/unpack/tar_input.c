/* The bytes of an archive, one after the other: see tar_impl.h. */
#include <errno.h>
#include <string.h>

#include "images/unpack/tar_impl.h"
#include "runtime/base/error.h"

int tar_refill(struct tar_reader *r, struct error *err)
{
	int ret;

	if (r->span_size > 0)
		return 1;
	ret = r->fill(r->fill_arg, &r->span, &r->span_size, err);
	if (ret <= 0)
		r->span_size = 0;
	return ret;
}

int tar_cut_off(struct error *err)
{
	return error_set(err, EBADMSG, "the archive is cut off in the middle");
}

int tar_take_or_end(struct tar_reader *r, void *ret, size_t size, struct error *err)
{
	uint8_t *to = ret;
	size_t done = 0;

	while (done < size) {
		size_t n;
		int got = tar_refill(r, err);

		if (got < 0)
			return got;
		if (got == 0)
			return done == 0 ? 0 : tar_cut_off(err);
		n = size - done < r->span_size ? size - done : r->span_size;
		memcpy(to + done, r->span, n);
		r->span += n;
		r->span_size -= n;
		done += n;
	}
	return 1;
}

int tar_take(struct tar_reader *r, void *ret, size_t size, struct error *err)
{
	int got = tar_take_or_end(r, ret, size, err);

	return got == 0 ? tar_cut_off(err) : got < 0 ? got : 0;
}

int tar_skip(struct tar_reader *r, uint64_t size, struct error *err)
{
	while (size > 0) {
		size_t n;
		int got = tar_refill(r, err);

		if (got <= 0)
			return got < 0 ? got : tar_cut_off(err);
		n = size < r->span_size ? (size_t)size : r->span_size;
		r->span += n;
		r->span_size -= n;
		size -= n;
	}
	return 0;
}
