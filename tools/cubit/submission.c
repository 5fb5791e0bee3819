/* Requests from command lines: see submission.h. */
#include "tools/cubit/submission.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/base64.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/json_field.h"
#include "runtime/base/parse.h"
#include "runtime/base/utf8.h"
#include "tools/cubit/client.h"

enum { FILE_MAX_BYTES = 256 << 20, SENDS_MAX = 3, NAME_BYTES = 256, SECRET_MAX_BYTES = 256 };

struct submission_options submission;

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "out of memory");
}

/* Takes the value. */
static int set(json_t *o, const char *key, json_t *value, struct error *err)
{
	return json_object_set_new(o, key, value) < 0 ? no_memory(err) : 0;
}

/* ---- contents ---- */

/* "-" is standard input, which only one may have. */
static int read_content(const char *path, struct buf *out, mode_t *ret_mode, struct error *err)
{
	bool is_input = strcmp(path, "-") == 0;
	cleanup_fd int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	int r;

	out->max = FILE_MAX_BYTES;
	if (fd < 0)
		return error_errno(err, errno, "open '%s'", path);
	if (fstat(fd, &st) < 0)
		r = error_errno(err, errno, "stat '%s'", path);
	else if (S_ISDIR(st.st_mode))
		r = error_set(err, EISDIR, "'%s' is a directory", path);
	else
		r = fd_read_all(fd, FILE_MAX_BYTES, out, err);
	if (is_input)
		(void)fd_take(&fd); /* not ours to close */
	if (r < 0)
		return error_wrap(err, "%s", is_input ? "standard input" : path);
	if (ret_mode)
		*ret_mode = st.st_mode;
	return 0;
}

/* As text when it is, else as base64 with its encoding under another key. */
static int set_content(json_t *o, const char *key, const char *encoding_key, const struct buf *content,
		       struct error *err)
{
	cleanup_free char *coded = NULL;
	size_t size;

	if (utf8_is_text(buf_str(content), content->size))
		return set(o, key, json_stringn_nocheck(buf_str(content), content->size), err);
	coded = base64_encode(content->data, content->size, &size);
	if (!coded)
		return no_memory(err);
	if (json_object_set_new(o, key, json_stringn_nocheck(coded, size)) < 0)
		return no_memory(err);
	return set(o, encoding_key, json_string("base64"), err);
}

/* ---- files ---- */

/* How a file of ours is called inside: its path when that stays below, else its last part. */
static const char *name_inside(const char *path)
{
	const char *slash = strrchr(path, '/'), *at;

	while (strncmp(path, "./", 2) == 0)
		path += 2;
	for (at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
		size_t n = strcspn(at, "/");

		if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return slash ? slash + 1 : path;
	}
	return path;
}

static int add_file(json_t *files, const char *name, const struct buf *content, mode_t mode, struct error *err)
{
	json_t *file = json_pack("{s:s}", "path", name);

	if (!file) /* or the name is no UTF-8 */
		return error_set(err, EINVAL, "'%s' cannot be the name of a file in a request", name);
	if (json_array_append_new(files, file) < 0)
		return no_memory(err);
	if ((mode & 0111) && set(file, "mode", json_string("0755"), err) < 0)
		return -ENOMEM;
	return set_content(file, "content", "encoding", content, err);
}

/* The program alone goes as `source`: its runtime says what it is called. With other files beside it, it keeps its
 * name. */
static int set_program(const struct invocation *v, json_t *o, struct error *err)
{
	cleanup_buf struct buf main_file = BUF_INIT;
	const char *path = v->arguments[1];
	bool is_input = strcmp(path, "-") == 0;
	json_t *files;
	int r = read_content(path, &main_file, NULL, err);

	if (r < 0)
		return r;
	if (submission.files.n == 0 && utf8_is_text(buf_str(&main_file), main_file.size))
		return set(o, "source", json_stringn_nocheck(buf_str(&main_file), main_file.size), err);
	files = json_array();
	r = set(o, "files", files, err);
	if (r == 0)
		r = add_file(files,
			     is_input             ? "main"
			     : strrchr(path, '/') ? strrchr(path, '/') + 1
						  : path,
			     &main_file, 0, err);
	for (size_t i = 0; r == 0 && i < submission.files.n; i++) {
		cleanup_buf struct buf content = BUF_INIT;
		mode_t mode = 0;

		r = read_content(submission.files.items[i], &content, &mode, err);
		if (r == 0)
			r = add_file(files, name_inside(submission.files.items[i]), &content, mode, err);
	}
	return r;
}

