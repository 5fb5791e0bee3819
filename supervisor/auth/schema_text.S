/* The steps of supervisor/auth/sql/ as read-only text: see store.c. Built from the top of the tree. */
	.section .rodata

	.global auth_sql_keys
auth_sql_keys:
	.incbin "supervisor/auth/sql/1_keys.sql"
	.byte 0

	.global auth_sql_allow
auth_sql_allow:
	.incbin "supervisor/auth/sql/2_allow.sql"
	.byte 0

	.section .note.GNU-stack, "", %progbits
