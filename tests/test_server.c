// test_server.c: the whole server over loopback, with plain blocking sockets as clients. Every server counts its
// memory: a case that leaves a byte behind fails. Waits are for events; a receive that takes too long is a failure, not
// a hang.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#include "host.h"

// ---- the client's side

static client c1, c2, c3; // one case uses them at a time

static bool dial_v6(client *c, uint32_t port)
{
    fsi_sockaddr at;
    struct in6_addr one;
    memset(&one, 0, sizeof one);
    one.s6_addr[15] = 1;
    fsi_sockaddr_v6(&at, &one, port);
    return dial_at(c, &at);
}

static bool dial_unix(client *c, const char *path)
{
    fsi_sockaddr at;
    return fsi_sockaddr_unix(&at, path) && dial_at(c, &at);
}

#define GET "GET / HTTP/1.1\r\nHost: t\r\n\r\n"

// ---- the server's side

typedef struct host {
    fsv_server *server;
    uint32_t port;
    const char *hello;
    struct heap heap;
    struct gate gate;
    fsi_lock lock;
    // under lock
    char log[4096];     // "level item text\n"
    char answers[4096]; // "status body_bytes target\n"
    // atomic
    uint32_t closes, released, wrong_user;
    uint32_t heard; // by a client in a thread
    struct driver driver;
    fsi_thread thread;
} host;

static host h1, h2;

static void host_log(const fsv_log_record *record, void *user)
{
    host *h = (host *)user;
    fsi_lock_take(&h->lock);
    size_t at = strlen(h->log);
    (void)snprintf(h->log + at, sizeof h->log - at, "%u %s %s\n", record->level, record->item, record->text);
    fsi_lock_give(&h->lock);
}

static void host_on_answer(const fsv_answer *answer, void *user)
{
    host *h = (host *)user;
    fsv_str target = {"-", 1};
    char peer[64] = "", same[64];
    CHECK(fsv_answer_peer(answer, peer, sizeof peer) > 0 && strncmp(peer, "127.0.0.1:", 10) == 0);
    CHECK_EQ(fsv_answer_peer(answer, same, strlen(peer)), FSV_ERR_LIMIT);
    if (answer->request) {
        target = fsv_request_target(answer->request);
        CHECK(fsv_request_peer(answer->request, same, sizeof same) > 0);
        CHECK_STR(same, peer);
    }
    fsi_lock_take(&h->lock);
    size_t at = strlen(h->answers);
    (void)snprintf(h->answers + at, sizeof h->answers - at, "%u %llu %.*s\n", answer->status,
                   (unsigned long long)answer->body_bytes, (int)target.len, target.ptr);
    fsi_lock_give(&h->lock);
}

static void on_hello(fsv_request *request, void *user)
{
    fsv_respond_text(request, 200, ((host *)user)->hello);
}

static void on_echo(fsv_request *request, void *user)
{
    fsv_request_set_user(request, user);
    fsv_respond_stream(request, 200, "text/plain", fsv_request_body_length(request));
    if (!fsv_request_has_body(request)) fsv_stream_end(request);
}

static size_t on_echo_body(fsv_request *request, const char *data, size_t len, void *user)
{
    if (fsv_request_user(request) != user) fsi_add32(&((host *)user)->wrong_user, 1);
    if (len) return fsv_stream_write(request, data, len) == FSV_OK ? len : 0;
    fsv_stream_end(request);
    return 0;
}

// on_close of every route that has one.
static void on_gone(fsv_request *request, void *user)
{
    if (fsv_request_user(request) != user) fsi_add32(&((host *)user)->wrong_user, 1);
    fsi_add32(&((host *)user)->closes, 1);
}

static void on_whole(fsv_request *request, void *user)
{
    fsv_str body = fsv_request_body(request);
    (void)user;
    fsv_respond(request, 200, "text/plain", body.ptr, body.len);
}

static void on_number(fsv_request *request, void *user)
{
    fsv_str n = fsv_request_param(request, "n");
    (void)user;
    fsv_respond(request, 200, "text/plain", n.ptr, n.len);
}

// Keeps its loop until the case opens the gate.
static void on_gate(fsv_request *request, void *user)
{
    gate_pass(&((host *)user)->gate);
    fsv_respond_text(request, 200, "through");
}

static void on_stop(fsv_request *request, void *user)
{
    (void)user;
    fsv_server_stop(fsv_request_server(request), 0);
    fsv_respond_text(request, 200, "stopping");
}

// Everything that a handler must not call.
static void on_misuse(fsv_request *request, void *user)
{
    host *h = (host *)user;
    char text[128];
    int free_ = fsv_server_free(h->server), wait_ = fsv_server_wait(h->server), run_ = fsv_server_run(h->server);
    int start_ = fsv_server_start(h->server), poll_ = fsv_server_poll(h->server, 0);
    (void)snprintf(text, sizeof text, "%d %d %d %d %d", free_, wait_, run_, start_, poll_);
    fsv_respond_text(request, 200, text);
}

static void on_flood(fsv_request *request, void *user)
{
    fsv_request_set_user(request, user);
    CHECK_EQ(fsv_stream_room(request), 0);
    fsv_respond_stream(request, 200, "text/plain", FSV_LENGTH_UNKNOWN);
    CHECK_EQ(fsv_stream_room(request), request->loop->server->desc.out_bytes_max);
}

static void on_flood_room(fsv_request *request, void *user)
{
    static const char piece[16384] = "flood";
    (void)user;
    size_t room = fsv_stream_room(request);
    CHECK_EQ(fsv_stream_write(request, piece, sizeof piece), room ? FSV_OK : FSV_ERR_FULL);
    CHECK(fsv_stream_room(request) <= room);
}

static void on_release(void *memory, void *user)
{
    CHECK_EQ(*(char *)memory, 'o');
    free(memory);
    fsi_add32(&((host *)user)->released, 1);
}

#define OWNED_BYTES (8u << 20)
static void on_owned(fsv_request *request, void *user)
{
    char *body = (char *)malloc(OWNED_BYTES);
    if (!body) return;
    memset(body, 'o', OWNED_BYTES);
    (void)fsv_respond_owned(request, 200, "text/plain", body, OWNED_BYTES, on_release, user);
}

static size_t show_put(char *out, size_t size, const char *what, fsv_str text)
{
    return (size_t)snprintf(out, size, "%s=%.*s;", what, (int)text.len, text.ptr);
}

// What the accessors say.
static void on_show(fsv_request *request, void *user)
{
    char out[4096], value[32];
    size_t at = 0;
    fsv_str field = {"?", 1};
    const char *const names[] = {"q", "plus", "bad", "nul", "long", "empty", "none"};
    bool found = fsv_request_field(request, "x-FIELD", &field);
    fsv_str name, value_at, same = {"?", 1};
    for (uint32_t i = fsv_request_field_count(request); i-- > 0;) {
        CHECK(fsv_request_field_at(request, i, &name, &value_at) && name.len);
        if (name.len == 7 && (name.ptr[0] | 32) == 'x' && (name.ptr[2] | 32) == 'f') same = value_at;
    }
    CHECK(!fsv_request_field_at(request, fsv_request_field_count(request), &name, &value_at));
    if (found) CHECK_BYTES(same.ptr, same.len, field.ptr, field.len);
    at += show_put(out + at, sizeof out - at, "method", fsv_request_method(request));
    at += show_put(out + at, sizeof out - at, "target", fsv_request_target(request));
    at += show_put(out + at, sizeof out - at, "path", fsv_request_path(request));
    at += show_put(out + at, sizeof out - at, "query", fsv_request_query(request));
    at += show_put(out + at, sizeof out - at, "host", fsv_request_host(request));
    at += show_put(out + at, sizeof out - at, "id", fsv_request_param(request, "id"));
    at += show_put(out + at, sizeof out - at, "rest", fsv_request_param(request, "*"));
    at += show_put(out + at, sizeof out - at, "other", fsv_request_param(request, "other"));
    at += show_put(out + at, sizeof out - at, found ? "field" : "nofield", field);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t n = fsv_request_query_value(request, names[i], value, sizeof value);
        if (n >= 0)
            at += (size_t)snprintf(out + at, sizeof out - at, "%s=%s(%d);", names[i], value, (int)n);
        else
            at += (size_t)snprintf(out + at, sizeof out - at, "%s:%d;", names[i], (int)n);
    }
    at += (size_t)snprintf(out + at, sizeof out - at, "version=%u;fields=%u;server=%d", fsv_request_version(request),
                           fsv_request_field_count(request), fsv_request_server(request) == ((host *)user)->server);
    fsv_respond(request, 200, "text/plain", out, at);
}

static void on_peer(fsv_request *request, void *user)
{
    char text[64];
    (void)user;
    if (fsv_request_peer(request, text, sizeof text) < 0) (void)snprintf(text, sizeof text, "error");
    fsv_respond_text(request, 200, text);
}

static void host_route(host *h, const char *method, const char *pattern, fsv_handler handler, fsv_body_handler on_body,
                       fsv_handler on_room, fsv_handler on_close)
{
    fsv_route_desc route;
    memset(&route, 0, sizeof route);
    route.method = method;
    route.pattern = pattern;
    route.handler = handler;
    route.on_body = on_body;
    route.on_room = on_room;
    route.on_close = on_close;
    route.user = h;
    CHECK_EQ(fsv_server_route_add(h->server, &route), FSV_OK);
}

// A server with the routes above that does not listen yet. tweak may be NULL.
static bool host_make(host *h, const fsv_server_desc *tweak)
{
    fsv_server_desc desc;
    memset(h, 0, sizeof *h);
    memset(&desc, 0, sizeof desc);
    if (tweak) desc = *tweak;
    (void)fsi_lock_init(&h->lock);
    h->hello = "Hello!";
    if (desc.conns_max == 0) desc.conns_max = 500;
    desc.log = host_log;
    desc.user = h;
    if (!heap_begin(&h->heap, &desc) || !gate_begin(&h->gate)) return false;
    if (fsv_server_create(&h->server, &desc) != FSV_OK) return false;
    h->driver.server = h->server;
    host_route(h, "GET", "/", on_hello, NULL, NULL, NULL);
    host_route(h, "*", "/echo", on_echo, on_echo_body, NULL, on_gone);
    host_route(h, "POST", "/whole", on_whole, NULL, NULL, NULL);
    host_route(h, "GET", "/n/:n", on_number, NULL, NULL, NULL);
    host_route(h, "GET", "/gate", on_gate, NULL, NULL, NULL);
    host_route(h, "GET", "/stop", on_stop, NULL, NULL, NULL);
    host_route(h, "GET", "/misuse", on_misuse, NULL, NULL, NULL);
    host_route(h, "GET", "/flood", on_flood, NULL, on_flood_room, on_gone);
    host_route(h, "GET", "/owned", on_owned, NULL, NULL, NULL);
    host_route(h, "GET", "/show/:id/*", on_show, NULL, NULL, NULL);
    host_route(h, "GET", "/peer", on_peer, NULL, NULL, NULL);
    return true;
}

static bool host_listen(host *h, const char *address)
{
    if (fsv_server_listen(h->server, address) != FSV_OK) return false;
    h->port = fsv_server_port(h->server, 0);
    return true;
}

// On 127.0.0.1, with threads of the library's.
static bool host_start(host *h, const fsv_server_desc *tweak)
{
    return host_make(h, tweak) && host_listen(h, "127.0.0.1:0") && driver_begin(&h->driver, h->server, DRIVE_START);
}

