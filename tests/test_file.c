// test_file.c: the contract of >>file and of fsi_io_send_file, over a tree of its own. Nothing in here knows which system
// is below. Where there are two ways into a folder, the system's own and the walk, each case takes both.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"
#include "os.h"

static fsv_server server; // for its allocator: the C library's
static char tree[256];    // a folder of this process's own: `root`, which is served, and `outside`, with a secret
static const char *const secret = "the secret";
static const char *const umlauts = "root/gr\xc3\xbc\xc3\x9f"
                                   "e \xe6\xbc\xa2.txt";

// ---- the tree

static bool tree_make(void);

static void tree_remove(void)
{
    os_tree_remove(tree);
    if (os_exists(tree)) (void)printf("%s stays behind\n", tree);
}

// The path of something in the tree, which is made before the first one.
static const char *in_tree(char *out, size_t size, const char *path)
{
    if (!tree[0] && (!os_folder_make(tree, sizeof tree) || atexit(tree_remove) != 0 || !tree_make()))
        test_fail(__FILE__, __LINE__, "there is no tree in %s", tree);
    (void)snprintf(out, size, "%s/%s", tree, path);
    return out;
}

static bool put(const char *path, const char *text)
{
    char full[512];
    return os_file_put(in_tree(full, sizeof full, path), 0, text, strlen(text));
}

static char byte_at(uint64_t at)
{
    return (char)(at * 131 + (at >> 8) * 7 + (at >> 16));
}

static bool put_pattern(const char *path, uint64_t size)
{
    static char part[65536];
    char full[512];
    (void)in_tree(full, sizeof full, path);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < sizeof part ? (size_t)(size - at) : sizeof part;
        for (size_t i = 0; i < n; i++) part[i] = byte_at(at + i);
        if (!os_file_put(full, at, part, n)) return false;
        at += n;
    }
    return true;
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
    return folder("root") && folder("outside") && put("outside/secret", secret) && put("root/a.txt", "hello") &&
           put("root/empty", "") && folder("root/sub") && folder("root/sub/deep") && put("root/sub/b.txt", "in sub") &&
           put("root/sub/deep/c.txt", "deep down") && put("root/a name with spaces.txt", "spaces") &&
           put(umlauts, "umlauts") && put_pattern("root/large", 3000000);
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
    static char long_name[300], long_path[6000];
    fsi_root root;
    bool last = false;
    memset(long_name, 'n', sizeof long_name - 1);
    for (size_t i = 0; i + 2 < sizeof long_path; i += 2) memcpy(long_path + i, "a/", 2);
    long_path[sizeof long_path - 2] = 'a';
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, "a.txt"), "hello");
        CHECK_STR(content(&root, "empty"), "");
        CHECK_STR(content(&root, "sub/b.txt"), "in sub");
        CHECK_STR(content(&root, "sub/deep/c.txt"), "deep down");
        CHECK_STR(content(&root, "a name with spaces.txt"), "spaces");
        CHECK_STR(content(&root, umlauts + strlen("root/")), "umlauts");
        CHECK_STR(content(&root, ""), "(folder)");
        CHECK_STR(content(&root, "sub"), "(folder)");
        CHECK_STR(content(&root, "sub/deep"), "(folder)");
        CHECK_STR(content(&root, "missing"), "none");
        CHECK_STR(content(&root, "sub/missing"), "none");
        CHECK_STR(content(&root, "missing/a.txt"), "none");
        CHECK_STR(content(&root, "a.txt/b.txt"), "none");
        CHECK_STR(content(&root, "bad \xff utf-8"), "none");
        CHECK_STR(content(&root, long_name), "none");
        CHECK_STR(content(&root, long_path), "none");
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
    CHECK_EQ(fsi_root_open(&server, &root, "", false), FSI_FILE_NONE);
    CHECK_EQ(fsi_root_open(&server, &root, "bad \xff utf-8", false), FSI_FILE_NONE);
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

// Goal: a file has one name; the short one that Windows gives it besides is none.
TEST(short_names)
{
    fsi_root root;
    bool last = false;
    char full[512], name[64];
    if (!os_short_name(in_tree(full, sizeof full, "root/a name with spaces.txt"), name, sizeof name))
        SKIP("no short names here");
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, name), root.follow ? "spaces" : "none");
        CHECK_STR(content(&root, "a name with spaces.txt::$DATA"), "none");
        fsi_root_close(&server, &root);
    }
}

