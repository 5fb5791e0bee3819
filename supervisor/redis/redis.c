/* Redis for the front: its life and its tick. See redis.h and redis_impl.h. */
#include "supervisor/redis/redis.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "runtime/base/version.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/redis/tls.h"
#include "supervisor/redis/url.h"
#include "supervisor/settings.h"

enum {
	TICK_MS = 1000,
	FETCHED_MS = 2000, /* a payload that was moved to us is taken within, or goes back */
	DAY_MS = 24 * 3600 * 1000,
};

/* ---- words ---- */

static void note(struct redis *r, const char *source, char trouble[512], const struct error *e)
{
	bool is_refusal = e && (e->code == ENOSPC || e->code == EROFS || e->code == EPROTO);

	if (e)
		r->stats.errors++;
	if (is_refusal && strncmp(trouble, e->text, 16) != 0)
		log_error(LOG_FACTS(LOG_STR("source", source), LOG_STR("error", e->text)),
			  "Redis refuses, trying again");
	if (is_refusal)
		(void)text_copy(trouble, 512, e->text);
	else if (!e)
		trouble[0] = '\0';
}

void redis_note(struct redis *r, const struct error *e)
{
	note(r, "any", r->trouble, e);
}

void redis_note_take(struct redis_source *s, const struct error *e)
{
	note(s->r, s->name, s->trouble, e);
}

void redis_work(struct redis_source *s)
{
	if (s->source.on_work && !s->r->is_closing)
		s->source.on_work(&s->source);
}

char *redis_message(const char *id, const char *type, const char *key, const char *value, unsigned attempt)
{
	json_t *o = json_pack("{ss ss ss sI}", "job", id, "type", type, key, value, "attempt", (json_int_t)attempt);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

/* Bytes as text for a reader that knows text only: what is none becomes U+FFFD. */
static json_t *text_of(const char *data, size_t size)
{
	cleanup_buf struct buf out = BUF_BOUNDED(3 * size + 1);

	while (size > 0) {
		size_t n = *data ? utf8_length(data, size) : 0;
		int rc = n ? buf_append(&out, data, n) : buf_append_str(&out, "\xef\xbf\xbd");

		if (rc < 0)
			return NULL;
		n = n ? n : 1;
		data += n;
		size -= n;
	}
	return json_stringn(buf_str(&out), out.size);
}

char *redis_log_message(const char *id, const char *output, size_t size, const char *status)
{
	json_t *o = json_pack("{ss so ss}", "job_id", id, "output", text_of(output, size), "type",
			      status ? "status" : "log");
	char *text;

	if (o && status && json_object_set_new(o, "status", json_string(status)) < 0)
		json_object_clear(o);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

const char *redis_word(const struct redis *r)
{
	return r->env.word ? r->env.word(r->env.arg) : "serving";
}

/* ---- the tick: heartbeat, drain flag, jobs to end, delays that passed, entries of the dead ---- */

static void look_after(struct redis_source *s, const redisReply *row)
{
	const struct redis *r = s->r;
	uint64_t now = clock_now_ns();
	bool has_work = reply_number(row, 0) > 0 || reply_number(row, 2) > 0;

	s->waiting = reply_number(row, 1);
	if (now >= s->stale_ns) {
		s->stale_ns = clock_deadline_ns(r->env.settings->lease_ns / 2);
		/* the list has nothing idle: what an earlier life of ours had leased lies among our own */
		(void)text_copy(s->is_list ? s->mine : s->stale, sizeof(s->stale), "-");
	}
	has_work |= s->stale[0] || s->mine[0] || s->fetched;
	if (s->fetched && (now > s->fetched_ns + FETCHED_MS * NS_PER_MS || strcmp(redis_word(r), "serving") != 0))
		redis_unfetch(s);
	else if (has_work && now >= s->retry_ns)
		redis_work(s);
	redis_wait(s);
}

static void end_jobs(struct redis *r, const redisReply *ids)
{
	for (size_t i = 0; ids && ids->type == REDIS_REPLY_ARRAY && i < ids->elements; i++)
		if (r->env.cancel)
			r->env.cancel(reply_text(ids, i), "cancelled by its owner", r->env.arg);
}

static void on_asked(const struct error *e, bool was_leased, void *arg)
{
	(void)was_leased; /* its node is told */
	(void)arg;
	if (e && e->code != ENOENT && e->code != EALREADY)
		log_info(LOG_FACTS(LOG_STR("error", e->text)),
			 "cannot cancel a job that its producer gave up, trying again");
}

/* Whoever pushes jobs may take them back: who writes to this Redis is one party. Any node can do it. */
static void cancel_jobs(struct redis *r, const redisReply *ids)
{
	struct source *any = &r->sources[0].source;

	for (size_t i = 0; r->n_sources > 0 && ids && ids->type == REDIS_REPLY_ARRAY && i < ids->elements; i++)
		(void)any->ops->cancel(any->self, reply_text(ids, i), NULL, on_asked,
				       NULL); /* the next tick asks again */
}

static void set_draining(struct redis *r, bool on)
{
	if (on == r->is_draining)
		return;
	r->is_draining = on;
	log_notice(LOG_NONE,
		   on ? "asked through Redis to take no more work" : "asked through Redis to take work again");
	if (r->drained)
		r->drained(on, r->drained_arg);
}

static void on_ticked(const struct error *e, const redisReply *reply, void *arg)
{
	struct redis *r = arg;

	r->is_ticking = false;
	redis_note(r, e);
	if (e || r->is_closing)
		return;
	set_draining(r, strcmp(reply_text(reply, 0), "1") == 0);
	end_jobs(r, reply_at(reply, 1));
	cancel_jobs(r, reply_at(reply, 4));
	if (reply_number(reply, 3))
		log_notice(LOG_FACTS(LOG_INT("payloads", reply_number(reply, 3))),
			   "put back what a silent node had taken");
	r->stats.waiting = 0;
	for (size_t i = 0; i < r->n_sources; i++) {
		look_after(&r->sources[i], reply_at(reply_at(reply, 2), i));
		r->stats.waiting += r->sources[i].waiting;
	}
}

static void sources_text(const struct redis *r, char *ret, size_t room)
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < r->n_sources && at < room; i++) {
		int n = snprintf(ret + at, room - at, "%s%s", i ? " " : "", r->sources[i].name);

		at += n > 0 ? (size_t)n : 0; /* cut is fine */
	}
}

