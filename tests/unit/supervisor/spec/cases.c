/* Requests with cases: what is taken, what is refused with which words, what a case has in the end, and that none of it is
 * lost on the way through the queue. */
#include <errno.h>

#include "images/languages/runtime_def.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "supervisor/spec/spec.h"
#include "tests/tap.h"
#include "tests/unit/supervisor/spec/spec_fixture.h"

static int parse(const char *text, struct job_spec **ret, char field[160], struct error *err)
{
	const struct job_context context = { .settings = &settings, .runtimes = runtimes, .is_queued = true };

	return job_spec_parse(text, strlen(text), &context, ret, field, err);
}

static struct job_spec *take(const char *text)
{
	struct error err = ERROR_INIT;
	struct job_spec *s = NULL;
	char field[160];

	if (parse(text, &s, field, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return s;
}

#define CASES(list)      "{\"runtime\":\"c\",\"source\":\"1\",\"cases\":[" list "]}"
#define WITH(list, more) "{\"runtime\":\"c\",\"source\":\"1\",\"cases\":[" list "]," more "}"
#define PLAIN(more)      "{\"runtime\":\"c\",\"source\":\"1\"," more "}"

/* clang-format off */
static const struct {
	const char *text;
	int code;
	const char *field, *message;
} bads[] = {
	{ CASES(""), EINVAL, "cases", "cases: is empty: there is nothing to run" },
	{ CASES("1"), EINVAL, "cases[0]", "cases[0]: must be an object, is a whole number" },
	{ PLAIN("\"cases\":{}"), EINVAL, "cases", "cases: must be a list, is an object" },
	{ CASES("{},{\"sdtin\":\"\"}"), EINVAL, "cases[1].sdtin", "cases[1].sdtin: unknown field" },
	{ CASES("{\"id\":\"\"}"), EINVAL, "cases[0].id", "cases[0].id: must have 1 to 64 bytes" },
	{ CASES("{\"id\":\"a\\nb\"}"), EINVAL, "cases[0].id", "cases[0].id: has a control character in it" },
	{ CASES("{\"id\":\"2\"},{}"), EINVAL, "cases[1].id", "cases[1].id: '2' is the name of case 1 already" },
	{ CASES("{\"id\":7}"), EINVAL, "cases[0].id", "cases[0].id: must be a string, is a whole number" },
	{ CASES("{\"stdin\":\"?\",\"stdin_encoding\":\"base64\"}"), EINVAL, "cases[0].stdin",
	  "cases[0].stdin: is not base64 (A-Z a-z 0-9 + /, padded with =, without blanks)" },
	{ CASES("{\"expected\":\"?\",\"expected_encoding\":\"base64\"}"), EINVAL, "cases[0].expected",
	  "cases[0].expected: is not base64 (A-Z a-z 0-9 + /, padded with =, without blanks)" },
	{ CASES("{\"args\":[1]}"), EINVAL, "cases[0].args[0]", NULL },
	{ CASES("{\"files\":[{\"path\":\"../x\",\"content\":\"\"}]}"), EINVAL, "cases[0].files[0].path",
	  "cases[0].files[0].path: '../x' has a component '.' or '..'" },
	{ CASES("{\"files\":[{\"path\":\"main.c\",\"content\":\"\"}]}"), EINVAL, "cases[0].files[0].path",
	  "cases[0].files[0].path: 'main.c' is given twice" },
	{ CASES("{\"files\":[{\"path\":\"main.c/a\",\"content\":\"\"}]}"), EINVAL, "cases[0].files[0].path",
	  "cases[0].files[0].path: 'main.c/a' lies in 'main.c', which is a file" },
	{ CASES("{\"limits\":{\"memory\":\"2G\"}}"), ERANGE, "cases[0].limits.memory",
	  "cases[0].limits.memory: 2147483648 is above the ceiling of 1073741824 (CUBIT_MAX_MEMORY)" },
	{ CASES("{\"limits\":{\"disk\":65536},\"files\":[{\"path\":\"big\",\"content\":\"" "AAAAAAAA" "\"}]}"), 0, "", "" },
	{ WITH("{}", "\"checker\":\"regex\""), EINVAL, "checker",
	  "checker: 'regex' does not exist; there are lines, exact, tokens, numbers" },
	{ WITH("{}", "\"checker\":\"numbers\",\"tolerance\":\"1\""), EINVAL, "tolerance",
	  "tolerance: must be a number, is a string" },
	{ WITH("{}", "\"checker\":\"numbers\",\"tolerance\":1.5"), EINVAL, "tolerance", "tolerance: 1.5 is not between 0 and 1" },
	{ WITH("{}", "\"checker\":\"numbers\",\"tolerance\":-1"), EINVAL, "tolerance", "tolerance: -1 is not between 0 and 1" },
	{ WITH("{}", "\"tolerance\":0.5"), EINVAL, "tolerance", "tolerance: only the checker \"numbers\" has one" },
	{ WITH("{}", "\"stop_at_first_failure\":1"), EINVAL, "stop_at_first_failure", NULL },
	{ WITH("{}", "\"interactive\":true"), EINVAL, "interactive", "interactive: cases are not interactive" },
	{ WITH("{}", "\"tty\":{}"), EINVAL, "tty", "tty: cases have no terminal" },
	{ PLAIN("\"checker\":\"lines\""), EINVAL, "checker", "checker: only a request with cases has one" },
	{ PLAIN("\"tolerance\":0"), EINVAL, "tolerance", "tolerance: only a request with cases has one" },
	{ PLAIN("\"stop_at_first_failure\":true"), EINVAL, "stop_at_first_failure",
	  "stop_at_first_failure: only a request with cases has one" },
};
/* clang-format on */

static void refusals(void)
{
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct error err = ERROR_INIT;
		struct job_spec *s = NULL;
		char field[160] = "";

		is_int(parse(bads[i].text, &s, field, &err), -bads[i].code, "%s", bads[i].text);
		is_str(field, bads[i].field, "it names the field");
		if (bads[i].message)
			is_str(err.text, bads[i].message, "and says why");
		job_spec_free(s);
	}
}

static void many(size_t n, int code, const char *words)
{
	cleanup_buf struct buf b = BUF_BOUNDED(1 << 20);
	struct error err = ERROR_INIT;
	struct job_spec *s = NULL;
	char field[160] = "";

	(void)buf_printf(&b, "{\"runtime\":\"c\",\"source\":\"1\",\"cases\":[");
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(
			&b, "%s{\"stdin\":\"%zu\",\"expected\":\"%zu\",\"args\":[\"a\"],\"limits\":{\"wall_ms\":%zu}}",
			i ? "," : "", i, i, i + 1);
	(void)buf_printf(&b, "]}");
	is_int(parse(buf_str(&b), &s, field, &err), -code, "%zu cases", n);
	if (code)
		is_str(err.text, words, "and why not");
	else
		is_int(s->n_cases, (long long)n, "are all there");
	job_spec_free(s);
}

/* What it does not say is the job's. */
static void inheritance(void)
{
	struct job_spec *s =
		take("{\"runtime\":\"c\",\"source\":\"1\",\"stdin\":\"in\",\"args\":[\"x\",\"y\"],"
		     "\"limits\":{\"wall_ms\":1000,\"memory\":\"64M\"},\"env\":{\"A\":\"b\"},\"outputs\":[\"*\"],"
		     "\"cases\":[{},{\"id\":\"n\",\"stdin\":\"\",\"args\":[]},{\"stdin\":\"own\",\"args\":[\"z\"],"
		     "\"limits\":{\"wall_ms\":2000},\"files\":[{\"path\":\"in.txt\",\"content\":\"c\"}]}]}");
	struct job_spec *a = job_spec_of_case(s, 0), *b = job_spec_of_case(s, 1), *c = job_spec_of_case(s, 2),
			*compile = job_spec_of_compile(s);

	if (!a || !b || !c || !compile)
		abort();
	is_str(s->cases[0].id, "1", "a case without a name has its number");
	is_str(s->cases[1].id, "n", "and another its name");
	is_str(a->input, "in", "the job's input");
	ok(a->args[0] && strcmp(a->args[1], "y") == 0 && !a->args[2], "and arguments");
	is_int(a->limits.wall_ns, 1000 * NS_PER_MS, "and limits");
	is_int(a->limits.cpu_ns, 1000 * NS_PER_MS, "cpu time as long as wall time");
	is_str(a->env[0], "A=b", "and environment");
	is_str(a->outputs[0], "*", "and files that are handed back");
	is_int(a->n_files, 1, "and files");
	ok(!b->input && !b->args[0], "an empty input, and no arguments, are a case's own");
	is_str(c->input, "own", "its own input");
	is_str(c->args[0], "z", "its own arguments");
	is_int(c->limits.wall_ns, 2000 * NS_PER_MS, "its own limit");
	is_int(c->limits.cpu_ns, 2000 * NS_PER_MS, "with which goes what follows from it");
	is_int(c->limits.memory_bytes, 64 << 20, "and the job's in the rest");
	is_int(c->n_files, 2, "its own files beside the job's");
	is_int(c->n_case_files, 1, "which are known as its own");
	ok(c->n_cases == 0 && !c->is_compile_only, "it is one run");
	ok(compile->is_compile_only && compile->n_files == 1 && !compile->input, "nothing but the source is compiled");
	job_spec_free(a);
	job_spec_free(b);
	job_spec_free(c);
	job_spec_free(compile);
	job_spec_free(s);
}

static void round_trip(const char *text, const char *what)
{
	const struct job_context context = {
		.settings = &settings, .runtimes = runtimes, .is_queued = true, .is_stored = true
	};
	struct job_spec *s = take(text), *again = NULL;
	char *first = job_spec_text(s, NULL), *second = NULL;
	struct error err = ERROR_INIT;

	if (first && job_spec_parse(first, strlen(first), &context, &again, NULL, &err) == 0)
		second = job_spec_text(again, NULL);
	is_str(second, first, "%s comes back as it was", what);
	if (again)
		ok(again->n_cases == s->n_cases && again->checker == s->checker && again->tolerance == s->tolerance &&
			   again->stops_at_failure == s->stops_at_failure,
		   "and means the same");
	free(first);
	free(second);
	job_spec_free(again);
	job_spec_free(s);
}

static void round_trips(void)
{
	round_trip(CASES("{}"), "a case of nothing");
	round_trip(CASES("{\"stdin\":\"\"},{\"args\":[]},{\"expected\":\"\"}"), "a case with empty things");
	round_trip(WITH("{\"id\":\"x\",\"stdin\":\"AP8=\",\"stdin_encoding\":\"base64\",\"expected\":\"//8=\","
			"\"expected_encoding\":\"base64\",\"args\":[\"1\"],\"limits\":{\"wall_ms\":3,\"cpus\":0.5},"
			"\"files\":[{\"path\":\"f\",\"content\":\"x\",\"mode\":\"0755\"}]},{}",
			"\"checker\":\"numbers\",\"tolerance\":0.001,\"stop_at_first_failure\":true"),
		   "everything");
	round_trip(WITH("{}", "\"checker\":\"tokens\""), "a checker");
}

int main(void)
{
	struct error err = ERROR_INIT;

	if (runtime_set_load(NULL, &runtimes, &err) < 0)
		abort();
	refusals();
	many(1000, 0, NULL);
	many(1001, E2BIG, "cases: 1001 of them, more than 1000");
	inheritance();
	round_trips();
	runtime_set_free(runtimes);
	return done_testing();
}
