#!/usr/bin/env python3
"""test_compare: compare.py with peers that are right, wrong, broken or stubborn, and what it makes of figures."""
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import compare  # noqa: E402
import compare_page  # noqa: E402

CC = os.environ.get("CC", "cc")
PROGRAM = os.path.abspath(os.environ.get("FASTSERVE", "./fastserve"))
MARK = "TEST_COMPARE"

# A thread for each connection. MODE: right, wrong (another body), deaf (does not close when asked to), once (closes
# after each answer), dies, stubborn (it ignores SIGTERM, so do its children, one of them in a session of its own).
FAKE = r"""
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static const char *mode;
static void *serve(void *arg)
{
    int fd = (int)(long)arg, closing = 0;
    char in[8192] = "", out[200];
    size_t had = 0;
    while (!closing) {
        char *end;
        while (!(end = strstr(in, "\r\n\r\n"))) {
            ssize_t got = read(fd, in + had, sizeof in - 1 - had);
            if (got <= 0) goto over;
            had += (size_t)got;
            in[had] = 0;
        }
        *end = 0;
        closing = !strcmp(mode, "once") || (strcmp(mode, "deaf") && strstr(in, "Connection: close"));
        size_t used = (size_t)(end + 4 - in);
        memmove(in, in + used, had - used + 1);
        had -= used;
        int size = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 13\r\n\r\n%s", strcmp(mode, "wrong") ? "Hello, World!" : "Hello, Wolrd!");
        if (write(fd, out, (size_t)size) < 0) break;
    }
over:
    close(fd);
    return 0;
}
int main(int argc, char **argv)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    mode = argc > 2 ? argv[2] : "right";
    if (!strcmp(mode, "dies")) return fprintf(stderr, "no bread\n"), 3;
    signal(SIGPIPE, SIG_IGN);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!strcmp(mode, "stubborn")) {
        signal(SIGTERM, SIG_IGN);
        for (int i = 0; i < 2; i++)
            if (!fork()) {
                if (i) setsid();
                for (;;) pause();
            }
    }
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1024)) return perror("bind"), 1;
    for (;;) {
        pthread_t thread;
        long conn = accept(fd, 0, 0);
        if (conn >= 0 && !pthread_create(&thread, 0, serve, (void *)conn)) pthread_detach(thread);
    }
}
"""


