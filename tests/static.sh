#!/bin/sh
# static.sh: `fastserve serve DIR` with real clients: curl, wget, ab; and, byte by byte, the cases of tests/static.py.
#
#   sh tests/static.sh [PART]       only the cases whose name contains PART
#
# FASTSERVE names the program (default ./fastserve). A tool that is not installed is skipped, or failed when CI=true.
# Everything stays on loopback and in one folder for files of a moment.
set -u
cd "$(dirname "$0")/.." || exit 1
part=${1:-}
program=${FASTSERVE:-./fastserve}
dir=$(mktemp -d) || exit 1
passed=0 failed=0 skipped=0
servers=
export LC_ALL=C TZ=UTC

cleanup() {
    for pid in $servers; do kill "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# run NAME TOOLS FUNCTION [ARGUMENTS]: one case. The function says in words what was wrong and returns non-zero.
run() {
    name=$1 tools=$2
    shift 2
    case $name in *"$part"*) ;; *) return ;; esac
    for tool in $tools; do
        command -v "$tool" >/dev/null 2>&1 && continue
        if [ "${CI:-}" = true ]; then failed=$((failed + 1)) && echo "FAIL $name: $tool is not installed"
        else skipped=$((skipped + 1)) && echo "SKIP $name: $tool is not installed"; fi
        return
    done
    if reason=$("$@" 2>&1); then passed=$((passed + 1)) && echo "PASS $name"
    else failed=$((failed + 1)) && echo "FAIL $name: $reason"; fi
}

# equal WHAT GOT WANT
equal() {
    [ "$2" = "$3" ] && return 0
    echo "$1: got '$2', want '$3'"
    return 1
}
# wants PATTERN FILE: a line of the file matches, or the file's end is the reason for a failure.
wants() {
    grep -Eiq -- "$1" "$2" && return 0
    echo "no line like '$1' in:"
    tail -n 15 "$2"
    return 1
}
limited() {
    if command -v timeout >/dev/null; then timeout 120 "$@"; else "$@"; fi
}
# start LOG ARGUMENTS: a server whose output goes to LOG; waits until it has said its URL. Sets $pid and $url.
start() {
    log=$1
    shift
    : >"$log"
    "$program" serve "$@" -p 0 >>"$log" 2>&1 &
    pid=$!
    servers="$servers $pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -q 'http://' "$log" && break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.25
    done
    url=$(sed -nE 's,.*http://(127\.0\.0\.1|localhost):([0-9]+).*,http://127.0.0.1:\2,p' "$log" | head -n 1)
    [ -n "$url" ] && return 0
    failed=$((failed + 1))
    echo "FAIL serve: it did not say where it listens: $(cat "$log")"
    echo "static: $passed passed, $failed failed, $skipped skipped"
    exit 1
}

# ---- the folder

mkdir -p "$dir/www/sub" "$dir/www/empty"
seq 1 40000 >"$dir/www/numbers.txt" # 228,894 bytes: sent from the disk
head -c 1000 "$dir/www/numbers.txt" >"$dir/www/small.txt"
head -c 5000000 /dev/urandom >"$dir/www/film.webm"
printf '<!doctype html><title>Home</title>\n' >"$dir/www/index.html"
seq 1 3000 >"$dir/www/script.js"
for i in 1 2 3 4 5 6 7 8 9; do printf 'page %s\n' "$i" >"$dir/www/sub/page $i.txt"; done
find "$dir/www" -type f -exec touch -d '2020-01-02T03:04:05Z' {} +
settled=$(($(date +%s) + 3)) # a tag is strong when the file is 2 s old
start "$dir/serve.log" "$dir/www"
main_pid=$pid
www=$dir/www

# status TARGET CURL-ARGUMENTS...: the status; head and body go to files.
status() {
    target=$1
    shift
    curl -s -D "$dir/head" -o "$dir/body" -w '%{http_code}' "$@" "$url$target"
}
# part FILE FIRST LENGTH: compares the body with so much of a file.
part_is() {
    tail -c "+$(($2 + 1))" "$1" | head -c "$3" >"$dir/part"
    cmp "$dir/part" "$dir/body"
}

# ---- curl

