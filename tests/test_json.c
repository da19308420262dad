// >>bench-json and merging: what is written is JSON and reads back as it was, and no bytes can make the reader do harm.
#include "test.h"
#include "bench.h"
#include "os.h"
#include <locale.h>

static bench_result one, two, three; // half a megabyte each
static uint64_t seed;

static uint64_t dice(void)
{
    return bench_random_bits(&seed);
}

static uint64_t dice_log(void) // every magnitude is as likely
{
    return dice() >> (dice() & 63);
}

static void dice_text(char *out, size_t size)
{
    static const char *const pieces[] = {"a", "\"",   "\\",       "\n",           "\x1b",
                                         "/", "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80"};
    size_t used = 0;
    memset(out, 0, size); // what is behind the end would be compared too
    for (size_t n = (size_t)(dice() % (size / 2)); n-- > 0;) {
        const char *piece = pieces[dice() % (sizeof pieces / sizeof pieces[0])];
        if (used + strlen(piece) >= size) break;
        memcpy(out + used, piece, strlen(piece));
        used += strlen(piece);
    }
}

static void dice_hist(fsi_hist *hist, uint32_t count)
{
    fsi_hist_init(hist);
    for (uint32_t i = 0; i < count; i++) fsi_hist_add(hist, dice_log(), 1 + (dice() >> 40));
}

// Anything that a result can hold, by the tables: a member that is not there would stay 0 and show nothing.
static void dice_members(const bench_member *members, char *base)
{
    for (; members->name; members++) {
        char *at = base + members->offset;
        uint64_t u64 = dice_log(), draw = dice();
        double fraction = (double)dice() / 3 * (draw & 1 ? 1 : 1e-25);
        uint32_t u32 = (uint32_t)(dice() >> 32);
        bool flag = dice() & 1;
        switch (members->as) {
        case BENCH_AS_OBJECT: dice_members(members->members, at); break;
        case BENCH_AS_U32: memcpy(at, &u32, sizeof u32); break;
        case BENCH_AS_I64:
        case BENCH_AS_U64: memcpy(at, &u64, sizeof u64); break;
        case BENCH_AS_DOUBLE: memcpy(at, &fraction, sizeof fraction); break;
        case BENCH_AS_LATER_BOOL:
        case BENCH_AS_BOOL: memcpy(at, &flag, sizeof flag); break;
        case BENCH_AS_TEXT: dice_text(at, members->size); break;
        case BENCH_AS_HIST: dice_hist((fsi_hist *)(void *)at, (uint32_t)(dice() % 300)); break;
        default: break;
        }
    }
}

static void dice_result(bench_result *result)
{
    bench_result_init(result);
    dice_members(bench_result_members, (char *)result);
    for (int i = 0; i < BENCH_KINDS; i++) result->failed[i] = dice_log(), result->events[i] = dice_log();
    for (int i = 0; i < 9; i++) result->statuses[dice() % 600] = 1 + dice_log() / 2;
    result->slot_count = (uint32_t)(dice() % (BENCH_SLOTS_MAX + 1));
    result->slot_ns = 1 + dice_log() / 2;
    for (uint32_t i = 0; i < result->slot_count; i++) dice_members(bench_slot_members, (char *)&result->slots[i]);
}

// As text; the caller frees it.
static char *written(const bench_result *result, size_t *len)
{
    FILE *out = os_stream();
    if (!out) return NULL;
    bench_write_json(out, result);
    return os_stream_all(out, len);
}

// Goal: everything comes back bit by bit, doubles too; an extreme of each magnitude among it.
TEST(round_trip_is_exact)
{
    for (uint64_t n = 0; n < 40; n++) {
        size_t len = 0;
        ROW("seed=%llu", (unsigned long long)n);
        seed = n;
        dice_result(&one);
        if (n % 2) one.began_unix = n % 4 == 1 ? INT64_MIN : -1;
        char *text = written(&one, &len);
        REQUIRE(text != NULL);
        memset((void *)&two, 0x5a, sizeof two);
        CHECK(bench_json_parse(text, len, &two) == NULL);
        free(text);
        CHECK(memcmp(&one.setup.url, &two.setup.url, sizeof one.setup.url) == 0 ||
              strcmp(one.setup.url, two.setup.url) == 0);
        for (const bench_member *member = bench_setup_members; member->name; member++) {
            char a[520], b[520];
            CHECK_STR(bench_member_text(a, sizeof a, member, (const char *)&two.setup),
                      bench_member_text(b, sizeof b, member, (const char *)&one.setup));
        }
        CHECK(one.setup.rate >= two.setup.rate && one.setup.rate <= two.setup.rate);
        memset((void *)&one.setup, 0, sizeof one.setup); // padding, and what stands behind the end of a text
        memset((void *)&two.setup, 0, sizeof two.setup);
        CHECK(memcmp(&one.began_unix, &two.began_unix, sizeof one - offsetof(bench_result, began_unix)) == 0);
    }
}

