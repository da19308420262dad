#!/bin/sh
# test_compare.sh: tests/compare.py with peers of its own; the cases stand in tests/test_compare.py. It needs python3,
# a C compiler and Linux; a developer without python3 has the rest of `make test`. A program of another system is not
# measured: FASTSERVE is a script then.
set -u
cd "$(dirname "$0")/.." || exit 1
program=${FASTSERVE:-./fastserve}
why=
command -v python3 >/dev/null || why='python3 is not installed'
[ -e /proc/self/smaps_rollup ] || why='needs Linux and its /proc'
case $program in *.sh) why='the program is of another system' ;; esac
if [ -n "$why" ]; then
    echo "SKIP all cases: $why"
    echo 'test_compare: 0 passed, 0 failed, 1 skipped'
    exit 0
fi
FASTSERVE=$program exec python3 tests/test_compare.py
