/* The levelled log: see log.h. */
#include "runtime/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 4096,    /* one line; longer ones are cut and say so */
	MESSAGE_CUT_BYTES = 2048, /* how much of the message, and of each fact, a line that was too long keeps */
	FACT_CUT_BYTES = 256,
	SECRETS_MAX = 64,
	SECRET_MIN_BYTES = 4,
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};
_Static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVELS, "a name for each level");

/* sd-daemon(3): the journal takes these off and keeps them as the line's priority. */
static const char *const journal_marks[] = {
	[LOG_LEVEL_ERROR] = "<3>", [LOG_LEVEL_WARNING] = "<4>", [LOG_LEVEL_NOTICE] = "<5>",
	[LOG_LEVEL_INFO] = "<6>",  [LOG_LEVEL_DEBUG] = "<7>",
};
_Static_assert(sizeof(journal_marks) / sizeof(journal_marks[0]) == LOG_LEVELS, "a mark for each level");

static struct {
	int fd;
	enum log_level level;
	enum log_format format;
	enum { JOURNAL_UNKNOWN, JOURNAL_YES, JOURNAL_NO } journal; /* does fd lead there? */
	char *secrets[SECRETS_MAX];
	size_t n_secrets;
} the_log = { .fd = STDERR_FILENO, .level = LOG_LEVEL_NOTICE };

static const char redacted[] = "[redacted]";
static const char cut_mark[] = "...[cut]";

/* systemd.exec(5): JOURNAL_STREAM is "DEVICE:INODE" of the stream, so that one that was redirected can be told. */
static bool leads_to_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[48];
	struct stat st;

	if (!stream || fstat(fd, &st) < 0)
		return false;
	(void)snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(own, stream) == 0;
}

void log_init(int fd, enum log_level level, enum log_format format)
{
	the_log.fd = fd;
	the_log.level = level;
	the_log.format = format;
	the_log.journal = leads_to_journal(fd) ? JOURNAL_YES : JOURNAL_NO;
}

void log_set_level(enum log_level level)
{
	the_log.level = level;
}

