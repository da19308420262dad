// One of two units: it only uses what build_two_a.c implements. Includes twice, as projects do.
#include "../fastserve.h"
#include "../fastserve.h"
#include <string.h>

int main(void)
{
    fsv_server *server = NULL;
    if (fsv_server_create(&server, NULL) != FSV_OK) return 1;
    if (fsv_server_free(server) != FSV_OK) return 1;
    return strcmp(fsv_version(), FSV_VERSION) != 0;
}
