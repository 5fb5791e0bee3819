/* Addresses in settings: what is taken apart how, what is refused, and that no refusal repeats a password. */
#include <errno.h>

#include "runtime/base/error.h"
#include "tests/tap.h"

#include "tools/cubit/url.c" /* part of a program, not of a library: NOLINT(bugprone-suspicious-include) */

static const struct {
	const char *text, *scheme, *user, *password, *host, *path;
	uint16_t port;
} good[] = {
	{ "redis://host", "redis", "", "", "host", "", 0 },
	{ "redis://host:6379/2", "redis", "", "", "host", "/2", 6379 },
	{ "redis://:pw@host", "redis", "", "pw", "host", "", 0 },
	{ "redis://me:pw@host:1/0", "redis", "me", "pw", "host", "/0", 1 },
	{ "redis://me@host", "redis", "me", "", "host", "", 0 },
	{ "redis://me:p%40%2f%3A%25@host", "redis", "me", "p@/:%", "host", "", 0 },
	{ "redis://me:p%zz%4@host", "redis", "me", "p%zz%4", "host", "", 0 },
	{ "redis://me:p@w@host", "redis", "me", "p@w", "host", "", 0 },
	{ "redis://me:p:w@host", "redis", "me", "p:w", "host", "", 0 },
	{ "redis://[::1]:6379", "redis", "", "", "::1", "", 6379 },
	{ "redis://:pw@[fe80::1]/1", "redis", "", "pw", "fe80::1", "/1", 0 },
	{ "https://s3.example.org/bucket?x=a@b#c", "https", "", "", "s3.example.org", "/bucket", 0 },
	{ "http://host:65535", "http", "", "", "host", "", 65535 },
};

static void taken_apart(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct error err = ERROR_INIT;
		struct url u = { .port = 0 };

		if (!ok(url_parse(good[i].text, &u, &err) == 0, "'%s' is taken", good[i].text)) {
			diag("%s", err.text);
			continue;
		}
		is_str(u.scheme, good[i].scheme, "its scheme");
		is_str(u.user, good[i].user, "its user");
		is_str(u.password, good[i].password, "its password");
		is_str(u.host, good[i].host, "its host");
		is_str(u.path, good[i].path, "its path");
		is_int(u.port, good[i].port, "its port");
	}
}

static const struct {
	const char *text, *words;
} bad[] = {
	{ "", "form" },
	{ "SECRET", "form" },
	{ "host:6379", "form" },
	{ "://host", "form" },
	{ "redis://", "no host" },
	{ "redis://:SECRET@", "no host" },
	{ "redis://:SECRET@:6379", "no host" },
	{ "redis://u:SECRET/x@host", "port" }, /* a raw slash: 'SECRET' looks like a port */
	{ "redis://host:0", "port" },
	{ "redis://host:65536", "port" },
	{ "redis://host:123456", "port" },
	{ "redis://host:", "port" },
	{ "redis://host:+1", "port" },
	{ "redis://host:1x", "port" },
	{ "redis://[::1", "bracket" },
	{ "redis://[::1]x", "bracket" },
	{ "redis://u:SECRET%00@host", "%00" },
	{ "a-scheme-that-is-far-too-long://host", "scheme" },
};

static void refused(void)
{
	char text[2048], filler[1024];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;
		struct url u = { .port = 4711 };

		is_int(url_parse(bad[i].text, &u, &err), -EINVAL, "'%s' is refused", bad[i].text);
		has_str(err.text, bad[i].words, "with the reason");
		ok(!strstr(err.text, "SECRET"), "and without the password");
		is_int(u.port, 4711, "nothing is given out");
	}
	memset(filler, 'S', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	for (const char *const *fmt = (const char *const[]){ "r://%s:x@h", "r://u:%s@h", "r://%s", "r://h/%s", NULL };
	     *fmt; fmt++) {
		struct error err = ERROR_INIT;
		const char *mark = strstr(*fmt, "%s");
		struct url u;

		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - *fmt), *fmt, filler, mark + 2);
		is_int(url_parse(text, &u, &err), -EINVAL, "a part of a kilobyte in '%s' is refused", *fmt);
		has_str(err.text, "longer than", "with the reason");
		ok(!strstr(err.text, "SSSS"), "and without that part");
	}
}

int main(void)
{
	taken_apart();
	refused();
	return done_testing();
}
