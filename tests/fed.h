// fed.h: the load generator's one connection without a socket under it, for tests that feed it what a server says:
//
//   make_thread(); begin(2, 0); receive("HTTP/1.1 200 OK\r\n...", n); ... forget();
//
// Included behind bench.h; MUST(what) is the includer's: what has to hold.
#ifndef FASTSERVE_TEST_FED_H
#define FASTSERVE_TEST_FED_H

#define DEPTH_MAX 8 // requests in flight

static bench_plan plan;
static bench_place place;
static bench_thread *thread; // one for all inputs: its sums go on, and what an input adds is looked at

static char echo_bytes[] = "0123456789abcdef0123";

static void make_thread(void)
{
    plan.places = &place;
    plan.place_count = plan.thread_count = plan.conn_count = 1;
    plan.pipeline = DEPTH_MAX;
    plan.calls = UINT64_MAX;
    plan.timeout_ns = 1000000000;
    plan.deadline_ns = UINT64_MAX;
    plan.main_io = NULL;
    plan.alike = true;
    plan.batch = echo_bytes;
    plan.batch_len = plan.request_len = sizeof echo_bytes - 1;
    thread = bench_thread_new(&plan, 0, 0, 1, 0);
    MUST(thread != NULL);
    thread->running = true;
    (void)bench_now(thread);
}

// So many requests are in flight from here on; `unsent` bytes of them have yet to leave.
static void begin(uint32_t in_flight, uint64_t unsent)
{
    bench_conn *conn = &thread->conns[0];
    conn->state = BENCH_UP;
    conn->part = plan.echo ? BENCH_ECHO : BENCH_HEAD;
    conn->body_left = plan.request_len;
    conn->calls_left = UINT64_MAX;
    thread->quota = in_flight;
    bench_fill(thread, conn);
    MUST(conn->in_flight == in_flight);
    MUST(bench_make(thread, conn));
    conn->out_left = unsent < conn->out_left ? unsent : conn->out_left;
}

// Forgets the connection, as nothing under it can be closed and opened.
static void forget(void)
{
    bench_conn *conn = &thread->conns[0];
    bench_shut(thread, conn, true);
    conn->in_flight = conn->unmade = conn->oldest = conn->fails = 0;
    conn->listed = false;
    thread->todo = thread->later = NULL;
    thread->later_ns = UINT64_MAX;
    thread->now_up = 0;
    thread->ended_all = thread->begun;
}

// One receive, as bench_run hands it on.
static void receive(const void *data, size_t size)
{
    bench_conn *conn = &thread->conns[0];
    size_t have = conn->carry_len;
    char *piece = (char *)malloc(have + size);
    if (!piece) abort();
    if (have) memcpy(piece, conn->carry, have);
    memcpy(piece + have, data, size);
    free(conn->carry);
    conn->carry = NULL;
    conn->carry_len = 0;
    thread->now_fresh = false;
    bool up = bench_take(thread, conn, piece, have + size);
    MUST(up == (conn->state == BENCH_UP));
    MUST(conn->carry_len <= have + size);
    free(piece);
}
#endif