// Goal: what is no plain file is neither waited for nor opened: who waits to write into a FIFO still waits.
TEST(other_kinds)
{
    fsi_root root;
    bool last = false;
    char full[512];
    if (!os_fifo(in_tree(full, sizeof full, "root/fifo"))) SKIP("no FIFOs here");
    int watch = os_opens_watch(full);
    REQUIRE(os_socket_file(in_tree(full, sizeof full, "root/socket")) && link_to("/dev/zero", "root/device"));
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, "fifo"), "(other)");
        if (watch >= 0) CHECK(!os_opens_seen(watch));
        CHECK_STR(content(&root, "socket"), "(other)");
        if (root.follow || strcmp(content(&root, "device"), "none") != 0) // outside, but nothing of it is told
            CHECK_STR(content(&root, "device"), "(other)");
        CHECK_STR(content(&root, "fifo/x"), "none");
        fsi_root_close(&server, &root);
    }
    if (watch >= 0) os_close(watch);
}

// Goal: what may not be read is told from what is not there.
TEST(unreadable)
{
    fsi_root root;
    bool last = false;
    char full[512];
    REQUIRE(put("root/unreadable", "x") && folder("root/closed") && put("root/closed/file", "x"));
    if (!os_unreadable(in_tree(full, sizeof full, "root/unreadable"))) SKIP("whoever runs this may read everything");
    REQUIRE(os_unreadable(in_tree(full, sizeof full, "root/closed")));
    for (uint32_t i = 0; !last; i++) {
        REQUIRE(way(i, &root, &last));
        CHECK_STR(content(&root, "unreadable"), "denied");
        CHECK_STR(content(&root, "closed/file"), "denied");
        fsi_root_close(&server, &root);
    }
    REQUIRE(os_readable(full));
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
        CHECK(b.id.modified_ns >= a.id.modified_ns && b.id.changed_ns >= b.id.modified_ns);
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

// What stands at root/swap changes, as fast as a thread can: a folder with the file that is meant, a link that leads to a
// folder outside with a file of the same name.
typedef struct swapper {
    fsi_thread thread;
    uint32_t stop;
    uint64_t turns;
} swapper;

static void rename_at_last(const char *from, const char *to) // not while somebody is in there, on Windows
{
    while (!os_rename(from, to)) os_yield();
}

static void swap_all_the_time(void *arg)
{
    swapper *swap = (swapper *)arg;
    char at[512], good[512], bad[512];
    (void)in_tree(at, sizeof at, "root/swap");
    (void)in_tree(good, sizeof good, "root/swap_good");
    (void)in_tree(bad, sizeof bad, "root/swap_bad");
    while (!fsi_load32(&swap->stop)) {
        rename_at_last(at, good);
        rename_at_last(bad, at);
        rename_at_last(at, bad);
        rename_at_last(good, at);
        swap->turns++;
    }
}

typedef struct tally {
    uint32_t inside, outside, none, other;
} tally;

static bool tally_name(const char *name, const fsi_file_look *look, void *user)
{
    tally *all = (tally *)user;
    (void)look;
    if (strcmp(name, "outside only") == 0) all->outside++;
    if (strcmp(name, "inside only") == 0) all->inside++;
    return true;
}

// Goal: however a part of a path is swapped while it is walked, no byte and no name from outside comes out of it.
TEST(swapped_while_opened)
{
    if (!folder("outside/swap") || !put("outside/swap/file", secret) || !put("outside/swap/outside only", "") ||
        !link_to("../outside/swap", "root/swap_bad"))
        SKIP("no symbolic links here");
    REQUIRE(folder("root/swap") && put("root/swap/file", "inside") && put("root/swap/inside only", ""));
    fsi_root root;
    bool last = false;
    for (uint32_t i = 0; !last; i++) {
        static swapper swap;
        tally seen, listed;
        memset(&seen, 0, sizeof seen);
        memset(&listed, 0, sizeof listed);
        memset(&swap, 0, sizeof swap);
        REQUIRE(way(i, &root, &last));
        REQUIRE(fsi_thread_start(&swap.thread, swap_all_the_time, &swap, "swap"));
        for (uint32_t n = 0; n < 200000; n++) {
            const char *text = content(&root, "swap/file");
            seen.inside += strcmp(text, "inside") == 0;
            seen.outside += strcmp(text, secret) == 0;
            seen.none += strcmp(text, "none") == 0;
            seen.other += strcmp(text, "failed") == 0 || strncmp(text, "read", 4) == 0;
            if (n % 16 == 0) (void)fsi_file_list(&root, "swap", tally_name, &listed);
            // Enough has been seen when both have been met often, inside and what is refused; or all three.
            if (n > 3000 && seen.inside > 100 && seen.none > 100 && (!root.follow || seen.outside > 100)) break;
        }
        fsi_store32(&swap.stop, 1);
        fsi_thread_join(&swap.thread);
        CHECK(seen.inside > 0 && seen.none > 0 && listed.inside > 0);
        CHECK(swap.turns > 0);
        CHECK_EQ(seen.other, 0);
        if (root.follow) {
            CHECK(seen.outside > 0); // else nothing was raced for
        } else {
            CHECK_EQ(seen.outside, 0);
            CHECK_EQ(listed.outside, 0);
        }
        fsi_root_close(&server, &root);
    }
}

// Goal: a folder that somebody swaps with a link to another one of the same owner is never renewed to that one, whenever
// the swap happens: what is looked at is what was opened.
TEST(swapped_while_renewed)
{
    char full[512];
    fsi_root root;
    static swapper swap;
    uint32_t kept = 0, renewed = 0;
    if (!os_exists(in_tree(full, sizeof full, "root/swap_bad")) && // the case before may have made all of it
        (!folder("outside/swap") || !put("outside/swap/outside only", "") ||
         !link_to("../outside/swap", "root/swap_bad") || !folder("root/swap")))
        SKIP("no symbolic links here");
    memset(&swap, 0, sizeof swap);
    REQUIRE(fsi_root_open(&server, &root, in_tree(full, sizeof full, "root/swap"), false) == FSI_FILE_OK);
    REQUIRE(fsi_thread_start(&swap.thread, swap_all_the_time, &swap, "swap"));
    for (uint32_t n = 0; n < 20000; n++) {
        kept += fsi_root_renew(&root) == FSI_FILE_DENIED;
        renewed += strcmp(content(&root, "outside only"), "none") != 0;
    }
    fsi_store32(&swap.stop, 1);
    fsi_thread_join(&swap.thread);
    CHECK_EQ(renewed, 0);
    CHECK(kept > 0 || !FSI_POSIX); // else nothing was raced for
    fsi_root_close(&server, &root);
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

typedef struct numbers {
    uint8_t seen[1000];
    uint32_t others;
} numbers;

static bool note_number(const char *name, const fsi_file_look *look, void *user)
{
    numbers *all = (numbers *)user;
    unsigned i = 1000;
    if (sscanf(name, "a name that is not short, number %u", &i) == 1 && i < 1000 && look->kind == FSI_FILE_PLAIN &&
        look->id.size == i % 7)
        all->seen[i]++;
    else
        all->others++;
    return true;
}

// Goal: a large folder is listed whole, each name once.
TEST(list_many)
{
    fsi_root root;
    bool last = false;
    REQUIRE(folder("root/many"));
    for (unsigned i = 0; i < 1000; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "root/many/a name that is not short, number %u", i);
        REQUIRE(put(path, &"1234567"[7 - i % 7]));
    }
    for (uint32_t i = 0; !last; i++) {
        static numbers all;
        uint32_t once = 0;
        memset(&all, 0, sizeof all);
        REQUIRE(way(i, &root, &last));
        CHECK_EQ(fsi_file_list(&root, "many", note_number, &all), FSI_FILE_OK);
        for (uint32_t k = 0; k < 1000; k++) once += all.seen[k] == 1;
        CHECK_EQ(once, 1000);
        CHECK_EQ(all.others, 0);
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

// ---- large and old

#define FAR_AWAY ((uint64_t)5 << 30)

// Goal: files are as long as they like.
TEST(beyond_4_gib)
{
    fsi_root root;
    bool last = false;
    char full[512], text[32];
    REQUIRE(put("root/sparse", "the beginning"));
    REQUIRE(os_file_put(in_tree(full, sizeof full, "root/sparse"), FAR_AWAY, "the end", 7));
    for (uint32_t i = 0; !last; i++) {
        fsi_os_file file;
        fsi_file_look look;
        REQUIRE(way(i, &root, &last));
        REQUIRE(fsi_file_open(&root, "sparse", true, &file, &look) == FSI_FILE_OK && file != FSI_NO_FILE);
        CHECK(look.id.size == FAR_AWAY + 7);
        CHECK_EQ(fsi_file_read(file, FAR_AWAY - 2, text, sizeof text, true), 9);
        CHECK_BYTES(text, 9, "\0\0the end", 9);
        int64_t got = fsi_file_read(file, FAR_AWAY, text, sizeof text, false);
        CHECK(got == 7 || got == FSI_PENDING);
        CHECK_EQ(fsi_file_read(file, FAR_AWAY + 7, text, sizeof text, true), 0);
        CHECK_EQ(fsi_file_read(file, FAR_AWAY * 2, text, sizeof text, true), 0);
        CHECK_EQ(fsi_file_read(file, 0, text, 13, true), 13);
        CHECK_BYTES(text, 13, "the beginning", 13);
        fsi_file_warm(file, FAR_AWAY, 1 << 20);
        fsi_file_close(file);
        CHECK(fsi_file_look_at(&root, "sparse", &look) == FSI_FILE_OK && look.id.size == FAR_AWAY + 7);
        fsi_root_close(&server, &root);
    }
}

// Goal: no time stamp overflows.
TEST(times)
{
    CHECK(fsi_file_ns(0, 5) == 5);
    CHECK(fsi_file_ns(-1, 999999999) == -1);
    CHECK(fsi_file_ns(1700000000, 1) == (int64_t)1700000000 * 1000000000 + 1);
    CHECK(fsi_file_ns(INT64_MAX, 999999999) > INT64_MAX / 16 * 15);
    CHECK(fsi_file_ns(INT64_MIN, 0) < 0);
}

// ---- sending

// A connection: one end on an io, the other one a socket that blocks.
typedef struct line {
    fsi_io io;
    fsi_chan chan;
    int peer;
    uint32_t told;      // how often it can be written again
    bool ended;         // the peer has
    bool bare;          // files leave it without a copy
    fsi_file_look look; // otherwise: what the file must still be
} line;

static void on_client(fsi_chan *chan, uint32_t ready)
{
    line *l = (line *)chan->io->user;
    if (ready & FSI_READY_WRITE) l->told++;
    if (chan->eof) l->ended = true;
}

// Over loopback, with a peer that takes little in advance.
static bool line_connect(line *l)
{
    fsi_sockaddr at;
    fsi_sockaddr_v4(&at, 0x7f000001, 0);
    int listener = fsi_sock_listen(&at, FSI_SHARE_NONE, false, 1);
    if (listener < 0 || !fsi_sock_name(listener, &at)) return false;
    l->peer = os_socket(AF_INET);
    (void)os_option(l->peer, SOL_SOCKET, SO_RCVBUF, 32768);
    bool fine = l->peer >= 0 && os_connect(l->peer, &at.storage, (size_t)at.len);
    l->chan.fd = fine ? os_accept(listener) : -1;
    os_close(listener);
    return l->chan.fd >= 0;
}

static bool line_make(line *l, bool pair)
{
    static bool sockets = false; // for the whole run
    int ends[2];
    if (!sockets) sockets = fsi_sock_begin();
    memset(l, 0, sizeof *l);
    fsi_chan_init(&l->chan, FSI_CHAN_CLIENT);
    if (!sockets || !fsi_io_init(&l->io, NULL)) return false;
    l->io.on_client = on_client;
    l->io.user = l;
    if (!pair && !line_connect(l)) return false;
    if (pair && !os_pair(ends)) return false;
    if (pair) l->chan.fd = ends[0];
    if (pair) l->peer = ends[1];
    os_block(l->chan.fd, false);
    (void)os_option(l->chan.fd, SOL_SOCKET, SO_SNDBUF, 65536);
    return fsi_io_open(&l->io, &l->chan);
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

// The ways to send: by a copy and without one, over a connection and over a pair of sockets.
static bool send_way(uint32_t i, line *l, fsi_os_file file, bool *last)
{
    *last = i == 3;
    if (file == FSI_NO_FILE || !line_make(l, i & 1)) return false;
    l->bare = i >= 2;
#if FSI_IO_IOCP
    l->io.transmits = l->bare;
#endif
    ROW("%s, %s", i & 1 ? "pair" : "connection", l->bare ? "without a copy" : "a copy");
    return fsi_file_look_open(file, &l->look) == FSI_FILE_OK;
}

static int64_t send_part(line *l, fsi_os_file file, uint64_t at, uint64_t len, bool wait)
{
    return fsi_io_send_file(&l->chan, file, at, len, l->bare ? NULL : &l->look, wait);
}

// Opens a plain file of the tree.
static fsi_os_file open_plain(const char *path)
{
    fsi_root root;
    fsi_os_file file;
    fsi_file_look look;
    char full[512];
    if (fsi_root_open(&server, &root, in_tree(full, sizeof full, "root"), false) != FSI_FILE_OK) return FSI_NO_FILE;
    (void)fsi_file_open(&root, path, true, &file, &look);
    fsi_root_close(&server, &root); // what was opened outlives it
    return file;
}

static const char zeroes[3000000] = {0};

// What went over a line.
typedef struct course {
    uint64_t sent, taken; // as one side says, and the other
    uint64_t wrong;       // bytes that are not the file's
    uint64_t most;        // of one call
    uint32_t pending;     // calls that met a socket that is full
    uint64_t cut_at;      // not 0: the file ends here once half of it was taken
    bool over;            // then all of it is written over
    int64_t result;       // what ended it
} course;

// The peer takes a part whenever there is nothing else to be done.
static bool take(line *l, course *c, uint64_t at)
{
    static char part[20000];
    int64_t got = os_recv(l->peer, part, sizeof part);
    if (got <= 0) return false;
    for (int64_t i = 0; i < got; i++) c->wrong += part[i] != byte_at(at + c->taken + (uint64_t)i);
    c->taken += (uint64_t)got;
    return true;
}

// Sends [at, at + len) of the file and takes it at the other end. After FSI_PENDING only what the io tells leads on.
static void run(line *l, const char *path, fsi_os_file file, uint64_t at, uint64_t len, course *c)
{
    char full[512];
    while (c->sent < len) {
        uint32_t told = l->told;
        c->result = send_part(l, file, at + c->sent, len - c->sent, true);
        if (c->result > (int64_t)c->most) c->most = (uint64_t)c->result;
        if (c->result > 0) c->sent += (uint64_t)c->result;
        if (c->result > 0) continue;
        if (c->result != FSI_PENDING) break;
        c->pending++;
        while (l->told == told) {
            if (os_poll(l->peer, OS_READ, 0) && !take(l, c, at)) return;
            (void)fsi_io_wait(&l->io, os_poll(l->peer, OS_READ, 0) ? 0 : 1000);
            fsi_io_dispatch(&l->io);
        }
        if (c->cut_at && c->taken > len / 2) {
            CHECK(os_file_cut(in_tree(full, sizeof full, path), (uint32_t)c->cut_at));
            c->cut_at = 0;
        }
        if (c->over && c->taken > len / 2) {
            CHECK(os_file_put(in_tree(full, sizeof full, path), 0, zeroes, sizeof zeroes));
            c->over = false;
        }
    }
    while (c->taken < c->sent && take(l, c, at)) continue;
}

// Goal: any part of a file arrives as it is, through a socket that is full again and again, and no call sends so much that
// others wait for it.
TEST(send_parts)
{
    static const uint64_t parts[][2] = {{0, 1}, {0, 3000000}, {1, 4096}, {4095, 2}, {2999999, 1}, {123457, 1000001}};
    bool last = false;
    for (uint32_t i = 0; !last; i++) {
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            line l;
            course c;
            fsi_os_file file = open_plain("large");
            memset(&c, 0, sizeof c);
            REQUIRE(send_way(i, &l, file, &last));
            run(&l, "root/large", file, parts[k][0], parts[k][1], &c);
            CHECK_EQ(c.sent, parts[k][1]);
            CHECK_EQ(c.taken, parts[k][1]);
            CHECK_EQ(c.wrong, 0);
            CHECK(c.most <= FSI_FILE_TURN);
            CHECK(parts[k][1] < 3000000 || c.pending > 0);
            fsi_file_close(file);
            line_end(&l);
        }
    }
}

// Goal: one call sends so much and no more, even if the socket takes it; and what a connection keeps unsent is bounded, once.
TEST(send_bounds)
{
    line l;
    int64_t n;
    bool last;
    fsi_os_file file = open_plain("large");
    REQUIRE(send_way(0, &l, file, &last));
    int64_t before = os_unsent_most(l.chan.fd);
    while ((n = send_part(&l, file, 0, 3000000, true)) == FSI_PENDING) turn(&l);
    CHECK(n > 0 && l.chan.bounded == (before >= 0));
    CHECK_EQ(os_unsent_most(l.chan.fd), before < 0 ? before : FSI_FILE_UNSENT);
    line_end(&l);
    REQUIRE(send_way(1, &l, file, &last));
    (void)os_option(l.chan.fd, SOL_SOCKET, SO_SNDBUF, 4 << 20);
    while ((n = send_part(&l, file, 0, 3000000, true)) == FSI_PENDING) turn(&l);
    CHECK(n > 16384 && n <= (int64_t)FSI_FILE_TURN); // a copy may take less
    fsi_file_close(file);
    line_end(&l);
}

// Goal: what stands beyond 4 GiB is sent as well.
TEST(send_from_far)
{
    bool last = false;
    REQUIRE(put("root/sparse", "the beginning"));
    char full[512], got[64];
    REQUIRE(os_file_put(in_tree(full, sizeof full, "root/sparse"), FAR_AWAY, "the end", 7));
    for (uint32_t i = 0; !last; i++) {
        line l;
        int64_t n;
        fsi_os_file file = open_plain("sparse");
        REQUIRE(send_way(i, &l, file, &last));
        while ((n = send_part(&l, file, FAR_AWAY, 100, true)) == FSI_PENDING) turn(&l);
        CHECK_EQ(n, 7);
        CHECK_EQ(os_recv(l.peer, got, sizeof got), 7);
        CHECK_BYTES(got, 7, "the end", 7);
        while ((n = send_part(&l, file, FAR_AWAY + 7, 100, true)) == FSI_PENDING) turn(&l);
        CHECK_EQ(n, 0);
        fsi_file_close(file);
        line_end(&l);
    }
}

// Goal: a file that ends before what was promised says so.
TEST(send_past_the_end)
{
    bool last = false;
    char full[512], got[64];
    (void)in_tree(full, sizeof full, "root/short");
    for (uint32_t i = 0; !last; i++) {
        line l;
        int64_t n;
        (void)remove(full);
        REQUIRE(put_pattern("root/short", 1000));
        fsi_os_file file = open_plain("short");
        REQUIRE(send_way(i, &l, file, &last));
        CHECK_EQ(send_part(&l, file, 1000, 1, true), 0);
        n = send_part(&l, file, 5000, 1000, false);
        CHECK(n == 0 || n == FSI_COLD);
        REQUIRE(os_file_cut(full, 500));
        if (!l.bare) { // it is not what was promised any more
            CHECK_EQ(send_part(&l, file, 450, 550, true), FSI_FAILED);
            CHECK_EQ(fsi_file_look_open(file, &l.look), FSI_FILE_OK);
        }
        while ((n = send_part(&l, file, 450, 550, true)) == FSI_PENDING) turn(&l);
        CHECK_EQ(n, 50);
        CHECK_EQ(send_part(&l, file, 500, 500, true), 0);
        CHECK_EQ(os_recv(l.peer, got, sizeof got), 50);
        CHECK(got[0] == byte_at(450) && got[49] == byte_at(499));
        fsi_file_close(file);
        line_end(&l);
    }
}

// Goal: a file that is cut while it is sent ends there, without a byte that was never in it.
TEST(cut_while_sent)
{
    bool last = false;
    char full[512];
    (void)in_tree(full, sizeof full, "root/cut");
    for (uint32_t i = 0; !last; i++) {
        line l;
        course c;
        (void)remove(full);
        REQUIRE(put_pattern("root/cut", 3000000));
        fsi_os_file file = open_plain("cut");
        memset(&c, 0, sizeof c);
        c.cut_at = 1000;
        REQUIRE(send_way(i, &l, file, &last));
        run(&l, "root/cut", file, 0, 3000000, &c);
        CHECK_EQ(c.cut_at, 0);
        CHECK(c.result == 0 || c.result == FSI_FAILED); // the latter where a part was with the system
        CHECK(c.sent < 3000000);
        CHECK_EQ(c.taken, c.sent);
        CHECK_EQ(c.wrong, 0);
        fsi_file_close(file);
        line_end(&l);
    }
}

// Goal: of a file that is written over while it is sent nothing new arrives under the old length, if what is sent is a copy.
TEST(written_while_sent)
{
    for (uint32_t i = 0; i < 2; i++) {
        line l;
        course c;
        bool last;
        REQUIRE(put_pattern("root/over", sizeof zeroes));
        fsi_os_file file = open_plain("over");
        memset(&c, 0, sizeof c);
        c.over = true;
        REQUIRE(send_way(i, &l, file, &last));
        run(&l, "root/over", file, 0, sizeof zeroes, &c);
        CHECK(!c.over);
        CHECK_EQ(c.result, FSI_FAILED);
        CHECK(c.sent < sizeof zeroes);
        CHECK_EQ(c.taken, c.sent);
        CHECK_EQ(c.wrong, 0);
        fsi_file_close(file);
        line_end(&l);
    }
}

// Goal: a peer that is gone is an error and no signal, on a thread that takes signals, and leaves the thread's mask as it
// was.
TEST(send_to_the_gone)
{
    bool last = false;
    os_signals before = os_signals_begin();
    CHECK(before.pipe_ends);
    REQUIRE(put_pattern("root/gone", 300000));
    for (uint32_t i = 0; !last; i++) {
        line l;
        int64_t n = 1;
        fsi_os_file file = open_plain("gone");
        REQUIRE(send_way(i, &l, file, &last));
        os_close_resets(l.peer);
        os_close(l.peer);
        l.peer = -1;
        for (uint32_t k = 0; k < 100 && n != FSI_FAILED; k++)
            while ((n = send_part(&l, file, 0, 300000, true)) == FSI_PENDING) turn(&l);
        CHECK_EQ(n, FSI_FAILED);
        CHECK_EQ(send_part(&l, file, 0, 300000, true), FSI_FAILED); // the first may have been another error
        os_signals after = os_signals_now();
        CHECK_EQ(after.blocked, before.blocked);
        CHECK_EQ(after.pipe_ends, before.pipe_ends);
        CHECK(!os_pipe_waits());
        fsi_file_close(file);
        line_end(&l);
    }
}

// Goal: a SIGPIPE that waited before is the host's, and still waits afterwards.
TEST(signal_of_the_host)
{
    line l;
    int64_t n = 1;
    bool last;
    if (!os_pipe_raise()) SKIP("no signals here");
    REQUIRE(put_pattern("root/gone", 300000));
    fsi_os_file file = open_plain("gone");
    REQUIRE(send_way(3, &l, file, &last));
    os_close(l.peer);
    l.peer = -1;
    for (uint32_t k = 0; k < 3; k++) n = send_part(&l, file, 0, 300000, true);
    CHECK_EQ(n, FSI_FAILED);
    CHECK(os_pipe_waits());
    os_pipe_take();
    CHECK(!os_pipe_waits());
    fsi_file_close(file);
    line_end(&l);
}

// A client on loopback that asks for a large file, takes a little of it and is gone in the worst way: its direction has
// ended, and what it did not take answers with a reset.
static bool ask_and_go(fsv_server *polled)
{
    char bytes[64];
    fsi_sockaddr at;
    fsv_stats stats;
    static const char request[] = "GET /large HTTP/1.1\r\nHost: t\r\n\r\n";
    int fd = os_socket(AF_INET);
    fsi_sockaddr_v4(&at, 0x7f000001, fsv_server_port(polled, 0));
    (void)os_option(fd, SOL_SOCKET, SO_RCVBUF, 32768);
    bool fine = fd >= 0 && os_connect(fd, &at.storage, (size_t)at.len) &&
                os_send(fd, request, sizeof request - 1) == sizeof request - 1;
    for (stats.bytes_sent = 0; fine && stats.bytes_sent < 65536;)
        fine = fsv_server_poll(polled, 10) == FSV_OK && fsv_server_stats(polled, 0, &stats) == FSV_OK;
    fine = fine && os_recv(fd, bytes, sizeof bytes) > 0;
    os_shut(fd, false);
    for (int i = 0; i < 5; i++) fine = fine && fsv_server_poll(polled, 0) == FSV_OK;
    os_close(fd);
    for (stats.conns_closed = 0; fine && stats.conns_closed == 0;)
        fine = fsv_server_poll(polled, 10) == FSV_OK && fsv_server_stats(polled, 0, &stats) == FSV_OK;
    return fine;
}

// Goal: a server that runs on a thread of the host's raises no signal there, whatever a client does to a file.
TEST(borrowed_thread)
{
    os_signals before = os_signals_begin();
    char full[512];
    for (int i = 0; i < 20; i++) {
        fsv_server *polled = NULL;
        fsv_server_desc desc;
        fsv_folder_desc files;
        memset(&desc, 0, sizeof desc);
        memset(&files, 0, sizeof files);
        files.pattern = "/*";
        files.path = in_tree(full, sizeof full, "root");
        files.sendfile = i & 1;
        REQUIRE(fsv_server_create(&polled, &desc) == FSV_OK && fsv_server_folder(polled, &files, NULL) == FSV_OK);
        REQUIRE(fsv_server_listen(polled, "127.0.0.1:0") == FSV_OK);
        CHECK(ask_and_go(polled));
        CHECK(polled->loops[0].borrowed);
        fsv_server_stop(polled, 0);
        while (fsv_server_poll(polled, 10) == FSV_OK) continue;
        CHECK_EQ(fsv_server_free(polled), FSV_OK);
    }
    CHECK_EQ(os_signals_now().blocked, before.blocked);
    CHECK(!os_pipe_waits());
}

// Goal: who may not wait for a disk is told so while the file is not in memory, and nothing was sent. A disk may be so fast
// that nobody has to wait; not always.
static void cold_way(uint32_t way)
{
    line l;
    bool last, told = false, read = false;
    static char bytes[4096];
    char full[512];
    REQUIRE(put_pattern("root/cold", 1 << 20));
    fsi_os_file file = open_plain("cold");
    REQUIRE(send_way(way, &l, file, &last));
    (void)in_tree(full, sizeof full, "root/cold");
    uint32_t times = 0; // that it was not in memory
    for (uint32_t i = 0; i < 200 && (!told || !read); i++) {
        if (!os_file_chill(full)) continue;
        times++;
        if (!told) {
            int64_t sent = send_part(&l, file, 0, 1, false);
            CHECK(sent == 1 || sent == FSI_COLD);
            told = sent == FSI_COLD;
            CHECK_EQ(os_poll(l.peer, OS_READ, 0), told ? 0 : OS_READ);
            if (!told) (void)os_recv(l.peer, bytes, 1); // what is on its way stays in memory
        } else {
            read = fsi_file_read(file, 0, bytes, sizeof bytes, false) == FSI_PENDING;
        }
    }
    ROW("way %u cold %u times, told %d, %d", way, times, told, read);
    if (times) {
        if (!told || !read) test_skipped = "the disk was as quick as the question, 200 times";
        fsi_file_warm(file, 0, 1 << 20);
        CHECK_EQ(fsi_file_read(file, 8192, bytes, sizeof bytes, false), sizeof bytes);
        CHECK(bytes[0] == byte_at(8192));
        CHECK(send_part(&l, file, 0, 1 << 20, false) > 0);
    } else {
        test_skipped = "the system cannot be made to forget a file";
    }
    fsi_file_close(file);
    line_end(&l);
}

TEST(cold)
{
    cold_way(1);
    cold_way(3);
}

TEST_MAIN(CASE(open_plain), CASE(root_refused), CASE(links), CASE(short_names), CASE(other_kinds), CASE(unreadable),
          CASE(looks), CASE(swapped_while_opened), CASE(swapped_while_renewed), CASE(list), CASE(list_many),
          CASE(no_wait), CASE(beyond_4_gib), CASE(times), CASE(send_parts), CASE(send_bounds), CASE(send_from_far),
          CASE(send_past_the_end), CASE(cut_while_sent), CASE(written_while_sent), CASE(send_to_the_gone),
          CASE(signal_of_the_host), CASE(borrowed_thread), CASE(cold))
