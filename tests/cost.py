#!/usr/bin/env python3
"""cost: what a request costs the server in user-space instructions (valgrind's callgrind) and in system calls (strace),
beside the figures in tests/cost.txt. Without a clock: a busy machine gives the same figures as a quiet one.

    tests/cost.py [--renew] [--spread] [KIND ...]

Kinds: hello, browser (hello, asked for with the 560 bytes that a browser sends), pipelined (16 at a time, each counted),
close (a connection for each), file (1 KiB that is kept), 304 (the same, asked whether it is newer), range (a part of it),
browser-file (a page of 1 KiB that is kept, asked for by a browser, which would take it packed, but nothing packed stands
beside it). One loop, one client that waits for each answer before it asks again, so that nothing is shared between requests
but what comes in one read; a figure is the difference of two runs, one with more requests.

valgrind (3.19, as of here) knows no openat2: a call of it comes back with ENOSYS, as on Linux before 5.6. So the instructions
of a kind that opens, or tries to open, something in each request are those of the fallback: a worker that walks the path step
by step. That is browser-file, which looks for what is packed; other kinds with a file open it once in two seconds. System
calls are counted by strace, which passes openat2: there the loop opens by itself, in one call each.

Exits with 1 when a figure is more than one in a hundred from its baseline, in either direction; --renew writes the baseline anew, to be
committed with the reason. --spread counts everything three times and prints how far the figures lie apart. Figures of another
compiler or C library say nothing: that is told and exits with 0, under CI with 1. Needs valgrind and strace.
"""
import argparse, atexit, os, re, shutil, signal, socket, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
baseline_file = os.path.join(here, "cost.txt")
server_program = "./fastserve"
tolerance = 0.01
few, many = 200, 1000

