/* Image configurations: see config.h. */
#include "images/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/manifest.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"
#include "runtime/base/text.h"

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static int list_add(struct config_list *l, const char *text, struct error *err)
{
	char **items = realloc(l->items, (l->count + 2) * sizeof(*items));

	if (!items)
		return error_set(err, ENOMEM, "out of memory");
	l->items = items;
	items[l->count] = strdup(text);
	items[l->count + 1] = NULL;
	if (!items[l->count])
		return error_set(err, ENOMEM, "out of memory");
	l->count++;
	return 0;
}

static void list_done(struct config_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i]);
	free(l->items);
}

/* The length of a variable's name, 0 when there is none. */
static size_t name_size(const char *variable)
{
	const char *equals = strchr(variable, '=');

	return equals ? (size_t)(equals - variable) : 0;
}

static int env_add(struct config_list *l, const char *variable, struct error *err)
{
	size_t n = name_size(variable);

	if (n == 0)
		return error_set(err, EBADMSG, "'%.40s' is not NAME=VALUE", variable);
	for (size_t i = 0; i < l->count; i++) {
		if (name_size(l->items[i]) == n && memcmp(l->items[i], variable, n) == 0) {
			char *copy = strdup(variable);

			if (!copy)
				return error_set(err, ENOMEM, "out of memory");
			free(l->items[i]);
			l->items[i] = copy;
			return 0;
		}
	}
	return list_add(l, variable, err);
}

/* ---- fields --------------------------------------------------------------------------------------------------- */

typedef int add_fn(struct config_list *l, const char *text, struct error *err);

static int read_list(const json_t *config, const char *key, add_fn *add, struct config_list *ret, struct error *err)
{
	json_t *list;
	int r = json_list(config, key, CONFIG_LIST_MAX, false, &list, err);

	for (size_t i = 0; r == 0 && list && i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_is_string(v))
			r = error_set(err, EBADMSG, "it is not a string");
		else if (json_string_length(v) >= CONFIG_TEXT_MAX)
			r = error_set(err, EBADMSG, "it is longer than %d bytes", CONFIG_TEXT_MAX - 1);
		else
			r = add(ret, json_string_value(v), err);
		if (r < 0)
			(void)error_wrap(err, "%s %zu", key, i + 1);
	}
	return r;
}

/* "8080", "8080/tcp": kept with the protocol written out. */
static int port_add(struct config_list *l, const char *text, struct error *err)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits >= 1 && digits <= 5 ? strtoul(text, NULL, 10) : 0;
	const char *protocol = text + digits;
	char whole[16];

	if (port < 1 || port > 65535 ||
	    (*protocol && strcmp(protocol, "/tcp") != 0 && strcmp(protocol, "/udp") != 0 &&
	     strcmp(protocol, "/sctp") != 0))
		return error_set(err, EBADMSG, "ExposedPorts: '%.40s' is not PORT/PROTOCOL", text);
	(void)snprintf(whole, sizeof(whole), "%lu%s", port, *protocol ? protocol : "/tcp");
	return list_add(l, whole, err);
}

