/*
 * cubit stats: what the daemon does, from GET /metrics: a table that is drawn anew each second on a terminal, one
 * picture otherwise. Rates are those since the picture before; in the first one, and with --once, counters stand as
 * they are.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/utf8.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/exposition.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/listing.h"
#include "tools/cubit/progress.h"

enum { EVERY_MS = 1000, ITEM_BYTES = 96, BREAKDOWN_MAX = 12 };

static bool is_once;
static volatile sig_atomic_t is_ended;

struct picture {
	struct exposition now, before; /* before: empty in the first */
	double seconds;                /* between them; 0 in the first */
	char node[400];                /* does it take work, and if not, why; "" it does not say */
	json_t *nodes;                 /* all that share its Redis; NULL: it has none, or we may not ask. Owned */
};

enum kind {
	GAUGE,
	GAUGE_BYTES,
	GAUGE_SECONDS,
	RATE, /* of a counter */
	RATE_BYTES,
	BREAKDOWN, /* a counter by the values of a label */
	QUANTILES, /* of a histogram, by the values of a label */
};

/* clang-format off */
static const struct item {
	const char *line; /* NULL: goes on */
	const char *title;
	enum kind kind;
	const char *metric, *label, *value; /* of BREAKDOWN and QUANTILES the label alone */
} items[] = {
	{ "jobs",     "running",     GAUGE,         "cubit_jobs_state",                  "state",     "running" },
	{ NULL,       "waiting",     GAUGE,         "cubit_queue_jobs",                  "state",     "waiting" },
	{ NULL,       "done",        GAUGE,         "cubit_queue_jobs",                  "state",     "done" },
	{ NULL,       "dead",        GAUGE,         "cubit_queue_jobs",                  "state",     "dead" },
	{ NULL,       "oldest",      GAUGE_SECONDS, "cubit_queue_oldest_waiting_seconds", NULL,       NULL },
	{ "queue",    "submitted",   RATE,          "cubit_queue_submitted_total",       NULL,        NULL },
	{ NULL,       "finished",    RATE,          "cubit_queue_finished_total",        NULL,        NULL },
	{ NULL,       "returned",    RATE,          "cubit_queue_returned_total",        NULL,        NULL },
	{ "verdicts", NULL,          BREAKDOWN,     "cubit_jobs_total",                  "verdict",   NULL },
	{ "stages",   NULL,          QUANTILES,     "cubit_stage_seconds",               "stage",     NULL },
	{ "pool",     "ready",       GAUGE,         "cubit_pool",                        "state",     "ready" },
	{ NULL,       "starting",    GAUGE,         "cubit_pool",                        "state",     "starting" },
	{ NULL,       "sandboxes",   GAUGE,         "cubit_sandboxes",                   NULL,        NULL },
	{ NULL,       "made",        RATE,          "cubit_sandbox_creates_total",       NULL,        NULL },
	{ "http",     "requests",    RATE,          "cubit_http_requests_total",         NULL,        NULL },
	{ NULL,       "connections", GAUGE,         "cubit_connections",                 NULL,        NULL },
	{ NULL,       "websockets",  GAUGE,         "cubit_websockets",                  NULL,        NULL },
	{ NULL,       "in",          RATE_BYTES,    "cubit_http_bytes_total",            "direction", "in" },
	{ NULL,       "out",         RATE_BYTES,    "cubit_http_bytes_total",            "direction", "out" },
	{ "refused",  NULL,          BREAKDOWN,     "cubit_auth_refusals_total",         "reason",    NULL },
	{ "database", "commits",     RATE,          "cubit_db_commits_total",            NULL,        NULL },
	{ NULL,       "last",        GAUGE_SECONDS, "cubit_db_commit_seconds",           NULL,        NULL },
	{ NULL,       "waiting",     GAUGE,         "cubit_db_waiting",                  NULL,        NULL },
	{ NULL,       "failures",    GAUGE,         "cubit_db_failures_total",           NULL,        NULL },
	{ "redis",    "up",          GAUGE,         "cubit_redis_up",                    NULL,        NULL },
	{ NULL,       "waiting",     GAUGE,         "cubit_redis_waiting",               NULL,        NULL },
	{ NULL,       "taken",       RATE,          "cubit_redis_jobs_total",            "event",     "taken" },
	{ NULL,       "finished",    RATE,          "cubit_redis_jobs_total",            "event",     "finished" },
	{ NULL,       "dead",        RATE,          "cubit_redis_jobs_total",            "event",     "dead" },
	{ NULL,       "errors",      RATE,          "cubit_redis_errors_total",          NULL,        NULL },
	{ "callbacks", "waiting",    GAUGE,         "cubit_callbacks",                   "state",     "waiting" },
	{ NULL,       "delivered",   RATE,          "cubit_callbacks_total",             "outcome",   "delivered" },
	{ NULL,       "failed",      RATE,          "cubit_callbacks_total",             "outcome",   "failed" },
	{ NULL,       "given up",    RATE,          "cubit_callbacks_total",             "outcome",   "given_up" },
	{ "fronts",   "restarts",    GAUGE,         "cubit_front_restarts_total",        NULL,        NULL },
	{ "process",  "memory",      GAUGE_BYTES,   "cubit_process_resident_bytes",      NULL,        NULL },
	{ NULL,       "descriptors", GAUGE,         "cubit_process_open_fds",            NULL,        NULL },
};
/* clang-format on */

