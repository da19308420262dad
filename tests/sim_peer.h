// sim_peer.h: the peers of sim.h, and what they know. A peer writes down all of its requests before it sends the first
// byte; then it sends, in pieces, reads what it takes, and compares.

// ---- what a peer will send

static void sim_put(sim_client *c, const char *data, size_t len)
{
    fake_append(&c->text, &c->text_len, &c->text_cap, data, len);
}

#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((format(printf, 2, 3)))
#endif
static void
sim_print(sim_client *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_put(c, text, (size_t)n);
}

static size_t sim_size(void)
{
    switch (sim_draw(8)) {
    case 0: return 0;
    case 1: return sim_draw(40000);
    case 2: return sim_draw(5000);
    default: return sim_draw(300);
    }
}

// A body as chunks, perhaps with extensions and a trailer.
static void sim_put_chunked(sim_client *c, const char *body, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = 1 + sim_draw((uint32_t)(len - at < 3000 ? len - at : 3000));
        sim_print(c, sim_odds(8) ? "%zx;name=\"a value\"\r\n" : "%zX\r\n", n);
        sim_put(c, body + at, n);
        sim_put(c, "\r\n", 2);
        at += n;
    }
    sim_print(c, sim_odds(8) ? "0\r\nX-Trailer: a\r\n\r\n" : "0\r\n\r\n");
}

static const char *const sim_bad[] = {
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/2.7\r\nHost: a\r\n\r\n",
    "\001\002\003\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /whole/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /whole/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "POST /whole/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
};

static void sim_put_request(sim_client *c, sim_kind kind, bool last)
{
    static const char *const paths[] = {"/get/%u",   "/large/%u",   "/stream/%u",  "/echo/%u", "/whole/%u", "/work/%u",
                                        "/defer/%u", "/nothing/%u", "/missing/%u", "",         "/whole/%u"};
    static const uint32_t may[] = {0, 0, 0, 0, 0, SIM_503, SIM_503, 0, SIM_404, SIM_REFUSED, SIM_REFUSED};
    if (sim.request_count == SIM_REQUESTS) return;
    sim_request *r = &sim.requests[sim.request_count];
    char path[64];
    memset(r, 0, sizeof *r);
    r->id = sim.request_count++;
    r->client = c->number;
    r->kind = (uint8_t)kind;
    r->may = may[kind];
    if (sim.desc.blocking && may[kind] == 0 && kind != SIM_STREAM && kind != SIM_ECHO) r->may = SIM_503;
    r->from = c->text_len;
    c->count++;
    if (kind == SIM_BAD) {
        const char *text = sim_bad[sim_draw(sizeof sim_bad / sizeof *sim_bad)];
        sim_put(c, text, strlen(text));
        r->body_from = r->to = c->text_len;
        return;
    }
    bool body = kind == SIM_ECHO || kind == SIM_WHOLE || kind == SIM_TOO_BIG, chunked = body && sim_odds(2);
    r->answer_len = kind == SIM_LARGE ? 4000 + sim_draw(sim_odds(8) ? 180000 : 20000) : sim_size();
    if (kind == SIM_WHOLE && r->answer_len > 20000) r->answer_len = 20000; // body_bytes_max
    if (kind == SIM_NOTHING || kind == SIM_MISSING) r->answer_len = 0;
    r->old = kind != SIM_TOO_BIG && !chunked && last && sim_odds(6);
    r->closes = kind == SIM_TOO_BIG || r->old || (last && sim_odds(3));
    r->expects = body && !r->old && sim_odds(4) && r->answer_len;
    // Who is refused at the door gets a body, whatever it was about to ask.
    r->head = !body && kind <= SIM_DEFER && sim_odds(8) && (c->count > 1 || !sim.crowded);
    r->bite = sim_odds(2) ? 1 + sim_draw(700) : 0;
    r->cut = kind == SIM_STREAM && !r->head && sim_odds(16);
    if (r->cut) r->cut_at = sim_draw((uint32_t)r->answer_len + 1);
    if (r->cut && r->answer_len == 0) r->cut = false;
    (void)snprintf(path, sizeof path, paths[kind], r->id);
    sim_print(c, "%s %s HTTP/1.%c\r\n", body ? "POST" : r->head ? "HEAD" : "GET", path, r->old ? '0' : '1');
    sim_print(c, sim_odds(8) ? "hOST:\ta \r\n" : "Host: a\r\n");
    if (sim_odds(8))
        sim_print(c, "X-Pad: %.*s\r\n", (int)sim_draw(100),
                  "padpadpadpadpadpadpadpadpadpadpadpadpadpadpadpad"
                  "padpadpadpadpadpadpadpadpadpadpadpadpadpadpadpad");
    if (r->closes && !r->old) sim_print(c, "Connection: close\r\n");
    if (r->expects) sim_print(c, "Expect: 100-continue\r\n");
    if (kind == SIM_TOO_BIG)
        sim_print(c, "Content-Length: 20001\r\n\r\n");
    else if (chunked)
        sim_print(c, "Transfer-Encoding: chunked\r\n\r\n");
    else if (body)
        sim_print(c, "Content-Length: %zu\r\n\r\n", r->answer_len);
    else
        sim_print(c, "\r\n");
    r->body_from = c->text_len;
    if (kind == SIM_TOO_BIG)
        sim_put(c, "abc", 3);
    else if (chunked)
        sim_put_chunked(c, sim_bytes(r->id), r->answer_len);
    else if (body)
        sim_put(c, sim_bytes(r->id), r->answer_len);
    r->to = c->text_len;
}