/* ---- limits ---- */

enum unit { UNIT_TIME, UNIT_BYTES, UNIT_COUNT, UNIT_MILLI };

static const struct {
	const char *name, *key;
	enum unit unit;
} limits[] = {
	{ "wall", "wall_ms", UNIT_TIME },
	{ "cpu", "cpu_ms", UNIT_TIME },
	{ "memory", "memory", UNIT_BYTES },
	{ "output", "output", UNIT_BYTES },
	{ "disk", "disk", UNIT_BYTES },
	{ "processes", "processes", UNIT_COUNT },
	{ "open_files", "open_files", UNIT_COUNT },
	{ "cpus", "cpus", UNIT_MILLI },
	{ "stack", "stack", UNIT_BYTES },
	{ "file_size", "file_size", UNIT_BYTES },
};

static json_t *limit_value(enum unit unit, const char *text, struct error *err)
{
	uint64_t n = 0;
	int r = -EINVAL;

	switch (unit) {
	case UNIT_TIME:
		r = parse_duration_ns(text, NS_PER_MS, INT64_MAX, &n, err);
		return r < 0 ? NULL : json_integer((json_int_t)(n / NS_PER_MS));
	case UNIT_BYTES:
		r = parse_bytes(text, 1, INT64_MAX, &n, err);
		break;
	case UNIT_COUNT:
		r = parse_u64(text, 1, INT32_MAX, &n, err);
		break;
	case UNIT_MILLI:
		r = parse_milli(text, 1, INT32_MAX, &n, err);
		return r < 0 ? NULL : json_real((double)n / 1000);
	}
	return r < 0 ? NULL : json_integer((json_int_t)n);
}

static int add_limit(json_t *o, const char *text, struct error *err)
{
	bool is_compile = strncmp(text, "compile.", 8) == 0;
	const char *group = is_compile ? "compile_limits" : "limits", *name = is_compile ? text + 8 : text;
	size_t n = strcspn(name, "=");

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		json_t *value;

		if (strlen(limits[i].name) != n || strncmp(limits[i].name, name, n) != 0 || !name[n])
			continue;
		value = limit_value(limits[i].unit, name + n + 1, err);
		if (!value)
			return error_wrap(err, "--limit %.*s", (int)n, name);
		if (!json_object_get(o, group) && set(o, group, json_object(), err) < 0)
			return -ENOMEM;
		return set(json_object_get(o, group), limits[i].key, value, err);
	}
	return error_set(err, EINVAL,
			 "--limit %s: NAME=VALUE with one of wall, cpu, memory, output, disk, processes, "
			 "open_files, cpus, stack, file_size",
			 text);
}

/* ---- the rest ---- */

static int add_variable(json_t *env, const char *text, struct error *err)
{
	const char *equals = strchr(text, '='), *value = equals ? equals + 1 : getenv(text);
	char name[NAME_BYTES];

	if (!value)
		return error_set(err, EINVAL, "--env %s: there is no such variable here to pass on", text);
	(void)snprintf(name, sizeof(name), "%.*s", equals ? (int)(equals - text) : (int)strlen(text), text);
	/* a value that is no UTF-8 has no place in JSON */
	return json_object_set_new(env, name, json_string(value)) < 0
		       ? error_set(err, EINVAL, "--env %s: the name or the value is not UTF-8", name)
		       : 0;
}

static int set_strings(json_t *o, const char *key, const char *const *items, size_t n, struct error *err)
{
	json_t *list = json_array();

	if (n == 0) {
		json_decref(list);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, json_string(items[i])) < 0) {
			json_decref(list);
			return error_set(err, EINVAL, "'%s' is not UTF-8", items[i]);
		}
	}
	return set(o, key, list, err);
}

static int set_callback(json_t *o, struct error *err)
{
	cleanup_buf struct buf secret = BUF_INIT;
	const char *text = submission.callback_secret;
	json_t *callback;

	if (!submission.callback)
		return text ? error_set(err, EINVAL, "--callback-secret makes no sense without --callback") : 0;
	callback = json_pack("{s:s}", "url", submission.callback);
	if (!callback || json_object_set_new(o, "callback", callback) < 0)
		return error_set(err, EINVAL, "--callback is not UTF-8");
	if (text && text[0] == '@') {
		if (fd_read_file(AT_FDCWD, text + 1, SECRET_MAX_BYTES + 1, &secret, err) < 0)
			return error_wrap(err, "--callback-secret");
		secret.size = strcspn(buf_str(&secret), "\r\n");
		if (secret.size)
			secret.data[secret.size] = '\0';
		text = secret.size ? buf_str(&secret) : "";
	}
	return text ? set(callback, "secret", json_string(text), err) : 0;
}

