// bench.c - the load generator behind `fastserve bench`. Not a translation unit: main.c includes it after the implementation
// of fastserve.h, whose client side it stands on, and after its own
//
//     static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc);
//
// which makes the server that a run without a URL measures. The only entry is bench_main().
//
//     >>bench-text >>bench-units >>bench-result >>bench-options >>bench-url >>bench-structs >>bench-request >>bench-conn >>bench-thread
//     >>bench-report >>bench-formats >>bench-html >>bench-connect >>bench-run
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
        other_ns;  // of this machine's CPUs, taken away in the run; other: by other processes
    fsi_hist life; // of connections that ended well: from opening one until its end
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
// >>bench-formats   The layouts of other tools, so that what reads them reads ours: wrk2's tables, the .hgrm file of
//                   HdrHistogram, ab, httperf; and a histogram for the terminal. Every one prints from a bench_result alone.
//                   Lines that parsers look for are byte for byte as those tools print them; the first line says who printed.
// ---------------------------------------------------------------------------------------------------------

static double bench_ms(double ns)
{
    return ns / 1e6;
}

static double bench_run_s(const bench_result *result)
{
    return result->run_ns ? (double)result->run_ns / 1e9 : 1e-9;
}

static uint64_t bench_longest(const fsi_hist *hist)
{
    return hist->count ? hist->max : 0;
}

// Quantiles where the last one is the longest time itself, not the middle of its cell.
static uint64_t bench_response_at(const bench_result *result, double share, bool *beyond)
{
    uint64_t ns = bench_quantile(result, share, beyond);
    return share >= 1 && !*beyond ? bench_longest(&result->response) : ns;
}

static uint64_t bench_service_at(const bench_result *result, double share)
{
    return share >= 1 ? bench_longest(&result->service) : fsi_hist_at(&result->service, share);
}

// What came from outside, for a terminal: control bytes and everything beyond ASCII stay out of it.
static void bench_plain(FILE *out, const char *text)
{
    for (; *text; text++) (void)fputc(*text < 32 || *text > 126 ? '?' : *text, out);
}

// Walks up the values of a distribution, with the same sums as bench_quantile: what was cut off counts as "at least so long".
typedef struct bench_curve {
    const fsi_hist *ended, *cut; // cut: NULL for none
    double total, at_risk;       // requests in all, and of those that took longer than the last value
    double alive;                // share that takes longer than value
    uint64_t value;
    uint32_t cell; // the next
} bench_curve;

static bench_curve bench_curve_of(const fsi_hist *ended, const fsi_hist *cut)
{
    bench_curve curve;
    memset(&curve, 0, sizeof curve);
    curve.ended = ended;
    curve.cut = cut && cut->count ? cut : NULL;
    curve.total = (double)ended->count + (curve.cut ? (double)cut->count : 0);
    curve.at_risk = curve.total;
    curve.alive = 1;
    return curve;
}

static bool bench_curve_next(bench_curve *curve)
{
    const fsi_hist *ended = curve->ended;
    while (curve->cell < FSI_HIST_CELLS) {
        uint32_t cell = curve->cell++;
        double before = curve->at_risk, gone = (double)ended->cells[cell];
        curve->at_risk -= gone + (curve->cut ? (double)curve->cut->cells[cell] : 0);
        if (gone <= 0) continue;
        curve->alive *= before - gone > 0.5 ? (before - gone) / before : 0;
        curve->value = fsi_hist_value(cell);
        if (curve->value < ended->min) curve->value = ended->min;
        if (curve->value > ended->max) curve->value = ended->max;
        return true;
    }
    return false;
}

// The longest time that is known of: where some never ended, what the last of them had taken so far.
static uint64_t bench_curve_end(const fsi_hist *ended, const fsi_hist *cut)
{
    uint64_t last = bench_longest(ended), cut_last = cut ? bench_longest(cut) : 0;
    return cut_last > last ? cut_last : last;
}

// Mean and standard deviation. Where some never ended, of the product-limit estimate up to its end: "at least".
static void bench_curve_moments(const fsi_hist *ended, const fsi_hist *cut, double *mean, double *deviation)
{
    bench_curve curve = bench_curve_of(ended, cut);
    double before = 1, sum = 0, sum2 = 0;
    if (!curve.cut) {
        bench_moments(ended, mean, deviation);
        return;
    }
    for (; bench_curve_next(&curve); before = curve.alive) {
        double value = (double)curve.value, share = before - curve.alive;
        sum += value * share;
        sum2 += value * value * share;
    }
    double end = (double)bench_curve_end(ended, cut);
    *mean = sum + end * before;
    *deviation = bench_sqrt(sum2 + end * end * before - *mean * *mean);
}

// One row of a percentile spectrum. The file has six decimals, our clock's nanoseconds.
static void bench_spectrum_row(FILE *out, bool file, uint64_t ns, double percent, double count)
{
    double ms = bench_ms((double)ns), share = percent / 100;
    if (file && percent < 100)
        (void)fprintf(out, "%12.6f %2.12f %10.0f %14.2f\n", ms, share, count, 1 / (1 - share));
    else if (file)
        (void)fprintf(out, "%12.6f %2.12f %10.0f\n", ms, share, count);
    else if (percent < 100)
        (void)fprintf(out, "%12.3f %12.6f %12.0f %12.2f\n", ms, share, count, 1 / (1 - share));
    else
        (void)fprintf(out, "%12.3f %12.6f %12.0f %12s\n", ms, share, count, "inf");
}

// HdrHistogram's levels: five to each halving of the distance to 100 %. Exact, because a percent is divided by powers of two;
// beyond what a double can tell there is only 100.
static double bench_spectrum_next(double percent, double *half)
{
    while (percent >= 100 - 100 / *half) *half *= 2;
    return *half > 1e12 ? 100 : percent + 100 / (5 * *half);
}

// TotalCount is the estimated share of all requests, which without any cut off is the count itself. Levels that were never
// reached get one row with the longest time known, as the last value has one.
static void bench_spectrum_rows(FILE *out, bool file, const fsi_hist *ended, const fsi_hist *cut)
{
    bench_curve curve = bench_curve_of(ended, cut);
    double percent = 0, half = 2;
    uint64_t end = bench_longest(ended);
    while (curve.alive > 0 && bench_curve_next(&curve)) {
        while (percent < 100 && curve.alive <= (1 - percent / 100) * (1 + 1e-12)) {
            bench_spectrum_row(out, file, curve.value, percent, (1 - curve.alive) * curve.total);
            if (curve.alive <= 0) break;
            percent = bench_spectrum_next(percent, &half);
        }
    }
    if (curve.alive > 0 && curve.total > 0) {
        end = bench_curve_end(ended, cut);
        if (percent < 100) bench_spectrum_row(out, file, end, percent, curve.total);
    }
    bench_spectrum_row(out, file, end, 100, curve.total);
}

// Buckets and SubBuckets describe our own histogram in HdrHistogram's terms: 256 exact values, then 128 to each doubling.
static void bench_spectrum(FILE *out, bool file, const fsi_hist *ended, const fsi_hist *cut)
{
    int decimals = file ? 6 : 3;
    double mean, deviation;
    bench_curve all = bench_curve_of(ended, cut);
    bench_curve_moments(ended, cut, &mean, &deviation);
    (void)fprintf(out, file ? "%12s %14s %10s %14s\n\n" : "%12s %12s %12s %12s\n\n", "Value", "Percentile",
                  "TotalCount", "1/(1-Percentile)");
    bench_spectrum_rows(out, file, ended, cut);
    (void)fprintf(out, "#[Mean    = %12.*f, StdDeviation   = %12.*f]\n", decimals, bench_ms(mean), decimals,
                  bench_ms(deviation));
    (void)fprintf(out, "#[Max     = %12.*f, Total count    = %12.0f]\n", decimals,
                  bench_ms((double)bench_curve_end(ended, all.cut)), all.total);
    (void)fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", (FSI_HIST_CELLS >> FSI_HIST_BITS) - 1,
                  2 << FSI_HIST_BITS);
}

static void bench_wrk2_table(FILE *out, const bench_result *result, bool service)
{
    static const double shares[] = {0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1};
    char text[48];
    (void)fprintf(out, "  Latency Distribution (HdrHistogram - %s)\n",
                  service ? "Uncorrected Latency (measured without taking delayed starts into account)"
                          : "Recorded Latency");
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        bool beyond; // this layout prints the plain time; the audit says "> t"
        uint64_t ns = service ? bench_service_at(result, shares[i]) : bench_response_at(result, shares[i], &beyond);
        (void)fprintf(out, "%7.3f%%", shares[i] * 100);
        bench_cell(out, bench_time_text(text, sizeof text, (double)ns / 1000), 10);
        (void)fprintf(out, "\n");
    }
    (void)fprintf(out, "\n  Detailed Percentile spectrum:\n");
    bench_spectrum(out, false, service ? &result->service : &result->response, service ? NULL : &result->censored);
    (void)fprintf(out, "----------------------------------------------------------\n");
}

// What wrk2 prints in place of wrk's Latency Distribution: response times and, when asked for, service times.
FSI_PRIVATE void bench_print_wrk2(FILE *out, const bench_result *result, bool service)
{
    bench_wrk2_table(out, result, false);
    if (!service) return;
    (void)fprintf(out, "\n");
    bench_wrk2_table(out, result, true);
}

