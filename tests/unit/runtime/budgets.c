/* The table of budgets: docs/budgets.md shows it as it is, and what it says can be read is read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/fd.h"
#include "runtime/budgets.h"
#include "tests/tap.h"

enum { TEXT_MAX = 1 << 20 };

static void test_document(void)
{
	cleanup_buf struct buf doc = BUF_INIT;
	size_t n = 0;
	char *line, *rest;

	need(fd_read_file(AT_FDCWD, "docs/budgets.md", TEXT_MAX, &doc, NULL) == 0, "docs/budgets.md is there");
	line = strstr(doc.data, "| --- |");
	need(line, "it has a table");
	(void)strtok_r(line, "\n", &rest);
	while ((line = strtok_r(NULL, "\n", &rest)) && line[0] == '|') {
		cleanup_buf struct buf row = BUF_INIT;

		if (n == budgets_count())
			break;
		(void)budget_row(budget_at(n), &row);
		row.data[row.size - 1] = '\0';
		is_str(line, row.data, "row %zu: %s", n + 1, budget_at(n)->name);
		n++;
	}
	is_int(n, budgets_count(), "every budget has a row");
	ok(!line || line[0] != '|', "and every row a budget");
}

static void test_reading(void)
{
	static const struct {
		const char *text, *line;
		unsigned nth;
		long long want; /* -1: nothing to be read */
	} rows[] = {
		{ "12\n", NULL, 0, 12 },
		{ "1 22 333\n", NULL, 2, 333 },
		{ "0.10 0.20 0.30 2/345 678\n", NULL, 7, 345 },
		{ "sockets: used 3\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5\n", "TCP:", 4, 5 },
		{ "1 2\n3\n", NULL, 2, -1 },
		{ "UDP: 1\n", "TCP:", 0, -1 },
		{ "none\n", NULL, 0, -1 },
		{ "", NULL, 0, -1 },
	};
	char path[64];
	uint64_t got;

	(void)snprintf(path, sizeof(path), "/tmp/cubit-budgets.%d", (int)getpid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct budget_number n = { path, rows[i].line, rows[i].nth };
		cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		bool is_read;

		need(fd >= 0 && fd_write_all(fd, rows[i].text, strlen(rows[i].text), NULL) == 0, "a file");
		is_read = budget_read(&n, &got);
		is_int(is_read ? (long long)got : -1, rows[i].want, "number %u of '%.20s'", rows[i].nth, rows[i].text);
	}
	(void)unlink(path);
	ok(!budget_read(&(struct budget_number){ NULL, NULL, 0 }, &got), "what the kernel does not tell is not read");
	for (size_t i = 0; i < budgets_count(); i++) {
		const struct budget *b = budget_at(i);
		uint64_t used = 0, most = 0;
		bool is_used = budget_read(&b->used, &used), is_most = budget_read(&b->most, &most);

		if (!b->used.path && !b->most.path)
			continue;
		ok((is_used || !b->used.path || access(b->used.path, R_OK) < 0) &&
			   (is_most || !b->most.path || access(b->most.path, R_OK) < 0),
		   "%s: what this machine has is read", b->name);
		if (is_used && is_most)
			ok(used <= most, "... %llu of %llu", (unsigned long long)used, (unsigned long long)most);
	}
}

int main(void)
{
	test_document();
	test_reading();
	return done_testing();
}