// How often each byte of a result has a place in the tables.
static uint8_t covered[sizeof(bench_result)];

static void cover(size_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++) covered[offset + i]++;
}

static void cover_members(const bench_member *members, size_t base)
{
    for (; members->name; members++) {
        if (members->as == BENCH_AS_OBJECT)
            cover_members(members->members, base + members->offset);
        else
            cover(base + members->offset, members->size);
    }
}

// Goal: the tables have every member once: who adds one to the struct alone, or copies a line of a table, learns it
// here.
TEST(tables_have_every_member)
{
    size_t gap = 0;
    memset(covered, 0, sizeof covered);
    cover_members(bench_result_members, 0);
    cover(BENCH_JSON_AT(bench_result, slots)); // of the series, which has no table of its own
    cover(BENCH_JSON_AT(bench_result, slot_count));
    cover(BENCH_JSON_AT(bench_result, slot_ns));
    for (size_t i = 0; i < sizeof covered; i++) {
        ROW("byte %zu", i);
        CHECK(covered[i] < 2);
        gap = covered[i] ? 0 : gap + 1;
        CHECK(gap < 8); // as much as may be padding
    }
}

TEST(empty_result_round_trips)
{
    size_t len = 0;
    bench_result_init(&one);
    char *text = written(&one, &len);
    REQUIRE(text != NULL);
    CHECK(bench_json_parse(text, len, &two) == NULL);
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    free(text);
}

// Goal: bytes that are no text become a question mark, so that a text never grows beyond its room.
TEST(invalid_utf8_is_replaced)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"a\xff\xfe z", "a?? z"},
        {"\xc0\x80", "??"},                       // overlong
        {"\xed\xa0\x80", "???"},                  // a surrogate
        {"\xf4\x90\x80\x80", "????"},             // beyond Unicode
        {"cut \xe2\x82", "cut ??"},               // the end is missing
        {"\xf0\x9f\x9a\x80", "\xf0\x9f\x9a\x80"}, // fine
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = 0;
        ROW("%zu", i);
        bench_result_init(&one);
        memset(one.server, 0xff, sizeof one.server); // without an end
        (void)snprintf(one.first_error, sizeof one.first_error, "%s", rows[i].in);
        char *text = written(&one, &len);
        REQUIRE(text != NULL);
        CHECK_EQ(strlen(text), len);
        CHECK(strstr(text, "????????????????????????????????????????????????????????????????") != NULL);
        CHECK(bench_json_parse(text, len, &two) != NULL); // 64 bytes have no room for their end
        free(text);
        one.server[63] = 0;
        text = written(&one, &len);
        REQUIRE(text != NULL);
        CHECK(bench_json_parse(text, len, &two) == NULL);
        CHECK_STR(two.first_error, rows[i].out);
        free(text);
    }
}

// A result that says something, for what follows.
static void plausible(bench_result *result)
{
    bench_result_init(result);
    (void)snprintf(result->setup.url, sizeof result->setup.url, "http://127.0.0.1:8080/");
    (void)snprintf(result->setup.system, sizeof result->setup.system, "Linux");
    result->setup.threads = 2;
    result->setup.connections = 10;
    result->setup.cpus = 2;
    result->setup.duration = 4000000000u;
    result->began_unix = 1700000000;
    result->run_ns = 4000000000u;
    result->slot_ns = 1000000000;
    for (uint32_t i = 0; i < 4; i++) {
        bench_slot slot = {25, 1, 0, 1000000 * (i + 1), 9000000, 10000000};
        result->slots[result->slot_count++] = slot;
    }
    for (uint64_t i = 1; i <= 100; i++) fsi_hist_add(&result->response, i * 100000, 1);
    result->service = result->response;
    fsi_hist_add(&result->censored, 20000000, 6);
    result->due = 110;
    result->done = result->statuses[200] = result->kept = 100;
    result->failed[BENCH_RESET] = result->events[BENCH_RESET] = 4;
    result->in_flight = 5;
    result->unsent = 1;
    result->bytes_in = 11000;
    result->first_length = 5;
    result->conns_opened = result->conns_most = 10;
}

