// host.h: what tests of a running server share: waiting for what another thread does, plain blocking sockets, an HTTP
// client over one, memory that is counted, a gate where handlers wait, and the thread that drives a server. A receive
// for which nothing comes in GUARD_S is a failure, not a hang. A test includes test.h and fastserve.h before this.
#ifndef FASTSERVE_TEST_HOST_H
#define FASTSERVE_TEST_HOST_H

#include "os.h"

#define GUARD_S 20

static inline void nap(uint32_t ms)
{
    fsi_sleep_ns((uint64_t)ms * 1000000);
}

// Waits for what another thread does.
#define UNTIL(what)                                                                                           \
    do {                                                                                                      \
        for (int until_ = 0; until_ < GUARD_S * 1000 && !(what); until_++) until_ < 20 ? os_yield() : nap(1); \
        CHECK(what);                                                                                          \
    } while (0)

// ---- sockets

// A connection, or -1.
static inline int sock_dial_at(const fsi_sockaddr *at)
{
    int fd = os_socket(at->storage.ss_family);
    if (fd < 0) return -1;
    os_guard(fd, GUARD_S * 1000);
    if (at->storage.ss_family != AF_UNIX) (void)os_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (os_connect(fd, &at->storage, (size_t)at->len)) return fd;
    os_close(fd);
    return -1;
}

static inline int sock_dial(uint32_t port)
{
    fsi_sockaddr at;
    fsi_sockaddr_v4(&at, 0x7f000001u, port);
    return sock_dial_at(&at);
}

// A listener at *at, which becomes the address that it got, or -1.
static inline int sock_listen_at(fsi_sockaddr *at, int backlog)
{
    size_t size = sizeof at->storage;
    int fd = os_socket(at->storage.ss_family);
    if (fd < 0) return -1;
    if (os_listen(fd, &at->storage, (size_t)at->len, backlog) && os_name(fd, false, &at->storage, &size)) {
        at->len = (socklen_t)size;
        return fd;
    }
    os_close(fd);
    return -1;
}

static inline int sock_listen(fsi_sockaddr *at, int backlog)
{
    fsi_sockaddr_v4(at, 0x7f000001u, 0);
    return sock_listen_at(at, backlog);
}

