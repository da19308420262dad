// test_file.c: the contract of >>file and of fsi_io_send_file, over a tree of its own. Nothing in here knows which system
// is below. Where there are two ways into a folder, the system's own and the walk, each case takes both.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

static fsv_server server; // for its allocator: the C library's
static char tree[256];    // a folder of this process's own: `root`, which is served, and `outside`, with a secret
static const char *const secret = "the secret";

// ---- the tree

static const char *in_tree(char *out, size_t size, const char *path)
{
    (void)snprintf(out, size, "%s/%s", tree, path);
    return out;
}

static bool put(const char *path, const char *text)
{
    char full[512];
    return os_file_put(in_tree(full, sizeof full, path), 0, text, strlen(text));
}

static bool folder(const char *path)
{
    char full[512];
    return os_folder_add(in_tree(full, sizeof full, path));
}

static bool link_to(const char *to, const char *path)
{
    char full[512];
    return os_link(to, in_tree(full, sizeof full, path));
}

static bool tree_make(void)
{
    return os_folder_make(tree, sizeof tree) && folder("root") && folder("outside") && put("outside/secret", secret) &&
           put("root/a.txt", "hello") && put("root/empty", "") && folder("root/sub") && folder("root/sub/deep") &&
           put("root/sub/b.txt", "in sub") && put("root/sub/deep/c.txt", "deep down") &&
           put("root/a name with spaces.txt", "spaces") &&
           put("root/gr\xc3\xbc\xc3\x9f"
               "e \xe6\xbc\xa2.txt",
               "umlauts");
}

// The ways into a folder: the system's own, then the walk, then both with links followed.
static bool way(uint32_t i, fsi_root *root, bool *last)
{
    char full[512];
    if (fsi_root_open(&server, root, in_tree(full, sizeof full, "root"), i >= 2) != FSI_FILE_OK) return false;
    if (i % 2) root->walk = true;
    *last = i == 3;
    ROW("%s%s", root->walk ? "walk" : "own way", root->follow ? ", links followed" : "");
    return true;
}

// What is read of a path, as text; or the result in words.
static const char *content(const fsi_root *root, const char *path)
{
    static char text[256];
    fsi_os_file file;
    fsi_file_look look;
    static const char *const words[] = {"ok", "none", "denied", "busy", "full", "failed"};
    fsi_file_result result = fsi_file_open(root, path, true, &file, &look);
    if (result != FSI_FILE_OK) return words[result];
    if (file == FSI_NO_FILE) return look.kind == FSI_FILE_FOLDER ? "(folder)" : "(other)";
    int64_t got = fsi_file_read(file, 0, text, sizeof text - 1, true);
    text[got > 0 ? got : 0] = 0;
    if (got < 0 || (uint64_t)got != look.id.size) (void)snprintf(text, sizeof text, "read %d", (int)got);
    fsi_file_close(file);
    return text;
}

// Goal: plain files and folders are opened, whatever their names; what is not there is not.
TEST(open_plain)
{
    fsi_root root;
    bool last = false;
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, "a.txt"), "hello");
        CHECK_STR(content(&root, "empty"), "");
        CHECK_STR(content(&root, "sub/b.txt"), "in sub");
        CHECK_STR(content(&root, "sub/deep/c.txt"), "deep down");
        CHECK_STR(content(&root, "a name with spaces.txt"), "spaces");
        CHECK_STR(content(&root, "gr\xc3\xbc\xc3\x9f"
                                 "e \xe6\xbc\xa2.txt"),
                  "umlauts");
        CHECK_STR(content(&root, ""), "(folder)");
        CHECK_STR(content(&root, "sub"), "(folder)");
        CHECK_STR(content(&root, "sub/deep"), "(folder)");
        CHECK_STR(content(&root, "missing"), "none");
        CHECK_STR(content(&root, "sub/missing"), "none");
        CHECK_STR(content(&root, "missing/a.txt"), "none");
        CHECK_STR(content(&root, "a.txt/b.txt"), "none");
        fsi_root_close(&server, &root);
        fsi_root_close(&server, &root);
    }
}

