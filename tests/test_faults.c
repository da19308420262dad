// test_faults.c: a server on real sockets whose system calls fail: each one that it uses, the first, second, ... time
// that it is called, in each way that the system may refuse it; and peers, buffers and clocks that misbehave. After
// each the server still answers, and nothing is left open or allocated. On Linux: the calls of the implementation are
// sent through the functions below.
#include "test.h"

#if defined(__linux__) && !defined(FSV_KQUEUE_SHIM)
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

// ---- calls that fail when they are told to

// clang-format off
#define CALLS(X) \
    X(socket) X(bind) X(listen) X(getsockname) X(epoll_create1) X(eventfd) X(open) X(fstatfs) X(pthread_create) \
    X(accept4) X(recv) X(send) X(sendmsg) X(shutdown) X(close) X(setsockopt) X(getpeername) X(ioctl) \
    X(epoll_ctl) X(epoll_wait) X(syscall) X(fstat) X(fstatat) X(pread) X(mincore) \
    X(openat2) X(statx) X(preadv2) X(sendfile) X(mmap)
// clang-format on

typedef enum call {
#define X(name) CALL_##name,
    CALLS(X)
#undef X
        CALL_NONE
} call;

static const char *const call_names[] = {
#define X(name) #name,
    CALLS(X)
#undef X
};

static struct {
    uint32_t counts[CALL_NONE]; // atomic
    uint32_t which, nth;        // atomic; CALL_NONE: none
    uint32_t hits;              // atomic
    int error;                  // atomic
    int64_t mono_ns, wall_ns;   // atomic: added to the clocks
    bool stands;                // atomic: the monotonic clock, at mono_ns
    int send_buffer;            // of what is accepted, 0: the system's
} fault = {{0}, CALL_NONE, 0, 0, 0, 0, 0, false, 0};

static bool fault_hits(call which)
{
    uint32_t n = __atomic_add_fetch(&fault.counts[which], 1, __ATOMIC_SEQ_CST);
    if (which != __atomic_load_n(&fault.which, __ATOMIC_SEQ_CST) || n != __atomic_load_n(&fault.nth, __ATOMIC_SEQ_CST))
        return false;
    __atomic_add_fetch(&fault.hits, 1, __ATOMIC_SEQ_CST);
    errno = __atomic_load_n(&fault.error, __ATOMIC_SEQ_CST);
    return true;
}

#ifdef SYS_sendfile64
#define FAULT_SYS_SENDFILE SYS_sendfile64
#else
#define FAULT_SYS_SENDFILE SYS_sendfile
#endif
#ifdef SYS_mmap2
#define FAULT_SYS_MMAP SYS_mmap2
#else
#define FAULT_SYS_MMAP SYS_mmap
#endif

// A call that fails does nothing, but close: it closes all the same, as on Linux.
static int fault_close(int fd)
{
    bool hit = fault_hits(CALL_close);
    int result = close(fd);
    if (!hit) return result;
    errno = __atomic_load_n(&fault.error, __ATOMIC_SEQ_CST);
    return -1;
}

static int fault_accept4(int listener, struct sockaddr *at, socklen_t *size, int flags)
{
    if (fault_hits(CALL_accept4)) return -1;
    int fd = accept4(listener, at, size, flags);
    if (fd >= 0 && fault.send_buffer)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &fault.send_buffer, sizeof fault.send_buffer);
    return fd;
}

// The calls that the C library does not know are told apart by their numbers.
static call fault_number(long number)
{
#ifdef SYS_openat2
    if (number == SYS_openat2) return CALL_openat2;
#endif
#ifdef SYS_statx
    if (number == SYS_statx) return CALL_statx;
#endif
#ifdef SYS_preadv2
    if (number == SYS_preadv2) return CALL_preadv2;
#endif
    if (number == FAULT_SYS_SENDFILE) return CALL_sendfile;
    if (number == FAULT_SYS_MMAP) return CALL_mmap;
    return CALL_syscall;
}

