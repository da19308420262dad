// soak: a server and thousands of its clients in one process: connections that open, idle, ask for small and large
// answers, read them in part, end or are reset at random, all at once. In the end everything must be as it was before
// the load: no connection, no memory, no handle more; and no answer may have been wrong.
//
//   cc -O2 -pthread tests/soak.c -o soak
//   ./soak [CONNECTIONS [SECONDS [SEED]]]        500 connections for 10 s
//
// The clients are raw connections of a second server. Both sides take two descriptors together: 5,000 need a limit
// above 10,000.
#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

#define SERVER_LOOPS 4
#define CLIENT_LOOPS 2
#define BIG_BYTES (1u << 20)
#define ECHO_BYTES 100000u
#define TICK_MS 50
#define OPEN_PER_TICK 100 // of a loop

typedef struct client {
    fsv_tcp tcp;
    bool used;      // from connect to on_closed
    bool up;        // on_open was called
    bool dropped;   // we ended it
    uint32_t wants; // answers that are to come
    uint32_t head_len;
    uint64_t body_left, body_at;
    char head[512];
} client;

typedef struct crowd { // of one loop, touched by its thread alone
    uint64_t random;
    client *clients;
    uint32_t count, loop;
    uint64_t opened, answers, bytes, aborts, closes;
    char pad[64];
} crowd;

static struct {
    fsv_server *server, *peers;
    char address[64];
    crowd crowds[CLIENT_LOOPS];
    uint32_t up;      // atomic: loops that run and listen
    uint32_t begun;   // atomic: the load may begin
    uint32_t ending;  // atomic
    uint32_t emptied; // atomic: crowds that have no connection left
    uint32_t faults;  // atomic
    uint64_t memory;  // atomic: bytes that the servers hold
} soak;
static char big[BIG_BYTES];

static void fault(const char *what, long long number)
{
    if (fsi_add32(&soak.faults, 1) < 20) printf("FAULT: %s %lld\n", what, number);
}

// xorshift64*: 0 .. limit-1
static uint32_t pick(crowd *c, uint32_t limit)
{
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return (uint32_t)((c->random * 2685821657736338717u) >> 33) % limit;
}

// ---- what the process holds

static void memory_add(uint64_t bytes)
{
    uint64_t seen = fsi_load64(&soak.memory);
    while (!fsi_cas64(&soak.memory, &seen, seen + bytes)) continue;
}

static void *soak_alloc(size_t size, void *user)
{
    (void)user;
    memory_add(size);
    return malloc(size);
}

static void soak_release(void *memory, size_t size, void *user)
{
    (void)user;
    memory_add(0u - (uint64_t)size);
    free(memory);
}

#if FSI_WINDOWS
// Wine has no count of one process's handles, but a list of everybody's.
static uint64_t handles_listed(void)
{
    typedef LONG(WINAPI * query)(ULONG, void *, ULONG, ULONG *);
    typedef struct entry {
        ULONG pid;
        BYTE type, flags;
        USHORT value;
        void *object;
        ULONG access;
    } entry;
    FARPROC found = GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQuerySystemInformation");
    query ask_system = NULL;
    ULONG size = 4 << 20, got = 0;
    uint64_t mine = 0;
    char *list = (char *)malloc(size);
    if (!found || !list) abort();
    memcpy(&ask_system, &found, sizeof ask_system);
    if (ask_system(16, list, size, &got) != 0) abort(); // SystemHandleInformation: a count, then entries
    const entry *entries = (const entry *)(const void *)(list + sizeof(void *));
    for (ULONG i = 0, count = *(const ULONG *)(const void *)list; i < count; i++)
        mine += entries[i].pid == GetCurrentProcessId();
    free(list);
    return mine;
}

