"""What hatchling can't know: the platform of a wheel that carries the shared library.

A wheel carries what lies in couchdrop/_lib. It is tagged for this machine, or as COUCHDROP_WHEEL_PLATFORM
says (``manylinux_2_17_x86_64``). Without a library it is for any platform, and takes the system's library.
"""

import glob
import os
import sysconfig

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarryLibrary(BuildHookInterface):
    def initialize(self, version, build_data):
        if glob.glob(os.path.join(self.root, "couchdrop", "_lib", "*couchdrop*")):
            platform = os.environ.get("COUCHDROP_WHEEL_PLATFORM") or sysconfig.get_platform()
            build_data["pure_python"] = False
            # Any Python 3: ctypes needs no ABI of it.
            build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"
