/* Requests to run something: what is taken, what is refused and with which words, and that nothing is lost on the way.
 */
#include "supervisor/spec/spec.h"

#include <errno.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "tests/tap.h"
#include "tests/unit/supervisor/spec/spec_fixture.h"

static int parse_sized(const char *text, size_t size, bool is_queued, struct job_spec **ret, char field[160],
		       struct error *err)
{
	struct job_context context = { .settings = &settings, .runtimes = runtimes, .is_queued = is_queued };
	char *exact = malloc(size ? size : 1); /* so that a sanitizer sees one byte past it */
	int e;

	if (!exact)
		abort();
	memcpy(exact, text, size);
	e = job_spec_parse(exact, size, &context, ret, field, err);
	free(exact);
	return e;
}

#define PY(more)      "{\"runtime\":\"py\",\"source\":\"1\"" more "}"
#define FILES(more)   "{\"runtime\":\"py\",\"files\":[" more "]}"
#define FILE_(path)   "{\"path\":\"" path "\",\"content\":\"\"}"
#define LIMITS(more)  PY(",\"limits\":{" more "}")
#define CALLBACK(url) PY(",\"callback\":{\"url\":\"" url "\"}")
#define TEN(x)        x x x x x x x x x x
#define LONG_NAME     TEN(TEN("a")) TEN(TEN("b")) TEN(TEN("c"))