static uint64_t handles(void)
{
    DWORD count = 0;
    return GetProcessHandleCount(GetCurrentProcess(), &count) && count ? count : handles_listed();
}
#else
static uint64_t handles(void)
{
    uint64_t count = 0, limit = fsi_sock_limit();
    for (int fd = 0; fd < 65536 && (uint64_t)fd < limit; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
#endif

// ---- the server

static void on_hello(fsv_request *request, void *user)
{
    (void)user;
    (void)fsv_respond_owned(request, 200, "text/plain", big, 13, NULL, NULL);
}

static void on_big(fsv_request *request, void *user)
{
    (void)user;
    (void)fsv_respond_owned(request, 200, "text/plain", big, sizeof big, NULL, NULL);
}

static void on_echo(fsv_request *request, void *user)
{
    fsv_str body = fsv_request_body(request);
    (void)user;
    (void)fsv_respond(request, 200, "text/plain", body.ptr, body.len);
}

// ---- the clients; every body is the first bytes of `big`

static void ask(crowd *c, client *k)
{
    static const char hello[] = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                      large[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    char text[1024];
    uint32_t kind = pick(c, 10), count = 1 + pick(c, 8);
    size_t at = 0;
    if (kind == 0) {
        (void)fsv_tcp_send(k->tcp, hello, 13); // and no more: only a reset ends it
        k->dropped = true;
        (void)(pick(c, 2) ? fsv_tcp_abort(k->tcp) : fsv_tcp_shut(k->tcp));
    } else if (kind == 1) {
        (void)fsv_tcp_send(k->tcp, large, sizeof large - 1);
        k->wants = 1;
    } else if (kind == 2) {
        int n = snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n\r\n", ECHO_BYTES);
        (void)fsv_tcp_send(k->tcp, text, (size_t)n);
        (void)fsv_tcp_send_owned(k->tcp, big, ECHO_BYTES, NULL, NULL);
        k->wants = 1;
    } else {
        for (uint32_t i = 0; i < count; i++, at += sizeof hello - 1) memcpy(text + at, hello, sizeof hello - 1);
        (void)fsv_tcp_send(k->tcp, text, at);
        k->wants = count;
    }
}

static crowd *crowd_of(const client *k)
{
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++)
        if (k >= soak.crowds[i].clients && k < soak.crowds[i].clients + soak.crowds[i].count) return &soak.crowds[i];
    abort();
}

static void on_open(fsv_tcp tcp, void *user)
{
    client *k = (client *)user;
    crowd *c = crowd_of(k);
    k->tcp = tcp;
    k->up = true;
    c->opened++;
    if (pick(c, 3)) ask(c, k); // the others idle
}

// The head is whole: looks at it and expects the body.
static void head_read(client *k)
{
    const char *length;
    k->head[k->head_len] = 0;
    k->head_len = 0;
    if (memcmp(k->head, "HTTP/1.1 200 ", 13) != 0) fault("an answer that is not a 200", atoi(k->head + 9));
    length = strstr(k->head, "Content-Length: ");
    if (!length) fault("an answer without a length", 0);
    k->body_left = length ? strtoull(length + 16, NULL, 10) : 0;
    k->body_at = 0;
}

static size_t on_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    client *k = (client *)user;
    crowd *c = crowd_of(k);
    (void)tcp;
    c->bytes += len;
    if (len == 0) {
        if (!k->dropped) fault("the server ended a connection that waits for answers:", k->wants);
        k->dropped = true;
        (void)fsv_tcp_close(k->tcp);
        return 0;
    }
    for (size_t i = 0; i < len && !k->dropped;) {
        if (k->body_left) {
            size_t n = len - i < k->body_left ? len - i : (size_t)k->body_left;
            if (memcmp(data + i, big + k->body_at, n) != 0)
                fault("wrong bytes in a body, at or after", (long long)k->body_at);
            k->body_at += n;
            k->body_left -= n;
            i += n;
        } else {
            if (k->head_len == sizeof k->head - 1 || k->wants == 0) {
                fault("bytes that belong to no answer", (long long)(len - i));
                return len;
            }
            k->head[k->head_len++] = data[i++];
            if (k->head_len < 4 || memcmp(k->head + k->head_len - 4, "\r\n\r\n", 4) != 0) continue;
            head_read(k);
        }
        if (k->body_left || k->head_len) continue;
        k->wants--;
        c->answers++;
    }
    return len;
}

static void on_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    client *k = (client *)user;
    (void)tcp;
    if (!k->up || !k->dropped) fault(k->up ? "a connection was cut:" : "a connect failed:", why);
    k->used = false;
}

