#!/bin/sh
# beside_static.sh: `fastserve serve DIR` beside nginx and h2o, interleaved: wrk -t2 -c100 on files of 1 KiB, 100 KiB
# and 10 MiB.
#
#   sh tests/beside_static.sh [--rounds N] [--seconds S] [--only 1k,100k,10m] [./fastserve]
#
# Medians of N rounds (default 5) of S seconds (default 3): answers a second, bytes a second, the CPU time (user and
# system, all its processes, from /proc) that the server spent for an answer, and the median of each round's ratio of
# ours to theirs with its least and greatest. A quiet machine is needed; it says how busy the CPUs were before. Needs
# wrk, and nginx and h2o (one that is not installed is left out). Everything stays on loopback; what it started has
# ended when it ends. Linux.
# shellcheck disable=SC2030,SC2031,SC2034,SC2046,SC2086,SC2154 # lists of words, and variables by eval
set -u
cd "$(dirname "$0")/.." || exit 1
rounds=5 seconds=3 only=1k,100k,10m program=./fastserve
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --only) only=$2 && shift ;;
    -*) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 1 ;;
    *) program=$1 ;;
    esac
    shift
done
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C
command -v wrk >/dev/null || { echo 'beside_static: wrk is not installed' && exit 1; }
dir=$(mktemp -d) || exit 1
chmod 755 "$dir" # nginx's workers are another user
servers=

cleanup() {
    for pid in $servers; do kill "$pid" 2>/dev/null; done
    for pid in $servers; do wait "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

mkdir "$dir/www"
head -c 1024 /dev/urandom >"$dir/www/1k"
head -c 102400 /dev/urandom >"$dir/www/100k"
head -c 10485760 /dev/urandom >"$dir/www/10m"
touch -d '2020-01-01' "$dir/www"/*

# A port that is free now.
free_port() {
    port=$((20000 + ($$ * 7 + ${port:-0} * 13) % 20000))
    while grep -q ":$(printf %04X $port) " /proc/net/tcp; do port=$((port + 1)); done
}
# answers: waits until the server on $port does.
answers() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$port/1k" && return 0
        sleep 0.2
    done
    echo "beside_static: $1 does not answer:"
    cat "$dir/$1.log"
    exit 1
}

names=ours
free_port
"$program" serve "$dir/www" -p "$port" -q >"$dir/ours.log" 2>&1 &
pid_ours=$! port_ours=$port servers="$servers $!"
answers ours

if command -v nginx >/dev/null; then
    free_port
    cat >"$dir/nginx.conf" <<CONF
daemon off;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
worker_processes 2;
events {
    worker_connections 4096;
}
http {
    sendfile on;
    tcp_nopush on;
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 300;
    open_file_cache max=1000 inactive=300s;
    open_file_cache_min_uses 1;
    open_file_cache_valid 60s;
    client_body_temp_path $dir/nginx-body;
    proxy_temp_path $dir/nginx-proxy;
    fastcgi_temp_path $dir/nginx-fastcgi;
    uwsgi_temp_path $dir/nginx-uwsgi;
    scgi_temp_path $dir/nginx-scgi;
    default_type application/octet-stream;
    server {
        listen 127.0.0.1:$port;
        root $dir/www;
    }
}
CONF
    nginx -p "$dir" -c "$dir/nginx.conf" >>"$dir/nginx.log" 2>&1 &
    pid_nginx=$! port_nginx=$port servers="$servers $!" names="$names nginx"
    answers nginx
else
    echo 'nginx is not installed'
fi

if command -v h2o >/dev/null; then
    free_port
    cat >"$dir/h2o.conf" <<CONF
num-threads: 2
max-connections: 4096
http1-request-timeout: 300
listen:
  host: 127.0.0.1
  port: $port
file.send-compressed: OFF
hosts:
  default:
    paths:
      /:
        file.dir: $dir/www
CONF
    h2o -c "$dir/h2o.conf" >"$dir/h2o.log" 2>&1 &
    pid_h2o=$! port_h2o=$port servers="$servers $!" names="$names h2o"
    answers h2o
else
    echo 'h2o is not installed'
fi

# cpu PID: ticks that it and its children have spent.
cpu() {
    for id in $1 $(cat /proc/"$1"/task/*/children 2>/dev/null); do sed 's/.*) //' "/proc/$id/stat"; done |
        awk '{ t += $12 + $13 } END { print t + 0 }'
}
ticks=$(getconf CLK_TCK)

# round NAME FILE: a line "rate bytes-a-second CPU-microseconds-an-answer" into NAME.FILE.
round() {
    eval "id=\$pid_$1 at=\$port_$1"
    before=$(cpu $id)
    wrk -t2 -c100 -d"${seconds}s" "http://127.0.0.1:$at/$2" >"$dir/out" || { cat "$dir/out" && exit 1; }
    after=$(cpu $id)
    if grep -E 'Socket errors|Non-2xx' "$dir/out"; then echo "  ... of $1, $2"; fi
    awk -v cpu=$((after - before)) -v ticks="$ticks" '/requests in/ { n = $1 }
        /^Requests\/sec/ { rate = $2 }
        END { print rate, n ? cpu / ticks / n * 1e6 : 0 }' "$dir/out" >>"$dir/$1.$2"
}
# median FILE COLUMN
median() {
    awk -v c="$2" '{ print $c }' "$1" | sort -g |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
idle() { awk '/^cpu / { print $5, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat; }

set -- $(idle) && sleep 1 && set -- "$@" $(idle)
echo "CPUs busy with other work before the start: $(((100 * (($4 - $2) - ($3 - $1))) / ($4 - $2))) %"
for name in $names; do # warm
    for file in $(echo "$only" | tr , ' '); do
        eval "at=\$port_$name"
        curl -s -o "$dir/got" "http://127.0.0.1:$at/$file"
        cmp "$dir/got" "$dir/www/$file" || exit 1
        wrk -t2 -c100 -d1s "http://127.0.0.1:$at/$file" >/dev/null
    done
done
printf '%-5s %-6s %12s %12s %14s   %s\n' file server answers/s MB/s 'CPU us/answer' \
    'ours of it, rate: median (least..greatest), CPU'
for file in $(echo "$only" | tr , ' '); do
    turn=0
    while [ $turn -lt "$rounds" ]; do
        for name in $names; do round "$name" "$file"; done
        names="${names#* } ${names%% *}" # everybody comes first in turn
        turn=$((turn + 1))
    done
    for name in ours nginx h2o; do
        [ -s "$dir/$name.$file" ] || continue
        ratio=
        if [ $name != ours ]; then
            paste -d ' ' "$dir/ours.$file" "$dir/$name.$file" |
                awk '{ print $1 / $3, ($4 > 0 ? $2 / $4 : 0) }' >"$dir/ratios"
            sort -g "$dir/ratios" >"$dir/sorted"
            ratio=$(printf '%.2f (%.2f..%.2f), %.2f' "$(median "$dir/ratios" 1)" "$(sed 's/ .*//;q' "$dir/sorted")" \
                "$(tail -n 1 "$dir/sorted" | sed 's/ .*//')" "$(median "$dir/ratios" 2)")
        fi
        rate=$(median "$dir/$name.$file" 1)
        bytes=$(echo "$rate $(wc -c <"$dir/www/$file")" | awk '{ print $1 * $2 / 1e6 }')
        spent=$(median "$dir/$name.$file" 2)
        printf '%-5s %-6s %12.0f %12.0f %14.1f   %s\n' "$file" $name "$rate" "$bytes" "$spent" "$ratio"
    done
done
