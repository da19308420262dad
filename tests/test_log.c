// The access log of `serve`: what a line may hold, whatever a client sends, and that no line goes missing unsaid.
#include "test.h"
int program_main(int argc, char **argv);
#define main program_main
#include "../main.c"
#undef main
#include "host.h"

#define LINE_TEXT 512 // most bytes of a text here

static fsv_str str(const char *text)
{
    fsv_str s;
    s.ptr = text;
    s.len = text ? strlen(text) : 0;
    return s;
}

// A request of 2000-10-10 13:55:36.123 UTC as browsers send it.
static serve_entry usual(void)
{
    serve_entry entry;
    memset(&entry, 0, sizeof entry);
    entry.wall_ns = 971186136123456789u;
    entry.status = 200;
    entry.version = 11;
    entry.body_bytes = 2326;
    entry.duration_us = 42;
    entry.peer = str("127.0.0.1");
    entry.method = str("GET");
    entry.target = str("/apache_pb.gif");
    entry.host = str("localhost:8080");
    entry.referer = str("http://www.example.com/start.html");
    entry.agent = str("Mozilla/4.08 [en] (Win98; I ;Nav)");
    return entry;
}

static const char *line(char *out, serve_form form, const serve_entry *entry)
{
    serve_second second;
    second.number = -1;
    *serve_put_line(out, form, entry, &second) = 0;
    return out;
}

// Goal: the three forms, byte for byte.
TEST(log_lines_as_documented)
{
    char out[8192];
    serve_entry entry = usual();
    CHECK_STR(line(out, SERVE_COMMON, &entry),
              "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.1\" 200 2326\n");
    CHECK_STR(line(out, SERVE_COMBINED, &entry),
              "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.1\" 200 2326 "
              "\"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"\n");
    CHECK_STR(line(out, SERVE_JSON, &entry),
              "{\"time\":\"2000-10-10T13:55:36.123Z\",\"peer\":\"127.0.0.1\",\"method\":\"GET\","
              "\"target\":\"/apache_pb.gif\",\"version\":\"1.1\",\"status\":200,\"bytes\":2326,\"duration_us\":42,"
              "\"host\":\"localhost:8080\",\"referer\":\"http://www.example.com/start.html\","
              "\"user_agent\":\"Mozilla/4.08 [en] (Win98; I ;Nav)\",\"user\":null,\"why\":null}\n");
    entry.version = 10;
    entry.referer = str(NULL);
    entry.agent = str("");
    entry.user = str("jane d");
    CHECK_STR(line(out, SERVE_COMBINED, &entry),
              "127.0.0.1 - jane\\x20d [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.0\" 200 2326 \"-\" "
              "\"\"\n");
    CHECK(strstr(line(out, SERVE_JSON, &entry), "\"version\":\"1.0\"") != NULL);
    CHECK(strstr(out, "\"referer\":null,\"user_agent\":\"\",\"user\":\"jane d\",\"why\":null}\n") != NULL);
    memset(&entry, 0, sizeof entry); // a head that could not be read, of a peer that nobody knows
    entry.status = 400;
    CHECK_STR(line(out, SERVE_COMMON, &entry), "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 0\n");
    CHECK_STR(line(out, SERVE_COMBINED, &entry), "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 0 \"-\" \"-\"\n");
    CHECK_STR(line(out, SERVE_JSON, &entry),
              "{\"time\":\"1970-01-01T00:00:00.000Z\",\"peer\":null,\"method\":null,\"target\":null,\"version\":null,"
              "\"status\":400,\"bytes\":0,\"duration_us\":0,\"host\":null,\"referer\":null,\"user_agent\":null,"
              "\"user\":null,\"why\":null}\n");
}

// Goal: the time of a line is its own, also when it changes from line to line, in either direction.
TEST(log_times)
{
    static const struct {
        uint64_t ms;
        const char *common, *json;
    } rows[] = {{951782399999u, "28/Feb/2000:23:59:59", "2000-02-28T23:59:59.999Z"},
                {951782400000u, "29/Feb/2000:00:00:00", "2000-02-29T00:00:00.000Z"},
                {951782400001u, "29/Feb/2000:00:00:00", "2000-02-29T00:00:00.001Z"},
                {1767225599040u, "31/Dec/2025:23:59:59", "2025-12-31T23:59:59.040Z"},
                {951782400500u, "29/Feb/2000:00:00:00", "2000-02-29T00:00:00.500Z"}};
    char out[8192], want[80];
    serve_second common, json;
    common.number = json.number = -1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%llu", (unsigned long long)rows[i].ms);
        serve_entry entry = usual();
        entry.wall_ns = rows[i].ms * 1000000u + 999999u;
        *serve_put_line(out, SERVE_COMMON, &entry, &common) = 0;
        (void)snprintf(want, sizeof want, " [%s +0000] ", rows[i].common);
        CHECK(strstr(out, want) != NULL);
        *serve_put_line(out, SERVE_JSON, &entry, &json) = 0;
        (void)snprintf(want, sizeof want, "{\"time\":\"%s\",", rows[i].json);
        CHECK(strncmp(out, want, strlen(want)) == 0);
    }
}

