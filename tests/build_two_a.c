// One of two units: it has the implementation. The other, build_two_b.c, has the program.
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"
