# Two programs of the classic ABI that print a line and their arguments: one makes
# NaCl's calls as a static newlib program does, the other finds the functions that it
# needs through the IRT.

.set slot_exit,  0x10000+32*30
.set slot_write, 0x10000+32*13
.set text,       0x10000000	# 6 bytes, then a space and a newline
.set space,      text+6
.set newline,    text+7
.set basic,      text+0x10	# names of interfaces
.set fdio,       text+0x40
.set tables,     0x10020000	# basic at 0, fdio at 0x20
.set count,      tables+0x60

.bundle_align_mode 5

.macro function name
.p2align 5, 0x90
.globl \name
\name:
.endm
.macro call_ target
	.bundle_lock align_to_end
	call	\target
	.bundle_unlock
.endm
.macro ret_
	pop	%r11
	.bundle_lock
	and	$-32, %r11d
	add	%r15, %r11
	jmp	*%r11
	.bundle_unlock
.endm
.macro at off, index, reg
	.bundle_lock
	mov	\index, %r11d
	mov	\off(%r15,%r11), \reg
	.bundle_unlock
.endm

.text
function newlib
	xor	%r14d, %r14d
	jmp	main

# The info block: 0, envc, argc, argv..., 0, envp..., 0, auxv.
function irt
	mov	%edi, %ebx
	at	4, %ebx, %eax
	at	8, %ebx, %ecx
	lea	20(%rbx,%rax,4), %r12d
	lea	(%r12,%rcx,4), %r12d
1:	at	0, %r12d, %eax
	test	%eax, %eax
	jz	fail
	cmp	$32, %eax
	je	2f
	add	$8, %r12d
	jmp	1b
2:	at	4, %r12d, %r14d
	mov	$basic, %edi
	mov	$tables, %esi
	mov	$24, %edx
	mov	%r14d, %eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
	cmp	$24, %eax
	jne	fail
	mov	$fdio, %edi
	mov	$tables+0x20, %esi
	mov	$32, %edx
	mov	%r14d, %eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
	cmp	$32, %eax
	jne	fail
	mov	%ebx, %edi
	mov	$1, %r14d

# edi = info, r14d = 1: through the IRT
function main
	mov	%edi, %ebx
	mov	$text, %esi
	mov	$6, %edx
	call_	put
	at	8, %ebx, %r13d
	lea	16(%rbx), %r12d		# argv[1]
1:	sub	$1, %r13d
	jle	3f
	at	0, %r12d, %esi
	xor	%edx, %edx
2:	lea	(%rsi,%rdx), %eax
	.bundle_lock
	mov	%eax, %eax
	movb	(%r15,%rax), %al
	.bundle_unlock
	test	%al, %al
	jz	4f
	add	$1, %edx
	jmp	2b
4:	call_	put
	add	$4, %r12d
	cmp	$1, %r13d
	je	1b
	mov	$space, %esi
	mov	$1, %edx
	call_	put
	jmp	1b
3:	mov	$newline, %esi
	mov	$1, %edx
	call_	put
	mov	$69, %edi
	jmp	finish

function fail
	mov	$1, %edi
	call_	slot_exit
	hlt

# esi, edx: what to write.
function put
	mov	$1, %edi
	test	%r14d, %r14d
	jnz	1f
	call_	slot_write
	ret_
1:	mov	$count, %ecx
	mov	tables+0x20+16(%r15), %eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
	ret_

function finish
	test	%r14d, %r14d
	jnz	1f
	call_	slot_exit
	hlt
1:	mov	tables(%r15), %eax
	.bundle_lock align_to_end
	and	$-32, %eax
	add	%r15, %rax
	call	*%rax
	.bundle_unlock
	hlt
