// Arguments and environment arrive as they were given.
// args: one "two words" "" --flag=x "tab\there" "ünï"
// env: HALITE_A=alpha HALITE_EMPTY= "HALITE_B=with space"
// short
#include <stdio.h>
#include <stdlib.h>
extern char **environ;
int main(int argc, char **argv, char **envp)
{
	printf("%d arguments\n", argc - 1);
	for (int i = 1; i < argc; i++)
		printf("[%s]\n", argv[i]);
	printf("ends with null: %d\n", argv[argc] == 0);
	printf("envp is environ: %d\n", envp == environ);
	printf("%s|%s|%s|%d\n", getenv("HALITE_A"), getenv("HALITE_EMPTY"), getenv("HALITE_B"), getenv("HALITE_C") == 0);
	return 0;
}
