// test_tcp.c: raw TCP, posts and timers over real sockets and threads. The peers are plain blocking sockets, or the
// server's own outgoing connections. Every server counts its memory and its callbacks: a byte that is left behind, or
// an on_open without exactly one on_closed, fails the case. Waits are for events.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#include "host.h"

// ---- the server's side

typedef struct host {
    fsv_server *server;
    uint32_t port;
    struct driver driver;
    struct heap heap;
    fsi_lock lock;
    char log[1024]; // of callbacks, under lock
    // atomic
    uint32_t opened, closed, once_wrong, drained, ends, ran, released, floods;
    uint64_t bytes;
    int64_t why;  // of the last on_closed, atomically
    fsv_tcp last; // of the last on_open; read it after `opened` has grown
} host;

static host h;

static void note(const char *format, ...)
{
    va_list args;
    fsi_lock_take(&h.lock);
    size_t at = strlen(h.log);
    va_start(args, format);
    (void)vsnprintf(h.log + at, sizeof h.log - at, format, args);
    va_end(args);
    fsi_lock_give(&h.lock);
}

static bool noted(const char *what)
{
    fsi_lock_take(&h.lock);
    bool same = strcmp(h.log, what) == 0;
    fsi_lock_give(&h.lock);
    return same;
}

// Each connection has one of these as its pointer, so that callbacks can be counted.
typedef struct mark {
    uint32_t opened, closed;
} mark;

static void on_open(fsv_tcp tcp, void *user)
{
    mark *m = (mark *)calloc(1, sizeof *m);
    CHECK(user == &h);
    CHECK(fsv_tcp_user(tcp) == NULL);
    if (m) m->opened = 1;
    CHECK_EQ(fsv_tcp_set_user(tcp, m), FSV_OK);
    fsi_lock_take(&h.lock);
    h.last = tcp;
    fsi_lock_give(&h.lock);
    fsi_add32(&h.opened, 1);
}

static void on_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    mark *m = (mark *)fsv_tcp_user(tcp);
    (void)user;
    if (m && (m->opened != 1 || ++m->closed != 1)) fsi_add32(&h.once_wrong, 1);
    CHECK_EQ(fsv_tcp_send(tcp, "late", 4), FSV_ERR_CLOSED);
    free(m);
    fsi_store64((uint64_t *)&h.why, (uint64_t)(int64_t)why);
    fsi_add32(&h.closed, 1);
}

static int64_t why_of(void)
{
    return (int64_t)fsi_load64((uint64_t *)&h.why);
}

static size_t on_echo(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    CHECK(user == &h);
    if (len) return fsv_tcp_send(tcp, data, len) == FSV_OK ? len : 0;
    CHECK(data == NULL);
    fsi_add32(&h.ends, 1);
    CHECK_EQ(fsv_tcp_shut(tcp), FSV_OK);
    return 0;
}

static size_t on_count(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)tcp;
    (void)data;
    (void)user;
    fsi_store64(&h.bytes, fsi_load64(&h.bytes) + len);
    if (len == 0) fsi_add32(&h.ends, 1);
    return len;
}

static void on_drained(fsv_tcp tcp, void *user)
{
    (void)tcp;
    (void)user;
    fsi_add32(&h.drained, 1);
}

static fsv_tcp_desc tcp_desc(fsv_tcp_data_handler on_data)
{
    fsv_tcp_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.on_open = on_open;
    desc.on_data = on_data;
    desc.on_drained = on_drained;
    desc.on_closed = on_closed;
    desc.user = &h;
    return desc;
}

// A server that listens raw on 127.0.0.1, if tcp is not NULL, and does not run yet.
static bool host_make(const fsv_server_desc *tweak, const fsv_tcp_desc *tcp)
{
    fsv_server_desc desc;
    memset(&h, 0, sizeof h);
    memset(&desc, 0, sizeof desc);
    if (tweak) desc = *tweak;
    (void)fsi_lock_init(&h.lock);
    if (desc.conns_max == 0) desc.conns_max = 500;
    if (!heap_begin(&h.heap, &desc)) return false;
    if (fsv_server_create(&h.server, &desc) != FSV_OK) return false;
    if (tcp && fsv_server_listen_tcp(h.server, "127.0.0.1:0", tcp) != FSV_OK) return false;
    h.port = fsv_server_port(h.server, 0);
    return true;
}

static bool host_start(const fsv_server_desc *tweak, const fsv_tcp_desc *tcp)
{
    return host_make(tweak, tcp) && fsv_server_start(h.server) == FSV_OK;
}

static void host_end(void)
{
    CHECK_EQ(fsv_server_free(h.server), FSV_OK);
    heap_end(&h.heap);
    CHECK_EQ(h.once_wrong, 0);
    fsi_lock_free(&h.lock);
}

static fsv_server_desc loops(uint32_t count)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = count;
    return desc;
}

// ---- order

static void order_open(fsv_tcp tcp, void *user)
{
    char peer[64];
    (void)user;
    CHECK(fsv_tcp_peer(tcp, peer, sizeof peer) > 0 && strncmp(peer, "127.0.0.1:", 10) == 0);
    CHECK_EQ(fsv_tcp_peer(tcp, peer, 3), FSV_ERR_LIMIT);
    CHECK_EQ(fsv_loop_current(h.server), 0);
    note("open ");
    CHECK_EQ(fsv_tcp_send(tcp, "hi", 2), FSV_OK);
}

static size_t order_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)user;
    if (len == 0) {
        note("end ");
        CHECK_EQ(fsv_tcp_close(tcp), FSV_OK);
        return 0;
    }
    note("data(%.*s) ", (int)len, data);
    CHECK_EQ(fsv_tcp_send(tcp, data, len), FSV_OK);
    return len;
}

static void order_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    (void)user;
    CHECK_EQ(fsv_tcp_close(tcp), FSV_ERR_CLOSED);
    note("closed(%d) ", why);
}

// Goal: open, data, end, closed, in this order and once each, in every way to drive a server; what on_open says comes
// first; handles are for the loop's thread where it says so.
TEST(callbacks_in_order)
{
    for (int how = 0; how < DRIVES; how++) {
        char got[8];
        ROW("%s", drive_names[how]);
        fsv_tcp_desc tcp = tcp_desc(order_data);
        tcp.on_open = order_open;
        tcp.on_closed = order_closed;
        REQUIRE(host_make(NULL, &tcp));
        CHECK_EQ(fsv_loop_current(h.server), UINT32_MAX);
        REQUIRE(driver_begin(&h.driver, h.server, (drive)how));
        int fd = sock_dial(h.port);
        CHECK(sock_hear(fd, got, 2) && memcmp(got, "hi", 2) == 0);
        CHECK(sock_say(fd, "abc", 3) && sock_hear(fd, got, 3) && memcmp(got, "abc", 3) == 0);
        CHECK(sock_say(fd, "de", 2) && sock_hear(fd, got, 2) && memcmp(got, "de", 2) == 0);
        os_shut(fd, false);
        CHECK(sock_ended(fd));
        os_close(fd);
        UNTIL(noted("open data(abc) data(de) end closed(0) "));
        fsv_server_stop(h.server, 0);
        driver_end(&h.driver);
        CHECK(noted("open data(abc) data(de) end closed(0) "));
        host_end();
    }
}

