// sim_run.h: one run of sim.h: the world that its seed draws, the scheduler, and what must hold in the end.

#define SIM_STEPS 3000000u // of a run: more is a loop that never rests

// ---- what threads do that are not the server's

static void sim_raw_ops(void)
{
    if (!sim.client_count) return;
    sim_client *c = &sim.clients[sim_draw(sim.client_count)];
    if (c->mode == SIM_HTTP || !c->tcp.server) return;
    fsv_result result;
    if (c->closed) { // a handle that is stale
        result = sim_odds(2) ? fsv_tcp_send(c->tcp, "stale", 5) : fsv_tcp_abort(c->tcp);
        if (result != FSV_ERR_CLOSED) sim_fault("client %u: a stale handle: %s", c->number, fsv_result_text(result));
        return;
    }
    if (sim_odds(3)) {
        c->why = "it is aborted";
        result = fsv_tcp_abort(c->tcp);
    } else if (!c->paused) {
        c->paused = true;
        result = fsv_tcp_pause(c->tcp);
        c->resume_ns = fake.now_ns + sim_draw(300) * SIM_MS; // by the same thread, so after that
    } else {
        return;
    }
    sim_note("raw op", c->number, (uint64_t) - (int64_t)result);
    if (result != FSV_OK && result != FSV_ERR_CLOSED && result != FSV_ERR_FULL)
        sim_fault("client %u: fsv_tcp_pause: %s", c->number, fsv_result_text(result));
}

static void sim_resume(sim_client *c)
{
    c->resume_ns = SIM_NEVER;
    fsv_result result = fsv_tcp_resume(c->tcp);
    if (result == FSV_ERR_FULL)
        c->resume_ns = fake.now_ns + SIM_MS;
    else
        c->paused = false;
}

static void sim_outsider(void)
{
    fsv_stats stats;
    fsv_pool_stats pool;
    sim.outsider_busy = true;
    sim.self = SIM_OUTSIDER;
    sim.outsider_left--;
    sim.outsider_ns = fake.now_ns + (sim_odds(2) ? 0 : sim_draw(30) * SIM_MS);
    switch (sim_draw(8)) {
    case 0:
    case 1:
    case 2: sim_post(); break;
    case 3:
    case 4:
        if (FSI_CLIENT && !sim.stopped) sim_dial();
        break;
    case 5:
    case 6: sim_raw_ops(); break;
    default:
        if (fsv_server_stats(sim.server, UINT32_MAX, &stats) != FSV_OK ||
            fsv_server_pool_stats(sim.server, &pool) != FSV_OK)
            sim_fault("fsv_server_stats");
        break;
    }
    sim.outsider_busy = false;
}

static void sim_stop(void)
{
    static const uint32_t drains[] = {0, 1, 50, 1000, 20000, 200000};
    uint32_t drain = drains[sim_draw(6)];
    sim.self = SIM_OUTSIDER;
    if (!sim.stopped || drain < sim.drain_ms) {
        sim.drain_ms = drain;
        sim.stop_ns = fake.now_ns;
    }
    sim.stopped = true;
    sim.stop_after = sim_odds(4) ? sim.steps + sim_draw(300) : SIM_NEVER; // another one, perhaps
    sim_note("stop", drain, 0);
    fsv_server_stop(sim.server, drain);
}

static bool sim_all_done(void)
{
    return sim.client_count >= sim.client_goal && !sim.client_active && !sim.outsider_left && !sim.token_count;
}

// ---- the scheduler

typedef enum sim_choice {
    SIM_DO_TASK,
    SIM_DO_CLIENT,
    SIM_DO_TOKEN,
    SIM_DO_PUSH,
    SIM_DO_RESUME,
    SIM_DO_KNOCK,
    SIM_DO_OUTSIDER,
    SIM_DO_STOP
} sim_choice;

typedef struct sim_choices {
    struct {
        uint8_t what;
        uint16_t index;
    } all[1024];
    uint32_t count;
} sim_choices;

static void sim_may(sim_choices *can, sim_choice what, uint32_t index)
{
    if (can->count == 1024) return;
    can->all[can->count].what = (uint8_t)what;
    can->all[can->count++].index = (uint16_t)index;
}

// A host whose next poll may join workers cannot go first while one of them is in the middle of its step: that goes on only
// when the host has returned.
static bool sim_may_join(const sim_task *task)
{
    return task->body == SIM_HOST && sim.stopped && sim.busy;
}

