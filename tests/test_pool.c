// test_pool.c: handlers on workers, deferred and streamed answers, over loopback. Every server counts its memory: a
// case that leaves a byte behind fails. Waits are for events; a receive that takes too long is a failure, not a hang.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#include "host.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 1
#endif
#endif
#ifndef SLOW
#define SLOW 0
#endif

#define MIB ((size_t)1 << 20)

// ---- the client's side

static client c1, c2, c3, c4; // one case uses them at a time

// The body as a number; for any thread.
static uint32_t number_heard(const client *c)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%.*s", c->body_len < 15 ? (int)c->body_len : 0, c->buf + c->body_at);
    return (uint32_t)strtoul(text, NULL, 10);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: t\r\n\r\n"
#define HEAD(target) "HEAD " target " HTTP/1.1\r\nHost: t\r\n\r\n"

// ---- the server's side

#define MAIL_MAX 65536

typedef struct host {
    fsv_server *server;
    uint32_t port;
    struct heap heap;
    struct gate gate;
    fsi_lock lock;
    fsi_signal changed;
    // under lock
    struct {
        fsv_token token;
        uint32_t id;
    } mail[MAIL_MAX]; // tokens for whoever answers
    uint32_t mail_in, mail_out;
    bool mail_ends;
    char said[256]; // what calls of a handler said
    // atomic
    uint32_t begun, closes, released, wrong;
    struct driver driver;
} host;

static host h1;

// Notes results as text: "-7 0 ".
static void host_says(host *h, int result)
{
    fsi_lock_take(&h->lock);
    size_t at = strlen(h->said);
    (void)snprintf(h->said + at, sizeof h->said - at, "%d ", result);
    fsi_lock_give(&h->lock);
}

static const char *said_by(host *h)
{
    static char out[sizeof h->said];
    fsi_lock_take(&h->lock);
    memcpy(out, h->said, sizeof out);
    fsi_lock_give(&h->lock);
    return out;
}

static void mail_put(host *h, fsv_token token, uint32_t id)
{
    fsi_lock_take(&h->lock);
    h->mail[h->mail_in % MAIL_MAX].token = token;
    h->mail[h->mail_in++ % MAIL_MAX].id = id;
    fsi_signal_all(&h->changed);
    fsi_lock_give(&h->lock);
}

// Waits for the next token. False: there will be none.
static bool mail_get(host *h, fsv_token *token, uint32_t *id)
{
    fsi_lock_take(&h->lock);
    while (h->mail_in == h->mail_out && !h->mail_ends) fsi_signal_wait(&h->changed, &h->lock, UINT64_MAX);
    bool got = h->mail_in != h->mail_out;
    if (got) {
        *token = h->mail[h->mail_out % MAIL_MAX].token;
        *id = h->mail[h->mail_out++ % MAIL_MAX].id;
    }
    fsi_lock_give(&h->lock);
    return got;
}

static fsv_token mail_token(host *h)
{
    fsv_token token;
    uint32_t id;
    memset(&token, 0, sizeof token);
    CHECK(mail_get(h, &token, &id));
    return token;
}

static void mail_end(host *h)
{
    fsi_lock_take(&h->lock);
    h->mail_ends = true;
    fsi_signal_all(&h->changed);
    fsi_lock_give(&h->lock);
}

static uint32_t number_of(const fsv_request *request)
{
    fsv_str n = fsv_request_param(request, "n");
    char text[16];
    (void)snprintf(text, sizeof text, "%.*s", (int)n.len, n.ptr);
    return (uint32_t)strtoul(text, NULL, 10);
}

static void begin(fsv_request *request, void *user)
{
    fsi_add32(&((host *)user)->begun, 1);
    if (fsv_request_user(request)) fsi_add32(&((host *)user)->wrong, 1);
    fsv_request_set_user(request, user);
}

// on_close of every route: only of a request whose handler was called.
static void on_gone(fsv_request *request, void *user)
{
    if (fsv_request_user(request) != user) fsi_add32(&((host *)user)->wrong, 1);
    fsi_add32(&((host *)user)->closes, 1);
}

static void on_number(fsv_request *request, void *user)
{
    fsv_str n = fsv_request_param(request, "n");
    begin(request, user);
    fsv_respond(request, 200, "text/plain", n.ptr, n.len);
}

static void on_gate(fsv_request *request, void *user)
{
    begin(request, user);
    gate_pass(&((host *)user)->gate);
    fsv_respond_text(request, 200, "through");
}

static void on_whole(fsv_request *request, void *user)
{
    fsv_str body = fsv_request_body(request);
    begin(request, user);
    fsv_respond(request, 200, "application/octet-stream", body.ptr, body.len);
}

static void on_status(fsv_request *request, void *user)
{
    begin(request, user);
    fsv_respond(request, number_of(request), NULL, NULL, 0);
}

static void fill(char *to, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++) to[i] = (char)((from + i) * 7 + ((from + i) >> 8));
}

static bool is_filled(const char *at, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] != (char)((from + i) * 7 + ((from + i) >> 8))) return false;
    return true;
}

// A copied body of n bytes; the memory changes as soon as the call is back.
static void on_copied(fsv_request *request, void *user)
{
    size_t len = number_of(request);
    char *body = (char *)malloc(len + 1);
    begin(request, user);
    if (!body) return;
    fill(body, len, 0);
    fsv_respond(request, 200, "application/octet-stream", body, len);
    memset(body, 'x', len);
    free(body);
}

static void on_release(void *memory, void *user)
{
    free(memory);
    fsi_add32(&((host *)user)->released, 1);
}

static void on_owned(fsv_request *request, void *user)
{
    size_t len = number_of(request);
    char *body = (char *)malloc(len + 1);
    begin(request, user);
    if (!body) return;
    fill(body, len, 0);
    fsv_respond_owned(request, 200, "application/octet-stream", body, len, on_release, user);
}

static void on_silent(fsv_request *request, void *user)
{
    begin(request, user);
}

static void on_stop(fsv_request *request, void *user)
{
    begin(request, user);
    fsv_server_stop(fsv_request_server(request), GUARD_S * 1000); // without a drain its own answer would be cut
    fsv_respond_text(request, 200, "stopping");
}

// The next token for the mailbox; 503 if there is none.
static void on_defer(fsv_request *request, void *user)
{
    host *h = (host *)user;
    fsv_token token;
    begin(request, user);
    fsv_response_field(request, "X-Before", "yes");
    fsv_result result = fsv_request_defer(request, &token);
    if (result == FSV_OK)
        mail_put(h, token, number_of(request));
    else if (fsv_respond_text(request, 503, fsv_result_text(result)) == FSV_ERR_STATE)
        fsi_add32(&h->wrong, 1);
}

static size_t on_defer_body(fsv_request *request, const char *data, size_t len, void *user)
{
    fsv_token token;
    (void)data;
    fsv_result result = fsv_request_defer(request, &token);
    if (len) {
        if (result != FSV_ERR_STATE) fsi_add32(&((host *)user)->wrong, 1);
        return len;
    }
    if (result == FSV_OK) mail_put((host *)user, token, 0);
    return 0;
}

// With the rest of what the token can do tried before and after the answer.
static void on_inside(fsv_request *request, void *user)
{
    host *h = (host *)user;
    fsv_str n = fsv_request_param(request, "n");
    fsv_token token, other;
    begin(request, user);
    host_says(h, fsv_request_defer(request, &token));
    host_says(h, fsv_request_defer(request, &other));
    host_says(h, fsv_respond_text(request, 200, "other"));
    host_says(h, fsv_respond_owned(request, 200, NULL, malloc(1), 1, on_release, user));
    host_says(h, fsv_response_field(request, "X-Late", "1"));
    host_says(h, fsv_response_close(request));
    host_says(h, fsv_token_respond(token, 200, "text/plain", n.ptr, n.len));
    host_says(h, fsv_token_respond(token, 200, "text/plain", "again", 5));
    if (fsv_request_method(request).len != 3) fsi_add32(&h->wrong, 1); // its views still stand
}

static const fsv_route_desc *host_routes(void)
{
    static fsv_route_desc routes[32];
    static const struct {
        const char *method, *pattern;
        fsv_handler handler;
        fsv_body_handler on_body;
        uint32_t blocking;
    } rows[] = {
        {"GET", "/fast/:n", on_number, NULL, 0},   {"GET", "/slow/:n", on_number, NULL, 1},
        {"GET", "/gate", on_gate, NULL, 1},        {"POST", "/whole", on_whole, NULL, 1},
        {"GET", "/status/:n", on_status, NULL, 1}, {"GET", "/copied/:n", on_copied, NULL, 1},
        {"GET", "/owned/:n", on_owned, NULL, 1},   {"GET", "/silent", on_silent, NULL, 1},
        {"GET", "/defer/:n", on_defer, NULL, 0},   {"GET", "/wdefer/:n", on_defer, NULL, 1},
        {"GET", "/inside/:n", on_inside, NULL, 0}, {"GET", "/winside/:n", on_inside, NULL, 1},
        {"GET", "/stop", on_stop, NULL, 1},        {"POST", "/body", on_silent, on_defer_body, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        routes[i].method = rows[i].method;
        routes[i].pattern = rows[i].pattern;
        routes[i].handler = rows[i].handler;
        routes[i].on_body = rows[i].on_body;
        routes[i].blocking = rows[i].blocking;
        routes[i].on_close = on_gone;
    }
    return routes;
}

static void host_route(host *h, const char *pattern, fsv_handler handler, uint32_t blocking)
{
    fsv_route_desc route;
    memset(&route, 0, sizeof route);
    route.method = "GET";
    route.pattern = pattern;
    route.handler = handler;
    route.on_close = on_gone;
    route.user = h;
    route.blocking = blocking;
    CHECK_EQ(fsv_server_route_add(h->server, &route), FSV_OK);
}

// A server with the routes above that listens and does not run yet. tweak may be NULL.
static bool host_make(host *h, const fsv_server_desc *tweak)
{
    fsv_server_desc desc;
    memset(h, 0, sizeof *h);
    memset(&desc, 0, sizeof desc);
    if (tweak) desc = *tweak;
    (void)fsi_lock_init(&h->lock);
    (void)fsi_signal_init(&h->changed);
    if (desc.conns_max == 0) desc.conns_max = 500;
    if (!heap_begin(&h->heap, &desc) || !gate_begin(&h->gate)) return false;
    desc.user = h;
    if (fsv_server_create(&h->server, &desc) != FSV_OK) return false;
    for (const fsv_route_desc *at = host_routes(); at->method; at++) {
        fsv_route_desc route = *at;
        route.user = h;
        if (fsv_server_route_add(h->server, &route) != FSV_OK) return false;
    }
    if (fsv_server_listen(h->server, "127.0.0.1:0") != FSV_OK) return false;
    h->port = fsv_server_port(h->server, 0);
    return true;
}

static bool host_start(host *h, const fsv_server_desc *tweak)
{
    return host_make(h, tweak) && fsv_server_start(h->server) == FSV_OK;
}

static void host_end_with(host *h, fsi_thread *other)
{
    CHECK_EQ(fsv_server_free(h->server), FSV_OK);
    if (other) fsi_thread_join(other);
    heap_end(&h->heap);
    gate_end(&h->gate);
    CHECK_EQ(h->wrong, 0);
    CHECK_EQ(h->closes, h->begun);
    fsi_signal_free(&h->changed);
    fsi_lock_free(&h->lock);
}

static void host_end(host *h)
{
    host_end_with(h, NULL);
}

static fsv_pool_stats pool_of(const host *h)
{
    fsv_pool_stats stats;
    memset(&stats, 0, sizeof stats);
    CHECK_EQ(fsv_server_pool_stats(h->server, &stats), FSV_OK);
    return stats;
}

// The server has seen everything that its only loop was told before this.
static void sync_with(host *h)
{
    client c;
    CHECK(dial(&c, h->port) && ask(&c, GET("/fast/0")) == 200);
    hang_up(&c);
}

// ---- handlers on workers

// Goal: the loop serves others while every worker is held; answers come home; the counters tell.
TEST(loop_serves_while_workers_are_held)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.workers = 2;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port) && dial(&c4, h1.port));
    CHECK(say(&c1, GET("/gate")) && say(&c2, GET("/gate")));
    gate_wait(&h1.gate, 2);
    CHECK(say(&c3, GET("/slow/7")));
    for (int i = 0; i < 3; i++) CHECK_EQ(ask(&c4, GET("/fast/5")), 200);
    CHECK_STR(body_of(&c4), "5");
    CHECK_EQ(pool_of(&h1).workers, 2);
    CHECK_EQ(pool_of(&h1).idle, 0);
    CHECK_EQ(pool_of(&h1).queued, 1);
    gate_open(&h1.gate, 2);
    CHECK_EQ(hear(&c1), 200);
    CHECK_STR(body_of(&c1), "through");
    CHECK_EQ(hear(&c2), 200);
    CHECK_EQ(hear(&c3), 200);
    CHECK_STR(body_of(&c3), "7");
    UNTIL(pool_of(&h1).idle == 2);
    CHECK_EQ(STAT(&h1, jobs), 3);
    CHECK_EQ(STAT(&h1, answers_2xx), 6);
    CHECK_EQ(pool_of(&h1).queued, 0);
    hang_up(&c1), hang_up(&c2), hang_up(&c3), hang_up(&c4);
    host_end(&h1);
}