// The response times as HistogramLogProcessor writes them, in milliseconds: what the plotter of hdrhistogram.org reads.
FSI_PRIVATE void bench_write_hgrm(FILE *out, const bench_result *result)
{
    bench_spectrum(out, true, &result->response, &result->censored);
}

#define BENCH_BARS_MAX 112

// A distribution in ranges of equal length on a log scale, between readable numbers.
typedef struct bench_bars {
    uint32_t count;
    double edges[BENCH_BARS_MAX + 2]; // ns
    uint64_t counts[BENCH_BARS_MAX], most;
} bench_bars;

// 48, 24, 12, 6, 3 or 1 numbers to a decade, all in the same ratio as nearly as two or three digits allow: number `index`, counted
// from 1 ns.
static double bench_edge(uint32_t per_decade, uint32_t index)
{
    static const double steps[12] = {1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2};
    uint32_t step = index % per_decade;
    double edge = 1;
    if (per_decade <= 12) edge = steps[step * (12 / per_decade)];
    for (uint32_t i = step * (48 / per_decade); per_decade > 12 && i; i--) edge *= 1.049139729; // the 48th root of 10
    if (per_decade > 12) edge = (double)(uint32_t)(edge * 100 + 0.5) / 100;
    for (uint32_t i = index / per_decade; i; i--) edge *= 10;
    return edge;
}

// Edges around [low, high], as fine as `max` ranges allow. Returns how many ranges.
static uint32_t bench_edges(double *edges, double low, double high, uint32_t max)
{
    static const uint32_t series[] = {48, 24, 12, 6, 3, 1};
    for (size_t i = 0;; i++) {
        uint32_t first = 0, count = 0;
        while (bench_edge(series[i], first + 1) <= low) first++;
        while (count <= max && bench_edge(series[i], first + count) <= high) count++;
        bool fits = count && count <= max;
        if (!fits && series[i] > 1) continue;
        if (!fits) count = max; // what is beyond falls into the last
        for (uint32_t at = 0; at <= count; at++) edges[at] = bench_edge(series[i], first + at);
        return count;
    }
}

static void bench_bars_of(bench_bars *bars, const fsi_hist *hist, uint32_t max)
{
    uint32_t at = 0;
    memset(bars, 0, sizeof *bars);
    if (!hist->count) return;
    bars->count = bench_edges(bars->edges, hist->min ? (double)hist->min : 1, hist->max ? (double)hist->max : 1, max);
    for (uint32_t cell = 0, top = fsi_hist_cell(hist->max); cell < FSI_HIST_CELLS; cell++) {
        if (!hist->cells[cell]) continue;
        uint64_t value = cell == top ? hist->max : fsi_hist_value(cell);
        if (value < hist->min) value = hist->min;
        while (at + 1 < bars->count && (double)value >= bars->edges[at + 1]) at++;
        bars->counts[at] += hist->cells[cell];
        if (bars->counts[at] > bars->most) bars->most = bars->counts[at];
    }
}

// "1.5ms", "100us": a round time. micro is how microseconds are written, gap what stands before the unit.
static const char *bench_round_time(char *out, size_t size, double ns, const char *gap, const char *micro)
{
    const char *unit = ns < 1e3 ? "ns" : ns < 1e6 ? micro : ns < 1e9 ? "ms" : "s";
    double scale = ns < 1e3 ? 1 : ns < 1e6 ? 1e3 : ns < 1e9 ? 1e6 : 1e9;
    (void)snprintf(out, size, "%.6g%s%s", ns / scale, gap, unit);
    return out;
}

#define BENCH_BAR_WIDTH 32

static void bench_histogram_row(FILE *out, const char *label, uint64_t count, uint64_t most, double all)
{
    char bar[BENCH_BAR_WIDTH + 1], number[48];
    uint32_t length = most ? (uint32_t)((double)count / (double)most * BENCH_BAR_WIDTH + 0.5) : 0;
    memset(bar, '#', sizeof bar);
    bar[length] = 0;
    if (count && !length) memcpy(bar, ".", 2);
    if (count < 1000000000000u)
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)count);
    else
        (void)bench_count_text(number, sizeof number, (double)count);
    (void)fprintf(out, "  %-17s  %-*s %12s %6.2f%%\n", label, BENCH_BAR_WIDTH, bar, number, 100 * (double)count / all);
}

// For a terminal of 80 columns: at most 18 ranges, and what never ended as a last row.
FSI_PRIVATE void bench_print_histogram(FILE *out, const bench_result *result)
{
    static const char micro[] = "us";
    bench_bars bars;
    char low[32], high[32], label[80];
    uint64_t cut = result->censored.count;
    double all = (double)result->response.count + (double)cut;
    bench_bars_of(&bars, &result->response, 18);
    if (all == 0) {
        (void)fprintf(out, "  Response times: none, no request ended\n");
        return;
    }
    (void)fprintf(out, "  %-52s %12s %7s\n", "Response time", "requests", "share");
    if (cut > bars.most) bars.most = cut;
    for (uint32_t i = 0; i < bars.count; i++) {
        (void)bench_round_time(low, sizeof low, bars.edges[i], "", micro);
        (void)bench_round_time(high, sizeof high, bars.edges[i + 1], "", micro);
        (void)snprintf(label, sizeof label, "%7s - %s", low, high);
        bench_histogram_row(out, label, bars.counts[i], bars.most, all);
    }
    if (cut) bench_histogram_row(out, "     not ended", cut, bars.most, all);
}

// Where a URL points, for layouts that print its parts. Not the parser that a run goes by.
typedef struct bench_place {
    char host[512], port[8];
    const char *path; // into the URL, "" or from "/" or "?" on
} bench_place;

static void bench_place_of(bench_place *place, const char *url)
{
    const char *at = strstr(url, "://"), *colon = NULL;
    bool socket_path = strncmp(url, "unix:", 5) == 0;
    at = at ? at + 3 : url;
    size_t len = socket_path ? strlen(at) : strcspn(at, "/?#"), host_len = len;
    for (size_t i = 0; i < len && !socket_path; i++)
        if (at[i] == ':')
            colon = at + i;
        else if (at[i] == ']')
            colon = NULL; // it was a part of the address
    if (colon) host_len = (size_t)(colon - at);
    place->path = at + len;
    (void)snprintf(place->port, sizeof place->port, "%.*s", colon ? (int)(len - host_len - 1) : 2,
                   colon ? colon + 1 : "80");
    if (socket_path) memcpy(place->port, "0", 2);
    if (*at == '[' && at[host_len - 1] == ']') at++, host_len -= 2;
    (void)snprintf(place->host, sizeof place->host, "%.*s", (int)host_len, at);
}

static uint64_t bench_class(const bench_result *result, uint32_t hundred)
{
    uint64_t sum = 0;
    for (uint32_t status = hundred * 100; status < hundred * 100 + 100 && status < 600; status++)
        sum += result->statuses[status];
    return sum;
}

// A whole number of milliseconds, as ab rounds.
static unsigned long long bench_whole_ms(double ns)
{
    return (unsigned long long)(ns / 1e6 + 0.5);
}

// A row of Connection Times. ab has a time for each request, 0 where nothing had to be connected: `all` requests, those without a
// sample took no time.
static void bench_ab_row(FILE *out, const char *name, const fsi_hist *hist, uint64_t all)
{
    double n = (double)(all > hist->count ? all : hist->count), zeros = n - (double)hist->count;
    double mean = n > 0 ? hist->sum / n : 0;
    double deviation = n > 1 ? bench_sqrt((hist->sum2 - hist->sum * mean) / (n - 1)) : 0;
    double rank = n / 2 - zeros; // of the median, among the samples
    uint64_t median = rank > 0 ? fsi_hist_at(hist, rank / (double)hist->count) : 0;
    (void)fprintf(out, "%-11s %5llu %4llu %5.1f %6llu %7llu\n", name,
                  bench_whole_ms(zeros > 0 || !hist->count ? 0 : (double)hist->min), bench_whole_ms(mean),
                  bench_ms(deviation), bench_whole_ms((double)median), bench_whole_ms((double)bench_longest(hist)));
}

// Failed requests in ab's four words. Connect: no connection could be made. Receive: reading or writing failed, the peer closed or
// reset, or no answer within --timeout. Length: another body length than the first answer's (they are complete all the same, as
// with ab). Exceptions: no HTTP answer, a wrong body, or a status that --expect-status did not allow although it was a 2xx; the
// others are Non-2xx responses and not failed, as with ab.
static void bench_ab_failed(FILE *out, const bench_result *result, uint64_t non_2xx)
{
    const uint64_t *failed = result->failed;
    uint64_t connect = 0,
             receive = failed[BENCH_CLOSED] + failed[BENCH_RESET] + failed[BENCH_WRITE] + failed[BENCH_TIMEOUT];
    uint64_t exceptions = failed[BENCH_BAD] + failed[BENCH_BODY];
    for (int kind = BENCH_REFUSED; kind <= BENCH_UNREACHABLE; kind++) connect += failed[kind];
    if (failed[BENCH_STATUS] > non_2xx) exceptions += failed[BENCH_STATUS] - non_2xx;
    uint64_t sum = connect + receive + result->other_length + exceptions;
    (void)fprintf(out, "Failed requests:        %llu\n", (unsigned long long)sum);
    if (sum)
        (void)fprintf(out, "   (Connect: %llu, Receive: %llu, Length: %llu, Exceptions: %llu)\n",
                      (unsigned long long)connect, (unsigned long long)receive,
                      (unsigned long long)result->other_length, (unsigned long long)exceptions);
    if (non_2xx) (void)fprintf(out, "Non-2xx responses:      %llu\n", (unsigned long long)non_2xx);
}

