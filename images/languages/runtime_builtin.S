/*
 * The definitions of images/runtimes/ as read-only data. The Makefile joins them into one file, RUNTIMES: for each its
 * name, NUL, its text, NUL; then an empty name. A new file there needs no edit anywhere.
 */
	.section .rodata

	.global runtime_builtin
runtime_builtin:
	.incbin RUNTIMES
	.byte 0

	.section .note.GNU-stack, "", %progbits
