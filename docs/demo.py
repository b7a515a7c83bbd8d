"""Draws docs/demo.svg, a terminal with the output of `make demo`: make demo | demo.py [--check]

--check compares and writes nothing. The examples print four characters of each token, which differ from run to run:
the picture has dots instead.
"""

import re
import sys
from html import escape
from pathlib import Path

PICTURE = Path(__file__).resolve().with_suffix(".svg")

# The terminal has its own colours, so it looks the same on white and on black.
COLUMNS, LINE, CHARACTER = 100, 17, 7.23
SCREEN, EDGE, PLAIN, DIM = "#1f2430", "#767676", "#d8dee9", "#9aa5b8"
COLOURS = [
    (r"\$ |\S+ \(examples/|\d+ of \d+ ", "#ffffff"),
    (r" +logged in:", "#8fce8f"),
    (r" +login failed:", "#f0a070"),
    (r"  \S", "#88c0d0"),
]


def shown(output):
    """The whole output of the first language, the names of the others, and the summary."""
    output = re.sub(r"token [0-9a-f]{4}\.\.\.", "token ····...", output)
    start = output.index("\nC (examples/") + 1
    end = re.search(r"^\d+ of \d+ logins ended as expected$", output, re.M)
    first, *others = output[start : end.start()].rstrip().split("\n\n")
    lines = ["$ make demo", "…", *first.split("\n"), ""]
    for other in others:
        lines += [other.split("\n")[0], f"  … {count(other)} logins more", ""]
    return [line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…" for line in [*lines, end[0]]]


def count(language):
    return sum(line.startswith("  ") and line[2] != " " for line in language.split("\n"))


def draw(lines):
    width, height = round(COLUMNS * CHARACTER + 32), len(lines) * LINE + 24
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        '  role="img" font-family="ui-monospace, \'DejaVu Sans Mono\', monospace" font-size="12"><title>make demo</title>',
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6" fill="{SCREEN}" stroke="{EDGE}"/>',
    ]
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        colour = next((colour for pattern, colour in COLOURS if re.match(pattern, line)), DIM)
        indent = len(line) - len(line.lstrip())
        x, y = round(16 + indent * CHARACTER, 1), 12 + number * LINE + 12
        # Fixes the width of the characters, independent of the font.
        length = round((len(line) - indent) * CHARACTER, 1)
        out.append(
            f'<text x="{x}" y="{y}" fill="{colour}" textLength="{length}" lengthAdjust="spacingAndGlyphs">'
            f"{escape(line.strip())}</text>"
        )
    return "\n".join(out) + "\n</svg>\n"


def main():
    picture = draw(shown(sys.stdin.read()))
    if sys.argv[1:] != ["--check"]:
        PICTURE.write_text(picture, encoding="utf-8")
    elif PICTURE.read_text(encoding="utf-8") != picture:
        sys.exit("docs/demo.svg is stale: make pictures")


if __name__ == "__main__":
    main()
