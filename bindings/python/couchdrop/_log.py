"""Passes the library's log messages to a `logging` logger. Imported when a client first has a logger."""

from __future__ import annotations

import logging
import threading
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


def check(logger: Logger) -> None:
    # Duck typing: any object with these methods is accepted.
    if not all(callable(getattr(logger, name, None)) for name in ("isEnabledFor", "log")):
        raise TypeError(
            f"logger must be logging.Logger or logging.LoggerAdapter, not {type(logger).__name__}"
        )


def is_enabled(logger: Logger) -> bool:
    """Returns True if the logger accepts any message of the library now."""
    return logger.isEnabledFor(logging.ERROR)


def write(logger: Logger, level: int, message: bytes) -> None:
    logger.log(LEVELS.get(level, logging.DEBUG), "%s", message.decode("utf-8", "replace"))


# The log function of each thread that is inside a call, by thread identifier.
_takers: dict[int, Callable[..., object]] = {}


def _take_for_thread(*line: Any) -> None:
    _takers[get_ident()](*line)


def _fail(_: BaseException) -> None:
    pass


class _ThisThread(threading.local):
    # `log` receives the messages of the call on this thread, and `fail` the exception that `log` raised.
    # Up to Python 3.11 a callback runs in the main interpreter, even if a sub-interpreter made the call.
    # There, threading.local has no values of this thread, so these defaults apply.
    log: Callable[..., object] = staticmethod(_take_for_thread)
    fail: Callable[[BaseException], None] = staticmethod(_fail)


this_thread = _ThisThread()
Taker = tuple[Callable[..., object], Callable[[BaseException], None]]


def take_lines(log: Callable[..., object], fail: Callable[[BaseException], None]) -> Taker:
    """Passes this thread's messages to `log` from now on. Returns the arguments that undo this."""
    before = this_thread.log, this_thread.fail
    this_thread.log, this_thread.fail = log, fail
    if log is _take_for_thread:
        _takers.pop(get_ident(), None)
    else:
        _takers[get_ident()] = log
    return before


def ignore_lines() -> Taker:
    # `slice` accepts three arguments, has no effect and runs no Python code.
    return take_lines(slice, _fail)


class _LogOnThisThread:
    # Looks up the function to call without Python code: `getattr(this_thread, "log", self)`.
    __call__ = property(partial(getattr, this_thread, "log"))


_log_on_this_thread: Any = _LogOnThisThread()
# The log function of all options. The library calls it on the thread that logs in.
log_function = _abi.callback(
    _abi.LogFunction, _log_on_this_thread, lambda kind, error, traceback: this_thread.fail(error)
)
