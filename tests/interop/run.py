"""Runs the tests of this folder, several in parallel; run.sh starts it."""

import concurrent.futures
import os
import signal
import sys
import time
import unittest

import world

# Most of the time is spent waiting.
AT_A_TIME = 8


def flattened(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flattened(test)
        else:
            yield test


def name_of(test):
    return test.id().split(".", 1)[1].replace("test_", "", 1).replace("_", " ")


def run(test):
    result = unittest.TestResult()
    began = time.monotonic()
    test.run(result)
    return result, time.monotonic() - began


class Count:
    """The results of the tests, printed as they arrive and summed up."""

    def __init__(self, verbose):
        self._verbose = verbose
        self.passed, self.failed, self._known, self._skipped = 0, 0, 0, {}

    def add(self, name, result, seconds):
        problems = [text for _, text in result.failures + result.errors]
        if result.unexpectedSuccesses:
            problems.append("passes, but is marked as an expected failure: remove the mark")
        if os.environ.get("CI"):
            problems += [f"skipped: {reason}" for _, reason in result.skipped]
        if problems:
            self.failed += 1
            print(f"FAILED   {name} ({seconds:.1f} s)")
            print("".join(f"         {line}\n" for text in problems for line in text.splitlines()))
        elif result.expectedFailures:
            self._known += 1
            print(f"known    {name}: fails as expected")
        elif result.skipped:
            self._skipped.setdefault(result.skipped[0][1], []).append(name)
        else:
            self.passed += 1
            if self._verbose:
                print(f"passed   {name} ({seconds:.1f} s)")

    def print_summary(self):
        for reason, names in self._skipped.items():
            print(f"skipped  {len(names)}: {reason}")
        skipped = sum(map(len, self._skipped.values()))
        counts = [f"{self.passed} passed", f"{self.failed} failed"]
        counts += [f"{self._known} known to fail"] if self._known else []
        counts += [f"{skipped} skipped"] if skipped else []
        print(", ".join(counts))


def end_at_once(*_):
    """On interruption, do not wait for running tests. Their probes end with their input."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    world.CURRENT.stop()
    os._exit(1)


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    tests = list(flattened(unittest.defaultTestLoader.discover(folder, top_level_dir=folder)))
    wanted = sys.argv[1:]
    if wanted:
        tests = [test for test in tests if any(part in name_of(test) for part in wanted)]
    # The longest first, so that they do not run alone at the end.
    tests.sort(key=lambda test: not getattr(test, "SLOW", False))
    count = Count(bool(wanted))
    world.CURRENT = world.World()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_at_once)
    with world.CURRENT, concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        running = {pool.submit(run, test): test for test in tests}
        for future in concurrent.futures.as_completed(running):
            count.add(name_of(running[future]), *future.result())
        if count.failed:
            world.CURRENT.print_logs()
    count.print_summary()
    return 0 if count.passed and not count.failed else 1


if __name__ == "__main__":
    sys.exit(main())
