/* Terminals: see terminal.h. */
#include "tools/cubit/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool is_raw;

bool terminal_size(uint16_t *ret_cols, uint16_t *ret_rows)
{
	struct winsize size;

	if ((ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0) ||
	    size.ws_col == 0 || size.ws_row == 0)
		return false;
	*ret_cols = size.ws_col;
	*ret_rows = size.ws_row;
	return true;
}

bool terminal_make_raw(void)
{
	struct termios raw;

	if (is_raw || tcgetattr(STDIN_FILENO, &before) < 0)
		return is_raw;
	raw = before;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return false;
	is_raw = true;
	(void)atexit(terminal_restore); /* fails when there is no memory; the ordinary end restores as well */
	return true;
}

void terminal_restore(void)
{
	if (is_raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before); /* the terminal may be gone, which is as good */
	is_raw = false;
}
