// The load generator against small scripted servers in threads of this test, in process: bench_parse makes the options,
// bench_once runs them. Whatever a server does, law() must hold after the run. Servers block, wait for bytes or for the
// end, and sleep only where being slow is their part. Times are bounded from below alone: a busy machine is no failure.
#include "test.h"
#include "bench.h"
#include "host.h"

// ---------------------------------------------------------------------------------------------------------
// A scripted server. A visit is one accepted connection; it belongs to its thread until host_stop has joined it.
// ---------------------------------------------------------------------------------------------------------

#define VISITS_MAX 2048

typedef enum ending { ENDING_NONE, ENDING_CLOSED, ENDING_RESET } ending;

typedef struct visit {
    struct host *host;
    int fd; // -1: closed; changed under host->lock
    fsi_thread thread;
    ending how;        // the client ended it
    uint32_t requests; // whole ones
    uint64_t bytes;    // received
    uint64_t began_ns; // when its first byte came
    uint32_t peer;     // IPv4 address
    bench_text in;     // what came; the first request_len bytes are the request at hand
    size_t request_len, body_len;
    bench_text log; // "TARGET BODY\n" of each request, where the host keeps them
} visit;

typedef struct host {
    int listener;
    fsi_sockaddr at; // where it listens
    uint32_t leaves; // atomic: the next connection ends the accepting
    char url[300], path[256];
    void (*serve)(visit *);
    const char *answer;
    size_t answer_len;
    uint32_t number;  // what the script makes of it
    uint32_t backlog; // 0: 1024
    bool keeps;
    uint32_t served; // atomic: answers in all
    fsi_thread thread;
    fsi_lock lock; // of visits, visit_count and their fd
    visit *visits[VISITS_MAX];
    uint32_t visit_count;
} host;

// False: the client has ended the connection, or host_stop has.
static bool visit_more(visit *v)
{
    char data[65536];
    int64_t got = os_recv(v->fd, data, sizeof data);
    if (got <= 0) v->how = got == 0 ? ENDING_CLOSED : ENDING_RESET;
    if (got <= 0) return false;
    if (v->bytes == 0) v->began_ns = fsi_clock_ns();
    v->bytes += (uint64_t)got;
    bench_text_add(&v->in, data, (size_t)got);
    return !v->in.failed;
}

static void visit_log(visit *v, size_t head)
{
    const char *target = strchr(v->in.ptr, ' ') + 1;
    bench_text_add(&v->log, target, strcspn(target, " "));
    bench_text_str(&v->log, " ");
    bench_text_add(&v->log, v->in.ptr + head, v->body_len);
    bench_text_str(&v->log, "\n");
}

// The next whole request. False: there is none any more.
static bool visit_request(visit *v)
{
    const char *end = NULL, *length;
    size_t head;
    if (v->request_len) memmove(v->in.ptr, v->in.ptr + v->request_len, v->in.len - v->request_len + 1);
    v->in.len -= v->request_len;
    v->request_len = v->body_len = 0;
    while (!v->in.len || !(end = strstr(v->in.ptr, "\r\n\r\n")))
        if (!visit_more(v)) return false;
    head = (size_t)(end - v->in.ptr) + 4;
    length = strstr(v->in.ptr, "Content-Length: ");
    v->body_len = length && length < end ? (size_t)strtoull(length + 16, NULL, 10) : 0;
    while (v->in.len < head + v->body_len)
        if (!visit_more(v)) return false;
    v->request_len = head + v->body_len;
    v->requests++;
    if (v->host->keeps) visit_log(v, head);
    return true;
}

static bool visit_send(visit *v, const char *data, size_t len)
{
    return sock_say(v->fd, data, len);
}

static bool visit_answer(visit *v)
{
    (void)fsi_add32(&v->host->served, 1);
    return visit_send(v, v->host->answer, v->host->answer_len);
}

static void visit_close(visit *v, bool reset)
{
    fsi_lock_take(&v->host->lock);
    if (v->fd >= 0 && reset) os_close_resets(v->fd);
    if (v->fd >= 0) os_close(v->fd);
    v->fd = -1;
    fsi_lock_give(&v->host->lock);
}

// Says that nothing more comes, and lets the client end it: no reset takes away what was sent.
static void visit_end(visit *v)
{
    os_shut(v->fd, false);
    while (visit_more(v)) v->in.len = 0;
}

static void visit_body(void *arg)
{
    visit *v = (visit *)arg;
    v->host->serve(v);
    visit_close(v, false);
}

static void host_accept(host *h, int fd)
{
    struct sockaddr_in from;
    size_t size = sizeof from;
    visit *v = (visit *)calloc(1, sizeof *v);
    memset(&from, 0, sizeof from);
    if (v && os_name(fd, true, &from, &size) && from.sin_family == AF_INET) {
        v->peer = ntohl(from.sin_addr.s_addr);
        (void)os_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (!v || h->visit_count == VISITS_MAX) {
        free(v);
        os_close(fd);
        return;
    }
    v->host = h;
    v->fd = fd;
    fsi_lock_take(&h->lock);
    h->visits[h->visit_count] = v;
    if (fsi_thread_start(&v->thread, visit_body, v, "visit")) {
        h->visit_count++;
    } else {
        os_close(fd);
        free(v);
    }
    fsi_lock_give(&h->lock);
}

// Accepts until the host leaves; then nobody listens any more, and every connection ends.
static void host_body(void *arg)
{
    host *h = (host *)arg;
    while (!fsi_load32(&h->leaves)) {
        int fd = os_accept(h->listener);
        if (fd < 0)
            nap(1); // out of descriptors: that passes
        else if (fsi_load32(&h->leaves))
            os_close(fd);
        else
            host_accept(h, fd);
    }
    os_close(h->listener);
    h->listener = -1;
    fsi_lock_take(&h->lock);
    for (uint32_t i = 0; i < h->visit_count; i++)
        if (h->visits[i]->fd >= 0) os_shut(h->visits[i]->fd, true);
    fsi_lock_give(&h->lock);
}

static void host_leave(host *h) // any thread
{
    fsi_store32(&h->leaves, 1);
    int fd = sock_dial_at(&h->at); // wakes the accept
    if (fd >= 0) os_close(fd);
}

static bool host_listen(host *h, bool local)
{
    fsi_sockaddr_v4(&h->at, 0x7f000001u, 0);
    if (local && !fsi_sockaddr_unix(&h->at, os_temp_path(h->path, sizeof h->path, "load"))) return false;
    h->listener = sock_listen_at(&h->at, h->backlog ? (int)h->backlog : 1024);
    if (h->listener < 0) return false;
    if (local)
        (void)snprintf(h->url, sizeof h->url, "unix:%s", h->path);
    else
        (void)fsi_sockaddr_text(&h->at, h->url, sizeof h->url);
    return true;
}

static bool host_start_at(host *h, void (*serve)(visit *), const char *answer, bool local)
{
    h->serve = serve;
    h->answer = answer;
    if (answer && !h->answer_len) h->answer_len = strlen(answer);
    (void)fsi_lock_init(&h->lock);
    return host_listen(h, local) && fsi_thread_start(&h->thread, host_body, h, "host");
}

// Set number, keeps and backlog before. Every host_start wants a host_stop.
static bool host_start(host *h, void (*serve)(visit *), const char *answer)
{
    return host_start_at(h, serve, answer, false);
}

// Ends it; what it has seen stays until host_free.
static void host_stop(host *h)
{
    host_leave(h);
    fsi_thread_join(&h->thread);
    for (uint32_t i = 0; i < h->visit_count; i++) fsi_thread_join(&h->visits[i]->thread);
    if (h->path[0]) (void)remove(h->path);
}

static host *host_new(void)
{
    host *h = (host *)calloc(1, sizeof *h);
    if (!h) abort();
    return h;
}

// ---- what the last run found, for the log of a machine that nobody sees

static bench_options options;
static bench_result result;
static int failures_before = -1; // test_failures when it began; -1: there was no run

// One line on it, if anything failed since it began.
static void tell_run(void)
{
    const bench_result *r = &result;
    if (failures_before < 0 || test_failures <= failures_before) return;
    printf(
        "    run %.1f ms: due %llu, done %llu, in flight %llu, unsent %llu; opened %llu, lost %llu, most %llu; lag max "
        "%.1f ms, response max %.1f ms, connect max %.1f ms",
        (double)r->run_ns / 1e6, (unsigned long long)r->due, (unsigned long long)r->done,
        (unsigned long long)r->in_flight, (unsigned long long)r->unsent, (unsigned long long)r->conns_opened,
        (unsigned long long)r->conns_lost, (unsigned long long)r->conns_most, (double)r->lag.max / 1e6,
        (double)r->response.max / 1e6, (double)r->connect.max / 1e6);
    for (int kind = 0; kind < BENCH_KINDS; kind++)
        if (r->failed[kind] || r->events[kind])
            printf("; %s: %llu requests, %llu events", bench_kind_names[kind], (unsigned long long)r->failed[kind],
                   (unsigned long long)r->events[kind]);
    printf("%s%s\n", r->first_error[0] ? "; first: " : "", r->first_error);
    failures_before = -1;
}

static void host_free(host *h)
{
    tell_run();
    for (uint32_t i = 0; i < h->visit_count; i++) {
        bench_text_free(&h->visits[i]->in);
        bench_text_free(&h->visits[i]->log);
        free(h->visits[i]);
    }
    fsi_lock_free(&h->lock);
    free(h);
}

// Connections on which something came: the one that bench_reach tries brings nothing.
static uint32_t host_used(const host *h)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < h->visit_count; i++) used += h->visits[i]->bytes > 0;
    return used;
}

static uint64_t host_requests(const host *h)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < h->visit_count; i++) sum += h->visits[i]->requests;
    return sum;
}

static uint64_t host_bytes(const host *h)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < h->visit_count; i++) sum += h->visits[i]->bytes;
    return sum;
}

// ---- scripts

static void serve_answers(visit *v)
{
    while (visit_request(v) && visit_answer(v)) {
    }
}

static void serve_slowly(visit *v) // host->number ms each
{
    while (visit_request(v)) {
        nap(v->host->number);
        if (!visit_answer(v)) return;
    }
}

static void serve_batches(visit *v) // reads host->number requests before it answers them
{
    for (;;) {
        for (uint32_t i = 0; i < v->host->number; i++)
            if (!visit_request(v)) return;
        for (uint32_t i = 0; i < v->host->number; i++)
            if (!visit_answer(v)) return;
    }
}

static void serve_some_and_end(visit *v) // host->number answers, then the end
{
    for (uint32_t i = 0; i < v->host->number; i++)
        if (!visit_request(v) || !visit_answer(v)) return;
    visit_end(v);
}

static void serve_and_reset(visit *v)
{
    if (visit_request(v)) visit_close(v, true);
}

static void serve_nothing(visit *v)
{
    while (visit_request(v)) {
    }
}

static void serve_and_leave(visit *v) // after host->number answers in all the whole server is gone
{
    while (visit_request(v) && visit_answer(v))
        if (fsi_load32(&v->host->served) >= v->host->number) host_leave(v->host);
}

static void serve_echo(visit *v)
{
    while (visit_more(v)) {
        (void)fsi_add32(&v->host->served, 1);
        if (!visit_send(v, v->in.ptr, v->in.len)) return;
        v->in.len = 0;
    }
}

static const char answer_ok[] = "HTTP/1.1 200 OK\r\nServer: scripted\r\nContent-Length: 5\r\n\r\nhello";

// ---------------------------------------------------------------------------------------------------------
// Runs
// ---------------------------------------------------------------------------------------------------------

