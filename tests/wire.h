// wire.h: a server in memory (io_fake.h) that tells what it understood, for tests of what comes out for what goes in:
//
//   wire_begin(NULL);
//   wire_put("GET /s/a HTTP/1.1\r\nHost: h\r\n\r\n", 31, SIZE_MAX, &wire);    // wire.said: "200 GET /s/a @h; open"
//   wire_end();
//
// Its handlers answer with method, path, query, Host, the fields named A and the body; what came back is read by a reader
// of its own, which also holds it against what RFC 9110 and 9112 want of a server's answers: wire.fault.
#ifndef FASTSERVE_TEST_WIRE_H
#define FASTSERVE_TEST_WIRE_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#ifndef FSV_IO_HEADER
#define FSV_IO_HEADER "tests/io_fake.h"
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fsv_server *wire_server;
static uint32_t wire_calls; // of handlers that were given a whole request

// ---- text that grows; what does not fit is left out

typedef struct wire_text {
    size_t len;
    char at[20000]; // four for each byte of the longest that a fuzzer sends
} wire_text;

static inline void wire_add(wire_text *text, const char *format, ...)
{
    va_list args;
    size_t room = sizeof text->at - text->len;
    va_start(args, format);
    int n = vsnprintf(text->at + text->len, room, format, args);
    va_end(args);
    text->len += (size_t)n < room ? (size_t)n : room - 1;
}

// Bytes that are not printable become \xNN.
static inline void wire_add_bytes(wire_text *text, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)data[i];
        wire_add(text, c < 32 || c > 126 ? "\\x%02x" : "%c", c);
    }
}

// ---- the server's side

static void wire_understood(const fsv_request *request, wire_text *text)
{
    fsv_str method = fsv_request_method(request), path = fsv_request_path(request), query = fsv_request_query(request),
            host = fsv_request_host(request), name, value;
    text->len = 0;
    wire_add_bytes(text, method.ptr, method.len);
    wire_add(text, " ");
    wire_add_bytes(text, path.ptr, path.len);
    if (query.len) wire_add(text, "?");
    wire_add_bytes(text, query.ptr, query.len);
    wire_add(text, " @");
    wire_add_bytes(text, host.ptr, host.len);
    for (uint32_t i = 0; fsv_request_field_at(request, i, &name, &value); i++) {
        if (name.len != 1 || (*name.ptr | 0x20) != 'a') continue;
        wire_add(text, " %c=", *name.ptr);
        wire_add_bytes(text, value.ptr, value.len);
    }
    if (fsv_request_version(request) == 10) wire_add(text, " 1.0");
}

static void wire_tell(fsv_request *request, void *user)
{
    static wire_text text; // one thread
    fsv_str body = fsv_request_body(request);
    (void)user;
    wire_calls++;
    wire_understood(request, &text);
    if (fsv_request_has_body(request)) {
        wire_add(&text, " [");
        wire_add_bytes(&text, body.ptr, body.len);
        wire_add(&text, "]");
    }
    fsv_respond(request, 200, "text/plain", text.at, text.len);
}

// Sends the body back piece by piece.
static void wire_echo(fsv_request *request, void *user)
{
    (void)user;
    fsv_response_field(request, "X-Body", "any"); // it may look like an answer
    fsv_respond_stream(request, 200, "text/plain", fsv_request_body_length(request));
    if (!fsv_request_has_body(request)) fsv_stream_end(request);
}

static size_t wire_echo_piece(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)user;
    if (len == 0)
        fsv_stream_end(request);
    else if (fsv_stream_write(request, data, len) == FSV_ERR_FULL)
        return 0;
    return len;
}

// Counts the body, and answers when it has ended.
static void wire_count(fsv_request *request, void *user)
{
    (void)user;
    fsv_request_set_user(request, NULL);
    if (!fsv_request_has_body(request)) fsv_respond_text(request, 200, "no body");
}

static size_t wire_count_piece(fsv_request *request, const char *data, size_t len, void *user)
{
    uintptr_t sum = (uintptr_t)fsv_request_user(request);
    wire_text text;
    (void)user;
    for (size_t i = 0; i < len; i++) sum = sum * 31 + (uint8_t)data[i] + 1;
    fsv_request_set_user(request, (void *)sum);
    if (len) return len;
    text.len = 0;
    wire_add(&text, "sum %zu", (size_t)sum);
    fsv_respond_text(request, 200, text.at);
    return 0;
}

static void wire_stream(fsv_request *request, void *user)
{
    (void)user;
    fsv_respond_stream(request, 200, "text/plain", FSV_LENGTH_UNKNOWN);
}

static void wire_stream_room(fsv_request *request, void *user)
{
    (void)user;
    fsv_stream_write(request, "streamed", 8);
    fsv_stream_end(request);
}