// Goal: people and scripts find the figures where the schema says; beyond the last event there is no plain number.
TEST(summary_says_what_is_beyond)
{
    static const char beyond[] = "\"p99\": {\"more_than_us\": 20000.000}",
                      within[] = "\"p99\": 9928.704,"; // a cell's middle
    size_t len = 0;
    plausible(&one);
    char *text = written(&one, &len);
    REQUIRE(text != NULL);
    const char *service = strstr(text, "\"service\": {"), *p99 = strstr(text, "\"p99\": ");
    REQUIRE(service != NULL && p99 != NULL && p99 < service);
    CHECK_BYTES(p99, strlen(beyond), beyond, strlen(beyond));
    p99 = strstr(service, "\"p99\": ");
    REQUIRE(p99 != NULL);
    CHECK_BYTES(p99, strlen(within), within, strlen(within));
    CHECK(strstr(text, "\"p50\": 5") != NULL && strstr(text, "\"done_per_s\": 25,") != NULL);
    CHECK(strstr(text, "\"schema\": \"fastserve-bench/1\"") != NULL);
    CHECK(strstr(text, "\"reset\": 4") != NULL && strstr(text, "\"200\": 100") != NULL);
    free(text);
}

// Goal: no beginning of a file is taken for a file, and none makes the reader read on: each is a copy of exactly its
// size.
TEST(truncated_at_every_byte)
{
    size_t len = 0;
    plausible(&one);
    fsi_hist_init(&one.service); // shorter
    char *text = written(&one, &len);
    REQUIRE(text != NULL);
    for (size_t cut = 0; cut < len - 1; cut++) { // the last byte is the end of the line
        char *copy = (char *)malloc(cut ? cut : 1);
        ROW("cut=%zu", cut);
        if (!copy) break;
        memcpy(copy, text, cut);
        CHECK(cut == len - 1 || bench_json_parse(copy, cut, &two) != NULL);
        free(copy);
    }
    CHECK(bench_json_parse(text, len - 1, &two) == NULL);
    free(text);
}

// `text` with the first `from` in it as `to`; the caller frees it.
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out = at ? (char *)malloc(strlen(text) + strlen(to) + 1) : NULL;
    if (!out) return NULL;
    memcpy(out, text, (size_t)(at - text));
    (void)sprintf(out + (at - text), "%s%s", to, at + strlen(from));
    return out;
}

