/* Tables of subcommands and options: see family.h. */
#include "tools/cubit/family.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"

static const char *url, *key;
static bool is_json;

const struct family_option family_common[] = {
	{ "--url", "URL", FAMILY_TEXT, &url,
	  "the daemon: http://host:port or unix:/path (default ${CUBIT_URL}, then its socket)" },
	{ "--key", "KEY", FAMILY_SECRET, &key, "the key, or @FILE that holds it (default ${CUBIT_KEY})" },
	{ "--json", NULL, FAMILY_FLAG, &is_json, "print what the daemon answers, as JSON" },
	{ NULL },
};

static const struct family_option nothing[] = { { NULL } };

/* ---- help ---- */

static void print_options(FILE *to, const struct family_option *o)
{
	char left[64];

	for (; o && o->name; o++) {
		(void)snprintf(left, sizeof(left), "%s%s%s", o->name, o->argument ? " " : "",
			       o->argument ? o->argument : "");
		(void)fprintf(to, "  %-24s %s\n", left, o->help);
	}
}

static bool is_first_with(const struct family *f, const struct family_call *c)
{
	for (const struct family_call *other = f->calls; other != c; other++) {
		if (other->options == c->options)
			return false;
	}
	return c->options != NULL;
}

static void print_help(FILE *to, const struct family *f)
{
	for (const struct family_call *c = f->calls; c->run; c++)
		(void)fprintf(to, "%s cubit %s%s%s [OPTION...]%s%s\n", c == f->calls ? "usage:" : "      ", f->name,
			      *c->name ? " " : "", c->name, *c->arguments ? " " : "", c->arguments);
	(void)fprintf(to, "\n");
	for (const struct family_call *c = f->calls; c->run; c++) {
		if (*c->name)
			(void)fprintf(to, "  %-10s %s\n", c->name, c->help);
		else
			(void)fprintf(to, "%s\n", c->help);
	}
	for (const struct family_call *c = f->calls; c->run; c++) {
		if (!is_first_with(f, c))
			continue;
		(void)fprintf(to, "\noptions%s%s", *c->name ? " of " : "", c->name);
		for (const struct family_call *d = c + 1; d->run; d++) {
			if (d->options == c->options)
				(void)fprintf(to, ", %s", d->name);
		}
		(void)fprintf(to, ":\n");
		print_options(to, c->options);
	}
	(void)fprintf(to, "\noptions:\n");
	if (!f->is_local)
		print_options(to, family_common);
	(void)fprintf(to, "  %-24s %s\n", "--help", "print this and exit");
	if (!f->is_local && !f->exits)
		(void)fprintf(to, "\nexit status: 0 done; 1 it could not be done; 2 the command line was wrong;\n"
				  "3 the daemon cannot be reached, or it refused.\n");
	else if (f->exits)
		(void)fprintf(to, "\n%s", f->exits);
}

/* ---- the command line ---- */

static int usage(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int usage(const char *name, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "cubit %s: ", name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "; try 'cubit %.*s --help'\n", (int)strcspn(name, " "), name);
	return EXIT_USAGE;
}

static const struct family_option *find(const struct family_option *o, const char *word, const char **ret_value)
{
	for (; o->name; o++) {
		size_t n = strlen(o->name);

		if (strncmp(o->name, word, n) != 0 || (word[n] && word[n] != '='))
			continue;
		*ret_value = word[n] ? word + n + 1 : NULL;
		return o;
	}
	return NULL;
}

static bool take_value(const struct family_option *o, char *value)
{
	struct family_list *list = o->target;
	char *copy;

	switch (o->kind) {
	case FAMILY_TEXT:
		*(const char **)o->target = value;
		return true;
	case FAMILY_SECRET:
		copy = alloc_text(value);          /* for the life of the process */
		memset(value, '*', strlen(value)); /* ps(1) shows the command line */
		*(const char **)o->target = copy;
		return true;
	case FAMILY_LIST:
		if (list->n < FAMILY_LIST_MAX)
			list->items[list->n++] = value;
		else
			return false;
		return true;
	case FAMILY_FLAG:
		break;
	}
	return false;
}

