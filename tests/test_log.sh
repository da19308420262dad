#!/bin/sh
# test_log.sh: the access log of serve as its readers see it: the three formats, hostile clients, rotation under load, a
# full disk, pipes that nobody reads.
#
#   FASTSERVE=./fastserve sh tests/test_log.sh
#
# Needs a C compiler for its client, raw.c. What it started has ended when it ends.
# shellcheck disable=SC2086,SC2317 # CC may be several words; functions are handed to until_
set -u
cd "$(dirname "$0")/.." || exit 1
program=${FASTSERVE:-./fastserve}
dir=$(mktemp -d) || exit 1
passed=0 failed=0 skipped=0
server='' second='' reader=''

cleanup() {
    for pid in $server $second $reader; do kill -9 "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# check STATUS TEXT [FILE]: one case; a file is shown where it failed.
check() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $2"
        if [ -n "${3:-}" ]; then cut -c 1-300 "$3" | sed 's/^/    /' | head -n 20; fi
    fi
}

# skip REASON TEXT...: cases that this system does not have.
skip() {
    skip_reason=$1
    shift
    for skip_text in "$@"; do
        skipped=$((skipped + 1))
        echo "SKIP $skip_text: $skip_reason"
    done
}

# What ends a program (test_cli.sh says why). Windows has no SIGHUP either: there a log follows when its file is renamed.
case $program in
*windows* | *msvc* | *.exe) term=INT windows=yes ;;
*) term=TERM windows= ;;
esac

# until COMMAND...: waits for what a program does; its status is the command's.
until_() {
    for _ in $(seq 400); do
        "$@" && return 0
        sleep 0.05
    done
    return 1
}

# begin ARGUMENT...: starts a server whose standard output is $out and waits until it says where it is; sets server and at.
begin() {
    : >"$dir/out"
    : >"$dir/err"
    "$program" serve -p 0 -b 127.0.0.1 "$@" >"${out:-$dir/out}" 2>"$dir/err" </dev/null 4<&- 5<&- &
    server=$! # which has no end of the pipe that this script reads
    until_ said || return 1
    at=$(cat "$dir/out" "$dir/err" | sed -n 's,.*http://\([^ ]*\)/.*,\1,p' | head -n 1)
}
said() { grep -q 'serving the .* at' "$dir/out" "$dir/err" || ! kill -0 "$server" 2>/dev/null; }

# ended: waits until the server has ended, or ends it in the end; sets status.
ended() {
    until_ gone || kill -9 "$server"
    wait "$server"
    status=$?
    server=''
}
gone() { ! kill -0 "$server" 2>/dev/null; }

# stop: asks the server to end.
stop() {
    kill -s "$term" "$server"
    ended
}

# ask TEXT: sends TEXT (of printf) to the server; sets status and $dir/reply.
ask() {
    # shellcheck disable=SC2059 # the text is a format on purpose
    printf "$1" | "$dir/raw" "$at" >"$dir/reply"
    status=$?
}

# answered COUNT: whether bench got so many good answers; on a busy machine its times may be no good.
answered() { grep -q "^  $1 requests in " "$dir/bench" && ! grep -qE 'Non-2xx|Socket errors' "$dir/bench"; }

# load COUNT ARGUMENT...: so many requests for /?0, /?1 ..., all of which are answered.
load() {
    count=$1
    shift
    "$program" bench -q -t 1 -c 4 -n "$count" "$@" "http://$at/?{i}" >"$dir/bench" 2>&1
    answered "$count"
}

# wrong ARGUMENT...: serve refuses them in one line, with status 1.
wrong() {
    "$program" serve -p 0 "$@" >"$dir/out" 2>"$dir/err" </dev/null
    [ $? -eq 1 ] && [ "$(wc -l <"$dir/err")" -eq 1 ] && [ ! -s "$dir/out" ]
}

if ! ${CC:-cc} tests/raw.c -o "$dir/raw" 2>"$dir/err"; then
    check 1 'tests/raw.c compiles' "$dir/err"
    echo "test_log: $passed passed, $failed failed, $skipped skipped"
    exit 1
fi

# ---- options

