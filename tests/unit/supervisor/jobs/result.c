/* Results as JSON, and what they are made of: base64, UTF-8, times, numbers. */
#include "supervisor/jobs/result.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/base64.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/utf8.h"
#include "runtime/base/wall_clock.h"
#include "supervisor/journal/journal.h"
#include "tests/tap.h"

/* ---- base64 ---- */

static void base64(void)
{
	static const char *const vectors[][2] = { { "", "" },
						  { "f", "Zg==" },
						  { "fo", "Zm8=" },
						  { "foo", "Zm9v" },
						  { "foob", "Zm9vYg==" },
						  { "fooba", "Zm9vYmE=" },
						  { "foobar", "Zm9vYmFy" } };
	static const char *const bads[] = { "Z",    "Zg",   "Zg=",          "Zg===",  "Zh==", "Zm9=",
					    "Z===", "====", "Zm9vZg==Zm9v", "Zg==\n", "Zm 9", "Zm9-",
					    "Zm9_", "=Zm9", "Zg=a",         "Zm\xff/" };
	unsigned char all[256];
	char *coded, *plain;
	size_t n = 0, back = 7;

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		coded = base64_encode(vectors[i][0], strlen(vectors[i][0]), &n);
		is_str(coded, vectors[i][1], "'%s' in base64", vectors[i][0]);
		plain = base64_decode(coded, n, &back);
		is_str(plain, vectors[i][0], "and back");
		free(coded);
		free(plain);
	}
	back = 7;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		ok(!base64_decode(bads[i], strlen(bads[i]), &back) && back == 7, "row %d is not base64", (int)i);
	for (size_t size = 0; size < sizeof(all); size++) {
		all[size] = (unsigned char)(size * 7 + 3);
		coded = base64_encode(all, size, &n);
		plain = base64_decode(coded, n, &back);
		if (!plain || back != size || memcmp(plain, all, size) != 0)
			ok(false, "%zu bytes come back", size);
		free(coded);
		free(plain);
	}
}

/* ---- UTF-8 ---- */

static void utf8(void)
{
	static const struct {
		const char *text;
		bool is_text;
	} rows[] = {
		{ "plain\n", true },
		{ "\xc3\xa4", true },
		{ "\xed\x9f\xbf", true },
		{ "\xee\x80\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xc0\x80", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xed\xa0\x80", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\x80", false },
		{ "\xc3", false },
		{ "\xe2\x82", false },
		{ "\xff", false },
		{ "a\xc3(", false },
	};
	char words[] = "a\x1b[31m\xc3\xa4\xff\x7f\n";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(utf8_is_text(rows[i].text, strlen(rows[i].text)) == rows[i].is_text, "row %d is %s", (int)i,
		   rows[i].is_text ? "UTF-8" : "none");
	ok(!utf8_is_text("a\0b", 3), "NUL is no text");
	is_int(utf8_whole("a\xc3", 2), 1, "a character of which one byte is there");
	is_int(utf8_whole("a\xe2\x82", 3), 1, "two of three");
	is_int(utf8_whole("\xf0\x9f\x98", 3), 0, "three of four");
	is_int(utf8_whole("a\xe2\x82\xac", 4), 4, "a whole one stays");
	is_int(utf8_whole("a\xff", 2), 2, "what never was one as well");
	is_int(utf8_whole("\x82\x82\x82\x82", 4), 4, "or has no beginning");
	is_int(utf8_whole("a\xe2(", 3), 3, "or was broken before its end");
	is_int(utf8_whole("", 0), 0, "nothing");
	utf8_clean(words);
	is_str(words, "a?[31m\xc3\xa4???", "words for a screen");
}

/* ---- times ---- */

static void times(void)
{
	char text[32], small[25];

	time_text(0, text, sizeof(text));
	is_str(text, "1970-01-01T00:00:00.000Z", "the beginning");
	time_text(1769860800123, text, sizeof(text));
	is_str(text, "2026-01-31T12:00:00.123Z", "with milliseconds");
	time_text(UINT64_MAX, small, sizeof(small));
	is_str(small, "9999-12-31T23:59:59.999Z", "the end fits too");
	ok(time_now_ms() > 1700000000000, "now is later than 2023");
}

