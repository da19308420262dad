// fuzz_text.c: targets, queries, hosts, numbers and lists on hostile bytes. fuzz.h says how to build it.
//
// An input is a byte that says how much room there is and a text, an exact heap copy of which is put through everything.
// What must hold:
//   - a decoded text is what a second, simpler decoder makes of it, and never longer; what is refused has a reason
//   - a value of a query is the one that the second reader finds, or there is a reason why not; it never outgrows its room
//   - an address in brackets is one by inet_pton, and the other way round
//   - a number is what its digits say; elements of a list are what stands between its commas
//   - what a target is split into lies in it, in order, and together makes it up
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#include "../fastserve.h"
#include "fuzz.h"

static size_t decoded, refused, found, hosts, targets; // what the inputs were

// ---- percent-encoding: the second reader has a table of digits

static int digit(char c)
{
    const char *all = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(all, c) : NULL;
    return at ? (int)(at - all) % 16 : -1;
}

// The length, or -1.
static int64_t second_decode(char *out, const char *text, size_t len, bool keep_slash, bool plus)
{
    size_t n = 0, i = 0;
    while (i < len) {
        if (text[i] != '%') {
            out[n++] = plus && text[i] == '+' ? ' ' : text[i];
            i++;
            continue;
        }
        if (len - i < 3 || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return -1;
        int c = digit(text[i + 1]) * 16 + digit(text[i + 2]);
        if (c == 0) return -1;
        if (keep_slash && c == '/') {
            memcpy(out + n, text + i, 3);
            n += 3;
        } else {
            out[n++] = (char)c;
        }
        i += 3;
    }
    return (int64_t)n;
}

static void try_decode(const char *text, size_t len)
{
    static char want[8192];
    for (int way = 0; way < 4; way++) {
        char *out = (char *)malloc(len ? len : 1); // never longer
        if (!out) abort();
        int64_t n = fsi_unescape(out, text, len, way & 1, way & 2),
                m = second_decode(want, text, len, way & 1, way & 2);
        MUST(n == m && n <= (int64_t)len);
        MUST(n <= 0 || memcmp(out, want, (size_t)n) == 0);
        decoded += n >= 0;
        refused += n < 0;
        memcpy(out, text, len); // in place
        if (n >= 0) MUST(fsi_unescape(out, out, len, way & 1, way & 2) == n && memcmp(out, want, (size_t)n) == 0);
        free(out);
    }
}

// ---- queries

// The first value of the name, as it stands; NULL: there is none.
static const char *second_value(const char *query, size_t len, const char *name, size_t *value_len)
{
    static char key[8192];
    for (size_t at = 0, end; at < len; at = end + 1) {
        for (end = at; end < len && query[end] != '&';) end++;
        size_t equals = at;
        while (equals < end && query[equals] != '=') equals++;
        size_t begin = equals < end ? equals + 1 : end;
        int64_t n = equals - at > 256 ? -1 : second_decode(key, query + at, equals - at, false, true);
        *value_len = end - begin;
        if (n == (int64_t)strlen(name) && memcmp(key, name, (size_t)n) == 0) return query + begin;
    }
    return NULL;
}

static void try_query(const char *text, size_t len, size_t room)
{
    static const char *const names[] = {"a", "b c", "", "%"};
    static char want[8192];
    fsv_request request;
    memset(&request, 0, sizeof request);
    request.base = text;
    request.head.query_len = (uint32_t)len;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t value_len = 0;
        const char *value = second_value(text, len, names[i], &value_len);
        for (int small = 0; small < 2; small++) {
            size_t size = small ? room : len + 1;
            char *out = (char *)malloc(size ? size : 1);
            if (!out) abort();
            int64_t n = fsv_request_query_value(&request, names[i], out, size);
            int64_t m = value ? second_decode(want, value, value_len, false, true) : (int64_t)FSV_ERR_NOT_FOUND;
            if (value && m < 0) m = FSV_ERR_ARGUMENT;
            if (n == FSV_ERR_LIMIT)
                MUST(value && small && (m < 0 || (uint64_t)m >= size));
            else
                MUST(n == m && (n < 0 || ((size_t)n < size && memcmp(out, want, (size_t)n) == 0 && out[n] == 0)));
            found += n >= 0;
            free(out);
        }
    }
}

// ---- hosts

static void try_host(const char *text, size_t len)
{
    char address[64];
    struct in6_addr six;
    struct in_addr four;
    bool is_host = fsi_is_host(text, len, text + len);
    hosts += is_host;
    for (size_t i = 0; is_host && i < len; i++) MUST(fsi_class[(uint8_t)text[i]] & FSI_HOST);
    if (len >= sizeof address || memchr(text, 0, len)) return;
    if (len) memcpy(address, text, len);
    address[len] = 0;
    MUST(fsi_is_ipv6(text, text + len) == (inet_pton(AF_INET6, address, &six) == 1));
    MUST(fsi_is_ipv4(text, text + len) == (inet_pton(AF_INET, address, &four) == 1));
}

// ---- numbers, lists

