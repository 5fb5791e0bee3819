/* cubit pool: the sandboxes that stand ready. */
#include <stdio.h>

#include "runtime/base/error.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/listing.h"
#include "tools/cubit/progress.h"

static const struct column columns[] = {
	{ "RUNTIME", "runtime", COLUMN_TEXT },
	{ "POLICY", "policy", COLUMN_TEXT },
	{ "MEMORY", "memory", COLUMN_BYTES },
	{ "PRESTART", "prestart", COLUMN_TEXT },
	{ "READY", "ready", COLUMN_NUMBER },
	{ "STARTING", "starting", COLUMN_NUMBER },
	{ "CLAIMED", "claimed", COLUMN_NUMBER },
	{ "WAITING", "waiting", COLUMN_NUMBER },
	{ "HITS", "hits", COLUMN_NUMBER },
	{ "MISSES", "misses", COLUMN_NUMBER },
	{ "FAILED", "failed", COLUMN_NUMBER },
	{ "EACH", "bytes_each", COLUMN_BYTES },
	{ NULL },
};

static int show(struct invocation *v)
{
	static const char *const skip[] = { "classes", "bytes", "bytes_max", NULL };
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error err = ERROR_INIT;
	const json_t *bytes, *most;
	char used[24], room[24];

	if (client_call(v->client, "GET", "/v1/pool", NULL, &reply, &err) < 0)
		return family_fail(v, &err);
	if (v->is_json) {
		listing_print_json(reply.json);
		return EXIT_YES;
	}
	listing_print(columns, json_object_get(reply.json, "classes"));
	listing_print_object(reply.json, skip);
	bytes = json_object_get(reply.json, "bytes");
	most = json_object_get(reply.json, "bytes_max");
	if (json_is_integer(bytes) && json_is_integer(most)) {
		progress_bytes((uint64_t)json_integer_value(bytes), used);
		progress_bytes((uint64_t)json_integer_value(most), room);
		printf("%s of %s\n", used, room);
	}
	return EXIT_YES;
}

static const struct family_call calls[] = {
	{ "", "", 0, 0, show, NULL, "Show the sandboxes that stand ready, by what they were made from." },
	{ NULL },
};

const struct family pool_family = { "pool", calls, NULL, false };

int pool_main(int argc, char **argv)
{
	return family_main(&pool_family, argc, argv);
}
