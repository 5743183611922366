# Guest code for the tests of the engine. It is not validated: some of it does
# what the validator would refuse, to see what comes back.
#
# It stands at 0x20000 of the sandbox. 0x100000 holds what a test wants in the
# registers, 0x101000 gets what was found in them. Absolute operands carry a
# null index so that the address size is 32 bits.

.set linux,      0x18000
.set ctl_depth,  0x18020
.set ctl_unwind, 0x18040
.set ctl_read,   0x18060
.set slot7,      0x100e0
.set in,         0x100000
.set out,        0x101000
.set readonly,   0x110000

.macro function name
.p2align 5
.globl \name
\name:
.endm

# All general registers but rsp and r15, all vector registers, and the control
# words, in the order of struct guestRegs in the tests.
.macro load from
	ldmxcsr	%gs:\from+0x280(,%eiz,1)
	fldcw	%gs:\from+0x284(,%eiz,1)
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%gs:\from+0x80+32*\n(,%eiz,1), %ymm\n
.endr
	mov	%gs:\from+0x08(,%eiz,1), %rbx
	mov	%gs:\from+0x18(,%eiz,1), %rdx
	mov	%gs:\from+0x20(,%eiz,1), %rsi
	mov	%gs:\from+0x28(,%eiz,1), %rdi
	mov	%gs:\from+0x30(,%eiz,1), %rbp
	mov	%gs:\from+0x40(,%eiz,1), %r8
	mov	%gs:\from+0x48(,%eiz,1), %r9
	mov	%gs:\from+0x50(,%eiz,1), %r10
	mov	%gs:\from+0x58(,%eiz,1), %r11
	mov	%gs:\from+0x60(,%eiz,1), %r12
	mov	%gs:\from+0x68(,%eiz,1), %r13
	mov	%gs:\from+0x70(,%eiz,1), %r14
	mov	%gs:\from+0x10(,%eiz,1), %rcx
	mov	%gs:\from+0x00(,%eiz,1), %rax
.endm

.macro store to
	mov	%rax, %gs:\to+0x00(,%eiz,1)
	mov	%rbx, %gs:\to+0x08(,%eiz,1)
	mov	%rcx, %gs:\to+0x10(,%eiz,1)
	mov	%rdx, %gs:\to+0x18(,%eiz,1)
	mov	%rsi, %gs:\to+0x20(,%eiz,1)
	mov	%rdi, %gs:\to+0x28(,%eiz,1)
	mov	%rbp, %gs:\to+0x30(,%eiz,1)
	mov	%r8,  %gs:\to+0x40(,%eiz,1)
	mov	%r9,  %gs:\to+0x48(,%eiz,1)
	mov	%r10, %gs:\to+0x50(,%eiz,1)
	mov	%r11, %gs:\to+0x58(,%eiz,1)
	mov	%r12, %gs:\to+0x60(,%eiz,1)
	mov	%r13, %gs:\to+0x68(,%eiz,1)
	mov	%r14, %gs:\to+0x70(,%eiz,1)
	mov	%r15, %gs:\to+0x78(,%eiz,1)
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%ymm\n, %gs:\to+0x80+32*\n(,%eiz,1)
.endr
	stmxcsr	%gs:\to+0x280(,%eiz,1)
	fnstcw	%gs:\to+0x284(,%eiz,1)
.endm

.text
function nothing
	ret

function add
	lea	(%rdi,%rsi), %rax
	ret

function sum6
	lea	(%rdi,%rsi,2), %rax
	lea	(%rax,%rdx,4), %rax
	lea	(%rax,%rcx,8), %rax
	shl	$4, %r8
	add	%r8, %rax
	shl	$5, %r9
	add	%r9, %rax
	ret

function fadd
	vaddsd	%xmm1, %xmm0, %xmm0
	ret

# rdi calls of the host; the result of the last.
function calls
	mov	%rdi, %rbx
1:	call	linux
	dec	%rbx
	jnz	1b
	ret

function call7
	call	slot7
	ret

# What a guest finds in the registers when it begins.
function entry
	store	out
	fnstsw	%gs:out+0x286(,%eiz,1)
	fnstenv	%gs:out+0x290(,%eiz,1)
	fninit
	movq	%mm0, %gs:out+0x2c0(,%eiz,1)
	movq	%mm1, %gs:out+0x2c8(,%eiz,1)
	movq	%mm2, %gs:out+0x2d0(,%eiz,1)
	movq	%mm3, %gs:out+0x2d8(,%eiz,1)
	movq	%mm4, %gs:out+0x2e0(,%eiz,1)
	movq	%mm5, %gs:out+0x2e8(,%eiz,1)
	movq	%mm6, %gs:out+0x2f0(,%eiz,1)
	movq	%mm7, %gs:out+0x2f8(,%eiz,1)
	emms
	pushfq
	pop	%rax
	ret

# Registers around a call of the host.
function around
	load	in
	call	linux
	store	out
	xor	%eax, %eax
	ret

