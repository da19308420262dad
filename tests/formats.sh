#!/bin/sh
# formats.sh: our layouts beside the tools whose layouts they are, and under the expressions by which others read them.
#
#   sh tests/formats.sh [PART]      only the cases whose name contains PART
#
# FASTSERVE names the program (default ./fastserve), SAMPLES the test program that prints layouts of a made-up run (default
# build/test_formats): it stands in wherever `fastserve bench --format` does not print the layout itself. A tool that is not
# installed is skipped, or failed when CI=true. Everything stays on loopback.
set -u
cd "$(dirname "$0")/.." || exit 1
part=${1:-}
program=${FASTSERVE:-./fastserve}
samples=${SAMPLES:-build/test_formats}
dir=$(mktemp -d) || exit 1
passed=0 failed=0 skipped=0
server=
export LC_ALL=C

cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# run NAME TOOL FUNCTION [ARGUMENTS]: one case. The function says in words what was wrong and returns non-zero.
run() {
    name=$1 tool=$2
    shift 2
    case $name in *"$part"*) ;; *) return ;; esac
    if ! command -v "$tool" >/dev/null 2>&1; then
        if [ "${CI:-}" = true ]; then failed=$((failed + 1)) && echo "FAIL $name: $tool is not installed"
        else skipped=$((skipped + 1)) && echo "SKIP $name: $tool is not installed"; fi
    elif reason=$("$@" 2>&1); then passed=$((passed + 1)) && echo "PASS $name"
    else failed=$((failed + 1)) && echo "FAIL $name: $reason"; fi
}

# skeleton FIRST: what is left of a layout without its numbers, from the line on that begins with FIRST. A number becomes as many
# 9s as it has decimals, in a table with the width of its column; numbers that are labels (50%, 2xx) stay.
cat >"$dir/skeleton.py" <<'PY'
import re, sys
on = False
for line in sys.stdin.read().split("\n"):
    on = on or line.startswith(sys.argv[1])
    if not on:
        continue
    decimals = lambda number: "9" + ("." + "9" * len(number.split(".")[1]) if "." in number else "")
    if re.match(r"(Connect|Processing|Waiting|Total): +\d", line) or re.match(r" +\d+% ", line):
        label, rest = re.match(r"( *\d+%|\w+:)(.*)", line).groups()
        line = label + re.sub(r" +[\d.]+", lambda m: "<%d:%s>" % (len(m.group()), decimals(m.group().strip())), rest)
    elif not re.match(r"Server|Document", line):  # these are the target's
        line = re.sub(r"\d+(\.\d+)?(?![\dx^])", lambda m: decimals(m.group()), line)
    if not re.match(r"Server|Document Path", line):
        print(line)
PY
skeleton() { python3 "$dir/skeleton.py" "$1"; }

# same FIRST WANT GOT
same() {
    skeleton "$1" <"$2" >"$dir/want"
    skeleton "$1" <"$3" >"$dir/got"
    [ -s "$dir/want" ] || { echo "no line begins with '$1' in: $(cat "$2")"; return 1; }
    diff "$dir/want" "$dir/got"
}

# ours LAYOUT RUN MARK ARGUMENTS: the layout from a real run, if its first line has MARK, else from the made-up one.
ours() {
    layout=$1 sample=$2 mark=$3
    shift 3
    "$program" bench -q --format "$layout" "$@" >"$dir/ours" 2>"$dir/ours.err"
    head -n 1 "$dir/ours" | grep -q "$mark" || "$samples" --sample "$layout" "$sample" >"$dir/ours"
}

: >"$dir/serve.log"
"$program" serve -p 0 >>"$dir/serve.log" 2>&1 &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    grep -q 'http://' "$dir/serve.log" && break
    sleep 0.25
done
port=$(sed -nE 's,.*http://(127\.0\.0\.1|localhost):([0-9]+).*,\2,p' "$dir/serve.log" | head -n 1)
url=http://127.0.0.1:$port
if [ -z "$port" ]; then
    echo "FAIL serve: it did not say where it listens: $(cat "$dir/serve.log")"
    echo "formats: 0 passed, 1 failed"
    exit 1
fi

# ---- beside the tools -----------------------------------------------------------------------------------

beside_ab() {
    ab -k -n 200 -c 2 "$url/" >"$dir/ab" 2>"$dir/err" || { cat "$dir/err"; return 1; }
    ours ab thousand ApacheBench -n 200 -c 2 "$url/"
    same 'Server Software' "$dir/ab" "$dir/ours" && grep -q '^Benchmarking 127.0.0.1 (be patient)' "$dir/ours"
}
run beside_ab ab beside_ab

beside_ab_post() {
    printf 'a=1&b=2' >"$dir/body"
    ab -k -n 200 -c 2 -p "$dir/body" -T application/x-www-form-urlencoded "$url/echo" >"$dir/ab" 2>"$dir/err" ||
        { cat "$dir/err"; return 1; }
    ours ab thousand ApacheBench -n 200 -c 2 -f "$dir/body" "$url/echo"
    same 'Server Software' "$dir/ab" "$dir/ours" && grep -q '^Total body sent: ' "$dir/ours"
}
run beside_ab_post ab beside_ab_post

