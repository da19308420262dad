// test_http_read.c: >>http-read. Every input stands at the end of a page that is followed by one nobody may touch, so
// that one byte too many ends the test. Heads are compared as one line of text, see describe().
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

#define S(literal) literal, sizeof(literal) - 1
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIELDS_MAX 128

static const fsi_limits usual = {16384, 8192, 100};
static fsi_head head;
static fsi_field fields[FIELDS_MAX];

// ---- helpers

enum { GUARDED = 1 << 18 };

// A copy of the bytes whose end is the end of what may be read. Valid until the next call.
static char *guarded(const char *data, size_t len)
{
    static char *end;
    if (!end) end = os_guarded(GUARDED);
    if (!end || len > GUARDED) abort();
    if (len) memcpy(end - len, data, len);
    return end - len;
}

static int64_t read_request(const char *data, size_t len, const fsi_limits *limits)
{
    return fsi_read_request(guarded(data, len), len, limits, &head, fields);
}

static const char *result_name(int64_t result)
{
    static const char *const names[] = {"",
#define FSI_X(name, status, text) #name,
                                        FSI_REFUSALS(FSI_X)
#undef FSI_X
    };
    if (result > 0) return "accepted";
    if (result == 0) return "incomplete";
    return -result < FSI_REFUSALS_END ? names[-result] : "no such refusal";
}

#define CHECK_RESULT(got, want) CHECK_STR(result_name(got), result_name(want))

static const char *method_name(uint8_t method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    return method < FSI_METHODS ? names[method] : method == FSI_METHOD_OTHER ? "other" : "?";
}

static char line[2048]; // what describe() wrote
static size_t line_len;

static void put(const char *before, const char *text, size_t len, const char *after)
{
    int n = snprintf(line + line_len, sizeof line - line_len, "%s%.*s%s", before, (int)len, text, after);
    line_len += (size_t)n < sizeof line - line_len ? (size_t)n : 0;
}

// GET 1.1 path=/a query=b host=h len=5 chunked expect close keep escaped asterisk [name=value]...
static const char *describe(const char *data)
{
    line_len = 0;
    put("", method_name(head.method), 9, head.minor ? " 1.1" : " 1.0");
    put(" path=", data + head.path, head.path_len, "");
    if (head.query) put(" query=", data + head.query, head.query_len, "");
    if (head.host) put(" host=", data + head.host, head.host_len, "");
    if (head.has_length) {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)head.content_length);
        put(" len=", digits, sizeof digits, "");
    }
    if (head.chunked) put(" chunked", "", 0, "");
    if (head.expect_continue) put(" expect", "", 0, "");
    if (head.wants_close) put(" close", "", 0, "");
    if (head.wants_keep) put(" keep", "", 0, "");
    if (head.escaped) put(" escaped", "", 0, "");
    if (head.asterisk) put(" asterisk", "", 0, "");
    for (uint32_t i = 0; i < head.field_count; i++) {
        put(" [", data + fields[i].name, fields[i].name_len, "=");
        put("", data + fields[i].value, fields[i].value_len, "]");
    }
    return line;
}

// ---- request heads: tables

typedef struct good_row {
    const char *text;
    size_t len; // all of text is the head
    const char *want;
} good_row;

#define H "Host: h\r\n"
#define R "GET / HTTP/1.1\r\n"

