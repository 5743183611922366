# Frames: where r14 stands.
	.text
	.globl	frame
	.type	frame, @function
frame:
	.cfi_startproc
	movq	8(%rsp), %rax
	movq	128(%rsp), %rax
	leaq	8(%rsp), %rdx
	movq	%rsp, %rcx
	movb	%ah, 16(%rsp)
	testl	%edi, %edi
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	je	.L1
	pushq	%rbx
	.cfi_def_cfa_offset 24
	.cfi_offset 3, -24
	subq	$40, %rsp
	.cfi_def_cfa_offset 64
	movl	%eax, 12(%rsp)
	call	other@PLT
	pushq	$1
	.cfi_adjust_cfa_offset 8
	pushq	8(%rdi)
	.cfi_adjust_cfa_offset 8
	call	*%rax
	addq	$16, %rsp
	.cfi_adjust_cfa_offset -16
	addq	$40, %rsp
	.cfi_remember_state
	.cfi_def_cfa_offset 24
	popq	%rbx
	.cfi_restore 3
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_restore 6
	.cfi_def_cfa_offset 8
	jmp	other
.L1:
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	popq	%rbp
	.cfi_restore 6
	.cfi_def_cfa_offset 8
	repz ret
	.cfi_endproc
	.size	frame, .-frame

	.type	dynamic, @function
dynamic:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register 6
	andq	$-64, %rsp
	subq	%rax, %rsp
	movq	%rsp, %rdi
	call	other
	leave
	.cfi_def_cfa 7, 8
	ret
	.cfi_endproc

	.type	realign, @function
realign:
	.cfi_startproc
	leaq	8(%rsp), %r10
	.cfi_def_cfa 10, 0
	andq	$-32, %rsp
	pushq	-8(%r10)
	pushq	%rbp
	movq	%rsp, %rbp
	.cfi_escape 0x10,0x6,0x2,0x76,0
	pushq	%r10
	.cfi_escape 0xf,0x3,0x76,0x78,0x6
	subq	$40, %rsp
	call	other
	addq	$40, %rsp
	popq	%r10
	.cfi_def_cfa 10, 0
	popq	%rbp
	leaq	-8(%r10), %rsp
	.cfi_def_cfa 7, 8
	ret
	.cfi_endproc

	.type	saved, @function
saved:
	movq	%rsp, %rbx
	subq	%rdi, %rsp
	call	other
	movq	%rbx, %rsp
	ret