// Goal: what is no folder is no root.
TEST(root_refused)
{
    fsi_root root;
    char full[512];
    memset(&root, 0, sizeof root);
    fsi_root_close(&server, &root);
    CHECK_EQ(fsi_root_open(&server, &root, in_tree(full, sizeof full, "missing"), false), FSI_FILE_NONE);
    fsi_root_close(&server, &root);
    CHECK_EQ(fsi_root_open(&server, &root, in_tree(full, sizeof full, "root/a.txt"), false), FSI_FILE_NONE);
    fsi_root_close(&server, &root);
}

// Goal: links inside are followed where the system keeps them inside; those that lead outside only where that is asked for.
TEST(links)
{
    fsi_root root;
    bool last = false;
    char outside[512], inside[512];
    (void)in_tree(outside, sizeof outside, "outside/secret");
    (void)in_tree(inside, sizeof inside, "root/a.txt");
    if (!link_to("sub/b.txt", "root/in")) SKIP("no symbolic links here");
    REQUIRE(link_to("sub", "root/in_folder") && link_to("sub/../a.txt", "root/in_dots"));
    REQUIRE(link_to("../outside/secret", "root/out") && link_to("../outside", "root/out_folder"));
    REQUIRE(link_to("sub/../../outside/secret", "root/out_dots") && link_to(outside, "root/out_absolute"));
    REQUIRE(link_to(inside, "root/in_absolute") && link_to("nowhere", "root/dangling") && link_to("ring", "root/ring"));
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        bool own = !root.walk;
        CHECK_STR(content(&root, "in"), own || root.follow ? "in sub" : "none");
        CHECK_STR(content(&root, "in_folder"), own || root.follow ? "(folder)" : "none");
        CHECK_STR(content(&root, "in_folder/b.txt"), own || root.follow ? "in sub" : "none");
        CHECK_STR(content(&root, "in_dots"), own || root.follow ? "hello" : "none");
        CHECK_STR(content(&root, "in_absolute"), root.follow ? "hello" : "none");
        CHECK_STR(content(&root, "out"), root.follow ? secret : "none");
        CHECK_STR(content(&root, "out_folder"), root.follow ? "(folder)" : "none");
        CHECK_STR(content(&root, "out_folder/secret"), root.follow ? secret : "none");
        CHECK_STR(content(&root, "out_dots"), root.follow ? secret : "none");
        CHECK_STR(content(&root, "out_absolute"), root.follow ? secret : "none");
        CHECK_STR(content(&root, "dangling"), "none");
        CHECK_STR(content(&root, "ring"), "none");
        fsi_root_close(&server, &root);
    }
}

// Goal: what is no plain file is neither opened nor waited for.
TEST(other_kinds)
{
    fsi_root root;
    bool last = false;
    char full[512];
    if (!os_fifo(in_tree(full, sizeof full, "root/fifo"))) SKIP("no FIFOs here");
    REQUIRE(os_socket_file(in_tree(full, sizeof full, "root/socket")));
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, "fifo"), "(other)");
        CHECK_STR(content(&root, "socket"), "(other)");
        fsi_root_close(&server, &root);
    }
}

// Goal: looks at a path and at an open file agree, and change with the file.
TEST(looks)
{
    fsi_root root;
    bool last = false;
    for (uint32_t i = 0; !last; i++) {
        fsi_os_file file;
        fsi_file_look a, b, c;
        REQUIRE(way(i, &root, &last));
        REQUIRE(put("root/look", "12345"));
        REQUIRE(fsi_file_open(&root, "look", true, &file, &a) == FSI_FILE_OK && file != FSI_NO_FILE);
        CHECK_EQ(a.kind, FSI_FILE_PLAIN);
        CHECK_EQ(a.id.size, 5);
        CHECK(a.id.modified_ns > (int64_t)1600000000 * 1000000000);
        REQUIRE(fsi_file_look_open(file, &b) == FSI_FILE_OK && fsi_file_look_at(&root, "look", &c) == FSI_FILE_OK);
        CHECK(memcmp(&a.id, &b.id, sizeof a.id) == 0);
        CHECK(memcmp(&a.id, &c.id, sizeof a.id) == 0);
        REQUIRE(put("root/look", "123456"));
        REQUIRE(fsi_file_look_open(file, &b) == FSI_FILE_OK && fsi_file_look_at(&root, "look", &c) == FSI_FILE_OK);
        CHECK_EQ(b.id.size, 6);
        CHECK(memcmp(&b.id, &c.id, sizeof a.id) == 0);
        fsi_file_close(file);
        CHECK_EQ(fsi_file_look_at(&root, "", &c), FSI_FILE_OK);
        CHECK_EQ(c.kind, FSI_FILE_FOLDER);
        CHECK_EQ(fsi_file_look_at(&root, "missing", &c), FSI_FILE_NONE);
        CHECK_EQ(fsi_file_look_at(&root, "a.txt/x", &c), FSI_FILE_NONE);
        fsi_root_close(&server, &root);
        char full[512];
        (void)remove(in_tree(full, sizeof full, "root/look"));
    }
}

