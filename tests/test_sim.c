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

// Goal: what was sent to a loop whose thread is refused ends there, so that the start that fails comes back.
TEST(start_that_fails_ends_connects)
{
    fsv_tcp_desc raw;
    sim_reset(1);
    if (setjmp(sim.out)) {
        test_fail(__FILE__, __LINE__, "%s", sim.error);
        return;
    }
    sim.desc.loops = 2;
    sim.desc.alloc = sim_alloc;
    sim.desc.release = sim_release;
    sim.desc.out_bytes_max = 4096;
    sim.thread_fail_at = 2;
    sim.preempt = 4;
    CHECK_EQ(fsv_server_create(&sim.server, &sim.desc), FSV_OK);
    sim_client *c = sim_client_new(SIM_RAW_ECHO);
    c->dialed = true;
    sim_raw_desc(&raw, c);
    if (!FSI_CLIENT) SKIP("no outgoing connections in this build");
    CHECK_EQ(fsv_tcp_connect(sim.server, 1, "127.0.0.1:9", &raw, &c->tcp), FSV_OK);
    CHECK_EQ(fsv_server_start(sim.server), FSV_ERR_SYSTEM);
    CHECK_EQ(c->closed, 1);
    CHECK_EQ(fsv_server_free(sim.server), FSV_OK);
    sim_check_end();
    fake_end();
}

TEST_MAIN(CASE(seeds), CASE(seed_replays), CASE(start_that_fails_ends_connects))