static size_t show_put(char *out, size_t size, const char *what, fsv_str text)
{
    return (size_t)snprintf(out, size, "%s=%.*s;", what, (int)text.len, text.ptr);
}

// What the accessors say on a worker, after the loop has read other things meanwhile.
static void on_show(fsv_request *request, void *user)
{
    char out[2048], value[64];
    size_t at = 0;
    fsv_str field;
    begin(request, user);
    gate_pass(&((host *)user)->gate);
    at += show_put(out + at, sizeof out - at, "method", fsv_request_method(request));
    at += show_put(out + at, sizeof out - at, "target", fsv_request_target(request));
    at += show_put(out + at, sizeof out - at, "path", fsv_request_path(request));
    at += show_put(out + at, sizeof out - at, "query", fsv_request_query(request));
    at += show_put(out + at, sizeof out - at, "host", fsv_request_host(request));
    at += show_put(out + at, sizeof out - at, "id", fsv_request_param(request, "id"));
    at += show_put(out + at, sizeof out - at, "rest", fsv_request_param(request, "*"));
    at += show_put(out + at, sizeof out - at, "body", fsv_request_body(request));
    if (fsv_request_field(request, "x-FIELD", &field)) at += show_put(out + at, sizeof out - at, "field", field);
    if (fsv_request_query_value(request, "q", value, sizeof value) == 3)
        at += (size_t)snprintf(out + at, sizeof out - at, "q=%s;", value);
    if (fsv_request_peer(request, value, sizeof value) > 0)
        at += (size_t)snprintf(out + at, sizeof out - at, "%.10s", value);
    if (fsv_request_user(request) != user || fsv_request_version(request) != 11) fsi_add32(&((host *)user)->wrong, 1);
    host_says((host *)user, fsv_response_field(request, "X-One", "1"));
    host_says((host *)user, fsv_response_field(request, "X-Two", "2"));
    host_says((host *)user, fsv_response_field(request, "X Bad", "1"));
    host_says((host *)user, fsv_response_close(request));
    fsv_respond(request, 203, "text/show", out, at);
}

// Goal: a worker sees the whole request, escaped or not, body with the head or after it; what it says of the answer is
// on the wire.
TEST(worker_sees_the_request)
{
    static const char *const heads[] = {
        "POST /show/7/a/b?q=x%20y HTTP/1.1\r\nHost: h\r\nX-Field: f\r\nContent-Length: 5\r\n\r\n",
        "POST /show/%37/a%2Fb?q=x+y HTTP/1.1\r\nHost: h\r\nX-Field: f\r\nContent-Length: 5\r\n\r\n"};
    static const char *const shown[] = {"method=POST;target=/show/7/a/b?q=x%20y;path=/show/7/a/"
                                        "b;query=q=x%20y;host=h;id=7;rest=a/b;body=hello;field=f;q=x y;127.0.0.1:",
                                        "method=POST;target=/show/%37/a%2Fb?q=x+y;path=/show/7/"
                                        "a%2Fb;query=q=x+y;host=h;id=7;rest=a%2Fb;body=hello;field=f;q=x y;"
                                        "127.0.0.1:"};
    for (uint32_t i = 0; i < 4; i++) {
        fsv_route_desc route;
        ROW("%u", i);
        REQUIRE(host_make(&h1, NULL));
        memset(&route, 0, sizeof route);
        route.method = "POST", route.pattern = "/show/:id/*", route.handler = on_show;
        route.on_close = on_gone, route.user = &h1, route.blocking = 1;
        CHECK_EQ(fsv_server_route_add(h1.server, &route), FSV_OK);
        REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
        CHECK(say(&c1, heads[i % 2]));
        if (i >= 2) UNTIL(STAT(&h1, requests) == 1); // the body comes on its own
        CHECK(say(&c1, "hello"));
        gate_wait(&h1.gate, 1);
        sync_with(&h1);
        gate_open(&h1.gate, 1);
        CHECK_EQ(hear(&c1), 203);
        CHECK_STR(body_of(&c1), shown[i % 2]);
        CHECK_STR(field_of(&c1, "Content-Type"), "text/show");
        CHECK_STR(field_of(&c1, "X-One"), "1");
        CHECK_STR(field_of(&c1, "X-Two"), "2");
        CHECK_STR(field_of(&c1, "Connection"), "close");
        CHECK_STR(said_by(&h1), "0 0 -9 0 ");
        CHECK(ended(&c1));
        hang_up(&c1);
        host_end(&h1);
    }
}

// Goal: bodies of every size around the room of a job, and large ones, arrive whole; owned ones are released once.
TEST(worker_bodies)
{
    const size_t room = FSI_JOB_BYTES - sizeof(fsi_job) - strlen("application/octet-stream");
    const size_t sizes[] = {0, 1, 255, 256, 257, room - 1, room, room + 1, 4095, 4096, 4097, 65536, MIB};
    const size_t count = sizeof sizes / sizeof sizes[0];
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    for (size_t i = 0; i < count; i++) {
        static const char *const ways[] = {"copied", "owned"};
        for (int way = 0; way < 2; way++) {
            ROW("%s %zu", ways[way], sizes[i]);
            REQUIRE(sayf(&c1, GET("/%s/%zu"), ways[way], sizes[i]));
            REQUIRE(hear(&c1) == 200);
            CHECK_EQ(c1.body_len, sizes[i]);
            CHECK(is_filled(c1.buf + c1.body_at, c1.body_len, 0));
            REQUIRE(sayf(&c1, HEAD("/%s/%zu"), ways[way], sizes[i]));
            REQUIRE(hear_head(&c1) == 200);
            REQUIRE(field_of(&c1, "Content-Length") != NULL);
            CHECK_EQ(atol(field_of(&c1, "Content-Length")), sizes[i]);
        }
    }
    CHECK_EQ(fsi_load32(&h1.released), count * 2);
    CHECK_EQ(ask(&c1, GET("/status/204")), 204);
    CHECK_EQ(ask(&c1, GET("/status/304")), 304);
    CHECK_EQ(ask(&c1, GET("/status/599")), 599);
    CHECK_EQ(ask(&c1, GET("/slow/3")), 200);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a large request body reaches a worker as it was sent.
TEST(worker_request_body)
{
    static char body[MIB];
    fill(body, sizeof body, 0);
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    for (size_t len = 1; len <= sizeof body; len *= 32) {
        ROW("%zu", len);
        CHECK(sayf(&c1, "POST /whole HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n", len));
        CHECK(say_bytes(&c1, body, len));
        REQUIRE(hear(&c1) == 200);
        CHECK_BYTES(c1.buf + c1.body_at, c1.body_len, body, len);
    }
    CHECK(say(&c1,
              "POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    CHECK_EQ(hear(&c1), 200);
    CHECK_STR(body_of(&c1), "abcde");
    hang_up(&c1);
    host_end(&h1);
}

// Every call that is refused, and then the answer with the longest type.
static void on_rules(fsv_request *request, void *user)
{
    host *h = (host *)user;
    char type[1026], body[300];
    fsv_token token;
    begin(request, user);
    memset(type, 't', sizeof type);
    memset(body, 'b', sizeof body);
    type[1025] = 0;
    host_says(h, fsv_respond(request, 99, NULL, NULL, 0));
    host_says(h, fsv_respond(request, 204, NULL, "x", 1));
    host_says(h, fsv_respond(request, 205, NULL, "x", 1));
    host_says(h, fsv_respond(request, 200, "a\r\nb", NULL, 0));
    host_says(h, fsv_respond(request, 200, type, NULL, 0));
    host_says(h, fsv_respond_owned(request, 700, NULL, malloc(1), 1, on_release, user));
    host_says(h, fsv_respond_stream(request, 200, NULL, 1));
    host_says(h, fsv_stream_write(request, "x", 1));
    host_says(h, fsv_stream_end(request));
    fsv_stream_abort(request);
    type[1024] = 0;
    host_says(h, fsv_respond(request, 200, type, body, sizeof body));
    host_says(h, fsv_respond_text(request, 200, "twice"));
    host_says(h, fsv_respond_owned(request, 200, NULL, malloc(1), 1, on_release, user));
    host_says(h, fsv_response_field(request, "X-Late", "1"));
    host_says(h, fsv_response_close(request));
    host_says(h, fsv_request_defer(request, &token));
}

// Goal: the rules of an answer hold on a worker as on a loop; silence is a 500.
TEST(worker_rules)
{
    REQUIRE(host_make(&h1, NULL));
    host_route(&h1, "/rules", on_rules, 1);
    REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, GET("/silent")), 500);
    CHECK_EQ(ask(&c1, GET("/rules")), 200);
    CHECK_STR(said_by(&h1), "-1 -1 -1 -9 -8 -1 -7 -7 -7 0 -7 -7 -7 -7 -7 ");
    REQUIRE(field_of(&c1, "Content-Type") != NULL);
    CHECK_EQ(strlen(field_of(&c1, "Content-Type")), 1024);
    CHECK_EQ(c1.body_len, 300);
    CHECK(strstr(c1.head, "Late") == NULL);
    CHECK_EQ(fsi_load32(&h1.released), 2);
    CHECK_EQ(ask(&c1, GET("/slow/1")), 200);
    hang_up(&c1);
    host_end(&h1);
}

static void on_thread(fsv_request *request, void *user)
{
    char name[16] = "";
    begin(request, user);
    os_thread_name(name, sizeof name);
    fsv_respond(request, 200, NULL, name, 8);
}

// Goal: desc.blocking sends every handler to a worker, the one without a route included, but none with pieces.
TEST(everything_blocking)
{
    fsv_server_desc desc;
    fsv_route_desc route;
    memset(&desc, 0, sizeof desc);
    desc.blocking = 1;
    desc.handler = on_thread;
    desc.workers = 1;
    REQUIRE(host_make(&h1, &desc));
    host_route(&h1, "/thread", on_thread, 0);
    memset(&route, 0, sizeof route);
    route.method = "GET", route.pattern = "/pieces", route.handler = route.on_room = on_thread, route.user = &h1;
    route.on_close = on_gone;
    route.blocking = 1;
    CHECK_EQ(fsv_server_route_add(h1.server, &route), FSV_ERR_ARGUMENT);
    route.blocking = 0;
    CHECK_EQ(fsv_server_route_add(h1.server, &route), FSV_OK);
    REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, GET("/thread")), 200);
    CHECK_STR(body_of(&c1), "fsv-work");
    CHECK_EQ(ask(&c1, GET("/pieces")), 200);
    CHECK_STR(body_of(&c1), "fsv-loop");
    CHECK_EQ(ask(&c1, GET("/none")), 200);
    CHECK_STR(body_of(&c1), "fsv-work");
    (void)fsi_add32(&h1.begun, (uint32_t)-1); // desc.handler has no on_close
    hang_up(&c1);
    host_end(&h1);
}

