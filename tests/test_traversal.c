// test_traversal.c: several hundred paths of each way to leave a folder, sent raw. Whatever is asked: never a byte of
// what stands outside, never a hidden one unasked, never an answer of 500 or above, never no answer at all, and a
// redirect leads nowhere but below this server. Asked for through four doors: the folder's own route, a second one deeper
// in the path, fsv_respond_file and fsv_folder_list.
#define FASTSERVE_IMPLEMENTATION
#include "test.h"
#include "../fastserve.h"

#include "host.h"

// ---- the tree: BASE/root is served

#define SECRET "SECRET-c0ffee"
#define HIDDEN "HIDDEN-5eed"
#define PUBLIC "PUBLIC "

typedef struct thing {
    const char *path; // below BASE
    char kind;        // 'd' folder, 'f' file, 'n' file that Windows mistakes, or with a backslash, 'l' link, 'p' pipe
    const char *text; // of a file, or where a link leads; "BASE" at its front stands for that path
} thing;

static const thing tree[] = {
    {"secret.txt", 'f', SECRET},
    {"root2", 'd', NULL}, // its name begins with the root's
    {"root2/secret.txt", 'f', SECRET},
    {"root", 'd', NULL},
    {"root/public.txt", 'f', PUBLIC "public.txt"},
    {"root/index.html", 'f', PUBLIC "index.html"},
    {"root/404.html", 'f', PUBLIC "404.html"},
    {"root/a long file name.txt", 'f', PUBLIC "a long file name.txt"}, // ALONGF~1.TXT
    {"root/sub", 'd', NULL},
    {"root/sub/page.html", 'f', PUBLIC "page.html"},
    {"root/sub/deep", 'd', NULL},
    {"root/sub/deep/er", 'd', NULL},
    {"root/sub/deep/er/leaf.txt", 'f', PUBLIC "leaf.txt"},
    {"root/evil.example", 'd', NULL}, // "//evil.example" is another host's address
    {"root/.hidden", 'f', HIDDEN},
    {"root/.git", 'd', NULL},
    {"root/.git/config", 'f', HIDDEN},
    {"root/sub/.env", 'f', HIDDEN},
    {"root/ALONGF~1.HTM", 'n', PUBLIC "8.3"},
    {"root/con.txt", 'n', PUBLIC "con.txt"},
    {"root/aux", 'n', PUBLIC "aux"},
    {"root/dot.", 'n', PUBLIC "dot."},
    {"root/space ", 'n', PUBLIC "space"},
    {"root/public.txt:stream", 'n', PUBLIC "stream"},
    {"root/back\\slash", 'n', PUBLIC "backslash"},
    {"root/pipe", 'p', NULL},
    {"root/out", 'l', "../secret.txt"},
    {"root/out-absolute", 'l', "BASE/secret.txt"},
    {"root/up", 'l', ".."},
    {"root/up-absolute", 'l', "BASE"},
    {"root/beside", 'l', "../root2"},
    {"root/slash", 'l', "/"},
    {"root/system", 'l', "/etc"},
    {"root/zero", 'l', "/dev/zero"},
    {"root/stdin", 'l', "/dev/stdin"},
    {"root/itself", 'l', "/proc/self/root"},
    {"root/here", 'l', "/proc/self/cwd"},
    {"root/loop", 'l', "loop"},
    {"root/dangling", 'l', "../no such file"},
    {"root/chain", 'l', "out"},
    {"root/chain2", 'l', "up/secret.txt"},
    {"root/inside", 'l', "sub/page.html"},
    {"root/inside-folder", 'l', "sub/deep"},
    {"root/sub/up2", 'l', "../.."},
    {"root/sub/out2", 'l', "../../secret.txt"},
    {"root/index", 'd', NULL},
    {"root/index/index.html", 'l', "../../secret.txt"}, // an index that leads outside
    {"root/packed.txt", 'f', PUBLIC "packed.txt"},
    {"root/packed.txt.gz", 'l', "../secret.txt"}, // precompressed, it says
    {"root/packed.txt.br", 'l', "BASE/secret.txt"},
};
#define TREE (sizeof tree / sizeof tree[0])

static char base[200]; // of the case that runs
static bool has_links;

static const char *at_base(const char *path)
{
    static char out[2][400];
    static int turn;
    turn = !turn;
    (void)snprintf(out[turn], sizeof out[turn], "%s/%s", base, path);
    return out[turn];
}

static bool file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    return file && (fwrite(text, 1, strlen(text), file), fclose(file) == 0);
}

static bool tree_make(void)
{
    if (!os_folder_make(base, sizeof base)) return false;
    has_links = false;
    for (size_t i = 0; i < TREE; i++) {
        const thing *t = &tree[i];
        const char *path = at_base(t->path), *to = t->text;
        bool fine = true;
        if (t->kind == 'd') fine = os_folder_add(path);
        if (t->kind == 'f' || (t->kind == 'n' && os_any_name())) fine = file_write(path, t->text);
        if (t->kind == 'p') (void)os_fifo(path);
        if (t->kind == 'l' && os_link(strncmp(to, "BASE", 4) == 0 ? at_base(to[4] ? to + 5 : "") : to, path))
            has_links = true;
        if (!fine) return false;
    }
    return true;
}

