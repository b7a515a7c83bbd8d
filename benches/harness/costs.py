"""Measures the costs of a login, with one function for each kind of cost.

The environment of the measured programs has only the variables that are set here.
"""

import os
import re
import tempfile

from . import places, service
from .commands import run

# Counts of one login are the difference of these numbers of logins, divided: one-time costs cancel out.
FEW, MANY = 50, 550


def tool(name):
    return os.path.join(places.BUILT, name)


def launch(command, env=None):
    """One process from start to end, which must print the token. Milliseconds, KiB and page faults."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as said:
        figures = _launch(said.name, command, env)
        if service.TOKEN not in said.read():
            raise RuntimeError(f"{command}: no token")
    return figures


def launch_without_login(command, env=None):
    """Like `launch`, for a process that does not log in."""
    return _launch("/dev/null", command, env)


def _launch(output, command, env):
    wall, cpu, resident, faults = map(int, run(tool("launch"), output, *command, env=env or {})[0].split())
    return {"wall": wall / 1e6, "cpu": cpu / 1e3, "resident": resident, "faults": faults}


def percentile(ordered, part):
    """The quantile of sorted values."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def timed(command, env=None):
    """Many logins in one process. The last argument is the number of threads.

    Microseconds; logins a second.
    """
    lines = run(*command, env=env or {})[0].split("\n")
    said = dict(line.split(" ") for line in lines if " " in line)
    took = sorted(int(line) for line in lines if line.isdigit())
    return {
        "first": int(said["first"]) / 1e3,
        "p50": percentile(took, 0.5) / 1e3,
        "p99": percentile(took, 0.99) / 1e3,
        "cpu": int(said["cpu"]) / len(took) / 1e3,
        "throughput": len(took) / (int(said["wall"]) / 1e9),
    }


def instructions(command, logins, env=None):
    """Instructions of a process with this many logins, counted by callgrind."""
    _, said = run(
        *["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command, str(logins)],
        env={"PATH": os.environ["PATH"], **(env or {})},
    )
    return int(re.search(r"Collected : (\d+)", said)[1])


def instructions_of_a_login(command):
    return (instructions(command, MANY) - instructions(command, FEW)) / (MANY - FEW)


def _allocations(command, logins):
    _, said = run(*command, str(logins), env={"LD_PRELOAD": tool("allocations.so")})
    count, size = re.search(r"^allocations (\d+) bytes (\d+)$", said, re.MULTILINE).groups()
    return int(count), int(size)


def allocations_of_a_login(command):
    """The number of allocations and their total bytes. Rust allocates with the C library's functions too."""
    few, many = _allocations(command, FEW), _allocations(command, MANY)
    return tuple((after - before) / (MANY - FEW) for before, after in zip(few, many))


def _system_calls(command, logins):
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as table:
        run(
            *["strace", "-f", "-c", "-o", table.name, *command, str(logins)], env={"PATH": os.environ["PATH"]}
        )
        counts = {}
        for line in table:
            fields = line.split()
            # % time, seconds, usecs/call, calls, (errors,) syscall
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
                counts[fields[-1]] = int(fields[3])
    return counts


def system_calls_of_a_login(command):
    """By name."""
    few, many = _system_calls(command, FEW), _system_calls(command, MANY)
    each = {name: (count - few.get(name, 0)) / (MANY - FEW) for name, count in many.items()}
    # Occasional calls of the process, such as a timer of its runtime, do not belong to a login.
    return {name: count for name, count in each.items() if count >= 0.01}
