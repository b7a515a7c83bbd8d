"""Figures: the same number and unit must be in the interfaces, or a comment must name its source (docs/WRITING.md)."""

import re

from page import ROOT, Problem

_FIGURE = re.compile(r"<!-- figure: (.*?) -->(.*?)<!-- end -->", re.S)
_TABLE = re.compile(r"(<!-- table: (\w+)\n(.*?)-->\n)(.*?)(<!-- end -->)", re.S)
_UNIT = (
    r"(?:[nµm]s|s|seconds?|minutes?|hours?|days?|KiB|MiB|GiB|kB|KB|MB|GB|%|instructions|allocations|crates)"
)
_NUMBER = re.compile(rf"(?<![\w.,/-])(\d[\d,]*(?:\.\d+)?)[ \u00a0]?({_UNIT})(?![\w/])")
# The sources of figures: pages that the measuring commands write in full.
MEASURED = {"performance": "docs/performance.md", "reliability": "docs/reliability.md"}


def check(page, project):
    """Checks that every figure equals its source."""
    if page.name in MEASURED.values() or page.name in ("CHANGELOG.md", "docs/WRITING.md"):
        return
    # Blocks may show markers as examples, so only the prose is searched.
    prose = page.prose
    for match in [*_FIGURE.finditer(prose), *_TABLE.finditer(prose)]:
        line = page.line_of(match.start())
        try:
            new = _renewed(match)
        except Problem as problem:
            page.complain(line, str(problem))
        else:
            if new != match[0]:
                page.complain(line, f"is stale, `make figures` renews it: {new}")
    for match in re.finditer(r"<!-- (figure|table): ", prose):
        if not (_FIGURE if match[1] == "figure" else _TABLE).match(prose, match.start()):
            page.complain(page.line_of(match.start()), "a figure without its end")
    own = _TABLE.sub(_blank, _FIGURE.sub(_blank, prose))
    own = re.sub(r"<!--.*?-->", _blank, own, flags=re.S)
    # Code in the text is not searched for figures.
    for match in _NUMBER.finditer(re.sub(r"(`+)(.+?)\1", _blank, own)):
        if not re.search(rf"(?<![\w.,]){re.escape(match[1])} ?{match[2]}\b", project.promises):
            page.complain(
                page.line_of(match.start()), f"where does {match[0]} come from? (docs/WRITING.md, Figures)"
            )


def renew(page):
    """Returns the text of a page with all figures replaced by those of their sources."""
    text = page.text
    for pattern in (_FIGURE, _TABLE):
        # Not in the whole text, because blocks may show some.
        for match in pattern.finditer(page.prose):
            text = text.replace(match[0], _renewed(match))
    return text


def _blank(match):
    return re.sub(r"\S", " ", match[0])


def _renewed(match):
    if match.re is _FIGURE:
        return f"<!-- figure: {match[1]} -->{_source(match[1])}<!-- end -->"
    return match[1] + _table(match[2], match[3]) + match[5]


def _source(key):
    """Resolves a key such as `performance / Cold / libcouchdrop / wall` or `src/config.rs / (\\d+) retries`."""
    name, *rest = (part.strip() for part in key.split(" / "))
    if name in MEASURED:
        return _cell(name, *rest)
    pattern = " / ".join(rest)
    if not (ROOT / name).is_file():
        raise Problem(f"there is no {name}")
    found = re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M)
    if len(found) != 1 or not isinstance(found[0], str):
        raise Problem(f"{pattern} is {len(found)} times in {name}, or has not one group")
    return found[0]


def _table(name, rules):
    """Selects columns and rows by the rules: `rows: label = row; …`, and for each column `head: heading / column`."""
    rows, columns = [], []
    for line in filter(None, map(str.strip, rules.split("\n"))):
        head, _, rule = line.partition(": ")
        if head == "rows":
            rows = [[part.strip() for part in row.split("=")] for row in rule.split(";")]
        else:
            columns.append((head, [part.strip() for part in rule.split(" / ")]))
    lines = ["| | " + " | ".join(head for head, _ in columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for label, *row in rows:
        cells = []
        for _, (*headings, column) in columns:
            cells.append(_cell(name, *headings, (row or [label])[0], column))
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(name, *path):
    """A cell: heading, [first cell of the table's head,] beginning of the row, beginning of the column. In the table of
    reliability.md the heading is the step and the column `figure`; `measured` alone is the machine and the date."""
    text = (ROOT / MEASURED[name]).read_text(encoding="utf-8") if (ROOT / MEASURED[name]).exists() else ""
    if name == "performance" and path == ("measured",):
        found = re.findall(r"^Measured on (.*), with .*$", text, re.M)
        if len(found) != 1:
            raise Problem(f"{MEASURED[name]} does not say where and when it was measured")
        return found[0]
    key = " / ".join(path)
    if name == "reliability":
        step, what, column = path if len(path) == 3 else (*path, "figure")
        tables = [table for table in _tables(text) if table[0][:2] == ["step", "what"]]
        row = f"{step} {what}"
    elif len(path) in (3, 4):
        heading, *first, row, column = path
        sections = [
            part
            for part in re.split(r"^(?=#+ )", text, flags=re.M)
            if re.match(rf"#+ {re.escape(heading)}", part)
        ]
        tables = [table for section in sections for table in _tables(section)]
        tables = [table for table in tables if not first or table[0][0] == first[0]]
    else:
        raise Problem(f"{key}: needs a heading, a row and a column")
    found = []
    for head, *rows in tables:
        for cells in _named(row, {" ".join(filter(None, cells)): cells for cells in rows}):
            found += [cells[place] for place in _named(column, {cell: at for at, cell in enumerate(head)})]
    if len(found) != 1:
        raise Problem(f"{key} is {len(found)} times in {MEASURED[name]}")
    # The median, without the spread after it.
    return re.sub(r" \([^()]*–[^()]*\)$", "", found[0])


def _named(name, things):
    """The entries that begin with this name. An exact match, also of the first cell, precedes longer ones."""
    found = {key: thing for key, thing in things.items() if key.startswith(name)}
    exact = [
        thing for key, thing in found.items() if key == name or isinstance(thing, list) and thing[0] == name
    ]
    return exact or list(found.values())


def _tables(text):
    """The tables of a text, as lists of rows of cells, without the line below the head."""
    for block in re.findall(r"(?:^\|[^\n]*\n)+", text + "\n", re.M):
        rows = [
            [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.strip().split("\n")
        ]
        yield [rows[0], *rows[2:]]