static void host_end(host *h)
{
    CHECK_EQ(fsv_server_free(h->server), FSV_OK);
    heap_end(&h->heap);
    gate_end(&h->gate);
    CHECK_EQ(h->wrong_user, 0);
    fsi_lock_free(&h->lock);
}

// ---- three ways to drive it

// Goal: the same exchange in each of the three ways; each ends when it was stopped; none can be begun twice or mixed.
TEST(drive_modes)
{
    for (int how = 0; how < DRIVES; how++) {
        ROW("%s", drive_names[how]);
        REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
        CHECK_EQ(fsv_server_wait(h1.server), FSV_ERR_STATE);
        REQUIRE(driver_begin(&h1.driver, h1.server, (drive)how));
        REQUIRE(dial(&c1, h1.port));
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(ask(&c1, GET), 200);
            CHECK_STR(body_of(&c1), "Hello!");
        }
        CHECK_EQ(fsv_server_run(h1.server), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_start(h1.server), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_listen(h1.server, "127.0.0.1:0"), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_route(h1.server, "GET", "/late", on_hello, &h1), FSV_ERR_STATE);
        if (how != DRIVE_START) CHECK_EQ(fsv_server_free(h1.server), FSV_ERR_STATE);
        fsv_server_stop(h1.server, 0);
        CHECK(ended(&c1));
        hang_up(&c1);
        driver_end(&h1.driver);
        CHECK_EQ(fsv_server_run(h1.server), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_start(h1.server), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_ERR_CLOSED);
        host_end(&h1);
    }
}

// Goal: a handler cannot free, wait for or drive the server that calls it, whichever way that runs.
TEST(misuse_in_handler)
{
    for (int how = 0; how < DRIVES; how++) {
        ROW("%s", drive_names[how]);
        REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0") &&
                driver_begin(&h1.driver, h1.server, (drive)how));
        REQUIRE(dial(&c1, h1.port));
        CHECK_EQ(ask(&c1, "GET /misuse HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
        CHECK_STR(body_of(&c1), "-7 -7 -7 -7 -7");
        CHECK_EQ(ask(&c1, GET), 200);
        hang_up(&c1);
        fsv_server_stop(h1.server, 0);
        driver_end(&h1.driver);
        host_end(&h1);
    }
}

// Goal: a handler may stop the server; its own answer still arrives.
TEST(stop_in_handler)
{
    for (int how = 0; how < DRIVES; how++) {
        ROW("%s", drive_names[how]);
        REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0") &&
                driver_begin(&h1.driver, h1.server, (drive)how));
        REQUIRE(dial(&c1, h1.port));
        CHECK_EQ(ask(&c1, "GET /stop HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
        CHECK_STR(body_of(&c1), "stopping");
        CHECK(ended(&c1));
        hang_up(&c1);
        driver_end(&h1.driver);
        host_end(&h1);
    }
}

// Goal: a stop that comes before the server runs is not forgotten.
TEST(stop_before_run)
{
    for (int how = 0; how < DRIVES; how++) {
        ROW("%s", drive_names[how]);
        REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
        fsv_server_stop(h1.server, 0);
        REQUIRE(driver_begin(&h1.driver, h1.server, (drive)how));
        driver_end(&h1.driver);
        host_end(&h1);
    }
}

// Goal: a server that never listened or never ran goes away cleanly; NULL is fine everywhere it is promised.
TEST(free_unused)
{
    REQUIRE(host_make(&h1, NULL));
    host_end(&h1);
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "localhost:0"));
    REQUIRE(dial(&c1, h1.port));
    host_end(&h1);
    CHECK(receive(&c1) <= 0);
    hang_up(&c1);
    CHECK_EQ(fsv_server_free(NULL), FSV_OK);
    CHECK_EQ(fsv_server_create(NULL, NULL), FSV_ERR_ARGUMENT);
    fsv_server_stop(NULL, 0);
}

// ---- poll mode in a loop of the caller's

static void asker_body(void *arg)
{
    host *h = (host *)arg;
    uint32_t good = 0;
    if (dial(&c1, h->port))
        for (int i = 0; i < 20; i++) good += ask(&c1, GET) == 200;
    hang_up(&c1);
    fsi_store32(&h->heard, good);
}

// Goal: the descriptor and the wait are all that a foreign loop needs: it never polls in vain for long, and everything
// is served.
TEST(poll_by_descriptor)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.idle_timeout_ms = 5000;
    REQUIRE(host_make(&h1, &desc) && host_listen(&h1, "127.0.0.1:0"));
    int64_t descriptor = fsv_server_descriptor(h1.server);
    if (descriptor == FSV_ERR_UNSUPPORTED) host_end(&h1);
    if (descriptor == FSV_ERR_UNSUPPORTED) SKIP("no descriptor to poll here");
    REQUIRE(descriptor >= 0);
    CHECK_EQ(fsv_server_poll_wait_ms(h1.server), 0); // the first turn begins to listen
    CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_OK);
    CHECK_EQ(fsv_server_poll_wait_ms(h1.server), UINT32_MAX);
    CHECK(!os_descriptor_wait(descriptor, 0));
    REQUIRE(fsi_thread_start(&h1.thread, asker_body, &h1, "asker"));
    int turns = 0;
    while (STAT(&h1, conns_closed) == 0 && turns++ < 1000) {
        uint32_t wait = fsv_server_poll_wait_ms(h1.server);
        if (STAT(&h1, conns_accepted)) CHECK(wait <= 5000 + 100); // idle_timeout, and the wheel's coarseness
        (void)os_descriptor_wait(descriptor, wait);
        CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_OK);
    }
    CHECK_EQ(STAT(&h1, conns_closed), 1);
    CHECK(!os_descriptor_wait(descriptor, 0));
    fsi_thread_join(&h1.thread);
    CHECK_EQ(h1.heard, 20);
    fsv_server_stop(h1.server, 0); // is something to do
    CHECK(os_descriptor_wait(descriptor, 0));
    CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_ERR_CLOSED);
    host_end(&h1);
}

// Goal: several loops, or pinned ones, cannot be polled.
TEST(poll_refused)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    REQUIRE(host_make(&h1, &desc));
    CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_ERR_STATE);
    host_end(&h1);
}

// ---- keep-alive

