# Instructions as the toolchain emits them, one of each kind, in AT&T syntax.
# The test assembles this file with llvm-mc in bundle mode and expects the
# validator to accept every byte. References stay inside the file.
	.text
	.bundle_align_mode 5
	.p2align 5
start:
# Frames on the data stack.
	addl	$-48, %r14d
	leal	-64(%r14), %r14d
	movq	%rbx, %gs:24(%r14d)
	movq	%rbp, %gs:32(%r14d)
	leal	48(%r14), %ebp
	movl	%r14d, %eax
	subq	%rax, %r14
	andl	$-32, %r14d
	addq	$64, %r14
	ret
	.p2align 5
# Calls, jumps, indirect ones.
calls:
	callq	start
	jmp	start
	je	start
	jne	calls
	jrcxz	1f
1:	loop	1b
	.bundle_lock
	andl	$-32, %r11d
	addq	%r15, %r11
	jmpq	*%r11
	.bundle_unlock
	.bundle_lock
	andl	$-32, %r11d
	addq	%r15, %r11
	callq	*%r11
	.bundle_unlock
	.bundle_lock
	andl	$-32, %eax
	addq	%r15, %rax
	callq	*%rax
	.bundle_unlock
	movl	$0x18000, %r11d
	.bundle_lock
	andl	$-32, %r11d
	addq	%r15, %r11
	callq	*%r11
	.bundle_unlock
	endbr64
	ud2
	int3
	hlt
	pause
# Addresses and position-independent references.
	{rex} leal	start(%rip), %eax
	leal	start(%rip), %r10d
	leaq	8(%rax,%rcx,4), %rdx
	leal	8(%rax,%rcx,4), %edx
	leaw	1(%rax), %dx
	movl	start(%rip), %eax
	{rex} movl	start(%rip), %eax
	movq	start(%rip), %r8
	movss	start(%rip), %xmm0
	vmovaps	start(%rip), %ymm0
	movq	%rax, start(%rip)
	lock	incl	start(%rip)
	movl	%gs:start(,%eiz,1), %eax
	movl	%gs:start(,%ecx,4), %eax
	movabsq	$0x123456789abcdef0, %rax
	movl	$start, %eax
# The thread pointer.
	movl	%fs:16, %eax
	{rex} movl	%fs:16, %eax
	movl	%fs:16, %r11d
