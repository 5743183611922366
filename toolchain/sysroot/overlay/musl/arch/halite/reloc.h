/* Relocations are those of x86-64. In a domain only a static
 * position-independent program relocates itself; the host does the rest. */
#define LDSO_ARCH "halite"

#define REL_SYMBOLIC R_X86_64_64
#define REL_GOT      R_X86_64_GLOB_DAT
#define REL_PLT      R_X86_64_JUMP_SLOT
#define REL_RELATIVE R_X86_64_RELATIVE
#define REL_COPY     R_X86_64_COPY
#define REL_DTPMOD   R_X86_64_DTPMOD64
#define REL_DTPOFF   R_X86_64_DTPOFF64
#define REL_TPOFF    R_X86_64_TPOFF64

/* A function's address without a relocation. */
#define GETFUNCSYM(fp, sym, got) __asm__ ( \
	".hidden " #sym "\n" \
	"	leaq " #sym "(%%rip),%0\n" \
	: "=r"(*fp))