// Goal: who keeps the connection and who says so.
TEST(keep_alive)
{
    static const struct {
        const char *request;
        bool keeps;
        const char *says; // Connection of the answer, NULL: nothing
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: t\r\n\r\n", true, NULL},
        {"GET / HTTP/1.1\r\nHost: t\r\nConnection: keep-alive\r\n\r\n", true, NULL},
        {"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", false, "close"},
        {"GET / HTTP/1.1\r\nHost: t\r\nConnection: foo, ClOsE\r\n\r\n", false, "close"},
        {"GET / HTTP/1.0\r\n\r\n", false, "close"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"},
        {"GET /none HTTP/1.1\r\nHost: t\r\n\r\n", true, NULL},
        {"HEAD / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", false, "close"},
        {"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "keep-alive"},
        {"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, NULL},
    };
    REQUIRE(host_start(&h1, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool head = rows[i].request[0] == 'H';
        ROW("%.30s %zu", rows[i].request, i);
        REQUIRE(dial(&c1, h1.port) && say(&c1, rows[i].request));
        CHECK(hear_to(&c1, head) > 0);
        CHECK_STR(field_of(&c1, "Connection"), rows[i].says);
        if (rows[i].keeps)
            CHECK_EQ(ask(&c1, GET), 200);
        else
            CHECK(ended(&c1));
        hang_up(&c1);
    }
    host_end(&h1);
}

// Goal: pipelined requests, many times a turn's budget, are answered in order.
TEST(pipelining_order)
{
    enum { COUNT = 1000 };
    static char all[COUNT * 48];
    size_t len = 0;
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    for (int i = 0; i < COUNT; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "GET /n/%d HTTP/1.1\r\nHost: t\r\n\r\n", i);
    CHECK(say_bytes(&c1, all, len));
    for (int i = 0; i < COUNT; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "%d", i);
        REQUIRE(hear(&c1) == 200);
        CHECK_STR(body_of(&c1), want);
    }
    CHECK_EQ(STAT(&h1, requests), COUNT);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a client that ends its direction after its requests gets every answer.
TEST(half_closed_client)
{
    static char got[OWNED_BYTES / 8];
    size_t all = 0;
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, GET "GET /n/7 HTTP/1.1\r\nHost: t\r\n\r\nGET /owned HTTP/1.1\r\nHost: t\r\n\r\n"));
    os_shut(c1.fd, false);
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(hear_head(&c1), 200);
    all = c1.len - c1.at;
    for (int64_t n; (n = os_recv(c1.fd, got, sizeof got)) > 0;) all += (size_t)n;
    CHECK_EQ(all, OWNED_BYTES);
    UNTIL(fsi_load32(&h1.released) == 1);
    hang_up(&c1);
    host_end(&h1);
}

// ---- addresses

// Goal: each form of an address: what it is called, who reaches it, what clients are called.
TEST(listen_forms)
{
    static const struct {
        const char *address;
        bool v4, v6;
        const char *name; // of the first listener, without its port
    } rows[] = {
        {"127.0.0.1:0", true, false, "127.0.0.1:"},
        {"[::1]:0", false, true, "[::1]:"},
        {"localhost:0", true, true, "127.0.0.1:"},
        {":0", true, true, "[::]:"},
        {"0", true, true, "[::]:"},
        {"0.0.0.0:0", true, false, "0.0.0.0:"},
        {"[::]:0", false, true, "[::]:"},
    };
    REQUIRE(host_make(&h1, NULL));
    bool has_v6 = fsv_server_listen(h1.server, "[::1]:0") == FSV_OK;
    host_end(&h1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128], want[128];
        ROW("%s", rows[i].address);
        if (!has_v6 && rows[i].v6) continue;
        REQUIRE(host_make(&h1, NULL));
        REQUIRE(host_listen(&h1, rows[i].address) && driver_begin(&h1.driver, h1.server, DRIVE_START));
        CHECK(h1.port != 0);
        (void)snprintf(want, sizeof want, "%s%u", rows[i].name, h1.port);
        CHECK_EQ(fsv_server_address(h1.server, 0, text, sizeof text), strlen(want));
        CHECK_STR(text, want);
        CHECK_EQ(fsv_server_address(h1.server, 0, text, strlen(want)), FSV_ERR_LIMIT);
        CHECK_EQ(fsv_server_listeners(h1.server), strcmp(rows[i].address, "localhost:0") ? 1 : 2);
        CHECK_EQ(fsv_server_address(h1.server, 2, text, sizeof text), FSV_ERR_NOT_FOUND);
        CHECK_EQ(fsv_server_port(h1.server, 2), 0);
        CHECK_EQ(dial(&c1, h1.port), rows[i].v4);
        if (c1.fd >= 0) {
            CHECK_EQ(ask(&c1, "GET /peer HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
            CHECK(strncmp(body_of(&c1), "127.0.0.1:", 10) == 0);
        }
        CHECK_EQ(dial_v6(&c2, h1.port), rows[i].v6);
        if (c2.fd >= 0) {
            CHECK_EQ(ask(&c2, "GET /peer HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
            CHECK(strncmp(body_of(&c2), "[::1]:", 6) == 0);
        }
        hang_up(&c1);
        hang_up(&c2);
        host_end(&h1);
    }
}

static size_t on_raw(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)tcp;
    (void)data;
    (void)user;
    return len;
}

// Goal: what is no address of this machine is an error that is named, and leaves the server as it was.
TEST(listen_errors)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:8o80",
                                      "256.0.0.1:80",
                                      "::1:80",
                                      "[::1]80",
                                      "[::1:80",
                                      "example.org:80",
                                      "203.0.113.7:0",
                                      "localhost",
                                      "localhost:",
                                      "localhost:1:2",
                                      "unix:",
                                      "unix:/no/such/folder/socket"};
    char longer[300] = "unix:/";
    memset(longer + 6, 'x', sizeof longer - 7);
    REQUIRE(host_make(&h1, NULL));
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        const char *address = i < sizeof bad / sizeof bad[0] ? bad[i] : longer;
        ROW("\"%.40s\"", address);
        h1.log[0] = 0;
        bool missing = strncmp(address, "unix:/no", 8) == 0 && !sock_has_unix();
        CHECK_EQ(fsv_server_listen(h1.server, address), missing ? FSV_ERR_UNSUPPORTED : FSV_ERR_ADDRESS);
        CHECK(strncmp(h1.log, "0 listen ", 9) == 0);
        CHECK_EQ(fsv_server_listeners(h1.server), 0);
    }
    CHECK_EQ(fsv_server_listen(h1.server, NULL), FSV_ERR_ARGUMENT);
    fsv_tcp_desc tcp;
    memset(&tcp, 0, sizeof tcp);
    for (int wrong = 0; wrong < 2; wrong++) { // as for raw connections
        h1.log[0] = 0;
        tcp.on_data = wrong ? on_raw : NULL;
        CHECK_EQ(fsv_server_listen_tcp(h1.server, wrong ? "none" : "127.0.0.1:0", &tcp),
                 wrong ? FSV_ERR_ADDRESS : FSV_ERR_ARGUMENT);
        CHECK(strstr(h1.log, wrong ? "0 listen cannot listen on none: " : "on_data") != NULL);
    }
    CHECK(host_listen(&h1, "127.0.0.1:0"));
    host_end(&h1);
}

// Goal: several listeners of several kinds serve at once.
TEST(several_listeners)
{
    char folder[128], address[256], text[128];
    if (!sock_has_unix()) SKIP("no Unix-domain sockets here");
    REQUIRE(os_folder_make(folder, sizeof folder));
    (void)snprintf(address, sizeof address, "unix:%s/s", folder);
    for (uint32_t loops = 1; loops <= 2; loops++) {
        fsv_server_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.loops = loops;
        ROW("%u loops", loops);
        REQUIRE(host_make(&h1, &desc));
        CHECK_EQ(fsv_server_listen(h1.server, "127.0.0.1:0"), FSV_OK);
        CHECK_EQ(fsv_server_listen(h1.server, address), FSV_OK);
        CHECK_EQ(fsv_server_listen(h1.server, "127.0.0.1:0"), FSV_OK);
        CHECK_EQ(fsv_server_start(h1.server), FSV_OK);
        CHECK_EQ(fsv_server_port(h1.server, 1), 0);
        CHECK(fsv_server_address(h1.server, 1, text, sizeof text) > 0);
        CHECK_STR(text, address);
        REQUIRE(dial(&c1, fsv_server_port(h1.server, 0)) && dial_unix(&c2, address + 5) &&
                dial(&c3, fsv_server_port(h1.server, 2)));
        CHECK_EQ(ask(&c1, GET), 200);
        CHECK_EQ(ask(&c2, "GET /peer HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
        CHECK_STR(body_of(&c2), "unix:");
        CHECK_EQ(ask(&c3, GET), 200);
        hang_up(&c1);
        hang_up(&c2);
        hang_up(&c3);
        host_end(&h1);
        CHECK(!os_exists(address + 5));
    }
    os_folder_remove(folder);
}

// Goal: a left-over socket file is replaced, a served one and any other file are not; ours goes when we go.
TEST(unix_file)
{
    char folder[128], address[256], text[16];
    if (!sock_has_unix()) SKIP("no Unix-domain sockets here");
    REQUIRE(os_folder_make(folder, sizeof folder));
    (void)snprintf(address, sizeof address, "unix:%s/s", folder);
    const char *path = address + 5;
    fsi_sockaddr at;
    REQUIRE(fsi_sockaddr_unix(&at, path));
    int left_over = fsi_sock_listen(&at, FSI_SHARE_NONE, false, 1);
    REQUIRE(left_over >= 0);
    os_close(left_over); // the file stays
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, address) && driver_begin(&h1.driver, h1.server, DRIVE_START));
    REQUIRE(host_make(&h2, NULL));
    CHECK_EQ(fsv_server_listen(h2.server, address), FSV_ERR_IN_USE);
    host_end(&h2);
    REQUIRE(dial_unix(&c1, path)); // that attempt did no harm
    CHECK_EQ(ask(&c1, GET), 200);
    hang_up(&c1);
    host_end(&h1);
    CHECK(!os_exists(path));

    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    fputs("precious", file);
    fclose(file);
    REQUIRE(host_make(&h1, NULL));
    CHECK_EQ(fsv_server_listen(h1.server, address), FSV_ERR_IN_USE);
    host_end(&h1);
    file = fopen(path, "rb");
    REQUIRE(file != NULL);
    (void)os_stream_text(file, text, sizeof text);
    CHECK_STR(text, "precious");
    (void)remove(path);
    os_folder_remove(folder);
}

// Goal: a successor that takes the path over while its predecessor drains keeps its file when that one ends.
TEST(unix_successor)
{
    char folder[128], address[256];
    if (!sock_has_unix()) SKIP("no Unix-domain sockets here");
    REQUIRE(os_folder_make(folder, sizeof folder));
    (void)snprintf(address, sizeof address, "unix:%s/s", folder);
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, address) && driver_begin(&h1.driver, h1.server, DRIVE_START));
    REQUIRE(dial_unix(&c1, address + 5));
    CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\na"));
    CHECK_EQ(hear_head(&c1), 200);
    fsv_server_stop(h1.server, 20000);
    UNTIL(!dial_unix(&c2, address + 5) || (hang_up(&c2), false)); // it listens no more
    REQUIRE(host_make(&h2, NULL));
    CHECK(host_listen(&h2, address) && driver_begin(&h2.driver, h2.server, DRIVE_START));
    CHECK(say(&c1, "b"));
    CHECK(receive_body(&c1, 2));
    hang_up(&c1);
    driver_end(&h1.driver);
    host_end(&h1);
    CHECK(dial_unix(&c2, address + 5));
    if (c2.fd >= 0) CHECK_EQ(ask(&c2, GET), 200);
    hang_up(&c2);
    host_end(&h2);
    os_folder_remove(folder);
}

// Goal: a path that fills sun_path is kept whole: its file goes at the end, the one that a shortened path would name
// stays.
TEST(unix_longest_path)
{
    char folder[128], address[256], other[256];
    fsi_sockaddr_un un;
    const size_t most = sizeof un.sun_path - 1;
    if (!sock_has_unix()) SKIP("no Unix-domain sockets here");
    REQUIRE(os_folder_make(folder, sizeof folder));
    (void)snprintf(address, sizeof address, "unix:%s/", folder);
    size_t len = strlen(address);
    memset(address + len, 's', 5 + most - len);
    address[5 + most] = 0;
    const char *path = address + 5;
    CHECK_EQ(strlen(path), most);
    (void)snprintf(other, sizeof other, "%.*s", (int)most - 1, path);
    FILE *file = fopen(other, "w");
    REQUIRE(file != NULL);
    fclose(file);
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, address) && driver_begin(&h1.driver, h1.server, DRIVE_START));
    CHECK(os_exists(path));
    REQUIRE(dial_unix(&c1, path));
    CHECK_EQ(ask(&c1, GET), 200);
    hang_up(&c1);
    char told[256];
    CHECK_EQ(fsv_server_address(h1.server, 0, told, sizeof told), 5 + most);
    CHECK_STR(told, address);
    host_end(&h1);
    CHECK(!os_exists(path));
    CHECK(os_exists(other));
    (void)remove(path);
    (void)remove(other);
    os_folder_remove(folder);
}

// Goal: the abstract namespace: no file, in use while it is served, free afterwards.
TEST(unix_abstract)
{
    char address[64];
    if (!OS_ABSTRACT) SKIP("no abstract namespace here");
    (void)snprintf(address, sizeof address, "unix:@fastserve-test-%d", (int)os_process_id());
    for (int i = 0; i < 2; i++) {
        REQUIRE(host_make(&h1, NULL) && host_listen(&h1, address) && driver_begin(&h1.driver, h1.server, DRIVE_START));
        REQUIRE(host_make(&h2, NULL));
        CHECK_EQ(fsv_server_listen(h2.server, address), FSV_ERR_IN_USE);
        host_end(&h2);
        REQUIRE(dial_unix(&c1, address + 5));
        CHECK_EQ(ask(&c1, GET), 200);
        hang_up(&c1);
        host_end(&h1);
    }
}

// Goal: a taken port is an error, whoever has it and however it shares; sharing is only by agreement.
TEST(in_use)
{
    for (uint32_t first = 1; first <= 3; first++)
        for (uint32_t second = 1; second <= 3; second++) {
            char address[64], any[64];
            fsv_server_desc desc;
            memset(&desc, 0, sizeof desc);
            ROW("%u loops, then %u", first, second);
            desc.loops = first;
            REQUIRE(host_make(&h1, &desc) && host_listen(&h1, "127.0.0.1:0"));
            (void)snprintf(address, sizeof address, "127.0.0.1:%u", h1.port);
            (void)snprintf(any, sizeof any, ":%u", h1.port);
            desc.loops = second;
            REQUIRE(host_make(&h2, &desc));
            CHECK_EQ(fsv_server_listen(h2.server, address), FSV_ERR_IN_USE);
            CHECK(strstr(h2.log, address) != NULL);
            CHECK_EQ(fsv_server_listen(h2.server, any), FSV_ERR_IN_USE);
            CHECK_EQ(fsv_server_listeners(h2.server), 0);
            CHECK_EQ(fsv_server_listen(h1.server, address), FSV_ERR_IN_USE); // oneself too
            host_end(&h1);
            CHECK_EQ(fsv_server_listen(h2.server, address), FSV_OK); // free again, at once
            host_end(&h2);
        }
}

// Goal: listen_shared shares with listen_shared, and with nobody else.
TEST(in_use_shared)
{
    char address[64];
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    REQUIRE(host_make(&h1, &desc));
    fsv_result result = fsv_server_listen_shared(h1.server, "127.0.0.1:0");
    if (result == FSV_ERR_UNSUPPORTED) host_end(&h1);
    if (result == FSV_ERR_UNSUPPORTED) SKIP("ports are not shared here");
    REQUIRE(result == FSV_OK);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", fsv_server_port(h1.server, 0));
    REQUIRE(host_make(&h2, NULL));
    CHECK_EQ(fsv_server_listen(h2.server, address), FSV_ERR_IN_USE);
    CHECK_EQ(fsv_server_listen_shared(h2.server, address), FSV_OK);
    host_end(&h2);
    host_end(&h1);
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", h1.port);
    REQUIRE(host_make(&h2, NULL));
    CHECK_EQ(fsv_server_listen_shared(h2.server, address), FSV_ERR_IN_USE);
    host_end(&h2);
    host_end(&h1);
}

