// test_acceptor.c: one loop accepts for all and gives sockets to the others, as on systems that do not spread
// connections over listeners themselves. Real loops, real sockets; where each loop has a listener of its own, every
// case is skipped. Some cases look into the library, to make happen what is rare.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"

#ifdef _WIN32
static long posts_refused; // so many more; of one thread

static BOOL test_post(HANDLE port, DWORD bytes, ULONG_PTR key, LPOVERLAPPED overlapped)
{
    if (posts_refused == 0) return PostQueuedCompletionStatus(port, bytes, key, overlapped);
    posts_refused--;
    SetLastError(ERROR_NO_SYSTEM_RESOURCES);
    return FALSE;
}
#define PostQueuedCompletionStatus test_post
#endif

#include "../fastserve.h"

#include "host.h"

#define LOOPS 4
#define CLIENTS_MAX 64
#define ONE_ACCEPTOR_OR_SKIP() \
    if (!FSI_IO_ONE_ACCEPTOR) SKIP("every loop accepts for itself here")

typedef struct host {
    fsv_server *server;
    uint32_t port, raw_port;
    struct heap heap;
    struct gate gate;
    uint32_t opened, closed;   // raw connections, atomic
    uint32_t opened_on[LOOPS]; // of them, atomic
    struct driver driver;
} host;

static host h1;
static client clients[CLIENTS_MAX];

// ---- the server's side

static void on_loop(fsv_request *request, void *user)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u", fsv_loop_current(((host *)user)->server));
    fsv_respond_text(request, 200, text);
}

// Keeps its loop until the case opens the gate.
static void on_gate(fsv_request *request, void *user)
{
    gate_pass(&((host *)user)->gate);
    on_loop(request, user);
}

static void raw_open(fsv_tcp tcp, void *user)
{
    host *h = (host *)user;
    uint32_t loop = fsv_loop_current(h->server);
    (void)tcp;
    if (loop < LOOPS) fsi_add32(&h->opened_on[loop], 1);
    fsi_add32(&h->opened, 1);
}

static size_t raw_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)tcp;
    (void)data;
    (void)user;
    return len;
}

static void raw_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    (void)tcp;
    (void)why;
    fsi_add32(&((host *)user)->closed, 1);
}

// Whether every loop is in the hands of its thread.
static bool all_run(const host *h)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < fsv_server_loops(h->server); i++) n += fsi_load64(&h->server->loops[i].thread) != 0;
    return n == fsv_server_loops(h->server);
}

static bool host_start(host *h, const fsv_server_desc *tweak)
{
    fsv_server_desc desc;
    fsv_tcp_desc raw;
    memset(h, 0, sizeof *h);
    memset(&raw, 0, sizeof raw);
    desc = *tweak;
    raw.on_open = raw_open;
    raw.on_data = raw_data;
    raw.on_closed = raw_closed;
    raw.user = h;
    if (!heap_begin(&h->heap, &desc) || !gate_begin(&h->gate)) return false;
    if (fsv_server_create(&h->server, &desc) != FSV_OK) return false;
    CHECK_EQ(fsv_server_route(h->server, "GET", "/", on_loop, h), FSV_OK);
    CHECK_EQ(fsv_server_route(h->server, "GET", "/gate", on_gate, h), FSV_OK);
    if (fsv_server_listen(h->server, "127.0.0.1:0") != FSV_OK) return false;
    h->port = h->server->addresses[0].port;
    if (fsv_server_listen_tcp(h->server, "127.0.0.1:0", &raw) != FSV_OK) return false;
    h->raw_port = h->server->addresses[1].port;
    if (!driver_begin(&h->driver, h->server, DRIVE_START)) return false;
    UNTIL(all_run(h));
    return true;
}

static bool loops_start(host *h, uint32_t loops)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = loops;
    return host_start(h, &desc);
}

static void host_end(host *h)
{
    CHECK_EQ(fsv_server_free(h->server), FSV_OK);
    CHECK_EQ(h->opened, h->closed);
    heap_end(&h->heap);
    gate_end(&h->gate);
}

// Connections that the server has, those under way between loops included.
static uint32_t conns_open(const host *h)
{
    return fsi_load32(&h->server->conns_open);
}

// A connection whose loop has it. Returns the loop; LOOPS: it does not work.
static uint32_t client_at(host *h, client *c)
{
    if (!dial(c, h->port) || ask(c, "GET / HTTP/1.1\r\nHost: t\r\n\r\n") != 200) return LOOPS;
    uint32_t loop = (uint32_t)atoi(body_of(c));
    return loop < LOOPS ? loop : LOOPS;
}

