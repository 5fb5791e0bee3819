/* Jobs and dead letters, page by page: see queue/source.h. All sources of one server share both lists. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/text.h"
#include "runtime/base/utf8.h"
#include "supervisor/redis/call.h"

enum { LIST_MAX = 200, CURSOR_BYTES = 64 };

struct listing {
	struct redis *r;
	size_t limit;
	queue_list_fn *fn;
	void *arg;
};

/* One row of an answer as a job; letter is its own, and may be filled and pointed to. */
typedef void row_fn(const redisReply *row, struct queue_job *job, struct queue_letter *letter);

static void fail(struct listing *l, int code, const char *words)
{
	struct error e = ERROR_INIT;

	(void)error_set(&e, code, "%s", words);
	l->fn(&e, NULL, 0, "", l->arg);
	free(l);
}

static void answer(struct listing *l, const redisReply *rows, size_t n, row_fn *fn, const char *next)
{
	struct queue_job *jobs = alloc_zeroed(n, sizeof(*jobs));
	struct queue_letter *letters = alloc_zeroed(n, sizeof(*letters));

	for (size_t i = 0; i < n; i++)
		fn(rows->element[i], &jobs[i], &letters[i]);
	l->fn(NULL, jobs, n, next, l->arg);
	free(l);
	free(jobs);
	free(letters);
}

static size_t rows_of(const redisReply *list)
{
	return list && list->type == REDIS_REPLY_ARRAY ? list->elements : 0;
}

/* Two numbers with a dash between them, as entries of streams are called. */
static bool is_cursor(const char *text)
{
	size_t first = strspn(text, "0123456789");
	size_t second = text[first] == '-' ? strspn(text + first + 1, "0123456789") : 0;

	return first > 0 && second > 0 && !text[first + 1 + second] && first + second + 1 < CURSOR_BYTES;
}

static int start(struct redis_source *s, const struct redis_args *a, struct redis_script *script, redis_reply_fn *on,
		 size_t limit, queue_list_fn *fn, void *arg)
{
	struct listing *l = alloc_bytes(sizeof(*l));
	int rc;

	*l = (struct listing){ .r = s->r, .limit = limit, .fn = fn, .arg = arg };
	rc = args_eval(a, s->r, script, on, l);
	if (rc < 0)
		free(l);
	return rc;
}

static size_t limit_of(const struct queue_filter *f)
{
	return f->limit < 1 ? 1 : f->limit > LIST_MAX ? LIST_MAX : f->limit;
}

/* ---- jobs ---- */

static void job_row(const redisReply *row, struct queue_job *job, struct queue_letter *letter)
{
	(void)letter;
	call_read_job(reply_at(row, 1), reply_text(row, 0), job);
}

static void on_jobs(const struct error *e, const redisReply *reply, void *arg)
{
	struct listing *l = arg;
	char next[CURSOR_BYTES] = "";

	redis_note(l->r, e);
	if (e) {
		fail(l, e->code == EINVAL ? EAGAIN : e->code, e->text);
		return;
	}
	if (reply_text(reply, 0)[0])
		(void)snprintf(next, sizeof(next), "%.24s-%llu", reply_text(reply, 0),
			       (unsigned long long)reply_number(reply, 1));
	answer(l, reply_at(reply, 2), rows_of(reply_at(reply, 2)), job_row, next);
}

int redis_list(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg)
{
	struct redis_source *s = self;
	bool is_next = f->cursor && *f->cursor;
	char from[CURSOR_BYTES] = "+inf", *dash = NULL;
	struct redis_args a;

	if (is_next && !is_cursor(f->cursor))
		return -EINVAL;
	if (is_next) {
		(void)text_copy(from, sizeof(from), f->cursor); /* is_cursor() bounds it */
		dash = strchr(from, '-');
		*dash = '\0';
	}
	args_init(&a, s->r);
	args_text(&a, from);
	args_text(&a, dash ? dash + 1 : "0");
	args_number(&a, limit_of(f));
	args_text(&a, f->state >= 0 ? queue_state_name((enum queue_state)f->state) : "");
	args_text(&a, f->owner ? "1" : "0");
	args_text(&a, f->owner ? f->owner : "");
	return start(s, &a, &redis_lua_list, on_jobs, limit_of(f), fn, arg);
}

/* ---- dead letters ---- */

/* Cut where a character ends. */
static void copy_words(char *ret, size_t room, const char *text)
{
	size_t n = strnlen(text, room - 1);

	(void)snprintf(ret, room, "%.*s", (int)utf8_whole(text, n), text);
}

static void letter_row(const redisReply *row, struct queue_job *job, struct queue_letter *letter)
{
	const redisReply *payload = reply_at(row, 7);
	bool has_payload = payload && payload->type == REDIS_REPLY_STRING;

	*letter = (struct queue_letter){
		.entry = reply_text(row, 0),
		.source = reply_text(row, 5),
		.payload = has_payload ? payload->str : "",
		.payload_size = has_payload ? payload->len : 0,
		.payload_bytes = reply_number(row, 6),
	};
	*job = (struct queue_job){ .state = QUEUE_DEAD,
				   .attempt = (unsigned)reply_number(row, 3),
				   .finished_ms = reply_number(row, 0), /* what an entry's id begins with */
				   .letter = letter };
	reply_copy(row, reply_text(row, 1)[0] ? 1 : 0, job->id, sizeof(job->id));
	copy_words(job->reason, sizeof(job->reason), reply_text(row, 2));
	reply_copy(row, 4, job->last_node, sizeof(job->last_node));
	reply_copy(row, 8, job->owner, sizeof(job->owner));
}

static void on_letters(const struct error *e, const redisReply *reply, void *arg)
{
	struct listing *l = arg;
	size_t n = rows_of(reply);
	bool is_more = n > l->limit;
	char next[CURSOR_BYTES] = "";

	redis_note(l->r, e);
	if (e) {
		fail(l, e->code == EINVAL ? EAGAIN : e->code, e->text);
		return;
	}
	if (is_more)
		reply_copy(reply_at(reply, l->limit - 1), 0, next, sizeof(next));
	answer(l, reply, is_more ? l->limit : n, letter_row, next);
}

int redis_letters(void *self, const struct queue_filter *f, queue_list_fn *fn, void *arg)
{
	struct redis_source *s = self;
	bool is_next = f->cursor && *f->cursor;
	char to[CURSOR_BYTES + 1];
	struct redis_args a;

	if (is_next && !is_cursor(f->cursor))
		return -EINVAL;
	(void)snprintf(to, sizeof(to), "%s%s", is_next ? "(" : "+", is_next ? f->cursor : "");
	args_init(&a, s->r);
	args_text(&a, to);
	args_number(&a, limit_of(f) + 1);
	return start(s, &a, &redis_lua_dead_list, on_letters, limit_of(f), fn, arg);
}