// ---- limits

// Goal: each limit of the desc and each refusal of the protocol has its status, ends the connection and is counted.
TEST(limits)
{
    static const struct {
        const char *request;
        int status;
        bool keeps, bad;
    } rows[] = {
        {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: "
         "t\r\n\r\n",
         414, false, true},
        {"GET / HTTP/1.1\r\nHost: t\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n", 431, false, true},
        {"GET / HTTP/1.1\r\nHost: t\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", 200, true, false},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n12345678901", 413, false, false},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n1234567890", 200, true, false},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n",
         413, false, false},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n4\r\n1234\r\n0\r\n\r\n",
         200, true, false},
        {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 12\r\n\r\n123456789012", 200, true,
         false}, // in pieces: no limit
        {"POST /whole HTTP/1.0\r\n\r\n", 411, false, false},
        {"PUT /echo HTTP/1.0\r\n\r\n", 411, false, false},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\nx", 417, false, true},
        {"GET / HTTP/2.0\r\nHost: t\r\n\r\n", 505, false, true},
        {"GET / HTTP/1.1\r\n\r\n", 400, false, true}, // no Host
        {"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, false, true},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, false, true},
        {"POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, false, true},
        {"GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400, false, true},
    };
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.head_bytes_max = 256;
    desc.target_bytes_max = 64;
    desc.fields_max = 4;
    desc.body_bytes_max = 10;
    REQUIRE(host_start(&h1, &desc));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bad = STAT(&h1, bad_requests);
        ROW("%.60s %zu", rows[i].request, i);
        REQUIRE(dial(&c1, h1.port));
        CHECK_EQ(ask(&c1, rows[i].request), rows[i].status);
        if (rows[i].keeps)
            CHECK_EQ(ask(&c1, GET), 200);
        else
            CHECK(ended(&c1));
        CHECK_EQ(STAT(&h1, bad_requests) - bad, rows[i].bad);
        hang_up(&c1);
    }
    char head[400] = "GET / HTTP/1.1\r\nHost: t\r\nx: ";
    memset(head + strlen(head), 'x', 300); // a head that goes on and on
    ROW("head");
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, head), 431);
    CHECK(ended(&c1));
    hang_up(&c1);
    host_end(&h1);
}

// An address of this machine that others see. False: it has none.
static bool own_address(fsi_sockaddr *at, uint32_t port)
{
    fsi_sockaddr to;
    size_t size = sizeof at->storage;
    struct sockaddr_in in4;
    fsi_sockaddr_v4(&to, 0xc0000263u, 9); // 192.0.2.99, to which nothing is sent
    int fd = (int)socket(AF_INET, SOCK_DGRAM, 0);
    memset(at, 0, sizeof *at);
    bool found = os_connect(fd, &to.storage, (size_t)to.len) && os_name(fd, false, &at->storage, &size);
    os_close(fd);
    memcpy(&in4, &at->storage, sizeof in4);
    uint32_t ip = ntohl(in4.sin_addr.s_addr);
    fsi_sockaddr_v4(at, ip, port);
    return found && ip && ip >> 24 != 127;
}

// Goal: over the network an address has conns_per_address_max connections and a 503 for more, or, where a connection has
// a thread, is closed; loopback has as many as it likes, and so has everyone where only loopback can connect.
TEST(conns_per_address)
{
    static const uint32_t models[] = {FSV_MODEL_EVENT, FSV_MODEL_THREAD};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        fsv_server_desc desc;
        fsi_sockaddr at;
        client c4;
        ROW("model %u", models[i]);
        memset(&desc, 0, sizeof desc);
        desc.conns_per_address_max = 2;
        desc.model = models[i];
        REQUIRE(host_make(&h1, &desc));
        bool listens = host_listen(&h1, "0.0.0.0:0") && own_address(&at, h1.port);
        if (!listens || !driver_begin(&h1.driver, h1.server, DRIVE_START)) {
            host_end(&h1);
            SKIP("no address here that others see");
        }
        REQUIRE(dial_at(&c1, &at) && dial_at(&c2, &at));
        CHECK_EQ(ask(&c1, GET), 200);
        CHECK_EQ(ask(&c2, GET), 200);
        REQUIRE(dial_at(&c3, &at));
        CHECK_EQ(hear(&c3), models[i] ? 0 : 503);
        CHECK_EQ(STAT(&h1, conns_refused_address), 1);
        hang_up(&c3);
        REQUIRE(dial(&c3, h1.port) && dial(&c4, h1.port));
        CHECK_EQ(ask(&c3, GET), 200);
        CHECK_EQ(ask(&c4, GET), 200);
        hang_up(&c1);
        UNTIL(STAT(&h1, conns_closed) == 2);
        REQUIRE(dial_at(&c1, &at));
        CHECK_EQ(ask(&c1, GET), 200);
        hang_up(&c1);
        hang_up(&c2);
        hang_up(&c3);
        hang_up(&c4);
        host_end(&h1);
    }
}

// Goal: one connection beyond conns_max gets a 503 that says when to come back; room that was freed is used again.
TEST(conns_max)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.conns_max = 2;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK_EQ(ask(&c1, GET), 200);
    CHECK_EQ(ask(&c2, GET), 200);
    for (int i = 0; i < 3; i++) {
        REQUIRE(dial(&c3, h1.port));
        CHECK_EQ(hear(&c3), 503);
        CHECK_STR(field_of(&c3, "Retry-After"), "1");
        CHECK_STR(field_of(&c3, "Connection"), "close");
        CHECK(ended(&c3));
        hang_up(&c3);
    }
    UNTIL(STAT(&h1, conns_closed) == 3); // those count, as accepted and as closed
    CHECK_EQ(ask(&c1, GET), 200);
    hang_up(&c2);
    UNTIL(STAT(&h1, conns_closed) == 4);
    REQUIRE(dial(&c3, h1.port));
    CHECK_EQ(ask(&c3, GET), 200);
    CHECK_EQ(STAT(&h1, conns_refused), 3);
    CHECK_EQ(STAT(&h1, conns_accepted), 6);
    CHECK_EQ(STAT(&h1, answers_5xx), 3);
    hang_up(&c1);
    hang_up(&c3);
    host_end(&h1);
}

// Goal: one beyond conns_max that has sent its request before it is looked at can still read its 503.
TEST(conns_max_with_request)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.conns_max = 1;
    REQUIRE(host_make(&h1, &desc) && host_listen(&h1, "127.0.0.1:0"));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK(say(&c1, GET) && say(&c2, GET));
    while (STAT(&h1, requests) < 1 || STAT(&h1, conns_refused) < 1)
        CHECK_EQ(fsv_server_poll(h1.server, UINT32_MAX), FSV_OK);
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(hear(&c2), 503);
    hang_up(&c1);
    hang_up(&c2);
    host_end(&h1);
}

// Goal: a client that is still sending a body that is too large gets the 413 and an orderly end, no reset.
TEST(too_large_while_sending)
{
    static char piece[1 << 16];
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.body_bytes_max = 1000;
    desc.linger_ms = GUARD_S * 1000;
    REQUIRE(host_start(&h1, &desc));
    for (int chunked = 0; chunked <= 1; chunked++) {
        ROW("%s", chunked ? "chunked" : "with a length");
        REQUIRE(dial(&c1, h1.port));
        CHECK(say(&c1, chunked ? "POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n"
                               : "POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 8388608\r\n\r\n"));
        if (chunked) CHECK(say_bytes(&c1, piece, sizeof piece));
        REQUIRE(os_poll(c1.fd, OS_READ, GUARD_S * 1000) != 0); // it has answered, and this client does not care
        for (int i = chunked; i < 128; i++) REQUIRE(say_bytes(&c1, piece, sizeof piece));
        CHECK_EQ(hear(&c1), 413);
        CHECK(ended(&c1));
        hang_up(&c1);
    }
    UNTIL(STAT(&h1, conns_closed) == 2); // our end is what it waited for, not its time
    CHECK_EQ(STAT(&h1, timeouts), 0);
    host_end(&h1);
}

// Goal: Expect: 100-continue is answered before the body comes, and not when the request is refused.
TEST(expect_continue)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "POST /whole HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    CHECK_EQ(hear_head(&c1), 100);
    CHECK_EQ(ask(&c1, "abc"), 200);
    CHECK_STR(body_of(&c1), "abc");
    CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"));
    int first = hear_head(&c1);
    CHECK(first == 100);
    CHECK_EQ(ask(&c1, "3\r\nabc\r\n0\r\n\r\n"), 200);
    CHECK_STR(body_of(&c1), "abc");
    CHECK_EQ(ask(&c1, "POST /whole HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
             413);
    CHECK(ended(&c1));
    hang_up(&c1);
    host_end(&h1);
}

// ---- timeouts

// Goal: a head that does not end, however it drips, gets a 408; so does a body that does not come.
TEST(timeouts_answered)
{
    static const char *const rows[] = {
        "GET / HTT",
        "GET / HTTP/1.1\r\nHost: t\r\n",
        "POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n12",
        "POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
    };
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.head_timeout_ms = desc.body_timeout_ms = 60;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%.50s", rows[i]);
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port));
        CHECK_EQ(ask(&c1, GET), 200); // also on a connection that has served
        CHECK_EQ(ask(&c1, rows[i]), 408);
        CHECK(ended(&c1));
        CHECK_EQ(STAT(&h1, timeouts), 1);
        CHECK_EQ(STAT(&h1, answers_4xx), 1);
        hang_up(&c1);
        host_end(&h1);
    }
}

// Goal: the time for a head runs from its first byte: bytes that drip do not buy more.
TEST(timeout_of_dripping_head)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.head_timeout_ms = 150;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "GET / HTTP/1.1\r\nHost: t\r\n"));
    int drips = 0;
    while (os_poll(c1.fd, OS_READ, 10) == 0 && drips < 500) { // one byte every 10 ms until there is an answer
        CHECK(say(&c1, ++drips % 8 ? "x" : ":\r\n"));
        if (drips % 8 == 7) CHECK(say(&c1, "y"));
    }
    CHECK_EQ(hear(&c1), 408);
    CHECK(drips < 500);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: an idle connection is closed without a word, whether it ever sent a request or not.
TEST(timeout_idle)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.idle_timeout_ms = 60;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK_EQ(ask(&c1, GET), 200);
    CHECK(ended(&c1));
    CHECK(ended(&c2));
    CHECK_EQ(STAT(&h1, timeouts), 2);
    hang_up(&c1);
    hang_up(&c2);
    host_end(&h1);
}

// Goal: a streamed body that stalls is cut, and its owner is told.
TEST(timeout_stalled_stream)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.body_timeout_ms = 60;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n1234"));
    CHECK_EQ(hear_head(&c1), 200);
    CHECK(receive_body(&c1, 4));
    CHECK(receive(&c1) <= 0);
    CHECK_EQ(STAT(&h1, timeouts), 1);
    CHECK_EQ(fsi_load32(&h1.closes), 1);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a reader that takes nothing is cut, and what waited for it returns.
