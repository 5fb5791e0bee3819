/* openapi.json beside this file as read-only text. The Makefile knows that this depends on it, and runs from the top of the tree. */
	.section .rodata

	.global daemon_openapi
daemon_openapi:
	.incbin "supervisor/daemon/openapi.json"
	.byte 0

	.section .note.GNU-stack, "", %progbits
