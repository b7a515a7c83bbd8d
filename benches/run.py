"""Compares a login of the library with the same login written by hand: `make bench`.

Writes docs/performance.md and its charts when all groups were measured; of some alone (BENCH=cold,warm) it
writes target/bench/performance.md. BENCH_LONG=1 logs in a million times for the group "growth".
"""

import datetime
import json
import os
import signal
import sys
import tempfile
import time

from harness import baselines, groups, machine, places, report
from harness.service import Service


def main():
    # Exits normally, so that the servers end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = [name for name in os.environ.get("BENCH", "").replace(",", " ").split() if name] or list(
        groups.ALL
    )
    unknown = set(wanted) - set(groups.ALL)
    if unknown:
        sys.exit(f"bench: no group {', '.join(sorted(unknown))}; there are: {', '.join(groups.ALL)}")
    baselines.build()
    results = {"machine": machine.describe(), "date": datetime.date.today().isoformat(), "groups": {}}
    with tempfile.TemporaryDirectory() as work, Service(work) as service:
        for name, group in groups.ALL.items():
            if name in wanted:
                print(f"measuring {group.__doc__.splitlines()[0]}", file=sys.stderr, flush=True)
                start = time.monotonic()
                results["groups"][name] = group.measure(service)
                print(f"  {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
                # Figures are not lost if a later group fails.
                with open(os.path.join(places.BUILT, "results.json"), "w", encoding="utf-8") as file:
                    json.dump(results, file, indent=1)
    print(report.write(results, is_complete=len(wanted) == len(groups.ALL)))


if __name__ == "__main__":
    main()
