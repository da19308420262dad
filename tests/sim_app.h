// sim_app.h: what runs in the simulated server of sim.h: handlers, holders of tokens, and threads that are not the
// server's. Each request is known by the number in its path, and so are the bytes that it must bring.

static const char sim_type[] = "application/octet-stream";

// ---- requests

static sim_request *sim_request_of(const fsv_request *request)
{
    fsv_str text = fsv_request_param(request, "id");
    uint32_t id = 0;
    for (size_t i = 0; i < text.len; i++) id = id * 10 + (uint32_t)(text.ptr[i] - '0');
    if (id >= sim.request_count) sim_fault("a handler was called with the path of another request");
    return &sim.requests[id];
}

// A handler begins.
static sim_request *sim_begin(fsv_request *request)
{
    sim_request *r = sim_request_of(request);
    sim_note("handler", r->id, r->kind);
    if (r->begun++) sim_fault("request %u: its handler was called twice", r->id);
    if (fsv_request_user(request)) sim_fault("request %u: it has a user already", r->id);
    fsv_request_set_user(request, r);
    return r;
}

static void sim_on_close(fsv_request *request, void *user)
{
    sim_request *r = (sim_request *)fsv_request_user(request);
    (void)user;
    if (!r) sim_fault("on_close of a request whose handler was not called");
    sim_note("on_close", r->id, 0);
    if (r->ended++) sim_fault("request %u: on_close was called twice", r->id);
    if (sim_request_of(request) != r) sim_fault("request %u: its path has changed", r->id);
}

static void sim_on_answer(const fsv_answer *answer, void *user)
{
    (void)user;
    if (answer->status < 200 || answer->status > 599) sim_fault("on_answer: status %u", answer->status);
    sim.said++;
}

static void sim_on_release(void *memory, void *user)
{
    sim_request *r = (sim_request *)user;
    if (memory != (const void *)sim_bytes(r->id)) sim_fault("request %u: other memory is released", r->id);
    sim_check_flight(memory, r->answer_len, &sim.clients[r->client]);
    if (++r->released > r->given) sim_fault("request %u: its memory is released twice", r->id);
}

// What a call may say when it was not refused for a reason of the test's.
static void sim_expect(const sim_request *r, const char *call, fsv_result result)
{
    if (result == FSV_OK || result == FSV_ERR_CLOSED) return;
    if (result == FSV_ERR_MEMORY && sim.faulted) return;
    sim_fault("request %u: %s: %s", r->id, call, fsv_result_text(result));
}

// Answers with the request's bytes.
static void sim_answer(fsv_request *request, sim_request *r, bool owned)
{
    fsv_result result;
    r->may = SIM_200 | (sim.faulted ? SIM_500 | SIM_503 : 0);
    if (sim_odds(32) && sim.clients[r->client].count <= 20) { // some live long
        r->closes = true;
        sim_expect(r, "fsv_response_close", fsv_response_close(request));
    }
    if (sim_odds(8)) sim_expect(r, "fsv_response_field", fsv_response_field(request, "X-Sim", "a field"));
    if (owned) {
        r->given++;
        result = fsv_respond_owned(request, 200, sim_type, sim_bytes(r->id), r->answer_len, sim_on_release, r);
    } else {
        result = fsv_respond(request, 200, sim_type, sim_bytes(r->id), r->answer_len);
    }
    sim_expect(r, "fsv_respond", result);
    if (result == FSV_ERR_MEMORY) r->may = SIM_500 | SIM_503;
    if (result == FSV_OK && sim_odds(16) && fsv_respond_text(request, 200, "again") != FSV_ERR_STATE)
        sim_fault("request %u: answered twice", r->id);
}

static void sim_on_get(fsv_request *request, void *user)
{
    sim_request *r = sim_begin(request);
    (void)user;
    if (sim_odds(64)) sim_linger(sim_draw(4));
    sim_answer(request, r, false);
}

static void sim_on_large(fsv_request *request, void *user)
{
    (void)user;
    sim_answer(request, sim_begin(request), true);
}