// Goal: each mistake is refused, for its own reason.
TEST(hostile_json_is_refused)
{
    static const struct {
        const char *from, *to, *wrong; // wrong NULL: fine
    } rows[] = {
        {"fastserve-bench/1", "fastserve-bench/2", "the schema is not fastserve-bench/1"},
        {"\"schema\": \"fastserve-bench/1\",", "", "a member is missing in the object that ends here"},
        {"\"schema\":", "\"schemata\":", "a member is missing in the object that ends here"},
        {"\"due\": 110", "\"due\": 110, \"due\": 110", "a member that is there twice"},
        {"\"due\": 110", "\"due\": NaN", "a number is missing"},
        {"\"due\": 110", "\"due\": Infinity", "a number is missing"},
        {"\"due\": 110", "\"due\": -110", "a number that should not be negative"},
        {"\"due\": 110", "\"due\": 110.0", "a number that should be whole"},
        {"\"due\": 110", "\"due\": 11e1", "a number that should be whole"},
        {"\"due\": 110", "\"due\": 0110", "a number that begins with 0"},
        {"\"due\": 110", "\"due\": 0x6e", "a comma or a bracket is missing"},
        {"\"due\": 110", "\"due\": +110", "a number is missing"},
        {"\"due\": 110", "\"due\": \"110\"", "a number is missing"},
        {"\"due\": 110", "\"due\": [110]", "a number is missing"},
        {"\"due\": 110", "\"due\": null", "a number is missing"},
        {"\"due\": 110", "\"due\": 18446744073709551616", "a number that is too large"},
        {"\"due\": 110", "\"due\": 99999999999999999999999999999999999999999999", "a number that is too large"},
        {"\"due\": 110", "\"due\": 18446744073709551615", NULL},
        {"\"threads\": 2", "\"threads\": 4294967296", "a number that is too large"},
        {"\"began_unix_s\": 1700000000", "\"began_unix_s\": -9223372036854775809", "a number that is too large"},
        {"\"began_unix_s\": 1700000000", "\"began_unix_s\": --1", "a number is missing"},
        {"\"began_unix_s\": 1700000000", "\"began_unix_s\": -9223372036854775808", NULL},
        {"\"requests_per_s\": 0", "\"requests_per_s\": 1e999", "a number that is too large"},
        {"\"requests_per_s\": 0", "\"requests_per_s\": -1", "a number that should not be negative"},
        {"\"requests_per_s\": 0", "\"requests_per_s\": 1.", "a number that ends with a point"},
        {"\"requests_per_s\": 0", "\"requests_per_s\": 1e", "a number that ends with its e"},
        {"\"requests_per_s\": 0", "\"requests_per_s\": .5", "a number is missing"},
        {"\"requests_per_s\": 0", "\"requests_per_s\": 1000.5e-1", NULL},
        {"\"requests_per_s\": 0", "\"requests_per_s\": 0.00000000000000000000000000000000000000001",
         "a number with too many digits"},
        {"\"interrupted\": false", "\"interrupted\": 0", "neither true nor false"},
        {"\"interrupted\": false", "\"interrupted\": True", "neither true nor false"},
        {"\"system\": \"Linux\"", "\"system\": 5", "a text is missing"},
        {"\"system\": \"Linux\"", "\"system\": \"a\tb\"", "a control byte in a text"},
        {"\"system\": \"Linux\"", "\"system\": \"\xff\"", "a text that is not UTF-8"},
        {"\"system\": \"Linux\"", "\"system\": \"\\x\"", "an unknown escape in a text"},
        {"\"system\": \"Linux\"", "\"system\": \"\\u12g4\"", "\\u without four digits"},
        {"\"system\": \"Linux\"", "\"system\": \"\\u0000\"", "a NUL in a text"},
        {"\"system\": \"Linux\"", "\"system\": \"\\ud800\"", "half of a surrogate pair"},
        {"\"system\": \"Linux\"", "\"system\": \"\\udc00\\ud800\"", "half of a surrogate pair"},
        {"\"system\": \"Linux\"", "\"system\": \"\\ud83d\\ud83d\"", "half of a surrogate pair"},
        {"\"system\": \"Linux\"", "\"system\": \"\\ud83d\\ude80\\u00e9\\u20ac\\n\\/\"", NULL},
        {"\"system\": \"Linux\"",
         "\"system\": \"12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
         "678901234567890123456789012345678\"",
         "a text that is too long"},
        {"\"system\": \"Linux\"", "\"system\": \"Linux\",", "a text is missing"},
        {"\"system\": \"Linux\"", "\"system\": \"Linux\" 5", "a comma or a bracket is missing"},
        {"\"system\": \"Linux\"", "\"system\" \"Linux\"", "a colon is missing"},
        {"\"system\": \"Linux\"", "system: \"Linux\"", "a text is missing"},
        {"\"system\": \"Linux\"", "\"system\": \"Linux\", \"later\": {\"a\": [1, 2.5e-3, null, {}, []], \"b\": true}",
         NULL},
        {"\"system\": \"Linux\"", "\"system\": \"Linux\", \"later\": {\"a\": [1, 2 3]}",
         "a comma or a bracket is missing"},
        {"\"system\": \"Linux\"", "\"system\": \"Linux\", \"later\": nul", "no value"},
        {"\"system\": \"Linux\"", "\"system\": \"Linux\", \"later\": [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "too deep"},
        {"\"reset\": 4", "\"rust\": 4", "an unknown kind of error"},
        {"\"reset\": 4", "\"reset\": 4, \"reset\": 4", "a member that is there twice"},
        {"\"200\": 100", "\"200\": 100, \"200\": 1", "a member that is there twice"},
        {"\"200\": 100", "\"600\": 100", "no status"},
        {"\"200\": 100", "\"0200\": 100", "no status"},
        {"\"200\": 100", "\"ok\": 100", "no status"},
        {"\"200\": 100", "\"200\": 0", "a status that never came"},
        {"\"slot_ns\": 1000000000", "\"slot_ns\": 0", "slots without a length"},
        {"\"slot_ns\": 1000000000,", "", "a member is missing in the series"},
        {"\"slot_ns\": 1000000000", "\"slot_ns\": 1000000000, \"slot_ns\": 1", "a member that is there twice"},
        {"{\"done\": 25", "{\"dome\": 25", "a member is missing in the object that ends here"},
        {"\"slots\": [", "\"slots\": [5, ", "an object is missing"},
        {"\"histogram_bits\": 7", "\"histogram_bits\": 8", "a histogram of another layout"},
        {"\"count\": 100,\n      \"min\"", "\"count\": 101,\n      \"min\"", "a histogram that does not add up"},
        {"\"min\": 100000,", "\"min\": 200000,", "a histogram that does not add up"},
        {"\"max\": 10000000,", "\"max\": 20000000,", "a histogram that does not add up"},
        {"\"cells\": [[", "\"cells\": [[1, 1], [", "a histogram that does not add up"},
        {"\"cells\": [[", "\"cells\": [[1, 0], [", "an empty cell"},
        {"\"cells\": [[", "\"cells\": [[257, 1], [", "a number that is no cell's lower bound"},
        {"\"cells\": [[", "\"cells\": [[9223372036854775808, 1], [", "cells that do not rise"},
        {"\"cells\": [[", "\"cells\": [[1, 18446744073709551615], [", "a histogram that does not add up"},
        {"\"cells\": [[", "\"cells\": [[1], [", "a comma is missing"},
        {"\"cells\": [[", "\"cells\": [[1, 1, 1], [", "a bracket is missing"},
        {"\"cells\": [[", "\"cells\": [1, [", "a cell is missing"},
        {"]]\n", "], ]\n", "a comma before a bracket"},
        {"\"latency_us\": {", "\"latency_us\": {\"response\": {}, ", NULL}, // computed: not looked at
    };
    size_t len = 0;
    plausible(&one);
    char *text = written(&one, &len);
    REQUIRE(text != NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *bad = replaced(text, rows[i].from, rows[i].to);
        ROW("%s -> %s", rows[i].from, rows[i].to);
        CHECK(bad != NULL);
        if (!bad) continue;
        const char *wrong = bench_json_parse(bad, strlen(bad), &two), *reason = wrong ? strstr(wrong, ": ") : NULL;
        CHECK_STR(reason ? reason + 2 : wrong, rows[i].wrong);
        if (wrong) CHECK(two.due == 0 && two.setup.url[0] == 0); // nothing half read is left
        free(bad);
    }
    free(text);
}

TEST(other_files_are_refused)
{
    static const char *const rows[] = {
        "", " ", "[]", "5", "null", "{", "{}", "\"a\"", "\xef\xbb\xbf{}", "hello", "{\"a\"}", "{,}", "{\"a\":1,}"};
    char *deep = (char *)malloc(100000);
    REQUIRE(deep != NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i]);
        CHECK(bench_json_parse(rows[i], strlen(rows[i]), &two) != NULL);
    }
    memset(deep, '[', 100000);
    memcpy(deep, "{\"a\":", 5);
    CHECK_STR(bench_json_parse(deep, 100000, &two), "line 1: too deep");
    for (size_t i = 5; i + 4 < 100000; i += 5) memcpy(deep + i, "{\"a\":", 5);
    CHECK_STR(bench_json_parse(deep, 100000, &two), "line 1: too deep");
    free(deep);
    size_t len = 0;
    plausible(&one);
    char *text = written(&one, &len), *more = text ? replaced(text, "\n}\n", "\n}\n{}") : NULL;
    REQUIRE(more != NULL);
    CHECK(strstr(bench_json_parse(more, strlen(more), &two), "something behind the end") != NULL);
    more[len] = 0; // a NUL behind the end is something too
    CHECK(bench_json_parse(more, len + 1, &two) != NULL);
    free(more);
    free(text);
}

