/*
 * Metrics: what is counted comes out in the text format, which a small strict parser reads back: names, types, label
 * escapes, buckets that grow, no series twice, no sample without its family.
 */
#include "supervisor/metrics/metrics.h"

#include <ctype.h>
#include <math.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/version.h"
#include "tests/tap.h"

enum { SAMPLES_MAX = 8192 };

struct sample {
	char series[512]; /* name{labels} as written */
	double value;
};

/* What a text says; a complaint when it is not in the format. */
struct reading {
	struct sample samples[SAMPLES_MAX];
	size_t n, n_families;
	char family[128], type[16];
	char seen[128][128]; /* families */
	char complaint[256];
};

static struct reading got;

static bool complain(const char *what, const char *line)
{
	if (!got.complaint[0])
		(void)snprintf(got.complaint, sizeof(got.complaint), "%s: '%.100s'", what, line);
	return false;
}

static size_t name_size(const char *p)
{
	size_t n = 0;

	while (isalpha((unsigned char)p[n]) || p[n] == '_' || p[n] == ':' || (n > 0 && isdigit((unsigned char)p[n])))
		n++;
	return n;
}

/* {a="b",...}; returns behind it, NULL when it is none. */
static const char *skip_labels(const char *p)
{
	do {
		size_t n;

		p++;
		n = name_size(p);
		if (n == 0 || p[n] != '=' || p[n + 1] != '"')
			return NULL;
		for (p += n + 2; *p && *p != '"'; p++) {
			if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
				return NULL;
			if (*p == '\\' && !strchr("\\\"n", *++p))
				return NULL;
		}
		if (*p++ != '"')
			return NULL;
	} while (*p == ',');
	return *p == '}' ? p + 1 : NULL;
}

static bool belongs(const char *name, size_t n)
{
	static const char *const suffixes[] = { "_bucket", "_sum", "_count" };
	size_t f = strlen(got.family);

	if (strcmp(got.type, "histogram") != 0)
		return n == f && strncmp(name, got.family, n) == 0;
	for (size_t i = 0; i < 3; i++) {
		if (n == f + strlen(suffixes[i]) && strncmp(name, got.family, f) == 0 &&
		    strncmp(name + f, suffixes[i], n - f) == 0)
			return true;
	}
	return false;
}

static bool read_sample(const char *line)
{
	size_t n = name_size(line);
	const char *p = line + n;
	struct sample *s = &got.samples[got.n];
	char *end;

	if (n == 0 || !belongs(line, n))
		return complain("a sample outside of its family", line);
	if (*p == '{')
		p = skip_labels(p);
	if (!p || *p != ' ' || (size_t)(p - line) >= sizeof(s->series))
		return complain("bad labels", line);
	(void)snprintf(s->series, sizeof(s->series), "%.*s", (int)(p - line), line);
	s->value = strtod(p + 1, &end);
	if (*end || end == p + 1)
		return complain("bad value", line);
	for (size_t i = 0; i < got.n; i++) {
		if (strcmp(got.samples[i].series, s->series) == 0)
			return complain("twice", line);
	}
	return ++got.n < SAMPLES_MAX;
}

static bool read_head(const char *line)
{
	char word[8], name[128], rest[256];

	if (sscanf(line, "# %7s %127s %255[^\n]", word, name, rest) != 3)
		return complain("bad comment", line);
	if (strcmp(word, "HELP") == 0) {
		for (size_t i = 0; i < got.n_families; i++) {
			if (strcmp(got.seen[i], name) == 0)
				return complain("a family twice", line);
		}
		(void)snprintf(got.seen[got.n_families++], sizeof(got.seen[0]), "%s", name);
		(void)snprintf(got.family, sizeof(got.family), "%s", name);
		got.type[0] = '\0';
		return true;
	}
	if (strcmp(word, "TYPE") != 0 || strcmp(name, got.family) != 0 || got.type[0])
		return complain("bad TYPE", line);
	(void)snprintf(got.type, sizeof(got.type), "%.15s", rest);
	if (strcmp(rest, "counter") != 0 && strcmp(rest, "gauge") != 0 && strcmp(rest, "histogram") != 0)
		return complain("bad type", line);
	if (strcmp(rest, "counter") == 0 && strcmp(name + strlen(name) - 6, "_total") != 0)
		return complain("a counter whose name does not end in _total", line);
	return true;
}

