// fuzz_client.c: what the load generator takes answers for, on hostile bytes. fuzz.h says how to build it.
//
// The first bytes of an input say what the client expects (HTTP, HEAD, an echo, a text in the body), how many requests
// are in flight and how the rest is cut; the rest is what the server says, on a thread with one connection and no
// socket under it. Every receive is a heap copy of exactly its size. What must hold:
//   - every request in flight ends once: done, failed or still in flight; samples, statuses and events add up to that
//   - it is the same however the bytes are cut, also when the last head is known already
//   - of answers that were built from the input by the rules, every one is counted, with its status and its body
#include "bench.h"
#include "fuzz.h"
#include "fed.h"

#define HEADER 4 // bytes of an input that say how

// ---- how

static const char *const texts[] = {"a", "hello", "aab", "\r\n", "0123456789abcdef"};

// What the first bytes of the input say.
static void set_plan(const uint8_t *how)
{
    free(plan.expect_back);
    plan.expect_back = NULL;
    plan.expect_body = NULL;
    plan.expect_len = 0;
    plan.echo = how[0] % 8 == 1;
    plan.no_body = how[0] % 8 == 2;
    plan.close = how[0] % 8 == 3;
    plan.detail = how[0] % 8 == 4;
    if (how[0] % 8 > 4) MUST(bench_expect(&plan, texts[how[0] / 8 % 5]));
    memset(plan.good, how[0] & 128 ? 0x55 : 0xff, 50); // below 400, all or every other
}

typedef struct outcome { // what one pass has added to the sums
    uint64_t due, done, failed[BENCH_KINDS], events[BENCH_KINDS], statuses[600];
    uint64_t bytes_body, kept, samples, in_flight;
    uint8_t state;
} outcome;

static uint64_t sum_of(const uint64_t *counts, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += counts[i];
    return sum;
}

static void look(outcome *out, int64_t sign) // adds the sums, or takes them off
{
    const bench_tally *tally = &thread->tally;
    uint64_t factor = (uint64_t)sign; // modulo 2^64
    out->due += factor * tally->due;
    out->done += factor * tally->done;
    for (int i = 0; i < BENCH_KINDS; i++) out->failed[i] += factor * tally->failed[i];
    for (int i = 0; i < BENCH_KINDS; i++) out->events[i] += factor * tally->events[i];
    for (int i = 0; i < 600; i++) out->statuses[i] += factor * tally->statuses[i];
    out->bytes_body += factor * tally->bytes_body;
    out->kept += factor * tally->kept;
    out->samples += factor * tally->response.count;
}

// Feeds it in pieces that `cut` decides (0: all at once), and the end of the stream after it.
static void pass(outcome *out, const uint8_t *data, size_t size, uint32_t in_flight, uint64_t unsent, uint64_t cut)
{
    const bench_conn *conn = &thread->conns[0];
    memset(out, 0, sizeof *out);
    look(out, -1);
    begin(in_flight, unsent);
    for (size_t at = 0, step; at < size && conn->state == BENCH_UP; at += step) {
        cut = cut * 6364136223846793005u + (cut ? 1442695040888963407u : 0);
        step = cut ? 1 + (cut >> 40) % ((cut >> 33) % 4 ? 7 : 100) : size;
        if (step > size - at) step = size - at;
        receive(data + at, step);
    }
    out->state = conn->state;
    if (conn->state == BENCH_UP) bench_end_of_stream(thread, &thread->conns[0], 0);
    out->in_flight = conn->in_flight;
    look(out, 1);
    MUST(out->due == in_flight);
    MUST(out->due == out->done + sum_of(out->failed, BENCH_KINDS) + out->in_flight);
    MUST(thread->begun - thread->ended_all == conn->in_flight);
    MUST(out->samples == out->done);
    MUST(sum_of(out->statuses, 600) == out->done + out->failed[BENCH_STATUS] + out->failed[BENCH_BODY]);
    MUST(out->bytes_body <= size);
    MUST(out->kept <= sum_of(out->statuses, 600));
    for (int i = 0; i < BENCH_KINDS; i++)
        MUST(i == BENCH_STATUS || i == BENCH_BODY ? out->events[i] == 0 : out->events[i] >= out->failed[i]);
    forget();
}

// ---- answers by the rules

typedef struct said {
    bench_text bytes;
    uint64_t statuses[600], body;
    uint32_t count;
} said;

static void say_body(said *out, const char *head, uint8_t how, const uint8_t *data, size_t len)
{
    char text[64];
    bench_text_str(&out->bytes, head);
    if (how & 1) {
        size_t half = len / 2;
        bench_text_str(&out->bytes, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0, part; at < len; at += part) {
            part = at == 0 && half ? half : len - at;
            (void)snprintf(text, sizeof text, how & 2 ? "%zx\r\n" : "0%zX;x=\"y\"\r\n", part);
            bench_text_str(&out->bytes, text);
            bench_text_add(&out->bytes, (const char *)data + at, part);
            bench_text_str(&out->bytes, "\r\n");
        }
        bench_text_str(&out->bytes, how & 4 ? "0\r\n\r\n" : "0\r\nA: b\r\nC: d\r\n\r\n");
    } else {
        (void)snprintf(text, sizeof text,
                       how & 2 ? "Content-Length: %zu\r\n\r\n" : "content-length:%zu\r\nX: y\r\n\r\n", len);
        bench_text_str(&out->bytes, text);
        bench_text_add(&out->bytes, (const char *)data, len);
    }
    out->body += len;
}