static void sim_on_nothing(fsv_request *request, void *user)
{
    (void)user;
    sim_begin(request)->may = SIM_500;
}

static void sim_on_whole(fsv_request *request, void *user)
{
    sim_request *r = sim_begin(request);
    fsv_str body = fsv_request_body(request);
    (void)user;
    if (body.len != r->answer_len || (body.len && memcmp(body.ptr, sim_bytes(r->id), body.len) != 0))
        sim_fault("request %u: its body has changed, or its length %zu, which is %zu", r->id, r->answer_len, body.len);
    sim_answer(request, r, sim_odds(4));
}

static void sim_on_stream(fsv_request *request, void *user)
{
    sim_request *r = sim_begin(request);
    (void)user;
    r->may = SIM_200;
    sim_expect(r, "fsv_respond_stream",
               fsv_respond_stream(request, 200, sim_type, r->id % 2 ? r->answer_len : FSV_LENGTH_UNKNOWN));
}

// Writes until it is told to stop, or to no end; cut_at is where it cuts itself off.
static void sim_on_room(fsv_request *request, void *user)
{
    sim_request *r = (sim_request *)fsv_request_user(request);
    (void)user;
    while (r->out < r->answer_len) {
        size_t n = r->answer_len - r->out, most = 1 + sim_draw(3000);
        if (n > most) n = most;
        if (r->cut && r->out >= r->cut_at) {
            fsv_stream_abort(request);
            return;
        }
        fsv_result result = fsv_stream_write(request, sim_bytes(r->id) + r->out, n);
        if (result == FSV_ERR_FULL) return;
        sim_expect(r, "fsv_stream_write", result);
        if (result != FSV_OK) return;
        r->out += n;
        if (sim_odds(8)) return;
    }
    sim_expect(r, "fsv_stream_end", fsv_stream_end(request));
}

static void sim_on_echo(fsv_request *request, void *user)
{
    sim_request *r = sim_begin(request);
    (void)user;
    r->may = SIM_200;
    sim_expect(r, "fsv_respond_stream", fsv_respond_stream(request, 200, sim_type, fsv_request_body_length(request)));
}

static size_t sim_on_echo_body(fsv_request *request, const char *data, size_t len, void *user)
{
    sim_request *r = (sim_request *)fsv_request_user(request);
    (void)user;
    if (len == 0) {
        if (r->bodies++) sim_fault("request %u: its body ends twice", r->id);
        if (r->out != r->answer_len)
            sim_fault("request %u: its body is short: %zu of %zu", r->id, r->out, r->answer_len);
        sim_expect(r, "fsv_stream_end", fsv_stream_end(request));
        return 0;
    }
    if (r->bite && len > r->bite) len = r->bite;
    if (len > r->answer_len - r->out || memcmp(data, sim_bytes(r->id) + r->out, len) != 0)
        sim_fault("request %u: its body has changed at %zu", r->id, r->out);
    fsv_result result = fsv_stream_write(request, data, len);
    if (result == FSV_ERR_FULL) return 0;
    sim_expect(r, "fsv_stream_write", result);
    r->out += len;
    return len;
}

// ---- tokens

static void sim_hold(sim_request *r, fsv_token token)
{
    uint32_t i = 0;
    while (i < SIM_TOKENS && sim.tokens[i].used) i++;
    if (i == SIM_TOKENS) sim_fault("more tokens than there may be");
    sim_token *at = &sim.tokens[i];
    memset(at, 0, sizeof *at);
    at->used = true;
    at->plan = (uint8_t)sim_draw(SIM_PLANS);
    at->token = token;
    at->request = r;
    at->due_ns = fake.now_ns + (sim_odds(2) ? 0 : sim_draw(200) * SIM_MS);
    if (at->plan == SIM_LATE && sim_odds(2)) at->plan = SIM_RESPOND; // many wait for the clock, else
    if (at->plan == SIM_LATE) at->due_ns = fake.now_ns + (sim.desc.defer_timeout_ms + sim_draw(3000)) * SIM_MS;
    r->held = true;
    r->may = 0;
    sim.token_count++;
    sim_all.tokens++;
    sim_note("token", r->id, at->plan);
}

