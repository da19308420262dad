// test_wake_model.c: that no wake is lost, proved for small sizes. Two machines that do step by step what the code
// does, one access of shared memory in each, in every interleaving:
//
//   lane     fsi_pool_push, fsi_lane_look, fsi_worker_step, fsi_worker_sleep, fsi_park_sleep and _wake
//   loop     fsi_loop_send, fsi_loop_wake, and the part of fsi_loop_turn that waits and takes the inbox
//
// Every thread has a buffer of stores that others do not see yet (as x86 has it); a read-modify-write, a lock and
// fsi_fence wait until it is empty. A push is such a store too, which is weaker than the queue is, so that nothing
// rests on the queue's own order. Wrong is a state in which nobody can go on and a message has not been taken. Jobs
// block until as many run as can, so a worker that should have been woken beside another is missed as well.
//
// Not covered: loads that pass loads and stores that pass stores, which the code's acquires and releases rule out;
// failing memory; sizes beyond those below. The machines are copies by hand: who changes the functions changes them
// here.
#include "test.h"

#include <stdbool.h>
#include <stdint.h>

enum { THREADS = 5, JOBS = 4, BUFFER = 4 };

// Shared words. PUSHED + t: by pusher t so far. READY + j: the j-th message can be read.
enum { IDLE, WAKING, WOKEN, WAITING, EVENT, HEAD, RUNNING, PUSHED, READY = PUSHED + THREADS, WORDS = READY + JOBS };

typedef struct runner {
    uint8_t step, left; // of its program; what it has yet to push
    uint8_t chosen;     // in look: the worker that was taken off the list, THREADS: none
    uint8_t back;       // step after look
    uint8_t want;
    uint8_t parked, woken; // a worker's; by others under the lock
    uint8_t mine;          // message that it has claimed
    uint8_t buffered;
    uint8_t word[BUFFER], value[BUFFER];
} runner;

typedef struct state {
    uint8_t words[WORDS];
    uint8_t claimed;       // slots of the queue that are spoken for
    uint8_t list[THREADS]; // idle workers, who came last is last
    uint8_t listed;
    runner runners[THREADS];
} state;

typedef struct setup {
    const char *name;
    uint8_t pushers, others; // others: workers, or the loop
    uint8_t each;            // messages of each pusher
    bool slow;               // jobs take long: a wake for each that waits
    bool together;           // a job ends when all have begun
    bool loop;
} setup;

typedef enum flaw {
    NONE,
    NO_FENCE_BEFORE_LOOKING,
    NO_LOOK_AFTER_LYING_DOWN,
    NO_FENCE_AFTER_LYING_DOWN,
    WAKING_KEPT,
    NO_SECOND_LOOK,
    NO_LOOK_BEFORE_RUNNING,
    WAKE_NOT_KEPT,
    NO_FENCE_BEFORE_WAITING,
    NO_FENCE_BEFORE_WAKING,
    WOKEN_CLEARED_AFTER_TAKING,
    NO_LOOK_BEFORE_WAITING
} flaw;

static const setup *how;
static flaw broken;

// ---- memory

static uint8_t load(const state *s, uint32_t t, uint32_t word)
{
    const runner *r = &s->runners[t];
    for (uint32_t i = r->buffered; i-- > 0;)
        if (r->word[i] == word) return r->value[i];
    return s->words[word];
}

static void store(state *s, uint32_t t, uint32_t word, uint32_t value)
{
    runner *r = &s->runners[t];
    r->word[r->buffered] = (uint8_t)word;
    r->value[r->buffered++] = (uint8_t)value;
}

static void flush_one(state *s, uint32_t t)
{
    runner *r = &s->runners[t];
    s->words[r->word[0]] = r->value[0];
    r->buffered--;
    memmove(r->word, r->word + 1, r->buffered);
    memmove(r->value, r->value + 1, r->buffered);
    r->word[r->buffered] = r->value[r->buffered] = 0; // states are compared byte by byte
}

