/*
 * cubit setup: make the default images, so that a fresh installation can run something.
 *
 * Images are made at set-up time by a script, mkimage, from Debian packages: this only finds the script that belongs to
 * this program, says what it needs, and becomes it. The settings are in our environment by now (settings_use()), so both
 * mean the same store. A daemon that runs takes new images up by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/alloc.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "supervisor/settings.h"
#include "tools/cubit/command.h"

enum { ARGUMENTS_MAX = 64, PATH_BYTES = 4096 };

static const char usage[] =
	"usage: cubit setup [--install] [--force] [NAME...]\n"
	"       cubit setup --list\n"
	"\n"
	"Make images from Debian packages and put them into the store, those that are not there yet. Without\n"
	"a NAME: those that the setting CUBIT_SETUP lists (bash python node c). Needs root, mmdebstrap and some\n"
	"minutes. A daemon that runs uses new images at once.\n"
	"\n"
	"  --install      install the packages that making images needs and this machine lacks, with apt-get\n"
	"  --force        make again what is there already, from fresh package lists\n"
	"  --list         the names, with their packages\n"
	"  --help         print this and exit\n"
	"\n"
	"exit status: 0 every image is there; 1 one could not be made; 2 the command line or a setting was wrong.\n";

struct setup_call {
	char *argv[ARGUMENTS_MAX + 2];
	size_t n;
	bool has_names, is_list;
};

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct setup_call *ret)
{
	ret->argv[ret->n++] = NULL; /* the script, found later */
	for (int i = 1; i < argc; i++) {
		bool is_option = argv[i][0] == '-';

		if (strcmp(argv[i], "--help") == 0) {
			(void)fputs(usage, stdout);
			return EXIT_YES;
		}
		if (is_option && strcmp(argv[i], "--install") != 0 && strcmp(argv[i], "--force") != 0 &&
		    strcmp(argv[i], "--list") != 0) {
			(void)fprintf(stderr, "cubit setup: unknown option '%s'; try 'cubit setup --help'\n", argv[i]);
			return EXIT_USAGE;
		}
		if (ret->n == ARGUMENTS_MAX) {
			(void)fprintf(stderr, "cubit setup: more than %d arguments\n", ARGUMENTS_MAX - 1);
			return EXIT_USAGE;
		}
		ret->has_names = ret->has_names || !is_option;
		ret->is_list = ret->is_list || strcmp(argv[i], "--list") == 0;
		ret->argv[ret->n++] = argv[i];
	}
	return -1;
}

/* The names of CUBIT_SETUP, in a copy that lives until exec. */
static int add_default_names(struct setup_call *c, char *list, struct error *err)
{
	char *save = NULL;

	for (char *name = strtok_r(list, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		if (c->n == ARGUMENTS_MAX)
			return error_set(err, E2BIG, "CUBIT_SETUP: more than %d names", ARGUMENTS_MAX - 1);
		c->argv[c->n++] = name;
	}
	return 0;
}

/* Beside this program, wherever that is: PREFIX/bin and PREFIX/libexec/cubit, or build/bin and tools. */
static int find_script(char ret[PATH_BYTES], struct error *err)
{
	static const char *const places[] = { "/../libexec/cubit/mkimage", "/../../tools/mkimage" };
	char own[PATH_BYTES / 2];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (n < 0)
		return error_errno(err, errno, "/proc/self/exe");
	own[n] = '\0';
	slash = strrchr(own, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(ret, PATH_BYTES, "%s%s", own, places[i]);
		if (access(ret, X_OK) == 0)
			return 0;
	}
	return error_set(err, ENOENT, "the script that makes images is not installed: there is no '%.200s%s'", own,
			 places[0]);
}

/* Returns only when it failed. */
static int become_script(struct setup_call *c, struct error *err)
{
	static char script[PATH_BYTES];
	int r = find_script(script, err);

	if (r < 0)
		return r;
	if (setenv("CUBIT_STATE", settings_used()->state_dir, 1) < 0)
		return error_set(err, ENOMEM, "out of memory");
	c->argv[0] = script;
	c->argv[c->n] = NULL;
	(void)execv(script, c->argv);
	return error_errno(err, errno, "execute '%s'", script);
}

int setup_main(int argc, char **argv)
{
	struct setup_call c = { .n = 0 };
	struct error err = ERROR_INIT;
	cleanup_free char *names = alloc_text(settings_used()->setup_images);
	int status = parse(argc, argv, &c), r = 0;

	if (status >= 0)
		return status;
	if (!c.is_list && geteuid() != 0)
		r = error_set(&err, EPERM, "needs root: it installs packages in a chroot; try 'sudo cubit setup'");
	else if (!c.has_names && !c.is_list)
		r = add_default_names(&c, names, &err);
	if (r == 0 && !c.is_list && c.n == 1)
		return EXIT_YES; /* CUBIT_SETUP is empty: nothing is wanted */
	if (r == 0)
		(void)become_script(&c, &err);
	(void)fprintf(stderr, "cubit setup: %s\n", err.text);
	return EXIT_NO;
}