// Everything that a handler must not call.
static void on_misuse(fsv_request *request, void *user)
{
    host *h = (host *)user;
    begin(request, user);
    host_says(h, fsv_server_free(h->server));
    host_says(h, fsv_server_wait(h->server));
    host_says(h, fsv_server_run(h->server));
    host_says(h, fsv_server_start(h->server));
    host_says(h, fsv_server_poll(h->server, 0));
    fsv_respond_text(request, 200, "well");
}

// Goal: a handler on a worker cannot free, wait for or drive the server.
TEST(worker_misuse)
{
    REQUIRE(host_make(&h1, NULL));
    host_route(&h1, "/misuse", on_misuse, 1);
    REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, GET("/misuse")), 200);
    CHECK_STR(said_by(&h1), "-7 -7 -7 -7 -7 ");
    CHECK_EQ(ask(&c1, GET("/stop")), 200);
    CHECK(ended(&c1));
    CHECK_EQ(fsv_server_wait(h1.server), FSV_OK);
    hang_up(&c1);
    host_end(&h1);
}

// ---- the connection of a request that is away

// Goal: pipelined requests of all kinds are answered in their order.
TEST(pipelined_in_order)
{
    static const char *const kinds[] = {"slow", "fast", "inside", "slow", "winside", "fast", "slow"};
    enum { COUNT = 1000 };
    static char all[COUNT * 60];
    size_t len = 0;
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.workers = 4;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, GET("/gate")));
    for (uint32_t i = 0; i < COUNT; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, GET("/%s/%u"), kinds[i % 7], i);
    CHECK(say_bytes(&c1, all, len));
    gate_wait(&h1.gate, 1);
    gate_open(&h1.gate, 1);
    CHECK_EQ(hear(&c1), 200);
    CHECK_STR(body_of(&c1), "through");
    for (uint32_t i = 0; i < COUNT; i++) {
        char want[16];
        ROW("%u", i);
        (void)snprintf(want, sizeof want, "%u", i);
        REQUIRE(hear(&c1) == 200);
        CHECK_STR(body_of(&c1), want);
    }
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a client that goes on sending while its request is away is not read without limit, and is answered in the end.
TEST(pipelined_without_end)
{
    static char request[8192];
    size_t sent = 0, len, whole;
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    (void)snprintf(request, sizeof request, "GET /fast/1 HTTP/1.1\r\nHost: t\r\nX-Pad: %08000d\r\n\r\n", 1);
    len = strlen(request);
    CHECK(say(&c1, GET("/gate")));
    gate_wait(&h1.gate, 1);
    os_block(c1.fd, false);
    while (sent < 64 * MIB) {
        int64_t n = os_send(c1.fd, request + sent % len, len - sent % len);
        if (n < 0) break;
        sent += (size_t)n;
    }
    os_block(c1.fd, true);
    CHECK(sent < 64 * MIB); // what the sockets hold, and a head's limit
    CHECK(STAT(&h1, bytes_received) < MIB);
    whole = sent / len;
    gate_open(&h1.gate, 1);
    CHECK_EQ(hear(&c1), 200);
    for (size_t i = 0; i < whole; i++) REQUIRE(hear(&c1) == 200);
    CHECK(say_bytes(&c1, request + sent % len, len - sent % len));
    CHECK_EQ(hear(&c1), 200);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a client that has ended its direction while its request is away gets that answer and those of what it had
// pipelined.
TEST(half_closed_while_away)
{
    static const char *const firsts[] = {"/gate", "/defer/1"};
    for (int i = 0; i < 4; i++) {
        ROW("%s %s", firsts[i % 2], i < 2 ? "alone" : "pipelined");
        REQUIRE(host_start(&h1, NULL));
        REQUIRE(dial(&c1, h1.port));
        CHECK(sayf(&c1, GET("%s"), firsts[i % 2]));
        if (i >= 2) CHECK(say(&c1, GET("/slow/2") GET("/fast/3") GET("/inside/4")));
        os_shut(c1.fd, false);
        if (i % 2 == 0) gate_wait(&h1.gate, 1);
        sync_with(&h1);
        if (i % 2 == 0)
            gate_open(&h1.gate, 1);
        else
            CHECK_EQ(fsv_token_respond(mail_token(&h1), 200, NULL, "1", 1), FSV_OK);
        CHECK_EQ(hear(&c1), 200);
        for (int k = 2; i >= 2 && k <= 4; k++) {
            CHECK_EQ(hear(&c1), 200);
            CHECK_EQ(atoi(body_of(&c1)), k);
        }
        CHECK(ended(&c1));
        hang_up(&c1);
        host_end(&h1);
    }
}

// The ways in which a request says that it is the last, or a client, before it goes away.
static const char *const last_words[] = {"HTTP/1.1\r\nHost: t\r\n\r\n",
                                         "HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "HTTP/1.0\r\n\r\n",
                                         "HTTP/1.1\r\nHost: t\r\n\r\nGET /fast/1 HTTP/1.1\r\nHost: t\r\n\r\n"};
#define LAST_WORDS 4

// Goal: a client that goes while its request runs, or is queued, leaves nothing; what was only queued is not begun.
TEST(client_gone_while_away)
{
    for (int i = 0; i < 2 * LAST_WORDS; i++) {
        fsv_server_desc desc;
        ROW("%d %s", i % LAST_WORDS, i < LAST_WORDS ? "reset" : "half-closed, then reset");
        memset(&desc, 0, sizeof desc);
        desc.workers = 1;
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port));
        CHECK(sayf(&c1, "GET /gate %s", last_words[i % LAST_WORDS]));
        gate_wait(&h1.gate, 1);
        CHECK(sayf(&c2, "GET /gate %s", last_words[i % LAST_WORDS]));
        UNTIL(pool_of(&h1).queued == 1);
        if (i >= LAST_WORDS) {
            os_shut(c1.fd, false);
            os_shut(c2.fd, false);
            sync_with(&h1);
        }
        hang_up_hard(&c1);
        hang_up_hard(&c2);
        sync_with(&h1);
        gate_open(&h1.gate, 2);
        UNTIL(STAT(&h1, conns_closed) == STAT(&h1, conns_accepted));
        UNTIL(pool_of(&h1).idle == 1);
        if (i < LAST_WORDS)
            CHECK_EQ(gate_count(&h1.gate, false), 1); // a reset after the end cannot be read from the socket
        CHECK_EQ(STAT(&h1, jobs), gate_count(&h1.gate, false));
        host_end(&h1);
    }
}

// ---- limits of the pool

// Goal: a full queue answers 503 with Retry-After, is counted, and leaves the connection usable; on_close is not for
// those.
TEST(queue_full_is_503)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.workers = 1;
    desc.jobs_max = 2;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port) && dial(&c4, h1.port));
    CHECK(say(&c1, GET("/gate")));
    gate_wait(&h1.gate, 1);
    CHECK(say(&c2, GET("/slow/2")) && say(&c3, GET("/slow/3")));
    UNTIL(pool_of(&h1).queued == 2);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ask(&c4, GET("/slow/4")), 503);
        CHECK_STR(field_of(&c4, "Retry-After"), "1");
        CHECK(field_of(&c4, "Connection") == NULL);
        CHECK_EQ(ask(&c4, GET("/fast/4")), 200);
        CHECK(say(&c4, "POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
        CHECK_EQ(hear(&c4), 503);
    }
    CHECK_EQ(STAT(&h1, jobs_refused), 6);
    CHECK_EQ(STAT(&h1, answers_5xx), 6);
    gate_open(&h1.gate, 1);
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(hear(&c2), 200);
    CHECK_EQ(hear(&c3), 200);
    CHECK_EQ(ask(&c4, GET("/slow/4")), 200);
    CHECK_EQ(STAT(&h1, jobs), 4);
    hang_up(&c1), hang_up(&c2), hang_up(&c3), hang_up(&c4);
    host_end(&h1);
}

// Goal: as many requests as the inbox has slots, but for one, may be away, by jobs or by tokens; the next gets a 503 or
// FSV_ERR_FULL.
TEST(inbox_full)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.inbox_max = 4;
    desc.jobs_wait = 1;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port) && dial(&c4, h1.port));
    for (int i = 0; i < 3; i++) {
        CHECK(say(&c1, GET("/gate")) && say(&c2, GET("/defer/2")));
        gate_wait(&h1.gate, (uint32_t)i + 1);
        fsv_token token = mail_token(&h1);
        CHECK(say(&c4, GET("/defer/4")));
        fsv_token other = mail_token(&h1);
        CHECK_EQ(ask(&c3, GET("/slow/3")), 503);
        CHECK_EQ(ask(&c3, GET("/defer/3")), 503);
        CHECK_STR(body_of(&c3), fsv_result_text(FSV_ERR_FULL));
        gate_open(&h1.gate, 1);
        CHECK_EQ(hear(&c1), 200);
        CHECK_EQ(ask(&c3, GET("/slow/3")), 200);
        CHECK_EQ(fsv_token_respond(token, 200, NULL, "2", 1), FSV_OK);
        CHECK_EQ(fsv_token_respond(other, 200, NULL, "4", 1), FSV_OK);
        CHECK_EQ(hear(&c2), 200);
        CHECK_EQ(hear(&c4), 200);
    }
    CHECK_EQ(STAT(&h1, jobs_refused), 3);
    hang_up(&c1), hang_up(&c2), hang_up(&c3), hang_up(&c4);
    host_end(&h1);
}

typedef struct asker {
    fsi_thread thread;
    client c;
    uint32_t port, id, rounds, burst, good;
} asker;

// Rounds of pipelined requests, each answered by its number.
static void asker_body(void *arg)
{
    asker *a = (asker *)arg;
    bool well = dial(&a->c, a->port);
    for (uint32_t i = 0; well && i < a->rounds; i++) {
        for (uint32_t k = 0; well && k < a->burst; k++) well = sayf(&a->c, GET("/slow/%u"), a->id + i * a->burst + k);
        for (uint32_t k = 0; well && k < a->burst; k++) {
            well = hear(&a->c) == 200 && number_heard(&a->c) == a->id + i * a->burst + k;
            a->good += well;
        }
    }
    hang_up(&a->c);
}

