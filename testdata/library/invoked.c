/* A program that answers messages: what it is told first says how. */
#include <errno.h>
#include <nacl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char in[1000], out[140000];
static int fds_in[4], fds_out[9];

int main(void)
{
	struct nacl_imc_iovec iv = { NACL_POINTER(in), sizeof in - 100 }, iv2[2], ov = { NACL_POINTER(out), 0 };
	iv2[0] = (struct nacl_imc_iovec){ NACL_POINTER(in), 10 };
	iv2[1] = (struct nacl_imc_iovec){ NACL_POINTER(in) + 10, 890 };
	int n = sprintf(out, "ready");
	int nfd = 0, count = 0;

	for (;;) {
		ov.length = n;
		struct nacl_imc_msghdr reply = { NACL_POINTER(&ov), 1, NACL_POINTER(fds_out), nfd, 0 };
		struct nacl_imc_msghdr request = { NACL_POINTER(count % 2 ? iv2 : &iv), count % 2 ? 2 : 1, NACL_POINTER(fds_in), 4, 0 };
		int got = nacl_return_and_wait(&reply, &request);
		if (got < 0) {
			n = sprintf(out, "error %d", errno);
			nfd = 0;
			continue;
		}
		count++;
		in[got] = 0;
		nfd = 0;
		n = sprintf(out, "%d:%s", count, in);
		if (request.flags) n += sprintf(out + n, " flags %d", request.flags);
		if (request.desc_length) {
			char line[100];
			int k = read(fds_in[0], line, sizeof line - 1);
			n += sprintf(out + n, " read %.*s", k < 0 ? 0 : k, line);
			for (unsigned i = 0; i < request.desc_length; i++) close(fds_in[i]);
		}
		if (!strcmp(in, "pipe")) {
			pipe(fds_out);
			nfd = 2;
		}
		if (!strcmp(in, "object")) {
			/* descriptor 3 is an object, whose answer is ours */
			struct nacl_imc_iovec q = { NACL_POINTER(in), got }, a = { NACL_POINTER(out), sizeof out };
			struct nacl_imc_msghdr ask = { NACL_POINTER(&q), 1, 0, 0, 0 }, answer = { NACL_POINTER(&a), 1, NACL_POINTER(fds_out), 4, 0 };
			n = nacl_imc_call(3, &ask, &answer);
			if (n < 0) n = sprintf(out, "error %d", errno);
			else nfd = answer.desc_length;
		}
		if (!strcmp(in, "badfd")) fds_out[0] = 77, nfd = 1;
		if (!strcmp(in, "toomany")) nfd = 9;
		if (!strcmp(in, "toolong")) n = sizeof out;
		if (!strcmp(in, "crash")) *(volatile int *)16 = 1;
		if (!strcmp(in, "exit")) return 5;
		if (!strcmp(in, "spin")) for (;;) __asm__ volatile("");
	}
}