// Goal: what moves a cursor, ends a line, hides or turns text around is an escape; other text stays legible in JSON.
TEST(log_odd_characters)
{
    static const struct {
        const char *text, *common, *json;
    } rows[] = {
        {"\"\\", "\\x22\\x5c", "\\\"\\\\"},
        {"\r\n\t\b\x1b[2J\x7f", "\\x0d\\x0a\\x09\\x08\\x1b[2J\\x7f", "\\u000d\\u000a\\u0009\\u0008\\u001b[2J\\u007f"},
        {"\xc3\xa4\xe6\x97\xa5\xf0\x9f\x99\x82", "\\xc3\\xa4\\xe6\\x97\\xa5\\xf0\\x9f\\x99\\x82",
         "\xc3\xa4\xe6\x97\xa5\xf0\x9f\x99\x82"},
        {"\xc2\x85\xc2\x9b\xc2\xa0", "\\xc2\\x85\\xc2\\x9b\\xc2\\xa0", "\\u0085\\u009b\xc2\xa0"}, // NEL, CSI
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9", "\\u2028\\u2029"}, // ends of a line to some
        {"\xe2\x80\xae\xe2\x81\xa6\xd8\x9c", "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xd8\\x9c", "\\u202e\\u2066\\u061c"},
        {"\xef\xbb\xbf\xe2\x80\x8b\xe2\x80\x90", "\\xef\\xbb\\xbf\\xe2\\x80\\x8b\\xe2\\x80\\x90",
         "\\ufeff\\u200b\xe2\x80\x90"},
        {"\xff\xc3", "\\xff\\xc3", "\\ufffd\\ufffd"},
        {"\xc0\xaf\xed\xa0\x80", "\\xc0\\xaf\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"}, // overlong, half
        {"12345678\"12345678",
         "12345678\\x22"
         "12345678",
         "12345678\\\"12345678"},
    };
    char out[512];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ROW("%s", rows[i].common);
        *serve_put_text(out, str(rows[i].text)) = 0;
        CHECK_STR(out, rows[i].common);
        *serve_put_json(out, str(rows[i].text)) = 0;
        CHECK(out[0] == '"' && out[strlen(out) - 1] == '"');
        CHECK_BYTES(out + 1, strlen(out) - 2, rows[i].json, strlen(rows[i].json));
    }
    fsv_str nul = {"a\0b", 3};
    *serve_put_text(out, nul) = 0;
    CHECK_STR(out, "a\\x00b");
    *serve_put_json(out, nul) = 0;
    CHECK_STR(out, "\"a\\u0000b\"");
}

// Goal: eight bytes at once are judged as each by itself.
TEST(log_plain_bytes)
{
    char text[8];
    uint64_t random = 7;
    for (int at = 0; at < 8; at++)
        for (int byte = 0; byte < 256; byte++)
            for (int around = 0; around < 5; around++) {
                static const char others[] = " !~[]";
                memset(text, others[around], sizeof text);
                text[at] = (char)byte;
                ROW("byte %d at %d in %c", byte, at, others[around]);
                CHECK_EQ(serve_is_plain(text), byte >= 32 && byte < 127 && byte != '"' && byte != '\\');
            }
    for (int i = 0; i < 200000; i++) {
        bool plain = true;
        for (int k = 0; k < 8; k++) {
            uint64_t bits = bench_random_bits(&random);
            text[k] = (char)(bits % 16 ? 33 + bits / 16 % 94 : bits / 16 % 256);
            plain = plain && text[k] >= 32 && text[k] < 127 && text[k] != '"' && text[k] != '\\';
        }
        ROW("round %d", i);
        CHECK_EQ(serve_is_plain(text), plain);
    }
}

