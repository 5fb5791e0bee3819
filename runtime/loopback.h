/*
 * lo of a network namespace that the caller is in. Raw calls only, no allocation, no text of errors: pid 1 uses it too.
 *
 * Its packets are small (16 KiB), and no longer ones pass for a network card to cut: whatever the limit on socket
 * memory, the kernel grants every connection a little more (net/core/sock.c, __sk_mem_raise_allocated(); tcp_input.c,
 * tcp_data_queue()), 72 KiB with longer packets and 42 KiB with these, and nothing but open files bounds connections.
 *
 * Runs in: monitor, cubit-sandbox, pid 1; needs CAP_NET_ADMIN over the namespace.
 */
#pragma once

/* Returns 0, or -1 with errno. */
int loopback_up(void);
