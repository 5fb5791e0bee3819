/*
 * Events of the jobs that run here, into their streams in Redis: see redis_impl.h.
 *
 * A feed is a reader of a journal and keeps a number only. One batch is on its way at a time; what is written meanwhile
 * makes up the next one. The script skips what the stream has already, so that a batch whose answer was lost is sent
 * again, and refuses a feed whose attempt is not that of the job any more.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/json_bytes.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/jobs/engine.h"
#include "supervisor/journal/journal.h"
#include "supervisor/redis/redis_impl.h"
#include "supervisor/settings.h"

enum {
	BATCH_EVENTS = 64,
	BATCH_BYTES = 256 << 10,
	FLUSH_MS = 2000, /* a result waits for its events that long */
};

struct feed {
	struct feed *next;
	struct redis_source *s;
	char id[QUEUE_ID_BYTES];
	unsigned attempt;
	struct journal *journal;
	struct journal_reader reader;
	uint64_t sent; /* number of the last one that Redis has */
	bool is_sending, is_over;
	void (*flushed)(void *arg);
	void *flushed_arg;
	uint64_t flush_until_ns;
};

/* What one batch needs until it was handed over. */
struct piece {
	struct journal_event event;
	char *data, *message, *log;
};

static void flushed(struct feed *f)
{
	void (*fn)(void *arg) = f->flushed;

	f->flushed = NULL;
	if (fn)
		fn(f->flushed_arg);
}

/* Take it out of where it is linked in, and free it. */
static void unlink_feed(struct feed **at)
{
	struct feed *f = *at;

	*at = f->next;
	journal_leave(&f->reader);
	journal_unref(f->journal);
	free(f);
}

static void feed_free(struct feed *f)
{
	struct feed **at = &f->s->r->feeds;

	while (*at != f)
		at = &(*at)->next;
	unlink_feed(at);
}

/* Nothing more from this one; it goes when its batch was answered. */
static void end(struct feed *f)
{
	f->is_over = true;
	journal_leave(&f->reader);
	flushed(f);
	if (!f->is_sending)
		feed_free(f);
}

static char *event_message(const struct feed *f, const struct piece *p)
{
	const struct journal_event *e = &p->event;
	json_t *o = json_pack("{ss si sI ss sI}", "job", f->id, "attempt", (int)f->attempt, "n", (json_int_t)e->n,
			      "type", journal_type_name(e->type), "at_ms", (json_int_t)e->at_ms);
	char *text = o && json_set_bytes(o, "data", p->data, e->size) == 0 ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

static bool is_output(const struct journal_event *e)
{
	return e->type == JOURNAL_STDOUT || e->type == JOURNAL_STDERR;
}

/* Event n with a copy of its bytes, which live until the next one is asked for. */
static bool piece_read(struct feed *f, uint64_t n, struct piece *p)
{
	if (!journal_get(f->journal, n, &p->event))
		return false;
	p->data = alloc_bytes(p->event.size + 1);
	if (p->event.size)
		memcpy(p->data, p->event.data, p->event.size);
	p->data[p->event.size] = '\0';
	if (f->s->r->env.settings->redis_events)
		p->message = event_message(f, p);
	if (f->s->logs && is_output(&p->event))
		p->log = redis_log_message(f->id, p->data, p->event.size, NULL);
	return true;
}

static void piece_done(struct piece *p)
{
	free(p->data);
	free(p->message);
	free(p->log);
}

static void send_more(struct feed *f);

static void on_sent(const struct error *e, const redisReply *reply, void *arg)
{
	struct feed *f = arg;
	struct redis *r = f->s->r;

	redis_note(r, e);
	f->is_sending = false;
	if (f->is_over || r->is_closing) {
		end(f);
		return;
	}
	if (e)
		return; /* the next tick, or the next connection */
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0) {
		end(f);
		return;
	}
	if ((uint64_t)reply->integer > f->sent)
		f->sent = (uint64_t)reply->integer;
	send_more(f);
}