// Goal: what is wrong is refused, and what is none is closed.
TEST(arguments_are_checked)
{
    fsv_tcp none, out;
    fsv_timer no_timer;
    char peer[64];
    fsv_tcp_desc tcp = tcp_desc(on_echo), bad = tcp_desc(NULL);
    memset(&none, 0, sizeof none);
    memset(&no_timer, 0, sizeof no_timer);
    REQUIRE(host_make(NULL, &tcp));
    CHECK_EQ(fsv_server_listen_tcp(h.server, "127.0.0.1:0", &bad), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_server_listen_tcp(h.server, "127.0.0.1:0", NULL), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_server_listen_tcp(h.server, "nonsense", &tcp), FSV_ERR_ADDRESS);
    CHECK_EQ(fsv_tcp_connect(h.server, 1, "127.0.0.1:1", &tcp, &out), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_tcp_connect(h.server, 0, "127.0.0.1:1", &bad, &out), FSV_ERR_ARGUMENT);
    const char *addresses[] = {"",     "80", ":80", "127.0.0.1:0", "example.org:80", "localhost:", "localhost:1:2",
                               "unix:"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        ROW("%s", addresses[i]);
        CHECK_EQ(fsv_tcp_connect(h.server, 0, addresses[i], &tcp, &out), FSV_ERR_ADDRESS);
    }
    test_row[0] = 0;
    CHECK_EQ(fsv_tcp_send(none, "a", 1), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_tcp_send(none, NULL, 0), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_tcp_close(none), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_tcp_set_user(none, NULL), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_tcp_peer(none, peer, sizeof peer), FSV_ERR_ARGUMENT);
    CHECK(fsv_tcp_user(none) == NULL);
    none.server = h.server;
    none.slot = 0xffffffff;
    CHECK_EQ(fsv_tcp_abort(none), FSV_ERR_CLOSED);
    CHECK_EQ(fsv_tcp_send(none, NULL, 1), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_loop_post(h.server, 1, free, NULL), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_loop_post(h.server, 0, NULL, NULL), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_timer_stop(no_timer), FSV_ERR_ARGUMENT);
    host_end();
}

// ---- echo

#define ECHO_MAX 1000003
static char echo_out[ECHO_MAX], echo_in[ECHO_MAX];

typedef struct echo_say {
    int fd;
    size_t len, step;
} echo_say;

static void echo_say_body(void *arg)
{
    const echo_say *e = (const echo_say *)arg;
    for (size_t at = 0; at < e->len; at += e->step)
        if (!sock_say(e->fd, echo_out + at, e->step < e->len - at ? e->step : e->len - at)) break;
    os_shut(e->fd, false);
}

static void echo_fill(void)
{
    uint32_t x = 1;
    for (size_t i = 0; i < ECHO_MAX; i++) echo_out[i] = (char)((x = x * 1664525u + 1013904223u) >> 24);
}

// Goal: an echo gives back every size, however it is cut, and ends when the peer has ended, also with a queue that is
// much smaller than what comes.
TEST(echo_of_all_sizes)
{
    static const size_t sizes[] = {0, 1, 2, 255, 4096, 16383, 65535, 65536, 65537, 262144, ECHO_MAX};
    static const size_t steps[] = {1, 97, 1000, 65536, ECHO_MAX};
    static const uint32_t limits[] = {0, 70000};
    echo_fill();
    for (size_t limit = 0; limit < 2; limit++) {
        fsv_tcp_desc tcp = tcp_desc(on_echo);
        tcp.out_bytes_max = limits[limit];
        REQUIRE(host_start(NULL, &tcp));
        uint32_t count = 0;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
                fsi_thread sender;
                echo_say e;
                if (sizes[i] / steps[k] > 20000) continue;
                ROW("out_bytes_max=%u size=%zu step=%zu", limits[limit], sizes[i], steps[k]);
                e.fd = sock_dial(h.port);
                e.len = sizes[i];
                e.step = steps[k];
                REQUIRE(e.fd >= 0 && fsi_thread_start(&sender, echo_say_body, &e, "say"));
                CHECK(sock_hear(e.fd, echo_in, sizes[i]));
                CHECK(memcmp(echo_in, echo_out, sizes[i]) == 0);
                CHECK(sock_ended(e.fd));
                fsi_thread_join(&sender);
                os_close(e.fd);
                count++;
            }
        UNTIL(fsi_load32(&h.closed) == count);
        CHECK_EQ(h.opened, count);
        CHECK_EQ(h.ends, count);
        CHECK_EQ(why_of(), FSV_OK);
        host_end();
        CHECK_EQ(h.closed, count);
    }
}

// ---- half-close, close, abort

static void hello_shut(fsv_tcp tcp, void *user)
{
    on_open(tcp, user);
    CHECK_EQ(fsv_tcp_send(tcp, "hello", 5), FSV_OK);
    CHECK_EQ(fsv_tcp_shut(tcp), FSV_OK);
    CHECK_EQ(fsv_tcp_send(tcp, "more", 4), FSV_ERR_CLOSED);
}

// Goal: when our direction has ended first, the peer's goes on until it ends too.
TEST(half_close_by_us)
{
    char got[5];
    fsv_tcp_desc tcp = tcp_desc(on_count);
    tcp.on_open = hello_shut;
    REQUIRE(host_start(NULL, &tcp));
    int fd = sock_dial(h.port);
    CHECK(sock_hear(fd, got, 5) && memcmp(got, "hello", 5) == 0);
    CHECK(sock_ended(fd));
    CHECK(sock_say(fd, "abcdef", 6));
    UNTIL(fsi_load64(&h.bytes) == 6);
    CHECK_EQ(fsi_load32(&h.closed), 0);
    os_close(fd);
    UNTIL(fsi_load32(&h.closed) == 1);
    CHECK_EQ(why_of(), FSV_OK);
    CHECK_EQ(fsi_load32(&h.ends), 1);
    host_end();
}

static size_t on_word(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)user;
    if (len && *data == 'c') {
        CHECK_EQ(fsv_tcp_send(tcp, "bye", 3), FSV_OK);
        CHECK_EQ(fsv_tcp_close(tcp), FSV_OK);
    }
    if (len && *data == 'a') CHECK_EQ(fsv_tcp_abort(tcp), FSV_OK);
    return len;
}