curl_get() {
    equal GET "$(status /numbers.txt)" 200 && cmp "$www/numbers.txt" "$dir/body" &&
        wants '^Content-Type: text/plain; charset=utf-8' "$dir/head" &&
        wants '^Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT' "$dir/head" &&
            wants '^Accept-Ranges: bytes' "$dir/head" && wants '^ETag: ' "$dir/head"
}
curl_head() {
    equal HEAD "$(status /numbers.txt -I)" 200 && wants '^Content-Length: 228894' "$dir/head" &&
        wants '^ETag: ' "$dir/head"
}
curl_ranges() { # FILE SIZE
    for file in small.txt numbers.txt; do
        size=$(wc -c <"$www/$file")
        equal single "$(status /$file -r 10-19)" 206 && part_is "$www/$file" 10 10 &&
            wants "^Content-Range: bytes 10-19/$size" "$dir/head" &&
            equal suffix "$(status /$file -r -7)" 206 && part_is "$www/$file" $((size - 7)) 7 &&
            equal open "$(status /$file -r 990-)" 206 && part_is "$www/$file" 990 $((size - 990)) &&
            equal 'beyond its end' "$(status /$file -r 990-99999999)" 206 && part_is "$www/$file" 990 $((size - 990)) &&
            equal outside "$(status /$file -r "$size"-)" 416 && wants "^Content-Range: bytes \*/$size" "$dir/head" ||
            return 1
    done
}
curl_parts() { # the parts, put together by what their heads say, are the file's bytes
    equal several "$(status /numbers.txt -r 0-9,1000-1009,-10)" 206 &&
        wants '^Content-Type: multipart/byteranges; boundary=' "$dir/head" || return 1
    boundary=$(sed -n 's/.*boundary="\{0,1\}\([^"\r]*\).*/\1/p' "$dir/head")
    for range in 0-9 1000-1009 228884-228893; do
        printf -- '--%s\r\nContent-Type: text/plain; charset=utf-8\r\n' "$boundary"
        printf 'Content-Range: bytes %s/228894\r\n\r\n' "$range"
        tail -c "+$((${range%-*} + 1))" "$www/numbers.txt" | head -c 10
        printf '\r\n'
    done >"$dir/want"
    printf -- '--%s--\r\n' "$boundary" >>"$dir/want"
    tail -c "$(wc -c <"$dir/want")" "$dir/body" | cmp - "$dir/want"
}
curl_resume() { # -C -
    head -c 1234567 "$www/film.webm" >"$dir/film"
    curl -s -C - -o "$dir/film" "$url/film.webm" && cmp "$dir/film" "$www/film.webm"
}
curl_etag() { # curl's own way: save, then compare
    while [ "$(date +%s)" -lt "$settled" ]; do sleep 0.2; done
    curl -s --etag-save "$dir/etag" -o "$dir/first" "$url/small.txt" || return 1
    equal 'with its tag' "$(status /small.txt --etag-compare "$dir/etag")" 304 || return 1
    tag=$(cat "$dir/etag")
    case $tag in \"*\") ;; *) echo "the tag is not strong: $tag" && return 1 ;; esac
    equal If-Range "$(status /small.txt -r 0-9 -H "If-Range: $tag")" 206 &&
        equal 'If-Range, another tag' "$(status /small.txt -r 0-9 -H 'If-Range: "x"')" 200 &&
        equal 'If-Range, its date' "$(status /small.txt -r 0-9 -H 'If-Range: Thu, 02 Jan 2020 03:04:05 GMT')" 206 &&
        equal 'If-Range, another date' "$(status /small.txt -r 0-9 -H 'If-Range: Thu, 02 Jan 2020 03:04:06 GMT')" 200 &&
        equal If-Match "$(status /small.txt -H 'If-Match: "x"')" 412 &&
        equal If-Match "$(status /small.txt -H "If-Match: $tag")" 200
}
curl_time() { # -z: If-Modified-Since; -R: the file's time
    equal 'modified since' "$(status /small.txt -z 'Thu, 02 Jan 2020 03:04:05 GMT')" 304 &&
        equal 'modified since' "$(status /small.txt -z 'Thu, 02 Jan 2020 03:04:04 GMT')" 200 &&
        equal 'unmodified since' "$(status /small.txt -H 'If-Unmodified-Since: Thu, 02 Jan 2020 03:04:05 GMT')" 200 &&
        equal 'unmodified since' "$(status /small.txt -H 'If-Unmodified-Since: Thu, 02 Jan 2020 03:04:04 GMT')" 412 &&
        curl -s -R -o "$dir/timed" "$url/small.txt" && equal 'its time' "$(date -r "$dir/timed" +%s)" 1577934245
}
curl_folders() {
    equal redirect "$(status '/sub?x=1')" 301 &&
        equal 'where to' "$(curl -s -o "$dir/body" -w '%{redirect_url}' "$url/sub?x=1")" "$url/sub/?x=1" &&
        equal index "$(curl -s "$url/")" '<!doctype html><title>Home</title>' &&
        equal 'below it' "$(curl -sL "$url/sub/page%201.txt")" 'page 1' &&
        equal nothing "$(status /nothing)" 404 && equal dots "$(status /../serve.log --path-as-is)" 404 &&
        equal 'another host' "$(status / -H 'Host: evil.example')" 421 && equal post "$(status / -d x)" 405
}
curl_many() { # one connection, so the sum of connects is 1
    limited curl -s -o "$dir/body" -w '%{http_code} %{num_connects} %{size_download}\n' \
        "$url/small.txt?n=[1-5000]" >"$dir/out"
    got=$(awk '{ answers += $1 == 200 && $3 == 1000; connects += $2 } END { print answers, connects }' "$dir/out")
    equal 'answers and connects' "$got" '5000 1'
}

