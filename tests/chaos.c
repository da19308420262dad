// chaos: clients that behave badly, all at once. Valid, broken, partial, pipelined and chunked requests, cut anywhere,
// sent in pieces of any size; answers read in part or not at all; connections closed, half closed or reset at random.
//
//   cc -O2 -pthread tests/chaos.c -o chaos
//   ./chaos PORT [SECONDS] [SEED]
//
// Two threads with 24 connections each, on 127.0.0.1. Ends with one well-behaved request: exit 0 if it got its answer.
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "../fastserve.h"
#include "os.h"

#define THREADS 2
#define CONNS 24
#define OUT_MAX 300000 // bytes of one connection's requests; the largest body is 256 KiB

typedef struct client {
    int fd; // -1: closed
    size_t size, sent;
    char out[OUT_MAX];
} client;

typedef struct crowd { // one thread's own
    uint64_t random;
    uint64_t opened, refused, resets, closes, requests, sent, received;
    char in[65536];
    client clients[CONNS];
} crowd;

static fsi_sockaddr server;
static uint64_t end_ns;
static crowd crowds[THREADS];

// xorshift64*: 0 .. limit-1
static uint32_t pick(crowd *c, uint32_t limit)
{
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return (uint32_t)((c->random * 2685821657736338717u) >> 33) % limit;
}

static void add(client *to, const char *text, size_t size)
{
    if (size > OUT_MAX - to->size) size = OUT_MAX - to->size;
    memcpy(to->out + to->size, text, size);
    to->size += size;
}

static void add_text(client *to, const char *text)
{
    add(to, text, strlen(text));
}

static void add_filler(client *to, size_t size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < size && to->size < OUT_MAX; i++) to->out[to->size++] = letters[(i * 7 + size) % 36];
}