// Goal: close sends what was sent before, even if the peer goes on talking; abort resets; a peer that cuts is told of.
TEST(three_ways_to_end)
{
    char got[3];
    fsv_tcp_desc tcp = tcp_desc(on_word);
    REQUIRE(host_start(NULL, &tcp));
    int fd = sock_dial(h.port);
    CHECK(sock_say(fd, "c", 1) && sock_hear(fd, got, 3) && memcmp(got, "bye", 3) == 0 && sock_ended(fd));
    os_close(fd);
    UNTIL(fsi_load32(&h.closed) == 1);
    CHECK_EQ(why_of(), FSV_OK);
    CHECK_EQ(fsv_tcp_send(h.last, "x", 1), FSV_ERR_CLOSED);
    fd = sock_dial(h.port);
    CHECK(sock_say(fd, "a", 1) && sock_was_reset(fd));
    os_close(fd);
    UNTIL(fsi_load32(&h.closed) == 2);
    CHECK_EQ(why_of(), FSV_ERR_CLOSED);
    fd = sock_dial(h.port);
    UNTIL(fsi_load32(&h.opened) == 3);
    sock_reset(fd);
    UNTIL(fsi_load32(&h.closed) == 3);
    CHECK_EQ(why_of(), FSV_ERR_CLOSED);
    fd = sock_dial(h.port); // and from this thread, which is none of the server's
    UNTIL(fsi_load32(&h.opened) == 4);
    CHECK_EQ(fsv_tcp_set_user(h.last, NULL), FSV_ERR_STATE);
    CHECK_EQ(fsv_tcp_peer(h.last, got, sizeof got), FSV_ERR_STATE);
    CHECK_EQ(fsv_tcp_send(h.last, "one", 3), FSV_OK);
    CHECK_EQ(fsv_tcp_close(h.last), FSV_OK);
    CHECK(sock_hear(fd, got, 3) && memcmp(got, "one", 3) == 0 && sock_ended(fd));
    os_close(fd);
    UNTIL(fsi_load32(&h.closed) == 4);
    CHECK_EQ(why_of(), FSV_OK);
    host_end();
}

// ---- back-pressure

static size_t on_flood(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    static const char piece[10000] = "flood";
    fsv_result result = FSV_OK;
    (void)data;
    (void)user;
    while (len && (result = fsv_tcp_send(tcp, piece, sizeof piece)) == FSV_OK)
        fsi_store64(&h.bytes, fsi_load64(&h.bytes) + sizeof piece);
    if (len) CHECK_EQ(result, FSV_ERR_FULL);
    if (len) fsi_add32(&h.floods, 1);
    return len;
}

// Takes everything until `want` bytes have come. How many came.
static uint64_t drink(int fd, uint64_t want)
{
    static char sink[262144];
    uint64_t got = 0;
    while (got < want) {
        int64_t n = os_recv(fd, sink, want - got < sizeof sink ? (size_t)(want - got) : sizeof sink);
        if (n <= 0) break;
        got += (uint64_t)n;
    }
    return got;
}

// Goal: a peer that does not read makes send say so; when it has read everything, on_drained comes, once, and every
// byte that was taken has arrived. From the loop's thread and from another one.
TEST(full_and_drained)
{
    for (int foreign = 0; foreign < 2; foreign++) {
        ROW("foreign=%d", foreign);
        fsv_tcp_desc tcp = tcp_desc(on_flood);
        tcp.out_bytes_max = 100000;
        REQUIRE(host_start(NULL, &tcp));
        int fd = sock_dial(h.port);
        static const char piece[10000] = "flood";
        UNTIL(fsi_load32(&h.opened) == 1);
        CHECK_EQ(fsv_tcp_send(h.last, echo_out, 100097), FSV_ERR_LIMIT);
        for (uint32_t round = 1; round <= 3; round++) {
            uint64_t bytes = 0;
            if (foreign) {
                fsv_result result;
                while ((result = fsv_tcp_send(h.last, piece, sizeof piece)) == FSV_OK) bytes += sizeof piece;
                CHECK_EQ(result, FSV_ERR_FULL);
            } else {
                fsi_store64(&h.bytes, 0);
                CHECK(sock_say(fd, "go", 2));
                UNTIL(fsi_load32(&h.floods) == round);
                bytes = fsi_load64(&h.bytes);
            }
            CHECK(bytes >= 100000);
            CHECK_EQ(drink(fd, bytes), bytes);
            UNTIL(fsi_load32(&h.drained) >= round);
            if (!foreign) CHECK_EQ(fsi_load32(&h.drained), round);
            fsi_store32(&h.drained, round); // a foreign sender may be told once too often
        }
        os_close(fd);
        host_end();
    }
}

static size_t on_paused(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)data;
    (void)user;
    fsi_store64(&h.bytes, fsi_load64(&h.bytes) + len);
    CHECK_EQ(fsv_tcp_pause(tcp), FSV_OK);
    return len;
}

// Takes whole lines, one in each call.
static size_t on_lines(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    const char *end = len ? (const char *)memchr(data, '\n', len) : NULL;
    (void)user;
    if (len == 0) note("end ");
    if (len == 0) CHECK_EQ(fsv_tcp_close(tcp), FSV_OK);
    if (!end) return 0;
    note("%.*s ", (int)(end - data), data);
    return (size_t)(end - data) + 1;
}

static size_t on_nothing(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)tcp;
    (void)data;
    (void)user;
    fsi_store64(&h.bytes, len);
    return fsi_load32(&h.floods) ? len : 0;
}

// Goal: what on_data does not take is kept, offered again at once if it took some, and with more behind it if it took
// none; but never more than the buffer holds.
TEST(rest_is_kept)
{
    fsv_tcp_desc tcp = tcp_desc(on_lines);
    REQUIRE(host_start(NULL, &tcp));
    int fd = sock_dial(h.port);
    CHECK(sock_say(fd, "one\ntwo\nth", 10));
    UNTIL(noted("one two "));
    CHECK(sock_say(fd, "r", 1));
    CHECK(sock_say(fd, "ee\nfour", 7));
    UNTIL(noted("one two three "));
    os_close(fd);
    UNTIL(noted("one two three end "));
    UNTIL(fsi_load32(&h.closed) == 1);
    host_end();
    tcp = tcp_desc(on_nothing);
    REQUIRE(host_start(NULL, &tcp));
    fd = sock_dial(h.port);
    CHECK(sock_say(fd, echo_out, 300000));
    UNTIL(fsi_load64(&h.bytes) >= 65536);
    CHECK(fsi_load64(&h.bytes) < 100000);
    fsi_store32(&h.floods, 1);
    CHECK_EQ(fsv_tcp_resume(h.last), FSV_OK);
    os_close(fd);
    UNTIL(fsi_load64(&h.bytes) == 0);
    CHECK_EQ(fsv_tcp_abort(h.last), FSV_OK);
    UNTIL(fsi_load32(&h.closed) == 1);
    host_end();
}

