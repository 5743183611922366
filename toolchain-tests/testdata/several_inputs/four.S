/* Preprocessed hand-written assembly with a frame, a loop, data and a call. */
#define N 4
	.text
	.globl four
	.type four, @function
four:
	pushq %rbp
	movq %rsp, %rbp
	pushq %rbx
	subq $8, %rsp
	movl %edi, %ebx
	xorl %ecx, %ecx
	leaq table(%rip), %rdx
1:	addl (%rdx,%rcx,4), %ebx
	incl %ecx
	cmpl $N, %ecx
	jb 1b
	movl %ebx, %edi
	call two
	addq $8, %rsp
	popq %rbx
	popq %rbp
	ret
	.size four, .-four
	.section .rodata
	.align 4
table:
	.long 1, 2, 3, 4
	.section .note.GNU-stack,"",@progbits
