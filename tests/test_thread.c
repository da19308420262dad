// test_thread.c: >>thread. CPU sets, the load of a CPU from the system's own words, threads that leave signals alone.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

#if FSI_LOCALITY
static fsi_cpu cpu(int number, uint64_t idle)
{
    fsi_cpu made;
    memset(&made, 0, sizeof made);
    made.number = number;
    made.idle_ticks = idle;
    made.load_permille = FSI_CPU_UNKNOWN;
    return made;
}

// Goal: idle and iowait are what a CPU rested; the rest of the time that passed it was busy, whoever had it.
TEST(load_of_a_line)
{
    static const struct row {
        const char *line;
        uint64_t passed_us, want_load, want_ticks;
    } rows[] = {
        {"cpu3 9 9 9 1005 0 9 9 9 9 9", 100000, 500, 1005}, // 50 of 100 ms
        {"cpu3 9 9 9 1000 0 9 9 9 9 9", 100000, 1000, 1000},
        {"cpu3 9 9 9 1002 3 9 9 9 9 9", 100000, 500, 1005},       // waiting for a disk is rest
        {"cpu3 9 9 9 1011 0 9 9 9 9 9", 100000, 0, 1011},         // ticks are coarse
        {"cpu3 9 9 9 1005 0", 0, FSI_CPU_UNKNOWN, 1005},          // nobody knows how long
        {"cpu3 9 9 9 900 0 9 9 9", 100000, FSI_CPU_UNKNOWN, 900}, // it was away and came back
        {"cpu 9 9 9 1005 0 9 9 9", 100000, FSI_CPU_UNKNOWN, 1000},
        {"cpu33 9 9 9 1005 0 9 9", 100000, FSI_CPU_UNKNOWN, 1000},
        {"cpu3 9 9", 100000, FSI_CPU_UNKNOWN, 1000},
        {"intr 3 9 9 9 1005 0", 100000, FSI_CPU_UNKNOWN, 1000},
        {"", 100000, FSI_CPU_UNKNOWN, 1000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fsi_cpu cpus[2] = {cpu(1, 0), cpu(3, 1000)};
        ROW("%s", rows[i].line);
        fsi_cpu_look(cpus, 2, rows[i].line, rows[i].passed_us);
        CHECK_EQ(cpus[1].load_permille, rows[i].want_load);
        CHECK_EQ(cpus[1].idle_ticks, rows[i].want_ticks);
        CHECK_EQ(cpus[0].load_permille, FSI_CPU_UNKNOWN);
        CHECK_EQ(cpus[0].idle_ticks, 0);
    }
}

// Goal: every CPU of this machine is found in what the system says, and none other.
TEST(this_machine)
{
    fsi_cpu cpus[FSI_CPUS_MAX];
    uint32_t n = fsi_cpus(cpus);
    REQUIRE(n > 0 && n == fsi_cpus(NULL));
    for (uint32_t i = 0; i < n; i++) {
        CHECK_EQ(cpus[i].idle_ticks, FSI_CPU_UNKNOWN);
        CHECK_EQ(cpus[i].load_permille, FSI_CPU_UNKNOWN);
        CHECK(i == 0 || cpus[i].number > cpus[i - 1].number);
    }
    if (!os_exists("/proc/stat")) return;
    fsi_cpus_look(cpus, n, 0);
    fsi_cpus_look(cpus, n, 1000000);
    for (uint32_t i = 0; i < n; i++) {
        CHECK(cpus[i].idle_ticks != FSI_CPU_UNKNOWN);
        CHECK(cpus[i].load_permille <= 1000);
    }
}

// Goal: a thread that moves to one CPU gets its affinity back.
TEST(affinity_comes_back)
{
    fsi_cpu cpus[FSI_CPUS_MAX];
    uint32_t n = fsi_cpus(cpus);
    REQUIRE(n > 0);
    fsi_affinity before = fsi_affinity_get();
    REQUIRE(before.known && fsi_affinity_pin(cpus[n - 1].number));
    CHECK_EQ(fsi_cpus(NULL), 1);
    fsi_affinity_restore(&before);
    CHECK_EQ(fsi_cpus(NULL), n);
}

#else
TEST(load_of_a_line)
{
    SKIP("no pinning here");
}
TEST(this_machine)
{
    SKIP("no pinning here");
}
TEST(affinity_comes_back)
{
    SKIP("no pinning here");
}
#endif

static void report_signals(void *arg)
{
    *(os_signals *)arg = os_signals_now();
}

// Goal: our threads take no signal of the host's, and starting one leaves the host's own mask alone.
TEST(threads_block_signals)
{
    os_signals seen = {0, false}, before = os_signals_now();
    fsi_thread thread;
    if (!OS_SIGNALS) SKIP("no signals here");
    REQUIRE(fsi_thread_start(&thread, report_signals, &seen, "test"));
    fsi_thread_join(&thread);
    CHECK_EQ(seen.blocked & OS_SIGNALS, OS_SIGNALS);
    CHECK_EQ(os_signals_now().blocked, before.blocked);
}

TEST_MAIN(CASE(load_of_a_line), CASE(this_machine), CASE(affinity_comes_back), CASE(threads_block_signals))
