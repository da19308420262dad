#!/bin/sh
# static_large.sh: `fastserve serve DIR` where there is much of something: 1,000 slow readers of a file of 1 GiB, a tree
# of 100,000 files, a folder of 50,000 names, files beyond 4 GiB.
#
#   sh tests/static_large.sh [PART]       only the cases whose name contains PART
#
# FASTSERVE names the program (default ./fastserve), READERS what tests/slow_readers.c became (build/slow_readers). By
# hand, on a quiet machine: two to three minutes, and 600 MB of disk in TMPDIR for the names; large files are sparse.
# Needs Linux, curl and python3. What others feel is the 99th percentile of `fastserve bench -R 2000 -c 20` on a small
# file.
# shellcheck disable=SC2015 # A && B || fail
set -u
cd "$(dirname "$0")/.." || exit 1
part=${1:-}
program=${FASTSERVE:-./fastserve} readers=${READERS:-build/slow_readers}
dir=$(mktemp -d) || exit 1
passed=0 failed=0
servers=
export LC_ALL=C

cleanup() {
    for pid in $servers; do kill "$pid" 2>/dev/null; done
    for pid in $servers; do wait "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

for tool in curl python3; do
    command -v $tool >/dev/null || { echo "SKIP static_large: $tool is not installed" && exit 0; }
done
[ -r /proc/self/smaps_rollup ] || { echo 'SKIP static_large: no /proc/PID/smaps_rollup here' && exit 0; }

# run NAME FUNCTION: one case. The function prints figures, says what was wrong and returns non-zero.
run() {
    case $1 in *"$part"*) ;; *) return ;; esac
    start
    if "$2" >"$dir/said" 2>&1 && kill -0 "$server"; then passed=$((passed + 1)) && echo "PASS $1"
    else failed=$((failed + 1)) && echo "FAIL $1"; fi
    sed 's/^/    /' "$dir/said"
    kill "$server"
    wait "$server" || { failed=$((failed + 1)) && echo "FAIL $1: the server ended with status $?"; }
}
start() {
    mkdir -p "$dir/www"
    : >"$dir/serve.log"
    "$program" serve "$dir/www" -p 0 >"$dir/serve.log" 2>&1 &
    server=$! servers="$servers $!"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        port=$(sed -nE 's,.*http://(127\.0\.0\.1|localhost):([0-9]+).*,\2,p' "$dir/serve.log" | head -n 1)
        [ -n "$port" ] && return
        sleep 0.2
    done
    cat "$dir/serve.log"
    exit 1
}

# p99 SECONDS: microseconds of the answer, and of the service alone, to a small file.
p99() {
    "$program" bench -R 2000 -c 20 -d "$1s" -q --json "$dir/bench.json" "http://127.0.0.1:$port/small.txt" \
        >"$dir/bench.out" 2>&1
    code=$?
    [ $code -le 2 ] || { echo "bench: exit status $code: $(tail -n 3 "$dir/bench.out")" && return 1; }
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))["latency_us"]
print(*(round(d[k]["p99"]) for k in ("response", "service")))' "$dir/bench.json"
}
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
anonymous() { awk '/^Anonymous:/ { print $2 }' "/proc/$server/smaps_rollup"; }
socket_pages() { awk '/^TCP:/ { for (i = 1; i < NF; i++) if ($i == "mem") print $(i + 1) }' /proc/net/sockstat; }
# ratio WITH WITHOUT: one as so many times the other; worse WITH WITHOUT LIMIT: whether it is beyond that.
ratio() { echo "$1 $2" | awk '{ printf "%.2f times", $1 / $2 }'; }
worse() { [ "$(echo "$1 $2 $3" | awk '{ print ($1 > $2 * $3) }')" = 1 ]; }

mkdir "$dir/www"
echo 'a small file' >"$dir/www/small.txt"

# ---- 1,000 slow readers

