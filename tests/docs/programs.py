"""Compiles blocks of C, C++, Python and Go with warnings as errors, and runs them with the fake server in the service's
place."""

import ast
import builtins
import hashlib
import inspect
import os
import re
import shutil
import symtable
import sys
import tempfile
from pathlib import Path

from page import ROOT
from work import run

HERE = Path(__file__).parent
_KINDS = ("fragment", "unit", "compare", "shown", "save")
_WORDS = {"account", "exit", "says", "with", "std", "file", *_KINDS}
# The format of the fake server's tokens.
_TOKEN = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_GCC = ["-Wall", "-Wextra", "-Werror", "-O1", "-pthread"]
# A fragment may leave values unused, for the reader to use.
_UNUSED = [
    "-Wno-unused-parameter",
    "-Wno-unused-variable",
    "-Wno-unused-but-set-variable",
    "-Wno-unused-function",
]


class Wrong(Exception):
    """A fault of a block."""


class Skipped(Exception):
    """A tool that is missing here and that a block needs."""


def languages():
    return _COMPILERS.keys()


def check(block, world):
    """Compiles a block and, if it is a program, runs it."""
    kind = _kind(block)
    if kind in ("shown", "save"):
        return
    command = _COMPILERS[block.language](block, kind, world)
    if kind == "program":
        _run(block, command, world)


def _kind(block):
    words = block.words
    unknown = set(words) - _WORDS
    if unknown:
        raise Wrong(f"no such word: {', '.join(sorted(unknown))} (docs/WRITING.md has all)")
    kinds = [kind for kind in _KINDS if kind in words]
    if len(kinds) > 1:
        raise Wrong(f"can't be both {' and '.join(kinds)}")
    if words.get("shown") is True:
        raise Wrong('shown="…" needs the reason')
    if kinds and words.keys() & {"account", "exit", "says"}:
        raise Wrong(f"a block with {kinds[0]} is not run")
    return kinds[0] if kinds else "program"


def _run(block, command, world):
    account = block.words.get("account", "ada")
    if account == "nobody":
        arguments = ["env", "COUCHDROP_USERNAME=nobody@example.com", f"COUCHDROP_PASSWORD={world.password}"]
    else:
        arguments = ["--account", account]
    with tempfile.TemporaryDirectory() as folder:
        ended = run(
            [world.fake_server, "run", "--as-service", *arguments, *command], cwd=folder, env=world.reader
        )
    expect(block.words, ended)
    if _TOKEN.search(ended.output) or world.password in ended.output:
        raise Wrong("it prints a password or a token")


def expect(words, ended):
    """Checks that the result of a run agrees with the block's words."""
    wanted = int(words.get("exit", 0))
    if ended.status != wanted:
        raise Wrong(f"ended with status {ended.status} in place of {wanted}:\n{ended.output}")
    for text in words.get("says", []):
        if text not in ended.output:
            raise Wrong(f"does not say {text!r}, but:\n{ended.output}")


def _insert(name, block, marks):
    """The template with each mark's line replaced."""
    lines = []
    for line in (HERE / name).read_text(encoding="utf-8").split("\n"):
        mark = re.fullmatch(r"\s*(?://|/\*|#) ([A-Z]{4,})(?: \*/)?", line)
        lines.append(marks[mark[1]] if mark else line)
    return "\n".join(lines)


def _hoist(code, pattern):
    """The leading lines that match, and the rest with as many empty lines before it."""
    lines = code.split("\n")
    count = 0
    while count < len(lines) and (re.match(pattern, lines[count]) or not lines[count].strip()):
        count += 1
    return "\n".join(lines[:count]), "\n" * count + "\n".join(lines[count:])


def _built(world, name, parts, build):
    """The folder with the files that `build` made from these parts, in this run or an earlier one."""
    key = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]
    folder = world.cache / f"{name}-{key}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(folder)
        (folder / "done").touch()
    os.utime(folder)
    return folder


def _must(ended):
    if ended.status:
        raise Wrong(f"does not compile:\n{ended.output}")


