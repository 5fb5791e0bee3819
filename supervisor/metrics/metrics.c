/*
 * Counters, gauges and histograms: see metrics.h.
 *
 * Each family has an array of series in the order of their first use and an index over it, open addressing, twice as
 * large as the array may become. A key is the label values one after the other, each with its NUL.
 */
#include "supervisor/metrics/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse.h"
#include "runtime/base/version.h"

enum { LABELS_MAX = 3, VALUE_MAX = 128, KEY_MAX = LABELS_MAX * (VALUE_MAX + 1), COLLECTORS_MAX = 16 };

enum type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
static const char *const type_names[] = { "counter", "gauge", "histogram" };

/* ---- the families --------------------------------------------------------------------------------------------- */

struct family { /* NOLINT(clang-analyzer-optin.performance.Padding): in the order in which a row is read */
	const char *name;
	enum type type;
	const char *labels[LABELS_MAX]; /* NULL behind the last */
	unsigned max;                   /* series besides "other" */
	const char *help;
};

/* clang-format off */
static const struct family families[] = {
	[METRIC_JOBS_TOTAL]            = { "cubit_jobs_total", TYPE_COUNTER, { "verdict", "runtime" }, 1024, "Jobs that ended, by verdict." },
	[METRIC_JOBS_STATE]            = { "cubit_jobs_state", TYPE_GAUGE, { "state" }, 32, "Jobs of this process now, by state." },
	[METRIC_STAGE_SECONDS]         = { "cubit_stage_seconds", TYPE_HISTOGRAM, { "stage" }, 16, "Time that stages of a job took." },
	[METRIC_POOL]                  = { "cubit_pool", TYPE_GAUGE, { "class", "state" }, 512, "Sandboxes of the warm pool." },
	[METRIC_SANDBOXES]             = { "cubit_sandboxes", TYPE_GAUGE, { NULL }, 1, "Sandboxes that exist now." },
	[METRIC_SANDBOX_CREATES_TOTAL] = { "cubit_sandbox_creates_total", TYPE_COUNTER, { NULL }, 1, "Sandboxes made." },
	[METRIC_READY]                 = { "cubit_ready", TYPE_GAUGE, { NULL }, 1, "1 while this node takes work; /readyz has the words." },
	[METRIC_SANDBOX_FAILURES_TOTAL] = { "cubit_sandbox_failures_total", TYPE_COUNTER, { "reason" }, 16, "Sandboxes that could not be made ready." },
	[METRIC_GIVEN_BACK_TOTAL]      = { "cubit_given_back_total", TYPE_COUNTER, { "reason" }, 4, "Jobs given back: the try failed, the node stopped, can make no sandbox, lacks the image." },
	[METRIC_POLICY_DENIALS_TOTAL]  = { "cubit_policy_denials_total", TYPE_COUNTER, { "policy" }, 256, "System calls that a policy refused." },
	[METRIC_HTTP_REQUESTS_TOTAL]   = { "cubit_http_requests_total", TYPE_COUNTER, { "route", "method", "status" }, 2048, "Requests answered." },
	[METRIC_HTTP_SECONDS]          = { "cubit_http_seconds", TYPE_HISTOGRAM, { "route" }, 256, "Time from a request's headers to the end of its answer." },
	[METRIC_CONNECTIONS]           = { "cubit_connections", TYPE_GAUGE, { NULL }, 1, "Connections of clients now." },
	[METRIC_WEBSOCKETS]            = { "cubit_websockets", TYPE_GAUGE, { NULL }, 1, "WebSockets now." },
	[METRIC_HTTP_BYTES_TOTAL]      = { "cubit_http_bytes_total", TYPE_COUNTER, { "direction" }, 4, "Bytes from and to clients." },
	[METRIC_EVENTS_DROPPED_TOTAL]  = { "cubit_events_dropped_total", TYPE_COUNTER, { NULL }, 1, "Events that a slow reader did not get." },
	[METRIC_AUTH_REFUSALS_TOTAL]   = { "cubit_auth_refusals_total", TYPE_COUNTER, { "reason" }, 16, "Requests turned away at the gate." },
	[METRIC_QUEUE_JOBS]            = { "cubit_queue_jobs", TYPE_GAUGE, { "state" }, 16, "Jobs in the database now, by state." },
	[METRIC_QUEUE_OLDEST_SECONDS]  = { "cubit_queue_oldest_waiting_seconds", TYPE_GAUGE, { NULL }, 1, "Age of the oldest waiting job that is due." },
	[METRIC_QUEUE_SUBMITTED_TOTAL] = { "cubit_queue_submitted_total", TYPE_COUNTER, { NULL }, 1, "Jobs taken into the queue." },
	[METRIC_QUEUE_FINISHED_TOTAL]  = { "cubit_queue_finished_total", TYPE_COUNTER, { NULL }, 1, "Results recorded." },
	[METRIC_QUEUE_RETURNED_TOTAL]  = { "cubit_queue_returned_total", TYPE_COUNTER, { NULL }, 1, "Jobs given back to be tried again." },
	[METRIC_QUEUE_FENCED_TOTAL]    = { "cubit_queue_fenced_total", TYPE_COUNTER, { NULL }, 1, "Results refused because another attempt owned the job." },
	[METRIC_QUEUE_REPLAYED_TOTAL]  = { "cubit_queue_replayed_total", TYPE_COUNTER, { NULL }, 1, "Dead letters made to wait again." },
	[METRIC_DB_COMMITS_TOTAL]      = { "cubit_db_commits_total", TYPE_COUNTER, { NULL }, 1, "Commits of the database." },
	[METRIC_DB_COMMIT_SECONDS]     = { "cubit_db_commit_seconds", TYPE_GAUGE, { NULL }, 1, "Time that the last commit took." },
	[METRIC_DB_WAITING]            = { "cubit_db_waiting", TYPE_GAUGE, { NULL }, 1, "Pieces of work that wait for the database." },
	[METRIC_DB_FAILURES_TOTAL]     = { "cubit_db_failures_total", TYPE_COUNTER, { NULL }, 1, "Pieces of work that failed in the database." },
	[METRIC_REDIS_UP]              = { "cubit_redis_up", TYPE_GAUGE, { NULL }, 1, "1 while Redis can be used." },
	[METRIC_REDIS_JOBS_TOTAL]      = { "cubit_redis_jobs_total", TYPE_COUNTER, { "event" }, 16, "What became of jobs from Redis on this node." },
	[METRIC_REDIS_WAITING]         = { "cubit_redis_waiting", TYPE_GAUGE, { NULL }, 1, "Jobs that wait in streams and lists, as of the last look." },
	[METRIC_REDIS_CONNECTS_TOTAL]  = { "cubit_redis_connects_total", TYPE_COUNTER, { NULL }, 1, "Connections made to Redis." },
	[METRIC_REDIS_ERRORS_TOTAL]    = { "cubit_redis_errors_total", TYPE_COUNTER, { NULL }, 1, "Calls of Redis that failed or were refused." },
	[METRIC_CALLBACKS]             = { "cubit_callbacks", TYPE_GAUGE, { "state" }, 4, "Callbacks now: of jobs that are not over, and that are to be made." },
	[METRIC_CALLBACKS_TOTAL]       = { "cubit_callbacks_total", TYPE_COUNTER, { "outcome" }, 4, "Callbacks delivered, tries that failed, and those given up." },
	[METRIC_FRONT_RESTARTS_TOTAL]  = { "cubit_front_restarts_total", TYPE_COUNTER, { NULL }, 1, "Fronts that this service started after the first one." },
	[METRIC_POLICY_REFUSALS_TOTAL] = { "cubit_policy_refusals_total", TYPE_COUNTER, { NULL }, 1, "Requests that named a policy that is not there or not theirs to name." },
	[METRIC_RESIDENT_BYTES]        = { "cubit_process_resident_bytes", TYPE_GAUGE, { NULL }, 1, "Resident memory of this process." },
	[METRIC_OPEN_FDS]              = { "cubit_process_open_fds", TYPE_GAUGE, { NULL }, 1, "Open descriptors of this process." },
	[METRIC_BUILD_INFO]            = { "cubit_build_info", TYPE_GAUGE, { "version" }, 1, "Always 1; what runs here." },
};
/* clang-format on */
static_assert(sizeof(families) / sizeof(families[0]) == METRICS, "a row for each metric");

