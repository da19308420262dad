#!/usr/bin/env python3
"""static.py: cases of `fastserve serve DIR` that look at every byte; tests/static.sh runs them.

    tests/static.py --list          names of the cases
    tests/static.py CASE            runs it: silent and 0, or what was wrong and 1

FASTSERVE names the program (default ./fastserve), SERVE more options of its: SERVE='--model thread'. Each case has a
folder and a server of its own on loopback; both have gone when it ends. What is expected stands in RFC 9110 or in the
comments of fastserve.h.
"""
import base64, html.parser, itertools, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time
import urllib.parse

program = os.environ.get("FASTSERVE", "./fastserve")
folder = ""  # the case's, as long as it runs
OLD = 1_600_000_000  # a time stamp long past
CRLF = b"\r\n"

class Wrong(Exception):
    pass

def check(fine, *words):
    if not fine: raise Wrong(" ".join(str(w)[:600] for w in words))

def same(what, got, want):
    if got != want: raise Wrong(f"{what}: got {got!r:.500}, want {want!r:.500}")

# ---- the server

class Server:
    def __init__(self, *args, root=None):
        self.root = root or os.path.join(folder, "www")
        args = [a if isinstance(a, str) else a.decode() for a in args] + os.environ.get("SERVE", "").split()
        self.errors = open(os.path.join(folder, "errors"), "ab+")
        self.process = subprocess.Popen([program, "serve", *([self.root] if root != "" else []), "-p", "0", *args],
            stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        said = b""
        while True:
            line = self.process.stdout.readline()
            said += line
            at = re.search(rb"http://(?:127\.0\.0\.1|localhost|0\.0\.0\.0):(\d+)", line)
            if at: break
            check(line, "the server did not say where it listens:", said, open(self.errors.name).read())
        self.port = int(at[1])

    def __enter__(self): return self

    def __exit__(self, kind, *_):
        alive = self.process.poll() is None
        self.process.send_signal(signal.SIGTERM)
        try: status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        if kind is None: check(alive and status == 0, f"the server ended with status {status}",
                open(self.errors.name).read()[-2000:])

# ---- the client

def all_of(c, length):
    """What comes, up to the end of the answer or, before it, of the connection."""
    pieces, have = [c.rest], len(c.rest)
    while have < length:
        c.rest = b""
        if not c.more(1 << 20): break
        pieces.append(c.rest)
        have += len(c.rest)
    return b"".join(pieces)

class Answer:
    def __init__(self, status, fields, body, head):
        self.status, self.fields, self.body, self.head = status, fields, body, head

    def __getitem__(self, name):
        got = [v for k, v in self.fields if k.lower() == name.lower()]
        check(len(got) < 2, f"{name} stands {len(got)} times in", self.head)
        return got[0] if got else None

class Conn:
    def __init__(self, server, bufsize=0):
        self.port, self.rest, self.sock, self.bufsize = server.port, b"", None, bufsize

    def dial(self):
        self.sock = socket.socket()
        self.sock.settimeout(20)
        if self.bufsize: self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.bufsize)
        self.sock.connect(("127.0.0.1", self.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        if self.sock: self.sock.close()
        self.sock = None

    def more(self, count=65536):
        try: data = self.sock.recv(count)
        except ConnectionResetError: return b""
        self.rest += data
        return data

    def send(self, target, fields=(), method="GET", body=b""):
        if not self.sock: self.dial()
        target = target.encode("latin-1") if isinstance(target, str) else target
        fields = dict(fields)
        fields.setdefault("Host", "127.0.0.1")
        lines = b"".join(k.encode() + b": " + v.encode("latin-1") + CRLF for k, v in fields.items() if v is not None)
        self.sock.sendall(method.encode() + b" " + target + b" HTTP/1.1\r\n" + lines + CRLF + body)

    def head(self):
        while b"\r\n\r\n" not in self.rest: check(self.more(),
                "the connection ended before an answer's head was whole:", self.rest)
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        line = re.fullmatch(r"HTTP/1\.1 (\d\d\d) [ -~]*", lines[0])
        check(line, "no status line:", lines[0])
        fields = []
        for one in lines[1:]:
            field = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t -~\x80-\xff]*)", one)
            check(field, "no field line:", one)
            fields.append((field[1], field[2]))
        return Answer(int(line[1]), fields, b"", head.decode("latin-1"))

    def take(self, count):
        got = all_of(self, count)
        check(len(got) >= count, f"the connection ended {count - len(got)} bytes too early")
        self.rest = got[count:]
        return got[:count]

    def line(self):
        while CRLF not in self.rest: check(self.more(), "the connection ended in a chunk")
        line, self.rest = self.rest.split(CRLF, 1)
        return line

    def hear(self, method="GET"):
        answer = self.head()
        if method == "HEAD" or answer.status in (204, 304): pass
        elif answer["Content-Length"] is not None: answer.body = self.take(int(answer["Content-Length"]))
        elif answer["Transfer-Encoding"]:
            while size := int(self.line().split(b";")[0], 16):
                answer.body += self.take(size)
                same("the end of a chunk", self.take(2), CRLF)
            same("the end of the chunks", self.take(2), CRLF)
        else:
            while self.more(): pass
            answer.body, self.rest = self.rest, b""
        same("what stands behind an answer", self.rest, b"")
        if answer["Connection"] == "close": self.close()
        return answer

    def ask(self, target, fields=(), method="GET", body=b""):
        self.send(target, fields, method, body)
        return self.hear(method)

# ---- the folder

def path(name):
    return os.path.join(os.fsencode(folder), b"www", os.fsencode(name))

def put(name, data, when=OLD):
    at = path(name)
    os.makedirs(os.path.dirname(at), exist_ok=True)
    data = data.encode() if isinstance(data, str) else data
    with open(at, "wb") as file: file.write(data)
    if when is not None: os.utime(at, (when, when))
    return data

def noise(size, seed=1):
    return random.Random(seed).randbytes(size)

def settle():
    """Until the time stamps that the system sets, and nobody can set back, are old enough for a strong entity tag."""
    newest = max((os.lstat(os.path.join(at, name)).st_ctime for at, _, names in os.walk(path("")) for name in names),
        default=0)
    while time.time() < newest + 2.1: time.sleep(0.05)

def http_date(s, form=0):
    t = time.gmtime(s)
    day = "Mon Tue Wed Thu Fri Sat Sun".split()[t.tm_wday]
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[t.tm_mon - 1]
    clock = time.strftime("%H:%M:%S", t)
    if form == 1:
        long = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()[t.tm_wday]
        return f"{long}, {t.tm_mday:02}-{month}-{t.tm_year % 100:02} {clock} GMT"
    if form == 2: return f"{day} {month} {t.tm_mday:2} {clock} {t.tm_year}"
    return f"{day}, {t.tm_mday:02} {month} {t.tm_year:04} {clock} GMT"

STRONG = r'"[!#-~\x80-\xff]*"'

# ---- the cases

cases = {}

def case(run):
    cases[run.__name__.replace("_", "-")] = run
    return run

