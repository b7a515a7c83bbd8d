"""What every package that calls a shared library must import."""

import ctypes

assert ctypes
