/*
 * The front: the process that talks to the world. User `cubit`, no capabilities, no_new_privs, its own seccomp filter.
 * One libuv loop: HTTP and WebSocket (supervisor/http), jobs (supervisor/jobs), the queue's database thread
 * (supervisor/queue), and the monitor through front/monitor_client.h.
 */
#pragma once

/* The main of a process started by the monitor with FRONT_ARGUMENT (monitor/monitor.h). Returns the exit status. */
int front_main(void);
