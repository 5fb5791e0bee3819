/*
 * What the service manager is told: sd_notify(3) by hand, datagrams to the socket that NOTIFY_SOCKET names. Without
 * that variable nothing happens.
 *
 * Runs in: monitor. Does not block.
 */
#pragma once

/* assignments: "READY=1\nSTATUS=..."; never with words of somebody else in it. */
void notify_send(const char *assignments);

/* STATUS= with words of the front: control characters become blanks, so that they are one assignment. */
void notify_status(const char *text);