static void bench_ab_head(FILE *out, const bench_result *result)
{
    bench_place place;
    bench_place_of(&place, result->setup.url);
    (void)fprintf(out, "This is fastserve bench, in the layout of ApacheBench, Version 2.3\n\nBenchmarking ");
    bench_plain(out, place.host);
    (void)fprintf(out, " (be patient).....done\n\n\nServer Software:        ");
    bench_plain(out, result->server);
    (void)fprintf(out, "\nServer Hostname:        ");
    bench_plain(out, place.host);
    (void)fprintf(out, "\nServer Port:            ");
    bench_plain(out, place.port);
    (void)fprintf(out, "\n\nDocument Path:          %s", *place.path == '/' ? "" : "/");
    bench_plain(out, place.path);
    (void)fprintf(out, "\nDocument Length:        %llu bytes\n\n", (unsigned long long)result->first_length);
}

// Complete are the answers that came whole, as in the wrk layout.
static void bench_ab_totals(FILE *out, const bench_result *result)
{
    double seconds = bench_run_s(result), complete = (double)bench_answers(result);
    uint64_t non_2xx = bench_answers(result) - bench_class(result, 2);
    if (bench_class(result, 2) > bench_answers(result)) non_2xx = 0;
    (void)fprintf(out, "Concurrency Level:      %u\n", result->setup.connections);
    (void)fprintf(out, "Time taken for tests:   %.3f seconds\n", seconds);
    (void)fprintf(out, "Complete requests:      %.0f\n", complete);
    bench_ab_failed(out, result, non_2xx);
    if (!result->setup.close) (void)fprintf(out, "Keep-Alive requests:    %llu\n", (unsigned long long)result->kept);
    (void)fprintf(out, "Total transferred:      %llu bytes\n", (unsigned long long)result->bytes_in);
    (void)fprintf(out, "HTML transferred:       %llu bytes\n", (unsigned long long)result->bytes_body);
    if (complete == 0) return; // ab itself prints nothing more
    (void)fprintf(out, "Requests per second:    %.2f [#/sec] (mean)\n", complete / seconds);
    (void)fprintf(out, "Time per request:       %.3f [ms] (mean)\n",
                  (double)result->setup.connections * seconds * 1000 / complete);
    (void)fprintf(out, "Time per request:       %.3f [ms] (mean, across all concurrent requests)\n",
                  seconds * 1000 / complete);
    (void)fprintf(out, "Transfer rate:          %.2f [Kbytes/sec] received\n",
                  (double)result->bytes_in / 1024 / seconds);
}

// ApacheBench's layout. Connect is the time until a connection was up, 0 for a request on one that was; Processing is service time,
// Waiting the time to an answer's head, Total the response time (in open loop with the wait for a free connection). The percentages
// are bench_quantile's: they know of what never ended, which the rows above leave out.
FSI_PRIVATE void bench_print_ab(FILE *out, const bench_result *result)
{
    static const int percents[] = {50, 66, 75, 80, 90, 95, 98, 99, 100};
    bench_ab_head(out, result);
    bench_ab_totals(out, result);
    if (result->response.count) {
        (void)fprintf(out, "\nConnection Times (ms)\n              min  mean[+/-sd] median   max\n");
        bench_ab_row(out, "Connect:", &result->connect, result->done);
        bench_ab_row(out, "Processing:", &result->service, 0);
        bench_ab_row(out, "Waiting:", &result->wait, 0);
        bench_ab_row(out, "Total:", &result->response, 0);
    }
    if (result->response.count + result->censored.count < 2) return; // as ab: one is no distribution
    (void)fprintf(out, "\nPercentage of the requests served within a certain time (ms)\n");
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        bool beyond;
        uint64_t ns = bench_response_at(result, percents[i] / 100.0, &beyond);
        (void)fprintf(out, "%s%d%%  %5llu%s\n", percents[i] < 100 ? "  " : " ", percents[i], bench_whole_ms((double)ns),
                      percents[i] < 100 ? "" : " (longest request)");
    }
}

// Requests that were sent: due, not left unsent, and with a connection to go out on.
static uint64_t bench_sent(const bench_result *result)
{
    uint64_t not_sent = result->unsent;
    for (int kind = BENCH_REFUSED; kind <= BENCH_UNREACHABLE; kind++) not_sent += result->failed[kind];
    return result->due > not_sent ? result->due - not_sent : 0;
}

// httperf samples the reply rate every 5 s. Ours are sums of whole slots of the series: of 5 s, or as near above as slots allow
// when they have grown longer. What is left at the end is no sample, nor is an answer that did not end well a reply.
static void bench_httperf_rate(FILE *out, const bench_result *result)
{
    uint64_t slot = result->second_ns ? result->second_ns : 1000000000u, join = (5000000000u + slot - 1) / slot;
    uint64_t whole = result->run_ns / slot < result->second_count ? result->run_ns / slot : result->second_count;
    double low = 0, high = 0, sum = 0, sum2 = 0, samples = 0;
    for (uint64_t at = 0; at + join <= whole; at += join) {
        uint64_t done = 0;
        for (uint64_t i = at; i < at + join; i++) done += result->seconds[i].done;
        double rate = (double)done * 1e9 / (double)(join * slot);
        if (samples == 0 || rate < low) low = rate;
        if (rate > high) high = rate;
        sum += rate, sum2 += rate * rate, samples++;
    }
    double mean = samples > 0 ? sum / samples : 0;
    double deviation = samples > 1 ? bench_sqrt((sum2 - sum * mean) / (samples - 1)) : 0;
    (void)fprintf(out, "Reply rate [replies/s]: min %.1f avg %.1f max %.1f stddev %.1f (%.0f samples)\n", low, mean,
                  high, deviation, samples);
}

// Connection time is httperf's time from opening a connection to its end. Without samples of that, a connection of one request
// (--close, --calls 1) has that request's response time; else it is 0.0, httperf's way to say that there are none.
static void bench_httperf_connections(FILE *out, const bench_result *result)
{
    bool single = result->setup.close || result->setup.calls == 1;
    const fsi_hist *life = single && !result->life.count ? &result->response : &result->life;
    double seconds = bench_run_s(result), opened = (double)result->conns_opened, mean, deviation, connect, spread;
    double tried = opened;
    for (int kind = BENCH_REFUSED; kind <= BENCH_UNREACHABLE; kind++) tried += (double)result->events[kind];
    bench_moments(life, &mean, &deviation);
    bench_moments(&result->connect, &connect, &spread);
    (void)fprintf(out, "Total: connections %.0f requests %llu replies %llu test-duration %.3f s\n\n", tried,
                  (unsigned long long)bench_sent(result), (unsigned long long)bench_answers(result), seconds);
    (void)fprintf(out, "Connection rate: %.1f conn/s (%.1f ms/conn, <=%llu concurrent connections)\n", tried / seconds,
                  tried > 0 ? seconds * 1000 / tried : 0, (unsigned long long)result->conns_most);
    (void)fprintf(out, "Connection time [ms]: min %.1f avg %.1f max %.1f median %.1f stddev %.1f\n",
                  life->count ? bench_ms((double)life->min) : 0, bench_ms(mean), bench_ms((double)life->max),
                  bench_ms((double)fsi_hist_at(life, 0.5)), bench_ms(deviation));
    (void)fprintf(out, "Connection time [ms]: connect %.1f\n", bench_ms(connect));
    (void)fprintf(out, "Connection length [replies/conn]: %.3f\n\n",
                  opened > 0 ? (double)bench_answers(result) / opened : 0);
}

// Response is the time to an answer's head, transfer the rest of the service time. A header is what was received and is no body
// (chunk sizes and trailers too, so there is never a footer).
static void bench_httperf_replies(FILE *out, const bench_result *result)
{
    double replies = (double)bench_answers(result), wait, service, spread;
    double body = replies > 0 ? (double)result->bytes_body / replies : 0;
    double all = replies > 0 ? (double)result->bytes_in / replies : 0;
    bench_moments(&result->wait, &wait, &spread);
    bench_moments(&result->service, &service, &spread);
    bench_httperf_rate(out, result);
    (void)fprintf(out, "Reply time [ms]: response %.1f transfer %.1f\n", bench_ms(wait),
                  service > wait ? bench_ms(service - wait) : 0);
    (void)fprintf(out, "Reply size [B]: header %.1f content %.1f footer 0.0 (total %.1f)\n",
                  all > body ? all - body : 0, body, all);
    (void)fprintf(out, "Reply status:");
    for (uint32_t hundred = 1; hundred < 6; hundred++)
        (void)fprintf(out, " %uxx=%llu", hundred, (unsigned long long)bench_class(result, hundred));
    (void)fprintf(out, "\n\n");
}

// Errors as httperf counts them, by what happened to sockets. client-timo: --timeout, of a connection or an answer. connreset: also
// a peer that closed early, and a failed write. other: unreachable, no HTTP, a wrong body. A status is no error, as with httperf.
static void bench_httperf_errors(FILE *out, const bench_result *result)
{
    const uint64_t *events = result->events;
    unsigned long long timeouts = events[BENCH_TIMEOUT] + events[BENCH_CONNECT_TIMEOUT],
                       refused = events[BENCH_REFUSED];
    unsigned long long reset = events[BENCH_RESET] + events[BENCH_CLOSED] + events[BENCH_WRITE];
    unsigned long long descriptors = events[BENCH_NO_DESCRIPTORS], ports = events[BENCH_NO_PORTS];
    unsigned long long other = events[BENCH_UNREACHABLE] + events[BENCH_BAD] + result->failed[BENCH_BODY];
    (void)fprintf(out, "Errors: total %llu client-timo %llu socket-timo 0 connrefused %llu connreset %llu\n",
                  timeouts + refused + reset + descriptors + ports + other, timeouts, refused, reset);
    (void)fprintf(out, "Errors: fd-unavail %llu addrunavail %llu ftab-full 0 other %llu\n", descriptors, ports, other);
}

