"""Logs programs in to Couchdrop, the managed file-transfer service.

    import couchdrop

    token = couchdrop.authenticate("ada@example.com", password)
    url = "https://fileio.couchdrop.io/file/ls?path=/"
    requests.post(url, headers=token.headers(), allow_redirects=False)

`Client` keeps connections for the next login and takes options; `authenticate_async` is for asyncio. What
goes wrong raises a `CouchdropError` of a class that says what.
"""

from ._abi import TOKEN_HEADER, Code
from ._client import ENVIRONMENT, Client, ClientOptions, authenticate, authenticate_async
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

# So that a traceback says couchdrop.AccessDenied.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
