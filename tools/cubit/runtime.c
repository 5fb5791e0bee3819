/*
 * `cubit runtime`: the languages of this machine; list them, show one, test them in real sandboxes (runtime_test.c).
 *
 * How it works: definitions are read anew on each call, the built-in ones, then /etc/cubit/runtimes, then
 * CUBIT_STATE/runtimes. `ls` and `show` need no privilege; whether an image is there is only told to root, as the store
 * is closed to others. No daemon is asked.
 */
#include "tools/cubit/runtime.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/languages/runtime_def.h"
#include "images/languages/runtime_set.h"
#include "images/store/store.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "supervisor/settings.h"
#include "tools/cubit/command.h"

enum { NAMES_MAX = 256 };

static const char usage[] =
	"usage: cubit runtime ls [--json]\n"
	"       cubit runtime show NAME\n"
	"       cubit runtime test [--json] [--rootfs DIR] NAME... | --all\n"
	"\n"
	"  ls             the languages of this machine: name, aliases, image, and whether the image is there\n"
	"  show           the definition of one\n"
	"  test           run hello, an endless program and a greedy one of each in real sandboxes\n"
	"  --all          every language\n"
	"  --json         one JSON object instead of a table\n"
	"  --rootfs DIR   run in this root file system instead of the image\n"
	"  --help         print this and exit\n"
	"\n"
	"NAME is a name, an alias, or with a slash in it the path of a definition. Definitions are read from\n"
	"CUBIT_RUNTIMES and CUBIT_STATE/runtimes (*.json), above those built in.\n"
	"\n"
	"exit status: 0 all is well; 1 a test failed or a definition is bad; 2 bad usage; 3 an image is missing.\n";

int runtime_image_state(const char *image)
{
	struct image_record *record = NULL;
	struct store *store = NULL;
	char root[4096];
	int r;

	if (geteuid() != 0)
		return -1;
	(void)snprintf(root, sizeof(root), "%s/images", settings_used()->state_dir);
	if (access(root, F_OK) < 0)
		return 0; /* looking must not make a store */
	r = store_open(root, &store, NULL);
	if (r < 0)
		return -1;
	r = store_ref_get(store, image, &record, NULL);
	image_record_free(record);
	store_close(store);
	return r == 0 ? 1 : r == -ENOENT ? 0 : -1;
}

static int load(struct runtime_set **ret, struct error *err)
{
	struct settings_runtimes where;

	settings_runtimes(settings_used(), &where);
	return runtime_set_load(where.dirs, ret, err);
}

/* ---- ls ---- */

static const char *joined(char *const *list, struct buf *b)
{
	buf_reset(b);
	for (size_t i = 0; list && list[i]; i++)
		(void)buf_printf(b, "%s%s", i ? "," : "", list[i]); /* a shorter list is no harm */
	return b->size ? buf_str(b) : "-";
}

static void list_table(const struct runtime_set *set)
{
	static const char *const words[] = { "?", "no", "yes" };
	cleanup_buf struct buf b = BUF_INIT;
	const struct runtime_def *d;

	printf("%-12s %-28s %-32s %-7s %s\n", "NAME", "ALIASES", "IMAGE", "PRESENT", "FROM");
	for (size_t i = 0; (d = runtime_set_at(set, i)); i++)
		printf("%-12s %-28s %-32s %-7s %s\n", d->name, joined(d->aliases, &b), d->image,
		       words[runtime_image_state(d->image) + 1], d->origin);
}

static json_t *json_strings(char *const *list)
{
	json_t *array = json_array();

	for (size_t i = 0; list && list[i]; i++)
		(void)json_array_append_new(array, json_string(list[i])); /* out of memory: the dump fails */
	return array;
}

