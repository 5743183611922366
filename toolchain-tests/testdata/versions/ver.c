int value_1(void) { return 1; }
int value_2(void) { return 2; }
__asm__(".symver value_1,value@V1");
__asm__(".symver value_2,value@@V2");
