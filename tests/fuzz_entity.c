// fuzz_entity.c: >>entity on hostile values of fields, and paths. fuzz.h says how to build it.
//
// An input is 8 bytes for a file's size, one for how many ranges are wanted, and a value, which is put through everything
// as an exact heap copy. What must hold:
//   - a date that is read is one of the years 0 to 9999, and is written and read again as the same second
//   - ranges are ascending, in the file, apart from each other, and exactly what a second, simpler reader asks for; that
//     the field is ignored has a reason
//   - a list of tags names a tag if it is well-formed and has it; a tag added to it changes no other tag's lot
//   - a condition that another one overrules changes nothing; 304 and 412 come from the fields that can say so
//   - codings come once each; refusing one takes that one away
//   - a path that is accepted has none of the shapes that paths.h refuses, stays as it is when it is read again, and the
//     other way round; what hidden names add are only hidden names; what Windows accepts is accepted everywhere
//   - what is escaped is decoded to what it was
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#include "../fastserve.h"
#include "fuzz.h"
#include "paths.h"

#define NOW 1763733844 // Fri, 21 Nov 2025 14:04:04 GMT
#define HEADER 9

static size_t dates, satisfied, ignored, tags, paths, refused; // what the inputs were

static bool same_str(fsv_str a, fsv_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// ---- dates

static void try_date(const char *text, size_t len)
{
    char back[29];
    int64_t s = fsi_date_read(text, len, NOW);
    if (s == FSI_NO_TIME) return;
    dates++;
    MUST(len >= 24 && len <= 33);
    MUST(s >= FSI_DATE_FIRST && s <= (int64_t)FSI_DATE_LAST + 1); // + 1: its last leap second
    if (s > FSI_DATE_LAST) return;
    MUST(fsi_date_write(back, s) == back + 29);
    MUST(fsi_date_read(back, 29, NOW) == s);
    MUST(len != 29 || text[3] != ',' || memcmp(text + 23, "60", 2) == 0 || memcmp(text + 3, back + 3, 26) == 0);
    MUST(len == 24 || len == 29 || s <= NOW + (int64_t)18263 * 86400); // two digits: 50 years ahead at most
}

// ---- ranges: the second reader has a comma's place, then a minus's, then digits alone

typedef struct spec {
    bool good, there; // well-formed; something of the file is in it
    uint64_t first, last;
} spec;

// Digits as a number, at most `most`. False: something else is there.
static bool second_number(const char *at, const char *end, uint64_t most, uint64_t *out)
{
    *out = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        if (*out > most / 10 || (*out == most / 10 && (uint64_t)(*at - '0') > most % 10))
            *out = most + 1; // stays there
        else if (*out <= most)
            *out = *out * 10 + (uint64_t)(*at - '0');
    }
    return true;
}

static spec second_spec(const char *at, const char *end, uint64_t size)
{
    spec s = {false, false, 0, 0};
    const char *minus = (const char *)memchr(at, '-', (size_t)(end - at));
    const uint64_t most = UINT64_MAX - 1;
    if (!minus || end - at == 1) return s;
    if (!second_number(at, minus, most, &s.first) || !second_number(minus + 1, end, most, &s.last)) return s;
    if (minus == at) {
        s.good = true;
        s.there = s.last > 0;
        s.first = s.last < size ? size - s.last : 0;
        s.last = size - 1;
        return s;
    }
    if (minus + 1 == end) s.last = UINT64_MAX;
    s.good = s.first <= s.last;
    s.there = s.first < size;
    if (s.last > size - 1) s.last = size - 1;
    return s;
}

static const char *second_next(const char **at, const char *end, const char **item)
{
    const char *p = *at;
    while (p < end && strchr(", \t", *p) && *p) p++;
    *item = p;
    while (p < end && *p != ',') p++;
    *at = p;
    while (p > *item && (p[-1] == ' ' || p[-1] == '\t')) p--;
    return p;
}

// The spec lies in one of the ranges.
static bool is_covered(const spec *s, const fsi_range *out, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (s->first >= out[i].at && s->last <= out[i].at + (out[i].len - 1)) return true;
    return false;
}

