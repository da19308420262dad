// test_conn.c: >>conn and >>loop over a scripted world (io_fake.h): no socket, no thread, no real time. The server is driven
// turn by turn, so every cut of the input, every blocked write and every failure can be put where it is wanted.
#define FASTSERVE_IMPLEMENTATION
#define FSV_IO_HEADER "tests/io_fake.h"
#include "test.h"
#include "../fastserve.h"

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"
#define BINARY "Content-Type: application/octet-stream\r\n"
#define HELLO_HEAD "HTTP/1.1 200 OK\r\n" DATE PLAIN "Content-Length: 13\r\n"
#define HELLO HELLO_HEAD "\r\nHello, World!"
#define HELLO_CLOSE HELLO_HEAD "Connection: close\r\n\r\nHello, World!"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// ---- the world: one server at a time, on an allocator that counts and fails when it is told to

static fsv_server *server;
static fsi_loop *loop;
static size_t live_bytes;
static long alloc_calls, alloc_fail_at;
static uint64_t last_log_level;

static void *world_alloc(size_t size, void *user)
{
    (void)user;
    if (++alloc_calls == alloc_fail_at) return NULL;
    uint64_t *block = (uint64_t *)malloc(size + 16);
    if (!block) return NULL;
    block[0] = size;
    memset(block + 2, 0xa5, size);
    live_bytes += size;
    return block + 2;
}

static void world_release(void *memory, size_t size, void *user)
{
    uint64_t *block = (uint64_t *)memory - 2;
    (void)user;
    CHECK_EQ(size, block[0]);
    live_bytes -= size;
    free(block);
}

static void world_log(const fsv_log_record *record, void *user)
{
    (void)user;
    last_log_level = record->level;
}

// What the handlers have seen. A request is known by a number that it keeps from its handler to on_close.
#define APP_OPEN 4096
static struct {
    uint32_t begun, ended;
    uint8_t open[APP_OPEN];
    uint32_t given, released; // owned bodies
    uint32_t answers;         // on_answer
    size_t bite;              // echo's on_body takes at most so many bytes a call; 0: all
    size_t stream_bytes;      // that /stream writes
    uint32_t full;            // times that fsv_stream_write said so
    size_t most_queued;
    fsv_result result[4];     // of calls that a handler makes to see what they say
    const char *error;
} app;

static void app_begin(fsv_request *request)
{
    if (fsv_request_user(request)) app.error = "a request's handler was called twice";
    app.open[++app.begun % APP_OPEN] = 1;
    fsv_request_set_user(request, (void *)(uintptr_t)app.begun);
}

static void app_close(fsv_request *request, void *user)
{
    uintptr_t id = (uintptr_t)fsv_request_user(request);
    (void)user;
    app.ended++;
    if (id == 0) app.error = "on_close for a request whose handler was not called";
    else if (!app.open[id % APP_OPEN]) app.error = "on_close was called twice";
    app.open[id % APP_OPEN] = 0;
}

static void app_answer(const fsv_answer *answer, void *user)
{
    (void)answer;
    (void)user;
    app.answers++;
}

static void app_hello(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_respond_text(request, 200, "Hello, World!");
}

static void app_whole(fsv_request *request, void *user)
{
    fsv_str body = fsv_request_body(request);
    (void)user;
    app_begin(request);
    fsv_respond(request, 200, "application/octet-stream", body.ptr, body.len);
}

static void app_echo(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_respond_stream(request, 200, "application/octet-stream", fsv_request_body_length(request));
}

static size_t app_echo_body(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)user;
    if (len == 0) {
        fsv_stream_end(request);
        return 0;
    }
    if (app.bite && len > app.bite) len = app.bite;
    fsv_result result = fsv_stream_write(request, data, len);
    if (request->conn->out_queued > app.most_queued) app.most_queued = request->conn->out_queued;
    if (result != FSV_ERR_FULL) return len;
    app.full++;
    return 0;
}

