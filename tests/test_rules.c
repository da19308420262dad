// test_rules.c: what RFC 9110 and RFC 9112 ask of a server that reads requests, rule by rule: the clause, an example that
// is accepted and one that is refused, each put through the whole server in memory (wire.h) at once, byte by byte and cut
// in two at every place, over an io of readiness and one of completion, with one and the same outcome. test_answers.c
// has the client's side, test_entity.c what fields of files mean, test_http_read.c every byte and limit of the parser.
#include "test.h"
#include "wire.h"

#define S(literal) literal, sizeof(literal) - 1
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define H "Host: h\r\n"
#define G "GET / HTTP/1.1\r\n" H
#define P "POST / HTTP/1.1\r\n" H
#define GET G "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define OK "200 GET / @h; open"
#define NO "400; close"

typedef struct rule {
    const char *clause, *rule;
    const char *good;
    size_t good_len;
    const char *good_says;
    const char *bad;
    size_t bad_len;
    const char *bad_says;
} rule;

static const rule rules[] = {
    // ---- RFC 9112 2: the message
    {"9112 2.1", "a head ends with an empty line, and nothing is done before it does (9110 5.3)", S(GET), OK, S(G),
     "waits"},
    {"9112 2.1", "a line that is neither a request line nor a field is malformed", S(G "A: b\r\n\r\n"),
     "200 GET / @h A=b; open", S(G "A\r\n\r\n"), NO},
    {"9112 2.2", "bytes are bytes, not characters: U+010A ends no line, U+2028 neither",
     S(G "A: \xc4\x8a\xe2\x80\xa8\r\n\r\n"), "200 GET / @h A=\\xc4\\x8a\\xe2\\x80\\xa8; open",
     S(G "A\xe2\x80\xa8: b\r\n\r\n"), NO},
    {"9112 2.2", "LF alone ends no request line (forgiving it is allowed, and where readers begin to differ)", S(GET),
     OK, S("GET / HTTP/1.1\n" H "\r\n"), NO},
    {"9112 2.2", "LF alone ends no field", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open", S(G "A: b\nB: c\r\n\r\n"),
     NO},
    {"9112 2.2", "LF alone ends no head", S(GET), OK, S(G "\n"), NO},
    {"9112 2.2", "CR alone in a request line is malformed", S(GET), OK, S("GET / HTTP/1.1\r" H "\r\n"), NO},
    {"9112 2.2", "CR alone in a target is malformed", S(GET), OK, S("GET /\ra HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 2.2", "CR alone in a name is malformed", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open",
     S(G "A\r: b\r\n\r\n"), NO},
    {"9112 2.2", "CR alone in a value is malformed", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open",
     S(G "A: b\rc\r\n\r\n"), NO},
    {"9112 2.2", "CR CR LF ends no line", S(GET), OK, S(G "\r\r\n"), NO},
    {"9112 2.2", "an empty line before the request line is passed over; a second one is not", S("\r\n" GET), OK,
     S("\r\n\r\n" GET), NO},
    {"9112 2.2", "also between requests, where old clients add one to a body",
     S(P "Content-Length: 2\r\n\r\nab\r\n" GET), "200 POST / @h [ab]; 200 GET / @h; open",
     S(P "Content-Length: 2\r\n\r\nab\n" GET), "200 POST / @h [ab]; 400; close"},
    {"9112 2.2", "no white space between the request line and the first field", S(GET), OK,
     S("GET / HTTP/1.1\r\n " H "\r\n"), NO},
    {"9112 2.2", "nor a tab", S(GET), OK, S("GET / HTTP/1.1\r\n\t" H H "\r\n"), NO},
    {"9112 2.2", "what is no HTTP gets a 400 and the end", S(GET), OK,
     S("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), NO},
    {"9112 2.2", "and is not searched for a request", S(GET), OK, S("x\r\n" GET), NO},
    {"9112 2.3", "the version's name has case", S(GET), OK, S("GET / http/1.1\r\n" H "\r\n"), NO},
    {"9112 2.3", "the version is digit, point, digit", S(GET), OK, S("GET / HTTP/1.10\r\n" H "\r\n"), NO},
    {"9112 2.3", "one digit before the point", S(GET), OK, S("GET / HTTP/01.1\r\n" H "\r\n"), NO},
    {"9112 2.3", "no comma", S(GET), OK, S("GET / HTTP/1,1\r\n" H "\r\n"), NO},
    {"9112 2.3", "nothing but HTTP", S(GET), OK, S("GET / ICE/1.1\r\n" H "\r\n"), NO},
    {"9112 2.3", "no request line without a version (HTTP/0.9)", S("GET / HTTP/1.0\r\n\r\n"), "200 GET / @ 1.0; close",
     S("GET /\r\n\r\n"), NO},
    // ---- RFC 9112 3: the request line
    {"9112 3", "single spaces between the three parts", S(GET), OK, S("GET  / HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3", "also before the version", S(GET), OK, S("GET /  HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3", "no tab there", S(GET), OK, S("GET\t/ HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3", "nothing behind the version", S(GET), OK, S("GET / HTTP/1.1 \r\n" H "\r\n"), NO},
    {"9112 3", "nothing before the method", S(GET), OK, S(" " GET), NO},
    {"9112 3", "a method longer than any is 501", S("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" H "\r\n" GET),
     "501; 200 GET / @h; open", S("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n" GET), "501; close"},
    {"9112 3.1", "a method is a token", S("PURGE /purge HTTP/1.1\r\n" H "\r\n"), "200 PURGE /purge @h; open",
     S("PUR(E /purge HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.1", "a method has case", S(GET), OK, S("get / HTTP/1.1\r\n" H "\r\n"), "501; open"},
    {"9112 3.2", "no white space in a target: it is not put right", S("GET /s/a%20b HTTP/1.1\r\n" H "\r\n"),
     "200 GET /s/a b @h; open", S("GET /s/a b HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2", "HTTP/1.1 needs a Host", S(GET), OK, S("GET / HTTP/1.1\r\n\r\n"), NO},
    {"9112 3.2", "HTTP/1.0 does not", S("GET / HTTP/1.0\r\n\r\n"), "200 GET / @ 1.0; close",
     S("GET / HTTP/1.9\r\n\r\n"), NO},
    {"9112 3.2", "one Host", S(GET), OK, S(G "host: i\r\n\r\n"), NO},
    {"9112 3.2", "not the same one twice", S(GET), OK, S(G H "\r\n"), NO},
    {"9112 3.2", "not in HTTP/1.0 either", S("GET / HTTP/1.0\r\n" H "\r\n"), "200 GET / @h 1.0; close",
     S("GET / HTTP/1.0\r\n" H H "\r\n"), NO},
    {"9112 3.2", "an empty Host is one", S("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "200 GET / @; open",
     S("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), NO},
    {"9112 3.2", "a Host is a name and perhaps a port", S("GET / HTTP/1.1\r\nHost: a-b.c_d~%41:8080\r\n\r\n"),
     "200 GET / @a-b.c_d~%41:8080; open", S("GET / HTTP/1.1\r\nHost: h:80:80\r\n\r\n"), NO},
    {"9112 3.2", "no list", S(GET), OK, S("GET / HTTP/1.1\r\nHost: h, i\r\n\r\n"), NO},
    {"9112 3.2", "no path", S(GET), OK, S("GET / HTTP/1.1\r\nHost: h/a\r\n\r\n"), NO},
    {"9112 3.2", "no user", S(GET), OK, S("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"), NO},
    {"9112 3.2", "a port is a number", S("GET / HTTP/1.1\r\nHost: h:\r\n\r\n"), "200 GET / @h:; open",
     S("GET / HTTP/1.1\r\nHost: h:a\r\n\r\n"), NO},
    {"9112 3.2", "a port ends at 65535", S("GET / HTTP/1.1\r\nHost: h:65535\r\n\r\n"), "200 GET / @h:65535; open",
     S("GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n"), NO},
    {"9112 3.2", "an IPv6 address stands in brackets", S("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
     "200 GET / @[::1]:80; open", S("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), NO},
    {"9112 3.2", "and is one", S("GET / HTTP/1.1\r\nHost: [::ffff:192.0.2.1]\r\n\r\n"),
     "200 GET / @[::ffff:192.0.2.1]; open", S("GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n"), NO},
    {"9112 3.2.1", "origin form: a path and perhaps a query", S("GET /s/a?b=c?d HTTP/1.1\r\n" H "\r\n"),
     "200 GET /s/a?b=c?d @h; open", S("GET s/a HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.1", "no fragment (9110 4.2.5)", S("GET /s/%23a HTTP/1.1\r\n" H "\r\n"), "200 GET /s/#a @h; open",
     S("GET /s/#a HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.1", "no query without a path", S("GET /?a HTTP/1.1\r\n" H "\r\n"), "200 GET /?a @h; open",
     S("GET ?a HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.2", "absolute form is accepted; its authority is the host, Host is not",
     S("GET http://a:80/s/b?c HTTP/1.1\r\n" H "\r\n"), "200 GET /s/b?c @a:80; open",
     S("GET http://a:80b/s/b?c HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.2", "it needs a Host all the same (3.2)", S("GET http://a/ HTTP/1.1\r\n" H "\r\n"), "200 GET / @a; open",
     S("GET http://a/ HTTP/1.1\r\n\r\n"), NO},
    {"9112 3.2.2", "which is looked at", S("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"), "200 GET / @a; open",
     S("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"), NO},
    {"9112 3.2.2", "without a path it means /", S("GET http://a?b HTTP/1.1\r\n" H "\r\n"), "200 GET /?b @a; open",
     S("GET http:a?b HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.3", "authority form is CONNECT's", S("CONNECT h:443 HTTP/1.1\r\n" H "\r\n"), "501; open",
     S("GET h:443 HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.4", "* is OPTIONS's", S("OPTIONS * HTTP/1.1\r\n" H "\r\n"), "204; open",
     S("GET * HTTP/1.1\r\n" H "\r\n"), NO},
    {"9112 3.2.4", "and stands alone", S("OPTIONS /get HTTP/1.1\r\n" H "\r\n"), "204; open",
     S("OPTIONS *a HTTP/1.1\r\n" H "\r\n"), NO},
    // ---- RFC 9112 5: fields
    {"9112 5", "white space around a value is not of it", S(G "A: \t b\tc  \t\r\n\r\n"), "200 GET / @h A=b\\x09c; open",
     S(G "A: b\x0b\r\n\r\n"), NO},
    {"9112 5", "and may be missing", S("GET / HTTP/1.1\r\nHost:h\r\nA:\r\n\r\n"), "200 GET / @h A=; open",
     S("GET / HTTP/1.1\r\nHost h\r\nA:\r\n\r\n"), NO},
    {"9112 5.1", "no white space before the colon", S(P "Content-Length: 2\r\n\r\nab"), "200 POST / @h [ab]; open",
     S(P "Content-Length : 2\r\n\r\nab"), NO},
    {"9112 5.1", "nor a tab", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open", S(G "A\t: b\r\n\r\n"), NO},
    {"9112 5.1", "a name has a byte at least", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open", S(G ": b\r\n\r\n"), NO},
    {"9112 5.2", "no value is folded over two lines", S(G "A: b  c\r\n\r\n"), "200 GET / @h A=b  c; open",
     S(G "A: b\r\n c\r\n\r\n"), NO},
    {"9112 5.2", "nor by a tab", S(G "A: b\tc\r\n\r\n"), "200 GET / @h A=b\\x09c; open", S(G "A: b\r\n\tc\r\n\r\n"),
     NO},
    {"9112 5.2", "nor by an empty line", S(GET), OK, S(G "A: b\r\n \r\n\r\n"), NO},
    {"9112 5.2", "also not where framing stands", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), NO},
    // ---- RFC 9112 6: the body
    {"9112 6", "a body needs Content-Length or Transfer-Encoding, whatever the method",
     S(G "Content-Length: 2\r\n\r\nab" GET), "200 GET / @h [ab]; 200 GET / @h; open", S(G "\r\nab\r\n\r\n"),
     "200 GET / @h; 400; close"},
    {"9112 6.1", "chunked is understood", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n" GET),
     "200 POST / @h [ab]; 200 GET / @h; open", S(P "Transfer-Encoding: chunk\r\n\r\n2\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "codings have no case (7)", S(P "transfer-encoding: Chunked\r\n\r\n0\r\n\r\n"),
     "200 POST / @h []; open", S(P "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "both lengths and codings: smuggling (6.3 lets a server refuse it)", S(P CHUNKED "\r\n0\r\n\r\n"),
     "200 POST / @h []; open", S(P "Content-Length: 4\r\n" CHUNKED "\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "in either order", S(P "Content-Length: 5\r\n\r\n0\r\n\r\n"),
     "200 POST / @h [0\\x0d\\x0a\\x0d\\x0a]; open", S(P CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "chunked is applied once", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "also over two lines", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P CHUNKED CHUNKED "\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "a coding that is not known, before chunked, is 501", S(P CHUNKED "\r\n0\r\n\r\n"),
     "200 POST / @h []; open", S(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "501; close"},
    {"9112 6.1", "codings in HTTP/1.0 are faulty framing", S("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"),
     "200 POST / @ 1.0 [ab]; close", S("POST / HTTP/1.0\r\n" CHUNKED "\r\n0\r\n\r\n"), NO},
    {"9112 6.1", "also with a length", S("POST / HTTP/1.0\r\n" H "Content-Length: 2\r\n\r\nab"),
     "200 POST / @h 1.0 [ab]; close", S("POST / HTTP/1.0\r\n" CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n"), NO},
    {"9112 6.2", "Content-Length is one number", S(P "Content-Length: 02\r\n\r\nab"), "200 POST / @h [ab]; open",
     S(P "Content-Length: 2, 2\r\n\r\nab"), NO},
    {"9112 6.2", "without a sign", S(P "Content-Length: 0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Content-Length: +0\r\n\r\n"), NO},
    {"9112 6.2", "not negative", S(P "Content-Length: 0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Content-Length: -0\r\n\r\n"), NO},
    {"9112 6.2", "decimal", S(P "Content-Length: 10\r\n\r\n0123456789"), "200 POST / @h [0123456789]; open",
     S(P "Content-Length: 0xa\r\n\r\n0123456789"), NO},
    {"9112 6.2", "not empty", S(P "Content-Length:0\r\n\r\n"), "200 POST / @h []; open", S(P "Content-Length:\r\n\r\n"),
     NO},
    {"9112 6.2", "no overflow: 2^64 + 2 is not 2", S(P "Content-Length: 2\r\n\r\nab"), "200 POST / @h [ab]; open",
     S(P "Content-Length: 18446744073709551618\r\n\r\nab"), NO},
    {"9112 6.2", "nor 2^32 + 2", S(P "Content-Length: 2\r\n\r\nab"), "200 POST / @h [ab]; open",
     S(P "Content-Length: 4294967298\r\n\r\nab"), "413; close"},
    {"9112 6.2", "two lengths differ", S(P "Content-Length: 2\r\n\r\nab"), "200 POST / @h [ab]; open",
     S(P "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), NO},
    {"9112 6.2", "or do not: 9110 8.6 lets a server refuse it", S(P "Content-Length: 2\r\n\r\nab"),
     "200 POST / @h [ab]; open", S(P "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"), NO},
    {"9112 6.3", "codings that do not end in chunked leave the body without an end: 400", S(P CHUNKED "\r\n0\r\n\r\n"),
     "200 POST / @h []; open", S(P "Transfer-Encoding: gzip\r\n\r\nab"), NO},
    {"9112 6.3", "chunked before another", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), NO},
    {"9112 6.3", "identity is gone", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab"), NO},
    {"9112 6.3", "an empty one is none", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding:\r\n\r\n"), NO},
    {"9112 6.3", "a request with neither has no body, so what follows is the next", S(P "\r\n" GET),
     "200 POST / @h; 200 GET / @h; open", S(P "\r\nab " GET), "200 POST / @h; 400; close"},
    {"9112 6.3", "a body ends where its length says", S(P "Content-Length: 2\r\n\r\nab" GET),
     "200 POST / @h [ab]; 200 GET / @h; open", S(P "Content-Length: 3\r\n\r\nab" GET),
     "200 POST / @h [abG]; 501; open"},
    {"9112 6.3", "and not before", S(P "Content-Length: 2\r\n\r\nab"), "200 POST / @h [ab]; open",
     S(P "Content-Length: 3\r\n\r\nab"), "waits"},
    {"9112 6.3", "a length may be asked for: HTTP/1.0 has no other way",
     S("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), "200 POST / @ 1.0 []; close", S("POST / HTTP/1.0\r\n\r\n"),
     "411; close"},
    // ---- RFC 9112 7: codings
    {"9112 7.1", "sizes are hexadecimal, of any case, with zeros before",
     S(P CHUNKED "\r\n00a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"), "200 POST / @h [0123456789abcdefghij]; open",
     S(P CHUNKED "\r\n0xa\r\n0123456789\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "a size has a digit", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P CHUNKED "\r\n\r\n\r\n"), NO},
    {"9112 7.1", "and no sign", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n+2\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "nor a space before", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n 2\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "no overflow: 2^64 + 2 is not 2", S(P CHUNKED "\r\n000000000000002\r\nab\r\n0\r\n\r\n"),
     "200 POST / @h [ab]; open", S(P CHUNKED "\r\n10000000000000002\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "data ends where its size says", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2\r\nabc\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "and not before: data may look like framing", S(P CHUNKED "\r\n7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n"),
     "200 POST / @h [0\\x0d\\x0a\\x0d\\x0a\\x0d\\x0a]; open", S(P CHUNKED "\r\n3\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "CR LF behind data", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2\r\nab\n0\r\n\r\n"), NO},
    {"9112 7.1", "CR too", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2\r\nabx\n0\r\n\r\n"), NO},
    {"9112 7.1", "CR LF behind a size", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "CR alone is not enough", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2\r\rab\r\n0\r\n\r\n"), NO},
    {"9112 7.1", "the body ends with the last chunk and an empty line", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n" GET),
     "200 POST / @h [ab]; 200 GET / @h; open", S(P CHUNKED "\r\n2\r\nab\r\n0\r\n\n"), NO},
    {"9112 7.1", "and not before", S(P CHUNKED "\r\n2\r\nab\r\n000\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2\r\nab\r\n0\r\n"), "waits"},
    {"9112 7.1.1", "extensions are passed over, quoted ones too",
     S(P CHUNKED "\r\n2;a;b=c;d=\"e;\\\"\"\r\nab\r\n0;d=\"\"\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2;a;b=c;d=\"e;\\\"\n\"\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1.1",
     "white space stands between their parts (9110 5.6.3); before the first it would be a smuggler's, and is not",
     S(P CHUNKED "\r\n2; a = \"b;c\" ;d=e\r\nab\r\n0;f\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2 ;a\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1.1", "a quoted value ends in its line", S(P CHUNKED "\r\n2;a=\"b\"\r\nab\r\n0\r\n\r\n"),
     "200 POST / @h [ab]; open", S(P CHUNKED "\r\n2;a=\"b\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1.1", "LF alone ends none", S(P CHUNKED "\r\n2;a\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2;a\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1.1", "an extension has a name", S(P CHUNKED "\r\n2;a\r\nab\r\n0\r\n\r\n"), "200 POST / @h [ab]; open",
     S(P CHUNKED "\r\n2;\r\nab\r\n0\r\n\r\n"), NO},
    {"9112 7.1.2", "fields of a trailer are read and dropped: those of the head stay (9110 6.5.1)",
     S(P CHUNKED "\r\n0\r\nA: b\r\nHost: i\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\n\r\n" GET),
     "200 POST / @h []; 200 GET / @h; open", S(P CHUNKED "\r\n0\r\nA: b\r\nHost i\r\n\r\n"), NO},
    {"9112 7.1.2", "a trailer's fields are fields", S(P CHUNKED "\r\n0\r\nA: b\r\n\r\n"), "200 POST / @h []; open",
     S(P CHUNKED "\r\n0\r\nA : b\r\n\r\n"), NO},
    {"9112 7.1.2", "and not folded", S(P CHUNKED "\r\n0\r\nA: b\r\n\r\n"), "200 POST / @h []; open",
     S(P CHUNKED "\r\n0\r\nA: b\r\n c\r\n\r\n"), NO},
    {"9112 7.1.2", "each ends with CR LF", S(P CHUNKED "\r\n0\r\nA: b\r\n\r\n"), "200 POST / @h []; open",
     S(P CHUNKED "\r\n0\r\nA: b\n\r\n"), NO},
    {"9112 7.4", "TE asks for nothing here", S(G "TE: trailers, gzip;q=0.5\r\nConnection: TE\r\n\r\n"), OK,
     S(G "TE\0: trailers\r\n\r\n"), NO},
    // ---- RFC 9112 9: the connection
    {"9112 9.3", "HTTP/1.1 goes on", S(GET GET), "200 GET / @h; " OK, S(GET "\r" GET), "200 GET / @h; 400; close"},
    {"9112 9.3", "HTTP/1.0 does not", S("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET), "200 GET / @ 1.0; " OK,
     S("GET / HTTP/1.0\r\n\r\n" GET), "200 GET / @ 1.0; close"},
    {"9112 9.3", "options have no case", S("GET / HTTP/1.0\r\nConnection: KEEP-Alive\r\n\r\n"), "200 GET / @ 1.0; open",
     S(G "connection: ClosE\r\n\r\n" GET), "200 GET / @h; close"},
    {"9112 9.3", "close is stronger than keep-alive", S("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
     "200 GET / @ 1.0; close", S(G "Connection: keep-alive\r\nConnection: close\r\n\r\n" GET), "200 GET / @h; close"},
    {"9112 9.3", "and an element of a list", S(G "Connection: closed, not-close\r\n\r\n" GET), "200 GET / @h; " OK,
     S(G "Connection: a,\tclose ,b\r\n\r\n" GET), "200 GET / @h; close"},
    {"9112 9.3.2", "pipelined requests are answered in order",
     S("GET /s/1 HTTP/1.1\r\n" H "\r\n"
       "GET /none HTTP/1.1\r\n" H "\r\n"
       "GET /s/3 HTTP/1.1\r\n" H "\r\n"),
     "200 GET /s/1 @h; 404; 200 GET /s/3 @h; open",
     S("GET /s/1 HTTP/1.1\r\n" H "\r\n"
       "GET /\tb HTTP/1.1\r\n" H "\r\n"
       "GET /s/3 HTTP/1.1\r\n" H "\r\n"),
     "200 GET /s/1 @h; 400; close"},
    {"9112 9.6", "behind close no request is looked at", S(GET GET), "200 GET / @h; " OK,
     S(G "Connection: close\r\n\r\n" GET GET), "200 GET / @h; close"},
    {"9112 9.6", "nor behind one that was refused", S(GET GET), "200 GET / @h; " OK,
     S("GET / HTTP/1.1\r\n\r\n" GET GET), NO},
    // ---- RFC 9112 11: smuggling
    {"9112 11.2", "fields that are nearly framing are none",
     S(P "Content-Lengths: 2\r\nTransfer_Encoding: chunked\r\n\r\n" GET), "200 POST / @h; 200 GET / @h; open",
     S(P "Transfer-Encoding\0: chunked\r\n\r\n"), NO},
    {"9112 11.2", "a vertical tab before a coding is not white space",
     S(P "Transfer-Encoding: \tchunked\r\n\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"), NO},
    {"9112 11.2", "a coding with a parameter is another", S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open",
     S(P "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"), NO},
    {"9112 11.2", "a coding is not looked for in a list with holes (9110 5.6.1 would; readers differ)",
     S(P CHUNKED "\r\n0\r\n\r\n"), "200 POST / @h []; open", S(P "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n"), NO},
    // ---- RFC 9110
    {"9110 2.5", "a higher minor version is served as 1.1", S("GET / HTTP/1.7\r\n" H "\r\n" GET), "200 GET / @h; " OK,
     S("GET / HTTP/1.7\r\n\r\n"), NO},
    {"9110 2.5", "another major version is 505", S(GET), OK, S("GET / HTTP/2.0\r\n" H "\r\n"), "505; close"},
    {"9110 2.5", "from its digits on", S(GET), OK, S("GET / HTTP/5.6"), "505; close"},
    {"9110 2.5", "also HTTP/2's preface", S(GET), OK, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505; close"},
    {"9110 4.2.1", "http needs a host", S("GET http://a/ HTTP/1.1\r\n" H "\r\n"), "200 GET / @a; open",
     S("GET http:///s/a HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 4.2.2", "https is the proxy's in front, which is trusted (7.4); other schemes are nobody's",
     S("GET https://a/ HTTP/1.1\r\n" H "\r\n"), "200 GET / @a; open", S("GET ftp://a/ HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 4.2.3", "schemes have no case", S("GET HTTP://a/ HTTP/1.1\r\n" H "\r\n"), "200 GET / @a; open",
     S("GET HTTPX://a/ HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 4.2.4", "a user in a URI is an error", S("GET http://a/ HTTP/1.1\r\n" H "\r\n"), "200 GET / @a; open",
     S("GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 5.1", "names of fields have no case", S("GET / HTTP/1.1\r\nhOsT: h\r\na: b\r\n\r\n"),
     "200 GET / @h a=b; open", S("GET / HTTP/1.1\r\nHos\xd4: h\r\n\r\n"), NO},
    {"9110 5.1", "unknown fields are no error", S(G "Unknown-!#$%&'*+.^_`|~: x\r\n\r\n"), OK,
     S(G "Unknown{: x\r\n\r\n"), NO},
    {"9110 5.3", "fields of one name keep their order", S(G "A: 1\r\nA: 2\r\na: 3\r\n\r\n"),
     "200 GET / @h A=1 A=2 a=3; open", S(G "A: 1\r\nA=2\r\n\r\n"), NO},
    {"9110 5.5", "NUL in a value is refused", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open", S(G "A: b\0c\r\n\r\n"),
     NO},
    {"9110 5.5", "so is another control byte", S(G "A: \t\tb\r\n\r\n"), "200 GET / @h A=b; open",
     S(G "A: b\x01\r\n\r\n"), NO},
    {"9110 5.5", "and DEL", S(G "A: \x80\xff\r\n\r\n"), "200 GET / @h A=\\x80\\xff; open", S(G "A: b\x7f\r\n\r\n"), NO},
    {"9110 5.6.1", "empty elements of a list are passed over", S(G "Connection: , ,\t,close,,\r\n\r\n"),
     "200 GET / @h; close", S(P "Content-Length: ,2\r\n\r\nab"), NO},
    {"9110 5.6.2", "a name is a token", S(G "A: b\r\n\r\n"), "200 GET / @h A=b; open", S(G "A@: b\r\n\r\n"), NO},
    {"9110 7.1", "a path is decoded once; a broken escape is refused (RFC 3986 2.1)",
     S("GET /s/%2541 HTTP/1.1\r\n" H "\r\n"), "200 GET /s/%41 @h; open", S("GET /s/%4 HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 7.1", "%00 is none", S("GET /s/%01 HTTP/1.1\r\n" H "\r\n"), "200 GET /s/\\x01 @h; open",
     S("GET /s/%00 HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 7.8", "Upgrade may be passed over", S(G "Upgrade: websocket, h2c\r\nConnection: upgrade\r\n\r\n" GET),
     "200 GET / @h; " OK, S(G "Upgrade: h2c\r\nUpgrade\r\n\r\n"), NO},
    {"9110 9.1", "a method that nobody knows is 501, one that is known and not allowed 405",
     S("PURGE / HTTP/1.1\r\n" H "\r\n"), "405; open", S("BREW / HTTP/1.1\r\n" H "\r\n"), "501; open"},
    {"9110 9.3.2", "HEAD is GET without the body", S("HEAD / HTTP/1.1\r\n" H "\r\n" GET), "200; " OK,
     S("HEAD /none HTTP/1.1\r\n" H "\r\n" GET), "404; " OK},
    {"9110 9.3.2", "also of a streamed answer", S("HEAD /stream HTTP/1.1\r\n" H "\r\n" GET), "200; " OK,
     S("HEAD /echo HTTP/1.1\r\n" H "\r\n" GET), "405; " OK},
    {"9112 6.1", "no coding in an answer to HTTP/1.0, whose end is the connection's",
     S("GET /stream HTTP/1.1\r\n" H "\r\n"), "200 chunked streamed; open",
     S("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "200 streamed; close"},
    {"9110 9.3.6", "CONNECT makes no tunnel here", S("CONNECT h:80 HTTP/1.1\r\n" H "\r\n" GET), "501; " OK,
     S("CONNECT h:80#a HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 9.3.7", "OPTIONS is answered", S("OPTIONS / HTTP/1.1\r\n" H "\r\n" GET), "204; " OK,
     S("OPTIONS /none HTTP/1.1\r\n" H "\r\n" GET), "404; " OK},
    {"9110 9.3.8", "TRACE sends nothing back", S("TRACE / HTTP/1.1\r\n" H "A: secret\r\n\r\n" GET), "405; " OK,
     S("TRACE * HTTP/1.1\r\n" H "\r\n"), NO},
    {"9110 10.1.1", "100-continue has no case; another expectation is 417", S(G "Expect: 100-Continue\r\n\r\n"), OK,
     S(G "Expect: 200-maybe\r\n\r\n"), "417; close"},
    {"9110 10.1.1", "none counts in HTTP/1.0", S("GET / HTTP/1.0\r\nExpect: 200-maybe\r\n\r\n"),
     "200 GET / @ 1.0; close", S(G "Expect: 100-continue, 200-maybe\r\n\r\n"), "417; close"},
    {"9110 15.3.5", "204 has no body and no length", S("GET /204 HTTP/1.1\r\n" H "\r\n" GET), "204; " OK,
     S("GET /204 HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n"), "waits"},
    {"9110 15.4.5", "304 has no body", S("GET /304/ HTTP/1.1\r\n" H "\r\n" GET), "304; " OK,
     S("GET /304 HTTP/1.1\r\n" H "\r\n" GET), "404; " OK},
};

// Over the network at its worst and at its best; the same each time.
static void try_example(const char *text, size_t len, const char *says)
{
    static wire_reply got;
    for (int completion = 0; completion < 2; completion++) {
        fake.completion = fake.later = completion != 0;
        for (size_t first = 0; first <= len; first++) { // 0: byte by byte; len: at once
            if (completion && first && first < len) continue;
            wire_calls = 0;
            wire_put_cut(text, len, first ? first : 1, first ? SIZE_MAX : 1, &got);
            if (strcmp(got.said.at, says) == 0 && !got.fault) continue;
            test_fail(__FILE__, __LINE__, "completion %d, cut at %zu: says \"%s\", not \"%s\"%s%s", completion, first,
                      got.said.at, says, got.fault ? "; " : "", got.fault ? got.fault : "");
            break;
        }
    }
}

// Goal: each rule holds, however the network cuts what it is about.
TEST(rules_of_requests)
{
    wire_begin(NULL);
    for (size_t i = 0; i < COUNT(rules); i++) {
        const rule *at = &rules[i];
        ROW("%s, %s: accepted", at->clause, at->rule);
        try_example(at->good, at->good_len, at->good_says);
        ROW("%s, %s: refused", at->clause, at->rule);
        try_example(at->bad, at->bad_len, at->bad_says);
        CHECK(strcmp(at->good_says, at->bad_says) != 0);
    }
    wire_end();
}

// ---- limits: what is too large for a line here

typedef struct limit {
    const char *clause, *rule, *before, *fill, *after; // `fill` is repeated
    uint32_t good, bad;                                // how often
    const char *good_says, *bad_says;
} limit;

#define LONG_HEAD (16384 - sizeof(G "A: \r\n\r\n") + 1)

static const limit limits[] = {
    {"9112 3", "request lines of 8000 bytes at least; beyond the limit 414", "GET /get?", "a", " HTTP/1.1\r\n" H "\r\n",
     8192 - 5, 8193 - 5, "200 ", "414; close"},
    {"9110 5.4", "a field that is too large is 431", G "A: ", "b", "\r\n\r\n", LONG_HEAD, LONG_HEAD + 1, "200 ",
     "431; close"},
    {"9110 5.4", "fields that are too many are 431", G, "A:\r\n", "\r\n", 99, 100, "200 ", "431; close"},
    {"9110 15.5.14", "a body that is too large is 413", P "Content-Length: 1048576\r\n\r\n", "b", "", 1048576, 0,
     "200 POST / @h [", "waits"},
    {"9112 7.1.1", "a chunk's extensions are limited", P CHUNKED "\r\n0;", "e", "\r\n\r\n", 253, 254, "200 ",
     "400; close"},
    {"9110 6.5", "a trailer's fields are limited", P CHUNKED "\r\n0\r\n", "A:\r\n", "\r\n", 100, 101, "200 ",
     "431; close"},
    {"9110 6.5", "and its bytes", P CHUNKED "\r\n0\r\nA:", "b", "\r\n\r\n", 16381, 16382, "200 ", "431; close"},
};

static void try_limit(const limit *at, uint32_t times, const char *says)
{
    static wire_reply got;
    size_t before = strlen(at->before), fill = strlen(at->fill), after = strlen(at->after);
    size_t len = before + fill * times + after;
    char *text = (char *)malloc(len);
    if (!text) abort();
    memcpy(text, at->before, before);
    for (size_t i = 0; i < times; i++) memcpy(text + before + i * fill, at->fill, fill);
    memcpy(text + len - after, at->after, after);
    for (size_t step = 1; step <= 2 * len; step *= 7) { // the last is all of it
        wire_put(text, len, step, &got);
        CHECK_BYTES(got.said.at, strlen(says), says, strlen(says));
        CHECK_STR(got.fault, NULL);
    }
    free(text);
}

// Goal: limits are those that the manual names, at their edge, with the status that the RFC wants.
TEST(rules_of_size)
{
    wire_begin(NULL);
    for (size_t i = 0; i < COUNT(limits); i++) {
        ROW("%s, %s: accepted", limits[i].clause, limits[i].rule);
        try_limit(&limits[i], limits[i].good, limits[i].good_says);
        ROW("%s, %s: refused", limits[i].clause, limits[i].rule);
        try_limit(&limits[i], limits[i].bad, limits[i].bad_says);
    }
    wire_end();
}

// ---- what takes several steps

static void say(fake_sock *sock, const char *text, wire_reply *got, const char *says, uint32_t continues)
{
    fake_send(sock, text, strlen(text));
    wire_settle();
    wire_read(sock, got);
    CHECK_STR(got->said.at, says);
    CHECK_STR(got->fault, NULL);
    CHECK_EQ(got->continues, continues);
}

static void hang_up(fake_sock *sock)
{
    fake_eof(sock);
    wire_settle();
    CHECK(sock->closed);
    CHECK_STR(fake.error, "");
    fake_end();
}

// Goal: RFC 9110 10.1.1. A client that waits is told to go on, once, and only if its body is wanted; never in HTTP/1.0,
// nor where no body follows or some of it has come.
TEST(rules_of_expectations)
{
    static const struct row {
        const char *head;
        const char *says; // of the head alone
        uint32_t continues;
        const char *body, *then;
        uint32_t more;
    } rows[] = {
        {P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "waits", 1, "ab", "200 POST / @h [ab]; open", 1},
        {P "Expect: 100-continue\r\n" CHUNKED "\r\n", "waits", 1, "0\r\n\r\n", "200 POST / @h []; open", 1},
        {P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\na", "waits", 0, "b", "200 POST / @h [ab]; open", 0},
        {P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab", "200 POST / @h [ab]; open", 0, GET,
         "200 POST / @h [ab]; 200 GET / @h; open", 0},
        {P "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "200 POST / @h []; open", 0, GET,
         "200 POST / @h []; 200 GET / @h; open", 0},
        {P "Expect: 100-continue\r\n\r\n", "200 POST / @h; open", 0, GET, "200 POST / @h; 200 GET / @h; open", 0},
        {P "Content-Length: 2\r\n\r\n", "waits", 0, "ab", "200 POST / @h [ab]; open", 0},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "waits", 0, "ab",
         "200 POST / @ 1.0 [ab]; close", 0},
        {"POST /none HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "404; close", 0, "",
         "404; close", 0},
        {P "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n", "413; close", 0, "", "413; close", 0},
        {P "Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n", "417; close", 0, "", "417; close", 0},
        {P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "waits", 1,
         "ab" P "Expect: 100-continue\r\n" CHUNKED "\r\n", "200 POST / @h [ab]; waits", 2},
    };
    static wire_reply got;
    wire_begin(NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        ROW("%s", rows[i].head);
        fake_sock *sock = wire_join();
        say(sock, rows[i].head, &got, rows[i].says, rows[i].continues);
        say(sock, rows[i].body, &got, rows[i].then, rows[i].more);
        hang_up(sock);
    }
    wire_end();
}

// Goal: RFC 9112 8. A request that ends before its end was not made: no handler sees it, at whatever byte it ends.
TEST(rules_of_incomplete_requests)
{
    static const char *const texts[] = {
        GET,
        P "Content-Length: 5\r\n\r\nhello",
        P CHUNKED "\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    };
    static wire_reply got;
    wire_begin(NULL);
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t len = 0; len <= strlen(texts[i]); len++) {
            ROW("%zu bytes of %s", len, texts[i]);
            wire_calls = 0;
            wire_put(texts[i], len, SIZE_MAX, &got);
            CHECK_EQ(wire_calls, len == strlen(texts[i]));
            if (len < strlen(texts[i])) CHECK_STR(got.said.at, len ? "waits" : "open");
        }
    wire_end();
}

// Goal: RFC 9112 9.3 and 9.6. What is answered before its body was read ends the connection or is read to its end; the
// body is never taken for a request.
TEST(rules_of_early_answers)
{
    static const char *const texts[] = {
        "POST /none HTTP/1.1\r\n" H "Content-Length: 36\r\n\r\n" GET,
        "POST /none HTTP/1.1\r\n" H CHUNKED "\r\n24\r\n" GET "\r\n0\r\n\r\n",
        "PURGE / HTTP/1.1\r\n" H "Content-Length: 36\r\n\r\n" GET,
        "BREW / HTTP/1.1\r\n" H CHUNKED "\r\n24\r\n" GET "\r\n0\r\n\r\n",
    };
    static wire_reply got;
    wire_begin(NULL);
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t first = 1; first <= strlen(texts[i]); first++) {
            ROW("%zu bytes of %s", first, texts[i]);
            wire_calls = 0;
            wire_put_cut(texts[i], strlen(texts[i]), first, SIZE_MAX, &got);
            CHECK_EQ(wire_calls, 0);
            CHECK_EQ(got.answers, 1);
            CHECK_STR(got.fault, NULL);
        }
    wire_end();
}

// ---- what values of fields mean

#define NOW 784111777 // Sun, 06 Nov 1994 08:49:37 GMT

static bool is_then(const char *value)
{
    return fsi_date_read(value, strlen(value), NOW) == NOW;
}

static bool is_date(const char *value)
{
    return fsi_date_read(value, strlen(value), NOW) != FSI_NO_TIME;
}

// Of a file of 100 bytes: satisfiable; 416; taken for no field at all.
static int32_t ranges(const char *value)
{
    static fsi_range out[16];
    return fsi_ranges_read(value, strlen(value), 100, out, 16);
}

static bool range_of_all(const char *value)
{
    fsi_range out[1];
    return fsi_ranges_read(value, strlen(value), 100, out, 1) == 1 && out[0].at == 0 && out[0].len == 100;
}

static bool range_good(const char *value)
{
    return ranges(value) > 0;
}

static bool range_not_416(const char *value)
{
    return ranges(value) != FSI_RANGES_OUTSIDE;
}

static bool range_counts(const char *value)
{
    return ranges(value) != 0;
}

static bool tag_strongly(const char *list)
{
    return fsi_tag_listed(list, strlen(list), "\"t\"", 3, false);
}

static bool tag_weakly(const char *list)
{
    return fsi_tag_listed(list, strlen(list), "\"t\"", 3, true);
}

// Fields "name: value" of a request for a file with tag "t" of NOW, each with its line's end. The status, 0: the file.
static uint32_t judged(const char *fields)
{
    fsi_conditions c;
    memset(&c, 0, sizeof c);
    for (const char *at = fields, *end; *at; at = end + 1) {
        const char *value = strstr(at, ": ");
        end = strchr(at, '\n');
        if (!value || !end) abort();
        fsv_str view = fsi_view(value + 2, (size_t)(end - value - 2));
        if (!strncmp(at, "If-Match", 8)) c.if_match = view;
        if (!strncmp(at, "If-None-Match", 13)) c.if_none_match = view;
        if (!strncmp(at, "If-Modified-Since", 17)) c.if_modified_since = view;
        if (!strncmp(at, "If-Unmodified-Since", 19)) c.if_unmodified_since = view;
    }
    return fsi_conditions_judge(&c, "\"t\"", 3, NOW, NOW + 100);
}

static bool serves(const char *fields)
{
    return judged(fields) == 0;
}

static bool not_modified(const char *fields)
{
    return judged(fields) == 304;
}

static bool part_wanted(const char *value)
{
    return fsi_if_range_holds(fsi_view(value, strlen(value)), "\"t\"", 3, NOW, NOW + 100, true);
}

static bool takes_gzip(const char *value)
{
    uint8_t out[3];
    uint32_t n = fsi_codings_read(value, strlen(value), out);
    return n && out[0] == FSI_CODING_GZIP;
}

static bool may_be_sent(const char *value) // by fsv_response_field
{
    return fsi_field_is_clean("A", 1, value, strlen(value));
}

typedef struct value_rule {
    const char *clause, *rule;
    bool (*holds)(const char *value);
    const char *good, *bad;
} value_rule;

#define DATE_1 "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_0 "Sun, 06 Nov 1994 08:49:36 GMT"

static const value_rule value_rules[] = {
    {"9110 5.6.7", "dates as RFC 5322 has them", is_then, DATE_1, "Sun, 06 Nov 1994 08:49:37 +0000"},
    {"9110 5.6.7", "as RFC 850 had them", is_then, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT"},
    {"9110 5.6.7", "as asctime has them", is_then, "Sun Nov  6 08:49:37 1994", "Sun Nov 6 08:49:37 1994"},
    {"9110 5.6.7", "dates have case", is_then, DATE_1, "sun, 06 nov 1994 08:49:37 gmt"},
    {"9110 5.6.7", "two digits mean at most 50 years ahead", is_then, "Sunday, 06-Nov-94 08:49:37 GMT",
     "Sunday, 06-Nov-95 08:49:37 GMT"},
    {"9110 5.6.7", "a day that there is", is_date, "Thu, 29 Feb 1996 00:00:00 GMT", "Wed, 29 Feb 1995 00:00:00 GMT"},
    {"9110 5.6.7", "a leap second is a second", is_date, "Sat, 31 Dec 2016 23:59:60 GMT",
     "Sat, 31 Dec 2016 23:59:61 GMT"},
    {"9110 8.8.3", "a tag stands in quotes", tag_strongly, "\"t\"", "t"},
    {"9110 8.8.3", "and may hold a comma", tag_strongly, "\"a,b\", \"t\"", "\"a, \"t\""},
    {"9110 8.8.3", "W/ has case", tag_weakly, "W/\"t\"", "w/\"t\""},
    {"9110 8.8.3.2", "strong comparison knows no weak tag", tag_strongly, "\"a\",\"t\"", "W/\"t\""},
    {"9110 8.8.3.2", "weak comparison does", tag_weakly, "\"a\", W/\"t\"", "W/\"T\""},
    {"9110 12.5.3", "a coding with weight 0 is not taken", takes_gzip, "gzip;q=0.001", "gzip;q=0"},
    {"9110 12.5.3", "* is all that is not named", takes_gzip, "br;q=0, zstd;q=0, *", "br;q=0, zstd;q=0, gzip;q=0, *"},
    {"9110 12.5.3", "x-gzip is gzip (8.4.1.3)", takes_gzip, "X-GZip", "y-gzip"},
    {"9110 13.1.1", "If-Match compares strongly", serves, "If-Match: \"t\"\n", "If-Match: W/\"t\"\n"},
    {"9110 13.1.1", "* is whatever there is", serves, "If-Match: *\n", "If-Match: \"*\"\n"},
    {"9110 13.1.2", "If-None-Match compares weakly", not_modified, "If-None-Match: W/\"t\"\n",
     "If-None-Match: \"u\"\n"},
    {"9110 13.1.2", "* is whatever there is", not_modified, "If-None-Match: *\n", "If-None-Match: \"*\"\n"},
    {"9110 13.1.3", "If-Modified-Since is up to that second", not_modified, "If-Modified-Since: " DATE_1 "\n",
     "If-Modified-Since: " DATE_0 "\n"},
    {"9110 13.1.3", "one that is no date is no field", serves, "If-Modified-Since: yesterday\n",
     "If-Modified-Since: " DATE_1 "\n"},
    {"9110 13.1.3", "nor is one beside If-None-Match", serves, "If-Modified-Since: " DATE_1 "\nIf-None-Match: \"u\"\n",
     "If-Modified-Since: " DATE_1 "\nIf-None-Match: \"t\"\n"},
    {"9110 13.1.4", "If-Unmodified-Since is up to that second", serves, "If-Unmodified-Since: " DATE_1 "\n",
     "If-Unmodified-Since: " DATE_0 "\n"},
    {"9110 13.1.4", "one that is no date is no field", serves, "If-Unmodified-Since: 1994\n",
     "If-Unmodified-Since: " DATE_0 "\n"},
    {"9110 13.1.4", "nor is one beside If-Match", serves, "If-Match: \"t\"\nIf-Unmodified-Since: " DATE_0 "\n",
     "If-Match: \"u\"\nIf-Unmodified-Since: " DATE_1 "\n"},
    {"9110 13.2.2", "If-Match comes before If-None-Match", not_modified, "If-Match: \"t\"\nIf-None-Match: \"t\"\n",
     "If-Match: \"u\"\nIf-None-Match: \"t\"\n"},
    {"9110 13.1.5", "If-Range compares strongly", part_wanted, "\"t\"", "W/\"t\""},
    {"9110 13.1.5", "a date must be the very one", part_wanted, DATE_1, DATE_0},
    {"9110 13.1.5", "and is no list", part_wanted, "\"t\"", "\"t\", \"t\""},
    {"9110 14.1", "units have no case; of others the field is ignored (14.2)", range_counts, "Bytes=0-", "lines=0-"},
    {"9110 14.1.1", "a range is not empty", range_counts, "bytes=0-0", "bytes=-"},
    {"9110 14.1.1", "its end is not before its beginning", range_counts, "bytes=1-1", "bytes=1-0"},
    {"9110 14.1.1", "it is of digits", range_counts, "bytes=1-2", "bytes=1-+2"},
    {"9110 14.1.1", "an empty element of the list is passed over", range_counts, "bytes=,1-2,", "bytes=,"},
    {"9110 14.1.2", "one that ends behind the file ends with it", range_of_all, "bytes=0-18446744073709551616",
     "bytes=0-98"},
    {"9110 14.1.2", "so does a suffix that is longer", range_of_all, "bytes=-101", "bytes=-99"},
    {"9110 14.1.2", "a range must begin in the file, else 416", range_good, "bytes=99-", "bytes=100-"},
    {"9110 14.1.2", "one of several is enough", range_good, "bytes=100-,99-", "bytes=100-,101-"},
    {"9110 14.1.2", "a suffix of nothing is 416", range_not_416, "bytes=-1", "bytes=-0"},
    {"9110 14.2", "what is malformed is ignored, not 416", range_not_416, "bytes=200-100", "bytes=200-"},
    {"9112 11.1", "no field that is sent splits an answer", may_be_sent, "a\tb", "a\r\nB: c"},
    {"9112 11.1", "not by LF alone", may_be_sent, "\xc4\x8a", "a\nB: c"},
};

// Goal: values are read as the clause says.
TEST(rules_of_values)
{
    for (size_t i = 0; i < COUNT(value_rules); i++) {
        const value_rule *at = &value_rules[i];
        ROW("%s, %s: \"%s\"", at->clause, at->rule, at->good);
        CHECK(at->holds(at->good));
        ROW("%s, %s: not \"%s\"", at->clause, at->rule, at->bad);
        CHECK(!at->holds(at->bad));
    }
}

TEST_MAIN(CASE(rules_of_requests), CASE(rules_of_size), CASE(rules_of_expectations), CASE(rules_of_incomplete_requests),
          CASE(rules_of_early_answers), CASE(rules_of_values))