static void tick(struct redis *r)
{
	const struct settings *settings = r->env.settings;
	size_t free_slots = r->env.free_slots ? r->env.free_slots(r->env.arg) : 0;
	char sources[1024];
	struct redis_args a;

	feeds_go_on(r);
	if (r->is_ticking || !redis_link_is_up(r->jobs))
		return;
	sources_text(r, sources, sizeof(sources));
	args_init(&a, r);
	args_text(&a, CUBIT_VERSION);
	args_number(&a, settings->slots);
	args_number(&a, free_slots < settings->slots ? settings->slots - free_slots : 0);
	args_text(&a, r->is_draining ? "draining" : redis_word(r));
	args_text(&a, sources);
	args_number(&a, r->lease_ms);
	args_number(&a, DAY_MS);
	for (size_t i = 0; i < r->n_sources; i++) {
		args_text(&a, r->sources[i].is_list ? "list" : "stream");
		args_text(&a, r->sources[i].name);
		args_text(&a, r->sources[i].group);
	}
	r->is_ticking = args_eval(&a, r, &redis_lua_tick, on_ticked, r) == 0;
}

static void on_tick(uv_timer_t *t)
{
	tick(t->data);
}

/* ---- the connection ---- */

static void on_state(struct redis_link *link, bool is_up, const char *why, void *arg)
{
	struct redis *r = arg;

	(void)link;
	if (r->is_closing)
		return;
	if (!is_up) {
		log_warning(LOG_FACTS(LOG_STR("why", why)), "Redis cannot be reached, trying again");
		return;
	}
	log_notice(LOG_NONE, "Redis is there");
	r->stats.connects++;
	r->trouble[0] = '\0';
	for (size_t i = 0; i < r->n_sources; i++) {
		struct redis_source *s = &r->sources[i];

		/* what we were given before and do not know of; another server may know less than we read */
		(void)text_copy(s->mine, sizeof(s->mine), "-");
		s->last[0] = s->trouble[0] = '\0';
		s->retry_ns = 0;
		redis_work(s);
	}
	tick(r);
}

