// paths.h: hostile paths by class, as they stand in a request, and a second reader of the rules for paths.
//
//   paths_hostile(each, user)   calls each for some thousand of them, the same ones in the same order every time. They lie
//                               below a folder, have no slash in front, and are a request target's bytes as they are sent.
//                               Around them a test may lay out: index.html and a/index.html in the folder, .hidden too,
//                               and secret.txt beside the folder.
//   paths_refused(...)          what fsi_entity_path has to refuse, said once more in another way
// Some classes are refused by the rules for Windows alone.
#ifndef FASTSERVE_PATHS_H
#define FASTSERVE_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef enum paths_class {
    PATHS_DOTS,     // "..", as it is
    PATHS_ENCODED,  // with the dots or the slash encoded once
    PATHS_TWICE,    // encoded twice or in ways that nobody decodes: names that nothing has
    PATHS_OVERLONG, // UTF-8 that is longer than it needs to be, or malformed
    PATHS_NUL,
    PATHS_CONTROL,
    PATHS_BACKSLASH,
    PATHS_DRIVE, // letters, UNC, device namespaces
    PATHS_STREAM,
    PATHS_DEVICE,
    PATHS_SHORT,  // 8.3
    PATHS_ENDING, // dots and spaces at the end of a segment
    PATHS_HIDDEN, // refused unless hidden names are served
    PATHS_WILD,   // what no name on Windows can have
    PATHS_FORK,   // macOS
    PATHS_CLASSES
} paths_class;

static const char *const paths_class_names[] = {"dots",    "encoded",   "twice",  "overlong", "NUL",
                                                "control", "backslash", "drive",  "stream",   "device",
                                                "short",   "ending",    "hidden", "wild",     "fork"};

// refused: by fsi_unescape or by fsi_entity_path with the rules for Windows. The others name nothing that there is.
typedef void (*paths_each)(const char *path, size_t len, paths_class of, bool refused, void *user);

typedef struct paths_out {
    paths_each each;
    void *user;
} paths_out;

static inline void paths_say(const paths_out *out, paths_class of, bool refused, const char *a, const char *b,
                             const char *c, const char *d)
{
    char path[512];
    int n = snprintf(path, sizeof path, "%s%s%s%s", a, b, c, d);
    if (n > 0 && (size_t)n < sizeof path) out->each(path, (size_t)n, of, refused, out->user);
}

static inline bool paths_windows_only(paths_class of)
{
    return of == PATHS_DRIVE || of == PATHS_STREAM || of == PATHS_DEVICE || of == PATHS_SHORT || of == PATHS_ENDING ||
           of == PATHS_WILD;
}

#define PATHS_COUNT(list) (sizeof(list) / sizeof(list)[0])

static const char *const paths_fronts[] = {"", "a/", "a//", "/", "no/such/", "%61/", "a/b/c/d/"};
static const char *const paths_targets[] = {"secret.txt", "etc/passwd", "index.html", "", "windows/win.ini"};

// up: what stands for one step up, its separator included.
static inline void paths_climb(const paths_out *out, paths_class of, bool refused, const char *up)
{
    for (size_t depth = 1; depth <= 8; depth = depth < 4 ? depth + 1 : depth + 4) {
        char climb[256] = "";
        for (size_t i = 0; i < depth; i++) strncat(climb, up, sizeof climb - strlen(climb) - 1);
        for (size_t f = 0; f < PATHS_COUNT(paths_fronts); f++)
            for (size_t t = 0; t < PATHS_COUNT(paths_targets); t++)
                paths_say(out, of, refused, paths_fronts[f], climb, paths_targets[t], "");
    }
}

