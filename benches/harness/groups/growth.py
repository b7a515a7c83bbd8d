"""growth: the cost of a login and the memory, by the number of logins before."""

import glob
import os
import re
import tempfile

from ..commands import output, run
from ..costs import tool

WINDOW = 100


def _instructions(service, logins):
    """Instructions of the thousandth and of the last login."""
    with tempfile.TemporaryDirectory() as folder:
        run(
            *["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"],
            *[tool("growth"), service.url("rsa"), service.ca_file("rsa"), str(logins)],
            env={"PATH": os.environ["PATH"]},
            timeout=3600,
        )
        windows = []
        for dump in sorted(glob.glob(f"{folder}/out.*")):
            with open(dump, encoding="utf-8") as file:
                windows.append(int(re.search(r"^totals: (\d+)", file.read(), re.MULTILINE)[1]) / WINDOW)
    thousandth, last = windows
    return {"logins": logins, "thousandth": thousandth, "last": last}


def _memory(service, logins):
    lines = output(
        tool("growth"), service.url("rsa"), service.ca_file("rsa"), str(logins), env={}, timeout=3600
    )
    said = [dict(zip(("logins", "resident", "heap"), map(int, line.split()))) for line in lines.split("\n")]
    # The first dump is from before the logins.
    return said[1:]


def measure(service):
    is_long = bool(os.environ.get("BENCH_LONG"))
    return {
        "instructions": _instructions(service, 1_000_000 if is_long else 10_000),
        "memory": _memory(service, 1_000_000),
    }
