// test_answers.c: what RFC 9110 and RFC 9112 ask of a client that reads answers, rule by rule: the clause, an example that
// is accepted and one that is refused, each fed to the load generator's connection (fed.h) at once, byte by byte and cut in
// two at every place, with one and the same outcome. test_rules.c has the server's side.
#include "test.h"
#include "bench.h"
#define MUST(what) CHECK(what)
#include "fed.h"

#define S(literal) literal, sizeof(literal) - 1
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define A "HTTP/1.1 200 OK\r\n"
#define L2 "Content-Length: 2\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define OK A L2 "\r\nab"
#define BAD "bad_response; over"

typedef struct rule {
    const char *clause, *rule;
    const char *good;
    size_t good_len;
    const char *good_says;
    const char *bad;
    size_t bad_len;
    const char *bad_says;
} rule;

// Answers to two requests of one connection: "200*2 4; open" are two of them with four bytes of content. "waits" is in the
// middle of one; "over": the client has closed the connection.
static const rule rules[] = {
    {"9112 2.1", "a head ends with an empty line", S(OK), "200 2; open", S(A L2), "waits"},
    {"9112 2.2", "LF alone ends no line", S(OK), "200 2; open", S("HTTP/1.1 200 OK\n" L2 "\r\nab"), BAD},
    {"9112 2.2", "nor a field", S(OK), "200 2; open", S(A "Content-Length: 2\n\r\nab"), BAD},
    {"9112 2.2", "nor a head", S(OK), "200 2; open", S(A L2 "\nab"), BAD},
    {"9112 2.2", "CR alone is malformed", S(A "A: b c\r\n" L2 "\r\nab"), "200 2; open", S(A "A: b\rc\r\n" L2 "\r\nab"),
     BAD},
    {"9112 2.2", "no white space before the first field", S(OK), "200 2; open", S(A " " L2 "\r\nab"), BAD},
    {"9112 2.2", "no empty line before a status line: that is for servers", S(OK OK), "200*2 4; open", S("\r\n" OK),
     BAD},
    {"9112 2.3", "the version has case", S(OK), "200 2; open", S("http/1.1 200 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 2.3", "and is digit, point, digit", S("HTTP/1.2 200 OK\r\n" L2 "\r\nab"), "200 2; open",
     S("HTTP/1.10 200 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 2.3", "another major version is another protocol", S(OK), "200 2; open",
     S("HTTP/2.0 200 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "a status is three digits", S("HTTP/1.1 201 OK\r\n" L2 "\r\nab"), "201 2; open",
     S("HTTP/1.1 2010 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "not two", S(OK), "200 2; open", S("HTTP/1.1 20 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "single spaces around it", S(OK), "200 2; open", S("HTTP/1.1  200 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "on either side", S(OK), "200 2; open", S("HTTP/1.1\t200 OK\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "no tab", S(OK), "200 2; open", S("HTTP/1.1 200\tOK\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "the reason means nothing, may be empty, and is text", S("HTTP/1.1 200 \r\n" L2 "\r\nab"), "200 2; open",
     S("HTTP/1.1 200 O\0K\r\n" L2 "\r\nab"), BAD},
    {"9112 4", "the space behind the status is missing at times, which no two readers understand differently",
     S("HTTP/1.1 200\r\n" L2 "\r\nab"), "200 2; open", S("HTTP/1.1 200OK\r\n" L2 "\r\nab"), BAD},
    {"9112 5.1", "no white space before the colon", S(OK), "200 2; open", S(A "Content-Length : 2\r\n\r\nab"), BAD},
    {"9112 5.1", "a name is a token", S(A "!#: x\r\n" L2 "\r\nab"), "200 2; open", S(A "(): x\r\n" L2 "\r\nab"), BAD},
    {"9112 5.1", "a line has a colon", S(A "A:\r\n" L2 "\r\nab"), "200 2; open", S(A "A\r\n" L2 "\r\nab"), BAD},
    {"9112 5.2", "no value is folded (a client may; readers differ)", S(A "A: b  c\r\n" L2 "\r\nab"), "200 2; open",
     S(A "A: b\r\n c\r\n" L2 "\r\nab"), BAD},
    {"9112 6.1", "chunked is understood, without case", S(A "Transfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
     "200 2; open", S(A "Transfer-Encoding: chunke\r\n\r\n2\r\nab\r\n0\r\n\r\n"), BAD},
    {"9112 6.1", "chunked is applied once", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; open",
     S(A CHUNKED CHUNKED "\r\n0\r\n\r\n"), BAD},
    {"9112 6.1", "codings that nobody asked for are an error", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; open",
     S(A "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), BAD},
    {"9112 6.1", "also one without chunked (6.3 would read on to the end)", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; open",
     S(A "Transfer-Encoding: gzip\r\n\r\n"), BAD},
    {"9112 6.1", "codings in HTTP/1.0 are faulty framing", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; open",
     S("HTTP/1.0 200 OK\r\n" CHUNKED "\r\n0\r\n\r\n"), BAD},
    {"9112 6.2", "a length is one number", S(A "Content-Length: 02\r\n\r\nab"), "200 2; open",
     S(A "Content-Length: 2, 2\r\n\r\nab"), BAD},
    {"9112 6.2", "without a sign", S(OK), "200 2; open", S(A "Content-Length: +2\r\n\r\nab"), BAD},
    {"9112 6.2", "no overflow: 2^64 + 2 is not 2", S(OK), "200 2; open",
     S(A "Content-Length: 18446744073709551618\r\n\r\nab"), BAD},
    {"9112 6.3", "HEAD, 204, 304: no body, whatever the fields say", S("HTTP/1.1 304 Same\r\n" L2 "\r\n" OK),
     "200 304 2; open", S("HTTP/1.1 303 Other\r\n" L2 "\r\n" OK), "303 2; bad_response; over"},
    {"9112 6.3", "204 neither", S("HTTP/1.1 204 No Content\r\n\r\n" OK), "200 204 2; open",
     S("HTTP/1.1 205 Reset\r\n\r\n" OK), "waits"},
    {"9112 6.3", "both lengths and codings are an error", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; open",
     S(A L2 CHUNKED "\r\n0\r\n\r\n"), BAD},
    {"9112 6.3", "two lengths that differ are one too; the same twice may be taken for one", S(A L2 L2 "\r\nab"),
     "200 2; open", S(A L2 "Content-Length: 3\r\n\r\nabc"), BAD},
    {"9112 6.3", "a body ends where its length says", S(OK OK), "200*2 4; open", S(A L2 "\r\nabc" OK),
     "200 2; bad_response; over"},
    {"9112 6.3", "and not before", S(OK), "200 2; open", S(A L2 "\r\na"), "waits"},
    {"9112 6.3", "without either it ends with the connection", S(OK), "200 2; open", S(A "\r\nab"), "waits"},
    {"9112 7.1", "chunks", S(A CHUNKED "\r\n02;a=\"b\"\r\nab\r\n0\r\nA: b\r\n\r\n" OK), "200*2 4; open",
     S(A CHUNKED "\r\n02 \r\nab\r\n0\r\n\r\n"), BAD},
    {"9112 7.1", "no overflow", S(A CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 2; open",
     S(A CHUNKED "\r\n10000000000000002\r\nab\r\n0\r\n\r\n"), BAD},
    {"9112 7.1", "CR LF behind data", S(A CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 2; open",
     S(A CHUNKED "\r\n2\r\nabc\r\n0\r\n\r\n"), BAD},
    {"9112 7.1", "CR LF behind a size", S(A CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 2; open",
     S(A CHUNKED "\r\n2\nab\r\n0\r\n\r\n"), BAD},
    {"9112 7.1", "the last chunk, then the empty line", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; open",
     S(A CHUNKED "\r\n0\r\n"), "waits"},
    {"9112 7.1.2", "a trailer is of fields", S(A CHUNKED "\r\n0\r\nA: b\r\n\r\n"), "200 0; open",
     S(A CHUNKED "\r\n0\r\nA b\r\n\r\n"), BAD},
    {"9112 9.2", "what nobody asked for is no answer", S(OK OK), "200*2 4; open", S(OK OK OK),
     "200*2 4; bad_response; over"},
    {"9112 9.3", "HTTP/1.0 does not go on unless it says so",
     S("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" L2 "\r\nab"), "200 2; open",
     S("HTTP/1.0 200 OK\r\n" L2 "\r\nab"), "200 2; over"},
    {"9112 9.6", "behind close nothing more comes", S(A "Connection: closed\r\n" L2 "\r\nab" OK), "200*2 4; open",
     S(A "Connection: a, Close\r\n" L2 "\r\nab" OK), "200 2; over"},
    {"9110 5.5", "no control byte in a value", S(A "A: \t\x80\r\n" L2 "\r\nab"), "200 2; open",
     S(A "A: \x01\r\n" L2 "\r\nab"), BAD},
    {"9110 5.5", "no NUL", S(A "A:\r\n" L2 "\r\nab"), "200 2; open", S(A "A: \0\r\n" L2 "\r\nab"), BAD},
    {"9110 15", "a status is 100 to 599", S("HTTP/1.1 599 X\r\n" L2 "\r\nab"), "599 2; open",
     S("HTTP/1.1 600 X\r\n" L2 "\r\nab"), BAD},
    {"9110 15", "not below", S("HTTP/1.1 200 X\r\n" L2 "\r\nab"), "200 2; open", S("HTTP/1.1 099 X\r\n" L2 "\r\nab"),
     BAD},
    {"9110 15.2", "any number of 1xx before an answer, of whatever meaning",
     S("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 199 X\r\n\r\n" OK), "200 2; open",
     S("HTTP/1.1 100 Continue\r\n\r\n"), "open"},
    {"9110 15.2.2", "but another protocol only if asked for", S("HTTP/1.1 102 X\r\n\r\n" OK), "200 2; open",
     S("HTTP/1.1 101 Switching\r\n\r\n" OK), BAD},
    {"9110 15.5.9", "no answer without a request: 408 of an idle connection", S(OK OK), "200*2 4; open",
     S(OK OK "HTTP/1.1 408 Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), "200*2 4; bad_response; over"},
};

// The same of one request, and the server ends the stream.
static const rule ends[] = {
    {"9112 6.3", "a body without a length ends with the connection", S(A "\r\nab"), "200 2; over", S(A "A: b\r\n"),
     "early_close; over"},
    {"9112 6.3", "also of HTTP/1.0", S("HTTP/1.0 200 OK\r\n\r\n"), "200 0; over", S(""), "early_close; over"},
    {"9112 8", "but not one with a length", S(A "\r\n"), "200 0; over", S(A L2 "\r\na"), "early_close; over"},
    {"9112 8", "nor a chunked one", S(A CHUNKED "\r\n0\r\n\r\n"), "200 0; over", S(A CHUNKED "\r\n2\r\nab\r\n"),
     "early_close; over"},
    {"9112 8", "not even without its last line", S(A CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"), "200 2; over",
     S(A CHUNKED "\r\n2\r\nab\r\n0\r\n\r"), "early_close; over"},
    {"9112 9.5", "a connection may end between answers", S(OK), "200 2; over", S("H"), "early_close; over"},
    {"9110 15.2", "1xx is no answer", S("HTTP/1.1 100 Continue\r\n\r\n" OK), "200 2; over",
     S("HTTP/1.1 100 Continue\r\n\r\n"), "early_close; over"},
};

// The same, in answers to HEAD.
static const rule of_head[] = {
    {"9112 6.3", "a length is the body's that GET would get", S(A L2 "\r\n" A L2 "\r\n"), "200*2 0; open",
     S(A L2 "\r\nab"), "200 0; bad_response; over"},
    {"9112 6.3", "so is a coding", S(A CHUNKED "\r\n" A "\r\n"), "200*2 0; open", S(A CHUNKED "\r\n0\r\n\r\n"),
     "200 0; bad_response; over"},
};

static char says[512];

// What has been added to the thread's sums, and how the connection is.
static void look(const bench_tally *before, bool ended)
{
    const bench_tally *now = &thread->tally;
    const bench_conn *conn = &thread->conns[0];
    size_t n = 0, any = 0;
    for (int i = 0; i < 600; i++) {
        uint64_t count = now->statuses[i] - before->statuses[i];
        if (count > 1) n += (size_t)snprintf(says + n, sizeof says - n, "%d*%u ", i, (unsigned)count);
        if (count == 1) n += (size_t)snprintf(says + n, sizeof says - n, "%d ", i);
        any += count > 0;
    }
    if (any) n += (size_t)snprintf(says + n, sizeof says - n, "%u; ", (unsigned)(now->bytes_body - before->bytes_body));
    for (int i = 0; i < BENCH_KINDS; i++)
        if (now->events[i] > before->events[i] &&
            !(ended && any && i == BENCH_CLOSED && now->failed[i] == before->failed[i]))
            n += (size_t)snprintf(says + n, sizeof says - n, "%s; ", bench_kind_names[i]);
    bool idle = conn->part == BENCH_HEAD && !conn->carry_len;
    (void)snprintf(says + n, sizeof says - n, "%s", conn->state != BENCH_UP ? "over" : idle ? "open" : "waits");
}

static void try_example(const char *text, size_t len, bool ended, const char *want)
{
    static bench_tally before;
    for (size_t first = 0; first <= len; first++) { // 0: byte by byte; len: at once
        before = thread->tally;
        thread->head_seen_len = 0; // an example says everything about itself
        begin(ended ? 1 : 2, 0);
        for (size_t at = 0, n; at < len && thread->conns[0].state == BENCH_UP; at += n) {
            n = first == 0 ? 1 : at == 0 ? first : len - first;
            receive(text + at, n);
        }
        if (ended && thread->conns[0].state == BENCH_UP) bench_end_of_stream(thread, &thread->conns[0], 0);
        look(&before, ended);
        forget();
        if (strcmp(says, want) == 0) continue;
        test_fail(__FILE__, __LINE__, "cut at %zu: says \"%s\", not \"%s\"", first, says, want);
        break;
    }
}

static void try_rules(const rule *all, size_t count, bool ended)
{
    if (!thread) make_thread();
    memset(plan.good, 0xff, sizeof plan.good);
    for (size_t i = 0; i < count; i++) {
        ROW("%s, %s: accepted", all[i].clause, all[i].rule);
        try_example(all[i].good, all[i].good_len, ended, all[i].good_says);
        ROW("%s, %s: refused", all[i].clause, all[i].rule);
        try_example(all[i].bad, all[i].bad_len, ended, all[i].bad_says);
        CHECK(strcmp(all[i].good_says, all[i].bad_says) != 0);
    }
}

// Goal: what counts as an answer is one, however the network cuts it.
TEST(rules_of_answers)
{
    try_rules(rules, COUNT(rules), false);
}

// Goal: what ended early does not count.
TEST(rules_of_ends)
{
    try_rules(ends, COUNT(ends), true);
}

// Goal: answers to HEAD have no body.
TEST(rules_of_answers_to_head)
{
    if (!thread) make_thread();
    plan.no_body = true;
    try_rules(of_head, COUNT(of_head), false);
    plan.no_body = false;
}

TEST_MAIN(CASE(rules_of_answers), CASE(rules_of_ends), CASE(rules_of_answers_to_head))
