// test_io.c: the contract of >>io, over real loopback sockets. Nothing in here knows which system is below: every io
// section has to pass it as it stands. A wait has no limit; one that never ends is the watchdog's to report.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

// One end of a connection, or a listener.
typedef struct peer {
    fsi_chan chan;    // first: on_client gets its address
    uint32_t ready;   // bits told since they were last cleared
    uint32_t told;    // calls
    uint32_t told_by; // id of the io that called last
    struct peer *victim;
    void (*on_ready)(struct peer *peer); // of a case's own
} peer;

static void on_client(fsi_chan *chan, uint32_t ready)
{
    peer *p = (peer *)(void *)chan;
    p->ready |= ready;
    p->told++;
    p->told_by = *(const uint32_t *)chan->io->user;
    if (p->on_ready) p->on_ready(p);
}

static bool io_start(fsi_io *io, const uint32_t *id)
{
    static bool sockets = false; // for the whole run
    if (!sockets) sockets = fsi_sock_begin();
    if (!sockets || !fsi_io_init(io, NULL)) return false;
    io->on_client = on_client;
    io->user = (void *)(uintptr_t)id;
    return true;
}

static const uint32_t id_a = 1, id_b = 2;

static void turn(fsi_io *io)
{
    (void)fsi_io_wait(io, UINT64_MAX);
    fsi_io_dispatch(io);
}

// Everything that is there now, without waiting.
static uint32_t turn_now(fsi_io *io)
{
    uint32_t events = fsi_io_wait(io, 0);
    fsi_io_dispatch(io);
    return events;
}

static void peer_init(peer *p)
{
    memset(p, 0, sizeof *p);
    fsi_chan_init(&p->chan, FSI_CHAN_CLIENT);
}

// A listening socket on a port that the system picks; at gets its address.
static bool listener_make(peer *listener, fsi_sockaddr *at, bool v6)
{
    struct in6_addr one;
    peer_init(listener);
    memset(&one, 0, sizeof one);
    one.s6_addr[15] = 1;
    if (v6)
        fsi_sockaddr_v6(at, &one, 0);
    else
        fsi_sockaddr_v4(at, 0x7f000001, 0);
    listener->chan.fd = fsi_sock_listen(at, FSI_SHARE_NONE, true, 64);
    return listener->chan.fd >= 0 && fsi_sock_name(listener->chan.fd, at);
}

// Two ends of one connection, both on io, which tells of nothing else.
static bool pair_make(fsi_io *io, peer *client, peer *server, bool v6)
{
    peer listener;
    fsi_sockaddr at;
    int error = 0, fd = FSI_PENDING;
    bool connected = false;
    peer_init(client);
    peer_init(server);
    if (!listener_make(&listener, &at, v6) || !fsi_io_listen(io, &listener.chan, false)) return false;
    if (fsi_io_connect(io, &client->chan, &at, NULL, &error) != FSI_PENDING) return false;
    while (!connected || fd < 0) {
        turn(io);
        if (client->ready & FSI_READY_WRITE) {
            if (fsi_io_connected(&client->chan) != 0) return false;
            connected = true;
        }
        if (fd < 0 && listener.ready) fd = fsi_io_accept(&listener.chan);
        listener.ready = 0;
    }
    server->chan.fd = fd;
    if (!fsi_io_open(io, &server->chan)) return false;
    fsi_io_unlisten(&listener.chan);
    fsi_io_close(&listener.chan, false);
    return true;
}

// Likewise, each end on an io of its own.
static bool pair_make_apart(fsi_io *clients, fsi_io *servers, peer *client, peer *server)
{
    peer listener;
    fsi_sockaddr at;
    int error = 0;
    peer_init(client);
    peer_init(server);
    if (!listener_make(&listener, &at, false) || !fsi_io_listen(servers, &listener.chan, false)) return false;
    if (fsi_io_connect(clients, &client->chan, &at, NULL, &error) != FSI_PENDING) return false;
    while (!(client->ready & FSI_READY_WRITE)) turn(clients);
    while ((server->chan.fd = fsi_io_accept(&listener.chan)) == FSI_PENDING) turn(servers);
    if (fsi_io_connected(&client->chan) != 0 || !fsi_io_open(servers, &server->chan)) return false;
    fsi_io_unlisten(&listener.chan);
    fsi_io_close(&listener.chan, false);
    return true;
}

// Reads once, waiting for it as long as it takes.
static int64_t read_wait(fsi_io *io, peer *p, char *to, size_t size)
{
    int64_t got;
    while ((got = fsi_io_read(&p->chan, to, size)) == FSI_PENDING) turn(io);
    return got;
}

// Reads exactly so many bytes. False: the stream ended or failed before.
static bool read_all(fsi_io *io, peer *p, char *to, size_t size)
{
    for (size_t at = 0; at < size;) {
        int64_t got = read_wait(io, p, to + at, size - at);
        if (got <= 0) return false;
        at += (size_t)got;
    }
    return true;
}

// As the core writes: from memory that may go first, then at once from memory that stays.
static int64_t write_once(peer *p, const char *from, size_t size)
{
    fsi_buf buf;
    buf.ptr = from;
    buf.len = size;
    int64_t sent = fsi_io_write(&p->chan, &buf, 1, false);
    return sent == FSI_PENDING ? fsi_io_write(&p->chan, &buf, 1, true) : sent;
}

