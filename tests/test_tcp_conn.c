// test_tcp_conn.c: >>tcp and >>task over the scripted world (io_fake.h): every cut, blocked write, failure and
// millisecond can be put where it is wanted. What callbacks do is tried twice: as the loop's own thread, which acts at
// once, and as another one, whose calls all travel through the inbox.
#define FASTSERVE_IMPLEMENTATION
#define FSV_IO_HEADER "tests/io_fake.h"
#include "test.h"
#include "../fastserve.h"
#include "counted.h"

static fsv_server *server;
static fsi_loop *loop;
static bool at_home; // callbacks run as the loop's own thread

static struct {
    uint32_t opened, closed, drained, ended;
    fsv_result why;
    fsv_tcp tcp;
    bool lost; // a send failed for want of memory, or because the connection had broken
    uint32_t released, given;
} app;

static fsi_tcp raw; // what join() makes connections of

static void app_open(fsv_tcp tcp, void *user)
{
    (void)user;
    app.opened++;
    app.tcp = tcp;
}

static void app_release(void *memory, void *user)
{
    (void)user;
    free(memory);
    app.released++;
}

// The echo, half of it with memory of its own.
static size_t app_echo(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    fsv_result result;
    (void)user;
    if (len == 0) {
        app.ended++;
        if (fsv_tcp_shut(tcp) != FSV_OK) app.lost = true;
        return 0;
    }
    if (len % 2) {
        result = fsv_tcp_send(tcp, data, len);
    } else {
        char *copy = (char *)malloc(len);
        if (copy) memcpy(copy, data, len);
        app.given++;
        result = fsv_tcp_send_owned(tcp, copy, len, app_release, NULL);
    }
    if (result == FSV_OK) return len;
    if (result == FSV_ERR_FULL) return 0;
    if (result != FSV_ERR_LIMIT) {
        (void)fsv_tcp_abort(tcp);
        app.lost = true;
    }
    size_t taken = app_echo(tcp, data, len / 2, user); // more than would ever fit
    return taken;
}

static void app_drained(fsv_tcp tcp, void *user)
{
    (void)tcp;
    (void)user;
    app.drained++;
}

static void app_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    (void)tcp;
    (void)user;
    app.closed++;
    app.why = why;
}

static fsv_tcp_desc app_desc(void)
{
    fsv_tcp_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.on_open = app_open;
    desc.on_data = app_echo;
    desc.on_drained = app_drained;
    desc.on_closed = app_closed;
    return desc;
}

static bool world_try(uint32_t out_max)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    memset(&app, 0, sizeof app);
    memset(&raw, 0, sizeof raw);
    desc.alloc = world_alloc;
    desc.release = world_release;
    desc.inbox_max = 16;
    alloc_calls = 0;
    live_bytes = 0;
    if (fsv_server_create(&server, &desc) != FSV_OK) return false;
    loop = &server->loops[0];
    raw.desc = app_desc();
    raw.desc.out_bytes_max = out_max;
    fsi_tcp_desc_complete(&raw.desc, server);
    return true;
}

static void world(uint32_t out_max)
{
    fake_begin();
    alloc_fail_at = 0;
    CHECK(world_try(out_max));
}

static void world_end(void)
{
    CHECK_EQ(fsv_server_free(server), FSV_OK);
    CHECK_STR(fake.error, "");
    CHECK_EQ(live_bytes, 0);
    CHECK_EQ(app.closed, app.opened);
    CHECK_EQ(app.released, app.given);
    fake_end();
}

static void turn_for(uint64_t us)
{
    fsi_store64(&loop->thread, at_home ? fsi_thread_self() : 0);
    (void)fsi_loop_turn(loop, us);
    fsi_store64(&loop->thread, 0);
}

// Turns until nothing moves, peers that drip included. No time passes.
static void settle(void)
{
    for (int n = 0; n < 100000; n++) {
        bool dripped = false;
        if (fake_busy(&loop->io) || loop->run_list || fsi_load32(&loop->woken)) {
            turn_for(0);
            continue;
        }
        for (uint32_t i = 0; i < fake.count; i++) {
            fake_sock *sock = fake.socks[i];
            if (!sock->chan || !sock->drip || !(sock->blocked || sock->in_flight) || sock->room) continue;
            fake_room(sock, sock->drip);
            dripped = true;
        }
        if (!dripped) return;
    }
    fake_fault("it never comes to rest", NULL);
}

static void pass_ms(uint64_t ms)
{
    uint64_t until = fake.now_ns + ms * 1000000;
    settle();
    for (int n = 0; fake.now_ns < until && n < 100000; n++) turn_for((until - fake.now_ns) / 1000);
    CHECK(fake.now_ns >= until);
    settle();
}

