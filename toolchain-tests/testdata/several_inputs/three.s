# Hand-written assembly, as the compiler would have it: no directives of ours.
	.text
	.globl three
	.type three, @function
three:
	leal 3(%rdi), %eax
	ret
	.size three, .-three
	.section .note.GNU-stack,"",@progbits