@case
def whole_files():
    """Type, length, dates and tag; HEAD says the same; an empty file; other methods."""
    types = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
             "mjs": "text/javascript; charset=utf-8", "json": "application/json", "svg": "image/svg+xml",
                 "png": "image/png", "jpg": "image/jpeg",
             "webp": "image/webp", "avif": "image/avif", "gif": "image/gif",
                 "ico": "image/(x-icon|vnd.microsoft.icon)", "wasm": "application/wasm",
             "woff2": "font/woff2", "mp4": "video/mp4", "webm": "video/webm", "mp3": "audio/mpeg",
                 "pdf": "application/pdf",
             "txt": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
                 "csv": "text/csv; charset=utf-8", "xml": "(text|application)/xml.*",
             "zip": "application/zip", "gz": "application/gzip", "nothing-known": "application/octet-stream",
                 "HTML": "text/html; charset=utf-8"}
    for i, ext in enumerate(types): put(f"file.{ext}", noise(100 + i))
    put("empty", b"")
    put("large.bin", noise(3_000_000))
    settle()
    with Server() as server:
        c = Conn(server)
        for i, (ext, type_) in enumerate(types.items()):
            a = c.ask(f"/file.{ext}")
            same(ext, (a.status, a.body), (200, noise(100 + i)))
            check(re.fullmatch(type_.replace("+", r"\+"), re.sub(r"^(application/json|image/svg\+xml); charset=utf-8$",
                r"\1", a["Content-Type"])), ext, a["Content-Type"])
        for name, data in ("file.txt", open(path("file.txt"), "rb").read()), ("empty", b""), ("large.bin",
                noise(3_000_000)):
            a, b = c.ask("/" + name), c.ask("/" + name, method="HEAD")
            same(name, (a.status, a.body, a["Content-Length"]), (200, data, str(len(data))))
            same("Last-Modified", a["Last-Modified"], http_date(OLD))
            check(re.fullmatch(STRONG, a["ETag"] or ""), "no strong ETag:", a.head)
            same("Accept-Ranges", a["Accept-Ranges"], "bytes")
            bare = lambda x: sorted(f for f in x.fields if f[0] != "Date")
            same(f"HEAD of {name}", bare(b), bare(a))
        for method in "POST", "PUT", "DELETE", "PATCH":
            a = c.ask("/file.txt", method=method)
            same(method, a.status, 405)
            same("Allow", sorted(x for x in a["Allow"].replace(" ", "").split(",") if x != "OPTIONS"), ["GET", "HEAD"])
        same("nothing there", c.ask("/nothing").status, 404)
        same("below a file", c.ask("/file.txt/").status, 404)
        same("below a file", c.ask("/file.txt/x").status, 404)
        same("another case", c.ask("/FILE.TXT").status, 404)
        c.send("/file.txt"), c.send("/large.bin"), c.send("/file.css"), c.send("/nothing"), c.send("/empty")
        for want in open(path("file.txt"), "rb").read(), noise(3_000_000), open(path("file.css"), "rb").read():
            got = c.head()
            same("pipelined", c.take(int(got["Content-Length"])), want)
        got = c.head()
        c.take(int(got["Content-Length"]))
        same("pipelined", (got.status, c.head().status), (404, 200))
        c.close()
        c.dial()
        c.sock.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
        a = c.head()
        while c.more(): pass
        same("HTTP/1.0", (a.status, c.rest), (200, noise(3_000_000)))

def ranges_wanted(value, size):
    """What a bytes field asks for, (first, last) of each satisfiable spec. None: malformed; []: none is satisfiable."""
    got = []
    if not value.lower().startswith("bytes="): return None
    for spec in value[6:].split(","):
        spec = spec.strip(" \t")
        if not spec: continue
        if m := re.fullmatch(r"(\d+)-(\d*)", spec):
            first, last = int(m[1]), int(m[2]) if m[2] else 1 << 99
            if last < first: return None
            if first < size: got.append((first, min(last, size - 1)))
        elif m := re.fullmatch(r"-(\d+)", spec):
            if int(m[1]) and size: got.append((max(0, size - int(m[1])), size - 1))
        else: return None
    return got

def parts_read(a, size, data):
    """Every part of a multipart/byteranges body, byte by byte (RFC 9110 14.6, RFC 2046 5.1.1)."""
    m = re.fullmatch(r'multipart/byteranges; ?boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?', a["Content-Type"])
    check(m, "not multipart/byteranges:", a.head)
    check(a["Content-Range"] is None, "Content-Range in the head of several parts")
    mark = b"--" + m[1].encode()
    body = a.body if a.body.startswith(CRLF) else CRLF + a.body
    pieces, at = [], 0
    while not body.startswith(CRLF + mark + b"--", at):
        check(body.startswith(CRLF + mark + CRLF, at), f"no boundary at {at}:", body[at:at + 80])
        head_at = at + len(CRLF + mark + CRLF)
        end = body.index(b"\r\n\r\n", head_at)
        fields = dict(line.split(": ", 1) for line in body[head_at:end].decode("latin-1").split("\r\n"))
        r = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", fields["Content-Range"])
        check(r and int(r[3]) == size, "Content-Range of a part:", fields["Content-Range"])
        same("type of a part", fields.get("Content-Type"), "application/octet-stream")
        first, last, at = int(r[1]), int(r[2]), end + 4
        same(f"bytes of part {first}-{last}", body[at:at + last - first + 1], data[first:last + 1])
        at += last - first + 1
        pieces.append((first, last))
    check(body[at:] in (CRLF + mark + b"--" + CRLF, CRLF + mark + b"--"), "what stands behind the last part:",
        body[at:at + 80])
    return pieces

def covers(pieces, wanted):
    for first, last in wanted:
        for a, b in sorted(pieces):
            if a <= first <= b: first = b + 1
        if first <= last: return False
    return True

