/* Language definitions: what is taken, what is refused and with which words, how an argv is made of one. */
#include <errno.h>

#include "images/languages/runtime_argv.h"
#include "images/languages/runtime_def.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

#define TESTS          "\"test\":{\"hello\":\"h\",\"stdout\":\"o\",\"endless\":\"e\",\"hog\":\"g\"}"
#define HEAD           "\"name\":\"x\",\"image\":\"localhost/x\",\"file\":\"main.x\",\"version_command\":[\"x\",\"-v\"]"
#define RUN            "\"run\":{\"argv\":[\"x\",\"{file}\"]}"
#define DEF(more)      "{" HEAD "," RUN "," TESTS more "}"
#define WITH_RUN(run)  "{" HEAD ",\"run\":" run "," TESTS "}"
#define LIMITS(limits) WITH_RUN("{\"argv\":[\"{file}\"],\"limits\":{" limits "}}")
#define WITH(head)     "{" head "," RUN "," TESTS "}"
#define TWENTY         "aaaaaaaaaaaaaaaaaaaa"

static int parse(const char *text, struct runtime_def **ret, struct error *err)
{
	return runtime_def_parse(text, strlen(text), "x.json", ret, err);
}

/* clang-format off */
static const struct {
	const char *text, *message;
} bads[] = {
	{ "", "x.json: line 1, column 0: '[' or '{' expected near end of file" },
	{ "[]", "x.json: must be an object, is a list" },
	{ "{\"name\":\"x\",\"name\":\"y\"}", "x.json: line 1, column 18: duplicate object key near '\"name\"'" },
	{ "{}", "x.json: name: is missing" },
	{ DEF(",\"shell\":\"x\""), "x.json: shell: unknown field" },
	{ DEF(",\"title\":null"), "x.json: title: must be a string, is null" },
	{ DEF(",\"title\":\"\""), "x.json: title: is empty" },
	{ DEF(",\"title\":\"a\\u001bb\""), "x.json: title: has a control character in it" },
	{ DEF(",\"aliases\":\"y\""), "x.json: aliases: must be a list, is a string" },
	{ DEF(",\"aliases\":[\"y\",7]"), "x.json: aliases[1]: must be a string, is a whole number" },
	{ DEF(",\"aliases\":[\"Y\"]"), "x.json: aliases[0]: 'Y' does not start with a lower-case letter or a digit" },
	{ DEF(",\"aliases\":[\"a/b\"]"), "x.json: aliases[0]: 'a/b' has something else than a-z 0-9 -_.+# in it" },
	{ WITH("\"name\":\"\""), "x.json: name: '' does not start with a lower-case letter or a digit" },
	{ WITH("\"name\":\"c++\""), "x.json: name: 'c++' has something else than a-z 0-9 -_. in it" },
	{ WITH("\"name\":\"..\""), "x.json: name: '..' does not start with a lower-case letter or a digit" },
	{ WITH("\"name\":\"" TWENTY TWENTY "\""), "x.json: name: longer than 32 bytes" },
	{ WITH("\"name\":\"x\""), "x.json: image: is missing" },
	{ WITH("\"file\":\"../main.x\""), "x.json: file: '../main.x' is not a plain file name" },
	{ WITH("\"file\":\"-rf\""), "x.json: file: '-rf' is not a plain file name" },
	{ WITH("\"version_command\":[]"), "x.json: version_command: names no program" },
	{ WITH("\"version_command\":[\"\"]"), "x.json: version_command: names no program" },
	{ WITH("\"version_command\":\"x -v\""), "x.json: version_command: must be a list, is a string" },

	/* stages */
	{ WITH_RUN("\"x main.x\""), "x.json: run: must be an object, is a string" },
	{ WITH_RUN("{}"), "x.json: run.argv: is missing" },
	{ WITH_RUN("{\"argv\":[\"x\"]}"), "x.json: run.argv: has no {file} in it" },
	{ "{" HEAD ",\"compile\":{\"argv\":[\"{file}\"]},\"run\":{\"argv\":[\"x\"]}," TESTS "}",
	  "x.json: run.argv: has no {out} or {file} in it" },
	{ WITH_RUN("{\"argv\":[\"{args...}\",\"{file}\"]}"),
	  "x.json: run.argv: starts with {args...}: the program would be the request's" },
	{ WITH_RUN("{\"argv\":[\"x\",\"{file}\",\"{src}\"]}"),
	  "x.json: run.argv[2]: no placeholder '{src}': there are {file}, {stem}, {sources...}, {out}, {args...}, {memory_mib}, {heap_mib}, {soft_mib}, {eighth_mib} and {cpus}" },
	{ WITH_RUN("{\"argv\":[\"{out}\"]}"), "x.json: run.argv[0]: {out} has no meaning here" },
	{ WITH_RUN("{\"argv\":[\"{file}\",\"{sources...}\"]}"), "x.json: run.argv[1]: {sources...} has no meaning here" },
	{ DEF(",\"sources\":[\"c\"]"), "x.json: sources[0]: 'c' is no ending such as \".c\"" },
	{ DEF(",\"sources\":[\"./c\"]"), "x.json: sources[0]: './c' is no ending such as \".c\"" },
	{ WITH_RUN("{\"argv\":[\"{file}\",\"-a{args...}\"]}"), "x.json: run.argv[1]: {args...} must be an element of its own" },
	{ WITH_RUN("{\"argv\":[\"{file}\"],\"env\":{\"A=B\":\"c\"}}"), "x.json: run.env.A=B: is not the name of a variable" },
	{ WITH_RUN("{\"argv\":[\"{file}\"],\"env\":{\"A\":1}}"), "x.json: run.env.A: must be a string, is a whole number" },
	{ WITH_RUN("{\"argv\":[\"{file}\"],\"cwd\":\"/\"}"), "x.json: run.cwd: unknown field" },
	{ DEF(",\"compile\":{\"argv\":[\"cc\"]}"), "x.json: compile.argv: has no {file} in it" },
	{ DEF(",\"compile\":{\"argv\":[\"cc\",\"{file}\",\"{args...}\"]}"), "x.json: compile.argv[2]: {args...} has no meaning here" },
	{ DEF(",\"prestart\":{\"argv\":[\"x\",\"{file}\"]}"), "x.json: prestart.argv[1]: {file} has no meaning here" },
	{ DEF(",\"prestart\":{\"argv\":[\"x\"],\"limits\":{}}"), "x.json: prestart.limits: unknown field" },

	/* limits */
	{ LIMITS("\"wall_ms\":0"), "x.json: run.limits.wall_ms: 0 is not between 1 and 86400000" },
	{ LIMITS("\"wall_ms\":-1"), "x.json: run.limits.wall_ms: -1 is not between 1 and 86400000" },
	{ LIMITS("\"wall_ms\":\"5s\""), "x.json: run.limits.wall_ms: must be a whole number, is a string" },
	{ LIMITS("\"wall_ms\":1.5"), "x.json: run.limits.wall_ms: must be a whole number, is a number with a fraction" },
	{ LIMITS("\"memory\":true"), "x.json: run.limits.memory: must be bytes, such as 1048576 or \"256M\", is a boolean" },
	{ LIMITS("\"memory\":12"), "x.json: run.limits.memory: 12 is not between 4096 and 1125899906842624" },
	{ LIMITS("\"cpus\":[]"), "x.json: run.limits.cpus: must be a number of cpus, such as 1.5, is a list" },
	{ LIMITS("\"memory_mb\":5"), "x.json: run.limits.memory_mb: unknown field" },

	/* tests */
	{ "{" HEAD "," RUN "}", "x.json: test: is missing" },
	{ "{" HEAD "," RUN ",\"test\":{\"hello\":\"x\"}}", "x.json: test.stdout: is missing" },
	{ "{" HEAD "," RUN ",\"test\":{\"hello\":\"\"}}", "x.json: test.hello: is empty" },
};
/* clang-format on */