static void sim_put_requests(sim_client *c)
{
    static const uint8_t mix[] = {SIM_GET,    SIM_GET,     SIM_GET,     SIM_GET,   SIM_GET,   SIM_LARGE, SIM_STREAM,
                                  SIM_STREAM, SIM_ECHO,    SIM_ECHO,    SIM_WHOLE, SIM_WHOLE, SIM_WORK,  SIM_WORK,
                                  SIM_DEFER,  SIM_NOTHING, SIM_MISSING, SIM_GET,   SIM_GET,   SIM_GET};
    uint32_t many = sim.desc.pin ? 6 : 60,
             count = sim_odds(many) ? 65 + sim_draw(90) : 1 + sim_draw(sim_odds(4) ? 20 : 5);
    bool gets = count > 20;
    c->first = sim.request_count;
    for (uint32_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        sim_kind kind = gets ? SIM_GET : (sim_kind)mix[sim_draw(sizeof mix)];
        if (sim.working && !gets && sim_odds(2)) kind = SIM_WORK;
        if (last && sim_odds(12)) kind = sim_odds(2) ? SIM_BAD : SIM_TOO_BIG;
        sim_put_request(c, kind, last);
    }
}

// ---- connecting

static void sim_client_nature(sim_client *c)
{
    fake_sock *sock = c->sock;
    c->due_ns = c->active_ns = fake.now_ns;
    c->chunk = sim_odds(2) ? SIZE_MAX : 1 + sim_draw(sim_odds(2) ? 30 : 2000);
    c->window = sim_odds(2) ? 65536 : 64 + sim_draw(4000);
    c->delay_us = sim_odds(2) ? 0 : sim_draw(4000);
    if (c->chunk < 30 && c->delay_us > 300) c->delay_us = 300; // honest, if slow
    c->stall_at = c->cut_at = c->cut_after = SIZE_MAX;
    if (sim_odds(24)) c->stall_at = sim_draw((uint32_t)c->text_len + 1);
    if (sim_odds(8)) c->cut_at = sim_draw((uint32_t)c->text_len + 1);
    if (sim_odds(12)) c->cut_after = sim_draw(20000);
    c->half_close = sim_odds(3);
    c->one_by_one = c->mode == SIM_HTTP && (c->count > 20 ? sim_odds(2) : sim_odds(4));
    c->after = (uint8_t)sim_draw(8);
    c->room_step = sim_odds(3) ? 1 + sim_draw(sim_odds(2) ? 400 : 20000) : 0;
    if (c->room_step) sock->room = sim_draw(3000);
    if (sim_odds(3)) sock->read_max = 1 + sim_draw(2000);
    if (sim_odds(3)) sock->write_max = 1 + sim_draw(3000);
    sock->pend = sim_odds(4);
    sock->cpu = (int)sim_draw(4);
    if (sim_odds(4))
        fsi_sockaddr_v4(&sock->peer, sim_odds(2) ? 0x7f000001 : 0x0a000001 + sim_draw(3), 40000 + c->number);
    sock->user = c;
}

