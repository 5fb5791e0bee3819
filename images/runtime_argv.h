/* Between the reader of definitions and what knows placeholders. Others include runtime_def.h. */
#pragma once

struct error;
struct json_reader;
struct runtime_def;
struct runtime_stage;

/* Only placeholders that exist, where they mean something, and those that must be there. 0 or -EINVAL. */
int runtime_argv_check(struct json_reader *r, const struct runtime_def *def);

/* As runtime_argv(), with another path in the place of {file}: the main file of a job of several files. */
int runtime_argv_of_file(const struct runtime_stage *stage, const char *file, const char *const *args, char ***ret,
			 struct error *err);
