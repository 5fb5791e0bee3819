/*
 * The log: one event is one line and one write; nothing in it can forge a line, break a parser or give away a secret.
 * Lines go to a SOCK_SEQPACKET pair, where each write is one message: so writes can be counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "tests/tap.h"

static int sink[2];
static char line[16384];
static int n_writes;

/* Take every write made since last time; the last one is in `line`. Returns how many there were. */
static int taken(void)
{
	ssize_t n;

	n_writes = 0;
	line[0] = '\0';
	while ((n = recv(sink[1], line, sizeof(line) - 1, MSG_DONTWAIT)) > 0) {
		line[n] = '\0';
		n_writes++;
	}
	return n_writes;
}

/* One write, one newline, at its end, and no other control character. */
static void is_one_line(const char *what)
{
	bool is_clean = true;
	size_t size;

	is_int(taken(), 1, "%s is one write", what);
	size = strlen(line);
	for (size_t i = 0; i + 1 < size; i++)
		is_clean = is_clean && (unsigned char)line[i] >= 0x20 && line[i] != 0x7f;
	ok(is_clean && size > 0 && line[size - 1] == '\n', "and one line");
}

static json_t *parsed(const char *what)
{
	json_error_t where;
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &where);

	ok(root, "%s parses as JSON", what);
	if (!root)
		diag("%s in: %s", where.text, line);
	return root;
}

static const char *member(const json_t *root, const char *key)
{
	const char *text = json_string_value(json_object_get(root, key));

	return text ? text : "(none)";
}

static void text_form(void)
{
	log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
	log_notice(LOG_FACTS(LOG_STR("sandbox", "a1b2"), LOG_INT("pid", 412), LOG_STR("why", NULL), LOG_SECRET("key")),
		   "sandbox %s", "started");
	is_one_line("an event");
	has_str(line, "Z notice sandbox started sandbox=a1b2 pid=412 why=- key=[redacted]\n", "text, then facts");
	is_int(strspn(line, "0123456789-:.TZ"), 24, "a time of 24 characters comes first");
}

static void json_form(void)
{
	json_t *root;

	log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_JSON);
	log_error(LOG_FACTS(LOG_STR("sandbox", "a\"b\\c"), LOG_INT("low", INT64_MIN), LOG_SECRET("key")), "x \"%s\"",
		  "y\n");
	is_one_line("an event in JSON");
	root = parsed("it");
	is_str(member(root, "level"), "error", "the level is there");
	is_str(member(root, "message"), "x \"y\n\"", "the message comes back as it was");
	is_str(member(root, "sandbox"), "a\"b\\c", "a fact too");
	ok(json_integer_value(json_object_get(root, "low")) == INT64_MIN, "a number is a number, also the smallest");
	is_str(member(root, "key"), "[redacted]", "a secret is not");
	is_int(strlen(member(root, "time")), 24, "the time is there");
	json_decref(root);

	log_error(LOG_FACTS(LOG_STR("message", "m"), LOG_STR("level", "l"), LOG_INT("time", 1)), "hello");
	is_one_line("facts that are called as parts of the line");
	root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	ok(root, "no key comes twice") || (diag("%s", line), 0);
	is_str(member(root, "message"), "hello", "the line's own parts keep their names");
	is_str(member(root, "fact_message"), "m", "and the facts have others");
	json_decref(root);
}

static void levels(void)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	log_init(sink[0], LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	log_error(LOG_NONE, "a");
	log_warning(LOG_NONE, "b");
	log_notice(LOG_NONE, "c");
	log_info(LOG_NONE, "d");
	log_debug(LOG_NONE, "e");
	is_int(taken(), 2, "at level warning, errors and warnings are printed and no more");
	log_set_level(LOG_LEVEL_DEBUG);
	ok(log_enabled(LOG_LEVEL_DEBUG), "the level can be switched");
	log_debug(LOG_NONE, "e");
	is_int(taken(), 1, "and then debug is printed");
	ok(log_parse_level("error", &level) == 0 && level == LOG_LEVEL_ERROR, "'error' is a level");
	ok(log_parse_level("debug", &level) == 0 && level == LOG_LEVEL_DEBUG, "'debug' is a level");
	is_int(log_parse_level("loud", &level), -EINVAL, "'loud' is none");
	is_int(level, LOG_LEVEL_DEBUG, "and changes nothing");
}