// ---- any bytes

// Bytes as a client would choose them who wants to break the log. No NUL, which no head holds.
static fsv_str hostile(uint64_t *random, char *out)
{
    static const char *const parts[] = {"\"",
                                        "\\",
                                        "\n",
                                        "\r\n127.0.0.1 - - [",
                                        "\\x22",
                                        "\\u0022",
                                        "\xc3\xa4",
                                        "\xe2\x80\xa8",
                                        "\xf0\x9f\x99\x82",
                                        "\xed\xa0\x80",
                                        "\xff",
                                        "\x80",
                                        "\",\"status\":200}\n{",
                                        " ",
                                        "-",
                                        "plain text of some length",
                                        "\x1b]0;x\x07",
                                        "\x7f",
                                        "%0a",
                                        "\xf4\x90\x80\x80"};
    fsv_str text;
    size_t len = 0, want = (size_t)(bench_random_bits(random) % (bench_random_bits(random) % 4 ? 40 : 300));
    text.ptr = bench_random_bits(random) % 8 ? out : NULL;
    while (len < want) {
        uint64_t bits = bench_random_bits(random);
        const char *part = parts[bits / 4 % (sizeof parts / sizeof parts[0])];
        if (bits % 4 == 0) {
            memcpy(out + len, part, strlen(part));
            len += strlen(part);
        } else if (bits % 4 == 1) {
            out[len++] = (char)(1 + bits / 4 % 255);
        } else {
            out[len++] = (char)(33 + bits / 4 % 94);
        }
    }
    text.len = text.ptr ? len : 0;
    return text;
}

// What a log reader makes of a text of Common or Combined, up to `stop`. Returns what follows that.
static const char *read_text(const char *at, char stop, char *out, size_t *len)
{
    *len = 0;
    for (; *at && *at != stop; at++) {
        if (at[0] == '\\' && at[1] == 'x') {
            out[(*len)++] = (char)(fsi_hex(at[2]) * 16 + fsi_hex(at[3]));
            at += 3;
        } else {
            out[(*len)++] = *at;
        }
    }
    return *at ? at + 1 : at;
}

static void check_text(const char *got, size_t len, fsv_str want)
{
    if (want.ptr)
        CHECK_BYTES(got, len, want.ptr, want.len);
    else
        CHECK_BYTES(got, len, "-", 1);
}

static void check_combined(const char *text, const serve_entry *entry)
{
    char got[8 * LINE_TEXT];
    size_t len;
    for (const char *at = text; at[0] != '\n' || at[1]; at++)
        if (*at < 32 || *at > 126) {
            test_fail(__FILE__, __LINE__, "byte %d at %d", *at, (int)(at - text));
            return;
        }
    const char *at = strstr(text, " - "); // which no text holds: a space of the user's would be \\x20
    REQUIRE(at != NULL);
    at = read_text(at + 3, ' ', got, &len);
    check_text(got, len, entry->user);
    REQUIRE(*at == '[' && (at = strstr(at, "] \"")) != NULL);
    at = read_text(at + 3, ' ', got, &len);
    check_text(got, len, entry->method);
    size_t rest = strlen(at);
    at = read_text(at, '"', got, &len);
    CHECK(len >= 9 && memcmp(got + len - 9, " HTTP/1.1", 9) == 0 && strlen(at) < rest);
    check_text(got, len < 9 ? 0 : len - 9, entry->target);
    CHECK(strncmp(at, " 200 2326 \"", 11) == 0);
    at = read_text(at + 11, '"', got, &len);
    check_text(got, len, entry->referer);
    CHECK(strncmp(at, " \"", 2) == 0);
    at = read_text(at + 2, '"', got, &len);
    check_text(got, len, entry->agent);
    CHECK_STR(at, "\n");
}