// Goal: a file from before a member was written is still one; of the others none may be missing.
TEST(later_members_may_be_missing)
{
    size_t len = 0;
    plausible(&one);
    char *text = written(&one, &len), *old = text ? replaced(text, ",\n    \"request_body\": false", "") : NULL;
    REQUIRE(old != NULL && strlen(old) < len);
    CHECK(bench_json_parse(old, strlen(old), &two) == NULL);
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    free(old);
    old = replaced(text, ",\n    \"source_ips\": 0", "");
    REQUIRE(old != NULL && strlen(old) < len);
    CHECK(strstr(bench_json_parse(old, strlen(old), &two), "a member is missing") != NULL);
    free(old);
    free(text);
}

// Goal: a locale with another decimal point changes neither what is written nor what is read.
TEST(locale_changes_nothing)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "ps_AF.UTF-8"};
    char plain[48], other[48];
    size_t i = 0, len = 0;
    (void)bench_double_text(plain, sizeof plain, 1234567.25);
    CHECK_STR(plain, "1234567.25");
    CHECK_STR(bench_double_text(plain, sizeof plain, 0.1), "0.1");
    CHECK_STR(bench_double_text(plain, sizeof plain, 1e300 * 1e300), "0");
    while (i < sizeof names / sizeof names[0] && !setlocale(LC_NUMERIC, names[i])) i++;
    if (i == sizeof names / sizeof names[0]) SKIP("this machine has no locale with a decimal comma");
    CHECK_STR(bench_double_text(other, sizeof other, 0.1), "0.1");
    plausible(&one);
    one.setup.rate = 1234.5;
    char *text = written(&one, &len);
    CHECK(text && strstr(text, "\"requests_per_s\": 1234.5") != NULL);
    CHECK((text ? bench_json_parse(text, len, &two) : "") == NULL);
    CHECK(two.setup.rate > 1234.4 && two.setup.rate < 1234.6);
    free(text);
    (void)setlocale(LC_NUMERIC, "C");
}

