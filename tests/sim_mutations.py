#!/usr/bin/env python3
"""sim_mutations.py: mistakes that the simulation must find.

  python3 tests/sim_mutations.py [PART ...]     all of them, or those whose name contains a PART; make sim-mutations

Each is planted into a copy of fastserve.h below build/mutations; tests/sim.c is built with that, and must fail within
SEEDS runs (or crash, or not come to an end). First the header as it is must pass as many. Prints the seed and what the oracle said of it.
"""
import os
import subprocess
import sys
import time

SEEDS = 1500
CC = os.environ.get("CC", "cc").split()

# name, what stands in the header (once), what stands there instead
MUTATIONS = [
    ("lost run-list entry",
     "requests_max) FSI_COUNT(loop, turns_cut, 1);\n        fsi_conn_run_later(conn);\n",
     "requests_max) FSI_COUNT(loop, turns_cut, 1);\n"),
    ("freed while the io holds it",
     "    if (!conn->let_go || conn->listed || conn->away", "    if (conn->listed || conn->away"),
    ("freed while it is on a list",
     "!conn->let_go || conn->listed || conn->away", "!conn->let_go || conn->away"),
    ("freed while its request is away",
     "!conn->let_go || conn->listed || conn->away || conn->warming", "!conn->let_go || conn->listed || conn->warming"),
    ("freed bytes of a pending write",
     "    conn->state = FSI_CONN_CLOSE;\n    fsi_timer_remove(&conn->timer);\n",
     "    conn->state = FSI_CONN_CLOSE;\n    while (conn->out) fsi_out_drop(conn);\n"
     "    fsi_timer_remove(&conn->timer);\n"),
    ("pending write from memory that does not stay",
     "        (void)fsi_conn_send_queue(conn); // from memory that stays: now the io may keep it\n", ""),
    ("double message of one answer",
     "    if (job->told) return;\n    if (job->begun", "    if (job->begun"),
    ("double answer after a reset",
     "    token->state = FSI_TOKEN_GONE;\n    token->job = NULL;\n    job->reclaimed = true;\n",
     "    job->reclaimed = true;\n"),
    ("token that can be used again",
     "    token->generation++;\n    token->state = FSI_TOKEN_FREE;", "    token->state = FSI_TOKEN_FREE;"),
    ("missed wake: says that it waits after it has looked",
     "    fsi_store32(&loop->waiting, 1);\n    fsi_fence();\n    return fsi_load32(&loop->woken) ? 0 : wait;\n",
     "    if (fsi_load32(&loop->woken)) wait = 0;\n    fsi_fence();\n    fsi_store32(&loop->waiting, 1);\n"
     "    return wait;\n"),
    ("missed wake: forgets it after it has looked",
     "    if (loop->jobs_wait) fsi_pool_retry(loop);\n    if (FSI_UNLIKELY(fsi_load32(&loop->starved))",
     "    (void)fsi_swap32(&loop->woken, 0);\n    if (loop->jobs_wait) fsi_pool_retry(loop);\n"
     "    if (FSI_UNLIKELY(fsi_load32(&loop->starved))"),
    ("missed wake: a worker lies down without another look",
     "    if (fsi_queue_count(&lane->queue) || fsi_load32(&worker->server->pool.stop)) {\n",
     "    if (fsi_load32(&worker->server->pool.stop)) {\n"),
    ("missed wake: one that was told the queue is full",
     "        (void)fsi_add32(&server->pool.hungry, (uint32_t)-1);\n        fsi_loop_wake(&server->loops[i]);\n",
     "        (void)fsi_add32(&server->pool.hungry, (uint32_t)-1);\n"),
    ("missed wake: on_drained after a full inbox",
     "    fsi_store32(&loop->starved, 1);\n    fsi_loop_wake(loop);\n    return FSV_ERR_FULL;\n",
     "    return FSV_ERR_FULL;\n"),
    ("missed wake: the look again at room that has come",
     "        before = fsi_load32(&conn->posted);\n"
     "        if (before + fsi_load32(&conn->out_queued) + len > max) return false;\n",
     "        return false;\n"),
    ("off by one in carry-over", "    conn->carry_len = (uint32_t)n;\n",
     "    conn->carry_len = (uint32_t)(n - (n > 1000));\n"),
    ("off by one in what was sent", "            out->ptr += n;\n", "            out->ptr += n - (n < out->len);\n"),
    ("queue that stays while a body is awaited",
     "            if (conn->out) (void)fsi_conn_send_queue(conn); // answers before this request, or 100 Continue\n"
     "", ""),
    ("requests that are away take every slot",
     "for_long ? (loop->inbox.mask + 8) / 8 : 0;", "for_long ? (loop->inbox.mask + 1) / 8 : 0;"),
    ("slot of the inbox that is not given back",
     "    if (fsi_pool_submit(loop, job)) return;\n    fsi_loop_unreserve(loop);\n",
     "    if (fsi_pool_submit(loop, job)) return;\n"),
    ("carried bytes that leak",
     "    if (conn->carry) fsi_block_put(loop, conn->carry, conn->carry_cap);\n    conn->carry = NULL;\n"
     "    conn->let_go",
     "    conn->carry = NULL;\n    conn->let_go"),
    ("connection that is counted for ever",
     "        FSI_COUNT(loop, conns_closed, 1);\n        fsi_server_conn_gone(server);\n",
     "        FSI_COUNT(loop, conns_closed, 1);\n        if (!conn->more_to_come) fsi_server_conn_gone(server);\n"),
    ("100 Continue twice",
     "    if (!conn->want_100) return;\n    conn->want_100 = false;\n", "    if (!conn->want_100) return;\n"),
    ("drain without an end",
     "    if (loop->now_ms >= loop->drain_due_ms) {\n        fsi_loop_close_conns(loop, true, true);\n",
     "    if (loop->now_ms >= loop->drain_due_ms) {\n        fsi_loop_close_conns(loop, false, true);\n"),
    ("end of the peer taken for a failure",
     "    if (got == 0 && conn->state == FSI_CONN_HEAD && !conn->broken) {\n",
     "    if (got == 0 && conn->state == FSI_CONN_HEAD && !conn->broken && conn->fresh) {\n"),
    ("timer that fires early",
     "        if (task->due_ms > loop->now_ms) return;\n", "        if (task->due_ms > loop->now_ms + 1) return;\n"),
    ("stale handle that is not seen",
     "    if (fsi_load32(&conn->generation) != tcp.generation) return NULL;\n", ""),
    ("connection that no longer counts for its address",
     "        fsi_loop_dismiss(loop, conn);\n        fsi_conn_put(loop, conn);\n",
     "        fsi_conn_put(loop, conn);\n"),
    ("answer that forgets to close",
     "    if (!conn->keep || request->closing || loop->stopping) return false;\n",
     "    if (!conn->keep || loop->stopping) return false;\n"),
    ("memory that is released twice",
     "        reply->release = NULL; // fsi_answer's from here on\n", ""),
]