// What holds after every run, whatever has happened in it.
static void law(void)
{
    const bench_result *r = &result;
    uint64_t statuses = 0, done = 0, errors = 0, timeouts = 0;
    for (int i = 0; i < 600; i++) statuses += r->statuses[i];
    for (uint32_t i = 0; i < r->slot_count; i++) {
        done += r->slots[i].done;
        errors += r->slots[i].errors;
        timeouts += r->slots[i].timeouts;
    }
    CHECK_EQ(r->due, r->done + bench_errors(r) + r->in_flight + r->unsent);
    CHECK_EQ(r->response.count, r->done);
    CHECK_EQ(r->service.count, r->done);
    CHECK_EQ(r->censored.count, r->failed[BENCH_TIMEOUT] + r->in_flight + r->unsent);
    CHECK_EQ(statuses, bench_answers(r));
    CHECK_EQ(done, r->done);
    CHECK_EQ(timeouts, r->failed[BENCH_TIMEOUT]);
    CHECK_EQ(errors, bench_errors(r) - timeouts);
    CHECK(r->service.max <= r->response.max);
    CHECK(r->kept <= bench_answers(r));
    CHECK(r->conns_most <= r->setup.connections);
    CHECK(!options.requests || r->due <= options.requests);
    CHECK(r->lag.count <= (options.rate > 0 || options.conn_rate > 0 ? r->due : 0));
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        if (kind == BENCH_STATUS || kind == BENCH_BODY)
            CHECK_EQ(r->events[kind], 0);
        else
            CHECK(r->events[kind] >= r->failed[kind]);
    }
}

// Nothing went wrong.
static void flawless(void)
{
    for (int kind = 0; kind < BENCH_KINDS; kind++) CHECK_EQ(result.events[kind], 0);
    CHECK_EQ(bench_errors(&result), 0);
    CHECK_EQ(result.conns_lost, 0);
    CHECK_STR(result.first_error, "");
}

// Runs a command line, whose words have no spaces in them. False: bench_once had nothing to report.
static bool load(const char *format, ...) FSI_PRINTF(1, 2);

static bool load(const char *format, ...)
{
    static char line[300000];
    char *argv[64], error[256] = "";
    int argc = 0;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    static char name[] = "bench";
    argv[argc++] = name;
    for (char *word = strtok(line, " "); word && argc < 64; word = strtok(NULL, " ")) argv[argc++] = word;
    failures_before = test_failures;
    memset(&result, 0, sizeof result);
    bool fine = bench_parse(argc, argv, &options, error, sizeof error);
    CHECK_STR(error, "");
    options.quiet = true;
    fine = fine && bench_once(&options, options.urls, options.url_count, false, false, &result);
    if (fine) law();
    bench_options_free(&options);
    return fine;
}

// ---- a thread with one connection that is up, without a socket under it

static bench_plan bare_plan;
static bench_place bare_target;
static bench_request bare_request;

// So many requests begin on it, and are sent.
static void bare_ask(bench_thread *thread, uint32_t count)
{
    bench_conn *conn = &thread->conns[0];
    thread->quota = count;
    bench_fill(thread, conn);
    (void)bench_make(thread, conn);
    conn->out_left = 0;
}

static bench_thread *bare_thread(uint32_t in_flight, uint32_t depth)
{
    memset(&bare_plan, 0, sizeof bare_plan);
    bare_plan.places = &bare_target;
    bare_plan.requests = &bare_request;
    bare_plan.place_count = bare_plan.thread_count = bare_plan.conn_count = 1;
    bare_target.first = 0;
    bare_target.count = 1;
    bare_plan.pipeline = depth;
    bare_plan.calls = UINT64_MAX;
    bare_plan.alike = true;
    bare_plan.request_len = 10;
    bare_plan.timeout_ns = 1000000000;
    bare_plan.deadline_ns = UINT64_MAX;
    memset(bare_plan.good, 0xff, 50); // below 400
    bench_thread *thread = bench_thread_new(&bare_plan, 0, 0, 1, 0);
    if (!thread) return NULL;
    thread->running = true;
    thread->conns[0].state = BENCH_UP;
    (void)bench_now(thread);
    bare_ask(thread, in_flight);
    return thread;
}

static void bare_free(bench_thread *thread)
{
    free(thread->conns[0].carry);
    bench_text_free(&thread->conns[0].out);
    free(bare_plan.expect_back);
    bench_thread_free(thread);
}

// One receive, as bench_run hands it on.
static void bare_feed(bench_thread *thread, const char *bytes, size_t len)
{
    bench_conn *conn = &thread->conns[0];
    size_t have = conn->carry_len;
    if (!len || conn->state != BENCH_UP) return;
    if (have) memcpy(thread->in, conn->carry, have);
    memcpy(thread->in + have, bytes, len);
    free(conn->carry);
    conn->carry = NULL;
    conn->carry_len = 0;
    thread->now_fresh = false;
    (void)bench_take(thread, conn, thread->in, have + len);
}

// ---- closed loop

// Goal: -n is exact on both sides, however it is shared out.
TEST(count_is_exact)
{
    static const uint32_t conns[] = {1, 3, 7};
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t threads = 1; threads <= 3 && threads <= conns[i]; threads++) {
            ROW("-c %u -t %u", conns[i], threads);
            host *h = host_new();
            REQUIRE(host_start(h, serve_answers, answer_ok));
            CHECK(load("-n 200 -c %u -t %u %s", conns[i], threads, h->url));
            host_stop(h);
            flawless();
            CHECK_EQ(result.done, 200);
            CHECK_EQ(result.due, 200);
            CHECK_EQ(result.statuses[200], 200);
            CHECK_EQ(result.bytes_in, 200 * (sizeof answer_ok - 1));
            CHECK_EQ(result.bytes_body, 200 * 5);
            CHECK_EQ(result.bytes_out, host_bytes(h));
            CHECK_EQ(result.conns_opened, conns[i]);
            CHECK_EQ(result.first_length, 5);
            CHECK_STR(result.server, "scripted");
            CHECK_EQ(host_requests(h), 200);
            CHECK_EQ(host_used(h), conns[i]);
            host_free(h);
        }
    }
    ROW("fewer requests than connections");
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-n 2 -c 9 -t 3 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 2);
    CHECK_EQ(host_requests(h), 2);
    host_free(h);
}

// Goal: a duration ends it; what was under way is in flight, not lost.
TEST(duration_ends_it)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-d 100ms -c 5 -t 2 %s", h->url));
    host_stop(h);
    flawless();
    CHECK(result.done > 0);
    CHECK(result.in_flight <= 5);
    CHECK_EQ(result.unsent, 0);
    CHECK(result.run_ns >= 100000000);
    CHECK(host_requests(h) >= result.done && host_requests(h) <= result.due);
    host_free(h);
}

// Goal: as many requests are under way as were asked for (else the server would wait for ever), and every one is
// answered once.
TEST(pipeline_is_as_deep_as_asked)
{
    static const uint32_t depths[] = {1, 2, 7, 64};
    for (uint32_t i = 0; i < 4; i++) {
        ROW("depth=%u", depths[i]);
        host *h = host_new();
        h->number = depths[i];
        REQUIRE(host_start(h, serve_batches, answer_ok));
        CHECK(load("-n %u -c 1 --pipeline %u %s", depths[i] * 20, depths[i], h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, depths[i] * 20);
        CHECK_EQ(host_requests(h), depths[i] * 20);
        CHECK_EQ(host_used(h), 1);
        host_free(h);
    }
    ROW("several connections and threads");
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-n 1000 -c 3 -t 2 --pipeline 5 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 1000);
    CHECK_EQ(host_requests(h), 1000);
    host_free(h);
}

// Goal: a server that announces its end in the midst of a pipeline gets the rest again, on a new connection.
TEST(pipeline_goes_on_after_an_announced_close)
{
    static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    host *h = host_new();
    h->number = 1;
    REQUIRE(host_start(h, serve_some_and_end, last));
    CHECK(load("-n 30 -c 2 --pipeline 4 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 30);
    CHECK_EQ(fsi_load32(&h->served), 30);
    CHECK_EQ(host_used(h), 30);
    CHECK_EQ(result.kept, 0);
    host_free(h);
}

TEST(close_opens_one_for_each)
{
    for (uint32_t conns = 1; conns <= 4; conns += 3) {
        ROW("-c %u", conns);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("-n 60 -c %u -t 1 --close %s", conns, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 60);
        CHECK_EQ(result.conns_opened, 60);
        CHECK_EQ(host_used(h), 60);
        for (uint32_t i = 0; i < h->visit_count; i++) CHECK(h->visits[i]->requests <= 1);
        host_free(h);
    }
}

// Goal: exactly ceil(n/M) connections with M requests each; with several at a time a few of the last may have fewer.
TEST(calls_are_counted_on_each_connection)
{
    static const char *const ways[] = {"", "--pipeline 3", "--rst"};
    for (uint32_t way = 0; way < 3; way++) {
        for (uint32_t calls = 1; calls <= 7; calls += 3) {
            for (uint32_t conns = 1; conns <= 3; conns += 2) {
                ROW("-c %u --calls %u %s", conns, calls, ways[way]);
                host *h = host_new();
                REQUIRE(host_start(h, serve_answers, answer_ok));
                CHECK(load("-n 50 -c %u -t 1 --calls %u %s %s", conns, calls, ways[way], h->url));
                host_stop(h);
                flawless();
                uint32_t full = 0, used = host_used(h), least = (50 + calls - 1) / calls;
                for (uint32_t i = 0; i < h->visit_count; i++) {
                    CHECK(h->visits[i]->requests <= calls);
                    full += h->visits[i]->requests == calls;
                }
                CHECK_EQ(result.done, 50);
                CHECK_EQ(host_requests(h), 50);
                CHECK_EQ(result.conns_opened, used);
                CHECK(conns > 1 || (used == least && full == 50 / calls));
                CHECK(used >= least && used <= 50 / calls + conns && used - full <= conns);
                host_free(h);
            }
        }
    }
}

// No answer is like the one before, though they begin alike, and each connection has its own. host->number: bytes of a
// piece, after which it is slow for a while; 0: all at once.
static void serve_others(visit *v)
{
    char answer[100];
    while (visit_request(v)) {
        uint32_t len = v->requests % 5, step = v->host->number ? v->host->number : sizeof answer;
        int size = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nX: %.*s\r\nContent-Length: %u\r\n\r\n%.*s",
                            v->fd % 11, "abcdefghijk", len, (int)len, "hello");
        for (uint32_t at = 0, rest = (uint32_t)size; at < (uint32_t)size; at += step, rest = (uint32_t)size - at) {
            if (!visit_send(v, answer + at, rest < step ? rest : step)) return;
            if (v->host->number) nap(1);
        }
    }
}

// Goal: that heads are known again by their bytes must not be seen, nor that they come in pieces, by turns of several
// connections.
TEST(answers_of_all_lengths_in_pieces)
{
    for (uint32_t piece = 0; piece <= 7; piece += 7) {
        ROW("pieces of %u", piece);
        host *h = host_new();
        h->number = piece;
        REQUIRE(host_start(h, serve_others, answer_ok));
        CHECK(load("-n 50 -c %u -t 1 --pipeline 3 %s", piece ? 5u : 1u, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 50);
        CHECK(piece || result.bytes_body == 10 * (0 + 1 + 2 + 3 + 4));
        CHECK(result.other_length > 0);
        CHECK_EQ(host_used(h), piece ? 5 : 1);
        host_free(h);
    }
}

// ---- open loop

// Goal: exactly rate x duration requests are due, at any number of threads, and a fast server gets them all.
TEST(rate_is_exact)
{
    for (uint32_t threads = 1; threads <= 3; threads++) {
        ROW("-t %u", threads);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("-R 256 -d 250ms -c 6 -t %u %s", threads, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.due, 64);
        CHECK(result.lag.count > 0);
        CHECK(host_requests(h) <= 64 && host_requests(h) + result.unsent >= 64);
        host_free(h);
    }
}

// Goal: --spin does not sleep between requests; without it hardly any CPU goes into four of them.
TEST(spin_stays_awake)
{
    uint64_t cpu[2];
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    for (int spin = 0; spin < 2; spin++) {
        CHECK(load("-R 8 -d %ums -c 1 -t 1 %s %s", os_is_wine() ? 1500 : 500, spin ? "--spin" : "", h->url));
        flawless();
        CHECK_EQ(result.setup.spin, spin);
        cpu[spin] = result.client_user_ns + result.client_sys_ns;
    }
    host_stop(h);
    // Wine counts in ticks of 10 ms, and most of what a thread asks for is its server's work.
    CHECK(cpu[1] > (os_is_wine() ? 1 : 3) * cpu[0]);
    host_free(h);
}

// Goal: a second is a run like any other; fewer than one request per connection and second work.
TEST(rate_below_one_per_connection)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-R 4 -d 1s -c 8 -t 2 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.due, 4);
    CHECK_EQ(result.done + result.in_flight, 4);
    CHECK(result.run_ns >= 1000000000);
    host_free(h);
}

