// test_queue_model.c: >>queue, proved for small sizes. Three layers:
//
//   memory   what one thread may see of what others stored, checked against known litmus tests
//   machine  fsi_queue_push and fsi_queue_pop as steps over that memory, one access each, in every interleaving
//   code     the real functions in lockstep with the machine: same accesses, same memory orders, same results
//
// The memory is the release/acquire and relaxed part of C11, as an operational model with views. Every place keeps all
// stores to it in modification order. A load may return any store that is not older than what its thread has seen of
// that place; a store may go anywhere after that; a read-modify-write stands right behind what it read, and nothing
// comes between. A release store carries what its thread has seen, an acquire load that returns it sees that too. So
// loads return old values, stores become visible in any order and to each thread at another time (no multi-copy
// atomicity), and compare-and-swap fails for no reason. Messages are plain memory: two accesses of a cell, of which one
// does not happen before the other, are a data race, whichever values they would give.
//
// Not covered: a load that returns a store which only runs later (C11's load buffering, a cycle of program order and
// reads-from); fences and seq_cst, which the queue does not use; sizes beyond those below; positions are 8 bits wide. A
// state is known again by 128 bits of hash: two could be taken for one, with a chance below 1e-20 if the hash is fair.
#include "test.h"

// Every atomic access of the header reports itself first, with its order. The inner name is the builtin again, because
// a macro does not expand within itself. Strong, since a failure without reason would be out of step with the machine.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wreserved-macro-identifier"
#endif
static void accessed(const volatile void *at, char what, int order);
// clang-format off
#define __atomic_load_n(at, order) (accessed(at, 'r', order), __atomic_load_n(at, order))
#define __atomic_store_n(at, v, order) (accessed(at, 'w', order), __atomic_store_n(at, v, order))
#define __atomic_compare_exchange_n(at, seen, v, weak, won, lost) \
    (accessed(at, 'c', (won) | (lost)), __atomic_compare_exchange_n(at, seen, v, false, won, lost))
// clang-format on

#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

// ---- memory

enum { CELLS = 4, THREADS = 4, TAIL = 0, HEAD = 1, SEQ = 2, PLACES = SEQ + CELLS, STORES = 8, VALUES_MAX = 16 };

// at[p]: the newest store to place p that was seen, and so the oldest that may still be read. knows, bit c: every
// access of cell c so far happens before what comes next.
typedef struct view {
    uint8_t at[PLACES], knows;
} view;

typedef struct store {
    uint8_t value;
    uint8_t taken; // what follows is a read-modify-write that read this one: nothing may come between
    uint8_t mark;  // of SEQ: how far the cell is in truth, for refusal(); no step depends on it
    view carries;  // what an acquire load gets with the value
} store;

typedef struct place {
    uint8_t count;
    store stores[STORES]; // in modification order
} place;

typedef struct runner {
    uint8_t step; // of the operation that runs
    uint8_t op;   // how many came to their end
    uint8_t at;   // as in the code
    view sees;
    uint16_t mine; // values that this thread has popped
} runner;

typedef struct state {
    place places[PLACES];
    runner runners[THREADS];
    uint8_t cells[CELLS]; // the messages: number of a value + 1, or 0 when it was taken out
    uint16_t popped;      // values
    const char *wrong;    // invariant that the last step broke
    uint32_t node;
} state;

static bool weak;        // false: sequential consistency, every load returns the newest store
static uint32_t threads; // that run

static void view_join(view *to, const view *from)
{
    for (int p = 0; p < PLACES; p++)
        if (to->at[p] < from->at[p]) to->at[p] = from->at[p];
    to->knows |= from->knows;
}

// Loads return a store in [oldest, count).
static uint8_t oldest(const state *s, uint32_t t, uint8_t p)
{
    return weak ? s->runners[t].sees.at[p] : (uint8_t)(s->places[p].count - 1);
}

static uint8_t load(state *s, uint32_t t, uint8_t p, uint8_t i, bool acquire)
{
    view *sees = &s->runners[t].sees;
    const store *from = &s->places[p].stores[i];
    sees->at[p] = i;
    if (acquire) view_join(sees, &from->carries);
    return from->value;
}

// A new store between the i-th and what stood before it; every view moves along.
static store *insert(state *s, uint8_t p, uint8_t i)
{
    place *to = &s->places[p];
    if (to->count == STORES) {
        s->wrong = "more stores than the model has room for";
        return &to->stores[i];
    }
    memmove(&to->stores[i + 1], &to->stores[i], sizeof(store) * (size_t)(to->count - i));
    memset(&to->stores[i], 0, sizeof(store));
    to->count++;
    for (uint32_t t = 0; t < threads; t++)
        if (s->runners[t].sees.at[p] >= i) s->runners[t].sees.at[p]++;
    for (int q = 0; q < PLACES; q++)
        for (uint32_t k = 0; k < s->places[q].count; k++)
            if (s->places[q].stores[k].carries.at[p] >= i) s->places[q].stores[k].carries.at[p]++;
    return &to->stores[i];
}

static bool may_store(const state *s, uint32_t t, uint8_t p, uint8_t i)
{
    if (!weak) return i == s->places[p].count;
    return i > s->runners[t].sees.at[p] && !s->places[p].stores[i - 1].taken;
}