TEST(timeout_send)
{
    static const char *const rows[] = {"GET /flood HTTP/1.1\r\nHost: t\r\n\r\n",
                                       "GET /owned HTTP/1.1\r\nHost: t\r\n\r\n"};
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.send_timeout_ms = 60;
    for (size_t i = 0; i < 2; i++) {
        ROW("%s", rows[i]);
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port));
        CHECK(say(&c1, rows[i]));
        UNTIL(STAT(&h1, conns_closed) == 1);
        CHECK_EQ(STAT(&h1, timeouts), 1);
        CHECK_EQ(fsi_load32(&h1.closes) + fsi_load32(&h1.released), 1);
        hang_up(&c1);
        host_end(&h1);
    }
}

// ---- streams

#define STREAM_BYTES ((uint64_t)64 << 20)
#define STREAM_PIECE 65521u // a prime: pieces and buffers never line up

static char stream_piece[STREAM_PIECE];

static void stream_body(void *arg)
{
    client *c = (client *)arg;
    for (uint64_t sent = 0; sent < STREAM_BYTES;) {
        uint64_t n = STREAM_PIECE < STREAM_BYTES - sent ? STREAM_PIECE : STREAM_BYTES - sent;
        if (!say_bytes(c, stream_piece, (size_t)n)) return;
        sent += n;
    }
}

// Goal: 64 MiB come back whole, in constant memory, also while nobody reads: back-pressure reaches the sender.
TEST(stream_64_mib)
{
    fsv_server_desc desc;
    fsi_thread writer;
    uint64_t got = 0, before = 0;
    memset(&desc, 0, sizeof desc);
    desc.out_bytes_max = 65536;
    for (uint32_t i = 0; i < STREAM_PIECE; i++) stream_piece[i] = (char)(i * 7 + (i >> 8));
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, GET), 200);
    size_t base = heap_bytes(&h1.heap, false);
    CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 67108864\r\n\r\n"));
    REQUIRE(fsi_thread_start(&writer, stream_body, &c1, "writer"));
    do { // until the pipe is full both ways; whatever this wait sees, the test's verdict does not depend on it
        before = STAT(&h1, bytes_received);
        nap(30);
    } while (STAT(&h1, bytes_received) != before);
    CHECK(before < STREAM_BYTES);
    CHECK_EQ(hear_head(&c1), 200);
    while (got < STREAM_BYTES) {
        if (c1.at == c1.len) c1.at = c1.len = 0; // what was seen goes
        if (c1.len == 0 && receive(&c1) <= 0) break;
        size_t at = (size_t)(got % STREAM_PIECE), n = c1.len - c1.at;
        if (n > STREAM_PIECE - at) n = STREAM_PIECE - at;
        if (memcmp(c1.buf + c1.at, stream_piece + at, n) != 0) break;
        c1.at += n;
        got += n;
    }
    CHECK_EQ(got, STREAM_BYTES);
    if (got < STREAM_BYTES) os_shut(c1.fd, true); // so that the writer ends
    fsi_thread_join(&writer);
    CHECK(heap_bytes(&h1.heap, true) < base + (1 << 20));
    CHECK_EQ(ask(&c1, GET), 200); // and the connection goes on
    CHECK_EQ(fsi_load32(&h1.closes), 1);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: an HTTP/1.0 client gets a stream of unknown length as bytes up to the end.
TEST(stream_to_http_1_0)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(
        ask(&c1,
            "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        200);
    CHECK_STR(field_of(&c1, "Transfer-Encoding"), "chunked");
    CHECK_STR(body_of(&c1), "abcde");
    hang_up(&c1);
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "GET /flood HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    CHECK_EQ(hear_head(&c1), 200);
    CHECK(field_of(&c1, "Transfer-Encoding") == NULL);
    CHECK_STR(field_of(&c1, "Connection"), "close");
    CHECK(receive_body(&c1, 5) && memcmp(c1.buf + c1.body_at, "flood", 5) == 0);
    hang_up(&c1);
    UNTIL(STAT(&h1, conns_closed) == 2);
    CHECK_EQ(fsi_load32(&h1.closes), 2);
    host_end(&h1);
}

// ---- stopping

// Goal: a stop lets a request that has begun finish, closes what is idle at once and the listener too.
TEST(drain_finishes)
{
    for (int how = 0; how < DRIVES; how++) {
        ROW("%s", drive_names[how]);
        REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0") &&
                driver_begin(&h1.driver, h1.server, (drive)how));
        REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
        CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345"));
        CHECK_EQ(hear_head(&c1), 200);
        CHECK(receive_body(&c1, 5));
        CHECK_STR(body_of(&c1), "12345");
        CHECK_EQ(ask(&c2, GET), 200);
        fsv_server_stop(h1.server, 60000);
        CHECK(ended(&c2));
        UNTIL(!dial(&c3, h1.port) || (hang_up(&c3), false));
        CHECK(say(&c1, "67890"));
        CHECK(receive_body(&c1, 5));
        CHECK_STR(body_of(&c1), "67890");
        CHECK(ended(&c1));
        hang_up(&c1);
        hang_up(&c2);
        driver_end(&h1.driver);
        host_end(&h1);
    }
}

// Goal: a request that finishes late in a long drain ends its connection, although its head promised to keep it.
TEST(drain_finishes_late)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n1"));
    CHECK_EQ(hear_head(&c1), 200);
    UNTIL(STAT(&h1, conns_accepted) == 2);
    fsv_server_stop(h1.server, 60000);
    CHECK(ended(&c2)); // it never sent anything, so it got a while; that has passed now
    CHECK(say(&c1, "2"));
    CHECK(receive_body(&c1, 2));
    CHECK(ended(&c1));
    fsv_server_stop(h1.server, 0);
    hang_up(&c1);
    hang_up(&c2);
    driver_end(&h1.driver);
    host_end(&h1);
}

// Goal: a request that comes during the drain on a connection that was accepted before is answered, and told that it
// was the last.
TEST(drain_answers_fresh)
{
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
    REQUIRE(dial(&c1, h1.port));
    while (STAT(&h1, conns_accepted) < 1) CHECK_EQ(fsv_server_poll(h1.server, UINT32_MAX), FSV_OK);
    fsv_server_stop(h1.server, 60000);
    CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_OK); // sees the stop, not yet the request
    CHECK(say(&c1, GET));
    while (fsv_server_poll(h1.server, UINT32_MAX) == FSV_OK) continue;
    CHECK_EQ(hear(&c1), 200);
    CHECK_STR(field_of(&c1, "Connection"), "close");
    CHECK(ended(&c1));
    hang_up(&c1);
    host_end(&h1);
}

// Goal: what waits in the backlog when the stop comes is served, not reset.
TEST(drain_serves_backlog)
{
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK(say(&c1, GET));
    fsv_server_stop(h1.server, 60000);
    REQUIRE(driver_begin(&h1.driver, h1.server, DRIVE_POLL));
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(ask(&c2, GET), 200);
    CHECK(ended(&c1));
    CHECK(ended(&c2));
    hang_up(&c1);
    hang_up(&c2);
    driver_end(&h1.driver);
    host_end(&h1);
}

#define BURST 150
static client burst[BURST];

// Clients that wait, all of them, before the server looks at the first.
static bool burst_dials(host *h)
{
    for (uint32_t i = 0; i < BURST; i++)
        if (!dial(&burst[i], h->port) || !say(&burst[i], GET)) return false;
    return true;
}

// Goal: more connections at once than a listener has accepts posted: no pause, which is for a system that refuses.
TEST(burst_without_pause)
{
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
    for (int stop = 0; stop < 2; stop++) { // and with a stop all of them are served, too
        ROW("stop %d", stop);
        REQUIRE(burst_dials(&h1));
        if (stop) fsv_server_stop(h1.server, 60000);
        if (stop) REQUIRE(driver_begin(&h1.driver, h1.server, DRIVE_POLL));
        while (!stop && STAT(&h1, requests) < BURST) CHECK_EQ(fsv_server_poll(h1.server, UINT32_MAX), FSV_OK);
        for (uint32_t i = 0; i < BURST; i++) {
            CHECK_EQ(hear(&burst[i]), 200);
            hang_up(&burst[i]);
        }
    }
    driver_end(&h1.driver);
    CHECK(!strstr(h1.log, "accept_paused"));
    host_end(&h1);
}

// Goal: the end of the drain cuts what still runs; a second stop can bring it nearer, never push it away.
TEST(drain_deadline)
{
    static const uint32_t rows[][2] = {{50, UINT32_MAX}, {60000, 0}, {50, 60000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%u, then %u", rows[i][0], rows[i][1]);
        REQUIRE(host_start(&h1, NULL));
        REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
        CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345"));
        CHECK_EQ(hear_head(&c1), 200);
        CHECK(receive_body(&c1, 5));
        CHECK(say(&c2, "GET /flood HTTP/1.1\r\nHost: t\r\n\r\n")); // and a reader that does not read
        CHECK_EQ(hear_head(&c2), 200);
        fsv_server_stop(h1.server, rows[i][0]);
        if (rows[i][1] != UINT32_MAX) fsv_server_stop(h1.server, rows[i][1]);
        driver_end(&h1.driver);
        CHECK(receive(&c1) <= 0);
        CHECK_EQ(fsi_load32(&h1.closes), 2);
        CHECK_EQ(STAT(&h1, conns_closed), 2);
        hang_up(&c1);
        hang_up(&c2);
        host_end(&h1);
    }
}

// Goal: free while it runs ends everything at once and returns all memory; owned bodies go back to their owner.
TEST(free_while_running)
{
    for (uint32_t loops = 1; loops <= 2; loops++) {
        fsv_server_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.loops = loops;
        ROW("%u loops", loops);
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port));
        CHECK(say(&c1, "GET /flood HTTP/1.1\r\nHost: t\r\n\r\n"));
        CHECK_EQ(hear_head(&c1), 200);
        CHECK(say(&c2, "GET /owned HTTP/1.1\r\nHost: t\r\n\r\n"));
        CHECK_EQ(hear_head(&c2), 200);
        CHECK(say(&c3, "POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 99999\r\n\r\n"));
        UNTIL(STAT(&h1, requests) == 3);
        host_end(&h1);
        CHECK_EQ(h1.closes, 1);
        CHECK_EQ(h1.released, 1);
        hang_up(&c1);
        hang_up(&c2);
        hang_up(&c3);
    }
}

static void wait_body(void *arg)
{
    driver_end(&((host *)arg)->driver);
}

// Goal: a server that another thread waits for cannot be freed or waited for once more; it goes on, and that thread's
// wait ends as ever.
TEST(free_while_waited_for)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(fsi_thread_start(&h1.thread, wait_body, &h1, "waiter"));
    UNTIL(fsi_load32(&h1.server->inside));
    if (fsi_load32(&h1.server->inside)) { // else freeing would pull the server from under the waiter
        CHECK_EQ(fsv_server_free(h1.server), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_wait(h1.server), FSV_ERR_STATE);
    }
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, GET), 200);
    hang_up(&c1);
    fsv_server_stop(h1.server, 0);
    fsi_thread_join(&h1.thread);
    host_end(&h1);
}

// Goal: while one loop is still inside a handler, the others wait for it asleep.
TEST(stop_waits_asleep)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "GET /gate HTTP/1.1\r\nHost: t\r\n\r\n"));
    gate_wait(&h1.gate, 1);
    fsv_server_stop(h1.server, 0);
    uint64_t turns = STAT(&h1, turns);
    nap(50); // not waited for: a span to count turns in
    CHECK(STAT(&h1, turns) - turns < 20);
    gate_open(&h1.gate, GATE_ALL);
    hang_up(&c1);
    driver_end(&h1.driver);
    host_end(&h1);
}

