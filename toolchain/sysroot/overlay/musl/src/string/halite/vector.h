/* Vectors for the string functions. Loads and stores are of any alignment and
 * may alias anything; the compiler's own vector types give both. */
#ifndef VECTOR_H
#define VECTOR_H

#include <features.h>
#include <stddef.h>
#include <stdint.h>

typedef char v16 __attribute__((vector_size(16)));
typedef char v32 __attribute__((vector_size(32)));
typedef v16 v16u __attribute__((aligned(1), may_alias));
typedef v32 v32u __attribute__((aligned(1), may_alias));
typedef v16 v16a __attribute__((may_alias));
typedef uint64_t u64u __attribute__((aligned(1), may_alias));
typedef uint32_t u32u __attribute__((aligned(1), may_alias));
typedef uint16_t u16u __attribute__((aligned(1), may_alias));

#define LOAD32(p) (*(const v32u *)(p))
#define LOAD16(p) (*(const v16u *)(p))
#define LOAD8(p) (*(const u64u *)(p))
#define LOAD4(p) (*(const u32u *)(p))
#define LOAD2(p) (*(const u16u *)(p))
#define STORE32(p, v) (*(v32u *)(p) = (v))
#define STORE16(p, v) (*(v16u *)(p) = (v))
#define STORE8(p, v) (*(u64u *)(p) = (v))
#define STORE4(p, v) (*(u32u *)(p) = (v))
#define STORE2(p, v) (*(u16u *)(p) = (v))

/* An aligned load reads no further than the string's own page. */
#define ALIGNED16(p) (*(const v16a *)(p))

/* One bit for each byte that compares equal. */
#define MASK16(a, b) ((unsigned)__builtin_ia32_pmovmskb128((v16)((a) == (b))))

#define SPLAT16(c) ((v16){ c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c })

/* Functions that use 32-byte registers. They end with vzeroupper, which the
 * compiler adds. */
#define WIDE_TARGET __attribute__((target("avx,tune=generic"), noinline))

/* Whether 32-byte registers can be used: 0 not asked yet, 1 no, 2 yes. */
extern hidden volatile char __halite_wide;
hidden int __halite_ask_wide(void);

static inline int wide(void)
{
	int w = __halite_wide;

	return w ? w == 2 : __halite_ask_wide();
}

#endif