static store *store_at(state *s, uint32_t t, uint8_t p, uint8_t i, uint8_t value, bool release)
{
    store *to = insert(s, p, i);
    to->value = value;
    s->runners[t].sees.at[p] = i;
    if (release && weak) to->carries = s->runners[t].sees;
    return to;
}

// The winning half of a compare-and-swap, relaxed, of the i-th store. What that one carries goes on: a release
// sequence.
static void swap(state *s, uint32_t t, uint8_t p, uint8_t i, uint8_t value)
{
    store *to = insert(s, p, (uint8_t)(i + 1));
    to->value = value;
    to->carries = s->places[p].stores[i].carries;
    s->places[p].stores[i].taken = 1;
    s->runners[t].sees.at[p] = (uint8_t)(i + 1);
}

// A plain access of cell c. Reads count like writes: the queue never lets two threads read one message.
static void touch(state *s, uint32_t t, uint32_t c)
{
    uint8_t bit = (uint8_t)(1u << c), others = (uint8_t)~bit;
    if (!weak) return;
    if (!(s->runners[t].sees.knows & bit)) s->wrong = "data race on a message";
    for (uint32_t o = 0; o < threads; o++) s->runners[o].sees.knows &= others;
    for (int p = 0; p < PLACES; p++)
        for (uint32_t k = 0; k < s->places[p].count; k++) s->places[p].stores[k].carries.knows &= others;
    s->runners[t].sees.knows |= bit;
}

// Every view of place p loses its oldest `drop` stores.
static void forget(state *s, uint8_t p, uint8_t drop)
{
    place *at = &s->places[p];
    at->count = (uint8_t)(at->count - drop);
    memmove(at->stores, at->stores + drop, sizeof(store) * at->count);
    for (uint32_t t = 0; t < threads; t++) {
        uint8_t *sees = &s->runners[t].sees.at[p];
        *sees = (uint8_t)(*sees > drop ? *sees - drop : 0);
    }
    for (int q = SEQ; q < PLACES; q++) // stores to other places carry nothing
        for (uint32_t k = 0; k < s->places[q].count; k++) {
            uint8_t *carried = &s->places[q].stores[k].carries.at[p];
            *carried = (uint8_t)(*carried > drop ? *carried - drop : 0);
        }
}

// ---- litmus tests of the memory

typedef struct litmus_step {
    char what; // 'r'ead, 'w'rite, 'c'ompare and swap value - 1 for value; 0: the end
    uint8_t place, value;
    bool strong; // acquire or release
} litmus_step;

enum { LITMUS_ORDERS = 3 };

typedef struct litmus {
    const char *name;
    litmus_step orders[THREADS][LITMUS_ORDERS];
    uint32_t outcome; // what each read returned, of all threads in turn, as decimal digits
    bool last;        // outcome is what places 0 and 1 hold in the end
    bool seen;        // whether there is such a run
} litmus;

static const litmus *litmus_now;
static uint8_t litmus_reads[THREADS][LITMUS_ORDERS];
static bool litmus_seen;

static void litmus_run(const state *s);

// The order is done; what came of it is noted while the rest runs.
static void litmus_next(state *s, uint32_t t, uint8_t result)
{
    litmus_reads[t][s->runners[t].op++] = result;
    litmus_run(s);
}

static void litmus_order(const state *s, uint32_t t)
{
    const litmus_step *o = &litmus_now->orders[t][s->runners[t].op];
    for (uint8_t i = oldest(s, t, o->place); i <= s->places[o->place].count; i++) {
        state next = *s;
        if (o->what == 'w') {
            if (!may_store(s, t, o->place, i)) continue;
            store_at(&next, t, o->place, i, o->value, o->strong);
            litmus_next(&next, t, 0);
        } else if (i < s->places[o->place].count) {
            uint8_t value = load(&next, t, o->place, i, o->strong && o->what == 'r');
            bool wins = o->what == 'c' && value + 1 == o->value;
            if (wins && s->places[o->place].stores[i].taken) continue;
            if (wins) swap(&next, t, o->place, i, o->value);
            litmus_next(&next, t, o->what == 'c' ? wins : value);
        }
    }
}

static void litmus_run(const state *s)
{
    uint32_t outcome = 0;
    bool more = false;
    for (uint32_t t = 0; t < THREADS; t++)
        for (uint32_t k = 0; k < LITMUS_ORDERS && litmus_now->orders[t][k].what; k++) {
            if (k == s->runners[t].op) {
                litmus_order(s, t);
                more = true;
                break;
            }
            if (litmus_now->orders[t][k].what != 'w') outcome = outcome * 10 + litmus_reads[t][k];
        }
    if (more) return;
    if (litmus_now->last) {
        const place *x = &s->places[0], *y = &s->places[1];
        outcome = x->stores[x->count - 1].value * 10u + y->stores[y->count - 1].value;
    }
    litmus_seen |= outcome == litmus_now->outcome;
}