/* Upper bounds in ns, each included; what is above all of them counts for +Inf only. */
static const uint64_t bounds_ns[] = {
	500 * NS_PER_US, 1 * NS_PER_MS,   2500 * NS_PER_US, 5 * NS_PER_MS,   10 * NS_PER_MS, 25 * NS_PER_MS,
	50 * NS_PER_MS,  100 * NS_PER_MS, 250 * NS_PER_MS,  500 * NS_PER_MS, 1 * NS_PER_S,   2500 * NS_PER_MS,
	5 * NS_PER_S,    10 * NS_PER_S,   30 * NS_PER_S,    60 * NS_PER_S,
};
enum { BOUNDS = sizeof(bounds_ns) / sizeof(bounds_ns[0]) };

struct series {
	char *key;
	size_t key_size;
	uint64_t count;  /* counter; of a histogram, observations */
	double value;    /* gauge */
	uint64_t sum_ns; /* histogram */
	uint64_t *under; /* histogram: BOUNDS counts, each of its own interval only */
};

struct table {
	struct series *series;
	uint32_t n, room;
	uint32_t *index; /* 0: free; otherwise the number of a series and one */
	uint32_t mask;
};

struct metrics {
	struct table tables[METRICS];
	struct {
		void (*fn)(struct metrics *m, void *arg);
		void *arg;
	} collectors[COLLECTORS_MAX];
	size_t n_collectors;
};

