#!/bin/sh
# builds.sh: the header in every mode in which a project may compile it, with every compiler that is here.
# CC and CXX add to gcc, clang, g++ and clang++. Each line is one case; ends with the sum, as every test does.
# shellcheck disable=SC2086 # compilers and flags are words on purpose
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/builds
mkdir -p "$out" || exit 1
warn='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror'
passed=0 failed=0 skipped=0
what= # what runs now: what it printed stands in $out/log

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAIL $what"
    head -n 6 "$out/log" | sed 's/^/    /'
}
skip() {
    skipped=$((skipped + 1))
    echo "SKIP $1"
}
# try TEXT COMMAND...: the command succeeds and prints nothing.
try() {
    what=$1
    shift
    if "$@" >"$out/log" 2>&1 && ! [ -s "$out/log" ]; then ok; else bad; fi
}
# chain COMMAND1 -- COMMAND2 -- ...: as &&, for try.
chain() {
    command=
    for word in "$@"; do
        if [ "$word" = -- ]; then
            $command || return 1
            command=
        else
            command="$command $word"
        fi
    done
    $command
}
# The compilers to use, each once.
compilers() {
    seen=
    for compiler in "$@"; do
        full=$(command -v "${compiler%% *}" 2>/dev/null) || continue
        full=$(readlink -f "$full" 2>/dev/null || echo "$full")
        case " $seen " in *" $full "*) continue ;; esac
        seen="$seen $full"
        echo "$compiler"
    done
}

parts=$(grep -o 'FSV_NO_[A-Z_]*' fastserve.h | sort -u)
all_parts=$(for part in $parts; do echo "-D$part"; done)
c_flags="-std=c11 -pthread $warn"
cpp_flags="-std=c++17 -pthread $warn"
ccs=$(compilers "${CC:-cc}" gcc clang)
cxxs=$(compilers "${CXX:-c++}" g++ clang++)
cc=$(echo "$ccs" | head -n 1)
[ -n "$cc" ] || { echo 'builds: no C compiler found'; echo 'builds: 0 passed, 1 failed, 0 skipped'; exit 1; }

# One compiler on a line, since it may come with flags: CC='gcc -m32'.
while read -r name; do
    c="$name $c_flags"
    try "$name: implementation" $c tests/build_c.c -o $out/c
    try "$name: declarations" $c -c tests/build_decl.c -o $out/decl.o
    try "$name: FASTSERVE_STATIC" $c tests/build_static.c -o $out/static
    try "$name: two units" chain $c tests/build_two_a.c tests/build_two_b.c -o $out/two -- $out/two
    try "$name: less of everything" $c $all_parts tests/build_c.c -o $out/least
done <<LIST
$ccs
LIST

while read -r name; do
    [ -n "$name" ] || { skip 'C++: no compiler found'; continue; }
    c="$name $cpp_flags"
    try "$name: implementation" chain $c tests/build_cpp.cpp -o $out/cpp -- $out/cpp
    try "$name: declarations" $c -x c++ -c tests/build_decl.c -o $out/decl.o
    try "$name: FASTSERVE_STATIC" $c -x c++ tests/build_static.c -o $out/static
    try "$name: two units" chain $c -x c++ tests/build_two_a.c tests/build_two_b.c -o $out/two -- $out/two
    try "$name: implementation in C, program in C++" chain $cc $c_flags -c tests/build_two_a.c -o $out/two_a.o -- \
        $c -x c++ -c tests/build_two_b.c -o $out/two_b.o -- $c $out/two_a.o $out/two_b.o -o $out/mixed -- $out/mixed
done <<LIST
$cxxs
LIST

# What does not depend on the compiler much, with the first of them.
c="$cc $c_flags"
for part in $parts; do try "$part" $c -D$part tests/build_c.c -o $out/part; done
for mode in '-O3 -DNDEBUG' -Os -std=gnu11 '-DFSV_ASSERT(x)=((void)(x))'; do
    try "$cc $mode" $c $mode tests/build_c.c -o $out/mode
