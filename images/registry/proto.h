/*
 * Between whoever wants images (privileged, trusts nobody) and the fetch worker (network, no privilege): SOCK_SEQPACKET,
 * frames of runtime/base/frame.h. The worker's messages are as hostile as the network behind it.
 *
 *   to the worker     OPEN            which registry and repository, mirrors, credentials; perhaps one descriptor,
 *                                     certificates, read from 0; once, first; not answered
 *                     GET_MANIFEST    reference, is_upstream_only
 *                     GET_BLOB        digest, size, have, is_upstream_only
 *                     PUSH_BLOB       digest, size, mount_from; one descriptor, read from 0
 *                     PUSH_MANIFEST   reference, media type, digest, size; one descriptor, read from 0
 *   from the worker   DATA            content, in order, at most PROTO_DATA_MAX bytes
 *                     SENT            bytes of a push that are on their way
 *                     DONE            the end of a request: 0 or an errno with its words, and what was learnt
 *
 * One request at a time; each is answered by any number of DATA or SENT and one DONE. The worker never receives a
 * descriptor that it could write to. Closing the socket ends it.
 *
 * Runs in: whoever holds the store (root), and the fetch worker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/registry/client.h"

struct error;

enum { PROTO_VERSION = 1, PROTO_DATA_MAX = 96 << 10, PROTO_REFERENCE_BYTES = 160, PROTO_MESSAGE_BYTES = 112 << 10 };

enum proto_type {
	PROTO_OPEN = 1,
	PROTO_GET_MANIFEST,
	PROTO_GET_BLOB,
	PROTO_PUSH_BLOB,
	PROTO_PUSH_MANIFEST,
	PROTO_DATA = 0x80,
	PROTO_SENT,
	PROTO_DONE,
};

/* A request; which fields count depends on the type, the rest is empty. */
struct proto_request {
	enum proto_type type;
	char reference[PROTO_REFERENCE_BYTES];
	char media_type[REGISTRY_TYPE_BYTES];
	char mount_from[REGISTRY_PATH_BYTES];
	struct digest digest;
	uint64_t size, have;
	bool is_upstream_only;
	struct registry_spec spec; /* OPEN */
};

struct proto_reply {
	enum proto_type type;
	const void *data; /* DATA: borrowed from the message */
	size_t data_bytes;
	uint64_t sent; /* SENT */
	int code;      /* DONE: 0 or a positive errno */
	char text[512];
	char content_type[REGISTRY_TYPE_BYTES], digest[DIGEST_TEXT_BYTES];
	bool was_there;
};

/* Send one; fd -1 for none. 0 or -errno. */
int proto_request_send(int sock, const struct proto_request *q, int fd, struct error *err);
int proto_reply_send(int sock, const struct proto_reply *p, struct error *err);

/* From a received message. Pure. 0 or -EPROTO. */
int proto_request_read(const void *message, size_t size, struct proto_request *ret, struct error *err);
int proto_reply_read(const void *message, size_t size, struct proto_reply *ret, struct error *err);
