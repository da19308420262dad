// bench --compare-models: the whole program, so that its servers are the real ones; what starvation is; and what
// measuring has found in the models of fastserve.h.
#include "test.h"
int program_main(int argc, char **argv);
#define main program_main
#include "../main.c"
#undef main
#include "host.h"

#define MODELS_WORDS 8

// Reads a command line. False: refused.
static bool read_words(bench_options *options, const char *const *words)
{
    static char copies[MODELS_WORDS + 1][64];
    static char name[] = "bench";
    char *argv[MODELS_WORDS + 2] = {name}, error[256];
    int argc = 1;
    for (; words[argc - 1]; argc++) {
        (void)snprintf(copies[argc], sizeof copies[argc], "%s", words[argc - 1]);
        argv[argc] = copies[argc];
    }
    return bench_parse(argc, argv, options, error, sizeof error);
}

// Goal: what it cannot mean is refused before anything runs.
TEST(models_refuses_what_it_cannot_mean)
{
    static const struct {
        const char *words[4]; // ended by a NULL
        const char *named;    // in what it says; NULL: fine
    } rows[] = {
        {{"--compare-models"}, NULL},
        {{"--compare-models=event", "-c", "7"}, NULL},
        {{"--compare-models", "http://127.0.0.1/"}, "no URL"},
        {{"--compare-models", "-R", "9"}, "-R"},
        {{"--compare-models", "--conn-rate", "9"}, "--conn-rate"},
        {{"--compare-models", "--vs", "127.0.0.1:1"}, "--vs"},
        {{"--compare-models", "--find-rate", "p99<5ms"}, "--find-rate"},
        {{"--compare-models", "--slo", "p99<5ms"}, "--slo"},
        {{"--compare-models", "--close"}, "--close"},
        {{"--compare-models", "--pipeline", "2"}, "--pipeline"},
        {{"--compare-models", "-n", "9"}, "-n"},
        {{"--compare-models", "-m", "PUT"}, "-m"},
        {{"--compare-models", "--html", "x"}, "--html"},
        {{"--compare-models", "--format", "ab"}, "--format"},
    };
    bench_options *options = (bench_options *)malloc(sizeof *options);
    REQUIRE(options);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s %s", rows[i].words[0], rows[i].words[1] ? rows[i].words[1] : "");
        CHECK(read_words(options, rows[i].words));
        const char *wrong = bench_models_clash(options);
        CHECK_EQ(wrong == NULL, rows[i].named == NULL);
        CHECK(!wrong || !rows[i].named || strstr(wrong, rows[i].named));
        bench_options_free(options);
    }
    free(options);
}

TEST(models_are_named)
{
    CHECK_EQ(bench_models_read(""), BENCH_MODELS_ALL);
    CHECK_EQ(bench_models_read("event"), BENCH_MODEL_BIT(EVENT));
    CHECK_EQ(bench_models_read("sync,pool-each,event"),
             BENCH_MODEL_BIT(EVENT) | BENCH_MODEL_BIT(POOL_EACH) | BENCH_MODEL_BIT(SYNC));
    CHECK_EQ(bench_models_read("pool-"), 0);
    CHECK_EQ(bench_models_read("event,"), 0);
    CHECK_EQ(bench_models_read(",event"), 0);
}

