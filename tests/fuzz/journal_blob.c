/*
 * Any bytes as a packed journal, and, after a first byte that says where, as the three files of one. What is accepted
 * can be read through, and packs and unpacks to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "supervisor/journal/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_through(struct journal *j)
{
	uint64_t bytes[2] = { 0, 0 };
	struct journal_event e;

	for (uint64_t n = 1; n <= journal_last(j); n++) {
		if (!journal_get(j, n, &e) || e.n != n || e.size == 0)
			abort();
		if (e.type == JOURNAL_STDOUT || e.type == JOURNAL_STDERR)
			bytes[e.type - JOURNAL_STDOUT] += e.size;
		else if (e.data[e.size] != '\0')
			abort();
	}
	if (bytes[0] != journal_bytes(j, JOURNAL_STDOUT) || bytes[1] != journal_bytes(j, JOURNAL_STDERR))
		abort();
}

static void check_round(struct journal *j)
{
	cleanup_buf struct buf first = BUF_INIT, second = BUF_INIT;
	struct journal *again = NULL;

	if (journal_pack(j, &first) < 0 || journal_unpack(first.data, first.size, &again, NULL) < 0 ||
	    journal_pack(again, &second) < 0 || second.size != first.size ||
	    memcmp(first.data, second.data, first.size) != 0)
		abort();
	journal_unref(again);
}

static void check(int r, struct journal *j, const struct error *err)
{
	if ((r == 0) != (j != NULL) || (r == 0) != (err->text[0] == '\0'))
		abort();
	if (!j)
		return;
	read_through(j);
	check_round(j);
	journal_unref(j);
}

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct journal *j = NULL;
	size_t cut;
	int fds[3], r = journal_unpack(data, size, &j, &err);

	check(r, j, &err);
	if (size < 1)
		return 0;
	j = NULL;
	error_clear(&err);
	cut = data[0] < size - 1 ? data[0] : size - 1; /* so many bytes of output, then the index */
	fds[0] = file_of(data + 1, cut);
	fds[1] = file_of("err", 3);
	fds[2] = file_of(data + 1 + cut, size - 1 - cut);
	r = journal_open(fds, &j, &err);
	check(r, j, &err);
	return 0;
}
