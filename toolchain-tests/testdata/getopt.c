// Short and long options.
// args: -a -b value --long=arg --flag -c -- rest -x
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	int flag = 0, c, i;
	struct option o[] = {{"long", required_argument, 0, 'l'}, {"flag", no_argument, &flag, 5}, {"opt", optional_argument, 0, 'o'}, {0}};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "ab:d", o, &i)) != -1)
		printf("%d(%c) %s\n", c, c > 31 ? c : '.', optarg ? optarg : "-");
	printf("%d %s\n", flag, argv[optind]);
	optind = 1;
	opterr = 1;
	while ((c = getopt(argc, argv, "ab:")) != -1 && optind < 4)
		printf("%c\n", c);
	return 0;
}
