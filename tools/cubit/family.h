/*
 * Commands that talk to the daemon: their subcommands, options and help as tables, which completion (completion.c)
 * reads as well.
 *
 * Options may stand before and after arguments; what follows "--" is arguments only.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct client;
struct error;

enum { FAMILY_ARGUMENTS_MAX = 256, FAMILY_LIST_MAX = 256 };

struct family_list {
	const char *items[FAMILY_LIST_MAX];
	size_t n;
};

enum family_kind { FAMILY_FLAG, FAMILY_TEXT, FAMILY_LIST, FAMILY_SECRET /* as TEXT; wiped from the command line */ };

/* A table of them ends with a row without a name. */
struct family_option {
	const char *name;     /* "--limit" */
	const char *argument; /* "NAME=VALUE"; NULL for a flag. "FILE" is completed as one */
	enum family_kind kind;
	void *target; /* bool, const char *, struct family_list */
	const char *help;
};

struct invocation {
	const char *name; /* for messages: "job ls" */
	struct client *client;
	const char *arguments[FAMILY_ARGUMENTS_MAX];
	size_t n;
	bool is_json;
};

struct family_call {
	const char *name; /* "" when the family is one call */
	const char *arguments;
	size_t least, most;
	int (*run)(struct invocation *v);    /* the exit status */
	const struct family_option *options; /* besides --url, --key, --json, --help; NULL: none */
	const char *help;
};

struct family {
	const char *name;
	const struct family_call *calls; /* ends with a row without a function */
	const char *exits;               /* of --help, about the exit status; NULL: the usual words */
	bool is_local;                   /* no daemon is asked: no --url, --key, --json */
};

/* All of them, for completion; ends with NULL. */
extern const struct family *const families[];
extern const struct family_option family_common[];

int family_main(const struct family *f, int argc, char **argv);

/* Print an error: one sentence; with --json the daemon's error object too. Returns the exit status for it. */
int family_fail(const struct invocation *v, const struct error *e);