@case
def ranges():
    """RFC 9110 14: single, suffix, open, several, outside, malformed; of a kept file and of one sent from the disk."""
    random.seed(5)
    specs = ["bytes=0-0", "bytes=0-99", "bytes=100-", "bytes=-1", "bytes=-100", "bytes=1-1", "bytes=0-", "BYTES=0-9",
        "bytes=0-{last}", "bytes={last}-",
             "bytes={last}-{last}", "bytes={last}-99999999999999999999999", "bytes=5-{size}", "bytes=-{size}",
                 "bytes=-99999999", "bytes={size}-", "bytes={size}-{size}",
             "bytes=99999999-", "bytes=99999999999999999999-", "bytes=-0", "bytes=5-4", "bytes=", "bytes=-", "bytes",
                 "bytes=a-b", "bytes=1-2x", "bytes=--1", "bytes=1--2",
             "bytes= 0-1", "bytes=0 -1", "bytes=0-1;", "lines=0-1", "bytes:0-1", "", "=", "bytes=0x0-1", "bytes=+0-1",
                 "bytes=0-1-2", "bytes=18446744073709551616-",
             "bytes=0-18446744073709551616", "bytes=-18446744073709551616",
             "bytes=0-0,200-299", "bytes=0-9, 200-209 ,400-", "bytes=-5,0-4", "bytes=500-509,0-9", "bytes=0-9,5-14",
                 "bytes=0-9,10-19", "bytes=0-9,12-19", "bytes=0-0,-1",
             "bytes=0-1,99999999-", "bytes=99999999-,0-1", "bytes=99999999-,88888888-", "bytes=,0-1,,300-301,",
                 "bytes=0-1,x", "bytes=0-1,5-4", "bytes=0-,0-,0-",
             "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 800, 200)),
                 "bytes=" + ",".join("0-" for _ in range(100)), "bytes=" + ",".join("-1" for _ in range(1000)),
             "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 2000, 2)),
                 "bytes=" + ",".join(f"{i * 100}-{i * 100}" for i in range(9))]
    for _ in range(150):
        few = []
        for _ in range(random.randint(1, 6)):
            a, b = sorted(random.randint(0, 1100) for _ in range(2))
            few.append(random.choice([f"{a}-{b}", f"{a}-", f"-{b}"]))
        specs.append("bytes=" + ",".join(few))
    sizes = {"empty": 0, "one": 1, "thousand": 1000, "large": 400_000}
    for name, size in sizes.items(): put(name, noise(size, size))
    settle()
    with Server() as server:
        c = Conn(server)
        seen = {200: 0, 206: 0, 416: 0, "parts": 0}
        for name, size in sizes.items():
            data = noise(size, size)
            for spec in specs:
                value = spec.replace("{size}", str(size)).replace("{last}", str(max(0, size - 1)))
                say = f"{name}, Range: {value[:80]}:"
                wanted = ranges_wanted(value, size)
                a = c.ask("/" + name, {"Range": value})
                seen[a.status] = seen.get(a.status, 0) + 1
                if a.status == 200: # ignoring a Range is always right, but not our way where it is in good form
                    same(say, a.body, data)
                    check(a["Content-Range"] is None, say, "Content-Range in a 200")
                    if wanted and "," not in value: raise Wrong(say + " was ignored")
                    if wanted and sum(b - a + 1 for a,
                            b in wanted) < size / 2 and len(wanted) <= 9: raise Wrong(say + " was ignored")
                elif a.status == 206:
                    check(wanted, say, "is not to be had, but got 206")
                    if (a["Content-Type"] or "").startswith("multipart/"):
                        seen["parts"] += 1
                        pieces = parts_read(a, size, data)
                        check(len(wanted) > 1, say, "several parts for one range")
                        check(len(a.body) <= size + 250 * len(pieces), say, f"{len(a.body)} bytes for a file of {size}")
                        check(len(pieces) <= 64, say, f"{len(pieces)} parts")
                    else:
                        r = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", a["Content-Range"] or "")
                        check(r and int(r[3]) == size, say, a.head)
                        pieces = [(int(r[1]), int(r[2]))]
                        same(say, a.body, data[pieces[0][0]:pieces[0][1] + 1])
                        if len(wanted) == 1: same(say, pieces, wanted)
                    check(covers(pieces, wanted), say, f"got {pieces}, want {wanted}")
                    check(a["ETag"] and a["Last-Modified"] and a["Accept-Ranges"] in (None, "bytes"), say, a.head)
                else:
                    same(say, a.status, 416)
                    check(wanted == [] or (not size and wanted is not None), say, f"is to be had, but got 416")
                    same(say, a["Content-Range"], f"bytes */{size}")
                    continue
                b = c.ask("/" + name, {"Range": value}, method="HEAD") # 14.2: GET only
                same("HEAD, " + say, (b.status, b["Content-Length"], b["Content-Range"]), (200, str(size), None))
        check(min(seen.values()) > 20, "too few of a kind:", seen)

@case
def if_range():
    """RFC 9110 13.1.5, both ways."""
    data = put("file", noise(1000))
    settle()
    with Server() as server:
        c = Conn(server)
        tag = c.ask("/file")["ETag"]
        for value, holds in [(tag, True), ('"other"', False), ("W/" + tag, False), (http_date(OLD), True),
                (http_date(OLD - 1), False), (http_date(OLD + 1), False),
                             (http_date(OLD, 1), True), (http_date(OLD, 2), True), (tag.strip('"'), False),
                                 ("", False), ("*", False), ("yesterday", False),
                             (tag + ", " + tag, False)]:
            a = c.ask("/file", {"Range": "bytes=10-19", "If-Range": value})
            want = (206, data[10:20], "bytes 10-19/1000") if holds else (200, data, None)
            same(f"If-Range: {value}", (a.status, a.body, a["Content-Range"]), want)
        a = c.ask("/file", {"If-Range": tag})
        same("If-Range without Range", (a.status, a.body), (200, data))
        a = c.ask("/file", {"Range": "bytes=5000-", "If-Range": '"other"'})
        same("outside, but If-Range does not hold", a.status, 200)
        same("outside, If-Range holds", c.ask("/file", {"Range": "bytes=5000-", "If-Range": tag}).status, 416)

@case
def conditions():
    """RFC 9110 13.2.2: every combination of the five conditions and Range, in the RFC's order."""
    data = put("file", noise(1000))
    put("large", noise(300_000))
    settle()
    with Server() as server:
        c = Conn(server)
        tag = c.ask("/file")["ETag"]
        check(re.fullmatch(STRONG, tag), "the tag is weak:", tag)
        before, at, after, bad = http_date(OLD - 10), http_date(OLD), http_date(OLD + 10), "no date"
        if_match = {None: True, tag: True, '"x"': False, "*": True, "W/" + tag: False, f'"x", {tag}': True,
            f'"x",{tag},W/"y"': True, '"a,b", "c"': False}
        if_unmodified = {None: True, before: False, at: True, after: True, bad: True}
        if_none_match = {None: None, tag: False, '"x"': True, "*": False, "W/" + tag: False, f'W/"x" , {tag}': False}
        if_modified = {None: True, before: True, at: False, after: False, bad: True}
        count = 0
        for (im, im_ok), (iu, iu_ok), (inm, inm_ok), (ims, ims_ok) in itertools.product(*(x.items()
                for x in (if_match, if_unmodified, if_none_match, if_modified))):
            fields = {"If-Match": im, "If-Unmodified-Since": iu, "If-None-Match": inm, "If-Modified-Since": ims}
            for range_, method in (None, "GET"), ("bytes=10-19", "GET"), (None, "HEAD"):
                if im is not None and not im_ok: want = 412
                elif im is None and iu is not None and not iu_ok: want = 412
                elif inm is not None: want = 200 if inm_ok else 304
                else: want = 200 if ims_ok else 304
                if want == 200 and range_: want = 206
                a = c.ask("/file", {**fields, "Range": range_}, method)
                count += 1
                same(f"{method} {fields} Range: {range_}", a.status, want)
                if method == "GET" and want in (200, 206): same("the body", a.body,
                        data if want == 200 else data[10:20])
                if want == 304: # 15.4.5
                    check(a["ETag"] == tag and not a["Content-Type"], "the head of a 304:", a.head)
                    check(a["Content-Length"] in (None, "1000"), "Content-Length of a 304:", a.head)
        check(count == 8 * 5 * 6 * 5 * 3, count)
        for form in 0, 1, 2:
            same("form of date", c.ask("/file", {"If-Modified-Since": http_date(OLD, form)}).status, 304)
            same("form of date", c.ask("/file", {"If-Unmodified-Since": http_date(OLD - 1, form)}).status, 412)
        for bad in "", '"', 'W/', "x", tag[1:-1], "w/" + tag, '"x" ' + tag: # 13.1.2: no list
            same(f"If-None-Match: {bad}", c.ask("/file", {"If-None-Match": bad}).status, 200)
        future = http_date(time.time() + 86400)
        same("If-Modified-Since in the future", c.ask("/file", {"If-Modified-Since": future}).status in (200, 304),
            True)
        same("nothing there", c.ask("/nothing", {"If-None-Match": "*", "If-Match": '"x"', "Range": "bytes=0-"}).status,
            404)
        big = c.ask("/large")["ETag"]
        same("of a large file", c.ask("/large", {"If-None-Match": big}).status, 304)
        same("of a large file", c.ask("/large", {"If-Match": '"x"'}).status, 412)

