// test_text.c: >>text, the list reader of >>http-read and the addresses of >>sock. All of them are pure functions, so
// the tests are tables, or go through every byte and compare with the rule of the RFC written out a second time.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#define S(literal) literal, sizeof(literal) - 1

static uint64_t seed;

static uint64_t dice(void) // splitmix64
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Goal: a number is digits and nothing else: no sign, no space, no list, no base prefix, and an empty text is none.
TEST(number_is_digits_only)
{
    static const struct row {
        const char *text;
        size_t len;
        bool good;
        uint64_t value;
    } rows[] = {
        {S("0"), true, 0},
        {S("7"), true, 7},
        {S("0007"), true, 7},
        {S("00000000000000000000000000000012"), true, 12},
        {S("4294967295"), true, 4294967295u},
        {S("4294967296"), true, 4294967296u},
        {S("9223372036854775807"), true, INT64_MAX},
        {S("9223372036854775808"), true, (uint64_t)INT64_MAX + 1},
        {S("18446744073709551615"), true, UINT64_MAX},
        {S("00018446744073709551615"), true, UINT64_MAX},
        {S("18446744073709551616"), false, 0},
        {S("18446744073709551621"), false, 0}, // 2^64 + 5
        {S("18446744073709551625"), false, 0},
        {S("18446744073709551700"), false, 0},
        {S("28446744073709551615"), false, 0},
        {S("99999999999999999999"), false, 0},
        {S("184467440737095516150"), false, 0},
        {S("340282366920938463463374607431768211461"), false, 0}, // 2^128 + 5
        {S(""), false, 0},
        {S("+5"), false, 0},
        {S("-5"), false, 0},
        {S("-0"), false, 0},
        {S(" 5"), false, 0},
        {S("5 "), false, 0},
        {S("5\t"), false, 0},
        {S("5, 5"), false, 0},
        {S("5,5"), false, 0},
        {S("5.0"), false, 0},
        {S("5e1"), false, 0},
        {S("0x5"), false, 0},
        {S("5\0"), false, 0},
        {S("\0"), false, 0},
        {S("5\r\n"), false, 0},
        {S("\xd9\xa5"), false, 0}, // an Arabic five
        {S("/"), false, 0},        // the bytes beside the digits
        {S(":"), false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 99;
        ROW("row %zu \"%s\"", i, rows[i].text);
        CHECK_EQ(fsi_number(rows[i].text, rows[i].len, &value), rows[i].good);
        CHECK(value == (rows[i].good ? rows[i].value : 99)); // a refused number is not written half
    }
}

// Goal: only len says where a number ends; the digit behind it is somebody else's.
TEST(number_stops_at_its_length)
{
    uint64_t value = 0;
    CHECK(fsi_number("123456", 3, &value));
    CHECK_EQ(value, 123);
}

// Goal: what is written reads back as the same number, and its digits are those of printf, at every size.
TEST(number_write_is_printfs)
{
    for (int i = 0; i < 20000; i++) {
        uint64_t value = i < 1000 ? (uint64_t)i : dice() >> (dice() & 63), back = 0;
        if (i >= 1000 && i < 1064) value = (uint64_t)1 << (i - 1000);
        if (i >= 1064 && i < 1128) value = ((uint64_t)1 << (i - 1064)) - 1;
        if (i == 1128) value = UINT64_MAX;
        char got[24], want[24];
        memset(got, '#', sizeof got);
        size_t len = fsi_number_write(got, value);
        ROW("%llu", (unsigned long long)value);
        (void)snprintf(want, sizeof want, "%llu", (unsigned long long)value);
        CHECK_BYTES(got, len, want, strlen(want));
        CHECK(len <= 20 && got[len] == '#');
        CHECK(fsi_number(got, len, &back) && back == value);
    }
}

// Goal: a broken or dangerous escape is refused, everything else is decoded once and only once.
TEST(unescape_table)
{
    static const struct row {
        const char *text;
        size_t len;
        bool keep_slash, plus;
        const char *want; // NULL: refused
        size_t want_len;
    } rows[] = {
        {S(""), false, false, S("")},
        {S("/plain"), false, false, S("/plain")},
        {S("%41"), false, false, S("A")},
        {S("%41%42c%43"), false, false, S("ABcC")},
        {S("a%20b"), false, false, S("a b")},
        {S("%e2%82%ac"), false, false, S("\xe2\x82\xac")},
        {S("%E2%82%AC"), false, false, S("\xe2\x82\xac")},
        {S("%2541"), false, false, S("%41")}, // not twice
        {S("%25"), false, false, S("%")},
        {S("%0d%0a"), false, false, S("\r\n")}, // whoever writes it into a head must refuse it there
        {S("%ff%01"), false, false, S("\xff\x01")},
        {S("a%2Fb"), false, false, S("a/b")},
        {S("a%2Fb"), true, false, S("a%2Fb")},
        {S("a%2fb"), true, false, S("a%2fb")},
        {S("%2F%2f"), true, false, S("%2F%2f")},
        {S("a/b"), true, false, S("a/b")},
        {S("%2e%2E%2f"), true, false, S("..%2f")},
        {S("a+b"), false, false, S("a+b")},
        {S("a+b"), false, true, S("a b")},
        {S("a%2Bb"), false, true, S("a+b")}, // an escaped plus is a plus
        {S("++"), false, true, S("  ")},
        {S("%00"), false, false, NULL, 0},
        {S("a%00b"), true, true, NULL, 0},
        {S("%"), false, false, NULL, 0},
        {S("a%"), false, false, NULL, 0},
        {S("%4"), false, false, NULL, 0},
        {S("a%4"), false, false, NULL, 0},
        {S("%2"), true, false, NULL, 0},
        {S("%%41"), false, false, NULL, 0},
        {S("%4%41"), false, false, NULL, 0},
        {S("%g1"), false, false, NULL, 0},
        {S("%1g"), false, false, NULL, 0},
        {S("%-1"), false, false, NULL, 0},
        {S("%+1"), false, true, NULL, 0},
        {S("% 1"), false, false, NULL, 0},
        {S("%u0041"), false, false, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char apart[32], in_place[32];
        ROW("row %zu \"%s\"", i, rows[i].text);
        memcpy(in_place, rows[i].text, rows[i].len);
        int64_t n = fsi_unescape(apart, rows[i].text, rows[i].len, rows[i].keep_slash, rows[i].plus);
        int64_t m = fsi_unescape(in_place, in_place, rows[i].len, rows[i].keep_slash, rows[i].plus);
        CHECK_EQ(n, rows[i].want ? (int64_t)rows[i].want_len : -1);
        CHECK_EQ(m, n);
        if (n < 0 || !rows[i].want) continue;
        CHECK_BYTES(apart, n, rows[i].want, rows[i].want_len);
        CHECK_BYTES(in_place, n, rows[i].want, rows[i].want_len);
    }
}

static int hex_by_search(int c) // the digit's value, found in a string; -1: none
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)((at - digits) & 15) : -1;
}

