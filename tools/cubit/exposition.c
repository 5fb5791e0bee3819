/* The text format of Prometheus: see exposition.h. */
#include "tools/cubit/exposition.h"

#include "runtime/base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The brace that ends the labels: not one within quotes. NULL: there is none. */
static const char *end_of_labels(const char *at)
{
	bool is_quoted = false;

	for (; *at && *at != '\n'; at++) {
		if (*at == '\\' && is_quoted && at[1])
			at++;
		else if (*at == '"')
			is_quoted = !is_quoted;
		else if (*at == '}' && !is_quoted)
			return at;
	}
	return NULL;
}

static bool parse_line(const char *line, struct sample *ret)
{
	size_t n = 0;
	const char *at;
	char *end;

	while (isalnum((unsigned char)line[n]) || line[n] == '_' || line[n] == ':')
		n++;
	if (n == 0 || n >= sizeof(ret->name))
		return false;
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)n, line);
	ret->labels[0] = '\0';
	at = line + n;
	if (*at == '{') {
		const char *close = end_of_labels(at + 1);

		if (!close || (size_t)(close - at) > sizeof(ret->labels))
			return false;
		(void)snprintf(ret->labels, sizeof(ret->labels), "%.*s", (int)(close - at - 1), at + 1);
		at = close + 1;
	}
	if (*at != ' ')
		return false;
	ret->value = strtod(at + 1, &end); /* also "+Inf" and "NaN" */
	return end > at + 1 && (*end == '\n' || *end == ' ' || !*end);
}

void exposition_parse(const char *text, struct exposition *ret)
{
	size_t room = 0;

	*ret = (struct exposition){ .n = 0 };
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		struct sample s;

		if (*line == '#' || !parse_line(line, &s))
			continue;
		if (ret->n == room) {
			room = room ? room * 2 : 256;
			ret->samples = alloc_again(ret->samples, room, sizeof(s));
		}
		ret->samples[ret->n++] = s;
	}
}

void exposition_done(struct exposition *e)
{
	free(e->samples);
	*e = (struct exposition){ .n = 0 };
}

bool sample_label(const struct sample *s, const char *label, char *ret, size_t room)
{
	size_t n = strlen(label);

	for (const char *at = s->labels; *at;) {
		const char *value = strchr(at, '"'), *end;

		if (!value)
			return false;
		for (end = value + 1; *end && *end != '"'; end++)
			end += *end == '\\' && end[1];
		if (strncmp(at, label, n) == 0 && at[n] == '=') {
			(void)snprintf(ret, room, "%.*s", (int)(end - value - 1), value + 1);
			return true;
		}
		at = *end ? end + 1 : end;
		at += *at == ',';
	}
	return false;
}

static bool is_of(const struct sample *s, const char *name, const char *label, const char *value)
{
	char text[256];

	return strcmp(s->name, name) == 0 &&
	       (!label || (sample_label(s, label, text, sizeof(text)) && strcmp(text, value) == 0));
}

double exposition_sum(const struct exposition *e, const char *name, const char *label, const char *value,
		      bool *ret_is_there)
{
	bool is_there = false;
	double sum = 0;

	for (size_t i = 0; i < e->n; i++) {
		if (!is_of(&e->samples[i], name, label, value))
			continue;
		sum += e->samples[i].value;
		is_there = true;
	}
	if (ret_is_there)
		*ret_is_there = is_there;
	return sum;
}

/* The number of observations up to the bound of this bucket, in the earlier text. */
static double same_bucket(const struct exposition *before, const struct sample *s)
{
	for (size_t i = 0; before && i < before->n; i++) {
		if (strcmp(before->samples[i].name, s->name) == 0 && strcmp(before->samples[i].labels, s->labels) == 0)
			return before->samples[i].value;
	}
	return 0;
}

double exposition_quantile(const struct exposition *e, const struct exposition *before, const char *name,
			   const char *label, const char *value, double share)
{
	double total = 0, best = INFINITY;
	char bucket[96], bound[64];

	(void)snprintf(bucket, sizeof(bucket), "%s_bucket", name);
	for (size_t i = 0; i < e->n; i++) {
		const struct sample *s = &e->samples[i];

		if (is_of(s, bucket, label, value) && s->value - same_bucket(before, s) > total)
			total = s->value - same_bucket(before, s); /* buckets are cumulative: the last has them all */
	}
	if (total <= 0)
		return -1;
	for (size_t i = 0; i < e->n; i++) {
		const struct sample *s = &e->samples[i];
		double le;

		if (!is_of(s, bucket, label, value) || !sample_label(s, "le", bound, sizeof(bound)))
			continue;
		le = strtod(bound, NULL);
		if (s->value - same_bucket(before, s) >= share * total && le < best)
			best = le;
	}
	return best;
}