static int read_ports(const json_t *config, struct config_list *ret, struct error *err)
{
	json_t *ports, *value;
	const char *key;
	int r = json_child(config, "ExposedPorts", false, &ports, err);

	if (r < 0 || !ports)
		return r;
	if (json_object_size(ports) > CONFIG_LIST_MAX)
		return error_set(err, EBADMSG, "ExposedPorts has more than %d entries", CONFIG_LIST_MAX);
	json_object_foreach(ports, key, value)
	{
		(void)value; /* always an empty object */
		r = port_add(ret, key, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_labels(const json_t *config, struct image_config *c, struct error *err)
{
	json_t *labels, *value;
	const char *key;
	int r = json_child(config, "Labels", false, &labels, err);

	if (r < 0 || !labels)
		return r;
	if (json_object_size(labels) > CONFIG_LIST_MAX)
		return error_set(err, EBADMSG, "Labels has more than %d entries", CONFIG_LIST_MAX);
	json_object_foreach(labels, key, value)
	{
		if (!json_is_string(value))
			return error_set(err, EBADMSG, "Labels: '%.40s' is not a string", key);
		r = list_add(&c->label_names, key, err);
		if (r == 0)
			r = list_add(&c->label_values, json_string_value(value), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_text(const json_t *config, const char *key, size_t max, char **ret, struct error *err)
{
	const char *text;
	int r = json_text(config, key, max, false, &text, err);

	if (r < 0)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int read_process(const json_t *root, struct image_config *c, struct error *err)
{
	json_t *config;
	int r = json_child(root, "config", false, &config, err);

	if (r < 0)
		return r;
	/* without one, everything is empty; json_object_get(NULL) is NULL */
	r = read_list(config, "Env", env_add, &c->env, err);
	if (r == 0)
		r = read_list(config, "Entrypoint", list_add, &c->entrypoint, err);
	if (r == 0)
		r = read_list(config, "Cmd", list_add, &c->command, err);
	if (r == 0)
		r = read_ports(config, &c->ports, err);
	if (r == 0)
		r = read_labels(config, c, err);
	if (r == 0)
		r = copy_text(config, "User", CONFIG_USER_MAX, &c->user, err);
	if (r == 0)
		r = copy_text(config, "WorkingDir", CONFIG_DIR_MAX, &c->working_dir, err);
	if (r == 0 && c->working_dir[0] && c->working_dir[0] != '/')
		r = error_set(err, EBADMSG, "WorkingDir '%.60s' is not absolute", c->working_dir);
	return r;
}

static int read_platform(const json_t *root, struct platform *ret, struct error *err)
{
	const char *os = "", *architecture = "", *variant = "";
	int r = json_text(root, "os", PLATFORM_WORD_BYTES - 1, true, &os, err);

	if (r == 0)
		r = json_text(root, "architecture", PLATFORM_WORD_BYTES - 1, true, &architecture, err);
	if (r == 0)
		r = json_text(root, "variant", PLATFORM_WORD_BYTES - 1, false, &variant, err);
	if (r < 0)
		return r;
	(void)text_copy(ret->os, sizeof(ret->os), os); /* bounded above, all three */
	(void)text_copy(ret->architecture, sizeof(ret->architecture), architecture);
	(void)text_copy(ret->variant, sizeof(ret->variant), variant);
	return 0;
}

static int read_diff_ids(const json_t *root, struct image_config *c, struct error *err)
{
	const char *type = "";
	json_t *rootfs, *ids = NULL;
	int r = json_child(root, "rootfs", true, &rootfs, err);

	if (r == 0)
		r = json_text(rootfs, "type", 32, true, &type, err);
	if (r == 0 && strcmp(type, "layers") != 0)
		r = error_set(err, EBADMSG, "rootfs: type '%s' is not 'layers'", type);
	if (r == 0)
		r = json_list(rootfs, "diff_ids", MANIFEST_LAYERS_MAX, false, &ids, err);
	if (r < 0)
		return r;
	c->diff_ids = calloc(json_array_size(ids) + 1, sizeof(*c->diff_ids));
	if (!c->diff_ids)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		const char *text = json_string_value(json_array_get(ids, i));

		if (!text)
			return error_set(err, EBADMSG, "diff_ids %zu is not a string", i + 1);
		if (digest_parse(text, &c->diff_ids[i], err) < 0)
			return error_wrap(err, "diff_ids %zu", i + 1), -EBADMSG;
		c->n_diff_ids++;
	}
	return 0;
}

int image_config_parse(const char *data, size_t size, struct image_config **ret, struct error *err)
{
	struct image_config *c;
	cleanup_json json_t *root = NULL;
	int r;

	if (size > CONFIG_MAX_BYTES)
		return error_set(err, EBADMSG, "the config is larger than %d bytes", CONFIG_MAX_BYTES);
	root = json_document(data, size, "the config", err);
	if (!root)
		return -EBADMSG;
	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(err, ENOMEM, "out of memory");
	r = read_platform(root, &c->platform, err);
	if (r == 0)
		r = read_process(root, c, err);
	if (r == 0)
		r = read_diff_ids(root, c, err);
	if (r < 0) {
		image_config_free(c);
		return error_wrap(err, "config"), r;
	}
	*ret = c;
	return 0;
}

void image_config_free(struct image_config *c)
{
	if (!c)
		return;
	list_done(&c->env);
	list_done(&c->entrypoint);
	list_done(&c->command);
	list_done(&c->ports);
	list_done(&c->label_names);
	list_done(&c->label_values);
	free(c->working_dir);
	free(c->user);
	free(c->diff_ids);
	free(c);
}