#define GATE "GET /gate HTTP/1.1\r\nHost: t\r\n\r\n"
#define GET "GET / HTTP/1.1\r\nHost: t\r\n\r\n"

// ---- where they go

// Goal: each new connection goes to the loop with the fewest, raw or not, also when others have ended.
TEST(fewest_first)
{
    uint32_t on[LOOPS + 1] = {0}, at[40];
    int raw[LOOPS];
    ONE_ACCEPTOR_OR_SKIP();
    REQUIRE(loops_start(&h1, LOOPS));
    for (int i = 0; i < 40; i++) {
        at[i] = client_at(&h1, &clients[i]);
        on[at[i]]++;
    }
    for (uint32_t k = 0; k < LOOPS; k++) {
        ROW("loop %u", k);
        CHECK_EQ(on[k], 10);
        CHECK_EQ(STAT_OF(&h1, k, conns_accepted), 10);
    }
    for (int i = 0; i < LOOPS; i++) {
        raw[i] = sock_dial(h1.raw_port);
        REQUIRE(raw[i] >= 0);
        UNTIL(fsi_load32(&h1.opened) == (uint32_t)i + 1);
    }
    for (uint32_t k = 0; k < LOOPS; k++) CHECK_EQ(fsi_load32(&h1.opened_on[k]), 1);
    for (int i = 0; i < 40; i++)
        if (at[i] == 2) hang_up(&clients[i]);
    UNTIL(STAT_OF(&h1, 2, conns_closed) == 10);
    for (int i = 0; i < 40; i++)
        if (at[i] == 2) CHECK_EQ(client_at(&h1, &clients[i]), 2);
    for (int i = 0; i < 40; i++) hang_up(&clients[i]);
    for (int i = 0; i < LOOPS; i++) os_close(raw[i]);
    host_end(&h1);
}

// Goal: a burst is spread as well, before any of it has arrived.
TEST(burst_spread)
{
    ONE_ACCEPTOR_OR_SKIP();
    REQUIRE(loops_start(&h1, LOOPS));
    REQUIRE(dial(&clients[0], h1.port) && say(&clients[0], GATE)); // on loop 0, which therefore does not accept
    gate_wait(&h1.gate, 1);
    for (int i = 1; i < 40; i++) REQUIRE(dial(&clients[i], h1.port));
    gate_open(&h1.gate, 1);
    for (int i = 1; i < 40; i++) CHECK_EQ(ask(&clients[i], GET), 200);
    uint64_t sum = 0;
    for (uint32_t k = 0; k < LOOPS; k++) {
        uint64_t n = STAT_OF(&h1, k, conns_accepted);
        ROW("loop %u", k);
        CHECK(n >= 8 && n <= 12); // counters are read while they change
        sum += n;
    }
    CHECK_EQ(sum, 40);
    for (int i = 0; i < 40; i++) hang_up(&clients[i]);
    host_end(&h1);
}

// How many of these clients have something to read.
static uint32_t answered(int first, int end)
{
    uint32_t n = 0;
    for (int i = first; i < end; i++) n += os_poll(clients[i].fd, OS_READ, 0) != 0;
    return n;
}

// Goal: what finds the other's inbox full stays where it was accepted, and is served there; nothing is lost.
TEST(inbox_full)
{
    fsv_server_desc desc;
    ONE_ACCEPTOR_OR_SKIP();
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    desc.inbox_max = 2;
    REQUIRE(host_start(&h1, &desc));
    CHECK_EQ(client_at(&h1, &clients[0]), 0);
    CHECK_EQ(client_at(&h1, &clients[1]), 1);
    CHECK(say(&clients[1], GATE));
    gate_wait(&h1.gate, 1); // loop 1 looks into its inbox no more
    for (int i = 2; i < 12; i++) {
        REQUIRE(dial(&clients[i], h1.port) && say(&clients[i], GET));
        UNTIL(conns_open(&h1) == (uint32_t)i + 1);
    }
    UNTIL(STAT_OF(&h1, 0, conns_accepted) == 9); // of 12 loop 1 has one, and two wait for it
    UNTIL(answered(2, 12) == 8);
    CHECK_EQ(STAT_OF(&h1, 1, conns_accepted), 1);
    gate_open(&h1.gate, 1);
    CHECK_EQ(hear(&clients[1]), 200);
    for (int i = 2; i < 12; i++) CHECK_EQ(hear(&clients[i]), 200);
    CHECK_EQ(STAT_OF(&h1, 1, conns_accepted), 3);
    for (int i = 0; i < 12; i++) hang_up(&clients[i]);
    UNTIL(conns_open(&h1) == 0);
    host_end(&h1);
}

