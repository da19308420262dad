// test_static.c: folders of files through a whole server over loopback: what is found, what a file answers (conditions,
// ranges, codings), the shelf, large files in pieces, what is missing. Every server counts its memory. How old a file
// must be before it is kept is a variable here, so that no case has to wait for it.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
static long long settled_ns;
#define FSI_SETTLED_NS settled_ns
static unsigned long long recheck_ms = 2000;
#define FSI_RECHECK_MS recheck_ms
static unsigned long long renew_ms = 1u << 30;
#define FSI_RENEW_MS renew_ms
#include "../fastserve.h"

#include "host.h"

static client c1, c2;

// ---- a tree of files

#define NAMES_MAX 64
static char tree[512];
static char names[NAMES_MAX][256];
static int name_count;
static bool name_folder[NAMES_MAX];

static const char *in_tree(const char *name)
{
    static char path[2][1024];
    static int turn;
    turn ^= 1;
    (void)snprintf(path[turn], sizeof path[turn], "%s%s%s", tree, *name ? "/" : "", name);
    return path[turn];
}

static void note(const char *name, bool folder)
{
    for (int i = 0; i < name_count; i++)
        if (strcmp(names[i], name) == 0) return;
    if (name_count == NAMES_MAX) abort();
    (void)snprintf(names[name_count], sizeof names[0], "%s", name);
    name_folder[name_count++] = folder;
}

// Writes a file of the tree; what was there goes.
static void file_bytes(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(in_tree(name), "wb");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) abort();
    note(name, false);
}

static void file_text(const char *name, const char *text)
{
    file_bytes(name, text, strlen(text));
}

static void folder(const char *name)
{
    if (!os_folder_add(in_tree(name))) abort();
    note(name, true);
}

static bool tree_begin(void)
{
    name_count = 0;
    settled_ns = -(1LL << 60); // everything is old
    return os_folder_make(tree, sizeof tree);
}

static void tree_end(void)
{
    while (name_count-- > 0) {
        if (name_folder[name_count])
            os_folder_remove(in_tree(names[name_count]));
        else
            (void)remove(in_tree(names[name_count]));
    }
    os_folder_remove(tree);
}

// ---- the server's side

typedef struct host {
    fsv_server *server;
    fsv_folder *folder;
    fsv_server_desc desc;
    fsv_folder_desc files;
    uint32_t port;
    struct heap heap;
    struct driver driver;
    char seen[256]; // by on_missing
} host;

static host h1;

static void host_new(host *h)
{
    memset(h, 0, sizeof *h);
    h->desc.workers = 2;
    h->files.pattern = "/*";
    h->files.path = tree;
    h->files.user = h;
    h->desc.user = h;
}

static bool host_begin_as(host *h, drive how)
{
    return heap_begin(&h->heap, &h->desc) && fsv_server_create(&h->server, &h->desc) == FSV_OK &&
           fsv_server_folder(h->server, &h->files, &h->folder) == FSV_OK &&
           fsv_server_listen(h->server, "127.0.0.1:0") == FSV_OK && (h->port = fsv_server_port(h->server, 0)) != 0 &&
           driver_begin(&h->driver, h->server, how);
}

static bool host_begin(host *h)
{
    return host_begin_as(h, DRIVE_START);
}

static void host_end(host *h)
{
    fsv_server_stop(h->server, 5000);
    driver_end(&h->driver);
    CHECK_EQ(fsv_server_free(h->server), FSV_OK);
    heap_end(&h->heap);
}

// A GET of the target, with these lines of fields, on c1.
static int get_with(const char *target, const char *fields)
{
    return sayf(&c1, "GET %s HTTP/1.1\r\nHost: t\r\n%s\r\n", target, fields) ? hear(&c1) : -1;
}

static int get(const char *target)
{
    return get_with(target, "");
}

static const char *field(const char *name)
{
    const char *value = field_of(&c1, name);
    return value ? value : "(none)";
}

// ---- what is found

TEST(plain_files)
{
    static const struct {
        const char *target, *body, *type;
    } rows[] = {{"/a.txt", "hello", "text/plain; charset=utf-8"},
                {"/a.txt?x=/b", "hello", "text/plain; charset=utf-8"},
                {"/%61.txt", "hello", "text/plain; charset=utf-8"},
                {"//a.txt", "hello", "text/plain; charset=utf-8"},
                {"/sub//b.html", "<p>", "text/html; charset=utf-8"},
                {"/empty.css", "", "text/css; charset=utf-8"},
                {"/with%20space", "s", "application/octet-stream"},
                {"/sub/c.foo", "foo", "x-test/foo"},
                {"/sub/", "index", "text/html; charset=utf-8"},
                {"/", "root", "text/html; charset=utf-8"},
                {"/d.pdf", "%PDF", "x-test/own"},
                {"/sub/d.PDF", "%PDF", "x-test/own"}};
    REQUIRE(tree_begin());
    folder("sub");
    file_text("a.txt", "hello");
    file_text("sub/b.html", "<p>");
    file_text("empty.css", "");
    file_text("d.pdf", "%PDF");
    file_text("sub/d.PDF", "%PDF");
    file_text("with space", "s");
    file_text("sub/c.foo", "foo");
    file_text("sub/index.html", "index");
    file_text("index.html", "root");
    for (int kept = 0; kept < 2; kept++) {
        host_new(&h1);
        h1.files.types = "foo=x-test/foo\nBAR=x-test/bar\npdf=x-test/own"; // which has a type without that
        h1.files.cache_control = "max-age=60";
        h1.files.cache_bytes = kept ? 0 : 1;
        REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                ROW("%s kept=%d round %d", rows[i].target, kept, round);
                CHECK_EQ(get(rows[i].target), 200);
                CHECK_STR(body_of(&c1), rows[i].body);
                CHECK_STR(field("Content-Type"), rows[i].type);
                CHECK_STR(field("Accept-Ranges"), "bytes");
                CHECK_STR(field("Cache-Control"), "max-age=60");
                CHECK(field("ETag")[0] == '"');
                CHECK(strlen(field("Last-Modified")) == 29);
                CHECK(!field_find(&c1, "Vary"));
                REQUIRE(sayf(&c1, "HEAD %s HTTP/1.1\r\nHost: t\r\n\r\n", rows[i].target));
                CHECK_EQ(hear_to(&c1, true), 200);
                CHECK_EQ(strtoul(field("Content-Length"), NULL, 10), strlen(rows[i].body));
            }
        }
        CHECK(!!h1.server->loops[0].shelf.count == !!kept);
        CHECK_STR(fsv_folder_type(h1.folder, "x/y.bar"), "x-test/bar");
        CHECK_STR(fsv_folder_type(h1.folder, "x/y.pdf"), "x-test/own");
        CHECK_STR(fsv_folder_type(h1.folder, "png"), "application/octet-stream");
        hang_up(&c1);
        host_end(&h1);
    }
    tree_end();
}

