// sim.h: a whole server in a simulated world, on one thread. Loops and workers are tasks whose steps a seeded scheduler
// puts in some order; the network (io_fake.h) tells late, in parts and in any order; memory runs out, threads are
// refused, peers stall, cut and half close; other threads post, hold tokens and have handles. Time is a number.
//
// One seed is one run, byte for byte. Peers know what each of their requests must bring: every answer came once, in
// order, with its bytes, and what was not answered was closed for a reason that the world knows. When nothing can move
// without time, nobody may wait for anything that has come: that is how a lost wake shows, long before any timeout.
// In the end the drain is over in its time, every callback came as often as promised, and all memory has returned.
//
// A step runs to its end, but where threads meet (see sim_io.h) others may go first, one inside the other.
// Memory order is not simulated; tests/test_queue_model.c and tests/test_wake_model.c do that.
#ifndef FASTSERVE_SIM_H
#define FASTSERVE_SIM_H

#define FASTSERVE_IMPLEMENTATION
#define FSV_IO_HEADER "tests/sim_io.h"
#include "test.h"
#ifdef SIM_HEADER // a copy with a mistake in it
#include SIM_HEADER
#else
#include "../fastserve.h"
#endif
#include <setjmp.h>

#define SIM_CLIENTS 512   // of one run
#define SIM_REQUESTS 4096 // likewise
#define SIM_TOKENS 64
#define SIM_TASKS 16
#define SIM_POSTS 256
#define SIM_TIMERS 32
#define SIM_TRACE 256
#define SIM_PATTERN 200000u
#define SIM_MS ((uint64_t)1000000)
#define SIM_NEVER UINT64_MAX

// ---- what there is

typedef enum sim_kind {
    SIM_GET,
    SIM_LARGE,  // memory that is released when it has left
    SIM_STREAM, // on_room
    SIM_ECHO,   // on_body
    SIM_WHOLE,  // a body that is collected
    SIM_WORK,   // on a worker
    SIM_DEFER,  // a token, on the loop
    SIM_NOTHING,
    SIM_MISSING,
    SIM_BAD, // ends the connection
    SIM_TOO_BIG,
    SIM_KINDS
} sim_kind;

// Statuses that an answer may have, as bits.
#define SIM_200 1u
#define SIM_404 2u
#define SIM_500 4u
#define SIM_503 8u
#define SIM_504 16u
#define SIM_REFUSED 32u // any of 400 to 505, and the connection ends

typedef struct sim_request {
    uint32_t id;
    uint32_t client;
    uint8_t kind; // sim_kind
    bool head, old, closes, expects;
    bool continued;     // 100 has come
    bool held;          // someone has its token: nobody else can do anything
    bool cut;           // whoever answers cuts the answer
    uint32_t may;       // what an answer may say
    size_t from, to;    // of its bytes in the client's text
    size_t body_from;   // likewise
    size_t answer_len;  // of the body of a 200
    size_t out, cut_at; // of a streamed answer
    size_t bite;        // that on_body takes at most
    uint64_t taken_ns;  // its token was
    uint32_t begun, ended, given, released, bodies;
} sim_request;

typedef enum sim_mode { SIM_HTTP, SIM_RAW_ECHO, SIM_RAW_SINK, SIM_RAW_PUSH } sim_mode;

typedef enum sim_part {
    SIM_PART_HEAD,
    SIM_PART_LENGTH,
    SIM_PART_SIZE,
    SIM_PART_CHUNK,
    SIM_PART_CHUNK_END,
    SIM_PART_TRAILER,
    SIM_PART_CLOSE
} sim_part;