static sim_client *sim_client_new(sim_mode mode)
{
    if (sim.client_count == SIM_CLIENTS) return NULL;
    sim_client *c = &sim.clients[sim.client_count];
    memset(c, 0, sizeof *c);
    c->number = sim.client_count++;
    c->mode = (uint8_t)mode;
    c->active = true;
    c->push_ns = c->resume_ns = SIM_NEVER;
    sim.client_active++;
    if (mode == SIM_HTTP) {
        sim_put_requests(c);
        sim_all.conns++;
        return c;
    }
    if (mode != SIM_RAW_PUSH) sim_put(c, sim_bytes(c->number), 1 + sim_size() + sim_size());
    c->total = mode == SIM_RAW_SINK ? 0 : mode == SIM_RAW_ECHO ? c->text_len : 1 + sim_size() + sim_size();
    sim_all.raw++;
    return c;
}

// A client connects to some listener.
static void sim_client_knocks(void)
{
    sim_mode mode = sim_draw(5) ? SIM_HTTP : (sim_mode)(1 + sim_draw(3));
    uint32_t group = mode == SIM_HTTP ? 0 : 1;
    if (!sim.listener_count[group] || sim.request_count + 200 > SIM_REQUESTS) {
        sim.client_goal = sim.client_count;
        return;
    }
    fake_sock *at = fake_of(sim.listeners[group][sim_draw(sim.listener_count[group])]);
    if (!at || at->closed || at->backlog_len - at->backlog_at > 200) return;
    if (sim_odds(200)) at->backlog[at->backlog_len++ % FAKE_BACKLOG] = sim_odds(2) ? FSI_EMPTY : FSI_FAILED;
    sim_client *c = sim_client_new(mode);
    if (!c) return;
    c->sock = fake_socket();
    sim_client_nature(c);
    at->backlog[at->backlog_len++ % FAKE_BACKLOG] = c->sock->fd;
    sim_note("connects", c->number, c->count);
}

// The server connects to a peer of the world's.
static void sim_dialed(fake_sock *sock)
{
    sim_client *c = (sim_client *)((const fsi_conn *)(const void *)sock->chan)->tcp->desc.user;
    c->sock = sock;
    sim_client_nature(c);
    c->due_ns = fake.now_ns + sim_draw(20) * SIM_MS;
    if (sim_odds(8)) c->due_ns = SIM_NEVER, c->why = "it never answers";
}

static void sim_dial(void)
{
    fsv_tcp_desc desc;
    sim_client *c = sim_client_new((sim_mode)(1 + sim_draw(3)));
    if (!c) return;
    c->dialed = true;
    c->due_ns = SIM_NEVER;
    sim_raw_desc(&desc, c);
    fsv_result result = fsv_tcp_connect(sim.server, sim_draw(sim.desc.loops), "127.0.0.1:9", &desc, &c->tcp);
    sim_note("dials", c->number, (uint64_t) - (int64_t)result);
    sim_all.dials++;
    if (result == FSV_OK) return;
    if (result != FSV_ERR_LIMIT && result != FSV_ERR_FULL && result != FSV_ERR_STOPPED &&
        (result != FSV_ERR_MEMORY || !sim.faulted))
        sim_fault("client %u: fsv_tcp_connect: %s", c->number, fsv_result_text(result));
    if (c->opened || c->closed) sim_fault("client %u: refused, and yet it was called", c->number);
    c->active = false;
    sim.client_active--;
}