static bool scrape(struct metrics *m)
{
	cleanup_buf struct buf text = BUF_INIT;
	char *save = NULL;

	memset(&got, 0, sizeof(got));
	if (metrics_text(m, &text) < 0)
		return complain("no text", "");
	if (!text.size || text.data[text.size - 1] != '\n')
		return complain("the last line has no end", "");
	if (strstr(text.data, "\n\n"))
		return complain("an empty line", "");
	for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!(line[0] == '#' ? read_head(line) : read_sample(line)))
			return false;
	}
	return true;
}

static double value_of(const char *series)
{
	for (size_t i = 0; i < got.n; i++) {
		if (strcmp(got.samples[i].series, series) == 0)
			return got.samples[i].value;
	}
	return -1;
}

static void is_valid(struct metrics *m, const char *title)
{
	if (!ok(scrape(m), "%s", title))
		diag("%s", got.complaint);
}

static void set_gauges(struct metrics *m, void *arg)
{
	metrics_clear(m, METRIC_JOBS_STATE);
	metrics_set(m, METRIC_JOBS_STATE, METRIC_LABELS("running"), ++*(int *)arg);
}

static void test_values(struct metrics *m)
{
	is_valid(m, "without anything counted the text is in the format");
	is_int(value_of("cubit_sandbox_creates_total"), 0, "a counter without labels is there at 0");
	is_int(value_of("cubit_build_info{version=\"" CUBIT_VERSION "\"}"), 1, "the version is a label");
	ok(value_of("cubit_process_resident_bytes") > 100000, "the process has resident memory");
	ok(value_of("cubit_process_open_fds") >= 3 && value_of("cubit_process_open_fds") < 100, "and descriptors");
	metrics_add(m, METRIC_JOBS_TOTAL, METRIC_LABELS("ok", "python"), 1);
	metrics_add(m, METRIC_JOBS_TOTAL, METRIC_LABELS("ok", "python"), 2);
	metrics_add(m, METRIC_JOBS_TOTAL, METRIC_LABELS("okp", "ython"), 5);
	metrics_set(m, METRIC_SANDBOXES, METRIC_PLAIN, 7);
	metrics_set(m, METRIC_QUEUE_OLDEST_SECONDS, METRIC_PLAIN, 1.25);
	metrics_set(m, METRIC_DB_COMMITS_TOTAL, METRIC_PLAIN, 1234567890123.0);
	is_valid(m, "with values, too");
	is_int(value_of("cubit_jobs_total{verdict=\"ok\",runtime=\"python\"}"), 3, "a counter adds up");
	is_int(value_of("cubit_jobs_total{verdict=\"okp\",runtime=\"ython\"}"), 5, "label values do not run together");
	is_int(value_of("cubit_sandboxes"), 7, "a gauge is what it was set to");
	ok(value_of("cubit_queue_oldest_waiting_seconds") == 1.25, "also a fraction");
	ok(value_of("cubit_db_commits_total") == 1234567890123.0, "a counter that somebody else counts");
}

static void test_histogram(struct metrics *m)
{
	double last = 0;
	size_t n = 0;

	metrics_observe(m, METRIC_STAGE_SECONDS, METRIC_LABELS("run"), 500 * NS_PER_US);
	metrics_observe(m, METRIC_STAGE_SECONDS, METRIC_LABELS("run"), 500 * NS_PER_US + 1);
	metrics_observe(m, METRIC_STAGE_SECONDS, METRIC_LABELS("run"), 3 * NS_PER_S);
	metrics_observe(m, METRIC_STAGE_SECONDS, METRIC_LABELS("run"), 3600 * NS_PER_S);
	metrics_observe(m, METRIC_HTTP_SECONDS, METRIC_LABELS("/v1/run"), 0);
	is_valid(m, "histograms are in the format");
	is_int(value_of("cubit_stage_seconds_bucket{stage=\"run\",le=\"0.0005\"}"), 1, "a bound is part of its bucket");
	is_int(value_of("cubit_stage_seconds_bucket{stage=\"run\",le=\"0.001\"}"), 2, "above it begins the next");
	is_int(value_of("cubit_stage_seconds_bucket{stage=\"run\",le=\"60\"}"), 3,
	       "buckets hold what is below as well");
	is_int(value_of("cubit_stage_seconds_bucket{stage=\"run\",le=\"+Inf\"}"), 4, "and the last holds all");
	is_int(value_of("cubit_stage_seconds_count{stage=\"run\"}"), 4, "which is the count");
	ok(fabs(value_of("cubit_stage_seconds_sum{stage=\"run\"}") - 3603.001000001) < 1e-6, "the sum is in seconds");
	for (size_t i = 0; i < got.n; i++) {
		if (strncmp(got.samples[i].series, "cubit_stage_seconds_bucket", 26) != 0)
			continue;
		n += got.samples[i].value >= last;
		last = got.samples[i].value;
	}
	is_int(n, 17, "buckets never shrink");
}

