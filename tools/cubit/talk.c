/* Talking to programs: see talk.h. */
#include "tools/cubit/talk.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/utf8.h"
#include "tools/cubit/input.h"
#include "tools/cubit/terminal.h"
#include "tools/cubit/websocket.h"

enum { PIECE_BYTES = 16 << 10, WORDS_BYTES = 256 };

static volatile sig_atomic_t size_changed;

static void on_winch(int signal)
{
	(void)signal;
	size_changed = 1;
}

static void wake(void *arg)
{
	websocket_wake(arg);
}

int talk_begin(struct talk *t, struct error *err)
{
	int r = input_start(&t->input, err);

	if (r < 0 || !t->has_terminal)
		return r;
	(void)sigaction(SIGWINCH, &(struct sigaction){ .sa_handler = on_winch }, NULL); /* cannot fail with these */
	t->is_raw = terminal_make_raw();
	input_keep_interrupt(t->input, t->is_raw);
	return 0;
}

static bool send_size(struct websocket *ws)
{
	uint16_t cols, rows;
	char text[80];

	if (!terminal_size(&cols, &rows))
		return false;
	(void)snprintf(text, sizeof(text), "{\"type\":\"resize\",\"cols\":%u,\"rows\":%u}", cols, rows);
	websocket_send(ws, true, text, strlen(text));
	return true;
}

void talk_live(struct talk *t)
{
	if (t->state != TALK_LIVE && t->input)
		input_keep_interrupt(t->input, false);
	t->state = TALK_LIVE;
}

static void send_text(struct websocket *ws, const char *text)
{
	websocket_send(ws, true, text, strlen(text));
}

/* There is no answer to a message that was taken. But one that was not is answered before a ping that follows it. */
static void ask(struct talk *t, struct websocket *ws)
{
	send_text(ws, "{\"type\":\"stdin\",\"data\":\"\"}");
	websocket_ping(ws);
	t->state = TALK_ASKED;
}

static void send_input(struct talk *t, struct websocket *ws)
{
	char data[PIECE_BYTES];
	bool is_over;
	size_t n = input_take(t->input, data, sizeof(data), &is_over);

	if (n > 0) {
		websocket_send(ws, false, data, n);
		t->is_some_sent = true;
	} else if (is_over && !t->is_end_sent) {
		send_text(ws, "{\"type\":\"stdin_end\"}");
		t->is_end_sent = true;
	}
}

int talk_turn(struct talk *t, struct websocket *ws)
{
	if (!t->ws) {
		t->ws = ws;
		input_on_ready(t->input, wake, ws);
	}
	if (websocket_room(ws) < PIECE_BYTES || t->is_refused)
		return 0;
	if (t->state == TALK_UNSURE) {
		ask(t, ws);
	} else if (t->state == TALK_LIVE) {
		bool is_resized = size_changed && t->has_terminal;

		size_changed = 0;
		if (!is_resized || !send_size(ws))
			send_input(t, ws);
	}
	return 0;
}

void talk_pong(struct talk *t)
{
	if (t->state == TALK_ASKED)
		talk_live(t);
}

void talk_gone(struct talk *t)
{
	input_on_ready(t->input, NULL, NULL);
	input_keep_interrupt(t->input, t->is_raw);
	t->ws = NULL;
	if (t->state != TALK_NOT)
		t->state = TALK_UNSURE;
	t->is_end_sent = false; /* said again to whoever comes next; that does no harm */
}

static void say(const struct talk *t, const char *what, const char *words)
{
	char text[WORDS_BYTES];

	(void)snprintf(text, sizeof(text), "%s%s", what, words);
	utf8_clean(text);
	if (!t->is_quiet)
		(void)fprintf(stderr, "cubit %s: %s%s\n", t->name, text, t->is_raw ? "\r" : "");
}

void talk_interrupted(struct talk *t)
{
	if (t->is_some_sent)
		say(t, "the connection broke off: ", "what was sent to the program last may be lost");
	t->is_some_sent = false;
}

void talk_refused(struct talk *t, const char *words)
{
	/*
	 * It is over, and its exit event is on its way; or it is run again, and will take what comes after that; or it reads
	 * less than there is, which is its right: no word about it.
	 */
	static const char *const usual[] = { "the job is not running", "the job does not read" };

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (strncmp(words, usual[i], strlen(usual[i])) != 0)
			continue;
		t->state = TALK_NOT;
		t->is_end_sent = false;
		return;
	}
	if (!t->is_refused)
		say(t, "standard input is not taken any more: ", words);
	t->is_refused = true;
	input_discard(t->input);
}

void talk_end(struct talk *t)
{
	terminal_restore();
	t->is_raw = false;
}