head = b"Host: 127.0.0.1:8080\r\n"
hello = b"GET / HTTP/1.1\r\n" + head + b"\r\n"
browser = (b"GET /?utm_source=newsletter&utm_medium=email HTTP/1.1\r\n" + head + b"Connection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\n'
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n"
    b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n\r\n")
file = b"GET /1k.bin HTTP/1.1\r\n" + head
modified = 1000000000 # of all files
# name: what is sent at a time, how many requests that is, a connection for each
kinds = {
    "hello": (hello, 1, False),
    "browser": (browser, 1, False),
    "pipelined": (hello * 16, 16, False),
    "close": (b"GET / HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n", 1, True),
    "file": (file + b"\r\n", 1, False),
    "304": (file + b"If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\n", 1, False),
    "range": (file + b"Range: bytes=100-199\r\n\r\n", 1, False),
    "browser-file": (browser.replace(b"GET /?", b"GET /1k.html?").replace(b"deflate, br", b"deflate, br, zstd"), 1, False),
}
status = {"304": b" 304 Not Modified\r\n", "range": b" 206 Partial Content\r\n"} # others: 200
work = tempfile.mkdtemp()
atexit.register(shutil.rmtree, work, True)
started = []

for n in signal.SIGTERM, signal.SIGHUP: signal.signal(n, lambda n, _: sys.exit(128 + n)) # through what atexit has

@atexit.register
def end_all():
    for p in started:
        if p.poll() is None: os.killpg(p.pid, signal.SIGKILL); p.wait()

def start(prefix, kind):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folder = [work] if b" /1k" in kinds[kind][0] else []
    if folder: time.sleep(max(0, ready - time.time()))
    # The C library's functions for one kind of CPU, wherever this runs.
    tunables = "glibc.cpu.hwcaps=" + ",".join("-" + x for x in ("AVX2", "AVX", "AVX512F", "AVX512VL", "AVX512BW", "ERMS", "FSRM", "SSSE3",
        "SSE4_1", "SSE4_2", "BMI2", "LZCNT", "MOVBE", "POPCNT", "RTM", "AVX_Fast_Unaligned_Load", "Fast_Unaligned_Copy"))
    p = subprocess.Popen([*prefix, server_program, "serve", *folder, "-p", str(port), "-b", "127.0.0.1", "-t", "1", "-q"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, "GLIBC_TUNABLES": tunables})
    started.append(p)
    for _ in range(400):
        if p.poll() is not None: sys.exit(f"cost: {' '.join(prefix)} ended at once: {p.stderr.read().decode()[-500:]}")
        try: return p, port, socket.create_connection(("127.0.0.1", port), 5)
        except OSError: time.sleep(0.05)
    sys.exit("cost: the server does not listen")

def ask(s, request, size, kind):
    """Sends a request and reads its answer, of `size` bytes, or what comes at first."""
    s.sendall(request)
    got = s.recv(1 << 16)
    while size and len(got) < size: got += s.recv(1 << 16)
    if status.get(kind, b" 200 OK\r\n") not in got[:40]: sys.exit(f"cost: {kind} is answered with {got[:60]}")
    return len(got)

def drive(port, first, kind, count):
    request, deep, close = kinds[kind]
    first.settimeout(30)
    if not close:
        size = ask(first, request, 0, kind)
        if deep > 1: # what came at first may be a part
            time.sleep(0.3)
            size += len(first.recv(1 << 16, socket.MSG_DONTWAIT)) if size % deep else 0
        for _ in range(count): ask(first, request, size, kind)
    for _ in range(count if close else 0):
        with socket.create_connection(("127.0.0.1", port), 30) as s:
            time.sleep(0.003) # until it is accepted: what comes together with its first bytes would cost less
            s.sendall(request)
            while s.recv(1 << 16): pass
    first.close()

def run(prefix, kind, count):
    p, port, first = start(prefix, kind)
    drive(port, first, kind, count)
    # strace keeps the signal to itself: to the server, its child. valgrind is the server.
    children = open(f"/proc/{p.pid}/task/{p.pid}/children").read().split() if prefix[0] == "strace" else []
    os.kill(int(children[0]) if children else p.pid, signal.SIGTERM)
    p.communicate(timeout=60)

def instructions(kind, count):
    out = os.path.join(work, "callgrind")
    run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"], kind, count)
    return int(re.search(r"^(?:summary|totals): (\d+)", open(out).read(), re.M)[1])

def calls(kind, count):
    out = os.path.join(work, "strace")
    run(["strace", "-f", "-c", "-o", out], kind, count)
    return int(re.search(r"(\d+)\s+(?:\d+\s+)?total$", open(out).read(), re.M)[1])

def cost(kind):
    deep = kinds[kind][1]
    times = 3 if kinds[kind][2] is False else 1 # a connection each takes longer
    return [(what(kind, many * times) - what(kind, few)) / (many * times - few) / deep for what in (instructions, calls)]

def tools():
    version = lambda *c: subprocess.run(c, capture_output=True, text=True).stdout.split("\n")[0].split()[-1]
    return f"cc {version('cc', '--version')}, libc {version('ldd', '--version')}, {os.uname().machine}"

def make_files():
    """In the work folder; they are kept once they are two seconds old, which is `ready`."""
    global ready
    for name, content in ("1k.bin", bytes(range(256)) * 4), ("1k.html", b"<p>sixteen bytes" * 64):
        open(os.path.join(work, name), "wb").write(content)
        os.utime(os.path.join(work, name), (modified, modified))
    ready = time.time() + 2.5

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--renew", action="store_true")
    ap.add_argument("--spread", action="store_true")
    ap.add_argument("kind", nargs="*")
    o = ap.parse_args()
    for name in o.kind:
        if name not in kinds: sys.exit(f"cost: {name} is none of {', '.join(kinds)}")
    for tool in ("valgrind", "strace"):
        if not shutil.which(tool): sys.exit(f"cost: needs {tool} (Debian: apt-get install {tool})")
    make_files()
    wanted = o.kind or list(kinds)
    if o.spread:
        for kind in wanted:
            got = [cost(kind) for _ in range(3)]
            print(f"{kind:12} instructions {min(g[0] for g in got):.1f}..{max(g[0] for g in got):.1f}"
                  f"  calls {min(g[1] for g in got):.3f}..{max(g[1] for g in got):.3f}", flush=True)
        return 0
    if o.renew:
        with open(baseline_file, "w") as f:
            f.write(f"# What a request costs the server; `make cost` compares, `make cost-renew` writes this file.\n# {tools()}\n"
                    "# kind, instructions in user space, system calls\n")
            for kind in kinds:
                line = "{:12} {:8.1f} {:7.3f}".format(kind, *sorted(cost(kind) for _ in range(3))[1]) # a second's tick falls into one of the two runs
                print(line, flush=True)
                f.write(line + "\n")
        return 0
    lines = open(baseline_file).read().split("\n")
    if lines[1] != "# " + tools():
        print(f"cost: the baseline is of other tools, so nothing is compared; make cost-renew writes one\n  here  {tools()}\n  there {lines[1][2:]}")
        return 1 if os.environ.get("CI") else 0
    base = {l.split()[0]: [float(x) for x in l.split()[1:]] for l in lines if l and l[0] != "#"}
    failed = 0
    for kind in wanted:
        off_by = lambda got: max(abs(new / old - 1) for new, old in zip(got, base[kind]))
        got = cost(kind)
        for _ in range(2): # what a second's tick added would not come again
            if off_by(got) > tolerance: got = min(got, cost(kind), key=off_by)
        for name, new, old in zip(("instructions", "system calls"), got, base[kind]):
            off = abs(new / old - 1) > tolerance
            failed += off
            print(f"{kind:12} {name:13} {new:10.2f}  baseline {old:10.2f}  {(new / old - 1) * 100:+6.2f} %{'' if not off else '  LESS, by more than 1 %' if new < old else '  MORE, by more than 1 %'}", flush=True)
    print(f"{2 * len(wanted) - failed} passed, {failed} failed" + ("; a change that is meant: make cost-renew" if failed else ""))
    return 1 if failed else 0

sys.exit(main())
