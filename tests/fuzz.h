// fuzz.h: the frame of the fuzz drivers, each of which is built two ways:
//
//   make fuzz                                  libFuzzer finds the bytes (-DFUZZ_LIBFUZZER), from the seeds and words here:
//                                              with FUZZ_SEEDS=DIR they are written into DIR and DIR.dict first
//   cc -std=c11 -pthread -g -fsanitize=address,undefined tests/fuzz_x.c && ./a.out [COUNT] [FILE...]
//                                              COUNT mutations of its seeds, or the files once each
//
// A driver includes this behind what it tests, says in a function what an input is put through, where MUST() names what
// has to hold, and ends with FUZZ_MAIN(its fuzz_driver).
#ifndef FASTSERVE_FUZZ_H
#define FASTSERVE_FUZZ_H

#define MUST(what) ((what) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #what))

typedef struct fuzz_driver {
    void (*one)(const uint8_t *data, size_t size); // puts an input through
    size_t (*seed)(size_t index, uint8_t *data);   // writes a good input; returns its size
    void (*end)(void);                             // ends the line about what was done, frees what is left
    const char *const *words;                      // that mean something there; bytes at random seldom spell them
    size_t word_count;
    size_t count;   // inputs, unless said otherwise
    size_t changes; // to a seed, fewer than that
    size_t header;  // bytes in front that are not changed
} fuzz_driver;

static const uint8_t *fuzz_input; // printed when something is broken
static size_t fuzz_input_size;

static inline void fuzz_broken(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\ninput of %zu bytes: \"", file, line, what, fuzz_input_size);
    for (size_t i = 0; i < fuzz_input_size; i++) {
        uint8_t c = fuzz_input[i];
        fprintf(stderr, c < 32 || c > 126 || c == '"' || c == '\\' ? "\\%03o" : "%c", c);
    }
    fprintf(stderr, "\"\n");
    abort();
}

// A heap copy of exactly its size, so that the sanitizer sees one byte read too many; the caller frees it.
static inline char *fuzz_copy(const uint8_t *data, size_t size)
{
    char *copy = (char *)malloc(size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    return copy;
}

static inline void fuzz_put(const fuzz_driver *driver, const uint8_t *data, size_t size)
{
    fuzz_input = data;
    fuzz_input_size = size;
    driver->one(data, size);
}

static inline size_t fuzz_dice(size_t below) // splitmix64, the same in every run
{
    static uint64_t state = 1;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)((z ^ (z >> 31)) % below);
}

static inline size_t fuzz_insert(uint8_t *data, size_t size, size_t at, const void *bytes, size_t n)
{
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, bytes, n);
    return size + n;
}

// Changes something. There is room for 64 bytes more.
static inline size_t fuzz_mutate(const fuzz_driver *driver, uint8_t *data, size_t size)
{
    const char *word = driver->words[fuzz_dice(driver->word_count)];
    size_t at = fuzz_dice(size + 1), n = 1 + fuzz_dice(24);
    uint8_t said[24], byte = (uint8_t)(fuzz_dice(2) ? 0 : fuzz_dice(256));
    switch (fuzz_dice(8)) {
    case 0: // change a byte
        if (at < size) data[at] = (uint8_t)fuzz_dice(256);
        return size;
    case 1: // a bit
        if (at < size) data[at] = (uint8_t)(data[at] ^ 1u << fuzz_dice(8));
        return size;
    case 2: // a digit, which leaves it well-formed
        while (at < size && (data[at] < '0' || data[at] > '9')) at++;
        if (at < size) data[at] = (uint8_t)('0' + fuzz_dice(10));
        return size;
    case 3: // take some away
        if (at + n > size) return at;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 4: // say something twice
        if (at + n > size) return size;
        memcpy(said, data + at, n);
        return fuzz_insert(data, size, at, said, n);
    case 5: // a NUL, or any other byte
        return fuzz_insert(data, size, at, &byte, 1);
    default: return fuzz_insert(data, size, at, word, strlen(word));
    }
}

// The files of a command line. Returns how many, or -1: one cannot be read, which is said.
static inline int fuzz_files(const fuzz_driver *driver, int argc, char **argv, size_t *count)
{
    static uint8_t data[1 << 20];
    int files = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][strspn(argv[i], "0123456789")] == 0) {
            *count = (size_t)strtoull(argv[i], NULL, 10);
            continue;
        }
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return -1;
        }
        fuzz_put(driver, data, fread(data, 1, sizeof data, file));
        fclose(file);
        files++;
    }
    return files;
}

static inline int fuzz_run(const fuzz_driver *driver, int argc, char **argv)
{
    static uint8_t data[1 << 20];
    size_t count = driver->count, header = driver->header;
    int files = fuzz_files(driver, argc, argv, &count);
    if (files < 0) return 1;
    for (size_t i = 0; files == 0 && i < count; i++) {
        size_t size = driver->seed(i, data) - header;
        for (size_t k = fuzz_dice(driver->changes); k-- > 0;) size = fuzz_mutate(driver, data + header, size);
        fuzz_put(driver, data, size + header);
    }
    printf("%zu inputs, %d files, ", files ? 0 : count, files);
    driver->end();
    return 0;
}

// What is a corpus and a dictionary to libFuzzer, which asks for them next.
static inline void fuzz_write_seeds(const fuzz_driver *driver, const char *dir)
{
    static uint8_t data[1 << 20];
    char name[512];
    for (size_t i = 0; i < 40; i++) {
        size_t size = driver->seed(i, data);
        (void)snprintf(name, sizeof name, "%s/seed-%02zu", dir, i);
        FILE *file = fopen(name, "wb");
        if (!file || fwrite(data, 1, size, file) != size || fclose(file)) perror(name), abort();
    }
    (void)snprintf(name, sizeof name, "%s.dict", dir);
    FILE *file = fopen(name, "wb");
    if (!file) perror(name), abort();
    for (size_t i = 0; i < driver->word_count; i++) {
        fputc('"', file);
        for (const char *c = driver->words[i]; *c; c++) fprintf(file, "\\x%02x", (unsigned)(uint8_t)*c);
        fputs("\"\n", file);
    }
    if (fclose(file)) perror(name), abort();
}

// clang-format off
#ifdef __cplusplus
#define FUZZ_C extern "C"
#else
#define FUZZ_C
#endif
#ifdef FUZZ_LIBFUZZER
#define FUZZ_MAIN(driver) \
    FUZZ_C int LLVMFuzzerInitialize(int *argc, char ***argv); \
    int LLVMFuzzerInitialize(int *argc, char ***argv) \
    { \
        (void)argc, (void)argv; \
        if (getenv("FUZZ_SEEDS")) fuzz_write_seeds(&(driver), getenv("FUZZ_SEEDS")); \
        return 0; \
    } \
    FUZZ_C int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) \
    { \
        fuzz_put(&(driver), data, size); \
        return 0; \
    }
#else
#define FUZZ_MAIN(driver) \
    int main(int argc, char **argv) \
    { \
        return fuzz_run(&(driver), argc, argv); \
    }
#endif
// clang-format on
#endif
