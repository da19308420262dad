// The program: `fastserve serve` runs the built-in demo server, `fastserve bench` measures any server. Options, then
// the library. One translation unit: cc -O2 -pthread main.c -o fastserve
#define FASTSERVE_IMPLEMENTATION
#define FASTSERVE_STATIC // so that functions that it does not call are not in it
#include "fastserve.h"

// ---- the demo: every test and suite uses these routes

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
    X(requests, "requests read") X(answers_2xx, "answers 2xx") X(answers_3xx, "answers 3xx") X(answers_4xx, "answers 4xx") \
    X(answers_5xx, "answers 5xx") X(bad_requests, "requests that broke the framing") X(timeouts, "head, body, idle and send timeouts") \
    X(bytes_received, "bytes received") X(bytes_sent, "bytes sent") X(turns, "turns of the loops") \
    X(conns_followed, "connections moved to the CPU of their packets") X(conns_balanced, "connections moved off a busy loop") \
    X(conns_rescued, "connections accepted for a stuck loop") X(busy_us, "microseconds that pinned loops were awake") \
    X(jobs, "requests that workers have run") X(jobs_refused, "requests answered 503 because too many waited for a worker") \
    X(job_wait_us, "microseconds that jobs waited for a worker") X(job_run_us, "microseconds that their handlers took") \
    X(deferred, "answers that were deferred") X(defer_timeouts, "deferred answers that did not come in time") \
    X(conns_begun, "connections begun to other servers") \
    X(files_kept, "files found in a cache, still the same") \
    X(files_cold, "times a worker had to find or read a file")
// clang-format on

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
    char text[8192];
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

// A server with the demo's routes; the caller makes it listen.
static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc)
{
    static const struct {
        const char *method, *pattern;
        fsv_handler handler;
        fsv_body_handler on_body;
        fsv_handler on_room, on_close;
        uint32_t blocking;
    } routes[] = {
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
    fsv_result result = fsv_server_create(server, desc);
    for (size_t i = 0; result == FSV_OK && i < sizeof routes / sizeof routes[0]; i++) {
        fsv_route_desc route;
        memset(&route, 0, sizeof route);
        route.method = routes[i].method;
        route.pattern = routes[i].pattern;
        route.handler = routes[i].handler;
        route.on_body = routes[i].on_body;
        route.on_room = routes[i].on_room;
        route.on_close = routes[i].on_close;
        route.blocking = routes[i].blocking;
        if (route.on_body) route.body_bytes_max = serve_body_max;
        result = fsv_server_route_add(*server, &route);
    }
    if (result != FSV_OK) {
        (void)fsv_server_free(*server);
        *server = NULL;
    }
    return result;
}

// ---- serve --echo: raw TCP sends back what it gets; what does not fit is offered again when it has drained

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

// ---- the access log: lines gather in memory, a thread of its own writes them

typedef struct serve_log {
    fsi_lock lock;
    fsi_signal wake;
    char *lines;
    size_t len, cap;
    uint64_t lost; // beyond SERVE_LOG_MAX, when the disk is too slow: said in the log itself
    FILE *file;
    bool ending;
    fsi_thread thread;
} serve_log;
#define SERVE_LOG_MAX (16u << 20)

static serve_log serve_access;

static void serve_log_write(void *arg)
{
    serve_log *log = (serve_log *)arg;
    bool ending = false;
    while (!ending) {
        fsi_lock_take(&log->lock);
        while (!log->len && !log->ending) fsi_signal_wait(&log->wake, &log->lock, UINT64_MAX);
        char *lines = log->lines;
        size_t len = log->len;
        uint64_t lost = log->lost;
        ending = log->ending;
        log->lines = NULL;
        log->len = log->cap = 0;
        log->lost = 0;
        fsi_lock_give(&log->lock);
        if (len) fwrite(lines, 1, len, log->file);
        if (lost)
            fprintf(log->file, "# %llu lines were lost: the log is slower than the server\n", (unsigned long long)lost);
        fflush(log->file);
        free(lines);
        if (!ending) fsi_sleep_ns(20000000); // a batch, not a write per line
    }
}

static void serve_log_add(serve_log *log, const char *line, size_t len)
{
    fsi_lock_take(&log->lock);
    if (log->len + len > log->cap) {
        size_t cap = log->cap ? log->cap * 2 : 65536;
        char *more = cap <= SERVE_LOG_MAX ? (char *)realloc(log->lines, cap) : NULL;
        if (more) {
            log->lines = more;
            log->cap = cap;
        }
    }
    if (log->len + len <= log->cap) {
        memcpy(log->lines + log->len, line, len);
        log->len += len;
    } else {
        log->lost++;
    }
    fsi_signal_all(&log->wake);
    fsi_lock_give(&log->lock);
}

// Copies a text from the network with quotes, backslashes and everything unprintable as \xHH.
static size_t serve_escape(char *out, size_t size, fsv_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 5 < size; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 32 || c > 126 || c == '"' || c == '\\')
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    out[n] = 0;
    return n;
}