TEST(not_found)
{
    static const struct {
        const char *target;
        int status;
    } rows[] = {{"/none", 404},       {"/a.txt/", 404}, {"/a.txt/b", 404},      {"/.hidden", 404},
                {"/sub/.x/y", 404},   {"/..", 404},     {"/sub/../a.txt", 404}, {"/%2e%2e/a.txt", 404},
                {"/sub%2fb", 404},    {"/sub/", 404},   {"/sub/none/", 404},    {"/a%00.txt", 400},
                {"/sub\\b", 404},     {"/%ff", 404},    {"/a.txt%20", 404},     {"/%c0%ae%c0%ae/a.txt", 404},
                {"/%252e%252e/", 404}};
    REQUIRE(tree_begin());
    folder("sub");
    folder("sub/.x");
    file_text("sub/.x/y", "secret");
    file_text("a.txt", "hello");
    file_text(".hidden", "secret");
    host_new(&h1);
    REQUIRE(host_begin(&h1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ROW("%s", rows[i].target);
        REQUIRE(dial(&c1, h1.port));
        CHECK_EQ(get(rows[i].target), rows[i].status);
        CHECK(!strstr(body_of(&c1), "secret"));
        hang_up(&c1);
    }
    ROW("POST");
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(ask(&c1, "POST /a.txt HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"), 405);
    CHECK_STR(field("Allow"), "GET, HEAD, OPTIONS");
    hang_up(&c1);
    host_end(&h1);
    host_new(&h1);
    h1.files.hidden = 1;
    h1.files.pattern = "/files/*";
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/files/.hidden"), 200);
    CHECK_STR(body_of(&c1), "secret");
    CHECK_EQ(get("/.hidden"), 404);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: the redirect is relative, so that no path makes it lead to another host.
TEST(redirects)
{
    static const char *const rows[][2] = {{"/sub", "sub/"},
                                          {"/sub?a=b&c", "sub/?a=b&c"},
                                          {"//sub", "sub/"},
                                          {"/sub/a%20b", "a%20b/"},
                                          {"/sub/deep", "deep/"}};
    REQUIRE(tree_begin());
    folder("sub");
    folder("sub/a b");
    folder("sub/deep");
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ROW("%s", rows[i][0]);
        CHECK_EQ(get(rows[i][0]), 301);
        CHECK_STR(field("Location"), rows[i][1]);
    }
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// ---- what a file answers

TEST(conditions)
{
    char tag[128], date[64], fields[512];
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/a.txt"), 200);
    (void)snprintf(tag, sizeof tag, "%s", field("ETag"));
    (void)snprintf(date, sizeof date, "%s", field("Last-Modified"));
    static const struct {
        const char *format; // %s: the tag, then the date
        int status;
    } rows[] = {{"If-None-Match: %s\r\n", 304},
                {"If-None-Match: W/%s\r\n", 304},
                {"If-None-Match: \"x\", %s\r\n", 304},
                {"If-None-Match: *\r\n", 304},
                {"If-None-Match: \"x\"\r\n", 200},
                {"If-None-Match: \"x%.0s\"\r\nIf-Modified-Since: %s\r\n", 200},
                {"If-Modified-Since: %.0s%s\r\n", 304},
                {"If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n", 200},
                {"If-Modified-Since: yesterday\r\n", 200},
                {"If-Match: %s\r\n", 200},
                {"If-Match: W/%s\r\n", 412},
                {"If-Match: \"x\"\r\n", 412},
                {"If-Match: *\r\n", 200},
                {"If-Unmodified-Since: %.0s%s\r\n", 200},
                {"If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n", 412},
                {"If-Match: %s\r\nIf-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n", 200},
                {"If-Match: \"x\"\r\nIf-None-Match: %s\r\n", 412}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ROW("%s", rows[i].format);
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
#endif
        (void)snprintf(fields, sizeof fields, rows[i].format, tag, date);
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
        CHECK_EQ(get_with("/a.txt", fields), rows[i].status);
        if (rows[i].status == 304) {
            CHECK_STR(field("ETag"), tag);
            CHECK(!field_find(&c1, "Content-Length"));
            CHECK(!field_find(&c1, "Content-Type"));
        }
        CHECK_EQ(get("/a.txt"), 200); // in step
    }
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

#define LARGE ((size_t)3 << 20)
static char large[LARGE];

static void large_fill(void)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < LARGE; i++) {
        x = x * 1664525u + 1013904223u;
        large[i] = (char)('a' + (x >> 24) % 26);
    }
}

// The body of the answer is these bytes.
static bool body_is(const client *c, const char *want, size_t len)
{
    return c->body_len == len && memcmp(c->buf + c->body_at, want, len) == 0;
}

TEST(ranges)
{
    static const struct {
        const char *range;
        int status;
        size_t at, len;
    } rows[] = {{"bytes=0-0", 206, 0, 1},
                {"bytes=5-", 206, 5, SIZE_MAX},
                {"bytes=-7", 206, SIZE_MAX, 7},
                {"bytes=10-19", 206, 10, 10},
                {"bytes=10-999999999999", 206, 10, SIZE_MAX},
                {"bytes=999999999999-", 416, 0, 0},
                {"bytes=-0", 416, 0, 0},
                {"lines=1-2", 200, 0, 0},
                {"bytes=2-1", 200, 0, 0},
                {"bytes=0-99,50-150", 206, 0, 151},
                {"bytes=x", 200, 0, 0}};
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("small.bin", large, 5000);
    file_bytes("middle.bin", large, 150000);
    file_bytes("large.bin", large, LARGE);
    static const struct {
        const char *target;
        size_t size;
    } files[] = {{"/small.bin", 5000}, {"/middle.bin", 150000}, {"/large.bin", LARGE}};
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (size_t f = 0; f < 3; f++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char fields[128], want[128];
            size_t size = files[f].size, at = rows[i].at == SIZE_MAX ? size - rows[i].len : rows[i].at;
            size_t len = rows[i].len == SIZE_MAX ? size - at : rows[i].len;
            ROW("%s %s", files[f].target, rows[i].range);
            (void)snprintf(fields, sizeof fields, "Range: %s\r\n", rows[i].range);
            CHECK_EQ(get_with(files[f].target, fields), rows[i].status);
            if (rows[i].status == 206) {
                (void)snprintf(want, sizeof want, "bytes %llu-%llu/%llu", (unsigned long long)at,
                               (unsigned long long)(at + len - 1), (unsigned long long)size);
                CHECK_STR(field("Content-Range"), want);
                CHECK(body_is(&c1, large + at, len));
            } else if (rows[i].status == 200) {
                CHECK(body_is(&c1, large, size));
            } else {
                (void)snprintf(want, sizeof want, "bytes */%llu", (unsigned long long)size);
                CHECK_STR(field("Content-Range"), want);
            }
        }
        ROW("%s HEAD", files[f].target);
        REQUIRE(sayf(&c1, "HEAD %s HTTP/1.1\r\nHost: t\r\nRange: bytes=0-1\r\n\r\n", files[f].target));
        CHECK_EQ(hear_to(&c1, true), 200);
    }
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

TEST(range_parts)
{
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("small.txt", large, 5000);
    file_bytes("large.txt", large, LARGE);
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    char boundary[80] = "";
    for (int f = 0; f < 2; f++) {
        size_t size = f ? LARGE : 5000, n = 0, last = f ? 2000000 : 2000;
        static char want[LARGE + 4096];
        char fields[128], before[17];
        memcpy(before, boundary, 16);
        before[16] = 0;
        ROW("%s", f ? "large" : "small");
        (void)snprintf(fields, sizeof fields, "Range: bytes=1-3, 1000-%llu, -2\r\n", (unsigned long long)last);
        CHECK_EQ(get_with(f ? "/large.txt" : "/small.txt", fields), 206);
        const char *type = field("Content-Type");
        REQUIRE(strncmp(type, "multipart/byteranges; boundary=", 31) == 0);
        (void)snprintf(boundary, sizeof boundary, "%s", type + 31);
        CHECK(strlen(boundary) == 32 && (!*before || !strstr(boundary, before))); // nor is a half of it the same
        size_t at[3] = {1, 1000, 0}, len[3] = {3, 0, 2};
        at[2] = size - 2;
        len[1] = last - 999;
        for (int i = 0; i < 3; i++) {
            n += (size_t)snprintf(want + n, sizeof want - n,
                                  "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                  "Content-Range: bytes %llu-%llu/%llu\r\n\r\n",
                                  boundary, (unsigned long long)at[i], (unsigned long long)(at[i] + len[i] - 1),
                                  (unsigned long long)size);
            memcpy(want + n, large + at[i], len[i]);
            n += len[i];
        }
        n += (size_t)snprintf(want + n, sizeof want - n, "\r\n--%s--\r\n", boundary);
        CHECK(body_is(&c1, want, n));
        CHECK_EQ(get("/small.txt"), 200); // in step
    }
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

TEST(if_range)
{
    char tag[128], fields[512];
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/a.txt"), 200);
    (void)snprintf(tag, sizeof tag, "%s", field("ETag"));
    (void)snprintf(fields, sizeof fields, "Range: bytes=1-2\r\nIf-Range: %s\r\n", tag);
    CHECK_EQ(get_with("/a.txt", fields), 206);
    CHECK_STR(body_of(&c1), "el");
    (void)snprintf(fields, sizeof fields, "Range: bytes=1-2\r\nIf-Range: W/%s\r\n", tag);
    CHECK_EQ(get_with("/a.txt", fields), 200);
    CHECK_EQ(get_with("/a.txt", "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n"), 200);
    CHECK_EQ(get_with("/a.txt", "Range: bytes=1-2\r\nRange: bytes=3-3\r\n"), 200);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: a file that was just written may be written again within the same time stamp: its tag is weak, and it is not kept.
TEST(new_files_are_weak)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    settled_ns = 3600 * 1000000000LL;
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(get("/a.txt"), 200);
        CHECK(strncmp(field("ETag"), "W/\"", 3) == 0);
        CHECK_STR(body_of(&c1), "hello");
    }
    hang_up(&c1);
    host_end(&h1);
    CHECK_EQ(name_count, 1);
    tree_end();
}

// Goal: what is on the shelf is opened anew from time to time, stays there as long as it is the same file, and counts as kept.
TEST(opened_anew)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    settled_ns = -(1LL << 60);
    recheck_ms = 0;
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    bool here = h1.server->folders->root.cached; // else a worker opens it, and it comes as another one
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_EQ(get("/a.txt"), 200);
        CHECK_STR(body_of(&c1), "hello");
        CHECK_EQ(STAT(&h1, files_kept), here ? i : 0);
    }
    file_text("a.txt", "other");
    CHECK_EQ(get("/a.txt"), 200);
    CHECK_STR(body_of(&c1), "other");
    CHECK_EQ(STAT(&h1, files_kept), here ? 2 : 0);
    hang_up(&c1);
    host_end(&h1);
    recheck_ms = 2000;
    tree_end();
}

