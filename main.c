// The program: `fastserve serve` serves a folder, or a demo, `fastserve bench` measures any server. Options, then the
// library. One translation unit: cc -O2 -pthread main.c -o fastserve
#define FASTSERVE_IMPLEMENTATION
#define FASTSERVE_STATIC // so that functions that it does not call are not in it
#include "fastserve.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

// ---------------------------------------------------------------------------------------------------------
// >>demo   Every test and suite uses these routes.
// ---------------------------------------------------------------------------------------------------------

static void demo_hello(fsv_request *request)
{
    fsv_respond(request, 200, "text/plain", "Hello, World!", 13);
}

// Answers with the bytes of the request body, as they come. on_body does the rest.
static void demo_echo_begin(fsv_request *request)
{
    char type[128] = "application/octet-stream";
    fsv_str given;
    if (fsv_request_field(request, "Content-Type", &given) && given.len && given.len < sizeof type) {
        memcpy(type, given.ptr, given.len);
        type[given.len] = 0;
    }
    fsv_respond_stream(request, 200, type, fsv_request_body_length(request));
}

static size_t demo_echo_body(fsv_request *request, const char *data, size_t len, void *user)
{
    (void)user;
    if (len == 0) {
        fsv_stream_end(request);
        return 0;
    }
    return fsv_stream_write(request, data, len) == FSV_OK ? len : 0; // full: offered again when there is room
}

// GET / says hello, wherever handlers run; a body comes back.
static void demo_get(fsv_request *request, void *user)
{
    fsv_str body = fsv_request_body(request);
    (void)user;
    if (fsv_request_has_body(request))
        fsv_respond(request, 200, "application/octet-stream", body.ptr, body.len);
    else
        demo_hello(request);
}

// The same with other methods, in pieces.
static void demo_root(fsv_request *request, void *user)
{
    (void)user;
    if (fsv_request_has_body(request))
        demo_echo_begin(request);
    else
        demo_hello(request);
}

// GET /echo shows the request's fields.
static void demo_echo(fsv_request *request, void *user)
{
    char text[32768];
    size_t at = 0;
    fsv_str name, value;
    (void)user;
    if (fsv_request_has_body(request)) {
        demo_echo_begin(request);
        return;
    }
    for (uint32_t i = 0; fsv_request_field_at(request, i, &name, &value); i++) {
        if (at + name.len + value.len + 4 > sizeof text) break;
        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s: %.*s\n", (int)name.len, name.ptr, (int)value.len,
                               value.ptr);
    }
    fsv_respond(request, 200, "text/plain; charset=utf-8", text, at);
}

// Reads a number from the query; `missing` if it is not there; false if it is not a number up to max, and answered.
static bool demo_number(fsv_request *request, const char *name, uint64_t missing, uint64_t max, uint64_t *out)
{
    char text[80];
    int64_t len = fsv_request_query_value(request, name, text, 24);
    *out = missing;
    if (len == FSV_ERR_NOT_FOUND) return true;
    if (len >= 0 && fsi_number(text, (size_t)len, out) && *out <= max) return true;
    (void)snprintf(text, sizeof text, "%s wants a whole number, 0 to %llu\n", name, (unsigned long long)max);
    fsv_respond_text(request, 400, text);
    return false;
}

// GET /spin?us=N keeps the loop's CPU busy for so long.
static void demo_spin(fsv_request *request, void *user)
{
    uint64_t us;
    (void)user;
    if (!demo_number(request, "us", 50, 1000000, &us)) return;
    uint64_t until = fsi_clock_ns() + us * 1000;
    while (fsi_clock_ns() < until) continue;
    demo_hello(request);
}

// GET /sleep?ms=N blocks its thread for so long: on a worker, or on the connection's own thread.
static void demo_sleep(fsv_request *request, void *user)
{
    uint64_t ms;
    (void)user;
    if (!demo_number(request, "ms", 10, 60000, &ms)) return;
    fsi_sleep_ns(ms * 1000000);
    demo_hello(request);
}

// GET /stream?chunks=N&size=M sends N pieces of M bytes, never more at a time than the client takes.
typedef struct demo_stream {
    uint64_t left;
    size_t size;
} demo_stream;

static void demo_stream_begin(fsv_request *request, void *user)
{
    uint64_t chunks, size;
    (void)user;
    if (!demo_number(request, "chunks", 10, UINT64_MAX, &chunks) || !demo_number(request, "size", 1024, 1048576, &size))
        return;
    demo_stream *stream = (demo_stream *)calloc(1, sizeof *stream + (size_t)size);
    if (!stream) {
        fsv_respond_text(request, 503, "out of memory\n");
        return;
    }
    stream->left = size ? chunks : 0;
    stream->size = (size_t)size;
    memset(stream + 1, 'x', stream->size);
    fsv_request_set_user(request, stream);
    fsv_respond_stream(request, 200, "application/octet-stream", FSV_LENGTH_UNKNOWN);
}

static void demo_stream_room(fsv_request *request, void *user)
{
    demo_stream *stream = (demo_stream *)fsv_request_user(request);
    (void)user;
    if (stream->left == 0)
        fsv_stream_end(request);
    else if (fsv_stream_write(request, stream + 1, stream->size) == FSV_OK)
        stream->left--;
}

static void demo_stream_close(fsv_request *request, void *user)
{
    (void)user;
    free(fsv_request_user(request));
}

// clang-format off
#define DEMO_STATS(X) \
    X(conns_accepted, "connections accepted") X(conns_closed, "connections closed") X(conns_refused, "connections beyond the limit, answered 503") \
    X(conns_refused_address, "connections beyond the limit of their address") X(conns_spent, "connections that had all their requests") \
    X(requests, "requests read") X(answers_2xx, "answers 2xx") X(answers_3xx, "answers 3xx") X(answers_4xx, "answers 4xx") \
    X(answers_5xx, "answers 5xx") X(bad_requests, "requests that broke the framing or a limit of heads") \
    X(refused_head, "heads beyond their size") X(refused_fields, "heads with too many fields") X(refused_target, "targets beyond their length") \
    X(refused_body, "bodies beyond their size") X(timeouts, "timeouts of all kinds") X(timeouts_head, "heads that took too long") \
    X(timeouts_body, "bodies that came too slowly") X(timeouts_idle, "idle connections closed") X(timeouts_send, "readers that took too little") \
    X(turns_cut, "times that a connection had its share of pipelined requests in a turn") \
    X(bytes_received, "bytes received") X(bytes_sent, "bytes sent") X(turns, "turns of the loops") \
    X(conns_followed, "connections moved to the CPU of their packets") X(conns_balanced, "connections moved off a busy loop") \
    X(conns_rescued, "connections accepted for a stuck loop") X(busy_us, "microseconds that pinned loops were awake") \
    X(jobs, "requests that workers have run") X(jobs_refused, "requests answered 503 because too many waited for a worker") \
    X(job_wait_us, "microseconds that jobs waited for a worker") X(job_run_us, "microseconds that their handlers took") \
    X(deferred, "answers that were deferred") X(defer_timeouts, "deferred answers that did not come in time") \
    X(conns_begun, "connections begun to other servers") \
    X(files_kept, "files found in a cache, still the same") \
    X(files_cold, "times a worker had to find or read a file") X(files_refused, "files answered 503")
// clang-format on

// All of them, each once.
typedef struct demo_counters {
#define X(name, help) uint64_t name;
    DEMO_STATS(X)
#undef X
} demo_counters;
FSI_STATIC_ASSERT(sizeof(demo_counters) == sizeof(fsv_stats), "DEMO_STATS has a row for each counter of fsv_stats");

static void demo_stats(fsv_request *request, void *user)
{
    char text[4096];
    fsv_stats stats;
    (void)user;
    memset(&stats, 0, sizeof stats);
    (void)fsv_server_stats(fsv_request_server(request), UINT32_MAX, &stats);
    size_t at = (size_t)snprintf(text, sizeof text, "{\"version\": \"%s\", \"loops\": %u", fsv_version(),
                                 fsv_server_loops(fsv_request_server(request)));
#define X(name, help) \
    at += (size_t)snprintf(text + at, sizeof text - at, ",\n \"" #name "\": %llu", (unsigned long long)stats.name);
    DEMO_STATS(X)
#undef X
    fsv_pool_stats pool;
    memset(&pool, 0, sizeof pool);
    (void)fsv_server_pool_stats(fsv_request_server(request), &pool);
    at +=
        (size_t)snprintf(text + at, sizeof text - at,
                         ",\n \"workers\": %u,\n \"workers_idle\": %u,\n \"jobs_queued\": %u,\n \"tokens_held\": %u}\n",
                         pool.workers, pool.idle, pool.queued, pool.tokens);
    fsv_respond(request, 200, "application/json", text, at);
}

static void demo_metrics(fsv_request *request, void *user)
{
    char text[16384];
    size_t at = 0;
    fsv_stats stats;
    (void)user;
    memset(&stats, 0, sizeof stats);
    (void)fsv_server_stats(fsv_request_server(request), UINT32_MAX, &stats);
#define X(name, help)                                                                           \
    at += (size_t)snprintf(text + at, sizeof text - at,                                         \
                           "# HELP fastserve_" #name "_total " help "\n# TYPE fastserve_" #name \
                           "_total counter\nfastserve_" #name "_total %llu\n",                  \
                           (unsigned long long)stats.name);
    DEMO_STATS(X)
#undef X
    fsv_respond(request, 200, "text/plain; version=0.0.4", text, at);
}

static uint64_t serve_body_max; // serve --max-body; 0: none

static const struct {
    const char *method, *pattern;
    fsv_handler handler;
    fsv_body_handler on_body;
    fsv_handler on_room, on_close;
    uint32_t blocking;
} demo_table[] = {
    {"GET", "/", demo_get, NULL, NULL, NULL, 0},
    {"POST", "/", demo_root, demo_echo_body, NULL, NULL, 0},
    {"PUT", "/", demo_root, demo_echo_body, NULL, NULL, 0},
    {"PATCH", "/", demo_root, demo_echo_body, NULL, NULL, 0},
    {"DELETE", "/", demo_root, demo_echo_body, NULL, NULL, 0},
    {"*", "/echo", demo_echo, demo_echo_body, NULL, NULL, 0},
    {"GET", "/stream", demo_stream_begin, NULL, demo_stream_room, demo_stream_close, 0},
    {"GET", "/spin", demo_spin, NULL, NULL, NULL, 0},
    {"GET", "/sleep", demo_sleep, NULL, NULL, NULL, 1},
    {"GET", "/stats", demo_stats, NULL, NULL, NULL, 0},
    {"GET", "/metrics", demo_metrics, NULL, NULL, NULL, 0},
};

static bool demo_has(const char *path)
{
    for (size_t i = 0; i < sizeof demo_table / sizeof demo_table[0]; i++)
        if (strcmp(path, demo_table[i].pattern) == 0) return true;
    return false;
}

// Adds the demo's routes, without "/" where somebody else has that.
static fsv_result demo_routes(fsv_server *server, bool root_taken)
{
    fsv_result result = FSV_OK;
    for (size_t i = 0; result == FSV_OK && i < sizeof demo_table / sizeof demo_table[0]; i++) {
        fsv_route_desc route;
        memset(&route, 0, sizeof route);
        route.method = demo_table[i].method;
        route.pattern = demo_table[i].pattern;
        route.handler = demo_table[i].handler;
        route.on_body = demo_table[i].on_body;
        route.on_room = demo_table[i].on_room;
        route.on_close = demo_table[i].on_close;
        route.blocking = demo_table[i].blocking;
        if (route.on_body) route.body_bytes_max = serve_body_max;
        if (!root_taken || strcmp(route.pattern, "/") != 0) result = fsv_server_route_add(server, &route);
    }
    return result;
}

// A server with the demo's routes; the caller makes it listen.
static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc)
{
    fsv_result result = fsv_server_create(server, desc);
    if (result == FSV_OK) result = demo_routes(*server, false);
    if (result != FSV_OK) {
        (void)fsv_server_free(*server);
        *server = NULL;
    }
    return result;
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-echo   Raw TCP sends back what it gets; what does not fit is offered again when it has drained.
// ---------------------------------------------------------------------------------------------------------

static size_t echo_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    (void)user;
    if (len) return fsv_tcp_send(tcp, data, len) == FSV_OK ? len : 0;
    (void)fsv_tcp_shut(tcp); // the peer has ended: so do we, behind the last byte
    return 0;
}

static fsv_result echo_listen(fsv_server *server, const char *address)
{
    fsv_tcp_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.on_data = echo_data;
    return fsv_server_listen_tcp(server, address, &desc);
}

#include "bench.c"

// "2024-05-06T07:08:09Z"
static void page_time(char out[24], int64_t seconds)
{
    char date[29]; // "Mon, 06 May 2024 07:08:09 GMT"
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    fsi_date_write(date, seconds);
    uint32_t month = 0;
    while (month < 11 && memcmp(months + (size_t)3 * month, date + 8, 3) != 0) month++;
    (void)snprintf(out, 24, "%.4s-%02u-%.2sT%.8sZ", date + 12, month + 1, date + 5, date + 17);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-log   A line is made where its answer ends, on its loop, in the memory of that loop's lane; a thread of its
//               own takes from time to time what the lanes hold, and writes it. So no loop waits for a disk, nor for
//               another loop. What cannot be written yet stays in memory until that is full; lines beyond are counted,
//               and the log itself says how many were lost, as soon as it takes lines again.
// ---------------------------------------------------------------------------------------------------------

#define SERVE_LOG_MAX ((size_t)16 << 20) // bytes of lines that may wait in all lanes
#define SERVE_LOG_KEPT ((size_t)4 << 20) // a lane gives more than that back when it has been written
#define SERVE_LOG_PIECE ((size_t)256 << 10)
#define SERVE_LANES_MAX 64        // the models with a thread for each connection have more loops
#define SERVE_LOG_GATHER_US 20000 // from one look at the lanes to the next
#define SERVE_LOG_AGAIN_US 250000 // after a write that has failed
#define SERVE_LOG_PATIENCE_S 3    // at the end, with a log that takes nothing

typedef enum serve_form { SERVE_COMMON, SERVE_COMBINED, SERVE_JSON } serve_form;

static const char *const serve_forms[] = {"common", "combined", "json"};

// What a line says. Texts without a ptr are not known.
typedef struct serve_entry {
    uint64_t wall_ns, body_bytes, duration_us;
    uint32_t status, version; // as fsv_request_version has it; 0: there was no request
    fsv_str peer, method, target, host, referer, agent;
    fsv_str user, refusal; // who has logged in; what the server found wrong
} serve_entry;

// A second in the words of a form, since most lines share theirs.
typedef struct serve_second {
    int64_t number; // since 1970; -1: none yet
    char text[32];
} serve_second;

typedef struct serve_lane {
    fsi_lock lock; // of its loop, and now and then the writer
    char *lines;
    size_t len, cap;
    uint64_t count, lost; // in lines; those for which it had no room
    serve_second second;
    char pad[FSV_CACHE_LINE];
} serve_lane;

typedef struct serve_log {
    serve_lane *lanes; // these stand before the server runs, and stay
    uint32_t lane_count;
    size_t lane_max;
    serve_form form;
    const char *path; // NULL: the standard output
    fsi_io io;        // where the writer sleeps
    bool io_made, started;
    // atomic
    uint32_t asleep;                  // the writer waits for a first line
    uint32_t reopen, ending, failing; // failing: the last write has
    fsi_word64 taken, written;        // lines that the writer has now; pieces that it has written
    // under the lock
    fsi_lock lock;
    fsi_signal over;
    bool ended; // the writer
    // the writer's
    bench_os_sink sink;
    char *batch; // lines of one lane
    size_t at, len, cap;
    uint64_t lost, lost_ever; // what the log has not said yet
    char why[160];            // it could not be written lately; "": it could
    bool why_old;
    uint64_t said_ns, looked_ns;
    fsi_thread thread;
} serve_log;

static serve_log serve_access;

// ---------------------------------------------------------------------------------------------------------
// >>serve-log-line   A line of the access log, in each of its forms.
// ---------------------------------------------------------------------------------------------------------

#define SERVE_PUT(at, literal) fsi_put(at, literal, sizeof(literal) - 1)

// Whether 8 bytes are printable ASCII without quotes and backslashes.
static bool serve_is_plain(const char *text)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones * 128;
    uint64_t v, quote, back;
    memcpy(&v, text, sizeof v);
    quote = v ^ ones * '"';
    back = v ^ ones * '\\';
    // The high bit of a byte says: not ASCII, or below 32, 127, a quote, a backslash. A byte that is none of these borrows
    // nothing from the next one, so the first one that is one is seen.
    return !((v | (v - ones * 32) | (v + ones) | (quote - ones) | (back - ones)) & high);
}

// How many bytes at the beginning are like that.
static size_t serve_plain_len(const char *text, size_t len)
{
    size_t n = 0;
    while (len - n >= 8 && serve_is_plain(text + n)) n += 8;
    while (n < len && text[n] >= 32 && text[n] < 127 && text[n] != '"' && text[n] != '\\') n++;
    return n;
}

static char *serve_put_hex(char *at, uint32_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) *at++ = "0123456789abcdef"[value >> 4 * i & 15];
    return at;
}

static char *serve_put_number(char *at, uint64_t value)
{
    return at + fsi_number_write(at, value);
}

// For Common and Combined: what is not printable ASCII, quotes and backslashes as \xHH. Without a ptr: "-".
static char *serve_put_text(char *at, fsv_str text)
{
    if (!text.ptr) return SERVE_PUT(at, "-");
    for (size_t i = 0;;) {
        size_t n = serve_plain_len(text.ptr + i, text.len - i);
        at = fsi_put(at, text.ptr + i, n);
        i += n;
        if (i == text.len) return at;
        at = serve_put_hex(SERVE_PUT(at, "\\x"), (uint8_t)text.ptr[i++], 2);
    }
}

