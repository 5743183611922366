	.file	"a.c"
	.text
.Ltext0:
	.file 0 "/src" "a.c"
	.type	lines, @function
lines:
.LFB0:
	.file 1 "a.c"
	.loc 1 3 1 view -0
	.cfi_startproc
	.loc 1 4 2 is_stmt 1 view .LVU1
#APP
# 12 "a.c" 1
	nop # comment; nop
	/* comment */ movl (%rdi), %eax /* over
	lines */ ; nop
# 0 "" 2
#NO_APP
	.loc 1 5 1 is_stmt 0 view .LVU2
	ret
	.cfi_endproc
.LFE0:
	.section	.debug_loclists,"",@progbits
	.uleb128 .LVU1
	.string	"# not; a comment \" /* */"
