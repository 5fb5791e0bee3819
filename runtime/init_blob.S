/* cubit-init, carried inside every program that starts sandboxes: see runtime/init_image.h. */
	.section .rodata
	.global init_image
	.global init_image_end
	.balign 16
init_image:
	.incbin INIT_IMAGE
init_image_end:
	.section .note.GNU-stack,"",@progbits
