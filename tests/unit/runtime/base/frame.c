/*
 * Framing: what was written is read back, and whatever is not exactly that is refused without reading past it.
 * Messages are copied into memory of their exact size, so that a sanitizer sees one byte too many.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "runtime/base/error.h"
#include "runtime/base/frame.h"
#include "tests/tap.h"

enum { VERSION = 7, TYPE = 0x1234 };

static const struct frame_header header = { .version = VERSION, .type = TYPE, .n_fds = 0, .seq = 0xdeadbeef };

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	need(d, "/proc/self/fd can be listed");
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* One message with every kind of field; returns its size. */
static size_t write_all(uint8_t *memory, size_t capacity)
{
	struct frame_writer w;

	frame_begin(&w, memory, capacity, &header);
	frame_put_u8(&w, 0xab);
	frame_put_u16(&w, 0xabcd);
	frame_put_u32(&w, 0xfedcba98);
	frame_put_u64(&w, 0x0123456789abcdef);
	frame_put_bytes(&w, "\0\1\2", 3);
	frame_put_str(&w, "text");
	frame_put_str(&w, NULL);
	frame_put_str(&w, "borrowed");
	return w.is_full ? 0 : w.size;
}

struct fields {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	const void *bytes, *text;
	size_t n_bytes, n_text;
	char str[5], empty[5];
};

static int read_all(const void *data, size_t size, struct fields *f, struct frame_header *h, struct error *err)
{
	struct frame_reader r;
	int ret = frame_open(&r, data, size, VERSION, h, err);

	if (ret < 0)
		return ret;
	f->u8 = frame_get_u8(&r);
	f->u16 = frame_get_u16(&r);
	f->u32 = frame_get_u32(&r);
	f->u64 = frame_get_u64(&r);
	f->bytes = frame_get_bytes(&r, 3, &f->n_bytes);
	frame_get_str(&r, f->str, sizeof(f->str));
	frame_get_str(&r, f->empty, sizeof(f->empty));
	f->text = frame_get_text(&r, 8, &f->n_text);
	return frame_end(&r, "test message", err);
}

static void round_trip(void)
{
	uint8_t memory[256];
	struct frame_header h = { 0 };
	struct error err = ERROR_INIT;
	struct fields f = { 0 };
	size_t size = write_all(memory, sizeof(memory));

	need(size > 0, "a message with every kind of field is written");
	need(read_all(memory, size, &f, &h, &err) == 0, "and read back");
	ok(h.version == VERSION && h.type == TYPE && h.n_fds == 0 && h.seq == 0xdeadbeef, "the header is the same");
	is_int(f.u8, 0xab, "u8");
	is_int(f.u16, 0xabcd, "u16");
	is_int(f.u32, 0xfedcba98, "u32");
	ok(f.u64 == 0x0123456789abcdef, "u64");
	ok(f.n_bytes == 3 && memcmp(f.bytes, "\0\1\2", 3) == 0, "bytes, with a NUL among them");
	is_str(f.str, "text", "a string that fits exactly");
	is_str(f.empty, "", "NULL comes back as an empty string");
	ok(f.n_text == 8 && memcmp(f.text, "borrowed", 8) == 0, "a borrowed text of exactly the bound");
	ok(memory[0] == 'C' && memory[1] == 'B', "on the wire it starts with CB: little-endian everywhere");
	ok(memory[12] == 0xab && memory[13] == 0xcd && memory[14] == 0xab, "and so are the fields");
}

static void truncated(void)
{
	uint8_t memory[256];
	size_t size = write_all(memory, sizeof(memory));
	int refused = 0;

	for (size_t n = 0; n < size; n++) {
		uint8_t *exact = malloc(n ? n : 1);
		struct error err = ERROR_INIT;
		struct frame_header h;
		struct fields f;

		need(exact, "there is memory");
		memcpy(exact, memory, n);
		refused += read_all(exact, n, &f, &h, &err) == -EPROTO && err.text[0];
		free(exact);
	}
	is_int(refused, size, "each of the %zu truncations is refused, with words", size);
}

static void too_much(void)
{
	uint8_t memory[256] = { 0 };
	size_t size = write_all(memory, sizeof(memory));
	struct error err = ERROR_INIT;
	struct frame_header h;
	struct fields f;

	is_int(read_all(memory, size + 1, &f, &h, &err), -EPROTO, "one byte too many is refused");
	has_str(err.text, "test message: 1 bytes too many", "and the message says how many, and of what");
}

