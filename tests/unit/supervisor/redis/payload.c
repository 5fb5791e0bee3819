/* What producers put into Redis: what becomes a job, what a request for a cube, and what is refused in which words. */
#include "supervisor/redis/payload.h"

#include <errno.h>

#include "images/languages/runtime_set.h"
#include "runtime/base/error.h"
#include "runtime/base/utf8.h"
#include "supervisor/settings.h"
#include "supervisor/spec/spec.h"
#include "tests/tap.h"

static const struct settings settings = {
	.run_timeout_ns = 5000000000,
	.memory_bytes = 256 << 20,
	.cpus_milli = 1000,
	.max_wall_ns = 60000000000,
	.max_memory = 1 << 30,
	.max_cpus_milli = 2000,
	.max_processes = 512,
	.max_open_files = 4096,
	.max_output = 16 << 20,
	.max_disk = 1 << 30,
	.max_body = 1 << 20,
};
static struct job_context context = { .settings = &settings };

static int read_text(const char *text, size_t size, bool is_list, struct redis_payload *p, struct error *e)
{
	*e = (struct error)ERROR_INIT;
	return redis_payload_read(text, size, is_list ? NULL : "17-0", is_list, &context, p, e);
}

#define PY "\"language\":\"python\",\"code\":\"1\""

/* clang-format off */
static const struct {
	const char *text;
	bool is_list;
	const char *id, *owner, *part; /* part: of the spec; "" : a cube */
} good[] = {
	{ "{" PY "}", false, "17-0", "redis", "\"runtime\":\"python\"" },
	{ "{\"job_id\":\"a.b-c_1\"," PY "}", false, "a.b-c_1", "redis", "python" },
	{ "{\"id\":\"x\",\"job_id\":\"x\",\"user_id\":\"u\"," PY "}", false, "x", "u", "python" },
	{ "{\"id\":\"x\",\"user_id\":12," PY "}", false, "x", "12", "python" },
	{ "{\"id\":\"x\",\"owner\":\"o\",\"runtime\":\"py\",\"source\":\"2\"}", false, "x", "o", "\"runtime\":\"python\"" },
	{ "{\"id\":\"x\",\"limits\":{\"wall_ms\":7},\"anything\":{\"else\":[null]}," PY "}", false, "x", "redis", "\"wall_ms\":7" },
	{ "{\"id\":\"x\",\"env\":null,\"args\":[\"q\"]," PY "}", false, "x", "redis", "\"q\"" },
	{ "{\"id\":\"x\",\"user_id\":\"u\",\"cube_type\":\"python\",\"code\":\"1\"}", true, "x", "u", "python" },
	{ "{\"id\":\"cube_1\",\"user_id\":\"u\",\"name\":\"Box\",\"cube_type\":\"react-js-vite\"}", true, "cube_1", "u", "" },
};

