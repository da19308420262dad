#!/usr/bin/env python3
"""compare: fastserve beside the servers that people would use instead, on this machine, interleaved in one run.

    python3 tests/compare.py [1] [2] [3] [4] [5] [files] [--peers nginx,go_http] [--rounds 3] [--seconds 0.7] [--full]
    python3 tests/compare.py --list | --check | --help

Each number is one of five logs that people published, as a command: the same load on every server that is here.

    1      keep-alive, 500 connections (wrk -t10 -c500 -d10s --latency)
    2      four models of a server at 100 connections, kept open, and one for each request (wrk -t4 -c100 -d1m)
    3      a connection for each request, 1,000 at a time (ab -n 1000000 -c 1000)
    4      TCP echo on 3,000 connections: connect, send, receive, close; and ping-pong
    5      a constant rate (wrk2 -R1000 -c400 -d30s), and new connections at a constant rate (httperf --rate)
    files  not of the logs: files of 1 KiB, 100 KiB and 10 MiB, 100 connections

The servers stand in tests/peers, one file each; --list says which are here and how to get the others; nothing is
installed. One of your own is a file tests/peers/NAME.EXT in any language; the comment that it begins with says, one a line:

    peer: name in the tables      does: hello echo files        needs: programs, or paths, that must exist
    install: apt-get install ...  version: command              build: command, once      run: command, stays in front
    log: 1 3 (who is named there) note: one line                missing: why it is left out    when: by hand (large install)

{port} {threads} {www} {file} {dir} {out} {conf} are filled in. hello: GET / is "Hello, World!" as text/plain, and
Connection: close closes. echo: sends back what comes. files: {www} at / or /files/. Then --check --peers NAME tries it.

 The load generator is `fastserve bench`; log 1 is checked by wrk and log 3 by ab, where they are installed.
`floor` (tests/floor.c) is no server but the least work that an epoll loop can do; it is the yardstick.

Each round runs each row once, in an order that is rotated from round to round, one server at a time: the others are
stopped (SIGSTOP), so that they have no turn on the CPUs. They live as long as their log, so what compiles while it runs
has compiled after the first round, and the median of rounds does not see it. Client and server share the CPUs, as they
do in the logs. fastserve runs twice, as two servers: how far those two are apart (A/A) is what this machine adds, and
rows that are not farther apart than that are not ranked.

Results: tables on standard output, build/compare.json (fastserve-compare/1) and build/compare.html. Exit status 0;
1 usage, or fastserve itself failed; 130 Ctrl-C. Everything stays on loopback, and whatever was started has ended when
this ends, however it ends. Needs nothing but Python 3 and Linux.
"""
import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import platform
import re
import resource
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import textwrap
import time

sys.dont_write_bytecode = True  # of what stands beside this file
import compare_page  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SCHEMA = "fastserve-compare/1"
HELLO = b"Hello, World!"
APT = "apt-get install "
MARK = "FASTSERVE_COMPARE"  # in the environment of everything that is started, so that it is found again
BUDGET_S = 14 * 60          # by default all of it ends within a quarter of an hour: no further round of a table begins later than that
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
READY_S = 20                # until a server must listen
BUILD_S = 300
WARM_S = 0.2                # of load before each measurement
TOO_BUSY, TOO_STOLEN = 0.10, 0.05  # shares of the CPUs that others have, before a table or during it
TOO_WIDE = 0.25             # between fastserve and itself
CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------------------------------------
# Processes. Whatever is started leads a session of its own, is known to the watcher, and ends with this program.
# ---------------------------------------------------------------------------------------------