// A peer: a client of the server, or, dialed, what the server has connected to.
typedef struct sim_client {
    uint32_t number;
    uint8_t mode;             // sim_mode
    bool active, dialed, met; // met: the peer of a dialed one has heard of it
    fake_sock *sock;
    const char *why; // the connection may end early
    // sending
    char *text;
    size_t text_len, text_cap, sent;
    size_t chunk, window, stall_at, cut_at, cut_after;
    uint64_t due_ns, patience_ns;
    uint32_t delay_us;
    bool waits_100, half_close, said_end, cut, stalled;
    bool one_by_one;    // asks when the last answer has come
    uint32_t expecting; // request whose body waits for 100 Continue
    uint8_t after;      // what it does when it has everything
    // reading
    size_t room_step, seen, looked;
    uint32_t first, count, answered; // requests
    uint8_t part;                    // sim_part
    uint32_t status;
    size_t body_at, left;
    bool over;         // the server has said that it closes
    bool server_ended; // and that was looked at
    bool no_body;      // of the answer that is read
    uint64_t active_ns;
    // raw
    fsv_tcp tcp;
    uint32_t opened, closed;
    size_t total, got, pushed; // bytes of the pattern: to come from the peer, come, handed to fsv_tcp_send
    bool told_full, paused, pushing;
    bool heard_end; // on_data was
    uint64_t push_ns, resume_ns;
} sim_client;

typedef enum sim_plan {
    SIM_RESPOND,
    SIM_TWICE,
    SIM_OWNED,
    SIM_PIECES,
    SIM_DROP,
    SIM_LATE,
    SIM_CUT_SHORT,
    SIM_PLANS
} sim_plan;

typedef struct sim_token {
    bool used, busy, streams;
    uint8_t plan;
    fsv_token token;
    sim_request *request;
    uint64_t due_ns;
} sim_token;

// WAITS: a loop, or who polls it; SLEEPS: a worker that was not woken.
typedef enum sim_state { SIM_BEGINS, SIM_RUNS, SIM_LOOKS, SIM_SLEEPS, SIM_WAITS, SIM_ENDED } sim_state;
typedef enum sim_body { SIM_LOOP, SIM_WORKER, SIM_CREW, SIM_HOST } sim_body;

typedef struct sim_task {
    uint8_t body, state; // sim_body, sim_state
    bool busy;           // a step of it is on the stack
    void *arg;
    fsi_thread *thread;
    uint64_t due_ns;
} sim_task;

typedef struct sim_event {
    uint64_t now_ns, step;
    uint32_t task, depth;
    const char *what;
    uint64_t a, b;
} sim_event;

// One run.
typedef struct sim_world {
    uint64_t seed, rng, steps, hash;
    jmp_buf out;
    char error[400];
    fsv_server *server;
    fsv_server_desc desc;
    sim_task tasks[SIM_TASKS];
    uint32_t task_count;
    uint64_t self;
    uint32_t depth, busy, preempt;
    fsi_lock *locks[8];
    uint32_t lock_count;
    bool calm; // nobody goes first
    bool running, poll, stopped, faulted;
    bool crowded; // conns_max is small
    bool working; // much of it is for workers
    bool paused;  // some loop does not accept right now
    bool freeing; // fsv_server_free runs: nobody else may call the server
    bool abrupt;  // without a stop before it
    uint64_t stop_ns, ended_ns, spent_ns;
    uint32_t drain_ms;
    uint32_t thread_fail_at, threads;
    // memory
    size_t live_bytes;
    long live_blocks;
    uint64_t allocs, alloc_fail_at, alloc_fails_left, alloc_odds;
    // the world
    int listeners[2][8];
    uint32_t listener_count[2];
    sim_client clients[SIM_CLIENTS];
    uint32_t client_count, client_low, client_goal, client_active, client_most;
    sim_request requests[SIM_REQUESTS];
    uint32_t request_count;
    sim_token tokens[SIM_TOKENS];
    uint32_t token_count; // held
    uint8_t posts[SIM_POSTS];
    uint32_t post_count;
    fsv_timer timers[SIM_TIMERS];
    uint64_t timer_due_ms[SIM_TIMERS];
    uint32_t timer_every[SIM_TIMERS], timer_fired[SIM_TIMERS], timer_count;
    uint64_t spawn_ns, outsider_ns;
    uint32_t outsider_left;
    bool outsider_busy;
    uint64_t stop_after; // steps; 0: when all is done
    uint32_t said;       // answers that on_answer was told of
    bool tell;           // the trace, as it happens
    sim_event trace[SIM_TRACE];
    uint64_t trace_len;
} sim_world;