TEST(rate_with_a_count)
{
    static const struct {
        uint32_t count, conns, threads;
    } rows[] = {{50, 4, 1}, {50, 4, 3}, {2, 3, 3}, {1, 3, 1}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("-n %u -c %u -t %u", rows[i].count, rows[i].conns, rows[i].threads);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("-R 500 -n %u -c %u -t %u %s", rows[i].count, rows[i].conns, rows[i].threads, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.due, rows[i].count);
        CHECK_EQ(result.done, rows[i].count);
        CHECK_EQ(host_requests(h), rows[i].count);
        CHECK(result.run_ns >= (rows[i].count - 1) * 2000000u); // the last one is not due before
        host_free(h);
    }
}

// Goal: nobody waits for the connections of a thread that has no request to send.
TEST(idle_threads_are_set_up_too)
{
    bench_thread *thread = bare_thread(0, 1);
    REQUIRE(thread != NULL);
    bare_plan.main_io = &thread->io;
    thread->running = false;
    thread->conns[0].state = BENCH_DOWN;
    bench_open_all(thread, 1);
    CHECK_EQ(thread->conns[0].state, BENCH_OVER);
    CHECK_EQ(thread->settled, 1);
    bare_free(thread);
}

// Goal: one connection, 40 ms each, a request due every ms. The k-th answer cannot come before 40 (k + 1) ms and was
// due at k ms: latency counts from there, the timeout from when it was sent. What could not be sent is unsent, and the
// wait for a connection is no lag of ours.
TEST(backlog_counts_from_when_it_was_due)
{
    host *h = host_new();
    h->number = 40;
    REQUIRE(host_start(h, serve_slowly, answer_ok));
    CHECK(load("-R 1000 -d 640ms -c 1 --timeout 400ms %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.due, 640);
    REQUIRE(result.done >= 2 && result.done <= 16);
    CHECK(result.unsent >= 640 - 17);
    CHECK_EQ(result.in_flight, 640 - result.done - result.unsent);
    CHECK(result.response.max >= (40 * result.done - (result.done - 1)) * 1000000);
    CHECK(result.service.min >= 40000000);
    CHECK(result.censored.max >= 1000000 * (640 - result.done)); // the first that did not end
    CHECK(result.lag.count <= 1);
    bool beyond;
    CHECK(bench_quantile(&result, 0.99, &beyond) > 0 && beyond);
    host_free(h);
}

// Goal: a pipeline takes what is due while answers are awaited.
TEST(rate_with_a_pipeline)
{
    host *h = host_new();
    h->number = 4;
    REQUIRE(host_start(h, serve_batches, answer_ok));
    CHECK(load("-R 400 -n 40 -c 1 --pipeline 4 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 40);
    host_free(h);
}

TEST(rate_with_close)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-R 256 -d 250ms -c 20 -t 2 --close %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.due, 64);
    CHECK_EQ(result.done + result.in_flight + result.unsent, 64);
    CHECK(host_used(h) >= result.done && host_used(h) <= 64);
    host_free(h);
}

TEST(connections_at_a_rate)
{
    for (uint32_t threads = 1; threads <= 2; threads++) {
        ROW("-t %u", threads);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("--conn-rate 64 --calls 4 -d 250ms -t %u %s", threads, h->url)); // 16 connections
        host_stop(h);
        flawless();
        CHECK(result.due <= 64 && result.conns_opened <= 16);
        // The last one is opened shortly before the end: where everything is slow its first byte may not get there.
        CHECK(host_used(h) == result.conns_opened || host_used(h) + 1 == result.conns_opened);
        CHECK(result.done + result.in_flight + result.unsent == result.due);
        for (uint32_t i = 0; i < h->visit_count; i++) CHECK(h->visits[i]->requests <= 4);
        host_free(h);
    }
    ROW("-n");
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("--conn-rate 100 --calls 4 -n 40 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 40);
    CHECK_EQ(host_requests(h), 40);
    CHECK(host_used(h) >= 10);
    CHECK(result.run_ns >= 90000000 || host_used(h) > 10);
    host_free(h);
}

// Goal: -n holds when the last request is a call on a connection that is there while the next connection is due
// already.
TEST(connections_at_a_rate_and_a_count)
{
    for (uint32_t count = 20; count < 30; count++) {
        ROW("-n %u", count);
        host *h = host_new();
        h->number = 5;
        REQUIRE(host_start(h, serve_slowly, answer_ok));
        CHECK(load("--conn-rate 1000 --calls 5 -n %u -d 2s -c 9 -t 1 %s", count, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, count);
        CHECK_EQ(host_requests(h), count);
        host_free(h);
    }
}

// Goal: waiting for the clock is not waiting for a target that is gone.
TEST(slow_rates_are_waited_for)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("--conn-rate 0.7 -n 2 --timeout 100ms %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 2);
    CHECK(result.run_ns >= 1400000000);
    host_free(h);
}

// ---- warm-up and ramp

// Goal: what was asked before the measuring is counted nowhere.
TEST(warmup_counts_nowhere)
{
    static const char *const ways[] = {"-c 2", "-c 2 --close", "-c 2 -t 2 --pipeline 3", "-c 1 --calls 3"};
    for (uint32_t i = 0; i < 4; i++) {
        ROW("%s", ways[i]);
        host *h = host_new();
        h->number = 2;
        REQUIRE(host_start(h, serve_slowly, answer_ok));
        CHECK(load("-d 60ms --warmup 60ms %s %s", ways[i], h->url));
        host_stop(h);
        flawless();
        CHECK(result.due > 0); // where connecting takes as long as the run, none of them is answered in it
        CHECK(host_requests(h) > result.due);
        CHECK(result.bytes_in <= (result.done + 6) * (sizeof answer_ok - 1)); // 6: were asked before
        CHECK(result.bytes_out <= (result.due + 6) * 200);
        CHECK(!strstr(ways[i], "--close") || result.conns_opened <= result.due + 2);
        CHECK(result.run_ns >= 60000000);
        CHECK_EQ(result.slots[0].done, result.done);
        host_free(h);
    }
    ROW("-R");
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-R 128 -d 250ms --warmup 125ms -c 4 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.due, 32);
    CHECK(host_requests(h) <= 48);
    CHECK(result.unsent || result.in_flight ||
          host_requests(h) >= 16 + result.done); // unsent: this machine stood still
    host_free(h);
}

// Goal: -n counts what is measured; a warm-up does not eat it up.
TEST(warmup_and_a_count)
{
    static const char *const ways[] = {"-c 2", "-c 2 --close", "-c 2 -R 200", "-c 3 -t 3 -R 200"};
    for (uint32_t i = 0; i < 4; i++) {
        ROW("%s", ways[i]);
        host *h = host_new();
        h->number = 2;
        REQUIRE(host_start(h, serve_slowly, answer_ok));
        CHECK(load("-n 20 --warmup 80ms %s %s", ways[i], h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 20);
        CHECK(host_requests(h) > 20);
        host_free(h);
    }
}

TEST(ramp_raises_the_rate)
{
    for (uint32_t threads = 1; threads <= 3; threads += 2) {
        ROW("-t %u", threads);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("-R 256 --ramp 250ms -d 500ms -c 6 -t %u %s", threads, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.due, 32 + 64);
        host_free(h);
    }
}

static void serve_together(visit *v) // answers nobody before host->number have asked
{
    if (!visit_request(v)) return;
    (void)fsi_add32(&v->host->served, 1);
    while (fsi_load32(&v->host->served) < v->host->number) nap(1);
    do
        if (!visit_send(v, v->host->answer, v->host->answer_len)) return;
    while (visit_request(v));
}

// Goal: in a closed loop the k-th connection is opened when k parts of the ramp have passed, not before.
TEST(ramp_opens_one_after_the_other)
{
    static const char *const ways[] = {"", "--close"};
    for (uint32_t way = 0; way < 2; way++) {
        uint32_t early = 0, used = 0;
        ROW("%s", ways[way]);
        host *h = host_new();
        h->number = 4;
        REQUIRE(host_start(h, serve_together, answer_ok));
        uint64_t start = fsi_clock_ns();
        CHECK(load("-n 4 --ramp 200ms --timeout 30s -c 4 -t 2 %s %s", ways[way], h->url));
        host_stop(h);
        flawless();
        for (uint32_t i = 0; i < h->visit_count; i++) {
            const visit *v = h->visits[i];
            if (!v->bytes) continue;
            early += v->began_ns < start + used * 50000000u;
            used++;
        }
        CHECK_EQ(early, 0);
        CHECK_EQ(used, 4);
        CHECK_EQ(result.done, 4);
        host_free(h);
    }
}

// ---- echo

TEST(echo_comes_back_whole)
{
    static const uint32_t sizes[] = {1, 64, 100000};
    static const char *const ways[] = {"-c 1",
                                       "-c 3 --pipeline 4",
                                       "-c 3 --close",
                                       "-c 2 --calls 5",
                                       "-R 2000",
                                       "--conn-rate 1000",
                                       "--conn-rate 500 --calls 3"};
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
            ROW("--size %u %s", sizes[i], ways[way]);
            host *h = host_new();
            REQUIRE(host_start(h, serve_echo, NULL));
            CHECK(load("--echo --size %u -n 30 %s tcp://%s", sizes[i], ways[way], h->url));
            host_stop(h);
            flawless();
            CHECK_EQ(result.done, 30);
            CHECK_EQ(result.bytes_body, 30 * sizes[i]);
            CHECK_EQ(result.bytes_in, 30 * sizes[i]);
            CHECK_EQ(host_bytes(h), 30 * sizes[i]);
            if (strstr(ways[way], "--close")) CHECK_EQ(host_used(h), 30);
            if (strstr(ways[way], "-c 2 --calls 5")) CHECK(host_used(h) >= 6 && host_used(h) <= 8);
            host_free(h);
        }
    }
}

static void serve_echo_wrongly(visit *v) // the byte at host->number is another one
{
    uint64_t at = 0;
    while (visit_more(v)) {
        if (v->host->number >= at && v->host->number < at + v->in.len) v->in.ptr[v->host->number - at] ^= 1;
        at += v->in.len;
        if (!visit_send(v, v->in.ptr, v->in.len)) return;
        v->in.len = 0;
    }
}

static void serve_echo_short(visit *v) // one byte is missing, then the end
{
    while (v->in.len < v->host->number)
        if (!visit_more(v)) return;
    if (visit_send(v, v->in.ptr, v->host->number - 1)) visit_end(v);
}

static void serve_echo_more(visit *v) // one byte more than asked, in the same packet
{
    while (v->in.len < v->host->number)
        if (!visit_more(v)) return;
    bench_text_add(&v->in, "!", 1);
    if (visit_send(v, v->in.ptr, v->in.len)) visit_end(v);
}

TEST(echo_that_is_none)
{
    static const uint32_t places[] = {0, 63, 64, 100, 12345};
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t good = places[i] / 64, all = good + 5;
        ROW("wrong at %u", places[i]);
        host *h = host_new();
        h->number = places[i];
        REQUIRE(host_start(h, serve_echo_wrongly, NULL));
        CHECK(load("--echo --size 64 -n %u -c 1 tcp://%s", all, h->url));
        host_stop(h);
        CHECK_EQ(result.failed[BENCH_BAD], all / (good + 1));
        CHECK_EQ(result.done + result.failed[BENCH_BAD], all);
        CHECK_STR(result.first_error, "what came back is not what was sent");
        host_free(h);
    }
    ROW("short");
    host *h = host_new();
    h->number = 64;
    REQUIRE(host_start(h, serve_echo_short, NULL));
    CHECK(load("--echo --size 64 -n 5 -c 1 tcp://%s", h->url));
    host_stop(h);
    CHECK_EQ(result.failed[BENCH_CLOSED], 5);
    CHECK_EQ(result.done, 0);
    host_free(h);
    ROW("one byte more");
    h = host_new();
    h->number = 64;
    REQUIRE(host_start(h, serve_echo_more, NULL));
    CHECK(load("--echo --size 64 -n 5 -c 1 tcp://%s", h->url));
    host_stop(h);
    CHECK_EQ(result.done, 5);
    CHECK(result.events[BENCH_BAD] >= 4); // the last may have been closed before
    CHECK_EQ(bench_errors(&result), 0);
    host_free(h);
}