slow_readers() {
    truncate -s 1G "$dir/www/large"
    : >"$dir/with" && : >"$dir/without"
    mkfifo "$dir/hold"
    p99 1 >/dev/null
    for round in 1 2 3 4 5; do
        p99 4 >>"$dir/without" || return 1
        before=$(anonymous) pages=$(socket_pages)
        "$readers" "$port" /large 1000 16384 <"$dir/hold" >"$dir/readers" 2>&1 &
        slow=$!
        exec 9>"$dir/hold"
        for _ in $(seq 100); do grep -q ready "$dir/readers" && break; sleep 0.1; done
        p99 4 >>"$dir/with" || return 1
        after=$(anonymous) busy=$(socket_pages)
        exec 9>&-
        wait $slow || { cat "$dir/readers" && return 1; }
        [ "$round" = 1 ] || continue
        each=$(((after - before) * 1024 / 1000))
        echo "anonymous memory of the server: $before kB, with 1,000 readers $after kB: $each bytes for each;" \
            "sockets of all programs: $((pages * 4)) kB, $((busy * 4)) kB"
        tail -n 1 "$dir/readers"
    done
    with=$(median <"$dir/with") without=$(median <"$dir/without")
    echo "p99 of others, median of 5 rounds: $without us, with the readers $with us ($(ratio "$with" "$without"));" \
        "service alone $(awk '{ print $2 }' "$dir/without" | median) us, $(awk '{ print $2 }' "$dir/with" | median) us"
    [ "$each" -lt 65536 ] || { echo 'too much memory' && return 1; }
    worse "$with" "$without" 2 && echo 'others are disturbed' && return 1
    return 0
}
run slow-readers slow_readers
rm -f "$dir/www/large"

# ---- 100,000 files

cat >"$dir/tree.py" <<'PY'
import os, socket, sys, time
root, port, server, count, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
begun = time.time()
for i in range(count):
    folder = f"{root}/{i // 1000:03}"
    if i % 1000 == 0: os.makedirs(folder, exist_ok=True)
    fd = os.open(f"{folder}/{i % 1000}.txt", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"file %d" % i)
    if size: os.truncate(fd, size)
    os.close(fd)
