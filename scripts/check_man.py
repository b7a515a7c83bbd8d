"""Compares packaging/libcouchdrop.3 with include/couchdrop.h: prototypes, codes, macros. Compiles its programs."""

import os
import re
import subprocess
import sys

problems = []


def words(prototype):
    """A prototype with normalised white space, for comparison."""
    return re.sub(r"\s*([*(),])\s*", r"\1", " ".join(prototype.split()))


def header_functions(header):
    """The prototypes in the header, by name."""
    code = re.sub(r"/\*.*?\*/|^\s*#.*?$", "", header, flags=re.S | re.M).replace("COUCHDROP_NODISCARD", "")
    declared = re.findall(r"^\s*((?:\w+ )+\**)(cd_\w+)\(([^)]*)\);", code, re.M)
    return {name: words(f"{result}{name}({arguments})") for result, name, arguments in declared}


def page_functions(page):
    """The prototypes in the page's synopsis, which has a function in one line (.Fn) or in several (.Fo to .Fc)."""
    functions = {}
    result = arguments = name = ""
    for line in page.split(".Sh SYNOPSIS")[1].split(".Sh ")[0].split("\n"):
        macro, _, rest = line.partition(" ")
        rest = re.findall(r'"([^"]*)"|(\S+)', rest)
        rest = [quoted or bare for quoted, bare in rest]
        if macro == ".Ft":
            result = " ".join(rest)
        elif macro == ".Fo":
            name, arguments = rest[0], []
        elif macro == ".Fa":
            arguments += rest
        elif macro == ".Fn":
            functions[rest[0]] = words(f"{result} {rest[0]}({','.join(rest[1:])})")
        elif macro == ".Fc":
            functions[name] = words(f"{result} {name}({','.join(arguments)})")
    return functions


def compare(what, wanted, found):
    """Reports names that one side lacks, and prototypes that differ."""
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            problems.append(f"{what} {name}: the header has {wanted.get(name)}, the page {found.get(name)}")


def main():
    with open("include/couchdrop.h", encoding="utf-8") as file:
        header = file.read()
    with open("packaging/libcouchdrop.3", encoding="utf-8") as file:
        page = file.read()
    with open("abi/exports.txt", encoding="utf-8") as file:
        exports = file.read().split()

    functions = page_functions(page)
    compare("function", header_functions(header), {n: f for n, f in functions.items() if n.startswith("cd_")})
    compare("export", dict.fromkeys(exports, ""), dict.fromkeys((n for n in functions if n.startswith("cd_")), ""))
    # Each function is also described in the text.
    described = re.findall(r"^\.(?:It |Pq )?Fn (cd_\w+)", page.split(".Sh DESCRIPTION")[1], re.M)
    compare("description of", dict.fromkeys(exports, ""), dict.fromkeys(described, ""))

    codes = dict(re.findall(r"^ +(CD_ERR_\w+) = (\d+)", header, re.M))
    compare("code", codes, dict(re.findall(r"^\.It Bq Dv (CD_ERR_\w+) , No (\d+)$", page, re.M)))
    names = re.findall(r"^#define ((?:CD|COUCHDROP)_\w+) ", header, re.M)
    for name in names + re.findall(r"\b(cd_\w+_fn)\b", header):
        if not re.search(rf"\b{name}\b", page):
            problems.append(f"{name} is not in the page")

    programs = re.findall(r"^\.Bd -literal.*?\n(#include.*?)^\.Ed", page, re.M | re.S)
    for program in programs:
        compiler = [os.environ.get("CC", "cc"), "-std=c99", "-Wall", "-Wextra", "-Werror", "-Iinclude"]
        compiled = subprocess.run(
            [*compiler, "-fsyntax-only", "-x", "c", "-"],
            input=program.replace("\\e", "\\"), capture_output=True, text=True, check=False,
        )
        if compiled.returncode:
            problems.append(f"a program does not compile:\n{compiled.stderr}")

    for problem in problems:
        print(f"libcouchdrop.3: {problem}")
    counts = f"{len(exports)} functions, {len(codes)} codes, {len(programs)} programs"
    print(f"libcouchdrop.3: {counts}")
    return bool(problems) or not (exports and codes and programs)


if __name__ == "__main__":
    sys.exit(main())
