#!/bin/sh
# test_cli.sh: the program as people type it: help, mistakes, ports, signals, the log, limits, the exit status of bench.
#
#   FASTSERVE=./fastserve sh tests/test_cli.sh
#
# Needs a C compiler for its client, raw.c. What it started has ended when it ends.
# shellcheck disable=SC2086 # CC may be several words
set -u
cd "$(dirname "$0")/.." || exit 1
program=${FASTSERVE:-./fastserve}
dir=$(mktemp -d) || exit 1
passed=0 failed=0 skipped=0
server='' second='' holder=''

cleanup() {
    for pid in $server $second $holder; do kill -9 "$pid" 2>/dev/null; done
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
        if [ -n "${3:-}" ]; then sed 's/^/    /' "$3" | head -n 20 && echo; fi
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

# What ends a program: Windows has no SIGTERM, but Ctrl-C, which Wine makes of SIGINT.
# brief: a run in which everybody gets an answer; Wine takes longer, and where others have the machine nobody may get one
# in a round: unsure, the status that says so.
case $program in
*windows* | *msvc* | *.exe) term=INT brief=1s unsure=2 ;;
*) term=TERM brief=50ms unsure=0 ;;
esac

# no_unix: what serve just said is that this system has no Unix-domain sockets.
no_unix() { grep -q 'not supported on this system' "$dir/serve.err"; }

# fits FILE LINES: at most so many lines of at most 80 columns, and not empty.
fits() {
    [ -s "$1" ] && awk -v max="$2" 'length($0) > 80 { bad = 1 } END { exit bad || NR > max }' "$1"
}

# run ARGUMENT...: the program to its end; sets status, $dir/out and $dir/err (without what a low descriptor limit of
# this machine adds to it).
run() {
    "$program" "$@" >"$dir/out" 2>"$dir/said" </dev/null
    status=$?
    grep -v 'warning: conns_max is' "$dir/said" >"$dir/err"
}

# one_line TEXT: stderr is one line that has TEXT in it, stdout is empty, the status is 1.
one_line() {
    [ "$status" -eq 1 ] && [ "$(wc -l <"$dir/err")" -eq 1 ] && grep -qF -e "$1" "$dir/err" && [ ! -s "$dir/out" ]
}

# serve ARGUMENT...: starts a server, waits until it says where it is; sets server, url and at (HOST:PORT).
serve() {
    : >"$dir/serve.out"
    "$program" serve "$@" >"$dir/serve.out" 2>"$dir/serve.err" </dev/null &
    server=$!
    for _ in $(seq 200); do
        grep -q 'serving .* at' "$dir/serve.out" && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    url=$(sed -n 's,.*\(http://[^ ]*\)/.*,\1,p' "$dir/serve.out" | head -n 1)
    at=$(echo "${url#http://}" | sed 's,^localhost,127.0.0.1,')
}

# stop SIGNAL: ends the server; sets status.
stop() {
    kill -s "$1" "$server"
    wait "$server"
    status=$?
    server=''
}

# ask TEXT [ADDRESS]: sends TEXT (of printf) to the server; sets status and $dir/reply.
ask() {
    # shellcheck disable=SC2059 # the text is a format on purpose
    printf "$1" | "$dir/raw" "${2:-$at}" >"$dir/reply"
    status=$?
}

# get PATH [FIELD...]: asks for it, with fields; sets what ask does.
get() {
    get_text="GET $(printf '%s' "$1" | sed 's/%/%%/g') HTTP/1.1\r\nHost: ${host:-localhost}\r\nConnection: close\r\n"
    shift
    for get_field; do get_text="$get_text$get_field\r\n"; done
    ask "$get_text\r\n"
}

# is STATUS [LINE...]: the reply has that status, and lines that begin so.
is() {
    head -n 1 "$dir/reply" | grep -q "^HTTP/1.1 $1 " || return 1
    shift
    for is_line; do grep -qi "^$is_line" "$dir/reply" || return 1; done
}

if ! ${CC:-cc} tests/raw.c -o "$dir/raw" 2>"$dir/err"; then
    check 1 'tests/raw.c compiles' "$dir/err"
    echo "test_cli: $passed passed, $failed failed, $skipped skipped"
    exit 1
fi

# ---- help and mistakes

run --help
[ "$status" -eq 0 ] && fits "$dir/out" 24
check $? '--help fits a screen' "$dir/out"
for command in serve bench; do
    run "$command" --help
    [ "$status" -eq 0 ] && fits "$dir/out" 24
    check $? "$command --help fits a screen" "$dir/out"
    run "$command" --version
    [ "$status" -eq 0 ] && [ "$(wc -l <"$dir/out")" -eq 1 ]
    check $? "$command --version is one line" "$dir/out"
done
for command in serve bench; do
    run "$command" --help-all
    [ "$status" -eq 0 ] && fits "$dir/out" 75 && grep -qE -e '--conn-rate|--queue-per-worker' "$dir/out"
    check $? "$command --help-all is no wider than a screen" "$dir/out"
done
run --version
[ "$status" -eq 0 ] && grep -qE '^fastserve [0-9]+\.[0-9]+\.[0-9]+$' "$dir/out"
check $? '--version says the version' "$dir/out"
run
[ "$status" -eq 1 ] && grep -q serve "$dir/err" && grep -q bench "$dir/err"
check $? 'no command: status 1 and the usage' "$dir/err"
run frobnicate
[ "$status" -eq 1 ] && head -n 1 "$dir/err" | grep -q frobnicate
check $? 'an unknown command is named' "$dir/err"
for command in serve bench; do
    for option in --frobnicate -Z --frobnicate=1; do
        run "$command" "$option"
        one_line "${option%%=*}"
        check $? "$command $option is named in one line" "$dir/err"
    done
done
for mistake in '-p 65536' '-p x' '-p' '-t 0' '-t 99999' '--max-conns 0' '--max-head 255' '--max-head 2M' \
    '--max-fields 0' '--max-target 2M' '--max-requests 0' '--max-files 0' '--max-per-address 0' '--send-rate 0' '--body-timeout 1y' \
    '--max-body -1' '--head-timeout 0' '--idle-timeout 5y' '--log /no/such/folder/log'; do
    run serve $mistake
    one_line "${mistake%% *}" || one_line "${mistake##* }"
    check $? "serve $mistake is a mistake in one line" "$dir/err"
