/* Times as people and JSON read them: see wall_clock.h. */
#include "runtime/base/wall_clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* The last moment with a year of four digits: 9999-12-31T23:59:59.999Z. */
static const uint64_t last_ms = UINT64_C(253402300799999);

void time_text(uint64_t ms, char *ret, size_t bytes)
{
	uint64_t shown = ms < last_ms ? ms : last_ms;
	time_t seconds = (time_t)(shown / 1000);
	struct tm t;

	(void)gmtime_r(&seconds, &t); /* cannot fail within four digits of years */
	(void)snprintf(ret, bytes, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
		       t.tm_hour, t.tm_min, t.tm_sec, (int)(shown % 1000)); /* cut when the caller has less room */
}

uint64_t time_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail, clock_gettime(2) */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
