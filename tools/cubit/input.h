/*
 * Our standard input, on its way to a program elsewhere. A thread reads it, because a read of a terminal, a pipe or a
 * file can only be waited for together in that way: nothing is changed about descriptors that we share with a shell.
 *
 * It reads no more than it has room for, so that what the other side does not take stays where it is.
 * Runs in: the cubit command; input_take() and the rest in its main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct input;

/* Nothing is read before that. There is one for the life of the process. ret: borrowed. Returns 0 or -errno. */
int input_start(struct input **ret, struct error *err);

/*
 * Have fn called, in the thread, when there is something to take, or the end. NULL: nobody wants to know. Once this
 * returned, the function of before is not called any more.
 */
void input_on_ready(struct input *in, void (*fn)(void *arg), void *arg);

/* Take up to room bytes. *ret_is_over: there is nothing after these. */
size_t input_take(struct input *in, void *ret, size_t room, bool *ret_is_over);

/*
 * While nobody takes it, Ctrl-C of a raw terminal is a signal to us, and not input: otherwise nothing could end us
 * before the program runs.
 */
void input_keep_interrupt(struct input *in, bool on);

/* What comes from now on is thrown away: nobody reads it. */
void input_discard(struct input *in);
