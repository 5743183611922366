extern __thread int shared_tls;
static __thread int own2 = 3;
int t2_sum(int k) { own2 += k; return shared_tls + own2; }
