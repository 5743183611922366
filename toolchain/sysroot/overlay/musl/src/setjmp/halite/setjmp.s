# int setjmp(jmp_buf), int sigsetjmp(sigjmp_buf, int)
#
# The return address is on the control stack, where it can be read but not
# written; so a jump buffer holds no address that could be forged into a
# return, only where to continue (a label that the assembly pass aligned after
# the call) and how deep the control stack was. longjmp asks the trusted
# trampoline to unwind to that depth.
#
#	 0 rbx   8 rbp  16 r12  24 r13
#	32 data stack pointer that the caller has after the call
#	40 control stack depth of the caller
#	48 continuation
#	64 a signal mask was saved (__fl)    72 the mask (__ss)

	.text
	.halite_raw

	.globl setjmp, _setjmp, __setjmp
	.type setjmp, @function
	.type _setjmp, @function
	.type __setjmp, @function
setjmp:
_setjmp:
__setjmp:
	xorl %esi, %esi
	movl $0, 64(%rdi)
	jmp .Lsave
	.size setjmp, .-setjmp

	.globl sigsetjmp, __sigsetjmp
	.type sigsetjmp, @function
	.type __sigsetjmp, @function
sigsetjmp:
__sigsetjmp:
	movl %esi, 64(%rdi)
	testl %esi, %esi
	je .Lsave
	movq %rdi, %r8
	xorl %edi, %edi			# SIG_BLOCK of nothing: read the mask
	xorl %esi, %esi
	leaq 72(%r8), %rdx
	movl $8, %r10d
	movl $14, %eax			# rt_sigprocmask
	syscall
	movq %r8, %rdi
.Lsave:
	movq %rbx, (%rdi)
	movq %rbp, 8(%rdi)
	movq %r12, 16(%rdi)
	movq %r13, 24(%rdi)
	movl %r14d, %eax		# nothing is on the frame: already what the caller has
	movq %rax, 32(%rdi)
	movl $0x18020, %ecx		# ctl_depth: with the word that leads back to the caller
	call *%rcx
	decl %eax
	movq %rax, 40(%rdi)
	movq %rdi, %rdx
	xorl %edi, %edi
	movl $0x18060, %ecx		# ctl_read(0): where this function returns to
	call *%rcx
	addl $31, %eax
	andl $-32, %eax
	movq %rax, 48(%rdx)
	xorl %eax, %eax
	ret
	.size sigsetjmp, .-sigsetjmp