static bool write_all(fsi_io *io, peer *p, const char *from, size_t size)
{
    for (size_t at = 0; at < size;) {
        int64_t sent = write_once(p, from + at, size - at);
        if (sent == FSI_PENDING)
            turn(io);
        else if (sent < 0)
            return false;
        else
            at += (size_t)sent;
    }
    return true;
}

static void pair_close(peer *client, peer *server)
{
    fsi_io_close(&client->chan, false);
    fsi_io_close(&server->chan, false);
}

// ---- life

// Goal: an io that was never made, or is freed twice, is freed without harm.
TEST(free_is_safe)
{
    fsi_io io;
    memset(&io, 0, sizeof io);
    io.fd = io.wake.fd = -1;
    fsi_io_free(&io);
    REQUIRE(io_start(&io, &id_a));
    fsi_io_free(&io);
    fsi_io_free(&io);
}

// Goal: a wait with a limit ends although nothing happens.
TEST(wait_has_a_limit)
{
    fsi_io io;
    REQUIRE(io_start(&io, &id_a));
    CHECK_EQ(turn_now(&io), 0);
    CHECK_EQ(fsi_io_wait(&io, 1), 0);
    CHECK_EQ(fsi_io_wait(&io, 1500), 0);
    fsi_io_free(&io);
}

// Goal: connect, accept, open; then bytes go both ways.
TEST(connect_accept_open)
{
    for (int v6 = 0; v6 <= 1; v6++) {
        fsi_io io;
        peer client, server, probe;
        fsi_sockaddr at;
        char got[16];
        ROW("IPv%d", v6 ? 6 : 4);
        if (v6 && !listener_make(&probe, &at, true)) continue; // a machine without IPv6
        if (v6) fsi_io_close(&probe.chan, false);
        REQUIRE(io_start(&io, &id_a));
        REQUIRE(pair_make(&io, &client, &server, v6 != 0));
        CHECK(write_all(&io, &client, "ping", 4));
        CHECK(read_all(&io, &server, got, 4));
        CHECK_BYTES(got, 4, "ping", 4);
        CHECK(write_all(&io, &server, "pong", 4));
        CHECK(read_all(&io, &client, got, 4));
        CHECK_BYTES(got, 4, "pong", 4);
        pair_close(&client, &server);
        fsi_io_free(&io);
    }
}

// Goal: a connect that is refused says so, at once or when it is known.
TEST(connect_refused)
{
    fsi_io io;
    peer listener, client;
    fsi_sockaddr at;
    int error = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(listener_make(&listener, &at, false));
    fsi_io_close(&listener.chan, false); // now nobody listens there
    peer_init(&client);
    if (fsi_io_connect(&io, &client.chan, &at, NULL, &error) == FSI_PENDING) {
        while (!(client.ready & FSI_READY_WRITE)) turn(&io);
        error = fsi_io_connected(&client.chan);
        fsi_io_close(&client.chan, false);
    }
    CHECK_EQ(fsi_sock_refusal(error), FSV_ERR_REFUSED);
    CHECK_EQ(client.chan.fd, -1);
    fsi_io_free(&io);
}

// ---- reading

