// The whole header as C, in the only way a newcomer needs to know.
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

int main(void)
{
    return fsv_version()[0] == 0;
}
