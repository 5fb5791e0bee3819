/*
 * Sending callbacks: HTTP POSTs over libcurl's multi interface on the libuv loop, with what callback.h promises of them
 * (signature, addresses, bounds) and none of what is kept: one order, one try, one report.
 *
 * Runs in: front. libcurl resolves names in threads of its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct address_list;
struct courier;
struct error;

enum { DELIVERY_URL_MAX = 2048, DELIVERY_HOST_BYTES = 260 };

/*
 * May callbacks go to this URL, as far as can be told without resolving its name? Returns 0 and the host (for bounds
 * and the log; the URL itself may hold secrets), -EINVAL, or -EACCES an address that is refused. allowed  may be NULL
 */
int delivery_check_url(const char *url, const struct address_list *allowed, char ret_host[DELIVERY_HOST_BYTES],
		       struct error *err);

enum delivery_outcome { DELIVERY_DONE, DELIVERY_FAILED /* try again */, DELIVERY_REFUSED /* never again */ };

struct delivery_report {
	enum delivery_outcome outcome;
	unsigned retry_after_s; /* what the receiver asked for; 0: nothing */
	char reason[160];       /* never holds the URL, the secret or what the receiver sent */
};

typedef void delivery_fn(const struct delivery_report *r, void *arg);

/* allowed: borrowed. timeout_ms: of one delivery. ret: courier_close(). */
int courier_new(uv_loop_t *loop, const struct address_list *allowed, unsigned timeout_ms, struct courier **ret,
		struct error *err);

/*
 * secret  "" or NULL: no signature
 * body    owned from here on, also on failure; free()
 * fn      called once, later, on the loop; it may call courier_send
 * Returns 0, -ENOMEM.
 */
int courier_send(struct courier *c, const char *url, const char *secret, const char *job_id, unsigned attempt,
		 char *body, size_t size, delivery_fn *fn, void *arg, struct error *err);

/* Cut what is under way, without its reports. done on the loop. */
void courier_close(struct courier *c, void (*done)(void *arg), void *arg);

/* "v1=" and HMAC-SHA256(secret, timestamp "." body) in hexadecimal. Returns 0 or -ENOMEM. */
int delivery_sign(const char *secret, const char *timestamp, const void *body, size_t size, char ret[3 + 64 + 1]);