/* clang-format off */
static const struct {
	const char *text;
	int code;
	const char *field, *message;
} bads[] = {
	/* the whole */
	{ "", EINVAL, "", "the request: line 1, column 0: '[' or '{' expected near end of file" },
	{ "[]", EINVAL, "", "the request: must be an object, is a list" },
	{ "\xef\xbb\xbf{\"runtime\":\"py\",\"source\":\"1\"}", EINVAL, "", "the request: begins with a byte order mark; JSON has none, RFC 8259 section 8.1" },
	{ "{", EINVAL, "", "the request: line 1, column 1: string or '}' expected near end of file" },
	{ "{\"", EINVAL, "", "the request: line 1, column 2: premature end of input near '\"'" },
	{ "{\"runtime\":\"py\",\"runtime\":\"c\"}", EINVAL, "", "the request: line 1, column 25: duplicate object key near '\"runtime\"'" },
	{ PY(",\"args\":[\"a\\u0000b\"]"), EINVAL, "", "the request: line 1, column 47: \\u0000 cannot be in a text; contents with it go as base64" },
	{ "{\"runtime\":\"py\",\"source\":\"\xff\"}", EINVAL, "", "the request: line 1, column 26: unable to decode byte 0xff near '\"'" },
	{ TEN(TEN("[")), EINVAL, "", "the request: nested deeper than 16 levels" },
	{ PY(",\"sauce\":1"), EINVAL, "sauce", "sauce: unknown field" },
	{ "{\"source\":\"1\"}", EINVAL, "runtime", "runtime: is missing" },
	{ "{\"runtime\":null,\"source\":\"1\"}", EINVAL, "runtime", "runtime: is missing" },
	{ "{\"runtime\":7,\"source\":\"1\"}", EINVAL, "runtime", "runtime: must be a string, is a whole number" },
	{ "{\"runtime\":\"cobol\",\"source\":\"1\"}", ENOENT, "runtime",
	  "runtime: there is no 'cobol'; there are bash, c, cpp, go, java, lua, node, perl, php, python, python-numpy, ruby, typescript" },
	{ "{\"runtime\":\"\\u001b[31m\",\"source\":\"1\"}", ENOENT, "runtime", "runtime: there is no '?[31m'; there are bash, c, cpp, go, java, lua, node, perl, php, python, python-numpy, ruby, typescript" },

	/* files */
	{ "{\"runtime\":\"py\"}", EINVAL, "source", "source: is missing: give source or files" },
	{ PY(",\"files\":[" FILE_("a") "]"), EINVAL, "source", "source: source and files exclude each other" },
	{ FILES(""), EINVAL, "files", "files: is empty: there is nothing to run" },
	{ FILES("7"), EINVAL, "files[0]", "files[0]: must be an object, is a whole number" },
	{ FILES("{\"path\":\"a\"}"), EINVAL, "files[0].content", "files[0].content: is missing" },
	{ FILES("{\"content\":\"a\"}"), EINVAL, "files[0].path", "files[0].path: is missing" },
	{ FILES("{\"path\":\"a\",\"content\":\"\",\"owner\":1}"), EINVAL, "files[0].owner", "files[0].owner: unknown field" },
	{ FILES("{\"path\":\"a\",\"content\":\"YQ=\",\"encoding\":\"base64\"}"), EINVAL, "files[0].content",
	  "files[0].content: is not base64 (A-Z a-z 0-9 + /, padded with =, without blanks)" },
	{ FILES("{\"path\":\"a\",\"content\":\"\",\"encoding\":\"hex\"}"), EINVAL, "files[0].encoding", "files[0].encoding: 'hex' is neither utf-8 nor base64" },
	{ FILES("{\"path\":\"a\",\"content\":\"\",\"mode\":\"4755\"}"), EINVAL, "files[0].mode", "files[0].mode: is neither \"0644\" nor \"0755\"" },
	{ FILES("{\"path\":\"a\",\"content\":\"\",\"mode\":755}"), EINVAL, "files[0].mode", "files[0].mode: is neither \"0644\" nor \"0755\"" },
	{ FILES(FILE_("")), EINVAL, "files[0].path", "files[0].path: is empty" },
	{ FILES(FILE_("/etc/passwd")), EINVAL, "files[0].path", "files[0].path: '/etc/passwd' is not relative to /work" },
	{ FILES(FILE_("a//b")), EINVAL, "files[0].path", "files[0].path: 'a//b' has an empty component" },
	{ FILES(FILE_("a/")), EINVAL, "files[0].path", "files[0].path: 'a/' has an empty component" },
	{ FILES(FILE_("./a")), EINVAL, "files[0].path", "files[0].path: './a' has a component '.' or '..'" },
	{ FILES(FILE_("a/../../b")), EINVAL, "files[0].path", "files[0].path: 'a/../../b' has a component '.' or '..'" },
	{ FILES(FILE_("..")), EINVAL, "files[0].path", "files[0].path: '..' has a component '.' or '..'" },
	{ FILES(FILE_("a\\nb")), EINVAL, "files[0].path", "files[0].path: has a control character in it" },
	{ FILES(FILE_("a\\u007f")), EINVAL, "files[0].path", "files[0].path: has a control character in it" },
	{ FILES(FILE_("a\\u0000b")), EINVAL, "", "the request: line 1, column 43: \\u0000 cannot be in a text; contents with it go as base64" },
	{ FILES(FILE_(LONG_NAME LONG_NAME)), EINVAL, "files[0].path", "files[0].path: longer than 512 bytes" },
	{ FILES(FILE_("x/" LONG_NAME)), EINVAL, "files[0].path",
	  "files[0].path: 'x/" TEN("aaaaaaa") "aaaaaaaa' has a component longer than 255 bytes" },
	{ FILES(FILE_("a") "," FILE_("b") "," FILE_("a")), EINVAL, "files[2].path", "files[2].path: 'a' is given twice" },
	{ FILES(FILE_("a") "," FILE_("a-b") "," FILE_("a/b")), EINVAL, "files[2].path", "files[2].path: 'a/b' lies in 'a', which is a file" },
	{ FILES(FILE_("a/b/c") "," FILE_("a/b")), EINVAL, "files[1].path", "files[1].path: 'a/b' is a file, and 'a/b/c' lies in it" },

	/* what the process gets */
	{ PY(",\"args\":\"a b\""), EINVAL, "args", "args: must be a list, is a string" },
	{ PY(",\"args\":[\"a\",1]"), EINVAL, "args[1]", "args[1]: must be a string, is a whole number" },
	{ PY(",\"env\":{\"A\":1}"), EINVAL, "env.A", "env.A: must be a string, is a whole number" },
	{ PY(",\"env\":{\"A=B\":\"\"}"), EINVAL, "env.A=B", "env.A=B: is not the name of a variable (A-Z a-z 0-9 _, not a digit first)" },
	{ PY(",\"env\":{\"1A\":\"\"}"), EINVAL, "env.1A", "env.1A: is not the name of a variable (A-Z a-z 0-9 _, not a digit first)" },
	{ PY(",\"env\":{\"\":\"\"}"), EINVAL, "env.", "env.: is not the name of a variable (A-Z a-z 0-9 _, not a digit first)" },
	{ PY(",\"stdin\":7"), EINVAL, "stdin", "stdin: must be a string, is a whole number" },
	{ PY(",\"stdin\":\"a\",\"stdin_encoding\":\"base64\""), EINVAL, "stdin", "stdin: is not base64 (A-Z a-z 0-9 + /, padded with =, without blanks)" },
	{ PY(",\"stdin_encoding\":\"latin1\""), EINVAL, "stdin_encoding", "stdin_encoding: 'latin1' is neither utf-8 nor base64" },
	{ PY(",\"policy\":\"none\""), EINVAL, "policy", "policy: there is no 'none'" },
	{ PY(",\"policy\":\"../x\""), EINVAL, "policy", "policy: '../x' is not a name" },
	{ PY(",\"network\":\"host\""), EINVAL, "network", "network: 'host' does not exist: a job has the network \"none\"" },
	{ PY(",\"outputs\":[\"../*\"]"), EINVAL, "outputs[0]", "outputs[0]: '../*' has a component '.' or '..'" },
	{ PY(",\"outputs\":[\"\"]"), EINVAL, "outputs[0]", "outputs[0]: is empty" },
	{ PY(",\"live\":1"), EINVAL, "live", "live: must be true or false, is a whole number" },
	{ PY(",\"main\":\"../a\""), EINVAL, "main", "main: '../a' has a component '.' or '..'" },
	{ FILES(FILE_("a.py") "],\"main\":\"b.py\",\"args\":["), EINVAL, "main", "main: 'b.py' is none of the files" },
	{ LIMITS("\"stack\":65535"), EINVAL, "limits.stack", "limits.stack: 65535 is below the minimum of 65536" },
	{ LIMITS("\"file_size\":2147483648"), ERANGE, "limits.file_size", "limits.file_size: 2147483648 is above the ceiling of 1073741824 (CUBIT_MAX_DISK)" },
	{ PY(",\"interactive\":1"), EINVAL, "interactive", "interactive: must be true or false, is a whole number" },
	{ PY(",\"tty\":{\"cols\":0}"), EINVAL, "tty.cols", "tty.cols: 0 is not between 1 and 1000" },
	{ PY(",\"tty\":true"), EINVAL, "tty", "tty: must be an object, is a boolean" },

	/* limits */
	{ LIMITS("\"memory\":2147483648"), ERANGE, "limits.memory", "limits.memory: 2147483648 is above the ceiling of 1073741824 (CUBIT_MAX_MEMORY)" },
	{ LIMITS("\"memory\":\"2G\""), ERANGE, "limits.memory", "limits.memory: 2147483648 is above the ceiling of 1073741824 (CUBIT_MAX_MEMORY)" },
	{ LIMITS("\"wall_ms\":6.0001e4"), ERANGE, "limits.wall_ms", "limits.wall_ms: 60001 is above the ceiling of 60000 (CUBIT_MAX_WALL)" },
	{ LIMITS("\"wall_ms\":60001.0"), ERANGE, "limits.wall_ms", "limits.wall_ms: 60001 is above the ceiling of 60000 (CUBIT_MAX_WALL)" },
	{ LIMITS("\"wall_ms\":2000.5"), EINVAL, "limits.wall_ms", "limits.wall_ms: must be a whole number, is a number with a fraction" },
	{ LIMITS("\"wall_ms\":60001"), ERANGE, "limits.wall_ms", "limits.wall_ms: 60001 is above the ceiling of 60000 (CUBIT_MAX_WALL)" },
	{ LIMITS("\"cpu_ms\":60001"), ERANGE, "limits.cpu_ms", "limits.cpu_ms: 60001 is above the ceiling of 60000 (CUBIT_MAX_WALL)" },
	{ LIMITS("\"output\":16777217"), ERANGE, "limits.output", "limits.output: 16777217 is above the ceiling of 16777216 (CUBIT_MAX_OUTPUT)" },
	{ LIMITS("\"disk\":\"2G\""), ERANGE, "limits.disk", "limits.disk: 2147483648 is above the ceiling of 1073741824 (CUBIT_MAX_DISK)" },
	{ LIMITS("\"processes\":513"), ERANGE, "limits.processes", "limits.processes: 513 is above the ceiling of 512 (CUBIT_MAX_PROCESSES)" },
	{ LIMITS("\"open_files\":9223372036854775807"), ERANGE, "limits.open_files", "limits.open_files: 9223372036854775807 is above the ceiling of 4096 (CUBIT_MAX_OPEN_FILES)" },
	{ LIMITS("\"cpus\":2.501"), ERANGE, "limits.cpus", "limits.cpus: 2.501 is above the ceiling of 2.5 (CUBIT_MAX_CPUS)" },
	{ PY(",\"compile_limits\":{\"memory\":\"2G\"}"), ERANGE, "compile_limits.memory", "compile_limits.memory: 2147483648 is above the ceiling of 1073741824 (CUBIT_MAX_MEMORY)" },
	{ LIMITS("\"wall_ms\":0"), EINVAL, "limits.wall_ms", "limits.wall_ms: 0 is below the minimum of 1" },
	{ LIMITS("\"memory\":0"), EINVAL, "limits.memory", "limits.memory: 0 is below the minimum of 1048576" },
	{ LIMITS("\"memory\":-1"), EINVAL, "limits.memory", "limits.memory: -1 is below 0" },
	{ LIMITS("\"memory\":1.5"), EINVAL, "limits.memory", "limits.memory: must be bytes, such as 1048576 or \"64M\", is a number with a fraction" },
	{ LIMITS("\"cpus\":0"), EINVAL, "limits.cpus", "limits.cpus: 0 is below the minimum of 0.01" },
	{ LIMITS("\"cpus\":-1e300"), EINVAL, "limits.cpus", "limits.cpus: -1e+300 is not a number of cpus" },
	{ LIMITS("\"cpus\":\"1\""), EINVAL, "limits.cpus", "limits.cpus: must be a number of cpus, such as 0.5, is a string" },
	{ LIMITS("\"wall_ms\":1.5"), EINVAL, "limits.wall_ms", "limits.wall_ms: must be a whole number, is a number with a fraction" },
	{ LIMITS("\"memory_mb\":1"), EINVAL, "limits.memory_mb", "limits.memory_mb: unknown field" },
	{ PY(",\"limits\":[]"), EINVAL, "limits", "limits: must be an object, is a list" },

	/* only queued */
	{ PY(",\"priority\":1"), EINVAL, "priority", "priority: only a queued job has one (POST /v1/jobs)" },
	{ PY(",\"delay_ms\":1"), EINVAL, "delay_ms", "delay_ms: only a queued job has one (POST /v1/jobs)" },
	{ PY(",\"retention_ms\":1000"), EINVAL, "retention_ms", "retention_ms: only a queued job has one (POST /v1/jobs)" },
	{ CALLBACK("https://example.org/"), EINVAL, "callback", "callback: only a queued job has one (POST /v1/jobs)" },
}, queued_bads[] = {
	{ PY(",\"priority\":101"), EINVAL, "priority", "priority: 101 is not between -100 and 100" },
	{ PY(",\"priority\":-101"), EINVAL, "priority", "priority: -101 is not between -100 and 100" },
	{ PY(",\"delay_ms\":-1"), EINVAL, "delay_ms", "delay_ms: -1 is not between 0 and 604800000" },
	{ PY(",\"retention_ms\":999"), EINVAL, "retention_ms", "retention_ms: 999 is below the minimum of 1000" },
	{ PY(",\"retention_ms\":3600001"), ERANGE, "retention_ms", "retention_ms: 3600001 is above the ceiling of 3600000 (CUBIT_RETENTION)" },
	{ PY(",\"retention_ms\":\"1h\""), EINVAL, "retention_ms", "retention_ms: must be a whole number, is a string" },
	{ PY(",\"callback\":\"https://example.org/\""), EINVAL, "callback", "callback: must be an object, is a string" },
	{ PY(",\"callback\":{}"), EINVAL, "callback.url", "callback.url: is missing" },
	{ CALLBACK("file:///etc/passwd"), EINVAL, "callback.url", "callback.url: is neither http:// nor https://" },
	{ CALLBACK("gopher://example.org/"), EINVAL, "callback.url", "callback.url: is neither http:// nor https://" },
	{ CALLBACK("https://me:secret@example.org/"), EINVAL, "callback.url", "callback.url: has a user name or a password in it; use the secret to sign what is sent" },
	{ CALLBACK("https://me@example.org/"), EINVAL, "callback.url", "callback.url: has a user name or a password in it; use the secret to sign what is sent" },
	{ CALLBACK("https://example.org/a b"), EINVAL, "callback.url", "callback.url: has a character that must be percent-encoded in a URL" },
	{ CALLBACK("https://example.org/\\r\\nHost: x"), EINVAL, "callback.url", "callback.url: has a character that must be percent-encoded in a URL" },
	{ CALLBACK("https://ex\xc3\xa4mple.org/"), EINVAL, "callback.url", "callback.url: has a character that must be percent-encoded in a URL" },
	{ CALLBACK("example.org"), EINVAL, "callback.url", "callback.url: is not a URL: Bad scheme" },
	{ CALLBACK("https://"), EINVAL, "callback.url", "callback.url: is not a URL: No host part in the URL" },
	{ CALLBACK(""), EINVAL, "callback.url", "callback.url: is empty" },
	{ CALLBACK("https://" LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME LONG_NAME), EINVAL, "callback.url", "callback.url: longer than 2048 bytes" },
	{ PY(",\"callback\":{\"url\":\"http://a/\",\"secret\":\"\"}"), EINVAL, "callback.secret", "callback.secret: is not between 1 and 256 bytes long" },
	{ PY(",\"callback\":{\"url\":\"http://a/\",\"secret\":\"" LONG_NAME "\"}"), EINVAL, "callback.secret", "callback.secret: is not between 1 and 256 bytes long" },
	{ PY(",\"callback\":{\"url\":\"http://a/\",\"retries\":1}"), EINVAL, "callback.retries", "callback.retries: unknown field" },
};
/* clang-format on */

