/* __builtin_cpu_init, __builtin_cpu_supports, __builtin_cpu_is: the tables
 * that gcc 12 compiles these into, filled from cpuid.
 *
 * A feature is reported only if code that uses it passes the validator:
 * nothing that needs registers which the host does not keep (AVX-512, AMX). */

#define PUBLIC __attribute__((visibility("hidden")))

PUBLIC struct {
	unsigned vendor, type, subtype, features[1];
} __cpu_model;
PUBLIC unsigned __cpu_features2[2];

/* Numbers of gcc's enumeration of features. */
enum {
	F_CMOV, F_MMX, F_POPCNT, F_SSE, F_SSE2, F_SSE3, F_SSSE3, F_SSE4_1, F_SSE4_2, F_AVX, F_AVX2, F_SSE4_A, F_FMA4, F_XOP, F_FMA,
	F_BMI = 16, F_BMI2, F_AES, F_PCLMUL,
	F_CX16 = 41, F_F16C = 50, F_FXSR = 52, F_LAHF_LM = 55, F_LZCNT = 57, F_MOVBE = 58, F_SHA = 73,
};

static void set(int f)
{
	if (f < 32) __cpu_model.features[0] |= 1u << f;
	else __cpu_features2[(f - 32) / 32] |= 1u << (f - 32) % 32;
}

static void cpuid(unsigned leaf, unsigned r[4])
{
	__asm__ ("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(0));
}

PUBLIC int __cpu_indicator_init(void)
{
	unsigned r[4], most;

	if (__cpu_model.vendor) return 0;
	cpuid(0, r);
	most = r[0];
	unsigned vendor = r[1] == 0x756e6547 ? 1 : r[1] == 0x68747541 ? 2 : 3; /* Intel, AMD, another */
	if (most >= 1) {
		static const struct { unsigned char word, bit, feature; } basic[] = {
			{3, 15, F_CMOV}, {3, 23, F_MMX}, {3, 24, F_FXSR}, {3, 25, F_SSE}, {3, 26, F_SSE2},
			{2, 0, F_SSE3}, {2, 1, F_PCLMUL}, {2, 9, F_SSSE3}, {2, 13, F_CX16}, {2, 19, F_SSE4_1}, {2, 20, F_SSE4_2},
			{2, 22, F_MOVBE}, {2, 23, F_POPCNT}, {2, 25, F_AES},
		};
		cpuid(1, r);
		for (unsigned i = 0; i < sizeof basic / sizeof *basic; i++)
			if (r[basic[i].word] >> basic[i].bit & 1) set(basic[i].feature);
		int wide = (r[2] >> 27 & 1) && (r[2] >> 28 & 1);
		if (wide) {
			set(F_AVX);
			if (r[2] >> 12 & 1) set(F_FMA);
			if (r[2] >> 29 & 1) set(F_F16C);
		}
		if (most >= 7) {
			cpuid(7, r);
			if (r[1] >> 3 & 1) set(F_BMI);
			if (r[1] >> 8 & 1) set(F_BMI2);
			if (r[1] >> 29 & 1) set(F_SHA);
			if (wide && r[1] >> 5 & 1) set(F_AVX2);
		}
	}
	cpuid(0x80000000, r);
	if (r[0] >= 0x80000001) {
		cpuid(0x80000001, r);
		if (r[2] & 1) set(F_LAHF_LM);
		if (r[2] >> 5 & 1) set(F_LZCNT);
		if (r[2] >> 6 & 1) set(F_SSE4_A);
	}
	__cpu_model.vendor = vendor;
	return 0;
}