static void refusals(void)
{
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct runtime_def *def = NULL;
		struct error err = ERROR_INIT;
		int r = parse(bads[i].text, &def, &err);

		is_str(err.text, bads[i].message, "%s", bads[i].message);
		if (r != -EINVAL || def || parse(bads[i].text, &def, NULL) != r)
			ok(0, "... with EINVAL, nothing returned, and without a place for words too; got %d", r);
		runtime_def_free(def);
	}
}

/* Those whose words come from the parsers of numbers and references. */
static void foreign_words(void)
{
	static const struct {
		const char *text, *place;
	} rows[] = {
		{ LIMITS("\"memory\":\"lots\""), "x.json: run.limits.memory: " },
		{ LIMITS("\"cpus\":\"many\""), "x.json: run.limits.cpus: " },
		{ LIMITS("\"cpus\":0.001"), "x.json: run.limits.cpus: " },
		{ LIMITS("\"cpus\":1e300"), "x.json: run.limits.cpus: " },
		{ WITH("\"image\":\"Not An Image\""), "x.json: image: " },
		{ WITH("\"image\":\"\""), "x.json: image: " },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct runtime_def *def = NULL;
		struct error err = ERROR_INIT;

		is_int(parse(rows[i].text, &def, &err), -EINVAL, "refused: %s", rows[i].text + sizeof(HEAD));
		has_str(err.text, rows[i].place, "naming %s", rows[i].place);
		runtime_def_free(def);
	}
}

