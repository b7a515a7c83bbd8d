"""Builds the documentation site: build.py OUT

OUT has the output of other tools: c/ (Doxygen), rust/ (rustdoc), go.part and man.part (HTML without a frame). This
script adds the pages in Markdown, the files that they link to, and the Python package. It exits with 1 if a link of the
site is broken, or if a public name in Python has no docstring.
"""

import html
import os
import re
import shutil
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import python_reference
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
FORMAT = HtmlFormatter(nowrap=True)


def main(out):
    site = Site(out)
    shutil.copy(HERE / "style.css", out / "style.css")
    with open(out / "style.css", "a", encoding="utf-8") as style:
        for scheme, colours in (("light", "default"), ("dark", "github-dark")):
            rules = "\n".join(HtmlFormatter(style=colours).get_token_style_defs("pre"))
            style.write(f"@media (prefers-color-scheme: {scheme}) {{\n{rules}\n}}\n")
    for name, title in (("go", "Go: package couchdrop"), ("man", "libcouchdrop(3)")):
        part = out / f"{name}.part"
        site.write(f"{name}.html", title, part.read_text(encoding="utf-8"))
    for page in site.pages:
        site.add_markdown(page)
    for file in sorted(site.linked):
        site.add_file(file)
    problems = site.problems + python_reference.write(out / "python") + broken_links(out)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


class Site:
    def __init__(self, out):
        self.out = out
        # README and all pages that it links to, directly or indirectly.
        self.pages = ["README.md", *(f"docs/guides/{guide.name}" for guide in sorted((ROOT / "docs/guides").glob("*.md")))]
        self.linked = set()
        self.problems = []
        self.guides = [(page, title_of(page)) for page in self.pages[1:]]
        # A comment in a page is for its authors.
        self.markdown = MarkdownIt("commonmark", {"highlight": mark_up}).enable("table")
        self.markdown.use(anchors_plugin, max_level=6, slug_func=anchor)

    def write(self, name, title, body):
        root = "../" * name.count("/")
        guides = "\n".join(
            f'<a href="{root}{guide.removesuffix(".md")}.html">{html.escape(text)}</a>' for guide, text in self.guides
        )
        frame = (HERE / "page.html").read_text(encoding="utf-8")
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(frame.format(title=html.escape(title), root=root, guides=guides, body=body), encoding="utf-8")

    def add_markdown(self, page):
        body = self.markdown.render((ROOT / page).read_text(encoding="utf-8"))
        body = re.sub(r'(<(?:a|img)\b[^>]*?\b(?:href|src)=")([^"]*)"', lambda link: f'{link[1]}{self.place(page, link[2])}"', body)
        self.write(self.name(page), title_of(page), body)

    def name(self, page):
        return "index.html" if page == "README.md" else page.removesuffix(".md") + ".html"

    def place(self, page, link):
        """The target in the site of a link in a page of the repository."""
        path, hash_, fragment = html.unescape(link).partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return link
        target = os.path.normpath(os.path.join(os.path.dirname(page), urllib.parse.unquote(path)))
        if target == ".":
            target = "README.md"
        if (ROOT / target).is_dir() and (ROOT / target / "README.md").exists():
            target += "/README.md"
        if not (ROOT / target).exists():
            self.problems.append(f"{page}: links to {target}, which is not there")
            return link
        if target.endswith(".md"):
            if target not in self.pages:
                # The loop appends to this list.
                self.pages.append(target)
            target = self.name(target)
        else:
            self.linked.add(target)
            if not target.endswith(".svg"):
                target += ".html"
        from_ = os.path.dirname(self.name(page))
        return html.escape(os.path.relpath(target, from_ or ".") + hash_ + fragment)

    def add_file(self, name):
        """A page that shows a file of the repository, or lists a folder."""
        path = ROOT / name
        if path.is_dir():
            names = [entry.name for entry in sorted(path.iterdir()) if not entry.name.startswith((".", "__"))]
            body = "<ul>" + "".join(f"<li>{html.escape(entry)}</li>" for entry in names) + "</ul>"
        elif name.endswith(".svg"):
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.out / name)
            return
        else:
            text = path.read_text(encoding="utf-8")
            try:
                lexer = get_lexer_for_filename(name, text)
            except ClassNotFound:
                lexer = TextLexer()
            body = f"<pre>{highlight(text, lexer, FORMAT)}</pre>"
        self.write(name + ".html", name, f"<h1>{html.escape(name)}</h1>{body}")


def title_of(page):
    return re.search(r"^# (.+)", (ROOT / page).read_text(encoding="utf-8"), re.M)[1]


def anchor(heading):
    """As GitHub names headings."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def mark_up(code, language, _words):
    try:
        return highlight(code, get_lexer_by_name(language or "text"), FORMAT)
    except ClassNotFound:
        return html.escape(code)


class Links(HTMLParser):
    """The links and the link targets of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and tag in ("a", "img", "link", "script") and value:
                self.links.add(value)
            elif name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)


def broken_links(out):
    """Checks the links of the site's own pages, including the guides and the Go and Python references."""
    pages = {}

    def read(path):
        if path not in pages:
            pages[path] = Links(path)
        return pages[path]

    problems = []
    made_here = [path for path in out.rglob("*.html") if path.relative_to(out).parts[0] not in ("c", "rust")]
    for page in sorted(made_here):
        for link in sorted(read(page).links):
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = page if not parts.path else Path(os.path.normpath(page.parent / urllib.parse.unquote(parts.path)))
            fragment = urllib.parse.unquote(parts.fragment)
            if not target.is_file():
                problems.append(f"{page.relative_to(out)}: leads to {link}, which the site lacks")
            elif fragment and target.suffix == ".html" and fragment not in read(target).anchors:
                problems.append(f"{page.relative_to(out)}: leads to {link}, but there is no such place")
    return problems


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