/* What may not reach a terminal or a log file as it is, and what it becomes in text form. */
static const struct {
	const char *raw, *text;
} unsafe[] = {
	{ "a\nb", "a\\x0ab" },
	{ "a\r\tb", "a\\x0d\\x09b" },
	{ "\x1b[31m", "\\x1b[31m" },
	{ "\x7f", "\\x7f" },
	{ "\xc2\x9b"
	  "31m",
	  "\\u009b31m" }, /* CSI as one C1 control character */
	{ "\xe2\x80\xae"
	  "x",
	  "\\u202ex" }, /* right-to-left override */
	{ "\xe2\x80\xa8"
	  "x",
	  "\\u2028x" }, /* a line separator */
	{ "\x9b"
	  "31m",
	  "\\x9b31m" },                                 /* the same on an 8-bit terminal: not UTF-8 */
	{ "\xff\xfe", "\\xff\\xfe" },                   /* never UTF-8 */
	{ "\xc3", "\\xc3" },                            /* the end is missing */
	{ "\xe2\x82", "\\xe2\\x82" },                   /* also missing */
	{ "\xc0\xaf", "\\xc0\\xaf" },                   /* a longer form than needed */
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },          /* and a longer one */
	{ "\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf" }, /* and the longest */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* half a surrogate pair */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond the last character */
	{ "K\xc3\xbc"
	  "che \xe2\x82\xac \xf0\x9f\x90\xb3",
	  "K\xc3\xbc"
	  "che \xe2\x82\xac \xf0\x9f\x90\xb3" }, /* fine */
};

static void nothing_forges_a_line(void)
{
	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
		char want[128];
		json_t *root;

		log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
		log_notice(LOG_FACTS(LOG_STR("name", unsafe[i].raw)), "<%s>", unsafe[i].raw);
		is_one_line("a message with unsafe bytes");
		(void)snprintf(want, sizeof(want), "<%s> name=%s\n", unsafe[i].text, unsafe[i].text);
		has_str(line, want, "which are escaped (row %zu)", i);

		log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_JSON);
		log_notice(LOG_FACTS(LOG_STR("name", unsafe[i].raw)), "<%s>", unsafe[i].raw);
		is_one_line("the same in JSON");
		root = parsed("which");
		ok(strlen(member(root, "name")) > 0, "and has its fact");
		json_decref(root);
	}
}

/* Logged as message and as fact; the second column must not be seen, the third must. */
static const struct {
	const char *text, *hidden, *seen;
} urls[] = {
	{ "redis://user:hunter2@host:6379/0", "hunter2", "redis://user:[redacted]@host:6379/0" },
	{ "redis://:hunter2@host", "hunter2", "redis://:[redacted]@host" },
	{ "cannot reach 'redis://:hunter2@host': refused", "hunter2", "'redis://:[redacted]@host': refused" },
	{ "https://me@corp:hunter2@host/", "hunter2", "https://me@corp:[redacted]@host/" },
	{ "redis://u:hun@ter2@host", "ter2", "redis://u:[redacted]@host" },
	{ "redis://u:hun:ter2@host", "ter2", "redis://u:[redacted]@host" },
	{ "redis://u:hun'ter2@host", "ter2", "redis://u:[redacted]@host" },
	{ "redis://a:hunter2@h redis://b:hunter3@h", "hunter", "redis://a:[redacted]@h redis://b:[redacted]@h" },
	{ "http://host:8080/path/x@y", "nothing", "http://host:8080/path/x@y" },
	{ "http://user@host:8080/", "nothing", "http://user@host:8080/" },
	{ "mail to a:b@c", "nothing", "mail to a:b@c" },
	{ "redis://u:@host", "nothing", "redis://u:@host" },
	{ "://", "nothing", "://" },
};

static void url_passwords_are_hidden(void)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
			log_init(sink[0], LOG_LEVEL_NOTICE, (enum log_format)format);
			log_notice(LOG_FACTS(LOG_STR("url", urls[i].text)), "%s", urls[i].text);
			is_one_line(urls[i].text);
			ok(!strstr(line, urls[i].hidden), "the password is not in it");
			has_str(line, urls[i].seen, "the rest is");
		}
	}
}