// ---- what a peer reads

static void sim_bad_answer(const sim_client *c, const char *what)
{
    const sim_request *r = c->answered < c->count ? &sim.requests[c->first + c->answered] : NULL;
    sim_fault("client %u, request %u: %s (status %u, %zu of its body)", c->number, r ? r->id : 0, what, c->status,
              c->body_at);
}

// Whether some connection was one too many.
static bool sim_turned_away(void)
{
    fsv_stats stats;
    return fsv_server_stats(sim.server, UINT32_MAX, &stats) == FSV_OK &&
           stats.conns_refused + stats.conns_refused_address;
}

static bool sim_status_fits(const sim_client *c, const sim_request *r, uint32_t status)
{
    uint64_t timeout = sim.desc.defer_timeout_ms * SIM_MS;
    if (status == 504)
        return r->taken_ns && fake.now_ns >= r->taken_ns + timeout - SIM_MS && (r->held || r->may & SIM_504);
    if (status == 408) return c->stalled;
    if (r->may & SIM_REFUSED) return status >= 400;
    if (status == 503 && c->answered == 0 && sim_turned_away()) return true;
    if ((status == 500 || status == 503) && sim_failed_once()) return true;
    if (status == 200) return (r->may & SIM_200) != 0 && r->begun == 1;
    if (status == 404) return (r->may & SIM_404) != 0;
    if (status == 500) return (r->may & SIM_500) != 0;
    if (status == 503) return (r->may & SIM_503) != 0;
    return false;
}

// A whole answer has been read.
static void sim_answer_ends(sim_client *c)
{
    sim_request *r = &sim.requests[c->first + c->answered];
    if (c->status == 200 && !c->no_body && c->body_at != r->answer_len) sim_bad_answer(c, "its body is short");
    sim_note("answer", r->id, c->status);
    sim_all.answers[c->status / 100]++;
    c->answered++;
    c->part = SIM_PART_HEAD;
}

static bool sim_line_is(const char *line, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(line, text, len) == 0;
}