made = time.time()
rss = lambda: next(int(x.split()[1]) for x in open(f"/proc/{server}/status") if x.startswith("VmRSS"))
fds = lambda: len(os.listdir(f"/proc/{server}/fd"))
rss_before, most, slowest = rss(), 0, 0
ask = b"GET /tree/%03d/%d.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n" + (b"Range: bytes=0-99\r\n" if size else b"") + b"\r\n"
s = socket.create_connection(("127.0.0.1", port))
s.settimeout(30)
data = b""
for first in range(0, count, 20): # 20 of them at a time
    at = time.time()
    s.sendall(b"".join(ask % (i // 1000, i % 1000) for i in range(first, first + 20)))
    for i in range(first, first + 20):
        want = b"file %d" % i
        if size: want = want.ljust(100, b"\0")
        while b"\r\n\r\n" not in data: data += s.recv(65536) or sys.exit("the connection ended")
        head, data = data.split(b"\r\n\r\n", 1)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
        while len(data) < length: data += s.recv(65536) or sys.exit("the connection ended")
        if not head.startswith(b"HTTP/1.1 20") or data[:length] != want: sys.exit(f"file {i}: {head} {data[:length]}")
        data = data[length:]
    slowest = max(slowest, time.time() - at)
    if first % 1000 == 0: most = max(most, fds())
asked = time.time()
print(f"{count} files made in {made - begun:.1f} s, each asked once in {asked - made:.1f} s,",
      f"20 at a time take at most {slowest * 1000:.0f} ms;", f"resident memory {rss_before} kB, afterwards {rss()} kB;",
      f"at most {most} descriptors")
PY
tree() {
    python3 "$dir/tree.py" "$dir/www/tree" "$port" "$server" 100000 0
}
tree_large() { # sent from the disk, so each is opened
    python3 "$dir/tree.py" "$dir/www/tree" "$port" "$server" 20000 200000
}
run tree tree
rm -rf "$dir/www/tree"
run tree-of-large-files tree_large
rm -rf "$dir/www/tree"

# ---- a folder of 50,000 names

listing() {
    mkdir "$dir/www/many"
    (cd "$dir/www/many" && seq -f 'name of file %.0f.txt' 50000 | xargs -d '\n' touch)
    curl -s -o "$dir/listing" "http://127.0.0.1:$port/many/" # what is slow for the first time
    p99 1 >/dev/null
    : >"$dir/with" && : >"$dir/without"
    for _ in 1 2 3; do
        p99 4 >>"$dir/without" || return 1
        (
            end=$(($(date +%s) + 4))
            while [ "$(date +%s)" -lt $end ]; do
                curl -s -o "$dir/listing" -w '%{time_total} %{size_download}\n' "http://127.0.0.1:$port/many/" \
                    >>"$dir/took"
                sleep 0.2
            done
        ) &
        lister=$!
        p99 4 >>"$dir/with" || return 1
        wait $lister
    done
    echo "a listing of 50,000 names takes $(awk '{ print $1 * 1000 }' "$dir/took" | median) ms" \
        "(median of $(wc -l <"$dir/took")), $(tail -n 1 "$dir/took" | cut -d ' ' -f 2) bytes"
    [ "$(grep -o 'name%20of%20file' "$dir/listing" | wc -l)" -ge 50000 ] || { echo 'names are missing' && return 1; }
    curl -s -H 'Accept: application/json' "http://127.0.0.1:$port/many/" |
        python3 -c 'import json, sys; d = json.load(sys.stdin)
names = {e["name"] for e in (d if isinstance(d, list) else next(v for v in d.values() if isinstance(v, list)))}
sys.exit(names != {f"name of file {i}.txt" for i in range(1, 50001)} and "the names as JSON are not those")' || return 1
    with=$(median <"$dir/with") without=$(median <"$dir/without")
    echo "p99 of others, median of 3 rounds: $without us, while it is listed again and again $with us" \
        "($(ratio "$with" "$without"))"
    worse "$with" "$without" 5 && [ "$with" -gt 5000 ] && echo 'others are disturbed' && return 1
    return 0
}
run listing listing
rm -rf "$dir/www/many"

# ---- beyond 4 GiB

sparse() {
    python3 - "$dir/www/sparse" <<'PY' || return 1
import sys
with open(sys.argv[1], "wb") as file:
    for at in (0, 2**31 - 8, 2**32 - 8, 9 * 2**30 - 16):
        file.seek(at)
        file.write(b"mark%012x" % at)
PY
    size=9663676416 url=http://127.0.0.1:$port/sparse
    curl -sI "$url" | tr -d '\r' | grep -qx "Content-Length: $size" || { echo 'the length of HEAD' && return 1; }
    for at in 0 2147483640 4294967288 9663676400; do
        got=$(curl -s -r $at-$((at + 15)) "$url")
        [ "$got" = "mark$(printf %012x $at)" ] || { echo "at $at: $got" && return 1; }
    done
    [ "$(curl -s -r -16 "$url")" = mark00023ffffff0 ] || { echo 'suffix' && return 1; }
    curl -s -r 4294967288-4294967303,9663676400- "$url" | tr -d '\0' >"$dir/parts"
    grep -q mark0000fffffff8 "$dir/parts" &&
        grep -q "Content-Range: bytes 9663676400-9663676415/$size" "$dir/parts" || { cat "$dir/parts" && return 1; }
    [ "$(curl -s -o /dev/null -w '%{http_code}' -r $size- "$url")" = 416 ] || { echo 'outside' && return 1; }
    begun=$(date +%s%N)
    [ "$(curl -s -r 4294967290- "$url" | wc -c)" = $((size - 4294967290)) ] || { echo '5 GiB from there' && return 1; }
    echo "5 GiB from beyond 4 GiB in $((($(date +%s%N) - begun) / 1000000)) ms"
    truncate -s $((size - 100)) "$dir/resumed"
    curl -s -C - -o "$dir/resumed" "$url"
    [ "$(wc -c <"$dir/resumed")" = $size ] && [ "$(tail -c 16 "$dir/resumed")" = mark00023ffffff0 ] ||
        { echo 'resumed' && return 1; }
    rm "$dir/resumed"
}
run beyond-4-GiB sparse

echo "static_large: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
