/*
 * Reading what Prometheus reads: the text of GET /metrics, as a list of samples. Pure; the text is foreign.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sample {
	char name[96];
	char labels[256]; /* as they stand between the braces; "" for none */
	double value;
};

struct exposition {
	struct sample *samples;
	size_t n;
};

/* What is not understood is passed over. ret: exposition_done(). */
void exposition_parse(const char *text, struct exposition *ret);
void exposition_done(struct exposition *e);

/* The value of a label, unescaped only in so far as it has nothing to unescape; false when it is not there. */
bool sample_label(const struct sample *s, const char *label, char *ret, size_t room);

/* The sum of a family's samples whose label has that value (label NULL: of all). *ret_is_there may be NULL. */
double exposition_sum(const struct exposition *e, const char *name, const char *label, const char *value,
		      bool *ret_is_there);

/*
 * The time below which a share (0 to 1) of a histogram's observations lie, as the upper bound of their bucket, in
 * seconds; of those since `before` (may be NULL). Below 0: there are none; infinity: above the last bucket.
 */
double exposition_quantile(const struct exposition *e, const struct exposition *before, const char *name,
			   const char *label, const char *value, double share);
