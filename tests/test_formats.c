// What is printed from a bench_result: the layouts of wrk2, ab, httperf and HdrHistogram, the histogram for a terminal
// and the page, each against literal text, and with nothing, one, or absurdly much in it.
//
//   build/test_formats [PART]                      the cases
//   build/test_formats --sample LAYOUT [RUN]       prints a layout of a made-up run, for tests/formats.sh and for the eye
#include "test.h"
#include "bench.h"
#include "os.h"

// ---- made-up runs

static bench_result run; // the one that is printed
static char page[4 << 20];

#define US 1000u
#define MS 1000000u
#define S 1000000000u

static void run_empty(void)
{
    bench_result_init(&run);
    (void)snprintf(run.setup.url, sizeof run.setup.url, "http://127.0.0.1:8080/index.html");
    (void)snprintf(run.setup.version, sizeof run.setup.version, "0.0.0");
    (void)snprintf(run.setup.system, sizeof run.setup.system, "Linux 6.18.5 x86_64");
    (void)snprintf(run.setup.cpu, sizeof run.setup.cpu, "A CPU & its \"name\"");
    run.setup.cpus = 2, run.setup.threads = 2, run.setup.connections = 100, run.setup.pipeline = 1;
    run.setup.duration = 2 * (uint64_t)S, run.setup.timeout = 2 * (uint64_t)S, run.setup.request_bytes = 42;
    run.run_ns = 2 * (uint64_t)S;
    run.began_unix = 1790000000;
    run.slot_ns = S;
}

// One answer, or many alike.
static void run_add(uint64_t response, uint64_t service, uint64_t wait, uint64_t times)
{
    fsi_hist_add(&run.response, response, times);
    fsi_hist_add(&run.service, service, times);
    fsi_hist_add(&run.wait, wait, times);
    run.due += times, run.done += times, run.kept += times;
    run.statuses[200] += times;
    run.bytes_in += 115 * times, run.bytes_body += 13 * times, run.bytes_out += 42 * times;
    run.first_length = 13;
}

static void run_cut(uint64_t so_far, uint64_t times)
{
    fsi_hist_add(&run.censored, so_far, times);
    run.due += times;
}

// 1000 answers: 500 of 1 ms, 400 of 2 ms, 99 of 10 ms, 1 of 100 ms. All their service took 0.25 ms less.
static void run_thousand(void)
{
    static const uint64_t rows[][2] = {{1000, 500}, {2000, 400}, {10000, 99}, {100000, 1}};
    run_empty();
    for (int i = 0; i < 4; i++) run_add(rows[i][0] * US, (rows[i][0] - 250) * US, (rows[i][0] - 300) * US, rows[i][1]);
    fsi_hist_add(&run.connect, 500 * US, 100);
    (void)snprintf(run.server, sizeof run.server, "demo/1");
    run.conns_opened = run.conns_most = 100;
    run.client_user_ns = 100 * MS, run.client_sys_ns = 300 * MS;
    run.slot_count = 2; // three lines that end on the axis
    run.slots[0].done = run.slots[1].done = 500;
    run.slots[0].p50 = 1000 * US, run.slots[0].p99 = 9000 * US, run.slots[0].max = 10000 * US;
    run.slots[1].p50 = run.slots[1].p99 = run.slots[1].max = 600 * US;
}

static double random_unit(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) / 16777216.0;
}

// A run over `slots` seconds with a long tail; frozen: for one second in the middle the target stands still.
static void run_tail(uint32_t slots, bool frozen, uint64_t scale)
{
    uint32_t state = 1;
    uint64_t times = frozen ? 10 : 1000;
    run_empty();
    run.setup.rate = frozen ? 20000 : 0;
    run.setup.duration = run.run_ns = slots * (uint64_t)S;
    run.slot_count = slots;
    for (uint32_t slot = 0; slot < slots; slot++) {
        static fsi_hist one;
        bool still = frozen && slot == slots / 2;
        fsi_hist_init(&one);
        for (int i = 0; i < 2000; i++) {
            double u = random_unit(&state), v = random_unit(&state), w = random_unit(&state);
            double ns = (double)(180 * scale) / (0.02 + u * v * 0.7 + w * 0.3) * (0.2 + 0.8 * v);
            uint64_t service = (uint64_t)ns, response = service;
            if (frozen) response += (uint64_t)(w * 8000);
            if (still) response += (uint64_t)((double)S * (1 - i / 2000.0));
            run_add(response, service, service * 9 / 10, times);
            fsi_hist_add(&one, response, times);
        }
        run.slots[slot].done = still ? 1500 : one.count + (uint64_t)(random_unit(&state) * 900);
        run.slots[slot].errors = slot == slots / 3 ? 120 : 0;
        run.slots[slot].p50 = fsi_hist_at(&one, 0.5), run.slots[slot].p99 = fsi_hist_at(&one, 0.99);
        run.slots[slot].max = one.max;
    }
    if (frozen) {
        run_cut(30 * (uint64_t)MS, 60);
        run.in_flight = 60;
        run.failed[BENCH_RESET] = run.events[BENCH_RESET] = 120;
        run.due += 120;
        (void)snprintf(run.first_error, sizeof run.first_error, "connection 17: reset by the peer after 412 bytes");
    }
    run.conns_opened = run.conns_most = 100;
    run.client_user_ns = run.run_ns / 9, run.client_sys_ns = run.run_ns / 4, run.busiest_ns = run.run_ns / 3;
    run.server_cpu_ns = run.run_ns / 3, run.server_rss = 12345678, run.other_ns = run.run_ns / 50;
    (void)snprintf(run.server, sizeof run.server, "demo/1");
}

