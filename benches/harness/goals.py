"""The performance goals of the library, and if they are reached."""

from .baselines import CONTROL, LOWER_BOUND, IMPORT_CTYPES, LIBCURL, NETHTTP, OURS, OURS_GO, OURS_PYTHON, REQUESTS
from .rounds import median, ratio

SENDS = ("send", "sendto", "sendmsg", "sendmmsg", "write", "writev", "pwrite64", "pwritev")


class Goals:
    """Collects (goal, figures, reached); None: not measured."""

    def __init__(self):
        self.rows = []

    def at_most(self, goal, limit, figures, form="{:.2f}"):
        """`figures` maps names to values; each must not exceed the limit."""
        said = ", ".join(f"{what} {form.format(value)}".strip() for what, value in figures.items())
        self.rows.append((goal, said, all(value <= limit for value in figures.values())))

    def at_least(self, goal, limit, figures, form="{:.2f}"):
        said = ", ".join(f"{what} {form.format(value)}".strip() for what, value in figures.items())
        self.rows.append((goal, said, all(value >= limit for value in figures.values())))

    def holds(self, goal, said, holds):
        self.rows.append((goal, said, holds))

    def unknown(self, goal, why):
        self.rows.append((goal, why, None))


def _ratios(figures, ours, theirs, metric):
    """By case of the group."""
    return {case: ratio(by_name[ours][metric], by_name[theirs][metric]) for case, by_name in figures.items()}


def _cold(goals, figures):
    figures = {{"rsa": "RSA", "ecdsa": "ECDSA"}[kind]: by_name for kind, by_name in figures.items()}
    for metric, name in (("wall", "wall"), ("cpu", "CPU")):
        goals.at_most(
            f"cold over TLS, {name}: at most 1.05 of the lower bound", 1.05, _ratios(figures, OURS, LOWER_BOUND, metric)
        )
    for metric, name in (("wall", "wall"), ("cpu", "CPU")):
        goals.at_most(
            f"cold over TLS, {name}: at most 0.3 of libcurl", 0.3, _ratios(figures, OURS, LIBCURL, metric)
        )
    for metric, name in (("wall", "wall"), ("cpu", "CPU")):
        of_ctypes = _ratios(figures, OURS_PYTHON, IMPORT_CTYPES, metric)
        goals.at_most(
            f"Python, import and a login, {name}: at most 1.35 of `import ctypes` alone", 1.35, of_ctypes
        )
        of_requests = _ratios(figures, OURS_PYTHON, REQUESTS, metric)
        goals.at_most(f"Python, import and a login, {name}: at most 0.2 of requests", 0.2, of_requests)


def _store(goals, figures):
    logins = figures["logins"]
    both = {
        name: ratio(logins[OURS][metric], logins[LOWER_BOUND][metric])
        for metric, name in (("wall", "wall"), ("cpu", "CPU"))
    }
    goals.at_most("cold with the system's trust store: at most 1.25 of the lower bound with the same", 1.25, both)


def _warm(goals, figures):
    https = {case: by_name for case, by_name in figures.items() if case.startswith("HTTPS")}
    goals.at_most("warm HTTPS, CPU: at most 1.05 of the lower bound", 1.05, _ratios(https, OURS, LOWER_BOUND, "cpu"))
    goals.at_most("warm HTTPS, CPU: at most 0.6 of libcurl", 0.6, _ratios(https, OURS, LIBCURL, "cpu"))
    goals.at_most("Go, warm, CPU: at most 0.6 of net/http", 0.6, _ratios(figures, OURS_GO, NETHTTP, "cpu"))


