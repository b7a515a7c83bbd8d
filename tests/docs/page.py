"""A parsed page of the documentation: headings, links, code in the text, and blocks with the words that say how they
are used (docs/WRITING.md)."""

import html
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Problem(Exception):
    """A fault of a page. The text begins with the page and the line."""


@dataclass
class Block:
    """A fenced block."""

    page: "Page"
    # The line number of its first line of code.
    line: int
    language: str
    words: dict
    code: str

    @property
    def where(self):
        return f"{self.page.name}:{self.line - 1}"


@dataclass
class Page:
    name: str
    text: str
    blocks: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    @classmethod
    def read(cls, name):
        return cls(name, (ROOT / name).read_text(encoding="utf-8"))

    def __post_init__(self):
        # The text without blocks. Their lines are left empty, so that the others keep their numbers.
        self.prose = _take_blocks_out(self)
        self.anchors = _anchors(self.prose)

    def complain(self, line, what):
        self.problems.append(f"{self.name}:{line}: {what}")

    def line_of(self, offset):
        """The line number of an offset in `prose`."""
        return self.prose.count("\n", 0, offset) + 1

    def inline_code(self):
        """(line, code) of each piece of code in the text."""
        for match in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", _without_comments(self.prose), re.S):
            yield self.line_of(match.start()), " ".join(match[2].split())

    def links(self):
        """(line, target) of each link and picture."""
        prose = _without_comments(self.prose)
        prose = re.sub(
            r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", lambda code: re.sub(r"\S", " ", code[0]), prose, flags=re.S
        )
        for match in re.finditer(r"\]\(\s*<?([^)>\s]*)>?(?:\s+\"[^\"]*\")?\s*\)", prose):
            yield self.line_of(match.start()), match[1]
        for match in re.finditer(r"^\[[^\]]+\]:\s*(\S+)", prose, re.M):
            yield self.line_of(match.start()), match[1]
        for match in re.finditer(r"<(?:img|a|source)\b[^>]*?\b(?:src|href|srcset)=\"([^\"]+)\"", prose):
            yield self.line_of(match.start()), match[1]


def _without_comments(text):
    return re.sub(r"<!--.*?-->", lambda comment: re.sub(r"\S", " ", comment[0]), text, flags=re.S)


def _take_blocks_out(page):
    """Removes fenced blocks as in CommonMark: three or more of ` or ~, closed by at least as many."""
    prose, opened, inside, start = [], None, [], 0
    for number, line in enumerate(page.text.split("\n"), 1):
        fence = re.match(r"( *)(`{3,}|~{3,})\s*([^`]*)$", line)
        if opened is None:
            if fence:
                opened, inside, start = fence, [], number + 1
                line = ""
            prose.append(line)
            continue
        prose.append("")
        if fence and not fence[3] and fence[2].startswith(opened[2]):
            _add(page, start, opened[3], inside, len(opened[1]))
            opened = None
        else:
            inside.append(line)
    if opened is not None:
        page.complain(start - 1, "a block that is never closed")
    return "\n".join(prose)


def _add(page, line, info, lines, indent):
    try:
        language, *rest = shlex.split(info) or [""]
    except ValueError as error:
        return page.complain(line - 1, f"can't read the words of the block: {error}")
    words = {}
    for word in rest:
        name, equals, value = word.partition("=")
        value = value if equals else True
        if name == "says":
            words.setdefault("says", []).append(value)
        elif name in words:
            page.complain(line - 1, f"says {name} twice")
        else:
            words[name] = value
    code = "\n".join(text[indent:] if not text[:indent].strip() else text for text in lines) + "\n"
    page.blocks.append(Block(page, line, language, words, code))


def _anchors(prose):
    """The anchors that GitHub gives headings, and those that the page defines."""
    seen, anchors = {}, set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", prose))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose, re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", html.unescape(heading))
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        anchors.add(f"{name}-{count}" if count else name)
    return anchors