static uint32_t queued(const state *s, uint32_t t)
{
    uint32_t pushed = 0;
    for (uint32_t p = 0; p < how->pushers; p++) pushed += load(s, t, PUSHED + p);
    return pushed > s->words[HEAD] ? pushed - s->words[HEAD] : 0;
}

static bool pop(state *s, uint32_t t)
{
    uint32_t head = s->words[HEAD];
    if (head >= JOBS || !load(s, t, READY + head)) return false;
    s->words[HEAD]++;
    return true;
}

// Two steps: the slot is claimed, then the message can be read.
static void push_claim(state *s, uint32_t t)
{
    s->runners[t].mine = s->claimed++;
    store(s, t, PUSHED + t, load(s, t, PUSHED + t) + 1u);
}

static void push_publish(state *s, uint32_t t)
{
    store(s, t, READY + s->runners[t].mine, 1);
    s->runners[t].left--;
}

// ---- the programs. False: this step cannot be taken now.

enum { LOOK = 20, WORK = 40, SLEEP = 50, LOOP = 60, OVER = 99 };

static void unlist(state *s, uint32_t at)
{
    s->listed--;
    memmove(s->list + at, s->list + at + 1, s->listed - at);
    s->list[s->listed] = 0;
    s->words[IDLE]--;
}

static void choose(state *s, runner *r)
{
    r->chosen = THREADS;
    if (!s->listed) return;
    r->chosen = s->list[s->listed - 1];
    unlist(s, s->listed - 1u);
    s->runners[r->chosen].parked = 0;
}

// fsi_lane_look
static bool step_look(state *s, uint32_t t)
{
    runner *r = &s->runners[t];
    switch (r->step) {
    case LOOK: // fence
        if (broken != NO_FENCE_BEFORE_LOOKING && r->buffered) return false;
        r->step = LOOK + 1;
        return true;
    case LOOK + 1: r->step = !load(s, t, IDLE) ? r->back : how->slow ? LOOK + 8 : LOOK + 2; return true;
    case LOOK + 2: r->step = queued(s, t) ? LOOK + 3 : r->back; return true;
    case LOOK + 3: r->step = load(s, t, WAKING) ? r->back : LOOK + 4; return true;
    case LOOK + 4: // swap
        if (r->buffered) return false;
        r->step = s->words[WAKING] ? r->back : LOOK + 5;
        s->words[WAKING] = 1;
        return true;
    case LOOK + 5: // under the lock
        if (r->buffered) return false;
        choose(s, r);
        r->step = r->chosen == THREADS ? LOOK + 7 : LOOK + 6;
        return true;
    case LOOK + 6: // fsi_park_wake
        if (r->buffered) return false;
        if (broken != WAKE_NOT_KEPT || s->runners[r->chosen].step == SLEEP + 3) s->runners[r->chosen].woken = 1;
        r->chosen = 0;
        r->step = how->slow ? LOOK + 9 : r->back;
        return true;
    case LOOK + 7:
        store(s, t, WAKING, 0);
        r->chosen = 0;
        r->step = broken == NO_SECOND_LOOK ? r->back : (uint8_t)LOOK;
        return true;
    case LOOK + 8:
        r->want = (uint8_t)queued(s, t);
        r->step = LOOK + 9;
        return true;
    default: // LOOK + 9: one for each
        if (r->buffered) return false;
        r->step = r->back;
        if (r->want == 0) return true;
        r->want--;
        choose(s, r);
        if (r->chosen != THREADS)
            r->step = LOOK + 6;
        else
            r->chosen = r->want = 0;
        return true;
    }
}

