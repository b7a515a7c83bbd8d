"""Adds the library to a wheel and sets the wheel's platform tag.

COUCHDROP_WHEEL_LIBRARY names a folder, whose files become couchdrop/_lib. COUCHDROP_WHEEL_PLATFORM sets the
platform tag (``manylinux_2_17_x86_64``); the default is this machine's. Without a folder the wheel is for any
platform and uses the system's library.
"""

import os
import sysconfig

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarryLibrary(BuildHookInterface):
    def initialize(self, version, build_data):
        folder = os.environ.get("COUCHDROP_WHEEL_LIBRARY")
        if not folder:
            return
        build_data["force_include"][folder] = "couchdrop/_lib"
        platform = os.environ.get("COUCHDROP_WHEEL_PLATFORM") or sysconfig.get_platform()
        build_data["pure_python"] = False
        # Any Python 3: ctypes does not depend on the Python ABI.
        build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"