static int open_link(struct redis *r, const char *name, void (*state)(struct redis_link *, bool, const char *, void *),
		     void *arg, struct redis_link **ret, struct error *err)
{
	const struct redis_options options = {
		.url = r->env.settings->redis_url,
		.ca_file = r->env.settings->redis_ca,
		.name = name,
		.state = state,
		.arg = arg,
	};
	int rc = redis_link_new(r->env.loop, &options, ret, err);

	r->n_links += rc == 0;
	return rc;
}

/* ---- sources ---- */

static struct redis_source *source_new(struct redis *r, const char *name, struct error *err)
{
	struct redis_source *s = &r->sources[r->n_sources];

	if (r->n_sources == REDIS_SOURCES_MAX) {
		(void)error_set(err, EINVAL, "more than %d streams and lists", REDIS_SOURCES_MAX);
		return NULL;
	}
	for (size_t i = 0; i < r->n_sources; i++) {
		if (strcmp(r->sources[i].name, name) == 0) {
			(void)error_set(err, EINVAL, "'%s' is named twice", name);
			return NULL;
		}
	}
	s->r = r;
	s->name = strdup(name);
	r->n_sources++;
	return s;
}

/* X:jobs to X:logs, for who listens there; our own have the channel `events`. */
static char *logs_of(const struct redis *r, const char *name)
{
	const char *prefix = r->env.settings->redis_prefix;
	size_t n = strlen(name);
	char *logs;

	if (n < 5 || strcmp(name + n - 5, ":jobs") != 0 || (prefix[0] && strncmp(name, prefix, strlen(prefix)) == 0))
		return NULL;
	return asprintf(&logs, "%.*s:logs", (int)(n - 5), name) < 0 ? NULL : logs;
}