def _counts(goals, figures):
    for scheme, limit in (("HTTP", 0.12), ("HTTPS", 0.15)):
        ratios = {
            "with a length" if case == scheme else "chunked": by_name[OURS]["instructions"]
            / by_name[LIBCURL]["instructions"]
            for case, by_name in figures.items()
            if case.split(",")[0] == scheme
        }
        goals.at_most(
            f"instructions of a warm login, {scheme}: at most {limit} of libcurl", limit, ratios, "{:.3f}"
        )
    ours = {case: by_name[OURS] for case, by_name in figures.items()}
    goals.at_most(
        *["allocations of a warm login: at most 8", 8],
        *[{case: counts["allocations"] for case, counts in ours.items()}, "{:.1f}"],
    )
    calls = {case: sum(counts["calls"].values()) for case, counts in ours.items()}
    goals.at_most("system calls of a warm login: at most 5", 5, calls, "{:.1f}")
    sends = {case: sum(counts["calls"].get(name, 0) for name in SENDS) for case, counts in ours.items()}
    goals.at_most("the request leaves in 1 write", 1, sends)


def _many(goals, figures):
    threads = {
        f"{count} threads" if count != "1" else "1 thread": by_name
        for count, by_name in figures["threads"].items()
    }
    named = {name: threads[name] for name in ("1 thread", "8 threads", "64 threads")}
    of_lower_bound = _ratios(named, OURS, LOWER_BOUND, "throughput")
    goals.at_least("throughput over HTTPS: at least 0.95 of the lower bound", 0.95, of_lower_bound)
    of_libcurl = _ratios(threads, OURS, LIBCURL, "throughput")
    goals.at_least("throughput over HTTPS: above libcurl", 1.0001, of_libcurl)
    goals.at_least("throughput over HTTPS: 1.5 of libcurl at 64 threads", 1.5, {"": of_libcurl["64 threads"]})
    goals.at_most("p99: no worse than libcurl's", 1.0, _ratios(threads, OURS, LIBCURL, "p99"))


def round_trips(figures, values):
    return ratio(values, figures["round trip"]["first"])


def _network(goals, figures):
    if "skipped" in figures:
        return goals.unknown("round trips", figures["skipped"])
    known, looked_up = figures["known.peers.test"][OURS], figures["looked-up.peers.test"][OURS]
    for goal, trips, values in (
        ("a first login takes 3 round trips", 3, known["first"]),
        ("and 1 more for DNS", 4, looked_up["first"]),
        ("after `cd_connect` a login takes 1", 1, figures["cd_connect"]["login"]),
        ("a warm login takes 1", 1, looked_up["p50"]),
    ):
        found = round_trips(figures, values)
        # The fraction above the whole number is computation.
        goals.holds(goal, f"{found:.2f}", trips <= found + 0.05 and found < trips + 0.15)
    black_hole = figures["black-hole.peers.test"][OURS]["first"]
    added = median([(held - plain) / 1e3 for held, plain in zip(black_hole, looked_up["first"])])
    goals.at_most("an IPv6 black hole adds at most 250 ms", 250, {"": added}, "{:.0f} ms")
    return None


def _nagle(goals, figures):
    for other in (LIBCURL, NETHTTP, REQUESTS):
        first, later = (_ratios(figures, OURS, other, metric) for metric in ("first", "p50"))
        # Without the first login over HTTP: no client delays an ACK in it.
        delayed = {"HTTP, next": later["HTTP"], "HTTPS, first": first["HTTPS"], "HTTPS, next": later["HTTPS"]}
        goals.at_most(f"a server with Nagle on: at most 0.2 of {other}", 0.2, delayed, "{:.3f}")


def _library(goals, figures):
    goals.at_most("the shared library: at most 2.5 MB", 2.5, {"": figures["bytes"] / 1e6}, "{:.2f} MB")
    goals.at_most("at most 40 crates linked", 40, {"": len(figures["crates"])}, "{}")
    loading = figures["loading"][OURS]
    goals.at_most("`dlopen`: at most 0.3 ms", 0.3, {"": median(loading["load"]) / 1e3}, "{:.2f} ms")
    goals.at_most(
        "`dlopen`: at most 0.7 MB resident", 0.7, {"": median(loading["resident"]) * 1024 / 1e6}, "{:.2f} MB"
    )
    before = figures["before the first login"]
    goals.holds(
        "no thread, no descriptor, no read of the environment before the first login",
        f"{before['threads']} threads, {before['descriptors']} descriptors, no read",
        not any(before.values()),
    )
    memory = figures["memory"]
    of_libcurl = ratio(memory[OURS]["resident"], memory[LIBCURL]["resident"])
    goals.at_most(
        "memory after the first login over TLS: at most 0.35 of libcurl's process", 0.35, {"": of_libcurl}
    )


