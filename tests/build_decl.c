// Declarations only: builds.sh looks at which headers this pulls in and which macros it leaves behind.
#include "../fastserve.h"

fsv_server_desc build_decl_desc;
