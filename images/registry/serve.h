/* The fetch worker's loop: requests of proto.h in, the registry's answers out. */
#pragma once

struct error;

/*
 * Serve until the other end closes the socket. sock: borrowed, SOCK_SEQPACKET.
 * Returns 0 at end of file, or -errno when the protocol was broken. A failed request is answered, not returned.
 * Runs in: the fetch worker, after it has dropped what it does not need.
 */
int fetch_serve(int sock, struct error *err);