@case
def reload_like_chromium():
    """What a browser asks for a page again: conditions with max-age=0, all at no-cache, a video by ranges."""
    page = {"": put("index.html", "<!doctype html>" + "x" * 3000), "style.css": put("style.css", "p{}" * 100),
        "script.js": put("script.js", "0;" * 500),
            "film.webm": put("film.webm", noise(2_000_000))}
    settle()
    with Server() as server:
        c, common = Conn(server), {"Accept-Encoding": "gzip, deflate, br, zstd", "Accept": "*/*",
            "Connection": "keep-alive"}
        first = {name: c.ask("/" + name, common) for name in page if name != "film.webm"}
        for name, a in first.items(): same(name, (a.status, a.body), (200, page[name]))
        for _ in range(3):
            for name, a in first.items():
                b = c.ask("/" + name, {**common, "Cache-Control": "max-age=0", "If-None-Match": a["ETag"],
                    "If-Modified-Since": a["Last-Modified"]})
                same(name, (b.status, b.body, b["ETag"]), (304, b"", a["ETag"]))
                for field in "Cache-Control", "Vary", "Content-Location", "Expires": same(field, b[field], a[field])
        for name in first:
            b = c.ask("/" + name, {**common, "Cache-Control": "no-cache", "Pragma": "no-cache"})
            same(name, (b.status, b.body), (200, page[name]))
        film = page["film.webm"]
        a = c.ask("/film.webm", {**common, "Accept-Encoding": "identity;q=1, *;q=0", "Range": "bytes=0-"})
        same("the film", (a.status, a.body, a["Content-Range"]), (206, film, f"bytes 0-{len(film) - 1}/{len(film)}"))
        for at in 1_966_080, 65_536, 1_234_567, 0:
            b = c.ask("/film.webm", {**common, "Accept-Encoding": "identity;q=1, *;q=0", "Range": f"bytes={at}-",
                "If-Range": a["ETag"]})
            same("a seek", (b.status, b.body), (206, film[at:]))
        c.send("/film.webm", {"Range": "bytes=0-"}) # a seek leaves the answer before it unread
        c.head()
        c.close()
        same("behind a connection that was left", c.ask("/style.css", common).status, 200)

@case
def precompressed():
    """Sidecars by Accept-Encoding (RFC 9110 12.5.3), Vary, conditions and ranges of what was chosen."""
    text = put("app.js", b"let x = 1;\n" * 2000)
    forms = {None: text, "br": put("app.js.br", b"BR" + noise(900, 2)),
        "zstd": put("app.js.zst", b"ZST" + noise(950, 3)), "gzip": put("app.js.gz", b"GZ" + noise(1000, 4))}
    put("plain.txt", "no sidecar")
    put("index.html", "<!doctype html>page"), put("index.html.gz", "packed page")
    put("only.txt.gz", "an orphan")
    put("stale.txt", "new", OLD + 10), put("stale.txt.gz", "of the old", OLD)
    put("fresh.txt", "old", OLD), put("fresh.txt.gz", "packed later", OLD + 10)
    put("folder.txt", "text"), os.mkdir(path("folder.txt.gz"))
    settle()
    wants = {None: None, "": None, "gzip": "gzip", "br": "br", "zstd": "zstd", "gzip, deflate, br, zstd": "br",
        "gzip, zstd": "zstd", "GZIP": "gzip", "x-gzip": "gzip",
             "br;q=0.5, gzip;q=0.8": "gzip", "br;q=0.5,gzip;q=0.5": "br", "gzip;q=0": None,
                 "gzip;q=0.0, br;q=0.000": None, "*": "br", "*;q=0": None, "br;q=0, *": "zstd",
             "identity;q=0, gzip": "gzip", "identity;q=1, gzip;q=0.5": None,
                 "identity;q=0.5, gzip;q=0.4, br;q=0.3": None, "identity;q=0.2, gzip;q=0.4, br;q=0.3": "gzip",
             "gzip;q=0.001": "gzip", "deflate, compress": None, "gzip ; q=1": "gzip", "gzip;Q=1": "gzip",
                 "gzip;q=1.000": "gzip", "brotli": None, "gzipped": None,
             "identity;q=1, *;q=0": None, "gzip, *;q=0": "gzip", "*;q=0.5, gzip;q=0": "br", ", gzip ,": "gzip"}
    with Server() as server:
        c = Conn(server)
        tags = {}
        for value, coding in wants.items():
            for method in "GET", "HEAD":
                a = c.ask("/app.js", {"Accept-Encoding": value}, method)
                say = f"{method}, Accept-Encoding: {value}:"
                same(say, (a.status, a["Content-Encoding"], a["Content-Length"]),
                    (200, coding, str(len(forms[coding]))))
                if method == "GET": same(say, a.body, forms[coding])
                same(say, a["Content-Type"], "text/javascript; charset=utf-8")
                check("accept-encoding" in (a["Vary"] or "").lower(), say, "no Vary")
                tags[coding] = a["ETag"]
        check(len(set(tags.values())) == 4, "not a tag for each form:", tags)
        for coding, tag in tags.items():
            asked = {"Accept-Encoding": coding or "identity"}
            a = c.ask("/app.js", {**asked, "If-None-Match": tag})
            same(f"304 of {coding}", (a.status, a["ETag"], (a["Vary"] or "").lower()), (304, tag, "accept-encoding"))
            same("the tag of another form", c.ask("/app.js", {"Accept-Encoding": "gzip" if coding != "gzip" else "br",
                "If-None-Match": tag}).status, 200)
            a = c.ask("/app.js", {**asked, "Range": "bytes=10-19", "If-Range": tag})
            same(f"a range of {coding}", (a.status, a.body, a["Content-Encoding"], a["Content-Range"]),
                 (206, forms[coding][10:20], coding, f"bytes 10-19/{len(forms[coding])}"))
            a = c.ask("/app.js", {**asked, "Range": "bytes=10-19",
                "If-Range": tags["gzip" if coding != "gzip" else "br"]})
            same("If-Range with the tag of another form", (a.status, a.body), (200, forms[coding]))
        for value in "gzip;q=2", "gzip;q=x", "gzip;q=0.1234", "gzip;q", ";q=1", "\xff": # malformed: one of ours
            a = c.ask("/app.js", {"Accept-Encoding": value})
            same(value, (a.status, a.body), (200, forms[a["Content-Encoding"]]))
        gz = {"Accept-Encoding": "gzip"}
        a = c.ask("/app.js.gz", gz)
        same("the sidecar itself", (a.status, a.body, a["Content-Type"], a["Content-Encoding"]),
            (200, forms["gzip"], "application/gzip", None))
        a = c.ask("/", gz)
        same("the index's", (a.status, a.body, a["Content-Encoding"], a["Content-Type"]),
            (200, b"packed page", "gzip", "text/html; charset=utf-8"))
        same("an orphan", c.ask("/only.txt", gz).status, 404)
        a = c.ask("/plain.txt", gz)
        same("without one", (a.body, a["Content-Encoding"]), (b"no sidecar", None))
        for name, body, coding in ("stale", b"new", None), ("fresh", b"packed later", "gzip"), ("folder", b"text",
                None):
            a = c.ask(f"/{name}.txt", gz)
            same(name, (a.status, a.body, a["Content-Encoding"]), (200, body, coding))
        put("fresh.txt", "newer than it", None) # now, also for who has it on its shelf
        a = c.ask("/fresh.txt", gz)
        same("a sidecar that became stale", (a.body, a["Content-Encoding"]), (b"newer than it", None))
        put("fresh.txt.gz", "packed anew", None)
        time.sleep(0.01)
        put("fresh.txt.gz", "packed anew", None)
        a = c.ask("/fresh.txt", gz)
        same("a sidecar that was made anew", (a.body, a["Content-Encoding"]), (b"packed anew", "gzip"))
        os.remove(path("fresh.txt.gz"))
        same("a sidecar that has gone", c.ask("/fresh.txt", gz).body, b"newer than it")
        put("plain.txt.br", "packed afterwards", None)
        a = c.ask("/plain.txt", {"Accept-Encoding": "br"})
        same("a sidecar that came later", (a.body, a["Content-Encoding"]), (b"packed afterwards", "br"))

