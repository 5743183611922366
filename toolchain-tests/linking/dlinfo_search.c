// dlinfo tells where a library is searched that another one needs, and where that one came from.
// env: LD_LIBRARY_PATH=$LIBS:/nowhere
// skip musl: knows only RTLD_DI_LINKMAP
//: lib a.so -Wl,--enable-new-dtags,-rpath,/somewhere:$ORIGIN/sub
int a(void) { return 1; }
//: main
#include <limits.h>
#include <link.h>
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	char origin[PATH_MAX], sub[PATH_MAX + 9];
	Dl_serinfo size, *s;
	Lmid_t lmid = 77;
	int r = dlinfo(h, RTLD_DI_ORIGIN, origin);
	say("%d %d\n", r, !strcmp(origin, getenv("LD_LIBRARY_PATH")) || !strncmp(origin, getenv("LD_LIBRARY_PATH"), strlen(origin)));
	sprintf(sub, "%s/sub", origin);
	r = dlinfo(h, RTLD_DI_LMID, &lmid);
	say("%d %d\n", r, (int)(lmid - LM_ID_BASE));
	r = dlinfo(h, RTLD_DI_SERINFOSIZE, &size);
	s = malloc(size.dls_size);
	memset(s, 0xee, size.dls_size);
	say("%d", r);
	say(" %d", dlinfo(h, RTLD_DI_SERINFOSIZE, s));
	say(" %d", s->dls_size == size.dls_size && s->dls_cnt == size.dls_cnt);
	say(" %d\n", dlinfo(h, RTLD_DI_SERINFO, s));
	for (unsigned i = 0; i < s->dls_cnt; i++) {
		const char *n = s->dls_serpath[i].dls_name;
		if (!strcmp(n, origin)) say("libs\n");
		if (!strcmp(n, sub)) say("sub\n");
		if (!strcmp(n, "/nowhere") || !strcmp(n, "/somewhere") || !strcmp(n, "/usr/lib")) say("%s\n", n);
		if (n < (char *)&s->dls_serpath[s->dls_cnt] || n + strlen(n) >= (char *)s + s->dls_size) say("outside\n");
	}
	say("%d %d\n", dlinfo(h, 12345, s), dlerror() != 0);
	return 0;
}
