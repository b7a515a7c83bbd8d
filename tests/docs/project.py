"""The names that the documentation may mention, from the sources: functions, targets, options, packages."""

import inspect
import re
import subprocess
import sys
from functools import cached_property

from page import ROOT


def _read(path):
    return (ROOT / path).read_text(encoding="utf-8")


class Project:
    """`fake_server` is the program; `environment` is one that finds the library and its package."""

    def __init__(self, fake_server, environment):
        self._fake_server = fake_server
        self._environment = environment

    @cached_property
    def files(self):
        """The paths of all files that git tracks or would add."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]

    @cached_property
    def sources(self):
        """The text of all files except the documentation and its tests."""
        texts = []
        for name in self.files:
            if not name.endswith((".md", ".svg", ".lock")) and not name.startswith(
                ("tests/docs/", "fuzz/corpus/", "tests/corpus/")
            ):
                try:
                    texts.append((ROOT / name).read_text(encoding="utf-8"))
                except UnicodeDecodeError:
                    pass
        return "\n".join(texts)

    @cached_property
    def words(self):
        """The identifiers in the sources."""
        return set(re.findall(r"\w+", self.sources))

    @cached_property
    def top(self):
        """The first components of paths."""
        return {name.split("/")[0] for name in self.files if "/" in name}

    # The interfaces.

    @cached_property
    def c_names(self):
        return set(re.findall(r"\b(?:cd|CD|COUCHDROP)_\w+", _read("include/couchdrop.h")))

    @cached_property
    def codes(self):
        """The codes of the header by name."""
        values = re.findall(r"^\s+(CD_(?:OK|ERR_\w+)) = (\d+)", _read("include/couchdrop.h"), re.M)
        return {name: int(value) for name, value in values}

    @cached_property
    def variables(self):
        """The COUCHDROP_… names in the sources: environment variables, macros of the C++ header."""
        return set(re.findall(r"\bCOUCHDROP_\w+", self.sources))

    @cached_property
    def cpp_names(self):
        cmake = "".join(_read(name) for name in self.files if name.startswith("packaging/cmake/"))
        targets = re.findall(r"couchdrop::(\w+)", cmake)
        return set(targets) | set(re.findall(r"\w+", _read("bindings/cpp/couchdrop.hpp")))

    @cached_property
    def python(self):
        """The imported package."""
        sys.path.insert(0, str(ROOT / "bindings/python"))
        import couchdrop

        return couchdrop

    def python_has(self, dotted):
        """True if `couchdrop.a.b` exists."""
        value = self.python
        for name in dotted.split("."):
            if name in getattr(value, "__annotations__", {}):
                return True
            try:
                value = inspect.getattr_static(value, name)
            except AttributeError:
                return False
        return True

    @cached_property
    def go_names(self):
        """The names that the Go package exports; methods as Type.Method and fields as Type.Field."""
        command = ["go", "doc", "-all", "."]
        text = subprocess.run(
            command,
            cwd=ROOT / "bindings/go",
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        names = set()
        for receiver, name in re.findall(r"^func (?:\(\w* ?\*?(\w+)\) )?([A-Z]\w*)", text, re.M):
            names.add(f"{receiver}.{name}" if receiver else name)
        for name, body in re.findall(r"^type ([A-Z]\w*)(?: struct \{(.*?)^\})?", text, re.M | re.S):
            names.add(name)
            names.update(f"{name}.{member}" for member in re.findall(r"^\t([A-Z]\w*)\b", body, re.M))
        names.update(re.findall(r"^(?:\t|const |var )([A-Z]\w*) +(?:[\w.]+ +)?=", text, re.M))
        return names

    @cached_property
    def go_tags(self):
        return set(
            re.findall(
                r"\bcouchdrop_\w+", "".join(_read(name) for name in self.files if name.endswith(".go"))
            )
        )

    # Commands.

    @cached_property
    def targets(self):
        makefile = _read("Makefile")
        named = {
            name for line in re.findall(r"^([a-z][\w -]*):(?!=)", makefile, re.M) for name in line.split()
        }
        for kind in re.findall(r"^([a-z]+-)%:", makefile, re.M):
            folder = ROOT / f"scripts/{kind[:-1]}.d"
            named.update(kind + step.name for step in folder.iterdir())
            # As in `make test-STEP`.
            named.add(kind + "STEP")
        return named

    @cached_property
    def settings(self):
        """The variables that make or its commands read."""
        return set(re.findall(r"\b[A-Z][A-Z_]+\b", _read("Makefile") + _read("benches/run.py")))

    @cached_property
    def crates(self):
        manifests = [name for name in self.files if name.endswith("Cargo.toml")]
        return {name for path in manifests for name in re.findall(r'^name = "([^"]+)"', _read(path), re.M)}

    @cached_property
    def rust_tests(self):
        """The tests for `cargo test --test`."""
        return {name[6:-3] for name in self.files if re.fullmatch(r"tests/\w+\.rs", name)}

    @cached_property
    def fake_server_options(self):
        return _options([self._fake_server, "--help"], self._environment)

    @cached_property
    def accounts(self):
        """The user names of the fake server, and their parts before the @."""
        names = re.findall(r'"(\S+@example\.com)"', _read("tests/fake_server/src/accounts.rs"))
        return set(names) | {name.split("@")[0] for name in names}

    @cached_property
    def module_options(self):
        """The options of `python -m couchdrop`."""
        command = [sys.executable, "-m", "couchdrop"]
        found = _options([*command, "--help"], self._environment)
        return found | _options([*command, "login", "--help"], self._environment)

    @cached_property
    def promises(self):
        """The text of the interfaces (headers, manual page, packages), for numbers with a unit."""
        names = ["include/couchdrop.h", "bindings/cpp/couchdrop.hpp", "packaging/libcouchdrop.3"]
        names += [name for name in self.files if re.fullmatch(r"bindings/python/couchdrop/\w+\.py", name)]
        names += [name for name in self.files if re.fullmatch(r"bindings/go/\w+(?<!_test)\.go", name)]
        text = "\n".join(_read(name) for name in names)
        return " ".join(re.sub(r"^\s*(?:\*|//+|#)", " ", text, flags=re.M).split())


def _options(command, environment):
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))
