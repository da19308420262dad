// The implementation after system headers. On Linux those have then been read without _GNU_SOURCE (under -std=c11),
// so this must either build or say what to do in an #error, not fall over undeclared functions.
#include <stdio.h>
#include <stdlib.h>
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

int main(void)
{
    return puts(fsv_version()) < 0;
}
