# A program of the classic ABI that makes the calls which a test has put into its
# data, and functions that such calls need. It is loaded and validated as any other.
#
# A record has 64 bytes: u32 address to call, u32 address of a word that holds the
# address instead, six arguments of 64 bits, result. A record of 0 ends the list, and
# the program, with status 0. The entry's argument is kept at 0x1003fff8.

.set script, 0x10020000
.set info,   0x1003fff8
.set shared, 0x1003f000		# counters
.set slot_exit,         0x10000+32*30
.set slot_thread_exit,  0x10000+32*81
.set slot_clear_flag,   0x10000+32*89
.set slot_futex_wake,   0x10000+32*121

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

.macro field off, reg
	.bundle_lock
	mov	%r12d, %r11d
	mov	\off(%r15,%r11), \reg
	.bundle_unlock
.endm

# A call ends its bundle, so that it returns behind itself.
.macro call_ target
	.bundle_lock align_to_end
	call	\target
	.bundle_unlock
.endm

.text
function _start
	mov	%rdi, info(%r15)
	mov	%esp, %r13d
	mov	$script, %r12d
next:
	field	0, %eax
	field	4, %ecx
	test	%ecx, %ecx
	jz	1f
	.bundle_lock
	mov	%ecx, %ecx
	mov	(%r15,%rcx), %eax
	.bundle_unlock
1:	test	%eax, %eax
	jz	done
	field	8, %rdi
	field	16, %rsi
	field	24, %rdx
	field	32, %rcx
	field	40, %r8
	field	48, %r9
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
result:
	.bundle_lock
	mov	%r12d, %r11d
	mov	%rax, 56(%r15,%r11)
	.bundle_unlock
	add	$64, %r12d
	jmp	next
done:	xor	%edi, %edi
	call_	slot_exit
	hlt

# A handler of exceptions that goes on behind the record that faulted, with the
# address of the context as its result.
function handler
	mov	%edi, %ebx
	mov	%rsp, shared+0x100(%r15)
	mov	$shared+0x208, %edi
	.bundle_lock
	mov	%edi, %edi
	lea	(%r15,%rdi), %rdi
	stosl
	.bundle_unlock
	mov	%edi, shared+0x200(%r15)	# tells which way strings go
	call_	slot_clear_flag
	mov	%ebx, %eax
	.bundle_lock
	mov	%r13d, %esp
	add	%r15, %rsp
	.bundle_unlock
	jmp	result

# One that faults itself.
function badhandler
	ud2

function fault_illegal
	ud2
function fault_read
	mov	0x123(%r15), %eax
function fault_divide
	xor	%edx, %edx
	xor	%ecx, %ecx
	mov	$1, %eax
	div	%ecx
function fault_halt
	hlt
function fault_registers
	mov	$0x1111111111111111, %rax
	mov	$0x2222222222222222, %rbx
	mov	$0x3333333333333333, %rcx
	mov	$0x4444444444444444, %rdx
	mov	$0x5555555555555555, %rsi
	mov	$0x6666666666666666, %rdi
	mov	$0x8888888888888888, %r8
	mov	$0x9999999999999999, %r9
	mov	$0xaaaaaaaaaaaaaaaa, %r10
	mov	$0xbbbbbbbbbbbbbbbb, %r11
	mov	$0xeeeeeeeeeeeeeeee, %r14
	std
	ud2

# Writes to and jumps at its argument.
function poke
	.bundle_lock
	mov	%edi, %eax
	mov	%esi, (%r15,%rax)
	.bundle_unlock
	ret_
function peek
	.bundle_lock
	mov	%edi, %eax
	mov	(%r15,%rax), %eax
	.bundle_unlock
	ret_
function jump
	.bundle_lock
	and	$-32, %edi
	add	%r15, %rdi
	jmp	*%rdi
	.bundle_unlock

# The word at the stack pointer, by way of an address that is 4095 bytes above it.
function top
	push	$0x55
	.bundle_lock
	lea	4095(%rsp), %eax
	mov	-4095(%r15,%rax), %eax
	.bundle_unlock
	pop	%rcx
	ret_

# Flags by way of ah.
function flags
	xor	%eax, %eax
	sahf
	mov	$-1, %eax
	lahf
	movzbl	%ah, %eax
	ret_