// A head that is complete, its last empty line included.
static void sim_read_head(sim_client *c, const char *head, size_t len)
{
    static const char length[] = "Content-Length: ";
    bool chunked = false, known = false, dated = false, closes = false;
    if (len < 17 || memcmp(head, "HTTP/1.1 ", 9) != 0) sim_bad_answer(c, "this is no status line");
    c->status = (uint32_t)(head[9] - '0') * 100 + (uint32_t)(head[10] - '0') * 10 + (uint32_t)(head[11] - '0');
    if (c->answered == c->count) sim_bad_answer(c, "an answer that nobody asked for");
    sim_request *r = &sim.requests[c->first + c->answered];
    if (c->over) sim_bad_answer(c, "an answer after the last one");
    if (c->status == 100) {
        if (!r->expects || r->continued || c->sent < r->body_from) sim_bad_answer(c, "100 without being asked");
        r->continued = true;
        return;
    }
    c->left = 0;
    for (const char *line = head, *end; (size_t)(line - head) + 2 < len; line = end + 2) {
        for (end = line; *end != '\r'; end++) continue;
        size_t n = (size_t)(end - line);
        if (n > strlen(length) && memcmp(line, length, strlen(length)) == 0) {
            known = true;
            for (const char *at = line + strlen(length); at < end; at++) c->left = c->left * 10 + (size_t)(*at - '0');
        }
        if (sim_line_is(line, n, "Transfer-Encoding: chunked")) chunked = true;
        if (sim_line_is(line, n, "Connection: close")) closes = true;
        if (n == 35 && memcmp(line, "Date: ", 6) == 0) dated = true;
    }
    if (c->sent < r->body_from && !(r->kind == SIM_BAD) && !sim_failed_once() && c->status != 408 && c->status != 503)
        sim_bad_answer(c, "it was answered before it was asked");
    if (!sim_status_fits(c, r, c->status)) sim_bad_answer(c, "its status is another one");
    if (!dated) sim_bad_answer(c, "no Date");
    if (known && chunked) sim_bad_answer(c, "two lengths");
    c->no_body = r->head && c->sent >= r->body_from;
    c->body_at = 0;
    c->over = closes || !(known || chunked || c->no_body);
    if (c->status == 200 && r->closes && !c->over) sim_bad_answer(c, "it was asked to close");
    if ((c->status == 408 || r->may & SIM_REFUSED) && !closes) sim_bad_answer(c, "refused, and yet kept");
    bool reason = r->closes || !known || c->said_end || sim.stopped || sim_failed_once() ||
                  c->answered + 1 == sim.desc.conn_requests_max || sim.desc.model;
    if (closes && !reason && (c->status == 200 || c->status == 404)) sim_bad_answer(c, "it closes for no reason");
    if (c->status == 200 && known && c->left != r->answer_len) sim_bad_answer(c, "its length is another one");
    c->part = c->no_body ? SIM_PART_HEAD : chunked ? SIM_PART_SIZE : known ? SIM_PART_LENGTH : SIM_PART_CLOSE;
    if (c->no_body || (known && c->left == 0)) sim_answer_ends(c);
}

static void sim_read_body(sim_client *c, const char *data, size_t len)
{
    const sim_request *r = &sim.requests[c->first + c->answered];
    if (c->status == 200 && (len > r->answer_len - c->body_at || memcmp(data, sim_bytes(r->id) + c->body_at, len) != 0))
        sim_bad_answer(c, "its body is another one");
    c->body_at += len;
}

// Where a line ends; 0: not yet.
static size_t sim_line_end(const char *data, size_t len)
{
    const char *end = len > 1 ? (const char *)memchr(data, '\n', len) : NULL;
    return end ? (size_t)(end - data) + 1 : 0;
}

// Takes one more piece of what has come. False: it has to wait for more.
static bool sim_read_part(sim_client *c)
{
    const char *data = c->sock->out + c->seen;
    size_t len = c->sock->out_len - c->seen, n = 0;
    if (len == 0) return false;
    switch ((sim_part)c->part) {
    case SIM_PART_HEAD:
        for (n = 4; n <= len && memcmp(data + n - 4, "\r\n\r\n", 4) != 0; n++) continue;
        if (n > len) return false;
        sim_read_head(c, data, n);
        break;
    case SIM_PART_LENGTH:
    case SIM_PART_CHUNK:
        n = len < c->left ? len : c->left;
        sim_read_body(c, data, n);
        c->left -= n;
        if (c->left) break;
        if (c->part == SIM_PART_CHUNK)
            c->part = SIM_PART_CHUNK_END;
        else
            sim_answer_ends(c);
        break;
    case SIM_PART_SIZE:
        n = sim_line_end(data, len);
        if (n == 0) return false;
        c->left = (size_t)strtoul(data, NULL, 16);
        if (n < 3 || n > 18) sim_bad_answer(c, "a chunk's size");
        c->part = c->left ? SIM_PART_CHUNK : SIM_PART_TRAILER;
        break;
    case SIM_PART_CHUNK_END:
        if (len < 2) return false;
        if (memcmp(data, "\r\n", 2) != 0) sim_bad_answer(c, "a chunk's end");
        n = 2;
        c->part = SIM_PART_SIZE;
        break;
    case SIM_PART_TRAILER:
        if (len < 2) return false;
        if (memcmp(data, "\r\n", 2) != 0) sim_bad_answer(c, "the end of the last chunk");
        n = 2;
        sim_answer_ends(c);
        break;
    case SIM_PART_CLOSE:
        n = len;
        sim_read_body(c, data, n);
        break;
    }
    c->seen += n;
    return true;
}