// fsi_worker_main
static bool step_worker(state *s, uint32_t t)
{
    runner *r = &s->runners[t];
    uint32_t all = (uint32_t)(how->pushers * how->each), at_once = all < how->others ? all : how->others;
    switch (r->step) {
    case WORK: // pop is a read-modify-write
        if (r->buffered) return false;
        r->step = pop(s, t) ? WORK + 1 : SLEEP;
        return true;
    case WORK + 1:
        r->back = WORK + 2;
        r->step = queued(s, t) && broken != NO_LOOK_BEFORE_RUNNING ? LOOK : WORK + 2;
        return true;
    case WORK + 2: // the job begins
        if (r->buffered) return false;
        s->words[RUNNING]++;
        r->step = WORK + 3;
        return true;
    case WORK + 3: // and ends
        if (how->together && s->words[RUNNING] < at_once) return false;
        r->step = WORK;
        return true;
    case SLEEP: // under the lock
        if (r->buffered) return false;
        r->parked = 1;
        s->list[s->listed++] = (uint8_t)t;
        if (broken == NO_FENCE_AFTER_LYING_DOWN)
            store(s, t, IDLE, s->words[IDLE] + 1u); // as if the count were no read-modify-write either
        else
            s->words[IDLE]++;
        r->step = SLEEP + 1;
        return true;
    case SLEEP + 1: r->step = queued(s, t) && broken != NO_LOOK_AFTER_LYING_DOWN ? SLEEP + 2 : SLEEP + 3; return true;
    case SLEEP + 2: // under the lock
        if (r->buffered) return false;
        r->step = r->parked ? WORK : SLEEP + 3;
        for (uint32_t i = 0; r->parked && i < s->listed; i++)
            if (s->list[i] == t) {
                unlist(s, i);
                r->parked = 0;
            }
        return true;
    case SLEEP + 3: // fsi_park_sleep
        if (r->buffered || !r->woken) return false;
        r->woken = 0;
        r->step = SLEEP + 4;
        return true;
    case SLEEP + 4:
        if (broken != WAKING_KEPT) store(s, t, WAKING, 0);
        r->step = SLEEP + 5;
        return true;
    default: // fence
        if (r->buffered) return false;
        r->step = WORK;
        return true;
    }
}

// What a loop pushes to the pool: push, then look.
static bool step_pusher(state *s, uint32_t t)
{
    runner *r = &s->runners[t];
    if (r->step == 0) {
        if (r->left == 0) {
            r->step = OVER;
            return true;
        }
        push_claim(s, t);
        r->step = 1;
        return true;
    }
    push_publish(s, t);
    r->back = 0;
    r->step = LOOK;
    return true;
}

// fsi_loop_send and fsi_loop_wake
static bool step_sender(state *s, uint32_t t)
{
    runner *r = &s->runners[t];
    switch (r->step) {
    case 0:
        if (r->left == 0) {
            r->step = OVER;
            return true;
        }
        push_claim(s, t);
        r->step = 1;
        return true;
    case 1:
        push_publish(s, t);
        r->step = 2;
        return true;
    case 2:                                     // swap
        if (broken == NO_FENCE_BEFORE_WAKING) { // as if it were a store, and nothing after it
            r->step = load(s, t, WOKEN) ? 0 : 3;
            store(s, t, WOKEN, 1);
            return true;
        }
        if (r->buffered) return false;
        r->step = s->words[WOKEN] ? 0 : 3;
        s->words[WOKEN] = 1;
        return true;
    default:
        if (r->step == 3) {
            r->step = load(s, t, WAITING) ? 4 : 0;
            return true;
        }
        if (r->buffered) return false;
        s->words[EVENT] = 1;
        r->step = 0;
        return true;
    }
}

// fsi_loop_turn: waits, unless there is something; then takes what stands in the inbox.
static bool step_loop(state *s, uint32_t t)
{
    runner *r = &s->runners[t];
    switch (r->step) {
    case LOOP:
        store(s, t, WAITING, 1);
        r->step = LOOP + 1;
        return true;
    case LOOP + 1: // fence
        if (broken != NO_FENCE_BEFORE_WAITING && r->buffered) return false;
        r->step = LOOP + 2;
        return true;
    case LOOP + 2: r->step = load(s, t, WOKEN) && broken != NO_LOOK_BEFORE_WAITING ? LOOP + 4 : LOOP + 3; return true;
    case LOOP + 3: // fsi_io_wait
        if (r->buffered || !s->words[EVENT]) return false;
        r->step = LOOP + 4;
        return true;
    case LOOP + 4: // a wait that does not block takes the event all the same
        if (r->buffered) return false;
        s->words[EVENT] = 0;
        store(s, t, WAITING, 0);
        r->step = LOOP + 5;
        return true;
    case LOOP + 5: r->step = load(s, t, WOKEN) ? LOOP + 6 : LOOP; return true;
    case LOOP + 6: // swap
        if (broken == WOKEN_CLEARED_AFTER_TAKING) {
            r->step = LOOP + 7;
            return true;
        }
        if (r->buffered) return false;
        s->words[WOKEN] = 0;
        r->step = LOOP + 7;
        return true;
    case LOOP + 7:
        r->want = (uint8_t)queued(s, t);
        r->step = LOOP + 8;
        return true;
    default:
        if (r->buffered) return false;
        if (r->want && pop(s, t)) {
            r->want--;
            return true;
        }
        r->want = 0;
        if (broken == WOKEN_CLEARED_AFTER_TAKING) s->words[WOKEN] = 0;
        r->step = LOOP;
        return true;
    }
}