static void refuse(const char *text, size_t size, bool is_queued, int code, const char *want_field, const char *message)
{
	struct error err = ERROR_INIT;
	struct job_spec *s = NULL;
	char field[160] = "?";
	int e = parse_sized(text, size, is_queued, &s, field, &err);

	ok(e == -code && !s && err.code == code, "refused with %d: %.60s", code, message);
	is_str(field, want_field, "and the field is named");
	is_str(err.text, message, "and why");
	job_spec_free(s);
}

static void refusals(void)
{
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		refuse(bads[i].text, strlen(bads[i].text), false, bads[i].code, bads[i].field, bads[i].message);
	for (size_t i = 0; i < sizeof(queued_bads) / sizeof(queued_bads[0]); i++)
		refuse(queued_bads[i].text, strlen(queued_bads[i].text), true, queued_bads[i].code,
		       queued_bads[i].field, queued_bads[i].message);
}

/* Text made of a head, one piece many times, and a tail. */
static void refuse_many(const char *head, const char *piece, size_t times, const char *tail, int code,
			const char *field, const char *message)
{
	cleanup_buf struct buf b = BUF_INIT;

	(void)buf_append_str(&b, head);
	for (size_t i = 0; i < times; i++)
		(void)buf_append_str(&b, piece);
	(void)buf_append_str(&b, tail);
	refuse(b.data, b.size, false, code, field, message);
}

