#!/bin/sh
# run.sh: runs test programs and scripts and adds up their cases.
#
#   sh tests/run.sh build/test_queue tests/test_cli.sh ...
#
# RUN is what runs the programs, where they are another system's: qemu-aarch64, wine64.
# Each ends with a line `NAME: N passed, N failed` (and perhaps `, N skipped`). One that ends without it, or with an
# exit status that the line does not explain, is one failed case more. The last line here is the sum.
set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
: >"$dir/skipped"
: >"$dir/sums"

run() { # PROGRAM LOG; its exit status stands in LOG.status
    case $1 in
    *.sh) sh "$1" >"$2" 2>&1 </dev/null ;;
    *) ${RUN:-} "$1" >"$2" 2>&1 </dev/null ;;
    esac
    echo $? >"$2.status"
    [ -z "${RUN:-}" ] || sed -i 's/\r$//' "$2"
}

collect() { # PROGRAM LOG; what a good run says besides its sum stays out of the way
    name=$(basename "$1")
    status=$(cat "$2.status")
    if [ "$status" -eq 0 ]; then grep -E "^$name: |^${name%.sh}: " "$2"; else grep -v '^SKIP ' "$2"; fi
    sed -n "s/^SKIP /    $name: /p" "$2" >>"$dir/skipped"
    sum=$(grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$2" | tail -n 1 | sed 's/^[^:]*: //')
    if [ -z "$sum" ]; then
        echo "$name: ended with status $status before it could count its cases"
        sum='0 passed, 1 failed'
    elif [ "$status" -ne 0 ] && expr "$sum" : '.* 0 failed' >/dev/null; then
        echo "$name: ended with status $status although no case failed"
        sum="$sum 1 failed" # one more, in a column of its own
    fi
    echo "$sum" >>"$dir/sums"
}

# Most of test_load's time is waiting: it runs beside the others.
beside=
for program in "$@"; do
    case $program in
    *test_load | *test_load.exe)
        beside=$program
        run "$program" "$dir/beside" &
        ;;
    esac
done
for program in "$@"; do
    [ "$program" = "$beside" ] && continue
    run "$program" "$dir/log"
    collect "$program" "$dir/log"
done
if [ -n "$beside" ]; then
    wait
    collect "$beside" "$dir/beside"
fi

if [ -s "$dir/skipped" ]; then
    echo 'skipped:'
    cat "$dir/skipped"
fi
awk '{ for (i = 2; i <= NF; i++) { word = $i; sub(/,$/, "", word); n[word] += $(i - 1) } }
    END {
        if (n["passed"] + n["failed"] == 0) { print "no test ran"; n["failed"] = 1 }
        printf "%d passed, %d failed", n["passed"], n["failed"]
        if (n["skipped"]) printf ", %d skipped", n["skipped"]
        print ""
        exit (n["failed"] > 0)
    }' "$dir/sums"
