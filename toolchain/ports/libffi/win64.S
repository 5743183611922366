/* Windows' calling convention does not exist in a domain: whoever asks libffi
   for it stops here.  */

	.text
	.globl	ffi_call_win64, ffi_closure_win64, ffi_closure_win64_alt, ffi_go_closure_win64
	.hidden	ffi_call_win64
	.hidden	ffi_closure_win64
	.hidden	ffi_closure_win64_alt
	.hidden	ffi_go_closure_win64
	.type	ffi_call_win64, @function
	.type	ffi_closure_win64, @function
	.type	ffi_closure_win64_alt, @function
	.type	ffi_go_closure_win64, @function
ffi_call_win64:
ffi_closure_win64:
ffi_closure_win64_alt:
ffi_go_closure_win64:
	ud2
	.size	ffi_call_win64, .-ffi_call_win64

	.section .note.GNU-stack,"",@progbits