// The same without a space: one column.
static char *serve_put_word(char *at, fsv_str text)
{
    const char *space;
    while (text.ptr && (space = (const char *)memchr(text.ptr, ' ', text.len)) != NULL) {
        size_t len = (size_t)(space - text.ptr);
        at = SERVE_PUT(serve_put_text(at, fsi_view(text.ptr, len)), "\\x20");
        text = fsi_view(space + 1, text.len - len - 1);
    }
    return serve_put_text(at, text);
}

// What must not stand in a log as it is: it would move the cursor, end a line for some reader, hide, or turn the text
// around.
static bool serve_is_odd(uint32_t code)
{
    return code < 32 || (code >= 0x7f && code < 0xa0) || code == 0x61c || (code >= 0x200b && code < 0x2010) ||
           (code >= 0x2028 && code < 0x202f) || (code >= 0x2060 && code < 0x2070) || code == 0xfeff ||
           (code >= 0xfff9 && code < 0xfffc);
}

// A character as JSON has it; `len` bytes of UTF-8, 0: of one byte that is none.
static char *serve_put_json_char(char *at, const char *text, size_t len)
{
    const uint8_t *c = (const uint8_t *)text;
    uint32_t code = len == 1   ? c[0]
                    : len == 2 ? (c[0] & 31u) << 6 | (c[1] & 63u)
                    : len == 3 ? (c[0] & 15u) << 12 | (c[1] & 63u) << 6 | (c[2] & 63u)
                               : 0x10000;
    if (len == 0) return SERVE_PUT(at, "\\ufffd");
    if (code == '"' || code == '\\') *at++ = '\\';
    if (serve_is_odd(code)) return serve_put_hex(SERVE_PUT(at, "\\u"), code, 4);
    return fsi_put(at, text, len);
}

// With its quotes; without a ptr: null.
static char *serve_put_json(char *at, fsv_str text)
{
    if (!text.ptr) return SERVE_PUT(at, "null");
    *at++ = '"';
    for (size_t i = 0;;) {
        size_t n = serve_plain_len(text.ptr + i, text.len - i);
        at = fsi_put(at, text.ptr + i, n);
        i += n;
        if (i == text.len) break;
        size_t len = fsi_utf8(text.ptr + i, text.len - i);
        at = serve_put_json_char(at, text.ptr + i, len);
        i += len ? len : 1;
    }
    *at++ = '"';
    return at;
}

// "10/Oct/2000:13:55:36 +0000", or "2000-10-10T13:55:36" for JSON.
static char *serve_put_second(char *at, serve_form form, int64_t number, serve_second *second)
{
    if (second->number != number) {
        char date[29]; // "Sun, 06 Nov 1994 08:49:37 GMT"
        (void)fsi_date_write(date, number);
        if (form == SERVE_JSON)
            page_time(second->text, number);
        else
            (void)snprintf(second->text, sizeof second->text, "%.2s/%.3s/%.4s:%.8s +0000", date + 5, date + 8,
                           date + 12, date + 17);
        second->number = number;
    }
    return fsi_put(at, second->text, form == SERVE_JSON ? 19 : 26);
}

// "2000-10-10T13:55:36.123Z" behind what begins an object.
static char *serve_put_json_time(char *at, uint64_t wall_ns, serve_second *second)
{
    uint32_t ms = (uint32_t)(wall_ns / 1000000 % 1000);
    at = SERVE_PUT(at, "{\"time\":\"");
    at = serve_put_second(at, SERVE_JSON, (int64_t)(wall_ns / 1000000000u), second);
    *at++ = '.';
    *at++ = (char)('0' + ms / 100);
    *at++ = (char)('0' + ms / 10 % 10);
    *at++ = (char)('0' + ms % 10);
    return SERVE_PUT(at, "Z\"");
}

static char *serve_put_object(char *at, const serve_entry *entry, serve_second *second)
{
    at = serve_put_json_time(at, entry->wall_ns, second);
    at = serve_put_json(SERVE_PUT(at, ",\"peer\":"), entry->peer);
    at = serve_put_json(SERVE_PUT(at, ",\"method\":"), entry->method);
    at = serve_put_json(SERVE_PUT(at, ",\"target\":"), entry->target);
    if (entry->version)
        at = entry->version == 10 ? SERVE_PUT(at, ",\"version\":\"1.0\"") : SERVE_PUT(at, ",\"version\":\"1.1\"");
    else
        at = SERVE_PUT(at, ",\"version\":null");
    at = serve_put_number(SERVE_PUT(at, ",\"status\":"), entry->status);
    at = serve_put_number(SERVE_PUT(at, ",\"bytes\":"), entry->body_bytes);
    at = serve_put_number(SERVE_PUT(at, ",\"duration_us\":"), entry->duration_us);
    at = serve_put_json(SERVE_PUT(at, ",\"host\":"), entry->host);
    at = serve_put_json(SERVE_PUT(at, ",\"referer\":"), entry->referer);
    at = serve_put_json(SERVE_PUT(at, ",\"user_agent\":"), entry->agent);
    at = serve_put_json(SERVE_PUT(at, ",\"user\":"), entry->user);
    at = serve_put_json(SERVE_PUT(at, ",\"why\":"), entry->refusal);
    return SERVE_PUT(at, "}\n");
}

// Bytes that serve_put_line may need: a byte of the texts becomes six at most.
static size_t serve_line_room(const serve_entry *entry)
{
    return 400 + 6 * (entry->peer.len + entry->method.len + entry->target.len + entry->host.len + entry->referer.len +
                      entry->agent.len + entry->user.len + entry->refusal.len);
}

// One line with its end, whatever the texts hold. Returns where it ends.
static char *serve_put_line(char *at, serve_form form, const serve_entry *entry, serve_second *second)
{
    if (form == SERVE_JSON) return serve_put_object(at, entry, second);
    at = serve_put_text(at, entry->peer);
    at = serve_put_word(SERVE_PUT(at, " - "), entry->user);
    at = SERVE_PUT(at, " [");
    at = serve_put_second(at, form, (int64_t)(entry->wall_ns / 1000000000u), second);
    at = SERVE_PUT(at, "] \"");
    at = serve_put_text(at, entry->method); // "-" alone where there was no request
    if (entry->version) {
        *at++ = ' ';
        at = serve_put_text(at, entry->target);
        at = entry->version == 10 ? SERVE_PUT(at, " HTTP/1.0") : SERVE_PUT(at, " HTTP/1.1");
    }
    at = serve_put_number(SERVE_PUT(at, "\" "), entry->status);
    *at++ = ' ';
    at = serve_put_number(at, entry->body_bytes);
    if (form == SERVE_COMBINED) {
        at = serve_put_text(SERVE_PUT(at, " \""), entry->referer);
        at = serve_put_text(SERVE_PUT(at, "\" \""), entry->agent);
        *at++ = '"';
    }
    *at++ = '\n';
    return at;
}

