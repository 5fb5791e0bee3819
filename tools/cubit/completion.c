/*
 * cubit completion: what shells complete the command line with, made from the tables of the commands: those of families
 * (family.h), and for the commands that have tables of their own, the words below, which a test holds against --help.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"

static int print(struct invocation *v);

static const struct family_call calls[] = {
	{ "", "bash|zsh|fish", 1, 1, print, NULL,
	  "Print what a shell completes the command line with:\n\n"
	  "  bash   cubit completion bash > /etc/bash_completion.d/cubit\n"
	  "  zsh    cubit completion zsh > \"${fpath[1]}/_cubit\"\n"
	  "  fish   cubit completion fish > ~/.config/fish/completions/cubit.fish" },
	{ NULL },
};

const struct family completion_family = { "completion", calls, NULL, true };

/* Commands that are no family: subcommand "" is the command itself. */
static const struct {
	const char *command, *subcommand, *options;
} others[] = {
	{ "config", "", "--json" },
	{ "doctor", "", "--json" },
	{ "image", "pull", "--store --platform --json --quiet" },
	{ "image", "push", "--store --platform --json --quiet" },
	{ "image", "load", "--store --platform --json --quiet" },
	{ "image", "save", "--store --platform --json --quiet" },
	{ "image", "ls", "--store --platform --json --quiet" },
	{ "image", "inspect", "--store --platform --json --quiet" },
	{ "image", "tag", "--store --platform --json --quiet" },
	{ "image", "rm", "--store --platform --json --quiet" },
	{ "image", "gc", "--store --platform --json --quiet" },
	{ "runtime", "ls", "--json" },
	{ "runtime", "show", "" },
	{ "runtime", "test", "--all --json --rootfs" },
	{ "setup", "", "--install --force --list" },
};

enum { OTHERS = sizeof(others) / sizeof(others[0]) };

/* ---- the words ---- */

static bool is_first_other(size_t i)
{
	return i == 0 || strcmp(others[i - 1].command, others[i].command) != 0;
}

static void print_commands(const char *between)
{
	for (size_t i = 0; i < OTHERS; i++) {
		if (is_first_other(i))
			printf("%s%s", others[i].command, between);
	}
	for (size_t i = 0; families[i]; i++)
		printf("%s%s", families[i]->name, between);
}

static void print_rows(const struct family_option *o)
{
	for (; o && o->name; o++)
		printf(" %s", o->name);
}

/* "job ls) cubit_words='...' ;;" */
static void print_call(const struct family *f, const struct family_call *c)
{
	printf("\t\t'%s%s%s') cubit_words='--help", f->name, *c->name ? " " : "", c->name);
	print_rows(c->options);
	if (!f->is_local)
		print_rows(family_common);
	else if (f == &completion_family)
		printf(" bash zsh fish");
	printf("' ;;\n");
}

static void print_subcommands(const struct family *f)
{
	if (!*f->calls[0].name)
		return;
	printf("\t\t'%s') cubit_words='--help", f->name);
	for (const struct family_call *c = f->calls; c->run; c++)
		printf(" %s", c->name);
	printf("' ;;\n");
}

static void print_other(size_t i)
{
	if (*others[i].subcommand && is_first_other(i)) {
		printf("\t\t'%s') cubit_words='--help", others[i].command);
		for (size_t k = i; k < OTHERS && strcmp(others[k].command, others[i].command) == 0; k++)
			printf(" %s", others[k].subcommand);
		printf("' ;;\n");
	}
	printf("\t\t'%s%s%s') cubit_words='--help%s%s' ;;\n", others[i].command, *others[i].subcommand ? " " : "",
	       others[i].subcommand, *others[i].options ? " " : "", others[i].options);
}

/* A shell function that sets cubit_words for "$1", a command and its subcommand; bash and zsh read the same. */
static void print_function(void)
{
	printf("_cubit_words()\n{\n\tcase \"$1\" in\n\t\t'') cubit_words='--help --version ");
	print_commands(" ");
	printf("' ;;\n");
	for (size_t i = 0; i < OTHERS; i++)
		print_other(i);
	for (size_t i = 0; families[i]; i++) {
		print_subcommands(families[i]);
		for (const struct family_call *c = families[i]->calls; c->run; c++)
			print_call(families[i], c);
	}
	printf("\t\t*) cubit_words='' ;;\n\tesac\n}\n\n");
}

/* ---- shells ---- */

