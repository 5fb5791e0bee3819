/*
 * Talking to a program that runs elsewhere: our standard input goes to it as it comes, and what our terminal's size
 * becomes. Output is none of its business: follow.h.
 *
 * Input is sent once. When a connection breaks off, what was on its way may be lost, and that is said.
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct input;
struct websocket;

enum talk_state {
	TALK_NOT,    /* it does not run, as far as we know: an event will tell that it does */
	TALK_UNSURE, /* it did, when the connection before broke off */
	TALK_ASKED,  /* a message without input is on its way: it is refused when the program does not run */
	TALK_LIVE,
};

struct talk {
	/* set by the caller; zero for the rest */
	const char *name; /* for words: "run" */
	bool is_quiet;
	bool has_terminal; /* the program's; ours, if it is one, becomes raw */

	struct input *input;
	struct websocket *ws;  /* whom it is sent to; NULL: nobody */
	enum talk_state state; /* does the program take input? */
	bool is_raw, is_end_sent;
	bool is_refused;   /* it takes no more */
	bool is_some_sent; /* on this connection */
};

/* Start reading standard input. Returns 0 or -errno. */
int talk_begin(struct talk *t, struct error *err);

/* An event came: the program runs. */
void talk_live(struct talk *t);

/* Send what there is and fits, once the program runs. As websocket_calls.turn. */
int talk_turn(struct talk *t, struct websocket *ws);

/* What was sent has been seen. */
void talk_pong(struct talk *t);

/* The connection is gone; another may come. */
void talk_gone(struct talk *t);

/* The connection broke off, and is come back to: says that input may be lost. */
void talk_interrupted(struct talk *t);

/* The daemon did not take what was sent; why, in its words. */
void talk_refused(struct talk *t, const char *words);

/* The terminal is as it was. */
void talk_end(struct talk *t);