static void dial(crowd *c, client *k)
{
    fsv_tcp_desc desc;
    memset(k, 0, sizeof *k);
    memset(&desc, 0, sizeof desc);
    desc.on_open = on_open;
    desc.on_data = on_data;
    desc.on_closed = on_closed;
    desc.user = k;
    desc.idle_timeout_ms = 600000;
    desc.connect_timeout_ms = 60000;
    desc.out_bytes_max = 2 * ECHO_BYTES;
    k->used = true;
    fsv_result result = fsv_tcp_connect(soak.peers, c->loop, soak.address, &desc, &k->tcp);
    if (result == FSV_OK) return;
    k->used = false;
    if (result != FSV_ERR_FULL) fault("fsv_tcp_connect says", result); // FULL: at the next tick
}

static void drop(crowd *c, client *k)
{
    bool hard = pick(c, 2) != 0;
    k->dropped = true;
    c->aborts += hard;
    c->closes += !hard;
    (void)(hard ? fsv_tcp_abort(k->tcp) : fsv_tcp_close(k->tcp));
}

// Moves a crowd on: about one in two hundred connections ends at a tick, and some ask for more.
static void tick(fsv_timer timer, void *user)
{
    crowd *c = (crowd *)user;
    uint32_t used = 0, opened = 0;
    if (!fsi_load32(&soak.begun)) return;
    bool ending = fsi_load32(&soak.ending) != 0;
    for (uint32_t i = 0; i < c->count; i++) {
        client *k = &c->clients[i];
        used += k->used;
        if (!k->used) {
            if (!ending && opened < OPEN_PER_TICK && pick(c, 3) == 0) dial(c, k), opened++;
        } else if (k->up && !k->dropped) {
            uint32_t what = pick(c, 400);
            if (ending || what < 2)
                drop(c, k);
            else if (what < 10 && k->wants == 0)
                ask(c, k);
        }
    }
    if (!ending || used) return;
    (void)fsv_timer_stop(timer);
    (void)fsi_add32(&soak.emptied, 1);
}

// ---- a run

static void loop_is_up(void *user)
{
    (void)user;
    (void)fsi_add32(&soak.up, 1);
}

static bool start(uint32_t conns)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.alloc = soak_alloc;
    desc.release = soak_release;
    desc.conns_max = conns + 1000;
    desc.idle_timeout_ms = desc.head_timeout_ms = desc.send_timeout_ms = 600000;
    desc.loops = SERVER_LOOPS;
    if (fsv_server_create(&soak.server, &desc) != FSV_OK) return false;
    desc.loops = CLIENT_LOOPS;
    if (fsv_server_create(&soak.peers, &desc) != FSV_OK) return false;
    if (fsv_server_route(soak.server, "GET", "/hello", on_hello, NULL) != FSV_OK ||
        fsv_server_route(soak.server, "GET", "/big", on_big, NULL) != FSV_OK ||
        fsv_server_route(soak.server, "POST", "/echo", on_echo, NULL) != FSV_OK ||
        fsv_server_listen(soak.server, "127.0.0.1:0") != FSV_OK)
        return false;
    (void)snprintf(soak.address, sizeof soak.address, "127.0.0.1:%u", fsv_server_port(soak.server, 0));
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++)
        if (fsv_timer_start(soak.peers, i, TICK_MS, TICK_MS, tick, &soak.crowds[i], NULL) != FSV_OK) return false;
    for (uint32_t i = 0; i < SERVER_LOOPS; i++) (void)fsv_loop_post(soak.server, i, loop_is_up, NULL);
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++) (void)fsv_loop_post(soak.peers, i, loop_is_up, NULL);
    if (fsv_server_start(soak.server) != FSV_OK || fsv_server_start(soak.peers) != FSV_OK) return false;
    while (fsi_load32(&soak.up) < SERVER_LOOPS + CLIENT_LOOPS) fsi_sleep_ns(1000000);
    return true;
}