// Of all runs.
typedef struct sim_sums {
    uint64_t runs, conns, raw, requests, answers[6], steps, virtual_ns, cuts, stalls, tokens, posts, timers, dials;
    uint64_t alloc_fails, followed, balanced, rescued, jobs, jobs_refused, timeouts, refused, preempted;
} sim_sums;

static sim_world sim;
static sim_sums sim_all;
static char *sim_pattern;

static uint32_t sim_draw(uint32_t n)
{
    sim.rng ^= sim.rng >> 12;
    sim.rng ^= sim.rng << 25;
    sim.rng ^= sim.rng >> 27;
    return (uint32_t)((sim.rng * 2685821657736338717u >> 32) * n >> 32);
}

static bool sim_odds(uint32_t n)
{
    return sim_draw(n) == 0;
}

// `what` is a literal.
static void sim_note(const char *what, uint64_t a, uint64_t b)
{
    sim_event *at = &sim.trace[sim.trace_len++ % SIM_TRACE];
    at->now_ns = fake.now_ns;
    at->step = sim.steps;
    at->task = (uint32_t)sim.self;
    at->depth = sim.depth;
    at->what = what;
    at->a = a;
    at->b = b;
    uint64_t words[4] = {at->now_ns, a, b,
                         sim.self << 32 | sim.depth << 24 | (uint32_t)what[0] << 8 | (uint8_t)what[2]};
    for (int i = 0; i < 4; i++) sim.hash = (sim.hash ^ words[i]) * 1099511628211u, sim.hash ^= sim.hash >> 29;
    if (sim.tell)
        printf("%10.3f ms %6llu %*s[%u] %s %llu %llu\n", (double)(at->now_ns - FAKE_START_NS) / 1e6,
               (unsigned long long)at->step, (int)at->depth * 2, "", at->task, what, (unsigned long long)a,
               (unsigned long long)b);
}

static void sim_print_trace(void)
{
    uint64_t first = sim.trace_len > SIM_TRACE ? sim.trace_len - SIM_TRACE : 0;
    for (uint64_t i = first; i < sim.trace_len; i++) {
        const sim_event *at = &sim.trace[i % SIM_TRACE];
        printf("%10.3f ms %6llu %*s[%u] %s %llu %llu\n", (double)(at->now_ns - FAKE_START_NS) / 1e6,
               (unsigned long long)at->step, (int)at->depth * 2, "", at->task, at->what, (unsigned long long)at->a,
               (unsigned long long)at->b);
    }
}

// The oracle was not met: the run ends here, and the program with it, for what the run holds is lost.
#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((format(printf, 1, 2)))
#endif
static void
sim_fault(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sim.error, sizeof sim.error, format, args);
    va_end(args);
    longjmp(sim.out, 1);
}

static uint64_t sim_ms(void)
{
    return fake.now_ns / SIM_MS;
}

static const char *sim_bytes(uint32_t id)
{
    return sim_pattern + id * 61u % 8191u;
}

static void sim_make_pattern(void)
{
    uint32_t x = 88172645u;
    if (sim_pattern) return;
    sim_pattern = (char *)malloc(SIM_PATTERN + 8192);
    if (!sim_pattern) abort();
    for (uint32_t i = 0; i < SIM_PATTERN + 8192; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        sim_pattern[i] = (char)(x >> 24);
    }
}

// Whether the world has let something fail that no oracle can follow.
static bool sim_failed_once(void)
{
    return sim.faulted || (fake.fail_at && fake.calls >= fake.fail_at);
}

// ---- memory: counted, filled, and running out