static void sim_client_reads(sim_client *c)
{
    fake_sock *sock = c->sock;
    c->active_ns = fake.now_ns;
    if (c->mode == SIM_HTTP) {
        while (sim_read_part(c)) continue;
    } else {
        size_t n = sock->out_len - c->seen;
        if (n > c->total - c->body_at || memcmp(sock->out + c->seen, sim_bytes(c->number) + c->body_at, n) != 0)
            sim_fault("client %u: other bytes came back at %zu", c->number, c->body_at);
        c->body_at += n;
        c->seen = sock->out_len;
    }
    if (c->seen == sock->out_len) c->seen = sock->out_len = 0;
    c->looked = sock->out_len;
}

static size_t sim_unread(const sim_client *c)
{
    return c->sock->out_len - c->seen;
}

// ---- why a connection may end early

static const char *sim_excuse(const sim_client *c)
{
    if (c->why) return c->why;
    if (c->cut) return "it was cut";
    if (c->stalled) return "it stalled";
    if (sim.stopped) return "the server stops";
    if (sim_failed_once()) return "something failed";
    for (uint32_t i = 0; i < c->count; i++)
        if (sim.requests[c->first + i].cut) return "an answer was cut";
    bool dropped =
        c->mode != SIM_HTTP || (sim.crowded && c->answered == 0); // without a word: of an address, in a model
    if (dropped && sim_turned_away()) return "too many connections";
    return NULL;
}

// The server has ended its direction, and the peer has read to the end.
static void sim_client_at_end(sim_client *c)
{
    const char *what = NULL;
    if (c->mode != SIM_HTTP) {
        if (c->body_at != c->total) what = "its bytes did not all come back";
        if (c->opened && c->got != c->text_len) what = "its bytes did not all arrive";
        if (!c->opened) what = "it was never served";
    } else {
        if (c->part == SIM_PART_CLOSE) {
            if (c->body_at == sim.requests[c->first + c->answered].answer_len)
                sim_answer_ends(c);
            else
                what = "its last answer is short";
        }
        if (c->part != SIM_PART_HEAD || sim_unread(c)) what = "an answer is not whole";
        if (!what && !c->over && c->answered < c->count) what = "a request was not answered";
        uint64_t idle = fake.now_ns - c->active_ns,
                 limit = (sim.desc.idle_timeout_ms - 500) * SIM_MS; // the loop was earlier
        if (sim.desc.model) limit = 0;                              // others may wait for the thread
        if (!what && !c->over && !c->said_end && idle < limit) what = "it was to be kept alive";
    }
    if (what && !sim_excuse(c))
        sim_fault("client %u: %s, %u of %u answers, %zu of %zu sent, at the end of the connection", c->number, what,
                  c->answered, c->count, c->sent, c->text_len);
}

static void sim_client_done(sim_client *c)
{
    sim_note("client ends", c->number, c->answered);
    fake_forget(c->sock);
    c->sock = NULL;
    c->active = false;
    sim.client_active--;
    free(c->text);
    c->text = NULL;
    while (sim.client_low < sim.client_count && !sim.clients[sim.client_low].active) sim.client_low++;
}

// ---- what a peer does

// The last answer that the server gives has been read.
static bool sim_is_over(const sim_client *c)
{
    return c->over && c->part == SIM_PART_HEAD;
}

