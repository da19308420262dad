#!/bin/sh
# wine.sh: runs Windows programs under Wine, in a prefix of its own below build/.
#
#   sh tests/wine.sh PROGRAM.exe ARGUMENTS...   with the program's exit status; SIGINT is its Ctrl-C
#   sh tests/wine.sh --around COMMAND...        makes the prefix, runs COMMAND, then ends all that the prefix still runs
#   sh tests/wine.sh --beside COMMAND...        the same in a prefix beside that one: Wine has one server for each, with one
#                                               thread, so what runs at the same time would wait for each other there
#
# WINE names the loader (default: wine64 or wine, wherever Debian puts them), WINEPREFIX the prefix.
set -u
for wine in "${WINE:-}" wine64 /usr/lib/wine/wine64 wine; do
    [ -n "$wine" ] && command -v "$wine" >/dev/null && break
    wine=
done
if [ -z "$wine" ]; then
    echo 'wine.sh: no Wine here (Debian: apt-get install wine64 wine); or say where: WINE=...' >&2
    exit 127
fi
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
export WINEPREFIX="${WINEPREFIX:-$root/build/wine}" WINEDEBUG="${WINEDEBUG:--all}"
export WINEDLLOVERRIDES='mscoree=;mshtml=' # no offer to fetch Mono or Gecko
export LC_ALL=C.UTF-8                      # in others Wine has no names of files beyond ASCII

case ${1:-} in
--around) ;;
--beside) WINEPREFIX=$WINEPREFIX-beside ;;
*) exec "$wine" "$@" ;;
esac
shift

for server in "$(dirname "$(command -v "$wine")")/wineserver64" /usr/lib/wine/wineserver64 wineserver; do
    command -v "$server" >/dev/null && break
done
# The server of this prefix alone: the variable says which. One that takes too long to end leaves what it served behind, so
# that is looked for too, where there is a /proc.
finish() {
    "$server" -k
    "$server" -w
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in *wine64* | *wine-preloader*) ;; *) continue ;; esac
        tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qxF "WINEPREFIX=$WINEPREFIX" && kill -9 "${process#/proc/}"
    done
    return 0
}
trap finish EXIT
trap 'exit 130' INT TERM
mkdir -p "$WINEPREFIX" || exit 1
"$server" -p # it stays: else it and the services of Windows would begin anew with each program
[ -e "$WINEPREFIX/system.reg" ] || "$wine" wineboot -i >/dev/null 2>&1 </dev/null
"$@"
