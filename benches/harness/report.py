"""Writes the measured figures as a document and charts."""

import os

from . import chart, goals, places
from .baselines import LIBCURL, NETHTTP, OURS, REQUESTS, is_ours, title
from .costs import FEW, MANY
from .rounds import median, ratio, spread

KINDS = {"rsa": "RSA", "ecdsa": "ECDSA"}


def _number(value):
    """Three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(values, factor=1.0):
    low, high = spread(values)
    return f"{_number(median(values) * factor)} ({_number(low * factor)}–{_number(high * factor)})"


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _row(name, values, unit, factor=1.0):
    low, high = (end * factor for end in spread(values))
    value = median(values) * factor
    return chart.Row(title(name), value, low, high, f"{_number(value)} {unit}", is_ours(name))


def _panel(heading, figures, metric, unit, factor=1.0, largest_first=False):
    rows = [_row(name, by_metric[metric], unit, factor) for name, by_metric in figures.items()]
    rows.sort(key=lambda row: -row.value if largest_first else row.value)
    return chart.Panel(heading, rows)


def _verdict(reached):
    return {True: "reached", False: "**not reached**", None: "not measured"}[reached]


def _goals(groups):
    rows = goals.judge(groups)
    reached = sum(row[2] is True for row in rows)
    head = ["goal", "figure", ""]
    lines = [f"{reached} of {len(rows)} goals reached.", ""]
    lines += ["| " + " | ".join(head) + " |", "| --- | --- | --- |"]
    lines += [f"| {goal} | {figure} | {_verdict(is_reached)} |" for goal, figure, is_reached in rows]
    control = goals.control(groups)
    if control:
        said = ", ".join(f"{what} {value:.2f}" for what, value in control.items())
        lines += ["", f"Noise of the machine, as the ratio of a copy of the lower bound to the lower bound: {said}."]
    missed = [(goal, goals.reason(goal)) for goal, _, is_reached in rows if is_reached is False]
    if missed:
        lines += ["", "### Goals that are not reached, and why", ""]
        lines += [f"- {goal}: {why}" for goal, why in missed]
    return "\n".join(lines)


def _cold(figures):
    picture = chart.write(
        *["cold", "From the start of a process to its token"],
        [_panel("process start to token over TLS (ECDSA), ms", figures["ecdsa"], "wall", "ms")],
    )
    head = [
        "",
        *(f"{what}, {KINDS[kind]}" for kind in figures for what in ("wall ms", "CPU ms")),
        "peak memory, MB",
        "page faults",
        "instructions, million",
        "of libcurl, wall",
    ]
    rows = []
    for name, one in figures["ecdsa"].items():
        cells = [title(name)]
        for by_name in figures.values():
            cells += [_spread(by_name[name]["wall"]), _spread(by_name[name]["cpu"])]
        cells.append(_number(median(one["resident"]) * 1024 / 1e6))
        cells.append(f"{median(one['faults']):.0f}")
        cells.append(f"{one['instructions'][0] / 1e6:.2f}" if "instructions" in one else "")
        # Only values of the same rounds are compared.
        same = len(one["wall"]) == len(figures["ecdsa"][LIBCURL]["wall"])
        cells.append(_number(ratio(one["wall"], figures["ecdsa"][LIBCURL]["wall"])) if same else "")
        rows.append(cells)
    return f"""## Cold: process start to token

One process, one login over TLS 1.3, without a kept session. Each chain has three certificates. Memory, page faults and
instructions (callgrind, in user space) are those of ECDSA.

{picture}