// So much may be sent now.
static size_t sim_sendable(const sim_client *c)
{
    size_t waits = c->sock->in_len - c->sock->in_at, to = c->text_len;
    if (c->said_end || c->cut || c->sock->closed) return 0;
    if (sim_is_over(c) && c->after % 2) return 0;
    if (c->waits_100) return 0;
    if (c->one_by_one && c->answered < c->count) to = sim.requests[c->first + c->answered].to;
    if (c->stall_at < to && c->stall_at >= c->sent) to = c->stall_at; // up to there
    if (waits >= c->window || to <= c->sent) return 0;
    return to - c->sent < c->window - waits ? to - c->sent : c->window - waits;
}

static bool sim_wants_room(const sim_client *c)
{
    return c->room_step && c->sock->room < c->room_step && !c->cut;
}

static bool sim_has_all(const sim_client *c)
{
    if (c->mode == SIM_HTTP) return sim_is_over(c) || c->answered == c->count;
    return c->sent == c->text_len && c->body_at == c->total;
}

// What it does after its time has come; none: it waits for the server.
typedef enum sim_act { SIM_NONE, SIM_SENDS, SIM_TAKES, SIM_ENDS, SIM_CUTS, SIM_STALLS, SIM_GOES_ON, SIM_MEETS } sim_act;

static sim_act sim_client_act(const sim_client *c)
{
    if (c->dialed && !c->met) return SIM_MEETS;
    if (c->cut) return SIM_NONE;
    if (c->sent >= c->cut_at || c->body_at >= c->cut_after) return SIM_CUTS;
    if (c->stall_at <= c->sent && !c->stalled) return SIM_STALLS;
    if (sim_wants_room(c)) return SIM_TAKES;
    if (sim_sendable(c)) return SIM_SENDS;
    bool goes_on = sim.requests[c->expecting].continued || fake.now_ns >= c->patience_ns;
    if (c->waits_100 && (goes_on || sim_is_over(c))) return SIM_GOES_ON;
    if (c->said_end) return SIM_NONE;
    if (c->sock->shut) return SIM_ENDS;
    if (c->half_close && c->sent == c->text_len) return SIM_ENDS;
    if (sim_has_all(c) && (c->after < 7 || sim_is_over(c))) return SIM_ENDS;
    return SIM_NONE;
}

static bool sim_client_can(const sim_client *c)
{
    if (!c->active || !c->sock) return false;
    if (c->sock->closed) return !c->sock->closing && (c->sock->user == c);
    if (!c->cut && (c->sock->out_len != c->looked || (c->sock->shut && !c->server_ended))) return true;
    return c->due_ns <= fake.now_ns && sim_client_act(c) != SIM_NONE;
}

// When it does something next of its own accord.
static uint64_t sim_client_due(const sim_client *c)
{
    if (!c->active || !c->sock || c->sock->closed || c->due_ns == SIM_NEVER) return SIM_NEVER;
    if (sim_client_act(c) != SIM_NONE) return c->due_ns;
    return c->waits_100 && !c->cut ? c->patience_ns : SIM_NEVER;
}

static void sim_client_sends(sim_client *c)
{
    fake_sock *sock = c->sock;
    size_t n = sim_sendable(c);
    if (n > c->chunk) n = c->chunk;
    for (uint32_t i = 0; i < c->count; i++) { // who waits for 100 Continue sends no further than the head
        const sim_request *r = &sim.requests[c->first + i];
        if (!r->expects || r->body_from <= c->sent || r->body_from > c->sent + n) continue;
        n = r->body_from - c->sent;
        c->waits_100 = true;
        c->expecting = c->first + i;
        c->patience_ns = fake.now_ns + 1000 * SIM_MS;
        break;
    }
    if (sock->in_at == sock->in_len) sock->in_at = sock->in_len = 0;
    fake_send(sock, c->text + c->sent, n);
    c->sent += n;
    c->active_ns = fake.now_ns;
    sim_note("sends", c->number, n);
}