static void wrong_header(void)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *words;
	} rows[] = {
		{ 0, 'X', "not one of our messages" },       { 1, 'X', "not one of our messages" },
		{ 2, VERSION + 1, "version 8, we speak 7" }, { 2, 0, "version 0, we speak 7" },
		{ 3, 1, "not one of our messages" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t memory[256];
		size_t size = write_all(memory, sizeof(memory));
		struct error err = ERROR_INIT;
		struct frame_header h = { .type = 99 };
		struct frame_reader r;

		memory[rows[i].at] = rows[i].value;
		is_int(frame_open(&r, memory, size, VERSION, &h, &err), -EPROTO, "%d at offset %zu is refused",
		       rows[i].value, rows[i].at);
		has_str(err.text, rows[i].words, "and the message says why");
		is_int(h.type, 99, "the header given out is untouched");
		is_int(frame_get_u32(&r), 0, "and every field is zero");
		is_int(frame_end(&r, "x", &err), -EPROTO, "to the end");
	}
}

/* A message whose only field is a string of announced length and given content. */
static size_t string_message(uint8_t *memory, size_t capacity, uint32_t announced, const void *data, size_t size)
{
	struct frame_writer w;

	frame_begin(&w, memory, capacity, &header);
	frame_put_u32(&w, announced);
	memcpy(memory + w.size, data, size);
	return w.size + size;
}

static void hostile_lengths(void)
{
	static const struct {
		const char *data;
		size_t size;
		uint32_t announced;
		int code;
		const char *title;
	} rows[] = {
		{ "abc", 3, 3, 0, "an honest length" },
		{ "", 0, 0, 0, "an empty string" },
		{ "abc", 3, 4, EPROTO, "one more than there is" },
		{ "abc", 3, 2, EPROTO, "one less than there is" },
		{ "abc", 3, 0xffffffff, EPROTO, "four gigabytes" },
		{ "abc", 3, 0xfffffffc, EPROTO, "a length that would wrap 32 bits" },
		{ "abc", 3, 0x80000000, EPROTO, "a length that would be negative" },
		{ "a\0c", 3, 3, EPROTO, "a NUL inside a string" },
		{ "abcdefgh", 8, 8, EPROTO, "a string one byte too long for where it goes" },
		{ "abcdefg", 7, 7, 0, "a string that just fits" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t memory[64], *exact;
		size_t size = string_message(memory, sizeof(memory), rows[i].announced, rows[i].data, rows[i].size),
		       n = 99;
		char str[8] = "unset";
		struct frame_reader r;
		struct frame_header h;
		struct error err = ERROR_INIT;

		exact = calloc(1, size);
		need(exact, "there is memory");
		memcpy(exact, memory, size);
		need(frame_open(&r, exact, size, VERSION, &h, &err) == 0, "the header is fine");
		frame_get_str(&r, str, sizeof(str));
		is_int(frame_end(&r, "x", &err), -rows[i].code, "%s is %s", rows[i].title,
		       rows[i].code ? "refused" : "taken");
		if (r.is_bad) {
			is_str(str, "", "and the string is empty");
			ok(!frame_get_bytes(&r, 100, &n) && n == 0, "as is everything after it");
		}
		free(exact);
	}
}

static void bounds_of_the_reader(void)
{
	uint8_t memory[64];
	size_t size = string_message(memory, sizeof(memory), 4, "abcd", 4), n = 99;
	struct frame_reader r;
	struct frame_header h;

	need(frame_open(&r, memory, size, VERSION, &h, NULL) == 0, "a message with four bytes");
	ok(!frame_get_bytes(&r, 3, &n) && n == 0 && r.is_bad, "a bound of three refuses them, though they are there");
	need(frame_open(&r, memory, size, VERSION, &h, NULL) == 0, "again");
	ok(frame_get_text(&r, 4, &n) && n == 4 && !r.is_bad, "a bound of four takes them");
	ok(!frame_get_text(&r, 4, &n) && n == 0 && r.is_bad, "but not twice");
}

static void full_writer(void)
{
	uint8_t memory[256], want[256];
	size_t size = write_all(want, sizeof(want));
	int refused = 0, sv[2];
	struct frame_writer w;
	struct error err = ERROR_INIT;

	for (size_t capacity = 0; capacity < size; capacity++) {
		memset(memory, 0xee, sizeof(memory));
		refused += write_all(memory, capacity) == 0 && memory[capacity] == 0xee;
	}
	is_int(refused, size, "a message that does not fit is never written past its memory");
	is_int(write_all(memory, size), size, "one that fits exactly is");

	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "a socket pair can be made");
	frame_begin(&w, memory, 16, &header);
	frame_put_u64(&w, 1);
	frame_put_u8(&w, 1);
	is_int(frame_send(sv[0], &w, NULL, 0, 0, &err), -EMSGSIZE,
	       "what did not fit is not sent, even if later fields did");
	has_str(err.text, "16 bytes", "and the message says what it did not fit into");
	is_int(recv(sv[1], memory, sizeof(memory), MSG_DONTWAIT), -1, "nothing was sent");
	fd_close(&sv[0]);
	fd_close(&sv[1]);
}