static void run_huge(void)
{
    run_empty();
    run_add(1, 1, 1, UINT64_MAX / 8);
    run_add(3600 * (uint64_t)S * 1000, 3600 * (uint64_t)S * 999, 5, UINT64_MAX / 8);
    run_cut(UINT64_MAX / 4, UINT64_MAX / 8);
    run.bytes_in = run.bytes_out = run.bytes_body = UINT64_MAX;
    run.failed[BENCH_TIMEOUT] = run.unsent = UINT64_MAX / 16;
    run.run_ns = UINT64_MAX / 2;
    run.setup.rate = 1e12, run.setup.connections = UINT32_MAX;
    run.slot_count = BENCH_SLOTS_MAX, run.slot_ns = UINT64_MAX / 1024;
    for (int i = 0; i < BENCH_SLOTS_MAX; i++) {
        run.slots[i].done = UINT64_MAX / 512, run.slots[i].errors = UINT64_MAX;
        run.slots[i].p50 = 1, run.slots[i].p99 = run.slots[i].max = UINT64_MAX;
    }
    for (int kind = 0; kind < BENCH_KINDS; kind++) run.events[kind] = UINT64_MAX;
    run.server_rss = run.steal_ns = run.server_cpu_ns = UINT64_MAX;
    run.began_unix = INT64_MAX / 1000000;
    memset(run.setup.url, 'x', sizeof run.setup.url - 1);
}

// Every request failed before an answer came.
static void run_failed(void)
{
    run_empty();
    run.failed[BENCH_REFUSED] = run.events[BENCH_REFUSED] = run.due = 30;
    run.slot_count = 2;
    run.slots[0].errors = run.slots[1].errors = 15;
    (void)snprintf(run.first_error, sizeof run.first_error, "connection refused");
}

static void run_one(void)
{
    run_empty();
    run_add(1500 * US, 1500 * US, 1400 * US, 1);
    run.slot_count = 1, run.run_ns = 2 * MS;
    run.slots[0].done = 1, run.slots[0].p50 = run.slots[0].p99 = run.slots[0].max = 1500 * US;
}

// Nothing ended.
static void run_censored(void)
{
    run_empty();
    run_cut(500 * MS, 40);
    run_cut(1000 * MS, 60);
    run.in_flight = 100;
}

// Everything took nearly the same time.
static void run_narrow(void)
{
    uint32_t state = 7;
    run_empty();
    for (int i = 0; i < 5000; i++) {
        uint64_t ns = 20 * MS + (uint64_t)(random_unit(&state) * random_unit(&state) * 3e6);
        run_add(ns, ns, ns, 1);
    }
    run.slot_count = 2;
    for (int i = 0; i < 2; i++)
        run.slots[i].done = 2500, run.slots[i].p50 = 20500 * US, run.slots[i].p99 = run.slots[i].max = 23 * MS;
}

static bool run_named(const char *name)
{
    static const struct {
        const char *name;
        void (*make)(void);
    } runs[] = {{"empty", run_empty},       {"one", run_one},       {"thousand", run_thousand}, {"failed", run_failed},
                {"censored", run_censored}, {"narrow", run_narrow}, {"huge", run_huge}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        if (strcmp(runs[i].name, name) == 0) return runs[i].make(), true;
    if (strcmp(name, "open") == 0) return run_tail(30, true, 1000), true;
    if (strcmp(name, "closed") == 0) return run_tail(10, false, 100), true;
    return false;
}

static void print_ab(FILE *out)
{
    bench_print_ab(out, &run);
}
static void print_httperf(FILE *out)
{
    bench_print_httperf(out, &run);
}
static void print_wrk2(FILE *out)
{
    bench_print_wrk2(out, &run, false);
}
static void print_wrk2_service(FILE *out)
{
    bench_print_wrk2(out, &run, true);
}
static void print_hgrm(FILE *out)
{
    bench_write_hgrm(out, &run);
}
static void print_histogram(FILE *out)
{
    bench_print_histogram(out, &run);
}
static void print_html(FILE *out)
{
    bench_write_html(out, &run);
}

static const struct {
    const char *name;
    void (*print)(FILE *out);
} layouts[] = {
    {"ab", print_ab},     {"httperf", print_httperf},     {"wrk2", print_wrk2}, {"wrk2u", print_wrk2_service},
    {"hgrm", print_hgrm}, {"histogram", print_histogram}, {"html", print_html}};
#define LAYOUTS (sizeof layouts / sizeof layouts[0])

static int sample(const char *layout, const char *name)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        if (strcmp(layouts[i].name, layout) != 0 || !run_named(name)) continue;
        layouts[i].print(stdout);
        return 0;
    }
    return 1;
}

// The text of a layout, of the run that stands. In `page`, until the next.
static const char *text_of(void (*print)(FILE *out))
{
    FILE *file = os_stream();
    page[0] = 0;
    if (!file) return page;
    print(file);
    (void)os_stream_text(file, page, sizeof page);
    return page;
}

// ---- wrk2 and HdrHistogram