static void app_stream(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_respond_stream(request, 200, NULL, FSV_LENGTH_UNKNOWN);
}

static void app_stream_room(fsv_request *request, void *user)
{
    (void)user;
    for (;;) {
        fsv_result result = request->out_bytes < app.stream_bytes ? fsv_stream_write(request, "0123456789", 10) : fsv_stream_end(request);
        if (request->conn->out_queued > app.most_queued) app.most_queued = request->conn->out_queued;
        if (result == FSV_ERR_FULL) app.full++;
        if (result != FSV_OK || request->out_bytes >= app.stream_bytes) {
            if (result == FSV_OK) fsv_stream_end(request);
            return;
        }
    }
}

static void app_release(void *memory, void *user)
{
    CHECK(user == &app);
    CHECK_EQ(*(const char *)memory, 'o');
    app.released++;
}

static char app_owned_bytes[20000];

static void app_owned(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    memset(app_owned_bytes, 'o', sizeof app_owned_bytes);
    app.given++;
    fsv_respond_owned(request, 200, NULL, app_owned_bytes, sizeof app_owned_bytes, app_release, &app);
}

static void app_nothing(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
}

// The server with the routes that the cases share. In `limits` zero means default.
static fsv_result world_try(const fsv_server_desc *limits)
{
    static const struct {
        const char *method, *pattern;
        fsv_handler handler;
        fsv_body_handler on_body;
        fsv_handler on_room;
    } routes[] = {
        {"GET", "/", app_hello, NULL, NULL},
        {"POST", "/whole", app_whole, NULL, NULL},
        {"POST", "/echo", app_echo, app_echo_body, NULL},
        {"GET", "/stream", app_stream, NULL, app_stream_room},
        {"GET", "/owned", app_owned, NULL, NULL},
        {"GET", "/nothing", app_nothing, NULL, NULL},
    };
    fsv_server_desc desc;
    fsv_result result;
    memset(&desc, 0, sizeof desc);
    if (limits) desc = *limits;
    desc.alloc = world_alloc;
    desc.release = world_release;
    desc.log = world_log;
    desc.on_answer = app_answer;
    memset(&app, 0, sizeof app);
    app.stream_bytes = 100;
    alloc_calls = 0;
    live_bytes = 0;
    loop = NULL;
    result = fsv_server_create(&server, &desc);
    if (result != FSV_OK) return result;
    loop = &server->loops[0];
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && result == FSV_OK; i++) {
        fsv_route_desc route;
        memset(&route, 0, sizeof route);
        route.method = routes[i].method;
        route.pattern = routes[i].pattern;
        route.handler = routes[i].handler;
        route.on_body = routes[i].on_body;
        route.on_room = routes[i].on_room;
        route.on_close = app_close;
        result = fsv_server_route_add(server, &route);
    }
    return result;
}

static void world_with(const fsv_server_desc *limits)
{
    fake_begin();
    alloc_fail_at = 0;
    CHECK_EQ(world_try(limits), FSV_OK);
}

static void world(void)
{
    world_with(NULL);
}

// One more route, for a single case.
static void route(const char *method, const char *pattern, fsv_handler handler, fsv_body_handler on_body, fsv_handler on_room)
{
    fsv_route_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.method = method;
    desc.pattern = pattern;
    desc.handler = handler;
    desc.on_body = on_body;
    desc.on_room = on_room;
    desc.on_close = app_close;
    CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
}

// Nothing is left over of any request, and no rule was broken.
static void check_app(void)
{
    CHECK_STR(fake.error, "");
    CHECK_STR(app.error, NULL);
    CHECK_EQ(app.ended, app.begun);
    CHECK_EQ(app.released, app.given);
}

static void world_end(void)
{
    CHECK_EQ(fsv_server_free(server), FSV_OK);
    check_app();
    CHECK_EQ(live_bytes, 0);
    for (uint32_t i = 0; i < fake.count; i++) CHECK(fake.socks[i]->closed || !fake.socks[i]->chan);
    fake_end();
}