// clang-format off
static const char *const fixed[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /echo?x=%20y HTTP/1.1\r\nHost: a\r\nX-Field: value\r\nAccept: */*\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET http://a/stream?chunks=20&size=4096 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /stream?chunks=400&size=8192 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /spin?us=300 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: t\r\n\r\n",
    "DELETE /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    // from here on none is right
    "GET / HTTP/1.1\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/3.7\r\nHost: a\r\n\r\n",
    "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
};
// clang-format on

// One request, right or wrong, at the end of what the connection has to say.
static void add_request(crowd *c, client *to)
{
    char head[256];
    uint32_t kind = pick(c, 100), size;
    c->requests++;
    if (kind < 55) {
        add_text(to, fixed[pick(c, (uint32_t)(sizeof fixed / sizeof fixed[0]))]);
    } else if (kind < 70) { // a body of known length; sometimes the client asks first, and does not wait
        size = pick(c, pick(c, 8) ? 5000 : 262144);
        snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n%s\r\n", (unsigned)size,
                 pick(c, 4) ? "" : "Expect: 100-continue\r\n");
        add_text(to, head);
        add_filler(to, size);
    } else if (kind < 85) { // chunks of any size
        add_text(to, "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (uint32_t left = pick(c, 30); left > 0; left--) {
            size = 1 + pick(c, 3000);
            snprintf(head, sizeof head, "%x\r\n", (unsigned)size);
            add_text(to, head);
            add_filler(to, size);
            add_text(to, "\r\n");
        }
        add_text(to, "0\r\n\r\n");
    } else if (kind < 92) { // pipelined
        for (uint32_t left = 1 + pick(c, 200); left > 0; left--) add_text(to, fixed[pick(c, 4)]);
    } else if (kind < 96) { // a head that does not end
        add_text(to, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: ");
        add_filler(to, pick(c, 40000));
    } else { // noise
        for (uint32_t left = pick(c, 400); left > 0; left--) {
            char byte = (char)pick(c, 256);
            add(to, &byte, 1);
        }
    }
}

static void open_client(crowd *c, client *to)
{
    to->fd = os_socket(AF_INET);
    if (to->fd < 0) return;
    if (!os_connect(to->fd, &server.storage, (size_t)server.len)) {
        if (os_error() == OS_REFUSED)
            c->refused++; // the server is gone; that this machine ran out of ports is not its fault
        os_close(to->fd);
        to->fd = -1;
        fsi_sleep_ns(1000000);
        return;
    }
    os_block(to->fd, false);
    c->opened++;
    to->size = to->sent = 0;
    for (uint32_t left = 1 + pick(c, 3); left > 0; left--) add_request(c, to);
    if (to->size > 0 && pick(c, 3) == 0) to->out[pick(c, (uint32_t)to->size)] ^= (char)(1 << pick(c, 8));
    if (to->size > 0 && pick(c, 3) == 0) to->size = pick(c, (uint32_t)to->size);
}

static void close_client(crowd *c, client *to)
{
    if (pick(c, 4)) {
        os_close_resets(to->fd);
        c->resets++;
    } else {
        c->closes++;
    }
    os_close(to->fd);
    to->fd = -1;
}

// One random step of one connection.
static void step(crowd *c, client *to)
{
    uint32_t what = pick(c, 100);
    int64_t n;
    if (to->fd < 0) {
        open_client(c, to);
    } else if (what < 60 && to->sent < to->size) { // mostly a large piece, sometimes a few bytes
        size_t most = pick(c, 4) ? to->size - to->sent : 1 + pick(c, 40);
        if (most > to->size - to->sent) most = to->size - to->sent;
        n = os_send(to->fd, to->out + to->sent, most);
        if (n > 0) to->sent += (size_t)n, c->sent += (uint64_t)n;
        if (n < 0 && os_error() != OS_BLOCKED) close_client(c, to);
    } else if (what < 90) {
        n = os_recv(to->fd, c->in, 1 + (size_t)pick(c, sizeof c->in));
        if (n > 0) c->received += (uint64_t)n;
        if (n == 0 || (n < 0 && os_error() != OS_BLOCKED)) close_client(c, to);
    } else if (what < 92) {
        os_shut(to->fd, false);
        to->size = to->sent;
    } else if (what < 97) {
        close_client(c, to);
    } else {
        fsi_sleep_ns(pick(c, 5) * 1000000u); // let the server get ahead
    }
}

static void run(void *arg)
{
    crowd *c = (crowd *)arg;
    for (int i = 0; i < CONNS; i++) c->clients[i].fd = -1;
    while (fsi_clock_ns() < end_ns && c->refused < 100) step(c, &c->clients[pick(c, CONNS)]);
    for (int i = 0; i < CONNS; i++)
        if (c->clients[i].fd >= 0) close_client(c, &c->clients[i]);
}

// A client that means well: 0 if `GET /` is answered with 200 within ten seconds.
static int ask(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    char in[4096];
    size_t got = 0;
    int64_t n = -1;
    int fd = os_socket(AF_INET);
    os_guard(fd, 10000);
    if (os_connect(fd, &server.storage, (size_t)server.len) && os_send(fd, request, sizeof request - 1) > 0)
        while (got < sizeof in - 1 && (n = os_recv(fd, in + got, sizeof in - 1 - got)) > 0) got += (size_t)n;
    os_close(fd);
    in[got] = 0;
    return n == 0 && strncmp(in, "HTTP/1.1 200 ", 13) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    fsi_thread threads[THREADS];
    static crowd all;
    if (argc < 2) return fprintf(stderr, "usage: chaos PORT [SECONDS] [SEED]\n"), 2;
    if (!os_begin()) return 2;
    fsi_sockaddr_v4(&server, 0x7f000001u, (uint32_t)atoi(argv[1]));
    end_ns = fsi_clock_ns() + (uint64_t)(argc > 2 ? atoi(argv[2]) : 20) * 1000000000u;
    for (int i = 0; i < THREADS; i++) {
        crowds[i].random = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1) + (argc > 3 ? (uint64_t)atoll(argv[3]) : 1);
        if (!fsi_thread_start(&threads[i], run, &crowds[i], "chaos")) return 2;
    }
    for (int i = 0; i < THREADS; i++) {
        fsi_thread_join(&threads[i]);
        all.opened += crowds[i].opened, all.refused += crowds[i].refused, all.requests += crowds[i].requests;
        all.resets += crowds[i].resets, all.closes += crowds[i].closes;
        all.sent += crowds[i].sent, all.received += crowds[i].received;
    }
    printf("%llu connections (%llu refused), %llu requests, %llu resets, %llu closes, %llu bytes sent, %llu received\n",
           (unsigned long long)all.opened, (unsigned long long)all.refused, (unsigned long long)all.requests,
           (unsigned long long)all.resets, (unsigned long long)all.closes, (unsigned long long)all.sent,
           (unsigned long long)all.received);
    if (ask() == 0) return 0;
    printf("the server does not answer GET / with 200 afterwards\n");
    return 1;
}
