// The pure parts of bench.c: numbers, options, URLs, what is printed; and what an answer is taken for, however it is
// cut.
#include "test.h"
#include "bench.h"
#include "os.h"

// Goal: counts as wrk's users type them, and a reason for what is none.
TEST(count_reads_suffixes_and_fractions)
{
    static const struct {
        const char *text, *wrong;
        uint64_t value;
    } rows[] = {
        {"1", NULL, 1},
        {"500", NULL, 500},
        {"10k", NULL, 10000},
        {"1.5M", NULL, 1500000},
        {"2.3k", NULL, 2300},
        {"0.001K", NULL, 1},
        {"1G", NULL, 1000000000},
        {"0", "must be at least 1", 0},
        {"", "not a number", 0},
        {"-5", "must not be negative", 0},
        {"1.5", "not a whole number", 0},
        {"1.0001k", "not a whole number", 0},
        {"10x", "unknown unit", 0},
        {"10kk", "unknown unit", 0},
        {"1 k", "unknown unit", 0},
        {".", "not a number", 0},
        {"1.2.3", "unknown unit", 0},
        {"2G", "too large", 0},
        {"99999999999999999999999", "too large", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 0;
        ROW("%s", rows[i].text);
        CHECK_STR(bench_read_count(rows[i].text, 1000000000, &value), rows[i].wrong);
        if (!rows[i].wrong) CHECK_EQ(value, rows[i].value);
    }
}

TEST(time_reads_units_and_fractions)
{
    static const struct {
        const char *text;
        uint64_t ns; // 0: refused
    } rows[] = {
        {"10", 10000000000u},
        {"10s", 10000000000u},
        {"500ms", 500000000},
        {"1.5m", 90000000000u},
        {"2h", 7200000000000u},
        {"100us", 100000},
        {"0.5", 500000000},
        {"2S", 2000000000},
        {"1.0000000009s", 1000000000},
        {"0", 0},
        {"0.0s", 0},
        {"", 0},
        {"s", 0},
        {"-1s", 0},
        {"10x", 0},
        {"5000h", 0},
        {"1e3", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ns = 0;
        ROW("%s", rows[i].text);
        const char *wrong = bench_read_time(rows[i].text, &ns);
        CHECK_EQ(wrong == NULL, rows[i].ns != 0);
        if (!wrong) CHECK_EQ(ns, rows[i].ns);
    }
}

// Goal: every way out that needs no server.
TEST(main_exits)
{
    char name[] = "bench", url[] = "https://a/", bad[] = "--frob", version[] = "--version", count[] = "-n1";
    char *plain[] = {name, count, NULL}, *tls[] = {name, url, NULL}, *unknown[] = {name, bad, NULL},
         *asked[] = {name, version, NULL};
    CHECK_EQ(bench_main(2, plain), BENCH_EXIT_USAGE); // the stub of demo_create cannot
    CHECK_EQ(bench_main(2, tls), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main(2, unknown), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main(2, asked), BENCH_EXIT_OK);
}

// Goal: the unit changes at 0.85 of the next one, two decimals, as wrk prints.
TEST(units_switch_at_085)
{
    char text[48];
    CHECK_STR(bench_time_text(text, sizeof text, 0), "0.00us");
    CHECK_STR(bench_time_text(text, sizeof text, 849.99), "849.99us");
    CHECK_STR(bench_time_text(text, sizeof text, 900), "0.90ms");
    CHECK_STR(bench_time_text(text, sizeof text, 12920), "12.92ms");
    CHECK_STR(bench_time_text(text, sizeof text, 850000), "0.85s");
    CHECK_STR(bench_time_text(text, sizeof text, 30000000), "30.00s");
    CHECK_STR(bench_time_text(text, sizeof text, 60000000), "1.00m");
    CHECK_STR(bench_time_text(text, sizeof text, 3600000000.0), "1.00h");
    CHECK_STR(bench_count_text(text, sizeof text, 694.25), "694.25");
    CHECK_STR(bench_count_text(text, sizeof text, 56200), "56.20k");
    CHECK_STR(bench_count_text(text, sizeof text, 1500000), "1.50M");
    CHECK_STR(bench_bytes_text(text, sizeof text, 93), "93.00B");
    CHECK_STR(bench_bytes_text(text, sizeof text, 1024), "1.00KB");
    CHECK_STR(bench_bytes_text(text, sizeof text, 49408901), "47.12MB");
    CHECK_STR(bench_length_text(text, sizeof text, 10000000000u), "10s");
    CHECK_STR(bench_length_text(text, sizeof text, 120000000000u), "2m");
    CHECK_STR(bench_length_text(text, sizeof text, 90000000000u), "90s");
    CHECK_STR(bench_length_text(text, sizeof text, 1500000000), "1.5s");
    CHECK_STR(bench_length_text(text, sizeof text, 500000000), "500ms");
    CHECK_STR(bench_length_text(text, sizeof text, 123456789), "0.123456789s");
    CHECK(bench_sqrt(2) > 1.41421356 && bench_sqrt(2) < 1.41421357);
    CHECK(bench_sqrt(1e24) > 0.9999999e12 && bench_sqrt(1e24) < 1.0000001e12);
    CHECK(bench_sqrt(1e-6) > 0.9999999e-3 && bench_sqrt(1e-6) < 1.0000001e-3);
    CHECK(bench_sqrt(0) == 0 && bench_sqrt(-1) == 0);
}

// Splits a command line at spaces; returns what bench_parse says, and the error or "".
static bool parse(const char *line, bench_options *options, char *error, size_t size)
{
    static char copy[512]; // options point into it
    char *argv[32];
    int argc = 0;
    (void)snprintf(copy, sizeof copy, "bench %s", line);
    for (char *word = strtok(copy, " "); word && argc < 32; word = strtok(NULL, " ")) argv[argc++] = word;
    error[0] = 0;
    return bench_parse(argc, argv, options, error, size);
}

TEST(options_glued_spaced_and_url_anywhere)
{
    static const char *const lines[] = {
        "-t2 -c50 -d5s -L http://h/",      "http://h/ -t 2 -c 50 -d 5s -L",
        "-t2 http://h/ -Lc50 -z5",         "--threads=2 --connections 50 --duration=5000ms --latency http://h/",
        "-Lt2 -c 0.05k -d 5 -- http://h/",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        bench_options options;
        char error[256];
        ROW("%s", lines[i]);
        CHECK(parse(lines[i], &options, error, sizeof error));
        CHECK_STR(error, "");
        CHECK_EQ(options.threads, 2);
        CHECK_EQ(options.connections, 50);
        CHECK_EQ(options.duration_ns, 5000000000u);
        CHECK(options.latency);
        CHECK_STR(options.urls[0], "http://h/");
        bench_options_free(&options);
    }
}

TEST(options_have_defaults)
{
    bench_options options;
    char error[256];
    CHECK(parse("", &options, error, sizeof error));
    CHECK(options.url_count == 0 && options.threads == 0 && !options.latency);
    CHECK_EQ(options.connections, 100);
    CHECK_EQ(options.duration_ns, 10000000000u);
    CHECK_EQ(options.timeout_ns, 2000000000u);
    CHECK_EQ(options.pipeline, 1);
    CHECK(parse("-n 7", &options, error, sizeof error));
    CHECK_EQ(options.duration_ns, 0); // a count ends it
    CHECK(parse("-n 7 -d 1", &options, error, sizeof error));
    CHECK_EQ(options.duration_ns, 1000000000);
    CHECK(parse("-H Connection:close -H A:b", &options, error, sizeof error));
    CHECK(options.close);
    CHECK_STR(options.fields.ptr, "A: b\r\n");
    bench_options_free(&options);
}

TEST(options_refused_in_one_line)
{
    static const struct {
        const char *line, *error;
    } rows[] = {
        {"-c abc", "-c abc: not a number"},
        {"-c", "-c: a value is missing; see --help-all"},
        {"-c0", "-c 0: must be at least 1"},
        {"--frob", "--frob: unknown option; see --help-all"},
        {"--frob=7", "--frob: unknown option; see --help-all"},
        {"--latency=7", "--latency: takes no value"},
        {"-s x.lua", "-s: scripts are not supported; {i} and {rand:1-9} vary a request; see --help"},
        {"-t 9 -c 3", "-t 9: more threads than connections (-c 3)"},
        {"--close --pipeline 2", "--close and --pipeline exclude each other"},
        {"-b x -f y", "-b and -f: only one body"},
        {"-H nonsense", "-H nonsense: not of the form 'Name: value'"},
        {"-H a:b\r", "-H a:b\r: a control byte in the value"},
        {"-H Transfer-Encoding:x",
         "-H Transfer-Encoding:x: that field is written for you; give the body with -b or -f"},
        {"-m G(T", "-m G(T: not a method"},
        {"-", "-: neither an option nor a URL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_options options;
        char error[256];
        ROW("%s", rows[i].line);
        CHECK(!parse(rows[i].line, &options, error, sizeof error));
        CHECK_STR(error, rows[i].error);
        bench_options_free(&options);
    }
}

TEST(url_forms)
{
    static const struct {
        const char *text, *host, *port, *target; // host NULL: refused
    } rows[] = {
        {"http://a", "a", "80", ""},
        {"HTTP://a:8080/x?y=1#z", "a", "8080", "/x?y=1"},
        {"localhost:3000", "localhost", "3000", ""},
        {"10.0.0.1/x:y", "10.0.0.1", "80", "/x:y"},
        {"http://[::1]:81/", "::1", "81", "/"},
        {"[::1]", "::1", "80", ""},
        {"a?q", "a", "80", "?q"},
        {"https://a", NULL, NULL, NULL},
        {"ftp://a", NULL, NULL, NULL},
        {"unix:/x", "/x", "", ""},
        {"unix:/run/x.sock:/y?z", "/run/x.sock", "", "/y?z"},
        {"http://unix:@x:/", "@x", "", "/"},
        {"tcp://[::1]:7/", "::1", "7", "/"},
        {"tcp://a", NULL, NULL, NULL},
        {"tcp://a:7/x", NULL, NULL, NULL},
        {"unix:", NULL, NULL, NULL},
        {"http://", NULL, NULL, NULL},
        {"http://:80", NULL, NULL, NULL},
        {"http://a:0", NULL, NULL, NULL},
        {"http://a:65536", NULL, NULL, NULL},
        {"http://a:", NULL, NULL, NULL},
        {"http://u@a", NULL, NULL, NULL},
        {"http://a/ b", NULL, NULL, NULL},
        {"http://a\r\nX: y", NULL, NULL, NULL},
        {"http://[::1", NULL, NULL, NULL},
        {"http://[::1]x", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_url url;
        ROW("%s", rows[i].text);
        if (!OS_ABSTRACT && strstr(rows[i].text, "unix:@")) continue;
        const char *wrong = bench_url_parse(&url, rows[i].text);
        CHECK_EQ(wrong == NULL, rows[i].host != NULL);
        if (wrong || !rows[i].host) continue;
        CHECK_STR(url.host, rows[i].host);
        CHECK_STR(url.port, rows[i].port);
        CHECK_BYTES(url.target.ptr, url.target.len, rows[i].target, strlen(rows[i].target));
    }
}

// The bytes of a request for a command line.
static const char *build(const char *line, bench_text *out)
{
    static bench_options options;
    static bench_request request;
    bench_url url;
    bench_text none;
    char error[256];
    uint64_t seed = 1;
    memset(&none, 0, sizeof none);
    memset(out, 0, sizeof *out);
    if (!parse(line, &options, error, sizeof error) || bench_url_parse(&url, options.urls[0])) return "bad line";
    const char *wrong = bench_build(&options, &url, &none, &request);
    if (!wrong) bench_render(&request, 17, &seed, out);
    bench_text_free(&request.bytes);
    bench_options_free(&options);
    return wrong;
}

TEST(request_bytes)
{
    static const struct {
        const char *line, *bytes;
    } rows[] = {
        {"http://a", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a:81?q", "GET /?q HTTP/1.1\r\nHost: a:81\r\n\r\n"},
        {"a/x -m HEAD --close", "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
        {"a -b hi", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"},
        {"a -m PUT", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
        {"a -H host:b -H X:y", "GET / HTTP/1.1\r\nhost: b\r\nX: y\r\n\r\n"},
        {"a/{i}?{rand:7-7}", "GET /17?7 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a -H X:{i}", "GET / HTTP/1.1\r\nHost: a\r\nX: 17\r\n\r\n"},
        {"a -b {i}{i}", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n1717"},
        {"a -b <{i}>", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n<17>"},
        {"a -b {\"i\":1}", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"i\":1}"},
        {"a -b {i", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{i"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_text bytes;
        ROW("%s", rows[i].line);
        CHECK(build(rows[i].line, &bytes) == NULL);
        CHECK_STR(bytes.ptr, rows[i].bytes);
        bench_text_free(&bytes);
    }
}

// Goal: random numbers stay within their bounds and reach both, and holes that are none are refused.
TEST(templates_vary)
{
    bench_text bytes;
    static const char *const bad[] = {"a/{rand:9-1}", "a/{rand:x-1}", "a/{rand:1}", "a/{rand:1-}"};
    static bench_options options;
    static bench_request request;
    bench_url url;
    char error[256];
    uint64_t seed = 5, seen = 0;
    memset(&bytes, 0, sizeof bytes);
    REQUIRE(parse("a/{rand:3-9}", &options, error, sizeof error) && !bench_url_parse(&url, "a/{rand:3-9}"));
    REQUIRE(bench_build(&options, &url, &bytes, &request) == NULL);
    for (int i = 0; i < 1000; i++) {
        bytes.len = 0;
        bench_render(&request, 0, &seed, &bytes);
        CHECK(bytes.ptr[5] >= '3' && bytes.ptr[5] <= '9' && bytes.ptr[6] == ' ');
        seen |= 1u << (bytes.ptr[5] - '0');
    }
    CHECK_EQ(seen, 0x3f8);
    bench_text_free(&request.bytes);
    bench_text_free(&bytes);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ROW("%s", bad[i]);
        CHECK_STR(build(bad[i], &bytes), "write {rand:A-B} with whole numbers, A not above B");
        bench_text_free(&bytes);
    }
}

TEST(shares_add_up)
{
    for (uint32_t parts = 1; parts < 20; parts++) {
        uint64_t sum = 0;
        ROW("parts=%u", parts);
        for (uint32_t i = 0; i < parts; i++) sum += bench_share(500, parts, i);
        CHECK_EQ(sum, 500);
        CHECK(bench_share(500, parts, 0) - bench_share(500, parts, parts - 1) <= 1);
    }
}

// Goal: wrk's layout, byte for byte, with every optional line.
TEST(report_layout)
{
    static bench_result result;
    bench_options options;
    static const char want[] = "Running 10s test @ http://a/\n"
                               "  2 threads and 100 connections\n"
                               "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
                               "    Latency   200.00us    0.00us 200.00us  100.00%\n"
                               "    Req/Sec   200.00    141.42   300.00    100.00%\n"
                               "  Latency Distribution\n"
                               "     50%  200.00us\n"
                               "     75%  200.00us\n"
                               "     90%  200.00us\n"
                               "     99%  200.00us\n"
                               "  1000 requests in 2.00s, 1.00MB read\n"
                               "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
                               "  Non-2xx or 3xx responses: 5\n"
                               "Requests/sec:    500.00\n"
                               "Transfer/sec:    512.00KB\n";
    char got[2048];
    FILE *file = os_stream();
    REQUIRE(file != NULL);
    bench_result_init(&result);
    fsi_hist_add(&result.response, 200000, 995);
    fsi_hist_add(&result.rate, 100, 1);
    fsi_hist_add(&result.rate, 300, 1);
    result.done = 995, result.failed[BENCH_STATUS] = 5, result.statuses[200] = 995, result.statuses[404] = 5;
    result.bytes_in = 1 << 20, result.run_ns = 2000000000;
    result.events[BENCH_NO_PORTS] = 1, result.events[BENCH_CLOSED] = 1, result.events[BENCH_BAD] = 1;
    result.events[BENCH_WRITE] = 3, result.events[BENCH_TIMEOUT] = 4;
    memset(&options, 0, sizeof options);
    options.duration_ns = 10000000000u;
    bench_print_head(file, &options, "http://a/", 2, 100);
    bench_print_wrk(file, &result, bench_print_percentiles);
    (void)os_stream_text(file, got, sizeof got);
    CHECK_STR(got, want);
}

// A thread with one connection that is up and has requests in flight; there is no socket under it.
static bench_plan plan;
static bench_place place;

static bench_thread *bare_thread(uint32_t in_flight)
{
    memset(&plan, 0, sizeof plan);
    plan.places = &place;
    plan.place_count = plan.thread_count = plan.conn_count = 1;
    plan.pipeline = 8;
    plan.calls = UINT64_MAX;
    plan.alike = true;
    plan.request_len = 10;
    plan.timeout_ns = 1000000000;
    plan.deadline_ns = UINT64_MAX;
    memset(plan.good, 0xff, 50); // below 400
    bench_thread *thread = bench_thread_new(&plan, 0, 0, 1, in_flight);
    if (!thread) return NULL;
    thread->running = true;
    (void)bench_now(thread);
    bench_fill(thread, &thread->conns[0]);
    (void)bench_make(thread, &thread->conns[0]);
    thread->conns[0].out_left = 0;
    thread->conns[0].state = BENCH_UP;
    return thread;
}

static uint64_t sum_of(const uint64_t *counts)
{
    uint64_t sum = 0;
    for (int i = 0; i < BENCH_KINDS; i++) sum += counts[i];
    return sum;
}

// Feeds bytes as receives of at most `step`, the way bench_run does: what stays of a head comes again with the next.
static void feed(bench_thread *thread, const char *bytes, size_t len, size_t step)
{
    bench_conn *conn = &thread->conns[0];
    for (size_t at = 0; at < len && conn->state == BENCH_UP; at += step) {
        size_t have = conn->carry_len, more = len - at < step ? len - at : step;
        if (have) memcpy(thread->in, conn->carry, have);
        memcpy(thread->in + have, bytes + at, more);
        free(conn->carry);
        conn->carry = NULL;
        conn->carry_len = 0;
        thread->now_fresh = false;
        (void)bench_take(thread, conn, thread->in, have + more);
    }
}

// Goal: what answers are taken for does not depend on how they are cut, and every request ends exactly once.
TEST(answers_ignore_segmentation)
{
    static const struct {
        const char *bytes;
        uint32_t in_flight, done, failed, bad_status;
        bool up;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, 1, 0, 0, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 "
         "No\r\n"
         "Content-Length: 0\r\n\r\n",
         3, 2, 0, 1, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
         2, 2, 0, 0, true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 304 Same\r\nContent-Length: "
         "9\r\n\r\n",
         1, 1, 0, 0, true},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 1, 1, 0, 0, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 1, 1, 0, 0, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 1, 1, 0, 0, true},
        {"SSH-2.0-x\r\n", 2, 0, 2, 0, false},
        {"HTTP/1.1 101 Other\r\n\r\n", 1, 0, 1, 0, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 1, 0, 1, 0, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 1, 0, 1, 0, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 nonsense", 2, 1, 1, 0, false},
        {"HTTP/1.1 204 No\r\n\r\nbody", 1, 1, 0, 0, false},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 1, 0, 0, 0, true}, // still coming
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].bytes);
        for (size_t step = 1; step <= len; step++) {
            ROW("%zu step=%zu", i, step);
            bench_thread *thread = bare_thread(rows[i].in_flight);
            REQUIRE(thread != NULL);
            feed(thread, rows[i].bytes, len, step);
            const bench_conn *conn = &thread->conns[0];
            CHECK_EQ(thread->tally.done, rows[i].done);
            CHECK_EQ(sum_of(thread->tally.failed), rows[i].failed + rows[i].bad_status);
            CHECK_EQ(thread->tally.failed[BENCH_STATUS], rows[i].bad_status);
            CHECK_EQ(conn->state == BENCH_UP, rows[i].up);
            CHECK_EQ(thread->tally.response.count, thread->tally.done);
            CHECK_EQ(thread->tally.due, thread->tally.done + sum_of(thread->tally.failed) + conn->in_flight);
            free(conn->carry);
            bench_thread_free(thread);
        }
    }
}

// Goal: the end of a stream ends an answer that has no other end, and is an error everywhere else, also between
// requests.
TEST(end_of_stream)
{
    static const struct {
        const char *bytes;
        uint32_t in_flight, done, failed, errors;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\nall of it", 1, 1, 0, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 1, 0, 1, 1},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 1, 0, 1, 1},
        {"HTTP/1.1 200", 1, 0, 1, 1},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 1, 1, 0,
         1}, // unannounced, after an answer: done, and an error
        {"", 3, 0, 3, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%zu", i);
        bench_thread *thread = bare_thread(rows[i].in_flight);
        REQUIRE(thread != NULL);
        feed(thread, rows[i].bytes, strlen(rows[i].bytes), 1000);
        bench_end_of_stream(thread, &thread->conns[0], 0);
        CHECK_EQ(thread->tally.done, rows[i].done);
        CHECK_EQ(thread->tally.failed[BENCH_CLOSED], rows[i].failed);
        CHECK_EQ(thread->tally.events[BENCH_CLOSED], rows[i].errors);
        CHECK_EQ(thread->conns[0].state, BENCH_DOWN);
        CHECK_EQ(thread->begun, thread->ended_all + thread->conns[0].in_flight);
        bench_thread_free(thread);
    }
}

// Goal: a request times out once, at its own time; those behind it go on, on a new connection.
TEST(timeouts_end_requests_once)
{
    bench_thread *thread = bare_thread(3);
    REQUIRE(thread != NULL);
    bench_conn *conn = &thread->conns[0];
    uint64_t start = conn->stamps[0].sent;
    conn->stamps[2].sent += 500000000;
    thread->now_ns = start + 999999999;
    bench_scan(thread);
    CHECK_EQ(thread->tally.failed[BENCH_TIMEOUT], 0);
    thread->now_ns = start + 1000000001;
    bench_scan(thread);
    CHECK_EQ(thread->tally.failed[BENCH_TIMEOUT], 2);
    CHECK_EQ(conn->in_flight, 1);
    CHECK_EQ(conn->state, BENCH_DOWN);
    thread->now_ns = start + 2000000000;
    bench_scan(thread);
    CHECK_EQ(thread->tally.failed[BENCH_TIMEOUT], 3);
    CHECK_EQ(thread->begun, thread->ended_all);
    CHECK_EQ(thread->tally.censored.count, 3);
    CHECK_EQ(bench_over_all(thread), true);
    bench_thread_free(thread);
}

TEST_MAIN(CASE(count_reads_suffixes_and_fractions), CASE(time_reads_units_and_fractions), CASE(units_switch_at_085),
          CASE(options_glued_spaced_and_url_anywhere), CASE(options_have_defaults), CASE(options_refused_in_one_line),
          CASE(url_forms), CASE(request_bytes), CASE(templates_vary), CASE(shares_add_up), CASE(report_layout),
          CASE(answers_ignore_segmentation), CASE(end_of_stream), CASE(timeouts_end_requests_once), CASE(main_exits))