static void sim_client_acts(sim_client *c)
{
    fake_sock *sock = c->sock;
    sim_act act = sim_client_act(c);
    c->due_ns = fake.now_ns + (c->delay_us && !sim_odds(3) ? (uint64_t)sim_draw(c->delay_us) * 1000 : 0);
    switch (act) {
    case SIM_NONE: break;
    case SIM_MEETS:
        c->met = true;
        sock->dialing = false;
        sock->edges |= FAKE_WRITE | (sock->in_at < sock->in_len ? FAKE_READ : 0u);
        if (sim_odds(6)) {
            c->cut = true;
            fake_cut(sock);
        }
        break;
    case SIM_SENDS: sim_client_sends(c); break;
    case SIM_TAKES: fake_room(sock, 1 + sim_draw((uint32_t)c->room_step)); break;
    case SIM_ENDS:
        c->said_end = true;
        fake_eof(sock);
        sim_note("says the end", c->number, 0);
        break;
    case SIM_CUTS:
        c->cut = true;
        fake_cut(sock);
        sim_all.cuts++;
        sim_note("cuts", c->number, c->sent);
        break;
    case SIM_STALLS:
        c->stalled = true;
        c->due_ns = fake.now_ns + (uint64_t)sim_draw(100000) * SIM_MS;
        sim_all.stalls++;
        sim_note("stalls", c->number, c->sent);
        break;
    case SIM_GOES_ON: c->waits_100 = false; break;
    }
}

static void sim_client_step(sim_client *c)
{
    fake_sock *sock = c->sock;
    if (!c->cut && sock->out_len != c->looked) sim_client_reads(c);
    if (!c->cut && !c->server_ended && (sock->shut || sock->closed)) {
        c->server_ended = true;
        sim_client_at_end(c);
    }
    if (sock->closed)
        sim_client_done(c);
    else if (c->due_ns <= fake.now_ns)
        sim_client_acts(c);
}

// ---- at rest: nothing moves unless time passes. Whoever waits for something then has been forgotten.

static void sim_client_rest(const sim_client *c)
{
    const fake_sock *sock = c->sock;
    if (!sock || sock->closed || (c->dialed && !c->met)) return;
    if (sock->shut && !c->said_end && !c->cut) return; // the peer's turn
    const char *what = NULL;
    uint32_t id = 0;
    if (!sock->chan) {
        if (!sim.stopped && !sim.paused) what = "it waits to be accepted";
    } else if (c->mode == SIM_HTTP) {
        bool more = c->answered < c->count && !sim_is_over(c);
        const sim_request *r = more ? &sim.requests[c->first + c->answered] : NULL;
        id = r ? r->id : 0;
        bool asked = r && c->sent >= r->to;
        for (uint32_t i = 0; i < c->count; i++) // also one whose length was read, but not its end
            if (sim.requests[c->first + i].held) return;
        if (c->cut)
            what = "it was cut and is still open";
        else if (asked && sock->room)
            what = "its request waits";
        else if (r && c->waits_100 && c->expecting == r->id && !r->continued && sock->room)
            what = "it is not told to send its body";
        else if (sim_is_over(c) && sock->room)
            what = "it is not closed after its last answer";
        else if (c->said_end && sock->room)
            what = "it is not closed after its end";
    } else if (!c->paused) {
        if (c->cut)
            what = "it was cut and is still open";
        else if (!c->opened)
            what = "it is not served";
        else if (sock->room && (c->mode == SIM_RAW_PUSH ? c->told_full || c->body_at < c->pushed
                                                        : c->got < c->sent && c->sent == c->text_len))
            what = "its bytes wait";
        else if (sock->room && c->mode == SIM_RAW_ECHO && c->body_at < c->got)
            what = "its bytes do not come back";
        else if (sock->room && c->said_end && !c->heard_end)
            what = "its end is not heard";
    }
    if (what) sim_fault("client %u: nothing moves, but %s (request %u)", c->number, what, id);
}
