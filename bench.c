// bench.c - the load generator behind `fastserve bench`. Not a translation unit: main.c includes it after the
// implementation of fastserve.h, whose client side it stands on, and after its own
//
//     static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc);
//
// which makes the server that a run without a URL measures. The only entry is bench_main().
//
//     >>bench-text >>bench-units >>bench-math >>bench-result >>bench-os >>bench-law >>bench-target
//     >>bench-options >>bench-url >>bench-template >>bench-structs >>bench-flow >>bench-conn >>bench-thread >>bench-report >>bench-json
//     >>bench-judge >>bench-compare >>bench-formats >>bench-html >>bench-connect >>bench-machine >>bench-audit >>bench-run
//     >>bench-models >>bench-main
//
// THE MODEL   Closed loop: each connection has --pipeline requests in flight, and an answer makes room for the next one.
//             Open loop (-R, --conn-rate): the clock says when the next request (or connection) is due, and one that is
//             free takes it; what is due while none is free waits, and its latency counts from when it was due.
//             A thread owns its io, its share of the connections, of the schedule and of the sums; nothing is shared
//             while it runs but the plan (read only) and a few flags. The clock starts when the connections are up.
//             In a closed loop an answer that comes whole costs one recv, one clock read and one send.
// THE SUMS    A request that was due ends as exactly one of: done, failed (by kind; a timeout is one), in flight at the
//             end, never sent. bench_audit_trust checks that they add up. What has not ended is known to last "at least
//             so long": bench_quantile takes it for that and neither drops it nor takes it for an end.
// ONE RUN     bench_once() makes, measures and frees everything and leaves a bench_result, which is plain data: whatever
//             is printed, written, compared or judged afterwards comes from there.
#ifndef FASTSERVE_IMPLEMENTED
#error "bench.c is a part of main.c, which includes it after fastserve.h with FASTSERVE_IMPLEMENTATION"
#endif
#if !FSI_CLIENT
#error "bench.c needs the client side of fastserve.h: do not define FSV_NO_CLIENT"
#endif

#define BENCH_EXIT_OK 0
#define BENCH_EXIT_USAGE 1     // also: cannot connect
#define BENCH_EXIT_UNTRUSTED 2 // connections lost, sums that do not add up
#define BENCH_EXIT_ERRORS 3    // the target produced errors
#define BENCH_EXIT_MISSED 99   // an objective was missed
#define BENCH_EXIT_CUT 130     // a signal cut it short: as the shell says of a program that SIGINT ended

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

// What came from outside (a file, a server) on its way to a terminal: control bytes and everything beyond ASCII stay
// out of it.
static char bench_tame(char byte)
{
    return byte < 32 || byte > 126 ? '?' : byte;
}

static void bench_plain(FILE *out, const char *text)
{
    for (; *text; text++) (void)fputc(bench_tame(*text), out);
}

static void bench_make_plain(char *text)
{
    for (; *text; text++) *text = bench_tame(*text);
}

// Adds what the file has yet to give, up to `most` bytes in all. Returns what is wrong, or NULL.
static const char *bench_text_read(bench_text *text, FILE *in, size_t most, const char *too_large)
{
    char piece[65536];
    for (size_t got; (got = fread(piece, 1, sizeof piece, in)) > 0;) {
        bench_text_add(text, piece, got);
        if (text->failed) return "out of memory";
        if (text->len > most) return too_large;
    }
    return ferror(in) ? strerror(errno) : NULL;
}

// One line on stderr. It may hold what a user typed, in any language; its control bytes stay out of his terminal.
static void bench_say(const char *format, ...) FSI_PRINTF(1, 2);

static void bench_say(const char *format, ...)
{
    char line[1042] = "fastserve bench: ";
    (void)fflush(stdout); // where both go into one file, they do so in order
    size_t begin = strlen(line);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + begin, sizeof line - begin - 1, format, args);
    va_end(args);
    for (unsigned char *c = (unsigned char *)line, before = 0; *c; before = *c++) // C0, DEL, and C1 as UTF-8 has it
        if (*c < 32 || *c == 127 || (before == 0xc2 && *c < 0xa0)) *c = '?';
    size_t end = strlen(line);
    line[end] = '\n';
    line[end + 1] = 0;
    (void)fputs(line, stderr);
    (void)fflush(stderr); // it is not unbuffered everywhere
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-units   Numbers as wrk's users type and read them.
// ---------------------------------------------------------------------------------------------------------

// "12", "1.5", ".5": digits * 10^-decimals; digits is UINT64_MAX when it does not fit, decimals beyond nine are
// dropped.
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

// digits * 10^-decimals * times of the suffix; the remainder tells whether it was a whole number. Returns what is
// wrong, or NULL.
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

// ---------------------------------------------------------------------------------------------------------
// >>bench-math   What the C library's mathematics would give, written out so that nobody has to link it; and random numbers.
// ---------------------------------------------------------------------------------------------------------

static double bench_abs(double x)
{
    return x < 0 ? -x : x;
}

// Square root, by Newton's method; 0 of what has none.
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

// Natural logarithm of x > 0 (with 0 it never ends): ln(m 2^e) = 2 artanh((m - 1) / (m + 1)) + e ln 2, with m around 1.
static double bench_ln(double x)
{
    double sum = 0;
    int e = 0;
    while (x > 1.4142135623730951) x /= 2, e++;
    while (x < 0.7071067811865476) x *= 2, e--;
    double z = (x - 1) / (x + 1), power = z;
    for (int k = 1; k < 26; k += 2) {
        sum += power / k;
        power *= z * z;
    }
    return 2 * sum + e * 0.6931471805599453;
}

// exp(r + e ln 2) = exp(r) 2^e, with |r| <= 0.35. Beyond e^700 it stays there.
static double bench_exp(double x)
{
    double term = 1, sum = 1;
    if (x < -700) return 0;
    if (x > 700) x = 700;
    int e = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = x - e * 0.6931471805599453;
    for (int k = 1; k < 18; k++) sum += term *= r / k;
    for (; e > 0; e--) sum *= 2;
    for (; e < 0; e++) sum /= 2;
    return sum;
}

// Share of the standard normal distribution below x (after G. Marsaglia, 2004).
static double bench_normal(double x)
{
    double sum = x, term = x, before = 0;
    if (x < -8) return 0;
    if (x > 8) return 1;
    for (int k = 3; sum != before; k += 2) {
        before = sum;
        sum += term *= x * x / k;
    }
    return 0.5 + sum * 0.3989422804014327 * bench_exp(-x * x / 2);
}

// 64 random bits (splitmix64). Any state will do as the first.
static uint64_t bench_random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// In (0, 1], from 53 of them.
static double bench_random(uint64_t *state)
{
    return ((double)(bench_random_bits(state) >> 11) + 1) / 9007199254740992.0;
}

// Where the standard normal distribution reaches the share u: halving down to an eighth, Newton's steps from there.
static double bench_normal_quantile(double u)
{
    double low = -8, high = 8, z;
    while (high - low > 0.125) {
        z = (low + high) / 2;
        if (bench_normal(z) < u)
            low = z;
        else
            high = z;
    }
    z = (low + high) / 2;
    for (int i = 0; i < 3; i++) {
        z -= (bench_normal(z) - u) / (0.3989422804014327 * bench_exp(-z * z / 2));
        if (z < low) z = low;
        if (z > high) z = high;
    }
    return z;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-result   What a run found out, whoever prints it. Plain data: it can be written as JSON, read back and added up.
//                  Times are in nanoseconds. "Response" counts from when a request was due (open loop) or begun (closed
//                  loop), "service" from when it was sent.
// ---------------------------------------------------------------------------------------------------------

// clang-format off
// How a request or a connection fails: its constant, its name in JSON, and in words. The wrk layout has four words for
// them: connect is REFUSED to UNREACHABLE, read CLOSED to BAD, then write and timeout. Whoever adds one looks also at
// bench_print_details, bench_ab_failed and bench_httperf_errors, which name each.
#define BENCH_KIND_LIST(KIND) \
    KIND(REFUSED,         "connect_refused",   "Connection refused")       /* nobody listens there */ \
    KIND(CONNECT_TIMEOUT, "connect_timeout",   "Connecting timed out")     /* not up within --timeout */ \
    KIND(NO_PORTS,        "no_ports",          "No local port left")       /* every local port is taken */ \
    KIND(NO_DESCRIPTORS,  "no_descriptors",    "Too many open files") \
    KIND(UNREACHABLE,     "unreachable",       "Target unreachable")       /* any other reason */ \
    KIND(CLOSED,          "early_close",       "Closed early by the peer") /* unannounced, or in mid answer */ \
    KIND(RESET,           "reset",             "Connection reset") \
    KIND(BAD,             "bad_response",      "Not a valid answer")       /* no HTTP, or not the echo */ \
    KIND(WRITE,           "write",             "Sending failed") \
    KIND(STATUS,          "unexpected_status", "Unexpected status")        /* of a whole answer */ \
    KIND(BODY,            "unexpected_body",   "Unexpected body")          /* likewise */ \
    KIND(TIMEOUT,         "timeout",           "No answer in time")        /* none within --timeout */
// clang-format on

// clang-format off
// The histograms of a result, and of what a thread measures: field, and name in JSON, which has the unit.
#define BENCH_HIST_LIST(HIST) \
    HIST(response, "response_ns")    /* of what is done */ \
    HIST(service,  "service_ns")     /* likewise */ \
    HIST(censored, "censored_ns")    /* time so far of what timed out, was in flight at the end or never sent: "at least" */ \
    HIST(connect,  "connect_ns")     /* until a connection was up */ \
    HIST(wait,     "wait_ns")        /* from sending until the head of the answer was there */ \
    HIST(lag,      "lag_ns")         /* open loop: how late requests were sent although a connection was free */ \
    HIST(rate,     "requests_per_s") /* in each 100 ms of each thread */ \
    HIST(life,     "life_ns")        /* of connections that ended well: from opening one until its end */
// clang-format on

// What is done with each, by one line inside a function that has the result (or tally) as `into`, and perhaps another
// as `from`.
#define BENCH_HIST_FIELD(field, name) fsi_hist field;
#define BENCH_HIST_INIT(field, name) fsi_hist_init(&into->field);
#define BENCH_HIST_MERGE(field, name) fsi_hist_merge(&into->field, &from->field);
#define BENCH_HIST_TOO_LARGE(field, name) || into->field.count > UINT64_MAX - from->field.count

#define BENCH_KIND_ENUM(kind, name, words) BENCH_##kind,
#define BENCH_KIND_NAME(kind, name, words) name,
#define BENCH_KIND_WORDS(kind, name, words) words,
typedef enum bench_kind { BENCH_KIND_LIST(BENCH_KIND_ENUM) BENCH_KINDS } bench_kind;
static const char *const bench_kind_names[BENCH_KINDS] = {BENCH_KIND_LIST(BENCH_KIND_NAME)}; // JSON
static const char *const bench_kind_words[BENCH_KINDS] = {BENCH_KIND_LIST(BENCH_KIND_WORDS)};

#define BENCH_SLOTS_MAX 512  // slots of the series; when they are full, two become one
#define BENCH_COARSE_SHIFT 4 // of a cell of fsi_hist: 8 cells to each power of two are what a figure over time needs

// One slot of the series. Latencies are of requests that ended well in it, by response time.
typedef struct bench_slot {
    uint64_t done, errors, timeouts;
    uint64_t p50, p99, max;
} bench_slot;

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
    bool close, rst, spin, echo, self_hosted;
    bool body; // requests have one
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
    char doubts[1024];                   // why it is not to be trusted, a line for each reason; "": it is

    BENCH_HIST_LIST(BENCH_HIST_FIELD)

    bench_slot slots[BENCH_SLOTS_MAX];
    uint32_t slot_count;
    uint64_t slot_ns; // length of a slot

    uint64_t conns_opened, conns_lost, conns_most; // most: open at a time
    uint64_t conns_starved;                        // wanted an answer and never got one, of any kind
    uint64_t syn_retransmits;
    uint64_t client_user_ns, client_sys_ns; // CPU time of the load threads
    uint64_t busiest_ns;                    // of the busiest load thread
    uint64_t server_cpu_ns;                 // self-hosted or --pid; 0: not known
    uint64_t server_rss;                    // bytes, the most that was seen; 0: not known
    uint64_t steal_ns, throttled_ns,
        other_ns; // of this machine's CPUs, taken away in the run; other: by other processes
} bench_result;

// Empty, as before a run.
static void bench_result_init(bench_result *into)
{
    memset(into, 0, sizeof *into);
    BENCH_HIST_LIST(BENCH_HIST_INIT)
}

// The smallest value of a cell of fsi_hist.
static uint64_t bench_cell_low(uint32_t cell)
{
    if (cell < (2u << FSI_HIST_BITS)) return cell;
    uint32_t shift = (cell >> FSI_HIST_BITS) - 1;
    return (uint64_t)((cell & ((1u << FSI_HIST_BITS) - 1)) + (1u << FSI_HIST_BITS)) << shift;
}

// Mean and standard deviation of n values, from their sum and the sum of their squares.
static void bench_moments_of(double n, double sum, double sum2, double *mean, double *deviation)
{
    *mean = n > 0 ? sum / n : 0;
    *deviation = n > 1 ? bench_sqrt((sum2 - sum * *mean) / (n - 1)) : 0;
}

static void bench_moments(const fsi_hist *hist, double *mean, double *deviation)
{
    bench_moments_of((double)hist->count, hist->sum, hist->sum2, mean, deviation);
}

// Walks up the values of a distribution by the product-limit estimate: what was cut off counts as "at least so long".
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
    uint64_t last = ended->max, cut_last = cut ? cut->max : 0;
    return cut_last > last ? cut_last : last;
}

// The value that the share q does not exceed; 1: the greatest, exactly. *beyond: that share never ended, it is more
// than what is returned. 0 when there is nothing.
static uint64_t bench_curve_at(bench_curve *curve, double q, bool *beyond)
{
    *beyond = false;
    if (curve->total <= 0) return 0;
    while (bench_curve_next(curve))
        if (curve->alive <= (1 - q) * (1 + 1e-12)) return q >= 1 ? curve->ended->max : curve->value;
    *beyond = true;
    return bench_curve_end(curve->ended, curve->cut);
}

// Mean and standard deviation. Where some never ended, of the estimate up to its end: "at least", and curve->alive is
// not 0.
static void bench_curve_moments(bench_curve *curve, double *mean, double *deviation)
{
    double before = 1, sum = 0, sum2 = 0, end = (double)bench_curve_end(curve->ended, curve->cut);
    if (curve->total <= (double)curve->ended->count) { // exact, not by cells
        bench_moments(curve->ended, mean, deviation);
        curve->alive = 0;
        return;
    }
    for (; bench_curve_next(curve); before = curve->alive) {
        double value = (double)curve->value, share = before - curve->alive;
        sum += value * share;
        sum2 += value * value * share;
    }
    *mean = sum + end * before;
    *deviation = bench_sqrt(sum2 + end * end * before - *mean * *mean);
}

// The response time that the share q of all requests did not exceed, as bench_curve_at.
// Of all but those that failed: they have no answer whose time could stand here. To cut them off at the moment of
// failing would claim that they were about to end as the others did, and to take them for endless would hide how fast
// the answers were; so a run that has any says so beside its percentiles, and an objective takes them for endless
// (bench_quantile_due).
static uint64_t bench_quantile(const bench_result *result, double q, bool *beyond)
{
    bench_curve curve = bench_curve_of(&result->response, &result->censored);
    return bench_curve_at(&curve, q, beyond);
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

// To divide by: never 0.
static double bench_run_s(const bench_result *result)
{
    return result->run_ns ? (double)result->run_ns / 1e9 : 1e-9;
}

// Answers per second: what wrk calls Requests/sec.
static double bench_answer_rate(const bench_result *result)
{
    return (double)bench_answers(result) / bench_run_s(result);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-os   What the program, main.c too, asks of the system and the header has not got. One section for each system has
//
//   bench_os_begin(&argc, &argv)  first in main: arguments are UTF-8, streams and files carry bytes as they are, a console shows
//                                 UTF-8, until the process ends. False: out of memory
//   bench_os_on_stop(stop)        stop() is called when the user or the system wants the process to end; the time after that ends it.
//                                 It runs in a signal handler or on a thread of its own, so it sets words and wakes an io. NULL: as
//                                 if nobody had asked. Once this has returned, the function that was there before runs no more
//   bench_os_on_hangup(hung_up)   hung_up() is called for each SIGHUP, in a signal handler, where there is such a thing; NULL: it
//                                 is ignored from now on
//   bench_os_keep_pipes()         writing to a pipe that nobody reads fails from now on, and ends nothing
//   bench_os_open(path, mode)     as fopen, errno too; the path is UTF-8
//   bench_os_sink_open(path) _close(sink)  what is written to at its end, by its owner's thread alone; the path is UTF-8, NULL: the
//                                 standard output. The file may be renamed meanwhile. BENCH_OS_NO_SINK: fsi_os_error() says why
//   bench_os_sink_write(sink, data, len)  returns how many bytes it took, at least one; 0: fsi_os_error() says why, and
//                                 BENCH_OS_LATER(error) that it only has no room now, BENCH_OS_NO_READER(error) that it will never
//                                 take any
//   bench_os_sink_moved(sink, path)  another file is there now, or none, on a system where no SIGHUP says so
//   bench_os_in_way(path)         a file is there that is no socket
//   bench_os_outside(port, out, size)  "1.2.3.4:80": the IPv4 address from which this machine would send to the internet, asked of
//                                 its routes without sending anything. False: it has none. out has room for 64 bytes
//   bench_os_is_terminal(stream)  and one that understands "\r" and "\033[K"
//   bench_os_resolve_text(error, out, size)  what getaddrinfo has returned, in words
//   bench_os_descriptors(need)    lets the process have so many, as far as that is possible. Returns how many it may have,
//                                 UINT64_MAX: no limit
//   bench_os_exact_begin(alarm, io) _end(alarm)  between them bench_os_wait of this thread ends as exactly as the system can. The
//                                 alarm is zero before and after
//   bench_os_wait(alarm, io, us)  fsi_io_wait
//   bench_os_thread_ns()          CPU time of the calling thread; 0 where the system does not tell, as in all of these:
//   bench_os_self(usage) bench_os_machine(usage) bench_os_process(usage, pid)  fill in what they know
//   bench_os_ports() bench_os_backlog()  local ports to choose from; most that a listener's queue can hold
//   bench_os_system(out, size) bench_os_cpu(out, size)  "Linux 6.18.5 x86_64", "Intel ..."; "": not known
//   bench_os_failures             how connecting fails: the system's error, what that is, and what to do; the last one is 0
//   BENCH_OS_TIMED_OUT BENCH_OS_QUEUE_FULL  errors: nobody answered; the backlog of a Unix-domain socket is full
//   BENCH_OS_SENDS_AHEAD          so many bytes of a write that is pending may have left already
//   BENCH_OS_LOOPBACK BENCH_OS_BACKLOG BENCH_OS_MORE_FILES  words: whose CPU time loopback is, in a line of its own; a setting's
//                                 name; how to raise the descriptor limit
// ---------------------------------------------------------------------------------------------------------

typedef struct bench_usage {
    uint64_t process_ns, user_ns, sys_ns;     // this process
    uint64_t busy_ns, steal_ns, throttled_ns; // the machine
    uint64_t server_ns, server_rss;           // another process, bytes
} bench_usage;

typedef struct bench_os_alarm {
    void *timer, *quit; // Windows', as all of it
    fsi_io *io;
    fsi_thread thread;
} bench_os_alarm;

typedef struct bench_os_failure {
    int error;
    bench_kind kind;
    const char *advice;
} bench_os_failure;

#define BENCH_OUTSIDE 0xc0000201u // 192.0.2.1, of documents (RFC 5737): only the route to it is asked for

// The address that a socket towards outside has got, with a port of ours. False: it is no other than this machine's own.
FSI_PRIVATE bool bench_outside_text(const fsi_sockaddr *at, uint32_t port, char *out, size_t size)
{
    struct sockaddr_in in4;
    fsi_sockaddr with_port;
    memcpy(&in4, &at->storage, sizeof in4);
    uint32_t ip = ntohl(in4.sin_addr.s_addr);
    if (in4.sin_family != AF_INET || ip == 0 || ip >> 24 == 127) return false;
    fsi_sockaddr_v4(&with_port, ip, port);
    out[fsi_sockaddr_text(&with_port, out, size)] = 0;
    return true;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-os-linux   /proc and the cgroup's files.
// ---------------------------------------------------------------------------------------------------------

#if FSI_LINUX
#include <sys/prctl.h>

#define BENCH_OS_LOOPBACK "; on loopback the sender's CPU time includes the receiver's softirq work"
#define BENCH_OS_BACKLOG "net.core.somaxconn"

static uint64_t bench_os_descriptors_most(uint64_t hard)
{
    return hard;
}

// Waits are otherwise 50 us too long, in exchange for fewer interrupts.
static void bench_os_exact_begin(bench_os_alarm *alarm, fsi_io *io)
{
    (void)alarm, (void)io;
    (void)prctl(PR_SET_TIMERSLACK, 10000UL, 0UL, 0UL, 0UL); // ns
}

static void bench_os_exact_end(bench_os_alarm *alarm)
{
    (void)alarm;
    (void)prctl(PR_SET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL); // as the thread began
}

// The number behind `key` in a file of lines "key number".
static uint64_t bench_file_number(const char *path, const char *key)
{
    char text[4096];
    if (!fsi_read_small(path, text, sizeof text)) return 0;
    const char *at = key ? strstr(text, key) : text;
    return at ? strtoull(at + (key ? strlen(key) : 0), NULL, 10) : 0;
}

static void bench_os_machine(bench_usage *usage)
{
    char text[512], *at = text + 4, *end;
    if (!fsi_read_small("/proc/stat", text, sizeof text) || strncmp(text, "cpu ", 4) != 0) return;
    for (int column = 1; column <= 8; column++, at = end) {
        uint64_t ticks = strtoull(at, &end, 10);
        if (column == 8) usage->steal_ns = ticks * 10000000;
        if (column < 4 || column == 6 || column == 7) usage->busy_ns += ticks * 10000000;
    }
    usage->throttled_ns = bench_file_number("/sys/fs/cgroup/cpu.stat", "throttled_usec ") * 1000;
}

static void bench_os_process(bench_usage *usage, uint64_t pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    if (!fsi_read_small(path, text, sizeof text)) return;
    char *at = strrchr(text, ')'); // a program's name may hold anything
    uint64_t ticks = 0;
    for (int column = 2; at && column < 15; column++) {
        at = strchr(at + 1, ' ');
        if (at && column >= 13) ticks += strtoull(at, NULL, 10);
    }
    usage->server_ns = ticks * 10000000;
    (void)snprintf(path, sizeof path, "/proc/%llu/status", (unsigned long long)pid);
    usage->server_rss = bench_file_number(path, "VmRSS:") * 1024;
}

static uint64_t bench_os_ports(void)
{
    char range[64], *end;
    if (!fsi_read_small("/proc/sys/net/ipv4/ip_local_port_range", range, sizeof range)) return 0;
    uint64_t low = strtoull(range, &end, 10), high = strtoull(end, NULL, 10);
    return high - low + 1;
}

static uint64_t bench_os_backlog(void)
{
    return bench_file_number("/proc/sys/net/core/somaxconn", NULL);
}

// "model name : Intel ..."
static void bench_os_cpu(char *out, size_t size)
{
    char text[2048];
    const char *at = NULL;
    if (fsi_read_small("/proc/cpuinfo", text, sizeof text)) at = strstr(text, "model name");
    if (at) at = strchr(at, ':');
    size_t len = at ? strcspn(at += 2, "\n") : 0;
    (void)snprintf(out, size, "%.*s", (int)len, at ? at : "");
}
#endif // >>bench-os-linux

// ---------------------------------------------------------------------------------------------------------
// >>bench-os-macos   Mach and sysctl.
// ---------------------------------------------------------------------------------------------------------

#if FSI_MACOS
#include <libproc.h>
#include <limits.h>
#include <mach/mach.h>
#include <mach/mach_time.h>
#include <sys/sysctl.h>

#define BENCH_OS_LOOPBACK ""
#define BENCH_OS_BACKLOG "kern.ipc.somaxconn"

static uint64_t bench_os_number(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value > 0 ? (uint64_t)value : 0;
}

// The hard limit says "infinity", and asking for more than this is refused.
static uint64_t bench_os_descriptors_most(uint64_t hard)
{
    uint64_t most = bench_os_number("kern.maxfilesperproc");
    if (!most) most = OPEN_MAX;
    return hard < most ? hard : most;
}

static void bench_os_exact_begin(bench_os_alarm *alarm, fsi_io *io)
{
    (void)alarm, (void)io; // a thread of normal priority has no choice
}

static void bench_os_exact_end(bench_os_alarm *alarm)
{
    (void)alarm;
}

// Ticks are of 10 ms. What the hypervisor takes away is not told.
static void bench_os_machine(bench_usage *usage)
{
    host_cpu_load_info_data_t load;
    mach_msg_type_number_t count = HOST_CPU_LOAD_INFO_COUNT;
    mach_port_t host = mach_host_self();
    if (host_statistics(host, HOST_CPU_LOAD_INFO, (host_info_t)&load, &count) == KERN_SUCCESS)
        usage->busy_ns = ((uint64_t)load.cpu_ticks[CPU_STATE_USER] + load.cpu_ticks[CPU_STATE_SYSTEM] +
                          load.cpu_ticks[CPU_STATE_NICE]) *
                         10000000;
    (void)mach_port_deallocate(mach_task_self(), host);
}

static void bench_os_process(bench_usage *usage, uint64_t pid)
{
    struct rusage_info_v2 info;
    mach_timebase_info_data_t base; // times are in its units, which are no nanoseconds on ARM
    memset(&info, 0, sizeof info);
    if (pid > INT_MAX || proc_pid_rusage((int)pid, RUSAGE_INFO_V2, (rusage_info_t *)(void *)&info) != 0) return;
    if (mach_timebase_info(&base) != KERN_SUCCESS || !base.denom) return;
    double ticks = (double)info.ri_user_time + (double)info.ri_system_time;
    usage->server_ns = (uint64_t)(ticks * base.numer / base.denom);
    usage->server_rss = info.ri_resident_size;
}

static uint64_t bench_os_ports(void)
{
    uint64_t first = bench_os_number("net.inet.ip.portrange.first"),
             last = bench_os_number("net.inet.ip.portrange.last");
    return first && last >= first ? last - first + 1 : 0;
}

static uint64_t bench_os_backlog(void)
{
    return bench_os_number(BENCH_OS_BACKLOG);
}

static void bench_os_cpu(char *out, size_t size)
{
    if (sysctlbyname("machdep.cpu.brand_string", out, &size, NULL, 0) != 0) out[0] = 0;
}
#endif // >>bench-os-macos

// ---------------------------------------------------------------------------------------------------------
// >>bench-os-freebsd   sysctl.
// ---------------------------------------------------------------------------------------------------------

#if FSI_FREEBSD
#include <limits.h>
#include <sys/param.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#include <sys/user.h>

#define BENCH_OS_LOOPBACK ""
#define BENCH_OS_BACKLOG "kern.ipc.soacceptqueue"

static uint64_t bench_os_number(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value > 0 ? (uint64_t)value : 0;
}

static uint64_t bench_os_descriptors_most(uint64_t hard)
{
    return hard;
}

static void bench_os_exact_begin(bench_os_alarm *alarm, fsi_io *io)
{
    (void)alarm, (void)io; // waits are exact here
}

static void bench_os_exact_end(bench_os_alarm *alarm)
{
    (void)alarm;
}

// CPUs tell how many ticks they have spent in each of five ways; the last one is idle.
static void bench_os_machine(bench_usage *usage)
{
    long spent[5];
    struct clockinfo clock;
    size_t size = sizeof spent, clock_size = sizeof clock;
    memset(&clock, 0, sizeof clock);
    if (sysctlbyname("kern.cp_time", spent, &size, NULL, 0) != 0 || size != sizeof spent) return;
    if (sysctlbyname("kern.clockrate", &clock, &clock_size, NULL, 0) != 0) return;
    uint64_t tick_ns = 1000000000u / (uint64_t)(clock.stathz > 0 ? clock.stathz : clock.hz > 0 ? clock.hz : 128);
    for (int way = 0; way < 4; way++) usage->busy_ns += (uint64_t)spent[way] * tick_ns;
}

static void bench_os_process(bench_usage *usage, uint64_t pid)
{
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    if (pid > INT_MAX || sysctl(name, 4, &info, &size, NULL, 0) != 0 || size != sizeof info) return;
    usage->server_ns = (uint64_t)info.ki_runtime * 1000;
    usage->server_rss = (uint64_t)info.ki_rssize * (uint64_t)getpagesize();
}

static uint64_t bench_os_ports(void)
{
    uint64_t first = bench_os_number("net.inet.ip.portrange.first"),
             last = bench_os_number("net.inet.ip.portrange.last");
    return first && last >= first ? last - first + 1 : 0;
}

static uint64_t bench_os_backlog(void)
{
    return bench_os_number(BENCH_OS_BACKLOG);
}

static void bench_os_cpu(char *out, size_t size)
{
    if (sysctlbyname("hw.model", out, &size, NULL, 0) != 0) out[0] = 0;
}
#endif // >>bench-os-freebsd

// ---------------------------------------------------------------------------------------------------------
// >>bench-os-bsd   The others tell each in a way of its own: not known here.
// ---------------------------------------------------------------------------------------------------------

#if FSI_BSD && !FSI_FREEBSD
#define BENCH_OS_LOOPBACK ""
#define BENCH_OS_BACKLOG ""

static uint64_t bench_os_descriptors_most(uint64_t hard)
{
    return hard;
}

static void bench_os_exact_begin(bench_os_alarm *alarm, fsi_io *io)
{
    (void)alarm, (void)io;
}

static void bench_os_exact_end(bench_os_alarm *alarm)
{
    (void)alarm;
}

static void bench_os_machine(bench_usage *usage)
{
    (void)usage;
}

static void bench_os_process(bench_usage *usage, uint64_t pid)
{
    (void)usage, (void)pid;
}

static uint64_t bench_os_ports(void)
{
    return 0;
}

static uint64_t bench_os_backlog(void)
{
    return 0;
}

static void bench_os_cpu(char *out, size_t size)
{
    (void)snprintf(out, size, "%s", "");
}
#endif // >>bench-os-bsd

// ---------------------------------------------------------------------------------------------------------
// >>bench-os-posix   What all of those share.
// ---------------------------------------------------------------------------------------------------------

#if FSI_POSIX
#include <netdb.h>
#include <sys/utsname.h>

#define BENCH_OS_TIMED_OUT ETIMEDOUT
#define BENCH_OS_QUEUE_FULL EAGAIN
#define BENCH_OS_MORE_FILES "raise it (ulimit -n) or lower -c"
#define BENCH_OS_SENDS_AHEAD 0

static const bench_os_failure bench_os_failures[] = {
    {ECONNREFUSED, BENCH_REFUSED, "is the server running, and on that port?"},
    {ETIMEDOUT, BENCH_CONNECT_TIMEOUT, "nothing answers there; a firewall, or the wrong address?"},
    {ENETUNREACH, BENCH_UNREACHABLE, "there is no way to that address from here"},
    {EHOSTUNREACH, BENCH_UNREACHABLE, "there is no way to that address from here"},
    {EADDRNOTAVAIL, BENCH_NO_PORTS, "no local port is free"},
    {EADDRINUSE, BENCH_NO_PORTS, "check the address"},
    {EMFILE, BENCH_NO_DESCRIPTORS, "too many open files; raise the limit (ulimit -n) or lower -c"},
    {ENFILE, BENCH_NO_DESCRIPTORS, "too many open files; raise the limit (ulimit -n) or lower -c"},
    {ECONNRESET, BENCH_RESET, "check the address"},
    {ENOENT, BENCH_UNREACHABLE, "there is no such socket"},
    {0, BENCH_UNREACHABLE, "check the address"}};

FSI_PRIVATE bool bench_os_begin(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return true;
}

static uint32_t bench_os_wait(bench_os_alarm *alarm, fsi_io *io, uint64_t us)
{
    (void)alarm;
    return fsi_io_wait(io, us);
}

static void (*bench_os_stop)(void);

static void bench_os_signals(void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT); // one at a time
    sigaddset(&action.sa_mask, SIGTERM);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

// The program's other threads block signals: this interrupts the one that has called bench_os_on_stop.
static void bench_os_signalled(int number)
{
    int error = errno;
    (void)number;
    bench_os_signals(SIG_DFL);
    bench_os_stop();
    errno = error;
}

static void bench_os_on_stop(void (*stop)(void))
{
    if (!stop) bench_os_signals(SIG_DFL);
    bench_os_stop = stop;
    if (stop) bench_os_signals(bench_os_signalled);
}

static void (*bench_os_hangup)(void);

static void bench_os_hung_up(int number)
{
    int error = errno;
    (void)number;
    bench_os_hangup();
    errno = error;
}

FSI_PRIVATE void bench_os_on_hangup(void (*hung_up)(void))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = hung_up ? bench_os_hung_up : SIG_IGN;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (hung_up) bench_os_hangup = hung_up;
    (void)sigaction(SIGHUP, &action, NULL);
}

FSI_PRIVATE void bench_os_keep_pipes(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
}

typedef int bench_os_sink;
#define BENCH_OS_NO_SINK (-1)
#define BENCH_OS_LATER(error) ((error) == EAGAIN || (error) == EWOULDBLOCK)
#define BENCH_OS_NO_READER(error) ((error) == EPIPE)

FSI_PRIVATE bench_os_sink bench_os_sink_open(const char *path)
{
    int fd;
    if (!path) return fcntl(STDOUT_FILENO, F_GETFD) < 0 ? BENCH_OS_NO_SINK : STDOUT_FILENO;
    do fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

FSI_PRIVATE void bench_os_sink_close(bench_os_sink sink)
{
    if (sink != STDOUT_FILENO) (void)close(sink);
}

FSI_PRIVATE size_t bench_os_sink_write(bench_os_sink sink, const void *data, size_t len)
{
    ssize_t n;
    do n = write(sink, data, len);
    while (n < 0 && errno == EINTR);
    if (n == 0) errno = EAGAIN;
    return n > 0 ? (size_t)n : 0;
}

FSI_PRIVATE bool bench_os_sink_moved(bench_os_sink sink, const char *path)
{
    (void)sink, (void)path;
    return false;
}

static FILE *bench_os_open(const char *path, const char *mode)
{
    return fopen(path, mode);
}

FSI_PRIVATE bool bench_os_in_way(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISSOCK(info.st_mode);
}

FSI_PRIVATE bool bench_os_outside(uint32_t port, char *out, size_t size)
{
    fsi_sockaddr to, at;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) return false;
    fsi_sockaddr_v4(&to, BENCH_OUTSIDE, 9);
    bool known = connect(fd, (const struct sockaddr *)(const void *)&to.storage, to.len) == 0 && fsi_sock_name(fd, &at);
    (void)close(fd);
    return known && bench_outside_text(&at, port, out, size);
}

static bool bench_os_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) != 0;
}

static const char *bench_os_resolve_text(int error, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", gai_strerror(error));
    return out;
}

// The soft limit is often 1024 for the sake of select(), which nobody uses here.
static uint64_t bench_os_descriptors(uint64_t need)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    uint64_t has = (uint64_t)limit.rlim_cur, most = UINT64_MAX;
    if (limit.rlim_max != RLIM_INFINITY) most = (uint64_t)limit.rlim_max;
    most = bench_os_descriptors_most(most);
    if (need <= has || most <= has) return has;
    if (need < most) most = need;
    limit.rlim_cur = most == UINT64_MAX ? RLIM_INFINITY : (rlim_t)most;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? most : has;
}

static uint64_t bench_os_thread_ns(void)
{
    return fsi_timespec_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void bench_os_self(bench_usage *usage)
{
    struct rusage self;
    usage->process_ns = fsi_timespec_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (getrusage(RUSAGE_SELF, &self) != 0) return;
    usage->user_ns = (uint64_t)self.ru_utime.tv_sec * 1000000000u + (uint64_t)self.ru_utime.tv_usec * 1000;
    usage->sys_ns = (uint64_t)self.ru_stime.tv_sec * 1000000000u + (uint64_t)self.ru_stime.tv_usec * 1000;
}

static void bench_os_system(char *out, size_t size)
{
    struct utsname name;
    out[0] = 0;
    if (uname(&name) >= 0) (void)snprintf(out, size, "%.40s %.50s %.30s", name.sysname, name.release, name.machine);
}
#endif // >>bench-os-posix

// ---------------------------------------------------------------------------------------------------------
// >>bench-os-windows   DLLs that the header does not need are found at run time, so that nobody has to link them.
// ---------------------------------------------------------------------------------------------------------

#if FSI_WINDOWS
#include <fcntl.h>
#include <io.h>
#define PSAPI_VERSION 2 // its functions are kernel32's
#include <psapi.h>
#undef near // words of 16-bit compilers, which we use as any others
#undef far

#define BENCH_OS_LOOPBACK ""
#define BENCH_OS_BACKLOG ""
#define BENCH_OS_MORE_FILES "lower -c"
#define BENCH_OS_SENDS_AHEAD FSI_PINNED_BYTES
#define BENCH_OS_TIMED_OUT WSAETIMEDOUT
#define BENCH_OS_QUEUE_FULL WSAEWOULDBLOCK // never: it refuses

// An operation that has been waited for fails with an error of the system's, others with one of the sockets'.
static const bench_os_failure bench_os_failures[] = {
    {WSAECONNREFUSED, BENCH_REFUSED, "is the server running, and on that port?"},
    {ERROR_CONNECTION_REFUSED, BENCH_REFUSED, "is the server running, and on that port?"},
    {WSAETIMEDOUT, BENCH_CONNECT_TIMEOUT, "nothing answers there; a firewall, or the wrong address?"},
    {ERROR_SEM_TIMEOUT, BENCH_CONNECT_TIMEOUT, "nothing answers there; a firewall, or the wrong address?"},
    {WSAENETUNREACH, BENCH_UNREACHABLE, "there is no way to that address from here"},
    {ERROR_NETWORK_UNREACHABLE, BENCH_UNREACHABLE, "there is no way to that address from here"},
    {WSAEHOSTUNREACH, BENCH_UNREACHABLE, "there is no way to that address from here"},
    {ERROR_HOST_UNREACHABLE, BENCH_UNREACHABLE, "there is no way to that address from here"},
    {WSAEADDRNOTAVAIL, BENCH_NO_PORTS, "no local port is free"},
    {WSAEADDRINUSE, BENCH_NO_PORTS, "no local port is free"},
    {WSAENOBUFS, BENCH_NO_PORTS, "no local port is free, or no memory for sockets"},
    {WSAEMFILE, BENCH_NO_DESCRIPTORS, "too many sockets; lower -c"},
    {WSAECONNRESET, BENCH_RESET, "check the address"},
    {WSAECONNABORTED, BENCH_RESET, "check the address"},
    {ERROR_NETNAME_DELETED, BENCH_RESET, "check the address"},
    {ERROR_CONNECTION_ABORTED, BENCH_RESET, "check the address"},
    {0, BENCH_UNREACHABLE, "check the address"}};

typedef void bench_os_function(void);

// A function of one of the system's DLLs, to be cast to what it is; NULL: there is none.
static bench_os_function *bench_os_find(const wchar_t *dll, const char *name)
{
    HMODULE module = LoadLibraryExW(dll, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32); // stays: the process needs it to its end
    return module ? (bench_os_function *)GetProcAddress(module, name) : NULL;
}

// UTF-8 of a text, in memory of the caller's; NULL: out of memory.
static char *bench_os_narrow(const wchar_t *wide)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = size > 0 ? (char *)malloc((size_t)size) : NULL;
    if (text) (void)WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
    return text;
}

