/* Telling people how long work gets on: see progress.h. */
#include "tools/cubit/progress.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/whole/image.h"
#include "runtime/base/clock.h"

enum { BAR_WIDTH = 24, BAR_EVERY_MS = 80, JSON_EVERY_MS = 500 };

void progress_init(struct progress *p, bool is_json, bool is_quiet)
{
	const char *term = getenv("TERM");
	bool has_cursor = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;

	*p = (struct progress){ .form = is_json      ? PROGRESS_JSON
					: is_quiet   ? PROGRESS_NONE
					: has_cursor ? PROGRESS_BAR
						     : PROGRESS_LINES };
}

void progress_bytes(uint64_t bytes, char ret[24])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t unit = 0;

	while (v >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		unit++;
	}
	(void)snprintf(ret, 24, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
}

static void print_json(const struct image_event *e)
{
	json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:I}", "event", "progress", "step",
				 image_step_name(e->step), "what", e->what, "digest", e->digest, "done",
				 (json_int_t)e->done, "total", (json_int_t)e->total, "is_end", e->is_end, "was_there",
				 e->was_there, "devices_skipped", (json_int_t)e->devices_skipped);

	if (line)
		(void)json_dumpf(line, stdout, JSON_COMPACT); /* a closed pipe is noticed at the end, by main */
	json_decref(line);
	putchar('\n');
	(void)fflush(stdout);
}

/* The start of the digest, as much as people compare. */
static void print_what(const struct image_event *e)
{
	const char *colon = strchr(e->digest, ':');

	(void)fprintf(stderr, "%-7s %-16s %.12s", image_step_name(e->step), e->what, colon ? colon + 1 : e->digest);
}

static void print_line(const struct image_event *e)
{
	char size[24];

	print_what(e);
	progress_bytes(e->total, size);
	(void)fprintf(stderr, "  %s%s", e->total ? size : "done", e->was_there ? ", already there" : "");
	if (e->devices_skipped)
		(void)fprintf(stderr, ", %llu device node%s left out", (unsigned long long)e->devices_skipped,
			      e->devices_skipped == 1 ? "" : "s");
	(void)fputc('\n', stderr);
}

static void print_bar(struct progress *p, const struct image_event *e)
{
	int filled = e->total ? (int)((double)e->done / (double)e->total * BAR_WIDTH) : 0;
	char done[24], total[24];

	progress_bytes(e->done, done);
	progress_bytes(e->total, total);
	(void)fputs("\r\033[K", stderr);
	print_what(e);
	(void)fprintf(stderr, "  [%.*s%*s] %s of %s", filled, "########################", BAR_WIDTH - filled, "", done,
		      total);
	p->is_bar_open = true;
}

void progress_done(struct progress *p)
{
	if (p->is_bar_open)
		(void)fputs("\r\033[K", stderr);
	p->is_bar_open = false;
}

void progress_event(const struct image_event *e, void *arg)
{
	struct progress *p = arg;
	uint64_t every_ms = p->form == PROGRESS_JSON ? JSON_EVERY_MS : BAR_EVERY_MS, now = clock_now_ns();
	bool is_due = e->is_end || now - p->shown_ns >= every_ms * NS_PER_MS;

	if (p->form == PROGRESS_NONE || !is_due || (p->form == PROGRESS_LINES && !e->is_end))
		return;
	p->shown_ns = now;
	if (p->form == PROGRESS_JSON) {
		print_json(e);
	} else if (e->is_end) {
		progress_done(p);
		print_line(e);
	} else {
		print_bar(p, e);
	}
}
