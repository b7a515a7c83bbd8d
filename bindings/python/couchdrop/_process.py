"""The calls that are under way on other threads than the main one, so that the interpreter ends cleanly.

The way from the library back into Python, to a logger for instance, aborts the process once the interpreter
is gone. So its end stops these calls, waits until they have left the library, and lets no new ones in. The
main thread needs none of this: it is the one that ends the interpreter.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import allocate_lock

from ._abi import Cancel, library
from ._errors import Cancelled


class _Calls:
    def __init__(self) -> None:
        self._lock = allocate_lock()
        # Taken by the end while it waits, and given back by the last call that leaves.
        self._all_left = allocate_lock()
        # By identity: objects of ctypes can't be in a set.
        self._handles: dict[int, Cancel] = {}
        self._ended = False

    def enter(self, cancel: Cancel) -> None:
        """Raises Cancelled when the interpreter ends."""
        with self._lock:
            if self._ended:
                raise Cancelled("The interpreter ends: no login may start any more.")
            self._handles[id(cancel)] = cancel

    def leave(self, cancel: Cancel) -> None:
        with self._lock:
            self._handles.pop(id(cancel), None)
            if self._ended and not self._handles:
                self._all_left.release()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            for cancel in self._handles.values():
                library.cd_cancel_trigger(cancel)
            if not self._handles:
                return
            self._all_left.acquire()
        self._all_left.acquire()


calls = _Calls()


def on_main_thread() -> bool:
    """Whether this is the thread that runs Python's signal handlers."""
    # Who has not imported it has one thread; to import it here would take longer than all of this package.
    threading = sys.modules.get("threading")
    return threading is None or bool(threading.get_ident() == threading.main_thread().ident)


def _start_anew() -> None:
    # A thread of the parent may have held the lock, and its calls are not here.
    global calls
    calls = _Calls()


atexit.register(lambda: calls.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
