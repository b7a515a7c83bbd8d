"""One call into the library: how it is stopped, and the Python code that runs during it.

During a call the library runs Python code in two places: in the check callback on the main thread, which runs
signal handlers, and in a logger. Their exceptions (Ctrl-C: KeyboardInterrupt) must not unwind through the
library. So an exception is stored, stops the call, and is raised after it.

Both callbacks are generators. A signal can interrupt a function before its `try`, and ctypes drops
exceptions of callbacks. A generator is already inside its `try` when it is resumed.
"""

from __future__ import annotations

import ctypes
import os

from . import _abi, _process
from ._abi import CheckFunction, Error, callback, copied, is_released, library, partial
from ._arguments import milliseconds
from ._errors import exception_from
from ._shared import Shared
from ._token import token_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, Callable, NoReturn

    from ._abi import Cancel
    from ._arguments import Credentials
    from ._log import Logger
    from ._token import Token


# The variables that the library reads itself unless it receives their values.
VARIABLES = (
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


class SharedOptions(Shared):
    """The options of a client, shared by its calls."""

    __slots__ = ("_frozen",)

    def __init__(self) -> None:
        super().__init__(library.cd_options_new())
        self._frozen = False

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("an object of libcouchdrop can't be pickled or copied")

    def pass_environment(self) -> None:
        """Passes the variables to the library, whose getenv would be a data race with os.environ.

        Has no effect once the options are frozen: they use the environment of the first login.
        """
        if self._frozen:
            return
        # Held until the options are frozen, so that they receive the variables of one thread only.
        with _process.environment_lock:
            for name in VARIABLES:
                error = Error()
                setter = library.cd_options_set_environment
                code: int = setter(self.handle, name.encode(), _variable(name), ctypes.byref(error))
                if code == _abi.CD_ERR_OPTIONS_IN_USE:
                    self._frozen = True
                    error.release()
                    return
                if code:
                    raise exception_from(error)
            self._freeze()

    def _freeze(self) -> None:
        # A call with a triggered handle freezes the options and has no other effect.
        error, stopped = Error(), library.cd_cancel_new()
        library.cd_cancel_trigger(stopped)
        code: int = library.cd_connect(self.handle, stopped, 0, ctypes.byref(error))
        stopped.release()
        if code != _abi.CD_ERR_CANCELLED:
            raise exception_from(error)
        error.release()
        self._frozen = True


def closed() -> RuntimeError:
    return RuntimeError("this couchdrop.Client is closed")


def _variable(name: str) -> bytes | None:
    if os.supports_bytes_environ:
        return os.environb.get(name.encode())
    value = os.environ.get(name)
    return None if value is None else value.encode("utf-8", "surrogatepass")


class Call:
    """A call that any thread may stop, before and while it runs. For one use; `end` must follow."""

    __slots__ = ("_cancel", "_idle_cancel", "_logger", "_options", "_over", "_raised")

    def __init__(self, options: SharedOptions, logger: Logger | None) -> None:
        self._options = options
        self._logger = logger
        self._raised: BaseException | None = None
        self._over = False
        if not options.enter(self):
            raise closed()
        self._cancel: Cancel = library.cd_cancel_new()
        # Empty while a thread triggers the handle, and after it was freed. The last user frees it.
        self._idle_cancel = [self._cancel]

    def stop(self) -> None:
        try:
            cancel = self._idle_cancel.pop()
        except IndexError:
            # The call is over, or another thread stops it now.
            return
        # If the garbage collector closes a coroutine, it may have finalized the handle before.
        if not is_released(cancel):
            library.cd_cancel_trigger(cancel)
        self._idle_cancel.append(cancel)
        if self._over:
            self._free_cancel()

    def end(self) -> None:
        """Frees the resources of the call. May be called again."""
        self._over = True
        self._free_cancel()
        self._options.leave(self)

    def _free_cancel(self) -> None:
        try:
            cancel = self._idle_cancel.pop()
        except IndexError:
            return
        cancel.release()

    def authenticate(self, timeout: float, credentials: Credentials) -> Token:
        token = _abi.Token()
        self._run(library.cd_authenticate_with, timeout, *credentials.pointers, ctypes.byref(token))
        return token_from(token)

    def connect(self, timeout: float) -> None:
        """A timeout of 0 means the options' connect timeout."""
        self._run(library.cd_connect, timeout)

    def _run(self, function: Any, timeout: float, *others: Any) -> None:
        self._options.pass_environment()
        error = Error()
        arguments = (self._options.handle, self._cancel, milliseconds(timeout), *others, ctypes.byref(error))
        run = self._run_on_main_thread if _process.on_main_thread() else self._run_on_other_thread
        failed = (
            run(function, arguments)
            if self._logger is None
            else self._run_with_logger(self._logger, run, function, arguments)
        )
        if self._raised is not None:
            error.release()
            self._raise()
        if failed:
            raise exception_from(error)

    def _run_on_main_thread(self, function: Any, arguments: tuple[Any, ...]) -> int:
        asked = self._guarded(self._answers())
        try:
            next(asked)
            check = callback(CheckFunction, asked.send, self._callback_failed)
            library.cd_cancel_set_check(self._cancel, check, None)
            failed: int = function(*arguments)
            return failed
        finally:
            # End it here: exceptions of signal handlers are lost when the garbage collector ends it.
            self._over = True
            next(asked, None)

    def _run_on_other_thread(self, function: Any, arguments: tuple[Any, ...]) -> int:
        calls = _process.calls
        calls.enter(self)
        try:
            failed: int = function(*arguments)
            return failed
        finally:
            calls.leave(self)

    def _run_with_logger(
        self, logger: Logger, run: Callable[..., int], function: Any, arguments: tuple[Any, ...]
    ) -> int:
        from . import _log

        if not _log.is_enabled(logger):
            before = _log.ignore_lines()
            try:
                return run(function, arguments)
            finally:
                _log.take_lines(*before)
        lines = self._guarded(self._log_lines(logger))
        next(lines)
        # `max` sends the arguments to the generator one by one, without running other Python code.
        before = _log.take_lines(partial(max, key=lines.send), self._keep)
        try:
            return run(function, arguments)
        finally:
            self._over = True
            next(lines, None)
            _log.take_lines(*before)

    def _guarded(self, work: Generator[int, Any, None]) -> Generator[int, Any, None]:
        """Runs `work`. Stores its exception and stops the call."""
        try:
            try:
                yield from work
            except GeneratorExit:
                return
            except BaseException as raised:
                self._keep(raised)
        except BaseException as raised:
            # From the handler of a second signal, which interrupted the lines above. If they had not yet
            # stopped the call, it ends at the next check by the library.
            self._raised = raised
        while not self._over:
            yield 1

    def _keep(self, raised: BaseException) -> None:
        self._raised = raised
        self.stop()

    def _callback_failed(self, kind: object, raised: BaseException, traceback: object) -> None:
        self._keep(raised)

    def _answers(self) -> Generator[int, None, None]:
        """Yields 1 to stop the call, or else 0. Resuming it runs pending signal handlers."""
        while not self._over:
            yield 0 if self._raised is None else 1

    def _log_lines(self, logger: Logger) -> Generator[int, Any, None]:
        """Receives the arguments of a `LogFunction` one by one."""
        from ._log import write

        while True:
            yield 0
            if self._over:
                return
            level = yield 0
            message = yield 0
            write(logger, level, copied(message))

    def _raise(self) -> NoReturn:
        raised = self._raised
        self._raised = None
        assert raised is not None
        try:
            # Remove the frames of this file: they refer to this call and would keep it alive.
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