static void registered_secrets_are_hidden(void)
{
	char secret[64];
	int r = 0;

	is_int(log_redact("s3cr3t"), 0, "a secret is registered");
	is_int(log_redact("s3cr3t"), 0, "twice is once");
	is_int(log_redact("s3cr3t-and-more"), 0, "a longer one that starts with it as well");
	is_int(log_redact("more\"quoted\"\n"), 0, "and one with quotes and a newline");
	is_int(log_redact("abc"), 0, "a very short one is accepted and not hidden");
	for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
		log_init(sink[0], LOG_LEVEL_NOTICE, (enum log_format)format);
		log_notice(LOG_FACTS(LOG_STR("k", "s3cr3t"), LOG_STR("l", "xs3cr3ty")), "key=s3cr3t,s3cr3ts3cr3t abc");
		is_one_line("a message with secrets");
		ok(!strstr(line, "s3cr3t"), "they are hidden everywhere, also side by side");
		has_str(line, "key=[redacted],[redacted][redacted] abc", "and what is around them is not");
		has_str(line, "x[redacted]y", "also within a word");

		log_notice(LOG_NONE, "s3cr3t-and-more");
		is_one_line("the longer secret");
		ok(!strstr(line, "-and-more"), "it is hidden whole");
		log_notice(LOG_NONE, "<s3cr3t-and-more\"quoted\"\n>");
		is_one_line("two secrets that overlap");
		has_str(line, "<[redacted]>", "they are hidden together");
		log_notice(LOG_NONE, "cut short: s3cr3t-and-mo");
		is_one_line("a text that was cut inside a secret");
		ok(!strstr(line, "and-mo"), "its beginning is hidden, too");
	}
	for (int i = 0; r == 0 && i < 100; i++) {
		(void)snprintf(secret, sizeof(secret), "filler-%d", i);
		r = log_redact(secret);
	}
	is_int(r, -ENOSPC, "a full registry says so: the caller must not go on");
}

static void long_lines_are_cut(void)
{
	char longer[8000];
	json_t *root;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
	log_notice(LOG_FACTS(LOG_INT("pid", 412)), "%s", longer);
	is_one_line("a message longer than a line");
	has_str(line, "xxx...[cut]", "says that it was cut");
	has_str(line, " pid=412\n", "and keeps its facts");
	ok(strlen(line) <= 4096, "and is at most 4 KiB");
	log_notice(LOG_FACTS(LOG_STR("name", longer), LOG_INT("pid", 412)), "hello");
	is_one_line("a fact longer than a line");
	has_str(line, " hello name=xxx", "does not hide the event");
	has_str(line, "...[cut] pid=412\n", "nor the facts after it");

	log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_JSON);
	memset(longer, '\n', 4000); /* six bytes each when escaped */
	log_notice(LOG_FACTS(LOG_STR("name", longer), LOG_INT("pid", 412)), "hello %s", longer);
	is_one_line("a long line in JSON");
	root = parsed("it");
	ok(strncmp(member(root, "message"), "hello \n", 7) == 0, "it still says what happened");
	has_str(member(root, "message"), "...[cut]", "and that something is missing");
	is_int(json_integer_value(json_object_get(root, "pid")), 412, "the facts are there");
	json_decref(root);

	for (size_t i = 0; i + 3 < sizeof(longer); i += 3)
		memcpy(longer + i, "\xe2\x82\xac", 3);
	for (int shift = 0; shift < 3; shift++) {
		log_notice(LOG_FACTS(LOG_STR("name", longer)), "%.*s%s", shift, "ab", longer);
		is_one_line("a long line of characters of three bytes");
		json_decref(parsed("it is cut between two of them: it"));
	}
}

