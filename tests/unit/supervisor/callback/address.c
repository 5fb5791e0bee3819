/* Where callbacks may go: a table of addresses, and lists of exceptions. */
#include "supervisor/callback/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/base/error.h"
#include "supervisor/callback/delivery.h"
#include "tests/tap.h"

static const struct sockaddr *address(const char *text)
{
	static union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;

	memset(&a, 0, sizeof(a));
	a.any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(a.any.sa_family, text, strchr(text, ':') ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr) != 1)
		need(false, "'%s' is an address", text);
	return &a.any;
}

static void test_refused(void)
{
	static const struct {
		const char *text, *what;
	} rows[] = {
		{ "0.0.0.0", "unspecified" },
		{ "10.1.2.3", "private" },
		{ "100.100.100.200", "private" },
		{ "127.0.0.1", "loopback" },
		{ "127.255.255.254", "loopback" },
		{ "169.254.169.254", "link-local" },
		{ "172.16.0.1", "private" },
		{ "172.31.255.255", "private" },
		{ "192.0.0.192", "reserved" },
		{ "192.168.1.1", "private" },
		{ "198.19.0.1", "reserved" },
		{ "224.0.0.1", "multicast" },
		{ "239.255.255.250", "multicast" },
		{ "255.255.255.255", "reserved" },
		{ "::", "unspecified" },
		{ "::1", "loopback" },
		{ "fe80::1", "link-local" },
		{ "fd00:ec2::254", "private" },
		{ "fc00::1", "private" },
		{ "ff02::1", "multicast" },
		{ "2001:db8::1", "reserved" },
		{ "4000::1", "reserved" },
		{ "::ffff:127.0.0.1", "loopback" },
		{ "::ffff:10.0.0.1", "private" },
		{ "::ffff:169.254.169.254", "link" },
		{ "::ffff:0.0.0.0", "unspecified" },
		{ "::127.0.0.1", "reserved" },
		{ "64:ff9b::127.0.0.1", "loopback" },
		{ "64:ff9b::a00:1", "private" },
		{ "2002:7f00:1::", "loopback" },
		{ "2002:a9fe:a9fe::1", "link" },
		{ "fec0::1", "reserved" },
	};
	static const char *const fine[] = { "1.1.1.1",         "172.15.255.255", "172.32.0.1",   "100.63.0.1",
					    "100.128.0.1",     "11.0.0.1",       "192.169.0.1",  "126.0.0.1",
					    "128.0.0.1",       "223.255.255.1",  "2606:4700::1", "64:ff9b::101:101",
					    "2002:101:101::1", "::ffff:1.1.1.1" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		has_str(address_refusal(address(rows[i].text), NULL), rows[i].what, "%s is refused", rows[i].text);
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		ok(!address_refusal(address(fine[i]), NULL), "%s is fine", fine[i]);
	has_str(address_refusal((const struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX }, NULL),
		"internet", "a unix socket is refused");
}

static void test_lists(void)
{
	static const char *const bad[] = { "10.0.0.0/33", "10.0.0/8",    "::/129", "example.org",
					   "10.0.0.0/",   "10.0.0.0/-1", "/8" };
	struct address_list *list = NULL;
	struct error err = ERROR_INIT;

	need(address_list_parse("10.0.0.0/8, 127.0.0.1 fd00::/9", &list, &err) == 0, "a list of prefixes is read");
	ok(!address_refusal(address("10.9.8.7"), list), "an address of a listed prefix is fine");
	ok(!address_refusal(address("::ffff:10.9.8.7"), list), "in its IPv4-mapped form too");
	ok(!address_refusal(address("127.0.0.1"), list), "a single address is a prefix");
	ok(address_refusal(address("127.0.0.2"), list) != NULL, "and its neighbour is not in it");
	ok(!address_refusal(address("fd7f::1"), list) && address_refusal(address("fd80::1"), list),
	   "the bits of a byte that is cut count");
	address_list_free(list);
	need(address_list_parse("", &list, &err) == 0, "an empty list is one");
	ok(address_refusal(address("10.0.0.1"), list) != NULL, "and allows nothing more");
	address_list_free(list);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error_clear(&err);
		is_int(address_list_parse(bad[i], &list, &err), -EINVAL, "'%s' is refused", bad[i]);
		has_str(err.text, bad[i], "and named");
	}
}

static void test_urls(void)
{
	static const struct {
		const char *url;
		int code;
	} rows[] = {
		{ "https://example.org/hook?x=1", 0 },
		{ "http://example.org:8080", 0 },
		{ "http://127.0.0.1/", -EACCES },
		{ "http://[::1]:80/", -EACCES },
		{ "http://[::ffff:127.0.0.1]/", -EACCES },
		{ "http://[fe80::1%25eth0]/", -EACCES },
		{ "http://169.254.169.254/latest/meta-data/", -EACCES },
		{ "http://10.0.0.1/", -EACCES },
		{ "ftp://example.org/", -EINVAL },
		{ "file:///etc/passwd", -EINVAL },
		{ "gopher://example.org/", -EINVAL },
		{ "example.org/hook", -EINVAL },
		{ "http://user:secretpw@example.org/", -EINVAL },
		{ "http://exa mple.org/", -EINVAL },
		{ "http://example.org/\r\nX: y", -EINVAL },
		{ "http://", -EINVAL },
		{ "", -EINVAL },
	};
	char host[DELIVERY_HOST_BYTES], big[DELIVERY_URL_MAX + 32] = "http://example.org/";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = ERROR_INIT;

		is_int(delivery_check_url(rows[i].url, NULL, host, &err), rows[i].code, "URL '%.*s' is %s",
		       (int)strcspn(rows[i].url, "\r"), rows[i].url, rows[i].code ? "refused" : "fine");
		ok(!strstr(err.text, "secretpw"), "no password in the message");
	}
	memset(big + strlen(big), 'a', sizeof(big) - 1 - strlen(big));
	is_int(delivery_check_url(big, NULL, host, NULL), -EINVAL, "an endless URL is refused");
}

static void test_signature(void)
{
	char text[68];

	/* printf '1700000000.{"id":"x"}' | openssl dgst -sha256 -hmac key */
	need(delivery_sign("key", "1700000000", "{\"id\":\"x\"}", 10, text) == 0, "a body is signed");
	is_str(text, "v1=c275209bfed50f54f9b0d8dafaf250f3f08155fdaadece7fc4d3f5c7e3c8b6ba", "as openssl signs it");
}

int main(void)
{
	test_refused();
	test_lists();
	test_urls();
	test_signature();
	return done_testing();
}
