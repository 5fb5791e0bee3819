/*
 * The scripts of supervisor/redis/lua/ as read-only text, redis_lua_text_NAME. The Makefile puts in front of each what its line
 * `-- with:` names, in build/gen/redis/. Those that lua.c does not know stay away.
 */
	.section .rodata

	.macro script name
	.global redis_lua_text_\name
redis_lua_text_\name:
	.incbin "\name\().lua"
	.byte 0
	.endm

	script take_stream
	script take_list
	script begin
	script reject
	script cube
	script extend
	script finish
	script give_back
	script bury
	script cancel
	script leased
	script get
	script events
	script follow
	script submit
	script tick
	script nodes
	script list
	script drain
	script dead_list
	script replay
	script dead_delete
	script unfetch

	.section .note.GNU-stack, "", %progbits
