/* What is there: inspect, tag, configurations. See image.h. */
#include "images/whole/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "images/config.h"
#include "images/manifest.h"
#include "images/ref.h"
#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/error.h"
#include "runtime/base/json_field.h"

const char *image_step_name(enum image_step step)
{
	static const char *const names[] = {
		[IMAGE_RESOLVE] = "resolve", [IMAGE_FETCH] = "fetch", [IMAGE_UNPACK] = "unpack",
		[IMAGE_COPY] = "copy",       [IMAGE_PUSH] = "push",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == IMAGE_STEPS, "a name for each step");
	return names[step];
}

int image_config_get(const struct store *s, const struct image_record *r, struct image_config **ret, struct error *err)
{
	cleanup_buf struct buf text = BUF_INIT;
	int rc = store_blob_read(s, &r->config, CONFIG_MAX_BYTES, &text, err);

	return rc < 0 ? rc : image_config_parse(buf_str(&text), text.size, ret, err);
}

static json_t *list_json(const struct config_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->count; i++)
		(void)json_array_append_new(list, json_string(l->items[i])); /* memory: json_pack below tells */
	return list;
}

static json_t *layers_json(const struct image_record *r, const struct image_config *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_layers; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s}", "digest", r->blobs[i].text, "diff_id",
							    i < c->n_diff_ids ? c->diff_ids[i].text : ""));
	return list;
}

static json_t *labels_json(const struct image_config *c)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < c->label_names.count; i++)
		(void)json_object_set_new(labels, c->label_names.items[i], json_string(c->label_values.items[i]));
	return labels;
}

int image_inspect(const struct store *s, const struct image_record *r, struct buf *out, struct error *err)
{
	cleanup_image_config struct image_config *c = NULL;
	cleanup_json json_t *root = NULL;
	cleanup_free char *text = NULL;
	char platform[PLATFORM_TEXT_BYTES];
	int rc = image_config_get(s, r, &c, err);

	if (rc < 0)
		return rc;
	platform_text(&c->platform, platform);
	root = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:o, s:{s:o, s:o, s:o, s:s, s:s, s:o, s:o}}", "name", r->name,
			 "manifest", r->manifest.text, "config", r->config.text, "created_s", (json_int_t)r->created_s,
			 "size_bytes", (json_int_t)r->size_bytes, "platform", platform, "layers", layers_json(r, c),
			 "run", "env", list_json(&c->env), "entrypoint", list_json(&c->entrypoint), "command",
			 list_json(&c->command), "working_dir", c->working_dir, "user", c->user, "ports",
			 list_json(&c->ports), "labels", labels_json(c));
	text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	if (!text || buf_append_str(out, text) < 0)
		return error_set(err, ENOMEM, "out of memory");
	return 0;
}

int image_tag(struct store *s, const char *name, const struct image_ref *as, struct error *err)
{
	struct image_record *r = NULL;
	char text[REF_TEXT_BYTES];
	int rc;

	if (as->digest.text[0])
		return error_set(err, EINVAL, "a new name has a tag, not a digest");
	rc = store_ref_get(s, name, &r, err);
	if (rc < 0)
		return rc;
	image_ref_store_name(as, text);
	(void)snprintf(r->name, sizeof(r->name), "%.511s", text);
	rc = store_ref_set(s, r, err);
	image_record_free(r);
	return rc;
}
