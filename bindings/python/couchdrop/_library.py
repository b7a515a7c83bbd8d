"""Finds and loads the shared library.

Search order:

1. ``couchdrop/_lib`` beside this package, which a wheel contains;
2. the file in the environment variable ``COUCHDROP_LIBRARY`` (ignored in a set-user-id process);
3. the system's search path for libraries.

The first one that exists must load. There is no fallback to the next one.
"""

from __future__ import annotations

import ctypes
import os
import sys

ABI_VERSION = 1

if sys.platform == "win32":
    FILE_NAME = "couchdrop.dll"
elif sys.platform == "darwin":
    FILE_NAME = f"libcouchdrop.{ABI_VERSION}.dylib"
else:
    FILE_NAME = f"libcouchdrop.so.{ABI_VERSION}"

VARIABLE = "COUCHDROP_LIBRARY"


def load() -> tuple[ctypes.CDLL, str]:
    """Returns the library and the path or name that was loaded. Raises ImportError."""
    path, looked = _find()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        reason = str(error).removeprefix(f"Cannot load library {path}: ")  # PyPy adds this
        # Most messages name the file, but not if a dependency of it is missing.
        looked.append(reason if path in reason else f"{path}: {reason}")
        raise ImportError(
            "couchdrop needs the shared library libcouchdrop. Looked for it here:\n  "
            + "\n  ".join(looked)
            + f"\nInstall libcouchdrop, or name its file in {VARIABLE}.",
            path=path,
        ) from None
    _check_abi(library, path)
    return library, path


def _find() -> tuple[str, list[str]]:
    """Returns the path or name to load, and a description of each place without a library."""
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib", FILE_NAME)
    if os.path.exists(bundled):
        return bundled, []
    looked = [f"{bundled}: no such file"]
    named = os.environ.get(VARIABLE)
    if not named:
        looked.append(f"{VARIABLE}: not set")
    elif _has_raised_privileges():
        looked.append(f"{VARIABLE}: ignored, since this process has another user's privileges")
    else:
        # Absolute, because dlopen searches for a name without a slash.
        return os.path.abspath(named), looked
    return FILE_NAME, looked


def _has_raised_privileges() -> bool:
    """Returns True if the user who set the environment may have fewer privileges than this process."""
    if sys.platform == "win32":
        return False
    if os.getuid() != os.geteuid() or os.getgid() != os.getegid():
        return True
    # On Linux, AT_SECURE also covers file capabilities.
    getauxval = getattr(ctypes.CDLL(None), "getauxval", None)
    if getauxval is None:
        return False
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    at_secure = 23
    return bool(getauxval(at_secure))


def _check_abi(library: ctypes.CDLL, path: str) -> None:
    try:
        abi_version = library.cd_abi_version
    except AttributeError:
        raise ImportError(f"{path} is not libcouchdrop: it has no cd_abi_version()", path=path) from None
    abi_version.argtypes, abi_version.restype = [], ctypes.c_uint32
    found = abi_version()
    if found != ABI_VERSION:
        raise ImportError(
            f"{path} has version {found} of libcouchdrop's ABI; this package needs version {ABI_VERSION}",
            path=path,
        )