class Place:
    """A folder with peers, and compare.py over it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp()
        self.peers = os.path.join(self.dir, "peers")
        os.mkdir(self.peers)
        self.write("fake.c", FAKE)

    def write(self, name, text):
        with open(os.path.join(self.peers, name), "w", encoding="utf-8") as file:
            file.write(text)

    def fake(self, mode):
        self.write(f"{mode}.txt", f"peer: the {mode} one\ndoes: hello\nneeds: {CC.split()[0]}\n"
                   f"build: {CC} -pthread {{peers}}/fake.c -o {{out}}\nrun: {{out}} {{port}} {mode}\n")

    def args(self, *args):
        return [sys.executable, "-B", os.path.join(HERE, "compare.py"), "--program", PROGRAM, "--look", "0.1",
                "--folder", self.peers, "--build", self.at("build"), "--json", self.at("out.json"),
                "--html", self.at("out.html"), *args]

    def at(self, name):
        return os.path.join(self.dir, name)

    def start(self, *args):
        return subprocess.Popen(self.args(*args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, MARK: self.dir},
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # CI may ignore it

    def run(self, *args):
        process = self.start(*args)
        try:
            out = process.communicate(timeout=120)[0]
            return process.returncode, out
        finally:
            process.kill()

    def running(self):
        """{pid: command} of what still runs of all that was started for this place."""
        found = {}
        for pid in compare.processes():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                if f"{MARK}={self.dir}".encode() in file.read().split(b"\0"):
                    with open(f"/proc/{pid}/cmdline", "rb") as line:
                        found[pid] = line.read().replace(b"\0", b" ").decode(errors="replace")
        return found

    def left(self):
        return list(self.running().values())

    def close(self):
        compare.kill(self.running(), signal.SIGKILL)
        shutil.rmtree(self.dir)


def check(what, shown=""):
    if not what:
        raise AssertionError(shown)


def wait_for(what, limit_s=30):
    until = time.monotonic() + limit_s
    while not what():
        check(time.monotonic() < until, "waited in vain")
        time.sleep(0.02)


def case_rows(place):
    """Who is right is measured, who is not is a row with the reason, who is not here is skipped by name; all ends."""
    for mode in "right", "wrong", "deaf", "dies", "once", "stubborn":
        place.fake(mode)
    place.write("broken.c", f"// peer: the broken one\n// does: hello\n// build: {CC} {{file}} -o {{out}}\n"
                "// run: {out}\nint main(void) { return nothing; }\n")
    place.write("absent.py", "# peer: the absent one\n# does: hello\n# needs: no-such-program\n"
                "# install: apt-get install it\n# run: no-such-program {port}\n")
    place.write("faraway.py", "# peer: the far one\n# does: hello\n# needs: /no/such/path\n"
                "# install: apt-get install that it\n# run: true {port}\n")
    place.write("gone.txt", "peer: the gone one\nmissing: nobody has it\n")
    place.write("mute.txt", "peer: the mute one\ndoes: hello\n")
    place.write("mute.txt~", "peer: the saved one\ndoes: hello\n")
    status, out = place.run("1", "--rounds", "1", "--seconds", "0.1", "--client", "bench")
    check(status == 0, out)
    left = place.left()
    check(not left, f"still runs: {left}")
    with open(place.at("out.json"), encoding="utf-8") as file:
        report = json.load(file)
    check(report["schema"] == compare.SCHEMA)
    table, = report["tables"]
    rows = {row["name"]: row for row in table["clients"]["bench"]["rows"]}
    good = {"fastserve", "floor", "floor local", "the right one", "the once one", "the stubborn one"}
    check(good == set(rows), str(sorted(rows)))
    check(all(row["median"]["rate_per_s"] > 0 and row["median"]["server_cpu_us_per_request"] is not None
              and row["median"]["load_pss_bytes"] > 0 for row in rows.values()), str(rows))
    check(rows["the once one"]["notes"] == ["closes after each answer"])
    reasons = {row["name"]: row["reason"] for row in table["without_figures"]}
    for name, reason in {"wrong": r"wrong body: b'Hello, Wolrd!' of 13", "deaf": r"does not close when asked",
                         "dies": r"ended at once \(exit 3\): no bread", "broken": r"does not build: .*nothing",
                         "mute": r"mute\.txt has no line `run:`"}.items():
        check(re.search(reason, reasons.pop(f"the {name} one", "")), f"{name}: {table['without_figures']}")
    check(not reasons, str(reasons))
    check("the absent one (no no-such-program): apt-get install it" in out, out)
    check("\ntogether  apt-get install it that\n" in out, out)
    check("the gone one: nobody has it" in out, out)
    for name in "the right one", "the wrong one", "the absent one", "the gone one":
        with open(place.at("out.html"), encoding="utf-8") as file:
            check(name in file.read(), name)
    lines = [line for line in out.splitlines() if re.match(r" *[\d?]+[ !][> ]\S", line)]
    check(len(lines) == len(rows) and all(len(line) <= 100 for line in out.splitlines()), out)


def case_comments(place):
    """However the comment looks that they stand in, they are read; what is meant to be a peer and is none is told."""
    body = "peer: the {0} one\n{1}does: {2}\n{1}run: true {{port}}\n"
    for name, begin, sign, end in (("stars", "/* ", " * ", " */\n"), ("plain", "/*\n  ", "   ", "*/\n"),
                                   ("slashes", "// ", "// ", ""), ("quotes", '"""', "", '"""\n'), ("hashes", "# ", "# ", "")):
        place.write(f"{name}.x", begin + body.format(name, sign, "hello, echo") + end + "code peer: none\n")
    place.write("strange.py", "# " + body.format("strange", "# ", "hallo"))
    place.write("bare.py", "# peer: the bare one\nprint('does: hello')\n")
    place.write("beside.conf", "what a peer needs\n")
    place.write("absent.py", "# " + body.format("absent", "# ", "hello") + "# needs: no-such-program\n")
    peers = {peer.key: peer for peer in compare.load_peers(place.peers)}
    for name in "stars", "plain", "slashes", "quotes", "hashes":
        peer = peers.pop(name)
        check(peer.state == "here" and peer.does == ["hello", "echo"] and peer.name == f"the {name} one", f"{name}: {vars(peer)}")
    check(peers.pop("strange").reason == "does: hallo: there are hello, echo, files")
    check(peers.pop("bare").reason == "bare.py has no line `does:`")
    check(list(peers) == ["absent"], str(list(peers)))
    status, out = place.run("--check", "--peers", "absent")
    check(status == 1 and "no no-such-program" in out, f"{status} {out}")


def interrupted(place, number):
    """The status that it ends with, once measuring has begun."""
    place.fake("stubborn")
    process = place.start("1", "--rounds", "99", "--seconds", "0.1", "--client", "bench")
    run_json = place.at("build/run.json")
    try:
        wait_for(lambda: process.poll() is not None or os.path.exists(run_json))
        check(process.poll() is None, "ended before the signal")
        check(any("stubborn" in line for line in place.left()))
        status, out = place.run("1")
        check(status == 1 and "another one runs in" in out, f"{status} {out}")
        process.send_signal(number)
        out = process.communicate(timeout=30)[0]
        if number == signal.SIGKILL:
            wait_for(lambda: not place.left(), 10)
        left = place.left()
        check(not left, f"still runs: {left}")
        return process.returncode, out
    finally:
        process.kill()


def case_interrupt(place):
    """Ctrl-C: 130, and nothing remains."""
    check(interrupted(place, signal.SIGINT)[0] == 130)


def case_terminate(place):
    check(interrupted(place, signal.SIGTERM)[0] == 128 + signal.SIGTERM)


def case_killed(place):
    """Even then: the watcher ends what is left."""
    interrupted(place, signal.SIGKILL)


def case_usage(place):
    place.fake("right")
    for args in ["6"], ["--peers", "left"], ["--rounds", "0"], ["--client", "hammer"]:
        status, out = place.run(*args)
        check(status == 1 and out.startswith("compare: "), f"{args}: {status} {out}")
    status, out = place.run("--list")
    check(status == 0 and re.search(r"^right +the right one +hello +here$", out, re.M), out)
    status, out = place.run("--check", "--peers", "right")
    check(status == 0 and re.search(r"^right +hello +right", out, re.M), out)
    place.fake("wrong")
    check(place.run("--check")[0] == 1)


def case_built_once(place):
    """Built again when its text changes, and only then."""
    place.write("own.c", "// peer: own\n// does: hello\n// run: {out} {port}\n"
                f"// build: sh -c 'date +%s%N >{{dir}}/when; {CC} -pthread {{peers}}/fake.c -o {{out}}'\n")
    when = place.at("build/own/when")

    def built():
        check(place.run("--check")[0] == 0)
        with open(when, encoding="ascii") as file:
            return file.read()
    first = built()
    check(built() == first)
    with open(os.path.join(place.peers, "own.c"), "a", encoding="utf-8") as file:
        file.write("// more\n")
    check(built() != first)


def case_directives(place):
    place.write("some.hs", "-- peer: Some\n-- does: hello\n--\n-- run: {out} a {port}\n--   run: 'b c' {other}\n"
                "module Main where\n-- note: not this\n")
    place.write("block.c", "/* peer: Block\n * does: echo */\n/* run: x */\n\nint x; // when: by hand\n")
    block, some = compare.load_peers(place.peers)
    check((some.name, some.does, some.note) == ("Some", ["hello"], ""), str(vars(some)))
    check((block.name, block.does, block.run, block.by_hand) == ("Block", ["echo"], "x", False), str(vars(block)))
    said = shlex.split(some.filled(some.run, "/b", port=7))
    check(said == ["/b/some/some", "a", "7", "b c", "{other}"], str(said))


class Row:
    peer, idle_bytes, reason, notes = None, 1, "", []

    def __init__(self, key, kind):
        self.key, self.name, self.kind = key, key, kind


class Options:
    rounds = 3


def sample(rate, p99=1000.0, **more):
    return {"rate": rate, "requests": 100, "p50_us": 10.0, "p99_us": p99, "beyond": [], "failures": {}, "untrusted": "",
            "server_cpu_us": 1.0, "client_cpu_us": 1.0, "steal_share": 0.0, "others_share": 0.0, **more}


def table_of(rates, by="rate", noise=0.0, more=(), **clients):
    """A table of given figures of each round."""
    shape = compare.Shape("0", "title", "source", {}, {}, by=by)
    kinds = {"fastserve": "ours", "again": "again", "floor-local": "floor"}
    rows = [Row(key, kinds.get(key, "peer")) for key in rates]
    got = {name: {key: [sample(*((value,) if by == "rate" else (1000, value)), **dict(more)) for value in values]
                  for key, values in of.items()} for name, of in {"bench": rates, **clients}.items()}
    before, done = {"busy_share": noise, "steal_share": 0.0}, len(next(iter(rates.values())))
    return compare.make_table(shape, {"-d": "1s"}, rows, got, {key: [1] for key in rates}, before, done, Options)


def ranks(table):
    return {row["key"]: row["rank"] for row in table["clients"]["bench"]["rows"]}


def case_ranks(_):
    """What is closer than A/A shares a rank; the order is that of medians."""
    table = table_of({"fastserve": [100, 102, 98], "again": [100, 100, 100], "a": [99, 99, 150], "b": [90, 90, 90],
                      "c": [89, 1, 89], "floor-local": [200, 204, 196]})
    aa = table["clients"]["bench"]["aa_share"]
    check(abs(aa - (100 / 98 - 1)) < 1e-9, str(aa))
    check(ranks(table) == {"floor-local": 1, "fastserve": 2, "a": 2, "b": 4, "c": 4}, str(ranks(table)))
    ours = next(row for row in table["clients"]["bench"]["rows"] if row["key"] == "fastserve")
    check(table["clients"]["bench"]["best_peer"] == "a" and not table["too_busy"])
    check(ours["of_floor_local"] == {"median": 0.5, "least": 0.5, "greatest": 0.5}, str(ours["of_floor_local"]))
    check("cannot tell them apart" in " ".join(line for line in table["says"] if "of a" in line), str(table["says"]))
    check(ours["least"]["rate_per_s"] == 98 and ours["greatest"]["rate_per_s"] == 102)


def case_ranks_p99(_):
    """Of a constant rate the shortest p99 is the best."""
    table = table_of({"fastserve": [500, 500], "again": [500, 510], "a": [1000, 1000], "b": [400, 400]}, by="p99")
    check(ranks(table) == {"b": 1, "fastserve": 2, "a": 3}, str(ranks(table)))
    check("p99 1.25 (1.25..1.25) times that of b, the best peer" in " ".join(table["says"]), str(table["says"]))


def case_too_busy(_):
    fine = {"fastserve": [100, 100], "again": [100, 100], "a": [50, 50]}
    check(not table_of(fine)["too_busy"])
    check(not table_of(fine, noise=0.05)["too_busy"])
    check("other work took 50 %" in table_of(fine, noise=0.5)["too_busy"])
    check("other work took 20 % of the CPUs meanwhile" in table_of(fine, more={"others_share": 0.2})["too_busy"])
    check("other guests took 6.0 %" in table_of(fine, more={"steal_share": 0.06})["too_busy"])
    wide = table_of({**fine, "again": [100, 60]})
    check("67 % from itself" in wide["too_busy"], wide["too_busy"])
    text = "\n".join(compare.lines_of(wide))
    check("TOO BUSY TO CONCLUDE" in text and re.search(r"^ \?[ !]>fastserve", text, re.M), text)
    check("no pair of itself" in table_of({"fastserve": [100], "a": [50]})["too_busy"])
    page = compare_page.page({"tables": [wide], "peers": [], "fastserve": "1 & 2", "began_unix_s": 0,
                              "machine": compare.machine(), "noise": {"busy_share": 0, "steal_share": 0}}, compare)
    check("Too busy to conclude" in page and "1 &amp; 2" in page and "<script" not in page and "http" not in page, page)


def case_clients(_):
    """Another load generator's order: the same, or not by more than both of them scatter."""
    rates = {"fastserve": [200, 200], "again": [200, 200], "a": [100, 100], "b": [90, 90]}
    says = " ".join(table_of(rates, wrk={**rates, "a": [80, 80]})["says"])
    check("bench and wrk DISAGREE beyond their A/A on the order of a and b" in says, says)
    says = " ".join(table_of(rates, wrk={**rates, "a": [80, 80], "again": [150, 150]})["says"])
    check("DISAGREE" not in says and "do not contradict" in says, says)
    table = table_of(rates, wrk={**rates, "b": [80]})
    check("wrk came to no result in every round of b" in " ".join(table["says"]), str(table["says"]))
    check(re.search(r"^    b +90 +90..90 +- +-$", "\n".join(compare.lines_of(table)), re.M))
    says = " ".join(table_of(rates, wrk={**rates, "fastserve": [150, 150], "again": [150, 150]})["says"])
    check("fastserve of a: 2.00 by bench, 1.50 by wrk" in says, says)