/* ---- results ---- */

static void say(struct journal *j, enum journal_type type, const void *data, size_t size)
{
	int p[2];

	need(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0 && write(p[1], data, size) == (ssize_t)size &&
		     journal_take(j, type, p[0], size, NULL) == (ssize_t)size,
	     "%zu bytes of %s", size, journal_type_name(type));
	(void)close(p[0]);
	(void)close(p[1]);
}

static void is_result(const struct job_result *r, struct journal *j, const char *want, const char *what)
{
	json_t *o = job_result_json(r, j);
	char *text = o ? json_dumps(o, JOB_RESULT_DUMP) : NULL;

	is_str(text, want, "%s", what);
	free(text);
	json_decref(o);
}

static struct journal *new_journal(void)
{
	static const int none[3] = { -1, -1, -1 };
	struct journal *j = NULL;

	need(journal_open(none, &j, NULL) == 0, "a journal");
	return j;
}

static void whole(void)
{
	struct journal *j = new_journal();
	struct job_output outputs[] = { { (char *)"a.png", (char *)"\x89PNG", 4, "" },
					{ (char *)"b\xff", (char *)"text", 4, "" },
					{ (char *)"big", NULL, 1 << 30, "too much" },
					{ (char *)"empty", (char *)"", 0, "" } };
	struct job_result r = {
		.id = "job-1",
		.run = { .has_run = true,
			 .wall_ns = 14200000,
			 .cpu_ns = 11900499,
			 .user_ns = 10000000,
			 .system_ns = 1234567,
			 .memory_peak_bytes = 9437184,
			 .processes_peak = 1,
			 .disk_bytes = UINT64_MAX,
			 .output_at = { 5, 0 },
			 .output_size = { 3, 2 } },
		.compile = { .has_run = true,
			     .verdict = { .status = VERDICT_OK },
			     .wall_ns = UINT64_MAX,
			     .cpu_ns = 0,
			     .user_ns = UINT64_MAX,
			     .system_ns = UINT64_MAX,
			     .memory_peak_bytes = UINT64_MAX,
			     .processes_peak = UINT64_MAX,
			     .output_size = { 5, 0 },
			     .is_cut = { true, false },
			     .is_cached = true },
		.verdict = { .status = VERDICT_SIGNALED, .reason = "ended by SIGSEGV", .exit_code = -1, .signal = 11 },
		.outputs = outputs,
		.n_outputs = 4,
		.is_outputs_cut = true,
		.runtime = "c",
		.version = "",
		.policy = "default",
		.policy_digest = NULL,
		.node = "n\xff",
		.attempt = 2,
		.queued_ms = 1769860800123,
		.finished_ms = 1769860801000,
		.was_pooled = true,
	};

	say(j, JOURNAL_STDOUT, "cut \xe2hi\n", 8);
	say(j, JOURNAL_STDERR, "\0x", 2);
	is_result(
		&r, j,
		"{\"id\":\"job-1\",\"status\":\"signaled\",\"reason\":\"ended by "
		"SIGSEGV\",\"exit_code\":null,\"signal\":11,"
		"\"stdout\":\"hi\\n\",\"stdout_truncated\":false,\"stderr\":\"AHg=\",\"stderr_encoding\":\"base64\","
		"\"stderr_truncated\":false,\"wall_ms\":14.2,\"cpu_ms\":11.9,\"cpu_user_ms\":10,\"cpu_system_ms\":1."
		"235,"
		"\"memory_peak\":9437184,\"processes_peak\":1,\"disk_bytes\":null,\"compile\":{\"status\":\"ok\","
		"\"reason\":\"\","
		"\"exit_code\":0,\"signal\":null,\"stdout\":\"cut \",\"stdout_truncated\":true,\"stderr\":\"\","
		"\"stderr_truncated\":false,\"wall_ms\":null,\"cpu_ms\":0,\"cpu_user_ms\":null,\"cpu_system_ms\":null,"
		"\"memory_peak\":null,\"processes_peak\":null,\"disk_bytes\":0,\"cached\":true},\"outputs\":["
		"{\"path\":\"a.png\",\"size\":4,\"content\":\"iVBORw==\",\"encoding\":\"base64\",\"left_out\":null},"
		"{\"path\":\"Yv8=\",\"path_encoding\":\"base64\",\"size\":4,\"content\":\"text\",\"encoding\":\"utf-"
		"8\",\"left_out\":null},"
		"{\"path\":\"big\",\"size\":1073741824,\"content\":null,\"encoding\":null,\"left_out\":\"too much\"},"
		"{\"path\":\"empty\",\"size\":0,\"content\":\"\",\"encoding\":\"utf-8\",\"left_out\":null}],\"outputs_"
		"truncated\":true,"
		"\"runtime\":\"c\",\"version\":null,\"policy\":\"default\",\"policy_digest\":null,\"attempt\":2,"
		"\"node\":null,"
		"\"queued_at\":\"2026-01-31T12:00:00.123Z\",\"started_at\":null,\"finished_at\":\"2026-01-31T12:00:01."
		"000Z\","
		"\"pooled\":true,\"prestarted\":false}",
		"everything that can be said, in whole");
	journal_unref(j);
}

