/*
 * The terminal that we run in, handed to a program elsewhere: its size, and keys as they are pressed.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The size of the terminal of standard output, else of standard input; false when neither is one. */
bool terminal_size(uint16_t *ret_cols, uint16_t *ret_rows);

/*
 * Every key of standard input goes to the program, also Ctrl-C: no echo, no lines, no signals. False when it is not a
 * terminal. It is put back by terminal_restore(), which the end of the process calls too.
 */
bool terminal_make_raw(void);
void terminal_restore(void);
