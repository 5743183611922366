/* Cancellation points are in pthread_cancel.c. */
typedef int nothing_here;