// httperf's layout.
FSI_PRIVATE void bench_print_httperf(FILE *out, const bench_result *result)
{
    double seconds = bench_run_s(result), requests = (double)bench_sent(result);
    double user = (double)result->client_user_ns / 1e9, sys = (double)result->client_sys_ns / 1e9;
    double bytes = (double)result->bytes_in + (double)result->bytes_out;
    (void)fprintf(out, "This is fastserve bench, in the layout of httperf: ");
    bench_plain(out, result->setup.url);
    (void)fprintf(out, "\n\n");
    bench_httperf_connections(out, result);
    (void)fprintf(out, "Request rate: %.1f req/s (%.1f ms/req)\n", requests / seconds,
                  requests > 0 ? seconds * 1000 / requests : 0);
    (void)fprintf(out, "Request size [B]: %.1f\n\n", requests > 0 ? (double)result->setup.request_bytes : 0);
    bench_httperf_replies(out, result);
    (void)fprintf(out, "CPU time [s]: user %.2f system %.2f (user %.1f%% system %.1f%% total %.1f%%)\n", user, sys,
                  100 * user / seconds, 100 * sys / seconds, 100 * (user + sys) / seconds);
    (void)fprintf(out, "Net I/O: %.1f KB/s (%.1f*10^6 bps)\n\n", bytes / seconds / 1024, bytes * 8 / seconds / 1e6);
    bench_httperf_errors(out, result);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-html   A run as one page that needs nothing else: figures, four charts as SVG, tables. Every chart is drawn twice, for a
//                screen and for a phone, so that its text keeps its size; the style sheet shows one. What came from outside
//                (URL, Server field, errors) is hostile and goes through bench_html_text only.
// ---------------------------------------------------------------------------------------------------------

// Text for an element or a quoted attribute. Bytes that are no printable ASCII are told as numbers, so no control character, no
// broken UTF-8 and no change of direction gets in.
static void bench_html_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            (void)fprintf(out, "&#%u;", c);
        else if (c < 32 || c > 126)
            (void)fprintf(out, "\\x%02x", c);
        else
            (void)fputc(c, out);
    }
}

// Logarithm to the base of ten, bit by bit; good for a billionth.
static double bench_log10(double x)
{
    double whole = 0, rest = 0;
    if (!(x > 1e-300)) return -300;
    if (x > 1e300) return 300;
    for (; x >= 2; x /= 2) whole++;
    for (; x < 1; x *= 2) whole--;
    for (double bit = 0.5; bit > 1e-10; bit /= 2) {
        x *= x;
        if (x >= 2) x /= 2, rest += bit;
    }
    return (whole + rest) * 0.301029995663981195;
}

// Three digits and a unit that fits: "812 µs", "1.24 ms", "13.0 s". As HTML.
static const char *bench_html_time(char *out, size_t size, double ns)
{
    static const struct {
        double limit, scale;
        const char *unit;
    } units[] = {{999.5, 1, "ns"},    {999.5e3, 1e3, "&micro;s"}, {999.5e6, 1e6, "ms"},
                 {119.5e9, 1e9, "s"}, {7170e9, 6e10, "min"},      {1e300, 3.6e12, "h"}};
    size_t at = 0;
    while (at < 5 && ns >= units[at].limit) at++;
    double value = ns / units[at].scale;
    int decimals = at == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    (void)snprintf(out, size, "%.*f&nbsp;%s", decimals, value, units[at].unit);
    return out;
}

