# Guest code of the classic ABI for the tests of the engine, as guest.s is of the
# other one. It is not validated.

.set slot1,      0x10020
.set slot7,      0x100e0
.set tlsget,     0x10000+32*84
.set tls2get,    0x10000+32*86
.set hostreturn, 0x10000+32*2046
.set in,         0x100000
.set out,        0x101000

.macro function name
.p2align 5, 0xf4
.globl \name
\name:
.endm

# A call in the classic ABI returns to the next bundle.
.macro naclcall target
	call	\target
	.p2align 5, 0xf4
.endm

.macro naclret
	pop	%r11
	and	$-32, %r11d
	add	%r15, %r11
	jmp	*%r11
.endm

.macro load from
	ldmxcsr	\from+0x280(%r15)
	fldcw	\from+0x284(%r15)
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	\from+0x80+32*\n(%r15), %ymm\n
.endr
	mov	\from+0x08(%r15), %rbx
	mov	\from+0x18(%r15), %rdx
	mov	\from+0x20(%r15), %rsi
	mov	\from+0x28(%r15), %rdi
	mov	\from+0x40(%r15), %r8
	mov	\from+0x48(%r15), %r9
	mov	\from+0x50(%r15), %r10
	mov	\from+0x58(%r15), %r11
	mov	\from+0x60(%r15), %r12
	mov	\from+0x68(%r15), %r13
	mov	\from+0x70(%r15), %r14
	mov	\from+0x10(%r15), %rcx
	mov	\from+0x00(%r15), %rax
.endm

.macro store to
	mov	%rax, \to+0x00(%r15)
	mov	%rbx, \to+0x08(%r15)
	mov	%rcx, \to+0x10(%r15)
	mov	%rdx, \to+0x18(%r15)
	mov	%rsi, \to+0x20(%r15)
	mov	%rdi, \to+0x28(%r15)
	mov	%rbp, \to+0x30(%r15)
	mov	%rsp, \to+0x38(%r15)
	mov	%r8,  \to+0x40(%r15)
	mov	%r9,  \to+0x48(%r15)
	mov	%r10, \to+0x50(%r15)
	mov	%r11, \to+0x58(%r15)
	mov	%r12, \to+0x60(%r15)
	mov	%r13, \to+0x68(%r15)
	mov	%r14, \to+0x70(%r15)
	mov	%r15, \to+0x78(%r15)
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%ymm\n, \to+0x80+32*\n(%r15)
.endr
	stmxcsr	\to+0x280(%r15)
	fnstcw	\to+0x284(%r15)
.endm

.text
function nothing
	naclret

function add
	lea	(%rdi,%rsi), %rax
	naclret

function fadd
	mov	$0x3ff8000000000000, %rax
	vmovq	%rax, %xmm0
	vaddsd	%xmm0, %xmm0, %xmm0
	naclret

# rdi calls of the host; the result of the last.
function calls
	mov	%rdi, %rbx
1:	naclcall slot1
	dec	%rbx
	jnz	1b
	naclret

function call7
	mov	$11, %edi
	mov	$22, %esi
	mov	$33, %edx
	mov	$44, %ecx
	mov	$55, %r8d
	mov	$66, %r9d
	naclcall slot7
	naclret

# rdi reads of the thread pointer.
function tls
1:	naclcall tlsget
	dec	%rdi
	jnz	1b
	naclret

function tls2
	naclcall tls2get
	naclret

# What a guest finds in the registers when it begins.
function entry
	pushfq
	store	out
	fnstsw	out+0x286(%r15)
	fnstenv	out+0x290(%r15)
	fninit
	movq	%mm0, out+0x2c0(%r15)
	movq	%mm1, out+0x2c8(%r15)
	movq	%mm2, out+0x2d0(%r15)
	movq	%mm3, out+0x2d8(%r15)
	movq	%mm4, out+0x2e0(%r15)
	movq	%mm5, out+0x2e8(%r15)
	movq	%mm6, out+0x2f0(%r15)
	movq	%mm7, out+0x2f8(%r15)
	emms
	pop	%rax
	naclret

# The same around a call that is made with values everywhere.
function around
	load	in
	naclcall slot1
	pushfq
	store	out
	fnstsw	out+0x286(%r15)
	fnstenv	out+0x290(%r15)
	fninit
	movq	%mm0, out+0x2c0(%r15)
	movq	%mm7, out+0x2f8(%r15)
	emms
	pop	%rax
	naclret

# And around the reads of the thread pointers.
function aroundtls
	load	in
	naclcall tlsget
	store	out
	naclret
function aroundtls2
	load	in
	naclcall tls2get
	store	out
	naclret

# Returns in the middle of a bundle go to the next.
function midbundle
	nop
	call	slot1
	ud2
	.p2align 5, 0xf4
	nop
	nop
	call	tlsget
	ud2
	.p2align 5, 0xf4
	call	tls2get
	ud2
	.p2align 5, 0xf4
	mov	$99, %eax
	naclret

# Loops of rdi turns that only compare; 1 if something changed.
function verify
	mov	%rdi, in+0x300(%r15)
	load	in