// Goal: all 65536 texts "%xy" decode to the right byte or are refused; nothing behind the text is looked at.
TEST(unescape_every_pair)
{
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            int high = hex_by_search(a), low = hex_by_search(b), want = high < 0 || low < 0 ? -1 : high * 16 + low;
            char text[3] = {'%', (char)a, (char)b}, out[3] = {0, 0, 0};
            int64_t n = fsi_unescape(out, text, 3, false, false);
            ROW("%02x %02x", (unsigned)a, (unsigned)b);
            CHECK_EQ(n, want > 0 ? 1 : -1);
            if (n == 1) CHECK_EQ((uint8_t)out[0], want);
            CHECK_EQ(fsi_unescape(out, text, 2, false, false), -1);
        }
        CHECK_EQ(fsi_hex((char)a), hex_by_search(a));
    }
}

// Goal: only the 26 letters lose their case. Bytes 32 apart such as "[" and "{", "@" and "`" stay different, and so do
// bytes from 0x80, in whatever locale.
TEST(is_folds_letters_only)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", lower[] = "abcdefghijklmnopqrstuvwxyz";
    for (int a = 0; a < 256; a++) {
        const char *letter = a ? strchr(upper, a) : NULL;
        int folded = letter ? lower[letter - upper] : a;
        for (int b = 0; b < 256; b++) {
            char text[2] = {(char)a, 'x'}, literal[2] = {(char)b, 'x'};
            bool literal_is_lower = b == 0 || !strchr(upper, b);
            ROW("%02x %02x", (unsigned)a, (unsigned)b);
            if (literal_is_lower) CHECK_EQ(fsi_is(text, 2, literal, 2), folded == b);
            letter = b ? strchr(upper, b) : NULL;
            CHECK_EQ(fsi_same_nocase(text, literal, 2), folded == (letter ? lower[letter - upper] : b));
        }
    }
}

// The span of a class, byte by byte.
static size_t span_by_table(const char *text, size_t len, uint8_t bits)
{
    size_t at = 0;
    while (at < len && (fsi_class[(uint8_t)text[at]] & bits)) at++;
    return at;
}

