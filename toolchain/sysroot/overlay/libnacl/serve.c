/* The server's half of a call: docs/imc.md, "A call". It stands on the calls that
 * messages are sent with, so it is the same in a domain and outside. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nacl.h"
#include "call.h"

/* What a client may ask for at the most. */
#define MAX_REQUEST (64u << 20)

int nacl_call_receive(int fd, struct nacl_imc_message *m, int *failed, unsigned char *part)
{
	int error = 0;

	memset(m, 0, sizeof *m);
	for (int more = 1; more && !error;) {
		int descs[NACL_IMC_DESC_MAX];
		struct nacl_imc_iovec iov = {NACL_POINTER(part), NACL_IMC_BYTES_MAX};
		struct nacl_imc_msghdr h = {.iov = NACL_POINTER(&iov), .iov_length = 1, .descv = NACL_POINTER(descs), .desc_length = NACL_IMC_DESC_MAX};
		int n = nacl_imc_recvmsg(fd, &h, 0);
		if (n < 0) {
			error = errno;
			break;
		}
		/* The descriptors first: whatever is wrong, they are ours to close. */
		if (h.desc_length) {
			int *all = m->desc_count + h.desc_length <= NACL_CALL_DESCS ? realloc(m->descs, (m->desc_count + h.desc_length) * sizeof *all) : 0;
			if (!all) {
				for (unsigned i = 0; i < h.desc_length; i++)
					if (descs[i] >= 0) close(descs[i]);
				error = ENOMEM;
				break;
			}
			memcpy(all + m->desc_count, descs, h.desc_length * sizeof *all);
			m->descs = all;
			m->desc_count += h.desc_length;
		}
		uint32_t word[2];
		if (n < (int)sizeof word) {
			error = EPROTO;
			break;
		}
		memcpy(word, part, sizeof word);
		more = word[1] & NACL_CALL_MORE;
		n -= sizeof word;
		if (word[0] != NACL_CALL_WORD || word[1] & ~(uint32_t)(NACL_CALL_MORE | NACL_CALL_FAILED) || (more && !n && !h.desc_length)) {
			error = EPROTO;
			break;
		}
		/* A failure makes void what was answered before. */
		if (word[1] & NACL_CALL_FAILED) m->size = 0;
		if (m->size + n > MAX_REQUEST) {
			error = EMSGSIZE;
			break;
		}
		if (n) {
			unsigned char *all = realloc(m->data, m->size + n);
			if (!all) {
				error = ENOMEM;
				break;
			}
			memcpy(all + m->size, part + sizeof word, n);
			m->data = all;
			m->size += n;
		}
		*failed = (word[1] & NACL_CALL_FAILED) != 0;
	}
	if (error) nacl_call_drop(m);
	return error;
}

void nacl_call_drop(struct nacl_imc_message *m)
{
	for (size_t i = 0; i < m->desc_count; i++)
		if (m->descs[i] >= 0) close(m->descs[i]);
	free(m->descs);
	free(m->data);
	memset(m, 0, sizeof *m);
}

int nacl_call_send(int fd, const struct nacl_imc_message *m, int failed)
{
	size_t data = 0, descs = 0;

	do {
		size_t n = m->size - data, d = m->desc_count - descs;
		if (n > NACL_IMC_BYTES_MAX - 8) n = NACL_IMC_BYTES_MAX - 8;
		if (d > NACL_IMC_DESC_MAX) d = NACL_IMC_DESC_MAX;
		int more = data + n < m->size || descs + d < m->desc_count;
		uint32_t word[2] = {NACL_CALL_WORD, (more ? NACL_CALL_MORE : 0) | (failed && !more ? NACL_CALL_FAILED : 0)};
		struct nacl_imc_iovec iov[2] = {{NACL_POINTER(word), sizeof word}, {NACL_POINTER((char *)m->data + data), n}};
		struct nacl_imc_msghdr h = {.iov = NACL_POINTER(iov), .iov_length = n ? 2 : 1, .descv = NACL_POINTER(m->descs + descs), .desc_length = d};
		if (nacl_imc_sendmsg(fd, &h, 0) < 0) return errno;
		data += n;
		descs += d;
	} while (data < m->size || descs < m->desc_count);
	return 0;
}

static void fail(int fd, int error)
{
	char text[300];
	uint32_t number = error;

	memcpy(text, &number, 4);
	strncpy(text + 4, strerror(error), sizeof text - 5);
	text[sizeof text - 1] = 0;
	struct nacl_imc_message m = {text, 4 + strlen(text + 4), 0, 0};
	nacl_call_send(fd, &m, 1);
}

int nacl_imc_serve(int bound, nacl_imc_handler *handler, void *context)
{
	/* Once for all calls: memory of this size comes from the host, each time. */
	unsigned char *part = malloc(NACL_IMC_BYTES_MAX);

	if (!part) return -1;
	for (;;) {
		int fd = nacl_imc_accept(bound);
		if (fd < 0) {
			int error = errno;
			free(part);
			errno = error;
			return error == EIO ? 0 : -1;
		}
		struct nacl_imc_message request, reply = {0};
		int failed, error = nacl_call_receive(fd, &request, &failed, part);
		if (error) {
			if (error != EIO) fail(fd, error);
		} else {
			error = handler(context, &request, &reply);
			if (!error) error = nacl_call_send(fd, &reply, 0);
			if (error) fail(fd, error);
			nacl_call_drop(&request);
			nacl_call_drop(&reply);
		}
		close(fd);
	}
}