static size_t count_labels(const struct family *f)
{
	size_t n = 0;

	while (n < LABELS_MAX && f->labels[n])
		n++;
	return n;
}

/* ---- finding a series ----------------------------------------------------------------------------------------- */

/* What may not stand in the text becomes a question mark; it is ASCII then, so UTF-8. */
static size_t put_value(char *to, const char *value)
{
	size_t n = 0;

	for (; value && value[n] && n < VALUE_MAX; n++) {
		char c = value[n];

		to[n] = '?';
		if ((c >= ' ' && c < '\x7f') || c == '\n')
			to[n] = c;
	}
	to[n] = '\0';
	return n + 1;
}

static size_t make_key(const struct family *f, const char *const *labels, char key[KEY_MAX])
{
	size_t n = count_labels(f), size = 0;

	assert(n == 0 || labels);
	key[0] = '\0';
	for (size_t i = 0; i < n && i < LABELS_MAX; i++)
		size += put_value(key + size, labels[i]);
	return size;
}

/* FNV-1a, 32 bits. */
static uint32_t hash(const char *key, size_t size)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)key[i]) * 16777619u;
	return h;
}

static void make_index(struct table *t, const struct family *f)
{
	uint32_t size = 4;

	while (size < 2 * (f->max + 1))
		size *= 2;
	t->index = alloc_zeroed(size, sizeof(*t->index));
	t->mask = size - 1;
}

static void make_room(struct table *t)
{
	if (t->n < t->room)
		return;
	t->room = t->room ? 2 * t->room : 1;
	t->series = alloc_again(t->series, t->room, sizeof(*t->series));
}

static struct series *add_series(struct table *t, const struct family *f, const char *key, size_t size, uint32_t *slot)
{
	struct series s = { .key = alloc_bytes(size + 1), .key_size = size };

	if (f->type == TYPE_HISTOGRAM)
		s.under = alloc_zeroed(BOUNDS, sizeof(*s.under));
	make_room(t);
	memcpy(s.key, key, size);
	t->series[t->n++] = s;
	*slot = t->n;
	return &t->series[t->n - 1];
}

static struct series *find_key(struct table *t, const struct family *f, const char *key, size_t size, bool is_other)
{
	uint32_t i;

