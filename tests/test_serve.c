// test_serve.c: what `fastserve serve DIR` makes of texts: escaping, listings, what clients ask for, options. The server
// around it is test_cli.sh's.
#include "test.h"
int serve_program(int argc, char **argv);
#define main serve_program
#include "../main.c"
#undef main

static fsv_str str(const char *text)
{
    fsv_str view = {text, text ? strlen(text) : 0};
    return view;
}

// The text so far, terminated.
static const char *text_of(page_text *text)
{
    page_put(text, "", 1);
    if (text->failed) return "(out of memory)";
    text->len--;
    return text->ptr;
}

// ---- SHA-256 (FIPS 180-4), for the hash in the policy of listings: fractions of roots of primes, in 32 bits

// clang-format off
static const uint32_t sha_keys[64] = { // of the cube roots of the first 64 primes
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t sha_begin[8] = { // of the square roots of the first 8
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
// clang-format on

static uint32_t sha_turn(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha_block(uint32_t *state, const uint8_t *block)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (sha_turn(a, 7) ^ sha_turn(a, 18) ^ a >> 3) +
               (sha_turn(b, 17) ^ sha_turn(b, 19) ^ b >> 10);
    }
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t one = v[7] + (sha_turn(e, 6) ^ sha_turn(e, 11) ^ sha_turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) +
                       sha_keys[i] + w[i];
        uint32_t two = (sha_turn(a, 2) ^ sha_turn(a, 13) ^ sha_turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

// In base64.
static void sha_text(const char *text, size_t len, char *out)
{
    uint32_t state[8];
    uint8_t end[128];
    char digest[32];
    size_t whole = len / 64 * 64, rest = len - whole, blocks = rest < 56 ? 1 : 2;
    memcpy(state, sha_begin, sizeof state);
    for (size_t at = 0; at < whole; at += 64) sha_block(state, (const uint8_t *)text + at);
    memset(end, 0, sizeof end);
    memcpy(end, text + whole, rest);
    end[rest] = 0x80;
    for (size_t i = 0; i < 8; i++) end[blocks * 64 - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
    for (size_t i = 0; i < blocks; i++) sha_block(state, end + 64 * i);
    for (int i = 0; i < 32; i++) digest[i] = (char)(uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
    serve_base64(out, digest, 32);
}

// A browser passes over a style sheet whose hash is not the one in the policy.
TEST(style_is_what_the_policy_allows)
{
    char hash[64];
    sha_text("abc", 3, hash);
    CHECK_STR(hash, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    sha_text(page_style, strlen(page_style), hash);
    CHECK_STR(PAGE_STYLE_HASH, hash);
    CHECK(strstr(PAGE_POLICY, hash) != NULL);
    CHECK(strchr(page_style, '<') == NULL); // nothing in it ends it
}

// ---- texts

TEST(escaping)
{
    static const struct {
        const char *name, *html, *json, *path;
    } rows[] = {
        {"plain.txt", "plain.txt", "plain.txt", "plain.txt"},
        {"<b>&\"'</b>", "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;", "<b>&\\\"'</b>", "%3Cb%3E%26%22%27%3C/b%3E"},
        {"a\\b", "a\\b", "a\\\\b", "a%5Cb"},
        {"a\nb\033\177",
         "a\xe2\x90\x8a"
         "b\xe2\x90\x9b\xe2\x90\xa1",
         "a\\u000ab\\u001b\177", "a%0Ab%1B%7F"},
        {"Gr\xc3\xbcn \xf0\x9f\x98\x80", "Gr\xc3\xbcn \xf0\x9f\x98\x80", "Gr\xc3\xbcn \xf0\x9f\x98\x80",
         "Gr%C3%BCn%20%F0%9F%98%80"},
        {"\xff\xfe"
         "a\xc3",
         "\xef\xbf\xbd\xef\xbf\xbd"
         "a\xef\xbf\xbd",
         "\xef\xbf\xbd\xef\xbf\xbd"
         "a\xef\xbf\xbd",
         "%FF%FEa%C3"},
        {"\xc0\xaf\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "%C0%AF%ED%A0%80"}, // overlong, a surrogate
        {"c:d?e#f%2e", "c:d?e#f%2e", "c:d?e#f%2e", "c%3Ad%3Fe%23f%252e"},
        {"", "", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        page_text text;
        ROW("%zu", i);
        memset(&text, 0, sizeof text);
        page_put_html(&text, str(rows[i].name));
        CHECK_STR(text_of(&text), rows[i].html);
        text.len = 0;
        page_put_text(&text, str(rows[i].name), page_json_byte);
        CHECK_STR(text_of(&text), rows[i].json);
        text.len = 0;
        page_put_path(&text, str(rows[i].name));
        CHECK_STR(text_of(&text), rows[i].path);
        free(text.ptr);
    }
}

TEST(sizes_and_counts)
{
    static const struct {
        uint64_t bytes;
        const char *size, *count;
    } rows[] = {
        {0, "0 B", "0 bytes"},
        {1, "1 B", "1 byte"},
        {999, "999 B", "999 bytes"},
        {1000, "1.0 kB", "1,000 bytes"},
        {999949, "999.9 kB", "999,949 bytes"},
        {999950, "1.0 MB", "999,950 bytes"},
        {1234567, "1.2 MB", "1,234,567 bytes"},
        {5368709120, "5.4 GB", "5,368,709,120 bytes"},
        {UINT64_MAX, "18.4 EB", "18,446,744,073,709,551,615 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        page_text text;
        ROW("%s", rows[i].count);
        memset(&text, 0, sizeof text);
        page_put_size(&text, rows[i].bytes);
        CHECK_STR(text_of(&text), rows[i].size);
        text.len = 0;
        page_put_count(&text, rows[i].bytes, "byte");
        CHECK_STR(text_of(&text), rows[i].count);
        free(text.ptr);
    }
}

TEST(times)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},          {784111777, "1994-11-06T08:49:37Z"},
        {1709251199, "2024-02-29T23:59:59Z"}, {1714979289, "2024-05-06T07:08:09Z"},
        {-1, "1969-12-31T23:59:59Z"},         {253402300799, "9999-12-31T23:59:59Z"},
        {INT64_MAX, "9999-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[24];
        ROW("%lld", (long long)rows[i].seconds);
        page_time(text, rows[i].seconds);
        CHECK_STR(text, rows[i].text);
    }
}

// ---- what clients ask for

TEST(accept_weights)
{
    static const struct {
        const char *accept, *type;
        uint32_t gladly;
        bool named;
    } rows[] = {
        {"", "text/html", 1000, false},
        {"*/*", "text/html", 1000, false},
        {"text/html", "text/html", 1000, true},
        {"TEXT/HTML", "text/html", 1000, true},
        {"text/htm", "text/html", 0, false},
        {"text/html2", "text/html", 0, false},
        {"text/*", "text/html", 1000, false},
        {"image/*", "text/html", 0, false},
        {"application/json", "text/html", 0, false},
        {"text/html;q=0", "text/html", 0, true},
        {"*/*, text/html;q=0", "text/html", 0, true},
        {"text/html;q=0.25, */*", "text/html", 250, true},
        {"text/html ; level=1 ; q=0.125", "text/html", 125, true},
        {"text/html;Q=1.0", "text/html", 1000, true},
        {"text/html;q=9", "text/html", 1000, true},
        {"text/html;q=", "text/html", 0, true},
        {"text/*;q=0.3, */*;q=0.8", "text/html", 300, false},
        {",, ,\ttext/html\t,", "text/html", 1000, true},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json", 800, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool named;
        ROW("%s of %s", rows[i].type, rows[i].accept);
        CHECK_EQ(page_gladly(str(rows[i].accept), rows[i].type, &named), rows[i].gladly);
        CHECK_EQ(named, rows[i].named);
    }
}

TEST(json_or_html)
{
    static const struct {
        const char *accept, *format;
        bool json;
    } rows[] = {
        {"", "", false},
        {"*/*", "", false},
        {"application/json", "", true},
        {"application/json, text/plain, */*", "", true},
        {"text/html,application/xhtml+xml,*/*;q=0.8", "", false},
        {"text/html, application/json", "", false},
        {"text/html;q=0.5, application/json", "", true},
        {"application/json;q=0", "", false},
        {"text/html", "json", true},
        {"application/json", "html", false},
        {"application/json", "xml", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s format %s", rows[i].accept, rows[i].format);
        CHECK_EQ(page_wants_json(str(rows[i].accept), rows[i].format), rows[i].json);
    }
}

// --spa: a route of the application is answered with its page; a script, an image or data that is missing is not.
TEST(spa_pages)
{
    static const char browser_page[] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
    static const char none[] = "application/octet-stream";
    static const struct {
        const char *accept, *type;
        bool browser, page;
    } rows[] = {
        {browser_page, none, true, true},
        {browser_page, none, false, true}, // one that is too old to say so
        {browser_page, "text/html; charset=utf-8", true, true},
        {browser_page, "text/javascript; charset=utf-8", true, false},
        {"*/*", none, false, true}, // curl
        {"", none, false, true},
        {"*/*", none, true, false}, // a script's fetch, or a script
        {"*/*", "text/javascript; charset=utf-8", false, false},
        {"image/avif,image/*,*/*;q=0.8", none, true, false},
        {"application/json", none, false, false},
        {"text/html;q=0, */*", none, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%zu", i);
        CHECK_EQ(page_is_wanted(str(rows[i].accept), rows[i].type, rows[i].browser), rows[i].page);
    }
}

// ---- listings

static void list_of(page_list *list, const char *const *names, size_t count)
{
    memset(list, 0, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        page_item item;
        memset(&item, 0, sizeof item);
        size_t len = strlen(names[i]);
        item.is_folder = names[i][len - 1] == '/';
        item.size = item.is_folder ? 0 : len;
        item.modified_s = (int64_t)(count - i);
        fsv_str name = {names[i], len - item.is_folder};
        CHECK(page_list_add(list, name, item));
    }
}

TEST(natural_order)
{
    static const char *const order[] = {
        "",   "a", "A1",   "a2",    "a02b", "a10", "a10.5",   "A10b", "a010c", "a18446744073709551616",
        "ab", "B", "b1x2", "b1x10", "Z",    "~",   "\xc3\xa4"};
    static const struct {
        const char *less, *more;
    } same[] = {{"A", "a"}, {"a01", "a1"}, {"a0", "a00"}}; // but for how they are written: bytes decide
    size_t n = sizeof order / sizeof order[0];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            ROW("%s %s", order[i], order[k]);
            int by = page_natural(order[i], order[k]);
            CHECK_EQ(by < 0 ? -1 : by > 0, i < k ? -1 : i > k);
        }
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        ROW("%s", same[i].less);
        CHECK(page_natural(same[i].less, same[i].more) < 0);
        CHECK(page_natural(same[i].more, same[i].less) > 0);
    }
}

// Names of a sorted list, one after the other.
static const char *names_of(const page_list *list)
{
    static char out[400];
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < list->count && at < sizeof out; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%s%s", i ? " " : "", page_name(list, &list->items[i]),
                               list->items[i].is_folder ? "/" : "");
    return out;
}

TEST(sorted)
{
    static const char *const names[] = {"img10", "zoo/", "img9", "Readme", "a/", "img010", "b2/", "b10/", "x"};
    static const struct {
        page_key key;
        bool down;
        const char *order;
    } rows[] = {
        {PAGE_BY_NAME, false, "a/ b2/ b10/ zoo/ img9 img010 img10 Readme x"},
        {PAGE_BY_NAME, true, "zoo/ b10/ b2/ a/ x Readme img10 img010 img9"},
        {PAGE_BY_SIZE, false, "a/ b2/ b10/ zoo/ x img9 img10 img010 Readme"},
        {PAGE_BY_SIZE, true, "a/ b2/ b10/ zoo/ img010 Readme img10 img9 x"},
        {PAGE_BY_TIME, false, "b10/ b2/ a/ zoo/ x img010 Readme img9 img10"},
        {PAGE_BY_TIME, true, "zoo/ a/ b2/ b10/ img10 img9 Readme img010 x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        page_list list;
        ROW("by %s%s", page_keys[rows[i].key], rows[i].down ? ", down" : "");
        list_of(&list, names, sizeof names / sizeof names[0]);
        list.key = rows[i].key;
        list.down = rows[i].down;
        REQUIRE(page_sort(&list));
        CHECK_STR(names_of(&list), rows[i].order);
        page_list_free(&list);
    }
}

// Every length up to a few powers of two, and one that is large, in an order that a bad sort takes long for.
TEST(sorted_at_any_length)
{
    for (size_t n = 0; n <= 50000; n = n < 70 ? n + 1 : n == 70 ? 50000 : n + 1) {
        page_list list;
        char name[16];
        page_item item;
        ROW("%zu", n);
        memset(&list, 0, sizeof list);
        memset(&item, 0, sizeof item);
        for (size_t i = 0; i < n; i++) {
            (void)snprintf(name, sizeof name, "f%zu", i % 2 ? n - i : i * 7 % n);
            REQUIRE(page_list_add(&list, str(name), item));
        }
        REQUIRE(page_sort(&list));
        CHECK_EQ(list.count, n);
        for (size_t i = 1; i < n; i++)
            if (page_compare(&list, &list.items[i - 1], &list.items[i]) > 0) {
                test_fail(__FILE__, __LINE__, "out of order at %zu", i);
                break;
            }
        page_list_free(&list);
    }
}

TEST(crumbs)
{
    static const struct {
        const char *path, *host;
        size_t prefix_len, parent;
        const char *html;
    } rows[] = {
        {"/", "h:1", 0, 0, "<b>h:1</b>"},
        {"/", "", 0, 0, "<b></b>"},
        {"/a/", "h", 0, 1, "<a href=\"../\">h</a><i>/</i><b>a</b>"},
        {"/a/b c/", "h", 0, 1, "<a href=\"../../\">h</a><i>/</i><a href=\"../\">a</a><i>/</i><b>b c</b>"},
        {"/<&/", "<h>", 0, 1, "<a href=\"../\">&lt;h&gt;</a><i>/</i><b>&lt;&amp;</b>"},
        {"/a//b/", "h", 0, 2, "<a href=\"../../../\">h</a><i>/</i><a href=\"../../\">a</a><i>/</i><b>b</b>"},
        {"//b/", "h", 0, 2, "<a href=\"../../\">h</a><i>/</i><b>b</b>"},
        {"/x/y/", "h", 4, 2, "<a href=\"../../\">h</a><i>/</i><span>x</span><i>/</i><b>y</b>"},
        {"/x/y/z/", "h", 4, 1,
         "<a href=\"../../../\">h</a><i>/</i><span>x</span><i>/</i><a href=\"../\">y</a><i>/</i><b>z</b>"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        page_text text;
        page_view view = {str(rows[i].path), str(rows[i].host), rows[i].prefix_len};
        ROW("%s", rows[i].path);
        memset(&text, 0, sizeof text);
        CHECK_EQ(page_put_crumbs(&text, &view), rows[i].parent);
        CHECK_STR(text_of(&text), rows[i].html);
        free(text.ptr);
    }
}

// How often it stands there.
static int count_of(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what)) n++;
    return n;
}

TEST(page)
{
    static const char *const names[] = {"<i>.txt", "sub dir/"};
    page_text text;
    page_list list;
    page_view view = {str("/a&b/"), str("h:80"), 0};
    memset(&text, 0, sizeof text);
    list_of(&list, names, 2);
    list.items[0].size = list.bytes = 1234567;
    list.items[0].modified_s = 1714979289;
    list.items[1].mounted = true;
    list.key = PAGE_BY_SIZE;
    list.down = true;
    REQUIRE(page_sort(&list));
    page_write_html(&text, &list, &view);
    const char *html = text_of(&text);
    CHECK(strstr(html, "<title>h:80/a&amp;b/</title>") != NULL);
    CHECK(strstr(html, "<th><a href=\"?sort=name&amp;order=asc\">Name</a>") != NULL);
    CHECK(strstr(html, "<th aria-sort=descending><a href=\"?sort=size&amp;order=asc\">Size</a>") != NULL);
    CHECK(strstr(html, "<th><a href=\"?sort=time&amp;order=desc\">Modified, UTC</a>") != NULL);
    CHECK(strstr(html, "<tr class=u><td><a href=\"../\">Parent folder</a>") != NULL);
    CHECK(strstr(html, "<tr class=d><td><a href=\"sub%20dir/\">sub dir/</a><td><td>\n") != NULL);
    CHECK(strstr(html, "<tr><td><a href=\"%3Ci%3E.txt\">&lt;i&gt;.txt</a><td title=\"1,234,567 bytes\">1.2 MB<td>"
                       "<time datetime=\"2024-05-06T07:08:09Z\">2024-05-06 07:08</time>\n") != NULL);
    CHECK(strstr(html, "1 folder, 1 file, <span title=\"1,234,567 bytes\">1.2 MB</span>") != NULL);
    CHECK_EQ(count_of(html, "<tr"), 4);
    CHECK_EQ(count_of(html, "<script") + count_of(html, "style=") + count_of(html, "src="), 0);
    CHECK(strstr(html, "There is more") == NULL && strstr(html, "is empty") == NULL);
    text.len = 0;
    list.count = 0;
    list.cut = true;
    page_write_html(&text, &list, &view);
    CHECK(strstr(text_of(&text), "There is more") != NULL && strstr(text.ptr, "This folder is empty.") != NULL);
    page_list_free(&list);
    free(text.ptr);
}

TEST(json)
{
    static const char *const names[] = {"a\"\xff", "d/", "m/"};
    page_text text;
    page_list list;
    page_view view = {str("/\\/"), str("h"), 0};
    memset(&text, 0, sizeof text);
    list_of(&list, names, 3);
    list.items[2].mounted = true;
    page_write_json(&text, &list, &view);
    CHECK_STR(
        text_of(&text),
        "{\"path\": \"/\\\\/\", \"entries\": [\n"
        " {\"name\": \"a\\\"\xef\xbf\xbd\", \"type\": \"file\", \"size\": 3, \"modified\": \"1970-01-01T00:00:03Z\"},\n"
        " {\"name\": \"d\", \"type\": \"folder\", \"size\": null, \"modified\": \"1970-01-01T00:00:02Z\"},\n"
        " {\"name\": \"m\", \"type\": \"folder\", \"size\": null, \"modified\": null}]}\n");
    text.len = list.count = 0;
    list.cut = true;
    page_write_json(&text, &list, &view);
    CHECK_STR(text_of(&text), "{\"path\": \"/\\\\/\", \"cut\": true, \"entries\": []}\n");
    page_list_free(&list);
    free(text.ptr);
}

TEST(a_folder_without_end_is_cut)
{
    page_list list;
    fsv_entry entry;
    memset(&list, 0, sizeof list);
    memset(&entry, 0, sizeof entry);
    entry.name = str("x");
    size_t taken = 0;
    while (taken <= PAGE_NAMES_MAX && page_list_entry(&entry, &list)) taken++;
    CHECK_EQ(taken, PAGE_NAMES_MAX);
    CHECK_EQ(list.count, PAGE_NAMES_MAX);
    CHECK(list.cut && !list.failed);
    page_list_free(&list);
}

static page_share share_of(uint32_t kib, bool *fits)
{
    page_share share;
    memset(&share, 0, sizeof share);
    *fits = page_share_grow(&share, (size_t)kib << 10);
    return share;
}

// Goal: small listings and large ones have each a share; a large one that is alone is never too large; what one gives back
// another may take, and at the end nothing is missing.
TEST(shares)
{
    enum { SMALL = 1024, SMALLS = 64 };
    page_share small[SMALLS], large, other, last;
    bool fits;
    large = share_of(150 << 10, &fits);
    CHECK(fits);
    other = share_of(SMALL, &fits);
    CHECK(fits);
    CHECK_EQ(page_shares[0], SMALL);
    CHECK(!page_share_grow(&other, 43u << 20)); // with large, that is beyond 192 MiB
    CHECK(other.full && other.kib == SMALL);
    CHECK_EQ(page_shares[0], SMALL);
    CHECK_EQ(page_shares[1], 150u << 10);
    other.full = false;
    CHECK(page_share_grow(&other, 41u << 20)); // it leaves the share of small ones
    CHECK_EQ(page_shares[0], 0);
    CHECK_EQ(page_shares[1], 192u << 10);
    CHECK(!page_share_grow(&large, 1));
    page_share_shrink(&other, 42u << 20);
    CHECK_EQ(page_shares[1], 150u << 10);
    CHECK(page_share_grow(&large, (size_t)1 << 30)); // alone
    for (size_t i = 0; i < SMALLS; i++) {
        small[i] = share_of(SMALL, &fits);
        CHECK(fits);
    }
    last = share_of(1, &fits);
    CHECK(!fits && last.full && last.kib == 0);
    page_share_shrink(&large, (size_t)large.bytes - 1024); // is small now, but no small one has room for it
    CHECK(page_shares[1] > 0);
    CHECK(page_share_grow(&large, 1000)); // it counts for more than that already
    CHECK(page_shares[1] > 0 && page_shares[0] == SMALL * SMALLS);
    page_share_shrink(&large, 2024);
    CHECK_EQ(page_shares[1], 0);
    for (size_t i = 0; i < SMALLS; i++) page_share_shrink(&small[i], SMALL << 10);
    CHECK_EQ(page_shares[0], 0);
}

// A list and its page take what they have, and give all of it back, also where there is no more.
TEST(listings_count)
{
    for (int full = 0; full < 2; full++) {
        page_share share;
        page_list list;
        page_text text;
        page_view view = {str("/"), str("h"), 0};
        fsv_entry entry;
        ROW("%s", full ? "others have all" : "alone");
        memset(&share, 0, sizeof share);
        memset(&list, 0, sizeof list);
        memset(&text, 0, sizeof text);
        memset(&entry, 0, sizeof entry);
        list.names.share = text.share = &share;
        entry.name = str("a name");
        if (full) page_shares[1] = page_shares_kib[1];
        size_t taken = 0;
        while (taken < 30000 && page_list_entry(&entry, &list)) taken++;
        CHECK_EQ(taken < 30000, full);
        CHECK_EQ(list.failed, full);
        CHECK_EQ(share.full, full);
        CHECK_EQ(share.bytes, list.cap * sizeof *list.items + list.names.cap);
        CHECK_EQ(page_sort(&list), !full);
        CHECK_EQ(share.bytes, list.cap * sizeof *list.items + list.names.cap);
        page_write_html(&text, &list, &view);
        CHECK_EQ(share.bytes, list.cap * sizeof *list.items + list.names.cap + text.cap);
        CHECK_EQ(page_shares[!full], share.kib);
        page_list_free(&list);
        page_trim(&text);
        CHECK_EQ(share.bytes, text.len);
        page_free(&text);
        CHECK_EQ(share.kib, 0);
        CHECK_EQ(page_shares[0], 0);
        CHECK_EQ(page_shares[1], full ? page_shares_kib[1] : 0);
        page_shares[1] = 0;
    }
}

// Goal: nobody goes on with a listing for a client that has gone.
TEST(listings_end_with_their_client)
{
    static fsv_request request; // without a connection
    page_share share;
    page_list list;
    page_text text;
    page_view view = {str("/"), str("h"), 0};
    fsv_entry entry;
    memset(&share, 0, sizeof share);
    memset(&list, 0, sizeof list);
    memset(&text, 0, sizeof text);
    memset(&entry, 0, sizeof entry);
    list.names.share = text.share = &share;
    entry.name = str("x");
    for (int i = 0; i < 5000; i++) CHECK(page_list_entry(&entry, &list));
    share.request = &request;
    CHECK(!page_sort(&list));
    page_write_html(&text, &list, &view);
    CHECK(text.failed && count_of(text_of(&text), "<tr><td>") < PAGE_GLANCE);
    page_free(&text);
    text.failed = false;
    page_write_json(&text, &list, &view);
    CHECK(text.failed && count_of(text_of(&text), "\"name\"") < PAGE_GLANCE);
    page_free(&text);
    page_list_free(&list);
    int taken = 0;
    while (taken < 5000 && page_list_entry(&entry, &list)) taken++;
    CHECK_EQ(taken, PAGE_GLANCE - 1);
    CHECK(list.failed && share.gone);
    page_list_free(&list);
    CHECK_EQ(page_shares[0] + page_shares[1], 0);
}

// Folders of the server stand in the listing of what is above them; a name that is there as well is not what is served.
TEST(mounts_are_listed)
{
    static const char *const names[] = {"docs", "other"};
    static const struct {
        const char *here, *names;
    } rows[] = {
        {"/", "docs/ other a/b/ a/bc/"}, {"/a/", "docs other b/ bc/"}, {"/a/b/", "docs other"}, {"/do/", "docs other"}};
    serve_site site;
    memset(&site, 0, sizeof site);
    CHECK(!serve_add_mount(&site, "", 0, "x"));
    CHECK(!serve_parse_mount(&site, "/docs=x"));
    CHECK(!serve_parse_mount(&site, "/a/b=x"));
    CHECK(!serve_parse_mount(&site, "/a/bc=x"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        page_list list;
        page_text here;
        ROW("%s", rows[i].here);
        memset(&here, 0, sizeof here);
        page_puts(&here, rows[i].here);
        list_of(&list, names, 2);
        serve_list_mounts(&list, &site, &here);
        CHECK_STR(names_of(&list), rows[i].names);
        CHECK_EQ(list.bytes, i ? 9 : 5);
        if (i == 0) CHECK_EQ(list.items[0].size, 0);
        page_list_free(&list);
        free(here.ptr);
    }
}

// ---- every request

TEST(hosts)
{
    static const struct {
        const char *host;
        bool fits;
    } rows[] = {
        {"", true}, // no browser
        {"localhost", true},
        {"LocalHost:8080", true},
        {"localhost.", true},
        {"localhost.:80", true},
        {"localhost.evil.example", false},
        {"evil.localhost", false},
        {"evil.example", false},
        {"evil.example:8080", false},
        {"127.0.0.1", true},
        {"127.0.0.1:8080", true},
        {"192.168.1.5", true},
        {"192.168.1.5.", true},
        {"127.0.0.1.evil.example", false},
        {"127.0.0.256", false},
        {"127.0.0", false},
        {"127.0.0.1.1", false},
        {"127..0.1", false},
        {"2130706433", false},
        {"0x7f.0.0.1", false},
        {"0177.0.0.1", false}, // four digits
        {"[::1]", true},
        {"[::1]:8080", true},
        {"[fe80::1.2.3.4]", true},
        {"[evil]", false},
        {"[ab]", false},
        {"[::1", false},
        {"[::1]x", false},
        {"[::1]evil.example:80", false},
        {"files.example", true},
        {"FILES.example:1", true},
        {"files.example.", true},
        {"xfiles.example", false},
        {"files.exampl", false},
        {"two", true},
        {":80", false},
        {".", false},
    };
    serve_site site;
    memset(&site, 0, sizeof site);
    CHECK(!serve_add_host(&site, "files.example."));
    CHECK(!serve_add_host(&site, "Two"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].host);
        CHECK_EQ(serve_host_fits(&site, str(rows[i].host)), rows[i].fits);
    }
}

TEST(base64)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfd", "//79"},
                                          {"user:p\xc3\xa4ss", "dXNlcjpww6Rzcw=="}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        ROW("%s", rows[i][0]);
        serve_base64(out, rows[i][0], strlen(rows[i][0]));
        CHECK_STR(out, rows[i][1]);
    }
}

TEST(logins)
{
    static const struct {
        const char *field;
        bool in;
    } rows[] = {
        {"Basic dXNlcjpwYXNz", true},
        {"basic   dXNlcjpwYXNz", true},
        {"BASIC dXNlcjpwYXNz", true},
        {"Basic dXNlcjpwYXNy", false},
        {"Basic dXNlcjpwYXN", false},
        {"Basic dXNlcjpwYXNzz", false},
        {"Basic", false},
        {"Basic ", false},
        {"", false},
        {"Bearer dXNlcjpwYXNz", false},
        {"dXNlcjpwYXNz", false},
        {"BasicdXNlcjpwYXNz", false},
        {"Basic user:pass", false},
        {"Basic dXNlcjpwYXNz=", false},
    };
    static serve_site site;
    char text[6000];
    CHECK(!serve_set_login(&site, "user:pass"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].field);
        CHECK_EQ(serve_logged_in(&site, str(rows[i].field)), rows[i].in);
    }
    // What is given may be longer than all that is compared, and begin with what is right.
    for (size_t len = SERVE_LOGIN_MAX - 2; len<sizeof text - 6; len += len> SERVE_LOGIN_MAX ? 977 : 1) {
        ROW("%zu bytes", len);
        memset(text, 'x', sizeof text);
        memcpy(text, "Basic dXNlcjpwYXNz", 18);
        fsv_str given = {text, 6 + len};
        CHECK(!serve_logged_in(&site, given));
        memset(text + 18, 0, sizeof text - 18);
        CHECK(!serve_logged_in(&site, given));
    }
    for (size_t len = 700; len < 800; len++) { // as long as it may be
        memset(text, 'x', len);
        text[1] = ':';
        text[len] = 0;
        ROW("USER:PASS of %zu bytes", len);
        const char *wrong = serve_set_login(&site, text);
        CHECK_EQ(wrong == NULL, len < 765);
        if (wrong) continue;
        char field[SERVE_LOGIN_MAX + 6] = "Basic ";
        serve_base64(field + 6, text, len);
        CHECK(serve_logged_in(&site, str(field)));
        field[len / 2]++;
        CHECK(!serve_logged_in(&site, str(field)));
    }
    CHECK(serve_set_login(&site, "user") && serve_set_login(&site, ":") && serve_set_login(&site, "a:\n"));
    CHECK(serve_set_login(&site, ":pass") && serve_set_login(&site, "user:") && !serve_set_login(&site, "a:b:c"));
    CHECK_STR(site.user, "a");
    CHECK(serve_set_login(&site, "@/no/such/file") != NULL);
}

// ---- options

TEST(headers)
{
    static const struct {
        const char *given, *name, *value; // name NULL: refused
    } rows[] = {
        {"X-Frame-Options: DENY", "X-Frame-Options", "DENY"},
        {"A:b", "A", "b"},
        {"A: \t b c \t", "A", "b c"},
        {"A:", "A", ""},
        {"A: b: c", "A", "b: c"},
        {"A: Gr\xc3\xbcn", "A", "Gr\xc3\xbcn"},
        {"A", NULL, NULL},
        {": b", NULL, NULL},
        {"A : b", NULL, NULL},
        {"A b: c", NULL, NULL},
        {"A: b\r\nC: d", NULL, NULL},
        {"A: \x01", NULL, NULL},
        {"Content-Length: 1", NULL, NULL},
        {"date: now", NULL, NULL},
        {"Content-Type: text/plain", NULL, NULL},
        {"CACHE-CONTROL: no-store", NULL, NULL},
        {"ETag: \"x\"", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static serve_site site;
        ROW("%s", rows[i].given);
        site.fields_len = 0;
        const char *wrong = serve_add_field(&site, rows[i].given);
        CHECK_EQ(wrong == NULL, rows[i].name != NULL);
        if (wrong || !rows[i].name) continue;
        CHECK_STR(site.fields, rows[i].name);
        CHECK_STR(site.fields + strlen(site.fields) + 1, rows[i].value);
        CHECK_EQ(site.fields_len, strlen(rows[i].name) + strlen(rows[i].value) + 2);
    }
    static serve_site full;
    int taken = 0;
    while (taken < 9000 && !serve_add_field(&full, "X-Some: value")) taken++;
    CHECK_EQ(taken, (int)(sizeof full.fields / 13));
    CHECK(full.fields_len <= sizeof full.fields);
}

TEST(cache)
{
    static const struct {
        const char *given, *value; // NULL: refused
    } rows[] = {
        {"3600", "max-age=3600"},
        {"0", "max-age=0"},
        {"90s", "max-age=90"},
        {"10m", "max-age=600"},
        {"2h", "max-age=7200"},
        {"7d", "max-age=604800"},
        {"off", "no-store"},
        {"no-cache", "no-cache"},
        {"public, max-age=60, immutable", "public, max-age=60, immutable"},
        {"", NULL},
        {"5y", NULL},
        {"10mm", NULL},
        {"-1", NULL},
        {"99999999999999999999", NULL},
        {"no\r\nstore", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static serve_site site;
        ROW("%s", rows[i].given);
        const char *wrong = serve_set_cache(&site, rows[i].given);
        CHECK_EQ(wrong == NULL, rows[i].value != NULL);
        if (!wrong) CHECK_STR(site.cache, rows[i].value);
    }
}

TEST(types)
{
    static serve_site site, full;
    static const struct {
        const char *given, *why; // NULL: taken
    } rows[] = {
        {"md=text/plain; charset=utf-8", NULL},
        {".foo=application/x-foo", NULL},
        {"nfo=text/plain", NULL},
        {" md  .markdown =text/html", NULL},
        {"", "EXT=TYPE"},
        {"md", "EXT=TYPE"},
        {"md=", "EXT=TYPE"},
        {"=text/plain", "EXT=TYPE"},
        {"  =a/b", "EXT=TYPE"},
        {"md=text", "has a slash"},
        {"md=/plain", "both sides"},
        {"md=a/", "both sides"},
        {"a.b=c/d", "dot"},
        {"a b.=c/d", "dot"},
        {".=a/b", "dot"},
        {"..a=a/b", "dot"},
        {"a .=a/b", "dot"},
        {"a/b=c/d", "slash"},
        {"a\\b=c/d", "slash"},
        {"a,b=c/d", "comma"},
        {"a;b=c/d", "comma"},
        {"*=c/d", "star"},
        {"a=b/c\n", "control"},
        {"a\n=b/c", "control"},
        {"a\x7f=b/c", "control"},
        {"a\tb=b/c", "control"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].given);
        const char *wrong = serve_add_type(&site, rows[i].given);
        CHECK_EQ(wrong != NULL, rows[i].why != NULL);
        if (wrong && rows[i].why) CHECK(strstr(wrong, rows[i].why) != NULL);
    }
    CHECK_STR(site.types, "md markdown=text/html; charset=utf-8\nnfo=text/plain; charset=utf-8\n"
                          "foo=application/x-foo\nmd=text/plain; charset=utf-8");
    CHECK_EQ(site.types_len, strlen(site.types) + 1);
    int taken = 0;
    while (taken < 9000 && !serve_add_type(&full, "abcd=text/abcd")) taken++;
    CHECK_EQ(taken, (int)(sizeof full.types / 30)); // with its charset
    CHECK_EQ(full.types_len, (size_t)taken * 30);
    CHECK_EQ(strlen(full.types), full.types_len - 1);
    char line[600];
    for (size_t len = 190; len < 210; len++) { // as long as each side may be
        ROW("%zu bytes", len);
        site.types_len = 0;
        memset(line, 'x', sizeof line);
        (void)snprintf(line + len, sizeof line - len, "=a/b");
        CHECK_EQ(serve_add_type(&site, line) == NULL, len <= 200);
        (void)snprintf(line, sizeof line, "x=text/%0*d", (int)len - 5, 0);
        CHECK_EQ(serve_add_type(&site, line) == NULL, len <= 200);
    }
}

// What to read is where an option stands.
TEST(help_of_options)
{
    static const char *const first[] = {"-p",    "--port",       "-q",     "--spa", "--cache",
                                        "--log", "--log-format", "--auth", "x"};
    static const char *const all[] = {"--mime",     "-t",      "-w", "--unix", "--sandbox",
                                      "--max-head", "--index", "-Z", "--lo",   "-"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        ROW("%s", first[i]);
        CHECK(serve_helps(first[i]));
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ROW("%s", all[i]);
        CHECK(!serve_helps(all[i]));
    }
}

TEST(host_names)
{
    static serve_site site;
    static const char *const wrong[] = {"", ".", "a:80", "http://a", "a/b", "a b", "[::1]", "gr\xc3\xbcn"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ROW("%s", wrong[i]);
        CHECK(serve_add_host(&site, wrong[i]) != NULL);
    }
    CHECK_EQ(site.hosts_len, 0);
    CHECK(!serve_add_host(&site, "My-Machine_2.local"));
}

TEST(mounts)
{
    static const struct {
        const char *given, *prefix; // NULL: refused
    } rows[] = {
        {"/docs=d", "/docs"}, {"/docs/=d", "/docs"}, {"/a/b c=d", "/a/b c"}, {"/=d", ""},      {"//=d", ""},
        {"/a=C:\\x=y", "/a"}, {"docs=d", NULL},      {"/docs", NULL},        {"/docs=", NULL}, {"=d", NULL},
        {"/a//b=d", NULL},    {"/a/../b=d", NULL},   {"/.a=d", NULL},        {"/:a=d", NULL},  {"/*=d", NULL},
        {"/a%20b=d", NULL},   {"/a?b=d", NULL},      {"/a\\b=d", NULL},      {"/a\n=d", NULL},
    };
    static serve_site site;
    char prefix[8];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].given);
        memset(&site, 0, sizeof site);
        const char *wrong = serve_parse_mount(&site, rows[i].given);
        CHECK_EQ(wrong == NULL, rows[i].prefix != NULL);
        if (wrong || !rows[i].prefix) continue;
        CHECK_STR(site.mounts[0].prefix, rows[i].prefix);
        CHECK_STR(site.mounts[0].path, strchr(rows[i].given, '=') + 1);
        CHECK_EQ(site.mounts[0].prefix_len, strlen(rows[i].prefix));
        CHECK(serve_parse_mount(&site, rows[i].given) != NULL); // it stands there already
    }
    memset(&site, 0, sizeof site);
    for (int i = 0; i <= SERVE_MOUNTS_MAX; i++) {
        (void)snprintf(prefix, sizeof prefix, "/%d", i);
        CHECK_EQ(serve_add_mount(&site, prefix, strlen(prefix), "x") == NULL, i < SERVE_MOUNTS_MAX);
    }
}

// ---- the sandbox

#if FSI_LINUX
#include <sys/wait.h>

// What can still be done, as bits. In a process of its own: there is no way out.
enum {
    BOX_ENTERED = 1,
    BOX_READ = 2,
    BOX_READ_OUTSIDE = 4,
    BOX_WRITE = 8,
    BOX_LIST_OUTSIDE = 16,
    BOX_EXEC = 32,
    BOX_SOCKET = 64,
    BOX_THREAD = 128
};

static void box_thread(void *user)
{
    *(bool *)user = open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0;
}

static bool box_refused(long result)
{
    return SERVE_ARCH == 0 || (result == -1 && errno == EPERM);
}

// Calls that Landlock, or an old one, does not see; by the filter they fail in another way than by Landlock, and without
// either most of them would not. The newest may be unknown to the system, but not to the filter.
static bool box_changes(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), flags[8] = {0};
    bool refused = box_refused(truncate(path, 0)) && box_refused(chmod(path, 0666)) && box_refused(fchmod(fd, 0666)) &&
                   box_refused(fchmodat(AT_FDCWD, path, 0666, 0)) && box_refused(chown(path, getuid(), getgid())) &&
                   box_refused(lchown(path, getuid(), getgid())) && box_refused(fchown(fd, getuid(), getgid())) &&
                   box_refused(fchownat(AT_FDCWD, path, getuid(), getgid(), 0)) &&
                   box_refused(utimensat(AT_FDCWD, path, NULL, 0)) && box_refused(futimens(fd, NULL)) &&
                   box_refused(syscall(SYS_setxattr, path, "user.x", "x", (size_t)1, 0)) &&
                   box_refused(syscall(SYS_lsetxattr, path, "user.x", "x", (size_t)1, 0)) &&
                   box_refused(syscall(SYS_fsetxattr, fd, "user.x", "x", (size_t)1, 0)) &&
                   box_refused(syscall(SYS_removexattr, path, "user.x")) &&
                   box_refused(syscall(SYS_lremovexattr, path, "user.x")) &&
                   box_refused(syscall(SYS_fremovexattr, fd, "user.x")) &&
                   box_refused(syscall(SERVE_FCHMODAT2, AT_FDCWD, path, 0666u, 0u)) &&
                   box_refused(syscall(SERVE_SETXATTRAT, AT_FDCWD, path, 0u, "user.x", NULL, (size_t)0)) &&
                   box_refused(syscall(SERVE_REMOVEXATTRAT, AT_FDCWD, path, 0u, "user.x")) &&
                   box_refused(syscall(SERVE_FILE_SETATTR, AT_FDCWD, path, NULL, (size_t)0, 0u)) &&
                   box_refused(ioctl(fd, 0x40086602, &flags)) &&
                   box_refused(ioctl(fd, 0x401c5820, &flags)) && // the older way
                   box_refused(ioctl(fd, FIONBIO, &flags));
    int ends[2], queued = 1; // what the server asks of its sockets
    refused = refused && pipe(ends) == 0 && ioctl(ends[0], TIOCOUTQ, &queued) == -1 && errno != EPERM;
#ifdef SYS_chmod
    refused = refused && box_refused(syscall(SYS_chmod, path, 0666u)) &&
              box_refused(syscall(SYS_chown, path, getuid(), getgid())) &&
              box_refused(syscall(SYS_lchown, path, getuid(), getgid())) &&
              box_refused(syscall(SYS_utimes, path, NULL)) && box_refused(syscall(SYS_futimesat, AT_FDCWD, path, NULL));
#endif
#ifdef SYS_utime
    refused = refused && box_refused(syscall(SYS_utime, path, NULL));
#endif
    close(fd);
    return !refused;
}