static void over_a_socket(void)
{
	static const struct {
		size_t size;      /* of the bytes sent; 0 means all */
		size_t announced; /* in the header */
		size_t sent;
		ssize_t code; /* 0: accepted */
		const char *title;
	} rows[] = {
		{ 0, 0, 0, 0, "a message without descriptors" },
		{ 0, 2, 2, 0, "a message with the two it announces" },
		{ 0, 2, 1, -EPROTO, "one descriptor less than announced" },
		{ 0, 1, 2, -EPROTO, "one more than announced" },
		{ 0, 0, 1, -EPROTO, "one that was not announced" },
		{ 0, 65535, 0, -EPROTO, "many announced, none there" },
		{ 11, 0, 0, -EPROTO, "a message shorter than its header" },
		{ 4, 0, 2, -EPROTO, "a message shorter than its header, with descriptors" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int before = open_fds(), sv[2], fds[2] = { STDIN_FILENO, STDOUT_FILENO }, got[4];
		uint8_t memory[256];
		struct frame_header h = header;
		struct frame_writer w;
		struct error err = ERROR_INIT;
		size_t n = 4;
		ssize_t r;

		need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "a socket pair can be made");
		h.n_fds = (uint16_t)rows[i].announced;
		frame_begin(&w, memory, sizeof(memory), &h);
		frame_put_u32(&w, 42);
		need(fd_send(sv[0], memory, rows[i].size ? rows[i].size : w.size, fds, rows[i].sent, 0, &err) == 0,
		     "it is sent");
		r = frame_recv(sv[1], memory, sizeof(memory), got, &n, 0, &err);
		is_int(r, rows[i].code ? rows[i].code : (ssize_t)w.size, "%s is %s", rows[i].title,
		       rows[i].code ? "refused" : "received");
		is_int(n, rows[i].code ? 0 : rows[i].sent, "with the right number of descriptors");
		for (size_t k = 0; k < n; k++)
			fd_close(&got[k]);
		fd_close(&sv[0]);
		fd_close(&sv[1]);
		is_int(open_fds(), before, "nothing leaked");
	}
}

static void send_fills_in_the_count(void)
{
	int sv[2], fds[3] = { 0, 1, 2 }, got[4];
	struct frame_header h = header;
	struct frame_writer w;
	struct frame_reader rd;
	struct error err = ERROR_INIT;
	uint8_t memory[64];
	size_t n = 4;
	ssize_t r;

	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "a socket pair can be made");
	frame_begin(&w, memory, sizeof(memory), &h);
	need(frame_send(sv[0], &w, fds, 3, 0, &err) == 0, "a message with three descriptors is sent");
	r = frame_recv(sv[1], memory, sizeof(memory), got, &n, 0, &err);
	need(r == FRAME_HEADER_BYTES && n == 3, "it arrives");
	need(frame_open(&rd, memory, (size_t)r, VERSION, &h, &err) == 0 && frame_end(&rd, "x", &err) == 0, "whole");
	is_int(h.n_fds, 3, "and its header says three");
	for (size_t k = 0; k < n; k++)
		fd_close(&got[k]);
	fd_close(&sv[0]);
	is_int(frame_recv(sv[1], memory, sizeof(memory), NULL, NULL, 0, &err), 0, "the end is 0");
	fd_close(&sv[1]);
}

/* FRAME_MAX_BYTES promises that the largest message goes through a socket with its default buffer. */
static void largest(void)
{
	uint8_t *memory = malloc(FRAME_MAX_BYTES), *filler = calloc(1, FRAME_MAX_BYTES);
	struct frame_writer w;
	struct error err = ERROR_INIT;
	int sv[2];

	need(memory && filler, "there is memory");
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "a socket pair can be made");
	frame_begin(&w, memory, FRAME_MAX_BYTES, &header);
	frame_put_bytes(&w, filler, FRAME_MAX_BYTES - FRAME_HEADER_BYTES - 4);
	is_int(w.size, FRAME_MAX_BYTES, "a message of the largest size is written");
	is_int(frame_send(sv[0], &w, NULL, 0, MSG_DONTWAIT, &err), 0,
	       "and goes through a fresh socket without waiting");
	is_int(frame_recv(sv[1], memory, FRAME_MAX_BYTES, NULL, NULL, 0, &err), FRAME_MAX_BYTES, "and arrives");
	fd_close(&sv[0]);
	fd_close(&sv[1]);
	free(memory);
	free(filler);
}

int main(void)
{
	round_trip();
	truncated();
	too_much();
	wrong_header();
	hostile_lengths();
	bounds_of_the_reader();
	full_writer();
	over_a_socket();
	send_fills_in_the_count();
	largest();
	return done_testing();
}