static void print_bash(void)
{
	printf("# bash completion for cubit; made by: cubit completion bash\n");
	print_function();
	printf("_cubit()\n{\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} key='' cubit_words=''\n"
	       "\tCOMPREPLY=()\n"
	       "\tif [ \"$COMP_CWORD\" -gt 1 ]; then\n"
	       "\t\tkey=${COMP_WORDS[1]}\n"
	       "\t\t_cubit_words \"$key\"\n"
	       "\t\tif [ \"$COMP_CWORD\" -gt 2 ]; then\n"
	       "\t\t\t_cubit_words \"$key ${COMP_WORDS[2]}\"\n"
	       "\t\t\t[ -n \"$cubit_words\" ] || _cubit_words \"$key\"\n"
	       "\t\tfi\n"
	       "\telse\n"
	       "\t\t_cubit_words ''\n"
	       "\tfi\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$cubit_words\" -- \"$cur\")\n"
	       "}\n"
	       "complete -o default -F _cubit cubit\n");
}

static void print_zsh(void)
{
	printf("#compdef cubit\n# zsh completion for cubit; made by: cubit completion zsh\n");
	print_function();
	printf("_cubit()\n{\n"
	       "\tlocal first=\"${words[2]}\" second=\"${words[3]}\" cubit_words=''\n"
	       "\tif (( CURRENT > 2 )); then\n"
	       "\t\t_cubit_words \"$first\"\n"
	       "\t\tif (( CURRENT > 3 )); then\n"
	       "\t\t\t_cubit_words \"$first $second\"\n"
	       "\t\t\t[[ -n \"$cubit_words\" ]] || _cubit_words \"$first\"\n"
	       "\t\tfi\n"
	       "\telse\n"
	       "\t\t_cubit_words ''\n"
	       "\tfi\n"
	       "\tcompadd -- ${=cubit_words}\n"
	       "\t[[ \"$PREFIX\" == -* ]] || _files\n"
	       "}\n"
	       "if [ \"$funcstack[1]\" = _cubit ]; then\n\t_cubit \"$@\"\nelse\n\tcompdef _cubit cubit\nfi\n");
}

/* In single quotes of fish, \ and ' are escaped. */
static void print_quoted(const char *text)
{
	putchar('\'');
	for (; *text && *text != '\n'; text++)
		printf("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
	putchar('\'');
}

static void print_fish_option(const char *condition, const char *name, const char *argument, const char *help)
{
	printf("complete -c cubit -n \"%s\" %s %s%s", condition, name[1] == '-' ? "-l" : "-s",
	       name + (name[1] == '-' ? 2 : 1), argument ? " -r" : "");
	if (help) {
		printf(" -d ");
		print_quoted(help);
	}
	putchar('\n');
}

static void print_fish_rows(const char *condition, const struct family_option *o)
{
	for (; o && o->name; o++)
		print_fish_option(condition, o->name, o->argument, o->help);
}

static void print_fish_other(size_t i)
{
	char condition[160], option[32];
	const char *at = others[i].options;

	(void)snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %s", others[i].command);
	if (is_first_other(i))
		printf("complete -c cubit -n __fish_use_subcommand -a %s\n", others[i].command);
	if (*others[i].subcommand)
		printf("complete -c cubit -n \"%s\" -a %s\n", condition, others[i].subcommand);
	if (!is_first_other(i) && others[i].options == others[i - 1].options)
		return;
	while (*at) {
		size_t n = strcspn(at, " ");

		(void)snprintf(option, sizeof(option), "%.*s", (int)n, at);
		print_fish_option(condition, option, NULL, NULL);
		at += n + (at[n] == ' ');
	}
}

static void print_fish_family(const struct family *f)
{
	char condition[160];

	printf("complete -c cubit -n __fish_use_subcommand -a %s\n", f->name);
	for (const struct family_call *c = f->calls; c->run; c++) {
		(void)snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %s", f->name);
		if (*c->name) {
			printf("complete -c cubit -n \"%s\" -a %s -d ", condition, c->name);
			print_quoted(c->help);
			putchar('\n');
			(void)snprintf(condition, sizeof(condition),
				       "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s", f->name,
				       c->name);
		}
		print_fish_rows(condition, c->options);
		if (!f->is_local)
			print_fish_rows(condition, family_common);
	}
}

static void print_fish(void)
{
	printf("# fish completion for cubit; made by: cubit completion fish\n");
	for (size_t i = 0; i < OTHERS; i++)
		print_fish_other(i);
	for (size_t i = 0; families[i]; i++)
		print_fish_family(families[i]);
	printf("complete -c cubit -n \"__fish_seen_subcommand_from completion\" -a \"bash zsh fish\"\n"
	       "complete -c cubit -l help\n");
}

static const struct {
	const char *name;
	void (*print)(void);
} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };

static int print(struct invocation *v)
{
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (strcmp(shells[i].name, v->arguments[0]) != 0)
			continue;
		shells[i].print();
		return EXIT_YES;
	}
	(void)fprintf(stderr, "cubit completion: there are bash, zsh and fish, not '%s'\n", v->arguments[0]);
	return EXIT_USAGE;
}

int completion_main(int argc, char **argv)
{
	return family_main(&completion_family, argc, argv);
}
