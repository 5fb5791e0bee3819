/* Digests: the form is strict because it becomes a file name, and the sums are those of FIPS 180-4. */
#include <errno.h>

#include "images/digest.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

int main(void)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} refused[] = {
		{ "", -EINVAL, "is not a digest" },
		{ "sha256:", -EINVAL, "64 lower-case" },
		{ "sha256:../../../../../../../etc/passwd0000000000000000000000000000000000", -EINVAL, "'sha256:../" },
		{ "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", -EINVAL, "lower-case" },
		{ ABC "0", -EINVAL, "64 lower-case" },
		{ " " ABC, -EINVAL, "is not a digest" },
		{ "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", -EINVAL, "is not a digest" },
		{ "sha512:00", -ENOTSUP, "only sha256" },
		{ "../x:00", -EINVAL, "is not a digest" },
	};
	struct digest d = { "" }, e;
	struct error err = ERROR_INIT;
	struct digest_hasher *h = digest_hasher_new();

	is_int(digest_parse(ABC, &d, &err), 0, "a sha256 digest is taken");
	is_str(d.text, ABC, "and kept as it is");
	is_str(digest_hex(&d), ABC + 7, "its hexadecimal digits are the file name");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct digest untouched = d;

		error_clear(&err);
		is_int(digest_parse(refused[i].text, &untouched, &err), refused[i].code, "'%.30s' is refused",
		       refused[i].text);
		has_str(err.text, refused[i].says, "and the message says why");
		ok(digest_equal(&untouched, &d), "and the result is untouched");
	}
	digest_of("abc", 3, &e);
	ok(digest_equal(&d, &e), "the digest of 'abc' is the published one");
	digest_of("", 0, &e);
	is_str(e.text, EMPTY, "the digest of nothing is the published one");
	digest_hasher_add(h, "a", 1);
	digest_hasher_add(h, "", 0);
	digest_hasher_add(h, "bc", 2);
	digest_hasher_end(h, &e);
	ok(digest_equal(&d, &e), "adding in pieces gives the same digest");
	digest_hasher_free(h);
	digest_hasher_free(NULL);
	return done_testing();
}