done
# clang knows which names belong to the language.
if command -v clang >/dev/null; then
    try 'no reserved name in C' clang $c_flags -Wreserved-identifier -fsyntax-only tests/build_c.c
    try 'no reserved name in C++' clang++ $cpp_flags -Wreserved-identifier -fsyntax-only tests/build_cpp.cpp
else
    skip 'reserved names: no clang'
fi

what='the implementation after system headers builds or says why not'
if $cc $c_flags tests/build_late.c -o $out/late >"$out/log" 2>&1; then ok
elif grep 'error:' "$out/log" | head -n 1 | grep -q '#error.*_GNU_SOURCE'; then ok
else bad; fi

# symbols FILE: the external names that it defines, without the underscore that some systems put first.
symbols() { nm -g "$1" | awk 'NF >= 3 && $(NF - 1) ~ /^[A-TX-Z]$/ { sub(/^_/, "", $NF); print $NF }'; }
if command -v nm >/dev/null; then
    $cc $c_flags -c tests/build_two_a.c -o $out/two_a.o >/dev/null 2>&1
    $cc $c_flags -c tests/build_two_b.c -o $out/two_b.o >/dev/null 2>&1
    $cc $c_flags -Wno-error -c tests/build_static.c -o $out/static.o >/dev/null 2>&1
    what='implementation on: every external symbol begins with fsv_'
    symbols $out/two_a.o | grep -v '^fsv_' >"$out/log"
    if [ -s "$out/log" ] || [ -z "$(symbols $out/two_a.o)" ]; then bad; else ok; fi
    what='implementation off: no external symbol'
    symbols $out/two_b.o | grep -v '^main$' >"$out/log"
    if [ -s "$out/log" ] || [ -z "$(symbols $out/two_b.o)" ]; then bad; else ok; fi
    what='FASTSERVE_STATIC: no external symbol'
    symbols $out/static.o | grep -v '^main$' >"$out/log"
    if [ -s "$out/log" ] || [ -z "$(symbols $out/static.o)" ]; then bad; else ok; fi
else
    skip 'external symbols: no nm'
fi

# left_behind FILE: macros that fastserve.h defines there and does not take back. -dD keeps every #define and #undef
# in its place, and the line markers say from which file it comes.
left_behind() {
    $cc -std=c11 -pthread -E -dD "$1" 2>&1 | awk '
        /^# [0-9]+ "/ { split($0, part, "\""); own = part[2] ~ /fastserve\.h$/ }
        /^#define / { name = $2; sub(/\(.*/, "", name); if (own) left[name] = 1 }
        /^#undef / { delete left[$2] }
        END { for (name in left) print name }' | sort
}
asked='^(_GNU_SOURCE|_DARWIN_C_SOURCE|WIN32_LEAN_AND_MEAN|NOMINMAX|_WIN32_WINNT)$'
what='implementation on: macros begin with FSV_, FSI_ or FASTSERVE_'
left_behind tests/build_two_a.c | grep -Ev "^(FSV_|FSI_|FASTSERVE_)|$asked" >"$out/log"
if [ -s "$out/log" ] || ! left_behind tests/build_two_a.c | grep -q '^FSV_'; then bad; else ok; fi
what='implementation off: macros begin with FSV_ or FASTSERVE_'
left_behind tests/build_decl.c | grep -Ev '^(FSV_|FASTSERVE_)' >"$out/log"
if [ -s "$out/log" ] || ! left_behind tests/build_decl.c | grep -q '^FSV_'; then bad; else ok; fi

# A line marker with flag 1 enters a file, flag 2 returns: the files that are entered from fastserve.h itself.
what='implementation off: stddef, stdint and stdbool are all that it includes'
$cc -std=c11 -E tests/build_decl.c 2>&1 | awk '
    /^# [0-9]+ "/ {
        split($0, part, "\"")
        if (part[3] ~ /^ 1/) { if (here ~ /fastserve\.h$/) print part[2] }
        here = part[2]
    }' | sed 's,.*/,,' | sort -u >"$out/includes"
grep -vE '^std(def|int|bool)\.h$' "$out/includes" >"$out/log"
if [ -s "$out/log" ] || ! grep -q stdint "$out/includes"; then bad; else ok; fi

echo "builds: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