// ---- driving it

static bool quiet(void)
{
    for (uint32_t i = 0; i < server->loop_count; i++)
        if (fake_busy(&server->loops[i].io) || server->loops[i].run_list || fsi_load32(&server->loops[i].woken)) return false;
    return true;
}

static void turn(void)
{
    for (uint32_t i = 0; i < server->loop_count; i++) (void)fsi_loop_turn(&server->loops[i], 0);
}

// Turns until nothing moves, peers that drip included. No time passes.
static void settle(void)
{
    for (int n = 0; n < 100000; n++) {
        bool dripped = false;
        if (!quiet()) {
            turn();
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

// Lets time pass as a loop sees it: it sleeps until the next thing that it has to do.
static void pass_ms(uint64_t ms)
{
    uint64_t until = fake.now_ns + ms * 1000000;
    settle();
    for (int n = 0; fake.now_ns < until && n < 100000; n++) (void)fsi_loop_turn(loop, (until - fake.now_ns) / 1000);
    CHECK(fake.now_ns >= until);
    settle();
}

static fake_sock *join(void)
{
    fake_sock *sock = fake_socket();
    (void)fsi_add32(&server->conns_open, 1); // as accepting does
    if (!fsi_loop_adopt(loop, sock->fd)) {
        (void)fsi_add32(&server->conns_open, (uint32_t)-1);
        (void)fake_close_fd(sock->fd);
    }
    return sock;
}

static void say(fake_sock *sock, const char *text)
{
    fake_send(sock, text, strlen(text));
    settle();
}

static fsi_conn *conn_of(const fake_sock *sock)
{
    return (fsi_conn *)(void *)sock->chan;
}

static void check_out(const fake_sock *sock, const char *want)
{
    CHECK_BYTES(sock->out, sock->out_len, want, strlen(want));
}

static bool out_has(const fake_sock *sock, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= sock->out_len; i++)
        if (memcmp(sock->out + i, part, n) == 0) return true;
    return false;
}

static bool out_begins(const fake_sock *sock, const char *part)
{
    return sock->out_len >= strlen(part) && memcmp(sock->out, part, strlen(part)) == 0;
}

// How the network treats an exchange.
typedef struct net {
    size_t cut;       // the first piece, 0: none
    size_t step;      // further pieces, 0: all at once
    size_t read_max, write_max, room, drip; // 0: without a limit
    bool pend;
} net;

// Sends a text in pieces, then the end of the stream; each piece is served before the next comes. The socket, closed by the server.
static fake_sock *exchange(const char *text, size_t len, const net *how)
{
    fake_sock *sock = join();
    size_t at = 0;
    if (how->read_max) sock->read_max = how->read_max;
    if (how->write_max) sock->write_max = how->write_max;
    if (how->drip) sock->room = how->room, sock->drip = how->drip;
    sock->pend = how->pend;
    while (at < len && sock->chan) {
        size_t n = at == 0 && how->cut ? how->cut : how->step ? how->step : len - at;
        if (n > len - at) n = len - at;
        fake_send(sock, text + at, n);
        at += n;
        settle();
    }
    fake_eof(sock);
    settle();
    CHECK(sock->closed);
    CHECK_EQ(loop->conns, 0);
    return sock;
}

// Forgets the sockets of finished exchanges.
static void forget(void)
{
    CHECK(quiet());
    fake_end();
}

// Replies with 100 Continue taken out and chunked bodies put together: what depends on how the request came.
static size_t plain_reply(const fake_sock *sock, char *out, size_t size)
{
    size_t at = 0, n = 0;
    while (at < sock->out_len) {
        fsi_answer_head head;
        int64_t got = fsi_read_response(sock->out + at, sock->out_len - at, 65536, &head);
        if (got <= 0 || n + (size_t)got > size) return n;
        if (head.status != 100) memcpy(out + n, sock->out + at, (size_t)got);
        if (head.status != 100) n += (size_t)got;
        at += (size_t)got;
        if (head.status == 100) continue;
        size_t left = sock->out_len - at;
        if (!head.chunked) {
            size_t body = head.has_length && head.content_length < left ? (size_t)head.content_length : head.has_length ? left : 0;
            if (n + body > size) return n;
            memcpy(out + n, sock->out + at, body);
            at += body;
            n += body;
            continue;
        }
        fsi_chunked body;
        fsi_limits limits = {65536, 0, 10};
        memset(&body, 0, sizeof body);
        while (body.state != FSI_CHUNK_DONE && at < sock->out_len) {
            size_t run;
            got = fsi_read_chunked(&body, sock->out + at, sock->out_len - at, &limits, &run);
            if (got < 0 || n + run + 5 > size) return n;
            at += (size_t)got;
            memcpy(out + n, sock->out + at, run);
            if (run) fsi_chunk_take(&body, run);
            at += run;
            n += run;
        }
        if (body.state == FSI_CHUNK_DONE) memcpy(out + n, "<end>", 5), n += 5;
    }
    return n;
}

// ---- one reply, however it is cut

typedef struct row {
    const char *name, *text;
    const char *want;  // the reply, or with `begins` only how it begins
    bool begins;
    bool framed;       // pieces of the reply follow those of the request: compared without their framing
} row;

#define REFUSED(status) "HTTP/1.1 " status "\r\n" DATE PLAIN
#define POST_20 "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n12345678901234567890"
#define WHOLE_20 "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 20\r\n\r\n12345678901234567890"
#define CHUNKED "5\r\nabcde\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
#define LONG_40 "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
#define LONG_320 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40 LONG_40

// Served with target_bytes_max 200, head_bytes_max 400, body_bytes_max 100 and fields_max 6.
static const row rows[] = {
    {"get", GET, HELLO, false, false},
    {"get close", GET_CLOSE, HELLO_CLOSE, false, false},
    {"head", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET, HELLO_HEAD "\r\n" HELLO, false, false},
    {"http/1.0", "GET / HTTP/1.0\r\n\r\n" GET, HELLO_CLOSE, false, false},
    {"http/1.0 keep", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET,
     HELLO_HEAD "Connection: keep-alive\r\n\r\nHello, World!" HELLO, false, false},
    {"empty line", "\r\n" GET "\r\n" GET, HELLO HELLO, false, false},
    {"post", POST_20 GET, WHOLE_20 HELLO, false, false},
    {"post empty", "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 0\r\n\r\n" HELLO, false, false},
    {"chunked", "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 15\r\n\r\nabcde0123456789" HELLO, false, false},
    {"pipeline", GET POST_20 "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET GET_CLOSE GET,
     HELLO WHOLE_20 HELLO_HEAD "\r\n" HELLO HELLO_CLOSE, false, false},
    {"expect", "POST /whole HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 3\r\n\r\nabc" HELLO, false, true},
    {"expect echo", "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 3\r\n\r\nabc" HELLO, false, true},
    {"echo", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789" GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 10\r\n\r\n0123456789" HELLO, false, false},
    {"echo chunked", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Transfer-Encoding: chunked\r\n\r\nabcde0123456789<end>" HELLO, false, true},
    {"stream", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET, "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n", true, false},
    {"stream head", "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET, "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n" HELLO, false, false},
    {"stream 1.0", "GET /stream HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\n0123456789", true, false},
    {"owned", "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n" GET, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 20000\r\n\r\nooo", true, false},
    {"nothing", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" GET, REFUSED("500 Internal Server Error"), true, false},
    {"options", "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n" DATE "Allow: GET, HEAD, OPTIONS\r\n\r\n", false, false},
    {"404", "GET /none HTTP/1.1\r\nHost: a\r\n\r\n" GET, REFUSED("404 Not Found") "Content-Length: 14\r\n\r\n404 Not Found\n" HELLO, false, false},
    {"405", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n" GET,
     REFUSED("405 Method Not Allowed") "Content-Length: 23\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n405 Method Not Allowed\n" HELLO, false, false},
    {"501", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n" GET, REFUSED("501 Not Implemented"), true, false},
    {"413", "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n1234", REFUSED("413 Content Too Large"), true, false},
    {"413 chunked", "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" LONG_40 LONG_40 LONG_40 "12345678\r\n0\r\n\r\n",
     REFUSED("413 Content Too Large"), true, false},
    {"414", "GET /" LONG_320 " HTTP/1.1\r\nHost: a\r\n\r\n", REFUSED("414 URI Too Long"), true, false},
    {"431", "GET / HTTP/1.1\r\nHost: a\r\nX: " LONG_320 LONG_320 "\r\n\r\n", REFUSED("431 Request Header Fields Too Large"), true, false},
    {"431 count", "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\n\r\n", REFUSED("431 Request Header Fields Too Large"), true, false},
    {"400", "GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET, REFUSED("400 Bad Request"), true, false},
    {"400 chunk", "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n", REFUSED("400 Bad Request"), true, false},
    {"400 escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n" GET, REFUSED("400 Bad Request"), true, false},
    {"411", "POST /whole HTTP/1.0\r\n\r\n", REFUSED("411 Length Required"), true, false},
    {"505", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", REFUSED("505 HTTP Version Not Supported"), true, false},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void world_of_rows(bool completion)
{
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.target_bytes_max = 200;
    limits.head_bytes_max = 400;
    limits.body_bytes_max = 100;
    limits.fields_max = 6;
    world_with(&limits);
    fake.completion = fake.later = completion;
}

static char whole_reply[65536];
static size_t whole_len;

// The reply when all comes at once, compared with what the row says.
static void whole_row(const row *at)
{
    net how;
    memset(&how, 0, sizeof how);
    const fake_sock *sock = exchange(at->text, strlen(at->text), &how);
    whole_len = 0;
    if (at->framed) whole_len = plain_reply(sock, whole_reply, sizeof whole_reply);
    else if (sock->out_len <= sizeof whole_reply) memcpy(whole_reply, sock->out, whole_len = sock->out_len);
    size_t shown = at->begins && strlen(at->want) < whole_len ? strlen(at->want) : whole_len;
    CHECK_BYTES(whole_reply, shown, at->want, strlen(at->want));
    check_app();
    forget();
}

// The same row over a network of another temper.
static void again(const row *at, const net *how)
{
    const fake_sock *sock = exchange(at->text, strlen(at->text), how);
    if (at->framed) {
        char reply[4096];
        size_t len = plain_reply(sock, reply, sizeof reply);
        CHECK_BYTES(reply, len, whole_reply, whole_len);
    } else {
        CHECK_BYTES(sock->out, sock->out_len, whole_reply, whole_len);
    }
    check_app();
    forget();
}

static void try_cuts(bool completion)
{
    world_of_rows(completion);
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = strlen(rows[i].text);
        net how;
        ROW("%s, whole", rows[i].name);
        whole_row(&rows[i]);
        for (size_t cut = 1; cut < len; cut++) {
            ROW("%s, cut at %zu", rows[i].name, cut);
            memset(&how, 0, sizeof how);
            how.cut = cut;
            again(&rows[i], &how);
        }
        for (size_t step = 1; step < 4; step++) {
            ROW("%s, in steps of %zu", rows[i].name, step);
            memset(&how, 0, sizeof how);
            how.step = step;
            again(&rows[i], &how);
            memset(&how, 0, sizeof how);
            how.read_max = step; // all is there, but a read gets no more
            again(&rows[i], &how);
        }
    }
    world_end();
}

// Goal: a reply never depends on how the network cuts the request.
TEST(reply_ignores_cuts)
{
    try_cuts(false);
}

// Goal: the same where closing and blocked writes end later, as on IOCP.
TEST(reply_ignores_cuts_completion)
{
    try_cuts(true);
}

// Goal: a reply never depends on how much of it the peer takes at a time, nor on blocked writes in between; an io that tells of
// readiness that is not there changes nothing.
TEST(reply_ignores_slow_reader)
{
    for (int mode = 0; mode < 8; mode++) {
        world_of_rows((mode & 1) != 0);
        fake.later = (mode & 2) != 0;
        for (size_t i = 0; i < ROWS; i++) {
            bool spurious = (mode & 4) != 0;
            net how;
            whole_row(&rows[i]);
            for (int k = 0; k < 7; k++) {
                if (k % 2 == 0 && whole_len > 4000) continue; // byte by byte is for the others
                ROW("%s, mode %d, %d", rows[i].name, mode, k);
                memset(&how, 0, sizeof how);
                if (k == 0) how.write_max = 1;
                if (k == 1) how.write_max = 100, how.pend = true;
                if (k == 2) how.drip = 1;
                if (k == 3) how.drip = 700, how.room = 30;
                if (k == 4) how.drip = 1, how.step = 1;
                if (k == 5) how.pend = true, how.step = 7;
                if (k == 6) how.pend = true, how.write_max = 1, how.read_max = 1;
                (void)spurious;
                again(&rows[i], &how);
            }
        }
        world_end();
    }
}

// Goal: readiness that is not there changes nothing.
TEST(reply_ignores_spurious_readiness)
{
    for (int completion = 0; completion < 2; completion++) {
        world_of_rows(completion != 0);
        for (size_t i = 0; i < ROWS; i++) {
            net how;
            ROW("%s, completion %d", rows[i].name, completion);
            whole_row(&rows[i]);
            fake.spurious = true;
            memset(&how, 0, sizeof how);
            how.step = 3;
            how.drip = 500;
            again(&rows[i], &how);
            fake.spurious = false;
        }
        world_end();
    }
}

// Goal: wherever the peer ends or cuts the connection, all is given back, on_close comes once for each handler call, and what
// had been answered stands.
TEST(end_at_every_offset)
{
    for (int completion = 0; completion < 2; completion++) {
        world_of_rows(completion != 0);
        for (size_t i = 0; i < ROWS; i++) {
            size_t len = strlen(rows[i].text);
            whole_row(&rows[i]);
            for (size_t at = 0; at <= len; at++)
                for (int cut = 0; cut < 3; cut++) {
                    ROW("%s, completion %d, %s after %zu", rows[i].name, completion, cut ? "cut" : "end", at);
                    fake_sock *sock = join();
                    if (cut == 2) settle();
                    fake_send(sock, rows[i].text, at);
                    if (cut < 2) settle();
                    if (cut) fake_cut(sock);
                    else fake_eof(sock);
                    settle();
                    CHECK(sock->closed);
                    CHECK_EQ(loop->conns, 0);
                    if (!rows[i].framed) CHECK(sock->out_len <= whole_len && (!sock->out_len || !memcmp(sock->out, whole_reply, sock->out_len)));
                    check_app();
                    forget();
                }
        }
        world_end();
    }
}

// Goal: whichever call to the io fails, all is given back and on_close comes once for each handler call.
TEST(io_failing_at_every_call)
{
    static const net hows[] = {{0, 0, 0, 0, 0, 0, false}, {0, 20, 0, 0, 40, 60, false}, {30, 0, 0, 5000, 0, 0, true}};
    for (int mode = 0; mode < 6; mode++) {
        world_of_rows(mode % 2 != 0);
        for (size_t i = 0; i < ROWS; i++)
            for (uint64_t n = 1;; n++) {
                ROW("%s, mode %d, call %llu", rows[i].name, mode, (unsigned long long)n);
                fake.calls = 0;
                fake.fail_at = n;
                exchange(rows[i].text, strlen(rows[i].text), &hows[mode / 2]);
                check_app();
                forget();
                if (fake.calls < n) break;
            }
        fake.fail_at = 0;
        world_end();
    }
}

// ---- memory

// Every way of holding memory: a head in pieces, bodies collected and streamed, answers that queue, owned ones among them.
static void scenario(void)
{
    static const char *const texts[] = {
        GET, POST_20 GET, "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED GET,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED GET, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n" GET "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /%61/b HTTP/1.1\r\nHost: a\r\n\r\n" GET,
        "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", GET GET GET GET,
    };
    static const net hows[] = {{0, 0, 0, 0, 0, 0, false}, {0, 10, 0, 0, 0, 0, false}, {0, 0, 0, 0, 10, 100, false}, {5, 30, 0, 0, 0, 500, false}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t k = 0; k < sizeof hows / sizeof hows[0]; k++) {
            exchange(texts[i], strlen(texts[i]), &hows[k]);
            check_app();
            forget();
        }
}

// Goal: whichever allocation fails, from making the server on, the result is an error or one connection cut: no crash, no leak, no
// hang, and owned bodies are released once.
TEST(allocator_failing_at_every_call)
{
    for (int completion = 0; completion < 2; completion++)
        for (long n = 1;; n++) {
            ROW("completion %d, allocation %ld", completion, n);
            fake_begin();
            alloc_fail_at = n;
            fsv_result result = world_try(NULL);
            fake.completion = fake.later = completion != 0;
            if (!loop) {
                CHECK_EQ(result, FSV_ERR_MEMORY);
                CHECK(server == NULL);
                CHECK_EQ(live_bytes, 0);
                fake_end();
                continue;
            }
            CHECK(result == FSV_OK || result == FSV_ERR_MEMORY);
            scenario();
            bool failed = alloc_calls >= n;
            world_end();
            if (!failed) break;
        }
}

// Goal: blocks go back to the loop: the same work again asks the allocator for nothing.
TEST(second_round_allocates_nothing)
{
    world();
    scenario();
    long before = alloc_calls;
    scenario();
    CHECK_EQ(alloc_calls, before);
    world_end();
}

// Goal: a connection that idles holds no block; a struct that is used again has a new generation.
TEST(idle_connection_holds_no_buffer)
{
    world();
    fake_sock *sock = join();
    say(sock, GET);
    CHECK(conn_of(sock)->carry == NULL && conn_of(sock)->request == NULL && conn_of(sock)->out == NULL);
    uint32_t slot = conn_of(sock)->slot, generation = conn_of(sock)->generation;
    fake_eof(sock);
    settle();
    CHECK(sock->closed);
    sock = join();
    CHECK_EQ(conn_of(sock)->slot, slot);
    CHECK_EQ(conn_of(sock)->generation, generation + 1);
    world_end();
}

// Goal: slabs grow with the connections and every struct is used again; slots are distinct.
TEST(slabs_grow_and_are_used_again)
{
    static fake_sock *socks[300];
    static bool seen[512];
    memset(seen, 0, sizeof seen);
    world();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) {
            socks[i] = join();
            if (round) continue;
            uint32_t slot = conn_of(socks[i])->slot;
            REQUIRE(slot < 512 && !seen[slot]);
            seen[slot] = true;
        }
        CHECK_EQ(server->slab_count, (300 + FSI_SLAB_CONNS - 1) / FSI_SLAB_CONNS);
        for (int i = 0; i < 300; i++) fake_send(socks[i], GET, strlen(GET));
        settle();
        for (int i = 0; i < 300; i++) {
            check_out(socks[i], HELLO);
            fake_eof(socks[i]);
        }
        settle();
        CHECK_EQ(loop->conns, 0);
        forget();
    }
    world_end();
}

TEST_MAIN(CASE(reply_ignores_cuts), CASE(reply_ignores_cuts_completion), CASE(reply_ignores_slow_reader),
          CASE(reply_ignores_spurious_readiness), CASE(end_at_every_offset), CASE(io_failing_at_every_call),
          CASE(allocator_failing_at_every_call), CASE(second_round_allocates_nothing), CASE(idle_connection_holds_no_buffer),
          CASE(slabs_grow_and_are_used_again))