static inline void paths_climbs(const paths_out *out)
{
    static const struct {
        paths_class of;
        bool refused;
        const char *up;
    } ups[] = {
        {PATHS_DOTS, true, "../"},
        {PATHS_DOTS, true, "..//"},
        {PATHS_DOTS, true, "./../"},
        {PATHS_DOTS, true, ".././"},
        {PATHS_DOTS, true, "..././"},
        {PATHS_DOTS, true, ".../"},
        {PATHS_DOTS, true, "....//"},
        {PATHS_ENCODED, true, "%2e%2e/"},
        {PATHS_ENCODED, true, "%2E%2E/"},
        {PATHS_ENCODED, true, "%2e./"},
        {PATHS_ENCODED, true, ".%2e/"},
        {PATHS_ENCODED, true, "..%2f"},
        {PATHS_ENCODED, true, "..%2F"},
        {PATHS_ENCODED, true, "%2e%2e%2f"},
        {PATHS_ENCODED, true, "%2E%2e%2F"},
        {PATHS_ENCODED, true, "%2e/%2e%2e/"},
        {PATHS_TWICE, false, "%252e%252e/"},
        {PATHS_TWICE, true, "%252e%252e%252f"}, // decoded once it has "%2f"
        {PATHS_TWICE, true, "..%252f"},
        {PATHS_TWICE, false, "%25252e%25252e%25252f"},
        {PATHS_TWICE, false, "%25%32%65%25%32%65/"},
        {PATHS_TWICE, true, "%%32%65%%32%65/"}, // broken
        {PATHS_TWICE, true, "%u002e%u002e/"},
        {PATHS_TWICE, true, "%u2215../"},
        {PATHS_TWICE, false, "&#46;&#46;/"},
        {PATHS_TWICE, false, "\xef\xbc\x8e\xef\xbc\x8e/"}, // full width
        {PATHS_TWICE, false, "%ef%bc%8e%ef%bc%8e%ef%bc%8f"},
        {PATHS_TWICE, false, "%e2%80%a5/"}, // two-dot leader
        {PATHS_OVERLONG, true, "%c0%ae%c0%ae/"},
        {PATHS_OVERLONG, true, "%C0%AE%C0%AE%C0%AF"},
        {PATHS_OVERLONG, true, "..%c0%af"},
        {PATHS_OVERLONG, true, "..%c1%9c"}, // backslash
        {PATHS_OVERLONG, true, "%e0%80%ae%e0%80%ae/"},
        {PATHS_OVERLONG, true, "..%e0%80%af"},
        {PATHS_OVERLONG, true, "..%e0%81%9c"},
        {PATHS_OVERLONG, true, "%f0%80%80%ae%f0%80%80%ae/"},
        {PATHS_OVERLONG, true, "..%f0%80%80%af"},
        {PATHS_OVERLONG, true, "..%f8%80%80%80%af"},
        {PATHS_OVERLONG, true, "..%fc%80%80%80%80%af"},
        {PATHS_OVERLONG, true, "..%c0%2f"},
        {PATHS_OVERLONG, true, "%c0%2e%c0%2e/"},
        {PATHS_OVERLONG, true, "\xc0\xae\xc0\xae/"},
        {PATHS_OVERLONG, true, "%ae%ae/"},
        {PATHS_OVERLONG, true, "..%bg%qf/"},
        {PATHS_NUL, true, "..%00/"},
        {PATHS_NUL, true, "%00../"},
        {PATHS_NUL, true, ".%00./"},
        {PATHS_CONTROL, true, "..%01/"},
        {PATHS_CONTROL, true, "..%09/"},
        {PATHS_CONTROL, true, "..%0d%0a/"},
        {PATHS_BACKSLASH, true, "..\\"},
        {PATHS_BACKSLASH, true, "..\\/"},
        {PATHS_BACKSLASH, true, "..%5c"},
        {PATHS_BACKSLASH, true, "..%5C/"},
        {PATHS_BACKSLASH, true, "%2e%2e%5c"},
        {PATHS_BACKSLASH, true, "%2e%2e\\"},
        {PATHS_BACKSLASH, true, "\\..\\"},
        {PATHS_BACKSLASH, true, "a\\..\\..\\"},
        {PATHS_DRIVE, true, "c:../"},
        {PATHS_DRIVE, true, "..:/"},
        {PATHS_ENDING, true, ".. /"},
        {PATHS_ENDING, true, "..%20/"},
        {PATHS_ENDING, true, ".%20./"},
        {PATHS_ENDING, true, "%20../"},
        {PATHS_ENDING, true, "..%20./"},
    };
    for (size_t i = 0; i < PATHS_COUNT(ups); i++) paths_climb(out, ups[i].of, ups[i].refused, ups[i].up);
}

