// test_drain.c: a server that is stopped at its busiest: 10,000 connections, 500 of them with a handler that runs, 500
// with a request that waits for a worker. The client is a process of its own, so that each side has its descriptors to
// itself.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#include "host.h"

#if defined(__SANITIZE_THREAD__)
#define LESS 10
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LESS 10
#endif
#endif
#ifndef LESS
#define LESS 1
#endif

#define ASKING (500u / LESS) // that run, and as many that wait
#define WAIT_S 60

typedef struct report {
    uint32_t answered, ended; // of the requests: with a whole answer; and of the connections: closed
    uint32_t failed;          // could not be opened, or what came was no answer
} report;

static gate handlers; // where they wait

static void wait_at_gate(fsv_request *request, void *user)
{
    (void)user;
    gate_pass(&handlers);
    (void)fsv_respond_text(request, 200, "through");
}

// ---- the client

// Reads to the end of the connection; whether a whole answer came.
static bool read_off(int fd, report *out)
{
    char in[4096];
    size_t len = 0;
    int64_t got;
    while ((got = os_recv(fd, in + len, sizeof in - 1 - len)) > 0) len += (size_t)got;
    in[len] = 0;
    out->ended += got == 0 || os_error() == OS_RESET;
    os_close(fd);
    if (len == 0) return false;
    bool whole = strncmp(in, "HTTP/1.1 200 OK\r\n", 17) == 0 && len > 7 && strcmp(in + len - 7, "through") == 0;
    out->failed += !whole;
    return whole;
}

typedef struct order {
    uint32_t port, conns;
} order;

// A process: opens the connections, asks on some, says so, and tells what became of them when all have ended.
static int client_main(void)
{
    static const char request[] = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    report out = {0, 0, 0};
    order what;
    if (!os_child_read(NULL, &what, sizeof what) || !os_descriptors_limit(UINT64_MAX)) return 1;
    int *fds = (int *)calloc(what.conns, sizeof *fds);
    if (!fds) return 1;
    for (uint32_t i = 0; i < what.conns; i++) {
        fds[i] = sock_dial(what.port);
        if (fds[i] < 0) out.failed++;
        if (fds[i] >= 0) os_guard(fds[i], WAIT_S * 1000);
        if (fds[i] >= 0 && i < 2 * ASKING && !sock_say(fds[i], request, sizeof request - 1)) out.failed++;
    }
    if (!os_child_write(NULL, &out, sizeof out)) return 1;
    for (uint32_t i = 0; i < what.conns; i++)
        if (fds[i] >= 0) out.answered += read_off(fds[i], &out);
    free(fds);
    return os_child_write(NULL, &out, sizeof out) ? 0 : 1;
}

// ---- the server's side

typedef struct world {
    fsv_server *server;
    fsi_thread waiter;
    os_child client;
    uint32_t conns;
    uint32_t served; // atomic: fsv_server_wait has returned
    report seen;
} world;

static void wait_main(void *arg)
{
    world *w = (world *)arg;
    (void)fsv_server_wait(w->server);
    fsi_store32(&w->served, 1);
}

// How many connections the limit of descriptors allows, 10,000 at most.
static uint32_t conns_possible(void)
{
    (void)os_descriptors_limit(UINT64_MAX);
    uint64_t most = os_descriptors_max();
    if (os_is_wine()) return 2000; // one process has the descriptors of all, and so of other tests that run now
    if (most > 11000) return 10000 / LESS;
    return most > 2500 ? (uint32_t)most - 1000 : 0;
}

static bool client_tells(world *w)
{
    return os_child_read(&w->client, &w->seen, sizeof w->seen);
}

// Everything stands: the connections are open, half of what was asked runs, the other half waits.
static bool world_begin(world *w)
{
    fsv_server_desc desc;
    fsv_route_desc route;
    fsv_pool_stats pool;
    memset(&desc, 0, sizeof desc);
    memset(&route, 0, sizeof route);
    memset(&pool, 0, sizeof pool);
    if (!gate_begin(&handlers) || !os_child_start(&w->client, client_main)) return false; // before there are threads
    desc.loops = 2;
    desc.workers = ASKING;
    route.method = "GET";
    route.pattern = "/wait";
    route.handler = wait_at_gate;
    route.blocking = 1;
    if (fsv_server_create(&w->server, &desc) != FSV_OK || fsv_server_route_add(w->server, &route) != FSV_OK ||
        fsv_server_listen(w->server, "127.0.0.1:0") != FSV_OK || fsv_server_start(w->server) != FSV_OK)
        return false;
    order what = {fsv_server_port(w->server, 0), w->conns};
    if (!os_child_write(&w->client, &what, sizeof what) || !client_tells(w)) return false;
    gate_wait(&handlers, ASKING);
    while (pool.queued < ASKING) {
        (void)fsv_server_pool_stats(w->server, &pool);
        os_yield();
    }
    return fsi_thread_start(&w->waiter, wait_main, w, "wait");
}

static void world_end(world *w)
{
    gate_open(&handlers, GATE_ALL);
    fsi_thread_join(&w->waiter);
    CHECK(fsv_server_free(w->server) == FSV_OK);
    CHECK_EQ(os_child_end(&w->client), 0);
    gate_end(&handlers);
}

// Goal: within the drain every request that was accepted is answered, those that waited for a worker too, and every
// connection is closed without a reset that would eat an answer.
TEST(drain_answers_all)
{
    world w;
    memset(&w, 0, sizeof w);
    w.conns = conns_possible();
    if (w.conns == 0) SKIP("the limit of descriptors is too low");
    REQUIRE(world_begin(&w));
    CHECK_EQ(w.seen.failed, 0);
    fsv_server_stop(w.server, WAIT_S * 1000);
    gate_open(&handlers, GATE_ALL);
    CHECK(client_tells(&w));
    CHECK_EQ(w.seen.answered, 2 * ASKING);
    CHECK_EQ(w.seen.ended, w.conns);
    CHECK_EQ(w.seen.failed, 0);
    CHECK_EQ(gate_count(&handlers, false), 2 * ASKING);
    world_end(&w);
}

// Goal: past the drain time the sockets are gone, though handlers still run; those that waited do not begin; and the
// server has ended only when the last handler has returned.
TEST(drain_cuts_all)
{
    world w;
    memset(&w, 0, sizeof w);
    w.conns = conns_possible();
    if (w.conns == 0) SKIP("the limit of descriptors is too low");
    REQUIRE(world_begin(&w));
    CHECK_EQ(w.seen.failed, 0);
    fsv_server_stop(w.server, 0);
    CHECK(client_tells(&w)); // while the gate is shut
    CHECK_EQ(w.seen.answered, 0);
    CHECK_EQ(w.seen.ended, w.conns);
    CHECK(!fsi_load32(&w.served));
    CHECK_EQ(gate_count(&handlers, true), 0);
    gate_open(&handlers, GATE_ALL);
    UNTIL(fsi_load32(&w.served));
    CHECK_EQ(gate_count(&handlers, true), gate_count(&handlers, false));
    CHECK_EQ(gate_count(&handlers, false), ASKING);
    world_end(&w);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {CASE(drain_answers_all), CASE(drain_cuts_all)};
    os_child_main(argc, argv, client_main);
    return test_run(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