static void nothing(void)
{
	struct job_result r = { .id = "x",
				.verdict = { .status = VERDICT_CANCELLED, .reason = "cancelled", .exit_code = -1 },
				.runtime = "python",
				.policy = "default",
				.node = "n",
				.attempt = 1 };

	is_result(&r, NULL,
		  "{\"id\":\"x\",\"status\":\"cancelled\",\"reason\":\"cancelled\",\"exit_code\":null,\"signal\":null,"
		  "\"stdout\":\"\","
		  "\"stdout_truncated\":false,\"stderr\":\"\",\"stderr_truncated\":false,\"wall_ms\":null,\"cpu_ms\":"
		  "null,"
		  "\"cpu_user_ms\":null,\"cpu_system_ms\":null,\"memory_peak\":null,\"processes_peak\":null,\"disk_"
		  "bytes\":null,"
		  "\"compile\":null,\"outputs\":[],\"outputs_truncated\":false,\"runtime\":\"python\",\"version\":null,"
		  "\"policy\":\"default\",\"policy_digest\":null,\"attempt\":1,\"node\":\"n\",\"queued_at\":null,"
		  "\"started_at\":null,\"finished_at\":null,\"pooled\":false,\"prestarted\":false}",
		  "a job that never ran");
}

static void milliseconds(void)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = { { 0, "0" },
		     { 499, "0" },
		     { 500, "0.001" },
		     { 1000000, "1" },
		     { 1999999, "2" },
		     { 100000, "0.1" },
		     { 60000999000, "60000.999" },
		     { 86399999999000, "86399999.999" },
		     { 1100000, "1.1" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct job_result r = { .run = { .has_run = true, .wall_ns = rows[i].ns } };
		json_t *o = job_result_json(&r, NULL);
		char *text = json_dumps(json_object_get(o, "wall_ms"), JOB_RESULT_DUMP | JSON_ENCODE_ANY);

		is_str(text, rows[i].text, "%lld ns in ms", (long long)rows[i].ns);
		free(text);
		json_decref(o);
	}
}

static void done(void)
{
	struct job_result r = { .n_outputs = 1, .outputs = calloc(1, sizeof(*r.outputs)) };

	need(r.outputs, "memory");
	r.outputs[0].path = strdup("a");
	job_result_done(&r);
	job_result_done(&r);
	ok(!r.outputs && r.n_outputs == 0, "a result can be given back twice");
}

int main(void)
{
	base64();
	utf8();
	times();
	whole();
	nothing();
	milliseconds();
	done();
	return done_testing();
}
