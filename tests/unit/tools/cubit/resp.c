/* Talking to a Redis: what a command looks like, and how little of a reply is believed. */
#include "tests/tap.h"

#include "tools/cubit/resp.c" /* part of a program, not of a library: NOLINT(bugprone-suspicious-include) */

static const struct {
	const char *line;
	enum resp_kind kind;
	const char *word;
} rows[] = {
	{ "+OK", RESP_STATUS, "OK" },
	{ "+PONG", RESP_STATUS, "PONG" },
	{ "-NOAUTH Authentication required.", RESP_ERROR, "NOAUTH" },
	{ "-WRONGPASS invalid username-password pair: SECRET", RESP_ERROR, "WRONGPASS" },
	{ "-ERR unknown command", RESP_ERROR, "ERR" },
	{ "-DENIED", RESP_ERROR, "DENIED" },
	{ "", RESP_FOREIGN, "" },
	{ "+", RESP_FOREIGN, "" },
	{ "- ERR", RESP_FOREIGN, "" },
	{ "+ok", RESP_FOREIGN, "" },
	{ "+OK\033[31m", RESP_FOREIGN, "" },
	{ "HTTP/1.1 400 Bad Request", RESP_FOREIGN, "" },
	{ ":1", RESP_FOREIGN, "" },
	{ "$4", RESP_FOREIGN, "" },
	{ "SSH-2.0-OpenSSH_9.2", RESP_FOREIGN, "" },
	{ "-AWORDTHATISMUCHLONGERTHANANYREDISWOULDSAY", RESP_FOREIGN, "" },
};

int main(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	is_int(resp_command(&b, (const char *const[]){ "AUTH", "", "p\r\nw" }, 3), 0, "a command is written");
	is_str(buf_str(&b), "*3\r\n$4\r\nAUTH\r\n$0\r\n\r\n$4\r\np\r\nw\r\n",
	       "with lengths, so that no password can end it");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char word[16] = "unset";

		is_int(resp_classify(rows[i].line, word, sizeof(word)), rows[i].kind, "row %zu is what it is", i);
		is_str(word, rows[i].word, "and only its first word is shown");
	}
	return done_testing();
}
