// test_entity.c: >>entity. All of it is pure functions, so the tests are tables, complete truth tables, and comparisons
// with the rule of the RFC written out a second time.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#define S(literal) literal, sizeof(literal) - 1
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define NOW 1763733844 // Fri, 21 Nov 2025 14:04:04 GMT

static uint64_t seed;

static uint64_t dice(void) // splitmix64
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// A heap copy of exactly its size: ASan sees one byte read too many.
static char *exact(const char *text, size_t len)
{
    char *copy = (char *)malloc(len ? len : 1);
    if (!copy) abort();
    if (len) memcpy(copy, text, len);
    return copy;
}

static int64_t date_read(const char *text, size_t len, int64_t now_s)
{
    char *copy = exact(text, len);
    int64_t s = fsi_date_read(copy, len, now_s);
    free(copy);
    return s;
}

// ---- dates

// Goal: the three forms are read as the RFC's example says, and nothing that differs from them in a byte.
TEST(date_read_table)
{
    static const struct row {
        const char *text;
        size_t len;
        int64_t want;
    } rows[] = {
        {S("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777},
        {S("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777},
        {S("Sun Nov  6 08:49:37 1994"), 784111777},
        {S("Thu, 01 Jan 1970 00:00:00 GMT"), 0},
        {S("Wed, 31 Dec 1969 23:59:59 GMT"), -1},
        {S("Thu Jan  1 00:00:00 1970"), 0},
        {S("Thu Jan 01 00:00:00 1970"), 0}, // 2DIGIT may be 01
        {S("Wed Nov 16 08:49:37 1994"), 784975777},
        {S("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400},
        {S("Tue, 29 Feb 2028 00:00:00 GMT"), 1835395200},
        {S("Sat, 01 Jan 0000 00:00:00 GMT"), FSI_DATE_FIRST},
        {S("Fri, 31 Dec 9999 23:59:59 GMT"), FSI_DATE_LAST},
        {S("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800}, // a leap second
        {S("Saturday, 31-Dec-16 23:59:60 GMT"), 1483228800},
        {S("Sat Dec 31 23:59:60 2016"), 1483228800},
        {S("Mon, 06 Nov 1994 08:49:37 GMT"), 784111777}, // not that weekday: the grammar holds
        {S("Monday, 06-Nov-94 08:49:37 GMT"), 784111777},
        {S("Mon Nov  6 08:49:37 1994"), 784111777},
        {S(""), FSI_NO_TIME},
        {S("0"), FSI_NO_TIME},
        {S("784111777"), FSI_NO_TIME},
        {S("Sun"), FSI_NO_TIME},
        {S("Sun,"), FSI_NO_TIME},
        {S("Sunday,"), FSI_NO_TIME},
        {S(","), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37 UTC"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37 gmt"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37 +0000"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37 GMT "), FSI_NO_TIME},
        {S(" Sun, 06 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"), FSI_NO_TIME}, // a list (13.1.3)
        {S("sun, 06 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 NOV 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 6 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun,  6 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 8:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994  8:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06  Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun,\t06 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06-Nov-1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 94 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, +6 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov -994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 19940 08:49:37 GMT"), FSI_NO_TIME},
        {S("Xyz, 06 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("unM, 06 Nov 1994 08:49:37 GMT"), FSI_NO_TIME}, // across two names of the table
        {S("Sun, 06 anF 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 00 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Thu, 31 Nov 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 32 Dec 1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Wed, 29 Feb 1995 08:49:37 GMT"), FSI_NO_TIME},
        {S("Thu, 29 Feb 1900 08:49:37 GMT"), FSI_NO_TIME},
        {S("Wed, 30 Feb 2000 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 24:00:00 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:60:00 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:60 GMT"), FSI_NO_TIME}, // no leap second is there
        {S("Sun, 06 Nov 1994 23:58:60 GMT"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 22:59:60 GMT"), FSI_NO_TIME},
        {S("Sat, 31 Dec 2016 23:59:61 GMT"), FSI_NO_TIME},
        {S("Sunday, 06-Nov-1994 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sunday, 06 Nov 94 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sunda, 06-Nov-94 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sundays, 06-Nov-94 08:49:37 GMT"), FSI_NO_TIME},
        {S("Tuenesday, 06-Nov-94 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sun, 06-Nov-94 08:49:37 GMT"), FSI_NO_TIME},
        {S("Sunday Nov  6 08:49:37 1994"), FSI_NO_TIME},
        {S("Sun Nov 6 08:49:37 1994"), FSI_NO_TIME},
        {S("Sun Nov  6 08:49:37 1994 GMT"), FSI_NO_TIME},
        {S("Sun Nov  6 08:49:37 94"), FSI_NO_TIME},
        {S("Sun Nov   08:49:37 1994"), FSI_NO_TIME},
        {S("Sun Nov  0 08:49:37 1994"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994 08:49:37 GM\0"), FSI_NO_TIME},
        {S("Sun, 06 Nov 1994\00008:49:37 GMT"), FSI_NO_TIME},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("row %zu \"%s\"", i, rows[i].text);
        CHECK_EQ(date_read(rows[i].text, rows[i].len, NOW), rows[i].want);
    }
}

// Goal: what is written reads back as the same second, over all the years that it can say.
TEST(date_round_trip)
{
    for (int i = 0; i < 200000; i++) {
        char text[29];
        int64_t span = (int64_t)FSI_DATE_LAST - FSI_DATE_FIRST + 1,
                s = FSI_DATE_FIRST + (int64_t)(dice() % (uint64_t)span);
        CHECK(fsi_date_write(text, s) == text + 29);
        ROW("%.29s", text);
        CHECK_EQ(date_read(text, 29, NOW), s);
    }
}

// ---- ranges

// As "at+len,at+len", "ignore" or "outside".
static const char *ranges_text(const char *value, size_t len, uint64_t size, uint32_t max)
{
    static char text[4096];
    fsi_range out[64];
    char *copy = exact(value, len);
    int32_t n = fsi_ranges_read(copy, len, size, out, max);
    size_t used = 0;
    free(copy);
    if (n == 0) return "ignore";
    if (n < 0) return n == FSI_RANGES_OUTSIDE ? "outside" : "?";
    for (int32_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu+%llu", i ? "," : "",
                                 (unsigned long long)out[i].at, (unsigned long long)out[i].len);
    return text;
}

TEST(ranges_read_table)
{
    static const struct row {
        const char *value;
        size_t len;
        uint64_t size;
        const char *want;
    } rows[] = {
        {S("bytes=0-499"), 10000, "0+500"}, // 14.1.2
        {S("bytes=500-999"), 10000, "500+500"},
        {S("bytes=-500"), 10000, "9500+500"},
        {S("bytes=9500-"), 10000, "9500+500"},
        {S("bytes=0-0,-1"), 10000, "0+1,9999+1"},
        {S("bytes= 0-0, -2"), 10000, "0+1,9998+2"},
        {S("bytes= 0-999, 4500-5499, -1000"), 10000, "0+1000,4500+1000,9000+1000"},
        {S("bytes=500-600,601-999"), 10000, "500+500"},
        {S("bytes=500-700,601-999"), 10000, "500+500"},
        {S("bytes=-0"), 10000, "outside"},
        {S("bytes=10000-"), 10000, "outside"},
        {S("bytes=9999-"), 10000, "9999+1"},
        {S("bytes=0-"), 10000, "0+10000"},
        {S("bytes=-20000"), 10000, "0+10000"},
        {S("bytes=0-20000"), 10000, "0+10000"},
        {S("bytes=5-4"), 10000, "ignore"},
        {S("bytes=-"), 10000, "ignore"},
        {S("bytes="), 10000, "ignore"},
        {S("bytes=0-,0-"), 10000, "ignore"},
        {S("bytes=0-499,500-9999"), 10000, "ignore"},
        {S("items=0-5"), 10000, "ignore"},
        {S("bytes=0-"), 0, "outside"},
        {S("bytes=-5"), 0, "ignore"},
        {S("bytes=18446744073709551616-"), 10000, "outside"},
        {S("bytes=5-18446744073709551616"), 10000, "5+9995"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("row %zu \"%s\" of %llu", i, rows[i].value, (unsigned long long)rows[i].size);
        CHECK_STR(ranges_text(rows[i].value, rows[i].len, rows[i].size, 16), rows[i].want);
    }
}

// ---- tags

TEST(tag_listed_table)
{
    CHECK(fsi_tag_listed(S("\"a\", \"b\""), S("\"b\""), false));
    CHECK(fsi_tag_listed(S("*"), S(""), false));
    CHECK(!fsi_tag_listed(S("W/\"a\""), S("W/\"a\""), false));
    CHECK(fsi_tag_listed(S("W/\"a\""), S("\"a\""), true));
    CHECK(fsi_tag_listed(S(", ,\"a,b\" , ,"), S("\"a,b\""), false));
    CHECK(!fsi_tag_listed(S("\"a\", b"), S("\"a\""), true));
}

// ---- paths

TEST(path_first)
{
    char out[64];
    bool slash;
    CHECK_EQ(fsi_entity_path(out, S("/a//b/"), false, &slash), 3);
    CHECK_STR(out, "a/b");
    CHECK(slash);
    CHECK_EQ(fsi_entity_path(out, S("a/../b"), false, &slash), -1);
    CHECK_EQ(fsi_entity_path(out, S("%2e%2e%2Fb"), false, &slash), -1);
    CHECK_EQ(fsi_entity_path(out, S("con.txt"), false, &slash), -1);
    CHECK_EQ(fsi_entity_path(out, S("PROGRA~1"), false, &slash), -1);
}

TEST(types_are_sorted)
{
    for (size_t i = 1; i < COUNT(fsi_types); i++) {
        ROW("%s", fsi_types[i].extension);
        CHECK(strcmp(fsi_types[i - 1].extension, fsi_types[i].extension) < 0);
        CHECK_STR(fsi_type_of(fsi_types[i].extension, strlen(fsi_types[i].extension)), NULL);
    }
    CHECK_STR(fsi_type_of(S("a.HTML")), "text/html; charset=utf-8");
}

TEST(codings_first)
{
    uint8_t out[3];
    CHECK_EQ(fsi_codings_read(S("gzip, deflate, br"), out), 2);
    CHECK(out[0] == FSI_CODING_BR && out[1] == FSI_CODING_GZIP);
    CHECK_EQ(fsi_codings_read(S("gzip;q=0"), out), 0);
    CHECK_EQ(fsi_codings_read(S("br;q=0.5, gzip;q=0.8, *;q=0.1"), out), 3);
    CHECK(out[0] == FSI_CODING_GZIP && out[1] == FSI_CODING_BR && out[2] == FSI_CODING_ZSTD);
}

TEST_MAIN(CASE(date_read_table), CASE(date_round_trip), CASE(ranges_read_table), CASE(tag_listed_table),
          CASE(path_first), CASE(types_are_sorted), CASE(codings_first))