static inline bool sock_say(int fd, const char *from, size_t len)
{
    while (len) {
        int64_t n = os_send(fd, from, len);
        if (n <= 0) return false;
        from += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool sock_hear(int fd, char *to, size_t len)
{
    while (len) {
        int64_t n = os_recv(fd, to, len);
        if (n <= 0) return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

// The peer has ended the connection in good order, and sent nothing more.
static inline bool sock_ended(int fd)
{
    char byte;
    return os_recv(fd, &byte, 1) == 0;
}

// The peer has cut it.
static inline bool sock_was_reset(int fd)
{
    char sink[4096];
    int64_t n;
    while ((n = os_recv(fd, sink, sizeof sink)) > 0) continue;
    return n < 0 ? os_error() == OS_RESET : !os_tells_resets();
}

static inline void sock_reset(int fd)
{
    os_close_resets(fd);
    os_close(fd);
}

// Whether this system has Unix-domain sockets, and this build of the library.
static inline bool sock_has_unix(void)
{
    int fd = FSI_UNIX ? os_socket(AF_UNIX) : -1;
    if (fd >= 0) os_close(fd);
    return fd >= 0;
}

// ---- an HTTP client

typedef struct client {
    int fd;    // -1: closed
    char *buf; // grows; [at, len) was received and not yet looked at
    size_t cap, at, len;
    uint64_t sent, received; // in all
    char head[4096];         // of the last answer, terminated
    int status;
    size_t body_at, body_len; // in buf, until the next answer
} client;

static inline bool dial_at(client *c, const fsi_sockaddr *at)
{
    memset(c, 0, sizeof *c);
    c->fd = sock_dial_at(at);
    return c->fd >= 0;
}

static inline bool dial(client *c, uint32_t port)
{
    fsi_sockaddr at;
    fsi_sockaddr_v4(&at, 0x7f000001u, port);
    return dial_at(c, &at);
}

static inline void hang_up(client *c)
{
    if (c->fd >= 0) os_close(c->fd);
    c->fd = -1;
    free(c->buf);
    c->buf = NULL;
    c->cap = c->at = c->len = 0;
}

// With a reset.
static inline void hang_up_hard(client *c)
{
    os_close_resets(c->fd);
    hang_up(c);
}

static inline bool say_bytes(client *c, const char *from, size_t len)
{
    if (!sock_say(c->fd, from, len)) return false;
    c->sent += len;
    return true;
}

static inline bool say(client *c, const char *text)
{
    return say_bytes(c, text, strlen(text));
}

// Says a formatted text.
#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((format(printf, 2, 3)))
#endif
static inline bool
sayf(client *c, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return n >= 0 && (size_t)n < sizeof text && say(c, text);
}

// Receives once. 0: the end; below: an error, or nothing came for GUARD_S.
static inline int64_t receive(client *c)
{
    if (c->len == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16384;
        char *more = (char *)realloc(c->buf, cap);
        if (!more) return -1;
        c->buf = more;
        c->cap = cap;
    }
    int64_t n = os_recv(c->fd, c->buf + c->len, c->cap - c->len);
    if (n <= 0) return n;
    c->len += (size_t)n;
    c->received += (uint64_t)n;
    return n;
}

// Length of what stands before the end of the mark, the mark included. 0: it did not come.
static inline size_t receive_to(client *c, const char *mark)
{
    size_t len = strlen(mark), seen = c->at;
    for (;;) {
        for (; seen + len <= c->len; seen++)
            if (memcmp(c->buf + seen, mark, len) == 0) return seen + len - c->at;
        if (receive(c) <= 0) return 0;
    }
}

static inline bool receive_body(client *c, size_t len)
{
    while (c->len - c->at < len)
        if (receive(c) <= 0) return false;
    c->body_at = c->at;
    c->body_len = len;
    c->at += len;
    return true;
}

// Puts the pieces together where the first began. A cut leaves what has come.
static inline bool receive_chunks(client *c)
{
    size_t to = c->at;
    c->body_at = to;
    for (;;) {
        size_t line = receive_to(c, "\r\n"), size = line ? (size_t)strtoul(c->buf + c->at, NULL, 16) : 0;
        if (!line) return false;
        c->at += line;
        while (c->len - c->at < size + 2)
            if (receive(c) <= 0) return false;
        if (memcmp(c->buf + c->at + size, "\r\n", 2) != 0) return false;
        memmove(c->buf + to, c->buf + c->at, size);
        to += size;
        c->at += size + 2;
        c->body_len = to - c->body_at;
        if (size == 0) return true;
    }
}

// Reads the head of an answer. Its status; 0: the connection ended; -1: something else.
static inline int hear_head(client *c)
{
    c->status = 0;
    c->head[0] = 0;
    c->body_len = 0;
    if (c->buf && (c->at == c->len || c->at > 65536)) { // the last answer's body goes
        memmove(c->buf, c->buf + c->at, c->len - c->at);
        c->len -= c->at;
        c->at = 0;
    }
    size_t len = receive_to(c, "\r\n\r\n");
    if (!len) return c->at == c->len ? 0 : -1;
    if (len >= sizeof c->head) return -1;
    memcpy(c->head, c->buf + c->at, len);
    c->head[len] = 0;
    c->at += len;
    return sscanf(c->head, "HTTP/1.%*d %d", &c->status) == 1 ? c->status : -1;
}

// Where the value of a field of the last answer begins; NULL: there is none. Case does not matter.
static inline const char *field_find(const client *c, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(c->head, "\r\n"); at; at = strstr(at + 2, "\r\n"))
        if (strlen(at + 2) > len && at[2 + len] == ':' && fsi_same_nocase(at + 2, name, len)) return at + len + 4;
    return NULL;
}

// The value itself, NULL likewise. Good until the next call.
static inline const char *field_of(const client *c, const char *name)
{
    static char out[1200];
    const char *at = field_find(c, name);
    if (!at) return NULL;
    (void)snprintf(out, sizeof out, "%.*s", (int)strcspn(at, "\r"), at);
    return out;
}

static inline int hear_body(client *c)
{
    const char *length = field_find(c, "Content-Length");
    int64_t n;
    if (length) return receive_body(c, (size_t)strtoull(length, NULL, 10)) ? c->status : -1;
    if (field_find(c, "Transfer-Encoding")) return receive_chunks(c) ? c->status : -1;
    while ((n = receive(c)) > 0) continue;
    return n == 0 && receive_body(c, c->len - c->at) ? c->status : -1;
}

// Reads a whole answer; `bare`: to a HEAD request, without a body. -1: it is not whole.
static inline int hear_to(client *c, bool bare)
{
    int status = hear_head(c);
    return status < 200 || bare || status == 204 || status == 304 ? status : hear_body(c);
}

static inline int hear(client *c)
{
    return hear_to(c, false);
}

static inline int ask(client *c, const char *text)
{
    return say(c, text) ? hear(c) : -1;
}

// The server has ended the connection in good order, and sent nothing more.
static inline bool ended(client *c)
{
    return c->at == c->len && receive(c) == 0;
}

// The server has cut it.
static inline bool was_cut(client *c)
{
    int64_t n;
    while ((n = receive(c)) > 0) continue;
    return n < 0 ? os_error() == OS_RESET : !os_tells_resets();
}

// Terminated; good until the next call.
static inline const char *body_of(const client *c)
{
    static char out[65536];
    size_t len = c->body_len < sizeof out ? c->body_len : sizeof out - 1;
    if (len) memcpy(out, c->buf + c->body_at, len);
    out[len] = 0;
    return out;
}

// ---- memory that is counted, for the desc of a server

typedef struct heap {
    fsi_lock lock;
    size_t live, peak;       // bytes
    uint64_t calls, fail_at; // the fail_at-th call gets nothing; 0: none
    uint32_t wrong;          // bytes came back that are not as many as went out
} heap;

#define HEAP_HEAD ((size_t)16)

static inline void *heap_alloc(size_t size, void *user)
{
    heap *h = (heap *)user;
    fsi_lock_take(&h->lock);
    char *block = ++h->calls == h->fail_at ? NULL : (char *)malloc(HEAP_HEAD + size);
    if (block) h->live += size;
    if (h->live > h->peak) h->peak = h->live;
    fsi_lock_give(&h->lock);
    if (!block) return NULL;
    memcpy(block, &size, sizeof size);
    memset(block + HEAP_HEAD, 0xa5, size);
    return block + HEAP_HEAD;
}

static inline void heap_release(void *memory, size_t size, void *user)
{
    heap *h = (heap *)user;
    size_t was;
    memcpy(&was, (char *)memory - HEAP_HEAD, sizeof was);
    fsi_lock_take(&h->lock);
    h->wrong += was != size;
    h->live -= was;
    fsi_lock_give(&h->lock);
    free((char *)memory - HEAP_HEAD);
}

static inline bool heap_begin(heap *h, fsv_server_desc *desc)
{
    memset(h, 0, sizeof *h);
    desc->alloc = heap_alloc;
    desc->release = heap_release;
    desc->alloc_user = h;
    return fsi_lock_init(&h->lock);
}

// Everything must have come back.
static inline void heap_end(heap *h)
{
    CHECK_EQ(h->live, 0);
    CHECK_EQ(h->wrong, 0);
    fsi_lock_free(&h->lock);
}

// Bytes that are out, or the most that were.
static inline size_t heap_bytes(heap *h, bool peak)
{
    fsi_lock_take(&h->lock);
    size_t bytes = peak ? h->peak : h->live;
    fsi_lock_give(&h->lock);
    return bytes;
}

// ---- a gate

typedef struct gate {
    fsi_lock lock;
    fsi_signal arrived; // with a signal for both, hundreds that wait would wake for every one that comes
    fsi_signal opened;
    uint32_t came, passed; // under lock: came to it; went through
    uint32_t open;         // so many may
} gate;

#define GATE_ALL 0x7fffffffu

static inline bool gate_begin(gate *g)
{
    memset(g, 0, sizeof *g);
    return fsi_lock_init(&g->lock) && fsi_signal_init(&g->arrived) && fsi_signal_init(&g->opened);
}

static inline void gate_end(gate *g)
{
    fsi_signal_free(&g->opened);
    fsi_signal_free(&g->arrived);
    fsi_lock_free(&g->lock);
}

static inline void gate_pass(gate *g)
{
    fsi_lock_take(&g->lock);
    g->came++;
    fsi_signal_all(&g->arrived);
    while (!g->open) fsi_signal_wait(&g->opened, &g->lock, UINT64_MAX);
    g->open--;
    g->passed++;
    fsi_lock_give(&g->lock);
}

// Waits until so many have come to it.
static inline void gate_wait(gate *g, uint32_t count)
{
    fsi_lock_take(&g->lock);
    while (g->came < count) fsi_signal_wait(&g->arrived, &g->lock, UINT64_MAX);
    fsi_lock_give(&g->lock);
}

static inline uint32_t gate_count(gate *g, bool passed)
{
    fsi_lock_take(&g->lock);
    uint32_t count = passed ? g->passed : g->came;
    fsi_lock_give(&g->lock);
    return count;
}

// Lets so many more through.
static inline void gate_open(gate *g, uint32_t count)
{
    fsi_lock_take(&g->lock);
    g->open += count;
    fsi_signal_all(&g->opened);
    fsi_lock_give(&g->lock);
}

// ---- ways to drive a server

typedef enum drive { DRIVE_START, DRIVE_RUN, DRIVE_POLL, DRIVES } drive;
static const char *const drive_names[] = {"start", "run", "poll"};

typedef struct driver {
    fsv_server *server;
    drive how;
    uint32_t ended; // atomic: 1 + -result
    fsi_thread thread;
} driver;

static inline void driver_body(void *arg)
{
    driver *d = (driver *)arg;
    fsv_result result = d->how == DRIVE_RUN ? fsv_server_run(d->server) : FSV_OK;
    if (d->how == DRIVE_POLL)
        while ((result = fsv_server_poll(d->server, UINT32_MAX)) == FSV_OK) continue;
    fsi_store32(&d->ended, 1 + (uint32_t)-result);
}

static inline bool driver_begin(driver *d, fsv_server *server, drive how)
{
    d->server = server;
    d->how = how;
    d->ended = 0;
    if (how == DRIVE_START) return fsv_server_start(server) == FSV_OK;
    return fsi_thread_start(&d->thread, driver_body, d, "driver");
}

// Waits until the server has stopped, and checks that it said so in the way of its kind.
static inline void driver_end(driver *d)
{
    if (d->how == DRIVE_START) {
        CHECK_EQ(fsv_server_wait(d->server), FSV_OK);
        return;
    }
    fsi_thread_join(&d->thread);
    CHECK_EQ(d->ended, d->how == DRIVE_RUN ? 1 : 1 - FSV_ERR_CLOSED);
}

// ---- its counters

static inline uint64_t stat_of(const fsv_server *server, size_t offset, uint32_t loop)
{
    fsv_stats stats;
    uint64_t value;
    memset(&stats, 0, sizeof stats);
    CHECK_EQ(fsv_server_stats(server, loop, &stats), FSV_OK);
    memcpy(&value, (const char *)&stats + offset, sizeof value);
    return value;
}
#define STAT(h, name) stat_of((h)->server, offsetof(fsv_stats, name), UINT32_MAX)
#define STAT_OF(h, loop, name) stat_of((h)->server, offsetof(fsv_stats, name), (loop))
#endif
