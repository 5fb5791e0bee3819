/*
 * The monitor's loop: epoll(7), nothing else. Sources are embedded in what owns them; a callback may remove any source,
 * also one that has an event in the same round: that event is forgotten.
 *
 * Runs in: monitor. One thread.
 */
#pragma once

#include <stdint.h>

struct error;
struct loop; /* opaque */

struct loop_source {
	int fd; /* borrowed; -1: not watched */
	void (*fn)(uint32_t events, void *arg);
	void *arg;
};

#define LOOP_SOURCE_INIT                                                                                               \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

/* ret owned: loop_free(), after every source was removed. */
int loop_new(struct loop **ret, struct error *err);
void loop_free(struct loop *l);

/* events: EPOLLIN, EPOLLOUT, EPOLLPRI; level-triggered. The source stays where it is until it is removed. */
int loop_add(struct loop *l, struct loop_source *s, int fd, uint32_t events, void (*fn)(uint32_t events, void *arg),
	     void *arg, struct error *err);
void loop_change(struct loop *l, struct loop_source *s, uint32_t events);
void loop_remove(struct loop *l, struct loop_source *s); /* before its descriptor is closed; not watched: nothing */

/* Wait at most timeout_ms (-1: for ever) and call who has news. Returns how many had, or -errno. */
int loop_turn(struct loop *l, int timeout_ms, struct error *err);