static int fault_clock_gettime(clockid_t id, struct timespec *out)
{
    int64_t more = __atomic_load_n(id == CLOCK_REALTIME ? &fault.wall_ns : &fault.mono_ns, __ATOMIC_SEQ_CST);
    int result = clock_gettime(id, out);
    bool stands = id != CLOCK_REALTIME && __atomic_load_n(&fault.stands, __ATOMIC_SEQ_CST);
    int64_t ns = stands ? more : (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + more;
    out->tv_sec = (time_t)(ns / 1000000000);
    out->tv_nsec = (long)(ns % 1000000000);
    return result;
}

#define FAULT(name, failed, ...) (fault_hits(CALL_##name) ? (failed) : name(__VA_ARGS__))
#define socket(...) FAULT(socket, -1, __VA_ARGS__)
#define bind(...) FAULT(bind, -1, __VA_ARGS__)
#define listen(...) FAULT(listen, -1, __VA_ARGS__)
#define getsockname(...) FAULT(getsockname, -1, __VA_ARGS__)
#define epoll_create1(...) FAULT(epoll_create1, -1, __VA_ARGS__)
#define eventfd(...) FAULT(eventfd, -1, __VA_ARGS__)
#define open(...) FAULT(open, -1, __VA_ARGS__)
#define fstatfs(...) FAULT(fstatfs, -1, __VA_ARGS__)
#define pthread_create(...) FAULT(pthread_create, fault.error, __VA_ARGS__)
#define accept4(...) fault_accept4(__VA_ARGS__)
#define recv(...) FAULT(recv, -1, __VA_ARGS__)
#define send(...) FAULT(send, -1, __VA_ARGS__)
#define sendmsg(...) FAULT(sendmsg, -1, __VA_ARGS__)
#define shutdown(...) FAULT(shutdown, -1, __VA_ARGS__)
#define close(...) fault_close(__VA_ARGS__)
#define setsockopt(...) FAULT(setsockopt, -1, __VA_ARGS__)
#define getpeername(...) FAULT(getpeername, -1, __VA_ARGS__)
#define ioctl(...) FAULT(ioctl, -1, __VA_ARGS__)
#define epoll_ctl(...) FAULT(epoll_ctl, -1, __VA_ARGS__)
#define epoll_wait(...) FAULT(epoll_wait, -1, __VA_ARGS__)
#define syscall(number, ...) (fault_hits(fault_number(number)) ? -1 : syscall(number, __VA_ARGS__))
#define fstat(...) FAULT(fstat, -1, __VA_ARGS__)
#define fstatat(...) FAULT(fstatat, -1, __VA_ARGS__)
#define pread(...) FAULT(pread, -1, __VA_ARGS__)
#define mincore(...) FAULT(mincore, -1, __VA_ARGS__)
#define mmap(...) FAULT(mmap, MAP_FAILED, __VA_ARGS__)
#define clock_gettime(...) fault_clock_gettime(__VA_ARGS__)

#define FASTSERVE_IMPLEMENTATION
#include "../fastserve.h"

#undef socket
#undef bind
#undef listen
#undef getsockname
#undef epoll_create1
#undef eventfd
#undef open
#undef fstatfs
#undef pthread_create
#undef accept4
#undef recv
#undef send
#undef sendmsg
#undef shutdown
#undef close
#undef setsockopt
#undef getpeername
#undef ioctl
#undef epoll_ctl
#undef epoll_wait
#undef syscall
#undef fstat
#undef fstatat
#undef pread
#undef mincore
#undef mmap
#undef clock_gettime

#include "host.h"

static void fault_arm(call which, uint32_t nth, int error)
{
    __atomic_store_n(&fault.which, (uint32_t)CALL_NONE, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CALL_NONE; i++) __atomic_store_n(&fault.counts[i], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.nth, nth, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.error, error, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.hits, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.which, (uint32_t)which, __ATOMIC_SEQ_CST);
}

static void fault_disarm(void)
{
    __atomic_store_n(&fault.which, (uint32_t)CALL_NONE, __ATOMIC_SEQ_CST);
}

// ---- the server

#define BIG 1000000
#define LARGE 300000 // a file that is sent piece by piece
#define SMALL 3000

static char big[BIG];

typedef struct site {
    fsv_server *server;
    heap memory;
    uint32_t port, raw_port;
    driver drive;
    uint64_t descriptors; // before there was a server
} site;

static site s1;
static char folder[512];

static void hello(fsv_request *request, void *user)
{
    (void)user;
    fsv_respond_text(request, 200, "Hello, World!");
}

static void whole(fsv_request *request, void *user)
{
    fsv_str body = fsv_request_body(request);
    (void)user;
    fsv_respond(request, 200, NULL, body.ptr, body.len);
}

static void huge(fsv_request *request, void *user)
{
    (void)user;
    fsv_respond_owned(request, 200, NULL, big, sizeof big, NULL, NULL);
}

static void echo_begin(fsv_request *request, void *user)
{
    (void)user;
    fsv_respond_stream(request, 200, NULL, fsv_request_body_length(request));
}

static size_t echo_body(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)user;
    if (len == 0) fsv_stream_end(request);
    return len && fsv_stream_write(request, data, len) == FSV_OK ? len : 0;
}

