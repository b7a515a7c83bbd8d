"""Shared code of the baselines in Python. Their arguments are those of the baselines in C (baseline.h), with 1 thread.

Imports as little as possible, since the start is measured.
"""

import sys
import time

USERNAME = "ada@example.com"
PASSWORD = "correct horse battery staple"
FORM = {"username": USERNAME, "password": PASSWORD}


def main(open_handle):
    """Runs a baseline. `open_handle` takes the base URL and the CA file. It returns a function that logs in and returns
    the token."""
    base_url, ca_file, logins, *threads = sys.argv[1:]
    log_in = open_handle(base_url, ca_file)
    if not threads:
        for _ in range(int(logins)):
            token = log_in()
        print(token)
        return
    start = time.monotonic_ns()
    log_in()
    print(time.monotonic_ns() - start)
    for _ in range(int(logins) // 10 + 1):
        log_in()
    took = []
    wall, cpu = time.monotonic_ns(), time.process_time_ns()
    for _ in range(int(logins)):
        start = time.monotonic_ns()
        log_in()
        took.append(time.monotonic_ns() - start)
    print(time.process_time_ns() - cpu, time.monotonic_ns() - wall, *took, sep="\n")


def repeat(get):
    """Prints the nanoseconds of each call of `get`, on average over as many calls as the third argument says."""
    calls = int(sys.argv[3])
    get()
    start = time.monotonic_ns()
    for _ in range(calls):
        get()
    print((time.monotonic_ns() - start) / calls)