static void tree_remove(void)
{
    for (size_t i = TREE; i--;) {
        if (tree[i].kind == 'd')
            os_folder_remove(at_base(tree[i].path));
        else if (tree[i].kind != 'n' || os_any_name())
            (void)remove(at_base(tree[i].path));
    }
    os_folder_remove(base);
    CHECK(!os_exists(base));
}

// ---- the server

typedef struct host {
    fsv_server *server;
    fsv_folder *folder;
    uint32_t port;
    struct driver driver;
    struct heap heap;
} host;

static host h;
static client c;

// What the second door of the library makes of a path.
static void on_respond(fsv_request *request, void *user)
{
    char path[16384];
    fsv_str given = fsv_request_param(request, "*");
    (void)user;
    if (given.len >= sizeof path || memchr(given.ptr, 0, given.len)) { // no path for a terminated string
        fsv_respond_text(request, 404, "no");
        return;
    }
    if (given.len) memcpy(path, given.ptr, given.len);
    path[given.len] = 0;
    if (fsv_respond_file(request, h.folder, path, 200) == FSV_ERR_ARGUMENT) fsv_respond_text(request, 404, "argument");
}

typedef struct names {
    char text[4096];
    size_t len;
} names;

static bool on_entry(const fsv_entry *entry, void *user)
{
    names *n = (names *)user;
    n->len += (size_t)snprintf(n->text + n->len, sizeof n->text - n->len, "%s\n", entry->name.ptr);
    return n->len + 300 < sizeof n->text;
}

static void on_list(fsv_request *request, void *user)
{
    char path[16384];
    names n;
    fsv_str given = fsv_request_param(request, "*");
    (void)user;
    n.len = 0;
    n.text[0] = 0;
    bool fine = given.len < sizeof path && !memchr(given.ptr, 0, given.len);
    if (fine && given.len) memcpy(path, given.ptr, given.len);
    if (fine) path[given.len] = 0;
    if (fine && fsv_folder_list(h.folder, path, on_entry, &n) == FSV_OK)
        fsv_respond(request, 200, "text/plain", n.text, n.len);
    else
        fsv_respond_text(request, 404, "no");
}

static void on_missing(fsv_request *request, fsv_folder *folder, fsv_missing why, fsv_str path, void *user)
{
    (void)why;
    (void)path;
    (void)user;
    (void)fsv_respond_file(request, folder, "404.html", 404);
}

typedef enum setting { PLAIN = 0, WITH_HIDDEN = 1, WITH_LINKS = 2 } setting;

static bool host_begin(unsigned how)
{
    fsv_server_desc desc;
    fsv_folder_desc folder;
    fsv_route_desc list;
    memset(&h, 0, sizeof h);
    memset(&c, 0, sizeof c);
    c.fd = -1;
    memset(&desc, 0, sizeof desc);
    memset(&folder, 0, sizeof folder);
    memset(&list, 0, sizeof list);
    desc.loops = 1;
    desc.workers = 4;
    if (!heap_begin(&h.heap, &desc) || !tree_make()) return false;
    folder.pattern = "/*";
    folder.path = at_base("root");
    folder.hidden = (how & WITH_HIDDEN) != 0;
    folder.follow_symlinks = (how & WITH_LINKS) != 0;
    folder.precompressed = 1;
    folder.on_missing = on_missing;
    list.method = "GET";
    list.pattern = "/list/*";
    list.handler = on_list;
    list.blocking = 1;
    if (fsv_server_create(&h.server, &desc) != FSV_OK) return false;
    if (fsv_server_folder(h.server, &folder, NULL) != FSV_OK) return false;
    folder.pattern = "/mount/deep/*";
    if (fsv_server_folder(h.server, &folder, &h.folder) != FSV_OK) return false;
    if (fsv_server_route(h.server, "GET", "/respond/*", on_respond, NULL) != FSV_OK) return false;
    if (fsv_server_route_add(h.server, &list) != FSV_OK) return false;
    if (fsv_server_listen(h.server, "127.0.0.1:0") != FSV_OK) return false;
    h.port = fsv_server_port(h.server, 0);
    return driver_begin(&h.driver, h.server, DRIVE_START);
}

static void host_end(void)
{
    hang_up(&c);
    fsv_server_stop(h.server, 0);
    driver_end(&h.driver);
    CHECK_EQ(fsv_server_free(h.server), FSV_OK);
    heap_end(&h.heap);
    tree_remove();
}

// ---- asking

static const char *const doors[] = {"/", "/mount/deep/", "/respond/", "/list/"};
#define DOOR_LIST 3
#define DOORS 4

static uint32_t asked, answered_200; // in this case
static unsigned granted;             // its setting
static bool in_turn;                 // not every path through every door
static bool swapping;                // a folder has a secret.txt of its own

// A name that a listing may show.
static bool name_known(const char *name, size_t len)
{
    for (size_t i = 0; i < TREE; i++) {
        const char *known = tree[i].path, *last = strrchr(known, '/');
        if (strncmp(known, "root/", 5) != 0 || tree[i].kind == 'p') continue;
        if (tree[i].kind == 'n' && (!os_any_name() || strchr(last, '\\'))) continue;
        bool dot = last[1] == '.', leads_out = tree[i].kind == 'l' && strncmp(last + 1, "inside", 6) != 0;
        if (strlen(last + 1) != len || memcmp(last + 1, name, len) != 0) continue;
        return (!dot || granted & WITH_HIDDEN) && (!leads_out || granted & WITH_LINKS);
    }
    return swapping && len == 10 && memcmp(name, "secret.txt", len) == 0;
}

