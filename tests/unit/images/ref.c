/* References: what people type is read the way Docker reads it, and a refusal names the part. */
#include "images/ref.h"

#include "runtime/base/error.h"
#include "tests/tap.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	const char *text, *canonical, *api_host, *target;
} good[] = {
	{ "python", "docker.io/library/python:latest", "registry-1.docker.io", "latest" },
	{ "python:3.12-slim", "docker.io/library/python:3.12-slim", "registry-1.docker.io", "3.12-slim" },
	{ "bitnami/redis", "docker.io/bitnami/redis:latest", "registry-1.docker.io", "latest" },
	{ "docker.io/python", "docker.io/library/python:latest", "registry-1.docker.io", "latest" },
	{ "index.docker.io/a/b:c", "docker.io/a/b:c", "registry-1.docker.io", "c" },
	{ "localhost/x", "localhost/x:latest", "localhost", "latest" },
	{ "localhost:5000/x", "localhost:5000/x:latest", "localhost:5000", "latest" },
	{ "localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000", "y" },
	{ "GHCR.io/a/b/c", "ghcr.io/a/b/c:latest", "ghcr.io", "latest" },
	{ "[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000", "latest" },
	{ "[::1]/x", "[::1]/x:latest", "[::1]", "latest" },
	{ "a/b__c/d-----e/f.g:T_1.2-3", "docker.io/a/b__c/d-----e/f.g:T_1.2-3", "registry-1.docker.io", "T_1.2-3" },
	{ "x@sha256:" HEX, "docker.io/library/x@sha256:" HEX, "registry-1.docker.io", "sha256:" HEX },
	{ "x:1@sha256:" HEX, "docker.io/library/x:1@sha256:" HEX, "registry-1.docker.io", "sha256:" HEX },
};

static const struct {
	const char *text, *part;
} bad[] = {
	{ "", "empty" },
	{ "Python", "path component 'Python'" },
	{ "a//b", "path component ''" },
	{ "/a", "path component ''" },
	{ "a/", "path component ''" },
	{ "a/../b", "path component '..'" },
	{ "a___b", "path component 'a___b'" },
	{ "a..b", "path component 'a..b'" },
	{ "-a", "path component '-a'" },
	{ "a-", "path component 'a-'" },
	{ "x:", "tag is empty" },
	{ "x:-a", "tag '-a'" },
	{ "x:a b", "tag 'a b'" },
	{ "x:a/b", "port 'a'" },
	{ "localhost:99999/x", "port '99999'" },
	{ "localhost:/x", "port ''" },
	{ "a_b.c/x", "host 'a_b.c'" },
	{ "-a.c/x", "host '-a.c'" },
	{ "[zz]/x:y:z", "path component" },
	{ "x@sha256:" HEX "0", "digest" },
	{ "x@sha256:0123", "digest" },
	{ "x@sha512:" HEX, "sha512" },
	{ "x@", "digest" },
	{ "localhost:5000/x@sha256:../../../../etc/passwd", "digest" },
	{ HEX, "image id" },
	{ "x\ny", "path component" },
};

static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[REF_TEXT_BYTES], again[REF_TEXT_BYTES];
		struct error err = ERROR_INIT;
		struct image_ref r, r2;

		if (!ok(image_ref_parse(good[i].text, &r, &err) == 0, "'%s' is a reference", good[i].text)) {
			diag("%s", err.text);
			continue;
		}
		image_ref_text(&r, text);
		is_str(text, good[i].canonical, "'%s' means '%s'", good[i].text, good[i].canonical);
		is_str(image_ref_api_host(&r), good[i].api_host, "'%s' is served by %s", good[i].text,
		       good[i].api_host);
		is_str(image_ref_target(&r), good[i].target, "'%s' asks for '%s'", good[i].text, good[i].target);
		need(image_ref_parse(text, &r2, &err) == 0, "the canonical form is a reference");
		image_ref_text(&r2, again);
		is_str(again, text, "and means itself");
	}
}

static void test_bad(void)
{
	char long_tag[200] = "x:", long_path[400] = "a/";
	struct image_ref r = { .host = "untouched" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;

		ok(image_ref_parse(bad[i].text, &r, &err) == -22, "'%s' is refused", bad[i].text);
		has_str(err.text, bad[i].part, "the message names %s", bad[i].part);
	}
	memset(long_tag + 2, 'a', 129);
	memset(long_path + 2, 'a', 300);
	ok(image_ref_parse(long_tag, &r, NULL) < 0, "a tag of 129 bytes is refused");
	long_tag[2 + 128] = '\0';
	ok(image_ref_parse(long_path, &r, NULL) < 0, "a path of 300 bytes is refused");
	is_str(r.host, "untouched", "a refusal writes nothing");
	ok(image_ref_parse(long_tag, &r, NULL) == 0, "a tag of 128 bytes is fine");
}

static void test_store_name(void)
{
	char text[REF_TEXT_BYTES];
	struct image_ref r;

	need(image_ref_parse("x:1@sha256:" HEX, &r, NULL) == 0, "tag and digest");
	image_ref_store_name(&r, text);
	is_str(text, "docker.io/library/x@sha256:" HEX, "with both, the digest names it in the store");
}

int main(void)
{
	test_good();
	test_bad();
	test_store_name();
	return done_testing();
}
