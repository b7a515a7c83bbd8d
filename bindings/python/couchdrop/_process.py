"""The calls that are under way on other threads than the main one, so that the interpreter ends cleanly.

The way from the library back into Python, to a logger for instance, aborts the process once the interpreter
is gone. So its end stops these calls, waits until they have left the library, and lets no new ones in. The
main thread needs none of this: it is the one that ends the interpreter.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import RLock, allocate_lock, get_ident

from ._errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._call import Call


class _Calls:
    """No call takes a lock: the garbage collection may run another one amid any of these lines."""

    def __init__(self) -> None:
        # Taken by the end while it waits, and given back by the last call that leaves.
        self._all_left = allocate_lock()
        # By identity: a set would run Python code to compare them.
        self._under_way: dict[int, Call] = {}
        self._ended = False

    def enter(self, call: Call) -> None:
        """Raises Cancelled when the interpreter ends."""
        self._under_way[id(call)] = call
        # In this order: the end looks at the calls once it has said that it has come.
        if self._ended:
            self.leave(call)
            raise Cancelled("The interpreter ends: no login may start any more.")

    def leave(self, call: Call) -> None:
        self._under_way.pop(id(call), None)
        if self._ended and not self._under_way:
            try:
                self._all_left.release()
            except RuntimeError:
                # Another one that left has done so.
                pass

    def end(self) -> None:
        self._all_left.acquire()
        self._ended = True
        for call in list(self._under_way.values()):
            call.stop()
        if self._under_way:
            self._all_left.acquire()


calls = _Calls()
# Held while the variables are handed to an options handle. Reentrant, since a signal handler may log in.
environment_lock = RLock()


def _find_main_thread() -> int:
    # Without it nearly everybody has one thread; to import it here would take longer than the package.
    threading = sys.modules.get("threading")
    return get_ident() if threading is None else int(threading.main_thread().ident)


_main_thread = _find_main_thread()


def on_main_thread() -> bool:
    """Whether this is the thread that runs Python's signal handlers."""
    return get_ident() == _main_thread


def _start_anew() -> None:
    # A call of the parent is not here, and the thread that forked is the main one.
    global calls, _main_thread, environment_lock
    calls = _Calls()
    environment_lock = RLock()
    _main_thread = get_ident()


atexit.register(lambda: calls.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
