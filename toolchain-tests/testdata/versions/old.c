int value(void);
__asm__(".symver value,value@V1");
int old_value(void) { return value(); }