def processes():
    """{pid: (parent, session, CPU seconds of it and of its children that have ended)} of this machine."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                words = file.read().rsplit(")", 1)[1].split()
            if words[0] not in "ZX":
                found[int(entry)] = int(words[1]), int(words[3]), sum(map(int, words[11:15])) * TICK_S
    return found


def members(session, among=None):
    """The processes of a session, and those that descend from them in sessions of their own."""
    among = among or processes()
    inside = {pid for pid, (_, its, _) in among.items() if its == session or pid == session}
    grew = True
    while grew:
        more = {pid for pid, (parent, _, _) in among.items() if parent in inside} - inside
        inside |= more
        grew = bool(more)
    return inside


def marked(mark):
    """What carries our mark in its environment: also what has left its session and its parents."""
    found, wanted = set(), f"{MARK}={mark}".encode()
    for pid in processes():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.add(pid)
    return found


def kill(pids, number):
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


class Watcher:
    """A process that outlives this one by a moment and ends what it left behind, even when this one was killed. It
    learns of sessions by a pipe, whose other end closes when this program is gone."""

    def __init__(self):
        self.mark = f"{os.getpid()}.{time.time_ns()}"
        ear, mouth = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(ear)
            self.pipe = os.fdopen(mouth, "w", buffering=1)
            return
        os.setsid()
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)
        os.close(mouth)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(nowhere, fd)  # who reads our output does not wait for this process
        sessions = set()
        with os.fdopen(ear) as lines:
            for line in lines:
                (sessions.add if line[0] == "+" else sessions.discard)(int(line[1:]))
        for session in sessions:
            kill(members(session), signal.SIGKILL)
        kill(marked(self.mark), signal.SIGKILL)
        os._exit(0)

    def tell(self, sign, session):
        with contextlib.suppress(OSError, ValueError):
            print(f"{sign}{session}", file=self.pipe)

    def close(self):
        with contextlib.suppress(OSError):
            self.pipe.close()
            os.waitpid(self.pid, 0)


watcher = None


def spawn(args, **how):
    """Starts a program that leads a session of its own."""
    how.setdefault("stdin", subprocess.DEVNULL)
    env = {**os.environ, MARK: watcher.mark, "PATH": PATH}
    process = subprocess.Popen(args, start_new_session=True, env=env, **how)
    watcher.tell("+", process.pid)
    return process


def end(process, patience_s=2.0):
    """Ends a session: SIGTERM, and SIGKILL to what is left after a while."""
    inside = members(process.pid)
    if process.poll() is not None:  # it has left its number, perhaps to a stranger: only what carries our mark
        inside &= marked(watcher.mark)
    kill(inside - {process.pid}, signal.SIGCONT)
    if process.poll() is None:
        process.terminate()
        kill({process.pid}, signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    inside |= members(process.pid) & marked(watcher.mark)
    kill(inside & set(processes()), signal.SIGKILL)
    process.wait()
    watcher.tell("-", process.pid)


def run(args, timeout_s, **how):
    """Runs a program to its end: exit status (None: not in time), what it printed, what it said on stderr."""
    process = spawn(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **how)
    try:
        out, err = process.communicate(timeout=timeout_s)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        return None, "", f"did not end within {timeout_s:.0f} s"
    finally:
        end(process)
        for pipe in process.stdout, process.stderr:
            pipe.close()


# ---------------------------------------------------------------------------------------------
# Peers. A file in tests/peers; what to do with it stands in its first comment.
# ---------------------------------------------------------------------------------------------

DIRECTIVES = "peer log does needs install version build run when note missing".split()
DOES = "hello", "echo", "files"
DIRECTIVE = re.compile(r"^\W*?\b(" + "|".join(DIRECTIVES) + r"): *(.*?)\s*(?:\*/|-})?\s*$")
NOT_A_PEER = re.compile(r"^\.|~$|\.(?:orig|rej|bak|swp)$")  # what editors and patches leave
COMMENT = re.compile(r"^\s*(?://|#|--|%|;|/?\*|\{-|\"\"\"|''\')")
BLOCKS = {"/*": "*/", "{-": "-}", '"""': '"""', "''\'": "''\'"}  # comments of several lines


def which(program):
    return shutil.which(program, path=PATH)


class Peer:
    """What its file says. `state`: it is here, absent (not installed), missing (cannot be had) or failed."""

    def __init__(self, file):
        self.file, self.key = os.path.abspath(file), os.path.splitext(os.path.basename(file))[0]
        said = dict.fromkeys(DIRECTIVES, "")
        with open(file, encoding="utf-8", errors="replace") as lines:
            within = ""  # what ends the comment
            for line in lines:
                text = line.strip()
                if text and not within and not COMMENT.match(line) and not file.endswith(".txt"):
                    break
                mark = next((mark for mark in BLOCKS if text.startswith(mark)), "") if not within else ""
                if within:
                    within = "" if within in text else within
                elif mark:
                    within = "" if BLOCKS[mark] in text[len(mark):] else BLOCKS[mark]
                found = DIRECTIVE.match(line)
                if found:
                    said[found[1]] = f"{said[found[1]]} {found[2]}".strip()
        self.name, self.missing, self.install, self.note = said["peer"], said["missing"], said["install"], said["note"]
        self.logs, self.does, self.needs = said["log"].split(), said["does"].replace(",", " ").split(), said["needs"].split()
        self.meant = any(said.values())  # to be a peer
        self.version_command, self.build, self.run = said["version"], said["build"], said["run"]
        self.by_hand = said["when"] == "by hand"
        self.version_line = ""
        self.state, self.reason = "here", ""
        lacking = [word for word in ("peer", "does", "run") if not said[word]]
        strange = [word for word in self.does if word not in DOES]
        if self.missing:
            self.state, self.reason = "missing", self.missing
        elif lacking:
            self.state, self.reason = "failed", f"{os.path.basename(file)} has no line `{lacking[0]}:`"
        elif strange:
            self.state, self.reason, self.does = "failed", f"does: {strange[0]}: there are {', '.join(DOES)}", []
        else:
            for need in self.needs:
                if not (glob.glob(need) if "/" in need else which(need)):
                    self.state, self.reason = "absent", f"no {need}"
                    break
        self.name = self.name or self.key

    def folder(self, build):
        return os.path.join(build, self.key)

    def words(self, command, build, **more):
        """A command in words, each filled in by itself; what a shell reads (`sh -c '...'`) is quoted for it."""
        words = shlex.split(command)
        shell = words[:2] == ["sh", "-c"]
        return [self.filled(word, build, quote=shell and i == 2, **more) for i, word in enumerate(words)]

    def filled(self, text, build, quote=False, **more):
        """A text with what stands in braces filled in; other braces stay what they are."""
        folder = self.folder(build)
        values = {"file": self.file, "peers": os.path.dirname(self.file), "www": os.path.join(build, "www"),
                  "dir": folder, "out": os.path.join(folder, self.key), "threads": str(CPUS),
                  "conf": os.path.join(folder, os.path.basename(self.file)), **more}
        put = shlex.quote if quote else str
        return re.sub(r"\{(\w+)\}", lambda found: put(str(values[found[1]])) if found[1] in values else found[0], text)

    def make(self, build):
        """Builds it, if there is anything to build and it was not built from just this; what it says of its version."""
        folder = self.folder(build)
        os.makedirs(folder, exist_ok=True)
        with open(self.file, "rb") as file:
            now = hashlib.sha256(file.read() + self.build.encode()).hexdigest()
        tag, stamp = os.path.join(folder, "built"), ""
        if self.version_command and "{out}" not in self.version_command:
            self.version_line = self.ask_version(build)
        now += self.version_line
        with contextlib.suppress(OSError), open(tag, encoding="utf-8") as file:
            stamp = file.read()
        if self.build and stamp != now:
            tell(f"builds {self.name}")
            try:
                status, out, err = run(self.words(self.build, build), BUILD_S, cwd=folder)
            except OSError as error:
                status, out, err = 1, "", str(error)
            with open(os.path.join(folder, "build.log"), "w", encoding="utf-8") as file:
                file.write(out + err)
            if status != 0:
                said = [line for line in (out + err).splitlines() if line.strip()]
                first = next((line for line in said if "error" in line.lower()), said[-1] if said else f"exit {status}")
                self.state, self.reason = "failed", "does not build: " + first.strip()[:160]
                return
            with open(tag, "w", encoding="utf-8") as file:
                file.write(now)
        if "{out}" in self.version_command:
            self.version_line = self.ask_version(build)

    def ask_version(self, build):
        try:
            _, out, err = run(self.words(self.version_command, build), 30, cwd=self.folder(build))
        except OSError as error:
            return str(error)
        lines = [line.strip() for line in (out + "\n" + err).splitlines() if line.strip()]
        return lines[0][:120] if lines else ""

    def version(self):
        found = re.search(r"\d+(?:\.\d+)+", self.version_line)
        return found[0] if found else ""


def load_peers(folder):
    files = [file for file in sorted(glob.glob(os.path.join(folder, "*"))) if os.path.isfile(file)]
    peers = [Peer(file) for file in files if not NOT_A_PEER.search(os.path.basename(file))]
    return [peer for peer in peers if peer.meant]  # not what a peer needs beside its file


# ---------------------------------------------------------------------------------------------
# Is it right? A server must answer correctly before it is measured.
# ---------------------------------------------------------------------------------------------

class Wrong(Exception):
    """Why a server is not measured."""


class NoAnswer(Wrong):
    """Nothing came: the connection was closed, or time is over."""


class NoResult(Wrong):
    """A load generator came to no result."""


class Reader:
    """Reads answers from a socket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.settimeout(5)
        self.had = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def more(self):
        """Whether more came before the end of the stream. A reset is an end as well."""
        try:
            got = self.socket.recv(1 << 20)
        except ConnectionError:
            return False
        except socket.timeout:
            raise Wrong("half an answer in time") if self.had else NoAnswer("no answer in time") from None
        self.had += got
        return bool(got)

    def upto(self, mark):
        while mark not in self.had:
            if not self.more():
                raise NoAnswer("closes without an answer") if not self.had else Wrong("closes within an answer")
        got, self.had = self.had.split(mark, 1)
        return got

    def take(self, count):
        while len(self.had) < count:
            if not self.more():
                raise Wrong("closes within an answer")
        got, self.had = self.had[:count], self.had[count:]
        return got

    def answer(self):
        """Status, fields (names in small letters) and body of the next answer."""
        line, *fields = self.upto(b"\r\n\r\n").decode("latin-1").split("\r\n")
        found = re.match(r"HTTP/1\.[01] (\d{3})(?: |$)", line)
        if not found:
            raise Wrong(f"not an HTTP/1 answer: {line[:40]!r}")
        named = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if "chunked" in named.get("transfer-encoding", "").lower():
            body = b""
            while size := int(self.upto(b"\r\n").split(b";")[0], 16):
                body += self.take(size)
                self.take(2)
            self.upto(b"\r\n")
        elif "content-length" in named:
            body = self.take(int(named["content-length"]))
        else:
            while self.more():
                pass
            body, self.had = self.had, b""
        return int(found[1]), named, body


def request(path="/", more=""):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode()


def is_hello(answer, body=HELLO):
    status, named, got = answer
    if status != 200:
        raise Wrong(f"answers with status {status}")
    if got != body:
        raise Wrong(f"wrong body: {got[:40]!r} of {len(got)} bytes")
    if body == HELLO and not named.get("content-type", "").startswith("text/plain"):
        raise Wrong(f"wrong Content-Type: {named.get('content-type', 'none')!r}")