// clang-format off
static const litmus litmus_tests[] = {
    {"message passing, relaxed", {{{'w',0,1,0}, {'w',1,1,0}}, {{'r',1,0,0}, {'r',0,0,0}}}, 10, false, true},
    {"message passing, relaxed load", {{{'w',0,1,0}, {'w',1,1,1}}, {{'r',1,0,0}, {'r',0,0,0}}}, 10, false, true},
    {"message passing, relaxed store", {{{'w',0,1,0}, {'w',1,1,0}}, {{'r',1,0,1}, {'r',0,0,0}}}, 10, false, true},
    {"message passing", {{{'w',0,1,0}, {'w',1,1,1}}, {{'r',1,0,1}, {'r',0,0,0}}}, 10, false, false},
    {"message passing, third thread", {{{'w',0,1,0}, {'w',1,1,1}}, {{'r',1,0,1}, {'w',2,1,1}},
                                       {{'r',2,0,1}, {'r',0,0,0}}}, 110, false, false},
    {"release sequence", {{{'w',0,1,0}, {'w',1,1,1}}, {{'c',1,2,0}}, {{'r',1,0,1}, {'r',0,0,0}}}, 120, false, false},
    {"store buffering", {{{'w',0,1,1}, {'r',1,0,1}}, {{'w',1,1,1}, {'r',0,0,1}}}, 0, false, true},
    {"two stores each", {{{'w',0,1,1}, {'w',1,2,1}}, {{'w',1,1,1}, {'w',0,2,1}}}, 11, true, true},
    {"one place never goes back", {{{'w',0,1,0}}, {{'r',0,0,0}, {'r',0,0,0}}}, 10, false, false},
    {"two readers, two orders", {{{'w',0,1,1}}, {{'w',1,1,1}}, {{'r',0,0,1}, {'r',1,0,1}},
                                 {{'r',1,0,1}, {'r',0,0,1}}}, 1010, false, true},
    {"two readers, one place", {{{'w',0,1,0}}, {{'w',0,2,0}}, {{'r',0,0,0}, {'r',0,0,0}},
                                {{'r',0,0,0}, {'r',0,0,0}}}, 1221, false, false},
    {"two swaps, two winners", {{{'c',0,1,0}}, {{'c',0,1,0}}}, 11, false, false},
    {"a store within a swap", {{{'c',0,1,0}}, {{'w',0,5,0}}}, 10, true, false},
    // Allowed by C11, not by this memory: the gap that is named above.
    {"load buffering", {{{'r',0,0,0}, {'w',1,1,0}}, {{'r',1,0,0}, {'w',0,1,0}}}, 11, false, false},
};
// clang-format on

// Goal: the memory allows what C11 is known to allow, and nothing that it is known to forbid.
TEST(model_litmus)
{
    weak = true, threads = THREADS;
    for (size_t i = 0; i < sizeof litmus_tests / sizeof litmus_tests[0]; i++) {
        static state begin;
        litmus_now = &litmus_tests[i], litmus_seen = false;
        ROW("%s", litmus_now->name);
        for (int p = 0; p < PLACES; p++) begin.places[p].count = 1;
        litmus_run(&begin);
        CHECK_EQ(litmus_seen, litmus_now->seen);
    }
}

// ---- machine

// What is weaker in a copy of the queue, as bits. Each is for push; the same for pop stands FOR_POP bits higher.
enum {
    LOAD_RELAXED = 1,  // of seq
    STORE_RELAXED = 2, // of seq
    CLAIM_IN_TWO = 4,  // the position is taken by a load and a store
    EARLY = 8,         // seq is stored before the message is copied
    BLIND = 16,        // the position is taken without a look at the cell
    SMALL = 32,        // what is stored to seq is too small by one
    FOR_POP = 8
};

typedef struct setup {
    const char *name;
    uint8_t capacity, begin;      // begin: the first position; near 255 they overflow
    char program[THREADS][8 + 1]; // what each thread does: > pushes and < pops, each until it succeeds
} setup;

// POSITION: fsi_peek64 of tail or head. TURN: fsi_load64 of seq and the comparison. CLAIM: fsi_cas64; CLAIM_APART: a
// flaw's store. MESSAGE: the plain copy. PUBLISH: fsi_store64 of seq. The same for fsi_queue_push and fsi_queue_pop.
typedef enum step { POSITION, TURN, CLAIM, CLAIM_APART, MESSAGE, PUBLISH } step;

enum { BRANCHES = 2 * STORES };

typedef struct branches {
    state at[BRANCHES];
    uint32_t count;
    bool refused; // one of them is the answer "full" or "empty"
} branches;

static uint32_t flaws; // of the copy that runs, 0 for the queue as it is
static setup run;      // and what it runs

static bool pops(const state *s, uint32_t t)
{
    return run.program[t][s->runners[t].op] == '<';
}

static bool flawed(const state *s, uint32_t t, uint32_t flaw)
{
    return flaws >> (pops(s, t) ? FOR_POP : 0) & flaw;
}

static uint8_t cell_of(uint8_t position)
{
    return position & (run.capacity - 1);
}

// How often the cell of this position was full and emptied before, since the beginning, times two.
static uint32_t laps(uint8_t position)
{
    return (uint8_t)(position - run.begin) / run.capacity * 2u;
}

// Values are numbered in the order of the programs: this is the next one that t pushes.
static uint32_t value_of(const state *s, uint32_t t)
{
    uint32_t value = 0;
    for (uint32_t o = 0; o <= t; o++)
        for (uint32_t k = 0; run.program[o][k] && (o < t || k < s->runners[t].op); k++)
            value += run.program[o][k] == '>';
    return value;
}

static state *branch(branches *out, const state *from, uint32_t t, step next)
{
    state *to = &out->at[out->count++];
    *to = *from;
    to->runners[t].step = (uint8_t)next;
    return to;
}

