"""Checks the documentation against the project (docs/WRITING.md): run.py [--figures] [PAGE...]

Without arguments it checks all pages. --figures only updates the figures in them.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import figures
import links
import names
import programs
import sessions
from page import ROOT, Page, Problem
from work import World

_SHELL = ("sh", "console")
# Shown without a check; `cargo test` runs `rust`.
_SHOWN = ("text", "make", "cmake", "yaml", "dockerfile", "diff", "ini", "toml")
_RUST = "tests/fake_server/README.md"


def main():
    arguments = sys.argv[1:]
    world = World()
    try:
        everything = {name: Page.read(name) for name in world.facts.files if name.endswith(".md")}
        if arguments[:1] == ["--figures"]:
            return write_figures(everything.values())
        pages = [everything[name] for name in arguments] or list(everything.values())
        counts = check(pages, everything, world)
    finally:
        world.close()
    found = [problem for page in pages for problem in sorted(page.problems, key=_line)]
    for problem in found:
        print(problem)
    print(f"{len(pages)} pages; " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    lacking = counts.get("not tried", 0) and bool(os.environ.get("CI"))
    return 1 if found or lacking or not pages else 0


def _line(problem):
    return int(problem.split(":")[1])


def write_figures(pages):
    failed = 0
    for page in pages:
        try:
            text = figures.renew(page)
        except Problem as problem:
            print(f"{page.name}: {problem}")
            failed = 1
            continue
        if text != page.text:
            (ROOT / page.name).write_text(text, encoding="utf-8")
            print(f"{page.name}: figures renewed")
    return failed


def check(pages, everything, world):
    """Adds the faults to each page, and counts the checks."""
    counts = {"blocks compiled or run": 0, "sessions": 0, "not tried": 0}
    work = []
    for page in pages:
        links.check(page, everything)
        names.check(page, world.facts)
        figures.check(page, world.facts)
        for block in page.blocks:
            _look(block, world, work)
        if any("run" in block.words or "save" in block.words for block in page.blocks):
            work.append((page, None))
    # Those that wait longest first.
    work.sort(key=lambda one: one[1] is not None)
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for what in pool.map(lambda one: _try(*one, world), work):
            counts[what] += 1
    return {what: count for what, count in counts.items() if count or what != "not tried"}


def _look(block, world, work):
    complain, language = block.page.complain, block.language
    if language in programs.languages():
        work.append((block.page, block))
    elif language in _SHELL:
        for problem in sessions.look(block, world.facts):
            complain(block.line - 1, problem)
    elif language == "rust" and block.page.name == _RUST:
        pass
    elif block.words.keys() - {"save"}:
        complain(block.line - 1, f"a block of {language or 'no language'} has no words but save")
    elif language == "json":
        try:
            json.loads(block.code)
        except ValueError as error:
            complain(block.line - 1, f"is no JSON: {error}")
    elif language not in _SHOWN:
        complain(
            block.line - 1, f"a block of {language or 'no language'} (docs/WRITING.md has those there are)"
        )


def _try(page, block, world):
    if block is None:
        for one, problem in sessions.check(page, world):
            page.complain(one.line - 1, problem)
        return "sessions"
    try:
        programs.check(block, world)
    except programs.Wrong as wrong:
        page.complain(block.line - 1, str(wrong))
    except programs.Skipped as skipped:
        print(f"{block.where}: not tried: {skipped}")
        return "not tried"
    return "blocks compiled or run"


if __name__ == "__main__":
    sys.exit(main())