static void wire_none(fsv_request *request, void *user)
{
    (void)user;
    fsv_respond(request, fsv_request_path(request).len == 4 ? 204u : 304u, NULL, NULL, 0); // "/204" and "/304 "
}

static void wire_begin(const fsv_server_desc *limits)
{
    static const struct {
        const char *method, *pattern;
        fsv_handler handler;
        fsv_body_handler on_body;
        fsv_handler on_room;
    } routes[] = {
        {"*", "/", wire_tell, NULL, NULL},
        {"*", "/s/*", wire_tell, NULL, NULL},
        {"GET", "/get", wire_tell, NULL, NULL},
        {"PURGE", "/purge", wire_tell, NULL, NULL},
        {"POST", "/echo", wire_echo, wire_echo_piece, NULL},
        {"POST", "/count", wire_count, wire_count_piece, NULL},
        {"GET", "/stream", wire_stream, NULL, wire_stream_room},
        {"GET", "/204", wire_none, NULL, NULL},
        {"GET", "/304/", wire_none, NULL, NULL},
    };
    fake_begin();
    if (fsv_server_create(&wire_server, limits) != FSV_OK) abort();
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        fsv_route_desc route;
        memset(&route, 0, sizeof route);
        route.method = routes[i].method;
        route.pattern = routes[i].pattern;
        route.handler = routes[i].handler;
        route.on_body = routes[i].on_body;
        route.on_room = routes[i].on_room;
        if (fsv_server_route_add(wire_server, &route) != FSV_OK) abort();
    }
}

static inline void wire_end(void)
{
    if (fsv_server_free(wire_server) != FSV_OK) abort();
    fake_end();
}

// Turns until nothing moves. No time passes.
static void wire_settle(void)
{
    fsi_loop *loop = &wire_server->loops[0];
    int turns = 0;
    while (fake_busy(&loop->io) || loop->run_list || fsi_load32(&loop->woken)) {
        (void)fsi_loop_turn(loop, 0);
        if (++turns < 100000) continue;
        fake_fault("it never comes to rest", NULL);
        return;
    }
}

static fake_sock *wire_join(void)
{
    fake_sock *sock = fake_socket();
    (void)fsi_add32(&wire_server->conns_open, 1); // as accepting does
    if (!fsi_loop_adopt(&wire_server->loops[0], sock->fd)) abort();
    return sock;
}

// ---- the client's side: what came back

typedef struct wire_reply {
    wire_text said;      // "200 GET / @h; 404; close"
    const char *fault;   // in what was sent, or NULL
    uint32_t answers;    // final ones
    uint32_t continues;  // 100
    size_t until_closes; // bytes of `said` before the first answer that announced the end; SIZE_MAX: none did
    bool closes;
} wire_reply;

typedef struct wire_head {
    uint32_t status;
    size_t len, length;
    bool has_length, chunked, close, any_body; // any_body: it may begin with what looks like an answer
    uint32_t dates, allows;
} wire_head;

static bool wire_is(const char *line, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(line, want, len) == 0;
}

static bool wire_begins(const char *line, size_t len, const char *want)
{
    return len >= strlen(want) && memcmp(line, want, strlen(want)) == 0;
}

static const char *wire_read_line(wire_head *head, const char *line, size_t len)
{
    const char *colon = (const char *)memchr(line, ':', len);
    if (!colon || colon == line || memchr(line, '\r', len)) return "a malformed line in a head";
    head->dates += wire_begins(line, len, "Date: ");
    head->allows += wire_begins(line, len, "Allow: ");
    head->close |= wire_is(line, len, "Connection: close");
    head->any_body |= wire_is(line, len, "X-Body: any");
    if (wire_is(line, len, "Transfer-Encoding: chunked")) head->chunked = true;
    if (!wire_begins(line, len, "Content-Length: ")) return NULL;
    if (head->has_length) return "two lengths";
    head->has_length = true;
    head->length = (size_t)strtoull(line + 16, NULL, 10);
    return NULL;
}

