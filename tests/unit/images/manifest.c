/* Manifests, indexes and configurations: what is used is checked, and a refusal says where. */
#include "images/manifest.h"

#include <errno.h>

#include "images/config.h"
#include "images/platform.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define D3 "sha256:3333333333333333333333333333333333333333333333333333333333333333"

#define CONFIG   "\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" D1 "\",\"size\":10}"
#define LAYER    "{\"mediaType\":\"" MEDIA_OCI_LAYER_GZIP "\",\"digest\":\"" D2 "\",\"size\":20}"
#define MANIFEST "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}"

static const struct {
	const char *title, *body, *type;
	int code;
	const char *part;
} bad[] = {
	{ "no JSON", "{", "", EBADMSG, "not JSON" },
	{ "an array", "[]", "", EBADMSG, "not a JSON object" },
	{ "a key twice", "{\"schemaVersion\":2,\"schemaVersion\":2}", "", EBADMSG, "not JSON" },
	{ "schema 1", "{\"schemaVersion\":1}", "application/vnd.docker.distribution.manifest.v1+prettyjws", ENOTSUP,
	  "schema 1, which is unsupported" },
	{ "another type", MANIFEST, "text/html; charset=utf-8", ENOTSUP, "'text/html'" },
	{ "two types", "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[]}",
	  MEDIA_OCI_MANIFEST, EBADMSG, "delivered as" },
	{ "a manifest with manifests", "{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}",
	  MEDIA_OCI_MANIFEST, EBADMSG, "ambiguous" },
	{ "no config", "{\"schemaVersion\":2,\"layers\":[]}", "", EBADMSG, "'config' is missing" },
	{ "no layers", "{\"schemaVersion\":2," CONFIG "}", "", EBADMSG, "'layers' is missing" },
	{ "an artifact",
	  "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.cncf.helm.config.v1+json\",\"digest\":\"" D1
	  "\",\"size\":1},\"layers\":[]}",
	  "", ENOTSUP, "artifact" },
	{ "a layer of another kind",
	  "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER ",{\"mediaType\":\"text/plain\",\"digest\":\"" D2
	  "\",\"size\":1}]}",
	  "", ENOTSUP, "layer 2 of 2: media type 'text/plain'" },
	{ "a digest that is a path",
	  "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"" MEDIA_OCI_LAYER
	  "\",\"digest\":\"sha256:../../../../etc/passwd\",\"size\":1}]}",
	  "", EBADMSG, "layer 1 of 1" },
	{ "a negative size",
	  "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"" MEDIA_OCI_LAYER "\",\"digest\":\"" D2
	  "\",\"size\":-1}]}",
	  "", EBADMSG, "layer 1 of 1: 'size'" },
	{ "a size that is a fraction",
	  "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"" MEDIA_OCI_LAYER "\",\"digest\":\"" D2
	  "\",\"size\":1.5}]}",
	  "", EBADMSG, "'size'" },
	{ "a config of 5 MiB",
	  "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" D1
	  "\",\"size\":5242880},\"layers\":[]}",
	  "", EBADMSG, "config: 'size' is 5242880" },
};

static void test_refused(void)
{
	struct manifest *m = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;

		is_int(manifest_parse(bad[i].body, strlen(bad[i].body), bad[i].type, &m, &err), -bad[i].code,
		       "%s is refused", bad[i].title);
		has_str(err.text, bad[i].part, "the message says '%s'", bad[i].part);
	}
	ok(!m, "a refusal gives nothing back");
}