// In code: at = fsi_peek64(&queue->tail), or of head.
static void step_position(const state *s, uint32_t t, branches *out)
{
    uint8_t p = pops(s, t) ? HEAD : TAIL;
    for (uint8_t i = oldest(s, t, p); i < s->places[p].count; i++) {
        state *next = branch(out, s, t, flawed(s, t, BLIND) ? CLAIM : TURN);
        next->runners[t].at = load(next, t, p, i, false);
    }
}

// "full" is right while no pop of one lap ago, "empty" while no push of this position has stored its number at or
// before the store that was read. Without old values it must be right at this very moment: nobody has gone past the
// position.
static const char *refusal(const state *s, uint32_t t, const store *read)
{
    uint8_t at = s->runners[t].at;
    const place *position = &s->places[pops(s, t) ? HEAD : TAIL];
    bool stale = !weak && position->stores[position->count - 1].value != at;
    if (pops(s, t)) return stale || read->mark >= laps(at) + 1 ? "empty, although a message is there" : NULL;
    return stale || read->mark >= laps(at) ? "full, although there is room" : NULL;
}

// In code: turn = fsi_load64(&cell->seq) - at (- 1 in pop) and what becomes of it.
static void step_turn(const state *s, uint32_t t, branches *out)
{
    uint8_t at = s->runners[t].at, p = (uint8_t)(SEQ + cell_of(at)), want = (uint8_t)(at + pops(s, t));
    bool acquire = !flawed(s, t, LOAD_RELAXED);
    for (uint8_t i = oldest(s, t, p); i < s->places[p].count; i++) {
        state *next = branch(out, s, t, CLAIM);
        int8_t turn = (int8_t)(uint8_t)(load(next, t, p, i, acquire) - want);
        if (turn < 0) {
            next->wrong = refusal(s, t, &s->places[p].stores[i]);
            out->refused = true;
        }
        if (turn != 0) next->runners[t].step = POSITION, next->runners[t].at = 0;
    }
}

// In code: fsi_cas64(&queue->tail, &at, at + 1), or of head: weak, so it may fail with the right value, and relaxed, so
// it may fail with an old one. The win is the last branch.
static void step_claim(const state *s, uint32_t t, branches *out)
{
    uint8_t at = s->runners[t].at, p = pops(s, t) ? HEAD : TAIL;
    bool apart = flawed(s, t, CLAIM_IN_TWO), early = flawed(s, t, EARLY);
    for (uint8_t i = oldest(s, t, p); i < s->places[p].count; i++) {
        state *next = branch(out, s, t, flawed(s, t, BLIND) ? CLAIM : TURN);
        uint8_t value = load(next, t, p, i, false);
        next->runners[t].at = value;
        if (value != at || s->places[p].stores[i].taken) continue;
        next = branch(out, s, t, apart ? CLAIM_APART : early ? PUBLISH : MESSAGE);
        if (apart)
            load(next, t, p, i, false);
        else
            swap(next, t, p, i, (uint8_t)(at + 1));
    }
}

static void step_claim_apart(const state *s, uint32_t t, branches *out)
{
    uint8_t at = s->runners[t].at, p = pops(s, t) ? HEAD : TAIL;
    for (uint8_t i = 1; i <= s->places[p].count; i++)
        if (may_store(s, t, p, i)) store_at(branch(out, s, t, MESSAGE), t, p, i, (uint8_t)(at + 1), false);
}

static void end_operation(state *s, uint32_t t)
{
    s->runners[t].step = POSITION, s->runners[t].at = 0;
    s->runners[t].op++;
}

// The first value of the thread that pushes this one, and the first of the next thread.
static void values_beside(uint32_t value, uint32_t *first, uint32_t *end)
{
    *first = *end = 0;
    for (uint32_t t = 0; t < threads && *end <= value; t++) {
        *first = *end;
        for (const char *c = run.program[t]; *c; c++) *end += *c == '>';
    }
}

static const char *took(state *s, uint32_t t, uint32_t content)
{
    uint32_t value = content - 1, first, end;
    if (content == 0) return "a cell without a message was popped";
    values_beside(value, &first, &end);
    if (s->popped >> value & 1) return "a value came out twice";
    for (uint32_t later = value + 1; later < end; later++)
        if (s->runners[t].mine >> later & 1) return "order of one producer turned round";
    s->popped |= (uint16_t)(1u << value);
    s->runners[t].mine |= (uint16_t)(1u << value);
    return NULL;
}

// In code: cell->msg = msg, or *msg = cell->msg. One step: that nobody else is at it is what touch() checks.
static void step_message(const state *s, uint32_t t, branches *out)
{
    uint8_t cell = cell_of(s->runners[t].at);
    state *next = branch(out, s, t, PUBLISH);
    touch(next, t, cell);
    if (pops(s, t)) {
        const char *wrong = took(next, t, next->cells[cell]);
        if (wrong && !next->wrong) next->wrong = wrong;
        next->cells[cell] = 0;
    } else {
        if (next->cells[cell] && !next->wrong) next->wrong = "a message was written over";
        next->cells[cell] = (uint8_t)(value_of(s, t) + 1);
    }
    if (flawed(s, t, EARLY)) end_operation(next, t);
}

