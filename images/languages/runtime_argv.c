/* Placeholders in the argv of a runtime, and versions in what it prints: see runtime_def.h. */
#include "images/languages/runtime_argv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/json_table.h"

enum { MEMORY_MIB_NORMAL = 256 };

enum placeholder {
	HOLD_NONE,
	HOLD_FILE,
	HOLD_STEM,
	HOLD_OUT,
	HOLD_ARGS,
	HOLD_SOURCES,
	HOLD_MEMORY,
	HOLD_HEAP,
	HOLD_SOFT,
	HOLD_EIGHTH,
	HOLD_CPUS,
	HOLD_UNKNOWN
};

/* What starts at text: a word of a-z and points in braces. Other braces are text. */
static enum placeholder find_placeholder(const char *text, size_t *ret_size)
{
	static const char *const words[] = {
		[HOLD_FILE] = "file",     [HOLD_STEM] = "stem",          [HOLD_OUT] = "out",
		[HOLD_ARGS] = "args...",  [HOLD_SOURCES] = "sources...", [HOLD_MEMORY] = "memory_mib",
		[HOLD_HEAP] = "heap_mib", [HOLD_SOFT] = "soft_mib",      [HOLD_EIGHTH] = "eighth_mib",
		[HOLD_CPUS] = "cpus"
	};
	size_t n = *text == '{' ? strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_.") : 0;

	if (n == 0 || text[n + 1] != '}')
		return HOLD_NONE;
	*ret_size = n + 2;
	for (int i = HOLD_FILE; i < HOLD_UNKNOWN; i++) {
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
			return json_refuse(r,
					   "no placeholder '%.*s': there are {file}, {stem}, {sources...}, {out}, "
					   "{args...}, {memory_mib}, "
					   "{heap_mib}, {soft_mib}, {eighth_mib} and {cpus}",
					   (int)size, p);
		if (!(allowed & 1U << h))
			return json_refuse(r, "%.*s has no meaning here", (int)size, p);
		if ((h == HOLD_ARGS || h == HOLD_SOURCES) && (p != element || p[size]))
			return json_refuse(r, "%.*s must be an element of its own", (int)size, p);
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
	const unsigned sources = d->sources ? 1U << HOLD_SOURCES : 0, stem = 1U << HOLD_STEM;
	const unsigned sizes =
		1U << HOLD_MEMORY | 1U << HOLD_HEAP | 1U << HOLD_SOFT | 1U << HOLD_EIGHTH | 1U << HOLD_CPUS;
	int e = check_argv(r, "version_command", d->version_command, 0, 0);

	if (e == 0)
		e = check_argv(r, "compile.argv", d->compile.argv, file | stem | out | sources | sizes, file | sources);
	if (e == 0)
		e = check_argv(r, "run.argv", d->run.argv, file | stem | out | args | sizes, file | out);
	if (e == 0)
		e = check_argv(r, "prestart.argv", d->prestart.argv, 0, 0);
	return e;
}

/* A path without the ending of its last component. */
static size_t stem_size(const char *file)
{
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file, *point = strrchr(name, '.');

	return point && point > name ? (size_t)(point - file) : strlen(file);
}

/* The heap: what is left of the memory for it beside code, stacks and buffers, by experience with V8. */
static uint64_t size_of(enum placeholder h, const struct runtime_words *words)
{
	uint64_t memory_mib = words->memory_mib ? words->memory_mib : MEMORY_MIB_NORMAL;

	switch (h) {
	case HOLD_MEMORY:
		return memory_mib;
	case HOLD_HEAP:
		return memory_mib < 16 ? 10 : memory_mib * 5 / 8;
	case HOLD_SOFT:
		return memory_mib * 9 / 10;
	case HOLD_EIGHTH:
		return memory_mib < 8 ? 1 : memory_mib / 8;
	default:
		return words->cpus ? words->cpus : 1;
	}
}

static bool is_size(enum placeholder h)
{
	return h == HOLD_MEMORY || h == HOLD_HEAP || h == HOLD_SOFT || h == HOLD_EIGHTH || h == HOLD_CPUS;
}

static int append_size(struct buf *b, enum placeholder h, const struct runtime_words *words)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)size_of(h, words));
	return buf_append_str(b, text);
}