// ---- the console and the arguments

// What was found there; it is put back when the process ends.
static struct {
    UINT page; // 0: untouched
    DWORD modes[2];
    bool changed[2]; // of standard output and error
} bench_os_console;

static HANDLE bench_os_console_handle(int i)
{
    return GetStdHandle(i ? STD_ERROR_HANDLE : STD_OUTPUT_HANDLE);
}

static void bench_os_console_restore(void)
{
    for (int i = 1; i >= 0; i--)
        if (bench_os_console.changed[i]) (void)SetConsoleMode(bench_os_console_handle(i), bench_os_console.modes[i]);
    if (bench_os_console.page) (void)SetConsoleOutputCP(bench_os_console.page);
}

static void bench_os_console_begin(void)
{
    bool any = false;
    for (int i = 0; i < 2; i++) {
        DWORD *mode = &bench_os_console.modes[i];
        if (!GetConsoleMode(bench_os_console_handle(i), mode)) continue; // a file or a pipe
        any = true;
        bench_os_console.changed[i] =
            !(*mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING) &&
            SetConsoleMode(bench_os_console_handle(i), *mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    }
    UINT page = any ? GetConsoleOutputCP() : CP_UTF8;
    if (page != CP_UTF8 && SetConsoleOutputCP(CP_UTF8)) bench_os_console.page = page;
    (void)atexit(bench_os_console_restore);
}

// The words of the command line. They stay until the process ends.
static bool bench_os_arguments(int *argc, char ***argv)
{
    LPWSTR *(WINAPI * split)(LPCWSTR, int *) =
        (LPWSTR * (WINAPI *)(LPCWSTR, int *)) bench_os_find(L"shell32.dll", "CommandLineToArgvW");
    int count = 0;
    LPWSTR *words = split ? split(GetCommandLineW(), &count) : NULL;
    char **texts = words ? (char **)calloc((size_t)count + 1, sizeof *texts) : NULL;
    bool fine = texts != NULL;
    for (int i = 0; fine && i < count; i++) fine = (texts[i] = bench_os_narrow(words[i])) != NULL;
    if (words) (void)LocalFree(words);
    if (!fine) return false;
    *argc = count;
    *argv = texts;
    return true;
}

// ---- the end, from outside

static SRWLOCK bench_os_stop_lock = SRWLOCK_INIT;
static void (*bench_os_stop)(void); // under the lock, and while it runs too

// Ctrl-C, Ctrl-Break, a closed console, the user who logs off: on a thread that the system starts for it.
static BOOL WINAPI bench_os_control(DWORD event)
{
    AcquireSRWLockExclusive(&bench_os_stop_lock);
    void (*stop)(void) = bench_os_stop;
    bench_os_stop = NULL;
    if (stop) stop();
    ReleaseSRWLockExclusive(&bench_os_stop_lock);
    if (!stop) {
        bench_os_console_restore();
        (void)TerminateProcess(GetCurrentProcess(), 130);
    }
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT)
        Sleep(INFINITE); // returning would end the process now; main ends it, or the system in a few seconds
    return TRUE;
}

static void bench_os_on_stop(void (*stop)(void))
{
    AcquireSRWLockExclusive(&bench_os_stop_lock);
    bench_os_stop = stop;
    ReleaseSRWLockExclusive(&bench_os_stop_lock);
}

FSI_PRIVATE bool bench_os_begin(int *argc, char ***argv)
{
    (void)_setmode(_fileno(stdin), _O_BINARY);
    (void)_setmode(_fileno(stdout), _O_BINARY);
    (void)_setmode(_fileno(stderr), _O_BINARY);
    (void)setvbuf(stdout, NULL, _IOFBF, 8192); // else a console gets each byte apart, even within a character
    (void)setvbuf(stderr, NULL, _IOFBF, 1024);
    bench_os_console_begin();
    (void)SetConsoleCtrlHandler(bench_os_control, TRUE);
    return bench_os_arguments(argc, argv);
}

FSI_PRIVATE void bench_os_keep_pipes(void) {} // it is always so

FSI_PRIVATE void bench_os_on_hangup(void (*hung_up)(void))
{
    (void)hung_up;
}

static bool bench_os_is_terminal(FILE *stream)
{
    DWORD mode;
    return GetConsoleMode((HANDLE)_get_osfhandle(_fileno(stream)), &mode) &&
           (mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

// ---- files

// In the form that may be long, "\\?\C:\..." or "\\?\UNC\server\...", in memory of the caller's. NULL: out of memory.
static wchar_t *bench_os_long_path(const wchar_t *path)
{
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *text = size ? (wchar_t *)malloc(((size_t)size + 8) * sizeof *text) : NULL;
    if (!text) return NULL;
    DWORD len = GetFullPathNameW(path, size, text + 8, NULL);
    wchar_t *full = text + 8;
    if (len == 0 || len >= size) { // the folder has changed meanwhile
        free(text);
        return NULL;
    }
    bool net = full[0] == L'\\' && full[1] == L'\\';
    const wchar_t *before = net ? L"\\\\?\\UNC\\" : L"\\\\?\\";
    size_t before_len = net ? 8 : 4, skip = net ? 2 : 0;
    memmove(text + before_len, full + skip, (len - skip + 1) * sizeof *text);
    memcpy(text, before, before_len * sizeof *text);
    return text;
}

// A path as the system has it, in memory of the caller's. NULL: errno says why.
static wchar_t *bench_os_path(const char *path)
{
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
    wchar_t *wide = size > 0 ? (wchar_t *)malloc((size_t)size * sizeof *wide) : NULL;
    errno = size > 0 ? ENOMEM : EINVAL;
    if (!wide) return NULL;
    (void)MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, size);
    bool verbatim = wide[0] == L'\\' && wide[1] == L'\\' && (wide[2] == L'?' || wide[2] == L'.');
    if (size < MAX_PATH || verbatim) return wide;
    wchar_t *full = bench_os_long_path(wide);
    free(wide);
    return full;
}

static FILE *bench_os_open(const char *path, const char *mode)
{
    wchar_t how[4] = {(wchar_t)mode[0], L'b', 0, 0};
    wchar_t *wide = bench_os_path(path);
    FILE *file = wide ? _wfopen(wide, how) : NULL;
    int error = errno;
    free(wide);
    errno = error;
    return file;
}

typedef HANDLE bench_os_sink;
#define BENCH_OS_NO_SINK INVALID_HANDLE_VALUE
#define BENCH_OS_LATER(error) ((error) == ERROR_SUCCESS) // a pipe that does not wait has taken nothing
#define BENCH_OS_NO_READER(error) \
    ((error) == ERROR_BROKEN_PIPE || (error) == ERROR_NO_DATA || (error) == ERROR_PIPE_NOT_CONNECTED)

static HANDLE bench_os_open_handle(const char *path, DWORD access, DWORD how)
{
    wchar_t *wide = bench_os_path(path);
    if (!wide) {
        SetLastError(errno == ENOMEM ? ERROR_NOT_ENOUGH_MEMORY : ERROR_INVALID_NAME);
        return INVALID_HANDLE_VALUE;
    }
    HANDLE file = CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, how,
                              FILE_ATTRIBUTE_NORMAL, NULL);
    DWORD error = GetLastError();
    free(wide);
    SetLastError(error);
    return file;
}

FSI_PRIVATE bench_os_sink bench_os_sink_open(const char *path)
{
    if (!path) {
        HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
        if (!out) SetLastError(ERROR_INVALID_HANDLE);
        return out ? out : BENCH_OS_NO_SINK;
    }
    return bench_os_open_handle(path, FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE, OPEN_ALWAYS);
}

FSI_PRIVATE void bench_os_sink_close(bench_os_sink sink)
{
    if (sink != GetStdHandle(STD_OUTPUT_HANDLE)) (void)CloseHandle(sink);
}

FSI_PRIVATE size_t bench_os_sink_write(bench_os_sink sink, const void *data, size_t len)
{
    DWORD n = 0, most = len < 0x40000000u ? (DWORD)len : 0x40000000u;
    SetLastError(ERROR_SUCCESS);
    return WriteFile(sink, data, most, &n, NULL) ? n : 0;
}

FSI_PRIVATE bool bench_os_sink_moved(bench_os_sink sink, const char *path)
{
    BY_HANDLE_FILE_INFORMATION ours, there;
    if (GetFileType(sink) != FILE_TYPE_DISK || !GetFileInformationByHandle(sink, &ours)) return false;
    HANDLE file = bench_os_open_handle(path, FILE_READ_ATTRIBUTES, OPEN_EXISTING);
    if (file == INVALID_HANDLE_VALUE) return GetLastError() == ERROR_FILE_NOT_FOUND;
    bool known = GetFileInformationByHandle(file, &there) != 0;
    (void)CloseHandle(file);
    return known && (ours.dwVolumeSerialNumber != there.dwVolumeSerialNumber ||
                     ours.nFileIndexHigh != there.nFileIndexHigh || ours.nFileIndexLow != there.nFileIndexLow);
}

FSI_PRIVATE bool bench_os_in_way(const char *path)
{
    wchar_t *wide = bench_os_path(path);
    DWORD is = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
    free(wide);
    return is != INVALID_FILE_ATTRIBUTES && !(is & FILE_ATTRIBUTE_REPARSE_POINT); // which a socket is
}

FSI_PRIVATE bool bench_os_outside(uint32_t port, char *out, size_t size)
{
    fsi_sockaddr to, at;
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    if (s == INVALID_SOCKET) return false;
    fsi_sockaddr_v4(&to, BENCH_OUTSIDE, 9);
    bool known =
        connect(s, (const struct sockaddr *)(const void *)&to.storage, to.len) == 0 && fsi_sock_name((int)s, &at);
    (void)closesocket(s);
    return known && bench_outside_text(&at, port, out, size);
}

// ---- the rest

static const char *bench_os_resolve_text(int error, char *out, size_t size)
{
    return fsi_os_error_text(error, out, size); // it is one of the sockets'
}

static uint64_t bench_os_descriptors(uint64_t need)
{
    (void)need;
    return UINT64_MAX;
}

// ---- waiting. The io's own waits are whole milliseconds, and end at ticks of up to 16 ms unless a process asks for shorter ones.
//      Windows 10 has timers that are finer than those: one of them wakes the io when it is time.

static void bench_os_tick(const char *name)
{
    UINT(WINAPI * set)(UINT) = (UINT(WINAPI *)(UINT))bench_os_find(L"winmm.dll", name);
    if (set) (void)set(1); // ms
}

// A thread of its own: Wine's thread pool fails (8.0: a null pointer) when a wait is taken back just as it ends.
static void bench_os_alarm_main(void *arg)
{
    bench_os_alarm *alarm = (bench_os_alarm *)arg;
    HANDLE both[] = {alarm->timer, alarm->quit};
    while (WaitForMultipleObjects(2, both, FALSE, INFINITE) == WAIT_OBJECT_0) fsi_io_wake(alarm->io);
}

static void bench_os_alarm_close(bench_os_alarm *alarm)
{
    if (alarm->timer) (void)CloseHandle(alarm->timer);
    if (alarm->quit) (void)CloseHandle(alarm->quit);
    memset(alarm, 0, sizeof *alarm);
}

static void bench_os_exact_begin(bench_os_alarm *alarm, fsi_io *io)
{
    const DWORD high_resolution = 2; // CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
    bench_os_tick("timeBeginPeriod");
    alarm->io = io;
    alarm->timer = CreateWaitableTimerExW(NULL, NULL, high_resolution, TIMER_MODIFY_STATE | SYNCHRONIZE);
    alarm->quit = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!alarm->timer || !alarm->quit || !fsi_thread_start(&alarm->thread, bench_os_alarm_main, alarm, "alarm"))
        bench_os_alarm_close(alarm);
}

static void bench_os_exact_end(bench_os_alarm *alarm)
{
    if (alarm->timer) {
        (void)SetEvent(alarm->quit);
        fsi_thread_join(&alarm->thread); // it rings no more
    }
    bench_os_alarm_close(alarm);
    bench_os_tick("timeEndPeriod");
}

static uint32_t bench_os_wait(bench_os_alarm *alarm, fsi_io *io, uint64_t us)
{
    LARGE_INTEGER due;
    if (alarm->timer && us && us <= 3600000000u) {
        due.QuadPart = -(LONGLONG)us * 10; // negative: from now
        (void)SetWaitableTimer(alarm->timer, &due, 0, NULL, NULL, FALSE);
    }
    return fsi_io_wait(io, us);
}

static uint64_t bench_os_time_ns(FILETIME time)
{
    return (((uint64_t)time.dwHighDateTime << 32) | time.dwLowDateTime) * 100;
}

static uint64_t bench_os_thread_ns(void)
{
    FILETIME begin, end, sys, user;
    if (!GetThreadTimes(GetCurrentThread(), &begin, &end, &sys, &user)) return 0;
    return bench_os_time_ns(sys) + bench_os_time_ns(user);
}

static void bench_os_self(bench_usage *usage)
{
    FILETIME begin, end, sys, user;
    if (!GetProcessTimes(GetCurrentProcess(), &begin, &end, &sys, &user)) return;
    usage->user_ns = bench_os_time_ns(user);
    usage->sys_ns = bench_os_time_ns(sys);
    usage->process_ns = usage->user_ns + usage->sys_ns;
}

static void bench_os_machine(bench_usage *usage)
{
    FILETIME idle, sys, user;
    if (GetSystemTimes(&idle, &sys, &user)) // the idle time is a part of the system's
        usage->busy_ns = bench_os_time_ns(sys) + bench_os_time_ns(user) - bench_os_time_ns(idle);
}

static void bench_os_process(bench_usage *usage, uint64_t pid)
{
    FILETIME begin, end, sys, user;
    PROCESS_MEMORY_COUNTERS memory;
    HANDLE process = pid <= MAXDWORD ? OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)pid) : NULL;
    if (!process) return;
    if (GetProcessTimes(process, &begin, &end, &sys, &user))
        usage->server_ns = bench_os_time_ns(sys) + bench_os_time_ns(user);
    if (GetProcessMemoryInfo(process, &memory, sizeof memory)) usage->server_rss = memory.WorkingSetSize;
    (void)CloseHandle(process);
}

static uint64_t bench_os_ports(void)
{
    return 0; // a setting, and nothing tells it
}

static uint64_t bench_os_backlog(void)
{
    return 0;
}

// Not what a manifest makes of it: GetVersion tells programs without one that they run on Windows 8.
static void bench_os_system(char *out, size_t size)
{
    LONG(WINAPI * version_get)
    (OSVERSIONINFOW *) = (LONG(WINAPI *)(OSVERSIONINFOW *))bench_os_find(L"ntdll.dll", "RtlGetVersion");
    OSVERSIONINFOW version;
    SYSTEM_INFO machine;
    memset(&version, 0, sizeof version);
    version.dwOSVersionInfoSize = sizeof version;
    out[0] = 0;
    if (!version_get || version_get(&version) != 0) return;
    GetNativeSystemInfo(&machine);
    const char *name = machine.wProcessorArchitecture == PROCESSOR_ARCHITECTURE_AMD64 ? "x86_64"
                       : machine.wProcessorArchitecture == 12 /* ARM64 */             ? "arm64"
                                                                                      : "x86";
    (void)snprintf(out, size, "Windows %u.%u.%u %s", (unsigned)version.dwMajorVersion, (unsigned)version.dwMinorVersion,
                   (unsigned)version.dwBuildNumber, name);
}

static void bench_os_cpu(char *out, size_t size)
{
    LONG(WINAPI * get)
    (HKEY, LPCWSTR, LPCWSTR, DWORD, LPDWORD, PVOID, LPDWORD) =
        (LONG(WINAPI *)(HKEY, LPCWSTR, LPCWSTR, DWORD, LPDWORD, PVOID, LPDWORD))bench_os_find(L"advapi32.dll",
                                                                                              "RegGetValueW");
    wchar_t wide[128];
    DWORD bytes = sizeof wide;
    const DWORD as_text = 2; // RRF_RT_REG_SZ
    out[0] = 0;
    if (!get || get(HKEY_LOCAL_MACHINE, L"HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0", L"ProcessorNameString",
                    as_text, NULL, wide, &bytes) != 0)
        return;
    char *text = bench_os_narrow(wide);
    size_t len = text ? strlen(text) : 0;
    while (len && text[len - 1] == ' ') len--; // some are padded
    (void)snprintf(out, size, "%.*s", (int)len, text ? text : "");
    free(text);
}
#endif // >>bench-os-windows

// ---------------------------------------------------------------------------------------------------------
// >>bench-law   How late a target answers, as a law whose quantiles are known: delays of one distribution, and perhaps a freeze
//               that comes again and again. What a load generator reports can be held against it. Pure functions.
// ---------------------------------------------------------------------------------------------------------

#define BENCH_LAW_NS_MAX 3600000000000000u // 1000 hours; longer draws are cut to it

typedef enum bench_law_kind {
    BENCH_LAW_NONE,
    BENCH_LAW_CONST,
    BENCH_LAW_EXP,
    BENCH_LAW_UNIFORM,
    BENCH_LAW_LOGNORMAL,
    BENCH_LAW_PARETO,
    BENCH_LAW_FREEZE, // no distribution: it stands beside one
    BENCH_LAW_SEED,   // likewise
    BENCH_LAW_SPIN,   // likewise
    BENCH_LAW_KINDS
} bench_law_kind;

typedef struct bench_law {
    uint8_t kind;                  // bench_law_kind, of the distribution
    double a;                      // ns: the value, the mean (exp), the least (uniform, pareto), the median (lognormal)
    double b;                      // ns: the greatest (uniform); sigma (lognormal), alpha (pareto)
    uint64_t freeze_ns, period_ns; // nothing is answered in the last freeze_ns of each period; 0, 1: no freeze
    uint64_t seed;
    bool spin;      // never sleep: a machine that wakes late would add to the law
    char text[128]; // as it was typed: letters, digits and : , / . - only
} bench_law;

// The shares of the law at which its delays are drawn: of BENCH_DRAWS in a row each 1/BENCH_DRAWS of the distribution
// brings one, in random order. So even a run of seconds meets the law and not the luck of a seed: the median of the
// first 10,000 independent draws was 4.6 % off with one.
#define BENCH_DRAWS 1024
typedef struct bench_draws {
    uint64_t random;
    uint32_t left; // of this round, in order[0 .. left-1]
    uint16_t order[BENCH_DRAWS];
} bench_draws;

static void bench_draws_init(bench_draws *draws, uint64_t seed)
{
    memset(draws, 0, sizeof *draws);
    draws->random = seed;
}

// In (0, 1].
static double bench_draws_next(bench_draws *draws)
{
    if (draws->left == 0) {
        for (uint32_t i = 0; i < BENCH_DRAWS; i++) draws->order[i] = (uint16_t)i;
        draws->left = BENCH_DRAWS;
    }
    uint32_t at = (uint32_t)(bench_random_bits(&draws->random) % draws->left--);
    uint16_t part = draws->order[at];
    draws->order[at] = draws->order[draws->left];
    return (part + bench_random(&draws->random)) / BENCH_DRAWS;
}

// One delay, ns.
static uint64_t bench_law_draw(const bench_law *law, bench_draws *draws)
{
    double ns = law->a, u = bench_draws_next(draws);
    switch ((bench_law_kind)law->kind) {
    case BENCH_LAW_EXP: ns *= -bench_ln(u); break;
    case BENCH_LAW_UNIFORM: ns += (law->b - law->a) * u; break;
    case BENCH_LAW_LOGNORMAL: ns *= bench_exp(law->b * bench_normal_quantile(u)); break;
    case BENCH_LAW_PARETO: ns *= bench_exp(-bench_ln(u) / law->b); break;
    default: break;
    }
    return ns < (double)BENCH_LAW_NS_MAX ? (uint64_t)(ns + 0.5) : BENCH_LAW_NS_MAX;
}

// F(t), the share of delays up to t; *below gets what they contribute to the mean, the integral of x dF(x) from 0 to t.
static double bench_law_cdf(const bench_law *law, double t, double *below)
{
    double a = law->a, b = law->b, rest, z;
    *below = 0;
    if (t <= 0 && a > 0) return 0;
    switch ((bench_law_kind)law->kind) {
    case BENCH_LAW_EXP:
        rest = bench_exp(-t / a);
        *below = a - (t + a) * rest;
        return 1 - rest;
    case BENCH_LAW_UNIFORM:
        if (t <= a) return 0;
        if (t > b) t = b;
        *below = (t * t - a * a) / (2 * (b - a));
        return (t - a) / (b - a);
    case BENCH_LAW_LOGNORMAL:
        z = bench_ln(t / a) / b;
        *below = a * bench_exp(b * b / 2) * bench_normal(z - b);
        return bench_normal(z);
    case BENCH_LAW_PARETO:
        if (t <= a) return 0;
        rest = bench_exp(-b * bench_ln(t / a));
        *below = b > 1 || b < 1 ? b / (1 - b) * (t * rest - a) : a * bench_ln(t / a);
        return 1 - rest;
    default: break;
    }
    if (t < a) return 0;
    *below = a;
    return 1;
}

// Share of the responses up to t. Arrivals are uniform in time, so t after its arrival a request finds the target awake
// with chance 1 - L/P (L long freeze, P period), and is answered if its delay was at most t; or s deep in a freeze, 0
// <= s < L, and then is answered if it fell due before that began, with a delay of at most t - s. The integral of F is
// t F(t) - `below`.
static double bench_law_share(const bench_law *law, double t)
{
    double below, share = bench_law_cdf(law, t, &below), length = (double)law->freeze_ns;
    double awake = (double)(law->period_ns - law->freeze_ns) * share, frozen = t * share - below;
    if (law->freeze_ns == 0) return share;
    if (t > length) {
        share = bench_law_cdf(law, t - length, &below);
        frozen -= (t - length) * share - below;
    }
    return (awake + frozen) / (double)law->period_ns;
}

// The least response time, ns, that the share q < 1 of all requests does not exceed, as a client in open loop has to
// see it.
static uint64_t bench_law_quantile(const bench_law *law, double q)
{
    double low = 0, high = 1;
    while (bench_law_share(law, high) < q && high < (double)BENCH_LAW_NS_MAX) high *= 2;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        if (bench_law_share(law, middle) < q)
            low = middle;
        else
            high = middle;
    }
    return high < (double)BENCH_LAW_NS_MAX ? (uint64_t)(high + 0.5) : BENCH_LAW_NS_MAX;
}

// How long the freeze goes on that is under way so long after the start; 0: there is none.
static uint64_t bench_law_frozen(const bench_law *law, uint64_t since_start_ns)
{
    uint64_t left = law->period_ns - since_start_ns % law->period_ns;
    return left <= law->freeze_ns ? left : 0;
}

// A length of time, where nothing at all is one too.
static const char *bench_law_time(const char *text, double *out)
{
    uint64_t ns = 0;
    const char *wrong = strcmp(text, "0") == 0 ? NULL : bench_read_time(text, &ns);
    *out = (double)ns;
    return wrong;
}

static const char *bench_law_number(const char *text, double low, double high, double *out)
{
    uint64_t digits;
    uint32_t decimals;
    const char *rest;
    if (!bench_decimal(text, &digits, &decimals, &rest) || *rest) return "not a decimal number";
    for (*out = (double)digits; decimals; decimals--) *out /= 10;
    return *out >= low && *out <= high ? NULL : "sigma goes from 0.01 to 4, alpha from 0.5 to 100";
}

static const char *bench_law_read_freeze(bench_law *law, const char *length, const char *period)
{
    const char *wrong = bench_read_time(length, &law->freeze_ns);
    if (!wrong) wrong = bench_read_time(period, &law->period_ns);
    if (!wrong && law->freeze_ns >= law->period_ns) wrong = "a freeze is shorter than its period";
    return wrong;
}

// The values of one item, `second` what follows the separator.
static const char *bench_law_values(bench_law *law, bench_law_kind kind, const char *first, const char *second)
{
    const char *wrong = NULL;
    if (kind == BENCH_LAW_FREEZE) return bench_law_read_freeze(law, first, second);
    if (kind == BENCH_LAW_SEED) return fsi_number(first, strlen(first), &law->seed) ? NULL : "a seed is a whole number";
    if (kind == BENCH_LAW_SPIN) return (law->spin = strcmp(first, "1") == 0) ? NULL : "the form is spin:1";
    law->kind = (uint8_t)kind;
    wrong = bench_law_time(first, &law->a);
    if (wrong) return wrong;
    if (kind == BENCH_LAW_LOGNORMAL) wrong = bench_law_number(second, 0.01, 4, &law->b);
    if (kind == BENCH_LAW_PARETO) wrong = bench_law_number(second, 0.5, 100, &law->b);
    if (kind == BENCH_LAW_UNIFORM) {
        wrong = bench_law_time(second, &law->b);
        return !wrong && law->b <= law->a ? "a range goes from the less to the greater" : wrong;
    }
    return !wrong && kind != BENCH_LAW_CONST && law->a <= 0 ? "must be more than 0" : wrong;
}

// "exp:2ms", "freeze:1s/5s": one of the list. `seen` has a bit for each that was there.
static const char *bench_law_item(bench_law *law, char *item, uint32_t *seen)
{
    static const struct {
        const char *name, *form;
        char split;
    } kinds[BENCH_LAW_KINDS] = {{"", "", 0},
                                {"const", "the form is const:TIME", 0},
                                {"exp", "the form is exp:MEAN", 0},
                                {"uniform", "the form is uniform:LEAST-MOST", '-'},
                                {"lognormal", "the form is lognormal:MEDIAN/SIGMA", '/'},
                                {"pareto", "the form is pareto:LEAST/ALPHA", '/'},
                                {"freeze", "the form is freeze:LENGTH/PERIOD", '/'},
                                {"seed", "the form is seed:NUMBER", 0},
                                {"spin", "the form is spin:1", 0}};
    char *first = strchr(item, ':'), *second = NULL;
    uint32_t kind = 1, bit;
    if (first) *first++ = 0;
    while (kind < BENCH_LAW_KINDS && strcmp(item, kinds[kind].name) != 0) kind++;
    if (kind == BENCH_LAW_KINDS)
        return "a law is one of const, exp, uniform, lognormal, pareto; with it go freeze, seed and spin";
    if (first && kinds[kind].split) second = strchr(first, kinds[kind].split);
    if (!first || (kinds[kind].split && !second)) return kinds[kind].form;
    if (second) *second++ = 0;
    bit = kind < BENCH_LAW_FREEZE ? 1 : 1u << kind;
    if (*seen & bit)
        return kind < BENCH_LAW_FREEZE ? "one distribution is enough" : "freeze, seed or spin stands there twice";
    *seen |= bit;
    return bench_law_values(law, (bench_law_kind)kind, first, second);
}

// 'exp:2ms,freeze:1s/5s,seed:7': one distribution; the rest may be missing. Returns what is wrong, or NULL.
FSI_PRIVATE const char *bench_law_parse(const char *text, bench_law *law)
{
    char items[sizeof law->text];
    uint32_t seen = 0;
    memset(law, 0, sizeof *law);
    law->period_ns = law->seed = 1;
    if (strlen(text) >= sizeof items) return "too long for a law";
    (void)snprintf(law->text, sizeof law->text, "%s", text);
    (void)snprintf(items, sizeof items, "%s", text);
    for (char *item = items, *next; item; item = next) {
        next = strchr(item, ',');
        if (next) *next++ = 0;
        const char *wrong = bench_law_item(law, item, &seen);
        if (wrong) return wrong;
    }
    return law->kind == BENCH_LAW_NONE ? "a distribution is missing, such as exp:2ms" : NULL;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-target   A server whose answers are late by a law. One thread, no limits in time: a thing to measure load generators
//                  with, not to leave in the open. A request's delay is drawn when its head has come whole; what has yet to be
//                  answered stands in a heap by due time, and in the order of its connection. The delays as imposed, from the
//                  head to the answer, are kept in a histogram. GET /law tells all that, at once and even in a freeze.
// ---------------------------------------------------------------------------------------------------------

#define BENCH_TARGET_ASKS 1024    // unanswered on one connection; with more it is not read
#define BENCH_TARGET_UNREAD 65536 // bytes of answers that a peer does not take; likewise
#define BENCH_TARGET_HEAD 8192    // bytes of a request's head
#define BENCH_TARGET_FIELDS 100
#define BENCH_TARGET_QUANTILES 5

typedef struct bench_target bench_target;
typedef struct bench_peer bench_peer;

// A request that waits for its answer.
typedef struct bench_ask {
    struct bench_ask *next; // of its connection
    bench_peer *peer;       // NULL: has gone
    uint64_t came_ns, due_ns;
    const char *refusal; // NULL: none
    uint32_t status;
    bool ready; // its time has come; it is not in the heap any more, or never was
    bool law;   // GET /law
    bool last, say_keep, bare;
} bench_ask;

struct bench_peer {
    fsi_chan chan; // first: a channel of kind FSI_CHAN_CLIENT that is no listener is its peer
    bench_peer *next, *prev;
    bench_ask *first, **last; // in the order of the requests
    uint32_t asks;
    uint32_t in_len;
    uint64_t body_left; // of the request, to be dropped
    bench_text out;     // answers that the socket has not taken, from out_at on
    bench_text more;    // answers since, while a write of those is pending: they stay where they are
    size_t out_at;
    bool held;
    bool ended; // no request can follow
    bool eof, shut;
    bool listed; // in todo
    bench_peer *next_todo;
    char in[BENCH_TARGET_HEAD];
};

// Caller's memory, from bench_law_start to bench_law_stop; `imposed` can be read after that.
struct bench_target {
    bench_law law;
    bench_draws draws;
    uint64_t start_ns; // periods count from here
    uint64_t now_ns;   // of the last clock read
    fsi_io io;
    bench_os_alarm alarm;
    fsi_chan listeners[FSI_ADDRESSES_MAX];
    uint32_t listener_count;
    uint32_t port;     // of the first
    uint64_t again_ns; // out of descriptors: listen again then; 0: listening
    bench_peer *peers;
    bench_peer *gone; // closed; memory returns after the batch
    bench_peer *todo; // not read to the end; they go on in the next turn
    bench_ask **heap; // the first is due first
    size_t heap_len, heap_cap;
    uint64_t quantiles[BENCH_TARGET_QUANTILES]; // of the law
    fsi_hist imposed;                           // ns
    fsi_thread thread;
    fsi_field fields[BENCH_TARGET_FIELDS];
    uint32_t stop;     // atomic, set by any thread
    uint32_t accepted; // connections so far; atomic, read by any thread
};

static bool bench_heap_push(bench_target *target, bench_ask *ask)
{
    if (target->heap_len == target->heap_cap) {
        size_t cap = target->heap_cap ? target->heap_cap * 2 : 256;
        bench_ask **more = (bench_ask **)realloc(target->heap, cap * sizeof(bench_ask *));
        if (!more) return false;
        target->heap = more;
        target->heap_cap = cap;
    }
    size_t at = target->heap_len++;
    for (; at && target->heap[(at - 1) / 2]->due_ns > ask->due_ns; at = (at - 1) / 2)
        target->heap[at] = target->heap[(at - 1) / 2];
    target->heap[at] = ask;
    return true;
}

static bench_ask *bench_heap_pop(bench_target *target)
{
    bench_ask *first = target->heap[0], *moved = target->heap[--target->heap_len];
    size_t at = 0, below;
    while ((below = 2 * at + 1) < target->heap_len) {
        if (below + 1 < target->heap_len && target->heap[below + 1]->due_ns < target->heap[below]->due_ns) below++;
        if (target->heap[below]->due_ns >= moved->due_ns) break;
        target->heap[at] = target->heap[below];
        at = below;
    }
    target->heap[at] = moved;
    return first;
}

static void bench_peer_close(bench_target *target, bench_peer *peer)
{
    if (peer->chan.fd < 0) return;
    fsi_io_close(&peer->chan, false);
    for (bench_ask *ask = peer->first, *next; ask; ask = next) {
        next = ask->next;
        ask->peer = NULL; // the heap's from now on
        if (ask->ready) free(ask);
    }
    peer->first = NULL;
    if (peer->prev)
        peer->prev->next = peer->next;
    else
        target->peers = peer->next;
    if (peer->next) peer->next->prev = peer->prev;
    peer->next = target->gone;
    target->gone = peer;
}

// Sends what is there. After the last answer: our direction ends at once, the socket when the peer has ended too, so
// that no reset can eat the answer.
static void bench_peer_send(bench_target *target, bench_peer *peer)
{
    while (peer->out_at < peer->out.len || peer->more.len) {
        if (peer->out_at == peer->out.len) {
            bench_text taken = peer->out;
            peer->out = peer->more;
            peer->more = taken;
            peer->more.len = peer->out_at = 0;
        }
        fsi_buf out;
        out.ptr = peer->out.ptr + peer->out_at;
        out.len = peer->out.len - peer->out_at;
        int64_t sent = fsi_io_write(&peer->chan, &out, 1, true);
        peer->held = sent == FSI_PENDING;
        if (peer->held) return;
        if (sent <= 0) {
            bench_peer_close(target, peer);
            return;
        }
        peer->out_at += (size_t)sent;
    }
    peer->out.len = peer->out_at = 0;
    if (peer->first || !(peer->ended || peer->eof)) return;
    if (peer->eof) {
        bench_peer_close(target, peer);
    } else if (!peer->shut) {
        peer->shut = true;
        fsi_io_shut(&peer->chan);
    }
}

static const double bench_target_shares[BENCH_TARGET_QUANTILES] = {0.5, 0.75, 0.9, 0.99, 0.999};
static const char *const bench_target_names[BENCH_TARGET_QUANTILES] = {"p50", "p75", "p90", "p99", "p99.9"};

// What GET /law tells. Returns its length.
static size_t bench_target_json(const bench_target *target, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "{\"law\": \"%s\", \"answered\": %llu,\n \"imposed_ns\": {",
                                 target->law.text, (unsigned long long)target->imposed.count);
    for (int i = 0; i < BENCH_TARGET_QUANTILES; i++)
        at += (size_t)snprintf(out + at, size - at, "\"%s\": %llu, ", bench_target_names[i],
                               (unsigned long long)fsi_hist_at(&target->imposed, bench_target_shares[i]));
    at += (size_t)snprintf(out + at, size - at, "\"max\": %llu},\n \"open_loop_ns\": {",
                           (unsigned long long)target->imposed.max);
    for (int i = 0; i < BENCH_TARGET_QUANTILES; i++)
        at += (size_t)snprintf(out + at, size - at, "%s\"%s\": %llu", i ? ", " : "", bench_target_names[i],
                               (unsigned long long)target->quantiles[i]);
    return at + (size_t)snprintf(out + at, size - at, "}}\n");
}

// Writes the answer into the peer's buffer and counts its delay.
static void bench_ask_answer(bench_target *target, bench_peer *peer, const bench_ask *ask)
{
    char head[256], body[1024] = "Hello, World!";
    size_t len = 13;
    if (ask->law)
        len = bench_target_json(target, body, sizeof body);
    else if (ask->refusal)
        len = (size_t)snprintf(body, sizeof body, "%s\n", ask->refusal);
    else
        fsi_hist_add(&target->imposed, fsi_clock_ns() - ask->came_ns, 1);
    (void)snprintf(head, sizeof head, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n",
                   ask->status, fsi_status_text(ask->status), ask->law ? "application/json" : "text/plain", len,
                   ask->last       ? "Connection: close\r\n"
                   : ask->say_keep ? "Connection: keep-alive\r\n"
                                   : "");
    bench_text *out = peer->held ? &peer->more : &peer->out;
    bench_text_str(out, head);
    if (!ask->bare) bench_text_add(out, body, len);
}

// Sends every answer whose turn has come.
static void bench_peer_answer(bench_target *target, bench_peer *peer)
{
    while (peer->first && peer->first->ready) {
        bench_ask *ask = peer->first;
        peer->first = ask->next;
        if (!peer->first) peer->last = &peer->first;
        peer->asks--;
        bench_ask_answer(target, peer, ask);
        free(ask);
    }
    if (peer->out.failed || peer->more.failed)
        bench_peer_close(target, peer);
    else
        bench_peer_send(target, peer);
}

static bool bench_peer_full(const bench_peer *peer)
{
    return peer->asks >= BENCH_TARGET_ASKS || peer->out.len - peer->out_at + peer->more.len >= BENCH_TARGET_UNREAD;
}

// What is wrong with a head that was read with this result: a status, and why; 0: nothing.
static uint32_t bench_ask_refusal(const fsi_head *head, int64_t result, const char **why)
{
    if (result < 0) {
        *why = fsi_refusal_text(-result);
        return fsi_refusal_status(-result);
    }
    if (head->chunked) {
        *why = "only bodies with Content-Length are read here";
        return 411;
    }
    if (!head->expect_continue || !head->content_length) return 0;
    *why = "send the body without waiting for 100 Continue"; // clients do so then (RFC 9110 10.1.1)
    return 417;
}

// A head has come whole, or cannot: its answer is due some time. False: out of memory.
static bool bench_peer_ask(bench_target *target, bench_peer *peer, const char *data, const fsi_head *head,
                           int64_t result)
{
    bench_ask *ask = (bench_ask *)calloc(1, sizeof *ask);
    if (!ask) return false;
    ask->peer = peer;
    ask->came_ns = ask->due_ns = target->now_ns;
    ask->status = bench_ask_refusal(head, result, &ask->refusal);
    ask->last = ask->refusal || head->wants_close || (head->minor == 0 && !head->wants_keep);
    if (!ask->refusal) {
        ask->status = 200;
        ask->say_keep = head->minor == 0;
        ask->bare = head->method == FSI_HEAD;
        ask->law = head->path_len == 4 && memcmp(data + head->path, "/law", 4) == 0;
        peer->body_left = head->content_length;
    }
    ask->ready = ask->refusal || ask->law;
    if (!ask->ready) {
        ask->due_ns += bench_law_draw(&target->law, &target->draws);
        if (!bench_heap_push(target, ask)) {
            free(ask);
            return false;
        }
    }
    *peer->last = ask;
    peer->last = &ask->next;
    peer->asks++;
    peer->ended = ask->last;
    return true;
}

// Takes the requests and the bodies that have come. False: out of memory.
static bool bench_peer_take(bench_target *target, bench_peer *peer)
{
    static const fsi_limits limits = {BENCH_TARGET_HEAD, BENCH_TARGET_HEAD, BENCH_TARGET_FIELDS};
    size_t at = 0;
    while (at < peer->in_len && !peer->ended && !bench_peer_full(peer)) {
        fsi_head head;
        size_t left = peer->in_len - at, body = left < peer->body_left ? left : (size_t)peer->body_left;
        peer->body_left -= body;
        at += body;
        if (body) continue;
        int64_t result = fsi_read_request(peer->in + at, left, &limits, &head, target->fields);
        if (result == 0) break;
        if (!bench_peer_ask(target, peer, peer->in + at, &head, result)) return false;
        if (result > 0) at += (size_t)result;
    }
    if (peer->ended) at = peer->in_len; // whatever comes then is dropped
    peer->in_len -= (uint32_t)at;
    if (at && peer->in_len) memmove(peer->in, peer->in + at, peer->in_len);
    return true;
}