static void *sim_alloc(size_t size, void *user)
{
    (void)user;
    sim.allocs++;
    bool fails = sim.running && sim.allocs == sim.alloc_fail_at;
    if (sim.running && sim.alloc_fails_left && sim_odds((uint32_t)sim.alloc_odds)) fails = true, sim.alloc_fails_left--;
    if (fails) {
        sim_note("memory fails", size, 0);
        sim.faulted = true;
        sim_all.alloc_fails++;
        return NULL;
    }
    uint64_t *block = (uint64_t *)malloc(size + 16);
    if (!block) abort();
    block[0] = size;
    memset(block + 2, 0xa5, size < 4096 ? size : 4096);
    sim.live_bytes += size;
    sim.live_blocks++;
    return block + 2;
}

// Memory goes: is it still read from, for a peer of a connection that was closed? user: for that one; NULL: for any.
static void sim_check_flight(const void *memory, size_t size, const void *user)
{
    const char *from = (const char *)memory;
    for (uint32_t i = 0; i < fake.closing_count; i++) {
        const fake_sock *sock = fake.closing_sock[i];
        for (uint32_t k = 0; sock->in_flight && !sock->done && k < sock->pending_count; k++)
            if (sock->pending[k].ptr >= from && sock->pending[k].ptr < from + size && (!user || sock->user == user))
                sim_fault("memory of a pending write is released");
    }
}

static void sim_release(void *memory, size_t size, void *user)
{
    uint64_t *block = (uint64_t *)memory - 2;
    (void)user;
    if (block[0] != size) sim_fault("%zu bytes were released of a block of %zu", size, (size_t)block[0]);
    sim_check_flight(memory, size, NULL);
    memset(block, 0x5a, 16 + (size < 4096 ? size : 4096));
    sim.live_bytes -= size;
    sim.live_blocks--;
    free(block);
}

// ---- threads: tasks, whose steps run one after the other, or one inside the other

static bool sim_step(void);
static void sim_advance(uint64_t at_most_ns);
static void sim_check_rest(void);

static uint64_t sim_thread_self(void)
{
    return sim.self;
}

#define SIM_MAIN 1u
#define SIM_FIRST_TASK 2u
#define SIM_OUTSIDER 100u // any thread that is not the server's

static bool sim_thread_start(fsi_thread *thread, void (*body)(void *), void *arg, const char *name)
{
    (void)name;
    uint32_t i = 0;
    while (i < sim.task_count && (sim.tasks[i].state != SIM_ENDED || sim.tasks[i].thread)) i++;
    if (++sim.threads == sim.thread_fail_at || i == SIM_TASKS) {
        sim.faulted = true;
        sim_note("thread refused", sim.threads, 0);
        return false;
    }
    sim_task *task = &sim.tasks[i];
    if (i == sim.task_count) sim.task_count++;
    memset(task, 0, sizeof *task);
    task->body = body == fsi_loop_main ? SIM_LOOP : body == fsi_worker_main ? SIM_WORKER : SIM_CREW;
    task->arg = arg;
    task->thread = thread;
    sim.running = true;
    return true;
}

static void sim_thread_join(fsi_thread *thread)
{
    uint64_t self = sim.self;
    for (uint32_t i = 0; i < sim.task_count; i++) {
        sim_task *task = &sim.tasks[i];
        if (task->thread != thread) continue;
        while (task->state != SIM_ENDED) {
            if (sim_step()) continue;
            sim_check_rest();
            sim_advance(SIM_NEVER);
        }
        task->thread = NULL;
    }
    sim.self = self;
}

// Others go first, perhaps.
static void sim_point(void)
{
    if (!sim.running || sim.calm || sim.lock_count || sim.depth >= 3 || sim_draw(sim.preempt)) return;
    sim_all.preempted++;
    for (uint32_t n = 1 + sim_draw(5); n && sim_step(); n--) continue;
}

