"""Adds the token of a `couchdrop.Session` to the requests of other HTTP clients.

With requests (``pip install couchdrop[requests]``):

    with couchdrop.Session("ada@example.com", password) as session, requests.Session() as http:
        http.auth = couchdrop.auth.RequestsAuth(session)
        with open("report.csv", "rb") as file:
            upload = "https://fileio.couchdrop.io/file/upload?path=/report.csv"
            http.post(upload, data=file, timeout=60).raise_for_status()

With httpx, with and without asyncio (``pip install couchdrop[httpx]``):

    async with httpx.AsyncClient(auth=couchdrop.auth.HttpxAuth(session)) as http:
        response = await http.post("https://fileio.couchdrop.io/file/ls?path=/")

Both send the token to listed origins only, by default those of the service. After a redirect to another
origin they send no token any more. After a response of 401 or 403 they ask the session for a new token once.
They repeat the request if the token changed and the body can be sent again: bytes, str, no body, or a file
that can be rewound to its position. Otherwise they return the response. A login that fails raises its
`couchdrop.CouchdropError`.

requests and httpx are imported when their class is first used.

Attributes:
    ORIGINS: the origins of the service, the default of both classes.
"""

from __future__ import annotations

from ._origin import ORIGINS

__all__ = ["ORIGINS", "HttpxAuth", "RequestsAuth"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._httpx_auth import HttpxAuth
    from ._requests_auth import RequestsAuth
else:

    def __getattr__(name):
        if name == "RequestsAuth":
            _require("requests", name)
            from ._requests_auth import RequestsAuth as value
        elif name == "HttpxAuth":
            _require("httpx", name)
            from ._httpx_auth import HttpxAuth as value
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value.__module__ = __name__
        globals()[name] = value
        return value

    def _require(package, name):
        import importlib

        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise ImportError(
                f"couchdrop.auth.{name} needs {package}: pip install 'couchdrop[{package}]'", name=package
            ) from None

    def __dir__():
        return sorted({*globals(), *__all__})