// ---- where to

TEST(urls_are_asked_in_turn)
{
    host *h = host_new();
    h->keeps = true;
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-n 30 -c 1 %s/a %s/b %s/c", h->url, h->url, h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(host_used(h), 1);
    for (uint32_t i = 0; i < h->visit_count; i++) {
        if (!h->visits[i]->bytes) continue;
        const char *at = h->visits[i]->log.ptr;
        for (uint32_t k = 0; k < 30; k++, at += 4)
            CHECK(at[0] == '/' && at[1] == (char)('a' + ((uint32_t)(at[1] - 'a') + 3 * k) % 3) &&
                  (k == 0 || at[1] == 'a' + (at[-3] - 'a' + 1) % 3));
    }
    host_free(h);
    ROW("-c 4 --close");
    h = host_new();
    h->keeps = true;
    REQUIRE(host_start(h, serve_answers, answer_ok));
    CHECK(load("-n 60 -c 4 -t 2 --close %s/a %s/b %s/c", h->url, h->url, h->url));
    host_stop(h);
    flawless();
    uint32_t seen[3] = {0, 0, 0};
    for (uint32_t i = 0; i < h->visit_count; i++)
        if (h->visits[i]->bytes) seen[h->visits[i]->log.ptr[1] - 'a']++;
    for (uint32_t i = 0; i < 3; i++) CHECK(seen[i] >= 16 && seen[i] <= 24); // one off for each connection at most
    host_free(h);
}

TEST(places_share_the_connections)
{
    for (uint32_t echo = 0; echo < 2; echo++) {
        host *a = host_new(), *b = host_new();
        const char *scheme = echo ? "--echo tcp://" : "http://", *scheme2 = echo ? "tcp://" : "http://";
        ROW("%s", scheme);
        REQUIRE(host_start(a, echo ? serve_echo : serve_answers, answer_ok));
        REQUIRE(host_start(b, echo ? serve_echo : serve_answers, answer_ok));
        CHECK(load("-d 80ms -c 6 -t 1 %s%s %s%s", scheme, a->url, scheme2, b->url));
        host_stop(a);
        host_stop(b);
        flawless();
        CHECK_EQ(host_used(a), 3);
        CHECK_EQ(host_used(b), 3);
        CHECK(fsi_load32(&a->served) > 0 && fsi_load32(&b->served) > 0);
        CHECK_EQ(result.bytes_body, result.done * (echo ? 64 : 5));
        host_free(a);
        host_free(b);
    }
}

// Goal: no place that was asked for stays unasked in silence.
TEST(more_places_than_connections_are_refused)
{
    host *a = host_new(), *b = host_new();
    REQUIRE(host_start(a, serve_answers, answer_ok));
    REQUIRE(host_start(b, serve_answers, answer_ok));
    CHECK(!load("-n 10 -c 1 %s %s", a->url, b->url));
    host_stop(a);
    host_stop(b);
    host_free(a);
    host_free(b);
}

TEST(unix_sockets)
{
    static const char *const ways[] = {"-c 3", "-c 2 --close", "-R 500 -c 2", "-c 2 --pipeline 4"};
    if (!sock_has_unix()) SKIP("no Unix-domain sockets here");
    for (uint32_t i = 0; i < 4; i++) {
        ROW("%s", ways[i]);
        host *h = host_new();
        h->keeps = true;
        REQUIRE(host_start_at(h, serve_answers, answer_ok, true));
        CHECK(load("-n 50 %s %s:/x", ways[i], h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 50);
        CHECK_EQ(host_requests(h), 50);
        for (uint32_t k = 0; k < h->visit_count; k++)
            if (h->visits[k]->bytes) CHECK(strncmp(h->visits[k]->log.ptr, "/x \n", 4) == 0);
        host_free(h);
    }
    ROW("echo");
    host *h = host_new();
    REQUIRE(host_start_at(h, serve_echo, NULL, true));
    CHECK(load("--echo -n 50 -c 3 %s", h->url));
    host_stop(h);
    flawless();
    CHECK_EQ(result.done, 50);
    host_free(h);
}

// Goal: with keep-alive too, all addresses take their turn, and evenly.
TEST(source_ips_take_turns)
{
    static const char *const ways[] = {"-c 8 -n 80",
                                       "-c 8 -n 80 -t 2",
                                       "-c 2 -n 40 --close",
                                       "-c 8 -n 40 -R 1000 --close",
                                       "-c 4 -n 80 --calls 4 -b {i}",
                                       "--conn-rate 1000 --calls 2 -n 40"};
    fsi_sockaddr fourth;
    fsi_sockaddr_v4(&fourth, 0x7f000004u, 0);
    int probe = sock_listen_at(&fourth, 1);
    if (probe < 0) SKIP("127.0.0.4 is not this machine's");
    os_close(probe);
    for (uint32_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        uint32_t seen[4] = {0, 0, 0, 0}, most = 0, least = UINT32_MAX;
        ROW("%s", ways[i]);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("--source-ips 4 %s %s", ways[i], h->url));
        host_stop(h);
        flawless();
        for (uint32_t k = 0; k < h->visit_count; k++) {
            uint32_t which = h->visits[k]->peer - 0x7f000001u;
            if (!h->visits[k]->bytes) continue;
            CHECK(which < 4);
            if (which < 4) seen[which]++;
        }
        for (uint32_t k = 0; k < 4; k++) {
            if (seen[k] > most) most = seen[k];
            if (seen[k] < least) least = seen[k];
        }
        CHECK(least > 0 && most <= 3 * least);
        host_free(h);
    }
}

TEST(rst_is_what_the_server_sees)
{
    if (!os_tells_resets()) SKIP("Wine ends a connection before it resets it");
    static const char *const ways[] = {"-n 6 -c 3", "-n 6 -c 3 --rst", "-n 6 -c 2 --close", "-n 6 -c 2 --close --rst",
                                       "-d 30ms -c 2 --rst"};
    for (uint32_t i = 0; i < 5; i++) {
        ROW("%s", ways[i]);
        host *h = host_new();
        h->number = 1;
        REQUIRE(host_start(h, i == 4 ? serve_slowly : serve_answers, answer_ok));
        CHECK(load("%s %s", ways[i], h->url));
        host_stop(h);
        flawless();
        for (uint32_t k = 0; k < h->visit_count; k++) {
            if (!h->visits[k]->bytes || h->visits[k]->how == ENDING_NONE) continue; // none: sending had failed already
            CHECK_EQ(h->visits[k]->how, i & 1 || i == 4 ? ENDING_RESET : ENDING_CLOSED);
        }
        host_free(h);
    }
}

// ---- what is sent

// Goal: every {i} is another number, and the length fits the body, or the server would lose its place.
TEST(templates_are_filled)
{
    static const char *const ways[] = {"-c 1",         "-c 4 -t 2",         "-c 2 --pipeline 5",
                                       "-c 2 --close", "-R 2000 -c 4 -t 2", "--conn-rate 500 --calls 3"};
    for (uint32_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        uint8_t seen[1000] = {0};
        uint32_t twice = 0, count = 0;
        ROW("%s", ways[way]);
        host *h = host_new();
        h->keeps = true;
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("-n 150 %s -b {\"id\":{i},\"x\":{rand:8-12}} %s/{i}?{rand:3-4}", ways[way], h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 150);
        for (uint32_t i = 0; i < h->visit_count; i++) {
            const char *at = h->visits[i]->log.ptr;
            for (unsigned target, id, x, y; at && *at; at = strchr(at, '\n') + 1, count++) {
                if (sscanf(at, "/%u?%u {\"id\":%u,\"x\":%u}\n", &target, &y, &id, &x) != 4) {
                    CHECK_STR(at, "/I?Y {\"id\":I,\"x\":X}");
                    break;
                }
                CHECK_EQ(target, id);
                CHECK((y == 3 || y == 4) && x >= 8 && x <= 12);
                if (id < 1000) twice += seen[id]++ > 0;
            }
        }
        CHECK_EQ(count, 150);
        CHECK_EQ(twice, 0);
        CHECK_EQ(result.bytes_out, host_bytes(h));
        host_free(h);
    }
}

// Goal: bodies that no socket takes at once.
TEST(large_bodies_are_sent_in_pieces)
{
    static char body[200001];
    static const char *const ways[] = {"-c 2", "-c 2 --pipeline 3", "-c 2 --close", "-R 500 -c 3"};
    for (size_t i = 0; i < sizeof body - 1; i++) body[i] = (char)('a' + i % 26);
    for (uint32_t way = 0; way < 8; way++) {
        ROW("%s %s", ways[way / 2], way & 1 ? "{i}" : "");
        host *h = host_new();
        h->number = 3;
        REQUIRE(host_start(h, way / 2 == 1 ? serve_batches : serve_answers, answer_ok));
        CHECK(load("-n 30 -t 1 %s -b %s%s %s", way / 2 == 1 ? "-c 1 --pipeline 3" : ways[way / 2], way & 1 ? "{i}" : "",
                   body, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 30);
        CHECK_EQ(host_bytes(h), result.bytes_out);
        host_free(h);
    }
}

// ---- what is expected

TEST(statuses_are_judged)
{
    static const struct {
        const char *line, *options;
        bool good;
    } rows[] = {{"200 OK", "", true},
                {"299 x", "", true},
                {"399 x", "", true},
                {"400 x", "", false},
                {"404 x", "", false},
                {"599 x", "", false},
                {"404 x", "--expect-status 404", true},
                {"200 OK", "--expect-status 404", false},
                {"503 x", "--expect-status 200,5xx", true},
                {"200 OK", "--expect-status 200,5xx", true},
                {"201 OK", "--expect-status 200,5xx", false}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char answer[100];
        ROW("%s %s", rows[i].line, rows[i].options);
        (void)snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 1\r\n\r\nx", rows[i].line);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer));
        CHECK(load("-n 8 -c 2 %s %s", rows[i].options, h->url));
        host_stop(h);
        CHECK_EQ(result.done, rows[i].good ? 8 : 0);
        CHECK_EQ(result.failed[BENCH_STATUS], rows[i].good ? 0 : 8);
        CHECK_EQ(result.statuses[atoi(rows[i].line)], 8);
        CHECK_EQ(result.conns_opened, 2);
        host_free(h);
    }
}

TEST(bodies_are_judged)
{
    static const struct {
        const char *want;
        bool good;
    } rows[] = {{"hello", true}, {"h", true}, {"llo", true}, {"hellos", false}, {"hel0", false}, {"Hello", false}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].want);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answer_ok));
        CHECK(load("-n 8 -c 2 --pipeline 2 --expect-body %s %s", rows[i].want, h->url));
        host_stop(h);
        CHECK_EQ(result.done, rows[i].good ? 8 : 0);
        CHECK_EQ(result.failed[BENCH_BODY], rows[i].good ? 0 : 8);
        CHECK_EQ(result.events[BENCH_BODY], 0);
        host_free(h);
    }
}