// A whole number in groups of three; what is below 100 and no whole number has two decimals.
static const char *bench_html_number(char *out, size_t size, double value)
{
    char digits[400];
    size_t at = 0, len;
    double whole = (double)(uint64_t)value;
    if (value >= 1e18) {
        (void)snprintf(out, size, "%.3g", value);
        return out;
    }
    if (value < 100 && value > whole) {
        (void)snprintf(out, size, "%.2f", value);
        return out;
    }
    (void)snprintf(digits, sizeof digits, "%.0f", value);
    len = strlen(digits);
    for (size_t i = 0; i < len && at + 2 < size; i++) {
        if (i && (len - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

// "1.50 MB", with a space that does not break.
static const char *bench_html_bytes(char *out, size_t size, double bytes)
{
    char text[64];
    size_t digits = strspn(bench_bytes_text(text, sizeof text, bytes), "0123456789.");
    (void)snprintf(out, size, "%.*s&nbsp;%s", (int)digits, text, text + digits);
    return out;
}

static const char *bench_html_percent(char *out, size_t size, double part, double all)
{
    double percent = all > 0 ? 100 * part / all : 0;
    if (percent < 0.001)
        (void)snprintf(out, size, part > 0 ? "&lt;&nbsp;0.001&nbsp;%%" : "0&nbsp;%%");
    else if (percent > 99.99 && percent < 100)
        (void)snprintf(out, size, "&gt;&nbsp;99.99&nbsp;%%"); // what is not all does not look like it
    else
        (void)snprintf(out, size, "%.*f&nbsp;%%",
                       percent < 1                                       ? 3
                       : percent < 10 || (percent > 99 && percent < 100) ? 2
                                                                         : 1,
                       percent);
    return out;
}

// One drawing. Scales map [x0, x1] and [y0, y1] to the inside of the margins; logarithms are taken before.
typedef struct bench_plot {
    FILE *out;
    bool narrow, log;     // log: the values of the y axis are logarithms
    double width, height; // px
    double left, right;   // edges of the inside, px
    double top, bottom;
    double x0, x1, y0, y1;
} bench_plot;

static bench_plot bench_plot_begin(FILE *out, bool narrow, double height, const char *label)
{
    bench_plot plot;
    memset(&plot, 0, sizeof plot);
    plot.out = out;
    plot.narrow = narrow;
    plot.width = narrow ? 340 : 720;
    plot.height = height;
    plot.left = 62, plot.right = plot.width - 14;
    plot.top = 26, plot.bottom = height - 28;
    plot.x1 = plot.y1 = 1;
    (void)fprintf(out, "<svg class=\"%s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n",
                  narrow ? "n" : "w", plot.width, height, label);
    return plot;
}

static void bench_plot_end(const bench_plot *plot)
{
    (void)fprintf(plot->out, "</svg>\n");
}

static double bench_plot_x(const bench_plot *plot, double x)
{
    double px = plot->left + (x - plot->x0) / (plot->x1 - plot->x0) * (plot->right - plot->left);
    return px < plot->left ? plot->left : px > plot->right ? plot->right : px;
}

static double bench_plot_y(const bench_plot *plot, double y)
{
    double px = plot->bottom - (y - plot->y0) / (plot->y1 - plot->y0) * (plot->bottom - plot->top);
    return px < plot->top ? plot->top : px > plot->bottom ? plot->bottom : px;
}

// A time as this plot's y axis has it.
static double bench_plot_time(const bench_plot *plot, double ns)
{
    return plot->log ? bench_log10(ns > 1 ? ns : 1) : ns;
}

// anchor: "start", "middle", "end". text is HTML.
static void bench_plot_text(const bench_plot *plot, double x, double y, const char *anchor, const char *style,
                            const char *text)
{
    (void)fprintf(plot->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">%s</text>\n", x, y, anchor,
                  style, text);
}

static void bench_plot_line(const bench_plot *plot, const char *style, double x1, double y1, double x2, double y2)
{
    (void)fprintf(plot->out, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", style, x1, y1, x2, y2);
}

// About how wide a label is, in px: an entity counts as one letter.
static double bench_plot_width(const char *text)
{
    double letters = 0;
    for (; *text; text++, letters++)
        if (*text == '&') text += strcspn(text, ";");
    return letters * 7;
}

static void bench_plot_y_tick(const bench_plot *plot, double y, const char *text)
{
    double at = bench_plot_y(plot, y);
    bench_plot_line(plot, "grid", plot->left, at, plot->right, at);
    bench_plot_text(plot, plot->left - 6, at + 4, "end", "tick", text);
}

// A label below the axis, unless it would touch the one before, which ended at *used, or leave the drawing.
static void bench_plot_x_tick(const bench_plot *plot, double x, const char *text, double *used)
{
    double at = bench_plot_x(plot, x), half = bench_plot_width(text) / 2;
    double middle = at + half > plot->width ? plot->width - half : at;
    if (middle - half < *used) return;
    bench_plot_line(plot, "grid", at, plot->top, at, plot->bottom);
    bench_plot_text(plot, middle, plot->bottom + 17, "middle", "tick", text);
    *used = middle + half + 8;
}

// 1, 2 or 5 times a power of ten, so that at most `count` steps cover the range.
static double bench_step(double range, double count)
{
    double step = 1;
    if (!(range > 0)) return 1;
    while (step * count < range) step *= 10;
    while (step / 10 * count >= range) step /= 10;
    if (step / 5 * count >= range) return step / 5;
    return step / 2 * count >= range ? step / 2 : step;
}

// The number 1, 2 or 5 times a power of ten next to ns: not above it, or, if `up`, not below.
static double bench_125(double ns, bool up)
{
    double at = 1;
    if (ns < 1) return 1;
    while (at * 10 <= ns) at *= 10;
    if (!up) return ns >= at * 5 ? at * 5 : ns >= at * 2 ? at * 2 : at;
    return ns <= at ? at : ns <= at * 2 ? at * 2 : ns <= at * 5 ? at * 5 : at * 10;
}

// The next tick of a time axis on a log scale; decades: only where 1, 2, 5 would be too many.
static double bench_125_next(double at, bool decades)
{
    double decade = 1;
    while (decade * 10 <= at * 1.0001) decade *= 10;
    if (decades || at > decade * 3) return decade * 10;
    return at < decade * 1.5 ? decade * 2 : decade * 5;
}

static const char *bench_html_tick(char *out, size_t size, double ns)
{
    return bench_round_time(out, size, ns, "&nbsp;", "&micro;s");
}

// Gives the y axis times from low to high: logarithmic where they differ by 20 and more, else from 0; and draws its ticks.
static void bench_plot_times(bench_plot *plot, double low, double high)
{
    char text[48];
    double last = plot->bottom + 100;
    plot->log = low > 0 && high / low >= 20;
    if (!plot->log) {
        double step = bench_step(high, 5);
        plot->y0 = 0, plot->y1 = step;
        while (plot->y1 < high) plot->y1 += step;
        for (double at = 0; at <= plot->y1 * 1.001; at += step)
            bench_plot_y_tick(plot, at, at > 0 ? bench_html_tick(text, sizeof text, at) : "0");
        return;
    }
    double first = bench_125(low, false), end = bench_125(high, true);
    plot->y0 = bench_log10(first), plot->y1 = bench_log10(end);
    // From 1 to 2 is three tenths of a decade: room for a label, or only decades get one.
    bool decades = (plot->bottom - plot->top) / (plot->y1 - plot->y0) * 0.3 < 19;
    if (decades) first = bench_125_next(first * 0.999, true);
    for (double at = first; at <= end * 1.001; at = bench_125_next(at, decades)) {
        double y = bench_plot_y(plot, bench_log10(at));
        if (last - y < 14) continue;
        bench_plot_y_tick(plot, bench_log10(at), bench_html_tick(text, sizeof text, at));
        last = y;
    }
}

// A path that leaves out what is nearer than half a pixel to its last point.
typedef struct bench_path {
    const bench_plot *plot;
    double x, y;
    bool drawn;
} bench_path;

static void bench_path_to(bench_path *path, double x, double y)
{
    double dx = x - path->x, dy = y - path->y;
    if (path->drawn && dx * dx + dy * dy < 0.25) return;
    (void)fprintf(path->plot->out, "%s%.1f %.1f", path->drawn ? "L" : "M", x, y);
    path->x = x, path->y = y, path->drawn = true;
}

static void bench_path_begin(bench_path *path, const bench_plot *plot, const char *style)
{
    memset(path, 0, sizeof *path);
    path->plot = plot;
    (void)fprintf(plot->out, "<path class=\"%s\" d=\"", style);
}

static void bench_path_end(const bench_path *path)
{
    (void)fprintf(path->plot->out, "%s\"/>\n", path->drawn ? "" : "M0 0");
}

// ---- the percentile curve

// Where a share of requests stands on the axis of percentiles: each nine has the same room.
static double bench_nines(double alive)
{
    return alive > 0 ? -bench_log10(alive) : 300;
}

// The quantile function: steps, as long as many requests took the same time. Returns the share that is left where it ends.
static double bench_plot_curve(const bench_plot *plot, const char *style, const fsi_hist *ended, const fsi_hist *cut)
{
    bench_path path;
    bench_curve curve = bench_curve_of(ended, cut);
    double before = 1;
    bench_path_begin(&path, plot, style);
    for (; curve.alive > 0 && bench_curve_next(&curve); before = curve.alive) {
        double y = bench_plot_y(plot, bench_plot_time(plot, (double)curve.value));
        bench_path_to(&path, bench_plot_x(plot, bench_nines(before)), y);
        bench_path_to(&path, bench_plot_x(plot, bench_nines(curve.alive)), y);
    }
    bench_path_end(&path);
    return curve.alive;
}

static const struct {
    double share;
    const char *name;
} bench_nine_marks[] = {
    {0, "0&nbsp;%"},        {0.5, "50&nbsp;%"},       {0.9, "90&nbsp;%"},         {0.99, "99&nbsp;%"},
    {0.999, "99.9&nbsp;%"}, {0.9999, "99.99&nbsp;%"}, {0.99999, "99.999&nbsp;%"}, {0.999999, "99.9999&nbsp;%"}};
#define BENCH_NINE_MARKS (sizeof bench_nine_marks / sizeof bench_nine_marks[0])

// The value at each mark, above the curve on its left, where there is room; the longest at the right end.
static void bench_plot_marks(const bench_plot *plot, const bench_result *result, bool ends)
{
    char text[64], value[48];
    double end = (double)bench_curve_end(&result->response, &result->censored), used = plot->left;
    (void)snprintf(text, sizeof text, "%s%s", ends ? "max&nbsp;" : "not ended: over&nbsp;",
                   bench_html_time(value, sizeof value, end));
    double room = plot->right - bench_plot_width(text) - 8;
    bench_plot_text(plot, plot->right, bench_plot_y(plot, bench_plot_time(plot, end)) - 8, "end",
                    ends ? "mark" : "mark bad", text);
    for (size_t i = 1; i < BENCH_NINE_MARKS; i++) {
        bool beyond;
        double nines = bench_nines(1 - bench_nine_marks[i].share);
        uint64_t ns = bench_response_at(result, bench_nine_marks[i].share, &beyond);
        if (beyond || nines > plot->x1 * 1.0001) break;
        double x = bench_plot_x(plot, nines), y = bench_plot_y(plot, bench_plot_time(plot, (double)ns));
        (void)fprintf(plot->out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", x, y);
        double width = bench_plot_width(bench_html_time(text, sizeof text, (double)ns));
        bool left = x - 4 - width >= plot->left + 4; // else on its right, below the curve
        double from = left ? x - 4 - width : x + 8;
        if (strcmp(text, value) == 0 || from + width > room || (left && from < used)) continue;
        bench_plot_text(plot, from, left ? y - 8 : y + 14, "start", "mark", text);
        if (left) used = from + width + 6;
    }
}

// True if service times differ from response times by so much that two curves can be seen.
static bool bench_service_differs(const bench_result *result)
{
    static const double shares[] = {0.5, 0.9, 0.99, 1};
    for (size_t i = 0; i < 4 && result->service.count; i++) {
        bool beyond;
        double response = (double)bench_response_at(result, shares[i], &beyond);
        double service = (double)bench_service_at(result, shares[i]);
        if (!beyond && (response > service * 1.1 || service > response * 1.1)) return true;
    }
    return false;
}

static void bench_html_curve(FILE *out, const bench_result *result, bool narrow)
{
    bench_plot plot = bench_plot_begin(out, narrow, narrow ? 280 : 320, "Response time by percentile");
    const fsi_hist *ended = &result->response, *cut = &result->censored;
    bool service = bench_service_differs(result);
    double end = (double)bench_curve_end(ended, cut), low = ended->count ? (double)ended->min : end, used = 0;
    if (service && (double)result->service.min < low) low = (double)result->service.min;
    if (service && (double)result->service.max > end) end = (double)result->service.max;
    bench_plot_times(&plot, low, end > 0 ? end : 1);
    plot.x1 = bench_log10((double)ended->count + (double)cut->count);
    plot.x1 = plot.x1 < 1 ? 1 : plot.x1 > 6.5 ? 6.5 : plot.x1;
    for (size_t i = 0; i < BENCH_NINE_MARKS; i++) {
        double nines = bench_nines(1 - bench_nine_marks[i].share);
        if (nines <= plot.x1 * 1.0001) bench_plot_x_tick(&plot, nines, bench_nine_marks[i].name, &used);
    }
    if (service) (void)bench_plot_curve(&plot, "line b", &result->service, NULL);
    double alive = bench_plot_curve(&plot, "line a", ended, cut);
    double y = bench_plot_y(&plot, bench_plot_time(&plot, (double)bench_curve_end(ended, cut)));
    if (alive > 0) bench_plot_line(&plot, "line bad dash", bench_plot_x(&plot, bench_nines(alive)), y, plot.right, y);
    if (service) {
        double at = bench_plot_y(&plot, bench_plot_time(&plot, (double)bench_service_at(result, 1)));
        bench_plot_text(&plot, plot.right, at + 18 > plot.bottom - 4 ? plot.bottom - 4 : at + 18, "end", "mark b",
                        "service time");
    }
    bench_plot_marks(&plot, result, alive <= 0);
    bench_plot_end(&plot);
}

// ---- the histogram

static void bench_plot_bar(const bench_plot *plot, const char *style, double x1, double x2, double count, double most,
                           const char *title)
{
    double height = most > 0 ? count / most * (plot->bottom - plot->top) : 0;
    if (count <= 0) return;
    if (height < 1.5) height = 1.5; // that there was something must be seen
    (void)fprintf(plot->out,
                  "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s</title></rect>\n",
                  style, x1, plot->bottom - height, x2 - x1 > 1.6 ? x2 - x1 - 0.6 : x2 - x1, height, title);
}

static void bench_plot_bars(const bench_plot *plot, const bench_bars *bars, double all)
{
    char low[48], high[48], count[48], share[48], title[240];
    for (uint32_t i = 0; i < bars->count; i++) {
        (void)snprintf(title, sizeof title, "%s to %s: %s requests, %s",
                       bench_html_tick(low, sizeof low, bars->edges[i]),
                       bench_html_tick(high, sizeof high, bars->edges[i + 1]),
                       bench_html_number(count, sizeof count, (double)bars->counts[i]),
                       bench_html_percent(share, sizeof share, (double)bars->counts[i], all));
        bench_plot_bar(plot, "bar", bench_plot_x(plot, bench_log10(bars->edges[i])),
                       bench_plot_x(plot, bench_log10(bars->edges[i + 1])), (double)bars->counts[i], (double)bars->most,
                       title);
    }
}

// A vertical line at a percentile; its label stands in row 0 or 1 above the bars, where it has room.
static void bench_plot_percentile(const bench_plot *plot, const bench_result *result, double share, const char *name,
                                  int row)
{
    char text[64], value[48];
    bool beyond;
    double ns = (double)bench_response_at(result, share, &beyond);
    if (beyond || ns <= 0) return;
    double x = bench_plot_x(plot, bench_log10(ns)), y = plot->top - 18 + 14 * row;
    (void)snprintf(text, sizeof text, "%s&nbsp;%s", name, bench_html_time(value, sizeof value, ns));
    bool left = x + 4 + bench_plot_width(text) > plot->right;
    bench_plot_line(plot, "rule", x, y - 8, x, plot->bottom);
    bench_plot_text(plot, left ? x - 4 : x + 4, y, left ? "end" : "start", "mark", text);
}

// The x axis: all ranges, but no less than a fifth of a decade. Ticks in even steps where less than a factor of 5 is shown.
static void bench_plot_bars_axis(bench_plot *plot, const bench_bars *bars)
{
    char text[48];
    double used = 0, low = bars->edges[0], high = bars->edges[bars->count];
    if (!bars->count) return;
    if (high / low < 1.6) low /= 1.26, high *= 1.26;
    plot->x0 = bench_log10(low), plot->x1 = bench_log10(high);
    bool even = high / low<5, decades = high / low>(plot->narrow ? 200 : 3000);
    double step = bench_step(high - low, plot->narrow ? 4 : 7), at = bench_125(low, true);
    if (even) at = (double)(uint64_t)(low / step + 1) * step;
    if (decades) at = bench_125_next(low * 0.999, true);
    for (; at <= high * 1.0001; at = even ? at + step : bench_125_next(at, decades))
        bench_plot_x_tick(plot, bench_log10(at), bench_html_tick(text, sizeof text, at), &used);
}

static void bench_html_bars(FILE *out, const bench_result *result, bool narrow)
{
    bench_bars bars;
    char text[48];
    double cut = (double)result->censored.count, all = (double)result->response.count + cut;
    bench_plot plot = bench_plot_begin(out, narrow, narrow ? 230 : 250, "How many requests took how long");
    plot.top = 42;
    if (cut > 0) plot.right -= 78;
    bench_bars_of(&bars, &result->response, narrow ? 56 : 112);
    if (cut > (double)bars.most) bars.most = result->censored.count;
    bench_plot_bars_axis(&plot, &bars);
    plot.y1 = 100 * (double)bars.most / all;
    for (double step = bench_step(plot.y1, 4), at = 0; at <= plot.y1; at += step) {
        (void)snprintf(text, sizeof text, "%.6g&nbsp;%%", at);
        bench_plot_y_tick(&plot, at, text);
    }
    bench_plot_bars(&plot, &bars, all);
    bench_plot_percentile(&plot, result, 0.5, "p50", 0);
    bench_plot_percentile(&plot, result, 0.99, "p99", 1);
    if (cut > 0) {
        plot.right += 78;
        bench_plot_bar(&plot, "bar bad", plot.right - 50, plot.right - 14, cut, (double)bars.most, "not ended");
        bench_plot_text(&plot, plot.right - 32, plot.bottom + 17, "middle", "mark bad", "not ended");
    }
    bench_plot_end(&plot);
}

// ---- over time

// Seconds that slot `index` of the series covers: the last may be a part of one.
static double bench_slot_s(const bench_result *result, uint32_t index)
{
    double slot = result->second_ns ? (double)result->second_ns / 1e9 : 1, left = bench_run_s(result) - slot * index;
    return left < slot ? left : slot;
}

// Slots that are drawn: a last one that is nearly empty tells nothing.
static uint32_t bench_slots(const bench_result *result)
{
    double slot = result->second_ns ? (double)result->second_ns / 1e9 : 1;
    uint32_t count = result->second_count < BENCH_SECONDS_MAX ? result->second_count : BENCH_SECONDS_MAX;
    while (count && bench_slot_s(result, count - 1) < slot * (count > 1 ? 0.2 : 1e-6)) count--;
    return count;
}

typedef enum bench_serie {
    BENCH_SERIE_DONE,
    BENCH_SERIE_ERRORS,
    BENCH_SERIE_P50,
    BENCH_SERIE_P99,
    BENCH_SERIE_MAX
} bench_serie;

// A slot's value; below 0: it has none.
static double bench_serie_at(const bench_result *result, bench_serie serie, uint32_t index)
{
    const bench_second *slot = &result->seconds[index];
    if (serie == BENCH_SERIE_DONE) return (double)slot->done / bench_slot_s(result, index);
    if (serie == BENCH_SERIE_ERRORS) return (double)(slot->errors + slot->timeouts) / bench_slot_s(result, index);
    if (!slot->done) return -1;
    return (double)(serie == BENCH_SERIE_P50 ? slot->p50 : serie == BENCH_SERIE_P99 ? slot->p99 : slot->max);
}

static double bench_serie_most(const bench_result *result, bench_serie serie)
{
    double most = 0;
    for (uint32_t i = 0; i < bench_slots(result); i++)
        if (bench_serie_at(result, serie, i) > most) most = bench_serie_at(result, serie, i);
    return most;
}

// Steps, a gap where a slot has no value. Returns the y of the last value, in px; below 0 if there is none.
static double bench_plot_serie(const bench_plot *plot, const bench_result *result, bench_serie serie, const char *style)
{
    bench_path path;
    double slot = result->second_ns ? (double)result->second_ns / 1e9 : 1, y = -1;
    bench_path_begin(&path, plot, style);
    for (uint32_t i = 0; i < bench_slots(result); i++) {
        double value = bench_serie_at(result, serie, i);
        if (value < 0) {
            if (path.drawn) (void)fprintf(plot->out, " "), path.drawn = false;
            continue;
        }
        y = bench_plot_y(plot, serie >= BENCH_SERIE_P50 ? bench_plot_time(plot, value) : value);
        bench_path_to(&path, bench_plot_x(plot, slot * i), y);
        bench_path_to(&path, bench_plot_x(plot, slot * i + bench_slot_s(result, i)), y);
    }
    path.drawn = path.drawn || y >= 0;
    bench_path_end(&path);
    return y;
}

static void bench_plot_seconds(bench_plot *plot, const bench_result *result)
{
    char text[48];
    double used = 0, step, slot = result->second_ns ? (double)result->second_ns / 1e9 : 1;
    uint32_t count = bench_slots(result);
    plot->x1 = slot * (count - 1) + bench_slot_s(result, count - 1);
    step = bench_step(plot->x1, plot->narrow ? 4 : 8);
    for (double at = 0; at <= plot->x1 * 1.0001; at += step) {
        bench_plot_x_tick(plot, at, at > 0 ? bench_html_tick(text, sizeof text, at * 1e9) : "0", &used);
    }
}

// Names of lines at their right ends, lowest line first; pushed apart where they would touch. At most 3; y below 0: no such line.
static void bench_plot_names(const bench_plot *plot, const double *ys, const char *const *names,
                             const char *const *styles, int count)
{
    double at[3], last = plot->bottom + 17, first = 9;
    for (int i = 0; i < count; i++) {
        if (ys[i] < 0) continue;
        at[i] = ys[i] + 4 > last - 13 ? last - 13 : ys[i] + 4;
        last = at[i];
    }
    for (int i = count; i-- > 0;) {
        if (ys[i] < 0) continue;
        if (at[i] < first) at[i] = first;
        first = at[i] + 13;
        bench_plot_text(plot, plot->right + 5, at[i], "start", styles[i], names[i]);
    }
}

// "20,000", "1.5 M": a round number that is short enough for an axis.
static const char *bench_html_count_tick(char *out, size_t size, double value)
{
    if (value < 1e6) return bench_html_number(out, size, value);
    (void)snprintf(out, size, "%.6g&nbsp;%s", value / (value < 1e9 ? 1e6 : 1e9), value < 1e9 ? "M" : "G");
    return out;
}

static void bench_html_rates(FILE *out, const bench_result *result, bool narrow)
{
    static const char *const names[] = {"errors", "done"}, *const styles[] = {"mark bad", "mark a"};
    char text[48];
    bench_plot plot = bench_plot_begin(out, narrow, 200, "Requests per second over time");
    double errors = bench_serie_most(result, BENCH_SERIE_ERRORS), most = bench_serie_most(result, BENCH_SERIE_DONE),
           ys[2] = {-1, -1};
    plot.top = 12, plot.right -= 38;
    if (errors > most) most = errors;
    double step = bench_step(most, 4);
    for (plot.y1 = step; plot.y1 < most;) plot.y1 += step;
    for (double at = 0; at <= plot.y1 * 1.001; at += step)
        bench_plot_y_tick(&plot, at, bench_html_count_tick(text, sizeof text, at));
    bench_plot_seconds(&plot, result);
    ys[1] = bench_plot_serie(&plot, result, BENCH_SERIE_DONE, "line a");
    if (errors > 0) ys[0] = bench_plot_serie(&plot, result, BENCH_SERIE_ERRORS, "line bad");
    bool crossed = ys[0] >= 0 && ys[0] < ys[1];
    double sorted[2] = {crossed ? ys[1] : ys[0], crossed ? ys[0] : ys[1]};
    const char *const sorted_names[2] = {names[crossed], names[!crossed]}, *const sorted_styles[2] = {styles[crossed],
                                                                                                      styles[!crossed]};
    bench_plot_names(&plot, sorted, sorted_names, sorted_styles, 2);
    bench_plot_end(&plot);
}

static void bench_html_times(FILE *out, const bench_result *result, bool narrow)
{
    static const char *const names[] = {"p50", "p99", "max"}, *const styles[] = {"mark", "mark a", "mark soft"};
    double low = 0, high = bench_serie_most(result, BENCH_SERIE_MAX), ys[3];
    bench_plot plot = bench_plot_begin(out, narrow, 220, "Response time over time");
    plot.top = 12, plot.right -= 38;
    for (uint32_t i = 0; i < bench_slots(result); i++) {
        double value = bench_serie_at(result, BENCH_SERIE_P50, i);
        if (value > 0 && (low == 0 || value < low)) low = value;
    }
    bench_plot_times(&plot, low, high > 0 ? high : 1);
    bench_plot_seconds(&plot, result);
    ys[2] = bench_plot_serie(&plot, result, BENCH_SERIE_MAX, "line soft");
    ys[0] = bench_plot_serie(&plot, result, BENCH_SERIE_P50, "line ink");
    ys[1] = bench_plot_serie(&plot, result, BENCH_SERIE_P99, "line a");
    bench_plot_names(&plot, ys, names, styles, 3);
    bench_plot_end(&plot);
}

// ---- figures and tables

static void bench_html_figure(FILE *out, const char *name, const char *value, const char *note)
{
    (void)fprintf(out, "<div><dt>%s</dt><dd>%s</dd><dd class=\"note\">%s</dd></div>\n", name, value, note);
}

static void bench_html_quantile(FILE *out, const bench_result *result, double share, const char *name)
{
    char text[48], value[64], note[64];
    bool beyond;
    double ns = (double)bench_response_at(result, share, &beyond);
    bool any = result->response.count || result->censored.count;
    (void)snprintf(value, sizeof value, "%s%s", beyond ? "&gt;&nbsp;" : "",
                   any ? bench_html_time(text, sizeof text, ns) : "&ndash;");
    (void)snprintf(note, sizeof note, "service %s",
                   bench_html_time(text, sizeof text, (double)bench_service_at(result, share)));
    bench_html_figure(out, name, value, bench_service_differs(result) ? note : "");
}

static uint64_t bench_accounted(const bench_result *result)
{
    return result->done + bench_errors(result) + result->in_flight + result->unsent;
}

static void bench_html_figures(FILE *out, const bench_result *result)
{
    char text[64], bytes[48], value[64], note[96];
    double seconds = bench_run_s(result), failed = (double)bench_errors(result);
    (void)fprintf(out, "<dl class=\"figures\">\n");
    note[0] = 0;
    if (result->setup.rate > 0)
        (void)snprintf(note, sizeof note, "of %s asked for", bench_html_number(text, sizeof text, result->setup.rate));
    bench_html_figure(out, "Requests per second",
                      bench_html_number(value, sizeof value, (double)bench_answers(result) / seconds), note);
    bench_html_quantile(out, result, 0.5, "Median response");
    bench_html_quantile(out, result, 0.99, "p99");
    if (result->response.count + result->censored.count >= 1000) bench_html_quantile(out, result, 0.999, "p99.9");
    bench_html_quantile(out, result, 1, "Longest");
    (void)snprintf(note, sizeof note, "%s of %s", bench_html_number(value, sizeof value, failed),
                   bench_html_number(text, sizeof text, (double)result->due));
    bench_html_figure(out, "Failed", bench_html_percent(value, sizeof value, failed, (double)result->due), note);
    (void)snprintf(value, sizeof value, "%s/s",
                   bench_html_bytes(bytes, sizeof bytes, (double)result->bytes_in / seconds));
    (void)snprintf(note, sizeof note, "%s in all", bench_html_bytes(bytes, sizeof bytes, (double)result->bytes_in));
    bench_html_figure(out, "Received", value, note);
    (void)fprintf(out, "</dl>\n");
}

static void bench_html_count_row(FILE *out, const char *style, const char *name, uint64_t count, uint64_t all)
{
    char number[64], share[48];
    (void)fprintf(out, "<tr%s><th>%s</th><td>%s</td><td>%s</td></tr>\n", style, name,
                  bench_html_number(number, sizeof number, (double)count),
                  all ? bench_html_percent(share, sizeof share, (double)count, (double)all) : "");
}

static const char *const bench_kind_words[BENCH_KINDS] = {
    "Connection refused", "Connecting timed out",     "No local port left", "Too many open files",
    "Target unreachable", "Closed early by the peer", "Connection reset",   "Not a valid answer",
    "Sending failed",     "Unexpected status",        "Unexpected body",    "No answer in time"};

static void bench_html_outcomes(FILE *out, const bench_result *result)
{
    uint64_t due = result->due, accounted = bench_accounted(result), events = 0;
    (void)fprintf(out, "<h2>What became of the requests</h2>\n<table>\n");
    bench_html_count_row(out, "", "Done", result->done, due);
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        if (result->failed[kind])
            bench_html_count_row(out, " class=\"bad\"", bench_kind_words[kind], result->failed[kind], due);
        events += result->events[kind];
    }
    if (result->in_flight) bench_html_count_row(out, "", "In flight at the end", result->in_flight, due);
    if (result->unsent) bench_html_count_row(out, " class=\"bad\"", "Due, but never sent", result->unsent, due);
    if (accounted < due) bench_html_count_row(out, " class=\"bad\"", "Not accounted for", due - accounted, due);
    if (accounted > due) bench_html_count_row(out, " class=\"bad\"", "Accounted for twice", accounted - due, due);
    bench_html_count_row(out, " class=\"sum\"", "Due", due, due);
    (void)fprintf(out, "</table>\n");
    if (result->censored.count)
        (void)fprintf(
            out,
            "<p class=\"note\">What did not end counts in every percentile as &ldquo;at least as long as it had taken"
            " so far&rdquo; (product-limit estimate), and is never dropped.</p>\n");
    if (result->first_error[0]) {
        (void)fprintf(out, "<p>The first error: ");
        bench_html_text(out, result->first_error);
        (void)fprintf(out, "</p>\n");
    }
    if (!events) return;
    (void)fprintf(out, "<h2>Errors of connections</h2>\n<table>\n");
    for (int kind = 0; kind < BENCH_KINDS; kind++)
        if (result->events[kind]) bench_html_count_row(out, "", bench_kind_words[kind], result->events[kind], 0);
    (void)fprintf(out, "</table>\n");
}

static void bench_html_statuses(FILE *out, const bench_result *result)
{
    uint64_t all = 0;
    char name[16];
    for (int status = 0; status < 600; status++) all += result->statuses[status];
    if (!all) return;
    (void)fprintf(out, "<h2>Statuses</h2>\n<table>\n");
    for (int status = 0; status < 600; status++) {
        if (!result->statuses[status]) continue;
        (void)snprintf(name, sizeof name, "%d", status);
        bench_html_count_row(out, "", name, result->statuses[status], all);
    }
    (void)fprintf(out, "</table>\n");
}

static void bench_html_row(FILE *out, const char *name, const char *value)
{
    if (!*value) return;
    (void)fprintf(out, "<tr><th>%s</th><td>", name);
    bench_html_text(out, value);
    (void)fprintf(out, "</td></tr>\n");
}

// A row whose value is a number with a unit; none if it is 0.
static void bench_html_amount(FILE *out, const char *name, double value, const char *unit)
{
    char text[64], line[96];
    if (value <= 0) return;
    (void)snprintf(line, sizeof line, "%s%s", bench_html_number(text, sizeof text, value), unit);
    bench_html_row(out, name, line);
}

static void bench_html_length(FILE *out, const char *name, uint64_t ns)
{
    char text[48];
    if (ns) bench_html_row(out, name, bench_length_text(text, sizeof text, ns));
}

static void bench_html_setup(FILE *out, const bench_result *result)
{
    const bench_setup *setup = &result->setup;
    (void)fprintf(out, "<h2>How it was measured</h2>\n<table class=\"words\">\n");
    bench_html_row(out, "Target", setup->url);
    if (setup->urls > 1) bench_html_amount(out, "Targets in all", setup->urls, "");
    bench_html_row(out, "Server field", result->server);
    bench_html_row(out, "Load",
                   setup->rate > 0        ? "open loop: requests are due on a schedule"
                   : setup->conn_rate > 0 ? "open loop: connections are due on a schedule"
                                          : "closed loop: an answer makes room for the next request");
    bench_html_amount(out, "Rate asked for", setup->rate, " requests/s");
    bench_html_amount(out, "Connections asked for", setup->conn_rate, " connections/s");
    bench_html_amount(out, "Connections", setup->connections, "");
    bench_html_amount(out, "Threads", setup->threads, "");
    if (setup->pipeline > 1) bench_html_amount(out, "Pipelined", setup->pipeline, " requests");
    bench_html_amount(out, "Requests on each connection", setup->close ? 1 : setup->calls, "");
    bench_html_length(out, "Duration asked for", setup->duration);
    bench_html_amount(out, "Requests asked for", (double)setup->requests, "");
    bench_html_amount(out, "Measured", bench_run_s(result), " s");
    bench_html_length(out, "Warm-up, not measured", setup->warmup);
    bench_html_length(out, "Ramp", setup->ramp);
    bench_html_length(out, "Timeout", setup->timeout);
    if (setup->echo) bench_html_amount(out, "Echo of", (double)setup->size, " bytes");
    if (setup->rst) bench_html_row(out, "Connections end", "by reset");
    bench_html_amount(out, "Source addresses", setup->source_ips > 1 ? setup->source_ips : 0, "");
    bench_html_amount(out, "Request", setup->request_bytes, " bytes");
    (void)fprintf(out, "</table>\n");
}

// CPU time of each request, as "4.20 us, 38 % of a CPU".
static void bench_html_cpu(FILE *out, const bench_result *result, const char *name, uint64_t ns)
{
    char line[96];
    double requests = (double)bench_answers(result);
    if (!ns) return;
    (void)snprintf(line, sizeof line, "%.2f us per request, %.0f %% of a CPU",
                   requests > 0 ? (double)ns / 1e3 / requests : 0, 100 * (double)ns / 1e9 / bench_run_s(result));
    bench_html_row(out, name, line);
}

static void bench_html_environment(FILE *out, const bench_result *result)
{
    const bench_setup *setup = &result->setup;
    char text[48], date[32];
    (void)fprintf(out, "<h2>Where it ran</h2>\n<table class=\"words\">\n");
    memset(date, 0, sizeof date);
    if (result->began_unix > 0) fsi_date_write(date, result->began_unix);
    bench_html_row(out, "Began", date);
    bench_html_row(out, "fastserve", setup->version);
    bench_html_row(out, "System", setup->system);
    bench_html_row(out, "CPU", setup->cpu);
    bench_html_amount(out, "CPUs that it may use", setup->cpus, "");
    if (setup->self_hosted) bench_html_row(out, "Server", "in the same process");
    bench_html_cpu(out, result, "CPU of the load", result->client_user_ns + result->client_sys_ns);
    bench_html_cpu(out, result, "CPU of its busiest thread", result->busiest_ns);
    bench_html_cpu(out, result, "CPU of the server", result->server_cpu_ns);
    if (result->server_rss)
        bench_html_row(out, "Memory of the server", bench_bytes_text(text, sizeof text, (double)result->server_rss));
    bench_html_amount(out, "Connections opened", (double)result->conns_opened, "");
    bench_html_amount(out, "Most open at a time", (double)result->conns_most, "");
    bench_html_amount(out, "Connections lost", (double)result->conns_lost, "");
    bench_html_amount(out, "Connection attempts sent again", (double)result->syn_retransmits, "");
    if (result->lag.count)
        bench_html_row(out, "Sent late by (p99)",
                       bench_time_text(text, sizeof text, (double)fsi_hist_at(&result->lag, 0.99) / 1e3));
    bench_html_cpu(out, result, "CPU taken by other processes", result->other_ns);
    bench_html_cpu(out, result, "CPU taken by the host (steal)", result->steal_ns);
    bench_html_cpu(out, result, "CPU withheld (throttling)", result->throttled_ns);
    (void)fprintf(out, "</table>\n");
}

// clang-format off
static const char bench_html_style[] =
    ":root{color-scheme:light dark;--bg:#fff;--ink:#1c2126;--soft:#5b6670;--line:#dde2e7;"
    "--a:#0a5fcc;--b:#9a5300;--bad:#c0262d;--bar:#7fb0ea}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#15181b;--ink:#e7eaec;--soft:#a0abb5;--line:#31383f;"
    "--a:#74b4ff;--b:#eda75f;--bad:#ff8078;--bar:#3f6ea8}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:784px;padding:24px 16px 48px;background:var(--bg);color:var(--ink);"
    "font:16px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-variant-numeric:tabular-nums}\n"
    "h1{font-size:22px;line-height:1.3;margin:0;overflow-wrap:anywhere}\n"
    "h2{font-size:17px;margin:36px 0 8px}\n"
    "p{margin:6px 0;overflow-wrap:anywhere}\n"
    ".note{color:var(--soft);font-size:14px}\n"
    ".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:18px 16px;margin:24px 0 0;"
    "padding:18px 0;border:solid var(--line);border-width:1px 0}\n"
    ".figures dt{color:var(--soft);font-size:14px}\n"
    ".figures dd{margin:0;font-size:23px;font-weight:600;letter-spacing:-.01em;overflow-wrap:anywhere}\n"
    ".figures dd.note{font-size:13px;font-weight:400;letter-spacing:0}\n"
    "svg{display:block;width:100%;height:auto;margin:4px 0}\n"
    "svg.n{display:none;max-width:480px}\n"
    "@media(max-width:680px){svg.w{display:none}svg.n{display:block}}\n"
    "text{font-size:12px;fill:var(--ink);stroke:var(--bg);stroke-width:3.5px;stroke-linejoin:round;paint-order:stroke}\n"
    "text.tick,text.soft{fill:var(--soft)}text.bad{fill:var(--bad)}\n"
    "text.a{fill:var(--a)}text.b{fill:var(--b)}b.a{color:var(--a)}b.b{color:var(--b)}\n"
    ".grid{stroke:var(--line);fill:none}.rule{stroke:var(--ink);stroke-dasharray:2 3;fill:none}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}\n"
    ".line.bad{stroke:var(--bad)}.line.soft{stroke:var(--soft);stroke-width:1}.line.ink{stroke:var(--ink);stroke-width:1.2}\n"
    ".line.dash{stroke-dasharray:5 4}.dot{fill:var(--a);stroke:var(--bg)}.bar{fill:var(--bar)}.bar.bad{fill:var(--bad)}\n"
    "table{border-collapse:collapse;width:100%;max-width:560px;font-size:15px}\n"
    "th,td{padding:5px 0 5px 12px;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "th{font-weight:400;text-align:left;padding-left:0}\n"
    "td{text-align:right;white-space:nowrap;width:24%}\n"
    ".words{max-width:none}.words th{width:40%;color:var(--soft)}\n"
    ".words td{width:auto;text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    ".bad th,.bad td{color:var(--bad)}.sum th,.sum td{border-bottom:0;font-weight:600}\n";
// clang-format on

static void bench_html_head(FILE *out, const bench_result *result)
{
    const bench_setup *setup = &result->setup;
    char text[64];
    (void)fprintf(
        out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
             "<title>fastserve bench: ");
    bench_html_text(out, setup->url);
    (void)fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<p class=\"note\">fastserve bench</p>\n<h1>",
                  bench_html_style);
    bench_html_text(out, setup->url);
    (void)fprintf(out, "</h1>\n<p class=\"note\">");
    if (setup->rate > 0)
        (void)fprintf(out, "Open loop at %s requests per second, ", bench_html_number(text, sizeof text, setup->rate));
    else
        (void)fprintf(out, "%s", setup->conn_rate > 0 ? "Open loop by connections, " : "Closed loop, ");
    (void)fprintf(out, "%s connection%s, ", bench_html_number(text, sizeof text, setup->connections),
                  setup->connections == 1 ? "" : "s");
    (void)fprintf(out, "%s measured</p>\n", bench_html_time(text, sizeof text, (double)result->run_ns));
    if (result->interrupted)
        (void)fprintf(out, "<p>The run was interrupted; the figures are of what had been measured.</p>\n");
}

static void bench_html_latency(FILE *out, const bench_result *result)
{
    (void)fprintf(out, "<h2>Response time by percentile</h2>\n");
    if (!result->response.count && !result->censored.count) {
        (void)fprintf(out, "<p class=\"note\">No request ended: there is nothing to draw.</p>\n");
        return;
    }
    if (bench_service_differs(result))
        (void)fprintf(out, "<p class=\"note\"><b class=\"a\">Response time</b> counts from when a request was due, "
                           "<b class=\"b\">service time</b> from when it was sent.</p>\n");
    bench_html_curve(out, result, false);
    bench_html_curve(out, result, true);
    (void)fprintf(out, "<h2>How many requests took how long</h2>\n");
    bench_html_bars(out, result, false);
    bench_html_bars(out, result, true);
}

static void bench_html_time_charts(FILE *out, const bench_result *result)
{
    if (!bench_slots(result)) return;
    (void)fprintf(out, "<h2>Requests per second over time</h2>\n");
    bench_html_rates(out, result, false);
    bench_html_rates(out, result, true);
    if (bench_serie_most(result, BENCH_SERIE_MAX) <= 0) return;
    (void)fprintf(out, "<h2>Response time over time</h2>\n");
    bench_html_times(out, result, false);
    bench_html_times(out, result, true);
}

// The whole page. The caller looks at ferror(out).
FSI_PRIVATE void bench_write_html(FILE *out, const bench_result *result)
{
    bench_html_head(out, result);
    bench_html_figures(out, result);
    bench_html_latency(out, result);
    bench_html_time_charts(out, result);
    bench_html_outcomes(out, result);
    bench_html_statuses(out, result);
    bench_html_setup(out, result);
    bench_html_environment(out, result);
    (void)fprintf(out, "</body>\n</html>\n");
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