// A member of an object that is a text; every byte of `want` that is no UTF-8 has become U+FFFD.
static void check_member(bench_json *json, const char *name, fsv_str want)
{
    char key[32], got[8 * LINE_TEXT], sound[8 * LINE_TEXT];
    bool first = json->at[-1] == '{';
    size_t len = 0;
    REQUIRE(bench_json_next(json, '}', &first) && bench_json_key(json, key, sizeof key));
    CHECK_STR(key, name);
    if (!want.ptr) {
        CHECK(bench_json_word(json, "null"));
        return;
    }
    for (size_t i = 0, n; i < want.len; i += n ? n : 1) {
        n = bench_utf8(want.ptr + i, want.len - i);
        memcpy(sound + len, n ? want.ptr + i : "\xef\xbf\xbd", n ? n : 3);
        len += n ? n : 3;
    }
    sound[len] = 0;
    CHECK(bench_json_text(json, got, sizeof got, NULL));
    CHECK_STR(got, sound);
}

static void check_number(bench_json *json, const char *name, uint64_t want)
{
    char key[32];
    bool first = false;
    uint64_t got = 0;
    REQUIRE(bench_json_next(json, '}', &first) && bench_json_key(json, key, sizeof key));
    CHECK_STR(key, name);
    CHECK(bench_json_u64(json, UINT64_MAX, &got));
    CHECK_EQ(got, want);
}

static void check_object(const char *text, size_t len, const serve_entry *entry)
{
    bench_json json;
    bool first = false;
    memset(&json, 0, sizeof json);
    json.begin = json.at = text;
    json.end = text + len;
    REQUIRE(bench_json_take(&json, '{'));
    check_member(&json, "time", str("2000-10-10T13:55:36.123Z"));
    check_member(&json, "peer", entry->peer);
    check_member(&json, "method", entry->method);
    check_member(&json, "target", entry->target);
    check_member(&json, "version", str("1.1"));
    check_number(&json, "status", entry->status);
    check_number(&json, "bytes", entry->body_bytes);
    check_number(&json, "duration_us", entry->duration_us);
    check_member(&json, "host", entry->host);
    check_member(&json, "referer", entry->referer);
    check_member(&json, "user_agent", entry->agent);
    check_member(&json, "user", entry->user);
    check_member(&json, "why", entry->refusal);
    CHECK(!bench_json_next(&json, '}', &first));
    CHECK_STR(json.wrong, NULL);
    CHECK_EQ(json.at - text, len - 1); // and the end of the line
}

// Goal: whatever bytes a head holds, a line is one line, can be read back, and is not longer than it said it may be.
TEST(log_lines_of_any_bytes)
{
    static char texts[6][LINE_TEXT], out[65536];
    uint64_t random = 42;
    serve_second common, json;
    common.number = json.number = -1;
    for (int i = 0; i < 20000 && test_failures == 0; i++) {
        serve_entry entry = usual();
        ROW("round %d", i);
        entry.method = hostile(&random, texts[0]);
        for (size_t k = 0; k < entry.method.len; k++)
            if (texts[0][k] == ' ') texts[0][k] = '+'; // as in any token
        entry.target = hostile(&random, texts[1]);
        entry.host = hostile(&random, texts[2]);
        entry.referer = hostile(&random, texts[3]);
        entry.agent = hostile(&random, texts[4]);
        entry.user = hostile(&random, texts[5]);
        for (int form = SERVE_COMMON; form <= SERVE_JSON; form++) {
            char *end = serve_put_line(out, (serve_form)form, &entry, form == SERVE_JSON ? &json : &common);
            size_t len = (size_t)(end - out);
            *end = 0;
            CHECK(len <= serve_line_room(&entry));
            CHECK(strlen(out) == len && strchr(out, '\n') == end - 1);
            if (form == SERVE_COMBINED) check_combined(out, &entry);
            if (form == SERVE_JSON) check_object(out, len, &entry);
        }
    }
}