// Each of the names at different places, plain or as a folder.
static inline void paths_places(const paths_out *out, paths_class of, bool refused, const char *const *names,
                                size_t count)
{
    static const char *const behinds[] = {"", "/", "/index.html", "/a/b"};
    for (size_t i = 0; i < count; i++)
        for (size_t f = 0; f < PATHS_COUNT(paths_fronts); f++)
            for (size_t b = 0; b < PATHS_COUNT(behinds); b++)
                paths_say(out, of, refused, paths_fronts[f], names[i], behinds[b], "");
}

static inline void paths_names(const paths_out *out)
{
    static const char *const nul[] = {"%00",           "index.html%00", "index.html%00.txt", "secret.txt%00.html",
                                      "%00index.html", "a%00/b",        "%00%00%00",         "index%00.html",
                                      "a%2500%00"};
    static const char *const drive[] = {"c:",
                                        "C:",
                                        "c%3a",
                                        "C%3A/windows/win.ini",
                                        "c:secret.txt",
                                        "z:/",
                                        "c:/",
                                        "c:index.html",
                                        "c:%5cwindows",
                                        "//?/c:/windows",
                                        "%3f%3f/c:",
                                        "globalroot:/x",
                                        "file:///etc/passwd",
                                        "http://127.0.0.1/",
                                        "c|/windows"};
    static const char *const unc[] = {"\\\\host\\share",
                                      "%5c%5chost%5cshare",
                                      "\\\\?\\c:\\windows",
                                      "\\\\.\\pipe\\x",
                                      "\\windows\\win.ini",
                                      "\\index.html",
                                      "index.html\\",
                                      "a\\index.html",
                                      "a%5cindex.html",
                                      "%5c",
                                      "\\",
                                      "\\\\.\\nul",
                                      "/\\host/share"};
    static const char *const stream[] = {"index.html::$DATA",
                                         "index.html:$DATA",
                                         "index.html::$data",
                                         "index.html:a",
                                         "index.html:a:$DATA",
                                         "index.html%3a%3a$DATA",
                                         "index.html%3A:%24DATA",
                                         "a::$INDEX_ALLOCATION",
                                         "a:$I30:$INDEX_ALLOCATION",
                                         ":a",
                                         ":",
                                         "::$DATA",
                                         "index.html:",
                                         "index.html:Zone.Identifier",
                                         "index.html::$DATA.txt",
                                         "a:b:c"};
    static const char *const ending[] = {"index.html.",
                                         "index.html..",
                                         "index.html%20",
                                         "index.html%20%20",
                                         "index.html.%20",
                                         "index.html%20.",
                                         "index.html%2e",
                                         "a.",
                                         "a%20",
                                         "a...",
                                         "...",
                                         "....",
                                         "%20",
                                         "%20%20",
                                         "a.%20.",
                                         ".%20",
                                         "index.html%2e%2e%2e"};
    static const char *const wild[] = {
        "*",     "index.*", "inde%2a", "index.htm%3f", "%3f",        "%3c", "%3e", "a%3cb", "a%3e", "%22index.html%22",
        "a%7cb", "a|b",     "<",       "index.<<",     "index.htm>", "%7c", "a\"b"};
    static const char *const fork[] = {"index.html/..namedfork/data",
                                       "index.html/..namedfork/rsrc",
                                       "..namedfork",
                                       "a/..namedfork/data",
                                       "index.html/..NamedFork/data",
                                       "index.html/..%6eamedfork/rsrc",
                                       "..namedfork/rsrc",
                                       "index.html/%2e%2enamedfork/data",
                                       "..NAMEDFORK",
                                       ".hidden/..namedfork/data",
                                       "%2e.namedfork/data",
                                       ".%2Enamedfork"};
    static const char *const hidden[] = {
        ".hidden",          "%2ehidden",     ".git/config",  ".git",        ".env",      "%2egit",
        ".htpasswd",        ".a.b",          "..a",          ".ssh/id_rsa", "a/.hidden", "%e2%80%8c.hidden",
        "%ef%bb%bf.hidden", "%e2%81%aa.git", "%e2%80%ae.git"};
    paths_places(out, PATHS_NUL, true, nul, PATHS_COUNT(nul));
    paths_places(out, PATHS_DRIVE, true, drive, PATHS_COUNT(drive));
    paths_places(out, PATHS_BACKSLASH, true, unc, PATHS_COUNT(unc));
    paths_places(out, PATHS_STREAM, true, stream, PATHS_COUNT(stream));
    paths_places(out, PATHS_ENDING, true, ending, PATHS_COUNT(ending));
    paths_places(out, PATHS_WILD, true, wild, PATHS_COUNT(wild));
    paths_places(out, PATHS_FORK, true, fork, PATHS_COUNT(fork));
    paths_places(out, PATHS_HIDDEN, true, hidden, PATHS_COUNT(hidden));
}