// What the log says of lines that are not in it. out has room for 1200 bytes.
static size_t serve_put_loss(char *out, serve_form form, uint64_t wall_ns, uint64_t lost, const char *why)
{
    serve_second second;
    fsv_str text;
    char *at = out;
    text.ptr = why;
    text.len = strlen(why) < 160 ? strlen(why) : 160;
    second.number = -1;
    if (form == SERVE_JSON) {
        at = serve_put_number(SERVE_PUT(serve_put_json_time(at, wall_ns, &second), ",\"lost\":"), lost);
        at = serve_put_json(SERVE_PUT(at, ",\"why\":"), text);
        at = SERVE_PUT(at, "}\n");
    } else {
        at = serve_put_number(SERVE_PUT(at, "# "), lost);
        at = serve_put_text(lost == 1 ? SERVE_PUT(at, " line was lost: ") : SERVE_PUT(at, " lines were lost: "), text);
        *at++ = '\n';
    }
    return (size_t)(at - out);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-log-lane   The loops' side.
// ---------------------------------------------------------------------------------------------------------

// Room for a line in the lane, whose lock is held. Any line fits into an empty one. False: it is lost.
static bool serve_lane_room(serve_lane *lane, size_t need, size_t max)
{
    size_t cap = lane->cap ? lane->cap : 65536;
    if (lane->len + need <= lane->cap) return true;
    if (lane->len + need > max && lane->len) return false;
    while (cap < lane->len + need) cap *= 2;
    char *more = (char *)realloc(lane->lines, cap);
    if (!more) return false;
    lane->lines = more;
    lane->cap = cap;
    return true;
}

static void serve_log_add(serve_log *log, uint32_t loop, const serve_entry *entry)
{
    serve_lane *lane = &log->lanes[loop % log->lane_count];
    fsi_lock_take(&lane->lock);
    if (serve_lane_room(lane, serve_line_room(entry), log->lane_max)) {
        char *end = serve_put_line(lane->lines + lane->len, log->form, entry, &lane->second);
        lane->len = (size_t)(end - lane->lines);
        lane->count++;
    } else {
        lane->lost++;
    }
    fsi_lock_give(&lane->lock);
    // The writer says that it is asleep before it looks at the lanes, with their locks: it has seen this line, or we see
    // that.
    if (fsi_load32(&log->asleep) && fsi_swap32(&log->asleep, 0)) fsi_io_wake(&log->io);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-log-writer   The thread's side.
// ---------------------------------------------------------------------------------------------------------

static const char *serve_log_name(const serve_log *log)
{
    return log->path ? log->path : "-";
}

static void serve_log_wait(serve_log *log, uint64_t us)
{
    (void)fsi_io_wait(&log->io, us);
    fsi_io_dispatch(&log->io);
}

// Takes what a lane holds for the batch, which is empty, and gives it the batch's memory. False: nothing.
static bool serve_log_take(serve_log *log, serve_lane *lane)
{
    if (log->cap > SERVE_LOG_KEPT) {
        free(log->batch);
        log->batch = NULL;
        log->cap = 0;
    }
    fsi_lock_take(&lane->lock);
    char *empty = log->batch;
    size_t empty_cap = log->cap;
    bool any = lane->len || lane->lost;
    if (any) {
        log->batch = lane->lines;
        log->cap = lane->cap;
        log->len = lane->len;
        log->at = 0;
        log->lost += lane->lost;
        log->lost_ever += lane->lost;
        fsi_store64(&log->taken, lane->count);
        lane->lines = empty;
        lane->cap = empty_cap;
        lane->len = 0;
        lane->count = lane->lost = 0;
    }
    fsi_lock_give(&lane->lock);
    return any;
}

// Standard error hears of trouble once a minute at most.
static void serve_log_say(serve_log *log, const char *what, const char *why)
{
    uint64_t now = fsi_clock_ns();
    if (log->said_ns && now - log->said_ns < 60000000000u) return;
    log->said_ns = now;
    fprintf(stderr, "fastserve serve: warning: %s %s: %s\n", what, serve_log_name(log), why);
    (void)fflush(stderr);
}

// Notes why the log cannot be written.
static void serve_log_fails(serve_log *log, int error)
{
    (void)fsi_os_error_text(error, log->why, sizeof log->why);
    log->why_old = false;
    if (!fsi_swap32(&log->failing, 1)) serve_log_say(log, "cannot write the log", log->why);
}

// Opens the path anew, and goes on with the old file if that cannot be.
static void serve_log_open_again(serve_log *log)
{
    char why[160];
    bench_os_sink sink = bench_os_sink_open(log->path);
    if (sink == BENCH_OS_NO_SINK) {
        fprintf(stderr, "fastserve serve: warning: cannot open the log %s again: %s; the old file goes on\n", log->path,
                fsi_os_error_text(fsi_os_error(), why, sizeof why));
        (void)fflush(stderr);
        return;
    }
    bench_os_sink_close(log->sink);
    log->sink = sink;
    while (log->at && log->batch[log->at - 1] != '\n') log->at--; // a line that was cut short begins anew
}

// After a SIGHUP; where there is none, when the file was renamed or removed, which is looked for once a second.
static void serve_log_look(serve_log *log)
{
    uint64_t now = fsi_clock_ns();
    bool asked = fsi_load32(&log->reopen) && fsi_swap32(&log->reopen, 0);
    if (!log->path) return;
    if (!asked && now - log->looked_ns >= 1000000000u) {
        log->looked_ns = now;
        asked = bench_os_sink_moved(log->sink, log->path);
    }
    if (asked) serve_log_open_again(log);
}

// Writes the batch, however long that takes. A line is never cut by a full disk: its rest comes first when there is room
// again. False: there is nobody to read it, or the end has come; the rest stays in the batch.
static bool serve_log_put(serve_log *log)
{
    while (log->at < log->len) {
        size_t rest = log->len - log->at;
        size_t n =
            bench_os_sink_write(log->sink, log->batch + log->at, rest < SERVE_LOG_PIECE ? rest : SERVE_LOG_PIECE);
        if (n) {
            log->at += n;
            fsi_count64(&log->written, 1);
            continue;
        }
        int error = fsi_os_error();
        bool later = BENCH_OS_LATER(error);
        if (!later) {
            serve_log_fails(log, error);
            bool nobody = !log->path && BENCH_OS_NO_READER(error); // a named pipe may get another reader
            if (nobody || fsi_load32(&log->ending)) return false;
        }
        serve_log_wait(log, later ? SERVE_LOG_GATHER_US : SERVE_LOG_AGAIN_US);
        serve_log_look(log);
    }
    fsi_store32(&log->failing, 0);
    return true;
}

// The rest of the batch is lost.
static void serve_log_drop(serve_log *log)
{
    for (; log->at < log->len; log->at++)
        if (log->batch[log->at] == '\n') log->lost++, log->lost_ever++;
}

// Says in the log what was lost before.
static void serve_log_tell(serve_log *log)
{
    uint64_t lost = log->lost;
    const char *why = log->why[0] ? log->why : "the log is slower than the server";
    if (!lost) return;
    serve_log_say(log, "lines are lost of the log", why);
    if (log->cap < 1200) {
        char *more = (char *)realloc(log->batch, 1200);
        if (!more) return; // then next time
        log->batch = more;
        log->cap = 1200;
    }
    log->len = serve_put_loss(log->batch, log->form, fsi_wall_ns(), lost, why);
    log->at = 0;
    if (serve_log_put(log)) log->lost -= lost;
    log->at = log->len = 0;
}

// Whether there is something to do, once log->asleep is set.
static bool serve_log_any(serve_log *log)
{
    bool any = fsi_load32(&log->ending) || fsi_load32(&log->reopen);
    for (uint32_t i = 0; i < log->lane_count && !any; i++) {
        fsi_lock_take(&log->lanes[i].lock);
        any = log->lanes[i].len || log->lanes[i].lost;
        fsi_lock_give(&log->lanes[i].lock);
    }
    return any;
}

// Looks at each lane once. False: they were all empty.
static bool serve_log_round(serve_log *log)
{
    bool any = false;
    serve_log_look(log);
    for (uint32_t i = 0; i < log->lane_count; i++) {
        if (!serve_log_take(log, &log->lanes[i])) continue;
        any = true;
        if (!serve_log_put(log)) serve_log_drop(log);
        fsi_store64(&log->taken, 0);
        serve_log_tell(log);
    }
    // Lines that were lost meanwhile are found in the next round.
    if (log->why_old) log->why[0] = 0;
    log->why_old = true;
    return any;
}

static void serve_log_main(void *arg)
{
    serve_log *log = (serve_log *)arg;
    for (;;) {
        bool ending = fsi_load32(&log->ending); // before the last look
        bool any = serve_log_round(log);
        if (ending) break;
        if (any) {
            serve_log_wait(log, SERVE_LOG_GATHER_US);
            continue;
        }
        fsi_store32(&log->asleep, 1);
        if (!serve_log_any(log)) serve_log_wait(log, UINT64_MAX);
        fsi_store32(&log->asleep, 0);
    }
    serve_log_tell(log);
    fsi_lock_take(&log->lock);
    log->ended = true;
    fsi_signal_all(&log->over);
    fsi_lock_give(&log->lock);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-log-ends   Beginning and end; the signals.
// ---------------------------------------------------------------------------------------------------------

// Signal handler.
static void serve_log_on_hangup(void)
{
    fsi_store32(&serve_access.reopen, 1);
    fsi_io_wake(&serve_access.io);
}

// Opens the log; "-" is the standard output, which belongs to it alone from now on. False: said why not.
static bool serve_log_open(serve_log *log, const char *name, serve_form form)
{
    char why[160];
    memset(log, 0, sizeof *log);
    log->path = strcmp(name, "-") == 0 ? NULL : name;
    log->form = form;
    log->sink = bench_os_sink_open(log->path);
    if (log->sink != BENCH_OS_NO_SINK) return true;
    fprintf(stderr, "fastserve serve: cannot write the log %s: %s\n", name,
            fsi_os_error_text(fsi_os_error(), why, sizeof why));
    return false;
}

// When the writer has ended, or was not there.
static void serve_log_free(serve_log *log)
{
    for (uint32_t i = 0; log->lanes && i < log->lane_count; i++) {
        free(log->lanes[i].lines);
        fsi_lock_free(&log->lanes[i].lock);
    }
    free(log->lanes);
    free(log->batch);
    fsi_signal_free(&log->over);
    fsi_lock_free(&log->lock);
    if (log->io_made) fsi_io_free(&log->io);
    bench_os_sink_close(log->sink);
}

// Starts the writer, for a server of so many loops that does not run yet. False: said why not, and all is freed.
static bool serve_log_start(serve_log *log, uint32_t loops)
{
    char why[160];
    log->lane_count = loops == 0 ? 1 : loops < SERVE_LANES_MAX ? loops : SERVE_LANES_MAX;
    log->lane_max = SERVE_LOG_MAX / log->lane_count;
    log->lanes = (serve_lane *)calloc(log->lane_count, sizeof *log->lanes);
    bool fine = log->lanes && fsi_lock_init(&log->lock) && fsi_signal_init(&log->over);
    for (uint32_t i = 0; fine && i < log->lane_count; i++) {
        log->lanes[i].second.number = -1;
        fine = fsi_lock_init(&log->lanes[i].lock);
    }
    fine = fine && (log->io_made = fsi_io_init(&log->io, NULL));
    if (fine && fsi_thread_start(&log->thread, serve_log_main, log, "access-log")) {
        if (log->path) bench_os_on_hangup(serve_log_on_hangup);
        return log->started = true;
    }
    fprintf(stderr, "fastserve serve: cannot start the log's thread: %s\n",
            fsi_os_error_text(fsi_os_error(), why, sizeof why));
    serve_log_free(log);
    return false;
}

// Waits until the writer has ended; not for one that has been getting nowhere. False: the latter.
static bool serve_log_await(serve_log *log)
{
    uint64_t before = UINT64_MAX, now = 0, due = 0;
    fsi_lock_take(&log->lock);
    while (!log->ended && (fsi_clock_ns() < due || now != before)) {
        if (now != before) due = fsi_clock_ns() + SERVE_LOG_PATIENCE_S * (uint64_t)1000000000;
        before = now;
        fsi_signal_wait(&log->over, &log->lock, due);
        now = fsi_load64(&log->written);
    }
    bool ended = log->ended;
    fsi_lock_give(&log->lock);
    return ended;
}

// Writes what is left; the server has ended, or has never been.
static void serve_log_close(serve_log *log)
{
    if (!log->started) return;
    log->started = false;
    fsi_store32(&log->ending, 1);
    fsi_io_wake(&log->io);
    bool ended = serve_log_await(log);
    bench_os_on_hangup(NULL);
    if (!ended) { // the process ends with the writer in its last call, which may still take what it was given
        uint64_t rest = fsi_load64(&log->taken);
        for (uint32_t i = 0; i < log->lane_count; i++) {
            fsi_lock_take(&log->lanes[i].lock);
            rest += log->lanes[i].count + log->lanes[i].lost;
            fsi_lock_give(&log->lanes[i].lock);
        }
        fprintf(stderr,
                "fastserve serve: warning: nobody takes what is in the log %s: up to %llu lines of it are lost\n",
                serve_log_name(log), (unsigned long long)rest);
        return;
    }
    fsi_thread_join(&log->thread);
    if (log->lost_ever)
        fprintf(stderr, "fastserve serve: warning: the log %s has lost %llu line%s%s%s\n", serve_log_name(log),
                (unsigned long long)log->lost_ever, log->lost_ever == 1 ? "" : "s", log->why[0] ? ": " : "", log->why);
    serve_log_free(log);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-share   Memory of listings, while they are made and until their clients have taken them. There are two shares:
//                 one of the small ones, so that they come whatever else is made, and one of all others, of which one that
//                 is alone may have as much as it needs. A listing asks before it grows, and ends with a 503 where there is
//                 no more. It ends as well where its client has gone.
// ---------------------------------------------------------------------------------------------------------

#define PAGE_SMALL_KIB 1024u
static const uint32_t page_shares_kib[2] = {64u << 10, 192u << 10};
static uint32_t page_shares[2]; // atomic: what small ones have, and others, in KiB

// Of one listing; who makes it has it.
typedef struct page_share {
    const fsv_request *request; // whose it is; NULL: nobody's who could go
    uint64_t bytes;             // of its memory
    uint32_t kib;               // for how much it counts
    bool full, gone;            // why it was told to end: others have too much; nobody waits for it
} page_share;

// own: what the listing has of this share already.
static bool page_share_add(uint32_t which, uint32_t kib, uint32_t own)
{
    uint32_t seen = fsi_load32(&page_shares[which]);
    do {
        bool alone = which && seen == own;
        if (!alone && seen + (uint64_t)kib > page_shares_kib[which]) return false;
    } while (!fsi_cas32(&page_shares[which], &seen, seen + kib));
    return true;
}

static void page_share_sub(uint32_t which, uint32_t kib)
{
    (void)fsi_add32(&page_shares[which], 0u - kib);
}

// Changes for how much it counts, and in which share. False: as before; never of 0.
static bool page_share_count(page_share *share, uint32_t kib)
{
    uint32_t was = share->kib;
    bool from = was > PAGE_SMALL_KIB, to = kib > PAGE_SMALL_KIB;
    if (from == to && kib <= was) {
        page_share_sub(to, was - kib);
    } else {
        // One that has shrunk to a small one goes on to count for more, where the small ones have all of theirs.
        if (!page_share_add(to, from == to ? kib - was : kib, from == to ? was : 0)) return from && !to;
        if (from != to) page_share_sub(from, was);
    }
    share->kib = kib;
    return true;
}

// Before its memory grows. False: it must not. Without a share there is no limit.
static bool page_share_grow(page_share *share, size_t bytes)
{
    if (!share) return true;
    uint64_t kib = (share->bytes + bytes + 1023) >> 10;
    if (kib > UINT32_MAX / 4 || !page_share_count(share, (uint32_t)kib)) {
        share->full = true;
        return false;
    }
    share->bytes += bytes;
    return true;
}

// When its memory has shrunk.
static void page_share_shrink(page_share *share, size_t bytes)
{
    if (!share) return;
    share->bytes -= bytes;
    (void)page_share_count(share, (uint32_t)((share->bytes + 1023) >> 10));
}

// Asked now and then: it costs a system call. A client that has only ended its own direction is still there.
static bool page_share_gone(page_share *share)
{
    char peer[64];
    if (!share || !share->request) return false;
    share->gone = share->gone || fsv_request_peer(share->request, peer, sizeof peer) == FSV_ERR_CLOSED;
    return share->gone;
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-text   Text that is put together in memory; HTML, JSON and paths in it.
// ---------------------------------------------------------------------------------------------------------

// Grows as it is written. Once memory has run out it takes nothing more, and says so at the end.
typedef struct page_text {
    char *ptr;
    size_t len, cap;
    page_share *share; // NULL: it is small
    bool failed;
} page_text;

// Where len more bytes fit, NULL: nowhere.
static char *page_room(page_text *text, size_t len)
{
    if (text->failed) return NULL;
    if (!text->ptr || len > text->cap - text->len) {
        size_t cap = text->cap + text->cap / 2 + len + 4096;
        bool may = page_share_grow(text->share, cap - text->cap);
        char *more = may ? (char *)realloc(text->ptr, cap) : NULL;
        if (!more) {
            if (may) page_share_shrink(text->share, cap - text->cap);
            text->failed = true;
            return NULL;
        }
        text->ptr = more;
        text->cap = cap;
    }
    return text->ptr + text->len;
}

// Gives back the room behind it.
static void page_trim(page_text *text)
{
    char *less = text->ptr && text->len ? (char *)realloc(text->ptr, text->len) : NULL;
    if (!less) return;
    page_share_shrink(text->share, text->cap - text->len);
    text->ptr = less;
    text->cap = text->len;
}

static void page_free(page_text *text)
{
    page_share_shrink(text->share, text->cap);
    free(text->ptr);
    text->ptr = NULL;
    text->len = text->cap = 0;
}

static void page_put(page_text *text, const char *bytes, size_t len)
{
    char *at = page_room(text, len);
    if (!at) return;
    memcpy(at, bytes, len);
    text->len += len;
}

static void page_puts(page_text *text, const char *string)
{
    page_put(text, string, strlen(string));
}

// What stands for one byte in HTML, in text and in quoted attributes; NULL: the byte itself. Control bytes show as their
// pictures.
static const char *page_html_byte(unsigned char c, char *out)
{
    if (c == '&') return "&amp;";
    if (c == '<') return "&lt;";
    if (c == '>') return "&gt;";
    if (c == '"') return "&quot;";
    if (c == '\'') return "&#39;";
    if (c >= 32 && c != 127) return NULL;
    (void)snprintf(out, 8, "\xe2\x90%c", c == 127 ? 0xa1 : 0x80 + c);
    return out;
}

// The same in a string of JSON.
static const char *page_json_byte(unsigned char c, char *out)
{
    if (c == '"') return "\\\"";
    if (c == '\\') return "\\\\";
    if (c >= 32) return NULL;
    (void)snprintf(out, 8, "\\u%04x", c);
    return out;
}

// A text from elsewhere; bytes that are not UTF-8 become U+FFFD.
static void page_put_text(page_text *text, fsv_str from, const char *(*byte)(unsigned char c, char *out))
{
    char out[8];
    for (size_t i = 0, n; i < from.len; i += n) {
        n = fsi_utf8(from.ptr + i, from.len - i);
        const char *instead = n == 1 ? byte((unsigned char)from.ptr[i], out) : n ? NULL : "\xef\xbf\xbd";
        if (instead)
            page_puts(text, instead);
        else
            page_put(text, from.ptr + i, n);
        if (n == 0) n = 1;
    }
}

static void page_put_html(page_text *text, fsv_str from)
{
    page_put_text(text, from, page_html_byte);
}

// A path or a part of one as it stands in a link: all but letters, digits, "-._~" and slashes percent-encoded.
static void page_put_path(page_text *text, fsv_str path)
{
    char *at = page_room(text, path.len * 3);
    if (at) text->len = (size_t)(fsi_path_escape(at, path.ptr, path.len, true) - text->ptr);
}

static void page_put_number(page_text *text, uint64_t number)
{
    char digits[20];
    size_t len = fsi_number_write(digits, number);
    page_put(text, digits, len);
}

// "1 file", "2 files", "1,234 files": thousands are set apart.
static void page_put_count(page_text *text, uint64_t count, const char *what)
{
    char digits[20];
    size_t len = fsi_number_write(digits, count);
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) page_puts(text, ",");
        page_put(text, digits + i, 1);
    }
    page_puts(text, " ");
    page_puts(text, what);
    if (count != 1) page_puts(text, "s");
}

// "1.2 MB", with units of 1000.
static void page_put_size(page_text *text, uint64_t bytes)
{
    char out[24];
    double size = (double)bytes;
    const char *unit = " kMGTPE";
    for (; size >= (*unit == ' ' ? 999.5 : 999.95); unit++) size /= 1000;
    if (*unit == ' ')
        (void)snprintf(out, sizeof out, "%u B", (unsigned)bytes);
    else
        (void)snprintf(out, sizeof out, "%.1f %cB", size, *unit);
    page_puts(text, out);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-accept   What a client would like: media types (RFC 9110 12.5.1).
// ---------------------------------------------------------------------------------------------------------

// The weight behind a media range, ";q=0.5", in thousandths; 1000 without one.
static uint32_t page_weight(const char *text, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++) {
        if (text[i] != ';' && text[i] != ' ' && text[i] != '\t') continue;
        if (fsi_lower(text[i + 1]) != 'q' || text[i + 2] != '=') continue;
        uint32_t weight = 0, unit = 1000;
        for (i += 3; i < len && unit && ((text[i] >= '0' && text[i] <= '9') || text[i] == '.'); i++) {
            if (text[i] == '.') continue;
            weight += (uint32_t)(text[i] - '0') * unit;
            unit /= 10;
        }
        return weight < 1000 ? weight : 1000;
    }
    return 1000;
}

// How gladly it takes a type, 0 not at all to 1000 (RFC 9110 12.5.1); without a field, or a type in it, anything. named:
// it was asked for by name.
static uint32_t page_gladly(fsv_str accept, const char *type, bool *named)
{
    size_t type_len = strlen(type), family = (size_t)(strchr(type, '/') - type) + 1;
    uint32_t best = 0, gladly = accept.len ? 0 : 1000;
    *named = false;
    for (size_t at = 0, end; at < accept.len; at = end + 1) {
        for (end = at; end < accept.len && accept.ptr[end] != ',';) end++;
        while (at < end && (accept.ptr[at] == ' ' || accept.ptr[at] == '\t')) at++;
        size_t range = 0;
        while (at + range < end && !strchr("; \t", accept.ptr[at + range])) range++;
        const char *given = accept.ptr + at;
        uint32_t how = range == type_len && fsi_same_nocase(given, type, range)                              ? 3
                       : range == family + 1 && given[family] == '*' && fsi_same_nocase(given, type, family) ? 2
                       : range == 3 && memcmp(given, "*/*", 3) == 0                                          ? 1
                                                                                                             : 0;
        if (how <= best) continue;
        best = how;
        *named = how == 3;
        gladly = page_weight(given + range, (size_t)(accept.ptr + end - given) - range);
    }
    return gladly;
}

// HTML or JSON for a listing: ?format= decides, else what is liked more, else HTML.
static bool page_wants_json(fsv_str accept, const char *format)
{
    bool json_named, html_named;
    if (strcmp(format, "json") == 0 || strcmp(format, "html") == 0) return format[0] == 'j';
    uint32_t json = page_gladly(accept, "application/json", &json_named);
    uint32_t html = page_gladly(accept, "text/html", &html_named);
    return json > html || (json && json == html && json_named && !html_named);
}

// --spa: is this a page that somebody wants to see, rather than a part of one? A browser (one that sends Sec-Fetch-Dest)
// names text/html for pages; other programs take anything, and there what they would call the file decides.
static bool page_is_wanted(fsv_str accept, const char *type, bool browser)
{
    bool named, typeless = strcmp(type, "application/octet-stream") == 0;
    if (!page_gladly(accept, "text/html", &named)) return false;
    return (typeless || strncmp(type, "text/html", 9) == 0) && (named || !browser);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-names   The names of a folder, sorted.
// ---------------------------------------------------------------------------------------------------------

#define PAGE_NAMES_MAX 500000 // names; about 200 bytes of memory each while the page is made
#define PAGE_GLANCE 1024      // names, then it is seen whether the client is still there

typedef struct page_item {
    size_t name, name_len; // where it stands in names
    uint64_t size;
    int64_t modified_s;
    bool is_folder, mounted; // mounted: another folder of this server, of an age that is not known
} page_item;

typedef enum page_key { PAGE_BY_NAME, PAGE_BY_SIZE, PAGE_BY_TIME } page_key;
static const char *const page_keys[] = {"name", "size", "time"};

typedef struct page_list {
    page_text names; // each terminated
    page_item *items;
    size_t count, cap;
    uint64_t bytes; // of all files
    page_key key;
    bool down, failed, cut; // down: the greatest first; cut: there are more than PAGE_NAMES_MAX
} page_list;

static bool page_list_add(page_list *list, fsv_str name, page_item item)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        size_t bytes = (cap - list->cap) * sizeof *list->items;
        bool may = page_share_grow(list->names.share, bytes);
        page_item *more = may ? (page_item *)realloc(list->items, cap * sizeof *more) : NULL;
        if (more) list->items = more;
        if (may && !more) page_share_shrink(list->names.share, bytes);
        list->failed = list->failed || !more;
        if (list->failed) return false;
        list->cap = cap;
    }
    item.name = list->names.len;
    item.name_len = name.len;
    page_put(&list->names, name.ptr, name.len);
    page_put(&list->names, "", 1);
    list->failed = list->failed || list->names.failed;
    if (list->failed) return false;
    list->items[list->count++] = item;
    list->bytes += item.size;
    return true;
}

static bool page_list_entry(const fsv_entry *entry, void *user)
{
    page_list *list = (page_list *)user;
    page_item item;
    memset(&item, 0, sizeof item);
    item.is_folder = entry->is_folder;
    item.size = entry->is_folder ? 0 : entry->size;
    item.modified_s = entry->modified_s;
    list->cut = list->count == PAGE_NAMES_MAX;
    list->failed = list->failed || (list->count % PAGE_GLANCE == PAGE_GLANCE - 1 && page_share_gone(list->names.share));
    return !list->cut && !list->failed && page_list_add(list, entry->name, item);
}

static void page_list_free(page_list *list)
{
    page_share_shrink(list->names.share, list->cap * sizeof *list->items);
    free(list->items);
    list->items = NULL;
    list->count = list->cap = 0;
    page_free(&list->names);
}

static const char *page_name(const page_list *list, const page_item *item)
{
    return list->names.ptr + item->name;
}

// As people order names: without case, and numbers by what they are worth. Only the same name is equal.
static int page_natural(const char *a, const char *b)
{
    const char *x = a, *y = b;
    for (;;) {
        if (*x >= '0' && *x <= '9' && *y >= '0' && *y <= '9') {
            while (*x == '0') x++;
            while (*y == '0') y++;
            size_t m = strspn(x, "0123456789"), n = strspn(y, "0123456789");
            int by = m != n ? (m < n ? -1 : 1) : memcmp(x, y, m);
            if (by) return by;
            x += m;
            y += n;
            continue;
        }
        uint8_t c = fsi_lower(*x), d = fsi_lower(*y);
        if (c != d) return c < d ? -1 : 1;
        if (c == 0) return strcmp(a, b);
        x++;
        y++;
    }
}

// Folders stand first. What is equal otherwise goes by name, always upwards.
static int page_compare(const page_list *list, const page_item *a, const page_item *b)
{
    int by = 0;
    if (a->is_folder != b->is_folder) return a->is_folder ? -1 : 1;
    if (list->key == PAGE_BY_SIZE && a->size != b->size) by = a->size < b->size ? -1 : 1;
    if (list->key == PAGE_BY_TIME && a->modified_s != b->modified_s) by = a->modified_s < b->modified_s ? -1 : 1;
    if (by == 0 && list->key != PAGE_BY_NAME) return page_natural(page_name(list, a), page_name(list, b));
    if (by == 0) by = page_natural(page_name(list, a), page_name(list, b));
    return list->down ? -by : by;
}

// A merge sort, since qsort promises no n log n and gives its comparison no list. False: out of memory, or its client has
// gone.
static bool page_sort(page_list *list)
{
    size_t n = list->count, bytes = n * sizeof *list->items + 1;
    page_share *share = list->names.share;
    if (!page_share_grow(share, bytes)) return false;
    page_item *from = list->items, *to = (page_item *)malloc(bytes), *spare = to;
    for (size_t width = 1; to && width < n && !(n > PAGE_GLANCE && page_share_gone(share)); width *= 2) {
        for (size_t at = 0; at < n;) {
            size_t a = at, middle = n - at > width ? at + width : n, b = middle,
                   end = n - middle > width ? middle + width : n;
            for (; at < end; at++) {
                bool first = b == end || (a < middle && page_compare(list, &from[a], &from[b]) <= 0);
                to[at] = from[first ? a++ : b++];
            }
        }
        page_item *swap = from;
        from = to;
        to = swap;
    }
    if (spare && n && from != list->items) memcpy(list->items, from, n * sizeof *from);
    free(spare);
    page_share_shrink(share, bytes);
    return spare && !(share && share->gone);
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-page   A listing as HTML and as JSON.
// ---------------------------------------------------------------------------------------------------------

// Its one style sheet; the policy below lets the browser use nothing else. Changed: tests/test_serve.c says the new hash.
// clang-format off
static const char page_style[] =
    ":root{color-scheme:light dark;--back:#fff;--text:#1f2328;--dim:#656d76;--line:#e4e7eb;--link:#0a58ca;--over:#f4f6f8;--folder:#e0aa33;--file:#c6cdd5}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#15181c;--text:#e3e6ea;--dim:#9199a3;--line:#2a2f36;--link:#85b4ff;--over:#1d2126;--folder:#c9973a;--file:#57606b}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:60rem;padding:2.2rem 1.2rem;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}\n"
    "a{color:inherit;text-decoration:none}\n"
    "a:hover{color:var(--link)}\n"
    "a:focus-visible{outline:2px solid var(--link);outline-offset:-2px;border-radius:4px}\n"
    "h1{margin:0 .6rem 1.4rem;font-size:1.25rem;font-weight:400;overflow-wrap:anywhere}\n"
    "h1 a,h1 span,h1 i{color:var(--dim)}\n"
    "h1 i{margin:0 .4em;font-style:normal}\n"
    "table{width:100%;border-collapse:collapse;table-layout:fixed}\n"
    "th{padding:0;border-bottom:1px solid var(--line);color:var(--dim);font-size:.8rem;font-weight:500;text-align:left}\n"
    "th a{display:block;padding:.4rem .6rem}\n"
    "th:nth-child(2){width:7rem}\n"
    "th:nth-child(3){width:11rem}\n"
    "th[aria-sort=ascending] a::after{content:\" \\2191\"}\n"
    "th[aria-sort=descending] a::after{content:\" \\2193\"}\n"
    "td{padding:0 .6rem;vertical-align:baseline;border-bottom:1px solid var(--line);color:var(--dim);font-size:.9rem;font-variant-numeric:tabular-nums}\n"
    "td:nth-child(2),th:nth-child(2){text-align:right}\n"
    "td:first-child{padding:0;color:var(--text);font-size:1rem;overflow-wrap:anywhere;unicode-bidi:isolate}\n"
    "td a{display:block;padding:.42rem .6rem .42rem 2.3rem;background:linear-gradient(225deg,#0000 .25rem,var(--file) 0) .72rem .66rem/.8rem 1rem no-repeat}\n"
    ".d a{background:linear-gradient(var(--folder) 0 0) .6rem .76rem/.55rem .5rem no-repeat,linear-gradient(var(--folder) 0 0) .6rem .92rem/1.1rem .72rem no-repeat}\n"
    ".u a{padding-left:.8rem;background:none;color:var(--dim)}\n"
    ".u a::before{content:\"\\2191\";display:inline-block;width:1.5rem}\n"
    "tr:hover td{background:var(--over)}\n"
    ".e td{padding:2rem .6rem;text-align:center;color:var(--dim);font-size:1rem}\n"
    "footer{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 2rem;padding:.8rem .6rem;color:var(--dim);font-size:.8rem}\n"
    "footer p{margin:0}\n"
    "footer a{margin-right:1em;text-decoration:underline}\n"
    "@media(max-width:36rem){\n"
    "body{padding:1rem .4rem}\n"
    "table,thead,tbody{display:block}\n"
    "tr{display:flex;flex-wrap:wrap;border-bottom:1px solid var(--line)}\n"
    "th:nth-child(n){width:auto;border:0}\n"
    "td:nth-child(n){padding:0 0 .4rem;border:0;font-size:.8rem}\n"
    "td:first-child{width:100%;padding:0;font-size:1rem}\n"
    "td:nth-child(2){padding-left:2.3rem}\n"
    "td:nth-child(2):not(:empty){padding-right:1.2rem}\n"
    "td a{margin-bottom:-1.7rem;padding-bottom:1.7rem}\n"
    "td:nth-child(n+2){pointer-events:none}\n"
    ".u a{margin:0;padding-bottom:0}\n"
    ".e td{padding:1rem 0}\n"
    "tr:hover td{background:none}\n"
    "}\n";
// clang-format on
#define PAGE_STYLE_HASH "oUCy05ZeIFmikI6lrJdc9J6GcYGUgoSzNxTAVt/pSpQ="
#define PAGE_POLICY                                                                                     \
    "default-src 'none'; style-src 'sha256-" PAGE_STYLE_HASH "'; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'"

// What stands above and below the names.
typedef struct page_view {
    fsv_str path;      // of the URL, decoded; it ends with a slash
    fsv_str host;      // as the client calls this server
    size_t prefix_len; // of the path that leads to the folder; what stands between it and "/" is nobody's
} page_view;

static void page_put_up(page_text *text, size_t levels)
{
    if (levels == 0) page_puts(text, "./");
    for (size_t i = 0; i < levels; i++) page_puts(text, "../");
}

// The way from the top to here, as links that work behind a proxy's prefix too. Returns how many levels up the parent is,
// 0: there is none.
static size_t page_put_crumbs(page_text *text, const page_view *view)
{
    fsv_str path = view->path;
    size_t up = 0, parent = 0;
    for (size_t i = 0; i < path.len; i++) up += path.ptr[i] == '/';
    for (size_t at = 0, end; at < path.len; at = end + 1) {
        for (end = at; end < path.len && path.ptr[end] != '/';) end++;
        if (up) up--;
        if (at && end == at) continue; // an empty segment stands for nothing
        fsv_str name = {path.ptr + at, end - at};
        bool last = end + 1 >= path.len, link = !last && (at == 0 || end >= view->prefix_len);
        if (at == 0 && view->host.len) name = view->host;
        if (at) page_puts(text, "<i>/</i>");
        page_puts(text, last ? "<b>" : link ? "<a href=\"" : "<span>");
        if (link) page_put_up(text, up);
        if (link) page_puts(text, "\">");
        if (link) parent = up;
        page_put_html(text, name);
        page_puts(text, last ? "</b>" : link ? "</a>" : "</span>");
    }
    return parent;
}

// The head of a column sorts by it; once more, the other way round. Sizes and times begin with the greatest.
static void page_put_column(page_text *text, const page_list *list, page_key key, const char *label)
{
    bool here = list->key == key, down = here ? !list->down : key != PAGE_BY_NAME;
    page_puts(text, here ? list->down ? "<th aria-sort=descending>" : "<th aria-sort=ascending>" : "<th>");
    page_puts(text, "<a href=\"?sort=");
    page_puts(text, page_keys[key]);
    page_puts(text, down ? "&amp;order=desc\">" : "&amp;order=asc\">");
    page_puts(text, label);
    page_puts(text, "</a>");
}

static void page_put_row(page_text *text, const page_list *list, const page_item *item)
{
    char time[24];
    fsv_str name = {page_name(list, item), item->name_len};
    page_puts(text, item->is_folder ? "<tr class=d><td><a href=\"" : "<tr><td><a href=\"");
    page_put_path(text, name);
    page_puts(text, item->is_folder ? "/\">" : "\">");
    page_put_html(text, name);
    page_puts(text, item->is_folder ? "/</a><td><td>" : "</a><td title=\"");
    if (!item->is_folder) {
        page_put_count(text, item->size, "byte");
        page_puts(text, "\">");
        page_put_size(text, item->size);
        page_puts(text, "<td>");
    }
    if (!item->mounted) {
        page_time(time, item->modified_s);
        page_puts(text, "<time datetime=\"");
        page_puts(text, time);
        page_puts(text, "\">");
        page_put(text, time, 10);
        page_puts(text, " ");
        page_put(text, time + 11, 5);
        page_puts(text, "</time>");
    }
    page_puts(text, "\n");
}

static void page_put_foot(page_text *text, const page_list *list)
{
    size_t folders = 0;
    for (size_t i = 0; i < list->count; i++) folders += list->items[i].is_folder;
    page_puts(text, "</table>\n<footer><p>");
    if (list->cut) page_puts(text, "There is more; only these are shown: ");
    if (folders) page_put_count(text, folders, "folder");
    if (folders) page_puts(text, ", ");
    page_put_count(text, list->count - folders, "file");
    page_puts(text, ", <span title=\"");
    page_put_count(text, list->bytes, "byte");
    page_puts(text, "\">");
    page_put_size(text, list->bytes);
    page_puts(text, "</span><p><a href=\"?format=json\">JSON</a> fastserve " FSV_VERSION "</footer>\n");
}

// Whether the row is still wanted, and there is room for it.
static bool page_goes_on(page_text *text, size_t row)
{
    text->failed = text->failed || (row % PAGE_GLANCE == PAGE_GLANCE - 1 && page_share_gone(text->share));
    return !text->failed;
}

static void page_write_html(page_text *text, const page_list *list, const page_view *view)
{
    page_puts(text, "<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n<title>");
    page_put_html(text, view->host);
    page_put_html(text, view->path);
    page_puts(text, "</title>\n<meta name=viewport content=\"width=device-width\">\n<style>");
    page_puts(text, page_style);
    page_puts(text, "</style>\n<h1>");
    size_t parent = page_put_crumbs(text, view);
    page_puts(text, "</h1>\n<table>\n<thead><tr>");
    page_put_column(text, list, PAGE_BY_NAME, "Name");
    page_put_column(text, list, PAGE_BY_SIZE, "Size");
    page_put_column(text, list, PAGE_BY_TIME, "Modified, UTC");
    page_puts(text, "\n<tbody>\n");
    if (parent) {
        page_puts(text, "<tr class=u><td><a href=\"");
        page_put_up(text, parent);
        page_puts(text, "\">Parent folder</a><td><td>\n");
    }
    if (!list->count) page_puts(text, "<tr class=e><td colspan=3>This folder is empty.\n");
    for (size_t i = 0; i < list->count && page_goes_on(text, i); i++) page_put_row(text, list, &list->items[i]);
    page_put_foot(text, list);
}

// {"path": "/", "entries": [{"name": "a", "type": "file", "size": 1, "modified": "2024-05-06T07:08:09Z"}]}
static void page_write_json(page_text *text, const page_list *list, const page_view *view)
{
    char time[24];
    page_puts(text, "{\"path\": \"");
    page_put_text(text, view->path, page_json_byte);
    page_puts(text, list->cut ? "\", \"cut\": true, \"entries\": [" : "\", \"entries\": [");
    for (size_t i = 0; i < list->count && page_goes_on(text, i); i++) {
        const page_item *item = &list->items[i];
        fsv_str name = {page_name(list, item), item->name_len};
        page_puts(text, i ? ",\n {\"name\": \"" : "\n {\"name\": \"");
        page_put_text(text, name, page_json_byte);
        page_puts(text,
                  item->is_folder ? "\", \"type\": \"folder\", \"size\": null" : "\", \"type\": \"file\", \"size\": ");
        if (!item->is_folder) page_put_number(text, item->size);
        page_time(time, item->modified_s);
        page_puts(text, ", \"modified\": ");
        page_puts(text, item->mounted ? "null" : "\"");
        if (!item->mounted) page_puts(text, time);
        page_puts(text, item->mounted ? "}" : "\"}");
    }
    page_puts(text, "]}\n");
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-mounts   What folders stand where, and what is done with every request.
// ---------------------------------------------------------------------------------------------------------

#define SERVE_MOUNTS_MAX 16
#define SERVE_LOGIN_MAX 1024 // of USER:PASS in base64

typedef struct serve_site serve_site;

typedef struct serve_mount {
    const serve_site *site;
    const char *path; // of the folder, as it was typed
    char prefix[200]; // "/docs"; empty: at "/"
    size_t prefix_len;
} serve_mount;

// Fixed before the server runs. Lists are terminated strings in a row.
struct serve_site {
    serve_mount mounts[SERVE_MOUNTS_MAX];
    uint32_t mount_count;
    bool demo, no_listing, hidden, follow_symlinks, sendfile, no_precompressed, spa, cors; // as the options say
    bool check_host; // a request for a host that is not ours gets a 421
    const char *index;
    char cache[256];             // Cache-Control of files; empty: what is usual here
    char login[SERVE_LOGIN_MAX]; // base64 of USER:PASS, zeros behind it
    char user[SERVE_LOGIN_MAX];
    size_t login_len;  // 0: anybody may
    char fields[8192]; // of every answer: name, value, name, value
    size_t fields_len;
    char hosts[2048];
    size_t hosts_len;
    char types[4096]; // lines of "ext=type"
    size_t types_len;
    char why[128]; // what is wrong with an option
};

static void serve_base64(char *out, const char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t left = (uint32_t)(len - i), three = (uint32_t)(uint8_t)bytes[i] << 16;
        if (left > 1) three |= (uint32_t)(uint8_t)bytes[i + 1] << 8;
        if (left > 2) three |= (uint8_t)bytes[i + 2];
        *out++ = digits[three >> 18];
        *out++ = digits[three >> 12 & 63];
        *out++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[three & 63] : '=';
    }
    *out = 0;
}

// Appends a string to a list of strings in a row. False: it does not fit.
static bool serve_keep(char *list, size_t size, size_t *len, const char *string, size_t string_len)
{
    if (string_len >= size - *len) return false;
    memcpy(list + *len, string, string_len);
    list[*len + string_len] = 0;
    *len += string_len + 1;
    return true;
}

// The parsers below return NULL, or what is wrong.

// The first line of the file that --auth @FILE names. False: site->why says why not.
static bool serve_read_login(serve_site *site, const char *path, char *line, int size)
{
    errno = 0;
    FILE *file = bench_os_open(path, "rb");
    bool read = file && fgets(line, size, file), failed = !file || ferror(file);
    int error = errno;
    if (file) (void)fclose(file);
    if (failed)
        (void)snprintf(site->why, sizeof site->why, "cannot be read: %s",
                       error ? strerror(error) : "no reason is told");
    else
        (void)snprintf(site->why, sizeof site->why, "its first line is empty; there it wants USER:PASS");
    if (read) line[strcspn(line, "\r\n")] = 0;
    return !failed && read && line[0];
}

// --auth USER:PASS, or @FILE: the first line of a file, which other users of the machine need not see
static const char *serve_set_login(serve_site *site, const char *login)
{
    char line[SERVE_LOGIN_MAX] = "";
    if (login[0] == '@') {
        if (!serve_read_login(site, login + 1, line, sizeof line)) return site->why;
        login = line;
    }
    size_t len = strlen(login);
    const char *colon = strchr(login, ':');
    if (!colon || colon == login || !colon[1]) return "wants USER:PASS, neither of them empty, or @FILE with that";
    if (len / 3 * 4 + 4 >= sizeof site->login) return "is too long";
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)login[i] < 32 || login[i] == 127) return "takes no control bytes";
    memset(site->login, 0, sizeof site->login);
    serve_base64(site->login, login, len);
    site->login_len = strlen(site->login);
    (void)snprintf(site->user, sizeof site->user, "%.*s", (int)(colon - login), login);
    return NULL;
}

// --header 'NAME: VALUE'
static const char *serve_add_field(serve_site *site, const char *field)
{
    // What answers have already, and could have twice.
    static const char *const own[] = {"content-type",  "content-encoding", "content-range",
                                      "accept-ranges", "last-modified",    "etag",
                                      "location",      "www-authenticate"};
    const char *colon = strchr(field, ':'), *value = colon ? colon + 1 : NULL;
    if (!colon) return "wants a name and a value, as in 'X-Frame-Options: DENY'";
    size_t name_len = (size_t)(colon - field), value_len;
    while (*value == ' ' || *value == '\t') value++;
    for (value_len = strlen(value); value_len && strchr(" \t", value[value_len - 1]);) value_len--;
    if (!fsi_field_is_clean(field, name_len, "", 0)) return "the name has a byte that is not allowed there";
    if (!fsi_field_is_clean(field, name_len, value, value_len)) return "the value has a control byte";
    if (FSI_IS(field, name_len, "content-type")) return "types are given with --mime";
    if (FSI_IS(field, name_len, "cache-control")) return "this field is given with --cache";
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (fsi_is(field, name_len, own[i], strlen(own[i]))) return "the server writes this field itself";
    if (fsi_field_is_ours(field, name_len)) return "the server writes this field itself";
    if (!serve_keep(site->fields, sizeof site->fields, &site->fields_len, field, name_len) ||
        !serve_keep(site->fields, sizeof site->fields, &site->fields_len, value, value_len))
        return "all of them together are too long";
    return NULL;
}

// --cache: "1h" is max-age=3600; off; or the value itself
static const char *serve_set_cache(serve_site *site, const char *value)
{
    static const uint32_t units[] = {1, 1, 60, 3600, 86400};
    size_t digits = strspn(value, "0123456789"), len = strlen(value);
    uint64_t seconds = 0;
    const char *unit = len == digits ? "" : strchr("smhd", value[digits]);
    if (strcmp(value, "off") == 0) value = "no-store";
    if (digits && unit && len <= digits + 1 && fsi_number(value, digits, &seconds) && seconds <= UINT32_MAX / 86400) {
        seconds *= units[*unit ? strcspn("smhd", unit) + 1 : 0];
        (void)snprintf(site->cache, sizeof site->cache, "max-age=%llu", (unsigned long long)seconds);
        return NULL;
    }
    if (!(fsi_lower(value[0]) >= 'a' && fsi_lower(value[0]) <= 'z') || !fsi_field_is_clean("c", 1, value, len))
        return "wants seconds, a time such as 10m, 1h or 7d, or a value such as no-store";
    if (len >= sizeof site->cache) return "is too long";
    (void)snprintf(site->cache, sizeof site->cache, "%s", value);
    return NULL;
}

// Of "md .markdown", len bytes, to out: "md markdown", terminated. Returns what is wrong.
static const char *serve_put_extensions(char *out, const char *names, size_t len)
{
    char *end = out;
    for (size_t at = 0, n; at < len; at += n) {
        n = 1;
        if (names[at] == ' ') continue;
        at += names[at] == '.';
        for (n = 0; at + n < len && names[at + n] != ' '; n++) {
            uint8_t c = (uint8_t)names[at + n];
            if (c < 32 || c == 127) return "an extension has no control bytes";
            if (c == '.') return "an extension has no dot in it";
            if (strchr(",;*/\\", c))
                return "an extension has no comma, semicolon, star or slash; several have spaces between";
        }
        if (n == 0) return "a dot alone is no extension";
        if (end > out) *end++ = ' ';
        end = fsi_put(end, names + at, n);
    }
    *end = 0;
    return end > out ? NULL : "wants EXT=TYPE, as in md=text/plain";
}

// --mime 'EXT ...=TYPE'. What is given last stands first, since the first one counts.
static const char *serve_add_type(serve_site *site, const char *line)
{
    char full[512];
    const char *equals = strchr(line, '=');
    if (!equals || equals == line || !equals[1]) return "wants EXT=TYPE, as in md=text/plain";
    const char *type = equals + 1, *slash = strchr(type, '/');
    size_t type_len = strlen(type), len;
    if (equals - line > 200 || type_len > 200) return "is too long";
    const char *wrong = serve_put_extensions(full, line, (size_t)(equals - line));
    if (wrong) return wrong;
    if (!fsi_field_is_clean("t", 1, type, type_len)) return "the type has a control byte";
    if (!slash) return "a type has a slash, as in text/plain";
    if (slash == type || !slash[1]) return "a type has something on both sides of its slash, as in text/plain";
    const char *at = type, *end = type + type_len;
    FSI_SPAN(at, end, FSI_TCHAR);
    if (at == slash) at++;
    FSI_SPAN(at, end, FSI_TCHAR);
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    if (at != end && *at != ';') return "is more than one type, or none; repeat the option for another";
    bool text = strncmp(type, "text/", 5) == 0 && !strchr(type, ';');
    len = strlen(full);
    len += (size_t)snprintf(full + len, sizeof full - len, "=%s%s", type, text ? "; charset=utf-8" : "");
    if (len >= sizeof site->types - site->types_len) return "there are too many";
    if (site->types_len) full[len++] = '\n'; // one text, of lines
    memmove(site->types + len, site->types, site->types_len);
    memcpy(site->types, full, len);
    site->types_len += site->types_len ? len : len + 1;
    return NULL;
}

// --host NAME
static const char *serve_add_host(serve_site *site, const char *name)
{
    size_t len = strlen(name);
    if (len && name[len - 1] == '.') len--;
    bool fine = len > 0;
    for (size_t i = 0; i < len; i++)
        fine = fine && (strchr("-._", name[i]) || (name[i] >= '0' && name[i] <= '9') ||
                        (fsi_lower(name[i]) >= 'a' && fsi_lower(name[i]) <= 'z'));
    if (!fine) return "wants a name without a port, such as files.example";
    return serve_keep(site->hosts, sizeof site->hosts, &site->hosts_len, name, len) ? NULL : "there are too many";
}

// DIR, at "/", or --mount /PREFIX=DIR
static const char *serve_add_mount(serve_site *site, const char *prefix, size_t len, const char *path)
{
    serve_mount *mount = &site->mounts[site->mount_count];
    if (site->mount_count == SERVE_MOUNTS_MAX) return "there are too many folders, at most 16";
    if (!*path) return "names no folder";
    while (len && prefix[len - 1] == '/') len--;
    if (len >= sizeof mount->prefix) return "is too long";
    for (size_t at = 0, end; at < len; at = end) {
        for (end = at + 1; end < len && prefix[end] != '/';) end++;
        fsv_str name = {prefix + at + 1, end - at - 1};
        if (prefix[at] != '/' || !name.len || strchr(":.*", *name.ptr)) return "wants /NAME=DIR, as in /docs=./doc";
        for (size_t i = 0; i < name.len; i++)
            if ((uint8_t)name.ptr[i] < 32 || strchr("%?#\\\177", name.ptr[i]))
                return "the name has a byte that paths cannot";
    }
    for (uint32_t i = 0; i < site->mount_count; i++)
        if (site->mounts[i].prefix_len == len && memcmp(site->mounts[i].prefix, prefix, len) == 0)
            return len ? "another folder stands there" : "only one folder stands at /; others: --mount /NAME=DIR";
    memset(mount, 0, sizeof *mount);
    memcpy(mount->prefix, prefix, len);
    mount->prefix_len = len;
    mount->path = path;
    site->mount_count++;
    return NULL;
}

// --mount /PREFIX=DIR; "/=DIR" is DIR.
static const char *serve_parse_mount(serve_site *site, const char *value)
{
    const char *equals = strchr(value, '=');
    if (value[0] != '/' || !equals) return "wants /NAME=DIR, as in /docs=./doc";
    return serve_add_mount(site, value, (size_t)(equals - value), equals + 1);
}

static bool serve_has_root(const serve_site *site)
{
    for (uint32_t i = 0; i < site->mount_count; i++)
        if (!site->mounts[i].prefix_len) return true;
    return false;
}

static bool serve_has_field(const serve_site *site, const char *lower)
{
    for (const char *name = site->fields; name < site->fields + site->fields_len;) {
        if (fsi_is(name, strlen(name), lower, strlen(lower))) return true;
        name += strlen(name) + 1;
        name += strlen(name) + 1;
    }
    return false;
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-guard   Before a route is looked for: Host, password, other sites.
// ---------------------------------------------------------------------------------------------------------

static bool serve_is_ipv4(const char *text, size_t len)
{
    uint32_t numbers = 0;
    for (size_t at = 0, end; at <= len; at = end + 1) {
        uint64_t number;
        for (end = at; end < len && text[end] != '.';) end++;
        if (end - at > 3 || !fsi_number(text + at, end - at, &number) || number > 255) return false;
        numbers++;
    }
    return numbers == 4;
}

// A Host, with or without a port, that no name server of somebody else can lead here: a page of theirs cannot read what we
// serve by calling us by its own name. A client without one is no browser.
static bool serve_host_fits(const serve_site *site, fsv_str host)
{
    const char *end = host.len ? host.ptr + host.len : NULL, *name = host.ptr;
    if (!host.len) return true;
    if (*name == '[') {
        const char *close = (const char *)memchr(name, ']', host.len);
        if (!close || (close + 1 < end && close[1] != ':')) return false;
        for (const char *c = name + 1; c < close; c++)
            if (fsi_hex(*c) < 0 && *c != ':' && *c != '.') return false;
        return memchr(name, ':', (size_t)(close - name)) != NULL;
    }
    size_t len = 0;
    while (name + len < end && name[len] != ':') len++;
    if (len && name[len - 1] == '.') len--;
    if (FSI_IS(name, len, "localhost") || serve_is_ipv4(name, len)) return true;
    for (const char *ours = site->hosts; ours < site->hosts + site->hosts_len; ours += strlen(ours) + 1)
        if (strlen(ours) == len && fsi_same_nocase(ours, name, len)) return true;
    return false;
}

// Takes the same time whatever is given, how long it is included.
static bool serve_same_secret(const char *secret, size_t secret_len, const char *given, size_t given_len)
{
    char copy[SERVE_LOGIN_MAX];
    size_t different = secret_len ^ given_len;
    memset(copy, 0, sizeof copy);
    memcpy(copy, given, given_len < sizeof copy ? given_len : sizeof copy);
    const volatile char *a = secret, *b = copy; // every byte is looked at
    for (size_t i = 0; i < sizeof copy; i++) different |= (size_t)(a[i] ^ b[i]) & 255;
    return different == 0;
}

static bool serve_logged_in(const serve_site *site, fsv_str credentials)
{
    size_t at = 5;
    if (credentials.len < 6 || !FSI_IS(credentials.ptr, 5, "basic")) return false;
    if (credentials.ptr[5] != ' ') return false;
    while (at < credentials.len && credentials.ptr[at] == ' ') at++;
    return serve_same_secret(site->login, site->login_len, credentials.ptr + at, credentials.len - at);
}

static bool serve_by_unix(const fsv_request *request)
{
    char peer[64];
    return fsv_request_peer(request, peer, sizeof peer) >= 5 && memcmp(peer, "unix:", 5) == 0;
}

// A browser asks whether a page of another site may do what it is about to do.
static bool serve_is_preflight(const fsv_request *request)
{
    fsv_str method = fsv_request_method(request), value;
    return FSI_IS(method.ptr, method.len, "options") && fsv_request_field(request, "Origin", &value) &&
           fsv_request_field(request, "Access-Control-Request-Method", &value);
}

static void serve_preflight(fsv_request *request, const serve_site *site)
{
    bool demo = site->demo || !site->mount_count;
    (void)fsv_response_field(request, "Access-Control-Allow-Methods",
                             demo ? "GET, HEAD, POST, PUT, PATCH, DELETE" : "GET, HEAD");
    (void)fsv_response_field(request, "Access-Control-Allow-Headers", "*, Authorization");
    (void)fsv_response_field(request, "Access-Control-Max-Age", "600");
    fsv_respond(request, 204, NULL, NULL, 0);
}

static void serve_every_request(fsv_request *request, const serve_site *site)
{
    fsv_str login = {NULL, 0};
    for (const char *name = site->fields; name < site->fields + site->fields_len;) {
        const char *value = name + strlen(name) + 1;
        (void)fsv_response_field(request, name, value);
        name = value + strlen(value) + 1;
    }
    if (site->cors) {
        (void)fsv_response_field(request, "Access-Control-Allow-Origin", "*");
        (void)fsv_response_field(request, "Access-Control-Expose-Headers", "*");
    }
    if (site->check_host && !serve_host_fits(site, fsv_request_host(request)) && !serve_by_unix(request)) {
        fsv_respond_text(request, 421, "This server does not go by that name; --host NAME lets it.\n");
    } else if (site->cors && serve_is_preflight(request)) {
        serve_preflight(request, site); // comes without a login, always
    } else if (site->login_len) {
        (void)fsv_request_field(request, "Authorization", &login);
        if (serve_logged_in(site, login)) return;
        (void)fsv_response_field(request, "WWW-Authenticate", "Basic realm=\"fastserve\", charset=\"UTF-8\"");
        fsv_respond_text(request, 401, "A login is needed here.\n");
    }
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-listing   What is not a file.
// ---------------------------------------------------------------------------------------------------------

// user: for how many KiB it counts
static void serve_release(void *memory, void *user)
{
    uint32_t kib = (uint32_t)(uintptr_t)user;
    page_share_sub(kib > PAGE_SMALL_KIB, kib);
    free(memory);
}

// Others have to take theirs first; or there is no memory; or nobody is there any more to read this.
static void serve_respond_later(fsv_request *request, const page_share *share)
{
    (void)fsv_response_field(request, "Retry-After", "1");
    fsv_respond_text(request, 503, share->full ? "Too many listings at a time.\n" : "Out of memory.\n");
}

// Other folders of this server that stand below this path, with what stands in their way.
static void serve_list_mounts(page_list *list, const serve_site *site, const page_text *here)
{
    for (uint32_t i = 0; i < site->mount_count; i++) {
        const serve_mount *mount = &site->mounts[i];
        if (mount->prefix_len <= here->len || memcmp(mount->prefix, here->ptr, here->len) != 0) continue;
        fsv_str name = {mount->prefix + here->len, mount->prefix_len - here->len};
        page_item item, *same = NULL;
        memset(&item, 0, sizeof item);
        item.is_folder = item.mounted = true;
        for (size_t k = 0; k < list->count && !same; k++)
            if (strcmp(page_name(list, &list->items[k]), name.ptr) == 0) same = &list->items[k];
        if (!same) {
            (void)page_list_add(list, name, item);
            continue;
        }
        list->bytes -= same->size;
        same->size = 0;
        same->is_folder = same->mounted = true;
    }
}

// In which order, as ?sort= and ?order= ask.
static void serve_list_order(page_list *list, const fsv_request *request)
{
    char sort[8] = "", order[8] = "";
    if (fsv_request_query_value(request, "sort", sort, sizeof sort) < 0) sort[0] = 0;
    if (fsv_request_query_value(request, "order", order, sizeof order) < 0) order[0] = 0;
    for (int key = PAGE_BY_NAME; key <= PAGE_BY_TIME; key++)
        if (strcmp(sort, page_keys[key]) == 0) list->key = (page_key)key;
    list->down = strcmp(order, "desc") == 0;
}

// The list is freed, before the page waits for its client.
static void serve_respond_list(fsv_request *request, page_list *list, const page_view *view)
{
    page_share *share = list->names.share;
    page_text text;
    fsv_str accept = {NULL, 0};
    char format[8];
    memset(&text, 0, sizeof text);
    text.share = share;
    if (fsv_request_query_value(request, "format", format, sizeof format) < 0) format[0] = 0;
    (void)fsv_request_field(request, "Accept", &accept);
    bool json = page_wants_json(accept, format);
    if (json)
        page_write_json(&text, list, view);
    else
        page_write_html(&text, list, view);
    page_list_free(list);
    if (text.failed) {
        page_free(&text);
        serve_respond_later(request, share);
        return;
    }
    page_trim(&text);
    list->names.share = NULL; // serve_release's from here on
    (void)fsv_response_field(request, "Cache-Control", "no-cache");
    (void)fsv_response_field(request, "Vary", "Accept");
    (void)fsv_response_field(request, "X-Content-Type-Options", "nosniff");
    if (!json) (void)fsv_response_field(request, "Content-Security-Policy", PAGE_POLICY);
    fsv_respond_owned(request, 200, json ? "application/json" : "text/html; charset=utf-8", text.ptr, text.len,
                      serve_release, (void *)(uintptr_t)share->kib);
}

// Answers with the names below path, which ends with a slash or is empty; without a folder, with the mounts alone.
static void serve_listing(fsv_request *request, const serve_site *site, const serve_mount *mount,
                          const fsv_folder *folder, const char *path)
{
    page_list list;
    page_text here;
    page_share share;
    page_view view = {fsv_request_path(request), fsv_request_host(request), mount ? mount->prefix_len : 0};
    memset(&list, 0, sizeof list);
    memset(&here, 0, sizeof here);
    memset(&share, 0, sizeof share);
    share.request = request;
    list.names.share = &share;
    serve_list_order(&list, request);
    fsv_result result = folder ? fsv_folder_list(folder, path, page_list_entry, &list) : FSV_OK;
    if (mount) page_put(&here, mount->prefix, mount->prefix_len);
    page_puts(&here, "/");
    page_puts(&here, path);
    if (!here.failed) serve_list_mounts(&list, site, &here);
    if (result == FSV_ERR_PERMISSION)
        fsv_respond_text(request, 403, "The server may not read this folder.\n");
    else if (result == FSV_ERR_NOT_FOUND)
        fsv_respond_text(request, 404, "Not Found\n");
    else if (result != FSV_OK && result != FSV_ERR_MEMORY)
        fsv_respond_text(request, 500, "The system does not list this folder.\n");
    else if (result || list.failed || here.failed || !page_sort(&list))
        serve_respond_later(request, &share);
    else
        serve_respond_list(request, &list, &view);
    page_list_free(&list);
    free(here.ptr);
}

// GET / where no folder stands: the way to those that stand elsewhere.
static void serve_top(fsv_request *request, void *user)
{
    serve_listing(request, (const serve_site *)user, NULL, NULL, "");
}

static void serve_on_missing(fsv_request *request, fsv_folder *folder, fsv_missing why, fsv_str path, void *user)
{
    const serve_mount *mount = (const serve_mount *)user;
    const serve_site *site = mount->site;
    fsv_str accept = {NULL, 0}, browser;
    size_t name = path.len;
    while (name && path.ptr[name - 1] != '/') name--;
    (void)fsv_request_field(request, "Accept", &accept);
    if (site->spa)
        (void)fsv_response_field(request, "Vary", "Accept, Sec-Fetch-Dest"); // beside the Accept-Encoding of a file
    if (why == FSV_MISSING_INDEX && !site->no_listing && !site->spa)
        serve_listing(request, site, mount, folder, path.ptr);
    else if (site->spa && page_is_wanted(accept, fsv_folder_type(folder, path.ptr + name),
                                         fsv_request_field(request, "Sec-Fetch-Dest", &browser)))
        fsv_respond_file(request, folder, site->index ? site->index : "index.html", 200);
    else
        fsv_respond_file(request, folder, "404.html", 404);
}

// "/docs" is "/docs/", as it is with every folder. Relative, for proxies that add a prefix.
static const char *serve_cache(const serve_site *site)
{
    return site->cache[0] ? site->cache : "no-cache";
}

static void serve_slash(fsv_request *request, void *user)
{
    const serve_mount *mount = (const serve_mount *)user;
    const char *last = strrchr(mount->prefix, '/') + 1;
    fsv_str name = {last, strlen(last)}, query = fsv_request_query(request);
    page_text to;
    memset(&to, 0, sizeof to);
    page_put_path(&to, name);
    page_puts(&to, query.len ? "/?" : "/");
    page_put(&to, query.ptr, query.len);
    page_put(&to, "", 1);
    fsv_result result = to.failed ? FSV_ERR_MEMORY : fsv_response_field(request, "Location", to.ptr);
    if (result == FSV_OK) {
        (void)fsv_response_field(request, "Cache-Control", serve_cache(mount->site)); // else browsers keep it
        fsv_respond_text(request, 301, "301 Moved Permanently\n");
    } else if (result == FSV_ERR_LIMIT) {
        fsv_respond_text(request, 414, "414 URI Too Long\n");
    }
    free(to.ptr); // without an answer the library gives one, a 500
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-routes   The routes of the folders.
// ---------------------------------------------------------------------------------------------------------

static bool serve_list_nothing(const fsv_entry *entry, void *user)
{
    (void)entry, (void)user;
    return false;
}

// Ends the listing at the name that `user` points to, and sets it to NULL.
static bool serve_list_until(const fsv_entry *entry, void *user)
{
    const char **name = (const char **)user;
    if (entry->is_folder || strcmp(entry->name.ptr, *name) != 0) return true;
    *name = NULL;
    return false;
}

// FSV_ERR_PERMISSION also if it could be served but not listed.
static fsv_result serve_add_folder(fsv_server *server, const serve_site *site, serve_mount *mount)
{
    char pattern[sizeof mount->prefix + 2];
    fsv_folder_desc desc;
    memset(&desc, 0, sizeof desc);
    mount->site = site;
    (void)snprintf(pattern, sizeof pattern, "%s/*", mount->prefix);
    desc.pattern = pattern;
    desc.path = mount->path;
    desc.index = site->index;
    desc.cache_control = serve_cache(site);
    desc.types = site->types_len ? site->types : NULL;
    desc.hidden = site->hidden;
    desc.follow_symlinks = site->follow_symlinks;
    desc.sendfile = site->sendfile;
    desc.precompressed = !site->no_precompressed;
    desc.on_missing = serve_on_missing;
    desc.user = mount;
    fsv_folder *folder = NULL;
    fsv_result result = fsv_server_folder(server, &desc, &folder);
    if (result == FSV_OK && !site->no_listing) result = fsv_folder_list(folder, "", serve_list_nothing, NULL);
    const char *index = site->index ? site->index : "index.html";
    if (result == FSV_OK && site->spa && fsv_folder_list(folder, "", serve_list_until, &index) == FSV_OK && index)
        fprintf(stderr, "fastserve serve: warning: --spa: there is no %s in %s\n", *index ? index : "index",
                mount->path);
    if (result == FSV_OK && mount->prefix_len)
        result = fsv_server_route(server, "GET", mount->prefix, serve_slash, mount);
    return result;
}

// Says why a folder cannot be served, and what to do. Returns the exit code.
static int serve_no_folder(const serve_mount *mount, fsv_result result)
{
    const char *why = fsv_result_text(result);
    if (result == FSV_ERR_NOT_FOUND && strspn(mount->path, "0123456789") == strlen(mount->path))
        why = "there is no such folder; a port is given with -p, as in -p 8080";
    else if (result == FSV_ERR_NOT_FOUND && bench_os_in_way(mount->path))
        why = "this is not a folder; give the one that it stands in";
    else if (result == FSV_ERR_NOT_FOUND)
        why = "there is no such folder; give one that exists, or none at all for the demo";
    else if (result == FSV_ERR_PERMISSION)
        why = "this user may not read the folder; change its permissions, or give another one (with --no-listing it "
              "need not be read, only entered)";
    fprintf(stderr, "fastserve serve: %s: %s\n", mount->path, why);
    return 1;
}

// The routes of all folders. -1: fine, else the exit code.
static int serve_add_folders(fsv_server *server, serve_site *site)
{
    fsv_result result = FSV_OK;
    if (!site->mount_count) return -1;
    for (uint32_t i = 0; i < site->mount_count; i++) {
        result = serve_add_folder(server, site, &site->mounts[i]);
        if (result != FSV_OK) return serve_no_folder(&site->mounts[i], result);
    }
    if (!serve_has_root(site) && !site->demo && !site->no_listing)
        result = fsv_server_route(server, "GET", "/", serve_top, site);
    if (site->demo && result == FSV_OK) result = demo_routes(server, serve_has_root(site));
    if (result == FSV_OK) return -1;
    fprintf(stderr, "fastserve serve: cannot start: %s\n", fsv_result_text(result));
    return 1;
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-options   The command line.
// ---------------------------------------------------------------------------------------------------------

static const char serve_help[] = "Usage: fastserve serve [DIR] [options]               (--help-all: every option)\n"
                                 "Serves the files of a folder; without one the demo, a target for tests and load\n"
                                 "generators. Ctrl-C gives requests that have begun at most 10 s to finish; a\n"
                                 "second one ends it at once.\n"
                                 "\n"
                                 "  -p, --port PORT      0 picks a free one                              (8080)\n"
                                 "  -b, --bind ADDR      address, may be repeated; 0.0.0.0 or :: for everyone\n"
                                 "                       (localhost: 127.0.0.1 and ::1, this machine only)\n"
                                 "      --mount /X=DIR   a folder below /X, beside DIR or alone; may be repeated\n"
                                 "      --spa            pages that are not there are index.html; no listings\n"
                                 "      --no-listing     do not list what is in a folder without index.html\n"
                                 "      --hidden         serve and list names that begin with a dot, too\n"
                                 "      --cache T|VALUE  Cache-Control of files: 10m, 1h, 7d, off, or the value\n"
                                 "                       (no-cache: browsers ask whether a file has changed)\n"
                                 "      --cors           pages of all sites may read what is served\n"
                                 "      --header 'K: V'  a field of every answer; may be repeated\n"
                                 "      --auth USER:PASS asks for a login; or @FILE. No TLS: for trusted networks\n"
                                 "      --host NAME      another name of this server; may be repeated\n"
                                 "      --demo           the demo's routes beside folders\n"
                                 "      --log FILE|-     access log; --log-format common, combined, json (common)\n"
                                 "  -q, --quiet          say nothing but errors;   --help, --version\n"
                                 "Exit: 0 stopped by a signal; 1 usage, no such folder, or cannot listen; 2 no\n"
                                 "--sandbox here; 130 a second Ctrl-C.\n";

static const char serve_help_more[] =
    "\n"
    "FOLDERS  index.html answers for its folder, 404.html at the top for what is not\n"
    "there, with status 404. Listings: ?sort=name|size|time&order=asc|desc; as JSON\n"
    "with Accept: application/json or ?format=json.\n"
    "      --index NAME     instead of index.html; '' for none\n"
    "      --mime EXT=TYPE  md=text/plain, 'md mdx=text/plain'; the last one counts\n"
    "      --follow-symlinks   symbolic links that leave the folder, too\n"
    "      --sendfile          for less CPU time where no file is written to in place\n"
    "      --no-precompressed  never NAME.br, NAME.zst or NAME.gz in place of NAME\n"
    "Only the hosts localhost, IP addresses and --host NAME are served as long as\n"
    "nothing but this machine can connect (with --host, always); others get a 421.\n"
    "So no page of another site can read the folder by a name that leads here.\n"
    "\n"
    "DEMO  / hello, /echo, /stream?chunks=N&size=M, /spin?us=N, /sleep?ms=N, /stats,\n"
    "/metrics.\n"
    "      --echo           raw TCP that sends back what it gets: -b -p -t -q --unix\n"
    "      --law LAW        a target with known delays, to test load generators:\n"
    "                       const:T exp:T uniform:T-T lognormal:MEDIAN/SIGMA\n"
    "                       pareto:T/ALPHA, then ,freeze:T/PERIOD ,seed:N ,spin:1\n"
    "\n"
    "LOG  common, combined (Referer, User-Agent) or json: an object a line, with host\n"
    "and microseconds. SIGHUP opens it anew; on Windows it may be renamed. What could\n"
    "not be written is counted in it.\n"
    "\n"
    "SERVER\n"
    "      --unix PATH      listen on a Unix-domain socket; add -b for both\n"
    "      --reuseport      share the port with others\n"
    "  -t, --threads N      event loops                      (one per usable CPU)\n"
    "      --no-pin         let the system move loops between CPUs\n"
    "      --model NAME     who runs requests: event, pool (-w workers), pool-conn\n"
    "                       (a worker per connection), thread, sync        (event)\n"
    "  -w, --workers N      of event, for /sleep and slow disks, and of pools (16)\n"
    "      --queue-per-worker  of event, pool;  --threads-max N  of thread  (1024)\n"
    "      --sandbox        Linux: once it listens no files but those served and the\n"
    "                       log's folder, no new sockets, no programs; exit 2 where\n"
    "                       the kernel cannot\n"
    "\n"
    "LIMITS  what is beyond is answered 408 413 414 431 503, or cut, and counted\n"
    "      --max-conns N    open connections                               (65536)\n"
    "      --max-per-address N  of them of one IPv4 address or one IPv6 /64, but\n"
    "                       for loopback                  (half of --max-conns)\n"
    "      --max-requests N of one connection                          (no limit)\n"
    "      --max-files N    above 128 KiB being sent at a time   (1/4 descriptors)\n"
    "      --max-head, --max-target BYTES, --max-fields N    (16384, 8192, 100)\n"
    "      --max-body BYTES of a request    (1M; no limit for what comes in pieces)\n"
    "      --head-timeout, --idle-timeout T                            (10s, 60s)\n"
    "      --body-timeout T, --body-rate BYTES   in T at least so many a second must\n"
    "                       come of a body                             (10s, 512)\n"
    "      --send-timeout T, --send-rate BYTES   likewise a reader must take of what\n"
    "                       waits for it                               (30s, 512)\n"
    "      --turn-requests N  pipelined, then others have their turn         (64)\n"
    "BYTES and N take k, M, G (1024 for BYTES); T takes ms, s, m, h (bare: s).\n";

typedef struct serve_options {
    const char *binds[16], *unix_path, *log;
    uint32_t bind_count, port, log_form; // serve_form, + 1
    bool quiet, reuseport, no_pin, echo, port_given, sandbox;
    const char *model; // its name; NULL: not said
    bench_law law;     // of no kind: the demo
    char other[32];    // an option that means nothing with a law; empty: none
    char http[32];     // one that means nothing with --echo
    char folder[32];   // one that means nothing without a folder
    serve_site site;
    fsv_server_desc desc;
} serve_options;

// "10", "1.5k", "2m": value times its unit. False: malformed or too large.
static bool serve_scaled(const char *text, const char *const *units, const double *factors, double max, uint64_t *out)
{
    char *end;
    if (!((*text >= '0' && *text <= '9') || *text == '.')) return false;
    double value = strtod(text, &end);
    for (int i = 0; units[i]; i++)
        if (strlen(end) == strlen(units[i]) && fsi_same_nocase(end, units[i], strlen(end))) {
            value *= factors[i];
            if (!(value >= 0 && value <= max)) return false;
            *out = (uint64_t)(value + 0.5);
            return true;
        }
    return false;
}

static bool serve_count(const char *text, uint64_t max, uint64_t *out)
{
    static const char *const units[] = {"", "k", "m", "g", NULL};
    static const double factors[] = {1, 1e3, 1e6, 1e9};
    return serve_scaled(text, units, factors, (double)max, out);
}

static bool serve_bytes(const char *text, uint64_t max, uint64_t *out)
{
    static const char *const units[] = {"", "b", "k", "kb", "m", "mb", "g", "gb", NULL};
    static const double factors[] = {1, 1, 1024, 1024, 1048576, 1048576, 1073741824, 1073741824};
    return serve_scaled(text, units, factors, (double)max, out);
}

static bool serve_time_ms(const char *text, uint64_t max, uint64_t *out)
{
    static const char *const units[] = {"ms", "", "s", "m", "h", NULL};
    static const double factors[] = {1, 1000, 1000, 60000, 3600000};
    return serve_scaled(text, units, factors, (double)max, out) && *out > 0;
}

// Whether --help says something of an option, rather than --help-all alone: it stands there behind a space.
static bool serve_helps(const char *option)
{
    size_t len = strlen(option);
    if (option[0] != '-') return true; // a folder
    for (const char *at = serve_help; (at = strstr(at, option)) != NULL; at += len)
        if (at > serve_help && at[-1] == ' ' && strchr(" ,;", at[len])) return true;
    return false;
}

// value: what was given, in one line; NULL: not to be shown.
static int serve_bad_value(const char *option, const char *value, const char *why)
{
    char shown[61] = "";
    size_t len = value ? strlen(value) : 0, room = sizeof shown - 1;
    for (size_t i = 0; i < len && i < room; i++) shown[i] = (uint8_t)value[i] < 32 || value[i] == 127 ? '?' : value[i];
    fprintf(stderr, "fastserve serve: %s%s%s%s: %s (see fastserve serve --help%s)\n", *option ? option : "''",
            value ? " " : "", shown, len > room ? "..." : "", why, serve_helps(option) ? "" : "-all");
    return 1;
}

static int serve_bad(const char *option, const char *why)
{
    return serve_bad_value(option, NULL, why);
}

// How requests are run. pool: on workers, all of them.
static const struct {
    const char *name;
    uint32_t model, blocking;
} serve_models[] = {{"event", FSV_MODEL_EVENT, 0},
                    {"pool", FSV_MODEL_EVENT, 1},
                    {"pool-conn", FSV_MODEL_POOL_CONN, 0},
                    {"thread", FSV_MODEL_THREAD, 0},
                    {"sync", FSV_MODEL_SYNC, 0}};

static bool serve_model(const char *name, fsv_server_desc *desc)
{
    for (size_t i = 0; i < sizeof serve_models / sizeof serve_models[0]; i++) {
        if (strcmp(name, serve_models[i].name) != 0) continue;
        desc->model = serve_models[i].model;
        desc->blocking = serve_models[i].blocking;
        return true;
    }
    return false;
}

// Options of the site that have a value, which may be shown unless somebody may not see it.
static const struct {
    const char *name;
    const char *(*take)(serve_site *site, const char *value);
    bool secret;
} serve_site_options[] = {{"--mount", serve_parse_mount, false}, {"--cache", serve_set_cache, false},
                          {"--mime", serve_add_type, false},     {"--header", serve_add_field, true},
                          {"--auth", serve_set_login, true},     {"--host", serve_add_host, false}};

static int serve_site_option(serve_site *site, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof serve_site_options / sizeof serve_site_options[0]; i++) {
        if (strcmp(name, serve_site_options[i].name) != 0) continue;
        const char *wrong = serve_site_options[i].take(site, value);
        bool secret = serve_site_options[i].secret && value[0] != '@'; // behind that is a file's name
        if (wrong) return serve_bad_value(name, secret ? NULL : value, wrong);
    }
    return -1;
}

// Limits and clocks: fields of the desc.
static const struct {
    const char *name;
    bool (*parse)(const char *text, uint64_t max, uint64_t *out);
    uint32_t min, max;
    size_t field;
    const char *wants;
} serve_limits[] = {
    // clang-format off
    {"--max-conns", serve_count, 1, 0x7fffffff, offsetof(fsv_server_desc, conns_max), "a number of connections, at least 1"},
    {"--max-files", serve_count, 1, 0x7fffffff, offsetof(fsv_server_desc, files_max), "a number of files, at least 1"},
    {"--max-per-address", serve_count, 1, 0x7fffffff, offsetof(fsv_server_desc, conns_per_address_max), "a number of connections, at least 1"},
    {"--max-requests", serve_count, 1, UINT32_MAX, offsetof(fsv_server_desc, conn_requests_max), "a number of requests, at least 1"},
    {"--max-head", serve_bytes, 256, 1048576, offsetof(fsv_server_desc, head_bytes_max), "256 bytes to 1M"},
    {"--max-target", serve_bytes, 1, 1048576, offsetof(fsv_server_desc, target_bytes_max), "1 byte to 1M"},
    {"--max-fields", serve_count, 1, 10000, offsetof(fsv_server_desc, fields_max), "a number of fields, 1 to 10000"},
    {"--head-timeout", serve_time_ms, 1, UINT32_MAX, offsetof(fsv_server_desc, head_timeout_ms), "a time such as 500ms, 10s or 1m"},
    {"--idle-timeout", serve_time_ms, 1, UINT32_MAX, offsetof(fsv_server_desc, idle_timeout_ms), "a time such as 500ms, 10s or 1m"},
    {"--body-timeout", serve_time_ms, 1, UINT32_MAX, offsetof(fsv_server_desc, body_timeout_ms), "a time such as 500ms, 10s or 1m"},
    {"--send-timeout", serve_time_ms, 1, UINT32_MAX, offsetof(fsv_server_desc, send_timeout_ms), "a time such as 500ms, 10s or 1m"},
    {"--body-rate", serve_bytes, 1, UINT32_MAX, offsetof(fsv_server_desc, body_rate_min), "bytes per second, at least 1"},
    {"--send-rate", serve_bytes, 1, UINT32_MAX, offsetof(fsv_server_desc, send_rate_min), "bytes per second, at least 1"},
    {"--turn-requests", serve_count, 1, UINT32_MAX, offsetof(fsv_server_desc, turn_requests_max), "a number of requests, at least 1"},
    // clang-format on
};
#define SERVE_LIMITS (sizeof serve_limits / sizeof serve_limits[0])

// Takes a limit. -1: fine, 0: it is none, else the exit code.
static int serve_limit(fsv_server_desc *desc, const char *name, const char *value)
{
    for (size_t i = 0; i < SERVE_LIMITS; i++) {
        uint64_t n = 0;
        char why[80];
        if (strcmp(name, serve_limits[i].name) != 0) continue;
        (void)snprintf(why, sizeof why, "wants %s", serve_limits[i].wants);
        if (!serve_limits[i].parse(value, serve_limits[i].max, &n) || n < serve_limits[i].min)
            return serve_bad_value(name, value, why);
        uint32_t value32 = (uint32_t)n;
        memcpy((char *)desc + serve_limits[i].field, &value32, sizeof value32);
        return -1;
    }
    return 0;
}

// Takes one option with its value; -1: fine, else the exit code.
static int serve_option(serve_options *o, const char *name, const char *value)
{
    uint64_t n = 0;
    int limit = serve_limit(&o->desc, name, value);
    if (limit) return limit;
    if (!strcmp(name, "-b") || !strcmp(name, "--bind") || !strcmp(name, "-l") || !strcmp(name, "--listen")) {
        if (o->bind_count == 16) return serve_bad_value(name, value, "at most 16 addresses");
        if (!*value) return serve_bad_value(name, value, "wants an address; 0.0.0.0 or :: opens it to the network");
        o->binds[o->bind_count++] = value;
    } else if (!strcmp(name, "-p") || !strcmp(name, "--port")) {
        if (!fsi_number(value, strlen(value), &n) || n > 65535)
            return serve_bad_value(name, value, "wants a port, 0 to 65535");
        o->port = (uint32_t)n;
        o->port_given = true;
    } else if (!strcmp(name, "--unix")) {
        o->unix_path = value;
    } else if (!strcmp(name, "-t") || !strcmp(name, "--threads")) {
        if (!serve_count(value, 1024, &n) || n == 0)
            return serve_bad_value(name, value, "wants a number of loops, 1 to 1024");
        o->desc.loops = (uint32_t)n;
    } else if (!strcmp(name, "-w") || !strcmp(name, "--workers")) {
        if (!serve_count(value, 4096, &n) || n == 0)
            return serve_bad_value(name, value, "wants a number of workers, 1 to 4096");
        o->desc.workers = (uint32_t)n;
    } else if (!strcmp(name, "--threads-max")) {
        if (!serve_count(value, 65536, &n) || n == 0)
            return serve_bad_value(name, value, "wants a number of threads, 1 to 65536");
        o->desc.threads_max = (uint32_t)n;
    } else if (!strcmp(name, "--model")) {
        if (!serve_model(value, &o->desc))
            return serve_bad_value(name, value, "wants event, pool, pool-conn, thread or sync");
        o->model = value;
    } else if (!strcmp(name, "--max-body")) {
        if (!serve_bytes(value, 9e15, &n) || n == 0)
            return serve_bad_value(name, value, "wants a number of bytes, at least 1");
        serve_body_max = n;
        o->desc.body_bytes_max = n < SIZE_MAX / 4 ? n : SIZE_MAX / 4;
    } else if (!strcmp(name, "--log")) {
        o->log = value;
    } else if (!strcmp(name, "--index")) {
        if (strpbrk(value, "/\\")) return serve_bad_value(name, value, "wants a name without a slash, or '' for none");
        o->site.index = value;
    } else if (!strcmp(name, "--log-format")) {
        o->log_form = 0;
        for (uint32_t i = 0; i < sizeof serve_forms / sizeof serve_forms[0]; i++)
            if (!strcmp(value, serve_forms[i])) o->log_form = i + 1;
        if (!o->log_form) return serve_bad_value(name, value, "wants common, combined or json");
    } else if (!strcmp(name, "--law")) {
        const char *wrong = bench_law_parse(value, &o->law);
        if (wrong) return serve_bad_value(name, value, wrong);
    } else {
        return serve_site_option(&o->site, name, value);
    }
    return -1;
}

static const char *const serve_folder_options[] = {
    "--no-listing", "--hidden", "--spa",  "--follow-symlinks", "--no-precompressed", "--sendfile",
    "--index",      "--cache",  "--mime", "--max-files"};

// Keeps an option in mind that means nothing with --law, with --echo, or without a folder.
static void serve_note(serve_options *o, const char *name)
{
    static const char *const fine[] = {"-b", "--bind", "-l", "--listen", "-p", "--port", "-q", "--quiet", "--law"};
    static const char *const raw[] = {"-b",
                                      "--bind",
                                      "-l",
                                      "--listen",
                                      "-p",
                                      "--port",
                                      "--unix",
                                      "-t",
                                      "--threads",
                                      "--max-conns",
                                      "--max-per-address",
                                      "--idle-timeout",
                                      "--send-timeout",
                                      "--send-rate",
                                      "--no-pin"};
    bool found = false;
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) found = found || !strcmp(name, raw[i]);
    if (!found) (void)snprintf(o->http, sizeof o->http, "%s", name);
    for (size_t i = 0; i < sizeof serve_folder_options / sizeof serve_folder_options[0]; i++)
        if (!strcmp(name, serve_folder_options[i])) (void)snprintf(o->folder, sizeof o->folder, "%s", name);
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (!strcmp(name, fine[i])) return;
    (void)snprintf(o->other, sizeof o->other, "%s", name);
}

// Options that mean nothing beside others. -1: fine, else the exit code.
static int serve_clash(const serve_options *o)
{
    bool own_threads = o->desc.model == FSV_MODEL_THREAD || o->desc.model == FSV_MODEL_SYNC;
    if (o->desc.workers && own_threads)
        return serve_bad("-w", "means nothing with --model thread and sync, where handlers block on their connection's "
                               "own thread");
    if (o->desc.queue_per_worker && o->desc.model)
        return serve_bad("--queue-per-worker",
                         "wants --model pool or event: in the others no request waits for a worker");
    if (o->desc.threads_max && o->desc.model != FSV_MODEL_THREAD)
        return serve_bad("--threads-max", "wants --model thread; the others have no thread per connection");
    if (o->unix_path && !o->bind_count && (o->port_given || o->reuseport))
        return serve_bad(o->port_given ? "-p" : "--reuseport", "means nothing with --unix alone; -b adds a TCP port");
    if (o->folder[0] && !o->site.mount_count)
        return serve_bad(o->folder, "means nothing without a folder: fastserve serve DIR, or --mount /NAME=DIR");
    for (uint32_t i = 0; i < o->site.mount_count; i++)
        if (o->site.demo && demo_has(o->site.mounts[i].prefix))
            return serve_bad("--mount", "the demo has a route of that name");
    if (o->site.spa && o->site.index && !*o->site.index)
        return serve_bad("--spa", "wants an index; --index '' says that there is none");
    if (o->site.cors && serve_has_field(&o->site, "access-control-allow-origin"))
        return serve_bad("--cors", "gives Access-Control-Allow-Origin, which --header must not give again");
    if (o->log_form && !o->log) return serve_bad("--log-format", "wants --log FILE, or --log -");
    if (o->desc.model && o->desc.loops != FSV_LOOPS_PER_CPU && o->desc.loops != 1)
        return serve_bad("-t", o->desc.model == FSV_MODEL_SYNC
                                   ? "means nothing with --model sync: one thread does everything"
                                   : "means nothing with this model: one thread accepts, others serve");
    return -1;
}

// Takes an option of the site that has no value. False: it is none.
static bool serve_flag(serve_site *site, const char *arg)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"--no-listing", &site->no_listing},
                 {"--hidden", &site->hidden},
                 {"--follow-symlinks", &site->follow_symlinks},
                 {"--sendfile", &site->sendfile},
                 {"--no-precompressed", &site->no_precompressed},
                 {"--spa", &site->spa},
                 {"--cors", &site->cors},
                 {"--demo", &site->demo}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(arg, flags[i].name) != 0) continue;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

static int serve_parse(serve_options *o, int argc, char **argv)
{
    static const char *const with_value[] = {"-b",
                                             "--bind",
                                             "-l",
                                             "--listen",
                                             "-p",
                                             "--port",
                                             "--unix",
                                             "-w",
                                             "--workers",
                                             "--model",
                                             "--threads-max",
                                             "-t",
                                             "--threads",
                                             "--max-body",
                                             "--log",
                                             "--log-format",
                                             "--law",
                                             "--mount",
                                             "--index",
                                             "--cache",
                                             "--mime",
                                             "--header",
                                             "--auth",
                                             "--host",
                                             NULL};
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i], *equals = arg[0] == '-' && arg[1] == '-' ? strchr(arg, '=') : NULL;
        char name[32];
        const char *value = NULL;
        int found = -1;
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h") || !strcmp(arg, "--help-all")) {
            fputs(serve_help, stdout);
            if (arg[1] == '-' && arg[6]) fputs(serve_help_more, stdout);
            return 0;
        }
        if (!strcmp(arg, "--version")) {
            printf("fastserve %s\n", fsv_version());
            return 0;
        }
        if (!strcmp(arg, "--no-pin") || !strcmp(arg, "--reuseport") || !strcmp(arg, "--queue-per-worker"))
            serve_note(o, arg);
        if (!strcmp(arg, "-q") || !strcmp(arg, "--quiet"))
            o->quiet = true;
        else if (!strcmp(arg, "--no-pin"))
            o->no_pin = true;
        else if (!strcmp(arg, "--reuseport"))
            o->reuseport = true;
        else if (!strcmp(arg, "--queue-per-worker"))
            o->desc.queue_per_worker = 1;
        else if (!strcmp(arg, "--echo"))
            o->echo = true;
        else if (!strcmp(arg, "--sandbox"))
            o->sandbox = true;
        else if (serve_flag(&o->site, arg))
            serve_note(o, arg);
        else if (arg[0] != '-') {
            const char *wrong = serve_add_mount(&o->site, "", 0, arg);
            if (wrong) return serve_bad(arg, wrong);
            serve_note(o, arg);
        } else {
            size_t len = equals ? (size_t)(equals - arg) : arg[1] == '-' ? strlen(arg) : 2; // -p8080 is -p 8080
            if (len >= sizeof name) return serve_bad(arg, "unknown option");
            memcpy(name, arg, len);
            name[len] = 0;
            for (int k = 0; with_value[k]; k++)
                if (!strcmp(name, with_value[k])) found = k;
            for (size_t k = 0; k < SERVE_LIMITS; k++)
                if (!strcmp(name, serve_limits[k].name)) found = (int)k;
            if (found < 0) return serve_bad(arg, "unknown option");
            value = equals ? equals + 1 : arg[1] != '-' && arg[2] ? arg + 2 : ++i < argc ? argv[i] : NULL;
            if (!value) return serve_bad(name, "wants a value");
            serve_note(o, name);
            int code = serve_option(o, name, value);
            if (code >= 0) return code;
        }
    }
    if (o->echo && o->http[0]) return serve_bad(o->http, "means nothing with --echo");
    if (o->law.kind && o->other[0]) return serve_bad(o->other, "means nothing with --law");
    return serve_clash(o);
}

