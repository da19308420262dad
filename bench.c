// bench.c - the load generator behind `fastserve bench`. Not a translation unit: main.c includes it after the implementation
// of fastserve.h, whose client side it stands on, and after its own
//
//     static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc);
//
// which makes the server that a run without a URL measures. The only entry is bench_main().
//
//     >>bench-text >>bench-units >>bench-result >>bench-options >>bench-url >>bench-structs >>bench-request >>bench-conn >>bench-thread
//     >>bench-report >>bench-connect >>bench-run
//
// THE MODEL   A closed loop: each connection has --pipeline requests in flight, and an answer makes room for the next request.
//             A thread owns its io, its share of the connections and its histogram; nothing is shared while it runs but the plan
//             (read only) and the stop flag. An answer that comes whole costs one recv, one clock read and one send.
// THE SUMS    A request that was started ends as exactly one of: done, failed (by kind), timed out, in flight at the end.
//             The sums are checked after the run; a result that does not add up is not printed as if it did (exit 2).
#ifndef FASTSERVE_IMPLEMENTED
#error "bench.c is a part of main.c, which includes it after fastserve.h with FASTSERVE_IMPLEMENTATION"
#endif
#if !FSI_CLIENT
#error "bench.c needs the client side of fastserve.h: do not define FSV_NO_CLIENT"
#endif

#include <netdb.h>

#define BENCH_OK 0
#define BENCH_USAGE 1     // also: cannot connect
#define BENCH_UNTRUSTED 2 // connections lost, sums that do not add up
#define BENCH_TARGET 3    // the target produced errors

#define BENCH_IN_BYTES 65536   // of one receive
#define BENCH_HEAD_BYTES 65536 // of an answer's head
#define BENCH_TICK_NS 100000000u
#define BENCH_READS_MAX 16 // receives of one connection in a row, then the others

// ---------------------------------------------------------------------------------------------------------
// >>bench-text   A growing string, and how errors are told.
// ---------------------------------------------------------------------------------------------------------

typedef struct bench_text {
    char *ptr;
    size_t len, cap;
    bool failed; // out of memory; the text is useless then
} bench_text;

static void bench_text_add(bench_text *text, const char *data, size_t len)
{
    if (text->failed) return;
    if (text->len + len + 1 > text->cap) {
        size_t cap = (text->len + len + 1) * 2;
        char *more = (char *)realloc(text->ptr, cap);
        if (!more) {
            text->failed = true;
            return;
        }
        text->ptr = more;
        text->cap = cap;
    }
    if (len) memcpy(text->ptr + text->len, data, len);
    text->len += len;
    text->ptr[text->len] = 0;
}

static void bench_text_str(bench_text *text, const char *str)
{
    bench_text_add(text, str, strlen(str));
}

static void bench_text_free(bench_text *text)
{
    free(text->ptr);
    memset(text, 0, sizeof *text);
}

// One line on stderr. Control bytes in what a user typed stay out of his terminal.
static void bench_say(const char *format, ...) FSI_PRINTF(1, 2);

static void bench_say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    (void)fprintf(stderr, "fastserve bench: %s\n", line);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-units   Numbers as wrk's users type and read them.
// ---------------------------------------------------------------------------------------------------------

// "12", "1.5", ".5": digits * 10^-decimals; digits is UINT64_MAX when it does not fit, decimals beyond nine are dropped.
// *rest is what follows. False: no number.
static bool bench_decimal(const char *text, uint64_t *digits, uint32_t *decimals, const char **rest)
{
    bool any = false, point = false;
    *digits = *decimals = 0;
    for (; (*text >= '0' && *text <= '9') || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        any = true;
        if (*decimals == 9) continue;
        *digits = *digits < UINT64_MAX / 100 ? *digits * 10 + (uint64_t)(*text - '0') : UINT64_MAX;
        *decimals += point;
    }
    *rest = text;
    return any;
}

typedef struct bench_suffix {
    const char *name; // lower case
    uint64_t times;
} bench_suffix;

// digits * 10^-decimals * times of the suffix; the remainder tells whether it was a whole number. Returns what is wrong, or NULL.
static const char *bench_scaled(const char *text, const bench_suffix *suffixes, uint64_t *out, uint64_t *remainder)
{
    uint64_t digits, divisor = 1;
    uint32_t decimals;
    const char *rest;
    if (!bench_decimal(text, &digits, &decimals, &rest)) return *text == '-' ? "must not be negative" : "not a number";
    while (suffixes->name && !fsi_is(rest, strlen(rest), suffixes->name, strlen(suffixes->name))) suffixes++;
    if (!suffixes->name) return "unknown unit";
    if (digits >= UINT64_MAX / suffixes->times) return "too large";
    for (; decimals; decimals--) divisor *= 10;
    *out = digits * suffixes->times / divisor;
    *remainder = digits * suffixes->times % divisor;
    return NULL;
}

// "500", "10k", "1.5M" (x1000, any case), from 1 to max.
static const char *bench_read_count(const char *text, uint64_t max, uint64_t *out)
{
    static const bench_suffix suffixes[] = {{"", 1}, {"k", 1000}, {"m", 1000000}, {"g", 1000000000}, {NULL, 0}};
    uint64_t remainder = 0;
    const char *wrong = bench_scaled(text, suffixes, out, &remainder);
    if (wrong) return wrong;
    if (remainder) return "not a whole number";
    if (*out == 0) return "must be at least 1";
    return *out > max ? "too large" : NULL;
}

// "10s", "500ms", "1.5m", "2h", "100us", "10" (seconds); more than nothing, at most 1000 hours.
static const char *bench_read_time(const char *text, uint64_t *out_ns)
{
    static const bench_suffix suffixes[] = {{"", 1000000000u}, {"s", 1000000000u},  {"ms", 1000000},       {"us", 1000},
                                            {"ns", 1},         {"m", 60000000000u}, {"h", 3600000000000u}, {NULL, 0}};
    uint64_t remainder = 0;
    const char *wrong = bench_scaled(text, suffixes, out_ns, &remainder);
    if (wrong && strcmp(wrong, "unknown unit") == 0) return "unknown unit; a time is 10s, 500ms, 1.5m or 2h";
    if (wrong) return wrong;
    if (*out_ns == 0) return "must be more than 0";
    return *out_ns > 3600000000000000u ? "too large" : NULL;
}

// A number with two decimals and the unit that fits: the next one takes over from 0.85 of it on (900 us is 0.90ms).
static const char *bench_unit(char *out, size_t size, double value, double step, const char *const *names)
{
    for (; names[1] && value >= step * 0.85; names++) value /= step;
    (void)snprintf(out, size, "%.2f%s", value, *names);
    return out;
}

static const char *bench_time_text(char *out, size_t size, double us)
{
    static const char *const small[] = {"us", "ms", "s", NULL}, *const large[] = {"s", "m", "h", NULL};
    return us >= 1000000 ? bench_unit(out, size, us / 1000000, 60, large) : bench_unit(out, size, us, 1000, small);
}

static const char *bench_count_text(char *out, size_t size, double value)
{
    static const char *const names[] = {"", "k", "M", "G", "T", "P", NULL};
    return bench_unit(out, size, value, 1000, names);
}

static const char *bench_bytes_text(char *out, size_t size, double value)
{
    static const char *const names[] = {"B", "KB", "MB", "GB", "TB", "PB", NULL};
    return bench_unit(out, size, value, 1024, names);
}

// A length of time as it would be typed: "10s", "2m", "500ms", "1.5s".
static const char *bench_length_text(char *out, size_t size, uint64_t ns)
{
    static const bench_suffix units[] = {
        {"h", 3600000000000u}, {"m", 60000000000u}, {"s", 1000000000u}, {"ms", 1000000}, {"us", 1000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t count = ns / units[i].times;
        if (ns % units[i].times || (count >= 1000 && units[i].times < 1000000000u)) continue;
        (void)snprintf(out, size, "%llu%s", (unsigned long long)count, units[i].name);
        return out;
    }
    (void)snprintf(out, size, "%.9gs", (double)ns / 1e9);
    return out;
}

// Newton's method, so that nobody needs to link a mathematics library for one figure.
static double bench_sqrt(double x)
{
    double root = x > 1 ? x : 1;
    if (!(x > 0)) return 0;
    for (int i = 0; i < 200; i++) {
        double next = (root + x / root) / 2;
        if (next >= root) break;
        root = next;
    }
    return root;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-result   What a run found out, whoever prints it. Plain data: it can be written as JSON, read back and added up.
//                  Times are in nanoseconds. "Response" counts from when a request was due (open loop) or begun (closed
//                  loop), "service" from when it was sent.
// ---------------------------------------------------------------------------------------------------------

// How a request or a connection fails. The wrk layout has four words for them: connect, read, write, timeout.
typedef enum bench_kind {
    BENCH_REFUSED,         // connect: nobody listens there
    BENCH_CONNECT_TIMEOUT, // connect: not up within --timeout
    BENCH_NO_PORTS,        // connect: every local port is taken
    BENCH_NO_DESCRIPTORS,  // connect: too many open files
    BENCH_UNREACHABLE,     // connect: any other reason
    BENCH_CLOSED,          // read: the peer ended the connection without saying so, or in the middle of an answer
    BENCH_RESET,           // read: the connection was reset
    BENCH_BAD,             // read: what came is no HTTP answer, or not the echo of what was sent
    BENCH_WRITE,           // write failed
    BENCH_STATUS,          // a whole answer, with a status that was not expected
    BENCH_BODY,            // a whole answer, with a body that was not expected
    BENCH_TIMEOUT,         // no answer within --timeout
    BENCH_KINDS
} bench_kind;

// Names as they stand in JSON and in the audit.
static const char *const bench_kind_names[BENCH_KINDS] = {
    "connect_refused", "connect_timeout", "no_ports", "no_descriptors",    "unreachable",     "early_close",
    "reset",           "bad_response",    "write",    "unexpected_status", "unexpected_body", "timeout"};

#define BENCH_SECONDS_MAX 512  // slots of the series; when they are full, two become one
#define BENCH_COARSE_CELLS 512 // 8 to each power of two: what a figure over time needs

// One slot of the series. Latencies are of requests that ended well in it, by response time.
typedef struct bench_second {
    uint64_t done, errors, timeouts;
    uint64_t p50, p99, max;
} bench_second;

// What a run was asked to do and where it ran: equal for two runs that may be compared.
typedef struct bench_setup {
    char url[512];                                        // the first one
    char version[32];                                     // of fastserve
    char system[128];                                     // kernel and machine: "Linux 6.18.5 x86_64"
    char cpu[128];                                        // its name
    uint32_t cpus;                                        // that this process may use
    uint32_t threads, connections, pipeline, urls, calls; // calls: requests on each connection, 0: no limit
    uint64_t duration, warmup, ramp, timeout;             // ns; duration 0: no limit
    uint64_t requests;                                    // -n; 0: no limit
    double rate;                                          // asked for, requests per second; 0: closed loop
    double conn_rate;                                     // asked for, connections per second; 0: not so
    uint64_t size;                                        // of --echo
    bool close, rst, echo, self_hosted;
    uint32_t source_ips;
    uint32_t request_bytes; // of the first request as it was sent
} bench_setup;

typedef struct bench_result {
    bench_setup setup;
    int64_t began_unix; // seconds
    uint64_t run_ns;    // what was measured, without set-up and warm-up
    bool interrupted;   // by a signal

    // Every request that was due ends as exactly one of these.
    uint64_t due, done, failed[BENCH_KINDS], in_flight, unsent;

    uint64_t events[BENCH_KINDS]; // errors as wrk counts them: a connection may also fail between two requests
    uint64_t statuses[600];       // answers by status, those that were not expected too
    uint64_t bytes_in, bytes_body, bytes_out;
    uint64_t first_length, other_length; // body length of the first answer; answers with another one
    uint64_t kept;                       // answers after which the connection went on
    char server[64];                     // the Server field of the first answer
    char first_error[160];               // in words: of the first connection that failed, or of a bad response

    fsi_hist response, service; // of what is done
    fsi_hist censored;      // time so far of what timed out, was in flight at the end or never sent: "at least so long"
    fsi_hist connect, wait; // until a connection was up; from sending until the head of the answer was there
    fsi_hist lag;           // open loop: how late requests were sent although a connection was free
    fsi_hist rate;          // requests per second in each 100 ms of each thread

    bench_second seconds[BENCH_SECONDS_MAX];
    uint32_t second_count;
    uint64_t second_ns; // length of a slot

    uint64_t conns_opened, conns_lost, conns_most; // most: open at a time
    uint64_t syn_retransmits;
    uint64_t client_user_ns, client_sys_ns; // CPU time of the load threads
    uint64_t busiest_ns;                    // of the busiest load thread
    uint64_t server_cpu_ns;                 // self-hosted or --pid; 0: not known
    uint64_t server_rss;                    // bytes, the most that was seen; 0: not known
    uint64_t steal_ns, throttled_ns,
        other_ns; // of this machine's CPUs, taken away in the run; other: by other processes
} bench_result;

// The response time that the share q of all requests did not exceed, by the product-limit estimate: what had not ended counts
// as "at least so long". *beyond: that share never ended well; it is more than what is returned. 0 when there is nothing.
static uint64_t bench_quantile(const bench_result *result, double q, bool *beyond)
{
    const fsi_hist *ended = &result->response, *cut = &result->censored;
    double at_risk = (double)ended->count + (double)cut->count, alive = 1, want = 1 - q;
    uint64_t last = ended->count ? ended->max : 0;
    *beyond = false;
    if (at_risk == 0) return 0;
    for (uint32_t i = 0; i < FSI_HIST_CELLS; i++) {
        double gone = (double)ended->cells[i];
        if (gone > 0) {
            alive *= at_risk - gone > 0.5 ? (at_risk - gone) / at_risk : 0;
            if (alive <= want * (1 + 1e-12)) {
                uint64_t value = fsi_hist_value(i);
                return value < ended->min ? ended->min : value > ended->max ? ended->max : value;
            }
        }
        at_risk -= gone + (double)cut->cells[i];
    }
    *beyond = true;
    return cut->count && cut->max > last ? cut->max : last;
}

// The errors among the requests: all that ended, but not well.
static uint64_t bench_errors(const bench_result *result)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < BENCH_KINDS; kind++) sum += result->failed[kind];
    return sum;
}

// Answers that came whole, whatever they said: what wrk calls requests.
static uint64_t bench_answers(const bench_result *result)
{
    return result->done + result->failed[BENCH_STATUS] + result->failed[BENCH_BODY];
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-options   The command line. Values may be glued (-c500, --connections=500), flags may share a dash (-Lq), the URL
//                   may stand anywhere.
// ---------------------------------------------------------------------------------------------------------

#define BENCH_URLS_MAX 4096

typedef enum bench_format { BENCH_FORMAT_WRK, BENCH_FORMAT_AB, BENCH_FORMAT_HTTPERF } bench_format;

typedef struct bench_options {
    const char *urls[BENCH_URLS_MAX]; // none: the built-in server
    uint32_t url_count;
    uint64_t threads;     // 0: not said
    uint64_t connections; // 0: not said
    uint64_t pipeline;    // requests in flight per connection
    uint64_t requests;    // 0: no limit
    uint64_t duration_ns; // 0: no limit, then requests is not 0
    uint64_t timeout_ns;
    uint64_t warmup_ns, ramp_ns;
    double rate;      // requests per second in all; 0: closed loop
    double conn_rate; // connections per second in all; 0: not so
    uint64_t calls;   // requests on each connection; 0: no limit
    uint64_t size;    // of an echo
    uint64_t source_ips;
    uint64_t runs;
    uint64_t pid;                                  // of the server, to be sampled; 0: not said
    double max_errors;                             // share of the requests
    const char *method;                            // NULL: not said
    const char *body;                              // NULL: none
    const char *body_file;                         // NULL: none
    const char *url_file;                          // NULL: none
    const char *expect_body;                       // NULL: any
    const char *json_file, *hgrm_file, *html_file; // NULL: none
    const char *slo, *find_rate, *vs;              // NULL: none
    bench_text fields;                             // of -H, "Name: value CR LF" each
    bench_text url_text;                           // of url_file
    uint8_t expect[75];                            // a bit for each status that is expected; none: below 400
    bool expects;
    bool has_host, has_type; // among the fields
    bool close, rst, echo, latency, service, histogram, quiet, help, help_all, version, selftest;
    bench_format format;
} bench_options;

static void bench_options_free(bench_options *options)
{
    bench_text_free(&options->fields);
    bench_text_free(&options->url_text);
}

typedef enum bench_opt {
    BENCH_OPT_THREADS,
    BENCH_OPT_CONNECTIONS,
    BENCH_OPT_DURATION,
    BENCH_OPT_HEADER,
    BENCH_OPT_LATENCY,
    BENCH_OPT_TIMEOUT,
    BENCH_OPT_REQUESTS,
    BENCH_OPT_METHOD,
    BENCH_OPT_BODY,
    BENCH_OPT_BODY_FILE,
    BENCH_OPT_CLOSE,
    BENCH_OPT_PIPELINE,
    BENCH_OPT_QUIET,
    BENCH_OPT_VERSION,
    BENCH_OPT_HELP,
    BENCH_OPT_HELP_ALL,
    BENCH_OPT_RATE,
    BENCH_OPT_SERVICE,
    BENCH_OPT_CONN_RATE,
    BENCH_OPT_CALLS,
    BENCH_OPT_WARMUP,
    BENCH_OPT_RAMP,
    BENCH_OPT_ECHO,
    BENCH_OPT_SIZE,
    BENCH_OPT_URLS,
    BENCH_OPT_EXPECT_STATUS,
    BENCH_OPT_EXPECT_BODY,
    BENCH_OPT_SOURCE_IPS,
    BENCH_OPT_RST,
    BENCH_OPT_FORMAT,
    BENCH_OPT_JSON,
    BENCH_OPT_HGRM,
    BENCH_OPT_HTML,
    BENCH_OPT_HISTOGRAM,
    BENCH_OPT_RUNS,
    BENCH_OPT_SLO,
    BENCH_OPT_FIND_RATE,
    BENCH_OPT_VS,
    BENCH_OPT_MAX_ERRORS,
    BENCH_OPT_PID,
    BENCH_OPT_SELFTEST,
    BENCH_OPT_REFUSED
} bench_opt;

typedef struct bench_opt_def {
    const char *name; // NULL: none
    const char *why;  // of BENCH_OPT_REFUSED
    char letter;      // 0: none
    uint8_t opt;      // bench_opt
    bool value;       // takes one
} bench_opt_def;

// clang-format off
static const bench_opt_def bench_opt_defs[] = {
    {"threads",       NULL, 't', BENCH_OPT_THREADS,       true},
    {"connections",   NULL, 'c', BENCH_OPT_CONNECTIONS,   true},
    {"duration",      NULL, 'd', BENCH_OPT_DURATION,      true},
    {NULL,            NULL, 'z', BENCH_OPT_DURATION,      true},
    {"header",        NULL, 'H', BENCH_OPT_HEADER,        true},
    {"latency",       NULL, 'L', BENCH_OPT_LATENCY,       false},
    {"timeout",       NULL, 0,   BENCH_OPT_TIMEOUT,       true},
    {"requests",      NULL, 'n', BENCH_OPT_REQUESTS,      true},
    {"method",        NULL, 'm', BENCH_OPT_METHOD,        true},
    {"body",          NULL, 'b', BENCH_OPT_BODY,          true},
    {"body-file",     NULL, 'f', BENCH_OPT_BODY_FILE,     true},
    {"close",         NULL, 0,   BENCH_OPT_CLOSE,         false},
    {"pipeline",      NULL, 0,   BENCH_OPT_PIPELINE,      true},
    {"rate",          NULL, 'R', BENCH_OPT_RATE,          true},
    {"u_latency",     NULL, 'U', BENCH_OPT_SERVICE,       false},
    {"u-latency",     NULL, 0,   BENCH_OPT_SERVICE,       false},
    {"conn-rate",     NULL, 0,   BENCH_OPT_CONN_RATE,     true},
    {"calls",         NULL, 0,   BENCH_OPT_CALLS,         true},
    {"warmup",        NULL, 0,   BENCH_OPT_WARMUP,        true},
    {"ramp",          NULL, 0,   BENCH_OPT_RAMP,          true},
    {"echo",          NULL, 0,   BENCH_OPT_ECHO,          false},
    {"size",          NULL, 0,   BENCH_OPT_SIZE,          true},
    {"urls",          NULL, 0,   BENCH_OPT_URLS,          true},
    {"expect-status", NULL, 0,   BENCH_OPT_EXPECT_STATUS, true},
    {"expect-body",   NULL, 0,   BENCH_OPT_EXPECT_BODY,   true},
    {"source-ips",    NULL, 0,   BENCH_OPT_SOURCE_IPS,    true},
    {"rst",           NULL, 0,   BENCH_OPT_RST,           false},
    {"format",        NULL, 0,   BENCH_OPT_FORMAT,        true},
    {"json",          NULL, 0,   BENCH_OPT_JSON,          true},
    {"hgrm",          NULL, 0,   BENCH_OPT_HGRM,          true},
    {"html",          NULL, 0,   BENCH_OPT_HTML,          true},
    {"histogram",     NULL, 0,   BENCH_OPT_HISTOGRAM,     false},
    {"runs",          NULL, 0,   BENCH_OPT_RUNS,          true},
    {"slo",           NULL, 0,   BENCH_OPT_SLO,           true},
    {"find-rate",     NULL, 0,   BENCH_OPT_FIND_RATE,     true},
    {"vs",            NULL, 0,   BENCH_OPT_VS,            true},
    {"max-errors",    NULL, 0,   BENCH_OPT_MAX_ERRORS,    true},
    {"pid",           NULL, 0,   BENCH_OPT_PID,           true},
    {"selftest",      NULL, 0,   BENCH_OPT_SELFTEST,      false},
    {"quiet",         NULL, 'q', BENCH_OPT_QUIET,         false},
    {"version",       NULL, 0,   BENCH_OPT_VERSION,       false},
    {"help",          NULL, 'h', BENCH_OPT_HELP,          false},
    {"help-all",      NULL, 0,   BENCH_OPT_HELP_ALL,      false},
    {"script", "scripts are not supported; {i} and {rand:1-9} vary a request",
     's', BENCH_OPT_REFUSED, false},
    {NULL, "unknown option; connections are kept alive anyway, --close turns that off",
     'k', BENCH_OPT_REFUSED, false},
    {NULL, "unknown option; there are --timeout and -H 'Content-Type: ...'",
     'T', BENCH_OPT_REFUSED, false},
    {NULL, "unknown option; there is --version",
     'v', BENCH_OPT_REFUSED, false},
};
// clang-format on

static const char bench_help[] = "Usage: fastserve bench [options] [URL ...]     (--help-all: every option)\n"
                                 "Loads an HTTP server and reports as wrk does. Without a URL it starts and\n"
                                 "measures the built-in server. URL: [http://]HOST[:PORT][/PATH], unix:PATH,\n"
                                 "tcp://HOST:PORT with --echo.\n"
                                 "  -c, --connections N   connections kept open (100)     N: 500 10k 1.5M\n"
                                 "  -t, --threads N       threads (one per usable CPU)\n"
                                 "  -d, -z, --duration T  length of the run (10s)         T: 10s 500ms 1.5m 2h\n"
                                 "  -n, --requests N      number of requests; with -d whichever comes first\n"
                                 "  -R, --rate N          open loop: N requests a second in all, late or not\n"
                                 "  -m, --method NAME     request method (GET; with a body POST)\n"
                                 "  -H, --header 'K: V'   a request field; may be repeated\n"
                                 "  -b, --body TEXT       request body       -f, --body-file FILE   the same\n"
                                 "      --close           a new connection for each request, inside its latency\n"
                                 "      --pipeline N      requests in flight on each connection (1)\n"
                                 "      --timeout T       a request unanswered for so long is given up (2s)\n"
                                 "  -L, --latency         print percentiles too\n"
                                 "      --slo 'p99<5ms'   exit 99 when missed     --json FILE, --html FILE\n"
                                 "  -q, --quiet           no progress line, no notes\n"
                                 "      --version, --help, --help-all; bench compare A.json B.json\n"
                                 "\n"
                                 "Exit status: 0 ok, or the first that applies:  1 usage, or cannot connect\n"
                                 "  2 not trustworthy: the audit on stderr says why\n"
                                 "  3 errors of the target: sockets, timeouts, bad answers, status >= 400\n"
                                 "  99 an objective of --slo was missed\n";

static const char bench_help_more[] =
    "\n"
    "Ways to load\n"
    "  -R, --rate N           a constant total rate; latency counts from when a request was due\n"
    "  -U, --u_latency        print the service time too, which counts from when it was sent\n"
    "      --conn-rate N      open N connections a second, --calls M requests on each (1)\n"
    "      --calls M          requests on each connection before it is closed (no limit)\n"
    "      --warmup T         load for so long before measuring\n"
    "      --ramp T           open the connections, or raise the rate, over this time\n"
    "      --echo             tcp://HOST:PORT answers with what it was sent; --size N bytes (64)\n"
    "      --source-ips N     spread connections to loopback over N addresses (127.0.0.1 ...)\n"
    "      --rst              close by reset: no port waits in TIME_WAIT\n"
    "      --urls FILE        more URLs, one a line; several are asked in turn\n"
    "      {i}, {rand:A-B}    in URLs, fields and bodies: a running number, a random one\n"
    "What counts as good\n"
    "      --expect-status S  200, 2xx, 200,404 (below 400)\n"
    "      --expect-body TEXT the body must contain it\n"
    "      --max-errors S     share of requests that may fail before exit status 3 (0): 0.1%\n"
    "      --slo LIST         'p99<5ms,errors<0.1%,rate>10k': exit status 99 when missed\n"
    "      --find-rate LIST   search the highest rate that holds it\n"
    "Output\n"
    "      --format NAME      wrk (with -R as wrk2), ab, httperf\n"
    "      --json FILE        everything, versioned; - is standard output\n"
    "      --hgrm FILE        percentiles for the HdrHistogram plotter\n"
    "      --html FILE        one page to look at and to send on\n"
    "      --histogram        draw the latencies in the terminal\n"
    "      --pid N            also sample CPU and memory of that server\n"
    "Several runs\n"
    "      --runs N           repeat, and print the ladder\n"
    "      --vs URL2          two targets in turn: faster, slower, or cannot tell\n"
    "      --selftest         measure a built-in target with a known law of latency\n"
    "  bench compare A.json B.json   the same from two files\n"
    "  bench merge A.json B.json ... adds up generators that ran at the same time\n";

// Puts one line into `error` and returns false.
static bool bench_wrong(char *error, size_t size, const char *format, ...) FSI_PRINTF(3, 4);

static bool bench_wrong(char *error, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

// -H "Name: value". Framing is ours: a length that does not fit the body would make every answer after it nonsense.
static const char *bench_add_field(bench_options *options, const char *text)
{
    const char *at = text, *end = text + strlen(text);
    FSI_SPAN(at, end, FSI_TCHAR);
    size_t name_len = (size_t)(at - text);
    if (name_len == 0 || *at != ':') return "not of the form 'Name: value'";
    const char *value = at + 1;
    while (*value == ' ' || *value == '\t') value++;
    for (at = value; at < end && (fsi_class[(uint8_t)*at] & FSI_VALUE);) at++;
    if (at != end) return "a control byte in the value";
    if (FSI_IS(text, name_len, "content-length") || FSI_IS(text, name_len, "transfer-encoding"))
        return "that field is written for you; give the body with -b or -f";
    if (FSI_IS(text, name_len, "connection")) {
        bool keep = false;
        fsi_read_connection(value, (size_t)(end - value), &options->close, &keep);
        if (options->close) return NULL; // the same as --close, which writes it
    }
    if (FSI_IS(text, name_len, "host")) {
        if (options->has_host) return "Host is there twice";
        options->has_host = true;
    }
    if (FSI_IS(text, name_len, "content-type")) options->has_type = true;
    bench_text_add(&options->fields, text, name_len);
    bench_text_str(&options->fields, ": ");
    bench_text_str(&options->fields, value);
    bench_text_str(&options->fields, "\r\n");
    return options->fields.failed ? "out of memory" : NULL;
}

static const char *bench_set_method(bench_options *options, const char *value)
{
    const char *at = value, *end = value + strlen(value);
    FSI_SPAN(at, end, FSI_TCHAR);
    if (at != end || at == value || at - value > 32) return "not a method";
    if (strcmp(value, "CONNECT") == 0) return "CONNECT opens a tunnel and is no request to measure";
    options->method = value;
    return NULL;
}

// "0.5", "10k", "1.5M" a second, more than nothing.
static const char *bench_read_rate(const char *text, double *out)
{
    static const bench_suffix suffixes[] = {
        {"", 1000000}, {"k", 1000000000}, {"m", 1000000000000u}, {"/s", 1000000}, {NULL, 0}};
    uint64_t millionths = 0, remainder = 0;
    const char *wrong = bench_scaled(text, suffixes, &millionths, &remainder);
    if (wrong) return wrong;
    if (millionths == 0) return "must be more than 0";
    if (millionths > 100000000000000u) return "too large";
    *out = (double)millionths / 1e6;
    return NULL;
}

// "0.1%", "0.001": a share from 0 to 1.
static const char *bench_read_share(const char *text, double *out)
{
    static const bench_suffix suffixes[] = {{"", 1000000000u}, {"%", 10000000}, {NULL, 0}};
    uint64_t billionths = 0, remainder = 0;
    const char *wrong = bench_scaled(text, suffixes, &billionths, &remainder);
    if (wrong) return wrong;
    *out = (double)billionths / 1e9;
    return *out > 1 ? "more than everything" : NULL;
}

// "200", "2xx", "200,404".
static const char *bench_read_statuses(bench_options *options, const char *text)
{
    options->expects = true;
    for (const char *at = text;; at++) {
        uint32_t low, high;
        if (at[0] < '1' || at[0] > '5') return "not a status; write 200, 2xx or 200,404";
        if ((at[1] | 32) == 'x' && (at[2] | 32) == 'x') {
            low = (uint32_t)(at[0] - '0') * 100;
            high = low + 99;
        } else if (at[1] >= '0' && at[1] <= '9' && at[2] >= '0' && at[2] <= '9') {
            low = high = (uint32_t)(at[0] - '0') * 100 + (uint32_t)(at[1] - '0') * 10 + (uint32_t)(at[2] - '0');
        } else {
            return "not a status; write 200, 2xx or 200,404";
        }
        for (; low <= high; low++) options->expect[low / 8] |= (uint8_t)(1u << (low % 8));
        at += 3;
        if (*at == 0) return NULL;
        if (*at != ',') return "not a status; write 200, 2xx or 200,404";
    }
}

static const char *bench_set_format(bench_options *options, const char *value)
{
    static const char *const names[] = {"wrk", "ab", "httperf"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) != 0) continue;
        options->format = (bench_format)i;
        return NULL;
    }
    return "there are wrk, ab and httperf";
}