// Goal: the worst texts fit into what is said to be enough, with the largest numbers.
TEST(log_line_room)
{
    static char text[LINE_TEXT], out[65536];
    static const char worst[] = {'\x01', '\xff', '"', 'a'};
    for (size_t i = 0; i < sizeof worst; i++)
        for (int form = SERVE_COMMON; form <= SERVE_JSON; form++) {
            serve_entry entry;
            serve_second second;
            memset(text, worst[i], sizeof text);
            memset(&entry, 0, sizeof entry);
            entry.wall_ns = entry.body_bytes = entry.duration_us = UINT64_MAX;
            entry.status = UINT32_MAX;
            entry.version = 11;
            entry.peer.ptr = text;
            entry.peer.len = sizeof text;
            entry.method = entry.target = entry.host = entry.referer = entry.agent = entry.user = entry.peer;
            second.number = -1;
            ROW("%d, form %d", worst[i], form);
            CHECK((size_t)(serve_put_line(out, (serve_form)form, &entry, &second) - out) <= serve_line_room(&entry));
            entry.peer.len = entry.method.len = entry.target.len = entry.host.len = entry.referer.len =
                entry.agent.len = 0;
            CHECK((size_t)(serve_put_line(out, (serve_form)form, &entry, &second) - out) <= serve_line_room(&entry));
        }
    char why[200];
    memset(why, 1, sizeof why);
    why[sizeof why - 1] = 0;
    CHECK(serve_put_loss(out, SERVE_JSON, UINT64_MAX, UINT64_MAX, why) <= 1200);
}

// ---- the writer

typedef struct teller {
    serve_log *log;
    uint32_t number, count;
    fsi_thread thread;
} teller;

static void tell_all(void *arg)
{
    teller *t = (teller *)arg;
    char target[64];
    serve_entry entry = usual();
    for (uint32_t i = 0; i < t->count; i++) {
        (void)snprintf(target, sizeof target, "/%u/%u", t->number, i);
        entry.target = str(target);
        serve_log_add(t->log, t->number, &entry);
    }
}

// The whole file, terminated; the caller's.
static char *read_file(const char *path)
{
    bench_text text;
    memset(&text, 0, sizeof text);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    const char *wrong = bench_text_read(&text, file, 1u << 30, "too large");
    (void)fclose(file);
    CHECK_STR(wrong, NULL);
    return text.ptr;
}

#define TELLERS 6

// Counts the lines of a log in Common, and those that it says were lost. Each teller's come in their order. Takes the ends
// of lines out of the text.
static void count_lines(char *text, uint64_t *lines, uint64_t *lost)
{
    unsigned next[TELLERS] = {0};
    *lines = *lost = 0;
    for (char *at = text, *end; *at; at = end + 1) {
        unsigned who = TELLERS, number = 0;
        unsigned long long count;
        int len = 0;
        end = strchr(at, '\n');
        REQUIRE(end);
        *end = 0; // or sscanf would look for the end of the text each time
        if (sscanf(at, "# %llu line", &count) == 1) {
            CHECK(strstr(at, " lost: the log is slower than the server") != NULL);
            *lost += count;
            continue;
        }
        (void)sscanf(at, "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /%u/%u HTTP/1.1\" 200 2326%n", &who, &number,
                     &len);
        if (len != end - at || who >= TELLERS || number < next[who]) {
            test_fail(__FILE__, __LINE__, "a line that should not be: %.*s", (int)(end - at), at);
            return;
        }
        next[who] = number + 1;
        ++*lines;
    }
}

static bool log_begin(serve_log *log, const char *path, uint32_t loops)
{
    return serve_log_open(log, path, SERVE_COMMON) && serve_log_start(log, loops);
}

static void tell_by_threads(serve_log *log, teller *tellers, uint32_t each)
{
    for (uint32_t i = 0; i < TELLERS; i++) {
        tellers[i].log = log;
        tellers[i].number = i;
        tellers[i].count = each;
        CHECK(fsi_thread_start(&tellers[i].thread, tell_all, &tellers[i], "teller"));
    }
    for (uint32_t i = 0; i < TELLERS; i++) fsi_thread_join(&tellers[i].thread);
}

// Goal: lines of many threads, some of which share a lane, are all there, whole and in the order of their thread; and
// where there is too little memory for them, as many are missing as the log says.
TEST(log_adds_up)
{
    static const struct {
        uint32_t loops;
        size_t lane_max; // 0: what it is
    } rows[] = {{TELLERS, 0}, {2, 0}, {TELLERS, 1000}, {1, 1000}};
    static serve_log log;
    static teller tellers[TELLERS];
    char path[300];
    (void)os_temp_path(path, sizeof path, "log");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t lines, lost;
        ROW("%u loops, lanes of %u", rows[i].loops, (unsigned)rows[i].lane_max);
        REQUIRE(log_begin(&log, path, rows[i].loops));
        if (rows[i].lane_max) log.lane_max = rows[i].lane_max;
        tell_by_threads(&log, tellers, 20000);
        serve_log_close(&log);
        char *text = read_file(path);
        REQUIRE(text);
        count_lines(text, &lines, &lost);
        CHECK_EQ(lines + lost, TELLERS * 20000);
        CHECK_EQ(lost > 0, rows[i].lane_max > 0);
        CHECK_EQ(lost, log.lost_ever);
        free(text);
        (void)remove(path);
    }
}

