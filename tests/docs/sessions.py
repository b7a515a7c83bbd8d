"""Blocks of shell: all are checked. Those that a page marks run as one bash session, as if pasted by a reader. The
session's folder looks like a clone, and the fake server takes the service's place."""

import os
import re
import shutil

import shell
from page import ROOT
from programs import Wrong, expect
from work import Ended, run

_WORDS = {"run", "exit", "says", "account", "shown"}

# Paths of the clone are links, so cargo and make would treat it as another project and rebuild everything.
_CARGO = """#!/usr/bin/env bash
set -euo pipefail
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --) break ;;
        --manifest-path) arguments+=("$1" "$(realpath "$2")"); shift 2; known=1 ;;
        *) arguments+=("$1"); shift ;;
    esac
done
if [ -z "${known:-}" ] && [ "$PWD" = "$CLONE" ]; then
    arguments=("${arguments[0]}" --manifest-path "$PROJECT/Cargo.toml" "${arguments[@]:1}")
fi
PATH=${PATH#*:} exec cargo "${arguments[@]}" "$@"
"""
_MAKE = """#!/usr/bin/env bash
PATH=${PATH#*:}
[ "$PWD" != "$CLONE" ] || set -- -C "$PROJECT" "$@"
exec make "$@"
"""

# Runs each block in the same shell. A block that must fail runs in a subshell, which it may exit.
_DRIVER = """
set -eo pipefail
trap 'echo $? > "$WORK/status"' EXIT
for block in "$WORK"/*.block; do
    echo "${block##*/}" > "$WORK/at"
    if [ -e "$block.exit" ]; then
        status=0
        set +e
        (set -eo pipefail; . "$block") > "$block.out" 2>&1
        status=$?
        set -e
        [ $status = "$(cat "$block.exit")" ] || { echo "(status $status)" >> "$block.out"; exit 1; }
    else
        . "$block" > "$block.out" 2>&1
    fi
done
"""


def look(block, project):
    """The faults in the commands of a block."""
    unknown = set(block.words) - _WORDS
    if unknown:
        return [f"no such word: {', '.join(sorted(unknown))} (docs/WRITING.md has all)"]
    if "run" not in block.words and block.words.keys() & {"exit", "says", "account"}:
        return ["a block without run is not run"]
    if block.words.get("shown") is True:
        return ['shown="…" needs the reason']
    if "shown" in block.words:
        return []
    if block.language == "console":
        if not block.code.startswith("$ "):
            return ["a session begins with a command, behind $"]
        return [
            problem for command, _ in _session(block.code) for problem in shell.problems(command, project)
        ]
    return shell.problems(block.code, project)


def _session(code):
    """(command, expected output) of each command."""
    steps = []
    for line in code.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            steps.append([line[2:], []])
        elif line.startswith("> ") and not steps[-1][1]:
            steps[-1][0] += "\n" + line[2:]
        else:
            steps[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in steps]


def check(page, world):
    """Runs the session of a page; yields (block, fault)."""
    blocks = [block for block in page.blocks if block.language in ("sh", "console") and "run" in block.words]
    saved = [
        (block, name)
        for block in page.blocks
        for name in [block.words.get("save") or block.words.get("file")]
        if name
    ]
    script = "\n".join(block.code for block in blocks)
    for block, name in saved:
        if "save" in block.words and not re.search(
            rf"(?<![\w-]){re.escape(os.path.splitext(name)[0])}", script
        ):
            yield block, f"no block that runs names {name}"
    if not blocks:
        return
    folder = world.scratch / re.sub(r"\W+", "-", page.name)
    try:
        yield from _run(page, blocks, saved, folder, world)
    finally:
        # Removes links, not their targets.
        shutil.rmtree(folder)


def _run(page, blocks, saved, folder, world):
    clone, work, programs = folder / "libcouchdrop", folder / ".work", folder / ".bin"
    for made in (clone, work, programs):
        made.mkdir(parents=True)
    for entry in {name.split("/")[0] for name in world.facts.files} | {"target"}:
        (clone / entry).symlink_to(ROOT / entry)
    for name, text in [("cargo", _CARGO), ("make", _MAKE)]:
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for block, name in saved:
        (clone / name).write_text(block.code, encoding="utf-8")
    steps = []
    for block in blocks:
        commands = _session(block.code) if block.language == "console" else [(block.code, None)]
        for command, printed in commands:
            path = work / f"{len(steps):03}.block"
            account = block.words.get("account")
            path.write_text(
                (_as(account, world) if account else "") + command.rstrip("\n") + "\n", encoding="utf-8"
            )
            if "exit" in block.words and (command, printed) == commands[-1]:
                (work / f"{path.name}.exit").write_text(block.words["exit"])
            steps.append((block, path, printed))

    environment = {**world.plain, "CLONE": str(clone), "PROJECT": str(ROOT), "WORK": str(work)}
    environment |= {"CARGO": str(programs / "cargo"), "PATH": f"{programs}:{environment['PATH']}"}
    environment |= {name: world.project[name] for name in ("GOPROXY", "GOTOOLCHAIN", "GOWORK")}
    (work / "driver").write_text(_DRIVER)
    run(
        [world.fake_server, "run", "--as-service", "--account", "ada", "bash", work / "driver"],
        cwd=clone,
        env=environment,
    )
    failed = (work / "at").read_text().strip() if (work / "status").read_text().strip() != "0" else None
    for block, path, printed in steps:
        output = path.with_name(path.name + ".out")
        text = output.read_text(encoding="utf-8", errors="replace").strip() if output.exists() else ""
        if path.name == failed:
            yield block, f"fails:\n{text}"
            return
        if printed is not None and not _same(printed, text):
            yield block, f"prints something else:\n{text}"
    for block in blocks:
        outputs = [
            path.with_name(path.name + ".out").read_text(encoding="utf-8")
            for one, path, _ in steps
            if one is block
        ]
        try:
            expect({"says": block.words.get("says", [])}, Ended(0, "".join(outputs)))
        except Wrong as wrong:
            yield block, str(wrong)


def _as(account, world):
    return f"export COUCHDROP_USERNAME={account}@example.com COUCHDROP_PASSWORD='{world.password}'\n"


def _same(expected, printed):
    """Compares the output; … matches any text."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed, re.S) is not None
