// An undefined instruction.
// stderr: (?i)sigill
int main(void)
{
	__builtin_trap();
}
