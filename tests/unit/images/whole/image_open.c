/* What an image says and what the caller says: which program, which environment. */
#include "images/whole/image_open.h"

#include <errno.h>

#include "runtime/base/error.h"
#include "tests/tap.h"

/* "a b c" */
static const char *joined(const char *const *list)
{
	static char text[256];

	text[0] = '\0';
	for (; list && *list; list++) {
		strncat(text, *list, sizeof(text) - strlen(text) - 1);
		if (list[1])
			strncat(text, " ", sizeof(text) - strlen(text) - 1);
	}
	return text;
}

static void test_argv(void)
{
	char *e[] = { (char[]){ "entry" }, (char[]){ "point" }, NULL }, *c[] = { (char[]){ "cmd" }, NULL };
	static const char *const none[] = { NULL }, *const args[] = { "x", "y", NULL },
				 *const other[] = { "other", NULL };
	static const struct config_list empty;
	const struct config_list entry = { e, 2 }, command = { c, 1 };
	const struct {
		const struct config_list *entrypoint, *command;
		const char *const *instead, *const *args;
		const char *want; /* NULL: refused */
	} rows[] = {
		{ &entry, &command, NULL, NULL, "entry point cmd" },
		{ &entry, &command, NULL, none, "entry point cmd" },
		{ &entry, &command, NULL, args, "entry point x y" },
		{ &entry, &empty, NULL, none, "entry point" },
		{ &empty, &command, NULL, none, "cmd" },
		{ &empty, &command, NULL, args, "x y" },
		{ &empty, &empty, NULL, args, "x y" },
		{ &empty, &empty, NULL, none, NULL },
		{ &entry, &command, other, none, "other" },
		{ &entry, &command, other, args, "other x y" },
		{ &entry, &command, none, args, "x y" },
		{ &entry, &command, none, none, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct image_config config = { .entrypoint = *rows[i].entrypoint, .command = *rows[i].command };
		struct error err = ERROR_INIT;
		const char **argv = NULL;
		int r = image_argv(&config, rows[i].instead, rows[i].args, &argv, &err);

		if (rows[i].want)
			is_str(r == 0 ? joined(argv) : err.text, rows[i].want, "row %zu: the program is '%s'", i,
			       rows[i].want);
		else
			is_int(r, -EINVAL, "row %zu: nothing names a program", i);
		free(argv);
	}
}

static void test_env(void)
{
	static const char *const a[] = { "PATH=/bin", "A=1", "HOME=/", NULL },
				 *const b[] = { "AA=2", "PATH=/app", "A=", NULL },
				 *const c[] = { "A=3", "B=4=5", NULL };
	const char *const *lists[] = { a, NULL, b, c };
	struct error err = ERROR_INIT;
	const char **env = NULL;

	is_int(image_env(lists, 4, &env, &err), 0, "environments are laid over each other");
	is_str(joined(env), "PATH=/app A=3 HOME=/ AA=2 B=4=5", "the last of a name stands, at the place of the first");
	free(env);
	is_int(image_env(NULL, 0, &env, &err), 0, "nothing is an environment too");
	ok(env && !env[0], "an empty one");
	free(env);
}

int main(void)
{
	test_argv();
	test_env();
	return done_testing();
}