static const char *bench_add_url(bench_options *options, const char *url)
{
    if (options->url_count == BENCH_URLS_MAX) return "too many URLs";
    options->urls[options->url_count++] = url;
    return NULL;
}

// Returns what is wrong with it, or NULL.
static const char *bench_set_number(bench_options *options, bench_opt opt, const char *value)
{
    switch (opt) {
    case BENCH_OPT_THREADS: return bench_read_count(value, 1024, &options->threads);
    case BENCH_OPT_CONNECTIONS: return bench_read_count(value, 1000000, &options->connections);
    case BENCH_OPT_DURATION: return bench_read_time(value, &options->duration_ns);
    case BENCH_OPT_TIMEOUT: return bench_read_time(value, &options->timeout_ns);
    case BENCH_OPT_WARMUP: return bench_read_time(value, &options->warmup_ns);
    case BENCH_OPT_RAMP: return bench_read_time(value, &options->ramp_ns);
    case BENCH_OPT_REQUESTS: return bench_read_count(value, 1000000000000000u, &options->requests);
    case BENCH_OPT_PIPELINE: return bench_read_count(value, 10000, &options->pipeline);
    case BENCH_OPT_RATE: return bench_read_rate(value, &options->rate);
    case BENCH_OPT_CONN_RATE: return bench_read_rate(value, &options->conn_rate);
    case BENCH_OPT_CALLS: return bench_read_count(value, 1000000000, &options->calls);
    case BENCH_OPT_SIZE: return bench_read_count(value, 1000000000, &options->size);
    case BENCH_OPT_SOURCE_IPS: return bench_read_count(value, 250, &options->source_ips);
    case BENCH_OPT_RUNS: return bench_read_count(value, 1000, &options->runs);
    case BENCH_OPT_PID: return bench_read_count(value, 4194304, &options->pid);
    case BENCH_OPT_MAX_ERRORS: return bench_read_share(value, &options->max_errors);
    default: return "not a number's option";
    }
}

// Returns what is wrong with it, or NULL.
static const char *bench_set(bench_options *options, bench_opt opt, const char *value)
{
    switch (opt) {
    case BENCH_OPT_HEADER: return bench_add_field(options, value);
    case BENCH_OPT_METHOD: return bench_set_method(options, value);
    case BENCH_OPT_EXPECT_STATUS: return bench_read_statuses(options, value);
    case BENCH_OPT_FORMAT: return bench_set_format(options, value);
    case BENCH_OPT_BODY: options->body = value; break;
    case BENCH_OPT_BODY_FILE: options->body_file = value; break;
    case BENCH_OPT_URLS: options->url_file = value; break;
    case BENCH_OPT_EXPECT_BODY: options->expect_body = value; break;
    case BENCH_OPT_JSON: options->json_file = value; break;
    case BENCH_OPT_HGRM: options->hgrm_file = value; break;
    case BENCH_OPT_HTML: options->html_file = value; break;
    case BENCH_OPT_SLO: options->slo = value; break;
    case BENCH_OPT_FIND_RATE: options->find_rate = value; break;
    case BENCH_OPT_VS: options->vs = value; break;
    case BENCH_OPT_LATENCY: options->latency = true; break;
    case BENCH_OPT_SERVICE: options->service = options->latency = true; break;
    case BENCH_OPT_HISTOGRAM: options->histogram = true; break;
    case BENCH_OPT_CLOSE: options->close = true; break;
    case BENCH_OPT_RST: options->rst = true; break;
    case BENCH_OPT_ECHO: options->echo = true; break;
    case BENCH_OPT_SELFTEST: options->selftest = true; break;
    case BENCH_OPT_QUIET: options->quiet = true; break;
    case BENCH_OPT_VERSION: options->version = true; break;
    case BENCH_OPT_HELP: options->help = true; break;
    case BENCH_OPT_HELP_ALL: options->help = options->help_all = true; break;
    case BENCH_OPT_REFUSED: break;
    default: return bench_set_number(options, opt, value);
    }
    return NULL;
}

static const bench_opt_def *bench_opt_find(char letter, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof bench_opt_defs / sizeof bench_opt_defs[0]; i++) {
        const bench_opt_def *def = &bench_opt_defs[i];
        if (name ? def->name && strlen(def->name) == len && memcmp(def->name, name, len) == 0 : def->letter == letter)
            return def;
    }
    return NULL;
}

// Applies one option. shown: as it was typed; glued: its value in the same word, or NULL; *i: where the next word stands.
static bool bench_apply(bench_options *options, const bench_opt_def *def, const char *shown, const char *glued,
                        int argc, char **argv, int *i, char *error, size_t size)
{
    if (!def) return bench_wrong(error, size, "%s: unknown option; see --help", shown);
    if (def->opt == BENCH_OPT_REFUSED) return bench_wrong(error, size, "%s: %s; see --help", shown, def->why);
    if (!def->value && glued) return bench_wrong(error, size, "%s: takes no value", shown);
    if (def->value && !glued) {
        if (*i + 1 >= argc) return bench_wrong(error, size, "%s: a value is missing", shown);
        glued = argv[++*i];
    }
    const char *wrong = bench_set(options, (bench_opt)def->opt, glued);
    return wrong ? bench_wrong(error, size, "%s %s: %s", shown, glued, wrong) : true;
}

// "-c500", "-c", "-Lq". The rest of the word is the value of the first letter that takes one.
static bool bench_letters(bench_options *options, int argc, char **argv, int *i, char *error, size_t size)
{
    for (const char *at = argv[*i] + 1, *stop = at + strlen(at); at < stop; at++) {
        const bench_opt_def *def = bench_opt_find(*at, NULL, 0);
        char shown[3] = {'-', *at, 0};
        bool takes = def && def->value;
        if (!bench_apply(options, def, shown, takes && at[1] ? at + 1 : NULL, argc, argv, i, error, size)) return false;
        if (takes) break;
    }
    return true;
}

static bool bench_long(bench_options *options, int argc, char **argv, int *i, char *error, size_t size)
{
    const char *word = argv[*i], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    char shown[48];
    (void)snprintf(shown, sizeof shown, "%.*s", (int)(len < 40 ? len : 40), word);
    return bench_apply(options, bench_opt_find(0, word + 2, len - 2), shown, equals ? equals + 1 : NULL, argc, argv, i,
                       error, size);
}

// Options that exclude each other, or need one that is not there. Returns what is wrong, or NULL.
static const char *bench_options_clash(const bench_options *options)
{
    if (options->body && options->body_file) return "-b and -f: only one body";
    if (options->close && options->pipeline > 1) return "--close and --pipeline exclude each other";
    if (options->close && options->calls > 1) return "--close and --calls exclude each other";
    if (options->rate > 0 && options->conn_rate > 0) return "-R and --conn-rate: only one rate";
    if (options->rate > 0 && options->calls) return "-R and --calls: with calls the rate is --conn-rate's";
    if (options->rate > 0 && options->find_rate) return "-R and --find-rate: the rate is what is looked for";
    if (options->service && !(options->rate > 0)) return "-U: only with -R; without it the two times are the same";
    if (options->size && !options->echo) return "--size: only with --echo";
    if (options->echo && (options->body || options->body_file || options->method || options->fields.len))
        return "--echo: what is sent has no method, fields or body; there is --size";
    if (options->echo && !options->url_count) return "--echo: a URL is needed, tcp://HOST:PORT";
    if (options->conn_rate > 0 && options->pipeline > 1) return "--conn-rate and --pipeline exclude each other";
    return NULL;
}

// What depends on more than one option.
static bool bench_options_check(bench_options *options, char *error, size_t size)
{
    const char *wrong = bench_options_clash(options);
    if (wrong) return bench_wrong(error, size, "%s", wrong);
    if (options->threads && options->connections && options->threads > options->connections)
        return bench_wrong(error, size, "-t %llu: more threads than connections (-c %llu)",
                           (unsigned long long)options->threads, (unsigned long long)options->connections);
    if (options->conn_rate > 0 && !options->calls) options->calls = 1;
    if (!options->connections && options->conn_rate > 0) { // as many as may be open at a time
        double most = options->conn_rate * (double)options->timeout_ns / 1e9 + 100;
        options->connections = most < 10000 ? (uint64_t)most : 10000;
    }
    if (!options->connections) options->connections = options->threads > 100 ? options->threads : 100;
    if (!options->duration_ns && !options->requests) options->duration_ns = 10000000000u;
    if (options->echo && !options->size) options->size = 64;
    if (!options->runs) options->runs = 1;
    return true;
}

// Reads the words after the command. False: *error says in one line what is wrong. The caller calls bench_options_free.
static bool bench_parse(int argc, char **argv, bench_options *options, char *error, size_t size)
{
    bool only_urls = false;
    memset(options, 0, sizeof *options);
    options->pipeline = 1;
    options->timeout_ns = 2000000000u;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool fine = true;
        if (!only_urls && strcmp(word, "--") == 0) {
            only_urls = true;
        } else if (only_urls || word[0] != '-') {
            const char *wrong = bench_add_url(options, word);
            if (wrong) return bench_wrong(error, size, "%s: %s", word, wrong);
        } else if (word[1] == '-') {
            fine = bench_long(options, argc, argv, &i, error, size);
        } else if (word[1] == 0) {
            return bench_wrong(error, size, "-: neither an option nor a URL");
        } else {
            fine = bench_letters(options, argc, argv, &i, error, size);
        }
        if (!fine) return false;
        if (options->help || options->version) return true;
    }
    return bench_options_check(options, error, size);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-url   http://host[:port][/path][?query], the scheme optional. Views into the text.
// ---------------------------------------------------------------------------------------------------------

typedef struct bench_url {
    char host[256];    // without brackets, for the resolver
    char port[8];      // decimal
    fsv_str authority; // as typed: the Host field
    fsv_str target;    // path and query; empty: "/"
    bool literal;      // host is an address in digits
} bench_url;

// Returns what is wrong with it, or NULL.
static const char *bench_url_host(bench_url *url, const char *text, size_t len)
{
    const char *host = text, *end = text + len, *colon;
    uint64_t port = 80;
    size_t host_len;
    if (memchr(text, '@', len)) return "a user name in the URL is not supported; use -H 'Authorization: ...'";
    if (len && text[0] == '[') {
        const char *bracket = (const char *)memchr(text, ']', len);
        if (!bracket) return "the ] is missing";
        host++;
        host_len = (size_t)(bracket - host);
        colon = bracket + 1;
        if (colon < end && *colon != ':') return "the port is malformed";
    } else {
        colon = (const char *)memchr(text, ':', len);
        if (!colon) colon = end;
        host_len = (size_t)(colon - text);
    }
    if (host_len == 0) return "the host is missing";
    if (host_len >= sizeof url->host) return "the host is too long";
    if (colon < end && (!fsi_number(colon + 1, (size_t)(end - colon - 1), &port) || port == 0 || port > 65535))
        return "the port is not a number from 1 to 65535";
    for (const char *at = text; at < end; at++)
        if (!(fsi_class[(uint8_t)*at] & FSI_HOST)) return "the host has a byte that does not belong there";
    memcpy(url->host, host, host_len);
    url->host[host_len] = 0;
    (void)snprintf(url->port, sizeof url->port, "%u", (unsigned)port);
    struct in6_addr ip6;
    struct in_addr ip4;
    url->literal = inet_pton(AF_INET, url->host, &ip4) == 1 || inet_pton(AF_INET6, url->host, &ip6) == 1;
    return NULL;
}