static asker askers[32];

static void askers_run(host *h, uint32_t count, uint32_t rounds, uint32_t burst)
{
    memset(askers, 0, sizeof askers);
    for (uint32_t i = 0; i < count; i++) {
        askers[i].port = h->port;
        askers[i].id = i * 1000000;
        askers[i].rounds = rounds;
        askers[i].burst = burst;
        REQUIRE(fsi_thread_start(&askers[i].thread, asker_body, &askers[i], "asker"));
    }
    for (uint32_t i = 0; i < count; i++) {
        fsi_thread_join(&askers[i].thread);
        CHECK_EQ(askers[i].good, rounds * burst);
    }
}

// Goal: with jobs_wait nothing is refused however short the queue, from several loops, with one queue or one for each
// worker.
TEST(jobs_wait_answers_all)
{
    for (uint32_t i = 0; i < 6; i++) {
        fsv_server_desc desc;
        ROW("%u", i);
        memset(&desc, 0, sizeof desc);
        desc.loops = i % 3 + 1;
        desc.workers = i % 3 + 1;
        desc.jobs_max = 2;
        desc.jobs_wait = 1;
        desc.queue_per_worker = i / 3;
        REQUIRE(host_start(&h1, &desc));
        askers_run(&h1, 32, SLOW ? 4 : 10, 8);
        CHECK_EQ(STAT(&h1, jobs), 32 * (SLOW ? 4 : 10) * 8);
        CHECK_EQ(STAT(&h1, jobs_refused), 0);
        host_end(&h1);
    }
}

// Goal: no wake of a worker is lost when several loops push and workers fall asleep all the time.
TEST(workers_wake)
{
    for (uint32_t i = 0; i < 2; i++) {
        fsv_server_desc desc;
        ROW("queue_per_worker=%u", i);
        memset(&desc, 0, sizeof desc);
        desc.loops = 3;
        desc.workers = 4;
        desc.queue_per_worker = i;
        REQUIRE(host_start(&h1, &desc));
        askers_run(&h1, 6, SLOW || os_is_wine() ? 500 : 4000, 1);
        host_end(&h1);
    }
}

// Goal: jobs that wait for room on their connections end when those do: by a reset, and by the end of the server.
TEST(jobs_wait_gone)
{
    for (int i = 0; i < 2; i++) {
        fsv_server_desc desc;
        ROW("%s", i ? "free" : "reset");
        memset(&desc, 0, sizeof desc);
        desc.workers = 1;
        desc.jobs_max = 2;
        desc.jobs_wait = 1;
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port) && dial(&c4, h1.port));
        CHECK(say(&c1, GET("/gate")));
        gate_wait(&h1.gate, 1);
        CHECK(say(&c2, GET("/slow/1")));
        CHECK(say(&c3, GET("/slow/1")));
        UNTIL(pool_of(&h1).queued == 2);
        CHECK(say(&c4, GET("/slow/1")));
        sync_with(&h1);
        if (i == 0) hang_up_hard(&c4), sync_with(&h1);
        if (i == 1) fsv_server_stop(h1.server, 0), hang_up(&c4);
        if (i == 1) CHECK(receive(&c2) <= 0 && receive(&c3) <= 0);
        gate_open(&h1.gate, 1);
        CHECK_EQ(hear(&c1) == 200, i == 0);
        hang_up(&c1), hang_up(&c2), hang_up(&c3);
        UNTIL(STAT(&h1, conns_closed) == STAT(&h1, conns_accepted));
        CHECK_EQ(fsi_load32(&h1.begun) - (uint32_t)STAT(&h1, answers_2xx),
                 (uint32_t)i); // the gate's answer had nowhere to go
        host_end(&h1);
    }
}

// ---- tokens

// Goal: an answer by token from another thread is as good as the handler's own; the token is ended by it.
TEST(token_answers)
{
    static const char *const ways[] = {"/defer/1", "/wdefer/1"};
    static char large[MIB];
    fill(large, sizeof large, 0);
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    for (int i = 0; i < 2; i++) {
        ROW("%s", ways[i]);
        for (size_t len = 0; len <= sizeof large; len = len * 2 + 1) {
            CHECK(sayf(&c1, GET("%s"), ways[i]));
            fsv_token token = mail_token(&h1);
            CHECK_EQ(pool_of(&h1).tokens, 1);
            CHECK_EQ(fsv_token_respond(token, 201, "text/token", large, len), FSV_OK);
            REQUIRE(hear(&c1) == 201);
            CHECK_BYTES(c1.buf + c1.body_at, c1.body_len, large, len);
            CHECK_STR(field_of(&c1, "X-Before"), "yes");
            CHECK_STR(field_of(&c1, "Content-Type"), "text/token");
            CHECK_EQ(fsv_token_respond(token, 201, "text/token", large, len), FSV_ERR_CLOSED);
        }
        CHECK(sayf(&c1, HEAD("%s"), ways[i]));
        char *owned = (char *)malloc(70000);
        REQUIRE(owned != NULL);
        memset(owned, 'o', 70000);
        CHECK_EQ(fsv_token_respond_owned(mail_token(&h1), 200, NULL, owned, 70000, on_release, &h1), FSV_OK);
        REQUIRE(hear_head(&c1) == 200);
        CHECK_STR(field_of(&c1, "Content-Length"), "70000");
        CHECK(sayf(&c1, GET("%s"), ways[i]));
        CHECK_EQ(fsv_token_respond(mail_token(&h1), 204, NULL, NULL, 0), FSV_OK);
        CHECK_EQ(hear(&c1), 204);
        CHECK(sayf(&c1, GET("%s"), ways[i]));
        fsv_token_drop(mail_token(&h1));
        CHECK_EQ(hear(&c1), 500);
        CHECK_EQ(fsi_load32(&h1.released), (uint32_t)i + 1);
    }
    CHECK_EQ(pool_of(&h1).tokens, 0);
    CHECK_EQ(STAT(&h1, deferred), fsi_load32(&h1.begun));
    hang_up(&c1);
    host_end(&h1);
}

// Goal: an answer that breaks the rules leaves the token as it was; calls that do not fit say so.
TEST(token_rules)
{
    char type[1026];
    fsv_token none, token;
    memset(&none, 0, sizeof none);
    memset(type, 't', sizeof type);
    type[1025] = 0;
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    CHECK(say(&c1, GET("/defer/1")));
    token = mail_token(&h1);
    CHECK_EQ(fsv_token_respond(token, 99, NULL, NULL, 0), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_respond(token, 204, NULL, "x", 1), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 1), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_respond(token, 200, "a\nb", NULL, 0), FSV_ERR_FIELD);
    CHECK_EQ(fsv_token_respond(token, 200, type, NULL, 0), FSV_ERR_LIMIT);
    CHECK_EQ(fsv_token_respond_owned(token, 600, NULL, malloc(1), 1, on_release, &h1), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_stream(token, 304, NULL, 1), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_write(token, "x", 1), FSV_ERR_STATE);
    CHECK_EQ(fsv_token_wait(token, 0), FSV_ERR_STATE);
    CHECK_EQ(fsv_token_end(token), FSV_ERR_STATE);
    CHECK_EQ(fsv_token_respond(none, 200, NULL, NULL, 0), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_stream(none, 200, NULL, 0), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_write(none, NULL, 0), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_wait(none, 0), FSV_ERR_ARGUMENT);
    CHECK_EQ(fsv_token_end(none), FSV_ERR_ARGUMENT);
    fsv_token_drop(none);
    type[1024] = 0;
    CHECK_EQ(fsv_token_respond(token, 200, type, "body", 4), FSV_OK);
    CHECK_EQ(hear(&c1), 200);
    REQUIRE(field_of(&c1, "Content-Type") != NULL);
    CHECK_EQ(strlen(field_of(&c1, "Content-Type")), 1024);
    CHECK_STR(body_of(&c1), "body");
    CHECK_EQ(fsv_token_stream(token, 200, NULL, 0), FSV_ERR_CLOSED);
    CHECK_EQ(fsv_token_write(token, "x", 1), FSV_ERR_CLOSED);
    CHECK_EQ(fsv_token_wait(token, UINT32_MAX), FSV_ERR_CLOSED);
    CHECK_EQ(fsv_token_end(token), FSV_ERR_CLOSED);
    CHECK_EQ(fsv_token_respond_owned(token, 200, NULL, malloc(1), 1, on_release, &h1), FSV_ERR_CLOSED);
    fsv_token_drop(token);
    token.slot = 1u << 30;
    CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 0), FSV_ERR_CLOSED);
    CHECK_EQ(fsi_load32(&h1.released), 2);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: a token may be answered before its handler has returned; what the handler does besides is refused.
TEST(token_inside_handler)
{
    static const char *const ways[] = {"/inside/42", "/winside/42"};
    for (int i = 0; i < 2; i++) {
        ROW("%s", ways[i]);
        REQUIRE(host_start(&h1, NULL));
        REQUIRE(dial(&c1, h1.port));
        CHECK(sayf(&c1, GET("%s"), ways[i]));
        CHECK_EQ(hear(&c1), 200);
        CHECK_STR(body_of(&c1), "42");
        CHECK(strstr(c1.head, "Late") == NULL);
        CHECK_STR(said_by(&h1), "0 -7 -7 -7 -7 -7 0 -11 ");
        CHECK_EQ(fsi_load32(&h1.released), 1);
        CHECK_EQ(ask(&c1, GET("/fast/1")), 200); // and is still there
        hang_up(&c1);
        host_end(&h1);
    }
}

static void on_answer_next(fsv_request *request, void *user)
{
    fsv_token token = mail_token((host *)user);
    begin(request, user);
    if (fsv_token_respond(token, 200, NULL, "by another", 10) != FSV_OK) fsi_add32(&((host *)user)->wrong, 1);
    fsv_respond_text(request, 200, "done");
}

// Goal: the handler of one request, on a worker or on a loop, answers another's by its token.
TEST(token_by_other_handler)
{
    for (uint32_t blocking = 0; blocking < 2; blocking++) {
        ROW("blocking=%u", blocking);
        REQUIRE(host_make(&h1, NULL));
        host_route(&h1, "/next", on_answer_next, blocking);
        REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port) && dial(&c2, h1.port));
        CHECK(say(&c1, GET("/defer/1")));
        UNTIL(STAT(&h1, deferred) == 1); // or the handler waits on the loop for what is yet to come there
        CHECK_EQ(ask(&c2, GET("/next")), 200);
        CHECK_EQ(hear(&c1), 200);
        CHECK_STR(body_of(&c1), "by another");
        hang_up(&c1), hang_up(&c2);
        host_end(&h1);
    }
}

static void on_defer_and_stay(fsv_request *request, void *user)
{
    on_defer(request, user);
    gate_pass(&((host *)user)->gate);
}

static void on_field_and_defer(fsv_request *request, void *user)
{
    fsv_token token;
    begin(request, user);
    CHECK_EQ(fsv_response_field(request, "Content-Encoding", "gzip"), FSV_OK);
    CHECK_EQ(fsv_request_defer(request, &token), FSV_OK);
    CHECK_EQ(fsv_token_wait(token, 0), FSV_ERR_STATE); // on a loop it would wait for itself
    CHECK_EQ(fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN), FSV_OK);
    CHECK_EQ(fsv_token_wait(token, UINT32_MAX), FSV_ERR_STATE);
    fsv_token_drop(token);
}