static void sim_look(sim_choices *can)
{
    uint64_t now = fake.now_ns;
    can->count = 0;
    for (uint32_t i = 0; i < sim.task_count; i++)
        if (sim_task_can(&sim.tasks[i]) && !sim_may_join(&sim.tasks[i])) sim_may(can, SIM_DO_TASK, i);
    for (uint32_t i = sim.client_low; i < sim.client_count; i++) {
        sim_client *c = &sim.clients[i];
        if (!c->active) continue;
        if (sim_client_can(c)) sim_may(can, SIM_DO_CLIENT, i);
        if (c->mode == SIM_HTTP || sim.freeing) continue;
        if (c->push_ns <= now && !c->pushing) sim_may(can, SIM_DO_PUSH, i);
        if (c->resume_ns <= now) sim_may(can, SIM_DO_RESUME, i);
    }
    for (uint32_t i = 0; sim.token_count && i < SIM_TOKENS; i++)
        if (sim.tokens[i].used && !sim.tokens[i].busy && sim.tokens[i].due_ns <= now) sim_may(can, SIM_DO_TOKEN, i);
    if (sim.freeing) return;
    if (!sim.stopped && sim.client_count < sim.client_goal && sim.client_active < sim.client_most &&
        sim.spawn_ns <= now)
        sim_may(can, SIM_DO_KNOCK, 0);
    if (sim.outsider_left && !sim.outsider_busy && sim.outsider_ns <= now) sim_may(can, SIM_DO_OUTSIDER, 0);
    if (sim.abrupt) return;
    bool due = sim.stop_after && sim.steps >= sim.stop_after;
    if (due || (!sim.stopped && sim_all_done())) sim_may(can, SIM_DO_STOP, 0);
}

// One step of someone who can do one. False: nobody can, unless time passes.
static bool sim_step(void)
{
    sim_choices can;
    uint64_t self = sim.self;
    if (++sim.steps > SIM_STEPS) sim_fault("it never comes to rest");
    sim_look(&can);
    if (can.count == 0) return false;
    uint32_t at = sim_draw(can.count), i = can.all[at].index;
    sim.depth++;
    switch ((sim_choice)can.all[at].what) {
    case SIM_DO_TASK: sim_task_step(&sim.tasks[i]); break;
    case SIM_DO_CLIENT: sim_client_step(&sim.clients[i]); break;
    case SIM_DO_TOKEN: sim_token_step(&sim.tokens[i]); break;
    case SIM_DO_PUSH:
        sim.self = SIM_OUTSIDER;
        sim_push(&sim.clients[i]);
        break;
    case SIM_DO_RESUME:
        sim.self = SIM_OUTSIDER;
        sim_resume(&sim.clients[i]);
        break;
    case SIM_DO_KNOCK:
        sim_client_knocks();
        sim.spawn_ns = fake.now_ns + (sim_odds(2) ? 0 : sim_draw(20) * SIM_MS);
        break;
    case SIM_DO_OUTSIDER: sim_outsider(); break;
    case SIM_DO_STOP: sim_stop(); break;
    }
    sim.depth--;
    sim.self = self;
    if (fake.error[0]) sim_fault("%s", fake.error);
    if (sim_odds(32)) fake.now_ns += sim_draw(sim_odds(64) ? 20000000 : 100000);
    return true;
}

static void sim_sooner(uint64_t *next, uint64_t due)
{
    if (due < *next) *next = due;
}

// Nobody can do anything now: the time passes until someone can, at most until at_most.
static void sim_advance(uint64_t at_most)
{
    uint64_t next = at_most;
    for (uint32_t i = 0; i < sim.task_count; i++) {
        const sim_task *task = &sim.tasks[i];
        if (task->state == SIM_WAITS && !task->busy) sim_sooner(&next, task->due_ns);
    }
    for (uint32_t i = sim.client_low; i < sim.client_count; i++) {
        const sim_client *c = &sim.clients[i];
        if (!c->active) continue;
        sim_sooner(&next, sim_client_due(c));
        if (c->mode == SIM_HTTP || sim.freeing) continue;
        if (!c->pushing) sim_sooner(&next, c->push_ns);
        sim_sooner(&next, c->resume_ns);
    }
    for (uint32_t i = 0; sim.token_count && i < SIM_TOKENS; i++)
        if (sim.tokens[i].used && !sim.tokens[i].busy) sim_sooner(&next, sim.tokens[i].due_ns);
    if (!sim.stopped && !sim.freeing && sim.client_count < sim.client_goal && sim.client_active < sim.client_most)
        sim_sooner(&next, sim.spawn_ns);
    if (!sim.freeing && sim.outsider_left && !sim.outsider_busy) sim_sooner(&next, sim.outsider_ns);
    if (next == SIM_NEVER)
        sim_fault("nothing will ever happen again: %u clients from %u on, %u tokens, %u calls to come",
                  sim.client_active, sim.client_low, sim.token_count, sim.outsider_left);
    if (next > fake.now_ns) fake.now_ns = next + (sim_odds(4) ? sim_draw(3000000) : 0);
}