1:
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vpxor	in+0x80+32*\n(%r15), %ymm\n, %ymm\n
	vptest	%ymm\n, %ymm\n
	jnz	2f
	vmovdqu	in+0x80+32*\n(%r15), %ymm\n
.endr
	cmp	in+0x08(%r15), %rbx
	jne	2f
	cmp	in+0x10(%r15), %rcx
	jne	2f
	cmp	in+0x18(%r15), %rdx
	jne	2f
	cmp	in+0x20(%r15), %rsi
	jne	2f
	cmp	in+0x28(%r15), %rdi
	jne	2f
	cmp	in+0x40(%r15), %r8
	jne	2f
	cmp	in+0x48(%r15), %r9
	jne	2f
	cmp	in+0x50(%r15), %r10
	jne	2f
	cmp	in+0x58(%r15), %r11
	jne	2f
	cmp	in+0x60(%r15), %r12
	jne	2f
	cmp	in+0x68(%r15), %r13
	jne	2f
	cmp	in+0x70(%r15), %r14
	jne	2f
	cmp	in+0x00(%r15), %rax
	jne	2f
	decq	in+0x300(%r15)
	jnz	1b
	xor	%eax, %eax
	naclret
2:	store	out
	mov	$1, %eax
	naclret

# The same with calls of the host and of the trampolines that stay inside.
function verifycalls
	mov	%rdi, in+0x300(%r15)
	mov	%rsp, in+0x308(%r15)
	mov	%rbp, in+0x310(%r15)
1:	load	in
	naclcall tlsget
	cmp	$0x1234, %rax
	jne	2f
	cmp	in+0x20(%r15), %rsi
	jne	2f
	cmp	in+0x28(%r15), %rdi
	jne	2f
	cmp	in+0x40(%r15), %r8
	jne	2f
	cmp	in+0x48(%r15), %r9
	jne	2f
	cmp	in+0x50(%r15), %r10
	jne	2f
	naclcall tls2get
	cmp	$0x5678, %rax
	jne	2f
	naclcall slot1
	test	%rax, %rax
	jne	2f
	or	%rcx, %rdx
	or	%rsi, %rdx
	or	%r8, %rdx
	or	%r9, %rdx
	or	%r10, %rdx
	jne	2f
	mov	%esp, %eax
	cmp	%rax, %rdi
	jne	2f
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vptest	%ymm\n, %ymm\n
	jnz	2f
.endr
	cmp	in+0x08(%r15), %rbx
	jne	2f
	cmp	in+0x60(%r15), %r12
	jne	2f
	cmp	in+0x68(%r15), %r13
	jne	2f
	cmp	in+0x70(%r15), %r14
	jne	2f
	cmp	in+0x308(%r15), %rsp
	jne	2f
	cmp	in+0x310(%r15), %rbp
	jne	2f
	decq	in+0x300(%r15)
	jnz	1b
	xor	%eax, %eax
	naclret
2:	store	out
	mov	$1, %eax
	naclret

function spin
1:	jmp	1b

function callspin
1:	naclcall slot1
	jmp	1b

function tlsspin
1:	naclcall tlsget
	naclcall tls2get
	jmp	1b

# Returns without having been called.
function returns
	mov	$5, %eax
	jmp	hostreturn

# Calls of the host with stack pointers that lead nowhere: below the sandbox, in
# the null page, at the very end, and beyond the end.
function stackbelow
	lea	(%r15), %rsp
	call	slot1
function stacknull
	lea	0x8000(%r15), %rsp
	call	slot1
function stacktop
	mov	$-8, %eax
	lea	(%r15,%rax), %rsp
	jmp	slot1
function stackabove
	mov	$-1, %eax
	lea	1(%r15,%rax), %rsp
	jmp	tlsget

function last
	jmp	0x10000+32*2047

function std
	std
	naclcall slot1
	std
	naclret

function dirt
	load	in
	fld1
	fld1
	movq	%rax, %mm3
	naclcall slot1
	naclret

# An x87 exception that is pending when the host is called.
function x87bomb
	movw	$0x360, out(%r15)
	fldcw	out(%r15)
	fldz
	fld1
	fdivp
	naclcall slot1
	naclret

function read
	mov	0(%r15), %eax
function write
	mov	%eax, 0x20000(%r15)
function illegal
	ud2
function divide
	xor	%edx, %edx
	xor	%ecx, %ecx
	mov	$1, %eax
	div	%ecx
function privileged
	hlt
function beyond
	mov	$-1, %eax
	mov	0x7fffffff(%r15,%rax,8), %eax

# A fault with values everywhere, what a handler finds in the registers, and a fault in
# the middle of setting the stack pointer.
function loaded
	load	in
	ud2
function stored
	store	out
	naclret
function stackloose
	mov	%r15d, %esp
	ud2

# Waits with the direction flag set until the word at in is not 0, and returns the
# flags; the flags alone; and a fault with that flag.
function backwards
	std
1:	cmpl	$0, in(%r15)
	je	1b
	pushfq
	pop	%rax
	cld
	naclret
function flags
	pushfq
	pop	%rax
	naclret
function stdfault
	std
	ud2