{_table(head, rows)}
"""


def _warm(figures):
    picture = chart.write(
        *["warm", "Processor time of a warm login"],
        [
            _panel(f"CPU of a login, {server}, µs", figures[server], "cpu", "µs")
            for server in ("HTTP", "HTTPS")
        ],
    )
    text = [
        "## Warm: the next logins on one handle",
        "",
        "Sequential logins on a kept connection; urllib does not keep one. CPU is user and system time of the process.",
        "The first login is measured from the call, after the start of the process and the creation of the handle.",
        "",
        picture,
    ]
    for server, by_name in figures.items():
        head = [server, "first, µs", "p50, µs", "p99, µs", "CPU, µs", "CPU of libcurl's"]
        rows = [
            [
                title(name),
                *(_spread(one[metric]) for metric in ("first", "p50", "p99", "cpu")),
                _number(ratio(one["cpu"], by_name[LIBCURL]["cpu"])),
            ]
            for name, one in by_name.items()
        ]
        text += ["", _table(head, rows)]
    return "\n".join(text) + "\n"


def _counts(figures):
    def panel(heading, value, server="HTTPS"):
        rows = [
            chart.Row(title(name), value(one), None, None, f"{value(one):,.0f}", is_ours(name))
            for name, one in figures[server].items()
        ]
        return chart.Panel(heading, rows)

    picture = chart.write(
        *["counts", "Instructions, allocations and system calls of a warm login over HTTPS"],
        [
            panel("instructions of a warm login over HTTPS", lambda one: one["instructions"]),
            panel("heap allocations", lambda one: one["allocations"]),
            panel("bytes allocated", lambda one: one["bytes"]),
            panel("system calls", lambda one: sum(one["calls"].values())),
        ],
    )
    head = ["", "", "instructions", "of libcurl's", "allocations", "bytes", "system calls"]
    rows = [
        [
            *[server, title(name), f"{one['instructions']:,.0f}"],
            f"{one['instructions'] / by_name[LIBCURL]['instructions']:.3f}",
            *[f"{one['allocations']:.1f}", f"{one['bytes']:,.0f}"],
            ", ".join(f"{count:.1f} {call}" for call, count in sorted(one["calls"].items())),
        ]
        for server, by_name in figures.items()
        for name, one in by_name.items()
    ]
    return f"""## Counts of a warm login

These counts do not vary with the machine's load: instructions in user space (callgrind), calls of malloc, calloc and
realloc (a preloaded counter), system calls (strace). Each is the difference of {MANY} and {FEW} logins. One
allocation of each is the program's own copy of the token. `make test` checks the library's against
[benches/counts.txt](../benches/counts.txt).

{picture}

{_table(head, rows)}
"""


def _profile(figures):
    text = [
        "## Instructions of a warm login by function",
        "",
        "Over HTTPS, without the instructions of called functions. `make profile` also prints them by source line.",
    ]
    for name, one in figures.items():
        rows = [
            # Without the crate's name: in the documentation, a name with that prefix is C++.
            [
                f"`{function.replace('|', '/').replace('couchdrop::', '')}`",
                f"{count:,.0f}",
                f"{100 * count / one['all']:.1f} %",
            ]
            for function, count in one["functions"]
        ]
        text += ["", _table([f"{title(name)}: {one['all']:,.0f} in all", "instructions", "of all"], rows)]
    return "\n".join(text) + "\n"


def _many(figures):
    panels = []
    for threads, by_name in figures["threads"].items():
        heading = f"logins a second over HTTPS, {threads} thread{'s' if threads != '1' else ''}"
        panels.append(_panel(heading, by_name, "throughput", "", largest_first=True))
    picture = chart.write("threads", "Logins a second over HTTPS by the number of threads", panels)
    head = ["threads", "", "logins a second", "of libcurl's", "p50, µs", "p99, µs", "CPU, µs"]
    rows = [
        [
            *[threads, title(name), _spread(one["throughput"])],
            _number(ratio(one["throughput"], by_name[LIBCURL]["throughput"])),
            *(_spread(one[metric]) for metric in ("p50", "p99", "cpu")),
        ]
        for threads, by_name in figures["threads"].items()
        for name, one in by_name.items()
    ]
    head_of_many = ["1,000 at a time", "logins a second", "p50, ms", "p99, ms", "CPU, µs"]
    rows_of_many = [
        [
            title(name),
            _spread(one["throughput"]),
            _spread(one["p50"], 1e-3),
            _spread(one["p99"], 1e-3),
            _spread(one["cpu"]),
        ]
        for by_name in (figures["goroutines"], figures["tasks"])
        for name, one in by_name.items()
    ]
    return f"""## Many at a time

Threads on one handle over HTTPS, with warm connections: the lower bound and libcurl have one connection for each thread;
net/http has no limit. The server runs on the same machine and uses a part of the processor.

{picture}

{_table(head, rows)}

1,000 goroutines and 1,000 tasks of asyncio: the library runs at most 64 logins at a time and queues the others. Its
p50 includes the time in the queue. net/http opens 1,000 connections; httpx is configured to keep 64.