// Nobody can do anything now: so nobody may wait for what has come.
static void sim_check_rest(void)
{
    if (sim.busy) return; // someone is only slow
    sim.paused = sim.desc.model != FSV_MODEL_EVENT;
    for (uint32_t i = 0; i < sim.task_count; i++) {
        const sim_task *task = &sim.tasks[i];
        if (task->state == SIM_ENDED) continue;
        if (task->state == SIM_SLEEPS) {
            const fsi_worker *worker = (const fsi_worker *)task->arg;
            if (fsi_queue_count(&worker->lane->queue)) sim_fault("a job waits, and every worker sleeps");
            continue;
        }
        fsi_loop *loop = sim_task_loop(task);
        sim.paused = sim.paused || loop->accept_paused;
        if (fsi_load32(&loop->woken)) sim_fault("loop %u was woken and sleeps", loop->index);
        if (loop->run_list) sim_fault("loop %u sleeps with a run list", loop->index);
        if (fsi_queue_count(&loop->inbox)) sim_fault("loop %u sleeps with messages", loop->index);
        if (loop->jobs_wait) sim_fault("loop %u: jobs wait although the queue is empty", loop->index);
    }
    for (uint32_t i = sim.client_low; i < sim.client_count; i++)
        if (sim.clients[i].active) sim_client_rest(&sim.clients[i]);
}

// ---- a run

static uint32_t sim_pick(const uint32_t *from, uint32_t count)
{
    return from[sim_draw(count)];
}

static void sim_draw_world(void)
{
    static const uint32_t queues[] = {2, 4, 16, 64}, inboxes[] = {2, 8, 16, 64, 256}, outs[] = {1000, 20000, 262144};
    static const uint32_t turns[] = {1, 2, 64}, odds[] = {4, 16, 64, 100000}, conns[] = {2, 4, 8};
    fsv_server_desc *desc = &sim.desc;
    memset(desc, 0, sizeof *desc);
    fake.completion = sim_odds(2);
    fake.later = fake.completion || sim_odds(4);
    fake.one_acceptor = sim_odds(fake.completion ? 2 : 4);
    desc->loops = 1 + sim_draw(3);
    sim.poll = desc->loops == 1 && sim_odds(3);
    desc->pin = FSI_LOCALITY && desc->loops > 1 && !fake.completion && !fake.one_acceptor && !sim_odds(4);
    if (desc->loops == 1 && !sim.poll && sim_odds(2)) desc->model = 1 + sim_draw(3);
    desc->threads_max = 1 + sim_draw(4);
    sim.crowded = sim_odds(5);
    sim.working = sim_odds(4);
    desc->conns_max = sim.crowded ? sim_pick(conns, 3) : 64;
    desc->conns_per_address_max = sim.crowded ? 1 + sim_draw(3) : 0;
    desc->conn_requests_max = sim_odds(8) ? 1 + sim_draw(10) : 0;
    desc->backlog = 200;
    desc->head_bytes_max = sim_odds(4) ? 512 : 4096;
    desc->fields_max = 20;
    desc->body_bytes_max = 20000;
    desc->out_bytes_max = sim_pick(outs, 3);
    desc->turn_requests_max = sim_pick(turns, 3);
    desc->inbox_max = sim_pick(inboxes, 5);
    desc->workers = 1 + sim_draw(3);
    desc->jobs_max = sim_pick(queues, 4);
    desc->jobs_wait = sim_odds(2);
    desc->queue_per_worker = sim_odds(4);
    desc->blocking = sim_odds(10);
    desc->tokens_max = 1 + sim_draw(40);
    desc->defer_timeout_ms = sim_odds(2) ? 30000 : 5000;
    desc->idle_timeout_ms = sim_odds(2) ? 60000 : 8000;
    desc->on_answer = sim_on_answer;
    desc->alloc = sim_alloc;
    desc->release = sim_release;
    sim.preempt = sim_pick(odds, 4);
    if (sim_odds(5)) sim.alloc_fail_at = sim_draw(600);
    if (sim_odds(10)) sim.alloc_fails_left = 1 + sim_draw(20), sim.alloc_odds = 2 + sim_draw(100);
    if (sim_odds(12)) fake.fail_at = 1 + sim_draw(3000);
    if (sim_odds(40)) sim.thread_fail_at = 1 + sim_draw(4);
    sim.client_goal = 60 + sim_draw(80);
    sim.client_most = 1 + sim_draw(sim_odds(4) ? 30 : 12);
    sim.outsider_left = sim_draw(60);
    sim.outsider_ns = fake.now_ns;
    sim.stop_after = sim_odds(3) ? 1 + sim_draw(20000) : 0;
    sim.abrupt = sim_odds(8);
}

