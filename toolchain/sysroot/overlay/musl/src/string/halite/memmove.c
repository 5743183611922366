/* memmove is in memcpy.c: the two are one function. */
typedef int nothing_here;
