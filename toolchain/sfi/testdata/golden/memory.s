# Memory operands.
	.text
	.globl	memory
	.type	memory, @function
memory:
	movl	(%rdi), %eax
	movl	8(%rdi,%rsi,4), %eax
	movq	%rax, -16(%r12)
	movb	$1, sym(%rip)
	movl	sym+4(%rip), %ecx
	movl	table(,%rax,8), %edx
	movl	0x1234, %edx
	addl	%eax, absolute
	movl	(%edi), %eax
	movl	%ds:(%rdi), %eax
	movl	%ss:4(%rdi), %eax
	lock cmpxchgl %ecx, (%rdi)
	lock
	addq	$1, 8(%rdi)
	lock; incl (%rdi)
	leaq	sym(%rip), %rax
	leaq	sym(%rip), %r9
	leal	sym(%rip), %eax
	leaq	8(%rdi,%rsi), %rax
	leaq	sym@GOTPCREL+0(%rip), %rax
	movq	sym@GOTPCREL(%rip), %rax
	movq	sym@GOTPCREL(%rip), %r12
	cmpq	sym@GOTPCREL(%rip), %rax
	movabsq	$0x123456789abcdef0, %rax
	movabsq	0x12345678, %rax
	movabsb	%al, sym
	movb	%ah, (%rdi)
	prefetcht0	(%rdi)
	nopw	0(%rax,%rax,1)
	rep bsfl	(%rdi), %eax
	movsd	(%rdi), %xmm0
	cmpsd	$1, (%rdi), %xmm0
	vmovups	(%rdi), %ymm1
	cmpxchg16b	(%rdi)
	btl	$3, (%rdi)
	bt	%eax, %ecx
	fldt	(%rdi)
	fstpt	16(%rdi)
	ret

	.type	stream, @function
stream:
	pushq	%rbp
	movntdq	%xmm0, (%rdi)
	vmovntps	%ymm0, (%rdi)
	movntil	%eax, (%rdi)
	vcvtpd2psx	(%rdi), %xmm0
	int3
	hlt
	popq	%rbp
	ret