# Registers around a call that is made with values everywhere, then a loop of
# rdi turns that only compares; the number of the first that changed, or 0.
function verify
	mov	%rdi, %gs:in+0x300(,%eiz,1)
	load	in
1:
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vpxor	%gs:in+0x80+32*\n(,%eiz,1), %ymm\n, %ymm\n
	vptest	%ymm\n, %ymm\n
	jnz	2f
	vmovdqu	%gs:in+0x80+32*\n(,%eiz,1), %ymm\n
.endr
	cmp	%gs:in+0x08(,%eiz,1), %rbx
	jne	2f
	cmp	%gs:in+0x10(,%eiz,1), %rcx
	jne	2f
	cmp	%gs:in+0x18(,%eiz,1), %rdx
	jne	2f
	cmp	%gs:in+0x20(,%eiz,1), %rsi
	jne	2f
	cmp	%gs:in+0x28(,%eiz,1), %rdi
	jne	2f
	cmp	%gs:in+0x30(,%eiz,1), %rbp
	jne	2f
	cmp	%gs:in+0x40(,%eiz,1), %r8
	jne	2f
	cmp	%gs:in+0x48(,%eiz,1), %r9
	jne	2f
	cmp	%gs:in+0x50(,%eiz,1), %r10
	jne	2f
	cmp	%gs:in+0x58(,%eiz,1), %r11
	jne	2f
	cmp	%gs:in+0x60(,%eiz,1), %r12
	jne	2f
	cmp	%gs:in+0x68(,%eiz,1), %r13
	jne	2f
	cmp	%gs:in+0x70(,%eiz,1), %r14
	jne	2f
	cmp	%gs:in+0x00(,%eiz,1), %rax
	jne	2f
	decq	%gs:in+0x300(,%eiz,1)
	jnz	1b
	xor	%eax, %eax
	ret
2:	store	out
	mov	$1, %eax
	ret

# The same with calls of the trampolines that are served in assembly, and of
# the host: rdi turns. rax is theirs.
function verifycalls
	mov	%rdi, %gs:in+0x300(,%eiz,1)
	load	in
1:	mov	$1, %edi
	call	ctl_depth
	cmp	$1, %rax
	jne	2f
	call	ctl_read
	test	%rax, %rax
	jnz	2f
	xor	%edi, %edi
	call	3f
6:	cmp	$0x777, %rax
	jne	2f
	mov	$1, %edi
	lea	4f(%rip), %esi
	mov	$0x1234, %eax
	call	ctl_unwind
	ud2
.p2align 5
4:	cmp	$0x1234, %rax
	jne	2f
	mov	%gs:in+0x20(,%eiz,1), %rsi
	mov	%gs:in+0x28(,%eiz,1), %rdi
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vpxor	%gs:in+0x80+32*\n(,%eiz,1), %ymm\n, %ymm\n
	vptest	%ymm\n, %ymm\n
	jnz	2f
	vmovdqu	%gs:in+0x80+32*\n(,%eiz,1), %ymm\n
.endr
	cmp	%gs:in+0x08(,%eiz,1), %rbx
	jne	2f
	cmp	%gs:in+0x18(,%eiz,1), %rdx
	jne	2f
	cmp	%gs:in+0x30(,%eiz,1), %rbp
	jne	2f
	cmp	%gs:in+0x40(,%eiz,1), %r8
	jne	2f
	cmp	%gs:in+0x48(,%eiz,1), %r9
	jne	2f
	cmp	%gs:in+0x50(,%eiz,1), %r10
	jne	2f
	cmp	%gs:in+0x60(,%eiz,1), %r12
	jne	2f
	cmp	%gs:in+0x68(,%eiz,1), %r13
	jne	2f
	cmp	%gs:in+0x70(,%eiz,1), %r14
	jne	2f
	call	linux
	decq	%gs:in+0x300(,%eiz,1)
	jnz	1b
	xor	%eax, %eax
	ret
2:	store	out
	mov	$1, %eax
	ret
.p2align 5
3:	call	ctl_read
	lea	6b(%rip), %ecx
	cmp	%rcx, %rax
	jne	4f
	mov	$0x777, %eax
4:	ret

# Calls that are served in assembly, for ever.
function ctlspin
.p2align 5
1:	call	ctl_depth
	mov	$1, %edi
	call	ctl_read
	mov	$1, %edi
	lea	1b(%rip), %esi
	call	ctl_unwind
	ud2

# The same with calls of the host.
function callspin
1:	call	linux
	jmp	1b

function spin
1:	jmp	1b

# rdi turns, in a function that a function calls.
function profiled
	call	profiled1
	ret
function profiled1
	call	profiled2
	ret
function profiled2
	dec	%rdi
	jnz	profiled2
	ret

# Counts at out, for ever.
function count
1:	incl	%gs:out(,%eiz,1)
	jmp	1b

function read
	mov	%gs:(%edi), %rax
	ret

function write
	mov	%rsi, %gs:(%edi)
	ret

