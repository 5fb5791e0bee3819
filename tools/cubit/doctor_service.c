/* Checks of the services that settings name: Redis and S3. See doctor.h. Passwords are never printed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "supervisor/settings.h"
#include "tools/cubit/doctor.h"
#include "tools/cubit/resp.h"
#include "tools/cubit/tcp.h"
#include "tools/cubit/url.h"

enum { ANSWER_MS = 2000, REDIS_PORT = 6379, HTTP_PORT = 80, HTTPS_PORT = 443 };

/* ---- Redis ---- */

/* Say one command and expect a status. Returns 0 or -errno with err; a refusal is EACCES and names Redis' own word. */
static int redis_say(int fd, const char *const *words, size_t n, const char *want, uint64_t deadline_ns,
		     struct error *err)
{
	cleanup_buf struct buf out = BUF_BOUNDED(4096);
	char line[256], word[32];
	int r = resp_command(&out, words, n);

	if (r < 0)
		return error_errno(err, -r, "%s", words[0]);
	r = tcp_send(fd, out.data, out.size, deadline_ns, err);
	if (r == 0)
		r = tcp_read_line(fd, line, sizeof(line), deadline_ns, err);
	if (r < 0) {
		(void)error_wrap(err, "%s", words[0]); /* r has the code */
		return r;
	}
	switch (resp_classify(line, word, sizeof(word))) {
	case RESP_STATUS:
		if (strcmp(word, want) == 0)
			return 0;
		break;
	case RESP_ERROR:
		return error_set(err, EACCES, "%s is refused: %s", words[0], word);
	case RESP_FOREIGN:
		break;
	}
	return error_set(err, EPROTO, "%s: what listens there does not speak Redis' protocol", words[0]);
}

static int redis_greet(int fd, const struct url *u, uint64_t deadline_ns, struct error *err)
{
	const char *db = u->path[0] == '/' ? u->path + 1 : "";
	int r = 0;

	if (u->password[0] && u->user[0])
		r = redis_say(fd, (const char *const[]){ "AUTH", u->user, u->password }, 3, "OK", deadline_ns, err);
	else if (u->password[0])
		r = redis_say(fd, (const char *const[]){ "AUTH", u->password }, 2, "OK", deadline_ns, err);
	if (r == 0 && db[0])
		r = redis_say(fd, (const char *const[]){ "SELECT", db }, 2, "OK", deadline_ns, err);
	if (r == 0)
		r = redis_say(fd, (const char *const[]){ "PING" }, 1, "PONG", deadline_ns, err);
	return r;
}

static void redis_at(const struct url *u, struct finding *f)
{
	uint64_t deadline = clock_deadline_ns(ANSWER_MS * NS_PER_MS);
	struct error err = ERROR_INIT;
	cleanup_fd int fd = tcp_connect(u->host, u->port, deadline, &err);

	if (fd < 0) {
		finding_missing(f, "%s", err.text);
		finding_remedy(
			f, "start Redis, correct REDIS_URL, or unset it: the queue then lives in Cubit's own database");
	} else if (strcmp(u->scheme, "rediss") == 0) {
		finding_warning(f, "'%s' port %u accepts connections; TLS was not tried", u->host, (unsigned)u->port);
		finding_remedy(f, "nothing to do if redis-cli reaches it");
	} else if (redis_greet(fd, u, deadline, &err) < 0) {
		finding_missing(f, "'%s' port %u: %s", u->host, (unsigned)u->port, err.text);
		finding_remedy(f, err.code == EACCES
					  ? "correct user, password and database in redis://user:password@host:port/db"
					  : "correct REDIS_URL: is that the right port?");
	} else {
		finding_ok(f, "'%s' port %u answers PING", u->host, (unsigned)u->port);
	}
}

