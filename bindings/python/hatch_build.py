"""Adds the library and the program `couchdrop` to a wheel, and sets the wheel's platform tag.

COUCHDROP_WHEEL_LIBRARY names a folder, whose files become couchdrop/_lib. If it is empty, the wheel is for
any platform and uses the system's library. Without the variable cargo builds both from the repository.
COUCHDROP_WHEEL_PROGRAM names the program. COUCHDROP_WHEEL_PLATFORM sets the platform tag
(``manylinux_2_17_x86_64``); the default is this machine's.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarryLibrary(BuildHookInterface):
    def initialize(self, version, build_data):
        folder = os.environ.get("COUCHDROP_WHEEL_LIBRARY")
        program = os.environ.get("COUCHDROP_WHEEL_PROGRAM")
        if folder is None and version != "editable":
            folder, program = _build(Path(self.root).parent.parent)
        if not folder:
            return
        build_data["force_include"][folder] = "couchdrop/_lib"
        if program:
            build_data["shared_scripts"][program] = "couchdrop"
        platform = os.environ.get("COUCHDROP_WHEEL_PLATFORM") or sysconfig.get_platform()
        build_data["pure_python"] = False
        # Any Python 3: ctypes does not depend on the Python ABI.
        build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"


def _build(repository):
    """Builds the library and the program; returns the folder for couchdrop/_lib and the program's path."""
    if not (repository / "Cargo.toml").exists():
        sys.exit("couchdrop: no sources of libcouchdrop are here: install from a clone of its repository")
    for tool, package in (("cargo", "Rust 1.85 or later"), ("cc", "a C compiler"), ("make", "GNU make")):
        if not shutil.which(tool):
            sys.exit(f"couchdrop: {tool} was not found, which builds libcouchdrop: install {package}")
    # Its output goes to the one of pip, which shows it with --verbose or after a failure.
    subprocess.run(["make", "--no-print-directory", "lib", "program"], cwd=repository, check=True)
    library = next((repository / "target" / "stage" / "lib").glob("libcouchdrop.so.?"))
    program = repository / "target" / "cli" / "program" / "couchdrop"
    command = [repository / "scripts" / "wheel-content", library, program]
    folder = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return folder, str(program)