// Goal: both tables, byte for byte: two requests, 0.5 ms and 2.5 s, whose service was quick.
TEST(wrk2_tables)
{
    static const char want[] = "  Latency Distribution (HdrHistogram - Recorded Latency)\n"
                               " 50.000%  500.74us\n"
                               " 75.000%    2.50s \n"
                               " 90.000%    2.50s \n"
                               " 99.000%    2.50s \n"
                               " 99.900%    2.50s \n"
                               " 99.990%    2.50s \n"
                               " 99.999%    2.50s \n"
                               "100.000%    2.50s \n"
                               "\n"
                               "  Detailed Percentile spectrum:\n"
                               "       Value   Percentile   TotalCount 1/(1-Percentile)\n"
                               "\n"
                               "       0.501     0.000000            1         1.00\n"
                               "       0.501     0.100000            1         1.11\n"
                               "       0.501     0.200000            1         1.25\n"
                               "       0.501     0.300000            1         1.43\n"
                               "       0.501     0.400000            1         1.67\n"
                               "       0.501     0.500000            1         2.00\n"
                               "    2500.000     0.550000            2         2.22\n"
                               "    2500.000     1.000000            2          inf\n"
                               "#[Mean    =     1250.250, StdDeviation   =     1767.413]\n"
                               "#[Max     =     2500.000, Total count    =            2]\n"
                               "#[Buckets =           57, SubBuckets     =          256]\n"
                               "----------------------------------------------------------\n"
                               "\n"
                               "  Latency Distribution (HdrHistogram - Uncorrected Latency (measured without taking "
                               "delayed starts into account))\n"
                               " 50.000%  100.00us\n"
                               " 75.000%  100.00us\n"
                               " 90.000%  100.00us\n"
                               " 99.000%  100.00us\n"
                               " 99.900%  100.00us\n"
                               " 99.990%  100.00us\n"
                               " 99.999%  100.00us\n"
                               "100.000%  100.00us\n"
                               "\n"
                               "  Detailed Percentile spectrum:\n"
                               "       Value   Percentile   TotalCount 1/(1-Percentile)\n"
                               "\n"
                               "       0.100     0.000000            2         1.00\n"
                               "       0.100     1.000000            2          inf\n"
                               "#[Mean    =        0.100, StdDeviation   =        0.000]\n"
                               "#[Max     =        0.100, Total count    =            2]\n"
                               "#[Buckets =           57, SubBuckets     =          256]\n"
                               "----------------------------------------------------------\n";
    run_empty();
    run_add(500 * US, 100 * US, 90 * US, 1);
    run_add(2500 * (uint64_t)MS, 100 * US, 90 * US, 1);
    CHECK_STR(text_of(print_wrk2_service), want);
    size_t first = (size_t)(strstr(want, "\n\n  Latency") + 1 - want);
    (void)text_of(print_wrk2);
    CHECK_BYTES(page, strlen(page), want, first);
}

// Goal: the levels are HdrHistogram's own, as wrk2's documentation shows them, and values do not fall.
TEST(spectrum_levels)
{
    static const char *const levels[] = {
        "0.000000", "0.100000", "0.200000", "0.300000", "0.400000", "0.500000", "0.550000", "0.600000", "0.650000",
        "0.700000", "0.750000", "0.775000", "0.800000", "0.825000", "0.850000", "0.875000", "0.887500", "0.900000",
        "0.912500", "0.925000", "0.937500", "0.943750", "0.950000", "0.956250", "0.962500", "0.968750", "0.971875",
        "0.975000", "0.978125", "0.981250", "0.984375", "0.985938", "0.987500", "0.989062", "0.990625"};
    double last = 0;
    run_empty();
    for (uint64_t i = 1; i <= 39500; i++) run_add(i * US, i * US, i * US, 1);
    const char *at = strstr(text_of(print_wrk2), "Percentile)\n\n");
    REQUIRE(at != NULL);
    at = strchr(at, '\n') + 2;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++, at = strchr(at, '\n') + 1) {
        double value = atof(at), count = atof(at + 26);
        ROW("%s", levels[i]);
        CHECK_BYTES(at + 17, 8, levels[i], 8);
        CHECK(value >= last && count >= atof(levels[i]) * 39500);
        CHECK(value > count / 1000 * 0.99 && value < count / 1000 * 1.01);
        last = value;
    }
    CHECK(strstr(at, "      39.500     1.000000        39500          inf\n#[Mean    =       19.750,") != NULL);
}

