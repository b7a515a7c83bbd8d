"""The C functions of libcouchdrop, as ``couchdrop.h`` declares them. The tests compare this file with it.

Objects that the library creates are `Handle`s. Their users free them with `Handle.release`; a finalizer frees
those that an exception left behind. CPython finalizes all objects of a garbage cycle in any order before it
clears them. So code that a finalizer may call must check `is_released` before it uses a handle.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p

from . import _library

# The same as in `typing`, which takes longer to import than this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import partial as partial
    from typing import Any, Callable, ClassVar, NoReturn
else:
    # Only this type: importing all of functools takes as long as importing ctypes.
    try:
        from _functools import partial as partial
    except ImportError:
        from functools import partial as partial

library, library_path = _library.load()


# Always False without gc.is_finalized: only CPython's collector finalizes in any order.
is_released: Callable[[object], bool] = getattr(gc, "is_finalized", lambda _: False)


def _function(name: str) -> Any:
    try:
        return getattr(library, name)
    except AttributeError:
        raise ImportError(f"{library_path} is too old for this package: it has no {name}()") from None


def _finalizer(free: Any) -> Any:
    # This destructor runs no Python code: an exception of a signal handler would be lost in it, and the
    # object would leak. `free` itself can't be the method, because ctypes functions do not bind to instances.
    return property(partial(partial, free))


class Handle(c_void_p):
    """A pointer to an object of the library. NULL before a call stores one, and after `release`."""

    _free: ClassVar[Any]

    def release(self) -> None:
        """Frees the object. The caller must be its only user."""
        if is_released(self):
            return
        address, self.value = self.value, None
        if address is not None:
            self._free(address)

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("an object of libcouchdrop can't be pickled or copied")


class Options(Handle):
    _free = _function("cd_options_free")
    __del__ = _finalizer(_free)


class Cancel(Handle):
    _free = _function("cd_cancel_free")
    __del__ = _finalizer(_free)


class Token(Handle):
    _free = _function("cd_token_free")
    __del__ = _finalizer(_free)

    def copy(self) -> bytes:
        characters: bytes = library.cd_token_str(self)
        return characters


class Error(Handle):
    _free = _function("cd_error_free")
    __del__ = _finalizer(_free)


LogFunction = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
CheckFunction = ctypes.CFUNCTYPE(c_int32, c_void_p)

# name: (result, arguments...). A function that frees takes the address: PyPy's ctypes would convert a number
# to a new handle, which would free the object again.
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cd_authenticate": (c_int32, c_char_p, c_char_p, c_char_p, POINTER(Token), POINTER(Error)),
    "cd_authenticate_with": (
        c_int32,
        Options,
        Cancel,
        c_uint32,
        c_char_p,
        c_char_p,
        c_char_p,
        POINTER(Token),
        POINTER(Error),
    ),
    "cd_connect": (c_int32, Options, Cancel, c_uint32, POINTER(Error)),
    "cd_token_str": (c_char_p, Token),
    "cd_token_len": (c_size_t, Token),
    "cd_token_free": (None, c_void_p),
    "cd_error_code": (c_int32, Error),
    "cd_error_message": (c_char_p, Error),
    "cd_error_http_status": (c_int32, Error),
    "cd_error_server_message": (c_char_p, Error),
    "cd_error_retry_after_seconds": (c_int64, Error),
    "cd_error_attempts": (c_uint32, Error),
    "cd_error_is_retryable": (c_int32, Error),
    "cd_error_free": (None, c_void_p),
    "cd_code_name": (c_char_p, c_int32),
    "cd_code_message": (c_char_p, c_int32),
    "cd_code_is_retryable": (c_int32, c_int32),
    "cd_options_new": (Options,),
    "cd_options_set_base_url": (c_int32, Options, c_char_p, POINTER(Error)),
    "cd_options_set_body_format": (c_int32, Options, c_int32, POINTER(Error)),
    "cd_options_set_timeout_ms": (c_int32, Options, c_uint32, POINTER(Error)),
    "cd_options_set_connect_timeout_ms": (c_int32, Options, c_uint32, POINTER(Error)),
    "cd_options_set_max_retries": (c_int32, Options, c_uint32, POINTER(Error)),
    "cd_options_set_backoff_ms": (c_int32, Options, c_uint32, c_uint32, POINTER(Error)),
    "cd_options_set_proxy": (c_int32, Options, c_char_p, POINTER(Error)),
    "cd_options_set_ca_file": (c_int32, Options, c_char_p, POINTER(Error)),
    "cd_options_set_user_agent": (c_int32, Options, c_char_p, POINTER(Error)),
    "cd_options_set_max_response_bytes": (c_int32, Options, c_size_t, POINTER(Error)),
    "cd_options_set_logger": (c_int32, Options, LogFunction, c_void_p, c_int32, POINTER(Error)),
    "cd_options_set_environment": (c_int32, Options, c_char_p, c_char_p, POINTER(Error)),
    "cd_options_free": (None, c_void_p),
    "cd_cancel_new": (Cancel,),
    "cd_cancel_trigger": (None, Cancel),
    "cd_cancel_is_triggered": (c_int32, Cancel),
    "cd_cancel_set_check": (None, Cancel, CheckFunction, c_void_p),
    "cd_cancel_free": (None, c_void_p),
    "cd_version": (c_char_p,),
    "cd_version_number": (c_uint32,),
    "cd_abi_version": (c_uint32,),
    "cd_secure_zero": (None, c_void_p, c_size_t),
}

for _name, (_result, *_arguments) in PROTOTYPES.items():
    _typed = _function(_name)
    _typed.restype, _typed.argtypes = _result, _arguments


if sys.implementation.name == "pypy":
    # A callback of PyPy's ctypes runs Python code around the function. It prints and drops an exception that
    # a signal handler raises there. PyPy's cffi passes that exception to `on_error`.
    _ffi: Any = __import__("_cffi_backend").FFI()
    _C_TYPES = {
        LogFunction: "void(*)(void *, int32_t, const char *)",
        CheckFunction: "int32_t(*)(void *)",
    }

    def callback(kind: Any, function: Callable[..., Any], on_error: Callable[..., None]) -> Any:
        def run(*arguments: Any) -> Any:
            result = function(*arguments)
            return None if kind is LogFunction else result

        made = _ffi.callback(_C_TYPES[kind], run, onerror=on_error)
        pointer = kind(int(_ffi.cast("intptr_t", made)))
        pointer.keep_alive = made
        return pointer

    def copied(message: Any) -> bytes:
        text: bytes = _ffi.string(message)
        return text

else:

    def callback(kind: Any, function: Callable[..., Any], on_error: Callable[..., None]) -> Any:
        """Returns a function for C. It must not raise. On PyPy `on_error` gets type, value and traceback."""
        return kind(function)

    def copied(message: Any) -> bytes:
        """Returns the bytes of a string argument of a callback."""
        # ctypes has already copied it.
        text: bytes = message
        return text


# The codes. Their public form is `couchdrop.Code`.
CD_OK = 0
CD_ERR_HTTP_STATUS = 1400
CD_ERR_TWO_FACTOR_REQUIRED = 1401
CD_ERR_ACCESS_DENIED = 1403
CD_ERR_RATE_LIMITED = 1429
CD_ERR_SERVER = 1500
CD_ERR_UNAVAILABLE = 1503
CD_ERR_NULL_ARGUMENT = 2001
CD_ERR_INVALID_UTF8 = 2002
CD_ERR_EMPTY_ARGUMENT = 2003
CD_ERR_OUT_OF_RANGE = 2004
CD_ERR_INVALID_URL = 2005
CD_ERR_INSECURE_URL = 2006
CD_ERR_CA_FILE = 2007
CD_ERR_OPTIONS_IN_USE = 2008
CD_ERR_DNS = 3001
CD_ERR_CONNECT = 3002
CD_ERR_PROXY = 3003
CD_ERR_TLS = 3004
CD_ERR_TIMEOUT = 3005
CD_ERR_CONNECTION_LOST = 3006
CD_ERR_MALFORMED_RESPONSE = 4001
CD_ERR_RESPONSE_TOO_LARGE = 4002
CD_ERR_CANCELLED = 5001
CD_ERR_PANIC = 9001
CD_ERR_INTERNAL = 9002
CD_ERR_RESOURCES = 9003

# The macros of the header.
CD_BODY_AUTO = 0
CD_BODY_FORM = 1
CD_BODY_JSON = 2
CD_LOG_ERROR = 1
CD_LOG_WARN = 2
CD_LOG_INFO = 3
CD_LOG_DEBUG = 4
TOKEN_HEADER = "token"