// What stands in an answer of 200 or 206: a file that may be had, or a listing of what may be had. Empty where a route
// of the test's has nothing to say.
static bool body_fine(bool list)
{
    const char *body = c.buf + c.body_at;
    if (!list) {
        if (c.body_len >= strlen(PUBLIC) && memcmp(body, PUBLIC, strlen(PUBLIC)) == 0) return true;
        return granted & WITH_HIDDEN && c.body_len == strlen(HIDDEN) && memcmp(body, HIDDEN, c.body_len) == 0;
    }
    for (size_t at = 0, end; at < c.body_len; at = end + 1) {
        for (end = at; end < c.body_len && body[end] != '\n';) end++;
        if (!name_known(body + at, end - at)) return false;
    }
    return true;
}

// A file whose name only Windows takes for something else, where it is not Windows.
static bool body_odd(void)
{
    for (size_t i = 0; i < TREE && os_any_name(); i++) {
        const thing *t = &tree[i];
        if (t->kind != 'n' || strchr(t->path, '\\') || strlen(t->text) != c.body_len) continue;
        if (memcmp(c.buf + c.body_at, t->text, c.body_len) == 0) return true;
    }
    return false;
}

static bool body_has(const char *mark)
{
    size_t len = strlen(mark);
    for (size_t i = 0; i + len <= c.body_len; i++)
        if (memcmp(c.buf + c.body_at + i, mark, len) == 0) return true;
    return false;
}

// Sends a request target as it stands and judges what comes back. `refused`: nothing that it may name can be had.
static void ask_target(const char *target, size_t len, bool list, bool refused)
{
    static const char before[] = "GET ", behind[] = " HTTP/1.1\r\nHost: t\r\nAccept-Encoding: br, gzip, zstd\r\n\r\n";
    static char text[20000];
    char shown[220];
    size_t at = sizeof before - 1;
    if (len > sizeof text - 200) abort(); // the corpus is ours
    memcpy(text, before, at);
    memcpy(text + at, target, len);
    memcpy(text + at + len, behind, sizeof behind - 1);
    at += len + sizeof behind - 1;
    ROW("%s", test_escape(shown, sizeof shown, target, len));
    asked++;
    if (c.fd < 0) REQUIRE(dial(&c, h.port));
    if (!say_bytes(&c, text, at)) { // the connection was ended behind the answer before
        hang_up(&c);
        REQUIRE(dial(&c, h.port) && say_bytes(&c, text, at));
    }
    int status = hear(&c);
    CHECK(status >= 200 && status < 500);
    CHECK(!body_has(SECRET));
    CHECK(granted & WITH_HIDDEN || !body_has(HIDDEN));
    if (status == 200 || status == 206) {
        answered_200++;
        CHECK(!refused || body_odd());
        CHECK(body_fine(list));
    }
    const char *to = field_of(&c, "Location");
    CHECK(!(status == 301 && !to));
    CHECK(!to || to[strcspn(to, "/\\:")] == '/'); // a segment, no host, no scheme: below this server
    CHECK(!to || to[0] != '/' || to[strspn(to, "/\\")] == to[1]);
    CHECK(!(refused && status == 301));
    CHECK(!field_find(&c, "X-Injected"));
    const char *connection = field_of(&c, "Connection");
    if (status <= 0 || (connection && strcmp(connection, "close") == 0)) hang_up(&c);
}

// A path through every door; under Wine, where a request takes a hundred times as long, through each in turn. In what
// is asked "\1" stands for a NUL.
static void ask_path(const char *path, bool refused)
{
    static char target[18000];
    static int turn;
    turn = (turn + 1) % DOORS;
    for (int door = 0; door < DOORS; door++) {
        if (in_turn && door != turn) continue;
        int len = snprintf(target, sizeof target, "%s%s", doors[door], path);
        if (len < 0 || (size_t)len >= sizeof target) abort();
        for (int i = 0; i < len; i++)
            if (target[i] == 1) target[i] = 0;
        ask_target(target, (size_t)len, door == DOOR_LIST, refused);
    }
}

static void ask_parts(const char *a, const char *b, const char *d, const char *e, bool refused)
{
    static char path[16384];
    if (snprintf(path, sizeof path, "%s%s%s%s", a, b, d, e) >= (int)sizeof path) abort();
    ask_path(path, refused);
}

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

// Each form of a step upwards: from everywhere, as far as the secret and beyond the system's root.
static void climb(const char *const *forms, size_t count)
{
    static const char *const from[] = {"", "sub/", "sub/deep/er/", "public.txt/", "nothere/", ".git/"};
    static const char *const to[] = {"secret.txt", "root2/secret.txt", "etc/passwd", "windows/win.ini"};
    static const int depths[] = {1, 2, 4, 12};
    for (size_t f = 0; f < count; f++)
        for (size_t i = 0; i < COUNT(from); i++)
            for (size_t d = 0; d < COUNT(depths); d++) {
                char steps[1024] = "";
                for (int k = 0; k < depths[d]; k++) strcat(steps, forms[f]);
                size_t target = d == 3 ? 2 + (f + i) % 2 : (f + i + d) % 2;
                ask_parts(from[i], steps, to[target], "", true);
            }
}