static void serve_on_request(fsv_request *request, void *user)
{
    serve_every_request(request, &((const serve_options *)user)->site);
}

static fsv_str serve_field(const fsv_request *request, const char *name)
{
    fsv_str value;
    if (!fsv_request_field(request, name, &value)) value.ptr = NULL;
    return value;
}

// "127.0.0.1" of "127.0.0.1:50000", "::1" of "[::1]:50000", "unix:".
static fsv_str serve_peer(const fsv_answer *answer, char *out, size_t size)
{
    fsv_str peer = {NULL, 0};
    if (fsv_answer_peer(answer, out, size) < 0) return peer;
    char *end = strrchr(out, ':');
    peer.ptr = out;
    peer.len = strlen(out);
    if (!end || !end[1]) return peer;
    peer.len = (size_t)(end - out);
    if (out[0] != '[' || peer.len < 2) return peer;
    peer.ptr++;
    peer.len -= 2;
    return peer;
}

// Whom the log names: who gave the right login. Some answers are given before anybody has looked at it.
static fsv_str serve_user(const serve_site *site, const fsv_request *request)
{
    fsv_str login, nobody = {NULL, 0};
    if (!site->login_len || !fsv_request_field(request, "Authorization", &login)) return nobody;
    return serve_logged_in(site, login) ? fsi_view(site->user, strlen(site->user)) : nobody;
}

