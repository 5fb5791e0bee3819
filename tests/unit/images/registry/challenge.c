/* WWW-Authenticate: what registries send is understood, what nobody should send is refused. */
#include "images/registry/challenge.h"

#include "runtime/base/error.h"
#include "tests/tap.h"

static struct challenge list[CHALLENGE_MAX];

static int parse(const char *text, struct error *err)
{
	memset(list, 0, sizeof(list));
	return challenge_parse(text, list, CHALLENGE_MAX, err);
}

static void test_understood(void)
{
	is_int(parse("Basic realm=\"test\"", NULL), 1, "basic with a realm is one challenge");
	ok(list[0].scheme == CHALLENGE_BASIC, "of scheme basic");
	is_str(list[0].realm, "test", "with its realm");

	is_int(parse("Bearer realm=\"https://a/token\",service=\"reg.local\",scope=\"repository:lib/x:pull,push\"",
		     NULL),
	       1, "a comma inside quotes does not end the challenge");
	is_str(list[0].scope, "repository:lib/x:pull,push", "and stays in the value");
	is_str(list[0].service, "reg.local", "the service is read");

	is_int(parse("Negotiate, bEaReR ReAlM = \"x\" , Service=y , Basic realm=\"a\\\"b\"", NULL), 3,
	       "several challenges in one header, names in any case, blanks around '='");
	ok(list[0].scheme == CHALLENGE_OTHER && list[1].scheme == CHALLENGE_BEARER && list[2].scheme == CHALLENGE_BASIC,
	   "in their order");
	is_str(list[1].service, "y", "a value may be a token");
	is_str(list[2].realm, "a\"b", "and a quoted one may have an escaped quote");

	is_int(parse("Bearer realm=\"x\",error=\"invalid_token\",other=\"ignored\"", NULL), 1, "unknown parameters");
	is_str(list[0].error, "invalid_token", "do not hide known ones");
	is_int(parse("", NULL), 0, "an empty header holds none");
	is_int(parse("Basic", NULL), 1, "a scheme may stand alone");
}

static void test_refused(void)
{
	static char text[4096];
	struct error err = ERROR_INIT;

	ok(parse("Bearer realm=\"x", &err) < 0, "a quote that does not end is refused");
	has_str(err.text, "does not end", "in words");
	ok(parse("Bearer realm=\"a\rb\"", &err) < 0, "a control character in a value is refused");
	ok(parse("=x", &err) < 0, "no scheme is refused");
	ok(parse("a,b,c,d,e,f,g,h,i", &err) < 0, "nine challenges are refused");
	has_str(err.text, "more than 8", "with the bound");
	(void)strcpy(text, "Bearer realm=\"");
	memset(text + strlen(text), 'a', 2000);
	(void)strcat(text, "\"");
	ok(parse(text, &err) < 0, "a realm of 2000 bytes is refused");
	has_str(err.text, "longer than", "in words");
}

int main(void)
{
	test_understood();
	test_refused();
	return done_testing();
}
