/* The parts of unpacking that need no privilege: numbers, decompressors against each other, messages, paths. */
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#include "images/unpack/inflate.h"
#include "images/unpack/messages.h"
#include "images/unpack/quote.h"
#include "images/unpack/tar_impl.h"
#include "images/unpack/writer_impl.h"
#include "runtime/base/error.h"
#include "runtime/base/frame.h"
#include "tests/tap.h"

#define FIELD(text) (const uint8_t *)(text), sizeof(text) - 1

static void numbers(void)
{
	static const struct {
		const uint8_t *field;
		size_t size;
		int code;
		int64_t value;
	} table[] = {
		{ FIELD("0000644\0"), 0, 0644 },
		{ FIELD("   644 \0"), 0, 0644 },
		{ FIELD("\0\0\0\0"), 0, 0 },
		{ FIELD("77777777777 "), 0, 077777777777 },
		{ FIELD("777777777777"), 0, 0777777777777 },
		{ FIELD("0000648\0"), -EINVAL, 0 },
		{ FIELD("-000644\0"), -EINVAL, 0 },
		{ FIELD("\x80\0\0\0\0\0\0\0\0\0\1\0"), 0, 256 },
		{ FIELD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), 0, -2 },
		{ FIELD("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), 0, INT64_MAX },
		{ FIELD("\x80\0\0\0\x80\0\0\0\0\0\0\0"), -ERANGE, 0 },
		{ FIELD("\x80\0\0\1\0\0\0\0\0\0\0\0"), -ERANGE, 0 },
		{ FIELD("\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), -ERANGE, 0 },
	};
	int64_t s = 0;
	uint32_t ns = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t v = 0;

		is_int(tar_number(table[i].field, table[i].size, &v), table[i].code, "number %zu is read, or refused",
		       i);
		is_int(v, table[i].value, "and has its value");
	}
	ok(tar_time("1.5", 3, &s, &ns) == 0 && s == 1 && ns == 500000000, "1.5 s");
	ok(tar_time("-1.25", 5, &s, &ns) == 0 && s == -2 && ns == 750000000, "-1.25 s is 0.75 s after -2 s");
	ok(tar_time("7.1234567899", 12, &s, &ns) == 0 && s == 7 && ns == 123456789,
	   "what is finer than a nanosecond is cut");
	ok(tar_time("", 0, &s, &ns) < 0 && tar_time("-", 1, &s, &ns) < 0 && tar_time("1.x", 3, &s, &ns) < 0 &&
		   tar_time("99999999999999999999", 20, &s, &ns) < 0,
	   "nonsense is no time");
}

/* ---- decompressors ---- */

enum { SIZE = 300000 };

static size_t gzip_of(const uint8_t *data, size_t size, uint8_t *ret, size_t room)
{
	z_stream z = { 0 };

	need(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib");
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)size;
	z.next_out = ret;
	z.avail_out = (uInt)room;
	need(deflate(&z, Z_FINISH) == Z_STREAM_END, "compress");
	deflateEnd(&z);
	return z.total_out;
}

/* In pieces of `piece` bytes into room of `room`. Returns bytes made or -errno. */
static long run(const uint8_t *in, size_t size, bool is_zlib, size_t piece, size_t room, uint8_t *out,
		struct error *err)
{
	struct inflater *z = inflater_new(inflate_sniff(in, size), is_zlib);
	size_t done = 0, made = 0;
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += piece) {
		const uint8_t *p = in + at;
		size_t left = size - at < piece ? size - at : piece;

		do {
			r = inflater_step(z, &p, &left, out + done, room, &made, err);
			done += made;
		} while (r == 0 && (left > 0 || made == room));
	}
	if (r == 0)
		r = inflater_end(z, err);
	inflater_free(z);
	return r < 0 ? r : (long)done;
}

static void decompressors(void)
{
	static uint8_t data[SIZE], packed[3 * SIZE], out[3 * SIZE];
	static const size_t pieces[] = { 1, 7, 1000, SIZE };
	struct error err = ERROR_INIT;
	uint32_t x = 1;
	size_t n;

	for (size_t i = 0; i < SIZE; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 28) * 16; /* compresses a little */
	}
	for (int format = 0; format < 3; format++) { /* isa-l (where it is), zlib, zstd */
		const char *name = format == 2 ? "zstd" : format == 1 ? "gzip by zlib" : "gzip";

		n = format == 2 ? ZSTD_compress(packed, sizeof(packed), data, SIZE, 3)
				: gzip_of(data, SIZE, packed, sizeof(packed));
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			memset(out, 0, SIZE);
			ok(run(packed, n, format == 1, pieces[i], 4099, out, &err) == SIZE &&
				   memcmp(out, data, SIZE) == 0,
			   "%s in pieces of %zu", name, pieces[i]);
			memmove(packed + n, packed, n);
			ok(run(packed, 2 * n, format == 1, pieces[i], 4099, out, &err) == 2L * SIZE &&
				   memcmp(out + SIZE, data, SIZE) == 0,
			   "and two after each other");
			memcpy(packed + n, "garbage", 7);
			is_int(run(packed, n + 7, format == 1, pieces[i], 4099, out, &err), -EBADMSG,
			       "garbage at the end is refused");
			is_int(run(packed, n - 1, format == 1, pieces[i], 4099, out, &err), -EBADMSG,
			       "a missing byte is noticed");
			has_str(err.text, "cut off", "and named");
		}
		packed[n / 2] ^= 1;
		is_int(run(packed, n, format == 1, 1000, 4099, out, &err),
		       format == 2 ? run(packed, n, false, 1000, 4099, out, NULL) : -EBADMSG, "a flipped bit in %s",
		       name);
	}
}

/* ---- paths ---- */

static void paths(void)
{
	struct clean_path p;
	struct error err = ERROR_INIT;
	char q[QUOTE_BYTES], text[300];

	ok(path_clean("./a//b/./c/", &p, "x", &err) == 0 && strcmp(p.text, "a/b/c") == 0 && strcmp(p.name, "c") == 0 &&
		   p.dir_size == 3,
	   "a path is made clean");
	ok(path_clean("///", &p, "x", &err) == 0 && p.text[0] == '\0', "the root is the empty path");
	is_int(path_clean("a/../b", &p, "x", &err), -EPERM, "'..' is refused wherever it is");
	ok(path_clean("..a/b../...", &p, "x", &err) == 0, "but names that only look like it are not");
	is_str(quote_name("a\x1b'\\\n\xff", q), "'a\\x1b\\x27\\x5c\\x0a\\xff'", "names are escaped");
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ok(strlen(quote_name(text, q)) < QUOTE_BYTES && strcmp(q + strlen(q) - 4, "...'") == 0, "and long ones cut");
}

/* ---- messages ---- */

static void messages(void)
{
	uint8_t memory[UNPACK_MESSAGE_BYTES];
	const struct frame_header h = { .version = UNPACK_PROTO_VERSION, .type = UNPACK_DONE };
	struct frame_writer w;
	struct unpack_message m;
	struct error err = ERROR_INIT;

	frame_begin(&w, memory, sizeof(memory), &h);
	frame_put_str(&w, "sha256:../../etc/passwd");
	is_int(unpack_decode(memory, w.size, &m, &err), -EPROTO, "a worker cannot hand us a digest that is none");
	for (size_t size = 0; size < w.size; size++)
		if (unpack_decode(memory, size, &m, NULL) == 0)
			ok(false, "%zu bytes of a message are no message", size);
	ok(true, "part of a message is no message");
}

int main(void)
{
	numbers();
	decompressors();
	paths();
	messages();
	return done_testing();
}