def _c(block, kind, world, compiler="gcc", suffix="c", standard="gnu99"):
    packages = ["couchdrop", *filter(None, str(block.words.get("with", "")).split(","))]
    flags = {}
    for what in ("--cflags", "--libs"):
        asked = run(["pkg-config", what, *packages], env=world.project)
        if asked.status and kind == "compare":
            raise Skipped(f"{' or '.join(packages[1:])} is not installed")
        _must(asked)
        flags[what] = asked.output.split()
    place = f'#line {block.line} "{block.page.name}"\n'
    source = place + block.code
    options = [*_GCC, f"-std={block.words.get('std', standard)}"]
    if kind == "fragment":
        includes, code = _hoist(block.code, r"#include\b")
        source = _insert(
            f"fragment.{suffix}", block, {"INCLUDES": place + includes, "FRAGMENT": place + code}
        )
        options += _UNUSED
    elif kind == "program":
        options.append("-pedantic")

    def build(folder):
        (folder / f"block.{suffix}").write_text(source, encoding="utf-8")
        compile_only = [] if kind == "program" else ["-c"]
        libraries = flags["--libs"] if kind == "program" else []
        command = [
            compiler,
            *options,
            *compile_only,
            "-o",
            "block",
            f"block.{suffix}",
            *flags["--cflags"],
            *libraries,
        ]
        _must(run(command, cwd=folder, env=world.project))

    return [_built(world, suffix, [source, options, flags, world.headers], build) / "block"]


def _cpp(block, kind, world):
    return _c(block, kind, world, "g++", "cpp", "c++17")


def _python(block, kind, world):
    source = "\n" * (block.line - 1) + block.code
    whole = source
    if kind == "fragment":
        whole = _insert("fragment.py", block, {"FRAGMENT": re.sub(r"^(?=.)", "    ", block.code, flags=re.M)})
    try:
        tree = ast.parse(whole, block.page.name)
        table = symtable.symtable(whole, block.page.name, "exec")
    except SyntaxError as error:
        raise Wrong(f"is no Python: {error}") from None
    _names(table, {*vars(builtins), "__file__", "__name__"})
    _calls(tree, world.facts.python)
    with tempfile.NamedTemporaryFile(
        "w", suffix=".py", delete=False, dir=world.scratch, encoding="utf-8"
    ) as file:
        file.write(source)
    return [sys.executable, "-W", "error", file.name]


def _names(table, known):
    """Checks that every name in use is defined."""
    known = known | {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }

    def look(scope):
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and symbol.is_global() and symbol.get_name() not in known:
                raise Wrong(f"nothing defines {symbol.get_name()}")
        for inner in scope.get_children():
            look(inner)

    look(table)
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.get_name() not in known:
            raise Wrong(f"nothing defines {symbol.get_name()}")


def _calls(tree, package):
    """Checks that `couchdrop.name` exists, and accepts the keywords of its calls."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == package.__name__
        ):
            if not hasattr(package, node.attr):
                raise Wrong(f"the package has no {package.__name__}.{node.attr}")
        if isinstance(node, ast.Call):
            called = _called(node.func, package)
            parameters = inspect.signature(called).parameters if called else {}
            if called and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
                for keyword in node.keywords:
                    if keyword.arg and keyword.arg not in parameters:
                        raise Wrong(f"{ast.unparse(node.func)} takes no {keyword.arg}")


def _called(function, package):
    """The function that `couchdrop.name(…)` or `client.name(…)` calls."""
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return None
    owner = {package.__name__: package, "client": package.Client}.get(function.value.id)
    return getattr(owner, function.attr, None) if owner else None


def _go(block, kind, world):
    if "with" in block.words:
        raise Wrong("a block of Go takes the standard library and the package alone")
    place = f"//line {block.page.name}:{block.line}\n"
    code = block.code
    if kind == "fragment":
        imports, code = _hoist(code, r"import \"")
        # A fragment may leave declared names unused, for the reader to use.
        declared = re.findall(r"^(\w+(?:, \w+)*) :=", code, re.M)
        used = "".join(f"\n_ = {name}" for names in declared for name in names.split(", ") if name != "_")
        source = _insert("fragment.go", block, {"IMPORTS": place + imports, "FRAGMENT": place + code + used})
    else:
        source = place + (code if re.search(r"^package ", code, re.M) else "package fragment\n" + code)
    name = "block_test.go" if re.search(r"\bfunc Test\w+\(", code) else "block.go"

    def build(folder):
        (folder / name).write_text(source, encoding="utf-8")
        (folder / "go.mod").write_text(
            "module block\n\ngo 1.19\n\nrequire libcouchdrop.invalid/couchdrop v0.0.0\n\n"
            f"replace libcouchdrop.invalid/couchdrop => {ROOT}/bindings/go\n"
        )
        _must(run(["go", "vet", "."], cwd=folder, env=world.project))
        if kind == "program":
            _must(run(["go", "build", "-o", "block", "."], cwd=folder, env=world.project))

    return [_built(world, "go", [source, world.go], build) / "block"]


_COMPILERS = {"c": _c, "cpp": _cpp, "python": _python, "go": _go}
