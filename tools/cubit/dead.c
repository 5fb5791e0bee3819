/* cubit dead: jobs that could not be run: why, and again. */
#include <stddef.h>

#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/job_list.h"

static const char *limit;

static int ls(struct invocation *v)
{
	return job_list(v, "/v1/dead", NULL, limit, "no dead letters");
}

static int replay(struct invocation *v)
{
	return job_each(v, "POST", "/v1/dead/", "/replay", "waits again");
}

static int rm(struct invocation *v)
{
	return job_each(v, "DELETE", "/v1/dead/", "", "forgotten");
}

static const struct family_option ls_options[] = {
	{ "--limit", "N", FAMILY_TEXT, &limit, "at most so many, the newest (default 50)" },
	{ NULL },
};

static const struct family_call calls[] = {
	{ "ls", "", 0, 0, ls, ls_options, "list dead letters with their reasons" },
	{ "show", "ID...", 1, FAMILY_ARGUMENTS_MAX, job_show, NULL, "what is known of them" },
	{ "replay", "ID...", 1, FAMILY_ARGUMENTS_MAX, replay, NULL, "queue them again, attempts from 0" },
	{ "rm", "ID...", 1, FAMILY_ARGUMENTS_MAX, rm, NULL, "forget them" },
	{ NULL },
};

const struct family dead_family = { "dead", calls, NULL, false };

int dead_main(int argc, char **argv)
{
	return family_main(&dead_family, argc, argv);
}
