/*
 * The front shuts the doors behind itself: not dumpable, no new privileges, no files but its own (Landlock), no system
 * call that makes processes, namespaces, mounts or reads other processes (seccomp).
 *
 * Called by front_main() before any thread is started (both apply to the calling thread and its children) and after
 * what needs more was opened. It already is an unprivileged user without capabilities: the monitor saw to that.
 *
 * Runs in: front.
 */
#pragma once

struct error;
struct settings;

/*
 * state_fd  CUBIT_STATE/front: the only place that can be written to
 *
 * What stays readable: CUBIT_RUNTIMES and CUBIT_STATE/runtimes; /etc, /usr/lib, /lib and a few more that name resolution, certificates and time
 * zones need (what is secret there is not this user's to read anyway); /proc/self. A kernel without Landlock: the log
 * says so, and file permissions alone hold. Returns 0 or -errno: a filter that cannot be installed ends the front.
 */
int confine_front(const struct settings *settings, int state_fd, struct error *err);
