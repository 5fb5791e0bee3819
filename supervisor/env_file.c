/* The form of .env files: see settings_impl.h. Pure. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/settings_impl.h"

#include "runtime/base/buf.h"
#include "runtime/base/error.h"

struct parser {
	const char *at, *end;
	size_t line;
	const char *what;
	struct error *err;
};

static int refuse(const struct parser *p, const char *why)
{
	return error_set(p->err, EINVAL, "%s: line %zu: %s", p->what, p->line, why);
}

static int peek(const struct parser *p)
{
	return p->at < p->end ? (unsigned char)*p->at : '\n'; /* the end of the file ends a line */
}

static bool at_line_end(const struct parser *p)
{
	return peek(p) == '\n' || (*p->at == '\r' && (p->at + 1 == p->end || p->at[1] == '\n'));
}

static void skip_blanks(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
		p->at++;
}

static void skip_line(struct parser *p)
{
	while (p->at < p->end && *p->at != '\n')
		p->at++;
	if (p->at < p->end)
		p->at++;
	p->line++;
}

static bool take_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(p->end - p->at) <= n || strncmp(p->at, word, n) != 0 || (p->at[n] != ' ' && p->at[n] != '\t'))
		return false;
	p->at += n;
	skip_blanks(p);
	return true;
}

static int take_name(struct parser *p, char **ret)
{
	const char *start = p->at;

	while (p->at < p->end && (isalnum((unsigned char)*p->at) || *p->at == '_'))
		p->at++;
	if (p->at == start || isdigit((unsigned char)*start) || peek(p) != '=')
		return refuse(p, "this is not NAME=value, without a blank around the '='");
	*ret = strndup(start, (size_t)(p->at - start));
	if (!*ret)
		return error_set(p->err, ENOMEM, "out of memory");
	p->at++;
	return 0;
}

/* The rest of the line without the blanks at its end; a # after a blank, or at once, begins a comment. */
static int take_plain(struct parser *p, struct buf *out)
{
	const char *start = p->at, *end = p->at;

	for (; !at_line_end(p); p->at++) {
		if (*p->at == '#' && (p->at == start || p->at[-1] == ' ' || p->at[-1] == '\t'))
			break;
		if (*p->at != ' ' && *p->at != '\t')
			end = p->at + 1;
	}
	return buf_append(out, start, (size_t)(end - start));
}

/* What a backslash and this character stand for within "". Another character keeps its backslash. */
static int add_escaped(struct buf *out, char c)
{
	static const char from[] = "nrt\\\"$`", to[] = "\n\r\t\\\"$`";
	const char *found = c ? strchr(from, c) : NULL;

	return found ? buf_append(out, to + (found - from), 1) : buf_append(out, (char[]){ '\\', c }, 2);
}

static int take_quoted(struct parser *p, struct buf *out)
{
	size_t opened = p->line;
	char quote = *p->at++;
	int r = 0;

	for (; r == 0 && p->at < p->end && *p->at != quote; p->at++) {
		if (quote == '"' && *p->at == '\\' && p->at + 1 < p->end)
			r = add_escaped(out, *++p->at);
		else
			r = buf_append(out, p->at, 1);
		p->line += *p->at == '\n';
	}
	if (r < 0)
		return r;
	if (p->at == p->end) {
		p->line = opened;
		return refuse(p, "the quote that begins the value is not closed");
	}
	p->at++;
	skip_blanks(p);
	return at_line_end(p) || *p->at == '#' ? 0 : refuse(p, "something follows the quoted value");
}

static int add_entry(struct env_file *f, struct env_entry e)
{
	struct env_entry *more = reallocarray(f->entries, f->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	f->entries = more;
	f->entries[f->n++] = e;
	return 0;
}

static int take_line(struct parser *p, struct env_file *ret)
{
	struct env_entry e = { .line = p->line };
	cleanup_buf struct buf value = BUF_INIT;
	int r;

	(void)take_word(p, "export"); /* shells read the file too */
	r = take_name(p, &e.name);
	if (r < 0 || !e.name)
		return r;
	r = peek(p) == '"' || peek(p) == '\'' ? take_quoted(p, &value) : take_plain(p, &value);
	if (r == 0) {
		e.value = strdup(buf_str(&value));
		r = e.value ? add_entry(ret, e) : -ENOMEM;
	}
	if (r != 0) {
		free(e.name);
		free(e.value);
		return r == -EINVAL ? r : error_set(p->err, ENOMEM, "out of memory");
	}
	return 0;
}

int env_file_parse(const char *text, size_t size, const char *what, struct env_file *ret, struct error *err)
{
	struct parser p = { .at = text, .end = text + size, .line = 1, .what = what, .err = err };

	*ret = (struct env_file){ .n = 0 };
	if (memchr(text, '\0', size))
		return error_set(err, EINVAL, "%s: holds a zero byte, so it is not text", what);
	while (p.at < p.end) {
		int r = 0;

		skip_blanks(&p);
		if (!at_line_end(&p) && peek(&p) != '#')
			r = take_line(&p, ret);
		if (r < 0)
			return r;
		skip_line(&p);
	}
	return 0;
}

void env_file_done(struct env_file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		explicit_bzero(f->entries[i].value, strlen(f->entries[i].value)); /* may be a secret */
		free(f->entries[i].name);
		free(f->entries[i].value);
	}
	free(f->entries);
	*f = (struct env_file){ .n = 0 };
}
