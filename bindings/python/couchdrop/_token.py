"""The result of a login."""

from __future__ import annotations

import ctypes

from . import _abi
from ._abi import TOKEN_HEADER, SharedHandle, library
from ._errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_LENGTH = 65_536


class Token:
    """The result of a login: a short-lived secret with the permissions of the user who logged in.

    Only `value` and `headers` return it: it prints masked, and can be neither pickled nor copied. `wipe`, the
    end of a ``with`` block or its finalizer wipes it. The string that `value` returned is a copy, which can't
    be wiped.

    Tokens can be compared, in constant time. Any thread may use them.

    A login creates tokens. ``Token("abc")`` creates one for a test of code that takes a token.

    Args:
        value: 1 to 65,536 characters from 0x21 to 0x7E, as in a token of the service.
    """

    __slots__ = ("__weakref__", "_shared")

    # An object with `copy` and `release`.
    _shared: SharedHandle

    def __init__(self, value: str | bytes) -> None:
        problem = _problem_of(value)
        if problem is not None:
            # The traceback refers to this frame.
            del value
            raise problem
        self._shared = SharedHandle(_Characters(value.encode("ascii") if isinstance(value, str) else value))

    @property
    def value(self) -> str:
        """The token in clear text: printable ASCII. Raises ValueError if it was wiped."""
        characters = _read(self)
        if characters is None:
            raise ValueError("the token was wiped")
        return characters.decode("ascii")

    def headers(self) -> dict[str, str]:
        """Returns the header for a request with this token. Send it over https, and only to the service.

        Disable redirects: most HTTP clients send the header to another host after a redirect.
        """
        return {TOKEN_HEADER: self.value}

    def wipe(self) -> None:
        """Overwrites the token in memory. May be called again."""
        self._shared.close()

    def __enter__(self) -> Token:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return "<couchdrop.Token (masked)>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        mine, others = _read(self), _read(other)
        if mine is None or others is None:
            return self is other
        import hmac

        return hmac.compare_digest(mine, others)

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a Token can't be pickled or copied")


class _Characters:
    """The handle of a token that was not created by a login."""

    __slots__ = ("_buffer",)

    def __init__(self, characters: bytes) -> None:
        self._buffer = (ctypes.c_char * len(characters))()
        ctypes.memmove(self._buffer, characters, len(characters))

    def copy(self) -> bytes:
        return self._buffer.raw

    def release(self) -> None:
        library.cd_secure_zero(self._buffer, len(self._buffer))

    __del__ = release


def token_from(handle: _abi.Token) -> Token:
    """Converts a token of the library. The token frees the handle."""
    token = Token.__new__(Token)
    token._shared = SharedHandle(handle)
    return token


def _read(token: Token) -> bytes | None:
    """Returns a copy of the characters, or None if the token was wiped."""
    shared, reader = token._shared, object()
    if not shared.enter(reader):
        return None
    try:
        characters: bytes = shared.handle.copy()
        return characters
    finally:
        shared.leave(reader)


def _problem_of(value: object) -> Exception | None:
    """Returns the reason why `value` can't be a token, without quoting it."""
    if not isinstance(value, (str, bytes)):
        return TypeError(f"a Token is made of str or bytes, not {type(value).__name__}")
    codes = value if isinstance(value, bytes) else map(ord, value)
    if not value:
        return ArgumentError("a token must not be empty", code=_abi.CD_ERR_EMPTY_ARGUMENT)
    if len(value) > MAX_LENGTH:
        return ArgumentError(f"a token has at most {MAX_LENGTH:,} characters", code=_abi.CD_ERR_OUT_OF_RANGE)
    if not all(0x21 <= code <= 0x7E for code in codes):
        return ArgumentError(
            "a token has only characters from 0x21 to 0x7E: ASCII without spaces and control characters",
            code=_abi.CD_ERR_OUT_OF_RANGE,
        )
    return None
