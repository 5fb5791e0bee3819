/*
 * Telling people how long work gets on: a bar on a terminal, a line for each finished step otherwise, or one JSON
 * object a line. Bars and lines go to standard error, so that standard output holds results; JSON goes to standard output.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct image_event;

enum progress_form { PROGRESS_NONE, PROGRESS_LINES, PROGRESS_BAR, PROGRESS_JSON };

struct progress {
	enum progress_form form;
	uint64_t shown_ns; /* when something was shown last */
	bool is_bar_open;  /* the cursor stands behind a bar */
};

/* Chooses the form: a bar when standard error is a terminal that can move its cursor. */
void progress_init(struct progress *p, bool is_json, bool is_quiet);

/* An image_event_fn; arg is the struct progress. */
void progress_event(const struct image_event *e, void *arg);

/* Leave the bar's line, before something else is printed. */
void progress_done(struct progress *p);

/* "12.3 MiB". ret of at least 24 bytes. */
void progress_bytes(uint64_t bytes, char ret[24]);
