// >>bench-audit: what it says of a result, on results made by hand. Every line has a row that brings it out and one beside it, on the
// other side of its limit, that does not.
#include "test.h"
#include "bench.h"
#include "os.h"

static bench_result one; // half a megabyte
static char said[4096];

#define MS 1000000u
#define SECOND 1000000000u

// Ten connections for ten seconds, every answer after ten milliseconds, on four CPUs: nothing to complain about.
static void closed_loop(void)
{
    bench_result_init(&one);
    one.setup.connections = 10;
    one.setup.pipeline = 1;
    one.setup.cpus = 4;
    one.run_ns = 10ull * SECOND;
    one.busiest_ns = one.client_user_ns = SECOND;
    one.due = one.done = 10000;
    fsi_hist_add(&one.response, 10 * MS, 10000);
}

// The same at a rate of 1000 a second, with `unsent` of the requests left over.
static void open_loop(uint64_t unsent)
{
    closed_loop();
    one.setup.rate = 1000;
    one.done -= unsent;
    one.unsent = unsent;
    fsi_hist_init(&one.response);
    fsi_hist_add(&one.response, 10 * MS, one.done);
    fsi_hist_add(&one.censored, SECOND, unsent);
}

// `count` requests more, that failed so.
static void fail(bench_kind kind, uint64_t count)
{
    one.failed[kind] = count;
    if (kind != BENCH_STATUS && kind != BENCH_BODY) one.events[kind] = count; // these came as whole answers
    one.due += count;
    if (kind == BENCH_TIMEOUT) fsi_hist_add(&one.censored, SECOND, count);
}

// Times that are all alike but for one in fifty, so that p99 is `late_ms` and the mean is not.
static void late(fsi_hist *hist, double ms, double late_ms)
{
    fsi_hist_init(hist);
    fsi_hist_add(hist, (uint64_t)(ms * MS), 9800);
    fsi_hist_add(hist, (uint64_t)(late_ms * MS), 200);
}

static const char *remarks(void)
{
    bool blank = true; // no empty line before them
    FILE *out = os_stream();
    if (!out) return "no file";
    bench_audit_remarks(out, &blank, &one);
    (void)os_stream_text(out, said, sizeof said);
    return said;
}