// A file of this process; the caller removes it.
static bool saved(char *path, size_t size, const bench_result *result)
{
    return bench_save("--json", os_temp_path(path, size, "json"), bench_write_json, result);
}

TEST(files_are_read_and_written)
{
    char path[256], none[] = "/nonexistent/x.json";
    plausible(&one);
    REQUIRE(saved(path, sizeof path, &one));
    CHECK(bench_json_read(path, &two) == NULL);
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    (void)remove(path);
    CHECK_STR(bench_json_read(none, &two), strerror(ENOENT));
    CHECK(bench_json_read(os_temp(), &two) != NULL);
    CHECK(bench_save("--json", NULL, bench_write_json, &one)); // nobody asked for it
    CHECK(!bench_save("--json", none, bench_write_json, &one));
    if (os_exists(OS_FULL_FILE)) CHECK(!bench_save("--json", OS_FULL_FILE, bench_write_json, &one));
}

// Goal: of several runs the files have the one whose rate as many exceed as stay below, wherever it stands.
TEST(files_have_the_middle_run)
{
    static const uint64_t rates[][5] = {
        {3, 5, 1, 4, 2}, {1, 2, 3, 0, 0}, {2, 1, 0, 0, 0}, {7, 7, 7, 0, 0}, {1, 0, 0, 0, 0}};
    static const uint32_t counts[] = {5, 3, 2, 3, 1};
    static const uint64_t middles[] = {3, 2, 2, 7, 1};
    static bench_result runs[5];
    bench_options options;
    char path[256];
    memset(&options, 0, sizeof options);
    options.json_file = os_temp_path(path, sizeof path, "json");
    for (uint32_t i = 0; i < 5; i++) {
        ROW("%u", i);
        for (uint32_t k = 0; k < counts[i]; k++) {
            plausible(&runs[k]);
            runs[k].due = runs[k].done = rates[i][k];
        }
        REQUIRE(bench_save_middle(&options, runs, counts[i], (double)middles[i] / bench_run_s(&runs[0])));
        CHECK(bench_json_read(path, &two) == NULL);
        CHECK_EQ(two.done, middles[i]);
    }
    (void)remove(path);
}

// Goal: a reader that is not ours takes it, and finds what the schema promises.
TEST(python_reads_it)
{
    static const char program[] = "import json,sys\n"
                                  "d = json.load(open(sys.argv[1], encoding=\"utf-8\"))\n"
                                  "r = d[\"histograms\"][\"response_ns\"]\n"
                                  "assert d[\"schema\"] == \"fastserve-bench/1\"\n"
                                  "assert sum(n for low, n in r[\"cells\"]) == r[\"count\"]\n"
                                  "assert r[\"cells\"][0][0] <= r[\"min\"]\n"
                                  "o = d[\"outcomes\"]\n"
                                  "assert len(o[\"failed\"]) == 12 and len(d[\"latency_us\"]) == 5\n";
    char path[256], command[1200];
    if (!os_has_python()) SKIP("there is no python3");
    seed = 5;
    dice_result(&one);
    fsi_hist_add(&one.response, 5, 1);
    REQUIRE(saved(path, sizeof path, &one));
    (void)snprintf(command, sizeof command, "python3 -c '%s' %s", program, path);
    CHECK_EQ(system(command), 0);
    (void)remove(path);
}

// ---- merging