wrong --log-format json && grep -q -e '--log-format: wants --log' "$dir/err"
check $? '--log-format without --log is a mistake' "$dir/err"
wrong --log "$dir/log" --log-format xml && grep -q 'common, combined or json' "$dir/err"
check $? 'a format that there is not is a mistake that names those that there are' "$dir/err"
wrong --log "$dir" && grep -q "cannot write the log $dir: " "$dir/err"
check $? 'a folder is no log' "$dir/err"
if [ -z "$windows" ]; then
    "$program" serve -p 0 --log - >&- 2>"$dir/err" </dev/null &
    server=$!
    ended
    [ "$status" -eq 1 ] && grep -q 'cannot write the log -: ' "$dir/err"
    check $? '--log - without a standard output is a mistake, and writes into no other file' "$dir/err"
else
    skip 'such a process has one there' '--log - without a standard output'
fi

# ---- formats. What stands for a time and a length of time is replaced.

# requests: what the formats are tried with; two of them are no requests.
requests() {
    ask 'GET / HTTP/1.0\r\n\r\n'
    ask 'GET /none?a=b HTTP/1.1\r\nHost: h.example\r\nUser-Agent: an agent/1\r\nReferer: http://r.example/x\r\nConnection: close\r\n\r\n'
    ask 'HEAD /?"\134 HTTP/1.1\r\nHost: h.example\r\nUser-Agent: "\134\t\303\244\377\r\nConnection: close\r\n\r\n'
    ask 'POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\nUser-Agent:\r\nContent-Length: 5\r\n\r\nabcde'
    ask 'GET /\n127.0.0.1 - - [01/Jan/2000:00:00:00 +0000] "GET /forged HTTP/1.1" 200 5\r\n\r\n'
    ask 'GET / HTTP/1.1\r\nHost: t\r\nUser-Agent: \033[2J\r\n\r\n'
}

cat >"$dir/want.common" <<'EOT'
127.0.0.1 - - [TIME] "GET / HTTP/1.0" 200 13
127.0.0.1 - - [TIME] "GET /none?a=b HTTP/1.1" 404 14
127.0.0.1 - - [TIME] "HEAD /?\x22\x5c HTTP/1.1" 200 0
127.0.0.1 - - [TIME] "POST /echo HTTP/1.1" 200 5
127.0.0.1 - - [TIME] "-" 400 49
127.0.0.1 - - [TIME] "-" 400 50
EOT
cat >"$dir/want.combined" <<'EOT'
127.0.0.1 - - [TIME] "GET / HTTP/1.0" 200 13 "-" "-"
127.0.0.1 - - [TIME] "GET /none?a=b HTTP/1.1" 404 14 "http://r.example/x" "an agent/1"
127.0.0.1 - - [TIME] "HEAD /?\x22\x5c HTTP/1.1" 200 0 "-" "\x22\x5c\x09\xc3\xa4\xff"
127.0.0.1 - - [TIME] "POST /echo HTTP/1.1" 200 5 "-" ""
127.0.0.1 - - [TIME] "-" 400 49 "-" "-"
127.0.0.1 - - [TIME] "-" 400 50 "-" "-"
EOT
cat >"$dir/want.json" <<'EOT'
{"time":"TIME","peer":"127.0.0.1","method":"GET","target":"/","version":"1.0","status":200,"bytes":13,"duration_us":N,"host":null,"referer":null,"user_agent":null,"user":null,"why":null}
{"time":"TIME","peer":"127.0.0.1","method":"GET","target":"/none?a=b","version":"1.1","status":404,"bytes":14,"duration_us":N,"host":"h.example","referer":"http://r.example/x","user_agent":"an agent/1","user":null,"why":null}
{"time":"TIME","peer":"127.0.0.1","method":"HEAD","target":"/?\"\\","version":"1.1","status":200,"bytes":0,"duration_us":N,"host":"h.example","referer":null,"user_agent":"\"\\\u0009ä\ufffd","user":null,"why":null}
{"time":"TIME","peer":"127.0.0.1","method":"POST","target":"/echo","version":"1.1","status":200,"bytes":5,"duration_us":N,"host":"t","referer":null,"user_agent":"","user":null,"why":null}
{"time":"TIME","peer":"127.0.0.1","method":null,"target":null,"version":null,"status":400,"bytes":49,"duration_us":0,"host":null,"referer":null,"user_agent":null,"user":null,"why":"the request target is malformed"}
{"time":"TIME","peer":"127.0.0.1","method":null,"target":null,"version":null,"status":400,"bytes":50,"duration_us":0,"host":null,"referer":null,"user_agent":null,"user":null,"why":"a field value has a control byte"}
EOT

