/* The options of a command: see command.h. */
#include <stdio.h>
#include <string.h>

#include "tools/cubit/command.h"

static void print_help(const char *usage, const struct option_row *rows, const char *more)
{
	printf("usage: %s\n\n", usage);
	for (; rows->name; rows++)
		printf("  %-12s %s\n", rows->name, rows->help);
	printf("  %-12s %s\n", "--help", "print this and exit");
	if (more)
		printf("\n%s", more);
}

static const struct option_row *find(const struct option_row *rows, const char *name)
{
	for (; rows->name; rows++) {
		if (strcmp(rows->name, name) == 0)
			return rows;
	}
	return NULL;
}

int options_parse(const char *usage, const struct option_row *rows, const char *more, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct option_row *row = find(rows, argv[i]);

		if (strcmp(argv[i], "--help") == 0) {
			print_help(usage, rows, more);
			return EXIT_YES;
		}
		if (!row) {
			(void)fprintf(stderr, "cubit %s: unknown %s '%s'; try 'cubit %s --help'\n", argv[0],
				      argv[i][0] == '-' ? "option" : "argument", argv[i], argv[0]);
			return EXIT_USAGE;
		}
		*row->is_given = true;
	}
	return -1;
}
