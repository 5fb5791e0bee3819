/*
 * cubit: the command line.
 *
 * How it works
 *
 * One process, one thread: `cubit COMMAND` looks the command up in the table below, hands it the rest of the arguments
 * and exits with what it returns. It runs with the privilege of whoever calls it and keeps nothing. `config`, `doctor`,
 * `image`, `runtime` and `setup` work by themselves; the others (families.h) are clients of the daemon, on its unix socket or by
 * --url and --key (client.h).
 *
 * `cubit doctor` finds out by trying, so most of what it does happens in children: each check is a fork of its own
 * that may move into new namespaces, mount there, and die; what it found comes back in one write on a pipe.
 *
 *	cubit doctor                     the caller's privilege; prints
 *	 └─ cubit doctor                 one check at a time, at most 15 seconds; dies with its namespaces and mounts
 *	     └─ cubit doctor             some checks: a process in the namespaces or the cgroup under test,
 *	                                 which ends as soon as the check's end of a pipe is closed
 *
 * The only thing a dying check does not undo is a cgroup; its name is known beforehand (cubit-doctor-PID), and the
 * parent removes it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/log.h"
#include "tools/cubit/command.h"

#include "runtime/base/error.h"
#include "runtime/base/version.h"
#include "supervisor/settings.h"

static const struct command {
	const char *name;
	command_fn *run;
	const char *help;
} commands[] = {
	{ "audit", audit_main, "show who did what" },
	{ "completion", completion_main, "print what a shell completes these commands with" },
	{ "config", config_main, "print the settings and where each comes from" },
	{ "dead", dead_main, "jobs that could not be run: list, run again, forget" },
	{ "doctor", doctor_main, "say what this machine has and lacks for running Cubit" },
	{ "image", image_main, "fetch, send, list and remove images" },
	{ "job", job_main, "queued jobs: submit, list, look at, wait for, cancel" },
	{ "key", key_main, "make, list and revoke keys for the daemon" },
	{ "login", login_main, "print a link that logs a browser in" },
	{ "node", node_main, "list the nodes that share a Redis; drain and resume them" },
	{ "policy", policy_main, "list, show and check system call policies" },
	{ "pool", pool_main, "show the sandboxes that stand ready" },
	{ "run", run_main, "run a program in a sandbox and show its output" },
	{ "runtime", runtime_main, "list the languages, show one, test them in sandboxes" },
	{ "setup", setup_main, "make the default images" },
	{ "stats", stats_main, "show what the daemon does" },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *to)
{
	(void)fprintf(to, "usage: cubit COMMAND [OPTION...]\n\ncommands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		(void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
	(void)fprintf(to,
		      "\noptions:\n"
		      "  %-12s print this and exit; 'cubit COMMAND --help' says more about one\n"
		      "  %-12s print the version and exit\n"
		      "\nexit status: 0 done, and the answer is yes; 1 it could not be done, or the answer is no;\n"
		      "2 the command line or a setting was wrong; 3 the daemon cannot be reached, or it refused.\n",
		      "--help", "--version");
}

/* What was printed must have arrived: a full disk behind `> file` is a failure, not a success. */
static int flushed(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	perror("cubit: write to standard output");
	return status == EXIT_YES ? EXIT_NO : status;
}

/*
 * Before a command runs. `config` and `doctor` say what is wrong themselves; with --help somewhere, it is said, and the
 * words asked for are still printed.
 */
static bool load_settings(const struct command *c, int argc, char **argv)
{
	bool says_itself = c->run == config_main || c->run == doctor_main, may_go_on = says_itself;
	struct error err = ERROR_INIT;

	if (settings_use(&err) == 0)
		return true;
	for (int i = 2; i < argc; i++)
		may_go_on = may_go_on || strcmp(argv[i], "--help") == 0;
	if (!says_itself)
		(void)fprintf(stderr, "cubit %s: %s\n", c->name, err.text);
	settings_use_defaults();
	return may_go_on;
}

int main(int argc, char **argv)
{
	alloc_must(log_no_memory);
	json_set_alloc_funcs(alloc_bytes, free); /* NULL of jansson is no UTF-8, never want of memory */
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0) {
		print_help(stdout);
		return flushed(EXIT_YES);
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("cubit " CUBIT_VERSION);
		return flushed(EXIT_YES);
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (!load_settings(&commands[i], argc, argv))
			return EXIT_USAGE;
		return flushed(commands[i].run(argc - 1, argv + 1));
	}
	(void)fprintf(stderr, "cubit: unknown %s '%s'; try 'cubit --help'\n", argv[1][0] == '-' ? "option" : "command",
		      argv[1]);
	return EXIT_USAGE;
}