static fake_sock *join(void)
{
    fake_sock *sock = fake_socket();
    (void)fsi_add32(&server->conns_open, 1); // as accepting does
    fsi_conn *conn = fsi_loop_adopt(loop, sock->fd);
    if (conn) {
        fsi_tcp_begin(conn, &raw, 0);
    } else {
        (void)fsi_add32(&server->conns_open, (uint32_t)-1);
        (void)fake_close_fd(sock->fd);
    }
    return sock;
}

typedef struct net {
    const char *name;
    size_t step, read_max, write_max, room, drip; // 0: without a limit
    bool pend, completion, later, spurious;
    uint32_t out_max;
} net;

static const net nets[] = {
    {"plain", 0, 0, 0, 0, 0, false, false, false, false, 0},
    {"bytes", 1, 0, 0, 0, 0, false, false, false, false, 0},
    {"short reads", 0, 3, 0, 0, 0, false, false, false, false, 0},
    {"short writes", 0, 0, 3, 0, 0, false, false, false, false, 0},
    {"drip", 0, 0, 0, 5, 1, false, false, false, false, 0},
    {"drip, small queue", 700, 0, 0, 5, 30, false, false, false, false, 256},
    {"short reads, small queue", 0, 100, 0, 5, 30, false, false, false, false, 300},
    {"every other write blocks", 7, 5, 100, 0, 0, true, false, false, false, 512},
    {"completion", 50, 0, 60, 0, 0, false, true, true, false, 0},
    {"completion, drip", 500, 0, 60, 10, 20, true, true, true, false, 600},
    {"spurious", 0, 60, 70, 10, 20, false, false, false, true, 500},
};

static char text[3000];

// One echo from beginning to end.
static fake_sock *exchange(const net *how)
{
    fake_sock *sock = join();
    if (how->read_max) sock->read_max = how->read_max;
    if (how->write_max) sock->write_max = how->write_max;
    if (how->drip) sock->room = how->room, sock->drip = how->drip;
    sock->pend = how->pend;
    fake.completion = how->completion;
    fake.later = how->later;
    for (size_t at = 0; at < sizeof text && sock->chan;) {
        size_t n = how->step && how->step < sizeof text - at ? how->step : sizeof text - at;
        fake_send(sock, text + at, n);
        at += n;
        if (at % 3) settle();
    }
    fake_eof(sock);
    fake.spurious = how->spurious;
    for (int i = 0; i < 20; i++) turn_for(0);
    fake.spurious = false;
    settle();
    return sock;
}

static void text_fill(void)
{
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('!' + i % 90);
}

// Goal: whatever the network does, the echo is the text, once, and the connection ends in order.
TEST(echo_whatever_the_network_does)
{
    text_fill();
    for (int home = 0; home < 2; home++)
        for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
            ROW("%s%s", nets[i].name, home ? "" : ", as another thread");
            at_home = home;
            world(nets[i].out_max);
            fake_sock *sock = exchange(&nets[i]);
            CHECK_BYTES(sock->out, sock->out_len, text, sizeof text);
            CHECK(sock->closed && !sock->was_reset);
            CHECK_EQ(app.opened, 1);
            CHECK_EQ(app.closed, 1);
            CHECK_EQ(app.ended, 1);
            CHECK_EQ(app.why, FSV_OK);
            if (home && nets[i].out_max && nets[i].drip) CHECK(app.drained > 0);
            world_end();
        }
}

// Goal: when any one allocation fails, or any one call of the system, nothing leaks, no rule is broken, and on_closed
// comes all the same; the echo is whole or its loss is known.
TEST(one_failure_anywhere)
{
    text_fill();
    for (int home = 0; home < 2; home++)
        for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
            if (nets[i].step == 1) continue;
            at_home = home;
            world(nets[i].out_max);
            (void)exchange(&nets[i]);
            long allocs = alloc_calls;
            uint64_t calls = fake.calls;
            world_end();
            for (long at = 1; at <= allocs + (long)calls; at += 1 + at / 40) {
                ROW("%s, home=%d, failure %ld of %ld + %ld", nets[i].name, home, at, allocs, (long)calls);
                fake_begin();
                alloc_fail_at = at <= allocs ? at : 0;
                fake.fail_at = at > allocs ? (uint64_t)(at - allocs) : 0;
                if (!world_try(nets[i].out_max)) {
                    fake_end();
                    continue;
                }
                fake_sock *sock = exchange(&nets[i]);
                bool whole = sock->out_len == sizeof text && memcmp(sock->out, text, sizeof text) == 0;
                if (app.opened && app.closed && app.why == FSV_OK && !app.lost) CHECK(whole);
                world_end();
                if (test_failures) return;
            }
        }
}