// The doors lead somewhere, and what must not come could come: what is asked below is worth asking.
static void controls(void)
{
    static const char *const fine[] = {"public.txt", "sub/page.html", "sub/deep/er/leaf.txt",
                                       "a%20long%20file%20name.txt", "packed.txt"};
    FILE *file = fopen(at_base("root/../secret.txt"), "rb");
    CHECK(file != NULL);
    if (file) (void)fclose(file);
    size_t count = COUNT(fine) - (granted & WITH_LINKS ? 1 : 0); // then the packed form of the last one is the secret
    answered_200 = 0;
    for (size_t i = 0; i < count; i++) ask_path(fine[i], false);
    CHECK_EQ(answered_200, 3 * count);
    answered_200 = 0;
    ask_path("", false); // index.html three times, a listing
    CHECK_EQ(answered_200, 4);
    ask_target("/sub", 4, false, false);
    CHECK_EQ(c.status, 301);
    ask_target("/.hidden", 8, false, false);
    CHECK_EQ(c.status, granted & WITH_HIDDEN ? 200 : 404);
}

static bool begin(unsigned how)
{
    granted = how;
    asked = answered_200 = 0;
    if (!host_begin(how)) return false;
    in_turn = false;
    controls();
    asked = answered_200 = 0;
    in_turn = os_is_wine();
    return true;
}

// A class has ended. So few can never have been asked; more says that the corpus has shrunk.
static void end(uint32_t least)
{
    test_row[0] = 0;
    CHECK(asked >= least * (in_turn ? 1 : DOORS));
    host_end();
}

// ---- the classes

// clang-format off
static const char *const climb_plain[] = {
    "../", "..//", "./../", "/../", ".././", "..///./", "sub/../../", "nothere/../../", "public.txt/../../",
    "../root/../", "sub//../..//", ".//.././/", "..?/../", ".../../", "....//../",
};
static const char *const climb_encoded[] = {
    "%2e%2e/", "%2E%2E/", ".%2e/", "%2e./", "%2E./", "..%2f", "..%2F", "%2e%2e%2f", "%2e%2E%2F", ".%2e%2f",
    "%2f..%2f",
    "%2f%2e%2e%2f", "/%2e/%2e%2e/", "%2e/%2e%2e/", "%2e%2e%2f%2f", "%2e%2f%2e%2e%2f", "%2e%2e//", "sub%2f..%2f..%2f",
    "sub/%2e%2e/%2e%2e/", "%2F../",
};
static const char *const climb_double[] = {
    "%252e%252e/", "%252E%252E/", "%252e%252e%252f", "..%252f", "..%252F", ".%252e/", "%25%32%65%25%32%65/",
    "%%32%65%%32%65/",
    "%%32e%%32e/", "%25%32e%25%32e%25%32f", "%2%65%2%65/", "%252e%252e%255c", "..%255c", "%25252e%25252e%25252f",
    "..%25252f",
    "..%%32%66", "..%25%32%66", "%25c0%25ae%25c0%25ae/", "..%25c0%25af", "%2525252e%2525252e%2525252f",
};
static const char *const climb_overlong[] = {
    "%c0%ae%c0%ae/", "%C0%AE%C0%AE/", "%c0%ae%c0%ae%c0%af", "..%c0%af", "..%c1%9c", "%c0%ae./", ".%c0%ae/",
    "%c0%2e%c0%2e/",
    "..%c0%2f", "..%c0%9v", "..%c0%qf", "..%e0%80%af", "%e0%80%ae%e0%80%ae/", "%e0%80%ae%e0%80%ae%e0%80%af",
    "%f0%80%80%ae%f0%80%80%ae/", "..%f0%80%80%af", "..%f8%80%80%80%af", "..%fc%80%80%80%80%af",
    "%fc%80%80%80%80%ae../",
    "\xc0\xae\xc0\xae/", "..\xc0\xaf", "..\xc1\x9c", "\xe0\x80\xae\xe0\x80\xae/", "..\xe0\x80\xaf", "%u002e%u002e/",
    "..%u002f",
    "..%u2215", "..%u2216", "..%uff0f", "%uff0e%uff0e/", "%ef%bc%8e%ef%bc%8e/", "..%ef%bc%8f", "..%e2%88%95",
    "..%e2%81%84",
    "..%ef%bc%bc", "%e2%80%a5/", "%e2%80%a4%e2%80%a4/", "%ed%a0%ae%ed%a0%ae/", "..%ed%a0%80/", "..%c2%a5",
    "..%c0%80/", "%c0../",
    "%c2../", "%e2%80../", "..%fe/", "..%ff/", "%80../", "..%80/", "..%ef%bb%bf/", "%ef%bb%bf../", "..%e2%80%8b/",
    "%f4%90%80%80../",
};
static const char *const climb_control[] = {
    "../\1", "..\1/", "\1../", "..%00/", "%00../", "../%00", ".%00./", "..%00%2f", "..%00\\", "..%0a/", "..%0d/",
    "..%0d%0a/", "%0a../",
    "..%09/", "..%01/", "..%1f/", "..%7f/", "%08../", ".%0a./", "..%0b/", "..%1b/", "sub%00/../../", "sub/..%00/../",
};
static const char *const climb_backslash[] = {
    "..\\", "..%5c", "..%5C", "%2e%2e%5c", "%2e%2e\\", "\\..\\", "%5c..%5c", "/..\\", "\\../", "..\\/", "..%5c/",
    "..%5c%5c", "..%2f%5c",
    "..%5c%2f", ".\\..\\", ".%5c..%5c", "sub\\..\\..\\", "sub%5c..%5c..%5c", "sub\\../../", "..\\..//",
};
static const char *const climb_dots[] = {
    ".../", "..../", ".. /", "..%20/", "..%20%20/", "..%20./", "..%2e/", ". ./", ".%20./", "..;/", "..;a=b/",
    "%2e%2e;/", "../;/",
    "..%3b/", "..%a0/", "..%c2%a0/", ". /../", ".%20/..%20/", "...%2f", "..%2e%2f", "../. /", "..+/",
};
static const char *const climb_malformed[] = {
    "%2e%2e%", "..%/", "..%2/", "..%2", "..%zz/", "%2g%2e/", "..%-1/", "..%+1/", "..% 2f", "..%0x2f", "%%/", "%.%./",
    "..%2%66", "..%f",
    "..%\1/", "..%2\1f", "%u/../", "..%u/", "..%&/", "%2e%2e%2f%",
};
// clang-format on

