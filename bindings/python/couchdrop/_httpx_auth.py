"""`HttpxAuth`: see `couchdrop.auth`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable
from typing import Any, Union

import httpx

from ._abi import TOKEN_HEADER
from ._origin import ORIGINS, Origins
from ._session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._token import Token


class _TokenRequest:
    """Asks for a token, in place of the rejected one if there is one."""

    __slots__ = ("rejected",)

    def __init__(self, rejected: str | None) -> None:
        self.rejected = rejected


# Either asks for a token, or for the response to a request.
_Steps = Generator[Union[_TokenRequest, httpx.Request], Any, None]


class HttpxAuth(httpx.Auth):
    """Adds the token of a session to the requests of httpx, for the argument ``auth``.

    For `httpx.Client` and for `httpx.AsyncClient` under asyncio, whose loop it never blocks. Any number of
    threads and tasks may use it. A redirect between listed origins carries no token; if it is refused, it is
    sent again with the token. A repeated request has the refused response in its ``history``.

    Args:
        session: gives the tokens. Close it after the last request.
        origins: the origins that may receive the token, each ``https://HOST[:PORT]``. Plain http is for
            loopback addresses only. A request to one raises `ProxyError` if the environment has a proxy for
            it, which could read the token; do not give httpx such a proxy by ``proxy`` either.

    Raises:
        ArgumentError: an origin is invalid.
    """

    def __init__(self, session: Session, origins: Iterable[str] = ORIGINS) -> None:
        self._session = session
        self._origins = Origins(origins)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sends a request with the token. `httpx.Client` calls it."""
        steps = self._steps(request)
        result: Token | httpx.Response | None = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                return
            if isinstance(step, _TokenRequest):
                result = self._session.token(rejected=step.rejected)
            else:
                result = yield step

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sends a request with the token. `httpx.AsyncClient` calls it."""
        steps = self._steps(request)
        result: Token | httpx.Response | None = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                return
            if isinstance(step, _TokenRequest):
                result = await self._session.token_async(rejected=step.rejected)
            else:
                result = yield step

    def _steps(self, request: httpx.Request) -> _Steps:
        if not self._may_receive_token(request):
            yield request
            return
        body = _Body(request)
        token = (yield _TokenRequest(None)).value
        request.headers = _HeadersWithToken(request.headers, token)
        response = yield request
        renewed = False
        while response.status_code in (401, 403) and all(map(self._may_receive_token, _chain(response))):
            refused = response.request
            if TOKEN_HEADER in refused.headers:
                if renewed:
                    return
                renewed, rejected = True, token
                token = (yield _TokenRequest(rejected)).value
                if token == rejected:
                    return
            # Else a listed origin redirected it, which removed the token.
            if not body.rewind(refused):
                return
            refused.headers = _HeadersWithToken(refused.headers, token)
            response = yield refused

    def _may_receive_token(self, request: httpx.Request) -> bool:
        url = request.url
        # The parts with which httpx connects.
        return self._origins.contain_parts(url.scheme, url.raw_host.decode("ascii"), url.port)


def _chain(response: httpx.Response) -> list[httpx.Request]:
    """The request of a response, and those that redirected to it. One of them chose the next."""
    return [link.request for link in (*response.history, response)]


class _HeadersWithToken(httpx.Headers):
    """The headers of a request with a token, which a copy does not have.

    httpx copies the headers of a request for the request to which it is redirected, also to another host, and
    calls nothing in between. `_check_redirects` shows that it makes such a copy.
    """

    def __init__(self, headers: httpx.Headers, token: str) -> None:
        plain = httpx.Headers(headers)
        plain.pop(TOKEN_HEADER, None)
        super().__init__(plain)
        self._token = token

    def _complete(self) -> httpx.Headers:
        complete = httpx.Headers(self)
        complete[TOKEN_HEADER] = self._token
        return complete

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        return self._complete().raw

    def multi_items(self) -> list[tuple[str, str]]:
        return self._complete().multi_items()

    def __getitem__(self, key: str) -> str:
        return self._complete()[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._complete()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({httpx.Headers(self)!r}, masked)"


class _Body:
    """The body of a request, and the positions of its files before it is sent."""

    def __init__(self, request: httpx.Request) -> None:
        self._stream = request.stream
        # A form sends its files from their start.
        fields = getattr(request.stream, "fields", None)
        if isinstance(fields, list):
            files = [getattr(field, "file", b"") for field in fields]
            self._files: list[tuple[Any, int | None]] = [
                (file, 0) for file in files if not isinstance(file, (str, bytes))
            ]
            self._is_known = True
        else:
            # The stream of an asynchronous file can't be rewound without a wait.
            is_sync = isinstance(request.stream, httpx.SyncByteStream)
            file = getattr(request.stream, "_stream", None) if is_sync else None
            self._files = [(file, _position(file))]
            self._is_known = file is not None

    def rewind(self, request: httpx.Request) -> bool:
        """Returns False if the body of the request can't be sent again."""
        if isinstance(request.stream, httpx.ByteStream):
            return True
        if request.stream is not self._stream or not self._is_known:
            return False
        try:
            for file, position in self._files:
                if position is None or not file.seekable():
                    return False
                file.seek(position)
        except (AttributeError, OSError, ValueError):
            return False
        return True


def _position(file: Any) -> int | None:
    try:
        position = file.tell() if hasattr(file, "read") else None
    except (AttributeError, OSError, ValueError):
        return None
    return position if isinstance(position, int) else None


def _check_redirects() -> None:
    """Fails if this version of httpx would send a token to another host after a redirect."""
    received = []

    def respond(request: httpx.Request) -> httpx.Response:
        received.append(request.headers.get(TOKEN_HEADER))
        redirects = len(received) == 1
        return httpx.Response(302 if redirects else 200, headers={"Location": "https://b.test/"})

    transport = httpx.MockTransport(respond)
    with httpx.Client(transport=transport, follow_redirects=True, trust_env=False) as client:
        request = client.build_request("POST", "https://a.test/")
        request.headers = _HeadersWithToken(request.headers, "probe")
        client.send(request)
    if received != ["probe", None]:
        raise ImportError(f"couchdrop.auth.HttpxAuth can't be used with httpx {httpx.__version__}")


_check_redirects()
