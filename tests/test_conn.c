// test_conn.c: >>conn and >>loop over a scripted world (io_fake.h): no socket, no thread, no real time. The server is
// driven turn by turn, so every cut of the input, every blocked write and every failure can be put where it is wanted.
#define FASTSERVE_IMPLEMENTATION
#define FSV_IO_HEADER "tests/io_fake.h"
#include "test.h"
#include "../fastserve.h"
#include "counted.h"
#include "os.h"

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
static uint64_t last_log_level;

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
    uint64_t spends_ms;       // of the loop's time on each hello
    size_t stream_bytes;      // that /stream writes
    uint32_t full;            // times that fsv_stream_write said so
    size_t most_queued;
    fsv_result result[4]; // of calls that a handler makes to see what they say
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
    if (id == 0)
        app.error = "on_close for a request whose handler was not called";
    else if (!app.open[id % APP_OPEN])
        app.error = "on_close was called twice";
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
    fake.now_ns += app.spends_ms * 1000000;
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

// The head must still be readable when its bytes have long been overwritten by the body.
static void app_look(const fsv_request *request, const char *path)
{
    fsv_str got = fsv_request_path(request), host;
    if (got.len != strlen(path) || memcmp(got.ptr, path, got.len) != 0) app.error = "the path has changed";
    if (fsv_request_version(request) == 11 &&
        (!fsv_request_field(request, "host", &host) || host.len != 1 || *host.ptr != 'a'))
        app.error = "a field has changed";
}

static size_t app_echo_body(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)user;
    if (request->route->on_body == app_echo_body && request->resp != FSI_RESP_NONE) app_look(request, "/echo");
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
    app_look(request, "/stream");
    for (;;) {
        fsv_result result = request->out_bytes < app.stream_bytes ? fsv_stream_write(request, "0123456789", 10)
                                                                  : fsv_stream_end(request);
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
static void route(const char *method, const char *pattern, fsv_handler handler, fsv_body_handler on_body,
                  fsv_handler on_room)
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
    CHECK_STR(app.error ? app.error : "", "");
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
        if (fake_busy(&server->loops[i].io) || server->loops[i].run_list || fsi_load32(&server->loops[i].woken))
            return false;
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
    for (int n = 0; fake.now_ns < until && n < 100000; n++)
        if (!fsi_loop_turn(loop, (until - fake.now_ns) / 1000)) fake.now_ns = until; // it has ended
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
    size_t cut;                             // the first piece, 0: none
    size_t step;                            // further pieces, 0: all at once
    size_t read_max, write_max, room, drip; // 0: without a limit
    bool pend;
} net;