done
for mistake in '-c 0' '-c x' '-t 0' '-d' '-d 5y' '-d -1' '-H' '-H nonsense' '--pipeline 0' 'ftp://127.0.0.1/' \
    'http://127.0.0.1:99999/'; do
    run bench -q $mistake
    one_line "${mistake%% *}" || one_line "${mistake##* }"
    check $? "bench $mistake is a mistake in one line" "$dir/err"
done
for mistake in '--law' '--law exp' '--law exp:2x' '--law freeze:1s/5s' '--law exp:1ms -t 2' '--no-pin --law exp:1ms' \
    '--law exp:1ms --log -' '--law exp:1ms --reuseport' '--unix x --law exp:1ms'; do
    run serve $mistake
    one_line -- || one_line -t
    check $? "serve $mistake is a mistake in one line" "$dir/err"
done
run serve --law exp:1ms --max-head 1k
one_line '--max-head: means nothing with --law'
check $? 'an option that means nothing with --law is named' "$dir/err"
# An option that means nothing beside others is refused, and why: what is typed, TAB, what that line must say.
: >"$dir/empty"
clashes='-w 3 --model sync	own thread
--model thread -w 3	own thread
--threads-max 3	wants --model thread
--model pool --threads-max 3	wants --model thread
--queue-per-worker --model pool-conn	wants --model pool
--queue-per-worker --model thread	wants --model pool
-t 3 --model sync	one thread does everything
--unix x -p 0	-p: means nothing with --unix alone
--unix x --reuseport	--reuseport: means nothing with --unix alone
18091	with -p
no-such-folder	no-such-folder: there is no such folder
--mount /x=no-such-folder	no-such-folder: there is no such folder
main.c	main.c: this is not a folder
. tests	tests: only one folder
. --mount /=tests	--mount /=tests: only one folder
--mount /a=. --mount /a/=.	another folder stands there
--mount a=.	wants /NAME=DIR
--mount /a	wants /NAME=DIR
--mount /a=	names no folder
--mount /stats=. --demo	the demo has a route of that name
--no-listing	--no-listing: means nothing without a folder
--hidden	--hidden: means nothing without a folder
--spa	--spa: means nothing without a folder
--follow-symlinks	--follow-symlinks: means nothing without a folder
--bind=	wants an address
--auth a: .	neither of them empty
--sendfile	--sendfile: means nothing without a folder
--no-precompressed --demo	--no-precompressed: means nothing without a folder
--index x	--index: means nothing without a folder
--cache 1h	--cache: means nothing without a folder
--mime a=b/c	--mime: means nothing without a folder
--max-files 5	--max-files: means nothing without a folder
. --law exp:1ms	means nothing with --law
--cors --law exp:1ms	--cors: means nothing with --law
. --echo	means nothing with --echo
--auth a:b --echo	--auth: means nothing with --echo
. --index a/b	--index a/b: wants a name
. --index= --spa	--spa: wants an index
. --cache 5y	--cache 5y: wants seconds
. --mime x	--mime x: wants EXT=TYPE
. --mime md=text	--mime md=text: a type has a slash
. --mime a,b=c/d	--mime a,b=c/d: an extension has no comma
. --mime a=text/x,b=text/y	more than one type
. --mime x	(see fastserve serve --help-all)
--max-head x	(see fastserve serve --help-all)
-t 0	(see fastserve serve --help-all)
-p x	-p x: wants a port, 0 to 65535 (see fastserve serve --help)
. --cache 5y	(see fastserve serve --help)
--header nonsense	--header: wants a name and a value
--header Date:x	--header: the server writes this field itself
--header Cache-Control:x	--header: this field is given with --cache
--cors --header Access-Control-Allow-Origin:x	--cors: gives Access-Control-Allow-Origin
--auth user	--auth: wants USER:PASS
--auth @/no/such/file	--auth @/no/such/file: cannot be read: 
--auth @'"$dir"'	--auth @'"$dir"': cannot be read
--auth @'"$dir"'/empty	--auth @'"$dir"'/empty: its first line is empty
--host a:80	--host a:80: wants a name without a port'
tab=$(printf '\t')
while IFS="$tab" read -r mistake named; do
    run serve $mistake
    one_line "$named"
    check $? "serve $mistake is a mistake in one line that says $named" "$dir/err"
done <<EOT
$clashes
EOT
# What is wrong in one line, TAB, and what that line must name.
printf '# none\n\n' >"$dir/none"
mistakes="http://no-such-host.invalid/	no-such-host.invalid
127.0.0.1:1	cannot connect to 127.0.0.1:1
https://127.0.0.1/	https://127.0.0.1/: TLS
tcp://127.0.0.1:1	tcp://127.0.0.1:1: tcp:// wants --echo
tcp://127.0.0.1 --echo	tcp://127.0.0.1: a tcp:// URL needs a port
http://127.0.0.1:1 --echo	http://127.0.0.1:1: --echo wants
--echo	--echo
--echo -m PUT tcp://127.0.0.1:1	--echo
--size 9 127.0.0.1:1	--size
-U 127.0.0.1:1	-U
-R 0 127.0.0.1:1	-R 0
-R 9 --calls 3 127.0.0.1:1	--calls
-R 9 --conn-rate 9 127.0.0.1:1	--conn-rate
--conn-rate x 127.0.0.1:1	--conn-rate x
--close --calls 2 127.0.0.1:1	--calls
--warmup 0 127.0.0.1:1	--warmup 0
--urls /no/such/file	/no/such/file
--urls $dir	$dir
--urls $dir/empty	$dir/empty
--urls $dir/none	$dir/none
-f /no/such/file 127.0.0.1:1	/no/such/file
--expect-status 99 127.0.0.1:1	--expect-status 99
--expect-status 2xx, 127.0.0.1:1	--expect-status 2xx,
--expect-status ok 127.0.0.1:1	--expect-status ok
127.0.0.1:1/{rand:9-1}	127.0.0.1:1/{rand:9-1}
127.0.0.1:1 -b {rand:1}	-b {rand:1}
127.0.0.1:1/{i} -H A:{rand:x-y}	-H
--format nonsense	--format nonsense
--max-errors 200% 127.0.0.1:1	--max-errors 200%
--json /no/such/folder/x 127.0.0.1:1	--json /no/such/folder/x
--html /no/such/folder/x 127.0.0.1:1	--html /no/such/folder/x
-c	see --help-all
8080	8080: a number names no host
--source-ips 251 127.0.0.1:1	--source-ips 251
-w 3 127.0.0.1:1	-w
--compare-models 127.0.0.1:1	--compare-models
--compare-models -R 9	-R
--compare-models --vs 127.0.0.1:1	--vs
--compare-models -n 9	-n
--compare-models=event,nonsense	event,nonsense
--compare-models=	names no model
--compare-models --json /no/such/folder/x	/no/such/folder/x
unix:$dir/none	$dir/none
unix:/no/such/socket	/no/such/socket
unix:	unix:"
while IFS="$tab" read -r mistake named; do
    run bench -q $mistake
    one_line "$named"
    check $? "bench $mistake is a mistake in one line that says $named" "$dir/err"