// ---- what is counted and told

// Goal: after a known exchange every counter says exactly what happened.
TEST(stats_exact)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK_EQ(ask(&c1, GET), 200);
    CHECK_EQ(ask(&c1, "GET /none HTTP/1.1\r\nHost: t\r\n\r\n"), 404);
    CHECK_EQ(ask(&c1, "POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"), 200);
    CHECK_EQ(ask(&c1, "BREW / HTTP/1.1\r\nHost: t\r\n\r\n"), 501);
    CHECK_EQ(ask(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n12345"), 200);
    CHECK_EQ(ask(&c2, "nonsense\r\n\r\n"), 400);
    CHECK(ended(&c2));
    hang_up(&c1);
    hang_up(&c2);
    UNTIL(STAT(&h1, conns_closed) == 2);
    CHECK_EQ(STAT(&h1, conns_accepted), 2);
    CHECK_EQ(STAT(&h1, conns_refused), 0);
    CHECK_EQ(STAT(&h1, requests), 5);
    CHECK_EQ(STAT(&h1, answers_2xx), 3);
    CHECK_EQ(STAT(&h1, answers_3xx), 0);
    CHECK_EQ(STAT(&h1, answers_4xx), 2);
    CHECK_EQ(STAT(&h1, answers_5xx), 1);
    CHECK_EQ(STAT(&h1, bad_requests), 1);
    CHECK_EQ(STAT(&h1, timeouts), 0);
    CHECK_EQ(STAT(&h1, bytes_received), c1.sent + c2.sent);
    CHECK_EQ(STAT(&h1, bytes_sent), c1.received + c2.received);
    CHECK_EQ(STAT_OF(&h1, 0, requests), 5);
    fsv_stats stats;
    CHECK_EQ(fsv_server_stats(h1.server, 1, &stats), FSV_ERR_NOT_FOUND);
    CHECK_EQ(fsv_server_stats(h1.server, 0, NULL), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_server_loops(h1.server), 1);
    host_end(&h1);
}

// Goal: on_answer hears of each answer once, with its status, size and request, and knows the peer although that has
// gone or sent no request.
TEST(on_answer)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.on_answer = host_on_answer;
    desc.body_bytes_max = 10;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, GET), 200);
    CHECK(say(&c1, "HEAD /?head HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK_EQ(hear_to(&c1, true), 200);
    CHECK_EQ(ask(&c1, "GET /none HTTP/1.1\r\nHost: t\r\n\r\n"), 404);
    CHECK_EQ(ask(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nchunked\r\n0\r\n\r\n"),
             200);
    CHECK_EQ(ask(&c1, "POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n"), 413);
    CHECK(ended(&c1));
    hang_up(&c1);
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, "nonsense\r\n\r\n"), 400);
    hang_up(&c1);
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345"));
    CHECK_EQ(hear_head(&c1), 200);
    CHECK(receive_body(&c1, 5));
    hang_up_hard(&c1);
    UNTIL(STAT(&h1, conns_closed) == 3);
    fsv_server_stop(h1.server, 0);
    driver_end(&h1.driver);
    CHECK_STR(h1.answers, "200 6 /\n200 0 /?head\n404 14 /none\n200 7 /echo\n413 45 /whole\n400 43 -\n200 5 /echo\n");
    host_end(&h1);
}

// Goal: a request's state stays with it from its handler to on_close, which comes once, also when the client leaves in
// the middle.
TEST(user_and_on_close)
{
    REQUIRE(host_start(&h1, NULL));
    for (uint32_t i = 1; i <= 3; i++) {
        REQUIRE(dial(&c1, h1.port));
        CHECK(say(&c1, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345"));
        CHECK_EQ(hear_head(&c1), 200);
        if (i == 1) hang_up(&c1);
        if (i == 2) hang_up_hard(&c1);
        if (i == 3) CHECK(say(&c1, "67890") && receive_body(&c1, 10));
        UNTIL(fsi_load32(&h1.closes) == i);
        hang_up(&c1);
    }
    UNTIL(STAT(&h1, conns_closed) == 3);
    CHECK_EQ(fsi_load32(&h1.closes), 3);
    host_end(&h1);
}

// Goal: a desc that cannot be is refused, and the log names the field.
TEST(log_names_desc_field)
{
    for (int i = 0; i < 10; i++) {
        static const char *const names[] = {"loops",
                                            "pin",
                                            "head_bytes_max",
                                            "head_bytes_max",
                                            "fields_max",
                                            "conns_max",
                                            "response_fields_bytes_max",
                                            "inbox_max",
                                            "alloc",
                                            "alloc"};
        char want[64];
        fsv_server_desc desc;
        fsv_server *server = (fsv_server *)&desc;
        memset(&desc, 0, sizeof desc);
        memset(&h1, 0, sizeof h1);
        (void)fsi_lock_init(&h1.lock);
        desc.log = host_log;
        desc.user = &h1;
        switch (i) {
        case 0: desc.loops = 1025; break;
        case 1: desc.pin = 2; break;
        case 2: desc.head_bytes_max = 255; break;
        case 3: desc.head_bytes_max = 1048577; break;
        case 4: desc.fields_max = 10001; break;
        case 5: desc.conns_max = 0x80000000u; break;
        case 6: desc.response_fields_bytes_max = 32769; break;
        case 7: desc.inbox_max = 100; break;
        case 8: desc.alloc = heap_alloc; break;
        default: desc.release = heap_release; break;
        }
        ROW("%s %d", names[i], i);
        (void)snprintf(want, sizeof want, "0 desc fsv_server_desc.%s ", names[i]);
        CHECK_EQ(fsv_server_create(&server, &desc), FSV_ERR_ARGUMENT);
        CHECK(server == NULL);
        CHECK(strncmp(h1.log, want, strlen(want)) == 0);
        fsi_lock_free(&h1.lock);
    }
}

// Goal: conns_max beyond what the descriptor limit allows is lowered, and the log says so; what fits is left alone.
TEST(log_conns_clamped)
{
    uint64_t before = os_descriptors_max();
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.conns_max = 5000;
    if (!os_descriptors_limit(128)) SKIP("no limit of descriptors here");
    bool made = host_make(&h1, &desc);
    desc.conns_max = 20;
    made = host_make(&h2, &desc) && made;
    REQUIRE(os_descriptors_limit(before) && made);
    CHECK(strncmp(h1.log, "1 conns_clamped ", 16) == 0 && strstr(h1.log, "5000") && strstr(h1.log, "128"));
    CHECK_STR(h2.log, "");
    host_end(&h1);
    host_end(&h2);
}

// Goal: folders take a quarter of the descriptors from conns_max, once, and what workers open.
TEST(conns_clamped_for_folders)
{
    uint64_t before = os_descriptors_max();
    char folder[512] = "";
    fsv_folder_desc files;
    uint32_t alone, with, again;
    if (!os_descriptors_limit(400)) SKIP("no limit of descriptors here");
    bool made = os_folder_make(folder, sizeof folder) && host_make(&h1, NULL);
    REQUIRE(made);
    memset(&files, 0, sizeof files);
    files.pattern = "/files/*";
    files.path = folder;
    alone = h1.server->desc.conns_max;
    CHECK_EQ(h1.server->desc.conns_per_address_max, alone / 2);
    CHECK_EQ(fsv_server_folder(h1.server, &files, NULL), FSV_OK);
    with = h1.server->desc.conns_max;
    files.pattern = "/more/*";
    CHECK_EQ(fsv_server_folder(h1.server, &files, NULL), FSV_OK);
    again = h1.server->desc.conns_max;
    REQUIRE(os_descriptors_limit(before));
    CHECK_EQ(alone - with, 400 / 4 + 16); // large files, and one for each worker
    CHECK(h1.server->files_max >= 400 / 4 && h1.server->shelf_files == h1.server->files_max / 2);
    CHECK(strstr(h1.log, "files_max keeps a part of it"));
    CHECK_EQ(again, with);
    CHECK_EQ(h1.server->desc.conns_per_address_max, with / 2);
    host_end(&h1);
    ROW("as many files as were asked for");
    fsv_server_desc few;
    memset(&few, 0, sizeof few);
    few.files_max = 10;
    REQUIRE(os_descriptors_limit(400));
    made = host_make(&h1, &few);
    fsv_result result = made ? fsv_server_folder(h1.server, &files, NULL) : FSV_ERR_STATE;
    REQUIRE(os_descriptors_limit(before) && made);
    CHECK_EQ(result, FSV_OK);
    CHECK_EQ(alone - h1.server->desc.conns_max, 10 + 16);
    CHECK_EQ(h1.server->files_max, 10);
    CHECK_EQ(h1.server->shelf_files, 5);
    host_end(&h1);
    os_tree_remove(folder);
}

// Goal: a route that cannot be is refused and the log says why, as of one that is there already.
TEST(log_names_route)
{
    static const struct {
        const char *method, *pattern;
        fsv_result result;
    } rows[] = {
        {"GET", "none", FSV_ERR_ARGUMENT},
        {"GET", "", FSV_ERR_ARGUMENT},
        {"GET", NULL, FSV_ERR_ARGUMENT},
        {NULL, "/x", FSV_ERR_ARGUMENT},
        {"", "/x", FSV_ERR_ARGUMENT},
        {"G T", "/x", FSV_ERR_ARGUMENT},
        {"CONNECT", "/x", FSV_ERR_ARGUMENT},
        {"GET", "/*/x", FSV_ERR_ARGUMENT},
        {"GET", "/:", FSV_ERR_ARGUMENT},
        {"GET", "/:1/:2/:3/:4/:5/:6/:7/:8/:9", FSV_ERR_ARGUMENT},
        {"GET", "/", FSV_ERR_STATE},
        {"GET", "/n/:other", FSV_ERR_STATE},
        {"GET", "/:1/:2/:3/:4/:5/:6/:7/:8", FSV_OK},
        {"PURGE", "/", FSV_OK},
    };
    REQUIRE(host_make(&h1, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s %s", rows[i].method ? rows[i].method : "NULL", rows[i].pattern ? rows[i].pattern : "NULL");
        h1.log[0] = 0;
        CHECK_EQ(fsv_server_route(h1.server, rows[i].method, rows[i].pattern, on_hello, &h1), rows[i].result);
        CHECK_EQ(strncmp(h1.log, "0 route ", 8) == 0, rows[i].result != FSV_OK);
        CHECK_EQ(strstr(h1.log, "such a route already") != NULL, rows[i].result == FSV_ERR_STATE);
    }
    CHECK_EQ(fsv_server_route(h1.server, "GET", "/y", NULL, NULL), FSV_ERR_ARGUMENT);
    fsv_route_desc large; // a whole body that no memory can hold; in pieces it may be as long
    memset(&large, 0, sizeof large);
    large.method = "POST";
    large.pattern = "/large";
    large.handler = on_hello;
    large.user = &h1;
    large.body_bytes_max = (uint64_t)SIZE_MAX / 4 + 1;
    CHECK_EQ(fsv_server_route_add(h1.server, &large), FSV_ERR_ARGUMENT);
    large.on_body = on_echo_body;
    CHECK_EQ(fsv_server_route_add(h1.server, &large), FSV_OK);
    host_end(&h1);
}

// ---- several loops

#if FSI_LOCALITY
static fsi_affinity usual; // CPUs of the test itself

static bool two_cpus(int *cpus)
{
    fsi_cpu all[CPU_SETSIZE];
    usual = fsi_affinity_get();
    if (!usual.known || fsi_cpus(all) < 2) return false;
    cpus[0] = all[0].number;
    cpus[1] = all[1].number;
    return true;
}

// -1: wherever the test usually runs.
static void stay_on(int cpu)
{
    if (cpu >= 0)
        (void)fsi_affinity_pin(cpu);
    else
        fsi_affinity_restore(&usual);
}

static bool pinned_start(int *cpus)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    desc.pin = 1;
    return two_cpus(cpus) && host_start(&h1, &desc);
}

static void stopper_body(void *arg)
{
    host *h = (host *)arg;
    if (dial(&c1, h->port)) (void)ask(&c1, GET);
    hang_up(&c1);
    fsv_server_stop(h->server, 0);
}

// Goal: the thread that runs a pinned loop has its CPUs back afterwards, and its signal mask never changed.
TEST(affinity_restored)
{
    fsv_server_desc desc;
    fsi_thread stopper;
    int cpus[2];
    if (!two_cpus(cpus)) SKIP("needs two CPUs");
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    desc.pin = 1;
    REQUIRE(host_make(&h1, &desc) && host_listen(&h1, "127.0.0.1:0"));
    REQUIRE(fsi_thread_start(&stopper, stopper_body, &h1, "stopper"));
    CHECK_EQ(fsv_server_run(h1.server), FSV_OK);
    fsi_thread_join(&stopper);
    fsi_affinity after = fsi_affinity_get();
    CHECK(after.known && CPU_EQUAL(&after.set, &usual.set));
    CHECK_EQ(c1.status, 200);
    host_end(&h1);
}

// Goal: while a handler keeps one loop, the other accepts what comes to that loop's listener. All clients come from the
// CPU of the stuck loop; each is answered before the handler may go on.
TEST(stuck_loop_is_rescued)
{
    int cpus[2];
    if (!pinned_start(cpus)) SKIP("needs two CPUs");
    stay_on(cpus[0]);
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, "GET /gate HTTP/1.1\r\nHost: t\r\n\r\n"));
    gate_wait(&h1.gate, 1);
    for (int i = 0; i < 16; i++) {
        ROW("client %d", i);
        REQUIRE(dial(&c2, h1.port));
        CHECK_EQ(ask(&c2, GET), 200);
        hang_up(&c2);
    }
    gate_open(&h1.gate, GATE_ALL);
    CHECK_EQ(hear(&c1), 200);
    stay_on(-1);
    CHECK(STAT(&h1, conns_rescued) > 0);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a connection follows its packets to the loop of the CPU where they arrive, and no answer is lost on the way.
TEST(connection_follows)
{
    int cpus[2];
    if (!pinned_start(cpus)) SKIP("needs two CPUs");
    stay_on(cpus[0]);
    REQUIRE(dial(&c1, h1.port));
    for (int i = 0; i < 10; i++) CHECK_EQ(ask(&c1, GET), 200);
    uint32_t home = STAT_OF(&h1, 0, requests) ? 0 : 1;
    stay_on(cpus[1 - home]);
    int asked = 0;
    for (; asked < 100000 && STAT(&h1, conns_followed) == 0; asked++) REQUIRE(ask(&c1, GET) == 200);
    for (int i = 0; i < 100; i++) REQUIRE(ask(&c1, GET) == 200);
    stay_on(-1);
    CHECK_EQ(STAT(&h1, conns_followed), 1);
    CHECK_EQ(STAT(&h1, requests), asked + 110);
    CHECK(STAT_OF(&h1, 1 - home, requests) >= 100);
    CHECK_EQ(STAT(&h1, conns_accepted), 1);
    hang_up(&c1);
    UNTIL(STAT(&h1, conns_closed) == 1);
    host_end(&h1);
}
#else
static bool two_cpus(int *cpus)
{
    cpus[0] = cpus[1] = -1;
    return fsv_cpu_count() >= 2;
}

static void stay_on(int cpu)
{
    (void)cpu;
}

TEST(affinity_restored)
{
    SKIP("no pinning here");
}
TEST(stuck_loop_is_rescued)
{
    SKIP("no pinning here");
}
TEST(connection_follows)
{
    SKIP("no pinning here");
}
#endif

#if FSI_LOCALITY
// Which of two listeners of a group gets connections from a CPU, `share` of whose are given to the other one. UINT32_MAX
// where the system steers none.
static uint32_t arrived_elsewhere(const int *cpus, uint32_t share, uint32_t count)
{
    fsi_sockaddr at;
    fsi_cpu steered[2];
    int fds[2];
    uint32_t elsewhere = 0;
    memset(steered, 0, sizeof steered);
    fsi_sockaddr_v4(&at, 0x7f000001, 0);
    for (int i = 0; i < 2; i++) {
        fds[i] = fsi_sock_listen(&at, FSI_SHARE_ALL, false, 512);
        if (fds[i] < 0) abort();
        (void)fsi_sock_name(fds[i], &at);
        steered[i].number = cpus[i];
    }
    steered[0].give_share = share;
    steered[0].give_to = 1;
    if (!fsi_sock_steer(fds[1], steered, 2, 2)) {
        CHECK(errno == ENOPROTOOPT); // an emulator of another CPU does not hand on what it cannot translate
        for (int i = 0; i < 2; i++) fsi_sock_close(fds[i]);
        return UINT32_MAX;
    }
    stay_on(cpus[0]);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(dial(&c1, fsi_sockaddr_port(&at)));
        int own = fsi_sock_take(fds[0]), other = own < 0 ? fsi_sock_take(fds[1]) : -1;
        CHECK(own >= 0 || other >= 0);
        elsewhere += other >= 0;
        fsi_sock_close(own >= 0 ? own : other);
        hang_up(&c1);
    }
    stay_on(-1);
    for (int i = 0; i < 2; i++) fsi_sock_close(fds[i]);
    return elsewhere;
}