typedef struct names {
    char text[32][64]; // "NAME kind size"
    uint32_t count, most;
} names;

static bool note(const char *name, const fsi_file_look *look, void *user)
{
    names *all = (names *)user;
    if (all->count < 32)
        (void)snprintf(all->text[all->count], sizeof all->text[0], "%s %u %u", name, look->kind,
                       look->kind == FSI_FILE_PLAIN ? (unsigned)look->id.size : 0u);
    return ++all->count != all->most;
}

static bool noted(const names *all, const char *text)
{
    for (uint32_t i = 0; i < all->count && i < 32; i++)
        if (strcmp(all->text[i], text) == 0) return true;
    return false;
}

// Goal: a folder's names with what they are; links by what they lead to, or not at all.
TEST(list)
{
    fsi_root root;
    bool last = false;
    REQUIRE(folder("root/list") && folder("root/list/folder") && put("root/list/file", "1234") &&
            put("root/list/\xc3\xa4", "") && put("root/list/.hidden", "1"));
    bool links = link_to("file", "root/list/link") && link_to("../../outside/secret", "root/list/out") &&
                 link_to("nowhere", "root/list/dangling");
    for (uint32_t i = 0; !last; i++) {
        names all;
        memset(&all, 0, sizeof all);
        REQUIRE(way(i, &root, &last));
        CHECK_EQ(fsi_file_list(&root, "list", note, &all), FSI_FILE_OK);
        CHECK(noted(&all, "folder 2 0") && noted(&all, "file 1 4") && noted(&all, "\xc3\xa4 1 0"));
        CHECK(noted(&all, ".hidden 1 1"));
        CHECK_EQ(noted(&all, "link 1 4"), links && (!root.walk || root.follow));
        CHECK_EQ(noted(&all, "out 1 10"), links && root.follow);
        for (uint32_t k = 0; k < all.count; k++) CHECK(strncmp(all.text[k], "dangling 1", 10) != 0);
        uint32_t count = all.count;
        memset(&all, 0, sizeof all);
        all.most = 2;
        CHECK_EQ(fsi_file_list(&root, "list", note, &all), FSI_FILE_OK);
        CHECK_EQ(all.count, 2);
        CHECK(count >= 4);
        CHECK_EQ(fsi_file_list(&root, "a.txt", note, &all), FSI_FILE_NONE);
        CHECK_EQ(fsi_file_list(&root, "missing", note, &all), FSI_FILE_NONE);
        fsi_root_close(&server, &root);
    }
}

// ---- without waiting

// Goal: what was just used is opened and read without waiting, where the system can say so; else the answer says that it
// cannot.
TEST(no_wait)
{
    fsi_root root;
    bool last = false;
    for (uint32_t i = 0; !last; i++) {
        fsi_os_file file;
        fsi_file_look look;
        char text[16];
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, "sub/b.txt"), "in sub");
        fsi_file_result result = fsi_file_open(&root, "sub/b.txt", false, &file, &look);
        CHECK_EQ(result, root.cached && !root.walk ? FSI_FILE_OK : FSI_FILE_BUSY);
        if (result == FSI_FILE_OK) {
            CHECK_EQ(fsi_file_read(file, 0, text, sizeof text, false), 6);
            CHECK_EQ(fsi_file_read(file, 3, text, sizeof text, false), 3);
            CHECK_BYTES(text, 3, "sub", 3);
            CHECK_EQ(fsi_file_read(file, 6, text, sizeof text, false), 0);
            CHECK_EQ(fsi_file_read(file, 7, text, sizeof text, false), 0);
            fsi_file_close(file);
            char unseen[32];
            (void)snprintf(unseen, sizeof unseen, "sub/unseen %u", i);
            CHECK_EQ(fsi_file_open(&root, unseen, false, &file, &look), FSI_FILE_BUSY);
        } else {
            CHECK(file == FSI_NO_FILE);
        }
        fsi_root_close(&server, &root);
    }
}