void check_redis(const struct check *c, struct finding *f)
{
	const char *text = settings_used()->redis_url;
	struct error err = ERROR_INIT;
	struct url u;

	(void)c;
	if (!*text) {
		finding_ok(f, "not configured (REDIS_URL is not set): the queue lives in Cubit's own database");
		return;
	}
	if (url_parse(text, &u, &err) == 0 && strcmp(u.scheme, "redis") != 0 && strcmp(u.scheme, "rediss") != 0)
		(void)error_set(&err, EINVAL, "the scheme is neither redis nor rediss"); /* not quoted: see url.h */
	if (err.code) {
		finding_missing(f, "REDIS_URL: %s", err.text);
		finding_remedy(f, "REDIS_URL=redis://[[user]:password@]host[:port][/db], with %%40 for @ and %%2F for "
				  "/ in a password");
		return;
	}
	if (u.port == 0)
		u.port = REDIS_PORT;
	redis_at(&u, f);
}

/* ---- settings ---- */

/* Loaded once more, to have the words: the doctor itself went on with what was good. */
void check_settings(const struct check *c, struct finding *f)
{
	struct error err = ERROR_INIT;

	(void)c;
	if (settings_use(&err) < 0) {
		finding_missing(f, "%s", err.text);
		finding_remedy(
			f, "correct it: until then cubitd does not start, and what follows was looked at without it");
	} else if (settings_used()->unread) {
		finding_warning(f, "%s may not be read by this user, so what it says is not known here",
				settings_used()->unread);
		finding_remedy(f, "ask again as root");
	} else {
		finding_ok(f, "all make sense; 'cubit config' shows them and where each comes from");
	}
}

/* ---- S3 ---- */

/* Any answer in HTTP will do: without a signature it is usually 403. */
static int http_answers(int fd, const struct url *u, uint64_t deadline_ns, struct error *err)
{
	cleanup_buf struct buf out = BUF_BOUNDED(1024);
	char line[128];
	int r = buf_printf(&out,
			   "HEAD / HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: cubit-doctor\r\nConnection: close\r\n\r\n",
			   u->host, (unsigned)u->port);

	if (r < 0)
		return error_errno(err, -r, "HEAD");
	r = tcp_send(fd, out.data, out.size, deadline_ns, err);
	if (r == 0)
		r = tcp_read_line(fd, line, sizeof(line), deadline_ns, err);
	if (r == 0 && strncmp(line, "HTTP/1.", 7) != 0)
		r = error_set(err, EPROTO, "what listens there does not speak HTTP");
	return r;
}

static void s3_at(const struct url *u, bool is_tls, struct finding *f)
{
	uint64_t deadline = clock_deadline_ns(ANSWER_MS * NS_PER_MS);
	struct error err = ERROR_INIT;
	cleanup_fd int fd = tcp_connect(u->host, u->port, deadline, &err);

	if (fd < 0) {
		finding_missing(f, "%s", err.text);
		finding_remedy(
			f, "start the store, correct S3_ENDPOINT, or unset it: files are then kept below CUBIT_STATE");
	} else if (is_tls) {
		finding_ok(f, "'%s' port %u accepts connections (TLS and keys were not tried)", u->host,
			   (unsigned)u->port);
	} else if (http_answers(fd, u, deadline, &err) < 0) {
		finding_missing(f, "'%s' port %u: %s", u->host, (unsigned)u->port, err.text);
		finding_remedy(f, "correct S3_ENDPOINT: is that the right port, and is it http rather than https?");
	} else {
		finding_ok(f, "'%s' port %u answers (keys were not tried)", u->host, (unsigned)u->port);
	}
}

void check_s3(const struct check *c, struct finding *f)
{
	const char *text = settings_used()->s3_endpoint;
	struct error err = ERROR_INIT;
	bool is_tls = false;
	struct url u;

	(void)c;
	if (!*text) {
		finding_ok(f, "not configured (S3_ENDPOINT is not set): files are kept below CUBIT_STATE");
		return;
	}
	if (url_parse(text, &u, &err) == 0) {
		is_tls = strcmp(u.scheme, "https") == 0;
		if (!is_tls && strcmp(u.scheme, "http") != 0)
			(void)error_set(&err, EINVAL, "the scheme is neither http nor https");
	}
	if (err.code) {
		finding_missing(f, "S3_ENDPOINT: %s", err.text);
		finding_remedy(f, "S3_ENDPOINT=https://host[:port]");
		return;
	}
	if (u.port == 0)
		u.port = is_tls ? HTTPS_PORT : HTTP_PORT;
	s3_at(&u, is_tls, f);
}