static int box_try(const char *folder)
{
    char inside[300];
    serve_grant grant;
    fsi_thread thread;
    bool bound = false;
    int found = 0;
    memset(&grant, 0, sizeof grant);
    grant.fd = serve_grant_open(folder);
    (void)snprintf(inside, sizeof inside, "%s/file", folder);
    if (!serve_sandbox_enter(&grant, 1)) return 0;
    found = BOX_ENTERED;
    if (open(inside, O_RDONLY | O_CLOEXEC) >= 0) found |= BOX_READ;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0) found |= BOX_READ_OUTSIDE;
    if (open(inside, O_WRONLY | O_CLOEXEC) >= 0 || truncate(inside, 0) == 0 || box_changes(inside)) found |= BOX_WRITE;
    if (open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0) found |= BOX_LIST_OUTSIDE;
    char *args[] = {inside, NULL};
    (void)execve("/bin/true", args, args);
    if (errno != EPERM && SERVE_ARCH != 0) found |= BOX_EXEC;
    if (SERVE_ARCH != 0 && socket(AF_INET, SOCK_DGRAM, 0) >= 0) found |= BOX_SOCKET;
    if (fsi_thread_start(&thread, box_thread, &bound, "box")) fsi_thread_join(&thread);
    return bound ? found | BOX_THREAD : found;
}