// Takes a token, or answers at once if there is none. True: taken.
static bool sim_defer(fsv_request *request, sim_request *r)
{
    fsv_token token;
    r->taken_ns = fake.now_ns;
    fsv_result result = fsv_request_defer(request, &token);
    if (result == FSV_OK) {
        if (fsv_respond_text(request, 200, "both") != FSV_ERR_STATE)
            sim_fault("request %u: answered and deferred", r->id);
        sim_hold(r, token);
        return true;
    }
    if (result != FSV_ERR_FULL) sim_expect(r, "fsv_request_defer", result);
    if (result == FSV_OK) return true;
    r->may = SIM_503 | (sim.faulted ? SIM_500 : 0);
    (void)fsv_respond_text(request, 503, "none");
    return false;
}

static void sim_on_defer(fsv_request *request, void *user)
{
    (void)user;
    (void)sim_defer(request, sim_begin(request));
}

// A handler on a worker that streams by its own token, and waits for room.
static void sim_work_stream(fsv_request *request, sim_request *r)
{
    fsv_token token;
    r->taken_ns = fake.now_ns;
    if (fsv_request_defer(request, &token) != FSV_OK) {
        r->may = SIM_503 | (sim.faulted ? SIM_500 : 0);
        (void)fsv_respond_text(request, 503, "none");
        return;
    }
    sim_all.tokens++;
    sim.token_count++;
    r->may = SIM_200;
    fsv_result result = fsv_token_stream(token, 200, sim_type, FSV_LENGTH_UNKNOWN);
    for (uint32_t tries = 0; result == FSV_OK && r->out < r->answer_len && tries < 30;) {
        size_t n = r->answer_len - r->out, most = 1 + sim_draw(4000);
        result = fsv_token_write(token, sim_bytes(r->id) + r->out, n < most ? n : most);
        if (result == FSV_OK) r->out += n < most ? n : most;
        if (sim_odds(3)) sim_linger(1 + sim_draw(3));
        if (result != FSV_ERR_FULL) continue;
        tries++;
        result = fsv_token_wait(token, 5);
        if (result == FSV_ERR_FULL) result = FSV_OK; // and tries again
    }
    if (result == FSV_ERR_MEMORY || r->out < r->answer_len) {
        r->cut = true;
        r->may |= SIM_500; // perhaps it has not begun
        fsv_token_drop(token);
    } else {
        sim_expect(r, "fsv_token_end", fsv_token_end(token));
    }
    sim.token_count--;
}

static void sim_on_work(fsv_request *request, void *user)
{
    sim_request *r = sim_begin(request);
    (void)user;
    sim_linger(sim_draw(6));
    switch (sim_draw(6)) {
    case 0:
    case 1: sim_answer(request, r, false); break;
    case 2: sim_answer(request, r, true); break;
    case 3: (void)sim_defer(request, r); break;
    case 4: sim_work_stream(request, r); break;
    default: r->may = SIM_500; break; // answers nothing
    }
    sim_linger(sim_draw(4));
    if (sim_request_of(request) != r) sim_fault("request %u: its path has changed", r->id);
}

// The holder has ended it, or found it ended.
static void sim_token_end(sim_token *at, fsv_result result)
{
    sim_request *r = at->request;
    sim_note("token ends", r->id, (uint64_t) - (int64_t)result);
    at->used = at->busy = false;
    r->held = false;
    sim.token_count--;
    if (result == FSV_ERR_CLOSED) r->may |= SIM_504;
    if (result == FSV_OK || result == FSV_ERR_CLOSED) return;
    if (result != FSV_ERR_MEMORY || !sim.faulted) sim_fault("request %u: a token: %s", r->id, fsv_result_text(result));
}

