/* Between the reader of definitions and what knows placeholders. Others include runtime_def.h. */
#pragma once

struct json_reader;
struct runtime_def;

/* Only placeholders that exist, where they mean something, and those that must be there. 0 or -EINVAL. */
int runtime_argv_check(struct json_reader *r, const struct runtime_def *def);