// Goal: a paused connection reads nothing, not even the end, until it is resumed.
TEST(pause_and_resume)
{
    fsv_tcp_desc tcp = tcp_desc(on_paused);
    REQUIRE(host_start(NULL, &tcp));
    int fd = sock_dial(h.port);
    CHECK(sock_say(fd, "abc", 3));
    UNTIL(fsi_load64(&h.bytes) == 3);
    CHECK(sock_say(fd, "defg", 4));
    os_close(fd);
    CHECK_EQ(fsv_loop_post(h.server, 0, free, NULL), FSV_OK); // a turn passes
    CHECK_EQ(fsi_load64(&h.bytes), 3);
    CHECK_EQ(fsv_tcp_resume(h.last), FSV_OK);
    UNTIL(fsi_load64(&h.bytes) == 7);
    CHECK_EQ(fsv_tcp_abort(h.last), FSV_OK);
    UNTIL(fsi_load32(&h.closed) == 1);
    host_end();
}

static void on_owned_release(void *memory, void *user)
{
    CHECK(user == &h);
    if (memory) CHECK_EQ(*(char *)memory, 'o');
    fsi_add32(&h.released, 1);
}

static size_t on_owned(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)data;
    if (len) CHECK_EQ(fsv_tcp_send_owned(tcp, echo_in, 200000, on_owned_release, user), FSV_OK);
    if (len) CHECK_EQ(fsv_tcp_send_owned(tcp, echo_in, 10, on_owned_release, user), FSV_OK);
    return len;
}

// Goal: memory that is sent without a copy is given back exactly once, sent or not, from the loop or another thread.
TEST(owned_memory_returns)
{
    fsv_tcp_desc tcp = tcp_desc(on_owned);
    fsv_tcp none;
    memset(&none, 0, sizeof none);
    tcp.out_bytes_max = 600000;
    memset(echo_in, 'o', sizeof echo_in);
    REQUIRE(host_start(NULL, &tcp));
    int fd = sock_dial(h.port);
    CHECK(sock_say(fd, "x", 1));
    CHECK_EQ(drink(fd, 200010), 200010);
    UNTIL(fsi_load32(&h.released) == 2);
    CHECK_EQ(fsv_tcp_send_owned(h.last, echo_in, 300000, on_owned_release, &h), FSV_OK);
    CHECK_EQ(drink(fd, 300000), 300000);
    UNTIL(fsi_load32(&h.released) == 3);
    CHECK_EQ(fsv_tcp_send_owned(h.last, echo_in, 700000, on_owned_release, &h), FSV_ERR_LIMIT);
    CHECK_EQ(fsi_load32(&h.released), 4);
    CHECK_EQ(fsv_tcp_send_owned(h.last, echo_in, 0, on_owned_release, &h), FSV_OK);
    CHECK_EQ(fsv_tcp_send_owned(h.last, NULL, 1, on_owned_release, &h), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_tcp_send_owned(none, echo_in, 1, on_owned_release, &h), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsi_load32(&h.released), 7);
    uint32_t sent = 0;
    while (fsv_tcp_send_owned(h.last, echo_in, 100000, on_owned_release, &h) == FSV_OK) sent++;
    os_close(fd); // with those still under way
    uint32_t asked = 1;
    for (; !os_tells_resets() && !fsi_load32(&h.closed) && asked < GUARD_S * 1000; asked++) { // only a write finds out
        (void)fsv_tcp_send_owned(h.last, echo_in, 1, on_owned_release, &h);
        nap(1);
    }
    UNTIL(fsi_load32(&h.closed) == 1);
    CHECK_EQ(fsv_tcp_send_owned(h.last, echo_in, 1, on_owned_release, &h), FSV_ERR_CLOSED);
    UNTIL(fsi_load32(&h.released) == 7 + sent + 1 + asked);
    host_end();
    CHECK_EQ(h.released, 7 + sent + 1 + asked);
}

// ---- other threads

#define SENDERS 4
#define PEERS 12
#define RECORDS 600

static struct {
    fsv_tcp tcp[PEERS];
    uint32_t ready;
    uint32_t count[SENDERS][PEERS]; // records that were taken
    uint32_t stale[SENDERS];
} many;

static void many_open(fsv_tcp tcp, void *user)
{
    on_open(tcp, user);
    many.tcp[fsi_load32(&many.ready)] = tcp; // one loop
    fsi_add32(&many.ready, 1);
}

// Records of 8 bytes: sender, number. A record that was refused is tried again, or its peer has gone.
static void many_send_body(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg, gone = 0;
    for (uint32_t i = 0; i < RECORDS; i++)
        for (uint32_t peer = 0; peer < PEERS; peer++) {
            uint32_t record[2];
            if (gone >> peer & 1) continue;
            record[0] = me;
            record[1] = i;
            fsv_result result;
            while ((result = fsv_tcp_send(many.tcp[peer], record, sizeof record)) == FSV_ERR_FULL) nap(1);
            if (result == FSV_OK) {
                many.count[me][peer]++;
                continue;
            }
            CHECK_EQ(result, FSV_ERR_CLOSED);
            gone |= 1u << peer;
        }
    for (uint32_t peer = 0; peer < PEERS; peer++)
        if (gone >> peer & 1) many.stale[me] += fsv_tcp_send(many.tcp[peer], "x", 1) == FSV_ERR_CLOSED;
}

// Goal: four threads send to the same connections while two thirds of the peers leave in the middle: who stays gets
// every record of each thread once and in order, who leaves a beginning of it; handles of those are stale.
TEST(senders_on_other_threads)
{
    int fds[PEERS];
    fsi_thread threads[SENDERS];
    static uint32_t next[PEERS][SENDERS];
    uint32_t left = 0, seed = 7;
    memset(&many, 0, sizeof many);
    memset(next, 0, sizeof next);
    fsv_server_desc desc = loops(1);
    desc.inbox_max = 256;
    fsv_tcp_desc tcp = tcp_desc(on_count);
    tcp.on_open = many_open;
    tcp.out_bytes_max = 5000;
    REQUIRE(host_start(&desc, &tcp));
    for (uint32_t i = 0; i < PEERS; i++) {
        fds[i] = sock_dial(h.port);
        UNTIL(fsi_load32(&many.ready) == i + 1);
    }
    for (uintptr_t t = 0; t < SENDERS; t++) REQUIRE(fsi_thread_start(&threads[t], many_send_body, (void *)t, "send"));
    uint32_t open = PEERS;
    while (open) {
        for (uint32_t i = 0; i < PEERS; i++) {
            uint32_t record[2], most = SENDERS * RECORDS, had = 0;
            for (uint32_t t = 0; t < SENDERS; t++) had += next[i][t];
            if (fds[i] < 0) continue;
            if (i % 3) most = 50 * (i + 1);
            for (uint32_t k = 0; k < 50 && had < most; k++, had++) {
                REQUIRE(sock_hear(fds[i], (char *)record, sizeof record));
                REQUIRE(record[0] < SENDERS);
                CHECK_EQ(record[1], next[i][record[0]]);
                next[i][record[0]] = record[1] + 1;
            }
            if (had < most) continue;
            seed = seed * 1664525u + 1013904223u;
            if (most < SENDERS * RECORDS) left++;
            if (seed >> 31)
                sock_reset(fds[i]);
            else
                os_close(fds[i]);
            fds[i] = -1;
            open--;
            if (most < SENDERS * RECORDS) (void)fsv_tcp_abort(many.tcp[i]); // it may have seen the end only
        }
    }
    for (uint32_t t = 0; t < SENDERS; t++) fsi_thread_join(&threads[t]);
    for (uint32_t i = 0; i < PEERS; i += 3)
        for (uint32_t t = 0; t < SENDERS; t++) {
            CHECK_EQ(next[i][t], RECORDS);
            CHECK_EQ(many.count[t][i], RECORDS);
        }
    CHECK_EQ(left, PEERS - PEERS / 3);
    for (uint32_t t = 0; t < SENDERS; t++) CHECK(many.stale[t] > 0);
    host_end();
}

