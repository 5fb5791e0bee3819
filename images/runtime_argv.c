/* Placeholders in the argv of a runtime, and versions in what it prints: see runtime_def.h. */
#include "images/runtime_argv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json_table.h"
#include "images/runtime_def.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"

enum placeholder { HOLD_NONE, HOLD_FILE, HOLD_OUT, HOLD_ARGS, HOLD_UNKNOWN };

/* What starts at text: a word of a-z and points in braces. Other braces are text. */
static enum placeholder find_placeholder(const char *text, size_t *ret_size)
{
	static const char *const words[] = { [HOLD_FILE] = "file", [HOLD_OUT] = "out", [HOLD_ARGS] = "args..." };
	size_t n = *text == '{' ? strspn(text + 1, "abcdefghijklmnopqrstuvwxyz.") : 0;

	if (n == 0 || text[n + 1] != '}')
		return HOLD_NONE;
	*ret_size = n + 2;
	for (int i = HOLD_FILE; i <= HOLD_ARGS; i++) {
		if (strlen(words[i]) == n && strncmp(words[i], text + 1, n) == 0)
			return (enum placeholder)i;
	}
	return HOLD_UNKNOWN;
}

/* allowed: bits of enum placeholder. found: the same, added to. */
static int check_element(struct json_reader *r, const char *element, unsigned allowed, unsigned *found)
{
	for (const char *p = element; *p; p++) {
		size_t size = 0;
		enum placeholder h = find_placeholder(p, &size);

		if (h == HOLD_NONE)
			continue;
		if (h == HOLD_UNKNOWN)
			return json_refuse(r, "no placeholder '%.*s': there are {file}, {out} and {args...}", (int)size,
					   p);
		if (!(allowed & 1U << h))
			return json_refuse(r, "%.*s has no meaning here", (int)size, p);
		if (h == HOLD_ARGS && (p != element || p[size]))
			return json_refuse(r, "{args...} must be an element of its own");
		*found |= 1U << h;
	}
	return 0;
}

/* wanted: at least one of these must be there. */
static int check_argv(struct json_reader *r, const char *place, char **argv, unsigned allowed, unsigned wanted)
{
	size_t before = json_enter(r, "%s", place);
	unsigned found = 0;

	for (size_t i = 0; argv && argv[i]; i++) {
		size_t list = json_enter(r, "[%zu]", i);
		int e = check_element(r, argv[i], allowed, &found);

		if (e < 0)
			return e;
		json_leave(r, list);
	}
	if (argv && argv[0] && strcmp(argv[0], "{args...}") == 0)
		return json_refuse(r, "starts with {args...}: the program would be the request's");
	if (argv && wanted && !(found & wanted))
		return json_refuse(r, "has no %s in it", wanted & 1U << HOLD_OUT ? "{out} or {file}" : "{file}");
	json_leave(r, before);
	return 0;
}

int runtime_argv_check(struct json_reader *r, const struct runtime_def *d)
{
	const unsigned file = 1U << HOLD_FILE, out = d->compile.argv ? 1U << HOLD_OUT : 0, args = 1U << HOLD_ARGS;
	int e = check_argv(r, "version_command", d->version_command, 0, 0);

	if (e == 0)
		e = check_argv(r, "compile.argv", d->compile.argv, file | out, file);
	if (e == 0)
		e = check_argv(r, "run.argv", d->run.argv, file | out | args, file | out);
	if (e == 0)
		e = check_argv(r, "prestart.argv", d->prestart.argv, 0, 0);
	return e;
}

static int append(struct buf *b, const char *file, const char *element)
{
	int e = 0;

	for (const char *p = element; e == 0 && *p;) {
		size_t size = 0;
		enum placeholder h = find_placeholder(p, &size);

		if (h == HOLD_FILE || h == HOLD_OUT) {
			e = buf_append_str(b, h == HOLD_FILE ? file : RUNTIME_OUT);
			p += size;
		} else {
			e = buf_append(b, p++, 1);
		}
	}
	return e;
}

int runtime_argv(const struct runtime_def *def, const struct runtime_stage *stage, const char *const *args, char ***ret,
		 struct error *err)
{
	return runtime_argv_of_file(stage, def->file, args, ret, err);
}

int runtime_argv_of_file(const struct runtime_stage *stage, const char *file, const char *const *args, char ***ret,
			 struct error *err)
{
	size_t n = 0, n_args = 0, at = 0;
	char **argv;

	while (stage->argv[n])
		n++;
	while (args && args[n_args])
		n_args++;
	argv = calloc(n * (n_args + 1) + 1, sizeof(*argv));
	if (!argv)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		cleanup_buf struct buf b = BUF_INIT;
		bool is_args = strcmp(stage->argv[i], "{args...}") == 0;

		for (size_t j = 0; is_args && j < n_args; j++) {
			argv[at] = strdup(args[j]);
			if (!argv[at++])
				goto no_memory;
		}
		if (is_args)
			continue;
		if (append(&b, file, stage->argv[i]) < 0)
			goto no_memory;
		argv[at] = b.size ? buf_take(&b) : strdup("");
		if (!argv[at++])
			goto no_memory;
	}
	*ret = argv;
	return 0;

no_memory:
	for (size_t i = 0; i < at; i++)
		free(argv[i]);
	free(argv);
	return error_set(err, ENOMEM, "out of memory");
}

void runtime_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

void runtime_version_find(const char *output, char ret[RUNTIME_VERSION_BYTES])
{
	static const char digits[] = "0123456789";
	size_t size = 0;

	for (const char *p = output; *p; p += size ? size : 1) {
		size = strspn(p, digits);
		if (size > 0 && p[size] == '.' && p[size + 1] && strchr(digits, p[size + 1])) {
			size = strspn(p, "0123456789.");
			while (p[size - 1] == '.')
				size--;
			(void)snprintf(ret, RUNTIME_VERSION_BYTES, "%.*s", (int)(size < 60 ? size : 60), p);
			return;
		}
	}
	size = strcspn(output, "\r\n");
	(void)snprintf(ret, RUNTIME_VERSION_BYTES, "%.*s", (int)(size < 60 ? size : 60), output);
	for (char *p = ret; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) /* it came out of a sandbox, and goes to a terminal */
			*p = '?';
	}
}