	if (!t->index)
		make_index(t, f);
	for (i = hash(key, size) & t->mask; t->index[i]; i = (i + 1) & t->mask) {
		struct series *s = &t->series[t->index[i] - 1];

		if (s->key_size == size && memcmp(s->key, key, size) == 0)
			return s;
	}
	if (t->n >= f->max && !is_other)
		return NULL;
	return add_series(t, f, key, size, &t->index[i]);
}

static struct series *find(struct metrics *m, enum metric id, const char *const *labels)
{
	static const char *const other[LABELS_MAX] = { "other", "other", "other" };
	const struct family *f = &families[id];
	struct table *t = &m->tables[id];
	char key[KEY_MAX];
	size_t size = make_key(f, labels, key);
	struct series *s = find_key(t, f, key, size, false);

	if (s)
		return s;
	size = make_key(f, other, key);
	return find_key(t, f, key, size, true);
}

/* ---- counting ------------------------------------------------------------------------------------------------- */

void metrics_add(struct metrics *m, enum metric id, const char *const *labels, uint64_t n)
{
	struct series *s = find(m, id, labels);

	assert(families[id].type != TYPE_HISTOGRAM);
	s->count += n;
	s->value += (double)n;
}

void metrics_set(struct metrics *m, enum metric id, const char *const *labels, double value)
{
	struct series *s = find(m, id, labels);

	assert(families[id].type != TYPE_HISTOGRAM);
	s->value = value;
	s->count = value > 0 ? (uint64_t)value : 0;
}

void metrics_observe(struct metrics *m, enum metric id, const char *const *labels, uint64_t ns)
{
	struct series *s = find(m, id, labels);

	assert(families[id].type == TYPE_HISTOGRAM);
	s->count++;
	s->sum_ns += ns;
	for (size_t i = 0; i < BOUNDS; i++) {
		if (ns <= bounds_ns[i]) {
			s->under[i]++;
			return;
		}
	}
}

void metrics_clear(struct metrics *m, enum metric id)
{
	struct table *t = &m->tables[id];

	for (uint32_t i = 0; i < t->n; i++) {
		free(t->series[i].key);
		free(t->series[i].under);
	}
	t->n = 0;
	if (t->index)
		memset(t->index, 0, ((size_t)t->mask + 1) * sizeof(*t->index));
}

/* ---- this process --------------------------------------------------------------------------------------------- */

/* The second number of /proc/self/statm: resident pages, proc(5). */
static void set_resident(struct metrics *m)
{
	cleanup_buf struct buf text = BUF_INIT;
	char *pages, *end;
	uint64_t n;

	if (fd_read_file(AT_FDCWD, "/proc/self/statm", 4096, &text, NULL) < 0)
		return;
	pages = text.data ? strchr(text.data, ' ') : NULL;
	end = pages ? strchr(pages + 1, ' ') : NULL;
	if (!end)
		return;
	*end = '\0';
	if (parse_u64(pages + 1, 0, UINT64_MAX, &n, NULL) == 0)
		metrics_set(m, METRIC_RESIDENT_BYTES, METRIC_PLAIN, (double)n * (double)sysconf(_SC_PAGESIZE));
}

static void set_fds(struct metrics *m)
{
	cleanup_dir DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!dir)
		return;
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) /* NOLINT(concurrency-mt-unsafe): our own stream */
		n += d->d_name[0] != '.';
	metrics_set(m, METRIC_OPEN_FDS, METRIC_PLAIN, (double)(n - 1)); /* without the one we look through */
}

/* ---- the text ------------------------------------------------------------------------------------------------- */

static int put_escaped(struct buf *out, const char *value)
{
	int r = 0;

	for (; r == 0 && *value; value++) {
		if (*value == '\n')
			r = buf_append_str(out, "\\n");
		else if (*value == '"' || *value == '\\')
			r = buf_append(out, (char[]){ '\\', *value }, 2);
		else
			r = buf_append(out, value, 1);
	}
	return r;
}

