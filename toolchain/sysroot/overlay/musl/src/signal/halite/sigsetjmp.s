# sigsetjmp is in setjmp.s, which it shares its second half with.
	.text
