/* cubit login: a link that logs a browser in, once. */
#include <stdio.h>

#include "runtime/base/error.h"
#include "tools/cubit/client.h"
#include "tools/cubit/command.h"
#include "tools/cubit/families.h"
#include "tools/cubit/family.h"
#include "tools/cubit/listing.h"

static int login(struct invocation *v)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	struct error err = ERROR_INIT;
	const char *link, *until;

	if (client_call(v->client, "POST", "/v1/login", NULL, &reply, &err) < 0)
		return family_fail(v, &err);
	link = json_string_value(json_object_get(reply.json, "url"));
	until = json_string_value(json_object_get(reply.json, "expires_at"));
	if (v->is_json) {
		listing_print_json(reply.json);
		return EXIT_YES;
	}
	printf("%s\n", link ? link : "");
	(void)fprintf(stderr, "works once, until %s\n", until ? until : "it is used");
	return EXIT_YES;
}

static const struct family_call calls[] = {
	{ "", "", 0, 0, login, NULL,
	  "Print a link that logs a browser in, with the rights of the caller. It works once." },
	{ NULL },
};

const struct family login_family = { "login", calls, NULL, false };

int login_main(int argc, char **argv)
{
	return family_main(&login_family, argc, argv);
}