static void bounds(void)
{
	refuse_many("", "[", 10000, "", EINVAL, "", "the request: nested deeper than 16 levels");
	refuse_many("{\"a\":", "{\"a\":", 1000000, "", EINVAL, "", "the request: nested deeper than 16 levels");
	refuse_many("{\"args\":[0", ",0", 1000000, "]}", E2BIG, "", "the request: more than 32768 values");
	refuse_many("", " ", (16 << 20) + 16385, "", E2BIG, "",
		    "the request: 16793601 bytes, more than 16777216 (CUBIT_MAX_BODY)");
	refuse_many("{\"runtime\":\"py\",\"source\":\"1\",\"args\":[\"a\"", ",\"a\"", 256, "]}", EINVAL, "args",
		    "args: 257 of them, more than 256");
	refuse_many("{\"runtime\":\"py\",\"source\":\"1\",\"outputs\":[\"a\"", ",\"a\"", 32, "]}", EINVAL, "outputs",
		    "outputs: 33 of them, more than 32");
	refuse_many("{\"runtime\":\"py\",\"files\":[{}", ",{}", 256, "]}", E2BIG, "files",
		    "files: 257 of them, more than 256");
	refuse_many("{\"runtime\":\"py\",\"source\":\"1\",\"args\":[\"", "x", 65536, "\"]}", E2BIG, "args",
		    "args: args and env have 65537 bytes together, more than 65536");
	refuse_many("{\"runtime\":\"py\",\"source\":\"1\",\"env\":{\"A\":\"", "x", 65534, "\"}}", E2BIG, "env",
		    "env: args and env have 65537 bytes together, more than 65536");
	refuse_many("{\"runtime\":\"py\",\"limits\":{\"disk\":65536},\"source\":\"", "x", 65537, "\"}", E2BIG,
		    "limits.disk", "limits.disk: the files of the request alone have 65537 bytes, more than 65536");
	/* quotes and backslashes do not hide the depth, nor make it up */
	refuse_many("{\"a\":\"\\\\\",\"b\":", "[", 17, "", EINVAL, "", "the request: nested deeper than 16 levels");
	refuse_many("{\"runtime\":\"py\",\"source\":\"\\\"", "[", 10000, "\"}x", EINVAL, "",
		    "the request: line 1, column 10031: end of file expected near 'x'");
}

static void two_hundred_variables(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	(void)buf_append_str(&b, "{\"runtime\":\"py\",\"source\":\"1\",\"env\":{");
	for (int i = 0; i < 129; i++)
		(void)buf_printf(&b, "%s\"V%d\":\"\"", i ? "," : "", i);
	(void)buf_append_str(&b, "}}");
	refuse(b.data, b.size, false, E2BIG, "env", "env: 129 of them, more than 128");
}

static struct job_spec *take(const char *text)
{
	struct error err = ERROR_INIT;
	struct job_spec *s = NULL;
	int e = parse_sized(text, strlen(text), true, &s, NULL, &err);

	if (e < 0)
		need(false, "taken: %.80s %s", text, err.text);
	return s;
}

