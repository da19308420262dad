// Everything private to this unit: no name of the library may be visible to the linker.
#define FASTSERVE_STATIC
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

int main(void)
{
    return fsv_version()[0] == 0;
}
