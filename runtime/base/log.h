/*
 * The levelled log: one event, one line, one write(2).
 *
 *   log_notice(LOG_FACTS(LOG_STR("sandbox", id), LOG_INT("pid", pid)), "sandbox started");
 *
 * Text:  2026-01-31T12:00:00.123Z notice sandbox started sandbox=a1b2 pid=412
 * JSON:  {"time":"...","level":"notice","message":"sandbox started","sandbox":"a1b2","pid":412}
 *
 * Control characters are escaped, so that no name can forge a line. Secrets are never printed: a fact of kind
 * LOG_SECRET prints as [redacted], and every string registered with log_redact() is replaced wherever it would
 * appear, as is the password of a URL (scheme://user:password@host).
 *
 * Single-threaded use per process, or from several threads as long as log_init/log_redact run before them: a line
 * is built on the stack and written in one call. Not for the child between clone3 and exec.
 *
 * Runs anywhere but there.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVELS };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_kind { LOG_KIND_END, LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_SECRET };

struct log_fact {
	enum log_kind kind;
	const char *key; /* in JSON "time", "level" and "message" become "fact_time", ...: those are the line's own */
	const char *str; /* LOG_KIND_STR; NULL prints as "-" */
	int64_t num;     /* LOG_KIND_INT */
};

#define LOG_STR(k, v)                                                                                                  \
	{                                                                                                              \
		.kind = LOG_KIND_STR, .key = (k), .str = (v)                                                           \
	}
#define LOG_INT(k, v)                                                                                                  \
	{                                                                                                              \
		.kind = LOG_KIND_INT, .key = (k), .num = (int64_t)(v)                                                  \
	}
#define LOG_SECRET(k)                                                                                                  \
	{                                                                                                              \
		.kind = LOG_KIND_SECRET, .key = (k)                                                                    \
	}
#define LOG_FACTS(...) ((const struct log_fact[]){ __VA_ARGS__, { .kind = LOG_KIND_END } })
#define LOG_NONE       ((const struct log_fact *)0)

/*
 * Where lines go (fd borrowed), from which level up, in which form. Default: stderr, notice, text. Where fd is the stream
 * to the journal that JOURNAL_STREAM names, systemd.exec(5), each line begins with its priority, as "<3>": the journal
 * takes it off, and `journalctl -p err` finds the errors.
 */
void log_init(int fd, enum log_level level, enum log_format format);

/* Switch the level at run time (SIGHUP, an admin call). */
void log_set_level(enum log_level level);

/* "error" ... "debug" to a level. Returns 0 or -EINVAL. */
int log_parse_level(const char *text, enum log_level *ret);

/*
 * Never print this string again. Copied; the registry is bounded (64) and ignores strings shorter than 4 bytes, which
 * would blank ordinary words. Returns 0, -ENOSPC or -ENOMEM: the caller must then refuse to go on with the secret.
 */
int log_redact(const char *secret);

/* Is a line of this level printed? For facts that cost something to gather. */
int log_enabled(enum log_level level);

/* The one that does it; the macros below name the level. */
void log_write(enum log_level level, const struct log_fact *facts, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The last words of a process that cannot go on without so much memory: for alloc_must(). Needs none itself. */
void log_no_memory(size_t bytes);

#define log_error(facts, ...)   log_write(LOG_LEVEL_ERROR, facts, __VA_ARGS__)
#define log_warning(facts, ...) log_write(LOG_LEVEL_WARNING, facts, __VA_ARGS__)
#define log_notice(facts, ...)  log_write(LOG_LEVEL_NOTICE, facts, __VA_ARGS__)
#define log_info(facts, ...)    log_write(LOG_LEVEL_INFO, facts, __VA_ARGS__)
#define log_debug(facts, ...)   log_write(LOG_LEVEL_DEBUG, facts, __VA_ARGS__)