static void everything(void)
{
	struct job_spec *s = take(
		"{\"runtime\":\"gcc\",\"files\":[{\"path\":\"lib/\xc3\xa4.h\",\"content\":\"AAEC/"
		"w==\",\"encoding\":\"base64\"},"
		"{\"path\":\"main.c\",\"content\":\"int\\tmain\",\"mode\":\"0755\"}],\"args\":[\"-x\",\"\",\"{file}\"],"
		"\"stdin\":\"AAo=\",\"stdin_encoding\":\"base64\",\"env\":{\"_B\":\"2=3\",\"A1\":\"\"},\"policy\":"
		"\"strict\","
		"\"network\":\"none\",\"limits\":{\"cpu_ms\":1000,\"wall_ms\":2000,\"memory\":\"64M\",\"processes\":3,"
		"\"output\":10,\"disk\":65536,\"open_files\":20,\"cpus\":0.25},\"compile_limits\":{\"memory\":"
		"1073741824},"
		"\"outputs\":[\"*.png\"],\"interactive\":true,\"tty\":{\"cols\":132},\"priority\":-7,\"delay_ms\":250,"
		"\"retention_ms\":3600000,\"callback\":{\"url\":\"https://[::1]:8443/x?y=1\",\"secret\":\"s\"}}");

	is_str(s->runtime, "c", "an alias becomes the name");
	is_int(s->n_files, 2, "both files");
	is_int(s->main_file, 1, "the one the runtime asks for is the main one");
	ok(s->files[0].size == 4 && memcmp(s->files[0].data, "\0\1\2\377", 4) == 0, "bytes through base64, NUL too");
	is_str(s->files[0].path, "lib/\xc3\xa4.h", "a path in any script");
	ok(s->files[0].mode == 0644 && s->files[1].mode == 0755, "modes");
	ok(s->input_size == 2 && memcmp(s->input, "\0\n", 2) == 0, "standard input, with a NUL");
	ok(strcmp(s->args[0], "-x") == 0 && !s->args[1][0] && strcmp(s->args[2], "{file}") == 0 && !s->args[3],
	   "arguments as they are");
	ok(strcmp(s->env[0], "A1=") == 0 && strcmp(s->env[1], "_B=2=3") == 0 && !s->env[2], "variables, sorted");
	is_str(s->policy, "strict", "policy");
	is_int(s->limits.cpu_ns, 1000000000, "cpu time");
	is_int(s->limits.wall_ns, 2000000000, "wall time");
	is_int(s->limits.memory_bytes, 64 << 20, "memory as a text");
	is_int(s->limits.output_bytes, 10, "output");
	ok(s->limits.processes == 3 && s->limits.open_files == 20 && s->limits.cpus_milli == 250, "the small ones");
	is_int(s->compile_limits.memory_bytes, 1 << 30, "compile memory at the ceiling");
	is_int(s->compile_limits.wall_ns, 10000000000, "the compile time of the definition");
	ok(s->limits.disk_bytes == 65536 && s->compile_limits.disk_bytes == 64 << 20, "the disk of a stage is its own");
	ok(s->is_interactive && s->has_tty && s->cols == 132 && s->rows == 24, "a terminal, its rows not said");
	ok(s->priority == -7 && s->delay_ms == 250 && s->retention_ms == 3600000, "when, and for how long");
	is_str(s->callback_url, "https://[::1]:8443/x?y=1", "whom to tell");
	is_str(s->callback_secret, "s", "and how to sign it");
	ok(job_output_matches(s, "a.png") && !job_output_matches(s, "a/a.png"), "outputs");
	job_spec_free(s);
}

static void little(void)
{
	struct job_spec *s = take(
		"{\"runtime\":\"python\",\"source\":\"\",\"stdin\":\"\",\"limits\":{\"memory\":null},\"env\":null}");

	ok(s->n_files == 1 && strcmp(s->files[0].path, "main.py") == 0 && s->files[0].size == 0,
	   "an empty program is one; its file has the name the runtime asks for");
	ok(!s->args[0] && !s->env[0] && !s->outputs[0] && !s->input && !s->callback_url, "nothing else is there");
	is_str(s->policy, "default", "the policy has a default");
	is_int(s->limits.wall_ns / NS_PER_MS, 5000, "RUN_TIMEOUT_MS");
	is_int(s->limits.cpu_ns / NS_PER_MS, 5000, "and as much cpu");
	is_int(s->limits.memory_bytes, 256 << 20, "MAX_MEM_MB");
	is_int(s->limits.cpus_milli, 1000, "MAX_VCPUS");
	ok(s->limits.processes == 64 && s->limits.open_files == 256 && s->limits.disk_bytes == 64 << 20 &&
		   s->limits.output_bytes == 1 << 20,
	   "64 processes, 256 files, 64 MiB of disk, 1 MiB of output");
	is_int(s->compile_limits.wall_ns / NS_PER_MS, 10000, "a compile stage has 10 s when nobody says");
	job_spec_free(s);

	s = take("{\"runtime\":\"py\",\"limits\":{\"wall_ms\":700},\"files\":[" FILE_("-b.py") "," FILE_("a.py") "]}");
	is_int(s->main_file, 0, "without a file of that name the first is the main one");
	is_int(s->limits.cpu_ns / NS_PER_MS, 700, "without a word on cpu time it follows the wall time");
	job_spec_free(s);

	s = take("{\"runtime\":\"java\",\"source\":\"x\",\"compile_limits\":{\"wall_ms\":30000}}");
	is_int(s->limits.memory_bytes, 512 << 20, "the definition goes before the settings");
	is_int(s->compile_limits.wall_ns / NS_PER_MS, 30000, "the request before the definition");
	is_int(s->compile_limits.cpu_ns / NS_PER_MS, 20000, "field by field");
	job_spec_free(s);

	s = take(PY(",\"limits\":{\"disk\":\"1M\"},\"compile_limits\":{\"disk\":\"2M\"}"));
	ok(s->limits.disk_bytes == 1 << 20 && s->compile_limits.disk_bytes == 2 << 20,
	   "each stage has the disk that was said");
	job_spec_free(s);

	settings.max_memory = 300 << 20;
	settings.max_wall_ns = 1500 * NS_PER_MS + 7;
	s = take("{\"runtime\":\"java\",\"source\":\"x\"}");
	is_int(s->limits.memory_bytes, 300 << 20, "a definition above the ceiling is lowered to it");
	is_int(s->compile_limits.wall_ns, 1500 * NS_PER_MS, "in whole milliseconds");
	job_spec_free(s);
	settings.max_memory = 1 << 30;
	settings.max_wall_ns = 60 * NS_PER_S;
}

static bool is_even(const char *name, void *arg)
{
	(void)arg;
	return strlen(name) % 2 == 0;
}

