/*
 * The monitor: the one process with privilege. It makes sandboxes from what the front asks for in the monitor protocol
 * (proto.h), watches their limits, keeps a duplicate of everything a new front needs to take them over, and starts the
 * front again when it dies. It reads no network input. One thread, one epoll loop, no library with callbacks.
 *
 * Runs as: root in the initial user namespace.
 */
#pragma once

struct error;
struct settings;

/*
 * Serve until SIGTERM (drain: the front finishes or requeues what runs) or SIGINT (the same; twice: at once).
 *
 * settings  borrowed
 * argv0     the program to start as front (/proc/self/exe), which calls front_main() when it sees FRONT_ARGUMENT
 * Returns the exit status.
 */
int monitor_main(const struct settings *settings, struct error *err);
