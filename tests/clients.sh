#!/bin/sh
# clients.sh: real clients against `fastserve serve`: 20,000 requests each, and not one may fail.
#
#   sh tests/clients.sh [PART]      only the cases whose name contains PART
#
# FASTSERVE names the program (default ./fastserve). A client that is not installed is skipped, or failed when CI=true.
# Everything stays on loopback.
set -u
cd "$(dirname "$0")/.." || exit 1
part=${1:-}
program=${FASTSERVE:-./fastserve}
dir=$(mktemp -d) || exit 1
passed=0 failed=0 skipped=0
servers=
export LC_ALL=C

cleanup() {
    for pid in $servers; do kill "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

pass() {
    passed=$((passed + 1))
    echo "PASS $1"
}
fail() {
    failed=$((failed + 1))
    echo "FAIL $1: $2"
}
skip() {
    skipped=$((skipped + 1))
    echo "SKIP $1: $2"
}

# client NAME TOOL FUNCTION [ARGUMENTS]: one case. The function says in words what was wrong and returns non-zero.
client() {
    name=$1 tool=$2
    shift 2
    case $name in *"$part"*) ;; *) return ;; esac
    if ! command -v "$tool" >/dev/null 2>&1; then
        if [ "${CI:-}" = true ]; then fail "$name" "$tool is not installed"; else skip "$name" "$tool is not installed"; fi
        return
    fi
    if reason=$("$@" 2>&1); then pass "$name"; else fail "$name" "$reason"; fi
}

# wants PATTERN FILE: a line of the file matches, or the file's end is the reason for a failure.
wants() {
    grep -Eq -- "$1" "$2" && return 0
    echo "no line like '$1' in:"
    tail -n 15 "$2"
    return 1
}
never() {
    grep -E -- "$1" "$2" || return 0
    return 1
}
# equal GOT WANT
equal() {
    [ "$1" = "$2" ] && return 0
    echo "got '$1', want '$2'"
    return 1
}
limited() {
    if command -v timeout >/dev/null; then timeout 120 "$@"; else "$@"; fi
}
# start LOG ARGUMENTS: a server whose output goes to LOG; waits until it has said its URL. Sets $pid.
start() {
    log=$1
    shift
    : >"$log"
    "$program" serve "$@" >>"$log" 2>&1 &
    pid=$!
    servers="$servers $pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -Eq 'http://|unix:' "$log" && return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.25
    done
    fail serve "it did not say where it listens: $(cat "$log")"
    echo "clients: $passed passed, $failed failed, $skipped skipped"
    exit 1
}

tcp_port() { sed -nE 's,.*http://(127\.0\.0\.1|localhost):([0-9]+).*,\2,p' "$1" | head -n 1; }

# ---- the server and what it says ------------------------------------------------------------------------

start "$dir/serve.log" -p 0
main_pid=$pid
port=$(tcp_port "$dir/serve.log")
port6=$(sed -n 's,.*http://\[::1\]:\([0-9]*\).*,\1,p' "$dir/serve.log" | head -n 1)
url=http://127.0.0.1:$port
[ -n "$port" ] || { fail serve "no URL in: $(cat "$dir/serve.log")"; echo "clients: $passed passed, $failed failed"; exit 1; }

# ---- curl -----------------------------------------------------------------------------------------------

curl_get() {
    curl -si "$url/" >"$dir/out" || return 1
    wants '^HTTP/1.1 200 OK' "$dir/out" && wants '^Content-Type: text/plain' "$dir/out" &&
        wants '^Content-Length: 13' "$dir/out" && wants '^Date: ' "$dir/out" && wants '^Hello, World!$' "$dir/out"
}
curl_head() {
    curl -sI "$url/" >"$dir/out" || return 1
    wants '^HTTP/1.1 200 ' "$dir/out" && wants '^Content-Length: 13' "$dir/out" && never 'Hello' "$dir/out"
}
curl_options() {
    curl -si -X OPTIONS "$url/" >"$dir/out" || return 1
    wants '^HTTP/1.1 20[04] ' "$dir/out" && wants '^Allow: .*GET' "$dir/out"
}
curl_post() { equal "$(curl -s -d 'a=1&b=2' "$url/echo")" 'a=1&b=2'; }
curl_chunked() { # a length that curl cannot know before: chunked
    seq 1 50000 >"$dir/in"
    curl -s -X POST -H 'Transfer-Encoding: chunked' -H 'Expect:' -T - "$url/echo" <"$dir/in" >"$dir/out" || return 1
    cmp "$dir/in" "$dir/out"
}
curl_expect() {
    head -c 2097152 /dev/urandom >"$dir/in"
    curl -sv -H 'Expect: 100-continue' --expect100-timeout 30 --max-time 20 --data-binary "@$dir/in" "$url/echo" \
        -o "$dir/out" 2>"$dir/err" || { tail -n 5 "$dir/err"; return 1; }
    wants '^< HTTP/1.1 100 Continue' "$dir/err" && cmp "$dir/in" "$dir/out"
}
curl_stream() { equal "$(curl -s "$url/stream?chunks=100&size=1000" | wc -c | tr -d ' ')" 100000; }
curl_http10() {
    curl -si --http1.0 "$url/" >"$dir/out" || return 1
    wants '^HTTP/1\.[01] 200 ' "$dir/out" && wants '^Hello, World!$' "$dir/out"
}
curl_404() { equal "$(curl -s -o /dev/null -w '%{http_code}' "$url/no/such/thing")" 404; }
curl_ipv6() { equal "$(curl -sg "http://[::1]:${port6:-$port}/")" 'Hello, World!'; }
curl_localhost() { equal "$(curl -s "http://localhost:$port/")" 'Hello, World!'; }
curl_unix() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S "$dir/socket" ] || sleep 0.2; done
    equal "$(curl -s --unix-socket "$dir/socket" http://localhost/)" 'Hello, World!'
}
curl_many() { # one connection, so the sum of connects is 1
    limited curl -s -o /dev/null -w '%{http_code} %{num_connects} %{size_download}\n' "$url/?n=[1-20000]" >"$dir/out"
    equal "$(awk '{ answers += $1 == 200 && $3 == 13; connects += $2 } END { print answers, connects }' "$dir/out")" '20000 1'
}

