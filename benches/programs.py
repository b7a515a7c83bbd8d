"""The measured programs: a login with the library, and the same login written by hand, in each language.

A program takes BASE_URL CA_FILE LOGINS [THREADS]: see baselines/baseline.h.
"""

import collections
import functools
import os
import re
import shutil

from measure import run

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCHES = os.path.join(ROOT, "benches")
STAGE = os.environ.get("STAGE") or os.path.join(ROOT, "target", "stage")
LIBRARY = os.path.join(STAGE, "lib", "libcouchdrop.so.1")
BUILT = os.path.join(ROOT, "target", "bench")
CARGO = os.environ.get("CARGO", "cargo")


def _c(source, *flags):
    program = os.path.join(BUILT, os.path.splitext(source)[0])
    flags = [os.path.join(BENCHES, "baselines", source), *flags]
    run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, *flags)
    return [program]


def _couchdrop(source):
    # A library of empty functions gives the program the path of the real one. The loader then finds that directly,
    # as it finds an installed one. With a run path it would also search there for the C library.
    by_path = os.path.join(BUILT, "by-path.so")
    names = run("nm", "-D", "--defined-only", LIBRARY)[0].split()[2::3]
    functions = "".join(f"void {name}(void) {{}}\n" for name in names)
    run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}", "-o", by_path, "-x", "c", "-", input=functions)
    return _c(source, f"-I{STAGE}/include", by_path)


def _tls_versions(lock):
    with open(lock, encoding="utf-8") as file:
        return re.findall(r'^name = "(rustls|ring)"\nversion = "(.*)"$', file.read(), re.MULTILINE)


def _lower_bound():
    folder = os.path.join(BENCHES, "lower_bound")
    own, other = (_tls_versions(os.path.join(where, "Cargo.lock")) for where in (folder, ROOT))
    if own != other:
        raise RuntimeError(f"benches/lower_bound/Cargo.lock has {own}, the library {other}: cargo update -p")
    target = os.path.join(BUILT, "lower-bound")
    run(CARGO, "build", "--quiet", "--release", "--locked", "--target-dir", target, cwd=folder)
    return [os.path.join(target, "release", "lower-bound")]


def _copy_of_lower_bound():
    return [shutil.copy(_lower_bound()[0], os.path.join(BUILT, "control"))]


def _go(name):
    program = os.path.join(BUILT, f"go-{name}")
    run("go", "build", "-o", program, f"./{name}", cwd=os.path.join(BENCHES, "baselines", "go"))
    return [program]


@functools.cache
def python():
    """A Python with requests, httpx, MSAL and the library's package. As in a wheel, the library is in the package."""
    program = os.path.join(run(os.path.join(ROOT, "scripts", "tools"), "bench")[0].strip(), "python")
    packages = run(program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")[0].strip()
    package = os.path.join(packages, "couchdrop")
    shutil.rmtree(package, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "_lib")
    shutil.copytree(os.path.join(ROOT, "bindings", "python", "couchdrop"), package, ignore=ignored)
    os.mkdir(os.path.join(package, "_lib"))
    shutil.copy(LIBRARY, os.path.join(package, "_lib", "libcouchdrop.so.1"))
    return program


def _python(name):
    return [python(), os.path.join(BENCHES, "baselines", "python", f"{name}.py")]


# The name is that of the row, and `beside` is the row with the ratio 1. `build` returns the command.
Program = collections.namedtuple("Program", "name groups beside build")

LIBCURL, NETHTTP, REQUESTS = "libcurl + jansson", "Go net/http", "Python requests"
OAUTH2, MSAL = "oauth2.ReuseTokenSource, Go", "MSAL's cache, Python"
OURS, LOWER_BOUND = "libcouchdrop, C", "lower bound (rustls by hand)"

# A new row is a line here, and its source in baselines/.
PROGRAMS = [
    Program(OURS, "cold warm counts threads nagle", LIBCURL, lambda: _couchdrop("couchdrop.c")),
    Program(LOWER_BOUND, "cold warm counts threads", LIBCURL, _lower_bound),
    # The noise of the machine: the difference between its figures and those of the lower bound.
    Program("lower bound, a copy of it", "cold warm threads", LIBCURL, _copy_of_lower_bound),
    Program(LIBCURL, "cold warm counts threads nagle", LIBCURL, lambda: _c("libcurl.c", "-lcurl", "-ljansson")),
    Program("libcouchdrop, Go", "cold warm threads nagle", NETHTTP, lambda: _go("couchdrop")),
    Program(NETHTTP, "cold warm threads nagle", NETHTTP, lambda: _go("nethttp")),
    Program("libcouchdrop, Python", "cold warm nagle", REQUESTS, lambda: _python("with_couchdrop")),
    Program(REQUESTS, "cold warm nagle", REQUESTS, lambda: _python("with_requests")),
    Program("Python httpx", "cold warm", REQUESTS, lambda: _python("with_httpx")),
    Program("libcouchdrop's session, C", "session", None, lambda: _couchdrop("session.c")),
    Program("libcouchdrop's session, Go", "session", OAUTH2, lambda: _go("session")),
    Program(OAUTH2, "session", OAUTH2, lambda: _go("oauth2")),
    Program("libcouchdrop's session, Python", "session", MSAL, lambda: _python("session")),
    Program(MSAL, "session", MSAL, lambda: _python("msal_cache")),
]
BESIDE = {program.name: program.beside for program in PROGRAMS}


@functools.cache
def build(group, *names):
    """Builds the programs of a group, or only these; returns their commands by name."""
    os.makedirs(BUILT, exist_ok=True)
    wanted = [program for program in PROGRAMS if group in program.groups.split()]
    return {program.name: program.build() for program in wanted if not names or program.name in names}
