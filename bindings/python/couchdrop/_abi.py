"""The C API of libcouchdrop: finds and loads the library, and declares its functions as ``couchdrop.h`` does.

The tests compare the declarations with the header.

Search order for the library:

1. ``couchdrop/_lib`` beside this package, which a wheel contains;
2. the file in the environment variable ``COUCHDROP_LIBRARY`` (ignored in a set-user-id process);
3. the system's search path for libraries.

The first one that exists must load. There is no fallback to the next one.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from types import MethodType

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

ABI_VERSION = 1

if sys.platform == "win32":
    FILE_NAME = "couchdrop.dll"
elif sys.platform == "darwin":
    FILE_NAME = f"libcouchdrop.{ABI_VERSION}.dylib"
else:
    FILE_NAME = f"libcouchdrop.so.{ABI_VERSION}"

VARIABLE = "COUCHDROP_LIBRARY"


def _load() -> tuple[ctypes.CDLL, str]:
    """Returns the library and the path or name that was loaded. Raises ImportError."""
    path, looked = _find()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        reason = str(error).removeprefix(f"Cannot load library {path}: ")  # PyPy adds this
        # Most messages name the file, but not if a dependency of it is missing.
        looked.append(reason if path in reason else f"{path}: {reason}")
        raise ImportError(
            "couchdrop needs the shared library libcouchdrop. Looked for it here:\n  "
            + "\n  ".join(looked)
            + f"\nInstall libcouchdrop, or name its file in {VARIABLE}.",
            path=path,
        ) from None
    _check_abi(library, path)
    return library, path


def _find() -> tuple[str, list[str]]:
    """Returns the path or name to load, and a description of each place without a library."""
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib", FILE_NAME)
    if os.path.exists(bundled):
        return bundled, []
    looked = [f"{bundled}: no such file"]
    named = os.environ.get(VARIABLE)
    if not named:
        looked.append(f"{VARIABLE}: not set")
    elif _has_raised_privileges():
        looked.append(f"{VARIABLE}: ignored, since this process has another user's privileges")
    else:
        # Absolute, because dlopen searches for a name without a slash.
        return os.path.abspath(named), looked
    return FILE_NAME, looked


def _has_raised_privileges() -> bool:
    """Returns True if the user who set the environment may have fewer privileges than this process."""
    if sys.platform == "win32":
        return False
    if os.getuid() != os.geteuid() or os.getgid() != os.getegid():
        return True
    # On Linux, AT_SECURE also covers file capabilities.
    getauxval = getattr(ctypes.CDLL(None), "getauxval", None)
    if getauxval is None:
        return False
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    at_secure = 23
    return bool(getauxval(at_secure))


def _check_abi(library: ctypes.CDLL, path: str) -> None:
    try:
        abi_version = library.cd_abi_version
    except AttributeError:
        raise ImportError(f"{path} is not libcouchdrop: it has no cd_abi_version()", path=path) from None
    abi_version.argtypes, abi_version.restype = [], ctypes.c_uint32
    found = abi_version()
    if found != ABI_VERSION:
        raise ImportError(
            f"{path} has version {found} of libcouchdrop's ABI; this package needs version {ABI_VERSION}",
            path=path,
        )


library, library_path = _load()


def _function(name: str) -> Any:
    try:
        return getattr(library, name)
    except AttributeError:
        raise ImportError(f"{library_path} is too old for this package: it has no {name}()") from None


# CPython finalizes all objects of a garbage cycle in any order before it clears them. So code that a
# finalizer may call checks a handle with this function before it uses it. PyPy does not have it or need it.
is_finalized: Callable[[object], bool] = getattr(gc, "is_finalized", lambda _: False)


def _finalizer(free: Any) -> Any:
    """Makes a C function the method ``__del__``.

    A signal handler can raise in a ``__del__`` of Python code. Python then drops the exception, and a Ctrl-C
    is lost. The property binds the C function to the object: ctypes functions do not bind themselves.
    """
    return property(partial(MethodType, free))


class Handle(c_void_p):
    """A pointer to an object of the library. NULL before a call stores one, and after `release`.

    Its user frees it with `release`. The finalizer frees it if an exception prevented that.
    """

    _free: ClassVar[Any]

    def release(self) -> None:
        """Frees the object. The caller must be its only user."""
        if is_finalized(self):
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


class Session(Handle):
    _free = _function("cd_session_free")
    __del__ = _finalizer(_free)

    # Must outlive the session. PyPy runs the finalizers of referring objects first.
    options: Options
    # By identity: the objects of ctypes are not hashable.
    __hash__ = object.__hash__


class SharedHandle:
    """A handle that several threads use, and that any of them may close at any time.

    After it is closed, the last user that leaves frees the handle. If an exception of a signal handler
    prevents a user from leaving, the handle's finalizer frees it.

    There is no lock. The garbage collector may run another of these methods on the thread that holds a lock,
    and a child of fork would inherit a lock that none of its threads releases. Instead the methods use atomic
    operations: to store and to remove an item of a dict, and to pop from a list.
    """

    __slots__ = ("_closed", "_to_free", "_users", "handle")

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        # Keyed by identity.
        self._users: dict[int, bool] = {}
        self._closed = False
        # The thread that pops the handle from this list frees it, so it is freed once.
        self._to_free = [handle]

    @property
    def is_closed(self) -> bool:
        return self._closed or is_finalized(self.handle)

    def enter(self, user: object) -> bool:
        """Keeps the handle until the user leaves. Returns False if it is closed."""
        self._users[id(user)] = True
        # In this order: `close` sets the flag before it reads the users.
        if self.is_closed:
            self.leave(user)
            return False
        return True

    def leave(self, user: object) -> None:
        """Removes a user. May be called again."""
        self._users.pop(id(user), None)
        if self._closed:
            self._free_unless_used()

    def close(self) -> None:
        """Frees the handle when it has no users. May be called again."""
        self._closed = True
        self._free_unless_used()

    def _free_unless_used(self) -> None:
        if self._users:
            return
        try:
            handle = self._to_free.pop()
        except IndexError:
            return
        self._free(handle)

    def _free(self, handle: Any) -> None:
        handle.release()


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
    "cd_session_new": (
        c_int32,
        Options,
        c_char_p,
        c_char_p,
        c_char_p,
        POINTER(Session),
        POINTER(Error),
    ),
    "cd_session_token": (
        c_int32,
        Session,
        Cancel,
        c_uint32,
        c_char_p,
        POINTER(Token),
        POINTER(Error),
    ),
    "cd_session_peek": (c_int32, Session, POINTER(Token), POINTER(Error)),
    "cd_session_set_max_age_seconds": (c_int32, Session, c_uint32, POINTER(Error)),
    "cd_session_set_min_age_seconds": (c_int32, Session, c_uint32, POINTER(Error)),
    "cd_session_free": (None, c_void_p),
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