static void test_labels(struct metrics *m)
{
	char value[300];

	metrics_add(m, METRIC_POLICY_DENIALS_TOTAL, METRIC_LABELS("a\"b\\c\nd"), 1);
	metrics_add(m, METRIC_POLICY_DENIALS_TOTAL, METRIC_LABELS("\xff\x01\xc3\xa9"), 1);
	metrics_add(m, METRIC_POLICY_DENIALS_TOTAL, METRIC_LABELS(NULL), 1);
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	metrics_add(m, METRIC_POLICY_DENIALS_TOTAL, METRIC_LABELS(value), 1);
	is_valid(m, "odd label values are in the format");
	is_int(value_of("cubit_policy_denials_total{policy=\"a\\\"b\\\\c\\nd\"}"), 1,
	       "with quote, backslash, newline escaped");
	is_int(value_of("cubit_policy_denials_total{policy=\"????\"}"), 1, "other bytes replaced");
	is_int(value_of("cubit_policy_denials_total{policy=\"\"}"), 1, "NULL is empty");
	value[128] = '\0';
	{
		char series[400];

		(void)snprintf(series, sizeof(series), "cubit_policy_denials_total{policy=\"%s\"}", value);
		is_int(value_of(series), 1, "a long one is cut");
	}
}

static void test_bound(struct metrics *m)
{
	size_t n = 0;

	for (int i = 0; i < 5000; i++) {
		char route[32];

		(void)snprintf(route, sizeof(route), "/%d", i);
		metrics_add(m, METRIC_HTTP_REQUESTS_TOTAL, METRIC_LABELS(route, "GET", "200"), 1);
	}
	metrics_add(m, METRIC_HTTP_REQUESTS_TOTAL, METRIC_LABELS("/7", "GET", "200"), 1);
	is_valid(m, "more label sets than there may be");
	for (size_t i = 0; i < got.n; i++)
		n += strncmp(got.samples[i].series, "cubit_http_requests_total{", 26) == 0;
	is_int(n, 2049, "are bounded");
	is_int(value_of("cubit_http_requests_total{route=\"other\",method=\"other\",status=\"other\"}"), 5000 - 2048,
	       "what is above counts as other");
	is_int(value_of("cubit_http_requests_total{route=\"/7\",method=\"GET\",status=\"200\"}"), 2,
	       "known ones still count");
}

static void test_scrape(struct metrics *m)
{
	int calls = 0;

	metrics_on_scrape(m, set_gauges, &calls);
	metrics_set(m, METRIC_JOBS_STATE, METRIC_LABELS("gone"), 1);
	is_valid(m, "values may be set on scrape");
	is_int(value_of("cubit_jobs_state{state=\"running\"}"), 1, "and are there");
	is_int(value_of("cubit_jobs_state{state=\"gone\"}"), -1, "without those of before");
	is_valid(m, "each time");
	is_int(value_of("cubit_jobs_state{state=\"running\"}"), 2, "anew");
}

int main(void)
{
	struct metrics *m = metrics_new();

	test_values(m);
	test_histogram(m);
	test_labels(m);
	test_bound(m);
	test_scrape(m);
	metrics_free(m);
	metrics_free(NULL);
	return done_testing();
}
