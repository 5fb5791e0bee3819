/* URLs of Redis servers: what each part becomes, what is refused, and that no refusal quotes a secret. */
#include "supervisor/redis/url.h"

#include <errno.h>

#include "runtime/base/error.h"
#include "tests/tap.h"

/* clang-format off */
static const struct {
	const char *text;
	bool is_tls;
	const char *host, *port, *path, *user, *password, *database;
} good[] = {
	{ "redis://localhost",                     false, "localhost",   "6379", NULL,        "",    "",       "0" },
	{ "redis://localhost/",                    false, "localhost",   "6379", NULL,        "",    "",       "0" },
	{ "redis://h:1/7",                         false, "h",           "1",    NULL,        "",    "",       "7" },
	{ "rediss://u:p@h.example:6380/0",         true,  "h.example",   "6380", NULL,        "u",   "p",      "0" },
	{ "redis://:p%40ss%2Fword@h",              false, "h",           "6379", NULL,        "",    "p@ss/word", "0" },
	{ "redis://u:a@b@h",                       false, "h",           "6379", NULL,        "u",   "a@b",    "0" },
	{ "redis://u:a:b@h",                       false, "h",           "6379", NULL,        "u",   "a:b",    "0" },
	{ "redis://u:@h",                          false, "h",           "6379", NULL,        "u",   "",       "0" },
	{ "redis://[::1]:65535/2147483647",        false, "::1",         "65535", NULL,       "",    "",       "2147483647" },
	{ "redis://[fe80::1]",                     false, "fe80::1",     "6379", NULL,        "",    "",       "0" },
	{ "unix:///run/redis.sock",                false, NULL,          "6379", "/run/redis.sock", "", "",    "0" },
	{ "unix:///run/a%20b?db=3",                false, NULL,          "6379", "/run/a b",  "",    "",       "3" },
	{ "unix://:secret@/run/redis.sock",        false, NULL,          "6379", "/run/redis.sock", "", "secret", "0" },
};

/* hunter2 is the password; what the refusal must say is second */
static const struct {
	const char *text, *says;
} bad[] = {
	{ "",                                      "must begin with" },
	{ "http://h",                              "must begin with" },
	{ "REDIS://h",                             "must begin with" },
	{ "redis:/u:hunter2@h",                    "must begin with" },
	{ "redis://",                              "host is missing" },
	{ "redis://:hunter2@",                     "host is missing" },
	{ "redis://hunter2@h",                     "user:password" },
	{ "redis://u:hunter2%@h",                  "hexadecimal" },
	{ "redis://u:hunter2%4@h",                 "hexadecimal" },
	{ "redis://u:hunter2%zz@h",                "hexadecimal" },
	{ "redis://u:hunter2%00@h",                "hexadecimal" },
	{ "redis://u:hunter2#x@h",                 "%23" },
	{ "redis://u:hunter2@h:0",                 "port" },
	{ "redis://u:hunter2@h:65536",             "port" },
	{ "redis://u:hunter2@h:",                  "port" },
	{ "redis://u:hunter2@h:0x10",              "port" },
	{ "redis://u:hunter2@h:99999999999999999999", "port" },
	{ "redis://u:hunter2/x@h",                 "port" },
	{ "redis://h/x",                           "database" },
	{ "redis://h/-1",                          "database" },
	{ "redis://h/1/2",                         "database" },
	{ "redis://h/2147483648",                  "database" },
	{ "redis://h/1?hunter2=1",                 "'?'" },
	{ "redis://::1",                           "brackets" },
	{ "redis://[::1",                          "']'" },
	{ "redis://[::1]x",                        "']'" },
	{ "redis://a b",                           "no host name has" },
	{ "redis://a\nb",                          "no host name has" },
	{ "unix://",                               "path" },
	{ "unix:///",                              "path" },
	{ "unix://host/run/redis.sock",            "three slashes" },
	{ "unix:///run/r?db=",                     "database" },
	{ "unix:///run/r?hunter2",                 "'?'" },
	{ "unix:///run/%00",                       "hexadecimal" },
	{ "unix:///0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	  "0123456789",                            "too long" },
};
/* clang-format on */

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void accepts(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct error err = ERROR_INIT;
		struct redis_url u;
		int r = redis_url_parse(good[i].text, &u, &err);

		ok(r == 0 && u.is_tls == good[i].is_tls && same(u.host, good[i].host) && same(u.port, good[i].port) &&
			   same(u.path, good[i].path) && same(u.user, good[i].user) &&
			   same(u.password, good[i].password) && same(u.database, good[i].database),
		   "'%s' is understood", good[i].text);
		if (r < 0)
			diag("%s", err.text);
		redis_url_done(&u);
	}
}

static void refuses(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;
		struct redis_url u;
		int r = redis_url_parse(bad[i].text, &u, &err);
		bool is_right = r == -EINVAL && strstr(err.text, bad[i].says) && !strstr(err.text, "hunter2");

		ok(is_right, "bad URL %zu is refused with '%s' and without its password", i, bad[i].says);
		if (!is_right)
			diag("'%s': %d %s", bad[i].text, r, err.text);
		redis_url_done(&u);
	}
}

int main(void)
{
	accepts();
	refuses();
	return done_testing();
}
