/* Proxies of the environment: which one is taken, and which hosts are excepted. */
#include <errno.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/tap.h"

#include "tools/cubit/proxy.c" /* parts of a program, not of a library: NOLINT(bugprone-suspicious-include) */
#include "tools/cubit/url.c"   /* NOLINT(bugprone-suspicious-include) */

static const struct {
	const char *list, *host;
	bool is_excepted;
} rows[] = {
	{ "", "a.example", false },
	{ "*", "a.example", true },
	{ "*", "10.0.0.1", true },
	{ "example", "a.example", true },
	{ ".example", "a.example", true },
	{ ".example", "example", true },
	{ "a.example", "A.EXAMPLE", true },
	{ "a.example", "a.example.", true },
	{ "a.example.", "a.example", true },
	{ "a.example", "ba.example", false },
	{ "a.example", "example", false },
	{ "x,  y ,a.example", "a.example", true },
	{ "x y a.example", "b.a.example", true },
	{ ",", "a.example", false },
	{ ".", "a.example", false },
	{ "10.0.0.0/8", "10.200.3.4", true },
	{ "10.0.0.0/8", "11.0.0.1", false },
	{ "10.0.0.0/33", "10.0.0.0", false },
	{ "10.0.0.0/", "10.0.0.0", false },
	{ "10.0.0.1", "10.0.0.1", true },
	{ "10.0.0.1", "110.0.0.1", false },
	{ "0.0.1", "10.0.0.1", false },
	{ "0.0.0.0/0", "10.0.0.1", true },
	{ "0.0.0.0/0", "::1", false },
	{ "0.0.0.0/0", "a.example", false },
	{ "fd00::/8", "[fd12::1]", true },
	{ "[fd12::1]", "fd12::1", true },
	{ "fd00::/8", "fe12::1", false },
};

static void clear(void)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		(void)unsetenv(variables[i]);
	(void)unsetenv("no_proxy");
	(void)unsetenv("NO_PROXY");
}

int main(void)
{
	struct error err = ERROR_INIT;
	struct url url = { .port = 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok(proxy_is_excepted(rows[i].list, rows[i].host) == rows[i].is_excepted,
		   "no_proxy '%s': '%s' is%s excepted", rows[i].list, rows[i].host, rows[i].is_excepted ? "" : " not");

	clear();
	(void)setenv("http_proxy", "http://wrong:1", 1);
	is_int(proxy_find("a.example", &url, &err), 0, "none is named: none, and http_proxy is not for https");
	(void)setenv("ALL_PROXY", "all:2", 1);
	is_int(proxy_find("a.example", &url, &err), 1, "ALL_PROXY is for all");
	is_str(url.host, "all", "by its host");
	is_int(url.port, 2, "and port");
	(void)setenv("https_proxy", "http://me:p%40w@proxy.example/", 1);
	is_int(proxy_find("a.example", &url, &err), 1, "https_proxy goes before it");
	is_str(url.host, "proxy.example", "by its host");
	is_str(url.password, "p@w", "with its password");
	is_int(url.port, 1080, "on the port that libcurl takes");
	(void)setenv("NO_PROXY", "example", 1);
	is_int(proxy_find("a.example", &url, &err), 0, "an excepted host is reached without it");
	is_int(proxy_find("a.org", &url, &err), 1, "another is not");
	(void)setenv("https_proxy", "", 1);
	is_int(proxy_find("a.org", &url, &err), 1, "an empty variable is as none");
	is_str(url.host, "all", "so the next one counts");
	(void)setenv("https_proxy", "socks5://me:secret@host:1", 1);
	is_int(proxy_find("a.org", &url, &err), -EINVAL, "a proxy that does not speak HTTP is refused");
	ok(strstr(err.text, "https_proxy") && !strstr(err.text, "secret"),
	   "by the variable's name, without the password");
	return done_testing();
}