client curl-get curl curl_get
client curl-head curl curl_head
client curl-options curl curl_options
client curl-post curl curl_post
client curl-chunked curl curl_chunked
client curl-expect curl curl_expect
client curl-stream curl curl_stream
client curl-http1.0 curl curl_http10
client curl-404 curl curl_404
client curl-localhost curl curl_localhost
if [ -n "$port6" ] || curl -sg -o /dev/null "http://[::1]:$port/" 2>/dev/null; then client curl-ipv6 curl curl_ipv6
else skip curl-ipv6 'this machine has no [::1]'; fi
start "$dir/unix.log" --unix "$dir/socket"
client curl-unix curl curl_unix
kill "$pid" && wait "$pid" 2>/dev/null
client curl-20000 curl curl_many

# ---- load generators ------------------------------------------------------------------------------------

run_wrk() {
    limited wrk -t2 -c100 -d3s "$url/" >"$dir/out" 2>&1 || { cat "$dir/out"; return 1; }
    never 'Socket errors|Non-2xx' "$dir/out" || return 1
    count=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$dir/out")
    [ "${count:-0}" -ge 20000 ] || { echo "only ${count:-0} requests in 3 s"; return 1; }
}
run_ab() { # ab speaks HTTP/1.0, and counts an answer of another length as failed
    limited ab -q -n 20000 -c 100 "$@" "$url/" >"$dir/out" 2>&1 || { tail -n 5 "$dir/out"; return 1; }
    wants '^Complete requests: +20000$' "$dir/out" && wants '^Failed requests: +0$' "$dir/out" &&
        never 'Non-2xx' "$dir/out" || return 1
    case "$*" in *-k*) wants '^Keep-Alive requests: +20000$' "$dir/out" ;; esac
}
run_h2load() {
    limited h2load --h1 -n 20000 -c 50 -t 2 "$@" "$url/" >"$dir/out" 2>&1 || { tail -n 5 "$dir/out"; return 1; }
    wants '20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout' "$dir/out" &&
        wants '^status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx' "$dir/out"
}
run_hey() {
    limited hey -n 20000 -c 50 "$url/" >"$dir/out" 2>&1 || { tail -n 5 "$dir/out"; return 1; }
    wants '\[200\].*20000 responses' "$dir/out" && never 'Error distribution' "$dir/out"
}
run_httperf() {
    limited httperf --hog --server 127.0.0.1 --port "$port" --uri / --timeout 10 "$@" >"$dir/out" 2>&1 ||
        { tail -n 5 "$dir/out"; return 1; }
    wants 'requests 20000 replies 20000' "$dir/out" && wants '^Reply status: 1xx=0 2xx=20000 3xx=0 4xx=0 5xx=0' "$dir/out" &&
        wants '^Errors: total 0 client-timo 0 socket-timo 0 connrefused 0 connreset 0' "$dir/out"
}
# A connection for each call. httperf keeps to its rate with at most 1024 descriptors; where the machine is too busy for
# the rate it runs out of them, which says nothing of the server: slower then, and on a port without a past, since
# 20,000 connections in TIME_WAIT make each further connect to the same port a long search.
run_httperf_conns() {
    for rate in 2000 1000 500; do
        start "$dir/serve$rate.log" -p 0
        reason=$(port=$(tcp_port "$dir/serve$rate.log") && run_httperf --num-conns 20000 --num-calls 1 --rate $rate)
        status=$?
        kill "$pid" && wait "$pid"
        [ "$status" -eq 0 ] && return 0
        grep -q 'fd-unavail 0 ' "$dir/out" && break
    done
    echo "$reason"
    return 1
}
run_siege() {
    printf '%s\n' 'connection = keep-alive' 'limit = 255' 'logging = false' 'parser = false' 'verbose = false' \
        'quiet = false' >"$dir/siegerc"
    HOME=$dir limited siege -R "$dir/siegerc" -b -c 20 -r 1000 "$url/" >"$dir/out" 2>&1 ||
        { tail -n 5 "$dir/out"; return 1; }
    tr -d '"' <"$dir/out" | tr 'A-Z_\t' 'a-z  ' >"$dir/plain" # newer versions print JSON
    wants '^ *transactions: +20000' "$dir/plain" && wants 'availability: +100\.00' "$dir/plain" &&
        wants 'failed transactions: +0' "$dir/plain"
}

