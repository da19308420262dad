#!/bin/sh
# slow_attacks.sh: slowhttptest's four attacks (slow heads, slow bodies, slow readers, ranges) with 200 connections each
# against `serve` with its defaults, while other clients ask 200 times a second: their p99 must stay below 10 ms, and
# each attacking connection must be cut within the deadline that its limit states. By hand, on a quiet machine: 2 minutes.
#
#   FASTSERVE=./fastserve sh tests/slow_attacks.sh [CONNECTIONS]
#
# Needs slowhttptest and curl. Exit: 0 all held, 1 not, 77 it is not installed. What it started has ended when it ends.
set -u
cd "$(dirname "$0")/.." || exit 1
program=$(realpath "${FASTSERVE:-./fastserve}")
count=${1:-200}
dir=$(mktemp -d) || exit 1
server='' attacker='' failed=0
trap 'for pid in $server $attacker; do kill "$pid" 2>/dev/null; done; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
if ! command -v slowhttptest >"$dir/found"; then
    echo 'slow_attacks: skipped, slowhttptest is not installed'
    exit 77
fi

mkdir "$dir/site"
dd if=/dev/zero of="$dir/site/large" bs=1048576 count=20 2>"$dir/dd" || exit 1
echo small >"$dir/site/small"
"$program" serve -p 0 --demo "$dir/site" >"$dir/serve.out" 2>"$dir/serve.err" </dev/null &
server=$!
for _ in $(seq 100); do
    grep -q 'serving .* at' "$dir/serve.out" && break
    sleep 0.05
done
url=$(sed -n 's,.*\(http://[^/]*\)/.*,\1,p' "$dir/serve.out" | head -n 1)
port=${url##*:}

# stat NAME: a counter of the server.
stat() {
    curl -s "http://127.0.0.1:$port/stats" | sed -n "s/^ *\"$1\": \([0-9]*\).*/\1/p"
}

# run NAME DEADLINE COUNTER SLOWHTTPTEST-ARGUMENT...: one attack. COUNTER: what counts those that are cut; - for an attack
# whose requests are simply answered, after which it ends by itself. What a client still has in its own buffer it may
# read for long after it was cut, so it is the server that is asked.
run() {
    for tries in 3 2 1 0; do
        attack "$@" && return
        # Where the generator itself was late, or other guests took the CPUs, the p99 was not the server's: once more.
        grep -qiE 'sent late by this program|other guests of this host' "$dir/bench" || break
        [ "$tries" -eq 0 ] || echo "$1: this machine was too busy to measure; again"
    done
    failed=1
    echo "$1: FAILED"
    sed 's/^/    /' "$dir/bench"
}

attack() {
    name=$1 deadline=$2 counter=$3
    shift 3
    before=0 cut=0
    [ "$counter" = - ] || before=$(stat "$counter")
    began=$(date +%s)
    (cd "$dir" && exec slowhttptest -c "$count" -r "$count" -l $((deadline + 20)) -p 5 -v 1 "$@" >"$dir/attack" 2>&1 </dev/null) &
    attacker=$!
    "$program" bench -R 200 -c 10 -d 9s --slo 'p99<10ms,errors<0.01%' "http://127.0.0.1:$port/small" >"$dir/bench" 2>&1
    while [ $(($(date +%s) - began)) -le "$deadline" ]; do
        if [ "$counter" = - ]; then
            kill -0 "$attacker" 2>/dev/null || cut=$count
        else
            cut=$(($(stat "$counter") - before))
        fi
        [ "$cut" -ge "$count" ] && break
        sleep 0.5
    done
    took=$(($(date +%s) - began))
    open=$(($(stat conns_accepted) - $(stat conns_closed)))
    kill "$attacker" 2>/dev/null
    wait "$attacker" 2>/dev/null
    attacker=''
    p99=$(sed -n 's/.*--slo: p99 \([^ ]*\) .*/\1/p' "$dir/bench")
    echo "$name: $cut of $count gone after $took s of at most $deadline, $open connections open; others' p99 ${p99:-?}"
    [ "$(grep -c -e '--slo: .*: held' "$dir/bench")" -eq 2 ] && [ "$took" -le "$deadline" ] && [ "$cut" -ge "$count" ] &&
        [ "$open" -le 5 ]
}

run 'slow heads' 13 timeouts_head -H -i 2 -x 24 -u "http://127.0.0.1:$port/small"
run 'slow bodies' 22 timeouts_body -B -i 2 -s 8192 -x 10 -t POST -u "http://127.0.0.1:$port/echo"
run 'slow readers' 62 timeouts_send -X -w 512 -y 1024 -n 5 -z 32 -k 3 -u "http://127.0.0.1:$port/large"
run 'ranges' 62 - -R -a 5 -b 3000 -t HEAD -u "http://127.0.0.1:$port/large"
exit "$failed"
