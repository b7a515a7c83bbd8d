"""Draws docs/flow.svg, the path of a login through the files of src/: flow.py [--check]

Exits with 1 if a file of src/ has no box. --check compares and writes nothing.
"""

import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "flow.svg"
SOURCES = HERE.parent / "src"

# In rows of four: the number of the step, the file, its purpose. A file without a number is a helper.
BANDS = [
    (
        "ffi/",
        "what C sees; raw pointers end here",
        [
            ("1", "auth.rs", "the call"),
            ("2", "boundary.rs", "strings in, panics caught"),
            ("3", "options.rs", "the first call freezes it"),
            ("", "cancel.rs", "stops it from elsewhere"),
            ("14", "token.rs", "the secret handed over"),
            ("14", "error.rs", "or what went wrong"),
            ("", "code.rs", "what a code means"),
            ("", "version.rs", "which library this is"),
        ],
    ),
    (
        "login/",
        "what a login is: what to send, what an answer means, whether to try again",
        [
            ("4", "mod.rs", "attempts until decided"),
            ("5", "encode.rs", "a form, or JSON"),
            ("12", "answer.rs", "a token, or a refusal"),
            ("", "redact.rs", "no password in a message"),
            ("13", "retry.rs", "again? and when"),
        ],
    ),
    (
        "wire/",
        "how bytes travel, whatever they mean",
        [
            ("6", "mod.rs", "which connection"),
            ("6", "pool.rs", "one that idles, else new"),
            ("7", "resolve.rs", "the name, on a helper"),
            ("8", "connect.rs", "IPv6 and IPv4 in turn"),
            ("9", "proxy.rs", "a tunnel, where one is set"),
            ("10", "tls.rs", "configuration, sessions"),
            ("10", "key_exchange.rs", "post-quantum, hybrid"),
            ("10", "trust.rs", "trusted roots"),
            ("10", "verifier.rs", "is it the server?"),
            ("", "tls_error.rs", "why TLS refused"),
            ("", "algorithms.rs", "their names"),
            ("", "connection.rs", "socket, TLS, buffers"),
            ("11", "exchange.rs", "request out, answer in"),
            ("", "wait.rs", "every wait, one poll"),
            ("", "socket.rs", "that never blocks"),
            ("", "through_ureq.rs", "an answer less strict"),
        ],
    ),
    (
        "",
        "words that all three speak; they know none of them",
        [
            ("", "call.rs", "deadline, log, clock"),
            ("", "cancel.rs", "a flag that stays"),
            ("", "wake.rs", "a descriptor that wakes"),
            ("", "failure.rs", "all that can go wrong"),
            ("", "settings.rs", "each value checked"),
            ("", "url.rs", "base and proxy URLs"),
            ("", "ca_file.rs", "a PEM file, parsed"),
            ("", "pem.rs", "its blocks"),
            ("", "certificates.rs", "anchors and pins"),
            ("", "x509.rs", "a certificate's limits"),
            ("", "secret.rs", "memory that is wiped"),
            ("", "registers.rs", "nothing left in them"),
            ("", "process.rs", "what fork must not share"),
            ("", "environment.rs", "variables, read once"),
            ("", "errno.rs", "the system's errors"),
            ("", "identity.rs", "of a descriptor"),
            ("", "retry_after.rs", "seconds, or a date"),
            ("", "snapshot.rs", "a fork may read it"),
            ("", "lib.rs", "the map"),
        ],
    ),
]

# Both are legible on white and on black.
GREY, BLUE = "#767676", "#0079c1"
LEFT, WIDTH, HEIGHT, GAP = 60, 170, 40, 8
WHOLE = 4 * WIDTH + 3 * GAP


def text(x, y, words, colour=GREY, **attributes):
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{escape(words)}</text>'


def box(x, y, width, height, colour, heavy=False):
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="none" '
        f'stroke="{colour}" stroke-width="{2 if heavy else 1}"/>'
    )


def arrow(x, top, bottom, up=False):
    """Between two bands, beside their boxes."""
    tip, end = (top, bottom) if up else (bottom, top)
    back = 7 if up else -7
    return f'<path d="M{x} {end}V{tip}m-5 {back}L{x} {tip}L{x + 5} {tip + back}" stroke="{BLUE}" stroke-width="2" fill="none"/>'


def draw():
    shapes = []
    middles = []
    y = 2

    def outside(words):
        nonlocal y
        shapes.append(box(LEFT, y, WHOLE, 30, GREY))
        shapes.append(text(LEFT + WHOLE / 2, y + 20, words, text_anchor="middle"))
        middles.append((y, y + 30))
        y += 30 + 26

    outside("a program, in C or through the binding of C++, Python or Go")
    for folder, what, files in BANDS:
        if not folder:
            outside("POST /authenticate: the service")
        top = y
        shapes.append(text(LEFT + 10, y + 19, f"src/{folder}", font_family="ui-monospace, monospace", font_weight="bold"))
        shapes.append(text(LEFT + 100, y + 19, what))
        y += 30
        for number, (step, name, does) in enumerate(files):
            x = LEFT + (number % 4) * (WIDTH + GAP)
            row = y + number // 4 * (HEIGHT + GAP)
            colour = BLUE if step else GREY
            shapes.append(box(x + 4, row, WIDTH - 8, HEIGHT, colour, bool(step)))
            shapes.append(text(x + 11, row + 16, name, colour, font_family="ui-monospace, monospace", font_weight="bold"))
            if step:
                shapes.append(text(x + WIDTH - 10, row + 16, step, colour, text_anchor="end", font_weight="bold"))
            shapes.append(text(x + 11, row + 32, does, colour, font_size="11"))
        y += -(-len(files) // 4) * (HEIGHT + GAP)
        shapes.append(box(LEFT, top, WHOLE, y - top, GREY))
        if folder:
            middles.append((top, y))
        y += 26
    for (_, bottom), (top, _) in zip(middles, middles[1:]):
        shapes.append(arrow(LEFT + 40, bottom + 3, top - 3))
        shapes.append(arrow(LEFT + WHOLE - 40, bottom + 3, top - 3, up=True))
    beside = (middles[0][1] + middles[1][0]) / 2 + 5
    shapes.append(text(LEFT + 52, beside, "user name, password", BLUE, font_size="12"))
    shapes.append(text(LEFT + WHOLE - 52, beside, "a token, or a code and an error", BLUE, font_size="12", text_anchor="end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{LEFT - 4} 0 {WHOLE + 8} {y - 22}" '
        f'width="{WHOLE + 8}" height="{y - 22}"\n'
        '  role="img" font-family="system-ui, sans-serif" font-size="13">'
        "<title>The way of a login through the files</title>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def main():
    drawn = {folder + name for folder, _, files in BANDS for _, name, _ in files}
    there = {path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.rs")}
    # This file only lists the modules of its folder.
    there -= {"ffi/mod.rs"}
    if drawn != there:
        sys.exit(f"docs/flow.py: of src/ it lacks {sorted(there - drawn)}, and has too much {sorted(drawn - there)}")
    if sys.argv[1:] == ["--check"]:
        if PICTURE.read_text(encoding="utf-8") != draw():
            sys.exit("docs/flow.svg is stale: make pictures")
        return
    PICTURE.write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
