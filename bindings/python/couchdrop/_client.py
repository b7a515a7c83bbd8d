"""Logging in: `Client`, and functions for occasional logins."""

from __future__ import annotations

import ctypes
import os

from . import _abi, _shutdown
from ._abi import Error, SharedHandle, library
from ._arguments import Credentials, Text, backoff_pair, integer, milliseconds, seconds
from ._call import Call, Login, closed
from ._errors import ArgumentError, exception_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, Literal, NoReturn

    from typing_extensions import Self, Unpack

    from ._executor import Executor
    from ._log import Logger, LogWriter
    from ._options import ClientOptions, Proxy
    from ._token import Token

DEFAULT_TIMEOUT = 30.0
# The limits of the library.
MAX_RETRIES = 10
RESPONSE_BYTES = (1024, 16 * 1024 * 1024)

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


class Environment:
    """The type of `ENVIRONMENT`, its only instance."""

    def __repr__(self) -> str:
        return "couchdrop.ENVIRONMENT"

    def __reduce__(self) -> str:
        # Copying and unpickling return the same object.
        return "ENVIRONMENT"


#: For the option `proxy`: use HTTPS_PROXY, ALL_PROXY and NO_PROXY.
ENVIRONMENT: Final = Environment()

_BODY_FORMATS = {"auto": _abi.CD_BODY_AUTO, "form": _abi.CD_BODY_FORM, "json": _abi.CD_BODY_JSON}


class SharedOptions(SharedHandle):
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
        with _shutdown.environment_lock:
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


def _variable(name: str) -> bytes | None:
    if os.supports_bytes_environ:
        return os.environb.get(name.encode())
    value = os.environ.get(name)
    return None if value is None else value.encode("utf-8", "surrogatepass")


class Executors:
    """The executor of each process: a child of fork does not have the parent's threads."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[int, Executor] = {}

    def own(self) -> Executor:
        """Returns this process's executor."""
        from ._executor import Executor

        process = os.getpid()
        # setdefault is atomic: threads that call this at the same time get the same object.
        return self._of.get(process) or self._of.setdefault(process, Executor())


