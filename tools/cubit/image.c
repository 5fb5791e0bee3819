/*
 * cubit image: images on this machine.
 *
 * Works on the store directly, as root and without a daemon; the store's own locks keep several of us apart. What comes
 * from a registry is fetched by `cubit-worker fetch` and unpacked by a worker too, neither with privilege.
 */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "images/ref.h"
#include "images/store/store.h"
#include "images/whole/image.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "supervisor/settings.h"
#include "tools/cubit/command.h"
#include "tools/cubit/progress.h"

enum { ARGUMENTS_MAX = 64, NO_PATH = ARGUMENTS_MAX };

/* One call: its options and what is left of the arguments. */
struct call {
	const char *root, *platform_text;
	bool is_json, is_quiet;
	const char *arguments[ARGUMENTS_MAX];
	size_t n_arguments;
	struct store *store;
	struct progress progress;
	struct image_options options;
};

typedef int call_fn(struct call *c, struct error *err);

static call_fn do_pull, do_push, do_load, do_save, do_ls, do_inspect, do_tag, do_rm, do_gc;

static const struct {
	const char *name, *arguments;
	size_t least, most;
	size_t path_at; /* which argument is a path; NO_PATH: all are names */
	call_fn *run;
	const char *help;
} calls[] = {
	{ "pull", "NAME...", 1, ARGUMENTS_MAX, NO_PATH, do_pull, "fetch images from their registries and unpack them" },
	{ "push", "NAME [AS]", 1, 2, NO_PATH, do_push, "send an image to a registry, under its own name or another" },
	{ "load", "PATH [NAME]", 1, 2, 0, do_load,
	  "take images from an OCI layout or a docker archive: a directory or a tar" },
	{ "save", "NAME PATH", 2, 2, 1, do_save, "write an OCI layout: a directory, or a tar when PATH ends in .tar" },
	{ "ls", "", 0, 0, NO_PATH, do_ls, "list images" },
	{ "inspect", "NAME...", 1, ARGUMENTS_MAX, NO_PATH, do_inspect, "print what is known about images, as JSON" },
	{ "tag", "NAME AS", 2, 2, NO_PATH, do_tag, "give an image another name" },
	{ "rm", "NAME...", 1, ARGUMENTS_MAX, NO_PATH, do_rm, "forget names; gc then frees the space" },
	{ "gc", "", 0, 0, NO_PATH, do_gc, "remove blobs and layers that no image and no running work needs" },
};

/* Exactly one of value and flag is set. */
static const struct {
	const char *name, *argument;
	size_t value, flag;
	const char *help;
} options[] = {
	{ "--store", "DIR", offsetof(struct call, root), 0, "where images are kept (default ${CUBIT_STATE}/images)" },
	{ "--platform", "P", offsetof(struct call, platform_text), 0,
	  "os/architecture[/variant] (default: this machine's)" },
	{ "--json", NULL, 0, offsetof(struct call, is_json), "print JSON, progress and results, one object a line" },
	{ "--quiet", NULL, 0, offsetof(struct call, is_quiet), "no progress" },
};

enum { CALLS = sizeof(calls) / sizeof(calls[0]), OPTIONS = sizeof(options) / sizeof(options[0]) };

static_assert(sizeof(struct call) < 65536, "it lives on the stack");

/* ---- results -------------------------------------------------------------------------------------------------- */

static void print_object(json_t *o)
{
	if (o)
		(void)json_dumpf(o, stdout, JSON_COMPACT); /* main checks the stream at the end */
	json_decref(o);
	putchar('\n');
}

static json_t *record_json(const struct image_record *r)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "event", "image", "name", r->name, "manifest",
			 r->manifest.text, "config", r->config.text, "layers", (json_int_t)r->n_layers, "size_bytes",
			 (json_int_t)r->size_bytes, "created_s", (json_int_t)r->created_s);
}

