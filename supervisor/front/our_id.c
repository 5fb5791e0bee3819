/* Ids of this node: see our_id.h. */
#include "supervisor/front/our_id.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

bool our_id_is(const char *id)
{
	return id[0] == 'j' && strlen(id) == 33 && strspn(id + 1, "0123456789abcdef") == 32;
}

void our_id_make(char ret[65])
{
	unsigned char raw[16];

	while (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		;
	ret[0] = 'j';
	for (size_t i = 0; i < sizeof(raw); i++)
		(void)snprintf(ret + 1 + 2 * i, 3, "%02x", raw[i]);
}
