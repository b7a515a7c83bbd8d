"""Compares a login of the library with the same login written by hand: `make bench`.

Prints a table for each group, and writes all of them into docs/performance.md. BENCH=cold,warm only prints some
groups. BENCH_SHORT=1 only prints those of two rounds, to see that everything works.
"""

import datetime
import os
import platform
import re
import signal
import statistics
import sys
import tempfile
import time

import programs
import servers
from measure import (
    allocations_of_a_login,
    instructions,
    instructions_of_a_login,
    interleave,
    logins,
    peak_memory,
    processes,
    run,
    system_calls_of_a_login,
)
from programs import BESIDE, LIBCURL

DOCUMENT = os.path.join(programs.ROOT, "docs", "performance.md")
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
SHORT = bool(os.environ.get("BENCH_SHORT"))


def rounds(count):
    return 2 if SHORT else count


def number(value):
    """Three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values, factor=1.0):
    """The median, with the tenth and the ninetieth percentile."""
    ordered = sorted(value * factor for value in values)
    last = len(ordered) - 1
    low, high = ordered[round(0.1 * last)], ordered[round(0.9 * last)]
    return f"{number(statistics.median(ordered))} ({number(low)}–{number(high)})"


def ratio(values, others):
    """The median of the ratios in each round."""
    return f"{statistics.median(value / other for value, other in zip(values, others)):.2f}"


def beside(figures, name, figure, other=None):
    """The ratio to the row beside it, or to another."""
    return ratio(figures[name][figure], figures[other or BESIDE[name]][figure])


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cold(commands, urls, chain):
    """From the start of a process to its token, over TLS."""

    def with_roots(ca_file):
        whole = {name: [*command, urls["HTTPS"], ca_file] for name, command in commands.items()}
        figures = processes(rounds(12), 5, {name: [*command, "1"] for name, command in whole.items()})
        rows = []
        for name, command in whole.items():
            output, peak = peak_memory([*command, "1"])
            if output.strip() not in servers.BODY:
                raise RuntimeError(f"{name} printed {output!r}")
            row = [name]
            for figure in ("wall", "cpu"):
                row += [spread(figures[name][figure]), beside(figures, name, figure)]
            counted = f"{instructions(command, 1) / 1e6:.2f}" if BESIDE[name] == LIBCURL else ""
            rows.append([*row, number(peak * 1024 / 1e6), counted])
        return table(
            ["", "wall ms, ECDSA", "ratio", "CPU ms, ECDSA", "ratio", "peak memory, MB", "instructions, million"], rows
        )

    store = os.path.join(programs.BUILT, "roots.pem")
    with open(store, "w", encoding="utf-8") as all_roots:
        for path in (SYSTEM_ROOTS, chain.root):
            with open(path, encoding="utf-8") as roots:
                all_roots.write(roots.read())
    return [with_roots(chain.root), "### With the system's roots", with_roots(store)]


def warm(commands, urls, chain):
    """The next logins on one handle, one after another."""

    def case(name, command, url):
        count = 150 if "Python" in name else 1000
        return lambda: logins([*command, url, chain.root, str(count), "1"])

    tables = []
    for scheme in ("HTTP", "HTTPS"):
        cases = {name: case(name, command, urls[scheme]) for name, command in commands.items()}
        figures = interleave(rounds(11), cases)
        rows = [
            [name, *(spread(one[figure]) for figure in ("p50", "p99", "cpu")), beside(figures, name, "cpu")]
            for name, one in figures.items()
        ]
        tables.append(table([scheme, "p50, µs", "p99, µs", "CPU, µs", "CPU, ratio"], rows))
    return tables


def counts(commands, urls, chain):
    """Instructions, heap allocations and system calls of a warm login."""
    rows = []
    for kind, url in urls.items():
        whole = {name: [*command, url, chain.root] for name, command in commands.items()}
        counted = {name: instructions_of_a_login(command) for name, command in whole.items()}
        for name, command in whole.items():
            allocations, size = allocations_of_a_login(command)
            calls = sorted(system_calls_of_a_login(command).items())
            row = [kind, name, f"{counted[name]:,.0f}", f"{counted[name] / counted[LIBCURL]:.3f}"]
            row += [f"{allocations:.1f}", f"{size:,.0f}", ", ".join(f"{calls:.1f} {call}" for call, calls in calls)]
            rows.append(row)
    return [table(["", "", "instructions", "of libcurl's", "allocations", "bytes", "system calls"], rows)]


def threads(commands, urls, chain):
    """Logins at the same time over HTTPS: throughput, and memory for each connection."""

    def case(command, count):
        # Each round has as many logins, divided among the threads.
        return lambda: logins([*command, urls["HTTPS"], chain.root, str(6400 // count), str(count)])

    figures, rows = {}, []
    for count in (1, 2, 8, 64):
        figures[count] = interleave(rounds(9), {name: case(commands[name], count) for name in commands})
        for name, one in figures[count].items():
            row = [str(count), name, spread(one["throughput"]), beside(figures[count], name, "throughput")]
            rows.append([*row, *(spread(one[figure]) for figure in ("p50", "p99", "cpu"))])
    # Each of 63 more threads has its stack and, unless it shares one, its connection.
    memory = {
        name: {"each": [(many - one) / 63 for one, many in zip(figures[1][name]["peak"], last["peak"])]}
        for name, last in figures[64].items()
    }
    each = [[name, spread(memory[name]["each"]), beside(memory, name, "each")] for name in memory]
    head = ["threads", "", "logins a second", "ratio", "p50, µs", "p99, µs", "CPU, µs"]
    return [table(head, rows), table(["memory for each thread", "KiB", "ratio"], each)]


def nagle(commands, _, chain):
    """A server with Nagle's algorithm on that writes a response in two segments."""

    def case(command, url):
        return lambda: logins([*command, url, chain.root, "10", "1"])

    rows = []
    for scheme in ("HTTP", "HTTPS"):
        with servers.nagle(scheme, chain) as url:
            figures = interleave(rounds(11), {name: case(commands[name], url) for name in commands})
        for name, one in figures.items():
            row = [scheme, name]
            for figure in ("first", "p50"):
                row += [spread(one[figure], 1e-3), beside(figures, name, figure)]
            rows.append(row)
    return [table(["", "", "first, ms", "ratio", "next, ms", "ratio"], rows)]


