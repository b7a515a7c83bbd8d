"""Checks a caller's arguments and converts them for C.

The library checks values itself. This module rejects values that ctypes would silently change: a string with
a NUL, or a number that is too large.
"""

from __future__ import annotations

import ctypes

from . import _abi
from ._abi import library
from ._errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TIMEOUT = 3600.0
# The same as the library's.
MAX_STRING_BYTES = 65_536
# The largest uint32_t.
MAX_AGE = 4_294_967_295


def _not_for_c(message: str) -> ArgumentError:
    return ArgumentError(message, code=_abi.CD_ERR_INVALID_UTF8)


class Text:
    """A string for the library. Its repr does not show it, and it can be wiped.

    Does not raise before `check`: the traceback would contain a frame with the string in a variable.
    """

    __slots__ = ("_buffer", "_problem")

    def __init__(self, name: str, value: object) -> None:
        self._buffer: Any = None
        self._problem: Exception | None = None
        if not isinstance(value, str):
            self._problem = TypeError(f"{name} must be str, not {type(value).__name__}")
        elif str.find(value, "\0") >= 0:  # not `in`, which a subclass may override
            self._problem = _not_for_c(f"{name} holds a NUL character")
        else:
            try:
                self._buffer = ctypes.create_string_buffer(str.encode(value, "utf-8"))
            except UnicodeEncodeError:
                self._problem = _not_for_c(f"{name} can't be UTF-8: it holds a lone surrogate")

    def check(self) -> None:
        problem, self._problem = self._problem, None
        try:
            if problem is not None:
                raise problem
        finally:
            # Its traceback refers to this frame.
            del problem

    def check_length(self, name: str) -> None:
        """Checks also the length, for a text that is not given to the library in every case."""
        self.check()
        if len(self._buffer) - 1 > MAX_STRING_BYTES:
            self.wipe()
            raise ArgumentError(
                f"{name} must not be longer than {MAX_STRING_BYTES} bytes", code=_abi.CD_ERR_OUT_OF_RANGE
            )

    @property
    def pointer(self) -> Any:
        """For an argument of type ``const char *``."""
        return self._buffer

    def holds(self, other: bytes) -> bool:
        # Both texts are this program's own. PyPy's hmac.compare_digest turns an exception that a signal
        # handler raises into a TypeError.
        return bool(self._buffer.value == other)

    def wipe(self) -> None:
        if self._buffer is not None:
            library.cd_secure_zero(self._buffer, len(self._buffer))


class Credentials:
    """The arguments of a login, which no traceback shows. A ``with`` block that fails wipes them."""

    __slots__ = ("_password", "_system", "_username")

    def __init__(self, username: object, password: object, system: object) -> None:
        self._username = Text("username", username)
        self._password = Text("password", password)
        self._system = None if system is None else Text("system", system)

    def check(self) -> None:
        self._username.check()
        self._password.check()
        if self._system is not None:
            self._system.check()

    @property
    def pointers(self) -> tuple[Any, Any, Any]:
        """Username, password and system as arguments for the library."""
        return (
            self._username.pointer,
            self._password.pointer,
            None if self._system is None else self._system.pointer,
        )

    def __enter__(self) -> Credentials:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.wipe()

    def wipe(self) -> None:
        self._username.wipe()
        self._password.wipe()


def seconds(name: str, value: object, *, zero: bool = False) -> float:
    """Checks a time in seconds: above 0 (or 0 if `zero` is True), up to an hour."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    # Written so that NaN is rejected too.
    if not (0 < value <= MAX_TIMEOUT or (zero and value == 0)):
        raise ArgumentError(
            f"{name} must be {'0' if zero else 'above 0'} to {MAX_TIMEOUT:.0f} seconds",
            code=_abi.CD_ERR_OUT_OF_RANGE,
        )
    return float(value)


def age(name: str, value: object, lowest: int) -> int:
    """Checks the age of a token in seconds, and rounds it up."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    # Written so that NaN is rejected too.
    if not lowest <= value <= MAX_AGE and not 0 < value < 1:
        raise ArgumentError(
            f"{name} must be {'above 0' if lowest else '0'} to {MAX_AGE} seconds",
            code=_abi.CD_ERR_OUT_OF_RANGE,
        )
    return int(-(-value // 1))


def milliseconds(value: float) -> int:
    """Converts checked seconds. A positive value is not rounded to 0, which has a special meaning."""
    return max(1, round(value * 1000)) if value else 0


def backoff_pair(name: str, value: object) -> tuple[float, float]:
    """Checks the first and the longest wait, in seconds."""
    takes = f"{name} must be two numbers of seconds, the first and the longest wait"
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{takes}, not {type(value).__name__}")
    if len(value) != 2:
        raise ArgumentError(f"{takes}, not {len(value)}", code=_abi.CD_ERR_OUT_OF_RANGE)
    first = seconds(f"{name}[0]", value[0], zero=True)
    longest = seconds(f"{name}[1]", value[1], zero=True)
    return first, longest


def integer(name: str, value: object, lowest: int, highest: int) -> int:
    """Checks an integer; ctypes would truncate one that is too large."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    if not lowest <= value <= highest:
        raise ArgumentError(f"{name} must be from {lowest} to {highest}", code=_abi.CD_ERR_OUT_OF_RANGE)
    return value
