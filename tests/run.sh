#!/bin/sh
# run.sh: runs test programs and scripts one after the other and adds up their cases.
#
#   sh tests/run.sh build/test_queue tests/test_cli.sh ...
#
# Each ends with a line `NAME: N passed, N failed` (and perhaps `, N skipped`). One that ends without it, or with an
# exit status that the line does not explain, is one failed case more. The last line here is the sum.
set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
: >"$dir/skipped"
: >"$dir/sums"

for program in "$@"; do
    name=$(basename "$program")
    case $program in
    *.sh) sh "$program" >"$dir/log" 2>&1 </dev/null ;;
    *) "$program" >"$dir/log" 2>&1 </dev/null ;;
    esac
    status=$?
    grep -v '^SKIP ' "$dir/log"
    sed -n "s/^SKIP /    $name: /p" "$dir/log" >>"$dir/skipped"
    sum=$(grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$dir/log" | tail -n 1 | sed 's/^[^:]*: //')
    if [ -z "$sum" ]; then
        echo "$name: ended with status $status before it could count its cases"
        sum='0 passed, 1 failed'
    elif [ "$status" -ne 0 ] && expr "$sum" : '.* 0 failed' >/dev/null; then
        echo "$name: ended with status $status although no case failed"
        sum="$sum 1 failed" # one more, in a column of its own
    fi
    echo "$sum" >>"$dir/sums"
done

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