static void sim_lock_take(fsi_lock *lock)
{
    sim_point();
    for (uint32_t i = 0; i < sim.lock_count; i++)
        if (sim.locks[i] == lock) sim_fault("a lock is taken twice");
    if (sim.lock_count == 8) sim_fault("too many locks");
    sim.locks[sim.lock_count++] = lock;
}

static void sim_lock_give(fsi_lock *lock)
{
    if (!sim.lock_count || sim.locks[sim.lock_count - 1] != lock) sim_fault("a lock is given that was not taken last");
    sim.lock_count--;
    sim_point();
}

// It may return early.
static void sim_signal_wait(fsi_lock *lock, uint64_t due_ns)
{
    sim_lock_give(lock);
    bool moved = true;
    for (uint32_t n = 1 + sim_draw(8); n && moved; n--) moved = sim_step();
    if (!moved) sim_advance(due_ns < fake.now_ns + SIM_MS ? due_ns : fake.now_ns + SIM_MS);
    sim_lock_take(lock);
}

// A handler takes its time, while others go on.
static void sim_linger(uint32_t steps)
{
    uint32_t us = sim_odds(8) ? sim_draw(40000) : 0;
    fake.now_ns += (uint64_t)us * 1000;
    sim.spent_ns += (uint64_t)us * 1000;
    for (uint32_t n = sim.depth < 6 ? steps : 0; n && sim_step(); n--) continue;
}

// The loop whose turns a task runs now; NULL: none.
static fsi_loop *sim_task_loop(const sim_task *task)
{
    switch ((sim_body)task->body) {
    case SIM_WORKER: return ((fsi_worker *)task->arg)->loop;
    case SIM_CREW: return &((fsi_server_thread *)task->arg)->loop;
    case SIM_LOOP:
    case SIM_HOST: break;
    }
    return (fsi_loop *)task->arg;
}

static bool sim_task_can(const sim_task *task)
{
    if (task->busy || task->state == SIM_ENDED) return false;
    if (task->state == SIM_SLEEPS) return ((const fsi_worker *)task->arg)->park.woken;
    if (task->state == SIM_WAITS) return fake.now_ns >= task->due_ns || fake_busy(&sim_task_loop(task)->io);
    return true;
}

// Half a turn: what comes before the wait, or what comes after it. False: the loop has ended.
static bool sim_turn(sim_task *task, fsi_loop *loop)
{
    if (task->state != SIM_WAITS) {
        uint64_t wait_us = fsi_loop_turn_rests(loop, UINT64_MAX);
        task->due_ns = wait_us == UINT64_MAX ? SIM_NEVER : fake.now_ns + wait_us * 1000;
        task->state = SIM_WAITS;
        return true;
    }
    (void)fsi_io_wait(&loop->io, 0);
    task->state = SIM_RUNS;
    return fsi_loop_turn_works(loop);
}

// As fsi_loop_main.
static void sim_loop_step(sim_task *task)
{
    fsi_loop *loop = (fsi_loop *)task->arg;
    if (task->state == SIM_BEGINS) {
        fsi_store64(&loop->thread, fsi_thread_self());
        fsi_loop_clock(loop);
        fsi_loop_listen(loop);
        task->state = SIM_RUNS;
    } else if (!sim_turn(task, loop)) {
        fsi_store64(&loop->thread, 0);
        task->state = SIM_ENDED;
        sim.ended_ns = fake.now_ns;
        sim_note("loop ends", loop->index, 0);
    }
}

// As fsi_crew_main.
static void sim_crew_step(sim_task *task)
{
    fsi_server_thread *mine = (fsi_server_thread *)task->arg;
    if (task->state == SIM_BEGINS) {
        fsi_store64(&mine->loop.thread, fsi_thread_self());
        fsi_loop_serves(&mine->loop, mine->fd);
        task->state = SIM_RUNS;
    } else if (task->state == SIM_WAITS || mine->loop.conns) {
        (void)sim_turn(task, &mine->loop);
    } else {
        sim.calm = true; // who joins it from here on, inside of it, would wait for ever
        fsi_crew_leave(mine);
        sim.calm = false;
        task->state = SIM_ENDED;
    }
}