// Goal: a line longer than all that a lane may hold is written nevertheless.
TEST(log_long_line)
{
    static serve_log log;
    char path[300], *long_text = (char *)malloc(300001);
    (void)os_temp_path(path, sizeof path, "log");
    serve_entry entry = usual();
    REQUIRE(long_text);
    memset(long_text, 'x', 300000);
    long_text[300000] = 0;
    entry.target = str(long_text);
    REQUIRE(log_begin(&log, path, 1));
    log.lane_max = 1000;
    serve_log_add(&log, 0, &entry);
    serve_log_close(&log);
    CHECK_EQ(log.lost_ever, 0);
    char *text = read_file(path);
    REQUIRE(text);
    CHECK(strstr(text, long_text) != NULL);
    free(text);
    free(long_text);
    (void)remove(path);
}

// Goal: a file that is full in the middle of a line goes on behind that byte when there is room again.
TEST(log_goes_on_when_there_is_room)
{
    static serve_log log;
    static teller tellers[TELLERS];
    uint64_t lines, lost;
    char path[300];
    (void)os_temp_path(path, sizeof path, "log");
    if (!os_file_limit(100003)) SKIP("files of any size here");
    bool began = log_begin(&log, path, TELLERS);
    tell_by_threads(&log, tellers, 5000);
    UNTIL(fsi_load32(&log.failing));
    CHECK(os_file_limit(UINT64_MAX));
    REQUIRE(began);
    serve_log_close(&log);
    CHECK_EQ(log.lost_ever, 0);
    char *text = read_file(path);
    REQUIRE(text);
    CHECK(strlen(text) > 100003);
    count_lines(text, &lines, &lost);
    CHECK_EQ(lines, TELLERS * 5000);
    CHECK_EQ(lost, 0);
    free(text);
    (void)remove(path);
}

// Goal: a line that a full file has cut is whole in the file that follows it.
TEST(log_cut_line_begins_anew)
{
    static serve_log log;
    static teller tellers[TELLERS];
    uint64_t lines, before, lost;
    char path[300], old_path[300];
    (void)os_temp_path(path, sizeof path, "log");
    (void)os_temp_path(old_path, sizeof old_path, "old");
    if (!os_file_limit(100003)) SKIP("files of any size here");
    bool began = log_begin(&log, path, 1);
    tell_by_threads(&log, tellers, 5000);
    UNTIL(fsi_load32(&log.failing));
    CHECK(rename(path, old_path) == 0);
    fsi_store32(&log.reopen, 1);
    fsi_io_wake(&log.io);
    UNTIL(os_exists(path));
    CHECK(os_file_limit(UINT64_MAX));
    REQUIRE(began);
    serve_log_close(&log);
    char *text = read_file(path), *old_text = read_file(old_path), *cut = old_text ? strrchr(old_text, '\n') : NULL;
    REQUIRE(text && cut);
    CHECK_EQ(strlen(old_text), 100003);
    CHECK(strncmp(cut + 1, text, strlen(cut + 1)) == 0);
    cut[1] = 0;
    count_lines(old_text, &before, &lost);
    count_lines(text, &lines, &lost);
    CHECK_EQ(before + lines, TELLERS * 5000);
    CHECK_EQ(lost + log.lost_ever, 0);
    free(text);
    free(old_text);
    (void)remove(path);
    (void)remove(old_path);
}

TEST_MAIN(CASE(log_lines_as_documented), CASE(log_times), CASE(log_odd_characters), CASE(log_plain_bytes),
          CASE(log_lines_of_any_bytes), CASE(log_line_room), CASE(log_adds_up), CASE(log_long_line),
          CASE(log_goes_on_when_there_is_room), CASE(log_cut_line_begins_anew))