static void very_many_facts(void)
{
	static const struct log_fact many[] = {
#define EIGHT(v)                                                                                                       \
	LOG_STR("a", v), LOG_STR("b", v), LOG_STR("c", v), LOG_STR("d", v), LOG_STR("e", v), LOG_STR("f", v),          \
		LOG_STR("g", v), LOG_STR("h", v)
#define HUNDRED "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		EIGHT(HUNDRED HUNDRED HUNDRED),
		EIGHT(HUNDRED HUNDRED HUNDRED),
		EIGHT(HUNDRED HUNDRED HUNDRED),
		{ .kind = LOG_KIND_END },
	};
	json_error_t where;
	json_t *root;

	log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_JSON);
	log_notice(many, "hello");
	is_one_line("an event with more facts than a line holds");
	root = json_loads(line, 0, &where);
	ok(root, "it still parses as JSON");
	has_str(member(root, "message"), "hello", "and says what happened");
	json_decref(root);
	log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
	log_notice(many, "hello");
	is_one_line("the same in text");
	has_str(line, "...[cut]\n", "says at the end that it was cut");
}

/* A long message is formatted into a bounded buffer first: a secret on that edge must not show its beginning. */
static void secrets_on_the_edge(void)
{
	static const char password[] = "correct-horse-battery-staple";
	bool is_hidden = true, is_url_hidden = true;
	char many[4096], text[8192];

	is_int(log_redact("a-secret-that-is-rather-long-so-that-its-replacement-is-shorter"), -ENOSPC,
	       "(registry still full)");
	for (size_t at = 0; at < 3600;)
		at += (size_t)snprintf(many + at, sizeof(many) - at,
				       "redis://u:0123456789012345678901234567890123456789@h ");
	for (size_t pad = 0; pad < 600; pad++) {
		(void)snprintf(text, sizeof(text), "%s%*s s3cr3t-and-more%.300s", many, (int)pad, "", many);
		log_init(sink[0], LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
		log_notice(LOG_NONE, "%s", text);
		(void)taken();
		is_hidden = is_hidden && !strstr(line, "s3cr");
		(void)snprintf(text, sizeof(text), "%s%*s redis://u:%s@h%.300s", many, (int)pad, "", password, many);
		log_notice(LOG_NONE, "%s", text);
		(void)taken();
		is_url_hidden = is_url_hidden && !strstr(line, "corr");
	}
	ok(is_hidden, "a registered secret is hidden wherever a long message is cut");
	ok(is_url_hidden, "so is the password of a URL");
}

static void errno_is_kept(void)
{
	int unwritable = open("/dev/null", O_RDONLY | O_CLOEXEC);

	log_init(unwritable, LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
	errno = EXDEV;
	log_notice(LOG_NONE, "nobody hears this");
	is_int(errno, EXDEV, "a log that cannot be written changes nothing, not even errno");
	(void)close(unwritable);
}

/* systemd.exec(5), sd-daemon(3): with a priority in front where the journal reads, and only there. */
static void the_journal_gets_priorities(void)
{
	static const struct {
		enum log_level level;
		const char *mark;
	} rows[] = {
		{ LOG_LEVEL_ERROR, "<3>2" }, { LOG_LEVEL_WARNING, "<4>2" }, { LOG_LEVEL_NOTICE, "<5>2" },
		{ LOG_LEVEL_INFO, "<6>2" },  { LOG_LEVEL_DEBUG, "<7>2" },
	};
	char stream[64];
	struct stat st;

	need(fstat(sink[0], &st) == 0, "the stream");
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	log_init(sink[0], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_write(rows[i].level, LOG_NONE, "an event");
		is_one_line("an event for the journal");
		ok(strncmp(line, rows[i].mark, 4) == 0, "begins with %.3s", rows[i].mark);
	}
	log_init(sink[0], LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
	log_error(LOG_NONE, "an event");
	is_one_line("an event in JSON");
	ok(strncmp(line, "<3>{", 4) == 0, "has it as well");
	(void)setenv("JOURNAL_STREAM", "1:1", 1);
	log_init(sink[0], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	log_error(LOG_NONE, "an event");
	is_one_line("an event of which the journal reads nothing");
	ok(line[0] == '2', "begins with its time, as ever");
	(void)unsetenv("JOURNAL_STREAM");
	log_init(sink[0], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
}

int main(void)
{
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sink) == 0, "a socket pair can be made");
	text_form();
	json_form();
	levels();
	nothing_forges_a_line();
	url_passwords_are_hidden();
	registered_secrets_are_hidden();
	long_lines_are_cut();
	very_many_facts();
	secrets_on_the_edge();
	errno_is_kept();
	the_journal_gets_priorities();
	return done_testing();
}
