"""Passes the library's log messages to a `logging` logger. Imported when a client first has a logger."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from functools import partial
from threading import get_ident
from typing import Any, Callable, Union

from . import _abi

Logger = Union[logging.Logger, "logging.LoggerAdapter[Any]"]

LEVELS: dict[int, int] = {
    _abi.CD_LOG_ERROR: logging.ERROR,
    _abi.CD_LOG_WARN: logging.WARNING,
    _abi.CD_LOG_INFO: logging.INFO,
    _abi.CD_LOG_DEBUG: logging.DEBUG,
}


# The receiver of each thread that is inside a call, by thread identifier.
_receivers: dict[int, Callable[..., object]] = {}


def _receive_by_identifier(*line: Any) -> None:
    _receivers[get_ident()](*line)


def _ignore(_: BaseException) -> None:
    pass


class _ThisThread(threading.local):
    """What the calls on a thread do with messages: `receive` takes them, and `fail` takes its exception.

    Up to Python 3.11 a callback runs in the main interpreter, even if a sub-interpreter made the call. There,
    threading.local has no values of this thread, so these defaults apply.
    """

    receive: Callable[..., object] = staticmethod(_receive_by_identifier)
    fail: Callable[[BaseException], None] = staticmethod(_ignore)


_this_thread = _ThisThread()
Receiver = tuple[Callable[..., object], Callable[[BaseException], None]]


def _receive_with(receive: Callable[..., object], fail: Callable[[BaseException], None]) -> Receiver:
    """Passes this thread's messages to `receive` from now on. Returns the arguments that undo this."""
    before = _this_thread.receive, _this_thread.fail
    _this_thread.receive, _this_thread.fail = receive, fail
    if receive is _receive_by_identifier:
        _receivers.pop(get_ident(), None)
    else:
        _receivers[get_ident()] = receive
    return before


class _Receive:
    """Passes a message to the receiver of this thread.

    The property finds the receiver in C code, for the reason that `LogWriter.start` gives.
    """

    __call__ = property(partial(getattr, _this_thread, "receive"))


_receive: Any = _Receive()
# The log function of all options. The library calls it on the thread that logs in.
log_function = _abi.callback(
    _abi.LogFunction, _receive, lambda kind, error, traceback: _this_thread.fail(error)
)


class LogWriter:
    """Writes the messages of calls with a logger."""

    def __init__(self, logger: Logger) -> None:
        # Duck typing: any object with these methods is accepted.
        if not all(callable(getattr(logger, name, None)) for name in ("isEnabledFor", "log")):
            raise TypeError(
                f"logger must be logging.Logger or logging.LoggerAdapter, not {type(logger).__name__}"
            )
        self._logger = logger

    def lines(self) -> Generator[int, Any, None]:
        """Returns a generator that receives the arguments of a `LogFunction` one by one."""
        # A logger that is disabled for errors accepts no message.
        return self._write() if self._logger.isEnabledFor(logging.ERROR) else self._ignore()

    def _write(self) -> Generator[int, Any, None]:
        while True:
            # The first argument is not used.
            yield 0
            level = yield 0
            message = yield 0
            text = _abi.copied(message).decode("utf-8", "replace")
            self._logger.log(LEVELS.get(level, logging.DEBUG), "%s", text)

    def _ignore(self) -> Generator[int, Any, None]:
        while True:
            yield 0

    def start(self, lines: Generator[int, Any, None], fail: Callable[[BaseException], None]) -> Receiver:
        """Passes this thread's messages to `lines`. Returns the receiver before it, for `end`.

        `max` is the receiver: it calls its key function with each argument, and its result is not used. A
        Python function would lose a Ctrl-C: a signal handler can raise at its start, and ctypes drops it.
        """
        return _receive_with(partial(max, key=lines.send), fail)

    def end(self, before: Receiver) -> None:
        _receive_with(*before)
