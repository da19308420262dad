// bench.h: bench.c and what it stands on, in one translation unit for what tests it, without the server that a run
// without a URL measures. A test includes test.h before it.
#ifndef FASTSERVE_TEST_BENCH_H
#define FASTSERVE_TEST_BENCH_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc)
{
    (void)desc;
    *server = NULL;
    return FSV_ERR_UNSUPPORTED;
}
#include "../bench.c"

// A test uses a part of bench.c; the rest is not forgotten code.
static inline int bench_rest(int argc, char **argv)
{
    return bench_main(argc, argv);
}
#endif
