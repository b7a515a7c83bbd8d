#!/usr/bin/env bash
# Logs in through real peers: run.sh [TEST...]
#
# nginx, tinyproxy, microsocks, OpenSSL and curl of this machine, in a network and with a mount table of their own
# that go when this ends: nothing outside is touched. A test is named as it is printed, or by a part of that.
#
# Where the machine lacks a tool it exits with 77; what else a test lacks (root, namespaces) skips that test
# and is said. With CI set both count as failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Debian keeps servers where not every user's PATH leads.
PATH=$PATH:/usr/sbin:/sbin
missing=()
for tool in curl gcc ip microsocks mount nginx nsenter openssl pkg-config setpriv tinyproxy unshare; do
    type -P "$tool" > /dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "peers: not installed: ${missing[*]}"
    exit 77
fi

STAGE=${STAGE:-$PWD/target/stage}
export PKG_CONFIG_PATH=$STAGE/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

PEERS_WORK=$(mktemp -d)
trap 'rm -rf "$PEERS_WORK"' EXIT
chmod 755 "$PEERS_WORK" # for peers that run as nobody
# Beside the probe, since other users may not see this folder.
install -m 755 "$STAGE/lib/libcouchdrop.so.1" "$PEERS_WORK/libcouchdrop.so.1"
# shellcheck disable=SC2046
gcc -std=gnu11 -g -O1 -Wall -Wextra -Wshadow -Wconversion -Werror -o "$PEERS_WORK/probe" tests/peers/probe.c \
    $(pkg-config --cflags --libs couchdrop) "-Wl,-rpath,$PEERS_WORK"
# Built now: there is no network inside.
scripts/with-stand-in true

# inside COMMAND...: runs it with a network and a mount table of its own, as far as this machine lets it
inside() {
    if unshare --net --mount true 2> /dev/null; then
        PEERS_ISOLATION=root unshare --net --mount "$@"
    elif unshare --net --mount --map-root-user true 2> /dev/null; then
        PEERS_ISOLATION=user unshare --net --mount --map-root-user "$@"
    else
        PEERS_ISOLATION=none "$@"
    fi
}
export PEERS_WORK PEERS_ISOLATION
inside scripts/with-stand-in "${PYTHON:-python3}" tests/peers/run.py "$@"
