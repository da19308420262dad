// fuzz_server.c: whole against byte by byte, through the whole server: what it answers is the same however its input is cut
// and its output goes. fuzz.h says how to build it.
//
// An input is 4 bytes that say how (limits, readiness or completion, cuts, what a write takes) and what a client sends to a
// server in memory (wire.h), which tells in its answers what it understood. What must hold:
//   - the answers say the same, whether the input comes at once, byte by byte, or cut by its first bytes; but who was
//     answered before his body had come may be kept or not, as much of it as there was decides
//   - each answer is well-formed by RFC 9110 and 9112, and says when it is the last (the reader of wire.h)
//   - a whole request is handed to a handler exactly once for each answer that tells of one
//   - no rule of >>io is broken, nothing is left over
#include "wire.h"
#include "fuzz.h"

#define HEADER 4

static fsv_server *servers[2]; // of all limits, and of small ones
typedef struct outcome {
    wire_reply reply;
    uint32_t calls; // of handlers
    bool reset;     // an answer that had begun was cut: what of it had left is the network's
} outcome;

static outcome whole, cut;
static size_t answers, kept, refused; // what the inputs were

static void make_servers(void)
{
    fsv_server_desc small;
    memset(&small, 0, sizeof small);
    small.head_bytes_max = 256;
    small.target_bytes_max = 24;
    small.fields_max = 3;
    small.body_bytes_max = 20;
    small.turn_requests_max = 2;
    small.out_bytes_max = 64;
    for (int i = 0; i < 2; i++) {
        wire_begin(i ? &small : NULL);
        servers[i] = wire_server;
    }
}

// The pieces: of `seed` 0 all at once, of 1 byte by byte.
static void pass(outcome *out, const uint8_t *data, size_t size, const uint8_t *how, uint64_t seed)
{
    fake_sock *sock = wire_join();
    fake.completion = fake.later = (how[0] & 2) != 0;
    fake.spurious = (how[0] & 4) != 0;
    sock->pend = (how[0] & 8) != 0;
    if (how[0] & 16) sock->write_max = 1 + how[1];
    if (how[0] & 32) sock->read_max = 1 + how[2] % 32u;
    wire_calls = 0;
    for (size_t at = 0, n; at < size && sock->chan && !sock->shut; at += n) {
        seed = seed > 1 ? seed * 6364136223846793005u + 1442695040888963407u : seed;
        n = seed == 0 ? size : seed == 1 ? 1 : 1 + (size_t)(seed >> 40) % ((seed >> 33) % 4 ? 7 : 100);
        if (n > size - at) n = size - at;
        char *piece = fuzz_copy(data + at, n);
        fake_send(sock, piece, n);
        free(piece);
        fake.spurious = false; // or it would never come to rest
        wire_settle();
    }
    wire_settle();
    wire_read(sock, &out->reply);
    out->calls = wire_calls;
    out->reset = sock->closed && sock->was_reset;
    fake_eof(sock);
    wire_settle();
    MUST(sock->closed);
    MUST(wire_server->loops[0].conns == 0 && wire_server->loops[0].out_len == 0);
    MUST(fake.error[0] == 0);
    fake_end();
}

static bool begins(const wire_reply *longer, size_t n, const wire_reply *shorter)
{
    return n <= longer->said.len && memcmp(longer->said.at, shorter->said.at, n) == 0;
}

// The one has ended the connection with an answer that the other could give and go on: what it answered was not read yet.
static bool is_early(const wire_reply *ended, const wire_reply *went_on)
{
    static const char *const early[] = {"204; close", "404; close", "405; close", "501; close", "503; close"};
    size_t n = ended->said.len;
    for (size_t i = 0; n >= 10 && ended->closes && i < sizeof early / sizeof early[0]; i++)
        if (strcmp(ended->said.at + n - 10, early[i]) == 0) return begins(went_on, n - 5, ended);
    return false;
}

// The one has refused a head that the other waits for the end of: a head of more than FSI_HEAD_SMALL bytes is looked at
// again only when a line of it ends.
static bool is_unread(const wire_reply *ended, const wire_reply *waits, size_t size)
{
    size_t n = waits->said.len, end = strlen("waits");
    if (size <= FSI_HEAD_SMALL || !ended->closes || n < end || strcmp(waits->said.at + n - end, "waits") != 0)
        return false;
    return begins(ended, n - end, waits) && ended->answers == waits->answers + 1 && ended->said.at[n - end] == '4';
}

// The answers before the last, which was cut, as far as both go.
static bool agree(const wire_reply *a, const wire_reply *b)
{
    const wire_reply *shorter = a->said.len < b->said.len ? a : b;
    size_t end = strlen("; close"), n = shorter->said.len > end ? shorter->said.len - end : 0;
    while (n >= 2 && memcmp(shorter->said.at + n - 2, "; ", 2) != 0) n--;
    return n < 2 || begins(a == shorter ? b : a, n, shorter);
}

