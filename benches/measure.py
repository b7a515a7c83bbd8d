"""Measures a login: times by hyperfine and by the programs' own clocks, counts by valgrind and strace.

The environment of the measured programs is empty.
"""

import json
import re
import shlex
import shutil
import statistics
import subprocess
import tempfile

# The counts of one login are the difference of these numbers of logins, divided: one-time costs cancel out.
FEW, MANY = 50, 550


def run(*command, **settings):
    """Runs a command that must succeed; returns its standard output and error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: status {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout, done.stderr


def _tool(name, *arguments):
    """Runs a tool in an empty environment."""
    return run(shutil.which(name) or name, *arguments, env={})


def interleave(rounds, cases):
    """Runs each case in each round, starting with another one, so that a disturbance affects all of them.

    `cases` are functions by name that return figures by name. Returns for each case the lists of its figures.
    """
    names = list(cases)
    measured = {name: {} for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            for figure, value in cases[name]().items():
                measured[name].setdefault(figure, []).append(value)
    return measured


def processes(rounds, runs, commands):
    """Processes from start to end: milliseconds of wall and CPU time in each round, by the command's name."""
    measured = {name: {"wall": [], "cpu": []} for name in commands}
    options = ["--shell=none", "--style=basic", "--warmup=1", f"--runs={runs}"]
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as export:
        for _ in range(rounds):
            _tool("hyperfine", *options, "--export-json", export.name, *map(shlex.join, commands.values()))
            export.seek(0)
            for figures, result in zip(measured.values(), json.load(export)["results"]):
                figures["wall"].append(1e3 * result["median"])
                figures["cpu"].append(1e3 * (result["user"] + result["system"]))
    return measured


def peak_memory(command):
    """The output of a process, and its largest resident set in KiB."""
    output, peak = _tool("time", "-f", "%M", *command)
    return output, int(peak.split()[-1])


def logins(command):
    """Many logins in one process, whose last argument is the number of threads.

    The first login and the quantiles of the others in microseconds, logins a second, KiB.
    """
    output, peak = peak_memory(command)
    first, cpu, wall, *took = map(int, output.split())
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return {
        "first": first / 1e3,
        "p50": cuts[49] / 1e3,
        "p99": cuts[98] / 1e3,
        "cpu": cpu / len(took) / 1e3,
        "throughput": len(took) / (wall / 1e9),
        "peak": peak,
    }


def instructions(command, count):
    """Instructions in user space of a process with that many logins."""
    _, counted = _tool("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command, str(count))
    return int(re.search(r"Collected : (\d+)", counted)[1])


def _allocations(command, count):
    _, counted = _tool("valgrind", "--leak-check=no", "--undef-value-errors=no", *command, str(count))
    found = re.search(r"total heap usage: ([\d,]+) allocs, .* ([\d,]+) bytes allocated", counted)
    return [int(number.replace(",", "")) for number in found.groups()]


def _system_calls(command, count):
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as table:
        _tool("strace", "-f", "-c", "-U", "name,calls", "-o", table.name, *command, str(count))
        return {name: int(calls) for name, calls in re.findall(r"^(\w+) +(\d+)$", table.read(), re.MULTILINE)}


def instructions_of_a_login(command):
    return (instructions(command, MANY) - instructions(command, FEW)) / (MANY - FEW)


def allocations_of_a_login(command):
    """The number of allocations and their bytes. A realloc counts as an allocation."""
    few, many = _allocations(command, FEW), _allocations(command, MANY)
    return [(after - before) / (MANY - FEW) for before, after in zip(few, many)]


def system_calls_of_a_login(command):
    """By name, without occasional calls of the process, such as a timer of its runtime."""
    few, many = _system_calls(command, FEW), _system_calls(command, MANY)
    each = {name: (calls - few.get(name, 0)) / (MANY - FEW) for name, calls in many.items() if name != "total"}
    return {name: calls for name, calls in each.items() if calls >= 0.01}