// Sends a text in pieces, then the end of the stream; each piece is served before the next comes. The socket, closed by
// the server.
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
            size_t body = head.has_length && head.content_length < left ? (size_t)head.content_length
                          : head.has_length                             ? left
                                                                        : 0;
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
    const char *want; // the reply, or with `begins` only how it begins
    bool begins;
    bool framed; // pieces of the reply follow those of the request: compared without their framing
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
    {"stream", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET,
     "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n", true, false},
    {"stream head", "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET,
     "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n" HELLO, false, false},
    {"stream 1.0", "GET /stream HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\n0123456789",
     true, false},
    {"owned", "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n" GET,
     "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 20000\r\n\r\nooo", true, false},
    {"nothing", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" GET, REFUSED("500 Internal Server Error"), true, false},
    {"options", "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
     "HTTP/1.1 204 No Content\r\n" DATE "Allow: GET, HEAD, OPTIONS\r\n\r\n", false, false},
    {"404", "GET /none HTTP/1.1\r\nHost: a\r\n\r\n" GET,
     REFUSED("404 Not Found") "Content-Length: 14\r\n\r\n404 Not Found\n" HELLO, false, false},
    {"405", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n" GET,
     REFUSED("405 Method Not Allowed") "Content-Length: 23\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n405 Method Not "
                                       "Allowed\n" HELLO,
     false, false},
    {"501", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n" GET, REFUSED("501 Not Implemented"), true, false},
    {"413", "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n1234", REFUSED("413 Content Too Large"),
     true, false},
    {"chunked at its limit",
     "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" LONG_40 LONG_40
     "12345678901234567890\r\n0\r\n\r\n" GET,
     "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 100\r\n\r\n" LONG_40 LONG_40 "12345678901234567890" HELLO,
     false, false},
    {"413 by one",
     "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" LONG_40 LONG_40
     "123456789012345678901\r\n0\r\n\r\n",
     REFUSED("413 Content Too Large"), true, false},
    {"413 chunked",
     "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" LONG_40 LONG_40 LONG_40
     "12345678\r\n0\r\n\r\n",
     REFUSED("413 Content Too Large"), true, false},
    {"414", "GET /" LONG_320 " HTTP/1.1\r\nHost: a\r\n\r\n", REFUSED("414 URI Too Long"), true, false},
    {"431", "GET / HTTP/1.1\r\nHost: a\r\nX: " LONG_320 LONG_320 "\r\n\r\n",
     REFUSED("431 Request Header Fields Too Large"), true, false},
    {"431 count", "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\n\r\n",
     REFUSED("431 Request Header Fields Too Large"), true, false},
    {"400", "GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET, REFUSED("400 Bad Request"), true, false},
    {"400 chunk", "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n",
     REFUSED("400 Bad Request"), true, false},
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
    if (at->framed)
        whole_len = plain_reply(sock, whole_reply, sizeof whole_reply);
    else if (sock->out_len <= sizeof whole_reply)
        memcpy(whole_reply, sock->out, whole_len = sock->out_len);
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

// Goal: a reply never depends on how much of it the peer takes at a time, nor on blocked writes in between.
TEST(reply_ignores_slow_reader)
{
    for (int mode = 0; mode < 4; mode++) {
        world_of_rows((mode & 1) != 0);
        fake.later = (mode & 2) != 0;
        for (size_t i = 0; i < ROWS; i++) {
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

// Goal: wherever the peer ends or cuts the connection, all is given back, on_close comes once for each handler call,
// and what had been answered stands.
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
                    if (cut)
                        fake_cut(sock);
                    else
                        fake_eof(sock);
                    settle();
                    CHECK(sock->closed);
                    CHECK_EQ(loop->conns, 0);
                    if (!rows[i].framed)
                        CHECK(sock->out_len <= whole_len &&
                              (!sock->out_len || !memcmp(sock->out, whole_reply, sock->out_len)));
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
    static const net hows[] = {{0, 0, 0, 0, 0, 0, false}, {0, 20, 0, 0, 40, 700, false}, {30, 0, 0, 5000, 0, 0, true}};
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

// Every way of holding memory: a head in pieces, bodies collected and streamed, answers that queue, owned ones among
// them.
static void scenario(void)
{
    static const char *const texts[] = {
        GET,
        POST_20 GET,
        "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED GET,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED GET,
        "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n" GET "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n",
        "DELETE /%61/b HTTP/1.1\r\nHost: a\r\n\r\n" GET,
        "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
        GET GET GET GET,
    };
    static const net hows[] = {{0, 0, 0, 0, 0, 0, false},
                               {0, 10, 0, 0, 0, 0, false},
                               {0, 0, 0, 0, 10, 100, false},
                               {5, 30, 0, 0, 0, 500, false}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t k = 0; k < sizeof hows / sizeof hows[0]; k++) {
            exchange(texts[i], strlen(texts[i]), &hows[k]);
            check_app();
            forget();
        }
}

// Goal: whichever allocation fails, from making the server on, the result is an error or one connection cut: no crash,
// no leak, no hang, and owned bodies are released once.
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

// Goal: a connection that closes while it waits for its next turn is not used again before the io has let go of it.
TEST(late_close_while_listed)
{
    for (int later = 0; later < 2; later++) {
        ROW("later %d", later);
        world();
        fake.later = later != 0;
        fake_sock *sock = join();
        for (int i = 0; i < 300; i++) fake_send(sock, GET, strlen(GET));
        turn();
        CHECK(loop->run_list == conn_of(sock));
        fake_cut(sock);
        settle();
        CHECK(sock->closed);
        CHECK_EQ(loop->conns, 0);
        check_out(join(), "");
        world_end();
    }
}

// ---- time

static uint64_t stat_of(size_t at)
{
    fsv_stats stats;
    memset(&stats, 0, sizeof stats);
    CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
    uint64_t value;
    memcpy(&value, (const char *)&stats + at, sizeof value);
    return value;
}
#define STAT(field) stat_of(offsetof(fsv_stats, field))

// Goal: a head has its time from the first byte to the last, and dripping does not extend it; then 408. The time of the
// first head of a connection begins when it is accepted.
TEST(timeout_head)
{
    for (int kind = 0; kind < 4; kind++) {
        bool drip = kind & 1, fresh = kind & 2;
        ROW("drip %d, fresh %d", drip, fresh);
        world();
        fake_sock *sock = join();
        settle();
        if (!fresh) {
            say(sock, GET);
            sock->out_len = 0;
            pass_ms(3000);
        }
        say(sock, "GET / HTTP/1.1\r\nX: ");
        for (int i = 0; i < 9; i++) {
            pass_ms(1000);
            if (drip) say(sock, i == 5 ? "x\r\nY:" : "x");
        }
        pass_ms(900);
        check_out(sock, "");
        pass_ms(150);
        CHECK(out_begins(sock, "HTTP/1.1 408 Request Timeout\r\n") && out_has(sock, "Connection: close\r\n"));
        pass_ms(1100); // the peer does not close: the linger ends
        CHECK(sock->closed);
        CHECK_EQ(app.begun, !fresh);
        CHECK_EQ(STAT(timeouts_head), 1);
        CHECK_EQ(STAT(timeouts), 1);
        world_end();
    }
}

// Goal: what was said late of a first head does not extend its time.
TEST(timeout_head_begins_with_the_connection)
{
    for (int model = 0; model < 2; model++) {
        fsv_server_desc limits;
        memset(&limits, 0, sizeof limits);
        limits.model = model ? FSV_MODEL_SYNC : FSV_MODEL_EVENT;
        ROW("model %d", model);
        world_with(&limits);
        fake_sock *sock = join();
        pass_ms(9000);
        say(sock, "GET / HT");
        pass_ms(900);
        CHECK(sock->chan && sock->out_len == 0);
        pass_ms(200);
        CHECK(out_begins(sock, "HTTP/1.1 408 "));
        world_end();
    }
}

// Goal: with the defaults a client that says nothing, stops in a head, or drips a head or a body is gone after 15 s;
// whether its connection is new or was used before.
TEST(slow_clients_are_cut)
{
    static const struct {
        const char *name, *begins, *drips;
    } kinds[] = {
        {"nothing", "", ""},
        {"half a head", "GET / HTTP/1.1\r\nHost: ", ""},
        {"a head by bytes", "G", "ET / HTTP/1.1\r\nHost: a\r\nX: abcdefghijklmnopqrstuvwxyz"},
        {"a head by lines", "GET / HTTP/1.1\r\n", "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\n"},
        {"a body by bytes", "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
         "xxxxxxxxxxxxxxxxxxxxxxx"},
        {"a streamed one", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", "xxxxxxxxxxxxxxxxxxxxxxx"},
        {"a chunk size", "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "00000000000001"},
        {"a trailer", "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
         "A: bcdefghijklmnop"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int used = 0; used < 2; used++) {
            if (used && !*kinds[i].begins) continue; // an idle connection: idle_timeout_ms
            ROW("%s, used %d", kinds[i].name, used);
            world();
            fake_sock *sock = join();
            if (used) say(sock, GET);
            say(sock, kinds[i].begins);
            for (int s = 0; s < 15 && sock->chan; s++) {
                pass_ms(1000);
                if (sock->chan && (size_t)s < strlen(kinds[i].drips)) fake_send(sock, kinds[i].drips + s, 1);
            }
            settle();
            CHECK(sock->closed);
            CHECK_EQ(STAT(timeouts), 1);
            CHECK_EQ(STAT(timeouts_head) + STAT(timeouts_body) + STAT(timeouts_idle), 1);
            world_end();
        }
}

// Goal: with the defaults a client that is slow but honest is served to its end: 30 bytes of head and 600 of body a
// second, a reader of 600 a second, a request a minute.
TEST(slow_clients_live)
{
    static char body[30000], want[40000];
    char head[400];
    memset(body, 'b', sizeof body);
    int head_len = snprintf(head, sizeof head, "POST /whole HTTP/1.1\r\nHost: a\r\nX: %0230d\r\n%s", 0,
                            "Content-Length: 30000\r\n\r\n");
    CHECK(head_len == 291);
    world();
    fake_sock *sock = join();
    for (size_t i = 0; i < 291; i += 30) {
        fake_send(sock, head + i, 291 - i < 30 ? 291 - i : 30);
        pass_ms(1000);
    }
    CHECK_EQ(STAT(requests), 1);
    sock->room = 600;
    for (size_t i = 0; i < sizeof body; i += 600) {
        fake_send(sock, body + i, 600);
        pass_ms(1000);
    }
    settle();
    for (int s = 0; s < 60 && sock->chan && sock->out_len < sizeof body + 100; s++) {
        pass_ms(1000);
        fake_room(sock, 600);
    }
    int n = snprintf(want, sizeof want, "HTTP/1.1 200 OK\r\n" DATE BINARY "Content-Length: 30000\r\n\r\n");
    memcpy(want + n, body, sizeof body);
    settle();
    CHECK(sock->out_len == (size_t)n + sizeof body &&
          memcmp(sock->out + 60, want + 60, (size_t)n - 60 + sizeof body) == 0);
    for (int i = 0; i < 3; i++) {
        sock->out_len = 0;
        sock->room = SIZE_MAX;
        pass_ms(58000);
        say(sock, GET);
        CHECK(out_has(sock, "Hello, World!"));
    }
    CHECK_EQ(STAT(timeouts), 0);
    world_end();
}

// Goal: the next head of a connection has its own time, also if it began while the last answer was stuck.
TEST(timeout_head_after_slow_answer)
{
    world();
    fake_sock *sock = join();
    sock->room = 10;
    say(sock, GET "GET");
    pass_ms(9000);
    fake_room(sock, SIZE_MAX);
    settle();
    check_out(sock, HELLO);
    pass_ms(10100);
    CHECK(out_has(sock, "HTTP/1.1 408 Request Timeout\r\n"));
    world_end();
}

// Goal: a connection without a request is closed in silence, a fresh one after the time of a head; a request begins the
// time anew.
TEST(timeout_idle)
{
    world();
    fake_sock *fresh = join(), *used = join(), *busy = join();
    say(used, GET);
    say(busy, GET);
    pass_ms(9900);
    CHECK(!fresh->closed);
    pass_ms(200);
    CHECK(fresh->closed && !fresh->was_reset);
    check_out(fresh, "");
    for (int i = 0; i < 2; i++) {
        pass_ms(24900);
        say(busy, GET);
    }
    CHECK(!used->closed);
    pass_ms(300);
    CHECK(used->closed && !used->was_reset && !busy->closed);
    pass_ms(59600);
    CHECK(!busy->closed);
    pass_ms(500);
    CHECK(busy->closed);
    CHECK_EQ(STAT(timeouts_idle), 3);
    world_end();
}

// Goal: a fresh one has no more time than one between requests.
TEST(timeout_idle_of_fresh)
{
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.idle_timeout_ms = 3000;
    world_with(&limits);
    fake_sock *silent = join(), *begins = join();
    say(begins, "G");
    pass_ms(3100);
    CHECK(silent->closed && !begins->closed);
    pass_ms(7000);
    CHECK(out_begins(begins, "HTTP/1.1 408 "));
    world_end();
}

// Goal: a body must bring body_rate_min over body_timeout_ms, whether it is collected or streamed, stated or chunked.
TEST(timeout_body)
{
    static const char *const heads[] = {
        "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n",
        "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n",
        "POST /nothing2 HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"};
    static char piece[600];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 3; i++)
        for (int fast = 0; fast < 2; fast++) {
            ROW("head %d, fast %d", i, fast);
            world();
            route("POST", "/nothing2", app_nothing, app_echo_body, NULL);
            fake_sock *sock = join();
            say(sock, heads[i]);
            for (int s = 0; s < 35 && sock->chan; s++) {
                fake_send(sock, piece, fast ? 600 : 400);
                pass_ms(1000);
            }
            if (fast) {
                check_out(sock, "");
                CHECK(!sock->closed);
            } else {
                CHECK(out_begins(sock, "HTTP/1.1 408 Request Timeout\r\n"));
                CHECK(fake.now_ns - FAKE_START_NS < (uint64_t)36000 * 1000000);
            }
            world_end();
        }
}

// Goal: framing is no body: a chunk line that drips does not hold a connection.
TEST(timeout_body_of_framing)
{
    world();
    fake_sock *sock = join();
    say(sock, "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    for (int i = 0; i < 10 && sock->chan; i++) {
        pass_ms(5000);
        if (sock->chan) say(sock, "x");
    }
    CHECK(out_begins(sock, "HTTP/1.1 408 Request Timeout\r\n"));
    world_end();
}

// Goal: a body has its full time, however long its head took and whatever time an idle connection has.
TEST(timeout_body_begins_with_it)
{
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.idle_timeout_ms = 2000;
    for (int i = 0; i < 2; i++) {
        ROW("%s", i ? "short idle time" : "slow head");
        world_with(i ? &limits : NULL);
        fake_sock *sock = join();
        settle();
        if (i == 0) {
            say(sock, "POST /whole HTTP/1.1\r\nHost: a\r\n");
            pass_ms(9500);
            say(sock, "Content-Length: 20\r\n\r\n1");
        } else {
            say(sock, "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n1");
        }
        pass_ms(9000);
        check_out(sock, "");
        if (sock->chan) say(sock, "2345678901234567890");
        CHECK(out_has(sock, "\r\n\r\n12345678901234567890"));
        world_end();
    }
}

// Goal: a reader that takes less than send_rate_min over send_timeout_ms is reset and what waited is released; one that
// takes as much is not. What it took before does not count.
TEST(timeout_send)
{
    static const struct {
        const char *name;
        size_t first, each; // bytes that it takes at once, and then every 5 s
        uint64_t lives_ms;  // less than that much longer than so; 0: it gets everything
    } kinds[] = {
        {"nothing", 100, 0, 30000}, {"a byte now and then", 100, 1, 30000},  {"too little", 100, 490, 30000},
        {"enough", 100, 510, 0},    {"much, then nothing", 15000, 0, 30000}, {"all but a byte", 20000, 0, 30000}};
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.send_rate_min = 100;
    for (int completion = 0; completion < 2; completion++)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            ROW("%s, completion %d", kinds[i].name, completion);
            world_with(&limits);
            fake.completion = fake.later = completion != 0;
            fake_sock *sock = join();
            sock->room = kinds[i].first;
            say(sock, "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
            uint64_t passed = 0;
            while (!sock->closed && app.released == 0 && passed < 500000) {
                CHECK(!kinds[i].lives_ms || passed < kinds[i].lives_ms + 100);
                pass_ms(2500);
                if (sock->chan) fake_room(sock, kinds[i].each);
                pass_ms(2500);
                passed += 5000;
            }
            CHECK_EQ(app.released, 1);
            CHECK_EQ(sock->closed && sock->was_reset, kinds[i].lives_ms != 0);
            CHECK_EQ(STAT(timeouts_send), kinds[i].lives_ms != 0);
            CHECK(passed >= kinds[i].lives_ms);
            world_end();
        }
}

// Goal: a reader that stops after it has taken enough is reset at the end of the next window.
TEST(timeout_send_of_next_window)
{
    world();
    fake_sock *sock = join();
    sock->room = 100;
    say(sock, "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
    pass_ms(29000);
    fake_room(sock, 15400);
    pass_ms(30900);
    CHECK(sock->chan);
    pass_ms(200);
    CHECK(sock->closed && sock->was_reset);
    world_end();
}

// Goal: a connection has conn_requests_max requests, pipelined or not; the last answer says that it ends.
TEST(requests_max)
{
    for (int one = 0; one < 2; one++) {
        fsv_server_desc limits;
        memset(&limits, 0, sizeof limits);
        limits.conn_requests_max = 3;
        ROW("one by one %d", one);
        world_with(&limits);
        fake_sock *sock = join();
        for (int i = 0; i < 5 && sock->chan; i++) {
            fake_send(sock, GET, strlen(GET));
            if (one) settle();
        }
        settle();
        check_out(sock, HELLO HELLO HELLO_CLOSE);
        pass_ms(1100);
        CHECK(sock->closed);
        CHECK_EQ(STAT(conns_spent), 1);
        CHECK_EQ(STAT(requests), 3);
        world_end();
    }
}

// Goal: after a refusal the connection is half closed and what still comes is read off, so that no reset eats the
// answer; not for ever.
TEST(linger)
{
    for (int ends = 0; ends < 2; ends++) {
        ROW("peer ends %d", ends);
        world();
        fake_sock *sock = join();
        say(sock, "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nabc");
        CHECK(out_begins(sock, "HTTP/1.1 413 ") && sock->shut && !sock->closed);
        for (int i = 0; i < 9; i++) {
            pass_ms(100);
            say(sock, "more and more");
            CHECK_EQ(sock->in_at, sock->in_len);
            CHECK(!sock->closed);
        }
        if (ends) fake_eof(sock);
        if (ends)
            settle();
        else
            pass_ms(150);
        CHECK(sock->closed && !sock->was_reset);
        world_end();
    }
}

// ---- the end

static bool ended(void)
{
    return !fsi_loop_turn(loop, 0);
}

// Goal: a stop closes idle connections at once, gives fresh ones a moment, lets requests that have begun finish and
// says so in their answers; the loop ends when the last is gone.
TEST(drain)
{
    world();
    fake_sock *idle = join(), *fresh = join(), *late = join(), *head = join(), *body = join();
    say(idle, GET);
    say(head, "GET / HTTP/1.1\r\nHo");
    say(body, "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    fsv_server_stop(server, 5000);
    settle();
    CHECK(idle->closed && !idle->was_reset && !fresh->closed && !late->closed && !head->closed && !body->closed);
    check_out(idle, HELLO);
    pass_ms(400);
    say(fresh, GET);
    check_out(fresh, HELLO_CLOSE);
    CHECK(fresh->closed && !late->closed);
    pass_ms(200);
    CHECK(late->closed);
    say(head, "st: a\r\n\r\n");
    check_out(head, HELLO_CLOSE);
    CHECK(!ended());
    say(body, "cd");
    CHECK(out_has(body, "Connection: close\r\n\r\nabcd") && body->closed);
    CHECK(ended());
    world_end();
}

// Goal: what has not finished when the drain ends is cut; a second stop can only shorten it.
TEST(drain_ends)
{
    for (int second = 0; second < 3; second++) {
        uint64_t length = second == 1 ? 1500 : 5000;
        ROW("second %d", second);
        world();
        fake_sock *echo = join(), *owned = join();
        owned->room = 100;
        say(echo, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
        say(owned, "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
        fsv_server_stop(server, 5000);
        pass_ms(500);
        if (second == 1) fsv_server_stop(server, 1000);
        if (second == 2) fsv_server_stop(server, 9000);
        pass_ms(length - 600);
        CHECK(!echo->closed && !owned->closed && !ended());
        pass_ms(200);
        CHECK(echo->closed && owned->closed && ended());
        CHECK_EQ(app.released, 1);
        world_end();
    }
}

// Goal: an answer that had begun before the stop keeps its connection no longer than it takes to send.
TEST(drain_of_answers_under_way)
{
    world();
    fake_sock *stream = join(), *slow = join(), *echo = join();
    stream->room = slow->room = 50;
    app.stream_bytes = 1000000;
    say(stream, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    say(slow, GET);
    say(echo, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    fsv_server_stop(server, 20000);
    pass_ms(1000);
    CHECK(!stream->closed && !slow->closed && !echo->closed);
    fake_room(stream, SIZE_MAX);
    fake_room(slow, SIZE_MAX);
    say(echo, "cd");
    check_out(slow, HELLO);
    CHECK(out_has(stream, "0\r\n\r\n") && out_has(echo, "abcd"));
    CHECK(stream->closed);
    CHECK(slow->closed);
    CHECK(echo->closed);
    CHECK(ended());
    world_end();
}

// Goal: freeing a server with connections in every state gives all back.
TEST(free_with_work_under_way)
{
    for (int later = 0; later < 2; later++) {
        world();
        fake.later = fake.completion = later != 0;
        fake_sock *socks[6];
        for (int i = 0; i < 6; i++) socks[i] = join();
        socks[4]->room = socks[5]->room = 100;
        app.stream_bytes = 1000000;
        say(socks[0], GET);
        say(socks[1], "GET / HT");
        say(socks[2], "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
        say(socks[3], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
        say(socks[4], "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
        say(socks[5], "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK_EQ(app.begun - app.ended, 2); // echo and stream
        world_end();
    }
}

// ---- turns and room

// Goal: a connection that pipelines a thousand requests is answered in order, over several turns, and others get theirs
// in between.
TEST(turn_budget)
{
    world();
    fake_sock *many = join(), *other = join();
    settle();
    for (int i = 0; i < 1000; i++) fake_send(many, GET, strlen(GET));
    turn();
    CHECK(app.begun >= 1 && app.begun <= 64);
    fake_send(other, GET, strlen(GET));
    turn();
    check_out(other, HELLO);
    CHECK(app.begun <= 2 * 64 + 1);
    settle();
    CHECK_EQ(app.begun, 1001);
    REQUIRE(many->out_len == 1000 * strlen(HELLO));
    for (size_t i = 0; i < 1000; i++) REQUIRE(memcmp(many->out + i * strlen(HELLO), HELLO, strlen(HELLO)) == 0);
    CHECK_EQ(STAT(turns_cut), 15); // 1000 / 64
    world_end();
}

static void numbered(fsv_request *request, void *user)
{
    fsv_str id = fsv_request_param(request, "id");
    (void)user;
    app_begin(request);
    fsv_respond(request, 200, NULL, id.ptr, id.len);
}

// Goal: pipelined answers come in the order of their requests, also through a slow reader.
TEST(pipeline_order)
{
    for (int slow = 0; slow < 2; slow++) {
        char text[64];
        const char *at;
        world();
        route("GET", "/n/:id", numbered, NULL, NULL);
        fake_sock *sock = join();
        if (slow) sock->room = 0, sock->drip = 97;
        for (int i = 1000; i < 1300; i++) {
            (void)snprintf(text, sizeof text, "GET /n/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
            fake_send(sock, text, strlen(text));
        }
        settle();
        fake_append(&sock->out, &sock->out_len, &sock->out_cap, "", 1);
        at = sock->out;
        for (int i = 1000; i < 1300; i++) {
            (void)snprintf(text, sizeof text, "\r\n\r\n%d", i);
            ROW("slow %d, answer %d", slow, i);
            at = strstr(at, "\r\n\r\n");
            REQUIRE(at && memcmp(at, text, 8) == 0);
            at += 8;
        }
        world_end();
    }
}

// Goal: a stream that nobody reads stops at out_bytes_max, both with an echo and with an answer alone; memory stays
// bounded; when the reader comes back nothing is missing.
TEST(back_pressure)
{
    enum { BYTES = 1000000 };
    static char big[BYTES];
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.out_bytes_max = 4096;
    for (size_t i = 0; i < BYTES; i++) big[i] = (char)('a' + i % 23);
    for (int mode = 0; mode < 6; mode++) {
        bool echo = mode % 2 == 0;
        ROW("mode %d", mode);
        world_with(&limits);
        fake.completion = mode >= 4;
        app.bite = mode == 2 ? 1000 : 0;
        app.stream_bytes = BYTES;
        fake_sock *sock = join();
        sock->room = 300;
        settle();
        size_t before = live_bytes;
        if (echo) {
            say(sock, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
            fake_send(sock, big, BYTES);
        } else {
            say(sock, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        settle();
        CHECK(app.full > 0 || app.bite);
        CHECK(app.most_queued <= 4096 + FSI_IN_BYTES + FSI_OUT_BYTES);
        CHECK(live_bytes < before + 4 * (FSI_IN_BYTES + FSI_OUT_BYTES));
        if (echo) CHECK(sock->in_len - sock->in_at > BYTES / 2);
        sock->drip = 3000;
        fake_room(sock, 3000);
        settle();
        size_t n = sock->out_len;
        if (echo)
            REQUIRE(n > BYTES && memcmp(sock->out + n - BYTES, big, BYTES) == 0);
        else
            CHECK(n > BYTES && memcmp(sock->out + n - 5, "0\r\n\r\n", 5) == 0);
        CHECK(live_bytes < before + 4 * (FSI_IN_BYTES + FSI_OUT_BYTES));
        CHECK_EQ(app.ended, 1);
        world_end();
    }
}

// Goal: a body larger than the receive buffer is streamed in one turn, and the head can be read to its end.
TEST(body_larger_than_buffer)
{
    enum { BYTES = 200000 };
    static char big[BYTES];
    for (size_t i = 0; i < BYTES; i++) big[i] = (char)('a' + i % 23);
    world();
    fake_sock *sock = join();
    settle();
    fake_send(sock, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n", 56);
    fake_send(sock, big, BYTES);
    settle();
    REQUIRE(sock->out_len > BYTES);
    CHECK(memcmp(sock->out + sock->out_len - BYTES, big, BYTES) == 0);
    world_end();
}

static int refusals; // that refusing_body has left

static size_t refusing_body(fsv_request *request, const char *data, size_t len, void *user)
{
    if (len && refusals > 0) {
        refusals--;
        return 0;
    }
    return app_echo_body(request, data, len, user);
}

// Goal: on_body may take nothing while response bytes are queued, and is asked again when they have gone, at once or
// later.
TEST(body_refused_for_a_while)
{
    for (int blocked = 0; blocked < 2; blocked++) {
        ROW("blocked %d", blocked);
        world();
        route("POST", "/later", app_echo, refusing_body, NULL);
        fake_sock *sock = join();
        refusals = 1; // the head of the answer is queued when the first piece is offered
        if (blocked) sock->room = 20;
        say(sock, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
        if (blocked) {
            CHECK_EQ(app.ended, 0);
            fake_room(sock, SIZE_MAX);
            settle();
        }
        CHECK(out_has(sock, "\r\n\r\nabcd"));
        CHECK_EQ(app.ended, 1);
        world_end();
    }
}

static size_t answering_body(fsv_request *request, const char *data, size_t len, void *user)
{
    static char big[40000];
    (void)data;
    (void)len;
    memset(big, 'b', sizeof big);
    if (request->resp == FSI_RESP_NONE) fsv_respond(request, 403, NULL, big, *(const size_t *)user);
    return 0;
}

// Goal: on_body may answer before the body has ended and take no more of it: the answer arrives whole, then the
// connection ends without a reset.
TEST(body_answered_early)
{
    static size_t sizes[] = {10, 40000};
    for (int i = 0; i < 2; i++) {
        fsv_route_desc desc;
        ROW("%zu bytes", sizes[i]);
        world();
        memset(&desc, 0, sizeof desc);
        desc.method = "POST";
        desc.pattern = "/early";
        desc.handler = app_nothing;
        desc.on_body = answering_body;
        desc.on_close = app_close;
        desc.user = &sizes[i];
        CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
        fake_sock *sock = join();
        say(sock, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabcd");
        CHECK(out_begins(sock, "HTTP/1.1 403 Forbidden\r\n"));
        CHECK(sock->out_len > sizes[i]);
        CHECK(!sock->was_reset);
        fake_eof(sock);
        settle();
        CHECK(sock->closed && !sock->was_reset);
        world_end();
    }
}

// ---- what a handler may say

static void speaking(fsv_request *request, void *user)
{
    const char *how = (const char *)user;
    size_t released = app.released;
    app_begin(request);
    if (strcmp(how, "twice") == 0) {
        app.result[0] = fsv_respond_text(request, 200, "one");
        app.result[1] = fsv_respond_text(request, 200, "two");
        app.given++;
        app.result[2] = fsv_respond_owned(request, 200, NULL, "o", 1, app_release, &app);
        CHECK_EQ(app.released, released + 1);
        app.result[3] = fsv_response_field(request, "X", "y");
    } else if (strcmp(how, "inject") == 0) {
        app.result[0] = fsv_response_field(request, "X", "a\r\nSet-Cookie: b");
        app.result[1] = fsv_response_field(request, "X: y\r\nZ", "a");
        app.result[2] = fsv_response_field(request, "Content-Length", "5");
        app.result[3] = fsv_respond(request, 200, "text/plain\r\nX: y", "a", 1);
        fsv_response_field(request, "X-Ok", "fine");
        fsv_respond_text(request, 200, "one");
    } else if (strcmp(how, "empty") == 0) {
        app.given++;
        app.result[0] = fsv_respond_owned(request, 204, NULL, "o", 1, app_release, &app);
        app.result[1] = fsv_respond_text(request, 304, "x");
        app.result[2] = fsv_respond_text(request, 101, "");
        app.result[3] = fsv_respond(request, 204, NULL, NULL, 0);
    } else if (strcmp(how, "fields") == 0) {
        static char value[1001];
        memset(value, 'v', 1000);
        for (int i = 0; i < 20; i++) app.result[i < 16 ? 0 : 1] = fsv_response_field(request, "X", value);
        app.result[2] = fsv_response_field(request, "Y", "short");
        app.result[3] = fsv_respond_text(request, 200, "one");
    } else if (strcmp(how, "close") == 0) {
        app.result[0] = fsv_response_close(request);
        app.result[1] = fsv_respond_stream(request, 200, NULL, 5); // the route has neither on_body nor on_room
        app.result[2] = fsv_stream_write(request, "abc", 3);
        app.result[3] = fsv_respond_text(request, 200, "one");
    }
}

// Goal: misuse of the response functions is refused with the documented result and never reaches the wire.
TEST(handler_results)
{
    static const struct {
        const char *how;
        fsv_result result[4];
        const char *want;
    } calls[] = {
        {"twice",
         {FSV_OK, FSV_ERR_STATE, FSV_ERR_STATE, FSV_ERR_STATE},
         "HTTP/1.1 200 OK\r\n" DATE PLAIN "Content-Length: 3\r\n\r\none" HELLO},
        {"inject",
         {FSV_ERR_FIELD, FSV_ERR_FIELD, FSV_ERR_FIELD, FSV_ERR_FIELD},
         "HTTP/1.1 200 OK\r\n" DATE PLAIN "Content-Length: 3\r\nX-Ok: fine\r\n\r\none" HELLO},
        {"empty",
         {FSV_ERR_ARGUMENT, FSV_ERR_ARGUMENT, FSV_ERR_ARGUMENT, FSV_OK},
         "HTTP/1.1 204 No Content\r\n" DATE "\r\n" HELLO},
        {"fields", {FSV_OK, FSV_ERR_LIMIT, FSV_OK, FSV_OK}, NULL},
        {"close",
         {FSV_OK, FSV_ERR_STATE, FSV_ERR_STATE, FSV_OK},
         "HTTP/1.1 200 OK\r\n" DATE PLAIN "Content-Length: 3\r\nConnection: close\r\n\r\none"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fsv_route_desc desc;
        ROW("%s", calls[i].how);
        world();
        memset(&desc, 0, sizeof desc);
        desc.method = "GET";
        desc.pattern = "/say";
        desc.handler = speaking;
        desc.on_close = app_close;
        desc.user = (void *)(uintptr_t)calls[i].how;
        CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
        fake_sock *sock = join();
        say(sock, "GET /say HTTP/1.1\r\nHost: a\r\n\r\n" GET);
        for (int k = 0; k < 4; k++) CHECK_EQ(app.result[k], calls[i].result[k]);
        if (calls[i].want)
            check_out(sock, calls[i].want);
        else
            CHECK(sock->out_len > 16000 && sock->out_len < 17000);
        world_end();
    }
}

static void short_stream(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_respond_stream(request, 200, NULL, 10);
    app.result[0] = fsv_stream_write(request, "12345678901", 11);
    app.result[1] = fsv_stream_write(request, "12345", 5);
    app.result[2] = fsv_stream_end(request);
    app.result[3] = fsv_stream_write(request, "12345", 5);
}

static void never(fsv_request *request, void *user)
{
    (void)request;
    (void)user;
    app.error = "on_room after the end";
}

// Goal: a streamed answer that ends short of its stated length is cut, so that the client can tell.
TEST(stream_ends_short)
{
    world();
    route("GET", "/short", short_stream, NULL, never);
    fake_sock *sock = join();
    say(sock, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    CHECK_EQ(app.result[0], FSV_ERR_LIMIT);
    CHECK_EQ(app.result[1], FSV_OK);
    CHECK_EQ(app.result[2], FSV_ERR_STATE);
    CHECK_EQ(app.result[3], FSV_ERR_STATE);
    CHECK(sock->closed && sock->was_reset && !out_has(sock, "Hello"));
    world_end();
}

// Streams with the status that stands in the path.
static void bare_stream(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_str path = fsv_request_path(request);
    uint32_t status = (uint32_t)(path.ptr[1] - '0') * 100 + (uint32_t)(path.ptr[3] - '0');
    app.result[0] = fsv_respond_stream(request, status, NULL, FSV_LENGTH_UNKNOWN);
    app.result[1] = fsv_stream_write(request, "x", 1);
    app.result[2] = fsv_stream_end(request);
}

// Goal: statuses that have no content have none as a stream either (RFC 9110 15.3.5, 15.3.6, 15.4.5), and what follows on
// the connection is read as what it is.
TEST(stream_without_content)
{
    world();
    route("GET", "/204", bare_stream, NULL, never);
    route("GET", "/205", bare_stream, NULL, never);
    route("GET", "/304", bare_stream, NULL, never);
    fake_sock *sock = join();
    say(sock, "GET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n"
              "GET /205 HTTP/1.1\r\nHost: a\r\n\r\n");
    check_out(sock, "HTTP/1.1 204 No Content\r\n" DATE "\r\n"
                    "HTTP/1.1 304 Not Modified\r\n" DATE "\r\n"
                    "HTTP/1.1 205 Reset Content\r\n" DATE "Content-Length: 0\r\n\r\n");
    CHECK_EQ(app.result[0], FSV_OK);
    CHECK_EQ(app.result[1], FSV_ERR_CLOSED);
    CHECK_EQ(app.result[2], FSV_OK);
    world_end();
}

static void abort_stream(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_respond_stream(request, 200, NULL, FSV_LENGTH_UNKNOWN);
    fsv_stream_write(request, "12345", 5);
    fsv_stream_abort(request);
    app.result[0] = fsv_stream_write(request, "12345", 5);
}

// Goal: an aborted stream sends what was written, then cuts.
TEST(stream_abort)
{
    world();
    route("GET", "/abort", abort_stream, NULL, never);
    fake_sock *sock = join();
    say(sock, "GET /abort HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    check_out(sock, "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
    CHECK_EQ(app.result[0], FSV_ERR_CLOSED);
    CHECK(sock->closed && sock->was_reset);
    world_end();
}

// Goal: an owned body is released once, when it has been sent, when its connection is cut, and for HEAD at once.
TEST(owned_released_once)
{
    world();
    fake_sock *whole = join(), *slow = join(), *dead = join(), *head = join();
    slow->room = dead->room = 5000;
    say(whole, "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQ(app.released, 1);
    say(head, "HEAD /owned HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQ(app.released, 2);
    say(slow, "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
    say(dead, "GET /owned HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQ(app.released, 2);
    fake_cut(dead);
    settle();
    CHECK_EQ(app.released, 3);
    fake_room(slow, 10000);
    settle();
    CHECK_EQ(app.released, 3);
    fake_room(slow, 10000);
    settle();
    CHECK_EQ(app.released, 4);
    CHECK_EQ(app.given, 4);
    CHECK_BYTES(slow->out, slow->out_len, whole->out, whole->out_len);
    world_end();
}

// ---- what outlives a turn

#define KEPT "12345678901234567890"
static uint32_t kept_looks; // callbacks that found all of the request as it came

static void kept_look(const fsv_request *request)
{
    fsv_str body = fsv_request_body(request), path = fsv_request_path(request);
    if (body.len == strlen(KEPT) && memcmp(body.ptr, KEPT, body.len) == 0 && path.len == 5 &&
        memcmp(path.ptr, "/kept", 5) == 0)
        kept_looks++;
    else
        app.error = "the body or the path has changed";
}

static void kept(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    kept_look(request);
    fsv_respond_stream(request, 200, NULL, FSV_LENGTH_UNKNOWN);
}

static void kept_room(fsv_request *request, void *user)
{
    static const char piece[512] = "piece";
    (void)user;
    kept_look(request);
    while (request->out_bytes < 2000 * sizeof piece)
        if (fsv_stream_write(request, piece, sizeof piece) != FSV_OK) return;
    fsv_stream_end(request);
}

static void kept_close(fsv_request *request, void *user)
{
    kept_look(request);
    app_close(request, user);
}

// Goal: a body that came with its head, into the buffer that all connections share, is the same in every later
// callback, however the request ends.
TEST(body_outlives_its_turn)
{
    static const char *const kinds[] = {"/kept", "/%6bept"};
    static char other_bytes[16384];
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.out_bytes_max = 4096;
    memset(other_bytes, 'z', sizeof other_bytes);
    for (int mode = 0; mode < 6; mode++) {
        bool cut = mode % 2 != 0, in_pieces = mode >= 4;
        const char *path = kinds[mode / 2 % 2];
        char text[128];
        fsv_route_desc desc;
        ROW("%s, cut %d, in pieces %d", path, cut, in_pieces);
        world_with(&limits);
        memset(&desc, 0, sizeof desc);
        desc.method = "POST";
        desc.pattern = "/kept";
        desc.handler = kept;
        desc.on_room = kept_room;
        desc.on_close = kept_close;
        CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
        kept_looks = 0;
        fake_sock *sock = join(), *other = join();
        sock->room = 300;
        (void)snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n%s", path, KEPT);
        if (in_pieces) {
            fake_send(sock, text, strlen(text) - 7);
            settle();
            fake_send(sock, text + strlen(text) - 7, 7);
            settle();
        } else {
            say(sock, text);
        }
        for (int i = 0; i < 3; i++) {
            uint32_t before = kept_looks;
            say(other, "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 16384\r\n\r\n");
            fake_send(other, other_bytes, sizeof other_bytes);
            settle();
            fake_room(sock, FSI_OUT_BYTES + 8192); // all that is queued
            settle();
            CHECK(kept_looks > before);
        }
        CHECK_EQ(app.ended, 3); // the other's
        if (cut)
            fake_cut(sock);
        else
            fake_room(sock, SIZE_MAX);
        settle();
        CHECK_EQ(app.ended, 4);
        CHECK_EQ(sock->closed, cut);
        if (!cut) {
            size_t before = sock->out_len;
            CHECK(memcmp(sock->out + before - 5, "0\r\n\r\n", 5) == 0);
            say(sock, GET);
            CHECK_BYTES(sock->out + before, sock->out_len - before, HELLO, strlen(HELLO));
        }
        world_end();
    }
}

// Goal: a head that comes byte by byte is looked at once a line, not once a byte, when it is no small one; its answers and
// limits are the same. A small one that is none is refused at its first bad byte.
TEST(dripping_head)
{
    static char text[2 * FSI_HEAD_SMALL];
    fsi_head poison;
    fsv_server_desc limits;
    uint32_t looks = 0;
    size_t len = (size_t)snprintf(text, sizeof text,
                                  "GET / HTTP/1.1\r\nHost: a\r\nZ: %0*d\r\nX: 12345678901234567890\r\n"
                                  "Y: 12345678901234567890\r\n\r\n",
                                  FSI_HEAD_SMALL, 0);
    memset(&limits, 0, sizeof limits);
    limits.head_bytes_max = 2 * FSI_HEAD_SMALL;
    world_with(&limits);
    fake_sock *sock = join(), *endless = join(), *bad = join();
    settle();
    for (int i = 0; i < 2; i++) {
        ROW("request %d", i);
        looks = 0;
        for (size_t k = 0; k < len; k++) {
            memset(&loop->scratch.head, 0xee, sizeof poison); // parsing begins with clearing it
            memcpy(&poison, &loop->scratch.head, sizeof poison);
            fake_send(sock, text + k, 1);
            settle();
            looks += k > FSI_HEAD_SMALL && memcmp(&poison, &loop->scratch.head, sizeof poison) != 0;
        }
        CHECK(looks >= 1 && looks <= 4); // four lines end behind that
        CHECK_EQ(sock->out_len, (size_t)(i + 1) * strlen(HELLO));
    }
    CHECK(out_begins(sock, HELLO));
    for (uint32_t k = 0; k < limits.head_bytes_max; k++) {
        ROW("byte %u", k);
        check_out(endless, "");
        fake_send(endless, k < 50 ? text + k : "x", 1);
        settle();
    }
    CHECK(out_begins(endless, "HTTP/1.1 431 "));
    for (size_t k = 0; k < 5; k++) {
        ROW("bad, byte %zu", k);
        check_out(bad, "");
        say(bad, k == 4 ? "@" : "x");
    }
    CHECK(out_begins(bad, "HTTP/1.1 400 "));
    world_end();
}

// ---- HEAD

static fsv_result write_on(fsv_request *request)
{
    fsv_result result = FSV_OK;
    for (int i = 0; i < 100000 && result == FSV_OK; i++) result = fsv_stream_write(request, "0123456789", 10);
    return result; // of an endless loop, FSV_OK
}

static void endless(fsv_request *request, void *user)
{
    app_begin(request);
    app.result[0] = fsv_respond_stream(request, 200, NULL, FSV_LENGTH_UNKNOWN);
    if (user) return;
    app.result[1] = write_on(request);
    app.result[2] = fsv_stream_end(request);
}

static void endless_room(fsv_request *request, void *user)
{
    (void)user;
    if (write_on(request) == FSV_OK) app.error = "a write without an end";
}

// Goal: HEAD of a stream that would never end is answered with the head alone and ends at once; the connection goes on.
TEST(head_of_endless_stream)
{
    for (int in_room = 0; in_room < 2; in_room++) {
        fsv_route_desc desc;
        ROW("in_room %d", in_room);
        world();
        memset(&desc, 0, sizeof desc);
        desc.method = "GET";
        desc.pattern = "/endless";
        desc.handler = endless;
        desc.on_room = endless_room;
        desc.on_close = app_close;
        desc.user = in_room ? &app : NULL;
        CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
        fake_sock *sock = join();
        say(sock, "HEAD /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK_EQ(app.begun, 1);
        CHECK_EQ(app.ended, 1);
        CHECK_EQ(app.result[0], FSV_OK);
        CHECK_EQ(app.result[1], in_room ? FSV_OK : FSV_ERR_CLOSED);
        CHECK_EQ(app.result[2], FSV_OK);
        say(sock, GET);
        check_out(sock, "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n" HELLO);
        world_end();
    }
}

static size_t head_body(fsv_request *request, const char *data, size_t len, void *user)
{
    app.error = "on_body after the answer to HEAD";
    return app_echo_body(request, data, len, user);
}

// Goal: HEAD with a body, to a route that echoes, has no body in its answer and ends without a reset; what of the body
// is there already is passed over.
TEST(head_with_body)
{
    static const struct {
        const char *text;
        bool keeps;
    } kinds[] = {
        {"HEAD /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", true},
        {"HEAD /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", false},
        {"HEAD /mirror HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", false}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ROW("kind %zu", i);
        world();
        route("GET", "/mirror", app_echo, head_body, NULL);
        fake_sock *sock = join();
        say(sock, kinds[i].text);
        CHECK_EQ(app.ended, 1);
        CHECK(out_begins(sock, "HTTP/1.1 200 OK\r\n"));
        CHECK(sock->out_len > 4 && memcmp(sock->out + sock->out_len - 4, "\r\n\r\n", 4) == 0);
        CHECK(!out_has(sock, "abcd"));
        CHECK(!sock->was_reset);
        size_t before = sock->out_len;
        if (sock->chan) say(sock, GET);
        CHECK_BYTES(sock->out + before, sock->out_len - before, HELLO, kinds[i].keeps ? strlen(HELLO) : 0);
        fake_eof(sock);
        settle();
        CHECK(sock->closed && !sock->was_reset);
        world_end();
    }
}

// ---- bodies that break a rule

static size_t offered_most, offered_taken;

static size_t limited_body(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)data;
    (void)user;
    if (len == 0) {
        fsv_respond_text(request, 200, "taken");
        return 0;
    }
    if (offered_taken + len > offered_most) offered_most = offered_taken + len;
    if (app.bite && len > app.bite) len = app.bite;
    offered_taken += len;
    return len;
}

// Goal: a route's body_bytes_max stands before on_body, also where the length is not known: what is beyond it is never
// offered.
TEST(body_limit_before_on_body)
{
    static const struct {
        const char *chunks;
        bool fits;
    } kinds[] = {{"a\r\n1234567890\r\n0\r\n\r\n", true},
                 {"6\r\n123456\r\n4\r\n7890\r\n0\r\n\r\n", true},
                 {"b\r\n12345678901\r\n0\r\n\r\n", false},
                 {"6\r\n123456\r\n5\r\n78901\r\n0\r\n\r\n", false},
                 {"a\r\n1234567890\r\n1\r\n1\r\n0\r\n\r\n", false}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int mode = 0; mode < 4; mode++) {
            static const char head[] = "POST /limited HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            fsv_route_desc desc;
            ROW("kind %zu, mode %d", i, mode);
            world();
            memset(&desc, 0, sizeof desc);
            desc.method = "POST";
            desc.pattern = "/limited";
            desc.handler = app_nothing;
            desc.on_body = limited_body;
            desc.on_close = app_close;
            desc.body_bytes_max = 10;
            CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
            offered_most = offered_taken = 0;
            app.bite = mode % 2 ? 3 : 0;
            fake_sock *sock = join();
            if (mode >= 2) sock->read_max = 1;
            fake_send(sock, head, strlen(head));
            say(sock, kinds[i].chunks);
            CHECK(offered_most <= 10);
            CHECK(out_begins(sock, kinds[i].fits ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 413 "));
            CHECK_EQ(offered_taken == 10, kinds[i].fits || offered_most == 10);
            CHECK_EQ(app.ended, 1);
            world_end();
        }
}

static void late_close(fsv_request *request, void *user)
{
    app.result[0] = fsv_respond_text(request, 200, "too late");
    app.result[1] = fsv_respond_stream(request, 200, NULL, FSV_LENGTH_UNKNOWN);
    app_close(request, user);
}

// Goal: once the library has refused a body, on_close cannot answer any more: there is one answer, whatever it tries.
TEST(no_answer_in_on_close)
{
    static const struct {
        const char *text, *begins;
        uint32_t wait_ms;
    } kinds[] = {
        {"POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "HTTP/1.1 400 ", 0},
        {"POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "HTTP/1.1 400 ", 0},
        {"POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n", "HTTP/1.1 413 ", 0},
        {"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", "HTTP/1.1 408 ", 60000},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        fsv_route_desc desc;
        int answers = 0;
        ROW("kind %zu", i);
        world();
        memset(&desc, 0, sizeof desc);
        desc.method = "POST";
        desc.pattern = "/late";
        desc.handler = app_nothing;
        desc.on_body = limited_body;
        desc.on_close = late_close;
        desc.body_bytes_max = 6;
        CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
        app.bite = 0;
        offered_taken = 0;
        fake_sock *sock = join();
        say(sock, kinds[i].text);
        pass_ms(kinds[i].wait_ms);
        CHECK_EQ(app.ended, 1);
        CHECK(app.result[0] != FSV_OK && app.result[1] != FSV_OK);
        CHECK(out_begins(sock, kinds[i].begins));
        CHECK(!out_has(sock, "too late"));
        for (size_t k = 0; k + 7 <= sock->out_len; k++) answers += memcmp(sock->out + k, "HTTP/1.", 7) == 0;
        CHECK_EQ(answers, 1);
        CHECK_EQ(app.answers, 1);
        fake_eof(sock);
        settle();
        CHECK(sock->closed);
        world_end();
    }
}

static void stalling(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    fsv_respond_stream(request, 200, NULL, FSV_LENGTH_UNKNOWN);
    fsv_stream_write(request, "12345", 5);
}

static void idle_room(fsv_request *request, void *user)
{
    (void)request;
    (void)user;
}

// Goal: an answer that its handler does not go on with is cut by a reset: in HTTP/1.0 a clean end would say that it is
// whole.
TEST(stalled_answer_is_cut)
{
    static const char *const kinds[] = {"GET /stalling HTTP/1.0\r\n\r\n", "GET /stalling HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        ROW("HTTP/1.%d", i);
        world();
        route("GET", "/stalling", stalling, NULL, idle_room);
        fake_sock *sock = join();
        say(sock, kinds[i]);
        CHECK(out_has(sock, "12345"));
        pass_ms(29000);
        CHECK(!sock->closed);
        pass_ms(1500);
        CHECK(sock->closed && sock->was_reset && !sock->shut);
        CHECK(!out_has(sock, "0\r\n\r\n"));
        CHECK_EQ(app.ended, 1);
        world_end();
    }
}

// ---- accepting

static fake_sock *listener(void)
{
    fake_sock *sock = fake_socket();
    server->address_count = 1;
    loop->listeners[0].chan.fd = sock->fd;
    fsi_loop_listen(loop);
    return sock;
}

static fake_sock *knock(fake_sock *at)
{
    fake_sock *sock = fake_socket();
    at->backlog[at->backlog_len++] = sock->fd;
    return sock;
}

// Goal: a connection beyond conns_max gets a 503 that it can read, and its place is free again afterwards.
TEST(conns_max)
{
    fsv_server_desc limits;
    fsv_stats stats;
    memset(&limits, 0, sizeof limits);
    limits.conns_max = 2;
    world_with(&limits);
    fake_sock *at = listener(), *first = knock(at), *second = knock(at), *third = knock(at);
    settle();
    say(first, GET);
    say(second, GET);
    CHECK(out_begins(third, "HTTP/1.1 503 Service Unavailable\r\n") && out_has(third, "Retry-After: 1\r\n") &&
          third->shut);
    check_out(first, HELLO);
    check_out(second, HELLO);
    fake_eof(third);
    fake_eof(first);
    settle();
    CHECK(first->closed && third->closed);
    fake_sock *fourth = knock(at);
    settle();
    say(fourth, GET);
    check_out(fourth, HELLO);
    CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
    CHECK_EQ(stats.conns_refused, 1);
    CHECK_EQ(stats.answers_5xx, 1);
    world_end();
}

// Goal: far beyond conns_max peers are dropped, and memory does not grow with them.
TEST(conns_max_flood)
{
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.conns_max = 2;
    world_with(&limits);
    fake_sock *at = listener(), *socks[200];
    for (int i = 0; i < 200; i++) socks[i] = knock(at);
    settle();
    CHECK(loop->conns <= 2 + FSI_SPARE_CONNS);
    CHECK(socks[199]->closed && socks[199]->out_len == 0);
    pass_ms(2000); // the lingering ones go
    CHECK_EQ(loop->conns, 2);
    CHECK_EQ(fsi_load32(&server->conns_open), 2);
    world_end();
}

// ---- of one address

static void from(fake_sock *sock, const char *text)
{
    uint32_t port;
    CHECK(fsi_sockaddr_parse(text, &sock->peer, &port));
}

static fake_sock *knock_from(fake_sock *at, const char *text)
{
    fake_sock *sock = knock(at);
    from(sock, text);
    settle();
    return sock;
}

static void guest_world(uint32_t model)
{
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.conns_max = 100;
    limits.conns_per_address_max = 2;
    limits.model = model;
    world_with(&limits);
    server->is_public = true; // as listening there makes it
}

// Goal: an address has conns_per_address_max connections, one more gets a 503; other addresses, loopback and unknown
// peers are served; a place is free again when its connection has gone.
TEST(conns_per_address)
{
    guest_world(FSV_MODEL_EVENT);
    fake_sock *at = listener();
    fake_sock *a = knock_from(at, "192.0.2.1:1"), *b = knock_from(at, "192.0.2.1:2"),
              *c = knock_from(at, "192.0.2.1:3");
    CHECK(out_begins(c, "HTTP/1.1 503 ") && out_has(c, "from this address") && c->shut);
    fake_sock *others[] = {a,
                           b,
                           knock_from(at, "192.0.2.2:1"),
                           knock_from(at, "[2001:db8::1]:1"),
                           knock_from(at, "127.0.0.1:1"),
                           knock_from(at, "127.0.0.1:2"),
                           knock_from(at, "127.0.0.1:3"),
                           knock_from(at, "[::1]:1"),
                           knock_from(at, "[::1]:2"),
                           knock_from(at, "[::1]:3"),
                           knock(at)};
    settle();
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ROW("%zu", i);
        say(others[i], GET);
        check_out(others[i], HELLO);
    }
    ROW("again");
    fake_eof(c);
    fake_eof(b);
    settle();
    CHECK(c->closed && b->closed);
    fake_sock *d = knock_from(at, "192.0.2.1:4");
    say(d, GET);
    check_out(d, HELLO);
    CHECK_EQ(STAT(conns_refused_address), 1);
    CHECK_EQ(STAT(conns_refused), 0);
    world_end();
}

// Goal: many from one address hold no more than its limit and a few that are told so; the rest of the server is free.
TEST(conns_per_address_flood)
{
    guest_world(FSV_MODEL_EVENT);
    fake_sock *at = listener(), *socks[90];
    for (int i = 0; i < 90; i++) socks[i] = knock_from(at, "192.0.2.1:1");
    CHECK_EQ(loop->conns, 2 + FSI_GUESTS_SPARE);
    CHECK(socks[89]->closed && socks[89]->out_len == 0);
    CHECK_EQ(STAT(conns_refused_address), 88);
    fake_sock *other = knock_from(at, "192.0.2.2:1");
    say(other, GET);
    check_out(other, HELLO);
    pass_ms(12000); // and those that said nothing
    CHECK_EQ(fsi_load32(&server->conns_open), 1);
    for (int i = 0; i < FSI_GUEST_SHARDS; i++) CHECK(server->guests[i].used <= 1);
    world_end();
}

// Goal: where a connection holds the thread, one too many is closed at once, and the next one is served.
TEST(conns_per_address_sync)
{
    guest_world(FSV_MODEL_SYNC);
    server->desc.conns_per_address_max = 0; // each is one too many
    fake_sock *at = listener();
    fake_sock *first = knock_from(at, "192.0.2.1:1"), *second = knock_from(at, "192.0.2.1:2");
    fake_sock *third = knock_from(at, "127.0.0.1:3");
    CHECK(first->closed && second->closed && third->chan);
    say(third, GET);
    check_out(third, HELLO);
    world_end();
}

// Goal: one that is closed as it takes the place of another does not keep those that wait behind it: the loop does not
// sleep before its memory has returned.
TEST(conns_per_address_sync_in_turn)
{
    guest_world(FSV_MODEL_SYNC);
    server->desc.conns_per_address_max = 0;
    fake_sock *at = listener();
    fake_sock *first = knock_from(at, "127.0.0.1:1");
    say(first, GET);
    fake_sock *second = knock_from(at, "192.0.2.1:1"), *third = knock_from(at, "127.0.0.1:3");
    fake_send(third, GET, strlen(GET));
    CHECK(first->chan && !second->closed && !third->chan);
    fake_eof(first);
    uint64_t before = fake.now_ns;
    for (int i = 0; i < 10 && third->out_len == 0; i++) (void)fsi_loop_turn(loop, 1000000);
    CHECK(second->closed && out_has(third, "Hello, World!"));
    CHECK_EQ(fake.now_ns, before);
    world_end();
}

// Goal: what counts as one address.
TEST(guest_keys)
{
    static const struct {
        const char *a, *b;
        bool same;
    } kinds[] = {{"192.0.2.1:1", "192.0.2.1:2", true},
                 {"192.0.2.1:1", "192.0.2.2:1", false},
                 {"[::ffff:192.0.2.1]:1", "192.0.2.1:2", true},
                 {"[2001:db8::1]:1", "[2001:db8::ffff:1:2:3]:1", true},
                 {"[2001:db8:0:1::1]:1", "[2001:db8::1]:1", false},
                 {"[fe80::1]:1", "[fe80::2]:1", false},
                 {"[fe80::1]:1", "[fe80::1]:2", true},
                 {"[::c000:201]:1", "192.0.2.1:1", false}};
    static const char *const free_ones[] = {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"};
    fsi_sockaddr a, b;
    uint32_t port;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ROW("%s %s", kinds[i].a, kinds[i].b);
        REQUIRE(fsi_sockaddr_parse(kinds[i].a, &a, &port) && fsi_sockaddr_parse(kinds[i].b, &b, &port));
        CHECK_EQ(fsi_guest_key(&a) == fsi_guest_key(&b), kinds[i].same);
        CHECK(fsi_guest_key(&b) != 0);
    }
    for (size_t i = 0; i < sizeof free_ones / sizeof free_ones[0]; i++) {
        ROW("%s", free_ones[i]);
        REQUIRE(fsi_sockaddr_parse(free_ones[i], &a, &port));
        CHECK_EQ(fsi_guest_key(&a), 0);
    }
    memset(&a, 0, sizeof a); // a Unix-domain peer
    CHECK_EQ(fsi_guest_key(&a), 0);
}

// Goal: the table counts as a plain array does, whatever comes and goes, also while there is no memory to grow.
TEST(guests_as_an_array)
{
    static uint32_t counts[3000];
    uint32_t random = 1, refused = 0;
    world();
    memset(counts, 0, sizeof counts);
    for (int step = 0; step < 200000; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t who = (random >> 8) % 3000, many = step / 40000 % 2 ? 3 : 5; // it fills up, it empties
        uint64_t key = (uint64_t)(who + 1) << 32;
        alloc_fail_at = step > 90000 && step < 120000 ? alloc_calls + 1 : 0;
        if ((random >> 4) % 8 < many) {
            uint32_t count = fsi_guest_enter(server, key);
            refused += count == 0;
            if (count) CHECK_EQ(count, ++counts[who]);
        } else if (counts[who]) {
            fsi_guest_leave(server, key);
            counts[who]--;
        }
    }
    alloc_fail_at = 0;
    uint32_t used = 0, want = 0;
    for (int i = 0; i < FSI_GUEST_SHARDS; i++) used += server->guests[i].used;
    for (uint32_t i = 0; i < 3000; i++) want += counts[i] != 0;
    CHECK_EQ(used, want);
    for (uint32_t i = 0; i < 3000; i++)
        for (; counts[i]; counts[i]--) fsi_guest_leave(server, (uint64_t)(i + 1) << 32);
    for (int i = 0; i < FSI_GUEST_SHARDS; i++) {
        CHECK_EQ(server->guests[i].used, 0);
        CHECK(server->guests[i].size <= 2048); // twice what there was in it
        for (uint32_t k = 0; k < server->guests[i].size; k++) REQUIRE(server->guests[i].places[k].count == 0);
    }
    (void)refused;
    world_end();
}

// ---- descriptors

static uint32_t log_lines;

static void count_log(const fsv_log_record *record, void *user)
{
    (void)user;
    log_lines += strcmp(record->item, "accept_paused") == 0;
}

// Goal: as long as there are no descriptors the loop looks again ten times a second, and else sleeps; it serves those
// that are open, and the log hears of it now and then.
TEST(no_descriptors_for_a_minute)
{
    world();
    server->desc.log = count_log;
    log_lines = 0;
    fake_sock *open = join(), *at = listener();
    settle();
    uint64_t before = STAT(turns);
    for (int s = 0; s < 60; s++) {
        while (at->backlog_len < 255 && at->backlog_len < at->backlog_at + 12)
            at->backlog[at->backlog_len++] = FSI_EMPTY;
        if (at->backlog_at > 200) {
            memmove(at->backlog, at->backlog + at->backlog_at, sizeof(int) * (at->backlog_len - at->backlog_at));
            at->backlog_len -= at->backlog_at;
            at->backlog_at = 0;
        }
        pass_ms(1000);
        open->out_len = 0;
        say(open, GET);
        CHECK(out_has(open, "Hello, World!"));
    }
    CHECK(STAT(turns) - before < 60 * 22);
    CHECK(log_lines >= 2 && log_lines <= 7);
    at->backlog_at = at->backlog_len = 0;
    fake_sock *next = knock(at);
    pass_ms(110);
    say(next, GET);
    CHECK(out_has(next, "Hello, World!"));
    world_end();
}

// Goal: out of descriptors, accepting pauses and comes back by itself; a connection that died in the queue is passed
// over.
TEST(accept_pauses_and_resumes)
{
    world();
    fake_sock *at = listener(), *first = knock(at);
    at->backlog[at->backlog_len++] = FSI_FAILED;
    fake_sock *second = knock(at);
    at->backlog[at->backlog_len++] = FSI_EMPTY;
    fake_sock *third = knock(at);
    settle();
    CHECK(first->chan && second->chan && !third->chan && !at->registered);
    say(second, GET);
    check_out(second, HELLO);
    pass_ms(90);
    CHECK(!third->chan);
    pass_ms(20);
    CHECK(third->chan && at->registered);
    say(third, GET);
    check_out(third, HELLO);
    world_end();
}

// Goal: no memory for a connection closes it and leaves nothing behind; the next one is served.
TEST(accept_without_memory)
{
    world();
    fake_sock *at = listener();
    alloc_fail_at = alloc_calls + 1;
    fake_sock *first = knock(at);
    settle();
    CHECK(first->closed);
    CHECK_EQ(fsi_load32(&server->conns_open), 0);
    fake_sock *second = knock(at);
    settle();
    say(second, GET);
    check_out(second, HELLO);
    world_end();
}

// Goal: a stop still serves what waits in the backlog, then the listeners close.
TEST(drain_of_backlog)
{
    world();
    fake_sock *at = listener(), *waits = knock(at);
    fake_send(waits, GET, strlen(GET));
    fsv_server_stop(server, 5000);
    settle();
    check_out(waits, HELLO_CLOSE);
    CHECK(at->closed && waits->closed && ended());
    world_end();
}

// ---- two loops

static void two_loops(uint32_t inbox_max)
{
    fsv_server_desc limits;
    memset(&limits, 0, sizeof limits);
    limits.loops = 2;
    limits.pin = 1;
    limits.inbox_max = inbox_max;
    world_with(&limits);
    server->cpu_count = 2; // by hand: no thread is pinned here
    server->cpus[0].number = 0;
    server->cpus[1].number = 1;
    server->cpus[0].load_permille = server->cpus[1].load_permille = FSI_CPU_UNKNOWN;
    fsi_poke64(&server->looked_us, UINT64_MAX / 2); // nobody looks at the real CPUs
}

// Goal: a connection follows its packets to the other loop, and what came on the way is answered there; it comes back,
// too.
TEST(move_keeps_bytes)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    fsv_stats stats;
    two_loops(0);
    fsi_loop *other = &server->loops[1];
    fake_sock *sock = join();
    sock->cpu = 1;
    for (int i = 0; i < 63; i++) say(sock, GET);
    CHECK(conn_of(sock)->loop == loop);
    fsi_conn *conn = conn_of(sock);
    uint32_t slot = conn->slot, generation = conn->generation;
    fake_send(sock, GET, strlen(GET));
    (void)fsi_loop_turn(loop, 0); // gives it away
    CHECK(sock->chan == NULL && conn->loop == NULL);
    CHECK_EQ(loop->conns, 0);
    fake_send(sock, GET "GET / HT", strlen(GET "GET / HT"));
    (void)fsi_loop_turn(other, 0);
    CHECK(conn->loop == other && conn->slot == slot && conn->generation == generation);
    CHECK_EQ(other->conns, 1);
    say(sock, "TP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQ(sock->out_len, 66 * strlen(HELLO));
    sock->cpu = 0;
    fake.now_ns += (uint64_t)2000 * 1000000;
    settle();
    turn();
    for (int i = 0; i < 64; i++) say(sock, GET);
    CHECK(conn->loop == loop);
    CHECK_EQ(app.begun, 130);
    CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
    CHECK_EQ(stats.conns_followed, 2);
    fake_eof(sock);
    settle();
    CHECK(sock->closed);
    CHECK_EQ(loop->conns + other->conns, 0);
    world_end();
}

// Goal: packets that come by another CPU each time do not toss a connection to and fro: it moves once in a second.
TEST(move_once_a_second)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    fsv_stats stats;
    two_loops(0);
    fake_sock *sock = join();
    CHECK_EQ(fake.now_ns % 1000000000, 0);
    for (uint32_t moves = 1; moves <= 5; moves++) {
        fsi_loop *there = &server->loops[moves % 2], *back = &server->loops[1 - moves % 2];
        ROW("%u moves", (unsigned)moves);
        sock->cpu = (int)there->index;
        for (int i = 0; i < 64; i++) say(sock, GET);
        CHECK(conn_of(sock)->loop == there);
        sock->cpu = (int)back->index;
        for (int i = 0; i < 64; i++) say(sock, GET);
        fake.now_ns += 999 * 1000000;
        for (int i = 0; i < 64; i++) say(sock, GET);
        CHECK(conn_of(sock)->loop == there);
        CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
        CHECK_EQ(stats.conns_followed, moves);
        fake.now_ns += 1000000; // the next second: it follows
    }
    fake_eof(sock);
    settle();
    CHECK(sock->closed);
    world_end();
}

// Goal: a turn of many requests, also one that turn_requests_max cuts, is counted: the connection follows its packets.
TEST(move_after_many_at_once)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    static const uint32_t turns[][2] = {{64, 64}, {64, 65}, {64, 128}, {256, 255}, {256, 256}, {1000, 512}};
    for (size_t r = 0; r < sizeof turns / sizeof turns[0]; r++) {
        fsv_stats stats;
        ROW("at most %u in a turn, %u at once", (unsigned)turns[r][0], (unsigned)turns[r][1]);
        two_loops(0);
        server->desc.turn_requests_max = turns[r][0];
        fake_sock *sock = join();
        sock->cpu = 1;
        for (uint32_t i = 0; i < turns[r][1]; i++) fake_send(sock, GET, strlen(GET));
        for (int i = 0; i < 10; i++) (void)fsi_loop_turn(loop, 0);
        (void)fsi_loop_turn(&server->loops[1], 0);
        CHECK_EQ(sock->out_len, turns[r][1] * strlen(HELLO));
        CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
        CHECK_EQ(stats.conns_followed, 1);
        CHECK(conn_of(sock)->loop == &server->loops[1]);
        world_end();
    }
}

// Goal: a full inbox keeps the connection where it is, and it goes on.
TEST(move_into_full_inbox)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    two_loops(2);
    fake_sock *sock = join();
    sock->cpu = 1;
    for (int i = 0; i < 63; i++) say(sock, GET);
    while (fsi_loop_reserve(&server->loops[1], false)) fsi_loop_send(&server->loops[1], FSI_MSG_NONE, NULL, 0);
    fake_send(sock, GET, strlen(GET));
    (void)fsi_loop_turn(loop, 0);
    CHECK(conn_of(sock) && conn_of(sock)->loop == loop);
    fsv_stats stats;
    CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
    CHECK_EQ(stats.conns_followed, 0); // it has not moved
    say(sock, GET);
    CHECK_EQ(sock->out_len, 65 * strlen(HELLO));
    fake_eof(sock);
    settle();
    CHECK(sock->closed);
    world_end();
}

#define MOVERS 8

// Eight connections on loop 0, which has `busy` permille of its CPU; says how many have gone to loop 1 after that window.
static uint32_t given_away(uint64_t busy, uint64_t load, uint64_t other_load, fake_sock **socks)
{
    two_loops(0);
    server->cpus[0].load_permille = load;
    server->cpus[1].load_permille = other_load;
    for (int i = 0; i < MOVERS; i++) {
        socks[i] = join();
        socks[i]->cpu = 0; // its packets would have it stay
    }
    say(socks[0], GET); // the first window was long
    app.spends_ms = busy / 10;
    fake.now_ns += (100 - app.spends_ms) * 1000000;
    say(socks[0], GET); // ends a window
    app.spends_ms = 0;
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < MOVERS; i++) say(socks[i], GET);
    return server->loops[1].conns;
}

// Goal: a loop whose CPU is full gives half of the surplus to one whose CPU rests, all that it has when most of the
// load is not its own, and nothing when there is no room elsewhere or no need.
TEST(full_cpu_gives_away)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    static const struct {
        uint64_t busy, load, other_load;
        uint32_t want;
    } cases[] = {
        {1000, 1000, 0, 4},                          // half
        {1000, 1000, 400, 2},                        // (1000 - 400) / 2 of 1000, of 8
        {400, 1000, 0, 8},                           // a client has the rest of that CPU: all go
        {800, 1000, 200, 4},                         // half of the loop's own share
        {1000, 890, 0, 0},                           // not full
        {1000, 1000, 500, 0},                        // nobody rests
        {1000, FSI_CPU_UNKNOWN, FSI_CPU_UNKNOWN, 4}, // by the loops' own figures
        {600, FSI_CPU_UNKNOWN, FSI_CPU_UNKNOWN, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_sock *socks[MOVERS];
        fsv_stats stats;
        ROW("busy %llu load %llu other %llu", (unsigned long long)cases[i].busy, (unsigned long long)cases[i].load,
            (unsigned long long)cases[i].other_load);
        CHECK_EQ(given_away(cases[i].busy, cases[i].load, cases[i].other_load, socks), cases[i].want);
        CHECK_EQ(fsv_server_stats(server, UINT32_MAX, &stats), FSV_OK);
        CHECK_EQ(stats.conns_balanced, cases[i].want);
        for (int k = 0; k < MOVERS; k++) {
            fake_eof(socks[k]);
            settle();
            CHECK(socks[k]->closed);
        }
        world_end();
    }
}

// Goal: a loop that has given connections away waits until that shows in the load of both CPUs, which is four windows,
// before it gives again: else it would give all of them, window by window.
TEST(gift_shows_before_the_next)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    static const uint32_t want[] = {4, 4, 4, 6, 6, 6, 6, 7}; // after each window; half of what is left at a time
    fake_sock *socks[MOVERS];
    CHECK_EQ(given_away(1000, 1000, 0, socks), 4);
    for (size_t window = 0; window < sizeof want / sizeof *want; window++) {
        ROW("window %d", (int)window + 1);
        app.spends_ms = 100;
        say(socks[MOVERS - 1], GET); // fills a window, and ends it
        app.spends_ms = 0;
        for (int i = 0; i < MOVERS; i++) say(socks[i], GET);
        CHECK_EQ(server->loops[1].conns, want[window]);
    }
    for (int i = 0; i < MOVERS; i++) fake_eof(socks[i]);
    settle();
    world_end();
}

// Goal: a connection that was given away does not follow its packets back while that CPU is busy, and does when it
// rests.
TEST(load_overrides_locality)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    fake_sock *socks[MOVERS];
    CHECK_EQ(given_away(400, 1000, 0, socks), MOVERS);
    fsi_loop *other = &server->loops[1];
    fake.now_ns += (uint64_t)2000 * 1000000;
    for (int i = 0; i < 130; i++) say(socks[0], GET);
    CHECK(conn_of(socks[0])->loop == other);
    server->cpus[0].load_permille = 300;
    for (int i = 0; i < 64; i++) say(socks[0], GET);
    CHECK(conn_of(socks[0])->loop == loop);
    for (int k = 0; k < MOVERS; k++) fake_eof(socks[k]);
    settle();
    world_end();
}

// Goal: what arrives on a full CPU goes elsewhere by and by, most of it, while another rests; comes back when its own rests
// or both are full; keeps to the one that was chosen; and of a load that nobody knows nothing follows.
TEST(new_connections_leave_a_full_cpu)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
#if FSI_LOCALITY && FSI_IO_CAN_MOVE
    static const struct {
        uint64_t load[3];
        uint32_t share, to; // of the first
        bool changed;
    } windows[] = {
        {{890, 0, 0}, 0, 0, false},                             // not full
        {{1000, 500, 500}, 0, 0, false},                        // nobody rests
        {{FSI_CPU_UNKNOWN, 0, 0}, 0, 0, false},                 // nobody knows
        {{900, 499, 100}, 64, 2, true},                         // to the one that rests most
        {{1000, 300, 400}, 64, 2, false},                       // another rests more now: no more for the first choice
        {{1000, 500, 499}, 128, 2, true},                       //
        {{1000, 500, 0}, 192, 2, true},                         //
        {{1000, 500, 0}, 224, 2, true},                         // not all
        {{1000, 500, 0}, 224, 2, false},                        //
        {{1000, 700, 700}, 224, 2, false},                      // it does its part
        {{950, 700, 900}, 160, 2, true},                        // both are full
        {{899, 700, 0}, 96, 2, true},                           // its own is not any more
        {{FSI_CPU_UNKNOWN, 700, FSI_CPU_UNKNOWN}, 32, 2, true}, //
        {{0, 0, 0}, 0, 2, true},                                //
        {{0, 0, 0}, 0, 2, false},                               //
        {{1000, 100, 600}, 64, 1, true},                        // a new choice
    };
    fsi_cpu cpus[3];
    memset(cpus, 0, sizeof cpus);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        for (int k = 0; k < 3; k++) cpus[k].load_permille = windows[i].load[k];
        ROW("window %d", (int)i);
        CHECK_EQ(fsi_balance_shares(cpus, 3), windows[i].changed);
        CHECK_EQ(cpus[0].give_share, windows[i].share);
        if (windows[i].share) CHECK_EQ(cpus[0].give_to, windows[i].to);
        CHECK_EQ(cpus[1].give_share, 0);
    }
#endif
}

// Goal: an io that cannot open the moved socket costs that connection only.
TEST(move_that_fails)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    two_loops(0);
    fake_sock *sock = join();
    sock->cpu = 1;
    for (int i = 0; i < 63; i++) say(sock, GET);
    fake_send(sock, GET, strlen(GET));
    (void)fsi_loop_turn(loop, 0);
    fake.calls = 0;
    fake.fail_at = 1;
    settle();
    CHECK(sock->closed);
    CHECK_EQ(loop->conns + server->loops[1].conns, 0);
    CHECK_EQ(fsi_load32(&server->conns_open), 0);
    world_end();
}

// Goal: connections with a request or bytes under way do not move.
TEST(move_only_between_requests)
{
    if (!FSI_LOCALITY) SKIP("connections do not move between loops here");
    two_loops(0);
    fake_sock *partial = join(), *stuck = join();
    partial->cpu = stuck->cpu = 1;
    for (int i = 0; i < 63; i++) say(partial, GET);
    for (int i = 0; i < 63; i++) say(stuck, GET);
    say(partial, GET "GET / HT");
    stuck->room = 10;
    say(stuck, GET);
    CHECK(conn_of(partial)->loop == loop && conn_of(stuck)->loop == loop);
    say(partial, "TP/1.1\r\nHost: a\r\n\r\n");
    fake_room(stuck, SIZE_MAX);
    settle();
    CHECK_EQ(partial->out_len, 65 * strlen(HELLO));
    CHECK_EQ(stuck->out_len, 64 * strlen(HELLO));
    world_end();
}

// ---- requests that are away

#define GET_DEFER "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n"

static fsv_token kept_token;

static void defer_at_once(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    CHECK_EQ(fsv_request_defer(request, &kept_token), FSV_OK);
    CHECK_EQ(fsv_token_respond(kept_token, 200, "text/plain; charset=utf-8", "Hello, World!", 13), FSV_OK);
}

static void defer_for_later(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    CHECK_EQ(fsv_request_defer(request, &kept_token), FSV_OK);
}

// Goal: a client whose pipelined requests are deferred and answered at once does not hold the loop: others come to
// their turn.
TEST(turn_budget_of_deferred)
{
    world();
    route("GET", "/defer", defer_at_once, NULL, NULL);
    fake_sock *many = join(), *other = join();
    settle();
    for (int i = 0; i < 1000; i++) fake_send(many, GET_DEFER, strlen(GET_DEFER));
    turn();
    CHECK(app.begun >= 1 && app.begun <= 64);
    fake_send(other, GET, strlen(GET));
    turn();
    check_out(other, HELLO);
    CHECK(app.begun <= 2 * 64 + 1);
    settle();
    CHECK_EQ(app.begun, 1001);
    CHECK_EQ(many->out_len, 1000 * strlen(HELLO));
    world_end();
}

// Goal: what waits for the peer leaves as it takes it, also while a whole body is awaited, which may not come before.
TEST(queue_leaves_while_body_is_awaited)
{
    for (int completion = 0; completion < 2; completion++) {
        ROW("completion %d", completion);
        world();
        fake.completion = fake.later = completion != 0;
        fake_sock *sock = join();
        sock->room = 20;
        say(sock, GET "POST /whole HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        CHECK_EQ(sock->out_len, 20);
        fake_room(sock, 1000);
        settle();
        check_out(sock, HELLO "HTTP/1.1 100 Continue\r\n\r\n");
        say(sock, "abc");
        CHECK(out_has(sock, "\r\n\r\nabc"));
        world_end();
    }
}

static void defer_if_there_is_room(fsv_request *request, void *user)
{
    fsv_token token;
    (void)user;
    app_begin(request);
    if (fsv_request_defer(request, &token) == FSV_OK)
        kept_token = token;
    else
        fsv_respond_text(request, 503, "full");
}

static void count_call(void *user)
{
    ++*(uint32_t *)user;
}

// Goal: requests that are away leave room for posts in the smallest inbox.
TEST(away_leaves_room_for_posts)
{
    fsv_server_desc limits;
    uint32_t calls = 0;
    memset(&limits, 0, sizeof limits);
    limits.inbox_max = 2;
    world_with(&limits);
    route("GET", "/defer", defer_if_there_is_room, NULL, NULL);
    fake_sock *first = join(), *second = join();
    say(first, GET_DEFER);
    say(second, GET_DEFER);
    CHECK_EQ(first->out_len, 0);
    CHECK(out_begins(second, "HTTP/1.1 503 "));
    CHECK_EQ(fsv_loop_post(server, 0, count_call, &calls), FSV_OK);
    settle();
    CHECK_EQ(calls, 1);
    CHECK_EQ(fsv_token_respond(kept_token, 200, NULL, "x", 1), FSV_OK);
    settle();
    world_end();
}

// Goal: an answer that comes home after its connection has closed, before or after the io has let that go, is put away
// quietly.
TEST(home_after_close)
{
    for (int i = 0; i < 8; i++) {
        ROW("%s %s %s", i & 1 ? "answered first" : "cut first", i & 2 ? "completion" : "readiness",
            i & 4 ? "later" : "");
        world();
        fake.completion = i & 2;
        fake.later = i & 4;
        route("GET", "/defer", defer_for_later, NULL, NULL);
        fake_sock *sock = join();
        say(sock, GET_DEFER GET);
        CHECK_EQ(loop->reserved, 1);
        if (i & 1) CHECK_EQ(fsv_token_respond(kept_token, 200, NULL, "x", 1), FSV_OK);
        fake_cut(sock);
        if (!(i & 1)) {
            settle();
            CHECK_EQ(loop->conns, 0); // at once: nobody else has to do with it
            CHECK_EQ(fsv_token_respond(kept_token, 200, NULL, "x", 1), FSV_ERR_CLOSED);
        }
        settle();
        CHECK_EQ(loop->conns, 0);
        CHECK_EQ(loop->reserved, 0);
        CHECK_EQ(app.begun, 1);
        CHECK_EQ(fsv_token_respond(kept_token, 200, NULL, "x", 1), FSV_ERR_CLOSED);
        world_end();
    }
}

// Goal: a token's time runs out while the message of its first piece is under way: a 504, or a cut if its head has
// left; never a connection that waits for ever.
TEST(token_timeout_meets_piece)
{
    for (int i = 0; i < 2; i++) {
        ROW("%s", i ? "head has left" : "begun");
        world();
        route("GET", "/defer", defer_for_later, NULL, NULL);
        fake_sock *sock = join();
        say(sock, GET_DEFER);
        CHECK_EQ(fsv_token_stream(kept_token, 200, NULL, FSV_LENGTH_UNKNOWN), FSV_OK);
        if (i) {
            CHECK_EQ(fsv_token_write(kept_token, "abc", 3), FSV_OK);
            settle();
        }
        CHECK_EQ(fsv_token_write(kept_token, "def", 3), FSV_OK);
        fake.now_ns += (uint64_t)31 * 1000000000;
        fsi_loop_clock(loop);
        fsi_loop_timers(loop); // before the inbox, as when the piece is told of between the two
        CHECK_EQ(fsv_token_write(kept_token, "ghi", 3), FSV_ERR_CLOSED);
        settle();
        if (i)
            CHECK(sock->closed && sock->was_reset);
        else
            CHECK(out_begins(sock, "HTTP/1.1 504 "));
        CHECK_EQ(loop->reserved, 0);
        fsv_token_drop(kept_token);
        world_end();
    }
}

static uint32_t jobs_run;

// A worker takes the next job.
static bool job_run(void)
{
    fsi_msg msg;
    if (!fsi_queue_pop(&server->pool.lanes[0].queue, &msg)) return false;
    jobs_run++;
    fsi_pool_feed(server);
    fsi_worker_run(&server->pool.workers[0], (fsi_job *)msg.ptr);
    return true;
}

static void route_work(fsv_handler handler)
{
    fsv_route_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.method = "*";
    desc.pattern = "/work";
    desc.handler = handler;
    desc.on_close = app_close;
    desc.blocking = 1;
    CHECK_EQ(fsv_server_route_add(server, &desc), FSV_OK);
}

static void defer_after_long(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    for (int i = 0; i < 40; i++) pass_ms(1000); // longer than the time-out: that is not for handlers
    CHECK_EQ(fsv_request_defer(request, &kept_token), FSV_OK);
}

// Goal: a token's time counts from when it was taken, not from when its request went to a worker.
TEST(token_time_begins_with_it)
{
    world();
    route_work(defer_after_long);
    REQUIRE(fsi_pool_build(server) == FSV_OK);
    fake_sock *sock = join();
    say(sock, "GET /work HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(job_run());
    pass_ms(29000);
    CHECK_EQ(sock->out_len, 0);
    pass_ms(2000);
    CHECK(out_begins(sock, "HTTP/1.1 504 "));
    fsv_token_drop(kept_token);
    world_end();
}

// ---- large files

#define LARGE ((size_t)300000) // more than is kept in memory

// MSan does not see what statx writes, which is called by its number.
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define FILES_BLIND true
#endif
#endif
#ifndef FILES_BLIND
#define FILES_BLIND false
#endif

// Goal: where no worker can take the next part of a file that is not in memory, since the pool's queue is full or there is
// no place for its way home, the loop asks again every FSI_WARM_AGAIN_MS; what has been sent stays right, and no time-out
// takes the pool's delay for the reader's.
TEST(cold_while_no_worker_can_take_it)
{
    if (FILES_BLIND) SKIP("MSan does not know what the system writes of a file");
    static char large[LARGE];
    char path[512], file[600];
    for (size_t i = 0; i < LARGE; i++) large[i] = (char)('a' + (i * 7 + i / 26) % 26);
    REQUIRE(os_folder_make(path, sizeof path));
    (void)snprintf(file, sizeof file, "%s/large", path);
    REQUIRE(os_file_put(file, 0, large, LARGE));
    for (int full = 0; full < 2; full++) {
        fsv_server_desc limits;
        fsv_folder_desc files;
        fsi_msg msg;
        uint32_t reserved = 0;
        ROW("%s", full ? "no place in the inbox" : "the pool's queue is full");
        memset(&limits, 0, sizeof limits);
        limits.workers = 1;
        limits.jobs_max = 2;
        limits.inbox_max = 4;
        limits.send_timeout_ms = 6 * FSI_WARM_AGAIN_MS;
        world_with(&limits);
        memset(&files, 0, sizeof files);
        files.pattern = "/files/*";
        files.path = path;
        CHECK_EQ(fsv_server_folder(server, &files, NULL), FSV_OK);
        REQUIRE(fsi_pool_build(server) == FSV_OK);
        fake_sock *sock = join();
        sock->room = 1000;
        say(sock, "GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n");
        while (job_run()) settle(); // some systems let no loop open a file
        CHECK_EQ(sock->out_len, 1000);
        fake.cold = true;
        memset(&msg, 0, sizeof msg);
        while (!full && fsi_queue_push(&server->pool.lanes[0].queue, msg)) continue;
        while (full && fsi_loop_reserve(loop, true)) reserved++;
        fake_room(sock, SIZE_MAX);
        settle();
        CHECK_EQ(fake.cold_told, 1);
        for (uint64_t told = 2; told <= 20; told++) {
            pass_ms(FSI_WARM_AGAIN_MS);
            CHECK_EQ(fake.cold_told, told);
        }
        CHECK_EQ(sock->out_len, 1000);
        REQUIRE(conn_of(sock) && !conn_of(sock)->warming);
        while (!full && fsi_queue_pop(&server->pool.lanes[0].queue, &msg)) CHECK_EQ(msg.kind, FSI_MSG_NONE);
        while (reserved > 0) fsi_loop_unreserve(loop), reserved--;
        pass_ms(FSI_WARM_AGAIN_MS);
        REQUIRE(fsi_queue_pop(&server->pool.lanes[0].queue, &msg) && msg.kind == FSI_MSG_WARM);
        pass_ms(2 * limits.send_timeout_ms); // the worker takes its time
        CHECK_EQ(sock->out_len, 1000);
        fsi_worker_warm((fsi_warm *)msg.ptr);
        settle();
        CHECK_EQ(fake.cold_told, 21);
        REQUIRE(sock->out_len > LARGE && out_begins(sock, "HTTP/1.1 200 OK\r\n"));
        CHECK(memcmp(sock->out + sock->out_len - LARGE, large, LARGE) == 0);
        fake_eof(sock);
        settle();
        CHECK(sock->closed);
        world_end();
    }
    os_tree_remove(path);
}

// ---- the same in every order: the test plays the workers and the holders of tokens, step by step, on one thread

#define WALK_SOCKS 3
#define WALK_TOKENS 64

static struct {
    uint32_t seed, depth; // depth: handlers on "workers" that have not returned
    uint32_t held, answered, closed;
    struct {
        fsv_token token;
        bool begun;
    } tokens[WALK_TOKENS];
    fake_sock *socks[WALK_SOCKS];
} walk;

static uint32_t walk_draw(uint32_t below)
{
    walk.seed ^= walk.seed << 13;
    walk.seed ^= walk.seed >> 17;
    walk.seed ^= walk.seed << 5;
    return walk.seed % below;
}

static void walk_defer(fsv_request *request)
{
    fsv_token token;
    if (walk.held == WALK_TOKENS || fsv_request_defer(request, &token) != FSV_OK) {
        (void)fsv_respond_text(request, 503, "none");
        return;
    }
    if (fsv_respond_text(request, 200, "both") != FSV_ERR_STATE) app.error = "answered and deferred";
    walk.tokens[walk.held].token = token;
    walk.tokens[walk.held++].begun = false;
}

static void walk_on_defer(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    walk_defer(request);
}

static void walk_step(void);

// On a "worker": the loop, the peers and the holders go on while it runs.
static void walk_on_work(fsv_request *request, void *user)
{
    (void)user;
    app_begin(request);
    walk.depth++;
    for (uint32_t n = walk_draw(4); n; n--) walk_step();
    uint32_t how = walk_draw(4);
    if (how == 0) (void)fsv_respond_text(request, 200, "worked");
    if (how == 1)
        app.given++,
            (void)fsv_respond_owned(request, 200, NULL, app_owned_bytes, sizeof app_owned_bytes, app_release, &app);
    if (how == 2) walk_defer(request);
    for (uint32_t n = walk_draw(6); n; n--) walk_step();
    app_look(request, "/work");
    walk.depth--;
}

static void walk_ended(uint32_t i, fsv_result result)
{
    if (result == FSV_OK) walk.answered++;
    if (result == FSV_ERR_CLOSED) walk.closed++;
    fsv_token token = walk.tokens[i].token;
    walk.tokens[i] = walk.tokens[--walk.held];
    if (fsv_token_respond(token, 200, NULL, NULL, 0) != FSV_ERR_CLOSED) app.error = "a token lives on";
}

// The holder of some token does something with it.
static void walk_token(void)
{
    if (!walk.held) return;
    uint32_t i = walk_draw(walk.held), how = walk_draw(8);
    fsv_token token = walk.tokens[i].token;
    bool begun = walk.tokens[i].begun;
    fsv_result result;
    if (how < 2) {
        result = fsv_token_respond(token, 200, "text/plain", app_owned_bytes, how ? 3000 : 5);
        if (begun && result == FSV_OK) app.error = "an answer in a stream";
        if (result == FSV_OK || result == FSV_ERR_CLOSED) walk_ended(i, result);
    } else if (how == 2) {
        app.given++;
        result = fsv_token_respond_owned(token, 200, NULL, app_owned_bytes, sizeof app_owned_bytes, app_release, &app);
        if (result == FSV_OK || result == FSV_ERR_CLOSED) walk_ended(i, result);
    } else if (how == 3) {
        result = fsv_token_stream(token, 200, NULL, walk_draw(2) ? 900 : FSV_LENGTH_UNKNOWN);
        if (result == FSV_OK) walk.tokens[i].begun = true;
    } else if (how < 6) {
        (void)fsv_token_write(token, app_owned_bytes, walk_draw(800));
    } else if (how == 6) {
        result = fsv_token_end(token);
        if (begun || result == FSV_ERR_CLOSED) walk_ended(i, result);
    } else {
        fsv_token_drop(token);
        walk_ended(i, FSV_ERR_NOT_FOUND);
    }
}

// What a peer does.
static void walk_peer(void)
{
    static const char *const says[] = {
        GET_DEFER,
        "GET /work HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /defer HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /work HTTP/1.1\r\nHost: a\r\n\r\n" GET GET_DEFER,
        "GET /defer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /work HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        GET,
    };
    uint32_t i = walk_draw(WALK_SOCKS), how = walk_draw(16);
    fake_sock *sock = walk.socks[i];
    if (!sock || sock->closed || sock->cut) {
        walk.socks[i] = join();
        walk.socks[i]->room = walk_draw(3) ? SIZE_MAX : 300;
    } else if (how == 0) {
        fake_cut(sock);
    } else if (how == 1) {
        fake_eof(sock);
    } else if (how < 5) {
        fake_room(sock, walk_draw(3) ? walk_draw(2000) : SIZE_MAX);
    } else if (!sock->eof) {
        const char *text = says[walk_draw(sizeof says / sizeof says[0])];
        fake_send(sock, text, strlen(text));
    }
}

static void walk_step(void)
{
    uint32_t what = walk_draw(16);
    if (what < 5)
        walk_peer();
    else if (what < 9)
        turn();
    else if (what < 13)
        walk_token();
    else if (what < 15 && walk.depth < 3)
        (void)job_run();
    else
        fake.now_ns += (uint64_t)walk_draw(12) * 1000000000;
}

// Everyone ends what he has.
static void walk_home(void)
{
    alloc_fail_at = 0;
    fake.fail_at = 0;
    for (uint32_t i = 0; i < WALK_SOCKS; i++)
        if (walk.socks[i] && walk.seed % 2) fake_cut(walk.socks[i]);
    for (bool more = true; more;) {
        settle();
        more = job_run() || walk.held;
        while (walk.held) fsv_token_drop(walk.tokens[--walk.held].token);
    }
    for (uint32_t i = 0; i < WALK_SOCKS; i++)
        if (walk.socks[i]) fake_cut(walk.socks[i]);
    settle();
    CHECK_EQ(loop->conns, 0);
    CHECK_EQ(loop->reserved, 0);
    CHECK_EQ(server->tokens_held, 0);
    CHECK(!loop->jobs_wait);
}

// Goal: whatever the order in which peers, workers, holders of tokens, timers and the loop do things, and whatever
// fails, each request ends once, each slot and token comes back, and nothing is touched after its end. Bits of the seed
// choose the world.
TEST(away_in_every_order)
{
    uint32_t answered = 0, closed = 0;
    jobs_run = 0;
    memset(app_owned_bytes, 'o', sizeof app_owned_bytes);
    for (uint32_t seed = 1; seed <= 6000; seed++) {
        fsv_server_desc limits;
        ROW("seed=%u", seed);
        memset(&limits, 0, sizeof limits);
        memset(&walk, 0, sizeof walk);
        walk.seed = seed * 2654435761u;
        limits.inbox_max = seed % 3 ? 8 : 2;
        limits.jobs_max = 2;
        limits.jobs_wait = seed % 2;
        limits.tokens_max = 3;
        limits.workers = 1;
        limits.out_bytes_max = 1000;
        world_with(&limits);
        fake.completion = seed % 5 == 0;
        fake.later = seed % 7 < 3;
        route("GET", "/defer", walk_on_defer, NULL, NULL);
        route_work(walk_on_work);
        REQUIRE(fsi_pool_build(server) == FSV_OK);
        if (seed % 4 == 1) alloc_fail_at = alloc_calls + 1 + (long)walk_draw(30);
        if (seed % 4 == 2) fake.fail_at = fake.calls + 1 + walk_draw(60);
        for (int n = 0; n < 80; n++) walk_step();
        walk_home();
        answered += walk.answered, closed += walk.closed;
        world_end();
        if (test_failures) return; // the seed is in the row
    }
    CHECK(answered > 1000 && closed > 500 && jobs_run > 1000);
}

TEST_MAIN(CASE(reply_ignores_cuts), CASE(reply_ignores_cuts_completion), CASE(reply_ignores_slow_reader),
          CASE(reply_ignores_spurious_readiness), CASE(end_at_every_offset), CASE(io_failing_at_every_call),
          CASE(allocator_failing_at_every_call), CASE(second_round_allocates_nothing),
          CASE(idle_connection_holds_no_buffer), CASE(slabs_grow_and_are_used_again), CASE(late_close_while_listed),
          CASE(timeout_head), CASE(timeout_head_after_slow_answer), CASE(timeout_idle), CASE(timeout_idle_of_fresh),
          CASE(timeout_body), CASE(timeout_body_of_framing), CASE(timeout_body_begins_with_it), CASE(timeout_send),
          CASE(timeout_send_of_next_window), CASE(requests_max), CASE(timeout_head_begins_with_the_connection),
          CASE(slow_clients_are_cut), CASE(slow_clients_live), CASE(conns_per_address), CASE(conns_per_address_flood),
          CASE(conns_per_address_sync), CASE(conns_per_address_sync_in_turn), CASE(guest_keys),
          CASE(guests_as_an_array), CASE(no_descriptors_for_a_minute), CASE(linger), CASE(drain), CASE(drain_ends),
          CASE(drain_of_answers_under_way), CASE(free_with_work_under_way), CASE(turn_budget), CASE(pipeline_order),
          CASE(back_pressure), CASE(body_larger_than_buffer), CASE(body_refused_for_a_while), CASE(body_answered_early),
          CASE(handler_results), CASE(stream_ends_short), CASE(stream_without_content), CASE(stream_abort),
          CASE(owned_released_once), CASE(body_outlives_its_turn), CASE(dripping_head), CASE(head_of_endless_stream),
          CASE(head_with_body), CASE(body_limit_before_on_body), CASE(no_answer_in_on_close),
          CASE(stalled_answer_is_cut), CASE(conns_max), CASE(conns_max_flood), CASE(accept_pauses_and_resumes),
          CASE(accept_without_memory), CASE(drain_of_backlog), CASE(move_keeps_bytes), CASE(move_once_a_second),
          CASE(move_after_many_at_once), CASE(gift_shows_before_the_next), CASE(full_cpu_gives_away),
          CASE(load_overrides_locality), CASE(new_connections_leave_a_full_cpu), CASE(move_into_full_inbox),
          CASE(move_that_fails), CASE(move_only_between_requests), CASE(turn_budget_of_deferred),
          CASE(queue_leaves_while_body_is_awaited), CASE(away_leaves_room_for_posts), CASE(home_after_close),
          CASE(token_timeout_meets_piece), CASE(token_time_begins_with_it), CASE(cold_while_no_worker_can_take_it),
          CASE(away_in_every_order))
