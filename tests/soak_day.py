#!/usr/bin/env python3
"""soak_day: a day of a server in ten minutes. One `fastserve serve` lives through all of it, with a folder, the demo's routes
and an access log, while at the same time

    steady    asks for / at a constant rate (`bench -R`): its p99 is the figure of each minute
    chaos     sends broken, cut and reset requests (tests/chaos.c)
    files     are written over, replaced, removed and made again while readers fetch them: whole, in ranges and under
              conditions; a body never mixes two versions, and no more than its Content-Length comes
    slow      clients send a head or a body a few bytes at a time and are answered; others read 2 MiB in small sips
    idle      connections stay silent, or in the middle of a head, until the server ends them
    log       the access log is taken away and SIGHUP sent; no line may be lost
    restarts  another server starts, is loaded, and stops by SIGTERM in the middle of it; tests/soak.c does the same with
              servers in one process

    tests/soak_day.py [SECONDS]       600, at least 80; FASTSERVE, CHAOS and SOAK name the programs (./fastserve, build/chaos, build/soak);
                                      SANITIZED=1: they are, and neither memory nor p99 is judged

The time is cut into ten parts. At the end of each the load pauses for 3 s, and what the server holds is read: its own memory,
descriptors, threads. From the second part to the last these must be flat: descriptors equal, memory not more than 10 % and
1 MiB above. The median p99 of the last three parts must not be more than 3 times that of the first three and 5 ms.
"""
import glob, json, os, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time

program, chaos, soak = (os.environ.get(n, d) for n, d in (("FASTSERVE", "./fastserve"), ("CHAOS", "build/chaos"), ("SOAK", "build/soak")))
if len(sys.argv) > 1 and not sys.argv[1].isdigit():
    print(__doc__)
    sys.exit(0 if sys.argv[1] in ("-h", "--help") else 1)
seconds, parts = int(sys.argv[1]) if len(sys.argv) > 1 else 600, 10
part_s = max(8.0, seconds / parts)
work = tempfile.mkdtemp()
folder, log = os.path.join(work, "www"), os.path.join(work, "access.log")
big_bytes = 2 << 20
processes, faults, counts = [], [], {}
lock, going, working = threading.RLock(), threading.Event(), [0]
ending = False
server_port = 0

def fault(text):
    with lock:
        faults.append(text)
        if len(faults) <= 20: print("FAULT: " + text, flush=True)

def count(name, n=1):
    with lock: counts[name] = counts.get(name, 0) + n

def spawn(args, **how):
    with lock:
        if ending: sys.exit(0) # of a thread: what is started now nobody would end
        p = subprocess.Popen(args, **how)
        processes.append(p)
    return p

