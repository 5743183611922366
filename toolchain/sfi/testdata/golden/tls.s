# Thread-local storage.
	.text
	.type	tls, @function
tls:
	pushq	%rbx
	movq	%fs:0, %rax
	movq	%fs:0, %r9
	addq	%fs:0, %rcx
	movl	%fs:x@tpoff, %eax
	movl	%eax, %fs:x@tpoff+4
	leaq	x@tpoff(%rax), %rax
	movq	y@gottpoff(%rip), %rdx
	movl	%fs:(%rdx), %eax
	movl	$5, %fs:8(%rdx,%rcx,4)
	movb	%ah, %fs:x@tpoff
	lock addl	$1, %fs:x@tpoff
	data16	leaq	x@tlsgd(%rip), %rdi
	.value	0x6666
	rex64
	call	__tls_get_addr@PLT
	leaq	y@tlsld(%rip), %rdi
	call	__tls_get_addr@PLT
	movl	y@dtpoff(%rax), %eax
	popq	%rbx
	ret