// Goal: of the connections that arrive on a CPU the kernel gives its share to the other loop, none, all or about half.
TEST(share_is_steered_elsewhere)
{
    int cpus[2];
    if (!two_cpus(cpus)) SKIP("needs two CPUs");
    uint32_t none = arrived_elsewhere(cpus, 0, 20);
    if (none == UINT32_MAX) SKIP("this system steers no connections");
    CHECK_EQ(none, 0);
    CHECK_EQ(arrived_elsewhere(cpus, FSI_GIVE_OF, 20), 20);
    uint32_t half = arrived_elsewhere(cpus, FSI_GIVE_OF / 2, 100);
    CHECK(half > 10 && half < 90);
}
#else
TEST(share_is_steered_elsewhere)
{
    SKIP("no pinning here");
}
#endif

// Goal: connections reach every loop, steered or spread, and each of them is served.
TEST(loops_all_serve)
{
    int cpus[2];
    if (!two_cpus(cpus)) SKIP("needs two CPUs");
    for (uint32_t pin = 0; pin <= (uint32_t)FSI_LOCALITY; pin++) {
        fsv_server_desc desc;
        memset(&desc, 0, sizeof desc);
        ROW("pin=%u", pin);
        desc.loops = 2;
        desc.pin = pin;
        REQUIRE(host_start(&h1, &desc));
        for (int i = 0; i < 200 && !(STAT_OF(&h1, 0, requests) && STAT_OF(&h1, 1, requests)); i++) {
            stay_on(cpus[i % 2]);
            REQUIRE(dial(&c1, h1.port));
            CHECK_EQ(ask(&c1, GET), 200);
            hang_up(&c1);
        }
        stay_on(-1);
        CHECK(STAT_OF(&h1, 0, requests) > 0);
        CHECK(STAT_OF(&h1, 1, requests) > 0);
        CHECK_EQ(STAT(&h1, conns_rescued), 0);
        host_end(&h1);
    }
}

// Goal: two servers in one process know nothing of each other.
TEST(two_servers)
{
    REQUIRE(host_start(&h1, NULL) && host_start(&h2, NULL));
    h2.hello = "Other!";
    CHECK(h1.port != h2.port);
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h2.port));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ask(&c1, GET), 200);
        CHECK_STR(body_of(&c1), "Hello!");
        CHECK_EQ(ask(&c2, GET), 200);
        CHECK_STR(body_of(&c2), "Other!");
    }
    CHECK_EQ(STAT(&h1, requests), 3);
    hang_up(&c1);
    host_end(&h1);
    CHECK_EQ(ask(&c2, GET), 200);
    CHECK_EQ(STAT(&h2, requests), 4);
    hang_up(&c2);
    host_end(&h2);
}

// ---- signals

// Goal: nothing of the host's signal state changes, and a connection that was reset raises no SIGPIPE, which would end
// this test.
TEST(signals_untouched)
{
    os_signals before = os_signals_begin(), after;
    CHECK(before.pipe_ends);
    REQUIRE(host_make(&h1, NULL) && host_listen(&h1, "127.0.0.1:0"));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK(say(&c1, "GET /flood HTTP/1.1\r\nHost: t\r\n\r\n") && say(&c2, "GET /owned HTTP/1.1\r\nHost: t\r\n\r\n"));
    while (STAT(&h1, requests) < 2) CHECK_EQ(fsv_server_poll(h1.server, UINT32_MAX), FSV_OK);
    os_shut(c1.fd,
            false); // an end and then a reset: the next write is EPIPE, on this thread, where the signal would hit
    os_shut(c2.fd, false);
    hang_up_hard(&c1);
    hang_up_hard(&c2);
    while (STAT(&h1, conns_closed) < 2) CHECK_EQ(fsv_server_poll(h1.server, UINT32_MAX), FSV_OK);
    CHECK_EQ(fsi_load32(&h1.closes), 1);
    CHECK_EQ(fsi_load32(&h1.released), 1);
    after = os_signals_now();
    CHECK(after.pipe_ends);
    CHECK_EQ(after.blocked, before.blocked);
    host_end(&h1);
}

// ---- requests and routes over the wire

// Goal: what the accessors give is what was sent, decoded where they say so; also when it came in pieces.
TEST(accessors)
{
    static const char request[] =
        "GET "
        "/show/a%20b%2Fc/x/y?q=1%2B1&plus=a+b&bad=%zz&nul=%00&long=0123456789012345678901234567890123456789&empty&q=2 "
        "HTTP/1.1\r\nHost: example:80\r\nX-Field: \t some thing \t\r\nx-field: second\r\n\r\n";
    static const char want[] =
        "method=GET;target=/show/a%20b%2Fc/x/"
        "y?q=1%2B1&plus=a+b&bad=%zz&nul=%00&long=0123456789012345678901234567890123456789"
        "&empty&q=2;path=/show/a b%2Fc/x/y;query=q=1%2B1&plus=a+b&bad=%zz&nul=%00&long="
        "0123456789012345678901234567890123456789&empty&q=2;host=example:80;id=a b%2Fc;rest=x/y;other=;field=some "
        "thing;"
        "q=1+1(3);plus=a b(3);bad:-1;nul:-1;long:-8;empty=(0);none:-10;version=11;fields=3;server=1";
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, request), 200);
    CHECK_STR(body_of(&c1), want);
    for (size_t i = 0; i < sizeof request - 1; i += 7) {
        char piece[8];
        (void)snprintf(piece, sizeof piece, "%.7s", request + i);
        CHECK(say(&c1, piece));
    }
    CHECK_EQ(hear(&c1), 200);
    CHECK_STR(body_of(&c1), want);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: the forms of a request target: what the path, the query and the host of each are.