static size_t raw_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)user;
    if (len == 0) (void)fsv_tcp_shut(tcp);
    return len && fsv_tcp_send(tcp, data, len) == FSV_OK ? len : 0;
}

// Open descriptors of this process.
static uint64_t descriptors(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return 0;
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

// Makes a server with its routes that listens. What fails is said, and the site is to be ended in any case.
static fsv_result site_make(site *s, const fsv_server_desc *limits)
{
    fsv_server_desc desc;
    fsv_route_desc route;
    fsv_folder_desc files;
    fsv_tcp_desc raw;
    fsv_result result;
    memset(&desc, 0, sizeof desc);
    if (limits) desc = *limits;
    memset(s, 0, sizeof *s);
    s->descriptors = descriptors();
    if (!heap_begin(&s->memory, &desc)) return FSV_ERR_MEMORY;
    result = fsv_server_create(&s->server, &desc);
    if (result != FSV_OK) return result;
    memset(&route, 0, sizeof route);
    route.method = "POST";
    route.pattern = "/echo";
    route.handler = echo_begin;
    route.on_body = echo_body;
    result = fsv_server_route_add(s->server, &route);
    memset(&route, 0, sizeof route);
    route.method = "GET";
    route.pattern = "/block";
    route.handler = hello;
    route.blocking = 1;
    if (result == FSV_OK) result = fsv_server_route_add(s->server, &route);
    if (result == FSV_OK) result = fsv_server_route(s->server, "GET", "/", hello, NULL);
    if (result == FSV_OK) result = fsv_server_route(s->server, "POST", "/whole", whole, NULL);
    if (result == FSV_OK) result = fsv_server_route(s->server, "GET", "/big", huge, NULL);
    memset(&files, 0, sizeof files);
    files.pattern = "/files/*";
    files.path = folder;
    if (result == FSV_OK) result = fsv_server_folder(s->server, &files, NULL);
    files.pattern = "/sent/*";
    files.sendfile = 1;
    if (result == FSV_OK) result = fsv_server_folder(s->server, &files, NULL);
    if (result == FSV_OK) result = fsv_server_listen(s->server, "127.0.0.1:0");
    memset(&raw, 0, sizeof raw);
    raw.on_data = raw_data;
    if (result == FSV_OK) result = fsv_server_listen_tcp(s->server, "127.0.0.1:0", &raw);
    s->port = fsv_server_port(s->server, 0);
    s->raw_port = fsv_server_port(s->server, 1);
    return result;
}

static bool site_begin(site *s, const fsv_server_desc *limits)
{
    return site_make(s, limits) == FSV_OK && driver_begin(&s->drive, s->server, DRIVE_START);
}

// Nothing is left of it.
static void site_end(site *s)
{
    CHECK_EQ(fsv_server_free(s->server), FSV_OK);
    heap_end(&s->memory);
    CHECK_EQ(descriptors(), s->descriptors);
}

// A new connection is answered, if need be when the server accepts again.
static void check_answers(site *s)
{
    client c;
    int status = 0;
    for (int tries = 0; tries < 100 && status != 200; tries++) {
        if (tries) nap(10);
        if (!dial(&c, s->port)) continue;
        os_guard(c.fd, 2000);
        status = ask(&c, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        hang_up(&c);
    }
    CHECK_EQ(status, 200);
}

static uint64_t conns_open(site *s)
{
    return STAT(s, conns_accepted) - STAT(s, conns_closed);
}

// ---- what clients do, one kind after the other; whether they succeed is not asked. Returns how many did.

static int post_in_pieces(client *c, const char *path, const char *length)
{
    if (!sayf(c, "POST %s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", path)) return -1;
    (void)length;
    nap(1);
    return ask(c, "4\r\ndefg\r\n0\r\n\r\n");
}

static int visit_one(site *s, int kind)
{
    client c;
    char text[64];
    int status = 0;
    size_t size = kind == 5 ? SMALL : LARGE; // of files
    if (!dial(&c, kind == 8 ? s->raw_port : s->port)) return 0;
    os_guard(c.fd, 3000);
    switch (kind) {
    case 0: // keep-alive, and a pipeline
        status = ask(&c, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        if (status == 200) status = ask(&c, "GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n");
        if (status == 200) status = hear(&c);
        break;
    case 1: status = post_in_pieces(&c, "/whole", "7"); break;
    case 2: status = post_in_pieces(&c, "/echo", "7"); break;
    case 3: // more than a socket takes at a time
        status = ask(&c, "GET /big HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        if (status == 200 && (c.body_len != BIG || memcmp(c.buf + c.body_at, big, BIG) != 0)) status = -2;
        break;
    case 4:
    case 5:
    case 10:
        (void)snprintf(text, sizeof text, "GET /%s/%s HTTP/1.1\r\nHost: t\r\n\r\n", kind == 10 ? "sent" : "files",
                       kind == 5 ? "small" : "large");
        status = ask(&c, text);
        if (status == 200 && (c.body_len != size || memcmp(c.buf + c.body_at, big, size) != 0)) status = -2;
        break;
    case 6: status = ask(&c, "GET /block HTTP/1.1\r\nHost: t\r\n\r\n"); break;
    case 7: // a framing error
        status = ask(&c, "GET / HTTP/1.1\r\n\r\n") == 400 ? 200 : 0;
        break;
    case 8:
        if (say(&c, "raw bytes") && receive_body(&c, 9) && memcmp(c.buf, "raw bytes", 9) == 0) status = 200;
        break;
    case 9: // cut in the middle
        status = say(&c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nabc") ? 200 : 0;
        if (status == 200) (void)hear_head(&c);
        hang_up_hard(&c);
        return status == 200;
    default: break;
    }
    if (status == -2) test_fail(__FILE__, __LINE__, "an answer of kind %d is not what was asked for", kind);
    hang_up(&c);
    return status == 200;
}

#define KINDS 11

static int visit(site *s)
{
    int fine = 0;
    for (int kind = 0; kind < KINDS; kind++) fine += visit_one(s, kind);
    return fine;
}

static void make_files(void)
{
    char path[600];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)('a' + (i * 7 + i / 26) % 26);
    memset(folder, 0, sizeof folder);
    CHECK(os_folder_make(folder, sizeof folder));
    (void)snprintf(path, sizeof path, "%s/large", folder);
    CHECK(os_file_put(path, 0, big, LARGE));
    (void)snprintf(path, sizeof path, "%s/small", folder);
    CHECK(os_file_put(path, 0, big, SMALL));
}

// ---- cases

#define ROUNDS_MAX 10

static const struct {
    call which;
    int errors[4];
} serving[] = {
    {CALL_accept4, {EMFILE, ENFILE, ENOBUFS, ECONNABORTED}},
    {CALL_recv, {ECONNRESET, ENOMEM, EINTR, EIO}},
    {CALL_send, {EPIPE, ENOBUFS, EINTR, EIO}},
    {CALL_sendmsg, {EPIPE, ENOMEM, EINTR, ECONNRESET}},
    {CALL_sendfile, {EIO, EINVAL, EINTR, EPIPE}},
    {CALL_shutdown, {ENOTCONN, ENOBUFS, 0, 0}},
    {CALL_close, {EIO, EINTR, 0, 0}},
    {CALL_setsockopt, {ENOBUFS, EINVAL, 0, 0}},
    {CALL_getpeername, {ENOTCONN, ENOBUFS, 0, 0}},
    {CALL_ioctl, {EINVAL, ENOTTY, 0, 0}},
    {CALL_epoll_ctl, {ENOMEM, ENOSPC, 0, 0}},
    {CALL_epoll_wait, {EINTR, 0, 0, 0}},
    {CALL_syscall, {ENOMEM, EINTR, EINVAL, ENOSYS}},
    {CALL_openat2, {EMFILE, ENOMEM, EINTR, EIO}},
    {CALL_statx, {EIO, ENOMEM, 0, 0}},
    {CALL_preadv2, {EIO, EINTR, EAGAIN, EOPNOTSUPP}},
    {CALL_fstat, {EIO, ENOMEM, 0, 0}},
    {CALL_fstatat, {EIO, ENOMEM, 0, 0}},
    {CALL_pread, {EIO, EINTR, 0, 0}},
    {CALL_mincore, {EAGAIN, ENOMEM, 0, 0}},
    {CALL_mmap, {ENOMEM, 0, 0, 0}},
};

static void no_answer_log(const fsv_answer *answer, void *user)
{
    char peer[64];
    (void)user;
    (void)fsv_answer_peer(answer, peer, sizeof peer);
}

// Goal: whichever call fails while it serves, and whenever: other connections are answered, what the failed one held is
// gone when its connection has, and nothing is left in the end.
TEST(each_call_fails_once)
{
    fsv_server_desc desc;
    uint32_t hits = 0, counts[CALL_NONE];
    make_files();
    memset(&desc, 0, sizeof desc);
    desc.workers = 2;
    desc.on_answer = no_answer_log; // so that peers are asked for
    desc.linger_ms = 20;
    REQUIRE(site_begin(&s1, &desc));
    CHECK_EQ(visit(&s1), KINDS);
    UNTIL(conns_open(&s1) == 0);
    fault_arm(CALL_NONE, 0, 0);
    CHECK_EQ(visit(&s1), KINDS);
    UNTIL(conns_open(&s1) == 0);
    for (int i = 0; i < CALL_NONE; i++) counts[i] = __atomic_load_n(&fault.counts[i], __ATOMIC_SEQ_CST);
    uint64_t open = descriptors();
    size_t bytes = heap_bytes(&s1.memory, false);
    for (size_t i = 0; i < sizeof serving / sizeof serving[0]; i++)
        for (int k = 0; k < 4 && serving[i].errors[k]; k++)
            for (uint32_t nth = 1; nth <= counts[serving[i].which] && nth <= ROUNDS_MAX; nth++) {
                ROW("%s %s %u", call_names[serving[i].which], strerror(serving[i].errors[k]), nth);
                fault_arm(serving[i].which, nth, serving[i].errors[k]);
                int fine = visit(&s1);
                fault_disarm();
                CHECK(fine >= KINDS - 2); // what shares nothing with it is served
                check_answers(&s1);
                UNTIL(conns_open(&s1) == 0);
                UNTIL(descriptors() <= open + 2); // files that are kept open
                hits += __atomic_load_n(&fault.hits, __ATOMIC_SEQ_CST);
            }
    ROW("in the end");
    CHECK(hits > 250);
    CHECK(heap_bytes(&s1.memory, false) < bytes + 300000); // blocks that are kept, of each size a bounded number
    CHECK_EQ(visit(&s1), KINDS);
    site_end(&s1);
    os_tree_remove(folder);
}

static const struct {
    call which;
    int error;
} starting[] = {{CALL_socket, EMFILE},        {CALL_socket, ENOBUFS},       {CALL_bind, EADDRINUSE},
                {CALL_bind, ENOMEM},          {CALL_listen, EADDRINUSE},    {CALL_getsockname, ENOBUFS},
                {CALL_epoll_create1, EMFILE}, {CALL_epoll_create1, ENOMEM}, {CALL_eventfd, ENFILE},
                {CALL_eventfd, ENOMEM},       {CALL_open, EMFILE},          {CALL_open, EACCES},
                {CALL_fstatfs, EIO},          {CALL_epoll_ctl, ENOMEM},     {CALL_epoll_ctl, ENOSPC},
                {CALL_setsockopt, ENOMEM},    {CALL_syscall, ENOMEM},       {CALL_pthread_create, EAGAIN}};

// Goal: whichever call fails while it is made, it says so or goes without, and leaves nothing behind.
TEST(each_call_fails_at_the_start)
{
    uint32_t failed = 0, served = 0;
    fsv_server_desc desc;
    make_files();
    memset(&desc, 0, sizeof desc);
    desc.workers = 2;
    desc.loops = 2;
    for (size_t i = 0; i < sizeof starting / sizeof starting[0]; i++)
        for (uint32_t nth = 1; nth <= 8; nth++) {
            ROW("%s %s %u", call_names[starting[i].which], strerror(starting[i].error), nth);
            fault_arm(starting[i].which, nth, starting[i].error);
            fsv_result result = site_make(&s1, &desc);
            if (result == FSV_OK) result = fsv_server_start(s1.server);
            // Threads that run go on to make their calls: what fails there is the other case's.
            fault_disarm();
            if (result == FSV_OK) {
                check_answers(&s1);
                served++;
            }
            failed += result != FSV_OK;
            site_end(&s1);
            if (!__atomic_load_n(&fault.hits, __ATOMIC_SEQ_CST)) break;
        }
    ROW("in the end");
    CHECK(failed > 20);
    CHECK(served > 10);
    os_tree_remove(folder);
}

// Goal: an allocation that fails while it serves costs one connection at most.
TEST(each_allocation_fails_once)
{
    fsv_server_desc desc;
    make_files();
    memset(&desc, 0, sizeof desc);
    desc.workers = 2;
    desc.linger_ms = 20;
    for (uint32_t nth = 1; nth <= 24; nth++) {
        ROW("allocation %u", nth);
        REQUIRE(site_begin(&s1, &desc));
        fsi_lock_take(&s1.memory.lock);
        s1.memory.fail_at = s1.memory.calls + nth;
        fsi_lock_give(&s1.memory.lock);
        CHECK(visit(&s1) >= KINDS - 2);
        check_answers(&s1);
        UNTIL(conns_open(&s1) == 0);
        site_end(&s1);
    }
    os_tree_remove(folder);
}

// Goal: sockets that take 2 KB at a time change nothing but the pace.
TEST(small_buffers)
{
    make_files();
    fault.send_buffer = 2048;
    REQUIRE(site_begin(&s1, NULL));
    CHECK_EQ(visit(&s1), KINDS);
    UNTIL(conns_open(&s1) == 0);
    fault.send_buffer = 0;
    site_end(&s1);
    os_tree_remove(folder);
}

// Goal: hundreds of connections that are reset at any point of their life leave nothing behind.
TEST(resets_in_a_storm)
{
    static const char *const texts[] = {"",
                                        "GET / HT",
                                        "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
                                        "GET /big HTTP/1.1\r\nHost: t\r\n\r\n",
                                        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99\r\n\r\nabc",
                                        "GET /files/large HTTP/1.1\r\nHost: t\r\n\r\n",
                                        "GET /block HTTP/1.1\r\nHost: t\r\n\r\nGET /block HTTP/1.1\r\nHost: t\r\n\r\n"};
    static client clients[100];
    make_files();
    REQUIRE(site_begin(&s1, NULL));
    CHECK_EQ(visit(&s1), KINDS);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++) {
            REQUIRE(dial(&clients[i], s1.port));
            (void)say(&clients[i], texts[(i + round) % 7]);
        }
        for (int i = 0; i < 100; i++) hang_up_hard(&clients[i]);
    }
    check_answers(&s1);
    UNTIL(conns_open(&s1) == 0);
    site_end(&s1);
    os_tree_remove(folder);
}

// Goal: peers that never read are cut when their window ends, and what waited for them is given back; a byte now and
// then does not save them.
TEST(peers_that_never_read)
{
    static client clients[20];
    fsv_server_desc desc;
    make_files();
    memset(&desc, 0, sizeof desc);
    desc.send_timeout_ms = 200;
    fault.send_buffer = 4096;
    REQUIRE(site_begin(&s1, &desc));
    check_answers(&s1);
    for (int i = 0; i < 20; i++) {
        REQUIRE(dial(&clients[i], s1.port));
        REQUIRE(os_option(clients[i].fd, SOL_SOCKET, SO_RCVBUF, 2048));
        CHECK(say(&clients[i],
                  i % 2 ? "GET /big HTTP/1.1\r\nHost: t\r\n\r\n" : "GET /files/large HTTP/1.1\r\nHost: t\r\n\r\n"));
    }
    for (int n = 0; n < GUARD_S * 100 && STAT(&s1, timeouts_send) < 20; n++) {
        char byte;
        for (int i = 0; i < 4; i++) (void)recv(clients[i].fd, &byte, 1, MSG_DONTWAIT);
        nap(10);
    }
    CHECK_EQ(STAT(&s1, timeouts_send), 20);
    UNTIL(conns_open(&s1) == 0);
    check_answers(&s1);
    for (int i = 0; i < 20; i++) hang_up(&clients[i]);
    fault.send_buffer = 0;
    UNTIL(conns_open(&s1) == 0);
    site_end(&s1);
    os_tree_remove(folder);
}

// Goal: a reader that is slow but takes what is asked of it gets all, though the system holds most of it and takes more
// only now and then: what counts is what it has acknowledged.
TEST(slow_reader_lives)
{
    static char piece[16384];
    client c;
    fsv_server_desc desc;
    make_files();
    memset(&desc, 0, sizeof desc);
    desc.send_timeout_ms = 250;
    desc.send_rate_min = 20000;
    REQUIRE(site_begin(&s1, &desc));
    REQUIRE(dial(&c, s1.port));
    REQUIRE(os_option(c.fd, SOL_SOCKET, SO_RCVBUF, 65536));
    for (int i = 0; i < 6; i++) CHECK(say(&c, "GET /big HTTP/1.1\r\nHost: t\r\n\r\n"));
    for (uint64_t got = 0; got < 1600000;) { // a megabyte a second: the system takes more only every 800 ms
        int64_t n = os_recv(c.fd, piece, sizeof piece);
        if (n <= 0) break;
        got += (uint64_t)n;
        c.received += (uint64_t)n;
        nap(16);
    }
    CHECK(c.received >= 1600000);
    CHECK_EQ(STAT(&s1, timeouts), 0);
    hang_up(&c);
    UNTIL(conns_open(&s1) == 0);
    site_end(&s1);
    os_tree_remove(folder);
}

// Goal: the wall clock may jump to any year, and the other one stand still or leap: requests are answered, with a Date
// that is one; connections end by the time that the clock says has passed, and the server goes on.
TEST(clocks_jump)
{
    static const int64_t years[] = {-40, -1, 1, 100};
    const int64_t year = (int64_t)365 * 86400 * 1000000000;
    client c;
    make_files();
    REQUIRE(site_begin(&s1, NULL));
    for (size_t i = 0; i < sizeof years / sizeof years[0]; i++) {
        ROW("%d years", (int)years[i]);
        __atomic_store_n(&fault.wall_ns, years[i] * year, __ATOMIC_SEQ_CST);
        // The Date field is made anew once a second: let one pass for it.
        __atomic_fetch_add(&fault.mono_ns, (int64_t)2000000000, __ATOMIC_SEQ_CST);
        REQUIRE(dial(&c, s1.port));
        CHECK_EQ(ask(&c, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
        const char *date = field_of(&c, "Date");
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        time_t there = now.tv_sec + (time_t)(years[i] * 365 * 86400);
        struct tm parts;
        char want[16];
        REQUIRE(gmtime_r(&there, &parts) != NULL);
        (void)snprintf(want, sizeof want, "%d", parts.tm_year + 1900);
        CHECK(date && strlen(date) == 29 && strstr(date, want) != NULL);
        CHECK_EQ(visit(&s1), KINDS);
        hang_up(&c);
    }
    __atomic_store_n(&fault.wall_ns, (int64_t)0, __ATOMIC_SEQ_CST);
    ROW("it stands");
    struct timespec now;
    fault_clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t before = __atomic_load_n(&fault.mono_ns, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.mono_ns, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.stands, true, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 9; i++)
        if (i != 7) CHECK(visit_one(&s1, i));                   // what lingers does so for ever
    __atomic_store_n(&fault.mono_ns, before, __ATOMIC_SEQ_CST); // a little later than it stood
    __atomic_store_n(&fault.stands, false, __ATOMIC_SEQ_CST);
    ROW("it leaps");
    REQUIRE(dial(&c, s1.port));
    CHECK_EQ(ask(&c, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    __atomic_fetch_add(&fault.mono_ns, (int64_t)3600 * 1000000000, __ATOMIC_SEQ_CST);
    check_answers(&s1); // by which it wakes up
    CHECK(ended(&c));
    CHECK_EQ(visit(&s1), KINDS);
    hang_up(&c);
    UNTIL(conns_open(&s1) == 0);
    site_end(&s1);
    __atomic_store_n(&fault.mono_ns, (int64_t)0, __ATOMIC_SEQ_CST);
    os_tree_remove(folder);
}

// Goal: without descriptors the server answers whom it has, does not spin, and takes the others as soon as it can.
TEST(no_descriptors)
{
    static client open[4], late[8];
    uint64_t before = os_descriptors_max();
    fsi_sockaddr at;
    make_files();
    REQUIRE(site_begin(&s1, NULL));
    for (int i = 0; i < 4; i++) REQUIRE(dial(&open[i], s1.port));
    for (int i = 0; i < 4; i++) CHECK_EQ(ask(&open[i], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    CHECK_EQ(ask(&open[0], "GET /files/small HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    for (int i = 0; i < 8; i++) {
        memset(&late[i], 0, sizeof late[i]);
        late[i].fd = os_socket(AF_INET);
        REQUIRE(late[i].fd >= 0);
        os_guard(late[i].fd, GUARD_S * 1000);
    }
    REQUIRE(os_descriptors_limit((uint64_t)late[7].fd + 1)); // all below are taken
    int spare[16], taken = 0;
    while (taken < 16 && (spare[taken] = os_descriptor_take()) >= 0) taken++;
    fsi_sockaddr_v4(&at, 0x7f000001u, s1.port);
    for (int i = 0; i < 8; i++) CHECK(os_connect(late[i].fd, &at.storage, (size_t)at.len));
    uint64_t turns = STAT(&s1, turns), began = fsi_clock_ns();
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 4; i++) CHECK_EQ(ask(&open[i], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
        nap(10);
    }
    uint64_t passed_ms = (fsi_clock_ns() - began) / 1000000, spun = STAT(&s1, turns) - turns;
    CHECK(spun <= 120 + 2 * (passed_ms / 100 + 2)); // one for each request, two for each time that it tries again
    CHECK_EQ(STAT(&s1, conns_accepted), 4);
    int status = ask(&open[1], "GET /files/large HTTP/1.1\r\nHost: t\r\n\r\n"); // which is not open yet
    CHECK(status == 503 || status == 200);
    REQUIRE(os_descriptors_limit(before));
    for (int i = 0; i < 8; i++) CHECK_EQ(ask(&late[i], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    CHECK_EQ(ask(&open[1], "GET /files/large HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    while (taken > 0) os_descriptor_give(spare[--taken]);
    for (int i = 0; i < 4; i++) hang_up(&open[i]);
    for (int i = 0; i < 8; i++) hang_up(&late[i]);
    UNTIL(conns_open(&s1) == 0);
    site_end(&s1);
    os_tree_remove(folder);
}

// Goal: at conns_max those that are open are served, and room that becomes free is used at once.
TEST(no_room)
{
    static client open[8], more[30];
    fsv_server_desc desc;
    make_files();
    memset(&desc, 0, sizeof desc);
    desc.conns_max = 8;
    desc.linger_ms = 50;
    REQUIRE(site_begin(&s1, &desc));
    for (int i = 0; i < 8; i++) REQUIRE(dial(&open[i], s1.port));
    for (int i = 0; i < 8; i++) CHECK_EQ(ask(&open[i], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    for (int i = 0; i < 30; i++) REQUIRE(dial(&more[i], s1.port));
    for (int i = 0; i < 30; i++) {
        CHECK_EQ(hear(&more[i]), 503);
        hang_up(&more[i]);
    }
    for (int i = 0; i < 8; i++) CHECK_EQ(ask(&open[i], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
    CHECK_EQ(STAT(&s1, conns_refused), 30);
    hang_up(&open[0]);
    UNTIL(conns_open(&s1) == 7);
    uint64_t turns = STAT(&s1, turns);
    check_answers(&s1);
    CHECK(STAT(&s1, turns) - turns < 20);
    for (int i = 1; i < 8; i++) hang_up(&open[i]);
    UNTIL(conns_open(&s1) == 0);
    site_end(&s1);
    os_tree_remove(folder);
}

TEST_MAIN(CASE(each_call_fails_once), CASE(each_call_fails_at_the_start), CASE(each_allocation_fails_once),
          CASE(small_buffers), CASE(resets_in_a_storm), CASE(peers_that_never_read), CASE(slow_reader_lives),
          CASE(clocks_jump), CASE(no_descriptors), CASE(no_room))
#else
TEST(faults)
{
    SKIP("Linux's calls are made to fail, and no others");
}
TEST_MAIN(CASE(faults))
#endif
