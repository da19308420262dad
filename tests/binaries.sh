#!/bin/sh
# binaries.sh: what the programs for other systems ask of them, and what their objects show to a linker.
#
#   sh tests/binaries.sh KIND...   windows, windows-arm64, macos-aarch64, macos-x86_64, freebsd-x86_64 and the like, musl,
#                                  arm64: directories in build/
#
# For each: the program imports the system's own libraries and no other, takes less than 384 KB without symbols (OpenBSD
# 400; no bound where it brings a whole C library), and an object with the implementation alone has no external name but
# fsv_...; with FASTSERVE_STATIC it has none at all.
# shellcheck disable=SC2086 # compilers are words on purpose
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/binaries
mkdir -p "$out" || exit 1
passed=0 failed=0
what= # what is looked at now: what was wrong stands in $out/log

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAIL $what"
    head -n 6 "$out/log" | sed 's/^/    /'
}
# empty: the log has to be.
empty() { if [ -s "$out/log" ]; then bad; else ok; fi; }
# first COMMAND...: the first one that is here.
first() {
    for command in "$@"; do command -v "$command" >/dev/null && break; done
    echo "$command"
}

# kind NAME: how its objects are made and what its program may import.
kind() {
    program=build/$1/fastserve
    size_max=393216
    zig="${ZIG:-zig} cc -target"
    case $1 in
    windows | windows-arm64)
        program=$program.exe
        may='^(kernel32|ws2_32|mswsock|msvcrt|ucrtbase|ntdll|advapi32|shell32|psapi|api-ms-win-[a-z0-9-]*)\.dll$'
        ;;
    macos-*) may='^/usr/lib/libSystem\.B\.dylib$' ;;
    openbsd-*) may='^lib(c|pthread)\.so(\.[0-9.]+)?$' size_max=409600 ;; # its compilers guard every return
    *bsd-*) may='^lib(c|thr|pthread)\.so(\.[0-9.]+)?$' ;;
    *) may='^$' size_max= ;; # static: with the C library
    esac
    case $1 in
    windows) cc=${MINGW_CC:-x86_64-w64-mingw32-gcc} ;;
    windows-arm64) cc="$zig aarch64-windows-gnu" ;;
    macos-*) cc="$zig ${1#macos-}-macos" ;;
    *bsd-*) cc="$zig ${1#*-}-${1%-*}" ;;
    musl) cc=${MUSL_CC:-musl-gcc} ;;
    arm64) cc=${ARM64_CC:-$zig aarch64-linux-musl} ;;
    *)
        echo "binaries.sh: $1: no such kind"
        exit 1
        ;;
    esac
}

# libraries PROGRAM: those that it names, each on a line.
libraries() {
    case $1 in
    *.exe) $(first llvm-objdump objdump) -p "$1" | sed -n 's/^ *DLL Name: //p' | tr 'A-Z' 'a-z' ;;
    *macos*) llvm-objdump --macho --dylibs-used "$1" | sed -n 's/^[[:space:]]\([^ ]*\) (compat.*/\1/p' ;;
    *) $(first llvm-objdump objdump) -p "$1" | sed -n 's/^ *NEEDED *//p' ;;
    esac
}
# symbols FILE: the external names that it defines, without the underscore that macOS puts first.
symbols() { $(first llvm-nm nm) -g --defined-only "$1" | awk 'NF >= 3 { sub(/^_/, "", $NF); print $NF }'; }

for name in "$@"; do
    kind "$name"

    what="$name: $program was built"
    [ -s "$program" ] || echo 'it was not' >"$out/log"
    [ -s "$program" ] || { bad; continue; }

    what="$name: imports the system's own libraries alone"
    libraries "$program" >"$out/libraries"
    grep -vE "$may" "$out/libraries" >"$out/log"
    [ -s "$out/libraries" ] || [ "$may" = '^$' ] || echo 'no import was found' >"$out/log"
    empty

    what="$name: less than ${size_max:-any number of} bytes without symbols"
    if $(first llvm-strip strip) -o "$out/stripped" "$program" 2>"$out/log"; then
        size=$(wc -c <"$out/stripped")
        [ "$size" -lt "${size_max:-$((size + 1))}" ] || echo "$size bytes" >"$out/log"
        echo "$name: $((size / 1024)) KB; $(sort -u "$out/libraries" | tr '\n' ' ')"
    fi
    empty

    what="$name: every external symbol of the implementation begins with fsv_"
    $cc -std=c11 -O1 -c tests/build_two_a.c -o $out/a.o 2>"$out/log" && symbols $out/a.o >"$out/names"
    grep -v '^fsv_' "$out/names" >>"$out/log"
    [ -s "$out/names" ] || echo 'there is none' >>"$out/log"
    empty

    what="$name: FASTSERVE_STATIC has no external symbol"
    $cc -std=c11 -O1 -c tests/build_static.c -o $out/static.o 2>"$out/log" && symbols $out/static.o >"$out/names"
    grep -v '^main$' "$out/names" >>"$out/log"
    [ -s "$out/names" ] || echo 'there is no main either' >>"$out/log"
    empty
done

echo "binaries: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
