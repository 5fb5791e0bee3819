/* cubit config: the settings as this directory and this environment give them. Changes nothing. */
#include <stdio.h>

#include "runtime/base/error.h"
#include "supervisor/settings.h"
#include "tools/cubit/command.h"

static const char more[] = "Values come from the environment, from .env in the working directory, and from\n"
			   "/etc/cubit/cubit.env; the first that has a name wins. The settings: man cubitd.\n";

int config_main(int argc, char **argv)
{
	bool is_json = false;
	const struct option_row options[] = {
		{ "--json", &is_json, "print one JSON object instead of lines" },
		{ NULL, NULL, NULL },
	};
	int status = options_parse("cubit config [--json]", options, more, argc, argv);
	struct error err = ERROR_INIT;
	struct settings s;

	if (status >= 0)
		return status;
	if (settings_load(&s, &err) < 0) {
		(void)fprintf(stderr, "cubit config: %s\n", err.text);
		return EXIT_NO;
	}
	settings_print(&s, is_json, stdout);
	settings_done(&s);
	return EXIT_YES;
}