// Goal: nothing there is PENDING; a short read gives what is there; the end of the stream is 0.
TEST(read_pending_short_end)
{
    fsi_io io;
    peer client, server;
    char got[64];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    CHECK(write_all(&io, &client, "short", 5));
    CHECK_EQ(read_wait(&io, &server, got, sizeof got), 5);
    CHECK_BYTES(got, 5, "short", 5);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    fsi_io_shut(&client.chan);
    CHECK_EQ(read_wait(&io, &server, got, sizeof got), 0);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: a read that filled its buffer may have left some: the next one gets it without an event in between.
TEST(read_rest_needs_no_event)
{
    fsi_io io;
    peer client, server;
    char got[8];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    CHECK(write_all(&io, &client, "0123456789", 10));
    CHECK_EQ(read_wait(&io, &server, got, 4), 4);
    CHECK_EQ(fsi_io_read(&server.chan, got, 4), 4);
    CHECK_BYTES(got, 4, "4567", 4);
    CHECK_EQ(fsi_io_read(&server.chan, got, 4), 2);
    CHECK_BYTES(got, 2, "89", 2);
    CHECK_EQ(fsi_io_read(&server.chan, got, 4), FSI_PENDING);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: the last bytes and the end of the stream come in one event, and a short read does not hide the end.
TEST(read_end_with_data)
{
    fsi_io io;
    peer client, server;
    char got[64];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    (void)turn_now(&io);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    CHECK(write_all(&io, &client, "bye", 3));
    fsi_io_shut(&client.chan);
    CHECK_EQ(read_wait(&io, &server, got, sizeof got), 3);
    CHECK_EQ(read_wait(&io, &server, got, sizeof got), 0);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: bytes that stand before the end are read to the last one, in small reads, though the end was told with them.
TEST(read_end_after_much)
{
    enum { TOTAL = 20000 };
    static char sent[TOTAL], got[TOTAL + 700];
    fsi_io io;
    peer client, server;
    size_t read = 0;
    for (size_t i = 0; i < TOTAL; i++) sent[i] = (char)(i * 7 >> 2);
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    (void)turn_now(&io);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    CHECK(write_all(&io, &client, sent, TOTAL));
    fsi_io_shut(&client.chan);
    for (int64_t n; (n = read_wait(&io, &server, got + read, 700)) != 0; read += (size_t)n)
        REQUIRE(n > 0 && read + (size_t)n + 700 <= sizeof got);
    CHECK_BYTES(got, read, sent, TOTAL);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: what arrives after a read said PENDING, or came back short, but before the wait, is told.
TEST(read_edge_before_wait)
{
    fsi_io io;
    peer client, server;
    char got[64];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    for (int i = 0; i < 50; i++) {
        ROW("round %d", i);
        if (i % 2) CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING); // else the last read was short
        REQUIRE(write_all(&io, &client, "x", 1));
        server.ready = 0;
        while (!(server.ready & FSI_READY_READ)) turn(&io);
        REQUIRE(fsi_io_read(&server.chan, got, sizeof got) == 1);
    }
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: the peer's reset is FAILED, not an end.
TEST(read_reset)
{
    fsi_io io;
    peer client, server;
    char got[8];
    if (!os_tells_resets()) SKIP("Wine ends a connection before it resets it");
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    fsi_io_close(&client.chan, true);
    CHECK_EQ(client.chan.fd, -1);
    CHECK_EQ(read_wait(&io, &server, got, sizeof got), FSI_FAILED);
    fsi_io_close(&server.chan, false);
    fsi_io_free(&io);
}

// ---- writing

// Goal: a write fills the pipe until PENDING; it goes on when the peer has read; no byte is lost, doubled or out of
// order.
TEST(write_pending_resumes)
{
    enum { PIECE = 50021, TOTAL = 16 << 20 };
    static char piece[PIECE], got[65536];
    fsi_io io;
    peer client, server;
    size_t sent = 0, read = 0, waits = 0;
    for (size_t i = 0; i < PIECE; i++) piece[i] = (char)(i * 31 >> 3);
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    while (read < TOTAL) {
        bool pending = false;
        while (sent < TOTAL && !pending) {
            size_t at = sent % PIECE, n = PIECE - at < TOTAL - sent ? PIECE - at : TOTAL - sent;
            int64_t result = write_once(&client, piece + at, n);
            REQUIRE(result > 0 || result == FSI_PENDING);
            if (result > 0)
                sent += (size_t)result;
            else
                pending = true;
        }
        waits += pending;
        for (int64_t n; (n = fsi_io_read(&server.chan, got, sizeof got)) != FSI_PENDING;) {
            REQUIRE(n > 0);
            for (size_t i = 0; i < (size_t)n; i++) REQUIRE(got[i] == piece[(read + i) % PIECE]);
            read += (size_t)n;
        }
        if (read < TOTAL) turn(&io);
    }
    CHECK_EQ(sent, TOTAL);
    CHECK(waits > 0);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: room that comes after PENDING and before the wait is told.
TEST(write_edge_before_wait)
{
    static char piece[65536], got[65536];
    fsi_io io;
    peer client, server;
    size_t sent = 0, read = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    for (int64_t n; (n = write_once(&client, piece, sizeof piece)) != FSI_PENDING; sent += (size_t)n) REQUIRE(n > 0);
    client.ready = 0;
    while (read < sent) { // the other side alone, so that only its events are waited for
        int64_t n = read_wait(&io, &server, got, sizeof got);
        REQUIRE(n > 0);
        read += (size_t)n;
    }
    while (!(client.ready & FSI_READY_WRITE)) turn(&io);
    CHECK(write_once(&client, piece, sizeof piece) > 0);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Fills the pipe from p to its peer, which does not read. Returns how many bytes went in; 0: it failed.
static size_t fill(peer *p)
{
    static char piece[65536];
    size_t sent = 0;
    for (int64_t n; (n = write_once(p, piece, sizeof piece)) != FSI_PENDING; sent += (size_t)n)
        if (n <= 0) return 0;
    return sent;
}

// Goal: the peer's end comes while output waits: it is told, and the output still leaves to its last byte.
TEST(write_pending_half_closed)
{
    static char piece[65536], got[65536];
    fsi_io io;
    peer client, server;
    char end[8];
    size_t sent, read = 0, more = 300000;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    sent = fill(&server);
    REQUIRE(sent > 0);
    CHECK(write_all(&io, &client, "done", 4));
    fsi_io_shut(&client.chan);
    CHECK(read_all(&io, &server, end, 4));
    CHECK_EQ(read_wait(&io, &server, end, sizeof end), 0);
    for (size_t left = more; read < sent + more;) {
        int64_t n = fsi_io_read(&client.chan, got, sizeof got), m = FSI_PENDING;
        REQUIRE(n > 0 || n == FSI_PENDING);
        if (n > 0) read += (size_t)n;
        if (left) m = write_once(&server, piece, left < sizeof piece ? left : sizeof piece);
        REQUIRE(m > 0 || m == FSI_PENDING);
        if (m > 0) left -= (size_t)m;
        if (n == FSI_PENDING && m == FSI_PENDING && read < sent + more) turn(&io);
    }
    fsi_io_shut(&server.chan);
    CHECK_EQ(read_wait(&io, &client, got, sizeof got), 0);
    CHECK_EQ(read, sent + more);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: several pieces leave in their order, also more of them than one call of the system takes.
TEST(write_gathers)
{
    enum { COUNT = 40 };
    fsi_io io;
    peer client, server;
    char text[COUNT * 3 + 1], got[COUNT * 3];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    for (int i = 0; i < COUNT; i++) (void)snprintf(text + i * 3, 4, "%02d,", i);
    for (size_t at = 0; at < COUNT * 3;) {
        fsi_buf bufs[COUNT];
        uint32_t count = 0;
        for (size_t i = at; i < COUNT * 3; count++) { // pieces of 3 bytes, the first may be cut
            size_t n = 3 - i % 3;
            bufs[count].ptr = text + i;
            bufs[count].len = n;
            i += n;
        }
        int64_t sent = fsi_io_write(&client.chan, bufs, count, true);
        REQUIRE(sent > 0);
        at += (size_t)sent;
    }
    CHECK(read_all(&io, &server, got, sizeof got));
    CHECK_BYTES(got, sizeof got, text, COUNT * 3);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Goal: writing to a connection that was reset is FAILED, and raises nothing.
TEST(write_after_reset)
{
    fsi_io io;
    peer client, server;
    int64_t sent = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    fsi_io_close(&server.chan, true);
    client.ready = 0;
    while (!(client.ready & FSI_READY_READ)) turn(&io);
    for (int i = 0; i < 3 && sent >= 0; i++) sent = write_once(&client, "more", 4);
    CHECK_EQ(sent, FSI_FAILED);
    CHECK_EQ(write_once(&client, "more", 4), FSI_FAILED);
    fsi_io_close(&client.chan, false);
    fsi_io_free(&io);
}

// Goal: ending one direction leaves the other open.
TEST(shut_is_half)
{
    fsi_io io;
    peer client, server;
    char got[16];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    CHECK(write_all(&io, &client, "last", 4));
    fsi_io_shut(&client.chan);
    CHECK(read_all(&io, &server, got, 4));
    CHECK_EQ(read_wait(&io, &server, got, sizeof got), 0);
    CHECK(write_all(&io, &server, "answer", 6));
    CHECK(read_all(&io, &client, got, 6));
    CHECK_BYTES(got, 6, "answer", 6);
    fsi_io_shut(&server.chan);
    CHECK_EQ(read_wait(&io, &client, got, sizeof got), 0);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

// Fills the pipe; the last write is PENDING, from memory that stays. Returns the bytes that were taken before, -1:
// failed.
static int64_t fill_from(peer *p, const char *from, size_t size)
{
    int64_t sent = 0, n;
    while ((n = write_once(p, from, size)) > 0) sent += n;
    return n == FSI_PENDING ? sent : -1;
}

static char filler[1 << 20], drink[65536];

// Goal: a write that waits for the peer ends when the peer resets the connection, and the next call says that it
// failed.
TEST(write_pending_peer_resets)
{
    for (int both = 0; both <= 1; both++) {
        fsi_io io;
        peer client, server;
        int64_t result;
        ROW("%s", both ? "a read waits too" : "nothing is read");
        REQUIRE(io_start(&io, &id_a));
        REQUIRE(pair_make(&io, &client, &server, false));
        if (both) CHECK_EQ(fsi_io_read(&client.chan, drink, sizeof drink), FSI_PENDING);
        REQUIRE(fill_from(&client, filler, sizeof filler) > 0);
        client.ready = 0;
        fsi_io_close(&server.chan, true);
        while (!(client.ready & FSI_READY_WRITE)) turn(&io);
        while ((result = write_once(&client, filler, sizeof filler)) > 0) continue; // what the system still takes
        CHECK_EQ(result, FSI_FAILED);
        fsi_io_close(&client.chan, false);
        fsi_io_free(&io);
    }
}

// Goal: a channel may close with a read and a write waiting, gently or not; the peer gets what was taken, then an end
// or a reset, and nothing is told of the closed one any more.
TEST(close_with_all_pending)
{
    for (int reset = 0; reset <= 1; reset++) {
        fsi_io io;
        peer client, server;
        int64_t taken, got = 0, n;
        ROW("%s", reset ? "reset" : "gently");
        REQUIRE(io_start(&io, &id_a));
        REQUIRE(pair_make(&io, &client, &server, false));
        (void)turn_now(&io);
        CHECK_EQ(fsi_io_read(&client.chan, drink, sizeof drink), FSI_PENDING);
        taken = fill_from(&client, filler, sizeof filler);
        REQUIRE(taken > 0);
        fsi_io_close(&client.chan, reset != 0);
        CHECK_EQ(client.chan.fd, -1);
        client.told = 0;
        while ((n = read_wait(&io, &server, drink, sizeof drink)) > 0) got += n;
        if (!reset) CHECK(got >= taken);
        CHECK_EQ(client.told, 0);
        fsi_io_close(&server.chan, false);
        fsi_io_free(&io);
    }
}

// Goal: an io is freed while reads, writes, a connect and accepts are under way, with its channels open: it neither
// hangs nor lets the system write to what it has freed.
TEST(free_with_all_pending)
{
    fsi_io io, other;
    peer client, server, listener, late;
    fsi_sockaddr at;
    int error;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(io_start(&other, &id_b));
    REQUIRE(pair_make(&io, &client, &server, false));
    CHECK_EQ(fsi_io_read(&client.chan, drink, sizeof drink), FSI_PENDING);
    REQUIRE(fill_from(&client, filler, sizeof filler) > 0);
    REQUIRE(listener_make(&listener, &at, false));
    REQUIRE(fsi_io_listen(&io, &listener.chan, false));
    peer_init(&late);
    REQUIRE(fsi_io_connect(&io, &late.chan, &at, NULL, &error) == FSI_PENDING);
    fsi_io_free(&io);
    fsi_sock_close(client.chan.fd);
    fsi_sock_close(server.chan.fd);
    fsi_sock_close(listener.chan.fd);
    fsi_sock_close(late.chan.fd);
    CHECK_EQ(turn_now(&other), 0);
    fsi_io_free(&other);
}

// ---- batches

static void close_victim(peer *p)
{
    fsi_io_close(&p->victim->chan, false);
}

// Makes two connections whose server ends both have an event in the next batch, and drop each other when they are told.
static bool rivals_make(fsi_io *io, peer *clients, peer *servers, void (*drop)(peer *peer))
{
    char got[8];
    for (int i = 0; i < 2; i++) {
        if (!pair_make(io, &clients[i], &servers[i], false)) return false;
        servers[i].victim = &servers[1 - i];
    }
    (void)turn_now(io);
    for (int i = 0; i < 2; i++) {
        if (fsi_io_read(&servers[i].chan, got, sizeof got) != FSI_PENDING) return false;
        servers[i].told = 0;
        servers[i].on_ready = drop;
    }
    for (int i = 0; i < 2; i++)
        if (!write_all(io, &clients[i], "x", 1)) return false;
    while (servers[0].told + servers[1].told == 0) turn(io);
    return true;
}

// Goal: a channel that was closed by another one's event is not told of its own in the same batch, nor later.
TEST(close_within_batch)
{
    fsi_io io;
    peer clients[2], servers[2];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(rivals_make(&io, clients, servers, close_victim));
    (void)turn_now(&io);
    CHECK_EQ(servers[0].told == 0, servers[1].told != 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(servers[i].chan.fd == -1, servers[i].told == 0);
        servers[i].on_ready = NULL;
        pair_close(&clients[i], &servers[i]);
    }
    fsi_io_free(&io);
}

// Goal: closing twice is closing once, and a channel may close itself when it is told.
TEST(close_itself)
{
    fsi_io io;
    peer client, server;
    char got[8];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    server.victim = &server;
    server.on_ready = close_victim;
    CHECK(write_all(&io, &client, "x", 1));
    while (server.chan.fd >= 0) turn(&io);
    fsi_io_close(&server.chan, false);
    CHECK(read_wait(&io, &client, got, sizeof got) <= 0); // an end, or a reset since one byte was not read
    fsi_io_close(&client.chan, false);
    fsi_io_free(&io);
}

// Goal: a channel that has something to read and room to write in one batch, and closes itself when it is first told,
// is not told again: both may be events of their own.
TEST(close_within_own_batch)
{
    static char got[65536];
    fsi_io io, other;
    peer client, server;
    size_t sent, read = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(io_start(&other, &id_b));
    REQUIRE(pair_make_apart(&other, &io, &client, &server));
    (void)turn_now(&io);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    sent = fill(&server);
    server.told = 0;
    server.victim = &server;
    server.on_ready = close_victim;
    CHECK(write_all(&other, &client, "x", 1));
    while (read < sent) { // now there is room, too
        int64_t n = read_wait(&other, &client, got, sizeof got);
        REQUIRE(n > 0);
        read += (size_t)n;
    }
    while (server.chan.fd >= 0) turn(&io);
    (void)turn_now(&io);
    CHECK_EQ(server.told, 1);
    fsi_io_close(&client.chan, false);
    fsi_io_free(&io);
    fsi_io_free(&other);
}

#if FSI_IO_CAN_MOVE
static void detach_victim(peer *p)
{
    if (p->victim->chan.io) fsi_io_detach(&p->victim->chan);
}

// Goal: a channel that moves with data waiting, or to which data came while it belonged to nobody, is told of it in its
// new io.
TEST(detach_and_open_elsewhere)
{
    for (int early = 0; early <= 1; early++) {
        fsi_io a, b;
        peer client, server;
        char got[16];
        ROW("%s", early ? "data before" : "data between");
        REQUIRE(io_start(&a, &id_a));
        REQUIRE(io_start(&b, &id_b));
        REQUIRE(pair_make(&a, &client, &server, false));
        CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
        if (early) CHECK(write_all(&a, &client, "data", 4));
        server.told = 0;
        fsi_io_detach(&server.chan);
        if (!early) CHECK(write_all(&a, &client, "data", 4));
        REQUIRE(fsi_io_open(&b, &server.chan));
        CHECK_EQ(read_wait(&b, &server, got, sizeof got), 4);
        CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
        CHECK(write_all(&a, &client, "more", 4));
        server.ready = 0;
        while (!(server.ready & FSI_READY_READ)) turn(&b);
        CHECK_EQ(server.told_by, id_b);
        CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), 4);
        server.told = 0;
        (void)turn_now(&a); // the old one has nothing to say
        CHECK_EQ(server.told, 0);
        CHECK(write_all(&b, &server, "back", 4));
        CHECK_EQ(read_wait(&a, &client, got, sizeof got), 4);
        pair_close(&client, &server);
        fsi_io_free(&a);
        fsi_io_free(&b);
    }
}

// Goal: a channel that has left its io leaves nothing there: whatever happens to it, in both directions, wakes nobody.
TEST(detach_leaves_nothing)
{
    static char got[65536];
    fsi_io a, b, other;
    peer client, server;
    size_t sent, read = 0;
    REQUIRE(io_start(&a, &id_a));
    REQUIRE(io_start(&b, &id_b));
    REQUIRE(io_start(&other, &id_b));
    REQUIRE(pair_make_apart(&other, &a, &client, &server));
    while (turn_now(&a)) continue;
    fsi_io_detach(&server.chan);
    REQUIRE(fsi_io_open(&b, &server.chan));
    sent = fill(&server);
    CHECK(write_all(&other, &client, "x", 1));
    while (read < sent) {
        int64_t n = read_wait(&other, &client, got, sizeof got);
        REQUIRE(n > 0);
        read += (size_t)n;
    }
    fsi_io_close(&client.chan, true);
    CHECK_EQ(turn_now(&a), 0);
    server.ready = 0;
    while (server.ready != (FSI_READY_READ | FSI_READY_WRITE)) turn(&b);
    fsi_io_close(&server.chan, false);
    fsi_io_free(&a);
    fsi_io_free(&b);
    fsi_io_free(&other);
}

// Goal: a channel that left its io by another one's event is not told there in the same batch, and its data is not
// lost.
TEST(detach_within_batch)
{
    fsi_io a, b;
    peer clients[2], servers[2];
    char got[8];
    REQUIRE(io_start(&a, &id_a));
    REQUIRE(io_start(&b, &id_b));
    REQUIRE(rivals_make(&a, clients, servers, detach_victim));
    int moved = servers[0].told ? 1 : 0;
    CHECK_EQ(servers[moved].told, 0);
    servers[moved].on_ready = servers[1 - moved].on_ready = NULL;
    REQUIRE(fsi_io_open(&b, &servers[moved].chan));
    CHECK_EQ(read_wait(&b, &servers[moved], got, sizeof got), 1);
    CHECK_EQ(read_wait(&a, &servers[1 - moved], got, sizeof got), 1);
    for (int i = 0; i < 2; i++) pair_close(&clients[i], &servers[i]);
    fsi_io_free(&a);
    fsi_io_free(&b);
}
#else
TEST(detach_and_open_elsewhere)
{
    SKIP("a socket stays with its io on this system");
}

TEST(detach_leaves_nothing)
{
    SKIP("a socket stays with its io on this system");
}

TEST(detach_within_batch)
{
    SKIP("a socket stays with its io on this system");
}
#endif

// ---- listeners

#define CLIENTS 20

// Goal: a listener that accepts a bounded number at each event tells of the rest again.
TEST(accept_bounded)
{
    fsi_io io;
    peer listener, clients[CLIENTS];
    fsi_sockaddr at;
    int error, accepted[CLIENTS + 1], count = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(listener_make(&listener, &at, false));
    REQUIRE(fsi_io_listen(&io, &listener.chan, false));
    for (int i = 0; i < CLIENTS; i++) {
        peer_init(&clients[i]);
        REQUIRE(fsi_io_connect(&io, &clients[i].chan, &at, NULL, &error) == FSI_PENDING);
    }
    while (count < CLIENTS) {
        listener.ready = 0;
        turn(&io);
        for (int n = 0; listener.ready && n < 3; n++) {
            int fd = fsi_io_accept(&listener.chan);
            if (fd == FSI_PENDING) break;
            REQUIRE(fd >= 0 && count < CLIENTS);
            accepted[count++] = fd;
        }
    }
    CHECK_EQ(fsi_io_accept(&listener.chan), FSI_PENDING);
    for (int i = 0; i < CLIENTS; i++) {
        peer server;
        peer_init(&server);
        server.chan.fd = accepted[i];
        fsi_io_close(&server.chan, false);
        fsi_io_close(&clients[i].chan, false);
    }
    fsi_io_close(&listener.chan, false);
    fsi_io_free(&io);
}

// Goal: a listener that sleeps tells of nothing and loses nothing.
TEST(unlisten_and_again)
{
    fsi_io io, other;
    peer listener, client, server;
    fsi_sockaddr at;
    int error;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(io_start(&other, &id_b));
    REQUIRE(listener_make(&listener, &at, false));
    REQUIRE(fsi_io_listen(&io, &listener.chan, false));
    fsi_io_unlisten(&listener.chan);
    peer_init(&client);
    peer_init(&server);
    REQUIRE(fsi_io_connect(&other, &client.chan, &at, NULL, &error) == FSI_PENDING);
    while (!(client.ready & FSI_READY_WRITE)) turn(&other);
    CHECK_EQ(fsi_io_connected(&client.chan), 0); // the system took it into the backlog
    (void)turn_now(&io);
    CHECK_EQ(listener.told, 0);
    REQUIRE(fsi_io_listen(&io, &listener.chan, false));
    while (!listener.ready) turn(&io);
    server.chan.fd = fsi_io_accept(&listener.chan);
    CHECK(server.chan.fd >= 0);
    pair_close(&client, &server);
    fsi_io_close(&listener.chan, false);
    fsi_io_free(&io);
    fsi_io_free(&other);
}

// Goal: two ios on one listening socket share its connections: each is accepted once, by either of them.
TEST(listen_shared)
{
#if FSI_IO_ONE_ACCEPTOR
    SKIP("one io has all listeners on this system");
#else
    fsi_io a, b;
    peer first, second, clients[CLIENTS];
    fsi_sockaddr at;
    int error, count = 0;
    REQUIRE(io_start(&a, &id_a));
    REQUIRE(io_start(&b, &id_b));
    REQUIRE(listener_make(&first, &at, false));
    second = first; // the same socket, another channel
    REQUIRE(fsi_io_listen(&a, &first.chan, true));
    REQUIRE(fsi_io_listen(&b, &second.chan, true));
    for (int i = 0; i < CLIENTS; i++) {
        peer_init(&clients[i]);
        REQUIRE(fsi_io_connect(&a, &clients[i].chan, &at, NULL, &error) == FSI_PENDING);
    }
    while (count < CLIENTS) {
        for (int k = 0; k < 2; k++) {
            peer *listener = k ? &second : &first;
            (void)turn_now(k ? &b : &a);
            if (!listener->ready) continue;
            listener->ready = 0;
            peer server;
            peer_init(&server);
            server.chan.fd = fsi_io_accept(&listener->chan);
            if (server.chan.fd == FSI_PENDING) continue; // the other one was faster
            REQUIRE(server.chan.fd >= 0);
            count++;
            fsi_io_close(&server.chan, false);
        }
    }
    CHECK_EQ(fsi_io_accept(&first.chan), FSI_PENDING);
    for (int i = 0; i < CLIENTS; i++) fsi_io_close(&clients[i].chan, false);
    fsi_io_unlisten(&second.chan);
    fsi_io_close(&first.chan, false);
    fsi_io_free(&a);
    fsi_io_free(&b);
#endif
}

// Goal: connections that nobody accepts for a while wait, more of them than an io may hold itself, and all are accepted
// later, one at each event; then those of a listener that is closed with some waiting are cut.
TEST(accept_late)
{
    enum { MANY = 40, LATE = 10 };
    static peer clients[MANY + LATE];
    fsi_io io, other;
    peer listener;
    fsi_sockaddr at;
    int error, count = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(io_start(&other, &id_b));
    REQUIRE(listener_make(&listener, &at, false));
    REQUIRE(fsi_io_listen(&io, &listener.chan, false));
    for (int i = 0; i < MANY + LATE; i++) {
        peer_init(&clients[i]);
        REQUIRE(fsi_io_connect(&other, &clients[i].chan, &at, NULL, &error) == FSI_PENDING);
        while (!(clients[i].ready & FSI_READY_WRITE)) turn(&other);
        CHECK_EQ(fsi_io_connected(&clients[i].chan), 0);
        (void)turn_now(&io); // told, and does nothing
    }
    CHECK(fsi_io_waiting(&listener.chan));
    while (count < MANY) {
        listener.ready = 0;
        turn(&io);
        if (!listener.ready) continue;
        int fd = fsi_io_accept(&listener.chan);
        if (fd == FSI_PENDING) continue;
        REQUIRE(fd >= 0);
        count++;
        fsi_sock_close(fd);
    }
    CHECK(fsi_io_waiting(&listener.chan));
    fsi_io_close(&listener.chan, false);
    for (int i = 0; i < MANY + LATE; i++) {
        CHECK(read_wait(&other, &clients[i], drink, sizeof drink) <= 0);
        fsi_io_close(&clients[i].chan, false);
    }
    fsi_io_free(&io);
    fsi_io_free(&other);
}

// Goal: as many connections as wait are accepted in one turn, and none of them says that there are no descriptors left.
TEST(accept_all_at_once)
{
    enum { MANY = 60 }; // the listener's backlog holds them
    static peer clients[MANY];
    fsi_io io, other;
    peer listener;
    fsi_sockaddr at;
    int error, count = 0;
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(io_start(&other, &id_b));
    REQUIRE(listener_make(&listener, &at, false));
    REQUIRE(fsi_io_listen(&io, &listener.chan, false));
    for (int i = 0; i < MANY; i++) {
        peer_init(&clients[i]);
        REQUIRE(fsi_io_connect(&other, &clients[i].chan, &at, NULL, &error) == FSI_PENDING);
        while (!(clients[i].ready & FSI_READY_WRITE)) turn(&other);
        CHECK_EQ(fsi_io_connected(&clients[i].chan), 0);
    }
    while (!listener.ready) turn(&io);
    while (count < MANY) { // no turn of this io between them
        int fd = fsi_io_accept(&listener.chan);
        REQUIRE(fd >= 0 || fd == FSI_PENDING);
        if (fd < 0) continue;
        count++;
        fsi_sock_close(fd);
    }
    CHECK(!fsi_io_waiting(&listener.chan));
    for (int i = 0; i < MANY; i++) fsi_io_close(&clients[i].chan, false);
    fsi_io_close(&listener.chan, false);
    fsi_io_free(&io);
    fsi_io_free(&other);
}

// ---- wakes

// Goal: a wake before the wait ends it, once; the next wake counts again.
TEST(wake_before_wait)
{
    fsi_io io;
    REQUIRE(io_start(&io, &id_a));
    for (int i = 0; i < 5; i++) {
        ROW("round %d", i);
        fsi_io_wake(&io);
        turn(&io);
        CHECK_EQ(turn_now(&io), 0);
    }
    for (int i = 0; i < 1000; i++) fsi_io_wake(&io); // more than one at a time: at least one counts
    turn(&io);
    fsi_io_free(&io);
}

enum { WAKERS = 4, WAKES = 1000 };

typedef struct waker {
    fsi_thread thread;
    fsi_io *io;
    uint32_t said; // atomic: how often
} waker;

static void waker_body(void *arg)
{
    waker *w = (waker *)arg;
    for (uint32_t i = 1; i <= WAKES; i++) {
        fsi_store32(&w->said, i);
        fsi_io_wake(w->io);
    }
}

// Goal: of wakes from several threads at once none is lost: what was said before the last of them is seen.
TEST(wake_from_many_threads)
{
    static waker wakers[WAKERS];
    fsi_io io;
    uint32_t done = 0;
    REQUIRE(io_start(&io, &id_a));
    for (int i = 0; i < WAKERS; i++) {
        memset(&wakers[i], 0, sizeof wakers[i]);
        wakers[i].io = &io;
    }
    for (int i = 0; i < WAKERS; i++) REQUIRE(fsi_thread_start(&wakers[i].thread, waker_body, &wakers[i], "waker"));
    while (done < WAKERS) {
        turn(&io); // without a limit: a lost wake hangs
        done = 0;
        for (int i = 0; i < WAKERS; i++) done += fsi_load32(&wakers[i].said) == WAKES;
    }
    for (int i = 0; i < WAKERS; i++) fsi_thread_join(&wakers[i].thread);
    fsi_io_free(&io);
}

// Two threads that wake each other in turn.
typedef struct ping {
    fsi_io ios[2];
    uint32_t count; // odd: ios[1]'s turn
} ping;
#define PINGS 200

static void ping_body(void *arg)
{
    ping *p = (ping *)arg;
    for (uint32_t i = 0; i < PINGS; i++) {
        while (fsi_load32(&p->count) != 2 * i + 1) turn(&p->ios[1]);
        fsi_store32(&p->count, 2 * i + 2);
        fsi_io_wake(&p->ios[0]);
    }
}

// Goal: a wake from another thread ends a wait without a limit, whether it had begun or not: none of them is lost.
TEST(wake_from_thread)
{
    static ping p;
    fsi_thread thread;
    memset(&p, 0, sizeof p);
    REQUIRE(io_start(&p.ios[0], &id_a));
    REQUIRE(io_start(&p.ios[1], &id_b));
    REQUIRE(fsi_thread_start(&thread, ping_body, &p, "ping"));
    for (uint32_t i = 0; i < PINGS; i++) {
        ROW("round %u", i);
        fsi_store32(&p.count, 2 * i + 1);
        fsi_io_wake(&p.ios[1]);
        while (fsi_load32(&p.count) != 2 * i + 2) turn(&p.ios[0]);
    }
    fsi_thread_join(&thread);
    fsi_io_free(&p.ios[0]);
    fsi_io_free(&p.ios[1]);
}

// Goal: a wake and readiness in one batch do not hide each other.
TEST(wake_with_data)
{
    fsi_io io;
    peer client, server;
    char got[8];
    REQUIRE(io_start(&io, &id_a));
    REQUIRE(pair_make(&io, &client, &server, false));
    (void)turn_now(&io);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), FSI_PENDING);
    server.ready = 0;
    CHECK(write_all(&io, &client, "x", 1));
    fsi_io_wake(&io);
    while (!(server.ready & FSI_READY_READ)) turn(&io);
    CHECK_EQ(fsi_io_read(&server.chan, got, sizeof got), 1);
    pair_close(&client, &server);
    fsi_io_free(&io);
}

TEST_MAIN(CASE(free_is_safe), CASE(wait_has_a_limit), CASE(connect_accept_open), CASE(connect_refused),
          CASE(read_pending_short_end), CASE(read_rest_needs_no_event), CASE(read_end_with_data),
          CASE(read_edge_before_wait), CASE(read_end_after_much), CASE(read_reset), CASE(write_pending_resumes),
          CASE(write_edge_before_wait), CASE(write_pending_half_closed), CASE(write_gathers), CASE(write_after_reset),
          CASE(shut_is_half), CASE(close_within_batch), CASE(close_itself), CASE(close_within_own_batch),
          CASE(detach_and_open_elsewhere), CASE(detach_leaves_nothing), CASE(detach_within_batch), CASE(accept_bounded),
          CASE(unlisten_and_again), CASE(listen_shared), CASE(wake_before_wait), CASE(wake_from_thread),
          CASE(wake_from_many_threads), CASE(write_pending_peer_resets), CASE(close_with_all_pending),
          CASE(free_with_all_pending), CASE(accept_late), CASE(accept_all_at_once), CASE(wake_with_data))