// It has more to be read; a socket tells that only once.
static void bench_peer_again(bench_target *target, bench_peer *peer)
{
    if (peer->listed) return;
    peer->listed = true;
    peer->next_todo = target->todo;
    target->todo = peer;
}

// Reads what is there, but not for so long that the others wait, and no more than may wait to be answered: then it goes
// on in the next turn, or after answers.
static void bench_peer_run(bench_target *target, bench_peer *peer)
{
    for (int reads = 0;; reads++) {
        if (!bench_peer_take(target, peer)) {
            bench_peer_close(target, peer);
            return;
        }
        if (peer->eof || (peer->first && peer->first->ready)) bench_peer_answer(target, peer);
        if (peer->chan.fd < 0 || peer->eof || bench_peer_full(peer)) return;
        if (reads == BENCH_READS_MAX) {
            bench_peer_again(target, peer);
            return;
        }
        int64_t got = fsi_io_read(&peer->chan, peer->in + peer->in_len, sizeof peer->in - peer->in_len);
        if (got == FSI_PENDING) return;
        if (got < 0) {
            bench_peer_close(target, peer);
            return;
        }
        target->now_ns = fsi_clock_ns();
        peer->eof = got == 0; // the answers that it waits for are still sent
        peer->in_len += (uint32_t)got;
    }
}

static void bench_peer_open(bench_target *target, int fd)
{
    bench_peer *peer = (bench_peer *)calloc(1, sizeof *peer);
    if (!peer) {
        fsi_sock_close(fd);
        return;
    }
    fsi_chan_init(&peer->chan, FSI_CHAN_CLIENT);
    peer->chan.fd = fd;
    peer->last = &peer->first;
    peer->next = target->peers;
    if (peer->next) peer->next->prev = peer;
    target->peers = peer;
    if (fsi_io_open(&target->io, &peer->chan))
        bench_peer_run(target, peer);
    else
        bench_peer_close(target, peer);
}

// A listener tells of connections. Without a descriptor left all of them rest, or they would tell without end.
static void bench_target_accept(bench_target *target, const fsi_chan *listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = fsi_io_accept(listener);
        if (fd >= 0) {
            bench_peer_open(target, fd);
            fsi_store32(&target->accepted, target->accepted + 1);
        }
        if (fd == FSI_PENDING) return;
        if (fd != FSI_EMPTY) continue;
        for (uint32_t k = 0; k < target->listener_count; k++) fsi_io_unlisten(&target->listeners[k]);
        target->again_ns = fsi_clock_ns() + 100000000;
        return;
    }
}

// Upcall of the io.
static void bench_target_ready(fsi_chan *chan, uint32_t ready)
{
    bench_target *target = (bench_target *)chan->io->user;
    bench_peer *peer = (bench_peer *)(void *)chan;
    for (uint32_t i = 0; i < target->listener_count; i++) {
        if (chan != &target->listeners[i]) continue;
        if (!target->again_ns) bench_target_accept(target, chan);
        return;
    }
    if (ready & FSI_READY_WRITE) bench_peer_send(target, peer);
    if (chan->fd >= 0) bench_peer_run(target, peer);
}

// Answers what is due, unless a freeze holds it.
static void bench_target_answer(bench_target *target)
{
    for (;;) {
        target->now_ns = fsi_clock_ns();
        if (!target->heap_len || target->heap[0]->due_ns > target->now_ns) return;
        if (bench_law_frozen(&target->law, target->now_ns - target->start_ns)) return;
        bench_ask *ask = bench_heap_pop(target);
        bench_peer *peer = ask->peer;
        ask->ready = true;
        if (!peer) {
            free(ask);
            continue;
        }
        bool full = bench_peer_full(peer);
        bench_peer_answer(target, peer);
        if (full && peer->chan.fd >= 0) bench_peer_again(target, peer); // not here: it may ask without end
    }
}

// Microseconds until something is to be done.
static uint64_t bench_target_wait_us(const bench_target *target)
{
    uint64_t now = target->now_ns, due = UINT64_MAX;
    if (target->law.spin || target->todo) return 0;
    if (target->heap_len) {
        due = now + bench_law_frozen(&target->law, now - target->start_ns);
        if (target->heap[0]->due_ns > due) due = target->heap[0]->due_ns;
    }
    if (target->again_ns && target->again_ns < due) due = target->again_ns;
    return due == UINT64_MAX ? due : due > now ? (due - now + 999) / 1000 : 0;
}

// Returns the memory of closed peers; they leave the list first.
static void bench_target_bury(bench_target *target)
{
    for (bench_peer **at = &target->todo; *at;)
        if ((*at)->chan.fd < 0)
            *at = (*at)->next_todo;
        else
            at = &(*at)->next_todo;
    for (bench_peer *peer = target->gone, *next; peer; peer = next) {
        next = peer->next;
        bench_text_free(&peer->out);
        bench_text_free(&peer->more);
        free(peer);
    }
    target->gone = NULL;
}

// Those that were not read to the end in the last turn.
static void bench_target_reread(bench_target *target)
{
    bench_peer *list = target->todo;
    target->todo = NULL;
    for (bench_peer *peer = list, *next; peer; peer = next) {
        next = peer->next_todo;
        peer->listed = false;
        if (peer->chan.fd >= 0) bench_peer_run(target, peer);
    }
}

static void bench_target_turn(bench_target *target)
{
    (void)bench_os_wait(&target->alarm, &target->io, bench_target_wait_us(target));
    target->now_ns = fsi_clock_ns();
    bench_target_reread(target);
    fsi_io_dispatch(&target->io);
    bench_target_answer(target);
    bench_target_bury(target);
    if (!target->again_ns || target->now_ns < target->again_ns) return;
    target->again_ns = 0;
    for (uint32_t i = 0; i < target->listener_count; i++)
        (void)fsi_io_listen(&target->io, &target->listeners[i], false);
}

// Serves until target->stop is set and the io woken.
static void bench_target_run(void *arg)
{
    bench_target *target = (bench_target *)arg;
    bench_os_exact_begin(&target->alarm, &target->io);
    while (!fsi_load32(&target->stop)) bench_target_turn(target);
    bench_os_exact_end(&target->alarm);
}

// False: the system refused.
static bool bench_target_init(bench_target *target, const bench_law *law)
{
    memset(target, 0, sizeof *target);
    target->law = *law;
    bench_draws_init(&target->draws, law->seed);
    fsi_hist_init(&target->imposed);
    for (int i = 0; i < BENCH_TARGET_QUANTILES; i++)
        target->quantiles[i] = bench_law_quantile(law, bench_target_shares[i]);
    if (!fsi_io_init(&target->io, NULL)) return false;
    target->io.on_client = bench_target_ready;
    target->io.user = target;
    target->start_ns = target->now_ns = fsi_clock_ns();
    return true;
}

// Takes a listening socket over, and closes it if that fails.
static bool bench_target_listen(bench_target *target, int fd)
{
    fsi_sockaddr at;
    if (fd < 0) return false;
    if (target->listener_count < FSI_ADDRESSES_MAX && fsi_sock_name(fd, &at)) {
        fsi_chan *listener = &target->listeners[target->listener_count];
        fsi_chan_init(listener, FSI_CHAN_CLIENT);
        listener->fd = fd;
        if (fsi_io_listen(&target->io, listener, false)) {
            if (target->listener_count++ == 0) target->port = fsi_sockaddr_port(&at);
            return true;
        }
    }
    fsi_sock_close(fd);
    return false;
}

// Gives everything back but target->imposed. What is not answered then never is.
static void bench_target_free(bench_target *target)
{
    while (target->peers) bench_peer_close(target, target->peers);
    bench_target_bury(target);
    for (size_t i = 0; i < target->heap_len; i++) free(target->heap[i]);
    free(target->heap);
    target->heap = NULL;
    target->heap_len = target->heap_cap = 0;
    for (uint32_t i = 0; i < target->listener_count; i++) fsi_io_close(&target->listeners[i], false);
    target->listener_count = 0;
    fsi_io_free(&target->io);
}

// Serves the law at 127.0.0.1:target->port from a thread of its own. False: the system refused
// (fsi_os_error), nothing is left.
FSI_PRIVATE bool bench_law_start(const bench_law *law, bench_target *target)
{
    fsi_sockaddr at;
    fsi_sockaddr_v4(&at, 0x7f000001, 0);
    if (!bench_target_init(target, law)) return false;
    int fd = fsi_sock_listen(&at, FSI_SHARE_NONE, false, 4096);
    if (fd < 0) fsi_os_error_set(-fd);
    if (bench_target_listen(target, fd) && fsi_thread_start(&target->thread, bench_target_run, target, "law"))
        return true;
    int error = fsi_os_error();
    bench_target_free(target);
    fsi_os_error_set(error);
    return false;
}

