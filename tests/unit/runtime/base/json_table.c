/* Strict JSON by tables: what is taken, what is refused, and that a refusal names the place. */
#include "runtime/base/json_table.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "tests/tap.h"

struct thing {
	uint64_t number, sum;
	char **words;
	bool owner_seen;
};

static int read_number(struct json_reader *r, json_t *value, void *target)
{
	(void)r;
	*(uint64_t *)target = json_read_u64(value);
	return 0;
}

static int add_number(struct json_reader *r, json_t *value, void *target)
{
	if (json_read_u64(value) > 100)
		return json_too_big(r, "more than 100");
	*(uint64_t *)target += json_read_u64(value);
	return 0;
}

static int read_numbers(struct json_reader *r, json_t *value, void *target)
{
	((struct thing *)r->owner)->owner_seen = true;
	return json_read_list(r, value, JSON_INTEGER, add_number, target);
}

static int keep_word(struct json_reader *r, json_t *item, char **ret)
{
	*ret = strdup(json_string_value(item));
	return *ret ? 0 : json_no_memory(r);
}

static int read_words(struct json_reader *r, json_t *value, void *target)
{
	return json_read_strings(r, value, 3, keep_word, target);
}

static const struct json_row rows[] = {
	{ "number", JSON_INTEGER, true, read_number, offsetof(struct thing, number) },
	{ "list", JSON_ARRAY, false, read_numbers, offsetof(struct thing, sum) },
	{ "words", JSON_ARRAY, false, read_words, offsetof(struct thing, words) },
	{ NULL, JSON_NULL, false, NULL, 0 },
};

static int read_thing(const char *text, struct json_reader form, struct thing *ret, struct error *err)
{
	cleanup_json json_t *document = NULL;
	int e;

	form.origin = "x.json";
	form.err = err;
	form.owner = ret;
	e = json_read_text(&form, text, strlen(text), &document);
	return e < 0 ? e : json_read_object(&form, document, rows, ret);
}

static void thing_done(struct thing *t)
{
	for (char **w = t->words; w && *w; w++)
		free(*w);
	free(t->words);
}

static const struct json_reader plain, wide = { .is_unsigned = true }, lenient = { .null_is_absent = true },
				       small = { .max_bytes = 20 };

/* clang-format off */
static const struct {
	const char *text;
	const struct json_reader *form;
	int code;
	const char *message;
} refused[] = {
	{ "", &plain, EINVAL, "x.json: line 1, column 0: '[' or '{' expected near end of file" },
	{ "[]", &plain, EINVAL, "x.json: must be an object, is a list" },
	{ "{\"number\":1,\"number\":2}", &plain, EINVAL, "x.json: line 1, column 20: duplicate object key near '\"number\"'" },
	{ "{\"number\":1} {}", &plain, EINVAL, "x.json: line 1, column 14: end of file expected near '{'" },
	{ "{\"number\":1,\"what\":2}", &plain, EINVAL, "x.json: what: unknown field" },
	{ "{}", &plain, EINVAL, "x.json: number: is missing" },
	{ "{\"number\":null}", &plain, EINVAL, "x.json: number: must be a whole number, is null" },
	{ "{\"number\":null}", &lenient, EINVAL, "x.json: number: is missing" },
	{ "\xef\xbb\xbf{\"number\":1}", &plain, EINVAL,
	  "x.json: begins with a byte order mark; JSON has none, RFC 8259 section 8.1" },
	{ "{\"number\":1e300}", &plain, EINVAL, "x.json: number: must be a whole number, is a number with a fraction" },
	{ "{\"number\":9007199254740994.0}", &plain, EINVAL,
	  "x.json: number: must be a whole number, is a number with a fraction" },
	{ "{\"number\":1,\"list\":[2e0,0.5]}", &plain, EINVAL,
	  "x.json: list[1]: must be a whole number, is a number with a fraction" },
	{ "{\"number\":1.5}", &wide, EINVAL, "x.json: number: must be a whole number, is a number with a fraction" },
	{ "{\"number\":1,\"list\":[1,\"2\"]}", &plain, EINVAL, "x.json: list[1]: must be a whole number, is a string" },
	{ "{\"number\":1,\"list\":[1,2,101]}", &plain, E2BIG, "x.json: list[2]: more than 100" },
	{ "{\"number\":1,\"words\":[\"a\",7]}", &plain, EINVAL, "x.json: words[1]: must be a string, is a whole number" },
	{ "{\"number\":1,\"words\":[1,1,1,1]}", &plain, EINVAL, "x.json: words: 4 of them, more than 3" },
	{ "{\"number\":18446744073709551615}", &plain, EINVAL,
	  "x.json: line 1, column 30: too big integer near '18446744073709551615'" },
	{ "{\"number\":18446744073709551616}", &wide, EINVAL,
	  "x.json: line 1, column 30: too big integer near '18446744073709551616'" },
	{ "{\n\"number\": -1}", &wide, EINVAL, "x.json: line 2, column 11: a negative number; there is no use for one here" },
	{ "{\"number\":  12345678}", &small, E2BIG, "x.json: 21 bytes, more than 20" },
};
/* clang-format on */

