/*
 * Budgets of the whole machine: what the kernel has once for everybody, and so for all sandboxes and the host together.
 * For each, what bounds the share of one sandbox, what bounds the sum, and how to read how much is taken.
 *
 * docs/budgets.md shows this table, `cubit doctor` reads it, tests/unit/runtime/budgets.c compares, and
 * tests/attack/budgets.sh tries to take more.
 *
 * Runs in: cubit, tests. Kernel: proc(5).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* A number somewhere in /proc. */
struct budget_number {
	const char *path; /* NULL: the kernel does not tell */
	const char *line; /* what its line begins with; NULL: the first line */
	unsigned nth;     /* which number of the line, from 0 */
};

struct budget {
	const char *name; /* in words */
	const char *one;  /* what bounds one sandbox */
	const char *all;  /* what bounds the sum of all */
	struct budget_number used, most;
};

size_t budgets_count(void);
const struct budget *budget_at(size_t i); /* static memory */

/* Read one. False when there is no such file, line or number (or no right to it). */
bool budget_read(const struct budget_number *n, uint64_t *ret);

/* The row of docs/budgets.md, with a line feed. Returns what buf.h does. */
int budget_row(const struct budget *b, struct buf *out);
