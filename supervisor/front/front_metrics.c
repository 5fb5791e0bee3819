/* What the front counts: see front_metrics.h. */
#include "supervisor/front/front_metrics.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/auth/auth.h"
#include "supervisor/callback/callback.h"
#include "supervisor/front/able.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/job_callbacks.h"
#include "supervisor/front/views.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/jobs/result.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/pool/pool.h"
#include "supervisor/queue/db.h"
#include "supervisor/queue/queue.h"
#include "supervisor/redis/redis.h"

static void scrape_queue(struct metrics *m, const struct front *f)
{
	struct queue_counts q;

	queue_counts(f->queue, &q);
	metrics_set(m, METRIC_QUEUE_JOBS, METRIC_LABELS("waiting"), (double)q.waiting);
	metrics_set(m, METRIC_QUEUE_JOBS, METRIC_LABELS("running"), (double)q.leased);
	metrics_set(m, METRIC_QUEUE_JOBS, METRIC_LABELS("done"), (double)q.done);
	metrics_set(m, METRIC_QUEUE_JOBS, METRIC_LABELS("dead"), (double)q.dead);
	metrics_set(m, METRIC_QUEUE_JOBS, METRIC_LABELS("cancelled"), (double)q.cancelled);
	metrics_set(m, METRIC_QUEUE_OLDEST_SECONDS, METRIC_PLAIN, (double)q.oldest_waiting_ms / 1e3);
	metrics_set(m, METRIC_QUEUE_SUBMITTED_TOTAL, METRIC_PLAIN, (double)q.submitted);
	metrics_set(m, METRIC_QUEUE_FINISHED_TOTAL, METRIC_PLAIN, (double)q.finished);
	metrics_set(m, METRIC_QUEUE_RETURNED_TOTAL, METRIC_PLAIN, (double)q.returned);
	metrics_set(m, METRIC_QUEUE_FENCED_TOTAL, METRIC_PLAIN, (double)q.fenced);
	metrics_set(m, METRIC_QUEUE_REPLAYED_TOTAL, METRIC_PLAIN, (double)q.replayed);
}

static void scrape_database(struct metrics *m, const struct front *f)
{
	struct db_counts d;

	db_counts(f->db, &d);
	metrics_set(m, METRIC_DB_COMMITS_TOTAL, METRIC_PLAIN, (double)d.commits);
	metrics_set(m, METRIC_DB_WAITING, METRIC_PLAIN, (double)d.waiting);
	metrics_set(m, METRIC_DB_FAILURES_TOTAL, METRIC_PLAIN, (double)d.failures);
	metrics_set(m, METRIC_DB_COMMIT_SECONDS, METRIC_PLAIN, (double)d.last_commit_ns / 1e9);
}

static void scrape_redis(struct metrics *m, const struct front *f)
{
	struct redis_stats r;

	if (!f->redis)
		return;
	redis_stats(f->redis, &r);
	metrics_set(m, METRIC_REDIS_UP, METRIC_PLAIN, r.is_up);
	metrics_set(m, METRIC_REDIS_WAITING, METRIC_PLAIN, (double)r.waiting);
	metrics_set(m, METRIC_REDIS_CONNECTS_TOTAL, METRIC_PLAIN, (double)r.connects);
	metrics_set(m, METRIC_REDIS_ERRORS_TOTAL, METRIC_PLAIN, (double)r.errors);
	metrics_set(m, METRIC_REDIS_JOBS_TOTAL, METRIC_LABELS("taken"), (double)r.taken);
	metrics_set(m, METRIC_REDIS_JOBS_TOTAL, METRIC_LABELS("claimed"), (double)r.claimed);
	metrics_set(m, METRIC_REDIS_JOBS_TOTAL, METRIC_LABELS("finished"), (double)r.finished);
	metrics_set(m, METRIC_REDIS_JOBS_TOTAL, METRIC_LABELS("fenced"), (double)r.fenced);
	metrics_set(m, METRIC_REDIS_JOBS_TOTAL, METRIC_LABELS("dead"), (double)r.dead);
	metrics_set(m, METRIC_REDIS_JOBS_TOTAL, METRIC_LABELS("duplicate"), (double)r.duplicates);
}

static void scrape_callbacks(struct metrics *m, const struct front *f)
{
	struct callbacks_counts c;

	if (!f->callbacks.open)
		return;
	job_callbacks_counts(&f->callbacks, &c);
	metrics_set(m, METRIC_CALLBACKS, METRIC_LABELS("armed"), (double)c.armed);
	metrics_set(m, METRIC_CALLBACKS, METRIC_LABELS("waiting"), (double)c.waiting);
	metrics_set(m, METRIC_CALLBACKS_TOTAL, METRIC_LABELS("delivered"), (double)c.delivered);
	metrics_set(m, METRIC_CALLBACKS_TOTAL, METRIC_LABELS("failed"), (double)c.failed);
	metrics_set(m, METRIC_CALLBACKS_TOTAL, METRIC_LABELS("given_up"), (double)c.given_up);
}