done <<EOT
$mistakes
EOT
run serve ''
one_line 'names no folder'
check $? "serve '': is a mistake in one line" "$dir/err"
run serve -p 0 -b 203.0.113.9
one_line 203.0.113.9
check $? 'an address of another machine is named' "$dir/err"

# ---- serve

serve -p 0
[ -n "$url" ] && [ "${url##*:}" -gt 0 ]
check $? '-p 0 prints a URL with a port' "$dir/serve.out"
grep -q -e '-b 0.0.0.0' "$dir/serve.out"
check $? 'it says how to open it to the network' "$dir/serve.out"
! grep -v 'warning: conns_max is' "$dir/serve.err"
check $? 'nothing to complain about at the start' "$dir/serve.err"
ask 'GET / HTTP/1.0\r\n\r\n'
[ "$status" -eq 0 ] && head -n 1 "$dir/reply" | grep -q ' 200 ' && tail -n 1 "$dir/reply" | grep -qx 'Hello, World!'
check $? 'it says hello' "$dir/reply"
ask 'POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde'
tail -n 1 "$dir/reply" | grep -qx abcde
check $? 'it echoes a body' "$dir/reply"
ask 'BREW / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n'
head -n 1 "$dir/reply" | grep -q ' 501 '
check $? 'an unknown method is 501' "$dir/reply"
ask 'GET /stream?chunks=3\046size=4 HTTP/1.0\r\n\r\n'
tail -n 1 "$dir/reply" | grep -qx xxxxxxxxxxxx
check $? 'it streams' "$dir/reply"
ask 'GET /sleep?ms=60001 HTTP/1.0\r\n\r\n'
grep -q ' 400 ' "$dir/reply" && grep -q '^ms .* 0 to 60000$' "$dir/reply"
check $? '/sleep names its limit' "$dir/reply"
ask 'GET /spin?us=x HTTP/1.0\r\n\r\n'
grep -q ' 400 ' "$dir/reply" && grep -q '^us .* 0 to 1000000$' "$dir/reply"
check $? '/spin names its limit' "$dir/reply"
ask 'GET /stats HTTP/1.0\r\n\r\n'
grep -q '"requests": 7' "$dir/reply"
check $? '/stats counts' "$dir/reply"
ask 'GET /metrics HTTP/1.0\r\n\r\n'
grep -q '^fastserve_requests_total 8' "$dir/reply"
check $? '/metrics counts' "$dir/reply"

