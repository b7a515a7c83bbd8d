"""Checks instructions and heap allocations of a warm login against benches/counts.txt: `make test-counts`.

With --write it updates that file: `make counts`. It measures the staged library.
"""

import os
import platform
import signal
import sys
import tempfile

import servers
from measure import allocations_of_a_login, instructions_of_a_login, run
from programs import BENCHES, OURS, build

COMMITTED = os.path.join(BENCHES, "counts.txt")

MARGIN = 0.10
# Another compiler generates other instructions, but the same allocations.
OTHER_COMPILER = 0.25

HEADING = f"""\
# The cost of a warm login: instructions in user space and heap allocations, counted by valgrind as the
# difference of many logins and few. `make test` allows {MARGIN:.0%} more, and for the instructions of another
# rustc {OTHER_COMPILER:.0%}. Written by `make counts`: commit it with the change that affected a figure, and
# state the reason.
"""


def measure():
    program = build("counts", OURS)[OURS]
    figures = {}
    with tempfile.TemporaryDirectory() as work, servers.nginx(work) as (urls, chain):
        for name, url in urls.items():
            command = [*program, url, chain.root]
            figures[f"{name} instructions"] = round(instructions_of_a_login(command))
            figures[f"{name} allocations"] = round(allocations_of_a_login(command)[0])
    return figures


def read():
    """The compiler of the committed figures, and these figures."""
    with open(COMMITTED, encoding="utf-8") as file:
        compiler, *lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    return compiler, {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def compare(committed, measured, instructions_margin):
    """Prints each figure; returns True if all exist and are within their margins."""
    good = committed.keys() == measured.keys() and min(measured.values()) > 0
    if not good:
        print(f"figures of {', '.join(committed)} are committed; measured are {measured}")
        return False
    for name, before in committed.items():
        change = measured[name] / before - 1
        margin = instructions_margin if name.endswith("instructions") else MARGIN
        verdict = ""
        if change > margin:
            good = False
            verdict = f"  TOO MUCH: at most {margin:+.0%}"
        elif change < -MARGIN:
            verdict = "  less than committed: run `make counts` and commit it"
        print(f"{name:27} {before:8,} -> {measured[name]:8,}  {change:+7.2%}{verdict}")
    return good


def main():
    # Exits normally, so that the server ends, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rustc = run(os.environ.get("RUSTC", "rustc"), "--version")[0].split()[1]
    compiler, measured = f"rustc {rustc} {platform.machine()}", measure()
    if sys.argv[1:] == ["--write"]:
        lines = [compiler, *(f"{name} {value}" for name, value in measured.items())]
        with open(COMMITTED, "w", encoding="utf-8") as file:
            file.write(HEADING + "\n".join(lines) + "\n")
        print("\n".join(lines))
        return 0
    committed_compiler, committed = read()
    margin = MARGIN
    if committed_compiler != compiler:
        print(f"the figures are of {committed_compiler}, this is {compiler}: other instructions are to be expected")
        margin = OTHER_COMPILER
    return 0 if compare(committed, measured, margin) else 1


if __name__ == "__main__":
    sys.exit(main())