for format in common combined json; do
    before=$(LC_ALL=C date -u '+%d/%b/%Y:%H:%M %Y-%m-%dT%H:%M')
    begin -t 1 --log "$dir/log.$format" --log-format "$format"
    requests
    stop
    after=$(LC_ALL=C date -u '+%d/%b/%Y:%H:%M %Y-%m-%dT%H:%M')
    check "$status" "a server with a log in $format ends with status 0" "$dir/err"
    LC_ALL=C sed -E -e 's,\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}(:[0-9]{2}){3} \+0000\],[TIME],' -e 's/"duration_us":[1-9][0-9]*/"duration_us":N/' \
        -e 's/"time":"[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\.[0-9]{3}Z"/"time":"TIME"/' "$dir/log.$format" >"$dir/got"
    diff "$dir/want.$format" "$dir/got" >"$dir/diff"
    check $? "--log-format $format: each answer has its line, to the byte" "$dir/diff"
    for minute in $before $after; do grep -F -e "$minute" "$dir/log.$format"; done >"$dir/now"
    [ -s "$dir/now" ]
    check $? "--log-format $format: the time is now, in UTC" "$dir/log.$format"
done
cp "$dir/log.json" "$dir/log.json.before"
begin --log "$dir/log.json" --log-format json
ask 'GET /appended HTTP/1.0\r\n\r\n'
stop
[ "$(wc -l <"$dir/log.json")" -eq 7 ] && head -n 6 "$dir/log.json" | cmp -s - "$dir/log.json.before"
check $? 'a log that there is already goes on' "$dir/log.json"