// Goal: what adds up adds up, what is a time is the longest, and slots lie at the second they were measured in.
TEST(merge_adds_up)
{
    plausible(&one);
    plausible(&two);
    one.setup.rate = two.setup.rate = 30;
    two.began_unix += 1;
    two.run_ns = 5000000000u;
    (void)snprintf(two.setup.system, sizeof two.setup.system, "Linux 2");
    CHECK(bench_merge(&one, &two) == NULL);
    CHECK_EQ(one.due, 220);
    CHECK_EQ(one.done, 200);
    CHECK_EQ(one.failed[BENCH_RESET], 8);
    CHECK_EQ(one.due, one.done + bench_errors(&one) + one.in_flight + one.unsent);
    CHECK_EQ(one.response.count, 200);
    CHECK_EQ(one.censored.count, 12);
    CHECK_EQ(one.response.min, 100000);
    CHECK_EQ(one.run_ns, 5000000000u);
    CHECK_EQ(one.began_unix, 1700000000);
    CHECK_EQ(one.setup.threads, 4);
    CHECK_EQ(one.setup.connections, 20);
    CHECK(one.setup.rate > 59.9 && one.setup.rate < 60.1);
    CHECK_STR(one.setup.system, "several");
    CHECK_EQ(one.slot_count, 5);
    CHECK_EQ(one.slot_ns, 1000000000);
    static const uint64_t done[] = {25, 50, 50, 50, 25}, p50[] = {1000000, 1500000, 2500000, 3500000, 4000000};
    for (uint32_t i = 0; i < 5; i++) {
        ROW("slot %u", i);
        CHECK_EQ(one.slots[i].done, done[i]);
        CHECK_EQ(one.slots[i].p50, p50[i]);
    }
}

// Goal: the order does not matter for what can be counted.
TEST(merge_in_any_order)
{
    for (uint64_t n = 0; n < 20; n++) {
        ROW("seed=%llu", (unsigned long long)n);
        seed = n;
        plausible(&one);
        plausible(&two);
        one.began_unix += (int64_t)(dice() % 2);
        two.slot_ns *= 1u << (dice() % 3);
        dice_hist(&two.connect, 50);
        fsi_hist_add(&one.response, dice_log() >> 8, 3);
        three = one;
        CHECK(bench_merge(&one, &two) == NULL);
        CHECK(bench_merge(&two, &three) == NULL);
        CHECK_EQ(one.due, two.due);
        CHECK_EQ(one.began_unix, two.began_unix);
        CHECK_EQ(one.slot_count, two.slot_count);
        CHECK_EQ(one.slot_ns, two.slot_ns);
        for (uint32_t i = 0; i < one.slot_count; i++) { // a p50 is weighed, and rounded in another order
            CHECK(one.slots[i].p50 < two.slots[i].p50 + 4 && two.slots[i].p50 < one.slots[i].p50 + 4);
            one.slots[i].p50 = two.slots[i].p50;
        }
        CHECK(memcmp(one.slots, two.slots, sizeof one.slots) == 0);
        CHECK(memcmp(one.response.cells, two.response.cells, sizeof one.response.cells) == 0);
        CHECK(memcmp(one.connect.cells, two.connect.cells, sizeof one.connect.cells) == 0);
    }
}

// Goal: series that do not fit any more get longer slots, and nothing in them is lost.
TEST(merge_makes_slots_longer)
{
    plausible(&one);
    plausible(&two);
    for (uint32_t i = 0; i < BENCH_SLOTS_MAX; i++) one.slots[i] = two.slots[i] = one.slots[0];
    one.slot_count = two.slot_count = BENCH_SLOTS_MAX;
    one.run_ns = two.run_ns = (uint64_t)BENCH_SLOTS_MAX * 1000000000u;
    two.began_unix += 3;
    CHECK(bench_merge(&one, &two) == NULL);
    CHECK_EQ(one.slot_ns, 2000000000u);
    CHECK_EQ(one.slot_count, BENCH_SLOTS_MAX / 2 + 2);
    uint64_t done = 0;
    for (uint32_t i = 0; i < one.slot_count; i++) done += one.slots[i].done;
    CHECK_EQ(done, 2 * 25 * BENCH_SLOTS_MAX);
}

TEST(merge_refuses_what_cannot_be_added)
{
    for (int row = 0; row < 16; row++) {
        plausible(&one);
        plausible(&two);
        ROW("%d", row);
        if (row == 0) (void)snprintf(two.setup.url, sizeof two.setup.url, "http://other/");
        if (row == 1) two.setup.echo = true;
        if (row == 2) two.setup.rate = 5;
        if (row == 3) two.began_unix += 60;
        if (row == 4) two.began_unix = INT64_MIN, one.began_unix = INT64_MAX;
        if (row == 5) two.response.count = UINT64_MAX;
        if (row == 6) two.slot_ns = 1500000000;
        if (row == 7) two.began_unix += 3; // of 4 s
        if (row > 7) {                     // each histogram
            fsi_hist *left = (fsi_hist *)(void *)((char *)&one + bench_hists_members[row - 8].offset);
            fsi_hist *right = (fsi_hist *)(void *)((char *)&two + bench_hists_members[row - 8].offset);
            left->count = UINT64_MAX - 2;
            right->count = 3;
        }
        three = one;
        CHECK(bench_merge(&one, &two) != NULL);
        if (row > 7) CHECK_STR(bench_merge(&one, &two), "counts too large to be added");
        CHECK(memcmp(&one, &three, sizeof one) == 0);
    }
}