static bool all_closed(const fsv_server *server)
{
    fsv_stats stats;
    return fsv_server_stats(server, UINT32_MAX, &stats) == FSV_OK &&
           stats.conns_closed == stats.conns_accepted + stats.conns_begun;
}

// Loads the servers and frees them again. handles_moved: by how much the count was off once all connections had ended.
static bool run(uint32_t conns, uint32_t seconds, long long *handles_moved)
{
    fsv_stats stats;
    uint64_t before, until, most = 0;
    soak.up = soak.begun = soak.ending = soak.emptied = 0;
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++) {
        crowd *c = &soak.crowds[i];
        c->loop = i;
        c->count = conns / CLIENT_LOOPS;
        c->opened = c->answers = c->bytes = c->aborts = c->closes = 0;
        c->clients = (client *)calloc(c->count, sizeof *c->clients);
        if (!c->clients) return false;
    }
    if (!start(conns)) {
        printf("no server\n");
        return false;
    }
    before = handles();
    fsi_store32(&soak.begun, 1);
    until = fsi_clock_ns() + (uint64_t)seconds * 1000000000u;
    while (fsi_clock_ns() < until) {
        fsi_sleep_ns(100000000);
        if (handles() > most) most = handles();
    }
    fsi_store32(&soak.ending, 1);
    until = fsi_clock_ns() + 60000000000u;
    while (fsi_load32(&soak.emptied) < CLIENT_LOOPS || !all_closed(soak.server) || !all_closed(soak.peers)) {
        fsi_sleep_ns(10000000);
        if (fsi_clock_ns() < until) continue;
        fault("connections are still open after 60 s; crowds that have ended:", fsi_load32(&soak.emptied));
        break;
    }
    *handles_moved = (long long)(handles() - before);
    (void)fsv_server_stats(soak.server, UINT32_MAX, &stats);
    uint64_t opened = 0, answers = 0, bytes = 0, aborts = 0, closes = 0;
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++) {
        const crowd *c = &soak.crowds[i];
        opened += c->opened, answers += c->answers, bytes += c->bytes, aborts += c->aborts, closes += c->closes;
    }
    printf("%llu connections, %llu answers, %llu MB; %llu reset, %llu closed; handles %llu, at most %llu, then %+lld; "
           "memory %llu KB\n",
           (unsigned long long)opened, (unsigned long long)answers, (unsigned long long)bytes >> 20,
           (unsigned long long)aborts, (unsigned long long)closes, (unsigned long long)before, (unsigned long long)most,
           *handles_moved, (unsigned long long)fsi_load64(&soak.memory) >> 10);
    fsv_server_stop(soak.peers, 0);
    fsv_server_stop(soak.server, 1000);
    (void)fsv_server_wait(soak.peers);
    (void)fsv_server_wait(soak.server);
    if (fsv_server_free(soak.peers) != FSV_OK || fsv_server_free(soak.server) != FSV_OK)
        fault("a server is not freed", 0);
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++) free(soak.crowds[i].clients);
    return true;
}

int main(int argc, char **argv)
{
    uint32_t conns = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 500;
    uint32_t seconds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : fsi_clock_ns();
    long long few = 0, moved = 0; // Wine's threads make a handle each when they first wait
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("soak: %u connections, %u s, seed %llu\n", conns, seconds, (unsigned long long)seed);
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)('A' + (i * 31 >> 3) % 57);
    for (uint32_t i = 0; i < CLIENT_LOOPS; i++) soak.crowds[i].random = seed + i * 7919 + 1;
    if (!run(20, 1, &few)) return 1; // what the system and the C library keep for themselves
    uint64_t before = handles();
    if (!run(conns, seconds, &moved)) return 1;
    if (moved > few) fault("handles that stayed when every connection had ended:", moved);
    if (handles() > before) fault("handles that stayed when the servers were freed:", (long long)(handles() - before));
    if (fsi_load64(&soak.memory)) fault("bytes that stayed:", (long long)fsi_load64(&soak.memory));
    printf("soak: %s\n", soak.faults ? "FAILED" : "ok");
    return soak.faults ? 1 : 0;
}