// One line in the Common Log Format, and the microseconds that the answer took.
static void serve_on_answer(const fsv_answer *answer, void *user)
{
    char line[2600], peer[80] = "-", method[160] = "-", target[2048] = "-", when[40], date[29];
    (void)user;
    fsi_date_write(date, (int64_t)(fsi_wall_ns() / 1000000000u)); // "Sun, 06 Nov 1994 08:49:37 GMT"
    (void)snprintf(when, sizeof when, "%.2s/%.3s/%.4s:%.8s +0000", date + 5, date + 8, date + 12, date + 17);
    if (answer->request) {
        if (fsv_request_peer(answer->request, peer, sizeof peer) < 0) strcpy(peer, "-");
        char *colon = strrchr(peer, ':');
        if (colon && colon[1]) *colon = 0; // the host alone
        serve_escape(method, sizeof method, fsv_request_method(answer->request));
        serve_escape(target, sizeof target, fsv_request_target(answer->request));
    }
    int n = snprintf(line, sizeof line, "%s - - [%s] \"%s %s HTTP/%s\" %u %llu %llu\n", peer, when, method, target,
                     answer->request && fsv_request_version(answer->request) == 10 ? "1.0" : "1.1", answer->status,
                     (unsigned long long)answer->body_bytes, (unsigned long long)answer->duration_us);
    if (n > 0) serve_log_add(&serve_access, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static bool serve_log_open(const char *name)
{
    memset(&serve_access, 0, sizeof serve_access);
    serve_access.file = strcmp(name, "-") == 0 ? stdout : bench_os_open(name, "ab");
    if (!serve_access.file) {
        fprintf(stderr, "fastserve serve: cannot write the log %s: %s\n", name, strerror(errno));
        return false;
    }
    if (fsi_lock_init(&serve_access.lock) && fsi_signal_init(&serve_access.wake) &&
        fsi_thread_start(&serve_access.thread, serve_log_write, &serve_access, "access-log"))
        return true;
    fprintf(stderr, "fastserve serve: cannot start the log's thread\n");
    return false;
}

static void serve_log_close(void)
{
    fsi_lock_take(&serve_access.lock);
    serve_access.ending = true;
    fsi_signal_all(&serve_access.wake);
    fsi_lock_give(&serve_access.lock);
    fsi_thread_join(&serve_access.thread);
}

// ---- serve

static const char serve_help[] = "Usage: fastserve serve [options]\n"
                                 "Serves the demo: / hello, /echo, /stream?chunks=N&size=M, /spin?us=N,\n"
                                 "/sleep?ms=N, /stats, /metrics. Ctrl-C gives requests that have begun at most\n"
                                 "10 s to finish; a second one ends it at once.\n"
                                 "\n"
                                 "  -b, --bind ADDR      address, may be repeated; 0.0.0.0 or :: for everyone\n"
                                 "                       (localhost: 127.0.0.1 and ::1, this machine only)\n"
                                 "  -p, --port PORT      0 picks a free one                             (8080)\n"
                                 "      --unix PATH      listen on a Unix-domain socket; add -b for both\n"
                                 "  -t, --threads N      event loops                     (one per usable CPU)\n"
                                 "      --no-pin         let the system move loops between CPUs\n"
                                 "      --model NAME     who runs requests: event, pool (-w workers), pool-conn\n"
                                 "                       (a worker per connection), thread, sync       (event)\n"
                                 "  -w, --workers N      of event, for /sleep, and of pools               (16)\n"
                                 "      --queue-per-worker  of event, pool;  --threads-max N  of thread (1024)\n"
                                 "      --max-conns N    open connections                              (65536)\n"
                                 "      --max-head, --max-body BYTES    of a request       (16384, no limit)\n"
                                 "      --head-timeout, --idle-timeout T                         (10s, 60s)\n"
                                 "      --log FILE|-     access log; --reuseport: share the port with others\n"
                                 "      --echo           raw TCP that sends back what it gets: -b -p -t -q --unix\n"
                                 "      --law LAW        a target with known delays, to test load generators:\n"
                                 "                       const:T exp:T uniform:T-T lognormal:MEDIAN/SIGMA\n"
                                 "                       pareto:T/ALPHA, then ,freeze:T/PERIOD ,seed:N ,spin:1\n"
                                 "  -q, --quiet          say nothing but errors;   --help, --version\n"
                                 "BYTES and N take k, M, G (1024 for BYTES); T takes ms, s, m, h (bare: s).\n"
                                 "Exit: 0 stopped by a signal, 1 usage or cannot listen, 130 a second Ctrl-C.\n";

typedef struct serve_options {
    const char *binds[16], *unix_path, *log;
    uint32_t bind_count, port;
    bool quiet, reuseport, no_pin, echo, port_given;
    const char *model; // its name; NULL: not said
    bench_law law;     // of no kind: the demo
    char other[32];    // an option that means nothing with a law; empty: none
    char http[32];     // one that means nothing with --echo
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

static bool serve_time_ms(const char *text, uint64_t *out)
{
    static const char *const units[] = {"ms", "", "s", "m", "h", NULL};
    static const double factors[] = {1, 1000, 1000, 60000, 3600000};
    return serve_scaled(text, units, factors, 4e9, out) && *out > 0;
}

static int serve_bad(const char *option, const char *why)
{
    fprintf(stderr, "fastserve serve: %s: %s (see fastserve serve --help)\n", option, why);
    return 1;
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

// Takes one option with its value; -1: fine, else the exit code.
static int serve_option(serve_options *o, const char *name, const char *value)
{
    uint64_t n = 0;
    if (!strcmp(name, "-b") || !strcmp(name, "--bind") || !strcmp(name, "-l") || !strcmp(name, "--listen")) {
        if (o->bind_count == 16) return serve_bad(name, "at most 16 addresses");
        o->binds[o->bind_count++] = value;
    } else if (!strcmp(name, "-p") || !strcmp(name, "--port")) {
        if (!fsi_number(value, strlen(value), &n) || n > 65535) return serve_bad(name, "wants a port, 0 to 65535");
        o->port = (uint32_t)n;
        o->port_given = true;
    } else if (!strcmp(name, "--unix")) {
        o->unix_path = value;
    } else if (!strcmp(name, "-t") || !strcmp(name, "--threads")) {
        if (!serve_count(value, 1024, &n) || n == 0) return serve_bad(name, "wants a number of loops, 1 to 1024");
        o->desc.loops = (uint32_t)n;
    } else if (!strcmp(name, "-w") || !strcmp(name, "--workers")) {
        if (!serve_count(value, 4096, &n) || n == 0) return serve_bad(name, "wants a number of workers, 1 to 4096");
        o->desc.workers = (uint32_t)n;
    } else if (!strcmp(name, "--threads-max")) {
        if (!serve_count(value, 65536, &n) || n == 0) return serve_bad(name, "wants a number of threads, 1 to 65536");
        o->desc.threads_max = (uint32_t)n;
    } else if (!strcmp(name, "--model")) {
        if (!serve_model(value, &o->desc)) return serve_bad(name, "wants event, pool, pool-conn, thread or sync");
        o->model = value;
    } else if (!strcmp(name, "--max-conns")) {
        if (!serve_count(value, 0x7fffffff, &n) || n == 0)
            return serve_bad(name, "wants a number of connections, at least 1");
        o->desc.conns_max = (uint32_t)n;
    } else if (!strcmp(name, "--max-head")) {
        if (!serve_bytes(value, 1048576, &n) || n < 256) return serve_bad(name, "wants 256 bytes to 1M");
        o->desc.head_bytes_max = (uint32_t)n;
    } else if (!strcmp(name, "--max-body")) {
        if (!serve_bytes(value, 9e15, &n) || n == 0) return serve_bad(name, "wants a number of bytes, at least 1");
        serve_body_max = n;
    } else if (!strcmp(name, "--head-timeout") || !strcmp(name, "--idle-timeout")) {
        if (!serve_time_ms(value, &n)) return serve_bad(name, "wants a time such as 500ms, 10s or 1m");
        if (name[2] == 'h')
            o->desc.head_timeout_ms = (uint32_t)n;
        else
            o->desc.idle_timeout_ms = (uint32_t)n;
    } else if (!strcmp(name, "--log")) {
        o->log = value;
    } else if (!strcmp(name, "--law")) {
        const char *wrong = bench_law_parse(value, &o->law);
        if (wrong) return serve_bad(name, wrong);
    }
    return -1;
}

// Keeps an option in mind that means nothing with --law, or with --echo.
static void serve_note(serve_options *o, const char *name)
{
    static const char *const fine[] = {"-b", "--bind", "-l", "--listen", "-p", "--port", "-q", "--quiet", "--law"};
    static const char *const raw[] = {"-b", "--bind",    "-l",          "--listen",       "-p",      "--port", "--unix",
                                      "-t", "--threads", "--max-conns", "--idle-timeout", "--no-pin"};
    bool found = false;
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) found = found || !strcmp(name, raw[i]);
    if (!found) (void)snprintf(o->http, sizeof o->http, "%s", name);
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
    if (o->desc.model && o->desc.loops != FSV_LOOPS_PER_CPU && o->desc.loops != 1)
        return serve_bad("-t", o->desc.model == FSV_MODEL_SYNC
                                   ? "means nothing with --model sync: one thread does everything"
                                   : "means nothing with this model: one thread accepts, others serve");
    return -1;
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
                                             "--max-conns",
                                             "--max-head",
                                             "--max-body",
                                             "--head-timeout",
                                             "--idle-timeout",
                                             "--log",
                                             "--law",
                                             NULL};
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i], *equals = arg[0] == '-' && arg[1] == '-' ? strchr(arg, '=') : NULL;
        char name[32];
        const char *value = NULL;
        int found = -1;
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
            fputs(serve_help, stdout);
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
        else if (arg[0] != '-')
            return serve_bad(arg, arg[0] && strspn(arg, "0123456789") == strlen(arg)
                                      ? "a port is given with -p, as in -p 8080"
                                      : "serving a folder is not built yet; without one the demo is served");
        else {
            size_t len = equals ? (size_t)(equals - arg) : arg[1] == '-' ? strlen(arg) : 2; // -p8080 is -p 8080
            if (len >= sizeof name) return serve_bad(arg, "unknown option");
            memcpy(name, arg, len);
            name[len] = 0;
            for (int k = 0; with_value[k]; k++)
                if (!strcmp(name, with_value[k])) found = k;
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
    if (o->quiet || record->level == 2 || !strcmp(record->item, "listen")) return; // serve says it in its own words
    char why[200] = "";
    if (record->os_error) (void)fsi_os_error_text((int)record->os_error, why, sizeof why);
    fprintf(stderr, "fastserve serve: %s: %s%s%s\n", record->level ? "warning" : "error", record->text,
            record->os_error ? ": " : "", why);
    (void)fflush(stderr); // it is not unbuffered everywhere
}

// Listens on one address. -1: fine, else the exit code.
static int serve_listen(fsv_server *server, const serve_options *o, const char *bind)
{
    char address[300];
    const char *colon = strchr(bind, ':');
    bool v6 = colon && bind[0] != '[';
    if (v6 && !strchr(colon + 1, ':')) return serve_bad("-b", "wants an address without a port; the port goes to -p");
    if (!strcmp(bind, "*")) bind = "";
    (void)snprintf(address, sizeof address, v6 ? "[%.200s]:%u" : "%.200s:%u", bind, o->port);
    fsv_result result = o->echo        ? echo_listen(server, address)
                        : o->reuseport ? fsv_server_listen_shared(server, address)
                                       : fsv_server_listen(server, address);
    if (result == FSV_OK) return -1;
    if (result == FSV_ERR_IN_USE)
        fprintf(stderr,
                "fastserve serve: port %u on %s is in use by another program; choose another with -p, or -p 0 for a "
                "free one\n",
                o->port, bind);
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

static void serve_announce(const fsv_server *server, const serve_options *o)
{
    char address[128], what[160] = "the demo";
    const char *scheme = o->echo ? "tcp" : "http", *path = o->echo ? "" : "/";
    bool local = true;
    if (o->echo) (void)snprintf(what, sizeof what, "the echo");
    if (o->law.kind) (void)snprintf(what, sizeof what, "the law %s", o->law.text);
    if (o->model && strcmp(o->model, "event") != 0) (void)snprintf(what, sizeof what, "the demo, model %s,", o->model);
    for (uint32_t i = 0; i < fsv_server_listeners(server); i++) {
        fsv_server_address(server, i, address, sizeof address);
        if (o->bind_count == 0 && i > 0 && strncmp(address, "[::1]", 5) == 0) continue; // one line for localhost
        if (strncmp(address, "unix:", 5) == 0)
            printf("fastserve %s: serving %s at %s\n", fsv_version(), what, address);
        else if (strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0)
            printf("fastserve %s: serving %s at %s://localhost:%u%s, and to the network on port %u\n", fsv_version(),
                   what, scheme, fsv_server_port(server, i), path, fsv_server_port(server, i));
        else
            printf("fastserve %s: serving %s at %s://%s%s\n", fsv_version(), what, scheme, address, path);
        if (strncmp(address, "127.", 4) != 0 && strncmp(address, "[::1]", 5) != 0 && strncmp(address, "unix:", 5) != 0)
            local = false;
    }
    if (local && fsv_server_port(server, 0))
        printf("Only this machine can reach it; -b 0.0.0.0 opens it to the network. Ctrl-C ends it.\n");
    fflush(stdout);
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

static int serve_main(int argc, char **argv)
{
    serve_options o;
    memset(&o, 0, sizeof o);
    o.port = 8080;
    o.desc.loops = FSV_LOOPS_PER_CPU;
    int code = serve_parse(&o, argc, argv);
    if (code >= 0) return code;
    (void)bench_os_descriptors(UINT64_MAX);
    if (o.desc.model) o.desc.loops = 1;
    if (o.law.kind) o.desc.loops = 1; // one socket for each address
    o.desc.pin = !o.no_pin && o.desc.loops != 1 && FSI_LOCALITY;
    o.desc.log = serve_on_log;
    o.desc.user = &o;
    if (o.log) {
        if (!serve_log_open(o.log)) return 1;
        o.desc.on_answer = serve_on_answer;
    }
    fsv_result result = demo_create(&serve_server, &o.desc);
    if (result != FSV_OK) {
        fprintf(stderr, "fastserve serve: cannot start: %s\n", fsv_result_text(result));
        return 1;
    }
    if (o.unix_path) code = serve_listen_unix(serve_server, &o, o.unix_path);
    for (uint32_t i = 0; i < o.bind_count && code < 0; i++) code = serve_listen(serve_server, &o, o.binds[i]);
    if (!o.bind_count && !o.unix_path) code = serve_listen(serve_server, &o, "localhost");
    if (code < 0 && o.law.kind) code = serve_law(serve_server, &o.law);
    if (code < 0) code = serve_run(&o);
    if (serve_target) bench_target_free(serve_target);
    (void)fsv_server_free(serve_server);
    if (o.log) serve_log_close();
    return code;
}

static const char main_help[] = "Usage: fastserve serve [options]         run the built-in demo server\n"
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