/* ---- one item ---- */

static void seconds_text(double s, char ret[24])
{
	if (s < 0)
		(void)snprintf(ret, 24, "-");
	else if (isinf(s))
		(void)snprintf(ret, 24, "long");
	else if (s < 0.001)
		(void)snprintf(ret, 24, "%.0f us", s * 1e6);
	else if (s < 1)
		(void)snprintf(ret, 24, "%.3g ms", s * 1e3);
	else
		(void)snprintf(ret, 24, "%.3g s", s);
}

/* A counter that went down was begun anew. */
static double rate_of(const struct picture *p, const struct item *i, double now)
{
	double before = exposition_sum(&p->before, i->metric, i->label, i->value, NULL);

	return (now >= before ? now - before : now) / p->seconds;
}

static void value_text(const struct picture *p, const struct item *i, double v, char ret[ITEM_BYTES])
{
	bool is_rate = (i->kind == RATE || i->kind == RATE_BYTES) && p->seconds > 0;
	char text[24];

	if (is_rate)
		v = rate_of(p, i, v);
	if (i->kind == GAUGE_BYTES || i->kind == RATE_BYTES)
		progress_bytes(v > 0 ? (uint64_t)v : 0, text);
	else if (i->kind == GAUGE_SECONDS)
		seconds_text(v, text);
	else
		(void)snprintf(text, sizeof(text), is_rate ? "%.1f" : "%.0f", v);
	(void)snprintf(ret, ITEM_BYTES, "%s %s%s", i->title, text, is_rate ? "/s" : "");
}

/* The values that a label has, in the order of the text. */
static size_t values_of(const struct exposition *e, const char *metric, const char *label, char ret[BREAKDOWN_MAX][32])
{
	char value[32];
	size_t n = 0, k;

	for (size_t i = 0; i < e->n && n < BREAKDOWN_MAX; i++) {
		if (strcmp(e->samples[i].name, metric) != 0 ||
		    !sample_label(&e->samples[i], label, value, sizeof(value)))
			continue;
		for (k = 0; k < n && strcmp(ret[k], value) != 0; k++)
			;
		if (k == n)
			memcpy(ret[n++], value, sizeof(value));
	}
	return n;
}

static void print_breakdown(const struct picture *p, const struct item *i)
{
	char values[BREAKDOWN_MAX][32];
	size_t n = values_of(&p->now, i->metric, i->label, values);

	for (size_t k = 0; k < n; k++) {
		double v = exposition_sum(&p->now, i->metric, i->label, values[k], NULL);

		utf8_clean(values[k]);
		printf("  %s %.0f", values[k], v);
	}
	if (n == 0)
		printf("  none");
}

static void print_quantiles(const struct picture *p, const struct item *i)
{
	char values[BREAKDOWN_MAX][32], bucket[96], half[24], most[24];
	size_t n;

	(void)snprintf(bucket, sizeof(bucket), "%s_bucket", i->metric);
	n = values_of(&p->now, bucket, i->label, values);
	for (size_t k = 0; k < n; k++) {
		seconds_text(exposition_quantile(&p->now, &p->before, i->metric, i->label, values[k], 0.5), half);
		seconds_text(exposition_quantile(&p->now, &p->before, i->metric, i->label, values[k], 0.95), most);
		utf8_clean(values[k]);
		printf("%s  %-10s half within %-8s 95%% within %s", k ? "\n         " : "", values[k], half, most);
	}
	if (n == 0)
		printf("  none yet");
}

/* ---- pictures ---- */

/* What /readyz says; that is a 503 when it is not ready. */
static void ask_node(struct invocation *v, struct picture *p)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	const json_t *reasons, *reason, *is_ready;
	size_t i, n;

	(void)client_call(v->client, "GET", "/readyz", NULL, &reply, NULL);
	is_ready = json_object_get(reply.json, "ready");
	reasons = json_object_get(reply.json, "reasons");
	(void)snprintf(p->node, sizeof(p->node), "%s",
		       json_is_true(is_ready)    ? "ready"
		       : json_is_false(is_ready) ? "not ready"
						 : "");
	json_array_foreach(reasons, i, reason)
	{
		n = strlen(p->node);
		(void)snprintf(p->node + n, sizeof(p->node) - n, "%s%s", i ? "; " : ": ",
			       json_is_string(reason) ? json_string_value(reason) : "?");
	}
	utf8_clean(p->node);
}

/* For administrators, and only where there is a Redis: one more round trip for each picture otherwise. */
static void ask_nodes(struct invocation *v, struct picture *p)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	bool has_redis;

	json_decref(p->nodes);
	p->nodes = NULL;
	(void)exposition_sum(&p->now, "cubit_redis_up", NULL, NULL, &has_redis);
	if (has_redis && client_call(v->client, "GET", "/v1/nodes", NULL, &reply, NULL) == 0)
		p->nodes = json_incref(json_object_get(reply.json, "nodes"));
}