# Integer instructions.
	addb	$1, %gs:(%eax)
	addw	$1, %gs:(%eax)
	addl	$1, %gs:(%eax)
	addq	$1, %gs:(%eax)
	adcq	%rax, %gs:8(%r14d)
	sbbl	%gs:(%r8d,%r9d,2), %eax
	cmpb	$0, %gs:5(%eax)
	cmpq	%gs:(%eax), %rdx
	testb	$4, %gs:5(%eax)
	notl	%gs:(%eax)
	negq	%gs:(%eax)
	imulq	%gs:(%eax), %rdx
	imulq	$100, %gs:(%eax), %rdx
	imull	$100, %ecx, %edx
	mulq	%gs:(%eax)
	divl	%gs:(%eax)
	idivq	%rcx
	cltq
	cqto
	cwtl
	cltd
	movsbl	%gs:(%eax), %ecx
	movsbw	%gs:(%eax), %cx
	movsbq	%al, %rcx
	movswq	%gs:(%eax), %rcx
	movslq	%gs:(%eax), %rcx
	movzbl	%ah, %ecx
	movzwl	%gs:(%eax), %ecx
	movb	%ah, %gs:(%eax)
	movw	$1, %gs:(%eax)
	movl	$1, %gs:(%eax)
	movq	$-1, %gs:(%eax)
	xchgl	%eax, %gs:(%ecx)
	xchgq	%rax, %rcx
	lock	cmpxchgl	%ecx, %gs:(%edx)
	lock	cmpxchgb	%cl, %gs:(%edx)
	lock	cmpxchg16b	%gs:(%esi)
	lock	xaddq	%rcx, %gs:(%edx)
	lock	xaddw	%cx, %gs:(%edx)
	lock	orl	$0, %gs:-8(%r14d)
	lock	btsl	$3, %gs:(%edx)
	mfence
	lfence
	sfence
	shlq	$3, %rax
	shlq	%cl, %gs:(%eax)
	sarl	%gs:(%eax)
	rorw	$8, %ax
	shldq	$3, %rax, %rcx
	shrdl	%cl, %eax, %ecx
	btq	%rax, %rcx
	btl	$3, %gs:(%eax)
	bsfq	%rax, %rcx
	bsrl	%gs:(%eax), %ecx
	sete	%al
	setne	%gs:(%eax)
	cmovgeq	%gs:(%eax), %rcx
	cmovbl	%eax, %ecx
	bswapq	%rax
	popcntq	%gs:(%eax), %rcx
	popcntw	%ax, %cx
	lzcntl	%eax, %ecx
	tzcntq	%gs:(%eax), %rcx
	movbeq	%gs:(%eax), %rcx
	movbel	%ecx, %gs:(%eax)
	crc32b	%al, %ecx
	crc32q	%gs:(%eax), %rcx
	adcxq	%rax, %rcx
	adoxq	%gs:(%eax), %rcx
	andnl	%gs:(%eax), %ecx, %edx
	bextrq	%rax, %gs:(%ecx), %rdx
	blsiq	%rax, %rcx
	blsrl	%gs:(%eax), %ecx
	blsmskq	%rax, %rcx
	bzhiq	%rax, %gs:(%ecx), %rdx
	mulxq	%gs:(%eax), %rcx, %rdx
	pdepq	%rax, %rcx, %rdx
	pextl	%gs:(%eax), %ecx, %edx
	rorxq	$7, %gs:(%eax), %rcx
	sarxq	%rax, %gs:(%ecx), %rdx
	shlxl	%eax, %ecx, %edx
	shrxq	%rax, %rcx, %rdx
	rdtsc
	cpuid
	clc
	stc
	cmc
	cld
	lahf
	sahf
	prefetcht0	%gs:64(%eax)
	prefetcht1	%gs:64(%eax)
	prefetcht2	%gs:64(%eax)
	prefetchw	%gs:64(%eax)
# x87.
	fldt	%gs:(%eax)
	fstpt	%gs:(%eax)
	fldl	%gs:(%eax)
	fsts	%gs:(%eax)
	fildll	%gs:(%eax)
	fistpll	%gs:(%eax)
	fisttpl	%gs:(%eax)
	faddp
	fmuls	%gs:(%eax)
	fdivrp	%st, %st(1)
	fxch	%st(2)
	fucomip	%st(1), %st
	fcomi	%st(1), %st
	fcmovne	%st(1), %st
	fchs
	fabs
	fld1
	fldz
	fldpi
	fsqrt
	frndint
	fscale
	fprem
	fyl2x
	fpatan
	f2xm1
	fsincos
	fnstsw	%ax
	fnstcw	%gs:(%eax)
	fldcw	%gs:(%eax)
	fnclex
	fninit
	fwait
	fnstenv	%gs:(%eax)
	fldenv	%gs:(%eax)
	stmxcsr	%gs:(%eax)
	ldmxcsr	%gs:(%eax)
	ffree	%st(1)
	fxam
