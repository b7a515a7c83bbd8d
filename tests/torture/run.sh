#!/usr/bin/env bash
# Tests what a caller may do to the library, and what its process may do to both: run.sh [PROGRAM...]
#
# Builds the programs of this folder and runs them against the staged library (STAGE, by default
# target/stage). The fake server must already run: scripts/with-fake-server tests/torture/run.sh
#
# TORTURE_TIMES multiplies the number of repetitions (1). TORTURE_OUTPUT is a folder for the programs' output,
# one file for each. Prints one line per program, and a count at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${COUCHDROP_BASE_URL:?is not set: run scripts/with-fake-server tests/torture/run.sh}"
STAGE=${STAGE:-$PWD/target/stage}
export COUCHDROP_LIBRARY=$STAGE/lib/libcouchdrop.so.1
export PKG_CONFIG_PATH=$STAGE/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/passed" "$work/failed"
export work

strict='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror'
build="-O1 -g1 $strict -pthread -Itests/c $(pkg-config --cflags couchdrop)"
libs="$(pkg-config --libs couchdrop) -Wl,-rpath,$STAGE/lib -ldl"

# run_program NAME COMMAND: prints a line for the program, and its output if it failed
run_program() {
    local name=${1%%$'\t'*} command=${1#*$'\t'} begun=$SECONDS
    if timeout $((300 * ${TORTURE_TIMES:-1})) bash -c "$command" > "$work/$name.log" 2>&1 < /dev/null; then
        mv "$work/$name.log" "$work/passed/$name"
        printf 'passed   %-18s %3d s   %s\n' "$name" $((SECONDS - begun)) "$(tail -n 1 "$work/passed/$name")"
    else
        printf 'FAILED   %s\n%s\n' "$name" "$(sed 's/^/         /' "$work/$name.log" | head -n 100)"
        mv "$work/$name.log" "$work/failed/$name"
    fi
}
export -f run_program

[ $# -gt 0 ] || set -- arguments descriptors exit exit++ faults handover inheritance secrets signals sigpipe stack thread_cancel \
    thread_exhaustion unload
programs=()
for name in "$@"; do
    program=$work/$name
    case $name in
        arguments) command="'${PYTHON:-python3}' tests/torture/invalid_arguments.py" ;;
        exit++) command="g++ -std=c++17 $build -o $program.out tests/torture/exit.cpp $libs && $program.out" ;;
        # Not linked, because it loads and unloads the library.
        unload) command="gcc -std=gnu11 $build -o $program.out tests/torture/$name.c -ldl && $program.out $COUCHDROP_LIBRARY" ;;
        *) command="gcc -std=gnu11 $build -o $program.out tests/torture/$name.c $libs && $program.out" ;;
    esac
    programs+=("$name"$'\t'"$command")
done
# The programs mostly wait.
printf '%s\0' "${programs[@]}" | xargs -0 -n 1 -P 4 bash -c 'run_program "$1"' run_program

if [ -n "${TORTURE_OUTPUT:-}" ]; then
    cp "$work"/passed/* "$TORTURE_OUTPUT/"
fi
passed=$(find "$work/passed" -type f | wc -l) failed=$(find "$work/failed" -type f | wc -l)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