beside_httperf() {
    httperf --server 127.0.0.1 --port "$port" --uri / --num-conns 50 --num-calls 4 >"$dir/httperf" 2>/dev/null
    ours httperf thousand httperf -n 200 -c 2 "$url/"
    same 'Total:' "$dir/httperf" "$dir/ours"
}
run beside_httperf httperf beside_httperf

# Units differ with the values, and with them the blanks before and behind.
beside_wrk() {
    wrk -t1 -c2 -d1 --latency "$url/" >"$dir/wrk" || return 1
    "$program" bench -q -t1 -c2 -d1 --latency "$url/" >"$dir/ours" 2>&1 || { cat "$dir/ours"; return 1; }
    for file in wrk ours; do # ours has lines of its own behind an empty one
        sed -E '/^$/,$d; 1,2!s/[0-9]+\.[0-9][0-9](us|ms|s|k|M|B|KB|MB|GB|%)?/N/g; s/[0-9]+ requests/N requests/; s/([^ ])  +/\1 /g; s/ +$//' \
            "$dir/$file" >"$dir/$file.skeleton"
    done
    diff "$dir/wrk.skeleton" "$dir/ours.skeleton"
}
run beside_wrk wrk beside_wrk

# ---- read by others -------------------------------------------------------------------------------------

# Node's benchmark runner and TechEmpower's toolset: one rate; one line of Latency with exactly four values with units; the counts.
cat >"$dir/read.py" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
rates = re.findall(r"Requests\/sec:[ \t]+([0-9.]+)", text)
assert len(rates) == 1 and float(rates[0]) > 0, ("Requests/sec", rates)
four = [line for line in text.split("\n") if "Latency" in line and len(re.findall(r"[0-9]+\.*[0-9]*(?:us|ms|s|m|%)+", line)) == 4]
assert len(four) == 1 and four[0].startswith("    Latency "), ("Latency", four)
rows = [line for line in text.split("\n") if "Req/Sec" in line]
assert len(rows) == 1 and len(re.findall(r"([0-9]+\.*[0-9]*[k|%]*)", rows[0])) == 4, ("Req/Sec", rows)
counts = [line for line in text.split("\n") if "requests in" in line]
assert len(counts) == 1 and int(re.search(r"([0-9]+) requests in", counts[0]).group(1)) > 0, ("requests in", counts)
for line in text.split("\n"):
    if "Socket errors" in line:
        assert all(re.search(word + " ([0-9]+)", line) for word in ("connect", "read", "write", "timeout")), line
    if "Non-2xx" in line:
        assert re.search(r"Non-2xx or 3xx responses: ([0-9]+)", line), line
PY

# wrk's layout as it is, and with everything else that may be printed around it.
read_wrk() {
    "$program" bench -q -t1 -c2 -d1 --latency "$url/" >"$dir/plain" 2>&1 || { cat "$dir/plain"; return 1; }
    python3 "$dir/read.py" "$dir/plain" || return 1
    for layout in wrk2u histogram; do
        cp "$dir/plain" "$dir/all"
        "$samples" --sample "$layout" open >>"$dir/all" || return 1
        python3 "$dir/read.py" "$dir/all" || { echo "with $layout"; return 1; }
    done
}
run read_wrk python3 read_wrk

# What is not read as wrk's is said of a target with another status, too.
read_non_2xx() {
    "$program" bench -q -t1 -c2 -n 50 "$url/nowhere" >"$dir/plain" 2>/dev/null
    grep -q '^  Non-2xx or 3xx responses: 50$' "$dir/plain" || { cat "$dir/plain"; return 1; }
    python3 "$dir/read.py" "$dir/plain"
}
run read_non_2xx python3 read_non_2xx

# The plotter of hdrhistogram.org: rows of four numbers split at blanks, without those that begin with #.
cat >"$dir/plot.py" <<'PY'
import sys
rows = []
for line in sys.stdin:
    fields = line.split()
    if line.startswith("#") or len(fields) != 4 or fields[0] == "Value":
        continue
    rows.append([float(field) for field in fields])
assert len(rows) > 50, len(rows)
for before, after in zip(rows, rows[1:]):
    assert before[0] <= after[0] and before[1] < after[1] and before[2] <= after[2] and before[3] < after[3], (before, after)
for value, share, count, inverse in rows:
    assert abs(inverse - 1 / (1 - share)) <= 0.005 + 1e-6 * inverse, (share, inverse)
PY
read_hgrm() { "$samples" --sample hgrm open | python3 "$dir/plot.py"; }
run read_hgrm python3 read_hgrm

# ab's users take these out of its output with grep and awk.
read_ab() {
    "$samples" --sample ab open >"$dir/ours" || return 1
    [ "$(awk '/^Requests per second:/ { print $4 }' "$dir/ours")" = 20000.00 ] || { echo rate; return 1; }
    [ "$(awk '/^Failed requests:/ { print $3 }' "$dir/ours")" = 120 ] || { echo failed; return 1; }
    [ "$(awk '$1 == "99%" { print $2 }' "$dir/ours")" -gt 600 ] || { echo 99%; return 1; }
}
run read_ab awk read_ab

if [ $((passed + failed + skipped)) -eq 0 ]; then
    echo "no case has '$part' in its name"
    failed=1
fi
echo "formats: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