static const good_row good_heads[] = {
    {S(R H "\r\n"), "GET 1.1 path=/ host=h [Host=h]"},
    {S("GET / HTTP/1.0\r\n\r\n"), "GET 1.0 path=/"},
    {S("\r\n" R H "\r\n"), "GET 1.1 path=/ host=h [Host=h]"}, // RFC 9112 2.2
    // targets
    {S("GET /a/b?c=d HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/a/b query=c=d host=h [Host=h]"},
    {S("GET /? HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/ query= host=h [Host=h]"},
    {S("GET /?a?b HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/ query=a?b host=h [Host=h]"},
    {S("GET /%41?%42 HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/%41 query=%42 host=h escaped [Host=h]"},
    {S("GET /?%42 HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/ query=%42 host=h [Host=h]"},
    {S("GET // HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=// host=h [Host=h]"},
    {S("GET /\xc3\xa4\"<>\\^`{|} HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/\xc3\xa4\"<>\\^`{|} host=h [Host=h]"},
    {S("OPTIONS * HTTP/1.1\r\n" H "\r\n"), "OPTIONS 1.1 path= host=h asterisk [Host=h]"},
    {S("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n"), "CONNECT 1.1 path= host=a.b:443 [Host=a.b:443]"},
    {S("GET http://a.b:80/c?d HTTP/1.1\r\n" H "\r\n"),
     "GET 1.1 path=/c query=d host=a.b:80 [Host=h]"}, // RFC 9112 3.2.2
    {S("GET HTTP://A HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path= host=A [Host=h]"},
    {S("GET http://a?b HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path= query=b host=a [Host=h]"},
    {S("GET hTTps://[::1]:8/x HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/x host=[::1]:8 [Host=h]"},
    {S("GET http://a/ HTTP/1.0\r\n\r\n"), "GET 1.0 path=/ host=a"},
    {S("GET /http://a/ HTTP/1.1\r\n" H "\r\n"), "GET 1.1 path=/http://a/ host=h [Host=h]"},
    // methods
    {S("HEAD / HTTP/1.1\r\n" H "\r\n"), "HEAD 1.1 path=/ host=h [Host=h]"},
    {S("POST / HTTP/1.1\r\n" H "\r\n"), "POST 1.1 path=/ host=h [Host=h]"},
    {S("PUT / HTTP/1.1\r\n" H "\r\n"), "PUT 1.1 path=/ host=h [Host=h]"},
    {S("DELETE / HTTP/1.1\r\n" H "\r\n"), "DELETE 1.1 path=/ host=h [Host=h]"},
    {S("OPTIONS / HTTP/1.1\r\n" H "\r\n"), "OPTIONS 1.1 path=/ host=h [Host=h]"},
    {S("TRACE / HTTP/1.1\r\n" H "\r\n"), "TRACE 1.1 path=/ host=h [Host=h]"},
    {S("PATCH / HTTP/1.1\r\n" H "\r\n"), "PATCH 1.1 path=/ host=h [Host=h]"},
    {S("get / HTTP/1.1\r\n" H "\r\n"), "other 1.1 path=/ host=h [Host=h]"}, // methods have case
    {S("GETS / HTTP/1.1\r\n" H "\r\n"), "other 1.1 path=/ host=h [Host=h]"},
    {S("X!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" H "\r\n"), "other 1.1 path=/ host=h [Host=h]"},
    {S("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" H "\r\n"), "other 1.1 path=/ host=h [Host=h]"}, // 32 bytes
    // versions
    {S("GET / HTTP/1.9\r\n" H "\r\n"), "GET 1.1 path=/ host=h [Host=h]"}, // RFC 9110 2.5
    // white space around values, empty values, bytes of values
    {S(R "Host:h\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h]"},
    {S(R "Host: \t h\t \r\n\r\n"), "GET 1.1 path=/ host=h [Host=h]"},
    {S(R "hOST: h\r\n\r\n"), "GET 1.1 path=/ host=h [hOST=h]"},
    {S(R "Host:\r\n\r\n"), "GET 1.1 path=/ host= [Host=]"}, // RFC 9112 3.2: nothing to name
    {S(R H "A:\r\nB: \r\nC:\t\t\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h] [A=] [B=] [C=]"},
    {S(R H "A: b\tc  d\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h] [A=b\tc  d]"},
    {S(R H "A: :b:\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h] [A=:b:]"},
    {S(R H "A: \x80\xff\xc3\xa4\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h] [A=\x80\xff\xc3\xa4]"},
    {S(R H "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h] [!#$%&'*+-.^_`|~09azAZ=x]"},
    {S(R "Host: a-b.c_d~:80\r\n\r\n"), "GET 1.1 path=/ host=a-b.c_d~:80 [Host=a-b.c_d~:80]"},
    {S(R "Host: [2001:db8::1]:80\r\n\r\n"), "GET 1.1 path=/ host=[2001:db8::1]:80 [Host=[2001:db8::1]:80]"},
    {S(R "Host: [::]\r\n\r\n"), "GET 1.1 path=/ host=[::] [Host=[::]]"},
    {S(R "Host: [1:2:3:4:5:6:7:8]\r\n\r\n"), "GET 1.1 path=/ host=[1:2:3:4:5:6:7:8] [Host=[1:2:3:4:5:6:7:8]]"},
    {S(R "Host: [1:2:3:4:5:6:7::]\r\n\r\n"), "GET 1.1 path=/ host=[1:2:3:4:5:6:7::] [Host=[1:2:3:4:5:6:7::]]"},
    {S(R "Host: [::2:3:4:5:6:7:8]\r\n\r\n"), "GET 1.1 path=/ host=[::2:3:4:5:6:7:8] [Host=[::2:3:4:5:6:7:8]]"},
    {S(R "Host: [::ffff:192.0.2.255]\r\n\r\n"), "GET 1.1 path=/ host=[::ffff:192.0.2.255] [Host=[::ffff:192.0.2.255]]"},
    {S(R "Host: [1:2:3:4:5:6:1.2.3.4]:\r\n\r\n"),
     "GET 1.1 path=/ host=[1:2:3:4:5:6:1.2.3.4]: [Host=[1:2:3:4:5:6:1.2.3.4]:]"},
    {S(R "Hos: x\r\n" H "Hosts: y\r\n\r\n"), "GET 1.1 path=/ host=h [Hos=x] [Host=h] [Hosts=y]"},
    // framing
    {S("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n"),
     "POST 1.1 path=/ host=h len=5 [Host=h] [Content-Length=5]"},
    {S("POST / HTTP/1.1\r\n" H "content-LENGTH:0\r\n\r\n"), "POST 1.1 path=/ host=h len=0 [Host=h] [content-LENGTH=0]"},
    {S("POST / HTTP/1.0\r\nContent-Length: 007 \r\n\r\n"), "POST 1.0 path=/ len=7 [Content-Length=007]"},
    {S("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n"),
     "POST 1.1 path=/ host=h len=9223372036854775807 [Host=h] [Content-Length=9223372036854775807]"},
    {S("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
     "POST 1.1 path=/ host=h chunked [Host=h] [Transfer-Encoding=chunked]"},
    {S("POST / HTTP/1.1\r\n" H "transfer-encoding:\tCHUNKED \r\n\r\n"),
     "POST 1.1 path=/ host=h chunked [Host=h] [transfer-encoding=CHUNKED]"},
    // connection
    {S(R H "Connection: close\r\n\r\n"), "GET 1.1 path=/ host=h close [Host=h] [Connection=close]"},
    {S(R H "Connection: x, Keep-Alive\r\n\r\n"), "GET 1.1 path=/ host=h keep [Host=h] [Connection=x, Keep-Alive]"},
    {S(R H "Connection: a ,CLOSE,\r\n\r\n"), "GET 1.1 path=/ host=h close [Host=h] [Connection=a ,CLOSE,]"},
    {S(R H "Connection: closed\r\n\r\n"), "GET 1.1 path=/ host=h [Host=h] [Connection=closed]"},
    {S(R H "Connection: keep-alive\r\nConnection: close\r\n\r\n"),
     "GET 1.1 path=/ host=h close keep [Host=h] [Connection=keep-alive] [Connection=close]"},
    {S("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n"),
     "PUT 1.1 path=/ host=h expect [Host=h] [Expect=100-Continue]"},
    {S("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), "PUT 1.0 path=/ [Expect=100-continue]"}, // RFC 9110 10.1.1
};

typedef struct bad_row {
    const char *text;
    size_t len;
    fsi_refusal want;
} bad_row;

#define P "POST / HTTP/1.1\r\n" H

static const bad_row bad_heads[] = {
    // method
    {S(" GET / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD},
    {S("G@T / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD},
    {S("GET\t/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD},
    {S("GET\r\n\r\n"), FSI_BAD_METHOD},
    {S("\nGET / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD},
    {S("\rGET / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD},
    {S("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD}, // one empty line, not many
    {S("\0GET / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_METHOD},
    {S("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), FSI_BAD_METHOD},               // TLS
    {S("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n"), FSI_LONG_METHOD}, // 33 bytes
    // target
    {S("GET  / HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET \t/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET \r\n\r\n"), FSI_BAD_TARGET},
    {S("GET /a#b HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET /a\0b HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET /a\tb HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET /a\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET * HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET}, // OPTIONS only
    {S("OPTIONS ** HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET a HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET a/b HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET ?a HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET h:80 HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET}, // authority form is CONNECT's
    {S("GET http HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http: HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http:/ab/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http:// HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET https:// HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http:///a HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http://?aaa HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http://u@h/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET}, // who is the host?
    {S("GET http://u:p@h/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET http://h\\@i/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET ftp://host/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    {S("GET httpx://host/ HTTP/1.1\r\n" H "\r\n"), FSI_BAD_TARGET},
    // version
    {S("GET /\r\n\r\n"), FSI_BAD_VERSION}, // HTTP/0.9
    {S("GET / \r\n\r\n"), FSI_BAD_VERSION},
    {S("GET /  HTTP/1.1\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / x HTTP/1.1\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / http/1.1\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/11\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/1.\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/.1\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/1,1\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/1.x\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/1.10\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/01.1\r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/1.1 \r\n" H "\r\n"), FSI_BAD_VERSION},
    {S("GET / HTTP/2.0\r\n" H "\r\n"), FSI_OTHER_VERSION},
    {S("GET / HTTP/0.9\r\n" H "\r\n"), FSI_OTHER_VERSION},
    {S("GET / HTTP/9.9\r\n" H "\r\n"), FSI_OTHER_VERSION},
    {S("GET / HTTP/2.0 "), FSI_OTHER_VERSION},
    {S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FSI_OTHER_VERSION},
    // line ends
    {S("GET / HTTP/1.1\n" H "\r\n"), FSI_BAD_LINE_END},
    {S("GET / HTTP/1.1\rHost: h\r\n\r\n"), FSI_BAD_LINE_END},
    {S("GET / HTTP/1.1\r\r\n" H "\r\n"), FSI_BAD_LINE_END},
    {S(R "Host: h\n\r\n"), FSI_BAD_LINE_END},
    {S(R "Host: h\n\n"), FSI_BAD_LINE_END},
    {S(R H "\n"), FSI_BAD_LINE_END},
    {S(R H "\rX"), FSI_BAD_LINE_END},
    {S(R H "\r\r\n"), FSI_BAD_LINE_END},
    {S(R "Host: h\r\r\n\r\n"), FSI_BAD_LINE_END},
    {S(R H "A: b\rc\r\n\r\n"), FSI_BAD_LINE_END}, // a CR within a value
    {S(R H "A: b\r c\r\n\r\n"), FSI_BAD_LINE_END},
    {S(R H "A: b\nContent-Length: 5\r\n\r\n"), FSI_BAD_LINE_END},
    {S(R H "A\n: b\r\n\r\n"), FSI_BAD_LINE_END},
    // field names
    {S(P "Content-Length : 5\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(P "Content-Length\t: 5\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(P "Transfer-Encoding : chunked\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H ": b\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "A\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "A b: c\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "A\0: c\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "\0A: c\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "\013A: c\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "\xc3\xa4: c\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R H "A(b): c\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(R "\"Host\": h\r\n\r\n"), FSI_BAD_FIELD_NAME},
    // field values
    {S(R H "A: b\0c\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(R H "A: \0\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(R H "A: b\x01\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(R H "A: b\x0b\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(R H "A: b\x7f\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(P "Content-Length: 5\x0c\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(P "Transfer-Encoding: \013chunked\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    // folded lines
    {S(R H "A: b\r\n c\r\n\r\n"), FSI_FOLDED_FIELD},
    {S(R H "A: b\r\n\tc\r\n\r\n"), FSI_FOLDED_FIELD},
    {S(R H "A: b\r\n \r\n\r\n"), FSI_FOLDED_FIELD},
    {S(R " " H "\r\n"), FSI_FOLDED_FIELD},
    {S(P "Transfer-Encoding:\r\n chunked\r\n\r\n"), FSI_BAD_CODING}, // seen as empty before the fold is reached
    // Host
    {S(R "\r\n"), FSI_NO_HOST},
    {S(R "Hos: h\r\nHostt: h\r\n\r\n"), FSI_NO_HOST},
    {S("GET http://a/ HTTP/1.1\r\n\r\n"), FSI_NO_HOST}, // also with an absolute target
    {S("GET / HTTP/1.9\r\n\r\n"), FSI_NO_HOST},
    {S(R H H "\r\n"), FSI_BAD_HOST},
    {S(R "Host: a\r\nhOST: b\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host:\r\nHost: b\r\n\r\n"), FSI_BAD_HOST},
    {S("GET / HTTP/1.0\r\n" H H "\r\n"), FSI_BAD_HOST},
    {S(R "Host: a b\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: a:b:c\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h:port\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [[\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: []\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [:]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [:::]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1::2::3]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1:2:3:4:5:6:7]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1:2:3:4:5:6:7:8:9]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1:2:3:4::5:6:7:8]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1:2:3:4:5:6:7:]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [:1:2:3:4:5:6:7]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::12345]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1.2.3]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1.2.3.4.5]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1.2.3.]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1.2.3.256]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1.2.3.04]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::a.2.3.4]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1:2:3:4:5:6:7:1.2.3.4]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [1.2.3.4]\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: [::1]x\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: :80\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h:99999\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h:000080\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: %zz\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: a, b\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: a,b\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: a/b\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: u@h\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h?q\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h#f\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h\\x\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: <h>\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: \"h\"\r\n\r\n"), FSI_BAD_HOST},
    {S(R "Host: h\xc3\xa4\r\n\r\n"), FSI_BAD_HOST},
    {S("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"), FSI_BAD_HOST}, // looked at although it is overridden
    // Content-Length
    {S(P "Content-Length: +5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: -5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 5, 5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 5,5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 5 5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length:\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 0x5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 5.\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: five\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: \"5\"\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 9223372036854775808\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 18446744073709551615\r\n\r\n"), FSI_BAD_LENGTH},
    {S(P "Content-Length: 18446744073709551621\r\n\r\n"), FSI_BAD_LENGTH}, // 2^64 + 5
    {S(P "Content-Length: 3\r\nContent-Length: 5\r\n\r\n"), FSI_TWO_LENGTHS},
    {S(P "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), FSI_TWO_LENGTHS},
    {S(P "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), FSI_TWO_LENGTHS},
    {S(P "Content-Length: 5\r\nA: b\r\ncontent-length:\r\n\r\n"), FSI_TWO_LENGTHS},
    // both
    {S(P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_LENGTH_AND_CODING},
    {S(P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), FSI_LENGTH_AND_CODING},
    {S(P "Transfer-Encoding: chunked\r\nA: b\r\nContent-Length: 0\r\n\r\n"), FSI_LENGTH_AND_CODING},
    {S("POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_LENGTH_AND_CODING},
    // Transfer-Encoding
    {S(P "Transfer-Encoding:\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: ,\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunked, chunked\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunked, gzip\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunked, identity\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), FSI_BAD_CODING},
    {S("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_OLD_CODING},
    {S(P "Transfer-Encoding: gzip\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: identity\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: gzip, chunked\r\n\r\n"), FSI_OTHER_CODING},
    {S(P "Transfer-Encoding: xchunked\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunkedx\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: \"chunked\"\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: chunked;q=1\r\n\r\n"), FSI_BAD_CODING},
    {S(P "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_BAD_CODING}, // at the first
    {S(P "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n"), FSI_BAD_CODING},
    // Expect
    {S(P "Expect: 200-ok\r\n\r\n"), FSI_BAD_EXPECT},
    {S(P "Expect:\r\n\r\n"), FSI_BAD_EXPECT},
    {S(P "Expect: 100-continue, x\r\n\r\n"), FSI_BAD_EXPECT},
};

// ---- request heads: cases

// Goal: a good head is understood field by field; whoever sends it in pieces is told "not yet" after each of them; what
// follows it in the same read (a body, the next request) is left alone.
TEST(request_good_heads_and_their_prefixes)
{
    for (size_t i = 0; i < COUNT(good_heads); i++) {
        const good_row *row = &good_heads[i];
        for (size_t n = 0; n < row->len; n++) {
            ROW("row %zu, %zu bytes of: %.80s", i, n, row->text);
            CHECK_RESULT(read_request(row->text, n, &usual), 0);
        }
        ROW("row %zu: %.80s", i, row->text);
        CHECK_EQ(read_request(row->text, row->len, &usual), row->len);
        CHECK_STR(describe(row->text), row->want);
        CHECK_EQ(head.bytes, row->len);
        CHECK_EQ(head.skipped, row->text[0] == '\r' ? 2 : 0);
        CHECK_BYTES(row->text + head.skipped + head.method_len, 1, " ", 1);
        CHECK_EQ(head.target, head.skipped + head.method_len + 1);
        CHECK_BYTES(row->text + head.target + head.target_len, 6, " HTTP/", 6);
        static const char *const tails[] = {"G", "\r", "\n", "GET / HTTP/1.1\r\n\r\n", "\0x"};
        for (size_t k = 0; k < COUNT(tails); k++) {
            char more[1024];
            memcpy(more, row->text, row->len);
            memcpy(more + row->len, tails[k], strlen(tails[k]) + 1);
            CHECK_EQ(read_request(more, row->len + strlen(tails[k]) + 1, &usual), row->len);
            CHECK_STR(describe(more), row->want);
        }
    }
}

// Goal: each malformed head is refused for its own reason, from whatever byte on it is known; and never first accepted
// or refused for another reason because the network cut it.
TEST(request_bad_heads_and_their_prefixes)
{
    for (size_t i = 0; i < COUNT(bad_heads); i++) {
        const bad_row *row = &bad_heads[i];
        bool refused = false;
        for (size_t n = 0; n <= row->len; n++) {
            int64_t result = read_request(row->text, n, &usual);
            ROW("row %zu, %zu of %zu bytes: %.80s", i, n, row->len, row->text);
            if (result != 0 || refused || n == row->len) CHECK_RESULT(result, -(int64_t)row->want);
            refused = refused || result != 0;
        }
    }
}

// Goal: the cases by which servers were seen to differ: CL with TE, two lengths, signs, lists, overflows, space before
// the colon, bare LF, folded lines, no Host, a huge field. All of them are errors here, answered as 400, or 431 for
// size.
TEST(request_framing_attacks)
{
    static const struct row {
        const char *text;
        uint32_t status;
    } rows[] = {
        {P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {P "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400},
        {P "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        {P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400},
        {P "Content-Length: +5\r\n\r\nabcde", 400},
        {P "Content-Length: 5, 5\r\n\r\nabcde", 400},
        {P "Content-Length: 18446744073709551621\r\n\r\nabcde", 400},
        {P "Content-Length : 5\r\n\r\nabcde", 400},
        {"GET / HTTP/1.1\nHost: h\n\n", 400},
        {R H "A: b\r\n c\r\n\r\n", 400},
        {R "\r\n", 400},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t result = read_request(rows[i].text, strlen(rows[i].text), &usual);
        ROW("%.120s", rows[i].text);
        REQUIRE(result < 0);
        CHECK_EQ(fsi_refusal_status(-result), rows[i].status);
    }
    static char large[65536 + 100];
    size_t at = (size_t)snprintf(large, sizeof large, R H "A: ");
    memset(large + at, 'x', 65536);
    memcpy(large + at + 65536, "\r\n\r\n", 4);
    ROW("64 KB field");
    int64_t result = read_request(large, at + 65540, &usual);
    REQUIRE(result < 0);
    CHECK_RESULT(result, -FSI_LONG_HEAD);
    CHECK_EQ(fsi_refusal_status(-result), 431);
    CHECK_RESULT(read_request(large, usual.head_bytes - 1, &usual), 0);
    CHECK_RESULT(read_request(large, usual.head_bytes, &usual), -FSI_LONG_HEAD);
}

// Goal: a line that ends in LF or CR alone, at any place of any good head, is never the end of a line.
TEST(request_bare_line_ends_anywhere)
{
    for (size_t i = 0; i < COUNT(good_heads); i++) {
        const good_row *row = &good_heads[i];
        for (size_t at = 0; at < row->len; at++) {
            char text[600];
            if (row->text[at] != '\r' && row->text[at] != '\n') continue;
            memcpy(text, row->text, at); // without this byte
            memcpy(text + at, row->text + at + 1, row->len - at - 1);
            memcpy(text + row->len - 1, "\r\n\r\n",
                   4); // and with something behind it, so that it is not just incomplete
            ROW("row %zu without byte %zu: %.80s", i, at, row->text);
            CHECK(read_request(text, row->len - 1, &usual) <= 0);
            CHECK(read_request(text, row->len + 3, &usual) < 0);
        }
    }
}

// Goal: a control byte that slips in at any place of any good head makes it bad, wherever it stands.
TEST(request_control_bytes_anywhere)
{
    static const char controls[] = {0, '\r', '\n', 1, 8, 11, 12, 27, 31, 127};
    for (size_t i = 0; i < COUNT(good_heads); i++) {
        const good_row *row = &good_heads[i];
        for (size_t at = 0; at < row->len; at++) {
            for (size_t k = 0; k < sizeof controls; k++) {
                char text[600];
                memcpy(text, row->text, at);
                text[at] = controls[k];
                memcpy(text + at + 1, row->text + at, row->len - at);
                ROW("row %zu byte %02x at %zu: %.80s", i, (unsigned)(uint8_t)controls[k], at, row->text);
                if (at == row->len - 1 && controls[k] == '\n') continue; // the LF that belongs there
                CHECK(read_request(text, row->len + 1, &usual) < 0);
            }
        }
    }
}

// Goal: byte by byte, exactly the RFC's sets are let into a method, target, name, value and Host.
TEST(request_every_byte_everywhere)
{
    static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (int c = 0; c < 256; c++) {
        bool token = c && (strchr(alnum, c) || strchr("!#$%&'*+-.^_`|~", c));
        bool text = (c > 32 && c != 127) || c == ' ' || c == '\t';
        bool host = c && (strchr(alnum, c) || strchr("-._~!$&'()*+;=: \t", c)); // "%", "[" and "]" not alone
        char data[100];
        const size_t len = sizeof "GET /xx HTTP/1.1\r\nName: value\r\nHost: hh\r\n\r\n" - 1;
        ROW("byte %02x", (unsigned)c);
#define WITH(position)                                                                                   \
    (memcpy(data, "GET /xx HTTP/1.1\r\nName: value\r\nHost: hh\r\n\r\n", len), data[position] = (char)c, \
     read_request(data, len, &usual))
        CHECK_EQ(WITH(1) > 0, token);
        CHECK_EQ(WITH(6) > 0, c > 32 && c != 127 && c != '#');
        CHECK_EQ(WITH(19) > 0, token || c == ':');
        CHECK_EQ(WITH(25) > 0, text);
        CHECK_EQ(WITH(38) > 0, host);
#undef WITH
    }
}

// Goal: limits hold at their edge: what is exactly as large is served, one more is refused with the right status.
TEST(request_limits_at_the_edge)
{
    static const char text[] = "GET /12345678?abc HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n";
    const uint32_t len = sizeof text - 1, target = 13, count = 3;
    for (uint32_t off = 0; off <= 2; off++) {
        fsi_limits limits = {len + 1 - off, 8192, 100};
        ROW("head_bytes %u", limits.head_bytes);
        CHECK_RESULT(read_request(text, len, &limits), off < 2 ? 1 : -FSI_LONG_HEAD);
        if (off == 2) CHECK_RESULT(read_request(text, len - 2, &limits), 0);
        limits.head_bytes = 16384;
        limits.target_bytes = target + 1 - off;
        ROW("target_bytes %u", limits.target_bytes);
        CHECK_RESULT(read_request(text, len, &limits), off < 2 ? 1 : -FSI_LONG_TARGET);
        if (off == 2) CHECK_RESULT(read_request(text, 4 + target - 1, &limits), 0);
        if (off == 2) CHECK_RESULT(read_request(text, 4 + target, &limits), -FSI_LONG_TARGET);
        limits.target_bytes = 8192;
        limits.fields = count + 1 - off;
        ROW("fields %u", limits.fields);
        CHECK_RESULT(read_request(text, len, &limits), off < 2 ? 1 : -FSI_MANY_FIELDS);
    }
}

// Goal: with room for n fields, field n + 1 is not written behind the array. (The array ends at memory nobody may
// touch.)
TEST(request_fields_stay_in_their_array)
{
    static char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, R H);
    for (int i = 0; i < 99; i++) len += (size_t)snprintf(text + len, sizeof text - len, "N%d: v%d\r\n", i, i);
    len += (size_t)snprintf(text + len, sizeof text - len, "\r\n");
    for (uint32_t room = 1; room <= 101; room++) {
        fsi_limits limits = {16384, 8192, room};
        fsi_field *array = (fsi_field *)malloc(sizeof(fsi_field) * room); // the sanitizer knows its end
        REQUIRE(array != NULL);
        int64_t result = fsi_read_request(guarded(text, len), len, &limits, &head, array);
        ROW("room for %u", room);
        CHECK_RESULT(result, room >= 100 ? 1 : -FSI_MANY_FIELDS);
        CHECK_EQ(head.field_count, room >= 100 ? 100 : room);
        CHECK_BYTES(text + array[room < 100 ? room - 1 : 99].name, 1, room == 1 ? "H" : "N", 1);
        free(array);
    }
}

// Goal: several requests in one read are found one after the other, and nothing of one reaches into the next.
TEST(request_pipeline)
{
    static char text[4096];
    size_t len = 0, at = 0, rows = 0;
    for (size_t i = 0; i < 20; i++) {
        memcpy(text + len, good_heads[i].text, good_heads[i].len);
        len += good_heads[i].len;
    }
    while (at < len) {
        int64_t result = read_request(text + at, len - at, &usual);
        ROW("request %zu at %zu", rows, at);
        REQUIRE(rows < 20 && result == (int64_t)good_heads[rows].len);
        CHECK_STR(describe(text + at), good_heads[rows].want);
        at += (size_t)result;
        rows++;
    }
    CHECK_EQ(rows, 20);
}

// ---- refusals

// Goal: the status that the peer sees for each reason is the one the RFCs name.
TEST(refusals_have_their_status)
{
    static const struct row {
        fsi_refusal refusal;
        uint32_t status;
    } rows[] = {
        {FSI_LONG_METHOD, 501},       {FSI_BAD_METHOD, 400},    {FSI_BAD_TARGET, 400},      {FSI_LONG_TARGET, 414},
        {FSI_BAD_VERSION, 400},       {FSI_OTHER_VERSION, 505}, {FSI_BAD_LINE_END, 400},    {FSI_BAD_FIELD_NAME, 400},
        {FSI_BAD_FIELD_VALUE, 400},   {FSI_FOLDED_FIELD, 400},  {FSI_MANY_FIELDS, 431},     {FSI_LONG_HEAD, 431},
        {FSI_NO_HOST, 400},           {FSI_BAD_HOST, 400},      {FSI_BAD_LENGTH, 400},      {FSI_TWO_LENGTHS, 400},
        {FSI_LENGTH_AND_CODING, 400}, {FSI_BAD_CODING, 400},    {FSI_OLD_CODING, 400},      {FSI_OTHER_CODING, 501},
        {FSI_BAD_EXPECT, 417},        {FSI_BAD_CHUNK, 400},     {FSI_LONG_CHUNK_LINE, 400}, {FSI_BAD_TRAILER, 400},
        {FSI_LONG_TRAILER, 431},      {FSI_BAD_STATUS, 502},    {FSI_BAD_ESCAPE, 400},
    };
    CHECK_EQ(COUNT(rows), FSI_REFUSALS_END - 1); // a new refusal wants a row here and one in a table that reaches it
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("%s", result_name(-(int64_t)rows[i].refusal));
        CHECK_EQ(fsi_refusal_status(rows[i].refusal), rows[i].status);
        CHECK(strlen(fsi_refusal_text(rows[i].refusal)) > 10);
    }
}

// ---- chunked bodies

typedef struct chunk_row {
    const char *wire;
    size_t len; // all of it belongs to the body
    const char *body;
    size_t body_len;
} chunk_row;

static const chunk_row good_chunks[] = {
    {S("0\r\n\r\n"), S("")},
    {S("000000000000000\r\n\r\n"), S("")}, // 15 digits
    {S("5\r\nhello\r\n0\r\n\r\n"), S("hello")},
    {S("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), S("abcdef")},
    {S("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"), S("0123456789abcdefghij")},
    {S("00010\r\n0123456789abcdef\r\n0\r\n\r\n"), S("0123456789abcdef")},
    {S("4\r\n\r\n\r\n\r\n0\r\n\r\n"), S("\r\n\r\n")}, // data that looks like framing
    {S("7\r\n0\r\n\r\n\0\n\r\n0\r\n\r\n"), S("0\r\n\r\n\0\n")},
    {S("1;ext\r\nx\r\n0;last=1\r\n\r\n"), S("x")},
    {S("1;a=\"b c\\\"d;=\x80\";\te=f;g\r\nx\r\n0\r\n\r\n"), S("x")},
    {S("1; a = b ; c = \"\" ;d ;e=\"\\\\\"\r\nx\r\n0;a\r\n\r\n"), S("x")}, // white space between, but not before
    {S("1\r\nx\r\n0\r\nA: b\r\n\r\n"), S("x")},
    {S("1\r\nx\r\n0\r\nA:\r\nB-c:\td e \r\n\r\n"), S("x")},
};

static const bad_row bad_chunks[] = {
    {S("\r\n"), FSI_BAD_CHUNK},
    {S("\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("g\r\n"), FSI_BAD_CHUNK},
    {S(";a\r\n"), FSI_BAD_CHUNK},
    {S("-1\r\n"), FSI_BAD_CHUNK},
    {S("+1\r\nx\r\n"), FSI_BAD_CHUNK},
    {S(" 1\r\nx\r\n"), FSI_BAD_CHUNK},
    {S("1 \r\nx\r\n"), FSI_BAD_CHUNK},
    {S("1\t\r\nx\r\n"), FSI_BAD_CHUNK},
    {S("1 ;a\r\nx\r\n"), FSI_BAD_CHUNK},
    {S("0x1\r\nx\r\n"), FSI_BAD_CHUNK},
    {S("1_0\r\n"), FSI_BAD_CHUNK},
    {S("1.0\r\n"), FSI_BAD_CHUNK},
    {S("1,\r\n"), FSI_BAD_CHUNK},
    {S("\0\r\n"), FSI_BAD_CHUNK},
    {S("1\0\r\n"), FSI_BAD_CHUNK},
    {S("1\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1\rx"), FSI_BAD_CHUNK},
    {S("1\r\r\nx"), FSI_BAD_CHUNK},
    {S("1;a\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK}, // the end of an extension, for a lax reader
    {S("1;a\rb\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a\0\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1; \r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;;a\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a \r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a b\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;=b\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=b=c\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=b \r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=b c\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=\"b\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK}, // where does it end?
    {S("1;a=\"b\\\"\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=\"b\"c\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=\"b\" \r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=b\"c\"\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=b\x80\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=\"\\\n\"\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("0;a=\"\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1;a=\"\n\"\r\nx\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1\r\nxy"), FSI_BAD_CHUNK}, // more data than was said
    {S("1\r\nx0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1\r\nx\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("1\r\nx\rX"), FSI_BAD_CHUNK},
    {S("1\r\nx\r\n\r\n"), FSI_BAD_CHUNK}, // no last chunk
    {S("1\r\nx\r\n 0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("0\r\n\rX"), FSI_BAD_CHUNK},
    {S("10000000000000005\r\nhello\r\n0\r\n\r\n"), FSI_BAD_CHUNK}, // 2^64 + 5
    {S("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("8000000000000000\r\nhello\r\n0\r\n\r\n"), FSI_BAD_CHUNK},
    {S("fffffffffffffffb\r\nhello\r\n0\r\n\r\n"), FSI_BAD_CHUNK}, // -5
    {S("1000000000000000\r\n"), FSI_BAD_CHUNK},                   // 16 digits
    {S("0000000000000000\r\n\r\n"), FSI_BAD_CHUNK},
    {S("0\r\n A: b\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\n: b\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\n\n"), FSI_BAD_TRAILER},
    {S("0\r\nA\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\nA : b\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\nA: b\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\nA: b\rc\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\nA: b\r\n c\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\nA: \0\r\n\r\n"), FSI_BAD_TRAILER},
    {S("0\r\nA\0: b\r\n\r\n"), FSI_BAD_TRAILER},
};

typedef struct decoding {
    fsi_chunked body;
    const fsi_limits *limits;
    int64_t result; // 0, or the refusal
    size_t used;    // of the wire
    char out[512];
    size_t out_len;
} decoding;

static void decode_begin(decoding *it, const fsi_limits *limits)
{
    memset(it, 0, sizeof *it);
    it->limits = limits;
}

// One piece as it comes from the socket. take_max: how much the caller takes of a run at once.
static void decode_piece(decoding *it, const char *data, size_t len, size_t take_max)
{
    const char *piece = guarded(data, len);
    size_t at = 0, run;
    while (it->result == 0 && it->body.state != FSI_CHUNK_DONE) {
        int64_t passed = fsi_read_chunked(&it->body, piece + at, len - at, it->limits, &run);
        if (passed < 0) {
            it->result = passed;
            return;
        }
        REQUIRE((size_t)passed + run <= len - at);
        at += (size_t)passed;
        it->used += (size_t)passed;
        if (run == 0) {
            CHECK(at == len || it->body.state == FSI_CHUNK_DONE);
            return;
        }
        if (run > take_max) run = take_max;
        REQUIRE(it->out_len + run <= sizeof it->out);
        memcpy(it->out + it->out_len, piece + at, run);
        fsi_chunk_take(&it->body, run);
        it->out_len += run;
        it->used += run;
        at += run;
    }
}

// Goal: however the network cuts a chunked body, and in whatever bites it is taken, the same bytes come out and the
// same bytes are used; what follows the body stays; and no part of it counts as its end.
TEST(chunked_every_split)
{
    static decoding it;
    for (size_t i = 0; i < COUNT(good_chunks); i++) {
        const chunk_row *row = &good_chunks[i];
        char wire[300];
        size_t len = row->len + 7;
        memcpy(wire, row->wire, row->len);
        memcpy(wire + row->len, "GET / x", 7); // the next request
        for (size_t first = 0; first <= len; first++) {
            for (size_t take = 1; take <= 17; take += 16) {
                ROW("row %zu cut at %zu, taken by %zu", i, first, take);
                decode_begin(&it, &usual);
                decode_piece(&it, wire, first, take);
                CHECK_EQ(it.result, 0);
                CHECK_EQ(it.body.state == FSI_CHUNK_DONE, first >= row->len);
                CHECK_EQ(it.used, first < row->len ? first : row->len);
                decode_piece(&it, wire + first, len - first, take);
                CHECK_EQ(it.result, 0);
                CHECK_EQ(it.body.state, FSI_CHUNK_DONE);
                CHECK_EQ(it.used, row->len);
                CHECK_BYTES(it.out, it.out_len, row->body, row->body_len);
            }
        }
        for (size_t step = 1; step <= 5; step++) {
            ROW("row %zu, %zu bytes at a time", i, step);
            decode_begin(&it, &usual);
            for (size_t at = 0; at < len; at += step)
                decode_piece(&it, wire + at, at + step < len ? step : len - at, 100);
            CHECK_EQ(it.result, 0);
            CHECK_EQ(it.body.state, FSI_CHUNK_DONE);
            CHECK_EQ(it.used, row->len);
            CHECK_BYTES(it.out, it.out_len, row->body, row->body_len);
        }
    }
}

// Goal: a malformed chunk is refused for the same reason at every cut, and is never the end of a body.
TEST(chunked_bad_at_every_split)
{
    static decoding it;
    for (size_t i = 0; i < COUNT(bad_chunks); i++) {
        const bad_row *row = &bad_chunks[i];
        for (size_t first = 0; first <= row->len; first++) {
            ROW("row %zu cut at %zu: %.40s", i, first, row->text);
            decode_begin(&it, &usual);
            decode_piece(&it, row->text, first, 100);
            if (it.result != 0) CHECK_RESULT(it.result, -(int64_t)row->want);
            CHECK(it.body.state != FSI_CHUNK_DONE);
            decode_piece(&it, row->text + first, row->len - first, 100);
            CHECK_RESULT(it.result, -(int64_t)row->want);
            CHECK(it.body.state != FSI_CHUNK_DONE);
        }
        ROW("row %zu byte by byte: %.40s", i, row->text);
        decode_begin(&it, &usual);
        for (size_t at = 0; at < row->len; at++) decode_piece(&it, row->text + at, 1, 1);
        CHECK_RESULT(it.result, -(int64_t)row->want);
    }
}

// Goal: the largest size that is accepted is counted in full: no bit of 60 is lost, and the sum cannot overflow.
TEST(chunked_large_sizes)
{
    for (int digits = 1; digits <= 15; digits++) {
        char wire[40];
        fsi_chunked body;
        size_t run, len = 0;
        memset(&body, 0, sizeof body);
        for (int i = 0; i < digits; i++) wire[len++] = 'f';
        memcpy(wire + len, "\r\nxyz", 5);
        ROW("%d digits", digits);
        CHECK_EQ(fsi_read_chunked(&body, guarded(wire, len + 5), len + 5, &usual, &run), len + 2);
        CHECK_EQ(run, 3);
        CHECK(body.left == ((uint64_t)1 << (4 * digits)) - 1);
        fsi_chunk_take(&body, 3);
        CHECK(body.left == ((uint64_t)1 << (4 * digits)) - 4);
    }
}

static int64_t decode_all(const char *wire, size_t len, const fsi_limits *limits)
{
    static decoding it;
    decode_begin(&it, limits);
    decode_piece(&it, wire, len, 100);
    CHECK(it.result < 0 || it.body.state == FSI_CHUNK_DONE);
    return it.result;
}

// Goal: an endless extension is cut off at its limit, chunk by chunk: a long body with short lines goes through.
TEST(chunked_line_limit)
{
    char wire[2 * FSI_CHUNK_LINE_MAX + 100];
    for (size_t extra = FSI_CHUNK_LINE_MAX - 10; extra <= FSI_CHUNK_LINE_MAX + 10; extra++) {
        size_t len = 0;
        for (int chunk = 0; chunk < 2; chunk++) { // the second line begins to count anew
            wire[len++] = chunk == 0 ? '1' : '0';
            wire[len++] = ';';
            memset(wire + len, 'e', extra - 3);
            len += extra - 3;
            wire[len++] = '\r'; // `extra` bytes up to here
            wire[len++] = '\n';
            memcpy(wire + len, chunk == 0 ? "x\r\n" : "\r\n", chunk == 0 ? 3 : 2);
            len += chunk == 0 ? 3 : 2;
        }
        ROW("line of %zu bytes", extra);
        CHECK_RESULT(decode_all(wire, len, &usual), extra <= FSI_CHUNK_LINE_MAX ? 0 : -FSI_LONG_CHUNK_LINE);
    }
}

// Goal: a trailer is bounded in fields and in bytes, the latter over all its lines together.
TEST(chunked_trailer_limits)
{
    fsi_limits limits = {16384, 8192, 3};
    CHECK_RESULT(decode_all(S("0\r\nA:1\r\nB:2\r\nC:3\r\n\r\n"), &limits), 0);
    CHECK_RESULT(decode_all(S("0\r\nA:1\r\nB:2\r\nC:3\r\nD:4\r\n\r\n"), &limits), -FSI_LONG_TRAILER);
    limits.head_bytes = 16; // each line counts with its CR
    limits.fields = 100;
    CHECK_RESULT(decode_all(S("0\r\nA:34567890123456\r\n\r\n"), &limits), -FSI_LONG_TRAILER);
    CHECK_RESULT(decode_all(S("0\r\nA:3456789012345\r\n\r\n"), &limits), 0);
    CHECK_RESULT(decode_all(S("0\r\nA:34567\r\nB:34567\r\n\r\n"), &limits), 0);
    CHECK_RESULT(decode_all(S("0\r\nA:34567\r\nB:345678\r\n\r\n"), &limits), -FSI_LONG_TRAILER);
    CHECK_RESULT(decode_all(S("0\r\nA23456789012345678901234567890:\r\n\r\n"), &limits), -FSI_LONG_TRAILER);
}

// Goal: a body that has ended takes nothing more.
TEST(chunked_done_is_done)
{
    fsi_chunked body;
    size_t run = 99;
    memset(&body, 0, sizeof body);
    CHECK_EQ(fsi_read_chunked(&body, guarded(S("0\r\n\r\n5\r\n")), 8, &usual, &run), 5);
    CHECK_EQ(run, 0);
    run = 99;
    CHECK_EQ(fsi_read_chunked(&body, guarded(S("5\r\n")), 3, &usual, &run), 0);
    CHECK_EQ(run, 0);
    CHECK_EQ(body.state, FSI_CHUNK_DONE);
}

// ---- response heads

#if FSI_CLIENT
static fsi_answer_head answer;

static int64_t read_response(const char *data, size_t len, uint32_t head_bytes)
{
    return fsi_read_response(guarded(data, len), len, head_bytes, &answer);
}

static const char *describe_answer(void)
{
    size_t n = (size_t)snprintf(line, sizeof line, "1.%d %u", answer.minor, answer.status);
    if (answer.has_length)
        n += (size_t)snprintf(line + n, sizeof line - n, " len=%llu", (unsigned long long)answer.content_length);
    (void)snprintf(line + n, sizeof line - n, "%s%s%s", answer.chunked ? " chunked" : "",
                   answer.wants_close ? " close" : "", answer.wants_keep ? " keep" : "");
    return line;
}

#define A "HTTP/1.1 200 OK\r\n"

static const good_row good_answers[] = {
    {S(A "\r\n"), "1.1 200"},
    {S("HTTP/1.0 404 Not Found\r\n\r\n"), "1.0 404"},
    {S("HTTP/1.1 200 \r\n\r\n"), "1.1 200"}, // an empty reason
    {S("HTTP/1.1 204\r\n\r\n"), "1.1 204"},  // none, as some servers send it
    {S("HTTP/1.1 100 Continue\r\n\r\n"), "1.1 100"},
    {S("HTTP/1.1 999 \xc3\xa4 : x\t\r\n\r\n"), "1.1 999"},
    {S("HTTP/1.7 200 OK\r\n\r\n"), "1.1 200"},
    {S(A "Content-Length: 5\r\n\r\n"), "1.1 200 len=5"},
    {S(A "CONTENT-length:\t0\t\r\n\r\n"), "1.1 200 len=0"},
    {S(A "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), "1.1 200 len=5"}, // the same one twice
    {S(A "Content-Length: 9223372036854775807\r\n\r\n"), "1.1 200 len=9223372036854775807"},
    {S(A "Transfer-Encoding: Chunked\r\n\r\n"), "1.1 200 chunked"},
    {S(A "A: b\r\nConnection: close\r\n\r\n"), "1.1 200 close"},
    {S("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n"), "1.0 200 len=1 keep"},
    {S(A "Connection: keep-alive, close\r\n\r\n"), "1.1 200 close keep"},
    {S(A "Content-Lengt: 5\r\nTransfer-Encodings: x\r\n\r\n"), "1.1 200"},
};

static const bad_row bad_answers[] = {
    {S("GET / HTTP/1.1\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/2.0 200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("http/1.1 200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("\r\nHTTP/1.1 200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.x 200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.11 200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1  200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1\t200 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 20 OK\r\n\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 2000 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 2x0 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 -20 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 099 OK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 200\tOK\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 200\nA: b\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 200 OK\nA: b\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 200 OK\rA: b\r\n\r\n"), FSI_BAD_STATUS},
    {S("HTTP/1.1 200 O\0K\r\n\r\n"), FSI_BAD_STATUS},
    {S(A "A: b\n\r\n"), FSI_BAD_LINE_END},
    {S(A "\n"), FSI_BAD_LINE_END},
    {S(A "A : b\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(A "A\r\n\r\n"), FSI_BAD_FIELD_NAME},
    {S(A "A: \0\r\n\r\n"), FSI_BAD_FIELD_VALUE},
    {S(A "A: b\r\n c\r\n\r\n"), FSI_FOLDED_FIELD},
    {S(A "Content-Length: x\r\n\r\n"), FSI_BAD_LENGTH},
    {S(A "Content-Length: 5, 5\r\n\r\n"), FSI_BAD_LENGTH},
    {S(A "Content-Length: 18446744073709551621\r\n\r\n"), FSI_BAD_LENGTH},
    {S(A "Content-Length: 3\r\nContent-Length: 5\r\n\r\n"), FSI_TWO_LENGTHS},
    {S(A "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_LENGTH_AND_CODING},
    {S(A "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), FSI_LENGTH_AND_CODING},
    {S(A "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_BAD_CODING},
    {S(A "Transfer-Encoding: gzip, chunked\r\n\r\n"), FSI_OTHER_CODING},
    {S(A "Transfer-Encoding: gzip\r\n\r\n"), FSI_BAD_CODING},
    {S("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), FSI_OLD_CODING},
};

// Goal: what the load generator counts as an answer is framed as the server meant it, however it was cut.
TEST(response_good_heads_and_their_prefixes)
{
    for (size_t i = 0; i < COUNT(good_answers); i++) {
        const good_row *row = &good_answers[i];
        for (size_t n = 0; n < row->len; n++) {
            ROW("row %zu, %zu bytes: %.80s", i, n, row->text);
            CHECK_RESULT(read_response(row->text, n, 16384), 0);
        }
        ROW("row %zu: %.80s", i, row->text);
        CHECK_EQ(read_response(row->text, row->len, 16384), row->len);
        CHECK_STR(describe_answer(), row->want);
        CHECK_EQ(answer.bytes, row->len);
        char more[300];
        memcpy(more, row->text, row->len);
        memcpy(more + row->len, "\r\n x", 4); // of the body
        CHECK_EQ(read_response(more, row->len + 4, 16384), row->len);
        CHECK_STR(describe_answer(), row->want);
    }
}

// Goal: a malformed answer is an error of the server that is measured, with one name at every cut.
TEST(response_bad_heads_and_their_prefixes)
{
    for (size_t i = 0; i < COUNT(bad_answers); i++) {
        const bad_row *row = &bad_answers[i];
        bool refused = false;
        for (size_t n = 0; n <= row->len; n++) {
            int64_t result = read_response(row->text, n, 16384);
            ROW("row %zu, %zu of %zu bytes: %.80s", i, n, row->len, row->text);
            if (result != 0 || refused || n == row->len) CHECK_RESULT(result, -(int64_t)row->want);
            refused = refused || result != 0;
        }
    }
}

// Goal: the limit of an answer's head holds at its edge, also within the status line.
TEST(response_limit_at_the_edge)
{
    static const char text[] = "HTTP/1.1 200 A reason of some length\r\nA: b\r\n\r\n";
    const uint32_t len = sizeof text - 1;
    CHECK_EQ(read_response(text, len, len), len);
    CHECK_EQ(read_response(text, len, len + 1), len);
    for (uint32_t limit = 13; limit < len; limit++) {
        ROW("limit %u", limit);
        CHECK_RESULT(read_response(text, len, limit), -FSI_LONG_HEAD);
        CHECK_RESULT(read_response(text, limit, limit), -FSI_LONG_HEAD);
        CHECK_RESULT(read_response(text, limit - 1, limit), 0);
    }
}
#endif

// ---- and all of them

// Goal: no refusal is dead: each is reached by a row of the tables here, but for the one that belongs to the router's
// path.
TEST(refusals_are_all_reached)
{
    bool reached[FSI_REFUSALS_END];
    fsi_limits small = {64, 20, 1};
    memset(reached, 0, sizeof reached);
#define REACH(result) ((void)((result) < 0 && (reached[-(result)] = true)))
    for (size_t i = 0; i < COUNT(bad_heads); i++) {
        int64_t result = read_request(bad_heads[i].text, bad_heads[i].len, &usual);
        REACH(result);
    }
    for (size_t i = 0; i < COUNT(bad_chunks); i++) {
        static decoding it;
        decode_begin(&it, &usual);
        decode_piece(&it, bad_chunks[i].text, bad_chunks[i].len, 100);
        REACH(it.result);
    }
#if FSI_CLIENT
    for (size_t i = 0; i < COUNT(bad_answers); i++) {
        int64_t result = read_response(bad_answers[i].text, bad_answers[i].len, 16384);
        REACH(result);
    }
#else
    reached[FSI_BAD_STATUS] = true;
#endif
    int64_t results[5];
    char ext[300];
    memset(ext, 'e', sizeof ext);
    memcpy(ext, "1;", 2);
    results[0] = read_request(S("GET /123456789012345678901234567890 HTTP/1.1\r\n"), &small);
    results[1] = read_request(S("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"), &small);
    results[2] = read_request(S("GET / HTTP/1.1\r\nA: 678901234567890123456789012345678901234567890"), &small);
    results[3] = decode_all(ext, sizeof ext, &small);
    results[4] = decode_all(S("0\r\nA: b\r\nB: c\r\n\r\n"), &small);
    for (int i = 0; i < 5; i++) REACH(results[i]);
    reached[FSI_BAD_ESCAPE] = true; // fsi_unescape has its own tests
    for (int i = 1; i < FSI_REFUSALS_END; i++) {
        ROW("%s", result_name(-i));
        CHECK(reached[i]);
    }
}

#if FSI_CLIENT
#define RESPONSE_CASES                                                                         \
    CASE(response_good_heads_and_their_prefixes), CASE(response_bad_heads_and_their_prefixes), \
        CASE(response_limit_at_the_edge),
#else
#define RESPONSE_CASES
#endif

TEST_MAIN(CASE(request_good_heads_and_their_prefixes), CASE(request_bad_heads_and_their_prefixes),
          CASE(request_framing_attacks), CASE(request_bare_line_ends_anywhere), CASE(request_control_bytes_anywhere),
          CASE(request_every_byte_everywhere), CASE(request_limits_at_the_edge),
          CASE(request_fields_stay_in_their_array), CASE(request_pipeline), CASE(refusals_have_their_status),
          CASE(chunked_every_split), CASE(chunked_bad_at_every_split), CASE(chunked_large_sizes),
          CASE(chunked_line_limit), CASE(chunked_trailer_limits), CASE(chunked_done_is_done),
          RESPONSE_CASES CASE(refusals_are_all_reached))