static void test_layer_count(void)
{
	cleanup_buf struct buf text = BUF_INIT;
	struct manifest *m = NULL;
	struct error err = ERROR_INIT;

	(void)buf_append_str(&text, "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER);
	for (int i = 1; i < 400; i++)
		(void)buf_append_str(&text, "," LAYER);
	(void)buf_append_str(&text, "]}");
	ok(manifest_parse(buf_str(&text), text.size, "", &m, &err) == 0 && m->n_layers == 400, "400 layers are fine");
	manifest_free(m);
	text.size -= 2;
	(void)buf_append_str(&text, "," LAYER "]}");
	ok(manifest_parse(buf_str(&text), text.size, "", &m, &err) == -EBADMSG, "401 are refused");
	has_str(err.text, "401 elements", "with their number");
}

static void test_round_trip(void)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_manifest struct manifest *m = NULL, *again = NULL;
	struct error err = ERROR_INIT;

	need(manifest_parse(MANIFEST, strlen(MANIFEST), MEDIA_OCI_MANIFEST "; charset=utf-8", &m, &err) == 0,
	     "a manifest is read, parameters of its type ignored");
	is_str(m->layers[0].digest.text, D2, "with its layer");
	is_int(m->layers[0].size, 20, "and its size");
	need(manifest_format(m, &text, &err) == 0 && manifest_parse(buf_str(&text), text.size, "", &again, &err) == 0,
	     "what is written can be read");
	is_str(again->config.digest.text, D1, "and is the same");
}

/* ---- index ---------------------------------------------------------------------------------------------------- */

#define ENTRY(digest, platform)                                                                                        \
	"{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"" digest "\",\"size\":5,\"platform\":" platform "}"
#define OF(os, arch)                  "{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define OF_VARIANT(os, arch, variant) "{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\"}"
#define INDEX(entries)                "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" entries "]}"

static const struct {
	const char *title, *body, *want, *digest;
} chosen[] = {
	{ "the one that fits", INDEX(ENTRY(D1, OF("linux", "arm64")) "," ENTRY(D2, OF("linux", "amd64"))),
	  "linux/amd64", D2 },
	{ "the first of two", INDEX(ENTRY(D1, OF("linux", "amd64")) "," ENTRY(D2, OF("linux", "amd64"))), "linux/amd64",
	  D1 },
	{ "the variant asked for",
	  INDEX(ENTRY(D1, OF_VARIANT("linux", "arm", "v6")) "," ENTRY(D2, OF_VARIANT("linux", "arm", "v7"))),
	  "linux/arm/v7", D2 },
	{ "arm64 without a variant as v8", INDEX(ENTRY(D1, OF("linux", "arm64"))), "linux/arm64/v8", D1 },
	{ "not an amd64 that needs more than ours",
	  INDEX(ENTRY(D1, OF_VARIANT("linux", "amd64", "v3")) "," ENTRY(D2, OF("linux", "amd64"))), "linux/amd64", D2 },
	{ "not an attestation", INDEX(ENTRY(D1, OF("unknown", "unknown")) "," ENTRY(D3, OF("linux", "amd64"))),
	  "linux/amd64", D3 },
};

static void test_index(void)
{
	static const char other[] = INDEX(ENTRY(D1, OF("windows", "amd64")) "," ENTRY(D1, OF("unknown", "unknown")));
	struct error err = ERROR_INIT;
	struct descriptor d = { .size = 0 };
	struct platform p;

	for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
		need(platform_parse(chosen[i].want, &p, &err) == 0, "%s is a platform", chosen[i].want);
		ok(index_select(chosen[i].body, strlen(chosen[i].body), "", &p, &d, &err) == 0 &&
			   strcmp(d.digest.text, chosen[i].digest) == 0,
		   "an index gives %s", chosen[i].title);
	}
	is_int(index_select(other, strlen(other), "", &p, &d, &err), -ENOENT, "an index without ours is refused");
	has_str(err.text, "no image for linux/amd64; offered: windows/amd64", "with what it offers");
	ok(platform_parse("linux", &p, &err) < 0 && platform_parse("linux/", &p, &err) < 0 &&
		   platform_parse("linux/amd64/v1/x", &p, &err) < 0 && platform_parse("Linux/amd64", &p, &err) < 0,
	   "what is no platform is refused");
}

