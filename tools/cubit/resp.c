/* RESP2: see resp.h. */
#include "tools/cubit/resp.h"

#include <ctype.h>
#include <string.h>

#include "runtime/base/buf.h"

int resp_command(struct buf *out, const char *const *words, size_t n)
{
	int r = buf_printf(out, "*%zu\r\n", n);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = buf_printf(out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
	return r;
}

enum resp_kind resp_classify(const char *line, char *ret_word, size_t capacity)
{
	size_t n = 0;

	ret_word[0] = '\0';
	if (line[0] != '+' && line[0] != '-')
		return RESP_FOREIGN;
	while (isupper((unsigned char)line[1 + n]))
		n++;
	if (n == 0 || n >= capacity || (line[1 + n] != '\0' && line[1 + n] != ' '))
		return RESP_FOREIGN;
	memcpy(ret_word, line + 1, n);
	ret_word[n] = '\0';
	return line[0] == '+' ? RESP_STATUS : RESP_ERROR;
}
