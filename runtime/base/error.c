/* Errors with context: see error.h. */
#include "runtime/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef error_set
#undef error_errno

static void format_text(struct error *err, const char *fmt, va_list ap)
{
	/* Truncation is accepted: a cut message beats a failing report. */
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (err) {
		err->code = code;
		va_start(ap, fmt);
		format_text(err, fmt, ap);
		va_end(ap);
	}
	errno = saved;
	return -code;
}

int error_errno(struct error *err, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (err) {
		size_t used;

		err->code = code;
		va_start(ap, fmt);
		format_text(err, fmt, ap);
		va_end(ap);
		used = strlen(err->text);
		(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(code));
	}
	errno = saved;
	return -code;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	struct error inner;
	int saved = errno;
	va_list ap;
	size_t used;

	if (!err)
		return -1;
	inner = *err;
	va_start(ap, fmt);
	format_text(err, fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner.text);
	errno = saved;
	return -err->code;
}

void error_clear(struct error *err)
{
	if (err) {
		err->code = 0;
		err->text[0] = '\0';
	}
}