def check_hello(port):
    """What is to be noted of a server that answers as it must."""
    notes = []
    with Reader(port) as conn:
        conn.socket.sendall(request())
        is_hello(conn.answer())
        kept = True
        try:
            conn.socket.sendall(request())
            is_hello(conn.answer())
        except (NoAnswer, ConnectionError):
            kept = False
            notes.append("closes after each answer")
    if kept:
        with Reader(port) as conn:
            conn.socket.sendall(request() + request())
            is_hello(conn.answer())
            try:
                is_hello(conn.answer())
            except NoAnswer:
                notes.append("answers one of two requests that come at once")
    with Reader(port) as conn:
        conn.socket.sendall(request(more="Connection: close\r\n"))
        is_hello(conn.answer())
        conn.socket.settimeout(2)
        try:
            if conn.more():
                raise Wrong("sends more after its answer to Connection: close")
        except NoAnswer:
            raise Wrong("does not close when asked to (Connection: close)") from None
    return notes


def check_floor(port):
    """It reads no request, so it knows only its own way to end a connection."""
    with Reader(port) as conn:
        conn.socket.sendall(request())
        is_hello(conn.answer())
    return []


def check_echo(port):
    with Reader(port) as conn:
        for sent in bytes(range(64)), os.urandom(10000):
            conn.socket.sendall(sent)
            got = conn.take(len(sent))
            if got != sent:
                raise Wrong(f"echoes other bytes than those that came ({len(sent)} of them)")
        conn.socket.shutdown(socket.SHUT_WR)
        if conn.more():
            raise Wrong("echoes more than came")
    return []


def check_files(port, www):
    """Where the files are served: the beginning of their paths."""
    with open(os.path.join(www, "1k"), "rb") as file:
        body = file.read()
    why = None
    for base in "/files/", "/":
        try:
            with Reader(port) as conn:
                conn.socket.sendall(request(base + "1k"))
                is_hello(conn.answer(), body)
                return base
        except Wrong as error:
            why = error
    raise Wrong(f"file 1k: {why}")


CHECKS = {"hello": check_hello, "floor": check_floor, "echo": check_echo}


# ---------------------------------------------------------------------------------------------
# Servers: rows of tables.
# ---------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One row: ours, a floor server or a peer. Started once for a log, and stopped (SIGSTOP) but for its own turns."""

    def __init__(self, key, name, kind, command, checks, peer=None):
        self.key, self.name, self.kind, self.command, self.checks = key, name, kind, command, checks
        self.peer, self.notes = peer, []  # what the check found that is no mistake
        self.process, self.port, self.base, self.idle_bytes = None, 0, "/", None
        self.reason = ""

    def start(self, build):
        """Starts and checks it, and stops it until its turn. What goes wrong is its reason."""
        self.process, self.reason = None, ""
        folder = self.peer.folder(build) if self.peer else build
        log = os.path.join(folder, "log" if self.peer else f"{self.key}.log")
        try:
            self.port = free_port()
            if self.peer:
                command = self.peer_command(build)
            else:
                www = os.path.join(build, "www")
                command = [word.replace("{port}", str(self.port)).replace("{www}", www) for word in self.command]
            with open(log, "wb") as out:
                self.process = spawn(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder if self.peer else None)
            self.wait_until_it_listens(log)
            if self.checks == "files":
                self.base = check_files(self.port, os.path.join(build, "www"))
            else:
                self.notes += [note for note in CHECKS[self.checks](self.port) if note not in self.notes]
            self.stop()
        except (Wrong, OSError) as error:
            self.end()
            self.reason = str(error)

    def peer_command(self, build):
        if "{conf}" in self.peer.run:
            with open(self.peer.file, encoding="utf-8") as file:
                text = self.peer.filled(file.read(), build, port=self.port)
            with open(self.peer.filled("{conf}", build), "w", encoding="utf-8") as file:
                file.write(text)
        return self.peer.words(self.peer.run, build, port=self.port)

    def wait_until_it_listens(self, log):
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                with open(log, encoding="utf-8", errors="replace") as file:
                    said = [line.strip() for line in file if line.strip()]
                raise Wrong(f"ended at once (exit {self.process.returncode})" + (f": {said[-1][:120]}" if said else ""))
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.02)
        raise Wrong(f"did not listen within {READY_S} s")

    def is_like(self, other):
        return (self.key, self.command, self.checks) == (other.key, other.command, other.checks)

    def stop(self):
        kill(members(self.process.pid), signal.SIGSTOP)

    def go_on(self):
        kill(members(self.process.pid), signal.SIGCONT)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end(self):
        if self.process:
            end(self.process)
            self.process = None

    def cpu_s(self):
        among = processes()
        return sum(among[pid][2] for pid in members(self.process.pid, among))

    def memory(self):
        """Bytes that its processes have in memory, of what they share each its part (PSS); None: may not be read."""
        total = 0
        for pid in members(self.process.pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
            except OSError:
                return None
        return total


# ---------------------------------------------------------------------------------------------
# Tables: what each log asks.
# ---------------------------------------------------------------------------------------------

class Shape:
    """One table's load: options of bench for the short run, which lasts `times` the asked seconds, and for the log's
    own size; which servers, which load generators, what the table is sorted by, and the file that is asked for."""

    def __init__(self, key, title, source, short, full, servers="hello", clients=("bench",), by="rate", path="",
                 times=1):
        self.key, self.title, self.source, self.short, self.full = key, title, source, short, full
        self.servers, self.clients, self.by, self.path, self.times = servers, clients, by, path, times

    def options(self, o):
        """Options of bench: a dictionary in the order in which they are shown."""
        if o.full:
            return {"-t": CPUS, **self.full}
        return {"-t": CPUS, **self.short, "-d": f"{o.seconds * self.times * 1000:.0f}ms"}


def seconds(text):
    found = re.fullmatch(r"([\d.]+)(ms|s|m)", str(text))
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60}[found[2]]


CLOSE, ECHO = {"--close": ""}, {"--echo": ""}
FILES = (("1k", "files of 1 KiB", 1), ("100k", "files of 100 KiB", 1), ("10m", "files of 10 MiB", 4))
SHAPES = {
    "1": [Shape("1", "keep-alive, 500 connections", "wrk -t10 -c500 -d10s --latency",
                {"-c": 500}, {"-t": 10, "-c": 500, "-d": "10s"}, clients=("bench", "wrk"))],
    "2": [Shape("2a", "keep-alive, 100 connections; ours in each model", "wrk -t4 -c100 -d1m --latency",
                {"-c": 100}, {"-t": 4, "-c": 100, "-d": "60s"}, servers="models"),
          Shape("2b", "a connection for each request, 100 at a time; our models", "the same, with answers that close",
                {"-c": 100, **CLOSE}, {"-t": 4, "-c": 100, "-d": "60s", **CLOSE}, servers="own models")],
    "3": [Shape("3", "a connection for each request, 1,000 at a time", "ab -n 1000000 -c 1000",
                {"-c": 1000, "-n": 20000, **CLOSE}, {"-c": 1000, "-n": 1000000, "-d": "300s", **CLOSE},
                servers="close", clients=("bench", "ab"), times=2)],
    "4": [Shape("4a", "TCP echo: connect, send, receive, close; 3,000 at a time", "bencher, 3000 connections, 30 s",
                {"-c": 3000, **ECHO, **CLOSE}, {"-c": 3000, "-d": "30s", **ECHO, **CLOSE}, servers="echo", times=2),
          Shape("4b", "TCP echo: ping-pong on 3,000 connections", "tcp_bencher -c=2000 -t=30",
                {"-c": 3000, **ECHO}, {"-c": 3000, "-d": "30s", **ECHO}, servers="echo")],
    "5": [Shape("5a", "1,000 requests a second over 400 connections", "wrk2 -t12 -c400 -d30s -R1000",
                {"-R": 1000, "-c": 400}, {"-t": 12, "-R": 1000, "-c": 400, "-d": "30s"}, by="p99"),
          Shape("5b", "new connections at a constant rate, a request each",
                "httperf --num-conns 1000 --rate 10 --num-calls 1",
                {"--conn-rate": 1000}, {"--conn-rate": 10, "-n": 1000, "-d": "120s"}, servers="close", by="p99")],
    "files": [Shape(f"files {name}", f"{size}, 100 connections", "not of the logs", {"-c": 100},
                    {"-c": 100, "-d": "10s"}, servers="files", path=name, times=times) for name, size, times in FILES],
}
MODELS = {"pool": ["--model", "pool"], "pool 10": ["--model", "pool", "-w", "10"], "thread": ["--model", "thread"],
          "sync": ["--model", "sync"]}