static const char *wire_read_head(wire_head *head, const char *data, size_t size)
{
    size_t at = 0;
    memset(head, 0, sizeof *head);
    for (;;) {
        const char *end = (const char *)memchr(data + at, '\n', size - at);
        if (!end || end == data + at || end[-1] != '\r') return "a line does not end with CR LF";
        size_t len = (size_t)(end - 1 - data) - at;
        if (at == 0) {
            if (len < 13 || !wire_begins(data, len, "HTTP/1.1 ") || data[12] != ' ') return "a malformed status line";
            head->status = (uint32_t)atoi(data + 9);
        } else if (len) {
            const char *fault = wire_read_line(head, data + at, len);
            if (fault) return fault;
        }
        at += len + 2;
        if (at > len + 2 && len == 0) break;
    }
    head->len = at;
    bool bare = head->status < 200 || head->status == 204;
    if (head->status < 100 || head->status > 599) return "a status that there is not";
    if (head->chunked && head->has_length) return "both lengths and codings";       // RFC 9112 6.2
    if (bare && (head->chunked || head->has_length)) return "a length for no body"; // RFC 9110 8.6, RFC 9112 6.1
    if (head->dates != (head->status < 200 ? 0u : 1u)) return "no Date";            // RFC 9110 6.6.1
    if (head->status == 405 && head->allows != 1) return "405 without Allow";       // RFC 9110 15.5.6
    return NULL;
}

// The bytes that a chunked body takes, or 0: it is malformed or not complete. Its data is added to the text.
static size_t wire_read_chunks(wire_text *said, const char *data, size_t size)
{
    size_t at = 0;
    for (;;) {
        char *end;
        const char *lf = (const char *)memchr(data + at, '\n', size - at);
        if (!lf) return 0;
        size_t n = (size_t)strtoull(data + at, &end, 16);
        if (end == data + at || end + 1 != lf || *end != '\r') return 0;
        at = (size_t)(lf + 1 - data);
        if (size - at < 2 || n > size - at - 2 || memcmp(data + at + n, "\r\n", 2) != 0) return 0;
        if (said) wire_add_bytes(said, data + at, n);
        at += n + 2;
        if (n == 0) return at;
    }
}

// The body behind a head: the bytes it takes. One of a HEAD request is not there.
static const char *wire_read_body(const wire_head *head, wire_reply *out, const char *data, size_t size, size_t *used)
{
    bool shown = head->status == 200;
    *used = 0;
    if (size == 0 || head->status < 200 || head->status == 204 || head->status == 304) return NULL;
    if (!head->any_body && wire_begins(data, size, "HTTP/1.1 ")) return NULL; // the next answer, after one of HEAD
    if (shown) wire_add(&out->said, head->chunked ? " chunked " : " ");
    if (head->chunked) {
        *used = wire_read_chunks(shown ? &out->said : NULL, data, size);
        return *used ? NULL : "a chunked body that is not whole";
    }
    if (!head->has_length && !head->close) return "a body without an end";
    if (head->length > size) return "a body that is not whole";
    *used = head->has_length ? head->length : size;
    if (shown) wire_add_bytes(&out->said, data, *used);
    return NULL;
}

static void wire_read(const fake_sock *sock, wire_reply *out)
{
    size_t at = 0;
    memset(out, 0, sizeof *out);
    out->until_closes = SIZE_MAX;
    while (at < sock->out_len && !out->fault) {
        wire_head head;
        size_t used;
        out->fault =
            out->closes ? "an answer behind the last" : wire_read_head(&head, sock->out + at, sock->out_len - at);
        if (out->fault) break;
        at += head.len;
        if (head.status == 100) {
            out->continues++;
            continue;
        }
        out->answers++;
        if (head.close && !out->closes) out->until_closes = out->said.len;
        out->closes |= head.close;
        wire_add(&out->said, "%u", head.status);
        out->fault = wire_read_body(&head, out, sock->out + at, sock->out_len - at, &used);
        at += used;
        wire_add(&out->said, out->fault ? "... " : "; ");
    }
    const fsi_conn *conn = (const fsi_conn *)(const void *)sock->chan;
    bool ends = sock->closed || sock->shut, idle = !ends && conn->state == FSI_CONN_HEAD && !conn->carry;
    if (!out->fault && ends != out->closes)
        out->fault = ends ? "an end that no answer announced" : "an end that did not come";
    wire_add(&out->said, "%s", ends ? "close" : idle ? "open" : "waits");
}

// Sends a text in pieces of `step` bytes, the first of `first`, each served before the next comes; says what came back;
// then ends the stream and lets go.
static void wire_put_cut(const char *data, size_t len, size_t first, size_t step, wire_reply *out)
{
    fake_sock *sock = wire_join();
    for (size_t at = 0, n = first; at < len && sock->chan && !sock->shut; at += n, n = step) {
        if (n > len - at) n = len - at;
        fake_send(sock, data + at, n);
        wire_settle();
    }
    wire_settle();
    wire_read(sock, out);
    fake_eof(sock);
    wire_settle();
    if (!sock->closed) out->fault = "a connection that its peer has ended stays open";
    if (wire_server->loops[0].conns) out->fault = "a connection is left over";
    if (fake.error[0]) out->fault = fake.error;
    fake_end();
}

static inline void wire_put(const char *data, size_t len, size_t step, wire_reply *out)
{
    wire_put_cut(data, len, step, step, out);
}
#endif
