// test_memory.c: >>memory. A server and two loops made by hand, on an allocator that counts, checks the sizes it is
// given back and fails when it is told to.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

#define SLABS 64

static fsv_server server;
static fsi_loop loops[2];
static void *slab_table[SLABS];

static size_t live_bytes, live_blocks; // handed out and not given back
static long calls, fail_at;            // the fail_at-th call fails; 0: none
static fsi_lock counters;

static void *test_alloc(size_t size, void *user)
{
    uint64_t *block = NULL;
    CHECK(user == &server);
    fsi_lock_take(&counters);
    if (++calls != fail_at && (block = (uint64_t *)malloc(size + 16)) != NULL) {
        block[0] = size;
        live_bytes += size;
        live_blocks++;
    }
    fsi_lock_give(&counters);
    return block ? block + 2 : NULL;
}

static void test_release(void *memory, size_t size, void *user)
{
    uint64_t *block = (uint64_t *)memory - 2;
    CHECK(user == &server);
    CHECK_EQ(size, block[0]);
    fsi_lock_take(&counters);
    live_bytes -= size;
    live_blocks--;
    fsi_lock_give(&counters);
    free(block);
}

static void start(uint32_t slab_max)
{
    memset(&server, 0, sizeof server);
    memset(loops, 0, sizeof loops);
    memset(slab_table, 0, sizeof slab_table);
    live_bytes = live_blocks = 0;
    calls = fail_at = 0;
    server.desc.alloc = test_alloc;
    server.desc.release = test_release;
    server.desc.alloc_user = &server;
    server.slabs = slab_table;
    server.slab_max = slab_max;
    (void)fsi_lock_init(&server.lock);
    (void)fsi_lock_init(&counters);
    loops[0].server = loops[1].server = &server;
}

static void end(void)
{
    for (int i = 0; i < 2; i++) fsi_blocks_free(&loops[i]);
    for (uint32_t i = 0; i < server.slab_count; i++)
        fsi_release(&server, slab_table[i], sizeof(fsi_conn) * FSI_SLAB_CONNS);
    fsi_lock_free(&server.lock);
    fsi_lock_free(&counters);
    CHECK_EQ(live_blocks, 0);
    CHECK_EQ(live_bytes, 0);
}

// ---- allocator and blocks

// Goal: without an allocator of the caller's it is malloc's; a zeroed one is zero; releasing NULL is nothing.
TEST(alloc_default)
{
    start(0);
    server.desc.alloc = NULL;
    server.desc.release = NULL;
    char *memory = (char *)fsi_alloc_zero(&server, 1000);
    REQUIRE(memory != NULL);
    for (int i = 0; i < 1000; i++) CHECK_EQ(memory[i], 0);
    memset(memory, 1, 1000);
    fsi_release(&server, memory, 1000);
    fsi_release(&server, NULL, 10);
    CHECK_EQ(calls, 0);
}

// Goal: a block is never smaller than asked, *got is its true size, and the next size up begins right behind the last
// one.
TEST(block_sizes)
{
    static const struct row {
        size_t ask, got;
    } rows[] = {
        {0, 256},       {1, 256},       {255, 256},     {256, 256},     {257, 512},     {512, 512},
        {513, 1024},    {1024, 1024},   {1025, 2048},   {4096, 4096},   {4097, 8192},   {8193, 16384},
        {16385, 32768}, {32767, 32768}, {32768, 32768}, {32769, 32769}, {70001, 70001},
    };
    start(0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t got = 0;
        ROW("%zu", rows[i].ask);
        void *block = fsi_block_get(&loops[0], rows[i].ask, &got);
        REQUIRE(block != NULL);
        CHECK_EQ(got, rows[i].got);
        memset(block, 0xee, got); // all of it is ours
        fsi_block_put(&loops[0], block, got);
    }
    end();
}

// Goal: a block that was given back is the next one of its size, without the allocator; other sizes do not get it.
TEST(block_same_memory_again)
{
    size_t got;
    start(0);
    for (uint32_t k = 0; k < FSI_BLOCK_CLASSES; k++) {
        size_t size = (size_t)256 << k;
        ROW("%zu", size);
        void *first = fsi_block_get(&loops[0], size, &got), *second = fsi_block_get(&loops[0], size, &got);
        REQUIRE(first && second);
        CHECK(first != second);
        fsi_block_put(&loops[0], first, size);
        fsi_block_put(&loops[0], second, size);
        CHECK_EQ(loops[0].block_count[k], 2);
        long before = calls;
        CHECK(fsi_block_get(&loops[0], size - 1, &got) == second);
        CHECK(fsi_block_get(&loops[0], size - 100, &got) == first);
        CHECK_EQ(calls, before);
        CHECK_EQ(loops[0].block_count[k], 0);
        void *other = fsi_block_get(&loops[1], size, &got); // the other loop has none
        CHECK_EQ(calls, before + 1);
        fsi_block_put(&loops[0], first, size);
        fsi_block_put(&loops[0], second, size);
        fsi_block_put(&loops[1], other, size);
    }
    end();
}