// ---- the text that is expected, and what is left to send

// Goal: where the text is found does not depend on how it is cut: over two and three receives, plain and chunked, with
// beginnings of itself before it.
TEST(expected_text_ignores_cuts)
{
    static const struct {
        const char *want, *body;
        bool good;
    } rows[] = {
        {"abcabd", "xabcabcabdy", true}, {"aab", "aaaab", true}, {"abab", "abaabab", true},        {"aa", "aba", false},
        {"abab", "abaabaa", false},      {"x", "yy", false},     {"aabaaaba", "aabaabaaaba", true}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint32_t chunked = 0; chunked < 2; chunked++) {
            char bytes[300];
            size_t len = strlen(rows[i].body), half = len / 2;
            if (chunked)
                (void)snprintf(
                    bytes, sizeof bytes,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%.*s\r\n%zx\r\n%s\r\n0\r\n\r\n", half,
                    (int)half, rows[i].body, len - half, rows[i].body + half);
            else
                (void)snprintf(bytes, sizeof bytes, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", len,
                               rows[i].body);
            size_t all = strlen(bytes), head = (size_t)(strstr(bytes, "\r\n\r\n") - bytes);
            bench_thread *thread = bare_thread(0, 1);
            REQUIRE(thread && bench_expect(&bare_plan, rows[i].want));
            for (size_t a = head; a <= all; a++) {
                for (size_t b = a; b <= all; b++) {
                    ROW("%s in %s chunked=%u cut at %zu, %zu", rows[i].want, rows[i].body, chunked, a, b);
                    uint64_t done = thread->tally.done, failed = thread->tally.failed[BENCH_BODY];
                    bare_ask(thread, 1);
                    bare_feed(thread, bytes, a);
                    bare_feed(thread, bytes + a, b - a);
                    bare_feed(thread, bytes + b, all - b);
                    CHECK_EQ(thread->tally.done - done, rows[i].good);
                    CHECK_EQ(thread->tally.failed[BENCH_BODY] - failed, !rows[i].good);
                    REQUIRE(thread->conns[0].state == BENCH_UP);
                }
            }
            bare_free(thread);
        }
    }
}

static uint64_t dice_state = 1;

static uint64_t dice(uint64_t below) // splitmix64
{
    uint64_t z = dice_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

// Goal: as strstr finds it.
TEST(expected_text_is_found_as_strstr_does)
{
    static bench_thread thread;
    bench_conn conn;
    thread.plan = &bare_plan;
    for (uint32_t round = 0; round < 3000; round++) {
        char want[12] = "", body[60] = "";
        size_t want_len = 1 + (size_t)dice(6), len = (size_t)dice(50);
        for (size_t i = 0; i < want_len; i++) want[i] = (char)('a' + dice(2));
        for (size_t i = 0; i < len; i++) body[i] = (char)('a' + dice(2));
        memset(&bare_plan, 0, sizeof bare_plan);
        memset(&conn, 0, sizeof conn);
        REQUIRE(bench_expect(&bare_plan, want));
        for (size_t at = 0, step; at < len; at += step) {
            step = 1 + (size_t)dice(9);
            if (step > len - at) step = len - at;
            bench_body(&thread, &conn, body + at, step);
        }
        ROW("%s in %s", want, body);
        CHECK_EQ(conn.match == want_len, strstr(body, want) != NULL);
        CHECK_EQ(conn.body_bytes, len);
        free(bare_plan.expect_back);
    }
}

// Goal: what was sent goes out of memory although there is always something left to send.
TEST(sent_requests_leave_memory)
{
    bench_thread *thread = bare_thread(0, 2);
    REQUIRE(thread != NULL);
    bench_conn *conn = &thread->conns[0];
    bench_stamp stamp;
    memset(&bare_request, 0, sizeof bare_request);
    for (int i = 0; i < 1000; i++) bench_text_str(&bare_request.bytes, "x");
    bare_request.holes[0].at = bare_request.bytes.len;
    bare_request.hole_count = 1;
    bare_plan.alike = false;
    for (uint64_t i = 0; i < 2000; i++) {
        char want[24];
        bench_begin(thread, conn, thread->now_ns);
        REQUIRE(bench_make(thread, conn));
        fsi_buf out = bench_next_bytes(&bare_plan, conn);
        CHECK_EQ(out.len, conn->out_left);
        (void)snprintf(want, sizeof want, "x%llu", (unsigned long long)i);
        CHECK(out.len > strlen(want) && memcmp(out.ptr + out.len - strlen(want), want, strlen(want)) == 0);
        conn->out_left = 1 + i % 900; // the rest of it goes with the next
        if (conn->in_flight == 2) (void)bench_pop(thread, conn, &stamp);
    }
    CHECK(conn->out.cap < 20000);
    bench_text_free(&bare_request.bytes);
    memset(&bare_request, 0, sizeof bare_request);
    bare_free(thread);
}

// ---- what goes wrong

static void serve_then_end(visit *v) // the answer, whatever it is worth, and the end
{
    if (visit_request(v) && visit_answer(v)) visit_end(v);
}

// Goal: every way in which an answer can be none has its kind, once for each request; nothing hangs.
TEST(bad_answers_have_their_kinds)
{
    static char endless[80000];
    static const struct {
        const char *name, *answer;
        bench_kind kind;
    } rows[] = {
        {"no byte", "", BENCH_CLOSED},
        {"half a status line", "HTTP/1.1 20", BENCH_CLOSED},
        {"half a head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", BENCH_CLOSED},
        {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", BENCH_CLOSED},
        {"no body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", BENCH_CLOSED},
        {"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", BENCH_CLOSED},
        {"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", BENCH_CLOSED},
        {"only 100", "HTTP/1.1 100 Continue\r\n\r\n", BENCH_CLOSED},
        {"SSH", "SSH-2.0-OpenSSH_9.6\r\n", BENCH_BAD},
        {"zeros", "HTTP/1.1 000 OK\r\n\r\n", BENCH_BAD},
        {"status 600", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", BENCH_BAD},
        {"status 999", "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", BENCH_BAD},
        {"status 101", "HTTP/1.1 101 Switching Protocols\r\n\r\n", BENCH_BAD},
        {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", BENCH_BAD},
        {"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", BENCH_BAD},
        {"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", BENCH_BAD},
        {"endless head", endless, BENCH_BAD},
    };
    (void)snprintf(endless, sizeof endless, "HTTP/1.1 200 OK\r\n");
    for (size_t at = strlen(endless); at + 20 < sizeof endless; at += 12) memcpy(endless + at, "Field: abc\r\n", 12);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint32_t way = 0; way < 2; way++) {
            ROW("%s%s", rows[i].name, way ? " --close" : "");
            host *h = host_new();
            REQUIRE(host_start(h, serve_then_end, rows[i].answer));
            CHECK(load("-n 6 -c 2 %s %s", way ? "--close" : "", h->url));
            host_stop(h);
            CHECK_EQ(result.done, 0);
            CHECK_EQ(result.failed[rows[i].kind], 6);
            CHECK_EQ(result.events[rows[i].kind], 6);
            CHECK_EQ(result.response.count, 0);
            CHECK_EQ(result.first_error[0] != 0, rows[i].kind == BENCH_BAD);
            host_free(h);
        }
    }
}

TEST(resets_have_their_kind)
{
    if (!os_tells_resets()) SKIP("Wine ends a connection before it resets it");
    bench_thread *thread = bare_thread(1, 1);
    REQUIRE(thread != NULL);
    bare_feed(thread, "HTTP/1.1 200 OK\r\n\r\nup to the end", 32);
    bench_end_of_stream(thread, &thread->conns[0], FSI_FAILED); // a reset is no end
    CHECK_EQ(thread->tally.failed[BENCH_RESET], 1);
    CHECK_EQ(thread->tally.done, 0);
    bare_free(thread);
    host *h = host_new();
    REQUIRE(host_start(h, serve_and_reset, ""));
    CHECK(load("-n 10 -c 2 %s", h->url));
    host_stop(h);
    CHECK_EQ(result.failed[BENCH_RESET], 10);
    CHECK_EQ(result.events[BENCH_RESET], 10);
    host_free(h);
}

static void serve_early(visit *v) // answers the first bytes, and nothing after them
{
    (void)os_option(v->fd, SOL_SOCKET, SO_RCVBUF, 4096);
    if (!visit_more(v) || !visit_answer(v)) return;
    nap(50); // or it might be sent before the answer is looked at
    while (visit_more(v)) v->in.len = 0;
}

// Goal: a good answer that comes before its request was sent is none, and nothing else can be asked on that connection.
TEST(answered_before_it_was_sent)
{
    static char body[1 << 16];
    char path[256];
    FILE *file = fopen(os_temp_path(path, sizeof path, "body"), "wb");
    REQUIRE(file != NULL);
    for (int i = 0; i < 512; i++) CHECK(fwrite(body, sizeof body, 1, file) == 1); // more than sockets hold
    CHECK(fclose(file) == 0);
    host *h = host_new();
    REQUIRE(host_start(h, serve_early, answer_ok));
    CHECK(load("-n 4 -c 1 -f %s %s", path, h->url));
    host_stop(h);
    (void)remove(path);
    CHECK_EQ(result.failed[BENCH_BAD], 4);
    CHECK_EQ(result.events[BENCH_BAD], 4);
    CHECK_STR(result.first_error, "an answer before its request was sent");
    CHECK_EQ(host_used(h), 4);
    CHECK(host_bytes(h) < result.bytes_out);
    host_free(h);
}

// Goal: a reset while much is still to be sent ends the request once, as a reset or as a write that failed.
static void serve_reset_early(visit *v)
{
    if (visit_more(v)) visit_close(v, true);
}

TEST(reset_while_sending)
{
    if (!os_tells_resets()) SKIP("Wine ends a connection before it resets it");
    static char body[250001];
    memset(body, 'x', sizeof body - 1);
    host *h = host_new();
    REQUIRE(host_start(h, serve_reset_early, ""));
    CHECK(load("-n 10 -c 2 -b %s %s", body, h->url));
    host_stop(h);
    CHECK_EQ(result.failed[BENCH_RESET] + result.failed[BENCH_WRITE], 10);
    host_free(h);
}

// Goal: a write that fails before the reader was told is of kind write, and ends every request in flight once.
TEST(failed_writes_have_their_kind)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_and_reset, ""));
    bench_thread *thread = bare_thread(0, 2);
    REQUIRE(thread != NULL);
    bench_conn *conn = &thread->conns[0];
    static char request[] = "GET / HTTP/1.1\r\n\r\n";
    bare_plan.batch = request;
    bare_plan.batch_len = bare_plan.request_len = sizeof request - 1;
    bare_plan.main_io = &thread->io;
    fsi_sockaddr_v4(&bare_target.address, 0x7f000001u, (uint16_t)atoi(strchr(h->url, ':') + 1));
    thread->quota = 1;
    bench_connect(thread, conn);
    while (conn->state == BENCH_CONNECTING) {
        (void)fsi_io_wait(&thread->io, 1000000);
        fsi_io_dispatch(&thread->io);
    }
    CHECK_EQ(conn->in_flight, 1);
    while (!(os_poll(conn->chan.fd, OS_READ, UINT32_MAX) & OS_CUT)) continue;
    thread->quota = 1;
    bench_refill(thread, conn);
    CHECK(conn->write_failed);
    CHECK_EQ(conn->in_flight, 2);
    while (conn->state == BENCH_UP) {
        (void)fsi_io_wait(&thread->io, 1000000);
        fsi_io_dispatch(&thread->io);
    }
    CHECK_EQ(thread->tally.failed[BENCH_WRITE], 2);
    CHECK_EQ(thread->tally.events[BENCH_WRITE], 2);
    CHECK_EQ(thread->tally.due, 2);
    CHECK_EQ(conn->in_flight, 0);
    host_stop(h);
    host_free(h);
    bare_free(thread);
}

