"""Self-test: shows that each language's check notices an addition to the header: self_test.py

Makes changes in copies of couchdrop.h that a binding could miss: a code, a function, an option, a named number, a
changed type of an argument. The check of each affected language must fail and name the change; with the unchanged
header all succeed. C needs no check except for the codes: the header is its interface. C++ would silently convert a
number whose type changes, so that is compared with abi/libcouchdrop.abi.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.path.join(ROOT, "bindings", "python")
GO = os.path.join(ROOT, "bindings", "go")
ABI = """
set -e
scripts/abi "$1" abi/exports.txt "$2/couchdrop.abi"
abidiff --harmless abi/libcouchdrop.abi "$2/couchdrop.abi"
"""
TESTS = "^(TestEveryCodeOfTheHeaderIsHere|TestEveryNameOfTheHeaderIsUsed)$"


def added(text, before, new):
    """`text` with something new before the existing part."""
    if before not in text:
        raise ValueError(f"the header has no {before!r} any more")
    return text.replace(before, new + before, 1)


def retyped(text):
    changed, count = re.subn(r"(cd_options_set_timeout_ms\([^)]*)uint32_t ms", r"\1int32_t ms", text)
    if count != 1:
        raise ValueError("the header has no timeout of uint32_t any more")
    return changed


# Each: the change, the message that a check must print, and the checks that must fail.
PLANTED = {
    "nothing": (lambda text: text, None, ()),
    "a code": (
        lambda text: added(text, "    CD_ERR_DNS = ", "    CD_ERR_PLANTED = 1777,\n"),
        "CD_ERR_PLANTED",
        ("python", "go"),
    ),
    "a function": (
        lambda text: added(text, "uint32_t cd_abi_version(", "int32_t cd_planted(int32_t code);\n"),
        "cd_planted",
        ("cpp names", "python", "go"),
    ),
    "an option": (
        lambda text: added(
            text,
            "void cd_options_free(",
            "cd_code cd_options_set_planted(cd_options *options, uint32_t count, cd_error **error);\n",
        ),
        "cd_options_set_planted",
        ("cpp names", "python", "go"),
    ),
    "a named number": (
        lambda text: added(text, "#define CD_LOG_ERROR", "#define CD_BODY_PLANTED 3\n"),
        "CD_BODY_PLANTED",
        ("cpp names", "python", "go"),
    ),
    "another argument type": (
        retyped,
        # Up to Go 1.19 the message has the type behind C's, _Ctype_int.
        r"cd_options_set_timeout_ms|cannot use ms .* as (type )?_Ctype_int(32_t)?\b",
        ("abi", "python", "go types"),
    ),
}


class Checks:
    """The checks of the languages, each a command for a folder with a header."""

    def __init__(self, work):
        self._work = work
        self._go_test = os.path.join(work, "go.test")
        subprocess.run(["go", "test", "-c", "-o", self._go_test, "."], cwd=GO, check=True)

    def commands(self, folder):
        compile_only = [
            "-fsyntax-only",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
            folder,
            "-I",
            os.path.join(ROOT, "bindings", "cpp"),
        ]
        tests = os.path.join(ROOT, "tests")
        return {
            "abi": (["bash", "-c", ABI, "abi", os.path.join(folder, "couchdrop.h"), folder], ROOT),
            "cpp names": ([sys.executable, os.path.join(tests, "cpp", "header.py")], ROOT),
            "python": ([sys.executable, "-m", "unittest", "tests.test_header"], PYTHON),
            "go": ([self._go_test, "-test.run", TESTS], GO),
            "go types": (["go", "build", "."], os.path.join(folder, "go")),
        }

    def run(self, what):
        """The faults of the checks for one change."""
        plant, word, fail = PLANTED[what]
        folder = os.path.join(self._work, what.replace(" ", "-"))
        os.mkdir(folder)
        header = os.path.join(folder, "couchdrop.h")
        with open(os.path.join(ROOT, "include", "couchdrop.h"), encoding="utf-8") as file:
            text = plant(file.read())
        with open(header, "w", encoding="utf-8") as file:
            file.write(text)
        if "go types" in fail:
            shutil.copytree(GO, os.path.join(folder, "go"))
            shutil.copy(header, os.path.join(folder, "go"))

        environment = {**os.environ, "COUCHDROP_HEADER": header, "PYTHONDONTWRITEBYTECODE": "1"}
        wrong = []
        for check, (command, directory) in self.commands(folder).items():
            # Skip checks that a change does not concern. The Go module for the unchanged header was built before.
            if check not in (fail or {"cpp names", "abi", "python", "go"}):
                continue
            done = subprocess.run(
                command, cwd=directory, env=environment, capture_output=True, text=True, check=False
            )
            output = done.stdout + done.stderr
            if (done.returncode != 0) != bool(fail):
                wrong.append(f"{what}: the check {check!r} ended with {done.returncode}: {output}")
            elif fail and not re.search(word, output):
                wrong.append(f"{what}: the check {check!r} does not say {word}: {output}")
        return wrong


def main():
    with tempfile.TemporaryDirectory() as work:
        checks = Checks(work)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            wrong = [problem for found in pool.map(checks.run, PLANTED) for problem in found]
    for problem in wrong:
        print("FAILED  ", problem)
    failing = sum(len(fail) for _, _, fail in PLANTED.values())
    print(f"{len(PLANTED) - 1} planted, noticed by {failing} checks; {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