// Goal: a model that was asked for and is not in the block of a source log is named, with the reason; nobody else is.
TEST(models_missing_in_a_log_are_named)
{
    static const struct {
        uint32_t wanted, scene;
        const char *said;
    } rows[] = {
        {BENCH_MODELS_ALL, 0, NULL}, // what is not marked sleeps, as the legend says
        {BENCH_MODEL_BIT(EVENT) | BENCH_MODEL_BIT(SYNC), BENCH_SCENE_LOG2, NULL},
        {BENCH_MODEL_BIT(POOL), BENCH_SCENE_LOG5, NULL},
        {BENCH_MODELS_ALL, BENCH_SCENE_LOG5,
         "log 5: wrk2 -t12 -c400 -R1000, not run: unmarked (nothing sleeps here).\n"},
        {BENCH_MODEL_BIT(POOL_EACH) | BENCH_MODEL_BIT(EVENT), BENCH_SCENE_LOG2,
         "log 2: wrk -t4 -c100, not run: pool-each (that log's pool takes whole connections, as pool-conn does).\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bench_models models;
        ROW("row=%zu", i);
        memset(&models, 0, sizeof models);
        models.wanted = rows[i].wanted;
        bench_models_say_missing(&models, rows[i].scene);
        CHECK_EQ(models.said.ptr == NULL, rows[i].said == NULL);
        if (models.said.ptr && rows[i].said) CHECK_STR(models.said.ptr, rows[i].said);
        bench_text_free(&models.said);
    }
}

// ---- starvation

// A server as the logs' pools were: it serves its first connection for ever, and nobody else.
typedef struct starver {
    int listener;
    uint32_t port;
    fsi_thread thread;
} starver;

static void starver_main(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const starver *s = (const starver *)arg;
    char in[4096];
    int probe = os_accept(s->listener); // bench looks whether somebody is there
    if (probe >= 0) os_close(probe);
    int fd = os_accept(s->listener);
    while (fd >= 0 && os_recv(fd, in, sizeof in) > 0)
        if (!sock_say(fd, answer, sizeof answer - 1)) break;
    if (fd >= 0) os_close(fd);
}

static bool starver_start(starver *s)
{
    fsi_sockaddr at;
    s->listener = sock_listen(&at, 64);
    s->port = fsi_sockaddr_port(&at);
    return s->listener >= 0 && fsi_thread_start(&s->thread, starver_main, s, "starver");
}

// Goal: connections that never get an answer are counted, each once, and those that do are not.
TEST(starved_connections_are_counted)
{
    static const struct {
        const char *words[MODELS_WORDS + 1];
        uint64_t starved;
    } rows[] = {
        {{"-c", "1", "-t", "1", "-d", "200ms", "-q"}, 0},
        {{"-c", "5", "-t", "1", "-d", "200ms", "-q"}, 4},
        {{"-c", "6", "-t", "2", "-d", "200ms", "-q"}, 5},
        {{"-c", "5", "-t", "1", "-d", "600ms", "--timeout=200ms", "-q"}, 4},
        {{"-c", "5", "-t", "1", "-d", "200ms", "--warmup=100ms", "-q"}, 4},
    };
    bench_options *options = (bench_options *)malloc(sizeof *options);
    bench_result *result = (bench_result *)malloc(sizeof *result);
    REQUIRE(options && result);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        starver s;
        char url[64];
        const char *urls[] = {url};
        ROW("row=%zu", i);
        REQUIRE(starver_start(&s));
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", s.port);
        REQUIRE(read_words(options, rows[i].words));
        CHECK(bench_once(options, urls, 1, false, false, result));
        CHECK_EQ(result->conns_starved, rows[i].starved);
        CHECK(result->done > 0);
        bench_options_free(options);
        fsi_thread_join(&s.thread);
        os_close(s.listener);
    }
    free(options);
    free(result);
}

// ---- the whole comparison

// The text of a JSON file, which must be well formed to its end. NULL: it is not.
static char *read_json(FILE *file)
{
    size_t size = 1u << 20;
    char *text = (char *)malloc(size);
    bench_json json;
    if (!text) return NULL;
    rewind(file);
    size_t len = fread(text, 1, size - 1, file);
    text[len] = 0;
    memset(&json, 0, sizeof json);
    json.begin = json.at = text;
    json.end = text + len;
    if (bench_json_skip(&json, BENCH_JSON_DEPTH) && strspn(json.at, " \n") == (size_t)(json.end - json.at)) return text;
    free(text);
    return NULL;
}

static uint32_t count_of(const char *text, const char *what)
{
    uint32_t count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) count++;
    return count;
}

