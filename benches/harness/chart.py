"""Bar charts as SVG: one colour for the library, grey for all others, legible on white and on black."""

import collections
import os
from xml.sax.saxutils import escape

from . import places

# Each has a contrast of 4.5 or more with white and with black.
GREY, OURS = "#767676", "#0079c1"
LABEL, BARS, VALUE, ROW, HEADING, GAP = 190, 400, 150, 20, 28, 12

Panel = collections.namedtuple("Panel", "heading rows")
# `low` and `high` are the ends of a line across the end of the bar, None for no line; `text` is drawn beside it.
Row = collections.namedtuple("Row", "label value low high text is_ours")


def _text(x, y, text, anchor="start", fill=GREY, weight="normal"):
    style = f'text-anchor="{anchor}" fill="{fill}" font-weight="{weight}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(text)}</text>'


def _line(low, end, high, y, fill):
    """A line from `low` to `high`, across the end of a bar."""
    inside, outside = f"M{low:.1f} {y - 3:.1f}v6v-3H{end:.1f}", f"M{end:.1f} {y:.1f}H{high:.1f}v-3v6"
    return f'<path d="{inside}" stroke="#fff" fill="none"/><path d="{outside}" stroke="{fill}" fill="none"/>'


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
            ends = (LABEL + x for x in (row.low * scale, length, row.high * scale))
            parts.append(_line(*ends, y + ROW / 2, fill))
            end = max(length, row.high * scale)
        parts.append(_text(LABEL + end + 6, y + 14, row.text, fill=fill, weight=weight))
        y += ROW
    return parts, y + GAP


def write(name, title, panels):
    """Writes a chart; returns its image in Markdown."""
    parts, y = [], 0
    for panel in panels:
        more, y = _panel(panel, y)
        parts += more
    width = LABEL + BARS + VALUE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}"',
        f'  role="img" font-family="system-ui, sans-serif" font-size="13"><title>{escape(title)}</title>',
        *parts,
        "</svg>",
    ]
    os.makedirs(places.CHARTS, exist_ok=True)
    with open(os.path.join(places.CHARTS, f"{name}.svg"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return f"![{title}](performance/{name}.svg)"
