/* What the doors of others say for what happens to a job, and how they read what comes in. */
#include "supervisor/doors/doors.h"

#include <stdlib.h>
#include <string.h>

#include "supervisor/journal/journal.h"
#include "tests/tap.h"

static struct view_memory memory;

/* The messages of one event, as JSON text; valid until the next call. */
static const char *say(view_door_fn *door, enum journal_type type, const char *data, size_t size)
{
	static char *text;
	const struct journal_event e = { .n = 1, .type = type, .data = data, .size = size };
	json_t *messages = json_array();

	free(text);
	text = door(messages, "j1", &e, &memory) == 0 ? json_dumps(messages, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(messages);
	return text ? text : "none";
}

#define SAY(door, type, data) say(door, JOURNAL_##type, data, strlen(data))
#define ENGINE(type, data)    SAY(stream_engine_messages, type, data)
#define CELL(type, data)      SAY(code_cell_messages, type, data)

static void test_stream_engine(void)
{
	memory = (struct view_memory){ .n_cut = { 0 } };
	is_str(ENGINE(STATUS, "{\"state\":\"compiling\"}"),
	       "[{\"job_id\":\"j1\",\"output\":\"\",\"status\":\"running\",\"type\":\"status\"}]", "it runs");
	is_str(ENGINE(STATUS, "{\"state\":\"running\"}"), "[]", "said once");
	is_str(ENGINE(STDOUT, "a\n"), "[{\"job_id\":\"j1\",\"output\":\"a\\n\",\"type\":\"log\"}]", "output is a log");
	is_str(ENGINE(STDERR, "b"), "[{\"job_id\":\"j1\",\"output\":\"b\",\"type\":\"log\"}]", "of both streams");
	is_str(ENGINE(EXIT, "{\"status\":\"ok\",\"reason\":\"\",\"exit_code\":0}"),
	       "[{\"job_id\":\"j1\",\"output\":\"\",\"status\":\"completed\",\"type\":\"status\"}]", "a good end");
	is_str(ENGINE(EXIT, "{\"status\":\"time_limit\",\"reason\":\"wall\",\"exit_code\":null}"),
	       "[{\"job_id\":\"j1\",\"output\":\"wall\",\"status\":\"failed\",\"type\":\"status\"}]",
	       "a bad one, and why");
	is_str(ENGINE(EXIT, "{\"status\":\"internal_error\"}"),
	       "[{\"job_id\":\"j1\",\"output\":\"\",\"status\":\"failed\",\"type\":\"status\"}]", "or without a word");
}

static void test_code_cell(void)
{
	memory = (struct view_memory){ .n_cut = { 0 } };
	is_str(CELL(STATUS, "{\"state\":\"running\"}"), "[]", "a cell is told of no states");
	is_str(CELL(STDOUT, "a"), "[{\"data\":\"a\",\"type\":\"stdout\"}]", "but of standard output");
	is_str(CELL(STDERR, "b"), "[{\"data\":\"b\",\"type\":\"stderr\"}]", "and standard error");
	is_str(CELL(EXIT, "{\"status\":\"ok\",\"exit_code\":0,\"signal\":null}"), "[{\"data\":0,\"type\":\"exit\"}]",
	       "the status of its end");
	is_str(CELL(EXIT, "{\"status\":\"runtime_error\",\"reason\":\"x\",\"exit_code\":3}"),
	       "[{\"data\":3,\"type\":\"exit\"}]", "whatever it is");
	is_str(CELL(EXIT, "{\"status\":\"signaled\",\"reason\":\"x\",\"exit_code\":null,\"signal\":11}"),
	       "[{\"data\":139,\"type\":\"exit\"}]", "a signal as shells have it");
	is_str(CELL(EXIT, "{\"status\":\"time_limit\",\"reason\":\"too long\",\"exit_code\":null,\"signal\":9}"),
	       "[{\"data\":\"[time_limit] too long\\n\",\"type\":\"stderr\"},{\"data\":137,\"type\":\"exit\"}]",
	       "a limit in words");
	is_str(CELL(EXIT, "{\"status\":\"memory_limit\",\"reason\":\"x\",\"exit_code\":null,\"signal\":null}"),
	       "[{\"data\":\"[memory_limit] x\\n\",\"type\":\"stderr\"},{\"data\":137,\"type\":\"exit\"}]",
	       "and as a kill");
	is_str(CELL(EXIT, "{\"status\":\"internal_error\",\"reason\":\"\",\"exit_code\":null,\"signal\":null}"),
	       "[{\"data\":\"[internal_error] \\n\",\"type\":\"stderr\"},{\"data\":1,\"type\":\"exit\"}]",
	       "what never ran did not end well");
}

static void test_pieces(void)
{
	memory = (struct view_memory){ .n_cut = { 0 } };
	is_str(CELL(STDOUT, "\xf0\x9f"), "[]", "half a character waits");
	is_str(CELL(STDERR, "x"), "[{\"data\":\"x\",\"type\":\"stderr\"}]", "not in the way of the other stream");
	is_str(CELL(STDOUT, "\x8e"), "[]", "three quarters too");
	is_str(CELL(STDOUT, "\x88!"), "[{\"data\":\"\xf0\x9f\x8e\x88!\",\"type\":\"stdout\"}]", "until it is whole");
	is_str(CELL(STDOUT, "a\xff\xfe"
			    "b"),
	       "[{\"data\":\"a\xef\xbf\xbd\xef\xbf\xbd"
	       "b\",\"type\":\"stdout\"}]",
	       "what is no UTF-8 is replaced");
	is_str(say(code_cell_messages, JOURNAL_STDOUT, "a\0b", 3), "[{\"data\":\"a\\u0000b\",\"type\":\"stdout\"}]",
	       "NUL is a character");
	is_str(CELL(STDOUT, "\xe2\x82"), "[]", "half a character at the end");
	is_str(CELL(EXIT, "{\"status\":\"ok\",\"exit_code\":0}"),
	       "[{\"data\":\"\xef\xbf\xbd\xef\xbf\xbd\",\"type\":\"stdout\"},{\"data\":0,\"type\":\"exit\"}]",
	       "is not lost");
	is_str(CELL(EXIT, "{\"status\":\"ok\",\"exit_code\":0}"), "[{\"data\":0,\"type\":\"exit\"}]",
	       "and not said twice");
}

static bool is_object(const char *text)
{
	json_t *o = door_object(text, strlen(text));

	json_decref(o);
	return o != NULL;
}

static void test_reading(void)
{
	char *many = malloc(40000);

	need(many, "memory");
	ok(is_object("{\"a\":\"\\\",,,\\\\\"}") && !is_object("[]") && !is_object("1") && !is_object("") &&
		   !is_object("{"),
	   "objects and nothing else");
	(void)memset(many, ',', 39999);
	many[39999] = '\0';
	(void)memcpy(many, "{\"a\":\"", 6);
	(void)memcpy(many + 39997, "\"}", 2);
	ok(is_object(many), "commas of a text are no values");
	(void)memcpy(many, "{\"a\":[0", 7);
	for (size_t i = 7; i < 39000; i++)
		many[i] = i % 2 ? ',' : '0';
	(void)strcpy(many + 39000, "]}");
	ok(!is_object(many), "too many values are refused before they are read");
	free(many);
	is_int(door_utf16_length("abc", 3), 3, "letters");
	is_int(door_utf16_length("\xc3\xa4\xe2\x82\xac", 5), 2, "characters of several bytes");
	is_int(door_utf16_length("\xf0\x9f\x8e\x88", 4), 2, "a pair of surrogates counts as two, as in JavaScript");
}

int main(void)
{
	test_stream_engine();
	test_code_cell();
	test_pieces();
	test_reading();
	return done_testing();
}
