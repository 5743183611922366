__thread int shared_tls = 11;
__thread char big_tls[5000];
static __thread int counter;
static __thread double aligned __attribute__((aligned(128))) = 2.5;
int *t1_addr(void) { return &shared_tls; }
int t1_next(void) { return ++counter + (((unsigned long)&aligned & 127) != 0) * 100000; }
