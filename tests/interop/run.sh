#!/usr/bin/env bash
# Logs in through real servers and proxies: run.sh [OPTION...], with the options of python3 -m unittest, such as -k NAME
#
# Uses this machine's nginx, tinyproxy, microsocks, OpenSSL and curl, in their own network and mount namespaces, which
# are removed at the end: nothing outside changes.
#
# Exits with 77 if a tool is missing. Tests that need root or namespaces are skipped without them, and fail with CI set.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Debian installs servers in folders that are not in every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
missing=()
for tool in curl gcc ip microsocks mount nginx nsenter openssl pkg-config setpriv tinyproxy unshare; do
    type -P "$tool" > /dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "interop: not installed: ${missing[*]}"
    exit 77
fi

STAGE=${STAGE:-$PWD/target/stage}
export PKG_CONFIG_PATH=$STAGE/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

PEERS_WORK=$(mktemp -d)
trap 'rm -rf "$PEERS_WORK"' EXIT
chmod 755 "$PEERS_WORK" # for servers that run as nobody
# Copied next to the probe, since other users may not be able to read the stage.
install -m 755 "$STAGE/lib/libcouchdrop.so.1" "$PEERS_WORK/libcouchdrop.so.1"
# shellcheck disable=SC2046
gcc -std=gnu11 -g -O1 -Wall -Wextra -Wshadow -Wconversion -Werror -o "$PEERS_WORK/probe" tests/interop/probe.c \
    $(pkg-config --cflags --libs couchdrop) "-Wl,-rpath,$PEERS_WORK"
# inside COMMAND...: runs it in its own network and mount namespaces, as far as this machine permits
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
inside "${PYTHON:-python3}" -m unittest discover -v -s tests/interop "$@" || { tail -n 10 "$PEERS_WORK"/*.log; exit 1; }
