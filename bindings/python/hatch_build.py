"""What hatchling can't know: the library that a wheel carries, and the platform that this makes it for.

COUCHDROP_WHEEL_LIBRARY names a folder; what is in it becomes couchdrop/_lib. The wheel is tagged for this
machine, or as COUCHDROP_WHEEL_PLATFORM says (``manylinux_2_17_x86_64``). Without a folder the wheel is for
any platform, and takes the system's library.
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
        # Any Python 3: ctypes needs no ABI of it.
        build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"
