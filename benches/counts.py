"""Checks instructions and heap allocations of a warm login against benches/counts.txt: `make test-counts`.

With --write it updates that file: `make counts`. It measures the staged library.
"""

import os
import platform
import signal
import sys
import tempfile

from harness import baselines, machine, places
from harness.costs import FEW, MANY, allocations_of_a_login, instructions_of_a_login
from harness.groups.warm import SERVERS
from harness.service import Service

COMMITTED = os.path.join(places.BENCHES, "counts.txt")

MARGIN = 0.10
# Another compiler generates other instructions, but the same allocations.
OTHER_COMPILER = 0.25

HEADING = f"""\
# The cost of a warm login: instructions in user space and heap allocations, counted by callgrind and a
# preloaded counter as the difference of {MANY} and {FEW} logins. `make test` allows {MARGIN:.0%} more, and for
# the instructions of another rustc {OTHER_COMPILER:.0%}. Written by `make counts`: commit it with the change that
# affected a figure, and state the reason.
"""


def measure():
    figures = {}
    with tempfile.TemporaryDirectory() as work, Service(work) as service:
        for server, (kind, framing) in SERVERS.items():
            command = baselines.command(baselines.OURS, service.url(kind, framing), service.ca_file(kind))
            figures[f"{server} instructions"] = round(instructions_of_a_login(command))
            figures[f"{server} allocations"] = round(allocations_of_a_login(command)[0])
    return figures


def read():
    """The committed figures, and the compiler that they were measured with."""
    with open(COMMITTED, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    made_with = lines[0]
    return made_with, {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines[1:])}


def made_with():
    return f"rustc {machine.rustc_version()} {platform.machine()}"


def compare(committed, measured, margins):
    """Prints each figure; returns True if all exist and are within their margins."""
    good = committed.keys() == measured.keys() and min(measured.values()) > 0
    if not good:
        print(f"figures of {', '.join(committed)} are committed; measured are {measured}")
    for name, before in committed.items() if good else ():
        now, margin = measured[name], margins[name.rsplit(" ", 1)[1]]
        change = now / before - 1
        verdict = ""
        if change > margin:
            good = False
            verdict = f"  TOO MUCH: at most {margin:+.0%}"
        elif change < -MARGIN:
            verdict = "  less than committed: run `make counts` and commit it"
        print(f"{name:27} {before:8,} -> {now:8,}  {change:+7.2%}{verdict}")
    return good


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    baselines.build_counted()
    if sys.argv[1:] == ["--write"]:
        figures = measure()
        lines = [made_with(), *(f"{name} {value}" for name, value in figures.items())]
        with open(COMMITTED, "w", encoding="utf-8") as file:
            file.write(HEADING + "\n".join(lines) + "\n")
        print("\n".join(lines))
        return 0
    compiler, committed = read()
    margins = {"instructions": MARGIN, "allocations": MARGIN}
    if compiler != made_with():
        print(f"the figures are of {compiler}, this is {made_with()}: other instructions are to be expected")
        margins["instructions"] = OTHER_COMPILER
    return 0 if compare(committed, measure(), margins) else 1


if __name__ == "__main__":
    sys.exit(main())