static const char *bench_url_parse(bench_url *url, const char *text)
{
    const char *scheme = strstr(text, "://"), *at = text;
    memset(url, 0, sizeof *url);
    if (strncmp(text, "unix:", 5) == 0) return "Unix-domain targets are not supported";
    if (scheme) {
        size_t len = (size_t)(scheme - text);
        if (FSI_IS(text, len, "https")) return "TLS is not supported; give an http:// URL";
        if (!FSI_IS(text, len, "http")) return "only http:// is supported";
        at = scheme + 3;
    }
    size_t len = strcspn(at, "/?#");
    url->authority.ptr = at;
    url->authority.len = len;
    url->target.ptr = at + len;
    url->target.len = strcspn(at + len, "#"); // a fragment stays at home
    const char *path = url->target.ptr, *end = path + url->target.len;
    FSI_SPAN(path, end, FSI_TARGET);
    if (path != end) return "a space or control byte; write %20 for a space";
    return bench_url_host(url, at, len);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-structs   Who owns what: a bench_conn and a bench_thread belong to their thread; the plan is read only while
//                   threads run, apart from the two words that are touched atomically.
// ---------------------------------------------------------------------------------------------------------

typedef enum bench_state {
    BENCH_DOWN, // to be opened, now (todo) or later
    BENCH_CONNECTING,
    BENCH_UP,
    BENCH_OVER // no request is left for it
} bench_state;

typedef enum bench_part { BENCH_HEAD, BENCH_LENGTH, BENCH_CHUNKED, BENCH_UNTIL_CLOSE } bench_part;

typedef struct bench_conn {
    fsi_chan chan;     // first: a channel of kind FSI_CHAN_CLIENT is its connection
    uint8_t state;     // bench_state
    uint8_t part;      // bench_part of the answer that comes now
    bool last;         // the connection ends with the answer that comes now
    bool bad_status;   // of that answer
    bool write_failed; // read what may still come, then end
    bool listed;       // in todo or later
    bool ever_up;
    bool refused;       // the last attempt to connect failed
    uint32_t in_flight; // started and not ended
    uint32_t oldest;    // of them, in sent
    uint64_t *sent;     // ring of `pipeline` start times; &sent_one without pipelining
    uint64_t sent_one;
    uint64_t out_left;  // bytes of requests that the socket has not taken
    uint64_t body_left; // of BENCH_LENGTH
    char *carry;        // a head that has not come whole; NULL: none
    uint32_t carry_len;
    uint32_t fails; // in a row, without an answer
    fsi_chunked chunked;
    uint64_t since_ns; // when it began to connect
    uint64_t due_ns;   // when it may connect again
    struct bench_conn *next;
} bench_conn;

typedef struct bench_plan {
    char *batch; // the request, as often as fits well
    size_t batch_len;
    size_t request_len;
    bool no_body; // answers have none: HEAD
    bool close;
    bool progress; // publish figures for the live line
    uint32_t pipeline;
    uint64_t timeout_ns;
    uint64_t start_ns;
    uint64_t deadline_ns; // UINT64_MAX: none
    fsi_sockaddr address;
    fsi_io *main_io; // woken when a thread ends
    uint32_t stop;   // atomic
    uint32_t ended;  // atomic: threads that have ended
} bench_plan;

typedef struct bench_thread {
    bench_plan *plan;
    fsi_thread thread;
    fsi_io io;
    int cpu; // to pin it to, or -1
    bool started_thread;
    bench_conn *conns;
    uint32_t conn_count;
    uint64_t *sent;    // rings of all connections; NULL without pipelining
    char *in;          // receive buffer, with room in front for a head that was carried over
    bench_conn *todo;  // look at them after the batch
    bench_conn *later; // wait until they may connect again
    uint64_t later_ns; // the first of them, UINT64_MAX: none
    uint64_t now_ns;   // of the last clock read
    bool fresh;        // the clock was read since the last receive
    bool clocked;      // the clock was read in this turn
    uint64_t quota;    // requests that may still be started; UINT64_MAX: no limit
    uint64_t started;
    uint64_t failed[BENCH_KINDS]; // requests, by how they ended
    uint64_t events[BENCH_KINDS]; // errors as reported: a connection may fail between two requests
    uint64_t bad_status;
    uint64_t bytes;
    uint64_t in_flight_end;
    uint64_t lost;                           // connections that were down at the end
    int connect_error;                       // the first one
    int64_t refusal;                         // the first fsi_refusal, or -1: bytes that nobody asked for
    uint64_t tick_ns, scan_ns, scan_step_ns; // next rate sample; next look for timeouts
    uint64_t sample_ns, sample_done;         // where the current rate sample began
    uint64_t begin_cpu_ns, cpu_ns;
    uint64_t end_ns;
    char *head_seen; // the last answer's head, byte for byte, and what it meant
    uint32_t head_seen_len;
    fsi_answer_head head;
    char pad0[FSV_CACHE_LINE];
    // Written by the thread, read by the main thread while it runs: fsi_count64, fsi_peek64.
    uint64_t done, errors, up, ever_up, p99_ns;
    char pad1[FSV_CACHE_LINE];
    fsi_hist latency; // ns
    fsi_hist rate;    // requests per second, a sample every 100 ms
} bench_thread;

// ---------------------------------------------------------------------------------------------------------
// >>bench-request   Where requests begin and end: the only places that touch the sums. When a request may begin is decided
//                   here (closed loop: when there is room), not by the connection.
// ---------------------------------------------------------------------------------------------------------

static uint64_t bench_now(bench_thread *thread)
{
    thread->now_ns = fsi_clock_ns();
    thread->fresh = thread->clocked = true;
    return thread->now_ns;
}

// Starts as many requests as the connection has room for, at now_ns. Their bytes are yet to be sent.
static void bench_begin(bench_thread *thread, bench_conn *conn)
{
    uint32_t depth = thread->plan->pipeline;
    while (conn->in_flight < depth && thread->quota) {
        uint32_t at = conn->oldest + conn->in_flight++;
        conn->sent[at < depth ? at : at - depth] = thread->now_ns;
        conn->out_left += thread->plan->request_len;
        thread->started++;
        if (thread->quota != UINT64_MAX) thread->quota--;
    }
}

static uint64_t bench_pop(const bench_thread *thread, bench_conn *conn)
{
    uint64_t sent = conn->sent[conn->oldest];
    conn->oldest = conn->oldest + 1 < thread->plan->pipeline ? conn->oldest + 1 : 0;
    conn->in_flight--;
    return sent;
}

// The oldest request of the connection has its answer.
static void bench_done(bench_thread *thread, bench_conn *conn)
{
    uint64_t now = thread->fresh ? thread->now_ns : bench_now(thread);
    fsi_hist_add(&thread->latency, now - bench_pop(thread, conn), 1);
    fsi_count64(&thread->done, 1);
    if (FSI_UNLIKELY(conn->bad_status)) {
        thread->bad_status++;
        fsi_count64(&thread->errors, 1);
    }
    conn->fails = 0;
}

// An error of the connection: every request in flight ends with it; without one it is still an error.
static void bench_failed(bench_thread *thread, bench_conn *conn, bench_kind kind)
{
    uint64_t count = conn->in_flight;
    thread->failed[kind] += count;
    thread->events[kind] += count ? count : 1;
    fsi_count64(&thread->errors, count ? count : 1);
    conn->in_flight = 0;
    conn->fails++;
}

// Ends the requests that have waited for too long; true if there were any.
static bool bench_expire(bench_thread *thread, bench_conn *conn)
{
    uint64_t before = thread->failed[BENCH_TIMEOUT];
    while (conn->in_flight && thread->now_ns - conn->sent[conn->oldest] >= thread->plan->timeout_ns) {
        (void)bench_pop(thread, conn);
        thread->failed[BENCH_TIMEOUT]++;
        thread->events[BENCH_TIMEOUT]++;
        fsi_count64(&thread->errors, 1);
    }
    return thread->failed[BENCH_TIMEOUT] != before;
}

static uint64_t bench_ended(const bench_thread *thread)
{
    uint64_t sum = thread->done;
    for (int kind = 0; kind < BENCH_KINDS; kind++) sum += thread->failed[kind];
    return sum;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-conn   One connection: DOWN -> CONNECTING -> UP -> DOWN ... OVER. It is never closed and opened again within one
//                batch of events; that waits on the todo list.
// ---------------------------------------------------------------------------------------------------------

static void bench_todo(bench_thread *thread, bench_conn *conn)
{
    if (conn->listed) return;
    conn->listed = true;
    conn->next = thread->todo;
    thread->todo = conn;
}

// Closes what is open and opens again after the delay. Requests that are still in flight are sent again; their clock runs on.
static void bench_reopen(bench_thread *thread, bench_conn *conn, bool reset, uint64_t delay_ns)
{
    if (conn->state == BENCH_UP) fsi_poke64(&thread->up, thread->up - 1);
    fsi_io_close(&conn->chan, reset);
    free(conn->carry);
    conn->carry = NULL;
    conn->carry_len = 0;
    conn->part = BENCH_HEAD;
    conn->write_failed = false;
    conn->out_left = 0;
    conn->state = BENCH_DOWN;
    conn->due_ns = thread->now_ns + delay_ns;
    if (delay_ns == 0 || conn->listed) {
        bench_todo(thread, conn); // what is listed already is looked at soon, and finds its due time
        return;
    }
    conn->listed = true;
    conn->next = thread->later;
    thread->later = conn;
    if (conn->due_ns < thread->later_ns) thread->later_ns = conn->due_ns;
}

// Nobody answers there: 100 ms, growing to 1.6 s.
static void bench_connect_failed(bench_thread *thread, bench_conn *conn, int error)
{
    if (!thread->connect_error) thread->connect_error = error;
    if (thread->plan->close) {
        bench_failed(thread, conn, BENCH_REFUSED); // connecting is a part of the request
    } else {
        thread->events[BENCH_REFUSED]++;
        fsi_count64(&thread->errors, 1);
        conn->fails++;
    }
    conn->refused = error != ECONNRESET; // it was accepted, and reset before this thread looked
    bench_reopen(thread, conn, true, (uint64_t)BENCH_TICK_NS << (conn->fails < 5 ? conn->fails - 1 : 4));
}

// A connection that was up has failed. Opened again at once, unless ten in a row brought nothing.
static void bench_broken(bench_thread *thread, bench_conn *conn, bench_kind kind)
{
    bench_failed(thread, conn, conn->write_failed ? BENCH_WRITE : kind);
    bench_reopen(thread, conn, true, conn->fails < 10 ? 0 : 10000000);
}

static void bench_bad(bench_thread *thread, bench_conn *conn, int64_t refusal)
{
    if (!thread->refusal) thread->refusal = refusal;
    bench_broken(thread, conn, BENCH_BAD);
}

static void bench_over(bench_thread *thread, bench_conn *conn)
{
    if (conn->state == BENCH_UP) fsi_poke64(&thread->up, thread->up - 1);
    fsi_io_close(&conn->chan, false);
    free(conn->carry);
    conn->carry = NULL;
    conn->carry_len = 0;
    conn->state = BENCH_OVER;
}

// Sends what is to be sent. Requests are all alike, so what is left tells where in one the next byte stands.
static void bench_send(bench_thread *thread, bench_conn *conn)
{
    const bench_plan *plan = thread->plan;
    while (conn->out_left) {
        size_t part = (size_t)(conn->out_left % plan->request_len), at = part ? plan->request_len - part : 0;
        fsi_buf out;
        out.ptr = plan->batch + at;
        out.len = plan->batch_len - at < conn->out_left ? plan->batch_len - at : (size_t)conn->out_left;
        int64_t sent = fsi_io_write(&conn->chan, &out, 1, true);
        if (sent == FSI_PENDING) return;
        if (sent <= 0) {
            conn->write_failed = true; // an answer may have come before; the read side tells the end
            conn->out_left = 0;
            return;
        }
        conn->out_left -= (uint64_t)sent;
    }
}

// After answers: the next requests, or the end of this connection.
static void bench_refill(bench_thread *thread, bench_conn *conn)
{
    if (conn->write_failed) return;
    if (!thread->plan->close) bench_begin(thread, conn);
    if (conn->in_flight == 0)
        bench_over(thread, conn);
    else
        bench_send(thread, conn);
}

// The head of an answer. Most are the last one again, byte for byte (a Date changes once a second): what it meant is known.
static int64_t bench_read_head(bench_thread *thread, const char *data, size_t len)
{
    uint32_t seen = thread->head_seen_len;
    if (FSI_LIKELY(seen && len >= seen && memcmp(data, thread->head_seen, seen) == 0)) return seen;
    thread->head_seen_len = 0;
    int64_t bytes = fsi_read_response(data, len, BENCH_HEAD_BYTES, &thread->head);
    if (bytes <= 0) return bytes;
    memcpy(thread->head_seen, data, (size_t)bytes);
    thread->head_seen_len = (uint32_t)bytes;
    return bytes;
}

// An answer is complete. False: the connection has ended with it.
static bool bench_answered(bench_thread *thread, bench_conn *conn)
{
    bench_done(thread, conn);
    conn->part = BENCH_HEAD;
    bool unsent =
        conn->out_left > conn->in_flight * (uint64_t)thread->plan->request_len; // answered before it was all sent
    if (FSI_LIKELY(!conn->last && !unsent)) return true;
    bench_reopen(thread, conn, unsent, 0);
    return false;
}

// What a head says about its body (RFC 9112 6.3). True: goes on; *bare: there is none, the answer is complete.
static void bench_frame(bench_thread *thread, bench_conn *conn, bool *bare)
{
    const fsi_answer_head *head = &thread->head;
    conn->bad_status = head->status >= 400;
    conn->last = thread->plan->close || head->wants_close || (head->minor == 0 && !head->wants_keep);
    *bare = false;
    if (thread->plan->no_body || head->status == 204 || head->status == 304) {
        *bare = true;
    } else if (head->chunked) {
        memset(&conn->chunked, 0, sizeof conn->chunked);
        conn->part = BENCH_CHUNKED;
    } else if (head->has_length) {
        conn->body_left = head->content_length;
        conn->part = BENCH_LENGTH;
        *bare = head->content_length == 0;
    } else {
        conn->part = BENCH_UNTIL_CLOSE;
        conn->last = true;
    }
}

static void bench_carry(bench_thread *thread, bench_conn *conn, const char *data, size_t len)
{
    conn->carry = (char *)malloc(len);
    if (!conn->carry) {
        bench_broken(thread, conn, BENCH_RESET);
        return;
    }
    memcpy(conn->carry, data, len);
    conn->carry_len = (uint32_t)len;
}

// Passes over a piece of a chunked body. Returns the bytes used, or a negative refusal.
static int64_t bench_take_chunked(bench_conn *conn, const char *data, size_t len)
{
    static const fsi_limits limits = {BENCH_HEAD_BYTES, 0, 1000};
    size_t used = 0, run;
    do {
        int64_t framing = fsi_read_chunked(&conn->chunked, data + used, len - used, &limits, &run);
        if (framing < 0) return framing;
        if (run) fsi_chunk_take(&conn->chunked, run);
        used += (size_t)framing + run;
    } while (run);
    return (int64_t)used;
}

// Takes all that came. False: the connection has ended.
static bool bench_take(bench_thread *thread, bench_conn *conn, const char *data, size_t len)
{
    while (len) {
        int64_t used = 0;
        bool complete = false;
        switch ((bench_part)conn->part) {
        case BENCH_HEAD:
            used = conn->in_flight ? bench_read_head(thread, data, len) : -1;
            if (FSI_UNLIKELY(used == 0)) {
                bench_carry(thread, conn, data, len);
                return conn->state == BENCH_UP;
            }
            if (FSI_UNLIKELY(conn->in_flight && used > 0 && thread->head.status < 200)) {
                if (thread->head.status == 101) used = -FSI_BAD_STATUS; // nobody asked for another protocol
                break;                                                  // an interim answer: the real one follows
            }
            if (FSI_LIKELY(used > 0))
                bench_frame(thread, conn, &complete);
            else if (!conn->in_flight)
                used = -FSI_REFUSALS_END; // bytes that nobody asked for
            break;
        case BENCH_LENGTH:
            used = (int64_t)(len < conn->body_left ? len : conn->body_left);
            conn->body_left -= (uint64_t)used;
            complete = conn->body_left == 0;
            break;
        case BENCH_CHUNKED:
            used = bench_take_chunked(conn, data, len);
            complete = conn->chunked.state == FSI_CHUNK_DONE;
            break;
        case BENCH_UNTIL_CLOSE: used = (int64_t)len; break;
        }
        if (FSI_UNLIKELY(used < 0)) {
            bench_bad(thread, conn, -used);
            return false;
        }
        data += used;
        len -= (size_t)used;
        if (complete && !bench_answered(thread, conn)) return false;
    }
    return true;
}

// The read side has ended, in order (got 0) or not.
static void bench_end_of_stream(bench_thread *thread, bench_conn *conn, int64_t got)
{
    if (got == 0 && conn->part == BENCH_UNTIL_CLOSE) {
        thread->fresh = false;
        (void)bench_answered(thread, conn);
    } else {
        bench_broken(thread, conn, got == 0 ? BENCH_CLOSED : BENCH_RESET);
    }
}

// Reads and answers until nothing more is there. Once the peer's end was seen nothing is sent any more: what would be sent now
// is lost for sure, while the error is the connection's.
static void bench_run(bench_thread *thread, bench_conn *conn)
{
    for (int reads = 0; reads < BENCH_READS_MAX; reads++) {
        size_t have = conn->carry_len;
        if (FSI_UNLIKELY(have)) memcpy(thread->in, conn->carry, have);
        int64_t got = fsi_io_read(&conn->chan, thread->in + have, BENCH_IN_BYTES);
        if (got == FSI_PENDING) {
            if (FSI_UNLIKELY(conn->out_left)) bench_send(thread, conn);
            return;
        }
        if (FSI_UNLIKELY(got <= 0)) {
            bench_end_of_stream(thread, conn, got);
            return;
        }
        if (FSI_UNLIKELY(have)) {
            free(conn->carry);
            conn->carry = NULL;
            conn->carry_len = 0;
        }
        thread->bytes += (uint64_t)got;
        thread->fresh = false;
        if (!bench_take(thread, conn, thread->in, have + (size_t)got)) return;
        if (FSI_LIKELY(!conn->chan.eof)) bench_refill(thread, conn);
        if (FSI_UNLIKELY(conn->state != BENCH_UP)) return;
    }
    bench_todo(thread, conn);
}

static void bench_connect(bench_thread *thread, bench_conn *conn)
{
    int error = 0;
    (void)bench_now(thread);
    if (thread->plan->close) bench_begin(thread, conn); // connecting is a part of the request
    conn->out_left = 0;
    if (conn->in_flight == 0 && thread->quota == 0) {
        conn->state = BENCH_OVER;
        return;
    }
    conn->state = BENCH_CONNECTING;
    conn->since_ns = thread->now_ns;
    fsi_chan_init(&conn->chan, FSI_CHAN_CLIENT);
    if (fsi_io_connect(&thread->io, &conn->chan, &thread->plan->address, &error) == FSI_FAILED)
        bench_connect_failed(thread, conn, error);
}

static void bench_connected(bench_thread *thread, bench_conn *conn)
{
    int error = fsi_io_connected(&conn->chan);
    if (error) {
        bench_connect_failed(thread, conn, error);
        return;
    }
    conn->state = BENCH_UP;
    conn->refused = false;
    if (!conn->ever_up) fsi_count64(&thread->ever_up, 1);
    conn->ever_up = true;
    fsi_count64(&thread->up, 1);
    conn->out_left = conn->in_flight * (uint64_t)thread->plan->request_len;
    if (!thread->plan->close) (void)bench_now(thread);
    bench_refill(thread, conn);
}

// Upcall of the io.
static void bench_ready(fsi_chan *chan, uint32_t ready)
{
    bench_conn *conn = (bench_conn *)(void *)chan;
    bench_thread *thread = (bench_thread *)chan->io->user;
    if (FSI_UNLIKELY(conn->state == BENCH_CONNECTING && (ready & FSI_READY_WRITE))) bench_connected(thread, conn);
    if (FSI_LIKELY(conn->state == BENCH_UP)) bench_run(thread, conn);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-thread   A thread's turns.
// ---------------------------------------------------------------------------------------------------------

static uint64_t bench_cpu_ns(clockid_t clock)
{
    struct timespec used;
    if (clock_gettime(clock, &used) != 0) return 0;
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

// Looks at every connection for what has waited too long.
static void bench_scan(bench_thread *thread)
{
    uint64_t now = thread->now_ns;
    for (uint32_t i = 0; i < thread->conn_count; i++) {
        bench_conn *conn = &thread->conns[i];
        bool late = bench_expire(thread, conn);
        if (conn->state == BENCH_CONNECTING && now - conn->since_ns >= thread->plan->timeout_ns) {
            if (late) {
                conn->refused = true;
                bench_reopen(thread, conn, true, 0);
            } else {
                bench_connect_failed(thread, conn, ETIMEDOUT);
            }
        } else if (late && conn->state == BENCH_UP) {
            bench_reopen(thread, conn, true, 0);
        }
    }
    thread->scan_ns = now + thread->scan_step_ns;
}

// Requests per second since the last sample, as wrk takes it ten times a second.
static void bench_sample(bench_thread *thread)
{
    uint64_t span = thread->now_ns - thread->sample_ns, count = thread->done - thread->sample_done;
    if (span == 0) return;
    fsi_hist_add(&thread->rate, (uint64_t)((double)count * 1e9 / (double)span + 0.5), 1);
    thread->sample_ns = thread->now_ns;
    thread->sample_done = thread->done;
    thread->tick_ns = thread->now_ns + BENCH_TICK_NS;
    if (thread->plan->progress && thread->rate.count % 10 == 0)
        fsi_poke64(&thread->p99_ns, fsi_hist_at(&thread->latency, 0.99));
}

// Connections that wait for nothing but their turn; and those whose time has come.
static void bench_lists(bench_thread *thread)
{
    bench_conn *list = thread->todo, *next;
    thread->todo = NULL;
    for (; list; list = next) {
        next = list->next;
        list->listed = false;
        if (list->state == BENCH_UP)
            bench_run(thread, list);
        else if (list->state == BENCH_DOWN && list->due_ns <= thread->now_ns)
            bench_connect(thread, list);
        else if (list->state == BENCH_DOWN)
            bench_reopen(thread, list, false, list->due_ns - thread->now_ns);
    }
    if (thread->now_ns < thread->later_ns) return;
    list = thread->later;
    thread->later = NULL;
    thread->later_ns = UINT64_MAX;
    for (; list; list = next) {
        next = list->next;
        list->listed = false;
        if (list->state != BENCH_DOWN) continue;
        if (list->due_ns <= thread->now_ns)
            bench_connect(thread, list);
        else
            bench_reopen(thread, list, false, list->due_ns - thread->now_ns);
    }
}

// Microseconds until something is due.
static uint64_t bench_wait_us(const bench_thread *thread)
{
    uint64_t due = thread->tick_ns < thread->scan_ns ? thread->tick_ns : thread->scan_ns;
    if (thread->todo) return 0;
    if (thread->later_ns < due) due = thread->later_ns;
    if (thread->plan->deadline_ns < due) due = thread->plan->deadline_ns;
    return due > thread->now_ns ? (due - thread->now_ns) / 1000 + 1 : 0;
}

static bool bench_over_all(const bench_thread *thread)
{
    return thread->now_ns >= thread->plan->deadline_ns || fsi_load32(&thread->plan->stop) ||
           (thread->quota == 0 && bench_ended(thread) == thread->started);
}

static void bench_turns(bench_thread *thread)
{
    do {
        (void)fsi_io_wait(&thread->io, bench_wait_us(thread));
        thread->clocked = false;
        fsi_io_dispatch(&thread->io);
        if (FSI_UNLIKELY(!thread->clocked)) (void)bench_now(thread);
        if (FSI_UNLIKELY(thread->todo || thread->now_ns >= thread->later_ns)) bench_lists(thread);
        if (FSI_UNLIKELY(thread->now_ns >= thread->scan_ns)) bench_scan(thread);
        if (FSI_UNLIKELY(thread->now_ns >= thread->tick_ns)) bench_sample(thread);
    } while (!bench_over_all(thread));
}

// What is left when the run is over.
static void bench_finish(bench_thread *thread)
{
    thread->end_ns = thread->now_ns;
    if (thread->rate.count == 0) bench_sample(thread);
    for (uint32_t i = 0; i < thread->conn_count; i++) {
        bench_conn *conn = &thread->conns[i];
        bool waits =
            conn->state == BENCH_CONNECTING && (!conn->ever_up || thread->end_ns - conn->since_ns > 1000000000u);
        thread->in_flight_end += conn->in_flight;
        thread->lost += conn->state != BENCH_OVER && (waits || (conn->refused && conn->state != BENCH_UP));
        fsi_io_close(&conn->chan, false);
        free(conn->carry);
    }
}

static void bench_thread_body(void *arg)
{
    bench_thread *thread = (bench_thread *)arg;
    uint64_t now = bench_now(thread);
#if FSI_LOCALITY
    if (thread->cpu >= 0) (void)fsi_affinity_pin(thread->cpu); // this thread ends with the run: nothing to restore
#endif
    thread->begin_cpu_ns = bench_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    thread->sample_ns = now;
    thread->tick_ns = now + BENCH_TICK_NS;
    thread->scan_step_ns = thread->plan->timeout_ns / 4 < BENCH_TICK_NS ? thread->plan->timeout_ns / 4 : BENCH_TICK_NS;
    if (thread->scan_step_ns < 1000000) thread->scan_step_ns = 1000000;
    thread->scan_ns = now + thread->scan_step_ns;
    for (uint32_t i = 0; i < thread->conn_count; i++) bench_connect(thread, &thread->conns[i]);
    if (!bench_over_all(thread)) bench_turns(thread);
    bench_finish(thread);
    thread->cpu_ns = bench_cpu_ns(CLOCK_THREAD_CPUTIME_ID) - thread->begin_cpu_ns;
    (void)fsi_add32(&thread->plan->ended, 1);
    fsi_io_wake(thread->plan->main_io);
}

static void bench_thread_free(bench_thread *thread)
{
    if (!thread) return;
    if (thread->io.fd >= 0) fsi_io_free(&thread->io);
    free(thread->conns);
    free(thread->sent);
    free(thread->in);
    free(thread->head_seen);
    free(thread);
}

// NULL: out of memory or descriptors.
static bench_thread *bench_thread_new(bench_plan *plan, uint32_t conn_count, uint64_t quota)
{
    bench_thread *thread = (bench_thread *)calloc(1, sizeof *thread);
    if (!thread) return NULL;
    thread->io.fd = -1;
    thread->cpu = -1;
    thread->plan = plan;
    thread->conn_count = conn_count;
    thread->quota = quota;
    thread->later_ns = UINT64_MAX;
    fsi_hist_init(&thread->latency);
    fsi_hist_init(&thread->rate);
    thread->conns = (bench_conn *)calloc(conn_count, sizeof *thread->conns);
    thread->in = (char *)malloc(BENCH_IN_BYTES + BENCH_HEAD_BYTES);
    thread->head_seen = (char *)malloc(BENCH_HEAD_BYTES);
    if (plan->pipeline > 1) thread->sent = (uint64_t *)calloc((size_t)conn_count * plan->pipeline, sizeof(uint64_t));
    if (!thread->conns || !thread->in || !thread->head_seen || (plan->pipeline > 1 && !thread->sent) ||
        !fsi_io_init(&thread->io, NULL)) {
        thread->io.fd = -1; // a failed fsi_io_init has freed itself
        bench_thread_free(thread);
        return NULL;
    }
    thread->io.on_client = bench_ready;
    thread->io.user = thread;
    for (uint32_t i = 0; i < conn_count; i++) {
        bench_conn *conn = &thread->conns[i];
        fsi_chan_init(&conn->chan, FSI_CHAN_CLIENT);
        conn->sent = thread->sent ? thread->sent + (size_t)i * plan->pipeline : &conn->sent_one;
    }
    return thread;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-report   What is printed: wrk's layout, byte for byte, so that what parses wrk parses this. Anything of our own comes
//                  after an empty line, and without the word that those parsers look for.
// ---------------------------------------------------------------------------------------------------------

typedef struct bench_report {
    uint32_t threads, connections;
    uint64_t requests, bytes, run_ns;
    uint64_t connect, read, write, timeout, bad_status;
    bool percentiles;
    const fsi_hist *latency; // ns
    const fsi_hist *rate;    // per second
} bench_report;

static void bench_moments(const fsi_hist *hist, double *mean, double *deviation)
{
    double n = (double)hist->count;
    *mean = n > 0 ? hist->sum / n : 0;
    *deviation = n > 1 ? bench_sqrt((hist->sum2 - hist->sum * *mean) / (n - 1)) : 0;
}

// A column: the number right-aligned, with two places behind it for the unit.
static void bench_cell(FILE *out, const char *text, int width)
{
    size_t len = strlen(text), unit = 0;
    while (unit < 2 && unit < len && (text[len - 1 - unit] < '0' || text[len - 1 - unit] > '9')) unit++;
    int pad = 2 - (int)unit;
    (void)fprintf(out, "%*s%*s", width - pad, text, pad, "");
}

static void bench_row(FILE *out, const char *name, const fsi_hist *hist, double scale,
                      const char *(*format)(char *, size_t, double))
{
    char text[48];
    double mean, deviation, max = hist->count ? (double)hist->max : 0;
    bench_moments(hist, &mean, &deviation);
    (void)fprintf(out, "    %-10s", name);
    bench_cell(out, format(text, sizeof text, mean * scale), 8);
    bench_cell(out, format(text, sizeof text, deviation * scale), 10);
    bench_cell(out, format(text, sizeof text, max * scale), 9);
    double band = deviation > mean / 256 ? deviation : mean / 256; // no narrower than the histogram can tell
    (void)fprintf(out, "%8.2f%%\n", 100 * fsi_hist_share(hist, mean - band, mean + band));
}

static void bench_print_head(FILE *out, uint64_t duration_ns, uint64_t requests, const char *url, uint32_t threads,
                             uint32_t connections)
{
    char text[48];
    if (duration_ns)
        (void)fprintf(out, "Running %s test @ %s\n", bench_length_text(text, sizeof text, duration_ns), url);
    else
        (void)fprintf(out, "Running %llu-request test @ %s\n", (unsigned long long)requests, url);
    (void)fprintf(out, "  %u threads and %u connections\n", threads, connections);
}

static void bench_print_report(FILE *out, const bench_report *report)
{
    static const double percents[] = {50, 75, 90, 99};
    char text[48], bytes[48];
    double seconds = report->run_ns ? (double)report->run_ns / 1e9 : 1e-9;
    (void)fprintf(out, "  Thread Stats%6s%11s%8s%12s\n", "Avg", "Stdev", "Max", "+/- Stdev");
    bench_row(out, "Latency", report->latency, 0.001, bench_time_text);
    bench_row(out, "Req/Sec", report->rate, 1, bench_count_text);
    if (report->percentiles) {
        (void)fprintf(out, "  Latency Distribution\n");
        for (int i = 0; i < 4; i++) {
            (void)fprintf(out, "%7.0f%%", percents[i]);
            double us = (double)fsi_hist_at(report->latency, percents[i] / 100) / 1000;
            bench_cell(out, bench_time_text(text, sizeof text, us), 10);
            (void)fprintf(out, "\n");
        }
    }
    (void)fprintf(out, "  %llu requests in %s, %s read\n", (unsigned long long)report->requests,
                  bench_time_text(text, sizeof text, (double)report->run_ns / 1000),
                  bench_bytes_text(bytes, sizeof bytes, (double)report->bytes));
    if (report->connect || report->read || report->write || report->timeout)
        (void)fprintf(out, "  Socket errors: connect %llu, read %llu, write %llu, timeout %llu\n",
                      (unsigned long long)report->connect, (unsigned long long)report->read,
                      (unsigned long long)report->write, (unsigned long long)report->timeout);
    if (report->bad_status)
        (void)fprintf(out, "  Non-2xx or 3xx responses: %llu\n", (unsigned long long)report->bad_status);
    (void)fprintf(out, "Requests/sec: %9.2f\n", (double)report->requests / seconds);
    (void)fprintf(out, "Transfer/sec: %11s\n", bench_bytes_text(bytes, sizeof bytes, (double)report->bytes / seconds));
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-json   A result as JSON, and back. One table names every member for both ways, so that what is written can be read.
//                The rules of the schema "fastserve-bench/1":
//                - the unit stands in the name of a member, at the latest in that of the object around it
//                - "latency_us" is for people and scripts, and is computed: percentiles over what is done, those of "response"
//                  by product limit over all that was due. {"more_than_us": t}: that share never ended well within the run.
//                  It and the members that hang on it are skipped when read
//                - the rest is read back exactly. A histogram is a list of [lower bound of a cell, count] in rising order,
//                  128 cells to each power of two above 256, a cell for each number below; "min" of an empty one is 0
//                - members may be added without a new number: a reader skips those that it does not know. A kind of error
//                  that it does not know is refused, for the sums would not add up without it
//                - counts are whole numbers of up to 64 bits: a reader that only has doubles loses digits above 2^53
//                - text is UTF-8; a byte that is not is written as ?
// ---------------------------------------------------------------------------------------------------------

#define BENCH_SCHEMA "fastserve-bench/1"
#define BENCH_JSON_BYTES (16u << 20)               // of a file; the largest that is written has about 2 MB
#define BENCH_JSON_DEPTH 16                        // of what is skipped
#define BENCH_ENTRY __attribute__((unused)) static // of these sections: called by >>bench-run, or by a test

typedef enum bench_as {
    BENCH_AS_SCHEMA,
    BENCH_AS_BITS,    // FSI_HIST_BITS: any other layout of cells is refused
    BENCH_AS_SUMMARY, // latency_us: written only
    BENCH_AS_RATE,    // done per second: written only
    BENCH_AS_OBJECT,  // a part of the result with a table of its own
    BENCH_AS_U32,
    BENCH_AS_U64,
    BENCH_AS_I64,
    BENCH_AS_DOUBLE,
    BENCH_AS_BOOL,
    BENCH_AS_TEXT,
    BENCH_AS_MIN,      // of a histogram: UINT64_MAX when that is empty, 0 in JSON
    BENCH_AS_KINDS,    // {"connect_refused": 1, ...}
    BENCH_AS_STATUSES, // {"200": 1, ...}, only those that came
    BENCH_AS_CELLS,    // [[lower bound, count], ...] of the histogram around it
    BENCH_AS_HIST,
    BENCH_AS_SERIES
} bench_as;

// Whether it may differ between two results that are compared.
typedef enum bench_same { BENCH_SAME_ALWAYS, BENCH_SAME_PLACE, BENCH_SAME_NEVER } bench_same; // place: not with --vs

typedef struct bench_member {
    const char *name;
    bench_as as;
    size_t offset, size;                // in what is around it
    const struct bench_member *members; // of an object, ended by one without a name
    bench_same same;                    // of the setup
} bench_member;

// clang-format off
#define BENCH_JSON_AT(type, field) offsetof(type, field), sizeof(((type *)0)->field)
#define BENCH_JSON_END {NULL, BENCH_AS_SCHEMA, 0, 0, NULL, BENCH_SAME_ALWAYS}
#define BENCH_JSON_SETUP(name, as, field, same) {name, as, BENCH_JSON_AT(bench_setup, field), NULL, same}
#define BENCH_JSON_PART(type, name, as, field) {name, as, BENCH_JSON_AT(type, field), NULL, BENCH_SAME_ALWAYS}
#define BENCH_JSON_HERE(name, as, members) {name, as, 0, 0, members, BENCH_SAME_ALWAYS}

static const bench_member bench_setup_members[] = {
    BENCH_JSON_SETUP("url",               BENCH_AS_TEXT,   url,           BENCH_SAME_PLACE),
    BENCH_JSON_SETUP("version",           BENCH_AS_TEXT,   version,       BENCH_SAME_NEVER), // often what one compares
    BENCH_JSON_SETUP("system",            BENCH_AS_TEXT,   system,        BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("cpu",               BENCH_AS_TEXT,   cpu,           BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("cpus",              BENCH_AS_U32,    cpus,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("threads",           BENCH_AS_U32,    threads,       BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("connections",       BENCH_AS_U32,    connections,   BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("pipeline",          BENCH_AS_U32,    pipeline,      BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("urls",              BENCH_AS_U32,    urls,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("calls_per_connection", BENCH_AS_U32, calls,         BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("duration_ns",       BENCH_AS_U64,    duration,      BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("warmup_ns",         BENCH_AS_U64,    warmup,        BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("ramp_ns",           BENCH_AS_U64,    ramp,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("timeout_ns",        BENCH_AS_U64,    timeout,       BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("requests",          BENCH_AS_U64,    requests,      BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("requests_per_s",    BENCH_AS_DOUBLE, rate,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("connections_per_s", BENCH_AS_DOUBLE, conn_rate,     BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("echo_bytes",        BENCH_AS_U64,    size,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("close",             BENCH_AS_BOOL,   close,         BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("reset",             BENCH_AS_BOOL,   rst,           BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("echo",              BENCH_AS_BOOL,   echo,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("self_hosted",       BENCH_AS_BOOL,   self_hosted,   BENCH_SAME_PLACE),
    BENCH_JSON_SETUP("source_ips",        BENCH_AS_U32,    source_ips,    BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("request_bytes",     BENCH_AS_U32,    request_bytes, BENCH_SAME_PLACE), // the Host field is in them
    BENCH_JSON_END};

static const bench_member bench_outcome_members[] = {
    BENCH_JSON_PART(bench_result, "due",       BENCH_AS_U64,   due),
    BENCH_JSON_PART(bench_result, "done",      BENCH_AS_U64,   done),
    BENCH_JSON_PART(bench_result, "failed",    BENCH_AS_KINDS, failed),
    BENCH_JSON_PART(bench_result, "in_flight", BENCH_AS_U64,   in_flight),
    BENCH_JSON_PART(bench_result, "unsent",    BENCH_AS_U64,   unsent),
    BENCH_JSON_END};

static const bench_member bench_answer_members[] = {
    BENCH_JSON_PART(bench_result, "statuses",           BENCH_AS_STATUSES, statuses),
    BENCH_JSON_PART(bench_result, "kept_alive",         BENCH_AS_U64,      kept),
    BENCH_JSON_PART(bench_result, "first_length_bytes", BENCH_AS_U64,      first_length),
    BENCH_JSON_PART(bench_result, "of_other_length",    BENCH_AS_U64,      other_length),
    BENCH_JSON_PART(bench_result, "server",             BENCH_AS_TEXT,     server),
    BENCH_JSON_END};

static const bench_member bench_connection_members[] = {
    BENCH_JSON_PART(bench_result, "opened",          BENCH_AS_U64, conns_opened),
    BENCH_JSON_PART(bench_result, "lost",            BENCH_AS_U64, conns_lost),
    BENCH_JSON_PART(bench_result, "most_open",       BENCH_AS_U64, conns_most),
    BENCH_JSON_PART(bench_result, "syn_retransmits", BENCH_AS_U64, syn_retransmits),
    BENCH_JSON_END};

static const bench_member bench_machine_members[] = {
    BENCH_JSON_PART(bench_result, "client_user_ns",    BENCH_AS_U64, client_user_ns),
    BENCH_JSON_PART(bench_result, "client_system_ns",  BENCH_AS_U64, client_sys_ns),
    BENCH_JSON_PART(bench_result, "busiest_thread_ns", BENCH_AS_U64, busiest_ns),
    BENCH_JSON_PART(bench_result, "server_ns",         BENCH_AS_U64, server_cpu_ns),
    BENCH_JSON_PART(bench_result, "server_rss_bytes",  BENCH_AS_U64, server_rss),
    BENCH_JSON_PART(bench_result, "steal_ns",          BENCH_AS_U64, steal_ns),
    BENCH_JSON_PART(bench_result, "throttled_ns",      BENCH_AS_U64, throttled_ns),
    BENCH_JSON_PART(bench_result, "others_ns",         BENCH_AS_U64, other_ns),
    BENCH_JSON_END};

static const bench_member bench_hist_members[] = {
    BENCH_JSON_PART(fsi_hist, "count", BENCH_AS_U64,    count),
    BENCH_JSON_PART(fsi_hist, "min",   BENCH_AS_MIN,    min),
    BENCH_JSON_PART(fsi_hist, "max",   BENCH_AS_U64,    max),
    BENCH_JSON_PART(fsi_hist, "sum",   BENCH_AS_DOUBLE, sum),
    BENCH_JSON_PART(fsi_hist, "sum_of_squares", BENCH_AS_DOUBLE, sum2),
    BENCH_JSON_HERE("cells", BENCH_AS_CELLS, NULL),
    BENCH_JSON_END};

static const bench_member bench_hists_members[] = {
    BENCH_JSON_PART(bench_result, "response_ns",    BENCH_AS_HIST, response),
    BENCH_JSON_PART(bench_result, "service_ns",     BENCH_AS_HIST, service),
    BENCH_JSON_PART(bench_result, "censored_ns",    BENCH_AS_HIST, censored),
    BENCH_JSON_PART(bench_result, "connect_ns",     BENCH_AS_HIST, connect),
    BENCH_JSON_PART(bench_result, "wait_ns",        BENCH_AS_HIST, wait),
    BENCH_JSON_PART(bench_result, "lag_ns",         BENCH_AS_HIST, lag),
    BENCH_JSON_PART(bench_result, "requests_per_s", BENCH_AS_HIST, rate),
    BENCH_JSON_END};

static const bench_member bench_second_members[] = {
    BENCH_JSON_PART(bench_second, "done",     BENCH_AS_U64, done),
    BENCH_JSON_PART(bench_second, "errors",   BENCH_AS_U64, errors),
    BENCH_JSON_PART(bench_second, "timeouts", BENCH_AS_U64, timeouts),
    BENCH_JSON_PART(bench_second, "p50_ns",   BENCH_AS_U64, p50),
    BENCH_JSON_PART(bench_second, "p99_ns",   BENCH_AS_U64, p99),
    BENCH_JSON_PART(bench_second, "max_ns",   BENCH_AS_U64, max),
    BENCH_JSON_END};

static const bench_member bench_result_members[] = {
    BENCH_JSON_HERE("schema", BENCH_AS_SCHEMA, NULL),
    {"setup", BENCH_AS_OBJECT, BENCH_JSON_AT(bench_result, setup), bench_setup_members, BENCH_SAME_ALWAYS},
    BENCH_JSON_PART(bench_result, "began_unix_s", BENCH_AS_I64,  began_unix),
    BENCH_JSON_PART(bench_result, "run_ns",       BENCH_AS_U64,  run_ns),
    BENCH_JSON_PART(bench_result, "interrupted",  BENCH_AS_BOOL, interrupted),
    BENCH_JSON_HERE("done_per_s",  BENCH_AS_RATE,    NULL),
    BENCH_JSON_HERE("latency_us",  BENCH_AS_SUMMARY, NULL),
    BENCH_JSON_HERE("outcomes",    BENCH_AS_OBJECT,  bench_outcome_members),
    BENCH_JSON_PART(bench_result, "error_events", BENCH_AS_KINDS, events),
    BENCH_JSON_PART(bench_result, "first_error",  BENCH_AS_TEXT,  first_error),
    BENCH_JSON_HERE("answers",     BENCH_AS_OBJECT,  bench_answer_members),
    BENCH_JSON_PART(bench_result, "bytes_in",     BENCH_AS_U64,  bytes_in),
    BENCH_JSON_PART(bench_result, "bytes_body",   BENCH_AS_U64,  bytes_body),
    BENCH_JSON_PART(bench_result, "bytes_out",    BENCH_AS_U64,  bytes_out),
    BENCH_JSON_HERE("connections", BENCH_AS_OBJECT,  bench_connection_members),
    BENCH_JSON_HERE("cpu_time",    BENCH_AS_OBJECT,  bench_machine_members),
    BENCH_JSON_HERE("series",      BENCH_AS_SERIES,  NULL),
    BENCH_JSON_HERE("histogram_bits", BENCH_AS_BITS, NULL),
    BENCH_JSON_HERE("histograms",  BENCH_AS_OBJECT,  bench_hists_members),
    BENCH_JSON_END};
// clang-format on

// The smallest value of a cell.
static uint64_t bench_cell_low(uint32_t cell)
{
    if (cell < (2u << FSI_HIST_BITS)) return cell;
    uint32_t shift = (cell >> FSI_HIST_BITS) - 1;
    return (uint64_t)((cell & ((1u << FSI_HIST_BITS) - 1)) + (1u << FSI_HIST_BITS)) << shift;
}

// Length of the UTF-8 sequence at `text`; 0: it is none.
static size_t bench_utf8(const char *text, size_t len)
{
    const uint8_t *at = (const uint8_t *)text;
    if (len == 0) return 0;
    if (at[0] < 0x80) return 1;
    size_t need = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > len) return 0;
    for (size_t i = 1; i < need; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f)) return 0; // overlong; half of a surrogate
    if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)) return 0; // overlong; beyond Unicode
    return need;
}

// ---- writing

typedef struct bench_pen {
    FILE *out;
    int depth;
    bool first; // of what is around
} bench_pen;

// To where the next member begins. key: NULL in a list.
static void bench_pen_next(bench_pen *pen, const char *key)
{
    (void)fprintf(pen->out, "%s\n%*s", pen->first ? "" : ",", pen->depth * 2, "");
    if (key) (void)fprintf(pen->out, "\"%s\": ", key);
    pen->first = false;
}

static void bench_pen_open(bench_pen *pen, char bracket)
{
    (void)fputc(bracket, pen->out);
    pen->depth++;
    pen->first = true;
}

static void bench_pen_close(bench_pen *pen, char bracket)
{
    pen->depth--;
    if (!pen->first) (void)fprintf(pen->out, "\n%*s", pen->depth * 2, "");
    (void)fputc(bracket, pen->out);
    pen->first = false;
}

static void bench_write_text(FILE *out, const char *text, size_t size)
{
    const char *stop = (const char *)memchr(text, 0, size), *end = stop ? stop : text + size;
    (void)fputc('"', out);
    for (size_t step; text < end; text += step) {
        uint8_t byte = (uint8_t)*text;
        size_t whole = bench_utf8(text, (size_t)(end - text));
        step = whole ? whole : 1;
        if (!whole)
            (void)fputc('?', out);
        else if (byte < 32)
            (void)fprintf(out, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            (void)fprintf(out, "\\%c", byte);
        else
            (void)fwrite(text, 1, step, out);
    }
    (void)fputc('"', out);
}

// The shortest of three forms that reads back as the same number, with a point whatever the locale has. What is no number: 0.
static const char *bench_double_text(char *out, size_t size, double value)
{
    if (!(value >= -1.7976931348623157e308 && value <= 1.7976931348623157e308)) value = 0;
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, size, "%.*g", digits, value);
        double back = strtod(out, NULL);
        if (back >= value && back <= value) break;
    }
    char *to = out;
    for (const char *from = out; *from; from++) {
        if ((*from >= '0' && *from <= '9') || *from == '-' || *from == '+' || *from == 'e') {
            *to++ = *from;
        } else if (to == out || to[-1] != '.') {
            *to++ = '.';
        }
    }
    *to = 0;
    return out;
}

// A member that is one word.
static const char *bench_member_text(char *out, size_t size, const bench_member *member, const char *base)
{
    const void *at = base + member->offset;
    switch (member->as) {
    case BENCH_AS_U32: (void)snprintf(out, size, "%u", *(const uint32_t *)at); break;
    case BENCH_AS_U64: (void)snprintf(out, size, "%llu", (unsigned long long)*(const uint64_t *)at); break;
    case BENCH_AS_I64: (void)snprintf(out, size, "%lld", (long long)*(const int64_t *)at); break;
    case BENCH_AS_BOOL: (void)snprintf(out, size, "%s", *(const bool *)at ? "true" : "false"); break;
    case BENCH_AS_DOUBLE: return bench_double_text(out, size, *(const double *)at);
    default: (void)snprintf(out, size, "%.*s", (int)member->size, (const char *)at); break;
    }
    return out;
}

static void bench_write_kinds(bench_pen *pen, const uint64_t *counts)
{
    bench_pen_open(pen, '{');
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        bench_pen_next(pen, bench_kind_names[kind]);
        (void)fprintf(pen->out, "%llu", (unsigned long long)counts[kind]);
    }
    bench_pen_close(pen, '}');
}

static void bench_write_statuses(bench_pen *pen, const uint64_t *statuses)
{
    bench_pen_open(pen, '{');
    for (uint32_t status = 0; status < 600; status++) {
        char key[16];
        if (!statuses[status]) continue;
        (void)snprintf(key, sizeof key, "%u", status);
        bench_pen_next(pen, key);
        (void)fprintf(pen->out, "%llu", (unsigned long long)statuses[status]);
    }
    bench_pen_close(pen, '}');
}

static void bench_write_cells(FILE *out, const fsi_hist *hist)
{
    uint32_t written = 0;
    (void)fputc('[', out);
    for (uint32_t i = 0; i < FSI_HIST_CELLS; i++) {
        if (!hist->cells[i]) continue;
        (void)fprintf(out, "%s[%llu, %llu]",
                      written == 0       ? ""
                      : written % 8 == 0 ? ",\n        "
                                         : ", ",
                      (unsigned long long)bench_cell_low(i), (unsigned long long)hist->cells[i]);
        written++;
    }
    (void)fputc(']', out);
}

static void bench_write_us(FILE *out, uint64_t ns)
{
    (void)fprintf(out, "%llu.%03u", (unsigned long long)(ns / 1000), (unsigned)(ns % 1000));
}

// Percentiles in microseconds. result: NULL, or the one whose product limit counts instead of the histogram alone.
static void bench_write_percentiles(bench_pen *pen, const fsi_hist *hist, const bench_result *result)
{
    static const double shares[] = {0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 1};
    static const char *const names[] = {"p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "p99.999", "max"};
    char text[48];
    bench_pen_open(pen, '{');
    bench_pen_next(pen, "count");
    (void)fprintf(pen->out, "%llu", (unsigned long long)hist->count);
    if (hist->count) {
        bench_pen_next(pen, "mean");
        (void)fputs(bench_double_text(text, sizeof text, hist->sum / (double)hist->count / 1000), pen->out);
        bench_pen_next(pen, "min");
        bench_write_us(pen->out, hist->min);
    }
    for (size_t i = 0; i < sizeof shares / sizeof shares[0] && (hist->count || (result && result->censored.count));
         i++) {
        bool beyond = false;
        uint64_t ns = result ? bench_quantile(result, shares[i], &beyond) : fsi_hist_at(hist, shares[i]);
        if (shares[i] >= 1 && !beyond) ns = hist->max; // exact, not by cells
        bench_pen_next(pen, names[i]);
        (void)fputs(beyond ? "{\"more_than_us\": " : "", pen->out);
        bench_write_us(pen->out, ns);
        (void)fputs(beyond ? "}" : "", pen->out);
    }
    bench_pen_close(pen, '}');
}

static void bench_write_summary(bench_pen *pen, const bench_result *result)
{
    bench_pen_open(pen, '{');
    bench_pen_next(pen, "response");
    bench_write_percentiles(pen, &result->response, result);
    bench_pen_next(pen, "service");
    bench_write_percentiles(pen, &result->service, NULL);
    bench_pen_next(pen, "connect");
    bench_write_percentiles(pen, &result->connect, NULL);
    bench_pen_next(pen, "wait");
    bench_write_percentiles(pen, &result->wait, NULL);
    bench_pen_next(pen, "lag");
    bench_write_percentiles(pen, &result->lag, NULL);
    bench_pen_close(pen, '}');
}

// Answers that were as they should be, per second.
static double bench_done_rate(const bench_result *result)
{
    return result->run_ns ? (double)result->done / ((double)result->run_ns / 1e9) : 0;
}

static void bench_write_series(bench_pen *pen, const bench_result *result)
{
    bench_pen_open(pen, '{');
    bench_pen_next(pen, "slot_ns");
    (void)fprintf(pen->out, "%llu", (unsigned long long)result->second_ns);
    bench_pen_next(pen, "slots");
    bench_pen_open(pen, '[');
    for (uint32_t i = 0; i < result->second_count && i < BENCH_SECONDS_MAX; i++) {
        char text[48];
        bench_pen_next(pen, NULL);
        for (const bench_member *member = bench_second_members; member->name; member++)
            (void)fprintf(pen->out, "%s\"%s\": %s", member == bench_second_members ? "{" : ", ", member->name,
                          bench_member_text(text, sizeof text, member, (const char *)&result->seconds[i]));
        (void)fputc('}', pen->out);
    }
    bench_pen_close(pen, ']');
    bench_pen_close(pen, '}');
}

static void bench_write_members(bench_pen *pen, const bench_member *members, const char *base);

static void bench_write_member(bench_pen *pen, const bench_member *member, const char *base)
{
    const void *at = base + member->offset;
    char text[48];
    switch (member->as) {
    case BENCH_AS_SCHEMA: (void)fputs("\"" BENCH_SCHEMA "\"", pen->out); break;
    case BENCH_AS_BITS: (void)fprintf(pen->out, "%d", FSI_HIST_BITS); break;
    case BENCH_AS_SUMMARY: bench_write_summary(pen, (const bench_result *)at); break;
    case BENCH_AS_RATE:
        (void)fputs(bench_double_text(text, sizeof text, bench_done_rate((const bench_result *)at)), pen->out);
        break;
    case BENCH_AS_OBJECT: bench_write_members(pen, member->members, (const char *)at); break;
    case BENCH_AS_HIST: bench_write_members(pen, bench_hist_members, (const char *)at); break;
    case BENCH_AS_TEXT: bench_write_text(pen->out, (const char *)at, member->size); break;
    case BENCH_AS_MIN: {
        const fsi_hist *hist = (const fsi_hist *)(const void *)base;
        (void)fprintf(pen->out, "%llu", hist->count ? (unsigned long long)hist->min : 0);
        break;
    }
    case BENCH_AS_KINDS: bench_write_kinds(pen, (const uint64_t *)at); break;
    case BENCH_AS_STATUSES: bench_write_statuses(pen, (const uint64_t *)at); break;
    case BENCH_AS_CELLS: bench_write_cells(pen->out, (const fsi_hist *)(const void *)base); break;
    case BENCH_AS_SERIES: bench_write_series(pen, (const bench_result *)at); break;
    default: (void)fputs(bench_member_text(text, sizeof text, member, base), pen->out); break;
    }
}

static void bench_write_members(bench_pen *pen, const bench_member *members, const char *base)
{
    bench_pen_open(pen, '{');
    for (; members->name; members++) {
        bench_pen_next(pen, members->name);
        bench_write_member(pen, members, base);
    }
    bench_pen_close(pen, '}');
}

// False: it could not be written. The file stays open; what its buffer still holds may fail when it is closed.
BENCH_ENTRY bool bench_json_write(FILE *out, const bench_result *result)
{
    bench_pen pen = {out, 0, true};
    bench_write_members(&pen, bench_result_members, (const char *)result);
    (void)fputc('\n', out);
    return fflush(out) == 0 && !ferror(out);
}

// To the file of that name, "-": standard output. False: said why.
BENCH_ENTRY bool bench_json_save(const char *path, const bench_result *result)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *out = standard ? stdout : fopen(path, "wb");
    bool fine = out && bench_json_write(out, result);
    int error = errno;
    if (out && !standard && fclose(out) != 0 && fine) {
        error = errno;
        fine = false;
    }
    if (!fine) bench_say("cannot write %s: %s", standard ? "standard output" : path, strerror(error));
    return fine;
}

// ---- reading

typedef struct bench_json {
    const char *begin, *at, *end;
    const char *wrong; // the first thing that was; NULL: nothing
} bench_json;

static bool bench_json_fail(bench_json *json, const char *why)
{
    if (!json->wrong) json->wrong = why;
    return false;
}

// The next byte that is no space; 0 at the end, and for a NUL, which belongs nowhere.
static char bench_json_peek(bench_json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
    return json->at < json->end ? *json->at : 0;
}

static bool bench_json_take(bench_json *json, char byte)
{
    if (bench_json_peek(json) != byte || byte == 0) return false;
    json->at++;
    return true;
}

static bool bench_json_hex(bench_json *json, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        uint8_t c = json->at < json->end ? fsi_lower(*json->at) : 0;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return bench_json_fail(json, "\\u without four digits");
        *out = *out * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

// What follows a backslash, as UTF-8. *len: of it, up to four bytes.
static bool bench_json_escape(bench_json *json, char *out, size_t *len)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    char c = json->at < json->end ? *json->at++ : 0;
    const char *name = c ? strchr(names, c) : NULL;
    uint32_t code, low;
    *len = 1;
    if (name) {
        *out = bytes[name - names];
        return true;
    }
    if (c != 'u') return bench_json_fail(json, "an unknown escape in a text");
    if (!bench_json_hex(json, &code)) return false;
    if (code == 0) return bench_json_fail(json, "a NUL in a text");
    if (code >= 0xd800 && code < 0xe000) {
        bool pair = code < 0xdc00 && json->end - json->at >= 6 && json->at[0] == '\\' && json->at[1] == 'u';
        if (!pair) return bench_json_fail(json, "half of a surrogate pair");
        json->at += 2;
        if (!bench_json_hex(json, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return bench_json_fail(json, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    uint32_t lead = *len == 1 ? 0 : *len == 2 ? 0xc0 : *len == 3 ? 0xe0 : 0xf0;
    for (size_t i = *len; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead | code);
    return true;
}

// A text. *fits (may be NULL with out: it is skipped): it had room, with its NUL; else out is "".
static bool bench_json_text(bench_json *json, char *out, size_t size, bool *fits)
{
    size_t used = 0;
    bool room = out != NULL;
    if (!bench_json_take(json, '"')) return bench_json_fail(json, "a text is missing");
    for (;;) {
        char bytes[4] = {0};
        size_t len = bench_utf8(json->at, (size_t)(json->end - json->at));
        if (json->at == json->end) return bench_json_fail(json, "a text without an end");
        if (len == 0 || (uint8_t)*json->at < 32)
            return bench_json_fail(json, len ? "a control byte in a text" : "a text that is not UTF-8");
        if (*json->at == '"') break;
        if (*json->at == '\\') {
            json->at++;
            if (!bench_json_escape(json, bytes, &len)) return false;
        } else {
            memcpy(bytes, json->at, len);
            json->at += len;
        }
        room = room && used + len < size;
        if (room) memcpy(out + used, bytes, len);
        used += len;
    }
    json->at++;
    if (out) out[room ? used : 0] = 0;
    if (fits) *fits = room;
    return true;
}

static void bench_json_digits(bench_json *json)
{
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9') json->at++;
}

// A number as JSON spells it. *text is where it begins, *whole that it has neither a fraction nor an exponent.
static bool bench_json_number(bench_json *json, const char **text, bool *whole)
{
    (void)bench_json_peek(json);
    const char *digits;
    *text = json->at;
    *whole = true;
    if (json->at < json->end && *json->at == '-') json->at++;
    digits = json->at;
    bench_json_digits(json);
    if (json->at == digits) return bench_json_fail(json, "a number is missing");
    if (*digits == '0' && json->at - digits > 1) return bench_json_fail(json, "a number that begins with 0");
    if (json->at < json->end && *json->at == '.') {
        *whole = false;
        digits = ++json->at;
        bench_json_digits(json);
        if (json->at == digits) return bench_json_fail(json, "a number that ends with a point");
    }
    if (json->at < json->end && (*json->at | 32) == 'e') {
        *whole = false;
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-')) json->at++;
        digits = json->at;
        bench_json_digits(json);
        if (json->at == digits) return bench_json_fail(json, "a number that ends with its e");
    }
    return true;
}

static bool bench_json_u64(bench_json *json, uint64_t max, uint64_t *out)
{
    const char *text;
    bool whole;
    if (!bench_json_number(json, &text, &whole)) return false;
    if (!whole) return bench_json_fail(json, "a number that should be whole");
    if (*text == '-') return bench_json_fail(json, "a number that should not be negative");
    for (*out = 0; text < json->at; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*out > (UINT64_MAX - digit) / 10) return bench_json_fail(json, "a number that is too large");
        *out = *out * 10 + digit;
    }
    return *out > max ? bench_json_fail(json, "a number that is too large") : true;
}

static bool bench_json_i64(bench_json *json, int64_t *out)
{
    uint64_t value;
    bool minus = bench_json_peek(json) == '-';
    if (minus) json->at++;
    if (minus && !(json->at < json->end && *json->at >= '0' && *json->at <= '9'))
        return bench_json_fail(json, "a number is missing");
    if (!bench_json_u64(json, (uint64_t)INT64_MAX + minus, &value)) return false;
    *out = !minus ? (int64_t)value : value > INT64_MAX ? INT64_MIN : -(int64_t)value;
    return true;
}

static bool bench_json_double(bench_json *json, double *out)
{
    const char *text;
    char copy[80], point[16], *rest;
    bool whole;
    size_t used = 0, point_len;
    if (!bench_json_number(json, &text, &whole)) return false;
    if (json->at - text > 40) return bench_json_fail(json, "a number with too many digits");
    (void)snprintf(point, sizeof point, "%.1f", 0.5); // what this locale has for a point stands between 0 and 5
    point_len = strlen(point) - 2;
    for (; text < json->at; text++) {
        if (*text == '.') {
            memcpy(copy + used, point + 1, point_len);
            used += point_len;
        } else {
            copy[used++] = *text;
        }
    }
    copy[used] = 0;
    *out = strtod(copy, &rest);
    if (*rest) return bench_json_fail(json, "a number that cannot be read");
    if (!(*out >= 0)) return bench_json_fail(json, "a number that should not be negative");
    return *out > 1.7976931348623157e308 ? bench_json_fail(json, "a number that is too large") : true;
}

static bool bench_json_word(bench_json *json, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0) return false;
    json->at += len;
    return true;
}

static bool bench_json_bool(bench_json *json, bool *out)
{
    (void)bench_json_peek(json);
    *out = bench_json_word(json, "true");
    return *out || bench_json_word(json, "false") || bench_json_fail(json, "neither true nor false");
}

// To the next element of a list or an object. False: there is none, or something is wrong.
static bool bench_json_next(bench_json *json, char close, bool *first)
{
    if (json->wrong) return false;
    if (bench_json_take(json, close)) return false;
    if (!*first && !bench_json_take(json, ',')) return bench_json_fail(json, "a comma or a bracket is missing");
    if (!*first && bench_json_peek(json) == close) return bench_json_fail(json, "a comma before a bracket");
    *first = false;
    return true;
}

// The key of a member and its colon. A key that does not fit comes as "", as no member of ours is called.
static bool bench_json_key(bench_json *json, char *key, size_t size)
{
    if (!bench_json_text(json, key, size, NULL)) return false;
    return bench_json_take(json, ':') || bench_json_fail(json, "a colon is missing");
}

// Reads over a value of any kind.
static bool bench_json_skip(bench_json *json, uint32_t depth)
{
    char c = bench_json_peek(json), key[8];
    const char *text;
    bool first = true, whole;
    if (depth == 0) return bench_json_fail(json, "too deep");
    switch (c) {
    case '"': return bench_json_text(json, NULL, 0, NULL);
    case 't': return bench_json_word(json, "true") || bench_json_fail(json, "no value");
    case 'f': return bench_json_word(json, "false") || bench_json_fail(json, "no value");
    case 'n': return bench_json_word(json, "null") || bench_json_fail(json, "no value");
    case '[':
        json->at++;
        while (bench_json_next(json, ']', &first)) (void)bench_json_skip(json, depth - 1);
        return !json->wrong;
    case '{':
        json->at++;
        while (bench_json_next(json, '}', &first))
            (void)(bench_json_key(json, key, sizeof key) && bench_json_skip(json, depth - 1));
        return !json->wrong;
    default: return bench_json_number(json, &text, &whole);
    }
}

static bool bench_json_kinds(bench_json *json, uint64_t *counts)
{
    uint32_t seen = 0;
    bool first = true;
    if (!bench_json_take(json, '{')) return bench_json_fail(json, "an object is missing");
    while (bench_json_next(json, '}', &first)) {
        char key[32];
        uint32_t kind = 0;
        if (!bench_json_key(json, key, sizeof key)) return false;
        while (kind < BENCH_KINDS && strcmp(key, bench_kind_names[kind]) != 0) kind++;
        if (kind == BENCH_KINDS) return bench_json_fail(json, "an unknown kind of error");
        if (seen & (1u << kind)) return bench_json_fail(json, "a member that is there twice");
        seen |= 1u << kind;
        if (!bench_json_u64(json, UINT64_MAX, &counts[kind])) return false;
    }
    return !json->wrong;
}

static bool bench_json_statuses(bench_json *json, uint64_t *statuses)
{
    bool first = true;
    if (!bench_json_take(json, '{')) return bench_json_fail(json, "an object is missing");
    while (bench_json_next(json, '}', &first)) {
        char key[8];
        uint64_t status;
        if (!bench_json_key(json, key, sizeof key)) return false;
        if (!fsi_number(key, strlen(key), &status) || status >= 600 || (key[0] == '0' && key[1]))
            return bench_json_fail(json, "no status");
        if (statuses[status]) return bench_json_fail(json, "a member that is there twice");
        if (!bench_json_u64(json, UINT64_MAX, &statuses[status])) return false;
        if (!statuses[status]) return bench_json_fail(json, "a status that never came");
    }
    return !json->wrong;
}

static bool bench_json_cells(bench_json *json, fsi_hist *hist)
{
    uint32_t least = 0; // cell that the next may be
    bool first = true;
    if (!bench_json_take(json, '[')) return bench_json_fail(json, "a list is missing");
    while (bench_json_next(json, ']', &first)) {
        uint64_t low, count;
        if (!bench_json_take(json, '[')) return bench_json_fail(json, "a cell is missing");
        if (!bench_json_u64(json, UINT64_MAX, &low)) return false;
        if (!bench_json_take(json, ',')) return bench_json_fail(json, "a comma is missing");
        if (!bench_json_u64(json, UINT64_MAX, &count)) return false;
        if (!bench_json_take(json, ']')) return bench_json_fail(json, "a bracket is missing");
        uint32_t cell = fsi_hist_cell(low);
        if (bench_cell_low(cell) != low) return bench_json_fail(json, "a number that is no cell's lower bound");
        if (cell < least) return bench_json_fail(json, "cells that do not rise");
        if (!count) return bench_json_fail(json, "an empty cell");
        hist->cells[cell] = count;
        least = cell + 1;
    }
    return !json->wrong;
}

// What a histogram says of itself must be so.
static bool bench_hist_sound(const fsi_hist *hist)
{
    uint64_t sum = 0;
    uint32_t first = FSI_HIST_CELLS, last = 0;
    for (uint32_t i = 0; i < FSI_HIST_CELLS; i++) {
        if (!hist->cells[i]) continue;
        if (sum > UINT64_MAX - hist->cells[i]) return false;
        sum += hist->cells[i];
        if (first == FSI_HIST_CELLS) first = i;
        last = i;
    }
    if (sum != hist->count) return false;
    if (sum == 0) return hist->min == UINT64_MAX && hist->max == 0 && !(hist->sum > 0) && !(hist->sum2 > 0);
    return hist->min <= hist->max && fsi_hist_cell(hist->min) == first && fsi_hist_cell(hist->max) == last;
}

static bool bench_json_members(bench_json *json, const bench_member *members, char *base);

static bool bench_json_hist(bench_json *json, fsi_hist *hist)
{
    if (!bench_json_members(json, bench_hist_members, (char *)hist)) return false;
    if (!hist->count && !hist->min) hist->min = UINT64_MAX;
    return bench_hist_sound(hist) || bench_json_fail(json, "a histogram that does not add up");
}

static bool bench_json_slots(bench_json *json, bench_result *result)
{
    bool first = true;
    if (!bench_json_take(json, '[')) return bench_json_fail(json, "a list is missing");
    while (bench_json_next(json, ']', &first)) {
        if (result->second_count == BENCH_SECONDS_MAX) return bench_json_fail(json, "too many slots");
        if (!bench_json_members(json, bench_second_members, (char *)&result->seconds[result->second_count]))
            return false;
        result->second_count++;
    }
    return !json->wrong;
}

static bool bench_json_series(bench_json *json, bench_result *result)
{
    uint32_t seen = 0;
    bool first = true;
    if (!bench_json_take(json, '{')) return bench_json_fail(json, "an object is missing");
    while (bench_json_next(json, '}', &first)) {
        char key[16];
        if (!bench_json_key(json, key, sizeof key)) return false;
        uint32_t bit = strcmp(key, "slot_ns") == 0 ? 1 : strcmp(key, "slots") == 0 ? 2 : 0;
        if (seen & bit) return bench_json_fail(json, "a member that is there twice");
        seen |= bit;
        if (bit == 1 ? !bench_json_u64(json, UINT64_MAX, &result->second_ns)
                     : !(bit == 2 ? bench_json_slots(json, result) : bench_json_skip(json, BENCH_JSON_DEPTH)))
            return false;
    }
    if (json->wrong) return false;
    if (seen != 3) return bench_json_fail(json, "a member is missing in the series");
    return result->second_ns || !result->second_count || bench_json_fail(json, "slots without a length");
}

// A value that must be this and no other, or the file is not for this reader.
static bool bench_json_fixed(bench_json *json, bench_as as)
{
    char text[sizeof BENCH_SCHEMA];
    uint64_t bits;
    bool fits;
    if (as == BENCH_AS_SCHEMA) {
        if (!bench_json_text(json, text, sizeof text, &fits)) return false;
        return (fits && strcmp(text, BENCH_SCHEMA) == 0) || bench_json_fail(json, "the schema is not " BENCH_SCHEMA);
    }
    if (!bench_json_u64(json, UINT64_MAX, &bits)) return false;
    return bits == FSI_HIST_BITS || bench_json_fail(json, "a histogram of another layout");
}

static bool bench_json_member(bench_json *json, const bench_member *member, char *base)
{
    void *at = base + member->offset;
    bool fits = true;
    uint64_t number;
    switch (member->as) {
    case BENCH_AS_SCHEMA:
    case BENCH_AS_BITS: return bench_json_fixed(json, member->as);
    case BENCH_AS_SUMMARY:
    case BENCH_AS_RATE: return bench_json_skip(json, BENCH_JSON_DEPTH);
    case BENCH_AS_OBJECT: return bench_json_members(json, member->members, (char *)at);
    case BENCH_AS_U32:
        if (!bench_json_u64(json, UINT32_MAX, &number)) return false;
        *(uint32_t *)at = (uint32_t)number;
        return true;
    case BENCH_AS_MIN:
    case BENCH_AS_U64: return bench_json_u64(json, UINT64_MAX, (uint64_t *)at);
    case BENCH_AS_I64: return bench_json_i64(json, (int64_t *)at);
    case BENCH_AS_DOUBLE: return bench_json_double(json, (double *)at);
    case BENCH_AS_BOOL: return bench_json_bool(json, (bool *)at);
    case BENCH_AS_TEXT:
        if (!bench_json_text(json, (char *)at, member->size, &fits)) return false;
        return fits || bench_json_fail(json, "a text that is too long");
    case BENCH_AS_KINDS: return bench_json_kinds(json, (uint64_t *)at);
    case BENCH_AS_STATUSES: return bench_json_statuses(json, (uint64_t *)at);
    case BENCH_AS_CELLS: return bench_json_cells(json, (fsi_hist *)(void *)base);
    case BENCH_AS_HIST: return bench_json_hist(json, (fsi_hist *)at);
    case BENCH_AS_SERIES: return bench_json_series(json, (bench_result *)at);
    }
    return false;
}

// An object by its table: every member of the table once, others skipped. Its depth is the tables' own.
static bool bench_json_members(bench_json *json, const bench_member *members, char *base)
{
    uint64_t seen = 0, all = 0;
    bool first = true;
    for (uint32_t i = 0; members[i].name; i++)
        if (members[i].as != BENCH_AS_SUMMARY && members[i].as != BENCH_AS_RATE) all |= (uint64_t)1 << i;
    if (!bench_json_take(json, '{')) return bench_json_fail(json, "an object is missing");
    while (bench_json_next(json, '}', &first)) {
        char key[32];
        uint32_t i = 0;
        if (!bench_json_key(json, key, sizeof key)) return false;
        while (members[i].name && strcmp(key, members[i].name) != 0) i++;
        if (members[i].name && (seen & ((uint64_t)1 << i)))
            return bench_json_fail(json, "a member that is there twice");
        if (members[i].name) seen |= (uint64_t)1 << i;
        if (members[i].name ? !bench_json_member(json, &members[i], base) : !bench_json_skip(json, BENCH_JSON_DEPTH))
            return false;
    }
    return !json->wrong &&
           ((seen & all) == all || bench_json_fail(json, "a member is missing in the object that ends here"));
}

static void bench_json_blank(bench_result *result)
{
    fsi_hist *hists[] = {&result->response, &result->service, &result->censored, &result->connect,
                         &result->wait,     &result->lag,     &result->rate};
    memset(result, 0, sizeof *result);
    for (size_t i = 0; i < sizeof hists / sizeof hists[0]; i++) fsi_hist_init(hists[i]);
}

// Returns NULL, or what is wrong and where; that text holds until the next call. After it the result is empty.
BENCH_ENTRY const char *bench_json_parse(const char *text, size_t len, bench_result *result)
{
    static char wrong[128];
    bench_json json = {text, text, text + len, NULL};
    bench_json_blank(result);
    if (bench_json_peek(&json) != '{')
        (void)bench_json_fail(&json, len ? "no JSON object" : "it is empty");
    else if (bench_json_members(&json, bench_result_members, (char *)result) &&
             (bench_json_peek(&json), json.at != json.end))
        (void)bench_json_fail(&json, "something behind the end");
    if (!json.wrong) return NULL;
    uint32_t line = 1;
    for (const char *at = json.begin; at < json.at; at++) line += *at == '\n';
    (void)snprintf(wrong, sizeof wrong, "line %u: %s", line, json.wrong);
    bench_json_blank(result);
    return wrong;
}

// From the file of that name, "-": standard input. As bench_json_parse.
BENCH_ENTRY const char *bench_json_read(const char *path, bench_result *result)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *in = standard ? stdin : fopen(path, "rb");
    char piece[4096];
    bench_text text = {NULL, 0, 0, false};
    const char *wrong = NULL;
    bench_json_blank(result);
    if (!in) return strerror(errno);
    for (size_t got; !wrong && (got = fread(piece, 1, sizeof piece, in)) > 0;) {
        bench_text_add(&text, piece, got);
        if (text.failed) wrong = "out of memory";
        if (text.len > BENCH_JSON_BYTES) wrong = "larger than any result";
    }
    if (!wrong && ferror(in)) wrong = strerror(errno);
    if (!wrong) wrong = bench_json_parse(text.len ? text.ptr : "", text.len, result);
    if (!standard) (void)fclose(in);
    bench_text_free(&text);
    return wrong;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-judge   Objectives (--slo), and the highest rate that holds them (--find-rate). Every request that was due is judged:
//                 an error, an unexpected status too, is a latency without end; what timed out, was in flight at the end or
//                 never sent took "at least so long" (product limit). What that leaves open counts as missed, and is said.
// ---------------------------------------------------------------------------------------------------------

#define BENCH_SLO_TERMS 16
#define BENCH_KNEE_RUNS 20
#define BENCH_KNEE_WIDTH 1.03    // found: the rate that holds and the one that does not are no farther apart
#define BENCH_KNEE_ACHIEVED 0.99 // of the rate asked; below that it was not held, whatever the latencies
#define BENCH_KNEE_LEAST 0.001   // no lower rate is tried

typedef enum bench_figure {
    BENCH_FIGURE_QUANTILE,
    BENCH_FIGURE_MEAN,
    BENCH_FIGURE_ERRORS,
    BENCH_FIGURE_RATE
} bench_figure;

typedef struct bench_slo_term {
    bench_figure figure;
    bool equal;     // "<=", ">="
    double share;   // of a quantile; 1: the maximum
    double limit;   // ns, a share, or per second
    char name[16];  // "p99.9"
    char asked[28]; // "< 5ms"
} bench_slo_term;

typedef struct bench_slo {
    bench_slo_term terms[BENCH_SLO_TERMS];
    uint32_t count;
} bench_slo;

// "p99", "p99.95", "max", "mean", "errors", "rate": what a term is about. Returns what is wrong, or NULL.
static const char *bench_slo_figure(bench_slo_term *term)
{
    static const struct {
        const char *name;
        bench_figure figure;
    } names[] = {{"max", BENCH_FIGURE_QUANTILE},
                 {"mean", BENCH_FIGURE_MEAN},
                 {"errors", BENCH_FIGURE_ERRORS},
                 {"rate", BENCH_FIGURE_RATE}};
    uint64_t digits;
    uint32_t decimals;
    const char *rest;
    term->share = 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(term->name, names[i].name) != 0) continue;
        term->figure = names[i].figure;
        return NULL;
    }
    if (term->name[0] != 'p' || !bench_decimal(term->name + 1, &digits, &decimals, &rest) || *rest)
        return "unknown figure; there are p50 (any percentile), max, mean, errors and rate";
    term->figure = BENCH_FIGURE_QUANTILE;
    term->share = (double)digits / 100;
    for (; decimals; decimals--) term->share /= 10;
    if (!(term->share > 0)) return "a percentile is more than 0";
    return term->share < 1 ? NULL : "a percentile is less than 100; there is max";
}

static const char *bench_slo_limit(bench_slo_term *term, const char *text)
{
    char plain[28];
    uint64_t ns = 0;
    size_t len = strlen(text);
    const char *wrong;
    switch (term->figure) {
    case BENCH_FIGURE_ERRORS:
        wrong = bench_read_share(text, &term->limit);
        return !wrong && !term->equal && !(term->limit > 0) ? "nothing is less than 0; write errors<=0" : wrong;
    case BENCH_FIGURE_RATE:
        if (len > 3 && strcmp(text + len - 2, "/s") == 0) len -= 2; // "10k/s"
        (void)snprintf(plain, sizeof plain, "%.*s", (int)len, text);
        return bench_read_rate(plain, &term->limit);
    default:
        wrong = bench_read_time(text, &ns);
        term->limit = (double)ns;
        return wrong;
    }
}

// One term without spaces, in lower case.
static const char *bench_slo_term_parse(bench_slo_term *term, const char *text)
{
    size_t len = strcspn(text, "<>=");
    const char *limit = text + len;
    if (!*limit) return "a limit is missing; write p99<5ms";
    if (len >= sizeof term->name) return "unknown figure; there are p50 (any percentile), max, mean, errors and rate";
    memcpy(term->name, text, len);
    term->name[len] = 0;
    const char *wrong = bench_slo_figure(term);
    if (wrong) return wrong;
    if (*limit != (term->figure == BENCH_FIGURE_RATE ? '>' : '<'))
        return term->figure == BENCH_FIGURE_RATE ? "a rate has a lower limit; write rate>10k" : "write < or <=";
    term->equal = limit[1] == '=';
    limit += term->equal ? 2 : 1;
    (void)snprintf(term->asked, sizeof term->asked, "%c%s %.20s", term->figure == BENCH_FIGURE_RATE ? '>' : '<',
                   term->equal ? "=" : "", limit);
    return strlen(limit) > 20 ? "a limit that is too long" : bench_slo_limit(term, limit);
}

// "p99<5ms, p99.9<=20ms, max<1s, mean<2ms, errors<0.1%, rate>10k": all must hold. Returns what is wrong, or NULL.
BENCH_ENTRY const char *bench_slo_parse(const char *text, bench_slo *slo)
{
    memset(slo, 0, sizeof *slo);
    for (;; text++) {
        char term[48];
        size_t len = 0;
        for (; *text && *text != ','; text++) {
            if (*text == ' ' || *text == '\t') continue;
            if (len + 1 == sizeof term) return "a term that is too long";
            term[len++] = (char)fsi_lower(*text);
        }
        term[len] = 0;
        if (len == 0) return "a term is missing; write 'p99<5ms,errors<0.1%'";
        if (slo->count == BENCH_SLO_TERMS) return "too many terms";
        const char *wrong = bench_slo_term_parse(&slo->terms[slo->count++], term);
        if (wrong) return wrong;
        if (!*text) return NULL;
    }
}

// Errors that have no time of their own among what is censored: their latency has no end.
static uint64_t bench_endless(const bench_result *result)
{
    uint64_t errors = bench_errors(result), open = result->in_flight + result->unsent;
    uint64_t timed_out = result->censored.count > open ? result->censored.count - open : 0;
    return errors > timed_out ? errors - timed_out : 0;
}

// bench_quantile over every request that was due. mean: not NULL, the mean up to there is put into it; q is 1 then.
static uint64_t bench_quantile_due(const bench_result *result, double q, bool *beyond, double *mean)
{
    const fsi_hist *ended = &result->response, *cut = &result->censored;
    double at_risk = (double)ended->count + (double)cut->count + (double)bench_endless(result);
    double alive = 1, want = (1 - q) * (1 + 1e-12), area = 0, before = 0;
    uint64_t value = 0, last = cut->count > 0 && cut->max > ended->max ? cut->max : ended->max;
    *beyond = true;
    for (uint32_t i = 0; i < FSI_HIST_CELLS && *beyond; i++) {
        double gone = (double)ended->cells[i];
        if (gone > 0) {
            value = fsi_hist_value(i);
            if (value < ended->min) value = ended->min;
            if (value > ended->max || (q >= 1 && i == fsi_hist_cell(ended->max)))
                value = ended->max; // exact, not by cells
            area += alive * ((double)value - before);
            before = (double)value;
            alive *= at_risk - gone > 0.5 ? (at_risk - gone) / at_risk : 0;
            *beyond = alive > want;
        }
        at_risk -= gone + (double)cut->cells[i];
    }
    if (mean) *mean = *beyond ? area + alive * ((double)last - before) : area;
    if (mean && !*beyond && !cut->count) *mean = ended->sum / (double)ended->count; // exact too
    return *beyond ? last : value;
}

// What one term found, and whether it holds.
static bool bench_slo_term_holds(const bench_slo_term *term, const bench_result *result, char *line, size_t size)
{
    char found[48];
    bool beyond = false, held;
    double value = 0, mean = 0;
    if (term->figure == BENCH_FIGURE_ERRORS) {
        value = (double)bench_errors(result) / (double)result->due;
        (void)snprintf(found, sizeof found, "%.4g%%", value * 100);
    } else if (term->figure == BENCH_FIGURE_RATE) {
        value = bench_done_rate(result);
        (void)bench_count_text(found, sizeof found, value);
    } else {
        value =
            (double)bench_quantile_due(result, term->share, &beyond, term->figure == BENCH_FIGURE_MEAN ? &mean : NULL);
        if (term->figure == BENCH_FIGURE_MEAN) value = mean;
        (void)bench_time_text(found, sizeof found, value / 1000);
    }
    held = term->figure == BENCH_FIGURE_RATE ? value > term->limit || (term->equal && value >= term->limit)
                                             : value < term->limit || (term->equal && value <= term->limit);
    double open = (double)bench_errors(result) + (double)result->in_flight + (double)result->unsent;
    if (beyond)
        (void)snprintf(line, size, "%s more than %s (asked %s): missed%s, %.3g%% failed or did not end", term->name,
                       found, term->asked, held ? " because it cannot be decided" : "",
                       open * 100 / (double)result->due);
    else
        (void)snprintf(line, size, "%s %s (asked %s): %s", term->name, found, term->asked, held ? "held" : "missed");
    return held && !beyond;
}

// why: a line for each term, as far as they fit, without an end of line behind the last.
BENCH_ENTRY bool bench_slo_holds(const bench_slo *slo, const bench_result *result, char *why, size_t size)
{
    bool all = true;
    size_t used = 0;
    if (size) why[0] = 0;
    if (result->due == 0) {
        (void)snprintf(why, size, "nothing was due: missed");
        return false;
    }
    for (uint32_t i = 0; i < slo->count; i++) {
        char line[192];
        if (!bench_slo_term_holds(&slo->terms[i], result, line, sizeof line)) all = false;
        if (used + 1 < size) (void)snprintf(why + used, size - used, "%s%s", used ? "\n" : "", line);
        used += strlen(line) + (used ? 1 : 0);
    }
    return all;
}

// ---- the highest rate

// Performs one open-loop run at that rate and fills the result anew. False: stop the search.
typedef bool bench_rate_run(void *user, double rate, bench_result *result);

typedef struct bench_knee_point {
    double asked, achieved; // per second
    uint64_t p50, p99, max; // ns, over all that was due
    bool p50_beyond, p99_beyond, max_beyond;
    uint64_t errors;
    bool held;
    char why[200]; // not: the first term that was missed
} bench_knee_point;

typedef struct bench_knee {
    bench_knee_point points[BENCH_KNEE_RUNS]; // in the order of the runs
    uint32_t count;
    double found;  // the highest rate that held; 0: none
    double missed; // the lowest that did not; 0: none
    bool settled;  // both were seen more than once, and are near each other
} bench_knee;

// How often a rate held, less how often it did not. *runs: how often it was tried.
static int bench_knee_votes(const bench_knee *knee, double rate, uint32_t *runs)
{
    int votes = 0;
    *runs = 0;
    for (uint32_t i = 0; i < knee->count; i++) {
        if (knee->points[i].asked < rate || knee->points[i].asked > rate) continue;
        votes += knee->points[i].held ? 1 : -1;
        ++*runs;
    }
    return votes;
}

// The next rate to try, from all that were tried; 0: the search is over. Doubles until one misses, halves the distance (in
// ratio) until the two sides are near, then tries both sides again: a side that says one thing and then another is tried a
// third time, and may open the search again. The first miss is repeated at once, for everything after it stands on it.
static double bench_knee_next(bench_knee *knee, double first)
{
    double low = 0, high = 0;
    uint32_t low_runs, high_runs;
    if (!knee->count) return first;
    for (uint32_t i = 0; i < knee->count; i++) {
        double asked = knee->points[i].asked;
        int votes = bench_knee_votes(knee, asked, &low_runs);
        if (votes == 0) return asked;
        if (votes < 0 && (!(high > 0) || asked < high)) high = asked;
    }
    for (uint32_t i = 0; i < knee->count; i++) {
        double asked = knee->points[i].asked;
        if ((!(high > 0) || asked < high) && asked > low) low = asked; // none below high missed
    }
    knee->found = low;
    knee->missed = high;
    (void)bench_knee_votes(knee, low, &low_runs);
    (void)bench_knee_votes(knee, high, &high_runs);
    if (!(high > 0)) return low * 2;
    if (high_runs == 1 && (low > 0 ? high > low * 1.9 : knee->count == 1)) return high;
    if (!(low > 0)) return high / 2 >= BENCH_KNEE_LEAST ? high / 2 : 0;
    if (high > low * BENCH_KNEE_WIDTH) return bench_sqrt(low * high);
    if (low_runs == 1) return low;
    if (high_runs == 1) return high;
    knee->settled = true;
    return 0;
}

// Whether as much was answered as was asked for. What is on its way when the run ends is no shortfall, as far as the mean
// latency explains it.
static bool bench_knee_kept_up(const bench_result *result, double asked)
{
    double seconds = (double)result->run_ns / 1e9, way = 0;
    double mean = result->response.count ? result->response.sum / (double)result->response.count / 1e9 : 0;
    way = asked * mean < (double)result->in_flight ? asked * mean : (double)result->in_flight;
    return (double)result->done + way + 1 >= BENCH_KNEE_ACHIEVED * asked * seconds;
}

// One run's point. latencies: the terms without those on the rate.
static void bench_knee_add(bench_knee *knee, const bench_slo *latencies, double asked, const bench_result *result)
{
    bench_knee_point *point = &knee->points[knee->count++];
    char lag[48];
    memset(point, 0, sizeof *point);
    point->asked = asked;
    point->achieved = bench_done_rate(result);
    point->p50 = bench_quantile_due(result, 0.5, &point->p50_beyond, NULL);
    point->p99 = bench_quantile_due(result, 0.99, &point->p99_beyond, NULL);
    point->max = bench_quantile_due(result, 1, &point->max_beyond, NULL);
    point->errors = bench_errors(result);
    point->held = true;
    for (uint32_t i = 0; i < latencies->count && point->held && result->due; i++)
        point->held = bench_slo_term_holds(&latencies->terms[i], result, point->why, sizeof point->why);
    if (point->held && (!result->due || !bench_knee_kept_up(result, asked))) {
        point->held = false;
        (void)snprintf(point->why, sizeof point->why, "only %.1f%% of the rate was achieved",
                       asked > 0 ? point->achieved * 100 / asked : 0);
    }
    uint64_t late = fsi_hist_at(&result->lag, 0.99);
    size_t used = strlen(point->why);
    if (point->held)
        point->why[0] = 0;
    else if (late > point->p99 / 2) // the load generator is what was slow
        (void)snprintf(point->why + used, sizeof point->why - used, "; sent late: p99 %s",
                       bench_time_text(lag, sizeof lag, (double)late / 1000));
}

// Searches from first_rate on. Terms on the rate are left out: the rate is what is looked for. True: found and confirmed, or
// no rate holds; false: run() said stop, the runs were used up, or there is no memory. What was found so far stands in knee.
BENCH_ENTRY bool bench_find_rate(const bench_slo *slo, double first_rate, bench_rate_run *run, void *user,
                                 bench_knee *knee)
{
    bench_result *result = (bench_result *)malloc(sizeof *result);
    bench_slo latencies;
    bool running = result != NULL;
    memset(knee, 0, sizeof *knee);
    memset(&latencies, 0, sizeof latencies);
    for (uint32_t i = 0; i < slo->count; i++)
        if (slo->terms[i].figure != BENCH_FIGURE_RATE) latencies.terms[latencies.count++] = slo->terms[i];
    double rate = first_rate;
    while (running && (rate = bench_knee_next(knee, first_rate)) > 0) {
        bench_json_blank(result);
        running = knee->count < BENCH_KNEE_RUNS && run(user, rate, result);
        if (running) bench_knee_add(knee, &latencies, rate, result);
    }
    free(result);
    return running;
}

static void bench_knee_time(FILE *out, uint64_t ns, bool beyond)
{
    char text[48], shown[56];
    (void)snprintf(shown, sizeof shown, "%s%s", beyond ? ">" : "",
                   bench_time_text(text, sizeof text, (double)ns / 1000));
    (void)fprintf(out, "%11s", shown);
}

static void bench_print_point(FILE *out, const bench_knee_point *point)
{
    (void)fprintf(out, "%12.1f%12.1f", point->asked, point->achieved);
    bench_knee_time(out, point->p50, point->p50_beyond);
    bench_knee_time(out, point->p99, point->p99_beyond);
    bench_knee_time(out, point->max, point->max_beyond);
    (void)fprintf(out, "%9llu  %s\n", (unsigned long long)point->errors, point->held ? "held" : point->why);
}

// By rate; runs at the same rate in their order. The last line is the answer.
BENCH_ENTRY void bench_print_knee(FILE *out, const bench_knee *knee)
{
    bool shown[BENCH_KNEE_RUNS] = {false};
    (void)fprintf(out, "%12s%12s%11s%11s%11s%9s\n", "asked/s", "achieved/s", "p50", "p99", "max", "errors");
    for (uint32_t i = 0; i < knee->count; i++) {
        uint32_t least = BENCH_KNEE_RUNS;
        for (uint32_t k = 0; k < knee->count; k++)
            if (!shown[k] && (least == BENCH_KNEE_RUNS || knee->points[k].asked < knee->points[least].asked)) least = k;
        shown[least] = true;
        bench_print_point(out, &knee->points[least]);
    }
    if (!(knee->found > 0))
        (void)fprintf(out, "Found rate: none%s\n", knee->count ? ", all that were tried missed" : "");
    else if (!(knee->missed > 0))
        (void)fprintf(out, "Found rate: at least %.1f requests/s; the search ended before one was missed\n",
                      knee->found);
    else
        (void)fprintf(out, "Found rate: %.1f requests/s; missed at %.1f%s\n", knee->found, knee->missed,
                      knee->settled ? "" : "; the search ended before that was certain");
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-compare   Several results: added up (merge), or held against each other (compare, --vs).
//
//                   Two figures are compared, the rate of good answers and the p99 of what was due, each as the ratio of B to A
//                   on a logarithmic scale, with intervals that hold for both together in 95 % (97.5 % each: who looks twice finds
//                   more by chance). A difference counts when its interval leaves out "the same", when it is larger than the
//                   noise floor, and for rounds when an exact permutation test agrees (p <= 0.025).
//                   - Rounds (--vs): B of a round is held against A of the same round, so that what drifts cancels out; Student's t on
//                     the rounds' differences (a bootstrap of five rounds would be too sure of itself). With A measured twice in
//                     each round (A A' B) the noise floor is the farther end of the interval of A' to A.
//                   - Two files: the slots of the series are put together to batches; their spread is widened by what the
//                     batches have to do with each other (first-order autocorrelation), which costs degrees of freedom too
//                     (Welch's t). The noise floor is how far a batch of one lies from a batch of the other anyway, and never below
//                     what two runs of the same thing often differ by (2 %, p99 5 %): one run cannot tell that.
// ---------------------------------------------------------------------------------------------------------

// ---- merge

static void bench_add64(uint64_t *into, uint64_t from)
{
    *into = *into > UINT64_MAX - from ? UINT64_MAX : *into + from; // an absurd file shall not look small
}

static void bench_most64(uint64_t *into, uint64_t from)
{
    if (from > *into) *into = from;
}

static void bench_merge_text(char *into, size_t size, const char *from)
{
    if (strcmp(into, from) != 0) (void)snprintf(into, size, "several");
}

// Two slots of the series become one. The p50 of both is weighed, the p99 is the larger: at most so much.
static void bench_slot_add(bench_second *into, const bench_second *from)
{
    double done = (double)into->done + (double)from->done;
    double p50 = (double)into->p50 * (double)into->done + (double)from->p50 * (double)from->done;
    if (done > 0 && p50 / done < 1e19) into->p50 = (uint64_t)(p50 / done);
    bench_most64(&into->p99, from->p99);
    bench_most64(&into->max, from->max);
    bench_add64(&into->done, from->done);
    bench_add64(&into->errors, from->errors);
    bench_add64(&into->timeouts, from->timeouts);
}

// Adds a series whose slots are `times` slots long, to slots that begin `shift` of the coarser ones later.
static void bench_series_add(bench_second *slots, uint32_t *count, const bench_second *from, uint32_t from_count,
                             uint64_t times, uint64_t shift)
{
    for (uint32_t i = 0; i < from_count; i++) {
        uint64_t at = shift + i / times;
        if (at >= BENCH_SECONDS_MAX) return;
        bench_slot_add(&slots[at], &from[i]);
        if (at >= *count) *count = (uint32_t)at + 1;
    }
}

// Both series on one axis that begins with the earlier run: whole slots by began_unix, which has whole seconds. Slots become
// longer, by doubling, until both fit. False: no length of slot fits both.
static bool bench_merge_series(bench_result *into, const bench_result *from)
{
    if (!from->second_count) return true;
    if (!into->second_count) into->second_ns = from->second_ns;
    uint64_t slot = into->second_ns > from->second_ns ? into->second_ns : from->second_ns;
    bool later = from->began_unix > into->began_unix;
    uint64_t apart = later ? (uint64_t)from->began_unix - (uint64_t)into->began_unix
                           : (uint64_t)into->began_unix - (uint64_t)from->began_unix;
    if (slot == 0 || slot % into->second_ns || slot % from->second_ns) return false;
    for (;; slot *= 2) {
        if (slot > UINT64_MAX / 2) return false;
        double slots_apart = (double)apart * 1e9 / (double)slot + 0.5;
        if (slots_apart > BENCH_SECONDS_MAX) continue;
        uint64_t shift = (uint64_t)slots_apart;
        uint64_t into_end = (later ? 0 : shift) + into->second_count / (slot / into->second_ns) + 1;
        uint64_t from_end = (later ? shift : 0) + from->second_count / (slot / from->second_ns) + 1;
        if (into_end > BENCH_SECONDS_MAX || from_end > BENCH_SECONDS_MAX) continue;
        bench_second *slots = (bench_second *)calloc(BENCH_SECONDS_MAX, sizeof *slots);
        uint32_t count = 0;
        if (!slots) return false;
        bench_series_add(slots, &count, into->seconds, into->second_count, slot / into->second_ns, later ? 0 : shift);
        bench_series_add(slots, &count, from->seconds, from->second_count, slot / from->second_ns, later ? shift : 0);
        memcpy(into->seconds, slots, sizeof into->seconds);
        into->second_count = count;
        into->second_ns = slot;
        free(slots);
        return true;
    }
}

// What cannot be added, and why. NULL: it can.
static const char *bench_merge_clash(const bench_result *a, const bench_result *b)
{
    const bench_setup *x = &a->setup, *y = &b->setup;
    if (strcmp(x->url, y->url) != 0) return "another URL";
    if (x->echo != y->echo || x->close != y->close) return "another kind of load";
    if ((x->rate > 0) != (y->rate > 0) || (x->conn_rate > 0) != (y->conn_rate > 0))
        return "one has a rate to keep (-R, --conn-rate) and the other has none, so their times mean different things";
    const bench_result *early = a->began_unix <= b->began_unix ? a : b, *late = early == a ? b : a;
    double apart = (double)late->began_unix - (double)early->began_unix - 1; // whole seconds: that much may be rounding
    double left = (double)early->run_ns / 1e9 - apart;
    double shorter = (double)(a->run_ns < b->run_ns ? a->run_ns : b->run_ns) / 1e9;
    if (apart > 0 && left < shorter * 0.8) return "it did not run at the same time";
    const fsi_hist *left_hists[] = {&a->response, &a->service, &a->censored, &a->connect, &a->wait, &a->lag, &a->rate};
    const fsi_hist *right_hists[] = {&b->response, &b->service, &b->censored, &b->connect, &b->wait, &b->lag, &b->rate};
    for (size_t i = 0; i < sizeof left_hists / sizeof left_hists[0]; i++)
        if (left_hists[i]->count > UINT64_MAX - right_hists[i]->count) return "counts too large to be added";
    return NULL;
}

static void bench_merge_setup(bench_setup *into, const bench_setup *from)
{
    bench_merge_text(into->version, sizeof into->version, from->version);
    bench_merge_text(into->system, sizeof into->system, from->system);
    bench_merge_text(into->cpu, sizeof into->cpu, from->cpu);
    into->cpus += from->cpus;
    into->threads += from->threads;
    into->connections += from->connections;
    into->rate += from->rate;
    into->conn_rate += from->conn_rate;
    if (into->requests && from->requests)
        bench_add64(&into->requests, from->requests);
    else
        into->requests = 0;
    bench_most64(&into->duration, from->duration);
    bench_most64(&into->warmup, from->warmup);
    bench_most64(&into->ramp, from->ramp);
    bench_most64(&into->timeout, from->timeout);
    if (from->urls > into->urls) into->urls = from->urls;
    if (from->source_ips > into->source_ips) into->source_ips = from->source_ips;
    into->self_hosted = into->self_hosted || from->self_hosted;
    into->rst = into->rst || from->rst;
}

static void bench_merge_hists(bench_result *into, const bench_result *from)
{
    fsi_hist_merge(&into->response, &from->response);
    fsi_hist_merge(&into->service, &from->service);
    fsi_hist_merge(&into->censored, &from->censored);
    fsi_hist_merge(&into->connect, &from->connect);
    fsi_hist_merge(&into->wait, &from->wait);
    fsi_hist_merge(&into->lag, &from->lag);
    fsi_hist_merge(&into->rate, &from->rate); // of each thread, as before
}

static void bench_merge_counts(bench_result *into, const bench_result *from)
{
    // The lengths are those of the first answer of `into`; of answers that were measured against another one it is not known.
    uint64_t other = from->first_length == into->first_length ? from->other_length : bench_answers(from);
    if (!bench_answers(into)) into->first_length = from->first_length, other = from->other_length;
    bench_add64(&into->other_length, other);
    bench_add64(&into->due, from->due);
    bench_add64(&into->done, from->done);
    bench_add64(&into->in_flight, from->in_flight);
    bench_add64(&into->unsent, from->unsent);
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        bench_add64(&into->failed[kind], from->failed[kind]);
        bench_add64(&into->events[kind], from->events[kind]);
    }
    for (int status = 0; status < 600; status++) bench_add64(&into->statuses[status], from->statuses[status]);
    bench_add64(&into->bytes_in, from->bytes_in);
    bench_add64(&into->bytes_body, from->bytes_body);
    bench_add64(&into->bytes_out, from->bytes_out);
    bench_add64(&into->kept, from->kept);
    bench_add64(&into->conns_opened, from->conns_opened);
    bench_add64(&into->conns_lost, from->conns_lost);
    bench_add64(&into->conns_most, from->conns_most); // at most so many at a time
    bench_add64(&into->syn_retransmits, from->syn_retransmits);
    bench_add64(&into->client_user_ns, from->client_user_ns);
    bench_add64(&into->client_sys_ns, from->client_sys_ns);
    bench_add64(&into->steal_ns, from->steal_ns);
    bench_add64(&into->throttled_ns, from->throttled_ns);
    bench_add64(&into->other_ns, from->other_ns);
    bench_most64(&into->busiest_ns, from->busiest_ns);
    bench_most64(&into->server_cpu_ns, from->server_cpu_ns); // there is one server
    bench_most64(&into->server_rss, from->server_rss);
}

// Adds a generator that ran at the same time against the same target, on this or another machine: counts, histograms and
// rates add up, times are those of the longest. Returns why it cannot be added, or NULL; then `into` is as it was.
BENCH_ENTRY const char *bench_merge(bench_result *into, const bench_result *from)
{
    const char *wrong = bench_merge_clash(into, from);
    if (wrong) return wrong;
    if (!bench_merge_series(into, from)) return "a series whose slots do not fit";
    bench_merge_counts(into, from);
    bench_merge_hists(into, from);
    bench_merge_setup(&into->setup, &from->setup);
    if (from->began_unix < into->began_unix) into->began_unix = from->began_unix;
    bench_most64(&into->run_ns, from->run_ns);
    into->interrupted = into->interrupted || from->interrupted;
    if (!into->server[0]) memcpy(into->server, from->server, sizeof into->server);
    if (!into->first_error[0]) memcpy(into->first_error, from->first_error, sizeof into->first_error);
    return NULL;
}

// ---- statistics

#define BENCH_ROUNDS_MAX 256
#define BENCH_ROUNDS_LEAST 4 // of A A' B: 2 of 81 arrangements; of A B it takes 7, 2 of 128
#define BENCH_SLOTS_LEAST 8
#define BENCH_DONE_LEAST 1000 // requests in a run, ten of them above its p99
#define BENCH_CHANCE 0.025    // half of 5 %, for there are two figures
#define BENCH_EXACT_MAX 7000  // arrangements that are all tried; of more, a draw of so many

// Natural logarithm of what is more than 0: powers of two taken out, then the series of artanh.
static double bench_ln(double x)
{
    double twos = 0, sum = 0;
    for (; x > 1.5; x /= 2) twos++;
    for (; x < 0.75; x *= 2) twos--;
    double y = (x - 1) / (x + 1), power = y;
    for (int i = 1; i < 40; i += 2, power *= y * y) sum += power / i;
    return twos * 0.69314718055994530942 + 2 * sum;
}

static double bench_exp(double x)
{
    double sum = 1, term = 1;
    int halved = 0;
    if (x < -700) return 0;
    if (x > 700) x = 700;
    for (; x > 0.5 || x < -0.5; x /= 2) halved++;
    for (int i = 1; i < 20; i++) sum += term *= x / i;
    for (; halved; halved--) sum *= sum;
    return sum;
}

// Student's t that 98.75 % lie below: two intervals of 97.5 % are right together in 95 %. Between the rows the one with fewer
// degrees of freedom counts.
static double bench_student(double freedom)
{
    static const double small[] = {25.452, 6.205, 4.177, 3.495, 3.163, 2.969, 2.841, 2.752, 2.685, 2.634,
                                   2.593,  2.560, 2.533, 2.510, 2.490, 2.473, 2.458, 2.445, 2.433, 2.423};
    if (freedom < 21) return small[freedom < 2 ? 0 : (int)freedom - 1];
    return freedom < 30 ? 2.414 : freedom < 60 ? 2.360 : freedom < 120 ? 2.299 : 2.270;
}

// On the logarithmic scale: what was found, and half the width of its interval.
typedef struct bench_estimate {
    double middle, half;
    bool known;
} bench_estimate;

static bench_estimate bench_estimate_of(const double *values, uint32_t count)
{
    bench_estimate out = {0, 0, count > 1};
    double squares = 0, n = count;
    for (uint32_t i = 0; i < count; i++) out.middle += values[i] / n;
    for (uint32_t i = 0; i < count; i++) squares += (values[i] - out.middle) * (values[i] - out.middle);
    if (out.known) out.half = bench_student(n - 1) * bench_sqrt(squares / (n - 1) / n);
    return out;
}

static uint64_t bench_draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u; // a Weyl sequence, mixed: splitmix64
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// If it did not matter what is B, any run of a round could have been the last one. Among all ways to name one in each round,
// the share in which B lies at least as far from the others. values: `arms` of each round, B last.
static double bench_permutation(const double *values, uint32_t rounds, uint32_t arms)
{
    double far[BENCH_ROUNDS_MAX][3], seen = 0, all = 1, hits = 0;
    uint64_t tries = 1, state = 20111;
    for (uint32_t i = 0; i < rounds; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < arms; k++) sum += values[i * arms + k];
        for (uint32_t k = 0; k < arms; k++)
            far[i][k] = values[i * arms + k] - (sum - values[i * arms + k]) / (arms - 1);
        seen += far[i][arms - 1];
        if (tries <= BENCH_EXACT_MAX) tries *= arms;
    }
    bool exact = tries <= BENCH_EXACT_MAX;
    if (!exact) tries = BENCH_EXACT_MAX;
    for (uint64_t n = 0; n < tries; n++) {
        double sum = 0;
        uint64_t rest = n;
        for (uint32_t i = 0; i < rounds; i++, rest /= arms)
            sum += far[i][exact ? rest % arms : bench_draw(&state) % arms];
        hits += (sum < 0 ? -sum : sum) >= (seen < 0 ? -seen : seen) * (1 - 1e-9);
    }
    all = (double)tries;
    return exact ? hits / all : (hits + 1) / (all + 1);
}

// ---- the verdict

typedef enum bench_compared { BENCH_BY_RATE, BENCH_BY_P99, BENCH_BY_END } bench_compared;

// Ratios of B to A; known false: it could not be computed, the rest is 0.
typedef struct bench_interval {
    double ratio, low, high; // 97.5 %, both figures together 95 %
    bool known;
} bench_interval;

typedef struct bench_difference {
    bench_interval change; // B to A
    bench_interval same;   // A' to A
    double floor;          // noise: smaller changes are none; 0.01 is 1 %
    double chance;         // of the permutation test; 0 where there is none
    int better;            // 1: beyond doubt, -1: worse beyond doubt
} bench_difference;

typedef enum bench_judgement { BENCH_CANNOT_TELL, BENCH_FASTER, BENCH_SLOWER } bench_judgement;

typedef struct bench_verdict_of {
    bench_judgement verdict; // of B
    bool untrusted;          // not noise, but the results themselves are why nothing can be told
    bench_difference by[BENCH_BY_END];
    uint32_t rounds;   // 0: two files
    uint32_t slots[2]; // two files: of A and B
    char why[256];     // the verdict in words
    char versions[80]; // when they differ, else ""
} bench_verdict_of;

// What comes from a file stays out of the terminal's language.
static void bench_plain(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == 127) *text = '?';
}

static bool bench_cannot(bench_verdict_of *out, const char *format, ...) FSI_PRINTF(2, 3);

static bool bench_cannot(bench_verdict_of *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->why, sizeof out->why, format, args);
    va_end(args);
    bench_plain(out->why);
    out->untrusted = true;
    return false;
}

// Whether a result says what it seems to say. Returns what speaks against it, or NULL.
static const char *bench_doubt(const bench_result *result)
{
    uint64_t errors = bench_errors(result), events = 0;
    for (int kind = 0; kind < BENCH_KINDS; kind++) events += result->events[kind];
    if (result->due != result->done + errors + result->in_flight + result->unsent) return "its outcomes do not add up";
    if (result->response.count != result->done) return "it has not one sample for each answer";
    if (result->censored.count < result->in_flight + result->unsent) return "it lost what had not ended";
    if (errors || events) return "it has errors";
    if (result->interrupted) return "it was interrupted";
    return result->done < BENCH_DONE_LEAST || !result->run_ns ? "it is too short: fewer than 1000 answers" : NULL;
}

// Environment and options. vs: two targets in one run of the program, so that the place may differ.
static bool bench_setup_same(bench_verdict_of *out, const bench_setup *a, const bench_setup *b, bool vs)
{
    bool place = vs || (a->self_hosted && b->self_hosted); // our own server takes any port
    for (const bench_member *member = bench_setup_members; member->name; member++) {
        char x[512], y[512];
        if (memcmp((const char *)a + member->offset, (const char *)b + member->offset, member->size) == 0) continue;
        (void)bench_member_text(x, sizeof x, member, (const char *)a);
        (void)bench_member_text(y, sizeof y, member, (const char *)b);
        if (strcmp(x, y) == 0 || (member->same == BENCH_SAME_PLACE && place)) continue;
        if (member->same != BENCH_SAME_NEVER)
            return bench_cannot(out, "they differ in %s: %.80s and %.80s", member->name, x, y);
        (void)snprintf(out->versions, sizeof out->versions, "%.31s and %.31s", x, y);
        bench_plain(out->versions);
    }
    return true;
}

// All against the first: what B is must be the only difference.
static bool bench_comparable(bench_verdict_of *out, const bench_result *const *a, uint32_t na,
                             const bench_result *const *b, uint32_t nb)
{
    bool vs = na > 1 || nb > 1;
    for (uint32_t i = 0; i < na + nb; i++) {
        const bench_result *one = i < na ? a[i] : b[i - na];
        const char *doubt = bench_doubt(one);
        if (doubt && vs)
            return bench_cannot(out, "%s, run %u: %s", i < na ? "A" : "B", i < na ? i + 1 : i - na + 1, doubt);
        if (doubt) return bench_cannot(out, "%s: %s", i < na ? "A" : "B", doubt);
        if (!bench_setup_same(out, &a[0]->setup, &one->setup, vs)) return false;
    }
    return true;
}

static bench_interval bench_interval_of(bench_estimate estimate)
{
    bench_interval out = {0, 0, 0, estimate.known};
    if (!estimate.known) return out;
    out.ratio = bench_exp(estimate.middle);
    out.low = bench_exp(estimate.middle - estimate.half);
    out.high = bench_exp(estimate.middle + estimate.half);
    return out;
}

static double bench_abs(double x)
{
    return x < 0 ? -x : x;
}

// noise: on the logarithmic scale.
static void bench_difference_judge(bench_difference *out, bench_estimate change, double noise, bool less_is_better)
{
    out->change = bench_interval_of(change);
    out->floor = bench_exp(noise) - 1;
    bool real = change.known && bench_abs(change.middle) > change.half && bench_abs(change.middle) > noise &&
                out->chance <= BENCH_CHANCE;
    if (real) out->better = (change.middle > 0) != less_is_better ? 1 : -1;
}

// ln of the figure; false: the run does not have it.
static bool bench_compared_value(const bench_result *result, bench_compared by, double *out)
{
    bool beyond = false;
    double value = by == BENCH_BY_RATE ? bench_done_rate(result) : (double)bench_quantile(result, 0.99, &beyond);
    if (beyond || !(value > 0)) return false;
    *out = bench_ln(value);
    return true;
}

// arms 2: A B; 3: A A' B, which come as a[0] a[1] b[0], a[2] a[3] b[1] ...
static void bench_compare_rounds(const bench_result *const *a, const bench_result *const *b, uint32_t rounds,
                                 uint32_t arms, bench_compared by, bench_difference *out)
{
    double values[BENCH_ROUNDS_MAX * 3], change[BENCH_ROUNDS_MAX], same[BENCH_ROUNDS_MAX];
    double noise = by == BENCH_BY_RATE ? 0.005 : 0.01; // smaller ones nobody needs, and cells are 0.8 % wide
    uint32_t pairs = arms == 3 ? rounds : rounds / 2;
    for (uint32_t i = 0; i < rounds; i++) {
        double *round = values + (size_t)i * arms;
        for (uint32_t k = 0; k + 1 < arms; k++)
            if (!bench_compared_value(a[i * (arms - 1) + k], by, &round[k])) return;
        if (!bench_compared_value(b[i], by, &round[arms - 1])) return;
        change[i] = round[arms - 1] - (arms == 3 ? (round[0] + round[1]) / 2 : round[0]);
    }
    for (uint32_t i = 0; i < pairs; i++) // without A': A of one round and of the next
        same[i] = arms == 3 ? values[i * 3 + 1] - values[i * 3] : values[i * 4 + 2] - values[i * 4];
    bench_estimate aa = bench_estimate_of(same, pairs);
    out->same = bench_interval_of(aa);
    out->chance = bench_permutation(values, rounds, arms);
    if (aa.known && arms == 3 && bench_abs(aa.middle) + aa.half > noise) noise = bench_abs(aa.middle) + aa.half;
    bench_difference_judge(out, bench_estimate_of(change, rounds), noise, by == BENCH_BY_P99);
}

// The mean of a series and what is known about it.
typedef struct bench_series_mean {
    double mean, error, freedom; // error: standard error
    double tie;                  // correlation of one batch with the next, as it was seen
    double scatter;              // of the batches, or what lies between the halves of the run if that is more
    bool known;
} bench_series_mean;

// Slots that lie wholly within the run; of p99 only those in which something was done, on the logarithmic scale.
static uint32_t bench_series_values(const bench_result *result, bench_compared by, double *out)
{
    uint64_t whole = result->second_ns ? result->run_ns / result->second_ns : 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < result->second_count && i < whole; i++) {
        const bench_second *slot = &result->seconds[i];
        if (by == BENCH_BY_RATE)
            out[count++] = (double)slot->done / ((double)result->second_ns / 1e9);
        else if (slot->done && slot->p99)
            out[count++] = bench_ln((double)slot->p99);
    }
    return count;
}

// At most 39 batches; what is left over at the end is left out.
static uint32_t bench_batches(double *values, uint32_t count)
{
    uint32_t size = count >= 40 ? count / 20 : 1, batches = count / size;
    for (uint32_t i = 0; i < batches; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < size; k++) sum += values[i * size + k];
        values[i] = sum / size;
    }
    return batches;
}

static bench_series_mean bench_series_of(const bench_result *result, bench_compared by)
{
    double values[BENCH_SECONDS_MAX], squares = 0, products = 0, halves[2] = {0, 0};
    bench_series_mean out = {0, 0, 0, 0, 0, false};
    uint32_t count = bench_series_values(result, by, values);
    if (count < BENCH_SLOTS_LEAST) return out;
    count = bench_batches(values, count);
    double n = count;
    for (uint32_t i = 0; i < count; i++) out.mean += values[i] / n;
    for (uint32_t i = 0; i < count; i++) {
        double far = values[i] - out.mean;
        squares += far * far;
        if (i) products += far * (values[i - 1] - out.mean);
        if (i < count / 2) halves[0] += values[i] / (count / 2);
        if (i >= count - count / 2) halves[1] += values[i] / (count / 2);
    }
    out.error = bench_sqrt(squares / (n - 1) / n);
    out.freedom = n - 1;
    out.tie = squares > 0 ? products / squares : 0;
    out.scatter = bench_sqrt(squares / (n - 1));
    if (bench_abs(halves[1] - halves[0]) > out.scatter) out.scatter = bench_abs(halves[1] - halves[0]);
    out.known = by == BENCH_BY_P99 || out.mean > 0;
    if (by == BENCH_BY_RATE && out.known) { // to the logarithmic scale
        out.error /= out.mean;
        out.scatter /= out.mean;
        out.mean = bench_ln(out.mean);
    }
    return out;
}

// Batches that hang together say less than so many free ones. tie: of both series, for one alone shows it poorly.
static void bench_series_widen(bench_series_mean *series, double tie)
{
    double n = series->freedom + 1;
    tie =
        (tie * n + 1) / (n - 4) + 0.5 / bench_sqrt(2 * n); // a short series shows too little of it, and not for certain
    if (tie < 0) tie = 0;
    if (tie > 0.9) tie = 0.9;
    series->error *= bench_sqrt((1 + tie) / (1 - tie));
    series->freedom = n * (1 - tie * tie) / (1 + tie * tie) - 1;
    if (series->freedom < 1) series->freedom = 1;
}

static void bench_compare_series(const bench_result *a, const bench_result *b, bench_compared by, bench_difference *out)
{
    bench_series_mean x = bench_series_of(a, by), y = bench_series_of(b, by);
    bench_estimate change = {y.mean - x.mean, 0, x.known && y.known};
    double noise = by == BENCH_BY_RATE ? 0.02 : 0.05;
    double tie = (x.tie + y.tie) / 2;
    if (!change.known) return;
    bench_series_widen(&x, tie);
    bench_series_widen(&y, tie);
    double u = x.error * x.error, v = y.error * y.error, both = u * u / x.freedom + v * v / y.freedom;
    change.half = bench_student(both > 0 ? (u + v) * (u + v) / both : 1) * bench_sqrt(u + v); // Welch
    double scatter = bench_sqrt(x.scatter * x.scatter + y.scatter * y.scatter); // of a batch of B from a batch of A
    if (scatter > noise) noise = scatter;
    bench_difference_judge(out, change, noise, by == BENCH_BY_P99);
}

// Both figures together: one that is better and none that is worse.
static void bench_conclude(bench_verdict_of *out)
{
    int rate = out->by[BENCH_BY_RATE].better, p99 = out->by[BENCH_BY_P99].better;
    if (!out->by[BENCH_BY_RATE].change.known && !out->by[BENCH_BY_P99].change.known)
        (void)bench_cannot(out, "too few whole slots or rounds, or too much that did not end");
    else if (rate * p99 < 0)
        (void)snprintf(out->why, sizeof out->why, "the rate is %s, but the p99 is %s", rate > 0 ? "higher" : "lower",
                       p99 > 0 ? "lower" : "higher");
    else if (rate + p99 == 0)
        (void)snprintf(out->why, sizeof out->why, "no difference beyond the noise");
    else
        (void)snprintf(out->why, sizeof out->why, "by %s", !p99 ? "rate" : !rate ? "p99" : "rate and p99");
    if (rate * p99 >= 0 && rate + p99 != 0) out->verdict = rate + p99 > 0 ? BENCH_FASTER : BENCH_SLOWER;
}

// na == nb == 1: two files, by their series. Else rounds: na == nb (A B A B ...), or na == 2 nb, where a[2i] and a[2i+1] are the
// two runs of A in the round of b[i]; then URLs may differ. The version of fastserve may always differ: it is named.
BENCH_ENTRY void bench_compare(const bench_result *const *a, uint32_t na, const bench_result *const *b, uint32_t nb,
                               bench_verdict_of *out)
{
    memset(out, 0, sizeof *out);
    uint32_t arms = nb && na == 2 * nb ? 3 : 2, least = arms == 3 ? BENCH_ROUNDS_LEAST : BENCH_ROUNDS_LEAST + 3;
    if (!na || !nb || (arms == 2 && na != nb)) {
        (void)bench_cannot(out, "the rounds are not complete");
        return;
    }
    if (!bench_comparable(out, a, na, b, nb)) return;
    bool files = na == 1;
    if (!files && (nb < least || nb > BENCH_ROUNDS_MAX)) {
        (void)bench_cannot(out, "%u rounds; it takes %u to %u", nb, least, (uint32_t)BENCH_ROUNDS_MAX);
        return;
    }
    out->rounds = files ? 0 : nb;
    out->slots[0] = a[0]->second_count;
    out->slots[1] = b[0]->second_count;
    for (int by = 0; by < BENCH_BY_END; by++) {
        if (files)
            bench_compare_series(a[0], b[0], (bench_compared)by, &out->by[by]);
        else
            bench_compare_rounds(a, b, nb, arms, (bench_compared)by, &out->by[by]);
    }
    bench_conclude(out);
}

static void bench_print_interval(FILE *out, const char *name, const bench_interval *interval)
{
    if (interval->known)
        (void)fprintf(out, "  %-10s%8.4f   %.4f .. %.4f", name, interval->ratio, interval->low, interval->high);
    else
        (void)fprintf(out, "  %-10s%8s", name, "unknown");
}

// A few lines, the last one is the verdict.
BENCH_ENTRY void bench_print_verdict(FILE *out, const bench_verdict_of *verdict)
{
    static const char *const names[] = {"rate", "p99"}, *const again[] = {"A/A rate", "A/A p99"};
    static const char *const words[] = {"cannot tell", "faster", "slower"};
    if (!verdict->untrusted)
        (void)fprintf(out, "  %-10s%8s   %-16s   %s\n", "B / A", "ratio", "95 % interval", "noise floor");
    for (int by = 0; by < BENCH_BY_END && !verdict->untrusted; by++) {
        const bench_difference *difference = &verdict->by[by];
        bench_print_interval(out, names[by], &difference->change);
        if (difference->change.known) (void)fprintf(out, "   %.1f %%", difference->floor * 100);
        if (verdict->rounds && difference->change.known) (void)fprintf(out, "   p = %.2g", difference->chance);
        (void)fprintf(out, "\n");
    }
    for (int by = 0; by < BENCH_BY_END && verdict->rounds; by++) {
        bench_print_interval(out, again[by], &verdict->by[by].same);
        (void)fprintf(out, "\n");
    }
    if (verdict->versions[0]) (void)fprintf(out, "  versions: %s\n", verdict->versions);
    if (verdict->rounds)
        (void)fprintf(out, "  %u rounds: Student's t on the rounds, exact permutation test\n", verdict->rounds);
    else if (!verdict->untrusted)
        (void)fprintf(out,
                      "  %u and %u slots: batch means, widened by their autocorrelation. What differs from run to run\n"
                      "  is not in them; --vs measures it.\n",
                      verdict->slots[0], verdict->slots[1]);
    (void)fprintf(out, "  B against A: %s, %s%s\n", words[verdict->verdict], verdict->untrusted ? "because " : "",
                  verdict->why);
}

// ---- the two commands

// Reads a file into a result of its own. NULL: said why.
static bench_result *bench_load(const char *path)
{
    bench_result *result = (bench_result *)malloc(sizeof *result);
    const char *wrong = result ? bench_json_read(path, result) : "out of memory";
    if (!wrong) return result;
    bench_say("%s: %s", strcmp(path, "-") == 0 ? "standard input" : path, wrong);
    free(result);
    return NULL;
}

// `bench compare A.json B.json`; argv[0] is the word. Returns the exit status: 2 when the files cannot be compared.
BENCH_ENTRY int bench_main_compare(int argc, char **argv)
{
    bench_verdict_of verdict;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) continue;
        bench_say("compare %s: unknown option; it takes two files: bench compare A.json B.json", argv[i]);
        return BENCH_USAGE;
    }
    if (argc != 3) {
        bench_say("compare takes two files that --json wrote: bench compare A.json B.json");
        return BENCH_USAGE;
    }
    bench_result *a = bench_load(argv[1]), *b = a ? bench_load(argv[2]) : NULL;
    int status = BENCH_USAGE;
    if (b) {
        const bench_result *one = a, *two = b;
        bench_compare(&one, 1, &two, 1, &verdict);
        bench_print_verdict(stdout, &verdict);
        status = verdict.untrusted ? BENCH_UNTRUSTED : BENCH_OK;
        if (fflush(stdout) != 0) status = BENCH_USAGE;
    }
    free(a);
    free(b);
    return status;
}

// A short form until the wrk layout takes its place.
BENCH_ENTRY void bench_print_merged(FILE *out, const bench_result *result)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
    char text[48];
    (void)fprintf(out, "%u threads and %u connections\n", result->setup.threads, result->setup.connections);
    (void)fprintf(out, "%llu requests in %s\n", (unsigned long long)bench_answers(result),
                  bench_time_text(text, sizeof text, (double)result->run_ns / 1000));
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        bool beyond;
        uint64_t ns = bench_quantile(result, shares[i], &beyond);
        (void)fprintf(out, "%s%s %s%s", i ? "  " : "", names[i], beyond ? "> " : "",
                      bench_time_text(text, sizeof text, (double)ns / 1000));
    }
    (void)fprintf(out, "\nErrors: %llu\n", (unsigned long long)bench_errors(result));
    (void)fprintf(out, "Requests/sec: %.2f\n",
                  result->run_ns ? (double)bench_answers(result) / ((double)result->run_ns / 1e9) : 0);
}

// The value of --json, and files[] without it. Returns their number, or -1: said why.
static int bench_merge_words(int argc, char **argv, const char **json, char **files)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            *json = argv[++i];
        } else if (strncmp(argv[i], "--json=", 7) == 0) {
            *json = argv[i] + 7;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            bench_say("merge %s: %s", argv[i],
                      strcmp(argv[i], "--json") == 0 ? "a value is missing" : "unknown option; there is --json FILE");
            return -1;
        } else {
            files[count++] = argv[i];
        }
    }
    if (count >= 2) return count;
    bench_say("merge takes at least two files that --json wrote: bench merge A.json B.json ... [--json FILE]");
    return -1;
}

// All files into one result. NULL: said why.
static bench_result *bench_merge_files(char **files, int count)
{
    bench_result *sum = bench_load(files[0]);
    for (int i = 1; sum && i < count; i++) {
        bench_result *next = bench_load(files[i]);
        const char *wrong = next ? bench_merge(sum, next) : NULL;
        if (wrong) bench_say("%s cannot be added to %s: %s", files[i], files[0], wrong);
        if (wrong || !next) {
            free(sum);
            sum = NULL;
        }
        free(next);
    }
    return sum;
}

// `bench merge A.json B.json ... [--json FILE]`; argv[0] is the word. Returns the exit status: 2 when the sum does not add up.
// --json -: the JSON alone is printed.
BENCH_ENTRY int bench_main_merge(int argc, char **argv)
{
    const char *json = NULL;
    char **files = (char **)malloc(sizeof *files * (size_t)(argc > 0 ? argc : 1));
    int count = files ? bench_merge_words(argc, argv, &json, files) : -1, status = BENCH_USAGE;
    bench_result *sum = count > 0 ? bench_merge_files(files, count) : NULL;
    if (sum) {
        bool fine = !json || bench_json_save(json, sum);
        if (!json || strcmp(json, "-") != 0) bench_print_merged(stdout, sum);
        if (fflush(stdout) != 0) fine = false;
        status = fine ? BENCH_OK : BENCH_USAGE;
        if (fine && sum->due != sum->done + bench_errors(sum) + sum->in_flight + sum->unsent) {
            bench_say("result not trustworthy: the outcomes do not add up");
            status = BENCH_UNTRUSTED;
        }
    }
    free(sum);
    free(files);
    return status;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-connect   The target's address: every one that the name has is tried, the first that answers is used.
// ---------------------------------------------------------------------------------------------------------

// The one attempt of the main thread; state is what bench_probe_ready found.
typedef struct bench_probe {
    fsi_chan chan; // first
    bool over;
    int error;
} bench_probe;

static void bench_probe_ready(fsi_chan *chan, uint32_t ready)
{
    bench_probe *probe = (bench_probe *)(void *)chan;
    if (!(ready & FSI_READY_WRITE)) return;
    probe->error = fsi_io_connected(chan);
    probe->over = true;
}

// 0, or the system's error.
static int bench_try(fsi_io *io, const fsi_sockaddr *address, uint64_t timeout_ns, const uint32_t *stop)
{
    bench_probe probe;
    memset(&probe, 0, sizeof probe);
    fsi_chan_init(&probe.chan, FSI_CHAN_CLIENT);
    uint64_t now = fsi_clock_ns(), due = now + timeout_ns;
    if (fsi_io_connect(io, &probe.chan, address, &probe.error) == FSI_FAILED) return probe.error;
    for (; !probe.over && now < due && !fsi_load32(stop); now = fsi_clock_ns()) {
        (void)fsi_io_wait(io, (due - now) / 1000 + 1);
        fsi_io_dispatch(io);
    }
    fsi_io_close(&probe.chan, false);
    return probe.over ? probe.error : ETIMEDOUT;
}

static const char *bench_advice(int error)
{
    switch (error) {
    case ECONNREFUSED: return "is the server running, and on that port?";
    case ETIMEDOUT: return "nothing answers there; a firewall, or the wrong address?";
    case ENETUNREACH:
    case EHOSTUNREACH: return "there is no way to that address from here";
    case EADDRNOTAVAIL: return "no local port is free";
    case EMFILE:
    case ENFILE: return "too many open files; raise the limit (ulimit -n) or lower -c";
    default: return "check the address";
    }
}

// Resolves and tries. False: said why. Several addresses: says which one it is.
static bool bench_reach(const bench_url *url, const bench_options *options, bench_plan *plan)
{
    struct addrinfo want, *list = NULL;
    char tried[600] = "", text[64];
    uint32_t count = 0;
    int error = 0;
    memset(&want, 0, sizeof want);
    want.ai_socktype = SOCK_STREAM;
    int failed = getaddrinfo(url->host, url->port, &want, &list);
    if (failed) {
        bench_say("cannot resolve the host '%s': %s; check the spelling and the network", url->host,
                  gai_strerror(failed));
        return false;
    }
    bool found = false;
    for (const struct addrinfo *at = list; at; at = at->ai_next, count++) {
        if (found || at->ai_addrlen > sizeof plan->address.storage) continue;
        memset(&plan->address, 0, sizeof plan->address);
        memcpy(&plan->address.storage, at->ai_addr, at->ai_addrlen);
        plan->address.len = at->ai_addrlen;
        (void)fsi_sockaddr_text(&plan->address, text, sizeof text);
        error = bench_try(plan->main_io, &plan->address, plan->timeout_ns, &plan->stop);
        found = error == 0;
        size_t len = strlen(tried);
        if (!found) (void)snprintf(tried + len, sizeof tried - len, "%s%s: %s", len ? ", " : "", text, strerror(error));
    }
    freeaddrinfo(list);
    if (!found)
        bench_say("cannot connect to %s; %s", tried, bench_advice(error));
    else if (count > 1 && !options->quiet)
        bench_say("%s has %u addresses, using %s", url->host, count, text);
    return found;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-run   Puts it together.
// ---------------------------------------------------------------------------------------------------------

typedef struct bench_job {
    bench_options options;
    bench_url url;
    bench_plan plan;
    fsi_io io; // the main thread's
    char own_url[64];
    const char *shown_url;
    fsv_server *server; // NULL: a target of somebody else's
    bench_text body;    // of -f
    bench_thread **threads;
    uint32_t thread_count, conn_count;
    uint64_t server_cpu_ns, client_cpu_ns;
    uint64_t in_flight, lost, started, ended;
    fsi_hist latency, rate;
    bench_report report;
} bench_job;

static bench_job *bench_signalled; // what SIGINT stops; set while a run is under way

static void bench_on_signal(int number)
{
    int error = errno;
    (void)number;
    if (bench_signalled) {
        fsi_store32(&bench_signalled->plan.stop, 1);
        fsi_io_wake(&bench_signalled->io);
    }
    errno = error;
}

// Ctrl-C ends the run early and prints what there is; a second one ends the program.
static void bench_signals(bench_job *job)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = job ? bench_on_signal : SIG_DFL;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    bench_signalled = job;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static bool bench_read_file(bench_text *text, const char *path)
{
    char data[65536];
    FILE *file = fopen(path, "rb");
    if (!file) {
        bench_say("-f %s: %s", path, strerror(errno));
        return false;
    }
    for (size_t got; (got = fread(data, 1, sizeof data, file)) > 0 && !text->failed;) bench_text_add(text, data, got);
    bool fine = !ferror(file) && !text->failed;
    if (!fine) bench_say("-f %s: %s", path, text->failed ? "out of memory" : strerror(errno));
    (void)fclose(file);
    return fine;
}

static bool bench_body_method(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

// The bytes of one request.
static void bench_build(const bench_job *job, bench_text *out)
{
    const bench_options *options = &job->options;
    bool has_body = options->body || options->body_file;
    const char *method = options->method ? options->method : has_body ? "POST" : "GET";
    const char *body = options->body_file ? job->body.ptr : options->body;
    size_t body_len = options->body_file ? job->body.len : body ? strlen(body) : 0;
    char length[64];
    bench_text_str(out, method);
    bench_text_str(out, " ");
    if (job->url.target.len == 0 || job->url.target.ptr[0] != '/') bench_text_str(out, "/");
    bench_text_add(out, job->url.target.ptr, job->url.target.len);
    bench_text_str(out, " HTTP/1.1\r\n");
    if (!options->has_host) {
        bench_text_str(out, "Host: ");
        bench_text_add(out, job->url.authority.ptr, job->url.authority.len);
        bench_text_str(out, "\r\n");
    }
    if (options->fields.len) bench_text_add(out, options->fields.ptr, options->fields.len);
    if (options->close) bench_text_str(out, "Connection: close\r\n");
    if (has_body || bench_body_method(method)) {
        (void)snprintf(length, sizeof length, "Content-Length: %llu\r\n", (unsigned long long)body_len);
        bench_text_str(out, length);
    }
    bench_text_str(out, "\r\n");
    if (body_len) bench_text_add(out, body, body_len);
}

// The request as often as one send may want it: up to --pipeline times, or 64 KiB.
static bool bench_batch(bench_job *job)
{
    bench_text one, all;
    memset(&one, 0, sizeof one);
    memset(&all, 0, sizeof all);
    bench_build(job, &one);
    for (uint64_t i = 0; i < job->options.pipeline && !one.failed && (i == 0 || all.len + one.len <= 65536); i++)
        bench_text_add(&all, one.ptr, one.len);
    bool fine = !one.failed && !all.failed;
    job->plan.request_len = one.len;
    job->plan.batch = all.ptr; // bench_job_free
    job->plan.batch_len = all.len;
    job->plan.no_body = job->options.method && strcmp(job->options.method, "HEAD") == 0;
    bench_text_free(&one);
    return fine;
}

// Raises the soft descriptor limit as far as the run needs it. False: said why that is not possible.
static bool bench_descriptors(const bench_job *job)
{
    struct rlimit limit;
    uint64_t sides = job->options.url_count ? 1 : 2,
             need = job->conn_count * sides + 2 * (uint64_t)job->thread_count + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need) return true;
    if (limit.rlim_max >= need) {
        limit.rlim_cur = need;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return true;
    }
    bench_say("-c %u needs %llu descriptors%s, the limit is %llu; raise it (ulimit -n) or lower -c", job->conn_count,
              (unsigned long long)need, sides == 2 ? " (client and server)" : "", (unsigned long long)limit.rlim_max);
    return false;
}

static bool bench_serve(bench_job *job)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = FSV_LOOPS_PER_CPU;
    desc.pin = FSI_LOCALITY;
    if (job->conn_count > 60000) desc.conns_max = job->conn_count + 1024;
    fsv_result result = demo_create(&job->server, &desc);
    if (result == FSV_OK) result = fsv_server_listen(job->server, "127.0.0.1:0");
    if (result == FSV_OK) result = fsv_server_start(job->server);
    if (result != FSV_OK) {
        bench_say("cannot start the built-in server: %s", fsv_result_text(result));
        return false;
    }
    (void)snprintf(job->own_url, sizeof job->own_url, "http://127.0.0.1:%u/", fsv_server_port(job->server, 0));
    return true;
}

static void bench_job_free(bench_job *job)
{
    if (job->server) {
        fsv_server_stop(job->server, 0);
        (void)fsv_server_wait(job->server);
        (void)fsv_server_free(job->server);
    }
    for (uint32_t i = 0; i < job->thread_count && job->threads; i++) bench_thread_free(job->threads[i]);
    free(job->threads);
    free(job->plan.batch);
    if (job->io.fd >= 0) fsi_io_free(&job->io);
    bench_options_free(&job->options);
    bench_text_free(&job->body);
    free(job);
}

// How many threads and connections; more connections than requests would only look on.
static bool bench_size(bench_job *job)
{
    const bench_options *options = &job->options;
    uint64_t conns = options->connections, threads = options->threads ? options->threads : fsi_cpu_usable();
    if (options->requests && conns > options->requests) conns = options->requests;
    if (threads > conns) threads = conns;
    job->conn_count = (uint32_t)conns;
    job->thread_count = (uint32_t)threads;
    return bench_descriptors(job);
}

// Shares `all` out: the first all % parts get one more.
static uint64_t bench_share(uint64_t all, uint32_t parts, uint32_t index)
{
    return all / parts + (index < all % parts);
}

static bool bench_threads_make(bench_job *job)
{
    fsi_cpu cpus[CPU_SETSIZE];
    uint32_t cpu_count = fsi_cpus(cpus);
    // A thread for every CPU stays on its own, beside the loop that serves it there; left alone, threads crowd on one CPU and every
    // connection with them. Fewer threads are better placed by the system, which sees what else runs.
    bool every_cpu = cpu_count && job->thread_count >= cpu_count;
    job->threads = (bench_thread **)calloc(job->thread_count, sizeof(bench_thread *));
    for (uint32_t i = 0; job->threads && i < job->thread_count; i++) {
        uint64_t quota = job->options.requests ? bench_share(job->options.requests, job->thread_count, i) : UINT64_MAX;
        job->threads[i] =
            bench_thread_new(&job->plan, (uint32_t)bench_share(job->conn_count, job->thread_count, i), quota);
        if (!job->threads[i]) break;
        if (every_cpu) job->threads[i]->cpu = cpus[i % cpu_count].number;
        if (i + 1 == job->thread_count) return true;
    }
    bench_say("out of memory or descriptors for %u threads and %u connections", job->thread_count, job->conn_count);
    return false;
}

// What the threads have published so far.
typedef struct bench_glance {
    uint64_t done, errors, up, ever_up, p99_ns;
} bench_glance;

static bench_glance bench_look(const bench_job *job)
{
    bench_glance sum;
    memset(&sum, 0, sizeof sum);
    for (uint32_t i = 0; i < job->thread_count; i++) {
        const bench_thread *thread = job->threads[i];
        uint64_t p99 = fsi_peek64(&thread->p99_ns);
        sum.done += fsi_peek64(&thread->done);
        sum.errors += fsi_peek64(&thread->errors);
        sum.up += fsi_peek64(&thread->up);
        sum.ever_up += fsi_peek64(&thread->ever_up);
        if (p99 > sum.p99_ns) sum.p99_ns = p99; // the worst thread's
    }
    return sum;
}

static void bench_progress(const bench_job *job, const bench_glance *now, const bench_glance *before, uint64_t span_ns)
{
    char p99[48];
    double seconds = (double)(fsi_clock_ns() - job->plan.start_ns) / 1e9;
    (void)fprintf(stderr, "\r  %.1fs  %.0f req/s  p99 %s  errors %llu\033[K", seconds,
                  (double)(now->done - before->done) * 1e9 / (double)span_ns,
                  now->p99_ns ? bench_time_text(p99, sizeof p99, (double)now->p99_ns / 1000) : "-",
                  (unsigned long long)now->errors);
    (void)fflush(stderr);
}

// Until the threads have ended. A target that nobody can reach ends the run: at once if it never was there, and after the timeout
// if no duration would end it.
static void bench_watch(bench_job *job)
{
    bench_glance before = bench_look(job);
    uint64_t shown_ns = job->plan.start_ns, alive_ns = shown_ns, alive_done = 0, patience = job->plan.timeout_ns;
    bool forwarded = false;
    if (patience < 1000000000u) patience = 1000000000u;
    while (fsi_load32(&job->plan.ended) < job->thread_count) {
        (void)fsi_io_wait(&job->io, BENCH_TICK_NS / 1000);
        fsi_io_dispatch(&job->io);
        bench_glance now = bench_look(job);
        uint64_t now_ns = fsi_clock_ns();
        if (now.up || now.done != alive_done) alive_ns = now_ns;
        alive_done = now.done;
        if (now_ns - alive_ns > patience && (now.ever_up == 0 || !job->options.duration_ns))
            fsi_store32(&job->plan.stop, 1);
        if (fsi_load32(&job->plan.stop) && !forwarded) {
            for (uint32_t i = 0; i < job->thread_count; i++) fsi_io_wake(&job->threads[i]->io);
            forwarded = true;
        }
        if (!job->plan.progress || now_ns - shown_ns < 1000000000u) continue;
        bench_progress(job, &now, &before, now_ns - shown_ns);
        before = now;
        shown_ns = now_ns;
    }
    if (job->plan.progress) (void)fprintf(stderr, "\r\033[K");
}

// Runs the load. False: a thread could not be started, and nothing was measured.
static bool bench_measure(bench_job *job)
{
    uint32_t running = 0;
    uint64_t process_ns = bench_cpu_ns(CLOCK_PROCESS_CPUTIME_ID), own_ns = bench_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    job->plan.start_ns = fsi_clock_ns();
    job->plan.deadline_ns = job->options.duration_ns ? job->plan.start_ns + job->options.duration_ns : UINT64_MAX;
    while (running < job->thread_count &&
           fsi_thread_start(&job->threads[running]->thread, bench_thread_body, job->threads[running], "bench"))
        running++;
    if (running < job->thread_count) {
        fsi_store32(&job->plan.stop, 1);
        for (uint32_t i = 0; i < running; i++) fsi_io_wake(&job->threads[i]->io);
        bench_say("cannot start %u threads", job->thread_count);
    } else {
        bench_watch(job);
    }
    for (uint32_t i = 0; i < running; i++) {
        fsi_thread_join(&job->threads[i]->thread);
        job->client_cpu_ns += job->threads[i]->cpu_ns;
    }
    process_ns = bench_cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - process_ns;
    own_ns = bench_cpu_ns(CLOCK_THREAD_CPUTIME_ID) - own_ns;
    uint64_t clients = job->client_cpu_ns + own_ns;
    job->server_cpu_ns = process_ns > clients ? process_ns - clients : 0;
    return running == job->thread_count;
}

// Adds the threads up.
static void bench_sum(bench_job *job)
{
    bench_report *report = &job->report;
    fsi_hist_init(&job->latency);
    fsi_hist_init(&job->rate);
    report->threads = job->thread_count;
    report->connections = job->conn_count;
    report->percentiles = job->options.latency;
    report->latency = &job->latency;
    report->rate = &job->rate;
    for (uint32_t i = 0; i < job->thread_count; i++) {
        const bench_thread *thread = job->threads[i];
        fsi_hist_merge(&job->latency, &thread->latency);
        fsi_hist_merge(&job->rate, &thread->rate);
        report->requests += thread->done;
        report->bytes += thread->bytes;
        report->connect += thread->events[BENCH_REFUSED];
        report->read += thread->events[BENCH_CLOSED] + thread->events[BENCH_RESET] + thread->events[BENCH_BAD];
        report->write += thread->events[BENCH_WRITE];
        report->timeout += thread->events[BENCH_TIMEOUT];
        report->bad_status += thread->bad_status;
        if (thread->end_ns - job->plan.start_ns > report->run_ns) report->run_ns = thread->end_ns - job->plan.start_ns;
        job->in_flight += thread->in_flight_end;
        job->lost += thread->lost;
        job->started += thread->started;
        job->ended += bench_ended(thread);
    }
}

// What went wrong, in words, behind the layout.
static void bench_print_details(FILE *out, const bench_job *job)
{
    uint64_t closed = 0, reset = 0, bad = 0;
    int connect_error = 0;
    int64_t refusal = 0;
    for (uint32_t i = 0; i < job->thread_count; i++) {
        const bench_thread *thread = job->threads[i];
        closed += thread->events[BENCH_CLOSED];
        reset += thread->events[BENCH_RESET];
        bad += thread->events[BENCH_BAD];
        if (!connect_error) connect_error = thread->connect_error;
        if (!refusal) refusal = thread->refusal;
    }
    if (job->report.connect || job->report.read) (void)fprintf(out, "\n");
    if (job->report.connect) (void)fprintf(out, "Connect errors, the first: %s\n", strerror(connect_error));
    if (job->report.read)
        (void)fprintf(out, "Read errors: closed unannounced %llu, reset %llu, bad responses %llu\n",
                      (unsigned long long)closed, (unsigned long long)reset, (unsigned long long)bad);
    if (bad)
        (void)fprintf(out, "Bad responses, the first: %s\n",
                      refusal == FSI_REFUSALS_END ? "bytes after the end of an answer" : fsi_refusal_text(refusal));
}

static void bench_print_cpu(FILE *out, const bench_job *job)
{
    double requests = job->report.requests ? (double)job->report.requests : 1;
    (void)fprintf(out, "\nClient CPU %6.2f us/request   server CPU %6.2f us/request\n",
                  (double)job->client_cpu_ns / 1000 / requests, (double)job->server_cpu_ns / 1000 / requests);
    (void)fprintf(
        out,
        "Both share this machine's %u CPU%s; on loopback the sender's CPU time includes the receiver's softirq work.\n",
        fsi_cpu_usable(), fsi_cpu_usable() == 1 ? "" : "s");
}

// Judges the result; says why it is not to be trusted.
static int bench_verdict(const bench_job *job)
{
    const bench_report *report = &job->report;
    bool bad = false;
    if (job->started != job->ended + job->in_flight || job->latency.count != report->requests) {
        bench_say("result not trustworthy: %llu requests started, but %llu ended, %llu in flight, %llu samples",
                  (unsigned long long)job->started, (unsigned long long)job->ended, (unsigned long long)job->in_flight,
                  (unsigned long long)job->latency.count);
        bad = true;
    }
    if (job->options.requests && !job->options.duration_ns && job->started < job->options.requests && job->lost == 0 &&
        fsi_load32(&job->plan.stop) == 0) {
        bench_say("result not trustworthy: only %llu of %llu requests were started", (unsigned long long)job->started,
                  (unsigned long long)job->options.requests);
        bad = true;
    }
    if (job->lost) {
        bench_say("result not trustworthy: %llu of %u connections were lost or never opened",
                  (unsigned long long)job->lost, job->conn_count);
        bad = true;
    }
    bool errors = report->connect || report->read || report->write || report->timeout || report->bad_status;
    if (!errors && report->requests == 0) {
        bench_say("result not trustworthy: not one answer came in this time");
        bad = true;
    }
    return bad ? BENCH_UNTRUSTED : errors ? BENCH_TARGET : BENCH_OK;
}

// Nobody ever answered: there is nothing to report.
static int bench_never_up(const bench_job *job)
{
    char text[64];
    int error = ETIMEDOUT;
    for (uint32_t i = job->thread_count; i-- > 0;)
        if (job->threads[i]->connect_error) error = job->threads[i]->connect_error;
    (void)fsi_sockaddr_text(&job->plan.address, text, sizeof text);
    bench_say("no connection to %s could be made: %s; %s", text, strerror(error), bench_advice(error));
    return BENCH_USAGE;
}

// Everything between the options and the run: the target, the request, the threads.
static bool bench_prepare(bench_job *job)
{
    const bench_options *options = &job->options;
    if (options->body_file && !bench_read_file(&job->body, options->body_file)) return false;
    if (!bench_size(job)) return false;
    if (!fsi_io_init(&job->io, NULL)) {
        job->io.fd = -1;
        bench_say("cannot make an event queue: %s", strerror(errno));
        return false;
    }
    job->io.on_client = bench_probe_ready;
    job->plan.main_io = &job->io;
    job->plan.close = options->close;
    job->plan.pipeline = (uint32_t)options->pipeline;
    job->plan.timeout_ns = options->timeout_ns;
    job->plan.progress = !options->quiet && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
    if (!options->url_count && !bench_serve(job)) return false;
    job->shown_url = options->url_count ? options->urls[0] : job->own_url;
    const char *wrong = bench_url_parse(&job->url, job->shown_url);
    if (wrong) {
        bench_say("%s: %s", job->shown_url, wrong);
        return false;
    }
    if (!bench_batch(job)) {
        bench_say("out of memory");
        return false;
    }
    return bench_reach(&job->url, options, &job->plan) && bench_threads_make(job);
}

static int bench_perform(bench_job *job)
{
    if (!bench_prepare(job)) return BENCH_USAGE;
    bench_print_head(stdout, job->options.duration_ns, job->options.requests, job->shown_url, job->thread_count,
                     job->conn_count);
    (void)fflush(stdout);
    if (!bench_measure(job)) return BENCH_USAGE;
    if (bench_look(job).ever_up == 0) return bench_never_up(job);
    bench_sum(job);
    bench_print_report(stdout, &job->report);
    bench_print_details(stdout, job);
    if (job->server) bench_print_cpu(stdout, job);
    if (job->in_flight)
        (void)printf("%sIn flight at the end: %llu requests\n",
                     job->server || job->report.connect || job->report.read ? "" : "\n",
                     (unsigned long long)job->in_flight);
    if (fflush(stdout) != 0) bench_say("cannot write the result: %s", strerror(errno));
    return bench_verdict(job);
}

// `fastserve bench ...`; argv[0] is the command. Returns the exit status.
static int bench_main(int argc, char **argv)
{
    char error[512];
    bench_job *job = (bench_job *)calloc(1, sizeof *job);
    int status = BENCH_USAGE;
    if (!job) {
        bench_say("out of memory");
        return status;
    }
    job->io.fd = -1;
    if (!bench_parse(argc, argv, &job->options, error, sizeof error)) {
        bench_say("%s", error);
    } else if (job->options.help || job->options.version) {
        if (job->options.help)
            (void)printf("%s%s", bench_help, job->options.help_all ? bench_help_more : "");
        else
            (void)printf("fastserve %s\n", fsv_version());
        status = BENCH_OK;
    } else {
        bench_signals(job);
        status = bench_perform(job);
        bench_signals(NULL);
    }
    bench_job_free(job);
    return status;
}