// Goal: after a burst a loop keeps 128 KiB of each size and gives the rest back to the allocator, large blocks at once.
TEST(block_keeps_a_bounded_amount)
{
    static void *blocks[1000];
    start(0);
    for (uint32_t k = 0; k < FSI_BLOCK_CLASSES; k++) {
        size_t size = (size_t)256 << k, got, keep = 131072 / size, before = live_bytes;
        ROW("%zu", size);
        for (int i = 0; i < 1000; i++) {
            blocks[i] = fsi_block_get(&loops[0], size, &got);
            REQUIRE(blocks[i] != NULL);
        }
        for (int i = 0; i < 1000; i++) fsi_block_put(&loops[0], blocks[i], size);
        CHECK_EQ(loops[0].block_count[k], keep);
        CHECK_EQ(live_bytes - before, 131072);
    }
    size_t got, before = live_bytes;
    void *large = fsi_block_get(&loops[0], 100000, &got);
    fsi_block_put(&loops[0], large, got);
    fsi_block_put(&loops[0], NULL, 256);
    CHECK_EQ(live_bytes, before);
    end();
}

// Goal: blocks in use at the same time never overlap, whatever the order in which sizes come and go.
TEST(block_random_use)
{
    static struct held {
        unsigned char *block;
        size_t got;
        unsigned char mark;
    } held[64];
    memset(held, 0, sizeof held);
    uint32_t state = 7;
    start(0);
    for (int i = 0; i < 20000; i++) {
        state = state * 1664525u + 1013904223u;
        struct held *it = &held[(state >> 8) & 63];
        if (it->block) {
            for (size_t at = 0; at < it->got; at += it->got - 1) CHECK_EQ(it->block[at], it->mark); // both ends
            fsi_block_put(&loops[0], it->block, it->got);
            it->block = NULL;
        } else {
            it->block = (unsigned char *)fsi_block_get(&loops[0], (state >> 14) % 40000, &it->got);
            REQUIRE(it->block != NULL);
            it->mark = (unsigned char)(state >> 24);
            it->block[0] = it->block[it->got - 1] = it->mark;
        }
    }
    for (int i = 0; i < 64; i++) fsi_block_put(&loops[0], held[i].block, held[i].got);
    end();
}

// ---- connections

#define CONNS (5 * FSI_SLAB_CONNS)

// Goal: every connection has a slot of its own, and the table finds it there, which is what a handle stands on.
TEST(conn_slots_are_unique)
{
    static fsi_conn *conns[CONNS];
    static bool seen[CONNS];
    memset(seen, 0, sizeof seen);
    start(SLABS);
    for (int i = 0; i < CONNS; i++) {
        fsi_conn *conn = conns[i] = fsi_conn_get(&loops[i & 1]);
        REQUIRE(conn != NULL);
        ROW("%d slot %u", i, conn->slot);
        REQUIRE(conn->slot < server.slab_count * FSI_SLAB_CONNS);
        if (conn->slot < CONNS) {
            CHECK(!seen[conn->slot]);
            seen[conn->slot] = true;
        }
        fsi_conn *slab = (fsi_conn *)slab_table[conn->slot / FSI_SLAB_CONNS];
        CHECK(&slab[conn->slot % FSI_SLAB_CONNS] == conn);
        CHECK_EQ(conn->chan.fd, -1);
        CHECK_EQ(conn->state, FSI_CONN_FREE);
        CHECK(conn->timer.next == NULL && conn->timer.prev == NULL);
    }
    CHECK(server.slab_count <= CONNS / FSI_SLAB_CONNS + 1); // a slab begun on each loop
    for (int i = 0; i < CONNS; i++) fsi_conn_put(&loops[0], conns[i]);
    end();
}

// Goal: nothing is taken in advance, and a connection that ends is used again instead of new memory.
TEST(conn_memory_on_demand)
{
    start(SLABS);
    CHECK_EQ(live_bytes, 0);
    for (int i = 0; i < 1000; i++) {
        fsi_conn *conn = fsi_conn_get(&loops[0]);
        REQUIRE(conn != NULL);
        fsi_conn_put(&loops[0], conn);
    }
    CHECK_EQ(server.slab_count, 1);
    CHECK_EQ(live_blocks, 1);
    end();
}