// Goal: the three timeouts come when they are due and not before, and say so.
TEST(timeouts_are_exact)
{
    at_home = true;
    world(0);
    raw.desc.idle_timeout_ms = 5000;
    fake_sock *sock = join();
    pass_ms(3000);
    fake_send(sock, "abc", 3);
    pass_ms(4990);
    CHECK(!sock->closed);
    pass_ms(20);
    CHECK(sock->closed && !sock->was_reset);
    CHECK_EQ(app.why, FSV_ERR_TIMEOUT);
    sock = join(); // a peer that takes nothing
    sock->room = 0;
    settle();
    fake_send(sock, "abc", 3);
    pass_ms(29990);
    CHECK(!sock->closed);
    pass_ms(20);
    CHECK(sock->closed && sock->was_reset);
    CHECK_EQ(app.why, FSV_ERR_TIMEOUT);
    fsv_tcp_desc desc = app_desc(); // a connect that gets no answer
    fsv_tcp tcp;
    desc.connect_timeout_ms = 700;
    CHECK_EQ(fsv_tcp_connect(server, 0, "1.2.3.4:5", &desc, &tcp), FSV_OK);
    turn_for(0);
    sock = fake.socks[fake.count - 1];
    REQUIRE(sock->chan != NULL);
    sock->edges = 0;
    sock->chan->can_write = false;
    pass_ms(690);
    CHECK(!sock->closed);
    pass_ms(20);
    CHECK(sock->closed);
    CHECK_EQ(app.why, FSV_ERR_TIMEOUT);
    CHECK_EQ(app.closed, 3);
    app.closed--; // it was never open
    world_end();
}

// Goal: a thread that sends, sends again and closes sees both arrive before the end, whatever stands between; what it
// sends to a connection that has ended meanwhile is dropped.
TEST(posted_in_order)
{
    at_home = true;
    world(0);
    fake_sock *sock = join();
    settle();
    CHECK_EQ(fsv_tcp_send(app.tcp, "one ", 4), FSV_OK);
    CHECK_EQ(fsv_tcp_send(app.tcp, "two ", 4), FSV_OK);
    fsi_store64(&loop->thread, fsi_thread_self()); // the same thread, now inside of a turn
    CHECK_EQ(fsv_tcp_send(app.tcp, "three", 5), FSV_OK);
    CHECK_EQ(fsv_tcp_close(app.tcp), FSV_OK);
    fsi_store64(&loop->thread, 0);
    settle();
    CHECK_BYTES(sock->out, sock->out_len, "one two three", 13);
    CHECK(sock->closed && !sock->was_reset);
    CHECK_EQ(app.why, FSV_OK);
    sock = join();
    settle();
    fsv_tcp old = app.tcp;
    CHECK_EQ(fsv_tcp_send(old, "lost", 4), FSV_OK); // does not arrive: the peer has gone before
    CHECK_EQ(fsv_tcp_close(old), FSV_OK);
    fake_cut(sock);
    turn_for(0);
    fake_sock *next = join(); // in the same slot
    settle();
    CHECK(app.tcp.slot == old.slot && app.tcp.generation != old.generation);
    CHECK_EQ(next->out_len, 0);
    CHECK(!next->closed);
    CHECK_EQ(fsv_tcp_send(old, "x", 1), FSV_ERR_CLOSED);
    // A thread that had looked at the handle just before it became stale.
    fsi_conn *conn = (fsi_conn *)(void *)next->chan;
    CHECK_EQ(fsi_tcp_post(loop, conn, old.generation, "late", 4, false, NULL, NULL), FSV_OK);
    fsi_msg msg;
    memset(&msg, 0, sizeof msg);
    msg.kind = FSI_MSG_TCP_DO;
    msg.number = old.generation;
    msg.ptr = conn;
    msg.op = FSI_TCP_ABORT;
    CHECK_EQ(fsi_loop_post(loop, msg), FSV_OK);
    settle();
    CHECK_EQ(next->out_len, 0);
    CHECK(!next->closed);
    CHECK_EQ(conn->posted, 0);
    CHECK_EQ(fsv_tcp_close(app.tcp), FSV_OK);
    settle();
    CHECK(next->closed);
    world_end();
}

static size_t app_sink(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)tcp;
    (void)data;
    (void)user;
    if (len == 0) app.ended++;
    return len;
}

// Goal: a peer that ends its direction, and cuts the connection later, is gone at once and not after the idle timeout.
TEST(cut_after_the_end)
{
    at_home = true;
    world(0);
    raw.desc.on_data = app_sink;
    fake_sock *sock = join();
    fake_send(sock, "abc", 3);
    fake_eof(sock);
    settle();
    CHECK_EQ(app.ended, 1);
    CHECK_EQ(app.closed, 0);
    fake_cut(sock);
    settle();
    CHECK_EQ(app.closed, 1);
    CHECK_EQ(app.ended, 1);
    CHECK_EQ(app.why, FSV_ERR_CLOSED);
    world_end();
}

