"""Prints the instructions of a warm login by function and by source line: `make profile`.

The library is the release build with symbols. Counts are the difference of many and few logins, for one login.
"""

import signal
import sys
import tempfile

from harness import baselines, profile
from harness.service import Service

MOST = 40
HEADINGS = {"own": "its own", "whole": "with what it calls", "lines": "by source line"}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    baselines.build_counted()
    with tempfile.TemporaryDirectory() as work, Service(work) as service:
        for scheme, kind in (("HTTP", None), ("HTTPS", "rsa")):
            command, env = profile.ours(service.url(kind), service.ca_file(kind))
            for kind_of_count, counts in profile.of_a_login(command, env, work).items():
                print(f"\n{scheme}, instructions of a warm login, {HEADINGS[kind_of_count]}")
                for name, count in sorted(counts.items(), key=lambda item: -item[1])[:MOST]:
                    print(f"{count:9.0f}  {name}")


if __name__ == "__main__":
    main()