static void on_field_and_drop(fsv_request *request, void *user)
{
    fsv_token token;
    begin(request, user);
    CHECK_EQ(fsv_response_field(request, "Content-Encoding", "gzip"), FSV_OK);
    CHECK_EQ(fsv_request_defer(request, &token), FSV_OK);
    fsv_token_drop(token);
}

// Goal: the library's own answer has none of the fields that were meant for the handler's; nobody waits on a loop.
TEST(lost_token_has_own_answer)
{
    REQUIRE(host_make(&h1, NULL));
    host_route(&h1, "/drop", on_field_and_drop, 0);
    host_route(&h1, "/wait", on_field_and_defer, 0);
    REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port) && dial(&c2, h1.port));
    CHECK_EQ(ask(&c1, GET("/drop")), 500);
    CHECK(field_of(&c1, "Content-Encoding") == NULL);
    CHECK(say(&c2, GET("/wait")));
    CHECK(was_cut(&c2));
    hang_up(&c1), hang_up(&c2);
    host_end(&h1);
}

// Fills a stream on the thread that would have to empty it.
static void on_wait_for_myself(fsv_request *request, void *user)
{
    static char piece[8192];
    fsv_token token;
    fsv_result result;
    begin(request, user);
    CHECK_EQ(fsv_request_defer(request, &token), FSV_OK);
    CHECK_EQ(fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN), FSV_OK);
    do result = fsv_token_write(token, piece, sizeof piece);
    while (result == FSV_OK);
    CHECK_EQ(result, FSV_ERR_FULL);
    CHECK_EQ(fsv_token_wait(token, UINT32_MAX), FSV_ERR_STATE);
    CHECK_EQ(fsv_token_end(token), FSV_OK);
}

// Goal: in no model does a handler wait for its own thread to make room.
TEST(token_wait_on_its_own_thread)
{
    for (uint32_t model = 0; model <= FSV_MODEL_SYNC; model++) {
        fsv_server_desc desc;
        ROW("model %u", model);
        memset(&desc, 0, sizeof desc);
        desc.model = model;
        desc.out_bytes_max = 65536;
        REQUIRE(host_make(&h1, &desc));
        host_route(&h1, "/wait", on_wait_for_myself, 0);
        REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
        CHECK_EQ(ask(&c1, GET("/wait")), 200);
        CHECK_EQ(c1.body_len, 65536);
        hang_up(&c1);
        host_end(&h1);
    }
}

// Goal: nor does the thread that polls a server, between two polls. What waits meanwhile takes little more memory than its
// bytes, however small the pieces are, and arrives in order.
TEST(token_wait_between_polls)
{
    fsv_server_desc desc;
    fsv_result result;
    size_t n = 0;
    char byte;
    memset(&desc, 0, sizeof desc);
    desc.out_bytes_max = 65536;
    REQUIRE(host_make(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && say(&c1, GET("/defer/1")));
    while (STAT(&h1, deferred) == 0) CHECK_EQ(fsv_server_poll(h1.server, 10), FSV_OK);
    fsv_token token = mail_token(&h1);
    CHECK_EQ(fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN), FSV_OK);
    size_t before = heap_bytes(&h1.heap, false);
    for (;; n++) {
        fill(&byte, 1, n);
        result = fsv_token_write(token, &byte, 1);
        if (result != FSV_OK) break;
    }
    CHECK_EQ(result, FSV_ERR_FULL);
    CHECK_EQ(n, 65536);
    CHECK(heap_bytes(&h1.heap, false) - before < 2 * n);
    CHECK_EQ(fsv_token_wait(token, UINT32_MAX), FSV_ERR_STATE);
    CHECK_EQ(fsv_token_end(token), FSV_OK);
    while (STAT(&h1, bytes_sent) < n) CHECK_EQ(fsv_server_poll(h1.server, 10), FSV_OK);
    for (int i = 0; i < 10; i++) CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_OK); // the last chunk
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(c1.body_len, n);
    CHECK(is_filled(c1.buf + c1.body_at, c1.body_len, 0));
    hang_up(&c1);
    host_end(&h1);
}

// Goal: an unanswered token becomes a 504 and is its holder's until he tries; on a worker when its handler has
// returned.
TEST(token_timeout)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.defer_timeout_ms = 30;
    REQUIRE(host_make(&h1, &desc));
    host_route(&h1, "/stay/:n", on_defer_and_stay, 1);
    REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
    for (int i = 0; i < 3; i++) {
        ROW("%d", i);
        CHECK(say(&c1, i == 0 ? GET("/defer/1") : i == 1 ? GET("/wdefer/1") : GET("/stay/1")));
        fsv_token token = mail_token(&h1);
        if (i == 2) {
            UNTIL(STAT(&h1, defer_timeouts) == 3);
            gate_open(&h1.gate, 1);
        }
        CHECK_EQ(hear(&c1), 504);
        CHECK_EQ(pool_of(&h1).tokens, 1);
        if (i == 0) CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 0), FSV_ERR_CLOSED);
        if (i == 1) CHECK_EQ(fsv_token_respond_owned(token, 200, NULL, malloc(1), 1, on_release, &h1), FSV_ERR_CLOSED);
        if (i == 2) fsv_token_drop(token);
        CHECK_EQ(pool_of(&h1).tokens, 0);
        CHECK_EQ(ask(&c1, GET("/fast/1")), 200);
    }
    CHECK_EQ(fsi_load32(&h1.released), 1);
    CHECK_EQ(STAT(&h1, timeouts), 3);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: when the client has gone the holder is told so, whatever he tries; while the handler still runs, too.
TEST(token_client_gone)
{
    for (int i = 0; i < 3 * LAST_WORDS; i++) {
        ROW("%d", i);
        REQUIRE(host_make(&h1, NULL));
        host_route(&h1, "/stay/:n", on_defer_and_stay, 1);
        REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
        const char *path = i / LAST_WORDS == 0 ? "/defer/1" : i / LAST_WORDS == 1 ? "/wdefer/1" : "/stay/1";
        CHECK(sayf(&c1, "GET %s %s", path, last_words[i % LAST_WORDS]));
        fsv_token token = mail_token(&h1);
        hang_up_hard(&c1);
        UNTIL(fsv_token_write(token, "x", 1) == FSV_ERR_CLOSED); // asks, ends nothing
        CHECK_EQ(pool_of(&h1).tokens, 1);
        if (i % 2)
            CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 0), FSV_ERR_CLOSED);
        else
            CHECK_EQ(fsv_token_end(token), FSV_ERR_CLOSED);
        CHECK_EQ(pool_of(&h1).tokens, 0);
        gate_open(&h1.gate, 1);
        host_end(&h1);
    }
}

// A worker defers only after the client has gone.
static void on_gate_defer(fsv_request *request, void *user)
{
    fsv_token token;
    begin(request, user);
    gate_pass(&((host *)user)->gate);
    host_says((host *)user, fsv_request_defer(request, &token));
}

// Goal: a token is not given out for a client that has gone.
TEST(token_too_late)
{
    REQUIRE(host_make(&h1, NULL));
    host_route(&h1, "/late", on_gate_defer, 1);
    REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
    CHECK(say(&c1, GET("/late")));
    gate_wait(&h1.gate, 1);
    hang_up_hard(&c1);
    sync_with(&h1);
    gate_open(&h1.gate, 1);
    UNTIL(STAT(&h1, conns_closed) == 2);
    CHECK_STR(said_by(&h1), "-11 ");
    host_end(&h1);
}

// Goal: not more than tokens_max are held at a time.
TEST(tokens_max)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.tokens_max = 2;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port));
    CHECK(say(&c1, GET("/defer/1")) && say(&c2, GET("/wdefer/2")));
    fsv_token one = mail_token(&h1), two = mail_token(&h1);
    CHECK_EQ(ask(&c3, GET("/defer/3")), 503);
    CHECK_STR(body_of(&c3), fsv_result_text(FSV_ERR_FULL));
    CHECK_EQ(ask(&c3, GET("/wdefer/3")), 503);
    hang_up_hard(&c1);
    hang_up_hard(&c2);
    sync_with(&h1);
    CHECK_EQ(ask(&c3, GET("/defer/3")), 503); // their clients have gone, but they are held
    fsv_token_drop(one);
    CHECK(say(&c3, GET("/defer/3")));
    fsv_token three = mail_token(&h1);
    CHECK_EQ(fsv_token_respond(three, 200, NULL, NULL, 0), FSV_OK);
    CHECK_EQ(hear(&c3), 200);
    fsv_token_drop(two);
    hang_up(&c3);
    host_end(&h1);
}

// Goal: on_body defers when the body has ended, not before; whether the body comes with the head or after it.
TEST(token_from_on_body)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t before = STAT(&h1, requests);
        ROW("%u", i);
        CHECK(say(&c1, i == 3   ? "POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                       : i == 2 ? "POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"
                       : i == 1 ? "POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
                                : "POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n"));
        UNTIL(STAT(&h1, requests) == before + 1);
        if (i == 0) CHECK(say(&c1, "abc"));
        if (i == 3) CHECK(say(&c1, "3\r\nabc\r\n0\r\n\r\n"));
        CHECK_EQ(fsv_token_respond(mail_token(&h1), 200, NULL, "got it", 6), FSV_OK);
        CHECK_EQ(hear(&c1), 200);
        CHECK_STR(body_of(&c1), "got it");
    }
    hang_up(&c1);
    host_end(&h1);
}

// Goal: the server cannot be freed while a token is held, and can when it has ended.
TEST(free_waits_for_tokens)
{
    for (int i = 0; i < 3; i++) {
        ROW("%d", i);
        REQUIRE(host_start(&h1, NULL));
        REQUIRE(dial(&c1, h1.port));
        CHECK(say(&c1, i ? GET("/wdefer/1") : GET("/defer/1")));
        fsv_token token = mail_token(&h1);
        if (i == 2) CHECK_EQ(fsv_token_stream(token, 200, NULL, 5), FSV_OK);
        if (i == 2) CHECK_EQ(fsv_token_write(token, "abc", 3), FSV_OK);
        CHECK_EQ(fsv_server_free(h1.server), FSV_ERR_STATE);
        CHECK_EQ(fsv_server_free(h1.server), FSV_ERR_STATE);
        CHECK(receive(&c1) <= (i == 2 ? 4096 : 0)); // what ran has stopped
        CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 0), FSV_ERR_CLOSED);
        hang_up(&c1);
        host_end(&h1);
    }
}

#define DEFERRED_MOST 105000
#define DEFERRED_MAX 200000 // those that are under way then too

// The crowd of deferred_crowd: who has answered what.
static struct {
    uint32_t next, goal; // atomic: number of the next request; so many, and more until one came too late
    uint32_t answered, closed, other, twice, heard_wrong, heard;
    uint8_t ends[DEFERRED_MAX];
} crowd;