# Stores around the caches to 64 bytes at edi, with esi in all of them.
function streams
	movd	%esi, %mm0
	punpckldq %mm0, %mm0
	movd	%esi, %xmm0
	pshufd	$0, %xmm0, %xmm0
	.bundle_lock
	mov	%edi, %edx
	prefetchnta (%r15,%rdx)
	.bundle_unlock
	.bundle_lock
	mov	%edi, %edx
	movnti	%esi, (%r15,%rdx)
	.bundle_unlock
	.bundle_lock
	mov	%edi, %edx
	movnti	%esi, 4(%r15,%rdx)
	.bundle_unlock
	.bundle_lock
	mov	%edi, %edx
	movntq	%mm0, 8(%r15,%rdx)
	.bundle_unlock
	.bundle_lock
	mov	%edi, %edx
	movntps	%xmm0, 16(%r15,%rdx)
	.bundle_unlock
	.bundle_lock
	mov	%edi, %edx
	movntdq	%xmm0, 32(%r15,%rdx)
	.bundle_unlock
	mov	%esi, %eax
	shl	$32, %rax
	mov	%esi, %ecx
	or	%rcx, %rax
	.bundle_lock
	mov	%edi, %edx
	movnti	%rax, 48(%r15,%rdx)
	.bundle_unlock
	movnti	%rax, shared+0x240+(1f-1f)(%rip)
1:
	emms
	mov	shared+0x244(%r15), %eax
	ret_

# control(mxcsr, fcw, call): both after a call, as mxcsr<<16 | fcw.
function control
	push	%rdi
	push	%rsi
	ldmxcsr	8(%rsp)
	fldcw	(%rsp)
	mov	%edx, %eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
	stmxcsr	8(%rsp)
	fnstcw	(%rsp)
	pop	%rax
	movzwl	%ax, %eax
	pop	%rcx
	shl	$16, %rcx
	or	%rcx, %rax
	push	$0x1f80
	ldmxcsr	(%rsp)
	movl	$0x37f, (%rsp)
	fldcw	(%rsp)
	pop	%rcx
	ret_

# remap(address, n): maps 64 KiB there n times, in the place of what was there.
function remap
	mov	%edi, %r14d
	mov	%esi, %ebx
1:	mov	%r14d, %edi
	mov	$0x10000, %esi
	mov	$3, %edx
	mov	$0x32, %ecx		# private, anonymous, fixed
	mov	$-1, %r8d
	mov	$shared+0x250, %r9d	# 0
	call_	0x10000+32*21
	cmp	%r14d, %eax
	jne	2f
	sub	$1, %ebx
	jnz	1b
2:	ret_

# await(address, n): yields until the word there is at least n; the word.
function await
	mov	%edi, %r14d
	mov	%esi, %ebx
1:	call_	0x10000+32*32
	.bundle_lock
	mov	%r14d, %ecx
	mov	(%r15,%rcx), %eax
	.bundle_unlock
	cmp	%ebx, %eax
	jb	1b
	ret_

# wake(futex, n): wakes until n threads have been woken, never more than that; the sum.
function wake
	mov	%edi, %r14d
	mov	%esi, %ebx
	xor	%edx, %edx
	push	%rdx
1:	mov	%r14d, %edi
	mov	%ebx, %esi
	call_	slot_futex_wake
	add	%eax, (%rsp)
	sub	%eax, %ebx
	jle	2f
	call_	0x10000+32*32
	jmp	1b
2:	pop	%rax
	ret_

# What the tests read: argument plus one; two counters of hooks.
function increment
	lea	1(%rdi), %eax
	ret_
function prehook
	lock incl shared+0x10(%r15)
	ret_
function posthook
	lock incl shared+0x14(%r15)
	ret_

