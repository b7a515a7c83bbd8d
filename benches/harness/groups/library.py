"""library: the library itself: size, exports, crates, loading, memory."""

import glob
import os

from .. import places
from ..commands import output
from ..baselines import LOWER_BOUND, LIBCURL, NETHTTP, OURS, OURS_GO, command, python
from ..costs import launch, launch_without_login, tool
from ..rounds import interleave

# Compared with the loading of another library.
OTHERS = {"libcurl": "libcurl.so.4"}


def _crates():
    """The linked crates, without those that run at build time."""
    tree = output(
        *[os.environ.get("CARGO", "cargo"), "tree", "--locked", "--edges", "normal,no-proc-macro"],
        *["--prefix", "none", "--format", "{p}", "--no-dedupe"],
        cwd=places.ROOT,
    )
    own = tree.split("\n")[0]
    return sorted(set(tree.split("\n")) - {own})


def _wheel():
    found = glob.glob(os.path.join(places.ROOT, "target", "packages", "**", "*.whl"), recursive=True)
    here = [path for path in found if os.uname().machine in path and "musl" not in path]
    return {"name": os.path.basename(here[0]), "bytes": os.path.getsize(here[0])} if here else None


def _load(library):
    took, before, after = map(int, output(tool("load"), library, env={}).split())
    return {"load": took / 1e3, "resident": after - before}


def _imports():
    def case(statement):
        whole = [python(), "-c", statement]
        return lambda: launch_without_login(whole)

    modules = ("ctypes", "couchdrop", "requests", "httpx", "urllib.request")
    return interleave(15, {"nothing": case("0"), **{name: case(f"import {name}") for name in modules}})


def measure(service):
    threads, descriptors = map(int, output(tool("load"), places.LIBRARY, "quiet", env={}).split()[3:])
    whole = {
        name: [*command(name, service.url("rsa"), service.ca_file("rsa")), "1"]
        for name in (OURS, LOWER_BOUND, LIBCURL, OURS_GO, NETHTTP)
    }
    exports = output("nm", "-D", "--defined-only", places.LIBRARY).split("\n")
    return {
        "bytes": os.path.getsize(places.LIBRARY),
        "exports": len(exports),
        "crates": _crates(),
        "wheel": _wheel(),
        "loading": interleave(
            31,
            {
                OURS: lambda: _load(places.LIBRARY),
                **{name: lambda path=path: _load(path) for name, path in OTHERS.items()},
            },
        ),
        "before the first login": {"threads": threads, "descriptors": descriptors},
        "memory": interleave(9, {name: lambda one=one: launch(one) for name, one in whole.items()}),
        "imports": _imports(),
    }
