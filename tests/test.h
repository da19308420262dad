// test.h: the whole test harness. A test file is one program:
//
//   #include "test.h"
//   TEST(adds) { for (int i = 0; i < 3; i++) { ROW("i=%d", i); CHECK_EQ(add(i, 1), i + 1); } }
//   TEST_MAIN(CASE(adds), CASE(subtracts))
//
// CHECK notes a failure and goes on; REQUIRE returns from the case. ROW labels the row of a table in what is printed.
// `./test_x part` runs the cases whose name contains part; that none does is a failure. A program that hangs ends
// itself after TEST_WATCHDOG_S seconds (default 60) and names the case and the row where it hung.
#ifndef FASTSERVE_TEST_H
#define FASTSERVE_TEST_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header, or fastserve.h could not ask for it any more
#endif
#if defined(__MINGW32__) && !defined(__USE_MINGW_ANSI_STDIO)
#define __USE_MINGW_ANSI_STDIO 1 // printf as the standard has it, likewise
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <winsock2.h>
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#else
#include <signal.h>
#include <unistd.h>
#endif

// clang-format off
#define TEST(name) static void case_##name(void)
#define CASE(name) {#name, case_##name}
#define TEST_MAIN(...) \
    int main(int argc, char **argv) \
    { \
        static const test_case cases[] = {__VA_ARGS__}; \
        return test_run(argc, argv, cases, sizeof cases / sizeof cases[0]); \
    }
#define ROW(...) ((void)snprintf(test_row, sizeof test_row, __VA_ARGS__))
#define SKIP(reason) do { test_skipped = (reason); return; } while (0)
#define CHECK(what) ((what) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #what))
#define REQUIRE(what) do { if (!(what)) { test_fail(__FILE__, __LINE__, "%s", #what); return; } } while (0)
#define CHECK_EQ(got, want) test_eq(__FILE__, __LINE__, #got " == " #want, (long long)(got), (long long)(want))
#define CHECK_STR(got, want) test_str(__FILE__, __LINE__, #got, (got), (want))
#define CHECK_BYTES(got, got_size, want, want_size) \
    test_bytes(__FILE__, __LINE__, #got, (got), (size_t)(got_size), (want), (size_t)(want_size))
// clang-format on

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

static const char *volatile test_name = "(none)"; // the case that runs now, with its
static char test_row[256];                        // label, empty for none
static const char *volatile test_skipped;         // reason, 0 if it ran
static volatile int test_failures;                // count; the first 20 are printed

#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((format(printf, 3, 4)))
#endif
static inline void
test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    char text[2048];
    if (++test_failures > 20) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("%s:%d: %s%s%s: %s\n", file, line, test_name, test_row[0] ? " " : "", test_row, text);
}

static inline void test_eq(const char *file, int line, const char *what, long long got, long long want)
{
    if (got != want) test_fail(file, line, "%s: got %lld, want %lld", what, got, want);
}

// As the text of a C literal, cut where out is full. Returns out.
static inline const char *test_escape(char *out, size_t size, const char *data, size_t data_size)
{
    size_t at = 0;
    for (size_t i = 0; i < data_size && at + 8 < size; i++) {
        unsigned char c = (unsigned char)data[i];
        const char *name = c == '\r' ? "\\r" : c == '\n' ? "\\n" : c == '"' ? "\\\"" : c == '\\' ? "\\\\" : 0;
        if (name)
            at += (size_t)snprintf(out + at, size - at, "%s", name);
        else
            at += (size_t)snprintf(out + at, size - at, c < 32 || c > 126 ? "\\x%02x" : "%c", c);
    }
    out[at] = 0;
    return out;
}

static inline void test_bytes(const char *file, int line, const char *what, const char *got, size_t got_size,
                              const char *want, size_t want_size)
{
    char a[900], b[900];
    if (got_size == want_size && (got_size == 0 || memcmp(got, want, got_size) == 0)) return;
    test_fail(file, line, "%s:\n    got  (%zu) \"%s\"\n    want (%zu) \"%s\"", what, got_size,
              test_escape(a, sizeof a, got, got_size), want_size, test_escape(b, sizeof b, want, want_size));
}

static inline void test_str(const char *file, int line, const char *what, const char *got, const char *want)
{
    if (!got != !want)
        test_fail(file, line, "%s: got %s, want %s", what, got ? got : "NULL", want ? want : "NULL");
    else if (got)
        test_bytes(file, line, what, got, strlen(got), want, strlen(want));
}

#if defined(_WIN32)
static DWORD WINAPI test_watchdog(void *milliseconds)
{
    Sleep(*(DWORD *)milliseconds);
    printf("watchdog: hangs in %s %s\n", test_name, test_row);
    ExitProcess(3);
    return 0;
}
static inline void test_begin(int seconds)
{
    static DWORD milliseconds;
    static WSADATA sockets;
    (void)WSAStartup(MAKEWORD(2, 2), &sockets);
    (void)_setmode(_fileno(stdout), _O_BINARY); // no CR
    milliseconds = (DWORD)seconds * 1000;
    CloseHandle(CreateThread(0, 0, test_watchdog, &milliseconds, 0, 0));
}
#else
static inline void test_watchdog(int number) // a signal handler: write and _exit, nothing else
{
    const char *parts[] = {"watchdog: hangs in ", test_name, " ", test_row, "\n"};
    (void)number;
    for (int i = 0; i < 5 && write(1, parts[i], strlen(parts[i])) >= 0; i++) {
    }
    _exit(3);
}
static inline void test_begin(int seconds)
{
    signal(SIGALRM, test_watchdog);
    alarm((unsigned)seconds);
}
#endif

static inline int test_run(int argc, char **argv, const test_case *cases, size_t count)
{
    int passed = 0, failed = 0, skipped = 0;
    const char *limit = getenv("TEST_WATCHDOG_S"), *part = argc > 1 ? argv[1] : "", *program = argv[0];
    for (const char *at = program; *at;)
        if (*at++ == '/' || at[-1] == '\\') program = at;
    setvbuf(stdout, 0, _IONBF, 0); // what was printed stands, also when a case crashes
    test_begin(limit && atoi(limit) > 0 ? atoi(limit) : 60);
    for (size_t i = 0; i < count; i++) {
        if (!strstr(cases[i].name, part)) continue;
        test_name = cases[i].name, test_row[0] = 0, test_skipped = 0, test_failures = 0;
        cases[i].run();
        if (test_failures > 20) printf("%s: %d failures in all\n", test_name, test_failures);
        if (test_failures)
            failed++;
        else if (test_skipped)
            skipped++, printf("SKIP %s: %s\n", test_name, test_skipped);
        else
            passed++;
    }
    if (passed + failed + skipped == 0) failed++, printf("no case has \"%s\" in its name\n", part);
    printf("%s: %d passed, %d failed, %d skipped\n", program, passed, failed, skipped);
    return failed ? 1 : 0;
}
#endif
