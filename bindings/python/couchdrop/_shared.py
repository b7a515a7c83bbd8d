"""Objects of the library that several threads use, one of which may end their use at any moment."""

from __future__ import annotations

from ._abi import is_released

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Shared:
    """A handle and its users. Once it is closed, the last user that leaves frees the handle.

    No method takes a lock: the garbage collection may run another one within any line. If an exception of a
    signal handler keeps a user from leaving, the handle's finalizer frees it.
    """

    __slots__ = ("_closed", "_owned", "_users", "handle")

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        # By identity.
        self._users: dict[int, bool] = {}
        self._closed = False
        # Emptied by the one thread that frees the handle.
        self._owned = [True]

    @property
    def is_closed(self) -> bool:
        return self._closed or is_released(self.handle)

    def enter(self, user: object) -> bool:
        """Keeps the handle until the user leaves. False if it is closed."""
        self._users[id(user)] = True
        # In this order: `close` looks at the users after it has set the flag.
        if self.is_closed:
            self.leave(user)
            return False
        return True

    def leave(self, user: object) -> None:
        """May be called again."""
        self._users.pop(id(user), None)
        if self._closed:
            self._free_unless_used()

    def close(self) -> None:
        """May be called again."""
        self._closed = True
        self._free_unless_used()

    def _free_unless_used(self) -> None:
        if self._users:
            return
        try:
            self._owned.pop()
        except IndexError:
            return
        self.handle.release()