static void on_byte_release(void *memory, void *user)
{
    CHECK(memory != NULL && user == &h);
    fsi_add32(&h.released, 1);
}

// Sends one byte from this thread, and again while the inbox is full. How often it asked, or 0: never taken.
static uint32_t send_byte(char byte, bool owned)
{
    static char bytes[256];
    fsv_result result = FSV_ERR_FULL;
    uint32_t asked = 0;
    bytes[(uint8_t)byte] = byte;
    for (; result == FSV_ERR_FULL && asked < GUARD_S * 1000; asked++) {
        if (asked) nap(1);
        result = owned ? fsv_tcp_send_owned(h.last, bytes + (uint8_t)byte, 1, on_byte_release, &h)
                       : fsv_tcp_send(h.last, &byte, 1);
    }
    return result == FSV_OK ? asked : 0;
}

// Goal: small messages of another thread, copied or owned, which wait because the peer does not read, take little more memory
// than their bytes; they arrive, in order.
TEST(small_messages_take_little_memory)
{
    enum { MESSAGES = 50000 };
    static char large[10000], got[MESSAGES];
    for (int owned = 0; owned < 2; owned++) {
        fsi_loop *loop;
        uint64_t before = 0;
        ROW("%s", owned ? "owned" : "copied");
        fsv_tcp_desc tcp = tcp_desc(on_count);
        tcp.out_bytes_max = 1 << 20;
        REQUIRE(host_start(NULL, &tcp));
        int fd = sock_dial(h.port);
        UNTIL(fsi_load32(&h.opened) == 1);
        fsi_conn *conn = fsi_tcp_find(h.last, &loop);
        REQUIRE(conn != NULL);
        for (; fsi_load32(&conn->out_queued) < sizeof large; before += sizeof large) { // until the sockets are full
            CHECK_EQ(fsv_tcp_send(h.last, large, sizeof large), FSV_OK);
            UNTIL(fsi_load32(&conn->posted) == 0);
        }
        size_t bytes = heap_bytes(&h.heap, false);
        uint32_t asked = 0;
        for (int i = 0; i < MESSAGES; i++) {
            uint32_t more = send_byte((char)(i % 251), owned);
            REQUIRE(more > 0);
            asked += more;
        }
        UNTIL(fsi_load32(&conn->posted) == 0);
        CHECK(heap_bytes(&h.heap, false) < bytes + 4 * MESSAGES);
        CHECK_EQ(drink(fd, before), before);
        REQUIRE(sock_hear(fd, got, sizeof got));
        for (int i = 0; i < MESSAGES; i++) REQUIRE(got[i] == (char)(i % 251));
        UNTIL(fsi_load32(&h.released) == (owned ? asked : 0));
        os_close(fd);
        host_end();
    }
}

static uint32_t gate_closed, gate_reached;

static void on_gate(void *user)
{
    (void)user;
    fsi_store32(&gate_reached, 1);
    while (fsi_load32(&gate_closed)) nap(1);
}

// Goal: a full inbox is FSV_ERR_FULL like a full queue, for posts, sends and the rest, and on_drained follows.
TEST(inbox_that_is_full)
{
    fsv_server_desc desc = loops(1);
    desc.inbox_max = 2;
    fsv_tcp_desc tcp = tcp_desc(on_count), other = tcp_desc(on_count);
    fsv_tcp out;
    REQUIRE(host_start(&desc, &tcp));
    int fd = sock_dial(h.port);
    UNTIL(fsi_load32(&h.opened) == 1);
    for (int round = 1; round <= 3; round++) {
        char got[2];
        fsi_store32(&gate_closed, 1);
        fsi_store32(&gate_reached, 0);
        CHECK_EQ(fsv_loop_post(h.server, 0, on_gate, NULL), FSV_OK);
        UNTIL(fsi_load32(&gate_reached));
        for (int i = 0; i < 2 && round == 2; i++) // the connection itself has nothing to send
            CHECK_EQ(fsv_loop_post(h.server, 0, free, NULL), FSV_OK);
        if (round != 2) CHECK_EQ(fsv_tcp_send(h.last, "a", 1), FSV_OK);
        if (round != 2) CHECK_EQ(fsv_tcp_send(h.last, "b", 1), FSV_OK);
        CHECK_EQ(fsv_tcp_send(h.last, "c", 1), FSV_ERR_FULL);
        CHECK_EQ(fsv_loop_post(h.server, 0, free, NULL), FSV_ERR_FULL);
        CHECK_EQ(fsv_tcp_close(h.last), FSV_ERR_FULL);
        CHECK_EQ(fsv_tcp_connect(h.server, 0, "127.0.0.1:1", &other, &out), FSV_ERR_FULL);
        fsi_store32(&gate_closed, 0);
        if (round != 2) CHECK(sock_hear(fd, got, 2) && memcmp(got, "ab", 2) == 0);
        UNTIL(fsi_load32(&h.drained) >= (uint32_t)round);
        fsi_store32(&h.drained, (uint32_t)round);
    }
    os_close(fd);
    host_end();
}

// ---- timeouts

// Goal: a connection on which nothing happens ends, and says why.
TEST(idle_timeout)
{
    fsv_tcp_desc tcp = tcp_desc(on_echo);
    tcp.idle_timeout_ms = 30;
    REQUIRE(host_start(NULL, &tcp));
    int fd = sock_dial(h.port);
    CHECK(sock_ended(fd));
    os_close(fd);
    UNTIL(fsi_load32(&h.closed) == 1);
    CHECK_EQ(why_of(), FSV_ERR_TIMEOUT);
    host_end();
}

// ---- connecting

