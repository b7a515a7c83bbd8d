"""Checks couchdrop.hpp against couchdrop.h: header.py

The C++ header must cover the C interface. Each function is used, or left out for a reason. Each option has its two
setters, and each named number its enumerator. header.cpp checks the codes. COUCHDROP_HEADER names another header to
check against.
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

UNUSED = {
    "cd_authenticate": "cd_authenticate_with does more",
    "cd_error_code": "the call returned it",
    "cd_version": "C's own will do",
    "cd_version_number": "C's own will do",
    "cd_abi_version": "the name of the library tells the same",
}


def read(path):
    """A source without its comments."""
    with open(path, encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/|//[^\n]*", "", file.read(), flags=re.DOTALL)


def problems():
    header = read(os.environ.get("COUCHDROP_HEADER", os.path.join(ROOT, "include", "couchdrop.h")))
    binding = read(os.path.join(ROOT, "bindings", "cpp", "couchdrop.hpp"))

    functions = re.findall(r"\b(cd_[a-z0-9_]+)\((?!\))", header)
    if len(functions) < 35:
        yield f"only {len(functions)} functions in the header"
    for name in sorted({*functions, *UNUSED}):
        if name not in functions:
            yield f"{name} is not in the header"
        if bool(re.search(rf"\b{name}\b", binding)) == (name in UNUSED):
            yield f"{name} is {'both used and listed as unused' if name in UNUSED else 'not used'}"

    for option in re.findall(r"\bcd_options_set_([a-z0-9_]+?)(?:_ms)?\(", header):
        for result, on in ("Options &", "&"), ("Options ", "&&"):
            if not re.search(rf"\b{result}{option}\([^{{;]*\) {on} {{", binding):
                yield f"there is no {result.strip()} {option}(…) {on}"

    for number in re.findall(r"#define (CD_[A-Z0-9_]+) \d", header):
        if not re.search(rf" = {number},", binding):
            yield f"{number} is no enumerator"


def main():
    found = list(problems())
    for problem in found:
        print(f"couchdrop.hpp: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