# Who has logged in stands in the log, who has not does not; the login may stand in a file.
printf 'jane d:secret\nand more\n' >"$dir/login"
begin -t 1 --log "$dir/log.login" --auth "@$dir/login"
ask 'GET /a HTTP/1.0\r\nAuthorization: Basic amFuZSBkOnNlY3JldA==\r\n\r\n'
ask 'GET /b HTTP/1.0\r\nAuthorization: Basic amFuZSBkOndyb25n\r\n\r\n'
ask 'GET /c HTTP/1.0\r\n\r\n'
stop
[ "$(sed 's/ \[.*"GET/ /' "$dir/log.login" | cut -d ' ' -f 2-7 | sed 's/ HTTP.*"//')" = "- jane\\x20d  /a 404
- -  /b 401
- -  /c 401" ]
check $? '--auth @FILE: the log names who has logged in' "$dir/log.login"
# Answers that are given before anybody looks at the login name nobody who has not given it.
begin -t 1 --log "$dir/log.nobody" --auth "@$dir/login" --cors
for login in amFuZSBkOndyb25n amFuZSBkOnNlY3JldA==; do
    ask "GET /%%zz HTTP/1.0\r\nAuthorization: Basic $login\r\n\r\n"
    ask "POST / HTTP/1.0\r\nAuthorization: Basic $login\r\n\r\n"
    ask "OPTIONS / HTTP/1.0\r\nOrigin: null\r\nAccess-Control-Request-Method: GET\r\nAuthorization: Basic $login\r\n\r\n"
done
stop
[ "$(awk '{ print $3, $(NF - 1) }' "$dir/log.nobody" | tr '\n' ' ')" = '- 400 - 411 - 204 jane\x20d 400 jane\x20d 411 jane\x20d 204 ' ]
check $? '--auth: the log names nobody by a login that is wrong, whatever the answer' "$dir/log.nobody"

# What parses JSON here, and takes every line by itself.
if python3 -c '' 2>/dev/null; then
    python3 -c 'import json, sys
for line in open(sys.argv[1], "rb").read().decode("utf-8").splitlines(): assert len(json.loads(line)) == 13' "$dir/log.json" 2>"$dir/said"
    check $? 'JSON lines are read by Python' "$dir/said"
else
    skip 'no python3' 'JSON lines are read by Python'
fi
if node -e '' 2>/dev/null; then
    node -e 'for (const line of require("fs").readFileSync(process.argv[1], "utf8").trimEnd().split("\n"))
        if (Object.keys(JSON.parse(line)).length !== 13) process.exit(1)' "$dir/log.json" 2>"$dir/said"
    check $? 'JSON lines are read by Node' "$dir/said"
else
    skip 'no node' 'JSON lines are read by Node'
fi

# ---- the standard output

begin --log -
load 500
stop
[ "$(grep -c '^127\.0\.0\.1 - - \[.*\] "GET /?[0-9]* HTTP/1\.1" 200 13$' "$dir/out")" -eq 500 ] && [ "$(wc -l <"$dir/out")" -eq 500 ]
check $? '--log -: standard output has the lines and nothing else' "$dir/out"

# ---- every model; in some there are more loops than lanes

for model in pool pool-conn thread sync; do
    rm -f "$dir/log"
    begin --model "$model" --log "$dir/log"
    if [ "$model" = sync ]; then load 300 -c 1; else load 300 -c 8; fi
    stop
    [ "$status" -eq 0 ] && [ "$(sed 's/.*?\([0-9]*\) .*/\1/' "$dir/log" | sort -un | wc -l)" -eq 300 ] && [ "$(wc -l <"$dir/log")" -eq 300 ]
    check $? "--model $model: each answer has one line" "$dir/log"
done

# ---- rotation under load: every request has its line in one of the files, and none has two

rm -f "$dir/log"
begin -t 2 --no-pin --log "$dir/log"
"$program" bench -q -t 1 -c 8 -n 20000 -R 8000 "http://$at/?{i}" >"$dir/bench" 2>&1 &
second=$!
not_empty() { [ -s "$dir/log" ]; }
turns=0
for turn in 1 2 3; do
    until_ not_empty || break
    mv "$dir/log" "$dir/log.$turn"
    [ -n "$windows" ] || kill -HUP "$server"
    turns=$turn
    kill -0 "$second" 2>/dev/null || break
done
until_ not_empty
wait "$second"
second=''
answered 20000
check $? 'rotation: every request is answered' "$dir/bench"
stop
check "$status" 'rotation: the server ends with status 0' "$dir/err"
files="$dir/log $(seq -f "$dir/log.%g" "$turns" | tr '\n' ' ')"
[ "$(cat $files | wc -l)" -eq 20000 ] && [ "$(cat $files | sed 's/.*?\([0-9]*\) .*/\1/' | sort -un | wc -l)" -eq 20000 ]
check $? 'rotation: no line is lost and none is there twice' "$dir/err"
empty=$(for file in $files; do [ -s "$file" ] || echo "$file"; done)
[ "$turns" -eq 3 ] && [ -z "$empty" ]
check $? "rotation: each file has its share ($turns turns)"
[ ! -s "$dir/log.err" ] && ! grep -q 'cannot\|lost' "$dir/err"
check $? 'rotation: nothing to complain about' "$dir/err"

if [ -z "$windows" ]; then
    mkdir "$dir/there"
    begin --log "$dir/there/log"
    ask 'GET /?1 HTTP/1.0\r\n\r\n'
    mv "$dir/there" "$dir/gone"
    kill -HUP "$server"
    complained() { grep -q "cannot open the log $dir/there/log again: " "$dir/err"; }
    until_ complained
    check $? 'SIGHUP: a folder that has gone is named' "$dir/err"
    ask 'GET /?2 HTTP/1.0\r\n\r\n'
    stop
    [ "$(wc -l <"$dir/gone/log")" -eq 2 ]
    check $? 'SIGHUP: then the old file goes on' "$dir/gone/log"
    rm -f "$dir/log"
    begin --log "$dir/log"
    mv "$dir/log" "$dir/log.old"
    kill -HUP "$server"
    there() { [ -e "$dir/log" ]; }
    until_ there
    check $? 'SIGHUP: the new file is there before there is anything to write'
    stop
else
    skip 'no SIGHUP here' 'SIGHUP: a folder that has gone' 'SIGHUP: the old file goes on' 'SIGHUP: the new file is there at once'
fi

# ---- a full disk

if [ -c /dev/full ] && [ -w /dev/full ]; then
    begin --log /dev/full
    load 200
    check $? 'a full disk: every request is answered' "$dir/bench"
    complained() { grep -q 'cannot write the log /dev/full: ' "$dir/err"; }
    until_ complained
    check $? 'a full disk: standard error says so' "$dir/err"
    load 200
    stop
    check "$status" 'a full disk: the server ends with status 0' "$dir/err"
    [ "$(grep -c 'cannot write the log' "$dir/err")" -eq 1 ] && grep -q 'the log /dev/full has lost 400 lines: ' "$dir/err"
    check $? 'a full disk: it says so once, and at the end how many lines were lost and why' "$dir/err"
else
    skip 'no /dev/full here' 'a full disk: served' 'a full disk: said' 'a full disk: status 0' 'a full disk: counted'
fi

# ---- pipes. Lines that are larger than all that waits in memory, so that it is full soon.

mkfifo "$dir/pipe"
large=$(awk 'BEGIN { for (i = 0; i < 15000; i++) printf "x" }')

out="$dir/pipe"
exec 5<>"$dir/pipe" # or serve would wait for a reader
begin --log -
exec 4<"$dir/pipe" 5>&-
ask 'GET /?first HTTP/1.0\r\n\r\n'
read -r line <&4
exec 4<&-
load 200
check $? 'a pipe that nobody reads any more: every request is answered' "$dir/bench"
complained() { grep -q 'cannot write the log -: ' "$dir/err"; }
until_ complained
check $? 'a pipe that nobody reads any more: standard error says so' "$dir/err"
stop
check "$status" 'a pipe that nobody reads any more: the server ends with status 0' "$dir/err"
case $line in *'"GET /?first HTTP/1.0" 200 13') true ;; *) false ;; esac && grep -q 'the log - has lost 200 lines: ' "$dir/err"
check $? 'a pipe that nobody reads any more: says how many lines were lost' "$dir/err"