static void serve_on_answer(const fsv_answer *answer, void *user)
{
    char peer[80];
    serve_entry entry;
    const fsv_request *request = answer->request;
    memset(&entry, 0, sizeof entry);
    entry.wall_ns = fsi_wall_ns();
    entry.status = answer->status;
    entry.body_bytes = answer->body_bytes;
    entry.duration_us = answer->duration_us;
    entry.peer = serve_peer(answer, peer, sizeof peer);
    if (answer->refusal) entry.refusal = fsi_view(answer->refusal, strlen(answer->refusal));
    if (request) {
        entry.user = serve_user(&((const serve_options *)user)->site, request);
        entry.method = fsv_request_method(request);
        entry.target = fsv_request_target(request);
        entry.version = fsv_request_version(request);
        if (serve_access.form == SERVE_JSON) entry.host = serve_field(request, "Host");
        if (serve_access.form != SERVE_COMMON) {
            entry.referer = serve_field(request, "Referer");
            entry.agent = serve_field(request, "User-Agent");
        }
    }
    serve_log_add(&serve_access, answer->loop, &entry);
}

static fsv_server *serve_server;   // with --law it only opens the listening sockets
static bench_target *serve_target; // of --law; NULL: the demo

static void serve_on_stop(void)
{
    if (!serve_target) {
        fsv_server_stop(serve_server, 10000);
        return;
    }
    fsi_store32(&serve_target->stop, 1);
    fsi_io_wake(&serve_target->io);
}