# MMX and SSE.
	movq	%gs:(%eax), %mm0
	paddb	%mm1, %mm0
	movd	%mm0, %eax
	emms
	movaps	%xmm0, %gs:(%eax)
	movups	%gs:(%eax), %xmm9
	movsd	%gs:(%eax), %xmm0
	movss	%xmm0, %gs:(%eax)
	movd	%eax, %xmm0
	movq	%xmm0, %rax
	movq	%gs:(%eax), %xmm0
	movq	%xmm0, %gs:(%eax)
	movhps	%gs:(%eax), %xmm0
	movlpd	%xmm0, %gs:(%eax)
	movmskpd	%xmm0, %eax
	pmovmskb	%xmm0, %eax
	addsd	%gs:(%eax), %xmm0
	sqrtss	%xmm1, %xmm0
	cvtsi2sdq	%rax, %xmm0
	cvtsi2ssl	%gs:(%eax), %xmm0
	cvttsd2siq	%xmm0, %rax
	cvtss2sd	%xmm0, %xmm0
	cvtpd2ps	%xmm0, %xmm0
	ucomisd	%gs:(%eax), %xmm0
	cmpltsd	%xmm1, %xmm0
	pxor	%xmm0, %xmm0
	pshufd	$0xe0, %gs:(%eax), %xmm0
	shufps	$0, %xmm0, %xmm0
	psrldq	$8, %xmm0
	pinsrw	$1, %eax, %xmm0
	pextrw	$1, %xmm0, %eax
	pextrb	$1, %xmm0, %gs:(%eax)
	pinsrq	$1, %rax, %xmm0
	roundsd	$1, %xmm0, %xmm0
	pmulld	%gs:(%eax), %xmm0
	pshufb	%xmm1, %xmm0
	palignr	$3, %xmm1, %xmm0
	ptest	%xmm0, %xmm0
	pcmpistri	$0, %gs:(%eax), %xmm0
	blendvpd	%xmm0, %xmm1, %xmm2
	aesenc	%xmm1, %xmm0
	aeskeygenassist	$1, %xmm1, %xmm0
	pclmulqdq	$0x11, %xmm1, %xmm0
	sha1rnds4	$1, %xmm1, %xmm0
	sha256rnds2	%xmm0, %gs:(%eax), %xmm1
	sha256msg1	%xmm1, %xmm0
	lddqu	%gs:(%eax), %xmm0
	haddpd	%xmm1, %xmm0
	movddup	%gs:(%eax), %xmm0
# AVX, AVX2, FMA, F16C.
	vmovdqu	%gs:(%eax,%ecx,8), %ymm8
	vmovdqa	%ymm8, %gs:(%r8d)
	vmovsd	%xmm0, %xmm1, %xmm2
	vmovss	%gs:(%eax), %xmm2
	vmovd	%eax, %xmm0
	vmovq	%xmm0, %rax
	vaddpd	%gs:(%eax), %ymm1, %ymm2
	vcmpltsd	%xmm0, %xmm1, %xmm2
	vcvtsi2sdq	%rax, %xmm1, %xmm2
	vcvttsd2siq	%xmm0, %rax
	vpxor	%xmm0, %xmm0, %xmm0
	vpsrldq	$8, %ymm0, %ymm1
	vpslldq	$8, %ymm0, %ymm1
	vpbroadcastd	%gs:(%eax), %ymm0
	vbroadcastss	%xmm0, %ymm0
	vinserti128	$1, %gs:(%eax), %ymm0, %ymm0
	vextracti128	$1, %ymm0, %gs:(%eax)
	vperm2i128	$1, %ymm0, %ymm1, %ymm2
	vpermq	$0xd8, %ymm0, %ymm1
	vpermd	%ymm0, %ymm1, %ymm2
	vpmaskmovd	%gs:(%eax), %ymm0, %ymm1
	vmaskmovpd	%ymm0, %ymm1, %gs:(%eax)
	vpblendvb	%ymm0, %ymm1, %ymm2, %ymm3
	vpsllvq	%ymm0, %ymm1, %ymm2
	vpmovzxbd	%gs:(%eax), %ymm0
	vpmovmskb	%ymm0, %eax
	vptest	%ymm0, %ymm0
	vfmadd231pd	%gs:(%eax), %ymm1, %ymm2
	vfnmsub132ss	%xmm0, %xmm1, %xmm2
	vcvtps2ph	$0, %ymm0, %gs:(%eax)
	vcvtph2ps	%gs:(%eax), %ymm0
	vaesenc	%xmm0, %xmm1, %xmm2
	vpclmulqdq	$0, %xmm0, %xmm1, %xmm2
	vldmxcsr	%gs:(%eax)
	vextractps	$1, %xmm0, %eax
	vpextrd	$1, %xmm0, %gs:(%eax)
	vroundpd	$1, %ymm0, %ymm1
	vzeroupper
	vzeroall
	ret
