"""Instructions of a login by function and by source line. The build is that of the other figures, with symbols."""

import collections
import os
import re

from . import baselines, places
from .commands import run
from .costs import FEW, MANY


class Profile:
    """Instructions of one run of callgrind by function (exclusive and inclusive) and by source line."""

    def __init__(self, path):
        self.own, self.whole, self.lines = (collections.Counter() for _ in range(3))
        self._names = {}
        with open(path, encoding="utf-8") as file:
            self._read(file)

    def _name(self, kind, number, name):
        """callgrind writes each name once, with a number that replaces it later."""
        kind = {"cfn": "fn", "cfi": "fl", "cfl": "fl", "fi": "fl", "fe": "fl"}.get(kind, kind)
        return self._names.setdefault((kind, number), name)

    def _read(self, file):
        source = function = None
        line, is_call = 0, False
        for text in file:
            named = re.match(r"(fl|fi|fe|fn|cfn|cfi|cfl|ob|cob)=\((\d+)\)(?: (.*))?$", text)
            cost = re.match(r"(\+\d+|-\d+|\*|\d+) (\d+)$", text)
            if named:
                name = self._name(*named.groups())
                if named[1] in ("fl", "fi", "fe"):
                    source = name
                elif named[1] == "fn":
                    function = name
            elif text.startswith("calls="):
                is_call = True
            elif cost:
                at, count = cost[1], int(cost[2])
                line = line if at == "*" else line + int(at) if at[0] in "+-" else int(at)
                self.whole[function] += count
                if not is_call:
                    self.own[function] += count
                    self.lines[f"{short(source)}:{line}  in {function}"] += count
                is_call = False


def short(path):
    return re.sub(r".*/(registry/src/[^/]*|library)/", "", path).replace(places.ROOT + "/", "")


def _cargo(folder, target, *arguments):
    run(
        *[os.environ.get("CARGO", "cargo"), *arguments],
        *["--quiet", "--release", "--locked", "--target-dir", target],
        cwd=folder,
        env={**os.environ, "CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_PROFILE_RELEASE_DEBUG": "1"},
        timeout=1800,
    )


def ours(base_url, ca_file):
    """The command and the environment of the baseline with a library that has symbols."""
    target = os.path.join(places.BUILT, "profile-target")
    _cargo(places.ROOT, target, "rustc", "--lib", "--crate-type", "cdylib")
    folder = os.path.join(places.BUILT, "profile-lib")
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(folder, "libcouchdrop.so.1")
    if not os.path.islink(link):
        os.symlink(os.path.join(target, "release", "libcouchdrop.so"), link)
    # Searched before the library that the program was linked with.
    return baselines.command(baselines.OURS, base_url, ca_file), {"LD_PRELOAD": link}


def lower_bound(base_url, ca_file):
    """The same for the lower bound."""
    target = os.path.join(places.BUILT, "profile-lower-bound-target")
    _cargo(os.path.join(places.BENCHES, "lower_bound"), target, "build")
    return [os.path.join(target, "release", "lower-bound"), base_url, ca_file], {}


def _profile(command, logins, env, folder):
    out = os.path.join(folder, str(logins))
    run(
        *["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command, str(logins)],
        env={"PATH": os.environ["PATH"], **env},
    )
    return Profile(out)


def of_a_login(command, env, folder):
    """Instructions of a warm login: exclusive, inclusive, and by line, each by name."""
    few, many = (_profile(command, logins, env, folder) for logins in (FEW, MANY))
    return {
        kind: {
            name: (count - getattr(few, kind)[name]) / (MANY - FEW)
            for name, count in getattr(many, kind).most_common()
        }
        for kind in ("own", "whole", "lines")
    }