// Ends it; target->imposed is the caller's then.
FSI_PRIVATE void bench_law_stop(bench_target *target)
{
    fsi_store32(&target->stop, 1);
    fsi_io_wake(&target->io);
    fsi_thread_join(&target->thread);
    bench_target_free(target);
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
    double rate;        // requests per second in all; 0: closed loop
    double conn_rate;   // connections per second in all; 0: not so
    uint64_t calls;     // requests on each connection; 0: no limit
    uint32_t *accepted; // connections that the target has accepted, where it says so; NULL: up is what the system says
    uint64_t size;      // of an echo
    uint64_t source_ips;
    uint64_t runs;
    uint64_t workers;        // of --compare-models; 0: not said
    uint64_t pid;            // of the server, to be sampled; 0: not said
    double max_errors;       // share of the requests; of --slo's errors it is 1 unless it was said
    const char *method;      // NULL: not said
    const char *body;        // NULL: none
    const char *body_file;   // NULL: none
    const char *url_file;    // NULL: none
    const char *expect_body; // NULL: any
    const char *json_file, *hgrm_file, *html_file; // NULL: none
    const char *slo, *find_rate, *vs;              // NULL: none
    const char *models;                            // of --compare-models, "": all; NULL: not asked for
    bench_text fields;                             // of -H, "Name: value CR LF" each
    bench_text url_text;                           // of url_file
    uint8_t expect[75];                            // a bit for each status that is expected; none: below 400
    bool expects;
    bool has_host, has_type; // among the fields
    bool max_errors_said;
    bool close, rst, spin, echo, latency, service, histogram, quiet, help, help_all, version, selftest;
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
    BENCH_OPT_SPIN,
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
    BENCH_OPT_MODELS,
    BENCH_OPT_WORKERS,
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
    {"spin",          NULL, 0,   BENCH_OPT_SPIN,          false},
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
    {"compare-models", NULL, 0,  BENCH_OPT_MODELS,        false}, // or =LIST
    {"workers",       NULL, 'w', BENCH_OPT_WORKERS,       true},
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
                                 "  -q, --quiet           no progress line, no notes     --version, --help-all\n"
                                 "      bench compare A.json B.json   two results, faster, slower or cannot tell\n"
                                 "\n"
                                 "Exit status: 0 ok, or the first that applies: 130 cut short (Ctrl-C, SIGTERM),\n"
                                 "  1 usage, or cannot connect, 2 not trustworthy: the audit on stderr says why,\n"
                                 "  3 errors of the target, 99 an objective was missed (--slo, --find-rate)\n";

static const char bench_help_more[] =
    "\n"
    "Ways to load\n"
    "  -R, --rate N           a constant total rate; latency is from when it was due\n"
    "  -U, --u_latency        with -R: the service time too, from when it was sent\n"
    "      --conn-rate N      N new connections a second, with --calls requests each,\n"
    "                         -c of them at a time (what comes in --timeout + 100)\n"
    "      --calls M          requests on each connection (no limit; --conn-rate: 1)\n"
    "      --warmup T         load for so long before measuring\n"
    "      --ramp T           rise evenly over T from 0: connections, or the rate\n"
    "      --echo             tcp://HOST:PORT sends back what it gets: --size N (64)\n"
    "      --source-ips N     connect to 127.0.0.1 from N addresses, 127.0.0.1 and on\n"
    "      --rst              close by reset: no port waits in TIME_WAIT\n"
    "      --spin             never sleep: takes a CPU per thread, wakes never late\n"
    "      --urls FILE        more URLs, one a line; several are asked in turn\n"
    "      {i}, {rand:A-B}    in URLs, fields, bodies: a running number, a random one\n"
    "What counts as good\n"
    "      --expect-status S  200, 2xx, 200,404 (below 400)\n"
    "      --expect-body TEXT the body must contain it\n"
    "      --max-errors S     share that may fail before exit status 3: 0.1% (0; none\n"
    "                         where --slo has errors, whose status is 99)\n"
    "      --slo LIST         exit 99 when missed: 'p99<5ms,errors<0.1%,rate>10k'\n"
    "      --find-rate LIST   search the highest rate that holds it: at most 20 runs,\n"
    "                         each -d (3s)\n"
    "Output\n"
    "      --format NAME      wrk (with -R as wrk2), ab, httperf\n"
    "      --json FILE        everything, versioned; - is standard output\n"
    "      --hgrm FILE        percentiles for the HdrHistogram plotter\n"
    "      --html FILE        one page to look at and to send on\n"
    "      --histogram        draw the latencies in the terminal\n"
    "      --pid N            also sample CPU and memory of that server\n"
    "Several runs\n"
    "      --runs N           repeat, print the ladder; files get the middle run\n"
    "      --vs URL2          B, beside A, the URL: faster, slower, or cannot tell; 7\n"
    "                         rounds of A, A, B, each -d (3s)\n"
    "      --selftest         measure a built-in target with a known law of latency\n"
    "      --compare-models   every way to run handlers, in turn (=event,pool: only\n"
    "                         these); -w, --workers N (10), -d per cell (500ms)\n"
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

static bool bench_expected(const bench_options *options, int status)
{
    return options->expects ? options->expect[status / 8] >> (status % 8) & 1 : status >= 200 && status < 400;
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
    case BENCH_OPT_WORKERS: return bench_read_count(value, 4096, &options->workers);
    case BENCH_OPT_MAX_ERRORS: options->max_errors_said = true; return bench_read_share(value, &options->max_errors);
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
    case BENCH_OPT_SPIN: options->spin = true; break;
    case BENCH_OPT_ECHO: options->echo = true; break;
    case BENCH_OPT_SELFTEST: options->selftest = true; break;
    case BENCH_OPT_MODELS:
        if (value && !*value) return "names no model; without a = it runs all of them";
        options->models = value ? value : "";
        break;
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

// Applies one option. shown: as it was typed; glued: its value in the same word, or NULL; *i: where the next word
// stands.
static bool bench_apply(bench_options *options, const bench_opt_def *def, const char *shown, const char *glued,
                        int argc, char **argv, int *i, char *error, size_t size)
{
    if (!def) return bench_wrong(error, size, "%s: unknown option; see --help-all", shown);
    if (def->opt == BENCH_OPT_REFUSED) return bench_wrong(error, size, "%s: %s; see --help", shown, def->why);
    if (!def->value && glued && def->opt != BENCH_OPT_MODELS)
        return bench_wrong(error, size, "%s: takes no value", shown);
    if (def->value && !glued) {
        if (*i + 1 >= argc) return bench_wrong(error, size, "%s: a value is missing; see --help-all", shown);
        glued = argv[++*i];
    }
    const char *wrong = bench_set(options, (bench_opt)def->opt, glued);
    return wrong ? bench_wrong(error, size, "%s %s: %s", shown, glued && *glued ? glued : "''", wrong) : true;
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
    bool files = options->json_file || options->hgrm_file || options->html_file,
         many = options->find_rate || options->vs;
    if (many && (files || options->slo || options->histogram || options->format != BENCH_FORMAT_WRK))
        return "--find-rate and --vs print a table of their own: no files, --slo, --histogram or --format beside them";
    if (options->workers && !options->models) return "-w, --workers: only with --compare-models";
    if (options->runs > 1 && !options->models && options->json_file && strcmp(options->json_file, "-") == 0)
        return "--json -: only one run at a time";
    if (options->find_rate && options->vs) return "--find-rate and --vs exclude each other";
    if (options->runs > 1 && (options->find_rate || options->vs)) return "--runs: not with --find-rate or --vs";
    if (options->conn_rate > 0 && options->find_rate) return "--conn-rate and --find-rate exclude each other";
    if (options->calls && options->find_rate) return "--calls and --find-rate exclude each other";
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
    bool many = options->find_rate || options->vs; // runs
    if (!options->duration_ns && !options->requests)
        options->duration_ns = options->models ? 500000000u : many ? 3000000000u : 10000000000u;
    if (options->echo && !options->size) options->size = 64;
    if (!options->runs) options->runs = options->models ? 3 : 1;
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
// >>bench-url   [http://]host[:port][/path][?query], tcp://host:port, unix:PATH[:/path]. Views into the text.
// ---------------------------------------------------------------------------------------------------------

typedef struct bench_url {
    char host[256];    // without brackets, for the resolver; a socket's path when local
    char port[8];      // decimal
    fsv_str authority; // as typed: the Host field
    fsv_str target;    // path and query; empty: "/"
    bool local;        // a Unix-domain socket
    bool tcp;          // no HTTP
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
    if (strspn(host, "0123456789") == host_len) // some resolvers take it for an IPv4 address, somewhere
        return "a number names no host; a port of this machine is localhost:PORT";
    if (host_len >= sizeof url->host) return "the host is too long";
    if (colon == end && url->tcp) return "a tcp:// URL needs a port";
    if (colon < end && (!fsi_number(colon + 1, (size_t)(end - colon - 1), &port) || port == 0 || port > 65535))
        return "the port is not a number from 1 to 65535";
    for (const char *at = text; at < end; at++)
        if (!(fsi_class[(uint8_t)*at] & FSI_HOST)) return "the host has a byte that does not belong there";
    memcpy(url->host, host, host_len);
    url->host[host_len] = 0;
    (void)snprintf(url->port, sizeof url->port, "%u", (unsigned)port);
    return NULL;
}

// "PATH" or "PATH:/target", behind "unix:".
static const char *bench_url_local(bench_url *url, const char *text)
{
    const char *colon = strstr(text, ":/"), *end = colon ? colon : text + strlen(text);
    size_t len = (size_t)(end - text);
    fsi_sockaddr at;
    url->local = true;
    if (len == 0) return "the socket's path is missing";
    if (len >= sizeof url->host) return "the socket's path is too long";
    memcpy(url->host, text, len);
    url->host[len] = 0;
    if (!fsi_sockaddr_unix(&at, url->host)) return "the socket's path is too long";
    url->authority.ptr = "localhost";
    url->authority.len = 9;
    url->target.ptr = colon ? colon + 1 : end;
    return NULL;
}

static const char *bench_url_parse(bench_url *url, const char *text)
{
    const char *scheme = strstr(text, "://"), *at = text, *wrong;
    memset(url, 0, sizeof *url);
    if (scheme && strncmp(text, "unix:", 5) != 0) {
        size_t len = (size_t)(scheme - text);
        url->tcp = FSI_IS(text, len, "tcp");
        if (FSI_IS(text, len, "https")) return "TLS is not supported; give an http:// URL";
        if (!url->tcp && !FSI_IS(text, len, "http")) return "only http://, tcp:// and unix: are supported";
        at = scheme + 3;
    }
    if (strncmp(at, "unix:", 5) == 0) {
        wrong = bench_url_local(url, at + 5);
    } else {
        size_t len = strcspn(at, "/?#");
        url->authority.ptr = at;
        url->authority.len = len;
        url->target.ptr = at + len;
        wrong = bench_url_host(url, at, len);
    }
    if (wrong) return wrong;
    url->target.len = strcspn(url->target.ptr, "#"); // a fragment stays at home
    const char *path = url->target.ptr, *end = path + url->target.len;
    FSI_SPAN(path, end, FSI_TARGET);
    if (path != end) return "a space or control byte; write %20 for a space";
    if (url->tcp && url->target.len > 1) return "a tcp:// URL has no path";
    return NULL;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-template   The bytes of a request, with {i} and {rand:A-B} anywhere in its target, fields and body.
// ---------------------------------------------------------------------------------------------------------

#define BENCH_HOLES_MAX 64

typedef enum bench_hole_kind { BENCH_HOLE_INDEX, BENCH_HOLE_RANDOM, BENCH_HOLE_LENGTH } bench_hole_kind;

typedef struct bench_hole {
    size_t at; // in the bytes that stay: the number stands before this one
    bench_hole_kind kind;
    uint64_t low, span; // of a random number; span 0: every 64-bit value
} bench_hole;

typedef struct bench_request {
    bench_text bytes; // without the holes
    size_t body_at;
    bench_hole holes[BENCH_HOLES_MAX];
    uint32_t hole_count;
} bench_request;

// "{i}" or "{rand:A-B}" at text; its length, 0 if it is neither. *wrong: it looks like one and is none.
static size_t bench_hole_read(const char *text, size_t len, bench_hole *hole, const char **wrong)
{
    static const char random[] = "{rand:";
    const char *close = (const char *)memchr(text, '}', len), *dash;
    uint64_t high;
    if (len >= 3 && memcmp(text, "{i}", 3) == 0) {
        hole->kind = BENCH_HOLE_INDEX;
        return 3;
    }
    if (len < sizeof random || memcmp(text, random, sizeof random - 1) != 0) return 0;
    const char *from = text + sizeof random - 1;
    dash = close ? (const char *)memchr(from, '-', (size_t)(close - from)) : NULL;
    if (!dash || !fsi_number(from, (size_t)(dash - from), &hole->low) ||
        !fsi_number(dash + 1, (size_t)(close - dash - 1), &high) || high < hole->low) {
        *wrong = "write {rand:A-B} with whole numbers, A not above B";
        return 0;
    }
    hole->kind = BENCH_HOLE_RANDOM;
    hole->span = high - hole->low + 1;
    return (size_t)(close + 1 - text);
}

static void bench_hole_add(bench_request *request, const bench_hole *hole, const char **wrong)
{
    if (request->hole_count == BENCH_HOLES_MAX) {
        *wrong = "too many {} in one request";
        return;
    }
    request->holes[request->hole_count] = *hole;
    request->holes[request->hole_count++].at = request->bytes.len;
}

static void bench_template_add(bench_request *request, const char *text, size_t len, const char **wrong)
{
    const char *end = text + len;
    while (text < end) {
        bench_hole hole;
        const char *brace = (const char *)memchr(text, '{', (size_t)(end - text));
        memset(&hole, 0, sizeof hole);
        size_t literal = brace ? (size_t)(brace - text) : (size_t)(end - text), used = 0;
        bench_text_add(&request->bytes, text, literal);
        text += literal;
        if (text == end) return;
        used = bench_hole_read(text, (size_t)(end - text), &hole, wrong);
        if (used)
            bench_hole_add(request, &hole, wrong);
        else
            bench_text_add(&request->bytes, text, 1);
        text += used ? used : 1;
    }
}

static bool bench_body_method(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

// The lines before the body. The length is a hole where the body has some.
static void bench_build_head(const bench_options *options, const bench_url *url, bool has_body, fsv_str body,
                             bench_request *request, const char **wrong)
{
    const char *method = options->method ? options->method : has_body ? "POST" : "GET";
    bench_text *out = &request->bytes;
    char length[64];
    bench_text_str(out, method);
    bench_text_str(out, " ");
    if (url->target.len == 0 || url->target.ptr[0] != '/') bench_text_str(out, "/");
    bench_template_add(request, url->target.ptr, url->target.len, wrong);
    bench_text_str(out, " HTTP/1.1\r\n");
    if (!options->has_host) {
        bench_text_str(out, "Host: ");
        bench_text_add(out, url->authority.ptr, url->authority.len);
        bench_text_str(out, "\r\n");
    }
    if (options->fields.len) bench_template_add(request, options->fields.ptr, options->fields.len, wrong);
    if (options->close) bench_text_str(out, "Connection: close\r\n");
    if (has_body && memchr(body.ptr, '{', body.len)) {
        bench_hole hole;
        memset(&hole, 0, sizeof hole);
        hole.kind = BENCH_HOLE_LENGTH;
        bench_text_str(out, "Content-Length: ");
        bench_hole_add(request, &hole, wrong);
        bench_text_str(out, "\r\n");
    } else if (has_body || bench_body_method(method)) {
        (void)snprintf(length, sizeof length, "Content-Length: %llu\r\n", (unsigned long long)body.len);
        bench_text_str(out, length);
    }
    bench_text_str(out, "\r\n");
}

// Writes the request with its holes filled behind `out`.
static void bench_render(const bench_request *request, uint64_t index, uint64_t *seed, bench_text *out)
{
    char digits[BENCH_HOLES_MAX][24];
    size_t at = 0, body = request->bytes.len - request->body_at;
    for (uint32_t i = 0; i < request->hole_count; i++) {
        const bench_hole *hole = &request->holes[i];
        uint64_t value = index;
        if (hole->kind == BENCH_HOLE_LENGTH) continue;
        if (hole->kind == BENCH_HOLE_RANDOM) {
            uint64_t z = bench_random_bits(seed);
            value = hole->low + (hole->span ? z % hole->span : z);
        }
        int len = snprintf(digits[i], sizeof digits[i], "%llu", (unsigned long long)value);
        if (hole->at >= request->body_at) body += (size_t)len;
    }
    for (uint32_t i = 0; i < request->hole_count; i++) {
        const bench_hole *hole = &request->holes[i];
        if (hole->kind == BENCH_HOLE_LENGTH)
            (void)snprintf(digits[i], sizeof digits[i], "%llu", (unsigned long long)body);
        bench_text_add(out, request->bytes.ptr + at, hole->at - at);
        bench_text_str(out, digits[i]);
        at = hole->at;
    }
    if (request->bytes.len > at)
        bench_text_add(out, request->bytes.ptr + at, request->bytes.len - at); // --echo has none
}

// One request of HTTP, or the bytes of an echo. Returns what is wrong, or NULL.
static const char *bench_build(const bench_options *options, const bench_url *url, const bench_text *file_body,
                               bench_request *request)
{
    const char *wrong = NULL;
    bool has_body = options->body || options->body_file;
    fsv_str body = {"", 0};
    memset(request, 0, sizeof *request);
    if (options->echo) {
        for (uint64_t i = 0; i < options->size && !request->bytes.failed; i++) { // no shift of it is itself
            char byte = (char)('!' + (i * i / 7 + i) % 90);
            bench_text_add(&request->bytes, &byte, 1);
        }
        return request->bytes.failed ? "out of memory" : NULL;
    }
    if (options->body_file) {
        body.ptr = file_body->ptr ? file_body->ptr : "";
        body.len = file_body->len;
    } else if (options->body) {
        body.ptr = options->body;
        body.len = strlen(options->body);
    }
    bench_build_head(options, url, has_body, body, request, &wrong);
    request->body_at = request->bytes.len;
    bench_template_add(request, body.ptr, body.len, &wrong);
    if (!wrong && request->hole_count == 1 && request->holes[0].kind == BENCH_HOLE_LENGTH) { // braces, but no holes
        bench_text flat;
        uint64_t none = 0; // nothing is drawn
        memset(&flat, 0, sizeof flat);
        bench_render(request, 0, &none, &flat);
        bench_text_free(&request->bytes);
        request->bytes = flat;
        request->hole_count = 0;
    }
    return wrong ? wrong : request->bytes.failed ? "out of memory" : NULL;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-structs   Who owns what: a bench_conn and a bench_thread belong to their thread; the plan is read only while
//                   threads run, apart from the words that are touched atomically.
// ---------------------------------------------------------------------------------------------------------

typedef enum bench_state {
    BENCH_DOWN, // to be opened, now (todo), later, or when a request is due (idle)
    BENCH_CONNECTING,
    BENCH_UP,
    BENCH_OVER // no request is left for it
} bench_state;

typedef enum bench_part { BENCH_HEAD, BENCH_LENGTH, BENCH_CHUNKED, BENCH_UNTIL_CLOSE, BENCH_ECHO } bench_part;

// A request in flight.
typedef struct bench_stamp {
    uint64_t due;  // when it was to be sent; in a closed loop when it was begun
    uint64_t sent; // when its connection was there and free
    uint64_t bytes;
} bench_stamp;

typedef struct bench_conn {
    fsi_chan chan;     // first: a channel of kind FSI_CHAN_CLIENT is its connection
    uint8_t state;     // bench_state
    uint8_t part;      // bench_part of the answer that comes now
    bool last;         // the connection ends with the answer that comes now
    bool write_failed; // read what may still come, then end
    bool listed;       // in todo or later
    bool idle;         // in the idle list
    bool ever_up, settled;
    // Since the measuring began, once at least:
    bool asked, answered;
    bool refused;        // the last attempt to connect failed
    uint16_t status;     // of the answer that comes now
    uint32_t in_flight;  // begun and not ended
    uint32_t oldest;     // of them, in stamps
    uint32_t unmade;     // the last of them, whose bytes were not made yet
    bench_stamp *stamps; // ring of `pipeline`; &stamp without pipelining
    bench_stamp stamp;
    uint64_t out_left;   // bytes of requests that the socket has not taken
    bench_text out;      // requests that are not all alike: their bytes, the last out_left of them unsent
    bool held;           // a write is pending: what it was given stays where it is
    uint64_t body_left;  // of BENCH_LENGTH and BENCH_ECHO
    uint64_t body_bytes; // of the answer so far
    uint32_t match;      // bytes of expect_body that stand at the end of the body so far; all: it was there
    uint32_t place;      // in plan->places
    uint64_t turn;       // counts its requests, to go through the URLs
    uint64_t opens;      // counts its connections, to go through the source addresses
    uint64_t calls_left; // on this connection
    char *carry;         // a head that has not come whole; NULL: none
    uint32_t carry_len;
    uint32_t fails; // in a row, without an answer
    fsi_chunked chunked;
    uint64_t since_ns; // when it began to connect
    uint64_t due_ns;   // when it may connect again
    struct bench_conn *next, *next_idle;
} bench_conn;

// One address and the URLs that are asked there.
typedef struct bench_place {
    fsi_sockaddr address;
    uint32_t first, count; // in plan->requests
} bench_place;

typedef struct bench_plan {
    bench_request *requests;
    uint32_t request_count;
    bench_place *places;
    uint32_t place_count;
    bool alike; // there is one request without holes: batch has it, as often as fits well
    char *batch;
    size_t batch_len, request_len;
    bool echo;
    bool no_body;  // answers have none: HEAD
    bool open;     // open loop: requests (or connections) are due by the clock
    bool connects; // connecting is a part of the first request; no request finds a connection
    bool close, rst, spin, detail;
    bool progress; // publish figures for the live line
    uint32_t pipeline, thread_count, conn_count, source_ips;
    uint64_t calls; // requests on each connection; UINT64_MAX: no limit
    double rate;    // of what is due
    uint64_t timeout_ns, ramp_ns, warmup_ns, duration_ns;
    uint8_t good[75];        // a bit for each status that is expected
    const char *expect_body; // NULL: any
    uint32_t expect_len;
    uint32_t *expect_back; // of Knuth, Morris and Pratt: where a match goes on after a byte that differs
    uint64_t start_ns, measure_ns, deadline_ns; // known when go is set; deadline UINT64_MAX: none
    fsi_io *main_io;                            // woken when a thread ends
    uint32_t go, stop;                          // atomic
    uint32_t ended;                             // atomic: threads that have ended
} bench_plan;

// What is measured; all of it begins anew when the warm-up is over.
typedef struct bench_tally {
    uint64_t due, done, failed[BENCH_KINDS], events[BENCH_KINDS], in_flight, unsent;
    uint64_t statuses[600];
    uint64_t bytes_in, bytes_body, bytes_out, other_length, kept, opened, retransmits;
    BENCH_HIST_LIST(BENCH_HIST_FIELD)
} bench_tally;

// A slot of the series while it fills, with the latencies that its percentiles come from.
typedef struct bench_slot_tally {
    uint64_t done, errors, timeouts, max;
    uint32_t cells[FSI_HIST_CELLS >> BENCH_COARSE_SHIFT];
} bench_slot_tally;

typedef struct bench_thread {
    bench_plan *plan;
    fsi_thread thread;
    fsi_io io;
    bool io_made;
    bench_os_alarm alarm;
    uint32_t index;
    int cpu; // to pin it to, or -1
    bench_conn *conns;
    uint32_t conn_count, conn_first; // first: how many the threads before have
    bench_stamp *stamps;             // rings of all connections; NULL without pipelining
    char *in;                        // receive buffer, with room in front for a head that was carried over
    bench_conn *todo;                // look at them after the batch
    bench_conn *later;               // wait until they may connect again
    bench_conn *idle, **idle_tail;   // could take a request that is due
    uint64_t later_ns;               // the first of them, UINT64_MAX: none
    uint64_t now_ns;                 // of the last clock read
    uint64_t due_ns;                 // open loop: of the next request, UINT64_MAX: none
    uint64_t arrival;                // which one that is, of this thread's
    uint64_t starved_ns;             // what was due until then waited for a connection, not for this thread
    bool starved;
    bool early;     // an answer came before its request was sent
    bool now_fresh; // the clock was read since the last receive
    bool clocked;   // the clock was read in this turn
    bool running;   // has seen plan->go
    bool measuring;
    uint64_t quota;                  // requests that may still be begun; UINT64_MAX: no limit
    uint64_t begun, ended_all, made; // requests, warm-up too
    uint64_t lost;                   // connections that were down at the end
    uint64_t unanswered;             // that wanted an answer and never got one
    uint32_t most, now_up;           // connections open at a time
    int connect_error;               // the first one
    int64_t refusal;       // the first fsi_refusal; FSI_REFUSALS_END: bytes that nobody asked for; -1: no echo
    uint64_t first_length; // of the first answer's body; UINT64_MAX: none yet
    char server[64];       // of the first answer
    uint64_t tick_ns, scan_ns, scan_step_ns; // next rate sample; next look for timeouts
    uint64_t sample_ns, sample_done;         // where the current rate sample began
    uint64_t begin_cpu_ns, cpu_ns;
    uint64_t end_ns;
    uint64_t seed;
    char *head_seen; // the last answer's head, byte for byte, and what it meant
    uint32_t head_seen_len;
    fsi_answer_head head;
    bench_slot_tally *slots; // BENCH_SLOTS_MAX
    uint32_t slot;
    uint64_t slot_ns, slot_end_ns;
    char pad0[FSV_CACHE_LINE];
    // Written by the thread, read by the main thread while it runs: fsi_count64, fsi_peek64.
    fsi_word64 done, errors, up, ever_up, settled, p99_ns;
    char pad1[FSV_CACHE_LINE];
    bench_tally tally;
} bench_thread;

// ---------------------------------------------------------------------------------------------------------
// >>bench-flow   Where requests begin and end. When a request may begin is decided
//                here: in a closed loop when there is room on a connection, in an open loop when the clock says so.
// ---------------------------------------------------------------------------------------------------------

static void bench_tally_init(bench_tally *into)
{
    memset(into, 0, sizeof *into);
    BENCH_HIST_LIST(BENCH_HIST_INIT)
}

// The measuring begins. What was counted in a warm-up is forgotten, but for the connections that were opened and stay.
static void bench_measure_from_now(bench_thread *thread)
{
    bench_tally *tally = &thread->tally;
    uint64_t opened = tally->opened, retransmits = tally->retransmits;
    fsi_hist connect = tally->connect;
    if (thread->plan->warmup_ns) {
        bench_tally_init(tally);
        if (!thread->plan->connects) {
            tally->opened = opened;
            tally->retransmits = retransmits;
            tally->connect = connect;
        }
    }
    for (uint32_t i = 0; thread->plan->warmup_ns && i < thread->conn_count; i++) {
        thread->conns[i].asked = thread->conns[i].in_flight != 0;
        thread->conns[i].answered = false;
    }
    for (uint32_t i = 0; !thread->plan->open && i < thread->conn_count; i++) {
        uint32_t in_flight = thread->conns[i].in_flight;
        tally->due += in_flight;
        if (thread->quota != UINT64_MAX) thread->quota -= in_flight < thread->quota ? in_flight : thread->quota;
    }
    thread->measuring = true;
    thread->slot_ns = 1000000000;
    thread->slot_end_ns = thread->plan->measure_ns + thread->slot_ns;
    thread->sample_ns = thread->now_ns;
    thread->sample_done = thread->done;
    thread->tick_ns = thread->now_ns + BENCH_TICK_NS;
    thread->begin_cpu_ns = bench_os_thread_ns();
}

// Reads the clock. Whatever is due at measure_ns or later begins after the measuring has.
static uint64_t bench_now(bench_thread *thread)
{
    thread->now_ns = fsi_clock_ns();
    thread->now_fresh = thread->clocked = true;
    if (FSI_UNLIKELY(!thread->measuring && thread->running && thread->now_ns >= thread->plan->measure_ns))
        bench_measure_from_now(thread);
    return thread->now_ns;
}

// When the arrival-th request of all threads is due. With a ramp the rate rises from nothing in a straight line: t
// seconds into a ramp of r it is rate t / r, and rate t^2 / 2r requests have been due.
static uint64_t bench_due_of(const bench_plan *plan, uint64_t arrival)
{
    double n = (double)arrival, ramp = (double)plan->ramp_ns / 1e9, seconds;
    if (n < plan->rate * ramp / 2)
        seconds = bench_sqrt(2 * n * ramp / plan->rate);
    else
        seconds = n / plan->rate + ramp / 2;
    return plan->start_ns + (uint64_t)(seconds * 1e9);
}

// When this thread's arrival-th request is due. It rises.
static uint64_t bench_thread_due(const bench_thread *thread, uint64_t arrival)
{
    return bench_due_of(thread->plan, arrival * thread->plan->thread_count + thread->index);
}

// Sets due_ns to the next request of this thread.
static void bench_schedule(bench_thread *thread)
{
    const bench_plan *plan = thread->plan;
    thread->due_ns = UINT64_MAX;
    if (!plan->open || !thread->running || thread->quota == 0) return;
    thread->due_ns = bench_thread_due(thread, thread->arrival);
    if (thread->due_ns >= plan->deadline_ns) thread->due_ns = UINT64_MAX;
}

// The first arrival of this thread, `from` or later, that is due at time_ns or later: doubles the step, then halves it.
static uint64_t bench_arrival_at(const bench_thread *thread, uint64_t from, uint64_t time_ns)
{
    uint64_t step = 1;
    if (bench_thread_due(thread, from) >= time_ns) return from;
    for (; bench_thread_due(thread, from + step) < time_ns; step *= 2) from += step;
    while (step > 1) { // what is looked for lies behind `from`, and no farther than `step`
        step /= 2;
        if (bench_thread_due(thread, from + step) < time_ns) from += step;
    }
    return from + 1;
}

static void bench_idle_push(bench_thread *thread, bench_conn *conn)
{
    if (conn->idle) return;
    conn->idle = true;
    conn->next_idle = NULL;
    *thread->idle_tail = conn;
    thread->idle_tail = &conn->next_idle;
    if (thread->starved) thread->starved_ns = thread->now_ns;
    thread->starved = false;
}

// A connection that can take a request; those that have gone down meanwhile are passed over.
static bench_conn *bench_idle_pop(bench_thread *thread)
{
    while (thread->idle) {
        bench_conn *conn = thread->idle;
        thread->idle = conn->next_idle;
        if (!thread->idle) thread->idle_tail = &thread->idle;
        conn->idle = false;
        if (thread->plan->connects ? conn->state == BENCH_DOWN : conn->state == BENCH_UP && !conn->chan.eof)
            return conn;
    }
    thread->starved = true;
    return NULL;
}

// A request begins on the connection. Its bytes are made when they are sent.
static void bench_begin(bench_thread *thread, bench_conn *conn, uint64_t due)
{
    uint32_t depth = thread->plan->pipeline, at = conn->oldest + conn->in_flight++;
    bench_stamp *stamp = &conn->stamps[at < depth ? at : at - depth];
    stamp->due = due;
    stamp->sent = thread->now_ns;
    stamp->bytes = 0;
    conn->unmade++;
    conn->asked = true;
    if (conn->calls_left != UINT64_MAX) conn->calls_left--;
    thread->begun++;
    if (thread->plan->open ? due < thread->plan->measure_ns : !thread->measuring) return; // a warm-up uses nothing up
    if (thread->quota != UINT64_MAX && --thread->quota == 0) thread->due_ns = UINT64_MAX;
    thread->tally.due++;
}

// Open loop: the request that is due now begins on it.
static void bench_begin_due(bench_thread *thread, bench_conn *conn)
{
    bench_begin(thread, conn, thread->due_ns);
    thread->arrival++;
    bench_schedule(thread);
}

// Begins as many requests as may be begun on a connection that is there.
static void bench_fill(bench_thread *thread, bench_conn *conn)
{
    const bench_plan *plan = thread->plan;
    if (!thread->running) return;
    if (!plan->open || plan->connects) { // in an open loop of connections, calls follow one another at once
        while (conn->in_flight < plan->pipeline && thread->quota && conn->calls_left)
            bench_begin(thread, conn, thread->now_ns);
        return;
    }
    if (!thread->idle) // else others have waited for longer
        while (conn->in_flight < plan->pipeline && thread->due_ns <= thread->now_ns) bench_begin_due(thread, conn);
    if (conn->in_flight < plan->pipeline) bench_idle_push(thread, conn);
}

// Takes the oldest request off. False: it counts nowhere. In an open loop that is what was due in the warm-up; in a
// closed one what ended in it, so that a target that stands still across its end cannot hide all that it holds.
static bool bench_pop(bench_thread *thread, bench_conn *conn, bench_stamp *stamp)
{
    *stamp = conn->stamps[conn->oldest];
    conn->oldest = conn->oldest + 1 < thread->plan->pipeline ? conn->oldest + 1 : 0;
    conn->in_flight--;
    thread->ended_all++;
    return thread->plan->open ? stamp->due >= thread->plan->measure_ns : thread->measuring;
}

static void bench_slot_tally_join(bench_slot_tally *into, const bench_slot_tally *from)
{
    into->done += from->done;
    into->errors += from->errors;
    into->timeouts += from->timeouts;
    if (from->max > into->max) into->max = from->max;
    for (uint32_t k = 0; k < FSI_HIST_CELLS >> BENCH_COARSE_SHIFT; k++) into->cells[k] += from->cells[k];
}

// Two slots become one, and each the double of the time.
static void bench_slots_halve(bench_thread *thread)
{
    for (uint32_t i = 0; i < BENCH_SLOTS_MAX; i += 2) {
        bench_slot_tally_join(&thread->slots[i], &thread->slots[i + 1]);
        thread->slots[i / 2] = thread->slots[i];
    }
    memset(thread->slots + BENCH_SLOTS_MAX / 2, 0, sizeof *thread->slots * (BENCH_SLOTS_MAX / 2));
    thread->slot /= 2;
    thread->slot_ns *= 2;
    thread->slot_end_ns = thread->plan->measure_ns + (thread->slot + 1) * thread->slot_ns;
}

static bench_slot_tally *bench_slot_now(bench_thread *thread)
{
    while (FSI_UNLIKELY(thread->now_ns >= thread->slot_end_ns)) {
        if (thread->slot + 1 == BENCH_SLOTS_MAX) bench_slots_halve(thread);
        if (thread->now_ns < thread->slot_end_ns) break;
        thread->slot++;
        thread->slot_end_ns += thread->slot_ns;
    }
    return &thread->slots[thread->slot];
}

// A request ends as `kind`; BENCH_KINDS: well.
static void bench_end(bench_thread *thread, const bench_stamp *stamp, bench_kind kind)
{
    bench_tally *tally = &thread->tally;
    bench_slot_tally *slot = bench_slot_now(thread);
    uint64_t response = thread->now_ns - stamp->due;
    if (FSI_LIKELY(kind == BENCH_KINDS)) {
        tally->done++;
        slot->done++;
        slot->cells[fsi_hist_cell(response) >> BENCH_COARSE_SHIFT]++;
        if (response > slot->max) slot->max = response;
        fsi_hist_add(&tally->response, response, 1);
        if (thread->plan->open) fsi_hist_add(&tally->service, thread->now_ns - stamp->sent, 1);
        return;
    }
    tally->failed[kind]++;
    if (kind == BENCH_TIMEOUT) {
        slot->timeouts++;
        fsi_hist_add(&tally->censored, response, 1);
    } else {
        slot->errors++;
    }
}

// The oldest request of the connection has its answer, and it is what was expected, or else `kind`.
static void bench_done(bench_thread *thread, bench_conn *conn, bench_kind kind)
{
    bench_stamp stamp;
    if (!thread->now_fresh) (void)bench_now(thread);
    conn->fails = 0;
    conn->answered = true;
    fsi_count64(&thread->done, 1);
    if (FSI_UNLIKELY(kind != BENCH_KINDS)) fsi_count64(&thread->errors, 1);
    if (FSI_UNLIKELY(!bench_pop(thread, conn, &stamp))) return;
    bench_end(thread, &stamp, kind);
    if (FSI_UNLIKELY(kind == BENCH_BAD)) return;
    thread->tally.statuses[conn->status]++;
    thread->tally.bytes_body += conn->body_bytes;
    thread->tally.kept += !conn->last;
    if (FSI_UNLIKELY(conn->body_bytes != thread->first_length)) {
        if (thread->first_length == UINT64_MAX)
            thread->first_length = conn->body_bytes;
        else
            thread->tally.other_length++;
    }
}

// An error of the connection: every request in flight ends with it; without one it is still an error.
static void bench_failed(bench_thread *thread, bench_conn *conn, bench_kind kind)
{
    bench_stamp stamp;
    uint64_t count = conn->in_flight ? conn->in_flight : 1;
    thread->tally.events[kind] += count;
    fsi_count64(&thread->errors, count);
    while (conn->in_flight)
        if (bench_pop(thread, conn, &stamp)) bench_end(thread, &stamp, kind);
    conn->unmade = 0;
    conn->fails++;
}

// Ends the requests that have waited for too long; true if there were any.
static bool bench_expire(bench_thread *thread, bench_conn *conn)
{
    bool any = false;
    while (conn->in_flight && thread->now_ns - conn->stamps[conn->oldest].sent >= thread->plan->timeout_ns) {
        bench_stamp stamp;
        if (bench_pop(thread, conn, &stamp)) bench_end(thread, &stamp, BENCH_TIMEOUT);
        thread->tally.events[BENCH_TIMEOUT]++;
        fsi_count64(&thread->errors, 1);
        any = true;
    }
    if (conn->unmade > conn->in_flight) conn->unmade = conn->in_flight;
    return any;
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

// Closes what is open, and forgets what was half read or half sent.
static void bench_shut(bench_thread *thread, bench_conn *conn, bool reset)
{
    if (conn->state == BENCH_UP) {
        if (!reset) fsi_hist_add(&thread->tally.life, thread->now_ns - conn->since_ns, 1);
        thread->now_up--;
        fsi_poke64(&thread->up, thread->up - 1);
    }
    fsi_io_close(&conn->chan, reset || thread->plan->rst);
    free(conn->carry);
    conn->carry = NULL;
    conn->carry_len = 0;
    conn->part = thread->plan->echo ? BENCH_ECHO : BENCH_HEAD;
    conn->body_left = thread->plan->request_len;
    conn->body_bytes = 0;
    conn->last = false;
    conn->write_failed = false;
    conn->out_left = 0;
    conn->held = false;             // what the system may still send of it goes nowhere
    conn->unmade = conn->in_flight; // what is still in flight is sent again
}

// Closes what is open and opens again after the delay. The clocks of requests that are still in flight run on.
static void bench_reopen(bench_thread *thread, bench_conn *conn, bool reset, uint64_t delay_ns)
{
    bench_shut(thread, conn, reset);
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

static void bench_over(bench_thread *thread, bench_conn *conn)
{
    bench_shut(thread, conn, false);
    conn->state = BENCH_OVER;
}

static void bench_settled(bench_thread *thread, bench_conn *conn)
{
    if (conn->settled) return;
    conn->settled = true;
    fsi_count64(&thread->settled, 1);
    if (thread->settled == thread->conn_count) fsi_io_wake(thread->plan->main_io);
}

static const bench_os_failure *bench_connect_failure(int error)
{
    const bench_os_failure *at = bench_os_failures;
    while (at->error && at->error != error) at++;
    return at;
}

static bench_kind bench_connect_kind(int error)
{
    return bench_connect_failure(error)->kind;
}

// Nobody answers there: 100 ms, growing to 1.6 s.
static void bench_connect_failed(bench_thread *thread, bench_conn *conn, int error)
{
    bench_kind kind = bench_connect_kind(error);
    if (!thread->connect_error) thread->connect_error = error;
    bench_settled(thread, conn);
    if (thread->plan->connects) {
        bench_failed(thread, conn, kind); // connecting is a part of the request
    } else {
        thread->tally.events[kind]++;
        fsi_count64(&thread->errors, 1);
        conn->fails++;
    }
    conn->refused = kind != BENCH_RESET; // it was accepted, and reset before this thread looked
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

// Makes the bytes of the requests that have begun since. False: out of memory.
static bool bench_make(bench_thread *thread, bench_conn *conn)
{
    const bench_plan *plan = thread->plan;
    const bench_place *place = &plan->places[conn->place];
    if (conn->out.len > 2 * conn->out_left) { // what was sent goes, once it is the larger part
        if (conn->out_left)
            memmove(conn->out.ptr, conn->out.ptr + conn->out.len - conn->out_left, (size_t)conn->out_left);
        conn->out.len = (size_t)conn->out_left;
    }
    for (; conn->unmade; conn->unmade--) {
        uint32_t at = conn->oldest + conn->in_flight - conn->unmade;
        bench_stamp *stamp = &conn->stamps[at < plan->pipeline ? at : at - plan->pipeline];
        stamp->bytes = plan->request_len;
        if (!plan->alike) {
            size_t before = conn->out.len;
            uint64_t index = thread->made++ * plan->thread_count + thread->index;
            bench_render(&plan->requests[place->first + conn->turn++ % place->count], index, &thread->seed, &conn->out);
            if (conn->out.failed) return false;
            stamp->bytes = conn->out.len - before;
        }
        conn->out_left += stamp->bytes;
        thread->tally.bytes_out += stamp->bytes;
    }
    return true;
}

// What is to be sent next. Requests that are all alike need no copy: what is left tells where in one the next byte
// stands.
static fsi_buf bench_next_bytes(const bench_plan *plan, const bench_conn *conn)
{
    fsi_buf out;
    if (!plan->alike) {
        out.ptr = conn->out.ptr + conn->out.len - conn->out_left;
        out.len = (size_t)conn->out_left;
        return out;
    }
    size_t part = (size_t)(conn->out_left % plan->request_len), at = part ? plan->request_len - part : 0;
    out.ptr = plan->batch + at;
    out.len = plan->batch_len - at < conn->out_left ? plan->batch_len - at : (size_t)conn->out_left;
    return out;
}

static void bench_send(bench_thread *thread, bench_conn *conn)
{
    for (;;) {
        if (conn->unmade && (thread->plan->alike || !conn->held) && !bench_make(thread, conn)) {
            bench_broken(thread, conn, BENCH_WRITE);
            return;
        }
        if (!conn->out_left) return;
        fsi_buf out = bench_next_bytes(thread->plan, conn);
        int64_t sent = fsi_io_write(&conn->chan, &out, 1, true);
        conn->held = sent == FSI_PENDING;
        if (conn->held) return;
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
    bench_fill(thread, conn);
    if (conn->in_flight)
        bench_send(thread, conn);
    else if (thread->running && thread->quota == 0)
        bench_over(thread, conn);
}

// The head of an answer. Most are the last one again, byte for byte (a Date changes once a second): what it meant is
// known.
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

// The Server field of an answer, for the report.
static void bench_note_server(bench_thread *thread)
{
    const char *at = thread->head_seen, *end = at + thread->head_seen_len;
    while (at < end && !thread->server[0]) {
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at));
        if (!stop) return;
        if (stop - at > 8 && FSI_IS(at, 7, "server:")) {
            size_t len = 0;
            for (at += 7; at < stop && (*at == ' ' || *at == '\t');) at++;
            for (; at < stop && *at != '\r' && len + 1 < sizeof thread->server; at++) thread->server[len++] = *at;
        }
        at = stop + 1;
    }
}

static bench_kind bench_judge_answer(const bench_thread *thread, const bench_conn *conn)
{
    const bench_plan *plan = thread->plan;
    if (!(plan->good[conn->status / 8] >> (conn->status % 8) & 1)) return BENCH_STATUS;
    if (plan->expect_len && conn->match < plan->expect_len) return BENCH_BODY;
    return BENCH_KINDS;
}

// Is a part of the oldest request still to be sent?
static bool bench_is_unsent(const bench_plan *plan, const bench_conn *conn)
{
    uint64_t behind = 0; // bytes of the requests behind it
    uint32_t made = conn->in_flight - conn->unmade;
    if (FSI_LIKELY(!conn->out_left)) return false;
    if (conn->held) behind = BENCH_OS_SENDS_AHEAD; // bytes of which nobody knows
    if (!made) return true;
    for (uint32_t i = 1, at = conn->oldest; i < made; i++) {
        at = at + 1 < plan->pipeline ? at + 1 : 0;
        behind += conn->stamps[at].bytes;
    }
    return conn->out_left > behind;
}

// An answer is complete. False: the connection has ended with it.
static bool bench_answered(bench_thread *thread, bench_conn *conn)
{
    const bench_plan *plan = thread->plan;
    bool unsent = bench_is_unsent(plan, conn); // answered before it was all sent
    bench_kind kind = plan->echo ? BENCH_KINDS : bench_judge_answer(thread, conn);
    if (FSI_UNLIKELY(unsent && kind == BENCH_KINDS)) { // to refuse it so is a server's right, to do it is a trick
        kind = BENCH_BAD;
        thread->early = true;
        thread->tally.events[kind]++;
    }
    bench_done(thread, conn, kind);
    if (FSI_UNLIKELY(conn->unmade > conn->in_flight)) conn->unmade = conn->in_flight;
    conn->part = plan->echo ? BENCH_ECHO : BENCH_HEAD;
    conn->body_left = plan->request_len;
    conn->body_bytes = 0;
    if (conn->calls_left == 0 && conn->in_flight == 0) conn->last = true;
    if (FSI_LIKELY(!conn->last && !unsent)) return true;
    bench_reopen(thread, conn, unsent, 0);
    return false;
}

// What a head says about its body (RFC 9112 6.3). True: goes on; *bare: there is none, the answer is complete.
static void bench_frame(bench_thread *thread, bench_conn *conn, bool *bare)
{
    const fsi_answer_head *head = &thread->head;
    conn->status = (uint16_t)head->status;
    conn->last = thread->plan->close || head->wants_close || (head->minor == 0 && !head->wants_keep);
    conn->match = 0;
    *bare = false;
    if (FSI_UNLIKELY(thread->first_length == UINT64_MAX)) bench_note_server(thread);
    if (FSI_UNLIKELY(thread->plan->detail) && conn->stamps[conn->oldest].due >= thread->plan->measure_ns)
        fsi_hist_add(&thread->tally.wait, bench_now(thread) - conn->stamps[conn->oldest].sent, 1);
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

// A piece of the body: counts it, and looks for what it must contain.
static void bench_body(const bench_thread *thread, bench_conn *conn, const char *data, size_t len)
{
    const bench_plan *plan = thread->plan;
    uint32_t match = conn->match, want = plan->expect_len;
    conn->body_bytes += len;
    if (FSI_LIKELY(match == want)) return;
    for (size_t i = 0; i < len && match < want; i++) {
        while (match && data[i] != plan->expect_body[match]) match = plan->expect_back[match];
        match += data[i] == plan->expect_body[match];
    }
    conn->match = match;
}

// Passes over a piece of a chunked body. Returns the bytes used, or a negative refusal.
static int64_t bench_take_chunked(const bench_thread *thread, bench_conn *conn, const char *data, size_t len)
{
    static const fsi_limits limits = {BENCH_HEAD_BYTES, 0, 1000};
    size_t used = 0, run;
    do {
        int64_t framing = fsi_read_chunked(&conn->chunked, data + used, len - used, &limits, &run);
        if (framing < 0) return framing;
        used += (size_t)framing;
        if (run) fsi_chunk_take(&conn->chunked, run);
        if (run) bench_body(thread, conn, data + used, run);
        used += run;
    } while (run);
    return (int64_t)used;
}

// What comes at the beginning of an answer. Bytes used, 0: more must come, or a negative refusal.
static int64_t bench_take_head(bench_thread *thread, bench_conn *conn, const char *data, size_t len, bool *complete)
{
    if (FSI_UNLIKELY(!conn->in_flight)) return -FSI_REFUSALS_END; // bytes that nobody asked for
    int64_t used = bench_read_head(thread, data, len);
    if (FSI_UNLIKELY(used <= 0)) return used;
    if (FSI_UNLIKELY(thread->head.status > 599)) return -FSI_BAD_STATUS;  // RFC 9110 15: there is none
    if (FSI_UNLIKELY(thread->head.status == 101)) return -FSI_BAD_STATUS; // nobody asked for another protocol
    if (FSI_LIKELY(thread->head.status >= 200)) bench_frame(thread, conn, complete); // else the real one follows
    return used;
}

static int64_t bench_take_echo(const bench_thread *thread, bench_conn *conn, const char *data, size_t len)
{
    size_t size = thread->plan->request_len, at = size - (size_t)conn->body_left;
    size_t used = len < conn->body_left ? len : (size_t)conn->body_left;
    uint64_t sent = (conn->in_flight - conn->unmade) * (uint64_t)size - conn->out_left;
    if (!conn->in_flight || at + used > sent || memcmp(data, thread->plan->batch + at, used) != 0)
        return -(int64_t)FSI_REFUSALS_END;
    conn->body_left -= used;
    conn->body_bytes += used;
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
            used = bench_take_head(thread, conn, data, len, &complete);
            if (FSI_UNLIKELY(used == 0)) {
                bench_carry(thread, conn, data, len);
                return conn->state == BENCH_UP;
            }
            break;
        case BENCH_LENGTH:
            used = (int64_t)(len < conn->body_left ? len : conn->body_left);
            bench_body(thread, conn, data, (size_t)used);
            conn->body_left -= (uint64_t)used;
            complete = conn->body_left == 0;
            break;
        case BENCH_CHUNKED:
            used = bench_take_chunked(thread, conn, data, len);
            complete = conn->chunked.state == FSI_CHUNK_DONE;
            break;
        case BENCH_UNTIL_CLOSE:
            used = (int64_t)len;
            bench_body(thread, conn, data, len);
            break;
        case BENCH_ECHO:
            used = bench_take_echo(thread, conn, data, len);
            complete = conn->body_left == 0;
            break;
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
        thread->now_fresh = false;
        (void)bench_answered(thread, conn);
    } else {
        bench_broken(thread, conn, got == 0 ? BENCH_CLOSED : BENCH_RESET);
    }
}

// Reads and answers until nothing more is there. Once the peer's end was seen nothing is sent any more: what would be
// sent now is lost for sure, while the error is the connection's.
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
        thread->tally.bytes_in += (uint64_t)got;
        thread->now_fresh = false;
        if (!bench_take(thread, conn, thread->in, have + (size_t)got)) return;
        if (FSI_LIKELY(!conn->chan.eof)) bench_refill(thread, conn);
        if (FSI_UNLIKELY(conn->state != BENCH_UP)) return;
    }
    bench_todo(thread, conn);
}

// The local address of a connection: with --source-ips they take turns.
static const fsi_sockaddr *bench_source(const bench_thread *thread, const bench_conn *conn, fsi_sockaddr *from)
{
    const bench_plan *plan = thread->plan;
    if (plan->source_ips < 2 || plan->places[conn->place].address.storage.ss_family != AF_INET) return NULL;
    uint64_t turn = thread->conn_first + (uint64_t)(conn - thread->conns) + conn->opens;
    fsi_sockaddr_v4(from, 0x7f000001u + (uint32_t)(turn % plan->source_ips), 0);
    return from;
}

// Begins to connect. In a closed loop of connections its first request begins with it; in an open one it has begun.
static void bench_connect(bench_thread *thread, bench_conn *conn)
{
    const bench_plan *plan = thread->plan;
    int error = 0;
    fsi_sockaddr from;
    (void)bench_now(thread);
    if (conn->in_flight == 0) {
        conn->calls_left = plan->calls;
        if (plan->connects && !plan->open &&
            thread->quota) // since the last one ended: closing and waiting for a turn count
            bench_begin(thread, conn, conn->due_ns ? conn->due_ns : thread->now_ns);
        if (conn->in_flight == 0 && thread->quota == 0) {
            conn->state = BENCH_OVER;
            bench_settled(thread, conn); // nobody is to wait for it
            return;
        }
    }
    conn->opens++;
    conn->state = BENCH_CONNECTING;
    conn->since_ns = thread->now_ns;
    fsi_chan_init(&conn->chan, FSI_CHAN_CLIENT);
    bool local = plan->places[conn->place].address.storage.ss_family == AF_UNIX;
    if (fsi_io_connect(&thread->io, &conn->chan, &plan->places[conn->place].address, bench_source(thread, conn, &from),
                       &error) == FSI_FAILED) {
        if (local && error == BENCH_OS_QUEUE_FULL)
            bench_reopen(thread, conn, true,
                         1000000); // its backlog is full, which a Unix-domain socket does not wait for
        else
            bench_connect_failed(thread, conn, error);
    }
}

static void bench_connected(bench_thread *thread, bench_conn *conn)
{
    int error = fsi_io_connected(&conn->chan);
    if (error) {
        bench_connect_failed(thread, conn, error);
        return;
    }
    uint64_t now = bench_now(thread);
    conn->state = BENCH_UP;
    conn->refused = false;
    if (!conn->ever_up) fsi_count64(&thread->ever_up, 1);
    conn->ever_up = true;
    fsi_count64(&thread->up, 1);
    if (++thread->now_up > thread->most) thread->most = thread->now_up;
    thread->tally.opened++;
    fsi_hist_add(&thread->tally.connect, now - conn->since_ns, 1);
    if (now - conn->since_ns > 900000000) // the first SYN is sent again after a second
        thread->tally.retransmits += fsi_io_retransmits(&conn->chan);
    bench_settled(thread, conn);
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
                bench_settled(thread, conn);
                bench_reopen(thread, conn, true, 0);
            } else {
                bench_connect_failed(thread, conn, BENCH_OS_TIMED_OUT);
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
    thread->tick_ns = thread->now_ns + BENCH_TICK_NS;
    if (span == 0 || !thread->measuring) return;
    fsi_hist_add(&thread->tally.rate, (uint64_t)((double)count * 1e9 / (double)span + 0.5), 1);
    thread->sample_ns = thread->now_ns;
    thread->sample_done = thread->done;
    if (thread->plan->progress && thread->tally.rate.count % 10 == 0)
        fsi_poke64(&thread->p99_ns, fsi_hist_at(&thread->tally.response, 0.99));
}

// A connection that is down may be opened again. In an open loop of connections it waits until one is due.
static void bench_again(bench_thread *thread, bench_conn *conn)
{
    if (conn->due_ns > thread->now_ns)
        bench_reopen(thread, conn, false, conn->due_ns - thread->now_ns);
    else if (thread->plan->open && thread->plan->connects && conn->in_flight == 0)
        bench_idle_push(thread, conn);
    else
        bench_connect(thread, conn);
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
        else if (list->state == BENCH_DOWN)
            bench_again(thread, list);
    }
    if (thread->now_ns < thread->later_ns) return;
    list = thread->later;
    thread->later = NULL;
    thread->later_ns = UINT64_MAX;
    for (; list; list = next) {
        next = list->next;
        list->listed = false;
        if (list->state == BENCH_DOWN) bench_again(thread, list);
    }
}

// Open loop: sends what is due, as far as there are connections for it.
static void bench_pace(bench_thread *thread)
{
    const bench_plan *plan = thread->plan;
    while (thread->due_ns <= bench_now(thread)) {
        bench_conn *conn = bench_idle_pop(thread);
        if (!conn) return;
        uint64_t due = thread->due_ns;
        if (due > thread->starved_ns && due >= plan->measure_ns)
            fsi_hist_add(&thread->tally.lag, thread->now_ns - due, 1);
        if (plan->connects) {
            conn->calls_left = plan->calls;
            bench_begin_due(thread, conn);
            bench_connect(thread, conn);
        } else {
            bench_begin_due(thread, conn);
            if (conn->in_flight < plan->pipeline) bench_idle_push(thread, conn);
            bench_send(thread, conn);
        }
    }
}

// Microseconds until something is due.
static uint64_t bench_wait_us(const bench_thread *thread)
{
    uint64_t due = thread->tick_ns < thread->scan_ns ? thread->tick_ns : thread->scan_ns;
    if (thread->todo || thread->plan->spin) return 0;
    if (thread->later_ns < due) due = thread->later_ns;
    if (thread->idle && thread->due_ns < due) due = thread->due_ns;
    if (!thread->measuring && thread->running && thread->plan->measure_ns < due) due = thread->plan->measure_ns;
    if (thread->running && thread->plan->deadline_ns < due) due = thread->plan->deadline_ns;
    return due > thread->now_ns ? (due - thread->now_ns + 999) / 1000 : 0;
}

static bool bench_over_all(const bench_thread *thread)
{
    return fsi_load32(&thread->plan->stop) ||
           (thread->running && (thread->now_ns >= thread->plan->deadline_ns ||
                                (thread->quota == 0 && thread->ended_all == thread->begun)));
}

// The run begins: every connection that is up gets its first requests.
static void bench_go(bench_thread *thread)
{
    thread->running = true;
    (void)bench_now(thread);
    bench_schedule(thread);
    for (uint32_t i = 0; i < thread->conn_count; i++)
        if (thread->conns[i].state == BENCH_UP) bench_refill(thread, &thread->conns[i]);
}

static void bench_turns(bench_thread *thread)
{
    do {
        (void)bench_os_wait(&thread->alarm, &thread->io, bench_wait_us(thread));
        thread->clocked = false;
        if (FSI_UNLIKELY(!thread->running && fsi_load32(&thread->plan->go))) bench_go(thread);
        fsi_io_dispatch(&thread->io);
        if (FSI_UNLIKELY(!thread->clocked)) (void)bench_now(thread);
        if (FSI_UNLIKELY(thread->todo || thread->now_ns >= thread->later_ns)) bench_lists(thread);
        if (thread->plan->open) bench_pace(thread);
        if (FSI_UNLIKELY(thread->now_ns >= thread->scan_ns)) bench_scan(thread);
        if (FSI_UNLIKELY(thread->now_ns >= thread->tick_ns)) bench_sample(thread);
    } while (!bench_over_all(thread));
}

// What was due before end_ns and was never sent. At a high rate these are thousands of millions, so they are counted by
// cells of the histogram: the first, the last, and all that lie between them.
static void bench_finish_unsent(bench_thread *thread, uint64_t end_ns)
{
    bench_tally *tally = &thread->tally;
    if (thread->due_ns >= end_ns) return;
    uint64_t at = bench_arrival_at(thread, thread->arrival, thread->plan->measure_ns);
    uint64_t stop = bench_arrival_at(thread, at, end_ns);
    if (stop - at > thread->quota) stop = at + thread->quota;
    tally->due += stop - at;
    tally->unsent += stop - at;
    for (uint64_t next; at < stop; at = next) {
        uint64_t most = end_ns - bench_thread_due(thread, at), least = bench_cell_low(fsi_hist_cell(most));
        next = bench_arrival_at(thread, at, end_ns - least + 1);
        if (next > stop) next = stop;
        uint64_t last = end_ns - bench_thread_due(thread, next - 1), count = next - at;
        fsi_hist_add(&tally->censored, most, 1);
        if (count > 1) fsi_hist_add(&tally->censored, last, 1);
        if (count > 2) fsi_hist_add(&tally->censored, last + (most - last) / 2, count - 2); // evenly, or nearly so
    }
}

// What was sent and never ended, and what was due and was never sent.
static void bench_finish_requests(bench_thread *thread)
{
    bench_tally *tally = &thread->tally;
    bench_stamp stamp;
    for (uint32_t i = 0; i < thread->conn_count; i++) {
        while (thread->conns[i].in_flight) {
            if (!bench_pop(thread, &thread->conns[i], &stamp)) continue;
            tally->in_flight++;
            fsi_hist_add(&tally->censored, thread->end_ns - stamp.due, 1);
        }
    }
    uint64_t deadline = thread->plan->deadline_ns;
    bench_finish_unsent(thread, thread->end_ns < deadline ? thread->end_ns : deadline);
}

// What is left when the run is over.
static void bench_finish(bench_thread *thread)
{
    thread->end_ns = thread->now_ns;
    if (thread->tally.rate.count == 0) bench_sample(thread);
    for (uint32_t i = 0; i < thread->conn_count; i++) {
        bench_conn *conn = &thread->conns[i];
        bool waits =
            conn->state == BENCH_CONNECTING && (!conn->ever_up || thread->end_ns - conn->since_ns > 1000000000u);
        bool down = waits || (conn->refused && conn->state != BENCH_UP);
        if (thread->plan->connects && thread->plan->open) down = false; // what failed there is counted as requests
        thread->lost += conn->state != BENCH_OVER && down;
        bool wanted = conn->asked || (conn->opens && !conn->ever_up && conn->state != BENCH_OVER);
        thread->unanswered += wanted && !conn->answered;
        fsi_io_close(&conn->chan, thread->plan->rst);
        free(conn->carry);
        conn->carry = NULL;
    }
    bench_finish_requests(thread);
}

// The first connections. With a ramp a closed loop opens them one after the other.
static void bench_open_all(bench_thread *thread, uint32_t all)
{
    const bench_plan *plan = thread->plan;
    for (uint32_t i = 0; i < thread->conn_count; i++) {
        bench_conn *conn = &thread->conns[i];
        uint64_t delay = plan->open ? 0 : plan->ramp_ns / all * (thread->conn_first + i);
        if (delay) {
            bench_reopen(thread, conn, false, delay);
            bench_settled(thread, conn);
        } else {
            conn->due_ns = 0;
            bench_again(thread, conn);
        }
    }
}

static void bench_thread_body(void *arg)
{
    bench_thread *thread = (bench_thread *)arg;
    if (thread->cpu >= 0) (void)fsi_affinity_pin(thread->cpu); // this thread ends with the run: nothing to restore
    if (thread->plan->open) bench_os_exact_begin(&thread->alarm, &thread->io);
    uint64_t now = bench_now(thread);
    thread->tick_ns = now + BENCH_TICK_NS;
    thread->scan_step_ns = thread->plan->timeout_ns / 4 < BENCH_TICK_NS ? thread->plan->timeout_ns / 4 : BENCH_TICK_NS;
    if (thread->scan_step_ns < 1000000) thread->scan_step_ns = 1000000;
    thread->scan_ns = now + thread->scan_step_ns;
    if (fsi_load32(&thread->plan->go)) bench_go(thread);
    bench_open_all(thread, thread->plan->conn_count);
    if (!bench_over_all(thread)) bench_turns(thread);
    thread->cpu_ns = bench_os_thread_ns() - thread->begin_cpu_ns;
    if (thread->plan->open) bench_os_exact_end(&thread->alarm);
    bench_finish(thread);
    (void)fsi_add32(&thread->plan->ended, 1);
    fsi_io_wake(thread->plan->main_io);
}

static void bench_thread_free(bench_thread *thread)
{
    if (!thread) return;
    if (thread->io_made) fsi_io_free(&thread->io); // the system holds nothing any more
    for (uint32_t i = 0; i < thread->conn_count && thread->conns; i++) bench_text_free(&thread->conns[i].out);
    free(thread->conns);
    free(thread->stamps);
    free(thread->in);
    free(thread->head_seen);
    free(thread->slots);
    free(thread);
}

// NULL: out of memory or descriptors.
static bench_thread *bench_thread_new(bench_plan *plan, uint32_t index, uint32_t conn_first, uint32_t conn_count,
                                      uint64_t quota)
{
    bench_thread *thread = (bench_thread *)calloc(1, sizeof *thread);
    if (!thread) return NULL;
    thread->cpu = -1;
    thread->plan = plan;
    thread->index = index;
    thread->conn_first = conn_first;
    thread->conn_count = conn_count;
    thread->quota = quota;
    thread->later_ns = thread->due_ns = thread->first_length = UINT64_MAX;
    thread->idle_tail = &thread->idle;
    bench_tally_init(&thread->tally);
    thread->seed = fsi_clock_ns() + index * 0x9e3779b97f4a7c15u;
    thread->conns = (bench_conn *)calloc(conn_count, sizeof *thread->conns);
    thread->in = (char *)malloc(BENCH_IN_BYTES + BENCH_HEAD_BYTES);
    thread->head_seen = (char *)malloc(BENCH_HEAD_BYTES);
    thread->slots = (bench_slot_tally *)calloc(BENCH_SLOTS_MAX, sizeof *thread->slots); // touched as time passes
    if (plan->pipeline > 1)
        thread->stamps = (bench_stamp *)calloc((size_t)conn_count * plan->pipeline, sizeof *thread->stamps);
    bool room =
        thread->conns && thread->in && thread->head_seen && thread->slots && (plan->pipeline == 1 || thread->stamps);
    thread->io_made = room && fsi_io_init(&thread->io, NULL); // which frees itself when it fails
    if (!thread->io_made) {
        bench_thread_free(thread);
        return NULL;
    }
    thread->io.on_client = bench_ready;
    thread->io.user = thread;
    for (uint32_t i = 0; i < conn_count; i++) {
        bench_conn *conn = &thread->conns[i];
        fsi_chan_init(&conn->chan, FSI_CHAN_CLIENT);
        conn->stamps = thread->stamps ? thread->stamps + (size_t)i * plan->pipeline : &conn->stamp;
        conn->place = plan->place_count ? (conn_first + i) % plan->place_count : 0;
        conn->turn = conn_first + i;
        conn->calls_left = plan->calls;
        conn->part = plan->echo ? BENCH_ECHO : BENCH_HEAD;
        conn->body_left = plan->request_len;
    }
    return thread;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-report   What is printed: wrk's layout, byte for byte, so that what parses wrk parses this. Anything of our own comes
//                  after an empty line, and without the word that those parsers look for.
// ---------------------------------------------------------------------------------------------------------

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

static void bench_print_head(FILE *out, const bench_options *options, const char *url, uint32_t threads,
                             uint32_t connections)
{
    char text[48];
    if (options->duration_ns)
        (void)fprintf(out, "Running %s test @ %s\n", bench_length_text(text, sizeof text, options->duration_ns), url);
    else
        (void)fprintf(out, "Running %llu-request test @ %s\n", (unsigned long long)options->requests, url);
    (void)fprintf(out, "  %u threads and %u connections%s\n", threads, connections,
                  options->conn_rate > 0 ? " at most" : "");
}

// wrk's four words for what went wrong.
typedef struct bench_words {
    uint64_t connect, read, write, timeout;
} bench_words;

static bench_words bench_words_of(const uint64_t *events)
{
    bench_words words = {0, 0, 0, 0};
    for (int kind = BENCH_REFUSED; kind <= BENCH_UNREACHABLE; kind++) words.connect += events[kind];
    words.read = events[BENCH_CLOSED] + events[BENCH_RESET] + events[BENCH_BAD];
    words.write = events[BENCH_WRITE];
    words.timeout = events[BENCH_TIMEOUT];
    return words;
}

static void bench_print_percentiles(FILE *out, const bench_result *result)
{
    static const double percents[] = {50, 75, 90, 99};
    char text[48];
    bool beyond;
    (void)fprintf(out, "  Latency Distribution\n");
    for (int i = 0; i < 4; i++) {
        (void)fprintf(out, "%7.0f%%", percents[i]);
        double us = (double)bench_quantile(result, percents[i] / 100, &beyond) / 1000;
        bench_cell(out, bench_time_text(text, sizeof text, us), 10);
        (void)fprintf(out, "\n");
    }
}

// wrk's layout behind its head. middle: prints what stands between the statistics and the sums, or NULL.
static void bench_print_wrk(FILE *out, const bench_result *result, void (*middle)(FILE *, const bench_result *))
{
    char text[48], bytes[48];
    double seconds = bench_run_s(result);
    uint64_t answers = bench_answers(result), unexpected = 0;
    for (int status = 400; status < 600; status++) unexpected += result->statuses[status];
    bench_words words = bench_words_of(result->events);
    (void)fprintf(out, "  Thread Stats%6s%11s%8s%12s\n", "Avg", "Stdev", "Max", "+/- Stdev");
    bench_row(out, "Latency", &result->response, 0.001, bench_time_text);
    bench_row(out, "Req/Sec", &result->rate, 1, bench_count_text);
    if (middle) middle(out, result);
    (void)fprintf(out, "  %llu requests in %s, %s read\n", (unsigned long long)answers,
                  bench_time_text(text, sizeof text, (double)result->run_ns / 1000),
                  bench_bytes_text(bytes, sizeof bytes, (double)result->bytes_in));
    if (words.connect || words.read || words.write || words.timeout)
        (void)fprintf(out, "  Socket errors: connect %llu, read %llu, write %llu, timeout %llu\n",
                      (unsigned long long)words.connect, (unsigned long long)words.read,
                      (unsigned long long)words.write, (unsigned long long)words.timeout);
    if (unexpected) (void)fprintf(out, "  Non-2xx or 3xx responses: %llu\n", (unsigned long long)unexpected);
    (void)fprintf(out, "Requests/sec: %9.2f\n", bench_answer_rate(result));
    (void)fprintf(out, "Transfer/sec: %11s\n",
                  bench_bytes_text(bytes, sizeof bytes, (double)result->bytes_in / seconds));
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
//                - members may be added without a new number: a reader skips those that it does not know, and does without
//                  those that came later (BENCH_AS_LATER_BOOL). A kind of error that it does not know is refused, for the
//                  sums would not add up without it
//                - counts are whole numbers of up to 64 bits: a reader that only has doubles loses digits above 2^53
//                - text is UTF-8; a byte that is not is written as ?
// ---------------------------------------------------------------------------------------------------------

#define BENCH_SCHEMA "fastserve-bench/1"
#define BENCH_JSON_BYTES (16u << 20) // of a file; the largest that is written has about 2 MB
#define BENCH_JSON_DEPTH 16          // of what is skipped

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
    BENCH_AS_LATER_BOOL, // as BOOL; files from before it was written do not have it: false
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
#define BENCH_JSON_HIST(field, name) BENCH_JSON_PART(bench_result, name, BENCH_AS_HIST, field),
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
    BENCH_JSON_SETUP("spin",              BENCH_AS_BOOL,   spin,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("echo",              BENCH_AS_BOOL,   echo,          BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("self_hosted",       BENCH_AS_BOOL,   self_hosted,   BENCH_SAME_PLACE),
    BENCH_JSON_SETUP("source_ips",        BENCH_AS_U32,    source_ips,    BENCH_SAME_ALWAYS),
    BENCH_JSON_SETUP("request_bytes",     BENCH_AS_U32,    request_bytes, BENCH_SAME_PLACE), // the Host field is in them
    BENCH_JSON_SETUP("request_body",      BENCH_AS_LATER_BOOL, body,      BENCH_SAME_ALWAYS),
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
    BENCH_JSON_PART(bench_result, "starved",         BENCH_AS_U64, conns_starved),
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
    BENCH_HIST_LIST(BENCH_JSON_HIST)
    BENCH_JSON_END};

static const bench_member bench_slot_members[] = {
    BENCH_JSON_PART(bench_slot, "done",     BENCH_AS_U64, done),
    BENCH_JSON_PART(bench_slot, "errors",   BENCH_AS_U64, errors),
    BENCH_JSON_PART(bench_slot, "timeouts", BENCH_AS_U64, timeouts),
    BENCH_JSON_PART(bench_slot, "p50_ns",   BENCH_AS_U64, p50),
    BENCH_JSON_PART(bench_slot, "p99_ns",   BENCH_AS_U64, p99),
    BENCH_JSON_PART(bench_slot, "max_ns",   BENCH_AS_U64, max),
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
    BENCH_JSON_PART(bench_result, "not_trustworthy", BENCH_AS_TEXT, doubts),
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

// The shortest of three forms that reads back as the same number, with a point whatever the locale has. What is no
// number: 0.
static const char *bench_double_text(char *out, size_t size, double value)
{
    // cppcheck-suppress incorrectLogicOperator ; neither holds for what is no number
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
    case BENCH_AS_LATER_BOOL:
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
    (void)fprintf(pen->out, "%llu", (unsigned long long)result->slot_ns);
    bench_pen_next(pen, "slots");
    bench_pen_open(pen, '[');
    for (uint32_t i = 0; i < result->slot_count && i < BENCH_SLOTS_MAX; i++) {
        char text[48];
        bench_pen_next(pen, NULL);
        for (const bench_member *member = bench_slot_members; member->name; member++)
            (void)fprintf(pen->out, "%s\"%s\": %s", member == bench_slot_members ? "{" : ", ", member->name,
                          bench_member_text(text, sizeof text, member, (const char *)&result->slots[i]));
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

static void bench_write_json(FILE *out, const bench_result *result)
{
    bench_pen pen = {out, 0, true};
    bench_write_members(&pen, bench_result_members, (const char *)result);
    (void)fputc('\n', out);
}

typedef void bench_writer(FILE *out, const bench_result *result);

// Writes a file that an option asked for; "-" is the standard output, NULL: none. False: said why it could not be.
static bool bench_save(const char *option, const char *path, bench_writer *writer, const bench_result *result)
{
    bool dash = path && strcmp(path, "-") == 0;
    if (!path) return true;
    FILE *out = dash ? stdout : bench_os_open(path, "wb");
    bool fine = out != NULL;
    int error = errno;
    if (fine) {
        writer(out, result);
        fine = fflush(out) == 0 && !ferror(out);
        error = errno;
        if (!dash && fclose(out) != 0 && fine) {
            error = errno;
            fine = false;
        }
    }
    if (!fine) bench_say("%s %s: %s", option, path, strerror(error));
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
        if (result->slot_count == BENCH_SLOTS_MAX) return bench_json_fail(json, "too many slots");
        if (!bench_json_members(json, bench_slot_members, (char *)&result->slots[result->slot_count])) return false;
        result->slot_count++;
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
        if (bit == 1 ? !bench_json_u64(json, UINT64_MAX, &result->slot_ns)
                     : !(bit == 2 ? bench_json_slots(json, result) : bench_json_skip(json, BENCH_JSON_DEPTH)))
            return false;
    }
    if (json->wrong) return false;
    if (seen != 3) return bench_json_fail(json, "a member is missing in the series");
    return result->slot_ns || !result->slot_count || bench_json_fail(json, "slots without a length");
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
    case BENCH_AS_LATER_BOOL:
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

// Whether a result without it is none: what is only for people need not be there, nor what older ones did not have.
static bool bench_member_needed(const bench_member *member)
{
    return member->as != BENCH_AS_SUMMARY && member->as != BENCH_AS_RATE && member->as != BENCH_AS_LATER_BOOL;
}

// An object by its table: every member of the table once, others skipped. Its depth is the tables' own.
static bool bench_json_members(bench_json *json, const bench_member *members, char *base)
{
    uint64_t seen = 0, all = 0;
    bool first = true;
    for (uint32_t i = 0; members[i].name; i++)
        if (bench_member_needed(&members[i])) all |= (uint64_t)1 << i;
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

// Returns NULL, or what is wrong and where; that text holds until the next call. After it the result is empty.
static const char *bench_json_parse(const char *text, size_t len, bench_result *result)
{
    static char wrong[128];
    bench_json json = {text, text, text + len, NULL};
    bench_result_init(result);
    if (bench_json_peek(&json) != '{')
        (void)bench_json_fail(&json, len ? "no JSON object" : "it is empty");
    else if (bench_json_members(&json, bench_result_members, (char *)result) &&
             (bench_json_peek(&json), json.at != json.end))
        (void)bench_json_fail(&json, "something behind the end");
    if (!json.wrong) return NULL;
    uint32_t line = 1;
    for (const char *at = json.begin; at < json.at; at++) line += *at == '\n';
    (void)snprintf(wrong, sizeof wrong, "line %u: %s", line, json.wrong);
    bench_result_init(result);
    return wrong;
}

// From the file of that name, "-": standard input. As bench_json_parse.
static const char *bench_json_read(const char *path, bench_result *result)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *in = standard ? stdin : bench_os_open(path, "rb");
    bench_text text = {NULL, 0, 0, false};
    bench_result_init(result);
    if (!in) return strerror(errno);
    const char *wrong = bench_text_read(&text, in, BENCH_JSON_BYTES, "larger than any result");
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
#define BENCH_KNEE_LEAST 10      // requests of a run; no lower rate is tried

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
    char last = len ? text[len - 1] : 0;
    bool bare = (last >= '0' && last <= '9') || last == '.';
    switch (term->figure) {
    case BENCH_FIGURE_ERRORS:
        if (bare && strcmp(text, "0") != 0) return "errors are a share; write errors<0.1%";
        wrong = bench_read_share(text, &term->limit);
        return !wrong && !term->equal && !(term->limit > 0) ? "nothing is less than 0; write errors<=0" : wrong;
    case BENCH_FIGURE_RATE:
        if (len > 3 && strcmp(text + len - 2, "/s") == 0) len -= 2; // "10k/s"
        (void)snprintf(plain, sizeof plain, "%.*s", (int)len, text);
        return bench_read_rate(plain, &term->limit);
    default:
        if (bare) return "a time needs its unit; write p99<5ms";
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
    if (*limit && strpbrk(limit + 1, "<>")) return "two terms without a comma between them";
    (void)snprintf(term->asked, sizeof term->asked, "%c%s %.20s", term->figure == BENCH_FIGURE_RATE ? '>' : '<',
                   term->equal ? "=" : "", limit);
    return strlen(limit) > 20 ? "a limit that is too long" : bench_slo_limit(term, limit);
}

// "p99<5ms, p99.9<=20ms, max<1s, mean<2ms, errors<0.1%, rate>10k": all must hold. Returns what is wrong, or NULL.
static const char *bench_slo_parse(const char *text, bench_slo *slo)
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

// The distribution over every request that was due.
static bench_curve bench_curve_due(const bench_result *result)
{
    bench_curve curve = bench_curve_of(&result->response, &result->censored);
    curve.total = curve.at_risk += (double)bench_endless(result);
    return curve;
}

// bench_quantile over every request that was due. Of none nothing is known.
static uint64_t bench_quantile_due(const bench_result *result, double q, bool *beyond)
{
    bench_curve curve = bench_curve_due(result);
    uint64_t value = bench_curve_at(&curve, q, beyond);
    if (curve.total <= 0) *beyond = true;
    return value;
}

static double bench_mean_due(const bench_result *result, bool *beyond)
{
    bench_curve curve = bench_curve_due(result);
    double mean, deviation;
    bench_curve_moments(&curve, &mean, &deviation);
    *beyond = curve.total <= 0 || curve.alive > 0;
    return mean;
}

// What one term found, and whether it holds.
static bool bench_slo_term_holds(const bench_slo_term *term, const bench_result *result, char *line, size_t size)
{
    char found[48];
    bool beyond = false, held;
    double value = 0;
    if (term->figure == BENCH_FIGURE_ERRORS) {
        value = (double)bench_errors(result) / (double)result->due;
        (void)snprintf(found, sizeof found, "%.4g%%", value * 100);
    } else if (term->figure == BENCH_FIGURE_RATE) {
        value = bench_done_rate(result);
        (void)bench_count_text(found, sizeof found, value);
    } else {
        bool mean = term->figure == BENCH_FIGURE_MEAN;
        value = mean ? bench_mean_due(result, &beyond) : (double)bench_quantile_due(result, term->share, &beyond);
        (void)bench_time_text(found, sizeof found, value / 1000);
    }
    held = term->figure == BENCH_FIGURE_RATE ? value > term->limit || (term->equal && value >= term->limit)
                                             : value < term->limit || (term->equal && value <= term->limit);
    double open = (double)bench_errors(result) + (double)result->in_flight + (double)result->unsent;
    if (beyond && !result->done)
        (void)snprintf(line, size, "%s unknown (asked %s): missed, no request succeeded", term->name, term->asked);
    else if (beyond)
        (void)snprintf(line, size, "%s more than %s (asked %s): missed%s, %.3g%% failed or did not end", term->name,
                       found, term->asked, held ? " because it cannot be decided" : "",
                       open * 100 / (double)result->due);
    else
        (void)snprintf(line, size, "%s %s (asked %s): %s", term->name, found, term->asked, held ? "held" : "missed");
    return held && !beyond;
}

// why: a line for each term, as far as they fit, without an end of line behind the last.
static bool bench_slo_holds(const bench_slo *slo, const bench_result *result, char *why, size_t size)
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
    double least;  // no lower one is tried
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

// The next rate to try, from all that were tried; 0: the search is over. Doubles until one misses, halves the distance
// (in ratio) until the two sides are near, then tries both sides again: a side that says one thing and then another is
// tried a third time, and may open the search again. The first miss is repeated at once, for everything after it stands
// on it.
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
    if (!(low > 0)) return high / 2 >= knee->least ? high / 2 : 0;
    if (high > low * BENCH_KNEE_WIDTH) return bench_sqrt(low * high);
    if (low_runs == 1) return low;
    if (high_runs == 1) return high;
    knee->settled = true;
    return 0;
}

// Whether as much was answered as was asked for. What is on its way when the run ends is no shortfall, as far as the
// mean latency explains it.
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
    point->p50 = bench_quantile_due(result, 0.5, &point->p50_beyond);
    point->p99 = bench_quantile_due(result, 0.99, &point->p99_beyond);
    point->max = bench_quantile_due(result, 1, &point->max_beyond);
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

// Searches from first_rate on, and not below `least`. Terms on the rate are left out: the rate is what is looked for.
// True: found and confirmed, or no rate holds; false: run() said stop, the runs were used up, or there is no memory. What
// was found so far stands in knee.
static bool bench_find_rate(const bench_slo *slo, double first_rate, double least, bench_rate_run *run, void *user,
                            bench_knee *knee)
{
    bench_result *result = (bench_result *)malloc(sizeof *result);
    bench_slo latencies;
    bool running = result != NULL;
    memset(knee, 0, sizeof *knee);
    knee->least = least;
    memset(&latencies, 0, sizeof latencies);
    for (uint32_t i = 0; i < slo->count; i++)
        if (slo->terms[i].figure != BENCH_FIGURE_RATE) latencies.terms[latencies.count++] = slo->terms[i];
    double rate = first_rate;
    while (running && (rate = bench_knee_next(knee, first_rate)) > 0) {
        bench_result_init(result);
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
static void bench_print_knee(FILE *out, const bench_knee *knee)
{
    bool shown[BENCH_KNEE_RUNS] = {false};
    (void)fprintf(out, "%12s%12s%11s%11s%11s%9s\n", "asked/s", "achieved/s", "p50", "p99", "max", "errors");
    for (uint32_t i = 0; i < knee->count; i++) {
        uint32_t least = 0;
        while (shown[least]) least++;
        for (uint32_t k = least + 1; k < knee->count; k++)
            if (!shown[k] && knee->points[k].asked < knee->points[least].asked) least = k;
        shown[least] = true;
        bench_print_point(out, &knee->points[least]);
    }
    if (!(knee->found > 0))
        (void)fprintf(out, "Found rate: none%s\n", knee->count ? ", all that were tried missed" : "");
    else if (!(knee->missed > 0))
        (void)fprintf(out, "Found rate: at least %.0f requests/s; the search ended before one was missed\n",
                      knee->found);
    else
        (void)fprintf(out, "Found rate: %.0f requests/s; missed at %.0f%s\n", knee->found, knee->missed,
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
static void bench_slot_add(bench_slot *into, const bench_slot *from)
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
static void bench_series_add(bench_slot *slots, uint32_t *count, const bench_slot *from, uint32_t from_count,
                             uint64_t times, uint64_t shift)
{
    for (uint32_t i = 0; i < from_count; i++) {
        uint64_t at = shift + i / times;
        if (at >= BENCH_SLOTS_MAX) return;
        bench_slot_add(&slots[at], &from[i]);
        if (at >= *count) *count = (uint32_t)at + 1;
    }
}

// Both series on one axis that begins with the earlier run: whole slots by began_unix, which has whole seconds. Slots
// become longer, by doubling, until both fit. False: no length of slot fits both.
static bool bench_merge_series(bench_result *into, const bench_result *from)
{
    if (!from->slot_count) return true;
    if (!into->slot_count) into->slot_ns = from->slot_ns;
    uint64_t slot = into->slot_ns > from->slot_ns ? into->slot_ns : from->slot_ns;
    bool later = from->began_unix > into->began_unix;
    uint64_t apart = later ? (uint64_t)from->began_unix - (uint64_t)into->began_unix
                           : (uint64_t)into->began_unix - (uint64_t)from->began_unix;
    if (slot == 0 || slot % into->slot_ns || slot % from->slot_ns) return false;
    for (;; slot *= 2) {
        if (slot > UINT64_MAX / 2) return false;
        double slots_apart = (double)apart * 1e9 / (double)slot + 0.5;
        if (slots_apart > BENCH_SLOTS_MAX) continue;
        uint64_t shift = (uint64_t)slots_apart;
        uint64_t into_end = (later ? 0 : shift) + into->slot_count / (slot / into->slot_ns) + 1;
        uint64_t from_end = (later ? shift : 0) + from->slot_count / (slot / from->slot_ns) + 1;
        if (into_end > BENCH_SLOTS_MAX || from_end > BENCH_SLOTS_MAX) continue;
        bench_slot *slots = (bench_slot *)calloc(BENCH_SLOTS_MAX, sizeof *slots);
        uint32_t count = 0;
        if (!slots) return false;
        bench_series_add(slots, &count, into->slots, into->slot_count, slot / into->slot_ns, later ? 0 : shift);
        bench_series_add(slots, &count, from->slots, from->slot_count, slot / from->slot_ns, later ? shift : 0);
        memcpy(into->slots, slots, sizeof into->slots);
        into->slot_count = count;
        into->slot_ns = slot;
        free(slots);
        return true;
    }
}

// What cannot be added, and why. NULL: it can.
static const char *bench_merge_clash(const bench_result *into, const bench_result *from)
{
    const bench_setup *x = &into->setup, *y = &from->setup;
    if (strcmp(x->url, y->url) != 0) return "another URL";
    if (x->echo != y->echo || x->close != y->close) return "another kind of load";
    if ((x->rate > 0) != (y->rate > 0) || (x->conn_rate > 0) != (y->conn_rate > 0))
        return "one has a rate to keep (-R, --conn-rate) and the other has none, so their times mean different things";
    const bench_result *early = into->began_unix <= from->began_unix ? into : from, *late = early == into ? from : into;
    double apart = (double)late->began_unix - (double)early->began_unix - 1; // whole seconds: that much may be rounding
    double left = (double)early->run_ns / 1e9 - apart;
    double shorter = (double)(into->run_ns < from->run_ns ? into->run_ns : from->run_ns) / 1e9;
    if (apart > 0 && left < shorter * 0.8) return "it did not run at the same time";
    bool too_large = false BENCH_HIST_LIST(BENCH_HIST_TOO_LARGE);
    return too_large ? "counts too large to be added" : NULL;
}

static void bench_merge_setup(bench_setup *into, const bench_setup *from)
{
    bench_merge_text(into->version, sizeof into->version, from->version);
    bench_merge_text(into->system, sizeof into->system, from->system);
    bench_merge_text(into->cpu, sizeof into->cpu, from->cpu);
    into->cpus += from->cpus;
    into->threads += from->threads;
    into->connections +=
        from->connections < UINT32_MAX - into->connections ? from->connections : UINT32_MAX - into->connections;
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
    into->spin = into->spin || from->spin;
}

static void bench_merge_counts(bench_result *into, const bench_result *from)
{
    // The lengths are those of the first answer of `into`; of answers that were measured against another one it is not
    // known.
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
    bench_add64(&into->conns_starved, from->conns_starved);
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

// Adds a generator that ran at the same time against the same target, on this or another machine: counts, histograms
// and rates add up, times are those of the longest. Returns why it cannot be added, or NULL; then `into` is as it was.
static const char *bench_merge(bench_result *into, const bench_result *from)
{
    const char *wrong = bench_merge_clash(into, from);
    if (wrong) return wrong;
    if (!bench_merge_series(into, from)) return "a series whose slots do not fit";
    bench_merge_counts(into, from);
    BENCH_HIST_LIST(BENCH_HIST_MERGE) // the rate's is of each thread, as before
    bench_merge_setup(&into->setup, &from->setup);
    if (from->began_unix < into->began_unix) into->began_unix = from->began_unix;
    bench_most64(&into->run_ns, from->run_ns);
    into->interrupted = into->interrupted || from->interrupted;
    if (!into->server[0]) memcpy(into->server, from->server, sizeof into->server);
    if (!into->first_error[0]) memcpy(into->first_error, from->first_error, sizeof into->first_error);
    if (!into->doubts[0]) memcpy(into->doubts, from->doubts, sizeof into->doubts);
    return NULL;
}

// ---- statistics

#define BENCH_ROUNDS_MAX 256
#define BENCH_ROUNDS_LEAST 4 // of A A' B: 2 of 81 arrangements; of A B it takes 7, 2 of 128
#define BENCH_SLOTS_LEAST 8
#define BENCH_DONE_LEAST 1000 // requests in a run, ten of them above its p99
#define BENCH_CHANCE 0.025    // half of 5 %, for there are two figures
#define BENCH_EXACT_MAX 7000  // arrangements that are all tried; of more, a draw of so many

// Student's t that 98.75 % lie below: two intervals of 97.5 % are right together in 95 %. Between the rows the one with
// fewer degrees of freedom counts.
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

// If it did not matter what is B, any run of a round could have been the last one. Among all ways to name one in each
// round, the share in which B lies at least as far from the others. values: `arms` of each round, B last.
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
            sum += far[i][exact ? rest % arms : bench_random_bits(&state) % arms];
        hits += bench_abs(sum) >= bench_abs(seen) * (1 - 1e-9);
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

typedef struct bench_comparison {
    bench_judgement verdict; // of B
    bool untrusted;          // not noise, but the results themselves are why nothing can be told
    bench_difference by[BENCH_BY_END];
    uint32_t rounds;   // 0: two files
    uint32_t slots[2]; // two files: of A and B
    char why[256];     // the verdict in words
    char versions[80]; // when they differ, else ""
} bench_comparison;

static bool bench_cannot(bench_comparison *out, const char *format, ...) FSI_PRINTF(2, 3);

static bool bench_cannot(bench_comparison *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->why, sizeof out->why, format, args);
    va_end(args);
    bench_make_plain(out->why);
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
    if (result->doubts[0]) return "its own audit did not trust it";
    if (result->interrupted) return "it was interrupted";
    if (result->done < BENCH_DONE_LEAST || !result->run_ns) return "it is too short: fewer than 1000 answers";
    uint64_t rest = result->done; // a file may say anything
    for (uint32_t i = 0; i < result->slot_count; rest -= result->slots[i++].done)
        if (result->slots[i].done > rest || result->slot_ns < 100000000) return "its series does not fit its sums";
    return NULL;
}

// Environment and options. vs: two targets in one run of the program, so that the place may differ.
static bool bench_setup_same(bench_comparison *out, const bench_setup *a, const bench_setup *b, bool vs)
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
        bench_make_plain(out->versions);
    }
    return true;
}

// All against the first: what B is must be the only difference.
static bool bench_comparable(bench_comparison *out, const bench_result *const *a, uint32_t na,
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
    memset(same, 0, sizeof same);
    for (uint32_t i = 0; i < rounds; i++) {
        double *round = values + (size_t)i * arms;
        for (uint32_t k = 0; k + 1 < arms; k++)
            if (!bench_compared_value(a[i * (arms - 1) + k], by, &round[k])) return;
        if (!bench_compared_value(b[i], by, &round[arms - 1])) return;
        change[i] = round[arms - 1] - (arms == 3 ? (round[0] + round[1]) / 2 : round[0]);
    }
    for (uint32_t i = 0; i < pairs; i++) // without A': A of one round and of the next
        // cppcheck-suppress uninitvar ; of as many rounds as were put in above
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
    uint64_t whole = result->slot_ns ? result->run_ns / result->slot_ns : 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < result->slot_count && i < whole; i++) {
        const bench_slot *slot = &result->slots[i];
        if (by == BENCH_BY_RATE)
            out[count++] = (double)slot->done / ((double)result->slot_ns / 1e9);
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
    double values[BENCH_SLOTS_MAX], squares = 0, products = 0, halves[2] = {0, 0};
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
    if (change.half > 2) return; // a factor of 7 either way is no interval
    double scatter = bench_sqrt(x.scatter * x.scatter + y.scatter * y.scatter); // of a batch of B from a batch of A
    if (scatter > noise) noise = scatter;
    bench_difference_judge(out, change, noise, by == BENCH_BY_P99);
}

// Both figures together: one that is better and none that is worse.
static void bench_conclude(bench_comparison *out)
{
    int rate = out->by[BENCH_BY_RATE].better, p99 = out->by[BENCH_BY_P99].better;
    if (!out->by[BENCH_BY_RATE].change.known && !out->by[BENCH_BY_P99].change.known)
        (void)bench_cannot(out,
                           "too few whole seconds for how much they differ (%u and %u; it takes 8, mostly more), or "
                           "too much did not end: "
                           "longer runs, or --vs",
                           out->slots[0], out->slots[1]);
    else if (rate * p99 < 0)
        (void)snprintf(out->why, sizeof out->why, "the rate is %s, but the p99 is %s", rate > 0 ? "higher" : "lower",
                       p99 > 0 ? "lower" : "higher");
    else if (rate + p99 == 0)
        (void)snprintf(out->why, sizeof out->why, "no difference beyond the noise");
    else
        (void)snprintf(out->why, sizeof out->why, "by %s", !p99 ? "rate" : !rate ? "p99" : "rate and p99");
    if (rate * p99 >= 0 && rate + p99 != 0) out->verdict = rate + p99 > 0 ? BENCH_FASTER : BENCH_SLOWER;
}

// na == nb == 1: two files, by their series. Else rounds: na == nb (A B A B ...), or na == 2 nb, where a[2i] and
// a[2i+1] are the two runs of A in the round of b[i]; then URLs may differ. The version of fastserve may always differ:
// it is named.
static void bench_compare(const bench_result *const *a, uint32_t na, const bench_result *const *b, uint32_t nb,
                          bench_comparison *out)
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
    out->slots[0] = a[0]->slot_count;
    out->slots[1] = b[0]->slot_count;
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
static void bench_print_comparison(FILE *out, const bench_comparison *verdict)
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
static bench_result *bench_open_result(const char *path)
{
    bench_result *result = (bench_result *)malloc(sizeof *result);
    const char *wrong = result ? bench_json_read(path, result) : "out of memory";
    if (!wrong) return result;
    bench_say("%s: %s", strcmp(path, "-") == 0 ? "standard input" : path, wrong);
    free(result);
    return NULL;
}

// `bench compare A.json B.json`; argv[0] is the word. Returns the exit status: 2 when the files cannot be compared.
static int bench_main_compare(int argc, char **argv)
{
    bench_comparison verdict;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) continue;
        bench_say("compare %s: unknown option; it takes two files: bench compare A.json B.json", argv[i]);
        return BENCH_EXIT_USAGE;
    }
    if (argc != 3) {
        bench_say("compare takes two files that --json wrote: bench compare A.json B.json");
        return BENCH_EXIT_USAGE;
    }
    bench_result *a = bench_open_result(argv[1]), *b = a ? bench_open_result(argv[2]) : NULL;
    int status = BENCH_EXIT_USAGE;
    if (b) {
        const bench_result *one = a, *two = b;
        bench_compare(&one, 1, &two, 1, &verdict);
        bench_print_comparison(stdout, &verdict);
        status = verdict.untrusted ? BENCH_EXIT_UNTRUSTED : BENCH_EXIT_OK;
        if (fflush(stdout) != 0) status = BENCH_EXIT_USAGE;
    }
    free(a);
    free(b);
    return status;
}

// A short form until the wrk layout takes its place.
static void bench_print_merged(FILE *out, const bench_result *result)
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

// A number that two runs do not share: they differ in times and counts to the nanosecond (FNV-1a over all that was
// read).
static uint64_t bench_fingerprint(const bench_result *result)
{
    const uint8_t *bytes = (const uint8_t *)result;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof *result; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

// Adds files[at] to the sum of those before it; prints has a place for the fingerprint of each. False: said why.
static bool bench_merge_file(bench_result *sum, char **files, int at, uint64_t *prints)
{
    bench_result *next = bench_open_result(files[at]);
    int same = 0;
    if (!next) return false;
    prints[at] = bench_fingerprint(next);
    while (prints[same] != prints[at]) same++;
    const char *wrong = same < at ? NULL : bench_merge(sum, next);
    if (same < at) bench_say("%s is the same run as %s and would count twice", files[at], files[same]);
    if (wrong) bench_say("%s cannot be added to %s: %s", files[at], files[0], wrong);
    free(next);
    return same == at && !wrong;
}

// All files into one result. NULL: said why.
static bench_result *bench_merge_files(char **files, int count)
{
    uint64_t *prints = (uint64_t *)calloc((size_t)count, sizeof *prints);
    bench_result *sum = prints ? bench_open_result(files[0]) : NULL;
    bool fine = sum != NULL;
    if (!prints) bench_say("out of memory");
    if (fine) prints[0] = bench_fingerprint(sum);
    for (int i = 1; fine && i < count; i++) fine = bench_merge_file(sum, files, i, prints);
    free(prints);
    if (fine) return sum;
    free(sum);
    return NULL;
}

// `bench merge A.json B.json ... [--json FILE]`; argv[0] is the word. Returns the exit status: 2 when the sum does not
// add up.
// --json -: the JSON alone is printed.
static int bench_main_merge(int argc, char **argv)
{
    const char *json = NULL;
    char **files = (char **)malloc(sizeof *files * (size_t)(argc > 0 ? argc : 1));
    int count = files ? bench_merge_words(argc, argv, &json, files) : -1, status = BENCH_EXIT_USAGE;
    bench_result *sum = count > 0 ? bench_merge_files(files, count) : NULL;
    if (sum) {
        bool fine = bench_save("--json", json, bench_write_json, sum);
        if (!json || strcmp(json, "-") != 0) bench_print_merged(stdout, sum);
        if (fflush(stdout) != 0) fine = false;
        status = fine ? BENCH_EXIT_OK : BENCH_EXIT_USAGE;
        if (fine && sum->due != sum->done + bench_errors(sum) + sum->in_flight + sum->unsent) {
            bench_say("result not trustworthy: the outcomes do not add up");
            status = BENCH_EXIT_UNTRUSTED;
        }
    }
    free(sum);
    free(files);
    return status;
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

static uint64_t bench_service_at(const bench_result *result, double share)
{
    return share >= 1 ? result->service.max : fsi_hist_at(&result->service, share);
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

// HdrHistogram's levels: five to each halving of the distance to 100 %. Exact, because a percent is divided by powers
// of two; beyond what a double can tell there is only 100.
static double bench_spectrum_next(double percent, double *half)
{
    while (percent >= 100 - 100 / *half) *half *= 2;
    return *half > 1e12 ? 100 : percent + 100 / (5 * *half);
}

// TotalCount is the estimated share of all requests, which without any cut off is the count itself. Levels that were
// never reached get one row with the longest time known, as the last value has one.
static void bench_spectrum_rows(FILE *out, bool file, const fsi_hist *ended, const fsi_hist *cut)
{
    bench_curve curve = bench_curve_of(ended, cut);
    double percent = 0, half = 2;
    uint64_t end = ended->max;
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

// Buckets and SubBuckets describe our own histogram in HdrHistogram's terms: 256 exact values, then 128 to each
// doubling.
static void bench_spectrum(FILE *out, bool file, const fsi_hist *ended, const fsi_hist *cut)
{
    int decimals = file ? 6 : 3;
    double mean, deviation;
    bench_curve all = bench_curve_of(ended, cut);
    bench_curve_moments(&all, &mean, &deviation);
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
        uint64_t ns = service ? bench_service_at(result, shares[i]) : bench_quantile(result, shares[i], &beyond);
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

// 48, 24, 12, 6, 3 or 1 numbers to a decade, all in the same ratio as nearly as two or three digits allow: number
// `index`, counted from 1 ns.
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
    uint64_t cut = result->censored.count, failed = bench_endless(result);
    double all = (double)result->response.count + (double)cut;
    bench_bars_of(&bars, &result->response, 18);
    if (!result->response.count && failed) {
        (void)fprintf(out, "  Response times: none, no request succeeded\n");
        return;
    }
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
    if (failed) (void)fprintf(out, "  %llu that failed are not drawn\n", (unsigned long long)failed);
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

// A row of Connection Times. ab has a time for each request, 0 where nothing had to be connected: `all` requests, those
// without a sample took no time.
static void bench_ab_row(FILE *out, const char *name, const fsi_hist *hist, uint64_t all)
{
    double n = (double)(all > hist->count ? all : hist->count), zeros = n - (double)hist->count;
    double mean, deviation, rank = n / 2 - zeros; // of the median, among the samples
    bench_moments_of(n, hist->sum, hist->sum2, &mean, &deviation);
    uint64_t median = rank > 0 ? fsi_hist_at(hist, rank / (double)hist->count) : 0;
    (void)fprintf(out, "%-11s %5llu %4llu %5.1f %6llu %7llu\n", name,
                  bench_whole_ms(zeros > 0 || !hist->count ? 0 : (double)hist->min), bench_whole_ms(mean),
                  bench_ms(deviation), bench_whole_ms((double)median), bench_whole_ms((double)hist->max));
}

// Failed requests in ab's four words. Connect: no connection could be made. Receive: reading or writing failed, the
// peer closed or reset, or no answer within --timeout. Length: another body length than the first answer's (they are
// complete all the same, as with ab). Exceptions: no HTTP answer, a wrong body, or a status that --expect-status did
// not allow although it was a 2xx; the others are Non-2xx responses and not failed, as with ab.
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
    bench_url url;
    if (bench_url_parse(&url, result->setup.url)) memset(&url, 0, sizeof url); // it comes from a file
    (void)fprintf(out, "This is fastserve bench, in the layout of ApacheBench, Version 2.3\n\nBenchmarking ");
    bench_plain(out, url.host);
    (void)fprintf(out, " (be patient).....done\n\n\nServer Software:        ");
    bench_plain(out, result->server);
    (void)fprintf(out, "\nServer Hostname:        ");
    bench_plain(out, url.host);
    (void)fprintf(out, "\nServer Port:            ");
    bench_plain(out, url.port);
    (void)fprintf(out, "\n\nDocument Path:          %s", url.target.len && *url.target.ptr == '/' ? "" : "/");
    if (url.target.len) bench_plain(out, url.target.ptr);
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
    if (result->setup.body) // ab calls it the body, and counts whole requests
        (void)fprintf(out, "Total body sent:        %llu\n", (unsigned long long)result->bytes_out);
    (void)fprintf(out, "HTML transferred:       %llu bytes\n", (unsigned long long)result->bytes_body);
    if (complete == 0) return; // ab itself prints nothing more
    (void)fprintf(out, "Requests per second:    %.2f [#/sec] (mean)\n", complete / seconds);
    (void)fprintf(out, "Time per request:       %.3f [ms] (mean)\n",
                  (double)result->setup.connections * seconds * 1000 / complete);
    (void)fprintf(out, "Time per request:       %.3f [ms] (mean, across all concurrent requests)\n",
                  seconds * 1000 / complete);
    double in = (double)result->bytes_in / 1024 / seconds, sent = (double)result->bytes_out / 1024 / seconds;
    (void)fprintf(out, "Transfer rate:          %.2f [Kbytes/sec] received\n", in);
    if (result->setup.body) (void)fprintf(out, "%24s%.2f kb/s sent\n%24s%.2f kb/s total\n", "", sent, "", in + sent);
}

// ApacheBench's layout. Connect is the time until a connection was up, 0 for a request on one that was; Processing is
// service time, Waiting the time to an answer's head, Total the response time (in open loop with the wait for a free
// connection). The percentages are bench_quantile's: they know of what never ended, which the rows above leave out.
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
        uint64_t ns = bench_quantile(result, percents[i] / 100.0, &beyond);
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

// httperf samples the reply rate every 5 s. Ours are sums of whole slots of the series: of 5 s, or as near above as
// slots allow when they have grown longer. What is left at the end is no sample, nor is an answer that did not end well
// a reply.
static void bench_httperf_rate(FILE *out, const bench_result *result)
{
    uint64_t slot = result->slot_ns ? result->slot_ns : 1000000000u, join = (5000000000u + slot - 1) / slot;
    uint64_t whole = result->run_ns / slot < result->slot_count ? result->run_ns / slot : result->slot_count;
    double low = 0, high = 0, sum = 0, sum2 = 0, samples = 0;
    for (uint64_t at = 0; at + join <= whole; at += join) {
        uint64_t done = 0;
        for (uint64_t i = at; i < at + join; i++) done += result->slots[i].done;
        double rate = (double)done * 1e9 / (double)(join * slot);
        if (samples == 0 || rate < low) low = rate;
        if (rate > high) high = rate;
        sum += rate, sum2 += rate * rate, samples++;
    }
    double mean, deviation;
    bench_moments_of(samples, sum, sum2, &mean, &deviation);
    (void)fprintf(out, "Reply rate [replies/s]: min %.1f avg %.1f max %.1f stddev %.1f (%.0f samples)\n", low, mean,
                  high, deviation, samples);
}

// Connection time is httperf's time from opening a connection to its end. Without samples of that, a connection of one
// request (--close, --calls 1) has that request's response time; else it is 0.0, httperf's way to say that there are
// none.
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

// Response is the time to an answer's head, transfer the rest of the service time. A header is what was received and is
// no body (chunk sizes and trailers too, so there is never a footer).
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

// Errors as httperf counts them, by what happened to sockets. client-timo: --timeout, of a connection or an answer.
// connreset: also a peer that closed early, and a failed write. other: unreachable, no HTTP, a wrong body. A status is
// no error, as with httperf.
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

// Text for an element or a quoted attribute. Bytes that are no printable ASCII are told as numbers, so no control
// character, no broken UTF-8 and no change of direction gets in.
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
    if (value >= 1e18) {
        (void)snprintf(out, size, "%.3g", value);
        return out;
    }
    if (value < 100 && value > (double)(uint64_t)value) {
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

// Gives the y axis times from low to high: logarithmic where they differ by 20 and more, else from 0; and draws its
// ticks.
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

// The quantile function: steps, as long as many requests took the same time. Returns the share that is left where it
// ends.
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
    char text[96], value[48];
    double end = (double)bench_curve_end(&result->response, &result->censored), used = plot->left;
    (void)snprintf(text, sizeof text, "%s%s", ends ? "max&nbsp;" : "not ended: over&nbsp;",
                   bench_html_time(value, sizeof value, end));
    double room = plot->right - bench_plot_width(text) - 8;
    bench_plot_text(plot, plot->right, bench_plot_y(plot, bench_plot_time(plot, end)) - 8, "end",
                    ends ? "mark" : "mark bad", text);
    for (size_t i = 1; i < BENCH_NINE_MARKS; i++) {
        bool beyond;
        double nines = bench_nines(1 - bench_nine_marks[i].share);
        uint64_t ns = bench_quantile(result, bench_nine_marks[i].share, &beyond);
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
        double response = (double)bench_quantile(result, shares[i], &beyond);
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
    double ns = (double)bench_quantile(result, share, &beyond);
    if (beyond || ns <= 0) return;
    double x = bench_plot_x(plot, bench_log10(ns)), y = plot->top - 18 + 14 * row;
    (void)snprintf(text, sizeof text, "%s&nbsp;%s", name, bench_html_time(value, sizeof value, ns));
    bool left = x + 4 + bench_plot_width(text) > plot->right;
    bench_plot_line(plot, "rule", x, y - 8, x, plot->bottom);
    bench_plot_text(plot, left ? x - 4 : x + 4, y, left ? "end" : "start", "mark", text);
}

// The x axis: all ranges, but no less than a fifth of a decade. Ticks in even steps where less than a factor of 5 is
// shown.
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
    double slot = result->slot_ns ? (double)result->slot_ns / 1e9 : 1, left = bench_run_s(result) - slot * index;
    return left < slot ? left : slot;
}

// Slots that are drawn: a last one that is nearly empty tells nothing.
static uint32_t bench_slots(const bench_result *result)
{
    double slot = result->slot_ns ? (double)result->slot_ns / 1e9 : 1;
    uint32_t count = result->slot_count < BENCH_SLOTS_MAX ? result->slot_count : BENCH_SLOTS_MAX;
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
    const bench_slot *slot = &result->slots[index];
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
    double slot = result->slot_ns ? (double)result->slot_ns / 1e9 : 1, y = -1;
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
    double used = 0, step, slot = result->slot_ns ? (double)result->slot_ns / 1e9 : 1;
    uint32_t count = bench_slots(result);
    plot->x1 = slot * (count - 1) + bench_slot_s(result, count - 1);
    step = bench_step(plot->x1, plot->narrow ? 4 : 8);
    for (double at = 0; at <= plot->x1 * 1.0001; at += step) {
        bench_plot_x_tick(plot, at, at > 0 ? bench_html_tick(text, sizeof text, at * 1e9) : "0", &used);
    }
}

// Names of lines at their right ends, lowest line first; pushed apart where they would touch. At most 3; y below 0: no
// such line.
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
    double ns = (double)bench_quantile(result, share, &beyond);
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
    char text[64], bytes[48], value[64], note[160];
    double seconds = bench_run_s(result), failed = (double)bench_errors(result);
    (void)fprintf(out, "<dl class=\"figures\">\n");
    note[0] = 0;
    if (result->setup.rate > 0)
        (void)snprintf(note, sizeof note, "of %s asked for", bench_html_number(text, sizeof text, result->setup.rate));
    bench_html_figure(out, "Requests per second", bench_html_number(value, sizeof value, bench_answer_rate(result)),
                      note);
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
    if (setup->spin) bench_html_row(out, "Threads", "never sleep");
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
    if (result->doubts[0]) {
        (void)fputs("<p class=\"bad\"><strong>Not to be trusted:</strong> ", out);
        bench_html_text(out, result->doubts);
        (void)fputs("</p>\n", out);
    }
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
    if (!(ready & FSI_READY_WRITE) || probe->over) return; // it is told twice by kqueue, and the error only once
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
    if (fsi_io_connect(io, &probe.chan, address, NULL, &probe.error) == FSI_FAILED) return probe.error;
    for (; !probe.over && now < due && !fsi_load32(stop); now = fsi_clock_ns()) {
        (void)fsi_io_wait(io, (due - now) / 1000 + 1);
        fsi_io_dispatch(io);
    }
    fsi_io_close(&probe.chan, false);
    return probe.over ? probe.error : BENCH_OS_TIMED_OUT;
}

static const char *bench_advice(int error)
{
    return bench_connect_failure(error)->advice;
}

// Tries one address after the other; the first that answers is used, and it is said which one if there are several.
static bool bench_reach_name(const bench_url *url, const bench_options *options, bench_plan *plan, fsi_sockaddr *out)
{
    struct addrinfo want, *list = NULL;
    char tried[600] = "", text[64], why[200];
    uint32_t count = 0;
    int error = 0;
    memset(&want, 0, sizeof want);
    want.ai_socktype = SOCK_STREAM;
    int failed = getaddrinfo(url->host, url->port, &want, &list);
    if (failed) {
        bench_say("cannot resolve the host '%s': %s; check the spelling and the network", url->host,
                  bench_os_resolve_text(failed, why, sizeof why));
        return false;
    }
    bool found = false;
    for (const struct addrinfo *at = list; at; at = at->ai_next, count++) {
        if (found || at->ai_addrlen > sizeof out->storage) continue;
        memset(out, 0, sizeof *out);
        memcpy(&out->storage, at->ai_addr, at->ai_addrlen);
        out->len = (socklen_t)at->ai_addrlen;
        (void)fsi_sockaddr_text(out, text, sizeof text);
        error = bench_try(plan->main_io, out, plan->timeout_ns, &plan->stop);
        found = error == 0;
        size_t len = strlen(tried);
        if (!found)
            (void)snprintf(tried + len, sizeof tried - len, "%s%s: %s", len ? ", " : "", text,
                           fsi_os_error_text(error, why, sizeof why));
    }
    freeaddrinfo(list);
    if (!found)
        bench_say("cannot connect to %s; %s", tried, bench_advice(error));
    else if (count > 1 && !options->quiet)
        bench_say("%s has %u addresses, using %s", url->host, count, text);
    return found;
}

// Finds an address that answers. False: said why.
static bool bench_reach(const bench_url *url, const bench_options *options, bench_plan *plan, fsi_sockaddr *out)
{
    if (!url->local) return bench_reach_name(url, options, plan, out);
    char why[200];
    (void)fsi_sockaddr_unix(out, url->host);
    int error = bench_try(plan->main_io, out, plan->timeout_ns, &plan->stop);
    if (error)
        bench_say("cannot connect to unix:%s: %s; %s", url->host, fsi_os_error_text(error, why, sizeof why),
                  bench_advice(error));
    return error == 0;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-machine   What else happened on this machine meanwhile, and what stands in a run's way before it begins.
// ---------------------------------------------------------------------------------------------------------

static bench_usage bench_usage_now(uint64_t pid)
{
    bench_usage usage;
    memset(&usage, 0, sizeof usage);
    bench_os_self(&usage);
    bench_os_machine(&usage);
    if (pid) bench_os_process(&usage, pid);
    return usage;
}

static void bench_describe_machine(bench_setup *setup)
{
    (void)snprintf(setup->version, sizeof setup->version, "%s", fsv_version());
    bench_os_system(setup->system, sizeof setup->system);
    bench_os_cpu(setup->cpu, sizeof setup->cpu);
    setup->cpus = fsi_cpu_usable();
}

static bool bench_is_loopback(const fsi_sockaddr *at)
{
    char text[64];
    (void)fsi_sockaddr_text(at, text, sizeof text);
    return strncmp(text, "127.", 4) == 0 || strncmp(text, "[::1]", 5) == 0;
}

// Before the run: one line for each thing that will matter.
static void bench_preflight(const bench_options *options, const bench_plan *plan)
{
    const fsi_sockaddr *at = &plan->places[0].address;
    if (at->storage.ss_family == AF_UNIX) return;
    double conns = options->conn_rate > 0 ? options->conn_rate : plan->connects ? options->rate : 0;
    uint64_t ports = bench_os_ports() * (options->source_ips ? options->source_ips : 1), backlog = bench_os_backlog();
    if (conns > 0 && !options->rst && ports) {
        double seconds = options->duration_ns ? (double)options->duration_ns / 1e9 : (double)options->requests / conns;
        if (conns * (seconds < 60 ? seconds : 60) > (double)ports)
            bench_say("%.0f connections a second can use up the %llu local ports within a minute if closing is left to "
                      "this side; --source-ips or --rst avoid it",
                      conns, (unsigned long long)ports);
    }
    if (backlog && backlog < plan->conn_count && !(plan->open && plan->connects) && bench_is_loopback(at))
        bench_say("a backlog holds at most %llu connections here (" BENCH_OS_BACKLOG "), and %u come at once",
                  (unsigned long long)backlog, plan->conn_count);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-audit   What a result is worth, in plain words.
// ---------------------------------------------------------------------------------------------------------

// One line of the audit: what makes a result untrustworthy goes to stderr, a remark into the report.
static void bench_remark(FILE *out, bool *blank, const char *format, ...) FSI_PRINTF(3, 4);

static void bench_remark(FILE *out, bool *blank, const char *format, ...)
{
    char text[512];
    va_list args;
    if (!*blank) (void)fputc('\n', out);
    *blank = true;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t column = 0;
    for (const char *word = text, *end; *word; word = end) { // at most 80 columns
        end = word + strspn(word, " ");
        end += strcspn(end, " ");
        if (column && column + (size_t)(end - word) > 80) {
            (void)fputs("\n   ", out);
            column = 3;
        }
        column += (size_t)(end - word);
        (void)fwrite(word, 1, (size_t)(end - word), out);
    }
    (void)fputc('\n', out);
}

// Little's law: requests in flight on average = rate x mean time. In a closed loop that is what was asked for.
static bool bench_audit_little(const bench_result *result, double *found, double *asked)
{
    const bench_setup *setup = &result->setup;
    *asked = (double)setup->connections * (double)setup->pipeline;
    *found = (result->response.sum + result->censored.sum) / (result->run_ns ? (double)result->run_ns : 1);
    bool applies = setup->rate == 0 && setup->conn_rate == 0 && setup->ramp == 0 && bench_errors(result) == 0 &&
                   result->run_ns > 50000000 && setup->requests == 0 && !(setup->calls && setup->pipeline > 1);
    for (int kind = 0; kind < BENCH_KINDS; kind++) applies = applies && result->events[kind] == 0;
    return !applies || (*found > *asked * 0.9 && *found < *asked * 1.1);
}

static void bench_doubt_add(bench_result *result, const char *format, ...) FSI_PRINTF(2, 3);

static void bench_doubt_add(bench_result *result, const char *format, ...)
{
    size_t len = strlen(result->doubts);
    va_list args;
    if (len + 2 >= sizeof result->doubts) return;
    if (len) result->doubts[len++] = '\n';
    va_start(args, format);
    (void)vsnprintf(result->doubts + len, sizeof result->doubts - len, format, args);
    va_end(args);
}

// The rate that was asked for against the one that came, and how late this program was itself.
static void bench_audit_rate(bench_result *result)
{
    const bench_setup *setup = &result->setup;
    double seconds = bench_run_s(result), got = bench_answer_rate(result);
    double asked = setup->rate > 0 ? setup->rate : setup->conn_rate * setup->calls;
    if (asked > 0 && setup->requests == 0 && setup->ramp == 0 && !result->interrupted && seconds > 0.2 &&
        got < asked * 0.95 && result->unsent + result->in_flight > 1)
        bench_doubt_add(
            result, "%.0f of the %.0f requests a second that were asked for; the target cannot, or -c %u is too few",
            got, asked, setup->connections);
    uint64_t lag = fsi_hist_at(&result->lag, 0.99), p99 = fsi_hist_at(&result->response, 0.99);
    if (lag > 1000000 && lag > p99 / 2)
        bench_doubt_add(result,
                        "requests were sent late by this program itself, p99 %.2f ms; fewer requests a second, a "
                        "machine that is less busy%s",
                        (double)lag / 1e6, setup->spin ? "" : ", or --spin where threads wake up late");
}

// Writes down what makes the result untrustworthy.
static void bench_audit_trust(bench_result *result)
{
    uint64_t ended = result->done + bench_errors(result) + result->in_flight + result->unsent;
    double found, asked;
    if (ended != result->due || result->response.count != result->done)
        bench_doubt_add(result, "%llu requests were due, but %llu ended in one way or the other, with %llu samples",
                        (unsigned long long)result->due, (unsigned long long)ended,
                        (unsigned long long)result->response.count);
    if (result->conns_lost)
        bench_doubt_add(result, "%llu of %u connections were lost or never opened",
                        (unsigned long long)result->conns_lost, result->setup.connections);
    if (result->done == 0 && bench_errors(result) == 0)
        bench_doubt_add(result, "not one answer came in this time; a longer -d, or is the target stuck?");
    if (!bench_audit_little(result, &found, &asked))
        bench_doubt_add(result, "rate x mean time = %.1f requests in flight, but there were %.0f (Little's law)", found,
                        asked);
    bench_audit_rate(result);
}

// Every line of a text as a message of its own.
static void bench_say_lines(const char *before, const char *text)
{
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        bench_say("%s%.*s", before, (int)(end - text), text);
    }
}

static void bench_audit_limit(FILE *out, bool *blank, const bench_result *result)
{
    double run = (double)(result->run_ns ? result->run_ns : 1), client = (double)result->busiest_ns / run;
    double server = (double)result->server_cpu_ns / run, all = (double)result->setup.cpus;
    double sum = (double)(result->client_user_ns + result->client_sys_ns) / run + server;
    double others = ((double)result->other_ns + (double)result->steal_ns) / run;
    if (client > 0.9)
        bench_remark(out, blank, "The limit was this program: its busiest thread had a CPU for %.0f%% of the time.",
                     100 * client);
    else if (result->server_cpu_ns && sum > 0.85 * all)
        bench_remark(out, blank, "The limit was this machine: client %.2f and server %.2f of %u CPUs.", sum - server,
                     server, result->setup.cpus);
    else if (result->server_cpu_ns && sum + others > 0.85 * all)
        bench_remark(out, blank, "The limit was this machine: client %.2f, server %.2f and others %.2f of %u CPUs.",
                     sum - server, server, others, result->setup.cpus);
    else if (result->server_cpu_ns)
        bench_remark(out, blank, "Neither side's CPU was the limit: client %.2f, server %.2f of %u CPUs.", sum - server,
                     server, result->setup.cpus);
}

// A stall that the closed loop has sat out.
static void bench_audit_stall(FILE *out, bool *blank, const bench_result *result)
{
    double rate = (double)result->done / (double)(result->run_ns ? result->run_ns : 1);
    double longest = result->response.count ? (double)result->response.max : 0, hidden = longest * rate;
    if (result->setup.rate > 0 || result->setup.conn_rate > 0 || result->response.count == 0) return;
    if (longest < 1e8 || longest < 20 * (double)fsi_hist_at(&result->response, 0.5)) return;
    hidden -= (double)result->setup.connections * result->setup.pipeline;
    if (hidden > 1)
        bench_remark(out, blank,
                     "A closed loop does not send while it waits: in the longest wait of %.2fs some %.0f requests were "
                     "not asked. -R RATE counts them.",
                     longest / 1e9, hidden);
}

// Remarks of the audit, behind the report.
static void bench_audit_remarks(FILE *out, bool *blank, const bench_result *result)
{
    double cpus = (double)result->run_ns * result->setup.cpus;
    bool beyond;
    if (result->in_flight)
        bench_remark(out, blank, "In flight at the end: %llu requests", (unsigned long long)result->in_flight);
    if (result->unsent)
        bench_remark(out, blank, "Due, but never sent: %llu requests", (unsigned long long)result->unsent);
    uint64_t failed = bench_errors(result) - result->failed[BENCH_TIMEOUT];
    if (failed)
        bench_remark(out, blank,
                     "The times of %llu failed requests are in no percentile; --slo takes them for endless.",
                     (unsigned long long)failed);
    if (result->conns_starved && result->done)
        bench_remark(
            out, blank,
            "%llu of %u connections never got an answer: the target serves others first, or the time was short.",
            (unsigned long long)result->conns_starved, result->setup.connections);
    uint64_t known = bench_quantile(result, 0.99, &beyond);
    if (beyond && result->done)
        bench_remark(out, blank, "The 99%% point is not known: more than %.2f ms.", (double)known / 1e6);
    if (result->lag.count && fsi_hist_at(&result->lag, 0.99) > 1000000)
        bench_remark(out, blank, "Sent late by this program itself: p99 %.2f ms, most %.2f ms",
                     (double)fsi_hist_at(&result->lag, 0.99) / 1e6, (double)result->lag.max / 1e6);
    bench_audit_stall(out, blank, result);
    if (result->syn_retransmits)
        bench_remark(out, blank,
                     "Connecting took another try (1s, 3s, ...) %llu times: a full backlog, or packets lost",
                     (unsigned long long)result->syn_retransmits);
    if ((double)result->steal_ns > cpus * 0.02)
        bench_remark(out, blank, "Other guests of this host took %.0f%% of the CPU time.",
                     100 * (double)result->steal_ns / cpus);
    if ((double)result->other_ns > cpus * 0.1)
        bench_remark(out, blank, "Other programs took %.0f%% of the CPU time.", 100 * (double)result->other_ns / cpus);
    if (result->throttled_ns)
        bench_remark(out, blank, "The cgroup's quota stopped this program for %.0f ms.",
                     (double)result->throttled_ns / 1e6);
    if (result->run_ns < 100000000)
        bench_remark(out, blank, "A run of %.0f ms says little.", (double)result->run_ns / 1e6);
    bench_audit_limit(out, blank, result);
}

// What went wrong, in words, behind the layout.
static void bench_print_details(FILE *out, bool *blank, const bench_options *options, const bench_result *result)
{
    bench_words words = bench_words_of(result->events);
    if (words.connect)
        bench_remark(out, blank,
                     "Connect errors: refused %llu, timeout %llu, no ports %llu, no descriptors %llu, other %llu",
                     (unsigned long long)result->events[BENCH_REFUSED],
                     (unsigned long long)result->events[BENCH_CONNECT_TIMEOUT],
                     (unsigned long long)result->events[BENCH_NO_PORTS],
                     (unsigned long long)result->events[BENCH_NO_DESCRIPTORS],
                     (unsigned long long)result->events[BENCH_UNREACHABLE]);
    if (words.read)
        bench_remark(out, blank, "Read errors: closed unannounced %llu, reset %llu, bad responses %llu",
                     (unsigned long long)result->events[BENCH_CLOSED], (unsigned long long)result->events[BENCH_RESET],
                     (unsigned long long)result->events[BENCH_BAD]);
    if (result->failed[BENCH_STATUS]) {
        int most = 0;
        for (int status = 1; status < 600; status++)
            if (!bench_expected(options, status) && result->statuses[status] > result->statuses[most]) most = status;
        bench_remark(out, blank, "Not the expected status: %llu answers, most often %d",
                     (unsigned long long)result->failed[BENCH_STATUS], most);
    }
    if (result->failed[BENCH_BODY])
        bench_remark(out, blank, "Without the expected text: %llu answers",
                     (unsigned long long)result->failed[BENCH_BODY]);
    if (result->first_error[0]) bench_remark(out, blank, "The first error: %s", result->first_error);
    if (options->conn_rate > 0)
        bench_remark(out, blank, "Connections: %llu opened, %.1f a second (asked %.6g), at most %llu at a time",
                     (unsigned long long)result->conns_opened, (double)result->conns_opened / bench_run_s(result),
                     options->conn_rate, (unsigned long long)result->conns_most);
    if (!result->response.count && bench_errors(result))
        bench_remark(out, blank, "No request succeeded: the latencies above are of none.");
}

static void bench_print_cpu(FILE *out, bool *blank, const bench_result *result)
{
    double requests = result->done ? (double)bench_answers(result) : 1;
    bench_remark(out, blank, "Client CPU %6.2f us/request   server CPU %6.2f us/request",
                 (double)(result->client_user_ns + result->client_sys_ns) / 1000 / requests,
                 (double)result->server_cpu_ns / 1000 / requests);
    if (result->setup.self_hosted)
        bench_remark(out, blank, "Both share this machine's %u CPU%s" BENCH_OS_LOOPBACK ".", result->setup.cpus,
                     result->setup.cpus == 1 ? "" : "s");
    else if (result->server_rss)
        bench_remark(out, blank, "Server memory, the most that was seen: %.1f MB",
                     (double)result->server_rss / 1048576);
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-run   Puts it together.
// ---------------------------------------------------------------------------------------------------------

// One run. Made and freed for each; the result stays.
typedef struct bench_job {
    const bench_options *options;
    bench_url *urls;
    uint32_t url_count;
    bench_plan plan;
    fsi_io io; // the main thread's
    bool io_made;
    bench_text body; // of -f
    bench_thread **threads;
    bool self_hosted;
    bench_usage before, after;
    bool before_known;
    uint64_t server_rss;
    bench_result *result;
} bench_job;

static bench_job *bench_signalled; // what Ctrl-C stops; set while a run is under way
static uint32_t bench_interrupted; // it came

static void bench_on_stop(void)
{
    fsi_store32(&bench_interrupted, 1);
    fsi_store32(&bench_signalled->plan.stop, 1);
    fsi_io_wake(&bench_signalled->io);
}

// Ctrl-C ends the run early and prints what there is; a second one ends the program. NULL: the run is over.
static void bench_signals(bench_job *job)
{
    if (!job) bench_os_on_stop(NULL);
    bench_signalled = job;
    if (job) bench_os_on_stop(bench_on_stop);
}

static bool bench_read_file(bench_text *text, const char *option, const char *path)
{
    FILE *file = bench_os_open(path, "rb");
    const char *wrong = file ? bench_text_read(text, file, 1u << 30, "larger than 1 GiB") : strerror(errno);
    if (wrong) bench_say("%s %s: %s", option, path, wrong);
    if (file) (void)fclose(file);
    return wrong == NULL;
}

// The lines of --urls, but for empty ones and those that begin with #, join the URLs.
static bool bench_read_urls(bench_options *options)
{
    if (!bench_read_file(&options->url_text, "--urls", options->url_file)) return false;
    for (char *at = options->url_text.ptr, *end; at && *at; at = end) {
        size_t len = strcspn(at, "\r\n");
        end = at + len;
        while (*end == '\r' || *end == '\n') *end++ = 0;
        if (len == 0 || at[0] == '#') continue;
        if (!bench_add_url(options, at)) continue;
        bench_say("--urls %s: more than %d URLs", options->url_file, BENCH_URLS_MAX);
        return false;
    }
    if (options->url_count) return true;
    bench_say("--urls %s: there is no URL in it", options->url_file);
    return false;
}

static bool bench_same_place(const bench_url *a, const bench_url *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0 && a->local == b->local;
}

static bool bench_read_targets(bench_job *job, const char *const *texts)
{
    for (uint32_t i = 0; i < job->url_count; i++) {
        const char *wrong = bench_url_parse(&job->urls[i], texts[i]);
        if (!wrong && job->options->echo != job->urls[i].tcp && !(job->options->echo && job->urls[i].local))
            wrong = job->options->echo ? "--echo wants tcp://HOST:PORT" : "tcp:// wants --echo";
        if (!wrong) continue;
        bench_say("%s: %s", texts[i], wrong);
        return false;
    }
    return true;
}

static bool bench_holes_wrong(const char *text, size_t len)
{
    bench_request scratch;
    const char *wrong = NULL;
    memset(&scratch, 0, sizeof scratch);
    bench_template_add(&scratch, text, len, &wrong);
    bench_text_free(&scratch.bytes);
    return wrong != NULL;
}

// Says which part of a request it was that could not be made.
static void bench_say_unmade(const bench_job *job, const bench_url *url, const char *wrong)
{
    const bench_options *options = job->options;
    if (options->fields.len && bench_holes_wrong(options->fields.ptr, options->fields.len))
        bench_say("-H: %s", wrong);
    else if (options->body && bench_holes_wrong(options->body, strlen(options->body)))
        bench_say("-b %s: %s", options->body, wrong);
    else if (job->body.len && bench_holes_wrong(job->body.ptr, job->body.len))
        bench_say("-f %s: %s", options->body_file, wrong);
    else
        bench_say("%s: %s", url->local ? url->target.ptr : url->authority.ptr, wrong);
}

// The requests of the URLs, those of one address together, and an address for each.
static bool bench_make_places(bench_job *job)
{
    bench_plan *plan = &job->plan;
    for (uint32_t i = 0; i < job->url_count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < i && !known; k++) known = bench_same_place(&job->urls[k], &job->urls[i]);
        if (known) continue;
        bench_place *place = &plan->places[plan->place_count++];
        place->first = plan->request_count;
        for (uint32_t k = i; k < job->url_count; k++) {
            if (!bench_same_place(&job->urls[i], &job->urls[k])) continue;
            const char *wrong =
                bench_build(job->options, &job->urls[k], &job->body, &plan->requests[plan->request_count++]);
            place->count++;
            if (!wrong) continue;
            bench_say_unmade(job, &job->urls[k], wrong);
            return false;
        }
        if (!bench_reach(&job->urls[i], job->options, plan, &place->address)) return false;
        if (plan->source_ips < 2 || (place->address.storage.ss_family == AF_INET && bench_is_loopback(&place->address)))
            continue;
        bench_say("--source-ips: only for targets on 127.0.0.1, whose neighbours are this machine's too");
        return false;
    }
    if (plan->conn_count >= plan->place_count) return true;
    bench_say("%u connections for %u addresses: some would never be asked; raise -c", plan->conn_count,
              plan->place_count);
    return false;
}

// The only request as often as one send may want it: up to --pipeline times, or 64 KiB. Echoes are alike everywhere.
static bool bench_batch(bench_plan *plan)
{
    const bench_text *one = &plan->requests[0].bytes;
    bench_text all;
    memset(&all, 0, sizeof all);
    plan->alike = plan->echo || (plan->request_count == 1 && plan->requests[0].hole_count == 0);
    if (!plan->alike) return true;
    for (uint64_t i = 0; i < plan->pipeline && (i == 0 || all.len + one->len <= 65536); i++)
        bench_text_add(&all, one->ptr, one->len);
    plan->request_len = one->len;
    plan->batch = all.ptr; // bench_job_free
    plan->batch_len = all.len;
    return !all.failed;
}

// Where a match of the first n bytes goes on when the next byte differs.
static bool bench_expect(bench_plan *plan, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0) return true;
    plan->expect_body = text;
    plan->expect_len = (uint32_t)len;
    plan->expect_back = (uint32_t *)calloc(len + 1, sizeof(uint32_t));
    if (!plan->expect_back) return false;
    for (uint32_t i = 1, match = 0; i < len; i++) {
        while (match && text[i] != text[match]) match = plan->expect_back[match];
        match += text[i] == text[match];
        plan->expect_back[i + 1] = match;
    }
    return true;
}

// How many threads and connections; more connections than requests would only look on.
static void bench_size(bench_job *job)
{
    const bench_options *options = job->options;
    uint64_t conns = options->connections, threads = options->threads ? options->threads : fsi_cpu_usable();
    if (options->requests && !(options->rate > 0) && conns > options->requests) conns = options->requests;
    if (threads > conns) threads = conns;
    job->plan.conn_count = (uint32_t)conns;
    job->plan.thread_count = (uint32_t)threads;
}

// Raises the soft descriptor limit as far as the run needs it. False: said why that is not possible.
static bool bench_descriptors(const bench_job *job)
{
    uint64_t sides = job->self_hosted ? 2 : 1, conns = job->plan.conn_count;
    uint64_t need = conns * sides + 2 * (uint64_t)job->plan.thread_count + 64;
    uint64_t limit = bench_os_descriptors(need);
    if (limit >= need) return true;
    bench_say("-c %u needs %llu descriptors%s, the limit is %llu; " BENCH_OS_MORE_FILES, job->plan.conn_count,
              (unsigned long long)need, sides == 2 ? " (client and server)" : "", (unsigned long long)limit);
    return false;
}

static void bench_plan_options(bench_job *job)
{
    const bench_options *options = job->options;
    bench_plan *plan = &job->plan;
    plan->echo = options->echo;
    plan->close = options->close && !options->echo;
    plan->rst = options->rst;
    plan->spin = options->spin;
    plan->calls = options->close ? 1 : options->calls ? options->calls : UINT64_MAX;
    plan->connects = plan->calls != UINT64_MAX;
    plan->open = options->rate > 0 || options->conn_rate > 0;
    plan->rate = options->rate > 0 ? options->rate : options->conn_rate;
    plan->pipeline = (uint32_t)options->pipeline;
    plan->source_ips = (uint32_t)options->source_ips;
    plan->no_body = options->method && strcmp(options->method, "HEAD") == 0;
    plan->detail = options->format != BENCH_FORMAT_WRK || options->json_file;
    plan->timeout_ns = options->timeout_ns;
    plan->ramp_ns = options->ramp_ns;
    plan->warmup_ns = options->warmup_ns;
    plan->duration_ns = options->duration_ns;
    plan->measure_ns = UINT64_MAX;
    plan->progress = !options->quiet && bench_os_is_terminal(stdout) && bench_os_is_terminal(stderr);
    for (int status = 100; status < 600; status++)
        if (bench_expected(options, status)) plan->good[status / 8] |= (uint8_t)(1u << (status % 8));
}

// Shares `all` out: the first all % parts get one more.
static uint64_t bench_share(uint64_t all, uint32_t parts, uint32_t index)
{
    return all / parts + (index < all % parts);
}

static bool bench_threads_make(bench_job *job)
{
    const bench_plan *plan = &job->plan;
    fsi_cpu cpus[FSI_CPUS_MAX];
    uint32_t cpu_count = fsi_cpus(cpus), first = 0, count = plan->thread_count;
    // A thread for every CPU stays on its own, beside the loop that serves it there; left alone, threads crowd on one
    // CPU and every connection with them. Fewer threads are better placed by the system, which sees what else runs.
    bool every_cpu = FSI_LOCALITY && cpu_count && count >= cpu_count;
    job->threads = (bench_thread **)calloc(count, sizeof(bench_thread *));
    for (uint32_t i = 0; job->threads && i < count; i++) {
        uint64_t quota = job->options->requests ? bench_share(job->options->requests, count, i) : UINT64_MAX;
        uint32_t conns = (uint32_t)bench_share(plan->conn_count, count, i);
        job->threads[i] = bench_thread_new(&job->plan, i, first, conns, quota);
        if (!job->threads[i]) break;
        if (every_cpu) job->threads[i]->cpu = cpus[i % cpu_count].number;
        first += conns;
        if (i + 1 == count) return true;
    }
    bench_say("out of memory or descriptors for %u threads and %u connections", count, plan->conn_count);
    return false;
}

// Everything between the options and the run: the targets, the requests, the threads.
static bool bench_prepare(bench_job *job, const char *const *urls, uint32_t count)
{
    bench_plan *plan = &job->plan;
    bench_plan_options(job);
    bench_size(job);
    job->url_count = count;
    job->urls = (bench_url *)calloc(count, sizeof *job->urls);
    plan->requests = (bench_request *)calloc(count, sizeof *plan->requests);
    plan->places = (bench_place *)calloc(count, sizeof *plan->places);
    if (!job->urls || !plan->requests || !plan->places) {
        bench_say("out of memory");
        return false;
    }
    if (job->options->body_file && !bench_read_file(&job->body, "-f", job->options->body_file)) return false;
    job->io_made = fsi_io_init(&job->io, NULL);
    if (!job->io_made) {
        char why[200];
        bench_say("cannot make an event queue: %s", fsi_os_error_text(fsi_os_error(), why, sizeof why));
        return false;
    }
    job->io.on_client = bench_probe_ready;
    plan->main_io = &job->io;
    if ((uint64_t)plan->conn_count * plan->pipeline > 100000000) {
        bench_say("-c %u with --pipeline %u: more than 100 million requests in flight", plan->conn_count,
                  plan->pipeline);
        return false;
    }
    if (!bench_read_targets(job, urls) || !bench_descriptors(job) || !bench_make_places(job)) return false;
    if (!bench_batch(plan) || !bench_expect(plan, job->options->expect_body)) {
        bench_say("out of memory");
        return false;
    }
    if (!job->options->quiet) bench_preflight(job->options, plan);
    return bench_threads_make(job);
}

static void bench_job_free(bench_job *job)
{
    for (uint32_t i = 0; i < job->plan.thread_count && job->threads; i++) bench_thread_free(job->threads[i]);
    for (uint32_t i = 0; i < job->plan.request_count; i++) bench_text_free(&job->plan.requests[i].bytes);
    free(job->threads);
    free(job->plan.requests);
    free(job->plan.places);
    free(job->plan.batch);
    free(job->plan.expect_back);
    free(job->urls);
    if (job->io_made) fsi_io_free(&job->io);
    bench_text_free(&job->body);
    free(job);
}

// What the threads have published so far.
typedef struct bench_glance {
    uint64_t done, errors, up, ever_up, settled, p99_ns;
} bench_glance;

static bench_glance bench_look(const bench_job *job)
{
    bench_glance sum;
    memset(&sum, 0, sizeof sum);
    for (uint32_t i = 0; i < job->plan.thread_count; i++) {
        const bench_thread *thread = job->threads[i];
        uint64_t p99 = fsi_peek64(&thread->p99_ns);
        sum.done += fsi_peek64(&thread->done);
        sum.errors += fsi_peek64(&thread->errors);
        sum.up += fsi_peek64(&thread->up);
        sum.ever_up += fsi_peek64(&thread->ever_up);
        sum.settled += fsi_peek64(&thread->settled);
        if (p99 > sum.p99_ns) sum.p99_ns = p99; // the worst thread's
    }
    return sum;
}

// Before anything else is printed.
static void bench_live_end(void)
{
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
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

static void bench_wake_threads(const bench_job *job)
{
    for (uint32_t i = 0; i < job->plan.thread_count; i++) fsi_io_wake(&job->threads[i]->io);
}

// The clock of the run starts.
static void bench_start_clock(bench_job *job)
{
    bench_plan *plan = &job->plan;
    plan->start_ns = fsi_clock_ns();
    plan->measure_ns = plan->start_ns + plan->warmup_ns;
    plan->deadline_ns = plan->duration_ns ? plan->measure_ns + plan->duration_ns : UINT64_MAX;
    fsi_store32(&plan->go, 1);
}

// Waits until every connection is up or has failed once, so that setting up is not a part of what is measured.
static void bench_set_up(bench_job *job)
{
    uint64_t until = fsi_clock_ns() + (job->plan.timeout_ns < 3000000000u ? job->plan.timeout_ns : 3000000000u);
    for (uint64_t now = fsi_clock_ns(); now < until && !fsi_load32(&job->plan.stop); now = fsi_clock_ns()) {
        uint32_t *accepted = job->options->accepted;
        if (bench_look(job).settled >= job->plan.conn_count &&
            (!accepted || fsi_load32(accepted) >= job->plan.conn_count))
            break;
        uint64_t rest = until - now;
        (void)fsi_io_wait(&job->io, (rest < BENCH_TICK_NS ? rest : BENCH_TICK_NS) / 1000 + 1);
        fsi_io_dispatch(&job->io);
    }
    bench_start_clock(job);
    bench_wake_threads(job);
}

// Until the threads have ended. A target that nobody can reach ends the run: at once if it never was there, and after
// the timeout if no duration would end it.
static void bench_watch(bench_job *job)
{
    bench_glance before = bench_look(job);
    uint64_t shown_ns = job->plan.start_ns, alive_ns = shown_ns, alive_done = 0, alive_errors = before.errors;
    uint64_t patience = job->plan.timeout_ns;
    uint64_t pid = job->options->pid, sampled_ns = 0;
    bool forwarded = false;
    if (patience < 1000000000u) patience = 1000000000u;
    while (fsi_load32(&job->plan.ended) < job->plan.thread_count) {
        uint64_t now_ns = fsi_clock_ns(), wait = BENCH_TICK_NS;
        if (!job->before_known && now_ns < job->plan.measure_ns && job->plan.measure_ns - now_ns < wait)
            wait = job->plan.measure_ns - now_ns;
        (void)fsi_io_wait(&job->io, wait / 1000 + 1);
        fsi_io_dispatch(&job->io);
        bench_glance now = bench_look(job);
        now_ns = fsi_clock_ns();
        if (!job->before_known && now_ns >= job->plan.measure_ns) {
            job->before = bench_usage_now(pid);
            job->before_known = true;
        }
        if (pid && now_ns - sampled_ns > 1000000000u) {
            bench_usage usage = bench_usage_now(pid);
            if (usage.server_rss > job->server_rss) job->server_rss = usage.server_rss;
            sampled_ns = now_ns;
        }
        if (now.up || now.done != alive_done) alive_ns = now_ns, alive_errors = now.errors;
        alive_done = now.done;
        if (now_ns - alive_ns > patience && now.errors != alive_errors && // without errors it may be a slow rate
            (now.ever_up == 0 || !job->plan.duration_ns))
            fsi_store32(&job->plan.stop, 1);
        if (fsi_load32(&job->plan.stop) && !forwarded) {
            bench_wake_threads(job);
            forwarded = true;
        }
        if (!job->plan.progress || now_ns - shown_ns < 1000000000u) continue;
        bench_progress(job, &now, &before, now_ns - shown_ns);
        before = now;
        shown_ns = now_ns;
    }
    if (job->plan.progress) bench_live_end();
}

// Runs the load. False: a thread could not be started, and nothing was measured.
static bool bench_measure(bench_job *job)
{
    uint32_t running = 0, count = job->plan.thread_count;
    bool together = !job->plan.connects && !(job->plan.ramp_ns && !job->plan.open);
    if (!together) bench_start_clock(job);
    if (job->plan.warmup_ns == 0) {
        job->before = bench_usage_now(job->options->pid);
        job->before_known = true;
    }
    while (running < count &&
           fsi_thread_start(&job->threads[running]->thread, bench_thread_body, job->threads[running], "bench"))
        running++;
    if (running < count) {
        fsi_store32(&job->plan.stop, 1);
        for (uint32_t i = 0; i < running; i++) fsi_io_wake(&job->threads[i]->io);
        bench_say("cannot start %u threads", count);
    } else {
        if (together) bench_set_up(job);
        bench_watch(job);
    }
    for (uint32_t i = 0; i < running; i++) fsi_thread_join(&job->threads[i]->thread);
    job->after = bench_usage_now(job->options->pid);
    return running == count;
}

// ---- the sums

static void bench_sum_usage(bench_job *job)
{
    bench_result *result = job->result;
    const bench_usage *a = &job->before, *b = &job->after;
    uint64_t process = b->process_ns - a->process_ns, clients = 0;
    for (uint32_t i = 0; i < job->plan.thread_count; i++) {
        clients += job->threads[i]->cpu_ns;
        if (job->threads[i]->cpu_ns > result->busiest_ns) result->busiest_ns = job->threads[i]->cpu_ns;
    }
    // The system tells user and system time only of the whole process: the threads' share is taken as alike.
    uint64_t user = b->user_ns - a->user_ns, sys = b->sys_ns - a->sys_ns;
    result->client_user_ns = user + sys ? (uint64_t)((double)clients * (double)user / (double)(user + sys)) : clients;
    result->client_sys_ns = clients - result->client_user_ns;
    if (job->self_hosted) result->server_cpu_ns = process > clients ? process - clients : 0;
    if (job->options->pid && b->server_ns > a->server_ns) // it may have ended
        result->server_cpu_ns = b->server_ns - a->server_ns;
    result->server_rss = job->server_rss;
    result->steal_ns = b->steal_ns - a->steal_ns;
    result->throttled_ns = b->throttled_ns - a->throttled_ns;
    uint64_t ours = process + (job->options->pid ? result->server_cpu_ns : 0), busy = b->busy_ns - a->busy_ns;
    bool alone = job->self_hosted || job->options->pid; // else the server may be among the others
    result->other_ns = alone && busy > ours ? busy - ours : 0;
}

static void bench_sum_thread(bench_result *into, const bench_thread *thread)
{
    const bench_tally *from = &thread->tally;
    into->due += from->due;
    into->done += from->done;
    into->in_flight += from->in_flight;
    into->unsent += from->unsent;
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        into->failed[kind] += from->failed[kind];
        into->events[kind] += from->events[kind];
    }
    for (int status = 0; status < 600; status++) into->statuses[status] += from->statuses[status];
    into->bytes_in += from->bytes_in;
    into->bytes_body += from->bytes_body;
    into->bytes_out += from->bytes_out;
    into->other_length += from->other_length;
    into->kept += from->kept;
    into->conns_opened += from->opened;
    into->conns_lost += thread->lost;
    into->conns_starved += thread->unanswered;
    into->conns_most += thread->most;
    into->syn_retransmits += from->retransmits;
    BENCH_HIST_LIST(BENCH_HIST_MERGE)
}

static uint64_t bench_coarse_at(const uint32_t *cells, uint64_t count, double q, uint64_t most)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < FSI_HIST_CELLS >> BENCH_COARSE_SHIFT; i++) {
        seen += cells[i];
        if (cells[i] == 0 || (double)seen < q * (double)count) continue;
        uint64_t value = fsi_hist_value((i << BENCH_COARSE_SHIFT) + (1u << BENCH_COARSE_SHIFT) / 2);
        return value < most ? value : most;
    }
    return most;
}

// The series: the threads' slots added up. They have the same length once all have gone as far as the last.
static void bench_sum_slots(bench_job *job)
{
    bench_result *result = job->result;
    for (uint32_t t = 0; t < job->plan.thread_count; t++)
        if (job->threads[t]->slot_ns > result->slot_ns) result->slot_ns = job->threads[t]->slot_ns;
    if (result->slot_ns == 0) return;
    result->slot_count = (uint32_t)((result->run_ns + result->slot_ns - 1) / result->slot_ns);
    if (result->slot_count > BENCH_SLOTS_MAX) result->slot_count = BENCH_SLOTS_MAX;
    for (uint32_t t = 0; t < job->plan.thread_count; t++)
        while (job->threads[t]->slot_ns && job->threads[t]->slot_ns < result->slot_ns)
            bench_slots_halve(job->threads[t]);
    uint64_t scrap = result->run_ns % result->slot_ns; // what the last turn took longer than the run is no slot
    bool join = result->slot_count > 1 && scrap && scrap < result->slot_ns / 10;
    result->slot_count -= join;
    for (uint32_t i = 0; i < result->slot_count; i++) {
        bench_slot_tally sum;
        bench_slot *slot = &result->slots[i];
        memset(&sum, 0, sizeof sum);
        for (uint32_t t = 0; t < job->plan.thread_count; t++) {
            bench_slot_tally_join(&sum, &job->threads[t]->slots[i]);
            if (join && i + 1 == result->slot_count) bench_slot_tally_join(&sum, &job->threads[t]->slots[i + 1]);
        }
        slot->done = sum.done;
        slot->errors = sum.errors;
        slot->timeouts = sum.timeouts;
        slot->max = sum.max;
        slot->p50 = sum.done ? bench_coarse_at(sum.cells, sum.done, 0.5, sum.max) : 0;
        slot->p99 = sum.done ? bench_coarse_at(sum.cells, sum.done, 0.99, sum.max) : 0;
    }
}

// The first error in words, of whatever kind.
static void bench_sum_error(const bench_job *job)
{
    bench_result *result = job->result;
    for (uint32_t i = 0; i < job->plan.thread_count && !result->first_error[0]; i++) {
        const bench_thread *thread = job->threads[i];
        char why[128];
        const char *words = NULL;
        if (thread->refusal)
            words = thread->refusal == FSI_REFUSALS_END
                        ? job->plan.echo ? "what came back is not what was sent" : "bytes after the end of an answer"
                        : fsi_refusal_text(thread->refusal);
        else if (thread->connect_error)
            words = fsi_os_error_text(thread->connect_error, why, sizeof why);
        if (!words && thread->early) words = "an answer before its request was sent";
        if (words)
            (void)snprintf(result->first_error, sizeof result->first_error, "%s%s",
                           thread->connect_error && !thread->refusal && !thread->early ? "connect: " : "", words);
    }
}

static void bench_sum_setup(const bench_job *job, const char *url)
{
    const bench_options *options = job->options;
    bench_setup *setup = &job->result->setup;
    bench_describe_machine(setup);
    // The port of the built-in server is another one each time.
    (void)snprintf(setup->url, sizeof setup->url, "%s", job->self_hosted ? "http://127.0.0.1/" : url);
    setup->threads = job->plan.thread_count;
    setup->connections = job->plan.conn_count;
    setup->pipeline = job->plan.pipeline;
    setup->urls = job->url_count;
    setup->calls = job->plan.calls == UINT64_MAX ? 0 : (uint32_t)job->plan.calls;
    setup->duration = options->duration_ns;
    setup->warmup = options->warmup_ns;
    setup->ramp = options->ramp_ns;
    setup->timeout = options->timeout_ns;
    setup->requests = options->requests;
    setup->rate = options->rate;
    setup->conn_rate = options->conn_rate;
    setup->size = options->size;
    setup->close = options->close;
    setup->rst = options->rst;
    setup->spin = options->spin;
    setup->echo = options->echo;
    setup->self_hosted = job->self_hosted;
    setup->body = options->body || options->body_file;
    setup->source_ips = (uint32_t)options->source_ips;
    setup->request_bytes = (uint32_t)job->plan.requests[0].bytes.len;
}

// Adds the threads up.
static void bench_sum(bench_job *job, const char *url)
{
    bench_result *result = job->result;
    uint64_t end = 0;
    result->first_length = 0;
    for (uint32_t i = 0; i < job->plan.thread_count; i++) {
        const bench_thread *thread = job->threads[i];
        bench_sum_thread(result, thread);
        if (thread->end_ns > end) end = thread->end_ns;
        if (!result->server[0]) memcpy(result->server, thread->server, sizeof result->server);
        if (result->first_length == 0 && thread->first_length != UINT64_MAX)
            result->first_length = thread->first_length;
    }
    result->run_ns = end > job->plan.measure_ns ? end - job->plan.measure_ns : 0;
    result->interrupted = fsi_load32(&bench_interrupted) != 0;
    if (!job->plan.open) result->service = result->response;
    bench_sum_setup(job, url);
    bench_sum_error(job);
    bench_sum_usage(job);
    bench_sum_slots(job);
    bench_audit_trust(result);
}

// Nobody ever answered: there is nothing to report.
static void bench_never_up(const bench_job *job)
{
    char text[64], why[200];
    int error = BENCH_OS_TIMED_OUT;
    for (uint32_t i = job->plan.thread_count; i-- > 0;)
        if (job->threads[i]->connect_error) error = job->threads[i]->connect_error;
    (void)fsi_sockaddr_text(&job->plan.places[0].address, text, sizeof text);
    bench_say("no connection to %s could be made: %s; %s", text, fsi_os_error_text(error, why, sizeof why),
              bench_advice(error));
}

// One run against these URLs. False: said why there is no result.
static bool bench_once(const bench_options *options, const char *const *urls, uint32_t count, bool self_hosted,
                       bool head, bench_result *result)
{
    bench_job *job = (bench_job *)calloc(1, sizeof *job);
    bool fine = false;
    if (!job) {
        bench_say("out of memory");
        return false;
    }
    bench_result_init(result);
    job->options = options;
    job->self_hosted = self_hosted;
    job->result = result;
    bench_signals(job);
    if (bench_prepare(job, urls, count)) {
        if (head) bench_print_head(stdout, options, urls[0], job->plan.thread_count, job->plan.conn_count);
        (void)fflush(stdout);
        result->began_unix = (int64_t)time(NULL);
        if (bench_measure(job)) {
            fine = bench_look(job).ever_up != 0;
            if (!fine) bench_never_up(job);
        }
    }
    if (fine) bench_sum(job, urls[0]);
    if (fine && result->run_ns == 0) {
        bench_say("the run ended before anything was measured");
        fine = false;
    }
    bench_signals(NULL);
    bench_job_free(job);
    return fine;
}

// ---- what is asked for

typedef struct bench_own {
    fsv_server *server; // NULL: a target of somebody else's
    char url[64];
} bench_own;

static bool bench_serve(bench_own *own, uint64_t connections)
{
    fsv_server_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.loops = FSV_LOOPS_PER_CPU;
    desc.pin = FSI_LOCALITY;
    if (connections > 60000) desc.conns_max = (uint32_t)connections + 1024;
    fsv_result result = demo_create(&own->server, &desc);
    if (result == FSV_OK) result = fsv_server_listen(own->server, "127.0.0.1:0");
    if (result == FSV_OK) result = fsv_server_start(own->server);
    if (result != FSV_OK) {
        bench_say("cannot start the built-in server: %s", fsv_result_text(result));
        return false;
    }
    (void)snprintf(own->url, sizeof own->url, "http://127.0.0.1:%u/", fsv_server_port(own->server, 0));
    return true;
}

static void bench_serve_end(bench_own *own)
{
    if (!own->server) return;
    fsv_server_stop(own->server, 0);
    (void)fsv_server_wait(own->server);
    (void)fsv_server_free(own->server);
}

// The exit status that a result deserves.
static int bench_exit_status(const bench_options *options, const bench_result *result)
{
    uint64_t events = 0, answers_bad = result->failed[BENCH_STATUS] + result->failed[BENCH_BODY];
    for (int kind = 0; kind < BENCH_KINDS; kind++) events += result->events[kind];
    if (bench_os_is_terminal(stdout)) (void)fflush(stdout); // the report comes first
    bench_say_lines("result not trustworthy: ", result->doubts);
    if (result->doubts[0]) return BENCH_EXIT_UNTRUSTED;
    double share = (double)(events + answers_bad) / (double)(result->due ? result->due : 1);
    return share > options->max_errors ? BENCH_EXIT_ERRORS : BENCH_EXIT_OK;
}

// Of --echo: what went out and what came back.
static void bench_print_speed(FILE *out, bool *blank, const bench_result *result)
{
    double seconds = bench_run_s(result);
    uint64_t sent = result->due - result->unsent;
    bench_remark(out, blank, "Speed: %.0f request/sec, %.0f response/sec", (double)sent / seconds,
                 (double)result->done / seconds);
    bench_remark(out, blank, "Requests: %llu", (unsigned long long)sent);
    bench_remark(out, blank, "Responses: %llu", (unsigned long long)result->done);
}

static void bench_print_wrk2_one(FILE *out, const bench_result *result)
{
    bench_print_wrk2(out, result, false);
}

static void bench_print_wrk2_both(FILE *out, const bench_result *result)
{
    bench_print_wrk2(out, result, true);
}

// wrk's layout, or with a rate wrk2's, and what else there is to say.
static void bench_print_all(FILE *out, const bench_options *options, const bench_result *result)
{
    bool blank = false;
    void (*middle)(FILE *, const bench_result *) = bench_print_percentiles;
    if (options->rate > 0) middle = options->service ? bench_print_wrk2_both : bench_print_wrk2_one;
    bench_print_wrk(out, result, options->latency ? middle : NULL);
    if (options->echo) bench_print_speed(out, &blank, result);
    bench_print_details(out, &blank, options, result);
    if (result->server_cpu_ns) bench_print_cpu(out, &blank, result);
    if (!options->quiet) bench_audit_remarks(out, &blank, result);
    if (!options->histogram) return;
    (void)fputc('\n', out);
    bench_print_histogram(out, result);
}

// Prints the result. Where another program's layout fills the standard output, our remarks go to stderr.
static void bench_print(const bench_options *options, const bench_result *result)
{
    bool blank = true, json = options->json_file && strcmp(options->json_file, "-") == 0;
    if (json) return;
    switch (options->format) {
    case BENCH_FORMAT_AB: bench_print_ab(stdout, result); break;
    case BENCH_FORMAT_HTTPERF: bench_print_httperf(stdout, result); break;
    case BENCH_FORMAT_WRK: bench_print_all(stdout, options, result); return;
    }
    (void)fflush(stdout);
    if (options->quiet) return;
    bench_audit_remarks(stderr, &blank, result);
    (void)fflush(stderr);
}

static bool bench_save_all(const bench_options *options, const bench_result *result)
{
    bool json = bench_save("--json", options->json_file, bench_write_json, result);
    bool hgrm = bench_save("--hgrm", options->hgrm_file, bench_write_hgrm, result);
    bool html = bench_save("--html", options->html_file, bench_write_html, result);
    return json && hgrm && html;
}

// What the runs of one command share.
typedef struct bench_session {
    bench_options *options;
    bench_own own;
    const char *own_url;
    const char *const *urls;
    uint32_t url_count;
    bench_result *result; // of the last run
} bench_session;

static bool bench_session_run(bench_session *session, bool head)
{
    return bench_once(session->options, session->urls, session->url_count, session->own.server != NULL, head,
                      session->result);
}

// 99 when an objective is missed, and says which.
static int bench_objective(const bench_options *options, const bench_result *result, int status)
{
    char why[1024];
    bench_slo slo;
    if (!options->slo || bench_slo_parse(options->slo, &slo)) return status; // bench_perform has looked at it
    bool holds = bench_slo_holds(&slo, result, why, sizeof why);
    bench_say_lines("--slo: ", why);
    return status == BENCH_EXIT_OK && !holds ? BENCH_EXIT_MISSED : status;
}

// A run, and what is printed of it.
static int bench_run_and_print(bench_session *session)
{
    bool json = session->options->json_file && strcmp(session->options->json_file, "-") == 0;
    if (!bench_session_run(session, session->options->format == BENCH_FORMAT_WRK && !json)) return BENCH_EXIT_USAGE;
    bench_print(session->options, session->result);
    if (session->result->interrupted)
        bench_say("interrupted after %.2f s: the figures are of that time", bench_run_s(session->result));
    int status = bench_exit_status(session->options, session->result);
    return bench_objective(session->options, session->result, status);
}

static int bench_single(bench_session *session)
{
    int status = bench_run_and_print(session);
    if (status == BENCH_EXIT_USAGE) return status;
    return bench_save_all(session->options, session->result) ? status : BENCH_EXIT_USAGE;
}

// Insertion keeps the few figures of a ladder in order.
static void bench_keep_sorted(double *values, uint64_t count, double value)
{
    for (; count && values[count - 1] > value; count--) values[count] = values[count - 1];
    values[count] = value;
}

// A file has room for one run: the one whose rate is the middle one.
static bool bench_save_middle(const bench_options *options, const bench_result *results, uint64_t count, double middle)
{
    uint64_t at = 0;
    for (; at + 1 < count; at++) {
        double rate = bench_answer_rate(&results[at]);
        if (rate >= middle && rate <= middle) break;
    }
    if (!options->quiet)
        bench_say("the files have run %llu of %llu, the one in the middle by its rate", (unsigned long long)at + 1,
                  (unsigned long long)count);
    return bench_save_all(options, &results[at]);
}

// Several runs, one under the other, and what they have in common. The worst exit status counts.
static int bench_ladder(bench_session *session)
{
    const bench_options *options = session->options;
    uint64_t count = 0, runs = options->runs;
    int worst = BENCH_EXIT_OK;
    bool beyond, files = options->json_file || options->hgrm_file || options->html_file;
    double *rates = (double *)calloc((size_t)runs * 2, sizeof(double)), *p99s = rates ? rates + runs : NULL;
    bench_result *last = session->result, *all = files ? (bench_result *)calloc((size_t)runs, sizeof *all) : NULL;
    if (!rates || (files && !all)) bench_say("out of memory");
    for (; rates && !all == !files && count < runs && !fsi_load32(&bench_interrupted); count++) {
        (void)printf("%s%llu.\n", count ? "\n" : "", (unsigned long long)count + 1);
        if (all) session->result = &all[count];
        int status = bench_run_and_print(session);
        if (status == BENCH_EXIT_USAGE) worst = status;
        if (status == BENCH_EXIT_USAGE) break;
        if (status && (worst == BENCH_EXIT_OK || status < worst)) worst = status;
        bench_keep_sorted(rates, count, bench_answer_rate(session->result));
        bench_keep_sorted(p99s, count, (double)bench_quantile(session->result, 0.99, &beyond) / 1e6);
    }
    session->result = last;
    if (count == 0) worst = BENCH_EXIT_USAGE;
    if (count > 1)
        (void)printf(
            "\n%llu runs: %.0f requests a second in the middle (%.0f..%.0f), 99%% within %.3f ms (%.3f..%.3f)\n",
            (unsigned long long)count, rates[count / 2], rates[0], rates[count - 1], p99s[count / 2], p99s[0],
            p99s[count - 1]);
    if (all && count && !bench_save_middle(options, all, count, rates[count / 2])) worst = BENCH_EXIT_USAGE;
    free(rates);
    free(all);
    return worst;
}

// ---- the highest rate that holds an objective; two targets

static bool bench_try_rate(void *user, double rate, bench_result *result)
{
    bench_session *session = (bench_session *)user;
    session->options->rate = rate;
    if (fsi_load32(&bench_interrupted)) return false;
    if (!session->options->quiet) bench_say("trying %.0f requests a second", rate);
    return bench_once(session->options, session->urls, session->url_count, session->own.server != NULL, false, result);
}

// Starts far below what a closed loop reaches, and goes up.
static int bench_find(bench_session *session)
{
    bench_options *options = session->options;
    bench_slo slo;
    bench_knee *knee = (bench_knee *)calloc(1, sizeof *knee);
    uint64_t duration = options->duration_ns;
    bool found = false, fine = knee && !bench_slo_parse(options->find_rate, &slo);
    if (!fine) {
        free(knee);
        return BENCH_EXIT_USAGE;
    }
    options->duration_ns = 500000000;
    if (bench_session_run(session, false)) {
        options->duration_ns = duration;
        double least = duration ? BENCH_KNEE_LEAST * 1e9 / (double)duration : 0.001, first;
        first = bench_answer_rate(session->result) / 16 + 1;
        (void)bench_find_rate(&slo, first > least ? first : least, least, bench_try_rate, session, knee);
        found = knee->found > 0;
        bench_print_knee(stdout, knee);
    }
    bool any = knee->count != 0;
    free(knee);
    if (fsi_load32(&bench_interrupted)) bench_say("interrupted: the search had not ended");
    return found ? BENCH_EXIT_OK : any ? BENCH_EXIT_MISSED : BENCH_EXIT_USAGE;
}

#define BENCH_VS_ROUNDS 7

static void bench_versus_middle(FILE *out, char name, const bench_result *const *results, uint32_t count)
{
    double rates[BENCH_VS_ROUNDS * 2], p99s[BENCH_VS_ROUNDS * 2];
    bool beyond;
    for (uint32_t i = 0; i < count; i++) {
        bench_keep_sorted(rates, i, bench_answer_rate(results[i]));
        bench_keep_sorted(p99s, i, (double)bench_quantile(results[i], 0.99, &beyond) / 1e6);
    }
    // cppcheck-suppress uninitvar ; count is not 0: what has not run is not compared
    double rate = rates[count / 2], p99 = p99s[count / 2];
    (void)fprintf(out, "  %c in the middle: %.0f requests a second, p99 %.3f ms\n", name, rate, p99);
}

// Rounds of A, A again, B: the two of A tell what differs without a difference.
static int bench_versus(bench_session *session)
{
    bench_options *options = session->options;
    const bench_result *a[BENCH_VS_ROUNDS * 2], *b[BENCH_VS_ROUNDS];
    const char *other[] = {options->vs};
    bench_comparison verdict;
    bench_result *all = (bench_result *)calloc(BENCH_VS_ROUNDS * 3, sizeof *all);
    bool fine = all != NULL;
    char each[48];
    (void)printf("A: %s\nB: %s\n%d rounds of A, A, B, %s each\n", session->urls[0], options->vs, BENCH_VS_ROUNDS,
                 options->duration_ns ? bench_length_text(each, sizeof each, options->duration_ns) : "a count");
    (void)fflush(stdout);
    for (uint32_t i = 0; fine && i < BENCH_VS_ROUNDS * 3; i++) {
        uint32_t round = i / 3, part = i % 3;
        if (part == 2)
            fine = bench_once(options, other, 1, false, false, &all[i]);
        else
            fine = bench_once(options, session->urls, session->url_count, session->own.server != NULL, false, &all[i]);
        if (fsi_load32(&bench_interrupted)) fine = false;
        if (part == 2) b[round] = &all[i];
        if (part != 2) a[round * 2 + part] = &all[i];
        if (fine && !options->quiet)
            bench_say("round %u of %d, %c: %.0f requests a second", round + 1, BENCH_VS_ROUNDS, part == 2 ? 'B' : 'A',
                      bench_answer_rate(&all[i]));
    }
    if (fine) {
        bench_versus_middle(stdout, 'A', a, BENCH_VS_ROUNDS * 2);
        bench_versus_middle(stdout, 'B', b, BENCH_VS_ROUNDS);
        bench_compare(a, BENCH_VS_ROUNDS * 2, b, BENCH_VS_ROUNDS, &verdict);
        bench_print_comparison(stdout, &verdict);
    }
    free(all);
    if (fsi_load32(&bench_interrupted)) bench_say("interrupted: the rounds are not complete");
    return !fine ? BENCH_EXIT_USAGE : verdict.untrusted ? BENCH_EXIT_UNTRUSTED : BENCH_EXIT_OK;
}

// ---- --selftest: a target whose law of latency is known. A system that wakes threads late adds that to every response, and
//      nobody's figures are wrong for it: where it is much beside the law, the law is made slower, and that is said.

#define BENCH_LATE_ROUNDS 48
#define BENCH_LATE_WAIT_NS 1500000
#define BENCH_LATE_FINE_NS 250000 // half of what a figure may be off

// One of two threads that call each other. `called` is the other's, the rest its own thread's.
typedef struct bench_sleeper {
    fsi_io io;
    bench_os_alarm alarm;
    struct bench_sleeper *other;
    fsi_thread thread;
    uint32_t called; // atomic: so often
} bench_sleeper;

// Returns when that was.
static uint64_t bench_sleeper_until(bench_sleeper *sleeper, uint64_t due_ns)
{
    uint64_t now = fsi_clock_ns();
    for (; now < due_ns; now = fsi_clock_ns()) {
        (void)bench_os_wait(&sleeper->alarm, &sleeper->io, (due_ns - now + 999) / 1000);
        fsi_io_dispatch(&sleeper->io);
    }
    return now;
}

static void bench_sleeper_await(bench_sleeper *sleeper, uint32_t called)
{
    while (fsi_load32(&sleeper->called) < called) {
        (void)bench_os_wait(&sleeper->alarm, &sleeper->io, UINT64_MAX);
        fsi_io_dispatch(&sleeper->io);
    }
}

static void bench_sleeper_call(bench_sleeper *sleeper, uint32_t times)
{
    fsi_store32(&sleeper->other->called, times);
    fsi_io_wake(&sleeper->other->io);
}

// Answers each call after a wait, as a target does.
static void bench_sleeper_main(void *arg)
{
    bench_sleeper *sleeper = (bench_sleeper *)arg;
    bench_os_exact_begin(&sleeper->alarm, &sleeper->io);
    for (uint32_t i = 1; i <= BENCH_LATE_ROUNDS; i++) {
        bench_sleeper_await(sleeper, i);
        (void)bench_sleeper_until(sleeper, fsi_clock_ns() + BENCH_LATE_WAIT_NS);
        bench_sleeper_call(sleeper, i);
    }
    bench_os_exact_end(&sleeper->alarm);
}

// What a request meets on its way: its time comes, it wakes the target, whose time comes, and who wakes us. Returns the median
// of how much later than asked that is, ns.
static uint64_t bench_sleeper_late(bench_sleeper *us)
{
    uint64_t late[BENCH_LATE_ROUNDS];
    for (uint32_t i = 0; i < BENCH_LATE_ROUNDS; i++) {
        uint64_t due = fsi_clock_ns() + 1000000 + i * 618034u % 1000000, at = i; // not in step with a tick
        (void)bench_sleeper_until(us, due);
        bench_sleeper_call(us, i + 1);
        bench_sleeper_await(us, i + 1);
        uint64_t found = fsi_clock_ns() - due - BENCH_LATE_WAIT_NS;
        // cppcheck-suppress uninitvar ; those of the rounds before
        for (; at && late[at - 1] > found; at--) late[at] = late[at - 1];
        late[at] = found;
    }
    return late[BENCH_LATE_ROUNDS / 2];
}

// 0 where it cannot be found out.
static uint64_t bench_lateness(void)
{
    bench_sleeper both[2];
    uint64_t late = 0;
    memset(both, 0, sizeof both);
    both[0].other = &both[1];
    both[1].other = &both[0];
    if (!fsi_io_init(&both[0].io, NULL)) return 0;
    if (fsi_io_init(&both[1].io, NULL)) {
        if (fsi_thread_start(&both[1].thread, bench_sleeper_main, &both[1], "late")) {
            bench_os_exact_begin(&both[0].alarm, &both[0].io);
            late = bench_sleeper_late(&both[0]);
            bench_os_exact_end(&both[0].alarm);
            fsi_thread_join(&both[1].thread);
        }
        fsi_io_free(&both[1].io);
    }
    fsi_io_free(&both[0].io);
    return late;
}

typedef struct bench_trial {
    const char *name;
    const char *kind, *rest; // of the law, around its time
    uint32_t law_ms;
    uint32_t rate;     // 0: closed loop, held against what the target says it imposed; else against the law
    uint32_t spare_ms; // so much may be due at once beyond what the law lasts: a freeze
    uint32_t seconds;
} bench_trial;

static const bench_trial bench_trials[] = {
    {"open loop", "exp", ",freeze:1s/5s", 2, 500, 2000, 10},
    {"closed loop", "exp", ",freeze:1s/5s", 2, 0, 0, 10},
    {"open loop", "lognormal", "/0.8", 5, 2000, 80, 5},
};

// So many times slower; a freeze is long enough as it is.
static bench_law bench_trial_law(const bench_trial *trial, uint32_t scale)
{
    char text[64];
    bench_law law;
    (void)snprintf(text, sizeof text, "%s:%ums%s", trial->kind, trial->law_ms * scale, trial->rest);
    (void)bench_law_parse(text, &law);
    return law;
}

// How many times slower the law has to be where requests are so late: that shall be a quarter of what a figure may be off,
// since under load they are later.
static uint32_t bench_trial_scale(uint64_t late_ns)
{
    static const uint32_t scales[] = {1, 5, 10, 25, 50, 100};
    uint32_t i = 0;
    for (; late_ns > BENCH_LATE_FINE_NS && i + 1 < sizeof scales / sizeof scales[0]; i++) {
        bench_law law = bench_trial_law(&bench_trials[0], scales[i]);
        if (late_ns * 80 <= bench_law_quantile(&law, 0.5)) break;
    }
    return scales[i];
}

// A much slower target takes longer: what is in flight at the end shall be few.
static uint32_t bench_trial_seconds(const bench_trial *trial, uint32_t scale)
{
    return scale < 50 ? trial->seconds : scale / 25 * trial->seconds;
}

// A slower target is asked less, but still so much that its law brings every draw twice.
static uint32_t bench_trial_rate(const bench_trial *trial, uint32_t scale)
{
    uint32_t seconds = bench_trial_seconds(trial, scale), least = (2 * BENCH_DRAWS + seconds - 1) / seconds;
    return trial->rate / scale > least ? trial->rate / scale : least;
}

// As many as the rate needs, and no more: where all of them take long to be accepted, or are told of together, what comes
// first or last of them is late by that.
static uint32_t bench_trial_connections(const bench_trial *trial, uint32_t scale)
{
    uint32_t law_ms = trial->law_ms * scale, rate = bench_trial_rate(trial, scale);
    if (!trial->rate) return scale == 1 ? 50 : rate * law_ms / 1000 + 5;
    return rate * (trial->spare_ms + 4 * law_ms) / 1000;
}

// Within 5 %, or half a millisecond, which a busy machine may take.
static bool bench_trial_near(uint64_t found, uint64_t truth)
{
    uint64_t far = found > truth ? found - truth : truth - found;
    return (double)far < 0.05 * (double)truth || far < 500000;
}

// One figure against what it must be.
static bool bench_trial_row(const char *name, const char *figure, uint64_t found, uint64_t truth)
{
    char one[48], two[48];
    double off = truth ? ((double)found - (double)truth) / (double)truth : 0;
    bool fine = bench_trial_near(found, truth);
    (void)printf("  %-12s %-5s %10s  %10s  %+6.1f%%  %s\n", name, figure,
                 bench_time_text(one, sizeof one, (double)found / 1000),
                 bench_time_text(two, sizeof two, (double)truth / 1000), 100 * off, fine ? "ok" : "WRONG");
    return fine;
}

static bool bench_trial_judge(const bench_trial *trial, const bench_law *law, const bench_target *target,
                              const bench_result *result)
{
    static const struct {
        const char *name;
        double q;
    } figures[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    bool fine = result->done > 100 && bench_errors(result) == 0, beyond;
    if (!fine)
        (void)printf("  %-12s %llu requests answered, %llu failed  WRONG\n", trial->name,
                     (unsigned long long)result->done, (unsigned long long)bench_errors(result));
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        uint64_t truth =
            trial->rate ? bench_law_quantile(law, figures[i].q) : fsi_hist_at(&target->imposed, figures[i].q);
        fine &= bench_trial_row(trial->name, figures[i].name, bench_quantile(result, figures[i].q, &beyond), truth);
    }
    return fine & bench_trial_row(trial->name, "max", result->response.max, target->imposed.max);
}

// The command line of a trial: a law of any scale ends within its timeout. False: it is none.
static bool bench_trial_options(const bench_trial *trial, uint32_t scale, bench_options *options)
{
    char words[9][32] = {"bench", "-c", "", "-d", "", "--timeout", "60s", "-R", ""}, *argv[9], error[256];
    (void)snprintf(words[2], sizeof words[2], "%u", bench_trial_connections(trial, scale));
    (void)snprintf(words[4], sizeof words[4], "%us", bench_trial_seconds(trial, scale));
    (void)snprintf(words[8], sizeof words[8], "%u", bench_trial_rate(trial, scale));
    for (int i = 0; i < 9; i++) argv[i] = words[i];
    return bench_parse(trial->rate ? 9 : 7, argv, options, error, sizeof error);
}

// False: the result is wrong, or there is none.
static bool bench_trial_run(const bench_trial *trial, uint32_t scale, bench_options *options, bench_target *target,
                            bench_result *result)
{
    char error[256], url[64];
    const char *urls[] = {url};
    bench_law law = bench_trial_law(trial, scale);
    if (!bench_trial_options(trial, scale, options)) return false;
    memset(target, 0, sizeof *target);
    if (!bench_law_start(&law, target)) {
        bench_say("cannot start the target: %s", fsi_os_error_text(fsi_os_error(), error, sizeof error));
        return false;
    }
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", target->port);
    options->accepted = &target->accepted; // what waits to be accepted is late for another reason than the law's
    bool fine = bench_once(options, urls, 1, false, false, result);
    bench_law_stop(target);
    bench_options_free(options);
    return fine && bench_trial_judge(trial, &law, target, result);
}

// What is a twentieth of the law's median is not seen.
static void bench_trial_say_scale(uint32_t scale, uint64_t late_ns)
{
    char late[48], unseen[48];
    bench_law law = bench_trial_law(&bench_trials[0], scale);
    if (scale == 1) return;
    (void)printf("This system wakes threads late, %s for a request: the target is %u times slower,\n"
                 "and what is wrong by less than %s is not seen.\n\n",
                 bench_time_text(late, sizeof late, (double)late_ns / 1000), scale,
                 bench_time_text(unseen, sizeof unseen, (double)bench_law_quantile(&law, 0.5) / 20000));
}

static int bench_selftest(void)
{
    bench_options *options = (bench_options *)calloc(1, sizeof *options);
    bench_target *target = (bench_target *)calloc(1, sizeof *target);
    bench_result *result = (bench_result *)malloc(sizeof *result);
    bool fine = options && target && result;
    uint64_t late_ns = bench_lateness();
    uint32_t scale = bench_trial_scale(late_ns);
    char last[sizeof((bench_law *)0)->text] = "";
    bench_trial_say_scale(scale, late_ns);
    for (size_t i = 0; options && target && result && i < sizeof bench_trials / sizeof bench_trials[0]; i++) {
        if (fsi_load32(&bench_interrupted)) break;
        bench_law law = bench_trial_law(&bench_trials[i], scale);
        if (strcmp(last, law.text) != 0)
            (void)printf("%sTarget %s%*sfound       truth\n", i ? "\n" : "", law.text, (int)(24 - strlen(law.text)),
                         "");
        (void)snprintf(last, sizeof last, "%s", law.text);
        (void)fflush(stdout);
        fine &= bench_trial_run(&bench_trials[i], scale, options, target, result);
    }
    if (fsi_load32(&bench_interrupted))
        bench_say("interrupted: not every trial was run");
    else
        (void)printf("\n%s\n", fine ? "The figures are right: within 5 % or 0.5 ms of the truth."
                                    : "Not within 5 % or 0.5 ms of the truth: wrong, or this machine is too busy.");
    free(options);
    free(target);
    free(result);
    return fine ? BENCH_EXIT_OK : BENCH_EXIT_UNTRUSTED;
}

static bool bench_objectives_fine(bench_options *options)
{
    bench_slo slo;
    const char *wrong = options->slo ? bench_slo_parse(options->slo, &slo) : NULL;
    if (wrong) bench_say("--slo %s: %s", options->slo, wrong);
    if (wrong) return false;
    // Who says how many may fail is told by 99 whether they did.
    for (uint32_t i = 0; options->slo && i < slo.count; i++)
        if (slo.terms[i].figure == BENCH_FIGURE_ERRORS && !options->max_errors_said) options->max_errors = 1;
    wrong = options->find_rate ? bench_slo_parse(options->find_rate, &slo) : NULL;
    if (wrong) bench_say("--find-rate %s: %s", options->find_rate, wrong);
    return wrong == NULL;
}

// What would be lost at the end is refused at the beginning.
static bool bench_files_fine(const bench_options *options)
{
    const char *paths[] = {options->json_file, options->hgrm_file, options->html_file};
    static const char *const names[] = {"--json", "--hgrm", "--html"};
    char stat[64];
    bench_usage usage;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!paths[i] || strcmp(paths[i], "-") == 0) continue;
        FILE *file = bench_os_open(paths[i], "ab");
        if (!file) bench_say("%s %s: %s", names[i], paths[i], strerror(errno));
        if (!file) return false;
        (void)fclose(file);
    }
    if (!options->pid) return true;
    memset(&usage, 0, sizeof usage);
    (void)snprintf(stat, sizeof stat, "%llu", (unsigned long long)options->pid);
    bench_os_process(&usage, options->pid);
    if (usage.server_rss == 0) bench_say("--pid %s: there is no such process, or it cannot be looked at", stat);
    return usage.server_rss != 0;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-models   --compare-models: which way of running requests is fast? Every model serves every kind of work in turn, on
//                  loopback, in this process; a server lives for one cell of the table. The rounds of one kind of work follow
//                  each other, and in each the models do: what drifts meanwhile meets all of them.
//                  A figure is the median over the rounds. Nothing is called faster unless its slowest round is before the
//                  other's fastest. The last three kinds of work repeat settings of the source logs 2 and 5, whose own figures
//                  stand beside them.
// ---------------------------------------------------------------------------------------------------------

#define BENCH_MODELS_SCHEMA "fastserve-models/1"
#define BENCH_MODELS_WORKERS 10   // log 2's pool had so many; its other figures follow from it
#define BENCH_MODELS_NAP_MS 10    // of /sleep and /unmarked
#define BENCH_MODELS_TELL 3       // rounds, before anything is told apart
#define BENCH_MODELS_SETUP_S 0.05 // of a run, that its server and connections take, about

typedef enum bench_model {
    BENCH_MODEL_EVENT,
    BENCH_MODEL_UNMARKED,
    BENCH_MODEL_POOL,
    BENCH_MODEL_POOL_EACH,
    BENCH_MODEL_POOL_CONN,
    BENCH_MODEL_THREAD,
    BENCH_MODEL_SYNC,
    BENCH_MODELS
} bench_model;

#define BENCH_MODEL_BIT(model) (1u << BENCH_MODEL_##model)
#define BENCH_MODELS_ALL ((1u << BENCH_MODELS) - 1)
#define BENCH_MODELS_BUT_UNMARKED (BENCH_MODELS_ALL & ~BENCH_MODEL_BIT(UNMARKED))

// What a round has found out; JSON's name of it. Doubles, so that one function finds the middle of any.
typedef enum bench_cell_figure {
    BENCH_CELL_RATE,
    BENCH_CELL_P50,
    BENCH_CELL_P99,
    BENCH_CELL_P999,
    BENCH_CELL_ERRORS,
    BENCH_CELL_STARVED,
    BENCH_CELL_CPU,
    BENCH_CELL_THREADS,
    BENCH_CELL_MEMORY,
    BENCH_CELL_LAG,
    BENCH_CELL_DROPPED,
    BENCH_CELLS
} bench_cell_figure;

// clang-format off
static const char *const bench_cell_figure_names[BENCH_CELLS] = {
    "answers_per_s", "p50_us", "p99_us", "p99.9_us", "errors", "starved_connections", "server_cpu_us_per_answer",
    "server_threads", "server_memory_bytes", "sent_late_p99_us", "connections_ended_between_requests"};

static const struct {
    const char *name;
    uint32_t model, blocking, queue_per_worker;
} bench_model_defs[BENCH_MODELS] = {
    {"event",     FSV_MODEL_EVENT,     0, 0},
    {"unmarked",  FSV_MODEL_EVENT,     0, 0},
    {"pool",      FSV_MODEL_EVENT,     1, 0},
    {"pool-each", FSV_MODEL_EVENT,     1, 1},
    {"pool-conn", FSV_MODEL_POOL_CONN, 0, 0},
    {"thread",    FSV_MODEL_THREAD,    0, 0},
    {"sync",      FSV_MODEL_SYNC,      0, 0}};

// A kind of work, and how it is asked for.
typedef struct bench_scene {
    const char *name, *path;
    uint32_t log;                           // source log whose settings these are; 0: the options'
    uint32_t threads, connections, workers; // 0: the options'
    bool close;
    double rate, conn_rate; // 0: a closed loop
    uint32_t models;        // bits
} bench_scene;

#define BENCH_SCENE_LOG2 6
#define BENCH_SCENE_LOG5 7
#define BENCH_SCENES 9
static const bench_scene bench_scenes[BENCH_SCENES] = {
    {"hello, keep-alive", "/",            0, 0, 0, 0, false, 0, 0, BENCH_MODELS_BUT_UNMARKED},
    {"hello, --close",    "/",            0, 0, 0, 0, true,  0, 0, BENCH_MODELS_BUT_UNMARKED},
    {"sleep, keep-alive", "/sleep?ms=10", 0, 0, 0, 0, false, 0, 0, BENCH_MODELS_ALL},
    {"sleep, --close",    "/sleep?ms=10", 0, 0, 0, 0, true,  0, 0, BENCH_MODELS_ALL},
    {"spin, keep-alive",  "/spin?us=200", 0, 0, 0, 0, false, 0, 0, BENCH_MODELS_BUT_UNMARKED},
    {"spin, --close",     "/spin?us=200", 0, 0, 0, 0, true,  0, 0, BENCH_MODELS_BUT_UNMARKED},
    {"log 2: wrk -t4 -c100", "/", 2, 4, 100, 10, true, 0, 0, // its servers closed after each answer
     BENCH_MODEL_BIT(EVENT) | BENCH_MODEL_BIT(POOL_CONN) | BENCH_MODEL_BIT(THREAD) | BENCH_MODEL_BIT(SYNC)},
    {"log 5: wrk2 -t12 -c400 -R1000", "/", 5, 12, 400, 10, false, 1000, 0, BENCH_MODELS_BUT_UNMARKED},
    {"log 5: httperf --rate 10", "/", 5, 1, 100, 10, false, 0, 10, BENCH_MODELS_BUT_UNMARKED}};
// clang-format on

typedef struct bench_round {
    double figures[BENCH_CELLS];
    uint32_t beyond; // a bit for each that is more than what stands there
} bench_round;

// What a server asks its allocator for: any of its threads.
typedef struct bench_meter {
    fsi_word64 now, most; // atomic; bytes
} bench_meter;

typedef struct bench_models {
    const bench_options *options; // as they were typed
    bench_options *cell;          // what a cell is run with
    bench_result *result;         // of the last run
    bench_round *rounds;          // of each scene, of each model
    uint32_t wanted;              // bits of models
    uint64_t round_count;
    uint64_t runs, runs_all; // so far, in all
    bool show, live;         // the table; a line that says how far it is
    bool untrusted, errors;
    bench_text said; // conclusions, a line each
} bench_models;

// ---- the server of a cell

static void *bench_meter_alloc(size_t size, void *user)
{
    bench_meter *meter = (bench_meter *)user;
    void *memory = malloc(size);
    uint64_t seen = fsi_peek64(&meter->now), most = fsi_peek64(&meter->most);
    if (!memory) return NULL;
    while (!fsi_cas64(&meter->now, &seen, seen + size)) continue;
    while (most < seen + size && !fsi_cas64(&meter->most, &most, seen + size)) continue;
    return memory;
}

static void bench_meter_release(void *memory, size_t size, void *user)
{
    bench_meter *meter = (bench_meter *)user;
    uint64_t seen = fsi_peek64(&meter->now);
    while (!fsi_cas64(&meter->now, &seen, seen - size)) continue;
    free(memory);
}

// What /sleep does, on a route that does not say that it blocks.
static void bench_models_nap(fsv_request *request, void *user)
{
    (void)user;
    fsi_sleep_ns(BENCH_MODELS_NAP_MS * 1000000);
    fsv_respond(request, 200, "text/plain", "Hello, World!", 13);
}

// A queue has room for every connection: what a model answers is compared, not how it refuses.
static uint32_t bench_models_queue(uint64_t least, uint64_t connections)
{
    while (least < connections && least < (1u << 20)) least *= 2;
    return (uint32_t)least;
}

// False: said why there is no server.
static bool bench_models_serve(const bench_models *models, const bench_scene *scene, bench_model model,
                               bench_meter *meter, bench_own *own)
{
    fsv_server_desc desc;
    uint64_t connections = models->cell->connections;
    memset(&desc, 0, sizeof desc);
    memset(own, 0, sizeof *own);
    desc.model = bench_model_defs[model].model;
    desc.blocking = bench_model_defs[model].blocking;
    desc.queue_per_worker = bench_model_defs[model].queue_per_worker;
    desc.loops = desc.model == FSV_MODEL_EVENT ? FSV_LOOPS_PER_CPU : 1;
    desc.pin = desc.model == FSV_MODEL_EVENT && FSI_LOCALITY;
    desc.workers =
        (uint32_t)(models->options->workers && !scene->workers ? models->options->workers : BENCH_MODELS_WORKERS);
    desc.jobs_max = bench_models_queue(1024, connections);
    desc.inbox_max = bench_models_queue(4096, connections);
    if (connections > 60000) desc.conns_max = (uint32_t)connections + 1024;
    desc.alloc = bench_meter_alloc;
    desc.release = bench_meter_release;
    desc.alloc_user = meter;
    fsv_result result = demo_create(&own->server, &desc);
    if (result == FSV_OK) result = fsv_server_route(own->server, "GET", "/unmarked", bench_models_nap, NULL);
    if (result == FSV_OK) result = fsv_server_listen(own->server, "127.0.0.1:0");
    if (result == FSV_OK) result = fsv_server_start(own->server);
    if (result != FSV_OK) {
        bench_say("cannot start the built-in server, model %s: %s", bench_model_defs[model].name,
                  fsv_result_text(result));
        bench_serve_end(own);
        return false;
    }
    (void)snprintf(own->url, sizeof own->url, "http://127.0.0.1:%u%s", fsv_server_port(own->server, 0),
                   model == BENCH_MODEL_UNMARKED ? "/unmarked" : scene->path);
    return true;
}

// ---- one round of one cell

static uint64_t bench_models_length(const bench_models *models, const bench_scene *scene)
{
    return models->options->duration_ns * (scene->rate > 0 || scene->conn_rate > 0 ? 2 : 1); // few requests: longer
}

static void bench_models_options(bench_models *models, const bench_scene *scene)
{
    bench_options *cell = models->cell;
    *cell = *models->options; // what it points to stays the other's
    cell->quiet = true;
    cell->json_file = NULL;
    cell->close = scene->close;
    cell->rate = scene->rate;
    cell->conn_rate = scene->conn_rate;
    cell->calls = scene->conn_rate > 0 ? 1 : 0;
    cell->duration_ns = bench_models_length(models, scene);
    if (scene->connections) cell->connections = scene->connections;
    if (scene->threads) cell->threads = scene->threads;
}

// Requests that failed, and attempts to connect that did outside of a request.
static uint64_t bench_models_errors(const bench_result *result)
{
    uint64_t sum = bench_errors(result);
    for (int kind = BENCH_REFUSED; kind <= BENCH_UNREACHABLE; kind++)
        if (result->events[kind] > result->failed[kind]) sum += result->events[kind] - result->failed[kind];
    return sum;
}

// Connections that the server ended unannounced while nothing was asked of it there. No request is lost with them; wrk
// calls them read errors.
static uint64_t bench_models_dropped(const bench_result *result)
{
    uint64_t events = result->events[BENCH_CLOSED] + result->events[BENCH_RESET];
    uint64_t lost = result->failed[BENCH_CLOSED] + result->failed[BENCH_RESET];
    return events > lost ? events - lost : 0;
}

// The figures of a run, but for those of the server. Sums that do not add up are this program's fault; what else makes
// a single run doubtful (a model that closes connections breaks Little's law) is what the table is about.
static void bench_models_take(bench_models *models, bench_round *round)
{
    static const double shares[] = {0.5, 0.99, 0.999};
    const bench_result *result = models->result;
    double *figures = round->figures, answers = (double)bench_answers(result);
    uint64_t ended = result->done + bench_errors(result) + result->in_flight + result->unsent;
    uint64_t errors = bench_models_errors(result), lag = fsi_hist_at(&result->lag, 0.99);
    for (uint32_t i = 0; i < 3; i++) {
        bool beyond;
        figures[BENCH_CELL_P50 + i] = (double)bench_quantile(result, shares[i], &beyond) / 1e3;
        if (beyond) round->beyond |= 1u << (BENCH_CELL_P50 + i);
    }
    figures[BENCH_CELL_RATE] = (double)result->done / bench_run_s(result);
    figures[BENCH_CELL_ERRORS] = (double)errors;
    figures[BENCH_CELL_STARVED] = (double)result->conns_starved;
    figures[BENCH_CELL_CPU] = answers > 0 ? (double)result->server_cpu_ns / 1e3 / answers : 0;
    figures[BENCH_CELL_LAG] = (double)lag / 1e3;
    figures[BENCH_CELL_DROPPED] = (double)bench_models_dropped(result);
    if (ended != result->due || result->response.count != result->done || result->conns_lost || result->done == 0)
        models->untrusted = true;
    if ((double)errors > models->options->max_errors * (double)result->due) models->errors = true;
}

// False: said why nothing was measured.
static bool bench_models_run(bench_models *models, const bench_scene *scene, bench_model model, bench_round *round)
{
    bench_meter meter = {0, 0};
    bench_own own;
    fsv_pool_stats pool;
    const char *urls[] = {own.url};
    bench_models_options(models, scene);
    if (!bench_models_serve(models, scene, model, &meter, &own)) return false;
    bool fine = bench_once(models->cell, urls, 1, true, false, models->result);
    memset(&pool, 0, sizeof pool);
    (void)fsv_server_pool_stats(own.server, &pool);
    // Records of the thread model stay, so their number is the most that was needed at a time.
    uint32_t threads = own.server->thread_count + pool.workers + fsi_load32(&own.server->crew.count);
    bench_serve_end(&own);
    if (!fine) return false;
    bench_models_take(models, round);
    round->figures[BENCH_CELL_THREADS] = threads;
    round->figures[BENCH_CELL_MEMORY] = (double)fsi_peek64(&meter.most);
    return true;
}

// ---- figures over the rounds

static bench_round *bench_models_cell(const bench_models *models, uint32_t scene, uint32_t model)
{
    return models->rounds + (scene * BENCH_MODELS + model) * models->round_count;
}

static bool bench_models_has(const bench_models *models, uint32_t scene, uint32_t model)
{
    return (models->wanted & bench_scenes[scene].models) >> model & 1;
}

// The rank-th of the rounds' figures in rising order.
static double bench_models_rank(const bench_models *models, uint32_t scene, uint32_t model, bench_cell_figure figure,
                                uint64_t rank)
{
    const bench_round *rounds = bench_models_cell(models, scene, model);
    for (uint64_t i = 0; i < models->round_count; i++) {
        double value = rounds[i].figures[figure];
        uint64_t below = 0, above = 0;
        for (uint64_t k = 0; k < models->round_count; k++) {
            below += rounds[k].figures[figure] < value;
            above += rounds[k].figures[figure] > value;
        }
        if (below <= rank && rank < models->round_count - above) return value;
    }
    return 0;
}

static double bench_models_middle(const bench_models *models, uint32_t scene, uint32_t model, bench_cell_figure figure)
{
    return bench_models_rank(models, scene, model, figure, models->round_count / 2);
}

static double bench_models_least(const bench_models *models, uint32_t scene, uint32_t model, bench_cell_figure figure)
{
    return bench_models_rank(models, scene, model, figure, 0);
}

static double bench_models_most(const bench_models *models, uint32_t scene, uint32_t model, bench_cell_figure figure)
{
    return bench_models_rank(models, scene, model, figure, models->round_count - 1);
}

// The middle may be more than it looks: a round that does not exceed it has no more than a lower bound.
static bool bench_models_beyond(const bench_models *models, uint32_t scene, uint32_t model, bench_cell_figure figure)
{
    const bench_round *rounds = bench_models_cell(models, scene, model);
    double middle = bench_models_middle(models, scene, model, figure);
    for (uint64_t i = 0; i < models->round_count; i++)
        if ((rounds[i].beyond >> figure & 1) && rounds[i].figures[figure] <= middle) return true;
    return false;
}

static double bench_models_sum(const bench_models *models, uint32_t scene, uint32_t model, bench_cell_figure figure)
{
    const bench_round *rounds = bench_models_cell(models, scene, model);
    double sum = 0;
    for (uint64_t i = 0; i < models->round_count; i++) sum += rounds[i].figures[figure];
    return sum;
}

// ---- the table

// So many digits, 2 or 3, and the unit that fits.
static const char *bench_digits(char *out, size_t size, double value, int digits, const char *const *units)
{
    for (; units[1] && value >= 999.5; units++) value /= 1000;
    int whole = value < 9.995 ? 1 : value < 99.95 ? 2 : 3;
    (void)snprintf(out, size, "%.*f%s", digits > whole ? digits - whole : 0, value, *units);
    return out;
}

static const char *bench_three_count(char *out, size_t size, double value)
{
    static const char *const units[] = {"", "k", "M", "G", NULL}, *const whole[] = {"", NULL};
    if (value < 999.5 && value <= (double)(uint64_t)value) // a count has no fractions
        (void)snprintf(out, size, "%.0f%s", value, *whole);
    else
        (void)bench_digits(out, size, value, 3, units);
    return out;
}

static const char *bench_three_time(char *out, size_t size, double us, bool beyond)
{
    static const char *const units[] = {"us", "ms", "s", NULL};
    if (beyond && size) *out = '>';
    (void)bench_digits(out + beyond, size - beyond, us, beyond ? 2 : 3, units);
    return out;
}

static void bench_models_row(const bench_models *models, uint32_t scene, uint32_t model)
{
    char rate[16], least[16], most[16], range[40], times[3][16], errors[16], starved[16], cpu[16], memory[16];
    static const char *const plain[] = {"", NULL};
    for (uint32_t i = 0; i < 3; i++) {
        bench_cell_figure figure = (bench_cell_figure)(BENCH_CELL_P50 + i);
        (void)bench_three_time(times[i], sizeof times[i], bench_models_middle(models, scene, model, figure),
                               bench_models_beyond(models, scene, model, figure));
    }
    (void)snprintf(range, sizeof range, "%s..%s",
                   bench_three_count(least, sizeof least, bench_models_least(models, scene, model, BENCH_CELL_RATE)),
                   bench_three_count(most, sizeof most, bench_models_most(models, scene, model, BENCH_CELL_RATE)));
    (void)printf(
        " %-9s %5s %12s %6s %6s %6s %5s %5s %5s %4.0f %5s\n", bench_model_defs[model].name,
        bench_three_count(rate, sizeof rate, bench_models_middle(models, scene, model, BENCH_CELL_RATE)), range,
        times[0], times[1], times[2],
        bench_three_count(errors, sizeof errors, bench_models_sum(models, scene, model, BENCH_CELL_ERRORS)),
        bench_three_count(starved, sizeof starved, bench_models_most(models, scene, model, BENCH_CELL_STARVED)),
        bench_digits(cpu, sizeof cpu, bench_models_middle(models, scene, model, BENCH_CELL_CPU), 3, plain),
        bench_models_most(models, scene, model, BENCH_CELL_THREADS),
        bench_digits(memory, sizeof memory, bench_models_most(models, scene, model, BENCH_CELL_MEMORY) / 1048576, 3,
                     plain));
}

// ---- what the figures say

static void bench_models_say(bench_models *models, const char *format, ...) FSI_PRINTF(2, 3);

static void bench_models_say(bench_models *models, const char *format, ...)
{
    char line[512];
    bool blank = true;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    bench_text_str(&models->said, line);
    bench_text_str(&models->said, "\n");
    if (models->show) bench_remark(stdout, &blank, "%s", line);
}

// What tells the models apart: where the rate is asked for it is how long it takes.
static bench_cell_figure bench_models_judged_by(uint32_t scene)
{
    if (bench_scenes[scene].conn_rate > 0) return BENCH_CELL_P50; // few requests
    return bench_scenes[scene].rate > 0 ? BENCH_CELL_P99 : BENCH_CELL_RATE;
}

// How many times the one is better than the other: in the middle, at least, at most.
typedef struct bench_models_ratios {
    double middle, least, most;
} bench_models_ratios;

static bench_models_ratios bench_models_edge(const bench_models *models, uint32_t scene, uint32_t a, uint32_t b)
{
    bench_cell_figure figure = bench_models_judged_by(scene);
    uint32_t high = figure == BENCH_CELL_RATE ? a : b, low = figure == BENCH_CELL_RATE ? b : a;
    double tiny = 1e-9, middle = bench_models_middle(models, scene, low, figure),
           most = bench_models_most(models, scene, low, figure), least = bench_models_least(models, scene, low, figure);
    bench_models_ratios edge;
    edge.middle = bench_models_middle(models, scene, high, figure) / (middle > tiny ? middle : tiny);
    edge.least = bench_models_least(models, scene, high, figure) / (most > tiny ? most : tiny);
    edge.most = bench_models_most(models, scene, high, figure) / (least > tiny ? least : tiny);
    return edge;
}

// The best two at this work. False: there are no two.
static bool bench_models_best(const bench_models *models, uint32_t scene, uint32_t *best, uint32_t *next)
{
    *best = *next = BENCH_MODELS;
    for (uint32_t i = 0; i < BENCH_MODELS; i++) {
        if (!bench_models_has(models, scene, i)) continue;
        if (*best == BENCH_MODELS || bench_models_edge(models, scene, i, *best).middle > 1) {
            *next = *best;
            *best = i;
        } else if (*next == BENCH_MODELS || bench_models_edge(models, scene, i, *next).middle > 1) {
            *next = i;
        }
    }
    return *next != BENCH_MODELS;
}

// Which model is best at this work, and whether the rounds are enough to say so.
static void bench_models_conclude(bench_models *models, uint32_t scene)
{
    uint32_t best, next;
    const char *name = bench_scenes[scene].name;
    if (!bench_models_best(models, scene, &best, &next)) return;
    bench_models_ratios edge = bench_models_edge(models, scene, best, next);
    const char *a = bench_model_defs[best].name, *b = bench_model_defs[next].name;
    if (models->round_count < BENCH_MODELS_TELL) return; // said once for all
    if (edge.least <= 1)
        bench_models_say(models, "%s: cannot tell %s from %s, their rounds overlap (%.2f..%.2f times).", name, a, b,
                         edge.least, edge.most);
    else if (bench_models_judged_by(scene) == BENCH_CELL_RATE)
        bench_models_say(models, "%s: %s answers most, %.2f times (%.2f..%.2f) as many as %s, the next.", name, a,
                         edge.middle, edge.least, edge.most, b);
    else
        bench_models_say(models, "%s: %s has the lowest %s; that of %s, the next, is %.2f times it (%.2f..%.2f).", name,
                         a, bench_models_judged_by(scene) == BENCH_CELL_P50 ? "p50" : "p99", b, edge.middle, edge.least,
                         edge.most);
}

// The ratio of two models' rates as text, or that it cannot be told; "" when one of them was not run.
static const char *bench_models_ratio(const bench_models *models, uint32_t scene, uint32_t a, uint32_t b, char *out,
                                      size_t size)
{
    *out = 0;
    if (!bench_models_has(models, scene, a) || !bench_models_has(models, scene, b)) return out;
    bench_models_ratios edge = bench_models_edge(models, scene, a, b);
    bool apart = edge.least > 1 || edge.most < 1;
    if (models->round_count < BENCH_MODELS_TELL) // their noise is not known
        (void)snprintf(out, size, "%.2f of %s's rate", edge.middle, bench_model_defs[b].name);
    else
        (void)snprintf(out, size, "%.2f of %s's rate (%.2f..%.2f%s)", edge.middle, bench_model_defs[b].name, edge.least,
                       edge.most, apart ? "" : ": cannot tell");
    return out;
}

// What a pool costs where nothing blocks, and what it saves where something does.
static void bench_models_say_blocking(bench_models *models)
{
    char text[96];
    double workers = models->options->workers ? (double)models->options->workers : BENCH_MODELS_WORKERS;
    double most = workers * 1000 / BENCH_MODELS_NAP_MS;
    if (bench_models_ratio(models, 0, BENCH_MODEL_POOL, BENCH_MODEL_EVENT, text, sizeof text)[0])
        bench_models_say(models, "The way to a worker and back, where nothing blocks: pool has %s on hello.", text);
    if (bench_models_ratio(models, 0, BENCH_MODEL_POOL_EACH, BENCH_MODEL_POOL, text, sizeof text)[0])
        bench_models_say(models, "A queue for each worker: pool-each has %s on hello.", text);
    if (models->options->connections > (uint64_t)workers &&
        bench_models_ratio(models, 0, BENCH_MODEL_POOL_CONN, BENCH_MODEL_POOL, text, sizeof text)[0])
        bench_models_say(models,
                         "%llu connections that are kept alive and %.0f workers: pool-conn closes after each answer so "
                         "that nobody starves, and has %s on hello.",
                         (unsigned long long)models->options->connections, workers, text);
    if (bench_models_has(models, 2, BENCH_MODEL_EVENT))
        bench_models_say(models,
                         "Handlers that block for %d ms: %.0f workers can answer %.0f a second; event reached %.0f%% "
                         "of that.",
                         BENCH_MODELS_NAP_MS, workers, most,
                         bench_models_middle(models, 2, BENCH_MODEL_EVENT, BENCH_CELL_RATE) * 100 / most);
    if (bench_models_ratio(models, 2, BENCH_MODEL_UNMARKED, BENCH_MODEL_EVENT, text, sizeof text)[0])
        bench_models_say(models,
                         "The same handler on a route that is not marked as blocking stops its loop, with everything "
                         "that loop serves: unmarked has %s.",
                         text);
}

// Who got nothing: of each model the worst round of all.
static void bench_models_say_starved(bench_models *models)
{
    char names[300] = "";
    for (uint32_t i = 0; i < BENCH_MODELS; i++) {
        size_t at = strlen(names);
        double worst = 0;
        uint32_t where = 0;
        for (uint32_t scene = 0; scene < BENCH_SCENES; scene++) {
            double starved =
                bench_models_has(models, scene, i) ? bench_models_most(models, scene, i, BENCH_CELL_STARVED) : 0;
            if (starved > worst) worst = starved, where = scene;
        }
        if (worst > 0)
            (void)snprintf(names + at, sizeof names - at, "%s%s %.0f (%s)", at ? ", " : "", bench_model_defs[i].name,
                           worst, bench_scenes[where].name);
    }
    if (!names[0])
        bench_models_say(models, "Starved: nobody, every connection of every model got answers.");
    else
        bench_models_say(models,
                         "Starved, connections without a single answer in the worst round: %s. All are served in turn, "
                         "but the time was over before it was theirs.",
                         names);
}

// ---- the source logs

// Log 2. Its latencies and rates tell how many requests were in flight, and so how long each held a worker.
static void bench_models_say_log2(bench_models *models)
{
    char pool[96], thread[96];
    (void)bench_models_ratio(models, BENCH_SCENE_LOG2, BENCH_MODEL_POOL_CONN, BENCH_MODEL_SYNC, pool, sizeof pool);
    (void)bench_models_ratio(models, BENCH_SCENE_LOG2, BENCH_MODEL_THREAD, BENCH_MODEL_SYNC, thread, sizeof thread);
    bench_models_say(models,
                     "The log has sync 5551, event 5100, thread 1802, pool of 10 threads 968 a second: that pool has "
                     "0.17 of sync's rate%s%s.",
                     pool[0] ? ", pool-conn here " : "", pool);
    bench_models_say(
        models, "There a connection kept a worker for 10.3 ms (10 workers, 968 a second), though sync did the same "
                "work in 0.18 ms, and half of all answers took 101..102 ms: that is the pace of a timer, as of "
                "workers that sleep between two looks at the queue. Here a push wakes one who sleeps, once.");
    bench_models_say(models,
                     "Its thread model has 0.32 of sync's rate%s%s: without keep-alive it makes a thread for every "
                     "request. wrk does not count connecting as latency, this program does.",
                     thread[0] ? ", here " : "", thread);
}

// Log 5, of one model: what it did not reach, and connections that it ended while they were idle.
static void bench_models_say_idle(bench_models *models, uint32_t model)
{
    const char *name = bench_model_defs[model].name;
    double asked = bench_scenes[BENCH_SCENE_LOG5].rate;
    double rate = bench_models_middle(models, BENCH_SCENE_LOG5, model, BENCH_CELL_RATE);
    double dropped = bench_models_sum(models, BENCH_SCENE_LOG5, model, BENCH_CELL_DROPPED);
    if (rate < 0.95 * asked)
        bench_models_say(models,
                         "%s answered %.0f of %.0f a second: a connection that has not asked yet holds its thread for "
                         "up to 100 ms while others wait.",
                         name, rate, asked);
    if (dropped > 0)
        bench_models_say(models,
                         "%s ended %.0f idle connections for others that waited; no request was lost with them.", name,
                         dropped);
}

// Log 5's constant rate.
static void bench_models_say_log5(bench_models *models)
{
    double errors = 0, p99 = 0;
    const char *worst = "none";
    bench_models_say(models,
                     "The log, mean and longest latency, read errors: thread 46 and 993 ms, 435; one queue 112 and 335 "
                     "ms, 28; a queue for each worker 50 and 1200 ms, 182; its last server, with keep-alive, 1.1 and 4 "
                     "ms, none.");
    for (uint32_t i = 0; i < BENCH_MODELS; i++) {
        if (!bench_models_has(models, BENCH_SCENE_LOG5, i)) continue;
        double one = bench_models_middle(models, BENCH_SCENE_LOG5, i, BENCH_CELL_P99);
        errors += bench_models_sum(models, BENCH_SCENE_LOG5, i, BENCH_CELL_ERRORS);
        if (one > p99) p99 = one, worst = bench_model_defs[i].name;
        bench_models_say_idle(models, i);
    }
    bench_models_say(models, "Here: %.0f requests failed over all models; the highest p99 is %s's, %.2f ms.", errors,
                     worst, p99 / 1000);
    bench_models_say(
        models, "Its read errors ended with keep-alive: they look like answers lost to a reset, as when a socket is "
                "closed before all was read. A longest latency of about 1 s looks like the second try to connect, "
                "400 at once to a short backlog. Here a server says when it closes and waits until that is read, "
                "and the backlog holds 4096.");
}

static void bench_models_say_httperf(bench_models *models)
{
    bench_models_say(models,
                     "The log: 10 connections a second, one request each, 0.5 ms in the middle, 1.7 ms at most, no "
                     "error; a load at which no model waits, so what is seen is its way alone.");
}

// Models that were asked for and do not fit the settings of a source log, and why.
static void bench_models_say_missing(bench_models *models, uint32_t scene)
{
    char names[300] = "";
    for (uint32_t i = 0; i < BENCH_MODELS && bench_scenes[scene].log; i++) {
        size_t at = strlen(names);
        if (!(models->wanted & ~bench_scenes[scene].models & 1u << i)) continue;
        (void)snprintf(names + at, sizeof names - at, "%s%s (%s)", at ? ", " : "", bench_model_defs[i].name,
                       i == BENCH_MODEL_UNMARKED ? "nothing sleeps here"
                                                 : "that log's pool takes whole connections, as pool-conn does");
    }
    if (names[0]) bench_models_say(models, "%s, not run: %s.", bench_scenes[scene].name, names);
}

// A block of the table as soon as its rounds are over.
static void bench_models_block(bench_models *models, uint32_t scene)
{
    double late = 0;
    for (uint32_t i = 0; i < BENCH_MODELS; i++) {
        if (!bench_models_has(models, scene, i)) continue;
        double lag = bench_models_middle(models, scene, i, BENCH_CELL_LAG);
        if (lag > late) late = lag;
        if (models->show) bench_models_row(models, scene, i);
    }
    bench_models_say_missing(models, scene);
    bench_models_conclude(models, scene);
    if (late > 1000)
        bench_models_say(models, "%s: requests were sent up to %.1f ms late (p99) by this program itself.",
                         bench_scenes[scene].name, late / 1000);
    if (scene == BENCH_SCENE_LOG2) bench_models_say_log2(models);
    if (scene == BENCH_SCENE_LOG5) bench_models_say_log5(models);
    if (scene == BENCH_SCENE_LOG5 + 1) bench_models_say_httperf(models);
    if (models->show) (void)fflush(stdout);
}

// ---- JSON: the rules are those of "fastserve-bench/1", a unit at the end of each name

static void bench_models_number(bench_pen *pen, const char *key, double value)
{
    char text[48];
    bench_pen_next(pen, key);
    (void)fputs(bench_double_text(text, sizeof text, value), pen->out);
}

static void bench_models_text(bench_pen *pen, const char *key, const char *text)
{
    bench_pen_next(pen, key);
    bench_write_text(pen->out, text, strlen(text) + 1);
}

// {"median": 3, "least": 1, "greatest": 4, "more_than": false, "rounds": [4, 3, 1]}
static void bench_models_json_figure(bench_pen *pen, const bench_models *models, uint32_t scene, uint32_t model,
                                     bench_cell_figure figure)
{
    const bench_round *rounds = bench_models_cell(models, scene, model);
    char text[48];
    bench_pen_next(pen, bench_cell_figure_names[figure]);
    bench_pen_open(pen, '{');
    bench_models_number(pen, "median", bench_models_middle(models, scene, model, figure));
    bench_models_number(pen, "least", bench_models_least(models, scene, model, figure));
    bench_models_number(pen, "greatest", bench_models_most(models, scene, model, figure));
    bench_pen_next(pen, "more_than"); // the median is a lower bound
    (void)fputs(bench_models_beyond(models, scene, model, figure) ? "true" : "false", pen->out);
    bench_pen_next(pen, "rounds");
    for (uint64_t i = 0; i < models->round_count; i++)
        (void)fprintf(pen->out, "%s%s", i ? ", " : "[",
                      bench_double_text(text, sizeof text, rounds[i].figures[figure]));
    (void)fputc(']', pen->out);
    bench_pen_close(pen, '}');
}

static void bench_models_json_cell(bench_pen *pen, const bench_models *models, uint32_t index, uint32_t model)
{
    const bench_scene *scene = &bench_scenes[index];
    const bench_options *options = models->options;
    bench_pen_next(pen, NULL);
    bench_pen_open(pen, '{');
    bench_models_text(pen, "work", scene->name);
    bench_models_text(pen, "model", bench_model_defs[model].name);
    bench_models_text(pen, "path", model == BENCH_MODEL_UNMARKED ? "/unmarked" : scene->path);
    bench_pen_next(pen, "close");
    (void)fputs(scene->close || scene->conn_rate > 0 ? "true" : "false", pen->out);
    bench_models_number(pen, "source_log", scene->log);
    bench_models_number(pen, "connections", (double)(scene->connections ? scene->connections : options->connections));
    bench_models_number(pen, "workers",
                        scene->workers || !options->workers ? BENCH_MODELS_WORKERS : (double)options->workers);
    bench_models_number(pen, "asked_requests_per_s", scene->rate);
    bench_models_number(pen, "asked_connections_per_s", scene->conn_rate);
    bench_models_number(pen, "round_ns", (double)bench_models_length(models, scene));
    for (uint32_t i = 0; i < BENCH_CELLS; i++)
        bench_models_json_figure(pen, models, index, model, (bench_cell_figure)i);
    bench_pen_close(pen, '}');
}

static void bench_models_json_write(FILE *out, const bench_models *models)
{
    const bench_setup *setup = &models->result->setup;
    bench_pen pen = {out, 0, true};
    bench_pen_open(&pen, '{');
    bench_models_text(&pen, "schema", BENCH_MODELS_SCHEMA);
    bench_models_text(&pen, "version", setup->version);
    bench_models_text(&pen, "system", setup->system);
    bench_models_text(&pen, "cpu", setup->cpu);
    bench_models_number(&pen, "cpus", setup->cpus);
    bench_models_number(&pen, "rounds", (double)models->round_count);
    bench_pen_next(&pen, "cells");
    bench_pen_open(&pen, '[');
    for (uint32_t scene = 0; scene < BENCH_SCENES; scene++)
        for (uint32_t i = 0; i < BENCH_MODELS; i++)
            if (bench_models_has(models, scene, i)) bench_models_json_cell(&pen, models, scene, i);
    bench_pen_close(&pen, ']');
    bench_pen_next(&pen, "conclusions");
    bench_pen_open(&pen, '[');
    for (const char *at = models->said.ptr, *end; at && *at; at = end + 1) {
        end = at + strcspn(at, "\n");
        bench_pen_next(&pen, NULL);
        bench_write_text(out, at, (size_t)(end - at));
    }
    bench_pen_close(&pen, ']');
    bench_pen_close(&pen, '}');
    (void)fputc('\n', out);
}

// False: said why it could not be written.
static bool bench_models_save(const bench_models *models)
{
    const char *path = models->options->json_file;
    bool dash = path && strcmp(path, "-") == 0;
    if (!path) return true;
    FILE *out = dash ? stdout : bench_os_open(path, "wb");
    bool fine = out != NULL;
    if (fine) {
        bench_models_json_write(out, models);
        fine = fflush(out) == 0 && !ferror(out);
        if (!dash) fine = fclose(out) == 0 && fine;
    }
    if (!fine) bench_say("--json %s: %s", path, strerror(errno));
    return fine;
}

// ---- all of it

// Returns what is wrong, or NULL.
static const char *bench_models_clash(const bench_options *options)
{
    if (options->url_count || options->url_file) return "it measures the built-in server, so there is no URL";
    if (options->rate > 0 || options->conn_rate > 0)
        return "-R and --conn-rate: the rates are those of the source logs";
    if (options->close || options->calls) return "--close, --calls: both ways are run anyway";
    if (options->requests) return "-n: every cell has the same time, -d";
    if (options->vs || options->find_rate || options->slo) return "--vs, --find-rate, --slo: it judges by itself";
    if (options->hgrm_file || options->html_file || options->histogram || options->format != BENCH_FORMAT_WRK)
        return "--hgrm, --html, --histogram, --format: it prints a table of its own";
    if (options->method || options->body || options->body_file || options->fields.len || options->expects ||
        options->expect_body || options->echo)
        return "-m, -b, -f, -H, --expect-status, --expect-body, --echo: its requests are its own";
    if (options->pipeline > 1 || options->ramp_ns || options->source_ips || options->pid || options->rst)
        return "--pipeline, --ramp, --source-ips, --pid, --rst mean nothing here";
    return NULL;
}

// "event,pool", "": all. 0: said what is none.
static uint32_t bench_models_read(const char *list)
{
    uint32_t wanted = 0;
    if (!*list) return BENCH_MODELS_ALL;
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ",");
        uint32_t found = BENCH_MODELS;
        for (uint32_t i = 0; i < BENCH_MODELS; i++)
            if (strlen(bench_model_defs[i].name) == len && memcmp(at, bench_model_defs[i].name, len) == 0) found = i;
        if (found == BENCH_MODELS) {
            bench_say("--compare-models=%s: there are event, unmarked, pool, pool-each, pool-conn, thread, sync", list);
            return 0;
        }
        wanted |= 1u << found;
        at += len;
        if (!*at) return wanted;
    }
}

static void bench_models_head(const bench_models *models)
{
    const bench_options *options = models->options;
    char each[48], lasts[128];
    uint64_t length = 0, workers = options->workers ? options->workers : BENCH_MODELS_WORKERS;
    for (uint32_t scene = 0; scene < BENCH_SCENES; scene++)
        for (uint32_t i = 0; i < BENCH_MODELS; i++)
            if (bench_models_has(models, scene, i))
                length += bench_models_length(models, &bench_scenes[scene]) + options->warmup_ns;
    length *= models->round_count;
    (void)snprintf(lasts, sizeof lasts, "%llu runs, about %.0f s", (unsigned long long)models->runs_all,
                   (double)length / 1e9 + (double)models->runs_all * BENCH_MODELS_SETUP_S);
    if (!models->show && !options->quiet) bench_say("%s", lasts);
    if (!models->show) return;
    (void)printf("Models on %u CPUs: -c %llu, -w %llu; medians of %llu round%s in turn, %s each\n%s\n",
                 fsi_cpu_usable(), (unsigned long long)options->connections, (unsigned long long)workers,
                 (unsigned long long)models->round_count, models->round_count == 1 ? "" : "s",
                 bench_length_text(each, sizeof each, options->duration_ns), lasts);
    (void)fputs("  event      handlers on the loops; those marked as blocking (sleep) on workers\n"
                "  unmarked   event, with a sleep that is not marked\n"
                "  pool       every handler on a worker, one queue;  pool-each  one for each\n"
                "  pool-conn  a worker serves a connection to its end, or until others wait\n"
                "  thread     a thread for each connection;  sync  one connection at a time\n"
                "log 2, log 5: settings of two benchmarks of other small servers, run here again\n"
                "with their own -c and -w; what \"the log\" has are their figures.\n"
                "req/s: good answers, least..most of the rounds. err: failed or not as expected,\n"
                "all rounds. starv: connections that never got an answer, worst round.\n"
                "CPU: of the server, us per answer. thr, MB: threads, and memory asked of the\n"
                "allocator, at most (stacks are not in it). >: more than that, time was up.\n",
                stdout);
    (void)fflush(stdout);
}

// The rounds of one kind of work. False: said why not, or interrupted.
static bool bench_models_scene(bench_models *models, uint32_t index)
{
    const bench_scene *scene = &bench_scenes[index];
    char title[64];
    (void)snprintf(title, sizeof title, "%s%s%s", scene->name, scene->log ? "" : ", ", scene->log ? "" : scene->path);
    if (models->show)
        (void)printf("\n%s\n model     req/s  least..most    p50    p99  p99.9   err starv   CPU  thr    MB\n", title);
    for (uint64_t round = 0; round < models->round_count; round++)
        for (uint32_t k = 0; k < BENCH_MODELS; k++) {
            uint32_t model = (uint32_t)((k + round) % BENCH_MODELS); // nobody is always the first
            if (!bench_models_has(models, index, model)) continue;
            if (models->live)
                (void)fprintf(stderr, "\r  run %llu of %llu: %s, %s\033[K", (unsigned long long)++models->runs,
                              (unsigned long long)models->runs_all, scene->name, bench_model_defs[model].name);
            (void)fflush(stderr);
            if (fsi_load32(&bench_interrupted) ||
                !bench_models_run(models, scene, (bench_model)model, bench_models_cell(models, index, model) + round))
                return false;
            if (fsi_load32(&bench_interrupted)) return false;
        }
    if (models->live) bench_live_end();
    bench_models_block(models, index);
    return true;
}

static bool bench_models_all(bench_models *models)
{
    bench_models_head(models);
    for (uint32_t scene = 0; scene < BENCH_SCENES; scene++) {
        bool any = (models->wanted & bench_scenes[scene].models) != 0;
        if (any && !bench_models_scene(models, scene)) return false;
        if (!any) bench_models_say_missing(models, scene);
    }
    if (models->show) (void)fputc('\n', stdout);
    if (models->round_count < BENCH_MODELS_TELL)
        bench_models_say(models,
                         "Fewer than %d rounds (--runs) do not show their noise: they cannot tell who is first.",
                         BENCH_MODELS_TELL);
    bench_models_say_blocking(models);
    bench_models_say_starved(models);
    return true;
}

static int bench_models_measure(bench_models *models)
{
    for (uint32_t scene = 0; scene < BENCH_SCENES; scene++)
        for (uint32_t i = 0; i < BENCH_MODELS; i++)
            models->runs_all += bench_models_has(models, scene, i) ? models->round_count : 0;
    bool fine = bench_models_all(models), saved = fine && bench_models_save(models);
    if (models->live && !fine) bench_live_end();
    if (fsi_load32(&bench_interrupted)) {
        bench_say("interrupted: the rounds are not complete");
        return BENCH_EXIT_CUT;
    }
    if (!fine || !saved) return BENCH_EXIT_USAGE;
    if (models->untrusted) {
        bench_say("result not trustworthy: in some cell no answer came, connections were lost or sums do not add up");
        return BENCH_EXIT_UNTRUSTED;
    }
    return models->errors ? BENCH_EXIT_ERRORS : BENCH_EXIT_OK;
}

static int bench_compare_models(const bench_options *options)
{
    bench_models models;
    int status = BENCH_EXIT_USAGE;
    const char *wrong = bench_models_clash(options);
    memset(&models, 0, sizeof models);
    if (wrong) bench_say("--compare-models: %s", wrong);
    if (wrong || !bench_files_fine(options)) return status;
    models.wanted = bench_models_read(options->models);
    if (!models.wanted) return status;
    models.options = options;
    models.round_count = options->runs;
    models.show = !options->json_file || strcmp(options->json_file, "-") != 0;
    models.live = !options->quiet && bench_os_is_terminal(stderr);
    models.cell = (bench_options *)malloc(sizeof *models.cell);
    models.result = (bench_result *)malloc(sizeof *models.result);
    models.rounds = (bench_round *)calloc(BENCH_SCENES * BENCH_MODELS * (size_t)options->runs, sizeof(bench_round));
    if (models.cell && models.result && models.rounds)
        status = bench_models_measure(&models);
    else
        bench_say("out of memory");
    if (fflush(stdout) != 0) bench_say("cannot write the result: %s", strerror(errno));
    free(models.cell);
    free(models.result);
    free(models.rounds);
    bench_text_free(&models.said);
    return status;
}

// ---------------------------------------------------------------------------------------------------------
// >>bench-main   The command, and what it asks for.
// ---------------------------------------------------------------------------------------------------------

static int bench_perform(bench_options *options)
{
    bench_session session;
    int status = BENCH_EXIT_USAGE;
    memset(&session, 0, sizeof session);
    session.options = options;
    session.result = (bench_result *)malloc(sizeof *session.result);
    if (!session.result) {
        bench_say("out of memory");
        return status;
    }
    if (!bench_objectives_fine(options) || !bench_files_fine(options)) goto end;
    if (options->url_file && !bench_read_urls(options)) goto end;
    if (!options->url_count && !bench_serve(&session.own, options->connections)) goto end;
    session.own_url = session.own.url;
    session.urls = options->url_count ? options->urls : &session.own_url;
    session.url_count = options->url_count ? options->url_count : 1;
    status = options->find_rate  ? bench_find(&session)
             : options->vs       ? bench_versus(&session)
             : options->runs > 1 ? bench_ladder(&session)
                                 : bench_single(&session);
    if (fflush(stdout) != 0) bench_say("cannot write the result: %s", strerror(errno));
end:
    bench_serve_end(&session.own);
    free(session.result);
    return status;
}

// `fastserve bench ...`; argv[0] is the command. Returns the exit status.
static int bench_main(int argc, char **argv)
{
    char error[512];
    int status = BENCH_EXIT_USAGE;
    bool helps = argc > 1 && (strcmp(argv[1], "compare") == 0 || strcmp(argv[1], "merge") == 0) &&
                 (argc == 2 || strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
    if (helps || (argc > 1 && strcmp(argv[1], "help") == 0)) {
        (void)printf("%s%s", bench_help, bench_help_more);
        return argc == 2 && helps ? BENCH_EXIT_USAGE : BENCH_EXIT_OK;
    }
    if (argc > 1 && strcmp(argv[1], "compare") == 0) return bench_main_compare(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "merge") == 0) return bench_main_merge(argc - 1, argv + 1);
    bench_options *options = (bench_options *)malloc(sizeof *options);
    if (!options) {
        bench_say("out of memory");
        return status;
    }
    if (!bench_parse(argc, argv, options, error, sizeof error)) {
        bench_say("%s", error);
    } else if (options->help || options->version) {
        if (options->help)
            (void)printf("%s%s", bench_help, options->help_all ? bench_help_more : "");
        else
            (void)printf("fastserve %s\n", fsv_version());
        status = BENCH_EXIT_OK;
    } else if (options->models) {
        status = bench_compare_models(options);
    } else if (options->selftest) {
        status = bench_selftest();
    } else {
        status = bench_perform(options);
    }
    bench_options_free(options);
    free(options);
    return fsi_load32(&bench_interrupted) ? BENCH_EXIT_CUT : status;
}