static int set_queued(json_t *o, struct error *err)
{
	uint64_t delay_ns;
	int64_t priority;
	int r = 0;

	if (submission.priority) {
		r = parse_i64(submission.priority, -100, 100, &priority, err);
		r = r < 0 ? error_wrap(err, "--priority") : set(o, "priority", json_integer(priority), err);
	}
	if (r == 0 && submission.delay) {
		r = parse_duration_ns(submission.delay, 0, INT64_MAX, &delay_ns, err);
		r = r < 0 ? error_wrap(err, "--delay")
			  : set(o, "delay_ms", json_integer((json_int_t)(delay_ns / NS_PER_MS)), err);
	}
	return r < 0 ? r : set_callback(o, err);
}

static int set_input(const struct invocation *v, json_t *o, struct error *err)
{
	cleanup_buf struct buf content = BUF_INIT;
	int r;

	if (!submission.input)
		return 0;
	if (strcmp(submission.input, "-") == 0 && strcmp(v->arguments[1], "-") == 0)
		return error_set(err, EINVAL, "standard input cannot be both the program and its standard input");
	r = read_content(submission.input, &content, NULL, err);
	return r < 0 ? r : set_content(o, "stdin", "stdin_encoding", &content, err);
}

static int set_env(json_t *o, struct error *err)
{
	json_t *env;
	int r = 0;

	if (submission.env.n == 0)
		return 0;
	env = json_object();
	r = set(o, "env", env, err);
	for (size_t i = 0; r == 0 && i < submission.env.n; i++)
		r = add_variable(env, submission.env.items[i], err);
	return r;
}

int submission_build(const struct invocation *v, bool is_queued, json_t **ret, struct error *err)
{
	cleanup_json json_t *o = json_pack("{s:s}", "runtime", v->arguments[0]);
	int r = o ? 0 : error_set(err, EINVAL, "the name of the language is not UTF-8");

	if (r == 0)
		r = set_input(v, o, err);
	for (size_t i = 0; r == 0 && i < submission.limits.n; i++)
		r = add_limit(o, submission.limits.items[i], err);
	if (r == 0)
		r = set_env(o, err);
	if (r == 0)
		r = set_strings(o, "args", v->arguments + 2, v->n - 2, err);
	if (r == 0)
		r = set_strings(o, "outputs", submission.outputs.items, submission.outputs.n, err);
	if (r == 0 && submission.policy)
		r = set(o, "policy", json_string(submission.policy), err);
	if (r == 0 && is_queued)
		r = set_queued(o, err);
	if (r == 0)
		r = set_program(v, o, err);
	if (r < 0)
		return r;
	*ret = json_incref(o);
	return 0;
}

/* ---- sending ---- */

/* With a key the daemon tells a repeat from a second job, so that a connection that broke off can be tried again. */
static int set_key(struct client *c, struct error *err)
{
	char line[256];
	uint64_t random[2];

	if (submission.idempotency_key) {
		for (const char *p = submission.idempotency_key; *p; p++) {
			if (*p <= ' ' || *p >= 0x7f)
				return error_set(err, EINVAL,
						 "--idempotency-key has a blank or another character it cannot have");
		}
		(void)snprintf(line, sizeof(line), "Idempotency-Key: %.200s", submission.idempotency_key);
	} else {
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return error_errno(err, errno, "getrandom");
		(void)snprintf(line, sizeof(line), "Idempotency-Key: cli-%016llx%016llx", (unsigned long long)random[0],
			       (unsigned long long)random[1]);
	}
	return client_add_header(c, line) < 0 ? no_memory(err) : 0;
}

int submission_send(struct invocation *v, const json_t *request, char ret_id[65], struct error *err)
{
	cleanup_reply struct client_reply reply = CLIENT_REPLY_INIT;
	const char *id;
	int r = set_key(v->client, err);

	if (r < 0)
		return r;
	for (int i = 0; i < SENDS_MAX; i++) {
		r = client_call(v->client, "POST", "/v1/jobs", request, &reply, err);
		if (r != -ECONNRESET)
			break;
	}
	if (r < 0)
		return r;
	id = json_string_value(json_object_get(reply.json, "id"));
	if (!id || parse_id(id, NULL) < 0)
		return error_set(err, EPROTO, "the daemon's answer has no id");
	(void)snprintf(ret_id, 65, "%s", id);
	return 0;
}
