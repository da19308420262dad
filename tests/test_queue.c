// test_queue.c: >>queue. First alone, against a plain ring; then with eight threads, where every value must come out
// once.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

static fsv_server server; // all zero: malloc and free
static fsi_queue queue;

static fsi_msg message(uint32_t kind, uint32_t number, uintptr_t value)
{
    fsi_msg msg;
    msg.kind = kind;
    msg.number = number;
    msg.ptr = (void *)value;
    return msg;
}

// Goal: a queue is empty at first and again after the last message; a failed pop leaves the caller's message alone.
TEST(queue_empty)
{
    REQUIRE(fsi_queue_init(&queue, &server, 4));
    for (int lap = 0; lap < 10; lap++) {
        fsi_msg msg = message(77, 88, 99);
        CHECK(!fsi_queue_pop(&queue, &msg));
        CHECK(msg.kind == 77 && msg.number == 88 && (uintptr_t)msg.ptr == 99);
        CHECK(fsi_queue_push(&queue, message(1, 2, 3)));
        CHECK(fsi_queue_pop(&queue, &msg));
        CHECK(msg.kind == 1 && msg.number == 2 && (uintptr_t)msg.ptr == 3); // all of it came over
    }
    fsi_queue_free(&queue, &server);
    CHECK(queue.cells == NULL);
    fsi_queue_free(&queue, &server); // twice is nothing
}

// Goal: it takes exactly its capacity, refuses the next one without harm, and one pop makes room for one push.
TEST(queue_full)
{
    static const uint32_t capacities[] = {2, 4, 8, 1024};
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        uint32_t capacity = capacities[c];
        fsi_msg msg;
        REQUIRE(fsi_queue_init(&queue, &server, capacity));
        for (uint32_t lap = 0; lap < 5; lap++) { // each begins at another cell
            ROW("capacity %u lap %u", capacity, lap);
            for (uint32_t i = 0; i < capacity; i++) CHECK(fsi_queue_push(&queue, message(0, lap, i)));
            CHECK(!fsi_queue_push(&queue, message(0, lap, 1000000)));
            CHECK(!fsi_queue_push(&queue, message(0, lap, 1000000)));
            CHECK(fsi_queue_pop(&queue, &msg) && (uintptr_t)msg.ptr == 0 && msg.number == lap);
            CHECK(fsi_queue_push(&queue, message(0, lap, capacity)));
            CHECK(!fsi_queue_push(&queue, message(0, lap, 1000000)));
            for (uint32_t i = 1; i <= capacity; i++) CHECK(fsi_queue_pop(&queue, &msg) && (uintptr_t)msg.ptr == i);
            CHECK(!fsi_queue_pop(&queue, &msg));
            CHECK(fsi_queue_push(&queue, message(0, lap, 5)) && fsi_queue_pop(&queue, &msg)); // shifts the next lap
        }
        fsi_queue_free(&queue, &server);
    }
}

// Goal: any mix of pushes and pops, over thousands of laps, gives what a counter of first and last gives.
TEST(queue_against_a_ring)
{
    static const uint32_t capacities[] = {2, 8, 64};
    uint32_t state = 1;
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        uintptr_t first = 0, last = 0; // values in the queue: [first, last)
        REQUIRE(fsi_queue_init(&queue, &server, capacities[c]));
        for (int i = 0; i < 200000; i++) {
            fsi_msg msg;
            state = state * 1664525u + 1013904223u;
            ROW("capacity %u step %d", capacities[c], i);
            if (state >> 31) {
                bool want = last - first < capacities[c];
                CHECK_EQ(fsi_queue_push(&queue, message(0, 0, last)), want);
                last += want;
            } else {
                bool want = first != last;
                CHECK_EQ(fsi_queue_pop(&queue, &msg), want);
                if (want) CHECK_EQ((uintptr_t)msg.ptr, first);
                first += want;
            }
        }
        fsi_queue_free(&queue, &server);
    }
}

// Goal: positions that overflow 64 bits are only numbers: full and empty are still told apart.
TEST(queue_positions_overflow)
{
    const uint64_t begin = UINT64_MAX - 5;
    fsi_msg msg;
    REQUIRE(fsi_queue_init(&queue, &server, 4));
    for (uint64_t at = begin; at != begin + 4; at++) queue.cells[at & queue.mask].seq = at;
    queue.head = queue.tail = begin;
    for (uintptr_t i = 0; i < 40; i++) {
        ROW("%d", (int)i);
        CHECK(!fsi_queue_pop(&queue, &msg));
        for (uintptr_t k = 0; k < 4; k++) CHECK(fsi_queue_push(&queue, message(0, 0, i * 4 + k)));
        CHECK(!fsi_queue_push(&queue, message(0, 0, 0)));
        for (uintptr_t k = 0; k < 4; k++) CHECK(fsi_queue_pop(&queue, &msg) && (uintptr_t)msg.ptr == i * 4 + k);
    }
    fsi_queue_free(&queue, &server);
}

static void *no_memory(size_t size, void *user)
{
    (void)size;
    (void)user;
    return NULL;
}

static void no_release(void *memory, size_t size, void *user)
{
    (void)size;
    (void)user;
    CHECK(memory == NULL); // nothing was given out
}

// Goal: a queue that got no memory says so and can still be freed.
TEST(queue_out_of_memory)
{
    static fsv_server poor;
    poor.desc.alloc = no_memory;
    poor.desc.release = no_release;
    CHECK(!fsi_queue_init(&queue, &poor, 8));
    fsi_queue_free(&queue, &poor);
    CHECK(queue.cells == NULL);
}

// ---- many threads

enum { PRODUCERS = 4, CONSUMERS = 4, VALUES = 20000, STOP = 99 }; // at most, of the first two