if [ -z "$windows" ]; then
    out=''
    exec 5<>"$dir/pipe"
    begin --log "$dir/pipe"
    exec 4<"$dir/pipe" 5>&-
    ask 'GET /?first HTTP/1.0\r\n\r\n'
    read -r line <&4
    exec 4<&-
    load 50
    complained() { grep -q 'cannot write the log ' "$dir/err"; }
    until_ complained
    cat "$dir/pipe" >"$dir/got" &
    reader=$!
    load 50
    stop
    wait "$reader"
    reader=''
    [ "$(grep -c 'GET /?' "$dir/got")" -eq 100 ] && ! grep -q lost "$dir/got" "$dir/err"
    check $? 'a named pipe whose next reader comes later: it gets what was written meanwhile' "$dir/err"
    out="$dir/pipe"
else
    skip 'no such pipes there' 'a named pipe whose next reader comes later'
fi

for format in combined json; do
    exec 5<>"$dir/pipe"
    begin --log - --log-format "$format" --max-head 20k
    exec 4<"$dir/pipe" 5>&-
    load 3000 -H "User-Agent: $large"
    check $? "a reader that is too slow ($format): every request is answered" "$dir/bench"
    cat <&4 >"$dir/got" &
    reader=$!
    exec 4<&-
    if [ "$format" = json ]; then
        told() { grep -q '"lost":' "$dir/got"; }
    else
        told() { grep -q '^# ' "$dir/got"; }
    fi
    until_ told
    check $? "a reader that is too slow ($format): the log says that lines were lost"
    load 10
    stop
    wait "$reader"
    reader=''
    lines=$(grep -c '/?[0-9]' "$dir/got")
    gone=$(sed -n -e 's/^# \([0-9]*\) lines\{0,1\} w[a-z]* lost: the log is slower than the server$/\1/p' \
        -e 's/^{"time":"[-0-9T:.]*Z","lost":\([0-9]*\),"why":"the log is slower than the server"}$/\1/p' "$dir/got" | awk '{ n += $1 } END { print n + 0 }')
    [ $((lines + gone)) -eq 3010 ] && [ "$gone" -gt 0 ] && grep -q "the log - has lost $gone lines" "$dir/err" &&
        [ "$(grep -c 'lines are lost of the log -: the log is slower than the server$' "$dir/err")" -eq 1 ]
    check $? "a reader that is too slow ($format): lines and losses are all answers ($lines and $gone)" "$dir/err"
done

exec 5<>"$dir/pipe"
begin --log - --log-format combined --max-head 20k
exec 4<"$dir/pipe" 5>&-
load 50 -H "User-Agent: $large"
stop
check "$status" 'a reader that never reads: the server ends nevertheless' "$dir/err"
rest=$(sed -n 's/.*nobody takes what is in the log -: up to \([0-9]*\) lines of it are lost$/\1/p' "$dir/err")
[ "${rest:-0}" -ge 45 ] && [ "$rest" -le 50 ] # 64 KiB of them are in the pipe
check $? 'a reader that never reads: says how many lines are lost' "$dir/err"
exec 4<&-

echo "test_log: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
