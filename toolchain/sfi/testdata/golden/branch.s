# Branches, their targets, and what becomes of them.
	.text
	.globl	branch
	.type	branch, @function
branch:
	endbr64
	cmpl	$3, %edi
	ja	.Ldefault
	leaq	.Ltable(%rip), %rdx
	movslq	(%rdx,%rdi,4), %rax
	addq	%rdx, %rax
	notrack jmp	*%rax
	.section	.rodata
.Ltable:
	.long	.La-.Ltable
	.long	.Lb-.Ltable
	.text
.La:
	jmp	*.Lwords(,%rdi,8)
.Lb:
	call	*(%rdi)
	movl	$0x18040, %r11d
	call	*%r11
	call	*other@GOTPCREL(%rip)
	call	setjmp
	call	unknown
	endbr64
	testl	%eax, %eax
	jne	other
1:
	decl	%eax
	jnz	1b
	leaq	2f(%rip), %rax
	jmp	*%rax
2:
.Ldefault:
	bnd jmp	other
	.data
.Lwords:
	.quad	.Lc
	.text
	.type	c, @function
c:
	nop
.Lc:
	syscall
	ret
	.globl	_start
_start:
	xorl	%ebp, %ebp
	.halite_raw
	movq	%r14, %rdi
	andq	$-16, %r14
	call	c
	hlt