function jump
	and	$-32, %edi
	add	%r15, %rdi
	jmp	*%rdi

function illegal
	ud2

function halt
	hlt

function breakpoint
	int3

function divide
	xor	%edx, %edx
	mov	$1, %eax
	xor	%ecx, %ecx
	div	%ecx
	ret

function simd
	movl	$0x1d80, %gs:out(,%eiz,1)	# division by zero unmasked
	ldmxcsr	%gs:out(,%eiz,1)
	mov	$1, %eax
	cvtsi2sd %eax, %xmm0
	xorpd	%xmm1, %xmm1
	divsd	%xmm1, %xmm0
	ret

function misaligned
	movaps	%gs:in+1(,%eiz,1), %xmm0
	ret

# Leaves an x87 exception pending, unmasked: the next x87 instruction traps,
# whoever executes it.
.macro bomb
	movw	$0x37b, %gs:out(,%eiz,1)
	fldcw	%gs:out(,%eiz,1)
	fld1
	fldz
	fdivrp	%st, %st(1)
.endm

function x87fault
	bomb
	fwait
	ret

function bombreturn
	bomb
	ret

function bombcall
	bomb
	call	linux
	ret

function bombdepth
	bomb
	call	ctl_depth
	ret

function recurse
	call	recurse
	ret

function underflow
	add	$0x1000, %rsp
	ret

# rdi frames deep, then the host.
function deep
	test	%rdi, %rdi
	jz	1f
	dec	%rdi
	call	deep
	ret
1:	call	linux
	ret

function depth
	call	ctl_depth
	ret

# ctl_read(rdi), two frames below the caller.
function readback
	call	1f
	ret
1:	call	ctl_read
	ret

# ctl_unwind(rdi, rsi): as the guest likes.
function unwind
	mov	$77, %eax
	call	ctl_unwind
	ret

# setjmp and longjmp through rdi frames.
function longjump
	mov	%rdi, %rbx
	call	ctl_depth
	mov	%rax, %r12
	call	1f
	ud2
1:	test	%rbx, %rbx
	jz	2f
	dec	%rbx
	call	1b
	ud2
2:	mov	%r12, %rdi
	lea	3f(%rip), %esi
	call	ctl_unwind
	ud2
.p2align 5
3:	call	ctl_depth
	sub	%r12, %rax
	ret

# For a signal handler: leaves it by unwinding to what it interrupted; the
# depth and the target are at out.
function escape
	mov	%gs:out(,%eiz,1), %rdi
	mov	%gs:out+8(,%eiz,1), %rsi
	call	ctl_unwind
	ud2

function spinfor
	call	ctl_depth
	mov	%rax, %gs:out(,%eiz,1)
	lea	1f(%rip), %eax
	mov	%rax, %gs:out+8(,%eiz,1)
	movl	$1, %gs:out+16(,%eiz,1)
2:	jmp	2b
.p2align 5
1:	mov	$99, %eax
	ret

function tpnear
	.byte	0x64, 0x40, 0x8b, 0x04, 0x25
	.long	0x10
	ret

function tpfar
	.byte	0x64, 0x40, 0x8b, 0x04, 0x25
	.long	0x110
	ret

# Control words of its own around a call: rounding up, and single precision.
function rounding
	movl	$0x5f80, %gs:out(,%eiz,1)
	ldmxcsr	%gs:out(,%eiz,1)
	movw	$0x07f, %gs:out(,%eiz,1)
	fldcw	%gs:out(,%eiz,1)
	call	linux
	stmxcsr	%gs:out(,%eiz,1)
	fnstcw	%gs:out+4(,%eiz,1)
	ret

# Control words changed and not put back.
function sloppy
	movl	$0x5f80, %gs:out(,%eiz,1)
	ldmxcsr	%gs:out(,%eiz,1)
	movw	$0x07f, %gs:out(,%eiz,1)
	fldcw	%gs:out(,%eiz,1)
	fldpi
	std
	ret

function direction
	std
	call	linux
	ret

# Values on the x87 stack around a call.
function x87live
	fld1
	fldpi
	call	linux
	fstpl	%gs:out(,%eiz,1)
	fstpl	%gs:out+8(,%eiz,1)
	fnstsw	%ax
	movzwl	%ax, %eax
	ret

function mmxlive
	mov	$0x1122334455667788, %rax
	movq	%rax, %mm0
	movq	%rax, %mm7
	call	linux
	movq	%mm0, %gs:out(,%eiz,1)
	movq	%mm7, %gs:out+8(,%eiz,1)
	emms
	ret

# Sticky flags around a call: division by zero, with an empty stack.
function x87flags
	fld1
	fldz
	fdivrp	%st, %st(1)
	fstp	%st
	call	linux
	fnstsw	%ax
	movzwl	%ax, %eax
	ret

# Leaves values in the MMX registers.
function mmxdirt
	mov	$0x5ec2e75ec2e7, %rax
.irp n,0,1,2,3,4,5,6,7
	movq	%rax, %mm\n
.endr
	ret
