// fuzz_http.c: the parsers of >>http-read on hostile bytes. fuzz.h says how to build it.
//
// Every piece is a heap copy of exactly its size, so that the sanitizer sees one byte read too many. What must hold:
//   - the answer to some bytes is the same whether they come at once or were tried after each of many prefixes: a prefix
//     is incomplete, or is refused for the very reason of the whole; a head that is accepted is accepted at one length
//   - nothing says that it used more than there was, and what an accepted head points to lies within the head
//   - an accepted head has no line end but CR LF, no control byte but HTAB, at most one of each framing field, never both
//     lengths and codings, and one Host where HTTP/1.1 wants it: checked by a second, much simpler reader
//   - a chunked body has ended where, and with the bytes that, a second reader says, who has all of it before him; what he
//     accepts is refused for a limit alone
#define FASTSERVE_IMPLEMENTATION
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE // before the first system header
#endif
#include "../fastserve.h"
#include "fuzz.h"

#define FIELDS_MAX 64

static const fsi_limits limit_sets[] = {{16384, 8192, FIELDS_MAX}, {96, 24, 3}};

// Which prefixes are tried: all of a short input, some of a long one, spread by its bytes.
static size_t next_cut(size_t cut, size_t size)
{
    if (size <= 96) return cut + 1;
    return cut + 1 + (cut < size ? fuzz_input[cut] * size / 4096 : 0);
}

// ---- heads

typedef struct parsed {
    int64_t result;
    fsi_head head;
    fsi_answer_head answer;
    fsi_field fields[FIELDS_MAX];
} parsed;

static void parse(parsed *out, bool request, const uint8_t *data, size_t size, const fsi_limits *limits)
{
    char *copy = fuzz_copy(data, size);
    memset(out, 0, sizeof *out);
    if (request)
        out->result = fsi_read_request(copy, size, limits, &out->head, out->fields);
    else
        out->result = fsi_read_response(copy, size, limits->head_bytes, &out->answer);
    MUST(out->result <= (int64_t)size);
    MUST(out->result <= (int64_t)limits->head_bytes);
    MUST(out->result > -(int64_t)FSI_REFUSALS_END);
    free(copy);
}

static bool within(const parsed *p, uint32_t at, uint32_t len)
{
    return (uint64_t)at + len <= (uint64_t)p->result;
}

static bool name_is(const char *line, size_t len, const char *lower) // "name:" at the start of a line
{
    for (; *lower; line++, lower++, len--)
        if (!len || (*line | 0x20) != *lower) return false;
    return len && *line == ':';
}

// The second reader: lines are what stands between CR LFs, names what stands before the colon.
static void check_lines(const parsed *p, const char *data, bool request)
{
    size_t size = (size_t)p->result, hosts = 0, lengths = 0, codings = 0, lines = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)data[i];
        if (c == '\r')
            MUST(i + 1 < size && data[i + 1] == '\n');
        else if (c == '\n')
            MUST(i > 0 && data[i - 1] == '\r');
        else
            MUST(c == '\t' || (c >= 32 && c != 127));
        if (c != '\n' || i + 1 == size) continue;
        const char *line = data + i + 1;
        MUST(*line != ' ' && *line != '\t');
        lines += *line != '\r';
        hosts += name_is(line, size - i - 1, "host");
        lengths += name_is(line, size - i - 1, "content-length");
        codings += name_is(line, size - i - 1, "transfer-encoding");
    }
    MUST(size >= 4 && memcmp(data + size - 4, "\r\n\r\n", 4) == 0);
    MUST(lengths == 0 || codings == 0);
    if (!request) {
        MUST(p->answer.has_length == (lengths > 0) && p->answer.chunked == (codings > 0));
        return;
    }
    MUST(hosts <= 1 && lengths <= 1);
    MUST(hosts == 1 || p->head.minor == 0);
    MUST(p->head.has_length == (lengths == 1) && p->head.chunked == (codings > 0));
    MUST(lines ==
         p->head.field_count + (p->head.skipped ? 1u : 0u)); // behind an empty line the request line counts too
}

static void check_accepted(const parsed *p, const char *data, const fsi_limits *limits)
{
    const fsi_head *head = &p->head;
    MUST(head->bytes == p->result);
    MUST(head->field_count <= limits->fields);
    MUST(head->target_len <= limits->target_bytes);
    MUST(head->method_len > 0 && within(p, head->skipped, head->method_len) &&
         within(p, head->target, head->target_len));
    MUST(within(p, head->host, head->host_len));
    uint32_t target_end = head->target + head->target_len;
    MUST(head->path >= head->target && head->path + head->path_len <= target_end);
    MUST(head->query == 0 || (head->query > head->path && head->query + head->query_len == target_end));
    MUST(head->path_len == 0 || data[head->path] == '/');
    MUST(!head->chunked || head->minor == 1);
    uint32_t before = target_end;
    for (uint32_t i = 0; i < head->field_count; i++) {
        const fsi_field *field = &p->fields[i];
        MUST(field->name > before && field->name_len > 0 && field->value > field->name + field->name_len - 1);
        MUST(within(p, field->value, field->value_len));
        for (uint32_t k = 0; k < field->value_len; k++) MUST(data[field->value + k] != '\r');
        before = field->value + field->value_len;
    }
}

