"""Names of the interfaces, paths, commands and numbers of codes in the text must exist in the project."""

import builtins
import inspect
import re

import shell
from page import ROOT

# In addition to the variables that the documentation defines.
_STANDARD = {"COUCHDROP_USERNAME", "COUCHDROP_PASSWORD"}


def check(page, project):
    _names(page, project)
    _table_of_codes(page, project)
    language = re.match(r"(?:bindings|examples)/(python|go)/", page.name)
    for line, code in page.inline_code():
        _interfaces(page, line, code, project, language and language[1])
        _path(page, line, code, project)
        _test_name(page, line, code, project)
        command = shell.looks_like(code, project)
        if command:
            for problem in shell.problems(code, project):
                page.complain(line, problem)


def _names(page, project):
    """CD_…, cd_… and COUCHDROP_… anywhere on the page; `cd_options_set_…` and `CD_ERR_*` are prefixes."""
    known = project.c_names | project.variables | _STANDARD
    for number, line in enumerate(page.text.split("\n"), 1):
        for match in re.finditer(r"(?<![\w-])((?:CD|cd|COUCHDROP)_\w*)(\*|…)?", line):
            name, cut = match[1], match[2]
            if not (any(one.startswith(name) for one in known) if cut else name in known):
                page.complain(number, f"there is no {match[0]}")


def _table_of_codes(page, project):
    """A number and a name of a code in one row of a table must belong to the same code; a long table must have all
    codes."""
    listed = set()
    for number, line in enumerate(page.prose.split("\n"), 1):
        row = re.match(r"\| *(\d{4}) *\| *`(CD_ERR_\w+)`", line)
        if row:
            listed.add(row[2])
            if project.codes.get(row[2], int(row[1])) != int(row[1]):
                page.complain(number, f"{row[2]} is {project.codes[row[2]]}, not {row[1]}")
            last = number
    missing = project.codes.keys() - listed - {"CD_OK"}
    if len(listed) >= 10 and missing:
        page.complain(last, f"the table lacks {', '.join(sorted(missing))}")


def _interfaces(page, line, code, project, language):
    for dotted in re.findall(r"\bcouchdrop\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", code):
        if dotted.split(".")[0] in ("h", "hpp", "pc", "io", "test"):
            continue
        if not (project.python_has(dotted) or dotted in project.go_names):
            page.complain(line, f"neither the Python package nor the Go package has couchdrop.{dotted}")
    for name in re.findall(r"\bcouchdrop::(\w+)", code):
        if name not in project.cpp_names:
            page.complain(line, f"couchdrop.hpp has no couchdrop::{name}")
    keyword = re.fullmatch(r"([a-z_]+)=", code)
    if keyword and keyword[1] not in inspect.signature(project.python.Client).parameters:
        page.complain(line, f"a client in Python has no {keyword[1]}")
    word = re.fullmatch(r"([A-Z]\w*)(?:\(\))?", code)
    if not word:
        return
    name = word[1]
    if re.match(r"(Err|With|Code)[A-Z]", name) and name not in project.go_names:
        page.complain(line, f"the Go package has no {name}")
    is_python = language == "python" and re.search(r"[a-z]", name) or re.search(r"[a-z]Error$", name)
    known = (
        hasattr(builtins, name)
        or name in project.go_names
        or hasattr(project.python, name)
        or name in ("JSONDecodeError",)
    )
    if is_python and not known:
        page.complain(line, f"the Python package has no {name}")


def _test_name(page, line, code, project):
    """The name of a test, such as `redirect_is_not_followed` or `TestClose`, must be in the sources."""
    # Names there are of functions at the time of the measurement.
    if page.name == "docs/reliability.md":
        return
    if re.fullmatch(r"[a-z]+(_[a-z0-9]+){3,}|test_\w+|Test[A-Z]\w+", code) and code not in project.words:
        page.complain(line, f"there is no test {code}")


def _path(page, line, code, project):
    """A path that begins with a folder of the repository must exist there, beside the page, or among the installed
    files."""
    path = code.rstrip("/")
    if not re.fullmatch(r"\.{0,2}/?[\w.@-]+(/[\w.@*-]+)+", path):
        return
    first = path.lstrip("./").split("/")[0]
    if first == "target":
        if not re.search(rf"(?<![\w/]){re.escape(path)}(?![\w-])", project.sources):
            page.complain(line, f"nothing makes {code}")
        return
    # The last is a git tag, by which Go finds a module in a folder.
    if first not in project.top or re.search(r"/v\d+\.\d+\.\d+$", path):
        return
    places = [ROOT, (ROOT / page.name).parent, ROOT / "target/stage"]
    if not any(any(place.glob(path)) if "*" in path else (place / path).exists() for place in places):
        page.complain(line, f"there is no {code}")
