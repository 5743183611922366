/* The end of the unwind table of a program or library: a zero length. */
__attribute__((section(".eh_frame"), used)) static const unsigned frame_end = 0;
