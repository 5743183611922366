/* Trampolines of closures for the halite ABI, in place of libffi's own
   src/tramp.c. No domain can make code at run time, so the library comes with
   a fixed number of trampolines (trampolines.S, made by the recipe), each with
   a pair of words in writable memory. When all are taken, ffi_closure_alloc
   returns NULL, which ctypes reports as MemoryError.  */

#include <fficonfig.h>
#include <ffi.h>
#include <ffi_common.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <tramp.h>

#include "x86/internal64.h"
#include "x86/trampolines.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* Where ffi_halite_trampoline finds what trampoline i stands for.  */
struct parm
{
  void *closure;
  void *code;
};
HIDDEN struct parm ffi_halite_parms[TRAMPOLINES];
extern char ffi_halite_table[] HIDDEN;	/* 32 bytes each */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint16_t next_free[TRAMPOLINES];	/* index + 1 of the next free one */
static uint16_t first_free;		/* index + 1 */
static int used;			/* trampolines that were ever handed out */

int
ffi_tramp_is_supported (void)
{
  return 1;
}

void *
ffi_tramp_alloc (int flags)
{
  int i = -1;
  (void) flags;
  pthread_mutex_lock (&lock);
  if (first_free)
    {
      i = first_free - 1;
      first_free = next_free[i];
    }
  else if (used < TRAMPOLINES)
    i = used++;
  pthread_mutex_unlock (&lock);
  return i < 0 ? 0 : &ffi_halite_parms[i];
}

void
ffi_tramp_set_parms (void *tramp, void *code, void *closure)
{
  struct parm *p = tramp;
  p->code = code;
  p->closure = closure;
}

void *
ffi_tramp_get_addr (void *tramp)
{
  return ffi_halite_table + 32 * ((struct parm *) tramp - ffi_halite_parms);
}

void
ffi_tramp_free (void *tramp)
{
  struct parm *p = tramp;
  int i = p - ffi_halite_parms;
  pthread_mutex_lock (&lock);
  p->code = p->closure = 0;
  next_free[i] = first_free;
  first_free = i + 1;
  pthread_mutex_unlock (&lock);
}

/* What a called function left in rax, rdx, xmm0 and xmm1.  */
struct results
{
  uint64_t rax, rdx, xmm0[2], xmm1[2];
};

/* ffi_call_unix64 ends here, but for x87 results.  */
HIDDEN void
ffi_halite_store (unsigned flags, void *to, const struct results *r)
{
  uint64_t value, pair[2];
  switch (flags & 0xff)
    {
    case UNIX64_RET_UINT8: value = (uint8_t) r->rax; break;
    case UNIX64_RET_UINT16: value = (uint16_t) r->rax; break;
    case UNIX64_RET_UINT32: value = (uint32_t) r->rax; break;
    case UNIX64_RET_SINT8: value = (int64_t) (int8_t) r->rax; break;
    case UNIX64_RET_SINT16: value = (int64_t) (int16_t) r->rax; break;
    case UNIX64_RET_SINT32: value = (int64_t) (int32_t) r->rax; break;
    case UNIX64_RET_INT64: value = r->rax; break;
    case UNIX64_RET_XMM32: memcpy (to, r->xmm0, 4); return;
    case UNIX64_RET_XMM64: memcpy (to, r->xmm0, 8); return;
    case UNIX64_RET_ST_XMM0_RAX: pair[0] = r->xmm0[0]; pair[1] = r->rax; goto structure;
    case UNIX64_RET_ST_RAX_XMM0: pair[0] = r->rax; pair[1] = r->xmm0[0]; goto structure;
    case UNIX64_RET_ST_XMM0_XMM1: pair[0] = r->xmm0[0]; pair[1] = r->xmm1[0]; goto structure;
    case UNIX64_RET_ST_RAX_RDX: pair[0] = r->rax; pair[1] = r->rdx; goto structure;
    default: __builtin_trap ();
    }
  memcpy (to, &value, 8);
  return;
structure:
  memcpy (to, pair, flags >> UNIX64_SIZE_SHIFT);
}