static void try_ranges(const char *value, size_t len, uint64_t size, uint32_t max)
{
    static fsi_range out[256];
    static spec specs[4096];
    size_t count = 0, there = 0;
    bool good = len >= 6 && fsi_same_nocase(value, "bytes=", 6);
    int32_t n = fsi_ranges_read(value, len, size, out, max);
    uint64_t sum = 0;
    MUST(n >= FSI_RANGES_OUTSIDE && n <= (int32_t)max);
    for (const char *at = value + 6, *end = value + len, *item; good && at < end;) {
        const char *item_end = second_next(&at, end, &item);
        if (item_end == item) continue;
        specs[count] = second_spec(item, item_end, size);
        good = specs[count].good;
        there += specs[count++].there;
    }
    for (int32_t i = 0; i < n; i++) {
        MUST(out[i].len > 0 && out[i].at < size && out[i].len <= size - out[i].at);
        MUST(i == 0 || out[i].at - out[i - 1].at >= out[i - 1].len + FSI_RANGES_GAP);
        bool begins = false, ends = false;
        for (size_t k = 0; k < count; k++) {
            begins |= specs[k].there && specs[k].first == out[i].at;
            ends |= specs[k].there && specs[k].last == out[i].at + (out[i].len - 1);
        }
        MUST(begins && ends);
        sum += out[i].len;
    }
    if (!good || count == 0 || count > FSI_RANGES_MOST || (there && size == 0)) {
        MUST(n == 0);
    } else {
        MUST((n == FSI_RANGES_OUTSIDE) == (there == 0));
    }
    for (size_t k = 0; n > 0 && k < count; k++) MUST(!specs[k].there || is_covered(&specs[k], out, n));
    MUST(n <= 0 || count == 1 || sum < size);
    satisfied += n > 0;
    ignored += n == 0;
    if (n != 0 || !good || !there || size == 0 || count > FSI_RANGES_MOST || max > FSI_RANGES_MOST) return;
    n = fsi_ranges_read(value, len, size, out, FSI_RANGES_MOST); // it was for their number, or for their sum
    for (int32_t i = 0; i < n; i++) sum += out[i].len;
    MUST(n > (int32_t)max || (n == 0 && count > 1));
    for (size_t k = 0; n == 0 && k < count; k++) MUST(!specs[k].there || specs[k].last < size);
}

// ---- tags

// The list with one more tag at its end.
static char *list_with(const char *list, size_t len, const char *more, size_t more_len, size_t *out_len)
{
    char *out = (char *)malloc(len + more_len + 1);
    if (!out) abort();
    memcpy(out, list, len);
    out[len] = ',';
    memcpy(out + len + 1, more, more_len);
    *out_len = len + 1 + more_len;
    return out;
}

static void try_tags(const char *list, size_t len)
{
    static const char ours[] = "\"fuzz,ed\"", weak[] = "W/\"fuzz,ed\"";
    size_t n, strong_len = sizeof ours - 1, weak_len = sizeof weak - 1;
    bool is_star = len == 1 && *list == '*';
    bool strongly = fsi_tag_listed(list, len, ours, strong_len, false),
         weakly = fsi_tag_listed(list, len, ours, strong_len, true);
    MUST(!strongly || weakly);
    MUST(weakly == fsi_tag_listed(list, len, weak, weak_len, true));
    MUST(is_star == fsi_tag_listed(list, len, weak, weak_len, false));
    MUST(is_star == fsi_tag_listed(list, len, "", 0, true));
    char *more = list_with(list, len, ours, strong_len, &n);
    bool formed = fsi_tag_listed(more, n, ours, strong_len, false); // it is well-formed, since the tag is there now
    MUST(!is_star || !formed);
    MUST(formed || is_star || !weakly);
    free(more);
    more = list_with(list, len, weak, weak_len, &n);
    MUST(fsi_tag_listed(more, n, ours, strong_len, true) == formed);
    MUST(fsi_tag_listed(more, n, ours, strong_len, false) == (strongly && !is_star));
    free(more);
    size_t quotes = 0;
    for (size_t i = 0; i < len; i++) quotes += list[i] == '"';
    if (formed) MUST(quotes % 2 == 0 && !memchr(list, 0, len));
    tags += formed && quotes;
}

// ---- conditions: the value's lines are the fields; a line that is "-" is no field

