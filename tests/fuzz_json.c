// fuzz_json.c: the reader of >>bench-json on hostile bytes, and what may be done with what it took. fuzz.h says how to
// build it.
//
// Every input is a heap copy of exactly its size. What must hold:
//   - what is accepted is written as the same bytes again after it was read back: nothing is lost, nothing is made up
//   - what is refused leaves an empty result
//   - adding up, comparing and judging what was accepted ends, whatever the numbers say
#include "bench.h"
#include "fuzz.h"

static bench_result first, again;
static size_t accepted;

static char *written(const bench_result *result, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out) abort();
    bench_write_json(out, result);
    fclose(out);
    return text;
}

// Everything that takes a result from a file.
static void use(void)
{
    static const char *const objectives[] = {"p99<5ms,max<1s,mean<1ms,errors<1%,rate>1", "p50<=1h,p99.999<1us"};
    const bench_result *a = &first, *b = &again;
    bench_comparison verdict;
    char why[400];
    for (int i = 0; i < 2; i++) {
        bench_slo slo;
        MUST(bench_slo_parse(objectives[i], &slo) == NULL);
        (void)bench_slo_holds(&slo, a, why, sizeof why);
    }
    again.done += again.done / 20;
    bench_compare(&a, 1, &b, 1, &verdict);
    (void)bench_merge(&again, a);
    MUST(bench_merge(&again, a) != NULL || bench_hist_sound(&again.response));
}

// What an input is put through.
static void put_through(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size), *text, *second;
    size_t text_size, second_size;
    const char *wrong = bench_json_parse(copy, size, &first);
    free(copy);
    if (wrong) {
        bench_result_init(&again);
        MUST(memcmp(&first, &again, sizeof first) == 0);
        return;
    }
    text = written(&first, &text_size);
    MUST(bench_json_parse(text, text_size, &again) == NULL);
    second = written(&again, &second_size);
    MUST(text_size == second_size && memcmp(text, second, text_size) == 0);
    free(text);
    free(second);
    use();
    accepted++;
}

static const char *const words[] = {"{",
                                    "}",
                                    "[",
                                    "]",
                                    ",",
                                    ":",
                                    "\"",
                                    "\\",
                                    "\\u0000",
                                    "\\ud800",
                                    "0",
                                    "-",
                                    "1e999",
                                    "NaN",
                                    "null",
                                    "true",
                                    "18446744073709551616",
                                    ".5",
                                    "\x80",
                                    "\xff",
                                    " ",
                                    "[1, 1], ",
                                    "\"due\": 1,",
                                    "{\"a\": [{}]}",
                                    "[[[[[[[[[[[[[[[[[[[["};

// An empty result, and one with something in every list.
static char *seed_text(bool full, size_t *size)
{
    bench_result_init(&first);
    for (uint32_t i = 0; full && i < 20; i++) {
        bench_slot slot = {100 + i, 0, 0, 1000, 2000, 3000};
        first.slots[first.slot_count++] = slot;
        fsi_hist_add(&first.response, 1000 + i * 1000, 100);
        fsi_hist_add(&first.censored, 500 + i, 1);
    }
    if (full) {
        first.slot_ns = 1000000000;
        first.run_ns = 20000000000u;
        first.due = 2020;
        first.done = first.statuses[200] = 2000;
        first.in_flight = 20;
        (void)snprintf(first.setup.url, sizeof first.setup.url, "http://a/\xc3\xa9\x1b");
    }
    return written(&first, size);
}

static size_t seed(size_t index, uint8_t *data)
{
    size_t size;
    char *text = seed_text(index % 2, &size);
    memcpy(data, text, size);
    free(text);
    return size;
}

static void end(void)
{
    printf("%zu results accepted\n", accepted);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 10000, 4, 0};
FUZZ_MAIN(driver)
