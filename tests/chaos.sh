#!/bin/sh
# chaos.sh: a sanitized server under load while other clients misbehave; see chaos.c.
#
#   sh tests/chaos.sh [SECONDS] [SEED]
#
# FASTSERVE names the server (default build/asan/fastserve), CHAOS the client (default build/chaos). The well-behaved
# load comes from wrk where it is installed, else from ./fastserve bench.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-20}
seed=${2:-$(date +%s)}
program=${FASTSERVE:-build/asan/fastserve}
chaos=${CHAOS:-build/chaos}
dir=$(mktemp -d) || exit 1
passed=0 failed=0
server=

cleanup() {
    [ -n "$server" ] && kill -9 "$server" 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# verdict STATUS TEXT [FILE]: one case; a file is shown where it failed.
verdict() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        echo "PASS $2"
    else
        failed=$((failed + 1))
        echo "FAIL $2"
        [ -n "${3:-}" ] && tail -n 40 "$3"
    fi
}

: >"$dir/serve.log"
UBSAN_OPTIONS=print_stacktrace=1 "$program" serve -p 0 -t 2 --head-timeout 1s --idle-timeout 5s >>"$dir/serve.log" 2>&1 &
server=$!
port=
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    port=$(sed -nE 's,.*http://(127\.0\.0\.1|localhost):([0-9]+).*,\2,p' "$dir/serve.log" | head -n 1)
    [ -n "$port" ] && break
    sleep 0.25
done
if [ -z "$port" ]; then
    verdict 1 'the server starts' "$dir/serve.log"
    echo "chaos: $passed passed, $failed failed"
    exit 1
fi

echo "port $port, $seconds s, seed $seed"
if command -v wrk >/dev/null; then set -- wrk; else set -- ./fastserve bench; fi
"$@" -t1 -c20 -d"${seconds}s" "http://127.0.0.1:$port/" >"$dir/steady" 2>&1 &
steady=$!
"$chaos" "$port" "$seconds" "$seed" >"$dir/chaos" 2>&1
verdict $? 'chaos came, went, and the server still answers' "$dir/chaos"
cat "$dir/chaos"

wait "$steady" && grep -q 'Requests/sec' "$dir/steady" && ! grep -E 'Socket errors|Non-2xx' "$dir/steady"
verdict $? 'well-behaved clients noticed nothing' "$dir/steady"
grep 'requests in' "$dir/steady"

kill "$server"
wait "$server"
status=$?
server=
verdict "$status" "the server ends on SIGTERM (exit status $status)" "$dir/serve.log"
! grep -E 'ERROR: [A-Za-z]*Sanitizer|WARNING: [A-Za-z]*Sanitizer|runtime error:' "$dir/serve.log"
verdict $? 'no sanitizer spoke' "$dir/serve.log"

echo "chaos: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