def _growth(goals, figures):
    counted = figures["instructions"]
    change = counted["last"] / counted["thousandth"] - 1
    name = f"login {counted['logins']:,} costs what the thousandth did, in instructions to the percent"
    goals.holds(name, f"{100 * change:+.2f} %", abs(change) < 0.01)
    first, *_, last = figures["memory"]
    grown = (last["heap"] - first["heap"]) / 1024, last["resident"] - first["resident"]
    goals.holds(
        f"no memory grown from login {first['logins']:,} to {last['logins']:,}",
        f"heap {grown[0]:+.0f} KiB, resident {grown[1]:+.0f} KiB",
        # One or two pages of the allocator are not growth in a million logins.
        max(grown) <= 16,
    )


GROUPS = {
    "cold": _cold,
    "store": _store,
    "warm": _warm,
    "counts": _counts,
    "many": _many,
    "network": _network,
    "nagle": _nagle,
    "library": _library,
    "growth": _growth,
}


# Reasons for goals that are not reached, by the start of their row.
REASONS = {
    "cold over TLS": (
        "the library is a shared object, which the loader opens, maps, relocates and binds (*The library* has the "
        "cost of `dlopen`). It is larger than the lower bound because it does more, so it touches more pages (*page faults*"
        " in the table). Instructions differ little: both spend them in ring and rustls. The placement of a file's "
        "pages in memory counts for a few percent, too. The row *archive* is the same code without a shared object."
    ),
    "warm HTTPS, CPU": (
        "the library makes two system calls more than the lower bound (*Counts*). One checks the kept connection before a "
        "password is written to it. The other is a wait that a deadline, a cancel handle and a signal can end; the "
        "lower bound blocks in a read. The library also needs a third more instructions (*Instructions of a warm login by "
        "function*): its parser accepts every strict response, the lower bound's only the expected one. All of this stays."
    ),
    "throughput over HTTPS: at least 0.95 of the lower bound": "as with the CPU of a warm login over HTTPS.",
    "Python, import and a login, wall": (
        "the package imports ten modules and 38 prototypes after ctypes (*The library* has their cost), and waits for"
        " a handshake; `import ctypes` alone does not. The package already imports rarely used modules, such as "
        "asyncio, enum and logging, on demand."
    ),
    "Python, import and a login, CPU": (
        "the package imports ten modules and 38 prototypes after ctypes (*The library* has their cost), and computes "
        "a handshake; `import ctypes` alone does not."
    ),
}


def reason(goal):
    return next((why for start, why in REASONS.items() if goal.startswith(start)), "not investigated yet.")


def control(groups):
    """The ratios of a copy of the lower bound to the lower bound, by goal."""
    found = {}
    for kind, by_name in groups.get("cold", {}).items():
        for metric in ("wall", "cpu"):
            found[f"cold {metric}, {kind}"] = ratio(by_name[CONTROL][metric], by_name[LOWER_BOUND][metric])
    for case, by_name in groups.get("warm", {}).items():
        if case.startswith("HTTPS"):
            found[f"warm CPU, {case}"] = ratio(by_name[CONTROL]["cpu"], by_name[LOWER_BOUND]["cpu"])
    for count, by_name in groups.get("many", {}).get("threads", {}).items():
        found[f"throughput, {count} thread{'s' if count != '1' else ''}"] = ratio(
            by_name[CONTROL]["throughput"], by_name[LOWER_BOUND]["throughput"]
        )
    return found


def judge(groups):
    """The rows (goal, figures, reached) of all measured groups."""
    goals = Goals()
    for name, add in GROUPS.items():
        if name in groups:
            add(goals, groups[name])
    return goals.rows
