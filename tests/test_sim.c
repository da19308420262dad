// test_sim.c: a short run of the simulation in sim.h, and that one seed is one run. `make sim` runs more of it, and
// tests/sim_mutations.py shows what it finds.
#include "sim.h"

#define SEEDS 60

// Goal: the oracle of sim.h, for some seeds.
TEST(seeds)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        ROW("seed=%llu", (unsigned long long)seed);
        if (sim_run(seed, false)) continue;
        sim_print_trace();
        test_fail(__FILE__, __LINE__, "%s", sim.error);
        return; // what it held is lost
    }
    CHECK(sim_all.answers[2] > 1000 && sim_all.answers[4] > 50 && sim_all.answers[5] > 50);
    CHECK(sim_all.cuts > 50 && sim_all.jobs > 50 && sim_all.tokens > 50 && sim_all.timeouts > 50);
    CHECK(sim_all.dials > 50 && sim_all.posts > 50 && sim_all.timers > 50 && sim_all.preempted > 500);
}

// Goal: a seed that fails can be looked at again: the same steps, at the same times, to the last.
TEST(seed_replays)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        ROW("seed=%llu", (unsigned long long)seed);
        REQUIRE(sim_run(seed, false));
        uint64_t hash = sim.hash, steps = sim.steps, events = sim.trace_len;
        REQUIRE(sim_run(seed + 100, false)); // what came before makes no difference
        CHECK(sim.hash != hash);
        REQUIRE(sim_run(seed, false));
        CHECK(sim.hash == hash);
        CHECK(sim.steps == steps && sim.trace_len == events);
    }
}

TEST_MAIN(CASE(seeds), CASE(seed_replays))