def servers_for(kind, program, floor, peers):
    """The rows of a table, not started. `again` is fastserve once more, in the middle of the others: as far from the
    first in time as a row on average is from another."""
    def serve(*more):
        return [program, "serve", *more, "-b", "127.0.0.1", "-p", "{port}", "-q"]
    does = kind if kind in ("echo", "files") else "hello"
    base = serve(*{"echo": ["--echo"], "files": ["{www}"]}.get(kind, []))
    rows = [Server("fastserve", "fastserve", "ours", base, does)]
    if "models" in kind:
        rows += [Server(f"fastserve-{name.replace(' ', '-')}", f"fastserve {name}", "model", serve(*how), does)
                 for name, how in MODELS.items()]
    if floor and kind != "files":
        how = ["echo"] if kind == "echo" else ["close"] if kind in ("close", "own models") else []
        looks = "echo" if does == "echo" else "floor"
        rows += [Server("floor" + "".join("-" + word for word in more), " ".join(["floor", *more]), "floor",
                        [floor, "{port}", str(CPUS), *more, *how], looks) for more in ([], ["local"])]
    if kind != "own models":
        rows += [Server(peer.key, peer.name, "peer", None, does, peer) for peer in peers if does in peer.does]
    rows.insert((len(rows) + 1) // 2, Server("again", "fastserve again", "again", base, does))
    return rows


# ---------------------------------------------------------------------------------------------
# Load generators. Each gives the same figures of one run, or raises NoResult.
# ---------------------------------------------------------------------------------------------

UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def url_of(server, shape):
    if shape.servers == "echo":
        return f"tcp://127.0.0.1:{server.port}"
    return f"http://127.0.0.1:{server.port}{server.base if shape.path else '/'}{shape.path}"


def words(options):
    return [word for name, value in options.items() for word in ((name, str(value)) if value != "" else (name,))]


def by_bench(program, server, shape, options, out):
    with contextlib.suppress(OSError):
        os.remove(out)
    status, said, err = run([program, "bench", *words(options), "-q", "--json", out, url_of(server, shape)],
                            seconds(options["-d"]) + 60)
    try:
        with open(out, encoding="utf-8") as file:
            got = json.load(file)
    except (OSError, ValueError):
        raise NoResult(f"bench: {last_line(err or said) or f'exit {status}'}") from None
    outcomes, latency = got["outcomes"], got["latency_us"]["response"]
    failures = {name.replace("_", " "): count for name, count in outcomes["failed"].items() if count}
    conns = got["connections"]
    for name in "lost", "starved":  # the few whose first answer was under way when the run ended are not starved
        if conns[name] > conns["opened"] / 50:
            failures[f"connections {name}"] = conns[name]
    at = {name: latency.get(name) for name in ("p50", "p99")}
    beyond = [name for name, us in at.items() if isinstance(us, dict)]  # that share never ended within the run
    at.update({name: at[name]["more_than_us"] for name in beyond})
    cpu = got["cpu_time"]["client_user_ns"] + got["cpu_time"]["client_system_ns"]
    return {"rate": got["done_per_s"], "requests": outcomes["done"], "p50_us": at["p50"], "p99_us": at["p99"],
            "beyond": beyond, "failures": failures, "untrusted": got["not_trustworthy"], "client_cpu_s": cpu / 1e9}


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:120] if lines else ""


def by_other(rate, count, at, failures, cpu):
    """What wrk and ab said, in the words of bench."""
    return {"rate": float(rate[1]), "requests": int(count[1]), "p50_us": at.get("50"), "p99_us": at.get("99"),
            "beyond": [], "failures": failures, "untrusted": "", "client_cpu_s": cpu}


def foreign(args, limit_s):
    """Runs a load generator that is not ours: its output, and the CPU seconds that it spent."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, out, err = run(args, limit_s + 30)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status is None:
        raise NoResult(f"{args[0]} {err}")
    return out, err, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def whole_seconds(for_s, shape):
    """wrk and ab take whole seconds; what bench does `times` longer in a short run is not longer for them."""
    return max(1, round(for_s / (1 if "--full" in sys.argv else shape.times)))


def by_wrk(_, server, shape, options, __):
    limit = whole_seconds(seconds(options["-d"]), shape)
    close = ["-H", "Connection: close"] if "--close" in options else []
    out, err, cpu = foreign(["wrk", f"-t{options['-t']}", f"-c{options['-c']}", f"-d{limit}s", "--latency", *close,
                             url_of(server, shape)], limit)
    rate, count = re.search(r"Requests/sec:\s+([\d.]+)", out), re.search(r"(\d+) requests in", out)
    if not rate or not count:
        raise NoResult(f"wrk: {last_line(err or out) or 'no result'}")
    shares = re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m)$", out, re.M)
    failed = re.findall(r"(connect|read|write|timeout) (\d+)", out)
    failures = {f"{name} errors": int(n) for name, n in failed if int(n)}
    failures.update({"bad status": int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", out)})
    return by_other(rate, count, {share: float(value) * UNITS[unit] for share, value, unit in shares}, failures, cpu)


def by_ab(_, server, shape, options, __):
    limit = whole_seconds(seconds(options["-d"]), shape)
    keep = [] if "--close" in options else ["-k"]
    out, err, cpu = foreign(["ab", "-q", "-r", *keep, "-t", str(limit), "-n", str(options.get("-n", 10000000)),
                             "-c", str(options["-c"]), url_of(server, shape)], limit)
    rate, count = re.search(r"Requests per second:\s+([\d.]+)", out), re.search(r"Complete requests:\s+(\d+)", out)
    if not rate or not count:
        raise NoResult(f"ab: {last_line(err or out) or 'no result'}")
    at = {share: float(value) * 1e3 for share, value in re.findall(r"^\s+(\d+)%\s+(\d+)", out, re.M)}
    failures = {"failed": int(n) for n in re.findall(r"Failed requests:\s+(\d+)", out) if int(n)}
    failures.update({"bad status": int(n) for n in re.findall(r"Non-2xx responses:\s+(\d+)", out)})
    return by_other(rate, count, at, failures, cpu)


CLIENTS = {"bench": by_bench, "wrk": by_wrk, "ab": by_ab}
PACKAGES = {"wrk": "wrk", "ab": "apache2-utils"}


# ---------------------------------------------------------------------------------------------
# Measuring.
# ---------------------------------------------------------------------------------------------

def tell(text):
    """What goes on, for who looks at a terminal; nothing of it stays."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:100]}", end="", file=sys.stderr, flush=True)


def say(text=""):
    tell("")
    print(text, flush=True)