// As fsi_worker_main.
static void sim_worker_step(sim_task *task)
{
    fsi_worker *worker = (fsi_worker *)task->arg;
    switch ((sim_state)task->state) {
    case SIM_BEGINS:
        fsi_store64(&worker->thread_self, fsi_thread_self());
        if (worker->loop) fsi_store64(&worker->loop->thread, fsi_thread_self());
        task->state = SIM_RUNS;
        break;
    case SIM_RUNS:
    case SIM_WAITS:
        if (task->state == SIM_WAITS || (worker->loop && worker->loop->conns))
            (void)sim_turn(task, worker->loop);
        else if (!fsi_worker_step(worker))
            task->state = SIM_LOOKS;
        break;
    case SIM_LOOKS:
        if (!fsi_load32(&worker->server->pool.stop)) {
            task->state = fsi_worker_lies_down(worker) ? SIM_SLEEPS : SIM_RUNS;
            break;
        }
        if (worker->loop) fsi_store64(&worker->loop->thread, 0);
        fsi_store64(&worker->thread_self, 0);
        task->state = SIM_ENDED;
        break;
    case SIM_SLEEPS:
        fsi_worker_sleeps(worker); // it was woken
        task->state = SIM_RUNS;
        break;
    case SIM_ENDED: break;
    }
}

// A host that polls, with a loop of its own.
static void sim_host_step(sim_task *task)
{
    if (task->state != SIM_WAITS) {
        uint32_t ms = fsv_server_poll_wait_ms(sim.server);
        task->due_ns = ms == UINT32_MAX ? SIM_NEVER : fake.now_ns + ms * SIM_MS;
        task->state = SIM_WAITS;
        return;
    }
    task->state = SIM_RUNS;
    fsv_result result = fsv_server_poll(sim.server, 0);
    if (result == FSV_OK) return;
    if (result != FSV_ERR_CLOSED && !sim.faulted) sim_fault("fsv_server_poll: %s", fsv_result_text(result));
    if (result != FSV_ERR_CLOSED) sim.abrupt = true; // it never ran
    task->state = SIM_ENDED;
    sim.ended_ns = fake.now_ns;
}

static void sim_task_step(sim_task *task)
{
    task->busy = true;
    sim.busy++;
    sim.self = SIM_FIRST_TASK + (uint64_t)(task - sim.tasks);
    if (task->body == SIM_LOOP)
        sim_loop_step(task);
    else if (task->body == SIM_WORKER)
        sim_worker_step(task);
    else if (task->body == SIM_CREW)
        sim_crew_step(task);
    else
        sim_host_step(task);
    sim.busy--;
    task->busy = false;
}

// ---- listeners and CPUs

static int sim_listen(void)
{
    uint32_t group = fsv_server_listeners(sim.server), at = group < 2 ? sim.listener_count[group] : 8;
    if (at == 8) sim_fault("a listener too many");
    fake_sock *sock = fake_socket();
    sock->listener = true;
    sim.listener_count[group]++;
    return sim.listeners[group][at] = sock->fd;
}

static uint32_t sim_cpus(fsi_cpu *out)
{
    uint32_t count = sim.desc.loops > 1 ? sim.desc.loops : 2;
    for (uint32_t i = 0; i < count; i++) {
        memset(&out[i], 0, sizeof out[i]);
        out[i].number = (int)i;
        out[i].load_permille = FSI_CPU_UNKNOWN;
    }
    return count;
}

static inline void sim_cpus_look(fsi_cpu *cpus, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fsi_poke64(&cpus[i].load_permille, sim_odds(4)   ? FSI_CPU_UNKNOWN
                                           : sim_odds(2) ? 950 + sim_draw(50)
                                                         : sim_draw(900));
}

#include "sim_app.h"
#include "sim_peer.h"
#include "sim_run.h"
#endif
