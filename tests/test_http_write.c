// test_http_write.c: >>http-write. Exact bytes, and what may get into a head at all.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#define S(literal) literal, sizeof(literal) - 1
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static fsi_head_out out;

static void start(uint32_t status)
{
    memset(&out, 0, sizeof out);
    out.status = status;
    out.date = DATE;
}

static void check_head(const char *want, size_t want_len)
{
    char text[1024];
    memset(text, '#', sizeof text);
    char *end = fsi_write_head(text, &out);
    CHECK_BYTES(text, end - text, want, want_len);
    CHECK_EQ(*end, '#'); // nothing behind the end
}

// Goal: the hot path's answer is exactly these bytes.
TEST(head_of_200)
{
    start(200);
    out.type = "text/plain";
    out.type_len = 10;
    out.has_length = true;
    out.length = 12;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/plain\r\nContent-Length: 12\r\n\r\n"));
}

// Goal: each part stands there when it is asked for and only then, in one order; chunked and a length are separate.
TEST(head_parts)
{
    start(200);
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "\r\n"));
    out.has_length = true;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\n\r\n"));
    out.length = UINT64_MAX;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Content-Length: 18446744073709551615\r\n\r\n"));
    start(200);
    out.length = 5; // not valid without has_length
    out.chunked = true;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n"));
    start(200);
    out.say_close = true;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\n"));
    out.say_keep = true; // one Connection field, and close is the one that binds
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\n"));
    out.say_close = false;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Connection: keep-alive\r\n\r\n"));
    start(200);
    out.type = "a/b;c=d";
    out.type_len = 3; // by its length, not to its terminator
    out.more = "X-A: 1\r\nX-B: 2\r\nnot this";
    out.more_len = 16;
    check_head(S("HTTP/1.1 200 OK\r\n" DATE "Content-Type: a/b\r\nX-A: 1\r\nX-B: 2\r\n\r\n"));
    start(404);
    out.type = "text/plain";
    out.type_len = 10;
    out.has_length = true;
    out.length = 9;
    out.say_close = true;
    out.more = "A: b\r\n";
    out.more_len = 6;
    check_head(S("HTTP/1.1 404 Not Found\r\n" DATE
                 "Content-Type: text/plain\r\nContent-Length: 9\r\nConnection: close\r\nA: b\r\n\r\n"));
}