static void print_record(const struct image_record *r, void *arg)
{
	struct call *c = arg;

	progress_done(&c->progress);
	if (c->is_json)
		print_object(record_json(r));
	else
		printf("%s %s\n", r->name, r->manifest.text);
	(void)fflush(stdout);
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

/* The canonical name of what was typed. */
static int store_name(const char *text, char ret[REF_TEXT_BYTES], struct error *err)
{
	struct image_ref ref;
	int r = image_ref_parse(text, &ref, err);

	if (r == 0)
		image_ref_store_name(&ref, ret);
	return r;
}

static int do_pull(struct call *c, struct error *err)
{
	for (size_t i = 0; i < c->n_arguments; i++) {
		struct image_record *record = NULL;
		struct image_ref ref;
		int r = image_ref_parse(c->arguments[i], &ref, err);

		if (r == 0)
			r = image_pull(c->store, &ref, &c->options, &record, err);
		if (r != 0)
			return r;
		print_record(record, c);
		image_record_free(record);
	}
	return 0;
}

static int do_push(struct call *c, struct error *err)
{
	char name[REF_TEXT_BYTES];
	struct image_record *record = NULL;
	struct image_ref to;
	int r = store_name(c->arguments[0], name, err);

	if (r == 0)
		r = image_ref_parse(c->arguments[c->n_arguments - 1], &to, err);
	if (r == 0)
		r = image_push(c->store, name, &to, &c->options, err);
	if (r == 0)
		r = store_ref_get(c->store, name, &record, err);
	if (r == 0) {
		image_ref_text(&to, name);
		(void)snprintf(record->name, sizeof(record->name), "%.511s", name);
		print_record(record, c);
		image_record_free(record);
	}
	return r;
}

static int do_load(struct call *c, struct error *err)
{
	struct image_ref name;
	bool has_name = c->n_arguments == 2;
	int r = has_name ? image_ref_parse(c->arguments[1], &name, err) : 0;

	if (r < 0)
		return r;
	return image_load(c->store, c->arguments[0], has_name ? &name : NULL, &c->options, print_record, c, err);
}

static int do_save(struct call *c, struct error *err)
{
	char name[REF_TEXT_BYTES];
	int r = store_name(c->arguments[0], name, err);

	return r < 0 ? r : image_save(c->store, name, c->arguments[1], &c->options, err);
}

static int list_one(const struct image_record *r, void *arg)
{
	const struct call *c = arg;
	char size[24], when[32] = "-";
	time_t at = (time_t)r->created_s;
	struct tm tm;

	if (c->is_json) {
		print_object(record_json(r));
		return 0;
	}
	progress_bytes(r->size_bytes, size);
	if (gmtime_r(&at, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	printf("%-50s %.12s  %6zu  %10s  %s\n", r->name, digest_hex(&r->manifest), r->n_layers, size, when);
	return 0;
}

static int do_ls(struct call *c, struct error *err)
{
	if (!c->is_json)
		printf("%-50s %-12s  %6s  %10s  %s\n", "NAME", "MANIFEST", "LAYERS", "COMPRESSED", "TAKEN IN (UTC)");
	return store_ref_each(c->store, list_one, c, err);
}

static int do_inspect(struct call *c, struct error *err)
{
	for (size_t i = 0; i < c->n_arguments; i++) {
		cleanup_buf struct buf text = BUF_INIT;
		struct image_record *record = NULL;
		char name[REF_TEXT_BYTES];
		int r = store_name(c->arguments[i], name, err);

		if (r == 0)
			r = store_ref_get(c->store, name, &record, err);
		if (r == 0)
			r = image_inspect(c->store, record, &text, err);
		image_record_free(record);
		if (r < 0)
			return r;
		puts(buf_str(&text));
	}
	return 0;
}

static int do_tag(struct call *c, struct error *err)
{
	char name[REF_TEXT_BYTES];
	struct image_ref as;
	int r = store_name(c->arguments[0], name, err);

	if (r == 0)
		r = image_ref_parse(c->arguments[1], &as, err);
	return r < 0 ? r : image_tag(c->store, name, &as, err);
}

static int do_rm(struct call *c, struct error *err)
{
	for (size_t i = 0; i < c->n_arguments; i++) {
		char name[REF_TEXT_BYTES];
		int r = store_name(c->arguments[i], name, err);

		if (r == 0)
			r = store_ref_remove(c->store, name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int do_gc(struct call *c, struct error *err)
{
	struct store_gc_result g = { 0 };
	char size[24];
	int r = store_gc(c->store, &g, err);

	if (r < 0)
		return r;
	progress_bytes(g.bytes, size);
	if (c->is_json)
		print_object(json_pack("{s:s, s:I, s:I, s:I}", "event", "gc", "blobs", (json_int_t)g.blobs, "layers",
				       (json_int_t)g.layers, "bytes", (json_int_t)g.bytes));
	else
		printf("removed %llu blobs and %llu layers, %s\n", (unsigned long long)g.blobs,
		       (unsigned long long)g.layers, size);
	return 0;
}

/* ---- the command line ----------------------------------------------------------------------------------------- */

static void print_help(FILE *to)
{
	(void)fprintf(to, "usage: cubit image COMMAND [OPTION...] [ARGUMENT...]\n\ncommands:\n");
	for (size_t i = 0; i < CALLS; i++)
		(void)fprintf(to, "  %-8s %-12s %s\n", calls[i].name, calls[i].arguments, calls[i].help);
	(void)fprintf(to, "\noptions:\n");
	for (size_t i = 0; i < OPTIONS; i++)
		(void)fprintf(to, "  %-10s %-10s %s\n", options[i].name, options[i].argument ? options[i].argument : "",
			      options[i].help);
	(void)fprintf(to, "  %-10s %-10s %s\n", "--help", "", "print this and exit");
	(void)fprintf(to, "\nenvironment: CUBIT_STATE, CUBIT_REGISTRY_MIRRORS, CUBIT_INSECURE_REGISTRIES,\n"
			  "CUBIT_REGISTRY_AUTH_FILE, CUBIT_REGISTRY_TIMEOUT_S, CUBIT_LAYER_MAX,\nCUBIT_LAYER_RATIO: "
			  "see cubit-image(1).\n"
			  "exit status: 0 done; 1 it could not be done; 2 the command line was wrong.\n");
}

/* Returns how many arguments it took, 0 when it is no option, -1 after a complaint. */
static int take_option(struct call *c, int left, char **argv)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		size_t n = strlen(options[i].name);
		bool has_equals = strncmp(argv[0], options[i].name, n) == 0 && argv[0][n] == '=';

		if (strcmp(argv[0], options[i].name) != 0 && !(has_equals && options[i].argument))
			continue;
		if (!options[i].argument) {
			*(bool *)((char *)c + options[i].flag) = true;
			return 1;
		}
		if (!has_equals && left < 2) {
			(void)fprintf(stderr, "cubit image: %s needs %s\n", options[i].name, options[i].argument);
			return -1;
		}
		*(const char **)(void *)((char *)c + options[i].value) = has_equals ? argv[0] + n + 1 : argv[1];
		return has_equals ? 1 : 2;
	}
	return 0;
}

static int parse(struct call *c, int argc, char **argv)
{
	bool is_over = false;

	for (int i = 2; i < argc;) {
		int n = is_over || argv[i][0] != '-' ? 0 : take_option(c, argc - i, argv + i);

		if (n < 0)
			return EXIT_USAGE;
		if (n == 0 && !is_over && strcmp(argv[i], "--") == 0) {
			is_over = true;
			n = 1;
		} else if (n == 0 && !is_over && argv[i][0] == '-') {
			(void)fprintf(stderr, "cubit image: unknown option '%s'; try 'cubit image --help'\n", argv[i]);
			return EXIT_USAGE;
		} else if (n == 0) {
			if (c->n_arguments < ARGUMENTS_MAX)
				c->arguments[c->n_arguments] = argv[i];
			c->n_arguments++; /* too many are complained about by the caller */
			n = 1;
		}
		i += n;
	}
	return -1;
}

static int open_store(struct call *c, struct error *err)
{
	char root[4096];

	(void)snprintf(root, sizeof(root), "%s/images", settings_used()->state_dir);
	return store_open(c->root ? c->root : root, &c->store, err);
}

static int complain(struct call *c, const char *name, const struct error *e, int status)
{
	progress_done(&c->progress);
	if (c->is_json)
		print_object(json_pack("{s:s, s:s, s:i}", "event", "error", "text", e->text, "errno", e->code));
	(void)fprintf(stderr, "cubit image %s: %s\n", name, e->text);
	return status;
}

/* What was typed is checked before the store is touched. */
static int check_words(struct call *c, size_t path_at, struct error *err)
{
	platform_host(&c->options.platform);
	c->options.layer_max = settings_used()->layer_max;
	c->options.layer_ratio = settings_used()->layer_ratio;
	if (c->platform_text && platform_parse(c->platform_text, &c->options.platform, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < c->n_arguments; i++) {
		struct image_ref ref;

		if (i != path_at && image_ref_parse(c->arguments[i], &ref, err) < 0)
			return -EINVAL;
	}
	return 0;
}

int image_main(int argc, char **argv)
{
	struct call c = { .root = NULL };
	struct error err = ERROR_INIT;
	size_t i = 0;
	int r;

	for (int k = 1; k < argc; k++) {
		if (strcmp(argv[k], "--help") == 0) {
			print_help(stdout);
			return EXIT_YES;
		}
	}
	while (argc >= 2 && i < CALLS && strcmp(calls[i].name, argv[1]) != 0)
		i++;
	if (argc < 2 || i == CALLS) {
		(void)fprintf(stderr,
			      argc < 2 ? "cubit image: a command is missing; try 'cubit image --help'\n"
				       : "cubit image: unknown command '%s'; try 'cubit image --help'\n",
			      argc < 2 ? "" : argv[1]);
		return EXIT_USAGE;
	}
	r = parse(&c, argc, argv);
	if (r >= 0)
		return r;
	if (c.n_arguments < calls[i].least || c.n_arguments > calls[i].most) {
		(void)fprintf(stderr, "usage: cubit image %s %s\n", calls[i].name, calls[i].arguments);
		return EXIT_USAGE;
	}
	progress_init(&c.progress, c.is_json, c.is_quiet);
	c.options.event = progress_event;
	c.options.arg = &c.progress;
	if (check_words(&c, calls[i].path_at, &err) < 0)
		return complain(&c, calls[i].name, &err, EXIT_USAGE);
	r = open_store(&c, &err);
	if (r == 0)
		r = calls[i].run(&c, &err);
	store_close(c.store);
	return r < 0 ? complain(&c, calls[i].name, &err, EXIT_NO) : EXIT_YES;
}
