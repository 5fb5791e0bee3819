/*
 * The front: the process that talks to the world. User `cubit`, no capabilities, no_new_privs, its own seccomp filter.
 * One libuv loop: HTTP and WebSocket (supervisor/http), jobs (supervisor/jobs), the queue's database thread
 * (supervisor/queue), and the monitor through protocol/monitor_client.h.
 *
 * Runs in: front.
 */
#pragma once

struct error;
struct http_route;
struct settings;

/*
 * The main of a process started by the monitor with FRONT_ARGUMENT (protocol/front_fds.h). Returns the exit status.
 *
 * routes   borrowed for the life of the process: what is served; ends with a row without a method
 * openapi  borrowed: the text of an OpenAPI document without paths, with the schemas that the routes name
 */
int front_main(const struct http_route *routes, const char *openapi);

/*
 * What settings_load() cannot know of the settings that rooms of the front read by themselves. Nothing is started.
 * Returns 0, or -EINVAL with err that begins with the setting; -ENOMEM. Runs in: monitor, before its first front.
 */
int front_check(const struct settings *settings, struct error *err);