// ---- sending

// A connection over loopback: one end on an io, the other one a socket that blocks.
typedef struct line {
    fsi_io io;
    fsi_chan chan;
    int peer;
    uint32_t told;
} line;

static void on_client(fsi_chan *chan, uint32_t ready)
{
    line *l = (line *)chan->io->user;
    if (ready & FSI_READY_WRITE) l->told++;
}

static bool line_make(line *l)
{
    static bool sockets = false; // for the whole run
    fsi_sockaddr at;
    if (!sockets) sockets = fsi_sock_begin();
    memset(l, 0, sizeof *l);
    fsi_chan_init(&l->chan, FSI_CHAN_CLIENT);
    fsi_sockaddr_v4(&at, 0x7f000001, 0);
    int listener = fsi_sock_listen(&at, FSI_SHARE_NONE, false, 1);
    if (!sockets || listener < 0 || !fsi_sock_name(listener, &at) || !fsi_io_init(&l->io, NULL)) return false;
    l->io.on_client = on_client;
    l->io.user = l;
    l->peer = os_socket(AF_INET);
    bool fine = l->peer >= 0 && os_connect(l->peer, &at.storage, at.len);
    l->chan.fd = fine ? os_accept(listener) : -1;
    if (l->chan.fd >= 0) os_block(l->chan.fd, false);
    os_close(listener);
    return l->chan.fd >= 0 && fsi_io_open(&l->io, &l->chan);
}

static void line_end(line *l)
{
    fsi_io_close(&l->chan, true);
    if (l->peer >= 0) os_close(l->peer);
    fsi_io_free(&l->io);
}

static void turn(line *l)
{
    (void)fsi_io_wait(&l->io, UINT64_MAX);
    fsi_io_dispatch(&l->io);
}

static char byte_at(uint64_t at)
{
    return (char)(at * 131 + (at >> 8) * 7 + (at >> 16));
}

static bool put_pattern(const char *path, uint64_t size)
{
    char full[512], part[65536];
    (void)in_tree(full, sizeof full, path);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < sizeof part ? (size_t)(size - at) : sizeof part;
        for (size_t i = 0; i < n; i++) part[i] = byte_at(at + i);
        if (!os_file_put(full, at, part, n)) return false;
        at += n;
    }
    return true;
}

// Sends all of a part while the peer takes at most `step` bytes whenever the socket is full. Returns what was sent;
// *pending: how often it was full. `wrong`: bytes that came differently.
static uint64_t send_all(line *l, fsi_os_file file, uint64_t at, uint64_t len, size_t step, uint32_t *pending,
                         uint64_t *wrong)
{
    char *part = (char *)malloc(step);
    uint64_t sent = 0, taken = 0;
    *pending = 0;
    *wrong = 0;
    while (taken < len) {
        int64_t n = sent < len ? fsi_io_send_file(&l->chan, file, at + sent, len - sent, true) : FSI_PENDING;
        if (n > 0) {
            sent += (uint64_t)n;
            continue;
        }
        if (n != FSI_PENDING) break;
        ++*pending;
        int64_t got = os_recv(l->peer, part, step);
        if (got <= 0) break;
        for (int64_t i = 0; i < got; i++) *wrong += part[i] != byte_at(at + taken + (uint64_t)i);
        taken += (uint64_t)got;
        uint32_t told = l->told;
        (void)fsi_io_wait(&l->io, 0);
        fsi_io_dispatch(&l->io);
        (void)told;
    }
    free(part);
    return taken;
}