static void sim_routes(void)
{
    static const struct {
        const char *method, *pattern;
        fsv_handler handler;
        fsv_body_handler on_body;
        fsv_handler on_room;
        uint32_t blocking;
    } routes[] = {
        {"GET", "/get/:id", sim_on_get, NULL, NULL, 0},
        {"GET", "/large/:id", sim_on_large, NULL, NULL, 0},
        {"GET", "/stream/:id", sim_on_stream, NULL, sim_on_room, 0},
        {"POST", "/echo/:id", sim_on_echo, sim_on_echo_body, NULL, 0},
        {"POST", "/whole/:id", sim_on_whole, NULL, NULL, 0},
        {"GET", "/work/:id", sim_on_work, NULL, NULL, 1},
        {"GET", "/defer/:id", sim_on_defer, NULL, NULL, 0},
        {"GET", "/nothing/:id", sim_on_nothing, NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        fsv_route_desc route;
        memset(&route, 0, sizeof route);
        route.method = routes[i].method;
        route.pattern = routes[i].pattern;
        route.handler = routes[i].handler;
        route.on_body = routes[i].on_body;
        route.on_room = routes[i].on_room;
        route.on_close = sim_on_close;
        route.blocking = routes[i].blocking;
        if (fsv_server_route_add(sim.server, &route) != FSV_OK) sim_fault("fsv_server_route_add");
    }
}

// Runs the server in the way that was drawn, until it has ended or is to be freed.
static bool sim_serve(void)
{
    if (sim.poll) {
        sim_task *task = &sim.tasks[sim.task_count++];
        task->body = SIM_HOST;
        task->arg = &sim.server->loops[0];
        sim.running = true;
    } else {
        fsv_result result = fsv_server_start(sim.server);
        if (result != FSV_OK && !sim.faulted) sim_fault("fsv_server_start: %s", fsv_result_text(result));
        if (result != FSV_OK) return false;
    }
    uint64_t until = sim.stop_after ? sim.stop_after : SIM_NEVER;
    if (sim.abrupt || sim.poll) {
        while (!(sim.poll && sim.tasks[0].state == SIM_ENDED) &&
               !(sim.abrupt && (sim.steps >= until || sim_all_done()))) {
            if (sim_step()) continue;
            sim_check_rest();
            sim_advance(SIM_NEVER);
        }
    } else if (fsv_server_wait(sim.server) != FSV_OK) {
        sim_fault("fsv_server_wait");
    }
    if (sim.poll) sim.tasks[0].state = SIM_ENDED; // who polls is who frees
    return !sim.abrupt;
}

static void sim_check_stats(void)
{
    fsv_stats stats;
    if (fsv_server_stats(sim.server, UINT32_MAX, &stats) != FSV_OK) sim_fault("fsv_server_stats");
    if (stats.conns_accepted + stats.conns_begun != stats.conns_closed)
        sim_fault("%llu connections began, %llu ended", (unsigned long long)(stats.conns_accepted + stats.conns_begun),
                  (unsigned long long)stats.conns_closed);
    uint64_t answers = stats.answers_2xx + stats.answers_3xx + stats.answers_4xx + stats.answers_5xx;
    if (answers != sim.said) sim_fault("%llu answers were counted, %u told of", (unsigned long long)answers, sim.said);
    if (fsi_load32(&sim.server->conns_open)) sim_fault("connections are open");
    for (uint32_t i = 0; i < FSI_GUEST_SHARDS; i++)
        if (sim.server->guests[i].used) sim_fault("an address has connections still");
    for (uint32_t i = 0; i < sim.desc.loops; i++)
        if (fsi_load32(&sim.server->loops[i].reserved)) sim_fault("loop %u: slots of its inbox are spoken for", i);
    sim_all.requests += stats.requests;
    sim_all.followed += stats.conns_followed;
    sim_all.balanced += stats.conns_balanced;
    sim_all.rescued += stats.conns_rescued;
    sim_all.jobs += stats.jobs;
    sim_all.jobs_refused += stats.jobs_refused;
    sim_all.timeouts += stats.timeouts;
    sim_all.refused += stats.conns_refused + stats.conns_refused_address;
}

// After the server has gone.
static void sim_check_end(void)
{
    for (uint32_t i = 0; i < sim.client_count; i++) {
        sim_client *c = &sim.clients[i];
        if (c->active && c->sock && c->sock->chan) sim_fault("client %u: its socket was left open", c->number);
        if (c->active && c->sock && c->sock->closed) sim_client_step(c);
        if (c->opened > 1 || c->closed > 1 || c->closed < c->opened ||
            (c->dialed && c->tcp.server && c->sock && !c->closed))
            sim_fault("client %u: %u times opened, %u times closed", c->number, c->opened, c->closed);
        free(c->text);
    }
    for (uint32_t i = 0; i < sim.request_count; i++) {
        const sim_request *r = &sim.requests[i];
        if (r->begun != r->ended) sim_fault("request %u: %u times begun, %u times ended", i, r->begun, r->ended);
        if (r->given != r->released)
            sim_fault("request %u: memory given %u times, released %u times", i, r->given, r->released);
    }
    for (uint32_t i = 0; i < sim.post_count; i++)
        if (sim.posts[i] < 2) sim_fault("post %u was never called", i);
    if (sim.live_blocks) sim_fault("%ld blocks of memory, %zu bytes, were left", sim.live_blocks, sim.live_bytes);
    if (sim.lock_count) sim_fault("a lock was left");
    if (fake.error[0]) sim_fault("%s", fake.error);
}

static void sim_body_of_run(void)
{
    sim_draw_world();
    if (fsv_server_create(&sim.server, &sim.desc) != FSV_OK) {
        if (!sim_failed_once()) sim_fault("fsv_server_create");
        sim_check_end();
        return;
    }
    sim_routes();
    fsv_tcp_desc raw;
    sim_raw_desc(&raw, NULL);
    if (fsv_server_listen(sim.server, "0.0.0.0:0") != FSV_OK ||
        fsv_server_listen_tcp(sim.server, "0.0.0.0:0", &raw) != FSV_OK)
        sim_fault("fsv_server_listen");
    bool waited = sim_serve();
    if (waited) {
        uint64_t took = sim.ended_ns > sim.stop_ns ? sim.ended_ns - sim.stop_ns : 0; // a second stop may come too late
        uint64_t slack = 2000 * SIM_MS + sim.spent_ns;
        if (sim.stopped && took > sim.drain_ms * SIM_MS + slack)
            sim_fault("a drain of %u ms took %llu", sim.drain_ms, (unsigned long long)(took / SIM_MS));
        sim_tokens_give_up();
        sim_check_stats();
    }
    sim.freeing = sim.stopped = true;
    fsv_result result = fsv_server_free(sim.server);
    if (result == FSV_ERR_STATE && sim.token_count) {
        sim_tokens_give_up();
        result = fsv_server_free(sim.server);
    }
    if (result != FSV_OK) sim_fault("fsv_server_free: %s", fsv_result_text(result));
    sim.server = NULL;
    sim_check_end();
}

static void sim_reset(uint64_t seed)
{
    sim_make_pattern();
    memset(&sim, 0, sizeof sim);
    fake_begin();
    fake.draw = sim_draw;
    fake.dialed = sim_dialed;
    sim.seed = seed;
    sim.rng = (seed + 1) * 0x9e3779b97f4a7c15u;
    sim.rng ^= sim.rng >> 29;
    if (sim.rng == 0) sim.rng = 1;
    sim.hash = 14695981039346656037u;
    sim.self = SIM_MAIN;
}

// One run. False: the oracle was not met; sim.error says how, and what the run held is lost.
static bool sim_run(uint64_t seed, bool tell)
{
    sim_reset(seed);
    sim.tell = tell;
    if (setjmp(sim.out)) return false;
    sim_body_of_run();
    fake_end();
    sim_all.runs++;
    sim_all.steps += sim.steps;
    sim_all.virtual_ns += fake.now_ns - FAKE_START_NS;
    return true;
}