// In code: fsi_store64(&cell->seq, at + 1), or at + mask + 1 in pop.
static void step_publish(const state *s, uint32_t t, branches *out)
{
    bool pop = pops(s, t), release = !flawed(s, t, STORE_RELAXED);
    uint8_t at = s->runners[t].at, p = (uint8_t)(SEQ + cell_of(at));
    uint8_t value = (uint8_t)(at + (pop ? run.capacity : 1) - flawed(s, t, SMALL));
    for (uint8_t i = 1; i <= s->places[p].count; i++) {
        if (!may_store(s, t, p, i)) continue;
        state *next = branch(out, s, t, MESSAGE);
        store_at(next, t, p, i, value, release)->mark = (uint8_t)(laps(at) + 1 + pop);
        if (!flawed(s, t, EARLY)) end_operation(next, t);
    }
}

static void steps(const state *s, uint32_t t, branches *out)
{
    out->count = 0;
    out->refused = false;
    switch ((step)s->runners[t].step) {
    case POSITION: step_position(s, t, out); break;
    case TURN: step_turn(s, t, out); break;
    case CLAIM: step_claim(s, t, out); break;
    case CLAIM_APART: step_claim_apart(s, t, out); break;
    case MESSAGE: step_message(s, t, out); break;
    case PUBLISH: step_publish(s, t, out); break;
    }
}

static void run_begin(const setup *how, state *s)
{
    run = *how;
    memset(s, 0, sizeof *s);
    for (threads = 0; threads < THREADS && run.program[threads][0];) threads++;
    for (int p = 0; p < SEQ + run.capacity; p++) s->places[p].count = 1;
    s->places[TAIL].stores[0].value = s->places[HEAD].stores[0].value = run.begin;
    for (uint8_t i = 0; i < run.capacity; i++) {
        uint8_t at = (uint8_t)(run.begin + i);
        s->places[SEQ + cell_of(at)].stores[0].value = at;
    }
    for (uint32_t t = 0; t < threads && weak; t++) s->runners[t].sees.knows = (uint8_t)((1u << run.capacity) - 1);
}

// ---- every interleaving

typedef struct node { // a state that was reached: its hash, and how
    uint64_t a, b;
    uint32_t from;
    uint8_t thread, step;
} node;

static struct {
    node *nodes;
    uint32_t *slots; // open addressing; index of a node + 1
    state *todo;
    uint32_t node_count, node_room, slot_count, todo_from, todo_count, todo_room;
    uint32_t ends; // states in which all programs are done
    node bad;      // the step that broke an invariant
} all;

static void *grow(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (!memory) abort();
    return memory;
}

static void mix(node *to, const void *bytes, size_t size)
{
    const uint8_t *from = (const uint8_t *)bytes;
    uint64_t word;
    for (size_t i = 0; i < size; i += sizeof word) {
        word = 0;
        memcpy(&word, from + i, size - i < sizeof word ? size - i : sizeof word);
        to->a = (to->a ^ word) * 0x9E3779B97F4A7C15u;
        to->a ^= to->a >> 32;
        to->b = (to->b + word) * 0xD6E8FEB86659FD93u;
        to->b ^= to->b >> 29;
    }
}

static void state_hash(const state *s, node *to)
{
    to->a = 1, to->b = 2;
    for (int p = 0; p < SEQ + run.capacity; p++)
        mix(to, &s->places[p], offsetof(place, stores) + sizeof(store) * s->places[p].count);
    mix(to, s->runners, sizeof s->runners[0] * threads);
    mix(to, s->cells, sizeof s->cells);
    mix(to, &s->popped, sizeof s->popped);
}

static uint32_t *slot_of(const node *n)
{
    uint32_t i = (uint32_t)(n->a >> 20) & (all.slot_count - 1);
    while (all.slots[i] && (all.nodes[all.slots[i] - 1].a != n->a || all.nodes[all.slots[i] - 1].b != n->b))
        i = (i + 1) & (all.slot_count - 1);
    return &all.slots[i];
}

static void more_slots(void)
{
    all.slot_count = all.slot_count ? all.slot_count * 2 : 1 << 16;
    all.slots = (uint32_t *)grow(all.slots, sizeof(uint32_t) * all.slot_count);
    memset(all.slots, 0, sizeof(uint32_t) * all.slot_count);
    for (uint32_t i = 0; i < all.node_count; i++) *slot_of(&all.nodes[i]) = i + 1;
}

// Notes the state if it is a new one.
static void reached(const state *s, uint32_t from, uint32_t thread, uint32_t how)
{
    node n;
    memset(&n, 0, sizeof n);
    state_hash(s, &n);
    if (all.node_count * 2 >= all.slot_count) more_slots();
    uint32_t *slot = slot_of(&n);
    if (*slot) return;
    if (all.node_count == all.node_room) {
        all.node_room = all.node_room ? all.node_room * 2 : 1 << 16;
        all.nodes = (node *)grow(all.nodes, sizeof(node) * all.node_room);
    }
    n.from = from, n.thread = (uint8_t)thread, n.step = (uint8_t)how;
    all.nodes[all.node_count] = n;
    *slot = ++all.node_count;
    if (all.todo_count == all.todo_room) {
        all.todo_room = all.todo_room ? all.todo_room * 2 : 1 << 10;
        all.todo = (state *)grow(all.todo, sizeof(state) * all.todo_room);
    }
    all.todo[all.todo_count] = *s;
    all.todo[all.todo_count++].node = all.node_count - 1;
}

static bool ended(const state *s, uint32_t t)
{
    return !run.program[t][s->runners[t].op];
}

