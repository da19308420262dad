// The whole header as C++; a zero desc is {} here.
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"
#include <cstring>

int main()
{
    fsv_server_desc desc = {};
    fsv_server *server = nullptr;
    if (fsv_server_create(&server, &desc) != FSV_OK) return 1;
    if (fsv_server_free(server) != FSV_OK) return 1;
    return std::strcmp(fsv_version(), FSV_VERSION) != 0;
}
