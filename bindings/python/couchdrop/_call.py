"""One call into the library: what may stop it, and what Python code may run meanwhile.

In the main thread the library asks, whenever a signal interrupts its wait, whether to go on, and Python's signal
handlers run then. What they raise (Ctrl-C: KeyboardInterrupt) stops the call, and is raised after it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Generator
from typing import Any, NoReturn

from . import _abi, _process
from ._abi import Cancel, CheckFunction, Error, Options, library
from ._arguments import Credentials, milliseconds
from ._errors import exception_from
from ._token import Token, token_from


class Call:
    """May be stopped from any thread, before and while it runs. For one use."""

    __slots__ = ("_cancel", "_raised")

    def __init__(self) -> None:
        self._cancel: Cancel = library.cd_cancel_new()
        self._raised: BaseException | None = None

    def stop(self) -> None:
        library.cd_cancel_trigger(self._cancel)

    def authenticate(self, options: Options, timeout: float, credentials: Credentials) -> Token:
        token = _abi.Token()
        strings = credentials.pointers
        self._run(library.cd_authenticate_with, options, timeout, *strings, ctypes.byref(token))
        return token_from(token)

    def connect(self, options: Options, timeout: float) -> None:
        """A timeout of 0 means the options' connect timeout."""
        self._run(library.cd_connect, options, timeout)

    def _run(self, function: Any, options: Options, timeout: float, *others: Any) -> None:
        error = Error()
        arguments = (options, self._cancel, milliseconds(timeout), *others, ctypes.byref(error))
        outer = _this_thread.call
        try:
            _this_thread.call = self
            if _process.on_main_thread():
                signals = self._watch_signals()
                next(signals)
                # Not a plain function: that may be interrupted before its `try`, and ctypes swallows what a
                # callback raises. A generator waits inside of it.
                check = CheckFunction(signals.send)
                library.cd_cancel_set_check(self._cancel, check, None)
                failed = function(*arguments)
            else:
                calls = _process.calls
                calls.enter(self._cancel)
                try:
                    failed = function(*arguments)
                finally:
                    calls.leave(self._cancel)
        finally:
            _this_thread.call = outer
        if self._raised is not None:
            self._raise()
        if failed:
            raise exception_from(error)

    def _watch_signals(self) -> Generator[int, None, None]:
        """Answers the library's question whether to stop; signal handlers run where it is resumed."""
        try:
            while True:
                yield 0
        except GeneratorExit:
            return
        except BaseException as raised:
            self._raised = raised
        while True:
            yield 1

    def keep(self, raised: BaseException) -> None:
        """Stops the call because of an exception that can't pass through the library."""
        if self._raised is None:
            self._raised = raised
        self.stop()

    def _raise(self) -> NoReturn:
        raised = self._raised
        self._raised = None
        assert raised is not None
        try:
            # Without the frame that kept it: it holds this call, which would live as long as the traceback.
            traceback = raised.__traceback__
            raise raised.with_traceback(traceback.tb_next if traceback else None)
        finally:
            del raised


class Login:
    """A login with checked arguments. Either `run` or `abandon` ends it; both wipe the password."""

    __slots__ = ("_call", "_credentials", "_options")

    def __init__(self, options: Options, credentials: Credentials) -> None:
        credentials.check()
        self._call = Call()
        self._options = options
        self._credentials = credentials

    def run(self, timeout: float) -> Token:
        try:
            return self._call.authenticate(self._options, timeout, self._credentials)
        finally:
            self.abandon()

    def stop(self) -> None:
        """From any thread, before and while it runs."""
        self._call.stop()

    def abandon(self) -> None:
        self._credentials.wipe()


class _ThisThread(threading.local):
    call: Call | None = None


_this_thread = _ThisThread()


def stop_with(raised: BaseException) -> None:
    """For a callback of the library: ends the call that it belongs to, which raises this."""
    call = _this_thread.call
    if call is not None:
        call.keep(raised)
