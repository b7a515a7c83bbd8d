#!/usr/bin/env bash
# Builds examples/c/upload.c, and uploads with it to the fake server: run.sh WORK
#
# Needs the staged library by pkg-config, and a fake server of its own, since it expires all tokens.
set -euo pipefail
cd "$(dirname "$0")/../../.."

work=$1/upload
mkdir "$work"
fail() { echo "upload: $*" >&2; exit 1; }
cc=${CC:-gcc}
libs="$(pkg-config --cflags --libs couchdrop libcurl) -Wl,-rpath,$(pkg-config --variable=libdir couchdrop)"
# shellcheck disable=SC2086
"$cc" -std=c99 -O1 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -o "$work/upload" examples/c/upload.c $libs
"$cc" -std=c99 -shared -fPIC -o "$work/clock.so" tests/c/upload/clock.c

export COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD='correct horse battery staple'
expire_tokens() { curl -sS -X POST --cacert "$COUCHDROP_CA_FILE" "$COUCHDROP_BASE_URL/expire-tokens"; }
echo one > "$work/first.txt"
echo two > "$work/second file.txt"

# uploads EXPECTED VARIABLE...: uploads one file, expires all tokens, and uploads another. EXPECTED is the last line.
uploads() {
    local expected=$1 line status=0
    shift
    coproc UPLOAD { env "$@" "$work/upload" 2>&1; }
    local pid=$UPLOAD_PID output=${UPLOAD[0]} input=${UPLOAD[1]}
    echo "$work/first.txt" >&"$input"
    read -r -t 60 line <&"$output"
    [ "$line" = "uploaded $work/first.txt" ] || fail "the first upload printed: $line"
    [ "$(expire_tokens)" = '{"expired":1}' ] || fail 'the session had more or less than one token'
    echo "$work/second file.txt" >&"$input"
    read -r -t 60 line <&"$output"
    [ "$line" = "$expected" ] || fail "the second upload printed: $line"
    exec {input}>&-
    wait "$pid" || status=$?
    echo "$status"
}

# The token is older than the minimum age: it is renewed, once.
[ "$(uploads "uploaded $work/second file.txt" LD_PRELOAD="$work/clock.so")" = 0 ] || fail 'the renewed token was of no use'
[ "$(expire_tokens)" = '{"expired":1}' ] || fail 'the token was not renewed exactly once'
# The token is new, so the refusal is passed on.
[ "$(uploads "not uploaded: $work/second file.txt (HTTP status 401)")" = 1 ] || fail 'a refusal of a new token is not an error'
[ "$(expire_tokens)" = '{"expired":0}' ] || fail 'a new token was renewed'

# A refused login, and a file that cannot be sent again. Nothing secret is printed.
COUCHDROP_PASSWORD=hunter2 "$work/upload" <<< "$work/first.txt" > "$work/refused" 2>&1 && fail 'a wrong password was accepted'
grep -q 'login failed: CD_ERR_ACCESS_DENIED' "$work/refused" || fail "a refused login printed: $(< "$work/refused")"
mkfifo "$work/fifo"
echo three > "$work/fifo" &
"$work/upload" <<< "$work/fifo" > "$work/pipe" 2>&1 && fail 'a pipe was uploaded'
wait
grep -q 'upload failed' "$work/pipe" || fail "a pipe printed: $(< "$work/pipe")"
! grep -E 'hunter2|[0-9a-f]{8}-[0-9a-f]{4}-' "$work/refused" "$work/pipe" || fail 'the program printed a secret'