static const char everything[] =
	"{\"name\":\"x-1.2_b\",\"title\":\"The X\",\"aliases\":[\"x++\",\"x#\"],\"image\":\"reg.example:5000/a/x:7\","
	"\"file\":\"Main.x\",\"version_command\":[\"xc\",\"-V\"],"
	"\"compile\":{\"argv\":[\"xc\",\"-o{out}.o\",\"{file}\",\"{ not one }{}\"],\"env\":{\"A\":\"1\",\"B\":\"\"},"
	"\"limits\":{\"memory\":\"1G\",\"disk\":1048576,\"output\":\"64K\",\"cpus\":1.5,\"wall_ms\":1000,\"cpu_ms\":"
	"2000,"
	"\"processes\":10,\"open_files\":20}},"
	"\"run\":{\"argv\":[\"{out}\",\"{args...}\",\"\",\"{file}={file}\"],\"limits\":{\"cpus\":\"0.5\"}},"
	"\"prestart\":{\"argv\":[\"x\",\"--wait\"]}," TESTS "}";

static void understanding(void)
{
	struct runtime_def *d = NULL;
	struct error err = ERROR_INIT;
	const struct runtime_limits *l;

	need(parse(everything, &d, &err) == 0, "a definition that uses every field is read %s", err.text);
	l = &d->compile.limits;
	ok(strcmp(d->name, "x-1.2_b") == 0 && strcmp(d->title, "The X") == 0 && strcmp(d->file, "Main.x") == 0,
	   "words");
	ok(strcmp(d->aliases[1], "x#") == 0 && !d->aliases[2], "aliases end with NULL");
	is_str(d->image, "reg.example:5000/a/x:7", "the image");
	ok(l->memory_bytes == 1 << 30 && l->disk_bytes == 1 << 20 && l->output_bytes == 64 << 10,
	   "bytes as numbers and texts");
	ok(l->cpus_milli == 1500 && d->run.limits.cpus_milli == 500, "cpus as numbers and texts");
	ok(l->wall_ms == 1000 && l->cpu_ms == 2000 && l->processes == 10 && l->open_files == 20, "numbers");
	is_int(d->run.limits.memory_bytes, 0, "a limit that is not given is 0");
	ok(strcmp(d->compile.env[0], "A=1") == 0 && strcmp(d->compile.env[1], "B=") == 0 && !d->compile.env[2],
	   "variables");
	ok(d->prestart.argv && strcmp(d->prestart.argv[1], "--wait") == 0, "prestart");
	is_str(d->text, everything, "the text is kept as written");
	runtime_def_free(d);

	d = NULL;
	need(parse(DEF(""), &d, &err) == 0, "the least there can be is read %s", err.text);
	is_str(d->title, "x", "the title is then the name");
	is_str(d->image, "localhost/x:latest", "the image is named in full");
	ok(!d->compile.argv && !d->prestart.argv && !d->aliases, "there is no other stage");
	runtime_def_free(d);
	runtime_def_free(NULL);
}