static uint32_t draw(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void holder_body(void *arg)
{
    fsv_token token;
    uint32_t id;
    while (mail_get((host *)arg, &token, &id)) {
        char text[16];
        int n = snprintf(text, sizeof text, "%u", id);
        fsv_result result = fsv_token_respond(token, 200, "text/plain", text, (size_t)n);
        fsi_add32(result == FSV_OK ? &crowd.answered : result == FSV_ERR_CLOSED ? &crowd.closed : &crowd.other, 1);
        if (__atomic_fetch_add(&crowd.ends[id % DEFERRED_MAX], 1, __ATOMIC_RELAXED)) fsi_add32(&crowd.twice, 1);
        if (id % 16 == 0 && fsv_token_respond(token, 200, NULL, NULL, 0) != FSV_ERR_CLOSED) fsi_add32(&crowd.other, 1);
    }
}

static bool crowd_goes_on(void)
{
    uint32_t next = fsi_load32(&crowd.next);
    return next < crowd.goal || (next < DEFERRED_MOST && fsi_load32(&crowd.closed) == 0);
}

// Connections of some pipelined requests each; half of them are left before all has been heard.
static void visitor_body(void *arg)
{
    asker *a = (asker *)arg;
    uint32_t seed = a->id * 2654435761u + 1;
    while (crowd_goes_on()) {
        uint32_t count = 1 + draw(&seed) % 24, stay = draw(&seed) % 2 ? count : draw(&seed) % count;
        uint32_t first = fsi_add32(&crowd.next, count);
        bool well = first + count < DEFERRED_MAX && dial(&a->c, a->port);
        if (!well) return;
        for (uint32_t i = 0; i < count && well; i++)
            well = sayf(&a->c, GET("/%s/%u"), draw(&seed) % 4 ? "defer" : "wdefer", first + i);
        for (uint32_t i = 0; i < stay && well; i++) {
            well = hear(&a->c) == 200;
            fsi_add32(well && number_heard(&a->c) == first + i ? &crowd.heard : &crowd.heard_wrong, 1);
        }
        if (stay < count && draw(&seed) % 2)
            hang_up_hard(&a->c);
        else
            hang_up(&a->c);
    }
}

// Goal: foreign threads answer very many tokens while clients come and go: each token ends once, every answer is the
// right one.
TEST(deferred_crowd)
{
    enum { HOLDERS = 4, VISITORS = 6 };
    fsi_thread holders[HOLDERS];
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    desc.workers = 3;
    memset(&crowd, 0, sizeof crowd);
    memset(askers, 0, sizeof askers);
    crowd.goal = SLOW || os_is_wine() ? 15000 : DEFERRED_MOST;
    REQUIRE(host_start(&h1, &desc));
    for (int i = 0; i < HOLDERS; i++) CHECK(fsi_thread_start(&holders[i], holder_body, &h1, "holder"));
    for (uint32_t i = 0; i < VISITORS; i++) {
        askers[i].port = h1.port;
        askers[i].id = i + 1;
        CHECK(fsi_thread_start(&askers[i].thread, visitor_body, &askers[i], "visitor"));
    }
    for (uint32_t i = 0; i < VISITORS; i++) fsi_thread_join(&askers[i].thread);
    UNTIL(STAT(&h1, conns_closed) == STAT(&h1, conns_accepted));
    UNTIL(pool_of(&h1).tokens == 0);
    mail_end(&h1);
    for (int i = 0; i < HOLDERS; i++) fsi_thread_join(&holders[i]);
    CHECK_EQ(crowd.answered + crowd.closed, STAT(&h1, deferred));
    CHECK_EQ(crowd.other + crowd.twice + crowd.heard_wrong, 0);
    CHECK(crowd.heard <= crowd.answered);
    CHECK(crowd.closed > 0 && crowd.answered > crowd.goal / 4);
    host_end(&h1);
}

// ---- streams by token

static fsv_token stream_open(host *h, client *c, const char *request, uint64_t length)
{
    CHECK(say(c, request));
    fsv_token token = mail_token(h);
    CHECK_EQ(fsv_token_stream(token, 200, "text/stream", length), FSV_OK);
    return token;
}

// Goal: the forms of a streamed answer, by loop and by worker; the connection goes on where it can.
TEST(stream_forms)
{
    static const struct {
        const char *request;
        uint64_t length;
        bool head, keeps;
        const char *says;
    } rows[] = {
        {GET("/defer/1"), FSV_LENGTH_UNKNOWN, false, true, "Transfer-Encoding: chunked"},
        {GET("/defer/1"), 5, false, true, "Content-Length: 5"},
        {GET("/wdefer/1"), FSV_LENGTH_UNKNOWN, false, true, "Transfer-Encoding: chunked"},
        {GET("/wdefer/1"), 5, false, true, "Content-Length: 5"},
        {HEAD("/defer/1"), FSV_LENGTH_UNKNOWN, true, true, "200"},
        {HEAD("/wdefer/1"), 5, true, true, "Content-Length: 5"},
        {"GET /defer/1 HTTP/1.0\r\n\r\n", FSV_LENGTH_UNKNOWN, false, false, "Connection: close"},
        {"GET /defer/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", FSV_LENGTH_UNKNOWN, false, false,
         "Connection: close"},
        {"GET /wdefer/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 5, false, true, "Connection: keep-alive"},
    };
    REQUIRE(host_start(&h1, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%zu %.20s", i, rows[i].request);
        REQUIRE(dial(&c1, h1.port));
        fsv_token token = stream_open(&h1, &c1, rows[i].request, rows[i].length);
        fsv_result takes =
            rows[i].head ? FSV_ERR_CLOSED : FSV_OK; // as fsv_stream_write says of an answer without a body
        CHECK_EQ(fsv_token_write(token, "abc", 3), takes);
        if (i % 2) sync_with(&h1);
        CHECK_EQ(fsv_token_write(token, NULL, 0), takes);
        CHECK_EQ(fsv_token_write(token, "de", 2), takes);
        CHECK_EQ(fsv_token_wait(token, 0), FSV_OK);
        CHECK_EQ(fsv_token_end(token), FSV_OK);
        CHECK_EQ(fsv_token_end(token), FSV_ERR_CLOSED);
        CHECK_EQ(hear_head(&c1), 200);
        CHECK(strstr(c1.head, rows[i].says) != NULL);
        CHECK_STR(field_of(&c1, "Content-Type"), "text/stream");
        CHECK_STR(field_of(&c1, "X-Before"), "yes");
        if (!rows[i].head) CHECK_EQ(hear_body(&c1), 200);
        if (!rows[i].head) CHECK_STR(body_of(&c1), "abcde");
        if (rows[i].keeps)
            CHECK_EQ(ask(&c1, GET("/slow/1")), 200);
        else
            CHECK(ended(&c1));
        hang_up(&c1);
    }
    host_end(&h1);
}

// Goal: an empty stream, ones that say 204 and 205, and one that ends before its first piece was looked at.
TEST(stream_empty)
{
    REQUIRE(host_start(&h1, NULL));
    REQUIRE(dial(&c1, h1.port));
    for (int i = 0; i < 2; i++) {
        ROW("%d", i);
        CHECK_EQ(fsv_token_end(stream_open(&h1, &c1, GET("/wdefer/1"), i ? 0 : FSV_LENGTH_UNKNOWN)), FSV_OK);
        CHECK_EQ(hear(&c1), 200);
        CHECK_EQ(c1.body_len, 0);
    }
    for (uint32_t status = 204; status < 206; status++) {
        CHECK(say(&c1, GET("/defer/1")));
        fsv_token token = mail_token(&h1);
        CHECK_EQ(fsv_token_stream(token, status, NULL, FSV_LENGTH_UNKNOWN), FSV_OK);
        CHECK_EQ(fsv_token_write(token, "x", 1), FSV_ERR_CLOSED); // nobody would get it
        CHECK_EQ(fsv_token_end(token), FSV_OK);
        CHECK_EQ(hear(&c1), (int)status);
        CHECK_EQ(c1.body_len, 0);
    }
    CHECK_EQ(ask(&c1, GET("/slow/1")), 200);
    hang_up(&c1);
    host_end(&h1);
}

// Goal: more than was stated is refused, less is cut; other calls do not fit a stream; dropping it cuts.
TEST(stream_rules)
{
    REQUIRE(host_start(&h1, NULL));
    for (int i = 0; i < 4; i++) {
        ROW("%d", i);
        REQUIRE(dial(&c1, h1.port));
        fsv_token token = stream_open(&h1, &c1, GET("/defer/1"), i == 3 ? FSV_LENGTH_UNKNOWN : 3);
        CHECK_EQ(fsv_token_stream(token, 200, NULL, 3), FSV_ERR_STATE);
        CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 0), FSV_ERR_STATE);
        if (i < 3) CHECK_EQ(fsv_token_write(token, "abcd", 4), FSV_ERR_LIMIT);
        CHECK_EQ(fsv_token_write(token, "ab", 2), FSV_OK);
        if (i == 0) {
            CHECK_EQ(fsv_token_write(token, "cd", 2), FSV_ERR_LIMIT);
            CHECK_EQ(fsv_token_write(token, "c", 1), FSV_OK);
            CHECK_EQ(fsv_token_write(token, "d", 1), FSV_ERR_LIMIT);
            CHECK_EQ(fsv_token_end(token), FSV_OK);
            CHECK_EQ(hear(&c1), 200);
            CHECK_STR(body_of(&c1), "abc");
        } else {
            CHECK_EQ(hear_head(&c1), 200);
            if (i == 1)
                CHECK_EQ(fsv_token_end(token), FSV_ERR_CLOSED);
            else
                fsv_token_drop(token);
            CHECK(was_cut(&c1));
        }
        CHECK_EQ(fsv_token_write(token, "x", 1), FSV_ERR_CLOSED);
        hang_up(&c1);
    }
    host_end(&h1);
}

#define PIECE 8192

// Writes pieces of a known pattern until there is no room. Returns the bytes so far.
static size_t stream_fill(fsv_token token, size_t at, size_t most)
{
    static char piece[PIECE];
    while (at < most) {
        fill(piece, sizeof piece, at);
        fsv_result result = fsv_token_write(token, piece, sizeof piece);
        if (result == FSV_ERR_FULL) break;
        CHECK_EQ(result, FSV_OK);
        if (result != FSV_OK) return most;
        at += sizeof piece;
    }
    return at;
}

typedef struct waiter {
    fsi_thread thread;
    fsv_token token;
    fsv_result result;
} waiter;

static void waiter_body(void *arg)
{
    waiter *w = (waiter *)arg;
    w->result = fsv_token_wait(w->token, UINT32_MAX);
}

static char stream_large[4 * MIB];

// Fills a stream and lets a thread wait for its room.
static size_t stream_block(waiter *w, fsv_token token)
{
    size_t at = 0;
    do {
        at = stream_fill(token, at, 64 * MIB);
    } while (at < 64 * MIB && fsv_token_wait(token, 300) == FSV_OK); // the sockets still take some
    CHECK(at < 64 * MIB);
    CHECK_EQ(fsv_token_write(token, "x", 1), FSV_ERR_FULL);
    CHECK_EQ(fsv_token_write(token, stream_large, sizeof stream_large), FSV_ERR_FULL); // and is not copied first
    CHECK_EQ(fsv_token_wait(token, 1), FSV_ERR_FULL);
    w->token = token;
    w->result = FSV_ERR_STATE;
    CHECK(fsi_thread_start(&w->thread, waiter_body, w, "waiter"));
    return at;
}

// Goal: a client that does not read stops the holder, in bounded memory; when it reads the holder goes on, and nothing
// is lost.
TEST(stream_slow_reader)
{
    fsv_server_desc desc;
    waiter w;
    memset(&desc, 0, sizeof desc);
    desc.out_bytes_max = 65536;
    REQUIRE(host_start(&h1, &desc));
    REQUIRE(dial(&c1, h1.port));
    fsv_token token = stream_open(&h1, &c1, GET("/defer/1"), FSV_LENGTH_UNKNOWN);
    size_t before = heap_bytes(&h1.heap, false), at = stream_block(&w, token);
    CHECK(heap_bytes(&h1.heap, true) - before < MIB);
    CHECK_EQ(hear_head(&c1), 200);
    while (c1.len < at) REQUIRE(receive(&c1) > 0);
    fsi_thread_join(&w.thread);
    CHECK_EQ(w.result, FSV_OK);
    CHECK_EQ(fsv_token_end(token), FSV_OK);
    CHECK_EQ(hear_body(&c1), 200);
    CHECK_EQ(c1.body_len, at);
    CHECK(is_filled(c1.buf + c1.body_at, c1.body_len, 0));
    hang_up(&c1);
    host_end(&h1);
}

// Goal: who waits for room learns that the client has gone, that its time is up, or that the server has stopped.
TEST(stream_wait_ends)
{
    for (int i = 0; i < 3; i++) {
        fsv_server_desc desc;
        waiter w;
        ROW("%s", i == 0 ? "reset" : i == 1 ? "send timeout" : "stop");
        memset(&desc, 0, sizeof desc);
        if (i == 1) desc.send_timeout_ms = 1500; // longer than stream_block waits
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port));
        fsv_token token = stream_open(&h1, &c1, GET("/defer/1"), FSV_LENGTH_UNKNOWN);
        (void)stream_block(&w, token);
        if (i == 0) hang_up_hard(&c1);
        if (i == 2) fsv_server_stop(h1.server, 0);
        fsi_thread_join(&w.thread);
        while (w.result == FSV_OK) { // the sockets took some after all
            w.result = fsv_token_write(token, stream_large, PIECE);
            if (w.result == FSV_ERR_FULL) w.result = fsv_token_wait(token, UINT32_MAX);
        }
        CHECK_EQ(w.result, FSV_ERR_CLOSED);
        CHECK_EQ(fsv_token_write(token, "x", 1), FSV_ERR_CLOSED);
        CHECK_EQ(fsv_token_end(token), FSV_ERR_CLOSED);
        hang_up(&c1);
        host_end(&h1);
    }
}