// Goal: conns_max counts connections of all loops and those between them; a place that becomes free on another loop is
// used.
TEST(conns_max)
{
    fsv_server_desc desc;
    ONE_ACCEPTOR_OR_SKIP();
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    desc.conns_max = 6;
    REQUIRE(host_start(&h1, &desc));
    for (int i = 0; i < 4; i++) CHECK_EQ(client_at(&h1, &clients[i]), (uint32_t)i % 2);
    CHECK(say(&clients[1], GATE));
    gate_wait(&h1.gate, 1);
    for (int i = 4; i < 6; i++) { // one to each; that for loop 1 waits in its inbox
        REQUIRE(dial(&clients[i], h1.port));
        UNTIL(conns_open(&h1) == (uint32_t)i + 1);
    }
    REQUIRE(dial(&clients[6], h1.port));
    CHECK_EQ(hear(&clients[6]), 503);
    hang_up(&clients[6]);
    gate_open(&h1.gate, 1);
    CHECK_EQ(hear(&clients[1]), 200);
    for (int i = 4; i < 6; i++) CHECK_EQ(ask(&clients[i], GET), 200);
    hang_up(&clients[3]);
    UNTIL(conns_open(&h1) == 5);
    CHECK_EQ(client_at(&h1, &clients[3]), 1);
    CHECK_EQ(STAT(&h1, conns_refused), 1);
    for (int i = 0; i < 6; i++) hang_up(&clients[i]);
    host_end(&h1);
}

// Goal: a loop that no thread runs gets nothing: who accepts keeps it.
TEST(only_to_those_that_run)
{
    ONE_ACCEPTOR_OR_SKIP();
    REQUIRE(loops_start(&h1, 3));
    uint64_t thread = fsi_load64(&h1.server->loops[1].thread);
    fsi_store64(&h1.server->loops[1].thread, 0); // as if it were still to be made
    for (int i = 0; i < 6; i++) CHECK_EQ(client_at(&h1, &clients[i]), (uint32_t)i % 2 * 2);
    fsi_store64(&h1.server->loops[1].thread, thread);
    CHECK_EQ(client_at(&h1, &clients[6]), 1);
    for (int i = 0; i < 7; i++) hang_up(&clients[i]);
    host_end(&h1);
}

// ---- the end

// Goal: sockets under way to a loop that is busy are that loop's when the server stops: a request that waits in them is
// answered, those without one end with the drain, and none is forgotten.
TEST(stop_under_way)
{
    for (uint32_t drain_ms = 0; drain_ms <= 100; drain_ms += 100) {
        ONE_ACCEPTOR_OR_SKIP();
        ROW("drain %u ms", drain_ms);
        REQUIRE(loops_start(&h1, 2));
        CHECK_EQ(client_at(&h1, &clients[0]), 0);
        CHECK_EQ(client_at(&h1, &clients[1]), 1);
        CHECK(say(&clients[1], GATE));
        gate_wait(&h1.gate, 1);
        for (int i = 2; i < 10; i++) {
            REQUIRE(dial(&clients[i], h1.port));
            if (i >= 6) CHECK(say(&clients[i], GET));
            UNTIL(conns_open(&h1) == (uint32_t)i + 1);
        }
        UNTIL(STAT_OF(&h1, 0, conns_accepted) == 5);
        fsv_server_stop(h1.server, drain_ms);
        UNTIL(fsi_load32(&h1.server->loops_drained) == 1); // loop 0 has begun to stop
        gate_open(&h1.gate, 1);
        driver_end(&h1.driver);
        CHECK(hear(&clients[1]) >= 0);
        for (int i = 2; i < 10; i++) {
            int status = hear(&clients[i]);
            CHECK(status <= 0 || status == 200);
            if (i >= 6 && drain_ms) CHECK_EQ(status, 200);
        }
        CHECK_EQ(conns_open(&h1), 0);
        for (int i = 0; i < 10; i++) hang_up(&clients[i]);
        host_end(&h1);
    }
}

