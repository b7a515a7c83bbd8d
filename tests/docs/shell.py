"""Commands in the documentation must name existing programs, files, targets and options."""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

from page import ROOT

# Builtins of bash, and words before a command.
_BUILTINS = {
    *[
        ".",
        ":",
        "[",
        "alias",
        "bg",
        "cd",
        "command",
        "echo",
        "eval",
        "exec",
        "exit",
        "export",
        "false",
        "fg",
        "kill",
    ],
    *["printf", "pwd", "read", "set", "source", "test", "trap", "true", "ulimit", "umask", "unset", "wait"],
}
_BEFORE = {"sudo", "exec", "time", "command", "env", "then", "do", "else", "if", "while", "!", "{"}
_ENDS = {"fi", "done", "}", "esac"}


@cache
def _programs():
    lines = (Path(__file__).parent / "programs.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def looks_like(code, project):
    """True if code in the text is a command to check."""
    words = code.split()
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    if not words:
        return False
    first = words[0]
    if first in ("make", "cargo", "fake_server", "sudo", "pkg-config", "pip"):
        return len(words) > 1
    return first.startswith("scripts/") or words[:3] in (
        ["python", "-m", "couchdrop"],
        ["python3", "-m", "couchdrop"],
    )


def problems(script, project):
    """The faults in the commands of a script."""
    parsed = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    if parsed.returncode:
        return [f"bash can't read it: {parsed.stderr.strip()}"]
    found = []
    for command in _commands(script):
        found += _look(command, project)
    return found


def _commands(script):
    """The words of each command; commands in $(…) are separate."""
    script = re.sub(r"\\\n", " ", script)
    # The content of a here-document is not a command.
    script = re.sub(r"<<-? *(['\"]?)(\w+)\1(.*?)\n.*?\n\s*\2(?=\n|$)", r"\3", script, flags=re.S)
    pending = ""
    for line in script.split("\n"):
        pending += line
        lexer = shlex.shlex(pending, posix=True, punctuation_chars="();|&<>\n")
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            words = list(lexer)
        except ValueError:
            pending += "\n"
            continue
        pending = ""
        yield from _split(words)


def _split(words):
    command = []
    for word in words:
        if word.startswith("#"):
            break
        if re.fullmatch(r"[();|&]+", word):
            # A substitution: the words before it continue after it, which makes no difference here.
            if command and command[-1].endswith("$"):
                command[-1] += "(…)"
            yield command
            command = []
        else:
            for inner in re.findall(r"\$\(([^()]*)\)", word):
                yield from _commands(inner)
            command.append(word)
    yield command


def _look(words, project):
    # Earlier commands may have changed the folder; these variables refer to the project's.
    words = [re.sub(r"^\$(OLD)?PWD/", "", word) for word in words]
    # Redirections lead to the reader's own files.
    for sign in [place for place, word in enumerate(words) if re.fullmatch(r"\d?[<>]+&?\d?", word)][::-1]:
        del words[sign : sign + 2]
    while words and (re.match(r"\w+=", words[0]) or words[0] in _BEFORE):
        words.pop(0)
    if not words or words[0] in _ENDS or words[0] in ("for", "case", "in") or words[0].startswith("-"):
        return []
    program, *arguments = words
    found = [
        f"there is no {word}"
        for word in arguments
        if re.fullmatch(r"(\./)?[\w.-]+(/[\w.-]+)+", word)
        and word.split("/")[0] in project.top - {"target"}
        and not (ROOT / word).exists()
    ]
    return found + _program(program, arguments, project)


def _program(program, arguments, project):
    name = program.rsplit("/", 1)[-1]
    if name == "with-fake-server" or name == "fake_server":
        found = [] if (name == "fake_server" or (ROOT / program).exists()) else [f"there is no {program}"]
        return found + _fake_server(arguments if name == "with-fake-server" else arguments, project)
    if program.startswith(("scripts/", "tests/", "./scripts/", "../")):
        # `../x` is relative to a folder that earlier commands changed to.
        return [] if program.startswith("../") or (ROOT / program).exists() else [f"there is no {program}"]
    if "/" in program:
        # A program of the reader.
        return []
    if program == "make":
        return _make(arguments, project)
    if program == "cargo":
        return _cargo(arguments, project)
    if program == "go":
        return _go(arguments, project)
    if program in ("python", "python3"):
        return _python(arguments, project)
    if program == "timeout":
        return _look(arguments[1:], project)
    if program in ("sh", "bash") and "-c" in arguments:
        script = arguments[arguments.index("-c") + 1]
        return problems(script, project)
    if program not in _programs() and program not in _BUILTINS:
        return [f"there is no program {program} (tests/docs/programs.txt lists those that are known)"]
    return []


def _fake_server(arguments, project):
    """The options of the fake server, and the command after them."""
    found, takes_value = [], {"--account", "--port", "--https-port", "--dir"}
    rest = [word for word in arguments]
    while rest and (rest[0] == "run" or rest[0].startswith("-")):
        word = rest.pop(0)
        if word == "run" or word == "--":
            continue
        option, _, value = word.partition("=")
        if option not in project.fake_server_options:
            found.append(f"fake_server has no option {option}")
        if option in takes_value and not value and rest:
            value = rest.pop(0)
        if option == "--account" and value not in project.accounts | {"wrong"} and not value.isupper():
            found.append(f"the fake server has no account {value}")
    return found + (_look(rest, project) if rest else [])


def _make(arguments, project):
    found, arguments = [], list(arguments)
    while arguments:
        word = arguments.pop(0)
        variable = re.match(r"(\w+)=", word)
        if word == "-C":
            arguments = arguments[1:]
        elif variable:
            if variable[1] not in project.settings:
                found.append(f"make knows no {variable[1]}")
        elif not word.startswith("-") and word not in project.targets and "…" not in word:
            found.append(f"there is no target {word}")
    return found


def _cargo(arguments, project):
    found = []
    for option, known in [("-p", project.crates), ("--test", project.rust_tests)]:
        for place, word in enumerate(arguments[:-1]):
            if word == option and arguments[place + 1] not in known:
                found.append(f"cargo {option}: there is no {arguments[place + 1]}")
    if "couchdrop-fake-server" in arguments and arguments[0] == "run" and "--" in arguments:
        found += _fake_server(arguments[arguments.index("--") + 1 :], project)
    return found


def _go(arguments, project):
    tags = [arguments[place + 1] for place, word in enumerate(arguments[:-1]) if word == "-tags"]
    return [f"the Go package has no tag {tag}" for tag in tags if tag not in project.go_tags]


def _python(arguments, project):
    if arguments[:2] != ["-m", "couchdrop"]:
        return []
    options = [word.partition("=")[0] for word in arguments[2:] if word.startswith("-")]
    found = [
        f"python -m couchdrop has no {option}" for option in options if option not in project.module_options
    ]
    command = next((word for word in arguments[2:] if not word.startswith("-")), None)
    if command not in (None, "login"):
        found.append(f"python -m couchdrop has no {command}")
    return found