// Goal: a connect that nobody answers is on_closed alone, once; one that the server cannot take is refused at once.
TEST(connect_refused)
{
    fsv_tcp_desc tcp = tcp_desc(on_count);
    fsv_server_desc desc = loops(1);
    char address[32];
    fsv_tcp out;
    desc.conns_max = 3;
    REQUIRE(host_make(&desc, &tcp));
    uint32_t port = h.port;
    host_end();
    REQUIRE(host_make(&desc, NULL));
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    CHECK_EQ(fsv_tcp_connect(h.server, 0, address, &tcp, &out), FSV_OK); // before it runs
    REQUIRE(fsv_server_start(h.server) == FSV_OK);
    for (uint32_t i = 2; i < 20; i++) {
        UNTIL(fsi_load32(&h.closed) == i - 1);
        UNTIL(fsi_load32(&h.server->conns_open) == 0);
        CHECK_EQ(why_of(), FSV_ERR_REFUSED);
        CHECK_EQ(fsv_tcp_send(out, "x", 1), FSV_ERR_CLOSED);
        CHECK_EQ(fsv_tcp_connect(h.server, 0, i % 2 || !sock_has_unix() ? address : "unix:/no/such/socket", &tcp, &out),
                 FSV_OK);
    }
    UNTIL(fsi_load32(&h.closed) == 19);
    UNTIL(fsi_load32(&h.server->conns_open) == 0);
    CHECK_EQ(h.opened, 0);
    fsv_server_stop(h.server, 0);
    CHECK_EQ(fsv_server_wait(h.server), FSV_OK);
    CHECK_EQ(fsv_tcp_connect(h.server, 0, address, &tcp, &out), FSV_ERR_STOPPED);
    fsv_stats stats;
    CHECK_EQ(fsv_server_stats(h.server, UINT32_MAX, &stats), FSV_OK);
    CHECK_EQ(stats.conns_begun, 19);
    CHECK_EQ(stats.conns_closed, 19);
    host_end();
    CHECK_EQ(h.closed, 19);
}

#define CALLERS 40
static struct {
    uint32_t failed, done;
    uint32_t got[CALLERS];
} call;

static size_t call_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    uint32_t *got = (uint32_t *)user;
    for (size_t i = 0; i < len; i++, (*got)++)
        if (data[i] != echo_out[*got]) fsi_add32(&call.failed, 1);
    if (*got == 100000) CHECK_EQ(fsv_tcp_close(tcp), FSV_OK);
    return len;
}

static void call_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    (void)tcp;
    if (why != FSV_OK || *(uint32_t *)user != 100000) fsi_add32(&call.failed, 1);
    fsi_add32(&call.done, 1);
}

// Goal: one server connects to itself, from each loop and before it runs as well as after, and every byte that was sent
// at once, before the connection stood, comes back.
TEST(connect_to_itself)
{
    fsv_server_desc desc = loops(2);
    fsv_tcp_desc tcp = tcp_desc(on_echo), caller;
    char address[64];
    fsv_tcp out;
    memset(&call, 0, sizeof call);
    memset(&caller, 0, sizeof caller);
    echo_fill();
    REQUIRE(host_make(&desc, &tcp));
    (void)snprintf(address, sizeof address, "localhost:%u", h.port);
    caller.on_data = call_data;
    caller.on_closed = call_closed;
    for (uint32_t i = 0; i < CALLERS; i++) {
        caller.user = &call.got[i];
        if (i == CALLERS / 2) REQUIRE(fsv_server_start(h.server) == FSV_OK);
        REQUIRE(fsv_tcp_connect(h.server, i % 2, address, &caller, &out) == FSV_OK);
        REQUIRE(fsv_tcp_send(out, echo_out, 1) == FSV_OK);
        REQUIRE(fsv_tcp_send(out, echo_out + 1, 99999) == FSV_OK);
    }
    UNTIL(fsi_load32(&call.done) == CALLERS);
    CHECK_EQ(call.failed, 0);
    UNTIL(fsi_load32(&h.closed) == CALLERS);
    host_end();
    CHECK_EQ(h.opened, CALLERS);
}

static void on_connect_now(void *user)
{
    fsv_tcp out;
    fsv_tcp_desc caller;
    char address[64];
    memset(&caller, 0, sizeof caller);
    caller.on_data = call_data;
    caller.on_closed = call_closed;
    caller.user = user;
    (void)snprintf(address, sizeof address, "localhost:%u", h.port);
    CHECK_EQ(fsv_tcp_connect(h.server, 0, address, &caller, &out), FSV_OK);
    CHECK_EQ(fsv_tcp_send(out, echo_out, 100000), FSV_OK); // its loop does not have it yet
}

// Goal: a connection can be used at once also on the thread of the loop that is to make it.
TEST(connect_on_the_loop)
{
    fsv_tcp_desc tcp = tcp_desc(on_echo);
    memset(&call, 0, sizeof call);
    echo_fill();
    REQUIRE(host_start(NULL, &tcp));
    CHECK_EQ(fsv_loop_post(h.server, 0, on_connect_now, &call.got[0]), FSV_OK);
    UNTIL(fsi_load32(&call.done) == 1);
    CHECK_EQ(call.failed, 0);
    UNTIL(fsi_load32(&h.closed) == 1);
    host_end();
}

// Goal: Unix-domain sockets, both ends; and HTTP beside it on the same server.
TEST(unix_domain_and_http_beside)
{
    fsv_tcp_desc tcp = tcp_desc(on_echo), caller;
    char path[256], address[300], got[512];
    fsv_tcp out;
    memset(&call, 0, sizeof call);
    memset(&caller, 0, sizeof caller);
    echo_fill();
    if (!sock_has_unix()) SKIP("no Unix-domain sockets here");
    (void)snprintf(address, sizeof address, "unix:%s", os_temp_path(path, sizeof path, "tcp"));
    REQUIRE(host_make(NULL, NULL));
    REQUIRE(fsv_server_listen(h.server, "127.0.0.1:0") == FSV_OK);
    REQUIRE(fsv_server_listen_tcp(h.server, address, &tcp) == FSV_OK);
    REQUIRE(fsv_server_start(h.server) == FSV_OK);
    caller.on_data = call_data;
    caller.on_closed = call_closed;
    caller.user = &call.got[0];
    CHECK_EQ(fsv_tcp_connect(h.server, 0, address, &caller, &out), FSV_OK);
    CHECK_EQ(fsv_tcp_send(out, echo_out, 100000), FSV_OK);
    UNTIL(fsi_load32(&call.done) == 1);
    CHECK_EQ(call.failed, 0);
    int fd = sock_dial(fsv_server_port(h.server, 0));
    CHECK(sock_say(fd, "GET / HTTP/1.0\r\n\r\n", 18) && sock_hear(fd, got, 12) && memcmp(got, "HTTP/1.1 404", 12) == 0);
    os_close(fd);
    UNTIL(fsi_load32(&h.closed) == 1);
    host_end();
    CHECK(!os_exists(path));
}

