// SSE and SSE2 intrinsics: arithmetic, shuffles, compares, conversions, unaligned and streaming access, control register.
#include <emmintrin.h>
#include <stdio.h>
#include <string.h>
static void show(const char *n, __m128i v)
{
	unsigned char b[16];
	_mm_storeu_si128((__m128i *)b, v);
	printf("%-10s", n);
	for (int i = 0; i < 16; i++)
		printf("%02x", b[i]);
	printf("\n");
}
static void showd(const char *n, __m128d v) { double d[2]; _mm_storeu_pd(d, v); printf("%-10s%a %a\n", n, d[0], d[1]); }
static void showf(const char *n, __m128 v) { float d[4]; _mm_storeu_ps(d, v); printf("%-10s%a %a %a %a\n", n, d[0], d[1], d[2], d[3]); }
int main(void)
{
	static char mem[128] __attribute__((aligned(16)));
	for (int i = 0; i < 128; i++)
		mem[i] = i * 37 + 5;
	__m128i a = _mm_load_si128((__m128i *)(mem + 16)), b = _mm_loadu_si128((__m128i *)(mem + 35));
	show("add8", _mm_add_epi8(a, b)); show("adds16", _mm_adds_epi16(a, b)); show("sub64", _mm_sub_epi64(a, b));
	show("mul16", _mm_mullo_epi16(a, b)); show("madd", _mm_madd_epi16(a, b)); show("muludq", _mm_mul_epu32(a, b));
	show("sad", _mm_sad_epu8(a, b)); show("avg", _mm_avg_epu8(a, b)); show("min", _mm_min_epi16(a, b));
	show("cmpgt", _mm_cmpgt_epi8(a, b)); show("cmpeq", _mm_cmpeq_epi32(a, a)); show("and", _mm_andnot_si128(a, b));
	show("sll", _mm_slli_epi32(a, 7)); show("sra", _mm_srai_epi16(a, 3)); show("bytes", _mm_srli_si128(a, 5));
	show("packs", _mm_packs_epi16(a, b)); show("unpack", _mm_unpackhi_epi8(a, b)); show("shuf", _mm_shuffle_epi32(a, 0x1b));
	show("shuflo", _mm_shufflelo_epi16(a, 0x93)); show("insert", _mm_insert_epi16(a, 0x1234, 3));
	printf("%x %d %d\n", _mm_movemask_epi8(a), _mm_extract_epi16(b, 5), _mm_cvtsi128_si32(a));
	__m128d x = _mm_set_pd(2.5, -1.25), y = _mm_set1_pd(3);
	showd("addd", _mm_add_pd(x, y)); showd("divd", _mm_div_pd(x, y)); showd("sqrt", _mm_sqrt_pd(y)); showd("max", _mm_max_pd(x, y));
	showd("cmplt", _mm_and_pd(_mm_cmplt_pd(x, y), y)); showd("unpck", _mm_unpacklo_pd(x, y)); showd("cvt", _mm_cvtepi32_pd(a));
	__m128 f = _mm_set_ps(1, 2, 3, 4), g = _mm_set_ps(0.5, -2, 8, 100);
	showf("mulf", _mm_mul_ps(f, g)); showf("shuff", _mm_shuffle_ps(f, g, 0x4e)); showf("movehl", _mm_movehl_ps(f, g));
	showf("cvt", _mm_cvtepi32_ps(_mm_srai_epi32(a, 20))); showf("rndtrip", _mm_cvtpd_ps(x));
	show("cvtps", _mm_cvtps_epi32(g)); show("cvttpd", _mm_cvttpd_epi32(x));
	printf("%d %d %lld\n", _mm_comilt_sd(x, y), _mm_ucomieq_ss(f, g), (long long)_mm_cvtsd_si64(x));
	_mm_stream_si128((__m128i *)(mem + 48), a);
	_mm_stream_si32((int *)(mem + 4), 0x11223344);
	_mm_sfence();
	_mm_prefetch(mem, _MM_HINT_T0);
	_mm_storeh_pd((double *)(mem + 65), x);
	_mm_storel_epi64((__m128i *)(mem + 81), b);
	unsigned h = 0;
	for (int i = 0; i < 128; i++)
		h = h * 31 + (unsigned char)mem[i];
	printf("%u\n", h);
	unsigned csr = _mm_getcsr();
	_mm_setcsr(csr | 0x8040);
	volatile double tiny = 1e-308;
	volatile double z = tiny * 0.1;
	_mm_setcsr(csr & ~0x3fu);
	printf("flushed to zero: %d\n", z == 0);
	_mm_mfence();
	_mm_pause();
	return 0;
}