port=${url##*:}
for more in '' '-t 1' '-t 4 --no-pin' '-b 0.0.0.0'; do
    run serve -p "$port" $more
    one_line "$port"
    check $? "the port of a running server is in use, and named: $more" "$dir/err"
done
ask 'GET / HTTP/1.0\r\n\r\n'
[ "$status" -eq 0 ]
check $? 'the first one still serves'

# ---- bench against it

run bench -c 3 -n 200 "$url/"
check "$status" 'bench against serve: status 0' "$dir/err"
for line in '^Running .* test @ ' '^  [0-9]+ threads? and 3 connections$' '^  Thread Stats   Avg      Stdev     Max   \+/- Stdev$' \
    '^    Latency ' '^    Req/Sec ' '^  200 requests in ' '^Requests/sec: +[0-9.]+$' '^Transfer/sec: +[0-9.]+'; do
    grep -qE "$line" "$dir/out"
    check $? "bench prints a line like $line" "$dir/out"
done
run bench -q -c3 -d200ms -t1 --latency "${url#http://}"
[ "$status" -eq 0 ] && grep -q '^  Latency Distribution$' "$dir/out" && grep -qE '^ +99% ' "$dir/out"
check $? 'bench -L prints percentiles, glued options and a bare HOST:PORT work' "$dir/out"
run bench -q -c 2 -n 50 --runs 3 --json "$dir/runs.json" "$url/"
middle=$(sed -n 's/^3 runs: \([0-9]*\) .*/\1/p' "$dir/out")
[ "$status" -eq 0 ] && awk -v want="$middle" '/"done_per_s"/ { got = sprintf("%.0f", $2) }
    END { exit want == "" || got != want }' "$dir/runs.json"
check $? "bench --runs --json writes the run in the middle, $middle requests a second" "$dir/out"
run bench compare "$dir/runs.json" "$dir/runs.json"
[ "$status" -eq 2 ] && grep -q 'it is too short' "$dir/out"
check $? 'bench compare reads it' "$dir/err"
run bench -q -c 2 -n 20 "$url/none"
[ "$status" -eq 3 ] && grep -qE '^  Non-2xx or 3xx responses: 20$' "$dir/out"
check $? 'bench: answers that are errors are status 3' "$dir/out"
grep -q 'Not the expected status: 20 answers, most often 404' "$dir/out" && grep -q '^No request succeeded' "$dir/out"
check $? 'bench: says which status it was, and of what no latency is' "$dir/out"
run bench -q -c 2 -n 20 --expect-status 201,404 "$url/" "$url/none"
grep -q 'Not the expected status: 10 answers, most often 200' "$dir/out"
check $? 'bench: names the status that was not expected, though others came as often' "$dir/out"
for row in '0 errors<=100%' '99 errors<1%' '3 p99<1h' '3 errors<=100% --max-errors 1%'; do
    set -- $row
    wanted=$1
    shift
    run bench -q -c 2 -n 20 --slo "$@" "$url/" "$url/none"
    [ "$status" -eq "$wanted" ]
    check $? "bench --slo $*: what fails is judged by its errors, else by --max-errors: status $status" "$dir/err"
done
run bench -q --conn-rate 50 -c 9 -d 200ms "$url/"
grep -q ' and 9 connections at most$' "$dir/out" && grep -qE '^Connections: [0-9]+ opened, [0-9.]+ a second \(asked 50\), at most [1-9] at a time$' "$dir/out"
check $? 'bench --conn-rate: says how many came, and were open' "$dir/out"
stop "$term"
check "$status" "SIG$term: ends with status 0" "$dir/serve.err"
run bench -q -n 1 "$url/"
one_line "${port}"
check $? 'bench: refused is status 1 in one line' "$dir/err"
run bench -q -c 2 -n 100
[ "$status" -eq 0 ] && grep -q '100 requests in' "$dir/out"
check $? 'bench without a URL brings its own server' "$dir/out"

run bench --compare-models=event,pool,unmarked -q -c 3 -t 1 -w 2 -d "$brief" --runs 1 --json "$dir/models.json"
case $status in 0 | "$unsure") fits "$dir/out" 200 && [ "$(grep -cF 'cannot' "$dir/out")" -eq 1 ] ;; *) false ;; esac
check $? 'bench --compare-models: a table no wider than a screen, which says once that one round cannot tell' "$dir/out"
sed -n 2p "$dir/out" | grep -qE '^19 runs, about [0-9]+ s$' && grep -q '^log 2, log 5: settings of two benchmarks of other small servers' "$dir/out"
check $? 'bench --compare-models: says what it will do, and how long that takes' "$dir/out"
grep -q '^log 2: .*, not run: unmarked (nothing sleeps here), pool ' "$dir/out"
check $? 'bench --compare-models: names what is missing in a log' "$dir/out"
[ "$(grep -cE '^ event +[0-9]' "$dir/out")" -eq 9 ] && [ "$(grep -cE '^ pool +[0-9]' "$dir/out")" -eq 8 ] &&
    [ "$(grep -cE '^ unmarked +[0-9]' "$dir/out")" -eq 2 ]
check $? 'bench --compare-models: a row for every model and kind of work' "$dir/out"
[ "$(grep -c '"model": "pool"' "$dir/models.json")" -eq 8 ] && grep -q '"schema": "fastserve-models/1"' "$dir/models.json"
check $? 'bench --compare-models: --json has them too' "$dir/models.json"
run bench --compare-models=pool-conn -q -c 2 -d "$brief" --runs 2 --json -
[ "$(head -c 1 "$dir/out")" = '{' ] && ! grep -q 'least\.\.most' "$dir/out"
check $? 'bench --compare-models --json -: nothing else on standard output' "$dir/out"

# ---- bench is cut short

serve -p 0
for more in '' '--runs 3'; do
    "$program" bench -c 2 -d 60s $more --json "$dir/cut.json" "$url/" >"$dir/out" 2>"$dir/err" </dev/null &
    second=$!
    for _ in $(seq 200); do # until it measures
        ask 'GET /stats HTTP/1.0\r\n\r\n'
        grep -qE '"requests": [0-9]{4}' "$dir/reply" && break
        sleep 0.05
    done
    kill -INT "$second"
    wait "$second"
    status=$?
    second=''
    [ "$status" -eq 130 ] && grep -q 'interrupted after [0-9.]* s: the figures are of that time' "$dir/err" &&
        grep -q '^Requests/sec: ' "$dir/out" && grep -q '"interrupted": true' "$dir/cut.json"
    check $? "bench $more: Ctrl-C ends it with its figures, says so, and is status 130 ($status)" "$dir/err"
    stop "$term"
    serve -p 0
done
"$program" bench -q -n 50 -c 2 "$url/" >"$dir/out" 2>"$dir/err"
! grep -q interrupted "$dir/err"
check $? 'bench: one that is not cut short does not say so' "$dir/err"
stop "$term"
"$program" bench --compare-models=event -q -d 60s >"$dir/out" 2>"$dir/err" </dev/null &
second=$!
for _ in $(seq 200); do # between two runs the first one ends the program
    grep -q 'Models on' "$dir/out" && { kill -INT "$second" 2>/dev/null || break; }
    sleep 0.05
done
wait "$second"
status=$?
second=''
[ "$status" -eq 130 ]
check $? "bench --compare-models: Ctrl-C is status 130 ($status)" "$dir/err"

# ---- serve DIR

site=$dir/site
mkdir -p "$site/sub/deep" "$site/with index" "$site/none" "$dir/outside"
printf 'the text' >"$site/hello.txt"
printf 'the script' >"$site/app.js"
printf 'packed' >"$site/app.js.gz"
printf 'the page' >"$site/page.html"
printf 'the index' >"$site/with index/index.html"
printf 'the secret' >"$site/.secret"
printf 'of twelve' >"$site/file 10 & 'x'.txt"
printf '9' >"$site/file 9.txt"
printf 'deeper' >"$site/sub/deep/file"
printf 'outside' >"$dir/outside/file"
touch -t 202405060708 "$site/app.js"
last() { tail -n 1 "$dir/reply" | grep -qx "$1"; } # the body's last line