// Goal: a run that was given twice does not count twice, under whatever name and wherever it stands.
TEST(merge_refuses_the_same_run)
{
    char a[256], b[256], again[256], merge[] = "merge";
    plausible(&one);
    plausible(&two);
    two.client_user_ns++; // as little as that makes it another one
    REQUIRE(saved(a, sizeof a, &one) && saved(b, sizeof b, &two) && saved(again, sizeof again, &one));
    char *fine[] = {merge, a, b, NULL}, *next[] = {merge, a, a, NULL}, *far[] = {merge, a, b, a, NULL},
         *copy[] = {merge, b, a, again, NULL};
    CHECK_EQ(bench_main_merge(3, fine), BENCH_EXIT_OK);
    CHECK_EQ(bench_main_merge(3, next), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(4, far), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(4, copy), BENCH_EXIT_USAGE);
    (void)remove(a);
    (void)remove(b);
    (void)remove(again);
}

// Goal: the commands, as far as no terminal is needed: exit statuses, and a sum that can be read again.
TEST(main_merge_and_compare)
{
    char a[256], b[256], sum[256], none[] = "/nonexistent/x.json", json[] = "--json", frob[] = "--frob",
                                   merge[] = "merge", compare[] = "compare", quiet[] = OS_NULL_FILE;
    plausible(&one);
    plausible(&two);
    two.began_unix += 1;
    REQUIRE(saved(a, sizeof a, &one) && saved(b, sizeof b, &two));
    (void)os_temp_path(sum, sizeof sum, "sum");
    char *good[] = {merge, a, json, sum, b, NULL}, *few[] = {merge, a, NULL}, *gone[] = {merge, a, none, NULL},
         *odd[] = {merge, a, frob, b, NULL}, *bare[] = {merge, a, b, json, NULL},
         *lost[] = {merge, a, b, json, none, NULL}, *empty[] = {merge, a, quiet, NULL};
    CHECK_EQ(bench_main_merge(5, good), BENCH_EXIT_OK);
    CHECK(bench_json_read(sum, &three) == NULL);
    CHECK_EQ(three.due, 220);
    CHECK_EQ(bench_main_merge(2, few), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(3, gone), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(4, odd), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(4, bare), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(5, lost), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_merge(3, empty), BENCH_EXIT_USAGE);
    one.due++;
    REQUIRE(bench_save("--json", a, bench_write_json, &one));
    CHECK_EQ(bench_main_merge(5, good), BENCH_EXIT_UNTRUSTED);
    char *two_files[] = {compare, a, b, NULL}, *three_files[] = {compare, a, b, b, NULL},
         *no_file[] = {compare, a, none, NULL}, *option[] = {compare, frob, b, NULL};
    CHECK_EQ(bench_main_compare(3, two_files), BENCH_EXIT_UNTRUSTED);
    CHECK_EQ(bench_main_compare(4, three_files), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_compare(3, no_file), BENCH_EXIT_USAGE);
    CHECK_EQ(bench_main_compare(3, option), BENCH_EXIT_USAGE);
    (void)remove(a);
    (void)remove(b);
    (void)remove(sum);
}

TEST_MAIN(CASE(tables_have_every_member), CASE(round_trip_is_exact), CASE(empty_result_round_trips),
          CASE(invalid_utf8_is_replaced), CASE(summary_says_what_is_beyond), CASE(truncated_at_every_byte),
          CASE(hostile_json_is_refused), CASE(other_files_are_refused), CASE(later_members_may_be_missing),
          CASE(locale_changes_nothing), CASE(files_are_read_and_written), CASE(files_have_the_middle_run),
          CASE(python_reads_it), CASE(merge_adds_up), CASE(merge_in_any_order), CASE(merge_makes_slots_longer),
          CASE(merge_refuses_what_cannot_be_added), CASE(merge_refuses_the_same_run), CASE(main_merge_and_compare))