// Goal: any part of a file arrives as it is, through a socket that is full again and again.
TEST(send_parts)
{
    static const uint64_t parts[][2] = {{0, 1}, {0, 3000000}, {1, 4096}, {4095, 2}, {2999999, 1}, {123457, 1000001}};
    fsi_root root;
    bool last;
    REQUIRE(put_pattern("root/large", 3000000));
    REQUIRE(way(0, &root, &last));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        line l;
        fsi_os_file file;
        fsi_file_look look;
        uint32_t pending;
        uint64_t wrong;
        ROW("at %u, %u bytes", (unsigned)parts[i][0], (unsigned)parts[i][1]);
        REQUIRE(line_make(&l));
        REQUIRE(fsi_file_open(&root, "large", true, &file, &look) == FSI_FILE_OK && file != FSI_NO_FILE);
        CHECK_EQ(send_all(&l, file, parts[i][0], parts[i][1], 20000, &pending, &wrong), parts[i][1]);
        CHECK_EQ(wrong, 0);
        CHECK(parts[i][1] < 2000000 || pending > 10);
        fsi_file_close(file);
        line_end(&l);
    }
    fsi_root_close(&server, &root);
}

// Goal: a file that ends before what was promised says so.
TEST(send_past_the_end)
{
    fsi_root root;
    line l;
    fsi_os_file file;
    fsi_file_look look;
    bool last;
    char full[512], got[64];
    REQUIRE(put_pattern("root/short", 1000));
    REQUIRE(way(0, &root, &last) && line_make(&l));
    REQUIRE(fsi_file_open(&root, "short", true, &file, &look) == FSI_FILE_OK && file != FSI_NO_FILE);
    CHECK_EQ(fsi_io_send_file(&l.chan, file, 1000, 1, true), 0);
    CHECK_EQ(fsi_io_send_file(&l.chan, file, 5000, 1000, false), 0);
    REQUIRE(os_file_cut(in_tree(full, sizeof full, "root/short"), 500));
    CHECK_EQ(fsi_io_send_file(&l.chan, file, 450, 550, true), 50);
    CHECK_EQ(fsi_io_send_file(&l.chan, file, 500, 500, true), 0);
    CHECK_EQ(os_recv(l.peer, got, sizeof got), 50);
    CHECK(got[0] == byte_at(450) && got[49] == byte_at(499));
    fsi_file_close(file);
    line_end(&l);
    fsi_root_close(&server, &root);
}

// Goal: a peer that has reset the connection is an error, and no signal, on a thread that takes signals.
TEST(send_to_the_gone)
{
    fsi_root root;
    line l;
    fsi_os_file file;
    fsi_file_look look;
    bool last;
    os_signals before = os_signals_begin();
    CHECK(before.pipe_ends);
    REQUIRE(put_pattern("root/gone", 300000));
    REQUIRE(way(0, &root, &last) && line_make(&l));
    REQUIRE(fsi_file_open(&root, "gone", true, &file, &look) == FSI_FILE_OK && file != FSI_NO_FILE);
    os_close_resets(l.peer);
    os_close(l.peer);
    l.peer = -1;
    while (!l.chan.eof) turn(&l);
    int64_t n = 1;
    for (uint32_t i = 0; i < 100 && n > 0; i++) n = fsi_io_send_file(&l.chan, file, 0, 300000, true);
    CHECK_EQ(n, FSI_FAILED);
    CHECK_EQ(fsi_io_send_file(&l.chan, file, 0, 300000, true), FSI_FAILED); // the first may have been ECONNRESET
    os_signals after = os_signals_now();
    CHECK_EQ(after.blocked, before.blocked);
    CHECK_EQ(after.pipe_ends, before.pipe_ends);
    fsi_file_close(file);
    line_end(&l);
    fsi_root_close(&server, &root);
}

TEST(begins)
{
    REQUIRE(tree_make());
}

TEST(ends)
{
    os_tree_remove(tree);
    CHECK(!os_exists(tree));
}

TEST_MAIN(CASE(begins), CASE(open_plain), CASE(root_refused), CASE(links), CASE(other_kinds), CASE(looks), CASE(list),
          CASE(no_wait), CASE(send_parts), CASE(send_past_the_end), CASE(send_to_the_gone), CASE(ends))