def run(words, seconds):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return done.returncode, done.stdout.decode(errors="replace").strip().split("\n")[-1]
    except subprocess.TimeoutExpired:
        return 1, "no end within %d s" % seconds


def build(folder, text):
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/fastserve.h", "w") as out:
        out.write(text)
    words = CC + ["-std=c11", "-pthread", "-O1", "-w", "-I.", '-DSIM_HEADER="%s/fastserve.h"' % folder]
    words += ["tests/sim.c", "-o", folder + "/sim"]
    status, said = run(words, 300)
    if status:
        sys.exit("it does not build: " + said)
    return folder + "/sim"


def main():
    parts = sys.argv[1:]
    missed = 0
    with open("fastserve.h") as header:
        good = header.read()
    status, said = run([build("build/mutations/none", good), str(SEEDS)], 600)
    print("%-55s %s" % ("as it is", said))
    if status:
        sys.exit(1)
    for number, (name, old, new) in enumerate(MUTATIONS):
        if parts and not any(part in name for part in parts):
            continue
        if good.count(old) != 1:
            sys.exit("%s: what it changes stands %d times in the header" % (name, good.count(old)))
        began = time.time()
        status, said = run([build("build/mutations/%d" % number, good.replace(old, new)), str(SEEDS)], 600)
        missed += status == 0
        print("%-55s %s (%.0f s)" % (name, said if status else "MISSED", time.time() - began), flush=True)
    print("sim_mutations: %d missed" % missed)
    sys.exit(missed > 0)


main()