#define CLIMB(table) climb(table, COUNT(table))
#define CLASS(name, table)                     \
    TEST(name)                                 \
    {                                          \
        REQUIRE(begin(PLAIN));                 \
        CLIMB(table);                          \
        end((uint32_t)(COUNT(table) * 6 * 4)); \
    }                                          \
    typedef int class_of_##name /* for the semicolon */

CLASS(plain, climb_plain);
CLASS(encoded, climb_encoded);
CLASS(twice_encoded, climb_double);
CLASS(overlong, climb_overlong);
CLASS(control_bytes, climb_control);
CLASS(backslashes, climb_backslash);
CLASS(dots_and_spaces, climb_dots);
CLASS(malformed_escapes, climb_malformed);

// All of them where names with a leading dot are served: these are names, "." and ".." are none.
TEST(with_hidden_names)
{
    REQUIRE(begin(WITH_HIDDEN));
    CLIMB(climb_plain);
    CLIMB(climb_encoded);
    CLIMB(climb_double);
    CLIMB(climb_overlong);
    CLIMB(climb_control);
    CLIMB(climb_backslash);
    CLIMB(climb_dots);
    CLIMB(climb_malformed);
    end(4000);
}

// A name that is one, with something behind it or before it that some system or function would drop.
TEST(names_with_more)
{
    static const char *const names_[] = {"public.txt", "sub/page.html", "sub",
                                         ".hidden",    "index.html",    "../secret.txt"};
    // clang-format off
    static const char *const more[] = {
        "%00", "%00.html", "%00.txt", "%00/", "\1", "\1.html", "%00/../../secret.txt", "%0a", "%0d%0a", "%0a.html",
        "%09", ".", "..", "...",
        "%2e", "%20", "%20%20", "%20.", ".%20", ". .", "./", "%20/", "/.", "/..", "/./", "/%2e", "%5c", "\\",
        "%5c..", "\\.", "%3a", ":", "<",
        ">", "%22", "%3c", "%3e", "|", "%7c", "%3f", "*", "%2a", "%7f", "%1a", "%ff", "%c0%80", "%e2%80",
        "%ed%a0%80", "%2f", "%2f/", "%252f",
    };
    // clang-format on
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; i < COUNT(names_); i++)
        for (size_t k = 0; k < COUNT(more); k++) {
            ask_parts(names_[i], more[k], "", "", true);
            if (more[k][0] != '.' && more[k][0] != '/') ask_parts("sub/", more[k], names_[i], "", true);
        }
    ask_path("dot.", true);
    ask_path("dot%2e", true);
    ask_path("space%20", true);
    ask_path("back%5cslash", true);
    ask_path("back\\slash", true);
    end(550);
}

TEST(drive_letters)
{
    // clang-format off
    static const char *const drives[] = {
        "C:", "c:", "C:/", "c:\\", "C:%2f", "C:%5c", "C%3a/", "C%3A%5c", "%43%3a/", "%63:/", "/C:/", "//C:/",
        "C:../", "C:..\\", "Z:/", "z%3a/",
        "Z:", "C|/", "C%7c/", "sub/C:/", "./C:/", "C::/", "C:/../", "\\\\?\\C:\\", "//%3f/C:/", "%5c%5c%3f%5cC:%5c",
        "\\\\.\\C:\\", "//./C:/",
        "\\??\\C:\\", "%5c%3f%3f%5cC:%5c", "//%3f/GLOBALROOT/", "\\\\localhost\\C$\\", "//localhost/C$/",
        "%5c%5clocalhost%5cc$%5c",
        "//127.0.0.1/C$/", "\\\\.\\unix\\", "//%3F/unix/", "\\\\?\\unix\\", "\\Device\\", "C:sub/",
    };
    static const char *const to[] = {
        "secret.txt", "../secret.txt", "windows/win.ini", "Windows\\win.ini", "WINDOWS%5cWIN.INI", "etc/passwd",
        "boot.ini", "",
    };
    // clang-format on
    char whole[300], same[300];
    REQUIRE(begin(PLAIN));
    (void)snprintf(whole, sizeof whole, "%s/secret.txt", base + strspn(base, "/\\"));
    for (size_t i = 0; i < sizeof same && (i == 0 || same[i - 1]); i++) same[i] = whole[i] == '/' ? '\\' : whole[i];
    for (size_t i = 0; i < COUNT(drives); i++) {
        for (size_t k = 0; k < COUNT(to); k++) ask_parts(drives[i], to[k], "", "", true);
        ask_parts(drives[i], whole, "", "", true);
        ask_parts(drives[i], same, "", "", true);
    }
    ask_path(whole, true);
    ask_path(same, true);
    end(400);
}

