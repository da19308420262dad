#!/bin/sh
# build_bat.sh: build.bat under Wine's cmd: what it finds, what it says, its exit statuses. A small project stands in for
# the real one where only the batch code matters; at last the real one is built and some of its tests run.
#
#   sh tests/wine.sh --around sh tests/build_bat.sh
#
# No compiler for Windows runs here: tests/wine_cc.c plays gcc.exe, cl.exe and clang-cl.exe.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
out=$root/build/bat
mingw=${MINGW_CC:-x86_64-w64-mingw32-gcc}
passed=0 failed=0
unset CC FASTSERVE # build.bat reads the one and sets the other
rm -rf "$out"
mkdir -p "$out/small/tests" "$out/gcc" "$out/clang" "$out/cl" "$out/nothing" "$out/real/tests"
$mingw -O1 -static tests/wine_cc.c -o "$out/gcc/gcc.exe" || exit 1
cp "$out/gcc/gcc.exe" "$out/clang/clang-cl.exe"
cp "$out/gcc/gcc.exe" "$out/cl/cl.exe"
cp build.bat "$out/small/"
cd "$out/small" || exit 1

# A path of this machine as Windows writes it.
windows() { echo "Z:$1" | tr / '\\'; }
# bat PATHS ARGUMENTS...: runs build.bat with those directories in PATH; $status and $out/log are left.
bat() {
    paths=
    for path in $1; do paths="$paths${paths:+;}$(windows "$out/$path")"; done
    shift
    rm -f build/wine_cc.log
    WINEPATH=$paths sh "$root/tests/wine.sh" cmd /c build.bat "$@" >"$out/log" 2>&1 </dev/null
    status=$?
    tr -d '\r' <"$out/log" >"$out/log.lf" && mv "$out/log.lf" "$out/log"
}
# check TEXT COMMAND...: one case: the command succeeds.
check() {
    text=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $text (status $status)"
        sed 's/^/    /' "$out/log" | head -n 20
    fi
}
# ended STATUS TEXT...: with this status, and each text stands in what was printed.
ended() {
    [ "$status" -eq "$1" ] || return 1
    shift
    for word in "$@"; do grep -qF -e "$word" "$out/log" || return 1; done
}
# given TEXT...: the compiler was called with each.
given() { for word in "$@"; do grep -qF -e "$word" build/wine_cc.log || return 1; done; }
plain() { given /Od '/Fe:build'; }
gone() { [ ! -e build ] && [ ! -e fastserve.exe ]; }

echo 'int main(void) { return 7; }' >main.c
cat >tests/test_good.c <<'END'
#include <stdio.h>
int main(void) { puts("a < b | c & d % e ! f ^ \"g"); puts("test_good.exe: 3 passed, 0 failed, 1 skipped"); return 0; }
END

bat nothing
check 'without a compiler: status 1 and what to install' ended 1 'no C compiler found' 'Visual Studio' 'winget install'
check 'without a compiler: nothing is left' [ ! -e fastserve.exe ]

bat gcc
check 'gcc: status 0, and it says so' ended 0 'with gcc' 'fastserve.exe is built'
check 'gcc: release' given '-std=c11' '-O2' '-static' '-lws2_32'
sh "$root/tests/wine.sh" fastserve.exe
status=$?
check 'gcc: what it built runs' [ "$status" -eq 7 ]
bat gcc debug
check 'gcc: debug' given '-g -O0'
bat gcc test
check 'test: the sum of all' ended 0 '3 passed, 0 failed, 1 skipped'

cp tests/test_good.c tests/test_other.c
sed -i 's/3 passed, 0 failed, 1 skipped/2 passed, 5 failed, 0 skipped/; s/return 0/return 1/' tests/test_other.c
bat gcc test
check 'test: one that fails' ended 1 '5 passed, 5 failed, 1 skipped'
bat gcc test good
check 'test NAME: that one alone' ended 0 '3 passed, 0 failed, 1 skipped'
echo 'int main(void) { return 0; }' >tests/test_other.c
bat gcc test
check 'test: one that does not count' ended 1 'test_other: ended with status 0 before' '3 passed, 1 failed, 1 skipped'
sed 's/return 0/return 4/' tests/test_good.c >tests/test_other.c
bat gcc test
check 'test: a status that no case explains' ended 1 'ended with status 4 although' '6 passed, 1 failed, 2 skipped'
echo 'int main(void) { return x; }' >tests/test_other.c
bat gcc test
check 'test: one that does not build' ended 1 'test_other: does not build' '3 passed, 1 failed, 1 skipped'
rm tests/test_other.c
bat gcc test frob
check 'test: none of that name' ended 1 'no test ran'

bat gcc frob
check 'a wrong word: status 2' ended 2 'frob: no such target'
bat gcc clean
check 'clean: status 0' ended 0
check 'clean: nothing is left' gone
bat gcc clean
check 'clean: again' ended 0

bat 'gcc clang'
check 'clang-cl before gcc' ended 0 'with clang-cl'
check 'clang-cl: release' given 'clang-cl' '/std:c11' '/W4' '/O2' '/MT' '/Fe:fastserve.exe' 'ws2_32.lib'
bat 'gcc clang cl' test
check 'cl before both, and its tests' ended 0 'with cl' '3 passed, 0 failed, 1 skipped'
check 'cl: tests are not optimised' plain
export CC=gcc
bat 'cl clang gcc'
check 'CC says which' ended 0 'with gcc'
unset CC

# Visual Studio that is installed but not in PATH: vswhere tells where, and a script there extends PATH.
studio="$WINEPREFIX/drive_c/Program Files (x86)/Microsoft Visual Studio"
mkdir -p "$studio/Installer" "$studio/2022/VC/Auxiliary/Build"
cat >"$out/vswhere.c" <<'END'
#include <stdio.h>
int main(void) { puts("C:\\Program Files (x86)\\Microsoft Visual Studio\\2022"); return 0; }
END
$mingw -static "$out/vswhere.c" -o "$studio/Installer/vswhere.exe"
printf '@set "PATH=%%PATH%%;%s"\r\n@if not "%%1"=="x64" exit /b 1\r\n' "$(windows "$out/cl")" \
    >"$studio/2022/VC/Auxiliary/Build/vcvarsall.bat"
bat 'gcc clang'
check 'cl that Visual Studio keeps out of PATH' ended 0 'with cl'
rm -r "$studio"

echo 'int main(void) { return x; }' >main.c
for kind in gcc cl; do
    bat $kind
    check "$kind: an error: status 1, what it said, no program" ended 1 undeclared 'build.bat: failed'
    check "$kind: an error: no program" [ ! -e fastserve.exe ]
done

cd "$root" || exit 1
cp build.bat fastserve.h main.c bench.c "$out/real/"
cp tests/*.c tests/*.h "$out/real/tests/"
cd "$out/real" || exit 1
bat gcc test io
check 'the real test_io' ended 0 ' passed, 0 failed'
grep -E '^test_|^[0-9]+ passed' "$out/log"

echo "build_bat: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