int log_parse_level(const char *text, enum log_level *ret)
{
	for (int i = 0; i < LOG_LEVELS; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

int log_redact(const char *secret)
{
	char *copy;

	if (strlen(secret) < SECRET_MIN_BYTES)
		return 0;
	for (size_t i = 0; i < the_log.n_secrets; i++) {
		if (strcmp(the_log.secrets[i], secret) == 0)
			return 0;
	}
	if (the_log.n_secrets == SECRETS_MAX)
		return -ENOSPC;
	copy = strdup(secret);
	if (!copy)
		return -ENOMEM;
	the_log.secrets[the_log.n_secrets++] = copy;
	return 0;
}

int log_enabled(enum log_level level)
{
	return level <= the_log.level;
}

/* A line under construction; once something did not fit, nothing more is added. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t size;
	bool is_cut;
};

static void line_add(struct line *l, const char *text, size_t size)
{
	size_t room = sizeof(l->text) - sizeof(cut_mark) - 2 - l->size; /* mark, brace or newline, NUL */

	if (l->is_cut || size > room) { /* whole pieces only: never half a character or half an escape */
		l->is_cut = true;
		return;
	}
	memcpy(l->text + l->size, text, size);
	l->size += size;
}

static void line_add_str(struct line *l, const char *text)
{
	line_add(l, text, strlen(text));
}

/* A part of a text, [at, end). */
struct span {
	const char *at, *end;
};

/*
 * The password of a URL whose authority (RFC 3986, 3.2) starts here: from the first ':' that follows a user to the
 * last '@', because people put a raw '@' into passwords, and hiding too much is the better mistake. A text that was
 * cut inside the authority may have lost its '@'. Empty when there is none.
 */
static struct span url_password(const char *authority, bool text_is_cut)
{
	size_t size = strcspn(authority, "/?# \t\r\n\"");
	const char *at = memrchr(authority, '@', size), *colon;

	if (!at && text_is_cut && authority[size] == '\0')
		at = authority + size;
	colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
	return colon ? (struct span){ colon + 1, at } : (struct span){ authority, authority };
}

/*
 * Length of the longest registered secret at p, 0 without one. The beginning of a secret counts if the text ends
 * there: somebody's buffer (an error's, ours) was too short for the rest.
 */
static size_t registered_at(const char *p, bool text_is_cut)
{
	size_t longest = 0;

	for (size_t i = 0; i < the_log.n_secrets; i++) {
		const char *secret = the_log.secrets[i];
		size_t len = strlen(secret), most = strnlen(p, len);

		if (most < len && !text_is_cut && most < SECRET_MIN_BYTES)
			continue;
		if (most > longest && memcmp(p, secret, most) == 0)
			longest = most;
	}
	return longest;
}

/* Where the registered secret at p ends, together with others that overlap it; p itself without one. */
static const char *registered_end(const char *p, bool text_is_cut)
{
	const char *end = p + registered_at(p, text_is_cut);

	for (const char *q = p + 1; q < end; q++) {
		size_t len = registered_at(q, text_is_cut);

		if (q + len > end)
			end = q + len;
	}
	return end;
}

/* Length of the UTF-8 character at p (RFC 3629: shortest form, no surrogates, at most U+10FFFF); 0 if it is none. */
static size_t utf8_char(const unsigned char *p, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	uint32_t c = len == 1 ? p[0] : len ? p[0] & (0x7fu >> len) : 0;

	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2) /* also the NUL at the end of the text */
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (len == 0 || c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

/* C0 and C1 controls, line separators, and what turns the direction of writing: no name may rearrange a line. */
static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* One character as it may stand in a line. Returns the bytes of text that it took. */
static size_t escape_char(const char *p, char ret[8], size_t *ret_size)
{
	bool is_json = the_log.format == LOG_FORMAT_JSON;
	uint32_t c = 0;
	size_t len = utf8_char((const unsigned char *)p, &c);
	int n = 0;

	if (len == 0) /* JSON has no way to say a byte: the replacement character */
		n = is_json ? snprintf(ret, 8, "\\ufffd") : snprintf(ret, 8, "\\x%02x", (unsigned char)*p);
	else if (is_unsafe(c))
		n = snprintf(ret, 8, is_json || c >= 0x80 ? "\\u%04x" : "\\x%02x", (unsigned)c);
	else if (is_json && (c == '"' || c == '\\'))
		n = snprintf(ret, 8, "\\%c", (int)c);
	else
		memcpy(ret, p, len);
	*ret_size = n > 0 ? (size_t)n : len;
	return len ? len : 1;
}

/*
 * Add text with secrets blanked and unsafe characters escaped, at most `most` bytes of it as they stand in the line.
 *
 * text_is_cut  the end of the text is missing already
 */
static void line_add_escaped(struct line *l, const char *text, size_t most, bool text_is_cut)
{
	struct span password = { text, text };
	const char *p = text;
	size_t used = 0;

	while (*p) {
		const char *hidden_end = registered_end(p, text_is_cut);
		size_t size;
		char esc[8];

		if (strncmp(p, "://", 3) == 0)
			password = url_password(p + 3, text_is_cut);
		if (p >= password.at && p < password.end && password.end > hidden_end)
			hidden_end = password.end;
		if (hidden_end > p) {
			if (used + sizeof(redacted) - 1 > most)
				break;
			line_add_str(l, redacted);
			used += sizeof(redacted) - 1;
			p = hidden_end;
			continue;
		}
		const char *next = p + escape_char(p, esc, &size);

		if (used + size > most)
			break;
		line_add(l, esc, size);
		used += size;
		p = next;
	}
	if (*p || text_is_cut)
		line_add_str(l, cut_mark);
}

/* In JSON a key must not come twice: most readers keep one value, and not all of them the same. */
static bool is_own_key(const char *key)
{
	return strcmp(key, "time") == 0 || strcmp(key, "level") == 0 || strcmp(key, "message") == 0;
}

static void line_add_fact(struct line *l, const struct log_fact *f, size_t most)
{
	bool is_json = the_log.format == LOG_FORMAT_JSON;
	char num[24];

	line_add_str(l, is_json ? ",\"" : " ");
	line_add_str(l, is_json && is_own_key(f->key) ? "fact_" : "");
	line_add_str(l, f->key);
	line_add_str(l, is_json ? "\":" : "=");
	if (f->kind == LOG_KIND_INT) {
		(void)snprintf(num, sizeof(num), "%lld", (long long)f->num);
		line_add_str(l, num);
		return;
	}
	if (is_json)
		line_add(l, "\"", 1);
	if (f->kind == LOG_KIND_SECRET)
		line_add_str(l, redacted);
	else
		line_add_escaped(l, f->str ? f->str : "-", most, false);
	if (is_json)
		line_add(l, "\"", 1);
}

static void line_add_time(struct line *l)
{
	struct timespec ts;
	struct tm tm;
	char day[32], full[48];

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(full, sizeof(full), "%s.%03ldZ", day, ts.tv_nsec / 1000000);
	line_add_str(l, full);
}

/* How much of an event goes into its line: all of it, if need be less, in the worst case only what happened. */
struct measure {
	size_t message, fact;
	bool has_facts;
};

static void line_make(struct line *l, enum log_level level, const char *message, bool message_is_cut,
		      const struct log_fact *facts, const struct measure *m)
{
	bool is_json = the_log.format == LOG_FORMAT_JSON;

	l->size = 0;
	l->is_cut = false;
	if (the_log.journal == JOURNAL_YES)
		line_add_str(l, journal_marks[level]);
	if (is_json)
		line_add_str(l, "{\"time\":\"");
	line_add_time(l);
	line_add_str(l, is_json ? "\",\"level\":\"" : " ");
	line_add_str(l, level_names[level]);
	line_add_str(l, is_json ? "\",\"message\":\"" : " ");
	line_add_escaped(l, message, m->message, message_is_cut);
	if (is_json)
		line_add(l, "\"", 1);
	for (; m->has_facts && facts && facts->kind != LOG_KIND_END; facts++)
		line_add_fact(l, facts, m->fact);
}

void log_write(enum log_level level, const struct log_fact *facts, const char *fmt, ...)
{
	static const struct measure measures[] = {
		{ .message = LINE_MAX_BYTES, .fact = LINE_MAX_BYTES, .has_facts = true },
		{ .message = MESSAGE_CUT_BYTES, .fact = FACT_CUT_BYTES, .has_facts = true },
		{ .message = MESSAGE_CUT_BYTES }, /* JSON only: in text, what fits of the facts stays */
	};
	bool is_json = the_log.format == LOG_FORMAT_JSON;
	char message[LINE_MAX_BYTES];
	int saved = errno, size;
	struct line l;
	va_list ap;
	ssize_t n;

	if (!log_enabled(level))
		return;
	if (the_log.journal == JOURNAL_UNKNOWN) /* before log_init: a bad setting is said then */
		the_log.journal = leads_to_journal(the_log.fd) ? JOURNAL_YES : JOURNAL_NO;
	va_start(ap, fmt);
	size = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (size < 0)
		message[0] = '\0';

	l.is_cut = true;
	for (size_t i = 0; l.is_cut && i < (is_json ? 3 : 2); i++)
		line_make(&l, level, message, size >= (int)sizeof(message), facts, &measures[i]);
	if (l.is_cut) {
		memcpy(l.text + l.size, cut_mark, sizeof(cut_mark) - 1);
		l.size += sizeof(cut_mark) - 1;
	}
	if (is_json)
		l.text[l.size++] = '}';
	l.text[l.size++] = '\n';
	do {
		n = write(the_log.fd, l.text, l.size);
	} while (n < 0 && errno == EINTR);
	errno = saved; /* a log that cannot be written has nowhere to say so */
}

void log_no_memory(size_t bytes)
{
	log_error(LOG_FACTS(LOG_INT("bytes", bytes)), "out of memory: this process ends");
}