TEST(alternate_streams)
{
    // clang-format off
    static const char *const of[] = {"public.txt", "sub", "sub/page.html", ".hidden", "", "../secret.txt",
        "index.html", "nothere"};
    static const char *const streams[] = {
        "::$DATA", "::$data", ":$DATA", ":stream", ":stream:$DATA", "::$INDEX_ALLOCATION", ":$I30:$INDEX_ALLOCATION",
        ":Zone.Identifier",
        "::$BITMAP", "::$ATTRIBUTE_LIST", ":", "::", "%3a%3a$DATA", "%3A%3a%24DATA", "::%24DATA", ": $DATA", ":%00",
        ".:", "%20::$DATA",
        ".::$DATA", "::$DATA.txt", "%253a%253a$DATA", "\xef\xbc\x9a\xef\xbc\x9a$DATA", "%ef%bc%9a%ef%bc%9a$DATA",
    };
    static const char *const behind[] = {"", "/", "/../../secret.txt", "/page.html"};
    // clang-format on
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; i < COUNT(of); i++)
        for (size_t k = 0; k < COUNT(streams); k++)
            for (size_t n = 0; n < COUNT(behind); n++) ask_parts(of[i], streams[k], behind[n], "", true);
    end(700);
}

TEST(short_names)
{
    // clang-format off
    static const char *const shorts[] = {
        "ALONGF~1.TXT", "alongf~1.txt", "ALONGF~2.TXT", "ALONGF~1.HTM", "alongf~1.htm", "ALONGF%7e1.HTM",
        "%41LONGF~1.HTM", "HIDDEN~1", "hidden~1",
        "GIT~1", "git~1", "GIT~1/config", "GIT~2/config", "ENV~1", "SECRET~1.TXT", "SECRET~1", "PROGRA~1",
        "PROGRA~2/", "EVIL~1.EXA", "INDEX~1.HTM",
        "PUBLIC~1.TXT", "A~1", "A~1.B", "ABCDEF~9.XYZ", "ABCDE~10.XYZ", "ABCD~123.TXT", "AB1234~1.TXT", "BACK_S~1",
    };
    static const char *const before[] = {"", "sub/", "sub/deep/er/", "./", "../", "SUB~1/"};
    static const char *const behind[] = {"", "/", "/..", "%20", "/../../secret.txt"};
    // clang-format on
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; i < COUNT(shorts); i++)
        for (size_t k = 0; k < COUNT(before); k++)
            for (size_t n = 0; n < COUNT(behind); n++) ask_parts(before[k], shorts[i], behind[n], "", true);
    end(800);
}

TEST(device_names)
{
    // clang-format off
    static const char *const devices[] = {
        "CON", "PRN", "AUX", "NUL", "con", "aux", "nul", "Con", "COM0", "COM1", "com2", "COM3", "COM9", "LPT0",
        "LPT1", "lpt2", "LPT9", "CONIN$",
        "CONOUT$", "conin$", "COM%c2%b9", "COM%c2%b2", "COM%c2%b3", "lpt%c2%b9", "LPT\xc2\xb2", "%43ON", "c%6fn",
        "CLOCK$",
    };
    static const char *const behind[] = {"", ".txt", ".tar.gz", ".html", ":", ".", "%20", "%20.txt", "%20%20.x", "/",
        "/public.txt", "/../../secret.txt",
                                         "%2etxt", ".txt/", "%00"};
    static const char *const before[] = {"", "sub/", "../"};
    // clang-format on
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; i < COUNT(devices); i++)
        for (size_t k = 0; k < COUNT(behind); k++)
            for (size_t n = 0; n < COUNT(before); n++) ask_parts(before[n], devices[i], behind[k], "", true);
    ask_path("pipe", true); // of ours, and nobody writes to it
    ask_path("pipe/", true);
    ask_path("pipe/x", true);
    end(1200);
}