// One answer for every few bytes of the input. Returns how many of them were used.
static size_t say(said *out, const uint8_t *data, size_t size)
{
    static const uint32_t statuses[] = {200, 204, 304, 404, 500, 201, 599, 302};
    char head[64];
    size_t len = size > 2 ? data[1] % 40u : 0;
    if (size < 2) return size;
    if (len > size - 2) len = size - 2;
    uint32_t status = statuses[data[0] % 8];
    if (data[0] & 64) bench_text_str(&out->bytes, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    (void)snprintf(head, sizeof head, "HTTP/1.1 %u%s\r\n", status, data[0] & 128 ? " Some words" : "");
    if (status == 204 || status == 304) {
        bench_text_str(&out->bytes, head);
        bench_text_str(&out->bytes, status == 304 ? "Content-Length: 77\r\n\r\n" : "\r\n");
    } else {
        say_body(out, head, data[0] >> 3, data + 2, len);
    }
    out->statuses[status]++;
    out->count++;
    return 2 + len;
}

static void try_said(const uint8_t *data, size_t size, uint64_t cut)
{
    said all;
    outcome got;
    uint8_t plain[HEADER] = {0, 0, 0, 0};
    memset(&all, 0, sizeof all);
    set_plan(plain);
    for (size_t at = 0; at < size && all.count < DEPTH_MAX;) at += say(&all, data + at, size - at);
    if (all.count) {
        pass(&got, (const uint8_t *)all.bytes.ptr, all.bytes.len, all.count, 0, cut);
        MUST(got.state == BENCH_UP && got.in_flight == 0);
        MUST(memcmp(got.statuses, all.statuses, sizeof got.statuses) == 0);
        MUST(got.bytes_body == all.body && got.kept == all.count);
        MUST(got.events[BENCH_CLOSED] == 1 && sum_of(got.events, BENCH_KINDS) == 1); // the end, unannounced
    }
    bench_text_free(&all.bytes);
}

// What an input is put through.
static void put_through(const uint8_t *data, size_t size)
{
    outcome whole, cut;
    if (size <= HEADER || size > 16000) return;
    if (!thread) make_thread();
    const uint8_t *rest = data + HEADER;
    uint32_t in_flight = data[1] % (DEPTH_MAX + 1);
    uint64_t unsent = data[1] & 128 ? data[2] : 0, seed = 1 + data[3] + 256u * data[2];
    set_plan(data);
    thread->head_seen_len = 0; // an input says everything about itself
    pass(&whole, rest, size - HEADER, in_flight, unsent, 0);
    pass(&cut, rest, size - HEADER, in_flight, unsent, seed);
    MUST(memcmp(&whole, &cut, sizeof whole) == 0);
    thread->head_seen_len = 0;
    pass(&cut, rest, size - HEADER, in_flight, unsent, seed * 77);
    MUST(memcmp(&whole, &cut, sizeof whole) == 0);
    try_said(rest, size - HEADER, seed);
}

static const char *const seeds[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 No\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=\"b\"\r\naab\r\n0\r\nA: b\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nServer: x\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.0 500 Oh\r\n\r\nuntil the end",
    "HTTP/1.1 999 Odd\r\nContent-Length: 18446744073709551615\r\n\r\n",
    "0123456789abcdef01230123456789abcdef01230123456789abcdef0123",
};

// Pieces that mean something to a client; bytes at random seldom spell them.
static const char *const words[] = {"\r\n",
                                    "\r",
                                    "\n",
                                    "\r\n\r\n",
                                    ":",
                                    " ",
                                    "0",
                                    "5",
                                    "f",
                                    "hello",
                                    "aab",
                                    "HTTP/1.1 200 OK\r\n",
                                    "HTTP/1.0 ",
                                    "HTTP/1.1 101 x\r\n\r\n",
                                    "HTTP/1.1 600 x\r\n\r\n",
                                    "Content-Length: 3\r\n",
                                    "Content-Length: 0\r\n\r\n",
                                    "Transfer-Encoding: chunked\r\n",
                                    "Connection: close\r\n",
                                    "Connection: keep-alive\r\n",
                                    "5\r\nhello\r\n0\r\n\r\n",
                                    "0123456789abcdef0123",
                                    "18446744073709551615",
                                    "fffffffffffffff"};

static size_t seed(size_t index, uint8_t *data)
{
    const char *text = seeds[index % (sizeof seeds / sizeof seeds[0])];
    for (size_t k = 0; k < HEADER; k++) data[k] = (uint8_t)fuzz_dice(256);
    memcpy(data + HEADER, text, strlen(text));
    return HEADER + strlen(text);
}

static void end(void)
{
    if (!thread) make_thread();
    printf("%llu of %llu requests done\n", (unsigned long long)thread->tally.done,
           (unsigned long long)thread->tally.due);
    free(plan.expect_back);
    bench_thread_free(thread);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 100000, 7, HEADER};
FUZZ_MAIN(driver)
