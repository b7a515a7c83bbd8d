"""The type of the measuring machine, without data that identifies it."""

import os
import platform
import re

from .commands import output, run


def _model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return round(int(re.search(r"^MemTotal:\s*(\d+)", file.read(), re.MULTILINE)[1]) / 2**20)


def _version(*command):
    said = "".join(run(*command))
    return re.search(r"\d+(\.\d+)+", said)[0]


def rustc_version():
    return _version(os.environ.get("RUSTC", "rustc"), "--version")


def describe():
    # Imported here, because `make counts` does not need the virtual environment.
    from .baselines import python

    curl = output("curl", "--version").split("\n")[0]
    packages = output(
        *[python(), "-c", "import requests, httpx; print(requests.__version__, httpx.__version__)"]
    ).split()
    return {
        "processor": f"{_model()}, {os.cpu_count()} cores, {_memory()} GiB",
        "kernel": "Linux " + re.match(r"[\d.]*\d", os.uname().release)[0],
        "C library": " ".join(platform.libc_ver()),
        "versions": {
            "rustc": rustc_version(),
            "gcc": _version("gcc", "--version"),
            "Go": _version("go", "version"),
            "Python": platform.python_version(),
            "nginx": _version("nginx", "-v"),
            "libcurl": re.search(r"libcurl/([\d.]+)", curl)[1]
            + f" ({re.search(r'OpenSSL/[0-9.]+', curl)[0]})",
            "requests": packages[0],
            "httpx": packages[1],
            "valgrind": _version("valgrind", "--version"),
        },
    }