def session(commands, urls, chain):
    """A token that a program already has, from one thread."""

    def case(name, command):
        count = 20_000 if "Python" in name else 500_000
        return lambda: {"each": float(run(*command, urls["HTTPS"], chain.root, str(count), env={})[0])}

    figures = interleave(rounds(11), {name: case(name, command) for name, command in commands.items()})
    rows = []
    for name, one in figures.items():
        rows.append([name, spread(one["each"], 1e-3), beside(figures, name, "each") if BESIDE[name] else ""])
    return [table(["", "µs", "ratio"], rows)]


def size(*_):
    """Sizes of the shared libraries, and the cost of an import in Python."""
    libraries = {"libcouchdrop": programs.LIBRARY, "libcurl": run("gcc", "-print-file-name=libcurl.so")[0].strip()}
    rows = []
    for name, library in libraries.items():
        needed = re.findall(r"^\s*(?!libc\.)\S+ => (\S+)", run("ldd", library)[0], re.MULTILINE)
        own, *others = (os.path.getsize(path) / 1e6 for path in (library, *needed))
        rows.append([name, number(own), number(own + sum(others)), str(len(others))])
    sizes = table(["", "MB", "MB with the libraries that it loads", "these libraries"], rows)

    modules = ("ctypes", "couchdrop", "requests", "httpx")
    statements = {"Python alone": "0", **{f"`import {name}`": f"import {name}" for name in modules}}
    commands = {name: [programs.python(), "-c", statement] for name, statement in statements.items()}
    figures = processes(rounds(12), 5, commands)
    rows = []
    for name in figures:
        row = [name]
        for figure in ("wall", "cpu"):
            row += [spread(figures[name][figure]), beside(figures, name, figure, "`import ctypes`")]
        rows.append(row)
    return [sizes, table(["import", "wall ms", "ratio", "CPU ms", "ratio"], rows)]


GROUPS = {
    "cold": cold,
    "warm": warm,
    "counts": counts,
    "threads": threads,
    "nagle": nagle,
    "session": session,
    "size": size,
}


def version(*command):
    return re.search(r"\d+(\.\d+)+", "".join(run(*command)))[0]


def machine():
    """Date, machine and versions, without data that identifies the machine."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = round(int(re.search(r"^MemTotal:\s*(\d+)", file.read(), re.MULTILINE)[1]) / 2**20)
    tools = {"Go": "go version", "nginx": "nginx -v", "libcurl": "curl-config --version", "OpenSSL": "openssl version"}
    tools |= {name: f"{name} --version" for name in ("rustc", "gcc", "valgrind", "hyperfine")}
    versions = {name: version(*command.split()) for name, command in tools.items()}
    said = ", ".join(f"{name} {number}" for name, number in {**versions, "Python": platform.python_version()}.items())
    where = f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory} GiB"
    system = f"Linux {version('uname', '-r')}, {' '.join(platform.libc_ver())}"
    return f"Measured on {datetime.date.today().isoformat()} on {where}, {system}, with {said}."


def write(sections):
    """Replaces the text between `<!-- bench: NAME -->` and `<!-- end -->` in the document."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    for name, section in sections.items():
        text, found = re.subn(
            rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)",
            lambda match, section=section: f"{match[1]}{section}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise RuntimeError(f"{DOCUMENT} has {found} sections {name}")
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    # Exits normally, so that the servers end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = os.environ.get("BENCH", "").replace(",", " ").split() or list(GROUPS)
    if not set(wanted) <= set(GROUPS):
        sys.exit(f"bench: BENCH names some of {', '.join(GROUPS)}")
    sections = {"machine": machine()}
    print(sections["machine"])
    with tempfile.TemporaryDirectory() as work, servers.nginx(work) as (urls, chain):
        for name in wanted:
            commands = programs.build(name)
            start = time.monotonic()
            sections[name] = "\n\n".join(GROUPS[name](commands, urls, chain))
            print(f"\n{name}: {GROUPS[name].__doc__}\n\n{sections[name]}", flush=True)
            print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    if len(wanted) == len(GROUPS) and not SHORT:
        write(sections)
        print(f"\nwritten into {os.path.relpath(DOCUMENT, programs.ROOT)}")


if __name__ == "__main__":
    main()