// Goal: a folder that was built anew, or a link to it that leads elsewhere by now, is served as it stands there now.
TEST(folder_put_in_its_place)
{
    char site[512];
    REQUIRE(tree_begin());
    folder("site");
    file_text("site/a.txt", "old");
    (void)snprintf(site, sizeof site, "%s", in_tree("site"));
    settled_ns = -(1LL << 60);
    host_new(&h1);
    h1.files.path = site;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(get("/a.txt"), 200);
        CHECK_STR(body_of(&c1), "old");
    }
    note("gone", true);
    note("gone/a.txt", false);
    REQUIRE(os_rename(site, in_tree("gone")) && os_folder_add(site));
    file_text("site/a.txt", "new");
    renew_ms = 0;
    CHECK_EQ(get("/a.txt"), 200);
    CHECK_STR(body_of(&c1), "new");
    CHECK_EQ(get("/none"), 404);
    renew_ms = 1u << 30;
    CHECK_EQ(get("/a.txt"), 200);
    CHECK_STR(body_of(&c1), "new");
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: what takes a folder's place without being one like it is not served: a link where there was none, a folder of
// another owner. What was there is.
TEST(folder_kept)
{
    char site[512], gone[512];
    if (FSI_WINDOWS) SKIP("a folder is its path here");
    REQUIRE(tree_begin());
    folder("site");
    folder("other");
    file_text("site/a.txt", "ours");
    file_text("other/a.txt", "theirs");
    (void)snprintf(site, sizeof site, "%s", in_tree("site"));
    (void)snprintf(gone, sizeof gone, "%s", in_tree("gone"));
    for (int how = 0; how < 2; how++) {
        ROW("%s", how ? "another owner" : "a link");
        if (how && !os_owner(in_tree("other"), 1)) break; // only root can
        host_new(&h1);
        h1.files.path = site;
        REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
        REQUIRE(os_rename(site, gone));
        REQUIRE(how ? os_rename(in_tree("other"), site) : os_link(in_tree("other"), site));
        renew_ms = 0;
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(get("/a.txt"), 200);
            CHECK_STR(body_of(&c1), "ours");
        }
        CHECK_EQ(fsi_load32(&h1.folder->kept), 1);
        renew_ms = 1u << 30;
        hang_up(&c1);
        host_end(&h1);
        REQUIRE(how ? os_rename(site, in_tree("other")) : remove(site) == 0);
        REQUIRE(os_rename(gone, site));
    }
    tree_end();
}

static uint32_t blocked, entered;

// Holds its worker.
static void on_missing_blocks(fsv_request *request, fsv_folder *of, fsv_missing why, fsv_str path, void *user)
{
    (void)of, (void)why, (void)path, (void)user;
    fsi_store32(&entered, 1);
    for (int i = 0; i < GUARD_S * 1000 && fsi_load32(&blocked); i++) nap(1);
    fsv_respond_text(request, 404, "blocked");
}

// A server whose only worker is busy until `blocked` is 0.
static bool host_begin_blocked(host *h)
{
    h->desc.workers = 1;
    h->files.on_missing = on_missing_blocks;
    entered = 0;
    blocked = 1;
    return host_begin(h) && dial(&c1, h->port) && dial(&c2, h->port);
}