static void policies(void)
{
	struct job_context context = { .settings = &settings, .runtimes = runtimes, .has_policy = is_even };
	struct job_spec *s = NULL;
	const char *text = PY(",\"policy\":\"four\"");

	is_int(job_spec_parse(text, strlen(text), &context, &s, NULL, NULL), 0, "the caller knows its policies");
	job_spec_free(s);
	text = PY(",\"policy\":\"fiver\"");
	is_int(job_spec_parse(text, strlen(text), &context, &s, NULL, NULL), -EINVAL, "and those that are none");
}

/* ---- the main file, and live output ---- */

static void main_files(void)
{
	struct job_spec *s =
		take("{\"runtime\":\"py\",\"main\":\"b.py\",\"files\":[" FILE_("main.py") "," FILE_("b.py") "]}");

	is_int(s->main_file, 1, "main names the main file, whatever the others are called");
	job_spec_free(s);
	s = take(PY(",\"main\":\"src/app.py\""));
	is_str(s->files[0].path, "src/app.py", "and how the source is called");
	job_spec_free(s);
}

static const struct {
	bool is_watched;
	const char *more;
	bool want;
	const char *title;
} lives[] = {
	{ false, "", false, "nobody looks on: not live" },
	{ true, "", true, "somebody may look on: live" },
	{ true, ",\"live\":false", false, "the request goes before that" },
	{ false, ",\"live\":true", true, "both ways" },
	{ false, ",\"interactive\":true", true, "who answers has to see it" },
	{ false, ",\"interactive\":true,\"live\":false", false, "unless they said that they need not" },
};

static void live_output(void)
{
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		struct job_context context = { .settings = &settings,
					       .runtimes = runtimes,
					       .is_queued = true,
					       .is_watched = lives[i].is_watched };
		struct job_spec *s = NULL, *again = NULL;
		struct error err = ERROR_INIT;
		char text[200], *kept;

		(void)snprintf(text, sizeof(text), PY("%s"), lives[i].more);
		need(job_spec_parse(text, strlen(text), &context, &s, NULL, &err) == 0, "%s %s", text, err.text);
		ok(s->is_live == lives[i].want, "%s", lives[i].title);
		kept = job_spec_text(s, NULL);
		context.is_watched = !lives[i].is_watched; /* what was settled is not asked again */
		context.is_stored = true;
		need(kept && job_spec_parse(kept, strlen(kept), &context, &again, NULL, &err) == 0, "kept %s",
		     err.text);
		ok(again->is_live == lives[i].want, "... and so it stays in what is kept");
		free(kept);
		job_spec_free(s);
		job_spec_free(again);
	}
}

/* ---- canonical text ---- */

static bool is_same_text(const char *a, const char *b, char fingerprints[2][65])
{
	struct job_spec *x = take(a), *y = take(b);
	char *tx = job_spec_text(x, NULL), *ty = job_spec_text(y, NULL);
	bool is_same = tx && ty && strcmp(tx, ty) == 0;

	job_spec_fingerprint(x, fingerprints[0]);
	job_spec_fingerprint(y, fingerprints[1]);
	free(tx);
	free(ty);
	job_spec_free(x);
	job_spec_free(y);
	return is_same;
}

static void canonical(void)
{
	char prints[2][65];

	ok(is_same_text(
		   "{\"runtime\":\"py\",\"source\":\"a\",\"env\":{\"A\":\"1\",\"B\":\"2\"}}",
		   "{ \"env\": {\"B\":\"2\",\"A\":\"\\u0031\"}, "
		   "\"files\":[{\"content\":\"YQ==\",\"encoding\":\"base64\","
		   "\"path\":\"main.py\",\"mode\":420}], \"runtime\":\"python3\",\"limits\":{\"memory\":\"256M\"}, "
		   "\"stdin\":\"\",\"policy\":\"default\",\"tty\":null}",
		   prints),
	   "the same request in other words has the same text");
	is_str(prints[0], prints[1], "and the same fingerprint");
	is_int(strlen(prints[0]), 64, "of 64 digits");
	ok(!is_same_text(PY(""), PY(",\"stdin\":\"x\""), prints), "another one has another text");
	ok(strcmp(prints[0], prints[1]) != 0, "and another fingerprint");
}

static uint32_t seed = 99;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* A JSON string of all kinds of characters that may be in one. */
static void add_text(struct buf *b, uint32_t max, bool is_path)
{
	static const char *const any[] = { "a",    "B",   "7",       "-",        "\\\"",
					   "\\\\", "\\n", "\\u0001", "\xc3\xa4", "\xf0\x9f\x98\x80",
					   "{",    "\\t", " ",       "=",        "/" };
	static const char *const path[] = { "a", "B", "7", "-",    "_",   "\xc3\xa4", "\xf0\x9f\x98\x80",
					    " ", "=", "{", "\\\\", "\\\"" };
	uint32_t n = rnd(max + 1);

	(void)buf_append_str(b, "\"");
	if (is_path)
		(void)buf_printf(b, "f%u", rnd(1000000));
	for (uint32_t i = 0; i < n; i++)
		(void)buf_append_str(b, is_path ? path[rnd(sizeof(path) / sizeof(path[0]))]
						: any[rnd(sizeof(any) / sizeof(any[0]))]);
	(void)buf_append_str(b, "\"");
}

static void add_content(struct buf *b, const char *key, const char *encoding_key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)buf_printf(b, "\"%s\":", key);
	if (rnd(2)) {
		add_text(b, 40, false);
		return;
	}
	(void)buf_append_str(b, "\"");
	for (uint32_t i = 4 * rnd(20); i > 0; i--)
		(void)buf_append(b, &digits[rnd(64)], 1);
	(void)buf_printf(b, "%s\",\"%s\":\"base64\"", rnd(2) ? "QUI=" : "", encoding_key);
}

static void add_list(struct buf *b, const char *key, uint32_t max, bool is_path)
{
	uint32_t n = rnd(max + 1);

	(void)buf_printf(b, ",\"%s\":[", key);
	for (uint32_t i = 0; i < n; i++) {
		(void)buf_append_str(b, i ? "," : "");
		add_text(b, 10, is_path);
	}
	(void)buf_append_str(b, "]");
}

