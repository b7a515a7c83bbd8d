"""Reports the lines that the tests do not reach: coverage.py LCOV REASONS FIGURES

LCOV is the report of cargo llvm-cov. REASONS explains functions with lines that no test reaches, one a line: file,
function and reason, separated by TABs. The figures go to FIGURES, and a table of the missing lines to the file beside
it that ends in .md. Test modules within src/ do not count. Fails below 95 %, and if a line that no test reaches has no
reason.
"""

import pathlib
import re
import sys

WANTED = 95.0
FUNCTION = re.compile(r"""\s*(?:pub(?:\([a-z]+\))?\s+)?(?:(?:const|unsafe|extern\s+"C")\s+)*fn\s+(\w+)""")


def reached(lcov):
    """The execution count of each line, by file of src/."""
    root = str(pathlib.Path.cwd()) + "/"
    files, lines = {}, {}
    for line in lcov.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            lines = files.setdefault(value.removeprefix(root), {})
        elif key == "DA":
            number, count = value.split(",")[:2]
            lines[int(number)] = lines.get(int(number), 0) + int(count)
    return {name: lines for name, lines in sorted(files.items()) if name.startswith("src/")}


def code(name, lines):
    """The lines without the test module, which is the last part of a file."""
    source = pathlib.Path(name).read_text().splitlines()
    end = next((at for at, text in enumerate(source, 1) if text == "#[cfg(test)]"), len(source) + 1)
    return source, {number: count for number, count in lines.items() if number < end}


def function(source, number):
    """The name of the function that a line belongs to."""
    for text in reversed(source[:number]):
        match = FUNCTION.match(text)
        if match:
            return match[1]
    return "-"


def main():
    lcov, reasons_file, figures = map(pathlib.Path, sys.argv[1:4])
    reasons = {}
    for line in reasons_file.read_text().splitlines():
        if line and not line.startswith("#"):
            name, where, why = line.split("\t")
            reasons[name, where] = why

    count = hit = 0
    missing = {}
    for name, lines in reached(lcov).items():
        source, lines = code(name, lines)
        count += len(lines)
        hit += sum(1 for times in lines.values() if times)
        print(f"{name:28} {sum(1 for times in lines.values() if times):4} of {len(lines):4} lines")
        for number in sorted(number for number, times in lines.items() if not times):
            missing.setdefault((name, function(source, number)), []).append(number)
            if (name, function(source, number)) not in reasons:
                print(f"    {number:4}  {source[number - 1]}")
    if not count:
        sys.exit("coverage: the report has no file of src/")

    unexplained = sum(len(numbers) for key, numbers in missing.items() if key not in reasons)
    for name, where in sorted(set(reasons) - set(missing)):
        print(f"{name}: {where} is reached now: its reason can go")
    share = 100 * hit / count
    print(f"{share:.2f} % of {count} lines; {count - hit} are not reached, {unexplained} of them without a reason")

    command = "make coverage"
    figures.write_text(
        f"lines of src/ that the tests reach\t{share:.1f} % of {count:,}\t{command}\n"
        f"lines of src/ that no test reaches, without a reason\t{unexplained}\t{command}\n"
    )
    note = ["lines of src/ that no test reaches", "", "| file | function | lines | why |", "| --- | --- | --- | --- |"]
    for (name, where), numbers in missing.items():
        note.append(f"| {name} | `{where}` | {len(numbers)} | {reasons.get((name, where), '')} |")
    figures.with_suffix(".md").write_text("\n".join(note) + "\n")
    return share < WANTED or unexplained > 0


if __name__ == "__main__":
    sys.exit(main())