// Goal: a stream that brings nothing for too long is cut, and its holder told.
TEST(stream_timeout)
{
    for (int i = 0; i < 2; i++) {
        fsv_server_desc desc;
        ROW("%s", i ? "begun" : "with a piece");
        memset(&desc, 0, sizeof desc);
        desc.defer_timeout_ms = 30;
        REQUIRE(host_start(&h1, &desc));
        REQUIRE(dial(&c1, h1.port));
        fsv_token token = stream_open(&h1, &c1, GET("/defer/1"), FSV_LENGTH_UNKNOWN);
        if (i == 0) {
            CHECK_EQ(fsv_token_write(token, "abc", 3), FSV_OK);
            CHECK_EQ(hear_head(&c1), 200);
            CHECK(was_cut(&c1));
        } else {
            CHECK_EQ(hear(&c1), 504); // its head had not left
        }
        CHECK_EQ(fsv_token_write(token, "abc", 3), FSV_ERR_CLOSED);
        fsv_token_drop(token);
        CHECK_EQ(STAT(&h1, defer_timeouts), 1);
        hang_up(&c1);
        host_end(&h1);
    }
}

static void pour(fsv_token token, host *h, size_t most)
{
    for (size_t at = 0; at < most;) {
        at = stream_fill(token, at, most);
        if (at < most && fsv_token_wait(token, UINT32_MAX) != FSV_OK) at = most, fsi_add32(&h->wrong, 1);
    }
    if (fsv_token_end(token) != FSV_OK) fsi_add32(&h->wrong, 1);
}

#define POUR (10 * MIB)

static void pour_body(void *arg)
{
    host *h = (host *)arg;
    fsv_token token;
    uint32_t id;
    if (mail_get(h, &token, &id) && fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN) == FSV_OK)
        pour(token, h, POUR);
}

static void on_pour(fsv_request *request, void *user)
{
    fsv_token token;
    begin(request, user);
    if (fsv_request_defer(request, &token) != FSV_OK ||
        fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN) != FSV_OK)
        fsi_add32(&((host *)user)->wrong, 1);
    else
        pour(token, (host *)user, POUR);
    if (fsv_request_method(request).len != 3) fsi_add32(&((host *)user)->wrong, 1); // its views still stand
}

// Goal: a large stream arrives intact, from a foreign thread and from the handler on a worker itself.
TEST(stream_large)
{
    for (int i = 0; i < 2; i++) {
        fsi_thread thread;
        ROW("%s", i ? "worker" : "foreign");
        REQUIRE(host_make(&h1, NULL));
        host_route(&h1, "/pour", on_pour, 1);
        REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
        if (i == 0) CHECK(fsi_thread_start(&thread, pour_body, &h1, "pour"));
        CHECK_EQ(ask(&c1, i ? GET("/pour") : GET("/defer/1")), 200);
        CHECK_EQ(c1.body_len, POUR);
        CHECK(is_filled(c1.buf + c1.body_at, c1.body_len, 0));
        if (i == 0) fsi_thread_join(&thread);
        CHECK_EQ(ask(&c1, GET("/slow/1")), 200);
        hang_up(&c1);
        host_end(&h1);
    }
}

// Begins a stream, and stays.
static void on_stream_stay(fsv_request *request, void *user)
{
    host *h = (host *)user;
    fsv_token token;
    begin(request, user);
    host_says(h, fsv_request_defer(request, &token));
    host_says(h, fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN));
    host_says(h, fsv_token_write(token, "abc", 3));
    mail_put(h, token, 0);
    gate_pass(&h->gate);
    if (fsv_request_method(request).len != 3) fsi_add32(&h->wrong, 1);
}

// Goal: a stream that a worker's handler begins may end before that returns, or after, or be dropped, or its client may
// go.
TEST(stream_outlives_handler)
{
    for (int i = 0; i < 4; i++) {
        ROW("%d", i);
        REQUIRE(host_make(&h1, NULL));
        host_route(&h1, "/stay", on_stream_stay, 1);
        REQUIRE(fsv_server_start(h1.server) == FSV_OK && dial(&c1, h1.port));
        CHECK(say(&c1, GET("/stay")));
        fsv_token token = mail_token(&h1);
        gate_wait(&h1.gate, 1);
        if (i == 3) hang_up_hard(&c1), sync_with(&h1);
        if (i == 1) gate_open(&h1.gate, 1), sync_with(&h1);
        CHECK_EQ(fsv_token_write(token, "de", 2), i == 3 ? FSV_ERR_CLOSED : FSV_OK);
        if (i == 2)
            fsv_token_drop(token);
        else
            CHECK_EQ(fsv_token_end(token), i == 3 ? FSV_ERR_CLOSED : FSV_OK);
        if (i != 1) gate_open(&h1.gate, 1);
        if (i < 2) {
            CHECK_EQ(hear(&c1), 200);
            CHECK_STR(body_of(&c1), "abcde");
            CHECK_EQ(ask(&c1, GET("/slow/1")), 200);
        }
        if (i == 2) CHECK(was_cut(&c1));
        CHECK_STR(said_by(&h1), "0 0 0 ");
        hang_up(&c1);
        host_end(&h1);
    }
}

// ---- stop and drain

// Goal: what runs, is queued and is deferred when the server stops is answered within the drain.
TEST(drain_answers_all)
{
    fsv_server_desc desc;
    client *all[] = {&c1, &c2, &c3, &c4}, idle;
    memset(&desc, 0, sizeof desc);
    desc.workers = 1;
    REQUIRE(host_start(&h1, &desc));
    for (int i = 0; i < 4; i++) REQUIRE(dial(all[i], h1.port));
    CHECK(say(&c1, GET("/gate")));
    gate_wait(&h1.gate, 1);
    CHECK(say(&c2, GET("/slow/2")) && say(&c3, GET("/slow/3")) && say(&c4, GET("/defer/4")));
    fsv_token token = mail_token(&h1);
    UNTIL(pool_of(&h1).queued == 2);
    REQUIRE(dial(&idle, h1.port) && ask(&idle, GET("/fast/1")) == 200);
    fsv_server_stop(h1.server, GUARD_S * 1000);
    CHECK(ended(&idle)); // the loop has seen it
    hang_up(&idle);
    gate_open(&h1.gate, 1);
    CHECK_EQ(hear(&c1), 200);
    CHECK_EQ(fsv_token_respond(token, 200, NULL, "4", 1), FSV_OK);
    for (int i = 1; i < 4; i++) {
        CHECK_EQ(hear(all[i]), 200);
        CHECK_EQ(atoi(body_of(all[i])), i + 1);
        CHECK_STR(field_of(all[i], "Connection"), "close");
        CHECK(ended(all[i]));
    }
    CHECK_EQ(fsv_server_wait(h1.server), FSV_OK);
    for (int i = 0; i < 4; i++) hang_up(all[i]);
    host_end(&h1);
}

// Goal: past the drain the sockets are gone; run returns only when the handler that runs has; what is queued is not
// begun.
TEST(drain_over)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.workers = 1;
    REQUIRE(host_make(&h1, &desc));
    REQUIRE(driver_begin(&h1.driver, h1.server, DRIVE_RUN));
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port));
    CHECK(say(&c1, GET("/gate")));
    gate_wait(&h1.gate, 1);
    CHECK(say(&c2, GET("/gate")) && say(&c3, GET("/defer/3")));
    fsv_token token = mail_token(&h1);
    UNTIL(pool_of(&h1).queued == 1);
    fsv_server_stop(h1.server, 20);
    CHECK(receive(&c1) <= 0 && receive(&c2) <= 0 && receive(&c3) <= 0);
    CHECK_EQ(fsi_load32(&h1.driver.ended), 0);
    gate_open(&h1.gate, 2);
    driver_end(&h1.driver);
    CHECK_EQ(gate_count(&h1.gate, false), 1);
    CHECK_EQ(fsv_server_free(h1.server), FSV_ERR_STATE);
    CHECK_EQ(fsv_token_respond(token, 200, NULL, NULL, 0), FSV_ERR_CLOSED);
    hang_up(&c1), hang_up(&c2), hang_up(&c3);
    host_end(&h1);
}

// Goal: many requests that run, wait and are deferred when the server is freed: no hang, nothing left.
TEST(free_under_load)
{
    enum { CONNS = 120 };
    static client all[CONNS];
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = 2;
    desc.workers = 4;
    desc.jobs_max = 32;
    desc.jobs_wait = 1;
    REQUIRE(host_start(&h1, &desc));
    for (int i = 0; i < CONNS; i++) {
        REQUIRE(dial(&all[i], h1.port));
        CHECK(say(&all[i], i < 4 ? GET("/gate") : i % 3 ? GET("/slow/1") GET("/slow/2") : GET("/defer/1")));
        if (i == 3) gate_wait(&h1.gate, 4);
    }
    UNTIL(pool_of(&h1).queued == 32);
    fsv_server_stop(h1.server, 0);
    for (int i = 0; i < CONNS; i++) CHECK(receive(&all[i]) <= 0);
    gate_open(&h1.gate, 4);
    mail_end(&h1);
    CHECK_EQ(fsv_server_wait(h1.server), FSV_OK);
    CHECK_EQ(fsi_load32(&h1.begun) - STAT(&h1, deferred), 4);
    for (fsv_token token; h1.mail_in != h1.mail_out;) token = mail_token(&h1), fsv_token_drop(token);
    for (int i = 0; i < CONNS; i++) hang_up(&all[i]);
    host_end(&h1);
}