// One step of a holder. It is the only one that has the token.
static void sim_token_step(sim_token *at)
{
    sim_request *r = at->request;
    const char *bytes = sim_bytes(r->id);
    fsv_token token = at->token;
    fsv_result result = FSV_OK;
    at->busy = true;
    sim.self = SIM_OUTSIDER;
    at->due_ns = fake.now_ns + (sim_odds(2) ? 0 : sim_draw(3) * SIM_MS);
    if (!at->streams && at->plan != SIM_DROP) r->may = SIM_200;
    switch ((sim_plan)at->plan) {
    case SIM_RESPOND:
    case SIM_TWICE:
    case SIM_LATE:
        result = fsv_token_respond(token, 200, sim_type, bytes, r->answer_len);
        if (result == FSV_ERR_MEMORY && sim.faulted) break;
        sim_token_end(at, result);
        if (at->plan == SIM_TWICE && fsv_token_respond(token, 200, NULL, NULL, 0) != FSV_ERR_CLOSED)
            sim_fault("request %u: a token answers twice", r->id);
        return;
    case SIM_OWNED:
        r->given++;
        result = fsv_token_respond_owned(token, 200, sim_type, bytes, r->answer_len, sim_on_release, r);
        if (result == FSV_ERR_MEMORY && sim.faulted) break;
        sim_token_end(at, result);
        return;
    case SIM_PIECES:
    case SIM_CUT_SHORT:
        if (!at->streams) {
            result = fsv_token_stream(token, 200, sim_type, r->id % 2 ? r->answer_len : FSV_LENGTH_UNKNOWN);
            at->streams = result == FSV_OK;
            if (at->streams && at->plan == SIM_CUT_SHORT) r->cut_at = sim_draw((uint32_t)r->answer_len + 1);
        } else if (r->out < r->answer_len && !(at->plan == SIM_CUT_SHORT && r->out >= r->cut_at)) {
            size_t n = r->answer_len - r->out, most = 1 + sim_draw(4000);
            result = fsv_token_write(token, bytes + r->out, n < most ? n : most);
            if (result == FSV_OK) r->out += n < most ? n : most;
            if (result == FSV_ERR_FULL) at->due_ns = fake.now_ns + (1 + sim_draw(20)) * SIM_MS, result = FSV_OK;
        } else if (at->plan == SIM_CUT_SHORT) {
            r->cut = true;
            fsv_token_drop(token);
            sim_token_end(at, FSV_OK);
            return;
        } else {
            sim_token_end(at, fsv_token_end(token));
            return;
        }
        if (result == FSV_ERR_MEMORY && sim.faulted) break;
        if (result != FSV_OK) { // it has gone, or has no body
            if (result != FSV_ERR_CLOSED && !(result == FSV_OK && sim.poll && sim.abrupt))
                sim_fault("request %u: a stream: %s", r->id, fsv_result_text(result));
            if (fsv_token_end(token) == FSV_ERR_STATE) sim_fault("request %u: a stream has gone, its token not", r->id);
            sim_token_end(at, FSV_ERR_CLOSED);
            return;
        }
        break;
    case SIM_DROP:
    case SIM_PLANS:
        r->may = SIM_500;
        fsv_token_drop(token);
        sim_token_end(at, FSV_OK);
        return;
    }
    at->busy = false;
}

// The server has ended: who still has a token gives it up. One that was only polled has not.
static void sim_tokens_give_up(void)
{
    for (uint32_t i = 0; i < SIM_TOKENS; i++) {
        sim_token *at = &sim.tokens[i];
        if (!at->used) continue;
        fsv_result result = fsv_token_respond(at->token, 200, NULL, NULL, 0);
        bool lives = sim.poll && sim.abrupt;
        if (lives && result == FSV_ERR_STATE) { // a stream
            fsv_token_drop(at->token);
            result = FSV_OK;
        }
        if (result != FSV_ERR_CLOSED && !(lives && result == FSV_OK))
            sim_fault("request %u: a token outlives the server: %s", at->request->id, fsv_result_text(result));
        sim_token_end(at, result);
    }
}

// ---- raw connections

static sim_client *sim_raw_of(fsv_tcp tcp, void *user)
{
    sim_client *c = user ? (sim_client *)user : (sim_client *)fsv_tcp_user(tcp);
    if (!c) sim_fault("a raw connection without its user");
    if (c->tcp.slot != tcp.slot || c->tcp.generation != tcp.generation)
        sim_fault("client %u: a callback of another connection", c->number);
    if (c->closed) sim_fault("client %u: a callback after on_closed", c->number);
    return c;
}