static void try_conditions(const char *value, size_t len, int64_t modified_s)
{
    static const char tag[] = "\"fuzz,ed\"";
    fsv_str lines[6];
    const char *at = value, *end = value + len;
    memset(lines, 0, sizeof lines);
    for (size_t i = 0; i < 6 && at < end; i++) {
        const char *lf = (const char *)memchr(at, '\n', (size_t)(end - at));
        if (!lf) lf = end;
        lines[i].len = (size_t)(lf - at);
        lines[i].ptr = lines[i].len == 1 && *at == '-' ? NULL : at;
        at = lf < end ? lf + 1 : end;
    }
    fsi_conditions c = {lines[0], lines[1], lines[2], lines[3], lines[4], lines[5]}, less = c;
    uint32_t result = fsi_conditions_judge(&c, tag, sizeof tag - 1, modified_s, NOW);
    MUST(result == 0 || result == 304 || result == 412);
    MUST(result != 412 || c.if_match.ptr || c.if_unmodified_since.ptr);
    MUST(result != 304 || c.if_none_match.ptr || c.if_modified_since.ptr);
    if (c.if_match.ptr) less.if_unmodified_since.ptr = NULL;
    if (c.if_none_match.ptr) less.if_modified_since.ptr = NULL;
    less.if_range.ptr = less.range.ptr = NULL;
    MUST(fsi_conditions_judge(&less, tag, sizeof tag - 1, modified_s, NOW) == result);
    less.if_unmodified_since.ptr = less.if_modified_since.ptr = NULL;
    uint32_t undated = fsi_conditions_judge(&less, tag, sizeof tag - 1, modified_s, NOW);
    MUST(fsi_conditions_judge(&c, tag, sizeof tag - 1, FSI_NO_TIME, NOW) == undated);
    for (size_t i = 0; i < 6; i++) {
        if (!lines[i].ptr) continue;
        bool holds = fsi_if_range_holds(lines[i], tag, sizeof tag - 1, modified_s, NOW, true);
        fsv_str ours = {tag, sizeof tag - 1};
        bool is_date = modified_s != FSI_NO_TIME && fsi_date_read(lines[i].ptr, lines[i].len, NOW) == modified_s;
        MUST(holds == (same_str(lines[i], ours) || is_date));
        MUST(fsi_if_range_holds(lines[i], tag, sizeof tag - 1, modified_s, NOW, false) == same_str(lines[i], ours));
    }
}

// ---- codings

static void try_codings(const char *value, size_t len)
{
    static const char *const refusals[] = {"identity;q=0", "br;q=0", "zstd;q=0", "gzip;q=0"};
    uint8_t out[3], again[3];
    uint32_t n = fsi_codings_read(value, len, out);
    size_t more_len;
    MUST(n <= 3);
    for (uint32_t i = 0; i < n; i++) {
        MUST(out[i] >= FSI_CODING_BR && out[i] <= FSI_CODING_GZIP);
        for (uint32_t k = 0; k < i; k++) MUST(out[k] != out[i]);
    }
    char *more = list_with(value, len, value, len, &more_len);
    MUST(fsi_codings_read(more, more_len, again) == n && memcmp(out, again, n) == 0); // twice is no other
    free(more);
    for (uint8_t coding = FSI_CODING_BR; coding < FSI_CODINGS; coding++) {
        uint32_t kept = 0;
        more = list_with(value, len, refusals[coding], strlen(refusals[coding]), &more_len);
        uint32_t m = fsi_codings_read(more, more_len, again);
        for (uint32_t i = 0; i < n; i++)
            if (out[i] != coding) MUST(kept < m && again[kept++] == out[i]);
        MUST(kept == m);
        free(more);
    }
}

// ---- paths, types

static void try_path(const char *path, size_t len, uint32_t rules)
{
    static char out[8192], shown[8192], again[8192];
    bool slash, slash_again, windows = (rules & FSI_NAMES_WINDOWS) != 0;
    MUST(len < sizeof out);
    int64_t n = fsi_entity_path(out, path, len, rules, &slash);
    int64_t shown_n = fsi_entity_path(shown, path, len, rules | FSI_NAMES_SHOWN, &slash_again);
    MUST((n < 0) == paths_refused(path, len, false, windows));
    MUST((shown_n < 0) == paths_refused(path, len, true, windows));
    refused += n < 0;
    paths += n >= 0;
    if (n < 0) return;
    MUST(shown_n == n && memcmp(out, shown, (size_t)n + 1) == 0 && slash == slash_again);
    MUST(n <= (int64_t)len && strlen(out) == (size_t)n && slash == (len == 0 || path[len - 1] == '/'));
    MUST(n == 0 || (out[0] != '/' && out[n - 1] != '/' && !strstr(out, "//")));
    MUST(!paths_refused(out, (size_t)n, false, windows));
    memcpy(again, path, len);
    MUST(fsi_entity_path(again, again, len, rules, &slash) == n && memcmp(out, again, (size_t)n + 1) == 0);
    MUST(fsi_entity_path(again, out, (size_t)n, rules, &slash) == n && memcmp(out, again, (size_t)n + 1) == 0);
    MUST(slash == (n == 0));
    if (windows) MUST(fsi_entity_path(again, path, len, 0, &slash) == n && memcmp(out, again, (size_t)n + 1) == 0);
}

static void try_escape(const char *path, size_t len)
{
    static char escaped[3 * 8192], back[3 * 8192];
    bool has_nul = len && memchr(path, 0, len);
    for (int slashes = 0; slashes < 2; slashes++) {
        size_t n = (size_t)(fsi_path_escape(escaped, path, len, slashes != 0) - escaped);
        int64_t m = fsi_unescape(back, escaped, n, false, false);
        MUST(n <= 3 * len);
        MUST(has_nul ? m < 0 : m == (int64_t)len && memcmp(back, path, len) == 0);
    }
}

