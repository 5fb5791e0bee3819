/* A message with a field of every kind: there and back, cut short at every byte, and with more than there is room for. */
#include "runtime/base/field_table.h"

#include <string.h>

#include "tests/tap.h"

struct sample {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	char str[8];
	struct span bytes, strings;
	uint8_t counted[4];
	uint32_t n_counted;
};

static const struct field fields[] = {
	FIELD(sample, u8, FIELD_U8),           FIELD(sample, u16, FIELD_U16),
	FIELD(sample, u32, FIELD_U32),         FIELD(sample, u64, FIELD_U64),
	FIELD(sample, str, FIELD_STR),         FIELD(sample, bytes, FIELD_BYTES),
	FIELD(sample, strings, FIELD_STRINGS), FIELD_WITH_COUNT(sample, counted, n_counted),
};

static const struct sample full = {
	.u8 = 0xfe,
	.u16 = 0xfedc,
	.u32 = 0xfedcba98,
	.u64 = UINT64_C(0xfedcba9876543210),
	.str = "1234567",
	.bytes = { "\0\1\2", 3 },
	.strings = { "a\0b", 4 },
	.counted = "wxyz",
	.n_counted = 4,
};

/* How many bytes s takes; 0: it does not fit. */
static size_t put(const struct sample *s, void *ret, size_t room)
{
	struct frame_writer w = { .data = ret, .capacity = room };

	field_table_put(&w, FIELDS(fields), s);
	return w.is_full ? 0 : w.size;
}

/* Were all of these bytes a message? */
static bool get(const void *data, size_t size, struct sample *ret)
{
	struct frame_reader r = { .data = data, .size = size };

	memset(ret, 0, sizeof(*ret));
	field_table_get(&r, FIELDS(fields), ret);
	return !r.is_bad && r.at == r.size;
}

static bool is_same(const struct span *a, const struct span *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static void test_round(void)
{
	char bytes[256];
	size_t size = put(&full, bytes, sizeof(bytes));
	struct sample s;

	ok(size > 0 && get(bytes, size, &s), "a message of every kind comes back");
	is_int(s.u8, full.u8, "a byte");
	is_int(s.u16, full.u16, "two");
	is_int(s.u32, full.u32, "four");
	ok(s.u64 == full.u64, "eight");
	is_str(s.str, full.str, "a text");
	ok(is_same(&s.bytes, &full.bytes), "bytes");
	ok(is_same(&s.strings, &full.strings), "strings");
	ok(s.n_counted == 4 && memcmp(s.counted, full.counted, 4) == 0, "what has its size in another member");
}

static void test_short(void)
{
	char bytes[256], less[256];
	size_t size = put(&full, bytes, sizeof(bytes)), n_read = 0, n_written = 0;
	struct sample s;

	for (size_t n = 0; n < size; n++) {
		n_read += get(bytes, n, &s);
		n_written += put(&full, less, n) != 0;
	}
	is_int(n_read, 0, "none of %zu beginnings of it is one", size);
	is_int(n_written, 0, "nor is it written where there is less room");
	bytes[size] = 0;
	ok(!get(bytes, size + 1, &s), "nor is one with a byte behind it");
}

/* What the other side may claim: a length byte of the last field, of the text, and the last byte of the strings. */
static void test_hostile(void)
{
	char bytes[256];
	struct sample s, large = full;
	size_t size = put(&full, bytes, sizeof(bytes)), str_at = 1 + 2 + 4 + 8, counted_at = size - 8;

	large.n_counted = 5;
	is_int(put(&large, bytes, sizeof(bytes)), 0, "more than there is room for is not written");
	is_int(put(&full, bytes, sizeof(bytes)), size, "the same with as much as fits");
	bytes[counted_at] = 5;
	bytes[size] = '!';
	ok(!get(bytes, size + 1, &s), "nor is it read");
	bytes[counted_at] = 4;
	ok(get(bytes, size, &s), "the same with as much as fits");
	bytes[counted_at - 1] = 'c';
	ok(!get(bytes, size, &s), "strings end with NUL");
	bytes[counted_at - 1] = '\0';
	bytes[str_at] = 8; /* the byte behind it belongs to it then */
	memmove(bytes + str_at + 12, bytes + str_at + 11, size - str_at - 11);
	bytes[str_at + 11] = '8';
	ok(!get(bytes, size + 1, &s), "a text has room for its NUL");
}

int main(void)
{
	test_round();
	test_short();
	test_hostile();
	return done_testing();
}