TEST(system_errors_have_their_kinds)
{
    CHECK_EQ(bench_connect_kind(OS_E(ECONNREFUSED)), BENCH_REFUSED);
    CHECK_EQ(bench_connect_kind(OS_E(ETIMEDOUT)), BENCH_CONNECT_TIMEOUT);
    CHECK_EQ(bench_connect_kind(OS_E(EADDRNOTAVAIL)), BENCH_NO_PORTS);
    CHECK_EQ(bench_connect_kind(OS_E(EADDRINUSE)), BENCH_NO_PORTS);
    CHECK_EQ(bench_connect_kind(OS_E(EMFILE)), BENCH_NO_DESCRIPTORS);
    CHECK_EQ(bench_connect_kind(OS_E(ENFILE)), BENCH_NO_DESCRIPTORS);
    CHECK_EQ(bench_connect_kind(OS_E(ECONNRESET)), BENCH_RESET);
    CHECK_EQ(bench_connect_kind(OS_E(ENETUNREACH)), BENCH_UNREACHABLE);
    CHECK_EQ(bench_connect_kind(OS_E(EHOSTUNREACH)), BENCH_UNREACHABLE);
}

// Goal: without descriptors connections fail by that name, and the run ends in time.
TEST(no_descriptors_left)
{
    static const char *const ways[] = {"-d 150ms -c 8", "-d 150ms -c 8 --close", "-d 150ms -c 8 -R 400 --close"};
    if (!os_descriptors_limit(os_descriptors_max())) SKIP("no limit of descriptors here");
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t before = os_descriptors_max();
        int held[2048], count = 0, probe;
        fsi_io queues[2];
        ROW("%s", ways[i]);
        host *h = host_new();
        h->number = 50;
        REQUIRE(host_start(h, serve_slowly, answer_ok));
        REQUIRE(os_descriptors_limit(before < 200 ? before : 200)); // above what bench_descriptors wants
        REQUIRE(fsi_io_init(&queues[0], NULL) && fsi_io_init(&queues[1], NULL));
        while (count < 2048 && (probe = os_descriptor_take()) >= 0) held[count++] = probe;
        for (int k = 0; k < 2; k++) fsi_io_free(&queues[k]); // as many are left as its own take, on this system
        for (int k = 0; k < 5 && count; k++) os_descriptor_give(held[--count]); // for some of its connections
        bool fine = load("%s -t 1 %s", ways[i], h->url);
        while (count) os_descriptor_give(held[--count]);
        REQUIRE(os_descriptors_limit(before));
        host_stop(h);
        CHECK(fine);
        CHECK(result.events[BENCH_NO_DESCRIPTORS] > 0);
        CHECK(i == 0 || result.failed[BENCH_NO_DESCRIPTORS] > 0);
        CHECK(i > 0 || result.conns_lost > 0);
        host_free(h);
    }
}

TEST(refused_from_the_beginning)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_answers, answer_ok));
    host_stop(h); // now nobody listens there
    CHECK(!load("-n 10 -c 2 %s", h->url));
    char name[] = "bench", quiet[] = "-q", *words[] = {name, quiet, h->url, NULL};
    CHECK_EQ(bench_main(3, words), BENCH_EXIT_USAGE);
    host_free(h);
}

// Goal: a server that goes away ends nothing but what it owed; refused is what comes then. No way to hang.
TEST(server_gone_in_mid_run)
{
    static const struct {
        const char *options;
        bool requests; // connecting is a part of them, so that they fail
    } rows[] = {{"-d 300ms -c 3", false},
                {"-d 300ms -c 3 --close", true},
                {"-d 300ms -c 3 -R 1000", false},
                {"-d 300ms -c 3 -R 1000 --close", true},
                {"-d 300ms --conn-rate 100 --calls 3", true},
                {"-d 300ms -c 3 --pipeline 4", false},
                {"-n 1000000 -c 3", false},
                {"-n 1000000 -c 3 -t 2 -R 1000 --close", true}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].options);
        host *h = host_new();
        h->number = 10;
        REQUIRE(host_start(h, serve_and_leave, answer_ok));
        CHECK(load("%s --timeout 100ms %s", rows[i].options, h->url));
        host_stop(h);
        CHECK(result.done >= 5);
        CHECK(result.events[BENCH_REFUSED] > 0);
        CHECK_EQ(result.failed[BENCH_REFUSED] > 0, rows[i].requests);
        CHECK(rows[i].requests || result.conns_lost == 3);
        CHECK(strncmp(result.first_error, "connect: ", 9) == 0);
        host_free(h);
    }
}

// Goal: who never answers costs timeouts, each counted once and taken for "at least so long", and the run ends by
// itself.
TEST(never_an_answer)
{
    static const char *const ways[] = {"-d 150ms -c 3",       "-d 150ms -c 3 --close",   "-d 150ms -c 2 --pipeline 3",
                                       "-d 150ms -c 5 -R 50", "-d 150ms --conn-rate 50", "-n 6 -c 2",
                                       "-d 150ms -c 2 --echo"};
    for (uint32_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        ROW("%s", ways[i]);
        host *h = host_new();
        REQUIRE(host_start(h, serve_nothing, ""));
        CHECK(load("%s --timeout 60ms %s%s", ways[i], strstr(ways[i], "echo") ? "tcp://" : "", h->url));
        host_stop(h);
        CHECK_EQ(result.done, 0);
        CHECK(result.failed[BENCH_TIMEOUT] > 0);
        CHECK_EQ(result.failed[BENCH_TIMEOUT], bench_errors(&result));
        CHECK_EQ(result.events[BENCH_TIMEOUT], result.failed[BENCH_TIMEOUT]);
        CHECK(result.censored.max >= 60000000);
        // Where everything is slow one may not get up before the end.
        CHECK(result.conns_lost + result.conns_most <= result.setup.connections);
        bool beyond;
        CHECK_EQ(bench_quantile(&result, 0.5, &beyond), result.censored.max);
        CHECK(beyond);
        if (options.requests) CHECK_EQ(result.failed[BENCH_TIMEOUT], 6);
        host_free(h);
    }
}

static void serve_first_slowly(visit *v) // the first request waits for host->number ms, the rest does not
{
    if (!visit_request(v)) return;
    if (fsi_add32(&v->host->served, 1) == 0) nap(v->host->number);
    do
        if (!visit_send(v, v->host->answer, v->host->answer_len)) return;
    while (visit_request(v));
}

// Goal: an answer that comes after its request was given up is nobody's answer.
TEST(late_answers_count_for_nobody)
{
    host *h = host_new();
    h->number = 150;
    REQUIRE(host_start(h, serve_first_slowly, answer_ok));
    CHECK(load("-n 50 -c 1 --timeout 50ms %s", h->url));
    host_stop(h);
    CHECK(result.failed[BENCH_TIMEOUT] >= 1); // a busy machine may let others time out too
    CHECK_EQ(result.done + result.failed[BENCH_TIMEOUT], 50);
    host_free(h);
}

// Whether connecting hangs here where a backlog is full.
static bool backlog_can_fill(void)
{
    fsi_sockaddr at;
    int listener = sock_listen(&at, 1), fds[6], waiting = 0;
    for (int i = 0; i < 6; i++) {
        fds[i] = os_socket(AF_INET);
        os_block(fds[i], false);
        (void)os_connect(fds[i], &at.storage, (size_t)at.len);
    }
    for (int i = 0; i < 6; i++) {
        waiting += os_poll(fds[i], OS_WRITE, 20) == 0;
        os_close(fds[i]);
    }
    os_close(listener);
    return waiting > 0;
}

// Goal: where the backlog is full, those that cannot connect are known by that name.
TEST(connect_timeouts_have_their_kind)
{
    fsi_sockaddr at;
    char where[64];
    if (!backlog_can_fill()) SKIP("this system takes more than its backlog");
    int fd = sock_listen(&at, 1);
    REQUIRE(fd >= 0);
    (void)fsi_sockaddr_text(&at, where, sizeof where);
    CHECK(load("-d 400ms -c 6 --timeout 100ms %s", where)); // one place is bench_reach's, one is left
    os_close(fd);
    CHECK(result.events[BENCH_CONNECT_TIMEOUT] > 0);
    CHECK_EQ(result.done, 0);
    CHECK(result.failed[BENCH_TIMEOUT] > 0);
    CHECK(result.conns_lost > 0);
    CHECK_EQ(bench_errors(&result), result.failed[BENCH_TIMEOUT]);
}

// Goal: done, plus an error of kind read, then a reconnect. It is an error of the next request only where that was
// sent.
TEST(unannounced_close_after_an_answer)
{
    static const char *const ways[] = {"-c 1", "-c 3", "-c 2 -R 1000"};
    for (uint32_t i = 0; i < 3; i++) {
        ROW("%s", ways[i]);
        host *h = host_new();
        h->number = 1;
        REQUIRE(host_start(h, serve_some_and_end, answer_ok));
        CHECK(load("-n 40 -t 1 %s %s", ways[i], h->url));
        host_stop(h);
        CHECK_EQ(result.done + result.failed[BENCH_CLOSED], 40);
        CHECK_EQ(result.done, host_used(h));
        CHECK_EQ(result.events[BENCH_CLOSED], bench_words_of(result.events).read);
        CHECK(result.events[BENCH_CLOSED] <= result.done && result.events[BENCH_CLOSED] + 3 >= result.done);
        CHECK_EQ(result.conns_lost, 0);
        CHECK_EQ(result.kept, result.done);
        host_free(h);
    }
}

TEST(announced_close_is_no_error)
{
    static const char chunked[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "2\r\nab\r\n0\r\n\r\n";
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
                                          "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\n\r\nab",
                                          chunked};
    static const char *const ways[] = {"-c 1", "-c 3 -t 2", "-c 2 -R 1000", "-c 2 --close", "-c 2 --calls 9"};
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t way = 0; way < 5; way++) {
            ROW("%u %s", i, ways[way]);
            host *h = host_new();
            h->number = 1;
            REQUIRE(host_start(h, serve_some_and_end, answers[i]));
            CHECK(load("-n 24 %s %s", ways[way], h->url));
            host_stop(h);
            flawless();
            CHECK_EQ(result.done, 24);
            CHECK_EQ(host_used(h), 24);
            CHECK_EQ(result.kept, 0);
            CHECK_EQ(result.bytes_body, 48);
            CHECK_EQ(result.other_length, 0);
            host_free(h);
        }
    }
}

static void serve_half_then_whole(visit *v) // every second connection breaks in the midst of a body
{
    if (!visit_request(v)) return;
    bool half = fsi_add32(&v->host->served, 1) % 2 == 0;
    if (visit_send(v, v->host->answer, v->host->answer_len - (half ? 3 : 0))) visit_end(v);
}

