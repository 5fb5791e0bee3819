/* The ids that this node gives to jobs: "j" and 128 random bits as 32 hex digits. Runs in: front. */
#pragma once

#include <stdbool.h>

void our_id_make(char ret[65]);

/* Does it look like one of those? Nobody else may give such a name, so that none is taken before it is made. */
bool our_id_is(const char *id);