// ---- posts

#define POSTS 5000
static struct {
    uint32_t next[SENDERS], wrong, ran;
} post;

static void on_post(void *user)
{
    uint32_t who = (uint32_t)((uintptr_t)user >> 24), i = (uint32_t)((uintptr_t)user & 0xffffff);
    if (fsv_loop_current(h.server) != who % 2 || post.next[who] != i) fsi_add32(&post.wrong, 1);
    post.next[who] = i + 1;
    fsi_add32(&post.ran, 1);
}

static void post_body(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    for (uintptr_t i = 0; i < POSTS; i++)
        while (fsv_loop_post(h.server, (uint32_t)me % 2, on_post, (void *)(me << 24 | i)) == FSV_ERR_FULL) os_yield();
}

// Goal: what four threads post to two loops runs exactly once each, on its loop, in the order of each thread.
TEST(posts_once_and_in_order)
{
    fsi_thread threads[SENDERS];
    fsv_server_desc desc = loops(2);
    memset(&post, 0, sizeof post);
    desc.inbox_max = 128;
    REQUIRE(host_start(&desc, NULL));
    for (uintptr_t t = 0; t < SENDERS; t++) REQUIRE(fsi_thread_start(&threads[t], post_body, (void *)t, "post"));
    for (uint32_t t = 0; t < SENDERS; t++) fsi_thread_join(&threads[t]);
    UNTIL(fsi_load32(&post.ran) == SENDERS * POSTS);
    CHECK_EQ(post.wrong, 0);
    host_end();
    CHECK_EQ(post.ran, SENDERS * POSTS);
}

static struct {
    uint32_t taken, ran, again;
} last;

static void on_last(void *user)
{
    (void)user;
    fsi_add32(&last.ran, 1);
}

static void last_body(void *arg)
{
    fsv_result result;
    (void)arg;
    while ((result = fsv_loop_post(h.server, 0, on_last, NULL)) != FSV_ERR_CLOSED)
        if (result == FSV_OK) fsi_add32(&last.taken, 1);
}

static void on_again(void *user)
{
    (void)user;
    fsi_add32(&last.again, 1);
    (void)fsv_loop_post(h.server, 0, on_again, NULL);
}

// Goal: while threads go on posting, the server stops: each post that was taken has run when the loop has ended, and
// all others say that it has. A post that posts itself keeps neither others from running nor the server from stopping.
TEST(posts_until_the_end)
{
    for (int round = 0; round < 20; round++) {
        fsi_thread threads[2];
        fsv_server_desc desc = loops(2);
        desc.inbox_max = 16;
        memset(&last, 0, sizeof last);
        REQUIRE(host_start(&desc, NULL));
        CHECK_EQ(fsv_loop_post(h.server, 0, on_again, NULL), FSV_OK);
        for (int t = 0; t < 2; t++) REQUIRE(fsi_thread_start(&threads[t], last_body, NULL, "post"));
        UNTIL(fsi_load32(&last.taken) > 50 && fsi_load32(&last.again) > 0);
        fsv_server_stop(h.server, 0);
        CHECK_EQ(fsv_server_wait(h.server), FSV_OK);
        for (int t = 0; t < 2; t++) fsi_thread_join(&threads[t]);
        CHECK_EQ(last.ran, last.taken);
        host_end();
        CHECK_EQ(last.ran, last.taken);
    }
}

// Goal: posts and connects of a server that never ran, or was freed in mid-run, still come to their end.
TEST(freed_with_work_waiting)
{
    fsv_tcp_desc tcp = tcp_desc(on_echo);
    fsv_tcp out;
    char address[64];
    memset(&last, 0, sizeof last);
    REQUIRE(host_make(NULL, &tcp));
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", h.port);
    for (int i = 0; i < 5; i++) CHECK_EQ(fsv_loop_post(h.server, 0, on_last, NULL), FSV_OK);
    CHECK_EQ(fsv_tcp_connect(h.server, 0, address, &tcp, &out), FSV_OK);
    CHECK_EQ(fsv_tcp_send(out, "abc", 3), FSV_OK);
    host_end();
    CHECK_EQ(last.ran, 5);
    CHECK_EQ(h.closed, 1);
    CHECK_EQ(why_of(), FSV_ERR_STOPPED);
    for (int polled = 0; polled < 2; polled++) {
        ROW("polled=%d", polled);
        REQUIRE(host_make(NULL, &tcp));
        if (!polled) REQUIRE(fsv_server_start(h.server) == FSV_OK);
        int fds[5];
        for (int i = 0; i < 5; i++) {
            fds[i] = sock_dial(h.port);
            REQUIRE(sock_say(fds[i], "a", 1));
            while (polled && h.opened < (uint32_t)i + 1) CHECK_EQ(fsv_server_poll(h.server, 10), FSV_OK);
        }
        UNTIL(fsi_load32(&h.opened) == 5);
        host_end();
        CHECK_EQ(h.closed, 5);
        CHECK_EQ(why_of(), FSV_ERR_STOPPED);
        for (int i = 0; i < 5; i++) os_close(fds[i]);
    }
}

// ---- timers

static struct {
    fsv_timer periodic, other;
    uint32_t ticks, once, early, order, never;
    uint64_t began_ns, last_due;
    uint32_t fired[1000];
} tick;

static void on_once(fsv_timer timer, void *user)
{
    uint64_t ms = (uint64_t)(uintptr_t)user;
    if (fsi_clock_ns() - tick.began_ns < ms * 1000000) fsi_add32(&tick.early, 1);
    CHECK_EQ(fsv_timer_stop(timer), FSV_ERR_NOT_FOUND);
    fsi_add32(&tick.once, 1);
}

static void on_never(fsv_timer timer, void *user)
{
    (void)timer;
    (void)user;
    fsi_add32(&tick.never, 1);
}

static void on_tick(fsv_timer timer, void *user)
{
    (void)user;
    CHECK_EQ(timer.slot, tick.periodic.slot);
    CHECK_EQ(timer.generation, tick.periodic.generation);
    if (fsi_add32(&tick.ticks, 1) + 1 < 5) return;
    CHECK_EQ(fsv_timer_stop(timer), FSV_OK);
    CHECK_EQ(fsv_timer_stop(timer), FSV_ERR_NOT_FOUND);
    CHECK_EQ(fsv_timer_stop(tick.other), FSV_OK);
    CHECK_EQ(fsv_timer_start(h.server, 0, 1, 0, on_once, (void *)(uintptr_t)1, NULL), FSV_OK);
}

