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