// Ends the step. What no thread can tell any more is forgotten, so that states which differ only in that become one:
// what a thread saw and popped whose program is over, and stores that are older than what all others have seen.
static void settle(state *s)
{
    bool over[THREADS] = {false};
    for (uint32_t t = 0; t < threads; t++) {
        over[t] = ended(s, t);
        if (over[t]) memset(&s->runners[t].sees, 0, sizeof(view)), s->runners[t].mine = 0;
    }
    for (uint8_t p = 0; p < SEQ + run.capacity; p++) {
        uint8_t drop = (uint8_t)(s->places[p].count - 1);
        for (uint32_t t = 0; t < threads && weak; t++)
            if (!over[t] && s->runners[t].sees.at[p] < drop) drop = s->runners[t].sees.at[p];
        if (drop) forget(s, p, drop);
    }
}

// Threads with the same program of pops are interchangeable: of the states that differ in who is who, one is enough.
static void sort_consumers(state *s)
{
    for (uint32_t i = 1; i < threads; i++)
        for (uint32_t t = i; t > 0 && !strchr(run.program[t], '>') && !strcmp(run.program[t], run.program[t - 1]);
             t--) {
            runner last = s->runners[t];
            if (memcmp(&last, &s->runners[t - 1], sizeof last) >= 0) break;
            s->runners[t] = s->runners[t - 1];
            s->runners[t - 1] = last;
        }
}

// Whether t comes to the end of its operation when all others stand still: no thread waits for a lock.
static bool ends_alone(const state *s, uint32_t t)
{
    static branches out;
    state at = *s;
    for (int i = 0; i < 8; i++) {
        uint8_t op = at.runners[t].op;
        steps(&at, t, &out);
        if (out.count == 0) return false;
        at = out.at[out.count - 1]; // the newest values, and a swap that can win wins
        if (out.refused || at.runners[t].op != op) return true;
    }
    return false;
}

static const char *expand(const state *s)
{
    static branches out;
    bool done = true;
    for (uint32_t t = 0; t < threads; t++) {
        if (ended(s, t)) continue;
        done = false;
        if (!weak && !ends_alone(s, t)) return "a thread alone does not come to an end";
        steps(s, t, &out);
        for (uint32_t i = 0; i < out.count; i++) {
            settle(&out.at[i]);
            sort_consumers(&out.at[i]);
            reached(&out.at[i], s->node, t, s->runners[t].step);
            all.bad.from = s->node, all.bad.thread = (uint8_t)t, all.bad.step = s->runners[t].step;
            if (out.at[i].wrong) return out.at[i].wrong;
        }
    }
    all.ends += done;
    return done && s->popped != (1u << value_of(s, threads - 1)) - 1 ? "a value was lost" : NULL;
}

// Every state that can be reached; NULL, or what is wrong in one. breadth: finds one that is the fewest steps away.
static const char *explore(uint32_t copy, const setup *how, bool old_values, bool breadth)
{
    const char *wrong = NULL;
    state s;
    flaws = copy, weak = old_values;
    all.node_count = all.todo_from = all.todo_count = all.ends = 0;
    if (all.slots) memset(all.slots, 0, sizeof(uint32_t) * all.slot_count);
    run_begin(how, &s);
    settle(&s);
    reached(&s, UINT32_MAX, 0, 0);
    while (!wrong && all.todo_from < all.todo_count) {
        s = all.todo[breadth ? all.todo_from++ : --all.todo_count];
        wrong = expand(&s);
    }
    return wrong;
}

// The steps that led to what is wrong: the thread's number and what it did.
static void print_path(void)
{
    static const char names[] = "ptcsmn"; // position, turn, claim, its store apart, message, number
    uint32_t count = 1;
    const node *path[256] = {&all.bad};
    while (count < 256 && all.nodes[path[count - 1]->from].from != UINT32_MAX) {
        path[count] = &all.nodes[path[count - 1]->from];
        count++;
    }
    printf("    %u steps:", count);
    while (count--) printf(" %u%c", path[count]->thread, names[path[count]->step]);
    printf("\n");
}

