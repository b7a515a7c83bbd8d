"""Measures logins over a network with a delay, and prints the figures as JSON.

Runs in separate network and mount namespaces: see groups/network.py.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from ..commands import output, run
from ..baselines import LOWER_BOUND, HTTPX, LIBCURL, NETHTTP, OURS, OURS_GO, OURS_PYTHON, REQUESTS, URLLIB, command
from ..costs import timed, tool
from ..rounds import interleave
from ..service import Service

# One way. A round trip is measured, not assumed.
DELAY_MS = 25
ROUNDS = 7
HERE, THERE = "198.51.100.1", "198.51.100.2"
HERE_V6 = "2001:db8:51::1"
# No machine has that address: packets to it are lost.
BLACK_HOLE = "2001:db8:51::9"
PORT = 443

KNOWN, LOOKED_UP, WITH_BLACK_HOLE = "known.peers.test", "looked-up.peers.test", "black-hole.peers.test"

FILES = {
    "/etc/hosts": f"127.0.0.1 localhost\n{THERE} {KNOWN}\n",
    "/etc/resolv.conf": f"nameserver {THERE}\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}


def _replace_files(work):
    for path, text in FILES.items():
        own = os.path.join(work, os.path.basename(path))
        with open(own, "w", encoding="utf-8") as file:
            file.write(text)
        run("mount", "--bind", own, path)


@contextlib.contextmanager
def _started(*whole):
    """A process that prints "ready", and ends with this block."""
    process = subprocess.Popen(whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{whole}: not ready")
        yield process
    finally:
        process.terminate()
        process.communicate()


def _round_trip():
    start = time.monotonic()
    socket.create_connection((THERE, PORT)).close()
    return {"first": (time.monotonic() - start) * 1e6}


def _after_connect(service):
    connected, login = map(
        int,
        output(
            tool("connect"), service.url("ecdsa", host=LOOKED_UP), service.ca_file("ecdsa"), env={}
        ).split(),
    )
    return {"connect": connected / 1e3, "login": login / 1e3}


def _measure(service):
    def case(name, host):
        whole = [*command(name, service.url("ecdsa", host=host), service.ca_file("ecdsa")), "5", "1"]
        return lambda: timed(whole)

    names = (OURS, LOWER_BOUND, LIBCURL, OURS_GO, NETHTTP, OURS_PYTHON, REQUESTS, HTTPX, URLLIB)
    # The other programs wait for minutes, or for their configured timeout.
    with_eyeballs = (OURS, LIBCURL, NETHTTP)
    cases = {("round trip",): _round_trip, ("cd_connect",): lambda: _after_connect(service)}
    cases.update({(host, name): case(name, host) for host in (KNOWN, LOOKED_UP) for name in names})
    cases.update({(WITH_BLACK_HOLE, name): case(name, WITH_BLACK_HOLE) for name in with_eyeballs})
    figures = {}
    for key, value in interleave(ROUNDS, cases).items():
        inner = figures
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
        inner[key[-1]] = value
    return figures


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        _replace_files(work)
        run("ip", "link", "set", "lo", "up")
        holder = stack.enter_context(_started("unshare", "--net", "sh", "-c", "echo ready && exec cat"))
        inside = ["nsenter", f"--target={holder.pid}", "--net"]
        cable = (sys.executable, os.path.join(folder, "cable.py"), str(holder.pid), str(DELAY_MS))
        stack.enter_context(_started(*cable))
        for prefix, device, addresses in (
            ([], "near", (f"{HERE}/24", f"{HERE_V6}/64")),
            (inside, "far", (f"{THERE}/24",)),
        ):
            for address in addresses:
                # Without nodad, an IPv6 address is usable only after duplicate address detection.
                run(
                    *prefix,
                    "ip",
                    "address",
                    "add",
                    address,
                    "dev",
                    device,
                    *(["nodad"] if ":" in address else []),
                )
            run(*prefix, "ip", "link", "set", device, "up")
        names = (f"{LOOKED_UP}={THERE}", f"{WITH_BLACK_HOLE}={BLACK_HOLE},{THERE}")
        stack.enter_context(
            _started(*inside, sys.executable, os.path.join(folder, "names.py"), THERE, *names)
        )
        service = stack.enter_context(Service(work, LOOKED_UP, [THERE], PORT, inside))
        print(json.dumps(_measure(service)))


if __name__ == "__main__":
    main()