TEST(target_forms)
{
    static const struct {
        const char *line, *extra;
        int status;
        const char *has; // in the body
    } rows[] = {
        {"GET /show/1/ HTTP/1.1", "", 200, "path=/show/1/;query=;host=t;id=1;rest=;"},
        {"GET /show/1/? HTTP/1.1", "", 200, "path=/show/1/;query=;host=t;"},
        {"GET http://u.example:81/show/1/2?q=3 HTTP/1.1", "", 200, "path=/show/1/2;query=q=3;host=u.example:81;"},
        {"GET HTTP://u.example/show/1/2 HTTP/1.1", "", 200, "host=u.example;"},
        {"GET http://u.example HTTP/1.1", "", 200, "Hello!"},
        {"GET http://u.example?x=1 HTTP/1.1", "", 200, "Hello!"},
        {"GET /show/%31/2 HTTP/1.0", "", 200, "path=/show/1/2;"},
        {"OPTIONS * HTTP/1.1", "", 204, ""},
        {"GET * HTTP/1.1", "", 400, ""},
        {"GET show HTTP/1.1", "", 400, ""},
        {"GET /show/1/2#part HTTP/1.1", "", 400, ""},
        {"CONNECT example:80 HTTP/1.1", "", 501, ""},
        {"GET /SHOW/1/2 HTTP/1.1", "", 404, ""},
        {"GET /show/1 HTTP/1.1", "", 404, ""},
        {"GET //show/1/2 HTTP/1.1", "", 404, ""},
        {"GET /x/../ HTTP/1.1", "", 404, ""},
    };
    REQUIRE(host_start(&h1, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[256];
        ROW("%s", rows[i].line);
        (void)snprintf(request, sizeof request, "%s\r\nHost: t\r\n%s\r\n", rows[i].line, rows[i].extra);
        REQUIRE(dial(&c1, h1.port));
        CHECK_EQ(ask(&c1, request), rows[i].status);
        CHECK(strstr(body_of(&c1), rows[i].has) != NULL);
        hang_up(&c1);
    }
    host_end(&h1);
}

static void on_named(fsv_request *request, void *user)
{
    fsv_respond_text(request, 200, (const char *)user);
}

static void on_fallback(fsv_request *request, void *user)
{
    (void)user;
    fsv_respond_text(request, 200, "fallback");
}

// Goal: which route wins, what 405 and OPTIONS list, and that every method finds its answer.
TEST(routes)
{
    static const struct {
        const char *method, *pattern;
    } routes[] = {{"GET", "/a/b"},   {"POST", "/a/:x"}, {"GET", "/a/:x"}, {"PUT", "/a/*"},  {"GET", "/:x/b/c"},
                  {"GET", "/a/b/*"}, {"*", "/any"},     {"HEAD", "/own"}, {"GET", "/own"},  {"PURGE", "/a/b"},
                  {"GET", "/"},      {"GET", "/end/"},  {"DELETE", "/d"}, {"OPTIONS", "/o"}};
    static const struct {
        const char *method, *path;
        int status;
        const char *body, *allow; // allow: NULL where there is none
    } rows[] = {
        {"GET", "/a/b", 200, "GET /a/b", NULL},
        {"GET", "/a/c", 200, "GET /a/:x", NULL},
        {"POST", "/a/b", 200, "POST /a/:x", NULL}, // the better path lacks the method
        {"PUT", "/a/b", 200, "PUT /a/*", NULL},
        {"PUT", "/a/", 200, "PUT /a/*", NULL},
        {"GET", "/a/b/c", 200, "GET /a/b/*", NULL},
        {"GET", "/z/b/c", 200, "GET /:x/b/c", NULL},
        {"GET", "/a/b/", 200, "GET /a/b/*", NULL},
        {"PURGE", "/a/b", 200, "PURGE /a/b", NULL},
        {"DELETE", "/a/b", 405, NULL, "GET, HEAD, POST, PUT, OPTIONS, PURGE"},
        {"POST", "/d", 405, NULL, "DELETE, OPTIONS"},
        {"OPTIONS", "/d", 204, "", "DELETE, OPTIONS"},
        {"OPTIONS", "/o", 200, "OPTIONS /o", NULL},
        {"PATCH", "/any", 200, "* /any", NULL},
        {"OPTIONS", "/any", 204, "", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"},
        {"PURGE", "/any", 405, NULL, "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"},
        {"BREW", "/any", 501, NULL, NULL},
        {"HEAD", "/a/b", 200, "", NULL},
        {"HEAD", "/own", 200, "", NULL},
        {"GET", "/end/", 200, "GET /end/", NULL},
        {"GET", "/none", 404, NULL, NULL},
        {"GET", "/end", 404, NULL, NULL},
    };
    char names[16][32];
    for (int with_fallback = 0; with_fallback <= 1; with_fallback++) {
        fsv_server_desc desc;
        memset(&desc, 0, sizeof desc);
        if (with_fallback) desc.handler = on_fallback;
        fsv_server *server;
        REQUIRE(fsv_server_create(&server, &desc) == FSV_OK);
        for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
            (void)snprintf(names[i], sizeof names[i], "%s %s", routes[i].method, routes[i].pattern);
            CHECK_EQ(fsv_server_route(server, routes[i].method, routes[i].pattern, on_named, names[i]), FSV_OK);
        }
        REQUIRE(fsv_server_listen(server, "127.0.0.1:0") == FSV_OK && fsv_server_start(server) == FSV_OK);
        REQUIRE(dial(&c1, fsv_server_port(server, 0)));
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char request[256];
            bool fallback = with_fallback && rows[i].status == 404;
            ROW("%s %s%s", rows[i].method, rows[i].path, with_fallback ? " with a fallback" : "");
            (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: t\r\n\r\n", rows[i].method, rows[i].path);
            CHECK(say(&c1, request));
            CHECK_EQ(hear_to(&c1, strcmp(rows[i].method, "HEAD") == 0), fallback ? 200 : rows[i].status);
            CHECK_STR(field_of(&c1, "Allow"), rows[i].allow);
            if (fallback)
                CHECK_STR(body_of(&c1), "fallback");
            else if (rows[i].body)
                CHECK_STR(body_of(&c1), rows[i].body);
        }
        hang_up(&c1);
        CHECK_EQ(fsv_server_free(server), FSV_OK);
    }
}

// What fsv_respond and its like say, as text; the answer itself carries two fields.
static void on_respond(fsv_request *request, void *user)
{
    char text[128];
    int results[8], n = 0;
    results[n++] = fsv_response_field(request, "X-One", "1");
    results[n++] = fsv_response_field(request, "X-Bad", "a\r\nX-Evil: 1");
    results[n++] = fsv_response_field(request, "X Bad", "1");
    results[n++] = fsv_response_field(request, "Content-Length", "1");
    results[n++] = fsv_respond(request, 99, NULL, NULL, 0);
    results[n++] = fsv_respond(request, 200, "text/plain\r\nX-Evil: 1", "", 0);
    results[n++] = fsv_respond_stream(request, 200, NULL, 1); // the route has no on_room
    results[n++] = fsv_response_close(request);
    size_t at = 0;
    for (int i = 0; i < n; i++) at += (size_t)snprintf(text + at, sizeof text - at, "%d ", results[i]);
    fsv_respond_text(request, 203, text);
    if (fsv_respond_text(request, 200, "twice") != FSV_ERR_STATE) fsi_add32(&((host *)user)->wrong_user, 1);
    if (fsv_response_field(request, "X-Late", "1") != FSV_ERR_STATE) fsi_add32(&((host *)user)->wrong_user, 1);
}

static void on_silent(fsv_request *request, void *user)
{
    (void)user;
    (void)fsv_response_field(request, "Content-Encoding", "gzip");
}

static size_t on_silent_body(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)request;
    (void)data;
    (void)user;
    return len;
}

// Goal: an answer's rules hold on the wire: nothing injected, nothing twice, silence is a 500 that has none of the
// fields which were meant for the answer that did not come.
TEST(answers_over_the_wire)
{
    REQUIRE(host_make(&h1, NULL));
    host_route(&h1, "GET", "/respond", on_respond, NULL, NULL, NULL);
    host_route(&h1, "GET", "/silent", on_silent, NULL, NULL, NULL);
    host_route(&h1, "POST", "/silent", on_silent, on_silent_body, NULL, NULL);
    REQUIRE(host_listen(&h1, "127.0.0.1:0") && driver_begin(&h1.driver, h1.server, DRIVE_START));
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, "GET /silent HTTP/1.1\r\nHost: t\r\n\r\n"), 500);
    CHECK(!field_of(&c1, "Content-Encoding"));
    CHECK_EQ(ask(&c1, "POST /silent HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab"), 500);
    CHECK(!field_of(&c1, "Content-Encoding"));
    CHECK_EQ(ask(&c1, "GET /respond HTTP/1.1\r\nHost: t\r\n\r\n"), 203);
    CHECK_STR(body_of(&c1), "0 -9 -9 -9 -1 -9 -7 0 ");
    CHECK_STR(field_of(&c1, "X-One"), "1");
    CHECK(strstr(c1.head, "Evil") == NULL);
    CHECK_STR(field_of(&c1, "Connection"), "close");
    CHECK(field_of(&c1, "Date") && strlen(field_of(&c1, "Date")) == 29);
    CHECK(ended(&c1));
    hang_up(&c1);
    host_end(&h1);
}

TEST_MAIN(CASE(drive_modes), CASE(misuse_in_handler), CASE(stop_in_handler), CASE(stop_before_run), CASE(free_unused),
          CASE(poll_by_descriptor), CASE(poll_refused), CASE(keep_alive), CASE(pipelining_order),
          CASE(half_closed_client), CASE(listen_forms), CASE(listen_errors), CASE(several_listeners), CASE(unix_file),
          CASE(unix_successor), CASE(unix_longest_path), CASE(unix_abstract), CASE(in_use), CASE(in_use_shared),
          CASE(limits), CASE(conns_max), CASE(conns_per_address), CASE(conns_max_with_request),
          CASE(too_large_while_sending), CASE(expect_continue), CASE(timeouts_answered), CASE(timeout_of_dripping_head),
          CASE(timeout_idle), CASE(timeout_stalled_stream), CASE(timeout_send), CASE(stream_64_mib),
          CASE(stream_to_http_1_0), CASE(drain_finishes), CASE(drain_finishes_late), CASE(drain_answers_fresh),
          CASE(drain_serves_backlog), CASE(burst_without_pause), CASE(drain_deadline), CASE(free_while_running),
          CASE(free_while_waited_for), CASE(stop_waits_asleep), CASE(stats_exact), CASE(on_answer),
          CASE(user_and_on_close), CASE(log_names_desc_field), CASE(log_conns_clamped), CASE(conns_clamped_for_folders),
          CASE(log_names_route), CASE(affinity_restored), CASE(share_is_steered_elsewhere), CASE(loops_all_serve),
          CASE(stuck_loop_is_rescued), CASE(connection_follows), CASE(two_servers), CASE(signals_untouched),
          CASE(accessors), CASE(target_forms), CASE(routes), CASE(answers_over_the_wire))
