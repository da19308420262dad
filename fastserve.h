/* fastserve.h - an HTTP/1.1 server for C and C++ programs, in one file. MIT or public domain.

   Do this in exactly ONE C or C++ file, before its other includes:

       #define FASTSERVE_IMPLEMENTATION
       #include "fastserve.h"

   and plain #include "fastserve.h" wherever else you need it. The smallest server:

       static void hello(fsv_request *request, void *user)
       {
           (void)user;
           fsv_respond_text(request, 200, "Hello, World!");
       }

       int main(void)
       {
           fsv_server *server;
           if (fsv_server_create(&server, NULL) != FSV_OK) return 1;
           fsv_server_route(server, "GET", "/", hello, NULL);
           if (fsv_server_listen(server, "localhost:8080") != FSV_OK) return 1;
           fsv_server_run(server);
           return fsv_server_free(server);
       }

   Build: cc -O2 -pthread hello.c -o hello          Linux, macOS, the BSDs
          gcc -O2 hello.c -o hello.exe -lws2_32     Windows with MinGW
          cl /O2 /std:c11 hello.c                   Windows with Visual Studio, or clang-cl

   TABLE OF CONTENTS   (grep -n '^// >>' fastserve.h, or: make toc)
       What a user reads         >>manual >>config >>api
       Implementation, bottom-up >>platform >>atomics >>structs >>thread >>park >>memory >>queue >>time >>hist
                                 >>log >>text >>http-read >>http-write >>entity >>sock >>file >>io >>router >>guests
                                 >>conn >>files >>tcp >>task >>loop >>balance >>worker >>handle >>server >>public
       Of one system each        >>thread-posix >>thread-linux >>thread-bsd >>thread-windows >>thread-unpinned
                                 >>time-posix >>time-windows >>sock-posix >>sock-linux >>sock-windows
                                 >>file-posix >>file-linux >>file-bsd >>file-walk >>file-windows >>io-epoll
                                 >>io-kqueue >>io-posix >>io-iocp >>iocp-file >>iocp-listen >>iocp-port
   Each section uses only what stands above it. Keep the structure: new code goes into its section. */

// glibc fixes its feature set at the first system header, and affinity, accept4 and the like want this one.
#if defined(FASTSERVE_IMPLEMENTATION) && defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
// With a strict standard these hide kqueue and the names of threads unless they are asked.
#if defined(FASTSERVE_IMPLEMENTATION) && defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE
#endif
#if defined(FASTSERVE_IMPLEMENTATION) && defined(__NetBSD__) && !defined(_NETBSD_SOURCE)
#define _NETBSD_SOURCE
#endif
#if defined(FASTSERVE_IMPLEMENTATION) && defined(__OpenBSD__) && !defined(_BSD_SOURCE)
#define _BSD_SOURCE
#endif

#ifndef FASTSERVE_H
#define FASTSERVE_H

// ---------------------------------------------------------------------------------------------------------
// >>manual   What holds everywhere: threads, memory, time, errors, models, limits.
//
// WHAT IT IS   An HTTP/1.0 and 1.1 server: keep-alive, pipelining, chunked bodies both ways, Expect:
//              100-continue, strict framing (RFC 9112), routes, limits and timeouts on everything; raw TCP, timers
//              and posted calls on the same loops. Event loops over epoll (Linux), kqueue (macOS, the BSDs) or IOCP
//              (Windows), and a worker pool for handlers that block.
// WHAT NOT     No TLS (put a proxy in front, or a private network under it), no HTTP/2, no compression.
//
// LIFE         create -> route, listen (any number) -> run | start + wait | poll -> stop -> free.
//              Three ways to drive a server; pick one per server:
//                fsv_server_run    the calling thread becomes loop 0 and returns when the server has stopped
//                fsv_server_start  every loop gets a thread of the library's; the call returns at once
//                fsv_server_poll   one loop in the caller's frame: for a game or a tool with a loop of its own
//
// BLOCKING     A route that is marked `blocking` (or all of them, by desc.blocking) runs its handler on a worker of the
//              pool: it may sleep, read files, ask a database. It gets the whole body, uses the same calls, and the
//              answer is sent when it returns. Pipelined requests keep their order. Or a handler takes a token with
//              fsv_request_defer and returns; whoever has the token answers later, from any thread.
//
// THREADS      A handler runs on the loop that owns its connection, so it must not block. With several loops
//              handlers run at the same time on different threads: protect what they share. Calls that take a
//              fsv_request are for the callback that was given it, on its thread, and only until it returns.
//              What says "Any thread" may be called from any thread. All else belongs to the thread that created
//              the server.
//
// LIFETIMES    What a request accessor returns is a view: it dies when the callback returns. Copy what you need
//              for longer. A request's address may differ from callback to callback; keep your state with
//              fsv_request_set_user, and free it in the route's on_close.
//
// ANSWERS      A handler calls one fsv_respond_* function. If it returns without (with on_body: if the body ends
//              without), the client gets a 500, without what fsv_response_field has added.
//              HEAD is answered through the GET route, without the body. OPTIONS, 404, 405 with Allow, 501 and
//              every framing error are answered by the library.
//
// FILES        fsv_server_folder serves a folder below a route: types, conditions, ranges, packed files, a cache that is
//              checked for each request, and no path that leaves it. What must wait for a disk waits on the worker pool.
//              Listings, a page for what is missing and the like are your on_missing; a login, or fields for every
//              answer, your desc.on_request. fsv_respond_file answers any request with a file.
//
// RAW TCP      fsv_server_listen_tcp takes connections without HTTP, fsv_tcp_connect makes them, from any thread:
//              on_open, on_data, on_drained and on_closed are called on the connection's loop, for its whole life
//              the same. A fsv_tcp is a handle that may be kept and used on any thread; once on_closed has returned
//              it is stale and says FSV_ERR_CLOSED. Memory is bounded: what was sent and has not left, from
//              whichever thread, stays below out_bytes_max, then fsv_tcp_send says FSV_ERR_FULL and on_drained
//              tells when to go on. A stop ends raw connections at once; those with bytes to send when these
//              have left, at the latest at the end of the drain; nothing more is read from them.
//
// TIMERS       fsv_timer_start calls you once or periodically on a loop, exact to the millisecond. It belongs to the
//              loop's own thread.
//
// POSTS        fsv_loop_post runs a function once on a loop's thread, from any thread: the way into a loop, for
//              timers, for what connections there share, or to wake it.
//
// ERRORS       Functions return FSV_OK or a negative FSV_ERR_*; fsv_result_text names it. Nothing in here calls
//              exit or abort, touches a signal handler or a mask of yours (but for the moment in which a thread
//              is made), prints, or keeps global state. What
//              happens out of sight (a descriptor limit, a failed accept) goes to desc.log.
//
// LIMITS       Every limit is a desc field with a default; see fsv_server_desc. A limit that a client runs into
//              is answered (408 413 414 431 503 504) and counted in fsv_stats.
//
// POLLING      In a loop of your own, with poll(2); on Windows with fsv_server_poll(server, ms) alone:
//                  struct pollfd p = {(int)fsv_server_descriptor(server), POLLIN, 0};
//                  do {
//                      uint32_t ms = fsv_server_poll_wait_ms(server); // UINT32_MAX: nothing planned
//                      poll(&p, 1, ms > INT_MAX ? -1 : (int)ms);
//                  } while (fsv_server_poll(server, 0) == FSV_OK);    // FSV_ERR_CLOSED: stopped and drained
//
// CPUs         desc.loops = FSV_LOOPS_PER_CPU with desc.pin = 1 is the fast setting on a machine of its own:
//              loop i stays on the i-th usable CPU, the kernel hands a new connection to the loop of the CPU on
//              which its packets arrive, connections follow their packets, and a loop that drowns gives
//              connections away. The zero desc does none of it: one loop, not pinned, nothing disturbed.
//
// MEMORY       An idle connection holds its struct (below 256 bytes) and no buffer. Each loop has a receive and
//              a send buffer. Slabs grow on demand and return to the allocator in fsv_server_free.
// ---------------------------------------------------------------------------------------------------------

// ---------------------------------------------------------------------------------------------------------
// >>config   Macros that you may define before including the header; all of them in the implementing file.
//
//   FASTSERVE_IMPLEMENTATION   compile the second half here (exactly one file)
//   FASTSERVE_STATIC           make every function static: private to this one file
//   FSV_API                    linkage of public functions; default `extern`, or `static` as above
//   FSV_NO_UNIX                leave out Unix-domain listeners
//   FSV_NO_LOCALITY            leave out pinning, steering, following and balancing (desc.pin is then an error)
//   FSV_NO_CLIENT              leave out outgoing connections (fsv_tcp_connect), response parsing and the histogram
//                              (internal parts that the load generator bench.c stands on)
//   FSV_NO_FILES               leave out folders of files (fsv_server_folder)
//   FSV_CACHE_LINE             bytes between fields that two threads write; default 64
//   FSV_NO_SIMD                read heads without vector instructions (SSE2, NEON)
//   FSV_IO_HEADER              "file.h": an >>io section of your own instead of the OS's (tests use it); it also
//                              defines fsi_clock_ns and FSI_IO_CAN_MOVE
// ---------------------------------------------------------------------------------------------------------

#define FSV_VERSION_MAJOR 0
#define FSV_VERSION_MINOR 1
#define FSV_VERSION_PATCH 0
#define FSV_VERSION "0.1.0"

#ifndef FSV_API
#if defined(FASTSERVE_STATIC) && defined(__GNUC__)
#define FSV_API __attribute__((unused)) static
#elif defined(FASTSERVE_STATIC)
#define FSV_API static
#else
#define FSV_API extern
#endif
#endif

// ---------------------------------------------------------------------------------------------------------
// >>api   Every public type and function; the comments are the contract.
// ---------------------------------------------------------------------------------------------------------

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- results --------------------------------------------------------------------------------------------

// X(name, value, text). A negative number is a failure; functions that return int64_t give a count or one of these.
#define FSV_RESULTS(X)                                                                                         \
    X(FSV_OK, 0, "ok")                                                                                         \
    X(FSV_ERR_ARGUMENT, -1, "an argument or desc field is missing or out of range")                            \
    X(FSV_ERR_MEMORY, -2, "out of memory")                                                                     \
    X(FSV_ERR_SYSTEM, -3, "a system call failed; desc.log has the details")                                    \
    X(FSV_ERR_ADDRESS, -4, "the address is malformed, or this machine cannot use it")                          \
    X(FSV_ERR_IN_USE, -5, "the address is in use")                                                             \
    X(FSV_ERR_PERMISSION, -6, "the system does not permit it")                                                 \
    X(FSV_ERR_STATE, -7, "the call does not fit the state of its object")                                      \
    X(FSV_ERR_LIMIT, -8, "a limit or the caller's buffer is too small")                                        \
    X(FSV_ERR_FIELD, -9, "a field name or value has a forbidden byte, or the field is the library's to write") \
    X(FSV_ERR_NOT_FOUND, -10, "there is no such thing")                                                        \
    X(FSV_ERR_CLOSED, -11, "the connection or the server has ended")                                           \
    X(FSV_ERR_FULL, -12, "a queue is full; try again when it has drained")                                     \
    X(FSV_ERR_UNSUPPORTED, -13, "not supported on this system or left out of this build")                      \
    X(FSV_ERR_TIMEOUT, -14, "it took too long")                                                                \
    X(FSV_ERR_REFUSED, -15, "nobody answers at that address")                                                  \
    X(FSV_ERR_STOPPED, -16, "the server is stopping")

typedef enum fsv_result {
#define FSV_X(name, value, text) name = value,
    FSV_RESULTS(FSV_X)
#undef FSV_X
        FSV_RESULT_FORCE_INT = 0x7fffffff
} fsv_result;

// The text of a result, never NULL. Any thread.
FSV_API const char *fsv_result_text(fsv_result result);

// FSV_VERSION of the implementation that was linked. Any thread.
FSV_API const char *fsv_version(void);

#define FSV_LENGTH_UNKNOWN UINT64_MAX // of a body: chunked; to an HTTP/1.0 client the end of the connection is its end

// ---- shared types ---------------------------------------------------------------------------------------

typedef struct fsv_server fsv_server;
typedef struct fsv_request fsv_request;

// A view of bytes that someone else owns; not terminated. ptr may be NULL only when len is 0.
typedef struct fsv_str {
    const char *ptr;
    size_t len;
} fsv_str;

// Called on the loop that owns the request's connection; must not block. In a route that is `blocking`: on a worker.
typedef void (*fsv_handler)(fsv_request *request, void *user);

// Offers a piece of the request body, in order; a call with len 0 is the end of the body. Returns how many bytes
// it took. Fewer than len is back-pressure: reading stops, and the rest is offered again when queued response
// bytes have been sent (or at once, if none are queued: then it must take at least one byte).
typedef size_t (*fsv_body_handler)(fsv_request *request, const char *data, size_t len, void *user);

// Gives memory of a body back to its owner; called exactly once: on the loop's thread, in fsv_server_free, or, if the
// call failed or its bytes were copied after all, by the call that was given it, before it returns.
typedef void (*fsv_release_handler)(void *memory, void *user);

// What happened, for desc.log. `item` is a stable identifier, `text` one line without a newline; both die when
// the callback returns. May come from any thread of the server, also the caller's.
typedef struct fsv_log_record {
    uint32_t level; // 0 error: something is not served; 1 warning: served with less than was asked; 2 information
    const char *item;
    const char *text;
    int64_t os_error; // errno, on Windows what GetLastError() says, or 0
} fsv_log_record;
typedef void (*fsv_log_handler)(const fsv_log_record *record, void *user);

// One answered request, for desc.on_answer; views die when the callback returns. request is NULL when its head could
// not be read.
typedef struct fsv_answer {
    uint32_t status;
    uint32_t loop;        // index of the loop, 0 .. fsv_server_loops-1: enough to keep a log buffer per loop
    uint64_t body_bytes;  // of the response, as handed to the connection
    uint64_t duration_us; // from reading the head to the end of the answer, by the monotonic clock; 0 without a request
    const fsv_request *request;
    const char
        *refusal; // what the server itself found wrong, in a few words that stay; NULL: a handler or a file answered
    const void *conn; // fsv_answer_peer's
} fsv_answer;
typedef void (*fsv_answer_handler)(const fsv_answer *answer, void *user);

// ---- server ---------------------------------------------------------------------------------------------

#define FSV_LOOPS_PER_CPU 0xffffffffu // as desc.loops: one loop per CPU that this process may use

// Who runs a connection. All models share the state machine, parser, router and handlers; with the last three handlers
// may block, since nobody else waits behind them. They are there to be compared with, and for handlers that all block;
// a connection that is kept alive holds its thread, so they answer "Connection: close" and end idle connections while
// others wait. A slow client holds one too, for as long as the timeouts allow; and what waits in the backlog when the
// server stops, and finds no thread, is reset. Raw connections, posts and timers stay with the loop: with
// FSV_MODEL_SYNC they wait while a handler blocks.
typedef enum fsv_model {
    FSV_MODEL_EVENT,     // the loops: any number of connections on each
    FSV_MODEL_POOL_CONN, // a worker takes a whole connection and serves it to its end
    FSV_MODEL_THREAD,    // a thread for each connection, up to threads_max; more wait in the backlog
    FSV_MODEL_SYNC       // the loop serves one connection at a time
} fsv_model;

// Zero means default:  fsv_server_desc desc = {0};  in C,  = {};  in C++.  Copied by fsv_server_create.
// clang-format off
typedef struct fsv_server_desc {
    uint32_t loops;             // event loops, 1 to 1024, or FSV_LOOPS_PER_CPU                      (default 1)
    uint32_t pin;               // 1: a loop stays on its CPU, connections follow their packets      (default 0)
    uint32_t conns_max;         // open connections, below 2^31; more get a 503. Lowered to what
                                // the descriptor limit allows, which log is told                    (default 65536)
    uint32_t conns_per_address_max; // of them of one address, IPv6 of one /64 network; more get a 503; raw ones, those
                                // of other models than FSV_MODEL_EVENT, and those beyond 16 at a time, are
                                // closed. Link-local ones count by host. Not counted are loopback and
                                // Unix-domain, where a proxy or this machine's own users stand, and peers of
                                // which the system does not say the address              (default half of conns_max)
    uint32_t files_max;         // files above 128 KiB of folders that are open at a time, to be sent: of a loop one for
                                // all that it sends it to; bytes of more are a 503. A quarter of the descriptors is
                                // kept for them, or so many if that is less; lowered to what conns_max leaves
                                //                                                                   (default 65536)
    uint32_t conn_requests_max; // of one connection, which the last answer ends            (default 4294967295: no limit)
    uint32_t backlog;           // of each listener; the system may clamp it                         (default 4096)
    uint32_t head_bytes_max;    // request line + fields, 256 to 1 MiB; beyond it 431                (default 16384)
    uint32_t target_bytes_max;  // request target; beyond it 414                                     (default 8192)
    uint32_t fields_max;        // fields of a request or of a trailer, 1 to 10000; beyond it 431    (default 100)
    uint64_t body_bytes_max;    // of a body that is collected whole; beyond it 413                  (default 1 MiB)
    uint32_t out_bytes_max;     // response bytes that may wait for a slow reader before
                                // fsv_stream_write says FSV_ERR_FULL                                (default 262144)
    uint32_t response_fields_bytes_max; // by fsv_response_field in one response, 1 to 32768         (default 16384)
    uint32_t head_timeout_ms;   // for a head, however slowly it drips: the first one from when the connection
                                // was accepted, later ones from their first byte; beyond it 408, or, if
                                // nothing came, the end                                             (default 10000)
    uint32_t idle_timeout_ms;   // between requests, then the connection is closed                   (default 60000)
    uint32_t body_timeout_ms;   // window over which body_rate_min is held; beyond it 408            (default 10000)
    uint32_t body_rate_min;     // bytes per second that a body must bring at least                  (default 512)
    uint32_t send_timeout_ms;   // window over which send_rate_min is held; beyond it the peer is reset, and so it
                                // is when a streamed answer brings nothing for so long              (default 30000)
    uint32_t send_rate_min;     // bytes per second that a reader must take at least while bytes wait for it: where
                                // the system says so, that it has acknowledged, else that left here (default 512)
    uint32_t linger_ms;         // wait for the peer to read an answer that ended the connection
                                // while it was still sending                                        (default 1000)
    uint32_t turn_requests_max; // pipelined requests of one connection in a row, then others        (default 64)
    uint32_t inbox_max;         // messages that may be on their way to a loop, a power of two from 2 to
                                // 2^20: posts, raw bytes and calls of other threads, moves, and, in at
                                // most 7/8 of it, requests that are with workers or deferred        (default 4096)
    uint32_t workers;           // threads for handlers that block, 1 to 4096; started only when some
                                // route is blocking                                                 (default 16)
    uint32_t blocking;          // 1: every handler runs on a worker, but those of routes whose body
                                // or answer comes in pieces                                         (default 0)
    uint32_t jobs_max;          // requests that may wait for a worker, a power of two, 2 to 2^20    (default 1024)
    uint32_t jobs_wait;         // 1: when so many wait, further requests wait on their connections, without a timeout, as
                                // long as inbox_max has room for them; 0, and beyond that: a 503 with Retry-After
                                //                                                                   (default 0)
    uint32_t queue_per_worker;  // 1: each worker has a queue of jobs_max of its own, served in turn (default 0)
    uint32_t tokens_max;        // deferred answers that may be held at a time, up to 2^24           (default 65536)
    uint32_t defer_timeout_ms;  // a token unanswered for so long, then the client gets a 504        (default 30000)
    uint32_t model;             // fsv_model; but for FSV_MODEL_EVENT one loop, not pinned, `blocking`
                                // means nothing, and fsv_server_poll is refused        (default FSV_MODEL_EVENT)
    uint32_t threads_max;       // of FSV_MODEL_THREAD, 1 to 65536                                   (default 1024)
    fsv_handler handler;        // takes what no route matches: GET HEAD POST PUT DELETE PATCH
                                // OPTIONS TRACE                                                     (default NULL: 404)
    fsv_handler on_request;     // called first, for every request whose head made sense, before a route is
                                // looked for: it may answer (a login, a Host that is not ours), then nothing else
                                // is called, or add fields to the answer that follows                    (default NULL)
    fsv_answer_handler on_answer; // called after each answer, on its loop: an access log            (default NULL)
    fsv_log_handler log;        // what happens out of sight                                         (default NULL)
    void *user;                 // handed to handler, on_request, on_answer and log; never touched
    void *(*alloc)(size_t size, void *user);                // memory aligned as malloc's; NULL on failure
    void (*release)(void *memory, size_t size, void *user); // both or neither; any thread           (default malloc, free)
    void *alloc_user;           // handed to alloc and release
} fsv_server_desc;
// clang-format on

// Makes a server with its loops; nothing listens or runs yet. desc may be NULL: all defaults.
// FSV_ERR_ARGUMENT (the log names the field), FSV_ERR_MEMORY, FSV_ERR_SYSTEM, FSV_ERR_UNSUPPORTED (pin).
FSV_API fsv_result fsv_server_create(fsv_server **server, const fsv_server_desc *desc);

// Ends everything at once (as stop with no drain, if it still runs), joins the server's threads and returns its
// memory. NULL is fine. FSV_ERR_STATE from inside one of its own handlers, while fsv_server_run, _poll or _wait is
// on another thread's stack, or while tokens are held: then nothing was freed (but what ran has stopped). Owned
// response bodies that are still queued are released. Waits for handlers that are running on workers.
FSV_API fsv_result fsv_server_free(fsv_server *server);

// Binds and listens; clients queue from now on. May be called several times, before the server runs. Forms:
//   "8080" or ":8080"     every address, IPv6 and IPv4 (one dual-stack socket where the system can)
//   "127.0.0.1:8080"      IPv4         "[::1]:8080"  IPv6 only        port 0: the system picks one
//   "localhost:8080"      127.0.0.1 and, if the machine has it, [::1], on the same port
//   "unix:/path"          Unix-domain; a left-over socket that nobody serves is replaced; removed when it closes.
//   "unix:@name"          Linux's abstract namespace
// FSV_ERR_IN_USE also when the other one would share the port through SO_REUSEPORT. FSV_ERR_ADDRESS,
// FSV_ERR_PERMISSION, FSV_ERR_STATE (already running), FSV_ERR_LIMIT (64 addresses), FSV_ERR_UNSUPPORTED (unix: with
// FSV_NO_UNIX), FSV_ERR_SYSTEM, FSV_ERR_MEMORY.
FSV_API fsv_result fsv_server_listen(fsv_server *server, const char *address);

// The same, but shares the port with any other socket of this user that also allows it (SO_REUSEPORT). Unix-domain
// addresses are not shared.
FSV_API fsv_result fsv_server_listen_shared(fsv_server *server, const char *address);

// Number of listening addresses so far ("localhost" counts 1 or 2). Any thread.
FSV_API uint32_t fsv_server_listeners(const fsv_server *server);

// TCP port of a listener, 0 .. fsv_server_listeners-1; 0 for a Unix-domain one or a bad index. Any thread.
FSV_API uint32_t fsv_server_port(const fsv_server *server, uint32_t listener);

// Its address as text ("127.0.0.1:8080", "[::1]:8080", "unix:/path"), terminated; returns the length, or
// FSV_ERR_LIMIT, FSV_ERR_NOT_FOUND. 128 bytes are always enough. Any thread.
FSV_API int64_t fsv_server_address(const fsv_server *server, uint32_t listener, char *out, size_t size);

// Runs loop 0 on this thread, further loops on threads of their own, until the server was stopped and has drained.
// With desc.pin this thread's CPU affinity is set meanwhile and restored. FSV_ERR_STATE, FSV_ERR_SYSTEM.
FSV_API fsv_result fsv_server_run(fsv_server *server);

// Runs every loop on a thread of its own and returns. FSV_ERR_STATE, FSV_ERR_SYSTEM (then nothing runs).
FSV_API fsv_result fsv_server_start(fsv_server *server);

// Waits until a started server was stopped and has drained. FSV_ERR_STATE if it was not started,
// was waited for already, or from a handler.
FSV_API fsv_result fsv_server_wait(fsv_server *server);

// One turn of the only loop: waits at most timeout_ms (0: not at all, UINT32_MAX: until something happens), serves
// what is ready, returns. FSV_OK: call again. FSV_ERR_CLOSED: it was stopped and has drained. FSV_ERR_STATE with
// several loops, desc.pin, from inside a handler, or when it runs in another way.
FSV_API fsv_result fsv_server_poll(fsv_server *server, uint32_t timeout_ms);

// A descriptor that polls readable when fsv_server_poll has work; put it into your own epoll, poll or select. It
// says nothing of timeouts: also poll after fsv_server_poll_wait_ms. FSV_ERR_ARGUMENT for NULL, FSV_ERR_UNSUPPORTED on
// Windows, whose completion ports cannot be polled: call fsv_server_poll with a timeout there.
FSV_API int64_t fsv_server_descriptor(const fsv_server *server);

// Milliseconds until fsv_server_poll has something to do even if the descriptor stays silent; UINT32_MAX: nothing.
FSV_API uint32_t fsv_server_poll_wait_ms(const fsv_server *server);

// Stops accepting (after what already waits in the backlogs was accepted), lets requests that have begun finish for
// at most drain_ms, then closes the rest. Returns at once. Any thread, also a handler, and async-signal-safe.
// A second call can only shorten the drain.
FSV_API void fsv_server_stop(fsv_server *server, uint32_t drain_ms);

// Loops that the server has (after FSV_LOOPS_PER_CPU was resolved), the workers or threads that a model gives one
// included. Any thread.
FSV_API uint32_t fsv_server_loops(const fsv_server *server);

// CPUs that this process may use: its CPU set, or its cgroup's quota rounded up if that is less. Any thread.
FSV_API uint32_t fsv_cpu_count(void);

// Counters since the server was made; each is exact, the set is not one instant.
typedef struct fsv_stats {
    uint64_t conns_accepted;
    uint64_t conns_closed;
    uint64_t conns_refused;         // beyond conns_max: a 503 (then also accepted), or, beyond 64 at a time, dropped
    uint64_t conns_refused_address; // beyond conns_per_address_max: likewise, beyond 16 at a time; accepted in any case
    uint64_t conns_spent;           // had their conn_requests_max
    uint64_t requests;              // heads that were read and made sense
    uint64_t answers_2xx, answers_3xx, answers_4xx, answers_5xx;
    uint64_t bad_requests; // heads or bodies that broke the framing, or a limit of heads
    uint64_t refused_head, refused_fields,
        refused_target;    // of them: beyond head_bytes_max, fields_max, target_bytes_max
    uint64_t refused_body; // 413
    uint64_t timeouts;     // head, body, idle, send, connect and token timeouts
    uint64_t timeouts_head, timeouts_body, timeouts_idle, timeouts_send; // of them; who never sent a byte was idle
    uint64_t turns_cut; // by turn_requests_max: the connection went on in the next turn
    uint64_t bytes_received, bytes_sent;
    uint64_t turns;          // of the loops
    uint64_t conns_followed; // moved to the loop of the CPU where their packets arrive
    uint64_t conns_balanced; // moved away from a loop that drowned
    uint64_t conns_rescued;  // accepted by another loop than the one that was to accept them
    uint64_t busy_us;        // time that loops spent awake; counted only with pin and several loops
    uint64_t jobs;           // requests that a worker has run
    uint64_t jobs_refused;   // 503: too many waited for a worker, or for their way home
    uint64_t job_wait_us;    // time that jobs waited for a worker, in all
    uint64_t job_run_us;     // time that their handlers took, in all
    uint64_t deferred;       // tokens that were taken
    uint64_t defer_timeouts; // 504, or a stream cut: a token was not answered in time
    uint64_t conns_begun;    // by fsv_tcp_connect; when they end, conns_closed counts them too
    uint64_t files_kept;     // files that were found in a loop's cache, still the same
    uint64_t
        files_cold; // times that a worker had to find or to read one, since a disk might have been waited for, or it
                    // was time to look at the folder again
    uint64_t files_refused; // 503: desc.files_max large files were open already, or memory ran out
} fsv_stats;

// Any thread. loop: an index, or UINT32_MAX for the sum over all loops. FSV_ERR_NOT_FOUND: no such loop.
FSV_API fsv_result fsv_server_stats(const fsv_server *server, uint32_t loop, fsv_stats *stats);

// The worker pool as it is now; all 0 while there is none.
typedef struct fsv_pool_stats {
    uint32_t workers; // threads
    uint32_t idle;    // of them asleep
    uint32_t queued;  // requests that wait for one
    uint32_t tokens;  // that are held
} fsv_pool_stats;

// Any thread.
FSV_API fsv_result fsv_server_pool_stats(const fsv_server *server, fsv_pool_stats *stats);

// ---- routes ---------------------------------------------------------------------------------------------

// Routes are matched segment by segment: a literal beats ":name" beats "*". ":name" takes one non-empty segment; "*",
// only as the last, takes the rest of the path, also an empty rest ("/files/*" takes "/files/", not "/files"). If the
// best match does not have the method, the next best is tried; 405 comes only when no match has it. Paths are
// compared after percent-decoding, except that %2F stays as it was sent. Case matters, as does a slash at the end.
// "." and ".." are not resolved.
typedef struct fsv_route_desc {
    const char *method;       // "GET" (also answers HEAD), any other (20 beside RFC 9110's), or "*": GET HEAD
                              // POST PUT DELETE PATCH                                                    (required)
    const char *pattern;      // "/", "/users/:id", "/files/*"; at most 8 parameters                      (required)
    fsv_handler handler;      // when the request is complete - or, with on_body, when its head is        (required)
    fsv_body_handler on_body; // takes the body in pieces, then without a limit                           (default NULL)
    fsv_handler on_room;      // a streamed response has room again: write more, or end it                (default NULL)
    fsv_handler on_close;     // called once and last for a request whose handler was called, however it ended:
                              // the place to free what fsv_request_set_user holds                        (default NULL)
    void *user;               // handed to all of them, never touched
    uint64_t body_bytes_max;  // 0: desc.body_bytes_max for a whole body, no limit for pieces             (default 0)
    uint32_t blocking;        // 1: handler runs on a worker, not with on_body or on_room                 (default 0)
} fsv_route_desc;

// Before the server runs. The desc and its strings are copied. FSV_ERR_ARGUMENT, FSV_ERR_STATE (running, or the
// same method and pattern was added before), FSV_ERR_MEMORY. The log says what is wrong with a route.
FSV_API fsv_result fsv_server_route_add(fsv_server *server, const fsv_route_desc *desc);

// The common case: a handler that gets the whole request.
FSV_API fsv_result fsv_server_route(fsv_server *server, const char *method, const char *pattern, fsv_handler handler,
                                    void *user);

// ---- request --------------------------------------------------------------------------------------------
// Views die when the callback returns. All of these are for the callback's own thread.

FSV_API fsv_str fsv_request_method(const fsv_request *request);       // as sent: "GET", "HEAD", ...
FSV_API fsv_str fsv_request_target(const fsv_request *request);       // raw, as it stood in the request line
FSV_API fsv_str fsv_request_path(const fsv_request *request);         // percent-decoded (but %2F), without the query
FSV_API fsv_str fsv_request_query(const fsv_request *request);        // raw, without the "?"; empty if there is none
FSV_API fsv_str fsv_request_host(const fsv_request *request);         // of the absolute target, else of the Host field
FSV_API fsv_str fsv_request_body(const fsv_request *request);         // whole body; empty with on_body
FSV_API bool fsv_request_has_body(const fsv_request *request);        // a body was announced, even an empty one
FSV_API uint64_t fsv_request_body_length(const fsv_request *request); // as stated; FSV_LENGTH_UNKNOWN when chunked
FSV_API uint32_t fsv_request_version(const fsv_request *request);     // 10 or 11
FSV_API fsv_server *fsv_request_server(const fsv_request *request);

// Value of the first field of that name (any case), without white space around it. False: there is none.
FSV_API bool fsv_request_field(const fsv_request *request, const char *name, fsv_str *value);

// Fields in the order they were sent: 0 .. count-1. False: index too large.
FSV_API uint32_t fsv_request_field_count(const fsv_request *request);
FSV_API bool fsv_request_field_at(const fsv_request *request, uint32_t index, fsv_str *name, fsv_str *value);

// What ":name" of the route took, percent-decoded (but %2F); name without the colon, "*" for the wildcard. Empty if
// there is none.
FSV_API fsv_str fsv_request_param(const fsv_request *request, const char *name);

// First value of that name in the query, percent-decoded, "+" as space, terminated. Returns its length;
// FSV_ERR_NOT_FOUND (also a name beyond 256 bytes), FSV_ERR_LIMIT (out too small), FSV_ERR_ARGUMENT (a broken
// %-sequence, or %00).
FSV_API int64_t fsv_request_query_value(const fsv_request *request, const char *name, char *out, size_t size);

// The peer's address: "127.0.0.1:50000", "[::1]:50000" or "unix:"; terminated, returns its length. FSV_ERR_LIMIT,
// FSV_ERR_CLOSED: it is not known, or, asked by a handler that may block (on a worker, or of another model), the client has
// reset the connection by now; there each call is one of the system. 64 bytes are always enough.
FSV_API int64_t fsv_request_peer(const fsv_request *request, char *out, size_t size);

// The same of an answer, in on_answer; also of one without a request.
FSV_API int64_t fsv_answer_peer(const fsv_answer *answer, char *out, size_t size);

// One pointer of yours that stays with the request from callback to callback. NULL at first.
FSV_API void fsv_request_set_user(fsv_request *request, void *user);
FSV_API void *fsv_request_user(const fsv_request *request);

// ---- response -------------------------------------------------------------------------------------------
// One answer per request; a second gives FSV_ERR_STATE. status is 200 to 599, else FSV_ERR_ARGUMENT. content_type may
// be NULL (no field); with a control byte it is FSV_ERR_FIELD, beyond 1024 bytes FSV_ERR_LIMIT. The library writes
// Date, Content-Length or Transfer-Encoding, and Connection where it is needed.

// Adds a field to the answer that follows. Refused with FSV_ERR_FIELD: a malformed name, CR, LF, NUL or
// another control byte in the value, and Date, Content-Length, Transfer-Encoding, Connection, Keep-Alive, Trailer and
// Upgrade, which are the library's. FSV_ERR_LIMIT, FSV_ERR_STATE, FSV_ERR_MEMORY.
FSV_API fsv_result fsv_response_field(fsv_request *request, const char *name, const char *value);

// Closes the connection after this answer and says so in it. Before the answer. FSV_ERR_STATE.
FSV_API fsv_result fsv_response_close(fsv_request *request);

// Answers with a body that is copied: the caller's memory is free when this returns. 204, 205 and 304 take no body.
FSV_API fsv_result fsv_respond(fsv_request *request, uint32_t status, const char *content_type, const void *body,
                               size_t len);

// Answers with a terminated text, as text/plain; charset=utf-8.
FSV_API fsv_result fsv_respond_text(fsv_request *request, uint32_t status, const char *text);

// Answers with a body that is not copied: it must stay until release is called, which happens exactly once, also
// when this call fails. release may be NULL for memory that outlives the server.
FSV_API fsv_result fsv_respond_owned(fsv_request *request, uint32_t status, const char *content_type, const void *body,
                                     size_t len, fsv_release_handler release, void *release_user);

// Starts an answer whose body follows by fsv_stream_write, here or in on_body and on_room. Only in a route that has
// on_body or on_room. length: Content-Length, or FSV_LENGTH_UNKNOWN.
FSV_API fsv_result fsv_respond_stream(fsv_request *request, uint32_t status, const char *content_type, uint64_t length);

// Adds bytes, copied. All or nothing: FSV_ERR_FULL when desc.out_bytes_max bytes wait already (on_room comes when
// they are gone; while there is any room a larger piece is taken whole), FSV_ERR_LIMIT beyond the stated length,
// FSV_ERR_CLOSED (the peer has gone, memory ran out, or the answer has no body: HEAD, 204, 205, 304), FSV_ERR_STATE.
FSV_API fsv_result fsv_stream_write(fsv_request *request, const void *data, size_t len);

// How many bytes still fit before fsv_stream_write says FSV_ERR_FULL.
FSV_API size_t fsv_stream_room(const fsv_request *request);

// Ends the body. If fewer bytes were written than stated, the connection is cut, so that the client can tell:
// FSV_ERR_STATE.
FSV_API fsv_result fsv_stream_end(fsv_request *request);

// Cuts the connection in mid-answer, so that the client sees that it is not whole.
FSV_API void fsv_stream_abort(fsv_request *request);

// ---- files ----------------------------------------------------------------------------------------------
// A folder of files, served by the library: GET and HEAD, conditions (RFC 9110 13), ranges (14), a bounded cache that is
// checked against the file system for every request, and no path that leaves the folder. What takes long (a disk that is
// cold, a listing) happens on the worker pool, never on a loop. A file that is cut short or written to while it is sent
// ends the connection early, short of what its head said; one that is removed or replaced by another is sent to its end.
// Not served: ".", "..", a backslash, control bytes and malformed UTF-8 in a path, what is no plain file, and on Windows
// names that mean something else there (devices, streams, 8.3, a dot or a space at the end). Entity tags are weak until the
// file has not been changed for 2 s, since an earlier change may have left it with the same time stamps.
// What no time stamp tells is not seen: a file that is written through a shared mapping may stay as it was on the shelf;
// and what a socket has taken of a file but the peer has not, the system sends as the file is by then. Who replaces a
// file by a new one, instead of writing over it, avoids both.

// A folder that was added to a server; lives as long as that does.
typedef struct fsv_folder fsv_folder;

// Why a request for a folder's file is handed to on_missing.
typedef enum fsv_missing {
    FSV_MISSING_FILE, // there is no such file, or it is not to be had (hidden, outside, not a plain file): 404
    FSV_MISSING_INDEX // a folder without its index file; the path ends with a slash, or is empty for the folder itself
} fsv_missing;

// Answers instead of the library's 404: a page, fsv_respond_file, a listing by fsv_folder_list. path is what the folder
// was asked for, decoded, without a slash at its front and, but for FSV_MISSING_INDEX, at its end; what no file can be
// called comes as it was sent, only decoded. Terminated too. Runs on a worker, so it may block. If it does not answer, the
// client gets the 404.
typedef void (*fsv_missing_handler)(fsv_request *request, fsv_folder *folder, fsv_missing why, fsv_str path,
                                    void *user);

// Zero means default. Copied by fsv_server_folder.
// clang-format off
typedef struct fsv_folder_desc {
    const char *pattern;        // of a route that ends with "*": "/*", "/assets/*"; literals only         (required)
    const char *path;           // of the folder, UTF-8. Another folder that is put in its place while the server runs
                                // is seen within 2 s, or when a worker is free; while nothing stands there, or a folder
                                // of another owner, or a link where there was none, the old one is served (required)
    const char *index;          // file that answers for its folder, a name of at most 255 bytes; "" for none
                                //                                                              (default "index.html")
    const char *cache_control;  // value of the field in every 200, 206, 301 and 304, at most 512 bytes; where it is not NULL
                                // files that answer with another status say no-cache        (default NULL: none)
    const char *types;          // more types by extension, or other ones: "ext=type" or "ext ext=type" lines, LF
                                // between                                                                (default NULL)
    uint64_t cache_bytes;       // added to the memory in which the server's folders keep files of up to 128 KiB, over all
                                // loops; 1: none of this folder's                                    (default 64 MiB)
    uint32_t hidden;            // 1: names that begin with a dot are served as well                       (default 0)
    uint32_t follow_symlinks;   // 1: also symbolic links that leave the folder. Without it, a link is followed
                                // where the system can keep it inside (Linux 5.6), else refused           (default 0)
    uint32_t sendfile;          // 1: large files leave without a copy (sendfile, TransmitFile), for less CPU time: a
                                // promise that no file is written to or cut in place while it is served. Else clients may
                                // get new bytes, or zeroes, under the old length. Replacing by a rename is fine.
                                // 0: what was read is sent only if the file is still the same after that   (default 0)
    uint32_t precompressed;     // 1: NAME.br, NAME.zst or NAME.gz instead of NAME for who accepts it, if it
                                // is not older; answers then say Vary. A new one is seen within 2 s       (default 0)
    fsv_missing_handler on_missing; // what is not there                                            (default NULL: 404)
    void *user;                 // handed to on_missing
} fsv_folder_desc;
// clang-format on

// Serves a folder's files below a route, before the server runs. A path without its slash at the end is redirected
// (301) where it names a folder. folder may be NULL. The route counts as a blocking one: the server starts its workers.
// FSV_ERR_ARGUMENT, FSV_ERR_NOT_FOUND (no such folder), FSV_ERR_PERMISSION, FSV_ERR_STATE, FSV_ERR_SYSTEM,
// FSV_ERR_MEMORY, FSV_ERR_UNSUPPORTED (FSV_NO_FILES).
FSV_API fsv_result fsv_server_folder(fsv_server *server, const fsv_folder_desc *desc, fsv_folder **folder);

// Answers with a file of the folder; path as in on_missing, and checked as strictly. With status 200 conditions and
// ranges count; with any other the file is the whole answer, for pages like a 404.html. Any handler but those of a route
// with on_body or on_room: FSV_ERR_STATE. A file that is not there, or a folder without its slash, is not an error here:
// on_missing is asked, once for a request, and what it leaves is a 404. status: 200 to 599 but 204, 205, 206 and 304, else
// FSV_ERR_ARGUMENT, as for the folder of another server. FSV_ERR_MEMORY.
FSV_API fsv_result fsv_respond_file(fsv_request *request, fsv_folder *folder, const char *path, uint32_t status);

// One name in a folder.
typedef struct fsv_entry {
    fsv_str name;       // UTF-8 where the system knows; terminated; dies when the callback returns
    uint64_t size;      // bytes; 0 of a folder
    int64_t modified_s; // seconds since 1970
    bool is_folder;
} fsv_entry;

// False ends the listing.
typedef bool (*fsv_entry_handler)(const fsv_entry *entry, void *user);

// Calls each for every name below path that this folder serves (plain files and folders, no hidden ones unless asked
// for), in the system's order. Blocks: not on a loop. Any thread. FSV_ERR_NOT_FOUND, FSV_ERR_PERMISSION, FSV_ERR_SYSTEM,
// FSV_ERR_ARGUMENT, FSV_ERR_MEMORY.
FSV_API fsv_result fsv_folder_list(const fsv_folder *folder, const char *path, fsv_entry_handler each, void *user);

// The type that the folder gives a name, by its extension: "text/html; charset=utf-8"; "application/octet-stream" where
// it knows none. Lives as long as the folder. Any thread.
FSV_API const char *fsv_folder_type(const fsv_folder *folder, const char *name);

// ---- deferred answers -----------------------------------------------------------------------------------
// A handler that cannot answer yet takes a token and returns. Whoever has the token answers, from any thread, once:
// fsv_token_respond, _respond_owned, _end or _drop ends it, with FSV_OK or FSV_ERR_CLOSED; after any other result it is
// still held; fsv_token_stream, _write and _wait never end it. A client has gone when its connection was reset or has
// failed. One that has only ended its side, as one that simply closes does at first, may still read: its answer is made
// and sent. Each token must be ended, also after the client has gone or was told 504: until then the server cannot be
// freed. A token that has ended is harmless: FSV_ERR_CLOSED. While a handler on a worker runs, the 504 waits for its
// end. In a stream defer_timeout_ms is the longest pause between two pieces; then the connection is cut.

// A value, copy it freely, to any thread. {0} is none: FSV_ERR_ARGUMENT. Not to be used after fsv_server_free.
typedef struct fsv_token {
    fsv_server *server;
    uint32_t slot, generation;
} fsv_token;

// Takes the token of this request instead of answering it; in a handler, on a loop or on a worker, or in on_body when
// the body has ended. From then on the handler may only look at the request, and its views still die when it returns.
// What it added by fsv_response_field goes into the answer, but not into the library's own 500 or 504. FSV_ERR_STATE:
// answered or deferred already, or the body has not ended. FSV_ERR_CLOSED: on a worker, the client has gone.
// FSV_ERR_FULL: desc.tokens_max or desc.inbox_max. FSV_ERR_MEMORY.
FSV_API fsv_result fsv_request_defer(fsv_request *request, fsv_token *token);

// Answers, as fsv_respond does. FSV_ERR_CLOSED: the client has gone, time ran out, or the token has ended before.
// FSV_ERR_STATE: a streamed answer has begun.
FSV_API fsv_result fsv_token_respond(fsv_token token, uint32_t status, const char *content_type, const void *body,
                                     size_t len);

// The same with a body that is not copied, as fsv_respond_owned: release is called exactly once in any case, on the
// loop or here.
FSV_API fsv_result fsv_token_respond_owned(fsv_token token, uint32_t status, const char *content_type, const void *body,
                                           size_t len, fsv_release_handler release, void *release_user);

// Starts an answer in pieces, which leave at once, also while a handler on a worker still runs (its end is the end of
// the answer, at the earliest). One thread at a time has a token's stream. length: Content-Length, or
// FSV_LENGTH_UNKNOWN. FSV_ERR_CLOSED, FSV_ERR_STATE (begun before), FSV_ERR_ARGUMENT, FSV_ERR_FIELD, FSV_ERR_LIMIT,
// FSV_ERR_MEMORY.
FSV_API fsv_result fsv_token_stream(fsv_token token, uint32_t status, const char *content_type, uint64_t length);

// Adds bytes, copied; all or nothing. FSV_ERR_FULL: desc.out_bytes_max bytes wait already for the loop (a client that
// reads slowly). FSV_ERR_LIMIT: more than the stated length. FSV_ERR_CLOSED: also if the answer has no body (HEAD, 204,
// 205, 304). FSV_ERR_STATE (no stream), FSV_ERR_MEMORY.
FSV_API fsv_result fsv_token_write(fsv_token token, const void *data, size_t len);

// Waits until fsv_token_write has room again, at most timeout_ms (UINT32_MAX: no limit). FSV_OK; FSV_ERR_FULL: time is
// up; FSV_ERR_CLOSED; FSV_ERR_STATE: no stream, or on a thread that would wait for itself: a loop's, one that a model gave
// the connection, or the one that polls the server.
FSV_API fsv_result fsv_token_wait(fsv_token token, uint32_t timeout_ms);

// Ends the body, and the token. FSV_ERR_CLOSED: the client has gone, or fewer bytes were written than stated and the
// connection is cut. FSV_ERR_STATE: there is no stream.
FSV_API fsv_result fsv_token_end(fsv_token token);

// Ends the token without an answer: the client gets a 500, or, in mid-stream, is cut off.
FSV_API void fsv_token_drop(fsv_token token);

// ---- posts and timers -----------------------------------------------------------------------------------

// Index of the loop on whose thread this is called, for the calls that want one; UINT32_MAX: on none, or on one that a
// model gave a worker or a thread of its own, which take no posts and timers. Any thread.
FSV_API uint32_t fsv_loop_current(const fsv_server *server);

typedef void (*fsv_task_handler)(void *user);

// Calls handler(user) exactly once on that loop's thread, in a later turn; those of one thread in the order of its
// calls. What is still waiting when the loop ends is called then; if the server never ran or is freed in mid-run, in
// fsv_server_free, on its thread. Any thread, also before the server runs. FSV_ERR_FULL: desc.inbox_max messages wait
// or are spoken for; FSV_ERR_CLOSED: the loop has ended; FSV_ERR_ARGUMENT: also a loop beyond desc.loops, of a model's
// worker or thread. Then handler is not called.
FSV_API fsv_result fsv_loop_post(fsv_server *server, uint32_t loop, fsv_task_handler handler, void *user);

// A timer of a loop: a value, copy it freely. {0} is none: FSV_ERR_ARGUMENT. Stale once it was stopped or has fired for
// the last time.
typedef struct fsv_timer {
    fsv_server *server;
    uint32_t loop, slot, generation;
} fsv_timer;

// Called on the timer's loop; must not block. It may stop this timer or any other of its loop.
typedef void (*fsv_timer_handler)(fsv_timer timer, void *user);

// Calls handler(timer, user) on the loop's thread after first_ms, and then every every_ms milliseconds (0: once). Never
// early; late by what the loop was busy with. A periodic timer counts from when it was due, so it does not drift, and
// what it has missed it skips. Timers do not keep a server from stopping: they go on while it drains and are forgotten
// when their loop ends. timer may be NULL. On the loop's own thread, and while the server does not run (before it does;
// with fsv_server_poll also between two polls, on the thread that polls); from elsewhere post a function that does it.
// FSV_ERR_STATE (another thread), FSV_ERR_CLOSED (the server has ended), FSV_ERR_MEMORY, FSV_ERR_ARGUMENT.
FSV_API fsv_result fsv_timer_start(fsv_server *server, uint32_t loop, uint32_t first_ms, uint32_t every_ms,
                                   fsv_timer_handler handler, void *user, fsv_timer *timer);

// It will not be called any more. On the same threads as fsv_timer_start, else FSV_ERR_STATE. FSV_ERR_NOT_FOUND: it has
// fired for the last time, or was stopped.
FSV_API fsv_result fsv_timer_stop(fsv_timer timer);

// ---- raw TCP --------------------------------------------------------------------------------------------
// Connections without HTTP, on the same loops. Their callbacks run on the loop that owns the connection, which stays
// the same, must not block, and may call anything here. Unix-domain addresses work as well.

// A connection: a value, copy it freely, to any thread. {0} is none: FSV_ERR_ARGUMENT. When on_closed has returned it
// is stale, and every call with it gives FSV_ERR_CLOSED. Not to be used after fsv_server_free.
typedef struct fsv_tcp {
    fsv_server *server;
    uint32_t slot, generation;
} fsv_tcp;

typedef void (*fsv_tcp_handler)(fsv_tcp tcp, void *user);

// Bytes have come: len of them, 1 to 65536, those that were kept before come first, and where one piece ends says
// nothing of how they were sent. They are gone when the callback returns. Returns how many it took; the rest is kept,
// and offered again: if it took some, at once; if it took none, when more has come behind it, so that a message may
// wait for its end here. If a send has said FSV_ERR_FULL the rest is offered again after on_drained, and nothing is
// read meanwhile. So an echo is: return fsv_tcp_send(tcp, data, len) == FSV_OK ? len : 0;  At most 64 KiB are kept; who
// takes nothing of them has to call fsv_tcp_resume. len 0, once, with data NULL: the peer has ended its direction,
// nothing follows, and what was not taken is gone; ours stays open until fsv_tcp_shut or fsv_tcp_close.
typedef size_t (*fsv_tcp_data_handler)(fsv_tcp tcp, const char *data, size_t len, void *user);

// The connection has ended. why: FSV_OK: both directions, or by fsv_tcp_close, and all that was sent has left.
// FSV_ERR_CLOSED: it was cut, by the peer, by fsv_tcp_abort or because memory ran out. FSV_ERR_TIMEOUT: idle, a peer
// that takes too little, or a connect that got no answer. FSV_ERR_REFUSED: a connect that nobody answered.
// FSV_ERR_STOPPED: the server is stopping. After a connect also what the system says of it: FSV_ERR_ADDRESS,
// FSV_ERR_PERMISSION, FSV_ERR_MEMORY, FSV_ERR_SYSTEM.
typedef void (*fsv_tcp_closed_handler)(fsv_tcp tcp, fsv_result why, void *user);

// Zero means default. Copied by the calls that take it.
// clang-format off
typedef struct fsv_tcp_desc {
    fsv_tcp_handler on_open;          // accepted, or connected: it may send                           (default NULL)
    fsv_tcp_data_handler on_data;     // required
    fsv_tcp_handler on_drained;       // after FSV_ERR_FULL: everything has left, send again. Once for
                                      // all who were told so; may come once without a need            (default NULL)
    fsv_tcp_closed_handler on_closed; // last; once for each on_open and for each fsv_tcp_connect that
                                      // said FSV_OK. The place to free what fsv_tcp_set_user holds    (default NULL)
    void *user;                       // handed to all of them, never touched
    uint32_t out_bytes_max;           // sent and not yet taken by the system, up to 1 GiB, rounded up
                                      // to a multiple of 256                        (default: that of the server's desc)
    uint32_t idle_timeout_ms;         // nothing came and nothing left               (default: that of the server's desc)
    uint32_t connect_timeout_ms;      // of fsv_tcp_connect                                            (default 10000)
} fsv_tcp_desc;
// clang-format on

// As fsv_server_listen, for raw connections: same forms of address, same errors, and the log has them too. Beyond
// conns_max they are closed at once, without a callback.
FSV_API fsv_result fsv_server_listen_tcp(fsv_server *server, const char *address, const fsv_tcp_desc *desc);

// Connects from a loop: on_open or on_closed follows on its thread. address: "1.2.3.4:80", "[::1]:80", "localhost:80"
// (127.0.0.1) or "unix:/path"; names are not looked up, since that blocks. *tcp is good at once: what is sent before
// on_open waits. Any thread, also before the server runs. These connections count in desc.conns_max. FSV_ERR_ARGUMENT,
// FSV_ERR_ADDRESS, FSV_ERR_LIMIT (conns_max), FSV_ERR_FULL (the loop's inbox), FSV_ERR_STOPPED (or it has ended),
// FSV_ERR_MEMORY, FSV_ERR_UNSUPPORTED (FSV_NO_CLIENT).
FSV_API fsv_result fsv_tcp_connect(fsv_server *server, uint32_t loop, const char *address, const fsv_tcp_desc *desc,
                                   fsv_tcp *tcp);

// Sends bytes, copied. All or nothing: FSV_ERR_FULL when they do not fit below desc.out_bytes_max together with what
// waits, or when the loop's inbox is full; then on_drained follows. FSV_ERR_LIMIT: more than out_bytes_max, it would
// never fit. FSV_ERR_CLOSED, FSV_ERR_MEMORY, FSV_ERR_ARGUMENT. Any thread; one thread's bytes leave in the order of its
// calls. In the connection's own callbacks they leave in one write when it returns; from other threads they travel to
// the loop, and are dropped if the connection has ended when they arrive, although this said FSV_OK.
FSV_API fsv_result fsv_tcp_send(fsv_tcp tcp, const void *data, size_t len);

// The same, not copied: the memory must stay until release is called, which happens exactly once, also when this
// fails: before it returns, on the loop's thread, or in fsv_server_free. release may be NULL for memory that outlives
// the server, and must not call the library. One block for many connections: a counter set to their number, this for
// each of them, and a release that counts down, atomically since it comes on several threads, and frees the block at
// zero.
FSV_API fsv_result fsv_tcp_send_owned(fsv_tcp tcp, const void *data, size_t len, fsv_release_handler release,
                                      void *release_user);

// Ends our direction after all that was sent: the peer reads to the end. When the peer has ended too, so has the
// connection. Any thread, as the next four. FSV_ERR_CLOSED; from another thread than the loop's also FSV_ERR_FULL (the
// loop's inbox; nothing was done).
FSV_API fsv_result fsv_tcp_shut(fsv_tcp tcp);

// Ends the connection after all that was sent. Nothing is read any more.
FSV_API fsv_result fsv_tcp_close(fsv_tcp tcp);

// Cuts the connection: the peer sees a reset, what was not sent yet is lost.
FSV_API fsv_result fsv_tcp_abort(fsv_tcp tcp);

// Stops and resumes reading; the peer feels it when the system's buffers are full. While reading is stopped the peer's
// end is not seen either, and idle_timeout_ms runs: it ends a paused connection to which nothing leaves.
// fsv_tcp_resume also offers again what on_data did not take.
FSV_API fsv_result fsv_tcp_pause(fsv_tcp tcp);
FSV_API fsv_result fsv_tcp_resume(fsv_tcp tcp);

// One pointer of yours that stays with the connection. NULL at first. On the loop's thread, else FSV_ERR_STATE, NULL.
FSV_API fsv_result fsv_tcp_set_user(fsv_tcp tcp, void *user);
FSV_API void *fsv_tcp_user(fsv_tcp tcp);

// The peer's address as fsv_request_peer writes it. On the loop's thread. FSV_ERR_LIMIT, FSV_ERR_CLOSED, FSV_ERR_STATE.
FSV_API int64_t fsv_tcp_peer(fsv_tcp tcp, char *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif // FASTSERVE_H

// =========================================================================================================
//                                        IMPLEMENTATION
// =========================================================================================================

#if defined(FASTSERVE_IMPLEMENTATION) && !defined(FASTSERVE_IMPLEMENTED)
#define FASTSERVE_IMPLEMENTED

// ---------------------------------------------------------------------------------------------------------
// >>platform   The only tests of predefined macros in the implementation. Everything after this asks 0/1 macros or
//              has a section of its own.
// ---------------------------------------------------------------------------------------------------------

#if defined(_WIN32)
#define FSI_WINDOWS 1
#define FSI_LINUX 0
#define FSI_MACOS 0
#define FSI_BSD 0
#elif defined(__linux__)
#define FSI_WINDOWS 0
#define FSI_LINUX 1
#define FSI_MACOS 0
#define FSI_BSD 0
#elif defined(__APPLE__)
#define FSI_WINDOWS 0
#define FSI_LINUX 0
#define FSI_MACOS 1
#define FSI_BSD 0
#elif defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__) || defined(__DragonFly__)
#define FSI_WINDOWS 0
#define FSI_LINUX 0
#define FSI_MACOS 0
#define FSI_BSD 1
#else
#error "fastserve.h: no section for this system: Linux, macOS, FreeBSD, OpenBSD, NetBSD, DragonFly, Windows"
#endif
#define FSI_POSIX (!FSI_WINDOWS)

#ifdef __FreeBSD__
#define FSI_FREEBSD 1
#else
#define FSI_FREEBSD 0
#endif
#ifdef __NetBSD__
#define FSI_NETBSD 1
#else
#define FSI_NETBSD 0
#endif

#if defined(FSV_KQUEUE_SHIM) && !defined(FSV_IO_HEADER) // a test's kqueue, on Linux
#define FSI_SHIM 1
#else
#define FSI_SHIM 0
#endif

#ifdef FSV_IO_HEADER // a test's own io
#define FSI_IO_EPOLL 0
#define FSI_IO_KQUEUE 0
#define FSI_IO_IOCP 0
#else
#define FSI_IO_EPOLL (FSI_LINUX && !FSI_SHIM)
#define FSI_IO_KQUEUE (FSI_MACOS || FSI_BSD || FSI_SHIM)
#define FSI_IO_IOCP FSI_WINDOWS
#endif

#ifdef FSV_NO_LOCALITY
#define FSI_LOCALITY 0
#else
#define FSI_LOCALITY (FSI_LINUX && !FSI_SHIM)
#endif

#define FSI_SOCK_FLAGS (!FSI_MACOS && !FSI_SHIM) // socket() takes SOCK_NONBLOCK and SOCK_CLOEXEC, accept4() is there

#ifdef FSV_NO_UNIX
#define FSI_UNIX 0
#else
#define FSI_UNIX 1
#endif

#ifdef FSV_NO_FILES
#define FSI_FILES 0
#else
#define FSI_FILES 1
#endif

#ifdef FSV_NO_CLIENT
#define FSI_CLIENT 0
#else
#define FSI_CLIENT 1
#endif

#ifndef FSV_CACHE_LINE
#define FSV_CACHE_LINE 64
#endif

// Windows: 8 or newer; libraries ws2_32 (gcc: -lws2_32). winsock2.h must come before windows.h, which without
// WIN32_LEAN_AND_MEAN brings an older one along; what is defined here for its sake is undefined again.
#if FSI_WINDOWS
#if defined(_WINSOCKAPI_) && !defined(_WINSOCK2API_)
#error "fastserve.h: include it, or winsock2.h, before windows.h where FASTSERVE_IMPLEMENTATION is defined"
#endif
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#define FSI_UNDEF_LEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#define FSI_UNDEF_NOMINMAX
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>
#include <process.h>
#ifdef FSI_UNDEF_LEAN
#undef WIN32_LEAN_AND_MEAN
#undef FSI_UNDEF_LEAN
#endif
#ifdef FSI_UNDEF_NOMINMAX
#undef NOMINMAX
#undef FSI_UNDEF_NOMINMAX
#endif
#if _WIN32_WINNT < 0x0602
#error "fastserve.h: needs Windows 8 or newer: _WIN32_WINNT is defined as less than 0x0602"
#endif
typedef HANDLE fsi_os_thread;
typedef SRWLOCK fsi_os_lock;
typedef CONDITION_VARIABLE fsi_os_signal;
typedef HANDLE fsi_os_file;
#define FSI_NO_FILE INVALID_HANDLE_VALUE
#define FSI_CPUS_MAX 1           // nothing is known of single ones
typedef struct fsi_sockaddr_un { // afunix.h is not everywhere
    ADDRESS_FAMILY sun_family;
    char sun_path[108];
} fsi_sockaddr_un;
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if FSI_POSIX
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
typedef pthread_t fsi_os_thread;
typedef pthread_mutex_t fsi_os_lock;
typedef pthread_cond_t fsi_os_signal;
typedef int fsi_os_file;
#define FSI_NO_FILE (-1)
typedef struct sockaddr_un fsi_sockaddr_un;
#endif

#if FSI_LINUX
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#ifndef CPU_SET
#error "fastserve.h: include it before other headers where FASTSERVE_IMPLEMENTATION is defined, or define _GNU_SOURCE"
#endif
typedef unsigned char fsi_page_note; // what mincore tells of a page
#define FSI_CPUS_MAX CPU_SETSIZE
#endif
#if FSI_MACOS || FSI_BSD
#include <dirent.h>
#include <sys/event.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/uio.h>
typedef char fsi_page_note;
#define FSI_CPUS_MAX 1
#endif
#if FSI_BSD && !FSI_NETBSD
#include <pthread_np.h>
#endif
#if FSI_SHIM
#include FSV_KQUEUE_SHIM
#endif
#ifdef EVFILT_USER
#define FSI_KQUEUE_USER 1
#else
#define FSI_KQUEUE_USER 0 // OpenBSD, NetBSD before 10
#endif
#ifdef SO_REUSEPORT_LB // FreeBSD 12
#define FSI_REUSEPORT_LB 1
#else
#define FSI_REUSEPORT_LB 0
#endif

#if defined(__GNUC__) || defined(__clang__)
// How a function is compiled. make cost shows what the wrong one costs.
//
//   FSI_PRIVATE   the rule: what requests of a common kind pass. Plain `static`, declared earlier: likewise
//   FSI_INLINE    the same, of a line or two
//   FSI_WOVEN     what each request passes several times: always within its callers. Wrong: a larger program
//   FSI_SELDOM    for size: what fewer than one in four requests of each kind (hello, a kept file, a 304, a range, a body, a
//                 job, ...) passes, and which does not look at each byte. Wrong on a request's way: slower, by up to 5 %, and
//                 callers too, since a compiler takes what always calls such a function for one itself
//   FSI_RARE      the same, and never within its caller: what formats messages
//   FSI_SMALL     the same for public functions that set up: a program's handler that begins with one would be seldom too
//   FSI_HOT       the loop, a worker, a thread: where the ways of requests begin. Without it, they are called by seldom
//                 functions alone and would be held for that
//
// Measured: no slower than all of them FSI_PRIVATE, a sixth smaller, a fifth less time to compile.
#ifdef __OPTIMIZE_SIZE__ // all of it is for size then; clang's programs become larger by the attribute
#define FSI_SMALL
#else
#define FSI_SMALL __attribute__((cold))
#endif
#define FSI_PRIVATE __attribute__((unused)) static
#define FSI_SELDOM __attribute__((unused)) FSI_SMALL static
#define FSI_RARE __attribute__((unused, noinline)) FSI_SMALL static
#define FSI_HOT __attribute__((unused, hot)) static
#define FSI_INLINE __attribute__((unused)) static inline
#define FSI_WOVEN __attribute__((unused, always_inline)) static inline
#ifdef __MINGW_PRINTF_FORMAT // which of two families of printf this is
#define FSI_PRINTF(at, first) __attribute__((format(__MINGW_PRINTF_FORMAT, at, first)))
#else
#define FSI_PRINTF(at, first) __attribute__((format(printf, at, first)))
#endif
#define FSI_ALIGNED8 __attribute__((aligned(8)))
#define FSI_LIKELY(x) __builtin_expect(!!(x), 1)
#define FSI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#ifndef FSI_ATOMICS_MSVC // a test may want the other ones
#define FSI_ATOMICS_MSVC 0
#endif
#elif defined(_MSC_VER)
#define FSI_SMALL
#define FSI_PRIVATE static
#define FSI_SELDOM static
#define FSI_HOT static
#define FSI_INLINE static __inline
#define FSI_WOVEN static __forceinline
#define FSI_RARE static __declspec(noinline)
#define FSI_PRINTF(at, first)
#define FSI_ALIGNED8 __declspec(align(8))
#define FSI_LIKELY(x) (x)
#define FSI_UNLIKELY(x) (x)
#define FSI_ATOMICS_MSVC 1
#pragma comment(lib, "ws2_32.lib")
#pragma warning(push)
#pragma warning(disable : 4127) // a condition is constant: the 0/1 macros
#pragma warning(disable : 4505) // a function is not used: there is a macro that leaves out what uses it
#pragma warning(disable : 4324) // padding: wanted
#else
#error "fastserve.h: needs gcc, clang or MSVC"
#endif

#if defined(_M_X64) || defined(_M_ARM64) || defined(__x86_64__) || defined(__aarch64__)
#define FSI_WORD64 1
#else
#define FSI_WORD64 0
#endif
#if FSI_ATOMICS_MSVC
#include <intrin.h>
#if defined(_M_ARM64) || defined(__aarch64__)
#define FSI_ATOMICS_ARM 1
#else
#define FSI_ATOMICS_ARM 0
#endif
#endif

// Vectors of 16 bytes that every CPU of a kind has: SSE2 on x86-64, NEON on arm64. 0: words of 8 bytes instead.
#define FSI_SSE2 1
#define FSI_NEON 2
#if defined(FSV_NO_SIMD)
#define FSI_SIMD 0
#elif defined(__SSE2__) || defined(_M_X64)
#define FSI_SIMD FSI_SSE2
#include <emmintrin.h>
#elif (defined(__aarch64__) && !defined(__AARCH64EB__)) || defined(_M_ARM64)
#define FSI_SIMD FSI_NEON
#include <arm_neon.h>
#else
#define FSI_SIMD 0
#endif

#ifdef __cplusplus
#define FSI_STATIC_ASSERT(x, text) static_assert(x, text)
#else
#define FSI_STATIC_ASSERT(x, text) _Static_assert(x, text)
#endif

// ---------------------------------------------------------------------------------------------------------
// >>atomics   Plain integers, touched by several threads only through these. Load acquires, store releases,
//             read-modify-write does both; peek and poke are relaxed: for counters that one thread writes and others
//             read. Two threads that each write one word and then read the other's put fsi_fence between.
// ---------------------------------------------------------------------------------------------------------

// 64 bits that threads share. A 32-bit x86 aligns a plain uint64_t to 4: across two cache lines it is not atomic.
typedef FSI_ALIGNED8 uint64_t fsi_word64;

// clang-format off
#if !FSI_ATOMICS_MSVC
FSI_INLINE uint32_t fsi_load32(const uint32_t *at)                  { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
FSI_INLINE void     fsi_store32(uint32_t *at, uint32_t v)           { __atomic_store_n(at, v, __ATOMIC_RELEASE); }
FSI_INLINE uint32_t fsi_swap32(uint32_t *at, uint32_t v)            { return __atomic_exchange_n(at, v, __ATOMIC_ACQ_REL); }
FSI_INLINE uint32_t fsi_add32(uint32_t *at, uint32_t v)             { return __atomic_fetch_add(at, v, __ATOMIC_ACQ_REL); }
FSI_INLINE uint64_t fsi_load64(const fsi_word64 *at)                { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
FSI_INLINE void     fsi_store64(fsi_word64 *at, uint64_t v)         { __atomic_store_n(at, v, __ATOMIC_RELEASE); }
FSI_INLINE uint64_t fsi_peek64(const fsi_word64 *at)                { return __atomic_load_n(at, __ATOMIC_RELAXED); }
FSI_INLINE void     fsi_poke64(fsi_word64 *at, uint64_t v)          { __atomic_store_n(at, v, __ATOMIC_RELAXED); }
FSI_INLINE void     fsi_count64(fsi_word64 *at, uint64_t more)      { fsi_poke64(at, fsi_peek64(at) + more); } // one writer
FSI_INLINE bool     fsi_cas64(fsi_word64 *at, uint64_t *seen, uint64_t v) // *seen is what stands there now when it fails
{ return __atomic_compare_exchange_n(at, seen, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED); }
FSI_INLINE bool     fsi_cas32(uint32_t *at, uint32_t *seen, uint32_t v)
{ return __atomic_compare_exchange_n(at, seen, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
FSI_INLINE void     fsi_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); } // I say, then look; you look, having said
FSI_INLINE uint32_t fsi_lowest_bit(uint64_t v)  { return (uint32_t)__builtin_ctzll(v); }      // number of it; v is not 0
FSI_INLINE uint32_t fsi_highest_bit(uint64_t v) { return 63 - (uint32_t)__builtin_clzll(v); } // likewise
#else
// Read-modify-write of these is a full barrier, to the compiler too. A plain load or store of x86 acquires or releases
// by itself, so there only the compiler must be held back; ARM has instructions of its own for it.
#if FSI_ATOMICS_ARM
FSI_INLINE uint32_t fsi_load32(const uint32_t *at)       { return __ldar32((unsigned __int32 volatile *)(uintptr_t)at); }
FSI_INLINE void     fsi_store32(uint32_t *at, uint32_t v) { __stlr32((unsigned __int32 volatile *)at, v); }
FSI_INLINE uint64_t fsi_load64(const fsi_word64 *at)       { return __ldar64((unsigned __int64 volatile *)(uintptr_t)at); }
FSI_INLINE void     fsi_store64(fsi_word64 *at, uint64_t v) { __stlr64((unsigned __int64 volatile *)at, v); }
#else
FSI_INLINE uint32_t fsi_load32(const uint32_t *at)
{ uint32_t v = *(const volatile uint32_t *)at; _ReadWriteBarrier(); return v; }
FSI_INLINE void     fsi_store32(uint32_t *at, uint32_t v)
{ _ReadWriteBarrier(); *(volatile uint32_t *)at = v; }
#if FSI_WORD64
FSI_INLINE uint64_t fsi_load64(const fsi_word64 *at)
{ uint64_t v = *(const volatile uint64_t *)at; _ReadWriteBarrier(); return v; }
FSI_INLINE void     fsi_store64(fsi_word64 *at, uint64_t v)
{ _ReadWriteBarrier(); *(volatile uint64_t *)at = v; }
#else // one instruction that touches 8 bytes at once
FSI_INLINE uint64_t fsi_load64(const fsi_word64 *at)
{ return (uint64_t)_InterlockedCompareExchange64((volatile __int64 *)(uintptr_t)at, 0, 0); }
FSI_INLINE void     fsi_store64(fsi_word64 *at, uint64_t v)
{
    __int64 seen = 0, now;
    while ((now = _InterlockedCompareExchange64((volatile __int64 *)at, (__int64)v, seen)) != seen) seen = now;
}
#endif
#endif
#if FSI_WORD64
FSI_INLINE uint64_t fsi_peek64(const fsi_word64 *at)                { return *(const volatile uint64_t *)at; }
FSI_INLINE void     fsi_poke64(fsi_word64 *at, uint64_t v)          { *(volatile uint64_t *)at = v; }
#else
FSI_INLINE uint64_t fsi_peek64(const fsi_word64 *at)                { return fsi_load64(at); }
FSI_INLINE void     fsi_poke64(fsi_word64 *at, uint64_t v)          { fsi_store64(at, v); }
#endif
FSI_INLINE uint32_t fsi_swap32(uint32_t *at, uint32_t v) { return (uint32_t)_InterlockedExchange((volatile long *)at, (long)v); }
FSI_INLINE uint32_t fsi_add32(uint32_t *at, uint32_t v)  { return (uint32_t)_InterlockedExchangeAdd((volatile long *)at, (long)v); }
FSI_INLINE void     fsi_count64(fsi_word64 *at, uint64_t more) { fsi_poke64(at, fsi_peek64(at) + more); } // one writer
FSI_INLINE bool     fsi_cas64(fsi_word64 *at, uint64_t *seen, uint64_t v)
{
    __int64 before = (__int64)*seen, now = _InterlockedCompareExchange64((volatile __int64 *)at, (__int64)v, before);
    *seen = (uint64_t)now;
    return now == before;
}
FSI_INLINE bool     fsi_cas32(uint32_t *at, uint32_t *seen, uint32_t v)
{
    long before = (long)*seen, now = _InterlockedCompareExchange((volatile long *)at, (long)v, before);
    *seen = (uint32_t)now;
    return now == before;
}
#if FSI_ATOMICS_ARM
FSI_INLINE void     fsi_fence(void) { __dmb(_ARM64_BARRIER_ISH); }
#else
FSI_INLINE void     fsi_fence(void) { volatile long here = 0; (void)_InterlockedExchange(&here, 1); }
#endif
#if FSI_WORD64
FSI_INLINE uint32_t fsi_lowest_bit(uint64_t v)  { unsigned long n = 0; (void)_BitScanForward64(&n, v); return (uint32_t)n; }
FSI_INLINE uint32_t fsi_highest_bit(uint64_t v) { unsigned long n = 0; (void)_BitScanReverse64(&n, v); return (uint32_t)n; }
#else
FSI_INLINE uint32_t fsi_lowest_bit(uint64_t v)
{
    unsigned long n = 0;
    if (_BitScanForward(&n, (unsigned long)v)) return (uint32_t)n;
    (void)_BitScanForward(&n, (unsigned long)(v >> 32));
    return (uint32_t)n + 32;
}
FSI_INLINE uint32_t fsi_highest_bit(uint64_t v)
{
    unsigned long n = 0;
    if (_BitScanReverse(&n, (unsigned long)(v >> 32))) return (uint32_t)n + 32;
    (void)_BitScanReverse(&n, (unsigned long)v);
    return (uint32_t)n;
}
#endif
#endif
// clang-format on

// ---------------------------------------------------------------------------------------------------------
// >>structs   The tables. Each field has one owner at a time; unless a comment says otherwise that is the thread of
//             the loop that the struct belongs to. Pushing a message to a loop's inbox hands over what it points to.
// ---------------------------------------------------------------------------------------------------------

typedef struct fsi_loop fsi_loop;
typedef struct fsi_conn fsi_conn;
typedef struct fsi_io fsi_io;
typedef struct fsi_thread fsi_thread;

// ---- >>thread's

struct fsi_thread {
    fsi_os_thread id;
    void (*body)(void *arg);
    void *arg;
    char name[16];
};

typedef struct fsi_lock {
    fsi_os_lock os;
    bool made;
} fsi_lock;

// What threads wait for under a lock.
typedef struct fsi_signal {
    fsi_os_signal os;
    bool made;
} fsi_signal;

// Where one thread sleeps until it is woken once; a wake that comes first is kept.
typedef struct fsi_park {
    fsi_lock lock;
    fsi_signal signal;
    bool woken;
} fsi_park;

// ---- >>queue's

typedef enum fsi_msg_kind {
    FSI_MSG_NONE,
    FSI_MSG_CONN,     // ptr: a connection without a loop, the receiver's from now on
    FSI_MSG_JOB,      // ptr: a fsi_job, on its way to a worker, or home
    FSI_MSG_STREAM,   // ptr: a fsi_job with bytes of its answer; it keeps its slot
    FSI_MSG_SOCKET,   // number: an accepted socket, the receiver's from now on; to a loop with its fsi_tcp, or NULL
    FSI_MSG_CALL,     // call(ptr): fsv_loop_post
    FSI_MSG_WARM,     // ptr: a fsi_warm, on its way to a worker, or home
    FSI_MSG_RENEW,    // ptr: a folder at whose path a worker is to look
    FSI_MSG_TCP_DIAL, // ptr: a raw connection that is to connect, the receiver's from now on
    FSI_MSG_TCP_SEND, // ptr: a block for the queue of the connection in its `next`; number: generation
    FSI_MSG_TCP_DO    // ptr: a connection, perhaps stale; number: generation; op
} fsi_msg_kind;

typedef struct fsi_msg {
    uint32_t kind; // fsi_msg_kind
    uint32_t number;
    void *ptr;
    union {
        void (*call)(void *user);
        uint32_t op; // fsi_tcp_op
    };
} fsi_msg;

typedef struct fsi_cell {
    fsi_word64 seq; // == position: free; == position + 1: full
    fsi_msg msg;
} fsi_cell;

typedef struct fsi_queue {
    fsi_cell *cells;
    uint64_t mask;
    char pad0[FSV_CACHE_LINE];
    fsi_word64 tail; // next position to push, any producer
    char pad1[FSV_CACHE_LINE];
    fsi_word64 head; // next position to pop, any consumer
    char pad2[FSV_CACHE_LINE];
} fsi_queue;

// ---- >>time's

// The time of a connection: an entry in its loop's wheel. (A public fsv_timer is a fsi_task, in the loop's heap.)
typedef struct fsi_timer {
    struct fsi_timer *next, *prev; // NULL: not in a wheel
    uint64_t due_ms;               // may be moved later at will; the wheel looks again when it gets there
} fsi_timer;

#define FSI_WHEEL_LEVELS 5
#define FSI_WHEEL_SLOTS 64

typedef struct fsi_wheel {
    uint64_t now_ms;                                    // everything due before this has fired
    uint64_t used[FSI_WHEEL_LEVELS];                    // one bit per slot that is not empty
    fsi_timer slots[FSI_WHEEL_LEVELS][FSI_WHEEL_SLOTS]; // list heads
} fsi_wheel;

// ---- >>io's

typedef enum fsi_chan_kind {
    FSI_CHAN_NONE,
    FSI_CHAN_WAKE,
    FSI_CHAN_LISTENER,
    FSI_CHAN_CONN,
    FSI_CHAN_CLIENT
} fsi_chan_kind;

// What fsi_chan_ready is told, as bits.
#define FSI_READY_READ 1u
#define FSI_READY_WRITE 2u

// What a call answers instead of a number of bytes.
#define FSI_PENDING (-1)
#define FSI_FAILED (-2)
#define FSI_EMPTY (-3)
#define FSI_COLD (-4)

// One socket. Belongs to one io at a time, or to none between accept and fsi_io_open.
typedef struct fsi_chan {
    fsi_io *io;
#if FSI_IO_IOCP
    struct fsi_ops *ops; // >>io-iocp's own; NULL: none
#endif
    int fd;        // -1: none
    uint8_t kind;  // fsi_chan_kind
    bool can_read; // nothing has said yet that a read would block
    bool can_write;
    bool eof;     // the peer has ended: a short read no longer means that there is nothing more
    bool bounded; // what the system keeps unsent was bounded, for the sake of files
    bool more;    // what is written now has something behind it: a small segment may wait for that
} fsi_chan;

typedef struct fsi_buf {
    const char *ptr;
    size_t len;
} fsi_buf;

#define FSI_PARTS_MAX 16 // that one call writes

// ---- >>file's

#define FSI_FILE_TURN ((uint64_t)131072) // of a file that one call sends
#define FSI_FILE_UNSENT 65536            // that a socket keeps unsent of a file

// What a file was when it was looked at. The same id: the same bytes, as far as the file system's time stamps tell.
typedef struct fsi_file_id {
    uint64_t volume, index, size;
    int64_t modified_ns, changed_ns; // since 1970
} fsi_file_id;

typedef enum fsi_file_kind { FSI_FILE_OTHER, FSI_FILE_PLAIN, FSI_FILE_FOLDER } fsi_file_kind;

typedef struct fsi_file_look {
    fsi_file_id id;
    uint32_t owner; // 0 where the system has no numbers for that
    uint8_t kind;   // fsi_file_kind
} fsi_file_look;

typedef enum fsi_file_result {
    FSI_FILE_OK,
    FSI_FILE_NONE,   // no such file; outside; behind a link that is refused; a name that cannot be
    FSI_FILE_DENIED, // no permission
    FSI_FILE_BUSY,   // it would have to wait for a disk; only without `wait`
    FSI_FILE_FULL,   // out of descriptors or memory
    FSI_FILE_FAILED  // the disk
} fsi_file_result;

// A folder whose files are served, open. Read only once it is made, but for what `fd` stands for.
typedef struct fsi_root {
    bool open;
    bool follow; // symbolic links may lead outside
    bool
        walk; // the system does not keep a path inside by itself: it is done here, and links inside are refused as well
    bool cached; // the system can say that a path would have to be read from a disk
    bool remote; // another machine is asked, or a program: that takes as long as it takes, even a look
#if FSI_POSIX
    int fd;
    char *path; // absolute, without a slash at its end
    size_t path_bytes;
    fsi_file_look first, entry; // when it was opened: the folder, and what stood at its path, perhaps a link to it
#else
    WCHAR *path; // as the system has it, with \\?\ before it, without a slash at its end
    uint32_t path_len;
    DWORD form; // of paths, for GetFinalPathNameByHandleW
#endif
} fsi_root;

// ---- >>http-read's

typedef struct fsi_field {
    uint32_t name, value; // offsets from the head's first byte
    uint32_t name_len, value_len;
} fsi_field;

typedef enum fsi_method {
    FSI_GET,
    FSI_HEAD,
    FSI_POST,
    FSI_PUT,
    FSI_DELETE,
    FSI_CONNECT,
    FSI_OPTIONS,
    FSI_TRACE,
    FSI_PATCH,
    FSI_METHODS,          // of RFC 9110 and 5789
    FSI_METHOD_OTHER = 31 // some other name; the router compares its text
} fsi_method;

// A request head as offsets into the bytes that it was read from: move the bytes, keep the offsets.
typedef struct fsi_head {
    uint32_t bytes;              // of the head, its last empty line included
    uint32_t skipped;            // of an empty line before the request line
    uint32_t method_len;         // the method stands at offset `skipped`
    uint32_t target, target_len; // as sent
    uint32_t path, path_len;     // raw; 0 long in asterisk form
    uint32_t query, query_len;
    uint32_t host, host_len;
    uint32_t field_count;
    uint64_t content_length; // valid with has_length
    uint8_t method;          // fsi_method
    uint8_t minor;           // HTTP/1.minor, 0 or 1
    bool has_length, chunked, expect_continue, wants_close, wants_keep, escaped, asterisk;
} fsi_head;

// A response head: only what a client needs to frame the body and judge it.
typedef struct fsi_answer_head {
    uint32_t bytes;
    uint32_t status;
    uint64_t content_length;
    bool has_length, chunked, wants_close, wants_keep;
    uint8_t minor;
} fsi_answer_head;

typedef struct fsi_limits {
    uint32_t head_bytes, target_bytes, fields;
} fsi_limits;

// Decoder of a chunked body. All zero is the start.
typedef struct fsi_chunked {
    uint64_t left;       // of the chunk's data
    uint32_t line_bytes; // of the size line or of the trailer so far
    uint16_t fields;     // of the trailer so far
    uint8_t state;
    uint8_t digits;
} fsi_chunked;

// ---- >>router's

#define FSI_PARAMS_MAX 8
#define FSI_OTHER_METHODS_MAX 20
#define FSI_OTHER_METHOD_BYTES 33 // with its end

typedef struct fsi_route {
    struct fsi_route *next; // of the same node
    fsv_handler handler;
    fsv_body_handler on_body;
    fsv_handler on_room, on_close;
    void *user;
    uint64_t body_bytes_max;
    uint8_t method; // fsi_method, FSI_METHODS + i for the server's i-th other method, or FSI_METHOD_ANY
    uint8_t param_count;
    bool blocking;                           // the handler runs on a worker
    const char *param_names[FSI_PARAMS_MAX]; // terminated, behind this struct
    size_t bytes;                            // of this allocation
} fsi_route;
#define FSI_METHOD_ANY 255

typedef struct fsi_node {
    struct fsi_node *next;    // sibling
    struct fsi_node *literal; // children, by length and bytes
    struct fsi_node *param;   // child for ":name"
    struct fsi_node *rest;    // child for "*"
    fsi_route *routes;
    uint32_t text_len; // of the literal that follows this struct in memory
    size_t bytes;
} fsi_node;

// ---- >>guests'

#define FSI_GUEST_SHARDS 8
#define FSI_GUESTS_MIN 64u
#define FSI_GUESTS_SPARE 16u // beyond conns_per_address_max, to tell that many peers of an address at a time

// An address that has connections.
typedef struct fsi_guest {
    uint64_t key;
    uint32_t count; // 0: a free place
} fsi_guest;

// Some of them, by hash, in open addressing. It grows with how many there are at a time.
typedef struct fsi_guests {
    fsi_lock lock;
    fsi_guest *places; // NULL: none yet
    uint32_t size, used;
    char pad[FSV_CACHE_LINE];
} fsi_guests;

// ---- >>tcp's

typedef enum fsi_tcp_op { FSI_TCP_SHUT, FSI_TCP_CLOSE, FSI_TCP_ABORT, FSI_TCP_PAUSE, FSI_TCP_RESUME } fsi_tcp_op;

// What the raw connections of a listener, or one that was connected, have in common. Read only once it is in use.
typedef struct fsi_tcp {
    fsv_tcp_desc desc; // completed copy
    struct fsi_tcp *next;
    size_t bytes; // of this allocation
    bool once;    // belongs to one connection and ends with it; else to the server
} fsi_tcp;

// A raw connection's own state.
typedef struct fsi_tcp_side {
    void *user;
    uint8_t why;         // -fsv_result for on_closed, 0: not known yet
    bool connecting : 1; // since fsv_tcp_connect
    bool open : 1;       // on_open was called
    bool over : 1;       // on_closed was called, or is about to be
    bool full : 1;       // FSV_ERR_FULL was returned on the loop's thread: on_drained is to follow
    bool part : 1;       // on_data has seen what it did not take: it wants more behind it
    bool held : 1;       // likewise, and nothing more is read: it could not send, or there is no more room
    bool ended : 1;      // the peer has ended its direction, and on_data knows
    bool shutting : 1;   // our direction ends when the queue is empty
    bool shut : 1;       // has ended
    bool closing : 1;    // the connection ends when the queue is empty
    bool waiting : 1;    // its queue was empty and has bytes: send_timeout begins when it is next sent from
} fsi_tcp_side;

// ---- >>task's

// What a public fsv_timer names: an entry of the loop's table, and of its heap while it runs. (fsi_timer is something
// else, the time of a connection.) Slots stay where they are found by number; the table grows.
typedef struct fsi_task {
    uint64_t due_ms, every_ms;
    fsv_timer_handler handler;
    void *user;
    uint32_t generation; // counts the timers of this slot
    uint32_t at;         // in the heap; while it is free, the next free one
} fsi_task;

// ---- >>conn's

// Response bytes that the socket has not taken, or memory that a callback releases when it has.
typedef struct fsi_out {
    struct fsi_out *next;
    const char *ptr;
    size_t len;
    fsv_release_handler release; // NULL for bytes that were copied behind this struct
    void *release_user;
    size_t bytes;            // of this allocation; room for more copies is bytes - sizeof - end
    size_t end;              // copied bytes: offset behind the last one; owned memory: bytes sent
    struct fsi_asset *asset; // not NULL: `left` bytes of its file from `at` instead of memory
    uint64_t at, left;
    uint64_t warm_to; // offset up to which a worker has read them
    bool cold;        // a worker is reading on
} fsi_out;

typedef enum fsi_resp { FSI_RESP_NONE, FSI_RESP_STREAM, FSI_RESP_DONE } fsi_resp;

// An answer as it was given away from the loop, which writes it when it comes home.
typedef struct fsi_reply {
    uint32_t status; // 0: none
    uint32_t type_len;
    const char *type; // in the job's room
    const char *body; // in the room, in memory that the allocator made, or the caller's with `release`
    size_t len;
    fsv_release_handler release;
    void *release_user;
} fsi_reply;

// Bytes that were copied for an answer which is away from its loop.
typedef struct fsi_chunk {
    struct fsi_chunk *next; // first: what points to it points to the chunk
    size_t len, cap;        // of the bytes that follow this struct
} fsi_chunk;

#define FSI_JOB_BYTES 2048 // of a job's block: itself, the longest content type, and most small bodies
#define FSI_JOB_SMALL 256  // a body of so many bytes fits in any case

typedef struct fsi_token fsi_token;

// A request that is away from its loop: with a worker, deferred, or both. It holds a slot of the loop's inbox until it
// is home, and is in at most one message. With a worker it is the worker's; deferred, its holder and its loop meet
// under server->token_lock.
typedef struct fsi_job {
    fsi_loop *loop;
    fsi_conn *conn; // the loop's: nobody else touches it
    fsv_request *request;
    struct fsi_job *next; // of those that wait for room in the queue
    uint64_t queued_us;
    size_t bytes;       // of the block
    uint32_t cancelled; // atomic: the connection has gone, the handler need not begin
    bool awake;         // the loop has a message of it, and is not done with that; the loop's, like the next two
    bool lost;          // no answer came in time
    bool streams;       // the head of a streamed answer has been written
    // Under the lock, once there is a token.
    fsi_token *token;  // NULL: none yet
    uint64_t taken_ms; // when it was
    bool running;      // the handler has not returned
    bool told;         // a message to the loop is under way, or it is awake
    bool answered;     // by the holder; streamed: it has ended
    bool reclaimed;    // by the loop
    bool cut;          // the holder's stream is not whole
    bool begun;        // the answer is streamed
    bool bare;         // it has no body: HEAD, 204, 205, 304
    fsi_chunk *first, **last;
    size_t queued;                // bytes in them
    uint64_t length, length_left; // stated, or FSV_LENGTH_UNKNOWN; of it, by what the holder has written
    fsi_reply reply;
} fsi_job;

typedef enum fsi_token_state {
    FSI_TOKEN_FREE,
    FSI_TOKEN_OPEN, // the holder may answer
    FSI_TOKEN_GONE  // the loop took it back; the holder does not know yet
} fsi_token_state;

// A record of the server's table, under its lock.
struct fsi_token {
    fsi_token *next; // free ones
    fsi_job *job;    // while it is open
    uint32_t index, generation;
    uint8_t state; // fsi_token_state
};

// ---- >>files's

typedef enum fsi_coding {
    FSI_CODING_NONE, // identity
    FSI_CODING_BR,   // in the order in which we like them
    FSI_CODING_ZSTD,
    FSI_CODING_GZIP,
    FSI_CODINGS
} fsi_coding;

// What answers for one path of a folder, in one coding. Made by whoever has opened the file, from then on its loop's.
// Behind it in memory: the path, terminated, the lines of the head, and the content.
typedef struct fsi_asset {
    struct fsi_asset *next;          // of the same chain of the shelf
    struct fsi_asset *newer, *older; // on the shelf, by when it was last used
    const fsv_folder *folder;
    const char *type;
    const char *content; // the whole file; NULL: it is open
    fsi_os_file file;
    fsi_file_look look;
    size_t bytes;                   // of this allocation
    uint64_t checked_ms;            // when its path was last opened; in between it is only looked at
    uint64_t alone_ms[FSI_CODINGS]; // when nothing of this coding was found beside it; 0: not looked for
    uint32_t hash, path_len;
    uint32_t holders;                 // the shelf, who answers with it, and each part that waits in a queue
    uint32_t brief_len, lines_len;    // lines of a 304, which come first; all of them
    uint32_t tag_at, tag_len;         // the value of ETag, in the lines
    uint32_t control_at, control_len; // that of Cache-Control
    uint8_t coding;                   // fsi_coding, of a file that stands for another one
    bool settled;                     // older than what time stamps can tell apart
    bool shelved;
} fsi_asset;

#define FSI_SHELF_CHAINS 1024u
#define FSI_SHELF_ASSETS 4096u // on each loop's
#define FSI_SHELF_FILES 64u    // of them open, likewise, at most

// What a loop keeps of the files that it has sent.
typedef struct fsi_shelf {
    fsi_asset **chains; // NULL: none yet
    fsi_asset *newest, *oldest;
    uint64_t bytes;
    uint32_t count, files;
} fsi_shelf;

typedef enum fsi_found {
    FSI_FOUND,
    FSI_FOUND_FOLDER, // but a file was wanted
    FSI_FOUND_INDEX,  // a folder without an index
    FSI_FOUND_NONE,
    FSI_FOUND_BUSY, // a worker has to look
    FSI_FOUND_DENIED,
    FSI_FOUND_FULL, // no descriptor or no memory is left for it
    FSI_FOUND_FAILED
} fsi_found;

// The file that is to answer a request, and what became of that.
typedef struct fsi_want {
    fsv_folder *folder; // NULL: none
    fsi_asset *asset;   // found, and held for the request
    char *path;         // below the folder, terminated, without a slash at its ends; a block of the request
    size_t path_cap;
    uint32_t path_len, status;
    uint8_t found;
    bool slash;   // the path ended with one, or was empty: a folder is wanted
    bool refused; // the path is not one that a file can have
    bool missed;  // on_missing was asked
    bool visited; // by the path of the request itself: a folder that lacks its slash is redirected
} fsi_want;

// A part of a file that a worker reads ahead of the loop.
typedef struct fsi_warm {
    fsi_conn *conn; // waits for it to come home, even closed
    fsi_loop *loop;
    fsi_asset *asset; // held
    uint64_t at, len;
    size_t bytes; // of this block
} fsi_warm;

struct fsv_folder {
    fsv_folder *next; // of the server's
    fsv_server *server;
    fsi_root root;
    fsi_word64 renewed_ms; // by the loops' clock: when a worker last looked what stands at its path
    uint32_t kept;         // another folder stands there and may not be served: was said
    fsv_folder_desc desc;  // its strings stand behind this struct
    size_t bytes;          // of this allocation
};

// A request: on the loop's scratch while its callbacks can finish in one turn, else detached into a block of its own.
struct fsv_request {
    fsi_loop *loop;
    fsi_conn *conn;
    const char *base; // bytes of the head; every offset counts from here
    const char *path; // decoded; inside base if nothing was escaped
    const fsi_route *route;
    fsi_field *fields;
    const char *body; // whole body
    size_t body_len;
    char *collect; // block in which a whole body is collected
    size_t collect_cap;
    char *more; // block of fields that the handler added
    uint32_t more_len, more_cap;
    void *user;
    uint64_t begun_us;  // for on_answer
    uint64_t out_left;  // of a streamed response with a stated length
    uint64_t out_bytes; // of the body so far
    uint32_t path_len;
    uint32_t status;
    uint32_t param_at[FSI_PARAMS_MAX], param_len[FSI_PARAMS_MAX]; // in path
    fsi_head head;
    fsi_job *job; // while it is away
    fsi_want want;
    uint8_t resp; // fsi_resp
    bool out_chunked, out_counted, closing, no_body;
    bool off_loop; // its handler runs on a worker
    bool deferred; // its handler has taken a token
    size_t bytes;  // of the block, 0 on the loop's scratch
};

typedef enum fsi_conn_state {
    FSI_CONN_HEAD,     // between requests, or in a head that is not complete
    FSI_CONN_BODY,     // collecting a whole body
    FSI_CONN_EXCHANGE, // a body in pieces, a streamed response, or both
    FSI_CONN_AWAY,     // the request is with a worker or with the holder of a token
    FSI_CONN_SEND,     // everything answered; the peer has yet to take it
    FSI_CONN_LINGER, // answered and half closed; reading off what the peer still sends, so that no reset eats the answer
    FSI_CONN_TCP,    // raw: no HTTP
    FSI_CONN_CLOSE,  // its socket is closed; memory returns after the batch
    FSI_CONN_FREE
} fsi_conn_state;

struct fsi_conn {
    fsi_chan chan; // first: a channel of kind FSI_CHAN_CONN is its connection
    fsi_timer timer;
    fsi_loop *loop;       // its owner; NULL while it is in an inbox
    fsi_conn *next;       // in one list at a time: free, dialers, run, close or move
    char *carry;          // block with bytes that came and are not used yet
    fsv_request *request; // detached request in progress
    fsi_out *out, *out_last;
    union {
        uint64_t begun_ms;  // of a fresh one: when it was accepted
        uint64_t body_left; // of a body with Content-Length; of a chunked one, what has come
        const fsi_tcp *tcp; // of a raw connection
    };
    union {
        uint64_t window_bytes; // of the body in the current body_timeout window
        uint64_t idle_ms;      // between requests, where a model cares: since when
    };
    union {
        fsi_chunked chunked;
        fsi_tcp_side raw;
    };
    uint32_t carry_len, carry_cap;
    uint32_t requests; // so far
    uint32_t given;    // while bytes wait for the peer: what the system had of them when the window of send_timeout_ms
                       // began, and what it has been given since; saturating
    uint32_t moved_s;  // when it last moved: second of the loop's clock
    uint8_t state;     // fsi_conn_state
    uint8_t answers;   // since it last looked where its packets arrive
    bool body_done, body_chunked, keep;
    bool fresh;        // has not sent a request yet
    bool listed;       // stands on the run list or the move list
    bool let_go;       // the io holds nothing of it any more
    bool window_open;  // the timer runs for what began then: body: since window_bytes was 0; AWAY: since it left or its
                       // last piece came. False: fsi_conn_set_timer starts it anew
    bool want_100;     // the client waits for 100 Continue before it sends its body
    bool head_part;    // the head was not complete when it was last looked at
    bool paused;       // on_body did not take all: nothing is read until the queue has drained; raw: fsv_tcp_pause
    bool away;         // its request is: the struct waits for it to come home, even closed
    bool more_to_come; // the peer may still be sending when we close: linger
    bool broken;       // the socket has failed, or memory: nothing more can be sent
    bool warming;      // a worker reads for it: the struct waits for the fsi_warm to come home, even closed
    bool balanced;     // came here because its loop drowned: does not follow its packets back into the flood
    bool given_away;   // it is to move because this loop drowns, else to follow its packets
    uint16_t move_to;  // index of the loop to move to
    bool peer_known;
    bool guest;                             // counts as one of its address
    char peer[sizeof(struct sockaddr_in6)]; // what its address begins with: all of it, but of a Unix-domain socket
    // From here on what outlives the connection in its slot, since any thread may look at it through a handle that it
    // has kept, however stale: atomic, and never set back together with the rest.
    uint32_t slot;       // in the server's table
    uint32_t generation; // counts the connections of this slot, so that a stale handle is seen; its loop's to write
    uint32_t out_queued; // bytes in `out`, saturating; its loop's to write
    uint32_t posted;  // bytes on their way to the loop from other threads; who adds them sees to it that they go again
    uint32_t starved; // a thread was told FSV_ERR_FULL: on_drained is to follow. Once too often does no harm
    uint32_t home;    // of a raw connection: loop in FSI_HOME_BITS, above it out_bytes_max in FSI_HOME_UNITs
};

#define FSI_HOME_BITS 10
#define FSI_HOME_UNIT 256u
#define FSI_TCP_OUT_MAX (0x3fffffu * FSI_HOME_UNIT) // 1 GiB

// ---- >>loop's and >>server's

#define FSI_BLOCK_CLASSES 8 // 256 bytes to 32 KiB, doubling
#define FSI_IN_BYTES ((size_t)65536)
#define FSI_OUT_BYTES ((size_t)65536)
#define FSI_TURN_BYTES (1u << 20) // that one connection reads or writes in a turn, about

typedef struct fsi_listener {
    fsi_chan chan; // first; with a socket of this loop's own, or with one that all loops share
    bool registered;
    const fsi_tcp *tcp; // of raw connections; NULL: HTTP
} fsi_listener;

// Counters, written by their loop alone, read by anyone: fsi_count64 and fsi_peek64. The order is fsv_stats's.
typedef struct fsi_counters {
    fsi_word64 v[sizeof(fsv_stats) / sizeof(uint64_t)];
} fsi_counters;
#define FSI_COUNTER(loop, field) (loop)->counters.v[offsetof(fsv_stats, field) / sizeof(uint64_t)]
#define FSI_COUNT(loop, field, more) fsi_count64(&FSI_COUNTER(loop, field), (uint64_t)(more))

#define FSI_IO_EVENTS 256

struct fsi_io {
    fsi_loop *loop; // NULL for an io without a server (bench.c)
    int fd;
    fsi_chan wake;
    void (*on_client)(fsi_chan *chan, uint32_t ready); // channels of kind FSI_CHAN_CLIENT
    void *user;                                        // on_client's
    char *part;                                        // FSI_PART_OF_FILE bytes of a file; NULL: none right now
    uint32_t event_count;
#if FSI_IO_EPOLL
    bool coarse; // the system waits in whole milliseconds
    struct epoll_event events[FSI_IO_EVENTS];
#endif
#if FSI_IO_KQUEUE
    int wake_to; // with wake.fd: a pipe, where kqueue has no events of its own
    struct kevent events[FSI_IO_EVENTS];
#endif
#if FSI_IO_IOCP
    HANDLE port;                  // NULL: none; fd stays -1
    struct fsi_ops *all;          // of open channels, and of closed ones that the system still holds
    struct fsi_ops *due;          // to be told of in the next batch without a completion
    struct fsi_ops *spare;        // for reuse
    struct fsi_backlog *backlogs; // of listeners
    uint32_t spare_count;
    uint32_t in_flight; // operations that the port has yet to report
    uint32_t woken;     // atomic: a wake is on its way through the port
    bool transmits;     // files go by TransmitFile
    OVERLAPPED_ENTRY events[FSI_IO_EVENTS];
#endif
};

struct fsi_loop {
    fsv_server *server;
    fsi_io io;
    uint32_t index;
    bool borrowed;   // runs on a thread of the host's, whose signals are not ours to block
    int cpu;         // pinned to, or -1
    uint64_t now_us; // monotonic, read once a turn
    uint64_t now_ms;
    char *in; // receive buffer; what stands in [in_at, in_len) is of the connection whose turn it is
    size_t in_size, in_at, in_len, in_new; // in_new: of the last read
    uint32_t turn_requests;                // what the connection has had of its turn
    uint64_t turn_bytes;
    char *out; // send buffer, of the same connection
    size_t out_len;
    fsi_field *fields;    // scratch of the head being read
    char *path;           // scratch for a decoded path
    fsv_request scratch;  // request whose callbacks may finish in one turn
    fsi_wheel wheel;      // has every connection of this loop, but those that are closing
    fsi_conn *free_conns; // connection structs for reuse
    uint32_t free_count;
    fsi_conn *run_list, **run_tail;  // their budget was spent; they go on in the next turn
    fsi_conn *close_list;            // memory returns after the batch
    fsi_conn *move_list;             // looked at after the batch
    fsi_job *jobs_wait, **jobs_tail; // for room in the pool's queue
    bool jobs_pushed;                // in this turn
    uint32_t jobs_turn;              // worker that gets the next job, with queue_per_worker
    uint32_t conns;                  // that it owns
    uint64_t given;                  // sockets sent to it, where one loop accepts for all: that one's to write
    fsi_word64 arrived;              // of them; like the counters
    uint32_t raw_conns;              // of them in state TCP
    bool accept_paused;              // out of descriptors: listeners sleep until accept_again_ms
    bool stopping;                   // has seen the stop
    const char *refusal;             // why, while on_answer is told of a refusal
    uint64_t accept_again_ms, drain_due_ms, fresh_due_ms;
    uint64_t accept_told_ms;         // the log was; not again before
    void *blocks[FSI_BLOCK_CLASSES]; // free blocks by size
    uint32_t block_count[FSI_BLOCK_CLASSES];
    fsi_listener *listeners; // one per address of the server
    char date_line[40];      // "Date: ...\r\n", made anew when the second has changed
    uint64_t date_due_us;
    // >>balance's own
    uint64_t window_began_us, window_busy_us;
    uint32_t give_count; // connections to be given away, to loop give_to
    uint32_t give_to;
    uint64_t give_after_us; // not before: the last gift must show in both loads first
    // >>tcp's and >>task's own
    fsi_conn *turn;  // raw connection whose turn it is: `out` and `in` are its
    fsi_shelf shelf; // >>files'
    fsi_task *tasks;
    uint32_t *heap; // slots of timers that run, the next one first; behind `tasks` in one allocation
    uint32_t task_cap, heap_len, task_free;
    bool ending; // nothing more is let into the inbox
    fsi_counters counters;
    char pad0[FSV_CACHE_LINE];
    // Read and written by other threads, atomically.
    fsi_queue inbox;
    uint32_t reserved;        // slots of the inbox that are spoken for; a message is sent only by who has reserved one
    uint32_t woken;           // there is something in the inbox, or a stop
    uint32_t waiting;         // in its wait, or about to be: a wake needs the io
    uint32_t asleep;          // waits without a limit
    uint32_t hungry;          // jobs_wait is not empty: to be woken when a worker has taken a job
    fsi_word64 turn_began_us; // 0 while it waits
    fsi_word64 last_turn_us;
    fsi_word64 busy_permille; // of its last window
    fsi_word64 thread;        // fsi_thread_self() of who runs it right now; 0: nobody
    uint32_t posters;         // threads in the middle of a post, FSI_LOOP_ENDED when no more may come
    uint32_t starved;         // a post found the inbox full: some connection is to be told when it has drained

    char pad1[FSV_CACHE_LINE];
};

typedef struct fsi_cpu {
    int number;
    uint64_t idle_ticks;      // since boot, when it was last looked at; FSI_CPU_UNKNOWN
    fsi_word64 load_permille; // how busy it was between the last two looks, whatever ran there; FSI_CPU_UNKNOWN
    uint32_t give_share;      // how many of FSI_GIVE_OF new connections that arrive here go to another loop
    uint32_t give_to;         // its index
} fsi_cpu;

#define FSI_GIVE_OF 256

#define FSI_CPU_UNKNOWN UINT64_MAX

typedef struct fsi_address {
    char text[128]; // "unix:" and a whole sun_path
    uint32_t port;
    bool shared; // one socket for all loops instead of one each
    bool unlink; // text + 5 is a path to remove
} fsi_address;

// ---- >>worker's

typedef struct fsi_worker fsi_worker;

// One queue of jobs and those who serve it: all workers, or one of them.
typedef struct fsi_lane {
    fsi_queue queue;
    uint32_t idle_count; // atomic
    uint32_t waking;     // atomic: someone was woken and has not looked at the queue yet
    uint32_t run_us;     // atomic: how long a job takes, on average of late
    char pad[FSV_CACHE_LINE];
    fsi_lock lock;    // of the idle list
    fsi_worker *idle; // who fell asleep last is woken first: few threads stay warm
} fsi_lane;

struct fsi_worker {
    fsv_server *server;
    fsi_lane *lane;
    fsi_worker *next_idle;  // under the lane's lock
    bool parked;            // on the idle list, likewise
    fsi_loop *loop;         // of FSV_MODEL_POOL_CONN: for the connection that it serves
    fsi_word64 thread_self; // atomic: fsi_thread_self of its thread, 0 when that has ended
    fsi_park park;
    fsi_thread thread;
    fsi_word64 jobs, wait_us, run_us; // counted by it alone
    char pad[FSV_CACHE_LINE];
};

// A thread for one connection at a time. The record stays until the server is freed, and serves again.
typedef struct fsi_server_thread {
    fsi_loop loop;
    fsi_thread thread;
    struct fsi_server_thread *next; // of those that have ended, under `lock` until the acceptor takes them all
    int fd;
    bool started; // its thread is to be joined
} fsi_server_thread;

typedef struct fsi_crew {
    fsi_server_thread **all; // threads_max; entries stay
    uint32_t count;          // atomic
    fsi_server_thread *free; // the acceptor's
    fsi_server_thread *done; // their threads are to be joined
    fsi_lock lock;           // of done
} fsi_crew;

typedef struct fsi_pool {
    fsi_lane *lanes;
    fsi_worker *workers;
    uint32_t lane_count, worker_count; // made
    uint32_t started;
    uint32_t ready;  // atomic: the rest can be looked at by anyone
    uint32_t stop;   // atomic
    uint32_t hungry; // atomic: loops that are
} fsi_pool;

#define FSI_SLAB_CONNS 64
#define FSI_SLAB_TOKENS 64
#define FSI_SPARE_CONNS 64 // beyond conns_max, to tell that many peers at a time that there are too many
#define FSI_ADDRESSES_MAX 64
#define FSI_LOOP_ENDED 0x80000000u

typedef enum fsi_life { FSI_LIFE_NEW, FSI_LIFE_RUN, FSI_LIFE_START, FSI_LIFE_POLL, FSI_LIFE_ENDED } fsi_life;

struct fsv_server {
    fsv_server_desc desc; // completed copy; read only once it runs
    fsi_loop *loops;
    fsi_thread *threads; // loop_count of them
    fsi_cpu *cpus;       // usable CPUs in order, when pinned; room for FSI_CPUS_MAX
    uint32_t loop_count;
    uint32_t thread_count; // started
    uint32_t next_loop;    // to be given a socket, where one loop accepts for all; that one's to write
    uint32_t cpu_count;
    bool has_sockets;  // fsi_sock_begin was called
    bool conns_asked;  // conns_max is not the default
    bool guests_asked; // neither is conns_per_address_max
    bool is_public;    // some address is neither loopback nor Unix-domain
    bool has_blocking; // some handler runs on a worker
    fsi_node *root;
    fsi_route fallback;    // desc.handler
    uint32_t methods_used; // bits of methods that some route has, for OPTIONS *
    uint32_t other_method_count;
    char other_methods[FSI_OTHER_METHODS_MAX][FSI_OTHER_METHOD_BYTES]; // methods that are not RFC 9110's, by routes
    uint32_t address_count;
    fsi_address addresses[FSI_ADDRESSES_MAX];
    void **slabs; // table of FSI_SLAB_CONNS connections each; grows under lock, entries never move
    uint32_t slab_count, slab_max;
    fsi_conn *depot;   // spare structs, in chains of FSI_SLAB_CONNS, under lock
    fsi_conn *dialers; // spare structs for connections that are yet to be given to a loop, under lock
    fsi_tcp *tcps;     // of listeners
    fsv_folder *folders;
    uint64_t shelf_bytes;            // of each loop's shelf
    uint32_t shelf_files, files_max; // large files that are open: of each loop's shelf, of all
    uint32_t files_open;             // now; atomic
    fsi_lock lock;                   // of slabs, depot and dialers, never on the way of a request
    uint64_t guests_seed;            // nobody outside knows it
    fsi_guests guests[FSI_GUEST_SHARDS];
    fsi_pool pool;
    fsi_crew crew;
    fsi_lock token_lock;     // of tokens, of what jobs say of them, and of an away socket that a worker asks about
    fsi_signal token_room;   // of streams that wait for it
    fsi_token **token_slabs; // of FSI_SLAB_TOKENS each; entries never move
    fsi_token *token_free;
    uint32_t token_slab_count, token_slab_max;
    uint32_t token_waiters;
    char pad0[FSV_CACHE_LINE];
    uint32_t life;            // fsi_life
    uint32_t inside;          // a thread is inside run, poll or wait
    fsi_word64 poller;        // thread that polled last
    fsi_word64 stop_drain_ms; // shortest drain that was asked for
    uint32_t stop;            // 1: stopping
    uint32_t conns_open;      // accepted or begun, and not yet freed, over all loops
    uint32_t loops_drained;   // loops that have emptied their listeners
    uint32_t listeners_closed;
    fsi_word64 looked_us; // at the CPUs, by one loop for all
    fsi_word64 deferred;  // so far, under token_lock
    uint32_t looking;     // a loop looks at the CPUs right now
    uint32_t tokens_held;
    uint32_t crowded; // a connection waits in the backlog for which the model has no thread yet
    char pad1[FSV_CACHE_LINE];
};

// ---------------------------------------------------------------------------------------------------------
// >>thread   Threads, locks, CPUs. One section for each system has
//
//   fsi_os_error() fsi_os_error_set(e)    what the last call of the system that failed in this thread said; 0: nothing
//   fsi_os_error_text(e, out, size)       in words
//   fsi_thread_self()                     who is calling; never 0
//   fsi_thread_start(thread, body, arg, name)  the struct stays where it is until fsi_thread_join; false: refused
//   fsi_lock_init/take/give/free          false: the system refused. All of these are safe to free on zeroes
//   fsi_signal_init/all/free              what threads wait for under a lock
//   fsi_signal_wait(signal, lock, due_ns) gives the lock while it waits, at most until fsi_clock_ns() says due_ns
//                                         (UINT64_MAX: no limit). It may return early
//   fsi_affinity_get/restore/pin          the CPUs that the calling thread may run on; nothing is known or done where the
//                                         system has no such thing
//   fsi_cpus(out)                         CPUs of the process's set, in order, into out, which has room for FSI_CPUS_MAX
//                                         or is NULL. Returns how many
//   fsi_cpus_look(cpus, count, passed_us) how busy each was since the last look, passed_us ago; 0: too long ago to say
//   fsi_cpu_usable()                      CPUs that the process may use, a container's quota counted; at least 1
// ---------------------------------------------------------------------------------------------------------

// ---------------------------------------------------------------------------------------------------------
// >>thread-posix   Our threads block every signal, so that the host's handlers run on the host's threads.
// ---------------------------------------------------------------------------------------------------------

#if FSI_POSIX
static void fsi_thread_name(const char *name); // of the calling thread, in the sections after this

FSI_INLINE int fsi_os_error(void)
{
    return errno;
}

FSI_INLINE void fsi_os_error_set(int error)
{
    errno = error;
}

FSI_SELDOM const char *fsi_os_error_text(int error, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", strerror(error));
    return out;
}

FSI_INLINE uint64_t fsi_thread_self(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

FSI_SELDOM void *fsi_thread_main(void *arg)
{
    fsi_thread *thread = (fsi_thread *)arg;
    fsi_thread_name(thread->name);
    thread->body(thread->arg);
    return NULL;
}

FSI_SELDOM bool fsi_thread_start(fsi_thread *thread, void (*body)(void *), void *arg, const char *name)
{
    sigset_t all, before;
    thread->body = body;
    thread->arg = arg;
    (void)snprintf(thread->name, sizeof thread->name, "%s", name);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->id, NULL, fsi_thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    return failed == 0;
}

FSI_SELDOM void fsi_thread_join(fsi_thread *thread)
{
    (void)pthread_join(thread->id, NULL);
}

FSI_SELDOM bool fsi_lock_init(fsi_lock *lock)
{
    return lock->made = pthread_mutex_init(&lock->os, NULL) == 0;
}

FSI_SELDOM void fsi_lock_free(fsi_lock *lock)
{
    if (lock->made) (void)pthread_mutex_destroy(&lock->os);
    lock->made = false;
}

FSI_PRIVATE void fsi_lock_take(fsi_lock *lock)
{
    (void)pthread_mutex_lock(&lock->os);
}

FSI_PRIVATE void fsi_lock_give(fsi_lock *lock)
{
    (void)pthread_mutex_unlock(&lock->os);
}

FSI_SELDOM void fsi_signal_free(fsi_signal *signal)
{
    if (signal->made) (void)pthread_cond_destroy(&signal->os);
    signal->made = false;
}

FSI_PRIVATE void fsi_signal_all(fsi_signal *signal)
{
    (void)pthread_cond_broadcast(&signal->os);
}

#if !FSI_MACOS
FSI_SELDOM bool fsi_signal_init(fsi_signal *signal)
{
    pthread_condattr_t how;
    if (pthread_condattr_init(&how) != 0) return false;
    (void)pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    signal->made = pthread_cond_init(&signal->os, &how) == 0;
    (void)pthread_condattr_destroy(&how);
    return signal->made;
}

FSI_PRIVATE void fsi_signal_wait(fsi_signal *signal, fsi_lock *lock, uint64_t due_ns)
{
    struct timespec due;
    if (due_ns == UINT64_MAX) {
        (void)pthread_cond_wait(&signal->os, &lock->os);
        return;
    }
    due.tv_sec = (time_t)(due_ns / 1000000000u);
    due.tv_nsec = (long)(due_ns % 1000000000u);
    (void)pthread_cond_timedwait(&signal->os, &lock->os, &due);
}
#endif
#endif // >>thread-posix

// ---------------------------------------------------------------------------------------------------------
// >>thread-linux   Affinity, the cgroup's quota, /proc; random bytes.
// ---------------------------------------------------------------------------------------------------------

#if FSI_LINUX
#ifdef SYS_getrandom
#define FSI_SYS_GETRANDOM SYS_getrandom
#else
#define FSI_SYS_GETRANDOM (-1)
#endif
#define FSI_GRND_NONBLOCK 1

FSI_SELDOM bool fsi_random(void *to, size_t size)
{
    return syscall(FSI_SYS_GETRANDOM, to, size, FSI_GRND_NONBLOCK) == (long)size;
}

static void fsi_thread_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}

typedef struct fsi_affinity {
    cpu_set_t set;
    bool known;
} fsi_affinity;

FSI_SELDOM fsi_affinity fsi_affinity_get(void)
{
    fsi_affinity now;
    memset(&now, 0, sizeof now);
    now.known = pthread_getaffinity_np(pthread_self(), sizeof now.set, &now.set) == 0;
    return now;
}

FSI_SELDOM void fsi_affinity_restore(const fsi_affinity *before)
{
    if (before->known) (void)pthread_setaffinity_np(pthread_self(), sizeof before->set, &before->set);
}

FSI_SELDOM bool fsi_affinity_pin(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    errno = pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return errno == 0;
}

FSI_SELDOM uint32_t fsi_cpus(fsi_cpu *out)
{
    cpu_set_t set;
    uint32_t n = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (int cpu = 0; cpu < FSI_CPUS_MAX; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &set)) continue;
        if (out) {
            out[n].number = cpu;
            out[n].idle_ticks = out[n].load_permille = FSI_CPU_UNKNOWN;
            out[n].give_share = out[n].give_to = 0;
        }
        n++;
    }
    return n;
}

FSI_SELDOM bool fsi_read_small(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    if (got < 0) return false;
    out[got] = 0;
    return true;
}

// A line of /proc/stat: "cpu3 user nice system idle iowait ...", in ticks of 10 ms. One thread at a time.
FSI_SELDOM void fsi_cpu_look(fsi_cpu *cpus, uint32_t count, const char *line, uint64_t passed_us)
{
    uint64_t now = 0; // idle and iowait
    char *at, *end;
    if (strncmp(line, "cpu", 3) != 0 || line[3] < '0' || line[3] > '9') return;
    long number = strtol(line + 3, &at, 10);
    for (int column = 1; column <= 5; column++, at = end) {
        unsigned long long ticks = strtoull(at, &end, 10);
        if (end == at) return;
        if (column >= 4) now += ticks;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cpus[i].number != number) continue;
        uint64_t rested_us = (now - cpus[i].idle_ticks) * 10000, load = FSI_CPU_UNKNOWN;
        if (passed_us && cpus[i].idle_ticks <= now)
            load = rested_us < passed_us ? 1000 - rested_us * 1000 / passed_us : 0;
        fsi_poke64(&cpus[i].load_permille, load);
        cpus[i].idle_ticks = now;
        return;
    }
}

FSI_SELDOM void fsi_cpus_look(fsi_cpu *cpus, uint32_t count, uint64_t passed_us)
{
    char text[4096], *line, *end;
    size_t rest = 0; // of a line that a read has cut
    ssize_t got;
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    while ((got = read(fd, text + rest, sizeof text - 1 - rest)) > 0) {
        text[rest + (size_t)got] = 0;
        if (strncmp(text, "cpu", 3) != 0) break; // the CPUs stand before everything else
        for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1)
            fsi_cpu_look(cpus, count, line, passed_us);
        rest = strlen(line);
        memmove(text, line, rest);
    }
    close(fd);
}

// CPUs that the cgroup's quota amounts to, rounded up; 0: no quota. Containers see their own group at these paths.
FSI_SELDOM uint32_t fsi_cpu_quota(void)
{
    char text[64], period_text[64], *rest = period_text;
    if (fsi_read_small("/sys/fs/cgroup/cpu.max", text, sizeof text)) {
        rest = strchr(text, ' '); // "100000 100000", or "max 100000", which reads as 0
    } else if (!fsi_read_small("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text) ||
               !fsi_read_small("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period_text, sizeof period_text)) {
        return 0;
    }
    long long quota = strtoll(text, NULL, 10), period = rest ? strtoll(rest, NULL, 10) : 0;
    if (quota <= 0 || period <= 0) return 0;
    return (uint32_t)((quota + period - 1) / period);
}

FSI_SELDOM uint32_t fsi_cpu_usable(void)
{
    uint32_t n = fsi_cpus(NULL), quota = fsi_cpu_quota();
    if (n == 0) n = 1;
    return quota && quota < n ? quota : n;
}
#endif // >>thread-linux

// ---------------------------------------------------------------------------------------------------------
// >>thread-bsd   macOS and the BSDs: no affinity that would be of use here.
// ---------------------------------------------------------------------------------------------------------

#if FSI_MACOS || FSI_BSD
FSI_SELDOM bool fsi_random(void *to, size_t size)
{
    arc4random_buf(to, size);
    return true;
}

#if FSI_MACOS
static void fsi_thread_name(const char *name)
{
    (void)pthread_setname_np(name);
}
#elif FSI_NETBSD
static void fsi_thread_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), "%s", (void *)(uintptr_t)name);
}
#else
static void fsi_thread_name(const char *name)
{
    pthread_set_name_np(pthread_self(), name);
}
#endif

#if FSI_MACOS
static uint64_t fsi_clock_ns(void); // in >>time

FSI_SELDOM bool fsi_signal_init(fsi_signal *signal)
{
    return signal->made = pthread_cond_init(&signal->os, NULL) == 0;
}

// There a condition variable cannot be given the monotonic clock, but it can wait for so long.
FSI_PRIVATE void fsi_signal_wait(fsi_signal *signal, fsi_lock *lock, uint64_t due_ns)
{
    struct timespec rest;
    uint64_t now = due_ns == UINT64_MAX ? 0 : fsi_clock_ns();
    if (due_ns == UINT64_MAX) {
        (void)pthread_cond_wait(&signal->os, &lock->os);
        return;
    }
    if (due_ns <= now) return;
    rest.tv_sec = (time_t)((due_ns - now) / 1000000000u);
    rest.tv_nsec = (long)((due_ns - now) % 1000000000u);
    (void)pthread_cond_timedwait_relative_np(&signal->os, &lock->os, &rest);
}
#endif

FSI_SELDOM uint32_t fsi_cpu_usable(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}
#endif // >>thread-bsd

// ---------------------------------------------------------------------------------------------------------
// >>thread-windows   Locks and signals are words that need no freeing. No affinity: what Windows 8 and newer call groups
//                    of processors has no counterpart in the rest of this file.
// ---------------------------------------------------------------------------------------------------------

#if FSI_WINDOWS
// The last error of Windows and of Winsock is the same word.
FSI_INLINE int fsi_os_error(void)
{
    return (int)GetLastError();
}

FSI_INLINE void fsi_os_error_set(int error)
{
    SetLastError((DWORD)error);
}

// As UTF-8, in the system's language, without the full stop and the end of line that it comes with.
FSI_SELDOM const char *fsi_os_error_text(int error, char *out, size_t size)
{
    WCHAR text[256];
    DWORD len = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, (DWORD)error, 0, text,
                               sizeof text / sizeof text[0], NULL);
    while (len && wcschr(L"\r\n .", text[len - 1])) len--;
    int n = size && len ? WideCharToMultiByte(CP_UTF8, 0, text, (int)len, out, (int)(size - 1), NULL, NULL) : 0;
    if (n > 0)
        out[n] = 0;
    else
        (void)snprintf(out, size, "error %d", error);
    return out;
}

FSI_INLINE uint64_t fsi_thread_self(void)
{
    return GetCurrentThreadId();
}

// Name of the calling thread, for debuggers. Windows 10 has it; older ones have nothing of the kind.
FSI_SELDOM void fsi_thread_name(const char *name)
{
    typedef HRESULT(WINAPI * set_name)(HANDLE, const WCHAR *);
    WCHAR wide[16];
    size_t n = 0;
    set_name set = NULL;
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    FARPROC found = kernel ? GetProcAddress(kernel, "SetThreadDescription") : NULL;
    if (!found) return;
    memcpy(&set, &found, sizeof set);
    for (; name[n] && n < 15; n++) wide[n] = (WCHAR)(unsigned char)name[n];
    wide[n] = 0;
    (void)set(GetCurrentThread(), wide);
}

// RtlGenRandom, by the only name that it is exported under.
FSI_SELDOM bool fsi_random(void *to, size_t size)
{
    typedef BOOLEAN(WINAPI * generate)(void *, ULONG);
    generate call = NULL;
    HMODULE module = LoadLibraryExW(L"advapi32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC found = module ? GetProcAddress(module, "SystemFunction036") : NULL;
    if (found) memcpy(&call, &found, sizeof call);
    bool fine = found && call(to, (ULONG)size);
    if (module) (void)FreeLibrary(module);
    return fine;
}

FSI_SELDOM unsigned __stdcall fsi_thread_main(void *arg)
{
    fsi_thread *thread = (fsi_thread *)arg;
    fsi_thread_name(thread->name);
    thread->body(thread->arg);
    return 0;
}

// By the C library's call, which knows its own state of each thread.
FSI_SELDOM bool fsi_thread_start(fsi_thread *thread, void (*body)(void *), void *arg, const char *name)
{
    thread->body = body;
    thread->arg = arg;
    (void)snprintf(thread->name, sizeof thread->name, "%s", name);
    SetLastError(0);
    thread->id = (HANDLE)_beginthreadex(NULL, 0, fsi_thread_main, thread, 0, NULL);
    if (!thread->id && GetLastError() == 0) SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return thread->id != NULL;
}

FSI_SELDOM void fsi_thread_join(fsi_thread *thread)
{
    (void)WaitForSingleObject(thread->id, INFINITE);
    (void)CloseHandle(thread->id);
}

FSI_SELDOM bool fsi_lock_init(fsi_lock *lock)
{
    InitializeSRWLock(&lock->os);
    return lock->made = true;
}

FSI_SELDOM void fsi_lock_free(fsi_lock *lock)
{
    lock->made = false;
}

FSI_PRIVATE void fsi_lock_take(fsi_lock *lock)
{
    AcquireSRWLockExclusive(&lock->os);
}

FSI_PRIVATE void fsi_lock_give(fsi_lock *lock)
{
    ReleaseSRWLockExclusive(&lock->os);
}

FSI_SELDOM bool fsi_signal_init(fsi_signal *signal)
{
    InitializeConditionVariable(&signal->os);
    return signal->made = true;
}

FSI_SELDOM void fsi_signal_free(fsi_signal *signal)
{
    signal->made = false;
}

FSI_PRIVATE void fsi_signal_all(fsi_signal *signal)
{
    WakeAllConditionVariable(&signal->os);
}

// The performance counter as nanoseconds; whole seconds apart, or the product would overflow after half an hour.
FSI_PRIVATE uint64_t fsi_counter_ns(void)
{
    LARGE_INTEGER ticks, per_second;
    (void)QueryPerformanceCounter(&ticks);
    (void)QueryPerformanceFrequency(&per_second);
    uint64_t t = (uint64_t)ticks.QuadPart, f = (uint64_t)per_second.QuadPart;
    return t / f * 1000000000u + t % f * 1000000000u / f;
}

// Waits of the system are whole milliseconds and less than INFINITE: a part of one is rounded up.
FSI_PRIVATE DWORD fsi_wait_ms(uint64_t ns)
{
    uint64_t ms = ns / 1000000 + (ns % 1000000 != 0);
    return ms < 0x7fffffff ? (DWORD)ms : 0x7fffffff;
}

FSI_PRIVATE void fsi_signal_wait(fsi_signal *signal, fsi_lock *lock, uint64_t due_ns)
{
    DWORD ms = INFINITE;
    if (due_ns != UINT64_MAX) {
        uint64_t now = fsi_counter_ns();
        ms = due_ns > now ? fsi_wait_ms(due_ns - now) : 0;
    }
    (void)SleepConditionVariableSRW(&signal->os, &lock->os, ms, 0);
}

// CPUs that a hard cap of the process's job amounts to, rounded up; 0: no cap. Containers have one.
FSI_SELDOM uint32_t fsi_cpu_quota(uint32_t all)
{
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION rate;
    const DWORD cap = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    memset(&rate, 0, sizeof rate);
    if (!QueryInformationJobObject(NULL, JobObjectCpuRateControlInformation, &rate, sizeof rate, NULL)) return 0;
    if ((rate.ControlFlags & cap) != cap || rate.CpuRate == 0) return 0;
    return (uint32_t)(((uint64_t)rate.CpuRate * all + 9999) / 10000); // in hundredths of a percent of the machine
}

FSI_SELDOM uint32_t fsi_cpu_usable(void)
{
    DWORD_PTR mine = 0, machine = 0;
    uint32_t all = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS), n = 0, quota;
    if (all == 0) all = 1;
    // With several groups the mask speaks of one of them, and threads may run on all.
    if (GetActiveProcessorGroupCount() == 1 && GetProcessAffinityMask(GetCurrentProcess(), &mine, &machine))
        for (; mine; mine &= mine - 1) n++;
    if (n == 0) n = all;
    quota = fsi_cpu_quota(all);
    return quota && quota < n ? quota : n;
}
#endif // >>thread-windows

// ---------------------------------------------------------------------------------------------------------
// >>thread-unpinned   Where threads are not bound to CPUs: macOS, the BSDs, Windows.
// ---------------------------------------------------------------------------------------------------------

#if !FSI_LINUX
typedef struct fsi_affinity {
    bool known;
} fsi_affinity;

FSI_SELDOM fsi_affinity fsi_affinity_get(void)
{
    fsi_affinity none;
    none.known = false;
    return none;
}

FSI_SELDOM void fsi_affinity_restore(const fsi_affinity *before)
{
    (void)before;
}

FSI_SELDOM bool fsi_affinity_pin(int cpu)
{
    (void)cpu;
    return false;
}

FSI_SELDOM uint32_t fsi_cpus(fsi_cpu *out)
{
    (void)out;
    return 0;
}

FSI_SELDOM void fsi_cpus_look(fsi_cpu *cpus, uint32_t count, uint64_t passed_us)
{
    (void)cpus, (void)count, (void)passed_us;
}
#endif // >>thread-unpinned

// ---------------------------------------------------------------------------------------------------------
// >>park   Where one thread sleeps until it is woken once.
// ---------------------------------------------------------------------------------------------------------

FSI_SELDOM bool fsi_park_init(fsi_park *park)
{
    return fsi_lock_init(&park->lock) && fsi_signal_init(&park->signal);
}

FSI_SELDOM void fsi_park_free(fsi_park *park)
{
    fsi_signal_free(&park->signal);
    fsi_lock_free(&park->lock);
}

FSI_PRIVATE void fsi_park_sleep(fsi_park *park)
{
    fsi_lock_take(&park->lock);
    while (!park->woken) fsi_signal_wait(&park->signal, &park->lock, UINT64_MAX);
    park->woken = false;
    fsi_lock_give(&park->lock);
}

// Any thread.
FSI_PRIVATE void fsi_park_wake(fsi_park *park)
{
    fsi_lock_take(&park->lock);
    park->woken = true;
    fsi_lock_give(&park->lock);
    fsi_signal_all(&park->signal); // after the lock, or the sleeper wakes only to wait for it
}

// ---------------------------------------------------------------------------------------------------------
// >>memory   The allocator of the desc, blocks that a loop keeps for reuse, and the server-wide table of connections.
// ---------------------------------------------------------------------------------------------------------

FSI_PRIVATE void *fsi_alloc(const fsv_server *server, size_t size)
{
    return server->desc.alloc ? server->desc.alloc(size, server->desc.alloc_user) : malloc(size);
}

FSI_SELDOM void *fsi_alloc_zero(const fsv_server *server, size_t size)
{
    void *memory = fsi_alloc(server, size);
    if (memory) memset(memory, 0, size);
    return memory;
}

FSI_PRIVATE void fsi_release(const fsv_server *server, void *memory, size_t size)
{
    if (!memory) return;
    if (server->desc.release)
        server->desc.release(memory, size, server->desc.alloc_user);
    else
        free(memory);
}

// Class of a block, FSI_BLOCK_CLASSES for one that is too large to be kept.
FSI_PRIVATE uint32_t fsi_block_class(size_t size)
{
    uint32_t k = 0;
    while (k < FSI_BLOCK_CLASSES && ((size_t)256 << k) < size) k++;
    return k;
}

// The true size of a block of at least `size` bytes.
FSI_PRIVATE size_t fsi_block_size(size_t size)
{
    uint32_t k = fsi_block_class(size);
    return k < FSI_BLOCK_CLASSES ? (size_t)256 << k : size;
}

// A block of at least `size` bytes; *got is its true size, to be given back with it. NULL: out of memory.
FSI_PRIVATE void *fsi_block_get(fsi_loop *loop, size_t size, size_t *got)
{
    uint32_t k = fsi_block_class(size);
    *got = fsi_block_size(size);
    if (k < FSI_BLOCK_CLASSES && loop->blocks[k]) {
        void *block = loop->blocks[k];
        memcpy(&loop->blocks[k], block, sizeof(void *));
        loop->block_count[k]--;
        return block;
    }
    return fsi_alloc(loop->server, *got);
}

// Keeps at most 128 KiB of each size, so that a burst does not stay for ever.
FSI_PRIVATE void fsi_block_put(fsi_loop *loop, void *block, size_t size)
{
    if (!block) return;
    uint32_t k = fsi_block_class(size);
    if (k == FSI_BLOCK_CLASSES || loop->block_count[k] >= (131072u >> (8 + k))) {
        fsi_release(loop->server, block, size);
        return;
    }
    memcpy(block, &loop->blocks[k], sizeof(void *));
    loop->blocks[k] = block;
    loop->block_count[k]++;
}

FSI_SELDOM void fsi_blocks_free(fsi_loop *loop)
{
    for (uint32_t k = 0; k < FSI_BLOCK_CLASSES; k++) {
        while (loop->blocks[k]) {
            void *block = loop->blocks[k];
            memcpy(&loop->blocks[k], block, sizeof(void *));
            fsi_release(loop->server, block, (size_t)256 << k);
        }
        loop->block_count[k] = 0;
    }
}

// Adds one slab to the table and its connections to a free list. Called under the lock.
FSI_SELDOM bool fsi_slab_add(fsv_server *server, fsi_conn **list)
{
    if (server->slab_count == server->slab_max) return false;
    fsi_conn *slab = (fsi_conn *)fsi_alloc_zero(server, sizeof(fsi_conn) * (size_t)FSI_SLAB_CONNS);
    if (!slab) return false;
    for (uint32_t i = FSI_SLAB_CONNS; i-- > 0;) {
        slab[i].slot = server->slab_count * FSI_SLAB_CONNS + i;
        slab[i].state = FSI_CONN_FREE;
        slab[i].chan.fd = -1;
        slab[i].next = *list;
        *list = &slab[i];
    }
    server->slabs[server->slab_count] = slab;
    fsi_store32(&server->slab_count, server->slab_count + 1); // who looks a handle up finds the entry
    return true;
}

// Takes a chain from the depot, or makes one, for an empty free list. Called under the lock. False: out of memory.
FSI_SELDOM bool fsi_chain_get(fsv_server *server, fsi_conn **list)
{
    if (!server->depot) return fsi_slab_add(server, list);
    *list = server->depot;
    memcpy(&server->depot, &server->depot->timer.next, sizeof(void *)); // chains are linked through the timer
    (*list)->timer.next = NULL;
    return true;
}

// A connection struct: from the loop's own list, else a chain from the depot, else a new slab. NULL: out of memory.
FSI_PRIVATE fsi_conn *fsi_conn_get(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    if (!loop->free_conns) {
        fsi_lock_take(&server->lock);
        bool got = fsi_chain_get(server, &loop->free_conns);
        fsi_lock_give(&server->lock);
        if (!got) return NULL;
        loop->free_count = FSI_SLAB_CONNS;
    }
    fsi_conn *conn = loop->free_conns;
    loop->free_conns = conn->next;
    loop->free_count--;
    return conn;
}

// Connections may be taken by one loop and end on another: what piles up goes to the depot, in chains.
FSI_PRIVATE void fsi_conn_put(fsi_loop *loop, fsi_conn *conn)
{
    fsv_server *server = loop->server;
    fsi_store32(&conn->generation, conn->generation + 1);
    conn->state = FSI_CONN_FREE;
    conn->loop = NULL;
    conn->next = loop->free_conns;
    loop->free_conns = conn;
    if (++loop->free_count < 2 * FSI_SLAB_CONNS) return;
    fsi_conn *first = loop->free_conns, *last = first;
    for (uint32_t i = 1; i < FSI_SLAB_CONNS; i++) last = last->next;
    loop->free_conns = last->next;
    loop->free_count -= FSI_SLAB_CONNS;
    last->next = NULL;
    fsi_lock_take(&server->lock);
    memcpy(&first->timer.next, &server->depot, sizeof(void *));
    server->depot = first;
    fsi_lock_give(&server->lock);
}

// The same for a thread that is no loop's.
FSI_SELDOM fsi_conn *fsi_dialer_get(fsv_server *server)
{
    fsi_lock_take(&server->lock);
    fsi_conn *conn = server->dialers || fsi_chain_get(server, &server->dialers) ? server->dialers : NULL;
    if (conn) server->dialers = conn->next;
    fsi_lock_give(&server->lock);
    return conn;
}

FSI_SELDOM void fsi_dialer_put(fsv_server *server, fsi_conn *conn)
{
    fsi_store32(&conn->generation, conn->generation + 1);
    conn->state = FSI_CONN_FREE;
    fsi_lock_take(&server->lock);
    conn->next = server->dialers;
    server->dialers = conn;
    fsi_lock_give(&server->lock);
}

// ---------------------------------------------------------------------------------------------------------
// >>queue   Bounded, lock-free, many producers and many consumers (after D. Vyukov). Each cell carries a sequence
//           number that says whose turn it is: equal to the position, a producer may fill it; one more, a consumer
//           may take it. The number is stored after the message (release) and read before it (acquire), which is the
//           only ordering that is needed: the positions themselves are claimed with a relaxed compare-and-swap. Order
//           per producer is kept.
// ---------------------------------------------------------------------------------------------------------

// capacity: a power of two, at least 2. False: out of memory.
FSI_SELDOM bool fsi_queue_init(fsi_queue *queue, const fsv_server *server, uint32_t capacity)
{
    memset(queue, 0, sizeof *queue);
    queue->cells = (fsi_cell *)fsi_alloc_zero(server, sizeof(fsi_cell) * capacity);
    if (!queue->cells) return false;
    queue->mask = capacity - 1;
    for (uint32_t i = 0; i < capacity; i++) queue->cells[i].seq = i;
    return true;
}

FSI_SELDOM void fsi_queue_free(fsi_queue *queue, const fsv_server *server)
{
    if (queue->cells) fsi_release(server, queue->cells, sizeof(fsi_cell) * (size_t)(queue->mask + 1));
    queue->cells = NULL;
}

FSI_INLINE fsi_msg fsi_msg_of(fsi_msg_kind kind, uint32_t number, void *ptr)
{
    fsi_msg msg;
    memset(&msg, 0, sizeof msg);
    msg.kind = (uint32_t)kind;
    msg.number = number;
    msg.ptr = ptr;
    return msg;
}

// Any thread. False: full.
FSI_PRIVATE bool fsi_queue_push(fsi_queue *queue, fsi_msg msg)
{
    uint64_t at = fsi_peek64(&queue->tail);
    for (;;) {
        fsi_cell *cell = &queue->cells[at & queue->mask];
        int64_t turn = (int64_t)(fsi_load64(&cell->seq) - at);
        if (turn == 0) {
            if (!fsi_cas64(&queue->tail, &at, at + 1)) continue; // another producer took it; `at` was renewed
            cell->msg = msg;
            fsi_store64(&cell->seq, at + 1);
            return true;
        }
        if (turn < 0) return false; // still holds the message of one lap ago
        at = fsi_peek64(&queue->tail);
    }
}

// Any thread. False: empty (or the next message is still being written).
FSI_PRIVATE bool fsi_queue_pop(fsi_queue *queue, fsi_msg *msg)
{
    uint64_t at = fsi_peek64(&queue->head);
    for (;;) {
        fsi_cell *cell = &queue->cells[at & queue->mask];
        int64_t turn = (int64_t)(fsi_load64(&cell->seq) - (at + 1));
        if (turn == 0) {
            if (!fsi_cas64(&queue->head, &at, at + 1)) continue;
            *msg = cell->msg;
            fsi_store64(&cell->seq, at + queue->mask + 1); // free for the producer of the next lap
            return true;
        }
        if (turn < 0) return false;
        at = fsi_peek64(&queue->head);
    }
}

// Any thread. Messages that stand in it, those that are just being written or taken included.
FSI_PRIVATE uint32_t fsi_queue_count(const fsi_queue *queue)
{
    uint64_t head = fsi_peek64(&queue->head), tail = fsi_peek64(&queue->tail);
    return tail > head ? (uint32_t)(tail - head) : 0;
}

// ---------------------------------------------------------------------------------------------------------
// >>time   Clocks, the Date field, and the timer wheel. One section for each system has
//
//   fsi_clock_ns()    monotonic, from some point in the past
//   fsi_wall_ns()     since 1970, UTC; 0 before
//   fsi_sleep_ns(ns)  at least so long
// ---------------------------------------------------------------------------------------------------------

#ifdef FSV_IO_HEADER // a test's io brings its own clocks
FSI_PRIVATE uint64_t fsi_clock_ns(void);
FSI_PRIVATE uint64_t fsi_wall_ns(void);
#elif FSI_POSIX
// ---------------------------------------------------------------------------------------------------------
// >>time-posix
// ---------------------------------------------------------------------------------------------------------

FSI_INLINE uint64_t fsi_timespec_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0 || now.tv_sec < 0) return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// macOS: its CLOCK_MONOTONIC counts microseconds and goes on while the machine sleeps. This one is what waits there are
// counted in, is finer, costs less, and stands still with the machine as Linux's CLOCK_MONOTONIC does.
#if FSI_MACOS
#define FSI_CLOCK CLOCK_UPTIME_RAW
#else
#define FSI_CLOCK CLOCK_MONOTONIC
#endif

FSI_INLINE uint64_t fsi_clock_ns(void)
{
    return fsi_timespec_ns(FSI_CLOCK);
}

FSI_PRIVATE uint64_t fsi_wall_ns(void)
{
    return fsi_timespec_ns(CLOCK_REALTIME);
}

FSI_PRIVATE void fsi_sleep_ns(uint64_t ns)
{
    struct timespec rest;
    rest.tv_sec = (time_t)(ns / 1000000000u);
    rest.tv_nsec = (long)(ns % 1000000000u);
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
}
#elif FSI_WINDOWS
// ---------------------------------------------------------------------------------------------------------
// >>time-windows   What the period of the system's timer is (15.6 ms unless some program asked for less) is the host's
//                  to decide: waits end that much late.
// ---------------------------------------------------------------------------------------------------------

FSI_INLINE uint64_t fsi_clock_ns(void)
{
    return fsi_counter_ns();
}

FSI_PRIVATE uint64_t fsi_wall_ns(void)
{
    const uint64_t epoch = 116444736000000000u; // 1970 in units of 100 ns since 1601
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    uint64_t units = (uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime;
    return units > epoch ? (units - epoch) * 100 : 0;
}

// One sleep, perhaps too short. Windows 10 has timers that do not depend on the system's period.
FSI_PRIVATE void fsi_sleep_once(uint64_t ns)
{
    const DWORD high_resolution = 2; // CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
    LARGE_INTEGER due;
    HANDLE timer = CreateWaitableTimerExW(NULL, NULL, high_resolution, TIMER_MODIFY_STATE | SYNCHRONIZE);
    due.QuadPart = -(LONGLONG)(ns / 100 + 1); // negative: from now
    if (timer && SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE))
        (void)WaitForSingleObject(timer, INFINITE);
    else
        Sleep(fsi_wait_ms(ns));
    if (timer) (void)CloseHandle(timer);
}

FSI_PRIVATE void fsi_sleep_ns(uint64_t ns)
{
    uint64_t began = fsi_counter_ns(), passed = 0;
    for (; passed < ns; passed = fsi_counter_ns() - began) fsi_sleep_once(ns - passed);
}
#endif // >>time-posix, >>time-windows

// The calendar: Gregorian, also before there was one. Its year begins in March, so that the leap day comes last, and its
// eras have 400 years; 5 of them are added so that nothing is negative, which leaves the day of the week as it is.
#define FSI_DATE_FIRST (-62167219200) // 1 January 0000, the first that has four digits
#define FSI_DATE_LAST 253402300799    // 31 December 9999
#define FSI_ERA ((int64_t)146097)     // days

typedef struct fsi_date {
    int64_t year, month, day, hour, minute, second, weekday; // month and day from 1, weekday 0: Sunday
} fsi_date;

// Of seconds since 1970; what is outside of the years 0 to 9999 becomes the first or the last second of them.
FSI_SELDOM fsi_date fsi_date_of(int64_t s)
{
    s = s < FSI_DATE_FIRST ? FSI_DATE_FIRST : s > FSI_DATE_LAST ? FSI_DATE_LAST : s;
    s += 5 * FSI_ERA * 86400;
    int64_t day = s / 86400, z = day + 719468, doe = z % FSI_ERA; // days since 1 March, of the first era, of this one
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    fsi_date date;
    date.month = mp < 10 ? mp + 3 : mp - 9;
    date.year = yoe + z / FSI_ERA * 400 - 2000 + (date.month <= 2);
    date.day = doy - (153 * mp + 2) / 5 + 1;
    date.hour = s % 86400 / 3600;
    date.minute = s / 60 % 60;
    date.second = s % 60;
    date.weekday = (day + 4) % 7; // 1 January 1970 was a Thursday
    return date;
}

// The way back, without a look at whether there is such a day. Years from -2000.
FSI_SELDOM int64_t fsi_date_seconds(const fsi_date *date)
{
    int64_t y = date->year + 2000 - (date->month <= 2), yoe = y % 400;
    int64_t doy = (153 * (date->month + (date->month > 2 ? -3 : 9)) + 2) / 5 + date->day - 1;
    int64_t days = y / 400 * FSI_ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468 - 5 * FSI_ERA;
    return days * 86400 + date->hour * 3600 + date->minute * 60 + date->second;
}

static const char fsi_days[] = "SunMonTueWedThuFriSat", fsi_months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

FSI_SELDOM void fsi_digits_write(char *at, int64_t value, int digits)
{
    for (; digits > 0; value /= 10) at[--digits] = (char)('0' + value % 10);
}

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), 29 bytes without a terminator. Returns the end. Years as above.
FSI_SELDOM char *fsi_date_write(char *at, int64_t s)
{
    fsi_date date = fsi_date_of(s);
    static const char form[] = "---, 00 --- 0000 00:00:00 GMT";
    memcpy(at, form, sizeof form - 1);
    memcpy(at, fsi_days + 3 * date.weekday, 3);
    fsi_digits_write(at + 5, date.day, 2);
    memcpy(at + 8, fsi_months + 3 * (date.month - 1), 3);
    fsi_digits_write(at + 12, date.year, 4);
    fsi_digits_write(at + 17, date.hour, 2);
    fsi_digits_write(at + 20, date.minute, 2);
    fsi_digits_write(at + 23, date.second, 2);
    return at + 29;
}

// The wheel: level 0 has slots of 4 ms, each further level 64 times longer ones, up to 49 days. A timer sits in the
// slot in which its due time falls, on the finest level that reaches so far; when the wheel gets there it looks
// again: due, it fires; moved later in the meantime, it is put where it belongs now. So moving a timer later is one
// store.
#define FSI_WHEEL_SHIFT(level) (2 + 6 * (level))

FSI_SELDOM void fsi_wheel_init(fsi_wheel *wheel, uint64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now_ms = now_ms;
    for (int level = 0; level < FSI_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < FSI_WHEEL_SLOTS; slot++) {
            fsi_timer *head = &wheel->slots[level][slot];
            head->next = head->prev = head;
        }
}

FSI_PRIVATE void fsi_timer_remove(fsi_timer *timer)
{
    if (!timer->next) return;
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL; // the slot's bit stays; it is cleared when the wheel finds the slot empty
}

FSI_PRIVATE void fsi_timer_add(fsi_wheel *wheel, fsi_timer *timer, uint64_t due_ms)
{
    uint64_t at = due_ms > wheel->now_ms ? due_ms : wheel->now_ms;
    int level = 0;
    while (level < FSI_WHEEL_LEVELS - 1 &&
           (at >> FSI_WHEEL_SHIFT(level)) - (wheel->now_ms >> FSI_WHEEL_SHIFT(level)) >= FSI_WHEEL_SLOTS)
        level++;
    uint64_t tick = at >> FSI_WHEEL_SHIFT(level),
             reach = (wheel->now_ms >> FSI_WHEEL_SHIFT(level)) + FSI_WHEEL_SLOTS - 1;
    if (tick > reach) tick = reach; // beyond the last level: looked at again when the wheel gets there
    uint32_t slot = (uint32_t)(tick & (FSI_WHEEL_SLOTS - 1));
    fsi_timer *head = &wheel->slots[level][slot];
    timer->due_ms = due_ms;
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
    wheel->used[level] |= (uint64_t)1 << slot;
}

// Due earlier than before: moves it. Later: only notes it.
FSI_PRIVATE void fsi_timer_set(fsi_wheel *wheel, fsi_timer *timer, uint64_t due_ms)
{
    if (timer->next && due_ms >= timer->due_ms) {
        timer->due_ms = due_ms;
        return;
    }
    fsi_timer_remove(timer);
    fsi_timer_add(wheel, timer, due_ms);
}

// Milliseconds from now until the wheel must be turned, UINT32_MAX if it is empty. Never later than a timer's due
// time or now, rounded up to the slot's end; may be earlier, when a timer has been moved or removed.
FSI_PRIVATE uint32_t fsi_wheel_wait_ms(const fsi_wheel *wheel, uint64_t now_ms)
{
    uint64_t best = UINT64_MAX;
    for (int level = 0; level < FSI_WHEEL_LEVELS; level++) {
        uint64_t used = wheel->used[level], tick = wheel->now_ms >> FSI_WHEEL_SHIFT(level);
        if (!used) continue;
        uint32_t turn = (uint32_t)(tick & 63);
        uint64_t rotated = turn ? (used >> turn) | (used << (64 - turn)) : used;
        uint64_t at = (tick + fsi_lowest_bit(rotated)) << FSI_WHEEL_SHIFT(level);
        if (level == 0) at += (1u << FSI_WHEEL_SHIFT(0)) - 1; // the end of the slot: all of it is due then
        if (at < best) best = at;
    }
    if (best == UINT64_MAX) return UINT32_MAX;
    if (best <= now_ms) return 0;
    return best - now_ms < UINT32_MAX - 1 ? (uint32_t)(best - now_ms) : UINT32_MAX - 1;
}

// Takes the next timer that is due by now_ms out of the wheel, or NULL when there is none: call until NULL.
FSI_PRIVATE fsi_timer *fsi_wheel_next(fsi_wheel *wheel, uint64_t now_ms)
{
    for (;;) {
        // Slots that have begun are examined coarsest first, so that what they hold reaches the finer levels in time.
        for (int level = FSI_WHEEL_LEVELS - 1; level >= 0; level--) {
            uint64_t tick = wheel->now_ms >> FSI_WHEEL_SHIFT(level);
            uint32_t slot = (uint32_t)(tick & 63);
            fsi_timer *head = &wheel->slots[level][slot], *timer = head->next, *next;
            if (!(wheel->used[level] >> slot & 1)) continue;
            if (level == 0) {
                for (; timer != head; timer = next) {
                    next = timer->next;
                    if (timer->due_ms <= now_ms) {
                        fsi_timer_remove(timer);
                        return timer;
                    }
                    if (timer->due_ms >> FSI_WHEEL_SHIFT(0) != tick) { // was moved later
                        fsi_timer_remove(timer);
                        fsi_timer_add(wheel, timer, timer->due_ms);
                    }
                }
                if (head->next == head) wheel->used[0] &= ~((uint64_t)1 << slot);
                continue;
            }
            // Everything here belongs to a finer level now, or later on.
            wheel->used[level] &= ~((uint64_t)1 << slot);
            fsi_timer list = *head;
            if (timer == head) continue;
            list.next->prev = &list;
            list.prev->next = &list;
            head->next = head->prev = head;
            while (list.next != &list) {
                timer = list.next;
                fsi_timer_remove(timer);
                fsi_timer_add(wheel, timer, timer->due_ms);
            }
        }
        // On to the next slot that may hold something, or to now.
        if (wheel->now_ms >= now_ms) return NULL;
        uint64_t step = UINT64_MAX;
        for (int level = 0; level < FSI_WHEEL_LEVELS; level++) {
            uint64_t tick = (wheel->now_ms >> FSI_WHEEL_SHIFT(level)) + 1, used = wheel->used[level];
            if (!used) continue;
            uint32_t turn = (uint32_t)(tick & 63);
            uint64_t rotated = turn ? (used >> turn) | (used << (64 - turn)) : used;
            uint64_t at = (tick + fsi_lowest_bit(rotated)) << FSI_WHEEL_SHIFT(level);
            if (at < step) step = at;
        }
        wheel->now_ms = step < now_ms ? step : now_ms;
    }
}

#if FSI_CLIENT
// ---------------------------------------------------------------------------------------------------------
// >>hist   Log-linear histogram of unsigned 64-bit values [shared with bench.c]. Values below 256 are exact; above,
//          each power of two is cut into 128 equal parts, so the middle of a part is at most 1/256 (0.4 %) from any
//          value in it.
// ---------------------------------------------------------------------------------------------------------

#define FSI_HIST_BITS 7
#define FSI_HIST_CELLS ((64 - FSI_HIST_BITS + 1) << FSI_HIST_BITS)

typedef struct fsi_hist {
    uint64_t count, min, max;
    double sum, sum2;
    uint64_t cells[FSI_HIST_CELLS];
} fsi_hist;

FSI_SELDOM void fsi_hist_init(fsi_hist *hist)
{
    memset(hist, 0, sizeof *hist);
    hist->min = UINT64_MAX;
}

FSI_INLINE uint32_t fsi_hist_cell(uint64_t value)
{
    if (value < (2u << FSI_HIST_BITS)) return (uint32_t)value;
    uint32_t shift = fsi_highest_bit(value) - FSI_HIST_BITS;
    return (shift << FSI_HIST_BITS) + (uint32_t)(value >> shift);
}

// The middle of a cell.
FSI_PRIVATE uint64_t fsi_hist_value(uint32_t cell)
{
    if (cell < (2u << FSI_HIST_BITS)) return cell;
    uint32_t shift = (cell >> FSI_HIST_BITS) - 1;
    uint64_t low = (uint64_t)((cell & ((1u << FSI_HIST_BITS) - 1)) + (1u << FSI_HIST_BITS)) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

FSI_INLINE void fsi_hist_add(fsi_hist *hist, uint64_t value, uint64_t times)
{
    if (!times) return;
    hist->cells[fsi_hist_cell(value)] += times;
    hist->count += times;
    hist->sum += (double)value * (double)times;
    hist->sum2 += (double)value * (double)value * (double)times;
    if (value < hist->min) hist->min = value;
    if (value > hist->max) hist->max = value;
}

FSI_SELDOM void fsi_hist_merge(fsi_hist *into, const fsi_hist *from)
{
    for (uint32_t i = 0; i < FSI_HIST_CELLS; i++) into->cells[i] += from->cells[i];
    into->count += from->count;
    into->sum += from->sum;
    into->sum2 += from->sum2;
    if (from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
}

// Smallest recorded value (to the cell's precision) that at least the share q of all values do not exceed; 0 when
// empty.
FSI_SELDOM uint64_t fsi_hist_at(const fsi_hist *hist, double q)
{
    if (hist->count == 0) return 0;
    double want = q * (double)hist->count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < FSI_HIST_CELLS; i++) {
        seen += hist->cells[i];
        if (hist->cells[i] == 0 || (double)seen < want) continue;
        uint64_t value = fsi_hist_value(i);
        return value < hist->min ? hist->min : value > hist->max ? hist->max : value;
    }
    return hist->max;
}

// Share of the values within [low, high], to the cells' precision; 0 when empty.
FSI_SELDOM double fsi_hist_share(const fsi_hist *hist, double low, double high)
{
    uint64_t inside = 0;
    if (hist->count == 0) return 0;
    for (uint32_t i = 0; i < FSI_HIST_CELLS; i++) {
        double value = (double)fsi_hist_value(i);
        if (hist->cells[i] && value >= low && value <= high) inside += hist->cells[i];
    }
    return (double)inside / (double)hist->count;
}
#endif // FSI_CLIENT

// ---------------------------------------------------------------------------------------------------------
// >>log   What happens out of sight, as one line to desc.log. Never on the way of a good request.
// ---------------------------------------------------------------------------------------------------------

FSI_RARE void fsi_log(const fsv_server *server, uint32_t level, const char *item, int64_t os_error, const char *format,
                      ...) FSI_PRINTF(5, 6);

FSI_RARE void fsi_log(const fsv_server *server, uint32_t level, const char *item, int64_t os_error, const char *format,
                      ...)
{
    char text[256];
    va_list args;
    if (!server->desc.log) return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fsv_log_record record;
    record.level = level;
    record.item = item;
    record.text = text;
    record.os_error = os_error;
    server->desc.log(&record, server->desc.user);
}

// ---------------------------------------------------------------------------------------------------------
// >>text   Byte classes, comparison without case, numbers, percent-decoding. Pure functions.
// ---------------------------------------------------------------------------------------------------------

FSI_INLINE fsv_str fsi_view(const char *ptr, size_t len)
{
    fsv_str view;
    view.ptr = ptr;
    view.len = len;
    return view;
}

// Bits: 1 token (RFC 9110 5.6.2), 2 field value (5.5, obs-text included), also reason phrases, trailers and quoted
// strings, 4 request target (anything visible but "#", and bytes from 0x80, which people type), 8 uri-host and port
// (RFC 3986 3.2.2), 16 what a target must be looked at again for, 32 a byte of a host that stands for itself.
#define FSI_TCHAR 1
#define FSI_VALUE 2
#define FSI_TARGET 4
#define FSI_HOST 8
#define FSI_SPECIAL 16
#define FSI_REG_NAME 32
// clang-format off
static const uint8_t fsi_class[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0, // 00
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, // 10
     2, 47,  6,  3, 47, 31, 47, 47, 46, 46, 47, 47,  6, 47, 47,  6, // 20
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 14, 46,  6, 46,  6, 22, // 30
     6, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, // 40
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 14,  6, 14,  7, 47, // 50
     7, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, // 60
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47,  6,  7,  6, 47,  0, // 70
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // 80
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // 90
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // a0
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // b0
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // c0
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // d0
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // e0
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, // f0
};
// clang-format on

FSI_INLINE uint8_t fsi_lower(char c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

// Compares with a lower-case literal of the same length, without case.
FSI_PRIVATE bool fsi_is(const char *text, size_t len, const char *lower, size_t lower_len)
{
    if (len != lower_len) return false;
    for (size_t i = 0; i < len; i++)
        if (fsi_lower(text[i]) != (uint8_t)lower[i]) return false;
    return true;
}

// The same for a literal without any of "@[\\]^`{|}~": whole words, of which a compiler makes constants. A letter of it has
// the bits 0x60, and what differs from it in 0x20 alone is its upper case; nothing else of it has both bits.
FSI_INLINE bool fsi_is_words(const char *text, const char *lower, size_t len)
{
    if (len >= 8) {
        for (size_t at = 0;; at = at + 16 <= len ? at + 8 : len - 8) {
            uint64_t a, b;
            memcpy(&a, text + at, 8);
            memcpy(&b, lower + at, 8);
            if ((a ^ b) & ~((b & 0x4040404040404040u) >> 1 & b)) return false;
            if (at + 8 == len) return true;
        }
    }
    if (len >= 4) {
        for (size_t at = 0;; at = len - 4) {
            uint32_t a, b;
            memcpy(&a, text + at, 4);
            memcpy(&b, lower + at, 4);
            if ((a ^ b) & ~((b & 0x40404040u) >> 1 & b)) return false;
            if (at + 4 == len) return true;
        }
    }
    return fsi_is(text, len, lower, len);
}
#define FSI_IS(text, len, literal) ((len) == sizeof(literal) - 1 && fsi_is_words(text, literal, sizeof(literal) - 1))

FSI_PRIVATE bool fsi_same_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (fsi_lower(a[i]) != fsi_lower(b[i])) return false;
    return true;
}

FSI_PRIVATE int fsi_hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Decimal digits only, at least one, no overflow. False otherwise.
FSI_PRIVATE bool fsi_number(const char *text, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    if (len == 0) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (i >= 19 && value > (UINT64_MAX - digit) / 10) return false; // 19 digits fit
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

// Writes a number in decimal, returns its length (at most 20).
FSI_PRIVATE size_t fsi_number_write(char *out, uint64_t value)
{
    size_t len = 1;
    if (FSI_LIKELY(value < 100)) {
        if (value < 10) {
            *out = (char)('0' + value);
            return 1;
        }
        out[0] = (char)('0' + value / 10);
        out[1] = (char)('0' + value % 10);
        return 2;
    }
    for (uint64_t rest = value; rest >= 10; rest /= 10) len++;
    for (size_t at = len; at-- > 0; value /= 10) out[at] = (char)('0' + value % 10);
    return len;
}

// Moves past bytes of a class.
#define FSI_SPAN(at, end, bits) \
    while ((at) < (end) && (fsi_class[(uint8_t) * (at)] & (bits))) (at)++

// What the spans below need of vectors of bytes. A mask has one bit for each byte that is all ones, FSI_VEC_BITS apart, the
// first lowest.
// clang-format off
#if FSI_SIMD == FSI_SSE2
typedef __m128i fsi_vec;
#define FSI_VEC_BITS 1
#define FSI_VEC_ALL 0xffffu
FSI_INLINE fsi_vec  fsi_vec_load(const char *at)            { return _mm_loadu_si128((const __m128i *)(const void *)at); }
FSI_INLINE fsi_vec  fsi_vec_of(char c)                      { return _mm_set1_epi8(c); }
FSI_INLINE fsi_vec  fsi_vec_or(fsi_vec a, fsi_vec b)        { return _mm_or_si128(a, b); }
FSI_INLINE fsi_vec  fsi_vec_sub(fsi_vec a, fsi_vec b)       { return _mm_sub_epi8(a, b); }
FSI_INLINE fsi_vec  fsi_vec_same(fsi_vec a, fsi_vec b)      { return _mm_cmpeq_epi8(a, b); }
FSI_INLINE fsi_vec  fsi_vec_most(fsi_vec a, fsi_vec most)   { return _mm_cmpeq_epi8(_mm_min_epu8(a, most), a); } // a <= most
FSI_INLINE uint64_t fsi_vec_mask(fsi_vec a)                 { return (uint32_t)_mm_movemask_epi8(a); }
#elif FSI_SIMD == FSI_NEON
typedef uint8x16_t fsi_vec;
#define FSI_VEC_BITS 4
#define FSI_VEC_ALL 0x1111111111111111u
FSI_INLINE fsi_vec  fsi_vec_load(const char *at)            { return vld1q_u8((const uint8_t *)at); }
FSI_INLINE fsi_vec  fsi_vec_of(char c)                      { return vdupq_n_u8((uint8_t)c); }
FSI_INLINE fsi_vec  fsi_vec_or(fsi_vec a, fsi_vec b)        { return vorrq_u8(a, b); }
FSI_INLINE fsi_vec  fsi_vec_sub(fsi_vec a, fsi_vec b)       { return vsubq_u8(a, b); }
FSI_INLINE fsi_vec  fsi_vec_same(fsi_vec a, fsi_vec b)      { return vceqq_u8(a, b); }
FSI_INLINE fsi_vec  fsi_vec_most(fsi_vec a, fsi_vec most)   { return vcleq_u8(a, most); }
FSI_INLINE uint64_t fsi_vec_mask(fsi_vec a)
{ return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(a), 4)), 0) & FSI_VEC_ALL; }
#endif
// clang-format on
#if FSI_SIMD
FSI_INLINE fsi_vec fsi_vec_within(fsi_vec a, char least, char most)
{
    return fsi_vec_most(fsi_vec_sub(a, fsi_vec_of(least)), fsi_vec_of((char)(most - least)));
}

// The first byte that a mask has; FSI_VEC_NEXT takes it away.
#define FSI_VEC_NEXT(marks) ((marks) &= (marks)-1)
FSI_INLINE const char *fsi_vec_at(const char *p, uint64_t marks)
{
    return p + fsi_lowest_bit(marks) / FSI_VEC_BITS;
}
#endif

// No byte of the eight at p is below 0x20 or 0x7f; false also where it is a HTAB, or merely stands behind such a byte.
FSI_INLINE bool fsi_word_is_value(const char *p)
{
    uint64_t word, del;
    memcpy(&word, p, 8);
    del = word ^ 0x7f7f7f7f7f7f7f7fu;
    return !((((word - 0x2020202020202020u) & ~word) | ((del - 0x0101010101010101u) & ~del)) & 0x8080808080808080u);
}

// The end of the field value (RFC 9110 5.5) at p: its first byte that is none of one, or end.
FSI_INLINE const char *fsi_span_value(const char *p, const char *end)
{
#if FSI_SIMD
    while ((size_t)(end - p) > 15) {
        fsi_vec v = fsi_vec_load(p);
        fsi_vec other = fsi_vec_or(fsi_vec_most(v, fsi_vec_of(0x1f)), fsi_vec_same(v, fsi_vec_of(0x7f)));
        for (uint64_t marks = fsi_vec_mask(other); marks; FSI_VEC_NEXT(marks))
            if (*fsi_vec_at(p, marks) != '\t') return fsi_vec_at(p, marks);
        p += 16;
    }
#endif
    while (end - p >= 8 && fsi_word_is_value(p)) p += 8;
    FSI_SPAN(p, end, FSI_VALUE);
    return p;
}

// The end of the token (RFC 9110 5.6.2) at p. Vectors know what names are made of: letters and "-".
FSI_INLINE const char *fsi_span_token(const char *p, const char *end)
{
#if FSI_SIMD
    while ((size_t)(end - p) > 15) {
        fsi_vec v = fsi_vec_load(p), letter = fsi_vec_within(fsi_vec_or(v, fsi_vec_of(0x20)), 'a', 'z');
        uint64_t known = fsi_vec_mask(fsi_vec_or(letter, fsi_vec_same(v, fsi_vec_of('-'))));
        for (uint64_t marks = known ^ FSI_VEC_ALL; marks; FSI_VEC_NEXT(marks)) {
            const char *at = fsi_vec_at(p, marks);
            if (*at == ':' || !(fsi_class[(uint8_t)*at] & FSI_TCHAR)) return at; // most end with ":"
        }
        p += 16;
    }
#endif
    FSI_SPAN(p, end, FSI_TCHAR);
    return p;
}

// The end of the host name at p: letters, digits, "-", "." and what else stands for itself there (RFC 3986 3.2.2). Most are
// shorter than a vector, which may therefore reach to `readable`, behind end.
FSI_INLINE const char *fsi_span_name(const char *p, const char *end, const char *readable)
{
#if FSI_SIMD
    while (readable - p >= 16) {
        fsi_vec v = fsi_vec_load(p), letter = fsi_vec_within(fsi_vec_or(v, fsi_vec_of(0x20)), 'a', 'z');
        fsi_vec digit = fsi_vec_within(v, '0', '9'), mark = fsi_vec_within(v, '-', '.');
        uint64_t known = fsi_vec_mask(fsi_vec_or(letter, fsi_vec_or(digit, mark)));
        for (uint64_t marks = known ^ FSI_VEC_ALL; marks; FSI_VEC_NEXT(marks)) {
            const char *at = fsi_vec_at(p, marks);
            if (at >= end) return end;
            if (!(fsi_class[(uint8_t)*at] & FSI_REG_NAME)) return at;
        }
        p += 16;
        if (p >= end) return end;
    }
#endif
    (void)readable;
    FSI_SPAN(p, end, FSI_REG_NAME);
    return p;
}

// The end of the request target at p; *special: there is a "?" or "%" in it.
FSI_INLINE const char *fsi_span_target(const char *p, const char *end, bool *special)
{
    uint8_t class_of, seen = 0;
#if FSI_SIMD
    while ((size_t)(end - p) > 15) {
        fsi_vec v = fsi_vec_load(p),
                other = fsi_vec_or(fsi_vec_most(v, fsi_vec_of(0x20)), fsi_vec_same(v, fsi_vec_of(0x7f)));
        other = fsi_vec_or(other, fsi_vec_or(fsi_vec_within(v, '#', '%'), fsi_vec_same(v, fsi_vec_of('?'))));
        for (uint64_t marks = fsi_vec_mask(other); marks; FSI_VEC_NEXT(marks)) {
            class_of = fsi_class[(uint8_t)*fsi_vec_at(p, marks)];
            if (!(class_of & FSI_TARGET)) {
                *special = (seen & FSI_SPECIAL) != 0;
                return fsi_vec_at(p, marks);
            }
            seen |= class_of;
        }
        p += 16;
    }
#endif
    while (p < end && ((class_of = fsi_class[(uint8_t)*p]) & FSI_TARGET)) {
        seen |= class_of;
        p++;
    }
    *special = (seen & FSI_SPECIAL) != 0;
    return p;
}

// Percent-decodes; keep_slash leaves %2F as it stands; plus turns "+" into a space. Returns the length (never more than
// len), or -1 for a broken sequence or an encoded NUL.
FSI_PRIVATE int64_t fsi_unescape(char *out, const char *text, size_t len, bool keep_slash, bool plus)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? fsi_hex(text[i + 1]) : -1, low = i + 2 < len ? fsi_hex(text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) return -1;
            c = (char)(high * 16 + low);
            if (c == '/' && keep_slash) {
                out[n++] = '%';
                out[n++] = '2';
                c = text[i + 2];
            }
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    return (int64_t)n;
}

// ---------------------------------------------------------------------------------------------------------
// >>http-read   Request and response heads, chunked bodies (RFC 9112). Pure functions of bytes: no socket, no clock,
//               no allocation. A head that is not complete gives 0 and is read again from its start when more has
//               come; nothing depends on how the bytes were cut. Strict: whatever two readers could understand
//               differently is refused.
// ---------------------------------------------------------------------------------------------------------

// X(name, status, text): why a message is refused, and what the peer is told.
// clang-format off
#define FSI_REFUSALS(X)                                                              \
    X(FSI_BAD_METHOD,        400, "the method is not a token")                       \
    X(FSI_LONG_METHOD,       501, "there is no method of that length")               \
    X(FSI_BAD_TARGET,        400, "the request target is malformed")                 \
    X(FSI_LONG_TARGET,       414, "the request target is too long")                  \
    X(FSI_BAD_VERSION,       400, "the HTTP version is malformed")                   \
    X(FSI_OTHER_VERSION,     505, "only HTTP/1.0 and HTTP/1.1 are spoken here")      \
    X(FSI_BAD_LINE_END,      400, "a line does not end with CR LF")                  \
    X(FSI_BAD_FIELD_NAME,    400, "a field name is not a token")                     \
    X(FSI_BAD_FIELD_VALUE,   400, "a field value has a control byte")                \
    X(FSI_FOLDED_FIELD,      400, "a field is folded over two lines")                \
    X(FSI_MANY_FIELDS,       431, "there are too many fields")                       \
    X(FSI_LONG_HEAD,         431, "the head is too large")                           \
    X(FSI_NO_HOST,           400, "the Host field is missing")                       \
    X(FSI_BAD_HOST,          400, "the Host field is malformed or there are two")    \
    X(FSI_BAD_LENGTH,        400, "Content-Length is not one decimal number")        \
    X(FSI_TWO_LENGTHS,       400, "Content-Length stands there twice")               \
    X(FSI_LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")       \
    X(FSI_BAD_CODING,        400, "Transfer-Encoding does not end in chunked once")  \
    X(FSI_OLD_CODING,        400, "Transfer-Encoding in HTTP/1.0")                   \
    X(FSI_OTHER_CODING,      501, "only the chunked transfer coding is known")       \
    X(FSI_BAD_EXPECT,        417, "only 100-continue can be expected")               \
    X(FSI_BAD_CHUNK,         400, "a chunk is malformed")                            \
    X(FSI_LONG_CHUNK_LINE,   400, "a chunk's size line is too long")                 \
    X(FSI_BAD_TRAILER,       400, "a trailer field is malformed")                    \
    X(FSI_LONG_TRAILER,      431, "the trailer is too large")                        \
    X(FSI_BAD_STATUS,        502, "the status line is malformed")                    \
    X(FSI_BAD_ESCAPE,        400, "the path has a broken percent-encoding")
// clang-format on

typedef enum fsi_refusal {
    FSI_REFUSED_NOTHING = 0,
#define FSI_X(name, status, text) name,
    FSI_REFUSALS(FSI_X)
#undef FSI_X
        FSI_REFUSALS_END
} fsi_refusal;

FSI_SELDOM uint32_t fsi_refusal_status(int64_t refusal)
{
    static const uint16_t statuses[] = {0,
#define FSI_X(name, status, text) status,
                                        FSI_REFUSALS(FSI_X)
#undef FSI_X
    };
    return statuses[refusal];
}

FSI_SELDOM const char *fsi_refusal_text(int64_t refusal)
{
    static const char *const texts[] = {"",
#define FSI_X(name, status, text) text,
                                        FSI_REFUSALS(FSI_X)
#undef FSI_X
    };
    return texts[refusal];
}

// What is wrong with a field whose value ends at p with something else than CR LF; 0: nothing yet.
FSI_SELDOM int64_t fsi_value_fault(const char *p, const char *end)
{
    if (p == end || (*p == '\r' && p + 1 == end)) return 0;
    return *p == '\r' || *p == '\n' ? -FSI_BAD_LINE_END : -FSI_BAD_FIELD_VALUE;
}

// Reads one line "name: value CRLF" at data[*at]. 1: a field; 2: the empty line that ends the head; 0: not complete;
// negative: a refusal. *at moves only past what was complete.
FSI_WOVEN int64_t fsi_read_field(const char *data, uint32_t len, uint32_t *at, fsi_field *field)
{
    const char *name = data + *at, *end = data + len, *p = fsi_span_token(name, end);
    if (p == end) return 0;
    if (FSI_UNLIKELY(*p != ':' || p == name)) {
        if (p == name && *p == '\r') {
            if (p + 1 == end) return 0;
            if (p[1] != '\n') return -FSI_BAD_LINE_END;
            *at += 2;
            return 2;
        }
        if (*p == '\n') return -FSI_BAD_LINE_END;
        return (*name == ' ' || *name == '\t') ? -FSI_FOLDED_FIELD : -FSI_BAD_FIELD_NAME;
    }
    field->name = *at;
    field->name_len = (uint32_t)(p - name);
    p++;
    if (FSI_LIKELY(end - p >= 2 && p[0] == ' ' && (uint8_t)p[1] > ' '))
        p++;
    else
        while (p < end && (*p == ' ' || *p == '\t')) p++;
    const char *value = p;
    p = fsi_span_value(p, end);
    if (FSI_UNLIKELY(end - p < 2 || memcmp(p, "\r\n", 2) != 0)) return fsi_value_fault(p, end);
    *at = (uint32_t)(p + 2 - data);
    while (p > value && (uint8_t)p[-1] <= ' ') p--; // a space or HTAB: there is no other control byte
    field->value = (uint32_t)(value - data);
    field->value_len = (uint32_t)(p - value);
    return 1;
}

// Takes the next element of a comma-separated list (RFC 9110 5.6.1), without white space; empty elements are passed
// over.
FSI_PRIVATE bool fsi_list_next(const char **at, const char *end, const char **item, size_t *len)
{
    const char *p = *at;
    while (p < end && (*p == ',' || *p == ' ' || *p == '\t')) p++;
    if (p == end) return false;
    *item = p;
    while (p < end && *p != ',') p++;
    *at = p;
    while (p > *item && (p[-1] == ' ' || p[-1] == '\t')) p--;
    *len = (size_t)(p - *item);
    return true;
}

FSI_PRIVATE void fsi_read_connection(const char *value, size_t len, bool *close_it, bool *keep)
{
    const char *at = value, *item;
    size_t n;
    if (FSI_LIKELY(FSI_IS(value, len, "keep-alive"))) {
        *keep = true;
        return;
    }
    while (fsi_list_next(&at, value + len, &item, &n)) {
        if (FSI_IS(item, n, "close"))
            *close_it = true;
        else if (FSI_IS(item, n, "keep-alive"))
            *keep = true;
    }
}

// Transfer-Encoding must be exactly "chunked", once (RFC 9112 6.1); not even an empty list element stands beside it.
// Behind other codings it is understood but those are not known; not at the end of the line, nobody can tell where the
// body ends (6.3).
FSI_SELDOM int64_t fsi_read_coding(const char *value, size_t len, bool *chunked)
{
    const char *at = value, *item;
    size_t n;
    uint32_t items = 0, ours = 0;
    bool last = false;
    if (*chunked) return -FSI_BAD_CODING;
    *chunked = FSI_IS(value, len, "chunked");
    if (*chunked) return 0;
    while (fsi_list_next(&at, value + len, &item, &n)) {
        last = FSI_IS(item, n, "chunked");
        items++;
        ours += last;
    }
    return items > 1 && ours == 1 && last ? -FSI_OTHER_CODING : -FSI_BAD_CODING;
}

FSI_PRIVATE int64_t fsi_read_length(const char *value, size_t len, bool *has, uint64_t *out)
{
    if (*has) return -FSI_TWO_LENGTHS;
    if (!fsi_number(value, len, out)) return -FSI_BAD_LENGTH;
    if (*out > INT64_MAX) return -FSI_BAD_LENGTH; // nobody has so much, and the sums stay free of overflow
    *has = true;
    return 0;
}

FSI_PRIVATE uint8_t fsi_read_method(const char *text, size_t len)
{
    // clang-format off
    switch (len) {
    case 3: return !memcmp(text, "GET", 3)   ? FSI_GET     : !memcmp(text, "PUT", 3)     ? FSI_PUT     : FSI_METHOD_OTHER;
    case 4: return !memcmp(text, "POST", 4)  ? FSI_POST    : !memcmp(text, "HEAD", 4)    ? FSI_HEAD    : FSI_METHOD_OTHER;
    case 5: return !memcmp(text, "PATCH", 5) ? FSI_PATCH   : !memcmp(text, "TRACE", 5)   ? FSI_TRACE   : FSI_METHOD_OTHER;
    case 6: return !memcmp(text, "DELETE", 6) ? FSI_DELETE : FSI_METHOD_OTHER;
    case 7: return !memcmp(text, "OPTIONS", 7) ? FSI_OPTIONS : !memcmp(text, "CONNECT", 7) ? FSI_CONNECT : FSI_METHOD_OTHER;
    default: break;
    }
    // clang-format on
    return FSI_METHOD_OTHER;
}

// "1.2.3.4", without leading zeros (RFC 3986 3.2.2).
FSI_SELDOM bool fsi_is_ipv4(const char *p, const char *end)
{
    for (int i = 0; i < 4; i++) {
        const char *start = p;
        uint64_t value;
        while (p < end && *p != '.') p++;
        if (p - start > 3 || !fsi_number(start, (size_t)(p - start), &value) || value > 255) return false;
        if (p - start > 1 && *start == '0') return false;
        if (p == end) return i == 3;
        p++;
    }
    return false;
}

// Eight groups of one to four digits, one gap "::" in place of one or more, the last two also as IPv4.
FSI_SELDOM bool fsi_is_ipv6(const char *p, const char *end)
{
    int groups = 0;
    bool gap = end - p >= 2 && p[0] == ':' && p[1] == ':';
    if (gap) p += 2;
    while (p < end) {
        const char *start = p;
        while (p < end && fsi_hex(*p) >= 0) p++;
        if (p < end && *p == '.') {
            if (!fsi_is_ipv4(start, end)) return false;
            groups += 2;
            break;
        }
        if (p == start || p - start > 4) return false;
        groups++;
        if (p == end) break;
        if (*p++ != ':' || p == end) return false;
        if (*p != ':') continue;
        if (gap) return false;
        gap = true;
        p++;
    }
    return gap ? groups < 8 : groups == 8;
}

// A uri-host with an optional port (RFC 9110 7.2, RFC 3986 3.2.2): "[" IPv6 "]" or a name or IPv4, then ":" and at
// most 65535. Up to `readable`, which may lie behind it, there are bytes to load.
FSI_WOVEN bool fsi_is_host(const char *text, size_t len, const char *readable)
{
    const char *p = text, *end = text + len;
    uint32_t port = 0;
    if (p < end && *p == '[') {
        const char *start = ++p;
        while (p < end && *p != ']') p++;
        if (p == end || !fsi_is_ipv6(start, p++)) return false;
    } else {
        for (;; p += 3) {
            p = fsi_span_name(p, end, readable);
            if (p == end || *p != '%') break;
            if (end - p < 3 || fsi_hex(p[1]) < 0 || fsi_hex(p[2]) < 0) return false;
        }
        if (p == text) return false;
    }
    if (p == end) return true;
    if (*p++ != ':' || end - p > 5) return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9') return false;
        port = port * 10 + (uint32_t)(*p - '0');
    }
    return port <= 65535;
}

// Splits the target into path and query (RFC 9112 3.2): origin form, absolute form, "*" for OPTIONS. The authority form
// is CONNECT's alone; it has no path, and the router answers 501.
FSI_INLINE int64_t fsi_read_target(const char *data, fsi_head *head, bool special)
{
    const char *target = data + head->target, *end = target + head->target_len, *path = target;
    if (FSI_UNLIKELY(*target != '/')) {
        if (head->method == FSI_CONNECT) {
            path = end;
        } else if (head->target_len == 1 && *target == '*') {
            if (head->method != FSI_OPTIONS) return -FSI_BAD_TARGET;
            head->asterisk = true;
            path = end;
        } else {
            if (head->target_len < 8 || !fsi_same_nocase(target, "http", 4)) return -FSI_BAD_TARGET;
            const char *p = target + 4 + (fsi_lower(target[4]) == 's');
            if (end - p < 4 || memcmp(p, "://", 3) != 0) return -FSI_BAD_TARGET;
            const char *host = p += 3;
            FSI_SPAN(p, end, FSI_HOST);
            if (p < end && *p != '/' && *p != '?') return -FSI_BAD_TARGET; // userinfo is refused too
            if (!fsi_is_host(host, (size_t)(p - host), end)) return -FSI_BAD_TARGET;
            head->host = (uint32_t)(host - data);
            head->host_len = (uint32_t)(p - host);
            path = p;
        }
    }
    const char *query = special ? (const char *)memchr(path, '?', (size_t)(end - path)) : NULL;
    const char *path_end = query ? query : end;
    head->path = (uint32_t)(path - data);
    head->path_len = (uint32_t)(path_end - path);
    head->escaped = special && memchr(path, '%', head->path_len) != NULL;
    if (query) {
        head->query = (uint32_t)(query + 1 - data);
        head->query_len = (uint32_t)(end - query - 1);
    }
    return 0;
}

// "HTTP/1.x CRLF" at p. 1: complete, *at is behind it; 0: not yet; negative: a refusal.
FSI_SELDOM int64_t fsi_read_version(const char *data, const char *p, const char *end, uint32_t *at, fsi_head *head)
{
    static const char form[] = "HTTP/#.#\r\n";
    const char *start = p;
    for (int i = 0; i < 10; i++, p++) {
        if (i == 8 && start[5] != '1') return -FSI_OTHER_VERSION;
        if (p == end) return 0;
        if (form[i] == '#' ? (*p >= '0' && *p <= '9') : *p == form[i]) continue;
        return i >= 8 && (*p == '\n' || i == 9) ? -FSI_BAD_LINE_END : -FSI_BAD_VERSION;
    }
    head->minor = start[7] == '0' ? 0 : 1; // a higher minor version is answered as 1.1 (RFC 9110 2.5)
    *at = (uint32_t)(p - data);
    return 1;
}

#define FSI_METHOD_MAX 32

// "METHOD SP target SP HTTP/1.x CRLF" at data[*at]. 1: complete; 0: not yet; negative: a refusal.
FSI_WOVEN int64_t fsi_read_request_line(const char *data, uint32_t len, const fsi_limits *limits, uint32_t *at,
                                        fsi_head *head)
{
    const char *p = data + *at, *end = data + len, *start = p;
    if (FSI_LIKELY(end - p > 4 && memcmp(p, "GET ", 4) == 0))
        p += 3;
    else
        FSI_SPAN(p, end, FSI_TCHAR);
    if (p - start > FSI_METHOD_MAX) return -FSI_LONG_METHOD; // RFC 9112 3
    if (p == end) return 0;
    if (*p != ' ' || p == start) return -FSI_BAD_METHOD;
    head->method_len = (uint32_t)(p - start);
    head->method = fsi_read_method(start, head->method_len);
    const char *target = ++p;
    bool special;
    p = fsi_span_target(p, end, &special);
    if ((size_t)(p - target) > limits->target_bytes) return -FSI_LONG_TARGET;
    if (p == end) return 0;
    if (*p != ' ' || p == target) return *p == '\r' && p > target ? -FSI_BAD_VERSION : -FSI_BAD_TARGET;
    head->target = (uint32_t)(target - data);
    head->target_len = (uint32_t)(p - target);
    p++;
    if (FSI_LIKELY(end - p >= 10 && memcmp(p, "HTTP/1.1\r\n", 10) == 0)) {
        head->minor = 1;
        *at = (uint32_t)(p + 10 - data);
    } else {
        int64_t result = fsi_read_version(data, p, end, at, head);
        if (result <= 0) return result;
    }
    int64_t result = fsi_read_target(data, head, special);
    return result < 0 ? result : 1;
}

// What a field means for framing and for the connection. Length first: most fields end there.
FSI_INLINE int64_t fsi_read_known_field(const char *data, uint32_t len, const fsi_field *field, fsi_head *head,
                                        bool *host_seen)
{
    const char *name = data + field->name, *value = data + field->value;
    switch (field->name_len) {
    case 4:
        if (!FSI_IS(name, 4, "host")) break;
        if (*host_seen) return -FSI_BAD_HOST;
        *host_seen = true;
        if (field->value_len && !fsi_is_host(value, field->value_len, data + len)) return -FSI_BAD_HOST;
        if (head->host_len) break; // an absolute target overrides it (RFC 9112 3.2.2)
        head->host = field->value;
        head->host_len = field->value_len;
        break;
    case 6:
        if (!FSI_IS(name, 6, "expect") || head->minor == 0) break;
        if (!FSI_IS(value, field->value_len, "100-continue")) return -FSI_BAD_EXPECT;
        head->expect_continue = true;
        break;
    case 10:
        if (FSI_IS(name, 10, "connection"))
            fsi_read_connection(value, field->value_len, &head->wants_close, &head->wants_keep);
        break;
    case 14:
        if (FSI_IS(name, 14, "content-length"))
            return fsi_read_length(value, field->value_len, &head->has_length, &head->content_length);
        break;
    case 17:
        if (FSI_IS(name, 17, "transfer-encoding")) return fsi_read_coding(value, field->value_len, &head->chunked);
        break;
    default: break;
    }
    return 0;
}

// Reads a request head from the first byte of a message. Returns its length in bytes, 0 if it is not complete, or a
// negative fsi_refusal. fields has room for limits->fields.
FSI_PRIVATE int64_t fsi_read_request(const char *data, size_t size, const fsi_limits *limits, fsi_head *head,
                                     fsi_field *fields)
{
    uint32_t len = size < limits->head_bytes ? (uint32_t)size : limits->head_bytes, at = 0;
    fsi_field *next = fields, *const fields_end = fields + limits->fields;
    bool host_seen = false;
    int64_t result;
    memset(head, 0, sizeof *head);
    if (len && data[0] == '\r') { // one empty line before the request line is forgiven (RFC 9112 2.2)
        if (len == 1) return 0;
        if (data[1] != '\n') return -FSI_BAD_METHOD;
        at = head->skipped = 2;
    }
    result = fsi_read_request_line(data, len, limits, &at, head);
    if (result < 0) return result;
    while (result == 1) {
        fsi_field field = {0, 0, 0, 0};
        result = fsi_read_field(data, len, &at, &field);
        if (result != 1) break;
        if (FSI_UNLIKELY(next == fields_end)) {
            result = -FSI_MANY_FIELDS;
            break;
        }
        *next++ = field;
        result = fsi_read_known_field(data, len, &field, head, &host_seen);
        if (FSI_LIKELY(result == 0)) result = 1;
    }
    head->field_count = (uint32_t)(next - fields);
    if (result < 0) return result;
    if (result == 0) return size >= limits->head_bytes ? -FSI_LONG_HEAD : 0;
    if (head->minor == 1 && !host_seen) return -FSI_NO_HOST;
    if (head->chunked && head->has_length) return -FSI_LENGTH_AND_CODING;
    if (head->chunked && head->minor == 0) return -FSI_OLD_CODING;
    head->bytes = at;
    return at;
}

// Decoder of a chunked body (RFC 9112 7.1).
typedef enum fsi_chunk_state {
    FSI_CHUNK_SIZE,
    FSI_CHUNK_EXT,         // behind ";"
    FSI_CHUNK_EXT_NAME,    //
    FSI_CHUNK_EXT_GAP,     // white space behind a name: "=" or ";" follows
    FSI_CHUNK_EXT_EQUAL,   // behind "="
    FSI_CHUNK_EXT_TOKEN,   // a value
    FSI_CHUNK_EXT_QUOTED,  // a value in quotes
    FSI_CHUNK_EXT_ESCAPED, // behind a backslash there
    FSI_CHUNK_EXT_END,     // behind the closing quote
    FSI_CHUNK_EXT_END_GAP, // white space behind a value: ";" follows
    FSI_CHUNK_SIZE_LF,
    FSI_CHUNK_DATA,
    FSI_CHUNK_CR,
    FSI_CHUNK_LF,
    FSI_CHUNK_TRAILER_START,
    FSI_CHUNK_TRAILER_NAME,
    FSI_CHUNK_TRAILER_VALUE,
    FSI_CHUNK_TRAILER_LF,
    FSI_CHUNK_LAST_LF,
    FSI_CHUNK_DONE
} fsi_chunk_state;

#define FSI_CHUNK_LINE_MAX 256

// Takes one byte of chunk extensions (RFC 9112 7.1.1), which are checked and forgotten: where a quoted value ends is
// nothing to disagree about. The state that follows, or FSI_CHUNK_DONE: malformed.
FSI_SELDOM fsi_chunk_state fsi_chunk_ext(fsi_chunk_state state, char c)
{
    uint8_t is = fsi_class[(uint8_t)c];
    bool gap = c == ' ' || c == '\t';
    switch (state) {
    case FSI_CHUNK_EXT:
        if (gap) return FSI_CHUNK_EXT;
        return is & FSI_TCHAR ? FSI_CHUNK_EXT_NAME : FSI_CHUNK_DONE;
    case FSI_CHUNK_EXT_NAME:
        if (is & FSI_TCHAR) return FSI_CHUNK_EXT_NAME;
        if (c == '\r') return FSI_CHUNK_SIZE_LF;
        break;
    case FSI_CHUNK_EXT_GAP: break;
    case FSI_CHUNK_EXT_EQUAL:
        if (gap) return FSI_CHUNK_EXT_EQUAL;
        if (c == '"') return FSI_CHUNK_EXT_QUOTED;
        return is & FSI_TCHAR ? FSI_CHUNK_EXT_TOKEN : FSI_CHUNK_DONE;
    case FSI_CHUNK_EXT_QUOTED:
        if (c == '"') return FSI_CHUNK_EXT_END;
        if (c == '\\') return FSI_CHUNK_EXT_ESCAPED;
        return is & FSI_VALUE ? FSI_CHUNK_EXT_QUOTED : FSI_CHUNK_DONE;
    case FSI_CHUNK_EXT_ESCAPED: return is & FSI_VALUE ? FSI_CHUNK_EXT_QUOTED : FSI_CHUNK_DONE;
    default: // behind a value
        if (state == FSI_CHUNK_EXT_TOKEN && (is & FSI_TCHAR)) return FSI_CHUNK_EXT_TOKEN;
        if (c == '\r' && state != FSI_CHUNK_EXT_END_GAP) return FSI_CHUNK_SIZE_LF;
        if (c == ';') return FSI_CHUNK_EXT;
        return gap ? FSI_CHUNK_EXT_END_GAP : FSI_CHUNK_DONE;
    }
    if (c == ';') return FSI_CHUNK_EXT;
    if (c == '=') return FSI_CHUNK_EXT_EQUAL;
    return gap ? FSI_CHUNK_EXT_GAP : FSI_CHUNK_DONE;
}

// Takes one byte that is not data. 0, or a negative refusal.
FSI_PRIVATE int64_t fsi_chunk_step(fsi_chunked *body, char c, const fsi_limits *limits)
{
    int digit;
    fsi_chunk_state next;
    switch ((fsi_chunk_state)body->state) {
    case FSI_CHUNK_SIZE:
        if (++body->line_bytes > FSI_CHUNK_LINE_MAX) return -FSI_LONG_CHUNK_LINE;
        digit = fsi_hex(c);
        if (digit >= 0) {
            if (++body->digits > 15) return -FSI_BAD_CHUNK; // 60 bits: no sum can overflow
            body->left = body->left * 16 + (uint64_t)digit;
            return 0;
        }
        if (body->digits == 0) return -FSI_BAD_CHUNK;
        if (c == '\r')
            body->state = FSI_CHUNK_SIZE_LF;
        else if (c == ';')
            body->state = FSI_CHUNK_EXT; // white space before it is refused: RFC 9112 7.1.1's BWS is a smuggler's
        else
            return -FSI_BAD_CHUNK;
        return 0;
    case FSI_CHUNK_EXT:
    case FSI_CHUNK_EXT_NAME:
    case FSI_CHUNK_EXT_GAP:
    case FSI_CHUNK_EXT_EQUAL:
    case FSI_CHUNK_EXT_TOKEN:
    case FSI_CHUNK_EXT_QUOTED:
    case FSI_CHUNK_EXT_ESCAPED:
    case FSI_CHUNK_EXT_END:
    case FSI_CHUNK_EXT_END_GAP:
        if (++body->line_bytes > FSI_CHUNK_LINE_MAX) return -FSI_LONG_CHUNK_LINE;
        next = fsi_chunk_ext((fsi_chunk_state)body->state, c);
        if (next == FSI_CHUNK_DONE) return -FSI_BAD_CHUNK;
        body->state = (uint8_t)next;
        return 0;
    case FSI_CHUNK_SIZE_LF:
        if (c != '\n') return -FSI_BAD_CHUNK;
        body->line_bytes = 0;
        body->digits = 0;
        body->state = body->left ? FSI_CHUNK_DATA : FSI_CHUNK_TRAILER_START;
        return 0;
    case FSI_CHUNK_CR:
        if (c != '\r') return -FSI_BAD_CHUNK;
        body->state = FSI_CHUNK_LF;
        return 0;
    case FSI_CHUNK_LF:
        if (c != '\n') return -FSI_BAD_CHUNK;
        body->state = FSI_CHUNK_SIZE;
        return 0;
    case FSI_CHUNK_TRAILER_START:
        if (c == '\r') {
            body->state = FSI_CHUNK_LAST_LF;
            return 0;
        }
        if (!(fsi_class[(uint8_t)c] & FSI_TCHAR)) return -FSI_BAD_TRAILER;
        if (++body->fields > limits->fields) return -FSI_LONG_TRAILER;
        body->line_bytes++;
        body->state = FSI_CHUNK_TRAILER_NAME;
        return 0;
    case FSI_CHUNK_TRAILER_NAME:
    case FSI_CHUNK_TRAILER_VALUE:
        if (++body->line_bytes > limits->head_bytes) return -FSI_LONG_TRAILER; // all trailer fields together
        if (body->state == FSI_CHUNK_TRAILER_NAME) {
            if (c == ':')
                body->state = FSI_CHUNK_TRAILER_VALUE;
            else if (!(fsi_class[(uint8_t)c] & FSI_TCHAR))
                return -FSI_BAD_TRAILER;
        } else if (c == '\r') {
            body->state = FSI_CHUNK_TRAILER_LF;
        } else if (!(fsi_class[(uint8_t)c] & FSI_VALUE)) {
            return -FSI_BAD_TRAILER;
        }
        return 0;
    case FSI_CHUNK_TRAILER_LF:
        if (c != '\n') return -FSI_BAD_TRAILER;
        body->state = FSI_CHUNK_TRAILER_START;
        return 0;
    case FSI_CHUNK_LAST_LF:
        if (c != '\n') return -FSI_BAD_CHUNK;
        body->state = FSI_CHUNK_DONE;
        return 0;
    case FSI_CHUNK_DATA:
    case FSI_CHUNK_DONE: break;
    }
    return 0;
}

// Finds the next run of body data in data[0..len). Returns how many bytes of it were passed over (framing); the run
// that follows them is *run bytes long and the caller takes any part of it by fsi_chunk_take. With *run == 0
// everything was used, or the body has ended (state FSI_CHUNK_DONE). Negative: a refusal.
FSI_PRIVATE int64_t fsi_read_chunked(fsi_chunked *body, const char *data, size_t len, const fsi_limits *limits,
                                     size_t *run)
{
    size_t at = 0;
    *run = 0;
    while (at < len && body->state != FSI_CHUNK_DONE) {
        if (body->state == FSI_CHUNK_DATA) {
            *run = len - at < body->left ? len - at : (size_t)body->left;
            return (int64_t)at;
        }
        int64_t result = fsi_chunk_step(body, data[at], limits);
        if (result < 0) return result;
        at++;
    }
    return (int64_t)at;
}

FSI_PRIVATE void fsi_chunk_take(fsi_chunked *body, size_t taken)
{
    body->left -= taken;
    if (body->left == 0) body->state = FSI_CHUNK_CR;
}

#if FSI_CLIENT
// Reads a response head [for bench.c]. Returns its length, 0 if it is not complete, or a negative fsi_refusal. Fields
// are not kept. A response with both Content-Length and Transfer-Encoding, or two different lengths, is refused, and so
// are transfer codings in HTTP/1.0, where they are no framing to rely on (RFC 9112 6.1).
FSI_PRIVATE int64_t fsi_read_response(const char *data, size_t size, uint32_t head_bytes_max, fsi_answer_head *head)
{
    uint32_t len = size < head_bytes_max ? (uint32_t)size : head_bytes_max, at = 0;
    static const char version[] = "HTTP/1.";
    memset(head, 0, sizeof *head);
    for (uint32_t i = 0; i < 7 && i < len; i++)
        if (data[i] != version[i]) return -FSI_BAD_STATUS;
    if (len < 13) return 0;
    const char *p = data + 7;
    if (p[0] < '0' || p[0] > '9' || p[1] != ' ') return -FSI_BAD_STATUS;
    for (int i = 2; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9') return -FSI_BAD_STATUS;
        head->status = head->status * 10 + (uint32_t)(p[i] - '0');
    }
    if (head->status < 100 || (p[5] != ' ' && p[5] != '\r')) return -FSI_BAD_STATUS;
    head->minor = p[0] == '0' ? 0 : 1;
    p += 5;
    FSI_SPAN(p, data + len, FSI_VALUE);
    if (p < data + len && *p != '\r') return -FSI_BAD_STATUS;
    if (p + 1 >= data + len) return size >= head_bytes_max ? -FSI_LONG_HEAD : 0;
    if (p[0] != '\r' || p[1] != '\n') return -FSI_BAD_STATUS;
    at = (uint32_t)(p + 2 - data);
    for (;;) {
        fsi_field field = {0, 0, 0, 0};
        int64_t result = fsi_read_field(data, len, &at, &field);
        if (result == 2) break;
        if (result == 0) return size >= head_bytes_max ? -FSI_LONG_HEAD : 0;
        if (result < 0) return result;
        const char *name = data + field.name, *value = data + field.value;
        if (field.name_len == 14 && FSI_IS(name, 14, "content-length")) {
            uint64_t before = head->content_length;
            bool again = head->has_length;
            head->has_length = false;
            result = fsi_read_length(value, field.value_len, &head->has_length, &head->content_length);
            if (result < 0) return result;
            if (again && before != head->content_length) return -FSI_TWO_LENGTHS;
        } else if (field.name_len == 17 && FSI_IS(name, 17, "transfer-encoding")) {
            result = fsi_read_coding(value, field.value_len, &head->chunked);
            if (result < 0) return result;
        } else if (field.name_len == 10 && FSI_IS(name, 10, "connection")) {
            fsi_read_connection(value, field.value_len, &head->wants_close, &head->wants_keep);
        }
    }
    if (head->chunked && head->has_length) return -FSI_LENGTH_AND_CODING;
    if (head->chunked && head->minor == 0) return -FSI_OLD_CODING;
    head->bytes = at;
    return at;
}
#endif

// ---------------------------------------------------------------------------------------------------------
// >>http-write   Response heads and chunk frames as bytes. Pure functions; the caller has made room.
// ---------------------------------------------------------------------------------------------------------

// clang-format off
#define FSI_STATUSES(X) \
    X(200, "OK") X(201, "Created") X(202, "Accepted") X(203, "Non-Authoritative Information") X(204, "No Content") \
    X(205, "Reset Content") X(206, "Partial Content") X(207, "Multi-Status") \
    X(300, "Multiple Choices") X(301, "Moved Permanently") X(302, "Found") X(303, "See Other") X(304, "Not Modified") \
    X(307, "Temporary Redirect") X(308, "Permanent Redirect") \
    X(400, "Bad Request") X(401, "Unauthorized") X(402, "Payment Required") X(403, "Forbidden") X(404, "Not Found") \
    X(405, "Method Not Allowed") X(406, "Not Acceptable") X(407, "Proxy Authentication Required") X(408, "Request Timeout") \
    X(409, "Conflict") X(410, "Gone") X(411, "Length Required") X(412, "Precondition Failed") X(413, "Content Too Large") \
    X(414, "URI Too Long") X(415, "Unsupported Media Type") X(416, "Range Not Satisfiable") X(417, "Expectation Failed") \
    X(421, "Misdirected Request") X(422, "Unprocessable Content") X(425, "Too Early") X(426, "Upgrade Required") \
    X(428, "Precondition Required") X(429, "Too Many Requests") X(431, "Request Header Fields Too Large") \
    X(451, "Unavailable For Legal Reasons") \
    X(500, "Internal Server Error") X(501, "Not Implemented") X(502, "Bad Gateway") X(503, "Service Unavailable") \
    X(504, "Gateway Timeout") X(505, "HTTP Version Not Supported") X(507, "Insufficient Storage")
// clang-format on

FSI_SELDOM const char *fsi_status_text(uint32_t status)
{
    switch (status) {
#define FSI_X(number, text) \
    case number: return text;
        FSI_STATUSES(FSI_X)
#undef FSI_X
    default: return "Unknown";
    }
}

FSI_INLINE char *fsi_put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}
#define FSI_PUT(at, literal) fsi_put(at, literal, sizeof(literal) - 1)

// What a response head says. Bytes that the head needs at most: FSI_HEAD_ROOM + lengths of type, more and lines.
#define FSI_HEAD_ROOM 256

typedef struct fsi_head_out {
    uint32_t status;
    const char *date; // "Date: ...\r\n", 37 bytes
    const char *type; // or NULL
    size_t type_len;
    const char *more; // further lines, each with its CR LF
    size_t more_len;
    const char *lines; // and further ones, of a file
    size_t lines_len;
    uint64_t length; // with has_length
    bool has_length, chunked, say_close, say_keep;
} fsi_head_out;

// Writes the head with its empty line, returns the end.
FSI_WOVEN char *fsi_write_head(char *at, const fsi_head_out *head)
{
    if (FSI_LIKELY(head->status == 200)) {
        at = FSI_PUT(at, "HTTP/1.1 200 OK\r\n");
    } else {
        const char *text = fsi_status_text(head->status);
        at = FSI_PUT(at, "HTTP/1.1 ");
        at += fsi_number_write(at, head->status);
        *at++ = ' ';
        at = fsi_put(at, text, strlen(text));
        at = FSI_PUT(at, "\r\n");
    }
    at = fsi_put(at, head->date, 37);
    if (head->type) {
        at = FSI_PUT(at, "Content-Type: ");
        at = fsi_put(at, head->type, head->type_len);
        at = FSI_PUT(at, "\r\n");
    }
    if (head->has_length) {
        at = FSI_PUT(at, "Content-Length: ");
        at += fsi_number_write(at, head->length);
        at = FSI_PUT(at, "\r\n");
    }
    if (head->chunked) at = FSI_PUT(at, "Transfer-Encoding: chunked\r\n");
    if (head->say_close)
        at = FSI_PUT(at, "Connection: close\r\n");
    else if (head->say_keep)
        at = FSI_PUT(at, "Connection: keep-alive\r\n");
    if (head->more_len) at = fsi_put(at, head->more, head->more_len);
    if (head->lines_len) at = fsi_put(at, head->lines, head->lines_len);
    return FSI_PUT(at, "\r\n");
}

// Size line of a chunk, at most 18 bytes. Returns the end.
FSI_PRIVATE char *fsi_write_chunk_size(char *at, uint64_t size)
{
    int shift = 60;
    while (shift > 0 && !(size >> shift & 15)) shift -= 4;
    for (; shift >= 0; shift -= 4) *at++ = "0123456789abcdef"[size >> shift & 15];
    return FSI_PUT(at, "\r\n");
}

// A field value (RFC 9110 5.5): no control byte but HTAB, so that no CR, LF or NUL gets into a head.
FSI_INLINE bool fsi_value_is_clean(const char *value, size_t len)
{
    // Most types are two words that overlap.
    if (len > 8 && len <= 16 && fsi_word_is_value(value) && fsi_word_is_value(value + len - 8)) return true;
    return fsi_span_value(value, value + len) == value + len;
}

// Name is a token (5.1) and value has no control byte.
FSI_PRIVATE bool fsi_field_is_clean(const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (name_len == 0) return false;
    if (fsi_span_token(name, name + name_len) != name + name_len) return false;
    return fsi_value_is_clean(value, value_len);
}

// Fields that decide about framing or the connection are the library's.
FSI_PRIVATE bool fsi_field_is_ours(const char *name, size_t len)
{
    return FSI_IS(name, len, "content-length") || FSI_IS(name, len, "transfer-encoding") ||
           FSI_IS(name, len, "connection") || FSI_IS(name, len, "keep-alive") || FSI_IS(name, len, "date") ||
           FSI_IS(name, len, "trailer") || FSI_IS(name, len, "upgrade");
}

// ---------------------------------------------------------------------------------------------------------
// >>entity   What a file is in HTTP: its date, tag, ranges, conditions, codings, type and path (RFC 9110 5.6.7, 8, 12 to
//            14). Pure functions of bytes and of the time that they are told: no clock, no allocation, no system call.
//            What a client may leave out is ignored when it is malformed; a path is refused.
// ---------------------------------------------------------------------------------------------------------

#if FSI_FILES
#define FSI_NO_TIME INT64_MIN

// names: of three letters each, in a row. The number of the one that text begins with, or -1.
FSI_PRIVATE int64_t fsi_name3(const char *text, const char *names)
{
    for (int64_t i = 0; names[3 * i]; i++)
        if (memcmp(text, names + 3 * i, 3) == 0) return i;
    return -1;
}

FSI_PRIVATE int64_t fsi_digits_read(const char *text, size_t digits)
{
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

// Reads by a form: w weekday, d day, e day with a space for its first digit, b month, y year, c its last two digits,
// h m s; anything else stands for itself. The case counts (5.6.7).
FSI_PRIVATE bool fsi_date_scan(const char *text, size_t len, const char *form, fsi_date *date)
{
    size_t n = 0;
    for (; *form; form++, text += n, len -= n) {
        n = *form == 'y' ? 4 : *form == 'w' || *form == 'b' ? 3 : *form >= 'a' && *form <= 'z' ? 2 : 1;
        if (len < n) return false;
        int64_t value = n == 2 || n == 4 ? fsi_digits_read(text, n) : 0;
        switch (*form) {
        case 'w': value = fsi_name3(text, fsi_days); break;
        case 'd': date->day = value; break;
        case 'e': date->day = value = fsi_digits_read(text + (*text == ' '), *text == ' ' ? 1 : 2); break;
        case 'b': date->month = 1 + (value = fsi_name3(text, fsi_months)); break;
        case 'y':
        case 'c': date->year = value; break;
        case 'h': date->hour = value; break;
        case 'm': date->minute = value; break;
        case 's': date->second = value; break;
        default: value = *text == *form ? 0 : -1; break;
        }
        if (value < 0) return false;
    }
    return len == 0;
}

// A leap second is the last one of any day; which days have one is not for us to know.
FSI_PRIVATE bool fsi_date_exists(const fsi_date *date)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = date->year % 4 == 0 && (date->year % 100 != 0 || date->year % 400 == 0);
    if (date->day < 1 || date->day > days[date->month - 1] + (date->month == 2 && leap)) return false;
    if (date->second == 60) return date->hour == 23 && date->minute == 59;
    return date->hour < 24 && date->minute < 60 && date->second < 60;
}

// Of a year's last two digits: the latest such year that makes the date no more than 50 years in the future (5.6.7).
FSI_SELDOM void fsi_date_century(fsi_date *date, int64_t now_s)
{
    int64_t now_year = fsi_date_of(now_s).year, latest = now_year + 50;
    date->year = latest - (latest + 100 - date->year) % 100;
    fsi_date before = *date;
    before.year -= 50;
    if (fsi_date_seconds(&before) > now_s) date->year -= 100;
}

// Reads an HTTP-date of any of its three forms (5.6.7) as seconds since 1970; FSI_NO_TIME: it is none. The weekday must
// be one, but not the right one. A leap second is the first one of the next day.
FSI_PRIVATE int64_t fsi_date_read(const char *text, size_t len, int64_t now_s)
{
    fsi_date date;
    const char *comma = (const char *)memchr(text, ',', len);
    memset(&date, 0, sizeof date);
    if (comma && comma - text > 3) { // "Sunday, 06-Nov-94 08:49:37 GMT"
        static const char *const ends[] = {"day", "day", "sday", "nesday", "rsday", "day", "urday"};
        int64_t weekday = fsi_name3(text, fsi_days);
        size_t end = (size_t)(comma - text);
        if (weekday < 0 || strlen(ends[weekday]) != end - 3) return FSI_NO_TIME;
        if (memcmp(text + 3, ends[weekday], end - 3) != 0) return FSI_NO_TIME;
        if (!fsi_date_scan(comma, len - end, ", d-b-c h:m:s GMT", &date)) return FSI_NO_TIME;
        fsi_date_century(&date, now_s);
    } else if (!fsi_date_scan(text, len, comma ? "w, d b y h:m:s GMT" : "w b e h:m:s y", &date)) {
        return FSI_NO_TIME;
    }
    return fsi_date_exists(&date) ? fsi_date_seconds(&date) : FSI_NO_TIME;
}

// ---- ranges (14)

typedef struct fsi_range {
    uint64_t at, len;
} fsi_range;

#define FSI_RANGES_OUTSIDE (-1)
#define FSI_RANGES_MOST 64 // in one field
#define FSI_RANGES_GAP 80  // bytes, about what another part's head would take

// Digits; what is too large becomes UINT64_MAX, which is behind the end of any file. False: there is none.
FSI_SELDOM bool fsi_position_take(const char **at, const char *end, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    if (p == *at) return false;
    *at = p;
    *out = value;
    return true;
}

// A range-spec (14.1.1, 14.1.2): 1 it stands in *out, 0 nothing of the file is in it, -1 it is malformed.
FSI_SELDOM int fsi_range_read(const char *at, size_t len, uint64_t size, fsi_range *out)
{
    const char *end = at + len;
    uint64_t first = 0, last = UINT64_MAX;
    bool has_first = fsi_position_take(&at, end, &first);
    if (at == end || *at++ != '-') return -1;
    bool has_last = fsi_position_take(&at, end, &last);
    if (at != end || last < first || !(has_first || has_last)) return -1;
    if (has_first) {
        if (first >= size) return 0;
        out->at = first;
        out->len = (last < size ? last : size - 1) - first + 1;
        return 1;
    }
    out->len = last < size ? last : size; // the last so many
    out->at = size - out->len;
    return last > 0;
}

FSI_SELDOM void fsi_range_insert(fsi_range *ranges, uint32_t count, fsi_range range)
{
    for (; count > 0 && ranges[count - 1].at > range.at; count--) ranges[count] = ranges[count - 1];
    ranges[count] = range;
}

// Of ascending ranges, at least one, those that overlap or nearly touch become one (14.2, 15.3.7.2). Returns how many are
// left.
FSI_SELDOM uint32_t fsi_ranges_merge(fsi_range *ranges, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < count; i++) {
        uint64_t end = ranges[n].at + ranges[n].len, other = ranges[i].at + ranges[i].len;
        if (ranges[i].at >= end && ranges[i].at - end >= FSI_RANGES_GAP)
            ranges[++n] = ranges[i];
        else if (other > end)
            ranges[n].len = other - ranges[n].at;
    }
    return n + 1;
}

// Range: a value against a file of that size. Returns how many ranges stand in out, ascending and merged. 0: ignore the
// field, and send all of the file (14.2): it is malformed, in another unit than bytes, has too many ranges, more than
// `max` when they are merged, or several that are the whole file together; or the file is empty, of which the last bytes
// can be asked for, but not told. FSI_RANGES_OUTSIDE: nothing of the file is in any of them, 416.
FSI_SELDOM int32_t fsi_ranges_read(const char *value, size_t len, uint64_t size, fsi_range *out, uint32_t max)
{
    fsi_range ranges[FSI_RANGES_MOST], range;
    const char *at = value + 6, *item;
    size_t n;
    uint32_t specs = 0, count = 0;
    uint64_t sum = 0;
    if (len < 6 || !FSI_IS(value, 6, "bytes=")) return 0;
    while (fsi_list_next(&at, value + len, &item, &n)) {
        int result = fsi_range_read(item, n, size, &range);
        if (result < 0 || specs++ == FSI_RANGES_MOST) return 0;
        if (result > 0) fsi_range_insert(ranges, count++, range);
    }
    if (specs == 0 || (count && size == 0)) return 0;
    if (count == 0) return FSI_RANGES_OUTSIDE;
    count = fsi_ranges_merge(ranges, count);
    for (uint32_t i = 0; i < count; i++) sum += ranges[i].len;
    if (count > max || (specs > 1 && sum >= size)) return 0;
    memcpy(out, ranges, count * sizeof *out);
    return (int32_t)count;
}

// ---- conditions (13)

typedef struct fsi_tag {
    const char *text; // with its quotes
    size_t len;
    bool weak;
} fsi_tag;

// Takes an entity tag (8.8.3) from the front of the text. False: there is none.
FSI_SELDOM bool fsi_tag_take(const char **at, const char *end, fsi_tag *tag)
{
    const char *p = *at;
    tag->weak = end - p >= 2 && p[0] == 'W' && p[1] == '/';
    if (tag->weak) p += 2;
    if (p == end || *p != '"') return false;
    tag->text = p++;
    while (p < end && (uint8_t)*p > ' ' && *p != '"' && *p != 127) p++;
    if (p == end || *p != '"') return false;
    *at = ++p;
    tag->len = (size_t)(p - tag->text);
    return true;
}

FSI_SELDOM bool fsi_tag_same(const fsi_tag *a, const fsi_tag *b, bool weak)
{
    return (weak || (!a->weak && !b->weak)) && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

// Does the list of entity tags (If-Match, If-None-Match) name this one? `weak`: by the weak comparison (8.8.3.2). "*"
// names every tag, also none (tag_len 0). A list that is malformed anywhere names nothing.
FSI_SELDOM bool fsi_tag_listed(const char *list, size_t len, const char *tag, size_t tag_len, bool weak)
{
    const char *at = list, *end = list + len;
    fsi_tag ours, theirs;
    bool has = tag_len > 0 && fsi_tag_take(&tag, tag + tag_len, &ours), found = false;
    if (len == 1 && *list == '*') return true;
    for (;;) {
        while (at < end && (*at == ',' || *at == ' ' || *at == '\t')) at++;
        if (at == end) return found;
        if (!fsi_tag_take(&at, end, &theirs)) return false;
        while (at < end && (*at == ' ' || *at == '\t')) at++;
        if (at < end && *at != ',') return false;
        if (has && fsi_tag_same(&ours, &theirs, weak)) found = true;
    }
}

// Values of fields. ptr NULL: the field is not there. Several lines of If-Match or If-None-Match are one list (5.3).
typedef struct fsi_conditions {
    fsv_str if_match, if_none_match, if_modified_since, if_unmodified_since, if_range, range;
} fsi_conditions;

// Of a GET or HEAD for something that is there: 0 go on, 304, or 412, in the order of 13.2.2. A date that is none, or a
// file without one (FSI_NO_TIME), leaves its condition out (13.1.3, 13.1.4).
FSI_PRIVATE uint32_t fsi_conditions_judge(const fsi_conditions *c, const char *tag, size_t tag_len, int64_t modified_s,
                                          int64_t now_s)
{
    int64_t since = FSI_NO_TIME;
    if (c->if_match.ptr) {
        if (!fsi_tag_listed(c->if_match.ptr, c->if_match.len, tag, tag_len, false)) return 412;
    } else if (c->if_unmodified_since.ptr && modified_s != FSI_NO_TIME) {
        since = fsi_date_read(c->if_unmodified_since.ptr, c->if_unmodified_since.len, now_s);
        if (since != FSI_NO_TIME && modified_s > since) return 412;
    }
    if (c->if_none_match.ptr) {
        if (fsi_tag_listed(c->if_none_match.ptr, c->if_none_match.len, tag, tag_len, true)) return 304;
    } else if (c->if_modified_since.ptr && modified_s != FSI_NO_TIME) {
        since = fsi_date_read(c->if_modified_since.ptr, c->if_modified_since.len, now_s);
        if (since != FSI_NO_TIME && modified_s <= since) return 304;
    }
    return 0;
}

// If-Range (13.1.5): may Range count? A tag by the strong comparison; a date, if it is exactly the file's, and
// strong_time: the file cannot have changed again within that second (8.8.2.2). False too for what is neither.
FSI_SELDOM bool fsi_if_range_holds(fsv_str value, const char *tag, size_t tag_len, int64_t modified_s, int64_t now_s,
                                   bool strong_time)
{
    const char *at = value.ptr, *end = value.ptr + value.len;
    fsi_tag theirs, ours;
    if (fsi_tag_take(&at, end, &theirs))
        return at == end && tag_len > 0 && fsi_tag_take(&tag, tag + tag_len, &ours) &&
               fsi_tag_same(&ours, &theirs, false);
    return strong_time && modified_s != FSI_NO_TIME && fsi_date_read(value.ptr, value.len, now_s) == modified_s;
}

// ---- codings (12.5.3)

// A weight (12.4.2), ";" in front of it, as thousandths; none is 1000. -1: it is malformed.
FSI_SELDOM int32_t fsi_weight_read(const char *at, const char *end)
{
    if (at == end) return 1000;
    for (at++; at < end && (*at == ' ' || *at == '\t');) at++;
    if (end - at < 3 || end - at > 7 || fsi_lower(at[0]) != 'q' || at[1] != '=') return -1;
    if ((at[2] != '0' && at[2] != '1') || (end - at > 3 && at[3] != '.')) return -1;
    int32_t value = (at[2] - '0') * 1000, unit = 100;
    for (ptrdiff_t i = 4; i < end - at; i++, unit /= 10) {
        if (at[i] < '0' || at[i] > '9') return -1;
        value += (at[i] - '0') * unit;
    }
    return value <= 1000 ? value : -1;
}

// FSI_CODINGS: "*"; -1: one that we do not know.
FSI_SELDOM int fsi_coding_read(const char *name, size_t len)
{
    if (len == 1 && *name == '*') return FSI_CODINGS;
    if (FSI_IS(name, len, "identity")) return FSI_CODING_NONE;
    if (FSI_IS(name, len, "br")) return FSI_CODING_BR;
    if (FSI_IS(name, len, "zstd")) return FSI_CODING_ZSTD;
    return FSI_IS(name, len, "gzip") || FSI_IS(name, len, "x-gzip") ? FSI_CODING_GZIP : -1; // 8.4.1.3
}

// Accept-Encoding: the codings that the client prefers to identity or takes as gladly, in out[3], the best first: by
// weight, then br, zstd, gzip. Identity has the weight that is said for it, or for "*", or else the lowest. What is
// malformed is passed over; of two weights for one coding the lower counts. Returns how many; 0 without the field.
FSI_SELDOM uint32_t fsi_codings_read(const char *value, size_t len, uint8_t *out)
{
    int32_t weights[FSI_CODINGS + 1] = {-1, -1, -1, -1, -1};
    const char *at = value, *item;
    uint32_t count = 0;
    size_t n;
    while (len && fsi_list_next(&at, value + len, &item, &n)) {
        const char *end = item + n, *semicolon = item, *name_end;
        while (semicolon < end && *semicolon != ';') semicolon++;
        name_end = semicolon;
        while (name_end > item && (name_end[-1] == ' ' || name_end[-1] == '\t')) name_end--;
        int coding = fsi_coding_read(item, (size_t)(name_end - item));
        int32_t weight = fsi_weight_read(semicolon, end);
        if (coding < 0 || weight < 0) continue;
        if (weights[coding] < 0 || weight < weights[coding]) weights[coding] = weight;
    }
    for (int i = FSI_CODING_NONE; i < FSI_CODINGS; i++)
        if (weights[i] < 0) weights[i] = weights[FSI_CODINGS];
    for (int i = FSI_CODING_BR; i < FSI_CODINGS; i++) {
        if (weights[i] <= 0 || weights[i] < weights[FSI_CODING_NONE]) continue;
        uint32_t k = count++;
        for (; k > 0 && weights[out[k - 1]] < weights[i]; k--) out[k] = out[k - 1];
        out[k] = (uint8_t)i;
    }
    return count;
}

// ---- paths

// Bytes of the UTF-8 code point (RFC 3629 4) at the front of the text, 0: it is malformed, or longer than it needs to be.
FSI_SELDOM size_t fsi_utf8(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n > len) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90)) return 0; // overlong
    if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0; // a surrogate, above 10FFFF
    return n;
}

// Windows' devices, in every folder, whatever extension they have, and spaces before it.
FSI_SELDOM bool fsi_name_is_device(const char *name, size_t len)
{
    const char *dot = (const char *)memchr(name, '.', len);
    if (dot) len = (size_t)(dot - name);
    while (len && name[len - 1] == ' ') len--;
    if (len == 3)
        return FSI_IS(name, 3, "con") || FSI_IS(name, 3, "prn") || FSI_IS(name, 3, "aux") || FSI_IS(name, 3, "nul");
    if (len < 4 || len > 7) return false;
    if (FSI_IS(name, len, "conin$") || FSI_IS(name, len, "conout$")) return true;
    if (!FSI_IS(name, 3, "com") && !FSI_IS(name, 3, "lpt")) return false;
    if (len == 4) return name[3] >= '0' && name[3] <= '9';
    uint8_t digit = (uint8_t)name[4]; // superscript 1, 2 or 3
    return len == 5 && (uint8_t)name[3] == 0xc2 && (digit == 0xb9 || digit == 0xb2 || digit == 0xb3);
}

// Could it be the 8.3 name that Windows gives a longer one, "PROGRA~1.TXT"? 8 and 3 count code points.
FSI_SELDOM bool fsi_name_is_short(const char *name, size_t len)
{
    const char *dot = (const char *)memchr(name, '.', len), *end = dot ? dot : name + len, *at = end;
    while (at > name && at[-1] >= '0' && at[-1] <= '9') at--;
    if (at == end || at == name || at[-1] != '~') return false;
    size_t base = 0, extension = 0;
    for (const char *p = name; p < end; p++) base += ((uint8_t)*p & 0xc0) != 0x80;
    for (const char *p = end + 1; p < name + len; p++) {
        if (*p == '.') return false;
        extension += ((uint8_t)*p & 0xc0) != 0x80;
    }
    return base <= 8 && extension <= 3;
}

// What is refused of names. Windows takes some for something else; elsewhere they are names like others.
#define FSI_NAMES_SHOWN 1u   // a leading dot
#define FSI_NAMES_WINDOWS 2u // what means something else there
#define FSI_NAMES_HERE (FSI_WINDOWS ? FSI_NAMES_WINDOWS : 0u)

FSI_INLINE bool fsi_name_byte_is_good(uint8_t c, uint32_t rules)
{
    if (c < 32 || c == 127 || c == '\\') return false;
    return !(rules & FSI_NAMES_WINDOWS) || !strchr("\"*:<>?|", c);
}

// HFS+ passes over these when it compares names, so that one of them in front would hide a dot: U+200C to 200F, 202A to
// 202E, 206A to 206F, FEFF.
FSI_PRIVATE bool fsi_name_is_veiled(const char *name, size_t len)
{
    const uint8_t *p = (const uint8_t *)name;
    if (len < 3) return false;
    if (p[0] == 0xef) return p[1] == 0xbb && p[2] == 0xbf;
    if (p[0] != 0xe2) return false;
    if (p[1] == 0x80) return (p[2] >= 0x8c && p[2] <= 0x8f) || (p[2] >= 0xaa && p[2] <= 0xae);
    return p[1] == 0x81 && p[2] >= 0xaa && p[2] <= 0xaf;
}

// One segment, not empty. Behind "..namedfork" macOS has the forks of a file.
FSI_PRIVATE bool fsi_name_is_good(const char *name, size_t len, uint32_t rules)
{
    if (FSI_IS(name, len, ".") || FSI_IS(name, len, "..") || FSI_IS(name, len, "..namedfork")) return false;
    if (!(rules & FSI_NAMES_SHOWN) && (name[0] == '.' || fsi_name_is_veiled(name, len))) return false;
    for (size_t i = 0, n = 1; i < len; i += n) {
        n = (uint8_t)name[i] < 0x80 ? 1 : fsi_utf8(name + i, len - i);
        if (n == 0 || (n == 1 && !fsi_name_byte_is_good((uint8_t)name[i], rules))) return false;
        if (name[i] == '%' && len - i > 2 && name[i + 1] == '2' && fsi_lower(name[i + 2]) == 'f') return false;
    }
    if (!(rules & FSI_NAMES_WINDOWS)) return true;
    bool dropped = name[len - 1] == '.' || name[len - 1] == ' '; // of the end of a name
    return !dropped && !fsi_name_is_device(name, len) && !fsi_name_is_short(name, len);
}

// The path below a folder, as it came decoded once from the request, an encoded slash left as "%2F", becomes one that is
// safe to open below that folder: segments with one slash between them, none in front or at the end, terminated. Refused,
// -1: "." and "..", an encoded slash, control bytes, backslash, malformed UTF-8, forks, a leading dot but with
// FSI_NAMES_SHOWN; and with FSI_NAMES_WINDOWS " * : < > ? |, a segment that ends with a dot or a space, devices, 8.3 names.
// Returns the length. *slash: it ended with one, or was empty. out has room for len + 1 bytes, and may be path.
FSI_PRIVATE int64_t fsi_entity_path(char *out, const char *path, size_t len, uint32_t rules, bool *slash)
{
    size_t used = 0;
    *slash = len == 0 || path[len - 1] == '/';
    for (size_t at = 0, n; at < len; at += n + 1) {
        const char *end = (const char *)memchr(path + at, '/', len - at);
        n = end ? (size_t)(end - path) - at : len - at;
        if (n == 0) continue;
        if (!fsi_name_is_good(path + at, n, rules)) return -1;
        if (used) out[used++] = '/';
        memmove(out + used, path + at, n);
        used += n;
    }
    out[used] = 0;
    return (int64_t)used;
}

// Percent-encodes a path, or one segment of it, for Location or an href: all but the unreserved characters (RFC 3986 2.3)
// and "/" if `slashes`. Returns the end; 3 bytes for each at most.
FSI_SELDOM char *fsi_path_escape(char *at, const char *path, size_t len, bool slashes)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)path[i];
        bool plain = (c >= '0' && c <= '9') || (fsi_lower(path[i]) >= 'a' && fsi_lower(path[i]) <= 'z') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (c == '/' && slashes);
        if (!plain) *at++ = '%';
        if (!plain) *at++ = "0123456789ABCDEF"[c >> 4];
        *at++ = plain ? path[i] : "0123456789ABCDEF"[c & 15];
    }
    return at;
}

// ---- types

#define FSI_CHARSET "; charset=utf-8"

// Extensions, a space between, and their type. Names as IANA has them where it has one that browsers know. Text says that
// it is UTF-8. One string: no pointers that a linker would have to relocate.
// clang-format off
static const char fsi_types[] =
    "atom\0application/atom+xml\0"
    "mpd\0application/dash+xml\0"
    "epub\0application/epub+zip\0"
    "geojson\0application/geo+json\0"
    "gpx\0application/gpx+xml\0"
    "gz tgz\0application/gzip\0"
    "jar\0application/java-archive\0"
    "json map\0application/json\0"
    "jsonld\0application/ld+json\0"
    "webmanifest\0application/manifest+json\0"
    "doc\0application/msword\0"
    "pdf\0application/pdf\0"
    "eps ps\0application/postscript\0"
    "rss\0application/rss+xml\0"
    "rtf\0application/rtf\0"
    "sql\0application/sql\0"
    "toml\0application/toml\0"
    "swf\0application/vnd.adobe.flash.movie\0"
    "apk\0application/vnd.android.package-archive\0"
    "m3u8\0application/vnd.apple.mpegurl\0"
    "deb\0application/vnd.debian.binary-package\0"
    "kml\0application/vnd.google-earth.kml+xml\0"
    "kmz\0application/vnd.google-earth.kmz\0"
    "exe\0application/vnd.microsoft.portable-executable\0"
    "xls\0application/vnd.ms-excel\0"
    "eot\0application/vnd.ms-fontobject\0"
    "ppt\0application/vnd.ms-powerpoint\0"
    "odg\0application/vnd.oasis.opendocument.graphics\0"
    "odp\0application/vnd.oasis.opendocument.presentation\0"
    "ods\0application/vnd.oasis.opendocument.spreadsheet\0"
    "odt\0application/vnd.oasis.opendocument.text\0"
    "pptx\0application/vnd.openxmlformats-officedocument.presentationml.presentation\0"
    "xlsx\0application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\0"
    "docx\0application/vnd.openxmlformats-officedocument.wordprocessingml.document\0"
    "rar\0application/vnd.rar\0"
    "sqlite\0application/vnd.sqlite3\0"
    "wasm\0application/wasm\0"
    "wsdl\0application/wsdl+xml\0"
    "7z\0application/x-7z-compressed\0"
    "dmg\0application/x-apple-diskimage\0"
    "torrent\0application/x-bittorrent\0"
    "bz2\0application/x-bzip2\0"
    "iso\0application/x-iso9660-image\0"
    "msi\0application/x-msi\0"
    "jsonl ndjson\0application/x-ndjson\0"
    "rpm\0application/x-rpm\0"
    "tar\0application/x-tar\0"
    "xz\0application/x-xz\0"
    "xhtml\0application/xhtml+xml\0"
    "xml xsd xsl\0application/xml\0"
    "xslt\0application/xslt+xml\0"
    "yaml yml\0application/yaml\0"
    "zip\0application/zip\0"
    "zst\0application/zstd\0"
    "aac\0audio/aac\0"
    "aif aiff\0audio/aiff\0"
    "flac\0audio/flac\0"
    "mka\0audio/matroska\0"
    "mid midi\0audio/midi\0"
    "m4a\0audio/mp4\0"
    "mp3\0audio/mpeg\0"
    "m3u\0audio/mpegurl\0"
    "oga ogg opus\0audio/ogg\0"
    "wav\0audio/wav\0"
    "weba\0audio/webm\0"
    "ttc\0font/collection\0"
    "otf\0font/otf\0"
    "ttf\0font/ttf\0"
    "woff\0font/woff\0"
    "woff2\0font/woff2\0"
    "apng\0image/apng\0"
    "avif\0image/avif\0"
    "bmp\0image/bmp\0"
    "gif\0image/gif\0"
    "heic\0image/heic\0"
    "heif\0image/heif\0"
    "jfif jpeg jpg\0image/jpeg\0"
    "jxl\0image/jxl\0"
    "png\0image/png\0"
    "svg\0image/svg+xml\0"
    "tif tiff\0image/tiff\0"
    "cur ico\0image/vnd.microsoft.icon\0"
    "webp\0image/webp\0"
    "gltf\0model/gltf+json\0"
    "glb\0model/gltf-binary\0"
    "mtl\0model/mtl\0"
    "obj\0model/obj\0"
    "stl\0model/stl\0"
    "usdz\0model/vnd.usdz+zip\0"
    "ics\0text/calendar" FSI_CHARSET "\0"
    "css\0text/css" FSI_CHARSET "\0"
    "csv\0text/csv" FSI_CHARSET "\0"
    "htm html\0text/html" FSI_CHARSET "\0"
    "cjs js mjs\0text/javascript" FSI_CHARSET "\0"
    "markdown md\0text/markdown" FSI_CHARSET "\0"
    "adoc asc asm awk bash bat bib c cc cfg cmake cmd conf cpp cs cxx d diff el env f90 fish go gradle h hh hpp "
    "hs ini java jl jsx kt less log lua m mk ml mm nfo nim org pas patch pl properties proto ps1 py r rb rs rst s "
    "sass scala scss sh srt sv swift tex text tsx txt v vhd vim zig zsh\0"
    "text/plain" FSI_CHARSET "\0"
    "tsv\0text/tab-separated-values" FSI_CHARSET "\0"
    "vcf\0text/vcard" FSI_CHARSET "\0"
    "vtt\0text/vtt" FSI_CHARSET "\0"
    "3gp\0video/3gpp\0"
    "m4s\0video/iso.segment\0"
    "mkv\0video/matroska\0"
    "ts\0video/mp2t\0"
    "m4v mp4\0video/mp4\0"
    "mpeg mpg\0video/mpeg\0"
    "ogv\0video/ogg\0"
    "mov\0video/quicktime\0"
    "webm\0video/webm\0"
    "avi\0video/x-msvideo\0";
// clang-format on

// Of pairs of strings up to an empty one, like fsi_types: the type of an extension, in any case; NULL: there is none.
FSI_SELDOM const char *fsi_type_in(const char *table, const char *extension, size_t len)
{
    for (const char *at = table, *type; *at; at = type + strlen(type) + 1) {
        size_t n = strlen(at);
        type = at + n + 1;
        for (const char *end = at + n; at < end; at += n + 1) {
            const char *space = (const char *)memchr(at, ' ', (size_t)(end - at));
            n = (size_t)((space ? space : end) - at);
            if (n == len && fsi_same_nocase(at, extension, len)) return type;
        }
    }
    return NULL;
}

// The type of a file by its name's extension; NULL: not known. name may be a path. A dot in front of a name begins no
// extension.
FSI_SELDOM const char *fsi_type_of(const char *table, const char *name, size_t len)
{
    size_t at = len;
    while (at && name[at - 1] != '.' && name[at - 1] != '/') at--;
    if (at < 2 || name[at - 1] != '.' || name[at - 2] == '/') return NULL;
    return fsi_type_in(table, name + at, len - at);
}
#endif // FSI_FILES

// ---------------------------------------------------------------------------------------------------------
// >>sock   Addresses and listening sockets.
// ---------------------------------------------------------------------------------------------------------

typedef struct fsi_sockaddr {
    struct sockaddr_storage storage;
    socklen_t len;
} fsi_sockaddr;

FSI_SELDOM void fsi_sockaddr_v4(fsi_sockaddr *at, uint32_t host_order_ip, uint32_t port)
{
    struct sockaddr_in in4;
    memset(at, 0, sizeof *at);
    memset(&in4, 0, sizeof in4);
    in4.sin_family = AF_INET;
    in4.sin_port = htons((uint16_t)port);
    in4.sin_addr.s_addr = htonl(host_order_ip);
    memcpy(&at->storage, &in4, sizeof in4);
    at->len = sizeof in4;
}

FSI_SELDOM void fsi_sockaddr_v6(fsi_sockaddr *at, const struct in6_addr *ip, uint32_t port)
{
    struct sockaddr_in6 in6;
    memset(at, 0, sizeof *at);
    memset(&in6, 0, sizeof in6);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons((uint16_t)port);
    in6.sin6_addr = *ip;
    memcpy(&at->storage, &in6, sizeof in6);
    at->len = sizeof in6;
}

FSI_PRIVATE uint32_t fsi_sockaddr_port(const fsi_sockaddr *at)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    if (at->storage.ss_family == AF_INET) {
        memcpy(&in4, &at->storage, sizeof in4);
        return ntohs(in4.sin_port);
    }
    if (at->storage.ss_family != AF_INET6) return 0;
    memcpy(&in6, &at->storage, sizeof in6);
    return ntohs(in6.sin6_port);
}

// 0.0.0.0 or [::].
FSI_SELDOM bool fsi_sockaddr_is_any(const fsi_sockaddr *at)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    memcpy(&in4, &at->storage, sizeof in4);
    memcpy(&in6, &at->storage, sizeof in6);
    return at->storage.ss_family == AF_INET ? in4.sin_addr.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
}

// "1.2.3.4:80" into room for 64 bytes: inet_ntop and printf take 400 ns, which an access log would wait for.
FSI_PRIVATE size_t fsi_sockaddr_v4_text(const void *ip, uint32_t port, char *out)
{
    uint8_t bytes[4];
    size_t n = 0;
    memcpy(bytes, ip, sizeof bytes);
    for (int i = 0; i < 4; i++) {
        n += fsi_number_write(out + n, bytes[i]);
        out[n++] = i < 3 ? '.' : ':';
    }
    n += fsi_number_write(out + n, port);
    out[n] = 0;
    return n;
}

// "1.2.3.4:80", "[::1]:80" or "unix:". out has room for 64 bytes.
FSI_SELDOM size_t fsi_sockaddr_text(const fsi_sockaddr *at, char *out, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    int n;
    if (at->storage.ss_family == AF_INET) {
        memcpy(&in4, &at->storage, sizeof in4);
        return fsi_sockaddr_v4_text(&in4.sin_addr, ntohs(in4.sin_port), out);
    } else if (at->storage.ss_family == AF_INET6) {
        memcpy(&in6, &at->storage, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) // a v4 client on a dual-stack socket
            return fsi_sockaddr_v4_text(&in6.sin6_addr.s6_addr[12], ntohs(in6.sin6_port), out);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof ip);
        n = snprintf(out, size, "[%s]:%u", ip, ntohs(in6.sin6_port));
    } else {
        n = snprintf(out, size, "unix:");
    }
    return n > 0 ? (size_t)n : 0;
}

// "8080", ":8080", "1.2.3.4:8080", "[::1]:8080". False: malformed. A missing host gives family 0 and only the port.
FSI_SELDOM bool fsi_sockaddr_parse(const char *text, fsi_sockaddr *at, uint32_t *port)
{
    char host[64];
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    uint64_t number;
    struct in6_addr ip6;
    struct in_addr ip4;
    size_t len = colon ? (size_t)(colon - text) : 0;
    memset(at, 0, sizeof *at);
    if (!fsi_number(digits, strlen(digits), &number) || number > 65535) return false;
    *port = (uint32_t)number;
    if (len == 0) return true;
    if (len >= sizeof host) return false;
    memcpy(host, text, len);
    host[len] = 0;
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        if (inet_pton(AF_INET6, host + 1, &ip6) != 1) return false;
        fsi_sockaddr_v6(at, &ip6, *port);
        return true;
    }
    if (inet_pton(AF_INET, host, &ip4) != 1) return false;
    fsi_sockaddr_v4(at, ntohl(ip4.s_addr), *port);
    return true;
}

#if FSI_UNIX
// False: the path does not fit. "@name" is Linux's abstract namespace, which others do not have.
FSI_SELDOM bool fsi_sockaddr_unix(fsi_sockaddr *at, const char *path)
{
    fsi_sockaddr_un un;
    size_t len = strlen(path);
    memset(at, 0, sizeof *at);
    memset(&un, 0, sizeof un);
    if (len == 0 || len >= sizeof un.sun_path || (path[0] == '@' && !FSI_LINUX)) return false;
    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, path, len);
    at->len = (socklen_t)(offsetof(fsi_sockaddr_un, sun_path) + len + 1);
    if (path[0] == '@') {
        un.sun_path[0] = 0;
        at->len--;
    }
    memcpy(&at->storage, &un, sizeof un);
    return true;
}
#else
FSI_SELDOM bool fsi_sockaddr_unix(fsi_sockaddr *at, const char *path)
{
    (void)at, (void)path;
    return false;
}
#endif

// How several listeners share one address: not at all, as members of our own group, or with strangers too.
typedef enum fsi_share { FSI_SHARE_NONE, FSI_SHARE_FIRST, FSI_SHARE_MEMBER, FSI_SHARE_ALL } fsi_share;

// ---------------------------------------------------------------------------------------------------------
// >>sock-posix   One section for each system has
//
//   fsi_sock_begin()          before the first use of sockets, as often as fsi_sock_end; false: there are none
//   fsi_sock_result(error)    what a failed bind or listen means; fsi_sock_refusal: why a connect has failed
//   fsi_sock_new(family)      a socket that does not block, that a program which is started does not get, and that raises no
//                             SIGPIPE; fsi_sock_take(listener): likewise, of the next connection. -1: the error says why
//   fsi_sock_late_port(fd)    lets a bind without a port leave the choice to the connect, where the system can
//   fsi_sock_listen(at, share, v6_only, backlog)  a socket that is bound and listens, or -error
//   fsi_sock_close(fd)        closes what no io has
//   fsi_sock_name(fd, at)     its own address; fsi_sock_peer: the other end's. False: it has none, or none any more
//   fsi_sock_unsent(fd)       bytes that the system has and the peer has not acknowledged; 0 also where nobody says
//   fsi_sock_limit()          how many descriptors the process may have; UINT64_MAX: no limit
//   fsi_unix_clear(at, path)  removes a socket file that nobody serves any more; fsi_unix_remove: our own
// ---------------------------------------------------------------------------------------------------------

#if FSI_POSIX
FSI_INLINE bool fsi_sock_begin(void)
{
    return true;
}

FSI_INLINE void fsi_sock_end(void) {}

FSI_SELDOM fsv_result fsi_sock_result(int error)
{
    switch (error) {
    case EADDRINUSE: return FSV_ERR_IN_USE;
    case EACCES:
    case EPERM:
    case EROFS: return FSV_ERR_PERMISSION;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ENOENT:
    case ENOTDIR:
    case EINVAL:
    case ENAMETOOLONG: return FSV_ERR_ADDRESS;
    case ENOMEM: return FSV_ERR_MEMORY;
    case ENOPROTOOPT: return FSV_ERR_UNSUPPORTED; // no SO_REUSEPORT
    default: return FSV_ERR_SYSTEM;
    }
}

FSI_SELDOM fsv_result fsi_sock_refusal(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOENT:
    case EAGAIN: return FSV_ERR_REFUSED; // the last: a Unix-domain listener's backlog is full
    case ETIMEDOUT: return FSV_ERR_TIMEOUT;
    default: return fsi_sock_result(error);
    }
}

#if FSI_MACOS
#define FSI_SEND_FLAGS 0
#define FSI_SEND_MORE 0
FSI_SELDOM bool fsi_sock_quiet(int fd)
{
    int one = 1;
    return setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one) == 0;
}
#else
#define FSI_SEND_FLAGS MSG_NOSIGNAL
#ifdef MSG_MORE
#define FSI_SEND_MORE MSG_MORE
#else
#define FSI_SEND_MORE 0
#endif
FSI_INLINE bool fsi_sock_quiet(int fd)
{
    (void)fd;
    return true;
}
#endif

#if FSI_SOCK_FLAGS
FSI_SELDOM int fsi_sock_new(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

FSI_PRIVATE int fsi_sock_take(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
#else
// In steps: a fork between them may still hand the socket down.
FSI_SELDOM int fsi_sock_prepare(int fd)
{
    if (fd < 0) return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fsi_sock_quiet(fd)) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

FSI_SELDOM int fsi_sock_new(int family)
{
    return fsi_sock_prepare(socket(family, SOCK_STREAM, 0));
}

FSI_PRIVATE int fsi_sock_take(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) return -1;
    fd = fsi_sock_prepare(fd);
    if (fd < 0) errno = ECONNABORTED; // macOS refuses options to a socket whose peer has cut it: EINVAL
    return fd;
}
#endif

#if FSI_LINUX
FSI_SELDOM void fsi_sock_late_port(int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
}
#else
FSI_INLINE void fsi_sock_late_port(int fd)
{
    (void)fd;
}
#endif

// How the sockets of one address say that they share it: before they bind, and after. False: the error says why.
#if FSI_REUSEPORT_LB
// FreeBSD spreads connections over a group whose members have all said so before they bind, the first one too. A bind
// without it shows whether a stranger has the port.
FSI_SELDOM bool fsi_sock_share(int fd, const fsi_sockaddr *at, fsi_share share)
{
    int one = 1;
    if (share == FSI_SHARE_NONE) return true;
    if (share == FSI_SHARE_FIRST && fsi_sockaddr_port(at)) {
        int probe = fsi_sock_new(at->storage.ss_family);
        if (probe < 0) return false;
        (void)setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        int error = bind(probe, (const struct sockaddr *)(const void *)&at->storage, at->len) != 0 ? errno : 0;
        close(probe);
        errno = error;
        if (error) return false;
    }
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT_LB, &one, sizeof one) == 0;
}

FSI_INLINE bool fsi_sock_share_late(int fd, fsi_share share)
{
    (void)fd, (void)share;
    return true;
}
#else
FSI_SELDOM bool fsi_sock_share(int fd, const fsi_sockaddr *at, fsi_share share)
{
    int one = 1;
    (void)at;
    if (share != FSI_SHARE_MEMBER && share != FSI_SHARE_ALL) return true;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0;
}

// The first socket of our group binds without SO_REUSEPORT, so that a stranger's socket on the
// port is an error even if it would share; only then it opens the port to its own later members.
FSI_SELDOM bool fsi_sock_share_late(int fd, fsi_share share)
{
    int one = 1;
    return share != FSI_SHARE_FIRST || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0;
}
#endif

FSI_SELDOM int fsi_sock_listen(const fsi_sockaddr *at, fsi_share share, bool v6_only, uint32_t backlog)
{
    int one = 1, zero = 0, family = at->storage.ss_family, error;
    int fd = fsi_sock_new(family);
    if (fd < 0) return -errno;
    if (family != AF_UNIX) {
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) goto fail;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // accepted sockets inherit it
        if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6_only ? &one : &zero, sizeof one) != 0)
            goto fail;
        if (!fsi_sock_share(fd, at, share)) goto fail;
    }
    if (bind(fd, (const struct sockaddr *)(const void *)&at->storage, at->len) != 0) goto fail;
    if (!fsi_sock_share_late(fd, share)) goto fail;
    if (listen(fd, (int)backlog) != 0) goto fail;
    return fd;
fail:
    error = errno;
    close(fd);
    return -error;
}

FSI_PRIVATE void fsi_sock_close(int fd)
{
    (void)close(fd);
}

FSI_SELDOM bool fsi_sock_name(int fd, fsi_sockaddr *at)
{
    memset(at, 0, sizeof *at);
    at->len = sizeof at->storage;
    return getsockname(fd, (struct sockaddr *)(void *)&at->storage, &at->len) == 0;
}

FSI_SELDOM bool fsi_sock_peer(int fd, fsi_sockaddr *at)
{
    memset(at, 0, sizeof *at);
    at->len = sizeof at->storage;
    return getpeername(fd, (struct sockaddr *)(void *)&at->storage, &at->len) == 0;
}

FSI_PRIVATE uint32_t fsi_sock_unsent(int fd)
{
    int n = 0;
#if FSI_LINUX
    if (ioctl(fd, TIOCOUTQ, &n) != 0) n = 0;
#elif defined(SO_NWRITE)
    socklen_t size = sizeof n;
    if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &n, &size) != 0) n = 0;
#elif defined(FIONWRITE)
    if (ioctl(fd, FIONWRITE, &n) != 0) n = 0;
#else
    (void)fd;
#endif
    return n > 0 ? (uint32_t)n : 0;
}

FSI_SELDOM uint64_t fsi_sock_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return (uint64_t)limit.rlim_cur;
}

// A connect to a file that is not served is refused; to a live one it succeeds or its queue is full. The BSDs and macOS
// refuse then, too: there a successor takes the file of one that is so busy.
FSI_SELDOM bool fsi_unix_is_stale(const fsi_sockaddr *at, const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
    int fd = fsi_sock_new(AF_UNIX);
    if (fd < 0) return false;
    bool stale =
        connect(fd, (const struct sockaddr *)(const void *)&at->storage, at->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

FSI_SELDOM void fsi_unix_remove(const char *path)
{
    (void)unlink(path);
}

FSI_SELDOM void fsi_unix_clear(const fsi_sockaddr *at, const char *path)
{
    if (fsi_unix_is_stale(at, path)) fsi_unix_remove(path);
}
#endif // >>sock-posix

// ---------------------------------------------------------------------------------------------------------
// >>sock-linux   Where packets arrive.
//
//   fsi_sock_cpu(fd)    CPU on which its last packet came in, -1: not known
//   fsi_sock_steer(fd, cpus, cpu_count, loop_count)  lets the kernel give a connection to the listener of the loop on
//                       whose CPU its first packet arrived, or a share of them to another: give_share of the CPU. Sockets of
//                       the group are numbered in the order in which they began to listen, which is the loops'. Any socket of
//                       the group will do, and may do it again. False: not allowed, the kernel spreads by hash
// ---------------------------------------------------------------------------------------------------------

#if FSI_LOCALITY
// What <linux/filter.h> declares, which comes with the kernel's headers and not with every C library.
typedef struct fsi_bpf_op {
    uint16_t code;
    uint8_t jump_true, jump_false;
    uint32_t k;
} fsi_bpf_op;
typedef struct fsi_bpf {
    uint16_t len;
    fsi_bpf_op *ops;
} fsi_bpf;
enum {
    FSI_BPF_LOAD = 0x20,
    FSI_BPF_IF_EQUAL = 0x15,
    FSI_BPF_IF_LEAST = 0x35,
    FSI_BPF_AND = 0x54,
    FSI_BPF_MODULO = 0x94,
    FSI_BPF_RETURN = 0x06,
    FSI_BPF_RETURN_A = 0x16
};
#define FSI_BPF_CPU ((uint32_t)(-0x1000 + 36))    // where the number of the packet's CPU is "loaded" from
#define FSI_BPF_RANDOM ((uint32_t)(-0x1000 + 56)) // and a random number

FSI_PRIVATE int fsi_sock_cpu(int fd)
{
    int cpu = -1;
    socklen_t size = sizeof cpu;
    return getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &size) == 0 ? cpu : -1;
}

FSI_SELDOM bool fsi_sock_steer(int fd, const fsi_cpu *cpus, uint32_t cpu_count, uint32_t loop_count)
{
    fsi_bpf_op code[6 * 256 + 3];
    fsi_bpf program;
    uint16_t n = 0;
    uint32_t known = cpu_count < 256 ? cpu_count : 256;
    bool plain = loop_count == known;
    for (uint32_t i = 0; i < known; i++) plain = plain && cpus[i].number == (int)i && !cpus[i].give_share;
    memset(code, 0, sizeof code);
    code[n].code = FSI_BPF_LOAD;
    code[n++].k = FSI_BPF_CPU;
    for (uint32_t i = 0; !plain && i < known; i++) { // numbers with gaps, fewer loops than CPUs, or a share
        code[n].code = FSI_BPF_IF_EQUAL;
        code[n].jump_false = cpus[i].give_share ? 5 : 1;
        code[n++].k = (uint32_t)cpus[i].number;
        if (cpus[i].give_share) {
            code[n].code = FSI_BPF_LOAD;
            code[n++].k = FSI_BPF_RANDOM;
            code[n].code = FSI_BPF_AND;
            code[n++].k = FSI_GIVE_OF - 1;
            code[n].code = FSI_BPF_IF_LEAST;
            code[n].jump_true = 1;
            code[n++].k = cpus[i].give_share;
            code[n].code = FSI_BPF_RETURN;
            code[n++].k = cpus[i].give_to;
        }
        code[n].code = FSI_BPF_RETURN;
        code[n++].k = i % loop_count;
    }
    code[n].code = FSI_BPF_MODULO; // a CPU that was not there before
    code[n++].k = loop_count;
    code[n++].code = FSI_BPF_RETURN_A;
    program.len = n;
    program.ops = code;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}
#else
FSI_SELDOM bool fsi_sock_steer(int fd, const fsi_cpu *cpus, uint32_t cpu_count, uint32_t loop_count)
{
    (void)fd, (void)cpus, (void)cpu_count, (void)loop_count;
    return true;
}
#endif // >>sock-linux

// ---------------------------------------------------------------------------------------------------------
// >>sock-windows   A socket stays an int: handles have 32 significant bits on every Windows, documented so that programs
//                  of both widths can exchange them, and -1 widens to INVALID_SOCKET. A port is taken exclusively, or a
//                  stranger could take it too. No inheritance.
// ---------------------------------------------------------------------------------------------------------

#if FSI_WINDOWS
FSI_INLINE SOCKET fsi_sock_handle(int fd)
{
    return (SOCKET)(INT_PTR)fd;
}

// Winsock counts; what was begun before by the host stays.
FSI_SELDOM bool fsi_sock_begin(void)
{
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);
    if (error) WSASetLastError(error);
    return error == 0;
}

FSI_SELDOM void fsi_sock_end(void)
{
    (void)WSACleanup();
}

FSI_SELDOM fsv_result fsi_sock_result(int error)
{
    switch (error) {
    case WSAEADDRINUSE: return FSV_ERR_IN_USE;
    case WSAEACCES: return FSV_ERR_PERMISSION; // also a port that another socket has exclusively
    case WSAEADDRNOTAVAIL:
    case WSAEAFNOSUPPORT:
    case WSAEINVAL:
    case WSAEFAULT:
    case WSAENAMETOOLONG:
    case WSAENETDOWN: // a path in a directory that does not exist
    case ERROR_PATH_NOT_FOUND:
    case ERROR_FILE_NOT_FOUND: return FSV_ERR_ADDRESS;
    case WSAENOBUFS:
    case ERROR_NOT_ENOUGH_MEMORY: return FSV_ERR_MEMORY;
    case WSAEOPNOTSUPP:
    case WSAEPROTONOSUPPORT: return FSV_ERR_UNSUPPORTED;
    default: return FSV_ERR_SYSTEM;
    }
}

FSI_SELDOM fsv_result fsi_sock_refusal(int error)
{
    switch (error) {
    case WSAECONNREFUSED:
    case WSAECONNRESET:
    case WSAEHOSTUNREACH:
    case WSAENETUNREACH:
    case ERROR_CONNECTION_REFUSED: // what a completion says without Winsock's translation
    case ERROR_NETWORK_UNREACHABLE:
    case ERROR_HOST_UNREACHABLE:
    case ERROR_FILE_NOT_FOUND: return FSV_ERR_REFUSED;
    case WSAETIMEDOUT:
    case ERROR_SEM_TIMEOUT: return FSV_ERR_TIMEOUT;
    default: return fsi_sock_result(error);
    }
}

// A socket of ours; blocking until fsi_sock_unblock. INVALID_SOCKET: refused.
FSI_SELDOM SOCKET fsi_sock_new(int family)
{
    return WSASocketW(family, SOCK_STREAM, 0, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

FSI_SELDOM bool fsi_sock_unblock(SOCKET s)
{
    u_long one = 1;
    return ioctlsocket(s, (long)FIONBIO, &one) == 0;
}

FSI_SELDOM bool fsi_sock_set(SOCKET s, int level, int option, DWORD value)
{
    return setsockopt(s, level, option, (const char *)&value, sizeof value) == 0;
}

// Several listeners on one address would share nothing here: the first gets all connections.
FSI_SELDOM int fsi_sock_listen(const fsi_sockaddr *at, fsi_share share, bool v6_only, uint32_t backlog)
{
    int family = at->storage.ss_family, error;
    int most = backlog <= 200 ? (int)backlog : -(int)(backlog < 65535 ? backlog : 65535); // SOMAXCONN_HINT
    if (share == FSI_SHARE_ALL || share == FSI_SHARE_MEMBER) return -WSAEOPNOTSUPP;
    SOCKET s = fsi_sock_new(family);
    if (s == INVALID_SOCKET) {
        error = WSAGetLastError();
        return family == AF_UNIX && error == WSAEAFNOSUPPORT ? -WSAEPROTONOSUPPORT : -error;
    }
    if (family != AF_UNIX && !fsi_sock_set(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1)) goto fail;
    if (family == AF_INET6 && !fsi_sock_set(s, IPPROTO_IPV6, IPV6_V6ONLY, v6_only)) goto fail;
    if (!fsi_sock_unblock(s)) goto fail;
    if (bind(s, (const struct sockaddr *)(const void *)&at->storage, at->len) != 0) goto fail;
    if (listen(s, most) != 0) goto fail;
    return (int)s;
fail:
    error = WSAGetLastError();
    (void)closesocket(s);
    return -error;
}

FSI_PRIVATE void fsi_sock_close(int fd)
{
    (void)closesocket(fsi_sock_handle(fd));
}

FSI_SELDOM bool fsi_sock_name(int fd, fsi_sockaddr *at)
{
    memset(at, 0, sizeof *at);
    at->len = sizeof at->storage;
    return getsockname(fsi_sock_handle(fd), (struct sockaddr *)(void *)&at->storage, &at->len) == 0;
}

FSI_SELDOM bool fsi_sock_peer(int fd, fsi_sockaddr *at)
{
    memset(at, 0, sizeof *at);
    at->len = sizeof at->storage;
    return getpeername(fsi_sock_handle(fd), (struct sockaddr *)(void *)&at->storage, &at->len) == 0;
}

FSI_PRIVATE uint32_t fsi_sock_unsent(int fd)
{
    (void)fd;
    return 0;
}

FSI_SELDOM uint64_t fsi_sock_limit(void)
{
    return UINT64_MAX;
}

// False: not UTF-8, or too long for a socket's path.
FSI_SELDOM bool fsi_unix_wide(const char *path, WCHAR *wide, int room)
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, room) > 0;
}

FSI_SELDOM void fsi_unix_remove(const char *path)
{
    WCHAR wide[128];
    if (fsi_unix_wide(path, wide, 128)) (void)DeleteFileW(wide);
}

// A socket's file is a reparse point with a tag of its own. A connect to one that is not served is refused.
FSI_SELDOM bool fsi_unix_is_stale(const fsi_sockaddr *at, const char *path)
{
    const DWORD socket_tag = 0x80000023; // IO_REPARSE_TAG_AF_UNIX
    WCHAR wide[128];
    WIN32_FIND_DATAW info;
    if (!fsi_unix_wide(path, wide, 128)) return false;
    HANDLE found = FindFirstFileW(wide, &info);
    if (found == INVALID_HANDLE_VALUE) return false;
    (void)FindClose(found);
    if (!(info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) || info.dwReserved0 != socket_tag) return false;
    SOCKET s = fsi_sock_new(AF_UNIX);
    if (s == INVALID_SOCKET) return false;
    bool stale = connect(s, (const struct sockaddr *)(const void *)&at->storage, at->len) != 0 &&
                 WSAGetLastError() == WSAECONNREFUSED;
    (void)closesocket(s);
    return stale;
}

FSI_SELDOM void fsi_unix_clear(const fsi_sockaddr *at, const char *path)
{
    if (fsi_unix_is_stale(at, path)) fsi_unix_remove(path);
}
#endif // >>sock-windows

// ---------------------------------------------------------------------------------------------------------
// >>file   Files below a folder, and no path that leaves it. One section for each system has
//
//   fsi_root_open(server, root, path, follow)  the folder at `path` (UTF-8), open for what follows; FSI_FILE_NONE: no folder.
//                                         follow: symbolic links may lead outside. fsi_root_close is safe on zeroes
//   fsi_root_renew(root)                  if another folder of the same owner stands at its path by now, that one is it from
//                                         here on; FSI_FILE_DENIED: another one, which may not be it. Waits
//   fsi_root_name(root)                   the root's path, for messages
//   fsi_file_open(root, path, wait, file, look)  `path` has '/' between its segments, none of which is empty, "." or "..", and
//                                         no backslash; "" is the root itself. FSI_FILE_BUSY, only without `wait`: a disk would
//                                         have to be waited for. Only a plain file stays open; of a folder or anything else
//                                         *file is FSI_NO_FILE, the result FSI_FILE_OK and look->kind tells
//   fsi_file_look_at(root, path, look)    what stands at the path, without opening it: one call of the system. It follows
//                                         every symbolic link, whatever the root's rule: its result is only compared with
//                                         the look of a file that was opened under that rule, and never a reason to send
//                                         anything. A link that was put in on the way leads to a file with another id, or
//                                         to the very file that was opened
//   fsi_file_look_open(file, look)        of an open file; fsi_file_look_kept(file, look): as it was when the system last knew,
//                                         without asking another machine
//   fsi_file_read(file, at, to, size, wait)  bytes > 0, 0 at its end, FSI_FAILED, or, only without `wait`, FSI_PENDING: a disk
//                                         would have to be waited for, or the system cannot say
//   fsi_file_warm(file, at, len)          waits until that part is in memory
//   fsi_file_close(file)
//   fsi_file_list(root, path, each, user) every name in a folder but "." and "..", with a look at it: a symbolic link by what
//                                         it leads to. Left out is what cannot be looked at, or leads outside. Blocks
//
// All but fsi_root_open and _close: any thread, several at a time on one root.
// ---------------------------------------------------------------------------------------------------------

#if FSI_FILES
// One name of a folder; both die when it returns. False ends the listing.
typedef bool (*fsi_list_each)(const char *name, const fsi_file_look *look, void *user);

#define FSI_PATH_BYTES 4096 // that a path may have, its end included

// Nanoseconds since 1970. What a file says of its time may be anything: what does not fit is as late, or as early, as can be.
FSI_INLINE int64_t fsi_file_ns(int64_t s, int64_t ns)
{
    const int64_t last = 9000000000, first = -4000000000; // years 2255 and 1843
    return (s > last ? last : s < first ? first : s) * 1000000000 + ns;
}

// The same file, and not written to in between, as far as its times tell.
FSI_PRIVATE bool fsi_look_same(const fsi_file_look *a, const fsi_file_look *b)
{
    return a->kind == b->kind && a->id.volume == b->id.volume && a->id.index == b->id.index &&
           a->id.size == b->id.size && a->id.modified_ns == b->id.modified_ns && a->id.changed_ns == b->id.changed_ns;
}
#endif

// ---------------------------------------------------------------------------------------------------------
// >>file-posix   What errors mean. The sections after this have, for >>file-walk,
//
//   FSI_FILE_FLAGS                        of what is opened to be read: it does not block on a FIFO, and no terminal becomes
//                                         the process's own
//   FSI_STEP_FLAGS                        of a folder on the way; FSI_PEEK_FLAGS: of what is only looked at
//   fsi_file_stat(at, path, flags, look)  as fstatat; "" is `at` itself
//   FSI_STAT_KEPT                         flag of fsi_file_stat: as the system remembers it
//   fsi_root_probe(root)                  finds out what the system can; sets root->walk where that is not enough, and remote
//   fsi_file_get(file, at, to, size)      as pread; fsi_file_get_now: without waiting, EAGAIN: it would have to, or cannot know
//   fsi_file_ahead(file, at, len)         asks the system to read a part, and does not wait
//   fsi_root_reach(root, path, flags, wait)  opens what the path leads to, under the root's rule; -1: the error says why,
//                                         EAGAIN: it would have to wait. Not where root->walk is set
//   fsi_names_begin/next/end              the names of a folder
//
// and for fsi_io_send_file
//
//   fsi_file_is_warm(file, at, len)       whether a part can be sent without waiting
//   fsi_file_send(sock, file, at, len, borrowed)  bytes, 0 at its end, -1: the error says why; ENOSYS: not here. No SIGPIPE is
//                                         left behind; borrowed: the thread's mask is not ours
// ---------------------------------------------------------------------------------------------------------

#if FSI_POSIX && FSI_FILES
#ifdef EFTYPE
#define FSI_EFTYPE EFTYPE // NetBSD: O_NOFOLLOW met a link
#else
#define FSI_EFTYPE ELOOP
#endif

FSI_SELDOM fsi_file_result fsi_file_refusal(int error)
{
    if (error == FSI_EFTYPE || error == ELOOP || error == EMLINK) return FSI_FILE_NONE; // a link, by the system's taste
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EXDEV: // outside
    case EINVAL:
    case EILSEQ:
    case ENAMETOOLONG: return FSI_FILE_NONE;
    case EACCES:
    case EPERM: return FSI_FILE_DENIED;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return FSI_FILE_FULL;
    default: return FSI_FILE_FAILED;
    }
}

FSI_PRIVATE uint8_t fsi_file_kind_of(uint32_t mode)
{
    return S_ISREG(mode) ? FSI_FILE_PLAIN : S_ISDIR(mode) ? FSI_FILE_FOLDER : FSI_FILE_OTHER;
}

FSI_SELDOM void fsi_file_close(fsi_os_file file)
{
    if (file >= 0) close(file);
}

#if FSI_LINUX || FSI_MACOS
#define FSI_MAP_ALIGN 65536u                                                 // a multiple of every page
FSI_SELDOM void *fsi_file_map(fsi_os_file file, uint64_t from, size_t size); // in the sections after this

// Whether a part of a file of this size is in memory, of at most FSI_FILE_TURN. Pages are not touched: a file that is cut
// meanwhile does no harm.
FSI_SELDOM bool fsi_file_is_mapped(fsi_os_file file, uint64_t at, uint64_t len, uint64_t file_size)
{
    fsi_page_note pages[(FSI_FILE_TURN + FSI_MAP_ALIGN) / 4096];
    if (at >= file_size) return true;
    if (len > file_size - at) len = file_size - at;
    if (len > FSI_FILE_TURN) return false;
    uint64_t from = at / FSI_MAP_ALIGN * FSI_MAP_ALIGN;
    size_t size = (size_t)(at - from + len), page = (size_t)getpagesize();
    void *map = fsi_file_map(file, from, size);
    if (map == MAP_FAILED) return false;
    bool all = mincore(map, size, pages) == 0;
    for (size_t i = 0; all && i < (size + page - 1) / page; i++) all = pages[i] & 1;
    (void)munmap(map, size);
    return all;
}
#endif

#if FSI_LINUX || FSI_FREEBSD
// sendfile has no MSG_NOSIGNAL. Our threads block SIGPIPE anyway; another one does while it is in here, and takes back the
// signal that it caused itself: no other one, if there was one before.
FSI_SELDOM int64_t fsi_file_send_raw(int sock, fsi_os_file file, uint64_t at,
                                     uint64_t len); // in the sections after this

FSI_SELDOM int64_t fsi_file_send(int sock, fsi_os_file file, uint64_t at, uint64_t len, bool borrowed)
{
    sigset_t pipe, before, waiting;
    struct timespec no_time;
    if (!borrowed) return fsi_file_send_raw(sock, file, at, len);
    memset(&no_time, 0, sizeof no_time);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&waiting);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    if (sigismember(&before, SIGPIPE)) (void)sigpending(&waiting);
    int64_t sent = fsi_file_send_raw(sock, file, at, len);
    int error = errno;
    // The signal comes also where part was sent before the peer was found to be gone: then the result is that part.
    if (sent < (int64_t)len && !sigismember(&waiting, SIGPIPE))
        while (sigtimedwait(&pipe, NULL, &no_time) < 0 && errno == EINTR) continue;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return sent;
}
#endif
#endif // >>file-posix

// ---------------------------------------------------------------------------------------------------------
// >>file-linux   openat2 keeps a path inside the root, whatever is renamed or linked while it looks, and can refuse to wait
//                for a disk; preadv2 can, too. System calls as they are, since C libraries have them only lately, and
//                those that 32-bit programs have by default end at 2 GiB.
// ---------------------------------------------------------------------------------------------------------

#if FSI_LINUX && FSI_FILES
#define FSI_FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_LARGEFILE)
#define FSI_STEP_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#define FSI_PEEK_FLAGS (O_PATH | O_CLOEXEC)
#define FSI_RWF_NOWAIT 8
#define FSI_RESOLVE_NO_MAGICLINKS 2u
#define FSI_RESOLVE_BENEATH 8u
#define FSI_RESOLVE_CACHED 32u
#define FSI_STATX_BASIC 0x7ffu
#define FSI_STAT_KEPT 0x4000 // AT_STATX_DONT_SYNC
#define FSI_TMPFS 0x01021994u
#define FSI_RAMFS 0x858458f6u

// What the headers do not know yet counts as not there.
#if defined(SYS_openat2)
#define FSI_SYS_OPENAT2 SYS_openat2
#elif defined(__mips__) || defined(__alpha__)
#define FSI_SYS_OPENAT2 (-1)
#else
#define FSI_SYS_OPENAT2 437
#endif
#if defined(SYS_statx)
#define FSI_SYS_STATX SYS_statx
#else
#define FSI_SYS_STATX (-1)
#endif
#if defined(SYS_preadv2)
#define FSI_SYS_PREADV2 SYS_preadv2
#else
#define FSI_SYS_PREADV2 (-1)
#endif
#if defined(SYS_sendfile64)
#define FSI_SYS_SENDFILE SYS_sendfile64
#else
#define FSI_SYS_SENDFILE SYS_sendfile
#endif
#if defined(SYS_mmap2)
#define FSI_SYS_MMAP SYS_mmap2
#define FSI_MMAP_UNIT 4096 // of its offset
#else
#define FSI_SYS_MMAP SYS_mmap
#define FSI_MMAP_UNIT 1
#endif

// struct open_how and the first half of struct statx, as the kernel has them.
typedef struct fsi_open_how {
    uint64_t flags, mode, resolve;
} fsi_open_how;

typedef struct fsi_statx_time {
    int64_t s;
    uint32_t ns;
    int32_t unused;
} fsi_statx_time;

typedef struct fsi_statx {
    uint32_t mask, block_bytes;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, unused;
    uint64_t index, size, blocks, attributes_mask;
    fsi_statx_time accessed, born, changed, modified;
    uint32_t device_major, device_minor, volume_major, volume_minor;
    uint64_t more[14];
} fsi_statx;

// Without statx (before Linux 4.11): for a 32-bit program files end at 2 GiB.
FSI_SELDOM int fsi_file_stat_old(int at, const char *path, int flags, fsi_file_look *look)
{
    struct stat info;
    int failed = *path ? fstatat(at, path, &info, flags) : fstat(at, &info);
    if (failed) return -1;
    look->id.volume = (uint64_t)info.st_dev;
    look->id.index = (uint64_t)info.st_ino;
    look->id.size = (uint64_t)info.st_size;
    look->id.modified_ns = fsi_file_ns(info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    look->id.changed_ns = fsi_file_ns(info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
    look->owner = (uint32_t)info.st_uid;
    look->kind = fsi_file_kind_of(info.st_mode);
    return 0;
}

// path "": what `at` is.
FSI_PRIVATE int fsi_file_stat(int at, const char *path, int flags, fsi_file_look *look)
{
    FSI_STATIC_ASSERT(sizeof(fsi_statx) == 256, "as the kernel has it");
    fsi_statx info;
    if (syscall(FSI_SYS_STATX, at, path, flags | AT_EMPTY_PATH, FSI_STATX_BASIC, &info) != 0)
        return errno == ENOSYS || errno == EPERM ? fsi_file_stat_old(at, path, flags, look) : -1;
    look->id.volume = (uint64_t)info.volume_major << 32 | info.volume_minor;
    look->id.index = info.index;
    look->id.size = info.size;
    look->id.modified_ns = fsi_file_ns(info.modified.s, info.modified.ns);
    look->id.changed_ns = fsi_file_ns(info.changed.s, info.changed.ns);
    look->owner = info.user;
    look->kind = fsi_file_kind_of(info.mode);
    return 0;
}

FSI_SELDOM int fsi_file_openat2(int at, const char *path, int flags, uint64_t resolve)
{
    fsi_open_how how;
    how.flags = (uint64_t)(uint32_t)flags;
    how.mode = 0;
    how.resolve = resolve;
    return (int)syscall(FSI_SYS_OPENAT2, at, *path ? path : ".", &how, sizeof how);
}

// File systems by the number that statfs gives them, so that a call can take as long as a network or a program does.
FSI_SELDOM bool fsi_root_is_remote(int fd)
{
    static const uint32_t types[] = {
        0x6969,     0x517b,     0xff534d42, 0xfe534d42, // NFS, SMB, CIFS, SMB 2
        0x65735546, 0x01021997, 0x786f4256,             // FUSE and virtiofs, 9P, VirtualBox
        0x00c36400, 0x5346414f, 0x6b414653,             // Ceph, AFS, the kernel's AFS
        0x0bd00bd0, 0x01161970, 0x7461636f, 0x73757245  // Lustre, GFS 2, OCFS 2, Coda
    };
    struct statfs system;
    if (fstatfs(fd, &system) != 0) return true; // who knows
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((uint32_t)system.f_type == types[i]) return true;
    return false;
}

// openat2 is Linux 5.6, and some containers forbid what they do not know; RESOLVE_CACHED is 5.12.
FSI_SELDOM void fsi_root_probe(fsi_root *root)
{
    int fd = fsi_file_openat2(root->fd, "", FSI_STEP_FLAGS, FSI_RESOLVE_BENEATH);
    root->walk = fd < 0;
    if (fd >= 0) close(fd);
    fd = fsi_file_openat2(root->fd, "", FSI_STEP_FLAGS, FSI_RESOLVE_BENEATH | FSI_RESOLVE_CACHED);
    root->cached = fd >= 0 || errno == EAGAIN;
    if (fd >= 0) close(fd);
    root->remote = fsi_root_is_remote(root->fd);
}

FSI_SELDOM int fsi_root_reach(const fsi_root *root, const char *path, int flags, bool wait)
{
    uint64_t rule = FSI_RESOLVE_NO_MAGICLINKS | (root->follow ? 0u : FSI_RESOLVE_BENEATH);
    if (wait) return fsi_file_openat2(root->fd, path, flags, rule);
    if (root->cached) return fsi_file_openat2(root->fd, path, flags, rule | FSI_RESOLVE_CACHED);
    errno = EAGAIN;
    return -1;
}

// flags: FSI_RWF_NOWAIT (Linux 4.14), or 0.
FSI_SELDOM int64_t fsi_file_get_by(int file, uint64_t at, void *to, size_t size, int flags)
{
    struct iovec part;
    int64_t got;
    part.iov_base = to;
    part.iov_len = size;
    do
        got = syscall(flags ? FSI_SYS_PREADV2 : SYS_preadv, file, &part, 1ul, (unsigned long)at,
                      (unsigned long)(at >> 32), flags);
    while (got < 0 && errno == EINTR);
    return got;
}

// For file systems that do not know FSI_RWF_NOWAIT: those without a disk, and overlays, FUSE and network ones, whose pages
// only the owner of a file is told of.
FSI_SELDOM bool fsi_file_is_in_memory(int file, uint64_t at, uint64_t len)
{
    struct statfs system;
    fsi_statx info;
    if (fstatfs(file, &system) == 0 && ((uint32_t)system.f_type == FSI_TMPFS || (uint32_t)system.f_type == FSI_RAMFS))
        return true;
    if (syscall(FSI_SYS_STATX, file, "", AT_EMPTY_PATH | FSI_STAT_KEPT, FSI_STATX_BASIC, &info) != 0) return false;
    if (geteuid() != 0 && geteuid() != info.user) return false;
    return fsi_file_is_mapped(file, at, len, info.size);
}

FSI_SELDOM bool fsi_file_is_past(int file, uint64_t at)
{
    fsi_file_look look;
    return fsi_file_stat(file, "", 0, &look) == 0 && at >= look.id.size;
}

FSI_SELDOM int64_t fsi_file_get(int file, uint64_t at, void *to, size_t size)
{
    return fsi_file_get_by(file, at, to, size, 0);
}

// As that without waiting: -1 where it cannot be known. Linux 5.9 and 5.10 say 0 for what is not in memory.
FSI_SELDOM int64_t fsi_file_get_now(int file, uint64_t at, void *to, size_t size)
{
    int64_t got = fsi_file_get_by(file, at, to, size, FSI_RWF_NOWAIT);
    if (got < 0 && errno != EAGAIN && fsi_file_is_in_memory(file, at, size)) got = fsi_file_get(file, at, to, size);
    if (got != 0 || fsi_file_is_past(file, at)) return got;
    errno = EAGAIN;
    return -1;
}

// Whether a part can be sent without waiting: what stands in memory of its first and its last page stands for the rest, as
// files are read ahead.
FSI_SELDOM bool fsi_file_is_warm(fsi_os_file file, uint64_t at, uint64_t len)
{
    char byte;
    int64_t got = fsi_file_get_by(file, at, &byte, 1, FSI_RWF_NOWAIT);
    if (got < 0 && errno != EAGAIN) return fsi_file_is_in_memory(file, at, len);
    return (got > 0 || (got == 0 && fsi_file_is_past(file, at))) &&
           (len <= 4096 || fsi_file_get_now(file, at + len - 1, &byte, 1) >= 0);
}

FSI_SELDOM void fsi_file_ahead(fsi_os_file file, uint64_t at, uint64_t len)
{
    (void)readahead(file, (int64_t)at, len < INT32_MAX ? (size_t)len : INT32_MAX);
}

FSI_SELDOM void *fsi_file_map(fsi_os_file file, uint64_t from, size_t size)
{
    return (void *)syscall(FSI_SYS_MMAP, NULL, size, PROT_READ, MAP_SHARED, file,
                           (unsigned long)(from / FSI_MMAP_UNIT));
}

// Bytes, 0 at the end of the file, -1: the error says why. There is no MSG_NOSIGNAL for it.
FSI_SELDOM int64_t fsi_file_send_raw(int sock, fsi_os_file file, uint64_t at, uint64_t len)
{
    int64_t from = (int64_t)at;
    return syscall(FSI_SYS_SENDFILE, sock, file, &from, (size_t)len);
}

// Names of a folder that is open.
typedef struct fsi_names {
    int fd;
    uint32_t at, len;
    FSI_ALIGNED8 char
        bytes[16384]; // struct linux_dirent64: index, offset (8 bytes each), length of it all (2), kind, name
} fsi_names;

// The file becomes the listing's.
FSI_SELDOM bool fsi_names_begin(fsi_names *names, int fd)
{
    names->fd = fd;
    names->at = names->len = 0;
    return true;
}

FSI_SELDOM void fsi_names_end(fsi_names *names)
{
    close(names->fd);
}

// The next name, NULL: there is none (*failed: the error says why). It dies with the next call.
FSI_SELDOM const char *fsi_names_next(fsi_names *names, bool *failed)
{
    uint16_t size;
    if (names->at == names->len) {
        long got = syscall(SYS_getdents64, names->fd, names->bytes, sizeof names->bytes);
        *failed = got < 0;
        if (got <= 0) return NULL;
        names->len = (uint32_t)got;
        names->at = 0;
    }
    const char *entry = names->bytes + names->at;
    memcpy(&size, entry + 16, sizeof size);
    names->at += size;
    return entry + 19;
}
#endif // >>file-linux

// ---------------------------------------------------------------------------------------------------------
// >>file-bsd   macOS, the BSDs: paths are walked, so none is opened without waiting. macOS tells which pages are in memory.
//              FreeBSD's sendfile does not wait for the disk (ffs): the bytes follow when they have been read. OpenBSD,
//              NetBSD and DragonFly: files are read and then sent.
// ---------------------------------------------------------------------------------------------------------

#if (FSI_MACOS || FSI_BSD) && FSI_FILES
#define FSI_FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
#define FSI_PEEK_FLAGS FSI_FILE_FLAGS
#ifdef O_SEARCH // no permission to read is needed
#define FSI_STEP_FLAGS (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#else
#define FSI_STEP_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif
#if FSI_MACOS
#define FSI_STAT_MODIFIED st_mtimespec
#define FSI_STAT_CHANGED st_ctimespec
#else
#define FSI_STAT_MODIFIED st_mtim
#define FSI_STAT_CHANGED st_ctim
#endif

FSI_PRIVATE int fsi_file_stat(int at, const char *path, int flags, fsi_file_look *look)
{
    struct stat info;
    if ((*path ? fstatat(at, path, &info, flags) : fstat(at, &info)) != 0) return -1;
    look->id.volume = (uint64_t)info.st_dev;
    look->id.index = (uint64_t)info.st_ino;
    look->id.size = (uint64_t)info.st_size;
    look->id.modified_ns = fsi_file_ns(info.FSI_STAT_MODIFIED.tv_sec, info.FSI_STAT_MODIFIED.tv_nsec);
    look->id.changed_ns = fsi_file_ns(info.FSI_STAT_CHANGED.tv_sec, info.FSI_STAT_CHANGED.tv_nsec);
    look->owner = (uint32_t)info.st_uid;
    look->kind = fsi_file_kind_of(info.st_mode);
    return 0;
}

#define FSI_STAT_KEPT 0

FSI_SELDOM void fsi_root_probe(fsi_root *root)
{
    root->walk = true;
#if FSI_MACOS || FSI_FREEBSD
    struct statfs system;
    root->remote = fstatfs(root->fd, &system) != 0 || !(system.f_flags & MNT_LOCAL);
#endif
}

FSI_SELDOM int fsi_root_reach(const fsi_root *root, const char *path, int flags, bool wait)
{
    (void)root, (void)path, (void)flags, (void)wait;
    errno = ENOSYS; // never called
    return -1;
}

FSI_SELDOM int64_t fsi_file_get(int file, uint64_t at, void *to, size_t size)
{
    int64_t got;
    do got = pread(file, to, size, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

#if FSI_MACOS
FSI_SELDOM void *fsi_file_map(fsi_os_file file, uint64_t from, size_t size)
{
    return mmap(NULL, size, PROT_READ, MAP_SHARED, file, (off_t)from);
}

FSI_SELDOM bool fsi_file_is_warm(fsi_os_file file, uint64_t at, uint64_t len)
{
    fsi_file_look look;
    return fsi_file_stat(file, "", 0, &look) == 0 && fsi_file_is_mapped(file, at, len, look.id.size);
}

FSI_SELDOM void fsi_file_ahead(fsi_os_file file, uint64_t at, uint64_t len)
{
    struct radvisory part;
    memset(&part, 0, sizeof part);
    part.ra_offset = (off_t)at;
    part.ra_count = len < INT32_MAX ? (int)len : INT32_MAX;
    (void)fcntl(file, F_RDADVISE, &part);
}

// What was sent before the socket was full counts; `sent` says so only then. The socket has SO_NOSIGPIPE.
FSI_SELDOM int64_t fsi_file_send(int sock, fsi_os_file file, uint64_t at, uint64_t len, bool borrowed)
{
    off_t sent = (off_t)len;
    int failed = sendfile(file, sock, (off_t)at, &sent, NULL, 0);
    (void)borrowed;
    if (failed && errno != EAGAIN && errno != EINTR) return -1;
    return sent > 0 ? (int64_t)sent : failed;
}
#elif FSI_FREEBSD
FSI_SELDOM bool fsi_file_is_warm(fsi_os_file file, uint64_t at, uint64_t len)
{
    (void)file, (void)at, (void)len;
    return true;
}

FSI_SELDOM void fsi_file_ahead(fsi_os_file file, uint64_t at, uint64_t len)
{
    (void)posix_fadvise(file, (off_t)at, (off_t)len, POSIX_FADV_WILLNEED);
}

FSI_SELDOM int64_t fsi_file_send_raw(int sock, fsi_os_file file, uint64_t at, uint64_t len)
{
    off_t sent = 0;
    int failed = sendfile(file, sock, (off_t)at, (size_t)len, NULL, &sent, 0);
    return sent > 0 ? (int64_t)sent : failed;
}
#else
FSI_SELDOM bool fsi_file_is_warm(fsi_os_file file, uint64_t at, uint64_t len)
{
    (void)file, (void)at, (void)len;
    return false;
}

FSI_SELDOM void fsi_file_ahead(fsi_os_file file, uint64_t at, uint64_t len)
{
    (void)file, (void)at, (void)len;
}

FSI_SELDOM int64_t fsi_file_send(int sock, fsi_os_file file, uint64_t at, uint64_t len, bool borrowed)
{
    (void)sock, (void)file, (void)at, (void)len, (void)borrowed;
    errno = ENOSYS;
    return -1;
}
#endif

#if FSI_MACOS
FSI_SELDOM int64_t fsi_file_get_now(int file, uint64_t at, void *to, size_t size)
{
    if (fsi_file_is_warm(file, at, size)) return fsi_file_get(file, at, to, size);
    errno = EAGAIN;
    return -1;
}
#else
FSI_SELDOM int64_t fsi_file_get_now(int file, uint64_t at, void *to, size_t size)
{
    (void)file, (void)at, (void)to, (void)size;
    errno = EAGAIN;
    return -1;
}
#endif

typedef struct fsi_names {
    DIR *folder;
} fsi_names;

FSI_SELDOM bool fsi_names_begin(fsi_names *names, int fd)
{
    names->folder = fdopendir(fd);
    return names->folder != NULL;
}

FSI_SELDOM void fsi_names_end(fsi_names *names)
{
    (void)closedir(names->folder);
}

FSI_SELDOM const char *fsi_names_next(fsi_names *names, bool *failed)
{
    errno = 0;
    const struct dirent *entry = readdir(names->folder);
    *failed = !entry && errno != 0;
    return entry ? entry->d_name : NULL;
}
#endif // >>file-bsd

// ---------------------------------------------------------------------------------------------------------
// >>file-walk   A path is opened folder by folder, no symbolic link among them: where the system cannot keep it inside by
//               itself, or does not let us ask. Then what all of POSIX has in common. Where a root's links may lead
//               anywhere nothing has to be kept.
// ---------------------------------------------------------------------------------------------------------

#if FSI_POSIX && FSI_FILES
FSI_SELDOM int fsi_root_walk(const fsi_root *root, const char *path, int flags)
{
    char name[1024];
    for (int at = root->fd;;) {
        const char *end = strchr(path, '/');
        size_t len = end ? (size_t)(end - path) : strlen(path);
        int next = -1;
        errno = ENAMETOOLONG;
        if (len < sizeof name) {
            memcpy(name, path, len);
            name[len] = 0;
            next = openat(at, len ? name : ".", (end ? FSI_STEP_FLAGS : flags) | O_NOFOLLOW);
        }
        int error = errno;
        if (at != root->fd) close(at);
        errno = error;
        if (next < 0 || !end) return next;
        at = next;
        path = end + 1;
    }
}

FSI_SELDOM int fsi_root_try(const fsi_root *root, const char *path, int flags, bool wait)
{
    if (!root->walk) return fsi_root_reach(root, path, flags, wait);
    errno = EAGAIN;
    if (!wait) return -1;
    return root->follow ? openat(root->fd, *path ? path : ".", flags) : fsi_root_walk(root, path, flags);
}

// With `wait` it tries for a while: EAGAIN then means that something was renamed at that moment, so that the system cannot
// promise to be inside, or that somebody has a lease on the file and was asked to give it up.
FSI_SELDOM int fsi_root_get(const fsi_root *root, const char *path, int flags, bool wait)
{
    for (int tries = 0;; tries++) {
        int fd = fsi_root_try(root, path, flags, wait);
        if (fd >= 0 || tries == 100) return fd;
        if (errno != EINTR && (errno != EAGAIN || !wait)) return fd;
        if (tries > 10) (void)poll(NULL, 0, 1);
    }
}

FSI_SELDOM int64_t fsi_file_read(fsi_os_file file, uint64_t at, void *to, size_t size, bool wait)
{
    int64_t got = wait ? fsi_file_get(file, at, to, size) : fsi_file_get_now(file, at, to, size);
    return got >= 0 ? got : wait || errno == EIO ? FSI_FAILED : FSI_PENDING;
}

FSI_SELDOM void fsi_file_warm(fsi_os_file file, uint64_t at, uint64_t len)
{
    char part[16384];
    fsi_file_ahead(file, at, len); // all of it in one go
    while (len) {
        int64_t got = fsi_file_get(file, at, part, len < sizeof part ? (size_t)len : sizeof part);
        if (got <= 0) return;
        at += (uint64_t)got;
        len -= (uint64_t)got < len ? (uint64_t)got : len;
    }
}

FSI_SELDOM void fsi_root_close(const fsv_server *server, fsi_root *root)
{
    if (root->open) close(root->fd);
    fsi_release(server, root->path, root->path_bytes);
    root->open = false;
    root->path = NULL;
}

FSI_SELDOM fsi_file_result fsi_root_open(const fsv_server *server, fsi_root *root, const char *path, bool follow)
{
    char here[FSI_PATH_BYTES];
    memset(root, 0, sizeof *root);
    if (*path == '/' || !getcwd(here, sizeof here)) here[0] = 0;
    size_t before = strlen(here), len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    int fd = open(path, FSI_STEP_FLAGS);
    if (fd < 0) return fsi_file_refusal(errno);
    root->path_bytes = before + len + 2;
    root->path = (char *)fsi_alloc(server, root->path_bytes);
    if (!root->path) {
        close(fd);
        return FSI_FILE_FULL;
    }
    char *at = fsi_put(root->path, here, before);
    if (before) *at++ = '/';
    *fsi_put(at, path, len) = 0;
    if (fsi_file_stat(fd, "", 0, &root->first) != 0 ||
        fsi_file_stat(AT_FDCWD, root->path, AT_SYMLINK_NOFOLLOW, &root->entry) != 0)
        memset(&root->entry, 0xff, sizeof root->entry); // nothing is like it: never renewed
    root->fd = fd;
    root->open = true;
    root->follow = follow;
    fsi_root_probe(root);
    return FSI_FILE_OK;
}

// Whether fd, which was opened at the root's path, may take the root's place: it belongs to whom the first one belonged to,
// and came there as that did, as a folder (not by a link, then: fd was opened so) or by a link of the same owner, which was
// there `before` it was opened and is still. Else who may write beside a folder could have anything served. And it can be
// read, if the one before can: a sandbox may know that one only.
FSI_SELDOM bool fsi_root_may_be(const fsi_root *root, int fd, const fsi_file_look *before)
{
    fsi_file_look is, entry;
    if (fsi_file_stat(fd, "", 0, &is) != 0 || is.owner != root->first.owner) return false;
    if (root->entry.kind != FSI_FILE_FOLDER) {
        if (before->kind != root->entry.kind || before->owner != root->entry.owner) return false;
        if (fsi_file_stat(AT_FDCWD, root->path, AT_SYMLINK_NOFOLLOW, &entry) != 0) return false;
        if (!fsi_look_same(before, &entry)) return false;
    }
    int now = openat(fd, ".", FSI_FILE_FLAGS | O_DIRECTORY);
    int old = now < 0 ? openat(root->fd, ".", FSI_FILE_FLAGS | O_DIRECTORY) : -1;
    if (now >= 0) close(now);
    if (old >= 0) close(old);
    return old < 0;
}

// The new one takes over the number of the old one, so that whoever uses it meanwhile has either.
FSI_SELDOM fsi_file_result fsi_root_renew(const fsi_root *root)
{
    fsi_file_look was, is, entry;
    fsi_file_result result = FSI_FILE_OK;
    if (fsi_file_stat(root->fd, "", 0, &was) != 0 || fsi_file_stat(AT_FDCWD, root->path, 0, &is) != 0) return result;
    if (is.kind != FSI_FILE_FOLDER || (is.id.volume == was.id.volume && is.id.index == was.id.index)) return result;
    if (fsi_file_stat(AT_FDCWD, root->path, AT_SYMLINK_NOFOLLOW, &entry) != 0) return result;
    int fd = open(root->path, FSI_STEP_FLAGS | (root->entry.kind == FSI_FILE_FOLDER ? O_NOFOLLOW : 0));
    if (fd < 0 || !fsi_root_may_be(root, fd, &entry)) result = FSI_FILE_DENIED;
#if FSI_MACOS
    if (result == FSI_FILE_OK && dup2(fd, root->fd) >= 0) (void)fcntl(root->fd, F_SETFD, FD_CLOEXEC);
#else
    if (result == FSI_FILE_OK) (void)dup3(fd, root->fd, O_CLOEXEC);
#endif
    if (fd >= 0) close(fd);
    return result;
}

FSI_SELDOM const char *fsi_root_name(const fsi_root *root)
{
    return root->path;
}

FSI_SELDOM fsi_file_result fsi_file_look_open(fsi_os_file file, fsi_file_look *look)
{
    return fsi_file_stat(file, "", 0, look) == 0 ? FSI_FILE_OK : FSI_FILE_FAILED;
}

FSI_PRIVATE fsi_file_result fsi_file_look_kept(fsi_os_file file, fsi_file_look *look)
{
    return fsi_file_stat(file, "", FSI_STAT_KEPT, look) == 0 ? FSI_FILE_OK : FSI_FILE_FAILED;
}

FSI_PRIVATE fsi_file_result fsi_file_look_at(const fsi_root *root, const char *path, fsi_file_look *look)
{
    return fsi_file_stat(root->fd, path, 0, look) == 0 ? FSI_FILE_OK : fsi_file_refusal(errno);
}

// Neither a plain file nor a folder. To open those does something: the writer of a FIFO goes on, a tape is wound. *again:
// it is not known now, so it must not be opened.
FSI_SELDOM bool fsi_file_is_other(const fsi_root *root, const char *path, bool wait, bool *again)
{
    fsi_file_look look;
    *again = false;
    if (!wait && root->walk) return false; // nor will it be opened
    if (root->walk)                        // a link that leads outside to such a thing counts as one, too
        return fsi_file_look_at(root, path, &look) == FSI_FILE_OK && look.kind == FSI_FILE_OTHER;
    int fd = fsi_root_get(root, path, FSI_PEEK_FLAGS, wait);
    *again = fd < 0 && errno == EAGAIN;
    bool other = fd >= 0 && fsi_file_stat(fd, "", 0, &look) == 0 && look.kind == FSI_FILE_OTHER;
    if (fd >= 0) close(fd);
    return other;
}

FSI_SELDOM fsi_file_result fsi_file_open(const fsi_root *root, const char *path, bool wait, fsi_os_file *file,
                                         fsi_file_look *look)
{
    memset(look, 0, sizeof *look); // FSI_FILE_OTHER
    *file = FSI_NO_FILE;
    bool again;
    if (fsi_file_is_other(root, path, wait, &again)) return FSI_FILE_OK;
    int fd = again ? -1 : fsi_root_get(root, path, FSI_FILE_FLAGS, wait);
    if (fd < 0 && (again || errno == EAGAIN)) return wait ? FSI_FILE_FAILED : FSI_FILE_BUSY;
    if (fd < 0 && (errno == ENXIO || errno == ENODEV || errno == EOPNOTSUPP)) return FSI_FILE_OK; // a socket, a device
    if (fd < 0) return fsi_file_refusal(errno);
    fsi_file_result result = fsi_file_look_open(fd, look);
    if (result == FSI_FILE_OK && look->kind == FSI_FILE_PLAIN)
        *file = fd;
    else
        close(fd);
    return result;
}

// A look at a name of the folder `at`, which is the root's `path`. False: it is left out.
FSI_SELDOM bool fsi_list_look(const fsi_root *root, const char *path, int at, const char *name, fsi_file_look *look)
{
    char full[FSI_PATH_BYTES];
    if (fsi_file_stat(at, name, root->follow ? 0 : AT_SYMLINK_NOFOLLOW, look) != 0) return false;
    if (root->follow || root->walk || look->kind != FSI_FILE_OTHER) return true;
    int len = snprintf(full, sizeof full, "%s%s%s", path, *path ? "/" : "", name); // a link, perhaps
    int fd = len < (int)sizeof full ? fsi_root_get(root, full, FSI_PEEK_FLAGS, true) : -1;
    bool fine = fd >= 0 && fsi_file_stat(fd, "", 0, look) == 0;
    if (fd >= 0) close(fd);
    return fine;
}

FSI_SELDOM fsi_file_result fsi_file_list(const fsi_root *root, const char *path, fsi_list_each each, void *user)
{
    fsi_names names;
    fsi_file_look look;
    const char *name;
    bool failed = false;
    int fd = fsi_root_get(root, path, FSI_FILE_FLAGS | O_DIRECTORY, true);
    if (fd < 0) return errno == EAGAIN ? FSI_FILE_FAILED : fsi_file_refusal(errno);
    if (!fsi_names_begin(&names, fd)) {
        close(fd);
        return FSI_FILE_FULL;
    }
    while ((name = fsi_names_next(&names, &failed)) != NULL) {
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (fsi_list_look(root, path, fd, name, &look) && !each(name, &look, user)) break;
    }
    fsi_names_end(&names);
    return failed ? FSI_FILE_FAILED : FSI_FILE_OK;
}
#endif // >>file-walk

// ---------------------------------------------------------------------------------------------------------
// >>file-windows   A file is opened by its whole path and then asked for its own: it must be the path that was meant, else a
//                  link, a junction or a short name has led elsewhere. The root is its path: one that was renamed is gone, and
//                  what stands in its place is served. Nothing tells whether the system would have to wait for a disk.
//
//                  A look at a path alone does not tell volume and index: in no look they are. `changed` is the later one of
//                  the times when the file was made and when it was written, so that another file in its place shows.
// ---------------------------------------------------------------------------------------------------------

#if FSI_WINDOWS && FSI_FILES
#define FSI_FILE_SHARE (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define FSI_NAME_SURROGATE 0x20000000u // of a reparse tag: it leads to another place

FSI_SELDOM fsi_file_result fsi_file_refusal(DWORD error)
{
    switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME:
    case ERROR_INVALID_PARAMETER:
    case ERROR_DIRECTORY:
    case ERROR_FILENAME_EXCED_RANGE:
    case ERROR_CANT_ACCESS_FILE: // links in a ring
    case ERROR_CANT_RESOLVE_FILENAME:
    case ERROR_DELETE_PENDING: return FSI_FILE_NONE;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION: // somebody has it for himself
    case ERROR_LOCK_VIOLATION:
    case ERROR_PRIVILEGE_NOT_HELD: return FSI_FILE_DENIED;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES: return FSI_FILE_FULL;
    default: return FSI_FILE_FAILED;
    }
}

FSI_SELDOM void fsi_file_close(fsi_os_file file)
{
    if (file != FSI_NO_FILE) (void)CloseHandle(file);
}

// t: 100 ns each since 1601.
FSI_SELDOM int64_t fsi_filetime_ns(uint64_t t)
{
    return fsi_file_ns((int64_t)(t / 10000000) - 11644473600, (int64_t)(t % 10000000) * 100);
}

FSI_SELDOM void fsi_look_set(fsi_file_look *look, DWORD attributes, uint64_t size, uint64_t made, uint64_t written)
{
    memset(look, 0, sizeof *look);
    look->kind = attributes & FILE_ATTRIBUTE_DIRECTORY ? FSI_FILE_FOLDER
                 : attributes & FILE_ATTRIBUTE_DEVICE  ? FSI_FILE_OTHER
                                                       : FSI_FILE_PLAIN;
    look->id.size = look->kind == FSI_FILE_PLAIN ? size : 0;
    look->id.modified_ns = fsi_filetime_ns(written);
    look->id.changed_ns = fsi_filetime_ns(made > written ? made : written);
}

FSI_INLINE uint64_t fsi_join32(DWORD high, DWORD low)
{
    return (uint64_t)high << 32 | low;
}

FSI_SELDOM fsi_file_result fsi_file_look_open(fsi_os_file file, fsi_file_look *look)
{
    BY_HANDLE_FILE_INFORMATION info;
    memset(look, 0, sizeof *look); // FSI_FILE_OTHER
    if (GetFileType(file) != FILE_TYPE_DISK) return FSI_FILE_OK;
    if (!GetFileInformationByHandle(file, &info)) return FSI_FILE_FAILED;
    fsi_look_set(look, info.dwFileAttributes, fsi_join32(info.nFileSizeHigh, info.nFileSizeLow),
                 fsi_join32(info.ftCreationTime.dwHighDateTime, info.ftCreationTime.dwLowDateTime),
                 fsi_join32(info.ftLastWriteTime.dwHighDateTime, info.ftLastWriteTime.dwLowDateTime));
    return FSI_FILE_OK;
}

FSI_PRIVATE fsi_file_result fsi_file_look_kept(fsi_os_file file, fsi_file_look *look)
{
    return fsi_file_look_open(file, look);
}

FSI_SELDOM HANDLE fsi_file_open_wide(const WCHAR *path, DWORD access)
{
    return CreateFileW(path, access, FSI_FILE_SHARE, NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
}

// The path of an open file without a slash at its end; 0: there is none, or it is too long.
FSI_SELDOM uint32_t fsi_file_path(HANDLE file, DWORD form, WCHAR *out)
{
    DWORD len = GetFinalPathNameByHandleW(file, out, FSI_PATH_BYTES, form);
    if (len >= FSI_PATH_BYTES) return 0;
    return len && out[len - 1] == L'\\' ? len - 1 : len;
}

FSI_SELDOM void fsi_root_close(const fsv_server *server, fsi_root *root)
{
    if (root->open) fsi_release(server, root->path, root->path_len * sizeof(WCHAR));
    root->open = false;
}

FSI_SELDOM fsi_file_result fsi_root_open(const fsv_server *server, fsi_root *root, const char *path, bool follow)
{
    WCHAR wide[FSI_PATH_BYTES];
    fsi_file_look look;
    memset(root, 0, sizeof *root);
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, FSI_PATH_BYTES)) return FSI_FILE_NONE;
    HANDLE folder = fsi_file_open_wide(wide, FILE_READ_ATTRIBUTES);
    if (folder == INVALID_HANDLE_VALUE) return fsi_file_refusal(GetLastError());
    fsi_file_result result = fsi_file_look_open(folder, &look);
    root->follow = follow;
    root->walk = true;
    root->form = VOLUME_NAME_DOS;
    root->path_len = fsi_file_path(folder, root->form, wide);
    root->remote = root->path_len > 8 && memcmp(wide, L"\\\\?\\UNC\\", 16) == 0;
    if (!root->path_len) { // a volume without a letter
        root->form = VOLUME_NAME_GUID;
        root->path_len = fsi_file_path(folder, root->form, wide);
    }
    (void)CloseHandle(folder);
    if (result != FSI_FILE_OK) return result;
    if (look.kind != FSI_FILE_FOLDER || !root->path_len) return FSI_FILE_NONE;
    root->path = (WCHAR *)fsi_alloc(server, root->path_len * sizeof(WCHAR));
    if (!root->path) return FSI_FILE_FULL;
    memcpy(root->path, wide, root->path_len * sizeof(WCHAR));
    root->open = true;
    return FSI_FILE_OK;
}

// It is its path.
FSI_SELDOM fsi_file_result fsi_root_renew(const fsi_root *root)
{
    (void)root;
    return FSI_FILE_OK;
}

// For what fsi_root_renew says: nothing here.
FSI_SELDOM const char *fsi_root_name(const fsi_root *root)
{
    (void)root;
    return "";
}

// The whole path, with room for FSI_PATH_BYTES. Returns its length; 0: it cannot be one. A colon would name another stream
// of a file.
FSI_SELDOM uint32_t fsi_root_join(const fsi_root *root, const char *path, WCHAR *out)
{
    uint32_t len = root->path_len + 1;
    if (len >= FSI_PATH_BYTES || strchr(path, ':')) return 0;
    memcpy(out, root->path, root->path_len * sizeof(WCHAR));
    out[root->path_len] = L'\\';
    int more = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, out + len, (int)(FSI_PATH_BYTES - len));
    if (more <= 0) return 0;
    for (WCHAR *at = out + len; *at; at++)
        if (*at == L'/') *at = L'\\';
    return len + (uint32_t)more - 1;
}

// Whether the file is the one that the path meant.
FSI_SELDOM bool fsi_file_is_meant(const fsi_root *root, HANDLE file, const WCHAR *path, uint32_t len)
{
    WCHAR own[FSI_PATH_BYTES];
    uint32_t own_len = fsi_file_path(file, root->form, own);
    if (path[len - 1] == L'\\') len--;
    return own_len && CompareStringOrdinal(own, (int)own_len, path, (int)len, TRUE) == CSTR_EQUAL;
}

// Opens whatever the path leads to, under the root's rule.
FSI_SELDOM fsi_file_result fsi_root_reach(const fsi_root *root, const char *path, DWORD access, HANDLE *file,
                                          fsi_file_look *look)
{
    WCHAR wide[FSI_PATH_BYTES];
    uint32_t len = fsi_root_join(root, path, wide);
    memset(look, 0, sizeof *look);
    *file = INVALID_HANDLE_VALUE;
    if (!len) return FSI_FILE_NONE;
    HANDLE found = fsi_file_open_wide(wide, access);
    if (found == INVALID_HANDLE_VALUE) return fsi_file_refusal(GetLastError());
    fsi_file_result result = fsi_file_look_open(found, look);
    if (result == FSI_FILE_OK && !root->follow && !fsi_file_is_meant(root, found, wide, len)) result = FSI_FILE_NONE;
    if (result == FSI_FILE_OK) {
        *file = found;
        return result;
    }
    (void)CloseHandle(found);
    memset(look, 0, sizeof *look);
    return result;
}

FSI_SELDOM fsi_file_result fsi_file_open(const fsi_root *root, const char *path, bool wait, fsi_os_file *file,
                                         fsi_file_look *look)
{
    *file = FSI_NO_FILE;
    memset(look, 0, sizeof *look);
    if (!wait) return FSI_FILE_BUSY;
    fsi_file_result result = fsi_root_reach(root, path, GENERIC_READ, file, look);
    if (look->kind == FSI_FILE_PLAIN) return result;
    fsi_file_close(*file);
    *file = FSI_NO_FILE;
    return result;
}

FSI_PRIVATE fsi_file_result fsi_file_look_at(const fsi_root *root, const char *path, fsi_file_look *look)
{
    WCHAR wide[FSI_PATH_BYTES];
    WIN32_FILE_ATTRIBUTE_DATA info;
    HANDLE file;
    if (!fsi_root_join(root, path, wide)) return FSI_FILE_NONE;
    if (!GetFileAttributesExW(wide, GetFileExInfoStandard, &info)) return fsi_file_refusal(GetLastError());
    if (root->follow && (info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)) { // this is of the link itself
        fsi_file_result result = fsi_root_reach(root, path, FILE_READ_ATTRIBUTES, &file, look);
        fsi_file_close(file);
        return result;
    }
    fsi_look_set(look, info.dwFileAttributes, fsi_join32(info.nFileSizeHigh, info.nFileSizeLow),
                 fsi_join32(info.ftCreationTime.dwHighDateTime, info.ftCreationTime.dwLowDateTime),
                 fsi_join32(info.ftLastWriteTime.dwHighDateTime, info.ftLastWriteTime.dwLowDateTime));
    return FSI_FILE_OK;
}

FSI_SELDOM int64_t fsi_file_read(fsi_os_file file, uint64_t at, void *to, size_t size, bool wait)
{
    OVERLAPPED from;
    DWORD got = 0;
    if (!wait) return FSI_PENDING;
    memset(&from, 0, sizeof from);
    from.Offset = (DWORD)at;
    from.OffsetHigh = (DWORD)(at >> 32);
    if (ReadFile(file, to, size < INT32_MAX ? (DWORD)size : INT32_MAX, &got, &from)) return got;
    return GetLastError() == ERROR_HANDLE_EOF ? 0 : FSI_FAILED;
}

FSI_SELDOM void fsi_file_warm(fsi_os_file file, uint64_t at, uint64_t len)
{
    char part[16384];
    while (len) {
        int64_t got = fsi_file_read(file, at, part, len < sizeof part ? (size_t)len : sizeof part, true);
        if (got <= 0) return;
        at += (uint64_t)got;
        len -= (uint64_t)got < len ? (uint64_t)got : len;
    }
}

// A name of the folder `path`. False: `each` has had enough.
FSI_SELDOM bool fsi_list_name(const fsi_root *root, const char *path, const FILE_ID_BOTH_DIR_INFO *entry,
                              fsi_list_each each, void *user)
{
    char full[FSI_PATH_BYTES], *name;
    fsi_file_look look;
    HANDLE file;
    int before = snprintf(full, sizeof full, "%s%s", path, *path ? "/" : "");
    if (before < 0 || before >= (int)sizeof full) return true;
    name = full + before;
    int len = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, entry->FileName,
                                  (int)(entry->FileNameLength / sizeof(WCHAR)), name, (int)sizeof full - before - 1,
                                  NULL, NULL);
    name[len > 0 ? len : 0] = 0;
    if (len <= 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
    fsi_look_set(&look, entry->FileAttributes, (uint64_t)entry->EndOfFile.QuadPart,
                 (uint64_t)entry->CreationTime.QuadPart, (uint64_t)entry->LastWriteTime.QuadPart);
    if ((entry->FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) && (entry->EaSize & FSI_NAME_SURROGATE)) {
        if (!root->follow || fsi_root_reach(root, full, FILE_READ_ATTRIBUTES, &file, &look) != FSI_FILE_OK) return true;
        fsi_file_close(file);
    }
    return each(name, &look, user);
}

FSI_SELDOM fsi_file_result fsi_file_list(const fsi_root *root, const char *path, fsi_list_each each, void *user)
{
    FSI_ALIGNED8 char bytes[16384];
    fsi_file_look look;
    HANDLE folder;
    fsi_file_result result = fsi_root_reach(root, path, FILE_LIST_DIRECTORY, &folder, &look);
    if (result == FSI_FILE_OK && look.kind != FSI_FILE_FOLDER) result = FSI_FILE_NONE;
    for (bool more = result == FSI_FILE_OK; more;) {
        const FILE_ID_BOTH_DIR_INFO *entry = (const FILE_ID_BOTH_DIR_INFO *)(const void *)bytes;
        if (!GetFileInformationByHandleEx(folder, FileIdBothDirectoryInfo, bytes, sizeof bytes)) {
            if (GetLastError() != ERROR_NO_MORE_FILES) result = FSI_FILE_FAILED;
            break;
        }
        while ((more = fsi_list_name(root, path, entry, each, user)) && entry->NextEntryOffset)
            entry = (const FILE_ID_BOTH_DIR_INFO *)(const void *)((const char *)entry + entry->NextEntryOffset);
    }
    fsi_file_close(folder);
    return result;
}
#endif // >>file-windows

#if FSI_FILES
// Is it still what its look says? A file that was removed or replaced by a rename is; one that was cut or written to is not.
FSI_PRIVATE bool fsi_file_holds(fsi_os_file file, const fsi_file_look *look)
{
    fsi_file_look now;
    return fsi_file_look_kept(file, &now) == FSI_FILE_OK && now.id.size == look->id.size &&
           now.id.modified_ns == look->id.modified_ns;
}
#endif

// ---------------------------------------------------------------------------------------------------------
// >>io   The one interface under everything; one of the sections after this fills it. One socket is one channel with
//        at most one read and one write in progress.
//
//   fsi_io_init(io, loop)                false: the system refused. fsi_io_free is safe on zeroes with fd -1
//   fsi_io_wait(io, us)                  waits for events, at most us (UINT64_MAX: no limit); returns how many came
//   fsi_io_dispatch(io)                  tells their owners: fsi_chan_ready, or io->on_client for FSI_CHAN_CLIENT
//   fsi_io_wake(io)                      any thread, async-signal-safe: makes the wait return
//   FSI_IO_CAN_MOVE                      1: a socket can change its io. FSI_IO_ONE_ACCEPTOR: 1: only loop 0 has listeners,
//                                        and gives sockets to the others
//   fsi_io_listen(io, chan, shared)      starts telling of new connections; shared: several ios wait on this socket
//   fsi_io_unlisten(chan)                stops telling; the socket stays open
//   fsi_io_waiting(chan)                 whether a connection waits to be accepted
//   fsi_io_accept(chan)                  a descriptor of no io yet, FSI_PENDING, FSI_FAILED (go on), FSI_EMPTY (no
//                                        descriptors)
//   fsi_io_open(io, chan)                chan->fd joins this io; both directions count as ready
//   fsi_io_detach(chan)                  leaves its io, stays open (only where FSI_IO_CAN_MOVE)
//   fsi_io_connect(io, chan, to, from, err)  a new client socket; FSI_PENDING, or FSI_FAILED with the error in *err.
//                                        from: a local address, any port of it; NULL: the system's choice
//   fsi_io_connected(chan)               after FSI_READY_WRITE of a pending connect: 0, or the system's error; later 0 while
//                                        the peer has not cut the connection
//   fsi_io_retransmits(chan)             segments that it had to send again so far; 0 where the system does not tell
//   fsi_io_read(chan, to, n)             bytes > 0, 0 at the end of the stream, FSI_PENDING or FSI_FAILED
//   fsi_io_write(chan, bufs, n, stable)  bytes > 0, FSI_PENDING or FSI_FAILED
//   fsi_io_send_file(chan, file, at, len, look, wait)  sends from [at, at + len) of a file, len > 0, at most FSI_FILE_TURN:
//                                        bytes > 0, 0 if the file ends at or before `at`, FSI_PENDING, FSI_FAILED, or,
//                                        only without `wait`, FSI_COLD: a disk would have to be waited for and nothing was
//                                        sent; fsi_file_warm that part elsewhere, then call with `wait`, since a file system
//                                        that cannot say what it has in memory says FSI_COLD for ever. look: what the file
//                                        must still be after its bytes were copied, else FSI_FAILED; NULL: nobody writes to
//                                        it, so the system may send it without a copy. The file stays open until the call
//                                        that follows FSI_PENDING has returned something else, or until fsi_chan_closed.
//                                        Sets once how much the socket keeps unsent (FSI_FILE_UNSENT)
//   fsi_io_shut(chan)                    ends our direction; the peer reads to the end
//   fsi_io_close(chan, reset)            starts closing; fsi_chan_closed(chan) follows for FSI_CHAN_CONN, at once or later
//
// After FSI_PENDING the io calls fsi_chan_ready and the core simply calls again. Rules, each one a known bug elsewhere:
//   1. Bytes of a write that is FSI_PENDING stay where they are. A call with stable == false cannot promise that: then
//      FSI_PENDING took nothing, and the core calls again at once with the same bytes in memory that stays (on
//      readiness systems this costs nothing).
//   2. fsi_io_close only starts closing. Memory returns after fsi_chan_closed and after the batch of events.
//   3. Stop only on FSI_PENDING. Who stops for another reason (budget) goes on the loop's run list, or sleeps for ever.
//   4. A read that came back short counts as FSI_PENDING for the next one, until the peer's end was seen.
//   5. A system's error is translated inside the section.
// ---------------------------------------------------------------------------------------------------------

static void fsi_chan_ready(fsi_chan *chan, uint32_t ready); // upcall, in >>loop
static void fsi_chan_closed(fsi_chan *chan);                // upcall, in >>conn

FSI_INLINE void fsi_chan_init(fsi_chan *chan, fsi_chan_kind kind)
{
    memset(chan, 0, sizeof *chan);
    chan->fd = -1;
    chan->kind = (uint8_t)kind;
}

// Memory of zeroes; without a server from malloc.
FSI_PRIVATE void *fsi_io_alloc(const fsi_io *io, size_t size)
{
    void *memory = io->loop ? fsi_alloc(io->loop->server, size) : malloc(size);
    if (memory) memset(memory, 0, size);
    return memory;
}

FSI_PRIVATE void fsi_io_release(const fsi_io *io, void *memory, size_t size)
{
    if (io->loop)
        fsi_release(io->loop->server, memory, size);
    else
        free(memory);
}

#if FSI_FILES
#if FSI_IO_IOCP
#define FSI_PART_OF_FILE 32768u // stays with a connection while it is in flight
#else
#define FSI_PART_OF_FILE FSI_FILE_TURN
#endif

// Reads what is to be sent into io->part; as fsi_io_send_file, but for FSI_PENDING.
FSI_SELDOM int64_t fsi_io_read_part(fsi_io *io, fsi_os_file file, uint64_t at, uint64_t len, const fsi_file_look *look,
                                    bool wait)
{
    if (!io->part) io->part = (char *)fsi_io_alloc(io, FSI_PART_OF_FILE);
    if (!io->part) return FSI_FAILED;
    int64_t got = fsi_file_read(file, at, io->part, len < FSI_PART_OF_FILE ? (size_t)len : FSI_PART_OF_FILE, wait);
    if (got == FSI_PENDING) return FSI_COLD;
    return got > 0 && look && !fsi_file_holds(file, look) ? FSI_FAILED : got;
}
#endif

FSI_SELDOM void fsi_io_drop_part(fsi_io *io)
{
#if FSI_FILES
    fsi_io_release(io, io->part, io->part ? FSI_PART_OF_FILE : 0);
#endif
    io->part = NULL;
}

// ---------------------------------------------------------------------------------------------------------
// >>io-epoll   Linux. A socket is registered once, edge-triggered, for its whole life; reads and writes are tried
//              first, so a keep-alive request costs one recv and one send. Listeners are level-triggered: a bounded
//              number of accepts a turn loses nothing. The wake is an eventfd that is never read: each write to it is
//              an edge.
// ---------------------------------------------------------------------------------------------------------

#ifdef FSV_IO_HEADER
#include FSV_IO_HEADER
#endif

#if FSI_IO_EPOLL
#define FSI_IO_CAN_MOVE 1
#define FSI_IO_ONE_ACCEPTOR 0

FSI_SELDOM void fsi_io_free(fsi_io *io)
{
    if (io->wake.fd >= 0) close(io->wake.fd);
    if (io->fd >= 0) close(io->fd);
    io->wake.fd = io->fd = -1;
    fsi_io_drop_part(io);
}

FSI_PRIVATE bool fsi_epoll_add(fsi_io *io, fsi_chan *chan, uint32_t events)
{
    struct epoll_event want;
    memset(&want, 0, sizeof want);
    want.events = events;
    want.data.ptr = chan;
    chan->io = io;
    return epoll_ctl(io->fd, EPOLL_CTL_ADD, chan->fd, &want) == 0;
}

FSI_SELDOM bool fsi_io_init(fsi_io *io, fsi_loop *loop)
{
    memset(io, 0, sizeof *io);
    fsi_chan_init(&io->wake, FSI_CHAN_WAKE);
    io->loop = loop;
    io->fd = epoll_create1(EPOLL_CLOEXEC);
    if (io->fd < 0) goto fail;
    io->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (io->wake.fd < 0) goto fail;
    if (!fsi_epoll_add(io, &io->wake, EPOLLIN | EPOLLET)) goto fail;
    return true;
fail:
    fsi_io_free(io);
    return false;
}

// A wait of less than a second, in microseconds (Linux 5.11). *known: the system has this call.
#ifdef SYS_epoll_pwait2
FSI_PRIVATE int fsi_epoll_wait_us(fsi_io *io, uint64_t timeout_us, bool *known)
{
    const int64_t until[2] = {0, (int64_t)timeout_us * 1000}; // as the kernel has it: seconds, nanoseconds
    long n = syscall(SYS_epoll_pwait2, io->fd, io->events, FSI_IO_EVENTS, until, NULL, (size_t)0);
    *known = n >= 0 || (errno != ENOSYS && errno != EPERM);
    return (int)n;
}
#else
FSI_PRIVATE int fsi_epoll_wait_us(fsi_io *io, uint64_t timeout_us, bool *known)
{
    (void)io, (void)timeout_us;
    *known = false;
    return -1;
}
#endif

// Without that call, waits that are no whole milliseconds are rounded up.
FSI_PRIVATE int fsi_epoll_wait(fsi_io *io, uint64_t timeout_us)
{
    if (timeout_us < 1000000 && timeout_us % 1000 && !io->coarse) {
        bool known;
        int n = fsi_epoll_wait_us(io, timeout_us, &known);
        if (known) return n;
        io->coarse = true;
    }
    uint64_t ms = timeout_us / 1000 + (timeout_us % 1000 != 0);
    int timeout = timeout_us == UINT64_MAX ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
    return epoll_wait(io->fd, io->events, FSI_IO_EVENTS, timeout);
}

FSI_PRIVATE uint32_t fsi_io_wait(fsi_io *io, uint64_t timeout_us)
{
    int n = fsi_epoll_wait(io, timeout_us);
    io->event_count = n > 0 ? (uint32_t)n : 0;
    return io->event_count;
}

FSI_PRIVATE void fsi_io_dispatch(fsi_io *io)
{
    for (uint32_t i = 0; i < io->event_count; i++) {
        fsi_chan *chan = (fsi_chan *)io->events[i].data.ptr;
        uint32_t events = io->events[i].events, ready = 0;
        if (chan->fd < 0 || chan->io != io) continue; // closed or moved earlier in this batch
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) ready |= FSI_READY_READ;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) ready |= FSI_READY_WRITE;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) chan->eof = true;
        if (ready & FSI_READY_READ) chan->can_read = true;
        if (ready & FSI_READY_WRITE) chan->can_write = true;
        if (chan->kind == FSI_CHAN_CLIENT)
            io->on_client(chan, ready);
        else if (chan->kind != FSI_CHAN_WAKE)
            fsi_chan_ready(chan, ready);
    }
    io->event_count = 0;
}

FSI_PRIVATE void fsi_io_wake(fsi_io *io)
{
    uint64_t one = 1;
    int before = errno; // may run in a signal handler
    ssize_t sent = write(io->wake.fd, &one, sizeof one);
    (void)sent; // full means that a wake is under way already
    errno = before;
}

FSI_SELDOM bool fsi_io_listen(fsi_io *io, fsi_chan *chan, bool shared)
{
    return fsi_epoll_add(io, chan, EPOLLIN | (shared ? (uint32_t)EPOLLEXCLUSIVE : 0));
}

FSI_SELDOM void fsi_io_unlisten(fsi_chan *chan)
{
    (void)epoll_ctl(chan->io->fd, EPOLL_CTL_DEL, chan->fd, NULL);
}

FSI_PRIVATE bool fsi_io_open(fsi_io *io, fsi_chan *chan)
{
    chan->can_read = chan->can_write = true;
    chan->eof = false;
    return fsi_epoll_add(io, chan, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

FSI_PRIVATE void fsi_io_detach(fsi_chan *chan)
{
    (void)epoll_ctl(chan->io->fd, EPOLL_CTL_DEL, chan->fd, NULL);
    chan->io = NULL;
}

#if FSI_CLIENT
FSI_SELDOM uint32_t fsi_io_retransmits(const fsi_chan *chan)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(chan->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_total_retrans : 0;
}
#endif
#endif // >>io-epoll

// ---------------------------------------------------------------------------------------------------------
// >>io-kqueue   macOS, the BSDs. A socket is registered once, edge-triggered (EV_CLEAR), for its whole life; reads and
//               writes are tried first. Each direction has a filter and so an event of its own: one batch may tell a
//               channel twice, and the second time it may be closed. EV_EOF of the read filter is the end of the
//               peer's stream, with bytes before it that are still to be read; of the write filter, that nothing more
//               can be sent, also because we have ended our direction ourselves: what it means the next call says.
//               Listeners are level-triggered. The wake is a user event, or a pipe. A child process has no kqueue.
// ---------------------------------------------------------------------------------------------------------

#if FSI_IO_KQUEUE
#define FSI_IO_CAN_MOVE 1
#define FSI_IO_ONE_ACCEPTOR (!FSI_REUSEPORT_LB)

FSI_SELDOM void fsi_io_free(fsi_io *io)
{
    if (io->wake.fd >= 0) {
        close(io->wake.fd);
        close(io->wake_to);
    }
    if (io->fd >= 0) close(io->fd);
    io->wake.fd = io->wake_to = io->fd = -1;
    fsi_io_drop_part(io);
}

// A change for kevent(). udata is a pointer or an integer, as the system likes it.
FSI_PRIVATE struct kevent fsi_kqueue_change(int fd, uint16_t flags, fsi_chan *chan)
{
    struct kevent change;
    memset(&change, 0, sizeof change);
    change.ident = (uintptr_t)fd;
    change.filter = EVFILT_READ;
    change.flags = flags;
    memcpy(&change.udata, &chan, sizeof chan);
    return change;
}

// Registers or removes a socket's filters. Every change gets a receipt: none hides another one's error, and no event is
// taken out of the queue here. False: at least one was refused.
FSI_PRIVATE bool fsi_kqueue_apply(fsi_io *io, fsi_chan *chan, uint16_t flags, bool both)
{
    struct kevent changes[2], receipts[2];
    int count = both ? 2 : 1, n;
    for (int i = 0; i < 2; i++) changes[i] = fsi_kqueue_change(chan->fd, (uint16_t)(flags | EV_RECEIPT), chan);
    changes[1].filter = EVFILT_WRITE;
    while ((n = kevent(io->fd, changes, both ? 2 : 1, receipts, both ? 2 : 1, NULL)) < 0 && errno == EINTR) continue;
    for (int i = 0; i < n; i++) {
        if (!(receipts[i].flags & EV_ERROR) || receipts[i].data == 0) continue;
        errno = (int)receipts[i].data;
        return false;
    }
    return n == count;
}

#if FSI_KQUEUE_USER
FSI_SELDOM bool fsi_kqueue_wake_init(fsi_io *io)
{
    struct kevent change = fsi_kqueue_change(0, EV_ADD | EV_CLEAR, &io->wake);
    change.filter = EVFILT_USER;
    return kevent(io->fd, &change, 1, NULL, 0, NULL) == 0;
}

FSI_PRIVATE void fsi_io_wake(fsi_io *io)
{
    int before = errno; // may run in a signal handler
    struct kevent change = fsi_kqueue_change(0, 0, &io->wake);
    change.filter = EVFILT_USER;
    change.fflags = NOTE_TRIGGER;
    (void)kevent(io->fd, &change, 1, NULL, 0, NULL);
    errno = before;
}

FSI_INLINE void fsi_kqueue_woken(fsi_io *io)
{
    (void)io; // EV_CLEAR has taken it back
}
#else
FSI_SELDOM bool fsi_kqueue_wake_init(fsi_io *io)
{
    int ends[2];
    struct kevent change;
    if (pipe(ends) != 0) return false;
    io->wake.fd = ends[0];
    io->wake_to = ends[1];
    for (int i = 0; i < 2; i++)
        if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0) return false;
    change = fsi_kqueue_change(io->wake.fd, EV_ADD | EV_CLEAR, &io->wake);
    return kevent(io->fd, &change, 1, NULL, 0, NULL) == 0;
}

FSI_PRIVATE void fsi_io_wake(fsi_io *io)
{
    int before = errno; // may run in a signal handler
    ssize_t sent = write(io->wake_to, "", 1);
    (void)sent; // full means that a wake is under way already
    errno = before;
}

FSI_PRIVATE void fsi_kqueue_woken(fsi_io *io)
{
    char bytes[64];
    while (read(io->wake.fd, bytes, sizeof bytes) > 0) continue;
}
#endif

FSI_SELDOM bool fsi_io_init(fsi_io *io, fsi_loop *loop)
{
    memset(io, 0, sizeof *io);
    fsi_chan_init(&io->wake, FSI_CHAN_WAKE);
    io->wake_to = -1;
    io->loop = loop;
    io->fd = kqueue();
    if (io->fd < 0) return false;
    if (fcntl(io->fd, F_SETFD, FD_CLOEXEC) == 0 && fsi_kqueue_wake_init(io)) return true;
    fsi_io_free(io);
    return false;
}

FSI_PRIVATE uint32_t fsi_io_wait(fsi_io *io, uint64_t timeout_us)
{
    struct timespec limit;
    uint64_t day_us = (uint64_t)86400 * 1000000, us = timeout_us < day_us ? timeout_us : day_us; // more may be EINVAL
    limit.tv_sec = (time_t)(us / 1000000);
    limit.tv_nsec = (long)(us % 1000000) * 1000;
    int n = kevent(io->fd, NULL, 0, io->events, FSI_IO_EVENTS, timeout_us == UINT64_MAX ? NULL : &limit);
    io->event_count = n > 0 ? (uint32_t)n : 0;
    return io->event_count;
}

// What an event means for its channel, as FSI_READY bits.
FSI_SELDOM uint32_t fsi_kqueue_hear(fsi_chan *chan, const struct kevent *event)
{
    uint32_t ready = event->filter == EVFILT_WRITE ? FSI_READY_WRITE : FSI_READY_READ;
    if (event->flags & (EV_EOF | EV_ERROR)) {
        chan->eof = true;
        // An error of the socket, or an end of both directions: whoever waits for either of them learns it by trying.
        if (ready == FSI_READY_WRITE || event->fflags || (event->flags & EV_ERROR))
            ready = FSI_READY_READ | FSI_READY_WRITE;
    }
    if (ready & FSI_READY_READ) chan->can_read = true;
    if (ready & FSI_READY_WRITE) chan->can_write = true;
    return ready;
}

FSI_PRIVATE void fsi_io_dispatch(fsi_io *io)
{
    for (uint32_t i = 0; i < io->event_count; i++) {
        fsi_chan *chan;
        memcpy(&chan, &io->events[i].udata, sizeof chan);
        if (chan == &io->wake) {
            fsi_kqueue_woken(io);
            continue;
        }
        if (chan->fd < 0 || chan->io != io) continue; // closed or moved earlier in this batch
        uint32_t ready = fsi_kqueue_hear(chan, &io->events[i]);
        if (chan->kind == FSI_CHAN_CLIENT)
            io->on_client(chan, ready);
        else
            fsi_chan_ready(chan, ready);
    }
    io->event_count = 0;
}

FSI_SELDOM bool fsi_io_listen(fsi_io *io, fsi_chan *chan, bool shared)
{
    (void)shared; // the others are told as well, and find nothing
    chan->io = io;
    return fsi_kqueue_apply(io, chan, EV_ADD, false);
}

FSI_SELDOM void fsi_io_unlisten(fsi_chan *chan)
{
    (void)fsi_kqueue_apply(chan->io, chan, EV_DELETE, false);
}

FSI_PRIVATE bool fsi_io_open(fsi_io *io, fsi_chan *chan)
{
    chan->can_read = chan->can_write = true;
    chan->eof = false;
    chan->io = io;
    return fsi_kqueue_apply(io, chan, EV_ADD | EV_CLEAR, true);
}

FSI_PRIVATE void fsi_io_detach(fsi_chan *chan)
{
    (void)fsi_kqueue_apply(chan->io, chan, EV_DELETE, true);
    chan->io = NULL;
}

#if FSI_CLIENT
#if FSI_MACOS
FSI_SELDOM uint32_t fsi_io_retransmits(const fsi_chan *chan)
{
    struct tcp_connection_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(chan->fd, IPPROTO_TCP, TCP_CONNECTION_INFO, &info, &size) != 0) return 0;
    return (uint32_t)info.tcpi_txretransmitpackets;
}
#elif FSI_FREEBSD
FSI_SELDOM uint32_t fsi_io_retransmits(const fsi_chan *chan)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(chan->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_snd_rexmitpack : 0;
}
#else
FSI_SELDOM uint32_t fsi_io_retransmits(const fsi_chan *chan)
{
    (void)chan;
    return 0;
}
#endif
#endif
#endif // >>io-kqueue

// ---------------------------------------------------------------------------------------------------------
// >>io-posix   What epoll and kqueue have in common: the calls on a socket. They tell when; these do it.
// ---------------------------------------------------------------------------------------------------------

#if FSI_IO_EPOLL || FSI_IO_KQUEUE
FSI_PRIVATE bool fsi_io_waiting(const fsi_chan *chan)
{
    struct pollfd look;
    look.fd = chan->fd;
    look.events = POLLIN;
    look.revents = 0;
    return poll(&look, 1, 0) > 0;
}

FSI_PRIVATE int fsi_io_accept(const fsi_chan *chan)
{
    int fd = fsi_sock_take(chan->fd);
    if (fd >= 0) return fd;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return FSI_PENDING;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return FSI_EMPTY;
    if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK) return FSI_PENDING; // closed meanwhile
    return FSI_FAILED; // that one connection died in the queue
}

FSI_INLINE int64_t fsi_io_read(fsi_chan *chan, void *to, size_t size)
{
    if (!chan->can_read) return FSI_PENDING;
    ssize_t got = recv(chan->fd, to, size, 0);
    if (got > 0) {
        if ((size_t)got < size && !chan->eof) chan->can_read = false;
        return got;
    }
    if (got == 0) return 0;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        chan->can_read = false;
        return FSI_PENDING;
    }
    return errno == EINTR ? fsi_io_read(chan, to, size) : FSI_FAILED;
}

FSI_SELDOM int64_t fsi_io_write_many(fsi_chan *chan, const fsi_buf *bufs, uint32_t count)
{
    struct msghdr message;
    struct iovec parts[FSI_PARTS_MAX];
    memset(&message, 0, sizeof message);
    if (count > FSI_PARTS_MAX) count = FSI_PARTS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        parts[i].iov_base = (void *)(uintptr_t)bufs[i].ptr;
        parts[i].iov_len = bufs[i].len;
    }
    message.msg_iov = parts;
    message.msg_iovlen = (uint8_t)count; // a size_t or an int, as the C library has it
    return sendmsg(chan->fd, &message, FSI_SEND_FLAGS);
}

FSI_INLINE int64_t fsi_io_write(fsi_chan *chan, const fsi_buf *bufs, uint32_t count, bool stable)
{
    (void)stable; // nothing is kept here: the call is the system call
    if (!chan->can_write) return FSI_PENDING;
    int64_t sent = count == 1 ? send(chan->fd, bufs->ptr, bufs->len, FSI_SEND_FLAGS | (chan->more ? FSI_SEND_MORE : 0))
                              : fsi_io_write_many(chan, bufs, count);
    if (sent > 0) return sent;
    if (sent < 0 && errno == EINTR) return fsi_io_write(chan, bufs, count, stable);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return FSI_FAILED;
    chan->can_write = false;
    return FSI_PENDING;
}

#if FSI_FILES
#ifdef TCP_NOTSENT_LOWAT
// Else a socket takes megabytes of a file in advance. Nothing to a Unix-domain socket.
FSI_PRIVATE void fsi_chan_bound(fsi_chan *chan)
{
    int most = FSI_FILE_UNSENT;
    (void)setsockopt(chan->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
    chan->bounded = true;
}
#else
FSI_PRIVATE void fsi_chan_bound(fsi_chan *chan)
{
    chan->bounded = true;
}
#endif

// Without a copy. FSI_EMPTY: sendfile does not take these two.
FSI_SELDOM int64_t fsi_io_send_pages(fsi_chan *chan, fsi_os_file file, uint64_t at, uint64_t len, bool wait)
{
    const fsi_loop *loop = chan->io->loop;
    int64_t sent;
    if (!wait && !fsi_file_is_warm(file, at, len)) return FSI_COLD;
    do sent = fsi_file_send(chan->fd, file, at, len, !loop || loop->borrowed);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) return sent;
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOTSUP) return FSI_EMPTY;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return FSI_FAILED;
    chan->can_write = false;
    return FSI_PENDING;
}

FSI_SELDOM int64_t fsi_io_send_file(fsi_chan *chan, fsi_os_file file, uint64_t at, uint64_t len,
                                    const fsi_file_look *look, bool wait)
{
    fsi_buf buf;
    if (!chan->can_write) return FSI_PENDING;
    if (!chan->bounded && len > FSI_FILE_TURN) fsi_chan_bound(chan);
    if (len > FSI_FILE_TURN) len = FSI_FILE_TURN;
    int64_t sent = look ? FSI_EMPTY : fsi_io_send_pages(chan, file, at, len, wait);
    if (sent != FSI_EMPTY) return sent;
    int64_t got = fsi_io_read_part(chan->io, file, at, len, look, wait);
    if (got <= 0) return got;
    buf.ptr = chan->io->part;
    buf.len = (size_t)got;
    sent = fsi_io_write(chan, &buf, 1, true);
    // What did not fit is read again when it does. That the socket is full is known here, without another part to find out.
    if (sent > 0 && sent < got) chan->can_write = false;
    return sent;
}
#endif

FSI_SELDOM void fsi_io_shut(fsi_chan *chan)
{
    (void)shutdown(chan->fd, SHUT_WR);
}

FSI_PRIVATE void fsi_io_close(fsi_chan *chan, bool reset)
{
    if (chan->fd < 0) return;
    if (reset) {
        struct linger now;
        now.l_onoff = 1;
        now.l_linger = 0;
        (void)setsockopt(chan->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(chan->fd);
    chan->fd = -1;
    if (chan->kind == FSI_CHAN_CONN) fsi_chan_closed(chan);
}

FSI_SELDOM int fsi_io_connected(const fsi_chan *chan)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(chan->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

#if FSI_CLIENT
// Starts to connect; chan->kind is set by the caller. Registering reports what has happened by then, edges tell the
// rest.
FSI_SELDOM int fsi_io_connect(fsi_io *io, fsi_chan *chan, const fsi_sockaddr *to, const fsi_sockaddr *from,
                              int *os_error)
{
    int one = 1;
    chan->fd = fsi_sock_new(to->storage.ss_family);
    if (chan->fd < 0) goto fail;
    if (to->storage.ss_family != AF_UNIX) (void)setsockopt(chan->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (from) { // the port is chosen when both ends are known: the same one may serve towards another address
        fsi_sock_late_port(chan->fd);
        if (bind(chan->fd, (const struct sockaddr *)(const void *)&from->storage, from->len) != 0) goto fail;
    }
    if (connect(chan->fd, (const struct sockaddr *)(const void *)&to->storage, to->len) != 0 && errno != EINPROGRESS &&
        errno != EINTR)
        goto fail;
    if (!fsi_io_open(io, chan)) goto fail;
    chan->can_read = chan->can_write = false; // the edge tells when
    return FSI_PENDING;
fail:
    *os_error = errno;
    if (chan->fd >= 0) close(chan->fd);
    chan->fd = -1;
    return FSI_FAILED;
}
#endif
#endif // >>io-posix

// ---------------------------------------------------------------------------------------------------------
// >>io-iocp   Windows. Reads and writes are tried first, as elsewhere. Where a read would block, one of no bytes is left
//             with the system: its completion is the edge, and an idle connection pins no buffer. Where a write would
//             block, the system gets memory that stays, and the next call hears how much of it has left. A listener keeps
//             accepts of no bytes posted. What the system may still write to stands in blocks of the io: they outlive
//             their channel until the port has reported every operation. A socket belongs to one port for life.
//
//             can_read is false only while a read of no bytes is in flight, can_write only while a write or a connect is.
//             A peer that resets after it has ended its direction is noticed only by a write: after the end a read
//             completes at once, so none can be left with the system.
// ---------------------------------------------------------------------------------------------------------

#if FSI_IO_IOCP
#define FSI_IO_CAN_MOVE 0
#define FSI_IO_ONE_ACCEPTOR 1
#define FSI_SPARE_OPS 256 // blocks that an io keeps for reuse
#define FSI_SEND_BYTES \
    (1024u * 1024)              // of one write: what is taken is copied into the kernel's memory, whatever its size
#define FSI_PINNED_BYTES 65536u // of one that is left with the system: its end is the only progress that shows

typedef enum fsi_op_kind { FSI_OP_READ, FSI_OP_WRITE, FSI_OP_ACCEPT } fsi_op_kind;

// An operation; the port reports the address of its first field.
typedef struct fsi_op {
    OVERLAPPED os;
    fsi_op_kind kind;
} fsi_op;

// What the system holds of a channel.
typedef struct fsi_ops {
    fsi_op read, write; // write: also the connect
    fsi_chan *chan;     // NULL: closed
    fsi_chan *closing;  // closed, with a write of its memory in flight: to be told when that has ended
    struct fsi_ops *next, *prev;
    struct fsi_ops *next_due;
    struct fsi_backlog *backlog; // of a listener, which uses little else
    int64_t sent;                // not 0: how the write ended, for the next call; bytes or FSI_FAILED
    int error;                   // of the last operation that failed
    char *part;                  // FSI_PART_OF_FILE bytes of a file that are in flight; NULL: none
    LPFN_TRANSMITFILE transmit;  // of this socket; NULL: not known yet, or none
    bool skips;                  // what succeeds at once is not reported by the port
    bool listed;                 // stands on the due list
    bool reading;                // in flight
    bool writing;                // likewise, or connecting
    bool connecting;
} fsi_ops;

// What was in flight of a file has left, or never will.
FSI_PRIVATE void fsi_ops_drop_part(fsi_io *io, fsi_ops *ops)
{
    char *part = ops->part;
    if (io->part)
        fsi_io_release(io, part, part ? FSI_PART_OF_FILE : 0);
    else
        io->part = part;
    ops->part = NULL;
}

FSI_PRIVATE fsi_ops *fsi_ops_get(fsi_io *io, fsi_chan *chan)
{
    fsi_ops *ops = io->spare;
    if (ops) {
        io->spare = ops->next;
        io->spare_count--;
        memset(ops, 0, sizeof *ops);
    } else {
        ops = (fsi_ops *)fsi_io_alloc(io, sizeof *ops);
        if (!ops) {
            SetLastError(ERROR_NOT_ENOUGH_MEMORY);
            return NULL;
        }
    }
    ops->read.kind = FSI_OP_READ;
    ops->write.kind = FSI_OP_WRITE;
    ops->chan = chan;
    ops->next = io->all;
    if (io->all) io->all->prev = ops;
    io->all = ops;
    return ops;
}

// Of a closed channel: returns the block, if the system and the due list hold nothing of it any more.
FSI_PRIVATE void fsi_ops_put(fsi_io *io, fsi_ops *ops)
{
    if (ops->chan || ops->reading || ops->writing || ops->listed) return;
    if (ops->part) fsi_ops_drop_part(io, ops);
    if (ops->prev)
        ops->prev->next = ops->next;
    else
        io->all = ops->next;
    if (ops->next) ops->next->prev = ops->prev;
    if (io->spare_count == FSI_SPARE_OPS) {
        fsi_io_release(io, ops, sizeof *ops);
        return;
    }
    ops->next = io->spare;
    io->spare = ops;
    io->spare_count++;
}

FSI_PRIVATE void fsi_iocp_due(fsi_io *io, fsi_ops *ops)
{
    if (ops->listed) return;
    ops->listed = true;
    ops->next_due = io->due;
    io->due = ops;
}

// Ties a socket to the port. *skips: what succeeds at once is not reported, which needs a handle that is the kernel's
// own and not one of a provider in between. False: refused.
FSI_PRIVATE bool fsi_iocp_tie(fsi_io *io, SOCKET s, bool *skips)
{
    WSAPROTOCOL_INFOW protocol;
    int size = sizeof protocol;
    if (!CreateIoCompletionPort((HANDLE)s, io->port, 0, 0)) return false;
    *skips = getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&protocol, &size) == 0 &&
             (protocol.dwServiceFlags1 & XP1_IFS_HANDLES) != 0 &&
             SetFileCompletionNotificationModes((HANDLE)s,
                                                FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE);
    return true;
}

// Functions that only a socket's own provider can name.
FSI_SELDOM bool fsi_iocp_extension(SOCKET s, GUID id, void *function, size_t size)
{
    DWORD got = 0;
    return WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, function, (DWORD)size, &got, NULL, NULL) ==
           0;
}

// The socket joins the io: its block, or NULL.
FSI_SELDOM fsi_ops *fsi_iocp_join(fsi_io *io, fsi_chan *chan)
{
    fsi_ops *ops = fsi_ops_get(io, chan);
    if (!ops) return NULL;
    if (!fsi_iocp_tie(io, fsi_sock_handle(chan->fd), &ops->skips)) {
        ops->chan = NULL;
        fsi_ops_put(io, ops);
        return NULL;
    }
    chan->ops = ops;
    chan->io = io;
    chan->eof = false;
    return ops;
}

FSI_PRIVATE bool fsi_io_open(fsi_io *io, fsi_chan *chan)
{
    fsi_ops *ops = fsi_iocp_join(io, chan);
    if (!ops) return false;
    chan->can_read = chan->can_write = true;
    fsi_iocp_due(io, ops); // the first edge, which other systems give by themselves
    return true;
}

// Leaves a read of no bytes with the system, unless there is something to read: can_read then stays. False: the system
// takes none.
FSI_SELDOM bool fsi_iocp_probe(fsi_chan *chan)
{
    fsi_ops *ops = chan->ops;
    DWORD got = 0, flags = 0;
    WSABUF none;
    none.len = 0;
    none.buf = (char *)ops;
    memset(&ops->read.os, 0, sizeof ops->read.os);
    int failed = WSARecv(fsi_sock_handle(chan->fd), &none, 1, &got, &flags, &ops->read.os, NULL);
    if (failed && WSAGetLastError() != WSA_IO_PENDING) {
        ops->error = WSAGetLastError();
        return false;
    }
    if (!failed && ops->skips) return true;
    ops->reading = true;
    chan->can_read = false;
    chan->io->in_flight++;
    return true;
}

FSI_SELDOM int fsi_io_connected(const fsi_chan *chan)
{
    const fsi_ops *ops = chan->ops;
    int error = 0, size = sizeof error;
    if (ops->error) return ops->error;
    if (getsockopt(fsi_sock_handle(chan->fd), SOL_SOCKET, SO_ERROR, (char *)&error, &size) != 0)
        return WSAGetLastError();
    return error;
}

FSI_INLINE int64_t fsi_io_read(fsi_chan *chan, void *to, size_t size)
{
    int most = size < INT32_MAX ? (int)size : INT32_MAX;
    while (chan->can_read) {
        int got = recv(fsi_sock_handle(chan->fd), (char *)to, most, 0);
        if (got > 0) {
            if (got < most && !chan->eof) (void)fsi_iocp_probe(chan); // if it fails, so will the next read
            return got;
        }
        if (got == 0) {
            chan->eof = true;
            return chan->ops->error ? FSI_FAILED : 0; // a reset may be told only once, to the read of no bytes
        }
        if (WSAGetLastError() != WSAEWOULDBLOCK) {
            chan->ops->error = WSAGetLastError();
            return FSI_FAILED;
        }
        if (!fsi_iocp_probe(chan)) return FSI_FAILED;
    }
    return FSI_PENDING;
}

// 0, or the system's error; *sent is how much left at once.
FSI_PRIVATE int fsi_iocp_send(fsi_chan *chan, const fsi_buf *bufs, uint32_t count, size_t room, OVERLAPPED *os,
                              DWORD *sent)
{
    WSABUF parts[FSI_PARTS_MAX];
    uint32_t n = 0;
    for (; n < count && n < FSI_PARTS_MAX && room; n++) {
        size_t len = bufs[n].len < room ? bufs[n].len : room;
        parts[n].buf = (char *)(uintptr_t)bufs[n].ptr;
        parts[n].len = (ULONG)len;
        room -= len;
    }
    *sent = 0;
    return WSASend(fsi_sock_handle(chan->fd), parts, n, sent, 0, os, NULL) == 0 ? 0 : WSAGetLastError();
}

FSI_INLINE int64_t fsi_io_write(fsi_chan *chan, const fsi_buf *bufs, uint32_t count, bool stable)
{
    fsi_ops *ops = chan->ops;
    DWORD sent;
    if (FSI_UNLIKELY(ops->writing)) return FSI_PENDING;
    if (FSI_UNLIKELY(ops->sent != 0)) {
        int64_t before = ops->sent;
        ops->sent = 0;
        return before;
    }
    int error = fsi_iocp_send(chan, bufs, count, FSI_SEND_BYTES, NULL, &sent);
    if (FSI_LIKELY(error == 0)) return sent;
    if (error == WSAEWOULDBLOCK && !stable) return FSI_PENDING; // nothing was taken; the same comes again at once
    if (error == WSAEWOULDBLOCK) {
        memset(&ops->write.os, 0, sizeof ops->write.os);
        error = fsi_iocp_send(chan, bufs, count, FSI_PINNED_BYTES, &ops->write.os, &sent);
        if (error == 0 && ops->skips) return sent;
    }
    if (error != 0 && error != WSA_IO_PENDING) {
        ops->error = error;
        return FSI_FAILED;
    }
    ops->writing = true;
    chan->can_write = false;
    chan->io->in_flight++;
    return FSI_PENDING;
}

FSI_SELDOM void fsi_io_shut(fsi_chan *chan)
{
    (void)shutdown(fsi_sock_handle(chan->fd), SD_SEND);
}

// ---------------------------------------------------------------------------------------------------------
// >>iocp-file   Files of >>io-iocp. TransmitFile reads and sends without a thread that waits. But editions for workstations
//               run no more than two at a time, in the whole system: two clients that take nothing would stop all others.
//               There a part is read into memory of ours and sent from it, by who may wait for the disk: without `wait` it
//               is FSI_COLD, so that a worker reads it first. The memory is the connection's only while a part is in
//               flight.
// ---------------------------------------------------------------------------------------------------------

FSI_SELDOM bool fsi_iocp_is_server(void)
{
    OSVERSIONINFOEXW info;
    memset(&info, 0, sizeof info);
    info.dwOSVersionInfoSize = sizeof info;
    info.wProductType = VER_NT_WORKSTATION;
    return !VerifyVersionInfoW(&info, VER_PRODUCT_TYPE, VerSetConditionMask(0, VER_PRODUCT_TYPE, VER_EQUAL));
}

#if FSI_FILES
FSI_SELDOM int64_t fsi_iocp_transmit(fsi_chan *chan, fsi_os_file file, uint64_t at, uint64_t len)
{
    fsi_ops *ops = chan->ops;
    LARGE_INTEGER size;
    if (!GetFileSizeEx(file, &size)) return FSI_FAILED;
    if (at >= (uint64_t)size.QuadPart) return 0;
    if (len > (uint64_t)size.QuadPart - at) len = (uint64_t)size.QuadPart - at;
    memset(&ops->write.os, 0, sizeof ops->write.os);
    ops->write.os.Offset = (DWORD)at;
    ops->write.os.OffsetHigh = (DWORD)(at >> 32);
    bool at_once = ops->transmit(fsi_sock_handle(chan->fd), file, (DWORD)len, 0, &ops->write.os, NULL, 0);
    if (at_once && ops->skips) return (int64_t)ops->write.os.InternalHigh;
    if (!at_once && WSAGetLastError() != WSA_IO_PENDING) {
        ops->error = WSAGetLastError();
        return FSI_FAILED;
    }
    ops->writing = true;
    chan->can_write = false;
    chan->io->in_flight++;
    return FSI_PENDING;
}

// One part; `first`: it may be left with the system.
FSI_SELDOM int64_t fsi_iocp_send_part(fsi_chan *chan, fsi_os_file file, uint64_t at, uint64_t len,
                                      const fsi_file_look *look, bool first)
{
    fsi_io *io = chan->io;
    fsi_ops *ops = chan->ops;
    fsi_buf buf;
    int64_t got = fsi_io_read_part(io, file, at, len, look, true);
    if (got <= 0) return got;
    buf.ptr = io->part;
    buf.len = (size_t)got;
    int64_t sent = fsi_io_write(chan, &buf, 1, false);
    if (sent != FSI_PENDING || !first) return sent;
    ops->part = io->part;
    io->part = NULL;
    sent = fsi_io_write(chan, &buf, 1, true);
    if (sent != FSI_PENDING) fsi_ops_drop_part(io, ops);
    return sent;
}

FSI_SELDOM int64_t fsi_io_send_file(fsi_chan *chan, fsi_os_file file, uint64_t at, uint64_t len,
                                    const fsi_file_look *look, bool wait)
{
    GUID transmit_file = WSAID_TRANSMITFILE;
    fsi_ops *ops = chan->ops;
    int64_t sent = 0;
    if (ops->writing) return FSI_PENDING;
    if (ops->sent != 0) {
        sent = ops->sent;
        ops->sent = 0;
        return sent;
    }
    if (len > FSI_FILE_TURN) len = FSI_FILE_TURN;
    if (!look && chan->io->transmits && !ops->transmit)
        (void)fsi_iocp_extension(fsi_sock_handle(chan->fd), transmit_file, &ops->transmit, sizeof ops->transmit);
    if (!look && chan->io->transmits && ops->transmit) return fsi_iocp_transmit(chan, file, at, len);
    if (!wait) return FSI_COLD;
    while ((uint64_t)sent < len) {
        int64_t more = fsi_iocp_send_part(chan, file, at + (uint64_t)sent, len - (uint64_t)sent, look, sent == 0);
        if (more <= 0) return sent ? sent : more;
        sent += more;
    }
    return sent;
}
#endif

// ---------------------------------------------------------------------------------------------------------
// >>iocp-listen   Listeners of >>io-iocp. A few accepts are posted at a time; further connections wait in the system's
//                 backlog. They receive no bytes, so none waits for a client that says nothing.
// ---------------------------------------------------------------------------------------------------------

// Posted at a time, for each listener; as many again may wait for the port to report them. It does not grow with
// desc.backlog: connections wait in the backlog, and one that is taken makes room for the next at once. Each more would
// be a socket made before its client comes, and a slot that is looked at for every connection.
#define FSI_ACCEPTS 16
#define FSI_ACCEPT_NAME (sizeof(struct sockaddr_storage) + 16)

typedef enum fsi_accept_state {
    FSI_ACCEPT_FREE,
    FSI_ACCEPT_POSTED,
    FSI_ACCEPT_READY, // a connection, or an error, that nobody has taken yet
    FSI_ACCEPT_TAKEN  // taken before the port has reported it
} fsi_accept_state;

typedef struct fsi_accept {
    fsi_op op;
    struct fsi_backlog *home;
    SOCKET socket;
    fsi_accept_state state;
    char names[2 * FSI_ACCEPT_NAME]; // required, never looked at
} fsi_accept;

typedef struct fsi_backlog {
    fsi_chan *chan; // NULL: closed
    struct fsi_backlog *next;
    LPFN_ACCEPTEX accept;
    int family;
    uint32_t posted;
    bool listening; // its channel is to be told
    bool bare;      // none is posted or waits; the next batch tries again
    bool starved;   // likewise, and the system refused: no sockets, or no memory
    bool skips;
    fsi_accept slots[2 * FSI_ACCEPTS];
} fsi_backlog;

// False: refused. A connection that was there already is in the slot; of one that has died nothing is left.
FSI_PRIVATE bool fsi_accept_post(fsi_io *io, fsi_backlog *log, fsi_accept *slot)
{
    DWORD got = 0;
    slot->socket = fsi_sock_new(log->family);
    if (slot->socket == INVALID_SOCKET) return false;
    memset(&slot->op.os, 0, sizeof slot->op.os);
    slot->op.kind = FSI_OP_ACCEPT;
    slot->home = log;
    bool at_once = log->accept(fsi_sock_handle(log->chan->fd), slot->socket, slot->names, 0, FSI_ACCEPT_NAME,
                               FSI_ACCEPT_NAME, &got, &slot->op.os);
    int error = at_once ? 0 : WSAGetLastError();
    if (error && error != ERROR_IO_PENDING) {
        (void)closesocket(slot->socket);
        return error == WSAECONNRESET;
    }
    slot->state = at_once && log->skips ? FSI_ACCEPT_READY : FSI_ACCEPT_POSTED;
    if (slot->state == FSI_ACCEPT_READY) return true;
    log->posted++;
    io->in_flight++;
    return true;
}

// The port reports it.
FSI_PRIVATE void fsi_accept_done(fsi_accept *slot)
{
    fsi_backlog *log = slot->home;
    if (slot->state == FSI_ACCEPT_POSTED) log->posted--;
    slot->state = slot->state == FSI_ACCEPT_POSTED ? FSI_ACCEPT_READY : FSI_ACCEPT_FREE;
}

// Takes what the port reports of accepts by now, so that slots whose connections were taken before can be posted again;
// the rest stays for the next batch. Not while one is gone through.
FSI_SELDOM void fsi_backlog_hear(fsi_io *io)
{
    uint32_t kept = io->event_count;
    ULONG n = 0;
    if (kept == FSI_IO_EVENTS ||
        !GetQueuedCompletionStatusEx(io->port, io->events + kept, FSI_IO_EVENTS - kept, &n, 0, FALSE))
        return;
    for (uint32_t end = kept + (uint32_t)n, i = kept; i < end; i++) {
        fsi_op *op = (fsi_op *)(void *)io->events[i].lpOverlapped;
        if (op && op->kind == FSI_OP_ACCEPT) {
            io->in_flight--;
            fsi_accept_done((fsi_accept *)(void *)op);
        } else {
            io->events[kept++] = io->events[i];
        }
    }
    io->event_count = kept;
}

// Keeps accepts posted, as long as not enough connections wait here.
FSI_SELDOM void fsi_backlog_fill(fsi_io *io, fsi_backlog *log)
{
    uint32_t live = log->posted, room = 0;
    bool refused = false;
    for (uint32_t i = 0; i < 2 * FSI_ACCEPTS; i++) {
        live += log->slots[i].state == FSI_ACCEPT_READY;
        room += log->slots[i].state == FSI_ACCEPT_FREE;
    }
    if (live == 0 && room == 0) fsi_backlog_hear(io);
    for (uint32_t i = 0; i < 2 * FSI_ACCEPTS && live < FSI_ACCEPTS && !refused; i++) {
        fsi_accept *slot = &log->slots[i];
        if (slot->state != FSI_ACCEPT_FREE) continue;
        refused = !fsi_accept_post(io, log, slot);
        live += slot->state != FSI_ACCEPT_FREE;
    }
    log->bare = live == 0;
    log->starved = live == 0 && refused;
}

// One that is over, or NULL. The port may report it later.
FSI_SELDOM fsi_accept *fsi_backlog_first(fsi_backlog *log)
{
    for (uint32_t i = 0; i < 2 * FSI_ACCEPTS; i++) {
        fsi_accept *slot = &log->slots[i];
        if (slot->state == FSI_ACCEPT_READY) return slot;
        if (slot->state == FSI_ACCEPT_POSTED && HasOverlappedIoCompleted(&slot->op.os)) return slot;
    }
    return NULL;
}

// The backlog of a socket that joins the io, NULL: refused.
FSI_SELDOM fsi_backlog *fsi_backlog_new(fsi_io *io, fsi_chan *chan)
{
    GUID accept_ex = WSAID_ACCEPTEX;
    fsi_sockaddr at;
    fsi_backlog *log = (fsi_backlog *)fsi_io_alloc(io, sizeof *log);
    if (!log) return NULL;
    if (!fsi_iocp_extension(fsi_sock_handle(chan->fd), accept_ex, &log->accept, sizeof log->accept) ||
        !fsi_sock_name(chan->fd, &at) || !fsi_iocp_join(io, chan)) {
        fsi_io_release(io, log, sizeof *log);
        return NULL;
    }
    log->family = at.storage.ss_family;
    log->chan = chan;
    log->skips = chan->ops->skips;
    log->next = io->backlogs;
    io->backlogs = chan->ops->backlog = log;
    return log;
}

FSI_SELDOM bool fsi_io_listen(fsi_io *io, fsi_chan *chan, bool shared)
{
    fsi_backlog *log = chan->ops ? chan->ops->backlog : fsi_backlog_new(io, chan);
    (void)shared;
    if (!log) return false;
    log->listening = true;
    fsi_backlog_fill(io, log);
    return true;
}

FSI_SELDOM void fsi_io_unlisten(fsi_chan *chan)
{
    chan->ops->backlog->listening = false;
}

FSI_PRIVATE bool fsi_io_waiting(const fsi_chan *chan)
{
    // Where none can be posted nobody knows: as if there were one, which whoever takes it will learn.
    return chan->ops && (chan->ops->backlog->starved || fsi_backlog_first(chan->ops->backlog));
}

// The socket takes over the listener's properties, without which it does not even know its peer. -1: it has died.
FSI_PRIVATE int fsi_accept_finish(const fsi_accept *slot, SOCKET listener)
{
    if (slot->op.os.Internal != 0 ||
        setsockopt(slot->socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&listener, sizeof listener) != 0 ||
        !fsi_sock_unblock(slot->socket)) {
        (void)closesocket(slot->socket);
        return -1;
    }
    if (slot->home->family != AF_UNIX) (void)fsi_sock_set(slot->socket, IPPROTO_TCP, TCP_NODELAY, 1);
    return (int)slot->socket;
}

FSI_PRIVATE int fsi_io_accept(const fsi_chan *chan)
{
    fsi_backlog *log = chan->ops ? chan->ops->backlog : NULL;
    if (!log) return FSI_PENDING;
    fsi_accept *slot = fsi_backlog_first(log);
    if (!slot) {
        fsi_backlog_fill(chan->io, log);
        slot = fsi_backlog_first(log);
    }
    if (!slot) return log->starved ? FSI_EMPTY : FSI_PENDING;
    int fd = fsi_accept_finish(slot, fsi_sock_handle(chan->fd));
    slot->state = slot->state == FSI_ACCEPT_READY ? FSI_ACCEPT_FREE : FSI_ACCEPT_TAKEN;
    if (slot->state == FSI_ACCEPT_TAKEN) log->posted--;
    fsi_backlog_fill(chan->io, log);
    return fd >= 0 ? fd : FSI_FAILED;
}

// Closes connections that nobody has taken, and the sockets that are posted: some may have been connected at this
// moment, and nobody would look at the port again before the io ends. By now what is posted has been cancelled, so no
// more can come.
FSI_SELDOM void fsi_backlog_close(fsi_backlog *log)
{
    log->chan = NULL;
    log->listening = false;
    for (uint32_t i = 0; i < 2 * FSI_ACCEPTS; i++) {
        fsi_accept *slot = &log->slots[i];
        if (slot->state != FSI_ACCEPT_READY && slot->state != FSI_ACCEPT_POSTED) continue;
        (void)closesocket(slot->socket);
        if (slot->state == FSI_ACCEPT_POSTED) log->posted--;
        slot->state = slot->state == FSI_ACCEPT_READY ? FSI_ACCEPT_FREE : FSI_ACCEPT_TAKEN; // the port reports it yet
    }
}

FSI_SELDOM bool fsi_backlog_is_over(const fsi_backlog *log)
{
    if (log->chan) return false;
    for (uint32_t i = 0; i < 2 * FSI_ACCEPTS; i++)
        if (log->slots[i].state != FSI_ACCEPT_FREE) return false;
    return true;
}

// ---------------------------------------------------------------------------------------------------------
// >>iocp-port   What the port of >>io-iocp reports; closing, connecting.
// ---------------------------------------------------------------------------------------------------------

// Closing a socket ends what is in flight on it; the port still reports it. Wine goes on sending, for as long as the
// peer lets it.
FSI_PRIVATE void fsi_io_close(fsi_chan *chan, bool reset)
{
    SOCKET s = fsi_sock_handle(chan->fd);
    fsi_ops *ops = chan->ops;
    if (chan->fd < 0) return;
    if (reset) {
        struct linger now;
        now.l_onoff = 1;
        now.l_linger = 0;
        (void)setsockopt(s, SOL_SOCKET, SO_LINGER, (const char *)&now, sizeof now);
    }
    if (ops && ops->writing) (void)CancelIoEx((HANDLE)s, &ops->write.os);
    (void)closesocket(s);
    if (ops && ops->backlog) fsi_backlog_close(ops->backlog);
    chan->fd = -1;
    chan->ops = NULL;
    if (ops) {
        ops->chan = NULL;
        if (ops->writing && !ops->connecting && chan->kind == FSI_CHAN_CONN) {
            ops->closing = chan;
            return;
        }
        fsi_ops_put(chan->io, ops);
    }
    if (chan->kind == FSI_CHAN_CONN) fsi_chan_closed(chan);
}

FSI_SELDOM bool fsi_io_init(fsi_io *io, fsi_loop *loop)
{
    memset(io, 0, sizeof *io);
    fsi_chan_init(&io->wake, FSI_CHAN_WAKE);
    io->loop = loop;
    io->fd = -1;
    io->transmits = fsi_iocp_is_server();
    io->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    return io->port != NULL;
}

// A listener whose connections wait here is told in every batch until they have been taken.
FSI_PRIVATE bool fsi_backlog_tells(fsi_backlog *log)
{
    return log->listening && (log->starved || fsi_backlog_first(log));
}

FSI_PRIVATE uint32_t fsi_io_wait(fsi_io *io, uint64_t timeout_us)
{
    DWORD ms = timeout_us == UINT64_MAX         ? INFINITE
               : timeout_us / 1000 > 0x7ffffffe ? 0x7fffffff
                                                : (DWORD)(timeout_us / 1000 + (timeout_us % 1000 != 0));
    ULONG n = 0;
    uint32_t kept = io->event_count, told = io->due != NULL; // kept: see fsi_backlog_hear
    for (fsi_backlog *log = io->backlogs; log; log = log->next)
        told += fsi_backlog_tells(log) || (log->listening && log->bare);
    if (kept == FSI_IO_EVENTS || !GetQueuedCompletionStatusEx(io->port, io->events + kept, FSI_IO_EVENTS - kept, &n,
                                                              told || kept ? 0 : ms, FALSE))
        n = 0;
    io->event_count = kept + (uint32_t)n;
    for (uint32_t i = 0; i < io->event_count; i++) // before the caller looks for what it was woken for
        if (!io->events[i].lpOverlapped) (void)fsi_swap32(&io->woken, 0);
    return io->event_count + told;
}

FSI_PRIVATE void fsi_iocp_tell(fsi_io *io, fsi_chan *chan, uint32_t ready)
{
    if (chan->kind == FSI_CHAN_CLIENT)
        io->on_client(chan, ready);
    else
        fsi_chan_ready(chan, ready);
}

// What an operation that failed says, in Winsock's own codes.
FSI_SELDOM void fsi_iocp_failed(fsi_ops *ops, fsi_op *op)
{
    DWORD n = 0, flags = 0;
    if (WSAGetOverlappedResult(fsi_sock_handle(ops->chan->fd), &op->os, &n, FALSE, &flags)) return;
    ops->error = WSAGetLastError();
}

// Returns what the channel is to be told.
FSI_SELDOM uint32_t fsi_iocp_connected(fsi_ops *ops, bool failed)
{
    fsi_chan *chan = ops->chan;
    ops->connecting = false;
    chan->can_read = chan->can_write = true;
    chan->eof = failed;
    if (failed) return FSI_READY_READ | FSI_READY_WRITE;
    (void)setsockopt(fsi_sock_handle(chan->fd), SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
    (void)fsi_iocp_probe(chan);
    return FSI_READY_WRITE | (chan->can_read ? FSI_READY_READ : 0);
}

FSI_PRIVATE void fsi_iocp_read_done(fsi_io *io, fsi_ops *ops)
{
    ops->reading = false;
    if (!ops->chan) {
        fsi_ops_put(io, ops);
        return;
    }
    bool failed = ops->read.os.Internal != 0;
    if (failed) fsi_iocp_failed(ops, &ops->read);
    ops->chan->can_read = true;
    if (failed) ops->chan->eof = true;
    fsi_iocp_tell(io, ops->chan, failed && !ops->writing ? FSI_READY_READ | FSI_READY_WRITE : FSI_READY_READ);
}

FSI_PRIVATE void fsi_iocp_write_done(fsi_io *io, fsi_ops *ops, DWORD sent)
{
    fsi_chan *closed = ops->closing;
    bool failed = ops->write.os.Internal != 0;
    uint32_t ready = FSI_READY_WRITE;
    ops->writing = false;
    ops->closing = NULL;
    if (ops->part) fsi_ops_drop_part(io, ops);
    if (!ops->chan) {
        fsi_ops_put(io, ops);
        if (closed) fsi_chan_closed(closed);
        return;
    }
    if (failed) fsi_iocp_failed(ops, &ops->write);
    ops->chan->can_write = true;
    if (ops->connecting)
        ready = fsi_iocp_connected(ops, failed);
    else
        ops->sent = failed || sent == 0 ? FSI_FAILED : (int64_t)sent;
    fsi_iocp_tell(io, ops->chan, ready);
}

FSI_PRIVATE void fsi_iocp_event(fsi_io *io, const OVERLAPPED_ENTRY *event)
{
    fsi_op *op = (fsi_op *)(void *)event->lpOverlapped;
    if (!op) return; // a wake
    io->in_flight--;
    switch (op->kind) {
    case FSI_OP_READ: fsi_iocp_read_done(io, (fsi_ops *)(void *)((char *)op - offsetof(fsi_ops, read))); break;
    case FSI_OP_WRITE:
        fsi_iocp_write_done(io, (fsi_ops *)(void *)((char *)op - offsetof(fsi_ops, write)),
                            event->dwNumberOfBytesTransferred);
        break;
    case FSI_OP_ACCEPT: fsi_accept_done((fsi_accept *)(void *)op); break;
    }
}

FSI_PRIVATE void fsi_iocp_tell_due(fsi_io *io)
{
    fsi_ops *ops = io->due, *next;
    io->due = NULL;
    for (; ops; ops = next) {
        next = ops->next_due;
        ops->listed = false;
        if (ops->chan)
            fsi_iocp_tell(io, ops->chan, FSI_READY_WRITE | (ops->chan->can_read ? FSI_READY_READ : 0));
        else
            fsi_ops_put(io, ops);
    }
}

// Tells listeners, and lets go of those that have ended.
FSI_PRIVATE void fsi_iocp_tell_listeners(fsi_io *io)
{
    for (fsi_backlog *log = io->backlogs; log; log = log->next) {
        if (log->listening && log->bare) fsi_backlog_fill(io, log);
        if (fsi_backlog_tells(log)) fsi_iocp_tell(io, log->chan, FSI_READY_READ);
    }
    for (fsi_backlog **at = &io->backlogs, *log; (log = *at) != NULL;) {
        if (fsi_backlog_is_over(log)) {
            *at = log->next;
            fsi_io_release(io, log, sizeof *log);
        } else {
            at = &log->next;
        }
    }
}

FSI_PRIVATE void fsi_io_dispatch(fsi_io *io)
{
    uint32_t n = io->event_count;
    io->event_count = 0;
    if (io->due) fsi_iocp_tell_due(io);
    for (uint32_t i = 0; i < n; i++) fsi_iocp_event(io, &io->events[i]);
    if (io->backlogs) fsi_iocp_tell_listeners(io);
}

FSI_PRIVATE void fsi_io_wake(fsi_io *io)
{
    if (fsi_swap32(&io->woken, 1)) return;
    // Refused while the system's memory is short. Nobody would make up for a wake that is lost: others rely on this
    // one.
    while (!PostQueuedCompletionStatus(io->port, 0, 0, NULL)) {
        if (GetLastError() == ERROR_INVALID_HANDLE) { // the io has ended
            fsi_store32(&io->woken, 0);
            return;
        }
        Sleep(1);
    }
}

// Ends what is in flight and waits until the port has reported it all: no memory goes away that the system still knows.
// Channels that are still open lose their io; what is left of them is the socket.
FSI_SELDOM void fsi_io_free(fsi_io *io)
{
    if (!io->port) return;
    for (fsi_ops *ops = io->all; ops; ops = ops->next) {
        if (!ops->chan) continue;
        (void)CancelIoEx((HANDLE)fsi_sock_handle(ops->chan->fd), NULL);
        ops->chan->ops = NULL;
        ops->chan = NULL;
    }
    for (fsi_backlog *log = io->backlogs; log; log = log->next) fsi_backlog_close(log);
    fsi_io_dispatch(io);
    while (io->in_flight) {
        (void)fsi_io_wait(io, UINT64_MAX);
        fsi_io_dispatch(io);
    }
    for (fsi_ops *ops = io->all, *next; ops; ops = next) {
        next = ops->next;
        fsi_ops_put(io, ops);
    }
    for (fsi_ops *ops = io->spare, *next; ops; ops = next) {
        next = ops->next;
        fsi_io_release(io, ops, sizeof *ops);
    }
    fsi_iocp_tell_listeners(io);
    fsi_io_drop_part(io);
    (void)CloseHandle(io->port);
    io->port = NULL;
    io->spare = NULL;
    io->spare_count = 0;
}

#if FSI_CLIENT
// An outgoing socket must be bound before; its port is chosen when both ends are known, where the system can (10).
FSI_SELDOM bool fsi_iocp_bind(SOCKET s, const fsi_sockaddr *to, const fsi_sockaddr *from)
{
    const int reuse_unicast_port = 0x3007; // SO_REUSE_UNICASTPORT
    fsi_sockaddr any;
    struct in6_addr zero;
    memset(&zero, 0, sizeof zero);
    if (to->storage.ss_family == AF_INET6)
        fsi_sockaddr_v6(&any, &zero, 0);
    else
        fsi_sockaddr_v4(&any, 0, 0);
    if (!from) from = &any;
    (void)fsi_sock_set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    (void)fsi_sock_set(s, SOL_SOCKET, reuse_unicast_port, 1);
    return bind(s, (const struct sockaddr *)(const void *)&from->storage, from->len) == 0;
}

// Unix-domain sockets know no ConnectEx; theirs ends at once, so it blocks for nothing.
FSI_SELDOM bool fsi_iocp_connect(fsi_ops *ops, SOCKET s, const fsi_sockaddr *to)
{
    const struct sockaddr *name = (const struct sockaddr *)(const void *)&to->storage;
    GUID connect_ex = WSAID_CONNECTEX;
    LPFN_CONNECTEX start = NULL;
    DWORD sent = 0;
    if (to->storage.ss_family == AF_UNIX) return connect(s, name, to->len) == 0 && fsi_sock_unblock(s);
    if (!fsi_sock_unblock(s) || !fsi_iocp_extension(s, connect_ex, &start, sizeof start)) return false;
    bool at_once = start(s, name, to->len, NULL, 0, &sent, &ops->write.os);
    if (!at_once && WSAGetLastError() != ERROR_IO_PENDING) return false;
    ops->connecting = true;
    ops->writing = !at_once || !ops->skips;
    return true;
}

FSI_SELDOM int fsi_io_connect(fsi_io *io, fsi_chan *chan, const fsi_sockaddr *to, const fsi_sockaddr *from,
                              int *os_error)
{
    SOCKET s = fsi_sock_new(to->storage.ss_family);
    fsi_ops *ops = NULL;
    chan->fd = (int)s;
    if (s == INVALID_SOCKET) goto fail;
    if (to->storage.ss_family != AF_UNIX && !fsi_iocp_bind(s, to, from)) goto fail;
    ops = fsi_iocp_join(io, chan);
    if (!ops || !fsi_iocp_connect(ops, s, to)) goto fail;
    chan->can_read = chan->can_write = false;
    if (ops->writing) {
        io->in_flight++;
        return FSI_PENDING;
    }
    (void)fsi_iocp_connected(ops, false);
    fsi_iocp_due(io, ops);
    return FSI_PENDING;
fail:
    *os_error = WSAGetLastError();
    if (s != INVALID_SOCKET) (void)closesocket(s);
    chan->fd = -1;
    chan->ops = NULL;
    if (ops) {
        ops->chan = NULL;
        fsi_ops_put(io, ops);
    }
    return FSI_FAILED;
}

FSI_SELDOM uint32_t fsi_io_retransmits(const fsi_chan *chan)
{
    (void)chan;
    return 0;
}
#endif
#endif // >>io-iocp

// ---------------------------------------------------------------------------------------------------------
// >>router   A tree of path segments, made before the server runs and only read afterwards. Literal children are
//            tried first, then ":name", then "*"; the walk backtracks, so that a better path without the method does
//            not hide a worse one with it.
// ---------------------------------------------------------------------------------------------------------

#define FSI_METHODS_ANY \
    (1u << FSI_GET | 1u << FSI_HEAD | 1u << FSI_POST | 1u << FSI_PUT | 1u << FSI_DELETE | 1u << FSI_PATCH)

FSI_PRIVATE const char *fsi_method_text(const fsv_server *server, uint32_t method)
{
    static const char *const names[FSI_METHODS] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                   "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    return method < FSI_METHODS ? names[method] : server->other_methods[method - FSI_METHODS];
}

// Index of a method that is none of RFC 9110's, if a route has it; FSI_METHOD_OTHER if not.
FSI_SELDOM uint8_t fsi_method_other(const fsv_server *server, const char *text, size_t len)
{
    for (uint32_t i = 0; i < server->other_method_count; i++)
        if (strlen(server->other_methods[i]) == len && memcmp(server->other_methods[i], text, len) == 0)
            return (uint8_t)(FSI_METHODS + i);
    return FSI_METHOD_OTHER;
}

// "GET, HEAD, OPTIONS" of method bits. out has room for all of them.
#define FSI_ALLOW_BYTES 1024
FSI_SELDOM size_t fsi_allow_text(const fsv_server *server, uint32_t methods, char *out)
{
    char *at = out;
    for (uint32_t i = 0; i < FSI_METHODS + server->other_method_count; i++) {
        if (!(methods >> i & 1)) continue;
        const char *name = fsi_method_text(server, i);
        if (at != out) at = FSI_PUT(at, ", ");
        at = fsi_put(at, name, strlen(name));
    }
    *at = 0;
    return (size_t)(at - out);
}

FSI_PRIVATE uint32_t fsi_route_methods(const fsi_route *route)
{
    if (route->method == FSI_METHOD_ANY) return FSI_METHODS_ANY | 1u << FSI_OPTIONS;
    return 1u << route->method | (route->method == FSI_GET ? 1u << FSI_HEAD : 0) | 1u << FSI_OPTIONS;
}

FSI_PRIVATE const char *fsi_node_text(const fsi_node *node)
{
    return (const char *)(node + 1);
}

FSI_SELDOM fsi_node *fsi_node_new(const fsv_server *server, const char *text, size_t len)
{
    fsi_node *node = (fsi_node *)fsi_alloc_zero(server, sizeof(fsi_node) + len + 1);
    if (!node) return NULL;
    node->bytes = sizeof(fsi_node) + len + 1;
    node->text_len = (uint32_t)len;
    if (len) memcpy(node + 1, text, len);
    return node;
}

// The child for one segment of a pattern, made if it is not there yet. NULL: out of memory.
FSI_SELDOM fsi_node *fsi_node_child(const fsv_server *server, fsi_node *node, const char *segment, size_t len)
{
    fsi_node **at = len && segment[0] == ':' ? &node->param : len == 1 && segment[0] == '*' ? &node->rest : NULL;
    if (at) {
        if (!*at) *at = fsi_node_new(server, "", 0);
        return *at;
    }
    for (at = &node->literal; *at; at = &(*at)->next)
        if ((*at)->text_len == len && memcmp(fsi_node_text(*at), segment, len) == 0) return *at;
    return *at = fsi_node_new(server, segment, len);
}

FSI_SELDOM void fsi_node_free(const fsv_server *server, fsi_node *node)
{
    if (!node) return;
    for (fsi_node *child = node->literal, *next; child; child = next) {
        next = child->next;
        fsi_node_free(server, child);
    }
    fsi_node_free(server, node->param);
    fsi_node_free(server, node->rest);
    for (fsi_route *route = node->routes, *next; route; route = next) {
        next = route->next;
        fsi_release(server, route, route->bytes);
    }
    fsi_release(server, node, node->bytes);
}

typedef struct fsi_match {
    fsv_request *request; // gets the parameters
    const char *path;
    uint32_t len;
    uint8_t method;
    uint32_t allow; // methods of every pattern that matched
} fsi_match;

FSI_PRIVATE const fsi_route *fsi_node_route(const fsi_node *node, fsi_match *match)
{
    const fsi_route *get = NULL, *any = NULL;
    for (const fsi_route *route = node->routes; route; route = route->next)
        if (route->method == match->method) return route;
    for (const fsi_route *route = node->routes; route; route = route->next) {
        match->allow |= fsi_route_methods(route);
        if (route->method == FSI_GET) get = route;
        if (route->method == FSI_METHOD_ANY) any = route;
    }
    if (match->method == FSI_HEAD && get) return get;
    return match->method < FSI_METHODS && (FSI_METHODS_ANY >> match->method & 1) ? any : NULL;
}

// Each node is visited at most once, so the walk is bounded by the size of the tree, whatever the path.
FSI_PRIVATE const fsi_route *fsi_node_match(const fsi_node *node, fsi_match *match, uint32_t at, uint32_t depth)
{
    const char *segment = match->path + at;
    const char *slash = at < match->len ? (const char *)memchr(segment, '/', match->len - at) : NULL;
    uint32_t len = slash ? (uint32_t)(slash - segment) : match->len - at;
    const fsi_route *route;
    for (const fsi_node *child = node->literal; child; child = child->next) {
        if (child->text_len != len || memcmp(fsi_node_text(child), segment, len) != 0) continue;
        route = slash ? fsi_node_match(child, match, at + len + 1, depth) : fsi_node_route(child, match);
        if (route) return route;
    }
    if (depth >= FSI_PARAMS_MAX) return NULL;
    if (node->param && len) {
        route =
            slash ? fsi_node_match(node->param, match, at + len + 1, depth + 1) : fsi_node_route(node->param, match);
        if (route) {
            match->request->param_at[depth] = at;
            match->request->param_len[depth] = len;
            return route;
        }
    }
    if (!node->rest) return NULL;
    route = fsi_node_route(node->rest, match);
    if (route) {
        match->request->param_at[depth] = at;
        match->request->param_len[depth] = match->len - at;
    }
    return route;
}

// ---------------------------------------------------------------------------------------------------------
// >>guests   How many connections each address has. Asked once when a connection comes and once when it has gone, and
//            not at all where only this machine can connect, or where one address may have as many as all.
// ---------------------------------------------------------------------------------------------------------

// What counts as one address: of IPv6 the first 64 bits, since a single customer has all of the rest; a link has them in
// common, so there 48 bits of the other half. IPv4 stands among prefixes that nobody has. 0: not counted.
FSI_SELDOM uint64_t fsi_guest_key(const fsi_sockaddr *at)
{
    const uint64_t v4 = (uint64_t)1 << 48;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    uint64_t half[2] = {0, 0};
    if (at->storage.ss_family == AF_INET) {
        memcpy(&in4, &at->storage, sizeof in4);
        half[1] = ntohl(in4.sin_addr.s_addr);
        return half[1] >> 24 == 127 ? 0 : v4 | half[1];
    }
    if (at->storage.ss_family != AF_INET6) return 0;
    memcpy(&in6, &at->storage, sizeof in6);
    for (int i = 0; i < 16; i++) half[i / 8] = half[i / 8] << 8 | in6.sin6_addr.s6_addr[i];
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) return (half[1] >> 24 & 255) == 127 ? 0 : v4 | (half[1] & UINT32_MAX);
    if (half[0] >> 54 == 0x3fa) return (uint64_t)0xfe80 << 48 | half[1] << 16 >> 16;
    return half[0]; // of ::1 it is 0
}

FSI_SELDOM uint64_t fsi_guest_hash(const fsv_server *server, uint64_t key)
{
    key = (key ^ server->guests_seed) * UINT64_C(0x9e3779b97f4a7c15);
    key = (key ^ key >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return key ^ key >> 32;
}

// Under the lock: where a key stands, or the free place where it would.
FSI_SELDOM uint32_t fsi_guest_find(const fsi_guests *guests, uint64_t key, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (guests->size - 1);
    while (guests->places[at].count && guests->places[at].key != key) at = (at + 1) & (guests->size - 1);
    return at;
}

// Under the lock. False: out of memory.
FSI_SELDOM bool fsi_guests_grow(const fsv_server *server, fsi_guests *guests)
{
    fsi_guests more = *guests;
    more.size = guests->size ? guests->size * 2 : FSI_GUESTS_MIN;
    more.places = (fsi_guest *)fsi_alloc_zero(server, sizeof(fsi_guest) * (size_t)more.size);
    if (!more.places) return false;
    for (uint32_t i = 0; i < guests->size; i++) {
        const fsi_guest *guest = &guests->places[i];
        if (guest->count) more.places[fsi_guest_find(&more, guest->key, fsi_guest_hash(server, guest->key))] = *guest;
    }
    fsi_release(server, guests->places, sizeof(fsi_guest) * (size_t)guests->size);
    guests->places = more.places;
    guests->size = more.size;
    return true;
}

// Any thread. One connection more of an address: returns how many it has now, 0: out of memory.
FSI_SELDOM uint32_t fsi_guest_enter(fsv_server *server, uint64_t key)
{
    uint64_t hash = fsi_guest_hash(server, key);
    fsi_guests *guests = &server->guests[hash >> 61];
    uint32_t count = 0;
    fsi_lock_take(&guests->lock);
    // Half of the places are free, or, without memory, one of them: that ends each search.
    if (guests->used * 2 < guests->size || fsi_guests_grow(server, guests) || guests->used + 1 < guests->size) {
        fsi_guest *guest = &guests->places[fsi_guest_find(guests, key, hash)];
        guest->key = key;
        count = ++guest->count;
        guests->used += count == 1;
    }
    fsi_lock_give(&guests->lock);
    return count;
}

// Any thread. What stands behind a place that becomes free moves up, so that it is still found.
FSI_SELDOM void fsi_guest_leave(fsv_server *server, uint64_t key)
{
    uint64_t hash = fsi_guest_hash(server, key);
    fsi_guests *guests = &server->guests[hash >> 61];
    fsi_lock_take(&guests->lock);
    uint32_t mask = guests->size - 1, hole = fsi_guest_find(guests, key, hash);
    if (--guests->places[hole].count == 0) {
        guests->used--;
        for (uint32_t at = (hole + 1) & mask; guests->places[at].count; at = (at + 1) & mask) {
            uint32_t home = (uint32_t)fsi_guest_hash(server, guests->places[at].key) & mask;
            if (((at - home) & mask) < ((at - hole) & mask)) continue;
            guests->places[hole] = guests->places[at];
            guests->places[at].count = 0;
            hole = at;
        }
    }
    fsi_lock_give(&guests->lock);
}

FSI_SELDOM bool fsi_guests_init(fsv_server *server)
{
    server->guests_seed = fsi_clock_ns() * UINT64_C(0xd6e8feb86659fd93) ^ (uint64_t)(uintptr_t)server << 16;
    for (int i = 0; i < FSI_GUEST_SHARDS; i++)
        if (!fsi_lock_init(&server->guests[i].lock)) return false;
    return true;
}

FSI_SELDOM void fsi_guests_free(fsv_server *server)
{
    for (int i = 0; i < FSI_GUEST_SHARDS; i++) {
        fsi_release(server, server->guests[i].places, sizeof(fsi_guest) * (size_t)server->guests[i].size);
        fsi_lock_free(&server->guests[i].lock);
    }
}

// ---------------------------------------------------------------------------------------------------------
// >>conn   One connection: a state machine over its channel, whose bytes are read into the loop's buffer and whose
//          answers gather in the loop's other one.
//
//   HEAD      reads and parses; between requests it holds nothing       -> BODY EXCHANGE SEND CLOSE
//   BODY      collects a whole body into a block of the request         -> HEAD EXCHANGE SEND CLOSE
//   EXCHANGE  offers body pieces, asks for response pieces              -> HEAD SEND CLOSE
//   SEND      answered; the peer has yet to take it                     -> HEAD LINGER CLOSE
//   LINGER    answered and half closed; reads off what still comes      -> CLOSE
//   TCP       raw, from its first byte on: see >>tcp                    -> SEND CLOSE
//   CLOSE     the socket is gone; memory returns after the batch
//
//          A turn ends when every step says that it waits: for bytes, for room, or for the next turn because its
//          budget is spent. Then the answers leave in one send, and what is not used yet or was not taken goes into
//          blocks that the connection owns.
// ---------------------------------------------------------------------------------------------------------

// Upcalls, in >>files.
static void fsi_asset_drop(fsi_asset *asset);
static bool fsi_files_send(fsi_conn *conn);
static void fsi_files_stay_cold(fsi_conn *conn);
static void fsi_files_answer(fsi_conn *conn, fsv_request *request);
static void fsi_files_begin(fsi_conn *conn, fsv_request *request);
static void fsi_want_end(fsv_request *request);

// ---- sending

// Takes the first of the queue off. Owned memory goes back to its owner; `ptr` moved while it was sent, `end` says
// how far.
FSI_SELDOM void fsi_out_drop(fsi_conn *conn)
{
    fsi_out *out = conn->out;
    conn->out = out->next;
    if (!conn->out) conn->out_last = NULL;
    if (out->release) out->release((void *)(uintptr_t)(out->ptr - out->end), out->release_user);
    if (out->asset) fsi_asset_drop(out->asset);
    fsi_block_put(conn->loop, out, out->bytes);
}

FSI_SELDOM void fsi_conn_count_queued(fsi_conn *conn, size_t more)
{
    fsi_store32(&conn->out_queued,
                more > UINT32_MAX - conn->out_queued ? UINT32_MAX : conn->out_queued + (uint32_t)more);
}

FSI_SELDOM fsi_out *fsi_out_append(fsi_conn *conn, size_t room)
{
    size_t got;
    fsi_out *out = (fsi_out *)fsi_block_get(conn->loop, sizeof(fsi_out) + room, &got);
    if (!out) return NULL;
    memset(out, 0, sizeof *out);
    out->bytes = got;
    if (conn->out_last)
        conn->out_last->next = out;
    else
        conn->out = out;
    conn->out_last = out;
    return out;
}

// Adds a copy to the last of the queue, if that has room. last: NULL: there is none.
FSI_SELDOM bool fsi_out_add(fsi_out *last, const char *ptr, size_t len)
{
    if (!last || last->release || last->asset || last->bytes - sizeof(fsi_out) - last->end < len) return false;
    memcpy((char *)(last + 1) + last->end, ptr, len);
    last->end += len;
    last->len += len;
    return true;
}

// Queues a copy. False: out of memory, the connection is broken.
FSI_SELDOM bool fsi_conn_queue_copy(fsi_conn *conn, const char *ptr, size_t len)
{
    if (len == 0) return true;
    if (!fsi_out_add(conn->out_last, ptr, len)) {
        fsi_out *last = fsi_out_append(conn, len);
        if (!last) {
            conn->broken = true;
            return false;
        }
        memcpy(last + 1, ptr, len);
        last->ptr = (const char *)(last + 1);
        last->len = last->end = len;
    }
    fsi_conn_count_queued(conn, len);
    return true;
}

static void fsi_release_nothing(void *memory, void *user)
{
    (void)memory;
    (void)user;
}

// Queues memory of which `sent` bytes have left already; released when the rest has, or at once if the queue cannot
// take it.
FSI_SELDOM void fsi_conn_queue_owned(fsi_conn *conn, const char *ptr, size_t len, size_t sent,
                                     fsv_release_handler release, void *user)
{
    fsi_out *out = sent < len && !conn->broken ? fsi_out_append(conn, 0) : NULL;
    if (!out) {
        if (sent < len) conn->broken = true;
        if (release) release((void *)(uintptr_t)ptr, user);
        return;
    }
    out->ptr = ptr + sent;
    out->len = len - sent;
    out->end = sent;
    out->release = release ? release : fsi_release_nothing;
    out->release_user = user;
    fsi_conn_count_queued(conn, out->len);
}

// Bytes begin to wait for the peer.
FSI_SELDOM void fsi_conn_waits(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    conn->given = fsi_sock_unsent(conn->chan.fd);
    fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + loop->server->desc.send_timeout_ms);
}

// Queues a part of a file, which the caller holds for it.
FSI_SELDOM void fsi_conn_queue_file(fsi_conn *conn, fsi_asset *asset, uint64_t at, uint64_t len)
{
    bool was_empty = conn->out == NULL;
    fsi_out *out = conn->broken ? NULL : fsi_out_append(conn, 0);
    if (!out) {
        conn->broken = true;
        fsi_asset_drop(asset);
        return;
    }
    out->asset = asset;
    out->at = at;
    out->left = len;
    if (was_empty) fsi_conn_waits(conn);
}

// Some of what waits was sent.
FSI_INLINE void fsi_conn_has_sent(fsi_conn *conn, uint64_t sent)
{
    FSI_COUNT(conn->loop, bytes_sent, sent);
    conn->given = sent > UINT32_MAX - conn->given ? UINT32_MAX : conn->given + (uint32_t)sent;
}

// The window has ended, and bytes still wait. Has the peer taken enough of them? Then the next one has begun.
FSI_PRIVATE bool fsi_conn_was_read(fsi_conn *conn)
{
    const fsv_server_desc *desc = &conn->loop->server->desc;
    uint64_t need = (uint64_t)desc->send_rate_min * desc->send_timeout_ms / 1000;
    uint32_t held = fsi_sock_unsent(conn->chan.fd), taken = conn->given > held ? conn->given - held : 0;
    if (taken < (need == 0 ? 1 : need)) return false;
    conn->given = held;
    fsi_timer_add(&conn->loop->wheel, &conn->timer, conn->loop->now_ms + desc->send_timeout_ms);
    return true;
}

// Sends from the queue until it is empty or the socket has enough. True: it stopped because others have their turn.
FSI_SELDOM bool fsi_conn_send_queue(fsi_conn *conn)
{
    while (conn->out && !conn->broken) {
        fsi_buf bufs[FSI_PARTS_MAX];
        uint32_t count = 0;
        if (FSI_UNLIKELY(conn->out->asset != NULL)) {
            bool again = fsi_files_send(conn);
            if (conn->out && conn->out->asset) return again;
            continue;
        }
        for (fsi_out *out = conn->out; out && count < FSI_PARTS_MAX && !out->asset; out = out->next, count++) {
            bufs[count].ptr = out->ptr;
            bufs[count].len = out->len;
        }
        int64_t sent = fsi_io_write(&conn->chan, bufs, count, true);
        if (sent == FSI_PENDING) return false;
        if (sent < 0) {
            conn->broken = true;
            return false;
        }
        fsi_conn_has_sent(conn, (uint64_t)sent);
        for (uint64_t left = (uint64_t)sent; left;) {
            fsi_out *out = conn->out;
            size_t n = left < out->len ? (size_t)left : out->len;
            out->ptr += n;
            out->len -= n;
            if (out->release) out->end += n;
            left -= n;
            fsi_store32(&conn->out_queued, conn->out_queued > n ? conn->out_queued - (uint32_t)n : 0);
            if (out->len == 0) fsi_out_drop(conn);
        }
        if (!conn->out) fsi_store32(&conn->out_queued, 0);
    }
    return false;
}

// Sends what gathered in the loop's buffer and then these bytes, in one call; the rest is queued: the gathered bytes
// as a copy, these as a copy or, with keep_ptr, as they stand (release tells the owner when).
FSI_PRIVATE void fsi_conn_write_through(fsi_conn *conn, const char *ptr, size_t len, bool keep_ptr,
                                        fsv_release_handler release, void *user)
{
    fsi_loop *loop = conn->loop;
    size_t gathered = loop->out_len, sent = 0;
    bool was_empty = conn->out == NULL;
    loop->out_len = 0;
    if (was_empty && !conn->broken && gathered + len) {
        fsi_buf bufs[2];
        bufs[0].ptr = loop->out;
        bufs[0].len = gathered;
        bufs[1].ptr = ptr;
        bufs[1].len = len;
        int64_t result = gathered && len ? fsi_io_write(&conn->chan, bufs, 2, false)
                         : gathered      ? fsi_io_write(&conn->chan, bufs, 1, false)
                                         : fsi_io_write(&conn->chan, bufs + 1, 1, false);
        if (result == FSI_FAILED) conn->broken = true;
        if (result > 0) {
            sent = (size_t)result;
            FSI_COUNT(loop, bytes_sent, sent);
        }
    }
    if (!conn->broken && sent < gathered) fsi_conn_queue_copy(conn, loop->out + sent, gathered - sent);
    size_t sent_of_these = sent > gathered ? sent - gathered : 0;
    if (keep_ptr)
        fsi_conn_queue_owned(conn, ptr, len, sent_of_these, release, user);
    else if (!conn->broken && sent_of_these < len)
        fsi_conn_queue_copy(conn, ptr + sent_of_these, len - sent_of_these);
    if (was_empty && conn->out && !conn->broken) {
        fsi_conn_waits(conn);
        (void)fsi_conn_send_queue(conn); // from memory that stays: now the io may keep it
    }
}

FSI_PRIVATE void fsi_conn_flush(fsi_conn *conn)
{
    if (conn->loop->out_len) fsi_conn_write_through(conn, NULL, 0, false, NULL, NULL);
}

// Room for n more bytes in the send buffer, n <= FSI_OUT_BYTES. What gathered before leaves if it must.
FSI_INLINE char *fsi_conn_room(fsi_conn *conn, size_t n)
{
    fsi_loop *loop = conn->loop;
    if (FSI_UNLIKELY(loop->out_len + n > FSI_OUT_BYTES)) fsi_conn_flush(conn);
    return loop->out + loop->out_len;
}

// Adds copied bytes, however many.
FSI_INLINE void fsi_conn_put_bytes(fsi_conn *conn, const char *ptr, size_t len)
{
    if (len <= FSI_OUT_BYTES / 4) {
        char *at = fsi_conn_room(conn, len);
        if (len) memcpy(at, ptr, len);
        conn->loop->out_len += len;
    } else {
        fsi_conn_write_through(conn, ptr, len, false, NULL, NULL);
    }
}

// Any thread. Sets a slot of the loop's inbox aside for one message to come; for_long: of a request that goes away.
// False: none is left.
FSI_PRIVATE bool fsi_loop_reserve(fsi_loop *loop, bool for_long)
{
    uint64_t others =
        for_long ? (loop->inbox.mask + 8) / 8 : 0; // requests that are away for long leave room for posts and moves
    if (fsi_add32(&loop->reserved, 1) + others <= loop->inbox.mask) return true;
    (void)fsi_add32(&loop->reserved, (uint32_t)-1);
    return false;
}

FSI_PRIVATE void fsi_loop_unreserve(fsi_loop *loop)
{
    (void)fsi_add32(&loop->reserved, (uint32_t)-1);
}

// ---- the request's life

FSI_INLINE fsv_request *fsi_conn_request(fsi_conn *conn)
{
    return conn->request ? conn->request : &conn->loop->scratch;
}

// Moves the request from the loop's scratch into a block of its own, so that it outlives the turn. False: out of
// memory.
FSI_PRIVATE bool fsi_conn_detach_request(fsi_conn *conn)
{
    fsv_request *from = &conn->loop->scratch, *to;
    size_t fields = sizeof(fsi_field) * from->head.field_count, got;
    size_t path = from->head.escaped ? from->path_len : 0, body = from->collect ? 0 : from->body_len;
    if (conn->request) return true;
    to = (fsv_request *)fsi_block_get(conn->loop, sizeof *to + fields + from->head.bytes + path + body, &got);
    if (!to) return false;
    *to = *from;
    to->bytes = got;
    to->fields = (fsi_field *)(void *)(to + 1);
    char *base = (char *)(to + 1) + fields, *at = base;
    if (fields) memcpy(to->fields, from->fields, fields);
    at = fsi_put(at, from->base, from->head.bytes);
    to->base = base;
    to->path = path ? at : base + from->head.path;
    if (path) at = fsi_put(at, from->path, path);
    if (body) {
        to->body = at;
        (void)fsi_put(at, from->body, body);
    }
    conn->request = to;
    return true;
}

FSI_RARE void fsi_count_status(fsi_loop *loop, uint32_t status)
{
    if (status < 300)
        FSI_COUNT(loop, answers_2xx, 1);
    else if (status < 400)
        FSI_COUNT(loop, answers_3xx, 1);
    else if (status < 500)
        FSI_COUNT(loop, answers_4xx, 1);
    else
        FSI_COUNT(loop, answers_5xx, 1);
}

// On the connection's thread. The system is asked for the address once, since an access log wants it for each answer;
// of one that the peer has reset it knows nothing any more. False: not known.
FSI_SELDOM bool fsi_conn_peer(fsi_conn *conn, fsi_sockaddr *at)
{
    if (conn->peer_known) {
        memset(at, 0, sizeof *at);
        memcpy(&at->storage, conn->peer, sizeof conn->peer);
        return true;
    }
    conn->peer_known = conn->chan.fd >= 0 && fsi_sock_peer(conn->chan.fd, at);
    if (conn->peer_known) memcpy(conn->peer, &at->storage, sizeof conn->peer);
    return conn->peer_known;
}

// Notes what on_answer is told of a request that begins.
FSI_RARE void fsi_begin_answer(fsi_conn *conn, fsv_request *request)
{
    fsi_sockaddr at;
    request->begun_us = fsi_clock_ns() / 1000;
    if (!conn->peer_known) (void)fsi_conn_peer(conn, &at);
}

FSI_RARE void fsi_tell_answer(fsi_conn *conn, const fsv_request *request, uint32_t status, uint64_t bytes,
                              uint64_t begun_us)
{
    fsi_loop *loop = conn->loop;
    fsv_answer answer;
    answer.status = status;
    answer.loop = loop->index;
    answer.body_bytes = bytes;
    answer.duration_us = begun_us ? fsi_clock_ns() / 1000 - begun_us : 0;
    answer.request = request;
    answer.refusal = loop->refusal;
    answer.conn = conn;
    loop->server->desc.on_answer(&answer, loop->server->desc.user);
}

// Any thread. cap: room for len bytes and those that may be added. NULL: out of memory.
FSI_PRIVATE fsi_chunk *fsi_chunk_new(const fsv_server *server, const void *data, size_t len, size_t cap)
{
    fsi_chunk *chunk = (fsi_chunk *)fsi_alloc(server, sizeof *chunk + cap);
    if (!chunk) return NULL;
    chunk->next = NULL;
    chunk->len = len;
    chunk->cap = cap;
    memcpy(chunk + 1, data, len);
    return chunk;
}

FSI_PRIVATE void fsi_chunk_free(const fsv_server *server, fsi_chunk *chunk)
{
    fsi_release(server, chunk, sizeof *chunk + chunk->cap);
}

// Gives a job's memory back, and what it still holds.
FSI_PRIVATE void fsi_job_free(fsi_loop *loop, fsi_job *job)
{
    fsi_reply *reply = &job->reply;
    if (reply->release) reply->release((void *)(uintptr_t)reply->body, reply->release_user);
    while (job->first) {
        fsi_chunk *chunk = job->first;
        job->first = chunk->next;
        fsi_chunk_free(loop->server, chunk);
    }
    fsi_block_put(loop, job, job->bytes);
}

// The block of a request that is about to leave. NULL: out of memory.
FSI_PRIVATE fsi_job *fsi_job_new(fsi_conn *conn)
{
    size_t got;
    fsi_job *job = (fsi_job *)fsi_block_get(conn->loop, FSI_JOB_BYTES, &got);
    if (!job) return NULL;
    memset(job, 0, sizeof *job);
    job->bytes = got;
    job->loop = conn->loop;
    job->conn = conn;
    job->last = &job->first;
    job->queued_us = conn->loop->now_us;
    return job;
}

// Ends the request: tells its owner, returns its memory. The connection's state is the caller's to set.
FSI_PRIVATE void fsi_conn_end_request(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    if (request->status && loop->server->desc.on_answer)
        fsi_tell_answer(conn, request, request->status, request->out_bytes, request->begun_us);
    if (conn->state == FSI_CONN_BODY) request->route = NULL; // its handler was not called, so neither is on_close
    if (request->route && request->route->on_close) request->route->on_close(request, request->route->user);
    if (request->more) fsi_block_put(loop, request->more, request->more_cap);
    if (request->collect) fsi_block_put(loop, request->collect, request->collect_cap);
    request->more = request->collect = NULL;
    if (FSI_UNLIKELY(request->want.path != NULL)) fsi_want_end(request);
    request->route = NULL;
    if (FSI_UNLIKELY(request->job != NULL)) fsi_job_free(loop, request->job);
    request->job = NULL;
    if (conn->request) {
        fsi_block_put(loop, conn->request, conn->request->bytes);
        conn->request = NULL;
    }
}

// Under the lock: takes the token back from its holder, who learns it when he tries.
FSI_SELDOM bool fsi_job_reclaim(fsi_job *job)
{
    fsi_token *token = job->token;
    if (!token || job->answered || job->reclaimed) return false;
    token->state = FSI_TOKEN_GONE;
    token->job = NULL;
    job->reclaimed = true;
    return true;
}

// Under the lock, of a job whose stream goes no further: does nobody but the loop have to do with it, now or later?
// Else it comes home by a message, which is under way or its handler's last.
FSI_PRIVATE bool fsi_job_is_mine(fsi_job *job)
{
    if (job->awake) job->awake = job->told = false;
    return job->token && !job->running && !job->told;
}

// The connection ends while its request is away. Either that ends here too, or when it comes home.
FSI_SELDOM void fsi_job_cancel(fsi_conn *conn, fsi_job *job)
{
    fsi_lock *lock = &conn->loop->server->token_lock;
    fsi_store32(&job->cancelled, 1);
    fsi_lock_take(lock);
    (void)fsi_job_reclaim(job);
    bool mine = fsi_job_is_mine(job);
    if (job->token && conn->loop->server->token_waiters) fsi_signal_all(&conn->loop->server->token_room);
    fsi_lock_give(lock);
    if (!mine) return;
    fsi_loop_unreserve(conn->loop);
    conn->away = false;
    fsi_conn_end_request(conn, conn->request);
}

static void fsi_tcp_over(fsi_conn *conn); // upcalls, in >>tcp
static bool fsi_tcp_step(fsi_conn *conn);

// Closes the socket. Whatever the connection holds goes back; its struct does after the batch.
FSI_PRIVATE void fsi_conn_close(fsi_conn *conn, bool reset)
{
    bool away = conn->away;
    if (conn->state == FSI_CONN_CLOSE || conn->state == FSI_CONN_FREE) return;
    if (away && conn->request) { // it has one
        conn->broken = true;
        fsi_job_cancel(conn, conn->request->job);
    } else if (conn->state == FSI_CONN_BODY || conn->state == FSI_CONN_EXCHANGE || conn->state == FSI_CONN_AWAY) {
        conn->broken = true;
        fsi_conn_end_request(conn, fsi_conn_request(conn));
    }
    if (FSI_UNLIKELY(conn->state == FSI_CONN_TCP)) fsi_tcp_over(conn);
    conn->state = FSI_CONN_CLOSE;
    fsi_timer_remove(&conn->timer);
    if (away) fsi_lock_take(&conn->loop->server->token_lock); // a worker may be asking who the peer is
    fsi_io_close(&conn->chan, reset);
    if (away) fsi_lock_give(&conn->loop->server->token_lock);
}

// Puts a closed connection where its memory returns, once the io has let it go and no list has it.
FSI_PRIVATE void fsi_conn_bury_later(fsi_conn *conn)
{
    if (!conn->let_go || conn->listed || conn->away || conn->warming) return;
    conn->next = conn->loop->close_list;
    conn->loop->close_list = conn;
}

// Upcall of >>io: the system holds nothing of this connection any more.
static void fsi_chan_closed(fsi_chan *chan)
{
    fsi_conn *conn = (fsi_conn *)(void *)chan;
    fsi_loop *loop = conn->loop;
    while (conn->out) fsi_out_drop(conn);
    if (conn->carry) fsi_block_put(loop, conn->carry, conn->carry_cap);
    conn->carry = NULL;
    conn->let_go = true;
    fsi_conn_bury_later(conn);
}

// ---- answering

// Tells a client that waits for it to send its body, unless some of it has come already.
FSI_SELDOM void fsi_conn_say_continue(fsi_conn *conn)
{
    if (!conn->want_100) return;
    conn->want_100 = false;
    if (conn->loop->in_at < conn->loop->in_len) return;
    char *at = fsi_conn_room(conn, 32);
    at = FSI_PUT(at, "HTTP/1.1 100 Continue\r\n\r\n");
    conn->loop->out_len = (size_t)(at - conn->loop->out);
}

// Somebody waits for the thread that serves this connection.
FSI_SELDOM bool fsi_model_crowded(const fsi_loop *loop)
{
    const fsv_server *server = loop->server;
    if (server->desc.model == FSV_MODEL_POOL_CONN) return fsi_queue_count(&server->pool.lanes[0].queue) != 0;
    return fsi_load32(&server->crowded) != 0;
}

// Decides whether the connection stays open after the answer that is about to be written.
FSI_INLINE bool fsi_conn_will_keep(fsi_conn *conn, const fsv_request *request, bool whole)
{
    fsi_loop *loop = conn->loop;
    if (!conn->keep || request->closing || loop->stopping) return false;
    if (FSI_UNLIKELY(loop->server->desc.model) && fsi_model_crowded(loop)) return false;
    if (conn->body_done || !whole) return true;
    // Answered before the body was read: what has come already can be passed over, more cannot be waited for.
    return !conn->body_chunked && conn->body_left <= loop->in_len - loop->in_at;
}

// Writes the head of an answer into the send buffer.
FSI_INLINE void fsi_conn_put_head_of(fsi_conn *conn, fsv_request *request, uint32_t status, const char *type,
                                     size_t type_len, uint64_t length, bool chunked, bool whole, fsv_str lines)
{
    fsi_loop *loop = conn->loop;
    fsi_head_out head;
    if (FSI_UNLIKELY(conn->want_100)) {
        if (!whole) fsi_conn_say_continue(conn); // a final answer tells the client not to send; a stream wants its body
        conn->want_100 = false;
    }
    conn->keep =
        fsi_conn_will_keep(conn, request, whole) && (length != FSV_LENGTH_UNKNOWN || chunked || request->no_body);
    head.status = status;
    head.date = loop->date_line;
    head.type = type;
    head.type_len = type_len;
    head.more = request->more;
    head.more_len = request->more_len;
    head.lines = lines.ptr;
    head.lines_len = lines.len;
    head.length = length;
    head.has_length = length != FSV_LENGTH_UNKNOWN && status != 204 && status != 304;
    head.chunked = chunked;
    head.say_close = !conn->keep;
    head.say_keep = request->head.minor == 0;
    char *at = fsi_conn_room(conn, FSI_HEAD_ROOM + type_len + request->more_len + lines.len);
    loop->out_len = (size_t)(fsi_write_head(at, &head) - loop->out);
    request->status = status;
    if (FSI_LIKELY(status < 300))
        FSI_COUNT(loop, answers_2xx, 1);
    else
        fsi_count_status(loop, status);
}

FSI_INLINE void fsi_conn_put_head(fsi_conn *conn, fsv_request *request, uint32_t status, const char *type,
                                  size_t type_len, uint64_t length, bool chunked, bool whole)
{
    fsi_conn_put_head_of(conn, request, status, type, type_len, length, chunked, whole, fsi_view(NULL, 0));
}

// A block for the request: the loop's own, or, on a worker, one that may become the loop's later.
FSI_PRIVATE void *fsi_request_block(const fsv_request *request, size_t size, size_t *got)
{
    if (!request->off_loop) return fsi_block_get(request->loop, size, got);
    *got = fsi_block_size(size);
    return fsi_alloc(request->loop->server, *got);
}

FSI_PRIVATE void fsi_request_unblock(const fsv_request *request, void *block, size_t size)
{
    if (request->off_loop)
        fsi_release(request->loop->server, block, size);
    else
        fsi_block_put(request->loop, block, size);
}

// Adds a field to the answer to come.
FSI_SELDOM fsv_result fsi_answer_field(fsv_request *request, const char *name, const char *value)
{
    if (request->deferred || request->want.folder || request->resp != FSI_RESP_NONE) return FSV_ERR_STATE;
    size_t name_len = strlen(name), value_len = strlen(value), need = name_len + value_len + 4, got;
    if (!fsi_field_is_clean(name, name_len, value, value_len) || fsi_field_is_ours(name, name_len))
        return FSV_ERR_FIELD;
    if (request->more_len + need > request->loop->server->desc.response_fields_bytes_max) return FSV_ERR_LIMIT;
    if (!request->more || request->more_len + need > request->more_cap) {
        char *more = (char *)fsi_request_block(request, (request->more_len + need) * 2, &got);
        if (!more) return FSV_ERR_MEMORY;
        if (request->more) {
            memcpy(more, request->more, request->more_len);
            fsi_request_unblock(request, request->more, request->more_cap);
        }
        request->more = more;
        request->more_cap = (uint32_t)got;
    }
    char *at = request->more + request->more_len;
    at = fsi_put(at, name, name_len);
    at = FSI_PUT(at, ": ");
    at = fsi_put(at, value, value_len);
    (void)FSI_PUT(at, "\r\n");
    request->more_len += (uint32_t)need;
    return FSV_OK;
}

#define FSI_TYPE_BYTES_MAX 1024

// It has no content, whoever asks (RFC 9110 15.3.5, 15.3.6, 15.4.5).
FSI_INLINE bool fsi_status_is_bare(uint32_t status)
{
    return status == 204 || status == 205 || status == 304;
}

// The rules of an answer that do not depend on its request.
FSI_PRIVATE fsv_result fsi_answer_rules(uint32_t status, const char *type, size_t *type_len, uint64_t len)
{
    if (status < 200 || status > 599) return FSV_ERR_ARGUMENT;
    if (fsi_status_is_bare(status) && len) return FSV_ERR_ARGUMENT;
    *type_len = type ? strlen(type) : 0;
    if (*type_len > FSI_TYPE_BYTES_MAX) return FSV_ERR_LIMIT;
    if (*type_len && !fsi_value_is_clean(type, *type_len)) return FSV_ERR_FIELD;
    return FSV_OK;
}

FSI_PRIVATE fsv_result fsi_answer_check(const fsv_request *request, uint32_t status, const char *type, size_t *type_len,
                                        uint64_t len)
{
    if (request->deferred || request->want.folder || request->resp != FSI_RESP_NONE) return FSV_ERR_STATE;
    if (!request->off_loop && request->conn->broken) return FSV_ERR_CLOSED;
    return fsi_answer_rules(status, type, type_len, len);
}

// Of a body that fsi_job_reply or fsi_token_reply has copied.
FSI_SELDOM void fsi_release_chunk(void *memory, void *user)
{
    fsi_chunk_free((const fsv_server *)user, (fsi_chunk *)memory - 1);
}

// Notes an answer away from the loop: the type and a small body in the job's own block. False: out of memory; then
// nothing was noted and `release` is still the caller's.
FSI_PRIVATE bool fsi_job_reply(fsi_job *job, uint32_t status, const char *type, size_t type_len, const char *body,
                               size_t len, bool keep_ptr, fsv_release_handler release, void *user)
{
    fsi_reply *reply = &job->reply;
    char *room = (char *)(job + 1), *copy = room + type_len; // a block has room for the longest type
    FSI_STATIC_ASSERT(sizeof(fsi_job) + FSI_TYPE_BYTES_MAX + FSI_JOB_SMALL <= FSI_JOB_BYTES, "a job fits its block");
    if (!keep_ptr && len > job->bytes - sizeof *job - type_len) {
        fsi_chunk *chunk = fsi_chunk_new(job->loop->server, body, len, len);
        if (!chunk) return false;
        body = (const char *)(chunk + 1);
        release = fsi_release_chunk;
        user = job->loop->server;
        keep_ptr = true;
    }
    if (type_len) memcpy(room, type, type_len);
    if (len && !keep_ptr) memcpy(copy, body, len);
    reply->type = room;
    reply->type_len = (uint32_t)type_len;
    reply->body = keep_ptr ? body : copy;
    reply->len = len;
    reply->release = release;
    reply->release_user = user;
    reply->status = status;
    return true;
}

// An answer of a handler on a worker.
FSI_PRIVATE fsv_result fsi_answer_away(fsv_request *request, uint32_t status, const char *type, size_t type_len,
                                       const char *body, size_t len, bool keep_ptr, fsv_release_handler release,
                                       void *user)
{
    if (!fsi_job_reply(request->job, status, type, type_len, body, len, keep_ptr, release, user)) {
        if (release) release((void *)(uintptr_t)body, user);
        return FSV_ERR_MEMORY;
    }
    request->resp = FSI_RESP_DONE;
    return FSV_OK;
}

// A whole answer. keep_ptr: see fsi_conn_write_through; then release is called in any case.
FSI_PRIVATE fsv_result fsi_answer(fsv_request *request, uint32_t status, const char *type, const char *body, size_t len,
                                  bool keep_ptr, fsv_release_handler release, void *user)
{
    fsi_conn *conn = request->conn;
    size_t type_len = 0;
    fsv_result result = fsi_answer_check(request, status, type, &type_len, len);
    if (result == FSV_OK && FSI_UNLIKELY(request->off_loop))
        return fsi_answer_away(request, status, type, type_len, body, len, keep_ptr, release, user);
    if (result == FSV_OK) {
        fsi_conn_put_head(conn, request, status, type, type_len, len, false, true);
        request->resp = FSI_RESP_DONE;
        if (len && !request->no_body) {
            request->out_bytes = len;
            if (keep_ptr && len > FSI_OUT_BYTES / 16) {
                fsi_conn_write_through(conn, body, len, true, release, user);
                return conn->broken ? FSV_ERR_CLOSED : FSV_OK;
            }
            fsi_conn_put_bytes(conn, body, len);
        }
    }
    if (release) release((void *)(uintptr_t)body, user);
    return result;
}

// The head of an answer whose body follows in pieces.
FSI_PRIVATE void fsi_stream_head(fsv_request *request, uint32_t status, const char *type, size_t type_len,
                                 uint64_t length)
{
    bool bare = fsi_status_is_bare(status);
    if (status == 205) length = 0; // whose emptiness is said (RFC 9110 15.3.6)
    request->out_chunked = length == FSV_LENGTH_UNKNOWN && request->head.minor == 1 && !bare;
    request->out_counted = length != FSV_LENGTH_UNKNOWN;
    request->out_left = length;
    request->no_body = request->no_body || bare;
    fsi_conn_put_head(request->conn, request, status, type, type_len, length, request->out_chunked, request->no_body);
    request->resp = request->no_body ? FSI_RESP_DONE : FSI_RESP_STREAM;
}

FSI_PRIVATE size_t fsi_stream_room(const fsv_request *request)
{
    if (request->resp != FSI_RESP_STREAM) return 0;
    size_t max = request->loop->server->desc.out_bytes_max, waits = request->conn->out_queued;
    if (request->conn->out) waits += request->loop->out_len;
    return waits < max ? max - waits : 0;
}

FSI_PRIVATE fsv_result fsi_stream_write(fsv_request *request, const void *data, size_t len)
{
    if (request->no_body && request->resp == FSI_RESP_DONE) return FSV_ERR_CLOSED;
    if (request->resp != FSI_RESP_STREAM) return FSV_ERR_STATE;
    fsi_conn *conn = request->conn;
    if (conn->broken) return FSV_ERR_CLOSED;
    if (request->out_counted && len > request->out_left) return FSV_ERR_LIMIT;
    if (len == 0) return FSV_OK; // an empty chunk would end the body
    if (fsi_stream_room(request) == 0) return FSV_ERR_FULL;
    request->out_bytes += len;
    if (request->out_counted) request->out_left -= len;
    if (request->out_chunked) {
        char *at = fsi_conn_room(conn, 20);
        conn->loop->out_len = (size_t)(fsi_write_chunk_size(at, len) - conn->loop->out);
    }
    fsi_conn_put_bytes(conn, (const char *)data, len);
    if (request->out_chunked) fsi_conn_put_bytes(conn, "\r\n", 2);
    if (!conn->broken) return FSV_OK;
    return FSV_ERR_CLOSED;
}

FSI_PRIVATE fsv_result fsi_stream_end(fsv_request *request)
{
    if (request->no_body && request->resp == FSI_RESP_DONE) return FSV_OK;
    if (request->resp != FSI_RESP_STREAM) return FSV_ERR_STATE;
    request->resp = FSI_RESP_DONE;
    if (request->conn->broken) return FSV_ERR_CLOSED;
    if (request->out_counted && request->out_left) {
        request->conn->broken = true;
        return FSV_ERR_STATE;
    }
    if (request->out_chunked) fsi_conn_put_bytes(request->conn, "0\r\n\r\n", 5);
    return FSV_OK;
}

// The library's own answer to a request that was understood: "404 Not Found" and the like.
FSI_RARE void fsi_answer_plain(fsv_request *request, uint32_t status)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%u %s\n", status, fsi_status_text(status));
    if (status == 204) n = 0;
    (void)fsi_answer(request, status, n ? "text/plain; charset=utf-8" : NULL, text, (size_t)n, false, NULL, NULL);
}

// For a handler that has not answered. What it added by fsv_response_field describes a body that did not come.
FSI_RARE void fsi_answer_instead(fsv_request *request, uint32_t status)
{
    request->more_len = 0;
    fsi_answer_plain(request, status);
}

// Answers what cannot be understood or is not wanted, and ends the connection. If an answer has begun, it is cut.
FSI_RARE void fsi_conn_refuse(fsi_conn *conn, uint32_t status, const char *why)
{
    fsi_loop *loop = conn->loop;
    bool in_request = conn->state == FSI_CONN_BODY || conn->state == FSI_CONN_EXCHANGE, no_body = false;
    char text[160];
    size_t n = (size_t)snprintf(text, sizeof text, "%u %s: %s\n", status, fsi_status_text(status), why);
    if (in_request) {
        fsv_request *request = fsi_conn_request(conn);
        bool begun = request->resp != FSI_RESP_NONE;
        no_body = request->no_body;
        if (!begun) request->status = status;
        if (!begun) request->out_bytes = no_body ? 0 : n;
        request->resp = FSI_RESP_DONE; // on_close cannot answer any more
        loop->refusal = why;
        fsi_conn_end_request(conn, request);
        loop->refusal = NULL;
        if (begun) {
            conn->state = FSI_CONN_SEND; // nothing left to end
            fsi_conn_flush(conn);
            fsi_conn_close(conn, true);
            return;
        }
    } else if (loop->server->desc.on_answer) {
        loop->refusal = why;
        fsi_tell_answer(conn, NULL, status, n, 0);
        loop->refusal = NULL;
    }
    fsi_head_out head;
    memset(&head, 0, sizeof head);
    head.status = status;
    head.date = loop->date_line;
    head.type = "text/plain; charset=utf-8";
    head.type_len = strlen(head.type);
    head.length = n;
    head.has_length = head.say_close = true;
    head.more = status == 503 ? "Retry-After: 1\r\n" : "";
    head.more_len = strlen(head.more);
    char *at = fsi_write_head(fsi_conn_room(conn, FSI_HEAD_ROOM + n), &head);
    if (!no_body) at = fsi_put(at, text, n);
    loop->out_len = (size_t)(at - loop->out);
    fsi_count_status(loop, status);
    conn->keep = false;
    conn->more_to_come = true;
    conn->state = FSI_CONN_SEND;
    loop->in_at = loop->in_len = 0; // whatever else came is not looked at
}

// Refuses what http-read has.
FSI_RARE void fsi_conn_refuse_bad(fsi_conn *conn, int64_t refusal)
{
    fsi_loop *loop = conn->loop;
    FSI_COUNT(loop, bad_requests, 1);
    FSI_COUNT(loop, refused_head, refusal == FSI_LONG_HEAD || refusal == FSI_LONG_TRAILER);
    FSI_COUNT(loop, refused_fields, refusal == FSI_MANY_FIELDS);
    FSI_COUNT(loop, refused_target, refusal == FSI_LONG_TARGET);
    fsi_conn_refuse(conn, fsi_refusal_status(refusal), fsi_refusal_text(refusal));
}

FSI_RARE void fsi_conn_refuse_body(fsi_conn *conn)
{
    FSI_COUNT(conn->loop, refused_body, 1);
    fsi_conn_refuse(conn, 413, "the body is too large");
}

// ---- steps of the state machine. Each returns true if it moved, false if it waits.

// Room behind in_len, after what is still wanted was moved to the front, if need be.
FSI_INLINE size_t fsi_loop_in_room(fsi_loop *loop)
{
    if (FSI_LIKELY(loop->in_at == loop->in_len)) {
        loop->in_at = loop->in_len = 0;
    } else if (loop->in_at && loop->in_len == loop->in_size) {
        memmove(loop->in, loop->in + loop->in_at, loop->in_len - loop->in_at);
        loop->in_len -= loop->in_at;
        loop->in_at = 0;
    }
    return loop->in_size - loop->in_len;
}

// Gets more bytes behind in_len. True: some came. False: none now, or the connection has another state.
FSI_PRIVATE bool fsi_conn_read(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    size_t room = fsi_loop_in_room(loop);
    if (room == 0) return false; // a piece that nobody takes: wait until it has gone
    int64_t got = fsi_io_read(&conn->chan, loop->in + loop->in_len, room);
    if (FSI_LIKELY(got > 0)) {
        loop->in_len += (size_t)got;
        loop->in_new = (size_t)got;
        loop->turn_bytes += (uint64_t)got;
        FSI_COUNT(loop, bytes_received, got);
        return true;
    }
    if (got == FSI_PENDING) return false;
    if (got == FSI_FAILED) conn->broken = true;
    if (got == 0 && conn->state == FSI_CONN_HEAD && !conn->broken) {
        conn->keep = false; // the peer has ended: let go what was answered, then close
        conn->state = FSI_CONN_SEND;
        loop->in_at = loop->in_len = 0;
        return false;
    }
    conn->broken = true;
    return false;
}

#define FSI_FOLLOW_ANSWERS 64 // between two looks at where the packets arrive

// The request is answered and its body has been read: next one, or the end of the connection.
FSI_INLINE void fsi_conn_next(fsi_conn *conn)
{
    fsv_request *request = fsi_conn_request(conn);
    fsi_loop *loop = conn->loop;
    if (FSI_UNLIKELY(!conn->body_done)) { // answered without it
        size_t here = loop->in_len - loop->in_at;
        if (conn->keep && !conn->body_chunked && conn->body_left <= here)
            loop->in_at += (size_t)conn->body_left;
        else {
            conn->keep = false;
            conn->more_to_come = true;
            loop->in_at = loop->in_len = 0;
        }
    }
    fsi_conn_end_request(conn, request);
    if (FSI_UNLIKELY(loop->stopping)) conn->keep = false;    // even if the head, sent earlier, did not say so
    if (conn->answers < FSI_FOLLOW_ANSWERS) conn->answers++; // a turn may have more than a byte counts
    conn->state = FSI_LIKELY(conn->keep) ? FSI_CONN_HEAD : FSI_CONN_SEND;
    if (!conn->keep && loop->in_at < loop->in_len) conn->more_to_come = true;
}

// Finds the route; answers by itself where there is none.
FSI_INLINE bool fsi_conn_route(fsi_conn *conn, fsv_request *request)
{
    fsv_server *server = conn->loop->server;
    fsi_match match;
    if (request->head.method == FSI_METHOD_OTHER)
        request->head.method =
            fsi_method_other(server, request->base + request->head.skipped, request->head.method_len);
    match.request = request;
    match.path = request->path;
    match.len = request->path_len;
    match.method = request->head.method;
    match.allow = 0;
    if (FSI_UNLIKELY(match.method == FSI_METHOD_OTHER || match.method == FSI_CONNECT)) {
        fsi_answer_plain(request, 501);
        return false;
    }
    if (FSI_LIKELY(match.len && match.path[0] == '/'))
        request->route = fsi_node_match(server->root, &match, 1, 0);
    else
        match.allow = request->head.asterisk ? server->methods_used | 1u << FSI_OPTIONS : 0;
    if (FSI_LIKELY(request->route != NULL)) return true;
    if (match.allow == 0 && server->fallback.handler) {
        request->route = &server->fallback;
        return true;
    }
    if (match.allow) {
        char allow[FSI_ALLOW_BYTES];
        fsi_allow_text(server, match.allow, allow);
        (void)fsi_answer_field(request, "Allow", allow);
        fsi_answer_plain(request, match.method == FSI_OPTIONS ? 204 : 405);
    } else {
        fsi_answer_plain(request, 404);
    }
    return false;
}

static bool fsi_pool_submit(fsi_loop *loop, fsi_job *job); // upcalls, in >>worker
static bool fsi_pool_push(fsi_loop *loop, fsi_msg msg);

// The request is away from now on.
FSI_PRIVATE void fsi_conn_leave(fsi_conn *conn)
{
    conn->state = FSI_CONN_AWAY;
    conn->away = true;
    conn->window_open = false; // its time begins
}

// It goes no further. If its handler was not called, neither is on_close; for a file that is wanted it was.
FSI_SELDOM void fsi_request_uncalled(fsv_request *request)
{
    if (!request->want.folder) request->route = NULL;
    request->want.folder = NULL;
}

// Too many are away already.
FSI_RARE void fsi_conn_jobs_full(fsi_conn *conn, fsv_request *request)
{
    FSI_COUNT(conn->loop, jobs_refused, 1);
    fsi_request_uncalled(request);
    (void)fsi_answer_field(request, "Retry-After", "1");
    fsi_answer_plain(request, 503);
    fsi_conn_next(conn);
}

// Gives the request to the pool. -> AWAY, or answered
FSI_PRIVATE void fsi_conn_send_away(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    if (!fsi_loop_reserve(loop, true)) {
        fsi_conn_jobs_full(conn, request);
        return;
    }
    fsi_job *job = fsi_conn_detach_request(conn) ? fsi_job_new(conn) : NULL;
    if (!job) {
        fsi_loop_unreserve(loop);
        fsi_request_uncalled(fsi_conn_request(conn));
        fsi_conn_refuse(conn, 503, "out of memory");
        return;
    }
    request = job->request = conn->request;
    request->job = job;
    request->off_loop = job->running = true;
    fsi_conn_leave(conn);
    if (fsi_pool_submit(loop, job)) return;
    fsi_loop_unreserve(loop);
    conn->state = FSI_CONN_EXCHANGE;
    conn->away = request->off_loop = false;
    fsi_conn_jobs_full(conn, request);
}

// Calls the handler of a request that is complete, or of one whose body comes in pieces.
FSI_INLINE void fsi_conn_call(fsi_conn *conn, fsv_request *request)
{
    const fsi_route *route = request->route;
    if (FSI_UNLIKELY(route->blocking)) {
        fsi_conn_send_away(conn, request);
        return;
    }
    route->handler(request, route->user);
    if (FSI_UNLIKELY(request->deferred)) {
        fsi_conn_leave(conn);
        return;
    }
    if (request->want.folder) {
        fsi_files_begin(conn, request);
        return;
    }
    bool body_follows = route->on_body && (request->head.has_length || request->head.chunked);
    if (FSI_UNLIKELY(request->resp == FSI_RESP_NONE) && !body_follows && !conn->broken)
        fsi_answer_instead(request, 500);
}

// Tells on_body that the body has ended.
FSI_PRIVATE void fsi_conn_body_end(fsi_conn *conn, fsv_request *request)
{
    (void)request->route->on_body(request, NULL, 0, request->route->user);
    if (request->deferred)
        fsi_conn_leave(conn);
    else if (request->resp == FSI_RESP_NONE && !conn->broken)
        fsi_answer_instead(request, 500);
}

// Asks on_request. True: that was it.
FSI_RARE bool fsi_conn_ask_first(fsi_conn *conn, fsv_request *request)
{
    const fsv_server_desc *desc = &conn->loop->server->desc;
    desc->on_request(request, desc->user);
    if (request->deferred)
        fsi_conn_leave(conn);
    else if (request->want.folder)
        fsi_files_begin(conn, request);
    else if (request->resp == FSI_RESP_NONE)
        return false;
    if (conn->state == FSI_CONN_EXCHANGE && request->resp == FSI_RESP_DONE) fsi_conn_next(conn);
    return true;
}

// Fills the request of the head that stands at in_at, and what the connection has to know of it.
FSI_INLINE void fsi_conn_take_head(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    const fsi_head *head = &request->head;
    request->base = loop->in + loop->in_at;
    request->fields = loop->fields;
    request->path = request->base + head->path;
    request->path_len = head->path_len;
    request->conn = conn;
    request->route = NULL;
    request->body = NULL;
    request->body_len = 0;
    request->collect = request->more = NULL;
    request->more_len = 0;
    request->user = NULL;
    request->out_bytes = 0;
    request->status = 0;
    request->job = NULL;
    request->want.folder = NULL;
    request->want.path = NULL;
    request->want.missed = false;
    request->resp = FSI_RESP_NONE;
    request->closing = request->off_loop = request->deferred = false;
    request->no_body = head->method == FSI_HEAD;
    request->begun_us = 0;
    if (loop->server->desc.on_answer) fsi_begin_answer(conn, request);
    conn->fresh = false;
    conn->body_chunked = head->chunked;
    conn->body_left = head->chunked ? 0 : head->has_length ? head->content_length : 0;
    conn->body_done = !head->chunked && conn->body_left == 0;
    conn->keep = head->wants_close ? false : head->minor == 1 || head->wants_keep;
    if (FSI_UNLIKELY(++conn->requests >= loop->server->desc.conn_requests_max)) {
        conn->keep = false;
        FSI_COUNT(loop, conns_spent, 1);
    }
    conn->want_100 = head->expect_continue && !conn->body_done;
    conn->paused = conn->window_open = false;
    conn->window_bytes = 0;
    if (FSI_UNLIKELY(conn->body_chunked)) memset(&conn->chunked, 0, sizeof conn->chunked);
    conn->state = FSI_CONN_EXCHANGE; // from here on there is a request to be ended
    loop->in_at += head->bytes;
    loop->turn_requests++;
    FSI_COUNT(loop, requests, 1);
}

// A path that is not a part of the head's bytes: decoded, or the "/" that "http://host" means. False: refused.
FSI_RARE bool fsi_conn_make_path(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    int64_t n = 1;
    if (request->path_len)
        n = fsi_unescape(loop->path, request->path, request->path_len, true, false);
    else
        loop->path[0] = '/';
    if (n < 0) {
        fsi_conn_refuse_bad(conn, FSI_BAD_ESCAPE);
        return false;
    }
    request->head.escaped = true;
    request->path = loop->path;
    request->path_len = (uint32_t)n;
    return true;
}

// The whole body: a view if it came with the head, else it is collected. False: the handler has to wait for it.
FSI_PRIVATE bool fsi_conn_take_body(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    if (conn->body_chunked || conn->body_left > loop->in_len - loop->in_at) {
        conn->state = FSI_CONN_BODY;
        if (!fsi_conn_detach_request(conn)) fsi_conn_refuse(conn, 503, "out of memory");
        return false;
    }
    request->body = loop->in + loop->in_at;
    request->body_len = (size_t)conn->body_left;
    loop->in_at += (size_t)conn->body_left;
    conn->body_done = true;
    return true;
}

// A head has been read at in_at: routes it and calls or prepares the handler.
FSI_INLINE void fsi_conn_begin(fsi_conn *conn, fsv_request *request)
{
    const fsi_head *head = &request->head;
    fsi_conn_take_head(conn, request);
    bool other_path = head->escaped || (head->path_len == 0 && !head->asterisk);
    if (FSI_UNLIKELY(other_path) && !fsi_conn_make_path(conn, request)) return;
    if (FSI_UNLIKELY(head->minor == 0 && !head->has_length &&
                     (head->method == FSI_POST || head->method == FSI_PUT || head->method == FSI_PATCH))) {
        fsi_conn_refuse(conn, 411, "a body in HTTP/1.0 needs a Content-Length");
        return;
    }
    if (FSI_UNLIKELY(conn->loop->server->desc.on_request != NULL) && fsi_conn_ask_first(conn, request)) return;
    if (!fsi_conn_route(conn, request)) {
        fsi_conn_next(conn);
        return;
    }
    const fsi_route *route = request->route;
    uint64_t limit = route->body_bytes_max ? route->body_bytes_max
                     : route->on_body      ? UINT64_MAX
                                           : conn->loop->server->desc.body_bytes_max;
    if (FSI_UNLIKELY(conn->body_left > limit)) {
        request->route = NULL; // its handler is not called, so neither is on_close
        fsi_conn_refuse_body(conn);
        return;
    }
    if (FSI_UNLIKELY(!conn->body_done) && !route->on_body && !fsi_conn_take_body(conn, request)) return;
    fsi_conn_call(conn, request);
    if (FSI_UNLIKELY(conn->state != FSI_CONN_EXCHANGE)) return;
    bool empty = route->on_body && conn->body_done && head->has_length;
    if (FSI_UNLIKELY(empty) && request->resp != FSI_RESP_DONE) fsi_conn_body_end(conn, request);
    if (request->resp == FSI_RESP_DONE && conn->state == FSI_CONN_EXCHANGE) fsi_conn_next(conn);
}

#define FSI_HEAD_SMALL 512 // bytes

// -> EXCHANGE, BODY, HEAD, SEND
FSI_INLINE bool fsi_conn_step_head(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    if (FSI_UNLIKELY(conn->out != NULL)) { // not before the peer has taken the last answers
        conn->state = FSI_CONN_SEND;
        return true;
    }
    if (loop->in_at < loop->in_len && !conn->head_part) {
        fsi_limits limits;
        limits.head_bytes = loop->server->desc.head_bytes_max;
        limits.target_bytes = loop->server->desc.target_bytes_max;
        limits.fields = loop->server->desc.fields_max;
        int64_t n = fsi_read_request(loop->in + loop->in_at, loop->in_len - loop->in_at, &limits, &loop->scratch.head,
                                     loop->fields);
        if (FSI_LIKELY(n > 0)) {
            fsi_conn_begin(conn, &loop->scratch);
            return true;
        }
        if (FSI_UNLIKELY(n < 0)) {
            fsi_conn_refuse_bad(conn, -n);
            return true;
        }
    }
    // A small head is looked at whenever some of it has come, so that what cannot become one is refused at once. A larger
    // one that drips in is looked at when a line has ended, not for every byte of it.
    conn->head_part = loop->in_at < loop->in_len;
    do {
        if (!fsi_conn_read(conn)) return conn->state != FSI_CONN_HEAD;
    } while (conn->head_part && loop->in_len - loop->in_at > FSI_HEAD_SMALL &&
             loop->in_len - loop->in_at < loop->server->desc.head_bytes_max &&
             !memchr(loop->in + loop->in_len - loop->in_new, '\n', loop->in_new));
    conn->head_part = false;
    return true;
}

// The next run of body bytes that stands in the receive buffer, behind its framing. False: a framing error, answered.
FSI_PRIVATE bool fsi_conn_body_run(fsi_conn *conn, size_t *run)
{
    fsi_loop *loop = conn->loop;
    *run = loop->in_len - loop->in_at;
    if (!conn->body_chunked) {
        if (conn->body_left < *run) *run = (size_t)conn->body_left;
        return true;
    }
    fsi_limits limits;
    limits.head_bytes = loop->server->desc.head_bytes_max;
    limits.target_bytes = 0;
    limits.fields = loop->server->desc.fields_max;
    int64_t n = fsi_read_chunked(&conn->chunked, loop->in + loop->in_at, *run, &limits, run);
    if (n < 0) {
        fsi_conn_refuse_bad(conn, -n);
        return false;
    }
    loop->in_at += (size_t)n;
    if (conn->chunked.state == FSI_CHUNK_DONE) conn->body_done = true;
    return true;
}

FSI_PRIVATE void fsi_conn_body_taken(fsi_conn *conn, size_t n)
{
    conn->loop->in_at += n;
    conn->window_bytes += n;
    if (n) conn->want_100 = false; // it did not wait
    if (conn->body_chunked) {
        conn->body_left += n; // counts up here
        if (n) fsi_chunk_take(&conn->chunked, n);
        return;
    }
    conn->body_left -= n;
    if (conn->body_left == 0) conn->body_done = true;
}

// Grows the block of a whole body with what has come, so that a stated length alone costs nothing. False: answered.
FSI_PRIVATE bool fsi_conn_collect(fsi_conn *conn, fsv_request *request, size_t run)
{
    fsi_loop *loop = conn->loop;
    uint64_t limit =
        request->route->body_bytes_max ? request->route->body_bytes_max : loop->server->desc.body_bytes_max;
    if (run > limit - request->body_len) {
        fsi_conn_refuse_body(conn);
        return false;
    }
    if (request->body_len + run > request->collect_cap || !request->collect) {
        size_t want = (request->body_len + run) * 2, got;
        if (!conn->body_chunked && want > request->body_len + conn->body_left)
            want = request->body_len + (size_t)conn->body_left;
        char *more = (char *)fsi_block_get(loop, want, &got);
        if (!more) {
            fsi_conn_refuse(conn, 503, "out of memory");
            return false;
        }
        if (request->body_len) memcpy(more, request->collect, request->body_len);
        fsi_block_put(loop, request->collect, request->collect_cap);
        request->collect = more;
        request->collect_cap = got;
    }
    memcpy(request->collect + request->body_len, loop->in + loop->in_at, run);
    request->body_len += run;
    fsi_conn_body_taken(conn, run);
    return true;
}

// -> HEAD, SEND (by fsi_conn_next)
FSI_PRIVATE bool fsi_conn_step_body(fsi_conn *conn)
{
    fsv_request *request = conn->request;
    size_t run;
    if (conn->loop->in_at < conn->loop->in_len) {
        if (!fsi_conn_body_run(conn, &run)) return true;
        if (run && !fsi_conn_collect(conn, request, run)) return true;
    }
    if (conn->body_done) {
        request->body = request->collect;
        conn->state = FSI_CONN_EXCHANGE;
        fsi_conn_call(conn, request);
        if (conn->state == FSI_CONN_EXCHANGE && request->resp == FSI_RESP_DONE) fsi_conn_next(conn);
        return true;
    }
    if (conn->loop->in_at < conn->loop->in_len) return true;
    fsi_conn_say_continue(conn);
    return fsi_conn_read(conn) || conn->broken;
}

// Offers what stands in the receive buffer to on_body. True: it moved.
FSI_PRIVATE bool fsi_conn_offer(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    const fsi_route *route = request->route;
    size_t run, before = loop->in_at;
    if (!fsi_conn_body_run(conn, &run)) return true;
    if (run && route->body_bytes_max && conn->body_chunked && run > route->body_bytes_max - conn->body_left) {
        fsi_conn_refuse_body(conn);
        return true;
    }
    if (run) {
        size_t taken = route->on_body(request, loop->in + loop->in_at, run, route->user);
        if (taken > run) taken = run;
        fsi_conn_body_taken(conn, taken);
        if (taken < run) {
            if (!conn->out && loop->out_len == 0 && taken == 0 && request->resp != FSI_RESP_DONE)
                conn->broken = true; // it could never go on
            conn->paused = true;
        }
    }
    return loop->in_at != before || conn->body_done || (conn->paused && !conn->out);
}

// A body in pieces, a response in pieces, or both at once. -> HEAD, SEND
FSI_PRIVATE bool fsi_conn_step_exchange(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    fsv_request *request = fsi_conn_request(conn);
    const fsi_route *route = request->route;
    bool moved = false;
    if (conn->paused && !conn->out) {
        fsi_conn_flush(conn);
        conn->paused = conn->out != NULL;
    }
    if (!conn->body_done && !conn->paused) {
        if (loop->in_at == loop->in_len) {
            fsi_conn_say_continue(conn);
            if (!fsi_conn_detach_request(conn))
                conn->broken = true;
            else
                moved = fsi_conn_read(conn);
            request = fsi_conn_request(conn);
        }
        if (loop->in_at < loop->in_len && !conn->broken) moved |= fsi_conn_offer(conn, request);
        if (conn->state != FSI_CONN_EXCHANGE || conn->broken) return true;
        if (conn->body_done) fsi_conn_body_end(conn, request);
        if (conn->state != FSI_CONN_EXCHANGE) return true;
    }
    if (request->resp == FSI_RESP_STREAM && route->on_room && !conn->broken) {
        uint64_t before = request->out_bytes;
        if (loop->out_len >= FSI_OUT_BYTES / 2) fsi_conn_flush(conn);
        if (!conn->out && !conn->broken) route->on_room(request, route->user);
        loop->turn_bytes += request->out_bytes - before;
        moved |= request->out_bytes != before;
    }
    if (request->resp == FSI_RESP_DONE && !conn->broken) {
        fsi_conn_next(conn);
        return true;
    }
    return moved || conn->broken;
}

// -> HEAD, LINGER, CLOSE
FSI_PRIVATE bool fsi_conn_step_send(fsi_conn *conn)
{
    fsi_conn_flush(conn);
    bool again = conn->out && fsi_conn_send_queue(conn);
    if (conn->broken) return true;
    if (conn->out) return again;
    if (conn->keep) {
        conn->state = FSI_CONN_HEAD;
        return true;
    }
    if (!conn->more_to_come && !conn->chan.can_read) {
        fsi_conn_close(conn, false);
        return false;
    }
    // The peer may still be sending; closing now would answer that with a reset, and a reset discards what it has not
    // read yet.
    if (conn->chan.eof && !conn->more_to_come) {
        fsi_conn_close(conn, false);
        return false;
    }
    fsi_io_shut(&conn->chan);
    conn->state = FSI_CONN_LINGER;
    fsi_timer_set(&conn->loop->wheel, &conn->timer, conn->loop->now_ms + conn->loop->server->desc.linger_ms);
    return true;
}

// -> CLOSE
FSI_SELDOM bool fsi_conn_step_linger(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    loop->in_at = loop->in_len = 0;
    int64_t got = fsi_io_read(&conn->chan, loop->in, loop->in_size);
    if (got == FSI_PENDING) return false;
    if (got > 0) {
        FSI_COUNT(loop, bytes_received, got);
        loop->turn_bytes += (uint64_t)got;
        return true;
    }
    fsi_conn_close(conn, false);
    return false;
}

// ---- a request that is away

// The answer has come home: the loop writes it.
FSI_PRIVATE void fsi_conn_come_home(fsi_conn *conn, fsv_request *request)
{
    fsi_job *job = request->job;
    fsi_reply *reply = &job->reply;
    request->off_loop = request->deferred = false;
    request->resp = FSI_RESP_NONE;
    if (reply->status && !job->lost && !job->begun) {
        fsv_release_handler release = reply->release;
        char type[FSI_TYPE_BYTES_MAX + 1];
        memcpy(type, reply->type, reply->type_len);
        type[reply->type_len] = 0;
        reply->release = NULL; // fsi_answer's from here on
        (void)fsi_answer(request, reply->status, reply->type_len ? type : NULL, reply->body, reply->len,
                         release != NULL, release, reply->release_user);
    } else if (request->want.folder && !job->lost) {
        fsi_files_answer(conn, request);
    } else {
        fsi_answer_instead(request, job->lost ? 504 : 500);
    }
    if (request->resp == FSI_RESP_NONE) conn->broken = true;
}

// The next piece, or NULL; then *ended says whether there will be none and the handler has returned.
FSI_PRIVATE fsi_chunk *fsi_job_chunk(fsi_job *job, bool *ended)
{
    fsv_server *server = job->loop->server;
    fsi_lock_take(&server->token_lock);
    fsi_chunk *chunk = job->first;
    if (chunk) {
        job->first = chunk->next;
        if (!job->first) job->last = &job->first;
        job->queued -= chunk->len;
        if (server->token_waiters) fsi_signal_all(&server->token_room);
    } else {
        job->told = job->answered && !job->running; // else what follows is told of again
    }
    *ended = !chunk && job->told;
    fsi_lock_give(&server->token_lock);
    return chunk;
}

// Writes what the holder of the token has handed over, as long as the peer takes it. A handler on a worker may still be
// running: then the request stays, and says that it is deferred. True: it moved.
FSI_SELDOM bool fsi_conn_stream_away(fsi_conn *conn, fsv_request *request)
{
    fsi_loop *loop = conn->loop;
    fsi_job *job = request->job;
    bool ended = false, moved = false;
    const fsi_reply *reply = &job->reply;
    if (!job->streams)
        fsi_stream_head(request, reply->status, reply->type_len ? reply->type : NULL, reply->type_len, job->length);
    job->streams = true;
    while (!conn->out && !conn->broken && loop->turn_bytes < FSI_TURN_BYTES) {
        fsi_chunk *chunk = fsi_job_chunk(job, &ended);
        if (!chunk) {
            job->awake = ended;
            break;
        }
        (void)fsi_stream_write(request, chunk + 1, chunk->len); // refused only if the connection is broken
        loop->turn_bytes += chunk->len;
        fsi_chunk_free(loop->server, chunk);
        conn->window_open = false; // its time counts from the last piece
        if (loop->out_len >= FSI_OUT_BYTES / 2) fsi_conn_flush(conn);
        moved = true;
    }
    if (!ended) return moved;
    if (job->cut) fsi_conn_flush(conn); // what was written before is the peer's
    if (job->cut || fsi_stream_end(request) == FSV_ERR_STATE) conn->broken = true;
    conn->away = request->off_loop = request->deferred = false;
    fsi_loop_unreserve(loop);
    return true;
}

// Looks whether the peer is still there, and takes what it pipelines, up to the size of a head.
FSI_PRIVATE bool fsi_conn_watch(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    if (loop->in_len - loop->in_at >= loop->server->desc.head_bytes_max) return false;
    size_t room = fsi_loop_in_room(loop);
    if (room == 0) return false;
    int64_t got = fsi_io_read(&conn->chan, loop->in + loop->in_len, room);
    if (got == FSI_FAILED) conn->broken = true;
    if (got == 0 && loop->in_at == loop->in_len) conn->keep = false; // this was its last request; it may still read
    if (got <= 0) return false;
    loop->in_len += (size_t)got;
    loop->turn_bytes += (uint64_t)got;
    FSI_COUNT(loop, bytes_received, got);
    return true;
}

// -> HEAD, SEND (by fsi_conn_next)
FSI_PRIVATE bool fsi_conn_step_away(fsi_conn *conn)
{
    fsv_request *request = conn->request;
    fsi_job *job = request->job;
    bool moved = false;
    if (conn->away && job->awake) moved = fsi_conn_stream_away(conn, request);
    if (conn->away) return fsi_conn_watch(conn) || moved || conn->broken;
    if (!job->streams) fsi_conn_come_home(conn, request);
    if (conn->broken) return true;
    fsi_conn_next(conn);
    return true;
}

// ---- a turn

// Bytes of earlier turns come first.
FSI_INLINE void fsi_conn_load(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    loop->in_at = loop->in_len = loop->out_len = 0;
    loop->turn_requests = 0;
    loop->turn_bytes = 0;
    if (FSI_LIKELY(!conn->carry)) return;
    memcpy(loop->in, conn->carry, conn->carry_len);
    loop->in_len = conn->carry_len;
    fsi_block_put(loop, conn->carry, conn->carry_cap);
    conn->carry = NULL;
    conn->carry_len = 0;
}

// Bytes that are not used yet go into a block of the connection's.
FSI_SELDOM bool fsi_conn_store(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    size_t n = loop->in_len - loop->in_at, got;
    conn->carry = (char *)fsi_block_get(loop, n, &got);
    if (!conn->carry) return false;
    memcpy(conn->carry, loop->in + loop->in_at, n);
    conn->carry_len = (uint32_t)n;
    conn->carry_cap = (uint32_t)got;
    return true;
}

FSI_INLINE void fsi_conn_run_later(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    if (conn->listed) return;
    conn->listed = true;
    conn->next = NULL;
    *loop->run_tail = conn;
    loop->run_tail = &conn->next;
}

// When a connection that has not sent a whole head yet has had its time, however its bytes came.
FSI_INLINE uint64_t fsi_conn_fresh_due(const fsi_conn *conn)
{
    const fsv_server_desc *desc = &conn->loop->server->desc;
    uint32_t head = desc->head_timeout_ms, idle = desc->idle_timeout_ms;
    return conn->begun_ms + (conn->carry || head < idle ? head : idle);
}

#define FSI_IDLE_STEP_MS 100

// Where an idle connection holds a thread, it looks now and then whether others wait.
FSI_RARE void fsi_conn_idle_step(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    uint32_t idle = loop->server->desc.idle_timeout_ms;
    conn->idle_ms = loop->now_ms;
    fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + (idle < FSI_IDLE_STEP_MS ? idle : FSI_IDLE_STEP_MS));
}

// True: it goes on waiting.
FSI_RARE bool fsi_conn_idles_on(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    if (conn->state != FSI_CONN_HEAD || conn->carry || conn->out) return false;
    const fsv_server_desc *desc = &loop->server->desc;
    uint64_t until = conn->fresh ? fsi_conn_fresh_due(conn) : conn->idle_ms + desc->idle_timeout_ms;
    if (fsi_model_crowded(loop) || loop->now_ms >= until) return false;
    fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms + FSI_IDLE_STEP_MS);
    return true;
}

// What the connection waits for decides when it has waited long enough.
FSI_INLINE void fsi_conn_set_timer(fsi_conn *conn, bool had_carry)
{
    fsi_loop *loop = conn->loop;
    const fsv_server_desc *desc = &loop->server->desc;
    bool in_body = conn->state == FSI_CONN_BODY || conn->state == FSI_CONN_EXCHANGE;
    if (FSI_UNLIKELY(conn->out != NULL)) { // send_timeout, set when bytes moved
        conn->window_open = false;
    } else if (FSI_UNLIKELY(conn->state == FSI_CONN_AWAY)) {
        if (!conn->window_open)
            fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + desc->defer_timeout_ms); // absolute
        conn->window_open = true;
    } else if (FSI_LIKELY(conn->state == FSI_CONN_HEAD)) {
        if (FSI_UNLIKELY(desc->model) && !conn->carry)
            fsi_conn_idle_step(conn);
        else if (FSI_UNLIKELY(conn->fresh)) // absolute: since it was accepted
            fsi_timer_set(&loop->wheel, &conn->timer, fsi_conn_fresh_due(conn));
        else if (FSI_LIKELY(!conn->carry))
            fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + desc->idle_timeout_ms);
        else if (!had_carry)
            fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + desc->head_timeout_ms); // absolute
    } else if (conn->state == FSI_CONN_TCP) {
        if (!conn->raw.connecting)
            fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + conn->tcp->desc.idle_timeout_ms);
    } else if (in_body && (conn->body_done || conn->paused)) {
        conn->window_open = false;
        fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + desc->send_timeout_ms);
    } else if (in_body && !conn->window_open) {
        conn->window_open = true;
        conn->window_bytes = 0;
        fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + desc->body_timeout_ms);
    }
}

static void fsi_balance_answered(fsi_conn *conn); // upcall, in >>balance: it may want to move

// Runs the connection until it waits for someone else.
FSI_PRIVATE void fsi_conn_run(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    const uint32_t requests_max = loop->server->desc.turn_requests_max;
    bool moved = true, had_carry = conn->carry && conn->state == FSI_CONN_HEAD && !conn->out;
    if (FSI_UNLIKELY(conn->state >= FSI_CONN_CLOSE)) return;
    fsi_conn_load(conn);
    while (moved && loop->turn_requests < requests_max && loop->turn_bytes < FSI_TURN_BYTES && !conn->broken) {
        switch ((fsi_conn_state)conn->state) {
        case FSI_CONN_HEAD: moved = fsi_conn_step_head(conn); break;
        case FSI_CONN_BODY:
            if (conn->out) (void)fsi_conn_send_queue(conn); // answers before this request, or 100 Continue
            moved = fsi_conn_step_body(conn);
            break;
        case FSI_CONN_EXCHANGE:
            if (conn->out) (void)fsi_conn_send_queue(conn);
            moved = fsi_conn_step_exchange(conn);
            break;
        case FSI_CONN_AWAY:
            if (conn->out) (void)fsi_conn_send_queue(conn);
            moved = fsi_conn_step_away(conn);
            break;
        case FSI_CONN_SEND: moved = fsi_conn_step_send(conn); break;
        case FSI_CONN_LINGER: moved = fsi_conn_step_linger(conn); break;
        case FSI_CONN_TCP: moved = fsi_tcp_step(conn); break;
        case FSI_CONN_CLOSE:
        case FSI_CONN_FREE: return;
        }
    }
    if (FSI_LIKELY(loop->out_len)) fsi_conn_flush(conn);
    if (FSI_UNLIKELY(conn->state >= FSI_CONN_CLOSE)) return;
    if (FSI_UNLIKELY(loop->in_at < loop->in_len) && !conn->broken && !fsi_conn_store(conn)) conn->broken = true;
    if (FSI_UNLIKELY(conn->state == FSI_CONN_EXCHANGE) && !conn->request && !conn->broken &&
        !fsi_conn_detach_request(conn))
        conn->broken = true;
    if (FSI_UNLIKELY(conn->broken)) {
        fsi_conn_close(conn, true);
        return;
    }
    bool idle = conn->state == FSI_CONN_HEAD && !conn->carry && !conn->out && !moved;
    if (FSI_UNLIKELY(loop->stopping) && idle && !conn->fresh) { // its answer promised more than the stop now allows
        fsi_conn_close(conn, false);
        return;
    }
    if (FSI_UNLIKELY(moved)) { // the budget is spent
        if (loop->turn_requests >= requests_max) FSI_COUNT(loop, turns_cut, 1);
        fsi_conn_run_later(conn);
    }
    fsi_conn_set_timer(conn, had_carry && loop->turn_requests == 0);
    if (FSI_UNLIKELY(conn->answers >= FSI_FOLLOW_ANSWERS || (loop->give_count && conn->answers)))
        fsi_balance_answered(conn);
}

// A message has come of a request that was away.
FSI_PRIVATE void fsi_conn_hear(fsi_job *job, bool home)
{
    fsi_conn *conn = job->conn;
    job->awake = true;
    if (!home && (job->lost || conn->state == FSI_CONN_CLOSE)) { // of pieces that nobody wants any more
        fsi_lock_take(&conn->loop->server->token_lock);
        home = fsi_job_is_mine(job);
        fsi_lock_give(&conn->loop->server->token_lock);
        if (!home) return;
    }
    if (home) {
        fsi_loop_unreserve(conn->loop);
        conn->away = false;
    }
    if (conn->state != FSI_CONN_CLOSE) {
        fsi_conn_run(conn);
        return;
    }
    fsi_conn_end_request(conn, conn->request);
    fsi_conn_bury_later(conn);
}

// A token was not answered in time; a handler that is running may take as long as it does.
FSI_SELDOM void fsi_conn_away_timeout(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    fsi_job *job = conn->request->job;
    uint64_t wait = loop->server->desc.defer_timeout_ms, due;
    fsi_lock_take(&loop->server->token_lock);
    due =
        job->token ? job->taken_ms + wait : loop->now_ms; // a handler on a worker may have taken it long after it left
    bool late = loop->now_ms >= due && fsi_job_reclaim(job), mine = late && fsi_job_is_mine(job);
    if (late && loop->server->token_waiters) fsi_signal_all(&loop->server->token_room);
    fsi_lock_give(&loop->server->token_lock);
    if (late) {
        job->lost = true;
        FSI_COUNT(loop, timeouts, 1);
        FSI_COUNT(loop, defer_timeouts, 1);
    }
    if (late && job->streams) {
        fsi_conn_close(conn, true);
        return;
    }
    fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms < due ? due : loop->now_ms + wait);
    if (!mine) return; // else it comes home by itself
    fsi_loop_unreserve(loop);
    conn->away = false;
    fsi_conn_run(conn);
}

FSI_SELDOM void fsi_conn_count_timeout(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    bool reading = conn->state == FSI_CONN_BODY || conn->state == FSI_CONN_EXCHANGE;
    if (conn->state == FSI_CONN_LINGER) return;
    FSI_COUNT(loop, timeouts, 1);
    if (conn->out || (reading && conn->body_done))
        FSI_COUNT(loop, timeouts_send, 1);
    else if (reading)
        FSI_COUNT(loop, timeouts_body, 1);
    else if (conn->state == FSI_CONN_HEAD && conn->carry)
        FSI_COUNT(loop, timeouts_head, 1);
    else if (conn->state == FSI_CONN_HEAD || (conn->state == FSI_CONN_TCP && !conn->raw.connecting))
        FSI_COUNT(loop, timeouts_idle, 1);
}

// It has waited for too long.
FSI_RARE void fsi_conn_timeout(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    const fsv_server_desc *desc = &loop->server->desc;
    bool reading = conn->state == FSI_CONN_BODY || conn->state == FSI_CONN_EXCHANGE;
    if (desc->model && fsi_conn_idles_on(conn)) return;
    if (conn->state == FSI_CONN_AWAY && !conn->out) {
        fsi_conn_away_timeout(conn);
        return;
    }
    if (reading && !conn->out && !conn->body_done &&
        conn->window_bytes >= (uint64_t)desc->body_rate_min * desc->body_timeout_ms / 1000) {
        conn->window_bytes = 0;
        fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms + desc->body_timeout_ms);
        return;
    }
    if (conn->out && conn->out->cold) { // nothing was offered to the peer
        fsi_files_stay_cold(conn);
        return;
    }
    if (conn->out && fsi_conn_was_read(conn)) return;
    fsi_conn_count_timeout(conn);
    if (conn->state == FSI_CONN_TCP) conn->raw.why = (uint8_t)-FSV_ERR_TIMEOUT;
    if (!conn->out && ((conn->state == FSI_CONN_HEAD && conn->carry) || (reading && !conn->body_done))) {
        fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms + desc->linger_ms);
        loop->in_at = loop->in_len = loop->out_len = 0;
        fsi_conn_refuse(conn, 408,
                        conn->state == FSI_CONN_HEAD ? "the head took too long" : "the body came too slowly");
        if (conn->state != FSI_CONN_CLOSE) {
            if (conn->carry) fsi_block_put(loop, conn->carry, conn->carry_cap);
            conn->carry = NULL;
            fsi_conn_flush(conn);
            fsi_conn_run(conn);
        }
        return;
    }
    fsi_conn_close(conn, conn->out != NULL || reading); // an answer that is cut must not look whole
}

// ---------------------------------------------------------------------------------------------------------
// >>files   Folders of files. A request wants a path; what it finds is an asset: the file's look, the lines of the head
//           that follow from it, and its content, or, if that is large, the open file. Finding is the same on a loop,
//           where it must not wait for a disk (what would have to is FSI_FOUND_BUSY, and the request goes to a worker),
//           and on a worker, where it may. Answering (conditions, ranges) is the loop's. Each loop keeps a shelf of what
//           it has sent. A request that was sent after a write had ended gets the new bytes: what is on the shelf is
//           compared with the file system each time, by one look at the path; and what is so new that another write
//           might leave it with the same time stamps is not kept, and has a weak tag.
// ---------------------------------------------------------------------------------------------------------

#if FSI_FILES
#define FSI_KEEP_BYTES FSI_FILE_TURN // larger files stay on the disk, and open
#ifndef FSI_RECHECK_MS
#define FSI_RECHECK_MS \
    2000u // an asset's path is opened anew, without waiting, and not just looked at; a test's variable
#endif
#ifndef FSI_SETTLED_NS
#define FSI_SETTLED_NS ((int64_t)2 * 1000000000) // the coarsest time stamps in use, FAT's; a test has a variable
#endif
#ifndef FSI_RENEW_MS
#define FSI_RENEW_MS 2000u // after so long a worker looks whether another folder stands at the folder's path; likewise
#endif
#define FSI_RANGES_MAX 16u
#define FSI_LINES_BYTES 1024u // of an asset, with room for a Content-Range
#define FSI_CACHE_CONTROL_BYTES_MAX 512u

static const char *const fsi_coding_names[] = {"", "br", "zstd", "gzip"};
static const char *const fsi_coding_endings[] = {"", ".br", ".zst", ".gz"};

// What of a request decides which answer a file gives.
typedef struct fsi_asked {
    fsi_conditions conditions;
    fsv_str codings; // Accept-Encoding
} fsi_asked;

// ---- assets

// Its content is not in memory: while anybody sends it, it has a descriptor.
FSI_PRIVATE bool fsi_asset_stays_open(const fsi_file_look *look)
{
    return look->id.size > FSI_KEEP_BYTES;
}

// There was no room for its file: HEAD and conditions are answered, its bytes are not.
FSI_PRIVATE bool fsi_asset_is_shut(const fsi_asset *asset)
{
    return asset->file == FSI_NO_FILE && fsi_asset_stays_open(&asset->look);
}

// Loop's own, but for one that is not on a loop yet.
static void fsi_asset_drop(fsi_asset *asset)
{
    fsv_server *server = asset->folder->server;
    if (--asset->holders) return;
    fsi_file_close(asset->file);
    if (asset->file != FSI_NO_FILE) (void)fsi_add32(&server->files_open, (uint32_t)-1);
    fsi_release(server, asset, asset->bytes);
}

static void fsi_asset_release(void *content, void *user)
{
    (void)content;
    fsi_asset_drop((fsi_asset *)user);
}

FSI_PRIVATE const char *fsi_asset_path(const fsi_asset *asset)
{
    return (const char *)(asset + 1);
}

FSI_PRIVATE const char *fsi_asset_lines(const fsi_asset *asset)
{
    return fsi_asset_path(asset) + asset->path_len + 1;
}

FSI_PRIVATE uint64_t fsi_mix64(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccdu;
    return x ^ x >> 33;
}

// An entity tag of what the file is. Of its inode number it tells 16 bits at most: whoever knows the times can undo the rest.
FSI_SELDOM size_t fsi_tag_write(char *at, size_t size, const fsi_file_id *id, bool settled)
{
    uint64_t mix = fsi_mix64(id->volume, id->index) & 0xffff;
    mix = fsi_mix64(fsi_mix64(mix, (uint64_t)id->modified_ns), (uint64_t)id->changed_ns);
    return (size_t)snprintf(at, size, "%s\"%llx-%llx\"", settled ? "" : "W/", (unsigned long long)id->size,
                            (unsigned long long)mix);
}

#define FSI_SECOND_NS ((int64_t)1000000000)

// Is it worth to look for a packed file beside one of this type? By its subtype, or what stands behind the last '+' in it.
FSI_SELDOM bool fsi_type_packs(const char *type)
{
    static const char packs[] = "bmp\0"
                                "javascript\0"
                                "json\0"
                                "octet-stream\0"
                                "otf\0"
                                "sql\0"
                                "toml\0"
                                "ttf\0"
                                "vnd.microsoft.icon\0"
                                "wasm\0"
                                "x-icon\0"
                                "x-javascript\0"
                                "x-ndjson\0"
                                "xml\0"
                                "yaml\0";
    if (strncmp(type, "text/", 5) == 0) return true;
    const char *slash = strchr(type, '/');
    if (!slash) return false;
    const char *sub = slash + 1;
    size_t len = strcspn(sub, "; ");
    for (size_t plus = strcspn(sub, "+; "); plus < len; plus = strcspn(sub, "+; ")) {
        sub += plus + 1;
        len -= plus + 1;
    }
    for (const char *at = packs; *at; at += strlen(at) + 1)
        if (strlen(at) == len && memcmp(at, sub, len) == 0) return true;
    return false;
}

// The lines that follow from the file, those of a 304 first. out has FSI_LINES_BYTES.
FSI_SELDOM void fsi_asset_write_lines(fsi_asset *asset, char *out)
{
    const fsv_folder_desc *desc = &asset->folder->desc;
    int64_t modified_s = asset->look.id.modified_ns / FSI_SECOND_NS, now_s = (int64_t)(fsi_wall_ns() / 1000000000);
    char *at = FSI_PUT(out, "ETag: ");
    asset->tag_at = (uint32_t)(at - out);
    asset->tag_len = (uint32_t)fsi_tag_write(at, 64, &asset->look.id, asset->settled);
    at += asset->tag_len;
    at = FSI_PUT(at, "\r\nLast-Modified: ");
    // Never later than Date (RFC 9110 8.8.2.1), nor in a second that is not over: another write in it would have the same
    // date, and If-Modified-Since would not see it.
    fsi_date_write(at, modified_s < now_s ? modified_s : now_s - !asset->settled);
    at = FSI_PUT(at + 29, "\r\n");
    if (desc->cache_control) {
        at = FSI_PUT(at, "Cache-Control: ");
        asset->control_at = (uint32_t)(at - out);
        asset->control_len = (uint32_t)strlen(desc->cache_control);
        at = fsi_put(at, desc->cache_control, asset->control_len);
        at = FSI_PUT(at, "\r\n");
    }
    if (desc->precompressed && fsi_type_packs(asset->type)) at = FSI_PUT(at, "Vary: Accept-Encoding\r\n");
    asset->brief_len = (uint32_t)(at - out);
    at = FSI_PUT(at, "Accept-Ranges: bytes\r\n");
    if (asset->coding) {
        at = FSI_PUT(at, "Content-Encoding: ");
        at = fsi_put(at, fsi_coding_names[asset->coding], strlen(fsi_coding_names[asset->coding]));
        at = FSI_PUT(at, "\r\n");
    }
    asset->lines_len = (uint32_t)(at - out);
}

// Reads the whole of a file that is `size` bytes long.
FSI_SELDOM fsi_found fsi_file_fetch(fsi_os_file file, char *to, size_t size, bool wait)
{
    for (size_t have = 0; have < size;) {
        int64_t got = fsi_file_read(file, have, to + have, size - have, wait);
        if (got == FSI_PENDING) return FSI_FOUND_BUSY;
        if (got < 0) return FSI_FOUND_FAILED;
        if (got == 0) return FSI_FOUND_BUSY; // it has become shorter: look again
        have += (size_t)got;
    }
    return FSI_FOUND;
}

// By its own table, else by everybody's.
FSI_SELDOM const char *fsi_folder_type(const fsv_folder *folder, const char *name)
{
    const char *type = fsi_type_of(folder->desc.types, name, strlen(name));
    if (!type) type = fsi_type_of(fsi_types, name, strlen(name));
    return type ? type : "application/octet-stream";
}

// type: NULL: by the path. Takes the open file over, in any case. *out: held once, for the caller; set only with FSI_FOUND.
FSI_SELDOM fsi_found fsi_asset_make(fsv_folder *folder, const char *path, const char *type, uint8_t coding,
                                    fsi_os_file file, const fsi_file_look *look, bool wait, fsi_asset **out)
{
    char lines[FSI_LINES_BYTES];
    fsi_asset asset, *made;
    fsv_server *server = folder->server;
    memset(&asset, 0, sizeof asset);
    asset.folder = folder;
    asset.type = type ? type : fsi_folder_type(folder, path);
    asset.coding = coding;
    asset.look = *look;
    asset.settled = (int64_t)fsi_wall_ns() - look->id.changed_ns > FSI_SETTLED_NS;
    asset.path_len = (uint32_t)strlen(path);
    asset.file = FSI_NO_FILE;
    asset.holders = 1;
    fsi_asset_write_lines(&asset, lines);
    bool open = fsi_asset_stays_open(look);
    size_t kept = open ? 0 : (size_t)look->id.size;
    asset.bytes = sizeof asset + asset.path_len + 1 + asset.lines_len + kept;
    made = (fsi_asset *)fsi_alloc(server, asset.bytes);
    if (!made) {
        fsi_file_close(file);
        return FSI_FOUND_FULL;
    }
    *made = asset;
    char *at = fsi_put((char *)(made + 1), path, asset.path_len + 1);
    at = fsi_put(at, lines, asset.lines_len);
    if (open) { // without room it has no file: a loop may have an open one, or send no byte of it
        if (fsi_add32(&server->files_open, 1) < server->files_max) {
            made->file = file; // the asset's from here on
        } else {
            (void)fsi_add32(&server->files_open, (uint32_t)-1);
            fsi_file_close(file);
        }
        *out = made;
        return FSI_FOUND;
    }
    fsi_file_look after;
    fsi_found found = fsi_file_fetch(file, at, kept, wait);
    if (found == FSI_FOUND && (fsi_file_look_open(file, &after) != FSI_FILE_OK || !fsi_look_same(look, &after)))
        found = FSI_FOUND_BUSY; // somebody writes to it
    fsi_file_close(file);
    if (found != FSI_FOUND) {
        fsi_asset_drop(made);
        return found;
    }
    made->content = at;
    *out = made;
    return FSI_FOUND;
}

FSI_SELDOM fsi_found fsi_found_of(fsi_file_result result)
{
    switch (result) {
    case FSI_FILE_OK: return FSI_FOUND;
    case FSI_FILE_NONE: return FSI_FOUND_NONE;
    case FSI_FILE_DENIED: return FSI_FOUND_DENIED;
    case FSI_FILE_BUSY: return FSI_FOUND_BUSY;
    case FSI_FILE_FULL: return FSI_FOUND_FULL;
    case FSI_FILE_FAILED: break;
    }
    return FSI_FOUND_FAILED;
}

// ---- the shelf

FSI_SELDOM void fsi_shelf_unlink(fsi_shelf *shelf, fsi_asset *asset)
{
    if (asset->newer)
        asset->newer->older = asset->older;
    else
        shelf->newest = asset->older;
    if (asset->older)
        asset->older->newer = asset->newer;
    else
        shelf->oldest = asset->newer;
    asset->newer = asset->older = NULL;
}

FSI_SELDOM void fsi_shelf_push(fsi_shelf *shelf, fsi_asset *asset)
{
    asset->newer = NULL;
    asset->older = shelf->newest;
    if (shelf->newest)
        shelf->newest->newer = asset;
    else
        shelf->oldest = asset;
    shelf->newest = asset;
}

FSI_SELDOM void fsi_shelf_take_off(fsi_shelf *shelf, fsi_asset *asset)
{
    fsi_asset **at = &shelf->chains[asset->hash % FSI_SHELF_CHAINS];
    while (*at != asset) at = &(*at)->next;
    *at = asset->next;
    fsi_shelf_unlink(shelf, asset);
    shelf->bytes -= asset->bytes;
    shelf->count--;
    shelf->files -= asset->content == NULL;
    asset->shelved = false;
    fsi_asset_drop(asset);
}

FSI_PRIVATE uint32_t fsi_shelf_hash(const fsv_folder *folder, const char *path, size_t len, uint8_t coding)
{
    uint64_t hash = fsi_mix64((uint64_t)(uintptr_t)folder, coding);
    for (; len >= 8; path += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, path, 8);
        hash = fsi_mix64(hash, word);
    }
    for (size_t i = 0; i < len; i++) hash = fsi_mix64(hash, (uint8_t)path[i]);
    return (uint32_t)(hash ^ hash >> 32);
}

FSI_PRIVATE fsi_asset *fsi_shelf_find(const fsi_shelf *shelf, const fsv_folder *folder, const char *path, size_t len,
                                      uint8_t coding, uint32_t hash)
{
    if (!shelf->chains) return NULL;
    for (fsi_asset *asset = shelf->chains[hash % FSI_SHELF_CHAINS]; asset; asset = asset->next)
        if (asset->hash == hash && asset->folder == folder && asset->coding == coding && asset->path_len == len &&
            memcmp(fsi_asset_path(asset), path, len) == 0)
            return asset;
    return NULL;
}

// Puts it on the shelf, if it may stand there; the oldest make room. Takes over that the caller holds it, and returns what
// the caller holds from here on: one that stood there already and is the same, which has its file open once for all who
// are sent it, or this one.
FSI_SELDOM fsi_asset *fsi_shelf_add(fsi_loop *loop, fsi_asset *asset)
{
    fsi_shelf *shelf = &loop->shelf;
    const fsv_server *server = loop->server;
    if (!asset->settled || asset->folder->root.remote || (!asset->content && !server->shelf_files) ||
        asset->folder->desc.cache_bytes == 1 || asset->bytes > server->shelf_bytes / 4 ||
        server->desc.model != FSV_MODEL_EVENT)
        return asset;
    if (!shelf->chains) {
        shelf->chains = (fsi_asset **)fsi_alloc_zero(server, sizeof(fsi_asset *) * FSI_SHELF_CHAINS);
        if (!shelf->chains) return asset;
    }
    const char *path = fsi_asset_path(asset);
    asset->hash = fsi_shelf_hash(asset->folder, path, asset->path_len, asset->coding);
    fsi_asset *before = fsi_shelf_find(shelf, asset->folder, path, asset->path_len, asset->coding, asset->hash);
    if (before && fsi_look_same(&before->look, &asset->look)) {
        before->checked_ms = loop->now_ms;
        before->holders++;
        for (uint32_t i = 0; i < FSI_CODINGS; i++)
            if (asset->alone_ms[i]) before->alone_ms[i] = asset->alone_ms[i];
        fsi_asset_drop(asset);
        return before;
    }
    if (before) fsi_shelf_take_off(shelf, before);
    if (fsi_asset_is_shut(asset)) return asset;
    while (shelf->oldest && (shelf->bytes + asset->bytes > server->shelf_bytes || shelf->count >= FSI_SHELF_ASSETS ||
                             (!asset->content && shelf->files >= server->shelf_files)))
        fsi_shelf_take_off(shelf, shelf->oldest);
    asset->next = shelf->chains[asset->hash % FSI_SHELF_CHAINS];
    shelf->chains[asset->hash % FSI_SHELF_CHAINS] = asset;
    fsi_shelf_push(shelf, asset);
    shelf->bytes += asset->bytes;
    shelf->count++;
    shelf->files += asset->content == NULL;
    asset->checked_ms = loop->now_ms;
    asset->holders++;
    asset->shelved = true;
    return asset;
}

FSI_SELDOM void fsi_shelf_free(fsi_loop *loop)
{
    fsi_shelf *shelf = &loop->shelf;
    while (shelf->oldest) fsi_shelf_take_off(shelf, shelf->oldest);
    fsi_release(loop->server, shelf->chains, sizeof(fsi_asset *) * FSI_SHELF_CHAINS);
    shelf->chains = NULL;
}

// ---- finding

// On a loop: lets a worker look what stands at the folder's path by now, when it is time; meanwhile it goes on with what it
// has. True: nobody has asked for so long that this request has to wait for that.
FSI_PRIVATE bool fsi_folder_is_due(fsi_loop *loop, fsv_folder *folder)
{
    uint64_t before = fsi_load64(&folder->renewed_ms);
    if (loop->now_ms < before + FSI_RENEW_MS) return false;
    if (loop->now_ms >= before + 2 * (uint64_t)FSI_RENEW_MS) return true;
    if (fsi_cas64(&folder->renewed_ms, &before, loop->now_ms))
        (void)fsi_pool_push(loop, fsi_msg_of(FSI_MSG_RENEW, 0, folder));
    return false;
}

// Holds one of the shelf for the caller.
FSI_PRIVATE fsi_found fsi_asset_keep(fsi_loop *loop, fsi_asset *known, fsi_asset **out)
{
    known->holders++;
    FSI_COUNT(loop, files_kept, 1);
    *out = known;
    return FSI_FOUND;
}

// The asset of one path, held for the caller. loop: whose shelf may have it; NULL off the loops. type: as above.
FSI_PRIVATE fsi_found fsi_asset_get(fsi_loop *loop, fsv_folder *folder, const char *path, const char *type,
                                    uint8_t coding, bool wait, fsi_asset **out)
{
    size_t len = strlen(path);
    uint32_t hash = loop ? fsi_shelf_hash(folder, path, len, coding) : 0;
    fsi_asset *known = loop ? fsi_shelf_find(&loop->shelf, folder, path, len, coding, hash) : NULL;
    fsi_file_look look;
    fsi_os_file file;
    if (!wait && (folder->root.remote || fsi_folder_is_due(loop, folder))) return FSI_FOUND_BUSY;
    if (known && loop->now_ms - known->checked_ms < FSI_RECHECK_MS &&
        fsi_file_look_at(&folder->root, path, &look) == FSI_FILE_OK && fsi_look_same(&look, &known->look))
        return fsi_asset_keep(loop, known, out);
    fsi_file_result result = fsi_file_open(&folder->root, path, wait, &file, &look);
    bool same = known && result == FSI_FILE_OK && fsi_look_same(&look, &known->look);
    if (same) {
        fsi_file_close(file);
        known->checked_ms = loop->now_ms;
        fsi_shelf_unlink(&loop->shelf, known); // what is used goes to the front, as often as it is checked
        fsi_shelf_push(&loop->shelf, known);
        return fsi_asset_keep(loop, known, out);
    }
    if (known && result != FSI_FILE_BUSY) fsi_shelf_take_off(&loop->shelf, known);
    if (result != FSI_FILE_OK) return fsi_found_of(result);
    if (look.kind == FSI_FILE_FOLDER) return FSI_FOUND_FOLDER;
    if (look.kind != FSI_FILE_PLAIN) return FSI_FOUND_NONE;
    for (int tries = 0;; tries++) { // while somebody writes to it; on a loop only once
        fsi_found found = fsi_asset_make(folder, path, type, coding, file, &look, wait, out);
        if (found == FSI_FOUND && loop) *out = fsi_shelf_add(loop, *out);
        if (found != FSI_FOUND_BUSY || !wait) return found;
        if (tries == 8) return FSI_FOUND_FULL; // 503: try again
        result = fsi_file_open(&folder->root, path, wait, &file, &look);
        if (result != FSI_FILE_OK || look.kind != FSI_FILE_PLAIN)
            return result == FSI_FILE_OK ? FSI_FOUND_NONE : fsi_found_of(result);
    }
}

// Instead of *asset one that is packed, if the client takes it and it is not older. That there is none is remembered for a
// while: most files have none, and browsers ask for three. False: FSI_FOUND_BUSY.
FSI_SELDOM bool fsi_asset_pack(fsi_loop *loop, fsv_folder *folder, char *path, fsv_str accepted, bool wait,
                               fsi_asset **asset)
{
    uint8_t codings[3];
    uint32_t count = fsi_codings_read(accepted.ptr, accepted.len, codings);
    size_t len = strlen(path);
    uint64_t now_ms = loop ? loop->now_ms : fsi_clock_ns() / 1000000;
    for (uint32_t i = 0; i < count; i++) {
        fsi_asset *packed = NULL;
        uint64_t *alone_ms = &(*asset)->alone_ms[codings[i]];
        if (*alone_ms && now_ms - *alone_ms < FSI_RECHECK_MS) continue;
        memcpy(path + len, fsi_coding_endings[codings[i]], strlen(fsi_coding_endings[codings[i]]) + 1);
        fsi_found found = fsi_asset_get(loop, folder, path, (*asset)->type, codings[i], wait, &packed);
        path[len] = 0;
        if (found == FSI_FOUND_BUSY) return false;
        *alone_ms = found == FSI_FOUND_NONE ? now_ms : 0;
        if (found != FSI_FOUND) continue;
        bool shut = fsi_asset_is_shut(packed) && !fsi_asset_is_shut(*asset);
        if (packed->look.id.modified_ns >= (*asset)->look.id.modified_ns && !shut) {
            fsi_asset_drop(*asset);
            *asset = packed;
            return true;
        }
        fsi_asset_drop(packed);
    }
    return true;
}

#define FSI_PATH_ROOM 8u // behind a path: a slash, the ending of a coding, a terminator

FSI_PRIVATE void fsi_files_asked(const fsv_request *request, fsi_asked *asked)
{
    memset(asked, 0, sizeof *asked);
    bool ranges = false;
    for (uint32_t i = 0; i < request->head.field_count; i++) {
        const fsi_field *field = &request->fields[i];
        const char *name = request->base + field->name;
        fsv_str value = fsi_view(request->base + field->value, field->value_len);
        fsi_conditions *c = &asked->conditions;
        switch (field->name_len) {
        case 5:
            if (!FSI_IS(name, 5, "range")) break;
            c->range = ranges ? fsi_view(NULL, 0) : value; // several are none
            ranges = true;
            break;
        case 8:
            if (FSI_IS(name, 8, "if-match")) c->if_match = value;
            if (FSI_IS(name, 8, "if-range")) c->if_range = value;
            break;
        case 13:
            if (FSI_IS(name, 13, "if-none-match")) c->if_none_match = value;
            break;
        case 15:
            if (FSI_IS(name, 15, "accept-encoding")) asked->codings = value;
            break;
        case 17:
            if (FSI_IS(name, 17, "if-modified-since")) c->if_modified_since = value;
            break;
        case 19:
            if (FSI_IS(name, 19, "if-unmodified-since")) c->if_unmodified_since = value;
            break;
        default: break;
        }
    }
}

// Finds what the request wants. loop: NULL off the loops.
FSI_PRIVATE fsi_found fsi_want_find(fsi_loop *loop, fsi_want *want, const fsi_asked *asked, bool wait)
{
    fsv_folder *folder = want->folder;
    const char *index = folder->desc.index;
    char *path = want->path;
    if (want->refused) return FSI_FOUND_NONE;
    if (want->slash) { // behind the path: "/" and the index, or nothing where the path is empty
        char *at = path + want->path_len;
        if (want->path_len && *index) *at++ = '/';
        memcpy(at, index, strlen(index) + 1);
    }
    fsi_found found =
        want->slash && !*index ? FSI_FOUND_NONE : fsi_asset_get(loop, folder, path, NULL, 0, wait, &want->asset);
    bool packs = found == FSI_FOUND && folder->desc.precompressed && asked->codings.len && want->status == 200 &&
                 fsi_type_packs(want->asset->type);
    if (packs && !fsi_asset_pack(loop, folder, path, asked->codings, wait, &want->asset)) {
        fsi_asset_drop(want->asset);
        want->asset = NULL;
        found = FSI_FOUND_BUSY;
    }
    path[want->path_len] = 0;
    if (found == FSI_FOUND_FOLDER && !want->visited) found = FSI_FOUND_NONE;
    if (!want->slash || found == FSI_FOUND || found == FSI_FOUND_BUSY) return found;
    if (found == FSI_FOUND_FOLDER) found = FSI_FOUND_NONE; // one that is called index.html
    if (found != FSI_FOUND_NONE || !wait) return found;
    fsi_file_look look; // by the root's rule: a link to a folder elsewhere is none
    fsi_os_file file;
    fsi_file_result result = fsi_file_open(&folder->root, path, true, &file, &look);
    fsi_file_close(file);
    if (result == FSI_FILE_DENIED) result = fsi_file_look_at(&folder->root, path, &look); // entered, but not read
    if (result != FSI_FILE_OK) return fsi_found_of(result);
    return look.kind == FSI_FILE_FOLDER ? FSI_FOUND_INDEX : FSI_FOUND_NONE;
}

// The request wants no file any more.
static void fsi_want_end(fsv_request *request)
{
    fsi_want *want = &request->want;
    if (want->asset) fsi_asset_drop(want->asset);
    fsi_request_unblock(request, want->path, want->path_cap);
    memset(want, 0, sizeof *want);
}

FSI_PRIVATE uint32_t fsi_folder_rules(const fsv_folder *folder)
{
    return FSI_NAMES_HERE | (folder->desc.hidden ? FSI_NAMES_SHOWN : 0);
}

// A path as it came, decoded. False: out of memory.
FSI_PRIVATE bool fsi_want_set(fsv_request *request, fsv_folder *folder, const char *path, size_t len, uint32_t status)
{
    fsi_want *want = &request->want;
    size_t room = len + strlen(folder->desc.index) + FSI_PATH_ROOM, got;
    bool missed = want->missed, slash = false;
    char *to = (char *)fsi_request_block(request, room, &got);
    if (!to) return false;
    memset(want, 0, sizeof *want);
    want->missed = missed;
    want->folder = folder;
    want->status = status;
    want->path = to;
    want->path_cap = got;
    int64_t n = fsi_entity_path(to, path, len, fsi_folder_rules(folder), &slash);
    want->refused = n < 0;
    if (n < 0) memcpy(to, path, len); // on_missing may want it
    want->path_len = n < 0 ? (uint32_t)len : (uint32_t)n;
    to[want->path_len] = 0;
    want->slash = slash && n >= 0;
    return true;
}

// What is not there: asks on_missing. False: nobody has answered.
FSI_SELDOM bool fsi_want_ask(fsv_request *request, fsi_found found)
{
    fsi_want *want = &request->want;
    fsv_folder *folder = want->folder;
    char *path = want->path; // the handler may ask for another one
    size_t cap = want->path_cap, len = want->path_len;
    if (found == FSI_FOUND_INDEX && len) path[len++] = '/';
    path[len] = 0;
    memset(want, 0, sizeof *want);
    want->missed = true;
    folder->desc.on_missing(request, folder, found == FSI_FOUND_INDEX ? FSV_MISSING_INDEX : FSV_MISSING_FILE,
                            fsi_view(path, len), folder->desc.user);
    fsi_request_unblock(request, path, cap);
    return want->folder != NULL || request->resp != FSI_RESP_NONE || request->deferred;
}

// Looks whether another folder stands at its path by now. On a worker, or where it may wait.
FSI_SELDOM void fsi_files_renew(fsv_folder *folder)
{
    bool kept = fsi_root_renew(&folder->root) == FSI_FILE_DENIED;
    if (kept && !fsi_swap32(&folder->kept, 1))
        fsi_log(
            folder->server, 1, "folder_kept", 0,
            "%s is another folder now and not served until a restart: of another owner, by a link, or not to be read",
            fsi_root_name(&folder->root));
    if (!kept) fsi_store32(&folder->kept, 0);
}

// The same, where nobody has for a while.
FSI_SELDOM void fsi_folder_renew(fsv_folder *folder)
{
    uint64_t now_ms = fsi_clock_ns() / 1000000;
    if (now_ms < fsi_load64(&folder->renewed_ms) + FSI_RENEW_MS) return;
    fsi_store64(&folder->renewed_ms, now_ms);
    fsi_files_renew(folder);
}

// Finds it, and asks for what is not there. It may wait: on a worker, or where a model gave a connection its thread.
// Leaves want->found for fsi_files_answer, or want->folder NULL: answered.
FSI_SELDOM void fsi_files_look(fsi_loop *loop, fsv_request *request)
{
    fsi_want *want = &request->want;
    fsi_asked asked;
    fsi_files_asked(request, &asked);
    for (;;) {
        fsv_folder *folder = want->folder;
        fsi_folder_renew(folder);
        fsi_found found = fsi_want_find(loop, want, &asked, true);
        bool missing = found == FSI_FOUND_NONE || found == FSI_FOUND_INDEX;
        if (!missing || !folder->desc.on_missing || want->missed) {
            want->found = (uint8_t)found;
            return;
        }
        if (!fsi_want_ask(request, found)) { // fsi_files_answer writes the 404
            want->folder = folder;
            want->found = FSI_FOUND_NONE;
            return;
        }
        if (!want->folder) return;
    }
}

// On a worker.
FSI_SELDOM void fsi_files_work(fsv_request *request)
{
    fsi_files_look(NULL, request);
}

// ---- answering, on the loop

FSI_PRIVATE void fsi_asset_put(fsi_conn *conn, fsi_asset *asset, uint64_t at, uint64_t len)
{
    if (asset->content && len <= FSI_OUT_BYTES / 4) {
        fsi_conn_put_bytes(conn, asset->content + (size_t)at, (size_t)len);
        return;
    }
    asset->holders++;
    if (asset->content) {
        fsi_conn_write_through(conn, asset->content + (size_t)at, (size_t)len, true, fsi_asset_release, asset);
        return;
    }
    conn->chan.more = true;
    fsi_conn_flush(conn);
    conn->chan.more = false;
    fsi_conn_queue_file(conn, asset, at, len);
}

// The head of an answer with (a part of) a file. extra: a line behind the asset's own.
FSI_PRIVATE void fsi_asset_head(fsi_conn *conn, fsv_request *request, const fsi_asset *asset, uint32_t status,
                                const char *type, uint64_t length, const char *extra, size_t extra_len)
{
    char lines[FSI_LINES_BYTES + 128];
    fsv_str all = fsi_view(fsi_asset_lines(asset), status == 304 ? asset->brief_len : asset->lines_len);
    if (asset->control_len && status != 200 && status != 206 && status != 304) { // a 404.html: not for a week
        size_t behind = asset->control_at + asset->control_len;
        char *at = fsi_put(lines, all.ptr, asset->control_at);
        at = FSI_PUT(at, "no-cache");
        at = fsi_put(at, all.ptr + behind, all.len - behind);
        all = fsi_view(lines, (size_t)(at - lines));
    } else if (extra_len) {
        char *at = fsi_put(lines, all.ptr, all.len);
        at = fsi_put(at, extra, extra_len);
        all = fsi_view(lines, (size_t)(at - lines));
    }
    fsi_conn_put_head_of(conn, request, status, type, type ? strlen(type) : 0, length, false, true, all);
    request->out_bytes = request->no_body ? 0 : length;
    request->resp = FSI_RESP_DONE;
}

FSI_PRIVATE void fsi_asset_whole(fsi_conn *conn, fsv_request *request, fsi_asset *asset, uint32_t status)
{
    uint64_t size = asset->look.id.size;
    fsi_asset_head(conn, request, asset, status, asset->type, size, "", 0);
    if (size && !request->no_body) fsi_asset_put(conn, asset, 0, size);
}

FSI_SELDOM size_t fsi_range_line(char *out, size_t size, const fsi_range *range, uint64_t whole)
{
    return (size_t)snprintf(out, size, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)range->at,
                            (unsigned long long)(range->at + range->len - 1), (unsigned long long)whole);
}

// The head of one part (RFC 9110 14.6).
FSI_SELDOM size_t fsi_part_head(char *out, size_t size, const fsi_asset *asset, const fsi_range *range,
                                const char *boundary)
{
    int n = snprintf(out, size, "\r\n--%s\r\nContent-Type: %s\r\n", boundary, asset->type);
    n += (int)fsi_range_line(out + n, size - (size_t)n, range, asset->look.id.size);
    return (size_t)n + (size_t)snprintf(out + n, size - (size_t)n, "\r\n");
}

#define FSI_PART_BYTES (FSI_TYPE_BYTES_MAX + 256u)

// Several ranges: multipart/byteranges. Who writes the file must not guess the boundary, nor who reads it learn from it: it
// is random, and where the system has nothing random, all of the file is the answer (RFC 9110 14.2).
FSI_SELDOM void fsi_asset_parts(fsi_conn *conn, fsv_request *request, fsi_asset *asset, const fsi_range *ranges,
                                uint32_t count)
{
    char boundary[40], type[100], head[FSI_PART_BYTES], end[48];
    uint64_t length = 0, random[2];
    if (!fsi_random(random, sizeof random)) {
        fsi_asset_whole(conn, request, asset, 200);
        return;
    }
    (void)snprintf(boundary, sizeof boundary, "%016llx%016llx", (unsigned long long)random[0],
                   (unsigned long long)random[1]);
    (void)snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", boundary);
    size_t end_len = (size_t)snprintf(end, sizeof end, "\r\n--%s--\r\n", boundary);
    for (uint32_t i = 0; i < count; i++)
        length += fsi_part_head(head, sizeof head, asset, &ranges[i], boundary) + ranges[i].len;
    fsi_asset_head(conn, request, asset, 206, type, length + end_len, "", 0);
    for (uint32_t i = 0; i < count; i++) {
        size_t n = fsi_part_head(head, sizeof head, asset, &ranges[i], boundary);
        fsi_conn_put_bytes(conn, head, n);
        fsi_asset_put(conn, asset, ranges[i].at, ranges[i].len);
    }
    fsi_conn_put_bytes(conn, end, end_len);
}

// The ranges that count, or 0 for the whole, or FSI_RANGES_OUTSIDE.
FSI_PRIVATE int32_t fsi_asset_ranges(const fsv_request *request, const fsi_asset *asset,
                                     const fsi_conditions *conditions, int64_t now_s, fsi_range *ranges)
{
    const char *tag = fsi_asset_lines(asset) + asset->tag_at;
    if (!conditions->range.ptr || request->head.method != FSI_GET) return 0; // RFC 9110 14.2
    if (conditions->if_range.ptr &&
        !fsi_if_range_holds(conditions->if_range, tag, asset->tag_len, asset->look.id.modified_ns / FSI_SECOND_NS,
                            now_s, asset->settled))
        return 0;
    return fsi_ranges_read(conditions->range.ptr, conditions->range.len, asset->look.id.size, ranges, FSI_RANGES_MAX);
}

FSI_SELDOM void fsi_files_refuse(fsi_conn *conn, fsv_request *request)
{
    FSI_COUNT(conn->loop, files_refused, 1);
    (void)fsi_answer_field(request, "Retry-After", "1");
    fsi_answer_plain(request, 503);
}

FSI_PRIVATE void fsi_asset_answer(fsi_conn *conn, fsv_request *request, fsi_asset *asset, uint32_t status)
{
    fsi_asked asked;
    fsi_range ranges[FSI_RANGES_MAX];
    char line[96];
    bool reads = request->head.method == FSI_GET || request->head.method == FSI_HEAD;
    bool lacks = !request->no_body && fsi_asset_is_shut(asset);
    if (status != 200 || !reads) { // of what another method does, conditions were to be asked before (13.2.1)
        if (lacks)
            fsi_files_refuse(conn, request);
        else
            fsi_asset_whole(conn, request, asset, status);
        return;
    }
    fsi_files_asked(request, &asked);
    int64_t now_s = (int64_t)(fsi_wall_ns() / 1000000000);
    const char *tag = fsi_asset_lines(asset) + asset->tag_at;
    uint32_t judged =
        fsi_conditions_judge(&asked.conditions, tag, asset->tag_len, asset->look.id.modified_ns / FSI_SECOND_NS, now_s);
    if (judged == 304) {
        fsi_asset_head(conn, request, asset, 304, NULL, 0, "", 0);
        return;
    }
    int32_t count = judged ? 0 : fsi_asset_ranges(request, asset, &asked.conditions, now_s, ranges);
    if (judged) {
        fsi_answer_plain(request, judged);
    } else if (count == FSI_RANGES_OUTSIDE) {
        (void)snprintf(line, sizeof line, "bytes */%llu", (unsigned long long)asset->look.id.size);
        (void)fsi_answer_field(request, "Content-Range", line);
        fsi_answer_plain(request, 416);
    } else if (lacks) {
        fsi_files_refuse(conn, request);
    } else if (count == 0) {
        fsi_asset_whole(conn, request, asset, 200);
    } else if (count == 1) {
        size_t n = fsi_range_line(line, sizeof line, ranges, asset->look.id.size);
        fsi_asset_head(conn, request, asset, 206, asset->type, ranges->len, line, n);
        fsi_asset_put(conn, asset, ranges->at, ranges->len);
    } else {
        fsi_asset_parts(conn, request, asset, ranges, (uint32_t)count);
    }
}

// To the same path with its slash. Relative, so that "//host/x" cannot lead elsewhere; the query goes along.
FSI_SELDOM void fsi_want_redirect(fsv_request *request, const fsi_want *want)
{
    const char *name = strrchr(want->path, '/');
    name = name ? name + 1 : want->path;
    size_t len = strlen(name), query = request->head.query_len, got;
    char *to = (char *)fsi_request_block(request, len * 3 + query + 3, &got);
    if (!to) {
        fsi_answer_plain(request, 503);
        return;
    }
    char *at = fsi_path_escape(to, name, len, false);
    *at++ = '/';
    if (query) {
        *at++ = '?';
        at = fsi_put(at, request->base + request->head.query, query);
    }
    *at = 0;
    const char *control = want->folder->desc.cache_control; // else browsers keep a redirect
    uint32_t before = request->more_len;
    fsv_result result = fsi_answer_field(request, "Location", to);
    if (result == FSV_OK && control) result = fsi_answer_field(request, "Cache-Control", control);
    if (result != FSV_OK) request->more_len = before; // what was added is of the redirect alone
    fsi_answer_plain(request, result == FSV_OK ? 301 : result == FSV_ERR_LIMIT ? 414 : 503);
    fsi_request_unblock(request, to, got);
}

// Writes the answer to what was found.
static void fsi_files_answer(fsi_conn *conn, fsv_request *request)
{
    fsi_want want = request->want; // from here on the request may be answered
    memset(&request->want, 0, sizeof request->want);
    if (want.asset && !want.asset->shelved) want.asset = fsi_shelf_add(conn->loop, want.asset);
    switch ((fsi_found)want.found) {
    case FSI_FOUND: fsi_asset_answer(conn, request, want.asset, want.status); break;
    case FSI_FOUND_FOLDER: fsi_want_redirect(request, &want); break;
    case FSI_FOUND_NONE:
    case FSI_FOUND_INDEX: fsi_answer_plain(request, 404); break;
    case FSI_FOUND_DENIED: fsi_answer_plain(request, 403); break;
    case FSI_FOUND_BUSY:
    case FSI_FOUND_FULL: fsi_files_refuse(conn, request); break;
    case FSI_FOUND_FAILED:
        fsi_log(conn->loop->server, 0, "file_failed", 0, "a file cannot be read: %s", want.path);
        fsi_answer_plain(request, 500);
        break;
    }
    request->want.path = want.path; // is to be given back
    request->want.path_cap = want.path_cap;
    request->want.asset = want.asset;
    fsi_want_end(request);
}

// A handler has asked for a file. -> AWAY, or answered
static void fsi_files_begin(fsi_conn *conn, fsv_request *request)
{
    fsi_want *want = &request->want;
    fsi_asked asked;
    if (conn->loop->server->desc.model != FSV_MODEL_EVENT) {
        fsi_files_look(conn->loop, request);
        if (request->deferred)
            fsi_conn_leave(conn);
        else if (want->folder)
            fsi_files_answer(conn, request);
        return;
    }
    fsi_files_asked(request, &asked);
    fsi_found found = fsi_want_find(conn->loop, want, &asked, false);
    bool missing = found == FSI_FOUND_NONE && want->folder->desc.on_missing && !want->missed;
    if (found == FSI_FOUND_BUSY || missing) {
        FSI_COUNT(conn->loop, files_cold, found == FSI_FOUND_BUSY);
        fsi_conn_send_away(conn, request);
        return;
    }
    want->found = (uint8_t)found;
    fsi_files_answer(conn, request);
}

// ---- large files

#define FSI_WARM_BYTES ((uint64_t)1 << 20) // at a time
#define FSI_WARM_AGAIN_MS 8u               // where no worker could take it

// Lets a worker bring the next part of the file that is first in the queue into memory. False: not now.
FSI_SELDOM bool fsi_files_warm(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    fsi_out *out = conn->out;
    size_t got;
    if (!fsi_loop_reserve(loop, true)) return false;
    fsi_warm *warm = (fsi_warm *)fsi_block_get(loop, sizeof *warm, &got);
    if (warm) {
        warm->conn = conn;
        warm->loop = loop;
        warm->asset = out->asset;
        warm->at = out->at;
        warm->len = out->left < FSI_WARM_BYTES ? out->left : FSI_WARM_BYTES;
        warm->bytes = got;
        if (fsi_pool_push(loop, fsi_msg_of(FSI_MSG_WARM, 0, warm))) {
            out->asset->holders++;
            conn->warming = true;
            FSI_COUNT(loop, files_cold, 1);
            return true;
        }
        fsi_block_put(loop, warm, got);
    }
    fsi_loop_unreserve(loop);
    return false;
}

// Sends from the part of a file that is first in the queue: one piece a turn, then others. The connection breaks where
// the file does: its length was promised. True: it could go on in the next turn.
static bool fsi_files_send(fsi_conn *conn)
{
    fsi_out *out = conn->out;
    fsi_loop *loop = conn->loop;
    if (out->cold) return false;
    if (loop->turn_bytes >= FSI_TURN_BYTES) return true;
    bool warm = out->at < out->warm_to;
    bool may_wait = warm || loop->server->desc.model != FSV_MODEL_EVENT; // then nobody else waits behind it
    uint64_t len = warm && out->left > out->warm_to - out->at ? out->warm_to - out->at : out->left;
    const fsi_asset *asset = out->asset;
    bool copies = !asset->folder->desc.sendfile;
    int64_t sent = FSI_FAILED;
    if (copies || fsi_file_holds(asset->file, &asset->look))
        sent = fsi_io_send_file(&conn->chan, asset->file, out->at, len, copies ? &asset->look : NULL, may_wait);
    if (sent == FSI_PENDING) return false;
    if (sent == FSI_COLD) {
        out->cold = true;
        if (!fsi_files_warm(conn)) // no worker can take it
            fsi_timer_set(&loop->wheel, &conn->timer, loop->now_ms + FSI_WARM_AGAIN_MS);
        return false;
    }
    if (sent <= 0) {
        conn->broken = true;
        return false;
    }
    loop->turn_bytes += FSI_TURN_BYTES;
    fsi_conn_has_sent(conn, (uint64_t)sent);
    out->at += (uint64_t)sent;
    out->left -= (uint64_t)sent;
    if (out->left == 0) fsi_out_drop(conn);
    return conn->out != NULL;
}

// Its time is up while a part of a file is not in memory: a worker has it, or none could take it.
static void fsi_files_stay_cold(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    if (conn->warming) {
        fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms + loop->server->desc.send_timeout_ms);
        return;
    }
    conn->out->cold = false;
    fsi_conn_waits(conn);
    fsi_conn_run(conn);
}

// On a worker.
FSI_SELDOM void fsi_files_read_ahead(const fsi_warm *warm)
{
    fsi_file_warm(warm->asset->file, warm->at, warm->len);
}

// It has come home.
FSI_SELDOM void fsi_files_warmed(fsi_warm *warm)
{
    fsi_conn *conn = warm->conn;
    uint64_t to = warm->at + warm->len;
    fsi_asset_drop(warm->asset);
    fsi_block_put(warm->loop, warm, warm->bytes);
    conn->warming = false;
    if (conn->state == FSI_CONN_CLOSE) {
        fsi_conn_bury_later(conn);
        return;
    }
    if (conn->out) {
        conn->out->cold = false;
        conn->out->warm_to = to;
        fsi_conn_waits(conn); // the peer's time begins anew
    }
    fsi_conn_run(conn);
}

// ---- folders

// Handler of the folder's route.
static void fsi_folder_handler(fsv_request *request, void *user)
{
    uint32_t at = request->param_at[0], len = request->param_len[0];
    if (fsi_want_set(request, (fsv_folder *)user, request->path + at, len, 200))
        request->want.visited = true;
    else
        fsi_answer_plain(request, 503);
}

FSI_SELDOM void fsi_folders_free(fsv_server *server)
{
    while (server->folders) {
        fsv_folder *folder = server->folders;
        server->folders = folder->next;
        fsi_root_close(server, &folder->root);
        fsi_release(server, folder, folder->bytes);
    }
}

#else  // no files: nothing wants one

static void fsi_asset_drop(fsi_asset *asset)
{
    (void)asset;
}

static bool fsi_files_send(fsi_conn *conn)
{
    (void)conn;
    return false;
}

static void fsi_files_stay_cold(fsi_conn *conn)
{
    (void)conn;
}

static void fsi_files_answer(fsi_conn *conn, fsv_request *request)
{
    (void)conn, (void)request;
}

static void fsi_files_begin(fsi_conn *conn, fsv_request *request)
{
    (void)conn, (void)request;
}

static void fsi_want_end(fsv_request *request)
{
    (void)request;
}

FSI_SELDOM void fsi_files_work(fsv_request *request)
{
    (void)request;
}

FSI_SELDOM void fsi_files_read_ahead(const fsi_warm *warm)
{
    (void)warm;
}

FSI_SELDOM void fsi_files_renew(fsv_folder *folder)
{
    (void)folder;
}

FSI_SELDOM void fsi_files_warmed(fsi_warm *warm)
{
    (void)warm;
}

FSI_SELDOM void fsi_shelf_free(fsi_loop *loop)
{
    (void)loop;
}

FSI_SELDOM void fsi_folders_free(fsv_server *server)
{
    (void)server;
}
#endif // FSI_FILES

// ---------------------------------------------------------------------------------------------------------
// >>tcp   A raw connection is an fsi_conn like any other - slot, timer, queue, owner and end - whose state is TCP from
//         its first turn on. What its callbacks send in its own turn gathers in the loop's buffer and leaves in one
//         write, like answers; what is sent to it out of its turn is queued, and it goes on the run list, so that a
//         callback never runs inside another one's turn and no timer moves under a walk of the wheel. It does not
//         move between loops: the loop that a handle finds is the owner for as long as the handle is good.
//
//         What on_data does not take is kept and offered again, like a head that is not complete. Reads stop while it
//         is paused, while that has to wait for room (`held`), and when the connection is to end.
//         It ends in one place, fsi_tcp_over, whoever closes it.
// ---------------------------------------------------------------------------------------------------------

FSI_INLINE fsv_tcp fsi_tcp_handle(const fsi_conn *conn)
{
    fsv_tcp tcp;
    tcp.server = conn->loop->server;
    tcp.slot = conn->slot;
    tcp.generation = conn->generation;
    return tcp;
}

// Makes a connection raw; it is the caller's alone. home: index of its loop.
FSI_SELDOM void fsi_tcp_begin(fsi_conn *conn, const fsi_tcp *tcp, uint32_t home)
{
    uint32_t units = (tcp->desc.out_bytes_max + FSI_HOME_UNIT - 1) / FSI_HOME_UNIT;
    conn->state = FSI_CONN_TCP;
    conn->tcp = tcp;
    conn->fresh = conn->keep = false;
    fsi_store32(&conn->home, home | units << FSI_HOME_BITS);
}

FSI_INLINE uint32_t fsi_tcp_out_max(const fsi_conn *conn)
{
    return (fsi_load32(&conn->home) >> FSI_HOME_BITS) * FSI_HOME_UNIT;
}

// Its end, for its owner: on_closed, once for each on_open and for each connect. Then its handles are stale.
static void fsi_tcp_over(fsi_conn *conn)
{
    const fsi_tcp *tcp = conn->tcp;
    if (conn->raw.over) return;
    conn->raw.over = true;
    conn->loop->raw_conns--;
    fsv_result why = conn->raw.why ? (fsv_result) - (int)conn->raw.why : conn->broken ? FSV_ERR_CLOSED : FSV_OK;
    if ((conn->raw.open || tcp->once) && tcp->desc.on_closed)
        tcp->desc.on_closed(fsi_tcp_handle(conn), why, tcp->desc.user);
    fsi_store32(&conn->generation, conn->generation + 1);
    if (tcp->once) fsi_release(conn->loop->server, (void *)(uintptr_t)tcp, tcp->bytes);
    conn->body_left = 0; // in the place of tcp
}

// Bytes of other threads are on their way. Their arrival runs the connection again - but not if they were meant for
// an earlier connection of this slot, so it does not rely on it.
FSI_INLINE bool fsi_tcp_awaits_posts(fsi_conn *conn)
{
    if (FSI_LIKELY(fsi_load32(&conn->posted) == 0)) return false;
    fsi_conn_run_later(conn);
    return true;
}

// Until a connect has ended, and then on_open. True: it moved.
FSI_SELDOM bool fsi_tcp_open(fsi_conn *conn)
{
    if (FSI_CLIENT && conn->raw.connecting) {
        if (conn->raw.closing && !conn->out && !fsi_tcp_awaits_posts(conn)) {
            fsi_conn_close(conn, false);
            return false;
        }
        if (!conn->chan.can_write) return false;
        int error = fsi_io_connected(&conn->chan);
        conn->raw.connecting = false;
        if (error) {
            conn->raw.why = (uint8_t)-fsi_sock_refusal(error);
            conn->broken = true;
            return true;
        }
    }
    conn->raw.open = true;
    if (conn->tcp->desc.on_open) conn->tcp->desc.on_open(fsi_tcp_handle(conn), conn->tcp->desc.user);
    return true;
}

// Sends from the queue, which was filled out of turn or is what the socket did not take.
FSI_PRIVATE void fsi_tcp_push(fsi_conn *conn)
{
    if (conn->raw.waiting) fsi_conn_waits(conn);
    conn->raw.waiting = false;
    fsi_conn_send_queue(conn);
    fsi_fence(); // out_queued was said; now see who waits for it
}

// Everything has left, and someone was told FSV_ERR_FULL before. True: it moved.
FSI_SELDOM bool fsi_tcp_drained(fsi_conn *conn)
{
    const fsi_tcp *tcp = conn->tcp;
    fsi_conn_flush(conn);
    if (conn->broken || conn->out || fsi_tcp_awaits_posts(conn)) return false;
    conn->raw.full = conn->raw.held = conn->raw.part = false;
    fsi_store32(&conn->starved, 0);
    if (tcp->desc.on_drained) tcp->desc.on_drained(fsi_tcp_handle(conn), tcp->desc.user);
    return true;
}

// Ends our direction or the connection, when all that was sent has left. True: the connection has another state.
FSI_SELDOM bool fsi_tcp_end(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    bool both = conn->raw.shutting && conn->raw.ended;
    fsi_conn_flush(conn);
    if (conn->broken || conn->out || fsi_tcp_awaits_posts(conn)) return false;
    if (both || conn->raw.closing || loop->stopping) {
        if (!both && !conn->raw.closing) conn->raw.why = (uint8_t)-FSV_ERR_STOPPED;
        fsi_tcp_over(conn);
        loop->in_at = loop->in_len = 0;
        conn->state =
            FSI_CONN_SEND; // which closes, and lingers if there is something unread: a reset would eat our bytes
        conn->keep = false;
        conn->more_to_come = !conn->raw.ended && conn->chan.can_read;
        if (conn->raw.ended) fsi_conn_close(conn, false);
        return true;
    }
    if (!conn->raw.shut) fsi_io_shut(&conn->chan);
    conn->raw.shut = true;
    return false;
}

// The peer has ended its direction; what can still come is that it cuts the other one. True: it has.
FSI_SELDOM bool fsi_tcp_cut(fsi_conn *conn)
{
    if (!conn->chan.can_read) return false;
    conn->chan.can_read = false; // until the system tells of something; a read would only ever say that it is the end
    conn->broken = fsi_io_connected(&conn->chan) != 0;
    return conn->broken;
}

// Reads behind what was not taken yet. True: some came, or the end.
FSI_INLINE bool fsi_tcp_fill(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    size_t room = fsi_loop_in_room(loop);
    conn->raw.held = room == 0; // more than that is not kept
    if (conn->raw.held) return false;
    int64_t got = fsi_io_read(&conn->chan, loop->in + loop->in_len, room);
    if (got == FSI_PENDING) return false;
    conn->raw.part = false;
    if (FSI_LIKELY(got > 0)) {
        loop->in_len += (size_t)got;
        loop->turn_bytes += (uint64_t)got;
        FSI_COUNT(loop, bytes_received, got);
        return true;
    }
    conn->broken = got < 0;
    conn->raw.ended = got == 0;
    loop->in_at = loop->in_len = 0;
    return true;
}

// Offers what has come to on_data. True: it moved.
FSI_INLINE bool fsi_tcp_read(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    const fsi_tcp *tcp = conn->tcp;
    if ((loop->in_at == loop->in_len || conn->raw.part) && !fsi_tcp_fill(conn)) return false;
    if (FSI_UNLIKELY(conn->broken)) return true;
    size_t size = loop->in_len - loop->in_at; // 0: the end
    size_t taken = tcp->desc.on_data(fsi_tcp_handle(conn), size ? loop->in + loop->in_at : NULL, size, tcp->desc.user);
    loop->in_at += taken < size ? taken : size;
    if (FSI_UNLIKELY(taken < size)) {
        if (conn->raw.full || fsi_load32(&conn->starved))
            conn->raw.held = true; // until it has drained
        else
            conn->raw.part = taken == 0;
    }
    return true;
}

FSI_INLINE bool fsi_tcp_work(fsi_conn *conn)
{
    const fsi_tcp_side *raw = &conn->raw;
    if (FSI_UNLIKELY(!raw->open)) return fsi_tcp_open(conn);
    if (FSI_UNLIKELY(conn->out != NULL)) fsi_tcp_push(conn);
    if (FSI_UNLIKELY(raw->full || fsi_load32(&conn->starved)) && fsi_tcp_drained(conn)) return true;
    bool ending = raw->closing || conn->loop->stopping;
    if (FSI_UNLIKELY(ending || raw->shutting) && fsi_tcp_end(conn)) return true;
    if (FSI_UNLIKELY(conn->broken)) return true;
    if (FSI_UNLIKELY(ending || raw->held || conn->paused)) return false;
    if (FSI_UNLIKELY(raw->ended)) return fsi_tcp_cut(conn);
    return fsi_tcp_read(conn);
}

// -> SEND, CLOSE
static bool fsi_tcp_step(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    loop->turn = conn;
    bool moved = fsi_tcp_work(conn);
    loop->turn = NULL;
    return moved;
}

// What a handle asks of its connection, on its loop. In the connection's own turn its step sees it next; else it runs.
FSI_PRIVATE void fsi_tcp_do(fsi_conn *conn, fsi_tcp_op op)
{
    switch (op) {
    case FSI_TCP_SHUT: conn->raw.shutting = true; break;
    case FSI_TCP_CLOSE: conn->raw.closing = true; break;
    case FSI_TCP_ABORT: conn->broken = true; break;
    case FSI_TCP_PAUSE: conn->paused = true; return;
    case FSI_TCP_RESUME: conn->paused = conn->raw.held = conn->raw.part = false; break;
    }
    if (conn->loop->turn != conn) fsi_conn_run_later(conn);
}

// May more be sent on it?
FSI_INLINE bool fsi_tcp_takes(const fsi_conn *conn)
{
    return conn->state == FSI_CONN_TCP && !conn->raw.over && !conn->raw.shut && !conn->broken;
}

// Sends on the connection's loop. With keep_ptr release is called in any case.
FSI_PRIVATE fsv_result fsi_tcp_send(fsi_conn *conn, const char *data, size_t len, bool keep_ptr,
                                    fsv_release_handler release, void *user)
{
    fsi_loop *loop = conn->loop;
    bool own = loop->turn == conn, copy = !keep_ptr || (own && len <= FSI_OUT_BYTES / 16);
    size_t max = fsi_tcp_out_max(conn);
    bool first = !conn->out;
    fsv_result result = FSV_OK;
    if (own && loop->out_len && conn->out_queued + loop->out_len + len > max) fsi_conn_flush(conn);
    if (!fsi_tcp_takes(conn) || conn->raw.shutting || conn->raw.closing)
        result = FSV_ERR_CLOSED;
    else if (len > max)
        result = FSV_ERR_LIMIT;
    else if (conn->out_queued + (own ? loop->out_len : 0) + len > max)
        result = FSV_ERR_FULL;
    if (result != FSV_OK || copy) {
        if (result == FSV_ERR_FULL) conn->raw.full = true;
        if (result == FSV_OK && own) fsi_conn_put_bytes(conn, data, len);
        if (result == FSV_OK && !own) (void)fsi_conn_queue_copy(conn, data, len);
        if (release) release((void *)(uintptr_t)data, user);
    } else if (own) {
        fsi_conn_write_through(conn, data, len, true, release, user);
    } else {
        fsi_conn_queue_owned(conn, data, len, 0, release, user);
    }
    if (result != FSV_OK) return result;
    if (!own && first) conn->raw.waiting = true;
    if (!own) fsi_conn_run_later(conn);
    return conn->broken ? FSV_ERR_CLOSED : FSV_OK;
}

// ---- messages of other threads, as they arrive. A handle that was good when it was sent may be stale by now, and then
// the connection may be another loop's: nothing of it is looked at but its generation.

// Drops a block that found no queue.
FSI_SELDOM void fsi_tcp_drop(fsi_loop *loop, fsi_out *out)
{
    if (out->release) out->release((void *)(uintptr_t)out->ptr, out->release_user);
    fsi_block_put(loop, out, out->bytes);
}

FSI_PRIVATE void fsi_tcp_take(fsi_loop *loop, fsi_out *out, uint32_t generation)
{
    fsi_conn *conn = (fsi_conn *)(void *)out->next;
    uint32_t len = (uint32_t)out->len;
    out->next = NULL;
    if (fsi_load32(&conn->generation) != generation || !fsi_tcp_takes(conn)) {
        fsi_tcp_drop(loop, out);
    } else if (!out->release && fsi_out_add(conn->out_last, out->ptr, len)) { // many small ones share a block
        fsi_conn_count_queued(conn, len);
        fsi_release(loop->server, out, out->bytes); // where it came from: no loop would use it again
    } else {
        if (!conn->out) conn->raw.waiting = true;
        if (conn->out_last)
            conn->out_last->next = out;
        else
            conn->out = out;
        conn->out_last = out;
        fsi_conn_count_queued(conn, len);
        fsi_conn_run_later(conn);
    }
    (void)fsi_add32(&conn->posted, 0u - len); // after they count as queued: whoever asks for room never sees too much
}

FSI_PRIVATE void fsi_tcp_do_posted(fsi_conn *conn, uint32_t generation, fsi_tcp_op op)
{
    if (fsi_load32(&conn->generation) == generation && conn->state == FSI_CONN_TCP && !conn->raw.over)
        fsi_tcp_do(conn, op);
}

// ---- connecting

typedef struct fsi_tcp_to {
    fsi_tcp tcp; // first: what the connection points to
    fsi_sockaddr to;
} fsi_tcp_to;

#if FSI_CLIENT
// Takes a connection over that is to connect. Failed at once or not, on_open or on_closed follows.
FSI_SELDOM void fsi_tcp_dial(fsi_loop *loop, fsi_conn *conn)
{
    const fsi_tcp_to *at = (const fsi_tcp_to *)(const void *)conn->tcp;
    int error = 0;
    conn->loop = loop;
    loop->conns++;
    loop->raw_conns++;
    FSI_COUNT(loop, conns_begun, 1);
    if (!loop->stopping && fsi_io_connect(&loop->io, &conn->chan, &at->to, NULL, &error) == FSI_PENDING) {
        fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms + conn->tcp->desc.connect_timeout_ms);
        return;
    }
    conn->raw.why = (uint8_t) - (loop->stopping ? FSV_ERR_STOPPED : fsi_sock_refusal(error));
    fsi_tcp_over(conn);
    conn->state = FSI_CONN_CLOSE;
    fsi_chan_closed(&conn->chan); // there is no socket to close
}
#else
FSI_SELDOM void fsi_tcp_dial(fsi_loop *loop, fsi_conn *conn)
{
    (void)loop;
    (void)conn;
}
#endif

// ---------------------------------------------------------------------------------------------------------
// >>task   Public timers: a heap per loop, exact to the millisecond, where the wheel of connections is content with 4.
//          Who may touch it says fsi_loop_is_mine: the loop's thread, or, while nobody runs it, the one that will.
// ---------------------------------------------------------------------------------------------------------

#define FSI_TASK_BYTES (sizeof(fsi_task) + sizeof(uint32_t))
#define FSI_TASK_NONE UINT32_MAX

FSI_INLINE void fsi_heap_put(fsi_loop *loop, uint32_t at, uint32_t slot)
{
    loop->heap[at] = slot;
    loop->tasks[slot].at = at;
}

// Brings the entry at `at` to where it belongs, up or down.
FSI_PRIVATE void fsi_heap_fix(fsi_loop *loop, uint32_t at)
{
    uint32_t slot = loop->heap[at];
    uint64_t due = loop->tasks[slot].due_ms;
    while (at && loop->tasks[loop->heap[(at - 1) / 2]].due_ms > due) {
        fsi_heap_put(loop, at, loop->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = 2 * at + 1) < loop->heap_len; at = child) {
        if (child + 1 < loop->heap_len &&
            loop->tasks[loop->heap[child + 1]].due_ms < loop->tasks[loop->heap[child]].due_ms)
            child++;
        if (loop->tasks[loop->heap[child]].due_ms >= due) break;
        fsi_heap_put(loop, at, loop->heap[child]);
    }
    fsi_heap_put(loop, at, slot);
}

// Doubles the table. False: out of memory, or 2^30 timers.
FSI_SELDOM bool fsi_tasks_grow(fsi_loop *loop)
{
    uint32_t old = loop->task_cap, cap = old ? old * 2 : 16;
    fsi_task *tasks = old < 1u << 30 ? (fsi_task *)fsi_alloc_zero(loop->server, FSI_TASK_BYTES * cap) : NULL;
    if (!tasks) return false;
    uint32_t *heap = (uint32_t *)(void *)(tasks + cap);
    if (old) {
        memcpy(tasks, loop->tasks, sizeof(fsi_task) * old);
        memcpy(heap, loop->heap, sizeof(uint32_t) * loop->heap_len);
        fsi_release(loop->server, loop->tasks, FSI_TASK_BYTES * old);
    }
    for (uint32_t i = old; i < cap; i++) tasks[i].at = i + 1 < cap ? i + 1 : FSI_TASK_NONE;
    loop->tasks = tasks;
    loop->heap = heap;
    loop->task_cap = cap;
    loop->task_free = old;
    return true;
}

// Its slot; FSI_TASK_NONE: out of memory.
FSI_PRIVATE uint32_t fsi_task_add(fsi_loop *loop, uint64_t due_ms, uint64_t every_ms, fsv_timer_handler handler,
                                  void *user)
{
    if (loop->heap_len == loop->task_cap && !fsi_tasks_grow(loop)) return FSI_TASK_NONE;
    uint32_t slot = loop->task_free;
    fsi_task *task = &loop->tasks[slot];
    loop->task_free = task->at;
    task->due_ms = due_ms;
    task->every_ms = every_ms;
    task->handler = handler;
    task->user = user;
    loop->heap[loop->heap_len] = slot;
    fsi_heap_fix(loop, loop->heap_len++);
    return slot;
}

FSI_PRIVATE void fsi_task_remove(fsi_loop *loop, uint32_t slot)
{
    fsi_task *task = &loop->tasks[slot];
    uint32_t at = task->at, last = loop->heap[--loop->heap_len];
    if (last != slot) {
        fsi_heap_put(loop, at, last);
        fsi_heap_fix(loop, at);
    }
    task->handler = NULL;
    task->generation++;
    task->at = loop->task_free;
    loop->task_free = slot;
}

// Until the next one is due, by the clock as it is now: callbacks may have taken a while since the turn began.
FSI_PRIVATE uint64_t fsi_task_wait_us(const fsi_loop *loop)
{
    uint64_t due_us = loop->tasks[loop->heap[0]].due_ms * 1000, now_us = fsi_clock_ns() / 1000;
    return due_us > now_us ? due_us - now_us : 0;
}

// Calls those that are due, each at most once in a turn, however late it is. The table may grow and the timer may be
// stopped meanwhile: nothing of it is touched after its call.
FSI_PRIVATE void fsi_tasks_run(fsi_loop *loop)
{
    for (uint32_t left = loop->heap_len; left && loop->heap_len; left--) {
        uint32_t slot = loop->heap[0];
        fsi_task *task = &loop->tasks[slot];
        if (task->due_ms > loop->now_ms) return;
        fsv_timer_handler handler = task->handler;
        void *user = task->user;
        fsv_timer timer;
        timer.server = loop->server;
        timer.loop = loop->index;
        timer.slot = slot;
        timer.generation = task->generation;
        if (task->every_ms) { // counted from when it was due, not from now: it does not drift; what was missed is skipped
            task->due_ms += ((loop->now_ms - task->due_ms) / task->every_ms + 1) * task->every_ms;
            fsi_heap_fix(loop, 0);
        } else {
            fsi_task_remove(loop, slot);
        }
        handler(timer, user);
    }
}

// ---------------------------------------------------------------------------------------------------------
// >>loop   A turn: wait, then connections that are ready, those whose budget was spent, the inbox, timers, moves;
//          then memory of what was closed returns. A turn is a function; only its wait blocks.
// ---------------------------------------------------------------------------------------------------------

// Any thread. A loop that is awake looks at `woken` before it waits; only one that waits costs a system call.
FSI_PRIVATE void fsi_loop_wake(fsi_loop *loop)
{
    if (fsi_swap32(&loop->woken, 1)) return; // who set it wakes
    fsi_fence();
    if (fsi_load32(&loop->waiting)) fsi_io_wake(&loop->io);
}

// Any thread that has reserved a slot. What msg.ptr points to is the loop's from here on. It cannot be full: messages
// leave in order and a slot counts as reserved until its message has left.
FSI_PRIVATE void fsi_loop_send(fsi_loop *loop, fsi_msg_kind kind, void *ptr, uint32_t number)
{
    fsi_msg msg = fsi_msg_of(kind, number, ptr);
    while (!fsi_queue_push(&loop->inbox, msg)) continue;
    fsi_loop_wake(loop);
}

// Any thread that is no part of the loop's own work: FSV_OK, or FSV_ERR_FULL, or FSV_ERR_CLOSED once the loop has
// ended. It counts itself in first, so that a loop that ends can wait for those who are in here; after FSV_OK the
// message is the loop's, and the loop takes it before it ends.
FSI_PRIVATE fsv_result fsi_loop_post(fsi_loop *loop, fsi_msg msg)
{
    fsv_result result = FSV_ERR_CLOSED;
    if (!(fsi_add32(&loop->posters, 1) & FSI_LOOP_ENDED)) {
        result = fsi_loop_reserve(loop, false) ? FSV_OK : FSV_ERR_FULL;
        while (result == FSV_OK && !fsi_queue_push(&loop->inbox, msg)) continue;
        if (result == FSV_OK) fsi_loop_wake(loop);
    }
    if (fsi_add32(&loop->posters, (uint32_t)-1) & FSI_LOOP_ENDED) fsi_loop_wake(loop); // it waits for us
    return result;
}

FSI_PRIVATE void fsi_loop_clock(fsi_loop *loop)
{
    loop->now_us = fsi_clock_ns() / 1000;
    loop->now_ms = loop->now_us / 1000;
    if (loop->now_us < loop->date_due_us) return;
    uint64_t wall_us = fsi_wall_ns() / 1000;
    memcpy(loop->date_line, "Date: ", 6);
    fsi_date_write(loop->date_line + 6, (int64_t)(wall_us / 1000000));
    memcpy(loop->date_line + 35, "\r\n", 2);
    loop->date_due_us = loop->now_us + 1000000 - wall_us % 1000000; // when the second changes
}

// Makes a connection of an accepted socket; the loop owns it from now on. NULL: out of memory, the socket is the
// caller's.
FSI_PRIVATE fsi_conn *fsi_loop_adopt(fsi_loop *loop, int fd)
{
    fsi_conn *conn = fsi_conn_get(loop);
    if (!conn) return NULL;
    memset(conn, 0, offsetof(fsi_conn, slot));
    fsi_store32(&conn->out_queued, 0);
    fsi_chan_init(&conn->chan, FSI_CHAN_CONN);
    conn->chan.fd = fd;
    conn->loop = loop;
    conn->fresh = conn->keep = true;
    conn->begun_ms = loop->now_ms;
    if (!fsi_io_open(&loop->io, &conn->chan)) {
        conn->chan.fd = -1;
        fsi_conn_put(loop, conn);
        return NULL;
    }
    loop->conns++;
    FSI_COUNT(loop, conns_accepted, 1);
    // Until its first turn: fsi_conn_set_timer decides from then on.
    fsi_timer_add(&loop->wheel, &conn->timer, fsi_conn_fresh_due(conn));
    return conn;
}

// One connection too many: it gets a 503 and lingers until the peer has read it. Beyond FSI_SPARE_CONNS of those it
// is dropped.
FSI_RARE void fsi_loop_turn_away(fsi_loop *loop, int fd, bool drop)
{
    fsi_conn *conn = drop ? NULL : fsi_loop_adopt(loop, fd);
    FSI_COUNT(loop, conns_refused, 1);
    if (!conn) {
        fsi_add32(&loop->server->conns_open, (uint32_t)-1);
        fsi_sock_close(fd);
        return;
    }
    loop->in_at = loop->in_len = loop->out_len = 0;
    fsi_conn_refuse(conn, 503, "too many connections");
    fsi_conn_flush(conn);
    fsi_conn_run(conn);
}

// Counts the connection with its address. False: one too many, which gets a 503, or, of those too many, is closed at
// once; a raw one always, and where others would wait for it.
FSI_PRIVATE bool fsi_loop_admit(fsi_loop *loop, fsi_conn *conn, bool raw)
{
    fsv_server *server = loop->server;
    uint32_t max = server->desc.conns_per_address_max;
    fsi_sockaddr at;
    if (!server->is_public || max >= server->desc.conns_max || !fsi_conn_peer(conn, &at)) return true;
    uint64_t key = fsi_guest_key(&at);
    if (!key) return true;
    uint32_t count = fsi_guest_enter(server, key);
    conn->guest = count != 0;
    if (count && count <= max) return true;
    if (count) FSI_COUNT(loop, conns_refused_address, 1);
    loop->in_at = loop->in_len = loop->out_len = 0;
    if (raw || server->desc.model || !count || count - max > FSI_GUESTS_SPARE) {
        fsi_conn_close(conn, false);
        return false;
    }
    fsi_conn_refuse(conn, 503, "too many connections from this address");
    fsi_conn_flush(conn);
    fsi_conn_run(conn);
    return false;
}

// It has gone.
FSI_PRIVATE void fsi_loop_dismiss(fsi_loop *loop, fsi_conn *conn)
{
    fsi_sockaddr at;
    if (!conn->guest || !fsi_conn_peer(conn, &at)) return;
    fsi_guest_leave(loop->server, fsi_guest_key(&at));
}

// raw: also those of raw connections, which need no room in the model.
FSI_SELDOM void fsi_loop_unlisten(fsi_loop *loop, bool raw)
{
    for (uint32_t i = 0; i < loop->server->address_count; i++) {
        if (loop->listeners[i].tcp && !raw) continue;
        if (loop->listeners[i].registered) fsi_io_unlisten(&loop->listeners[i].chan);
        loop->listeners[i].registered = false;
    }
}

#define FSI_ACCEPT_TOLD_MS 10000 // the log hears of it no more often

FSI_RARE void fsi_loop_accept_pause(fsi_loop *loop)
{
    const fsv_server *server = loop->server;
    if (loop->now_ms >= loop->accept_told_ms) {
        fsi_log(server, 1, "accept_paused", 0,
                "out of descriptors or memory: new connections are taken again every 100 ms, %u are open",
                fsi_load32(&server->conns_open));
        loop->accept_told_ms = loop->now_ms + FSI_ACCEPT_TOLD_MS;
    }
    fsi_loop_unlisten(loop, true);
    loop->accept_paused = true;
    loop->accept_again_ms = loop->now_ms + 100;
}

FSI_SELDOM void fsi_loop_listen(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    bool accepts = !FSI_IO_ONE_ACCEPTOR || loop->index == 0; // as in fsi_loop_begin_stop
    bool failed = false;
    for (uint32_t i = 0; accepts && i < server->address_count; i++) {
        fsi_listener *listener = &loop->listeners[i];
        if (listener->registered || listener->chan.fd < 0) continue;
        listener->registered = fsi_io_listen(&loop->io, &listener->chan, server->addresses[i].shared);
        failed = failed || !listener->registered;
    }
    loop->accept_paused = false;
    if (failed) fsi_loop_accept_pause(loop); // and tries again
}

static bool fsi_model_has_room(fsi_loop *loop, const fsi_chan *listener); // upcalls, in >>worker
static bool fsi_model_place(fsi_loop *loop, int fd);

// One connection less. The last one that was open wakes the loops that wait for it to end themselves.
FSI_PRIVATE void fsi_server_conn_gone(fsv_server *server)
{
    if (fsi_add32(&server->conns_open, (uint32_t)-1) == 1 && fsi_load32(&server->stop))
        for (uint32_t i = 0; i < server->loop_count; i++) fsi_loop_wake(&server->loops[i]);
}

// An accepted socket that nobody can serve.
FSI_RARE void fsi_loop_drop(fsi_loop *loop, int fd)
{
    fsi_log(loop->server, 0, "accept_failed", fsi_os_error(),
            "no memory, event or thread for a connection, it was closed");
    fsi_sock_close(fd);
    fsi_server_conn_gone(loop->server);
}

// A connection of this loop's own. tcp: raw, else NULL.
FSI_PRIVATE void fsi_loop_welcome(fsi_loop *loop, int fd, const fsi_tcp *tcp)
{
    fsi_conn *conn = fsi_loop_adopt(loop, fd);
    if (!conn) {
        fsi_loop_drop(loop, fd);
        return;
    }
    if (!fsi_loop_admit(loop, conn, tcp != NULL) || !tcp) return;
    fsi_tcp_begin(conn, tcp, loop->index);
    loop->raw_conns++;
}

// Connections that it has, and those that are on their way to it. Only who gives them can say.
FSI_SELDOM uint64_t fsi_loop_open(const fsi_loop *loop)
{
    uint64_t gone = fsi_peek64(&FSI_COUNTER(loop, conns_closed)), under_way = loop->given - fsi_peek64(&loop->arrived);
    uint64_t came = fsi_peek64(&FSI_COUNTER(loop, conns_accepted)) + fsi_peek64(&FSI_COUNTER(loop, conns_begun));
    return came + under_way > gone ? came + under_way - gone : 0; // they change as we look
}

// Where one loop accepts for all: gives the socket to the one with the fewest connections, to the next one if several
// have as few. False: that is this one, or the other takes nothing now: its inbox is full, or it has ended. Only to
// loops that run, since nobody may ever look into the inbox of one whose thread is still to be made; and not while this
// one stops, when the last loop to do so accepts as well.
FSI_SELDOM bool fsi_loop_give_away(fsi_loop *loop, int fd, const fsi_tcp *tcp)
{
    fsv_server *server = loop->server;
    fsi_loop *best = NULL;
    fsi_msg msg;
    for (uint32_t i = 0; !loop->stopping && i < server->loop_count; i++) {
        fsi_loop *other = &server->loops[(server->next_loop + i) % server->loop_count];
        if (other != loop && !fsi_load64(&other->thread)) continue;
        if (!best || fsi_loop_open(other) < fsi_loop_open(best)) best = other;
    }
    if (!best) return false;
    server->next_loop = best->index + 1;
    if (best == loop) return false;
    memset(&msg, 0, sizeof msg);
    msg.kind = FSI_MSG_SOCKET;
    msg.number = (uint32_t)fd;
    msg.ptr = (void *)(uintptr_t)tcp;
    best->given++; // before it can have arrived
    if (fsi_loop_post(best, msg) == FSV_OK) return true;
    best->given--;
    return false;
}

// Accepts at most max connections from a listener, its own or another loop's. Returns how many.
FSI_PRIVATE uint32_t fsi_loop_accept(fsi_loop *loop, const fsi_chan *listener, uint32_t max)
{
    fsv_server *server = loop->server;
    const fsi_tcp *tcp = ((const fsi_listener *)(const void *)listener)->tcp;
    uint32_t n = 0;
    while (n < max) {
        if (FSI_UNLIKELY(server->desc.model) && !tcp && !fsi_model_has_room(loop, listener)) {
            // Until there is room nobody needs to hear of who waits, again and again: fsi_loop_accept_again listens
            // again.
            if (fsi_load32(&server->crowded)) fsi_loop_unlisten(loop, false);
            break;
        }
        int fd = fsi_io_accept(listener);
        if (fd == FSI_PENDING) break;
        if (fd == FSI_EMPTY) {
            fsi_loop_accept_pause(loop);
            break;
        }
        n++;
        if (fd < 0) continue;
        uint32_t open = fsi_add32(&server->conns_open, 1);
        if (open >= server->desc.conns_max) {
            fsi_loop_turn_away(loop, fd, tcp || open >= server->desc.conns_max + FSI_SPARE_CONNS);
        } else if (server->desc.model && !tcp) {
            if (!fsi_model_place(loop, fd)) fsi_loop_drop(loop, fd);
        } else if (!FSI_IO_ONE_ACCEPTOR || !fsi_loop_give_away(loop, fd, tcp)) {
            fsi_loop_welcome(loop, fd, tcp);
        }
    }
    return n;
}

// Places connections that had to wait in the backlog.
FSI_RARE void fsi_loop_accept_again(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    if (loop->accept_paused || !fsi_model_has_room(loop, NULL)) return;
    fsi_store32(&server->crowded, 0);
    for (uint32_t i = 0; i < server->address_count && !fsi_load32(&server->crowded); i++)
        if (loop->listeners[i].chan.fd >= 0) (void)fsi_loop_accept(loop, &loop->listeners[i].chan, UINT32_MAX);
    if (!fsi_load32(&server->crowded) && !loop->accept_paused) fsi_loop_listen(loop);
}

// Upcall of >>io.
static void fsi_chan_ready(fsi_chan *chan, uint32_t ready)
{
    (void)ready;
    if (chan->kind == FSI_CHAN_CONN)
        fsi_conn_run((fsi_conn *)(void *)chan);
    else if (!chan->io->loop->accept_paused)
        (void)fsi_loop_accept(chan->io->loop, chan, 64);
}

FSI_PRIVATE void fsi_loop_run_list(fsi_loop *loop)
{
    fsi_conn *conn = loop->run_list, *next;
    loop->run_list = NULL;
    loop->run_tail = &loop->run_list;
    for (; conn; conn = next) {
        next = conn->next;
        conn->listed = false;
        if (conn->state == FSI_CONN_CLOSE)
            fsi_conn_bury_later(conn);
        else
            fsi_conn_run(conn);
    }
}

// Fresh connections that were accepted as the server began to stop get this long for their first request.
#define FSI_DRAIN_FRESH_MS 500

// A connection has come to a loop that has begun to stop: others have given it away before they knew. Its time is that
// of fresh ones, and none when the drain is over; without this nothing would end it before its timeout.
FSI_SELDOM void fsi_loop_late(fsi_loop *loop)
{
    if (!loop->stopping) return;
    loop->fresh_due_ms = loop->now_ms + FSI_DRAIN_FRESH_MS;
    if (loop->drain_due_ms == UINT64_MAX) loop->drain_due_ms = loop->now_ms;
}

// Takes over a connection that another loop has given away.
FSI_SELDOM void fsi_loop_take(fsi_loop *loop, fsi_conn *conn)
{
    conn->loop = loop;
    loop->conns++;
    conn->listed = false;
    if (!fsi_io_open(&loop->io, &conn->chan)) {
        conn->broken = true;
        fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms);
        conn->chan.io = &loop->io;
        fsi_conn_close(conn, true);
        return;
    }
    fsi_timer_add(&loop->wheel, &conn->timer, loop->now_ms + loop->server->desc.idle_timeout_ms);
    fsi_loop_late(loop);
    fsi_conn_run(conn); // what came meanwhile
    if (loop->stopping && conn->state == FSI_CONN_HEAD && !conn->carry && !conn->out) fsi_conn_close(conn, false);
}

static void fsi_pool_retry(fsi_loop *loop); // upcalls, in >>worker
static void fsi_pool_turn_ends(fsi_loop *loop);

// The connection whose timer it is; a wheel has no others.
FSI_INLINE fsi_conn *fsi_conn_of(fsi_timer *timer)
{
    return (fsi_conn *)(void *)((char *)timer - offsetof(fsi_conn, timer));
}

// Posts that found the inbox full: connections that such a thread may wait for run, and tell on_drained.
FSI_RARE void fsi_loop_feed(fsi_loop *loop)
{
    for (int level = 0; level < FSI_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < FSI_WHEEL_SLOTS; slot++) {
            fsi_timer *head = &loop->wheel.slots[level][slot];
            for (fsi_timer *timer = head->next; timer != head; timer = timer->next) {
                fsi_conn *conn = fsi_conn_of(timer);
                if (conn->state == FSI_CONN_TCP && fsi_load32(&conn->starved)) fsi_conn_run_later(conn);
            }
        }
}

FSI_PRIVATE void fsi_loop_inbox(fsi_loop *loop)
{
    fsi_msg msg;
    if (fsi_load32(&loop->woken) == 0) return;
    (void)fsi_swap32(&loop->woken,
                     0); // before looking: who pushes and swaps after this one wakes again, who did before is seen
    // No more than what stands there now: who answers by a token or posts in here adds to it, and would keep the loop.
    for (uint32_t left = fsi_queue_count(&loop->inbox); left && fsi_queue_pop(&loop->inbox, &msg); left--) {
        if (msg.kind != FSI_MSG_JOB && msg.kind != FSI_MSG_STREAM)
            fsi_loop_unreserve(loop); // those do it by themselves
        switch ((fsi_msg_kind)msg.kind) {
        case FSI_MSG_CONN: fsi_loop_take(loop, (fsi_conn *)msg.ptr); break;
        case FSI_MSG_JOB: fsi_conn_hear((fsi_job *)msg.ptr, true); break;
        case FSI_MSG_STREAM: fsi_conn_hear((fsi_job *)msg.ptr, false); break;
        case FSI_MSG_CALL: msg.call(msg.ptr); break;
        case FSI_MSG_WARM: fsi_files_warmed((fsi_warm *)msg.ptr); break;
        case FSI_MSG_TCP_DIAL: fsi_tcp_dial(loop, (fsi_conn *)msg.ptr); break;
        case FSI_MSG_TCP_SEND: fsi_tcp_take(loop, (fsi_out *)msg.ptr, msg.number); break;
        case FSI_MSG_TCP_DO: fsi_tcp_do_posted((fsi_conn *)msg.ptr, msg.number, (fsi_tcp_op)msg.op); break;
        case FSI_MSG_SOCKET:
            fsi_count64(&loop->arrived, 1);
            fsi_loop_late(loop);
            fsi_loop_welcome(loop, (int)msg.number, (const fsi_tcp *)msg.ptr);
            break;
        case FSI_MSG_RENEW:
        case FSI_MSG_NONE: break;
        }
    }
    if (loop->jobs_wait) fsi_pool_retry(loop);
    if (FSI_UNLIKELY(fsi_load32(&loop->starved)) && fsi_swap32(&loop->starved, 0)) fsi_loop_feed(loop);
}

FSI_PRIVATE void fsi_loop_timers(fsi_loop *loop)
{
    fsi_timer *timer;
    while ((timer = fsi_wheel_next(&loop->wheel, loop->now_ms)) != NULL) fsi_conn_timeout(fsi_conn_of(timer));
    if (FSI_UNLIKELY(loop->heap_len)) fsi_tasks_run(loop);
    if (loop->accept_paused && loop->now_ms >= loop->accept_again_ms && !loop->stopping) fsi_loop_listen(loop);
}

static void fsi_balance_moves(fsi_loop *loop); // upcall, in >>balance

// Memory of closed connections returns.
FSI_PRIVATE void fsi_loop_bury(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    while (loop->close_list) {
        fsi_conn *conn = loop->close_list;
        loop->close_list = conn->next;
        fsi_loop_dismiss(loop, conn);
        fsi_conn_put(loop, conn);
        loop->conns--;
        FSI_COUNT(loop, conns_closed, 1);
        fsi_server_conn_gone(server);
    }
}

// Closes connections of this loop: all of them, or those between requests (fresh ones only with `fresh`) and raw ones
// with nothing to send.
FSI_SELDOM void fsi_loop_close_conns(fsi_loop *loop, bool all, bool fresh)
{
    for (int level = 0; level < FSI_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < FSI_WHEEL_SLOTS; slot++) {
            fsi_timer *head = &loop->wheel.slots[level][slot], *next;
            for (fsi_timer *timer = head->next; timer != head; timer = next) {
                next = timer->next;
                fsi_conn *conn = fsi_conn_of(timer);
                bool idle = conn->state == FSI_CONN_HEAD && !conn->carry && !conn->out;
                if (conn->state == FSI_CONN_TCP) idle = !conn->out && fsi_load32(&conn->posted) == 0;
                if (!all && !(idle && (fresh || !conn->fresh))) continue;
                if (conn->state == FSI_CONN_TCP) conn->raw.why = (uint8_t)-FSV_ERR_STOPPED;
                fsi_conn_close(conn, all && !idle);
            }
        }
}

// Workers that there are. Any thread.
FSI_SELDOM uint32_t fsi_pool_size(const fsv_server *server)
{
    return fsi_load32(&server->pool.ready) ? server->pool.worker_count : 0;
}

// Every loop, those of workers and threads included: 0 .. until NULL. Any thread; async-signal-safe.
FSI_SELDOM fsi_loop *fsi_server_loop(fsv_server *server, uint32_t i)
{
    if (i < server->loop_count) return &server->loops[i];
    i -= server->loop_count;
    if (server->desc.model == FSV_MODEL_POOL_CONN)
        return i < fsi_pool_size(server) ? server->pool.workers[i].loop : NULL;
    return i < fsi_load32(&server->crew.count) ? &server->crew.all[i]->loop : NULL;
}

// Async-signal-safe.
FSI_SELDOM void fsi_server_wake_all(fsv_server *server)
{
    fsi_loop *loop;
    for (uint32_t i = 0; (loop = fsi_server_loop(server, i)) != NULL; i++) {
        fsi_store32(&loop->woken, 1);
        fsi_io_wake(&loop->io);
    }
}

// Closes one address on every loop. A socket file goes first: once the socket is closed a successor may have put its
// own there.
FSI_SELDOM void fsi_server_close_address(fsv_server *server, uint32_t index)
{
    fsi_address *address = &server->addresses[index];
    if (address->unlink) fsi_unix_remove(address->text + 5);
    address->unlink = false;
    for (uint32_t k = 0; k < server->loop_count; k++) {
        fsi_chan *chan = &server->loops[k].listeners[index].chan;
        if (k == 0 || !address->shared) fsi_io_close(chan, false);
        chan->fd = -1;
    }
}

FSI_SELDOM void fsi_server_close_listeners(fsv_server *server)
{
    for (uint32_t i = 0; i < server->address_count; i++) fsi_server_close_address(server, i);
}

// First look at a stop: accepts what waits, and the last loop to do so closes every listener; they close together,
// since closing one member of a group alone resets its clients and renumbers the others.
FSI_SELDOM void fsi_loop_begin_stop(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    uint64_t drain = fsi_load64(&server->stop_drain_ms);
    loop->stopping = true;
    loop->drain_due_ms = loop->now_ms + drain;
    loop->fresh_due_ms = loop->now_ms + (drain < FSI_DRAIN_FRESH_MS ? drain : FSI_DRAIN_FRESH_MS);
    if (!loop->listeners) return;                            // a worker's
    bool accepts = !FSI_IO_ONE_ACCEPTOR || loop->index == 0; // others do not even look: the first may be closing all
    for (uint32_t i = 0; accepts && i < server->address_count; i++)
        if (loop->listeners[i].chan.fd >= 0)
            (void)fsi_loop_accept(loop, &loop->listeners[i].chan, server->desc.backlog + 1);
    if (accepts)
        fsi_loop_unlisten(loop, true); // from here on they are the last loop's, which may close them at any time
    uint32_t drained = fsi_add32(&server->loops_drained, 1) + 1;
    if (FSI_IO_ONE_ACCEPTOR ? !accepts : drained < server->loop_count) return; // the first one's are only its own
    for (uint32_t k = 0; k < server->loop_count; k++)
        for (uint32_t i = 0; i < server->address_count; i++)
            if (server->loops[k].listeners[i].chan.fd >= 0)
                (void)fsi_loop_accept(loop, &server->loops[k].listeners[i].chan, server->desc.backlog + 1);
    fsi_server_close_listeners(server);
    fsi_store32(&server->listeners_closed, 1);
    for (uint32_t k = 0; k < server->loop_count; k++) fsi_loop_wake(&server->loops[k]);
}

// Takes what is in the inbox and lets nothing more in. False: not yet, someone is in the middle of a post, or one
// has brought work.
FSI_SELDOM bool fsi_loop_end(fsi_loop *loop)
{
    if (!loop->ending) (void)fsi_add32(&loop->posters, FSI_LOOP_ENDED);
    loop->ending = true;
    if (fsi_load32(&loop->posters) != FSI_LOOP_ENDED) return false; // the last of them wakes us
    fsi_store32(&loop->woken, 1);
    fsi_loop_inbox(loop); // takes all: nobody adds to it
    fsi_loop_bury(loop);
    return fsi_load32(&loop->server->conns_open) == 0;
}

// True: the loop has ended.
FSI_SELDOM bool fsi_loop_stop(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    if (!loop->stopping) {
        fsi_loop_begin_stop(loop);
        fsi_loop_close_conns(loop, false, false);
    }
    uint64_t shorter = loop->now_ms + fsi_load64(&server->stop_drain_ms); // a second stop may have come
    if (shorter < loop->drain_due_ms && loop->drain_due_ms != UINT64_MAX) loop->drain_due_ms = shorter;
    if (loop->now_ms >= loop->fresh_due_ms) {
        fsi_loop_close_conns(loop, false, true);
        loop->fresh_due_ms = UINT64_MAX;
    }
    if (loop->now_ms >= loop->drain_due_ms) {
        fsi_loop_close_conns(loop, true, true);
        loop->drain_due_ms = UINT64_MAX; // done; what remains is woken for
    }
    fsi_loop_run_list(loop); // passes closed ones on
    fsi_pool_turn_ends(loop);
    fsi_balance_moves(loop);
    fsi_loop_bury(loop);
    return fsi_load32(&server->listeners_closed) && fsi_load32(&server->conns_open) == 0 && fsi_loop_end(loop);
}

static uint64_t fsi_balance_wait_us(fsi_loop *loop); // upcalls, in >>balance
static void fsi_balance_turn_begins(fsi_loop *loop);
static void fsi_balance_turn_ends(fsi_loop *loop);

// How long the loop may sleep, in microseconds.
FSI_PRIVATE uint64_t fsi_loop_wait_us(fsi_loop *loop)
{
    if (loop->run_list || loop->close_list || fsi_load32(&loop->woken)) return 0;
    uint64_t now = loop->now_ms, until = UINT64_MAX, rest;
    uint64_t task = loop->heap_len ? fsi_task_wait_us(loop) : UINT64_MAX;
    uint32_t wait = fsi_wheel_wait_ms(&loop->wheel, now);
    if (wait != UINT32_MAX) until = now + wait;
    if (loop->accept_paused && !loop->stopping && loop->accept_again_ms < until) until = loop->accept_again_ms;
    if (loop->stopping && loop->drain_due_ms < until) until = loop->drain_due_ms;
    if (loop->stopping && loop->fresh_due_ms < until) until = loop->fresh_due_ms;
    if (until == UINT64_MAX) return task;
    rest = until > now ? (until - now) * 1000 : 0;
    return rest < task ? rest : task;
}

// Before the wait: says that the loop waits, and then looks whether it may. How long, in microseconds.
FSI_INLINE uint64_t fsi_loop_turn_rests(fsi_loop *loop, uint64_t timeout_us)
{
    uint64_t wait = fsi_loop_wait_us(loop), cap;
    if (timeout_us < wait) wait = timeout_us;
    if (wait && (cap = fsi_balance_wait_us(loop)) < wait) wait = cap;
    fsi_store32(&loop->waiting, 1);
    fsi_fence();
    return fsi_load32(&loop->woken) ? 0 : wait;
}

// After the wait. False: stopped, drained, nothing left.
FSI_INLINE bool fsi_loop_turn_works(fsi_loop *loop)
{
    if (fsi_load32(&loop->server->life) != FSI_LIFE_POLL)
        fsi_store32(&loop->waiting, 0); // there the host waits, at any time
    fsi_loop_clock(loop);
    fsi_balance_turn_begins(loop);
    FSI_COUNT(loop, turns, 1);
    bool spent = loop->run_list != NULL; // in an earlier turn; they go on after all that are ready
    fsi_io_dispatch(&loop->io);
    if (spent) fsi_loop_run_list(loop);
    fsi_loop_inbox(loop);
    fsi_loop_timers(loop);
    fsi_pool_turn_ends(loop);
    fsi_balance_moves(loop);
    fsi_loop_bury(loop);
    if (FSI_UNLIKELY(fsi_load32(&loop->server->crowded)) && loop->listeners) fsi_loop_accept_again(loop);
    bool ended = fsi_load32(&loop->server->stop) && fsi_loop_stop(loop);
    fsi_balance_turn_ends(loop);
    return !ended;
}

// One turn. False: stopped, drained, nothing left.
FSI_HOT bool fsi_loop_turn(fsi_loop *loop, uint64_t timeout_us)
{
    (void)fsi_io_wait(&loop->io, fsi_loop_turn_rests(loop, timeout_us));
    return fsi_loop_turn_works(loop);
}

FSI_SELDOM bool fsi_loop_init(fsi_loop *loop, fsv_server *server, uint32_t index)
{
    const fsv_server_desc *desc = &server->desc;
    loop->server = server;
    loop->index = index;
    loop->cpu = -1;
    loop->run_tail = &loop->run_list;
    loop->jobs_tail = &loop->jobs_wait;
    loop->in_size = FSI_IN_BYTES > desc->head_bytes_max + 4096 ? FSI_IN_BYTES : desc->head_bytes_max + 4096;
    loop->in = (char *)fsi_alloc(server, loop->in_size);
    loop->out = (char *)fsi_alloc(server, FSI_OUT_BYTES);
    loop->fields = (fsi_field *)fsi_alloc(server, sizeof(fsi_field) * desc->fields_max);
    loop->path = (char *)fsi_alloc(server, desc->head_bytes_max + 1);
    if (!loop->in || !loop->out || !loop->fields || !loop->path) return false;
    bool accepts = index < server->loop_count;
    if (accepts) {
        loop->listeners = (fsi_listener *)fsi_alloc_zero(server, sizeof(fsi_listener) * FSI_ADDRESSES_MAX);
        if (!loop->listeners) return false;
        for (uint32_t i = 0; i < FSI_ADDRESSES_MAX; i++) fsi_chan_init(&loop->listeners[i].chan, FSI_CHAN_LISTENER);
    }
    loop->scratch.loop = loop;
    fsi_loop_clock(loop);
    fsi_wheel_init(&loop->wheel, loop->now_ms);
    // A worker's has one connection, which sends few messages.
    return fsi_queue_init(&loop->inbox, server, accepts || desc->inbox_max < 16 ? desc->inbox_max : 16);
}

// Closes what the loop still has and returns its memory. Safe on a half-built one.
FSI_SELDOM void fsi_loop_free(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    if (!server) return;
    loop->stopping = true;
    fsi_store64(&loop->thread, fsi_thread_self()); // callbacks find it as they know it
    if (loop->inbox.cells)
        (void)fsi_loop_end(loop); // of a loop that has ended it is empty, since nobody posts any more
    if (loop->wheel.slots[0][0].next) fsi_loop_close_conns(loop, true, true);
    fsi_loop_run_list(loop);
    fsi_balance_moves(loop);
    fsi_loop_bury(loop);
    fsi_store64(&loop->thread, 0);
    fsi_io_free(&loop->io);
    fsi_shelf_free(loop);
    fsi_blocks_free(loop);
    fsi_release(server, loop->tasks, FSI_TASK_BYTES * (size_t)loop->task_cap);
    fsi_queue_free(&loop->inbox, server);
    if (loop->listeners) fsi_release(server, loop->listeners, sizeof(fsi_listener) * FSI_ADDRESSES_MAX);
    fsi_release(server, loop->path, server->desc.head_bytes_max + 1);
    fsi_release(server, loop->fields, sizeof(fsi_field) * server->desc.fields_max);
    fsi_release(server, loop->out, FSI_OUT_BYTES);
    fsi_release(server, loop->in, loop->in_size);
}

// ---------------------------------------------------------------------------------------------------------
// >>balance   Which loop should own a connection, when several loops are pinned. Two forces, both weak, since a move
//             costs more than many requests: a connection follows its packets (every 64 answers it asks on which CPU
//             the last one came in), and a loop whose CPU is full gives connections to one whose CPU rests. What counts
//             is the CPU and not the loop: a client that shares it makes a loop slow without keeping it busy. Load
//             overrides locality. And an idle loop accepts for one that is stuck in a long turn. Moves happen after the
//             batch, at most one in each second of the clock for each connection, never with a request
//             under way. Connections that end too soon to be given away are steered elsewhere before they begin: of those
//             that arrive on a full CPU a share, which grows while another rests and shrinks when none does.
// ---------------------------------------------------------------------------------------------------------

#if FSI_LOCALITY && FSI_IO_CAN_MOVE

#define FSI_WINDOW_US ((uint64_t)100000) // over which load is taken
#define FSI_DROWNS 900                   // load of a loop's CPU, permille: from here on it gives away
#define FSI_IDLES 500                    // likewise: below that another may give to it
#define FSI_WATCH_US 1000000             // a loop watches the others for so long after their last turn
#define FSI_OVERDUE_US 20000             // a turn that takes longer keeps new connections waiting
#define FSI_GIVE_STEP 64                 // of new connections, in a window
#define FSI_GIVE_MOST 224                // some still come to their own loop

FSI_PRIVATE bool fsi_balances(const fsi_loop *loop)
{
    return loop->server->desc.pin && loop->server->loop_count > 1;
}

// The loop that is pinned to a CPU; loop_count if there is none.
FSI_PRIVATE uint32_t fsi_balance_loop_of(const fsv_server *server, int cpu)
{
    for (uint32_t i = 0; i < server->loop_count && i < server->cpu_count; i++)
        if (server->cpus[i].number == cpu) return i;
    return server->loop_count;
}

FSI_SELDOM bool fsi_balance_may_move(const fsi_conn *conn)
{
    return conn->state == FSI_CONN_HEAD && !conn->carry && !conn->out && !conn->listed && !conn->broken &&
           !conn->chan.eof;
}

FSI_SELDOM void fsi_balance_mark(fsi_conn *conn, uint32_t to, bool given_away)
{
    fsi_loop *loop = conn->loop;
    conn->move_to = (uint16_t)to;
    conn->given_away = given_away;
    conn->listed = true;
    conn->next = loop->move_list;
    loop->move_list = conn;
}

// How busy a loop's CPU is, with whatever else runs there; the loop's own share where the system does not tell.
FSI_SELDOM uint64_t fsi_balance_load(const fsi_loop *loop, uint64_t now_us)
{
    fsv_server *server = loop->server;
    if (server->cpu_count) {
        uint64_t load = fsi_peek64(&server->cpus[loop->index % server->cpu_count].load_permille);
        if (load != FSI_CPU_UNKNOWN) return load;
    }
    bool rests = fsi_load64(&loop->last_turn_us) + 2 * FSI_WINDOW_US < now_us;
    return rests ? 0 : fsi_peek64(&loop->busy_permille);
}

// It has answered some requests: is it to be given away, or, every FSI_FOLLOW_ANSWERS of them, to follow its packets?
static void fsi_balance_answered(fsi_conn *conn)
{
    fsi_loop *loop = conn->loop;
    fsv_server *server = loop->server;
    bool look = conn->answers >= FSI_FOLLOW_ANSWERS;
    if (!fsi_balance_may_move(conn)) return; // cut by turn_requests_max, perhaps: the next turn that ends it looks
    if (look) conn->answers = 0;
    if (!fsi_balances(loop) || loop->stopping) return;
    if (conn->moved_s == (uint32_t)(loop->now_ms / 1000)) return;
    if (loop->give_count) {
        loop->give_count--;
        fsi_balance_mark(conn, loop->give_to, true);
        return;
    }
    if (!look) return;
    int cpu = fsi_sock_cpu(conn->chan.fd);
    if (cpu < 0) return;
    uint32_t to = fsi_balance_loop_of(server, cpu);
    if (to == server->loop_count || to == loop->index) return;
    if (conn->balanced && fsi_balance_load(&server->loops[to], loop->now_us) > FSI_IDLES) return;
    fsi_balance_mark(conn, to, false);
}

// Hands the marked connections over. A full inbox keeps them here.
static void fsi_balance_moves(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    while (loop->move_list) {
        fsi_conn *conn = loop->move_list;
        loop->move_list = conn->next;
        conn->listed = false;
        if (conn->state == FSI_CONN_CLOSE) {
            fsi_conn_bury_later(conn);
            continue;
        }
        if (loop->stopping || !fsi_balance_may_move(conn)) continue;
        fsi_loop *to = &server->loops[conn->move_to];
        if (!fsi_loop_reserve(to, false)) continue;
        fsi_io_detach(&conn->chan);
        fsi_timer_remove(&conn->timer);
        conn->loop = NULL;
        loop->conns--;
        conn->moved_s = (uint32_t)(loop->now_ms / 1000);
        conn->balanced = conn->given_away;
        FSI_COUNT(loop, conns_balanced, conn->balanced);
        FSI_COUNT(loop, conns_followed, !conn->balanced);
        fsi_loop_send(to, FSI_MSG_CONN, conn, 0); // from here on it is the other loop's
    }
}

// Accepts for loops whose turn takes too long.
FSI_PRIVATE void fsi_balance_rescue(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    if (loop->accept_paused || fsi_load32(&server->stop)) return;
    for (uint32_t k = 0; k < server->loop_count; k++) {
        fsi_loop *other = &server->loops[k];
        uint64_t began = fsi_load64(&other->turn_began_us);
        if (other == loop || began == 0 || began + FSI_OVERDUE_US > loop->now_us) continue;
        for (uint32_t i = 0; i < server->address_count; i++) {
            if (server->addresses[i].shared) continue;
            uint32_t n = fsi_loop_accept(loop, &other->listeners[i].chan, 64);
            if (n) FSI_COUNT(loop, conns_rescued, n);
        }
    }
}

// How long the loop may wait before it looks at the others again; UINT64_MAX: they rest.
FSI_PRIVATE uint64_t fsi_balance_watch_us(const fsi_loop *loop)
{
    fsv_server *server = loop->server;
    uint64_t cap = UINT64_MAX;
    for (uint32_t k = 0; k < server->loop_count; k++) {
        const fsi_loop *other = &server->loops[k];
        if (other == loop) continue;
        uint64_t began = fsi_load64(&other->turn_began_us), last = fsi_load64(&other->last_turn_us);
        if (began && began + FSI_OVERDUE_US < loop->now_us) return FSI_OVERDUE_US / 4;
        if (last + FSI_WATCH_US > loop->now_us) cap = FSI_OVERDUE_US;
    }
    return cap;
}

// It keeps watch while others are active, and sleeps without a limit when they are not.
static uint64_t fsi_balance_wait_us(fsi_loop *loop)
{
    if (!fsi_balances(loop) || loop->stopping) return UINT64_MAX;
    uint64_t cap = fsi_balance_watch_us(loop);
    if (cap != UINT64_MAX) return cap;
    (void)fsi_swap32(&loop->asleep, 1); // either we see that another has begun a turn, or it sees that we sleep
    cap = fsi_balance_watch_us(loop);
    if (cap != UINT64_MAX) fsi_store32(&loop->asleep, 0);
    return cap;
}

static void fsi_balance_turn_begins(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    if (!fsi_balances(loop)) return;
    uint64_t last = fsi_peek64(&loop->last_turn_us);
    bool worked = loop->io.event_count != 0 || loop->run_list;
    fsi_store32(&loop->asleep, 0);
    if (worked) {
        fsi_store64(&loop->turn_began_us, loop->now_us);
        fsi_store64(&loop->last_turn_us, loop->now_us);
    } else {
        fsi_balance_rescue(loop);
    }
    if (!worked || last + FSI_WATCH_US / 2 > loop->now_us) return;
    for (uint32_t k = 1; k < server->loop_count; k++) { // after a rest: one of the sleepers is to keep watch
        fsi_loop *other = &server->loops[(loop->index + k) % server->loop_count];
        if (!fsi_add32(&other->asleep, 0)) continue; // a read-modify-write: ordered with the sleeper's swap
        fsi_loop_wake(other);
        return;
    }
}

// Decides what of the new connections of each CPU goes to another's loop. True: something has changed.
FSI_SELDOM bool fsi_balance_shares(fsi_cpu *cpus, uint32_t count)
{
    bool changed = false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t load = fsi_peek64(&cpus[i].load_permille), least = FSI_IDLES;
        uint32_t share = cpus[i].give_share, to = i;
        for (uint32_t k = 0; k < count; k++) {
            uint64_t theirs = fsi_peek64(&cpus[k].load_permille);
            if (k == i || theirs >= least) continue;
            least = theirs;
            to = k;
        }
        bool full = load != FSI_CPU_UNKNOWN && load >= FSI_DROWNS;
        if (full && to != i) {
            if (!share) cpus[i].give_to = to;
            if (cpus[i].give_to == to) share += FSI_GIVE_STEP;
        }
        if (share && (!full || fsi_peek64(&cpus[cpus[i].give_to].load_permille) >= FSI_DROWNS))
            share -= share < FSI_GIVE_STEP ? share : FSI_GIVE_STEP;
        if (share > FSI_GIVE_MOST) share = FSI_GIVE_MOST;
        changed = changed || share != cpus[i].give_share;
        cpus[i].give_share = share;
    }
    return changed;
}

// By the loop's own listeners, which nobody else closes meanwhile.
FSI_SELDOM void fsi_balance_steer(fsi_loop *loop)
{
    fsv_server *server = loop->server;
    uint32_t count = server->cpu_count < server->loop_count ? server->cpu_count : server->loop_count;
    if (loop->stopping || !fsi_balance_shares(server->cpus, count)) return;
    for (uint32_t i = 0; i < fsi_load32(&server->address_count); i++) {
        int fd = loop->listeners[i].chan.fd;
        if (fd >= 0 && !server->addresses[i].shared)
            (void)fsi_sock_steer(fd, server->cpus, server->cpu_count, server->loop_count);
    }
}

// One loop looks at the CPUs for all, once in a window.
FSI_SELDOM void fsi_balance_look(fsi_loop *loop, uint64_t now_us)
{
    fsv_server *server = loop->server;
    uint64_t last = fsi_load64(&server->looked_us);
    if (last + FSI_WINDOW_US > now_us || fsi_swap32(&server->looking, 1)) return;
    last = fsi_load64(&server->looked_us); // nobody else changes it now
    uint64_t passed = now_us > last ? now_us - last : 0;
    if (passed >= FSI_WINDOW_US) {
        fsi_cpus_look(server->cpus, server->cpu_count, passed < 10 * FSI_WINDOW_US ? passed : 0);
        fsi_store64(&server->looked_us, now_us);
        fsi_balance_steer(loop);
    }
    fsi_store32(&server->looking, 0);
}

// A window has ended: is this loop's CPU full, and is there another that could help?
FSI_SELDOM void fsi_balance_window(fsi_loop *loop, uint64_t now_us)
{
    fsv_server *server = loop->server;
    uint64_t length = now_us - loop->window_began_us, least = FSI_IDLES, to = server->loop_count;
    uint64_t busy = length ? loop->window_busy_us * 1000 / length : 0;
    loop->window_began_us = now_us;
    loop->window_busy_us = 0;
    loop->give_count = 0;
    fsi_poke64(&loop->busy_permille, busy);
    fsi_balance_look(loop, now_us);
    uint64_t load = fsi_balance_load(loop, now_us);
    if (!busy || load < FSI_DROWNS || length > 10 * FSI_WINDOW_US || now_us < loop->give_after_us) return;
    for (uint32_t k = 0; k < server->loop_count; k++) {
        const fsi_loop *other = &server->loops[k];
        uint64_t theirs = fsi_balance_load(other, now_us);
        if (other == loop || theirs >= least) continue;
        least = theirs;
        to = k;
    }
    if (to == server->loop_count) return;
    uint64_t half = (load - least) / 2; // of the surplus; the loop may be the lesser part of what its CPU bears
    loop->give_to = (uint32_t)to;
    loop->give_after_us = now_us + 4 * FSI_WINDOW_US;
    loop->give_count = half < busy ? (uint32_t)(loop->conns * half / busy) : loop->conns;
}

static void fsi_balance_turn_ends(fsi_loop *loop)
{
    if (!fsi_balances(loop)) return;
    uint64_t began = fsi_peek64(&loop->turn_began_us);
    if (!began) return;
    uint64_t now_us = fsi_clock_ns() / 1000;
    fsi_store64(&loop->turn_began_us, 0);
    loop->window_busy_us += now_us - began;
    FSI_COUNT(loop, busy_us, now_us - began);
    if (now_us - loop->window_began_us >= FSI_WINDOW_US) fsi_balance_window(loop, now_us);
}

#else
static void fsi_balance_answered(fsi_conn *conn)
{
    conn->answers = 0;
}
static void fsi_balance_moves(fsi_loop *loop)
{
    (void)loop;
}
static uint64_t fsi_balance_wait_us(fsi_loop *loop)
{
    (void)loop;
    return UINT64_MAX;
}
static void fsi_balance_turn_begins(fsi_loop *loop)
{
    (void)loop;
}
static void fsi_balance_turn_ends(fsi_loop *loop)
{
    (void)loop;
}
#endif

// ---------------------------------------------------------------------------------------------------------
// >>worker   The pool: threads that run the handlers that block, and tokens, by which anyone may answer later. A job leaves
//            by a lane's queue and comes home by the inbox of its loop. Workers sleep when there is nothing to do. While
//            jobs are short, who pushes wakes one only if one sleeps and none is on its way, and who was woken wakes the
//            next, if there is more, before it begins. Where jobs take longer than FSI_SLOW_US on average, who pushes
//            wakes one for each that waits. No wake is lost, because each side says what it does before it looks at the
//            other: push, fence, look for sleepers; lie down, fence, look at the queue. That the client of a request which
//            is away has gone is seen in >>conn (fsi_conn_watch), and told to who has the token there (fsi_job_cancel).
// ---------------------------------------------------------------------------------------------------------

// The one that slept for the shortest time, off the idle list. NULL: none sleeps.
FSI_PRIVATE fsi_worker *fsi_lane_idler(fsi_lane *lane)
{
    fsi_lock_take(&lane->lock);
    fsi_worker *worker = lane->idle;
    if (worker) {
        lane->idle = worker->next_idle;
        worker->parked = false;
        (void)fsi_add32(&lane->idle_count, (uint32_t)-1);
    }
    fsi_lock_give(&lane->lock);
    return worker;
}

#define FSI_SLOW_US 100 // a job that takes longer on average is worth a wake for each that waits

FSI_PRIVATE void fsi_lane_look(fsi_lane *lane)
{
    fsi_fence();
    if (fsi_load32(&lane->run_us) >
        FSI_SLOW_US) { // handlers that block: one wake after the other would hold up the last
        uint32_t idle = fsi_load32(&lane->idle_count), want = idle ? fsi_queue_count(&lane->queue) : 0;
        fsi_worker *worker = NULL;
        for (; want && (worker = fsi_lane_idler(lane)) != NULL; want--) fsi_park_wake(&worker->park);
        return;
    }
    while (fsi_load32(&lane->idle_count) && fsi_queue_count(&lane->queue)) {
        if (fsi_load32(&lane->waking) || fsi_swap32(&lane->waking, 1)) return; // that one will look after this push
        fsi_worker *worker = fsi_lane_idler(lane);
        if (worker) {
            fsi_park_wake(&worker->park);
            return;
        }
        fsi_store32(&lane->waking, 0);
        fsi_fence(); // others may have pushed meanwhile and left it to us, and a worker lain down: again
    }
}

// Pushes, without waiting. False: every queue that may take it is full.
static bool fsi_pool_push(fsi_loop *loop, fsi_msg msg)
{
    fsi_pool *pool = &loop->server->pool;
    for (uint32_t tries = 0; tries < pool->lane_count; tries++) {
        fsi_lane *lane = &pool->lanes[loop->jobs_turn++ % pool->lane_count];
        if (!fsi_queue_push(&lane->queue, msg)) continue;
        if (pool->lane_count > 1)
            fsi_lane_look(lane);
        else
            loop->jobs_pushed =
                true; // one look for all of a turn: a worker that is woken earlier takes the CPU from the loop
        return true;
    }
    return false;
}

// A worker that takes a job wakes this loop from now on.
FSI_SELDOM void fsi_pool_be_hungry(fsi_loop *loop)
{
    if (!fsi_swap32(&loop->hungry, 1)) (void)fsi_add32(&loop->server->pool.hungry, 1);
    fsi_fence();
}

// Pushes those that wait, in their order, as far as there is room.
static void fsi_pool_retry(fsi_loop *loop)
{
    bool said = false;
    while (loop->jobs_wait) {
        fsi_job *job = loop->jobs_wait;
        bool gone = fsi_load32(&job->cancelled) != 0;
        fsi_job *next = job->next; // a worker's as soon as it is pushed
        if (!gone && !fsi_pool_push(loop, fsi_msg_of(FSI_MSG_JOB, 0, job))) {
            if (said) return;
            said = true;
            fsi_pool_be_hungry(loop); // and look again: room may have come before it was said
            continue;
        }
        loop->jobs_wait = next;
        if (!loop->jobs_wait) loop->jobs_tail = &loop->jobs_wait;
        if (!gone) continue;
        fsi_request_uncalled(job->request);
        fsi_conn_hear(job, true);
    }
}

// The end of a turn.
static void fsi_pool_turn_ends(fsi_loop *loop)
{
    if (!loop->jobs_pushed) return;
    loop->jobs_pushed = false;
    fsi_lane_look(&loop->server->pool.lanes[0]);
}

// False: full, and no waiting is wanted.
static bool fsi_pool_submit(fsi_loop *loop, fsi_job *job)
{
    if (!loop->jobs_wait && fsi_pool_push(loop, fsi_msg_of(FSI_MSG_JOB, 0, job))) return true;
    if (!loop->server->desc.jobs_wait) return false;
    *loop->jobs_tail = job;
    loop->jobs_tail = &job->next;
    fsi_pool_retry(loop);
    return true;
}

// Under the lock: says what there is to say, once. Pieces may go while the handler runs, everything else waits for it.
FSI_SELDOM void fsi_job_tell(fsi_job *job)
{
    bool over = !job->running && (job->answered || job->reclaimed);
    if (job->told) return;
    if (job->begun && !job->reclaimed) {
        if (!job->first && !over) return;
        job->told = true;
        fsi_loop_send(job->loop, FSI_MSG_STREAM, job, 0);
    } else if (over) {
        job->told = true;
        fsi_loop_send(job->loop, FSI_MSG_JOB, job, 0);
    }
}

FSI_PRIVATE void fsi_worker_run(fsi_worker *worker, fsi_job *job)
{
    fsv_server *server = worker->server;
    fsv_request *request = job->request;
    uint64_t began = fsi_clock_ns() / 1000, ended;
    if (fsi_load32(&job->cancelled)) {
        fsi_request_uncalled(request);
        fsi_loop_send(job->loop, FSI_MSG_JOB, job, 0);
        return;
    }
    if (!request->want.folder) request->route->handler(request, request->route->user);
    if (request->want.folder && !request->deferred) fsi_files_work(request);
    ended = fsi_clock_ns() / 1000;
    fsi_count64(&worker->jobs, 1);
    fsi_count64(&worker->wait_us, began > job->queued_us ? began - job->queued_us : 0);
    fsi_count64(&worker->run_us, ended - began);
    uint64_t late = fsi_load32(&worker->lane->run_us), now = ended - began < 1000000 ? ended - began : 1000000;
    now = (late * 7 + now) / 8;
    if (now != late) fsi_store32(&worker->lane->run_us, (uint32_t)now); // others write it too: a guess is enough
    if (!request->deferred) {
        fsi_loop_send(job->loop, FSI_MSG_JOB, job, 0); // from here on it is the loop's
        return;
    }
    fsi_lock_take(&server->token_lock);
    job->running = false;
    fsi_job_tell(job);
    fsi_lock_give(&server->token_lock);
}

FSI_SELDOM void fsi_worker_warm(fsi_warm *warm)
{
    fsi_loop *loop = warm->loop;
    fsi_files_read_ahead(warm);
    fsi_loop_send(loop, FSI_MSG_WARM, warm, 0); // from here on it is the loop's
}

// Wakes the loops that wait for room in a queue.
FSI_PRIVATE void fsi_pool_feed(fsv_server *server)
{
    fsi_fence();
    if (fsi_load32(&server->pool.hungry) == 0) return;
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (!fsi_swap32(&server->loops[i].hungry, 0)) continue;
        (void)fsi_add32(&server->pool.hungry, (uint32_t)-1);
        fsi_loop_wake(&server->loops[i]);
    }
}

// Lies down. False: there is something to do after all.
FSI_PRIVATE bool fsi_worker_lies_down(fsi_worker *worker)
{
    fsi_lane *lane = worker->lane;
    fsi_lock_take(&lane->lock);
    worker->next_idle = lane->idle;
    worker->parked = true;
    lane->idle = worker;
    (void)fsi_add32(&lane->idle_count, 1);
    fsi_lock_give(&lane->lock);
    fsi_fence();
    if (fsi_queue_count(&lane->queue) || fsi_load32(&worker->server->pool.stop)) {
        fsi_lock_take(&lane->lock);
        bool still = worker->parked; // else someone has chosen it, and its wake is under way
        if (still) {
            fsi_worker **at = &lane->idle;
            while (*at != worker) at = &(*at)->next_idle;
            *at = worker->next_idle;
            worker->parked = false;
            (void)fsi_add32(&lane->idle_count, (uint32_t)-1);
        }
        fsi_lock_give(&lane->lock);
        if (still) return false;
    }
    return true;
}

// Sleeps until it is woken. Whoever pushes from here on may wake the next one.
FSI_PRIVATE void fsi_worker_sleeps(fsi_worker *worker)
{
    fsi_park_sleep(&worker->park);
    fsi_store32(&worker->lane->waking, 0);
    fsi_fence();
}

// Begins to serve one connection, on a loop that has no other. Takes the socket over.
FSI_SELDOM void fsi_loop_serves(fsi_loop *loop, int fd)
{
    fsi_loop_clock(loop);
    fsi_conn *conn = fsi_loop_adopt(loop, fd);
    if (!conn) {
        fsi_loop_drop(loop, fd);
        return;
    }
    (void)fsi_loop_admit(loop, conn, false);
    fsi_fence();
    if (fsi_load32(&loop->server->stop)) fsi_store32(&loop->woken, 1); // who stops may not have seen this loop
    fsi_loop_late(loop);
}

// Takes one job, or one connection of FSV_MODEL_POOL_CONN, of which each further step is a turn, to its end. False:
// there is none.
FSI_PRIVATE bool fsi_worker_step(fsi_worker *worker)
{
    fsi_lane *lane = worker->lane;
    fsi_msg msg;
    if (worker->loop && worker->loop->conns) {
        (void)fsi_loop_turn(worker->loop, UINT64_MAX);
        return true;
    }
    if (!fsi_queue_pop(&lane->queue, &msg)) return false;
    if (fsi_queue_count(&lane->queue)) fsi_lane_look(lane); // before it runs this one
    fsi_pool_feed(worker->server);
    if (msg.kind == FSI_MSG_SOCKET)
        fsi_loop_serves(worker->loop, (int)msg.number);
    else if (msg.kind == FSI_MSG_WARM)
        fsi_worker_warm((fsi_warm *)msg.ptr);
    else if (msg.kind == FSI_MSG_RENEW)
        fsi_files_renew((fsv_folder *)msg.ptr);
    else
        fsi_worker_run(worker, (fsi_job *)msg.ptr);
    return true;
}

// Body of a worker's thread.
FSI_HOT void fsi_worker_main(void *arg)
{
    fsi_worker *worker = (fsi_worker *)arg;
    fsi_store64(&worker->thread_self, fsi_thread_self());
    if (worker->loop) fsi_store64(&worker->loop->thread, fsi_thread_self());
    for (;;) {
        if (fsi_worker_step(worker)) continue;
        if (fsi_load32(&worker->server->pool.stop)) break;
        if (fsi_worker_lies_down(worker)) fsi_worker_sleeps(worker);
    }
    if (worker->loop) fsi_store64(&worker->loop->thread, 0);
    fsi_store64(&worker->thread_self, 0);
}

// Lets the workers end when the queues are empty, and waits for them. The lanes stay until fsi_pool_free.
FSI_SELDOM void fsi_pool_stop(fsv_server *server)
{
    fsi_pool *pool = &server->pool;
    fsi_store32(&pool->stop, 1);
    fsi_fence();
    for (uint32_t i = 0; i < pool->started; i++) fsi_park_wake(&pool->workers[i].park);
    while (pool->started > 0) fsi_thread_join(&pool->workers[--pool->started].thread);
}

FSI_SELDOM void fsi_pool_free(fsv_server *server)
{
    fsi_pool *pool = &server->pool;
    for (uint32_t i = 0; pool->workers && i < pool->worker_count; i++) {
        fsi_park_free(&pool->workers[i].park);
        if (!pool->workers[i].loop) continue;
        fsi_loop_free(pool->workers[i].loop);
        fsi_release(server, pool->workers[i].loop, sizeof(fsi_loop));
    }
    for (uint32_t i = 0; pool->lanes && i < pool->lane_count; i++) {
        fsi_queue_free(&pool->lanes[i].queue, server);
        fsi_lock_free(&pool->lanes[i].lock);
    }
    fsi_release(server, pool->workers, sizeof(fsi_worker) * pool->worker_count);
    fsi_release(server, pool->lanes, sizeof(fsi_lane) * pool->lane_count);
    memset(pool, 0, sizeof *pool);
}

// A loop of its own, for one connection at a time.
FSI_PRIVATE fsv_result fsi_worker_loop(fsi_worker *worker, uint32_t index)
{
    fsi_loop *loop = (fsi_loop *)fsi_alloc_zero(worker->server, sizeof *loop);
    if (!loop) return FSV_ERR_MEMORY;
    worker->loop = loop;
    loop->io.fd = loop->io.wake.fd = -1;
    if (!fsi_loop_init(loop, worker->server, index)) return FSV_ERR_MEMORY;
    return fsi_io_init(&loop->io, loop) ? FSV_OK : FSV_ERR_SYSTEM;
}

FSI_SELDOM fsv_result fsi_pool_build(fsv_server *server)
{
    const fsv_server_desc *desc = &server->desc;
    fsi_pool *pool = &server->pool;
    pool->worker_count = desc->workers;
    bool conns = desc->model == FSV_MODEL_POOL_CONN;
    pool->lane_count = desc->queue_per_worker && !conns ? desc->workers : 1;
    pool->workers = (fsi_worker *)fsi_alloc_zero(server, sizeof(fsi_worker) * pool->worker_count);
    pool->lanes = (fsi_lane *)fsi_alloc_zero(server, sizeof(fsi_lane) * pool->lane_count);
    if (!pool->workers || !pool->lanes) return FSV_ERR_MEMORY;
    for (uint32_t i = 0; i < pool->lane_count; i++) {
        if (!fsi_lock_init(&pool->lanes[i].lock)) return FSV_ERR_SYSTEM;
        if (!fsi_queue_init(&pool->lanes[i].queue, server, desc->jobs_max)) return FSV_ERR_MEMORY;
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        pool->workers[i].server = server;
        pool->workers[i].lane = &pool->lanes[i % pool->lane_count];
        if (!fsi_park_init(&pool->workers[i].park)) return FSV_ERR_SYSTEM;
        fsv_result result = conns ? fsi_worker_loop(&pool->workers[i], server->loop_count + i) : FSV_OK;
        if (result != FSV_OK) return result;
    }
    return FSV_OK;
}

// Starts the workers, if some handler needs them. FSV_ERR_MEMORY, FSV_ERR_SYSTEM: none of them runs.
FSI_SELDOM fsv_result fsi_pool_start(fsv_server *server)
{
    fsi_pool *pool = &server->pool;
    if (!server->has_blocking || pool->lanes) return FSV_OK;
    fsv_result result = fsi_pool_build(server);
    for (uint32_t i = 0; result == FSV_OK && i < pool->worker_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "fsv-work-%u", i % 10000);
        if (fsi_thread_start(&pool->workers[i].thread, fsi_worker_main, &pool->workers[i], name)) {
            pool->started++;
            continue;
        }
        fsi_log(server, 0, "thread_failed", fsi_os_error(), "no thread for worker %u of %u", i, pool->worker_count);
        result = FSV_ERR_SYSTEM;
    }
    if (result == FSV_OK) {
        fsi_store32(&pool->ready, 1);
        fsi_fence();
        if (fsi_load32(&server->stop)) fsi_server_wake_all(server); // who stopped it could not see the workers' loops
        return FSV_OK;
    }
    fsi_pool_stop(server);
    fsi_pool_free(server);
    return result;
}

// ---- models: whole connections given to threads

// A socket to a worker. False: the queue is full.
FSI_PRIVATE bool fsi_model_push(fsi_loop *loop, int fd)
{
    fsi_lane *lane = &loop->server->pool.lanes[0];
    fsi_msg msg = fsi_msg_of(FSI_MSG_SOCKET, (uint32_t)fd, NULL);
    while (
        !fsi_queue_push(&lane->queue, msg)) // there was room; at most a worker is just taking the message of a lap ago
        if (fsi_queue_count(&lane->queue) > lane->queue.mask) return false;
    fsi_lane_look(lane);
    return true;
}

// The last of a connection's thread: then it can be joined.
FSI_SELDOM void fsi_crew_leave(fsi_server_thread *mine)
{
    fsv_server *server = mine->loop.server;
    fsi_store64(&mine->loop.thread, 0);
    fsi_lock_take(&server->crew.lock);
    mine->next = server->crew.done;
    server->crew.done = mine;
    fsi_lock_give(&server->crew.lock);
    if (fsi_load32(&server->crowded)) fsi_loop_wake(&server->loops[0]);
}

// Body of a connection's thread.
FSI_HOT void fsi_crew_main(void *arg)
{
    fsi_server_thread *mine = (fsi_server_thread *)arg;
    fsi_store64(&mine->loop.thread, fsi_thread_self());
    fsi_loop_serves(&mine->loop, mine->fd);
    while (mine->loop.conns) (void)fsi_loop_turn(&mine->loop, UINT64_MAX);
    fsi_crew_leave(mine);
}

// A record that is free, or a new one. NULL: memory, or the system.
FSI_SELDOM fsi_server_thread *fsi_crew_get(fsv_server *server)
{
    fsi_crew *crew = &server->crew;
    fsi_server_thread *record = crew->free;
    if (record) {
        crew->free = record->next;
        if (record->started) fsi_thread_join(&record->thread);
        record->started = false;
        return record;
    }
    record = (fsi_server_thread *)fsi_alloc_zero(server, sizeof *record);
    if (!record) return NULL;
    record->loop.io.fd = record->loop.io.wake.fd = -1;
    if (fsi_loop_init(&record->loop, server, server->loop_count + crew->count) &&
        fsi_io_init(&record->loop.io, &record->loop)) {
        crew->all[crew->count] = record;
        fsi_store32(&crew->count, crew->count + 1);
        return record;
    }
    record->loop.io.fd = -1;
    fsi_loop_free(&record->loop);
    fsi_release(server, record, sizeof *record);
    return NULL;
}

FSI_SELDOM bool fsi_crew_serve(fsv_server *server, int fd)
{
    char name[16];
    fsi_server_thread *record = fsi_crew_get(server);
    if (!record) return false;
    record->fd = fd;
    (void)snprintf(name, sizeof name, "fsv-conn-%u", record->loop.index % 10000);
    record->started = fsi_thread_start(&record->thread, fsi_crew_main, record, name);
    if (record->started) return true;
    fsi_log(server, 0, "thread_failed", fsi_os_error(), "no thread for a connection");
    record->next = server->crew.free;
    server->crew.free = record;
    return false;
}

// Takes over what has ended, before anything is made anew: else short connections would leave threads_max records,
// threads to be joined and descriptors behind, however few are open at a time. True: one more connection can have a
// thread.
FSI_SELDOM bool fsi_crew_has_room(fsv_server *server)
{
    fsi_crew *crew = &server->crew;
    if (crew->free) return true;
    fsi_lock_take(&crew->lock);
    crew->free = crew->done;
    crew->done = NULL;
    fsi_lock_give(&crew->lock);
    return crew->free || crew->count < server->desc.threads_max;
}

FSI_SELDOM void fsi_crew_join(fsv_server *server)
{
    for (uint32_t i = 0; i < server->crew.count; i++) {
        fsi_server_thread *record = server->crew.all[i];
        if (record->started) fsi_thread_join(&record->thread);
        record->started = false;
    }
}

FSI_SELDOM void fsi_crew_free(fsv_server *server)
{
    fsi_crew *crew = &server->crew;
    for (uint32_t i = 0; i < crew->count; i++) {
        fsi_loop_free(&crew->all[i]->loop);
        fsi_release(server, crew->all[i], sizeof(fsi_server_thread));
    }
    crew->count = 0;
    fsi_release(server, crew->all, sizeof(void *) * server->desc.threads_max);
    crew->all = NULL;
    fsi_lock_free(&crew->lock);
}

// Whether one more connection can be accepted. If not, and one waits, the model is crowded until a thread is free.
static bool fsi_model_has_room(fsi_loop *loop, const fsi_chan *listener)
{
    fsv_server *server = loop->server;
    const fsi_queue *queue = server->pool.lanes ? &server->pool.lanes[0].queue : NULL;
    for (int look = 0; look < 2; look++) {
        if (server->desc.model == FSV_MODEL_SYNC && loop->conns == loop->raw_conns) return true;
        if (server->desc.model == FSV_MODEL_THREAD && fsi_crew_has_room(server)) return true;
        bool pooled = queue && server->desc.model == FSV_MODEL_POOL_CONN;
        if (pooled && fsi_queue_count(queue) <= queue->mask) return true;
        if (look || (listener && !fsi_io_waiting(listener))) return false;
        fsi_store32(&server->crowded, 1);
        if (queue) fsi_pool_be_hungry(loop);
        fsi_fence(); // and look again: room may have come before it was said
    }
    return false;
}

// Gives an accepted socket to who serves it. False: nobody can.
static bool fsi_model_place(fsi_loop *loop, int fd)
{
    fsv_server *server = loop->server;
    if (server->desc.model == FSV_MODEL_POOL_CONN) return fsi_model_push(loop, fd);
    if (server->desc.model == FSV_MODEL_THREAD) return fsi_crew_serve(server, fd);
    fsi_conn *conn = fsi_loop_adopt(loop, fd);
    if (conn) (void)fsi_loop_admit(loop, conn, false);
    return conn != NULL;
}

// ---- tokens

// Under the lock: one slab more for the free list. False: the limit, or memory.
FSI_SELDOM bool fsi_tokens_grow(fsv_server *server)
{
    if (server->token_slab_count == server->token_slab_max) return false;
    fsi_token *slab = (fsi_token *)fsi_alloc_zero(server, sizeof(fsi_token) * (size_t)FSI_SLAB_TOKENS);
    if (!slab) return false;
    for (uint32_t i = FSI_SLAB_TOKENS; i-- > 0;) {
        slab[i].index = server->token_slab_count * FSI_SLAB_TOKENS + i;
        slab[i].next = server->token_free;
        server->token_free = &slab[i];
    }
    server->token_slabs[server->token_slab_count++] = slab;
    return true;
}

// Under the lock: the record of a token that has not ended, else NULL.
FSI_PRIVATE fsi_token *fsi_token_find(fsv_token token)
{
    const fsv_server *server = token.server;
    if (token.slot / FSI_SLAB_TOKENS >= server->token_slab_count) return NULL;
    fsi_token *found = &server->token_slabs[token.slot / FSI_SLAB_TOKENS][token.slot % FSI_SLAB_TOKENS];
    return found->generation == token.generation && found->state != FSI_TOKEN_FREE ? found : NULL;
}

// Under the lock: the holder has ended it.
FSI_SELDOM void fsi_token_free(fsv_server *server, fsi_token *token)
{
    token->generation++;
    token->state = FSI_TOKEN_FREE;
    token->job = NULL;
    token->next = server->token_free;
    server->token_free = token;
    (void)fsi_add32(&server->tokens_held, (uint32_t)-1);
}

// Gives out a token for a job. FSV_ERR_CLOSED: its connection has gone.
FSI_SELDOM fsv_result fsi_token_open(fsi_job *job, fsv_token *out)
{
    fsv_server *server = job->loop->server;
    fsv_result result = FSV_OK;
    fsi_lock_take(&server->token_lock);
    if (fsi_load32(&job->cancelled))
        result = FSV_ERR_CLOSED;
    else if (server->tokens_held >= server->desc.tokens_max)
        result = FSV_ERR_FULL;
    else if (!server->token_free && !fsi_tokens_grow(server))
        result = FSV_ERR_MEMORY;
    if (result == FSV_OK) {
        fsi_token *token = server->token_free;
        server->token_free = token->next;
        token->state = FSI_TOKEN_OPEN;
        token->job = job;
        job->token = token;
        job->taken_ms = fsi_clock_ns() / 1000000;
        (void)fsi_add32(&server->tokens_held, 1);
        fsi_count64(&server->deferred, 1);
        out->server = server;
        out->slot = token->index;
        out->generation = token->generation;
    }
    fsi_lock_give(&server->token_lock);
    return result;
}

// The job of an open token, with the lock taken. NULL: the token is not open, and the lock is free; with `ends` a token
// that the loop took back ends here, since now its holder knows.
FSI_PRIVATE fsi_job *fsi_token_take(fsv_token token, bool ends)
{
    fsi_lock_take(&token.server->token_lock);
    fsi_token *found = fsi_token_find(token);
    if (found && found->state == FSI_TOKEN_OPEN) return found->job;
    if (found && ends) fsi_token_free(token.server, found);
    fsi_lock_give(&token.server->token_lock);
    return NULL;
}

// Under the lock, which it gives: the holder has answered.
FSI_SELDOM void fsi_token_answered(fsv_token token, fsi_job *job)
{
    fsi_token *record = job->token;
    job->answered = true;
    fsi_job_tell(job); // the job is the loop's from here on
    fsi_token_free(token.server, record);
    fsi_lock_give(&token.server->token_lock);
}

// A whole answer by a token; body as in fsi_answer.
FSI_PRIVATE fsv_result fsi_token_reply(fsv_token token, uint32_t status, const char *type, const char *body, size_t len,
                                       bool keep_ptr, fsv_release_handler release, void *user)
{
    fsv_server *server = token.server;
    size_t type_len = 0;
    fsv_result result = fsi_answer_rules(status, type, &type_len, len);
    if (result == FSV_OK && !keep_ptr && len > FSI_JOB_SMALL) { // copied before the lock is taken
        fsi_chunk *chunk = fsi_chunk_new(server, body, len, len);
        if (!chunk) return FSV_ERR_MEMORY;
        body = (const char *)(chunk + 1);
        release = fsi_release_chunk;
        user = server;
        keep_ptr = true;
    }
    fsi_job *job = result == FSV_OK ? fsi_token_take(token, false) : NULL;
    if (job && !job->begun) {
        (void)fsi_job_reply(job, status, type, type_len, body, len, keep_ptr, release, user); // what is small fits
        fsi_token_answered(token, job);
        return FSV_OK;
    }
    if (job) fsi_lock_give(&server->token_lock);
    if (release) release((void *)(uintptr_t)body, user);
    if (result != FSV_OK || job) return result != FSV_OK ? result : FSV_ERR_STATE;
    (void)fsi_token_take(token, true); // ends it, last of all: then the server may be freed
    return FSV_ERR_CLOSED;
}

// ---------------------------------------------------------------------------------------------------------
// >>handle   What any thread may do with a raw connection. A handle is a slot and a generation. On the connection's
//            own loop a call acts at once. Anywhere else it becomes a message to that loop, which looks at the
//            generation again when it arrives; of the connection only the atomic part is touched here.
//
//            Bytes that are on their way count in conn->posted until they stand in the queue and count there, so that
//            both together stay below out_bytes_max, whoever sends. Who finds no room says so in conn->starved and
//            looks again: either it sees that there is room by now, or the loop sees that someone waits for it.
// ---------------------------------------------------------------------------------------------------------

// True on the thread that runs the loop right now.
FSI_INLINE bool fsi_loop_is_here(const fsi_loop *loop)
{
    return fsi_load64(&loop->thread) == fsi_thread_self();
}

// Its connection and the loop that owns it; NULL: it has ended.
FSI_PRIVATE fsi_conn *fsi_tcp_find(fsv_tcp tcp, fsi_loop **loop)
{
    if (!tcp.server || tcp.slot / FSI_SLAB_CONNS >= fsi_load32(&tcp.server->slab_count)) return NULL;
    fsi_conn *conn = (fsi_conn *)tcp.server->slabs[tcp.slot / FSI_SLAB_CONNS] + tcp.slot % FSI_SLAB_CONNS;
    if (fsi_load32(&conn->generation) != tcp.generation) return NULL;
    *loop = &tcp.server->loops[fsi_load32(&conn->home) & ((1u << FSI_HOME_BITS) - 1)];
    return conn;
}

// Why fsi_tcp_find has found nothing.
FSI_INLINE fsv_result fsi_tcp_gone(fsv_tcp tcp)
{
    return tcp.server ? FSV_ERR_CLOSED : FSV_ERR_ARGUMENT;
}

// For calls that belong to the loop's thread: NULL on any other, too; *result says which it is.
FSI_PRIVATE fsi_conn *fsi_tcp_find_here(fsv_tcp tcp, fsv_result *result)
{
    fsi_loop *loop;
    fsi_conn *conn = fsi_tcp_find(tcp, &loop);
    *result = !conn ? fsi_tcp_gone(tcp) : fsi_loop_is_here(loop) ? FSV_OK : FSV_ERR_STATE;
    return *result == FSV_OK ? conn : NULL;
}

FSI_SELDOM fsv_result fsi_tcp_ask(fsv_tcp tcp, fsi_tcp_op op)
{
    fsi_loop *loop;
    fsi_conn *conn = fsi_tcp_find(tcp, &loop);
    if (!conn) return fsi_tcp_gone(tcp);
    if (fsi_loop_is_here(loop) && conn->loop) { // else it is on its way there: behind it
        if (conn->raw.over) return FSV_ERR_CLOSED;
        fsi_tcp_do(conn, op);
        return FSV_OK;
    }
    fsi_msg msg = fsi_msg_of(FSI_MSG_TCP_DO, tcp.generation, conn);
    msg.op = (uint32_t)op;
    return fsi_loop_post(loop, msg);
}

// Counts bytes that are to be posted. False: they do not fit, and on_drained will follow.
FSI_SELDOM bool fsi_tcp_claim(fsi_conn *conn, uint32_t len, size_t max)
{
    for (;;) {
        size_t before = fsi_add32(&conn->posted, len);
        if (before + fsi_load32(&conn->out_queued) + len <= max) return true;
        (void)fsi_add32(&conn->posted, 0u - len);
        fsi_store32(&conn->starved, 1);
        fsi_fence();
        before = fsi_load32(&conn->posted);
        if (before + fsi_load32(&conn->out_queued) + len > max) return false;
    }
}

#define FSI_TCP_SMALL (256 - sizeof(fsi_out)) // owned memory of so many bytes is copied: the block is there anyway

// A block for the queue, as fsi_out_append makes it, but of memory that any thread may take. NULL: out of memory.
FSI_SELDOM fsi_out *fsi_tcp_block(const fsv_server *server, const char *data, size_t len, bool keep_ptr,
                                  fsv_release_handler release, void *user)
{
    size_t bytes = sizeof(fsi_out) + (keep_ptr ? 0 : len);
    uint32_t k = fsi_block_class(bytes);
    if (k < FSI_BLOCK_CLASSES) bytes = (size_t)256 << k; // so that the loop may keep it
    fsi_out *out = (fsi_out *)fsi_alloc(server, bytes);
    if (!out) return NULL;
    memset(out, 0, sizeof *out);
    out->bytes = bytes;
    out->len = len;
    if (keep_ptr) {
        out->ptr = data;
        out->release = release ? release : fsi_release_nothing;
        out->release_user = user;
        return out;
    }
    memcpy(out + 1, data, len);
    out->ptr = (const char *)(out + 1);
    out->end = len;
    return out;
}

// Sends from another thread. Unless it says FSV_OK, the caller still has what it gave.
FSI_SELDOM fsv_result fsi_tcp_post(fsi_loop *loop, fsi_conn *conn, uint32_t generation, const char *data, size_t len,
                                   bool keep_ptr, fsv_release_handler release, void *user)
{
    size_t max = fsi_tcp_out_max(conn);
    if (len > max) return FSV_ERR_LIMIT;
    if (!fsi_tcp_claim(conn, (uint32_t)len, max)) return FSV_ERR_FULL;
    fsi_out *out = fsi_tcp_block(loop->server, data, len, keep_ptr, release, user);
    fsv_result result = out ? FSV_OK : FSV_ERR_MEMORY;
    if (out) {
        out->next = (fsi_out *)(void *)conn; // on its way; fsi_tcp_take puts it right
        result = fsi_loop_post(loop, fsi_msg_of(FSI_MSG_TCP_SEND, generation, out));
    }
    if (result == FSV_OK) return FSV_OK;
    if (out) fsi_release(loop->server, out, out->bytes);
    (void)fsi_add32(&conn->posted, 0u - (uint32_t)len);
    if (result != FSV_ERR_FULL) return result;
    fsi_store32(&conn->starved, 1); // the inbox is full: when the loop has emptied it, on_drained
    fsi_store32(&loop->starved, 1);
    fsi_loop_wake(loop);
    return FSV_ERR_FULL;
}

FSI_PRIVATE fsv_result fsi_tcp_send_any(fsv_tcp tcp, const char *data, size_t len, bool keep_ptr,
                                        fsv_release_handler release, void *user)
{
    fsi_loop *loop;
    fsi_conn *conn = fsi_tcp_find(tcp, &loop);
    if (conn && fsi_loop_is_here(loop) && conn->loop) {
        if (conn->raw.over) conn = NULL; // in its on_closed
        // What this thread has posted before, between two polls, must not be overtaken.
        if (conn && len && fsi_load32(&conn->posted) == 0)
            return fsi_tcp_send(conn, data, len, keep_ptr, release, user);
    }
    fsv_result result = !conn ? fsi_tcp_gone(tcp) : !len ? FSV_OK : FSV_ERR_FULL;
    bool keep = keep_ptr && len > FSI_TCP_SMALL;
    if (conn && len) result = fsi_tcp_post(loop, conn, tcp.generation, data, len, keep, keep ? release : NULL, user);
    if ((result != FSV_OK || !keep) && release) release((void *)(uintptr_t)data, user);
    return result;
}

FSI_SELDOM void fsi_tcp_desc_complete(fsv_tcp_desc *desc, const fsv_server *server)
{
    if (desc->out_bytes_max == 0) desc->out_bytes_max = server->desc.out_bytes_max;
    if (desc->out_bytes_max > FSI_TCP_OUT_MAX) desc->out_bytes_max = FSI_TCP_OUT_MAX;
    if (desc->idle_timeout_ms == 0) desc->idle_timeout_ms = server->desc.idle_timeout_ms;
    if (desc->connect_timeout_ms == 0) desc->connect_timeout_ms = 10000;
}

FSI_SELDOM fsi_tcp *fsi_tcp_new(const fsv_server *server, const fsv_tcp_desc *desc, size_t bytes)
{
    fsi_tcp *tcp = (fsi_tcp *)fsi_alloc_zero(server, bytes);
    if (!tcp) return NULL;
    tcp->desc = *desc;
    tcp->bytes = bytes;
    fsi_tcp_desc_complete(&tcp->desc, server);
    return tcp;
}

#if FSI_CLIENT
// "1.2.3.4:80", "[::1]:80", "localhost:80" (127.0.0.1), "unix:/path".
FSI_SELDOM bool fsi_tcp_address(const char *text, fsi_sockaddr *at)
{
    uint32_t port = 0;
    if (strncmp(text, "unix:", 5) == 0) return fsi_sockaddr_unix(at, text + 5);
    if (strncmp(text, "localhost:", 10) == 0) {
        if (!fsi_sockaddr_parse(text + 9, at, &port) || at->len) return false;
        fsi_sockaddr_v4(at, 0x7f000001, port);
    } else if (!fsi_sockaddr_parse(text, at, &port))
        return false;
    return at->len && port;
}

// Gives a new connection to the loop. conns_open counts it already; if this fails, the caller undoes that.
FSI_SELDOM fsv_result fsi_tcp_connect(fsi_loop *loop, const fsi_sockaddr *to, const fsv_tcp_desc *desc, fsv_tcp *out)
{
    fsv_server *server = loop->server;
    fsi_conn *conn = fsi_dialer_get(server);
    if (!conn) return FSV_ERR_MEMORY;
    fsi_tcp_to *at = (fsi_tcp_to *)(void *)fsi_tcp_new(server, desc, sizeof(fsi_tcp_to));
    fsv_result result = FSV_ERR_MEMORY;
    if (at) {
        at->tcp.once = true;
        at->to = *to;
        memset(conn, 0, offsetof(fsi_conn, slot));
        fsi_store32(&conn->out_queued, 0);
        fsi_chan_init(&conn->chan, FSI_CHAN_CONN);
        fsi_tcp_begin(conn, &at->tcp, loop->index);
        conn->raw.connecting = true;
        out->server = server;
        out->slot = conn->slot;
        out->generation = conn->generation;
        result = fsi_loop_post(loop, fsi_msg_of(FSI_MSG_TCP_DIAL, 0, conn));
        if (result == FSV_OK) return FSV_OK;
        fsi_release(server, at, sizeof *at);
    }
    fsi_dialer_put(server, conn);
    return result;
}
#endif

// May this thread touch the loop's timers: it runs the loop, or nobody does and it may be the one that will.
FSI_PRIVATE bool fsi_loop_is_mine(fsi_loop *loop)
{
    uint32_t life = fsi_load32(&loop->server->life);
    if (fsi_loop_is_here(loop)) return true;
    return life == FSI_LIFE_NEW || (life == FSI_LIFE_POLL && fsi_load64(&loop->server->poller) == fsi_thread_self());
}

// ---------------------------------------------------------------------------------------------------------
// >>server   Completing the desc, listeners, threads, the end.
// ---------------------------------------------------------------------------------------------------------

FSI_SELDOM fsv_result fsi_desc_bad(const fsv_server *server, const char *field, const char *rule)
{
    fsi_log(server, 0, "desc", 0, "fsv_server_desc.%s %s", field, rule);
    return FSV_ERR_ARGUMENT;
}

FSI_SELDOM void fsi_desc_complete(fsv_server_desc *desc)
{
    // clang-format off
#define FSI_DEFAULT(field, value) if (desc->field == 0) desc->field = value
    FSI_DEFAULT(loops, 1);
    FSI_DEFAULT(conns_max, 65536);
    FSI_DEFAULT(files_max, 65536);
    FSI_DEFAULT(conn_requests_max, UINT32_MAX);
    FSI_DEFAULT(backlog, 4096);
    FSI_DEFAULT(head_bytes_max, 16384);
    FSI_DEFAULT(target_bytes_max, 8192);
    FSI_DEFAULT(fields_max, 100);
    FSI_DEFAULT(body_bytes_max, 1048576);
    FSI_DEFAULT(out_bytes_max, 262144);
    FSI_DEFAULT(response_fields_bytes_max, 16384);
    FSI_DEFAULT(head_timeout_ms, 10000);
    FSI_DEFAULT(idle_timeout_ms, 60000);
    FSI_DEFAULT(body_timeout_ms, 10000);
    FSI_DEFAULT(body_rate_min, 512);
    FSI_DEFAULT(send_timeout_ms, 30000);
    FSI_DEFAULT(send_rate_min, 512);
    FSI_DEFAULT(linger_ms, 1000);
    FSI_DEFAULT(turn_requests_max, 64);
    FSI_DEFAULT(inbox_max, 4096);
    FSI_DEFAULT(workers, 16);
    FSI_DEFAULT(jobs_max, 1024);
    FSI_DEFAULT(threads_max, 1024);
    FSI_DEFAULT(tokens_max, 65536);
    FSI_DEFAULT(defer_timeout_ms, 30000);
#undef FSI_DEFAULT
    // clang-format on
}

// What follows from conns_max and is not said.
FSI_SELDOM void fsi_server_share_conns(fsv_server *server)
{
    if (server->guests_asked) return;
    uint32_t half = server->desc.conns_max / 2;
    server->desc.conns_per_address_max = half ? half : 1;
}

FSI_SELDOM bool fsi_is_queue_size(uint32_t n)
{
    return n >= 2 && n <= 1u << 20 && (n & (n - 1)) == 0;
}

FSI_SELDOM fsv_result fsi_desc_check(const fsv_server *server)
{
    const fsv_server_desc *desc = &server->desc;
    if (desc->loops > 1024 && desc->loops != FSV_LOOPS_PER_CPU)
        return fsi_desc_bad(server, "loops", "must be 1 to 1024 or FSV_LOOPS_PER_CPU");
    if (desc->pin > 1) return fsi_desc_bad(server, "pin", "must be 0 or 1");
    if (desc->head_bytes_max < 256 || desc->head_bytes_max > 1048576)
        return fsi_desc_bad(server, "head_bytes_max", "must be 256 to 1048576");
    if (desc->fields_max > 10000) return fsi_desc_bad(server, "fields_max", "must be 1 to 10000");
    if (desc->conns_max > 0x7fffffff) return fsi_desc_bad(server, "conns_max", "must be below 2^31");
    if (desc->response_fields_bytes_max > 32768)
        return fsi_desc_bad(server, "response_fields_bytes_max", "must be at most 32768");
    if (!fsi_is_queue_size(desc->inbox_max))
        return fsi_desc_bad(server, "inbox_max", "must be a power of two, 2 to 2^20");
    if (!fsi_is_queue_size(desc->jobs_max))
        return fsi_desc_bad(server, "jobs_max", "must be a power of two, 2 to 2^20");
    if (desc->workers > 4096) return fsi_desc_bad(server, "workers", "must be 1 to 4096");
    if (desc->tokens_max > 1u << 24) return fsi_desc_bad(server, "tokens_max", "must be at most 2^24");
    if (desc->model > FSV_MODEL_SYNC) return fsi_desc_bad(server, "model", "must be one of fsv_model");
    if (desc->model && (desc->loops != 1 || desc->pin))
        return fsi_desc_bad(server, "model", "other than FSV_MODEL_EVENT has one loop that is not pinned");
    if (desc->threads_max > 65536) return fsi_desc_bad(server, "threads_max", "must be 1 to 65536");
    if (desc->blocking > 1) return fsi_desc_bad(server, "blocking", "must be 0 or 1");
    if (desc->jobs_wait > 1) return fsi_desc_bad(server, "jobs_wait", "must be 0 or 1");
    if (desc->queue_per_worker > 1) return fsi_desc_bad(server, "queue_per_worker", "must be 0 or 1");
    if (desc->body_bytes_max > SIZE_MAX / 4)
        return fsi_desc_bad(server, "body_bytes_max", "is more than memory can hold");
    if (!desc->alloc != !desc->release) return fsi_desc_bad(server, "alloc", "and release come both or not at all");
    return FSV_OK;
}

// Of folders, how many large files are open at a time, and how many of those the loops keep: at most half.
FSI_SELDOM void fsi_server_share_files(fsv_server *server, uint64_t most)
{
    if (most > server->desc.files_max) most = server->desc.files_max;
    uint64_t each = most / 2 / fsv_server_loops(server);
    server->files_max = (uint32_t)most;
    server->shelf_files = each < FSI_SHELF_FILES ? (uint32_t)each : FSI_SHELF_FILES;
}

// conns_max cannot exceed what the descriptor limit leaves. Folders have a part of that for large files: each that is
// being sent is open, and without a bound of their own slow readers of many files would leave none for connections.
FSI_SELDOM void fsi_server_clamp_conns(fsv_server *server)
{
    uint64_t reserve = 32 + FSI_SPARE_CONNS, room, limit = fsi_sock_limit();
    fsi_server_share_files(server, limit);
    if (limit == UINT64_MAX) return;
    uint64_t files = limit / 4 < server->desc.files_max ? limit / 4 : server->desc.files_max;
    if (!server->folders) files = 0;
    uint64_t workers = server->folders ? server->desc.workers : 0;
    reserve += workers < limit / 8 ? workers : limit / 8;
    uint64_t threads = limit > 256 ? (limit - 128) / 4 : 32; // each has two of its own, and a connection
    if (server->desc.model == FSV_MODEL_THREAD && server->desc.threads_max > threads)
        server->desc.threads_max = (uint32_t)threads;
    reserve += (uint64_t)fsv_server_loops(server) * (server->desc.model ? 3 : 8);
    room = limit > reserve + files + 1 ? limit - reserve - files : 1;
    if (server->desc.conns_max > room) {
        fsi_log(server, server->conns_asked ? 1 : 2, "conns_clamped", 0,
                "conns_max is %u instead of %u: the descriptor limit is %llu%s", (uint32_t)room, server->desc.conns_max,
                (unsigned long long)limit, files ? ", and files_max keeps a part of it" : "");
        server->desc.conns_max = (uint32_t)room;
    }
    reserve += server->desc.conns_max;
    fsi_server_share_files(server, limit > reserve ? limit - reserve : 1);
}

// A server that was polled may end with requests away: their connections close, handlers that run are waited for.
FSI_SELDOM void fsi_server_bring_home(fsv_server *server)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        fsi_loop *loop = &server->loops[i];
        loop->stopping = true;
        fsi_store64(&loop->thread, fsi_thread_self()); // callbacks find it as they know it
        if (loop->wheel.slots[0][0].next) fsi_loop_close_conns(loop, true, true);
    }
    fsi_pool_stop(server);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        fsi_pool_retry(&server->loops[i]); // those whose connection has gone come home
        if (server->loops[i].inbox.cells) fsi_loop_inbox(&server->loops[i]);
        fsi_store64(&server->loops[i].thread, 0);
    }
    fsi_pool_free(server);
}

FSI_SELDOM void fsi_server_release(fsv_server *server)
{
    if (server->loops) {
        fsi_server_close_listeners(server);
        fsi_server_bring_home(server);
        fsi_crew_free(server);
        for (uint32_t i = 0; i < server->loop_count; i++) fsi_loop_free(&server->loops[i]);
        fsi_release(server, server->loops, sizeof(fsi_loop) * server->loop_count);
    }
    fsi_folders_free(server);
    fsi_guests_free(server);
    for (uint32_t i = 0; i < server->slab_count; i++)
        fsi_release(server, server->slabs[i], sizeof(fsi_conn) * (size_t)FSI_SLAB_CONNS);
    fsi_release(server, server->slabs, sizeof(void *) * server->slab_max);
    for (uint32_t i = 0; i < server->token_slab_count; i++)
        fsi_release(server, server->token_slabs[i], sizeof(fsi_token) * (size_t)FSI_SLAB_TOKENS);
    fsi_release(server, server->token_slabs, sizeof(void *) * server->token_slab_max);
    fsi_signal_free(&server->token_room);
    fsi_lock_free(&server->token_lock);
    fsi_release(server, server->threads, sizeof(fsi_thread) * server->loop_count);
    fsi_release(server, server->cpus, sizeof(fsi_cpu) * FSI_CPUS_MAX);
    fsi_node_free(server, server->root);
    for (fsi_tcp *tcp = server->tcps, *next; tcp; tcp = next) {
        next = tcp->next;
        fsi_release(server, tcp, tcp->bytes);
    }
    fsi_lock_free(&server->lock);
    if (server->has_sockets) fsi_sock_end();
    fsv_server_desc desc = server->desc; // the allocator outlives its struct
    if (desc.release)
        desc.release(server, sizeof *server, desc.alloc_user);
    else
        free(server);
}

FSI_SELDOM fsv_result fsi_server_build(fsv_server *server)
{
    fsv_server_desc *desc = &server->desc;
    server->loop_count = desc->loops == FSV_LOOPS_PER_CPU ? fsi_cpu_usable() : desc->loops;
    if (server->loop_count > 1024) server->loop_count = 1024;
    desc->loops = server->loop_count;
    if (desc->pin && !FSI_LOCALITY) return FSV_ERR_UNSUPPORTED;
    fsi_server_clamp_conns(server);
    fsi_server_share_conns(server);
    server->slab_max = (uint32_t)(((uint64_t)desc->conns_max + FSI_SPARE_CONNS +
                                   (uint64_t)fsv_server_loops(server) * 3 * FSI_SLAB_CONNS) /
                                      FSI_SLAB_CONNS +
                                  3);
    server->loops = (fsi_loop *)fsi_alloc_zero(server, sizeof(fsi_loop) * server->loop_count);
    if (!server->loops) return FSV_ERR_MEMORY;
    for (uint32_t i = 0; i < server->loop_count; i++) server->loops[i].io.fd = server->loops[i].io.wake.fd = -1;
    server->threads = (fsi_thread *)fsi_alloc_zero(server, sizeof(fsi_thread) * server->loop_count);
    server->cpus = (fsi_cpu *)fsi_alloc_zero(server, sizeof(fsi_cpu) * FSI_CPUS_MAX);
    server->slabs = (void **)fsi_alloc_zero(server, sizeof(void *) * server->slab_max);
    server->token_slab_max = (desc->tokens_max + FSI_SLAB_TOKENS - 1) / FSI_SLAB_TOKENS;
    server->token_slabs = (fsi_token **)fsi_alloc_zero(server, sizeof(void *) * server->token_slab_max);
    server->root = fsi_node_new(server, "", 0);
    if (!server->threads || !server->cpus || !server->slabs || !server->token_slabs || !server->root)
        return FSV_ERR_MEMORY;
    server->has_sockets = fsi_sock_begin();
    if (!server->has_sockets) return FSV_ERR_SYSTEM;
    if (!fsi_lock_init(&server->lock) || !fsi_lock_init(&server->token_lock) || !fsi_signal_init(&server->token_room))
        return FSV_ERR_SYSTEM;
    if (!fsi_guests_init(server)) return FSV_ERR_SYSTEM;
    if (desc->model == FSV_MODEL_THREAD) {
        server->crew.all = (fsi_server_thread **)fsi_alloc_zero(server, sizeof(void *) * desc->threads_max);
        if (!server->crew.all) return FSV_ERR_MEMORY;
        if (!fsi_lock_init(&server->crew.lock)) return FSV_ERR_SYSTEM;
    }
    if (desc->pin) server->cpu_count = fsi_cpus(server->cpus);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (!fsi_loop_init(&server->loops[i], server, i)) return FSV_ERR_MEMORY;
        if (server->cpu_count) server->loops[i].cpu = server->cpus[i % server->cpu_count].number;
    }
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (fsi_io_init(&server->loops[i].io, &server->loops[i])) continue;
        fsi_log(server, 0, "io_init", fsi_os_error(), "no event queue for loop %u", i);
        return FSV_ERR_SYSTEM;
    }
    server->fallback.handler = desc->handler;
    server->fallback.user = desc->user;
    server->fallback.method = FSI_METHOD_ANY;
    server->fallback.blocking = desc->blocking && desc->handler && !desc->model;
    server->has_blocking = server->fallback.blocking || desc->model == FSV_MODEL_POOL_CONN;
    return FSV_OK;
}

// Opens one address for every loop. want: port 0 is filled in by the system. Returns FSV_OK or an error; nothing
// stays open then.
FSI_SELDOM fsv_result fsi_server_listen_at(fsv_server *server, fsi_sockaddr *want, const char *path, bool v6_only,
                                           bool with_others)
{
    uint32_t index = server->address_count, opened = 0;
    fsi_address *address = &server->addresses[index];
    fsi_os_error_set(0);
    if (index == FSI_ADDRESSES_MAX) return FSV_ERR_LIMIT;
    memset(address, 0, sizeof *address);
    address->shared = path != NULL;
    for (uint32_t k = 0; k < server->loop_count; k++) {
        fsi_listener *listener = &server->loops[k].listeners[index];
        fsi_share share = with_others                                      ? FSI_SHARE_ALL
                          : FSI_IO_ONE_ACCEPTOR || server->loop_count == 1 ? FSI_SHARE_NONE
                          : k                                              ? FSI_SHARE_MEMBER
                                                                           : FSI_SHARE_FIRST;
        if (FSI_IO_ONE_ACCEPTOR && k) break;
        if (address->shared && k) {
            listener->chan.fd = server->loops[0].listeners[index].chan.fd;
            continue;
        }
        int fd = fsi_sock_listen(want, address->shared ? FSI_SHARE_NONE : share, v6_only, server->desc.backlog);
        if (fd < 0 && k == 0 && !with_others && fsi_sock_result(-fd) == FSV_ERR_UNSUPPORTED) { // one socket for all
            address->shared = true;
            fd = fsi_sock_listen(want, FSI_SHARE_NONE, v6_only, server->desc.backlog);
        }
        if (fd < 0) {
            while (opened-- > 0) {
                fsi_sock_close(server->loops[opened].listeners[index].chan.fd);
                server->loops[opened].listeners[index].chan.fd = -1;
            }
            fsi_os_error_set(-fd);
            return fsi_sock_result(-fd);
        }
        listener->chan.fd = fd;
        opened++;
        if (k == 0) (void)fsi_sock_name(fd, want); // the port that the system picked is the port of the whole group
    }
    if (path) {
        (void)snprintf(address->text, sizeof address->text, "unix:%s", path);
        address->unlink = path[0] != '@';
    } else {
        (void)fsi_sockaddr_text(want, address->text, sizeof address->text);
        address->port = fsi_sockaddr_port(want);
        server->is_public = server->is_public || fsi_guest_key(want) || fsi_sockaddr_is_any(want);
    }
    if (server->desc.pin && server->loop_count > 1 && !address->shared &&
        !fsi_sock_steer(server->loops[0].listeners[index].chan.fd, server->cpus, server->cpu_count, server->loop_count))
        fsi_log(server, 2, "steering_off", fsi_os_error(), "connections are spread over the loops by hash");
    fsi_store32(&server->address_count, index + 1);
    return FSV_OK;
}

// 127.0.0.1 and [::1] on one port. Without IPv6, or with the port taken there by a system's choice for v4, it tries
// again or goes without.
FSI_SELDOM fsv_result fsi_server_listen_localhost(fsv_server *server, uint32_t port, bool with_others)
{
    fsv_result result = FSV_ERR_IN_USE;
    for (int tries = 0; tries < 16; tries++) {
        fsi_sockaddr v4, v6;
        struct in6_addr one;
        fsi_sockaddr_v4(&v4, 0x7f000001, port);
        result = fsi_server_listen_at(server, &v4, NULL, true, with_others);
        if (result != FSV_OK) return result;
        memset(&one, 0, sizeof one);
        one.s6_addr[15] = 1;
        fsi_sockaddr_v6(&v6, &one, fsi_sockaddr_port(&v4));
        result = fsi_server_listen_at(server, &v6, NULL, true, with_others);
        if (result == FSV_OK || result == FSV_ERR_ADDRESS) return FSV_OK; // ADDRESS: no IPv6 here
        fsi_server_close_address(server, server->address_count - 1);
        fsi_store32(&server->address_count, server->address_count - 1);
        if (port) return result;
    }
    return result;
}

#if FSI_UNIX
FSI_SELDOM fsv_result fsi_server_listen_unix(fsv_server *server, const char *path)
{
    fsi_sockaddr at;
    if (!fsi_sockaddr_unix(&at, path)) return FSV_ERR_ADDRESS;
    if (path[0] != '@') fsi_unix_clear(&at, path);
    return fsi_server_listen_at(server, &at, path, false, false);
}
#else
FSI_SELDOM fsv_result fsi_server_listen_unix(fsv_server *server, const char *path)
{
    (void)server;
    (void)path;
    return FSV_ERR_UNSUPPORTED;
}
#endif

FSI_SELDOM fsv_result fsi_server_listen_text(fsv_server *server, const char *text, bool with_others)
{
    fsi_sockaddr at;
    struct in6_addr any;
    uint32_t port;
    fsv_result result;
    if (strncmp(text, "localhost:", 10) == 0) {
        if (!fsi_sockaddr_parse(text + 10, &at, &port) || at.len || strchr(text + 10, ':')) return FSV_ERR_ADDRESS;
        return fsi_server_listen_localhost(server, port, with_others);
    }
    if (strncmp(text, "unix:", 5) == 0) return fsi_server_listen_unix(server, text + 5);
    if (!fsi_sockaddr_parse(text, &at, &port)) return FSV_ERR_ADDRESS;
    if (at.len) return fsi_server_listen_at(server, &at, NULL, true, with_others);
    memset(&any, 0, sizeof any);
    fsi_sockaddr_v6(&at, &any, port); // every address: dual stack, or IPv4 alone
    result = fsi_server_listen_at(server, &at, NULL, false, with_others);
    if (result == FSV_OK || result == FSV_ERR_IN_USE || result == FSV_ERR_PERMISSION || result == FSV_ERR_MEMORY)
        return result;
    fsi_sockaddr_v4(&at, 0, port);
    return fsi_server_listen_at(server, &at, NULL, false, with_others);
}

// Body of a loop's thread.
FSI_PRIVATE void fsi_loop_main(void *arg)
{
    fsi_loop *loop = (fsi_loop *)arg;
    fsi_store64(&loop->thread, fsi_thread_self());
    if (loop->cpu >= 0 && !fsi_affinity_pin(loop->cpu))
        fsi_log(loop->server, 1, "pin_failed", fsi_os_error(), "loop %u is not pinned to CPU %d", loop->index,
                loop->cpu);
    fsi_loop_clock(loop);
    fsi_loop_listen(loop);
    while (fsi_loop_turn(loop, UINT64_MAX)) continue;
    fsi_store64(&loop->thread, 0);
}

// Waits for the loops, and then for the workers: no job is left then.
FSI_SELDOM void fsi_server_join(fsv_server *server)
{
    while (server->thread_count > 0) fsi_thread_join(&server->threads[--server->thread_count]);
    fsi_pool_stop(server);
    fsi_crew_join(server);
}

// Asks every loop to stop; async-signal-safe.
FSI_SELDOM void fsi_server_stop(fsv_server *server, uint32_t drain_ms)
{
    uint64_t seen = fsi_load64(&server->stop_drain_ms);
    while (drain_ms < seen && !fsi_cas64(&server->stop_drain_ms, &seen, drain_ms)) continue;
    fsi_store32(&server->stop, 1);
    fsi_fence(); // a thread that was just made looks at it before it waits
    fsi_server_wake_all(server);
}

// A loop that will not run: ends what was sent to it, such as connects, which the other loops would wait for, and lets
// nothing more in.
FSI_RARE void fsi_loop_never_runs(fsi_loop *loop)
{
    loop->stopping = loop->ending = true;
    (void)fsi_add32(&loop->posters, FSI_LOOP_ENDED);
    while (fsi_load32(&loop->posters) != FSI_LOOP_ENDED) continue; // who is in the middle of a post is done soon
    fsi_store64(&loop->thread, fsi_thread_self()); // callbacks find it as they know it; nobody gives it a socket now
    (void)fsi_loop_end(loop);
    fsi_store64(&loop->thread, 0);
}

// Starts the workers, and threads for loops first .. loop_count-1. False: none of them runs.
FSI_SELDOM bool fsi_server_spawn(fsv_server *server, uint32_t first)
{
    if (fsi_pool_start(server) != FSV_OK) return false;
    for (uint32_t i = first; i < server->loop_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "fsv-loop-%u", i % 10000);
        if (fsi_thread_start(&server->threads[server->thread_count], fsi_loop_main, &server->loops[i], name)) {
            server->thread_count++;
            continue;
        }
        fsi_log(server, 0, "thread_failed", fsi_os_error(), "no thread for loop %u", i);
        // The missing loops count as drained, and this thread stands in for them, so that those that run can end.
        fsi_add32(&server->loops_drained, server->loop_count - server->thread_count);
        fsi_store32(&server->listeners_closed, 1);
        fsi_server_stop(server, 0);
        for (uint32_t k = 0; k < server->loop_count; k++)
            if (k < first || k >= i) fsi_loop_never_runs(&server->loops[k]);
        fsi_server_join(server);
        return false;
    }
    return true;
}

// A thread of the server's own, that is, inside a handler?
FSI_PRIVATE bool fsi_server_is_mine(fsv_server *server)
{
    for (uint32_t i = 0; i < fsi_pool_size(server); i++) {
        const fsi_worker *worker = &server->pool.workers[i];
        if (fsi_load64(&worker->thread_self) == fsi_thread_self()) return true;
    }
    const fsi_loop *loop;
    for (uint32_t i = 0; (loop = fsi_server_loop(server, i)) != NULL; i++)
        if (fsi_loop_is_here(loop)) return true;
    return false;
}

FSI_PRIVATE bool fsi_server_enter(fsv_server *server, fsi_life life)
{
    uint32_t fresh = FSI_LIFE_NEW;
    return fsi_cas32(&server->life, &fresh, (uint32_t)life);
}

// ---------------------------------------------------------------------------------------------------------
// >>public   Thin: check, then call.
// ---------------------------------------------------------------------------------------------------------

FSV_API FSI_SMALL const char *fsv_result_text(fsv_result result)
{
    switch (result) {
#define FSV_X(name, value, text) \
    case name: return text;
        FSV_RESULTS(FSV_X)
#undef FSV_X
    default: return "unknown result";
    }
}

FSV_API FSI_SMALL const char *fsv_version(void)
{
    return FSV_VERSION;
}

FSV_API FSI_SMALL uint32_t fsv_cpu_count(void)
{
    return fsi_cpu_usable();
}

FSV_API FSI_SMALL fsv_result fsv_server_create(fsv_server **server, const fsv_server_desc *desc)
{
    fsv_server_desc full;
    if (!server) return FSV_ERR_ARGUMENT;
    *server = NULL;
    memset(&full, 0, sizeof full);
    if (desc) full = *desc;
    fsi_desc_complete(&full);
    bool own = full.alloc && full.release;
    fsv_server *made = (fsv_server *)(own ? full.alloc(sizeof *made, full.alloc_user) : malloc(sizeof *made));
    if (!made) return FSV_ERR_MEMORY;
    memset(made, 0, sizeof *made);
    made->desc = full;
    made->stop_drain_ms = UINT64_MAX;
    made->conns_asked = desc && desc->conns_max;
    made->guests_asked = desc && desc->conns_per_address_max;
    fsv_result result = fsi_desc_check(made);
    if (result != FSV_OK && !own) made->desc.release = NULL;
    if (result == FSV_OK) result = fsi_server_build(made);
    if (result != FSV_OK) {
        fsi_server_release(made);
        return result;
    }
    *server = made;
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_server_free(fsv_server *server)
{
    if (!server) return FSV_OK;
    if (fsi_server_is_mine(server) || fsi_load32(&server->inside)) return FSV_ERR_STATE;
    if (server->thread_count) {
        fsv_server_stop(server, 0);
        fsi_server_join(server);
    }
    fsi_lock_take(&server->token_lock); // who ended the last token may not have given it yet
    uint32_t held = fsi_load32(&server->tokens_held);
    fsi_lock_give(&server->token_lock);
    if (held) return FSV_ERR_STATE;
    fsi_server_release(server);
    return FSV_OK;
}

FSI_SELDOM fsv_result fsi_listen_bad(const fsv_server *server, const char *address, fsv_result result, int64_t error,
                                     const char *why)
{
    fsi_log(server, 0, "listen", error, "cannot listen on %s: %s", address, why);
    return result;
}

FSI_SELDOM fsv_result fsi_server_listen_checked(fsv_server *server, const char *address, bool with_others)
{
    if (!server || !address) return FSV_ERR_ARGUMENT;
    if (fsi_load32(&server->life) != FSI_LIFE_NEW) return FSV_ERR_STATE;
    fsv_result result = fsi_server_listen_text(server, address, with_others);
    bool system = result == FSV_ERR_SYSTEM || result == FSV_ERR_IN_USE || result == FSV_ERR_PERMISSION;
    return result == FSV_OK
               ? result
               : fsi_listen_bad(server, address, result, system ? fsi_os_error() : 0, fsv_result_text(result));
}

FSV_API FSI_SMALL fsv_result fsv_server_listen(fsv_server *server, const char *address)
{
    return fsi_server_listen_checked(server, address, false);
}

FSV_API FSI_SMALL fsv_result fsv_server_listen_shared(fsv_server *server, const char *address)
{
    return fsi_server_listen_checked(server, address, true);
}

FSV_API FSI_SMALL uint32_t fsv_server_listeners(const fsv_server *server)
{
    return server ? fsi_load32(&server->address_count) : 0;
}

FSV_API FSI_SMALL uint32_t fsv_server_port(const fsv_server *server, uint32_t listener)
{
    return listener < fsv_server_listeners(server) ? server->addresses[listener].port : 0;
}

// Copies a text out, terminated. Its length, or FSV_ERR_LIMIT.
FSI_SELDOM int64_t fsi_copy_out(char *out, size_t size, const char *text, size_t len)
{
    if (!out || size <= len) return FSV_ERR_LIMIT;
    memcpy(out, text, len);
    out[len] = 0;
    return (int64_t)len;
}

FSV_API FSI_SMALL int64_t fsv_server_address(const fsv_server *server, uint32_t listener, char *out, size_t size)
{
    if (listener >= fsv_server_listeners(server)) return FSV_ERR_NOT_FOUND;
    const char *text = server->addresses[listener].text;
    return fsi_copy_out(out, size, text, strlen(text));
}

FSV_API FSI_SMALL fsv_result fsv_server_run(fsv_server *server)
{
    if (!server) return FSV_ERR_ARGUMENT;
    if (!fsi_server_enter(server, FSI_LIFE_RUN)) return FSV_ERR_STATE;
    fsi_store32(&server->inside, 1);
    fsi_affinity before = fsi_affinity_get();
    server->loops[0].borrowed = true;
    bool spawned = fsi_server_spawn(server, 1);
    if (spawned) {
        fsi_loop_main(&server->loops[0]);
        fsi_server_join(server);
        if (server->loops[0].cpu >= 0) fsi_affinity_restore(&before);
    }
    fsi_server_close_listeners(server);
    fsi_store32(&server->life, FSI_LIFE_ENDED);
    fsi_store32(&server->inside, 0);
    return spawned ? FSV_OK : FSV_ERR_SYSTEM;
}

FSV_API FSI_SMALL fsv_result fsv_server_start(fsv_server *server)
{
    if (!server) return FSV_ERR_ARGUMENT;
    if (!fsi_server_enter(server, FSI_LIFE_START)) return FSV_ERR_STATE;
    if (fsi_server_spawn(server, 0)) return FSV_OK;
    fsi_store32(&server->life, FSI_LIFE_ENDED);
    return FSV_ERR_SYSTEM;
}

FSV_API FSI_SMALL fsv_result fsv_server_wait(fsv_server *server)
{
    if (!server) return FSV_ERR_ARGUMENT;
    if (fsi_load32(&server->life) != FSI_LIFE_START || fsi_server_is_mine(server)) return FSV_ERR_STATE;
    if (fsi_swap32(&server->inside, 1)) return FSV_ERR_STATE; // another thread waits
    fsi_server_join(server);
    fsi_server_close_listeners(server);
    fsi_store32(&server->life, FSI_LIFE_ENDED);
    fsi_store32(&server->inside, 0);
    return FSV_OK;
}

FSV_API fsv_result fsv_server_poll(fsv_server *server, uint32_t timeout_ms)
{
    if (!server) return FSV_ERR_ARGUMENT;
    if (server->loop_count != 1 || server->desc.pin || server->desc.model) return FSV_ERR_STATE;
    bool first = fsi_server_enter(server, FSI_LIFE_POLL);
    uint32_t life = fsi_load32(&server->life);
    if (life == FSI_LIFE_ENDED) return FSV_ERR_CLOSED;
    if (life != FSI_LIFE_POLL || fsi_swap32(&server->inside, 1)) return FSV_ERR_STATE;
    fsi_loop *loop = &server->loops[0];
    if (first && fsi_pool_start(server) != FSV_OK) {
        fsi_store32(&server->life, FSI_LIFE_ENDED);
        fsi_store32(&server->inside, 0);
        return FSV_ERR_SYSTEM;
    }
    loop->borrowed = true;
    fsi_loop_clock(loop);
    if (first) fsi_loop_listen(loop);
    fsi_store64(&loop->thread, fsi_thread_self());
    fsi_store64(&server->poller, fsi_thread_self());
    bool lives = fsi_loop_turn(loop, timeout_ms == UINT32_MAX ? UINT64_MAX : (uint64_t)timeout_ms * 1000);
    fsi_store64(&loop->thread, 0);
    if (!lives) {
        fsi_pool_stop(server);
        fsi_server_close_listeners(server);
        fsi_store32(&server->life, FSI_LIFE_ENDED);
    }
    fsi_store32(&server->inside, 0);
    return lives ? FSV_OK : FSV_ERR_CLOSED;
}

FSV_API FSI_SMALL int64_t fsv_server_descriptor(const fsv_server *server)
{
    if (!server) return FSV_ERR_ARGUMENT;
    return server->loops[0].io.fd >= 0 ? (int64_t)server->loops[0].io.fd : (int64_t)FSV_ERR_UNSUPPORTED;
}

FSV_API uint32_t fsv_server_poll_wait_ms(const fsv_server *server)
{
    if (!server) return UINT32_MAX;
    const fsi_loop *loop = &server->loops[0];
    uint64_t now = fsi_clock_ns() / 1000000, before = loop->now_ms;
    if (fsi_load32(&server->life) == FSI_LIFE_NEW) return 0;
    uint64_t wait = fsi_loop_wait_us((fsi_loop *)(uintptr_t)loop);
    if (wait == UINT64_MAX) return UINT32_MAX;
    wait = (wait + 999) / 1000;
    uint64_t gone = now > before ? now - before : 0;
    wait = wait > gone ? wait - gone : 0;
    return wait < UINT32_MAX - 1 ? (uint32_t)wait : UINT32_MAX - 1;
}

FSV_API FSI_SMALL void fsv_server_stop(fsv_server *server, uint32_t drain_ms)
{
    if (server) fsi_server_stop(server, drain_ms);
}

FSV_API FSI_SMALL uint32_t fsv_server_loops(const fsv_server *server)
{
    if (!server) return 0;
    return server->loop_count + (server->desc.model == FSV_MODEL_POOL_CONN ? server->desc.workers
                                 : server->desc.model == FSV_MODEL_THREAD  ? server->desc.threads_max
                                                                           : 0);
}

FSV_API FSI_SMALL fsv_result fsv_server_stats(const fsv_server *server, uint32_t loop, fsv_stats *stats)
{
    uint64_t sum[sizeof(fsv_stats) / sizeof(uint64_t)];
    FSI_STATIC_ASSERT(sizeof sum == sizeof(fsv_stats), "fsv_stats is counters only");
    if (!server || !stats) return FSV_ERR_ARGUMENT;
    if (loop != UINT32_MAX && loop >= fsv_server_loops(server)) return FSV_ERR_NOT_FOUND;
    memset(sum, 0, sizeof sum);
    const fsi_loop *at;
    for (uint32_t i = 0; (at = fsi_server_loop((fsv_server *)(uintptr_t)server, i)) != NULL; i++)
        for (size_t k = 0; k < sizeof sum / sizeof sum[0]; k++)
            if (loop == UINT32_MAX || loop == i) sum[k] += fsi_peek64(&at->counters.v[k]);
    memcpy(stats, sum, sizeof sum);
    for (uint32_t i = 0; loop == UINT32_MAX && i < fsi_pool_size(server); i++) { // workers belong to no loop
        stats->jobs += fsi_peek64(&server->pool.workers[i].jobs);
        stats->job_wait_us += fsi_peek64(&server->pool.workers[i].wait_us);
        stats->job_run_us += fsi_peek64(&server->pool.workers[i].run_us);
    }
    if (loop == UINT32_MAX) stats->deferred = fsi_peek64(&server->deferred);
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_server_pool_stats(const fsv_server *server, fsv_pool_stats *stats)
{
    if (!server || !stats) return FSV_ERR_ARGUMENT;
    memset(stats, 0, sizeof *stats);
    stats->workers = fsi_pool_size(server);
    for (uint32_t i = 0; stats->workers && i < server->pool.lane_count; i++) {
        stats->idle += fsi_load32(&server->pool.lanes[i].idle_count);
        stats->queued += fsi_queue_count(&server->pool.lanes[i].queue);
    }
    stats->tokens = fsi_load32(&server->tokens_held);
    return FSV_OK;
}

// ---- routes

FSI_SELDOM fsv_result fsi_route_bad(const fsv_server *server, const fsv_route_desc *desc, const char *why)
{
    fsi_log(server, 0, "route", 0, "route %s %s: %s", desc->method ? desc->method : "?",
            desc->pattern ? desc->pattern : "?", why);
    return FSV_ERR_ARGUMENT;
}

// Index of the route's method, made for one that is not known yet. False: malformed, or too many.
FSI_SELDOM bool fsi_route_method(fsv_server *server, const char *text, uint8_t *method)
{
    size_t len = strlen(text);
    if (len == 1 && *text == '*') {
        *method = FSI_METHOD_ANY;
        return true;
    }
    if (len == 0 || len >= FSI_OTHER_METHOD_BYTES || !fsi_field_is_clean(text, len, "", 0)) return false;
    *method = fsi_read_method(text, len);
    if (*method == FSI_METHOD_OTHER) *method = fsi_method_other(server, text, len);
    if (*method == FSI_CONNECT) return false;
    if (*method != FSI_METHOD_OTHER) return true;
    if (server->other_method_count == FSI_OTHER_METHODS_MAX) return false;
    memcpy(server->other_methods[server->other_method_count], text, len + 1);
    *method = (uint8_t)(FSI_METHODS + server->other_method_count++);
    return true;
}

FSV_API FSI_SMALL fsv_result fsv_server_route_add(fsv_server *server, const fsv_route_desc *desc)
{
    const char *segment, *slash;
    uint8_t method;
    if (!server || !desc) return FSV_ERR_ARGUMENT;
    if (fsi_load32(&server->life) != FSI_LIFE_NEW) return FSV_ERR_STATE;
    if (!desc->method || !desc->handler || !desc->pattern)
        return fsi_route_bad(server, desc, "method, pattern and handler are required");
    if (desc->blocking > 1 || (desc->blocking && (desc->on_body || desc->on_room)))
        return fsi_route_bad(server, desc, "blocking is 0 or 1, and not with on_body or on_room");
    if (!desc->on_body && desc->body_bytes_max > SIZE_MAX / 4) // a body that is collected: see fsi_desc_check
        return fsi_route_bad(server, desc, "body_bytes_max is more than memory can hold");
    if (desc->pattern[0] != '/') return fsi_route_bad(server, desc, "the pattern must begin with a slash");
    if (!fsi_route_method(server, desc->method, &method))
        return fsi_route_bad(server, desc, "the method is malformed, CONNECT, or one too many beside RFC 9110's");
    size_t pattern_len = strlen(desc->pattern);
    fsi_route *route = (fsi_route *)fsi_alloc_zero(server, sizeof(fsi_route) + pattern_len + 1);
    if (!route) return FSV_ERR_MEMORY;
    route->bytes = sizeof(fsi_route) + pattern_len + 1;
    char *names = (char *)(route + 1); // the pattern again, cut into its parameters' names
    fsi_node *node = server->root;
    fsv_result result = FSV_OK;
    for (segment = desc->pattern + 1; node && result == FSV_OK; segment = slash + 1) {
        slash = strchr(segment, '/');
        size_t len = slash ? (size_t)(slash - segment) : strlen(segment);
        bool named = len && segment[0] == ':', rest = len == 1 && segment[0] == '*';
        if (rest && slash)
            result = fsi_route_bad(server, desc, "\"*\" must be the last segment");
        else if (named && len == 1)
            result = fsi_route_bad(server, desc, "a parameter needs a name");
        else if ((named || rest) && route->param_count == FSI_PARAMS_MAX)
            result = fsi_route_bad(server, desc, "there are more than 8 parameters");
        if (result != FSV_OK) break;
        if (named || rest) {
            size_t from = named ? 1 : 0;
            memcpy(names, segment + from, len - from);
            route->param_names[route->param_count++] = names;
            names += len - from;
            *names++ = 0;
        }
        node = fsi_node_child(server, node, segment, len);
        if (!slash) break;
    }
    if (!node) result = FSV_ERR_MEMORY;
    if (result == FSV_OK) {
        for (const fsi_route *other = node->routes; other; other = other->next)
            if (other->method == method) result = FSV_ERR_STATE;
        if (result != FSV_OK) (void)fsi_route_bad(server, desc, "there is such a route already");
    }
    if (result != FSV_OK) {
        fsi_release(server, route, route->bytes);
        return result;
    }
    route->method = method;
    route->handler = desc->handler;
    route->on_body = desc->on_body;
    route->on_room = desc->on_room;
    route->on_close = desc->on_close;
    route->user = desc->user;
    route->body_bytes_max = desc->body_bytes_max;
    route->blocking =
        !server->desc.model && (desc->blocking || (server->desc.blocking && !desc->on_body && !desc->on_room));
    server->has_blocking = server->has_blocking || route->blocking;
    route->next = node->routes;
    node->routes = route;
    server->methods_used |= fsi_route_methods(route);
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_server_route(fsv_server *server, const char *method, const char *pattern,
                                              fsv_handler handler, void *user)
{
    fsv_route_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.method = method;
    desc.pattern = pattern;
    desc.handler = handler;
    desc.user = user;
    return fsv_server_route_add(server, &desc);
}

// ---- request

FSV_API fsv_str fsv_request_method(const fsv_request *request)
{
    return fsi_view(request->base + request->head.skipped, request->head.method_len);
}

FSV_API fsv_str fsv_request_target(const fsv_request *request)
{
    return fsi_view(request->base + request->head.target, request->head.target_len);
}

FSV_API fsv_str fsv_request_path(const fsv_request *request)
{
    return fsi_view(request->path, request->path_len);
}

FSV_API fsv_str fsv_request_query(const fsv_request *request)
{
    return fsi_view(request->base + request->head.query, request->head.query_len);
}

FSV_API fsv_str fsv_request_host(const fsv_request *request)
{
    return fsi_view(request->base + request->head.host, request->head.host_len);
}

FSV_API fsv_str fsv_request_body(const fsv_request *request)
{
    return fsi_view(request->body, request->body_len);
}

FSV_API bool fsv_request_has_body(const fsv_request *request)
{
    return request->head.has_length || request->head.chunked;
}

FSV_API uint64_t fsv_request_body_length(const fsv_request *request)
{
    return request->head.chunked ? FSV_LENGTH_UNKNOWN : request->head.has_length ? request->head.content_length : 0;
}

FSV_API uint32_t fsv_request_version(const fsv_request *request)
{
    return 10u + request->head.minor;
}

FSV_API fsv_server *fsv_request_server(const fsv_request *request)
{
    return request->loop->server;
}

FSV_API bool fsv_request_field(const fsv_request *request, const char *name, fsv_str *value)
{
    size_t len = strlen(name);
    for (uint32_t i = 0; i < request->head.field_count; i++) {
        const fsi_field *field = &request->fields[i];
        if (field->name_len != len || !fsi_same_nocase(request->base + field->name, name, len)) continue;
        *value = fsi_view(request->base + field->value, field->value_len);
        return true;
    }
    *value = fsi_view("", 0);
    return false;
}

FSV_API uint32_t fsv_request_field_count(const fsv_request *request)
{
    return request->head.field_count;
}

FSV_API bool fsv_request_field_at(const fsv_request *request, uint32_t index, fsv_str *name, fsv_str *value)
{
    if (index >= request->head.field_count) return false;
    const fsi_field *field = &request->fields[index];
    *name = fsi_view(request->base + field->name, field->name_len);
    *value = fsi_view(request->base + field->value, field->value_len);
    return true;
}

FSV_API fsv_str fsv_request_param(const fsv_request *request, const char *name)
{
    if (request->route)
        for (uint32_t i = 0; i < request->route->param_count; i++)
            if (strcmp(request->route->param_names[i], name) == 0)
                return fsi_view(request->path + request->param_at[i], request->param_len[i]);
    return fsi_view("", 0);
}

FSV_API int64_t fsv_request_query_value(const fsv_request *request, const char *name, char *out, size_t size)
{
    const char *at = request->base + request->head.query, *end = at + request->head.query_len;
    size_t name_len = strlen(name);
    char plain[256];
    for (; at < end; at++) {
        const char *amp = (const char *)memchr(at, '&', (size_t)(end - at)), *stop = amp ? amp : end;
        const char *equals = (const char *)memchr(at, '=', (size_t)(stop - at)), *key_end = equals ? equals : stop;
        size_t key_len = (size_t)(key_end - at);
        int64_t n = key_len <= sizeof plain ? fsi_unescape(plain, at, key_len, false, true) : -1;
        if (n >= 0 && (size_t)n == name_len && memcmp(plain, name, name_len) == 0) {
            const char *value = equals ? equals + 1 : stop;
            size_t len = (size_t)(stop - value), need = len;
            for (size_t i = 0; i + 2 < len; i++)
                if (value[i] == '%') need -= 2, i += 2;
            if (size == 0 || need >= size) return FSV_ERR_LIMIT;
            n = fsi_unescape(out, value, len, false, true);
            if (n < 0) return FSV_ERR_ARGUMENT;
            out[n] = 0;
            return n;
        }
        at = stop;
    }
    return FSV_ERR_NOT_FOUND;
}

FSI_SELDOM int64_t fsi_peer_out(bool known, const fsi_sockaddr *at, char *out, size_t size)
{
    char text[80];
    if (!known) return FSV_ERR_CLOSED;
    size_t len = fsi_sockaddr_text(at, text, sizeof text);
    return fsi_copy_out(out, size, text, len);
}

FSV_API FSI_SMALL int64_t fsv_request_peer(const fsv_request *request, char *out, size_t size)
{
    fsi_sockaddr at;
    fsi_conn *conn = request->conn;
    if (!request->off_loop) {
        // Who blocks the connection's own thread may ask whether somebody still waits for him.
        bool now = conn && conn->loop->server->desc.model != FSV_MODEL_EVENT && request->resp == FSI_RESP_NONE;
        bool known = now ? conn->chan.fd >= 0 && fsi_sock_peer(conn->chan.fd, &at) : conn && fsi_conn_peer(conn, &at);
        return fsi_peer_out(known, &at, out, size);
    }
    fsi_lock *lock = &request->loop->server->token_lock; // the loop may be closing it
    fsi_lock_take(lock);
    bool known = conn && conn->chan.fd >= 0 && fsi_sock_peer(conn->chan.fd, &at);
    fsi_lock_give(lock);
    return fsi_peer_out(known, &at, out, size);
}

FSV_API FSI_SMALL int64_t fsv_answer_peer(const fsv_answer *answer, char *out, size_t size)
{
    fsi_sockaddr at;
    return fsi_peer_out(fsi_conn_peer((fsi_conn *)(uintptr_t)answer->conn, &at), &at, out, size);
}

FSV_API void fsv_request_set_user(fsv_request *request, void *user)
{
    request->user = user;
}

FSV_API void *fsv_request_user(const fsv_request *request)
{
    return request->user;
}

// ---- response

FSV_API fsv_result fsv_response_field(fsv_request *request, const char *name, const char *value)
{
    return request && name && value ? fsi_answer_field(request, name, value) : FSV_ERR_ARGUMENT;
}

FSV_API FSI_SMALL fsv_result fsv_response_close(fsv_request *request)
{
    if (!request) return FSV_ERR_ARGUMENT;
    if (request->deferred || request->resp != FSI_RESP_NONE) return FSV_ERR_STATE;
    request->closing = true;
    return FSV_OK;
}

FSV_API fsv_result fsv_respond(fsv_request *request, uint32_t status, const char *content_type, const void *body,
                               size_t len)
{
    if (!request || (len && !body)) return FSV_ERR_ARGUMENT;
    return fsi_answer(request, status, content_type, (const char *)body, len, false, NULL, NULL);
}

FSV_API fsv_result fsv_respond_text(fsv_request *request, uint32_t status, const char *text)
{
    if (!request || !text) return FSV_ERR_ARGUMENT;
    return fsi_answer(request, status, "text/plain; charset=utf-8", text, strlen(text), false, NULL, NULL);
}

FSV_API fsv_result fsv_respond_owned(fsv_request *request, uint32_t status, const char *content_type, const void *body,
                                     size_t len, fsv_release_handler release, void *release_user)
{
    if (!request || (len && !body)) {
        if (release) release((void *)(uintptr_t)body, release_user);
        return FSV_ERR_ARGUMENT;
    }
    return fsi_answer(request, status, content_type, (const char *)body, len, true, release, release_user);
}

FSV_API fsv_result fsv_respond_stream(fsv_request *request, uint32_t status, const char *content_type, uint64_t length)
{
    if (!request) return FSV_ERR_ARGUMENT;
    if (!request->route || (!request->route->on_body && !request->route->on_room)) return FSV_ERR_STATE;
    size_t type_len = 0;
    fsv_result result =
        fsi_answer_check(request, status, content_type, &type_len, length == FSV_LENGTH_UNKNOWN ? 0 : length);
    if (result == FSV_OK) fsi_stream_head(request, status, content_type, type_len, length);
    return result;
}

FSV_API fsv_result fsv_stream_write(fsv_request *request, const void *data, size_t len)
{
    if (!request || (len && !data)) return FSV_ERR_ARGUMENT;
    return request->deferred ? FSV_ERR_STATE : fsi_stream_write(request, data, len);
}

FSV_API size_t fsv_stream_room(const fsv_request *request)
{
    return request && !request->deferred ? fsi_stream_room(request) : 0;
}

FSV_API fsv_result fsv_stream_end(fsv_request *request)
{
    if (!request) return FSV_ERR_ARGUMENT;
    return request->deferred ? FSV_ERR_STATE : fsi_stream_end(request);
}

FSV_API FSI_SMALL void fsv_stream_abort(fsv_request *request)
{
    if (!request || request->deferred || request->resp != FSI_RESP_STREAM) return;
    fsi_conn_flush(request->conn); // what was written before is the peer's
    request->conn->broken = true;
}

// ---- files

#if FSI_FILES
FSI_SELDOM fsv_result fsi_folder_bad(const fsv_server *server, const fsv_folder_desc *desc, const char *why)
{
    fsi_log(server, 0, "folder", 0, "the folder %s at %s: %s", desc->path ? desc->path : "(null)",
            desc->pattern ? desc->pattern : "(null)", why);
    return FSV_ERR_ARGUMENT;
}

// "ext=type" lines become "ext", "type", ..., each with its end, and one more. to has len + 2 bytes. False: malformed.
FSI_SELDOM bool fsi_folder_types(char *to, const char *lines)
{
    for (const char *at = lines; *at;) {
        size_t len = strcspn(at, "\n");
        const char *equals = (const char *)memchr(at, '=', len);
        size_t name = equals ? (size_t)(equals - at) : 0, type = equals ? len - name - 1 : 0;
        if (len && (!name || !type || type > 255 || memchr(at, '/', name) || memchr(at, '.', name))) return false;
        if (len && !fsi_value_is_clean(equals + 1, type)) return false;
        if (len) {
            memcpy(to, at, len);
            to[name] = to[len] = 0;
            to += len + 1;
        }
        at += len + (at[len] == '\n');
    }
    *to = 0;
    return true;
}

FSI_SELDOM fsv_result fsi_folder_check(const fsv_server *server, const fsv_folder_desc *desc)
{
    size_t len = desc->pattern ? strlen(desc->pattern) : 0;
    const char *value = desc->cache_control;
    if (!desc->path || len < 2) return fsi_folder_bad(server, desc, "pattern and path are required");
    if (strcmp(desc->pattern + len - 2, "/*") != 0 || strchr(desc->pattern, ':') ||
        strchr(desc->pattern, '*') != desc->pattern + len - 1)
        return fsi_folder_bad(server, desc, "the pattern must be literal and end with \"/*\"");
    if (desc->hidden > 1 || desc->follow_symlinks > 1 || desc->sendfile > 1 || desc->precompressed > 1)
        return fsi_folder_bad(server, desc, "hidden, follow_symlinks, sendfile and precompressed are 0 or 1");
    if (desc->index && (strchr(desc->index, '/') || strlen(desc->index) > 255))
        return fsi_folder_bad(server, desc, "index must be the name of a file");
    if (value && (strlen(value) > FSI_CACHE_CONTROL_BYTES_MAX || !fsi_value_is_clean(value, strlen(value))))
        return fsi_folder_bad(server, desc, "cache_control is too long, or has a control byte");
    return FSV_OK;
}

// A copy of the desc, with its strings behind it. NULL: out of memory, or, with *bad, malformed types.
FSI_SELDOM fsv_folder *fsi_folder_new(fsv_server *server, const fsv_folder_desc *desc, bool *bad)
{
    const char *index = desc->index ? desc->index : "index.html", *types = desc->types ? desc->types : "";
    size_t index_len = strlen(index) + 1, cache_len = desc->cache_control ? strlen(desc->cache_control) + 1 : 0;
    size_t bytes = sizeof(fsv_folder) + index_len + cache_len + strlen(types) + 2;
    fsv_folder *folder = (fsv_folder *)fsi_alloc_zero(server, bytes);
    if (!folder) return NULL;
    char *at = (char *)(folder + 1);
    folder->server = server;
    folder->bytes = bytes;
    folder->desc = *desc;
    folder->desc.index = at;
    at = fsi_put(at, index, index_len);
    if (cache_len) folder->desc.cache_control = at;
    if (cache_len) at = fsi_put(at, desc->cache_control, cache_len);
    folder->desc.types = at;
    *bad = !fsi_folder_types(at, types);
    if (!*bad) return folder;
    fsi_release(server, folder, bytes);
    return NULL;
}

FSI_SELDOM fsv_result fsi_folder_result(const fsv_server *server, const char *path, fsi_file_result result)
{
    int64_t error = fsi_os_error();
    switch (result) {
    case FSI_FILE_OK:
    case FSI_FILE_BUSY: return FSV_OK;
    case FSI_FILE_NONE: break;
    case FSI_FILE_DENIED:
        fsi_log(server, 0, "folder", error, "the folder %s may not be read", path);
        return FSV_ERR_PERMISSION;
    case FSI_FILE_FULL: return FSV_ERR_MEMORY;
    case FSI_FILE_FAILED:
        fsi_log(server, 0, "folder", error, "the folder %s cannot be opened", path);
        return FSV_ERR_SYSTEM;
    }
    fsi_log(server, 0, "folder", error, "there is no folder %s", path);
    return FSV_ERR_NOT_FOUND;
}

// Adds its route, which is never a blocking one by itself.
FSI_SELDOM fsv_result fsi_folder_mount(fsv_server *server, const char *pattern, fsv_folder *folder)
{
    uint32_t blocking = server->desc.blocking;
    server->desc.blocking = 0;
    fsv_result result = fsv_server_route(server, "GET", pattern, fsi_folder_handler, folder);
    server->desc.blocking = blocking;
    return result;
}

FSV_API FSI_SMALL fsv_result fsv_server_folder(fsv_server *server, const fsv_folder_desc *desc, fsv_folder **folder)
{
    bool bad = false;
    if (!server || !desc) return FSV_ERR_ARGUMENT;
    if (fsi_load32(&server->life) != FSI_LIFE_NEW) return FSV_ERR_STATE;
    fsv_result result = fsi_folder_check(server, desc);
    if (result != FSV_OK) return result;
    fsv_folder *made = fsi_folder_new(server, desc, &bad);
    if (!made) return bad ? fsi_folder_bad(server, desc, "types must be \"ext=type\" lines") : FSV_ERR_MEMORY;
    result = fsi_folder_result(server, desc->path,
                               fsi_root_open(server, &made->root, desc->path, desc->follow_symlinks != 0));
    if (result == FSV_OK) result = fsi_folder_mount(server, desc->pattern, made);
    if (result != FSV_OK) {
        fsi_root_close(server, &made->root);
        fsi_release(server, made, made->bytes);
        return result;
    }
    made->desc.pattern = made->desc.path = NULL; // the caller's
    fsi_store64(&made->renewed_ms, fsi_clock_ns() / 1000000);
    made->next = server->folders;
    server->folders = made;
    fsi_server_clamp_conns(server);
    fsi_server_share_conns(server);
    server->has_blocking = server->has_blocking || server->desc.model == FSV_MODEL_EVENT;
    uint64_t cache = desc->cache_bytes ? desc->cache_bytes : (uint64_t)64 << 20;
    server->shelf_bytes += cache / server->loop_count;
    if (folder) *folder = made;
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_respond_file(fsv_request *request, fsv_folder *folder, const char *path,
                                              uint32_t status)
{
    if (!request || !folder || !path || folder->server != request->loop->server) return FSV_ERR_ARGUMENT;
    if (status < 200 || status > 599 || status == 204 || status == 205 || status == 206 || status == 304)
        return FSV_ERR_ARGUMENT;
    if (request->deferred || request->want.folder || request->resp != FSI_RESP_NONE) return FSV_ERR_STATE;
    if (request->route && (request->route->on_body || request->route->on_room)) return FSV_ERR_STATE;
    return fsi_want_set(request, folder, path, strlen(path), status) ? FSV_OK : FSV_ERR_MEMORY;
}

// What fsv_folder_list hands on.
typedef struct fsi_listing {
    const fsv_folder *folder;
    fsv_entry_handler each;
    void *user;
} fsi_listing;

static bool fsi_folder_each(const char *name, const fsi_file_look *look, void *user)
{
    const fsi_listing *listing = (const fsi_listing *)user;
    char checked[1024];
    size_t len = strlen(name);
    bool slash;
    if (look->kind == FSI_FILE_OTHER || len >= sizeof checked) return true;
    if (fsi_entity_path(checked, name, len, fsi_folder_rules(listing->folder), &slash) != (int64_t)len) return true;
    fsv_entry entry;
    entry.name = fsi_view(name, len);
    entry.is_folder = look->kind == FSI_FILE_FOLDER;
    entry.size = entry.is_folder ? 0 : look->id.size;
    entry.modified_s = look->id.modified_ns / FSI_SECOND_NS;
    return listing->each(&entry, listing->user);
}

FSV_API FSI_SMALL fsv_result fsv_folder_list(const fsv_folder *folder, const char *path, fsv_entry_handler each,
                                             void *user)
{
    if (!folder || !path || !each) return FSV_ERR_ARGUMENT;
    size_t len = strlen(path);
    bool slash;
    char *checked = (char *)fsi_alloc(folder->server, len + 1);
    if (!checked) return FSV_ERR_MEMORY;
    fsv_result result = FSV_ERR_NOT_FOUND;
    if (fsi_entity_path(checked, path, len, fsi_folder_rules(folder), &slash) >= 0) {
        fsi_listing listing;
        listing.folder = folder;
        listing.each = each;
        listing.user = user;
        fsi_file_result found = fsi_file_list(&folder->root, checked, fsi_folder_each, &listing);
        result = found == FSI_FILE_OK       ? FSV_OK
                 : found == FSI_FILE_NONE   ? FSV_ERR_NOT_FOUND
                 : found == FSI_FILE_DENIED ? FSV_ERR_PERMISSION
                 : found == FSI_FILE_FULL   ? FSV_ERR_MEMORY
                                            : FSV_ERR_SYSTEM;
    }
    fsi_release(folder->server, checked, len + 1);
    return result;
}

FSV_API const char *fsv_folder_type(const fsv_folder *folder, const char *name)
{
    return folder && name ? fsi_folder_type(folder, name) : "application/octet-stream";
}

#else
FSV_API FSI_SMALL fsv_result fsv_server_folder(fsv_server *server, const fsv_folder_desc *desc, fsv_folder **folder)
{
    (void)folder;
    return server && desc ? FSV_ERR_UNSUPPORTED : FSV_ERR_ARGUMENT;
}

FSV_API FSI_SMALL fsv_result fsv_respond_file(fsv_request *request, fsv_folder *folder, const char *path,
                                              uint32_t status)
{
    (void)request, (void)folder, (void)path, (void)status;
    return FSV_ERR_ARGUMENT; // there is no folder
}

FSV_API FSI_SMALL fsv_result fsv_folder_list(const fsv_folder *folder, const char *path, fsv_entry_handler each,
                                             void *user)
{
    (void)folder, (void)path, (void)each, (void)user;
    return FSV_ERR_ARGUMENT;
}

FSV_API const char *fsv_folder_type(const fsv_folder *folder, const char *name)
{
    (void)folder, (void)name;
    return "application/octet-stream";
}
#endif // FSI_FILES

// ---- deferred answers

// On a loop: the request gets a block of its own, and a job. Nothing has changed if that fails.
FSI_SELDOM fsv_result fsi_defer_here(fsv_request *request, fsv_token *token)
{
    fsi_loop *loop = request->loop;
    fsi_conn *conn = request->conn;
    if (!fsi_loop_reserve(loop, true)) return FSV_ERR_FULL;
    fsi_job *job = fsi_job_new(conn);
    fsv_result result = job ? fsi_token_open(job, token) : FSV_ERR_MEMORY;
    if (result == FSV_OK && !fsi_conn_detach_request(conn)) {
        fsi_lock_take(&loop->server->token_lock);
        fsi_token_free(loop->server, job->token);
        fsi_lock_give(&loop->server->token_lock);
        result = FSV_ERR_MEMORY;
    }
    if (result != FSV_OK) {
        if (job) fsi_job_free(loop, job);
        fsi_loop_unreserve(loop);
        return result;
    }
    job->request = conn->request;
    conn->request->job = job;
    conn->request->deferred = request->deferred = true; // the handler's view may be the scratch
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_request_defer(fsv_request *request, fsv_token *token)
{
    if (!request || !token) return FSV_ERR_ARGUMENT;
    memset(token, 0, sizeof *token);
    if (request->deferred || request->want.folder || request->resp != FSI_RESP_NONE) return FSV_ERR_STATE;
    if (!request->off_loop && (!request->conn->body_done || request->conn->state != FSI_CONN_EXCHANGE))
        return FSV_ERR_STATE;
    fsv_result result = request->off_loop ? fsi_token_open(request->job, token) : fsi_defer_here(request, token);
    if (result != FSV_OK) return result;
    request->deferred = true;
    return FSV_OK;
}

FSV_API fsv_result fsv_token_respond(fsv_token token, uint32_t status, const char *content_type, const void *body,
                                     size_t len)
{
    if (!token.server || (len && !body)) return FSV_ERR_ARGUMENT;
    return fsi_token_reply(token, status, content_type, (const char *)body, len, false, NULL, NULL);
}

FSV_API fsv_result fsv_token_respond_owned(fsv_token token, uint32_t status, const char *content_type, const void *body,
                                           size_t len, fsv_release_handler release, void *release_user)
{
    if (!token.server || (len && !body)) {
        if (release) release((void *)(uintptr_t)body, release_user);
        return FSV_ERR_ARGUMENT;
    }
    return fsi_token_reply(token, status, content_type, (const char *)body, len, true, release, release_user);
}

FSV_API FSI_SMALL fsv_result fsv_token_stream(fsv_token token, uint32_t status, const char *content_type,
                                              uint64_t length)
{
    size_t type_len = 0;
    if (!token.server) return FSV_ERR_ARGUMENT;
    fsv_result result = fsi_answer_rules(status, content_type, &type_len, length == FSV_LENGTH_UNKNOWN ? 0 : length);
    if (result != FSV_OK) return result;
    fsi_job *job = fsi_token_take(token, false);
    if (!job) return FSV_ERR_CLOSED;
    if (job->begun)
        result = FSV_ERR_STATE;
    else
        (void)fsi_job_reply(job, status, content_type, type_len, NULL, 0, true, NULL, NULL);
    job->begun = true;
    if (result == FSV_OK) {
        job->length = job->length_left = length;
        job->bare = fsi_status_is_bare(status) || job->request->no_body; // the loop writes that once it has begun
    }
    fsi_lock_give(&token.server->token_lock);
    return result;
}

// The job of a stream that takes so many bytes, with the lock taken. NULL: *result says why not, and the lock is free.
FSI_SELDOM fsi_job *fsi_token_take_room(fsv_token token, size_t len, fsv_result *result)
{
    fsi_job *job = fsi_token_take(token, false);
    *result = !job || job->bare                                             ? FSV_ERR_CLOSED
              : !job->begun                                                 ? FSV_ERR_STATE
              : job->length != FSV_LENGTH_UNKNOWN && len > job->length_left ? FSV_ERR_LIMIT
              : len && job->queued >= token.server->desc.out_bytes_max      ? FSV_ERR_FULL
                                                                            : FSV_OK;
    if (job && *result != FSV_OK) fsi_lock_give(&token.server->token_lock);
    return *result == FSV_OK ? job : NULL;
}

#define FSI_CHUNK_SMALL 232 // pieces below that share a chunk, so that what waits takes at most twice its bytes

// Adds a small piece to the last one that waits, if there is room. Under token_lock.
FSI_PRIVATE bool fsi_job_append(fsi_job *job, const void *data, size_t len)
{
    fsi_chunk *last = job->first ? (fsi_chunk *)(void *)job->last : NULL;
    if (!last || len > last->cap - last->len) return false;
    memcpy((char *)(last + 1) + last->len, data, len);
    last->len += len;
    return true;
}

FSV_API fsv_result fsv_token_write(fsv_token token, const void *data, size_t len)
{
    fsv_result result;
    if (!token.server || (len && !data)) return FSV_ERR_ARGUMENT;
    fsi_job *job = fsi_token_take_room(token, len, &result);
    if (!job) return result;
    if (len && !fsi_job_append(job, data, len)) {
        fsi_lock_give(&token.server->token_lock); // nothing large is copied under it
        fsi_chunk *chunk = fsi_chunk_new(token.server, data, len, len > FSI_CHUNK_SMALL ? len : FSI_CHUNK_SMALL);
        if (!chunk) return FSV_ERR_MEMORY;
        job = fsi_token_take_room(token, len, &result); // its client may have gone since
        if (!job) {
            fsi_chunk_free(token.server, chunk);
            return result;
        }
        *job->last = chunk;
        job->last = &chunk->next;
    }
    if (job->length != FSV_LENGTH_UNKNOWN) job->length_left -= len;
    job->queued += len;
    if (len) fsi_job_tell(job);
    fsi_lock_give(&token.server->token_lock);
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_token_wait(fsv_token token, uint32_t timeout_ms)
{
    fsv_result result = FSV_ERR_FULL;
    if (!token.server) return FSV_ERR_ARGUMENT;
    fsv_server *server = token.server;
    if (fsv_loop_current(server) != UINT32_MAX) return FSV_ERR_STATE; // it would wait for itself
    uint64_t due = timeout_ms == UINT32_MAX ? UINT64_MAX : fsi_clock_ns() + (uint64_t)timeout_ms * 1000000;
    fsi_lock_take(&server->token_lock);
    server->token_waiters++;
    while (result == FSV_ERR_FULL) {
        const fsi_token *found = fsi_token_find(token);
        if (!found || found->state != FSI_TOKEN_OPEN)
            result = FSV_ERR_CLOSED;
        else if (!found->job->begun)
            result = FSV_ERR_STATE;
        else if (found->job->queued < server->desc.out_bytes_max)
            result = FSV_OK;
        else if (fsi_loop_is_here(found->job->loop) ||
                 (fsi_load32(&server->life) == FSI_LIFE_POLL && fsi_load64(&server->poller) == fsi_thread_self()))
            result = FSV_ERR_STATE; // nobody else would make room
        else if (due != UINT64_MAX && fsi_clock_ns() >= due)
            break;
        else
            fsi_signal_wait(&server->token_room, &server->token_lock, due);
    }
    server->token_waiters--;
    fsi_lock_give(&server->token_lock);
    return result;
}

// Ends a stream, or what never began.
FSI_SELDOM fsv_result fsi_token_finish(fsv_token token, bool drop)
{
    fsi_job *job = fsi_token_take(token, true);
    if (!job) return FSV_ERR_CLOSED;
    if (!job->begun && !drop) {
        fsi_lock_give(&token.server->token_lock);
        return FSV_ERR_STATE;
    }
    bool short_of = job->begun && !job->bare && job->length != FSV_LENGTH_UNKNOWN && job->length_left;
    job->cut = job->begun && (drop || short_of);
    fsi_token_answered(token, job);
    return short_of && !drop ? FSV_ERR_CLOSED : FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_token_end(fsv_token token)
{
    return token.server ? fsi_token_finish(token, false) : FSV_ERR_ARGUMENT;
}

FSV_API FSI_SMALL void fsv_token_drop(fsv_token token)
{
    if (token.server) (void)fsi_token_finish(token, true);
}

// ---- raw TCP

FSV_API FSI_SMALL fsv_result fsv_server_listen_tcp(fsv_server *server, const char *address, const fsv_tcp_desc *desc)
{
    if (!server || !address) return FSV_ERR_ARGUMENT;
    if (fsi_load32(&server->life) != FSI_LIFE_NEW) return FSV_ERR_STATE;
    if (!desc || !desc->on_data) return fsi_listen_bad(server, address, FSV_ERR_ARGUMENT, 0, "on_data is required");
    fsi_tcp *tcp = fsi_tcp_new(server, desc, sizeof *tcp);
    if (!tcp) return fsi_listen_bad(server, address, FSV_ERR_MEMORY, 0, fsv_result_text(FSV_ERR_MEMORY));
    uint32_t before = server->address_count;
    fsv_result result = fsi_server_listen_checked(server, address, false);
    if (result != FSV_OK) {
        fsi_release(server, tcp, tcp->bytes);
        return result;
    }
    tcp->next = server->tcps;
    server->tcps = tcp;
    for (uint32_t i = before; i < server->address_count; i++)
        for (uint32_t k = 0; k < server->loop_count; k++) server->loops[k].listeners[i].tcp = tcp;
    return FSV_OK;
}

#if FSI_CLIENT
FSI_SELDOM fsv_result fsi_tcp_connect_text(fsv_server *server, uint32_t loop, const char *address,
                                           const fsv_tcp_desc *desc, fsv_tcp *out)
{
    fsi_sockaddr to;
    if (!fsi_tcp_address(address, &to)) return FSV_ERR_ADDRESS;
    fsv_result result = fsi_load32(&server->stop) ? FSV_ERR_STOPPED : FSV_ERR_LIMIT;
    if (fsi_add32(&server->conns_open, 1) < server->desc.conns_max && result == FSV_ERR_LIMIT)
        result = fsi_tcp_connect(&server->loops[loop], &to, desc, out);
    if (result == FSV_OK) return FSV_OK;
    fsi_server_conn_gone(server);
    memset(out, 0, sizeof *out);
    return result == FSV_ERR_CLOSED ? FSV_ERR_STOPPED : result; // the loop has ended since
}
#else
FSI_SELDOM fsv_result fsi_tcp_connect_text(fsv_server *server, uint32_t loop, const char *address,
                                           const fsv_tcp_desc *desc, fsv_tcp *out)
{
    (void)server, (void)loop, (void)address, (void)desc, (void)out;
    return FSV_ERR_UNSUPPORTED;
}
#endif

FSV_API FSI_SMALL fsv_result fsv_tcp_connect(fsv_server *server, uint32_t loop, const char *address,
                                             const fsv_tcp_desc *desc, fsv_tcp *out)
{
    if (!server || loop >= server->loop_count || !address || !desc || !desc->on_data || !out) return FSV_ERR_ARGUMENT;
    memset(out, 0, sizeof *out);
    return fsi_tcp_connect_text(server, loop, address, desc, out);
}

FSV_API fsv_result fsv_tcp_send(fsv_tcp tcp, const void *data, size_t len)
{
    if (len && !data) return FSV_ERR_ARGUMENT;
    return fsi_tcp_send_any(tcp, (const char *)data, len, false, NULL, NULL);
}

FSV_API fsv_result fsv_tcp_send_owned(fsv_tcp tcp, const void *data, size_t len, fsv_release_handler release,
                                      void *release_user)
{
    if (len && !data) {
        if (release) release(NULL, release_user);
        return FSV_ERR_ARGUMENT;
    }
    return fsi_tcp_send_any(tcp, (const char *)data, len, true, release, release_user);
}

FSV_API FSI_SMALL fsv_result fsv_tcp_shut(fsv_tcp tcp)
{
    return fsi_tcp_ask(tcp, FSI_TCP_SHUT);
}

FSV_API FSI_SMALL fsv_result fsv_tcp_close(fsv_tcp tcp)
{
    return fsi_tcp_ask(tcp, FSI_TCP_CLOSE);
}

FSV_API FSI_SMALL fsv_result fsv_tcp_abort(fsv_tcp tcp)
{
    return fsi_tcp_ask(tcp, FSI_TCP_ABORT);
}

FSV_API FSI_SMALL fsv_result fsv_tcp_pause(fsv_tcp tcp)
{
    return fsi_tcp_ask(tcp, FSI_TCP_PAUSE);
}

FSV_API FSI_SMALL fsv_result fsv_tcp_resume(fsv_tcp tcp)
{
    return fsi_tcp_ask(tcp, FSI_TCP_RESUME);
}

FSV_API FSI_SMALL fsv_result fsv_tcp_set_user(fsv_tcp tcp, void *user)
{
    fsv_result result;
    fsi_conn *conn = fsi_tcp_find_here(tcp, &result);
    if (conn) conn->raw.user = user;
    return result;
}

FSV_API void *fsv_tcp_user(fsv_tcp tcp)
{
    fsv_result result;
    fsi_conn *conn = fsi_tcp_find_here(tcp, &result);
    return conn ? conn->raw.user : NULL;
}

FSV_API FSI_SMALL int64_t fsv_tcp_peer(fsv_tcp tcp, char *out, size_t size)
{
    fsi_sockaddr at;
    fsv_result result;
    fsi_conn *conn = fsi_tcp_find_here(tcp, &result);
    if (!conn) return result;
    return fsi_peer_out(fsi_conn_peer(conn, &at), &at, out, size);
}

// ---- posts and timers

FSV_API FSI_SMALL uint32_t fsv_loop_current(const fsv_server *server)
{
    for (uint32_t i = 0; server && i < server->loop_count; i++)
        if (fsi_loop_is_here(&server->loops[i])) return i;
    return UINT32_MAX;
}

FSV_API fsv_result fsv_loop_post(fsv_server *server, uint32_t loop, fsv_task_handler handler, void *user)
{
    if (!server || loop >= server->loop_count || !handler) return FSV_ERR_ARGUMENT;
    fsi_msg msg = fsi_msg_of(FSI_MSG_CALL, 0, user);
    msg.call = handler;
    return fsi_loop_post(&server->loops[loop], msg);
}

FSV_API FSI_SMALL fsv_result fsv_timer_start(fsv_server *server, uint32_t loop, uint32_t first_ms, uint32_t every_ms,
                                             fsv_timer_handler handler, void *user, fsv_timer *timer)
{
    if (!server || loop >= server->loop_count || !handler) return FSV_ERR_ARGUMENT;
    fsi_loop *at = &server->loops[loop];
    if (timer) memset(timer, 0, sizeof *timer);
    if (!fsi_loop_is_mine(at)) return fsi_load32(&server->life) == FSI_LIFE_ENDED ? FSV_ERR_CLOSED : FSV_ERR_STATE;
    uint64_t due = (fsi_clock_ns() + 999999) / 1000000 + first_ms; // rounded up: never early
    uint32_t slot = fsi_task_add(at, due, every_ms, handler, user);
    if (slot == FSI_TASK_NONE) return FSV_ERR_MEMORY;
    if (!timer) return FSV_OK;
    timer->server = server;
    timer->loop = loop;
    timer->slot = slot;
    timer->generation = at->tasks[slot].generation;
    return FSV_OK;
}

FSV_API FSI_SMALL fsv_result fsv_timer_stop(fsv_timer timer)
{
    if (!timer.server) return FSV_ERR_ARGUMENT;
    if (timer.loop >= timer.server->loop_count) return FSV_ERR_NOT_FOUND;
    fsi_loop *loop = &timer.server->loops[timer.loop];
    if (!fsi_loop_is_mine(loop))
        return fsi_load32(&timer.server->life) == FSI_LIFE_ENDED ? FSV_ERR_NOT_FOUND : FSV_ERR_STATE;
    if (timer.slot >= loop->task_cap) return FSV_ERR_NOT_FOUND;
    const fsi_task *task = &loop->tasks[timer.slot];
    if (!task->handler || task->generation != timer.generation) return FSV_ERR_NOT_FOUND;
    fsi_task_remove(loop, timer.slot);
    return FSV_OK;
}

#endif // FASTSERVE_IMPLEMENTATION

/*
   This software is available under 2 licenses: choose whichever you prefer.

   ------------------------------------------------------------------------------
   ALTERNATIVE A - MIT License

   Copyright (c) 2026 fastserve authors

   Permission is hereby granted, free of charge, to any person obtaining a copy of
   this software and associated documentation files (the "Software"), to deal in
   the Software without restriction, including without limitation the rights to
   use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
   of the Software, and to permit persons to whom the Software is furnished to do
   so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all
   copies or substantial portions of the Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
   IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
   FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
   AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
   SOFTWARE.

   ------------------------------------------------------------------------------
   ALTERNATIVE B - Public Domain (www.unlicense.org)

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
   software, either in source code form or as a compiled binary, for any purpose,
   commercial or non-commercial, and by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this
   software dedicate any and all copyright interest in the software to the public
   domain. We make this dedication for the benefit of the public at large and to
   the detriment of our heirs and successors. We intend this dedication to be an
   overt act of relinquishment in perpetuity of all present and future rights to
   this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
   IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
   FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
   AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
   ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
   WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
*/
