/* The scripts: see lua.h. Their texts are in lua/, and travel in lua_text.S. */
#include "supervisor/redis/lua.h"

#define SCRIPT(name)                                                                                                   \
	extern const char redis_lua_text_##name[];                                                                     \
	struct redis_script redis_lua_##name = { .text = redis_lua_text_##name };

SCRIPT(take_stream)
SCRIPT(take_list)
SCRIPT(begin)
SCRIPT(reject)
SCRIPT(cube)
SCRIPT(extend)
SCRIPT(finish)
SCRIPT(give_back)
SCRIPT(bury)
SCRIPT(cancel)
SCRIPT(leased)
SCRIPT(get)
SCRIPT(events)
SCRIPT(follow)
SCRIPT(submit)
SCRIPT(tick)
SCRIPT(nodes)
SCRIPT(list)
SCRIPT(drain)
SCRIPT(dead_list)
SCRIPT(replay)
SCRIPT(dead_delete)
SCRIPT(unfetch)
