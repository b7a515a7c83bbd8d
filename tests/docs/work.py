"""Runs programs, and knows the places of their files."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from page import ROOT
from project import Project

_SECONDS = 120


@dataclass
class Ended:
    status: int
    output: str


def run(command, cwd=None, env=None):
    """Runs a program to its end, with its two outputs as one text."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        output.seek(0)
        return Ended(status, output.read().decode(errors="replace").strip())


class World:
    """The places of the library, the fake server and the results of earlier runs."""

    def __init__(self):
        self.fake_server = os.environ["COUCHDROP_FAKE_SERVER"]
        self.stage = ROOT / "target/stage"
        self.cache = ROOT / "target/blocks"
        self.cache.mkdir(parents=True, exist_ok=True)
        self._scratch = tempfile.TemporaryDirectory()
        self.scratch = Path(self._scratch.name)
        # Other settings for the library would make blocks behave differently than for a reader.
        ours = (
            "COUCHDROP_",
            "MAKE",
            "MFLAGS",
            "STAGE",
            "PREFIX",
            "DESTDIR",
            "LD_LIBRARY_PATH",
            "PKG_CONFIG_PATH",
            "CARGO_MAKEFLAGS",
        )
        self.plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        # The environment of a user with the library installed.
        self.project = {
            **self.plain,
            "PKG_CONFIG_PATH": str(self.stage / "lib/pkgconfig"),
            "COUCHDROP_LIBRARY": str(self.stage / "lib/libcouchdrop.so.1"),
            "PYTHONPATH": str(ROOT / "bindings/python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GOFLAGS": "-mod=mod",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        self.reader = {**self.project, "LD_LIBRARY_PATH": str(self.stage / "lib")}
        os.environ["COUCHDROP_LIBRARY"] = self.project["COUCHDROP_LIBRARY"]
        sys.dont_write_bytecode = True
        self.facts = Project(self.fake_server, self.project)

    def close(self):
        # Results that no page has used for some time.
        old = sorted(self.cache.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-500]
        for folder in old:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        self._scratch.cleanup()

    @cached_property
    def password(self):
        text = (ROOT / "tests/fake_server/src/accounts.rs").read_text(encoding="utf-8")
        return text.split('PASSWORD: &str = "')[1].split('"')[0]

    @cached_property
    def headers(self):
        return [path.read_text(encoding="utf-8") for path in sorted((self.stage / "include").iterdir())]

    @cached_property
    def go(self):
        """Identifies a state of the Go package and its archive."""
        files = [
            path for path in (ROOT / "bindings/go").rglob("*") if path.is_file() and path.suffix != ".md"
        ]
        return [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(files)]