static void args_piece(struct redis_args *a, const struct piece *p)
{
	args_number(a, p->event.n);
	args_text(a, journal_type_name(p->event.type));
	args_number(a, p->event.at_ms);
	args_bytes(a, p->data, p->event.size);
	args_text(a, p->message);
	args_text(a, p->log);
}

static int send_pieces(struct feed *f, const struct piece *pieces, size_t n)
{
	struct redis *r = f->s->r;
	struct redis_args a;

	args_init(&a, r);
	args_text(&a, f->id);
	args_number(&a, f->attempt);
	args_number(&a, r->env.settings->redis_events);
	args_number(&a, r->retention_ms);
	args_text(&a, f->s->logs);
	args_number(&a, n);
	for (size_t i = 0; i < n; i++)
		args_piece(&a, &pieces[i]);
	return args_eval(&a, r, &redis_lua_events, on_sent, f);
}

/* All of the journal is in the stream, and none of it will be pushed out: by `again`, by the end. */
static void note_whole(struct feed *f)
{
	uint64_t most = f->s->r->env.settings->redis_events;
	struct held *h = held_find(f->s, f->id, f->attempt);

	if (h && journal_is_ended(f->journal) && f->sent == journal_last(f->journal) && f->sent + 2 <= most)
		h->is_streamed = true;
}

/* All there is, as long as it is not too much; at the end of it, whoever waits for that is told. */
static void send_more(struct feed *f)
{
	struct piece pieces[BATCH_EVENTS] = { { .data = NULL } };
	size_t n = 0, bytes = 0;

	if (f->is_sending || f->is_over)
		return;
	while (n < BATCH_EVENTS && bytes < BATCH_BYTES && piece_read(f, f->sent + 1 + n, &pieces[n]))
		bytes += pieces[n++].event.size;
	if (n > 0)
		f->is_sending = send_pieces(f, pieces, n) == 0;
	for (size_t i = 0; i < n; i++)
		piece_done(&pieces[i]);
	if (n > 0 || (!f->flushed && !journal_is_ended(f->journal)))
		return;
	note_whole(f);
	end(f);
}

static void notify(struct journal_reader *reader)
{
	struct feed *f = reader->arg;

	if (!f->is_sending)
		send_more(f);
}

static struct feed *find(struct redis_source *s, const char *id, unsigned attempt)
{
	for (struct feed *f = s->r->feeds; f; f = f->next)
		if (!f->is_over && f->s == s && f->attempt == attempt && strcmp(f->id, id) == 0)
			return f;
	return NULL;
}

void feed_start(struct redis_source *s, struct job *job)
{
	struct feed *f;

	if ((!s->r->env.settings->redis_events && !s->logs) || find(s, job_id(job), job_attempt(job)))
		return;
	f = alloc_zeroed(1, sizeof(*f));
	f->s = s;
	(void)text_copy(f->id, sizeof(f->id), job_id(job));
	f->attempt = job_attempt(job);
	f->journal = journal_ref(job_journal(job));
	f->reader.notify = notify;
	f->reader.arg = f;
	f->next = s->r->feeds;
	s->r->feeds = f;
	journal_join(f->journal, &f->reader);
	send_more(f);
}

void feed_flush(struct redis_source *s, const char *id, unsigned attempt, void (*fn)(void *arg), void *arg)
{
	struct feed *f = find(s, id, attempt);

	if (!f || f->flushed) {
		fn(arg);
		return;
	}
	f->flushed = fn;
	f->flushed_arg = arg;
	f->flush_until_ns = clock_deadline_ns(FLUSH_MS * NS_PER_MS);
	send_more(f);
}

void feed_stop(struct redis_source *s, const char *id, unsigned attempt)
{
	struct feed *f = find(s, id, attempt);

	if (f)
		end(f);
}

void feeds_go_on(struct redis *r)
{
	struct feed *next;

	for (struct feed *f = r->feeds; f; f = next) {
		next = f->next;
		if (f->flushed && clock_now_ns() > f->flush_until_ns)
			end(f); /* the result matters more */
		else if (redis_link_is_up(r->jobs))
			send_more(f);
	}
}

void feeds_free(struct redis *r)
{
	while (r->feeds)
		unlink_feed(&r->feeds);
}
