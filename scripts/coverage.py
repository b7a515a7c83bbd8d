"""Reports the lines that the tests do not reach: coverage.py LCOV REASONS

LCOV is the report of cargo llvm-cov. REASONS explains functions with lines that no test reaches, one a line: file,
function and reason, separated by TABs. Test modules within src/ do not count. Fails below 95 %, and if a line that no
test reaches has no reason.
"""

import pathlib
import re
import sys

FUNCTION = re.compile(r"""\s*(?:pub(?:\([a-z]+\))?\s+)?(?:(?:const|unsafe|extern\s+"C")\s+)*fn\s+(\w+)""")


def executions(lcov):
    """The execution count of each line, by file of src/."""
    files, lines = {}, {}
    for line in lcov.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            lines = files.setdefault(value.removeprefix(f"{pathlib.Path.cwd()}/"), {})
        elif key == "DA":
            number, count = map(int, value.split(",")[:2])
            lines[number] = lines.get(number, 0) + count
    return {name: lines for name, lines in sorted(files.items()) if name.startswith("src/")}


def main():
    lcov, reasons_file = map(pathlib.Path, sys.argv[1:])
    rows = [line.split("\t") for line in reasons_file.read_text().splitlines() if line and not line.startswith("#")]
    reasons = {(name, function): reason for name, function, reason in rows}
    total = unreached = unexplained = 0
    used = set()
    for name, lines in executions(lcov).items():
        function, tests = "-", False
        for number, text in enumerate(pathlib.Path(name).read_text().splitlines(), 1):
            match = FUNCTION.match(text)
            function = match[1] if match else function
            tests = tests or text == "#[cfg(test)]"
            if number not in lines or tests:
                continue
            total += 1
            if lines[number] == 0:
                unreached += 1
                used.add((name, function))
                if (name, function) not in reasons:
                    unexplained += 1
                    print(f"{name}:{number}: {text}")
    for name, function in sorted(set(reasons) - used):
        print(f"{name}: {function} is reached now: its reason can go")
    share = 100 - 100 * unreached / total
    print(f"{share:.2f} % of {total} lines; {unreached} are not reached, {unexplained} of them without a reason")
    return share < 95 or unexplained > 0


if __name__ == "__main__":
    sys.exit(main())
