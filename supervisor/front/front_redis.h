/* Redis as a part of the front (redis/), where there is one. Runs in: front, on the loop. */
#pragma once

struct error;
struct front;

/* Sets f->redis and adds its sources, if REDIS_URL is set. Returns 0 or -errno; the rooms may be made later. */
int front_redis_start(struct front *f, struct error *err);