// Goal: a status line always has three digits, a space and a reason, also for numbers that have no name here.
TEST(head_statuses)
{
    static const struct row {
        uint32_t status;
        const char *want;
    } rows[] = {
        {200, "HTTP/1.1 200 OK\r\n"},
        {201, "HTTP/1.1 201 Created\r\n"},
        {204, "HTTP/1.1 204 No Content\r\n"},
        {206, "HTTP/1.1 206 Partial Content\r\n"},
        {301, "HTTP/1.1 301 Moved Permanently\r\n"},
        {304, "HTTP/1.1 304 Not Modified\r\n"},
        {308, "HTTP/1.1 308 Permanent Redirect\r\n"},
        {400, "HTTP/1.1 400 Bad Request\r\n"},
        {405, "HTTP/1.1 405 Method Not Allowed\r\n"},
        {408, "HTTP/1.1 408 Request Timeout\r\n"},
        {411, "HTTP/1.1 411 Length Required\r\n"},
        {413, "HTTP/1.1 413 Content Too Large\r\n"},
        {414, "HTTP/1.1 414 URI Too Long\r\n"},
        {417, "HTTP/1.1 417 Expectation Failed\r\n"},
        {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
        {500, "HTTP/1.1 500 Internal Server Error\r\n"},
        {501, "HTTP/1.1 501 Not Implemented\r\n"},
        {502, "HTTP/1.1 502 Bad Gateway\r\n"},
        {503, "HTTP/1.1 503 Service Unavailable\r\n"},
        {505, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
        {299, "HTTP/1.1 299 Unknown\r\n"},
        {599, "HTTP/1.1 599 Unknown\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        int n = snprintf(want, sizeof want, "%s" DATE "\r\n", rows[i].want);
        start(rows[i].status);
        ROW("%u", rows[i].status);
        check_head(want, (size_t)n);
    }
    for (int64_t refusal = 1; refusal < FSI_REFUSALS_END; refusal++) { // every status that we send ourselves has a name
        ROW("%u", fsi_refusal_status(refusal));
        CHECK(strcmp(fsi_status_text(fsi_refusal_status(refusal)), "Unknown") != 0);
    }
}

// Goal: the room that callers make is enough for the longest head there is.
TEST(head_fits_its_room)
{
    char text[1024];
    for (uint32_t status = 100; status < 1000; status++) {
        start(status);
        out.type = "";
        out.has_length = out.chunked = out.say_keep = true;
        out.length = UINT64_MAX;
        ROW("%u", status);
        CHECK(fsi_write_head(text, &out) - text <= FSI_HEAD_ROOM);
    }
}

// Goal: our own reader takes our own heads for what they were meant to be.
TEST(head_reads_back)
{
#if FSI_CLIENT
    for (uint32_t i = 0; i < 900 * 8; i++) {
        char text[1024];
        fsi_answer_head head;
        start(100 + i / 8);
        out.has_length = i & 1;
        out.chunked = !out.has_length && (i & 2);
        out.say_close = i & 4;
        out.say_keep = !out.say_close;
        out.length = i * 1234567891u;
        size_t len = (size_t)(fsi_write_head(text, &out) - text);
        ROW("%u", i);
        CHECK_EQ(fsi_read_response(text, len, 1024, &head), len);
        CHECK_EQ(head.status, out.status);
        CHECK_EQ(head.has_length, out.has_length);
        CHECK_EQ(head.content_length, out.has_length ? out.length : 0);
        CHECK_EQ(head.chunked, out.chunked);
        CHECK_EQ(head.wants_close, out.say_close);
        CHECK_EQ(head.wants_keep, out.say_keep);
    }
#else
    SKIP("built without the client side");
#endif
}

// Goal: a size line is the size in hex without leading zeroes, at most 18 bytes; 0 is one digit, as it ends the body.
TEST(chunk_size_lines)
{
    static const struct row {
        uint64_t size;
        const char *want;
    } rows[] = {
        {0, "0\r\n"},
        {1, "1\r\n"},
        {9, "9\r\n"},
        {10, "a\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {256, "100\r\n"},
        {0x1000, "1000\r\n"},
        {0x10f0, "10f0\r\n"},
        {65535, "ffff\r\n"},
        {65536, "10000\r\n"},
        {0xffffffffu, "ffffffff\r\n"},
        {0x100000000u, "100000000\r\n"},
        {0x123456789abcdef0u, "123456789abcdef0\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[20];
        memset(text, '#', sizeof text);
        char *end = fsi_write_chunk_size(text, rows[i].size);
        ROW("%llx", (unsigned long long)rows[i].size);
        CHECK_BYTES(text, end - text, rows[i].want, strlen(rows[i].want));
        CHECK_EQ(*end, '#');
    }
    for (uint64_t size = 1; size >> 59 == 0; size = size * 3 + 1) { // and our own decoder reads it back
        char text[20];
        fsi_chunked body;
        fsi_limits limits = {1000, 1000, 10};
        size_t run;
        memset(&body, 0, sizeof body);
        size_t len = (size_t)(fsi_write_chunk_size(text, size) - text);
        CHECK_EQ(fsi_read_chunked(&body, text, len, &limits, &run), len);
        CHECK(body.left == size && body.state == FSI_CHUNK_DATA);
    }
}

// Goal: nothing that could end a line, or hide one, gets into a head by way of a field: CR, LF, NUL and every other
// control byte are refused at any place in name and value; names are tokens.
TEST(field_is_clean_byte_by_byte)
{
    static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (int c = 0; c < 256; c++) {
        bool token = c && (strchr(alnum, c) || strchr("!#$%&'*+-.^_`|~", c));
        bool value = c == '\t' || (c >= 32 && c != 127);
        for (size_t at = 0; at < 5; at++) {
            char text[5] = {'a', 'b', 'c', 'd', 'e'};
            text[at] = (char)c;
            ROW("byte %02x at %zu", (unsigned)c, at);
            CHECK_EQ(fsi_field_is_clean(text, 5, "v", 1), token);
            CHECK_EQ(fsi_field_is_clean("n", 1, text, 5), value);
        }
    }
}

// Goal: the same for the texts that are tried in practice.
TEST(field_is_clean_table)
{
    static const struct row {
        const char *name;
        size_t name_len;
        const char *value;
        size_t value_len;
        bool want;
    } rows[] = {
        {S("Location"), S("/a?b=c#d"), true},
        {S("X-Empty"), S(""), true},
        {S("Set-Cookie"), S("a=b; Path=/; HttpOnly"), true},
        {S("X"), S("\xc3\xa4\ttab"), true},
        {S(""), S("v"), false},
        {S("A "), S("v"), false},
        {S(" A"), S("v"), false},
        {S("A:"), S("v"), false},
        {S("A\r\nB"), S("v"), false},
        {S("A\0"), S("v"), false},
        {S("A"), S("v\r\nSet-Cookie: x"), false},
        {S("A"), S("v\nSet-Cookie: x"), false},
        {S("A"), S("v\rSet-Cookie: x"), false},
        {S("A"), S("v\r\n\r\n<html>"), false},
        {S("A"), S("v\r\n"), false},
        {S("A"), S("\r\n v"), false},
        {S("A"), S("v\0w"), false},
        {S("A"), S("\0"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("row %zu", i);
        CHECK_EQ(fsi_field_is_clean(rows[i].name, rows[i].name_len, rows[i].value, rows[i].value_len), rows[i].want);
    }
}

// Goal: a handler cannot send a second length or coding past the library, in any case of letters; its own names are
// free.
TEST(field_is_ours)
{
    static const char *const ours[] = {"content-length", "Transfer-Encoding", "CONNECTION", "Keep-Alive",
                                       "dATE",           "Trailer",           "Upgrade"};
    static const char *const free_ones[] = {
        "",         "Content-Lengt", "Content-Length2", "Content-Type",  "Location",
        "Dat",      "Dates",         "X-Date",          "Connections",   "Server",
        "Trailers", "Upgrades",      "Content_Length",  "Content-Range", "Set-Cookie"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        ROW("%s", ours[i]);
        CHECK(fsi_field_is_ours(ours[i], strlen(ours[i])));
    }
    for (size_t i = 0; i < sizeof free_ones / sizeof free_ones[0]; i++) {
        ROW("%s", free_ones[i]);
        CHECK(!fsi_field_is_ours(free_ones[i], strlen(free_ones[i])));
    }
}

TEST_MAIN(CASE(head_of_200), CASE(head_parts), CASE(head_statuses), CASE(head_fits_its_room), CASE(head_reads_back),
          CASE(chunk_size_lines), CASE(field_is_clean_byte_by_byte), CASE(field_is_clean_table), CASE(field_is_ours))
