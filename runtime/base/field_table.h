/*
 * Messages as tables of fields: what a protocol says of each message is where its fields stand in a struct and of which
 * kind they are; encoder and decoder are loops over that. For the protocols that use frame.h: monitor and agent.
 *
 * What is read is bounded by the room that the table names. The reader's and the writer's sticky errors say the rest.
 *
 * No allocation: cubit-init uses this too. Runs anywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frame.h"

/* Borrowed bytes: of the caller when encoding, of the receive buffer when decoding. */
struct span {
	const void *data;
	size_t size;
};

enum field_kind {
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_STR,     /* char[], ended by NUL unless it is full; read, it always is */
	FIELD_BYTES,   /* struct span */
	FIELD_STRINGS, /* struct span: strings that end with NUL, one after the other */
	FIELD_COUNTED, /* char[], and a uint32_t in another member: how many of them are used */
};

struct field {
	uint16_t offset;
	uint16_t room;  /* of the member */
	uint16_t count; /* FIELD_COUNTED: offset of that other member */
	uint8_t kind;
};

struct field_table {
	const char *name; /* of the message; NULL: there is none */
	const struct field *fields;
	size_t n_fields;
};

#define FIELD(type, member, k)                                                                                         \
	{                                                                                                              \
		.offset = offsetof(struct type, member), .room = sizeof(((struct type *)0)->member), .kind = (k)       \
	}
#define FIELD_WITH_COUNT(type, member, n)                                                                              \
	{                                                                                                              \
		.offset = offsetof(struct type, member), .room = sizeof(((struct type *)0)->member),                   \
		.count = offsetof(struct type, n), .kind = FIELD_COUNTED                                               \
	}
#define FIELDS(table) table, sizeof(table) / sizeof((table)[0])

/* Append the fields of message. One that is larger than its room makes the writer full. */
void field_table_put(struct frame_writer *w, const struct field *fields, size_t n, const void *message);
/* Read them. Spans point into what is read. */
void field_table_get(struct frame_reader *r, const struct field *fields, size_t n, void *message);
