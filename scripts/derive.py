"""Writes the files that follow from the C header: derive.py HEADER FOLDER

FOLDER gets the list of exports, Debian's symbols file, and the table of options for the conformance runners, each at its
path in the repository. `make header` copies them, and `make test-lib` compares them with the committed ones.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SYMBOLS = "packaging/debian/libcouchdrop1.symbols"

# The kind of an option by the types of its values. A name that ends in _ms is one of the durations.
KINDS = {("const char *",): "TEXT", ("int32_t",): "NUMBER", ("uint32_t",): "NUMBER", ("size_t",): "NUMBER"}
DURATIONS = {("uint32_t",): "DURATION", ("uint32_t", "uint32_t"): "DURATIONS"}
# The options that no case can set.
NOT_IN_CASES = {
    "logger": "a function; each binding has its own tests of it",
    "environment": "Python and Go set it from the environment of the process, which the cases set",
}

TABLE = """\
/*
 * The options that a case can set, for all runners: the setter's name without _ms, and for a number its type in C.
 * DURATION is a number of milliseconds, DURATIONS are two.
 *
 * Generated from include/couchdrop.h: do not edit; run `make header`.
 */
"""


def functions(header):
    """The parameters of each function as text, by name."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*|^#[^\n]*", "", header, flags=re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"\b(cd_\w+)\(([^()]*)\);", code))


def symbols(names, version):
    """Debian's symbols file: a function that it does not have yet is new in this version."""
    old = (ROOT / SYMBOLS).read_text(encoding="ascii").splitlines()
    first = dict(re.findall(r"^ (cd_\w+)@Base (\S+)$", "\n".join(old), re.MULTILINE))
    head = [line for line in old if not line.startswith(" ")]
    return "\n".join([*head, *(f" {name}@Base {first.get(name, version)}" for name in names), ""])


def options(declared):
    """The table of options, in the order of the header."""
    lines = []
    for function, parameters in declared.items():
        name = re.sub("^cd_options_set_", "", function)
        if name == function or name in NOT_IN_CASES:
            continue
        types = tuple(re.sub(r"\w+$", "", " ".join(part.split())).strip() for part in parameters.split(",")[1:-1])
        kind = (DURATIONS if name.endswith("_ms") else KINDS).get(types)
        if kind is None:
            raise SystemExit(f"derive: {function} is an option of no known kind: add it to KINDS or NOT_IN_CASES")
        value = f", {types[0]}" if kind == "NUMBER" else ""
        lines.append(f"{kind}({re.sub('_ms$', '', name)}{value})")
    return TABLE + "\n".join([*lines, ""])


def main():
    header, folder = map(pathlib.Path, sys.argv[1:])
    text = header.read_text(encoding="utf-8")
    declared = functions(text)
    names = sorted(declared)
    version = re.search(r'^#define COUCHDROP_VERSION "(.*)"$', text, re.MULTILINE).group(1)
    for path, content in [
        ("abi/exports.txt", "".join(f"{name}\n" for name in names)),
        (SYMBOLS, symbols(names, version)),
        ("tests/conformance/options.def", options(declared)),
    ]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