// Goal: a socket that reaches a loop which has stopped and whose drain is over ends as well, since nothing would end it
// later. The accepting loop is held back, so that it has not seen the stop; this thread gives in its place.
TEST(arrives_after_the_drain)
{
    fsi_msg msg;
    ONE_ACCEPTOR_OR_SKIP();
    REQUIRE(loops_start(&h1, 2));
    CHECK_EQ(client_at(&h1, &clients[0]), 0);
    CHECK(say(&clients[0], GATE));
    gate_wait(&h1.gate, 1);
    REQUIRE(dial(&clients[1], h1.port));
    fsv_server_stop(h1.server, 0);
    UNTIL(fsi_load32(&h1.server->loops_drained) == 1); // loop 1
    nap(20); // its drain is over in the same turn; should it not be, less is tested
    memset(&msg, 0, sizeof msg);
    UNTIL(fsi_io_waiting(&h1.server->loops[0].listeners[0].chan));
    int fd = fsi_io_accept(&h1.server->loops[0].listeners[0].chan);
    REQUIRE(fd >= 0);
    fsi_add32(&h1.server->conns_open, 1);
    msg.kind = FSI_MSG_SOCKET;
    msg.number = (uint32_t)fd;
    CHECK_EQ(fsi_loop_post(&h1.server->loops[1], msg), FSV_OK);
    CHECK(ended(&clients[1]) || os_error() == OS_RESET);
    gate_open(&h1.gate, 1);
    driver_end(&h1.driver);
    hang_up(&clients[0]), hang_up(&clients[1]);
    host_end(&h1);
}

// Dials, asks or not, hangs up, until the server is gone. Every connection that is made ends in time.
typedef struct storm {
    fsi_thread thread;
    uint32_t port, id, made, stuck;
    uint32_t over; // atomic
} storm;

static void storm_body(void *arg)
{
    storm *s = (storm *)arg;
    client open[4];
    for (int i = 0; i < 4; i++) memset(&open[i], 0, sizeof open[i]), open[i].fd = -1;
    for (uint32_t i = 0; !fsi_load32(&s->over); i++) {
        client *c = &open[i % 4];
        hang_up(c);
        if (!dial(c, s->port)) continue;
        s->made++;
        if ((i + s->id) % 3) (void)say(c, GET);
        if ((i + s->id) % 3 == 1) (void)hear(c);
    }
    for (int i = 0; i < 4; i++) { // those that are still open have been ended by the server
        int64_t n = 1;
        while (open[i].fd >= 0 && (n = receive(&open[i])) > 0) continue;
        if (open[i].fd >= 0 && n < 0 && os_error() == OS_BLOCKED) s->stuck++;
        hang_up(&open[i]);
    }
}

// Goal: a stop in the middle of a storm of new connections ends in time, whichever loop sees it first, and leaves
// nothing.
TEST(stop_in_a_storm)
{
    enum { STORMS = 3 };
    static storm storms[STORMS];
    uint32_t made = 0;
    ONE_ACCEPTOR_OR_SKIP();
    for (uint32_t round = 0; round < 12; round++) {
        ROW("round %u", round);
        REQUIRE(loops_start(&h1, LOOPS));
        for (uint32_t i = 0; i < STORMS; i++) {
            memset(&storms[i], 0, sizeof storms[i]);
            storms[i].port = h1.port;
            storms[i].id = i;
            REQUIRE(fsi_thread_start(&storms[i].thread, storm_body, &storms[i], "storm"));
        }
        UNTIL(STAT(&h1, conns_accepted) >= 20 + round * 3);
        fsv_server_stop(h1.server, round % 2 ? 0 : 30);
        driver_end(&h1.driver);
        for (uint32_t i = 0; i < STORMS; i++) fsi_store32(&storms[i].over, 1);
        for (uint32_t i = 0; i < STORMS; i++) {
            fsi_thread_join(&storms[i].thread);
            CHECK_EQ(storms[i].stuck, 0);
            made += storms[i].made;
        }
        CHECK_EQ(conns_open(&h1), 0);
        CHECK_EQ(STAT(&h1, conns_accepted), STAT(&h1, conns_closed));
        host_end(&h1);
    }
    CHECK(made >= 240);
}

// Goal: a wake that the system refuses for a while comes all the same: whoever wakes later relies on it.
TEST(wake_refused)
{
#ifdef _WIN32
    fsi_io io;
    REQUIRE(fsi_sock_begin() && fsi_io_init(&io, NULL));
    posts_refused = 3;
    fsi_io_wake(&io);
    CHECK_EQ(posts_refused, 0);
    CHECK_EQ(fsi_io_wait(&io, 0), 1);
    fsi_io_dispatch(&io);
    fsi_io_free(&io);
    fsi_sock_end();
#else
    SKIP("a wake is not refused here");
#endif
}

TEST_MAIN(CASE(fewest_first), CASE(burst_spread), CASE(inbox_full), CASE(conns_max), CASE(only_to_those_that_run),
          CASE(stop_under_way), CASE(arrives_after_the_drain), CASE(stop_in_a_storm), CASE(wake_refused))
