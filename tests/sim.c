// sim.c: `make sim`: many runs of the simulation in sim.h, or one again.
//
//   build/sim [RUNS [FIRST]]     seeds FIRST, FIRST + 1, ...; the first that fails says so, with its last events
//   build/sim --seed SEED        one run, told event by event
#include "sim.h"
#include <signal.h>
#include <time.h>

static void crashed(int number)
{
    sim_print_trace();
    printf("seed %llu: signal %d\n", (unsigned long long)sim.seed, number);
    fflush(stdout);
    _exit(4);
}

static bool run(uint64_t seed, bool tell)
{
#ifndef _WIN32
    alarm(120); // a loop that the scheduler does not see
#endif
    if (sim_run(seed, tell)) return true;
    if (!tell) sim_print_trace();
    printf("seed %llu: %s\n", (unsigned long long)seed, sim.error);
    return false;
}

static void say_sums(void)
{
    const sim_sums *s = &sim_all;
    printf("%llu connections over HTTP, %llu raw (%llu of them dialed), %llu requests\n", (unsigned long long)s->conns,
           (unsigned long long)s->raw, (unsigned long long)s->dials, (unsigned long long)s->requests);
    printf("answers 2xx %llu, 4xx %llu, 5xx %llu; jobs %llu, refused %llu; tokens %llu; time-outs %llu; turned away "
           "%llu\n",
           (unsigned long long)s->answers[2], (unsigned long long)s->answers[4], (unsigned long long)s->answers[5],
           (unsigned long long)s->jobs, (unsigned long long)s->jobs_refused, (unsigned long long)s->tokens,
           (unsigned long long)s->timeouts, (unsigned long long)s->refused);
    printf(
        "cuts %llu, stalls %llu, failed allocations %llu; moves %llu + %llu, rescued %llu; posts %llu, timers %llu\n",
        (unsigned long long)s->cuts, (unsigned long long)s->stalls, (unsigned long long)s->alloc_fails,
        (unsigned long long)s->followed, (unsigned long long)s->balanced, (unsigned long long)s->rescued,
        (unsigned long long)s->posts, (unsigned long long)s->timers);
    printf("%llu steps, %llu preempted, %.0f hours of simulated time\n", (unsigned long long)s->steps,
           (unsigned long long)s->preempted, (double)s->virtual_ns / 3.6e12);
}

int main(int argc, char **argv)
{
    bool one = argc == 3 && strcmp(argv[1], "--seed") == 0;
    uint64_t runs = argc > 1 && !one ? strtoull(argv[1], NULL, 10) : 100;
    uint64_t first = one || argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    time_t began = time(NULL);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    signal(SIGFPE, crashed);
#ifndef _WIN32
    signal(SIGALRM, crashed);
#endif
    for (uint64_t seed = first; seed < first + (one ? 1 : runs); seed++)
        if (!run(seed, one)) return 1;
    say_sums();
    printf("sim: %llu runs passed, seeds %llu to %llu, hash of the last %016llx, %.0f s\n",
           (unsigned long long)sim_all.runs, (unsigned long long)first,
           (unsigned long long)(first + (one ? 0 : runs - 1)), (unsigned long long)sim.hash,
           difftime(time(NULL), began));
    return 0;
}