// Goal: what never ended is neither dropped nor taken for done: of 4 requests one, at 5 ms, was still in flight.
TEST(spectrum_counts_the_unfinished)
{
    static const char want[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
                               "\n"
                               "    1.001472 0.000000000000          2           1.00\n"
                               "    1.001472 0.100000000000          2           1.11\n"
                               "    1.001472 0.200000000000          2           1.25\n"
                               "    1.001472 0.300000000000          2           1.43\n"
                               "    1.001472 0.400000000000          2           1.67\n"
                               "    1.001472 0.500000000000          2           2.00\n"
                               "    2.002944 0.550000000000          3           2.22\n"
                               "    2.002944 0.600000000000          3           2.50\n"
                               "    2.002944 0.650000000000          3           2.86\n"
                               "    2.002944 0.700000000000          3           3.33\n"
                               "    2.002944 0.750000000000          3           4.00\n"
                               "    5.000000 0.775000000000          4           4.44\n"
                               "    5.000000 1.000000000000          4\n"
                               "#[Mean    =     2.251472, StdDeviation   =     1.638686]\n"
                               "#[Max     =     5.000000, Total count    =            4]\n"
                               "#[Buckets =           57, SubBuckets     =          256]\n";
    run_empty();
    run_add(1000 * US, 1000 * US, 0, 2);
    run_add(2003 * US, 2003 * US, 0, 1);
    run_cut(5000 * US, 1);
    CHECK_STR(text_of(print_hgrm), want);
    run_add(9000 * US, 9000 * US, 0, 1); // one that ended later than the other was cut off: everybody is known to end
    CHECK(strstr(text_of(print_hgrm), "    9.000000 1.000000000000          5\n") != NULL);
}

// Goal: everything cut off: plain t in every line, as this layout has no other word.
TEST(wrk2_prints_plain_times_beyond_the_end)
{
    run_censored();
    CHECK(strstr(text_of(print_wrk2), " 50.000%    1.00s \n 75.000%    1.00s \n") != NULL);
    CHECK(strstr(page, "\n    1000.000     0.000000          100         1.00\n    1000.000     1.000000          100  "
                       "        inf\n"
                       "#[Mean    =     1000.000, StdDeviation   =        0.000]\n"
                       "#[Max     =     1000.000, Total count    =          100]\n") != NULL);
    run_empty();
    CHECK(strstr(text_of(print_wrk2), "100.000%    0.00us\n\n  Detailed Percentile spectrum:\n"
                                      "       Value   Percentile   TotalCount 1/(1-Percentile)\n\n"
                                      "       0.000     1.000000            0          inf\n"
                                      "#[Mean    =        0.000, StdDeviation   =        0.000]\n") != NULL);
}

// Goal: the plotter of hdrhistogram.org takes rows of four numbers and leaves out the rest: every row but the last is
// one.
TEST(hgrm_rows_have_four_numbers)
{
    static const char *const names[] = {"thousand", "open", "one", "huge"};
    for (size_t i = 0; i < 4; i++) {
        uint32_t rows = 0, others = 0;
        ROW("%s", names[i]);
        REQUIRE(run_named(names[i]));
        (void)text_of(print_hgrm);
        CHECK(!strstr(page, "inf") && !strstr(page, "nan"));
        for (char *line = strtok(page, "\n"); line; line = strtok(NULL, "\n")) {
            double a, b, c, d;
            if (*line == '#' || strstr(line, "Value")) continue;
            if (sscanf(line, "%lf %lf %lf %lf", &a, &b, &c, &d) == 4)
                rows++;
            else
                others++;
        }
        CHECK(rows > 0);
        CHECK_EQ(others, 1);
    }
}

// ---- the histogram

TEST(histogram_layout)
{
    static const char want[] = "  Response time                                            requests   share\n"
                               "    100us - 150us    #############                            2000  20.20%\n"
                               "    150us - 220us                                                0   0.00%\n"
                               "    220us - 330us                                                0   0.00%\n"
                               "    330us - 470us                                                0   0.00%\n"
                               "    470us - 680us                                                0   0.00%\n"
                               "    680us - 1ms                                                  0   0.00%\n"
                               "      1ms - 1.5ms    ################################         5000  50.50%\n"
                               "    1.5ms - 2.2ms                                                0   0.00%\n"
                               "    2.2ms - 3.3ms                                                0   0.00%\n"
                               "    3.3ms - 4.7ms                                                0   0.00%\n"
                               "    4.7ms - 6.8ms                                                0   0.00%\n"
                               "    6.8ms - 10ms                                                 0   0.00%\n"
                               "     10ms - 15ms                                                 0   0.00%\n"
                               "     15ms - 22ms     .                                           1   0.01%\n"
                               "       not ended     ###################                      2900  29.29%\n";
    run_empty();
    run_add(100 * US, 1, 1, 2000);
    run_add(1000 * US, 1, 1, 5000);
    run_add(20000 * US, 1, 1, 1);
    run_cut(100 * US, 2900);
    CHECK_STR(text_of(print_histogram), want);
    run_empty();
    CHECK_STR(text_of(print_histogram), "  Response times: none, no request ended\n");
    run.failed[BENCH_STATUS] = 3;
    CHECK_STR(text_of(print_histogram), "  Response times: none, no request succeeded\n");
    run_add(1000 * US, 1, 1, 2);
    CHECK(strstr(text_of(print_histogram), "  3 that failed are not drawn\n"));
}

// How many times with a unit, or percentages, stand in a line: what TechEmpower's reader looks for after "Latency".
static uint32_t unit_tokens(const char *line)
{
    uint32_t count = 0;
    while (*line && *line != '\n') {
        size_t digits = strspn(line, "0123456789."), unit = strspn(line + digits, "umsh%");
        if (digits && unit) count++;
        line += digits + unit ? digits + unit : 1;
    }
    return count;
}

// Goal: a terminal's width, a terminal's height, every request in a row, and no line that a reader of wrk's layout
// takes for its.
TEST(histogram_fits)
{
    static const char *const names[] = {"one", "thousand", "censored", "narrow", "huge", "open", "closed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t lines = 0;
        double sum = 0;
        ROW("%s", names[i]);
        REQUIRE(run_named(names[i]));
        (void)text_of(print_histogram);
        for (const char *line = page; *line; line = strchr(line, '\n') + 1, lines++) {
            CHECK(strcspn(line, "\n") <= 80);
            CHECK(!(strstr(line, "Latency") && unit_tokens(line) == 4));
            const char *percent = line + strcspn(line, "%\n");
            if (*percent == '%') sum += atof(percent - 7 < line ? line : percent - 7 + strspn(percent - 7, " "));
        }
        CHECK(lines >= 2 && lines <= 20);
        CHECK(sum > 99.8 && sum < 100.2);
    }
}

// Goal: ranges are in order, hold what they say, and all of it.
TEST(bars_hold_everything)
{
    static const uint64_t spans[][2] = {{1, 1},
                                        {0, 0},
                                        {1000, 1100},
                                        {20 * MS, 23 * MS},
                                        {3, 1u << 30},
                                        {1, UINT64_MAX},
                                        {1000 * US, 100000 * US},
                                        {999, 1000},
                                        {1000, 1001}};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        for (uint32_t max = 5; max <= BENCH_BARS_MAX; max += 13) {
            static bench_bars bars;
            uint64_t sum = 0, most = 0;
            ROW("%zu max=%u", i, max);
            fsi_hist_init(&run.response);
            fsi_hist_add(&run.response, spans[i][0], 3);
            fsi_hist_add(&run.response, spans[i][1], 4);
            bench_bars_of(&bars, &run.response, max);
            CHECK(bars.count >= 1 && bars.count <= max);
            for (uint32_t k = 0; k < bars.count; k++) {
                CHECK(bars.edges[k] < bars.edges[k + 1]);
                sum += bars.counts[k];
                if (bars.counts[k] > most) most = bars.counts[k];
            }
            CHECK_EQ(sum, 7);
            CHECK_EQ(bars.most, most);
            CHECK(bars.edges[0] <= (double)(spans[i][0] ? spans[i][0] : 1));
            CHECK(max < 20 || bars.edges[bars.count] > (double)spans[i][1]);
            CHECK(bars.counts[0] >= 3 && bars.counts[bars.count - 1] >= 4);
        }
}

// ---- ab

TEST(ab_layout)
{
    static const char want[] = "This is fastserve bench, in the layout of ApacheBench, Version 2.3\n"
                               "\n"
                               "Benchmarking 127.0.0.1 (be patient).....done\n"
                               "\n"
                               "\n"
                               "Server Software:        demo/1\n"
                               "Server Hostname:        127.0.0.1\n"
                               "Server Port:            8080\n"
                               "\n"
                               "Document Path:          /index.html\n"
                               "Document Length:        13 bytes\n"
                               "\n"
                               "Concurrency Level:      100\n"
                               "Time taken for tests:   2.000 seconds\n"
                               "Complete requests:      1000\n"
                               "Failed requests:        0\n"
                               "Keep-Alive requests:    1000\n"
                               "Total transferred:      115000 bytes\n"
                               "HTML transferred:       13000 bytes\n"
                               "Requests per second:    500.00 [#/sec] (mean)\n"
                               "Time per request:       200.000 [ms] (mean)\n"
                               "Time per request:       2.000 [ms] (mean, across all concurrent requests)\n"
                               "Transfer rate:          56.15 [Kbytes/sec] received\n"
                               "\n"
                               "Connection Times (ms)\n"
                               "              min  mean[+/-sd] median   max\n"
                               "Connect:        0    0   0.2      0       1\n"
                               "Processing:     1    2   4.0      1     100\n"
                               "Waiting:        1    2   4.0      1     100\n"
                               "Total:          1    2   4.0      1     100\n"
                               "\n"
                               "Percentage of the requests served within a certain time (ms)\n"
                               "  50%      1\n"
                               "  66%      2\n"
                               "  75%      2\n"
                               "  80%      2\n"
                               "  90%      2\n"
                               "  95%     10\n"
                               "  98%     10\n"
                               "  99%     10\n"
                               " 100%    100 (longest request)\n";
    run_thousand();
    CHECK_STR(text_of(print_ab), want);
}

// Goal: with a body in the requests, ab tells what was sent too.
TEST(ab_body)
{
    run_thousand();
    run.setup.body = true;
    CHECK(strstr(text_of(print_ab), "Total transferred:      115000 bytes\n"
                                    "Total body sent:        42000\n"
                                    "HTML transferred:       13000 bytes\n") != NULL);
    CHECK(strstr(text_of(print_ab), "Transfer rate:          56.15 [Kbytes/sec] received\n"
                                    "                        20.51 kb/s sent\n"
                                    "                        76.66 kb/s total\n"
                                    "\n") != NULL);
}

// Goal: ab's four words for failures, with the line that it prints only then; a connection for each request.
TEST(ab_failures)
{
    run_thousand();
    run.setup.close = true;
    run.failed[BENCH_REFUSED] = 1, run.failed[BENCH_NO_PORTS] = 2, run.failed[BENCH_CONNECT_TIMEOUT] = 3;
    run.failed[BENCH_CLOSED] = 4, run.failed[BENCH_RESET] = 5, run.failed[BENCH_WRITE] = 6,
    run.failed[BENCH_TIMEOUT] = 7;
    run.failed[BENCH_BAD] = 8, run.failed[BENCH_BODY] = 9, run.other_length = 10;
    run.failed[BENCH_STATUS] = 30, run.statuses[404] = 20, run.statuses[200] += 19; // 10 of the 30 had a 2xx
    CHECK(strstr(text_of(print_ab), "Complete requests:      1039\n"
                                    "Failed requests:        65\n"
                                    "   (Connect: 6, Receive: 22, Length: 10, Exceptions: 27)\n"
                                    "Non-2xx responses:      20\n"
                                    "Total transferred:") != NULL);
    run_failed();
    CHECK(strstr(text_of(print_ab), "Complete requests:      0\n"
                                    "Failed requests:        30\n"
                                    "   (Connect: 30, Receive: 0, Length: 0, Exceptions: 0)\n"
                                    "Keep-Alive requests:    0\n"
                                    "Total transferred:      0 bytes\n"
                                    "HTML transferred:       0 bytes\n") != NULL);
    CHECK(!strstr(page, "per second") && !strstr(page, "Connection Times") && !strstr(page, "Percentage"));
    run_one(); // as ab: no percentages of one
    CHECK(strstr(text_of(print_ab), "Total:          2    2   0.0      2       2\n") != NULL &&
          !strstr(page, "Percentage"));
    run_censored();
    CHECK(strstr(text_of(print_ab), "  50%   1000\n") != NULL);
}

// Goal: nothing that could steer a terminal.
TEST(ab_hostile)
{
    run_thousand();
    (void)snprintf(run.server, sizeof run.server, "a\x1b[2J\nb\x9b\x7f");
    CHECK(strstr(text_of(print_ab), "Server Software:        a?[2J?b??\n") != NULL);
}

// ---- httperf

TEST(httperf_layout)
{
    static const char want[] = "This is fastserve bench, in the layout of httperf: http://127.0.0.1:8080/index.html\n"
                               "\n"
                               "Total: connections 100 requests 1000 replies 1000 test-duration 2.000 s\n"
                               "\n"
                               "Connection rate: 50.0 conn/s (20.0 ms/conn, <=100 concurrent connections)\n"
                               "Connection time [ms]: min 0.0 avg 0.0 max 0.0 median 0.0 stddev 0.0\n"
                               "Connection time [ms]: connect 0.5\n"
                               "Connection length [replies/conn]: 10.000\n"
                               "\n"
                               "Request rate: 500.0 req/s (2.0 ms/req)\n"
                               "Request size [B]: 42.0\n"
                               "\n"
                               "Reply rate [replies/s]: min 0.0 avg 0.0 max 0.0 stddev 0.0 (0 samples)\n"
                               "Reply time [ms]: response 2.1 transfer 0.1\n"
                               "Reply size [B]: header 102.0 content 13.0 footer 0.0 (total 115.0)\n"
                               "Reply status: 1xx=0 2xx=1000 3xx=0 4xx=0 5xx=0\n"
                               "\n"
                               "CPU time [s]: user 0.10 system 0.30 (user 5.0% system 15.0% total 20.0%)\n"
                               "Net I/O: 76.7 KB/s (0.6*10^6 bps)\n"
                               "\n"
                               "Errors: total 0 client-timo 0 socket-timo 0 connrefused 0 connreset 0\n"
                               "Errors: fd-unavail 0 addrunavail 0 ftab-full 0 other 0\n";
    run_thousand();
    CHECK_STR(text_of(print_httperf), want);
}

// Goal: a connection's time is its own where it was taken, one request's where there was one, else none.
TEST(httperf_connection_time)
{
    run_thousand();
    run.setup.calls = 1;
    CHECK(strstr(text_of(print_httperf), "Connection time [ms]: min 1.0 avg 2.4 max 100.0 median 1.0 stddev 4.0\n") !=
          NULL);
    run.setup.calls = 5;
    fsi_hist_add(&run.life, 8 * MS, 2);
    CHECK(strstr(text_of(print_httperf), "Connection time [ms]: min 8.0 avg 8.0 max 8.0 median 8.0 stddev 0.0\n") !=
          NULL);
}

// Goal: samples of 5 s, whole ones only; longer slots make longer samples.
TEST(httperf_reply_rate)
{
    static const struct {
        uint64_t slot_s, run_s;
        const char *want;
    } rows[] = {
        {1, 4, "min 0.0 avg 0.0 max 0.0 stddev 0.0 (0 samples)"},
        {1, 9, "min 300.0 avg 300.0 max 300.0 stddev 0.0 (1 samples)"},
        {1, 10, "min 300.0 avg 550.0 max 800.0 stddev 353.6 (2 samples)"},
        {2, 20, "min 100.0 avg 250.0 max 400.0 stddev 150.0 (3 samples)"},
        {8, 80, "min 12.5 avg 68.8 max 125.0 stddev 37.8 (10 samples)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%zu", i);
        run_empty();
        run.slot_ns = rows[i].slot_s * S, run.run_ns = rows[i].run_s * S;
        run.slot_count = (uint32_t)(rows[i].run_s / rows[i].slot_s);
        for (uint32_t k = 0; k < run.slot_count; k++) run.slots[k].done = (k + 1) * 100;
        CHECK(strstr(text_of(print_httperf), rows[i].want) != NULL);
    }
}

TEST(httperf_errors)
{
    run_failed();
    CHECK(strstr(text_of(print_httperf), "Total: connections 30 requests 0 replies 0 test-duration 2.000 s\n") != NULL);
    CHECK(strstr(page, "Request rate: 0.0 req/s (0.0 ms/req)\nRequest size [B]: 0.0\n") != NULL);
    CHECK(strstr(page, "Errors: total 30 client-timo 0 socket-timo 0 connrefused 30 connreset 0\n") != NULL);
    for (int kind = 0; kind < BENCH_KINDS; kind++) run.events[kind] = 1u << kind;
    run.failed[BENCH_BODY] = 1000;
    CHECK(strstr(text_of(print_httperf),
                 "Errors: total 3559 client-timo 2050 socket-timo 0 connrefused 1 connreset 352\n"
                 "Errors: fd-unavail 8 addrunavail 4 ftab-full 0 other 1144\n") != NULL);
}

// ---- the page

// Reads a name; returns its length.
static size_t name_len(const char *at)
{
    return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:");
}

// Skips the attributes of a tag, each with a value in double quotes and without < in it. Returns where the tag ends, or
// NULL.
static const char *attributes_end(const char *at)
{
    for (;;) {
        at += strspn(at, " \n");
        if (*at == '>' || *at == '/') return at;
        size_t name = name_len(at);
        if (!name || at[name] != '=' || at[name + 1] != '"') return NULL;
        at += name + 2;
        at += strcspn(at, "\"<");
        if (*at++ != '"') return NULL;
    }
}

// NULL if every tag that is opened is closed, in order; else where it goes wrong. Entities must end.
static const char *not_well_formed(const char *html)
{
    char open[32][16];
    int depth = 0;
    const char *at = strchr(html, '>'); // behind the doctype
    for (at = at ? at + 1 : html; *at; at++) {
        if (*at == '&' && at[1 + strspn(at + 1, "abcdefghijklmnopqrstuvwxyz#0123456789")] != ';') return at;
        if (*at == '>') return at;
        if (*at != '<') continue;
        bool closing = at[1] == '/';
        const char *name = at + 1 + closing;
        size_t len = name_len(name);
        if (!len || len > 15) return at;
        if (closing) {
            if (!depth || strncmp(open[--depth], name, len) != 0 || open[depth][len] || name[len] != '>') return at;
            at = name + len;
            continue;
        }
        const char *end = attributes_end(name + len);
        if (!end || depth == 32) return at;
        bool empty = *end == '/' || (len == 4 && memcmp(name, "meta", 4) == 0);
        if (*end == '/' && end[1] != '>') return at;
        at = *end == '/' ? end + 1 : end;
        if (empty) continue;
        (void)snprintf(open[depth++], sizeof open[0], "%.*s", (int)len, name);
        if (len == 5 && memcmp(name, "style", 5) == 0) at += strcspn(at + 1, "<"); // text, and there is no < in ours
    }
    return depth ? "an element is not closed" : NULL;
}

static void check_page(void)
{
    static const char *const none[] = {"<script", "<link", "<img", "<iframe", " src=",  " href=", "url(",
                                       "@import", "xmlns", ">nan", "\"nan",   "Mnan",   "Lnan",   "-nan",
                                       ">inf",    "\"inf", "Linf", "-inf",    " onload"};
    const char *wrong = not_well_formed(page);
    if (wrong) test_fail(__FILE__, __LINE__, "not well-formed: %.60s", wrong);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        if (strstr(page, none[i])) test_fail(__FILE__, __LINE__, "%s: %.60s", none[i], strstr(page, none[i]));
    for (const char *at = strstr(page, "http"); at; at = strstr(at + 1, "http"))
        CHECK(strncmp(at, "http-equiv", 10) == 0 || strncmp(at, "http://127.0.0.1:8080/", 22) == 0);
    for (const char *at = page; *at; at++) CHECK((*at >= 32 && *at < 127) || *at == '\n');
}

// Goal: every run makes a whole page, with numbers in every place, whose text asks for nothing from elsewhere.
TEST(html_is_whole)
{
    static const char *const names[] = {"empty",  "one",  "thousand", "failed", "censored",
                                        "narrow", "huge", "open",     "closed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ROW("%s", names[i]);
        REQUIRE(run_named(names[i]));
        (void)text_of(print_html);
        CHECK(strlen(page) > 4000 && strlen(page) < 200000);
        CHECK(strncmp(page, "<!DOCTYPE html>\n", 16) == 0);
        CHECK(strstr(page, "<meta name=\"viewport\"") && strstr(page, "prefers-color-scheme:dark"));
        check_page();
    }
}

// Goal: nothing is drawn outside of its drawing.
TEST(html_draws_inside)
{
    static const char *const names[] = {"one", "thousand", "failed", "censored", "narrow", "huge", "open", "closed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        double width = 0, height = 0;
        uint32_t points = 0;
        ROW("%s", names[i]);
        REQUIRE(run_named(names[i]));
        for (const char *at = text_of(print_html); *at; at++) {
            double x = 0, y = 0, w = 0, h = 0;
            if (sscanf(at, "viewBox=\"0 0 %lf %lf\"", &width, &height) == 2) continue;
            bool point = (*at == 'M' || *at == 'L') && width > 0 && sscanf(at + 1, "%lf %lf", &x, &y) == 2;
            bool text = strncmp(at, "<text x", 7) == 0 && sscanf(at, "<text x=\"%lf\" y=\"%lf\"", &x, &y) == 2;
            bool rect =
                *at == 'x' && sscanf(at, "x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"", &x, &y, &w, &h) == 4;
            if (!point && !text && !rect) continue;
            points++;
            CHECK(x >= 0 && x + w <= width && y >= 0 && y + h <= height);
        }
        CHECK(points > 20);
    }
}

// One label of a drawing, in px.
typedef struct label_box {
    double left, right, y;
    char text[48];
} label_box;

static label_box label_at(const char *at)
{
    label_box box;
    char anchor[16] = "", style[16] = "", text[64] = "";
    double x = 0;
    memset(&box, 0, sizeof box);
    (void)sscanf(at, "<text x=\"%lf\" y=\"%lf\" text-anchor=\"%15[a-z]\" class=\"%15[^\"]\">%63[^<]", &x, &box.y,
                 anchor, style, text);
    double width = bench_plot_width(text) * 0.9; // it is generous
    box.left = *anchor == 's' ? x : *anchor == 'm' ? x - width / 2 : x - width;
    box.right = box.left + width;
    (void)snprintf(box.text, sizeof box.text, "%.47s", text);
    return box;
}

// Goal: labels do not lie on one another, nor leave the drawing.
TEST(html_labels_have_room)
{
    static const char *const names[] = {"one", "thousand", "failed", "censored", "narrow", "open", "closed"};
    static label_box boxes[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t count = 0;
        double width = 0, height = 0;
        REQUIRE(run_named(names[i]));
        for (const char *at = text_of(print_html); (at = strchr(at, '<')) != NULL; at++) {
            if (strncmp(at, "<svg", 4) == 0)
                count = 0, (void)sscanf(strstr(at, "viewBox"), "viewBox=\"0 0 %lf %lf", &width, &height);
            if (strncmp(at, "<text", 5) != 0 || count == 64) continue;
            label_box new_one = label_at(at);
            ROW("%s: %s", names[i], new_one.text);
            CHECK(new_one.left >= 0 && new_one.right <= width && new_one.y >= 9 && new_one.y <= height);
            for (size_t k = 0; k < count; k++)
                if (new_one.left < boxes[k].right && boxes[k].left < new_one.right && new_one.y - boxes[k].y < 10 &&
                    boxes[k].y - new_one.y < 10)
                    test_fail(__FILE__, __LINE__, "lies on '%s' in a drawing of %.0f px", boxes[k].text, width);
            boxes[count++] = new_one;
        }
    }
}

// Goal: what an adversary chose is text and stays text, everywhere it is shown.
TEST(html_escapes)
{
    static const char bad[] = "\"'><script>alert(1)</script>&amp;<!--\x01\x1b[0m\xe2\x80\xae\xff\n";
    static const char good[] = "&#34;&#39;&#62;&#60;script&#62;alert(1)&#60;/"
                               "script&#62;&#38;amp;&#60;!--\\x01\\x1b[0m\\xe2\\x80\\xae\\xff\\x0a";
    int seen = 0;
    run_failed();
    (void)snprintf(run.setup.url, sizeof run.setup.url, "http://127.0.0.1:8080/%s", bad);
    (void)snprintf(run.server, sizeof run.server, "%.60s", bad);
    (void)snprintf(run.first_error, sizeof run.first_error, "%s", bad);
    (void)snprintf(run.setup.cpu, sizeof run.setup.cpu, "%s", bad);
    (void)snprintf(run.setup.system, sizeof run.setup.system, "%s", bad);
    (void)snprintf(run.setup.version, sizeof run.setup.version, "%.31s", bad);
    (void)text_of(print_html);
    check_page();
    for (const char *at = strstr(page, good); at; at = strstr(at + 1, good)) seen++;
    CHECK_EQ(seen, 7); // the title, the heading, the target; the Server field; the error; CPU; system
    CHECK(not_well_formed("<!D><p>x</b></p>") && not_well_formed("<!D><p>") &&
          not_well_formed("<!D><p a=x></p>")); // the checker checks
    CHECK(not_well_formed("<!D>a & b") && not_well_formed("<!D></p>") &&
          !not_well_formed("<!D><p a=\"x\">&lt;<br/></p>"));
}

// Goal: the figures and the tables say what the run says.
TEST(html_says)
{
    run_named("open");
    (void)text_of(print_html);
    CHECK(strstr(page, "<dt>Requests per second</dt><dd>20,000</dd><dd class=\"note\">of 20,000 asked for</dd>") !=
          NULL);
    CHECK(strstr(page, "<tr><th>Done</th><td>600,000</td><td>99.97&nbsp;%</td></tr>") != NULL);
    CHECK(strstr(page, "<tr class=\"bad\"><th>Connection reset</th><td>120</td><td>0.020&nbsp;%</td></tr>") != NULL);
    CHECK(strstr(page, "<tr><th>In flight at the end</th><td>60</td>") != NULL);
    CHECK(!strstr(page, "accounted"));
    CHECK(strstr(page, "<tr><th>200</th><td>600,000</td>") != NULL);
    CHECK(strstr(page, "<dd>1.00&nbsp;s</dd>") != NULL && !strstr(page, "<dd>&gt;"));
    run.due++;
    CHECK(strstr(text_of(print_html), "<th>Not accounted for</th><td>1</td>") != NULL);
    run_named("censored");
    CHECK(strstr(text_of(print_html), "<dt>Longest</dt><dd>&gt;&nbsp;1.00&nbsp;s</dd>") != NULL);
    CHECK(strstr(page, "not ended: over&nbsp;1.00&nbsp;s</text>") != NULL);
    run.interrupted = true;
    CHECK(strstr(text_of(print_html), "The run was interrupted") != NULL);
    run_named("empty");
    CHECK(strstr(text_of(print_html), "No request ended: there is nothing to draw.") != NULL && !strstr(page, "<svg"));
}

TEST(html_numbers)
{
    char text[64];
    CHECK_STR(bench_html_time(text, sizeof text, 0), "0&nbsp;ns");
    CHECK_STR(bench_html_time(text, sizeof text, 999), "999&nbsp;ns");
    CHECK_STR(bench_html_time(text, sizeof text, 1234), "1.23&nbsp;&micro;s");
    CHECK_STR(bench_html_time(text, sizeof text, 9996), "10.0&nbsp;&micro;s");
    CHECK_STR(bench_html_time(text, sizeof text, 999499), "999&nbsp;&micro;s");
    CHECK_STR(bench_html_time(text, sizeof text, 999500), "1.00&nbsp;ms");
    CHECK_STR(bench_html_time(text, sizeof text, 45.67e9), "45.7&nbsp;s");
    CHECK_STR(bench_html_time(text, sizeof text, 600e9), "10.0&nbsp;min");
    CHECK_STR(bench_html_time(text, sizeof text, 36000e9), "10.0&nbsp;h");
    CHECK_STR(bench_html_number(text, sizeof text, 0), "0");
    CHECK_STR(bench_html_number(text, sizeof text, 12.345), "12.35");
    CHECK_STR(bench_html_number(text, sizeof text, 999), "999");
    CHECK_STR(bench_html_number(text, sizeof text, 1000), "1,000");
    CHECK_STR(bench_html_number(text, sizeof text, 1234567.8), "1,234,568");
    CHECK_STR(bench_html_number(text, sizeof text, 1e300), "1e+300");
    CHECK_STR(bench_html_percent(text, sizeof text, 0, 5), "0&nbsp;%");
    CHECK_STR(bench_html_percent(text, sizeof text, 1, 1e9), "&lt;&nbsp;0.001&nbsp;%");
    CHECK_STR(bench_html_percent(text, sizeof text, 1, 200), "0.500&nbsp;%");
    CHECK_STR(bench_html_percent(text, sizeof text, 1, 3), "33.3&nbsp;%");
    CHECK_STR(bench_html_percent(text, sizeof text, 9996, 10000), "99.96&nbsp;%");
    CHECK_STR(bench_html_percent(text, sizeof text, 99999, 100000), "&gt;&nbsp;99.99&nbsp;%");
    CHECK_STR(bench_html_percent(text, sizeof text, 7, 7), "100.0&nbsp;%");
    CHECK_STR(bench_html_bytes(text, sizeof text, 1536), "1.50&nbsp;KB");
    CHECK(bench_log10(1000) > 2.999999999 && bench_log10(1000) < 3.000000001);
    CHECK(bench_log10(0.002) > -2.698970005 && bench_log10(0.002) < -2.698970003);
    CHECK(bench_log10(0) == -300 && bench_log10(1e308) == 300);
    CHECK(bench_step(10, 5) == 2 && bench_step(9, 8) == 2 && bench_step(0.3, 4) > 0.0999 &&
          bench_step(0.3, 4) < 0.1001);
    CHECK(bench_125(1, false) == 1 && bench_125(19, false) == 10 && bench_125(20, true) == 20 &&
          bench_125(21, true) == 50);
    CHECK(bench_125_next(20, false) == 50 && bench_125_next(50, false) == 100 && bench_125_next(20, true) == 100);
}

static const test_case cases[] = {CASE(wrk2_tables),
                                  CASE(spectrum_levels),
                                  CASE(spectrum_counts_the_unfinished),
                                  CASE(wrk2_prints_plain_times_beyond_the_end),
                                  CASE(hgrm_rows_have_four_numbers),
                                  CASE(histogram_layout),
                                  CASE(histogram_fits),
                                  CASE(bars_hold_everything),
                                  CASE(ab_layout),
                                  CASE(ab_body),
                                  CASE(ab_failures),
                                  CASE(ab_hostile),
                                  CASE(httperf_layout),
                                  CASE(httperf_connection_time),
                                  CASE(httperf_reply_rate),
                                  CASE(httperf_errors),
                                  CASE(html_is_whole),
                                  CASE(html_draws_inside),
                                  CASE(html_labels_have_room),
                                  CASE(html_escapes),
                                  CASE(html_says),
                                  CASE(html_numbers)};

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--sample") == 0) return sample(argv[2], argc > 3 ? argv[3] : "thousand");
    return test_run(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
