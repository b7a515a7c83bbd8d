"""The link between two networks: packets of a TUN device in one leave the TUN device in the other, after a delay.

    python cable.py PROCESS MILLISECONDS

The networks are this process's and that of PROCESS. It says "ready" when both ends are there.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000


def open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def enter(process):
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(network, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(network)


def carry(near, far, delay):
    other = {near: far, far: near}
    on_the_way = collections.deque()
    while True:
        wait = max(0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        readable, _, _ = select.select([near, far], [], [], wait)
        now = time.monotonic()
        for end in readable:
            on_the_way.append((now + delay, other[end], os.read(end, 65536)))
        while on_the_way and on_the_way[0][0] <= time.monotonic():
            _, end, packet = on_the_way.popleft()
            try:
                os.write(end, packet)
            except OSError:
                pass  # A device that is not up yet drops packets.


def main():
    process, milliseconds = sys.argv[1:]
    near = open_tun("near")
    enter(process)
    far = open_tun("far")
    print("ready", flush=True)
    carry(near, far, float(milliseconds) / 1000)


if __name__ == "__main__":
    main()