static void add_limits(struct buf *b, const char *key)
{
	static const struct {
		const char *key;
		uint32_t min, max;
	} limits[] = { { "cpu_ms", 1, 60000 },    { "wall_ms", 1, 60000 },        { "memory", 1 << 20, 1 << 30 },
		       { "output", 1, 16 << 20 }, { "disk", 1 << 20, 1 << 30 },   { "processes", 1, 512 },
		       { "open_files", 8, 4096 }, { "stack", 64 << 10, 1 << 30 }, { "file_size", 1, 1 << 30 } };
	const char *sep = "";

	(void)buf_printf(b, ",\"%s\":{", key);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (rnd(2)) {
			(void)buf_printf(b, "%s\"%s\":%u", sep, limits[i].key,
					 limits[i].min + rnd(limits[i].max - limits[i].min + 1));
			sep = ",";
		}
	}
	if (rnd(2))
		(void)buf_printf(b, "%s\"cpus\":%u.%03u", sep, rnd(2), 10 + rnd(990));
	(void)buf_append_str(b, "}");
}

static void make_request(struct buf *b)
{
	static const char *const names[] = { "py", "c", "java", "node", "golang", "bash" };

	(void)buf_printf(b, "{\"runtime\":\"%s\",", names[rnd(4)]);
	if (rnd(2)) {
		uint32_t n = 1 + rnd(6);

		(void)buf_append_str(b, "\"files\":[");
		for (uint32_t i = 0; i < n; i++) {
			(void)buf_printf(b, "%s{\"path\":", i ? "," : "");
			if (i == 1 && rnd(2))
				(void)buf_append_str(b, rnd(2) ? "\"main.py\"" : "\"main.c\"");
			else
				add_text(b, 20, true);
			(void)buf_append_str(b, ",");
			add_content(b, "content", "encoding");
			(void)buf_printf(b, "%s}", rnd(2) ? ",\"mode\":493" : "");
		}
		(void)buf_append_str(b, "]");
	} else {
		(void)buf_append_str(b, "\"source\":");
		add_text(b, 200, false);
	}
	if (rnd(2))
		add_list(b, "args", 6, false);
	if (rnd(2))
		add_list(b, "outputs", 4, true);
	if (rnd(2)) {
		(void)buf_append_str(b, ",");
		add_content(b, "stdin", "stdin_encoding");
	}
	if (rnd(2)) {
		(void)buf_append_str(b, ",\"env\":{\"Z\":\"1\",\"A_\":");
		add_text(b, 10, false);
		(void)buf_append_str(b, "}");
	}
	if (rnd(2))
		add_limits(b, "limits");
	if (rnd(2))
		add_limits(b, "compile_limits");
	if (rnd(2))
		(void)buf_append_str(b, rnd(2) ? ",\"interactive\":true" : ",\"interactive\":false");
	if (rnd(2))
		(void)buf_append_str(b, rnd(2) ? ",\"live\":true" : ",\"live\":false");
	if (rnd(2))
		(void)buf_printf(b, ",\"tty\":{\"rows\":%u}", 1 + rnd(1000));
	if (rnd(2))
		(void)buf_printf(b, ",\"priority\":%d,\"delay_ms\":%u,\"retention_ms\":%u", (int)rnd(201) - 100,
				 rnd(1000), 1000 + rnd(1000));
	if (rnd(2))
		(void)buf_append_str(b, ",\"callback\":{\"url\":\"http://a.example/\\u0041\"}");
	(void)buf_append_str(b, "}");
}

static bool is_same_limits(const struct job_limits *a, const struct job_limits *b)
{
	return a->cpu_ns == b->cpu_ns && a->wall_ns == b->wall_ns && a->memory_bytes == b->memory_bytes &&
	       a->output_bytes == b->output_bytes && a->disk_bytes == b->disk_bytes && a->processes == b->processes &&
	       a->open_files == b->open_files && a->cpus_milli == b->cpus_milli && a->stack_bytes == b->stack_bytes &&
	       a->file_bytes == b->file_bytes;
}

static bool is_same_spec(const struct job_spec *a, const struct job_spec *b)
{
	if (strcmp(a->runtime, b->runtime) != 0 || strcmp(a->policy, b->policy) != 0 || a->n_files != b->n_files ||
	    a->main_file != b->main_file || !is_same_limits(&a->limits, &b->limits) ||
	    !is_same_limits(&a->compile_limits, &b->compile_limits) || a->is_interactive != b->is_interactive ||
	    a->is_live != b->is_live || a->has_tty != b->has_tty || a->cols != b->cols || a->rows != b->rows ||
	    a->priority != b->priority || a->delay_ms != b->delay_ms || a->retention_ms != b->retention_ms ||
	    a->input_size != b->input_size || !a->input != !b->input || !a->callback_url != !b->callback_url)
		return false;
	if (a->input && memcmp(a->input, b->input, a->input_size) != 0)
		return false;
	if (a->callback_url && strcmp(a->callback_url, b->callback_url) != 0)
		return false;
	for (size_t i = 0; i < a->n_files; i++) {
		if (strcmp(a->files[i].path, b->files[i].path) != 0 || a->files[i].size != b->files[i].size ||
		    a->files[i].mode != b->files[i].mode ||
		    memcmp(a->files[i].data, b->files[i].data, a->files[i].size) != 0)
			return false;
	}
	for (int k = 0; k < 3; k++) {
		char **x = k == 0 ? a->args : k == 1 ? a->env : a->outputs;
		char **y = k == 0 ? b->args : k == 1 ? b->env : b->outputs;

		while (*x && *y && strcmp(*x, *y) == 0) {
			x++;
			y++;
		}
		if (*x || *y)
			return false;
	}
	return true;
}