// What stands in the request line in place of a path, which no door is put before.
TEST(absolute_forms)
{
    // clang-format off
    static const char *const heads[] = {
        "http://t/", "HTTP://T/", "http://t", "http://t:80/", "http://evil.example/", "http://t//", "http:///",
        "http:/", "http:", "https://t/",
        "file:///", "file://t/", "ftp://t/", "http://t:99999/", "http://t:x/", "http://[::1]/", "http://user@t/",
        "http://t\\", "http://t/sub/", "",
        "//", "///", "/", "*", "/*", "*/", "?", "/?", "#", "/#/", ".", "./", "..", "../", "~/", "~root/", "@/", "\\",
        "\\\\", "%2f", "%2f%2f", "/%2f",
    };
    static const char *const tails[] = {
        "../secret.txt", "../../../../../../../../etc/passwd", "%2e%2e/secret.txt", "..%2fsecret.txt",
        "..\\secret.txt", "..%5csecret.txt",
        "etc/passwd", "C:/windows/win.ini", "..%00/secret.txt", "secret.txt", ".hidden", "sub/../../secret.txt",
    };
    // clang-format on
    char target[600];
    REQUIRE(begin(PLAIN));
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < COUNT(heads); i++)
            for (size_t k = 0; k < COUNT(tails); k++) {
                bool query = heads[i][0] == '?' || strcmp(heads[i], "http://t") == 0 || // "http://tsecret.txt": a host
                             (heads[i][0] == '/' && (heads[i][1] == '?' || heads[i][1] == '#'));
                int len = pass ? snprintf(target, sizeof target, "%s%s/secret.txt", heads[i], base)
                               : snprintf(target, sizeof target, "%s%s", heads[i], tails[k]);
                ask_target(target, (size_t)len, false, !query);
            }
    end(250);
}

// Links that lead out of the folder, themselves or by another one: as a file, a folder, an index, a precompressed file.
TEST(links)
{
    // clang-format off
    static const char *const leading[] = {
        "out", "out-absolute", "up", "up-absolute", "beside", "slash", "system", "zero", "stdin", "itself", "here",
        "loop", "dangling", "chain",
        "chain2", "sub/up2", "sub/out2", "index", "inside-folder/../../up", "packed.txt.gz", "packed.txt.br",
    };
    static const char *const tails[] = {
        "", "/", "//", "/secret.txt", "//secret.txt", "/root/../secret.txt", "/root2/secret.txt", "/./secret.txt",
        "/../secret.txt", "%2fsecret.txt",
        "/%2e%2e/secret.txt", "/etc/passwd", "/passwd", "/hostname", "/root/public.txt", "/root/.hidden",
        "/index.html", "/.", "/..", "?x", "%2f",
        "\\secret.txt", "%5csecret.txt", "/up/secret.txt",
    };
    // clang-format on
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; has_links && i < COUNT(leading); i++)
        for (size_t k = 0; k < COUNT(tails); k++) {
            bool into = strcmp(leading[i], "up") == 0 || strcmp(leading[i], "up-absolute") == 0 ||
                        strcmp(leading[i], "sub/up2") == 0; // "up/root/public.txt" is a way out and in again
            bool listed = strcmp(leading[i], "index") == 0; // a folder, which a listing may show
            ask_parts(leading[i], tails[k], "", "", !into && !listed);
        }
    for (int i = 0; has_links && i < 20; i++) ask_path("packed.txt", false); // and its packed forms, once cached
    bool none = !has_links;
    end(none ? 0 : 500);
    if (none) SKIP("no links here");
}

// With follow_symlinks the same links are followed: what was refused above could have been had.
TEST(links_that_are_wanted)
{
    static const char *const leading[] = {"out",      "out-absolute", "up/secret.txt",
                                          "chain",    "chain2",       "sub/up2/secret.txt",
                                          "sub/out2", "index/",       "beside/secret.txt"};
    static const char get[] = "GET /%s HTTP/1.1\r\nHost: t\r\n\r\n";
    REQUIRE(begin(WITH_LINKS));
    bool none = !has_links;
    for (size_t i = 0; has_links && i < COUNT(leading); i++) {
        ROW("%s", leading[i]);
        CHECK(sayf(&c, get, leading[i]) && hear(&c) == 200);
        CHECK(body_has(SECRET));
    }
    static const char *const never[] = {"zero", "stdin", "loop", "dangling", "pipe"};
    for (size_t i = 0; has_links && i < COUNT(never); i++) ask_parts(never[i], "", "", "", true);
    climb(climb_plain, 4); // links are one thing, dots another
    climb(climb_encoded, 4);
    end(192);
    if (none) SKIP("no links here");
}

// While a folder is swapped with a link that leads outside, again and again: no moment in which it leads there.
typedef struct swapper {
    fsi_thread thread;
    uint32_t ending, rounds; // atomic
} swapper;

static void swap(void *arg)
{
    swapper *s = (swapper *)arg;
    char place[300], folder[300], link[300];
    (void)snprintf(place, sizeof place, "%s/root/swap", base);
    (void)snprintf(folder, sizeof folder, "%s/swap-folder", base);
    (void)snprintf(link, sizeof link, "%s/swap-link", base);
    while (!fsi_load32(&s->ending)) {
        if (rename(folder, place) != 0 || rename(place, folder) != 0) break;
        if (rename(link, place) != 0 || rename(place, link) != 0) break;
        fsi_add32(&s->rounds, 1);
    }
}

TEST(swapped_while_asked)
{
    swapper s;
    memset(&s, 0, sizeof s);
    REQUIRE(begin(PLAIN));
    bool none = !has_links;
    if (has_links) {
        CHECK(os_folder_add(at_base("swap-folder")));
        CHECK(file_write(at_base("swap-folder/secret.txt"), PUBLIC "swapped"));
        CHECK(os_link("..", at_base("swap-link")));
        REQUIRE(fsi_thread_start(&s.thread, swap, &s, "swap"));
        swapping = true;
        for (int i = 0; i < 3000 && test_failures == 0; i++) {
            ask_target("/swap/secret.txt", 16, false, false);
            ask_target("/sub/../swap/secret.txt", 23, false, true);
            ask_target("/list/swap", 10, true, false);
        }
        fsi_store32(&s.ending, 1);
        fsi_thread_join(&s.thread);
        swapping = false;
        test_row[0] = 0;
        CHECK(s.rounds > 100);
        CHECK(answered_200 > 0);
        (void)remove(at_base("swap-link"));
        (void)remove(at_base("swap-folder/secret.txt"));
        os_folder_remove(at_base("swap-folder"));
    }
    end(0);
    if (none) SKIP("no links here");
}

