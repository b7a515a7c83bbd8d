"""Shared code of the baselines in Python. Their arguments are those of the baselines in C (baseline.h).

Imports as little as possible, since the start is measured.
"""

import sys
import time

USERNAME = "ada@example.com"
PASSWORD = "correct horse battery staple"
FORM = {"username": USERNAME, "password": PASSWORD}


def main(open_handle):
    """Runs a baseline. `open_handle` takes the base URL and the CA file, None for the system's certificates. It
    returns a function that logs in and returns the token."""
    base_url, ca_file, logins, *count = sys.argv[1:]
    log_in = open_handle(base_url, None if ca_file == "-" else ca_file)
    if count:
        start = time.monotonic_ns()
        log_in()
        print("first", time.monotonic_ns() - start)
        _time_threads(log_in, int(logins), int(count[0]))
        return
    for _ in range(int(logins)):
        token = log_in()
    print(token)


def _time_threads(log_in, logins, count):
    import threading

    warm, end = threading.Barrier(count + 1), threading.Barrier(count + 1)
    took = []

    def run():
        for _ in range(logins // 10 + 1):
            log_in()
        warm.wait()
        mine = []
        for _ in range(logins):
            start = time.monotonic_ns()
            log_in()
            mine.append(time.monotonic_ns() - start)
        end.wait()
        took.extend(mine)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    warm.wait()
    wall, cpu = time.monotonic_ns(), time.process_time_ns()
    end.wait()
    report(time.process_time_ns() - cpu, time.monotonic_ns() - wall, [])
    for thread in threads:
        thread.join()
    print(*took, sep="\n")


def report(cpu, wall, took):
    """Prints the output of `main` after the first login."""
    print("cpu", cpu)
    print("wall", wall)
    if took:
        print(*took, sep="\n")


def main_asyncio(open_handle):
    """Like `main` with durations, with tasks in place of threads: `open_handle` returns a coroutine function."""
    import asyncio

    base_url, ca_file, logins, count = sys.argv[1:]

    async def all_tasks():
        log_in = open_handle(base_url, None if ca_file == "-" else ca_file)
        start = time.monotonic_ns()
        await log_in()
        print("first", time.monotonic_ns() - start)
        took = []

        async def task(number):
            for _ in range(number):
                start = time.monotonic_ns()
                await log_in()
                took.append(time.monotonic_ns() - start)

        await asyncio.gather(*(task(1) for _ in range(int(count))))
        took.clear()
        wall, cpu = time.monotonic_ns(), time.process_time_ns()
        await asyncio.gather(*(task(int(logins)) for _ in range(int(count))))
        report(time.process_time_ns() - cpu, time.monotonic_ns() - wall, took)

    asyncio.run(all_tasks())
