// DT_INIT and DT_FINI beside the arrays.
//: lib a.so -Wl,-init,begin,-fini,end
void begin(void) { say("begin\n"); }
void end(void) { say("end\n"); }
UP(a) DOWN(a)
//: main a.so
int main(void) { say("main\n"); return 0; }