// Goal: whoever kept slot and generation of a connection that ended sees that it is another one now, on any loop.
TEST(conn_generation_grows)
{
    static uint32_t last[2 * FSI_SLAB_CONNS];
    static bool met[2 * FSI_SLAB_CONNS];
    memset(last, 0, sizeof last);
    memset(met, 0, sizeof met);
    start(2);
    for (int i = 0; i < 5000; i++) {
        fsi_conn *conn = fsi_conn_get(&loops[0]);
        REQUIRE(conn != NULL && conn->slot < 2 * FSI_SLAB_CONNS);
        ROW("use %d of slot %u", i, conn->slot);
        if (met[conn->slot]) CHECK(conn->generation > last[conn->slot]);
        met[conn->slot] = true;
        last[conn->slot] = conn->generation;
        fsi_conn_put(&loops[i % 3 == 0], conn);
        CHECK(conn->generation != last[conn->slot]); // stale at once, not only when it is used again
        CHECK_EQ(conn->state, FSI_CONN_FREE);
        CHECK(conn->loop == NULL);
    }
    end();
}

// Goal: connections that are all accepted by one loop and end on the other one come back: memory does not grow, and
// none is in use twice or gets lost in a chain.
TEST(conn_drift_between_loops)
{
    enum { LIVE = 100, TURNS = 50000 };
    static fsi_conn *live[LIVE];
    static bool used[SLABS * FSI_SLAB_CONNS];
    memset(used, 0, sizeof used);
    start(SLABS);
    for (int i = 0; i < TURNS + LIVE; i++) {
        fsi_conn **at = &live[i % LIVE];
        ROW("turn %d", i);
        if (i >= LIVE) {
            used[(*at)->slot] = false;
            (*at)->timer.next = (*at)->timer.prev = NULL; // its owner took it out of the wheel
            fsi_conn_put(&loops[1], *at);
        }
        *at = fsi_conn_get(&loops[0]);
        REQUIRE(*at != NULL);
        REQUIRE(!used[(*at)->slot]);
        used[(*at)->slot] = true;
        CHECK((*at)->timer.next == NULL); // the chain's link is not left in it
        CHECK(loops[0].free_count <= 2 * FSI_SLAB_CONNS && loops[1].free_count <= 2 * FSI_SLAB_CONNS);
    }
    // In use, two chains' worth on the loop where they end, one on the other, one in the depot.
    CHECK(server.slab_count <= (LIVE + 4 * FSI_SLAB_CONNS) / FSI_SLAB_CONNS + 1);
    for (int i = 0; i < LIVE; i++) fsi_conn_put(&loops[1], live[i]);
    end();
}

// Goal: the free counts say how long the lists are, and lists plus depot hold every connection exactly once.
TEST(conn_free_lists_add_up)
{
    static fsi_conn *conns[CONNS];
    static int seen[SLABS * FSI_SLAB_CONNS];
    memset(seen, 0, sizeof seen);
    start(SLABS);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CONNS; i++) conns[i] = fsi_conn_get(&loops[round & 1]);
        for (int i = 0; i < CONNS; i++) {
            REQUIRE(conns[i] != NULL);
            fsi_conn_put(&loops[i % 3 == 0], conns[i]);
        }
    }
    uint32_t total = 0;
    for (int i = 0; i < 2; i++) {
        uint32_t length = 0;
        for (fsi_conn *conn = loops[i].free_conns; conn && length <= CONNS; conn = conn->next) {
            length++;
            seen[conn->slot]++;
        }
        CHECK_EQ(length, loops[i].free_count);
        total += length;
    }
    for (fsi_conn *chain = server.depot; chain && total <= SLABS * FSI_SLAB_CONNS;) {
        uint32_t length = 0;
        for (fsi_conn *conn = chain; conn && length <= CONNS; conn = conn->next) {
            length++;
            seen[conn->slot]++;
        }
        CHECK_EQ(length, FSI_SLAB_CONNS);
        total += length;
        memcpy(&chain, &chain->timer.next, sizeof(void *));
    }
    CHECK_EQ(total, server.slab_count * FSI_SLAB_CONNS);
    for (uint32_t i = 0; i < server.slab_count * FSI_SLAB_CONNS; i++) CHECK_EQ(seen[i], 1);
    CHECK(server.depot != NULL); // and all of it can be taken again, without the links of the chains
    for (uint32_t slabs = server.slab_count; server.depot || loops[0].free_conns;) {
        fsi_conn *conn = fsi_conn_get(&loops[0]);
        REQUIRE(conn != NULL && server.slab_count == slabs);
        ROW("slot %u", conn->slot);
        CHECK_EQ(seen[conn->slot]++, 1);
        CHECK(conn->timer.next == NULL && conn->timer.prev == NULL);
    }
    end();
}

