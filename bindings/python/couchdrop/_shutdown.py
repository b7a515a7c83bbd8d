"""The calls that an exit of the interpreter must stop, and the state that a child of fork resets.

A callback from the library into Python, for instance to a logger, aborts the process after the interpreter
was finalized. So the exit handler stops the calls in progress, waits until they have left the library, and
rejects new ones. Calls on the main thread are not tracked: that thread runs the exit handler.
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
    """The calls in progress on threads other than the main thread.

    `enter` and `leave` take no lock, because the garbage collector may run another call between their lines.
    """

    def __init__(self) -> None:
        # `end` holds it while it waits. The last call that leaves releases it.
        self._all_left = allocate_lock()
        # Keyed by identity: a set would run Python code to compare calls.
        self._under_way: dict[int, Call] = {}
        self._ended = False

    def enter(self, call: Call) -> None:
        """Raises Cancelled if the interpreter is exiting."""
        self._under_way[id(call)] = call
        # In this order: `end` sets `_ended` before it reads the calls.
        if self._ended:
            self.leave(call)
            raise Cancelled("The interpreter ends: no login may start any more.")

    def leave(self, call: Call) -> None:
        self._under_way.pop(id(call), None)
        if self._ended and not self._under_way:
            try:
                self._all_left.release()
            except RuntimeError:
                # Another call has already released it.
                pass

    def end(self) -> None:
        self._all_left.acquire()
        self._ended = True
        for call in list(self._under_way.values()):
            call.stop()
        if self._under_way:
            self._all_left.acquire()


calls = _Calls()
# Held while an options handle receives the variables. Reentrant, because a signal handler may log in.
environment_lock = RLock()


def _find_main_thread() -> int:
    # If threading is not imported, there is almost always one thread. Importing it here takes longer than
    # importing this package.
    threading = sys.modules.get("threading")
    return get_ident() if threading is None else int(threading.main_thread().ident)


_main_thread = _find_main_thread()


def on_main_thread() -> bool:
    """Returns True on the thread that runs Python's signal handlers."""
    return get_ident() == _main_thread


def _reset_in_child() -> None:
    # The parent's calls do not exist in the child, and the thread that forked is its main thread.
    global calls, _main_thread, environment_lock
    calls = _Calls()
    environment_lock = RLock()
    _main_thread = get_ident()


atexit.register(lambda: calls.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
