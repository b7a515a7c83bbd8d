"""The measured programs: small programs that a user would write, and the library in each of its languages."""

import functools
import os
import re
import shutil
import sys

from . import places
from .commands import output, run

OURS, OURS_ARCHIVE = "libcouchdrop", "libcouchdrop, archive"
LOWER_BOUND = "lower_bound"
# A copy of the lower bound. The difference between its figures and the lower bound's is the noise of the machine.
CONTROL = "control"
LIBCURL = "libcurl"
CURL = "curl"
OURS_GO, NETHTTP = "libcouchdrop, Go", "net/http"
OURS_PYTHON, REQUESTS, HTTPX, URLLIB = "libcouchdrop, Python", "requests", "httpx", "urllib"
IMPORT_CTYPES = "import ctypes"
OURS_ASYNCIO, HTTPX_ASYNCIO = "libcouchdrop, asyncio", "httpx, asyncio"

# Names in the report.
TITLES = {
    OURS: "libcouchdrop, C",
    OURS_ARCHIVE: "libcouchdrop, C, archive",
    LOWER_BOUND: "lower bound (rustls by hand)",
    CONTROL: "lower bound, a copy of it",
    LIBCURL: "libcurl + jansson",
    CURL: "curl program",
    NETHTTP: "Go net/http",
    REQUESTS: "Python requests",
    HTTPX: "Python httpx",
    URLLIB: "Python urllib",
    IMPORT_CTYPES: "Python import ctypes alone",
    HTTPX_ASYNCIO: "Python httpx, asyncio",
}


def title(name):
    return TITLES.get(name, name)


def is_ours(name):
    return name.startswith(OURS)


def _c(source, target, *flags):
    source = os.path.join(places.BENCHES, source)
    run(
        *["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"],
        *["-o", os.path.join(places.BUILT, target), source, *flags],
    )


def _shared_flags():
    """Flags for a program that finds the library directly, as it finds an installed one. With a run path, the loader
    would search for the C library too, in each of its subfolders for other processors."""
    by_path = os.path.join(places.BUILT, "by-path.so")
    exports = output("nm", "-D", "--defined-only", places.LIBRARY).split("\n")
    source = os.path.join(places.BUILT, "by-path.c")
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(f"void {line.split()[-1]}(void) {{}}\n" for line in exports)
    run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{places.LIBRARY}", "-o", by_path, source)
    return [f"-I{places.STAGE}/include", by_path]


def _archive_flags():
    """Flags for a program that links the static library."""
    pkg_config = {**os.environ, "PKG_CONFIG_PATH": os.path.join(places.STAGE, "lib", "pkgconfig")}
    needed = output("pkg-config", "--static", "--libs-only-l", "couchdrop", env=pkg_config).split()
    needed.remove("-lcouchdrop")
    return [f"-I{places.STAGE}/include", os.path.join(places.STAGE, "lib", "libcouchdrop.a"), *needed]


def build_counted():
    """Builds the programs that count the costs of a login of the library."""
    os.makedirs(places.BUILT, exist_ok=True)
    _c("baselines/couchdrop.c", "couchdrop", *_shared_flags())
    _c("tools/allocations.c", "allocations.so", "-shared", "-fPIC")


def _versions(lock):
    """The versions of the TLS library and its cryptography."""
    with open(lock, encoding="utf-8") as file:
        found = re.findall(r'^name = "(rustls|ring)"\nversion = "(.*)"$', file.read(), re.MULTILINE)
    return dict(found)


def _build_floor():
    cargo = os.environ.get("CARGO", "cargo")
    folder = os.path.join(places.BENCHES, "lower_bound")
    own, the_librarys = (_versions(os.path.join(where, "Cargo.lock")) for where in (folder, places.ROOT))
    if own != the_librarys:
        raise RuntimeError(f"benches/lower_bound/Cargo.lock has {own}, the library {the_librarys}: cargo update -p")
    built = os.path.join(places.BUILT, "lower-bound-target")
    run(
        *[cargo, "build", "--quiet", "--release", "--locked", "--target-dir", built], cwd=folder, timeout=1800
    )
    for name in ("lower_bound", "control"):
        shutil.copy(os.path.join(built, "release", "lower-bound"), os.path.join(places.BUILT, name))


