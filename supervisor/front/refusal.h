/*
 * Why work was not taken, in words that each door shows in its own shape (api_refusal.h: as the native API does).
 *
 * Runs in: front. Pure.
 */
#pragma once

#include <stdbool.h>

struct error;

enum refusal_kind {
	REFUSED_INVALID, /* it cannot be meant so: field says what */
	REFUSED_RUNTIME, /* no such language */
	REFUSED_CEILING, /* a limit above what the node or the key gives */
	REFUSED_SIZE,
	REFUSED_FORBIDDEN,
	REFUSED_KEY_TAKEN, /* another request has this key of idempotency */
	REFUSED_ID_TAKEN,
	REFUSED_QUOTA, /* of its owner */
	REFUSED_BUSY,  /* too many wait for a slot */
	REFUSED_QUEUE_FULL,
	REFUSED_OVERLOADED,
	REFUSED_STOPPING,
	REFUSED_UNABLE, /* this node can make no sandbox */
	REFUSED_IMAGE,
	REFUSED_STORAGE,
	REFUSED_INTERNAL,
	REFUSAL_KINDS
};
/* "invalid_request": for clients and the audit log. */
const char *refusal_word(enum refusal_kind kind);

struct refusal {
	enum refusal_kind kind;
	unsigned retry_s; /* 0: coming back does not help */
	char field[160];  /* of the request, "" none */
	char text[256];   /* one sentence */
};

/* r: what auth_job_begins(), dispatch_run(), able_stores() or a node that is being stopped (-ESHUTDOWN) said. */
void refusal_of_work(struct refusal *ret, int r, unsigned retry_s, const struct error *e);
/* r: what job_spec_parse() said of that field; "": of the whole. */
void refusal_of_spec(struct refusal *ret, int r, const char *field, const struct error *e);
/* r: what callbacks_check_url() said. */
void refusal_of_callback(struct refusal *ret, int r, const struct error *e);
/* What the queue said. Taken already is the key when there is one, otherwise the id. */
void refusal_of_queue(struct refusal *ret, const struct error *e, bool has_key);
