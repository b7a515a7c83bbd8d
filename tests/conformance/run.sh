#!/usr/bin/env bash
# Checks that C, C++, Python and Go agree: run.sh [OPTION...]
#
# Each language runs the cases of cases.json with the staged library (STAGE, by default target/stage). The
# fake server must already run: scripts/with-fake-server tests/conformance/run.sh. The options are those of run.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${COUCHDROP_BASE_URL:?is not set: run scripts/with-fake-server tests/conformance/run.sh}"
STAGE=${STAGE:-$PWD/target/stage}
PYTHON=${PYTHON:-python3}
export PKG_CONFIG_PATH=$STAGE/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export COUCHDROP_LIBRARY=$STAGE/lib/libcouchdrop.so.1 PYTHONPATH=$PWD/bindings/python PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags="-O1 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror $(pkg-config --cflags couchdrop)"
libs="$(pkg-config --libs couchdrop) -Wl,-rpath,$STAGE/lib"
# shellcheck disable=SC2086
{
    gcc -std=c99 $flags -o "$work/c" tests/conformance/runner.c $libs
    g++ -std=c++17 $flags -pthread -o "$work/cpp" tests/conformance/runner.cpp $libs &
}
# Into a new folder, because Go checks only its own sources and must link again.
(cd tests/conformance/go && go vet . && go build -o "$work/go" .)
wait $!

"$PYTHON" tests/conformance/run.py c="$work/c" cpp="$work/cpp" python="$PYTHON tests/conformance/runner.py" go="$work/go" "$@"