// Goal: one-shot and periodic timers fire, never early; one stops itself and another one from its callback, and starts
// a new one; other threads are turned away; none of them keeps the server from stopping.
TEST(timers_fire_and_stop)
{
    fsv_timer foreign;
    memset(&tick, 0, sizeof tick);
    tick.began_ns = fsi_clock_ns();
    REQUIRE(host_make(NULL, NULL));
    CHECK_EQ(fsv_timer_start(h.server, 0, 3, 0, on_once, (void *)(uintptr_t)3, NULL), FSV_OK);
    CHECK_EQ(fsv_timer_start(h.server, 0, 0, 0, on_once, (void *)(uintptr_t)0, NULL), FSV_OK);
    CHECK_EQ(fsv_timer_start(h.server, 0, 2, 2, on_tick, NULL, &tick.periodic), FSV_OK);
    CHECK_EQ(fsv_timer_start(h.server, 0, 3600000, 0, on_never, NULL, &tick.other), FSV_OK);
    CHECK_EQ(fsv_timer_start(h.server, 0, 3600000, 1, on_never, NULL, NULL), FSV_OK);
    REQUIRE(fsv_server_start(h.server) == FSV_OK);
    UNTIL(fsi_load32(&tick.once) == 3);
    CHECK_EQ(fsv_timer_start(h.server, 0, 1, 0, on_never, NULL, &foreign), FSV_ERR_STATE);
    CHECK_EQ(fsv_timer_stop(tick.other), FSV_ERR_STATE);
    fsv_server_stop(h.server, 0);
    CHECK_EQ(fsv_server_wait(h.server), FSV_OK);
    CHECK_EQ(fsv_timer_start(h.server, 0, 1, 0, on_never, NULL, &foreign), FSV_ERR_CLOSED);
    CHECK_EQ(tick.ticks, 5);
    CHECK_EQ(tick.once, 3);
    CHECK_EQ(tick.early, 0);
    CHECK_EQ(tick.never, 0);
    host_end();
}

static void on_many(fsv_timer timer, void *user)
{
    (void)timer;
    tick.fired[(uintptr_t)user]++;
    fsi_add32(&tick.once, 1);
}

static void start_many(void *user)
{
    (void)user;
    static fsv_timer timers[1000];
    for (uintptr_t i = 0; i < 1000; i++)
        CHECK_EQ(fsv_timer_start(h.server, 1, (uint32_t)(i * 7919 % 40), 0, on_many, (void *)i, &timers[i]), FSV_OK);
    for (uintptr_t i = 0; i < 1000; i += 3) CHECK_EQ(fsv_timer_stop(timers[i]), FSV_OK);
    for (uintptr_t i = 0; i < 1000; i += 3) CHECK_EQ(fsv_timer_stop(timers[i]), FSV_ERR_NOT_FOUND);
}

// Goal: of a thousand timers, started by a post on their loop, those fire once that were not stopped.
TEST(many_timers)
{
    fsv_server_desc desc = loops(2);
    memset(&tick, 0, sizeof tick);
    REQUIRE(host_start(&desc, NULL));
    CHECK_EQ(fsv_loop_post(h.server, 1, start_many, NULL), FSV_OK);
    UNTIL(fsi_load32(&tick.once) == 666);
    host_end();
    for (uint32_t i = 0; i < 1000; i++) CHECK_EQ(tick.fired[i], i % 3 != 0);
}

// ---- the end

// Goal: at a stop idle connections end at once, those with something to send when it has left, or at the end of the
// drain; each is told why.
TEST(stop_drains)
{
    for (int reads = 0; reads < 2; reads++) {
        ROW("reads=%d", reads);
        fsv_tcp_desc tcp = tcp_desc(on_flood);
        REQUIRE(host_start(NULL, &tcp));
        int idle = sock_dial(h.port), busy = sock_dial(h.port);
        CHECK(sock_say(busy, "go", 2));
        UNTIL(fsi_load32(&h.opened) == 2 && fsi_load32(&h.floods) == 1);
        fsv_server_stop(h.server, reads ? 60000 : 100);
        CHECK(sock_ended(idle));
        UNTIL(fsi_load32(&h.closed) >= 1);
        CHECK_EQ(fsi_load32(&h.closed), 1);
        if (reads) {
            uint64_t bytes = fsi_load64(&h.bytes);
            CHECK_EQ(drink(busy, bytes), bytes);
            CHECK(sock_ended(busy));
        }
        CHECK_EQ(fsv_server_wait(h.server), FSV_OK);
        CHECK_EQ(h.closed, 2);
        CHECK_EQ(why_of(), FSV_ERR_STOPPED);
        if (!reads) CHECK(sock_was_reset(busy));
        os_close(idle);
        os_close(busy);
        host_end();
    }
}

static void on_closed_again(fsv_tcp tcp, fsv_result why, void *user)
{
    fsv_tcp_desc desc = tcp_desc(on_echo);
    fsv_tcp out;
    char address[64];
    on_closed(tcp, why, user);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", h.port);
    (void)fsv_tcp_connect(h.server, 0, address, &desc, &out);
    (void)fsv_loop_post(h.server, 0, on_last, NULL);
    (void)fsv_timer_start(h.server, 0, 0, 1, on_never, NULL, NULL);
}

// Goal: callbacks that begin new work in on_closed cannot upset a stop or a free.
TEST(new_work_at_the_end)
{
    for (int stop = 0; stop < 2; stop++) {
        ROW("stop=%d", stop);
        fsv_tcp_desc tcp = tcp_desc(on_echo);
        tcp.on_closed = on_closed_again;
        REQUIRE(host_start(NULL, &tcp));
        int fds[4];
        for (int i = 0; i < 4; i++) fds[i] = sock_dial(h.port);
        UNTIL(fsi_load32(&h.opened) == 4);
        sock_reset(fds[0]);
        UNTIL(fsi_load32(&h.opened) >= 5); // it has come back, and goes on to
        if (stop) {
            fsv_server_stop(h.server, 0);
            CHECK_EQ(fsv_server_wait(h.server), FSV_OK);
        }
        for (int i = 1; i < 4; i++) os_close(fds[i]);
        host_end();
        CHECK(h.closed >= h.opened);
    }
}

TEST_MAIN(CASE(callbacks_in_order), CASE(arguments_are_checked), CASE(echo_of_all_sizes), CASE(half_close_by_us),
          CASE(three_ways_to_end), CASE(full_and_drained), CASE(pause_and_resume), CASE(rest_is_kept),
          CASE(owned_memory_returns), CASE(senders_on_other_threads), CASE(small_messages_take_little_memory),
          CASE(inbox_that_is_full), CASE(idle_timeout), CASE(connect_refused), CASE(connect_to_itself),
          CASE(connect_on_the_loop), CASE(unix_domain_and_http_beside), CASE(posts_once_and_in_order),
          CASE(posts_until_the_end), CASE(freed_with_work_waiting), CASE(timers_fire_and_stop), CASE(many_timers),
          CASE(stop_drains), CASE(new_work_at_the_end))