def _build_go():
    folder = os.path.join(places.BENCHES, "baselines", "go")
    for name in ("couchdrop", "nethttp"):
        run(
            *["go", "build", "-o", os.path.join(places.BUILT, f"go-{name}"), f"./{name}"],
            cwd=folder,
            timeout=1800,
        )


@functools.cache
def python():
    """The Python of the virtual environment with the compared clients."""
    return os.path.join(output(os.path.join(places.ROOT, "scripts", "tools"), "bench"), "python")


def _build_python():
    """Installs the package as from its wheel: with the library in it, and compiled."""
    interpreter = python()
    packages = output(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    package = os.path.join(packages, "couchdrop")
    shutil.rmtree(package, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(os.path.join(places.ROOT, "bindings", "python", "couchdrop"), package, ignore=ignored)
    beside = os.path.join(package, "_lib")
    os.makedirs(beside, exist_ok=True)
    shutil.copy(places.LIBRARY, os.path.join(beside, "libcouchdrop.so.1"))
    scripts = os.path.join(places.BUILT, "python")
    shutil.rmtree(scripts, ignore_errors=True)
    shutil.copytree(os.path.join(places.BENCHES, "baselines", "python"), scripts, ignore=ignored)
    run(interpreter, "-m", "compileall", "-q", package, scripts)


def build():
    """Builds all programs with the staged library."""
    build_counted()
    _c("baselines/couchdrop.c", "couchdrop-archive", *_archive_flags())
    for source, flags in (
        ("baselines/libcurl.c", ["-lcurl", "-ljansson"]),
        ("tools/launch.c", []),
        ("tools/load.c", []),
        ("tools/growth.c", _shared_flags()),
        ("tools/connect.c", _shared_flags()),
    ):
        _c(source, os.path.basename(source)[: -len(".c")], *flags)
    print("building the lower bound", file=sys.stderr)
    _build_floor()
    print("building in Go", file=sys.stderr)
    _build_go()
    _build_python()
    _write_alike()


def _write_alike():
    """Writes each file in one piece. The size of the writes affects the cost of starting a program as long as the
    system caches its pages."""
    programs = ("couchdrop", "couchdrop-archive", "lower_bound", "control", "libcurl", "go-couchdrop", "go-nethttp")
    for path in [os.path.realpath(places.LIBRARY), *(os.path.join(places.BUILT, name) for name in programs)]:
        with open(path, "rb") as file:
            content = file.read()
        with open(f"{path}.new", "wb", buffering=0) as file:
            file.write(content)
        shutil.copystat(path, f"{path}.new")
        os.rename(f"{path}.new", path)


def _script(name):
    return [python(), os.path.join(places.BUILT, "python", f"{name}.py")]


def command(name, base_url, ca_file):
    """The command of a baseline, without the number of logins (and threads)."""
    if name == CURL:
        trust = [] if ca_file == "-" else ["--cacert", ca_file]
        form = ["--data-urlencode", "username=ada@example.com"]
        form += ["--data-urlencode", "password=correct horse battery staple"]
        quiet = ["--silent", "--show-error", "--fail"]
        return [shutil.which("curl"), *quiet, *trust, *form, f"{base_url}/authenticate"]
    program = {
        OURS: [os.path.join(places.BUILT, "couchdrop")],
        OURS_ARCHIVE: [os.path.join(places.BUILT, "couchdrop-archive")],
        LOWER_BOUND: [os.path.join(places.BUILT, "lower_bound")],
        CONTROL: [os.path.join(places.BUILT, "control")],
        LIBCURL: [os.path.join(places.BUILT, "libcurl")],
        OURS_GO: [os.path.join(places.BUILT, "go-couchdrop")],
        NETHTTP: [os.path.join(places.BUILT, "go-nethttp")],
    }.get(name)
    if program is None:
        program = _script(
            {
                OURS_PYTHON: "with_couchdrop",
                REQUESTS: "with_requests",
                HTTPX: "with_httpx",
                URLLIB: "with_urllib",
                OURS_ASYNCIO: "with_couchdrop_asyncio",
                HTTPX_ASYNCIO: "with_httpx_asyncio",
                IMPORT_CTYPES: "import_ctypes",
            }[name]
        )
    return [*program, base_url, ca_file]