class Client:
    """Logs in any number of users and keeps connections for the next login. Any thread may use it.

        with couchdrop.Client() as client:
            token = client.authenticate("ada@example.com", password)

    None means the default, except for `proxy`. Raises ArgumentError for an invalid option. A child of fork
    may use the client too.

    Args:
        timeout: the time limit of a login in seconds, with its retries, unless the login has its own.
        base_url: the URL of the service: https, or http for loopback addresses.
        ca_file: a PEM file of certificates to trust in place of the system's. It is read immediately.
        proxy: ``http://``, ``socks5://`` or ``socks5h://``; None = no proxy. Default: the environment's.
        body_format: the encoding of a login; "auto" sends JSON if the service rejects a form.
        connect_timeout: the time limit of one attempt to connect, in seconds (10).
        max_retries: the maximum number of retries after 429, 500, 502 to 504 or a failed connection (4).
        backoff: the first and the longest wait between attempts, in seconds (1 and 8).
        user_agent: the product before the library's name in ``User-Agent``.
        max_response_bytes: the maximum size of a response body (64 KiB).
        logger: receives messages without secrets, on the thread that logs in. Each call reads its level,
            which may change later. An exception of its handlers ends the login.
    """

    def __init__(
        self,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        base_url: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: Proxy = ENVIRONMENT,
        body_format: Literal["auto", "form", "json"] = "auto",
        connect_timeout: float | None = None,
        max_retries: int | None = None,
        backoff: tuple[float, float] | None = None,
        user_agent: str | None = None,
        max_response_bytes: int | None = None,
        logger: Logger | None = None,
    ) -> None:
        # The URL may contain a password: see `Text`.
        proxy_url = proxy if proxy is None or isinstance(proxy, Environment) else Text("proxy", proxy)
        del proxy
        self._options = SharedOptions()
        self._executors = Executors()
        self._log: LogWriter | None = None
        if proxy_url is None:
            self._set(library.cd_options_set_proxy, None)
        elif isinstance(proxy_url, Text):
            self._set_text(library.cd_options_set_proxy, proxy_url)
        self._timeout = seconds("timeout", timeout)
        if base_url is not None:
            self._set_text(library.cd_options_set_base_url, Text("base_url", base_url))
        if ca_file is not None:
            self._set_text(library.cd_options_set_ca_file, Text("ca_file", os.fspath(ca_file)))
        self._set(library.cd_options_set_body_format, _body_format(body_format))
        if connect_timeout is not None:
            wait = milliseconds(seconds("connect_timeout", connect_timeout))
            self._set(library.cd_options_set_connect_timeout_ms, wait)
        if max_retries is not None:
            retries = integer("max_retries", max_retries, 0, MAX_RETRIES)
            self._set(library.cd_options_set_max_retries, retries)
        if backoff is not None:
            first, longest = backoff_pair("backoff", backoff)
            self._set(library.cd_options_set_backoff_ms, milliseconds(first), milliseconds(longest))
        if user_agent is not None:
            self._set_text(library.cd_options_set_user_agent, Text("user_agent", user_agent))
        if max_response_bytes is not None:
            size = integer("max_response_bytes", max_response_bytes, *RESPONSE_BYTES)
            self._set(library.cd_options_set_max_response_bytes, size)
        if logger is not None:
            self._set_logger(logger)

    def authenticate(
        self, username: str, password: str, *, system: str | None = None, timeout: float | None = None
    ) -> Token:
        """Logs in and returns the token. Blocks; in the main thread Ctrl-C stops it.

        Args:
            system: the name of the program or system that logs in.
            timeout: the time limit of this login in seconds, with its retries; None = the client's.

        Raises:
            AccessDenied, TwoFactorRequired, RateLimited, ...: all are a CouchdropError.
        """
        with Credentials(username, password, system) as credentials:
            del password
            limit = self._seconds(timeout)
            return self._login(credentials).run(limit)

    async def authenticate_async(
        self, username: str, password: str, *, system: str | None = None, timeout: float | None = None
    ) -> Token:
        """Logs in as `authenticate` does, without blocking the event loop. Cancelling the task stops it.

        At most 64 logins of a client run at once. Others are queued; the wait counts against their timeout.
        """
        with Credentials(username, password, system) as credentials:
            del password
            limit, executor = self._seconds(timeout), self._executors.own()
            login = self._login(credentials)
        return await executor.run(login, limit)

    def connect(self, *, timeout: float | None = None) -> None:
        """Connects now, so that the next login needs one round trip. Sends no credentials and does not retry.

        It also shows why this machine can't reach the service. None means the connect timeout.
        """
        limit = 0 if timeout is None else seconds("timeout", timeout)
        call = Call(self._options, self._log)
        try:
            call.connect(limit)
        finally:
            call.end()

    def close(self) -> None:
        """Closes the connections when the logins in progress have ended and the sessions are closed.

        May be called again.
        """
        self._options.close()

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a Client can't be pickled or copied: make one of your own in each process")

    def __enter__(self) -> Self:
        if self._options.is_closed:
            raise closed()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _login(self, credentials: Credentials) -> Login:
        credentials.check()
        return Login(Call(self._options, self._log), credentials)

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else seconds("timeout", timeout)

    def _set(self, setter: Any, *values: Any) -> None:
        error = Error()
        if setter(self._options.handle, *values, ctypes.byref(error)):
            raise exception_from(error)

    def _set_text(self, setter: Any, text: Text) -> None:
        try:
            text.check()
            self._set(setter, text.pointer)
        finally:
            text.wipe()

    def _set_logger(self, logger: Logger) -> None:
        from ._log import LogWriter, log_function

        log = LogWriter(logger)
        # Each call reads the logger's level, because options can't change after the first call.
        self._set(library.cd_options_set_logger, log_function, None, _abi.CD_LOG_DEBUG)
        self._log = log


def _body_format(name: str) -> int:
    if name not in _BODY_FORMATS:
        raise ArgumentError(
            f"body_format must be one of {', '.join(_BODY_FORMATS)}", code=_abi.CD_ERR_OUT_OF_RANGE
        )
    return _BODY_FORMATS[name]


# The client of logins without options.
_shared = Client()


def authenticate(
    username: str,
    password: str,
    *,
    system: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    **options: Unpack[ClientOptions],
) -> Token:
    """Logs in and returns the token. Blocks; in the main thread Ctrl-C stops it.

        token = couchdrop.authenticate("ada@example.com", password)
        requests.post(url, headers=token.headers(), allow_redirects=False)

    With options (those of `Client`) the connection is not kept. For more than one login create a client.

    Args:
        system: the name of the program or system that logs in.
        timeout: the time limit of the login in seconds, with its retries.

    Raises:
        AccessDenied, TwoFactorRequired, RateLimited, ...: all are a CouchdropError.
    """
    with Credentials(username, password, system) as credentials:
        del password
        client = Client(**options) if options else _shared
        try:
            limit = client._seconds(timeout)
            return client._login(credentials).run(limit)
        finally:
            if client is not _shared:
                client.close()


async def authenticate_async(
    username: str,
    password: str,
    *,
    system: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    **options: Unpack[ClientOptions],
) -> Token:
    """Logs in as `authenticate` does, without blocking the event loop. Cancelling the task stops the login.

    At most 64 of these logins run at once. Others are queued, and the wait counts against their timeout.
    """
    with Credentials(username, password, system) as credentials:
        del password
        client = Client(**options) if options else _shared
        try:
            limit, executor = client._seconds(timeout), _shared._executors.own()
            login = client._login(credentials)
        finally:
            # The login keeps the options alive until it ends.
            if client is not _shared:
                client.close()
    return await executor.run(login, limit)
