# Guest code for the tests of the runtime. It is not validated. It stands at
# 0x20000 of the sandbox; absolute operands carry a null index so that the
# address size is 32 bits. 0x100000 is read-write memory.

.set linux,      0x18000
.set ctl_depth,  0x18020
.set ctl_unwind, 0x18040
.set slot_null,  0x10000+32*1
.set slot_none,  0x10000+32*2
.set counter,    0x100000
.set jump,       0x100100

.macro function name
.p2align 5
.globl \name
\name:
.endm

.text
function add
	lea	(%rdi,%rsi), %rax
	ret

function spin
1:	jmp	1b

# call(nr, a0, a1): one call of the host.
function call
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	call	linux
	ret

# calls(nr, n): n of them; the sum of the results.
function calls
	mov	%rdi, %rbp
	mov	%rsi, %rbx
	xor	%r12d, %r12d
1:	mov	%rbp, %rax
	call	linux
	add	%rax, %r12
	dec	%rbx
	jnz	1b
	mov	%r12, %rax
	ret

function nullcall
	call	slot_null
	ret

function nonecall
	call	slot_none
	ret

# count(): the word at counter goes up for ever.
function count
1:	lock incl	%gs:counter(,%eiz,1)
	jmp	1b

# A signal handler: adds its first argument to the word at counter+8.
function handler
	lock add	%edi, %gs:counter+8(,%eiz,1)
	xor	%eax, %eax
	mov	$-1, %rbx
	mov	$-1, %r12
	ret

# A signal handler that makes a call of the host and returns.
function callinghandler
	mov	%rsi, %rax
	call	linux
	lock add	%edi, %gs:counter+8(,%eiz,1)
	ret

# preserved(n): loops n times and returns the sum of registers that must not
# change, each set to its number.
function preserved
	mov	$2, %ebx
	mov	$12, %r12d
	mov	$13, %r13d
	mov	$8, %r8d
	mov	$9, %r9d
	mov	$10, %r10d
	mov	$6, %ebp
1:	dec	%rdi
	jnz	1b
	lea	(%rbx,%r12), %rax
	add	%r13, %rax
	add	%r8, %rax
	add	%r9, %rax
	add	%r10, %rax
	add	%rbp, %rax
	ret

# setjmp around calls(nr, n); the handler below jumps back here: the result is
# then what it gave.
function guarded
	mov	%rdi, %r13
	mov	%rsi, %r12
	call	ctl_depth
	mov	%rax, %gs:jump(,%eiz,1)
	mov	%r13, %rdi
	mov	%r12, %rsi
	call	calls
	ret

.p2align 5
landing:
	mov	%gs:counter+16(,%eiz,1), %rax
	ret

# A handler that leaves by a jump into guarded.
function jumpinghandler
	lock incl	%gs:counter+16(,%eiz,1)
	mov	%gs:jump(,%eiz,1), %rdi
	lea	landing(%rip), %esi
	call	ctl_unwind
	hlt

# jumploop(nr, n): n times guarded(nr, 1).
function jumploop
	mov	%rdi, %gs:jump+8(,%eiz,1)
	mov	%rsi, %gs:jump+16(,%eiz,1)
1:	mov	%gs:jump+8(,%eiz,1), %rdi
	mov	$1, %esi
	call	guarded
	decq	%gs:jump+16(,%eiz,1)
	jnz	1b
	mov	%gs:counter+16(,%eiz,1), %rax
	ret

function nullread
	mov	%gs:8(,%eiz,1), %rax
	ret

function nested
	call	nullread
	ret

function divide
	xor	%ecx, %ecx
	mov	$1, %eax
	cltd
	div	%ecx
	ret

function illegal
	ud2

function recurse
	call	recurse
	ret

# A handler for faults that repairs divide: it can't, so it jumps.
function fixhandler
	lock incl	%gs:counter+16(,%eiz,1)
	mov	%gs:jump(,%eiz,1), %rdi
	lea	landing(%rip), %esi
	call	ctl_unwind
	hlt

# guardedfault(fn): calls fn (one of the above) with a place to jump to.
function guardedfault
	mov	%rdi, %r13
	call	ctl_depth
	mov	%rax, %gs:jump(,%eiz,1)
	mov	%r13, %r11
	and	$-32, %r11d
	add	%r15, %r11
	call	*%r11
	ret