// Lets the handler that runs return when the end of the server has closed both connections: the other is not begun
// then.
static void open_when_cut(void *arg)
{
    CHECK(receive(&c1) <= 0 && receive(&c2) <= 0);
    gate_open(&((host *)arg)->gate, 1);
}

// Turns until nothing is left to do.
static void work_ends(host *h)
{
    int64_t descriptor = fsv_server_descriptor(h->server);
    for (int i = 0; descriptor < 0 && i < 10; i++) CHECK_EQ(fsv_server_poll(h->server, 10), FSV_OK);
    while (descriptor >= 0 && os_descriptor_wait(descriptor, 0)) CHECK_EQ(fsv_server_poll(h->server, 0), FSV_OK);
}

// One turn, for which something must come. Where the server has no descriptor: turns until somebody was answered.
static void work_comes(host *h)
{
    int64_t descriptor = fsv_server_descriptor(h->server);
    uint64_t answers = STAT(h, answers_2xx);
    if (descriptor >= 0) CHECK(os_descriptor_wait(descriptor, GUARD_S * 1000));
    do CHECK_EQ(fsv_server_poll(h->server, descriptor >= 0 ? 0 : UINT32_MAX), FSV_OK);
    while (descriptor < 0 && STAT(h, answers_2xx) == answers);
}

// Goal: a server that is polled is woken through its descriptor by what comes home, and may be freed while requests are
// away.
TEST(polled)
{
    fsi_thread opener;
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.workers = 1;
    REQUIRE(host_make(&h1, &desc));
    CHECK_EQ(fsv_server_poll(h1.server, 0), FSV_OK);
    REQUIRE(dial(&c1, h1.port) && dial(&c2, h1.port) && dial(&c3, h1.port));
    CHECK(say(&c1, GET("/gate")) && say(&c2, GET("/defer/2")));
    while (STAT(&h1, requests) < 2) CHECK_EQ(fsv_server_poll(h1.server, 10), FSV_OK);
    gate_wait(&h1.gate, 1);
    work_ends(&h1);
    gate_open(&h1.gate, 1);
    work_comes(&h1); // the job
    CHECK_EQ(hear(&c1), 200);
    work_ends(&h1);
    CHECK_EQ(fsv_token_respond(mail_token(&h1), 200, NULL, "2", 1), FSV_OK);
    work_comes(&h1); // the token
    CHECK_EQ(hear(&c2), 200);
    CHECK(say(&c1, GET("/gate")) && say(&c2, GET("/gate")) && say(&c3, GET("/defer/3")));
    while (STAT(&h1, requests) < 5) CHECK_EQ(fsv_server_poll(h1.server, 10), FSV_OK);
    gate_wait(&h1.gate, 2);
    CHECK_EQ(fsv_server_free(h1.server), FSV_ERR_STATE); // a token is held
    CHECK_EQ(fsv_token_respond(mail_token(&h1), 200, NULL, NULL, 0), FSV_OK);
    CHECK(fsi_thread_start(&opener, open_when_cut, &h1, "opener")); // one runs, one waits: freed as they are
    host_end_with(&h1, &opener);
    CHECK_EQ(h1.gate.came, 2); // all threads have ended, and the lock with them
    hang_up(&c1), hang_up(&c2), hang_up(&c3);
}

// ---- memory runs out

static void holder_of_all(void *arg)
{
    host *h = (host *)arg;
    fsv_token token;
    uint32_t id;
    static char large[2000];
    while (mail_get(h, &token, &id)) {
        fsv_result result = FSV_ERR_MEMORY;
        bool streams = id % 2 && fsv_token_stream(token, 200, NULL, FSV_LENGTH_UNKNOWN) == FSV_OK;
        for (int tries = 0; tries < 2 && result == FSV_ERR_MEMORY; tries++)
            result = streams ? fsv_token_write(token, large, sizeof large)
                             : fsv_token_respond(token, 200, NULL, large, sizeof large);
        if (streams && result == FSV_OK)
            (void)fsv_token_end(token);
        else if (result != FSV_OK)
            fsv_token_drop(token);
    }
}

// One of each kind. Returns how many were answered with 200; a connection that is cut is made anew.
static int one_of_each(host *h)
{
    static const char *const all[] = {
        GET("/slow/1"),
        GET("/defer/1"),
        GET("/wdefer/2"),
        GET("/copied/70000"),
        GET("/owned/9"),
        GET("/defer/4"),
        GET("/wdefer/3"),
        GET("/inside/1"),
        "POST /whole HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"};
    int good = 0;
    if (!dial(&c1, h->port)) return 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (ask(&c1, all[i]) == 200 && !strstr(c1.head, "Connection: close")) {
            good++;
            continue;
        }
        hang_up(&c1);
        if (!dial(&c1, h->port)) return good;
    }
    hang_up(&c1);
    return good;
}

// The n-th allocation from now on fails.
static void host_fail(host *h, uint64_t n)
{
    fsi_lock_take(&h->heap.lock);
    h->heap.fail_at = h->heap.calls + n;
    fsi_lock_give(&h->heap.lock);
}

// No allocation fails from now on. True: none has.
static bool host_spare(host *h)
{
    fsi_lock_take(&h->heap.lock);
    bool none = h->heap.calls < h->heap.fail_at;
    h->heap.fail_at = 0;
    fsi_lock_give(&h->heap.lock);
    return none;
}

// Goal: whichever allocation fails, the server lives on, leaks nothing and serves the next requests.
TEST(out_of_memory)
{
    enum { ALL = 9 };
    int hurt = 0;
    bool through = false; // it was not reached any more
    for (long n = 1; !through; n++) {
        fsv_server_desc desc;
        fsi_thread holder;
        ROW("allocation %ld", n);
        memset(&desc, 0, sizeof desc);
        desc.workers = 2;
        desc.inbox_max = desc.jobs_max = 16;
        REQUIRE(host_make(&h1, &desc));
        host_fail(&h1, (uint64_t)n);
        if (fsv_server_start(h1.server) == FSV_OK) {
            CHECK(fsi_thread_start(&holder, holder_of_all, &h1, "holder"));
            hurt += one_of_each(&h1) < ALL;
            through = host_spare(&h1);
            CHECK_EQ(one_of_each(&h1), ALL);
            UNTIL(pool_of(&h1).tokens == 0);
            mail_end(&h1);
            fsi_thread_join(&holder);
        }
        host_end(&h1);
        REQUIRE(n < 500);
    }
    CHECK(hurt >= 3);
}

// ---- what an attack found

static void free_main(void *arg)
{
    host *h = (host *)arg;
    CHECK_EQ(fsv_server_free(h->server), FSV_OK); // on a thread that may have the name of a worker that has ended
    h->server = NULL;
}

// Goal: of pool-conn the drain ends also for connections that a worker takes up after it; a thread made later may free
// the server.
TEST(pool_conn_drains)
{
    fsi_thread freer;
    fsv_server_desc desc;
    client *all[4] = {&c1, &c2, &c3, &c4};
    memset(&desc, 0, sizeof desc);
    desc.model = FSV_MODEL_POOL_CONN;
    desc.workers = 1;
    desc.head_timeout_ms = 3600000; // else that would end them, one after the other
    REQUIRE(host_start(&h1, &desc));
    for (int i = 0; i < 4; i++) REQUIRE(dial(all[i], h1.port) && say(all[i], "GET / HTTP/1.1\r\nHo"));
    UNTIL(STAT(&h1, conns_accepted) == 1 && pool_of(&h1).queued == 3);
    fsv_server_stop(h1.server, 50);
    CHECK_EQ(fsv_server_wait(h1.server), FSV_OK);
    REQUIRE(fsi_thread_start(&freer, free_main, &h1, "freer"));
    fsi_thread_join(&freer);
    CHECK(h1.server == NULL);
    for (int i = 0; i < 4; i++) hang_up(all[i]);
}

static void on_posted(void *user)
{
    fsi_store32((uint32_t *)user, 1);
}

// Goal: requests that are away leave room in the inbox for others: a post goes through although no more can be
// deferred.
TEST(inbox_has_room_for_posts)
{
    static client many[16];
    fsv_token tokens[16];
    fsv_server_desc desc;
    uint32_t ran = 0, count = 0;
    memset(&desc, 0, sizeof desc);
    desc.inbox_max = 16;
    REQUIRE(host_start(&h1, &desc));
    for (; count < 16; count++) {
        char text[64];
        (void)snprintf(text, sizeof text, "GET /defer/%u HTTP/1.1\r\nHost: a\r\n\r\n", count);
        REQUIRE(dial(&many[count], h1.port) && say(&many[count], text));
        UNTIL(STAT(&h1, deferred) == count + 1 || STAT(&h1, answers_5xx));
        if (STAT(&h1, answers_5xx)) break;
        tokens[count] = mail_token(&h1);
    }
    CHECK_EQ(count, 14);
    CHECK_EQ(fsv_loop_post(h1.server, 0, on_posted, &ran), FSV_OK);
    UNTIL(fsi_load32(&ran));
    for (uint32_t i = 0; i < count; i++) CHECK_EQ(fsv_token_respond(tokens[i], 200, NULL, NULL, 0), FSV_OK);
    for (uint32_t i = 0; i <= count; i++) hang_up(&many[i]);
    host_end(&h1);
}

// Goal: few descriptors leave the thread model fewer threads, and not a single connection.
TEST(threads_fit_the_descriptors)
{
    uint64_t before = os_descriptors_max();
    fsv_server_desc desc;
    fsv_server *server;
    memset(&desc, 0, sizeof desc);
    desc.model = FSV_MODEL_THREAD;
    if (!os_descriptors_limit(512)) SKIP("no limit of descriptors here");
    fsv_result result = fsv_server_create(&server, &desc);
    REQUIRE(os_descriptors_limit(before));
    REQUIRE(result == FSV_OK);
    CHECK_EQ(server->desc.threads_max, 96);
    CHECK(server->desc.conns_max > 96);
    CHECK_EQ(fsv_server_free(server), FSV_OK);
}

TEST_MAIN(CASE(loop_serves_while_workers_are_held), CASE(worker_sees_the_request), CASE(worker_bodies),
          CASE(worker_request_body), CASE(worker_rules), CASE(everything_blocking), CASE(worker_misuse),
          CASE(pipelined_in_order), CASE(pipelined_without_end), CASE(half_closed_while_away),
          CASE(client_gone_while_away), CASE(queue_full_is_503), CASE(inbox_full), CASE(jobs_wait_answers_all),
          CASE(workers_wake), CASE(jobs_wait_gone), CASE(token_answers), CASE(token_rules), CASE(token_inside_handler),
          CASE(token_by_other_handler), CASE(lost_token_has_own_answer), CASE(token_wait_on_its_own_thread),
          CASE(token_wait_between_polls), CASE(token_timeout), CASE(token_client_gone), CASE(token_too_late),
          CASE(tokens_max), CASE(token_from_on_body), CASE(free_waits_for_tokens), CASE(deferred_crowd),
          CASE(stream_forms), CASE(stream_empty), CASE(stream_rules), CASE(stream_slow_reader), CASE(stream_wait_ends),
          CASE(stream_timeout), CASE(stream_large), CASE(stream_outlives_handler), CASE(drain_answers_all),
          CASE(drain_over), CASE(free_under_load), CASE(polled), CASE(out_of_memory), CASE(pool_conn_drains),
          CASE(inbox_has_room_for_posts), CASE(threads_fit_the_descriptors))
