"""`RequestsAuth`: see `couchdrop.auth`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

from requests import cookies
from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.utils import requote_uri, rewind_body

from ._abi import TOKEN_HEADER
from ._origin import ORIGINS, Origins
from ._session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from requests import PreparedRequest, Response


class RequestsAuth(AuthBase):
    """Adds the token of a session to the requests of requests, for the argument or attribute ``auth``.

    Any number of threads may use it. A repeated request has the refused response in its ``history``. A
    `PreparedRequest` that is sent again carries the token of its preparation: prepare it again.

    Args:
        session: gives the tokens. Close it after the last request.
        origins: the origins that may receive the token, each ``https://HOST[:PORT]``. Plain http is for
            loopback addresses only. A request to one raises `ProxyError` if the environment has a proxy for
            it, which could read the token; do not give requests such a proxy by ``proxies`` either.

    Raises:
        ArgumentError: an origin is invalid.
    """

    def __init__(self, session: Session, origins: Iterable[str] = ORIGINS) -> None:
        self._session = session
        self._origins = Origins(origins)

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Adds the token to a request. requests calls it."""
        request: Any = r
        if self._origins.contain(request.url or ""):
            request.headers[TOKEN_HEADER] = self._session.token().value
            request.register_hook("response", self._handle)
        return r

    def _handle(self, response: Response, **options: Any) -> Response:
        """Looks at each response, also those of redirects, before requests uses it."""
        try:
            return self._renew(response, options)
        except BaseException:
            response.close()
            raise

    def _renew(self, response: Response, options: dict[str, Any]) -> Response:
        request = response.request
        sent = request.headers.get(TOKEN_HEADER)
        # requests copies headers to a redirected request, also to another host. Once removed, the token stays
        # away: a redirect back would let the other host choose a request.
        if sent is None or self._remove_for_redirect(request, response):
            return response
        if response.status_code not in (401, 403) or not self._origins.contain(request.url or ""):
            return response
        new = self._session.token(rejected=sent).value
        if new == sent:
            return response
        # requests copies the headers of this object if the repeated request is redirected.
        request.headers[TOKEN_HEADER] = new
        if not _rewind(request):
            return response
        repeated = _repeat(response, options)
        self._remove_for_redirect(request, repeated)
        return repeated

    def _remove_for_redirect(self, request: PreparedRequest, response: Response) -> bool:
        """Removes the token from a request that is redirected to an origin without one."""
        target = _redirect_target(response)
        if target is None or self._origins.contain(target):
            return target is not None
        request.headers.pop(TOKEN_HEADER, None)
        return True


def _redirect_target(response: Response) -> str | None:
    """Returns the URL to which requests follows a response, or None if it is not a redirect."""
    if not response.is_redirect:
        return None
    # As `requests.Session.resolve_redirects` does.
    location = response.headers["location"].encode("latin-1", "replace").decode("utf-8", "replace")
    if location.startswith("//"):
        location = f"{urlsplit(response.url).scheme}:{location}"
    try:
        split = urlsplit(location)
        quoted = requote_uri(split.geturl())
        return quoted if split.netloc else urljoin(response.url, quoted)
    except ValueError:
        # Not a URL, which is not a listed origin either.
        return ""


def _rewind(request: PreparedRequest) -> bool:
    """Returns False if the body can't be sent again."""
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    try:
        # Raises for a body without a position, for instance a generator.
        rewind_body(request)
    except (UnrewindableBodyError, OSError, ValueError):
        return False
    return True


def _repeat(refused: Response, options: dict[str, Any]) -> Response:
    # The connection can be reused after its response was read.
    _ = refused.content
    refused.close()
    request: Any = refused.request.copy()
    jar = request._cookies
    # The types of requests do not know its arguments.
    extract_cookies: Any = cookies.extract_cookies_to_jar
    extract_cookies(jar, refused.request, refused.raw)
    request.prepare_cookies(jar)
    response: Response = refused.connection.send(request, **options)
    response.history.append(refused)
    response.request = request
    return response
