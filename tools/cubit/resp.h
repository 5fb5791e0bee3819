/* The little of the Redis protocol (RESP2) that a greeting takes. Runs in: the cubit command. */
#pragma once

#include <stddef.h>

struct buf;

/* Append a command: an array of bulk strings. Returns 0 or -errno as buf_append does. */
int resp_command(struct buf *out, const char *const *words, size_t n);

enum resp_kind {
	RESP_STATUS,  /* "+OK" */
	RESP_ERROR,   /* "-NOAUTH Authentication required." */
	RESP_FOREIGN, /* nothing that a Redis says to us here */
};

/*
 * What kind of reply is this line? ret_word gets its first word ("OK", "NOAUTH"), "" for a foreign one. Only that word
 * is ever shown: what follows is the server's, and could repeat what we sent, password and all.
 */
enum resp_kind resp_classify(const char *line, char *ret_word, size_t capacity);
