/* The steps of supervisor/queue/sql/ as read-only text, queue_sql_SUBJECT: see schema.c. Built from the top of the tree. */
	.section .rodata

	.macro step number, subject
	.global queue_sql_\subject
queue_sql_\subject:
	.incbin "supervisor/queue/sql/\number\()_\subject\().sql"
	.byte 0
	.endm

	step 1, jobs
	step 2, unstarted
	step 3, load
	step 4, kept
	step 5, retention

	.section .note.GNU-stack, "", %progbits