// clang-format off
static const setup setups_weak[] = {
    {"2 producers x 2, 2 consumers x 2", 2, 0, {">>", ">>", "<<", "<<"}},
    {"1 producer x 6, 2 consumers x 3, overflow", 2, 253, {">>>>>>", "<<<", "<<<"}},
    {"2 producers x 3, 1 consumer x 6, overflow", 2, 254, {">>>", ">>>", "<<<<<<"}},
    {"3 that push and pop", 2, 0, {"><", "><", "><"}},
    {"3 producers, 1 consumer", 2, 0, {">", ">", ">", "<<<"}},
    {"1 producer, 3 consumers", 2, 0, {">>>", "<", "<", "<"}},
    {"5 messages over capacity 4", 4, 0, {">>>", ">>", "<<<<<"}},
};
static const setup setups_sequence[] = {
    {"2 producers x 3, 2 consumers x 3", 2, 0, {">>>", ">>>", "<<<", "<<<"}},
    {"5 messages over capacity 4, overflow", 4, 253, {">>>", ">>", "<<<", "<<"}},
    {"3 that push and pop twice, overflow", 2, 255, {"><><", "><><", "><><"}},
    {"4 that push and pop", 2, 0, {"><", "><", "><", "><"}},
    {"1 producer x 6, 3 consumers x 2", 4, 0, {">>>>>>", "<<", "<<", "<<"}},
};
static const setup setups_nested[] = {
    {"1 push, 1 push, 1 pop", 2, 0, {">", ">", "<"}},
    {"2 pushes, 1 pop, 1 pop", 2, 255, {">>", "<", "<"}},
    {"3 pushes, 3 pops", 2, 254, {">>>", "<<<"}},
    {"2 that push and pop", 2, 0, {"><>", "><<"}},
};
// In order of what catches them: overlap of threads alone, or only what the memory lets them see.
static const struct weakened {
    const char *name;
    uint32_t flaws;
    bool in_sequence; // caught also where every load returns the newest store
} weakened_copies[] = {
    {"push stores seq before it writes the message", EARLY, true},
    {"pop stores seq before it reads the message", EARLY << FOR_POP, true},
    {"push takes its position by load and store", CLAIM_IN_TWO, true},
    {"pop takes its position by load and store", CLAIM_IN_TWO << FOR_POP, true},
    {"push takes its position without a look at the cell", BLIND, true},
    {"pop takes its position without a look at the cell", BLIND << FOR_POP, true},
    {"push stores at to seq, not at + 1", SMALL, true},
    {"pop stores at + mask to seq, not at + mask + 1", SMALL << FOR_POP, true},
    {"push stores seq relaxed", STORE_RELAXED, false},
    {"pop stores seq relaxed", STORE_RELAXED << FOR_POP, false},
    {"push loads seq relaxed", LOAD_RELAXED, false},
    {"pop loads seq relaxed", LOAD_RELAXED << FOR_POP, false},
};
// clang-format on

static void holds(const setup *how, size_t count, bool old_values)
{
    for (size_t i = 0; i < count; i++) {
        ROW("%s", how[i].name);
        const char *wrong = explore(0, &how[i], old_values, false);
        printf("%s, capacity %u, %s: %u states, %u ends, %s\n", how[i].name, how[i].capacity,
               old_values ? "old values" : "newest values", all.node_count, all.ends,
               wrong ? wrong : "all invariants hold");
        CHECK(wrong == NULL && all.ends > 0);
        if (wrong) print_path();
    }
}

// Goal: with every value that C11 lets a load return: nothing lost, doubled, overtaken or read while it is written;
// full and empty are right as far as a thread can know.
TEST(model_holds)
{
    holds(setups_weak, sizeof setups_weak / sizeof setups_weak[0], true);
}

// Goal: the same at larger sizes where loads return the newest value; full and empty are right at that moment, and no
// thread waits for another.
TEST(model_holds_in_sequence)
{
    holds(setups_sequence, sizeof setups_sequence / sizeof setups_sequence[0], false);
}

// Goal: each copy that is weaker in one thing is caught; what only the memory can break is not seen without it, so it
// is the model of the memory that catches it.
TEST(model_catches)
{
    for (size_t i = 0; i < sizeof weakened_copies / sizeof weakened_copies[0]; i++) {
        const struct weakened *copy = &weakened_copies[i];
        ROW("%s", copy->name);
        CHECK_EQ(explore(copy->flaws, &setups_weak[0], false, true) != NULL, copy->in_sequence);
        const char *wrong = explore(copy->flaws, &setups_weak[0], true, true);
        printf("%s: %s, %u states\n", copy->name, wrong ? wrong : "NOT CAUGHT", all.node_count);
        CHECK(wrong != NULL);
        if (wrong) print_path();
    }
}

// ---- code

// The real queue and the machine go through the same histories. A history is a list of choices: which thread begins its
// next operation, and at each atomic access of a running operation whether another thread runs a whole one in between.
// All are tried, each from the beginning. An operation that is refused is over.
static struct {
    bool on, nests; // nests: operations run within others
    fsi_queue queue;
    state model;
    uint32_t thread; // that runs
    bool busy[THREADS], refused[THREADS];
    fsi_msg got[THREADS];
    uint32_t took[THREADS];                                // value + 1, by the machine
    uint32_t choice[64], options[64], chosen, known, runs; // the history, and how many there were
    uint32_t fifo[VALUES_MAX], first, last;                // without nesting: what a plain queue holds
} real;

static uint32_t choose(uint32_t options)
{
    if (real.chosen == real.known) real.choice[real.known] = 0, real.options[real.known++] = options;
    return real.choice[real.chosen++];
}

// Makes the last choice that has another option that one. False: all histories were there.
static bool next_history(void)
{
    while (real.known > 0 && real.choice[real.known - 1] + 1 == real.options[real.known - 1]) real.known--;
    if (real.known == 0) return false;
    real.choice[real.known - 1]++;
    return true;
}

static uint32_t idle_count(void)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < threads; t++) count += !real.busy[t] && !ended(&real.model, t);
    return count;
}

static uint32_t idle_thread(uint32_t nth)
{
    for (uint32_t t = 0; t < threads; t++)
        if (!real.busy[t] && !ended(&real.model, t) && nth-- == 0) return t;
    return 0;
}

// One step of the machine.
static void advance(uint32_t t)
{
    static branches out;
    uint32_t before = real.model.popped;
    steps(&real.model, t, &out);
    real.model = out.at[out.count - 1];
    settle(&real.model);
    CHECK(real.model.wrong == NULL);
    real.refused[t] |= out.refused;
    for (uint32_t v = 0; v < VALUES_MAX; v++)
        if ((real.model.popped ^ before) >> v & 1) real.took[t] = v + 1;
}

