/*
 * The client's side of TLS over memory: bytes of the wire go in and come out, the socket is somebody else's. TLS 1.2 or
 * newer; the server's certificate must be issued by whom we believe, and to the host that we asked for.
 *
 * Runs in: front, on the loop. Blocks only to read the file of certificates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;
struct redis_tls;

/*
 * host     a name (then also sent as SNI) or an address
 * ca_file  PEM; NULL or "": those of the system
 * ret      owned: redis_tls_free()
 * Returns 0, -EINVAL with err naming the file that cannot be used, or -ENOMEM.
 */
int redis_tls_new(const char *host, const char *ca_file, struct redis_tls **ret, struct error *err);
void redis_tls_free(struct redis_tls *t);

/* Bytes from the wire: all are taken. Returns 0 or -ENOMEM. */
int redis_tls_feed(struct redis_tls *t, const void *data, size_t size);
/* Bytes for the wire; returns how many, 0 for none. */
size_t redis_tls_drain(struct redis_tls *t, void *ret, size_t room);

/* Go on with the handshake. Returns 1 done, 0 not yet, or -EPROTO with err; drain in every case. */
int redis_tls_handshake(struct redis_tls *t, struct error *err);
/* Returns the bytes read or written, 0 none for now, or -ECONNRESET at the end of the stream, -EPROTO, with err. */
ssize_t redis_tls_read(struct redis_tls *t, void *ret, size_t room, struct error *err);
ssize_t redis_tls_write(struct redis_tls *t, const void *data, size_t size, struct error *err);
