// queue_bench.c: fsi_queue beside a queue of a mutex and two condition variables. By hand, on a quiet machine:
//
//   make queue-bench                       or  build/queue_bench [MILLISECONDS of a run, default 200]
//   c++ -x c++ -std=c++17 -O2 -pthread -DQUEUE_BENCH_MORE='"/path/more.h"' tests/queue_bench.c
//
// A run is so many producers and consumers for a fixed time; kinds take turns within a round, and what is printed is
// the median of ROUNDS rounds with the least and the most. A message is a push and the pop that got it. "alone" is one
// thread that pushes and pops in turn. Where fsi_queue is full or empty the thread tries again and yields now and then;
// the other one sleeps, which costs it much of its time here and saves the CPU for others elsewhere.
//
// more.h adds other queues: functions as below, and #define MORE_KINDS {"name", make, destroy, push, pop}, for each.
// Such a queue must give a STOP after everything that was pushed before it.
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "../fastserve.h"
#include "os.h"

enum { CAPACITY = 1024, THREADS_MAX = 4, ROUNDS = 5, KINDS_MAX = 8, STOP = 99 };

// push and pop say whether they did it; a kind may also wait and then always do it.
typedef struct kind {
    const char *name;
    void *(*make)(void);
    void (*destroy)(void *queue);
    bool (*push)(void *queue, fsi_msg msg);
    bool (*pop)(void *queue, fsi_msg *msg);
} kind;

// ---- fsi_queue

static fsv_server server; // all zero: malloc and free

static void *ring_make(void)
{
    fsi_queue *queue = (fsi_queue *)malloc(sizeof *queue);
    if (!queue || !fsi_queue_init(queue, &server, CAPACITY)) abort();
    return queue;
}

static void ring_destroy(void *queue)
{
    fsi_queue_free((fsi_queue *)queue, &server);
    free(queue);
}

static bool ring_push(void *queue, fsi_msg msg)
{
    return fsi_queue_push((fsi_queue *)queue, msg);
}

static bool ring_pop(void *queue, fsi_msg *msg)
{
    return fsi_queue_pop((fsi_queue *)queue, msg);
}

// ---- mutex and condition variables

typedef struct locked {
    os_mutex lock;
    os_cond not_full, not_empty;
    uint32_t first, count;
    fsi_msg msgs[CAPACITY];
} locked;

static void *locked_make(void)
{
    locked *queue = (locked *)calloc(1, sizeof *queue);
    if (!queue) abort();
    os_mutex_init(&queue->lock);
    os_cond_init(&queue->not_full);
    os_cond_init(&queue->not_empty);
    return queue;
}

static void locked_destroy(void *memory)
{
    locked *queue = (locked *)memory;
    os_cond_free(&queue->not_full);
    os_cond_free(&queue->not_empty);
    os_mutex_free(&queue->lock);
    free(queue);
}

static bool locked_push(void *memory, fsi_msg msg)
{
    locked *queue = (locked *)memory;
    os_mutex_take(&queue->lock);
    while (queue->count == CAPACITY) os_cond_wait(&queue->not_full, &queue->lock);
    queue->msgs[(queue->first + queue->count++) % CAPACITY] = msg;
    os_mutex_give(&queue->lock);
    os_cond_one(&queue->not_empty);
    return true;
}

static bool locked_pop(void *memory, fsi_msg *msg)
{
    locked *queue = (locked *)memory;
    os_mutex_take(&queue->lock);
    while (queue->count == 0) os_cond_wait(&queue->not_empty, &queue->lock);
    *msg = queue->msgs[queue->first++ % CAPACITY];
    queue->count--;
    os_mutex_give(&queue->lock);
    os_cond_one(&queue->not_full);
    return true;
}

// ---- the same work for each

#if defined(QUEUE_BENCH_MORE)
#include QUEUE_BENCH_MORE
#else
#define MORE_KINDS
#endif

