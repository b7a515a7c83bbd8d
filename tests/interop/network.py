"""Another machine for these tests: a second network namespace, connected to this one by a virtual cable.

A process holds it that ends when this one does; the link is removed with it.
"""

import os
import socket
import subprocess

import nginx

HERE = ("198.51.100.1/24", "2001:db8:51::1/64")
THERE = "198.51.100.2"
# A second address of that machine, at which it fails.
DYING = "198.51.100.3"
# On the same cable, but nothing responds at this address.
BLACK_HOLE = "198.51.100.9"
BLACK_HOLE_V6 = "2001:db8:51::9"
# On that machine, without a server.
THERE_V6 = "2001:db8:51::2"
# At the end of a second cable, which can be unplugged.
FAR = "203.0.113.2"
PORT = 8443

# The other machine starts within this time, or not at all.
MAX_START = 10

HOSTS = f"""{THERE} second.peers.test
{BLACK_HOLE} black-hole.peers.test
{BLACK_HOLE_V6} v6-black-hole.peers.test
{THERE} v6-black-hole.peers.test
{DYING} moving.peers.test
{FAR} far.peers.test
"""


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class Network:
    """Created if the kernel permits it; otherwise OSError has the reason."""

    def __init__(self):
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready && exec cat > /dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            if self._holder.stdout.readline() != b"ready\n":
                raise OSError("unshare --net fails")
            self.inside = ["nsenter", f"--target={self._holder.pid}", "--net"]
            self._there("link", "set", "lo", "up")
            self._cable("near", HERE, "far", (f"{THERE}/24", f"{DYING}/24", f"{THERE_V6}/64"))
            self._cable("near-2", ("203.0.113.1/24",), "far-2", (f"{FAR}/24",))
            self._wait_for_v6()
            self.swallow(BLACK_HOLE)
            self.swallow(BLACK_HOLE_V6)
        except BaseException:
            self.stop()
            raise

    def _there(self, *arguments):
        _run(*self.inside, "ip", *arguments)

    def _cable(self, near, near_addresses, far, far_addresses):
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", str(self._holder.pid))
        for address in near_addresses:
            _run("ip", "address", "add", address, "dev", near, *self._at_once(address))
        for address in far_addresses:
            self._there("address", "add", address, "dev", far, *self._at_once(address))
        _run("ip", "link", "set", near, "up")
        self._there("link", "set", far, "up")

    @staticmethod
    def _at_once(address):
        """An IPv6 address is usable only after duplicate address detection, unless that is disabled."""
        return ["nodad"] if ":" in address else []

    @staticmethod
    def _wait_for_v6():
        """IPv6 neighbours discover each other a moment after the cable is connected. From then on a connection is
        refused."""
        try:
            socket.create_connection((THERE_V6, PORT), MAX_START).close()
        except ConnectionRefusedError:
            pass

    def serve(self, work, chain, is_root):
        """The service on that machine, which keeps connections open."""
        servers = [nginx.Server(chain, address=address, port=PORT) for address in (THERE, DYING, FAR)]
        return nginx.start("nginx-there", work, servers, is_root, self.inside)

    @staticmethod
    def swallow(address):
        """Sends all packets for that address to a nonexistent machine, like a power failure or a firewall."""
        entry = [address, "lladdr", "02:00:00:00:00:99", "dev", "near", "nud", "permanent"]
        _run("ip", "neighbour", "replace", *entry)

    def pull(self):
        """Unplugs the second cable."""
        self._there("link", "set", "far-2", "down")

    def plug(self):
        self._there("link", "set", "far-2", "up")

    def stop(self):
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()


def url(name):
    return f"https://{name}.peers.test:{PORT}"


def move(hosts, name, address, to):
    """Gives a name another address of the same length, in one write, because other processes read that file."""
    with open(hosts, encoding="utf-8") as file:
        at = file.read().index(f"{address} {name}.peers.test")
    descriptor = os.open(hosts, os.O_WRONLY)
    try:
        os.pwrite(descriptor, to.encode(), at)
    finally:
        os.close(descriptor)
