"""The result of a login."""

from __future__ import annotations

from . import _abi
from ._abi import TOKEN_HEADER, is_released, library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Token:
    """A secret that stands for a login. Short-lived; it has the rights of the user who logged in.

    Nothing shows it but `value` and `headers`: it prints masked, and can be neither pickled nor copied. It is
    wiped when it is garbage, at once by `wipe`, or at the end of a ``with`` block; what `value` returned is a
    copy that Python keeps for as long as it likes.

    Tokens may be compared with each other, in a time that tells nothing of them. Any thread may use them.
    """

    __slots__ = ("__weakref__", "_handle")

    # None once it was wiped.
    _handle: _abi.Token | None

    def __init__(self) -> None:
        raise TypeError("a Token comes from a login alone")

    @property
    def value(self) -> str:
        """The token itself: printable ASCII. Raises ValueError when it was wiped."""
        # Another thread that wipes meanwhile only gives up its reference.
        handle = self._handle
        if handle is None or is_released(handle):
            raise ValueError("the token was wiped")
        characters: bytes = library.cd_token_str(handle)
        return characters.decode("ascii")

    def headers(self) -> dict[str, str]:
        """The header that a request with this token needs. Send it over https, to the service alone.

        Most HTTP clients send it on to another host after a redirect: let them follow none.
        """
        return {TOKEN_HEADER: self.value}

    def wipe(self) -> None:
        """Overwrites the token in memory. May be called again."""
        self._handle = None

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
        mine, others = self._handle, other._handle
        if mine is None or others is None or is_released(mine) or is_released(others):
            return self is other
        import hmac

        return hmac.compare_digest(library.cd_token_str(mine), library.cd_token_str(others))

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a Token can't be pickled or copied")


def token_from(handle: _abi.Token) -> Token:
    token = Token.__new__(Token)
    token._handle = handle
    return token