/* STREAM/GROUP/FIELD; text is written to. */
static int add_stream(struct redis *r, char *text, struct error *err)
{
	char *group = strchr(text, '/'), *field = group ? strchr(group + 1, '/') : NULL;
	struct redis_source *s;

	if (!field || group == text || field == group + 1 || !field[1] || strchr(field + 1, '/'))
		return error_set(err, EINVAL, "CUBIT_REDIS_STREAMS: '%s' is not STREAM/GROUP/FIELD", text);
	*group++ = *field++ = '\0';
	s = source_new(r, text, err);
	if (!s)
		return error_wrap(err, "CUBIT_REDIS_STREAMS");
	s->group = strdup(group);
	s->field = strdup(field);
	s->logs = logs_of(r, text);
	s->source = (struct source){ .ops = &redis_stream_ops, .self = s, .space = SPACE_REDIS };
	return s->name && s->group && s->field ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int add_streams(struct redis *r, struct error *err)
{
	char *all = strdup(r->env.settings->redis_streams), *rest = NULL;
	int rc = 0;

	if (!all)
		return error_set(err, ENOMEM, "out of memory");
	for (char *one = strtok_r(all, " \t", &rest); one && rc == 0; one = strtok_r(NULL, " \t", &rest))
		rc = add_stream(r, one, err);
	free(all);
	return rc;
}

static int add_list(struct redis *r, struct error *err)
{
	const char *name = r->env.settings->redis_list;
	struct redis_source *s;

	if (!name[0])
		return 0;
	s = source_new(r, name, err);
	if (!s)
		return error_wrap(err, "CUBIT_REDIS_LIST");
	s->is_list = true;
	s->group = strdup("");
	s->field = strdup("");
	if (asprintf(&s->processing, "%sprocessing:%s", r->env.settings->redis_prefix, r->node) < 0)
		s->processing = NULL;
	s->source = (struct source){ .ops = &redis_list_ops, .self = s, .space = SPACE_REDIS };
	return s->name && s->group && s->field && s->processing ? 0 : error_set(err, ENOMEM, "out of memory");
}

static void source_done(struct redis_source *s)
{
	held_free_all(s);
	free(s->name);
	free(s->group);
	free(s->field);
	free(s->processing);
	free(s->logs);
	free(s->fetched);
}

/* ---- life ---- */

static void redis_free(struct redis *r)
{
	for (size_t i = 0; i < r->n_sources; i++)
		source_done(&r->sources[i]);
	free(r);
}

static void one_closed(struct redis *r)
{
	void (*closed)(void *arg) = r->closed;
	void *arg = r->closed_arg;

	if (--r->n_links > 0)
		return;
	feeds_free(r);
	redis_free(r);
	if (closed)
		closed(arg);
}

static void on_link_closed(void *arg)
{
	one_closed(arg);
}

static void on_tick_closed(uv_handle_t *handle)
{
	one_closed(handle->data);
}

void redis_close(struct redis *r, void (*done)(void *arg), void *arg)
{
	r->is_closing = true;
	r->closed = done;
	r->closed_arg = arg;
	r->n_links++; /* the timer, so that nothing goes before we are through here */
	followers_free(r);
	if (r->jobs)
		redis_link_close(r->jobs, on_link_closed, r);
	for (size_t i = 0; i < r->n_sources; i++)
		if (r->sources[i].wait)
			redis_link_close(r->sources[i].wait, on_link_closed, r);
	uv_close((uv_handle_t *)&r->tick, on_tick_closed);
}

static int add_sources(struct redis *r, struct error *err)
{
	int rc;

	if (strlen(r->env.settings->redis_prefix) > REDIS_PREFIX_MAX)
		return error_set(err, EINVAL, "CUBIT_REDIS_PREFIX: longer than %d bytes", REDIS_PREFIX_MAX);
	rc = add_streams(r, err);
	return rc < 0 ? rc : add_list(r, err);
}

static int check_server(const struct settings *settings, struct error *err)
{
	struct redis_url url = { .is_tls = false };
	struct redis_tls *tls = NULL;
	int rc = redis_url_parse(settings->redis_url, &url, err);

	if (rc < 0) {
		(void)error_wrap(err, "REDIS_URL");
	} else if (url.is_tls) {
		rc = redis_tls_new(url.host, settings->redis_ca, &tls, err);
		if (rc < 0)
			(void)error_wrap(err, "CUBIT_REDIS_CA");
		redis_tls_free(tls);
	}
	redis_url_done(&url);
	return rc;
}

int redis_check(const struct settings *settings, struct error *err)
{
	struct redis *r;
	int rc;

	if (!settings->redis_url[0])
		return 0;
	rc = check_server(settings, err);
	if (rc < 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(err, ENOMEM, "out of memory");
	r->env.settings = settings;
	r->node = settings->node;
	rc = add_sources(r, err);
	redis_free(r);
	return rc;
}

static int set_up(struct redis *r, struct error *err)
{
	int rc = add_sources(r, err);

	if (rc == 0)
		rc = open_link(r, "cubit:jobs", on_state, r, &r->jobs, err);
	for (size_t i = 0; rc == 0 && i < r->n_sources; i++)
		rc = open_link(r, "cubit:wait", redis_wait_state, &r->sources[i], &r->sources[i].wait, err);
	return rc;
}

static void make_run(char ret[33])
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		abort(); /* never for so few bytes, getrandom(2) */
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

int redis_open(const struct redis_env *env, struct redis **ret, struct error *err)
{
	struct redis *r = alloc_zeroed(1, sizeof(*r));
	int rc;

	r->env = *env;
	r->runtimes = env->runtimes;
	r->node = env->settings->node;
	r->lease_ms = env->settings->lease_ns / NS_PER_MS;
	r->retention_ms = env->settings->retention_ns / NS_PER_MS;
	make_run(r->run);
	(void)uv_timer_init(env->loop, &r->tick); /* cannot fail */
	r->tick.data = r;
	rc = set_up(r, err);
	if (rc < 0) {
		redis_close(r, NULL, NULL);
		return rc;
	}
	(void)uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS); /* fails only without a function */
	*ret = r;
	return 0;
}

void redis_set_runtimes(struct redis *r, const struct runtime_set *runtimes)
{
	r->runtimes = runtimes;
}

size_t redis_sources(struct redis *r, struct source *ret[REDIS_SOURCES_MAX])
{
	for (size_t i = 0; i < r->n_sources; i++)
		ret[i] = &r->sources[i].source;
	return r->n_sources;
}

void redis_on_drain(struct redis *r, void (*fn)(bool on, void *arg), void *arg)
{
	r->drained = fn;
	r->drained_arg = arg;
}

void redis_stats(const struct redis *r, struct redis_stats *ret)
{
	*ret = r->stats;
	ret->is_up = redis_link_is_up(r->jobs);
}