char *runtime_env_of(const char *item, const struct runtime_words *words)
{
	cleanup_buf struct buf b = BUF_INIT;
	int e = 0;

	while (e == 0 && *item) {
		size_t size = 1;
		enum placeholder h = find_placeholder(item, &size);

		e = is_size(h) ? append_size(&b, h, words) : buf_append(&b, item, 1);
		item += is_size(h) ? size : 1;
	}
	return e < 0 ? NULL : b.size ? buf_take(&b) : strdup("");
}

bool runtime_is_sized(const struct runtime_stage *stage)
{
	for (char **item = stage->env; item && *item; item++) {
		for (const char *p = *item; *p; p++) {
			size_t size;

			if (is_size(find_placeholder(p, &size)))
				return true;
		}
	}
	return false;
}

static int append(struct buf *b, const struct runtime_words *words, const char *element)
{
	int e = 0;

	for (const char *p = element; e == 0 && *p;) {
		size_t size = 0;
		enum placeholder h = find_placeholder(p, &size);

		if (h == HOLD_FILE || h == HOLD_OUT) {
			e = buf_append_str(b, h == HOLD_FILE ? words->file : RUNTIME_OUT);
			p += size;
		} else if (h == HOLD_STEM) {
			e = buf_append(b, words->file, stem_size(words->file));
			p += size;
		} else if (is_size(h)) {
			e = append_size(b, h, words);
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
	const struct runtime_words words = {
		.file = def->file,
		.args = args,
		.memory_mib = stage->limits.memory_bytes >> 20,
		.cpus = (stage->limits.cpus_milli + 999) / 1000,
	};

	return runtime_argv_of(stage, &words, ret, err);
}

bool runtime_is_source(const struct runtime_def *def, const char *path)
{
	size_t size = strlen(path);

	for (char **s = def->sources; s && *s; s++) {
		size_t n = strlen(*s);

		if (size > n && strcmp(path + size - n, *s) == 0)
			return true;
	}
	return false;
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int add(char ***at, char *text)
{
	**at = text;
	if (!text)
		return -ENOMEM;
	++*at;
	return 0;
}

/* A path as an argument: no compiler shall take it for an option. */
static char *path_argument(const char *path)
{
	char *text;

	return asprintf(&text, "%s%s", *path == '-' ? "./" : "", path) < 0 ? NULL : text;
}

static int expand(char ***at, const char *element, const struct runtime_words *words)
{
	cleanup_buf struct buf b = BUF_INIT;
	const char *const *list;
	size_t size = 0;
	int e = 0;

	switch (find_placeholder(element, &size)) {
	case HOLD_ARGS:
		for (list = words->args; e == 0 && list && *list; list++)
			e = add(at, strdup(*list));
		return e;
	case HOLD_SOURCES:
		for (list = words->sources; e == 0 && *list; list++)
			e = add(at, path_argument(*list));
		return e;
	default:
		e = append(&b, words, element);
		return e < 0 ? e : add(at, b.size ? buf_take(&b) : strdup(""));
	}
}

int runtime_argv_of(const struct runtime_stage *stage, const struct runtime_words *words, char ***ret,
		    struct error *err)
{
	const char *const alone[] = { words->file, NULL };
	struct runtime_words all = *words;
	size_t n = count((const char *const *)stage->argv);
	char **argv, **at;
	int e = 0;

	if (!all.sources)
		all.sources = alone;
	argv = at = calloc(n * (1 + count(all.args) + count(all.sources)) + 1, sizeof(*argv));
	if (!argv)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; e == 0 && i < n; i++)
		e = expand(&at, stage->argv[i], &all);
	if (e < 0) {
		runtime_argv_free(argv);
		return error_set(err, ENOMEM, "out of memory");
	}
	*ret = argv;
	return 0;
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