static void check(const outcome *it)
{
    const wire_reply *reply = &it->reply;
    if (reply->fault && !it->reset) // an echo of what has not come yet
        MUST(strstr(reply->said.at, "200 ") && strstr(reply->fault, "not whole"));
    MUST(it->calls <= reply->answers || it->reset);
}

static void compare(const outcome *one, const outcome *other, size_t size)
{
    const wire_reply *a = &one->reply, *b = &other->reply;
    bool same = a->said.len == b->said.len && begins(a, a->said.len, b), early = is_early(a, b) || is_early(b, a);
    early = early || is_unread(a, b, size) || is_unread(b, a, size);
    bool reset = one->reset && other->reset && agree(a, b);
    if (!same && !early && !reset) fprintf(stderr, "one \"%s\"\nthe other \"%s\"\n", a->said.at, b->said.at);
    MUST(same || early || reset);
    if (same && !reset) MUST(!a->fault == !b->fault && a->answers == b->answers && a->closes == b->closes);
    if (!early) MUST(one->calls == other->calls);
}

// What an input is put through.
static void put_through(const uint8_t *data, size_t size)
{
    if (size <= HEADER || size > 16000) return;
    if (!servers[0]) make_servers();
    wire_server = servers[data[0] & 1];
    uint8_t plain[HEADER] = {0, 0, 0, 0};
    uint64_t seed = 2 + data[3] + 256u * data[2];
    pass(&whole, data + HEADER, size - HEADER, plain, 0);
    check(&whole);
    answers += whole.reply.answers;
    kept += !whole.reply.closes;
    refused += whole.reply.closes && whole.reply.answers == 1;
    for (int way = 0; way < 3; way++) {
        pass(&cut, data + HEADER, size - HEADER, way == 1 ? plain : data, way == 0 ? 0 : way == 1 ? 1 : seed);
        check(&cut);
        compare(&whole, &cut, size - HEADER);
    }
}

#define H "Host: h\r\n"
static const char *const seeds[] = {
    "GET / HTTP/1.1\r\n" H "\r\nGET /s/a?b HTTP/1.1\r\n" H "A: b\r\n\r\n",
    "\r\nPOST /s/a%20b HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET / HTTP/1.1\r\n" H
    "\r\n",
    "POST / HTTP/1.1\r\n" H
    "Transfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
    "POST /echo HTTP/1.1\r\n" H
    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
    "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhelloPOST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
    "POST /count HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhelloPOST /count HTTP/1.1\r\n" H
    "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "GET /stream HTTP/1.1\r\n" H "\r\nHEAD /stream HTTP/1.1\r\n" H "\r\nGET /stream HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /204 HTTP/1.1\r\n" H
    "Connection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "POST /none HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n" H "\r\n",
    "OPTIONS * HTTP/1.1\r\n" H "\r\nHEAD / HTTP/1.1\r\n" H "\r\nDELETE /get HTTP/1.1\r\n" H "\r\nBREW / HTTP/1.1\r\n" H
    "\r\n",
    "POST /echo HTTP/1.1\r\n" H "Content-Length: 20\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbPOST /echo HTTP/1.1\r\n" H
    "Content-Length: 9\r\n\r\nHTTP/1.1 ",
    "GET http://a:80/s/b?c HTTP/1.1\r\n" H "\r\nGET /304/ HTTP/1.1\r\n" H "\r\nPURGE /purge HTTP/1.1\r\n" H "\r\n",
};

// Pieces that mean something to a server; bytes at random seldom spell them.
static const char *const words[] = {"\r\n",
                                    "\r",
                                    "\n",
                                    "\r\n\r\n",
                                    ":",
                                    " ",
                                    "0",
                                    "5",
                                    "f",
                                    "GET / HTTP/1.1\r\n" H "\r\n",
                                    "POST /echo HTTP/1.1\r\n",
                                    "POST /count HTTP/1.1\r\n",
                                    "HEAD ",
                                    "/none",
                                    "%41",
                                    H,
                                    "Content-Length: 5\r\n",
                                    "Transfer-Encoding: chunked\r\n",
                                    "Expect: 100-continue\r\n",
                                    "Connection: close\r\n",
                                    "Connection: keep-alive\r\n",
                                    "5\r\nhello\r\n0\r\n\r\n",
                                    ";a=\"",
                                    "HTTP/1.0",
                                    "18446744073709551621"};

static size_t seed(size_t index, uint8_t *data)
{
    const char *text = seeds[index % (sizeof seeds / sizeof seeds[0])];
    for (size_t k = 0; k < HEADER; k++) data[k] = (uint8_t)fuzz_dice(256);
    memcpy(data + HEADER, text, strlen(text));
    return HEADER + strlen(text);
}

static void end(void)
{
    for (int i = 0; i < 2 && servers[0]; i++) MUST(fsv_server_free(servers[i]) == FSV_OK);
    printf("%zu answers, %zu inputs without an end, %zu with one answer that was the end\n", answers, kept, refused);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 30000, 6, HEADER};
FUZZ_MAIN(driver)