// Sends on from the pattern, on the loop or from elsewhere.
static void sim_push(sim_client *c)
{
    c->pushing = true;
    while (c->pushed < c->total && !c->told_full) {
        size_t n = c->total - c->pushed, most = 1 + sim_draw(3000);
        if (n > most) n = most;
        c->told_full = true; // on_drained may come before the call returns
        fsv_result result = fsv_tcp_send(c->tcp, sim_bytes(c->number) + c->pushed, n);
        if (result != FSV_ERR_FULL) c->told_full = false;
        if (result == FSV_OK) c->pushed += n;
        if (result == FSV_ERR_MEMORY && sim.faulted) break;
        if (result == FSV_ERR_CLOSED)
            c->pushed = c->total;
        else if (result != FSV_OK && result != FSV_ERR_FULL)
            sim_fault("client %u: fsv_tcp_send: %s", c->number, fsv_result_text(result));
        if (result != FSV_OK || sim_odds(4)) break;
    }
    c->pushing = false;
    c->push_ns = c->told_full ? SIM_NEVER : fake.now_ns + (sim_odds(2) ? 0 : sim_draw(4) * SIM_MS);
    if (c->pushed < c->total) return;
    c->pushing = true;
    fsv_result result = c->number % 2 ? fsv_tcp_close(c->tcp) : fsv_tcp_shut(c->tcp);
    if (result == FSV_OK || result == FSV_ERR_CLOSED)
        c->push_ns = SIM_NEVER;
    else if (result != FSV_ERR_FULL)
        sim_fault("client %u: fsv_tcp_shut: %s", c->number, fsv_result_text(result));
    c->pushing = false;
}

static void sim_on_open(fsv_tcp tcp, void *user)
{
    sim_client *c = (sim_client *)user;
    if (!c) {
        const fsi_conn *conn =
            (const fsi_conn *)sim.server->slabs[tcp.slot / FSI_SLAB_CONNS] + tcp.slot % FSI_SLAB_CONNS;
        c = (sim_client *)fake_of(conn->chan.fd)->user;
        if (fsv_tcp_set_user(tcp, c) != FSV_OK) sim_fault("fsv_tcp_set_user");
        c->tcp = tcp;
    }
    sim_note("on_open", c->number, c->mode);
    if (sim_raw_of(tcp, user)->opened++) sim_fault("client %u: on_open was called twice", c->number);
    if (c->mode == SIM_RAW_PUSH) c->push_ns = fake.now_ns;
}

static size_t sim_on_data(fsv_tcp tcp, const char *data, size_t len, void *user)
{
    sim_client *c = sim_raw_of(tcp, user);
    fsv_result result = FSV_OK;
    if (!c->opened) sim_fault("client %u: on_data before on_open", c->number);
    if (c->heard_end) sim_fault("client %u: on_data after its end", c->number);
    if (len == 0) {
        c->heard_end = true;
        if (c->got != c->text_len) sim_fault("client %u: %zu of %zu bytes came", c->number, c->got, c->text_len);
        if (c->mode != SIM_RAW_PUSH) result = sim_odds(2) ? fsv_tcp_close(tcp) : fsv_tcp_shut(tcp);
        if (result != FSV_OK) sim_fault("client %u: fsv_tcp_shut: %s", c->number, fsv_result_text(result));
        return 0;
    }
    if (len > c->text_len - c->got || memcmp(data, c->text + c->got, len) != 0)
        sim_fault("client %u: other bytes came at %zu", c->number, c->got);
    if (c->mode == SIM_RAW_ECHO) {
        if (len > 4096) len = 4096; // more never fits
        if (sim_odds(4)) len = 1 + sim_draw((uint32_t)len);
        result = fsv_tcp_send(tcp, data, len);
        if (result == FSV_ERR_CLOSED || (result == FSV_ERR_MEMORY && sim.faulted)) return len;
        if (result == FSV_ERR_FULL) return 0;
        if (result != FSV_OK) sim_fault("client %u: fsv_tcp_send: %s", c->number, fsv_result_text(result));
    } else {
        if (sim_odds(4) && c->got + len < c->text_len && len < 65536) return 0; // wants more behind it
        if (sim_odds(2)) len = 1 + sim_draw((uint32_t)len);
    }
    c->got += len;
    return len;
}