// Redirects to folders lead below this server, whatever stood before the name, and carry no field of the client's.
TEST(redirects)
{
    // clang-format off
    static const char *const before[] = {"/", "//", "///", "////////", "/\\", "/\\/", "/%5c", "/%2f", "//%5c", "/./",
        "/../", "//../", "/%09/", "/%0d%0a/", "//\\", "/%00/",
                                         "//sub//", "/.//"};
    static const char *const names_[] = {"sub", "evil.example", "sub/deep", "evil.example%2f", "evil.example%2f..",
        "evil.example\\", "sub%0d%0aX-Injected:%201",
                                         "sub%0aX-Injected:1", "evil.example:80", "user@evil.example",
                                         "inside-folder", "up"};
    static const char *const behind[] = {"", "?", "?q", "?//evil.example", "?%0d%0aX-Injected:1", "#x",
        "?\\\\evil.example", ";x"};
    // clang-format on
    char target[300];
    uint32_t redirected = 0;
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; i < COUNT(before); i++)
        for (size_t k = 0; k < COUNT(names_); k++)
            for (size_t n = 0; n < COUNT(behind); n++) {
                int len = snprintf(target, sizeof target, "%s%s%s", before[i], names_[k], behind[n]);
                ask_target(target, (size_t)len, false, false);
                redirected += c.status == 301;
            }
    CHECK(redirected > 0);
    end(400);
}

static void long_path(const char *piece, size_t count, const char *tail)
{
    static char path[16384];
    size_t len = strlen(piece), at = 0;
    for (size_t i = 0; i < count && at + len < 15000; i++, at += len) memcpy(path + at, piece, len);
    path[at] = 0;
    ask_parts(path, tail, "", "", true);
}

TEST(long_paths)
{
    static const char *const pieces[] = {"../",  "%2e%2e/", "sub/../",  "a",      "a/",       "%61",  "/",   ".",
                                         "x.y/", "sub/",    "\xc3\xa9", "%c3%a9", "%ff",      "..\\", "%2f", "nothere/",
                                         "~1/",  "con/",    ".../",     "%00",    "deep/er/", "\\",   "%5c", "?"};
    static const size_t counts[] = {10, 100, 255, 256, 300, 1000, 1365, 2000, 4095, 4096, 5000, 12000};
    REQUIRE(begin(PLAIN));
    for (size_t i = 0; i < COUNT(pieces); i++)
        for (size_t k = 0; k < COUNT(counts); k++) {
            bool root = strcmp(pieces[i], "/") == 0 || strcmp(pieces[i], "?") == 0; // these are the folder itself
            if (!root) long_path(pieces[i], counts[k], "");
            if (strcmp(pieces[i], "?") != 0) long_path(pieces[i], counts[k], "../secret.txt");
        }
    end(500);
}

// Everything from above, thrown together by a generator with a fixed seed.
TEST(mixed)
{
    // clang-format off
    static const char *const tokens[] = {
        "..", ".", "/", "//", "\\", "%2e", "%2e%2e", "%2f", "%5c", "%252e", "%252f", "%c0%ae", "%c0%af", "%00", "\1",
        "%", "%2", "~1", ":", "::$DATA", "C:",
        "con", "nul.txt", "sub", "sub/", "deep/er/", "public.txt", ".hidden", ".git/", "config", "secret.txt", "../",
        "..%2f", "..\\", "root/", "root2/",
        "up/", "up-absolute/", "out", "system/", "etc/passwd", "?", "#", ";", "%20", " ", ".%20", "%ff", "\xff",
        "\xc0\xae", "%ef%bc%8f", "%u002e", "*", "|",
        "%0d%0a", "index.html", "inside", "packed.txt", "pipe", "%7f", "http://t/",
    };
    // clang-format on
    uint64_t seed = 0x9e3779b97f4a7c15u;
    REQUIRE(begin(PLAIN));
    for (int i = 0; i < 3000; i++) {
        char path[400] = "";
        int count = 0;
        do {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            strcat(path, tokens[seed % COUNT(tokens)]);
        } while (++count < 2 || (count < 14 && (seed >> 40) % 6));
        if (seed >> 60 & 1) strcat(path, "/secret.txt");
        ask_path(path, false);
    }
    end(3000);
}

TEST_MAIN(CASE(plain), CASE(encoded), CASE(twice_encoded), CASE(overlong), CASE(control_bytes), CASE(backslashes),
          CASE(dots_and_spaces), CASE(malformed_escapes), CASE(with_hidden_names), CASE(names_with_more),
          CASE(drive_letters), CASE(alternate_streams), CASE(short_names), CASE(device_names), CASE(absolute_forms),
          CASE(links), CASE(links_that_are_wanted), CASE(swapped_while_asked), CASE(redirects), CASE(long_paths),
          CASE(mixed))