static void check_spans(const char *from, size_t len)
{
    char *text = (char *)malloc(len ? len : 1); // ends where its memory ends: ASan sees a vector that reads on
    CHECK(text);
    memcpy(text, from, len);
    const char *end = text + len;
    size_t target = span_by_table(text, len, FSI_TARGET);
    bool special, special_there = target && (memchr(text, '?', target) || memchr(text, '%', target));
    CHECK_EQ(fsi_span_value(text, end) - text, span_by_table(text, len, FSI_VALUE));
    CHECK_EQ(fsi_span_token(text, end) - text, span_by_table(text, len, FSI_TCHAR));
    CHECK_EQ(fsi_span_target(text, end, &special) - text, target);
    CHECK_EQ(special, special_there);
    for (size_t name = 0; name <= len; name += 1 + len / 4)
        CHECK_EQ(fsi_span_name(text, text + name, end) - text, span_by_table(text, name, FSI_REG_NAME));
    free(text);
}

// Goal: vectors and words stop at the very byte at which the table of classes stops: each byte at each place of texts up to
// three vectors long, and mixtures of bytes at which one, another or none of them stops.
TEST(spans_end_where_the_table_says)
{
    static const char mixture[] = "aaaaaaaaZz09-_.~!#$%&'*+^`|:;,/?@[]\\\"(){}<>= \t\r\n\x7f\x80\xff\x01\x1f\x20\x21";
    char text[56];
    for (size_t len = 0; len <= 48; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                ROW("%u bytes, %02x at %u", (unsigned)len, (unsigned)byte, (unsigned)at);
                memset(text, 'a', len);
                text[at] = (char)byte;
                check_spans(text, len);
                if (len % 7) byte += 16; // all of them at every seventh length
            }
        }
        check_spans(text, len);
    }
    seed = 1;
    for (int i = 0; i < 20000; i++) {
        size_t len = (size_t)(dice() % sizeof text);
        for (size_t at = 0; at < len; at++) text[at] = dice() % 3 ? 'k' : mixture[dice() % (sizeof mixture - 1)];
        ROW("mixture %d", i);
        check_spans(text, len);
    }
}

// Goal: whole words compare as bytes do: each byte at each place of each literal length up to three words.
TEST(is_words_is_is)
{
    static const char lower[] = "strict-transport_9/x.yzab";
    for (size_t len = 0; len < sizeof lower; len++) {
        char *text = (char *)malloc(len ? len : 1);
        CHECK(text);
        for (size_t at = 0; at < len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memcpy(text, lower, len);
                text[at] = (char)byte;
                ROW("%u bytes, %02x at %u", (unsigned)len, (unsigned)byte, (unsigned)at);
                CHECK_EQ(fsi_is_words(text, lower, len), fsi_is(text, len, lower, len));
            }
        }
        for (size_t at = 0; at < len; at++)
            text[at] = lower[at] >= 'a' && lower[at] <= 'z' ? (char)(lower[at] - 32) : lower[at];
        CHECK(fsi_is_words(text, lower, len));
        free(text);
    }
}

// Goal: a prefix, or a longer text, is not the same; only whole names match.
TEST(is_compares_whole_texts)
{
    CHECK(FSI_IS("Content-Length", 14, "content-length"));
    CHECK(FSI_IS("cONTENT-lENGTH", 14, "content-length"));
    CHECK(!FSI_IS("Content-Lengt", 13, "content-length"));
    CHECK(!FSI_IS("Content-Length2", 15, "content-length"));
    CHECK(!FSI_IS("Content_Length", 14, "content-length"));
    CHECK(!FSI_IS("Content-LengtI", 14, "content-length"));
    CHECK(!FSI_IS("Xontent-Length", 14, "content-length"));
    CHECK(!FSI_IS("", 0, "x"));
    CHECK(FSI_IS("", 0, ""));
}

// Goal: a wrong entry in the table of 256 would let a byte into a name, value, target or host, or keep a good one out.
TEST(class_table_is_the_rfcs)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char tchar[] = "!#$%&'*+-.^_`|~"; // RFC 9110 5.6.2, beside letters and digits
    static const char unreserved[] = "-._~";       // RFC 3986 2.3
    static const char sub_delims[] = "!$&'()*+;="; // 2.2, without ",": two Host fields joined by a proxy are no host
    static const char host_rest[] = "%:[]";        // escapes, port, IP literals
    for (int c = 0; c < 256; c++) {
        bool alnum = c && strchr(letters, c), visible = c > 0x20 && c < 0x7f, high = c >= 0x80;
        bool token = alnum || (c && strchr(tchar, c));
        bool value = visible || high || c == ' ' || c == '\t'; // RFC 9110 5.5
        bool target = (visible && c != '#') || high;
        bool host = alnum || (c && (strchr(unreserved, c) || strchr(sub_delims, c) || strchr(host_rest, c)));
        ROW("byte %02x '%c'", (unsigned)c, visible ? c : ' ');
        bool name = host && !(c && strchr(host_rest, c));
        CHECK_EQ(fsi_class[c], (token ? 1 : 0) + (value ? 2 : 0) + (target ? 4 : 0) + (host ? 8 : 0) +
                                   (c == '%' || c == '?' ? 16 : 0) + (name ? 32 : 0));
    }
}

