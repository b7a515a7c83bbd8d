"""One call into the library: what may stop it, and what Python code runs meanwhile.

Python code runs in two places: signal handlers, when the library asks the main thread whether to go on, and
a logger. What they raise (Ctrl-C: KeyboardInterrupt) can't pass through the library. So it is kept, stops the
call, and is raised after it.

Both are generators. A function may be interrupted by a signal before its `try`, and ctypes swallows what a
callback raises; a generator waits inside of its `try`.
"""

from __future__ import annotations

import ctypes

from . import _abi, _process
from ._abi import CheckFunction, Error, is_released, library
from ._arguments import milliseconds
from ._errors import exception_from
from ._token import token_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, Callable, NoReturn

    from ._abi import Cancel, Options
    from ._arguments import Credentials
    from ._log import Logger
    from ._token import Token


class Call:
    """May be stopped from any thread, before and while it runs. For one use."""

    __slots__ = ("_cancel", "_logger", "_options", "_over", "_raised")

    def __init__(self, options: Options, logger: Logger | None) -> None:
        self._options = options
        self._logger = logger
        self._cancel: Cancel = library.cd_cancel_new()
        self._raised: BaseException | None = None
        self._over = False

    def stop(self) -> None:
        # Of a coroutine that is garbage, the handle may have been finalized first.
        if not is_released(self._cancel):
            library.cd_cancel_trigger(self._cancel)

    def authenticate(self, timeout: float, credentials: Credentials) -> Token:
        token = _abi.Token()
        self._run(library.cd_authenticate_with, timeout, *credentials.pointers, ctypes.byref(token))
        return token_from(token)

    def connect(self, timeout: float) -> None:
        """A timeout of 0 means the options' connect timeout."""
        self._run(library.cd_connect, timeout)

    def _run(self, function: Any, timeout: float, *others: Any) -> None:
        error = Error()
        arguments = (self._options, self._cancel, milliseconds(timeout), *others, ctypes.byref(error))
        run = self._run_on_main_thread if _process.on_main_thread() else self._run_on_other_thread
        failed = (
            run(function, arguments)
            if self._logger is None
            else self._run_with_logger(run, function, arguments)
        )
        if self._raised is not None:
            self._raise()
        if failed:
            raise exception_from(error)

    def _run_on_main_thread(self, function: Any, arguments: tuple[Any, ...]) -> int:
        asked = self._guarded(self._answers())
        try:
            next(asked)
            check = CheckFunction(asked.send)
            library.cd_cancel_set_check(self._cancel, check, None)
            failed: int = function(*arguments)
            return failed
        finally:
            # The garbage collection would end it too, but what signal handlers raise is lost there.
            self._over = True
            next(asked, None)

    def _run_on_other_thread(self, function: Any, arguments: tuple[Any, ...]) -> int:
        calls = _process.calls
        calls.enter(self._cancel)
        try:
            failed: int = function(*arguments)
            return failed
        finally:
            calls.leave(self._cancel)

    def _run_with_logger(self, run: Callable[..., int], function: Any, arguments: tuple[Any, ...]) -> int:
        from functools import partial

        from ._log import this_thread

        lines = self._guarded(self._log_lines())
        outer = this_thread.log
        try:
            next(lines)
            # Sends the generator one argument after the other, and runs no Python code on the way.
            this_thread.log = partial(max, key=lines.send)
            return run(function, arguments)
        finally:
            self._over = True
            next(lines, None)
            this_thread.log = outer

    def _guarded(self, work: Generator[int, Any, None]) -> Generator[int, Any, None]:
        """Does some work; what it raises stops the call, and is kept."""
        try:
            try:
                yield from work
            except GeneratorExit:
                return
            except BaseException as raised:
                self._raised = raised
                self.stop()
        except BaseException as raised:
            # Of a second signal: its handler runs in the middle of the lines above, perhaps before the call
            # was stopped. Then it ends when the library asks next.
            self._raised = raised
        while not self._over:
            yield 1

    def _answers(self) -> Generator[int, None, None]:
        """Whether to stop, 0 or 1. To be resumed runs the signal handlers that are due."""
        while not self._over:
            yield 0 if self._raised is None else 1

    def _log_lines(self) -> Generator[int, Any, None]:
        """Takes the arguments of a `LogFunction` one by one."""
        from ._log import write

        assert self._logger is not None
        while True:
            yield 0
            if self._over:
                return
            level = yield 0
            message = yield 0
            write(self._logger, level, message)

    def _raise(self) -> NoReturn:
        raised = self._raised
        self._raised = None
        assert raised is not None
        try:
            # Without the frames above: they hold this call, which would live as long as the traceback.
            traceback = raised.__traceback__
            while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
                traceback = traceback.tb_next
            raise raised.with_traceback(traceback)
        finally:
            del raised


class Login:
    """A login with checked arguments. Either `run` or `abandon` ends it; both wipe the password."""

    __slots__ = ("_call", "_credentials")

    def __init__(self, call: Call, credentials: Credentials) -> None:
        credentials.check()
        self._call = call
        self._credentials = credentials

    def run(self, timeout: float) -> Token:
        try:
            return self._call.authenticate(timeout, self._credentials)
        finally:
            self.abandon()

    def stop(self) -> None:
        """From any thread, before and while it runs."""
        self._call.stop()

    def abandon(self) -> None:
        self._credentials.wipe()