/* JSON has one kind of number: each of these is a whole one. */
static void whole_numbers(void)
{
	static const struct {
		const char *text;
		uint64_t number;
	} whole_rows[] = {
		{ "{\"number\":2000.0}", 2000 }, { "{\"number\":2e3}", 2000 },
		{ "{\"number\":2E+3}", 2000 },   { "{\"number\":20000e-1}", 2000 },
		{ "{\"number\":0.0}", 0 },       { "{\"number\":-0.0}", 0 },
		{ "{\"number\":1.5e1}", 15 },    { "{\"number\":9007199254740992.0}", 9007199254740992 },
	};
	const struct json_reader form = { .origin = "x.json" };

	for (size_t i = 0; i < sizeof(whole_rows) / sizeof(whole_rows[0]); i++) {
		struct error err = ERROR_INIT;
		struct thing t = { .number = 7 };

		is_int(read_thing(whole_rows[i].text, form, &t, &err), 0, "taken: %s", whole_rows[i].text);
		is_int((long long)t.number, (long long)whole_rows[i].number, "as a whole number");
		thing_done(&t);
	}
}

static void refusals(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct error err = ERROR_INIT;
		struct thing t = { 0 };

		is_int(read_thing(refused[i].text, *refused[i].form, &t, &err), -refused[i].code, "refused: %s",
		       refused[i].text);
		is_str(err.text, refused[i].message, "and where, and why");
		thing_done(&t);
	}
}

static void taken(void)
{
	struct error err = ERROR_INIT;
	struct thing t = { 0 };

	is_int(read_thing("{\"list\":[1,2,3],\"words\":[\"a\",\"-1 \\\" 18446744073709551615\"],\"number\":7}", wide,
			  &t, &err),
	       0, "an object of all three, in another order than the table's");
	ok(t.number == 7 && t.sum == 6 && t.owner_seen,
	   "each member went where its row says, and the owner is at hand");
	is_str(t.words ? t.words[1] : "", "-1 \" 18446744073709551615", "digits in a string stay as they are");
	thing_done(&t);

	t = (struct thing){ 0 };
	is_int(read_thing("{\"number\":18446744073709551615}", wide, &t, &err), 0,
	       "2^64-1 is a number of the wide form");
	ok(t.number == UINT64_MAX, "to its last digit");
	is_int(read_thing("{\"number\":9223372036854775808}", wide, &t, &err), 0, "2^63 as well");
	ok(t.number == UINT64_C(1) << 63, "and right");
	is_int(read_thing("{\"number\":3,\"list\":null}", lenient, &t, &err), 0,
	       "null may stand for a member that is not there");
	is_int(read_thing("{\"number\": 1234567}", small, &t, &err), 0, "a text as long as it may be");
}

int main(void)
{
	taken();
	whole_numbers();
	refusals();
	return done_testing();
}