static void try_heads(const uint8_t *data, size_t size, bool request, const fsi_limits *limits)
{
    parsed whole, part;
    parse(&whole, request, data, size, limits);
    if (whole.result > 0) {
        char *copy = fuzz_copy(data, size);
        check_lines(&whole, copy, request);
        if (request)
            check_accepted(&whole, copy, limits);
        else
            MUST(whole.answer.bytes == whole.result && whole.answer.status >= 100 && whole.answer.status <= 999);
        free(copy);
        for (int off = -1; off <= 0; off++) { // one byte less is not enough, and no more is needed
            parse(&part, request, data, (size_t)(whole.result + off), limits);
            MUST(part.result == (off ? 0 : whole.result));
        }
        MUST(memcmp(&part.head, &whole.head, sizeof part.head) == 0);
        MUST(memcmp(&part.answer, &whole.answer, sizeof part.answer) == 0);
        MUST(memcmp(part.fields, whole.fields, sizeof part.fields) == 0);
    }
    bool refused = false;
    for (size_t cut = 0; cut < size; cut = next_cut(cut, size)) {
        parse(&part, request, data, cut, limits);
        if (whole.result > 0)
            MUST(part.result == ((int64_t)cut < whole.result ? 0 : whole.result));
        else
            MUST(part.result == whole.result || (part.result == 0 && !refused));
        refused = part.result < 0;
    }
}

// ---- chunked bodies

typedef struct decoded {
    int64_t result;
    size_t used, len;
    uint64_t sum; // of the bytes that came out, in their order
    fsi_chunked body;
} decoded;

static void feed(decoded *it, const uint8_t *data, size_t size, const fsi_limits *limits, size_t take_max)
{
    char *piece = fuzz_copy(data, size);
    size_t at = 0, run = 1;
    while (it->result == 0 && run) {
        int64_t passed = fsi_read_chunked(&it->body, piece + at, size - at, limits, &run);
        if (passed < 0) {
            it->result = passed;
            break;
        }
        MUST((uint64_t)passed + run <= size - at);
        at += (size_t)passed;
        if (run > take_max) run = take_max;
        for (size_t i = 0; i < run; i++) it->sum = it->sum * 31 + (uint8_t)piece[at + i] + 1;
        if (run)
            fsi_chunk_take(&it->body, run);
        else
            MUST(at == size || it->body.state == FSI_CHUNK_DONE);
        at += run;
        it->len += run;
    }
    it->used += at;
    free(piece);
}

// The second reader of chunks: a line at a time, with grammar in place of states.
static bool is_text(char c)
{
    return c == '\t' || ((uint8_t)c >= 32 && c != 127);
}

static const char *past_token(const char *p, const char *end)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    while (p < end &&
           (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *p) || strchr(marks, *p)) && *p)
        p++;
    return p;
}

static const char *past_gap(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    return p;
}

// Behind the closing quote of a text that begins at p, or NULL.
static const char *past_quoted(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && ++p == end) return NULL;
        if (!is_text(*p)) return NULL;
    }
    return p < end ? p + 1 : NULL;
}

static bool are_extensions(const char *p, const char *end)
{
    while (p < end) {
        if (*p != ';') return false;
        const char *name = past_gap(p + 1, end), *gap;
        p = past_token(name, end);
        if (p == name) return false;
        gap = past_gap(p, end);
        if (gap < end && *gap == '=') {
            const char *value = past_gap(gap + 1, end);
            p = value < end && *value == '"' ? past_quoted(value, end) : past_token(value, end);
            if (!p || p == value) return false;
            gap = past_gap(p, end);
        }
        if (gap == end && gap > p) return false;
        p = gap;
    }
    return true;
}

// The end of the line that begins at p, where its CR stands; NULL: there is none, or something else.
static const char *line_end(const char *p, const char *end)
{
    const char *cr = (const char *)memchr(p, '\r', (size_t)(end - p));
    return cr && cr + 1 < end && cr[1] == '\n' ? cr : NULL;
}