// Goal: what is on the shelf does not wait for a worker, also when it is time to look at the folder again.
TEST(kept_while_workers_are_busy)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    settled_ns = -(1LL << 60);
    host_new(&h1);
    REQUIRE(host_begin_blocked(&h1));
    CHECK_EQ(get("/a.txt"), 200);
    REQUIRE(say(&c2, "GET /block HTTP/1.1\r\nHost: t\r\n\r\n"));
    UNTIL(fsi_load32(&entered));
    for (int i = 0; i < 3; i++) {
        nap(500); // it is time from 450 ms on; from 900 ms on it would wait
        uint64_t passed = fsi_clock_ns() / 1000000 - fsi_load64(&h1.folder->renewed_ms);
        renew_ms = passed - passed / 10;
        CHECK_EQ(get("/a.txt"), 200);
        CHECK_STR(body_of(&c1), "hello");
    }
    CHECK(h1.server->loops[0].shelf.count == 0 || STAT(&h1, files_kept) > 0);
    fsi_store32(&blocked, 0);
    CHECK_EQ(hear(&c2), 404);
    renew_ms = 1u << 30;
    hang_up(&c1);
    hang_up(&c2);
    host_end(&h1);
    tree_end();
}

// Goal: a reader is not cut because a worker is busy that should have read the file for it.
TEST(cold_while_workers_are_busy)
{
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("large.bin", large, LARGE);
    settled_ns = -(1LL << 60);
    host_new(&h1);
    h1.desc.send_timeout_ms = 1000;
    REQUIRE(host_begin_blocked(&h1));
    CHECK_EQ(get_with("/large.bin", "Range: bytes=0-0\r\n"), 206); // names and attributes are known from now on
    REQUIRE(say(&c2, "GET /block HTTP/1.1\r\nHost: t\r\n\r\n"));
    UNTIL(fsi_load32(&entered));
    bool fine = os_file_chill(in_tree("large.bin"));
    uint64_t cold = STAT(&h1, files_cold);
    REQUIRE(say(&c1, "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK_EQ(hear_head(&c1), 200);
    for (int i = 0; i < 100 && STAT(&h1, files_cold) == cold; i++) nap(1);
    bool waited = STAT(&h1, files_cold) > cold;
    if (waited) nap(1500); // else it is this client that would be cut, which does not read
    CHECK_EQ(STAT(&h1, timeouts_send), 0);
    fsi_store32(&blocked, 0);
    CHECK_EQ(hear_body(&c1), 200);
    CHECK(body_is(&c1, large, LARGE));
    CHECK_EQ(hear(&c2), 404);
    hang_up(&c1);
    hang_up(&c2);
    host_end(&h1);
    tree_end();
    if (!fine || !waited) SKIP("the disk was as quick as the question, or does not forget");
}

// Goal: what another machine keeps is looked at by workers alone: a loop would wait for the network.
TEST(remote_folder)
{
    fsv_folder *made = NULL;
    REQUIRE(tree_begin());
    large_fill();
    file_text("a.txt", "hello");
    file_bytes("large.bin", large, LARGE);
    settled_ns = -(1LL << 60);
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    made = h1.server->folders;
    REQUIRE(made != NULL);
    CHECK(!made->root.remote); // a disk of this machine, it is hoped
    CHECK_EQ(get("/a.txt"), 200);
    uint64_t cold = STAT(&h1, files_cold);
    made->root.remote = true; // nobody reads it meanwhile: the loop waits for the next request
    for (uint64_t i = 1; i <= 3; i++) {
        CHECK_EQ(get("/a.txt"), 200);
        CHECK_STR(body_of(&c1), "hello");
        CHECK_EQ(STAT(&h1, files_cold), cold + i);
    }
    CHECK_EQ(get("/none"), 404);
    CHECK_EQ(get("/large.bin"), 200);
    CHECK(body_is(&c1, large, LARGE));
    CHECK_EQ(STAT(&h1, files_kept), 0);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: a request that begins after a write has ended gets what was written, whatever is on the shelf.
TEST(save_and_reload)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "00000");
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 300; i++) {
        char text[16];
        ROW("%d", i);
        (void)snprintf(text, sizeof text, "%05d", i);
        settled_ns = i % 2 ? -(1LL << 60) : 2 * 1000000000LL; // kept each second time
        if (i % 3) {
            file_text("new.txt", text);
            (void)remove(in_tree("a.txt"));
            if (!os_rename(in_tree("new.txt"), in_tree("a.txt"))) abort();
        } else {
            settled_ns = 2 * 1000000000LL; // the same length, written over: only the time tells
            CHECK_EQ(get("/a.txt"), 200);
            file_text("a.txt", text);
        }
        CHECK_EQ(get("/a.txt"), 200);
        CHECK_STR(body_of(&c1), text);
    }
    (void)remove(in_tree("a.txt"));
    CHECK_EQ(get("/a.txt"), 404);
    file_text("a.txt", "back");
    CHECK_EQ(get("/a.txt"), 200);
    CHECK_STR(body_of(&c1), "back");
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// ---- large files

TEST(large_files)
{
    static const char pipelined[] = "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n"
                                    "GET /a.txt HTTP/1.1\r\nHost: t\r\n\r\n"
                                    "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n"
                                    "GET /middle.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("large.bin", large, LARGE);
    file_bytes("middle.bin", large, 150000);
    file_text("a.txt", "hello");
    for (int how = 0; how < DRIVES; how++) {
        for (uint32_t model = 0; model <= FSV_MODEL_SYNC; model++) {
            if (how == DRIVE_POLL && model) continue;
            ROW("%s model %u", drive_names[how], model);
            host_new(&h1);
            h1.desc.model = model;
            h1.files.sendfile = model & 1;
            REQUIRE(host_begin_as(&h1, (drive)how) && dial(&c1, h1.port));
            REQUIRE(say(&c1, pipelined));
            CHECK_EQ(hear(&c1), 200);
            CHECK(body_is(&c1, large, LARGE));
            CHECK_EQ(hear(&c1), 200);
            CHECK_STR(body_of(&c1), "hello");
            CHECK_EQ(hear(&c1), 200);
            CHECK(body_is(&c1, large, LARGE));
            CHECK_EQ(hear(&c1), 200);
            CHECK(body_is(&c1, large, 150000));
            CHECK(ended(&c1));
            hang_up(&c1);
            host_end(&h1);
        }
    }
    tree_end();
}

// Goal: one who reads slowly, or leaves, holds nobody up and leaves nothing behind: no SIGPIPE either, which sendfile raises
// also where it has sent a part.
TEST(slow_and_gone)
{
    REQUIRE(tree_begin());
    (void)os_signals_begin(); // SIGPIPE would end this process
    large_fill();
    file_bytes("large.bin", large, LARGE);
    file_text("a.txt", "hello");
    for (int how = 0; how < DRIVES; how++) {
        ROW("%s", drive_names[how]);
        host_new(&h1);
        h1.files.sendfile = 1;
        REQUIRE(host_begin_as(&h1, (drive)how) && dial(&c2, h1.port) && dial(&c1, h1.port));
        REQUIRE(say(&c2, "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
        CHECK_EQ(hear_head(&c2), 200);
        for (int i = 0; i < 20; i++) {
            CHECK_EQ(get("/a.txt"), 200);
            CHECK_STR(body_of(&c1), "hello");
        }
        CHECK_EQ(hear_body(&c2), 200);
        CHECK(body_is(&c2, large, LARGE));
        hang_up(&c2);
        for (int i = 0; i < 60; i++) {
            REQUIRE(dial(&c2, h1.port));
            REQUIRE(say(&c2, "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
            CHECK_EQ(hear_head(&c2), 200);
            for (int part = 0; part < i % 7; part++) CHECK(receive(&c2) > 0);
            if (i % 2)
                hang_up_hard(&c2);
            else
                hang_up(&c2);
        }
        CHECK_EQ(get("/a.txt"), 200);
        UNTIL(STAT(&h1, conns_closed) == 61);
        hang_up(&c1);
        host_end(&h1);
    }
    tree_end();
}

// Goal: as many large files are open as may be, so that slow readers leave descriptors to others; a further one is a 503
// until one of them has been read. Small files do not count.
TEST(large_files_that_are_open)
{
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("one.bin", large, LARGE);
    file_bytes("two.bin", large, LARGE);
    file_text("a.txt", "hello");
    host_new(&h1);
    h1.desc.files_max = 1;
    REQUIRE(host_begin(&h1) && dial(&c2, h1.port) && dial(&c1, h1.port));
    REQUIRE(say(&c2, "GET /one.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK_EQ(hear_head(&c2), 200);
    if (fsi_load32(&h1.server->files_open)) { // the sockets have not taken all of it
        CHECK_EQ(get("/two.bin"), 503);
        CHECK_STR(field("Retry-After"), "1");
        CHECK_EQ(get_with("/two.bin", "Range: bytes=0-0\r\n"), 503);
        CHECK_EQ(STAT(&h1, files_refused), 2);
        // What has no bytes of it needs no room: caches go on asking whether it has changed.
        REQUIRE(say(&c1, "HEAD /two.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
        CHECK_EQ(hear_to(&c1, true), 200);
        CHECK_EQ(strtoul(field("Content-Length"), NULL, 10), LARGE);
        CHECK_EQ(get_with("/two.bin", "If-None-Match: *\r\n"), 304);
        CHECK_EQ(get_with("/two.bin", "If-Match: \"none\"\r\n"), 412);
        CHECK_EQ(get_with("/two.bin", "Range: bytes=99999999-\r\n"), 416);
        CHECK_EQ(STAT(&h1, files_refused), 2);
        CHECK_EQ(fsi_load32(&h1.server->files_open), 1);
    }
    CHECK_EQ(get("/a.txt"), 200);
    CHECK_EQ(hear_body(&c2), 200);
    CHECK(body_is(&c2, large, LARGE));
    UNTIL(fsi_load32(&h1.server->files_open) == 0);
    CHECK_EQ(get("/two.bin"), 200);
    CHECK(body_is(&c1, large, LARGE));
    hang_up(&c1);
    hang_up(&c2);
    host_end(&h1);
    tree_end();
}

// Goal: a loop has a large file open once for all whom it is sent, also when a worker has found it anew meanwhile; nor do
// those who only ask need room while none is left.
TEST(large_file_is_open_once)
{
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("one.bin", large, LARGE);
    settled_ns = -(1LL << 60);
    host_new(&h1);
    h1.desc.files_max = 2; // one on the shelf
    REQUIRE(host_begin(&h1) && dial(&c2, h1.port) && dial(&c1, h1.port));
    REQUIRE(say(&c2, "GET /one.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK_EQ(hear_head(&c2), 200);
    bool shelved = h1.server->loops[0].shelf.files == 1;
    renew_ms = 1;
    for (int i = 0; i < 5; i++) {
        uint64_t cold = STAT(&h1, files_cold);
        ROW("worker %d", i);
        fsi_store64(&h1.folder->renewed_ms, 0);
        CHECK_EQ(get_with("/one.bin", "Range: bytes=0-0\r\n"), 206);
        CHECK(STAT(&h1, files_cold) > cold);
        if (shelved) CHECK_EQ(fsi_load32(&h1.server->files_open), 1);
    }
    renew_ms = 1u << 30;
    CHECK_EQ(STAT(&h1, files_refused), 0);
    CHECK_EQ(hear_body(&c2), 200);
    CHECK(body_is(&c2, large, LARGE));
    hang_up(&c1);
    hang_up(&c2);
    host_end(&h1);
    tree_end();
}

// Goal: a redirect that does not fit is an error that no cache keeps as long as a file.
TEST(long_redirect)
{
    static char target[2000];
    REQUIRE(tree_begin());
    folder("sub");
    host_new(&h1);
    h1.files.cache_control = "max-age=60";
    h1.desc.response_fields_bytes_max = 1000;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/sub?x"), 301);
    CHECK_STR(field("Location"), "sub/?x");
    CHECK_STR(field("Cache-Control"), "max-age=60");
    memset(target, 'a', sizeof target - 1);
    REQUIRE(say(&c1, "GET /sub?") && say(&c1, target) && say(&c1, " HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK_EQ(hear(&c1), 414);
    CHECK(!field_find(&c1, "Cache-Control") && !field_find(&c1, "Location"));
    for (size_t len = 900; len < 1000; len++) { // the last of the two fields fits, or neither is there
        target[len] = 0;
        REQUIRE(say(&c1, "GET /sub?") && say(&c1, target) && say(&c1, " HTTP/1.1\r\nHost: t\r\n\r\n"));
        int status = hear(&c1);
        bool leads = status == 301;
        CHECK(leads || status == 414);
        CHECK_EQ(!!field_find(&c1, "Location"), leads);
        CHECK_EQ(!!field_find(&c1, "Cache-Control"), leads);
        target[len] = 'a';
    }
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: the length was promised: where the file breaks, so does the connection, and what came is right.
TEST(cut_while_it_is_sent)
{
    REQUIRE(tree_begin());
    large_fill();
    static char huge[1 << 16];
    host_new(&h1);
    // More than sockets take in advance.
    FILE *file = fopen(in_tree("huge.bin"), "wb");
    REQUIRE(file);
    note("huge.bin", false);
    for (int i = 0; i < 1024; i++) REQUIRE(fwrite(large, 1, sizeof huge, file) == sizeof huge);
    REQUIRE(fclose(file) == 0);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    REQUIRE(say(&c1, "GET /huge.bin HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK_EQ(hear_head(&c1), 200);
    file_text("huge.bin", "short now");
    int64_t n;
    while ((n = receive(&c1)) > 0) continue;
    CHECK(c1.len - c1.at < (size_t)64 << 20);
    for (size_t i = 0; i < c1.len - c1.at; i++)
        if (c1.buf[c1.at + i] != large[i % sizeof huge]) {
            test_fail(__FILE__, __LINE__, "wrong byte at %llu", (unsigned long long)i);
            break;
        }
    hang_up(&c1);
    REQUIRE(dial(&c1, h1.port));
    CHECK_EQ(get("/huge.bin"), 200);
    CHECK_STR(body_of(&c1), "short now");
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: a loop does not wait for a disk. What the system has let go of is found and read by a worker; the rest is not.
TEST(cold_disk)
{
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("small.bin", large, 5000);
    file_bytes("large.bin", large, LARGE);
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/small.bin"), 200); // names and attributes are known from now on
    CHECK_EQ(get("/large.bin"), 200);
    hang_up(&c1);
    host_end(&h1);
    bool fine = os_file_chill(in_tree("small.bin")) && os_file_chill(in_tree("large.bin"));
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/small.bin"), 200);
    CHECK(body_is(&c1, large, 5000));
    uint64_t small = STAT(&h1, files_cold);
    CHECK_EQ(get("/large.bin"), 200);
    CHECK(body_is(&c1, large, LARGE));
    uint64_t both = STAT(&h1, files_cold);
    CHECK_EQ(get("/small.bin"), 200);
    CHECK(body_is(&c1, large, 5000));
    CHECK_EQ(STAT(&h1, files_kept), 1);
    CHECK_EQ(STAT(&h1, files_cold), both);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
    if (!fine) SKIP("this file system keeps its files in memory, or cannot be told to forget");
    if (small < 1 || both == small) SKIP("the disk was as quick as the question");
}

// ---- codings

TEST(precompressed)
{
    static const struct {
        const char *accept, *coding, *body;
    } rows[] = {{"gzip", "gzip", "GZ"},
                {"gzip, br", "br", "BR"},
                {"br;q=0.1, gzip;q=0.9", "gzip", "GZ"},
                {"zstd, gzip", "gzip", "GZ"},
                {"identity", "(none)", "plain text"},
                {"br;q=0, gzip;q=0", "(none)", "plain text"},
                {"deflate", "(none)", "plain text"},
                {"*", "br", "BR"}};
    REQUIRE(tree_begin());
    file_text("a.txt", "plain text");
    file_text("a.txt.gz", "GZ");
    file_text("a.txt.br", "BR");
    file_text("p.png", "png");
    file_text("p.png.gz", "no");
    host_new(&h1);
    h1.files.precompressed = 1;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char fields[128];
            ROW("%s", rows[i].accept);
            (void)snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", rows[i].accept);
            CHECK_EQ(get_with("/a.txt", fields), 200);
            CHECK_STR(field("Content-Encoding"), rows[i].coding);
            CHECK_STR(field("Vary"), "Accept-Encoding");
            CHECK_STR(field("Content-Type"), "text/plain; charset=utf-8");
            CHECK_STR(body_of(&c1), rows[i].body);
        }
    }
    ROW("not what is packed already");
    CHECK_EQ(get_with("/p.png", "Accept-Encoding: gzip\r\n"), 200);
    CHECK_STR(body_of(&c1), "png");
    ROW("not one that is older");
    nap(20); // time stamps of the tree are no finer than a tick
    file_text("a.txt", "newer text");
    CHECK_EQ(get_with("/a.txt", "Accept-Encoding: gzip, br\r\n"), 200);
    CHECK_STR(body_of(&c1), "newer text");
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: that nothing packed stands beside a file is remembered for a while, and no longer.
TEST(packed_comes_later)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "plain text");
    settled_ns = -(1LL << 60); // it is kept
    recheck_ms = 1u << 30;
    host_new(&h1);
    h1.files.precompressed = 1;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 2; i++) { // on a worker, perhaps, and from the shelf
        CHECK_EQ(get_with("/a.txt", "Accept-Encoding: gzip, br\r\n"), 200);
        CHECK_STR(body_of(&c1), "plain text");
    }
    uint64_t cold = STAT(&h1, files_cold);
    file_text("a.txt.gz", "GZ");
    CHECK_EQ(get_with("/a.txt", "Accept-Encoding: gzip, br\r\n"), 200);
    CHECK_STR(body_of(&c1), "plain text");
    CHECK_EQ(STAT(&h1, files_cold), cold);
    recheck_ms = 0;
    CHECK_EQ(get_with("/a.txt", "Accept-Encoding: gzip, br\r\n"), 200);
    CHECK_STR(body_of(&c1), "GZ");
    recheck_ms = 2000;
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// ---- what is missing

static bool list_one(const fsv_entry *entry, void *user)
{
    char *out = (char *)user;
    size_t at = strlen(out);
    (void)snprintf(out + at, 256 - at, "%s%s:%u ", entry->name.ptr, entry->is_folder ? "/" : "", (unsigned)entry->size);
    return true;
}

static void on_missing(fsv_request *request, fsv_folder *files, fsv_missing why, fsv_str path, void *user)
{
    host *h = (host *)user;
    (void)snprintf(h->seen, sizeof h->seen, "%d:%s", why, path.ptr);
    if (strncmp(path.ptr, "spa", 3) == 0) {
        CHECK_EQ(fsv_respond_file(request, files, "index.html", 200), FSV_OK);
        CHECK_EQ(fsv_respond_file(request, files, "index.html", 200), FSV_ERR_STATE);
        CHECK_EQ(fsv_respond_text(request, 200, "x"), FSV_ERR_STATE);
    } else if (strncmp(path.ptr, "gone", 4) == 0) {
        CHECK_EQ(fsv_respond_file(request, files, "none", 200), FSV_OK);
    } else if (why == FSV_MISSING_INDEX) {
        char text[256] = "";
        CHECK_EQ(fsv_folder_list(files, path.ptr, list_one, text), FSV_OK);
        CHECK_EQ(fsv_respond_text(request, 200, text), FSV_OK);
    } else if (strcmp(path.ptr, "silent") != 0) {
        CHECK_EQ(fsv_respond_file(request, files, "404.html", 404), FSV_OK);
    }
}

TEST(missing)
{
    static const struct {
        const char *target;
        int status;
        const char *body, *seen;
    } rows[] = {{"/none", 404, "<h1>none", "0:none"},   {"/silent", 404, "404 Not Found\n", "0:silent"},
                {"/spa/x", 200, "<app>", "0:spa/x"},    {"/gone", 404, "404 Not Found\n", "0:gone"},
                {"/sub/", 200, "one.txt:3 ", "1:sub/"}, {"/sub/%2e%2e/", 404, "<h1>none", "0:sub/../"},
                {"/none/", 404, "<h1>none", "0:none"}};
    REQUIRE(tree_begin());
    folder("sub");
    file_text("sub/one.txt", "one");
    file_text("sub/.hidden", "h");
    file_text("404.html", "<h1>none");
    file_text("index.html", "<app>");
    for (uint32_t model = 0; model <= FSV_MODEL_SYNC; model++) {
        host_new(&h1);
        h1.desc.model = model;
        h1.files.on_missing = on_missing;
        h1.files.cache_control = "max-age=604800";
        REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            ROW("%s model %u", rows[i].target, model);
            CHECK_EQ(get(rows[i].target), rows[i].status);
            CHECK_STR(body_of(&c1), rows[i].body);
            CHECK_STR(h1.seen, rows[i].seen);
        }
        ROW("nor is it kept for as long as a file");
        CHECK_STR(field("Cache-Control"), "no-cache");
        CHECK_EQ(get("/index.html"), 200);
        CHECK_STR(field("Cache-Control"), "max-age=604800");
        CHECK_EQ(get("/spa"), 200);
        CHECK_STR(field("Cache-Control"), "max-age=604800");
        ROW("ranges do not count for a page that stands for another");
        CHECK_EQ(get_with("/none", "Range: bytes=0-1\r\nIf-None-Match: *\r\n"), 404);
        CHECK_STR(body_of(&c1), "<h1>none");
        hang_up(&c1);
        host_end(&h1);
    }
    tree_end();
}

// ---- on_request

static void on_request(fsv_request *request, void *user)
{
    fsv_str value;
    fsv_token token;
    (void)user;
    CHECK_EQ(fsv_response_field(request, "X-First", "1"), FSV_OK);
    if (!fsv_request_field(request, "X-Do", &value)) return;
    if (*value.ptr == '4') CHECK_EQ(fsv_respond_text(request, 401, "no"), FSV_OK);
    if (*value.ptr == 'f') CHECK_EQ(fsv_respond_file(request, h1.folder, "a.txt", 503), FSV_OK);
    if (*value.ptr == 'd') {
        CHECK_EQ(fsv_request_defer(request, &token), FSV_OK);
        CHECK_EQ(fsv_token_respond(token, 202, NULL, "later", 5), FSV_OK);
    }
}

TEST(asked_first)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    host_new(&h1);
    h1.desc.on_request = on_request;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(get("/a.txt"), 200);
        CHECK_STR(field("X-First"), "1");
        CHECK_STR(body_of(&c1), "hello");
        CHECK_EQ(get_with("/a.txt", "X-Do: 4\r\n"), 401);
        CHECK_STR(body_of(&c1), "no");
        CHECK_EQ(get_with("/none", "X-Do: f\r\n"), 503);
        CHECK_STR(body_of(&c1), "hello");
        CHECK_EQ(get_with("/a.txt", "X-Do: d\r\n"), 202);
        CHECK_STR(body_of(&c1), "later");
        CHECK_EQ(get("/none"), 404);
        CHECK_STR(field("X-First"), "1");
    }
    ROW("with a body that nobody reads");
    CHECK_EQ(ask(&c1, "POST /a.txt HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nX-Do: 4\r\n\r\nabc"), 401);
    CHECK_EQ(get("/a.txt"), 200);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: a file is a plain file. Where a handler asks for what turns out to be a folder, that is a 404 and no redirect,
// which a client would follow for ever.
TEST(folders_are_no_answers)
{
    REQUIRE(tree_begin());
    folder("404.html");
    folder("index.html");
    host_new(&h1);
    h1.files.on_missing = on_missing;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    CHECK_EQ(get("/none"), 404);
    CHECK_EQ(get("/spa/x"), 404);
    CHECK_EQ(get("/404.html"), 301);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// Goal: a file that is shorter than it said is not handed out, so that it is not given back twice.
TEST(shorter_than_it_says)
{
    fsi_os_file file;
    fsi_file_look look;
    fsi_asset *asset = NULL;
    REQUIRE(tree_begin());
    file_text("a.txt", "hello");
    host_new(&h1);
    REQUIRE(host_begin(&h1));
    REQUIRE(fsi_file_open(&h1.folder->root, "a.txt", true, &file, &look) == FSI_FILE_OK);
    look.id.size++;
    CHECK_EQ(fsi_asset_make(h1.folder, "a.txt", "text/plain", 0, file, &look, true, &asset), FSI_FOUND_BUSY);
    CHECK(asset == NULL);
    host_end(&h1);
    tree_end();
}

// Goal: no date for a second that is not over, or another write in it would pass for the same file.
TEST(dates_of_this_second)
{
    REQUIRE(tree_begin());
    settled_ns = 3600 * 1000000000LL;
    host_new(&h1);
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 3; i++) {
        file_text("a.txt", "hello");
        CHECK_EQ(get("/a.txt"), 200);
        int64_t now_s = (int64_t)(fsi_wall_ns() / 1000000000);
        int64_t modified_s = fsi_date_read(field("Last-Modified"), 29, now_s);
        CHECK(modified_s != FSI_NO_TIME && modified_s < now_s);
    }
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

// ---- limits

// Goal: the shelf stays within its bytes, and what falls from it in mid-answer stays until it is sent.
TEST(shelf_is_bounded)
{
    REQUIRE(tree_begin());
    large_fill();
    for (int i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        file_bytes(name, large + i, 50000);
    }
    host_new(&h1);
    h1.files.cache_bytes = 400000;
    REQUIRE(host_begin(&h1) && dial(&c1, h1.port));
    for (int i = 0; i < 60; i++) {
        char target[16];
        ROW("%d", i);
        (void)snprintf(target, sizeof target, "/f%d", i % 20);
        CHECK_EQ(get(target), 200);
        CHECK(body_is(&c1, large + i % 20, 50000));
    }
    for (int i = 0; i < 20; i++) REQUIRE(sayf(&c1, "GET /f%d HTTP/1.1\r\nHost: t\r\n\r\n", i));
    for (int i = 0; i < 20; i++) {
        ROW("pipelined %d", i);
        CHECK_EQ(hear(&c1), 200);
        CHECK(body_is(&c1, large + i, 50000));
    }
    CHECK(h1.server->loops[0].shelf.bytes <= 400000 && h1.server->loops[0].shelf.count >= 2);
    hang_up(&c1);
    host_end(&h1);
    tree_end();
}

#define SHELF_FOLDERS 66
#define SHELF_SMALL 63

// One of the files of the tree by one of the folders, each of which is another path. It was kept, or it was not.
static void check_kept(int of, const char *name, bool kept)
{
    char target[32];
    uint64_t before = STAT(&h1, files_kept);
    ROW("/%d/%s", of, name);
    (void)snprintf(target, sizeof target, "/%d/%s", of, name);
    CHECK_EQ(get_with(target, "Range: bytes=0-0\r\n"), 206);
    CHECK_EQ(STAT(&h1, files_kept) - before, kept);
}

// Goal: a loop keeps no more files open, and no more files, than its shelf has places for. The oldest falls, also of those
// that are open; what is in memory does not make it fall.
TEST(shelf_has_so_many_places)
{
    REQUIRE(tree_begin());
    large_fill();
    file_bytes("open", large, (size_t)FSI_KEEP_BYTES + 1);
    for (int i = 0; i < SHELF_SMALL; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        file_text(name, name);
    }
    CHECK(SHELF_FOLDERS > FSI_SHELF_FILES && SHELF_FOLDERS * SHELF_SMALL > FSI_SHELF_ASSETS);
    recheck_ms = 1u << 30; // what is kept is not opened, however long this takes
    host_new(&h1);
    REQUIRE(heap_begin(&h1.heap, &h1.desc) && fsv_server_create(&h1.server, &h1.desc) == FSV_OK);
    for (int i = 0; i < SHELF_FOLDERS; i++) {
        char pattern[16];
        (void)snprintf(pattern, sizeof pattern, "/%d/*", i);
        h1.files.pattern = pattern;
        REQUIRE(fsv_server_folder(h1.server, &h1.files, NULL) == FSV_OK);
    }
    REQUIRE(fsv_server_listen(h1.server, "127.0.0.1:0") == FSV_OK);
    h1.port = fsv_server_port(h1.server, 0);
    REQUIRE(driver_begin(&h1.driver, h1.server, DRIVE_START) && dial(&c1, h1.port));
    const fsi_shelf *shelf = &h1.server->loops[0].shelf;
    check_kept(0, "0", false);
    for (int i = 0; i < SHELF_FOLDERS; i++) {
        check_kept(i, "open", false);
        CHECK_EQ(shelf->files, i < (int)FSI_SHELF_FILES ? i + 1 : (int)FSI_SHELF_FILES);
    }
    check_kept(SHELF_FOLDERS - (int)FSI_SHELF_FILES, "open", true);
    check_kept(SHELF_FOLDERS - 1, "open", true);
    check_kept(1, "0", false);
    CHECK_EQ(shelf->files, FSI_SHELF_FILES);
    check_kept(SHELF_FOLDERS - (int)FSI_SHELF_FILES - 1, "open", false);
    CHECK_EQ(shelf->files, FSI_SHELF_FILES);
    for (int i = 0; i < SHELF_FOLDERS; i++) {
        uint64_t before = STAT(&h1, files_kept);
        ROW("all of folder %d", i);
        for (int k = 0; k < SHELF_SMALL; k++) REQUIRE(sayf(&c1, "GET /%d/%d HTTP/1.1\r\nHost: t\r\n\r\n", i, k));
        for (int k = 0; k < SHELF_SMALL; k++) CHECK_EQ(hear(&c1), 200);
        CHECK_EQ(STAT(&h1, files_kept) - before, i == 1); // its first
    }
    CHECK_EQ(shelf->count, FSI_SHELF_ASSETS);
    CHECK_EQ(shelf->files, 0); // they were asked for before all of these
    check_kept(SHELF_FOLDERS - 1, "62", true);
    check_kept(0, "1", false);
    CHECK_EQ(shelf->count, FSI_SHELF_ASSETS);
    hang_up(&c1);
    host_end(&h1);
    recheck_ms = 2000;
    tree_end();
}

// Goal: without memory a request fails or succeeds, and nothing is lost.
TEST(out_of_memory)
{
    REQUIRE(tree_begin());
    large_fill();
    file_text("a.txt", "hello");
    file_bytes("large.bin", large, LARGE);
    for (uint64_t fail = 1; fail < 40; fail++) {
        ROW("call %u", (unsigned)fail);
        host_new(&h1);
        h1.files.precompressed = 1;
        REQUIRE(host_begin(&h1));
        fsi_lock_take(&h1.heap.lock);
        h1.heap.fail_at = h1.heap.calls + fail;
        fsi_lock_give(&h1.heap.lock);
        for (int i = 0; i < 3; i++) {
            if (!dial(&c1, h1.port)) continue;
            int status = get_with("/a.txt", "Accept-Encoding: br\r\n");
            CHECK(status == 200 || status == 503 || status == 0 || status == -1);
            if (status == 200) CHECK_STR(body_of(&c1), "hello");
            if (status == 200) status = get_with("/large.bin", "Range: bytes=0-10,1000000-2000000\r\n");
            hang_up(&c1);
        }
        host_end(&h1);
    }
    tree_end();
}

TEST(bad_folders)
{
    REQUIRE(tree_begin());
    file_text("a.txt", "x");
    host_new(&h1);
    REQUIRE(heap_begin(&h1.heap, &h1.desc) && fsv_server_create(&h1.server, &h1.desc) == FSV_OK);
    static const struct {
        const char *pattern, *path, *types, *index;
        fsv_result result;
    } rows[] = {{NULL, "", NULL, NULL, FSV_ERR_ARGUMENT},         {"/x", "", NULL, NULL, FSV_ERR_ARGUMENT},
                {"/:a/*", "", NULL, NULL, FSV_ERR_ARGUMENT},      {"/x/*", NULL, NULL, NULL, FSV_ERR_ARGUMENT},
                {"/x/*", "", "foo", NULL, FSV_ERR_ARGUMENT},      {"/x/*", "", "a=\r", NULL, FSV_ERR_ARGUMENT},
                {"/x/*", "", NULL, "a/b", FSV_ERR_ARGUMENT},      {"/x/*", "none", NULL, NULL, FSV_ERR_NOT_FOUND},
                {"/x/*", "a.txt", NULL, NULL, FSV_ERR_NOT_FOUND}, {"/x/*", "", NULL, NULL, FSV_OK},
                {"/x/*", "", NULL, NULL, FSV_ERR_STATE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fsv_folder_desc desc;
        ROW("%s %s", rows[i].pattern ? rows[i].pattern : "NULL", rows[i].path ? rows[i].path : "NULL");
        memset(&desc, 0, sizeof desc);
        desc.pattern = rows[i].pattern;
        desc.path = rows[i].path ? in_tree(rows[i].path) : NULL;
        desc.types = rows[i].types;
        desc.index = rows[i].index;
        CHECK_EQ(fsv_server_folder(h1.server, &desc, NULL), rows[i].result);
    }
    for (int i = 0; i < 4; i++) {
        fsv_folder_desc desc;
        ROW("%d", i);
        memset(&desc, 0, sizeof desc);
        desc.pattern = "/y/*";
        desc.path = in_tree("");
        if (i == 0) desc.sendfile = 2;
        if (i == 1) desc.precompressed = 2;
        if (i == 2) desc.cache_control = "a\nb";
        CHECK_EQ(fsv_server_folder(h1.server, &desc, NULL), i < 3 ? FSV_ERR_ARGUMENT : FSV_OK);
    }
    CHECK_EQ(fsv_server_free(h1.server), FSV_OK);
    heap_end(&h1.heap);
    tree_end();
}

TEST_MAIN(CASE(plain_files), CASE(not_found), CASE(redirects), CASE(conditions), CASE(ranges), CASE(range_parts),
          CASE(if_range), CASE(new_files_are_weak), CASE(opened_anew), CASE(folder_put_in_its_place), CASE(folder_kept),
          CASE(kept_while_workers_are_busy), CASE(cold_while_workers_are_busy), CASE(remote_folder),
          CASE(save_and_reload), CASE(large_files), CASE(slow_and_gone), CASE(large_files_that_are_open),
          CASE(large_file_is_open_once), CASE(long_redirect), CASE(cut_while_it_is_sent), CASE(cold_disk),
          CASE(precompressed), CASE(packed_comes_later), CASE(missing), CASE(asked_first), CASE(folders_are_no_answers),
          CASE(shorter_than_it_says), CASE(dates_of_this_second), CASE(shelf_is_bounded),
          CASE(shelf_has_so_many_places), CASE(out_of_memory), CASE(bad_folders))
