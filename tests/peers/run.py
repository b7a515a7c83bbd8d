"""Runs the tests of this folder, several at a time: see run.sh, which starts it."""

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


def main():
    # So that peers are ended whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = os.path.dirname(os.path.abspath(__file__))
    tests = list(flattened(unittest.defaultTestLoader.discover(folder, top_level_dir=folder)))
    wanted = sys.argv[1:]
    if wanted:
        tests = [test for test in tests if any(part in name_of(test) for part in wanted)]
    # The longest first, so that no other waits for them at the end.
    tests.sort(key=lambda test: not getattr(test, "SLOW", False))
    passed, failed, known, skipped = 0, 0, 0, {}
    with world.World() as peers, concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        world.CURRENT = peers
        running = {pool.submit(run, test): test for test in tests}
        for future in concurrent.futures.as_completed(running):
            result, seconds = future.result()
            problems = [text for _, text in result.failures + result.errors]
            if result.unexpectedSuccesses:
                problems.append("passes, though marked as an expected failure: take the mark away")
            if os.environ.get("CI"):
                problems += [f"skipped: {reason}" for _, reason in result.skipped]
            if problems:
                failed += 1
                print(f"FAILED   {name_of(running[future])} ({seconds:.1f} s)")
                print("".join(f"         {line}\n" for text in problems for line in text.splitlines()))
            elif result.expectedFailures:
                known += 1
                print(f"known    {name_of(running[future])}: fails as it is marked to")
            elif result.skipped:
                skipped.setdefault(result.skipped[0][1], []).append(name_of(running[future]))
            else:
                passed += 1
                if wanted:
                    print(f"passed   {name_of(running[future])} ({seconds:.1f} s)")
        if failed:
            peers.print_logs()
    for reason, names in skipped.items():
        print(f"skipped  {len(names)}: {reason}")
    count = sum(map(len, skipped.values()))
    counts = [f"{passed} passed", f"{failed} failed"]
    counts += [f"{known} known to fail"] if known else []
    counts += [f"{count} skipped"] if count else []
    print(", ".join(counts))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