// clang-format off
// One row: the run, what is different in it, and the lines that are wanted.
#define DOUBTS(run, change, want) \
    do { \
        run; \
        change; \
        ROW("%s, %s", #run, #change); \
        bench_audit_trust(&one); \
        CHECK_STR(one.doubts, want); \
    } while (0)
#define REMARKS(run, change, want) \
    do { \
        run; \
        change; \
        ROW("%s, %s", #run, #change); \
        CHECK_STR(remarks(), want); \
    } while (0)
#define SAME (void)0
// clang-format on

TEST(nothing_to_complain_about)
{
    DOUBTS(closed_loop(), SAME, "");
    DOUBTS(open_loop(0), SAME, "");
    REMARKS(closed_loop(), SAME, "");
    REMARKS(open_loop(0), SAME, "");
}

TEST(sums_that_do_not_add_up)
{
    DOUBTS(closed_loop(), one.due++,
           "10001 requests were due, but 10000 ended in one way or the other, with 10000 samples");
    DOUBTS(closed_loop(), one.failed[BENCH_BAD] = 1,
           "10000 requests were due, but 10001 ended in one way or the other, with 10000 samples");
    DOUBTS(closed_loop(), fsi_hist_add(&one.response, 10 * MS, 1),
           "10000 requests were due, but 10000 ended in one way or the other, with 10001 samples");
    DOUBTS(closed_loop(), (one.due += 3, one.in_flight = 2, one.unsent = 1), "");
    DOUBTS(closed_loop(), fail(BENCH_RESET, 3), "");
}

TEST(connections_lost)
{
    DOUBTS(closed_loop(), one.conns_lost = 3, "3 of 10 connections were lost or never opened");
}

TEST(no_answer_at_all)
{
    static const char none[] = "not one answer came in this time; a longer -d, or is the target stuck?";
    DOUBTS(closed_loop(), (fsi_hist_init(&one.response), one.done = one.due = 0, one.setup.requests = 1), none);
    DOUBTS(closed_loop(),
           (fsi_hist_init(&one.response), one.done = 0, one.due = one.in_flight = 10,
            fsi_hist_add(&one.censored, 10ull * SECOND, 10)),
           none);
    DOUBTS(closed_loop(), (fsi_hist_init(&one.response), one.done = one.due = 0, fail(BENCH_BAD, 4)), "");
}

// Goal: in flight on average is what the connections allow, within a tenth, wherever that can be said at all.
TEST(little_and_its_band)
{
    static const char eight[] = "rate x mean time = 8.9 requests in flight, but there were 10 (Little's law)";
    static const char eleven[] = "rate x mean time = 11.1 requests in flight, but there were 10 (Little's law)";
    DOUBTS(closed_loop(), one.response.sum *= 0.89, eight);
    DOUBTS(closed_loop(), one.response.sum *= 0.91, "");
    DOUBTS(closed_loop(), one.response.sum *= 1.09, "");
    DOUBTS(closed_loop(), one.response.sum *= 1.11, eleven);
    DOUBTS(closed_loop(), one.setup.pipeline = 2,
           "rate x mean time = 10.0 requests in flight, but there were 20 (Little's law)");
    // what was in flight at the end was so for a time that counts
    DOUBTS(closed_loop(), (one.response.sum *= 0.89, one.due++, one.in_flight = 1, one.censored.sum = 2.0 * SECOND),
           "");
}

TEST(little_where_it_does_not_apply)
{
    DOUBTS(closed_loop(), (one.response.sum *= 0.5, one.setup.ramp = SECOND), "");
    DOUBTS(closed_loop(), (one.response.sum *= 0.5, one.setup.requests = 10000), "");
    DOUBTS(closed_loop(), (one.response.sum *= 0.5, fail(BENCH_STATUS, 1)), "");
    DOUBTS(closed_loop(), (one.response.sum *= 0.5, one.events[BENCH_CLOSED] = 1), "");
    DOUBTS(closed_loop(), (one.response.sum *= 0.5, one.setup.conn_rate = 1000, one.setup.calls = 1), "");
    DOUBTS(open_loop(0), one.response.sum *= 0.5, "");
    DOUBTS(closed_loop(), (one.setup.pipeline = 2, one.setup.calls = 5), "");
    DOUBTS(closed_loop(), one.run_ns = 50 * MS, ""); // too short
    DOUBTS(closed_loop(), one.run_ns = 51 * MS,
           "rate x mean time = 1960.8 requests in flight, but there were 10 (Little's law)");
    DOUBTS(closed_loop(), (one.response.sum *= 0.89, one.setup.calls = 5),
           "rate x mean time = 8.9 requests in flight, but there were 10 (Little's law)");
}

// Goal: a rate that was not reached is no result at that rate, unless the run says itself why it cannot have been.
TEST(rate_not_reached)
{
    static const char want[] =
        "940 of the 1000 requests a second that were asked for; the target cannot, or -c 10 is too few";
    DOUBTS(open_loop(600), SAME, want);
    DOUBTS(open_loop(490), SAME, ""); // 95 % are near enough
    DOUBTS(open_loop(600), (one.unsent = 0, one.in_flight = 600), want);
    DOUBTS(open_loop(600), (one.unsent = 0, one.failed[BENCH_STATUS] = 600), ""); // answers are answers
    DOUBTS(open_loop(0), (one.setup.rate = 2000), ""); // the schedule was short, not the target
    DOUBTS(open_loop(1), (one.setup.rate = 2000), "");
    DOUBTS(open_loop(600), one.interrupted = true, "");
    DOUBTS(open_loop(600), one.setup.ramp = SECOND, "");
    DOUBTS(open_loop(600), one.setup.requests = 10000, "");
    DOUBTS(open_loop(600), (one.setup.rate = 0, one.setup.conn_rate = 500, one.setup.calls = 2), want);
    DOUBTS(open_loop(600), (one.setup.rate = 0, one.setup.conn_rate = 470, one.setup.calls = 2), "");
    DOUBTS(open_loop(600), (one.run_ns = 200 * MS, one.setup.rate = 50000), ""); // 47,000 a second; too short
    DOUBTS(open_loop(600), (one.run_ns = 201 * MS, one.setup.rate = 50000),
           "46766 of the 50000 requests a second that were asked for; the target cannot, or -c 10 is too few");
}

// Goal: a generator that is late by itself, and not a little beside what it measures, is not believed; --spin only
// where it is off.
TEST(late_by_itself)
{
    static const char spin[] =
        "requests were sent late by this program itself, p99 6.00 ms; fewer requests a second, a "
        "machine that is less busy, or --spin where threads wake up late";
    static const char none[] =
        "requests were sent late by this program itself, p99 6.00 ms; fewer requests a second, a "
        "machine that is less busy";
    DOUBTS(open_loop(0), late(&one.lag, 0.01, 6), spin);
    DOUBTS(open_loop(0), (late(&one.lag, 0.01, 6), one.setup.spin = true), none);
    DOUBTS(open_loop(0), late(&one.lag, 0.01, 4.9), ""); // less than half of the p99, 10 ms
    DOUBTS(open_loop(0), (late(&one.lag, 0.01, 0.9), late(&one.response, 0.1, 1), one.due = one.done = 10000), "");
    DOUBTS(
        open_loop(0), (late(&one.lag, 0.01, 1.1), late(&one.response, 0.1, 1), one.due = one.done = 10000),
        "requests were sent late by this program itself, p99 1.10 ms; fewer requests a second, a machine that is less "
        "busy, or --spin where threads wake up late");
    REMARKS(open_loop(0), late(&one.lag, 0.01, 0.9), "");
    REMARKS(open_loop(0), late(&one.lag, 0.01, 1.1), "Sent late by this program itself: p99 1.10 ms, most 1.10 ms\n");
}

TEST(several_doubts_have_a_line_each)
{
    DOUBTS(closed_loop(), (one.due++, one.conns_lost = 1, one.response.sum *= 0.5),
           "10001 requests were due, but 10000 ended in one way or the other, with 10000 samples\n"
           "1 of 10 connections were lost or never opened\n"
           "rate x mean time = 5.0 requests in flight, but there were 10 (Little's law)");
    closed_loop();
    for (int i = 0; i < 100; i++) bench_doubt_add(&one, "a line of thirty-two characters.");
    CHECK(strlen(one.doubts) < sizeof one.doubts && strlen(one.doubts) > sizeof one.doubts - 40);
}

TEST(what_did_not_end)
{
    REMARKS(closed_loop(), one.in_flight = 7, "In flight at the end: 7 requests\n");
    REMARKS(closed_loop(), one.conns_starved = 3,
            "3 of 10 connections never got an answer: the target serves others first, or the\n    time was short.\n");
    REMARKS(closed_loop(), (one.conns_starved = 10, one.done = 0), ""); // the doubts say that not one came
    REMARKS(open_loop(5), SAME, "Due, but never sent: 5 requests\n");
    REMARKS(open_loop(200), SAME,
            "Due, but never sent: 200 requests\nThe 99% point is not known: more than 1000.00 ms.\n");
}

TEST(failed_requests)
{
    REMARKS(closed_loop(), fail(BENCH_RESET, 12),
            "The times of 12 failed requests are in no percentile; --slo takes them for\n    endless.\n");
    REMARKS(closed_loop(), fail(BENCH_TIMEOUT, 12), ""); // these have a time so far, which is in them
}

TEST(stalls_in_a_closed_loop)
{
    static const char want[] = "A closed loop does not send while it waits: in the longest wait of 0.30s some\n"
                               "    290 requests were not asked. -R RATE counts them.\n";
    REMARKS(closed_loop(), one.response.max = 300 * MS, want);
    REMARKS(closed_loop(), one.response.max = 190 * MS, ""); // not twenty medians
    REMARKS(open_loop(0), one.response.max = 300 * MS, "");
    REMARKS(closed_loop(), (one.response.max = 300 * MS, one.setup.conn_rate = 1), "");
    REMARKS(closed_loop(), (one.response.max = 300 * MS, one.setup.connections = 300), ""); // all of them waited
    REMARKS(closed_loop(), (late(&one.response, 1, 1), one.response.max = 99 * MS), "");    // nobody notices
    REMARKS(closed_loop(), (late(&one.response, 1, 1), one.response.max = 101 * MS),
            "A closed loop does not send while it waits: in the longest wait of 0.10s some 91\n"
            "    requests were not asked. -R RATE counts them.\n");
}

TEST(connecting_again)
{
    REMARKS(closed_loop(), one.syn_retransmits = 2,
            "Connecting took another try (1s, 3s, ...) 2 times: a full backlog, or packets\n    lost\n");
}

// Goal: what was taken from this machine in the run; ten seconds on four CPUs.
TEST(what_others_took)
{
    REMARKS(closed_loop(), one.steal_ns = 790 * MS, "");
    REMARKS(closed_loop(), one.steal_ns = 2000u * MS, "Other guests of this host took 5% of the CPU time.\n");
    REMARKS(closed_loop(), one.other_ns = 3990ull * MS, "");
    REMARKS(closed_loop(), one.other_ns = 6000ull * MS, "Other programs took 15% of the CPU time.\n");
    REMARKS(closed_loop(), one.throttled_ns = 250 * MS, "The cgroup's quota stopped this program for 250 ms.\n");
    REMARKS(closed_loop(), one.run_ns = 99 * MS,
            "A run of 99 ms says little.\n"
            "The limit was this program: its busiest thread had a CPU for 1010% of "
            "the time.\n");
}

// Goal: it is said once who was the limit, and nothing where the server's side is not known.
TEST(who_was_the_limit)
{
    static const char machine[] = "The limit was this machine: client 1.50 and server %s of 4 CPUs.\n";
    char want[96];
    REMARKS(closed_loop(), one.busiest_ns = 8900ull * MS, "");
    REMARKS(closed_loop(), (one.busiest_ns = 9100ull * MS, one.server_cpu_ns = 30ull * SECOND),
            "The limit was this program: its busiest thread had a CPU for 91% of the time.\n");
    (void)snprintf(want, sizeof want, machine, "1.91");
    REMARKS(closed_loop(),
            (one.client_user_ns = 10ull * SECOND, one.client_sys_ns = 5ull * SECOND, one.server_cpu_ns = 19100ull * MS),
            want);
    REMARKS(closed_loop(),
            (one.client_user_ns = 10ull * SECOND, one.client_sys_ns = 5ull * SECOND, one.server_cpu_ns = 18900ull * MS),
            "Neither side's CPU was the limit: client 1.50, server 1.89 of 4 CPUs.\n");
    REMARKS(closed_loop(),
            (one.client_user_ns = 10ull * SECOND, one.server_cpu_ns = 10ull * SECOND, one.other_ns = 9100ull * MS,
             one.steal_ns = 5ull * SECOND),
            "Other guests of this host took 12% of the CPU time.\n"
            "Other programs took 23% of the CPU time.\n"
            "The limit was this machine: client 1.00, server 1.00 and others 1.41 of 4 CPUs.\n");
    REMARKS(closed_loop(), one.client_user_ns = 39ull * SECOND, "");
}

// Goal: no line is longer than 80 columns, and what is broken goes on behind three blanks.
TEST(remarks_fit)
{
    open_loop(200);
    fail(BENCH_RESET, 1000000000000u);
    late(&one.lag, 0.01, 1234567);
    one.steal_ns = one.other_ns = one.throttled_ns = one.syn_retransmits = UINT64_MAX;
    one.in_flight = one.server_cpu_ns = UINT64_MAX / 2;
    uint32_t lines = 0;
    for (const char *at = remarks(), *end; *at; at = end + 1, lines++) {
        end = at + strcspn(at, "\n");
        ROW("%.*s", (int)(end - at), at);
        REQUIRE(*end == '\n');
        CHECK(end - at <= 80 && (*at != ' ' || strncmp(at, "    ", 4) == 0));
    }
    CHECK(lines >= 10);
}

// Goal: the exit status is the audit's, then the target's.
TEST(exit_status)
{
    bench_options options;
    memset(&options, 0, sizeof options);
    closed_loop();
    CHECK_EQ(bench_exit_status(&options, &one), BENCH_EXIT_OK);
    fail(BENCH_STATUS, 100);
    CHECK_EQ(bench_exit_status(&options, &one), BENCH_EXIT_ERRORS);
    options.max_errors = 0.02;
    CHECK_EQ(bench_exit_status(&options, &one), BENCH_EXIT_OK);
    one.events[BENCH_CLOSED] = 200; // between two requests
    CHECK_EQ(bench_exit_status(&options, &one), BENCH_EXIT_ERRORS);
    (void)snprintf(one.doubts, sizeof one.doubts, "a doubt");
    CHECK_EQ(bench_exit_status(&options, &one), BENCH_EXIT_UNTRUSTED);
}

TEST_MAIN(CASE(nothing_to_complain_about), CASE(sums_that_do_not_add_up), CASE(connections_lost),
          CASE(no_answer_at_all), CASE(little_and_its_band), CASE(little_where_it_does_not_apply),
          CASE(rate_not_reached), CASE(late_by_itself), CASE(several_doubts_have_a_line_each), CASE(what_did_not_end),
          CASE(failed_requests), CASE(stalls_in_a_closed_loop), CASE(connecting_again), CASE(what_others_took),
          CASE(who_was_the_limit), CASE(remarks_fit), CASE(exit_status))