// Goal: a close that meets bytes which nobody has read reads them off before it closes, so that no reset eats its own.
TEST(close_lingers_over_unread_bytes)
{
    at_home = true;
    world(0);
    fake_sock *sock = join();
    settle();
    CHECK_EQ(fsv_tcp_pause(app.tcp), FSV_OK);
    settle();
    fake_send(sock, text, 100);
    settle();
    CHECK_EQ(fsv_tcp_send(app.tcp, "bye", 3), FSV_OK);
    CHECK_EQ(fsv_tcp_close(app.tcp), FSV_OK);
    settle();
    CHECK_BYTES(sock->out, sock->out_len, "bye", 3);
    CHECK(sock->shut && !sock->closed && sock->in_at == 100);
    CHECK_EQ(app.closed, 1);
    fake_eof(sock);
    settle();
    CHECK(sock->closed && !sock->was_reset);
    world_end();
}

// ---- timers

static uint64_t ticks[64];
static uint32_t tick_count;
static uint64_t busy_ms; // that the next callback takes

static void on_tick(fsv_timer timer, void *user)
{
    (void)timer;
    (void)user;
    if (tick_count < 64) ticks[tick_count++] = (fake.now_ns - FAKE_START_NS) / 1000000;
    fake.now_ns += busy_ms * 1000000;
    busy_ms = 0;
}

// Goal: a periodic timer fires on the millisecond and does not drift; one that was kept from firing skips what it
// missed and stays in step.
TEST(periods_do_not_drift)
{
    static const uint64_t want[] = {5, 12, 19, 26, 66, 68, 75, 82};
    at_home = true;
    world(0);
    tick_count = 0;
    busy_ms = 0;
    fsv_timer timer;
    CHECK_EQ(fsv_timer_start(server, 0, 5, 7, on_tick, NULL, &timer), FSV_OK);
    pass_ms(20);
    CHECK_EQ(tick_count, 3);
    busy_ms = 40; // from 26 to 66: what was due at 33 comes then, 40 to 61 are skipped
    pass_ms(62);
    CHECK_EQ(tick_count, 8);
    for (uint32_t i = 0; i < 8; i++) CHECK_EQ(ticks[i], want[i]);
    CHECK_EQ(fsv_timer_stop(timer), FSV_OK);
    pass_ms(1000);
    CHECK_EQ(tick_count, 8);
    CHECK_EQ(fsi_loop_wait_us(loop), UINT64_MAX);
    world_end();
}

static uint64_t last_due;
static uint32_t sorted_count;

static void on_sorted(fsv_timer timer, void *user)
{
    uint64_t due = (uint64_t)(uintptr_t)user, now = (fake.now_ns - FAKE_START_NS) / 1000000;
    (void)timer;
    CHECK(due >= last_due);
    CHECK_EQ(now, due);
    last_due = due;
    sorted_count++;
}

// Goal: timers fire in the order in which they are due, each in its millisecond, however they were started and stopped.
TEST(timers_in_order)
{
    enum { COUNT = 500 };
    static fsv_timer timers[COUNT];
    uint32_t x = 3, stopped = 0;
    at_home = true;
    world(0);
    last_due = 0;
    sorted_count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        x = x * 1664525u + 1013904223u;
        uint32_t due = (x >> 16) % 1000;
        CHECK_EQ(fsv_timer_start(server, 0, due, 0, on_sorted, (void *)(uintptr_t)due, &timers[i]), FSV_OK);
        if (x >> 8 & 1 && fsv_timer_stop(timers[(x >> 9) % (i + 1)]) == FSV_OK) stopped++;
    }
    pass_ms(1001);
    CHECK_EQ(sorted_count + stopped, COUNT);
    CHECK(stopped > 100);
    alloc_fail_at = alloc_calls + 1; // the table is full enough to grow before long
    fsv_result result = FSV_OK;
    for (uint32_t i = 0; i < 600 && result == FSV_OK; i++)
        result = fsv_timer_start(server, 0, 1000000, 0, on_sorted, NULL, NULL);
    CHECK_EQ(result, FSV_ERR_MEMORY);
    CHECK_EQ(fsv_timer_start(server, 0, 1000000, 0, on_sorted, NULL, NULL), FSV_OK);
    world_end();
}

TEST_MAIN(CASE(echo_whatever_the_network_does), CASE(one_failure_anywhere), CASE(timeouts_are_exact),
          CASE(posted_in_order), CASE(cut_after_the_end), CASE(close_lingers_over_unread_bytes),
          CASE(periods_do_not_drift), CASE(timers_in_order))