# A thread: notes its registers, adds to a counter, wakes whoever waits for it, ends.
function thread
	mov	%rsp, shared+0x80(%r15)
	mov	%rbp, shared+0x88(%r15)
	mov	%rdi, shared+0x90(%r15)
	mov	%r11, shared+0x98(%r15)
	or	%rax, %rbx
	or	%rcx, %rbx
	or	%rdx, %rbx
	or	%rsi, %rbx
	or	%r8, %rbx
	or	%r9, %rbx
	or	%r10, %rbx
	or	%r12, %rbx
	or	%r13, %rbx
	or	%r14, %rbx
	mov	%rbx, shared+0xa0(%r15)
	call_	0x10000+32*84
	mov	%rax, shared+0xa8(%r15)
	call_	0x10000+32*86
	mov	%rax, shared+0xb0(%r15)
	lock incl shared(%r15)
	mov	$shared, %edi
	mov	$100, %esi
	call_	slot_futex_wake
	mov	$shared+4, %edi
	call_	slot_thread_exit
	hlt

# A thread that spins until the word at shared+0x20 is not 0.
function spinner
1:	cmpl	$0, shared+0x20(%r15)
	je	1b
	lock incl shared(%r15)
	xor	%edi, %edi
	call_	slot_thread_exit
	hlt

# A thread that adds to the word whose address is at shared+0x60 until the word at
# shared+0x20 is not 0.
function adder
1:	.bundle_lock
	mov	shared+0x60(%r15), %eax
	lock incl (%r15,%rax)
	.bundle_unlock
	lock incl shared+0x64(%r15)
	cmpl	$0, shared+0x20(%r15)
	je	1b
	jmp	ended

# A thread that counts at shared+0x68 and waits with the futex whose address lies on top
# of its stack.
function waiter
	.bundle_lock
	mov	%edi, %edi
	mov	(%r15,%rdi), %edi
	.bundle_unlock
	lock incl shared+0x68(%r15)
	xor	%esi, %esi
	xor	%edx, %edx
	call_	0x10000+32*120
	jmp	ended

# A thread with a stack for exceptions, which begins at the address on top of its own
# and has 0x400 bytes; it faults.
function faulter
	.bundle_lock
	mov	%edi, %edi
	mov	(%r15,%rdi), %edi
	.bundle_unlock
	mov	$0x400, %esi
	call_	0x10000+32*88
	ud2

# The handler for it: the context's address goes into shared+0x180.
function threadhandler
	mov	%edi, shared+0x180(%r15)
	call_	slot_clear_flag
function ended
	lock incl shared(%r15)
	mov	$shared, %edi
	mov	$100, %esi
	call_	slot_futex_wake
	xor	%edi, %edi
	call_	slot_thread_exit
	hlt

# A thread that waits on the mutex in shared+0x30, adds 1000 to shared+0x34 by way of
# a register, and ends.
function locker
	mov	$1000, %ebx
1:	mov	shared+0x30(%r15), %edi
	call_	0x10000+32*71
	mov	shared+0x34(%r15), %r14d
	add	$1, %r14d
	call_	0x10000+32*32
	mov	%r14d, shared+0x34(%r15)
	mov	shared+0x30(%r15), %edi
	call_	0x10000+32*73
	sub	$1, %ebx
	jnz	1b
	lock incl shared(%r15)
	mov	$shared, %edi
	mov	$100, %esi
	call_	slot_futex_wake
	xor	%edi, %edi
	call_	slot_thread_exit
	hlt

# A thread that locks the mutex in shared+0x30, signals the condition variable in
# shared+0x38, unlocks and ends.
function signaller
	mov	shared+0x30(%r15), %edi
	call_	0x10000+32*71
	movl	$1, shared+0x3c(%r15)
	mov	shared+0x38(%r15), %edi
	call_	0x10000+32*76
	mov	shared+0x30(%r15), %edi
	call_	0x10000+32*73
	mov	shared+0x40(%r15), %edi
	call_	0x10000+32*102
	xor	%edi, %edi
	call_	slot_thread_exit
	hlt

# A thread that calls the function whose address is in shared+0x50, again and again
# until the word at shared+0x20 is not 0. shared+0x58 counts the calls, shared+0x5c
# those that returned neither 1 nor 2.
function caller
1:	mov	shared+0x50(%r15), %eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
	incl	shared+0x58(%r15)
	sub	$1, %eax
	cmp	$1, %eax
	jbe	2f
	incl	shared+0x5c(%r15)
2:	cmpl	$0, shared+0x20(%r15)
	je	1b
	lock incl shared(%r15)
	mov	$shared, %edi
	mov	$100, %esi
	call_	slot_futex_wake
	xor	%edi, %edi
	call_	slot_thread_exit
	hlt
