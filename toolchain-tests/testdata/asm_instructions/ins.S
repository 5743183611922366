/* No directive of ours: what any assembly file for x86-64 Linux may hold. */
	.text
	.globl instructions
	.type instructions, @function
/* rdi = results, rsi = a, rdx = b */
instructions:
	push %rbx
	push %r12
	push %r13
	mov %rsi, %rax ; add %rdx, %rax ; mov %rax, (%rdi)
	setc 8(%rdi)
	setz 9(%rdi)
	seto 10(%rdi)
	mov %rsi, %rax
	sub %rdx, %rax
	mov %rax, 16(%rdi)
	mov %rsi, 24(%rdi)
	and %rdx, 24(%rdi)
	orq $0x55, 24(%rdi)
	xorb %dl, 25(%rdi)
	notq 24(%rdi)
	negl 28(%rdi)
	incw 30(%rdi)
	decb 31(%rdi)
	mov %edx, %ecx
	mov %rsi, %rax
	shl %cl, %rax
	mov %rax, 32(%rdi)
	mov %rsi, %rax
	sar $3, %rax
	rol %cl, %rax
	rcr $1, %rax
	mov %rax, 40(%rdi)
	shrd $7, %rdx, %rax
	mov %rax, 48(%rdi)
	bt $5, %rsi
	setc 56(%rdi)
	bts $9, %rax
	btr $1, %rax
	btc $33, %rax
	mov %rax, 64(%rdi)
	bsf %rsi, %rbx
	cmovz %rdx, %rbx
	mov %rbx, 72(%rdi)
	bsr %rdx, %rbx
	cmovz %rsi, %rbx
	mov %rbx, 80(%rdi)
	mov %rsi, %rax
	mul %rdx
	mov %rax, 88(%rdi)
	mov %rdx, 96(%rdi)
	imul $-7, %rsi, %rax
	mov %rax, 104(%rdi)
	movzbl %sil, %eax
	movsbq %sil, %rbx
	add %rbx, %rax
	movswl 104(%rdi), %ebx
	movslq 108(%rdi), %r12
	add %r12, %rbx
	mov %rbx, 112(%rdi)
	mov %rax, 120(%rdi)
	bswap %rax
	xchg %rax, 128(%rdi)
	xadd %rsi, 128(%rdi)
	lock xaddl %esi, 136(%rdi)
	lock
	addl $5, 136(%rdi)
	mov $0x1234, %eax
	mov %ah, 144(%rdi)
	add %al, %ah
	mov %ah, %bl
	movzbl %ah, %ecx
	mov %ecx, 148(%rdi)
	mov %bl, 152(%rdi)
	lea 5(%rsi,%rax,8), %r12
	mov %r12, 160(%rdi)
	lea 7(%esi), %r13d
	mov %r13, 168(%rdi)
	cqto
	mov %rdx, 176(%rdi)
	cltq
	cwtl
	mov %rax, 184(%rdi)
	movabs $0x1122334455667788, %rax
	popcnt %rax, %rax
	mov %rax, 192(%rdi)
	cvtsi2sd %rsi, %xmm0
	movsd %xmm0, 200(%rdi)
	addsd 200(%rdi), %xmm0
	sqrtsd %xmm0, %xmm1
	movapd %xmm0, %xmm2
	mulpd %xmm2, %xmm2
	movq %xmm2, 208(%rdi)
	fildq 160(%rdi)
	fld1
	faddp
	fistpq 216(%rdi)
	cmpq $3, 160(%rdi)
	sbb %rax, %rax
	mov %rax, 224(%rdi)
	stc
	adc $0, %rax
	cmc
	setc 232(%rdi)
	testb $8, 160(%rdi)
	setnz 233(%rdi)
	lahf
	mov %ah, 240(%rdi)
	pop %r13
	pop %r12
	pop %rbx
	ret
	.size instructions, .-instructions

	.globl strings
	.type strings, @function
/* rdi, rsi, rdx: copy n bytes by hand, twice */
strings:
	test %rdx, %rdx
	je 2f
	xor %ecx, %ecx
1:	movb (%rsi,%rcx), %al
	movb %al, (%rdi,%rcx)
	inc %rcx
	cmp %rdx, %rcx
	jne 1b
2:	rep; nop
	ret
	.size strings, .-strings

	.globl stack_ops
	.type stack_ops, @function
stack_ops:
	push %rdi
	push %rsi
	pushq $17
	push (%rsp)
	sub $16, %rsp
	mov %rdi, 8(%rsp)
	lea 8(%rsp), %rax
	incq (%rax)
	mov 8(%rsp), %rax
	add $16, %rsp
	pop %rcx
	add %rcx, %rax
	popq %rdx
	imul %rdx, %rax
	pop %rsi
	pop %rdi
	push %rax
	call 1f
	pop %rcx
	add %rcx, %rax
	ret
1:	lea (%rdi,%rsi), %rax
	ret
	.size stack_ops, .-stack_ops

	.globl jumps
	.type jumps, @function
jumps:
	cmp $4, %rdi
	ja 9f
	jmp *table(,%rdi,8)
	.p2align 5
c0:	mov $100, %eax
	ret
	.p2align 5
c1:	mov $101, %eax
	jmp 8f
	.p2align 5
c2:	call c0
	add $2, %eax
8:	ret
9:	xor %eax, %eax
	ret
	.size jumps, .-jumps

	.globl indirect
	.type indirect, @function
indirect:
	push %rbx
	lea c0(%rip), %rax
	mov %rdi, %rbx
	call *%rax
	add %rax, %rbx
	call *pointer(%rip)
	add %rbx, %rax
	pop %rbx
	ret
	.size indirect, .-indirect

	.data
	.align 8
table:	.quad c0, c1, c2, c1, c0
pointer: .quad c0
	.section .note.GNU-stack,"",@progbits
