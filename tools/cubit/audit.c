/* cubit audit: who did what. */
#include <stddef.h>

#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/listing.h"

static const char *owner, *action, *limit;

static const struct column columns[] = {
	{ "AT (UTC)", "at", COLUMN_TIME },     { "OWNER", "owner", COLUMN_TEXT },
	{ "KEY", "key_id", COLUMN_TEXT },      { "PEER", "peer", COLUMN_TEXT },
	{ "ACTION", "action", COLUMN_TEXT },   { "OBJECT", "object", COLUMN_TEXT },
	{ "OUTCOME", "outcome", COLUMN_TEXT }, { NULL },
};

static int show(struct invocation *v)
{
	const char *const queries[] = { "owner", owner, "action", action, NULL };

	return listing_run(v, "/v1/audit", queries, limit, "audit", columns, "nothing");
}

static const struct family_option options[] = {
	{ "--owner", "OWNER", FAMILY_TEXT, &owner, "only what one did" },
	{ "--action", "ACTION", FAMILY_TEXT, &action, "only that: job.cancel, key.make" },
	{ "--limit", "N", FAMILY_TEXT, &limit, "at most so many, the newest (default 50)" },
	{ NULL },
};

static const struct family_call calls[] = {
	{ "", "", 0, 0, show, options, "Show who did what to which object, from where, the newest first." },
	{ NULL },
};

const struct family audit_family = { "audit", calls, NULL, false };

int audit_main(int argc, char **argv)
{
	return family_main(&audit_family, argc, argv);
}
