"""Checks the files in git: text in UTF-8 with LF, scripts that parse. `make test-docs` checks links."""

import os
import re
import subprocess
import sys

problems = []


def check_text(path, content):
    """Checks the rules of .editorconfig, which not every editor applies."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return problems.append(f"{path}: not UTF-8")
    if "\r" in text:
        problems.append(f"{path}: has CR")
    if text and not text.endswith("\n"):
        problems.append(f"{path}: does not end with a line end")
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            problems.append(f"{path}:{number}: ends with white space")
    return None


def check_script(path, content):
    """Checks that a file whose first line names a shell is executable and parses."""
    if not os.access(path, os.X_OK):
        problems.append(f"{path}: names its interpreter but is not executable")
    shell = re.match(rb"#!.*\b(bash|sh)\b", content)
    if shell:
        parsed = subprocess.run([shell[1].decode(), "-n", path], capture_output=True, text=True, check=False)
        if parsed.returncode:
            problems.append(parsed.stderr.strip())


def main():
    # Skips files that .gitattributes marks as binary.
    command = ["git", "ls-files", "-z", ":(exclude,attr:binary)"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = [path for path in listed.split("\0") if path and os.path.isfile(path)]
    for path in paths:
        with open(path, "rb") as file:
            content = file.read()
        if b"\0" in content:
            continue
        check_text(path, content)
        if content.startswith(b"#!/"):
            check_script(path, content)
    for problem in problems:
        print(problem)
    print(f"{len(paths)} files")
    return bool(problems) or not paths


if __name__ == "__main__":
    sys.exit(main())
