#!/bin/sh
# test_readme.sh: the first C block of README.md is a whole program and compiles as it stands there, in the words of
# the README: with the header beside it and nothing else.
# shellcheck disable=SC2086 # CC may be several words
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/readme
mkdir -p "$out" || exit 1
passed=0 failed=0

awk '/^```c$/ && !done { inside = 1; next } /^```$/ && inside { inside = 0; done = 1 } inside' README.md >$out/readme.c
# builds COMPILER...: with warnings as errors; one case.
builds() {
    if [ -s $out/readme.c ] && "$@" -I. -pthread -Wall -Wextra -Werror $out/readme.c -o $out/readme; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL README.md's first program with $*"
    fi
}
builds ${CC:-cc}
builds ${CC:-cc} -std=c11
grep -q 'int main(' $out/readme.c || { failed=$((failed + 1)); echo 'FAIL README.md: the first C block is no whole program'; }
echo "test_readme: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
