"""Compiles and runs the code in the documentation: run.py MYPY [PAGE...]

CONTRIBUTING.md has the rules ("Code in the documentation"). MYPY is the path of mypy. Without a PAGE it checks
all pages. It needs `scripts/with-fake-server --as-service --account ada`: that is how a program that logs in to
api.couchdrop.io reaches the fake server.
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGE = ROOT / "target/stage"
TIMEOUT = 300  # s
CHECKED = {"c", "cpp", "go", "python", "sh"}
SHOWN = {"cmake", "console", "diff", "dockerfile", "ini", "json", "make", "rust", "text", "toml", "yaml"}
# The packages of Python that need not be installed: mypy checks a block that imports one, but it is not run.
OPTIONAL = {"eventlet", "gevent", "requests"}
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread"]
TOKEN = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
GO_MOD = f"module docs\ngo 1.19\nreplace libcouchdrop.invalid/couchdrop => {ROOT}/bindings/go\n"


class Failure(Exception):
    """A block does not compile, or its program fails."""


@dataclass
class Block:
    page: str
    line: int  # the number of the first line of code
    language: str
    code: str
    saved_as: str  # the file name in the text before the block, or ""

    def __post_init__(self):
        self.where = f"{self.page}:{self.line}"
        self.name = re.sub(r"\W", "_", self.where)

    @property
    def is_program(self):
        if self.language == "python":
            return not OPTIONAL & set(re.findall(r"^(?:import|from) (\w+)", self.code, re.M))
        return re.search(r"\bmain\(", self.code) is not None


def blocks_of(page):
    """The fenced blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    end = 0
    for match in re.finditer(r"^( *)(`{3,})([^\n]*)\n(.*?)^ *\2 *$", text, re.M | re.S):
        language = (match[3].split() or ["no language"])[0]
        line = text.count("\n", 0, match.start()) + 2
        if language not in CHECKED | SHOWN:
            sys.exit(f"{page}:{line - 1}: a block of {language}")
        names = re.findall(r"[Ss]aved as `([\w.]+)`", text[end : match.start()])
        code = re.sub(f"^{match[1]}", "", match[4], flags=re.M)
        yield Block(page, line, language, code, names[-1] if names else "")
        end = match.end()


