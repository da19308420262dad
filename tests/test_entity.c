// test_entity.c: >>entity. All of it is pure functions, so the tests are tables, complete truth tables, and comparisons
// with the rule of the RFC written out a second time.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "paths.h"

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
    for (int i = 0; i < 100000; i++) {
        char text[29];
        int64_t span = (int64_t)FSI_DATE_LAST - FSI_DATE_FIRST + 1;
        int64_t s = FSI_DATE_FIRST + (int64_t)(dice() % (uint64_t)span);
        REQUIRE(fsi_date_write(text, s) == text + 29);
        ROW("%.29s", text);
        CHECK_EQ(date_read(text, 29, NOW), s);
    }
}

static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static int month_days(int year, int month)
{
    if (month == 2) return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// Goal: a calendar that counts day by day, from the Saturday that began the year 0, agrees at both ends of every month and
// on a day between, for 10,000 years; and the day after a month's last one is no date.
TEST(date_calendar)
{
    int64_t day = FSI_DATE_FIRST / 86400;
    for (int year = 0; year <= 9999; year++)
        for (int month = 1; month <= 12; month++) {
            int days = month_days(year, month), between = 1 + (int)(dice() % (uint64_t)days);
            for (int k = 0; k < 4; k++) {
                int mday = k == 0 ? 1 : k == 1 ? between : days + (k - 2);
                char want[40], got[30] = "";
                int64_t s = (day + mday - 1) * 86400 + 43261;
                size_t weekday = (size_t)((day + mday - 1 - FSI_DATE_FIRST / 86400 + 6) % 7);
                (void)snprintf(want, sizeof want, "%.3s, %02d %s %04d 12:01:01 GMT", day_names[weekday], mday,
                               month_names[month - 1], year);
                ROW("%s", want);
                CHECK_EQ(date_read(want, 29, NOW), mday > days ? FSI_NO_TIME : s);
                if (mday > days) continue;
                (void)fsi_date_write(got, s);
                CHECK_STR(got, want);
            }
            day += days;
        }
}

// Goal: seconds outside of the years with four digits become the first or the last second of these.
TEST(date_write_clamps)
{
    static const struct row {
        int64_t s;
        const char *want;
    } rows[] = {
        {INT64_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {FSI_DATE_FIRST - 1, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {FSI_DATE_FIRST, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {FSI_DATE_FIRST + 1, "Sat, 01 Jan 0000 00:00:01 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {FSI_DATE_LAST - 1, "Fri, 31 Dec 9999 23:59:58 GMT"},
        {FSI_DATE_LAST, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {(int64_t)FSI_DATE_LAST + 1, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char got[30] = "";
        ROW("%lld", (long long)rows[i].s);
        (void)fsi_date_write(got, rows[i].s);
        CHECK_STR(got, rows[i].want);
    }
}

// Goal: no byte of the forms is free. Of all texts that differ from a date in one byte, each is refused, or is the date
// that it says, which is found by writing it again; only the weekday may be another one.
TEST(date_every_byte)
{
    static const char imf[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    int accepted = 0;
    for (size_t at = 0; at < 29; at++)
        for (int c = 0; c < 256; c++) {
            char text[29], back[29];
            memcpy(text, imf, 29);
            text[at] = (char)c;
            int64_t s = date_read(text, 29, NOW);
            if (s == FSI_NO_TIME) continue;
            accepted++;
            (void)fsi_date_write(back, s);
            ROW("%.29s", text);
            CHECK_BYTES(back + 3, 26, text + 3, 26);
        }
    // Itself at 29 places, and with another digit: 16 26, 01 to 09; the year's four; 18, 00 to 09; 0 to 5 and 0 to 9, twice.
    CHECK_EQ(accepted, 29 + (2 + 8) + 4 * 9 + (1 + 9) + 2 * (5 + 9));
    static const char asc[] = "Sun Nov  6 08:49:37 1994", old[] = "Sunday, 06-Nov-94 08:49:37 GMT";
    for (size_t at = 0; at < 30; at++)
        for (int c = 0; c < 256; c++) {
            char text[30];
            size_t form = 0;
            for (; form < 2; form++) {
                size_t len = form ? 30 : 24;
                memcpy(text, form ? old : asc, len);
                if (at >= len) continue;
                text[at] = (char)c;
                ROW("%.*s", (int)len, text);
                bool digit = c >= '0' && c <= '9', was = text[at] == (form ? old : asc)[at];
                if (date_read(text, len, NOW) == FSI_NO_TIME)
                    CHECK(!was);
                else
                    CHECK(was || (digit && ((form ? old : asc)[at] <= '9'))); // a digit where one was, or its space
            }
        }
}

// Goal: a text that ends early is refused at every length, in every form, and nothing behind it is read.
TEST(date_cut_short)
{
    static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Wednesday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < COUNT(forms); i++)
        for (size_t len = 0; len <= strlen(forms[i]); len++) {
            ROW("%.*s", (int)len, forms[i]);
            CHECK_EQ(date_read(forms[i], len, NOW) != FSI_NO_TIME, len == strlen(forms[i]));
        }
}

static int64_t seconds_of(int year, const char *rest) // rest: "06 Nov 08:49:37"
{
    char text[64];
    (void)snprintf(text, sizeof text, "Sun, %.6s %04d%s GMT", rest, year, rest + 6);
    return date_read(text, strlen(text), NOW);
}

// Goal: two digits of a year mean the latest such year that is not more than 50 years ahead of now, to the second.
TEST(date_two_digit_years)
{
    static const struct row {
        const char *now, *text;
        int year; // 0: refused
    } rows[] = {
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", 1994},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-25 14:04:04 GMT", 2025},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-26 14:04:04 GMT", 2026},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-74 14:04:04 GMT", 2074},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-75 14:04:03 GMT", 2075},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-75 14:04:04 GMT", 2075}, // exactly 50 years
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-75 14:04:05 GMT", 1975}, // more
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 22-Nov-75 00:00:00 GMT", 1975},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 31-Dec-75 00:00:00 GMT", 1975},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 01-Jan-76 00:00:00 GMT", 1976},
        {"Fri, 21 Nov 2025 14:04:04 GMT", "Friday, 21-Nov-00 14:04:04 GMT", 2000},
        {"Fri, 31 Dec 1999 23:59:59 GMT", "Saturday, 01-Jan-00 00:00:00 GMT", 2000}, // the next century
        {"Fri, 31 Dec 1999 23:59:59 GMT", "Saturday, 31-Dec-49 23:59:59 GMT", 2049},
        {"Fri, 31 Dec 1999 23:59:59 GMT", "Saturday, 01-Jan-50 00:00:00 GMT", 1950},
        {"Sat, 01 Jan 2000 00:00:00 GMT", "Saturday, 01-Jan-50 00:00:00 GMT", 2050},
        {"Thu, 31 Dec 2099 23:59:59 GMT", "Friday, 01-Jan-01 00:00:00 GMT", 2101},
        {"Thu, 29 Feb 2024 12:00:00 GMT", "Friday, 28-Feb-74 12:00:00 GMT", 2074},
        {"Thu, 29 Feb 2024 12:00:00 GMT", "Friday, 01-Mar-74 12:00:00 GMT", 1974},
        {"Thu, 29 Feb 2024 12:00:00 GMT", "Friday, 29-Feb-76 00:00:00 GMT", 1976},
        {"Thu, 29 Feb 2024 12:00:00 GMT", "Friday, 29-Feb-72 00:00:00 GMT", 2072},
        {"Thu, 29 Feb 2024 12:00:00 GMT", "Friday, 29-Feb-74 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 12:00:00 GMT", "Friday, 29-Feb-00 00:00:00 GMT", 2000},
        {"Tue, 01 Jan 2080 00:00:00 GMT", "Friday, 29-Feb-00 00:00:00 GMT", 0}, // 2100 has no such day
        {"Fri, 31 Dec 9999 23:59:59 GMT", "Friday, 31-Dec-99 23:59:59 GMT", 9999},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char rest[32];
        int64_t now = date_read(rows[i].now, 29, 0);
        const char *date = strchr(rows[i].text, ',') + 2;
        (void)snprintf(rest, sizeof rest, "%.2s %.3s%.9s", date, date + 3, date + 9);
        ROW("row %zu %s at %s", i, rows[i].text, rows[i].now);
        REQUIRE(now != FSI_NO_TIME);
        CHECK_EQ(date_read(rows[i].text, strlen(rows[i].text), now),
                 rows[i].year ? seconds_of(rows[i].year, rest) : FSI_NO_TIME);
    }
}

// Goal: the same by trying the years one after the other, from too far ahead, at random times.
TEST(date_two_digit_years_tried)
{
    for (int i = 0; i < 20000; i++) {
        char text[48], rest[32];
        int now_year = 1950 + (int)(dice() % 300), month = 1 + (int)(dice() % 12), mday = 1 + (int)(dice() % 28);
        int digits = (int)(dice() % 100), year = now_year + 60;
        (void)snprintf(rest, sizeof rest, "%02d %s 08:49:37", mday, month_names[month - 1]);
        int64_t now = seconds_of(now_year, "07 Jun 08:49:38") + (int64_t)(dice() % 3) - 1;
        if (i % 3 == 0) (void)snprintf(rest, sizeof rest, "07 Jun 08:49:38"); // near to exactly 50 years
        if (i % 3 == 0) digits = (now_year + 50) % 100;
        (void)snprintf(text, sizeof text, "Monday, %.2s-%.3s-%02d%s GMT", rest, rest + 3, digits, rest + 6);
        while (year % 100 != digits || seconds_of(year - 50, rest) > now) year--;
        ROW("%s at %lld", text, (long long)now);
        CHECK_EQ(date_read(text, strlen(text), now), seconds_of(year, rest));
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

// Goal: the RFC's examples (14.1.2), the ends of a file, what is malformed, and sizes up to the largest.
TEST(ranges_read_table)
{
    static const struct row {
        const char *value;
        size_t len;
        uint64_t size;
        const char *want;
    } rows[] = {
        {S("bytes=0-499"), 10000, "0+500"},
        {S("bytes=500-999"), 10000, "500+500"},
        {S("bytes=-500"), 10000, "9500+500"},
        {S("bytes=9500-"), 10000, "9500+500"},
        {S("bytes=0-0,-1"), 10000, "0+1,9999+1"},
        {S("bytes= 0-0, -2"), 10000, "0+1,9998+2"},
        {S("bytes= 0-999, 4500-5499, -1000"), 10000, "0+1000,4500+1000,9000+1000"},
        {S("bytes=500-600,601-999"), 10000, "500+500"},
        {S("bytes=500-700,601-999"), 10000, "500+500"},
        // one byte, the ends, more than there is
        {S("bytes=0-0"), 10000, "0+1"},
        {S("bytes=9999-9999"), 10000, "9999+1"},
        {S("bytes=9999-"), 10000, "9999+1"},
        {S("bytes=9999-10000"), 10000, "9999+1"},
        {S("bytes=0-"), 10000, "0+10000"},
        {S("bytes=0-9999"), 10000, "0+10000"},
        {S("bytes=0-9998"), 10000, "0+9999"},
        {S("bytes=0-20000"), 10000, "0+10000"},
        {S("bytes=-1"), 10000, "9999+1"},
        {S("bytes=-9999"), 10000, "1+9999"},
        {S("bytes=-10000"), 10000, "0+10000"},
        {S("bytes=-10001"), 10000, "0+10000"},
        {S("bytes=0-0"), 1, "0+1"},
        {S("bytes=1-"), 1, "outside"},
        {S("bytes=-1"), 1, "0+1"},
        {S("bytes=007-0008"), 10000, "7+2"},
        // nothing of it is there
        {S("bytes=-0"), 10000, "outside"},
        {S("bytes=-00"), 10000, "outside"},
        {S("bytes=10000-"), 10000, "outside"},
        {S("bytes=10000-10000"), 10000, "outside"},
        {S("bytes=10000-,-0, 20000-30000"), 10000, "outside"},
        // some of it is
        {S("bytes=10000-,5-6"), 10000, "5+2"},
        {S("bytes=5-6,-0"), 10000, "5+2"},
        {S("bytes=20000-20001,9990-20000"), 10000, "9990+10"},
        // an empty file
        {S("bytes=0-"), 0, "outside"},
        {S("bytes=0-0"), 0, "outside"},
        {S("bytes=-0"), 0, "outside"},
        {S("bytes=-5"), 0, "ignore"},
        {S("bytes=0-5,-5"), 0, "ignore"},
        // the unit's case does not count, its name does (14.1)
        {S("Bytes=0-499"), 10000, "0+500"},
        {S("BYTES=-500"), 10000, "9500+500"},
        {S("items=0-5"), 10000, "ignore"},
        {S("byte=0-5"), 10000, "ignore"},
        {S("bytess=0-5"), 10000, "ignore"},
        {S("bytes 0-5"), 10000, "ignore"},
        {S("bytes:0-5"), 10000, "ignore"},
        {S("bytes =0-5"), 10000, "ignore"},
        {S(" bytes=0-5"), 10000, "ignore"},
        {S("0-5"), 10000, "ignore"},
        {S("none"), 10000, "ignore"},
        {S("bytes"), 10000, "ignore"},
        {S(""), 10000, "ignore"},
        // empty list elements are passed over (5.6.1.2), but one must be there
        {S("bytes=,0-5"), 10000, "0+6"},
        {S("bytes=0-5,"), 10000, "0+6"},
        {S("bytes=, ,\t0-5 ,, 100-105\t,"), 10000, "0+6,100+6"},
        {S("bytes="), 10000, "ignore"},
        {S("bytes=,"), 10000, "ignore"},
        {S("bytes= , ,"), 10000, "ignore"},
        // one malformed spec spoils them all (14.1.1)
        {S("bytes=-"), 10000, "ignore"},
        {S("bytes=5"), 10000, "ignore"},
        {S("bytes=5-4"), 10000, "ignore"},
        {S("bytes=0-5,5-4"), 10000, "ignore"},
        {S("bytes=5-4,0-5"), 10000, "ignore"},
        {S("bytes=20000-10000"), 10000, "ignore"},
        {S("bytes=0-5,a"), 10000, "ignore"},
        {S("bytes=0-5;6-7"), 10000, "ignore"},
        {S("bytes=0--5"), 10000, "ignore"},
        {S("bytes=--5"), 10000, "ignore"},
        {S("bytes=0-5-"), 10000, "ignore"},
        {S("bytes=0-5-7"), 10000, "ignore"},
        {S("bytes=0 -5"), 10000, "ignore"},
        {S("bytes=0- 5"), 10000, "ignore"},
        {S("bytes=0-5 6-7"), 10000, "ignore"},
        {S("bytes=+0-5"), 10000, "ignore"},
        {S("bytes=0-+5"), 10000, "ignore"},
        {S("bytes=0x0-0x5"), 10000, "ignore"},
        {S("bytes=a-z"), 10000, "ignore"},
        {S("bytes=0-5a"), 10000, "ignore"},
        {S("bytes=0-5:"), 10000, "ignore"}, // the bytes beside the digits
        {S("bytes=0-5/"), 10000, "ignore"},
        {S("bytes=0:-5"), 10000, "ignore"},
        {S("bytes=/0-5"), 10000, "ignore"},
        {S("bytes=0-:"), 10000, "ignore"},
        {S("bytes=:-5"), 10000, "ignore"},
        {S("bytes=0.0-5"), 10000, "ignore"},
        {S("bytes=*"), 10000, "ignore"},
        {S("bytes=0-5/10000"), 10000, "ignore"},
        {S("bytes=\"0-5\""), 10000, "ignore"},
        {S("bytes=0-5\0"), 10000, "ignore"},
        {S("bytes=bytes=0-5"), 10000, "ignore"},
        {S("bytes=0-5, bytes=6-7"), 10000, "ignore"},
        // numbers that do not fit in 64 bits are valid, and far behind the end
        {S("bytes=18446744073709551615-"), 10000, "outside"},
        {S("bytes=18446744073709551616-"), 10000, "outside"},
        {S("bytes=18446744073709551617-18446744073709551618"), 10000, "outside"},
        {S("bytes=340282366920938463463374607431768211461-"), 10000, "outside"},
        {S("bytes=5-18446744073709551615"), 10000, "5+9995"},
        {S("bytes=5-18446744073709551616"), 10000, "5+9995"},
        {S("bytes=5-18446744073709551622"), 10000, "5+9995"}, // 2^64 + 6
        {S("bytes=5-99999999999999999999999999999999999999"), 10000, "5+9995"},
        {S("bytes=-18446744073709551615"), 10000, "0+10000"},
        {S("bytes=-18446744073709551617"), 10000, "0+10000"}, // 2^64 + 1
        {S("bytes=18446744073709551616-5"), 10000, "ignore"},
        // large files
        {S("bytes=4294967295-4294967296"), 10000000000, "4294967295+2"},
        {S("bytes=4294967296-"), 10000000000, "4294967296+5705032704"},
        {S("bytes=-4294967297"), 10000000000, "5705032703+4294967297"},
        {S("bytes=18446744073709551613-"), UINT64_MAX, "18446744073709551613+2"},
        {S("bytes=0-18446744073709551614"), UINT64_MAX, "0+18446744073709551615"},
        {S("bytes=0-"), UINT64_MAX, "0+18446744073709551615"},
        {S("bytes=18446744073709551614-18446744073709551614,0-0"), UINT64_MAX, "0+1,18446744073709551614+1"},
        {S("bytes=18446744073709551615-"), UINT64_MAX, "outside"},
        // order and merging: a gap of 80 bytes stays
        {S("bytes=9000-9999,0-999"), 10000, "0+1000,9000+1000"},
        {S("bytes=-1,5000-5000,0-0"), 10000, "0+1,5000+1,9999+1"},
        {S("bytes=0-9,10-19"), 10000, "0+20"},
        {S("bytes=0-9,11-19"), 10000, "0+20"},
        {S("bytes=0-9,89-99"), 10000, "0+100"},
        {S("bytes=0-9,90-99"), 10000, "0+10,90+10"},
        {S("bytes=90-99,0-9"), 10000, "0+10,90+10"},
        {S("bytes=0-99,50-60"), 10000, "0+100"},
        {S("bytes=50-60,0-99"), 10000, "0+100"},
        {S("bytes=0-99,0-99,0-99"), 10000, "0+100"},
        {S("bytes=0-99,50-149,1000-1099,1050-"), 10000, "0+150,1000+9000"},
        {S("bytes=0-9,60-69,120-129,300-309"), 10000, "0+130,300+10"}, // one bridges the gap of its neighbours
        {S("bytes=120-129,0-9,60-69"), 10000, "0+130"},
        // several that are the whole file together
        {S("bytes=0-,0-"), 10000, "ignore"},
        {S("bytes=0-,-1"), 10000, "ignore"},
        {S("bytes=0-499,500-9999"), 10000, "ignore"},
        {S("bytes=0-499,500-9998"), 10000, "0+9999"},
        {S("bytes=-10000,20000-"), 10000, "ignore"},
        {S("bytes=0-0,0-0"), 1, "ignore"},
        {S("bytes=0-4,85-99"), 100, "0+5,85+15"},
        {S("bytes=0-4,84-99"), 100, "ignore"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("row %zu \"%s\" of %llu", i, rows[i].value, (unsigned long long)rows[i].size);
        CHECK_STR(ranges_text(rows[i].value, rows[i].len, rows[i].size, 16), rows[i].want);
    }
}

static size_t ranges_many(char *text, size_t count, uint64_t from, uint64_t step, uint64_t len)
{
    size_t used = 6;
    memcpy(text, "bytes=", 6);
    for (size_t i = 0; i < count; i++)
        used += (size_t)sprintf(text + used, "%s%llu-%llu", i ? "," : "", (unsigned long long)(from + i * step),
                                (unsigned long long)(from + i * step + len - 1));
    return used;
}

// Goal: how many ranges there may be, before and after merging; what is abuse costs no part.
TEST(ranges_too_many)
{
    static char text[64000];
    static const struct row {
        size_t count;
        uint64_t step, len;
        uint32_t max;
        const char *want; // its beginning
    } rows[] = {
        {64, 1000, 10, 64, "0+10,1000+10,"},
        {65, 1000, 10, 64, "ignore"},
        {65, 1, 10, 64, "ignore"}, // also when one would be left
        {64, 1, 10, 64, "0+73"},
        {16, 1000, 10, 16, "0+10,1000+10,"},
        {17, 1000, 10, 16, "ignore"},
        {2, 1000, 10, 1, "ignore"},
        {2, 1, 10, 1, "0+11"},
        {1, 1, 10, 1, "0+10"},
        {1, 1, 10, 0, "ignore"},
        {1000, 1, 1000, 16, "ignore"},
        {1000, 0, 5, 16, "ignore"},
        {1000, 100000, 5, 64, "ignore"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = ranges_many(text, rows[i].count, 0, rows[i].step, rows[i].len);
        const char *got = ranges_text(text, len, 1000000000, rows[i].max);
        ROW("row %zu", i);
        CHECK_BYTES(got, strlen(got) < strlen(rows[i].want) ? strlen(got) : strlen(rows[i].want), rows[i].want,
                    strlen(rows[i].want));
    }
    size_t used = (size_t)sprintf(text, "bytes="); // backwards is no worse
    for (int i = 63; i >= 0; i--) used += (size_t)sprintf(text + used, "%d-%d%s", i * 1000, i * 1000 + 9, i ? "," : "");
    fsi_range out[64];
    CHECK_EQ(fsi_ranges_read(text, used, 1000000, out, 64), 64);
    for (uint32_t i = 0; i < 64; i++) CHECK(out[i].at == i * 1000 && out[i].len == 10);
}

#define SMALL_FILE 1000

// Goal: what comes out is the union of what was asked for, with gaps below 80 bytes filled: by marking every byte.
TEST(ranges_by_marking_bytes)
{
    for (int round = 0; round < 20000; round++) {
        char text[256] = "bytes=";
        bool asked[SMALL_FILE] = {false};
        uint64_t size = 1 + dice() % (round & 1 ? SMALL_FILE : 400);
        size_t specs = 1 + (size_t)(dice() % 5), good = 0, used = 6, want = 0, sum = 0;
        fsi_range ranges[64], got[64];
        for (size_t i = 0; i < specs; i++) {
            uint64_t first = dice() % (size + 20), last = first + dice() % 120, kind = dice() % 8;
            if (kind == 0) first = size - (last % size) - 1, last = size - 1; // the last ones
            used += (size_t)sprintf(text + used, kind == 0 ? "%s-%llu" : "%s%llu-%llu", i ? "," : "",
                                    (unsigned long long)(kind == 0 ? size - first : first), (unsigned long long)last);
            good += first < size;
            for (uint64_t k = first; k <= last && k < size; k++) asked[k] = true;
        }
        for (uint64_t k = 0, gap = SMALL_FILE; k < size; k++) {
            if (!asked[k]) {
                gap++;
            } else {
                if (want == 0 || gap >= 80) ranges[want++].at = k;
                ranges[want - 1].len = k + 1 - ranges[want - 1].at;
                gap = 0;
            }
        }
        for (size_t i = 0; i < want; i++) sum += (size_t)ranges[i].len;
        ROW("%.200s of %llu", text, (unsigned long long)size);
        int32_t n = fsi_ranges_read(text, used, size, got, 64);
        if (good == 0)
            CHECK_EQ(n, FSI_RANGES_OUTSIDE);
        else if (specs > 1 && sum >= size)
            CHECK_EQ(n, 0);
        else
            CHECK_BYTES((const char *)got, (size_t)(n > 0 ? n : 0) * sizeof *got, (const char *)ranges,
                        want * sizeof *ranges);
    }
}

// ---- tags

static bool tag_listed(const char *list, size_t len, const char *tag, size_t tag_len, bool weak)
{
    char *list_copy = exact(list, len), *tag_copy = exact(tag, tag_len);
    bool listed = fsi_tag_listed(list_copy, len, tag_copy, tag_len, weak);
    free(list_copy);
    free(tag_copy);
    return listed;
}

// Goal: lists of every form (5.6.1, 8.8.3), with what each comparison says (8.8.3.2's table among them).
TEST(tag_listed_table)
{
    static const struct row {
        const char *list;
        size_t len;
        const char *tag;
        bool strong, weak;
    } rows[] = {
        {S("W/\"1\""), "W/\"1\"", false, true}, // the RFC's table
        {S("W/\"1\""), "W/\"2\"", false, false},
        {S("W/\"1\""), "\"1\"", false, true},
        {S("\"1\""), "W/\"1\"", false, true},
        {S("\"1\""), "\"1\"", true, true},
        {S("\"xyzzy\""), "\"xyzzy\"", true, true}, // 13.1.1, 13.1.2
        {S("\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\""), "\"r2d2xxxx\"", true, true},
        {S("\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\""), "\"c3piozzzz\"", true, true},
        {S("\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\""), "\"xyzzy\"", true, true},
        {S("\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\""), "\"r2d2\"", false, false},
        {S("W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\""), "\"r2d2xxxx\"", false, true},
        {S("W/\"a\", \"a\""), "\"a\"", true, true},
        {S("\"b\", W/\"a\""), "\"a\"", false, true},
        // "*" is for anything that is there
        {S("*"), "\"a\"", true, true},
        {S("*"), "W/\"a\"", true, true},
        {S("*"), "", true, true},
        {S("\"*\""), "\"a\"", false, false},
        {S("\"*\""), "\"*\"", true, true},
        {S("*, \"a\""), "\"a\"", false, false},
        {S("\"a\", *"), "\"a\"", false, false},
        {S("**"), "\"a\"", false, false},
        {S("* "), "\"a\"", false, false},
        // no tag of our own
        {S("\"a\""), "", false, false},
        {S("\"\""), "", false, false},
        // empty elements, white space
        {S(""), "\"a\"", false, false},
        {S(","), "\"a\"", false, false},
        {S(" ,\t, "), "\"a\"", false, false},
        {S(",\"a\""), "\"a\"", true, true},
        {S("\"a\","), "\"a\"", true, true},
        {S(", ,\"b\" ,,\t\"a\"\t, ,"), "\"a\"", true, true},
        {S("\"b\",\"a\""), "\"a\"", true, true},
        {S("\"b\" , \"a\""), "\"a\"", true, true},
        // commas, semicolons and backslashes are bytes of a tag like others
        {S("\"a,b\""), "\"a,b\"", true, true},
        {S("\"a,b\""), "\"a\"", false, false},
        {S("\"a,b\""), "\"b\"", false, false},
        {S("\"x\", \"a,b\", \"y\""), "\"a,b\"", true, true},
        {S("\"x,\", \",y\""), "\", \"", false, false},
        {S("\",\""), "\",\"", true, true},
        {S("\"a\\\""), "\"a\\\"", true, true},
        {S("\"a;q=1\""), "\"a;q=1\"", true, true},
        {S("\"\""), "\"\"", true, true},
        {S("W/\"\""), "\"\"", false, true},
        {S("\"W/\""), "\"W/\"", true, true},
        {S("\"\xc3\xa4\""), "\"\xc3\xa4\"", true, true},
        // the whole tag counts, and its case
        {S("\"a\""), "\"A\"", false, false},
        {S("\"a\""), "\"ab\"", false, false},
        {S("\"ab\""), "\"a\"", false, false},
        {S("\"ba\""), "\"a\"", false, false},
        // malformed anywhere: nothing is named
        {S("a"), "\"a\"", false, false},
        {S("'a'"), "\"a\"", false, false},
        {S("\"a"), "\"a\"", false, false},
        {S("a\""), "\"a\"", false, false},
        {S("\""), "\"a\"", false, false},
        {S("\"a\", b"), "\"a\"", false, false},
        {S("b, \"a\""), "\"a\"", false, false},
        {S("\"a\", \"b"), "\"a\"", false, false},
        {S("\"a\", \"b "), "\"a\"", false, false},
        {S("\"a\", \"b\x7f"), "\"a\"", false, false},
        {S("\"a\", \""), "\"a\"", false, false},
        {S("\"a\" \"b\""), "\"a\"", false, false},
        {S("\"a\"\"b\""), "\"a\"", false, false},
        {S("\"a\";\"b\""), "\"a\"", false, false},
        {S("\"a\"x"), "\"a\"", false, false},
        {S("x\"a\""), "\"a\"", false, false},
        {S("w/\"a\""), "\"a\"", false, false}, // the W is a capital
        {S("W\"a\""), "\"a\"", false, false},
        {S("/\"a\""), "\"a\"", false, false},
        {S("W/a"), "\"a\"", false, false},
        {S("W/"), "\"a\"", false, false},
        {S("W"), "\"a\"", false, false},
        {S("W/ \"a\""), "\"a\"", false, false},
        {S("W/W/\"a\""), "\"a\"", false, false},
        {S("W/*"), "\"a\"", false, false},
        {S("\"a b\""), "\"a b\"", false, false},
        {S("\"a\tb\""), "\"a\tb\"", false, false},
        {S("\"a\", \"b\0\""), "\"a\"", false, false},
        {S("\"a\", \"\x7f\""), "\"a\"", false, false},
        {S("\"a\"\n\"b\""), "\"a\"", false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("row %zu %s against %s", i, rows[i].list, rows[i].tag);
        CHECK_EQ(tag_listed(rows[i].list, rows[i].len, rows[i].tag, strlen(rows[i].tag), false), rows[i].strong);
        CHECK_EQ(tag_listed(rows[i].list, rows[i].len, rows[i].tag, strlen(rows[i].tag), true), rows[i].weak);
    }
}

// Goal: every byte that the RFC lets into a tag, etagc = %x21 / %x23-7E / obs-text, and no other one.
TEST(tag_every_byte)
{
    for (int c = 0; c < 256; c++) {
        char tag[4] = {'"', (char)c, 'x', '"'}, list[11] = {'"', 'y', '"', ',', ' ', '"', (char)c, 'x', '"', ',', 0};
        ROW("byte %d", c);
        CHECK_EQ(tag_listed(list, 10, tag, 4, false), c == 0x21 || (c >= 0x23 && c <= 0x7e) || c >= 0x80);
    }
}

// ---- conditions

#define TAG "\"now\""
#define WEAK_TAG "W/\"now\""
#define BEFORE "Fri, 21 Nov 2025 10:00:00 GMT"
#define EXACT "Fri, 21 Nov 2025 10:00:01 GMT"
#define AFTER "Fri, 21 Nov 2025 10:00:02 GMT"
#define MODIFIED 1763719201

// What a field can say, and what that means for a file whose tag is TAG, or WEAK_TAG, or none.
typedef struct tags_row {
    const char *value; // NULL: not there
    bool any, strong, weak;
} tags_row;

static const tags_row tags_rows[] = {
    {NULL, false, false, false},         {"*", true, true, true},        {"\"no\"", false, false, false},
    {"\"no\", " TAG, false, true, true}, {WEAK_TAG, false, false, true}, {"", false, false, false},
    {TAG ", no", false, false, false},
};

// Of a date: is the file newer than that? -1: the field is malformed, so to be left out.
typedef struct dates_row {
    const char *value; // NULL: not there
    int newer;
} dates_row;

static const dates_row dates_rows[] = {
    {NULL, -1},
    {BEFORE, 1},
    {EXACT, 0},
    {AFTER, 0},
    {"Friday, 21-Nov-25 10:00:00 GMT", 1},
    {"Fri Nov 21 10:00:01 2025", 0},
    {"Sat, 01 Jan 2050 00:00:00 GMT", 0}, // a date to come counts: only its clock says so
    {"yesterday", -1},
    {BEFORE ", " AFTER, -1},
    {"", -1},
};

static fsv_str str(const char *text)
{
    fsv_str s = {text, text ? strlen(text) : 0};
    return s;
}

// 13.2.2, its steps one by one. tag: 0 none, 1 weak, 2 strong.
static uint32_t steps(const tags_row *match, const dates_row *unmodified, const tags_row *none,
                      const dates_row *modified, int tag, bool has_time)
{
    // 1. If-Match, strong; 2. without it If-Unmodified-Since
    bool match_true = match->any || (tag == 2 && match->strong);
    bool none_false = none->any || (tag > 0 && none->weak);
    if (match->value && !match_true) return 412;
    if (!match->value && unmodified->value && has_time && unmodified->newer == 1) return 412;
    // 3. If-None-Match, weak; 4. without it If-Modified-Since
    if (none->value && none_false) return 304;
    if (!none->value && modified->value && has_time && modified->newer == 0) return 304;
    return 0; // 5. is the range's
}

// Goal: the order of 13.2.2, for everything that the four fields can say about every kind of file.
TEST(conditions_truth_table)
{
    static const char *const tags[] = {"", WEAK_TAG, TAG};
    size_t rows = 0, seen[3] = {0, 0, 0};
    for (size_t i = 0; i < COUNT(tags_rows) * COUNT(dates_rows); i++)
        for (size_t k = 0; k < COUNT(tags_rows) * COUNT(dates_rows); k++)
            for (int tag = 0; tag < 3; tag++)
                for (int has_time = 0; has_time < 2; has_time++) {
                    const tags_row *match = &tags_rows[i % COUNT(tags_rows)], *none = &tags_rows[k % COUNT(tags_rows)];
                    const dates_row *unmodified = &dates_rows[i / COUNT(tags_rows)];
                    const dates_row *modified = &dates_rows[k / COUNT(tags_rows)];
                    fsi_conditions c;
                    memset(&c, 0, sizeof c);
                    c.if_match = str(match->value);
                    c.if_unmodified_since = str(unmodified->value);
                    c.if_none_match = str(none->value);
                    c.if_modified_since = str(modified->value);
                    ROW("If-Match: %s If-Unmodified-Since: %s If-None-Match: %s If-Modified-Since: %s tag %d time %d",
                        match->value ? match->value : "-", unmodified->value ? unmodified->value : "-",
                        none->value ? none->value : "-", modified->value ? modified->value : "-", tag, has_time);
                    uint32_t want = steps(match, unmodified, none, modified, tag, has_time != 0);
                    CHECK_EQ(
                        fsi_conditions_judge(&c, tags[tag], strlen(tags[tag]), has_time ? MODIFIED : FSI_NO_TIME, NOW),
                        want);
                    seen[want == 412 ? 2 : want == 304]++;
                    rows++;
                }
    CHECK_EQ(rows, 7 * 7 * 10 * 10 * 3 * 2);
    CHECK(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000);
}

// Goal: Range and If-Range have no say in whether there is an answer.
TEST(conditions_leave_ranges_alone)
{
    fsi_conditions c;
    memset(&c, 0, sizeof c);
    CHECK_EQ(fsi_conditions_judge(&c, S(TAG), MODIFIED, NOW), 0);
    c.range = str("bytes=0-0");
    c.if_range = str("\"other\"");
    CHECK_EQ(fsi_conditions_judge(&c, S(TAG), MODIFIED, NOW), 0);
    c.if_none_match = str(TAG);
    CHECK_EQ(fsi_conditions_judge(&c, S(TAG), MODIFIED, NOW), 304);
}

// Goal: a file from before 1970 has a time like others; a two-digit year is seen from now.
TEST(conditions_odd_times)
{
    fsi_conditions c;
    memset(&c, 0, sizeof c);
    c.if_modified_since = str("Wed, 31 Dec 1969 23:59:59 GMT");
    CHECK_EQ(fsi_conditions_judge(&c, "", 0, -1, NOW), 304);
    CHECK_EQ(fsi_conditions_judge(&c, "", 0, 0, NOW), 0);
    c.if_modified_since = str("Friday, 21-Nov-75 14:04:04 GMT");
    CHECK_EQ(fsi_conditions_judge(&c, "", 0, MODIFIED, NOW), 304);   // 2075
    CHECK_EQ(fsi_conditions_judge(&c, "", 0, MODIFIED, NOW - 1), 0); // 1975
    memset(&c, 0, sizeof c);
    c.if_unmodified_since = str("Friday, 21-Nov-75 14:04:04 GMT");
    CHECK_EQ(fsi_conditions_judge(&c, "", 0, MODIFIED, NOW), 0);
    CHECK_EQ(fsi_conditions_judge(&c, "", 0, MODIFIED, NOW - 1), 412);
}

// Goal: If-Range wants exactly this file (13.1.5): a strong tag that is the same, or the very date if it is strong.
TEST(if_range_table)
{
    static const struct row {
        const char *value, *tag;
        bool weak_time, strong_time; // what it says where the date is weak, and where it is strong
    } rows[] = {
        {TAG, TAG, true, true},
        {TAG, WEAK_TAG, false, false},
        {WEAK_TAG, TAG, false, false},
        {WEAK_TAG, WEAK_TAG, false, false},
        {"\"other\"", TAG, false, false},
        {TAG, "", false, false},
        {"*", TAG, false, false},
        {TAG ", " TAG, TAG, false, false}, // one, not a list
        {TAG " ", TAG, false, false},
        {"\"now", TAG, false, false},
        {"now", TAG, false, false},
        {"", TAG, false, false},
        {EXACT, TAG, false, true},
        {EXACT, "", false, true},
        {"Friday, 21-Nov-25 10:00:01 GMT", TAG, false, true},
        {"Fri Nov 21 10:00:01 2025", TAG, false, true},
        {BEFORE, TAG, false, false},
        {AFTER, TAG, false, false}, // not "later than": exactly
        {EXACT ", " EXACT, TAG, false, false},
        {"Wed, 21 Nov 2025 10:00:01 GMT", TAG, false, true}, // begins with a W
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *value = exact(rows[i].value, strlen(rows[i].value));
        fsv_str s = {value, strlen(rows[i].value)};
        ROW("row %zu %s against %s", i, rows[i].value, rows[i].tag);
        CHECK_EQ(fsi_if_range_holds(s, rows[i].tag, strlen(rows[i].tag), MODIFIED, NOW, false), rows[i].weak_time);
        CHECK_EQ(fsi_if_range_holds(s, rows[i].tag, strlen(rows[i].tag), MODIFIED, NOW, true), rows[i].strong_time);
        free(value);
    }
    CHECK(!fsi_if_range_holds(str("yesterday"), "", 0, FSI_NO_TIME, NOW, true)); // no time is not no date
    CHECK(fsi_if_range_holds(str("Friday, 21-Nov-75 14:04:04 GMT"), "", 0, NOW + (int64_t)18262 * 86400, NOW, true));
    CHECK(
        !fsi_if_range_holds(str("Friday, 21-Nov-75 14:04:04 GMT"), "", 0, NOW + (int64_t)18262 * 86400, NOW - 1, true));
}

// ---- codings

// As "br zstd gzip".
static const char *codings_text(const char *value, size_t len)
{
    static const char *const names[] = {"?", "br", "zstd", "gzip"};
    static char text[32];
    uint8_t out[3];
    char *copy = exact(value, len);
    uint32_t n = fsi_codings_read(copy, len, out);
    free(copy);
    text[0] = 0;
    for (uint32_t i = 0; i < n && i < 3; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", names[out[i] & 3]);
    return text;
}

// Goal: 12.5.3 with its examples: what may be sent instead of the file as it is, in the order of the client's liking.
TEST(codings_table)
{
    static const struct row {
        const char *value;
        size_t len;
        const char *want;
    } rows[] = {
        {S("compress, gzip"), "gzip"}, // the RFC's examples
        {S(""), ""},
        {S("*"), "br zstd gzip"},
        {S("compress;q=0.5, gzip;q=1.0"), "gzip"},
        {S("gzip;q=1.0, identity; q=0.5, *;q=0"), "gzip"},
        {S("gzip, deflate, br"), "br gzip"}, // browsers, curl
        {S("gzip, deflate, br, zstd"), "br zstd gzip"},
        {S("deflate, gzip, br, zstd"), "br zstd gzip"},
        {S("zstd"), "zstd"},
        {S("identity"), ""},
        {S("deflate"), ""},
        {S("br"), "br"},
        {S("GZIP, Br, zStD"), "br zstd gzip"}, // names have no case (8.4.1)
        {S("x-gzip"), "gzip"},                 // 8.4.1.3
        {S("X-GZIP;q=0.3"), "gzip"},
        {S("x-br"), ""},
        {S("gzipx, brotli, zst"), ""},
        // weights
        {S("br;q=0.5, gzip;q=0.8, zstd;q=0.9"), "zstd gzip br"},
        {S("br;q=0.1, gzip;q=0.8, zstd;q=0.1"), "gzip br zstd"},
        {S("gzip;q=0.801, br;q=0.8, zstd;q=0.80"), "gzip br zstd"},
        {S("gzip;q=1.000, br;q=1.0, zstd;q=1."), "br zstd gzip"},
        {S("gzip;q=0.001"), "gzip"},
        {S("gzip;q=0"), ""},
        {S("gzip;q=0."), ""},
        {S("gzip;q=0.000, br"), "br"},
        {S("gzip;Q=0, br"), "br"}, // "q=" in ABNF has no case
        {S("gzip ; q=0.5 , br;\tq=0.6"), "br gzip"},
        {S("gzip;q=0.5,br;q=0.25"), "gzip br"},
        // beside identity
        {S("identity, gzip;q=0.5"), ""},
        {S("identity;q=0.5, gzip;q=0.5"), "gzip"}, // as gladly
        {S("identity;q=0.5, gzip;q=0.499"), ""},
        {S("identity;q=0.5, gzip;q=0.4, br;q=0.6"), "br"},
        {S("identity;q=0, gzip;q=0.1"), "gzip"},
        {S("identity;q=0"), ""},
        {S("gzip;q=0.1, identity;q=1"), ""},
        // the rest of them
        {S("*;q=0"), ""},
        {S("*;q=0.5"), "br zstd gzip"},
        {S("*, gzip;q=0"), "br zstd"},
        {S("gzip, *;q=0"), "gzip"},
        {S("gzip;q=0.5, *;q=0.1"), "gzip br zstd"},
        {S("gzip;q=0.1, *;q=0.5"), "br zstd"}, // "*" is for identity too, and that is liked better than gzip
        {S("gzip;q=0.1, *;q=0.5, identity;q=0.05"), "br zstd gzip"},
        {S("*;q=0.5, identity;q=0.6"), ""},
        {S("br;q=0.9, *"), "zstd gzip"},
        // empty elements, and what is malformed is passed over alone
        {S(","), ""},
        {S(", ,gzip, ,"), "gzip"},
        {S("gzip;q=2"), ""},
        {S("gzip;q=1.1"), ""},
        {S("gzip;q=1.001"), ""},
        {S("gzip;q=0.1234"), ""},
        {S("gzip;q=1.0000"), ""},
        {S("gzip;q=-1"), ""},
        {S("gzip;q=.5"), ""},
        {S("gzip;q=0,5"), ""}, // two elements: refused, unknown
        {S("gzip;q=05"), ""},
        {S("gzip;q=0.a"), ""},
        {S("gzip;q=a"), ""},
        {S("gzip;q="), ""},
        {S("gzip;q"), ""},
        {S("gzip;"), ""},
        {S("gzip;q =1"), ""},
        {S("gzip;q= 1"), ""},
        {S("gzip;q=1;a=b"), ""},
        {S("gzip;a=b"), ""},
        {S("gzip;a=1"), ""},
        {S("gzip;q:1"), ""},
        {S("gzip;level=9;q=1"), ""},
        {S("gzip q=1"), ""},
        {S(";q=1"), ""},
        {S("gzip;q=x, br"), "br"},
        {S("br, gzip;;q=1"), "br"},
        {S("* ;q=0.5"), "br zstd gzip"},
        {S("**"), ""},
        {S("gzip\0"), ""},
        {S("\"gzip\""), ""},
        // said twice: the lower weight
        {S("gzip, gzip;q=0"), ""},
        {S("gzip;q=0, gzip"), ""},
        {S("gzip;q=0.9, br;q=0.5, gzip;q=0.1"), "br gzip"},
        {S("x-gzip;q=0.5, gzip, br;q=0.6"), "br gzip"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("row %zu \"%s\"", i, rows[i].value);
        CHECK_STR(codings_text(rows[i].value, rows[i].len), rows[i].want);
    }
    uint8_t out[3];
    CHECK_EQ(fsi_codings_read(NULL, 0, out), 0); // the field is not there
}

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), as thousandths; -1: it is none.
static int32_t weight_of(const char *text, size_t len)
{
    char padded[6] = "0.000";
    if (len < 1 || len > 5 || (text[0] != '0' && text[0] != '1') || (len > 1 && text[1] != '.')) return -1;
    memcpy(padded, text, len);
    padded[1] = '.';
    for (size_t i = 2; i < 5; i++)
        if (padded[i] < '0' || padded[i] > (text[0] == '1' ? '0' : '9')) return -1;
    return (padded[0] - '0') * 1000 + (padded[2] - '0') * 100 + (padded[3] - '0') * 10 + (padded[4] - '0');
}

// Goal: every weight of up to six bytes out of digits, a dot and what lies beside them.
TEST(weights_all)
{
    static const char bytes[] = "0159./:";
    for (size_t len = 0; len <= 6; len++) {
        uint64_t count = 1;
        for (size_t i = 0; i < len; i++) count *= sizeof bytes - 1;
        for (uint64_t n = 0; n < count; n++) {
            char text[16] = "; q=";
            uint64_t rest = n;
            for (size_t i = 0; i < len; i++, rest /= sizeof bytes - 1) text[4 + i] = bytes[rest % (sizeof bytes - 1)];
            ROW("%.*s", (int)len + 4, text);
            CHECK_EQ(fsi_weight_read(text, text + 4 + len), weight_of(text + 4, len));
        }
    }
    CHECK_EQ(fsi_weight_read(bytes, bytes), 1000);
}

// ---- paths

static int64_t path_read(char *out, const char *path, size_t len, uint32_t rules, bool *slash)
{
    char *copy = exact(path, len);
    memset(out, '#', len + 2);
    int64_t n = fsi_entity_path(out, copy, len, rules, slash);
    CHECK_EQ(out[len + 1], '#');
    free(copy);
    return n;
}

static bool rules_refuse(const char *path, size_t len, uint32_t rules)
{
    return paths_refused(path, len, (rules & FSI_NAMES_SHOWN) != 0, (rules & FSI_NAMES_WINDOWS) != 0);
}

#define RULES 4 // every combination of FSI_NAMES_

// Goal: what good paths become, and that names that only look odd stay as they are.
TEST(path_table)
{
    static const struct row {
        const char *path;
        size_t len;
        const char *want; // NULL: refused
        bool slash, hidden;
    } rows[] = {
        {S(""), "", true, false},
        {S("/"), "", true, false},
        {S("//"), "", true, false},
        {S("a"), "a", false, false},
        {S("/a"), "a", false, false},
        {S("a/"), "a", true, false},
        {S("//a//"), "a", true, false},
        {S("a/b/c.txt"), "a/b/c.txt", false, false},
        {S("/a//b///c/"), "a/b/c", true, false},
        {S("index.html"), "index.html", false, false},
        {S("A B"), "A B", false, false},
        {S(" a"), " a", false, false},
        {S("a b/ c/d"), "a b/ c/d", false, false},
        {S("a..b"), "a..b", false, false},
        {S("a...b/c"), "a...b/c", false, false},
        {S("a.b.c"), "a.b.c", false, false},
        {S("%"), "%", false, false},
        {S("%2"), "%2", false, false},
        {S("100%"), "100%", false, false},
        {S("%2e%2e"), "%2e%2e", false, false}, // decoded twice would be something else; here it is a name
        {S("%2g"), "%2g", false, false},
        {S("%5c"), "%5c", false, false},
        {S("~"), "~", false, false},
        {S("~user"), "~user", false, false},
        {S("a~"), "a~", false, false},
        {S("a~b"), "a~b", false, false},
        {S("a~1b"), "a~1b", false, false},
        {S("file.txt~1"), "file.txt~1", false, false},
        {S("file.~1~"), "file.~1~", false, false},
        {S("document~1"), "document~1", false, false}, // nine before the dot
        {S("INDEX~1.HTML"), "INDEX~1.HTML", false, false},
        {S("INDEX~1.TAR.GZ"), "INDEX~1.TAR.GZ", false, false},
        {S("!#$&'()+,;=@[]^`{}-_"), "!#$&'()+,;=@[]^`{}-_", false, false},
        {S("c"), "c", false, false},
        {S("con1"), "con1", false, false},
        {S("console"), "console", false, false},
        {S("acon"), "acon", false, false},
        {S("a.con"), "a.con", false, false},
        {S("a con"), "a con", false, false},
        {S("com"), "com", false, false},
        {S("com10"), "com10", false, false},
        {S("coma"), "coma", false, false},
        {S("lpt"), "lpt", false, false},
        {S("lpta.txt"), "lpta.txt", false, false},
        {S("com\xc2\xb4"), "com\xc2\xb4", false, false},
        {S("conin"), "conin", false, false},
        {S("conin$$"), "conin$$", false, false},
        {S("null"), "null", false, false},
        {S("aux-"), "aux-", false, false},
        {S("\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x98\x80.txt"), "\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x98\x80.txt", false, false},
        {S("a\xe2\x80\x8d"
           "b"),
         "a\xe2\x80\x8d"
         "b",
         false, false}, // a joiner inside, as emoji have it
        {S("\xe2\x80\x93"), "\xe2\x80\x93", false, false},
        {S(".a"), ".a", false, true},
        {S(".git/config"), ".git/config", false, true},
        {S("a/.b/"), "a/.b", true, true},
        {S("..a"), "..a", false, true},
        {S("..."), NULL, false, true},
        {S(".a"), NULL, false, false},
        {S("a/.b"), NULL, false, false},
        {S("a/.b/c"), NULL, false, false},
        {S("."), NULL, false, true},
        {S(".."), NULL, false, true},
        {S("./a"), NULL, false, true},
        {S("a/."), NULL, false, true},
        {S("a/./"), NULL, false, true},
        {S("a/../b"), NULL, false, true},
        {S("a/.."), NULL, false, true},
        {S("../a"), NULL, false, true},
        {S("/.."), NULL, false, true},
        {S("a%2Fb"), NULL, false, true},
        {S("a%2f"), NULL, false, true},
        {S("%2f"), NULL, false, true},
        {S("a/b/c%2F..%2Fd"), NULL, false, true},
        {S("a\0"), NULL, false, true},
        {S("\0"), NULL, false, true},
        {S("a\0/b"), NULL, false, true},
        {S("a\\b"), NULL, false, true},
        {S("a\x7f"), NULL, false, true},
        {S("..namedfork"), NULL, false, true},
        {S("..namedforks"), "..namedforks", false, true},
        {S("\xef\xbb\xbf.a"), "\xef\xbb\xbf.a", false, true},
        {S("\xef\xbb\xbf"
           "a"),
         NULL, false, false},
        {S("PROGRA~1"), NULL, false, true},
        {S("a/b~1.c/d"), NULL, false, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[128];
        bool slash = !rows[i].slash;
        ROW("row %zu \"%s\"", i, rows[i].path);
        uint32_t rules = FSI_NAMES_WINDOWS | (rows[i].hidden ? FSI_NAMES_SHOWN : 0u);
        int64_t n = path_read(out, rows[i].path, rows[i].len, rules, &slash);
        CHECK_EQ(n, rows[i].want ? (int64_t)strlen(rows[i].want) : -1);
        if (n < 0 || !rows[i].want) continue;
        CHECK_STR(out, rows[i].want);
        CHECK_EQ(slash, rows[i].slash);
        char in_place[128];
        memcpy(in_place, rows[i].path, rows[i].len);
        CHECK_EQ(fsi_entity_path(in_place, in_place, rows[i].len, rules, &slash), n);
        CHECK_STR(in_place, rows[i].want);
    }
}

typedef struct hostile_count {
    size_t all[PATHS_CLASSES], refused[PATHS_CLASSES];
} hostile_count;

static void hostile_one(const char *path, size_t len, paths_class of, bool refused, void *user)
{
    hostile_count *count = (hostile_count *)user;
    char decoded[512], out[520];
    int64_t n = fsi_unescape(decoded, path, len, true, false);
    count->all[of]++;
    for (uint32_t rules = 0; rules < RULES; rules++) {
        bool slash, windows = (rules & FSI_NAMES_WINDOWS) != 0, shown = (rules & FSI_NAMES_SHOWN) != 0;
        int64_t got = n < 0 ? -1 : path_read(out, decoded, (size_t)n, rules, &slash);
        ROW("%s by rules %u: %s", paths_class_names[of], (unsigned)rules, path);
        if (got >= 0) CHECK(!rules_refuse(out, (size_t)got, rules));
        if (rules == FSI_NAMES_WINDOWS) count->refused[of] += got < 0;
        if (windows && (of != PATHS_HIDDEN || !shown)) CHECK(refused == (got < 0));
        if (!windows && !shown && !paths_windows_only(of)) CHECK(refused == (got < 0));
        if (!windows && n >= 0) CHECK((got < 0) == rules_refuse(decoded, (size_t)n, rules));
    }
}

// Goal: some hundred hostile paths of each class are refused, or are names with nothing special about them. What only
// Windows takes for something else is not refused elsewhere, but for its other faults.
TEST(path_hostile)
{
    static hostile_count count;
    paths_hostile(hostile_one, &count);
    for (int i = 0; i < PATHS_CLASSES; i++) {
        ROW("%s: %zu of %zu refused", paths_class_names[i], count.refused[i], count.all[i]);
        CHECK(count.all[i] >= 300);
        CHECK(i == PATHS_TWICE || count.refused[i] == count.all[i]);
    }
}

// Goal: paths made of pieces that mean something are judged as the rules, written a second time, judge them.
TEST(path_by_second_reader)
{
    static const char *const pieces[] = {
        "/",    "/",    "a",    "b",        ".",        "..",  ".",     " ",        "~1",           "~",
        "1",    "con",  "NUL",  "com",      "LPT",      "9",   "0",     "\xc2\xb9", "in$",          "out$",
        "%2f",  "%",    "2F",   "..named",  "fork",     "txt", "?",     "\"",       "\xe2\x80\x8c", "\xc3",
        "\xa4", "\xe2", "\x80", "\xf0\x9f", "\xed\xa0", ":",   "PROGRA"};
    size_t refused = 0, accepted = 0;
    for (int round = 0; round < 200000; round++) {
        char path[128] = "", out[130], want[130] = "";
        size_t count = (size_t)(dice() % 8);
        uint32_t rules = (uint32_t)round % RULES;
        bool slash;
        for (size_t i = 0; i < count; i++) strcat(path, pieces[dice() % COUNT(pieces)]);
        size_t len = strlen(path);
        int64_t n = path_read(out, path, len, rules, &slash);
        ROW("\"%s\" by rules %u", path, (unsigned)rules);
        CHECK((n < 0) == rules_refuse(path, len, rules));
        refused += n < 0;
        if (n < 0) continue;
        accepted++;
        CHECK_EQ(slash, len == 0 || path[len - 1] == '/');
        for (size_t i = 0; i < len; i++) { // without empty segments
            size_t end = strlen(want);
            if (path[i] != '/') want[end] = path[i], want[end + 1] = 0;
            if (path[i] == '/' && end && want[end - 1] != '/') strcat(want, "/");
        }
        if (want[0] && want[strlen(want) - 1] == '/') want[strlen(want) - 1] = 0;
        CHECK_STR(out, want);
        CHECK_EQ(n, strlen(want));
    }
    CHECK(refused > 20000 && accepted > 20000);
}

// Goal: every byte is judged at the front, inside and at the end of a name, by every rule.
TEST(path_every_byte)
{
    for (int c = 0; c < 256; c++)
        for (int at = 0; at < 3; at++)
            for (uint32_t rules = 0; rules < RULES; rules++) {
                char path[3] = {'x', 'x', 'x'}, out[5];
                bool slash;
                path[at] = (char)c;
                ROW("byte %d at %d by rules %u", c, at, (unsigned)rules);
                CHECK((path_read(out, path, 3, rules, &slash) < 0) == rules_refuse(path, 3, rules));
            }
}

// Goal: UTF-8 is what writes back as itself: every code point; all texts of one, two and three bytes; of four, all that
// begin like one.
TEST(utf8_all)
{
    size_t good = 0;
    for (uint32_t text = 0; text < 0x1000000; text += (text >> 16) < 0xc0 ? 0x10000 : 1) { // three bytes
        uint8_t p[3] = {(uint8_t)(text >> 16), (uint8_t)(text >> 8), (uint8_t)text};
        size_t used, n = fsi_utf8((const char *)p, 3);
        uint32_t point = paths_point(p, 3, &used);
        if ((point == 0xffffffffu) != (n == 0) || (n && n != used)) {
            ROW("%06x", (unsigned)text);
            CHECK_EQ(n, point == 0xffffffffu ? 0 : used);
        }
        good += n == 3;
    }
    CHECK_EQ(good, 0x10000 - 0x800 - 0x800); // all of the plane that need three, without surrogates
    good = 0;
    for (uint32_t lead = 0xf0; lead < 0x100; lead++)
        for (uint32_t rest = 0; rest < 0x100000; rest++) {
            uint8_t p[4] = {(uint8_t)lead, (uint8_t)(rest >> 12), (uint8_t)(0x70 + (rest >> 6 & 0x3f) * 2),
                            (uint8_t)(0x40 + (rest & 0x3f) * 2)};
            size_t used, n = fsi_utf8((const char *)p, 4);
            uint32_t point = paths_point(p, 4, &used);
            if ((point == 0xffffffffu) == (n == 0) && (!n || n == used)) continue;
            ROW("%02x%05x", (unsigned)lead, (unsigned)rest);
            CHECK_EQ(n, point == 0xffffffffu ? 0 : used);
        }
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        uint8_t p[4] = {(uint8_t)(0xf0 | point >> 18), (uint8_t)(0x80 | (point >> 12 & 0x3f)),
                        (uint8_t)(0x80 | (point >> 6 & 0x3f)), (uint8_t)(0x80 | (point & 0x3f))};
        good += fsi_utf8((const char *)p, 4) == 4;
        for (size_t cut = 1; cut < 4; cut++)
            if (fsi_utf8((const char *)p, cut) != 0)
                test_fail(__FILE__, __LINE__, "%x cut to %zu", (unsigned)point, cut);
    }
    CHECK_EQ(good, 0x100000); // what needs four
}

// ---- escapes

// Goal: every byte comes back through the library's own decoding; what stands unescaped is unreserved (RFC 3986 2.3).
TEST(escape_every_byte)
{
    static const char hex[] = "0123456789ABCDEF";
    for (int c = 0; c < 256; c++)
        for (int slashes = 0; slashes < 2; slashes++) {
            char text = (char)c, got[4] = "###", back[3];
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                         c == '.' || c == '_' || c == '~' || (c == '/' && slashes);
            char want[3] = {'%', hex[c >> 4], hex[c & 15]};
            ROW("byte %d", c);
            size_t n = (size_t)(fsi_path_escape(got, &text, 1, slashes != 0) - got);
            CHECK_BYTES(got, n, plain ? &text : want, plain ? 1 : 3);
            if (c) CHECK(fsi_unescape(back, got, n, false, false) == 1 && back[0] == text);
        }
}

// Goal: a path goes to the client and back unchanged; nothing of it can leave an href or begin a scheme.
TEST(escape_round_trip)
{
    static const char *const paths[] = {"",
                                        "a",
                                        "a/b/c.txt",
                                        "a b",
                                        "100%",
                                        "%2e",
                                        "a?b#c",
                                        "a&b<c>\"d'",
                                        "mailto:x",
                                        "a:b/c",
                                        "\xc3\xa4/\xf0\x9f\x98\x80",
                                        "//host",
                                        "..",
                                        "+",
                                        "a\tb",
                                        "\x7f"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        char got[256], back[256];
        size_t len = strlen(paths[i]), n = (size_t)(fsi_path_escape(got, paths[i], len, true) - got);
        ROW("%s", paths[i]);
        CHECK(n <= 3 * len);
        CHECK_BYTES(back, fsi_unescape(back, got, n, false, false), paths[i], len);
        for (size_t k = 0; k < n; k++) CHECK(got[k] > ' ' && got[k] < 127 && !strchr("\"'<>&:?#\\", got[k]));
        n = (size_t)(fsi_path_escape(got, paths[i], len, false) - got);
        CHECK_BYTES(back, fsi_unescape(back, got, n, false, false), paths[i], len);
        CHECK(memchr(got, '/', n) == NULL);
    }
    for (int round = 0; round < 20000; round++) {
        char text[32], got[96], back[96];
        size_t len = (size_t)(dice() % sizeof text);
        for (size_t i = 0; i < len; i++) text[i] = (char)(1 + dice() % 255);
        size_t n = (size_t)(fsi_path_escape(got, text, len, (round & 1) != 0) - got);
        ROW("round %d", round);
        CHECK_BYTES(back, fsi_unescape(back, got, n, false, false), text, len);
    }
}

// ---- types

// Goal: what people serve has the type that browsers want; case does not count, and only the last extension does.
TEST(type_table)
{
    static const struct row {
        const char *name, *want;
    } rows[] = {
        {"index.html", "text/html; charset=utf-8"},
        {"index.htm", "text/html; charset=utf-8"},
        {"INDEX.HTML", "text/html; charset=utf-8"},
        {"Index.HtMl", "text/html; charset=utf-8"},
        {"style.css", "text/css; charset=utf-8"},
        {"app.js", "text/javascript; charset=utf-8"},
        {"app.mjs", "text/javascript; charset=utf-8"},
        {"app.min.js", "text/javascript; charset=utf-8"},
        {"app.js.map", "application/json"},
        {"data.json", "application/json"},
        {"a.wasm", "application/wasm"},
        {"a.svg", "image/svg+xml"},
        {"a.png", "image/png"},
        {"a.jpg", "image/jpeg"},
        {"a.jpeg", "image/jpeg"},
        {"a.webp", "image/webp"},
        {"a.avif", "image/avif"},
        {"a.gif", "image/gif"},
        {"favicon.ico", "image/vnd.microsoft.icon"},
        {"a.woff", "font/woff"},
        {"a.woff2", "font/woff2"},
        {"a.ttf", "font/ttf"},
        {"a.otf", "font/otf"},
        {"a.mp4", "video/mp4"},
        {"a.webm", "video/webm"},
        {"a.ogg", "audio/ogg"},
        {"a.mp3", "audio/mpeg"},
        {"a.m4a", "audio/mp4"},
        {"a.wav", "audio/wav"},
        {"a.flac", "audio/flac"},
        {"a.pdf", "application/pdf"},
        {"a.zip", "application/zip"},
        {"a.gz", "application/gzip"},
        {"a.tar.gz", "application/gzip"},
        {"a.tar", "application/x-tar"},
        {"a.7z", "application/x-7z-compressed"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a.md", "text/markdown; charset=utf-8"},
        {"a.csv", "text/csv; charset=utf-8"},
        {"a.xml", "application/xml"},
        {"a.yaml", "application/yaml"},
        {"a.yml", "application/yaml"},
        {"a.toml", "application/toml"},
        {"a.log", "text/plain; charset=utf-8"},
        {"a.c", "text/plain; charset=utf-8"},
        {"a.h", "text/plain; charset=utf-8"},
        {"site.webmanifest", "application/manifest+json"},
        {"a/b.c/d.png", "image/png"},
        {"a/b.html", "text/html; charset=utf-8"},
        {" .html", "text/html; charset=utf-8"},
        {"a..html", "text/html; charset=utf-8"},
        {"", NULL},
        {".", NULL},
        {"..", NULL},
        {"html", NULL},
        {"README", NULL},
        {".html", NULL}, // a hidden file without an extension
        {"a/.html", NULL},
        {".htaccess.css", "text/css; charset=utf-8"},
        {"a.html/b", NULL},
        {"a.html/", NULL},
        {"a.", NULL},
        {"a.htmlx", NULL},
        {"a.htm l", NULL},
        {"a.nosuchtype", NULL},
        {"a.webmanifes", NULL},
        {"a.webmanifestx", NULL},
        {"a.averylongextensionindeed", NULL},
        {"a.\xc3\xa4", NULL},
        {"a.0", NULL},
        {"a.zzz", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = exact(rows[i].name, strlen(rows[i].name));
        ROW("%s", rows[i].name);
        CHECK_STR(fsi_type_of(fsi_types, copy, strlen(rows[i].name)), rows[i].want);
        free(copy);
    }
    CHECK_STR(fsi_type_of(fsi_types, "a.css", 3), "text/plain; charset=utf-8");
    CHECK(fsi_type_of("", "a.css", 5) == NULL);
    CHECK_STR(fsi_type_of("x y\0a/b\0", "a.y", 3), "a/b");
}

// Goal: packed files are looked for beside types that packing makes smaller, by the subtype and not by a part of its name.
TEST(types_that_pack)
{
    static const struct {
        const char *type;
        bool packs;
    } rows[] = {{"text/html; charset=utf-8", true},
                {"text/x", true},
                {"application/json", true},
                {"application/json; a=b", true},
                {"application/ld+json", true},
                {"image/svg+xml", true},
                {"application/a+b+xml", true},
                {"application/wasm", true},
                {"application/octet-stream", true},
                {"image/vnd.microsoft.icon", true},
                {"image/png", false},
                {"application/zip", false},
                {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", false},
                {"application/xmlx", false},
                {"application/x+xm", false},
                {"application/xml+zip", false},
                {"xml", false},
                {"application/", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("%s", rows[i].type);
        CHECK_EQ(fsi_type_packs(rows[i].type), rows[i].packs);
    }
}

// Goal: of two files that differ in their inode numbers alone some have the same tag: it does not tell them.
TEST(tag_keeps_the_inode)
{
    static uint32_t seen[4096][2];
    uint32_t same = 0;
    for (uint32_t i = 0; i < 200000 && same == 0; i++) {
        fsi_file_id id = {1, 1000 + i, 5, 6, 7};
        char tag[64];
        size_t len = fsi_tag_write(tag, sizeof tag, &id, true);
        uint32_t hash = 2166136261u, other = 7;
        for (size_t k = 0; k < len; k++)
            hash = (hash ^ (uint8_t)tag[k]) * 16777619u, other = other * 31 + (uint8_t)tag[k];
        same += seen[hash % 4096][0] == hash && seen[hash % 4096][1] == other;
        seen[hash % 4096][0] = hash;
        seen[hash % 4096][1] = other;
    }
    CHECK(same > 0);
}

// Goal: each extension of the table stands there once, and its type is a value that may stand in a head; text says its
// charset.
TEST(type_rows)
{
    uint32_t rows = 0;
    for (const char *at = fsi_types, *type; *at; at = type + strlen(type) + 1) {
        type = at + strlen(at) + 1;
        CHECK(fsi_field_is_clean("a", 1, type, strlen(type)) && strchr(type, '/'));
        CHECK_EQ(strstr(type, "; charset=utf-8") != NULL, strncmp(type, "text/", 5) == 0);
        for (const char *p = at; p < type; rows++, p++) {
            char name[32];
            size_t len = strcspn(p, " ");
            CHECK(len > 0 && strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789") == len);
            snprintf(name, sizeof name, "x.%.*s", (int)len, p);
            ROW("%s", name);
            CHECK(fsi_type_of(fsi_types, name, strlen(name)) == type); // an earlier row would have another one
            p += len;
        }
    }
    CHECK_EQ(rows, 200);
}

// Goal: a name that means something else to Windows alone is a name like others elsewhere; what is dangerous everywhere is
// refused by every rule.
TEST(path_by_rules)
{
    static const struct {
        const char *path;
        bool anywhere, windows; // accepted
    } rows[] = {{"What?.txt", true, false}, {"10:30.png", true, false},
                {"a*b", true, false},       {"<a>|b\"", true, false},
                {"aux.c", true, false},     {"con", true, false},
                {"end.", true, false},      {"end ", true, false},
                {"PROGRA~1", true, false},  {"a/nul/b", true, false},
                {"plain", true, true},      {"a...b", true, true},
                {"..", false, false},       {".", false, false},
                {"a/../b", false, false},   {"a\\b", false, false},
                {"a\nb", false, false},     {"a%2fb", false, false},
                {"\xff", false, false},     {"x/..namedfork", false, false},
                {"...", false, false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[64];
        bool slash;
        ROW("%s", rows[i].path);
        CHECK((fsi_entity_path(out, rows[i].path, strlen(rows[i].path), 0, &slash) >= 0) == rows[i].anywhere);
        CHECK((fsi_entity_path(out, rows[i].path, strlen(rows[i].path), FSI_NAMES_WINDOWS, &slash) >= 0) ==
              rows[i].windows);
    }
    CHECK_EQ(FSI_NAMES_HERE, FSI_WINDOWS ? FSI_NAMES_WINDOWS : 0);
}

TEST_MAIN(CASE(date_read_table), CASE(date_round_trip), CASE(date_calendar), CASE(date_write_clamps),
          CASE(date_every_byte), CASE(date_cut_short), CASE(date_two_digit_years), CASE(date_two_digit_years_tried),
          CASE(ranges_read_table), CASE(ranges_too_many), CASE(ranges_by_marking_bytes), CASE(tag_listed_table),
          CASE(tag_every_byte), CASE(conditions_truth_table), CASE(conditions_leave_ranges_alone),
          CASE(conditions_odd_times), CASE(if_range_table), CASE(codings_table), CASE(weights_all), CASE(path_table),
          CASE(path_by_rules), CASE(path_hostile), CASE(path_by_second_reader), CASE(path_every_byte), CASE(utf8_all),
          CASE(escape_every_byte), CASE(escape_round_trip), CASE(type_table), CASE(types_that_pack),
          CASE(tag_keeps_the_inode), CASE(type_rows))
