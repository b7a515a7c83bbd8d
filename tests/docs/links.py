"""Links must lead to existing files and headings of the repository."""

import posixpath
import urllib.parse

from page import ROOT, Page


def check(page, pages):
    """`pages` contains all pages by name."""
    folder = posixpath.dirname(page.name)
    for line, target in page.links():
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        name = posixpath.normpath(posixpath.join(folder, path)) if path else page.name
        if name.startswith("../") or not (name == page.name or (ROOT / name).exists()):
            page.complain(line, f"links to {target}, which is not there")
        elif anchor and name.endswith(".md"):
            other = page if name == page.name else pages.get(name) or Page.read(name)
            if anchor not in other.anchors:
                page.complain(line, f"links to {target}, but {name} has no such heading")