static bool step(state *s, uint32_t t)
{
    const runner *r = &s->runners[t];
    if (r->step == OVER || r->buffered == BUFFER) return false;
    if (how->loop) return t < how->pushers ? step_sender(s, t) : step_loop(s, t);
    if (r->step >= LOOK && r->step < WORK) return step_look(s, t);
    return t < how->pushers ? step_pusher(s, t) : step_worker(s, t);
}

// ---- every state that can be reached

static struct {
    state *all; // in the order in which they were found
    uint32_t *slots;
    uint32_t count, cap, mask;
} seen;

static uint32_t hash(const state *s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *s; i++) h = (h ^ ((const uint8_t *)s)[i]) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

static void *grown(void *memory, size_t size)
{
    void *more = realloc(memory, size);
    if (!more) abort();
    return more;
}

static void reached(const state *s)
{
    uint32_t at;
    for (at = hash(s) & seen.mask; seen.slots[at]; at = (at + 1) & seen.mask)
        if (memcmp(&seen.all[seen.slots[at] - 1], s, sizeof *s) == 0) return;
    if (seen.count == seen.cap) {
        seen.cap = seen.cap * 2 + 1024;
        seen.all = (state *)grown(seen.all, sizeof(state) * seen.cap);
    }
    seen.all[seen.count++] = *s;
    seen.slots[at] = seen.count;
    if (seen.count < seen.mask / 2) return;
    seen.mask = seen.mask * 2 + 1;
    seen.slots = (uint32_t *)grown(seen.slots, sizeof(uint32_t) * (size_t)(seen.mask + 1));
    memset(seen.slots, 0, sizeof(uint32_t) * (size_t)(seen.mask + 1));
    for (uint32_t i = 0; i < seen.count; i++) {
        for (at = hash(&seen.all[i]) & seen.mask; seen.slots[at]; at = (at + 1) & seen.mask) continue;
        seen.slots[at] = i + 1;
    }
}

static void begin(void)
{
    state s;
    memset(&s, 0, sizeof s);
    for (uint32_t t = 0; t < how->pushers + (uint32_t)how->others; t++) {
        if (t < how->pushers)
            s.runners[t].left = how->each;
        else
            s.runners[t].step = how->loop ? LOOP : WORK;
    }
    free(seen.all);
    free(seen.slots);
    memset(&seen, 0, sizeof seen);
    seen.mask = 4095;
    seen.slots = (uint32_t *)calloc(seen.mask + 1, sizeof(uint32_t));
    if (!seen.slots) abort();
    reached(&s);
}

// A state in which nobody can go on: NULL if all messages were taken.
static const char *judge(const state *s)
{
    uint32_t all = (uint32_t)(how->pushers * how->each);
    if (s->words[HEAD] < all) return "a message was not taken, and nobody can go on";
    if (how->loop) return NULL;
    for (uint32_t t = how->pushers; t < how->pushers + (uint32_t)how->others; t++)
        if (s->runners[t].step != SLEEP + 3) return "a job waits for another that nobody runs";
    return s->listed == how->others && s->words[IDLE] == s->listed ? NULL : "a worker sleeps that cannot be found";
}

