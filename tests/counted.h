// counted.h: an allocator for a server under test. It counts what is live, is told which call fails, and fills what it gives,
// so that nobody lives on zeros that were there by chance. A block that is given back with another size fails the case.
#ifndef COUNTED_H
#define COUNTED_H
#include "test.h"

static size_t live_bytes;
static long alloc_calls, alloc_fail_at; // counted from 1; 0: none fails

static void *world_alloc(size_t size, void *user)
{
    (void)user;
    if (++alloc_calls == alloc_fail_at) return NULL;
    uint64_t *block = (uint64_t *)malloc(size + 16);
    if (!block) return NULL;
    block[0] = size;
    memset(block + 2, 0xa5, size);
    live_bytes += size;
    return block + 2;
}

static void world_release(void *memory, size_t size, void *user)
{
    uint64_t *block = (uint64_t *)memory - 2;
    (void)user;
    CHECK_EQ(size, block[0]);
    live_bytes -= size;
    free(block);
}
#endif