static bool is_round(const char *text, size_t size)
{
	struct job_spec *a = NULL, *b = NULL;
	struct error err = ERROR_INIT;
	char *first = NULL, *second = NULL;
	size_t n = 0;
	bool is_ok = parse_sized(text, size, true, &a, NULL, &err) == 0;

	if (is_ok) {
		first = job_spec_text(a, &n);
		is_ok = first && n == strlen(first) && parse_sized(first, n, true, &b, NULL, &err) == 0;
	}
	if (is_ok) {
		second = job_spec_text(b, NULL);
		is_ok = second && strcmp(first, second) == 0 && is_same_spec(a, b) && n < size + 16384;
	}
	if (!is_ok)
		diag("%s\n# %.*s\n# %s\n# %s", err.text, (int)size, text, first ? first : "", second ? second : "");
	free(first);
	free(second);
	job_spec_free(a);
	job_spec_free(b);
	return is_ok;
}

static void round_trips(void)
{
	int n_bad = 0;

	for (int i = 0; i < 3000 && n_bad < 3; i++) {
		cleanup_buf struct buf b = BUF_INIT;

		make_request(&b);
		n_bad += !is_round(b.data, b.size);
	}
	is_int(n_bad, 0, "3000 requests of all kinds come back from their text as they were, to the byte");
}

/* The worst for a text: control characters, which JSON makes six of. */
static void largest(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	(void)buf_append_str(&b, "{\"runtime\":\"py\",\"source\":\"");
	while (b.size < 16 << 20)
		(void)buf_append_str(&b, b.size % 2 ? "\\u0001" : "\\u0002x");
	(void)buf_append_str(&b, "\"}");
	ok(is_round(b.data, b.size), "a body of the largest size comes back from its text");
}

/* ---- argv and environment ---- */

static void is_list(char **list, const char *const *want, const char *what)
{
	size_t i = 0;

	for (; want[i] && list[i] && strcmp(list[i], want[i]) == 0; i++)
		;
	if (!ok(!list[i] && !want[i], "%s", what))
		diag("at %zu: '%s', wanted '%s'", i, list[i] ? list[i] : "(end)", want[i] ? want[i] : "(end)");
	job_list_free(list);
}

#define LIST(...)                                                                                                      \
	(const char *const[])                                                                                          \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}
#define SIZED "OMP_NUM_THREADS=1", "GOMAXPROCS=1"
#define PATH  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void processes(void)
{
	static const char definition[] =
		"{\"name\":\"x\",\"image\":\"localhost/x\",\"file\":\"main.x\",\"version_command\":[\"x\"],"
		"\"compile\":{\"argv\":[\"xc\",\"-o\",\"{out}\",\"{file}\"],\"env\":{\"C\":\"c\"}},"
		"\"run\":{\"argv\":[\"{out}\",\"-m{memory_mib}m\",\"{heap_mib}\",\"{soft_mib}\",\"{eighth_mib}\","
		"\"{cpus}\",\"{args...}\"],\"env\":{\"C\":\"r\","
		"\"PATH\":\"/r\"}},"
		"\"test\":{\"hello\":\"h\",\"stdout\":\"o\",\"endless\":\"e\",\"hog\":\"g\"}}";
	char *image[] = {
		(char *)"LANG=xx", (char *)"IMAGE=1", (char *)"nothing", (char *)"=odd", (char *)"C=i", NULL
	};
	struct error err = ERROR_INIT;
	struct runtime_def *def = NULL;
	struct job_spec *s;
	char **list = NULL;

	need(runtime_def_parse(definition, sizeof(definition) - 1, "x", &def, &err) == 0, "a definition");
	s = take("{\"runtime\":\"py\",\"args\":[\"a "
		 "b\",\"{out}\"],\"limits\":{\"cpus\":1.5,\"memory\":\"64M\"},\"compile_limits\":{\"cpus\":0.5},"
		 "\"env\":{\"IMAGE\":\"q\",\"HOME\":\"/h\"},\"files\":[" FILE_("-rf.x") "," FILE_("z") "]}");
	need(job_argv(s, def, true, &list, &err) == 0, "argv of the compiler");
	is_list(list, LIST("xc", "-o", "./program", "./-rf.x"),
		"the main file takes the place, and looks like no option");
	need(job_argv(s, def, false, &list, &err) == 0, "argv of the program");
	is_list(list, LIST("./program", "-m64m", "40", "57", "8", "2", "a b", "{out}"),
		"what it may have, then the request's arguments as they are");
	need(job_environment(s, def, true, image, &list, &err) == 0, "environment of the compiler");
	is_list(list, LIST(PATH, "LANG=xx", "HOME=/h", SIZED, "IMAGE=q", "C=c"),
		"common, image, stage, request: the later wins");
	need(job_environment(s, def, false, NULL, &list, &err) == 0, "environment of the program");
	is_list(list, LIST("PATH=/r", "LANG=C.UTF-8", "HOME=/h", "OMP_NUM_THREADS=2", "GOMAXPROCS=2", "C=r", "IMAGE=q"),
		"with the run stage's");
	s->has_tty = true;
	need(job_environment(s, def, true, NULL, &list, &err) == 0, "environment with a terminal");
	is_list(list, LIST(PATH, "LANG=C.UTF-8", "HOME=/h", SIZED, "TERM=xterm-256color", "C=c", "IMAGE=q"),
		"it says which");
	job_spec_free(s);
	s = take(PY(""));
	is_int(job_argv(s, runtime_set_find(runtimes, "python"), true, &list, &err), -EINVAL,
	       "an interpreter has no compile stage");
	is_str(err.text, "runtime 'python' has no compile step", "and says so");
	job_spec_free(s);
	runtime_def_free(def);
}

int main(void)
{
	struct error err = ERROR_INIT;

	need(runtime_set_load(NULL, &runtimes, &err) == 0, "the runtimes");
	refusals();
	bounds();
	two_hundred_variables();
	everything();
	little();
	policies();
	main_files();
	live_output();
	canonical();
	round_trips();
	largest();
	processes();
	runtime_set_free(runtimes);
	return done_testing();
}
