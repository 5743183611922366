/* Parts of calls that the server's half and the native client's share. */
#ifndef NACL_CALL_H
#define NACL_CALL_H

#include "nacl.h"

#define NACL_CALL_WORD 0x314c4143u /* "CAL1" */
#define NACL_CALL_MORE 1u
#define NACL_CALL_FAILED 2u
#define NACL_CALL_DESCS 1024 /* of a call, in one direction */

/* 0, or an error number; EIO: the connection has ended. part has room for the largest
 * message of a connection; who receives often keeps it. */
int nacl_call_receive(int fd, struct nacl_imc_message *m, int *failed, unsigned char *part) __attribute__((visibility("hidden")));
int nacl_call_send(int fd, const struct nacl_imc_message *m, int failed) __attribute__((visibility("hidden")));
void nacl_call_drop(struct nacl_imc_message *m) __attribute__((visibility("hidden")));

#endif
