/*
 * Image references as people type them, in the grammar of the distribution specification, with the defaults of Docker
 * Hub: `python` is docker.io/library/python:latest.
 *
 *   [HOST/]PATH[:TAG][@DIGEST]
 *
 * The first component is a host when a slash follows and it contains a dot, a colon or an upper-case letter, or is
 * `localhost`. Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "images/digest.h"

struct error;

enum { REF_NAME_MAX = 255, REF_TAG_MAX = 128, REF_TEXT_BYTES = 720 };

struct image_ref {
	char host[REF_NAME_MAX + 1]; /* as named: "docker.io", "localhost:5000", "[::1]:5000"; lower case */
	char path[REF_NAME_MAX + 1]; /* "library/python" */
	char tag[REF_TAG_MAX + 1];   /* empty when only a digest was given */
	struct digest digest;        /* text empty when none was given */
};

/* Strict. Returns 0 or -EINVAL with err naming the part that is wrong (host, port, path, tag, digest). */
int image_ref_parse(const char *text, struct image_ref *ret, struct error *err);

/* A host as it may stand in a reference, with an optional port. For settings that name registries. */
int image_ref_host_check(const char *host, struct error *err);

/* host/path:tag, host/path@digest or both: what image_ref_parse reads back to the same. */
void image_ref_text(const struct image_ref *ref, char ret[REF_TEXT_BYTES]);

/* The name in the store: host/path@digest when there is a digest (it decides), else host/path:tag. */
void image_ref_store_name(const struct image_ref *ref, char ret[REF_TEXT_BYTES]);

/* The host that serves the registry protocol: registry-1.docker.io for docker.io, else the host itself. Borrowed. */
const char *image_ref_api_host(const struct image_ref *ref);

/* What to ask the registry for: the digest when there is one, else the tag. Borrowed. */
const char *image_ref_target(const struct image_ref *ref);