static const kind kinds[] = {
    {"fsi_queue", ring_make, ring_destroy, ring_push, ring_pop},
    {"mutex+cond", locked_make, locked_destroy, locked_push, locked_pop},
    MORE_KINDS // ends with a comma
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct worker {
    fsi_thread thread;
    uint64_t count, sum;
    char pad[FSV_CACHE_LINE];
} worker;

static const kind *now;
static void *queue_now;
static uint32_t ready, stop; // threads at the gate; time is over

// Full or empty: a short while for the other side to go on, then its thread may need this CPU.
static void wait_a_little(uint32_t *tries)
{
    if (++*tries % 64 == 0) os_yield();
}

static void push(fsi_msg msg)
{
    for (uint32_t tries = 0; !now->push(queue_now, msg);) wait_a_little(&tries);
}

static void at_the_gate(void)
{
    fsi_add32(&ready, 1);
    while (fsi_load32(&ready) < UINT32_MAX / 2) os_yield();
}

static void produce(void *arg)
{
    worker *self = (worker *)arg;
    fsi_msg msg;
    memset(&msg, 0, sizeof msg);
    msg.ptr = self;
    at_the_gate();
    while (!fsi_load32(&stop)) {
        msg.number = (uint32_t)++self->count;
        self->sum += msg.number;
        push(msg);
    }
}

static void consume(void *arg)
{
    worker *self = (worker *)arg;
    fsi_msg msg;
    at_the_gate();
    for (;;) {
        for (uint32_t tries = 0; !now->pop(queue_now, &msg);) wait_a_little(&tries);
        if (msg.kind == STOP) return;
        self->count++;
        self->sum += msg.number;
    }
}

static void alone(void *arg)
{
    worker *self = (worker *)arg;
    fsi_msg msg;
    memset(&msg, 0, sizeof msg);
    msg.ptr = self;
    at_the_gate();
    for (; !fsi_load32(&stop); self->count++)
        if (!now->push(queue_now, msg) || !now->pop(queue_now, &msg)) abort();
}

static void start(worker *workers, uint32_t count, void (*run)(void *))
{
    memset(workers, 0, sizeof *workers * count);
    for (uint32_t i = 0; i < count; i++)
        if (!fsi_thread_start(&workers[i].thread, run, &workers[i], "queue")) abort();
}

static void join(worker *workers, uint32_t count, worker *total)
{
    for (uint32_t i = 0; i < count; i++) {
        fsi_thread_join(&workers[i].thread);
        total->count += workers[i].count;
        total->sum += workers[i].sum;
    }
}

// Opens the gate for so long; returns when it did.
static uint64_t let_run(uint32_t threads, uint32_t ms)
{
    while (fsi_load32(&ready) < threads) os_yield();
    uint64_t began = fsi_clock_ns();
    fsi_store32(&ready, UINT32_MAX / 2);
    fsi_sleep_ns((uint64_t)ms * 1000000);
    fsi_store32(&stop, 1);
    return began;
}

// Nanoseconds per message. side: that many producers and as many consumers, or 0 for one thread alone. What is still in
// the queue when time is over is taken out and counts, as does the time for it.
static double measure(const kind *what, uint32_t side, uint32_t ms)
{
    static worker from[THREADS_MAX], to[THREADS_MAX];
    static worker pushed, popped;
    memset(&pushed, 0, sizeof pushed);
    memset(&popped, 0, sizeof popped);
    now = what;
    queue_now = what->make();
    ready = stop = 0;
    start(from, side ? side : 1, side ? produce : alone);
    start(to, side, consume);
    uint64_t began = let_run(side ? side * 2 : 1, ms);
    join(from, side ? side : 1, &pushed);
    for (uint32_t i = 0; i < side; i++) {
        fsi_msg msg;
        memset(&msg, 0, sizeof msg);
        msg.kind = STOP;
        push(msg);
    }
    join(to, side, &popped);
    double ns = (double)(fsi_clock_ns() - began);
    what->destroy(queue_now);
    if (side && (popped.count != pushed.count || popped.sum != pushed.sum)) {
        printf("%s: %llu pushed, %llu popped\n", what->name, (unsigned long long)pushed.count,
               (unsigned long long)popped.count);
        exit(1);
    }
    return ns / (double)pushed.count;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void compare(uint32_t side, uint32_t ms)
{
    static double ns[KINDS][ROUNDS];
    for (int round = 0; round < ROUNDS; round++)
        for (int k = 0; k < KINDS; k++) ns[k][round] = measure(&kinds[k], side, ms);
    for (int k = 0; k < KINDS; k++) {
        char name[32] = "alone";
        if (side) (void)snprintf(name, sizeof name, "%u x %u", side, side);
        qsort(ns[k], ROUNDS, sizeof ns[k][0], by_size);
        double median = ns[k][ROUNDS / 2];
        printf("%-8s%-18s%9.1f ns  %8.2f million/s   (%.1f to %.1f ns)\n", name, kinds[k].name, median, 1e3 / median,
               ns[k][0], ns[k][ROUNDS - 1]);
    }
}

int main(int argc, char **argv)
{
    int ms = argc > 1 ? atoi(argv[1]) : 200;
    if (ms <= 0 || ms > 10000) ms = 200;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("messages of %u bytes, capacity %d, median of %d runs of %d ms\n", (unsigned)sizeof(fsi_msg), CAPACITY,
           ROUNDS, ms);
    for (uint32_t side = 0; side <= THREADS_MAX; side = side ? side * 2 : 1) compare(side, (uint32_t)ms);
    return 0;
}