def run(command, folder, env):
    """Runs a command and returns its output."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=folder, env=env, timeout=TIMEOUT, check=False, **pipes)
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise Failure(f"{Path(command[0]).name} ended with status {done.returncode}:\n{output}")
    return output


def environments():
    """The environment of a reader's shell, and the same with the library installed."""
    hidden = ("LD_LIBRARY_PATH", "PKG_CONFIG_PATH", "COUCHDROP_LIBRARY", "STAGE", "MAKE", "MFLAGS")
    shell = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    shell.update(GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local", GOWORK="off")
    package = f"{ROOT}/bindings/python"
    installed = {**shell, "PKG_CONFIG_PATH": f"{STAGE}/lib/pkgconfig", "LD_LIBRARY_PATH": f"{STAGE}/lib"}
    installed.update(PYTHONPATH=package, MYPYPATH=package, PYTHONDONTWRITEBYTECODE="1")
    return shell, installed


def build_c(block, folder, env):
    flags = run(["pkg-config", "--cflags", "--libs", "couchdrop", "libcurl", "jansson"], folder, env).split()
    source = f"{block.name}.{block.language}"
    (folder / source).write_text(f'#line {block.line} "{block.page}"\n{block.code}', encoding="utf-8")
    cpp = ["g++", "-std=c++20" if "<stop_token>" in block.code else "-std=c++17"]
    compiler = ["gcc", "-std=gnu99"] if block.language == "c" else cpp
    output = ["-o", block.name] if block.is_program else ["-c"]
    run([*compiler, *WARNINGS, *output, source, *flags], folder, env)


def build_go(blocks, folder, env):
    """Builds the blocks as the packages of one module."""
    module = folder / "go"
    for block in blocks:
        (module / block.name).mkdir(parents=True)
        source = f"//line {block.where}\n{block.code}"
        (module / block.name / "block.go").write_text(source, encoding="utf-8")
    (module / "go.mod").write_text(GO_MOD)
    run(["go", "vet", "./..."], module, env)
    for block in [block for block in blocks if block.is_program]:
        run(["go", "build", "-o", folder / block.name, f"./{block.name}"], module, env)


def check_python(blocks, folder, env, mypy):
    for block in blocks:
        source = "\n" * (block.line - 1) + block.code
        (folder / f"{block.name}.py").write_text(source, encoding="utf-8")
    options = ["--check-untyped-defs", f"--cache-dir={ROOT}/target/tools-test/caches/mypy-docs"]
    options += [f"--disable-error-code={code}" for code in ("import-not-found", "import-untyped")]
    run([mypy, *options, *sorted(folder.glob("*.py"))], folder, env)


def run_program(block, folder, env):
    command = [folder / block.name]
    if block.language == "python":
        command = [sys.executable, "-W", "error", folder / f"{block.name}.py"]
    output = run(command, folder, env)
    if TOKEN.search(output) or os.environ["COUCHDROP_PASSWORD"] in output:
        raise Failure("prints a token or the password")


def run_session(blocks, saved, folder, env):
    """Runs the shell blocks of a page in one bash. Its folder has links to the files of the clone."""
    clone = folder / "sessions" / blocks[0].name / "libcouchdrop"
    clone.mkdir(parents=True)
    files = run(["git", "ls-files"], ROOT, env).splitlines()
    for entry in {name.split("/")[0] for name in files} | {"target"}:
        (clone / entry).symlink_to(ROOT / entry)
    for block in saved:
        (clone / block.saved_as).write_text(block.code, encoding="utf-8")
    # In a folder of links, cargo would see another project and rebuild everything.
    make = f"make() {{ command make -C '{ROOT}' \"$@\"; }}\n"
    script = make + "".join(block.code for block in blocks)
    run(["bash", "-eux", "-o", "pipefail", "-c", script], clone, env)


def unknown_names(pages):
    """C names and paths that do not exist, and codes that the page of all codes does not have."""
    header = (ROOT / "include/couchdrop.h").read_text(encoding="utf-8")
    known = set(re.findall(r"\b(?:cd|CD)_\w+", header))
    for page in pages:
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in sorted(set(re.findall(r"\b(?:cd_\w*[a-z0-9]|CD_\w*[A-Z0-9])\b", text)) - known):
            yield f"{page}: {name} is not in couchdrop.h"
        for path in re.findall(r"`((?:bindings|docs|scripts|src|tests)/[\w./-]+\.[a-z]+)`", text):
            if not (ROOT / path).exists():
                yield f"{page}: there is no {path}"
    table = (ROOT / "docs/guides/errors.md").read_text(encoding="utf-8")
    for code, number in re.findall(r"^ *(CD_ERR_\w+) = (\d+)", header, re.M):
        if f"| {number} | `{code}` |" not in table:
            yield f"docs/guides/errors.md: the table lacks {number} `{code}`"


def in_parallel(jobs):
    """Calls (place, function, argument...) and returns the failures."""

    def attempt(job):
        where, function, *arguments = job
        try:
            function(*arguments)
        except (Failure, subprocess.TimeoutExpired) as failure:
            return f"{where}: {failure}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [problem for problem in pool.map(attempt, jobs) if problem]


def main():
    mypy, *pages = sys.argv[1:]
    shell, installed = environments()
    pages = pages or run(["git", "ls-files", "*.md"], ROOT, shell).splitlines()
    blocks = [block for page in pages for block in blocks_of(page)]
    of = {language: [block for block in blocks if block.language == language] for language in CHECKED}
    programs = [block for block in blocks if block.language in CHECKED - {"sh"} and block.is_program]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        jobs = [("Go", build_go, of["go"], folder, installed)] if of["go"] else []
        jobs += [("Python", check_python, of["python"], folder, installed, mypy)] if of["python"] else []
        jobs += [(block.where, build_c, block, folder, installed) for block in of["c"] + of["cpp"]]
        problems = list(unknown_names(pages)) + in_parallel(jobs)
        jobs = [(block.where, run_program, block, folder, installed) for block in programs]
        for page in sorted({block.page for block in of["sh"]}):
            shells = [block for block in of["sh"] if block.page == page]
            saved = [block for block in blocks if block.page == page and block.saved_as]
            jobs.append((page, run_session, shells, saved, folder, shell))
        problems += [] if problems else in_parallel(jobs)
    print(*problems, f"{len(pages)} pages, {len(blocks)} blocks, {len(jobs)} programs and shells", sep="\n")
    return 1 if problems or not blocks else 0


if __name__ == "__main__":
    sys.exit(main())
