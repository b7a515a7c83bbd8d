"""One call into the library: how it is stopped, and the Python code that runs during it.

During a call the library runs Python code in two callbacks: the check on the main thread, which lets signal
handlers run, and the logger. Their exceptions (Ctrl-C: KeyboardInterrupt) must not unwind through the
library. So an exception is stored, stops the call, and is raised after it.
"""

from __future__ import annotations

import ctypes

from . import _abi, _shutdown
from ._abi import CheckFunction, Error, SharedHandle, callback, library
from ._arguments import milliseconds
from ._errors import exception_from
from ._token import token_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, NoReturn

    from ._arguments import Credentials, Text
    from ._client import SharedOptions
    from ._log import LogWriter
    from ._token import Token


def closed() -> RuntimeError:
    return RuntimeError("this couchdrop.Client is closed")


# The flag of a generator in a code object's `co_flags`. The module inspect has it, but is slow to import.
CO_GENERATOR = 0x20


class Call:
    """A call that any thread may stop, before and while it runs. For one use; `end` must follow."""

    __slots__ = ("_callback_error", "_cancel", "_is_finished", "_log", "_options")

    def __init__(self, options: SharedOptions, log: LogWriter | None) -> None:
        self._options = options
        self._log = log
        # The exception of a callback.
        self._callback_error: BaseException | None = None
        # True when the library has returned.
        self._is_finished = False
        if not options.enter(self):
            raise closed()
        self._cancel = SharedHandle(library.cd_cancel_new())

    def stop(self) -> None:
        """Stops the call if it is not over. Any thread may call it."""
        user = object()
        if self._cancel.enter(user):
            library.cd_cancel_trigger(self._cancel.handle)
            self._cancel.leave(user)

    def end(self) -> None:
        """Frees the resources of the call. May be called again."""
        self._cancel.close()
        self._options.leave(self)

    def authenticate(self, timeout: float, credentials: Credentials) -> Token:
        token = _abi.Token()
        function = library.cd_authenticate_with
        self._run(function, self._options.handle, timeout, *credentials.pointers, ctypes.byref(token))
        return token_from(token)

    def connect(self, timeout: float) -> None:
        """A timeout of 0 means the options' connect timeout."""
        self._run(library.cd_connect, self._options.handle, timeout)

    def session_token(self, session: _abi.Session, timeout: float, rejected: Text | None) -> Token:
        token = _abi.Token()
        pointer = None if rejected is None else rejected.pointer
        self._run(library.cd_session_token, session, timeout, pointer, ctypes.byref(token))
        return token_from(token)

    def _run(self, function: Any, handle: _abi.Handle, timeout: float, *others: Any) -> None:
        self._options.pass_environment()
        error = Error()
        cancel = self._cancel.handle
        arguments = (handle, cancel, milliseconds(timeout), *others, ctypes.byref(error))
        if self._log is None:
            failed = self._run_on_this_thread(function, arguments)
        else:
            failed = self._run_with_log(self._log, function, arguments)
        if self._callback_error is not None:
            error.release()
            self._raise()
        if failed:
            raise exception_from(error)

    def _run_with_log(self, log: LogWriter, function: Any, arguments: tuple[Any, ...]) -> int:
        lines = self._guard(log.lines())
        next(lines)
        before = log.start(lines, self._keep)
        try:
            return self._run_on_this_thread(function, arguments)
        finally:
            self._is_finished = True
            lines.close()
            log.end(before)

    def _run_on_this_thread(self, function: Any, arguments: tuple[Any, ...]) -> int:
        if _shutdown.on_main_thread():
            return self._run_on_main_thread(function, arguments)
        calls = _shutdown.calls
        calls.enter(self)
        try:
            failed: int = function(*arguments)
            return failed
        finally:
            calls.leave(self)

    def _run_on_main_thread(self, function: Any, arguments: tuple[Any, ...]) -> int:
        answers = self._guard(self._answers())
        try:
            next(answers)
            check = callback(CheckFunction, answers.send, self._callback_failed)
            library.cd_cancel_set_check(self._cancel.handle, check, None)
            failed: int = function(*arguments)
            return failed
        finally:
            self._is_finished = True
            answers.close()

    def _answers(self) -> Generator[int, None, None]:
        """Answers the check: 1 to stop the call, or else 0. Resuming it runs pending signal handlers."""
        while True:
            yield 0 if self._callback_error is None else 1

    def _guard(self, work: Generator[int, Any, None]) -> Generator[int, Any, None]:
        """Runs a generator that serves a callback. Stores its exception and stops the call.

        Callbacks are generators, because a signal handler can raise at the start of a function, before its
        ``try``, and ctypes drops exceptions of callbacks. A generator is resumed inside its ``try``. `work`
        has its own frame, because Python 3.13 does not protect the end of a ``while`` inside the ``try``.
        """
        try:
            try:
                yield from work
            except GeneratorExit:
                return
            except BaseException as raised:
                self._callback_error = raised
                self.stop()
        except BaseException as raised:
            # From the handler of a second signal, which interrupted the lines above. If they had not yet
            # stopped the call, it ends at the next check by the library.
            self._callback_error = raised
        while not self._is_finished:
            yield 1

    def _keep(self, raised: BaseException) -> None:
        self._callback_error = raised
        self.stop()

    def _callback_failed(self, kind: object, raised: BaseException, traceback: object) -> None:
        self._keep(raised)

    def _raise(self) -> NoReturn:
        raised = self._callback_error
        assert raised is not None
        # Python 3.13 can crash when a debugger reads the variables of a generator's frame that has ended.
        trace = raised.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_flags & CO_GENERATOR:
            trace = trace.tb_next
        try:
            raise raised.with_traceback(trace)
        finally:
            # The traceback refers to this frame and to this call.
            self._callback_error = raised = trace = None


class Login:
    """A login with checked arguments. Either `run` or `abandon` ends it; both wipe the password."""

    __slots__ = ("_call", "_credentials")

    def __init__(self, call: Call, credentials: Credentials) -> None:
        self._call = call
        self._credentials = credentials

    def run(self, timeout: float) -> Token:
        try:
            return self._call.authenticate(timeout, self._credentials)
        finally:
            self.abandon()

    def stop(self) -> None:
        """Stops the login. Any thread may call it, before and while the login runs."""
        self._call.stop()

    def abandon(self) -> None:
        self._credentials.wipe()
        self._call.end()