static void operate(uint32_t t);

// Is called before every atomic access: it must be the one that the machine does next, with the order that it has
// there.
static void accessed(const volatile void *at, char what, int order)
{
    uint32_t t = real.thread;
    const runner *now = &real.model.runners[t];
    if (!real.on) return;
    fsi_cell *cell = &real.queue.cells[now->at & real.queue.mask];
    const volatile void *position = pops(&real.model, t) ? &real.queue.head : &real.queue.tail;
    if (now->step == MESSAGE) { // plain, so it does not report itself: it must have been done
        advance(t);
        CHECK(pops(&real.model, t) ? (uintptr_t)real.got[t].ptr + 1 == real.took[t]
                                   : (uintptr_t)cell->msg.ptr == value_of(&real.model, t));
    }
    switch ((step)now->step) {
    case POSITION: CHECK(at == position && what == 'r' && order == __ATOMIC_RELAXED); break;
    case TURN: CHECK(at == &cell->seq && what == 'r' && order == __ATOMIC_ACQUIRE); break;
    case CLAIM: CHECK(at == position && what == 'c' && order == __ATOMIC_RELAXED); break;
    default: CHECK(at == &cell->seq && what == 'w' && order == __ATOMIC_RELEASE && now->step == PUBLISH); break;
    }
    if (real.nests && idle_count() > 0) {
        uint32_t other = choose(1 + idle_count());
        if (other) operate(idle_thread(other - 1));
        real.thread = t, real.on = true;
    }
    advance(t);
}

static void same_as_model(void)
{
    const place *places = real.model.places;
    CHECK_EQ((uint8_t)real.queue.tail, places[TAIL].stores[0].value);
    CHECK_EQ((uint8_t)real.queue.head, places[HEAD].stores[0].value);
    for (uint32_t c = 0; c < run.capacity; c++) {
        uint8_t content = real.model.cells[c];
        CHECK_EQ((uint8_t)real.queue.cells[c].seq, places[SEQ + c].stores[0].value);
        if (content) CHECK_EQ((uintptr_t)real.queue.cells[c].msg.ptr, content - 1u);
    }
}

static void same_as_fifo(bool pop, bool done, uint32_t value)
{
    CHECK_EQ(done, pop ? real.first != real.last : real.last - real.first < run.capacity);
    if (!done) return;
    if (pop)
        CHECK_EQ(value, real.fifo[real.first++]);
    else
        real.fifo[real.last++] = value;
}

static void operate(uint32_t t)
{
    bool pop = pops(&real.model, t), done;
    uint32_t value = value_of(&real.model, t);
    fsi_msg msg;
    memset(&msg, 0, sizeof msg);
    msg.ptr = (void *)(uintptr_t)value;
    real.thread = t;
    real.busy[t] = true, real.refused[t] = false, real.took[t] = 0;
    real.on = true;
    done = pop ? fsi_queue_pop(&real.queue, &real.got[t]) : fsi_queue_push(&real.queue, msg);
    real.on = false;
    CHECK_EQ(done, !real.refused[t]);
    if (pop && done) CHECK_EQ((uintptr_t)real.got[t].ptr + 1, real.took[t]);
    if (!real.nests) same_as_fifo(pop, done, pop ? (uint32_t)(uintptr_t)real.got[t].ptr : value);
    if (real.refused[t]) end_operation(&real.model, t);
    real.busy[t] = false;
    same_as_model();
}

// Far positions: near the end of 64 bits where the machine is near the end of 8.
static void real_begin(const setup *how)
{
    uint64_t begin = how->begin > 127 ? how->begin - (uint64_t)256 : how->begin;
    run_begin(how, &real.model);
    real.queue.head = real.queue.tail = begin;
    for (uint64_t at = begin; at != begin + how->capacity; at++) real.queue.cells[at & real.queue.mask].seq = at;
    real.chosen = real.first = real.last = 0;
}

static void histories(const setup *how, bool nests)
{
    static fsv_server server; // all zero: malloc and free
    ROW("%s", how->name);
    REQUIRE(fsi_queue_init(&real.queue, &server, how->capacity));
    weak = false, flaws = 0;
    real.nests = nests;
    real.known = real.runs = 0;
    do {
        real_begin(how);
        while (idle_count() > 0) operate(idle_thread(choose(idle_count())));
        real.runs++;
    } while (!test_failures && next_history());
    printf("%s, capacity %u, %s: %u histories of the code\n", how->name, how->capacity,
           nests ? "one within another" : "one after another", real.runs);
    fsi_queue_free(&real.queue, &server);
}

// Goal: one operation after another, in every order of the threads, the queue is a plain queue.
TEST(code_one_after_another)
{
    for (size_t i = 0; i < sizeof setups_weak / sizeof setups_weak[0]; i++) histories(&setups_weak[i], false);
}

// Goal: the code does the machine's accesses with the machine's orders, also where others run in the middle of it.
TEST(code_one_within_another)
{
    for (size_t i = 0; i < sizeof setups_nested / sizeof setups_nested[0]; i++) histories(&setups_nested[i], true);
}

TEST_MAIN(CASE(model_litmus), CASE(model_holds), CASE(model_holds_in_sequence), CASE(model_catches),
          CASE(code_one_after_another), CASE(code_one_within_another))