/* Returns how many words it took, or -1 after a complaint. */
static int take_option(const struct invocation *v, const struct family *f, const struct family_call *c, int left,
		       char **argv)
{
	const char *attached = NULL;
	const struct family_option *o = find(c->options ? c->options : nothing, argv[0], &attached);

	if (!o && !f->is_local)
		o = find(family_common, argv[0], &attached);
	if (!o)
		return usage(v->name, "unknown option '%s'", argv[0]), -1;
	if (o->kind == FAMILY_FLAG) {
		if (attached)
			return usage(v->name, "%s takes no value", o->name), -1;
		*(bool *)o->target = true;
		return 1;
	}
	if (!attached && left < 2)
		return usage(v->name, "%s needs a value", o->name), -1;
	if (!take_value(o, attached ? argv[0] + strlen(o->name) + 1 : argv[1]))
		return usage(v->name, "too many of %s", o->name), -1;
	return attached ? 1 : 2;
}

/* argv: what follows the call's name. Returns -1 to go on. */
static int parse(struct invocation *v, const struct family *f, const struct family_call *c, int argc, char **argv)
{
	bool is_over = false;

	for (int i = 0; i < argc;) {
		bool is_option = !is_over && argv[i][0] == '-' && argv[i][1]; /* "-" alone is a file */
		int n = 1;

		if (is_option && strcmp(argv[i], "--") == 0) {
			is_over = true;
		} else if (is_option) {
			n = take_option(v, f, c, argc - i, argv + i);
		} else if (v->n == FAMILY_ARGUMENTS_MAX) {
			return usage(v->name, "too many arguments, from '%s' on", argv[i]);
		} else {
			v->arguments[v->n++] = argv[i];
		}
		if (n < 0)
			return EXIT_USAGE;
		i += n;
	}
	if (v->n < c->least || v->n > c->most)
		return usage(v->name, "%sit takes %s", v->n > c->most ? "too many arguments: " : "",
			     *c->arguments ? c->arguments : "no arguments");
	return -1;
}

static const struct family_call *find_call(const struct family *f, const char *name)
{
	for (const struct family_call *c = f->calls; c->run; c++) {
		if (!*c->name || (name && strcmp(c->name, name) == 0))
			return c;
	}
	return NULL;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

/*
 * A closed standard output must not become the number of the connection, which would then get the program's output. With
 * O_PATH writing still fails, open(2).
 */
static void fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_PATH | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	fd_close(&fd);
}

int family_main(const struct family *f, int argc, char **argv)
{
	const struct family_call *c = find_call(f, argc > 1 ? argv[1] : NULL);
	struct invocation v = { .client = NULL };
	struct error err = ERROR_INIT;
	char name[64];
	int status, first;

	if (wants_help(argc, argv)) {
		print_help(stdout, f);
		return EXIT_YES;
	}
	if (!c)
		return argc > 1 ? usage(f->name, "unknown command '%s'", argv[1])
				: usage(f->name, "%s", "a command is missing");
	(void)snprintf(name, sizeof(name), "%s%s%s", f->name, *c->name ? " " : "", c->name);
	v.name = name;
	first = *c->name ? 2 : 1;
	status = parse(&v, f, c, argc - first, argv + first);
	if (status >= 0)
		return status;
	v.is_json = is_json;
	fill_stdio();
	if (!f->is_local && client_new(url, key, &v.client, &err) < 0) {
		(void)fprintf(stderr, "cubit %s: %s\n", name, err.text);
		return EXIT_USAGE;
	}
	status = c->run(&v);
	client_free(v.client);
	return status;
}

int family_fail(const struct invocation *v, const struct error *e)
{
	const json_t *refusal = v->client ? client_refusal(v->client) : NULL;
	bool is_daemon = e->code == EPROTO || e->code == EAGAIN || e->code == ECONNREFUSED || e->code == ECONNRESET;

	if (v->is_json && refusal) {
		json_t *o = json_pack("{s:O}", "error", refusal);

		(void)json_dumpf(o, stdout, JSON_COMPACT); /* main checks the stream at the end */
		putchar('\n');
		json_decref(o);
	}
	(void)fprintf(stderr, "cubit %s: %s\n", v->name, e->text);
	return is_daemon ? EXIT_REFUSED : e->code == EINVAL ? EXIT_USAGE : EXIT_NO;
}