@case
def folders():
    """Redirects with a slash, index files, pages for what is missing."""
    put("index.html", "home"), put("sub/index.html", "sub"), put("sub/page.html", "page"), put("no index/x.txt",
        "x"), put("a&b#c/x.txt", "x"), put("404.html", "<p>not here</p>")
    settle()
    with Server() as server:
        c = Conn(server)
        def leads(target, want):
            a = c.ask(target)
            check(a.status in (301, 308), target, a.head)
            same(target, urllib.parse.unquote(urllib.parse.urljoin("http://h" + target, a["Location"])),
                "http://h" + urllib.parse.unquote(want))
        leads("/sub", "/sub/")
        leads("/sub?x=1&y=//z", "/sub/?x=1&y=//z")
        leads("/no%20index", "/no%20index/")
        leads("/a&b%23c", "/a&b%23c/")
        same("HEAD", c.ask("/sub", method="HEAD").status in (301, 308), True)
        a = c.ask("//sub")
        if a.status in (301, 308): same("//sub", urllib.parse.urlsplit(urllib.parse.urljoin("http://h//sub",
                a["Location"])).netloc, "h")
        for target, body in ("/", b"home"), ("/sub/", b"sub"), ("/index.html", b"home"), ("/sub/index.html",
                b"sub"), ("/?q=1", b"home"):
            a = c.ask(target)
            same(target, (a.status, a.body, a["Content-Type"]), (200, body, "text/html; charset=utf-8"))
        same("conditions of an index", c.ask("/", {"If-None-Match": c.ask("/")["ETag"]}).status, 304)
        same("a range of an index", c.ask("/", {"Range": "bytes=1-2"}).body, b"om")
        now = http_date(time.time())
        for fields in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}, {"If-Match": '"x"'},
            {"If-Modified-Since": now}):
            a = c.ask("/no/such/thing", fields)
            same(f"404.html {fields}", (a.status, a.body, a["Content-Type"]),
                (404, b"<p>not here</p>", "text/html; charset=utf-8"))
        a = c.ask("/no/such/thing", method="HEAD")
        same("HEAD of 404.html", (a.status, a["Content-Length"]), (404, "15"))
        put("sub/index.html", "another", None)
        same("an index that was written anew", c.ask("/sub/").body, b"another")
        os.remove(path("sub/index.html"))
        a = c.ask("/sub/")
        check(a.status == 200 and b"page.html" in a.body, "no listing where the index has gone:", a.head)
        os.remove(path("404.html"))
        a = c.ask("/no/such/thing")
        check(a.status == 404 and b"not here" not in a.body, "404.html has gone, but is sent")
    with Server("--no-listing") as server:
        c = Conn(server)
        a = c.ask("/no%20index/")
        check(a.status in (403, 404) and b"x.txt" not in a.body, "--no-listing:", a.head)
        same("--no-listing, a file", c.ask("/no%20index/x.txt").body, b"x")
        check(c.ask("/no%20index/", {"Accept": "application/json"}).status in (403, 404), "--no-listing, JSON")