static inline void paths_devices(const paths_out *out)
{
    static const char *const names[] = {"CON",       "con",    "PRN",     "prN",       "AUX",       "aux",
                                        "NUL",       "nul",    "Nul",     "COM0",      "com1",      "COM9",
                                        "LPT0",      "lpt1",   "LPT9",    "COM%c2%b9", "com%C2%B2", "LPT\xc2\xb3",
                                        "lpt%c2%b9", "CONIN$", "conout$", "%43ON",     "n%75l"};
    static const char *const behinds[] = {"",         ".",  ".txt",     ".tar.gz", "%20",         "%20.txt",
                                          "%20%20.a", "..", ".html%20", "/",       "/index.html", ".txt/a"};
    for (size_t i = 0; i < PATHS_COUNT(names); i++)
        for (size_t b = 0; b < PATHS_COUNT(behinds); b++)
            for (size_t f = 0; f < 3; f++)
                paths_say(out, PATHS_DEVICE, true, paths_fronts[f], names[i], behinds[b], "");
}

static inline void paths_shorts(const paths_out *out)
{
    static const char *const bases[] = {"INDEX",  "index", "PROGRA", "a",       "",
                                        "HTACCE", "GIT",   "SECRET", "%49NDEX", "\xc3\xa4\xc3\xb6\xc3\xbc"};
    static const char *const numbers[] = {"~1", "~2", "%7e1", "~9", "~0"};
    static const char *const ends[] = {"", ".HTM", ".htm", ".t", "/", "/index.html", ".TXT/a"};
    for (size_t i = 0; i < PATHS_COUNT(bases); i++)
        for (size_t n = 0; n < PATHS_COUNT(numbers); n++)
            for (size_t e = 0; e < PATHS_COUNT(ends); e++)
                paths_say(out, PATHS_SHORT, true, "", bases[i], numbers[n], ends[e]);
    paths_say(out, PATHS_SHORT, true, "a/", "LONGF~10", ".EXT", "");
    paths_say(out, PATHS_SHORT, true, "a/", "AB123~1", ".EXT", "");
    paths_say(out, PATHS_SHORT, true, "", "~1234567", "", "");
}

// Every control byte, at the front, inside and at the end of a name, and the bytes that UTF-8 never has.
static inline void paths_bytes(const paths_out *out)
{
    static const char *const fronts[] = {"", "index", "index.html", "a/"};
    static const char *const behinds[] = {"", ".html", "/index.html"};
    for (unsigned c = 0; c < 256; c++) {
        bool control = c < 32 || c == 127, never = c >= 0x80;
        char escape[8];
        if (!control && !never) continue;
        (void)snprintf(escape, sizeof escape, "%%%02x", c);
        for (size_t f = 0; f < PATHS_COUNT(fronts); f++)
            for (size_t b = 0; b < PATHS_COUNT(behinds); b++)
                paths_say(out,
                          never ? PATHS_OVERLONG
                          : c   ? PATHS_CONTROL
                                : PATHS_NUL,
                          true, fronts[f], escape, behinds[b], "");
    }
}

static inline void paths_hostile(paths_each each, void *user)
{
    paths_out out;
    out.each = each;
    out.user = user;
    paths_climbs(&out);
    paths_names(&out);
    paths_devices(&out);
    paths_shorts(&out);
    paths_bytes(&out);
}

// ---- the rules once more

