/*
 * What people set about registries, from the environment:
 *
 *   CUBIT_REGISTRY_MIRRORS      HOST=MIRROR,...  asked first, in this order; http:// before a mirror for plain http
 *   CUBIT_INSECURE_REGISTRIES   HOST,...         spoken to without TLS, as loopback hosts are
 *   CUBIT_REGISTRY_AUTH_FILE    credentials, in the form of Docker's config.json; else ~/.docker/config.json
 *   CUBIT_REGISTRY_TIMEOUT_S    to connect, and without progress; 30
 *   CUBIT_REGISTRY_CA           FILE of PEM certificates that may vouch for a registry, besides the system's
 *   https_proxy, no_proxy       as curl(1) reads them; SSL_CERT_FILE: other certificates than the system's
 *
 * Runs in: the privileged side, which reads the files; the worker receives the one pair that it needs, and the
 * certificates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct image_ref;
struct registry_spec;

/* Everything a session needs. 0, or -EINVAL / -EBADMSG naming the variable or the file. */
int registry_settings(const struct image_ref *ref, bool is_push, struct registry_spec *ret, struct error *err);

/*
 * The file of certificates that s->ca_file names, checked to hold some, to be read from 0. *ret_fd owned; -1 when none
 * is named. 0, or -errno with the file named.
 */
int registry_open_ca(const struct registry_spec *s, int *ret_fd, struct error *err);

/* Is this host[:port] on this machine? Pure. */
bool registry_host_is_loopback(const char *host);

/*
 * Find the credentials of a registry (as people name it: docker.io, localhost:5000) in the text of an auth file. Pure.
 * Returns 1 with user and password, 0 when there are none, -EBADMSG when the file or the entry is not well-formed.
 */
int registry_auth_find(const char *data, size_t size, const char *host, char *user, char *password, size_t capacity,
		       struct error *err);