static void print_nodes(const struct picture *p, bool has_screen)
{
	const json_t *node;
	size_t i;

	json_array_foreach(p->nodes, i, node)
	{
		char name[65], state[32];

		(void)snprintf(name, sizeof(name), "%s", json_string_value(json_object_get(node, "name")) ?: "?");
		(void)snprintf(state, sizeof(state), "%s", json_string_value(json_object_get(node, "state")) ?: "?");
		utf8_clean(name);
		utf8_clean(state);
		printf("%s%-9s  %s %s  running %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT "\n",
		       has_screen ? "\033[K" : "", i ? "" : "nodes", name, state,
		       json_integer_value(json_object_get(node, "running")),
		       json_integer_value(json_object_get(node, "slots")));
	}
}

static void print_table(const struct picture *p, bool has_screen)
{
	char text[ITEM_BYTES];

	if (p->node[0])
		printf("%s%-9s  %s\n", has_screen ? "\033[K" : "", "node", p->node);
	for (size_t k = 0; k < sizeof(items) / sizeof(items[0]); k++) {
		const struct item *i = &items[k];
		bool is_there = true;
		double v = 0;

		if (i->line)
			printf("%s%s%-9s", k ? "\n" : "", has_screen ? "\033[K" : "", i->line);
		if (i->kind == BREAKDOWN) {
			print_breakdown(p, i);
		} else if (i->kind == QUANTILES) {
			print_quantiles(p, i);
		} else {
			v = exposition_sum(&p->now, i->metric, i->label, i->value, &is_there);
			if (is_there) {
				value_text(p, i, v, text);
				printf("  %-18s", text);
			}
		}
	}
	putchar('\n');
	print_nodes(p, has_screen);
}

static void print_json(const struct picture *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->now.n; i++) {
		const struct sample *s = &p->now.samples[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:f}", "name", s->name, "labels", s->labels, "value",
					isfinite(s->value) ? s->value : 0.0)); /* out of memory: one less */
	}
	listing_print_json(list);
	json_decref(list);
}

static int take_picture(struct invocation *v, struct picture *p, struct error *err)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct exposition now;
	int r = client_call(v->client, "GET", "/metrics", NULL, &reply, err);

	if (r < 0)
		return r;
	exposition_parse(buf_str(&reply.text), &now);
	exposition_done(&p->before);
	p->before = p->now;
	p->now = now;
	ask_node(v, p);
	ask_nodes(v, p);
	return 0;
}

static void on_signal(int signal)
{
	(void)signal;
	is_ended = 1;
}

static void print_heading(const char *trouble)
{
	char when[32];
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm) && strftime(when, sizeof(when), "%H:%M:%S", &tm))
		printf("\033[H\033[Kcubit stats  %s  %s\n\033[K\n", when, trouble ? trouble : "(Ctrl-C ends it)");
}

/* Until somebody ends it; a daemon that is away for a while is waited for. */
static int watch(struct invocation *v, struct picture *p)
{
	struct sigaction a = { .sa_handler = on_signal };
	uint64_t last_ns = clock_now_ns();

	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
	client_set_interrupt(v->client, &is_ended);
	printf("\033[H\033[2J");
	print_heading(NULL);
	print_table(p, true);
	(void)fflush(stdout);
	while (!is_ended) {
		struct error err = ERROR_INIT;
		uint64_t now_ns;

		(void)nanosleep(&(struct timespec){ EVERY_MS / 1000, EVERY_MS % 1000 * 1000000L }, NULL);
		if (is_ended)
			break;
		if (take_picture(v, p, &err) < 0) {
			print_heading(err.text);
		} else {
			now_ns = clock_now_ns();
			p->seconds = (double)(now_ns - last_ns) / (double)NS_PER_S;
			last_ns = now_ns;
			print_heading(NULL);
			print_table(p, true);
			printf("\033[J");
		}
		if (fflush(stdout) != 0)
			break; /* nobody looks */
	}
	return EXIT_YES;
}

static int show(struct invocation *v)
{
	struct picture p = { .seconds = 0 };
	struct error err = ERROR_INIT;
	const char *term = getenv("TERM");
	bool has_screen = isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
	int status = EXIT_YES;

	if (take_picture(v, &p, &err) < 0)
		return family_fail(v, &err);
	if (v->is_json)
		print_json(&p);
	else if (has_screen && !is_once)
		status = watch(v, &p);
	else
		print_table(&p, false);
	json_decref(p.nodes);
	exposition_done(&p.now);
	exposition_done(&p.before);
	return status;
}

static const struct family_option options[] = {
	{ "--once", NULL, FAMILY_FLAG, &is_once, "one picture, also on a terminal" },
	{ NULL },
};

static const struct family_call calls[] = {
	{ "", "", 0, 0, show, options,
	  "Show what the daemon does: jobs, stages, pool, requests; on a terminal anew each second." },
	{ NULL },
};

const struct family stats_family = { "stats", calls, NULL, false };

int stats_main(int argc, char **argv)
{
	return family_main(&stats_family, argc, argv);
}