serve "$site" -p 0
grep -qF "serving $site at http://127.0.0.1:" "$dir/serve.out"
check $? 'serve DIR: says what it serves, and where' "$dir/serve.out"
get /hello.txt
is 200 'Content-Type: text/plain; charset=utf-8' 'Cache-Control: no-cache' 'ETag: ' && last 'the text'
check $? 'serve DIR: a file' "$dir/reply"
get '/with%20index/'
is 200 'Content-Type: text/html' && last 'the index'
check $? 'serve DIR: the index of a folder' "$dir/reply"
get '/with%20index?a=b'
is 301 'Location: .*with%20index/?a=b'
check $? 'serve DIR: a folder without its slash is redirected' "$dir/reply"
for path in /no /.secret /../outside/file /%2e%2e/outside/file /sub/no/ '/with%20index/no'; do
    get "$path"
    is 404 && ! grep -q -e 'the secret' -e '^outside' "$dir/reply"
    check $? "serve DIR: $path is not there" "$dir/reply"
done
ask 'POST /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx'
is 405 'Allow: .*GET'
check $? 'serve DIR: POST is 405' "$dir/reply"
get /app.js 'Accept-Encoding: gzip'
is 200 'Content-Encoding: gzip' 'Content-Type: text/javascript' && last packed
check $? 'serve DIR: a packed file that stands beside it' "$dir/reply"

get /
is 200 'Content-Type: text/html; charset=utf-8' "Content-Security-Policy: default-src 'none'; style-src 'sha256-" \
    'X-Content-Type-Options: nosniff' 'Vary: Accept' 'Cache-Control: no-cache'
check $? 'listing: the fields around it' "$dir/reply"
grep -qF '<a href="file%2010%20%26%20%27x%27.txt">file 10 &amp; &#39;x&#39;.txt</a><td title="9 bytes">9 B<td>' "$dir/reply" &&
    grep -qF '<tr class=d><td><a href="with%20index/">with index/</a>' "$dir/reply" && ! grep -q secret "$dir/reply"
check $? 'listing: names are escaped, hidden ones are not there' "$dir/reply"
grep -qE '>app.js</a>.*<time datetime="20[0-9-]+T[0-9:]+Z">20[0-9-]+ [0-9:]{5}</time>$' "$dir/reply" &&
    grep -q '3 folders, 6 files' "$dir/reply" && ! grep -q 'Parent folder' "$dir/reply"