static const struct {
	const char *text;
	bool is_list;
	const char *words, *id; /* id: known nevertheless */
} bad[] = {
	{ "", false, "is empty", "" },
	{ "x", false, "not JSON", "" },
	{ "{", false, "not JSON", "" },
	{ "[]", false, "not a JSON object", "" },
	{ "12", false, "not a JSON object", "" },
	{ "\"text\"", false, "not a JSON object", "" },
	{ "{\"id\":\"x\",\"id\":\"y\"," PY "}", false, "duplicate", "" },
	{ "{\"id\":\"x\"} {}", false, "not JSON", "" },
	{ "{\"id\":7," PY "}", false, "id: must be a text", "" },
	{ "{\"id\":\"../../etc\"," PY "}", false, "id: is not an id", "" },
	{ "{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"," PY "}", false, "is not an id", "" },
	{ "{\"id\":\"x\",\"job_id\":\"y\"," PY "}", false, "differ", "" },
	{ "{\"id\":\"x\",\"user_id\":{}," PY "}", false, "user_id: must be a text", "x" },
	{ "{\"id\":\"x\",\"user_id\":\"a b\"," PY "}", false, "user_id: is not an id", "x" },
	{ "{\"id\":\"x\"}", false, "runtime", "x" },
	{ "{\"id\":\"x\",\"language\":\"python\"}", false, "source: is missing", "x" },
	{ "{\"id\":\"x\",\"language\":\"python\",\"code\":5}", false, "source", "x" },
	{ "{\"id\":\"x\",\"language\":\"klingon\",\"code\":\"5\"}", false, "there is no 'klingon'", "x" },
	{ "{\"id\":\"x\",\"code\":\"1\",\"source\":\"2\",\"language\":\"python\"}", false, "differ", "x" },
	{ "{\"id\":\"x\",\"limits\":{\"memory\":\"64G\"}," PY "}", false, "limits.memory", "x" },
	{ "{\"id\":\"x\",\"limits\":{\"memory\":-1}," PY "}", false, "limits.memory", "x" },
	{ "{\"id\":\"x\",\"limits\":{\"wall_ms\":99999999999999999999}," PY "}", false, "not JSON", "" },
	{ "{\"id\":\"x\",\"policy\":\"open\"," PY "}", false, "policy", "x" },
	{ "{\"id\":\"x\",\"env\":{\"1A\":\"\"}," PY "}", false, "env.1A", "x" },
	{ "{\"id\":\"x\",\"language\":\"python\",\"files\":[{\"path\":\"../a\",\"content\":\"\"}]}", false, "files[0].path", "x" },
	{ "{\"id\":\"x\",\"language\":\"python\",\"files\":[{\"path\":\"a\",\"content\":\"%%\",\"encoding\":\"base64\"}]}", false, "files[0]", "x" },
	{ "{\"id\":\"x\",\"language\":\"python\",\"code\":\"a\\u0000b\"}", false, "\\u0000", "" },
	{ "{\"id\":\"x\",\"language\":\"python\",\"code\":\"\xff\"}", false, "not JSON", "" },
	{ "{\"user_id\":\"u\",\"cube_type\":\"python\"}", true, "id: is missing", "" },
	{ "{\"id\":\"x\",\"user_id\":\"u\"}", true, "runtime", "x" },
	{ "{\"id\":\"x\",\"user_id\":\"u\",\"cube_type\":\"a/b\"}", true, "cube_type", "x" },
	{ "{\"id\":\"x\",\"cube_type\":\"python\",\"name\":[]}", true, "name: must be a text", "x" },
};
/* clang-format on */

static void refuse(const char *text, size_t size, bool is_list, const char *words, const char *id)
{
	struct redis_payload p;
	struct error e;
	int r = read_text(text, size, is_list, &p, &e);

	ok(r < 0 && !p.spec, "refused: %.60s", text);
	has_str(e.text, words, "and it says '%s'", words);
	is_str(p.id, id, "its id is '%s'", id);
	ok(utf8_is_text(e.text, strlen(e.text)), "in words for a screen");
	redis_payload_done(&p);
}

static void test_size(void)
{
	size_t size = 10 << 20;
	char *big = malloc(size + 1), deep[200];

	memset(big, ' ', size);
	refuse(big, size, false, "CUBIT_MAX_BODY", "");
	memset(big, ',', 1 << 20);
	refuse(big, 1 << 20, false, "values", "");
	free(big);
	memset(deep, '[', sizeof(deep));
	refuse(deep, sizeof(deep), false, "nested", "");
	refuse("{\"id\":\"x\0y\"}", 12, false, "not JSON", "");
}

int main(void)
{
	static struct runtime_set *runtimes;
	struct redis_payload p;
	struct error e;

	need(runtime_set_load(NULL, &runtimes, NULL) == 0, "the runtimes");
	context.runtimes = runtimes;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!ok(read_text(good[i].text, strlen(good[i].text), good[i].is_list, &p, &e) == 0, "taken: %s",
			good[i].text))
			diag("%s", e.text);
		is_str(p.id, good[i].id, "its id");
		is_str(p.owner, good[i].owner, "its owner");
		ok(p.is_cube == !good[i].part[0], "a cube, or not");
		has_str(p.spec ? p.spec : "", good[i].part, "its spec");
		redis_payload_done(&p);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i].text, strlen(bad[i].text), bad[i].is_list, bad[i].words, bad[i].id);
	test_size();
	runtime_set_free(runtimes);
	return done_testing();
}
