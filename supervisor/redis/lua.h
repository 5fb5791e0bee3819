/*
 * The scripts: each one step on the keys of keys.h. All begin with the arguments prefix, node, run (args_init()); what follows
 * is named and said at the top of each, lua/NAME.lua. No keys are declared.
 *
 * Order inside a script matters when the server is full: the first write is one that OOM refuses, so that nothing was
 * done; after it the server lets the rest through.
 *
 * Runs in: the server of Redis; the texts are in the front.
 */
#pragma once

#include "supervisor/redis/link.h"

extern struct redis_script redis_lua_take_stream, redis_lua_take_list, redis_lua_begin, redis_lua_reject,
	redis_lua_cube, redis_lua_extend, redis_lua_finish, redis_lua_give_back, redis_lua_bury, redis_lua_cancel,
	redis_lua_leased, redis_lua_get, redis_lua_events, redis_lua_follow, redis_lua_submit, redis_lua_tick,
	redis_lua_nodes, redis_lua_list, redis_lua_drain, redis_lua_dead_list, redis_lua_replay, redis_lua_dead_delete,
	redis_lua_unfetch;