static void serve_on_log(const fsv_log_record *record, void *user)
{
    const serve_options *o = (const serve_options *)user;
    if (o->quiet || record->level == 2) return;
    if (!strcmp(record->item, "listen") || !strcmp(record->item, "folder")) return; // serve says it in its own words
    char why[200] = "";
    if (record->os_error) (void)fsi_os_error_text((int)record->os_error, why, sizeof why);
    fprintf(stderr, "fastserve serve: %s: %s%s%s\n", record->level ? "warning" : "error", record->text,
            record->os_error ? ": " : "", why);
    (void)fflush(stderr); // it is not unbuffered everywhere
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-listen   Addresses; what is said of them.
// ---------------------------------------------------------------------------------------------------------

// Listens on one address. -1: fine, else the exit code.
static int serve_listen(fsv_server *server, const serve_options *o, const char *bind)
{
    char address[300];
    const char *colon = strchr(bind, ':');
    bool v6 = colon && bind[0] != '[';
    if (v6 && !strchr(colon + 1, ':')) return serve_bad("-b", "wants an address without a port; the port goes to -p");
    (void)snprintf(address, sizeof address, v6 ? "[%.200s]:%u" : "%.200s:%u", strcmp(bind, "*") ? bind : "", o->port);
    fsv_result result = o->echo        ? echo_listen(server, address)
                        : o->reuseport ? fsv_server_listen_shared(server, address)
                                       : fsv_server_listen(server, address);
    if (result == FSV_OK) return -1;
    if (result == FSV_ERR_IN_USE)
        fprintf(stderr,
                "fastserve serve: port %u on %s is in use by another %s; choose another with -p, or -p 0 for a "
                "free one\n",
                o->port, bind, fsv_server_listeners(server) ? "program, or by another -b" : "program");
    else if (result == FSV_ERR_PERMISSION)
        fprintf(stderr, "fastserve serve: port %u on %s is not permitted to this user; choose one above 1023 with -p\n",
                o->port, bind);
    else if (result == FSV_ERR_ADDRESS)
        fprintf(stderr,
                "fastserve serve: %s is no address of this machine; -b takes an IPv4 or IPv6 address or localhost\n",
                bind);
    else
        fprintf(stderr, "fastserve serve: cannot listen on %s: %s\n", address, fsv_result_text(result));
    return 1;
}

static int serve_listen_unix(fsv_server *server, const serve_options *o, const char *path)
{
    char address[300];
    char too_long[80];
    fsi_sockaddr at;
    (void)snprintf(address, sizeof address, "unix:%.290s", path);
    (void)snprintf(too_long, sizeof too_long, "the path is too long, at most %u bytes are possible",
                   (unsigned)sizeof(((fsi_sockaddr_un *)0)->sun_path) - 1);
    fsv_result result = o->echo ? echo_listen(server, address) : fsv_server_listen(server, address);
    if (result == FSV_OK) return -1;
    const char *why = fsv_result_text(result);
    if (*path && !fsi_sockaddr_unix(&at, path))
        why = too_long;
    else if (result == FSV_ERR_IN_USE && bench_os_in_way(path))
        why = "a file is there that is no socket; choose another path";
    else if (result == FSV_ERR_IN_USE)
        why = "another program serves it; choose another path";
    else if (result == FSV_ERR_ADDRESS)
        why = "its folder does not exist";
    fprintf(stderr, "fastserve serve: cannot listen on the socket %s: %s\n", path, why);
    return 1;
}

// Only this machine can connect to a listener.
static bool serve_is_local(const fsv_server *server, uint32_t listener)
{
    char address[128];
    fsv_server_address(server, listener, address, sizeof address);
    return !strncmp(address, "127.", 4) || !strncmp(address, "[::1]", 5) || !strncmp(address, "unix:", 5);
}

static bool serve_all_local(const fsv_server *server)
{
    bool local = true;
    for (uint32_t i = 0; i < fsv_server_listeners(server); i++) local = local && serve_is_local(server, i);
    return local;
}

// Where it says what it does: not into a log on the standard output.
static FILE *serve_out(const serve_options *o)
{
    return o->log && !strcmp(o->log, "-") ? stderr : stdout;
}

// One line for each address: what is served there.
static void serve_announce_one(const fsv_server *server, const serve_options *o, const char *what, const char *path)
{
    char address[128];
    const char *scheme = o->echo ? "tcp" : "http";
    FILE *out = serve_out(o);
    for (uint32_t i = 0; i < fsv_server_listeners(server); i++) {
        fsv_server_address(server, i, address, sizeof address);
        if (o->bind_count == 0 && i > 0 && strncmp(address, "[::1]", 5) == 0) continue; // one line for localhost
        fprintf(out, "fastserve %s: serving %s at ", fsv_version(), what);
        if (strncmp(address, "unix:", 5) == 0)
            fprintf(out, "%s%s%s\n", address, path[0] && path[1] ? ", " : "", path[0] && path[1] ? path : "");
        else if (strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0) {
            uint32_t port = fsv_server_port(server, i);
            fprintf(out, "%s://localhost:%u%s, and to the network ", scheme, port, path);
            if (bench_os_outside(port, address, sizeof address))
                fprintf(out, "at %s://%s%s\n", scheme, address, path);
            else
                fprintf(out, "on port %u\n", port);
        } else
            fprintf(out, "%s://%s%s\n", scheme, address, path);
    }
}

static void serve_announce(const fsv_server *server, const serve_options *o)
{
    char what[160] = "the demo";
    const serve_site *site = &o->site;
    FILE *out = serve_out(o);
    uint32_t conns = server->desc.conns_max;
    if (conns < 1000 && conns < (o->desc.conns_max ? o->desc.conns_max : 1000))
        fprintf(stderr, "fastserve serve: warning: the descriptor limit leaves %u connections; raise it: ulimit -n\n",
                conns);
    if (o->echo) (void)snprintf(what, sizeof what, "the echo");
    if (o->law.kind) (void)snprintf(what, sizeof what, "the law %s", o->law.text);
    if (o->model && strcmp(o->model, "event") != 0) (void)snprintf(what, sizeof what, "the demo, model %s,", o->model);
    for (uint32_t i = 0; i < site->mount_count; i++) {
        page_text path;
        fsv_str prefix = {site->mounts[i].prefix, site->mounts[i].prefix_len};
        memset(&path, 0, sizeof path);
        page_put_path(&path, prefix);
        page_put(&path, "/", 2);
        if (!path.failed) serve_announce_one(server, o, site->mounts[i].path, path.ptr);
        free(path.ptr);
    }
    if (!site->mount_count || site->demo)
        serve_announce_one(server, o, what, o->echo ? "" : serve_has_root(site) ? "/stats" : "/");
    if (serve_all_local(server) && fsv_server_port(server, 0))
        fprintf(out, "Only this machine can reach it; -b 0.0.0.0 opens it to the network. Ctrl-C ends it.\n");
    if (o->sandbox) fprintf(out, "Sandboxed: it can open the served folders and start nothing.\n");
    fflush(out);
}

// Makes the target of --law, which takes over the sockets of the server; that never runs. -1: fine, else the exit code.
static int serve_law(fsv_server *server, const bench_law *law)
{
    static bench_target target;
    char why[200];
    bool fine = bench_target_init(&target, law);
    if (fine) serve_target = &target;
    for (uint32_t i = 0; fine && i < fsv_server_listeners(server); i++) {
        fsi_chan *listener = &server->loops[0].listeners[i].chan;
        fine = bench_target_listen(&target, listener->fd);
        listener->fd = -1;
    }
    if (!fine)
        fprintf(stderr, "fastserve serve: cannot start: %s\n", fsi_os_error_text(fsi_os_error(), why, sizeof why));
    return fine ? -1 : 1;
}

// ---------------------------------------------------------------------------------------------------------
// >>serve-sandbox   What the process can do no more once it listens, whoever gets hold of it. Landlock keeps it from
//                   files but the folders that it serves, and from TCP of its own; a filter of system calls from
//                   starting programs, from looking into other processes, from new sockets, and from changing what is
//                   said of a file; and no program that it may start all the same gains rights. Threads inherit all of
//                   it, so it comes before they are made.
// ---------------------------------------------------------------------------------------------------------

// Beneath a folder, or of one file.
typedef struct serve_grant {
    int fd;
    bool write; // append, and make files anew, instead of reading and listing
    bool remove;
} serve_grant;

#if FSI_LINUX
#include <sys/prctl.h>

// The system's own constants and structs, so that no header of a certain age is needed.
enum {
    SERVE_LANDLOCK_CREATE = 444,
    SERVE_LANDLOCK_ADD = 445,
    SERVE_LANDLOCK_RESTRICT = 446,
    SERVE_FS_WRITE_FILE = 1 << 1,
    SERVE_FS_READ_FILE = 1 << 2,
    SERVE_FS_READ_DIR = 1 << 3,
    SERVE_FS_REMOVE_FILE = 1 << 5,
    SERVE_FS_MAKE_REG = 1 << 8,
    SERVE_FS_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15 // what can be granted of a file that is no folder
};

typedef struct serve_ruleset {
    uint64_t files, net, scoped;
} serve_ruleset;

#pragma pack(push, 1)
typedef struct serve_beneath {
    uint64_t allowed;
    int32_t folder;
} serve_beneath;
#pragma pack(pop)

typedef struct serve_step { // of a filter: classic BPF
    uint16_t code;
    uint8_t yes, no;
    uint32_t k;
} serve_step;

typedef struct serve_filter {
    uint16_t len;
    const serve_step *steps;
} serve_filter;

// The version of Landlock, 0: there is none.
static int serve_landlock(void)
{
    long version = syscall(SERVE_LANDLOCK_CREATE, NULL, (size_t)0, 1u);
    return version > 0 ? (int)version : 0;
}

static bool serve_grant_add(int rules, const serve_grant *grant, uint64_t handled)
{
    struct stat look;
    serve_beneath rule;
    memset(&rule, 0, sizeof rule);
    if (grant->remove) rule.allowed |= SERVE_FS_REMOVE_FILE;
    if (grant->write) rule.allowed |= SERVE_FS_WRITE_FILE | SERVE_FS_MAKE_REG;
    if (!rule.allowed) rule.allowed = SERVE_FS_READ_FILE | SERVE_FS_READ_DIR;
    if (fstat(grant->fd, &look) != 0) return false;
    if (!S_ISDIR(look.st_mode)) rule.allowed &= SERVE_FS_OF_FILES;
    rule.allowed &= handled;
    rule.folder = grant->fd;
    return syscall(SERVE_LANDLOCK_ADD, rules, 1, &rule, 0u) == 0;
}

static bool serve_landlock_enter(int version, const serve_grant *grants, uint32_t count)
{
    serve_ruleset set;
    memset(&set, 0, sizeof set);
    set.files = version >= 5 ? 0xffff : version >= 3 ? 0x7fff : version >= 2 ? 0x3fff : 0x1fff;
    if (version >= 4) set.net = 3;    // bind and connect
    if (version >= 6) set.scoped = 3; // abstract Unix-domain sockets and signals of others
    size_t size = version >= 6 ? sizeof set : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    int rules = (int)syscall(SERVE_LANDLOCK_CREATE, &set, size, 0u);
    if (rules < 0) return false;
    bool fine = true;
    for (uint32_t i = 0; i < count && fine; i++) fine = serve_grant_add(rules, &grants[i], set.files);
    fine = fine && syscall(SERVE_LANDLOCK_RESTRICT, rules, 0u) == 0;
    int error = errno;
    close(rules);
    errno = error;
    return fine;
}

// How the kernel names this CPU's system calls; 0: not known here, then there is no filter.
#if defined(__x86_64__) && !defined(__ILP32__)
#define SERVE_ARCH 0xc000003eu
#elif defined(__aarch64__)
#define SERVE_ARCH 0xc00000b7u
#elif defined(__riscv) && __riscv_xlen == 64
#define SERVE_ARCH 0xc00000f3u
#else
#define SERVE_ARCH 0u
#endif

// The same everywhere, and newer than some headers.
enum { SERVE_FCHMODAT2 = 452, SERVE_SETXATTRAT = 463, SERVE_REMOVEXATTRAT = 466, SERVE_FILE_SETATTR = 469 };

// No server needs them after its start.
static const uint16_t serve_forbidden[] = {
    // programs, other processes
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
#ifdef SYS_fork
    SYS_fork,
#endif
#ifdef SYS_vfork
    SYS_vfork,
#endif
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif
    // sockets of its own
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    // another view of the file system
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_open_by_handle_at,
#ifdef SYS_move_mount
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsmount,
    SYS_fsconfig,
    SYS_fspick,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
    // what is said of files, and their length by a path: Landlock knows nothing of the first, and of the second not always
    SYS_fchmod,
    SYS_fchmodat,
    SERVE_FCHMODAT2,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SERVE_SETXATTRAT,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SERVE_REMOVEXATTRAT,
    SERVE_FILE_SETATTR,
    SYS_truncate,
#ifdef SYS_chmod
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utimes,
    SYS_futimesat,
#endif
#ifdef SYS_utime
    SYS_utime,
#endif
    // the kernel itself, and its larger doors
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_syslog,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_personality,
#ifdef SYS_kexec_load
    SYS_kexec_load,
#endif
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#endif
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
};

// What is forbidden fails with EPERM; a call in the way of another architecture ends the process.
static bool serve_filter_enter(void)
{
    enum { COUNT = sizeof serve_forbidden / sizeof serve_forbidden[0] };
    const uint32_t die = 0x80000000u, deny = 0x00050000u | EPERM, allow = 0x7fff0000u;
    serve_step steps[2 * COUNT + 16], *at = steps;
    serve_filter filter;
#define STEP(c, y, n, value) (at->code = (c), at->yes = (y), at->no = (n), at->k = (value), at++)
    STEP(0x20, 0, 0, 4); // load the architecture
    STEP(0x15, 1, 0, SERVE_ARCH);
    STEP(0x06, 0, 0, die);
    STEP(0x20, 0, 0, 0);           // load the number
    STEP(0x35, 0, 1, 0x40000000u); // of x86-64's second set
    STEP(0x06, 0, 0, deny);
    for (size_t i = 0; i < COUNT; i++) {
        STEP(0x15, 0, 1, serve_forbidden[i]);
        STEP(0x06, 0, 0, deny);
    }
    STEP(0x15, 0, 7, SYS_ioctl); // of files it changes flags, too: only what asks is left
    STEP(0x20, 0, 0, 24);        // load the request
    STEP(0x15, 3, 0, TIOCOUTQ);
    STEP(0x15, 2, 0, FIONREAD);
    STEP(0x15, 1, 0, TCGETS);
    STEP(0x15, 0, 1, TIOCGWINSZ);
    STEP(0x06, 0, 0, allow);
    STEP(0x06, 0, 0, deny);
    STEP(0x06, 0, 0, allow);
#undef STEP
    filter.len = (uint16_t)(at - steps);
    filter.steps = steps;
    return SERVE_ARCH == 0 || prctl(PR_SET_SECCOMP, 2, &filter, 0, 0) == 0;
}

// Of the calling thread, and those that it makes. False: the error says why; errno 0: this system has no Landlock.
static bool serve_sandbox_enter(const serve_grant *grants, uint32_t count)
{
    int version = serve_landlock();
    if (!version) errno = 0;
    return version && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && serve_landlock_enter(version, grants, count) &&
           serve_filter_enter();
}

static int serve_grant_open(const char *path)
{
    return open(path, O_PATH | O_CLOEXEC);
}

// The folder in which a path stands.
static int serve_grant_parent(const char *path)
{
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 1;
    if (slash == path) len = 1;
    if (len >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (slash) memcpy(folder, path, len);
    folder[len] = 0;
    return serve_grant_open(folder);
}

// Everything that the options ask for stays possible. -1: fine, else the exit code.
static int serve_sandbox(const fsv_server *server, const serve_options *o)
{
    serve_grant grants[SERVE_MOUNTS_MAX + 3];
    uint32_t count = 0, first;
    struct stat look;
    char why[160];
    memset(grants, 0, sizeof grants);
    for (const fsv_folder *folder = server->folders; folder && count < SERVE_MOUNTS_MAX; folder = folder->next)
        grants[count++].fd = folder->root.fd;
    first = count;                                     // opened here
    grants[count].fd = serve_grant_open("/proc/stat"); // by which loops see how busy the CPUs are
    count += grants[count].fd >= 0;
    if (o->log && strcmp(o->log, "-") != 0) {
        bool plain = stat(o->log, &look) == 0 && S_ISREG(look.st_mode); // else it is not made anew
        grants[count].write = true;
        grants[count++].fd = plain ? serve_grant_parent(o->log) : serve_grant_open(o->log);
    }
    if (o->unix_path && o->unix_path[0] != '@') {
        grants[count].remove = true;
        grants[count++].fd = serve_grant_parent(o->unix_path);
    }
    bool fine = true;
    errno = 0;
    for (uint32_t i = first; i < count && fine; i++) fine = grants[i].fd >= 0;
    fine = fine && serve_sandbox_enter(grants, count);
    int error = errno;
    for (uint32_t i = first; i < count; i++)
        if (grants[i].fd >= 0) close(grants[i].fd);
    if (fine) return -1;
    fprintf(stderr, "fastserve serve: --sandbox: %s\n",
            error ? fsi_os_error_text(error, why, sizeof why)
                  : "this kernel has no Landlock, or it is not switched on; run without --sandbox");
    return 2;
}
#else
static int serve_sandbox(const fsv_server *server, const serve_options *o)
{
    (void)server, (void)o;
    fprintf(stderr, "fastserve serve: --sandbox: only Linux has it; run without --sandbox\n");
    return 2;
}
#endif // >>serve-sandbox

// ---------------------------------------------------------------------------------------------------------
// >>serve-run   Puts it together.
// ---------------------------------------------------------------------------------------------------------

// Until a signal ends it. Returns the exit code.
static int serve_run(const serve_options *o)
{
    fsv_result result = FSV_OK;
    bench_os_on_stop(serve_on_stop);
    bench_os_keep_pipes(); // of the log
    if (!o->quiet) serve_announce(serve_server, o);
    if (serve_target)
        bench_target_run(serve_target);
    else
        result = fsv_server_run(serve_server);
    bench_os_on_stop(NULL);
    if (result != FSV_OK) fprintf(stderr, "fastserve serve: %s\n", fsv_result_text(result));
    return result == FSV_OK ? 0 : 1;
}

// What the options leave open, and what depends on several of them.
static void serve_complete(serve_options *o)
{
    const serve_site *site = &o->site;
    if (o->desc.model || o->law.kind) o->desc.loops = 1; // of a law: one socket for each address
    o->desc.pin = !o->no_pin && o->desc.loops != 1 && FSI_LOCALITY;
    o->desc.log = serve_on_log;
    o->desc.user = o;
    if (o->log) o->desc.on_answer = serve_on_answer;
    if (site->mount_count || site->fields_len || site->hosts_len || site->login_len || site->cors)
        o->desc.on_request = serve_on_request;
}

// Makes the server with its routes and listeners. -1: fine, else the exit code.
static int serve_prepare(serve_options *o)
{
    fsv_result result =
        o->site.mount_count ? fsv_server_create(&serve_server, &o->desc) : demo_create(&serve_server, &o->desc);
    if (result != FSV_OK) {
        fprintf(stderr, "fastserve serve: cannot start: %s\n", fsv_result_text(result));
        return 1;
    }
    int code = serve_add_folders(serve_server, &o->site);
    if (code < 0 && o->unix_path) code = serve_listen_unix(serve_server, o, o->unix_path);
    for (uint32_t i = 0; i < o->bind_count && code < 0; i++) code = serve_listen(serve_server, o, o->binds[i]);
    if (code < 0 && !o->bind_count && !o->unix_path) code = serve_listen(serve_server, o, "localhost");
    if (code < 0 && o->law.kind) code = serve_law(serve_server, &o->law);
    if (code < 0 && o->sandbox) code = serve_sandbox(serve_server, o);
    if (code < 0 && o->log && !serve_log_start(&serve_access, fsv_server_loops(serve_server))) code = 1;
    o->site.check_host = o->site.hosts_len || (o->site.mount_count && serve_all_local(serve_server));
    return code;
}

static int serve_main(int argc, char **argv)
{
    serve_options o;
#if defined(__GLIBC__)
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20); // else it grows, and each worker's arena keeps what large listings had
#endif
    memset(&o, 0, sizeof o);
    o.port = 8080;
    o.desc.loops = FSV_LOOPS_PER_CPU;
    int code = serve_parse(&o, argc, argv);
    if (code >= 0) return code;
    (void)bench_os_descriptors(UINT64_MAX);
    if (o.log && !serve_log_open(&serve_access, o.log, o.log_form ? (serve_form)(o.log_form - 1) : SERVE_COMMON))
        return 1;
    serve_complete(&o);
    code = serve_prepare(&o);
    if (code < 0) code = serve_run(&o);
    if (serve_target) bench_target_free(serve_target);
    (void)fsv_server_free(serve_server);
    if (o.log) serve_log_close(&serve_access);
    return code;
}

// ---------------------------------------------------------------------------------------------------------
// >>main   The commands.
// ---------------------------------------------------------------------------------------------------------

static const char main_help[] = "Usage: fastserve serve [DIR] [options]   serve a folder, or a demo\n"
                                "       fastserve bench [options] [URL]   measure a server, or the built-in one\n"
                                "       fastserve serve --help | bench --help | --version\n";

static int main_command(int argc, char **argv)
{
    if (argc >= 2 && !strcmp(argv[1], "serve")) return serve_main(argc - 1, argv + 1);
    if (argc >= 2 && !strcmp(argv[1], "bench")) {
        (void)bench_os_descriptors(UINT64_MAX);
        return bench_main(argc - 1, argv + 1);
    }
    if (argc >= 2 && !strcmp(argv[1], "--version")) {
        printf("fastserve %s\n", fsv_version());
        return 0;
    }
    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))) {
        fputs(main_help, stdout);
        return 0;
    }
    if (argc >= 2) fprintf(stderr, "fastserve: there is no command %s\n", argv[1]);
    fputs(main_help, stderr);
    return 1;
}

int main(int argc, char **argv)
{
    if (!bench_os_begin(&argc, &argv)) {
        fputs("fastserve: out of memory\n", stderr);
        return 1;
    }
    if (!fsi_sock_begin()) {
        fputs("fastserve: this system gives no sockets\n", stderr);
        return 1;
    }
    int code = main_command(argc, argv);
    fsi_sock_end();
    return code;
}