static void check_argv(char **argv, const char *const *wanted, const char *title)
{
	size_t i = 0;

	while (argv && wanted[i] && argv[i] && strcmp(argv[i], wanted[i]) == 0)
		i++;
	ok(argv && !wanted[i] && !argv[i], "%s", title);
	runtime_argv_free(argv);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expanding(void)
{
	struct runtime_def *d = NULL;
	struct error err = ERROR_INIT;
	char **argv = NULL;

	need(parse(everything, &d, &err) == 0, "a definition");
	need(runtime_argv(d, &d->compile, LIST("unused"), &argv, &err) == 0, "an argv of the compiler");
	check_argv(argv, LIST("xc", "-o./program.o", "Main.x", "{ not one }{}"),
		   "names are put in, other braces are text");
	need(runtime_argv(d, &d->run, LIST("a b", "{file}", "$(x)"), &argv, &err) == 0, "an argv with arguments");
	check_argv(argv, LIST("./program", "a b", "{file}", "$(x)", "", "Main.x=Main.x"),
		   "arguments go in one by one, as they are");
	need(runtime_argv(d, &d->run, NULL, &argv, &err) == 0, "an argv without arguments");
	check_argv(argv, LIST("./program", "", "Main.x=Main.x"), "{args...} is then nothing at all");
	runtime_def_free(d);
}

static void sources(void)
{
	static const char text[] =
		DEF(",\"sources\":[\".x\",\".xx\"],\"compile\":{\"argv\":[\"xc\",\"{stem}.o\",\"{sources...}\"]}");
	const struct runtime_words words = { .file = "a.b/main.x", .sources = LIST("a.b/main.x", "-o.x", "z.xx") };
	const struct runtime_words bare = { .file = ".profile" };
	struct runtime_def *d = NULL;
	struct error err = ERROR_INIT;
	char **argv = NULL;

	need(parse(text, &d, &err) == 0, "a definition with sources %s", err.text);
	need(runtime_argv_of(&d->compile, &words, &argv, &err) == 0, "an argv with sources");
	check_argv(argv, LIST("xc", "a.b/main.o", "a.b/main.x", "./-o.x", "z.xx"),
		   "sources go in one by one, none of them an option");
	need(runtime_argv_of(&d->compile, &bare, &argv, &err) == 0, "an argv without them");
	check_argv(argv, LIST("xc", ".profile.o", ".profile"), "then the file is the one source, and has no ending");
	ok(runtime_is_source(d, "b.x") && runtime_is_source(d, "a/b.xx") && !runtime_is_source(d, ".x") &&
		   !runtime_is_source(d, "b.y") && !runtime_is_source(d, "bx"),
	   "a source is known by its ending");
	runtime_def_free(d);
}

static void bounds(void)
{
	char *text = malloc(RUNTIME_TEXT_MAX + 1);
	struct runtime_def *d = NULL;
	struct error err = ERROR_INIT;

	need(text, "memory");
	memset(text, ' ', RUNTIME_TEXT_MAX + 1);
	memcpy(text, DEF(""), sizeof(DEF("")) - 1);
	is_int(runtime_def_parse(text, RUNTIME_TEXT_MAX + 1, "x.json", &d, &err), -E2BIG, "a longer text is refused");
	is_str(err.text, "x.json: 262145 bytes, more than 262144", "saying how long it is");
	is_int(runtime_def_parse(text, RUNTIME_TEXT_MAX, "x.json", &d, &err), 0, "one that just fits is read");
	runtime_def_free(d);
	d = NULL;
	is_int(runtime_def_parse(NULL, 0, "x.json", &d, &err), -EINVAL, "no text at all is refused");
	is_int(runtime_def_parse(DEF("") "x", sizeof(DEF("")) - 1, "x.json", &d, &err), 0,
	       "what follows the text is not read");
	runtime_def_free(d);
	free(text);
}

static void versions(void)
{
	static const struct {
		const char *output, *version;
	} rows[] = {
		{ "Python 3.11.2\n", "3.11.2" },
		{ "v18.20.4\n", "18.20.4" },
		{ "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright", "12.2.0" },
		{ "go version go1.19.8 linux/amd64\n", "1.19.8" },
		{ "\nThis is perl 5, version 36, subversion 0 (v5.36.0)\n", "5.36.0" },
		{ "GNU bash, version 5.2.15(1)-release\n", "5.2.15" },
		{ "BusyBox v1.35.0 (Debian)\n", "1.35.0" },
		{ "version 7\nmore", "version 7" },
		{ "ends with 1.2.", "1.2" },
		{ "7.", "7." },
		{ "\x1b[31mred", "?[31mred" },
		{ "", "" },
	};
	char version[RUNTIME_VERSION_BYTES], longer[300];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		runtime_version_find(rows[i].output, version);
		is_str(version, rows[i].version, "version '%s'", rows[i].version);
	}
	memset(longer, '1', sizeof(longer) - 1);
	longer[1] = '.';
	longer[sizeof(longer) - 1] = '\0';
	runtime_version_find(longer, version);
	is_int(strlen(version), 60, "a longer one is cut");
}

int main(void)
{
	refusals();
	foreign_words();
	understanding();
	expanding();
	sources();
	bounds();
	versions();
	return done_testing();
}
