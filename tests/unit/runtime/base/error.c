/* Errors: codes travel, context is put in front, nothing overflows, nothing is needed. */
#include <errno.h>

#include "runtime/base/error.h"
#include "tests/tap.h"

static void codes_and_words(void)
{
	struct error err = ERROR_INIT;

	is_int(error_set(&err, ENOENT, "layer %d is gone", 3), -ENOENT, "error_set returns the negative code");
	is_int(err.code, ENOENT, "and keeps the positive one");
	is_str(err.text, "layer 3 is gone", "the text is exactly what was said");

	is_int(error_errno(&err, EACCES, "open '%s'", "x"), -EACCES, "error_errno returns the negative code");
	is_str(err.text, "open 'x': Permission denied", "and appends what the code means");

	is_int(error_wrap(&err, "mount layer %d", 3), -EACCES, "a wrap keeps the code");
	is_int(error_wrap(&err, "sandbox 'web'"), -EACCES, "a second one too");
	is_str(err.text, "sandbox 'web': mount layer 3: open 'x': Permission denied",
	       "the outermost context stands first");

	error_clear(&err);
	ok(err.code == 0 && err.text[0] == '\0', "a cleared error has neither code nor words");
}

static void without_anybody_listening(void)
{
	is_int(error_set(NULL, EPERM, "x"), -EPERM, "error_set without an error object still returns the code");
	is_int(error_errno(NULL, EPERM, "x"), -EPERM, "error_errno too");
	ok(error_wrap(NULL, "x") < 0, "error_wrap is negative");
	error_clear(NULL);
}

static void errno_is_kept(void)
{
	struct error err = ERROR_INIT;

	errno = EXDEV;
	(void)error_set(&err, ENOENT, "x");
	(void)error_errno(&err, 999999, "x");
	(void)error_wrap(&err, "y");
	is_int(errno, EXDEV, "reporting an error leaves errno alone");
}

static void too_long(void)
{
	struct error err = ERROR_INIT;
	char longer[2 * sizeof(err.text)];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)error_set(&err, EIO, "%s", longer);
	is_int(strlen(err.text), sizeof(err.text) - 1, "a text that is too long is cut and terminated");
	(void)error_errno(&err, EIO, "%s", longer);
	is_int(strlen(err.text), sizeof(err.text) - 1, "also when the meaning of the code no longer fits");
	(void)error_wrap(&err, "context");
	ok(strncmp(err.text, "context: aaa", 12) == 0, "context goes in front of a text that fills everything");
	is_int(strlen(err.text), sizeof(err.text) - 1, "and the end is cut");
	(void)error_wrap(&err, "%s", longer);
	ok(strncmp(err.text, "aaa", 3) == 0 && strlen(err.text) == sizeof(err.text) - 1,
	   "context alone may fill everything");
}

int main(void)
{
	codes_and_words();
	without_anybody_listening();
	errno_is_kept();
	too_long();
	return done_testing();
}
