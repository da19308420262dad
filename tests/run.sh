#!/bin/sh
# run.sh: runs test programs and scripts and adds up their cases.
#
#   sh tests/run.sh build/test_queue tests/test_cli.sh ...
#
# RUN is what runs the programs, where they are another system's: qemu-aarch64, wine64. BESIDE is what goes before those that
# run beside the others: `sh tests/wine.sh --beside` gives them a Wine of their own.
# Each ends with a line `NAME: N passed, N failed` (and perhaps `, N skipped`). One that ends without it, or with an
# exit status that the line does not explain, is one failed case more. The last line here is the sum; before it stands
# once more what failed, and what was skipped. With AGAIN=1 what failed runs a second time when all else has ended, and
# only that counts: under an emulator that is late while others have the machine, what fails alone too is a fault.
# shellcheck disable=SC2086 # RUN, BESIDE and the lists are words on purpose
set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
: >"$dir/skipped"
: >"$dir/failed"
: >"$dir/sums"
again=''

run() { # PROGRAM WORDS...: words go before it. Log, exit status and seconds stand in files of its name
    program=$1
    log=$dir/$(basename "$program")
    began=$(date +%s)
    shift
    case $program in
    *.sh) "$@" sh "$program" >"$log" 2>&1 </dev/null ;;
    *) "$@" ${RUN:-} "$program" >"$log" 2>&1 </dev/null ;;
    esac
    echo $? >"$log.status"
    echo $(($(date +%s) - began)) >"$log.seconds"
    [ -z "${RUN:-}" ] || sed -i 's/\r$//' "$log"
}

collect() { # PROGRAM; what a good run says besides its sum stays out of the way
    name=$(basename "$1")
    log=$dir/$name
    status=$(cat "$log.status")
    if [ "$status" -eq 0 ]; then grep -E "^$name: |^${name%.sh}: " "$log"; else grep -v '^SKIP ' "$log"; fi |
        sed "\$ s/\(: [0-9]* passed, .*\)/\1; $(cat "$log.seconds") s/"
    if [ "$status" -ne 0 ] && [ "${AGAIN:-0}" = 1 ]; then
        again="$again $1"
        return
    fi
    sed -n "s/^SKIP /    $name: /p" "$log" >>"$dir/skipped"
    sum=$(grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1 | sed 's/^[^:]*: //')
    if [ -z "$sum" ]; then
        echo "    $name: ended with status $status before it could count its cases" | tee -a "$dir/failed"
        sum='0 passed, 1 failed'
    elif [ "$status" -ne 0 ] && expr "$sum" : '.* 0 failed' >/dev/null; then
        echo "    $name: ended with status $status although no case failed" | tee -a "$dir/failed"
        sum="$sum 1 failed" # one more, in a column of its own
    fi
    [ "$status" -eq 0 ] || sed -nE "s/^FAIL |^([^ ]+\.[ch]:[0-9]+: )/    $name: \1/p" "$log" | cut -c 1-200 >>"$dir/failed"
    echo "$sum" >>"$dir/sums"
}

# Most of the time of test_load and test_models is waiting: they run beside the others; so do the compilers of builds.sh,
# with what those leave of the CPUs.
waiting='' compiling='' others=''
for program in "$@"; do
    case $(basename "$program" .exe) in
    test_load | test_models) waiting="$waiting $program" ;;
    builds.sh) compiling="$compiling $program" ;;
    *) others="$others $program" ;;
    esac
done
for program in $waiting; do run "$program" ${BESIDE:-}; done &
for program in $compiling; do run "$program" nice -n 19; done &
for program in $others; do
    run "$program"
    collect "$program"
done
wait
for program in $waiting $compiling; do collect "$program"; done
if [ -n "$again" ]; then
    echo "a second time:$again"
    AGAIN=0
    for program in $again; do
        run "$program"
        collect "$program"
    done
fi

if [ -s "$dir/failed" ]; then
    echo 'failed:'
    cat "$dir/failed"
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
