"""A name server for a handful of names: python names.py ADDRESS NAME=ADDRESS,...

It prints "ready" when it can respond.
"""

import socket
import struct
import sys

KINDS = {socket.AF_INET: 1, socket.AF_INET6: 28}
RESPONSE, NO_SUCH_NAME = 0x8580, 0x8583


def records(addresses, kind):
    """The resource records of that kind; each points to the name of the question, at byte 12."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if KINDS[family] == kind:
            packed = socket.inet_pton(family, address)
            yield struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(packed)) + packed


def answer(query, known):
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode().lower())
        end += 1 + query[end]
    question = query[12 : end + 5]
    (kind,) = struct.unpack("!H", question[-4:-2])
    addresses = known.get(".".join(labels))
    found = list(records(addresses or (), kind))
    flags = NO_SUCH_NAME if addresses is None else RESPONSE
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + b"".join(found)


def main():
    address, *names = sys.argv[1:]
    known = {name: addresses.split(",") for name, addresses in (entry.split("=") for entry in names)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        print("ready", flush=True)
        while True:
            query, client = server.recvfrom(4096)
            server.sendto(answer(query, known), client)


if __name__ == "__main__":
    main()