check $? 'listing: times, what it counts, and nothing above the top' "$dir/reply"
[ "$(sed -n 's/.*">file \([0-9]*\).*/\1/p' "$dir/reply" | tr '\n' ' ')" = '9 10 ' ]
check $? 'listing: 9 comes before 10' "$dir/reply"
get '/sub/deep/?sort=size&order=desc'
is 200 && grep -qF 'href="../">Parent folder</a>' "$dir/reply" &&
    grep -qF '<th aria-sort=descending><a href="?sort=size&amp;order=asc">' "$dir/reply" &&
    grep -qF "<a href=\"../../\">localhost</a><i>/</i><a href=\"../\">sub</a><i>/</i><b>deep</b>" "$dir/reply"
check $? 'listing: the way up' "$dir/reply"
get /none/
is 200 && grep -q 'This folder is empty' "$dir/reply"
check $? 'listing: an empty folder' "$dir/reply"
get '/?sort=size&order=desc' 'Accept: application/json'
is 200 'Content-Type: application/json' && [ "$(grep -o '"name": "[^"]*"' "$dir/reply" | sed -n '1p;4p;$p' | tr '\n' ' ')" = \
    '"name": "none" "name": "app.js" "name": "file 9.txt" ' ]
check $? 'listing: JSON for who accepts it, the largest first' "$dir/reply"
grep -q '{"name": "file 9.txt", "type": "file", "size": 1, "modified": "20[0-9T:Z-]*"}\]}$' "$dir/reply" &&
    grep -q '{"name": "sub", "type": "folder", "size": null, "modified": "20' "$dir/reply"
check $? 'listing: what JSON says of a name' "$dir/reply"
get '/sub/?format=json'
is 200 'Content-Type: application/json' && grep -qF '{"path": "/sub/", "entries": [' "$dir/reply"
check $? 'listing: JSON by ?format=json' "$dir/reply"

for host in evil.example localhost.evil.example:80; do
    get /hello.txt
    is 421 && ! last 'the text'
    check $? "serve DIR on loopback: Host: $host is 421" "$dir/reply"
done
for host in "$at" 127.0.0.1 '[::1]:80' LOCALHOST:9; do
    get /hello.txt
    is 200
    check $? "serve DIR on loopback: Host: $host is served" "$dir/reply"
done
host=''
ask 'GET /hello.txt HTTP/1.0\r\n\r\n'
is 200
check $? 'serve DIR on loopback: a client that says no host is served' "$dir/reply"
printf 'gone' >"$site/404.html"
get /no
is 404 'Content-Type: text/html' && last gone
check $? 'serve DIR: 404.html answers for what is not there' "$dir/reply"
rm "$site/404.html"
stop "$term"
check "$status" "serve DIR: SIG$term ends it with status 0" "$dir/serve.err"

serve "$site" --mount "/docs=$site/sub" --mount "/a/b=$dir/outside" --demo --hidden --no-listing --index page.html --cache 1h \
    --mime .js=text/x-old --mime '.js mjs=text/x-script' --header 'X-One: 1' --header X-Two:2 --cors --no-precompressed -p 0 --max-target 40k --max-head 60k
[ "$(grep -c "serving $dir/.* at http" "$dir/serve.out")" -eq 3 ] && grep -qE 'serving the demo at http://[0-9.:]*/stats$' "$dir/serve.out"
check $? '--mount, --demo: a line for each' "$dir/serve.out"
grep -qE "serving $dir/outside at http://[0-9.:]*/a/b/$" "$dir/serve.out"
check $? '--mount: says where' "$dir/serve.out"
at=$(sed -n "s,.*serving $site at http://\(.*\)/,\1,p" "$dir/serve.out")
get /
is 200 && last 'the page'
check $? '--index: another name' "$dir/reply"
get /.secret
is 200 'Cache-Control: max-age=3600' && last 'the secret'
check $? '--hidden, --cache' "$dir/reply"
get /sub/
is 404
check $? '--no-listing: a folder without an index is 404' "$dir/reply"
get /app.js 'Accept-Encoding: gzip' 'Origin: http://other.example'
is 200 'Content-Type: text/x-script' 'X-One: 1' 'X-Two: 2' 'Access-Control-Allow-Origin: \*' && last 'the script'
check $? '--mime, --header, --cors, --no-precompressed' "$dir/reply"
get /no
is 404 'X-One: 1' 'Access-Control-Allow-Origin: \*'
check $? '--header, --cors: on a 404 as well' "$dir/reply"
ask 'OPTIONS /app.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: null\r\nAccess-Control-Request-Method: GET\r\n\r\n'
is 204 'Access-Control-Allow-Origin: \*' 'Access-Control-Allow-Methods: .*GET' 'Access-Control-Allow-Headers: \*, Authorization' &&
    ! grep -qi '^Allow:' "$dir/reply"
check $? '--cors: a preflight is answered' "$dir/reply"
ask 'OPTIONS /app.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
is 204 'Allow: .*GET'
check $? '--cors: another OPTIONS is not one' "$dir/reply"
get /docs/deep/file
is 200 && last deeper
check $? '--mount: a folder below a path' "$dir/reply"
get /a/b?x
is 301 'Location: b/?x' 'Cache-Control: max-age=3600'
check $? '--mount: its slash is added' "$dir/reply"
get "/a/b?$(printf '%020000d' 0)"
is 414 && ! grep -qi '^Cache-Control' "$dir/reply"
check $? '--mount: 414 where no answer has room for the way to its slash' "$dir/reply"
get /stats
is 200 'Content-Type: application/json' 'X-One: 1' && grep -q '"requests":' "$dir/reply"
check $? '--demo: its routes stand beside the folders' "$dir/reply"
stop "$term"

serve --mount "/docs=$site/sub" --mount "/a/b=$dir/outside" -b 0.0.0.0 -p 0 --host files.example --auth 'user:pass: word'
grep -qE "serving $dir/outside at http://localhost:[0-9]+/a/b/, and to the network (on port [0-9]+|at http://[0-9.]+:[0-9]+/a/b/)$" "$dir/serve.out"
check $? '--mount: open to the network' "$dir/serve.out"
at=127.0.0.1:$(sed -n "s,.*serving $dir/outside at http://localhost:\\([0-9]*\\)/.*,\\1,p" "$dir/serve.out")
get / 'Authorization: Basic dXNlcjpwYXNzOiB3b3Jk'
is 200 && grep -qF '<a href="docs/">docs/</a>' "$dir/reply" && grep -qF '<a href="a/b/">a/b/</a>' "$dir/reply"
check $? '--mount alone: / leads to the folders' "$dir/reply"
for path in / /docs/deep/file /no; do
    get "$path"
    is 401 'WWW-Authenticate: Basic realm="' && ! last deeper
    check $? "--auth: $path without a login is 401" "$dir/reply"
    get "$path" 'Authorization: Basic dXNlcjpwYXNzOiB3b3Jr'
    is 401
    check $? "--auth: $path with a wrong one, too" "$dir/reply"
done
host=files.example:8080
get /docs/deep/file 'Authorization: basic dXNlcjpwYXNzOiB3b3Jk'
is 200 && last deeper
check $? '--auth and --host: let in' "$dir/reply"
host=other.example
get /docs/deep/file 'Authorization: Basic dXNlcjpwYXNzOiB3b3Jk'
is 421
check $? '--host: others are 421, on any address' "$dir/reply"
host=''
stop "$term"

serve "$site" -p 0 --spa -b 0.0.0.0
host=other.example
get /hello.txt
is 200
check $? 'open to the network: any Host is served' "$dir/reply"
host=''
for path in / /some/where /sub/ /deep/route.x; do
    get "$path" 'Accept: text/html, */*;q=0.8' 'Sec-Fetch-Dest: document'
    is 404
    check $? "--spa: $path without an index.html is 404" "$dir/reply"
done
printf 'the application' >"$site/index.html"
for path in / /some/where /sub/ /deep/route.x; do
    get "$path" 'Accept: text/html, */*;q=0.8' 'Sec-Fetch-Dest: document'
    is 200 'Content-Type: text/html' && last 'the application'
    check $? "--spa: $path is the application" "$dir/reply"
done
get /some/where
is 200 'Vary: Accept, Sec-Fetch-Dest' 'Vary: Accept-Encoding' && last 'the application'
check $? '--spa: and for a client that takes anything' "$dir/reply"
get /hello.txt 'Accept: text/html'
is 200 && last 'the text' && ! grep -qi '^Vary: Accept, ' "$dir/reply"
check $? '--spa: a file that is there is itself' "$dir/reply"
for fields in 'Accept: */*' 'Accept: text/html'; do
    get /missing.js "$fields"
    is 404
    check $? "--spa: a script that is missing is 404, $fields" "$dir/reply"
done
get /data 'Accept: application/json'
is 404 'Vary: Accept, Sec-Fetch-Dest'
check $? '--spa: what is not to be HTML is 404' "$dir/reply"
get /data 'Accept: */*' 'Sec-Fetch-Dest: empty'
is 404
check $? '--spa: what a page asks for that takes anything is 404' "$dir/reply"
rm "$site/index.html"
stop "$term"

case $program in
*windows* | *msvc* | *.exe)
    skip 'links are not the same here' '--follow-symlinks' 'a link that leaves the folder'
    serve "z:$(echo "$site/" | tr / '\134')" --mount "/x=z:$site\\sub" -p 0 # where Wine has the whole file system
    at=$(sed -n 's,.*/ at http://\(.*\)/$,\1,p;s,.*\\ at http://\(.*\)/$,\1,p' "$dir/serve.out")
    get /hello.txt
    is 200 && last 'the text'
    check $? 'serve DIR: a drive and backslashes' "$dir/reply"
    get /x/deep/file
    is 200 && last deeper
    check $? '--mount: a drive and both slashes' "$dir/reply"
    stop "$term"
    ;;
*)
    ln -s "$dir/outside" "$site/link"
    serve "$site" -p 0
    get /link/file
    is 404
    check $? 'a link that leaves the folder is not followed' "$dir/reply"
    stop "$term"
    serve "$site" -p 0 --follow-symlinks
    get /link/file
    is 200 && last outside
    check $? '--follow-symlinks: it is' "$dir/reply"
    stop "$term"
    rm "$site/link"
    ;;
esac
head -c 300000 /dev/zero | tr '\0' x >"$site/large"
serve "$site" -p 0 --sendfile
get /large
is 200 && [ "$(tr -dc x <"$dir/reply" | wc -c)" -ge 300000 ]
check $? '--sendfile: a large file' "$dir/err"
stop "$term"
rm "$site/large"
chmod 000 "$site/none"
if ls "$site/none" >/dev/null 2>&1; then
    skip 'this user may read everything' 'serve DIR: one that may not be read is named' 'listing: one that may not is 403'
else
    run serve -p 0 "$site/none"
    one_line "$site/none: this user may not read the folder"
    check $? 'serve DIR: one that may not be read is named' "$dir/err"
    serve "$site" -p 0
    get /none/
    is 403
    check $? 'listing: one that may not is 403' "$dir/reply"
    stop "$term"
fi
chmod 755 "$site/none"
for model in thread pool-conn sync; do
    serve "$site" -p 0 --model "$model"
    get /
    is 200 && grep -q 'hello.txt' "$dir/reply" && get /hello.txt && is 200 && last 'the text'
    check $? "serve DIR --model $model" "$dir/reply"
    stop "$term"
done

# ---- models

for model in pool pool-conn thread sync; do
    serve -p 0 --model "$model"
    grep -q "serving the demo, model $model, at http://127" "$dir/serve.out"
    check $? "--model $model is named" "$dir/serve.out"
    ask 'GET /sleep?ms=1 HTTP/1.0\r\n\r\n'
    tail -n 1 "$dir/reply" | grep -qx 'Hello, World!'
    check $? "--model $model serves" "$dir/reply"
    stop "$term"
    check "$status" "--model $model: SIG$term ends it with status 0" "$dir/serve.err"
done
serve -p 0 --model event -w 2 --queue-per-worker
grep -q 'serving the demo at http://127' "$dir/serve.out"
check $? '--model event, the usual one, is not' "$dir/serve.out"
stop "$term"

# ---- the target of --law

serve -p 0 --law const:1ms,freeze:1ms/1h,seed:3
grep -q 'serving the law const:1ms,freeze:1ms/1h,seed:3 at http://127' "$dir/serve.out"
check $? '--law says the law and where it is' "$dir/serve.out"
ask 'GET / HTTP/1.1\r\nHost: t\r\n\r\nGET /law HTTP/1.0\r\n\r\n'
[ "$status" -eq 0 ] && grep -q 'Hello, World!' "$dir/reply" && grep -q '"answered": 1,' "$dir/reply"
check $? '--law: answers, and /law counts them' "$dir/reply"
grep -q '"open_loop_ns": {"p50": 1000000,' "$dir/reply"
check $? '--law: /law tells the true quantiles' "$dir/reply"
run serve -p "${url##*:}" --law exp:1ms
one_line "${url##*:}"
check $? '--law: a port in use is named' "$dir/err"
stop "$term"
check "$status" "--law: SIG$term ends it with status 0" "$dir/serve.err"
serve -b 127.0.0.1 -b 127.0.0.2 -p 0 --law exp:1ms
[ "$(grep -c 'serving the law exp:1ms at' "$dir/serve.out")" -eq 2 ]
check $? '--law: every -b has a line' "$dir/serve.out"
stop INT
check "$status" '--law: SIGINT ends it with status 0' "$dir/serve.err"

# ---- the echo

for mistake in '--echo --max-head 1k' '--log - --echo' '--echo --law exp:1ms' '--reuseport --echo'; do
    run serve $mistake
    one_line 'means nothing with --echo'
    check $? "serve $mistake is a mistake in one line" "$dir/err"
done
serve -p 0 -t 2 --no-pin --echo
at=$(sed -n 's,.*the echo at tcp://,,p' "$dir/serve.out" | head -n 1 | sed 's,^localhost,127.0.0.1,')
[ -n "$at" ]
check $? '--echo says where it is' "$dir/serve.out"
printf 'what is said comes back' | "$dir/raw" -e "$at" >"$dir/reply"
status=$?
[ "$status" -eq 0 ] && [ "$(cat "$dir/reply")" = 'what is said comes back' ]
check $? '--echo sends back what it gets, and ends when the peer does' "$dir/reply"
for way in '' --close '--size 300000'; do
    run bench -q -c 3 -n 300 --echo $way "tcp://$at"
    [ "$status" -eq 0 ] && grep -q '300 requests in' "$dir/out"
    check $? "bench --echo $way against it: status 0" "$dir/out"
done
stop "$term"
check "$status" "--echo: SIG$term ends it with status 0" "$dir/serve.err"
serve --unix "$dir/socket" --echo
if no_unix; then
    wait "$server"
    server=''
    skip 'no Unix-domain sockets here' '--echo --unix serves there' '--echo: SIGINT ends it with status 0'
else
    printf 'there, too' | "$dir/raw" -e "unix:$dir/socket" >"$dir/reply"
    [ "$(cat "$dir/reply")" = 'there, too' ]
    check $? '--echo --unix serves there' "$dir/serve.out"
    stop INT
    check "$status" '--echo: SIGINT ends it with status 0' "$dir/serve.err"
fi

# ---- signals

serve -p 0
mkfifo "$dir/fifo"
"$dir/raw" -h "$at" >"$dir/held" <"$dir/fifo" &
holder=$!
exec 3>"$dir/fifo" # keeps the holder's connection open, in the middle of a request
printf 'POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345' >&3
for _ in $(seq 100); do
    ask 'GET /stats HTTP/1.0\r\n\r\n'
    grep -q '"answers_2xx": [3-9]' "$dir/reply" && break
    sleep 0.05
done
kill -INT "$server"
for _ in $(seq 100); do # until it listens no more
    ask 'GET / HTTP/1.0\r\n\r\n' 2>/dev/null
    [ "$status" -eq 1 ] && break
    sleep 0.05
done
kill -0 "$server"
check $? 'SIGINT: a request that has begun keeps it'
stop INT
[ "$status" -eq 130 ]
check $? "a second SIGINT ends it at once (status $status, not 130)"
exec 3>&-
wait "$holder"
holder=''

# ---- Unix-domain, limits, timeouts, the log

serve --unix "$dir/socket"
if no_unix; then
    wait "$server"
    server=''
    skip 'no Unix-domain sockets here' '--unix serves there' '--unix on a served path is named' \
        'the socket file is gone afterwards' 'serve DIR --unix'
else
    ask 'GET / HTTP/1.0\r\n\r\n' "unix:$dir/socket"
    grep -q 'Hello, World!' "$dir/reply"
    check $? '--unix serves there' "$dir/serve.out"
    run serve --unix "$dir/socket"
    one_line "$dir/socket"
    check $? '--unix on a served path is named' "$dir/err"
    stop "$term"
    [ "$status" -eq 0 ] && [ ! -e "$dir/socket" ]
    check $? 'the socket file is gone afterwards'
    serve "$site" --unix "$dir/socket" -b 127.0.0.1 -p 0
    ask 'GET /hello.txt HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n' "unix:$dir/socket"
    is 200 && last 'the text'
    check $? 'serve DIR --unix: no name leads there, so any Host is served' "$dir/reply"
    ask 'GET /hello.txt HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n'
    is 421
    check $? 'serve DIR --unix -b: on the port it is not' "$dir/reply"
    stop "$term"
fi

serve -p 0 -t 1 --max-head 300 --max-body 3 --head-timeout 100ms --idle-timeout 100ms --log "$dir/log"
ask "GET / HTTP/1.1\r\nHost: t\r\nx: $(awk 'BEGIN { for (i = 0; i < 400; i++) printf "x" }')\r\n\r\n"
head -n 1 "$dir/reply" | grep -q ' 431 '
check $? '--max-head: 431' "$dir/reply"
ask 'POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nabcd'
head -n 1 "$dir/reply" | grep -q ' 413 '
check $? '--max-body: 413' "$dir/reply"
ask 'GET / HTTP/1.1\r\nHo'
head -n 1 "$dir/reply" | grep -q ' 408 '
check $? '--head-timeout: 408' "$dir/reply"
ask ''
[ "$status" -eq 0 ] && [ ! -s "$dir/reply" ]
check $? '--idle-timeout: closed without a word' "$dir/reply"
ask 'GET /?"\134\303\244 HTTP/1.0\r\n\r\n'
ask 'GET /?\033[31m HTTP/1.0\r\n\r\n'
ask 'GET /?plain HTTP/1.0\r\n\r\n'
stop "$term"
check "$status" 'a server with a log ends with status 0' "$dir/serve.err"
grep -qE '^127\.0\.0\.1 - - \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} \+0000\] "GET /\?plain HTTP/1\.0" 200 13$' "$dir/log"
check $? '--log: a line in the Common Log Format' "$dir/log"
LC_ALL=C awk '/[^ -~]/ { bad = 1 } END { exit bad }' "$dir/log"
check $? '--log: no control or foreign byte gets in' "$dir/log"
awk '!/^[^ ]+ - - \[[^]]*\] "[^"]*" [0-9]+ [0-9]+$/ { bad = 1 } END { exit bad || NR < 5 }' "$dir/log"
check $? '--log: every line has the same shape' "$dir/log"

serve -p 0 -t 1 --max-target 40 --max-fields 3 --max-requests 2 --turn-requests 1 --body-timeout 100ms --body-rate 1k \
    --send-timeout 100ms --send-rate 1G --max-per-address 1
ask 'GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: t\r\n\r\n'
is 414
check $? '--max-target: 414' "$dir/reply"
ask 'GET / HTTP/1.1\r\nHost: t\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n'
is 431
check $? '--max-fields: 431' "$dir/reply"
ask 'GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n'
[ "$(grep -c '^HTTP/1.1 200 ' "$dir/reply")" -eq 1 ] && [ "$(grep -c 'Hello, World!HTTP/1.1 200 ' "$dir/reply")" -eq 1 ] &&
    [ "$(grep -ci '^connection: close' "$dir/reply")" -eq 1 ]
check $? '--max-requests: the second answer is the last, and says so' "$dir/reply"
ask 'GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nabc'
is 408
check $? '--body-timeout, --body-rate: 408' "$dir/reply"
mkfifo "$dir/fifo3"
"$dir/raw" -h "$at" >"$dir/held" <"$dir/fifo3" &
holder=$!
exec 3>"$dir/fifo3"
printf 'GET /stream?chunks=10000&size=65536 HTTP/1.1\r\nHost: t\r\n\r\n' >&3
for _ in $(seq 100); do
    get /stats
    grep -q '"timeouts_send": 1,' "$dir/reply" && break
    sleep 0.05
done
grep -q '"timeouts_send": 1,' "$dir/reply"
check $? '--send-timeout, --send-rate: a reader that takes nothing is cut' "$dir/reply"
for counter in conns_spent refused_target refused_fields timeouts_body turns_cut; do
    grep -q "\"$counter\": [1-9]" "$dir/reply"
    check $? "/stats: $counter" "$dir/reply"
done
get /metrics
tail -n 1 "$dir/reply" | grep -q '^fastserve_files_refused_total [0-9]*$'
check $? '/metrics: to the last counter' "$dir/reply"
exec 3>&-
wait "$holder"
holder=''
stop "$term"

serve -p 0 --max-conns 1
mkfifo "$dir/fifo2"
"$dir/raw" -h "$at" >"$dir/held" <"$dir/fifo2" &
holder=$!
exec 3>"$dir/fifo2"
for _ in $(seq 100); do
    grep -q connected "$dir/held" && break
    sleep 0.05
done
for _ in $(seq 40); do # connected is not yet accepted, and another loop may be first
    ask 'GET / HTTP/1.0\r\n\r\n'
    head -n 1 "$dir/reply" | grep -q ' 503 ' && break
    sleep 0.05
done
head -n 1 "$dir/reply" | grep -q ' 503 '
check $? '--max-conns: 503' "$dir/reply"
exec 3>&-
wait "$holder"
holder=''
stop INT
check "$status" 'SIGINT: ends with status 0'

echo "test_cli: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