// Goal: what was granted can be read; nothing outside, nothing can be written, nor its mode, owner, times and attributes
// changed, no program started and no socket made; threads that are made later are bound as well.
TEST(sandbox)
{
    char folder[] = "/tmp/fsv-box-XXXXXX", inside[64];
    int status = 0;
    if (!serve_landlock()) SKIP("no Landlock here");
    REQUIRE(mkdtemp(folder) != NULL);
    (void)snprintf(inside, sizeof inside, "%s/file", folder);
    FILE *file = fopen(inside, "w");
    REQUIRE(file != NULL && fputs("text", file) >= 0 && fclose(file) == 0);
    pid_t child = fork();
    if (child == 0) _exit(box_try(folder));
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), BOX_ENTERED | BOX_READ | BOX_THREAD);
    (void)remove(inside);
    (void)rmdir(folder);
}
#else
TEST(sandbox)
{
    SKIP("Linux alone has it");
}
#endif

TEST_MAIN(CASE(sandbox), CASE(style_is_what_the_policy_allows), CASE(escaping), CASE(sizes_and_counts), CASE(times),
          CASE(accept_weights), CASE(json_or_html), CASE(spa_pages), CASE(natural_order), CASE(sorted),
          CASE(sorted_at_any_length), CASE(crumbs), CASE(page), CASE(json), CASE(a_folder_without_end_is_cut),
          CASE(shares), CASE(listings_count), CASE(listings_end_with_their_client), CASE(mounts_are_listed),
          CASE(hosts), CASE(base64), CASE(logins), CASE(headers), CASE(cache), CASE(types), CASE(help_of_options),
          CASE(host_names), CASE(mounts))
