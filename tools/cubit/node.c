/* cubit node: the nodes that share a Redis, and whether they take work. */
#include <stddef.h>

#include "runtime/base/error.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/job_list.h"
#include "tools/cubit/listing.h"

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },          { "STATE", "state", COLUMN_TEXT },
	{ "SLOTS", "slots", COLUMN_NUMBER },      { "RUNNING", "running", COLUMN_NUMBER },
	{ "SOURCES", "sources", COLUMN_LIST },    { "VERSION", "version", COLUMN_TEXT },
	{ "SEEN", "seen_ms_ago", COLUMN_NUMBER }, { NULL },
};

static int ls(struct invocation *v)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error err = ERROR_INIT;

	if (client_call(v->client, "GET", "/v1/nodes", NULL, &reply, &err) < 0)
		return family_fail(v, &err);
	if (v->is_json)
		listing_print_json(reply.json);
	else
		listing_print(columns, json_object_get(reply.json, "nodes"));
	return EXIT_YES;
}

static int drain(struct invocation *v)
{
	return job_each(v, "POST", "/v1/nodes/", "/drain", "takes no more work");
}

static int resume(struct invocation *v)
{
	return job_each(v, "DELETE", "/v1/nodes/", "/drain", "takes work again");
}

static const struct family_call calls[] = {
	{ "ls", "", 0, 0, ls, NULL, "list the nodes that gave a sign of life lately; SEEN: ms ago" },
	{ "drain", "NAME...", 1, FAMILY_ARGUMENTS_MAX, drain, NULL, "let them end what they run, and take no more" },
	{ "resume", "NAME...", 1, FAMILY_ARGUMENTS_MAX, resume, NULL, "let them take work again" },
	{ NULL },
};

const struct family node_family = { "node", calls, NULL, false };

int node_main(int argc, char **argv)
{
	return family_main(&node_family, argc, argv);
}