/* ---- config --------------------------------------------------------------------------------------------------- */

#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\",\"" D2 "\"]}"
#define HEAD   "{\"os\":\"linux\",\"architecture\":\"amd64\","

static const struct {
	const char *body, *part;
} bad_configs[] = {
	{ "{" ROOTFS "}", "'os' is missing" },
	{ HEAD "\"x\":1}", "'rootfs' is missing" },
	{ HEAD "\"rootfs\":{\"type\":\"magic\"}}", "'magic' is not 'layers'" },
	{ HEAD "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:xyz\"]}}", "diff_ids 1" },
	{ HEAD ROOTFS ",\"config\":[]}", "'config' is not an object" },
	{ HEAD ROOTFS ",\"config\":{\"Env\":[\"A=1\",\"novalue\"]}}", "Env 2: 'novalue' is not NAME=VALUE" },
	{ HEAD ROOTFS ",\"config\":{\"Env\":[1]}}", "Env 1: it is not a string" },
	{ HEAD ROOTFS ",\"config\":{\"Cmd\":\"sh\"}}", "'Cmd' is not an array" },
	{ HEAD ROOTFS ",\"config\":{\"WorkingDir\":\"work\"}}", "WorkingDir 'work' is not absolute" },
	{ HEAD ROOTFS ",\"config\":{\"User\":\"a\\nb\"}}", "'User' has a control character" },
	{ HEAD ROOTFS ",\"config\":{\"ExposedPorts\":{\"99999/tcp\":{}}}}", "'99999/tcp' is not PORT/PROTOCOL" },
	{ HEAD ROOTFS ",\"config\":{\"Labels\":{\"a\":1}}}", "Labels: 'a' is not a string" },
	{ HEAD ROOTFS ",\"config\":{\"Env\":[\"A=\\u0000\"]}}", "not JSON" },
};

static void test_config(void)
{
	static const char full[] = HEAD ROOTFS
		",\"history\":[{}],\"config\":{\"Env\":[\"A=1\",\"B=2\",\"A=3\"],\"Cmd\":[\"-x\"],"
		"\"Entrypoint\":[\"/bin/sh\",\"-c\"],\"WorkingDir\":\"/w\",\"User\":\"app\",\"Labels\":{\"k\":\"v\"},"
		"\"ExposedPorts\":{\"80\":{},\"53/udp\":{}},\"Volumes\":{\"/../..\":{}}}}";
	cleanup_image_config struct image_config *c = NULL, *bare = NULL;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < sizeof(bad_configs) / sizeof(bad_configs[0]); i++) {
		ok(image_config_parse(bad_configs[i].body, strlen(bad_configs[i].body), &c, &err) == -EBADMSG,
		   "config %zu is refused", i + 1);
		has_str(err.text, bad_configs[i].part, "the message says \"%s\"", bad_configs[i].part);
	}
	need(image_config_parse(full, strlen(full), &c, &err) == 0, "a full config is read");
	ok(c->env.count == 2 && strcmp(c->env.items[0], "A=3") == 0,
	   "of a variable given twice, the last value counts");
	ok(c->env.items[2] == NULL, "lists end with NULL");
	ok(c->entrypoint.count == 2 && c->command.count == 1 && c->n_diff_ids == 2, "with its commands and layers");
	is_str(c->ports.items[0], "80/tcp", "a port without a protocol is tcp");
	is_str(c->working_dir, "/w", "with its directory");
	is_str(c->label_values.items[0], "v", "and its labels");
	need(image_config_parse(HEAD ROOTFS "}", strlen(HEAD ROOTFS "}"), &bare, &err) == 0,
	     "a config may say nothing");
	ok(bare->env.count == 0 && bare->user[0] == '\0', "and then everything is empty");
}

int main(void)
{
	test_refused();
	test_layer_count();
	test_round_trip();
	test_index();
	test_config();
	return done_testing();
}