static void sim_on_drained(fsv_tcp tcp, void *user)
{
    sim_client *c = sim_raw_of(tcp, user);
    sim_note("on_drained", c->number, c->told_full);
    if (c->told_full) c->push_ns = fake.now_ns;
    c->told_full = false;
}

static void sim_on_closed(fsv_tcp tcp, fsv_result why, void *user)
{
    sim_client *c = sim_raw_of(tcp, user);
    sim_note("on_closed", c->number, (uint64_t) - (int64_t)why);
    c->closed++;
    c->push_ns = SIM_NEVER;
    c->told_full = false;
    if (c->active && !c->sock) { // nobody has heard of it
        c->active = false;
        sim.client_active--;
    }
    if (why == FSV_ERR_STOPPED && !sim.stopped && !sim.faulted) sim_fault("client %u: stopped by nobody", c->number);
}

static void sim_raw_desc(fsv_tcp_desc *desc, void *user)
{
    memset(desc, 0, sizeof *desc);
    desc->on_open = sim_on_open;
    desc->on_data = sim_on_data;
    desc->on_drained = sim_on_drained;
    desc->on_closed = sim_on_closed;
    desc->user = user;
    desc->out_bytes_max = sim.desc.out_bytes_max < 4096 ? 4096 : sim.desc.out_bytes_max;
}

// ---- posts and timers

static void sim_on_timer(fsv_timer timer, void *user)
{
    uint32_t i = (uint32_t)((uint32_t *)user - sim.timer_fired);
    sim_note("timer", i, sim.timer_fired[i]);
    if (sim_ms() < sim.timer_due_ms[i]) sim_fault("timer %u: early", i);
    if (sim.timer_fired[i] && !sim.timer_every[i]) sim_fault("timer %u: called again", i);
    if (++sim.timer_fired[i] == 3 && sim.timer_every[i] && fsv_timer_stop(timer) != FSV_OK) sim_fault("fsv_timer_stop");
    if (sim.timer_fired[i] > 3) sim_fault("timer %u: called after it was stopped", i);
    sim_all.timers++;
}

static void sim_on_post(void *user)
{
    uint32_t i = (uint32_t)((uint8_t *)user - sim.posts);
    sim_note("post", i, 0);
    if (sim.posts[i] != 1) sim_fault("post %u: called twice, or never posted", i);
    sim.posts[i] = 2;
    uint32_t loop = fsv_loop_current(sim.server);
    if (loop == UINT32_MAX || sim.timer_count == SIM_TIMERS || sim_odds(2)) return;
    uint32_t k = sim.timer_count++, first = sim_draw(60), every = sim_odds(2) ? 1 + sim_draw(30) : 0;
    sim.timer_due_ms[k] = sim_ms() + first;
    sim.timer_every[k] = every;
    fsv_result result = fsv_timer_start(sim.server, loop, first, every, sim_on_timer, &sim.timer_fired[k], NULL);
    if (result != FSV_OK && result != FSV_ERR_CLOSED && !sim.faulted)
        sim_fault("fsv_timer_start: %s", fsv_result_text(result));
}

static void sim_post(void)
{
    if (sim.post_count == SIM_POSTS) return;
    uint32_t i = sim.post_count++;
    sim.posts[i] = 1;
    fsv_result result = fsv_loop_post(sim.server, sim_draw(sim.desc.loops), sim_on_post, &sim.posts[i]);
    sim_all.posts++;
    if (result == FSV_OK) return;
    if (sim.posts[i] != 1) sim_fault("post %u: called and refused", i);
    sim.posts[i] = 3;
    if (result != FSV_ERR_FULL && result != FSV_ERR_CLOSED) sim_fault("fsv_loop_post: %s", fsv_result_text(result));
}
