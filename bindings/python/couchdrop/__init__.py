"""Logs programs in to Couchdrop, the managed file-transfer service.

    import couchdrop

    token = couchdrop.authenticate("ada@example.com", password)
    url = "https://fileio.couchdrop.io/file/ls?path=/"
    requests.post(url, headers=token.headers(), allow_redirects=False)

`Session` stays logged in: it keeps the current token for all threads and tasks, and renews it. The classes of
`couchdrop.auth` use it for requests and httpx. `Client` keeps connections for the next login and takes
options. `authenticate_async` is for asyncio. Each kind of failure raises its own subclass of
`CouchdropError`. `couchdrop.testing` has a fake server for tests.

Attributes:
    ENVIRONMENT: for the option `proxy`: use the proxy variables of the environment, which is the default.
    TOKEN_HEADER: the name of the request header for a token.
"""

from ._abi import TOKEN_HEADER
from ._client import ENVIRONMENT, Client, authenticate, authenticate_async
from ._errors import (
    AccessDenied,
    ArgumentError,
    AuthenticationError,
    Cancelled,
    ConnectError,
    ConnectionLost,
    CouchdropError,
    DnsError,
    InternalError,
    MalformedResponse,
    ProxyError,
    RateLimited,
    ResourcesError,
    ResponseError,
    ResponseTooLarge,
    ServerError,
    Timeout,
    TLSError,
    TransportError,
    TwoFactorRequired,
    Unavailable,
    UnexpectedStatus,
)
from ._session import Session
from ._token import Token
from ._version import __version__, library_version

__all__ = [
    "ENVIRONMENT",
    "TOKEN_HEADER",
    "AccessDenied",
    "ArgumentError",
    "AuthenticationError",
    "Cancelled",
    "Client",
    "ClientOptions",
    "Code",
    "ConnectError",
    "ConnectionLost",
    "CouchdropError",
    "DnsError",
    "InternalError",
    "MalformedResponse",
    "ProxyError",
    "RateLimited",
    "ResourcesError",
    "ResponseError",
    "ResponseTooLarge",
    "ServerError",
    "Session",
    "TLSError",
    "Timeout",
    "Token",
    "TransportError",
    "TwoFactorRequired",
    "Unavailable",
    "UnexpectedStatus",
    "__version__",
    "authenticate",
    "authenticate_async",
    "library_version",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._code import Code
    from ._options import ClientOptions
else:

    def __getattr__(name):
        """Imports names on first use that are rarely needed and slow to import."""
        if name == "Code":
            from ._code import Code as value
        elif name == "ClientOptions":
            from ._options import ClientOptions as value
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value.__module__ = __name__
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


# So that a traceback shows couchdrop.AccessDenied.
for _name in __all__:
    _value = globals().get(_name)
    if isinstance(_value, type):
        _value.__module__ = __name__
