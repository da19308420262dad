// fuzz_json.c: the reader of >>bench-json on hostile bytes, and what may be done with what it took. Built two ways:
//
//   make fuzz                                  libFuzzer finds the bytes (-DFUZZ_LIBFUZZER)
//   cc -std=c11 -pthread -g -fsanitize=address,undefined tests/fuzz_json.c && ./a.out [COUNT] [FILE...]
//                                              COUNT mutations of two results (default 10000), or the files once each
//
// Every input is a heap copy of exactly its size. What must hold:
//   - what is accepted is written as the same bytes again after it was read back: nothing is lost, nothing is made up
//   - what is refused leaves an empty result
//   - adding up, comparing and judging what was accepted ends, whatever the numbers say
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#include "../fastserve.h"

static fsv_result demo_create(fsv_server **server, const fsv_server_desc *desc)
{
    (void)desc;
    *server = NULL;
    return FSV_ERR_UNSUPPORTED;
}
#include "../bench.c"

#define MUST(what) ((what) ? (void)0 : broken(__LINE__, #what))

static bench_result first, again;

static void broken(int line, const char *what)
{
    fprintf(stderr, "fuzz_json.c:%d: %s\n", line, what);
    abort();
}

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
    bench_verdict_of verdict;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = (char *)malloc(size ? size : 1), *text, *second;
    size_t text_size, second_size;
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    const char *wrong = bench_json_parse(copy, size, &first);
    free(copy);
    if (wrong) {
        bench_result_init(&again);
        MUST(memcmp(&first, &again, sizeof first) == 0);
        return 0;
    }
    text = written(&first, &text_size);
    MUST(bench_json_parse(text, text_size, &again) == NULL);
    second = written(&again, &second_size);
    MUST(text_size == second_size && memcmp(text, second, text_size) == 0);
    free(text);
    free(second);
    use();
    (void)bench_main; // the rest of bench.c, which tests test
    return 0;
}

#ifndef FUZZ_LIBFUZZER
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

static uint64_t state = 1;

static size_t dice(size_t below)
{
    return (size_t)(bench_random_bits(&state) % below);
}

static size_t mutate(uint8_t *data, size_t size, size_t room)
{
    size_t at = dice(size + 1), n = 1 + dice(24);
    const char *word = words[dice(sizeof words / sizeof words[0])];
    switch (dice(5)) {
    case 0: // change a byte
        if (at < size) data[at] = (uint8_t)dice(256);
        return size;
    case 1: // a digit, which leaves it well-formed
        while (at < size && (data[at] < '0' || data[at] > '9')) at++;
        if (at < size) data[at] = (uint8_t)('0' + dice(10));
        return size;
    case 2: // take some away
        if (at + n > size) return at;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 3: // say something twice
        if (at + n > size || size + n > room) return size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    default: // a word
        n = strlen(word);
        if (size + n > room) return size;
        memmove(data + at + n, data + at, size - at);
        memcpy(data + at, word, n);
        return size + n;
    }
}

// An empty result, and one with something in every list.
static char *seed_text(bool full, size_t *size)
{
    bench_result_init(&first);
    for (uint32_t i = 0; full && i < 20; i++) {
        bench_second slot = {100 + i, 0, 0, 1000, 2000, 3000};
        first.seconds[first.second_count++] = slot;
        fsi_hist_add(&first.response, 1000 + i * 1000, 100);
        fsi_hist_add(&first.censored, 500 + i, 1);
    }
    if (full) {
        first.second_ns = 1000000000;
        first.run_ns = 20000000000u;
        first.due = 2020;
        first.done = first.statuses[200] = 2000;
        first.in_flight = 20;
        (void)snprintf(first.setup.url, sizeof first.setup.url, "http://a/\xc3\xa9\x1b");
    }
    return written(&first, size);
}

int main(int argc, char **argv)
{
    static uint8_t data[1 << 20];
    size_t count = 10000, size, files = 0, accepted = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][strspn(argv[i], "0123456789")] == 0) {
            count = (size_t)strtoull(argv[i], NULL, 10);
            continue;
        }
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
        files++;
    }
    for (size_t i = 0; files == 0 && i < count; i++) {
        char *text = seed_text(i % 2, &size);
        memcpy(data, text, size);
        free(text);
        for (size_t k = dice(4); k-- > 0;) size = mutate(data, size, size + 400);
        LLVMFuzzerTestOneInput(data, size);
        accepted += first.run_ns != 0 || first.response.count != 0;
    }
    printf("fuzz_json: %zu inputs, %zu files, %zu results accepted\n", files ? 0 : count, files, accepted);
    return 0;
}
#endif
