/* cubit config: the settings as this directory and this environment give them. Changes nothing. */
#include <stdio.h>

#include "runtime/base/error.h"
#include "supervisor/settings.h"
#include "tools/cubit/command.h"

static const char more[] = "With NAME, only the value of that setting is printed.\n\n"
			   "Values come from the environment, from .env in the working directory, and from\n"
			   "/etc/cubit/cubit.env; the first that has a name wins. The settings: man cubitd.\n";

int config_main(int argc, char **argv)
{
	bool is_json = false;
	const struct option_row options[] = {
		{ "--json", &is_json, "print one JSON object instead of lines" },
		{ NULL, NULL, NULL },
	};
	const char *name = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
	int status = options_parse("cubit config [--json] [NAME]", options, more, argc - (name != NULL), argv);
	struct error err = ERROR_INIT;

	if (status >= 0)
		return status;
	if (settings_use(&err) < 0) {
		(void)fprintf(stderr, "cubit config: %s\n", err.text);
		return EXIT_USAGE;
	}
	if (settings_used()->unread)
		(void)fprintf(stderr, "cubit config: you may not read %s: what it says is missing here\n",
			      settings_used()->unread);
	if (!name) {
		settings_print(settings_used(), is_json, stdout);
	} else if (settings_print_one(settings_used(), name, stdout, &err) < 0) {
		(void)fprintf(stderr, "cubit config: %s\n", err.text);
		return EXIT_NO;
	}
	return EXIT_YES;
}
