/*
 * The built-in profiles as read-only data, policy_profile_NAME up to policy_profile_NAME_end. The Makefile knows that this
 * depends on policies/profiles/, and runs from the top of the tree.
 */
	.section .rodata

	.macro profile name
	.global policy_profile_\name, policy_profile_\name\()_end
policy_profile_\name:
	.incbin "policies/profiles/\name\().json"
policy_profile_\name\()_end:
	.byte 0
	.endm

	profile default
	profile strict
	profile net
	profile build
	profile unconfined

	.section .note.GNU-stack, "", %progbits
