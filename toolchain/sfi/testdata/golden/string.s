# String instructions.
	.text
	.type	string, @function
string:
	movsb
	movsl	(%rsi), %es:(%rdi)
	stosq
	lodsw
	scasb
	cmpsl
	rep movsq
	rep
	stosl
	repne scasb
	repz cmpsb
	rep; nop
	ret
