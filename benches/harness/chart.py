"""Charts of bars as SVG: one colour for the library, grey for all else, both legible on white and on black."""

import collections
import os
from xml.sax.saxutils import escape

from . import places

# Each has a contrast of 4.5 or more with white and with black.
GREY, OURS, FAINT = "#767676", "#0a7cc4", "#8a8a8a"
LABEL, BARS, VALUE, ROW, HEADING, GAP = 190, 400, 150, 20, 28, 12

Panel = collections.namedtuple("Panel", "heading rows")
# `low` and `high` are the ends of a line across the end of the bar; None: no line. `text` is what stands beside it.
Row = collections.namedtuple("Row", "label value low high text is_ours")


def _text(x, y, text, anchor="start", fill=GREY, weight="normal"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{escape(text)}</text>'


def _line(x1, x2, y):
    return f'<path d="M{x1:.1f} {y:.1f}H{x2:.1f}M{x1:.1f} {y - 3:.1f}v6M{x2:.1f} {y - 3:.1f}v6" stroke="{FAINT}" fill="none"/>'


def _panel(panel, y):
    parts = [_text(0, y + 16, panel.heading, weight="bold")]
    y += HEADING
    most = max(max(row.value, row.high or 0) for row in panel.rows)
    scale = BARS / most if most else 0
    for row in panel.rows:
        fill = OURS if row.is_ours else GREY
        weight = "bold" if row.is_ours else "normal"
        length = max(1, row.value * scale)
        parts.append(_text(LABEL - 8, y + 14, row.label, "end", fill, weight))
        parts.append(f'<rect x="{LABEL}" y="{y + 3}" width="{length:.1f}" height="{ROW - 6}" fill="{fill}"/>')
        end = length
        if row.low is not None:
            parts.append(_line(LABEL + row.low * scale, LABEL + row.high * scale, y + ROW / 2))
            end = max(length, row.high * scale)
        parts.append(_text(LABEL + end + 6, y + 14, row.text, fill=fill, weight=weight))
        y += ROW
    return parts, y + GAP


def write(name, title, panels):
    """Writes a chart; returns what shows it in Markdown."""
    parts, y = [], 0
    for panel in panels:
        more, y = _panel(panel, y)
        parts += more
    width = LABEL + BARS + VALUE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" role="img"',
        f'  font-family="system-ui, sans-serif" font-size="13"><title>{escape(title)}</title>',
        *parts,
        "</svg>",
    ]
    os.makedirs(places.CHARTS, exist_ok=True)
    with open(os.path.join(places.CHARTS, f"{name}.svg"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return f"![{title}](performance/{name}.svg)"
