#include <fenv.h>
#include <features.h>

/* Both units have rounding modes and flags of their own: setters write both,
 * readers join both. The x87 state is never loaded as a whole (fldenv would
 * also load instruction and data pointers); control word and flags are what
 * the interface promises. */

static inline unsigned read_sw(void)
{
	unsigned short sw;
	__asm__ __volatile__ ("fnstsw %0" : "=a"(sw));
	return sw;
}

static inline unsigned short read_cw(void)
{
	unsigned short cw;
	__asm__ __volatile__ ("fnstcw %0" : "=m"(cw));
	return cw;
}

static inline void write_cw(unsigned short cw)
{
	__asm__ __volatile__ ("fldcw %0" : : "m"(cw));
}

static inline unsigned read_mxcsr(void)
{
	return __builtin_ia32_stmxcsr();
}

static inline void write_mxcsr(unsigned v)
{
	__builtin_ia32_ldmxcsr(v);
}

int feclearexcept(int mask)
{
	unsigned sw = read_sw(), mx = read_mxcsr();

	mask &= FE_ALL_EXCEPT;
	if (sw & mask) {
		/* All x87 flags go; those to keep move to the other unit. */
		__asm__ __volatile__ ("fnclex");
		mx |= sw & FE_ALL_EXCEPT;
	}
	write_mxcsr(mx & ~mask);
	return 0;
}

int feraiseexcept(int mask)
{
	write_mxcsr(read_mxcsr() | (mask & FE_ALL_EXCEPT));
	return 0;
}

int fetestexcept(int mask)
{
	return (read_sw() | read_mxcsr()) & mask & FE_ALL_EXCEPT;
}

int fegetround(void)
{
	return read_mxcsr() >> 3 & FE_TOWARDZERO;
}

hidden int __fesetround(int r)
{
	write_cw((read_cw() & ~FE_TOWARDZERO) | r);
	write_mxcsr((read_mxcsr() & ~(FE_TOWARDZERO << 3)) | (unsigned)r << 3);
	return 0;
}

int fegetenv(fenv_t *env)
{
	*env = (fenv_t){
		.__control_word = read_cw(),
		.__status_word = read_sw(),
		.__tags = 0xffff,
		.__mxcsr = read_mxcsr(),
	};
	return 0;
}

int fesetenv(const fenv_t *env)
{
	unsigned short cw = 0x37f;
	unsigned mx = 0x1f80;

	if (env != FE_DFL_ENV) {
		cw = env->__control_word;
		mx = env->__mxcsr | (env->__status_word & FE_ALL_EXCEPT);
	}
	__asm__ __volatile__ ("fnclex");
	write_cw(cw);
	write_mxcsr(mx);
	return 0;
}