{_table(head_of_many, rows_of_many)}
"""


def _growth(figures):
    counted = figures["instructions"]
    rows = [[f"{one['logins']:,}", f"{one['resident']:,}", f"{one['heap']:,}"] for one in figures["memory"]]
    return f"""## Growth

Instructions of a login over HTTPS, as the mean of 100 logins up to the given number: {counted["thousandth"]:,.0f} at
the thousandth, {counted["last"]:,.0f} at number {counted["logins"]:,}.

{_table(["after login", "resident, KiB", "heap in use, bytes"], rows)}
"""


def _network(figures):
    if "skipped" in figures:
        return f"## Round trips\n\nNot measured: {figures['skipped']}.\n"
    trip = figures["round trip"]["first"]
    known, looked_up = figures["known.peers.test"], figures["looked-up.peers.test"]

    def in_trips(values):
        return [value / one for value, one in zip(values, trip)]

    rows = [
        [
            title(name),
            *(
                f"{median(in_trips(values)):.2f}"
                for values in (known[name]["first"], looked_up[name]["first"], looked_up[name]["p50"])
            ),
        ]
        for name in known
    ]

    def panel(heading, figures_of, metric):
        rows = []
        for name, one in figures_of.items():
            values = in_trips(one[metric])
            rows.append(
                chart.Row(title(name), median(values), None, None, f"{median(values):.2f}", is_ours(name))
            )
        return chart.Panel(heading, rows)

    picture = chart.write(
        *["round-trips", "Round trips of a login"],
        [
            panel("round trips of the first login, the name looked up", looked_up, "first"),
            panel("round trips of the next", looked_up, "p50"),
        ],
    )
    added = [
        [
            title(name),
            _number(
                median([(held - plain) / 1e3 for held, plain in zip(one["first"], looked_up[name]["first"])])
            ),
        ]
        for name, one in figures["black-hole.peers.test"].items()
    ]
    ahead, after = (median(in_trips(figures["cd_connect"][part])) for part in ("connect", "login"))
    return f"""## Round trips

A server in another network, {_number(median(trip) / 1e3)} ms away (there and back, as a TCP connection measures
it): two namespaces, joined by TUN devices and a program that delays each packet. Figures are times divided by that;
the fraction above a whole number is computation.

{picture}

{_table(["", "first, address known", "first, name looked up", "next"], rows)}

`cd_connect` takes {ahead:.2f}, the login after it {after:.2f}.

If the name's IPv6 address is a black hole, the first login takes longer by:

{_table(["", "ms"], added)}
"""


def _nagle(figures):
    peers = (LIBCURL, NETHTTP, REQUESTS)
    head = ["", *(f"{title(name)}, ms" for name in (OURS, *peers)), *(f"of {name}" for name in peers)]
    rows = []
    for scheme, by_name in figures.items():
        for login, metric in (("first", "first"), ("next", "p50")):
            values = {name: one[metric] for name, one in by_name.items()}
            rows.append(
                [
                    f"{scheme}, {login}",
                    *(_spread(values[name], 1e-3) for name in (OURS, *peers)),
                    *(f"{ratio(values[OURS], values[name]):.3f}" for name in peers),
                ]
            )
    return f"""## A server with Nagle on

[This server](../benches/harness/nagle.py), Python's http.server at `127.0.0.1`, leaves Nagle's algorithm on and writes
the head and the body of a response separately, as many embedded servers do. The kernel delays the body until the
client acknowledges the head, and Linux delays most ACKs by 40 ms or more. It does not delay the ACK of the first data
on a connection: over HTTP that is the response, over HTTPS the TLS handshake. HTTPS is TLS 1.3 with RSA, and the session
tickets come before the first response. The first login is measured from the call, after the start of the process
and the creation of the handle, and includes the connection.