typedef struct worker {
    fsi_thread thread;
    uint32_t id;
    uint32_t out_of_order, overtaken, wrong; // consumers
    uint64_t popped;
    uint64_t newest[PRODUCERS]; // value + 1 popped last; other consumers look at it
} worker;

static worker producers[PRODUCERS], consumers[CONSUMERS];
static uint32_t producer_count, consumer_count;
static uint8_t times[CONSUMERS][PRODUCERS][VALUES]; // how often a consumer got a value
static uint32_t gate;                               // workers wait here until all are there

static void at_the_gate(void)
{
    fsi_add32(&gate, 1);
    while (fsi_load32(&gate) < producer_count + consumer_count) os_yield();
}

static void produce(void *arg)
{
    worker *self = (worker *)arg;
    at_the_gate();
    for (uint32_t i = 0; i < VALUES; i++)
        while (!fsi_queue_push(&queue, message(self->id, ~i, i))) os_yield();
}

static void take(worker *self, fsi_msg msg, const uint64_t *before)
{
    uint64_t value = (uintptr_t)msg.ptr;
    if (msg.kind >= producer_count || value >= VALUES || msg.number != ~(uint32_t)value) { // parts of two messages
        self->wrong++;
        return;
    }
    if (value < self->newest[msg.kind]) self->out_of_order++;
    if (value < before[msg.kind]) self->overtaken++;
    fsi_store64(&self->newest[msg.kind], value + 1);
    times[self->id][msg.kind][value]++;
    self->popped++;
}

// What any consumer has had before a pop begins, that pop must not give again, nor anything older. Looking for it
// orders the consumers among themselves, but no producer and consumer: a message that is read too early stays a data
// race.
static void consume(void *arg)
{
    worker *self = (worker *)arg;
    at_the_gate();
    for (;;) {
        fsi_msg msg;
        uint64_t before[PRODUCERS] = {0};
        for (uint32_t c = 0; c < consumer_count; c++)
            for (uint32_t p = 0; p < producer_count; p++) {
                uint64_t newest = fsi_load64(&consumers[c].newest[p]);
                if (before[p] < newest) before[p] = newest;
            }
        if (!fsi_queue_pop(&queue, &msg)) {
            os_yield();
            continue;
        }
        if (msg.kind == STOP) return;
        take(self, msg, before);
    }
}

static void each_value_once(uint32_t capacity)
{
    for (uint32_t p = 0; p < producer_count; p++)
        for (uint32_t v = 0; v < VALUES; v++) {
            uint32_t sum = 0;
            for (uint32_t c = 0; c < consumer_count; c++) sum += times[c][p][v];
            ROW("capacity %u producer %u value %u", capacity, p, v);
            CHECK_EQ(sum, 1);
        }
}

static void many_threads(uint32_t from, uint32_t to, uint32_t capacity)
{
    uint64_t popped = 0;
    fsi_msg msg;
    producer_count = from, consumer_count = to;
    memset(times, 0, sizeof times);
    memset(producers, 0, sizeof producers);
    memset(consumers, 0, sizeof consumers);
    gate = 0;
    ROW("capacity %u, %u producers, %u consumers", capacity, from, to);
    REQUIRE(fsi_queue_init(&queue, &server, capacity));
    for (uint32_t i = 0; i < from; i++) {
        producers[i].id = i;
        REQUIRE(fsi_thread_start(&producers[i].thread, produce, &producers[i], "produce"));
    }
    for (uint32_t i = 0; i < to; i++) {
        consumers[i].id = i;
        REQUIRE(fsi_thread_start(&consumers[i].thread, consume, &consumers[i], "consume"));
    }
    for (uint32_t i = 0; i < from; i++) fsi_thread_join(&producers[i].thread);
    for (uint32_t i = 0; i < to; i++)
        while (!fsi_queue_push(&queue, message(STOP, 0, 0))) os_yield();
    for (uint32_t i = 0; i < to; i++) {
        fsi_thread_join(&consumers[i].thread);
        CHECK_EQ(consumers[i].out_of_order, 0);
        CHECK_EQ(consumers[i].overtaken, 0);
        CHECK_EQ(consumers[i].wrong, 0);
        popped += consumers[i].popped;
    }
    CHECK_EQ(popped, (uint64_t)from * VALUES);
    each_value_once(capacity);
    CHECK(!fsi_queue_pop(&queue, &msg));
    fsi_queue_free(&queue, &server);
}

// Goal: four producers and four consumers: nothing is lost, doubled or torn, and what one producer sent in an order
// reaches the consumers in that order.
TEST(queue_four_by_four)
{
    many_threads(4, 4, 1024);
}

// Goal: the same when the queue is nearly always full or empty, so that laps meet.
TEST(queue_four_by_four_crowded)
{
    many_threads(4, 4, 8);
    many_threads(4, 4, 4);
}

// Goal: the same at the smallest size, where a cell's next lap is two positions away.
TEST(queue_four_by_four_tiny)
{
    many_threads(4, 4, 2);
}

// Goal: the same with as many threads as a small machine runs at once, where none stands still in the middle of a step
// for long; nearly always full with one consumer, nearly always empty with one producer.
TEST(queue_few_threads)
{
    many_threads(1, 1, 2);
    many_threads(3, 1, 2);
    many_threads(1, 3, 4);
}

TEST_MAIN(CASE(queue_empty), CASE(queue_full), CASE(queue_against_a_ring), CASE(queue_positions_overflow),
          CASE(queue_out_of_memory), CASE(queue_four_by_four), CASE(queue_four_by_four_crowded),
          CASE(queue_four_by_four_tiny), CASE(queue_few_threads))