def cpu_times():
    """Ticks of the machine's CPUs so far: all, those of programs, of interrupts, and stolen."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, idle, waiting, irq, softirq, steal = (int(word) for word in file.readline().split()[1:9])
    return (user + nice + system + idle + waiting + irq + softirq + steal, user + nice + system, irq + softirq, steal)


def noise(for_s):
    """What others do with the CPUs while nothing of ours runs: shares of their time."""
    before = cpu_times()
    time.sleep(for_s)
    everything, programs, interrupts, stolen = (now - then for now, then in zip(cpu_times(), before))
    return {"busy_share": (programs + interrupts) / max(1, everything), "steal_share": stolen / max(1, everything)}


def measure(program, server, shape, options, client, build):
    """One turn of one server under one load generator: its figures."""
    was, before = server.cpu_s(), cpu_times()
    got = CLIENTS[client](program, server, shape, options, os.path.join(build, "run.json"))
    everything, programs, _, stolen = (now - then for now, then in zip(cpu_times(), before))
    everything = max(1, everything)
    if not server.alive():
        raise Wrong(f"ended under load (exit {server.process.returncode})")
    answered, server_s, client_s = max(1, got["requests"]), server.cpu_s() - was, got.pop("client_cpu_s")
    got["server_cpu_us"], got["client_cpu_us"] = server_s * 1e6 / answered, client_s * 1e6 / answered
    got["steal_share"] = stolen / everything
    # At least: whether interrupts' time is a part of the programs' that they interrupt depends on the kernel.
    got["others_share"] = max(0.0, (programs * TICK_S - server_s - client_s) / (everything * TICK_S))
    return got


def warm(program, server, shape, options, for_s):
    """Load that is not measured; the server's memory while it goes on, where looking disturbs nothing that counts."""
    short = {name: value for name, value in options.items() if name != "-n"}
    short["-d"] = f"{for_s * 1000:.0f}ms"
    process = spawn([program, "bench", *words(short), "-q", url_of(server, shape)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(for_s * 0.75)
        memory = server.memory()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(for_s + 30)
    finally:
        end(process)
    return memory


def turns(rows, count):
    """The order of each round: rotated, so that everybody comes first, and after everybody's turn, in turn."""
    for i in range(count):
        at = i * len(rows) // max(1, count)
        yield rows[at:] + rows[:at]


class Run:
    """What one call of this program has to go by: options, peers, programs, and what it found out."""

    def __init__(self, o, peers):
        self.o, self.peers = o, peers
        self.program, self.build, self.floor = o.program, o.build, None
        self.clients = {name: name == "bench" or bool(which(name)) for name in CLIENTS}
        self.until = time.monotonic() + BUDGET_S
        self.rows = []  # what has been started

    def table(self, shape, rows, share):
        """All rounds of one table. share is its part of the time that is left."""
        o, options = self.o, shape.options(self.o)
        began, left = time.monotonic(), self.until - time.monotonic()
        asked = self.asked(shape)
        got = {name: {row.key: [] for row in rows} for name in asked}
        loads = {row.key: [] for row in rows}
        before = noise(min(1.0, o.look))
        done = 0
        for order in turns(rows, o.rounds):
            took = time.monotonic() - began
            if done and not o.full and took + took / done > max(0.0, left) * share:
                break
            for i, row in enumerate(order):
                tell(f"table {shape.key}, round {done + 1} of {o.rounds}: {row.name} ({i + 1} of {len(order)})")
                if row.reason:
                    continue
                row.go_on()
                try:
                    for_s = min(o.seconds, WARM_S if done else 2 * WARM_S)
                    loads[row.key].append(warm(self.program, row, shape, options, for_s))
                    got[asked[0]][row.key].append(measure(self.program, row, shape, options, asked[0], self.build))
                    for name in asked[1:]:  # what checks bench may fail where bench does not
                        with contextlib.suppress(NoResult):
                            got[name][row.key].append(measure(self.program, row, shape, options, name, self.build))
                except Wrong as error:
                    row.reason = str(error)
                if row.alive():
                    row.stop()
            done += 1
        table = make_table(shape, options, rows, got, loads, before, done, o)
        table["took_s"] = time.monotonic() - began
        return table

    def servers(self, shape):
        """The rows of a table, not started."""
        here = [peer for peer in self.peers if peer.state == "here"]
        return servers_for(shape.servers, self.program, self.floor, here)

    def cost_s(self, shape):
        """About how long a round of a table takes."""
        for_s, each = seconds(shape.options(self.o)["-d"]), WARM_S + 0.2
        for name in self.asked(shape):
            each += 0.2 + (for_s if name == "bench" else whole_seconds(for_s, shape))
        return len(self.servers(shape)) * each

    def asked(self, shape):
        """The load generators of a table: those that are here and can do it."""
        able = ["bench"] if shape.servers == "echo" or shape.by == "p99" else list(CLIENTS)
        return [name for name in (self.o.client or shape.clients) if self.clients[name] and name in able] or ["bench"]


def middle(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def figure(run, by):
    """What a table is sorted by: the more the better."""
    return run["rate"] if by == "rate" else 1 / run["p99_us"] if run.get("p99_us") else 0.0


def ratios(runs, others, by):
    """Median, least and greatest of what each round's runs say of one row beside another."""
    each = [figure(a, by) / figure(b, by) for a, b in zip(runs, others) if figure(b, by)]
    return {"median": statistics.median(each), "least": min(each), "greatest": max(each)} if each else None


def apart(runs, again, by):
    """How far the same server is from itself: the most of all rounds, either way; None without a pair."""
    each = [figure(a, by) / figure(b, by) for a, b in zip(runs, again) if figure(a, by) and figure(b, by)]
    return max(max(x, 1 / x) for x in each) - 1 if each else None


def summary(row, runs, loads):
    total = {}
    for one in runs:
        for name, count in one["failures"].items():
            total[name] = total.get(name, 0) + count
    rates = [one["rate"] for one in runs]
    most = [name for name in ("p50", "p99") if 2 * sum(name in one["beyond"] for one in runs) >= len(runs)]
    late = [one["p99_us"] for one in runs if one["p99_us"] is not None]
    return {"key": row.key, "name": row.name, "kind": row.kind,
            "version": row.peer.version() if row.peer else "", "notes": row.notes,
            "median": {"rate_per_s": middle(rates), "p50_us": middle(one["p50_us"] for one in runs),
                       "p99_us": middle(late),
                       "server_cpu_us_per_request": middle(one["server_cpu_us"] for one in runs),
                       "client_cpu_us_per_request": middle(one["client_cpu_us"] for one in runs),
                       "idle_pss_bytes": row.idle_bytes, "load_pss_bytes": middle(loads)},
            "least": {"rate_per_s": min(rates), "p99_us": min(late, default=None)},
            "greatest": {"rate_per_s": max(rates), "p99_us": max(late, default=None)},
            "more_than": most, "failures": total, "requests": sum(one["requests"] for one in runs),
            "untrusted": sorted({why for one in runs for why in one["untrusted"].splitlines()}), "rounds": runs}


def make_table(shape, options, rows, got, loads, before, done, o):
    """What stands in the report of one table."""
    table = {"key": shape.key, "title": shape.title, "source": shape.source, "sorted_by": shape.by, "rounds": done,
             "rounds_asked": o.rounds, "bench_options": " ".join(words(options)), "noise_before": before, "clients": {}}
    for name, of in got.items():
        complete = [row for row in rows if not row.reason and len(of[row.key]) == done and done]
        again = next((row for row in complete if row.kind == "again"), None)
        ours = next((row for row in complete if row.kind == "ours"), None)
        aa = apart(of[ours.key], of[again.key], shape.by) if ours and again else None
        listed = [summary(row, of[row.key], loads[row.key]) for row in complete if row.kind != "again"]
        score = {row["key"]: middle(figure(one, shape.by) for one in of[row["key"]]) for row in listed}
        listed.sort(key=lambda row: -score[row["key"]])
        best = next((row["key"] for row in listed if row["kind"] == "peer"), None)
        for row in listed:
            row["rank"] = 1 + sum(score[other["key"]] > score[row["key"]] * (1 + (aa or 0)) for other in listed)
            for field, other in ("of_best_peer", best), ("of_floor_local", "floor-local"):
                row[field] = ratios(of[row["key"]], of[other], shape.by) if other in score else None
        runs = [one for row in complete for one in of[row.key]]
        table["clients"][name] = {"rows": listed, "aa_share": aa, "best_peer": best,
                                  **{field: statistics.mean(one[field] for one in runs) if runs else 0.0
                                     for field in ("steal_share", "others_share")}}
    table["without_figures"] = [{"key": row.key, "name": row.name, "kind": row.kind, "reason": row.reason}
                                for row in rows if row.reason]
    table["too_busy"] = too_busy(table)
    table["says"] = verdicts(table)
    return table


def too_busy(table):
    """Why nothing may be concluded from a table; empty if something may."""
    before, first = table["noise_before"], next(iter(table["clients"].values()))
    why = []
    if before["busy_share"] > TOO_BUSY:
        why.append(f"other work took {percent(before['busy_share'])} of the CPUs before it")
    elif first["others_share"] > TOO_BUSY:
        why.append(f"other work took {percent(first['others_share'])} of the CPUs meanwhile")
    stolen = max(before["steal_share"], first["steal_share"])
    if stolen > TOO_STOLEN:
        why.append(f"other guests took {percent(stolen)} of the CPUs")
    if first["aa_share"] is None:
        why.append("fastserve has no pair of itself to show the noise")
    elif first["aa_share"] > TOO_WIDE:
        why.append(f"fastserve was up to {percent(first['aa_share'])} from itself")
    return "; ".join(why)


def verdicts(table):
    """Sentences beneath a table."""
    says, by = [], table["sorted_by"]
    name, main = next(iter(table["clients"].items()))
    rows = {row["key"]: row for row in main["rows"]}
    ours = rows.get("fastserve")
    what = "rate" if by == "rate" else "p99"
    if main["aa_share"] is not None:
        says.append(f"A/A: fastserve beside itself, {what}: within {percent(main['aa_share'])} in every round"
                    + ("" if table["too_busy"] else "; rows that are closer than that are not ranked"))
    if table["too_busy"]:
        says.append(f"TOO BUSY TO CONCLUDE: {table['too_busy']}; so nothing is ranked")
    if ours:
        for key, field, how in ((main["best_peer"], "of_best_peer", ", the best peer"),
                                ("floor-local", "of_floor_local", "")):
            ratio = ours.get(field)
            how += " (with errors or doubts)" if key in rows and troubled(rows[key]) else ""
            if not ratio or key not in rows or not all(ratio.values()):
                continue
            at = [ratio[name] for name in ("median", "least", "greatest")]
            if by == "rate":
                text = "fastserve: {:.2f} ({:.2f}..{:.2f}) of ".format(*at)
            else:  # ratios are of what is better when it is more
                text = "fastserve: p99 {:.2f} ({:.2f}..{:.2f}) times that of ".format(1 / at[0], 1 / at[2], 1 / at[1])
            text += rows[key]["name"] + how
            if main["aa_share"] is not None and 1 / (1 + main["aa_share"]) <= ratio["median"] <= 1 + main["aa_share"]:
                text += ": cannot tell them apart here"
            says.append(text)
    for other, of in table["clients"].items():
        if other != name:
            says += compare_clients(name, main, other, of, by)
    return says


def compare_clients(name, main, other, of, by):
    """Whether two load generators put the rows in one order, and fastserve in the same place."""
    says = []
    theirs = {row["key"]: row for row in of["rows"]}
    both = [row for row in main["rows"] if row["key"] in theirs]
    without = [row["name"] for row in main["rows"] if row["key"] not in theirs]
    if without:
        says.append(f"{other} came to no result in every round of {', '.join(without)}")
    mine, aa, bb = {row["key"]: row for row in both}, main["aa_share"] or 0, of["aa_share"] or 0

    def rate(rows, key):
        return rows[key]["median"]["rate_per_s"]

    def faster(rows, a, b, noise):
        return rate(rows, a["key"]) > rate(rows, b["key"]) * (1 + noise)
    against = [(a["name"], b["name"]) for a in both for b in both
               if faster(mine, a, b, aa) and faster(theirs, b, a, bb)]
    best = main["best_peer"]
    if "fastserve" in mine and best in mine:
        says.append(f"fastserve of {mine[best]['name']}: {rate(mine, 'fastserve') / rate(mine, best):.2f} by {name}, "
                    f"{rate(theirs, 'fastserve') / rate(theirs, best):.2f} by {other} (A/A of {other}: {percent(bb)})")
    if against:
        more = f" and {len(against) - 4} pairs more" if len(against) > 4 else ""
        says.append(f"{name} and {other} DISAGREE beyond their A/A on the order of "
                    + ", ".join(f"{a} and {b}" for a, b in against[:4]) + more)
    elif len(both) > 1:
        says.append(f"{name} and {other} do not contradict each other on the order beyond their A/A")
    return says


# ---------------------------------------------------------------------------------------------
# Text.
# ---------------------------------------------------------------------------------------------

def counted(rounds):
    return f"{rounds} round{'s' if rounds != 1 else ''}"


def percent(share):
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"


def short(n):
    """Three digits: 870, 8.70k, 87.0k, 870k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if n >= size * 0.9995:
            n /= size
            return (f"{n:.0f}" if n >= 99.95 else f"{n:.1f}" if n >= 9.995 else f"{n:.2f}") + unit
    return f"{n:.0f}"


def latency(us, more_than=False):
    if us is None:
        return "-"
    if more_than:
        return ">" + latency(us)
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size * 0.9995:
            us /= size
            return (f"{us:.0f}" if us >= 99.95 else f"{us:.1f}" if us >= 9.995 else f"{us:.2f}") + unit
    return f"{us:.0f}us"


def number(n, size=1.0):
    if n is None:
        return "-"
    n /= size
    return f"{n:.0f}" if n >= 99.95 else f"{n:.1f}" if n >= 9.995 else f"{n:.2f}"


def times(ratio, by):
    if not ratio or not ratio["median"]:
        return "-"
    return number(ratio["median"] if by == "rate" else 1 / ratio["median"])


def remarks(rows):
    """What a reader must know of the rows of a table: (what, text). Doubts that differ in numbers alone are one."""
    out, doubts = [], {}
    for row in rows:
        if row["failures"]:
            failed = sum(count for what, count in row["failures"].items() if not what.startswith("connections"))
            named = ", ".join(f"{count} {what}" for what, count in row["failures"].items())
            part = f"; {percent(failed / max(1, failed + row['requests']))} of its requests" if failed else ""
            out.append(("errors", f"{row['name']}: {named}{part}"))
        for why in row["untrusted"]:
            doubts.setdefault(re.sub(r"[\d.]+", "#", why), (why, []))[1].append(row["name"])
        out += [("note", f"{row['name']} {note}") for note in row["notes"]]
    return out + [("doubt", f"{', '.join(dict.fromkeys(names))}: bench says: {why}") for why, names in doubts.values()]


def troubled(row):
    return bool(row["failures"] or row["untrusted"])


def spread(row, by):
    low, high = row["least"][by], row["greatest"][by]
    form = short if by == "rate_per_s" else latency
    return f"{form(low)}..{form(high)}" if low is not None else "-"


def lines_of(table):
    """One table as text, within 100 columns."""
    main = next(iter(table["clients"].values()))
    by, what = table["sorted_by"], "trips/s" if "--echo" in table["bench_options"] else "req/s"
    of = "rate" if by == "rate" else "p99"
    out = [f"{table['key']}. {table['title']}",
           f"   log: {table['source']}",
           f"   here: fastserve bench {table['bench_options']}; {counted(table['rounds'])}"
           + (f" of {table['rounds_asked']}, no time for more" if table["rounds"] < table["rounds_asked"] else ""), "",
           f"{'':28}{of + ' of the':>15}{'latency':>13}{'CPU us/req':>17}{'PSS, MB':>13}{of + ' of':>12}",
           f" #  {'server':<17}{what:>8}{'rounds':>13}{'p50':>8}{'p99':>8}{'server':>8}{'client':>7}"
           f"{'idle':>7}{'load':>6}{'peer':>6}{'floor':>6}"]
    for row in main["rows"]:
        m = row["median"]
        rank = "?" if table["too_busy"] else str(row["rank"])
        mark = ("!" if troubled(row) else " ") + (">" if row["kind"] in ("ours", "model") else " ")
        scatter = spread(row, "rate_per_s" if by == "rate" else "p99_us")
        p50, p99 = (latency(m[f"{name}_us"], name in row["more_than"]) for name in ("p50", "p99"))
        out.append(f"{rank:>2}{mark}{row['name']:<17}{m['rate_per_s']:>8.0f}{scatter:>15}{p50:>7}{p99:>8}"
                   f"{number(m['server_cpu_us_per_request']):>7}{number(m['client_cpu_us_per_request']):>7}"
                   f"{number(m['idle_pss_bytes'], 1e6):>7}{number(m['load_pss_bytes'], 1e6):>6}"
                   f"{times(row['of_best_peer'], by):>6}{times(row['of_floor_local'], by):>6}")
    for row in table["without_figures"]:
        out += textwrap.wrap(f" -  {row['name']:<17}  {row['reason']}", 100, subsequent_indent=" " * 23)
    if len(table["clients"]) > 1:
        out += ["", f"    {'server':<17}" + "".join(f"{'by ' + each:>12}{'rounds':>16}" for each in table["clients"])]
        for row in main["rows"]:
            cells = ""
            for each in table["clients"].values():
                its = next((one for one in each["rows"] if one["key"] == row["key"]), None)
                rate = f"{its['median']['rate_per_s']:.0f}" if its else "-"
                cells += f"{rate:>12}{spread(its, 'rate_per_s') if its else '-':>16}"
            out.append(f"   {'>' if row['kind'] in ('ours', 'model') else ' '}{row['name']:<17}{cells}")
    out.append("")
    for kind, line in remarks(main["rows"]):
        out += textwrap.wrap(f"   {kind:<9}{line}", 100, subsequent_indent=" " * 12)
    for line in table["says"]:
        out += textwrap.wrap(line, 100, initial_indent="   ", subsequent_indent="      ")
    return out


def machine():
    cpu, total = "", 0
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        names = (line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
        cpu = next(names, platform.machine())
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        total = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemTotal"))
    return {"system": f"{platform.system()} {platform.release()} {platform.machine()}", "cpu": cpu, "cpus": CPUS,
            "memory_bytes": total, "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def describe(peer):
    return {"key": peer.key, "name": peer.name, "logs": peer.logs, "does": peer.does, "state": peer.state,
            "reason": peer.reason, "install": peer.install, "by_hand": peer.by_hand, "version": peer.version(),
            "version_line": peer.version_line, "note": peer.note}


def list_peers(peers):
    """--list, and above the tables what is not here."""
    out = [f"{'key':<18}{'name':<19}{'answers':<13}{'in log':<12}is it here?"]
    for peer in peers:
        state = {"here": "here", "absent": "not here", "missing": "cannot be had", "failed": "failed"}[peer.state]
        logs = "log " + " ".join(peer.logs) if peer.logs else ""
        text = f"{peer.key:<18}{peer.name:<19}{' '.join(peer.does):<13}{logs:<12}{state}"
        if peer.state == "absent":
            text += f" ({peer.reason}): {peer.install}{' (by hand)' if peer.by_hand else ''}"
        elif peer.reason:
            text += f": {peer.reason}"
        out.append(text)
    together = install_all(peer.install for peer in peers if peer.state == "absent" and not peer.by_hand)
    return out + (["", *together] if together else [])


def install_all(texts):
    """One command of several `apt-get install ...`, in lines for a shell; none when it would be one of them."""
    texts = [text for text in texts if text.startswith(APT)]
    packages = dict.fromkeys(word for text in texts for word in text.removeprefix(APT).split())
    lines = wrapped("together", APT + " ".join(packages), 98) if len(set(texts)) > 1 else []
    return [line + " \\" for line in lines[:-1]] + lines[-1:]


def wrapped(title, text, width=100):
    return textwrap.wrap(f"{title:<10}{text}", width, subsequent_indent=" " * 10, break_on_hyphens=False)


# ---------------------------------------------------------------------------------------------
# The whole.
# ---------------------------------------------------------------------------------------------

def options():
    ap = argparse.ArgumentParser(usage=__doc__, add_help=True)
    add = ap.add_argument
    names = lambda text: [name for name in text.split(",") if name]
    add("logs", nargs="*", help="of " + " ".join(SHAPES) + " (1 to 5)")
    add("--rounds", type=int, help="default 3; 5 with --full")
    add("--seconds", type=float, default=0.7, help="of each measurement (0.7)")
    add("--full", action="store_true", help="the logs' own sizes; takes hours with many peers")
    add("--peers", type=names, help="names of files in tests/peers; default: all that are here")
    add("--client", type=names, help="bench,wrk,ab: which load generators; the first one's figures are in the tables")
    add("--list", action="store_true", help="the peers, found or not, and how to install them")
    add("--check", action="store_true", help="build, start and check the peers, measure nothing")
    add("--json", default=os.path.join(ROOT, "build", "compare.json"), metavar="FILE")
    add("--html", default=os.path.join(ROOT, "build", "compare.html"), metavar="FILE")
    add("--folder", default=os.path.join(HERE, "peers"), help="where the peers stand")
    add("--build", default=os.path.join(ROOT, "build", "compare"), help="where they are built")
    add("--look", type=float, default=2.0, help="seconds to look at the noise for before it begins (2)")
    add("--program", default=os.environ.get("FASTSERVE", os.path.join(ROOT, "fastserve")))
    o = ap.parse_args()
    o.logs = [log for text in o.logs for log in names(text)] or list("12345")
    o.rounds = (5 if o.full else 3) if o.rounds is None else o.rounds
    o.build, o.program = os.path.abspath(o.build), os.path.abspath(o.program)
    for what, given, known in (("logs", o.logs, SHAPES), ("load generators", o.client or [], CLIENTS)):
        if set(given) - set(known):
            sys.exit(f"compare: the {what} are {', '.join(known)}")
    if o.rounds < 1 or o.seconds < 0.1:
        sys.exit("compare: at least one round, of at least 0.1 seconds")
    if sys.platform != "linux":
        sys.exit("compare: needs Linux (it reads /proc)")
    if not os.access(o.program, os.X_OK):
        sys.exit(f"compare: there is no program {o.program}; make it first")
    return o


def prepare(build):
    """Folders, the files that are served, and floor; None where there is no compiler for it."""
    www = os.path.join(build, "www")
    fresh = not os.path.isdir(build) or not os.listdir(build)
    if not fresh and not os.path.exists(os.path.join(build, "lock")):
        sys.exit(f"compare: {build} has files of others; --build wants a folder of its own")
    os.makedirs(www, exist_ok=True)
    lock = os.open(os.path.join(build, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # held until the end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"compare: another one runs in {build}; two would disturb each other")
    for folder in (build, www) if fresh else ():
        os.chmod(folder, 0o755)  # servers that root starts become another user
    for name, size in (("1k", 1 << 10), ("100k", 100 << 10), ("10m", 10 << 20)):
        path = os.path.join(www, name)
        if not os.path.exists(path) or os.path.getsize(path) != size:
            with open(path, "wb") as file:
                file.write(os.urandom(size))
    with open(os.path.join(www, "hello.txt"), "wb") as file:
        file.write(HELLO)
    floor, compiler = os.path.join(build, "floor"), which(os.environ.get("CC", "cc").split()[0])
    if not compiler:
        return None
    source = os.path.join(HERE, "floor.c")
    status, _, err = run([*shlex.split(os.environ.get("CC", "cc")), "-O2", "-pthread", source, "-o", floor], 120)
    if status != 0:
        print("compare: floor does not build: " + last_line(err), file=sys.stderr)
    return floor if status == 0 else None


def choose(o):
    """The peers that were asked for, and those of them that the asked logs need."""
    peers = load_peers(o.folder)
    if o.peers is not None:
        known = {peer.key for peer in peers}
        strange = ", ".join(sorted(set(o.peers) - known))
        if strange:
            sys.exit(f"compare: no peer {strange}; there are {', '.join(sorted(known))}")
        peers = [peer for peer in peers if peer.key in o.peers]
    return peers


def wanted_by(logs):
    does = set()
    for log in logs:
        for shape in SHAPES[log]:
            does.add(shape.servers if shape.servers in ("echo", "files") else "hello")
    return does


def check_only(world):
    """--check: one line for each peer and what it does; whether all that are here are right."""
    fine = True
    for peer in world.peers:
        if peer.state != "here":
            say(f"{peer.key:<18}{peer.reason}")
            fine = fine and peer.state != "failed" and world.o.peers is None  # who names one wants that one
            continue
        for does in peer.does:
            row = Server(peer.key, peer.name, "peer", None, does, peer)
            world.rows = [row]
            row.start(world.build)
            row.end()
            fine = fine and not row.reason
            said = "; ".join([row.reason or "right", *row.notes])
            say(f"{peer.key:<18}{does:<7}{said}   {peer.version_line}")
    return 0 if fine else 1


def rows_of(world, shape):
    """The servers of a table, started; those of another table of the same log go on."""
    rows, ready = world.servers(shape), []
    for row in rows:
        same = next((old for old in world.rows if old.is_like(row)), row)
        if same is row:
            world.rows.append(row)
        if same is row or same.reason and not same.alive() and same.idle_bytes is not None:  # ended under load
            tell(f"starts {row.name}")
            same.start(world.build)
        ready.append(same)
    for row in ready:  # now that all of them run: what two processes share is counted by halves
        if row.alive() and row.idle_bytes is None:
            row.idle_bytes = row.memory()
    for peer in world.peers:
        does = shape.servers if shape.servers in ("echo", "files") else "hello"
        if peer.state == "failed" and shape.servers != "own models" and (does in peer.does or not peer.does):
            broken = Server(peer.key, peer.name, "peer", None, does, peer)
            broken.reason = peer.reason
            ready.append(broken)
    return ready


def compare(world, report):
    """Every table, each printed as soon as it is there."""
    o = world.o
    plan = [(log, shape) for log in o.logs for shape in SHAPES[log]]
    costs = [world.cost_s(shape) for _, shape in plan]
    need = sum(costs) * o.rounds
    say(f"{counted(o.rounds)}, about {max(1, round((need if o.full else min(need, BUDGET_S)) / 60))} min"
        + (": not all rounds have their time within them" if need > BUDGET_S and not o.full else ""))
    for i, (log, shape) in enumerate(plan):
        rows = rows_of(world, shape)
        table = world.table(shape, rows, costs[i] / sum(costs[i:]))
        report["tables"].append(table)
        say("\n" + "\n".join(lines_of(table)))
        if i + 1 == len(plan) or plan[i + 1][0] != log:
            for row in world.rows:
                row.end()
            world.rows = []


def write(o, report):
    page = compare_page.page(report, sys.modules[__name__])
    for path, text in ((o.json, json.dumps(report, indent=1) + "\n"), (o.html, page)):
        if path == "-":
            print(text)
        elif path:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def main():
    global watcher
    o = options()
    peers = choose(o)
    if o.list:
        print("\n".join(list_peers(peers)))
        return 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # some peers have a table of that size
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 65536), limit))
    watcher = Watcher()
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    world = Run(o, peers)
    try:
        return work(world)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        for row in world.rows:
            row.end()
        watcher.close()


def work(world):
    o, peers = world.o, world.peers
    began, before = time.time(), noise(o.look)
    world.floor = prepare(o.build)
    needed = wanted_by(o.logs) if not o.check else {"hello", "echo", "files"}
    world.peers = peers = [peer for peer in peers if not peer.does or set(peer.does) & needed]
    for peer in peers:
        if peer.state == "here":
            peer.make(o.build)
    tell("")
    if o.check:
        return check_only(world)
    report = {"schema": SCHEMA, "began_unix_s": int(began), "command": sys.argv[1:], "full": o.full, "rounds": o.rounds,
              "fastserve": (run([o.program, "--version"], 20)[1].split() or ["?"])[-1],
              "machine": machine(), "noise": before,
              "load_generators": {name: here for name, here in world.clients.items()}, "floor": bool(world.floor),
              "peers": [describe(peer) for peer in peers], "tables": []}
    head(report)
    try:
        compare(world, report)
    finally:
        if report["tables"]:
            write(o, report)
    foot(report)
    say(f"took {(time.time() - began) / 60:.1f} min; written: {' '.join(os.path.relpath(p) for p in (o.json, o.html) if p and p != '-')}")
    broken = [row["reason"] for table in report["tables"] for row in table["without_figures"]
              if row["kind"] in ("ours", "again", "model")]
    for reason in broken[:1]:
        print(f"compare: fastserve itself: {reason}", file=sys.stderr)
    return 1 if broken else 0


def head(report):
    """What stands above the tables."""
    m, peers = report["machine"], report["peers"]
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(report["began_unix_s"]))
    say(f"fastserve {report['fastserve']} beside others, {date}, {m['system']}\n{m['cpu']}, {m['cpus']} CPUs, "
        f"{m['memory_bytes'] / 2**30:.0f} GiB, {m['descriptors']} descriptors")
    say(f"Before the start other work took {percent(report['noise']['busy_share'])} of the CPUs, other guests "
        f"{percent(report['noise']['steal_share'])}.")
    is_in = {state: [peer for peer in peers if peer["state"] == state]
             for state in ("here", "absent", "failed", "missing")}
    out = []
    if is_in["here"]:
        names = {f"{peer['name']} {peer['version']}".strip() for peer in is_in["here"]}
        out += wrapped("peers", ", ".join(sorted(names, key=str.lower)))
    for peer in is_in["absent"]:
        by_hand = ", by hand" if peer["by_hand"] else ""
        out += wrapped("not here", f"{peer['name']} ({peer['reason']}): {peer['install']}{by_hand}")
    out += install_all(peer["install"] for peer in is_in["absent"] if not peer["by_hand"])
    if not report["floor"]:
        out += wrapped("not here", "floor, the yardstick, for want of a C compiler: apt-get install gcc libc6-dev")
    for name, here in report["load_generators"].items():
        if not here:
            out += wrapped("not here", f"{name}, which would check bench: apt-get install {PACKAGES[name]}")
    for peer in is_in["failed"]:
        out += wrapped("failed", f"{peer['name']}: {peer['reason']}")
    if is_in["missing"]:
        out += wrapped("missing", "; ".join(f"{peer['name']}: {peer['reason']}" for peer in is_in["missing"]))
    say("\n".join(out))


def foot(report):
    """What stands beneath the tables: what the columns are, and what one should know of the peers."""
    notes = dict.fromkeys(f"{peer['name']}: {peer['note']}" for peer in report["peers"]
                          if peer["state"] == "here" and peer["note"])
    say()
    for line in ("#: rank; rows closer than A/A (how far fastserve is from itself) are not told apart. ?: not ranked, the "
                 "machine is too busy. -: no figure. >: fastserve. !: errors or doubts, which stand under the table.",
                 "rounds: the least and the greatest; the other figures are medians. CPU: of server and client for a request.",
                 "peer, floor: divided by the best peer's and by that of `floor local` (tests/floor.c) in the same round.",
                 "PSS: memory; of pages that processes share each has its part.",
                 *notes):
        say("\n".join(textwrap.wrap(line, 100, subsequent_indent="   ")))


if __name__ == "__main__":
    sys.exit(main())