// Goal: a full table is NULL, not a write behind it, and one that comes back can be taken again.
TEST(conn_table_full)
{
    static fsi_conn *conns[2 * FSI_SLAB_CONNS];
    start(2);
    for (int i = 0; i < 2 * FSI_SLAB_CONNS; i++) REQUIRE((conns[i] = fsi_conn_get(&loops[0])) != NULL);
    CHECK(fsi_conn_get(&loops[0]) == NULL);
    CHECK(fsi_conn_get(&loops[1]) == NULL);
    CHECK_EQ(server.slab_count, 2);
    CHECK(slab_table[2] == NULL);
    fsi_conn_put(&loops[0], conns[5]);
    CHECK(fsi_conn_get(&loops[0]) == conns[5]);
    for (int i = 0; i < 2 * FSI_SLAB_CONNS; i++) fsi_conn_put(&loops[0], conns[i]);
    CHECK(fsi_conn_get(&loops[1]) != NULL); // by way of the depot
    end();
}

// ---- out of memory

// Goal: whichever allocation fails, the call says so, nothing is half done, and the next call succeeds.
TEST(alloc_fails_at_every_call)
{
    for (int nth = 1; nth <= 8; nth++) {
        fsi_conn *conns[3 * FSI_SLAB_CONNS];
        void *block;
        size_t got, failures = 0, taken = 0;
        fsi_queue queue;
        ROW("call %d fails", nth);
        start(SLABS);
        fail_at = nth;
        if (!(block = fsi_block_get(&loops[0], 1000, &got))) failures++;
        fsi_block_put(&loops[0], block, got);
        if (!(block = fsi_block_get(&loops[0], 50000, &got))) failures++;
        fsi_block_put(&loops[0], block, got);
        if (fsi_queue_init(&queue, &server, 16))
            fsi_queue_free(&queue, &server);
        else
            failures++;
        CHECK(queue.cells == NULL);
        fsi_queue_free(&queue, &server); // safe on what never came to be
        while (taken < 3 * FSI_SLAB_CONNS) {
            uint32_t slabs = server.slab_count;
            fsi_conn *conn = fsi_conn_get(&loops[0]);
            if (conn) {
                conns[taken++] = conn;
                continue;
            }
            CHECK_EQ(server.slab_count, slabs);
            CHECK(loops[0].free_conns == NULL && loops[0].free_count == 0);
            REQUIRE(++failures < 3);
        }
        CHECK_EQ(failures, nth <= 6);
        CHECK_EQ(server.slab_count, 3);
        for (size_t i = 0; i < taken; i++) fsi_conn_put(&loops[1], conns[i]);
        end();
    }
}

// ---- two threads

enum { HANDED = 20000 };
static fsi_queue handed;

static void taker(void *unused)
{
    fsi_msg msg;
    (void)unused;
    for (int i = 0; i < HANDED;) {
        if (!fsi_queue_pop(&handed, &msg)) {
            os_yield();
            continue;
        }
        fsi_conn *conn = (fsi_conn *)msg.ptr;
        CHECK_EQ(conn->moved_s, msg.number);
        fsi_conn_put(&loops[1], conn);
        i++;
    }
}

// Goal: one loop takes connections while the other one ends them: the lock covers depot and table (TSan looks on).
TEST(conn_drift_between_threads)
{
    fsi_thread thread;
    start(SLABS);
    REQUIRE(fsi_queue_init(&handed, &server, 32));
    REQUIRE(fsi_thread_start(&thread, taker, NULL, "taker"));
    for (uint32_t i = 0; i < HANDED;) {
        fsi_conn *conn = fsi_conn_get(&loops[0]);
        if (!conn) {
            CHECK(conn);
            break;
        }
        fsi_msg msg;
        msg.kind = FSI_MSG_CONN;
        msg.number = conn->moved_s = i++;
        msg.ptr = conn;
        while (!fsi_queue_push(&handed, msg)) os_yield();
    }
    fsi_thread_join(&thread);
    CHECK(server.slab_count <= 5);
    fsi_queue_free(&handed, &server);
    end();
}

TEST_MAIN(CASE(alloc_default), CASE(block_sizes), CASE(block_same_memory_again), CASE(block_keeps_a_bounded_amount),
          CASE(block_random_use), CASE(conn_slots_are_unique), CASE(conn_memory_on_demand), CASE(conn_generation_grows),
          CASE(conn_drift_between_loops), CASE(conn_free_lists_add_up), CASE(conn_table_full),
          CASE(alloc_fails_at_every_call), CASE(conn_drift_between_threads))