// Goal: a cell for every model and every kind of work, with all of its figures, without an error, in the JSON too.
TEST(models_measure_every_cell)
{
    const char *brief = os_is_wine() ? "-d400ms" : "-d150ms"; // a run in which somebody gets an answer
    const char *const words[] = {"--compare-models", "-c3", "-t1", "-w2", "--max-errors=50%",
                                 "--runs=1",         "-q",  brief, NULL};
    bench_models models;
    uint32_t cells = 0;
    bench_options *options = (bench_options *)malloc(sizeof *options);
    FILE *file = os_stream();
    REQUIRE(options && file && read_words(options, words));
    memset(&models, 0, sizeof models);
    models.options = options;
    models.wanted = BENCH_MODELS_ALL;
    models.round_count = options->runs;
    models.cell = (bench_options *)malloc(sizeof *models.cell);
    models.result = (bench_result *)malloc(sizeof *models.result);
    models.rounds = (bench_round *)calloc(BENCH_SCENES * BENCH_MODELS * 2, sizeof(bench_round));
    REQUIRE(models.cell && models.result && models.rounds);
    CHECK(bench_models_all(&models));
    CHECK(!models.errors);
    for (uint32_t scene = 0; scene < BENCH_SCENES; scene++)
        for (uint32_t i = 0; i < BENCH_MODELS; i++) {
            ROW("%s, %s", bench_scenes[scene].name, bench_model_defs[i].name);
            if (!bench_models_has(&models, scene, i)) continue;
            cells++;
            CHECK(bench_models_sum(&models, scene, i, BENCH_CELL_RATE) > 0); // a busy machine may miss a round
            CHECK(bench_models_most(&models, scene, i, BENCH_CELL_P50) > 0);
            CHECK(bench_models_least(&models, scene, i, BENCH_CELL_THREADS) >= 1);
            CHECK(bench_models_least(&models, scene, i, BENCH_CELL_MEMORY) > 10000);
            // Two of them end connections that pause while others wait, and a request may be on its way there then.
            if (i != BENCH_MODEL_POOL_CONN && i != BENCH_MODEL_SYNC)
                CHECK_EQ(bench_models_sum(&models, scene, i, BENCH_CELL_ERRORS), 0);
        }
    ROW("all");
    CHECK_EQ(cells, 6 * 6 + 2 + 4 + 2 * 6);
    CHECK_EQ(bench_models_most(&models, 0, BENCH_MODEL_SYNC, BENCH_CELL_THREADS), 1);
    CHECK_EQ(bench_models_most(&models, 0, BENCH_MODEL_POOL_CONN, BENCH_CELL_THREADS), 3);
    CHECK(bench_models_most(&models, 0, BENCH_MODEL_THREAD, BENCH_CELL_THREADS) >= 4);
    bench_models_json_write(file, &models);
    char *text = read_json(file);
    CHECK(text != NULL);
    if (text) {
        CHECK(strstr(text, "\"schema\": \"fastserve-models/1\"") != NULL);
        CHECK_EQ(count_of(text, "\"model\": "), cells);
        for (uint32_t i = 0; i < BENCH_CELLS; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "\"%s\": {", bench_cell_figure_names[i]);
            CHECK_EQ(count_of(text, name), cells);
        }
        CHECK(strstr(text, "Starved") != NULL);
    }
    free(text);
    fclose(file);
    free(models.cell);
    free(models.result);
    free(models.rounds);
    bench_text_free(&models.said);
    bench_options_free(options);
    free(options);
}

// Goal: the middle of the rounds, and when it is only a lower bound.
TEST(models_middle_of_rounds)
{
    static const struct {
        double values[3];
        uint32_t beyond[3];
        double middle;
        bool more;
    } rows[] = {
        {{3, 1, 2}, {0, 0, 0}, 2, false}, {{2, 2, 2}, {0, 0, 0}, 2, false}, {{3, 1, 2}, {1, 0, 0}, 2, false},
        {{3, 1, 2}, {0, 1, 0}, 2, true},  {{3, 1, 2}, {0, 0, 1}, 2, true},  {{1, 9, 1}, {0, 0, 0}, 1, false},
    };
    bench_models models;
    bench_round rounds[3];
    memset(&models, 0, sizeof models);
    models.rounds = rounds;
    models.round_count = 3;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("row=%zu", i);
        memset(rounds, 0, sizeof rounds);
        for (uint32_t k = 0; k < 3; k++) {
            rounds[k].figures[BENCH_CELL_P99] = rows[i].values[k];
            rounds[k].beyond = rows[i].beyond[k] << BENCH_CELL_P99;
        }
        CHECK_EQ(bench_models_middle(&models, 0, 0, BENCH_CELL_P99), rows[i].middle);
        CHECK_EQ(bench_models_beyond(&models, 0, 0, BENCH_CELL_P99), rows[i].more);
    }
}

// ---- what it has found

