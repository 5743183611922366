# void longjmp(jmp_buf, int)     setjmp.s says what is in the buffer

	.text
	.halite_raw

	.globl longjmp, _longjmp
	.type longjmp, @function
	.type _longjmp, @function
longjmp:
_longjmp:
	movl $1, %eax
	testl %esi, %esi
	cmovnel %esi, %eax		# setjmp never returns 0 from here
	movl %eax, %edx
	movq (%rdi), %rbx
	movq 8(%rdi), %rbp
	movq 16(%rdi), %r12
	movq 24(%rdi), %r13
	movl 32(%rdi), %r14d
	movl 48(%rdi), %esi
	movl 40(%rdi), %edi
	movl $0x18040, %ecx		# ctl_unwind(depth, continuation) keeps rax
	jmp *%rcx
	.size longjmp, .-longjmp
