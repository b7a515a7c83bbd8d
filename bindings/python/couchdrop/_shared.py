"""Objects of the library that several threads use, and that any thread may close at any time."""

from __future__ import annotations

from ._abi import is_released

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Shared:
    """A handle and its users. After it is closed, the last user that leaves frees the handle.

    No method takes a lock: the garbage collector may run another method within any line. If an exception of a
    signal handler prevents a user from leaving, the handle's finalizer frees the handle.
    """

    __slots__ = ("_closed", "_owned", "_users", "handle")

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        # Keyed by identity.
        self._users: dict[int, bool] = {}
        self._closed = False
        # The thread that empties this list frees the handle.
        self._owned = [True]

    @property
    def is_closed(self) -> bool:
        return self._closed or is_released(self.handle)

    def enter(self, user: object) -> bool:
        """Keeps the handle until the user leaves. Returns False if it is closed."""
        self._users[id(user)] = True
        # In this order: `close` sets the flag before it reads the users.
        if self.is_closed:
            self.leave(user)
            return False
        return True

    def leave(self, user: object) -> None:
        """Removes a user. May be called again."""
        self._users.pop(id(user), None)
        if self._closed:
            self._free_unless_used()

    def close(self) -> None:
        """Frees the handle when it has no users. May be called again."""
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
