// test_drain.c: a server that is stopped at its busiest: 10,000 connections, 500 of them with a handler that runs, 500 with a request
// that waits for a worker. The client is a process of its own, so that each side has its descriptors to itself.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#include <sys/wait.h>

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

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t begun, returned;
    bool open, served; // handlers may return; fsv_server_wait has
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, false, false};

static void wait_at_gate(fsv_request *request, void *user)
{
    (void)user;
    pthread_mutex_lock(&gate.lock);
    gate.begun++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open) pthread_cond_wait(&gate.changed, &gate.lock);
    gate.returned++;
    pthread_mutex_unlock(&gate.lock);
    (void)fsv_respond_text(request, 200, "through");
}

// ---- the client

static int dial(uint32_t port)
{
    fsi_sockaddr at;
    struct timeval guard;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&guard, 0, sizeof guard);
    guard.tv_sec = WAIT_S;
    fsi_sockaddr_v4(&at, 0x7f000001, port);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard);
    if (connect(fd, (const struct sockaddr *)(const void *)&at.storage, at.len) == 0) return fd;
    close(fd);
    return -1;
}

// Reads to the end of the connection; whether a whole answer came.
static bool read_off(int fd, report *out)
{
    char in[4096];
    size_t len = 0;
    ssize_t got;
    while ((got = recv(fd, in + len, sizeof in - 1 - len, 0)) > 0) len += (size_t)got;
    in[len] = 0;
    out->ended += got == 0 || errno == ECONNRESET;
    close(fd);
    if (len == 0) return false;
    bool whole = strncmp(in, "HTTP/1.1 200 OK\r\n", 17) == 0 && len > 7 && strcmp(in + len - 7, "through") == 0;
    out->failed += !whole;
    return whole;
}

// A process: opens the connections, asks on some, says so, and tells what became of them when all have ended.
static void client_main(int from, int to, uint32_t conns)
{
    static const char request[] = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    report out = {0, 0, 0};
    uint32_t port = 0;
    int *fds = (int *)calloc(conns, sizeof *fds);
    if (!fds || read(from, &port, sizeof port) != (ssize_t)sizeof port || port == 0) _exit(1);
    for (uint32_t i = 0; i < conns; i++) {
        fds[i] = dial(port);
        if (fds[i] < 0) out.failed++;
        if (fds[i] >= 0 && i < 2 * ASKING && send(fds[i], request, sizeof request - 1, MSG_NOSIGNAL) < 0) out.failed++;
    }
    if (write(to, &out, sizeof out) != (ssize_t)sizeof out) _exit(1);
    for (uint32_t i = 0; i < conns; i++)
        if (fds[i] >= 0) out.answered += read_off(fds[i], &out);
    if (write(to, &out, sizeof out) != (ssize_t)sizeof out) _exit(1);
    free(fds);
    _exit(0);
}

// ---- the server's side

typedef struct world {
    fsv_server *server;
    fsi_thread waiter;
    pid_t client;
    int to, from;
    uint32_t conns;
    report seen;
} world;

static void wait_main(void *arg)
{
    (void)fsv_server_wait((fsv_server *)arg);
    pthread_mutex_lock(&gate.lock);
    gate.served = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

// How many connections the limit of descriptors allows, 10,000 at most.
static uint32_t conns_possible(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur > 11000) return 10000 / LESS;
    return limit.rlim_cur > 2500 ? (uint32_t)limit.rlim_cur - 1000 : 0;
}

static bool client_begins(world *w)
{
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) return false;
    w->client = fork(); // before there are threads
    if (w->client == 0) {
        close(down[1]);
        close(up[0]);
        client_main(down[0], up[1], w->conns);
    }
    close(down[0]);
    close(up[1]);
    w->to = down[1];
    w->from = up[0];
    return w->client > 0;
}

static bool client_tells(world *w)
{
    return read(w->from, &w->seen, sizeof w->seen) == (ssize_t)sizeof w->seen;
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
    gate.begun = gate.returned = 0;
    gate.open = gate.served = false;
    if (!client_begins(w)) return false;
    desc.loops = 2;
    desc.workers = ASKING;
    route.method = "GET";
    route.pattern = "/wait";
    route.handler = wait_at_gate;
    route.blocking = 1;
    if (fsv_server_create(&w->server, &desc) != FSV_OK || fsv_server_route_add(w->server, &route) != FSV_OK ||
        fsv_server_listen(w->server, "127.0.0.1:0") != FSV_OK || fsv_server_start(w->server) != FSV_OK)
        return false;
    uint32_t port = fsv_server_port(w->server, 0);
    if (write(w->to, &port, sizeof port) != (ssize_t)sizeof port || !client_tells(w)) return false;
    pthread_mutex_lock(&gate.lock);
    while (gate.begun < ASKING) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    while (pool.queued < ASKING) {
        (void)fsv_server_pool_stats(w->server, &pool);
        (void)sched_yield();
    }
    return fsi_thread_start(&w->waiter, wait_main, w->server, "wait");
}

static void gate_opens(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void world_end(world *w)
{
    int status = -1;
    gate_opens();
    fsi_thread_join(&w->waiter);
    CHECK(fsv_server_free(w->server) == FSV_OK);
    close(w->to);
    close(w->from);
    CHECK(waitpid(w->client, &status, 0) == w->client);
    CHECK_EQ(status, 0);
}

// Goal: within the drain every request that was accepted is answered, those that waited for a worker too, and every connection is
// closed without a reset that would eat an answer.
TEST(drain_answers_all)
{
    world w;
    memset(&w, 0, sizeof w);
    w.conns = conns_possible();
    if (w.conns == 0) SKIP("the limit of descriptors is too low");
    REQUIRE(world_begin(&w));
    CHECK_EQ(w.seen.failed, 0);
    fsv_server_stop(w.server, WAIT_S * 1000);
    gate_opens();
    CHECK(client_tells(&w));
    CHECK_EQ(w.seen.answered, 2 * ASKING);
    CHECK_EQ(w.seen.ended, w.conns);
    CHECK_EQ(w.seen.failed, 0);
    world_end(&w);
    CHECK_EQ(gate.begun, 2 * ASKING);
}

// Goal: past the drain time the sockets are gone, though handlers still run; those that waited do not begin; and the server has
// ended only when the last handler has returned.
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
    pthread_mutex_lock(&gate.lock);
    CHECK(!gate.served);
    CHECK_EQ(gate.returned, 0);
    pthread_mutex_unlock(&gate.lock);
    gate_opens();
    pthread_mutex_lock(&gate.lock);
    while (!gate.served) pthread_cond_wait(&gate.changed, &gate.lock);
    CHECK_EQ(gate.returned, gate.begun);
    pthread_mutex_unlock(&gate.lock);
    world_end(&w);
    CHECK_EQ(gate.begun, ASKING);
}

TEST_MAIN(CASE(drain_answers_all), CASE(drain_cuts_all))
