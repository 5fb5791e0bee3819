/* Lua scripts by their digest: see redis_eval() in link.h. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "supervisor/redis/link.h"

enum { SCRIPT_ARGS_MAX = 65536 };

/* One call, kept until we know that its text need not be sent. argv: command, script, number of keys, the caller's. */
struct eval {
	struct redis_link *link;
	struct redis_script *script;
	redis_reply_fn *fn;
	void *arg;
	char n_keys[24];
	size_t argc;
	const char **argv; /* lengths and then the bytes follow, in the same piece of memory */
	size_t *lengths;
};

static int digest(struct redis_script *script)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char sha[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	if (script->sha[0])
		return 0;
	if (EVP_Digest(script->text, strlen(script->text), sha, &size, EVP_sha1(), NULL) != 1 || size != 20)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		script->sha[2 * i] = digits[sha[i] >> 4];
		script->sha[2 * i + 1] = digits[sha[i] & 15];
	}
	script->sha[40] = '\0';
	return 0;
}

static void copy_arguments(struct eval *v, size_t argc, const char *const *argv, const size_t *lengths, char *room)
{
	v->argc = argc + 3;
	v->argv[2] = v->n_keys;
	v->lengths[2] = strlen(v->n_keys);
	for (size_t i = 0; i < argc; i++) {
		size_t n = lengths ? lengths[i] : strlen(argv[i]);

		memcpy(room, argv[i], n);
		v->argv[i + 3] = room;
		v->lengths[i + 3] = n;
		room += n;
	}
}

static struct eval *eval_new(size_t argc, const char *const *argv, const size_t *lengths, size_t n_keys)
{
	size_t bytes = 0, rows = argc + 3;
	struct eval *v;

	for (size_t i = 0; i < argc; i++)
		bytes += lengths ? lengths[i] : strlen(argv[i]);
	v = alloc_bytes(sizeof(*v) + rows * (sizeof(char *) + sizeof(size_t)) + bytes);
	memset(v, 0, sizeof(*v));
	v->argv = (const char **)(v + 1);
	v->lengths = (size_t *)(v->argv + rows);
	(void)snprintf(v->n_keys, sizeof(v->n_keys), "%zu", n_keys);
	copy_arguments(v, argc, argv, lengths, (char *)(v->lengths + rows));
	return v;
}

static int eval_send(struct eval *v, const char *command, const char *script, redis_reply_fn *fn)
{
	v->argv[0] = command;
	v->lengths[0] = strlen(command);
	v->argv[1] = script;
	v->lengths[1] = strlen(script);
	return redis_send(v->link, fn, v, 0, v->argc, v->argv, v->lengths);
}

static void on_reply(const struct error *e, const redisReply *reply, void *arg)
{
	struct eval *v = arg;
	redis_reply_fn *fn = v->fn;
	void *fn_arg = v->arg;

	free(v);
	if (fn)
		fn(e, reply, fn_arg);
}

/* Whom the server does not know, it is told. A script that was not known has done nothing: this repeats nothing. */
static void on_first_reply(const struct error *e, const redisReply *reply, void *arg)
{
	struct eval *v = arg;
	struct error again = ERROR_INIT;
	int r;

	if (!e || e->code != EPROTO || strncmp(e->text, "NOSCRIPT", 8) != 0) {
		on_reply(e, reply, arg);
		return;
	}
	r = eval_send(v, "EVAL", v->script->text, on_reply);
	if (r == 0)
		return;
	(void)error_errno(&again, r == -ENOTCONN ? ECONNRESET : -r, "send the text of a script");
	on_reply(&again, NULL, v);
}

int redis_eval(struct redis_link *link, struct redis_script *script, redis_reply_fn *fn, void *arg, size_t n_keys,
	       size_t argc, const char *const *argv, const size_t *lengths)
{
	struct eval *v;
	int r;

	if (!redis_link_is_up(link))
		return -ENOTCONN;
	if (argc > SCRIPT_ARGS_MAX)
		return -EAGAIN;
	if (digest(script) < 0)
		return -ENOMEM;
	v = eval_new(argc, argv, lengths, n_keys);
	v->link = link;
	v->script = script;
	v->fn = fn;
	v->arg = arg;
	r = eval_send(v, "EVALSHA", script->sha, on_first_reply);
	if (r < 0)
		free(v);
	return r;
}