// Goal: threads that have ended serve again, however many connections come one after the other.
TEST(thread_model_uses_its_threads_again)
{
    static const char *const words[] = {"-c2", "-t1", "-n400", "--close", "-q", NULL};
    bench_options *options = (bench_options *)malloc(sizeof *options);
    bench_result *result = (bench_result *)malloc(sizeof *result);
    fsv_server_desc desc;
    bench_own own;
    const char *urls[] = {own.url};
    REQUIRE(options && result && read_words(options, words));
    memset(&desc, 0, sizeof desc);
    desc.model = FSV_MODEL_THREAD;
    REQUIRE(demo_create(&own.server, &desc) == FSV_OK && fsv_server_listen(own.server, "127.0.0.1:0") == FSV_OK &&
            fsv_server_start(own.server) == FSV_OK);
    (void)snprintf(own.url, sizeof own.url, "http://127.0.0.1:%u/", fsv_server_port(own.server, 0));
    CHECK(bench_once(options, urls, 1, true, false, result));
    CHECK_EQ(result->done, 400);
    CHECK(fsi_load32(&own.server->crew.count) < 200);
    bench_serve_end(&own);
    bench_options_free(options);
    free(options);
    free(result);
}

// Goal: while a connection waits for one that is idle, the loop sleeps; and then it is served.
TEST(sync_model_sleeps_while_others_wait)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    char in[512];
    fsv_server *server;
    fsv_server_desc desc;
    fsv_stats stats;
    memset(&desc, 0, sizeof desc);
    memset(&stats, 0, sizeof stats);
    desc.model = FSV_MODEL_SYNC;
    REQUIRE(demo_create(&server, &desc) == FSV_OK && fsv_server_listen(server, "127.0.0.1:0") == FSV_OK &&
            fsv_server_start(server) == FSV_OK);
    int idle = sock_dial(fsv_server_port(server, 0)), other = sock_dial(fsv_server_port(server, 0));
    REQUIRE(idle >= 0 && other >= 0);
    CHECK(sock_say(other, request, sizeof request - 1));
    CHECK(os_recv(other, in, sizeof in) > 12);
    CHECK(fsv_server_stats(server, UINT32_MAX, &stats) == FSV_OK);
    CHECK(stats.turns < 100); // it was 10,000 and more
    os_close(idle);
    os_close(other);
    CHECK(fsv_server_free(server) == FSV_OK);
}

// Blocks until nobody waits for the answer, or for GUARD_S.
static void on_wait_for_reset(fsv_request *request, void *user)
{
    char peer[64];
    uint32_t *seen = (uint32_t *)user;
    if (fsv_request_peer(request, peer, sizeof peer) > 0) fsi_store32(seen, 1);
    for (int i = 0; i < GUARD_S * 1000 && fsv_request_peer(request, peer, sizeof peer) != FSV_ERR_CLOSED; i++) nap(1);
    if (fsv_request_peer(request, peer, sizeof peer) == FSV_ERR_CLOSED) fsi_store32(seen, 2);
    fsv_respond_text(request, 200, "late");
}

// Goal: a handler that blocks can tell that its client has gone, whatever thread of whatever model it blocks.
TEST(gone_clients_are_told_in_every_model)
{
    static const uint32_t models[] = {FSV_MODEL_EVENT, FSV_MODEL_POOL_CONN, FSV_MODEL_THREAD, FSV_MODEL_SYNC};
    static const char request[] = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    if (!os_tells_resets()) SKIP("resets are not told here");
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        fsv_server *server;
        fsv_server_desc desc;
        uint32_t seen = 0;
        ROW("model %u", models[i]);
        memset(&desc, 0, sizeof desc);
        desc.model = models[i];
        desc.blocking = models[i] == FSV_MODEL_EVENT;
        REQUIRE(fsv_server_create(&server, &desc) == FSV_OK &&
                fsv_server_route(server, "GET", "/", on_wait_for_reset, &seen) == FSV_OK &&
                fsv_server_listen(server, "127.0.0.1:0") == FSV_OK && fsv_server_start(server) == FSV_OK);
        int peer = sock_dial(fsv_server_port(server, 0));
        REQUIRE(peer >= 0 && sock_say(peer, request, sizeof request - 1));
        UNTIL(fsi_load32(&seen) == 1);
        sock_reset(peer);
        UNTIL(fsi_load32(&seen) == 2);
        CHECK(fsv_server_free(server) == FSV_OK);
    }
}

TEST_MAIN(CASE(gone_clients_are_told_in_every_model), CASE(models_refuses_what_it_cannot_mean), CASE(models_are_named),
          CASE(models_missing_in_a_log_are_named), CASE(starved_connections_are_counted),
          CASE(models_measure_every_cell), CASE(models_middle_of_rounds), CASE(thread_model_uses_its_threads_again),
          CASE(sync_model_sleeps_while_others_wait))
