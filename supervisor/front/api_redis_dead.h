/* Dead letters of Redis behind the routes of the embedded queue's. Runs in: front, on the loop. */
#pragma once

#include <stdbool.h>

struct http_request;

enum redis_dead_question { REDIS_DEAD_LIST, REDIS_DEAD_REPLAY, REDIS_DEAD_DELETE };

/* True: ?source=redis was asked for, and is being answered. */
bool redis_dead_asked(struct http_request *rq, enum redis_dead_question what);