// A whole body at p: how many bytes it takes; 0: it is malformed or not whole.
static size_t second_chunks(const char *data, size_t size, uint64_t *sum, size_t *len)
{
    const char *p = data, *end = data + size, *cr;
    uint64_t chunk;
    *sum = *len = 0;
    do {
        const char *digits = p;
        cr = line_end(p, end);
        for (chunk = 0; cr && p < cr && fsi_hex(*p) >= 0 && chunk < (uint64_t)1 << 56; p++)
            chunk = chunk * 16 + (uint64_t)fsi_hex(*p);
        if (!cr || p == digits || !are_extensions(p, cr)) return 0;
        p = cr + 2;
        if (!chunk) break;
        if ((uint64_t)(end - p) < chunk + 2 || memcmp(p + chunk, "\r\n", 2) != 0) return 0;
        for (; chunk; chunk--, (*len)++) *sum = *sum * 31 + (uint8_t)*p++ + 1;
        p += 2;
    } while (true);
    for (; (cr = line_end(p, end)) != NULL && cr > p; p = cr + 2) {
        const char *colon = past_token(p, cr);
        if (colon == p || colon == cr || *colon != ':') return 0;
        for (colon++; colon < cr; colon++)
            if (!is_text(*colon)) return 0;
    }
    return cr ? (size_t)(cr + 2 - data) : 0;
}

static void try_chunked(const uint8_t *data, size_t size, const fsi_limits *limits)
{
    decoded whole, part;
    memset(&whole, 0, sizeof whole);
    feed(&whole, data, size, limits, SIZE_MAX);
    MUST(whole.used <= size && whole.len <= size);
    uint64_t sum;
    size_t len, used = second_chunks((const char *)data, size, &sum, &len);
    if (whole.body.state == FSI_CHUNK_DONE)
        MUST(used == whole.used && len == whole.len && sum == whole.sum);
    else if (used)
        MUST(whole.result == -FSI_LONG_CHUNK_LINE || whole.result == -FSI_LONG_TRAILER || whole.body.digits > 15);
    for (int way = 0; way < 2; way++) { // bytes one by one, then pieces of all sizes
        memset(&part, 0, sizeof part);
        for (size_t at = 0, step; at < size && part.result == 0; at += step) {
            step = way == 0 ? 1 : 1 + data[at] % 23u;
            if (step > size - at) step = size - at;
            feed(&part, data + at, step, limits, 1 + data[at] % 7u);
        }
        MUST(part.result == whole.result);
        MUST(part.len == whole.len && part.sum == whole.sum);
        MUST(whole.result < 0 || (part.used == whole.used && memcmp(&part.body, &whole.body, sizeof whole.body) == 0));
    }
}

// What an input is put through.
static size_t accepted;

static void put_through(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof limit_sets / sizeof limit_sets[0]; i++) {
        try_heads(data, size, true, &limit_sets[i]);
        try_heads(data, size, false, &limit_sets[i]);
        try_chunked(data, size, &limit_sets[i]);
    }
    if (size) {
        fsi_head head;
        fsi_field fields[FIELDS_MAX];
        accepted += fsi_read_request((const char *)data, size, &limit_sets[0], &head, fields) > 0;
    }
}

static const char *const seeds[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nPOST /a%20b?c=d HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "POST http://a.b/c HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\nConnection: keep-alive, close\r\nA: b\tc\r\n\r\n",
    "5\r\nhello\r\n3;a=\"b\"\r\nxyz\r\n0\r\nA: b\r\n\r\n",
    "1;a;b=c; d = \"e\\\"f;\" ;g\r\nx\r\n00;h\r\nA:\r\nB:\tc\r\n\r\nGET / HTTP/1.1\r\n",
    "GET http://[2001:db8::192.0.2.1]:80/a?b HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    "fffffffffffffff\r\nx",
    "1\r\na\r\n2\r\nbc\r\n0010\r\n0123456789abcdef\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    "HTTP/1.0 404 Not Found\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
};

// Pieces that mean something to a parser; bytes at random seldom spell them.
static const char *const words[] = {"\r\n",
                                    "\r",
                                    "\n",
                                    "\r\n\r\n",
                                    ":",
                                    " ",
                                    "\t",
                                    ",",
                                    ";",
                                    "0",
                                    "5",
                                    "f",
                                    "+",
                                    "\x80",
                                    "Host: b\r\n",
                                    "Content-Length: 5\r\n",
                                    "Transfer-Encoding: chunked\r\n",
                                    "chunked",
                                    "HTTP/1.1",
                                    "18446744073709551621",
                                    "ffffffffffffffff",
                                    "\r\n ",
                                    "\"",
                                    "=",
                                    "\\",
                                    ";a=b",
                                    "0\r\n\r\n",
                                    "::",
                                    "http://",
                                    "?",
                                    "#"};

static size_t seed(size_t index, uint8_t *data)
{
    const char *text = seeds[index % (sizeof seeds / sizeof seeds[0])];
    memcpy(data, text, strlen(text));
    return strlen(text);
}

static void end(void)
{
    printf("%zu request heads accepted\n", accepted);
}

static const fuzz_driver driver = {put_through, seed, end, words, sizeof words / sizeof words[0], 200000, 6, 0};
FUZZ_MAIN(driver)