{_table(head, rows)}
"""


def _library(figures):
    loading = figures["loading"]
    load_rows = [
        [name, _spread(one["load"], 1e-3), _number(median(one["resident"]))] for name, one in loading.items()
    ]
    memory = figures["memory"]
    picture = chart.write(
        *["memory", "Memory of a process with one login over TLS"],
        [
            _panel(
                "largest resident set of a process with one login over TLS, MB",
                memory,
                "resident",
                "MB",
                1024 / 1e6,
            )
        ],
    )
    wheel = figures["wheel"]
    wheel = f"{wheel['bytes'] / 1e6:.2f} MB (`{wheel['name']}`)" if wheel else "not built"
    nothing = figures["imports"]["nothing"]
    imports = [
        [
            f"`import {name}`" if name != "nothing" else "Python alone",
            _spread(one["wall"]),
            _spread(one["cpu"]),
            _number(ratio(one["cpu"], nothing["cpu"])),
        ]
        for name, one in figures["imports"].items()
    ]
    return f"""## The library

| | |
| --- | ---: |
| `libcouchdrop.so`, stripped | {figures["bytes"] / 1e6:.2f} MB |
| exported functions | {figures["exports"]} |
| crates linked | {len(figures["crates"])} |
| Python wheel | {wheel} |

Cost of `dlopen`, with the library's dependencies:

{_table(["", "ms", "resident, KiB"], load_rows)}

{picture}

Importing the Python package:

{_table(["", "wall ms", "CPU ms", "of Python alone, CPU"], imports)}
"""


def _store(figures):
    logins = dict(figures["logins"])
    one_root = logins.pop("one root")
    counted = figures["instructions"]
    rows = [
        [
            title(name),
            _spread(one["wall"]),
            _spread(one["cpu"]),
            _number(ratio(one["cpu"], logins[LIBCURL]["cpu"])),
        ]
        for name, one in logins.items()
    ]
    part = 1 - ratio(one_root["cpu"], logins[OURS]["cpu"])
    part_of_instructions = 1 - counted["one root"] / counted["store"]
    return f"""## The system's trust store

The first login of a process that trusts Debian's {figures["roots"] - 1} roots and the private one (ECDSA).

{_table(["", "wall ms", "CPU ms", "of libcurl's CPU"], rows)}

With one root libcouchdrop takes {_spread(one_root["cpu"])} ms of CPU: the store is {100 * part:.0f} % of the first
login's CPU, and {100 * part_of_instructions:.0f} % of its instructions ({counted["store"]:,} with it,
{counted["one root"]:,} with one root).
"""


SECTIONS = {
    "cold": _cold,
    "warm": _warm,
    "counts": _counts,
    "profile": _profile,
    "many": _many,
    "growth": _growth,
    "network": _network,
    "nagle": _nagle,
    "library": _library,
    "store": _store,
}

OPENING = """# Performance

This page compares the cost of a login with that of the same login written by hand. These commands write it:

    make bench                       # all; about a quarter of an hour
    make bench BENCH=cold,warm       # some groups, into target/bench/performance.md
    make bench BENCH_LONG=1          # with a million logins in "growth"

All programs log in to the same nginx with a fixed response, by the name `localhost`, with a private root, an RSA and an
ECDSA chain; only *A server with Nagle on* uses another server. The programs take turns. Figures are medians, with the
tenth and ninetieth percentile in brackets, and ratios are medians of the ratios in each round. The environment of the
measured programs is empty. Compare wall and CPU times within this page only.

The **lower bound** is [HTTP written by hand](../benches/lower_bound/src/main.rs) over the same rustls and ring. It
is built for speed only, while some crates of the library are built for size. It has no deadline, cancellation, retries,
pool, wiping or error handling. The other programs are in [benches/baselines](../benches/baselines). The lower bound and
the library do not look up `localhost` (RFC 6761); libcurl and the others do, for a first login.
"""


def _machine(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    where = ", ".join(machine[what] for what in ("processor", "kernel", "C library"))
    return f"Measured on {results['date']} on {where}, with {versions}.\n"


def write(results, is_complete):
    """Writes the document, and returns its goals."""
    measured = results["groups"]
    judged = _goals(measured)
    if not is_complete:
        places.CHARTS = os.path.join(places.BUILT, "performance")
    sections = [SECTIONS[name](measured[name]) for name in SECTIONS if name in measured]
    text = "\n".join([OPENING, _machine(results), "## Goals\n", judged + "\n", *sections])
    document = places.DOCUMENT if is_complete else os.path.join(places.BUILT, "performance.md")
    os.makedirs(os.path.dirname(document), exist_ok=True)
    with open(document, "w", encoding="utf-8") as file:
        file.write(text)
    return f"{judged}\n\nwritten to {os.path.relpath(document, places.ROOT)}"