// Reads one code point as its number; 0xffffffff: malformed, found by writing it again.
static inline uint32_t paths_point(const uint8_t *p, size_t len, size_t *used)
{
    size_t n = 1;
    uint8_t back[4] = {0, 0, 0, 0};
    while (n < len && n < 4 && p[n] >= 0x80 && p[n] <= 0xbf) n++;
    if (p[0] < 0x80) n = 1;
    if (n >= 2 && p[0] >= 0xc0 && p[0] <= 0xdf) n = 2;
    if (n >= 3 && p[0] >= 0xe0 && p[0] <= 0xef) n = 3;
    uint32_t point = n == 1 ? p[0] : n == 2 ? p[0] & 0x1fu : n == 3 ? p[0] & 0x0fu : p[0] & 0x07u;
    for (size_t i = 1; i < n; i++) point = point << 6 | (p[i] & 0x3fu);
    *used = n;
    size_t wants = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) || wants != n) return 0xffffffffu;
    if (n == 1) back[0] = (uint8_t)point;
    if (n > 1) back[0] = (uint8_t)((0xf0u << (4 - n)) | (point >> (6 * (n - 1))));
    for (size_t i = 1; i < n; i++) back[i] = (uint8_t)(0x80u | ((point >> (6 * (n - 1 - i))) & 0x3fu));
    return memcmp(back, p, n) == 0 ? point : 0xffffffffu;
}

static inline bool paths_in(uint32_t point, const char *set)
{
    return point < 0x80 && point != 0 && strchr(set, (int)point) != NULL;
}

#define PATHS_NAME 4200 // code points of a segment: more is refused here, so tests do not ask for it

// A segment as numbers, letters as capitals.
static inline bool paths_segment_refused(const uint32_t *name, size_t len, bool hidden, bool windows)
{
    static const char *const devices[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"};
    char ascii[PATHS_NAME + 1];
    size_t stem = 0, dots = 0, tilde = len;
    for (size_t i = 0; i < len; i++) ascii[i] = name[i] < 0x80 ? (char)name[i] : '\x01';
    ascii[len] = 0;
    for (size_t i = 0; i < len; i++)
        if (name[i] < 32 || name[i] == 127 || name[i] == '\\' || name[i] == 0xffffffffu) return true;
    if (strcmp(ascii, ".") == 0 || strcmp(ascii, "..") == 0 || strcmp(ascii, "..NAMEDFORK") == 0) return true;
    if (strstr(ascii, "%2F")) return true;
    uint32_t first = name[0];
    bool veil = (first >= 0x200c && first <= 0x200f) || (first >= 0x202a && first <= 0x202e) ||
                (first >= 0x206a && first <= 0x206f) || first == 0xfeff;
    if (!hidden && (first == '.' || veil)) return true;
    if (!windows) return false;
    if (paths_in(name[len - 1], ". ") || strcspn(ascii, "\"*:<>?|") < len) return true;
    while (stem < len && name[stem] != '.') stem++;
    for (size_t i = 0; i < len; i++) dots += name[i] == '.';
    for (size_t i = 0; i < stem; i++)
        if (name[i] == '~') tilde = i;
    // 8.3: a tilde and digits end the stem
    if (tilde < stem && tilde + 1 < stem && strspn(ascii + tilde + 1, "0123456789") == stem - tilde - 1 && stem <= 8 &&
        dots <= 1 && (dots == 0 || len - stem - 1 <= 3))
        return true;
    while (stem > 0 && name[stem - 1] == ' ') stem--;
    for (size_t i = 0; i < PATHS_COUNT(devices); i++)
        if (stem == strlen(devices[i]) && memcmp(ascii, devices[i], stem) == 0) return true;
    if (stem != 4 || (memcmp(ascii, "COM", 3) != 0 && memcmp(ascii, "LPT", 3) != 0)) return false;
    return (name[3] >= '0' && name[3] <= '9') || name[3] == 0xb9 || name[3] == 0xb2 || name[3] == 0xb3;
}

static inline bool paths_refused(const char *path, size_t len, bool hidden, bool windows)
{
    uint32_t name[PATHS_NAME];
    size_t count = 0, used = 0;
    for (size_t i = 0; i <= len; i += used) {
        used = 1;
        if (i == len || path[i] == '/') {
            if (count && paths_segment_refused(name, count, hidden, windows)) return true;
            count = 0;
            continue;
        }
        uint32_t point = paths_point((const uint8_t *)path + i, len - i, &used);
        if (point == 0xffffffffu || count == PATHS_NAME) return true;
        name[count++] = point >= 'a' && point <= 'z' ? point - 32 : point;
    }
    return false;
}
#endif