static void try_type(const char *name, size_t len)
{
    const char *type = fsi_type_of(fsi_types, name, len), *dot = NULL;
    for (size_t i = 0; i < len; i++) dot = name[i] == '/' ? NULL : name[i] == '.' ? name + i : dot;
    MUST(!type || (dot && dot > name && dot[-1] != '/'));
    if (dot && dot > name)
        MUST(fsi_type_of(fsi_types, dot - 1, len - (size_t)(dot - 1 - name)) == (dot[-1] == '/' ? NULL : type));
}

// What an input is put through.
static void put_through(const uint8_t *data, size_t size)
{
    static char decoded[8192];
    uint64_t file = 0;
    if (size < HEADER || size > 4096 + HEADER) return;
    for (size_t i = 0; i < 8; i++) file = file << 8 | data[i];
    size_t len = size - HEADER;
    char *copy = fuzz_copy(data + HEADER, len);
    try_date(copy, len);
    try_ranges(copy, len, file, data[8]);
    try_tags(copy, len);
    try_conditions(copy, len, 784111777);
    try_codings(copy, len);
    try_path(copy, len, FSI_NAMES_WINDOWS);
    try_path(copy, len, 0);
    try_type(copy, len);
    try_escape(copy, len);
    int64_t n = fsi_unescape(decoded, copy, len, true, false);
    if (n >= 0) try_path(decoded, (size_t)n, FSI_NAMES_WINDOWS);
    if (n >= 0) try_path(decoded, (size_t)n, 0);
    free(copy);
}

static const char *const seeds[] = {
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Sat, 31 Dec 2016 23:59:60 GMT",
    "bytes=0-499",
    "bytes= 0-999, 4500-5499, -1000",
    "bytes=0-0,-1,5-,18446744073709551616-",
    "bytes=90-99,0-9,9-9,1-",
    "\"xyzzy\", W/\"r2d2xxxx\", \"fuzz,ed\"",
    "*",
    "W/\"fuzz,ed\"",
    "*\n\"a\", \"fuzz,ed\"\nSun, 06 Nov 1994 08:49:37 GMT\nSun, 06 Nov 1994 08:49:36 GMT\n\"fuzz,ed\"\nbytes=0-",
    "-\n-\nSun, 06 Nov 1994 08:49:37 GMT\n-\nSunday, 06-Nov-94 08:49:37 GMT\nbytes=0-",
    "gzip;q=1.0, identity; q=0.5, *;q=0",
    "gzip, deflate, br;q=0.9, zstd;q=0.001, x-gzip",
    "a/b.c/index.html",
    "//a//..//b/./%2e%2e%2f/.git/con.txt/PROGRA~1/x:y",
    "\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x98\x80.tar.gz",
    "",
};

static const char *const words[] = {"bytes=",
                                    "-",
                                    ",",
                                    ", ",
                                    "0",
                                    "9",
                                    "18446744073709551615",
                                    "\"",
                                    "W/",
                                    "*",
                                    "\n",
                                    "GMT",
                                    "Nov",
                                    "Sun, ",
                                    "29 Feb",
                                    ";q=0",
                                    ";q=1.",
                                    "br",
                                    "gzip",
                                    "identity",
                                    "/",
                                    "..",
                                    ".",
                                    "%2e",
                                    "%2f",
                                    "%",
                                    " ",
                                    "con",
                                    "com1",
                                    "~1",
                                    ":",
                                    "\\",
                                    "\xc2\xb9",
                                    "\xc0\xae",
                                    "\xe2\x80\x8c",
                                    "\xf0\x9f\x98\x80",
                                    "..namedfork",
                                    ".html",
                                    "\"fuzz,ed\""};

static size_t seed(size_t index, uint8_t *data)
{
    static const uint64_t sizes[] = {10000, 0, 1, 100, 500, UINT64_MAX, 10000000000u, 4294967296u};
    const char *text = seeds[index % (sizeof seeds / sizeof seeds[0])];
    uint64_t size = sizes[fuzz_dice(8)];
    for (size_t i = 0; i < 8; i++) data[i] = (uint8_t)(size >> (56 - 8 * i));
    data[8] = (uint8_t)fuzz_dice(20);
    memcpy(data + HEADER, text, strlen(text));
    return HEADER + strlen(text);
}

static void end(void)
{
    printf("%zu dates, %zu ranges (%zu ignored), %zu lists of tags, %zu paths (%zu refused)\n", dates, satisfied,
           ignored, tags, paths, refused);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 500000, 6, HEADER};
FUZZ_MAIN(driver)