run curl-get curl curl_get
run curl-head curl curl_head
run curl-ranges curl curl_ranges
run curl-parts curl curl_parts
run curl-resume curl curl_resume
run curl-etag curl curl_etag
run curl-time curl curl_time
run curl-folders curl curl_folders
run curl-5000 curl curl_many

# ---- what compressors made

packed() { # TOOL ENDING CODING CURL'S-NAME: curl undoes what our sidecars hold
    "$1" -q -k "$www/script.js" || "$1" -k "$www/script.js" || return 1
    touch -d '2020-01-02T03:04:05Z' "$www/script.js.$2"
    equal status "$(status /script.js -H "Accept-Encoding: $3")" 200 && wants "^Content-Encoding: $3" "$dir/head" &&
        wants '^Vary: .*Accept-Encoding' "$dir/head" &&
        cmp "$dir/body" "$www/script.js.$2" &&
            equal identity "$(status /script.js -H "Accept-Encoding: $3;q=0")" 200 &&
            cmp "$dir/body" "$www/script.js" || return 1
    curl -V | grep -qi "$4" || return 0 # it cannot unpack this
    equal unpacked "$(status /script.js --compressed -H "Accept-Encoding: $3")" 200 && cmp "$dir/body" "$www/script.js"
}
run gzip 'curl gzip' packed gzip gz gzip libz
run brotli 'curl brotli' packed brotli br br brotli
run zstd 'curl zstd' packed zstd zst zstd zstd

# ---- wget

wget_continue() {
    mkdir -p "$dir/wget"
    head -c 1234567 "$www/film.webm" >"$dir/wget/film.webm"
    (cd "$dir/wget" && limited wget -q -c -t 1 "$url/film.webm") && cmp "$dir/wget/film.webm" "$www/film.webm" ||
        return 1
    (cd "$dir/wget" && limited wget -c -t 1 "$url/film.webm" >"$dir/out" 2>&1) # 416: there is no more of it
    wants 'nothing to do|fully retrieved' "$dir/out" && cmp "$dir/wget/film.webm" "$www/film.webm"
}
wget_newer() { # -N: If-Modified-Since
    (cd "$dir/wget" && limited wget -q -N "$url/small.txt" && limited wget -N "$url/small.txt" >"$dir/out" 2>&1) &&
        wants '304 Not Modified|not modified on server' "$dir/out" &&
        cmp "$dir/wget/small.txt" "$www/small.txt"
}
wget_mirror() { # by the links of the listing
    mkdir -p "$dir/mirror"
    (cd "$dir/mirror" && limited wget -q -r -l 1 -np -nd -A 'page*' "$url/sub/")
    for i in 1 2 3 4 5 6 7 8 9; do cmp "$dir/mirror/page $i.txt" "$www/sub/page $i.txt" || return 1; done
}
mkdir -p "$dir/wget"
run wget-continue wget wget_continue
run wget-newer wget wget_newer
run wget-mirror wget wget_mirror

# ---- load

run_ab() { # ab speaks HTTP/1.0, and counts an answer of another length as failed
    limited ab -q -n 20000 -c 100 "$@" >"$dir/out" 2>&1 || { tail -n 5 "$dir/out" && return 1; }
    wants '^Complete requests: +20000$' "$dir/out" && wants '^Failed requests: +0$' "$dir/out" &&
        ! grep Non-2xx "$dir/out"
}
run_wrk() { # FILE
    limited wrk -t2 -c50 -d2s "$url/$1" >"$dir/out" 2>&1 || { tail -n 5 "$dir/out" && return 1; }
    wants 'requests in' "$dir/out" && ! grep -E 'Socket errors|Non-2xx' "$dir/out"
}
run ab ab run_ab "$url/small.txt"
run ab-keep-alive ab run_ab -k "$url/small.txt"
run wrk-small wrk run_wrk small.txt
run wrk-from-disk wrk run_wrk numbers.txt

# ---- byte by byte

if command -v python3 >/dev/null 2>&1; then
    export FASTSERVE="$program"
    for case in $(python3 tests/static.py --list); do run "$case" python3 limited python3 tests/static.py "$case"; done
    for model in thread pool-conn pool; do # where a thread may wait for a disk, and for a client
        for case in ranges cut-while-sent save-in-place; do
            run "$case-$model" python3 limited env SERVE="--model $model" python3 tests/static.py "$case"
        done
    done
else
    run byte-by-byte python3 true
fi

# ---- the end

kill "$main_pid"
wait "$main_pid"
status=$?
if [ "$status" -eq 0 ]; then passed=$((passed + 1)) && echo 'PASS serve-ends'
else failed=$((failed + 1)) &&
    echo "FAIL serve-ends: exit status $status after SIGTERM: $(tail -n 5 "$dir/serve.log")"; fi
echo "static: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