static int list_json(const struct runtime_set *set)
{
	json_t *runtimes = json_array(), *problems = json_array(), *all;
	const struct runtime_def *d;
	const char *problem;
	int r;

	for (size_t i = 0; (d = runtime_set_at(set, i)); i++) {
		int state = runtime_image_state(d->image);

		(void)json_array_append_new(runtimes,
					    json_pack("{s:s, s:s, s:o, s:s, s:o, s:b, s:s}", "name", d->name, "title",
						      d->title, "aliases", json_strings(d->aliases), "image", d->image,
						      "present", state < 0 ? json_null() : json_boolean(state),
						      "compiled", d->compile.argv != NULL, "origin", d->origin));
	}
	for (size_t i = 0; (problem = runtime_set_problem(set, i)); i++)
		(void)json_array_append_new(problems, json_string(problem));
	all = json_pack("{s:o, s:o}", "runtimes", runtimes, "problems", problems);
	r = all ? json_dumpf(all, stdout, JSON_INDENT(1)) : -1;
	putchar('\n');
	json_decref(all);
	return r;
}

static int ls(const struct runtime_set *set, const struct runtime_args *args)
{
	const char *problem;
	size_t n = 0;

	if (args->n_names > 0 || args->is_all || args->rootfs) {
		(void)fprintf(stderr, "cubit runtime ls: takes no name and only --json; try 'cubit runtime --help'\n");
		return EXIT_USAGE;
	}
	if (args->is_json) {
		if (list_json(set) < 0)
			return EXIT_NO;
	} else {
		list_table(set);
	}
	for (; (problem = runtime_set_problem(set, n)); n++)
		(void)fprintf(stderr, "cubit runtime: %s\n", problem);
	return n ? EXIT_NO : EXIT_YES;
}

/* ---- show ---- */

static int show(const struct runtime_set *set, const struct runtime_args *args)
{
	const struct runtime_def *d;

	if (args->n_names != 1 || args->is_all || args->is_json || args->rootfs) {
		(void)fprintf(stderr, "cubit runtime show: takes one name; try 'cubit runtime --help'\n");
		return EXIT_USAGE;
	}
	d = runtime_set_find(set, args->names[0]);
	if (!d) {
		(void)fprintf(stderr, "cubit runtime: no runtime '%.64s'; 'cubit runtime ls' lists them\n",
			      args->names[0]);
		return EXIT_NO;
	}
	(void)fputs(d->text, stdout);
	return EXIT_YES;
}

/* ---- the command line ---- */

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, const char *names[NAMES_MAX], struct runtime_args *ret)
{
	*ret = (struct runtime_args){ .names = names };
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			ret->is_json = true;
		} else if (strcmp(argv[i], "--all") == 0) {
			ret->is_all = true;
		} else if (strcmp(argv[i], "--rootfs") == 0 && i + 1 < argc) {
			ret->rootfs = argv[++i];
		} else if (argv[i][0] == '-' || ret->n_names == NAMES_MAX) {
			(void)fprintf(stderr, "cubit runtime: %s '%s'; try 'cubit runtime --help'\n",
				      strcmp(argv[i], "--rootfs") == 0 ? "no directory after" : "unknown option",
				      argv[i]);
			return EXIT_USAGE;
		} else {
			names[ret->n_names++] = argv[i];
		}
	}
	return -1;
}

static const struct {
	const char *name;
	int (*run)(const struct runtime_set *set, const struct runtime_args *args);
} subcommands[] = { { "ls", ls }, { "show", show }, { "test", runtime_test } };

int runtime_main(int argc, char **argv)
{
	static const char *names[NAMES_MAX];
	cleanup_runtime_set struct runtime_set *set = NULL;
	struct runtime_args args;
	struct error err = ERROR_INIT;
	size_t which = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			(void)fputs(usage, stdout);
			return EXIT_YES;
		}
	}
	while (argc > 1 && which < sizeof(subcommands) / sizeof(subcommands[0]) &&
	       strcmp(subcommands[which].name, argv[1]) != 0)
		which++;
	if (argc < 2 || which == sizeof(subcommands) / sizeof(subcommands[0])) {
		(void)fprintf(stderr, "cubit runtime: %s; try 'cubit runtime --help'\n",
			      argc < 2 ? "a command is missing: ls, show or test" : "there are ls, show and test");
		return EXIT_USAGE;
	}
	if (parse(argc, argv, names, &args) >= 0)
		return EXIT_USAGE;
	if (load(&set, &err) < 0) {
		(void)fprintf(stderr, "cubit runtime: %s\n", err.text);
		return EXIT_NO;
	}
	return subcommands[which].run(set, &args);
}
