/* Where there must be memory: what cannot be had ends the program with a line, and only where that was asked for. */
#include "runtime/base/alloc.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/log.h"
#include "tests/tap.h"

enum { TOO_MUCH = 1 << 30 };

/* In a child with less address space than that. Returns its wait status, and what it wrote. */
static int in_child(void (*fn)(void), char *ret_said, size_t room)
{
	const struct rlimit little = { TOO_MUCH / 2, TOO_MUCH / 2 }, no_core = { 0, 0 };
	int said[2], status = -1;
	ssize_t n;
	pid_t pid;

	if (pipe(said) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)setrlimit(RLIMIT_AS, &little);
		(void)setrlimit(RLIMIT_CORE, &no_core);
		log_init(said[1], LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
		fn();
		_exit(7);
	}
	close(said[1]);
	n = read(said[0], ret_said, room - 1);
	ret_said[n > 0 ? n : 0] = '\0';
	close(said[0]);
	(void)waitpid(pid, &status, 0);
	return status;
}

static void fill_buf(void)
{
	struct buf b = BUF_BOUNDED((size_t)TOO_MUCH + 1);
	bool is_told = !buf_reserve(&b, TOO_MUCH);

	_exit(is_told ? 3 : 4);
}

static void fill_buf_that_must(void)
{
	alloc_must(log_no_memory);
	fill_buf();
}

static void over_the_bound(void)
{
	struct buf b = BUF_BOUNDED(4);

	alloc_must(log_no_memory);
	_exit(buf_append(&b, "12345", 5) == -ENOBUFS ? 3 : 4);
}

static void want_zeroed(void)
{
	alloc_must(log_no_memory);
	(void)alloc_zeroed(1024, TOO_MUCH / 1024);
}

static void want_more_than_there_are_numbers(void)
{
	volatile size_t n = SIZE_MAX / 2; /* no compiler shall see it */

	alloc_must(log_no_memory);
	(void)alloc_again(NULL, n, 4);
}

static void want_without_the_switch(void)
{
	(void)alloc_bytes(TOO_MUCH);
}

static void ends(void)
{
	char said[512];
	int status = in_child(fill_buf, said, sizeof(said));

	ok(WIFEXITED(status) && WEXITSTATUS(status) == 3 && !*said,
	   "without the switch a buffer says that there is no memory");
	status = in_child(fill_buf_that_must, said, sizeof(said));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "with it the program ends");
	ok(strstr(said, "error out of memory: this process ends bytes=2147483648\n"), "... and says so: %s", said);
	status = in_child(over_the_bound, said, sizeof(said));
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 3 && !*said, "a bound that is passed is no want of memory");
	status = in_child(want_zeroed, said, sizeof(said));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, "out of memory"), "zeroed memory");
	status = in_child(want_more_than_there_are_numbers, said, sizeof(said));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, "out of memory"),
	   "a product that overflows");
	status = in_child(want_without_the_switch, said, sizeof(said));
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	   "who uses these always ends, with the switch or without");
}

static void gives(void)
{
	char *text = alloc_text("a text"), *part = alloc_text_of("a text", 3), *none = alloc_bytes(0);
	int *numbers = alloc_zeroed(4, sizeof(*numbers));

	is_str(text, "a text", "a copy");
	is_str(part, "a t", "a copy of a part");
	ok(none != NULL, "no bytes are there, too");
	ok(numbers[0] == 0 && numbers[3] == 0, "zeroes");
	numbers = alloc_again(numbers, 8, sizeof(*numbers));
	ok(numbers[3] == 0, "what was there stays");
	free(text);
	free(part);
	free(none);
	free(numbers);
}

int main(void)
{
	gives();
	ends();
	return done_testing();
}