// Goal: what came of a body that broke off is no part of the next one.
TEST(broken_bodies_are_forgotten)
{
    host *h = host_new();
    REQUIRE(
        host_start(h, serve_half_then_whole, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"));
    CHECK(load("-n 20 -c 1 --expect-body hello %s", h->url));
    host_stop(h);
    CHECK_EQ(result.done, 10);
    CHECK_EQ(result.failed[BENCH_CLOSED], 10);
    CHECK_EQ(result.bytes_body, 50);
    CHECK_EQ(result.first_length, 5);
    CHECK_EQ(result.other_length, 0);
    host_free(h);
}

TEST(answers_without_a_body)
{
    static const struct {
        const char *options, *answer;
    } rows[] = {{"-m HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n"},
                {"-m HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
                {"-m HEAD", "HTTP/1.1 200 OK\r\n\r\n"},
                {"", "HTTP/1.1 204 No Content\r\n\r\n"},
                {"", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
                {"", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                {"", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 x\r\n\r\n"}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%u %s", i, rows[i].options);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, rows[i].answer));
        CHECK(load("-n 40 -c 2 --pipeline 3 %s %s", rows[i].options, h->url));
        host_stop(h);
        flawless();
        CHECK_EQ(result.done, 40);
        CHECK_EQ(result.conns_opened, 2);
        CHECK_EQ(result.bytes_body, 0);
        CHECK_EQ(result.statuses[100] + result.statuses[103], 0);
        host_free(h);
    }
}

// Goal: bytes that nobody asked for are an error of the connection; the answer before them stays done.
TEST(bytes_after_the_end)
{
    static const char *const answers[] = {"HTTP/1.1 204 No Content\r\n\r\nbody",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx"};
    for (uint32_t i = 0; i < 3; i++) {
        ROW("%u", i);
        host *h = host_new();
        REQUIRE(host_start(h, serve_answers, answers[i]));
        CHECK(load("-n 20 -c 1 %s", h->url));
        host_stop(h);
        CHECK_EQ(result.done + result.failed[BENCH_BAD], 20);
        CHECK_EQ(result.done, fsi_load32(&h->served));
        CHECK_EQ(result.events[BENCH_BAD], result.done);
        CHECK_STR(result.first_error, "bytes after the end of an answer");
        host_free(h);
    }
}

static void serve_greeting(visit *v)
{
    if (visit_send(v, "hello\n", 6)) visit_end(v);
}

TEST(greetings_nobody_asked_for)
{
    host *h = host_new();
    REQUIRE(host_start(h, serve_greeting, ""));
    CHECK(load("-d 100ms -c 2 %s", h->url));
    host_stop(h);
    CHECK_EQ(result.done, 0);
    CHECK(result.events[BENCH_BAD] > 0);
    host_free(h);
}

#define BIG_BYTES 64000000u // several times what the memory may grow by

static void serve_big(visit *v)
{
    static char data[1 << 20];
    while (visit_request(v)) {
        if (!visit_answer(v)) return;
        for (uint64_t left = BIG_BYTES; left;) {
            size_t part = left < sizeof data ? (size_t)left : sizeof data;
            if (!visit_send(v, data, part)) return;
            left -= part;
        }
    }
}

// Goal: a body is passed over as it comes; its size is no matter of memory.
TEST(bodies_larger_than_memory)
{
    uint64_t before, after;
    host *h = host_new();
    char head[100];
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG_BYTES);
    REQUIRE(host_start(h, serve_big, head));
    CHECK(load("-n 1 -c 1 --timeout 30s -b x %s", h->url)); // what is touched once in any run is touched now
    before = os_memory_most();
    CHECK(load("-n 2 -c 2 --timeout 30s --expect-body x %s", h->url));
    after = os_memory_most();
    host_stop(h);
    CHECK_EQ(result.failed[BENCH_BODY], 2);
    CHECK_EQ(result.bytes_body, 2 * (uint64_t)BIG_BYTES);
    CHECK(before > 0 && after < before + (16u << 20));
    host_free(h);
}

// ---- quantiles

static void ended_after(uint64_t ns, uint64_t count)
{
    fsi_hist_add(&result.response, ns, count);
}

static void at_least(uint64_t ns, uint64_t count)
{
    fsi_hist_add(&result.censored, ns, count);
}

// Goal: the product-limit estimate, worked by hand. Ended: 1 2 4 6 9; at least: 3 5 7 8 10. Alive after 1: 9/10, 2:
// 8/10, 4: 8/10 x 6/7 = 0.6857, 6: x 4/5 = 0.5486, 9: x 1/2 = 0.2743. Then nothing is known.
TEST(quantile_by_hand)
{
    static const struct {
        double q;
        uint64_t value;
        bool beyond;
    } rows[] = {{0, 1, false},     {0.05, 1, false},  {0.1, 1, false},   {0.11, 2, false},  {0.2, 2, false},
                {0.21, 4, false},  {0.314, 4, false}, {0.315, 6, false}, {0.451, 6, false}, {0.452, 9, false},
                {0.725, 9, false}, {0.726, 10, true}, {0.99, 10, true},  {1, 10, true}};
    bench_result_init(&result);
    bool beyond;
    CHECK_EQ(bench_quantile(&result, 0.5, &beyond), 0);
    CHECK(!beyond);
    ended_after(1, 1), ended_after(2, 1), ended_after(4, 1), ended_after(6, 1), ended_after(9, 1);
    at_least(3, 1), at_least(5, 1), at_least(7, 1), at_least(8, 1), at_least(10, 1);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("q=%g", rows[i].q);
        CHECK_EQ(bench_quantile(&result, rows[i].q, &beyond), rows[i].value);
        CHECK_EQ(beyond, rows[i].beyond);
    }
    ROW("censored at the time of an end: it was at risk then");
    bench_result_init(&result);
    ended_after(5, 1), at_least(5, 1);
    CHECK_EQ(bench_quantile(&result, 0.5, &beyond), 5);
    CHECK(!beyond);
    CHECK_EQ(bench_quantile(&result, 0.51, &beyond), 5);
    CHECK(beyond);
    ROW("all censored");
    bench_result_init(&result);
    at_least(7, 3);
    CHECK_EQ(bench_quantile(&result, 0.01, &beyond), 7);
    CHECK(beyond);
    ROW("censored early: the rest is all that is known");
    bench_result_init(&result);
    at_least(1, 10), ended_after(50, 10);
    CHECK_EQ(bench_quantile(&result, 0.01, &beyond), 50);
    CHECK_EQ(bench_quantile(&result, 1, &beyond), 50);
    CHECK(!beyond);
    bench_result_init(&result);
}

static const double quantiles[] = {0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 1};
#define QUANTILES (sizeof quantiles / sizeof quantiles[0])

// Goal: nothing censored, nothing estimated: the plain percentile, at every count that is a multiple of a share, too.
TEST(quantile_of_what_all_ended_is_plain)
{
    static const uint32_t counts[] = {1, 2, 3, 4, 7, 10, 99, 100, 101, 1000, 9999, 10000, 100000, 300000};
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        bench_result_init(&result);
        for (uint32_t k = 0; k < counts[i]; k++) ended_after(dice(3) ? dice(2000) : dice(1000000000), 1);
        for (size_t k = 0; k < QUANTILES; k++) {
            bool beyond;
            ROW("count=%u q=%g", counts[i], quantiles[k]);
            uint64_t plain = quantiles[k] < 1 ? fsi_hist_at(&result.response, quantiles[k]) : result.response.max;
            CHECK_EQ(bench_quantile(&result, quantiles[k], &beyond), plain);
            CHECK(!beyond);
        }
    }
    bench_result_init(&result);
}

// Goal: as the definition says, one sample after the other, on exact cells; and it grows with q.
TEST(quantile_as_kaplan_and_meier_say)
{
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t gone[200] = {0}, cut[200] = {0}, count = 1 + (uint32_t)dice(round % 3 == 0 ? 5 : 2000);
        uint64_t most_gone = 0, most_cut = 0, before = 0;
        bool before_beyond = false;
        bench_result_init(&result);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t at = dice(200);
            if (dice(4) < round % 4) {
                cut[at]++, at_least(at, 1);
                if (at > most_cut) most_cut = at;
            } else {
                gone[at]++, ended_after(at, 1);
                if (at > most_gone) most_gone = at;
            }
        }
        for (size_t k = 0; k < QUANTILES; k++) {
            double alive = 1, risk = count;
            uint64_t want = most_cut > most_gone ? most_cut : most_gone;
            bool beyond = true, close_call = false, got_beyond;
            ROW("round=%u q=%g", round, quantiles[k]);
            for (uint32_t i = 0; i < 200 && beyond; i++) {
                if (gone[i]) {
                    alive *= 1 - gone[i] / risk;
                    double over = alive - (1 - quantiles[k]);
                    close_call |= over > -1e-9 && over < 1e-9 && over != 0;
                    if (alive <= 1 - quantiles[k]) want = i, beyond = false;
                }
                risk -= gone[i] + cut[i];
            }
            uint64_t got = bench_quantile(&result, quantiles[k], &got_beyond);
            if (!close_call) CHECK_EQ(got, want);
            if (!close_call) CHECK_EQ(got_beyond, beyond);
            CHECK(got >= before && got_beyond >= before_beyond);
            before = got;
            before_beyond = got_beyond;
        }
    }
    bench_result_init(&result);
}

// ---- the schedule and the series

TEST(schedule_is_linear)
{
    static const double rates[] = {0.1, 1, 3, 1000, 99999, 1000000};
    memset(&bare_plan, 0, sizeof bare_plan);
    bare_plan.start_ns = 123456789;
    for (uint32_t i = 0; i < 6; i++) {
        bare_plan.rate = rates[i];
        for (uint64_t n = 0; n < 2000000000; n = n * 3 / 2 + 1) {
            double want = (double)n / rates[i] * 1e9;
            ROW("rate=%g n=%llu", rates[i], (unsigned long long)n);
            if (want > 3.6e15) break; // 1000 hours
            double got = (double)(bench_due_of(&bare_plan, n) - bare_plan.start_ns);
            CHECK(got > want - 2 && got < want + 2);
            CHECK(bench_due_of(&bare_plan, n + 1) >= bench_due_of(&bare_plan, n));
        }
    }
}

// Goal: half as many in the ramp as at the full rate, no step where it ends, never backwards.
TEST(schedule_ramps_evenly)
{
    static const uint64_t ramps[] = {1000000, 250000000, 3000000000u, 60000000000u};
    memset(&bare_plan, 0, sizeof bare_plan);
    bare_plan.start_ns = 1000;
    for (uint32_t i = 0; i < 4; i++) {
        bare_plan.rate = 1000;
        bare_plan.ramp_ns = ramps[i];
        uint64_t before = 0, in_ramp = 0, longest = 0, end = bare_plan.start_ns + ramps[i];
        ROW("ramp=%llu", (unsigned long long)ramps[i]);
        for (uint64_t n = 0; n < 40000; n++) {
            uint64_t due = bench_due_of(&bare_plan, n);
            CHECK(due >= before && due >= bare_plan.start_ns);
            if (n == 0) CHECK_EQ(due, bare_plan.start_ns);
            in_ramp += due < end;
            if (due > end + 2000000) CHECK(due - before >= 999999 && due - before <= 1000001);
            if (n > 1 && due - before > longest) longest = due - before;
            if (n > 1 && before > bare_plan.start_ns + ramps[i] / 2 && due < end) CHECK(due - before <= 2100000);
            before = due;
        }
        uint64_t want = ramps[i] / 2000000;
        CHECK(in_ramp <= want + 1 && in_ramp + 1 >= want);
    }
}

// Goal: the threads' requests, put together, are the rate's: none twice, none left out, each with its own time.
TEST(threads_interleave)
{
    for (uint32_t threads = 1; threads <= 5; threads++) {
        static bench_thread thread;
        uint32_t count = 0, seen[200] = {0};
        memset(&bare_plan, 0, sizeof bare_plan);
        bare_plan.open = true;
        bare_plan.rate = 1000;
        bare_plan.thread_count = threads;
        bare_plan.deadline_ns = 200000000;
        ROW("threads=%u", threads);
        for (uint32_t i = 0; i < threads; i++) {
            memset(&thread, 0, sizeof thread);
            thread.plan = &bare_plan;
            thread.index = i;
            thread.running = true;
            thread.quota = UINT64_MAX;
            for (bench_schedule(&thread); thread.due_ns != UINT64_MAX; thread.arrival++, bench_schedule(&thread)) {
                CHECK_EQ(thread.due_ns % 1000000, 0);
                seen[thread.due_ns / 1000000]++;
                count++;
            }
        }
        CHECK_EQ(count, 200);
        for (uint32_t i = 0; i < 200; i++) CHECK_EQ(seen[i], 1);
    }
}

