"""Writes the figures of steps into docs/reliability.md, and prints them: reliability.py FOLDER

FOLDER has STEP.tsv for each step with figures: lines of name, figure and command, separated by TABs. They replace the
rows of that step in the table. If a step also wrote STEP.md, its text becomes a section with a heading that starts with
the name of the step. The rest of the document does not change.
"""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys

DOCUMENT = pathlib.Path("docs/reliability.md")
HEAD = ["step", "what", "figure", "command", "measured"]


def row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def machine():
    """The type of the machine, which affects figures."""
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 2**20
    release = pathlib.Path("/etc/os-release").read_text()
    system = re.search(r'^PRETTY_NAME="?([^"\n(]*)', release, re.M)[1].strip()
    cores = len(os.sched_getaffinity(0))
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"{cores} cores {platform.machine()}, {memory:.0f} GiB, {system}, Rust {rustc}"


def measured(folder):
    """The rows of each step."""
    today = datetime.date.today().isoformat()
    steps = {}
    for path in sorted(folder.glob("*.tsv")):
        rows = steps[path.stem] = []
        for line in path.read_text().splitlines():
            what, figure, command = line.split("\t")
            rows.append([path.stem, what, figure, f"`{command}`", f"{today}, {machine()}"])
    return steps


def print_table(steps):
    rows = [cells[:4] for rows in steps.values() for cells in rows]
    widths = [max(len(cells[at]) for cells in rows) for at in range(4)] if rows else []
    print()
    for cells in rows:
        print("  ".join(cell.strip("`").ljust(width) for cell, width in zip(cells, widths)).rstrip())


def main():
    folder = pathlib.Path(sys.argv[1])
    steps = measured(folder)
    print_table(steps)

    before, head, rest = DOCUMENT.read_text().partition(row(HEAD) + "\n" + row(["---"] * len(HEAD)) + "\n")
    if not head:
        sys.exit(f"reliability: {DOCUMENT} has no table")
    rows, after = re.match(r"((?:\|[^\n]*\n)*)(.*)", rest, re.S).groups()
    kept = [line for line in rows.splitlines() if line.split("|")[1].strip() not in steps]
    new = [row(cells) for rows in steps.values() for cells in rows]
    # Sorted by step; the rows of a step keep their order.
    table = sorted(kept + new, key=lambda line: line.split("|")[1].strip())

    tail, *sections = re.split(r"^(?=## )", after, flags=re.M)
    for step in steps:
        sections = [section for section in sections if not re.match(rf"## {step}\b", section)]
        note = folder / f"{step}.md"
        if note.exists():
            sections.append(f"## {step}: {note.read_text().strip()}\n")
    body = "\n".join(section.strip() + "\n" for section in sorted(sections))
    text = before + head + "".join(line + "\n" for line in table) + "\n" + tail.strip() + ("\n\n" if tail.strip() else "") + body
    DOCUMENT.write_text(text.rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