// Goal: empty elements and white space make no element and split none; the last one is not lost.
TEST(list_next_table)
{
    static const struct row {
        const char *text;
        size_t len;
        const char *want; // each element in brackets
    } rows[] = {
        {S(""), ""},
        {S(","), ""},
        {S(" , ,\t,"), ""},
        {S("a"), "[a]"},
        {S("a,b"), "[a][b]"},
        {S("a, b ,c"), "[a][b][c]"},
        {S(",a,,b,"), "[a][b]"},
        {S("  a b\t, c\t "), "[a b][c]"},
        {S("\ta\t,\tb\t"), "[a][b]"},
        {S("keep-alive, Upgrade"), "[keep-alive][Upgrade]"},
        {S("gzip;q=1, chunked"), "[gzip;q=1][chunked]"},
        {S("a,"), "[a]"},
        {S("a, "), "[a]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[80] = "", *copy = (char *)malloc(rows[i].len + 1); // +1: malloc(0) may be NULL
        const char *at = copy, *item;
        size_t n, used = 0;
        ROW("\"%s\"", rows[i].text);
        REQUIRE(copy);
        memcpy(copy, rows[i].text, rows[i].len);
        copy[rows[i].len] = 'X'; // must not be taken
        while (fsi_list_next(&at, copy + rows[i].len, &item, &n) && used + n + 3 < sizeof got)
            used += (size_t)snprintf(got + used, sizeof got - used, "[%.*s]", (int)n, item);
        CHECK_STR(got, rows[i].want);
        free(copy);
    }
}

// Goal: an address that is not exactly host:port is an error, never a guess (a cut port, a name that becomes 0.0.0.0).
TEST(sockaddr_parse_table)
{
    static const struct row {
        const char *text;
        const char *want; // as fsi_sockaddr_text gives it; "": no host; NULL: malformed
        uint32_t port;
    } rows[] = {
        {"8080", "", 8080},
        {":8080", "", 8080},
        {"0", "", 0},
        {":0", "", 0},
        {"65535", "", 65535},
        {"127.0.0.1:8080", "127.0.0.1:8080", 8080},
        {"0.0.0.0:1", "0.0.0.0:1", 1},
        {"255.255.255.255:65535", "255.255.255.255:65535", 65535},
        {"[::1]:8080", "[::1]:8080", 8080},
        {"[::]:0", "[::]:0", 0},
        {"[2001:DB8::00ff]:80", "[2001:db8::ff]:80", 80},
        {"[1:2:3:4:5:6:7:8]:443", "[1:2:3:4:5:6:7:8]:443", 443},
        {"[::ffff:10.1.2.3]:80", "10.1.2.3:80", 80}, // a v4 address, shown as one
        {"", NULL, 0},
        {":", NULL, 0},
        {"65536", NULL, 0},
        {":65536", NULL, 0},
        {"4294967297", NULL, 0},           // 1 in 32 bits
        {"18446744073709551617", NULL, 0}, // 1 in 64 bits
        {"-1", NULL, 0},
        {"+80", NULL, 0},
        {" 80", NULL, 0},
        {"80 ", NULL, 0},
        {"0x50", NULL, 0},
        {"http", NULL, 0},
        {"127.0.0.1", NULL, 0},
        {"127.0.0.1:", NULL, 0},
        {"127.0.0.1:x", NULL, 0},
        {"127.0.0.1:80:", NULL, 0},
        {"127.0.0.1:80:81", NULL, 0},
        {"127.0.0:80", NULL, 0},
        {"127.1:80", NULL, 0},
        {"256.0.0.1:80", NULL, 0},
        {"1.2.3.4.5:80", NULL, 0},
        {"localhost:80", NULL, 0},
        {"::1:8080", NULL, 0}, // without brackets nobody knows where the port begins
        {":::8080", NULL, 0},
        {"[::1]", NULL, 0},
        {"[::1]8080", NULL, 0},
        {"[::1:80", NULL, 0},
        {"::1]:80", NULL, 0},
        {"[]:80", NULL, 0},
        {"[:80", NULL, 0},
        {"]:80", NULL, 0},
        {"[[::1]]:80", NULL, 0},
        {"[127.0.0.1]:80", NULL, 0},
        {"[::1]x:80", NULL, 0},
        {"[gggg::1]:80", NULL, 0},
        {"1111111111222222222233333333334444444444555555555566666666667777:80", NULL, 0}, // longer than any host
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fsi_sockaddr at;
        uint32_t port = 12345;
        char text[64] = "";
        ROW("\"%s\"", rows[i].text);
        CHECK_EQ(fsi_sockaddr_parse(rows[i].text, &at, &port), rows[i].want != NULL);
        if (!rows[i].want) continue;
        CHECK_EQ(port, rows[i].port);
        if (!rows[i].want[0]) {
            CHECK_EQ(at.storage.ss_family, 0);
            continue;
        }
        CHECK_EQ(fsi_sockaddr_port(&at), rows[i].port);
        CHECK_EQ(fsi_sockaddr_text(&at, text, sizeof text), strlen(rows[i].want));
        CHECK_STR(text, rows[i].want);
    }
}

// Goal: byte order: the address and port of a sockaddr are the ones that the caller gave as host-order numbers.
TEST(sockaddr_made_by_hand)
{
    fsi_sockaddr at;
    char text[64];
    struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
    fsi_sockaddr_v4(&at, 0x7f000001, 0x1234);
    (void)fsi_sockaddr_text(&at, text, sizeof text);
    CHECK_STR(text, "127.0.0.1:4660");
    CHECK_EQ(at.len, sizeof(struct sockaddr_in));
    CHECK_EQ(fsi_sockaddr_port(&at), 0x1234);
    fsi_sockaddr_v6(&at, &loopback, 0x1234);
    (void)fsi_sockaddr_text(&at, text, sizeof text);
    CHECK_STR(text, "[::1]:4660");
    CHECK_EQ(at.len, sizeof(struct sockaddr_in6));
    CHECK_EQ(fsi_sockaddr_port(&at), 0x1234);
}

// Goal: the longest address there is fits the 64 bytes that the comment promises.
TEST(sockaddr_text_fits)
{
    fsi_sockaddr at;
    uint32_t port;
    char text[64];
    REQUIRE(fsi_sockaddr_parse("[1111:2222:3333:4444:5555:6666:7777:8888]:65535", &at, &port));
    CHECK_EQ(fsi_sockaddr_text(&at, text, sizeof text), 47);
    CHECK_STR(text, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

// Goal: a path that does not fit with its terminator is an error, not a shorter path; "@" is an abstract name without
// one.
TEST(sockaddr_unix_paths)
{
#if FSI_UNIX
    fsi_sockaddr at;
    fsi_sockaddr_un un;
    char path[120], text[64];
    const size_t start = offsetof(fsi_sockaddr_un, sun_path);
    memset(path, 'p', sizeof path);
    path[sizeof un.sun_path - 1] = 0;
    CHECK(fsi_sockaddr_unix(&at, path));
    CHECK_EQ(at.len, sizeof un);
    memcpy(&un, &at.storage, sizeof un);
    CHECK_EQ(un.sun_family, AF_UNIX);
    CHECK_STR(un.sun_path, path);
    CHECK_EQ(fsi_sockaddr_port(&at), 0);
    (void)fsi_sockaddr_text(&at, text, sizeof text);
    CHECK_STR(text, "unix:");
    path[sizeof un.sun_path - 1] = 'p';
    path[sizeof un.sun_path] = 0;
    CHECK(!fsi_sockaddr_unix(&at, path));
    CHECK(!fsi_sockaddr_unix(&at, ""));
    CHECK_EQ(fsi_sockaddr_unix(&at, "@name"), FSI_LINUX);
    if (!FSI_LINUX) return; // there it is no address
    CHECK_EQ(at.len, start + 5);
    memcpy(&un, &at.storage, sizeof un);
    CHECK_BYTES(un.sun_path, 5, "\0name", 5);
#else
    SKIP("built without Unix-domain listeners");
#endif
}

TEST_MAIN(CASE(number_is_digits_only), CASE(number_stops_at_its_length), CASE(number_write_is_printfs),
          CASE(unescape_table), CASE(unescape_every_pair), CASE(is_folds_letters_only),
          CASE(spans_end_where_the_table_says), CASE(is_words_is_is), CASE(is_compares_whole_texts),
          CASE(class_table_is_the_rfcs), CASE(list_next_table), CASE(sockaddr_parse_table), CASE(sockaddr_made_by_hand),
          CASE(sockaddr_text_fits), CASE(sockaddr_unix_paths))
