/* The growing buffer: its bound holds, a refusal changes nothing, the content is always a C string. */
#include <errno.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "tests/tap.h"

static void grows(void)
{
	cleanup_buf struct buf b = BUF_INIT;
	bool is_right = true;

	is_str(buf_str(&b), "", "an empty buffer is an empty string");
	is_int(buf_append(&b, NULL, 0), 0, "nothing can be appended to nothing");
	for (int i = 0; i < 10000; i++)
		is_right = is_right && buf_append(&b, "0123456789", 10) == 0 && b.data[b.size] == '\0';
	ok(is_right, "ten thousand appends succeed, each leaves a terminated string");
	is_int(b.size, 100000, "and all bytes are there");
	for (size_t i = 0; i < b.size; i++)
		is_right = is_right && b.data[i] == (char)('0' + i % 10);
	ok(is_right, "in order");
}

static void bounded(void)
{
	cleanup_buf struct buf b = BUF_BOUNDED(10);

	is_int(buf_append_str(&b, "12345"), 0, "half of the bound fits");
	is_int(buf_append_str(&b, "123456"), -ENOBUFS, "one byte more than the bound does not");
	is_str(buf_str(&b), "12345", "a refused append leaves the buffer as it was");
	is_int(buf_printf(&b, "%d", 123456), -ENOBUFS, "nor does it by printf");
	is_str(buf_str(&b), "12345", "which changes nothing either");
	ok(!buf_reserve(&b, 6), "nor by reserving");
	ok(!buf_reserve(&b, SIZE_MAX) && !buf_reserve(&b, SIZE_MAX - 5), "sizes near the end of the type do not wrap");
	is_int(buf_append_str(&b, "67890"), 0, "exactly the bound fits");
	is_str(buf_str(&b), "1234567890", "and is there");
	is_int(buf_append(&b, "", 0), 0, "a full buffer takes nothing more, that is: nothing");
	is_int(buf_append_str(&b, "x"), -ENOBUFS, "and refuses one byte");
}

static void bounded_by_default(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	ok(!buf_reserve(&b, (size_t)BUF_MAX_DEFAULT + 1), "without a bound of its own a buffer has the default one");
	ok(b.size == 0 && !b.data, "and takes no memory for what it refuses");
}

static void consume_and_reserve(void)
{
	cleanup_buf struct buf b = BUF_INIT;
	char *p;

	is_int(buf_printf(&b, "%s-%d", "abc", 42), 0, "printf appends");
	is_int(buf_printf(&b, "+%s", ""), 0, "and appends again");
	is_str(buf_str(&b), "abc-42+", "both texts");
	buf_consume(&b, 4);
	is_str(buf_str(&b), "42+", "consumed bytes are gone from the front");
	p = buf_reserve(&b, 1000);
	need(p, "room can be reserved");
	memset(p, 'x', 1000);
	buf_grown(&b, 2);
	is_str(buf_str(&b), "42+xx", "only what was committed is there");
	buf_consume(&b, 5);
	is_str(buf_str(&b), "", "all can be consumed");
	buf_consume(&b, 100);
	is_int(b.size, 0, "and more than there is");
}

static void bytes_are_bytes(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	is_int(buf_append(&b, "a\0b", 3), 0, "a NUL is a byte like any other");
	ok(b.size == 3 && memcmp(b.data, "a\0b", 4) == 0, "and is kept");
}

static void memory_moves_out(void)
{
	struct buf b = BUF_BOUNDED(100);
	char *taken;

	ok(!buf_take(&b), "nothing can be taken before anything was appended");
	(void)buf_append_str(&b, "mine");
	taken = buf_take(&b);
	is_str(taken, "mine", "the memory moves out terminated");
	ok(!b.data && b.size == 0 && b.room == 0 && b.max == 100, "the buffer is empty and keeps its bound");
	free(taken);
	(void)buf_append_str(&b, "again");
	buf_reset(&b);
	ok(b.size == 0 && b.room > 0, "reset keeps the memory");
	is_str(buf_str(&b), "", "and forgets the content");
	errno = EXDEV;
	buf_done(&b);
	buf_done(&b);
	ok(!b.data && errno == EXDEV, "done twice is done once, and keeps errno");
}

int main(void)
{
	grows();
	bounded();
	bounded_by_default();
	consume_and_reserve();
	bytes_are_bytes();
	memory_moves_out();
	return done_testing();
}