static void scrape_auth(struct metrics *m, const struct front *f)
{
	struct auth_counts a;

	auth_counts(f->auth, &a);
	for (int i = 0; i < AUTH_REFUSALS; i++)
		metrics_set(m, METRIC_AUTH_REFUSALS_TOTAL, METRIC_LABELS(auth_refusal_names[i]), (double)a.refusals[i]);
}

static void scrape_work(struct metrics *m, const struct front *f)
{
	struct dispatch_counts d;
	struct pool_counts p;

	dispatch_counts(f->dispatch, &d);
	pool_counts(f->pool, &p);
	metrics_set(m, METRIC_JOBS_STATE, METRIC_LABELS("running"), (double)d.running);
	metrics_set(m, METRIC_JOBS_STATE, METRIC_LABELS("waiting_in_memory"), (double)d.direct_waiting);
	metrics_set(m, METRIC_JOBS_STATE, METRIC_LABELS("recording"), (double)d.recording);
	metrics_set(m, METRIC_POOL, METRIC_LABELS("all", "ready"), (double)p.ready);
	metrics_set(m, METRIC_POOL, METRIC_LABELS("all", "starting"), (double)p.starting);
	metrics_set(m, METRIC_SANDBOXES, METRIC_PLAIN, (double)(p.ready + p.starting + engine_running(f->engine)));
	metrics_set(m, METRIC_SANDBOX_CREATES_TOTAL, METRIC_PLAIN, (double)p.made);
}

static void count_reason(const char *text, void *n)
{
	(void)text;
	++*(unsigned *)n;
}

static void scrape_health(struct metrics *m, struct front *f)
{
	unsigned n = 0;

	able_reasons(f->able, count_reason, &n);
	metrics_set(m, METRIC_READY, METRIC_PLAIN, n == 0);
	metrics_set(m, METRIC_FRONT_RESTARTS_TOTAL, METRIC_PLAIN, f->front_number > 0 ? f->front_number - 1 : 0);
}

static void scrape_http(struct metrics *m, const struct front *f)
{
	struct http_counts h;

	if (!f->http)
		return;
	http_server_counts(f->http, &h);
	metrics_set(m, METRIC_CONNECTIONS, METRIC_PLAIN, (double)h.connections);
	metrics_set(m, METRIC_WEBSOCKETS, METRIC_PLAIN, (double)h.websockets);
	metrics_set(m, METRIC_HTTP_BYTES_TOTAL, METRIC_LABELS("in"), (double)h.bytes_in);
	metrics_set(m, METRIC_HTTP_BYTES_TOTAL, METRIC_LABELS("out"), (double)h.bytes_out);
}

static void scrape(struct metrics *m, void *arg)
{
	scrape_queue(m, arg);
	scrape_database(m, arg);
	scrape_auth(m, arg);
	scrape_redis(m, arg);
	scrape_callbacks(m, arg);
	scrape_work(m, arg);
	scrape_http(m, arg);
	scrape_health(m, arg);
}

void front_metrics_new(struct front *f)
{
	f->metrics = metrics_new();
	metrics_on_scrape(f->metrics, scrape, f);
}

void front_metrics_job(struct metrics *m, const struct job_result *result)
{
	metrics_add(m, METRIC_JOBS_TOTAL,
		    METRIC_LABELS(verdict_name(result->verdict.status), result->runtime ? result->runtime : ""), 1);
	if (result->verdict.status == VERDICT_POLICY_VIOLATION)
		metrics_add(m, METRIC_POLICY_DENIALS_TOTAL, METRIC_LABELS(result->policy ? result->policy : ""), 1);
}

void front_metrics_stage(const char *stage, uint64_t ns, void *m)
{
	metrics_observe(m, METRIC_STAGE_SECONDS, METRIC_LABELS(stage), ns);
}

void front_metrics_http(struct http_request *rq, const struct http_route *route, int status, uint64_t ns, void *front)
{
	const struct front *f = front;
	const char *path = route ? route->path : "none";
	char number[16];

	if (f->auth)
		auth_request_done(f->auth, rq, route, status);
	(void)snprintf(number, sizeof(number), "%d", status);
	metrics_add(f->metrics, METRIC_HTTP_REQUESTS_TOTAL, METRIC_LABELS(path, http_method(rq), number), 1);
	metrics_observe(f->metrics, METRIC_HTTP_SECONDS, METRIC_LABELS(path), ns);
}
