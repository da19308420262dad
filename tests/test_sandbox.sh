#!/bin/sh
# test_sandbox.sh: `serve --sandbox` on Linux: what is served stays so, what is not cannot be reached even where an option
# would let it, and every thread is bound. Where there is no sandbox it says so, with status 2.
#
#   FASTSERVE=./fastserve sh tests/test_sandbox.sh
#
# Needs a C compiler for its client, raw.c. What it started has ended when it ends.
# shellcheck disable=SC2086 # CC may be several words
set -u
cd "$(dirname "$0")/.." || exit 1
program=${FASTSERVE:-./fastserve}
dir=$(mktemp -d) || exit 1
passed=0 failed=0 skipped=0 server=''
trap 'if [ -n "$server" ]; then kill -9 "$server"; fi; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
# The leak checker stops its own process by ptrace, which is forbidden there.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS

# check STATUS TEXT [FILE]: one case; a file is shown where it failed.
check() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $2"
        if [ -n "${3:-}" ]; then sed 's/^/    /' "$3" | head -n 20; fi
    fi
}

end() {
    echo "test_sandbox: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# serve ARGUMENT...: starts a server and waits until it says where it is, or has ended; sets server and at.
serve() {
    : >"$dir/out"
    "$program" serve "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    server=$!
    for _ in $(seq 200); do
        if grep -q 'serving .* at' "$dir/out" || ! kill -0 "$server" 2>/dev/null; then break; fi
        sleep 0.05
    done
    at=$(sed -n 's,.*http://\([^/]*\)/.*,\1,p' "$dir/out" | head -n 1)
}

# stop: ends the server; sets status.
stop() {
    kill "$server" 2>/dev/null
    wait "$server"
    status=$?
    server=''
}

# get PATH STATUS TEXT: one case: that answer comes. UNIX: the path of a socket to ask instead.
get() {
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" | "$dir/raw" "${4:-$at}" >"$dir/reply"
    head -n 1 "$dir/reply" | grep -q "^HTTP/1.1 $2 "
    check $? "$3" "$dir/reply"
}

mkdir "$dir/site" "$dir/site/sub" "$dir/other" "$dir/logs" "$dir/run"
echo inside >"$dir/site/in.txt"
echo outside >"$dir/other/out.txt"
ln -s ../other/out.txt "$dir/site/link.txt"
ln -s ../other "$dir/site/folder"
ln -s in.txt "$dir/site/near.txt"

"$program" serve --sandbox -p 0 "$dir/site" >"$dir/out" 2>"$dir/err" </dev/null &
server=$!
for _ in $(seq 200); do
    if grep -q 'serving' "$dir/out" || ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.05
done
stop
if [ "$status" -eq 2 ]; then
    [ "$(wc -l <"$dir/err")" -eq 1 ] && grep -q -e '--sandbox: ' "$dir/err" && [ ! -s "$dir/out" ]
    check $? 'without a sandbox on this system: status 2 and one line that says so' "$dir/err"
    skipped=$((skipped + 1))
    echo 'SKIP what the sandbox does: there is none on this system'
    end
fi
check "$status" 'it starts, and ends with status 0' "$dir/err"
if ! ${CC:-cc} tests/raw.c -o "$dir/raw" 2>"$dir/err"; then
    check 1 'tests/raw.c compiles' "$dir/err"
    end
fi

serve -p 0 -t 2 --follow-symlinks "$dir/site"
get /link.txt 200 'without it a link that leaves the folder is followed, as asked'
get /folder/ 200 'and a folder is listed by one'
stop
serve -p 0 -t 2 --follow-symlinks --sandbox --demo --log "$dir/logs/log" --mount "/two=$dir/site/sub" "$dir/site"
get /in.txt 200 'a file is served'
get / 200 'a folder is listed'
get /near.txt 200 'a link inside is followed'
get /two/ 200 'the second folder is served'
get /sleep?ms=1 200 'a worker answers'
get /link.txt 403 'a link to a file outside cannot be opened'
get /folder/out.txt 403 'neither one below a folder outside'
get /folder/ 403 'nor that be listed'
for task in /proc/"$server"/task/*; do
    grep -q '^NoNewPrivs:[^0-9]1$' "$task/status" || break
done
check $? 'every thread is bound'
mv "$dir/logs/log" "$dir/logs/old"
kill -HUP "$server"
for _ in $(seq 100); do
    [ -e "$dir/logs/log" ] && break
    get_quiet=$(printf 'GET /in.txt HTTP/1.0\r\n\r\n' | "$dir/raw" "$at" | head -n 1)
    sleep 0.05
done
[ -s "$dir/logs/old" ] && [ -e "$dir/logs/log" ]
check $? "the log is made anew on SIGHUP ${get_quiet:-}" "$dir/err"
stop
[ "$status" -eq 0 ] && [ ! -s "$dir/err" ]
check $? 'it ends with status 0, and says nothing' "$dir/err"

serve -p 0 -t 1 --sandbox --unix "$dir/run/socket" -b 127.0.0.1 "$dir/site"
if [ -S "$dir/run/socket" ]; then
    get /in.txt 200 'over a Unix-domain socket' "unix:$dir/run/socket"
    stop
    [ "$status" -eq 0 ] && [ ! -e "$dir/run/socket" ]
    check $? 'whose file goes when it ends' "$dir/err"
else
    stop
    check 1 'it listens on a Unix-domain socket' "$dir/err"
fi
for model in pool pool-conn thread sync; do
    serve -p 0 --sandbox --model "$model" --demo "$dir/site"
    get /in.txt 200 "--model $model"
    get /stats 200 "--model $model: the demo"
    stop
done
serve --law const:1ms -p 0 --sandbox
get / 200 'with a law'
stop
end
