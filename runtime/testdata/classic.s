# Guest code of the classic ABI for the tests of the runtime.

.bundle_align_mode 5

.macro function name
.p2align 5, 0x90
.globl \name
\name:
.endm
.macro ret_
	pop	%r11
	.bundle_lock
	and	$-32, %r11d
	add	%r15, %r11
	jmp	*%r11
	.bundle_unlock
.endm
.macro call_eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
.endm

.macro call_ target
	.bundle_lock align_to_end
	call	\target
	.bundle_unlock
.endm
# Stores and loads of 64 bits at p, which is in r14d.
.macro store reg, off
	.bundle_lock
	mov	%r14d, %eax
	mov	\reg, \off(%r15,%rax)
	.bundle_unlock
.endm
.macro load off, reg
	.bundle_lock
	mov	%r14d, %eax
	mov	\off(%r15,%rax), \reg
	.bundle_unlock
.endm

.set slot_clear_flag,	0x10000+32*89
.set slot_wait,		0x10000+32*160
.set slot_return,	0x10000+32*2046

.text
function add
	lea	(%rdi,%rsi), %eax
	ret_

function spin
1:	jmp	1b

# callfn(f, arg): f(arg) + 1.
function callfn
	mov	%edi, %eax
	mov	%esi, %edi
	call_eax
	add	$1, %eax
	ret_

# manyargs(f): f(1, 2, 3, 4, 5, 6, 7, 8).
function manyargs
	mov	%edi, %eax
	push	$8
	push	$7
	mov	$1, %edi
	mov	$2, %esi
	mov	$3, %edx
	mov	$4, %ecx
	mov	$5, %r8d
	mov	$6, %r9d
	call_eax
	.bundle_lock
	add	$16, %esp
	add	%r15, %rsp
	.bundle_unlock
	ret_

# kept(f): calls f and returns 0 if what a call preserves is what it was.
function kept
	mov	%rsp, %r14
	mov	$0x1234567812345678, %rbx
	mov	%rbx, %r12
	mov	%rbx, %r13
	mov	%edi, %eax
	call_eax
	xor	%r12, %rbx
	xor	%rsp, %r14
	or	%r14, %rbx
	mov	%rbx, %rax
	ret_

function fault
	ud2

# call3(f, a, b, c): f(a, b, c).
function call3
	mov	%edi, %eax
	mov	%esi, %edi
	mov	%edx, %esi
	mov	%ecx, %edx
	call_eax
	ret_

# again(f, n): the sum of n calls of f.
function again
	mov	%edi, %r12d
	mov	%esi, %r13d
	xor	%ebx, %ebx
1:	mov	%r12d, %eax
	call_eax
	add	%eax, %ebx
	sub	$1, %r13d
	jnz	1b
	mov	%ebx, %eax
	ret_

# handler: of exceptions. It ends the call from the host with the place of the fault.
function handler
	.bundle_lock
	mov	%edi, %eax
	mov	192(%r15,%rax), %rbx
	.bundle_unlock
	call_	slot_clear_flag
	mov	%rbx, %rax
	jmp	slot_return

# stuck: another one, which does not say that it is done.
function stuck
	jmp	slot_return

function get
	.bundle_lock
	mov	%edi, %eax
	mov	(%r15,%rax), %eax
	.bundle_unlock
	ret_
function set
	.bundle_lock
	mov	%edi, %eax
	mov	%esi, (%r15,%rax)
	.bundle_unlock
	ret_

# ready(p): waits for messages. Before, it keeps addresses as they are, all 64 bits: base,
# stack and frame pointer at p, functions and data in registers, return addresses on its
# stack. After the first message it goes where they lead.
function ready
	mov	%edi, %r14d
	mov	%rsp, %rbp
	call_	keep
	movl	$1, %ecx
	store	%rcx, 80
1:	xor	%edi, %edi
	xor	%esi, %esi
	call_	slot_wait
	jmp	1b

function keep
	store	%r15, 0
	store	%rsp, 8
	store	%rbp, 16
	lea	add(%rip), %rbx
	lea	set(%rip), %r12
	lea	(%r15,%r14), %r13
	push	%rbx
	push	%rbp
	xor	%edi, %edi
	xor	%esi, %esi
	call_	slot_wait
	store	%r15, 24
	store	%rsp, 32
	store	%rbp, 40
	store	%rbx, 48
	.bundle_lock
	mov	%r13d, %eax
	movl	$77, 56(%r15,%rax)
	.bundle_unlock
	mov	$40, %edi
	mov	$2, %esi
	.bundle_lock align_to_end
	and	$-32, %ebx
	add	%r15, %rbx
	call	*%rbx
	.bundle_unlock
	lea	64(%r13), %edi
	mov	%eax, %esi
	.bundle_lock align_to_end
	and	$-32, %r12d
	add	%r15, %r12
	call	*%r12
	.bundle_unlock
	load	16, %rcx
	.bundle_lock
	mov	%ecx, %ebp
	add	%r15, %rbp
	.bundle_unlock
	load	8, %rcx
	.bundle_lock
	mov	%ecx, %esp
	add	%r15, %rsp
	.bundle_unlock
	store	%rbp, 72
	movl	$5, -256(%rbp)
	ret_