static void try_number(const char *text, size_t len)
{
    uint64_t n = 0;
    char back[24];
    size_t zeros = 0;
    if (!fsi_number(text, len, &n)) {
        bool digits = len > 0;
        for (size_t i = 0; i < len; i++) digits = digits && text[i] >= '0' && text[i] <= '9';
        MUST(!digits || len >= 20); // it would not fit
        return;
    }
    while (zeros + 1 < len && text[zeros] == '0') zeros++;
    MUST(fsi_number_write(back, n) == len - zeros && memcmp(back, text + zeros, len - zeros) == 0);
}

static bool is_gap(char c)
{
    return c == ' ' || c == '\t';
}

static void try_list(const char *text, size_t len)
{
    const char *at = text, *item, *before = text;
    size_t n;
    bool close_it = false, keep = false, close_seen = false, keep_seen = false;
    while (fsi_list_next(&at, text + len, &item, &n)) {
        MUST(item >= before && n > 0 && item + n <= at && at <= text + len);
        MUST(!memchr(item, ',', n) && !is_gap(*item) && !is_gap(item[n - 1]));
        for (const char *gap = before; gap < item; gap++) MUST(is_gap(*gap) || *gap == ',');
        close_seen |= n == 5 && fsi_same_nocase(item, "close", 5);
        keep_seen |= n == 10 && fsi_same_nocase(item, "keep-alive", 10);
        before = item + n;
    }
    for (; before < text + len; before++) MUST(is_gap(*before) || *before == ',');
    fsi_read_connection(text, len, &close_it, &keep);
    MUST(close_it == close_seen && keep == keep_seen);
}

// ---- targets

static void try_target(const char *text, size_t len)
{
    static const uint8_t methods[] = {FSI_GET, FSI_OPTIONS, FSI_CONNECT};
    size_t at = 0;
    bool special = false;
    for (; at < len && (fsi_class[(uint8_t)text[at]] & FSI_TARGET); at++) special |= strchr("?%", text[at]) != NULL;
    if (len == 0 || at < len) return; // the request line would not get here
    for (size_t i = 0; i < sizeof methods; i++) {
        fsi_head head;
        memset(&head, 0, sizeof head);
        head.method = methods[i];
        head.target_len = (uint32_t)len;
        if (fsi_read_target(text, &head, special) < 0) continue;
        targets++;
        uint32_t path_end = head.path + head.path_len;
        const char *mark = (const char *)memchr(text + head.path, '?', len - head.path);
        MUST(path_end <= len && (head.path_len == 0 || text[head.path] == '/' || methods[i] == FSI_CONNECT));
        if (mark)
            MUST(text + path_end == mark && head.query == path_end + 1 && head.query + head.query_len == len);
        else
            MUST(path_end == len && head.query == 0 && head.query_len == 0);
        MUST(head.escaped == (memchr(text + head.path, '%', head.path_len) != NULL));
        MUST(!head.asterisk || (len == 1 && methods[i] == FSI_OPTIONS));
        MUST(head.host_len == 0 ||
             (head.host + head.host_len == head.path && fsi_is_host(text + head.host, head.host_len, text + len)));
        MUST(head.host_len || head.path == 0 || methods[i] == FSI_CONNECT || head.asterisk);
    }
}

// What an input is put through.
static void put_through(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) return;
    size_t len = size - 1;
    char *copy = fuzz_copy(data + 1, len);
    try_decode(copy, len);
    try_query(copy, len, data[0]);
    try_host(copy, len);
    try_number(copy, len);
    try_list(copy, len);
    try_target(copy, len);
    free(copy);
}

static const char *const seeds[] = {
    "/a/b?c=d&a=%41+b",
    "a=b&b+c=d&%61=e&a",
    "http://u:80/a%2fb%00",
    "https://[::1]:8080?a",
    "2001:db8::1:0:ffff",
    "::ffff:192.0.2.128",
    "1.2.3.4",
    "h:65535",
    "close, keep-alive,, x\t,",
    "18446744073709551615",
    "*",
    "a.b:443",
    "[1:2:3:4:5:6:7::]:80",
    "%e2%82%ac+%2B",
};

static const char *const words[] = {"%",
                                    "%2f",
                                    "%00",
                                    "%41",
                                    "+",
                                    "&",
                                    "=",
                                    "?",
                                    "a",
                                    "b c",
                                    "b+c",
                                    "http://",
                                    "https://",
                                    "[",
                                    "]",
                                    ":",
                                    "::",
                                    "0",
                                    "255",
                                    "256",
                                    "ffff",
                                    ".",
                                    ",",
                                    " ",
                                    "\t",
                                    "close",
                                    "keep-alive",
                                    "/",
                                    "*",
                                    "\x80",
                                    "18446744073709551616"};

static size_t seed(size_t index, uint8_t *data)
{
    const char *text = seeds[index % (sizeof seeds / sizeof seeds[0])];
    data[0] = (uint8_t)fuzz_dice(24);
    memcpy(data + 1, text, strlen(text));
    return 1 + strlen(text);
}

static void end(void)
{
    printf("%zu texts decoded, %zu refused, %zu values found, %zu hosts, %zu targets\n", decoded, refused, found, hosts,
           targets);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 300000, 6, 1};
FUZZ_MAIN(driver)
