/*
 * What the commands of `cubit` share: how they are called, their options and their exit statuses.
 *
 * Exit statuses, one meaning each: 0 done, and the answer is yes; 1 it could not be done, or the answer is no;
 * 2 the command line or a setting was wrong, nothing was done.
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>

enum { EXIT_YES = 0, EXIT_NO = 1, EXIT_USAGE = 2 };

/* argv[0] is the command's name; returns the exit status of the program. */
typedef int command_fn(int argc, char **argv);

int audit_main(int argc, char **argv);
int completion_main(int argc, char **argv);
int config_main(int argc, char **argv);
int dead_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int image_main(int argc, char **argv);
int job_main(int argc, char **argv);
int key_main(int argc, char **argv);
int login_main(int argc, char **argv);
int node_main(int argc, char **argv);
int policy_main(int argc, char **argv);
int pool_main(int argc, char **argv);
int run_main(int argc, char **argv);
int runtime_main(int argc, char **argv);
int setup_main(int argc, char **argv);
int stats_main(int argc, char **argv);

/* One option of a command. A table of them ends with a row without a name. */
struct option_row {
	const char *name; /* with its dashes: "--json" */
	bool *is_given;   /* set when the option is there */
	const char *help; /* one line */
};

/*
 * Set what the arguments after argv[0] say. --help is always known: it prints `usage`, the table and `more` (may be
 * NULL). Returns -1 to go on, or the exit status when all is said: after --help, or after a mistake.
 */
int options_parse(const char *usage, const struct option_row *rows, const char *more, int argc, char **argv);
