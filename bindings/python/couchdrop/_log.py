"""The way from the library's log to a `logging` logger. Imported when a first logger is handed over."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any, Callable, Union

from . import _abi

Logger = Union[logging.Logger, "logging.LoggerAdapter[Any]"]

LEVELS: dict[int, int] = {
    _abi.CD_LOG_ERROR: logging.ERROR,
    _abi.CD_LOG_WARN: logging.WARNING,
    _abi.CD_LOG_INFO: logging.INFO,
    _abi.CD_LOG_DEBUG: logging.DEBUG,
}


def highest_level(logger: Logger) -> int:
    """The highest level of the library that the logger takes now; 0 where it takes none."""
    # What else has these methods will do.
    if not all(callable(getattr(logger, name, None)) for name in ("isEnabledFor", "log")):
        raise TypeError(
            f"logger must be logging.Logger or logging.LoggerAdapter, not {type(logger).__name__}"
        )
    return max((level for level, name in LEVELS.items() if logger.isEnabledFor(name)), default=0)


def write(logger: Logger, level: int, message: bytes) -> None:
    logger.log(LEVELS.get(level, logging.DEBUG), "%s", message.decode("utf-8", "replace"))


class _ThisThread(threading.local):
    # Takes the lines of the call that runs on this thread.
    log: Callable[..., int] | None = None


this_thread = _ThisThread()


class _LogOnThisThread:
    # A function that looks up what it calls, without Python code: `getattr(this_thread, "log", self)`.
    __call__ = property(partial(getattr, this_thread, "log"))


_log_on_this_thread: Any = _LogOnThisThread()
# The logger of all options: the library calls it on the thread that logs in.
log_function = _abi.LogFunction(_log_on_this_thread)