/* NAME{labels,le="..."} and a blank. suffix, le: may be "". */
static int put_name(struct buf *out, const struct family *f, const struct series *s, const char *suffix, const char *le)
{
	size_t n = count_labels(f);
	const char *value = s->key;
	int r = buf_printf(out, "%s%s%s", f->name, suffix, n || *le ? "{" : " ");

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = buf_printf(out, "%s%s=\"", i ? "," : "", f->labels[i]);
		if (r == 0)
			r = put_escaped(out, value);
		if (r == 0)
			r = buf_append_str(out, "\"");
		value += strlen(value) + 1;
	}
	if (r == 0 && *le)
		r = buf_printf(out, "%sle=\"%s\"", n ? "," : "", le);
	return r == 0 && (n || *le) ? buf_append_str(out, "} ") : r;
}

static int put_double(struct buf *out, double value)
{
	if (isnan(value) || isinf(value))
		return buf_append_str(out, isnan(value) ? "NaN\n" : value > 0 ? "+Inf\n" : "-Inf\n");
	if (fabs(value) < 9e15 && value == floor(value))
		return buf_printf(out, "%" PRId64 "\n", (int64_t)value);
	return buf_printf(out, "%.9g\n", value);
}

static int put_count(struct buf *out, const struct family *f, const struct series *s, const char *suffix,
		     const char *le, uint64_t count)
{
	int r = put_name(out, f, s, suffix, le);

	return r < 0 ? r : buf_printf(out, "%" PRIu64 "\n", count);
}

static int put_histogram(struct buf *out, const struct family *f, const struct series *s)
{
	uint64_t upto = 0;
	char le[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < BOUNDS; i++) {
		upto += s->under[i];
		(void)snprintf(le, sizeof(le), "%g", (double)bounds_ns[i] / (double)NS_PER_S);
		r = put_count(out, f, s, "_bucket", le, upto);
	}
	if (r == 0)
		r = put_count(out, f, s, "_bucket", "+Inf", s->count);
	if (r == 0)
		r = put_name(out, f, s, "_sum", "");
	if (r == 0)
		r = buf_printf(out, "%" PRIu64 ".%09" PRIu64 "\n", s->sum_ns / NS_PER_S, s->sum_ns % NS_PER_S);
	return r == 0 ? put_count(out, f, s, "_count", "", s->count) : r;
}

static int put_series(struct buf *out, const struct family *f, const struct series *s)
{
	int r;

	if (f->type == TYPE_HISTOGRAM)
		return put_histogram(out, f, s);
	if (f->type == TYPE_COUNTER)
		return put_count(out, f, s, "", "", s->count);
	r = put_name(out, f, s, "", "");
	return r < 0 ? r : put_double(out, s->value);
}

static int put_family(struct buf *out, const struct family *f, const struct table *t)
{
	int r;

	if (t->n == 0)
		return 0;
	r = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, type_names[f->type]);
	for (uint32_t i = 0; r == 0 && i < t->n; i++)
		r = put_series(out, f, &t->series[i]);
	return r;
}

int metrics_text(struct metrics *m, struct buf *out)
{
	int r = 0;

	set_resident(m);
	set_fds(m);
	for (size_t i = 0; i < m->n_collectors; i++)
		m->collectors[i].fn(m, m->collectors[i].arg);
	for (int id = 0; r == 0 && id < METRICS; id++)
		r = put_family(out, &families[id], &m->tables[id]);
	return r;
}

void metrics_on_scrape(struct metrics *m, void (*fn)(struct metrics *m, void *arg), void *arg)
{
	assert(m->n_collectors < COLLECTORS_MAX);
	m->collectors[m->n_collectors].fn = fn;
	m->collectors[m->n_collectors++].arg = arg;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

struct metrics *metrics_new(void)
{
	struct metrics *m = alloc_zeroed(1, sizeof(*m));

	for (int id = 0; id < METRICS; id++) { /* what has no labels is there from the start, at 0 */
		if (count_labels(&families[id]) == 0)
			(void)find(m, (enum metric)id, METRIC_PLAIN);
	}
	metrics_set(m, METRIC_BUILD_INFO, METRIC_LABELS(CUBIT_VERSION), 1);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (int id = 0; id < METRICS; id++) {
		metrics_clear(m, (enum metric)id);
		free(m->tables[id].series);
		free(m->tables[id].index);
	}
	free(m);
}