def serve(args):
    """A server that has told its port."""
    p = spawn([program, "serve", "-p", "0", "-b", "127.0.0.1", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = ""
    for line in p.stdout:
        told += line
        found = re.search(r"http://(?:127\.0\.0\.1|localhost):(\d+)", line)
        if found: break
    else: sys.exit("soak_day: the server does not start: " + told)
    threading.Thread(target=lambda: [told for told in p.stdout if "ERROR: " in told and fault("the server: " + told.strip())], daemon=True).start()
    return p, int(found[1])

# ---- clients: each is a function that is called again and again while the load goes on

def connect(port=None): return socket.create_connection(("127.0.0.1", port or server_port), 30)

def read_head(s, got=b""):
    while b"\r\n\r\n" not in got:
        more = s.recv(4096)
        if not more: return None, got
        got += more
    head, rest = got.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), rest

def read_answer(s, sip=65536, nap=0.0):
    """Status, length and what came of the body."""
    head, body = read_head(s)
    if head is None: return 0, 0, body
    length = int((re.search(r"(?i)\r\ncontent-length: (\d+)", head) or [0, 0])[1])
    while len(body) < length:
        more = s.recv(sip)
        if not more: break
        body += more
        if nap: time.sleep(nap)
    return int(head[9:12]), length, body

def record(version): return b"%08d\n" % version

def fetch(rng):
    """A file that somebody writes at the same time."""
    name, ask = f"f{rng.randrange(8)}.txt", rng.randrange(4)
    with connect() as s:
        for _ in range(rng.randrange(1, 6)):
            extra = (f"Range: bytes={9 * rng.randrange(200)}-\r\n" if ask == 1 else "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT\r\n" if ask == 2 else "")
            s.sendall(f"GET /{name} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode())
            try: status, length, body = read_answer(s)
            except ConnectionResetError: return count("files cut short")
            count("files")
            if status not in (200, 206, 304, 404, 416): return fault(f"{name}: status {status}")
            if status in (200, 206) and len(body) > length: return fault(f"{name}: {len(body)} bytes of {length}")
            whole = body[:len(body) // 9 * 9]
            if status in (200, 206) and whole != whole[:9] * (len(whole) // 9): return fault(f"{name}: two versions in one body")
            if status == 304: s.settimeout(30)
            if len(body) < length: return count("files cut short")

def write(rng):
    name = os.path.join(folder, f"f{rng.randrange(8)}.txt")
    version, how = rng.randrange(10**8), rng.randrange(5)
    data = record(version) * rng.choice((1, 50, 2000, 40000))
    if how == 0:
        with open(name, "wb") as f: f.write(data)
    elif how == 1:
        with open(name + ".new", "wb") as f: f.write(data)
        os.replace(name + ".new", name)
    elif how == 2:
        try: os.truncate(name, min(os.path.getsize(name), 9 * rng.randrange(100)))
        except FileNotFoundError: pass
    elif how == 3 and rng.randrange(4) == 0:
        try: os.unlink(name)
        except FileNotFoundError: pass
    count("writes")
    time.sleep(rng.random() * 0.05)

def slow_sender(rng):
    body = bytes(rng.randrange(97, 123) for _ in range(40))
    text = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n" + body
    with connect() as s:
        for at in range(0, len(text), 3):
            s.sendall(text[at:at + 3])
            time.sleep(0.05)
        status, _, got = read_answer(s)
        if status != 200 or got != body: fault(f"a slow sender got {status}, {len(got)} bytes")
    count("slow senders")

def slow_reader(rng):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        s.settimeout(30)
        s.connect(("127.0.0.1", server_port))
        s.sendall(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, length, body = read_answer(s, 16384, 0.01)
        if rng.randrange(3) == 0: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if status != 200 or len(body) != length or length != big_bytes: fault(f"a slow reader got {status}, {len(body)} of {length} bytes")
    count("slow readers")

def idler(rng):
    with connect() as s:
        s.sendall((b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: loc")[rng.randrange(3)])
        s.settimeout(20)
        try:
            while s.recv(4096): pass
        except ConnectionResetError: pass
        except TimeoutError: fault("a silent connection was not ended in 20 s")
    count("idle")

def loop(what, seed):
    rng = random.Random(seed)
    while not ending:
        if not going.is_set():
            time.sleep(0.05)
            continue
        with lock: working[0] += 1
        try: what(rng)
        except (ConnectionError, TimeoutError, OSError) as e:
            if not ending: fault(f"{what.__name__}: {e}")
        finally:
            with lock: working[0] -= 1

# ---- what the server holds

def holds(pid):
    rollup = {l.split(":")[0]: int(l.split()[1]) for l in open(f"/proc/{pid}/smaps_rollup") if l.split(":")[0] in ("Private_Dirty", "Anonymous")}
    return rollup["Anonymous"], len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

def ended(p, text, within=30, status=0):
    try: got = p.wait(within)
    except subprocess.TimeoutExpired:
        p.kill()
        return fault(f"{text}: has not ended after {within} s")
    if got != status: fault(f"{text}: exit status {got}")

def steady(n, length):
    out = os.path.join(work, f"steady{n}.json")
    p = spawn([program, "bench", "-R", "200", "-c", "8", "-t", "1", "--timeout", "10s", "-d", f"{length:.0f}s", "-q", "--json", out, f"http://127.0.0.1:{server_port}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if p.wait(length + 60) not in (0, 2): fault(f"the steady load: exit status {p.returncode}") # 2: the machine is too busy for the rate
    told = json.load(open(out))
    return told["latency_us"]["service"]["p99"] / 1000

def another_server(length):
    """Starts, is loaded, and is stopped in the middle of it, until the time is over."""
    until = time.monotonic() + length
    while time.monotonic() < until and not ending:
        p, port = serve([])
        load = spawn([program, "bench", "-c", "20", "-t", "1", "-d", "30s", "-q", f"http://127.0.0.1:{port}/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.5)
        p.terminate()
        ended(p, "a server that was stopped under load", 20)
        load.terminate()
        load.wait(20)
        count("restarts")

def rotate():
    """Lines of logs that were taken away: all of them are counted."""
    os.rename(log, f"{log}.{len(glob.glob(log + '.*'))}")
    server.send_signal(signal.SIGHUP)
    for _ in range(200):
        if os.path.exists(log): return count("log rotations")
        time.sleep(0.05)
    fault("the log was not opened again after SIGHUP")

# ---- the run

for n in signal.SIGTERM, signal.SIGHUP: signal.signal(n, lambda n, _: sys.exit(128 + n)) # through `finally`, which ends what was started

os.mkdir(folder)
for i in range(8): open(os.path.join(folder, f"f{i}.txt"), "wb").write(record(i) * 1000)
open(os.path.join(folder, "big.bin"), "wb").write(bytes(big_bytes))
open(os.path.join(folder, "index.html"), "w").write("<p>soak")
try:
    server, server_port = serve([folder, "--demo", "--host", "a", "--log", log, "-t", "2", "--idle-timeout", "5s", "--head-timeout", "5s"])
    for what, threads in ((fetch, 4), (write, 1), (slow_sender, 4), (slow_reader, 3), (idler, 8)):
        for i in range(threads): threading.Thread(target=loop, args=(what, i), daemon=True).start()
    seen, late = [], []
    print(f"soak_day: {parts} parts of {part_s:.0f} s\n{'part':>4} {'p99 ms':>8} {'memory KB':>10} {'descriptors':>12} {'threads':>8}", flush=True)
    for n in range(parts):
        began = time.monotonic()
        load_s = max(4.0, part_s - 4)
        going.set()
        wild = spawn([chaos, str(server_port), f"{load_s:.0f}", str(n + 1)], stdout=open(os.path.join(work, "chaos"), "w"), stderr=subprocess.STDOUT)
        inside = spawn([soak, "100", f"{max(1.0, load_s - 6):.0f}", str(n + 1)], stdout=subprocess.PIPE, text=True)
        beside = threading.Thread(target=another_server, args=(load_s - 2,), daemon=True)
        beside.start()
        late.append(steady(n, load_s))
        rotate()
        ended(wild, "chaos", 60)
        if wild.returncode: fault("chaos: " + open(os.path.join(work, "chaos")).read()[-300:].strip())
        if inside.wait(120) != 0: fault("tests/soak.c: " + inside.stdout.read()[-300:])
        beside.join()
        going.clear()
        until = time.monotonic() + 30
        while working[0] and time.monotonic() < until: time.sleep(0.05)
        if working[0]: fault(f"{working[0]} clients have not come to an end")
        time.sleep(3)
        seen.append(holds(server.pid))
        print(f"{n + 1:>4} {late[-1]:>8.2f} {seen[-1][0]:>10} {seen[-1][1]:>12} {seen[-1][2]:>8}", flush=True)
        if server.poll() is not None: sys.exit(f"soak_day: the server has ended, exit status {server.returncode}")
        time.sleep(max(0.0, began + part_s - time.monotonic()))
    ending = True
    server.terminate()
    ended(server, "the server")
    lines = sum(open(f, "rb").read().count(b"\n") for f in glob.glob(log + "*"))
    median = lambda xs: sorted(xs)[len(xs) // 2]
    first, last = seen[1], seen[-1]
    if last[1] > first[1]: fault(f"descriptors grew from {first[1]} to {last[1]}")
    if last[2] > first[2]: fault(f"threads grew from {first[2]} to {last[2]}")
    judged = not os.environ.get("SANITIZED")
    if judged and last[0] > first[0] * 1.1 + 1024: fault(f"memory grew from {first[0]} to {last[0]} KB")
    if judged and median(late[-3:]) > 3 * median(late[:3]) + 5: fault(f"p99 grew from {median(late[:3]):.2f} to {median(late[-3:]):.2f} ms")
    print(", ".join(f"{v} {k}" for k, v in sorted(counts.items())) + f", {lines} lines logged")
finally:
    with lock: ending = True
    for p in processes:
        if p.poll() is None: p.kill(); p.wait()
    shutil.rmtree(work, True)
print(f"soak_day: {'FAILED, ' + str(len(faults)) + ' faults' if faults else 'ok'}")
sys.exit(1 if faults else 0)