client wrk wrk run_wrk
client ab ab run_ab
client ab-keep-alive ab run_ab -k
client h2load h2load run_h2load
client h2load-pipelined h2load run_h2load -m 16
client hey hey run_hey
client httperf-calls httperf run_httperf --num-conns 200 --num-calls 100
client httperf-conns httperf run_httperf_conns
client siege siege run_siege

# ---- languages ------------------------------------------------------------------------------------------

cat >"$dir/client.mjs" <<'JS'
const [url, count] = [process.argv[2], 20000];
let next = 0, bad = 0;
async function worker() {
    while (next++ < count) {
        const answer = await fetch(url + "/");
        if (answer.status !== 200 || (await answer.text()) !== "Hello, World!") bad++;
    }
}
await Promise.all(Array.from({ length: 50 }, worker));
const text = "x".repeat(100000);
for (let i = 0; i < 50; i++) { // a known length, then a stream
    const known = await fetch(url + "/echo", { method: "POST", body: text + i });
    if ((await known.text()) !== text + i) bad++;
    const body = new ReadableStream({
        start(to) {
            for (let k = 0; k < 10; k++) to.enqueue(new TextEncoder().encode(text.slice(0, 1000 * k) + i));
            to.close();
        },
    });
    const streamed = await fetch(url + "/echo", { method: "POST", body, duplex: "half" });
    if ((await streamed.text()).length !== 45000 + 10 * String(i).length) bad++;
}
if (bad) console.log(bad + " wrong answers");
process.exit(bad ? 1 : 0);
JS
cat >"$dir/client.py" <<'PY'
import http.client, sys
conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
conn.connect()
first = conn.sock.getsockname()
for i in range(20000):
    conn.request("GET", "/")
    answer = conn.getresponse()
    body = answer.read()
    assert (answer.status, body) == (200, b"Hello, World!"), (i, answer.status, body)
for i in range(200):
    pieces = [b"piece %d of %d " % (k, i) for k in range(i)]
    conn.request("POST", "/echo", body=iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    body = conn.getresponse().read()
    assert body == b"".join(pieces), (i, body[:100])
assert conn.sock.getsockname() == first, "it was not one connection"
PY
cat >"$dir/client.go" <<'GO'
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
)

func main() {
	url := os.Args[1]
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
	var bad, fresh int64
	wrong := func(format string, args ...interface{}) {
		if atomic.AddInt64(&bad, 1) <= 5 {
			fmt.Printf(format+"\n", args...)
		}
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			atomic.AddInt64(&fresh, 1)
		}
	}}
	var all sync.WaitGroup
	for g := 0; g < 50; g++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; i < 400; i++ {
				request, _ := http.NewRequest("GET", url+"/", nil)
				answer, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
				if err != nil {
					wrong("GET: %v", err)
					continue
				}
				body, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != 200 || string(body) != "Hello, World!" {
					wrong("GET: %d %q %v", answer.StatusCode, body, err)
				}
			}
		}()
	}
	all.Wait()
	for i := 0; i < 50; i++ {
		sent := bytes.Repeat([]byte{byte('a' + i%26)}, 10000*i+1)
		answer, err := client.Post(url+"/echo", "application/octet-stream", io.MultiReader(bytes.NewReader(sent)))
		if err != nil {
			wrong("POST: %v", err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !bytes.Equal(body, sent) {
			wrong("POST: sent %d, got %d bytes, %v", len(sent), len(body), err)
		}
	}
	if fresh > 200 {
		wrong("%d connections for 50 goroutines: not kept alive", fresh)
	}
	if bad > 0 {
		os.Exit(1)
	}
}
GO

# Each of these is silent when all went well. speaks COMMAND...
speaks() {
    limited "$@" >"$dir/out" 2>&1
    status=$?
    [ "$status" -eq 0 ] && ! [ -s "$dir/out" ] && return 0
    echo "exit status $status: $(tail -n 6 "$dir/out")"
    return 1
}
run_go() { GO111MODULE=off GOCACHE=$dir/gocache speaks go run "$dir/client.go" "$url"; }

client node-fetch node speaks node "$dir/client.mjs" "$url"
client python-http.client python3 speaks python3 "$dir/client.py" "$port"
client go-net/http go run_go

# ---- the end --------------------------------------------------------------------------------------------

kill "$main_pid"
wait "$main_pid"
status=$?
if [ "$status" -eq 0 ]; then pass serve-ends; else fail serve-ends "exit status $status after SIGTERM: $(tail -n 5 "$dir/serve.log")"; fi

if [ "$skipped" -gt 0 ]; then echo "clients: $passed passed, $failed failed, $skipped skipped"
else echo "clients: $passed passed, $failed failed"; fi
[ "$failed" -eq 0 ]
