#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <stdlib.h>
__thread int tl; __thread int te=4; static __thread int ts=3;
int ext(int,...); void cold(void) __attribute__((cold,noreturn));
jmp_buf jb;
int sw(int x){ switch(x){case 0:return ext(1);case 1:return ext(2,x);case 2: return ext(3);case 3: return 4;case 4: return ext(9);case 5: return ext(44); case 9: return 12; } return 0;}
int sj(int x){ if(setjmp(jb)) return 3; return ext(x);}
int al(int n){ char *p=alloca(n); ext(1,p); char q[n]; ext(2,q); return p[3];}
int va(int n,...){ va_list a; va_start(a,n); int s=0; while(n--) s+=va_arg(a,int); return s;}
int vd(int n,...){ va_list a; va_start(a,n); double s=0; while(n--) s+=va_arg(a,double); return s;}
int tls(void){ return tl+te+ts; } int *tlp(void){return &te;}
int tailp(int (*f)(int),int x){ return f(x+1);}
int colder(int x){ if(x==3) {ext(1);cold();} return ext(x)+1;}
int cg(int*p){ static void*t[]={&&a,&&b,&&c}; int n=0; goto *t[*p]; a: n++; p++; goto *t[*p]; b: n+=2;p++; goto *t[*p]; c: return n;}
struct B{int x[40];}; int bs(struct B b); int bs2(struct B*b){ return bs(*b);}
int al32(void){ int a[8] __attribute__((aligned(64))); ext(1,a); return a[3];}
int cmpx(long a,long b, long*c){ if(a<b) return ext(1); return c[a]; }
