/*
 * What this node does at the moment: front.c says it, the rooms read it. Borrowed by them for the life of the process.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct node_state {
	bool is_ready;    /* serving */
	bool is_draining; /* SIGTERM: nothing new */
	bool is_paused;   /* an operator drains this node: nothing from the sources, its clients are served */
	uint64_t started_ms;
};