// What is wrong, or NULL. Every state is gone on from once.
static const char *explore(void)
{
    uint32_t threads = how->pushers + (uint32_t)how->others;
    begin();
    for (uint32_t i = 0; i < seen.count; i++) {
        bool stuck = true;
        for (uint32_t t = 0; t < threads; t++) {
            state next = seen.all[i];
            if (next.runners[t].buffered) {
                flush_one(&next, t);
                reached(&next);
                stuck = false;
                next = seen.all[i];
            }
            if (!step(&next, t)) continue;
            stuck = false;
            reached(&next);
        }
        const char *wrong = stuck ? judge(&seen.all[i]) : NULL;
        if (wrong) return wrong;
    }
    return NULL;
}

static const setup lanes[] = {
    {"1 pusher, 1 worker, 3 jobs", 1, 1, 3, false, false, false},
    {"1 pusher, 2 workers, 2 jobs", 1, 2, 2, false, true, false},
    {"2 pushers, 1 worker, 2 jobs", 2, 1, 1, false, true, false},
    {"2 pushers, 2 workers, 2 jobs", 2, 2, 1, false, true, false},
    {"2 pushers, 1 worker, 4 jobs", 2, 1, 2, false, false, false},
    {"1 pusher, 3 workers, 3 jobs", 1, 3, 3, false, true, false},
    {"slow jobs, 1 pusher, 2 workers, 3 jobs", 1, 2, 3, true, true, false},
    {"slow jobs, 2 pushers, 2 workers, 2 jobs", 2, 2, 1, true, true, false},
};

static const setup loops[] = {
    {"1 sender, 3 messages", 1, 1, 3, false, false, true},
    {"2 senders, 4 messages", 2, 1, 2, false, false, true},
    {"3 senders, 3 messages", 3, 1, 1, false, false, true},
};

static void holds(const setup *setups, size_t count)
{
    broken = NONE;
    for (size_t i = 0; i < count; i++) {
        how = &setups[i];
        ROW("%s", how->name);
        const char *wrong = explore();
        CHECK_STR(wrong ? wrong : "", "");
        CHECK(seen.count > 50); // it went somewhere
    }
}

TEST(lane_loses_no_wake)
{
    holds(lanes, sizeof lanes / sizeof lanes[0]);
}

TEST(loop_loses_no_wake)
{
    holds(loops, sizeof loops / sizeof loops[0]);
}

// A copy with one thing left out is caught by some setup.
static void caught(const setup *setups, size_t count, flaw which, const char *name)
{
    bool found = false;
    broken = which;
    for (size_t i = 0; i < count && !found; i++) {
        how = &setups[i];
        found = explore() != NULL;
    }
    ROW("%s", name);
    CHECK(found);
}

TEST(lane_with_a_flaw_is_caught)
{
#define CAUGHT(flaw) caught(lanes, sizeof lanes / sizeof lanes[0], flaw, #flaw)
    CAUGHT(NO_FENCE_BEFORE_LOOKING);
    CAUGHT(NO_LOOK_AFTER_LYING_DOWN);
    CAUGHT(NO_FENCE_AFTER_LYING_DOWN);
    CAUGHT(WAKING_KEPT);
    CAUGHT(NO_SECOND_LOOK);
    CAUGHT(NO_LOOK_BEFORE_RUNNING);
    CAUGHT(WAKE_NOT_KEPT);
#undef CAUGHT
}

TEST(loop_with_a_flaw_is_caught)
{
#define CAUGHT(flaw) caught(loops, sizeof loops / sizeof loops[0], flaw, #flaw)
    CAUGHT(NO_FENCE_BEFORE_WAITING);
    CAUGHT(NO_FENCE_BEFORE_WAKING);
    CAUGHT(WOKEN_CLEARED_AFTER_TAKING);
    CAUGHT(NO_LOOK_BEFORE_WAITING);
#undef CAUGHT
}

TEST_MAIN(CASE(lane_loses_no_wake), CASE(loop_loses_no_wake), CASE(lane_with_a_flaw_is_caught),
          CASE(loop_with_a_flaw_is_caught))
