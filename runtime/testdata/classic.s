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
