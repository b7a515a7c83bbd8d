"""The exceptions: a class for each failure that programs handle differently, a code for each cause."""

from __future__ import annotations

from . import _abi
from ._abi import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class CouchdropError(Exception):
    """A login failed. ``str()`` returns the library's message, without secrets.

    Attributes:
        code: the number of the cause, which never changes; see `Code`.
        http_status: the status of the last response, for ProxyError the proxy's; None = no response.
        server_message: the server's message in that response, or None. Display it, but do not parse it.
        retry_after: the delay in seconds that the service requested, or None.
        attempts: the number of requests that were sent.
        retryable: True if the same call may succeed later. The library has already made its own retries.
    """

    # The code of an exception of this class that is created without one.
    _default_code: ClassVar[int] = _abi.CD_ERR_INTERNAL

    code: int
    http_status: int | None
    server_message: str | None
    retry_after: int | None
    attempts: int
    retryable: bool

    def __init__(
        self,
        message: str = "",
        *,
        code: int | None = None,
        http_status: int | None = None,
        server_message: str | None = None,
        retry_after: int | None = None,
        attempts: int = 0,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code = int(self._default_code if code is None else code)
        self.http_status = http_status
        self.server_message = server_message
        self.retry_after = retry_after
        self.attempts = attempts
        self.retryable = bool(library.cd_code_is_retryable(self.code)) if retryable is None else retryable

    @property
    def code_name(self) -> str:
        """The name of the code in every language, for instance ``"CD_ERR_TIMEOUT"``."""
        name: bytes = library.cd_code_name(self.code)
        return name.decode()


class AuthenticationError(CouchdropError):
    """The service refused the account or its password. A retry does not help."""

    _default_code = _abi.CD_ERR_ACCESS_DENIED


class AccessDenied(AuthenticationError):
    """Wrong user name or password, or an account that is not confirmed."""

    _default_code = _abi.CD_ERR_ACCESS_DENIED


class TwoFactorRequired(AuthenticationError):
    """The account needs two-factor authentication, which the API does not support."""

    _default_code = _abi.CD_ERR_TWO_FACTOR_REQUIRED


class RateLimited(CouchdropError):
    """Too many requests, also after retries. `CouchdropError.retry_after` is the requested delay, if any."""

    _default_code = _abi.CD_ERR_RATE_LIMITED


class ServerError(CouchdropError):
    """The service failed, also after retries."""

    _default_code = _abi.CD_ERR_SERVER


class Unavailable(CouchdropError):
    """The service has no capacity, also after retries."""

    _default_code = _abi.CD_ERR_UNAVAILABLE


class UnexpectedStatus(CouchdropError):
    """The service returned a status without its own class, for instance a redirect."""

    _default_code = _abi.CD_ERR_HTTP_STATUS


class TransportError(CouchdropError):
    """The network or its configuration failed, and no complete response was received."""

    _default_code = _abi.CD_ERR_CONNECT


class DnsError(TransportError):
    """A host name could not be resolved."""

    _default_code = _abi.CD_ERR_DNS


class ConnectError(TransportError):
    """No connection could be made to any of the host's addresses."""

    _default_code = _abi.CD_ERR_CONNECT


class ProxyError(TransportError):
    """The proxy refused, or a proxy variable of the environment can't be used."""

    _default_code = _abi.CD_ERR_PROXY


class TLSError(TransportError):
    """TLS failed. The message has the reason, for instance a problem with the server's certificate."""

    _default_code = _abi.CD_ERR_TLS


class Timeout(TransportError, TimeoutError):
    """The call timed out, or a connection took longer than the connect timeout."""

    _default_code = _abi.CD_ERR_TIMEOUT


class ConnectionLost(TransportError):
    """The connection closed before the response was complete."""

    _default_code = _abi.CD_ERR_CONNECTION_LOST


class ResponseError(CouchdropError):
    """The response is invalid."""

    _default_code = _abi.CD_ERR_MALFORMED_RESPONSE


class MalformedResponse(ResponseError):
    """The response is not one of this API (a captive portal's for instance), or has no usable token."""

    _default_code = _abi.CD_ERR_MALFORMED_RESPONSE


class ResponseTooLarge(ResponseError):
    """The response is larger than the limit."""

    _default_code = _abi.CD_ERR_RESPONSE_TOO_LARGE


class ArgumentError(CouchdropError, ValueError):
    """An argument is invalid, and nothing was sent. An argument of a wrong type raises TypeError."""

    _default_code = _abi.CD_ERR_OUT_OF_RANGE


class Cancelled(CouchdropError):
    """The call was stopped: its session was closed, or the interpreter is exiting."""

    _default_code = _abi.CD_ERR_CANCELLED


class InternalError(CouchdropError):
    """A defect in the library."""

    _default_code = _abi.CD_ERR_INTERNAL


class ResourcesError(CouchdropError):
    """The process ran out of descriptors, threads or memory."""

    _default_code = _abi.CD_ERR_RESOURCES


CLASSES: dict[int, type[CouchdropError]] = {
    _abi.CD_ERR_HTTP_STATUS: UnexpectedStatus,
    _abi.CD_ERR_TWO_FACTOR_REQUIRED: TwoFactorRequired,
    _abi.CD_ERR_ACCESS_DENIED: AccessDenied,
    _abi.CD_ERR_RATE_LIMITED: RateLimited,
    _abi.CD_ERR_SERVER: ServerError,
    _abi.CD_ERR_UNAVAILABLE: Unavailable,
    _abi.CD_ERR_NULL_ARGUMENT: ArgumentError,
    _abi.CD_ERR_INVALID_UTF8: ArgumentError,
    _abi.CD_ERR_EMPTY_ARGUMENT: ArgumentError,
    _abi.CD_ERR_OUT_OF_RANGE: ArgumentError,
    _abi.CD_ERR_INVALID_URL: ArgumentError,
    _abi.CD_ERR_INSECURE_URL: ArgumentError,
    _abi.CD_ERR_CA_FILE: ArgumentError,
    _abi.CD_ERR_OPTIONS_IN_USE: ArgumentError,
    _abi.CD_ERR_DNS: DnsError,
    _abi.CD_ERR_CONNECT: ConnectError,
    _abi.CD_ERR_PROXY: ProxyError,
    _abi.CD_ERR_TLS: TLSError,
    _abi.CD_ERR_TIMEOUT: Timeout,
    _abi.CD_ERR_CONNECTION_LOST: ConnectionLost,
    _abi.CD_ERR_MALFORMED_RESPONSE: MalformedResponse,
    _abi.CD_ERR_RESPONSE_TOO_LARGE: ResponseTooLarge,
    _abi.CD_ERR_CANCELLED: Cancelled,
    _abi.CD_ERR_PANIC: InternalError,
    _abi.CD_ERR_INTERNAL: InternalError,
    _abi.CD_ERR_RESOURCES: ResourcesError,
}

# For codes of a later library, by category. A status with a new code was CD_ERR_HTTP_STATUS before.
CATEGORIES: dict[int, type[CouchdropError]] = {
    1: UnexpectedStatus,
    2: ArgumentError,
    3: TransportError,
    4: ResponseError,
    5: Cancelled,
    9: InternalError,
}


def exception_class(code: int) -> type[CouchdropError]:
    """Returns the class of a code, which may be a code of a later library."""
    return CLASSES.get(code) or CATEGORIES.get(code // 1000, CouchdropError)


def exception_from(error: _abi.Error) -> CouchdropError:
    """Converts an error object of the library to an exception. Frees the object."""
    try:
        code: int = library.cd_error_code(error)
        status: int = library.cd_error_http_status(error)
        server_message: bytes | None = library.cd_error_server_message(error)
        retry_after: int = library.cd_error_retry_after_seconds(error)
        return exception_class(code)(
            library.cd_error_message(error).decode(),
            code=code,
            http_status=status or None,
            server_message=None if server_message is None else server_message.decode("utf-8", "replace"),
            retry_after=None if retry_after < 0 else retry_after,
            attempts=library.cd_error_attempts(error),
            retryable=bool(library.cd_error_is_retryable(error)),
        )
    finally:
        error.release()