// A thread without connections that has yet to send its `arrival`-th request.
static void late_thread(bench_thread *thread, uint32_t index, uint64_t arrival, uint64_t quota)
{
    memset(thread, 0, sizeof *thread);
    thread->plan = &bare_plan;
    thread->index = index;
    thread->arrival = arrival;
    thread->quota = quota;
    thread->running = true;
    bench_tally_init(&thread->tally);
    bench_schedule(thread);
}

// What the thread has not sent, in the plain way.
static void unsent_one_by_one(bench_thread *thread, uint64_t end_ns, fsi_hist *out)
{
    fsi_hist_init(out);
    for (; thread->due_ns < end_ns; thread->arrival++, bench_schedule(thread)) {
        if (thread->due_ns < bare_plan.measure_ns) continue;
        fsi_hist_add(out, end_ns - thread->due_ns, 1);
        if (thread->quota != UINT64_MAX) thread->quota--;
    }
}

// Goal: what was never sent is counted by cells as it would be one by one: as many, in the same cells, from the least
// to the most.
TEST(unsent_by_cells)
{
    static const struct {
        double rate;
        uint64_t ramp_ns, warmup_ns, duration_ns, arrival, quota, end_ns; // end: after the start
        uint32_t threads;
    } rows[] = {
        {1000, 0, 0, 1000000000, 0, UINT64_MAX, 1000000000, 1},
        {1000, 0, 0, 1000000000, 999, UINT64_MAX, 1000000000, 1},  // one is left
        {1000, 0, 0, 1000000000, 1000, UINT64_MAX, 1000000000, 1}, // none
        {1000, 0, 0, 1000000000, 100, UINT64_MAX, 5000000000u, 3}, // ended after the deadline
        {1000, 0, 0, 1000000000, 100, UINT64_MAX, 250000001, 3},   // and before it
        {123456.7, 0, 0, 3000000000u, 7, UINT64_MAX, 3000000000u, 2},
        {50000000, 0, 0, 10000000, 0, UINT64_MAX, 10000000, 1}, // many in the last nanoseconds
        {3e9, 0, 0, 100000, 0, UINT64_MAX, 100000, 2},          // several in each
        {0.5, 0, 0, 60000000000u, 3, UINT64_MAX, 60000000000u, 1},
        {10000, 2000000000, 0, 3000000000u, 5, UINT64_MAX, 3000000000u, 4}, // with a ramp, and within it
        {10000, 2000000000, 0, 3000000000u, 5, UINT64_MAX, 1000000000u, 4},
        {10000, 0, 500000000, 1000000000, 17, UINT64_MAX, 1500000000, 2}, // a warm-up counts nowhere
        {10000, 0, 500000000, 1000000000, 17, UINT64_MAX, 400000000, 2},  // ended in it
        {10000, 0, 500000000, UINT64_MAX, 17, 300, 1500000000, 2},        // -n: no more than that
        {10000, 0, 0, UINT64_MAX, 17, 0, 1500000000, 2},
    };
    static bench_thread thread;
    static fsi_hist want;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint32_t index = 0; index < rows[i].threads; index++) {
            ROW("%zu, thread %u", i, index);
            memset(&bare_plan, 0, sizeof bare_plan);
            bare_plan.open = true;
            bare_plan.rate = rows[i].rate;
            bare_plan.thread_count = rows[i].threads;
            bare_plan.start_ns = 123456789;
            bare_plan.ramp_ns = rows[i].ramp_ns;
            bare_plan.measure_ns = bare_plan.start_ns + rows[i].warmup_ns;
            bool endless = rows[i].duration_ns == UINT64_MAX;
            bare_plan.deadline_ns = endless ? UINT64_MAX : bare_plan.measure_ns + rows[i].duration_ns;
            uint64_t end = bare_plan.start_ns + rows[i].end_ns;
            if (end > bare_plan.deadline_ns) end = bare_plan.deadline_ns;
            late_thread(&thread, index, rows[i].arrival, rows[i].quota);
            unsent_one_by_one(&thread, end, &want);
            late_thread(&thread, index, rows[i].arrival, rows[i].quota);
            thread.end_ns = bare_plan.start_ns + rows[i].end_ns;
            bench_finish_requests(&thread);
            const fsi_hist *got = &thread.tally.censored;
            CHECK_EQ(thread.tally.unsent, want.count);
            CHECK_EQ(thread.tally.due, want.count);
            CHECK_EQ(got->count, want.count);
            CHECK(memcmp(got->cells, want.cells, sizeof want.cells) == 0);
            CHECK(got->min == want.min && got->max == want.max);
            CHECK(bench_abs(got->sum - want.sum) <= want.sum * 1e-4);
            CHECK(bench_abs(got->sum2 - want.sum2) <= want.sum2 * 1e-4);
        }
    }
}

// Goal: a hundred million a second for ten minutes, none of them sent, are counted in no time.
TEST(unsent_at_any_rate)
{
    static bench_thread thread;
    memset(&bare_plan, 0, sizeof bare_plan);
    bare_plan.open = true;
    bare_plan.rate = 1e8;
    bare_plan.thread_count = 1;
    bare_plan.deadline_ns = 600000000000u;
    late_thread(&thread, 0, 0, UINT64_MAX);
    thread.end_ns = bare_plan.deadline_ns;
    bench_finish_requests(&thread);
    CHECK_EQ(thread.tally.unsent, 60000000000u);
    CHECK_EQ(thread.tally.censored.count, 60000000000u);
    CHECK_EQ(thread.tally.censored.max, 600000000000u);
    CHECK_EQ(thread.tally.censored.min, 10);
    uint64_t middle = fsi_hist_at(&thread.tally.censored, 0.5);
    CHECK(middle > 298000000000u && middle < 302000000000u);
}

// Goal: whatever the length of a run, no slot is lost, and each sum stands where its time says.
TEST(slots_halve_and_keep_their_sums)
{
    bench_thread *thread = bare_thread(0, 1);
    REQUIRE(thread != NULL);
    static uint32_t seconds[5000];
    uint64_t start = thread->now_ns, sum = 0, max = 0;
    bare_plan.measure_ns = start;
    bench_measure_from_now(thread);
    memset(seconds, 0, sizeof seconds);
    for (uint64_t at = 0; at < 4999; at += 1 + dice(dice(20) ? 3 : 700)) {
        bench_stamp stamp = {start + at * 1000000000u, 0, 0};
        thread->now_ns = stamp.due + dice(999999999);
        for (uint32_t kind = 0; kind < 3; kind++)
            bench_end(thread, &stamp, kind == 0 ? BENCH_KINDS : kind == 1 ? BENCH_TIMEOUT : BENCH_CLOSED);
        seconds[at]++, sum++;
        if (thread->now_ns - stamp.due > max) max = thread->now_ns - stamp.due;
        uint64_t length = thread->slot_ns / 1000000000u;
        REQUIRE(thread->slot < BENCH_SLOTS_MAX);
        CHECK_EQ(thread->slot, at / length);
        CHECK_EQ(thread->slot_end_ns, start + (at / length + 1) * thread->slot_ns);
    }
    uint64_t length = thread->slot_ns / 1000000000u, all = 0, most = 0;
    CHECK(length >= 8);
    for (uint64_t i = 0; i < BENCH_SLOTS_MAX; i++) {
        uint32_t want = 0, cells = 0;
        for (uint64_t k = i * length; k < (i + 1) * length && k < 5000; k++) want += seconds[k];
        const bench_slot_tally *slot = &thread->slots[i];
        for (uint32_t k = 0; k < FSI_HIST_CELLS >> BENCH_COARSE_SHIFT; k++) cells += slot->cells[k];
        ROW("slot=%u", (unsigned)i);
        CHECK_EQ(slot->done, want);
        CHECK_EQ(slot->errors, want);
        CHECK_EQ(slot->timeouts, want);
        CHECK_EQ(cells, want);
        all += slot->done;
        if (slot->max > most) most = slot->max;
    }
    CHECK_EQ(all, sum);
    CHECK_EQ(most, max);
    bare_free(thread);
}

// ---- a target whose delays are known

// Goal: the open loop recovers the delays that a target imposed, a freeze included: no request is faster than what was
// imposed on it, and those that fell due in the freeze waited for its end. The closed loop sees the freeze only once
// for each connection, and says so.
TEST(freeze_is_recovered)
{
    static bench_target target;
    bench_law law;
    bool beyond;
    memset(&target, 0, sizeof target);
    REQUIRE(bench_law_parse("exp:1ms,freeze:100ms/400ms", &law) == NULL);
    REQUIRE(bench_law_start(&law, &target));
    CHECK(load("-R 500 -n 400 -c 300 -t 2 http://127.0.0.1:%u/", target.port));
    bench_law_stop(&target);
    CHECK_EQ(result.done, 400);
    CHECK_EQ(target.imposed.count, 400);
    for (int q = 1; q <= 100; q++) { // the same 400 requests: order by order no sooner, within two cells
        ROW("%d %%", q);
        double found = (double)bench_quantile(&result, q / 100.0, &beyond);
        CHECK(found >= 0.985 * (double)fsi_hist_at(&target.imposed, q / 100.0));
    }
    CHECK(bench_quantile(&result, 0.85, &beyond) > 20000000); // due in the first 80 ms of the freeze: a fifth of all
}

TEST_MAIN(CASE(freeze_is_recovered), CASE(count_is_exact), CASE(duration_ends_it), CASE(pipeline_is_as_deep_as_asked),
          CASE(pipeline_goes_on_after_an_announced_close), CASE(close_opens_one_for_each),
          CASE(calls_are_counted_on_each_connection), CASE(answers_of_all_lengths_in_pieces), CASE(rate_is_exact),
          CASE(spin_stays_awake), CASE(rate_below_one_per_connection), CASE(rate_with_a_count),
          CASE(backlog_counts_from_when_it_was_due), CASE(rate_with_a_pipeline), CASE(rate_with_close),
          CASE(connections_at_a_rate), CASE(connections_at_a_rate_and_a_count), CASE(warmup_counts_nowhere),
          CASE(warmup_and_a_count), CASE(ramp_raises_the_rate), CASE(ramp_opens_one_after_the_other),
          CASE(echo_comes_back_whole), CASE(echo_that_is_none), CASE(urls_are_asked_in_turn),
          CASE(places_share_the_connections), CASE(unix_sockets), CASE(rst_is_what_the_server_sees),
          CASE(templates_are_filled), CASE(large_bodies_are_sent_in_pieces), CASE(statuses_are_judged),
          CASE(bodies_are_judged), CASE(expected_text_ignores_cuts), CASE(expected_text_is_found_as_strstr_does),
          CASE(bad_answers_have_their_kinds), CASE(resets_have_their_kind), CASE(answered_before_it_was_sent),
          CASE(reset_while_sending), CASE(failed_writes_have_their_kind), CASE(system_errors_have_their_kinds),
          CASE(no_descriptors_left), CASE(refused_from_the_beginning), CASE(server_gone_in_mid_run),
          CASE(never_an_answer), CASE(late_answers_count_for_nobody), CASE(connect_timeouts_have_their_kind),
          CASE(unannounced_close_after_an_answer), CASE(announced_close_is_no_error), CASE(answers_without_a_body),
          CASE(bytes_after_the_end), CASE(greetings_nobody_asked_for), CASE(bodies_larger_than_memory),
          CASE(quantile_by_hand), CASE(quantile_of_what_all_ended_is_plain), CASE(quantile_as_kaplan_and_meier_say),
          CASE(schedule_is_linear), CASE(schedule_ramps_evenly), CASE(threads_interleave), CASE(unsent_by_cells),
          CASE(unsent_at_any_rate), CASE(slots_halve_and_keep_their_sums), CASE(broken_bodies_are_forgotten),
          CASE(source_ips_take_turns), CASE(sent_requests_leave_memory), CASE(idle_threads_are_set_up_too),
          CASE(slow_rates_are_waited_for), CASE(more_places_than_connections_are_refused))
