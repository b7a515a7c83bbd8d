"""The C functions of libcouchdrop, as ``couchdrop.h`` declares them; the tests hold this file against it.

Objects that the library makes are `Handle`s: each releases itself with its last reference. Of a cycle of
garbage Python finalizes everything before it clears anything, in no order: what a finalizer may get to must
ask `is_released` before it uses a handle.
"""

from __future__ import annotations

import ctypes
import gc
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p

from . import _library

# As `typing` has it, which takes longer to import than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import partial
    from typing import Any, Callable, NoReturn
else:
    # The type alone: what else is in functools takes as long to import as ctypes.
    try:
        from _functools import partial
    except ImportError:
        from functools import partial

library, library_path = _library.load()


# False where there is no such function: CPython's collector alone has no order.
is_released: Callable[[object], bool] = getattr(gc, "is_finalized", lambda _: False)


class Handle(c_void_p):
    """A pointer to an object of the library, NULL until a call has stored one."""

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("an object of libcouchdrop can't be pickled or copied")


class Options(Handle):
    pass


class Cancel(Handle):
    pass


class Token(Handle):
    pass


class Error(Handle):
    pass


LogFunction = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
CheckFunction = ctypes.CFUNCTYPE(c_int32, c_void_p)

# name: (result, arguments...)
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
    "cd_token_free": (None, Token),
    "cd_error_code": (c_int32, Error),
    "cd_error_message": (c_char_p, Error),
    "cd_error_http_status": (c_int32, Error),
    "cd_error_server_message": (c_char_p, Error),
    "cd_error_retry_after_seconds": (c_int64, Error),
    "cd_error_attempts": (c_uint32, Error),
    "cd_error_free": (None, Error),
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
    "cd_options_free": (None, Options),
    "cd_cancel_new": (Cancel,),
    "cd_cancel_trigger": (None, Cancel),
    "cd_cancel_is_triggered": (c_int32, Cancel),
    "cd_cancel_set_check": (None, Cancel, CheckFunction, c_void_p),
    "cd_cancel_free": (None, Cancel),
    "cd_version": (c_char_p,),
    "cd_version_number": (c_uint32,),
    "cd_abi_version": (c_uint32,),
    "cd_secure_zero": (None, c_void_p, c_size_t),
}

for _name, (_result, *_arguments) in PROTOTYPES.items():
    try:
        _function = getattr(library, _name)
    except AttributeError:
        raise ImportError(f"{library_path} is too old for this package: it has no {_name}()") from None
    _function.restype, _function.argtypes = _result, _arguments


def _release_with(handle: Any, free: Any) -> None:
    # No Python code runs in this destructor: an exception of a signal handler would be lost in it, and the
    # object with it. `free` itself can't be the method, as functions of ctypes are not bound to an instance.
    handle.__del__ = property(partial(partial, free))


_release_with(Options, library.cd_options_free)
_release_with(Cancel, library.cd_cancel_free)
_release_with(Token, library.cd_token_free)
_release_with(Error, library.cd_error_free)


# The codes; users have them as `couchdrop.Code`.
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