@case
def options_spa_and_cors():
    put("index.html", "app"), put("main.js", "js"), put("deep/x.txt", "x")
    with Server("--spa") as server:
        c = Conn(server)
        for target in "/", "/users/7", "/a/b/c?d=e", "/users/", "/deep/nothing":
            a = c.ask(target, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
            same(target, (a.status, a.body, a["Content-Type"]), (200, b"app", "text/html; charset=utf-8"))
        same("a file", c.ask("/main.js").body, b"js")
        same("a file", c.ask("/deep/x.txt").body, b"x")
        same("out of it", c.ask("/../x").status in (200, 400, 404), True)
        same("HEAD", c.ask("/users/7", method="HEAD").status, 200)
    with Server("--cors") as server:
        c, origin = Conn(server), {"Origin": "http://elsewhere"}
        tag = c.ask("/main.js", origin)["ETag"]
        for target, fields, status in ("/main.js", {}, 200), ("/nothing", {}, 404), ("/main.js",
                {"Range": "bytes=0-0"}, 206), ("/main.js", {"If-None-Match": tag}, 304), \
                ("/main.js", {"Range": "bytes=9-"}, 416), ("/deep", {}, 301), ("/deep/", {}, 200):
            a = c.ask(target, {**origin, **fields})
            same(f"{target} {fields}", (a.status, a["Access-Control-Allow-Origin"]), (status, "*"))
        a = c.ask("/main.js", {**origin, "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "range"}, method="OPTIONS")
        check(a.status in (200, 204), "a preflight:", a.head)
        same("a preflight", a["Access-Control-Allow-Origin"], "*")
        check("GET" in (a["Access-Control-Allow-Methods"] or "GET"), "a preflight:", a.head)
        check(a["Access-Control-Allow-Headers"] and re.search(r"range|\*", a["Access-Control-Allow-Headers"].lower()),
            "a preflight:", a.head)
    with Server() as server: check(Conn(server).ask("/main.js", origin)["Access-Control-Allow-Origin"] is None,
            "CORS unasked")

@case
def options_auth_header_hidden_mime():
    put("x.txt", "x"), put(".hidden", "h"), put(".git/config", "g"), put("sub/.env", "e"), put("thing.odd",
        "odd"), put("page.html", "p"), put("sub/y.txt", "y")
    with Server("--auth", "user:pa:ss") as server:
        c = Conn(server)
        basic = lambda text: {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
        logins = [basic(text) for text in ("user:pa:s", "user:pa:sss", "user:", ":pa:ss", "USER:pa:ss", "user")]
        raw = "Basic", "Basic !!!", "Bearer x", "Basic " + "A" * 8000, ""
        for fields in [{}] + logins + [{"Authorization": value} for value in raw]:
            for target in "/x.txt", "/", "/nothing", "/sub", "/../x":
                a = c.ask(target, fields)
                if target == "/../x" and a.status in (400, 404): continue # no request that makes sense
                same(f"{target} {str(fields)[:60]}", a.status, 401)
                check(re.match(r"Basic realm=", a["WWW-Authenticate"] or ""), "WWW-Authenticate:", a.head)
                check(b"x" not in a.body or len(a.body) > 1, "the file in a 401")
        for scheme in "Basic ", "basic ", "BASIC  ":
            same(scheme, c.ask("/x.txt", {"Authorization": scheme + base64.b64encode(b"user:pa:ss").decode()}).body,
                b"x")
        same("a listing", c.ask("/", basic("user:pa:ss")).status, 200)
        same("HEAD", c.ask("/x.txt", method="HEAD").status, 401)
    with Server("--header", "X-One: 1", "--header", "X-Two: two words", "--mime", "odd=text/x-odd", "--mime",
            "html=text/plain") as server:
        c = Conn(server)
        tag = c.ask("/x.txt")["ETag"]
        for target, fields, status in ("/x.txt", {}, 200), ("/x.txt", {"Range": "bytes=0-0"}, 206), ("/x.txt",
                {"If-None-Match": tag}, 304), ("/nothing", {}, 404), ("/sub", {}, 301), ("/sub/", {}, 200):
            a = c.ask(target, fields)
            same(f"--header {target}", (a.status, a["X-One"], a["X-Two"]), (status, "1", "two words"))
        same("--mime", c.ask("/thing.odd")["Content-Type"].split(";")[0], "text/x-odd")
        same("--mime", c.ask("/page.html")["Content-Type"].split(";")[0], "text/plain")
        for target in "/.hidden", "/.git/config", "/.git/", "/.git", "/sub/.env": same(target, c.ask(target).status,
                404)
        check(b".hidden" not in c.ask("/").body and b".env" not in c.ask("/sub/").body, "a hidden name in a listing")
    with Server("--hidden") as server:
        c = Conn(server)
        for target, body in ("/.hidden", b"h"), ("/.git/config", b"g"), ("/sub/.env", b"e"): same(target,
                c.ask(target).body, body)
        check(b".hidden" in c.ask("/").body, "--hidden, but not listed")
        for target in "/..", "/../", "/sub/../x.txt", "/./x.txt": check(c.ask(target).status in (400, 404), target)

@case
def mounts():
    for name in "one/a.txt", "two/b.txt", "two/deep/c.txt", "two/index.html": put(name, name)
    one, two = os.fsdecode(path("one")), os.fsdecode(path("two"))
    with Server("--mount", "/first=" + one, "--mount", "/x/second=" + two) as server:
        c = Conn(server)
        for target, body in ("/first/a.txt", b"one/a.txt"), ("/x/second/b.txt", b"two/b.txt"), ("/x/second/",
                b"two/index.html"), ("/one/a.txt", b"one/a.txt"):
            a = c.ask(target)
            same(target, (a.status, a.body), (200, body))
        for target in ("/first/b.txt", "/x/a.txt", "/x/second/a.txt", "/first/../x/second/b.txt",
            "/first/%2e%2e/two/b.txt", "/firstx/a.txt"):
            check(c.ask(target).status in (400, 404), target)
        for target, want in ("/first", "/first/"), ("/x/second", "/x/second/"), ("/x/second/deep", "/x/second/deep/"):
            a = c.ask(target)
            check(a.status in (301, 308), target, a.head)
            same(target, urllib.parse.urljoin("http://h" + target, a["Location"]), "http://h" + want)
        a = c.ask("/first/")
        check(a.status == 200 and b"a.txt" in a.body, "a listing below a mount:", a.head)
    with Server("--demo", root=one) as server:
        c = Conn(server)
        same("--demo", c.ask("/stream?chunks=2&size=3").body, b"xxxxxx")
        same("--demo", c.ask("/a.txt").body, b"one/a.txt")

@case
def foreign_hosts():
    """DNS rebinding: on loopback only, a Host that is none of ours is answered 421."""
    put("x.txt", "x")
    with Server("--host", "dev.test") as server:
        c = Conn(server)
        for host in "localhost", "LOCALHOST", "127.0.0.1", "127.0.0.2", "[::1]", "10.1.2.3", "dev.test", "DEV.test":
            for port in "", ":80", f":{server.port}":
                same(f"Host: {host}{port}", c.ask("/x.txt", {"Host": host + port}).status, 200)
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost",
            "dev.test.evil.example", "evil.example:80", "127.0.0.1x", "1.2.3", "dev.tes", "0x7f.1"):
            for target in "/x.txt", "/", "/nothing":
                a = c.ask(target, {"Host": host})
                same(f"Host: {host}", a.status, 421)
                check(a.body != b"x", "the file in a 421")
        same("the absolute form", c.ask("http://evil.example/x.txt", {"Host": "localhost"}).status, 421)
        same("the absolute form", c.ask("http://localhost/x.txt", {"Host": "localhost"}).status, 200)
        c.dial()
        c.sock.sendall(b"GET /x.txt HTTP/1.0\r\n\r\n")
        check(c.hear().status in (200, 421), "HTTP/1.0 without Host")
    with Server("-b", "0.0.0.0") as server: same("open to the network",
            Conn(server).ask("/x.txt", {"Host": "anything.example"}).status, 200)

def saves(write, rounds, size=3000):
    """Writes, then asks at once, over two connections that keep what they have seen: always the new bytes."""
    put("page.html", "before", None), put("page.html.hidden", "")
    with Server(*([] if "SERVE" in os.environ else ["-t", "2"])) as server:
        conns, tags, kept = [Conn(server) for _ in range(4)], [], 0
        for i in range(rounds):
            data = (b"%08d" % i) * (size // 8)
            write(os.fsdecode(path("page.html")), data, i)
            for k in range(3):
                c = conns[(i + k) % 4]
                a = c.ask("/page.html")
                check(a.status == 200 and a.body == data,
                    f"round {i}: {a.status}, got {a.body[:8]}, want {data[:8]}, {a.head}")
                if tags:
                    b = c.ask("/page.html", {"If-None-Match": tags[-1], "If-Modified-Since": stamp})
                    check((b.status, b.body) == (200, data),
                        f"round {i}: {b.status} to the tag of the round before, {tags[-1]}, now {a['ETag']}")
                    b = c.ask("/page.html", {"Range": "bytes=0-7", "If-Range": tags[-1]})
                    check(b.status == 200 or tags[-1] == a["ETag"], f"round {i}: 206 to the tag of the round before")
                b = c.ask("/page.html", {"If-None-Match": a["ETag"]})
                check(b.status == 304 or b.body == data, f"round {i}: neither 304 nor the page")
                kept += b.status == 304
            tags.append(a["ETag"])
            stamp = a["Last-Modified"]
            if i % 10 == 0: check(a["ETag"].startswith("W/"),
                    f"round {i}: a strong tag of a file that was just written: {a['ETag']}")
        check(kept > rounds, f"only {kept} answers of 304 in {rounds} rounds")

@case
def save_by_rename():
    def write(name, data, _):
        with open(name + ".new", "wb") as file: file.write(data)
        os.replace(name + ".new", name)
    saves(write, 500)

@case
def save_in_place():
    def write(name, data, _):
        with open(name, "r+b") as file: file.write(data)
    saves(write, 500)

@case
def save_in_place_large():
    def write(name, data, _):
        with open(name, "r+b") as file: file.write(data)
    saves(write, 100, 400_000)

@case
def save_by_truncation():
    def write(name, data, _):
        with open(name, "wb") as file: file.write(data)
    saves(write, 200)

@case
def save_with_an_old_date():
    """The time of the last write set back, as archivers and copies do: only the time of the change tells."""
    def write(name, data, _):
        with open(name + ".new", "wb") as file: file.write(data)
        os.utime(name + ".new", (OLD, OLD))
        os.replace(name + ".new", name)
    put("page.html", "", OLD)
    with Server() as server:
        c, tag = Conn(server), None
        for i in range(200):
            data = b"%08d" % i * 100
            write(os.fsdecode(path("page.html")), data, i)
            a = c.ask("/page.html")
            check(a.body == data, f"round {i}: got {a.body[:8]}")
            if tag: check(c.ask("/page.html", {"If-None-Match": tag}).status == 200,
                    f"round {i}: 304 to the tag of other bytes")
            tag = a["ETag"]

@case
def tags_become_strong():
    put("x.txt", "x", None)
    with Server() as server:
        c = Conn(server)
        a = c.ask("/x.txt")
        check(a["ETag"].startswith('W/"'), "of a new file:", a["ETag"])
        same("a range by a weak tag", c.ask("/x.txt", {"Range": "bytes=0-0", "If-Range": a["ETag"]}).status, 200)
        settle()
        b = c.ask("/x.txt")
        check(re.fullmatch(STRONG, b["ETag"]), "of one that is old enough:", b["ETag"])
        same("a range by a strong tag", c.ask("/x.txt", {"Range": "bytes=0-0", "If-Range": b["ETag"]}).status, 206)
        same("the same opaque part", a["ETag"][2:], b["ETag"])

@case
def gone_and_back():
    """Removed, made a folder, made a file again; a folder above renamed; no right to read it."""
    put("a/b/x.txt", "one", None)
    with Server() as server:
        c = Conn(server)
        for i in range(50):
            same("there", c.ask("/a/b/x.txt").body, b"one")
            os.remove(path("a/b/x.txt"))
            same("removed", c.ask("/a/b/x.txt").status, 404)
            os.mkdir(path("a/b/x.txt"))
            same("a folder", c.ask("/a/b/x.txt").status, 301)
            os.rmdir(path("a/b/x.txt"))
            put("a/b/x.txt", "two", None)
            same("again", c.ask("/a/b/x.txt").body, b"two")
            os.rename(path("a"), path("c"))
            same("renamed above", c.ask("/a/b/x.txt").status, 404)
            same("renamed above", c.ask("/c/b/x.txt").body, b"two")
            put("a/b/x.txt", "other", None)
            same("another one", c.ask("/a/b/x.txt").body, b"other")
            shutil.rmtree(path("a"))
            os.rename(path("c"), path("a"))
            put("a/b/x.txt", "one", None)
        os.rename(path(""), os.path.join(folder, "moved")) # it was opened once
        same("the root renamed", c.ask("/a/b/x.txt").body, b"one")
        os.rename(os.path.join(folder, "moved"), path(""))

@case
def links():
    put("inside/x.txt", "x"), put("index.html", "home")
    with open(os.path.join(folder, "secret"), "w") as file: file.write("SECRET")
    for name, to in ("in", "inside/x.txt"), ("in-folder", "inside"), ("out", "../secret"), ("out-absolute",
            os.path.join(folder, "secret")), ("up", ".."), ("absolute-in", os.fsdecode(path("inside/x.txt"))), \
            ("loop", "loop"), ("nowhere", "nothing"), ("inside/back", "../index.html"), ("twice", "in"):
        os.symlink(to, path(name))
    with Server() as server:
        c = Conn(server)
        for target, body in ("/in", b"x"), ("/in-folder/x.txt", b"x"), ("/inside/back", b"home"), ("/twice", b"x"):
            a = c.ask(target)
            check((a.status, a.body) == (200, body) or (a.status == 404 and sys.platform != "linux"), target,
                a.head) # elsewhere links are refused
        for target in "/out", "/out-absolute", "/up/secret", "/up", "/up/", "/loop", "/nowhere", "/up/www/index.html":
            for _ in range(2):
                a = c.ask(target)
                check(a.status == 404 and b"SECRET" not in a.body, target, a.head)
        listing = c.ask("/inside/../").body + c.ask("/inside/").body
        check(b"out-absolute" not in listing, "a link that leads outside in a listing")
    with Server("--follow-symlinks") as server:
        c = Conn(server)
        for target, body in ("/in", b"x"), ("/out", b"SECRET"), ("/out-absolute", b"SECRET"), ("/up/secret",
                b"SECRET"), ("/absolute-in", b"x"):
            same(target, c.ask(target).body, body)
        for target in "/loop", "/nowhere": same(target, c.ask(target).status, 404)
        same("dots are no links", c.ask("/inside/../index.html").status in (400, 404), True)

def slow(server, name, head=300_000, bufsize=65536):
    """A client that has taken so much of a file and now waits. Connection, what it has, the length that was said."""
    c = Conn(server, bufsize)
    c.send(name)
    a = c.head()
    same(name, a.status, 200)
    while len(c.rest) < head: check(c.more(65536), "ended early")
    return c, int(a["Content-Length"])

@case
def cut_while_sent():
    """A file that is cut short while it is sent: the connection ends early, and every byte that came is the file's."""
    size = 24 << 20
    data = noise(1 << 20, 9) * 24
    put("film.bin", data), put("small.txt", "alive")
    with Server() as server:
        for to in 0, 1 << 20, (3 << 20) + 4096, 16 << 20:
            with open(path("film.bin"), "wb") as file: file.write(data)
            readers = [slow(server, "/film.bin") for _ in range(3)]
            time.sleep(0.1)
            os.truncate(path("film.bin"), to)
            for c, length in readers:
                got = all_of(c, length)
                same("the length that was said", length, size)
                check(len(got) < length, "as long as was said, although the file was cut")
                check(got == data[:len(got)], "wrong bytes at", next((i for i in range(len(got)) if got[i] != data[i]),
                    -1), "cut to", to)
                c.close()
            same("alive", Conn(server).ask("/small.txt").body, b"alive")
            same("cut", len(Conn(server).ask("/film.bin").body), to)

@case
def replaced_while_sent():
    """Replaced by another file, or removed: what is sent is the old one's, whole or cut short."""
    size = 32 << 20
    data, other = noise(1 << 20, 9) * 32, noise(1 << 20, 10) * 32
    put("small.txt", "alive")
    with Server() as server:
        for how in "replaced", "removed":
            put("film.bin", data)
            c, length = slow(server, "/film.bin")
            if how == "removed": os.remove(path("film.bin"))
            else:
                put("film.new", other)
                os.replace(path("film.new"), path("film.bin"))
            got = all_of(c, length)
            check(got == data[:len(got)] and len(got) <= length, how, "wrong bytes")
            c.close()
            a = Conn(server).ask("/film.bin")
            check(a.status == 404 if how == "removed" else a.body == other, how, a.head)
            same("alive", Conn(server).ask("/small.txt").body, b"alive")

@case
def grown_while_sent():
    """Appended to while it is sent: so much as was said, then the next answer."""
    data = put("log.txt", noise(1 << 20, 9) * 16)
    put("small.txt", "alive")
    with Server() as server:
        c, length = slow(server, "/log.txt")
        with open(path("log.txt"), "ab") as file: file.write(b"more" * 100_000)
        got = all_of(c, length)
        check(got[:length] == data[:len(got)] and len(got) <= length, "wrong bytes")
        if len(got) == length:
            c.rest = b""
            c.send("/small.txt")
            same("the next answer", c.hear().body, b"alive")

# ---- listings

def servable(name):
    """fastserve.h, fsi_entity_path, without what Windows alone takes for something else."""
    try: text = name.decode()
    except UnicodeDecodeError: return False
    if any(ord(ch) < 32 or ch in "\\\x7f"
            for ch in text) or "%2f" in text.lower() or text.lower() == "..namedfork": return False
    return not re.match("[.\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]", text) # HFS+ passes over these: hidden

class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.tags = [], set()
    def handle_starttag(self, tag, fields):
        self.tags.add(tag)
        if tag == "a": self.links.append(dict(fields).get("href"))

@case
def listings():
    """Names with every byte that can be in one: what is served is listed, links lead to it, nothing is markup."""
    names = {b"b%c.txt" % byte for byte in range(1, 256) if byte != 47} | {b"%c" % byte for byte in range(1, 256)
        if byte not in (46, 47)}
    names |= {s.encode() for s in ("<img src=x onerror=alert(1)>.txt", "&amp;.txt", "&lt;b&gt;", "'\"quotes'.txt",
        "a%41.txt", "100%.txt", "a%2Fb.txt", "a%2e%2e", "q?x=1", "h#x", "a+b c",
                                   "über.txt", "日本語.txt", "🙂.txt", " front", "x;y=z", "a&b=c", "javascript.txt", "--",
                                       "~", "~x", "a~1x", "e\u0301.txt", "\u202egnp.exe", "\ufeffbom", "x" * 255,
                                   "é" * 127, "{}[]^`|", "con.txt", "aux", "dot.", "space ", "a:b", "ALONGF~1.TXT",
                                       "http:", "mailto:x@y", "..a", "...", "@home", "a,b", "$x", "(1)", "!", "=",
                                       "data,text")} | {b"\xff\xfe.txt", b"\xc3(", b"\xed\xa0\x80"}
    os.makedirs(path(""), exist_ok=True)
    for i, name in enumerate(sorted(names)): put(name, b"file %d" % i)
    os.makedirs(path(b"folder & more/inner")), os.makedirs(path(b"empty"))
    bodies = {name: b"file %d" % i for i, name in enumerate(sorted(names))}
    must = {name for name in names if servable(name)}
    with Server() as server:
        c = Conn(server)
        a = c.ask("/", {"Accept": "text/html"})
        same("the listing", (a.status, a["Content-Type"]), (200, "text/html; charset=utf-8"))
        page = Links()
        page.feed(a.body.decode())
        check("img" not in page.tags, "a name became markup")
        b = c.ask("/", {"Accept": "application/json"})
        same("as JSON", (b.status, b["Content-Type"].split(";")[0]), (200, "application/json"))
        told = json.loads(b.body.decode())
        entries = told if isinstance(told, list) else next(v for v in told.values() if isinstance(v, list))
        listed = {}
        for e in entries: listed[e["name"].rstrip("/")] = e
        missing = {n.decode() for n in must} - set(listed)
        check(not missing, "not listed as JSON:", sorted(missing))
        for name, e in listed.items():
            if name in ("folder & more", "empty"): continue
            same(f"size of {name!r}", e["size"], len(bodies[name.encode()]))
            got = c.ask("/" + urllib.parse.quote(name.encode(), safe=""))
            same(f"what is listed as {name!r}", (got.status, got.body), (200, bodies[name.encode()]))
        followed = set()
        for link in page.links:
            target = urllib.parse.urljoin("http://h/", link)
            check(target.startswith("http://h/"), "a link that leads elsewhere:", link)
            url = urllib.parse.urlsplit(target)
            got = c.ask(url.path + ("?" + url.query if url.query else ""))
            check(got.status in (200, 301), "a link of the listing:", link, got.head)
            name = urllib.parse.unquote_to_bytes(url.path)[1:]
            if name in bodies:
                same(f"the link of {name}", got.body, bodies[name])
                followed.add(name)
        check(not must - followed, "without a link:", sorted(must - followed))
        a = c.ask("/folder%20&%20more/")
        check(a.status == 200 and b"folder &amp; more" in a.body, "the name of the folder in its listing:", a.body)
        check(c.ask("/empty/").status == 200, "an empty folder")
        same("HEAD of a listing", c.ask("/", method="HEAD").status, 200)
        for accept in "application/json;q=0, text/html", "text/html, application/json;q=0.1", "*/*", None:
            same(f"Accept: {accept}", c.ask("/empty/", {"Accept": accept})["Content-Type"].split(";")[0], "text/html")
        for name in sorted(names - must):
            got = c.ask("/" + urllib.parse.quote(name, safe=""))
            check(got.status in (400, 404), f"{name}, which is refused:", got.head)

@case
def listings_share_memory():
    """Large listings that nobody reads are refused beyond their share, and not made first; small ones come, files too."""
    count, name = 12_000, "&" * 245 # 24 MB of HTML
    put("x.txt", "x"), put("few/y.txt", "y"), os.makedirs(path("many"))
    for i in range(count): os.close(os.open(path(b"many/%05d" % i + name.encode()), os.O_CREAT | os.O_WRONLY, 0o644))
    with Server() as server:
        c = Conn(server)
        same("the listing", c.ask("/many/?format=json").body.count(b'"name"'), count)
        for round in range(2):
            slow = [Conn(server, 4096) for _ in range(16)]
            for one in slow: one.send("/many/", {"Accept": "text/html"})
            heads = []
            for one in slow:
                heads.append(one.head())
                same("a small one beside them", c.ask("/few/").status, 200)
                same("a file beside them", c.ask("/x.txt").body, b"x")
            got = {a.status for a in heads}
            check(503 in got and got <= {200, 503}, "what large ones get:", got)
            same("Retry-After", {a["Retry-After"] for a in heads if a.status == 503}, {"1"})
            for a in heads: check(a.status == 503 or int(a["Content-Length"]) > 20_000_000, "a large one:", a.head)
            if os.path.exists(f"/proc/{server.process.pid}/status"):
                most = next(int(x.split()[1]) for x in open(f"/proc/{server.process.pid}/status") if x.startswith("VmHWM"))
                check(most < 262_144, "memory:", most, "kB")
            for one in slow: one.close()
            end, status = time.time() + 20, 503
            while status == 503 and time.time() < end: status = c.ask("/many/?format=json").status
            same("when they have gone", status, 200)

@case
def access_logs():
    """A line for each answer; nothing of a client's can end one or look like another."""
    put("x.txt", "12345"), put("index.html", "home")
    for form in "common", "combined", "json":
        log = os.path.join(folder, form + ".log")
        with Server("--log", log, "--log-format", form) as server:
            c = Conn(server)
            for _ in range(50): c.ask("/x.txt", {"User-Agent": 'quo"te\\ \x80', "Referer": "http://r/"})
            c.ask("/nothing%0d%0afake%22"), c.ask("/x.txt", {"Range": "bytes=1-2"}), c.ask("/x.txt", method="HEAD")
            os.rename(log, log + ".1")
            server.process.send_signal(signal.SIGHUP)
            end = time.time() + 10
            while not os.path.exists(log) and time.time() < end: time.sleep(0.02)
            check(os.path.exists(log), "not opened again after SIGHUP")
            for _ in range(10): c.ask("/x.txt")
        lines = [line for name in (log + ".1", log) for line in open(name, encoding="latin-1").read().split("\n")[:-1]]
        same(form + ", lines in both files", len(lines), 63)
        for line in lines:
            check(not re.search(r"[\x00-\x1f\x7f-\xff]", line), form, "bytes that are none of a log:", repr(line))
            if form == "json":
                e = json.loads(line)
                check({"status", "method"} <= set(e), "a line without its fields:", line)
            else:
                m = re.fullmatch(r'127\.0\.0\.1 - (-|\S+) \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                    r'"((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)( .*)?', line)
                check(m, form, "a line that is none:", line)
                if form == "combined": check(re.fullmatch(r' "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)".*', m[5] or ""),
                        "a line that is none:", line)
        if form != "json":
            same("the status and bytes", [re.search(r'" (\d+) (\S+)', x).groups() for x in (lines[0], lines[51])],
                [("200", "5"), ("206", "2")])

# ---- the end

def main():
    global folder
    if sys.argv[1:] == ["--list"]: return print("\n".join(cases))
    if len(sys.argv) != 2 or sys.argv[1] not in cases: sys.exit(__doc__)
    folder = os.path.realpath(tempfile.mkdtemp(prefix="fastserve-static-"))
    try:
        os.mkdir(os.path.join(folder, "www"))
        cases[sys.argv[1]]()
    except Wrong as wrong: sys.exit(f"{wrong}")
    finally: shutil.rmtree(folder, ignore_errors=True)

if __name__ == "__main__": main()