def case_remarks(_):
    """Errors are named; what differs in numbers alone is said once."""
    rows = [{"name": name, "failures": failures, "requests": 90, "untrusted": [f"late by {i}.5 ms"], "notes": []}
            for i, (name, failures) in enumerate({"a": {"reset": 10}, "b": {}}.items())]
    said = compare.remarks(rows)
    check(said == [("errors", "a: 10 reset; 10 % of its requests"),
                   ("doubt", "a, b: bench says: late by 0.5 ms")], str(said))


def case_figures(_):
    said = [compare.times({"median": x}, by) for x, by in ((1.234, "rate"), (0.01, "p99"), (0, "p99"))]
    check(said == ["1.23", "100", "-"], str(said))
    said = [compare.short(n) for n in (0, 7, 999, 1000, 9996, 12345, 999600, 1.5e6)]
    check(said == ["0", "7", "999", "1.00k", "10.0k", "12.3k", "1.00M", "1.50M"], str(said))
    check([compare.latency(us) for us in (None, 870, 1500, 9996, 2e6)] == ["-", "870us", "1.50ms", "10.0ms", "2.00s"])
    check(compare.latency(1500, True) == ">1.50ms")
    check([compare.number(n, 1e6) for n in (None, 1234567, 123456789)] == ["-", "1.23", "123"])
    order = ["a", "b", "c", "d"]
    check([turn[0] for turn in compare.turns(order, 2)] == ["a", "c"])
    check(all(sorted(turn) == order for turn in compare.turns(order, 3)))


def main():
    cases = {name[5:]: value for name, value in globals().items() if name.startswith("case_")}
    wanted, passed, failed = sys.argv[1:] or list(cases), 0, 0
    for name in wanted:
        place, began = Place(), time.monotonic()
        try:
            cases[name](place)
            passed += 1
        except Exception:  # the next case runs whatever this one does
            failed += 1
            print(f"FAIL {name}")
            traceback.print_exc(file=sys.stdout)
        finally:
            place.close()
        if sys.stdout.isatty():
            print(f"{name}: {time.monotonic() - began:.1f} s")
    print(f"test_compare: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
