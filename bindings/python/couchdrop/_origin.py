"""The origins that may receive a token (RFC 6454)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from . import _abi
from ._errors import ArgumentError, ProxyError

#: The origins of the service that take a token: management and files.
ORIGINS: tuple[str, ...] = ("https://api.couchdrop.io", "https://fileio.couchdrop.io")

_DEFAULT_PORTS = {"https": 443, "http": 80}

_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")
_BARE = re.compile(rf"[A-Za-z]+://{_AUTHORITY.pattern}/?")

# Scheme and host in lower case, and the port.
Origin = tuple[str, str, int]


class Origins:
    """A set of origins. They are compared exactly, without wildcards."""

    def __init__(self, origins: Iterable[str]) -> None:
        if isinstance(origins, (str, bytes)):
            raise TypeError(f"origins must be a list of str, not {type(origins).__name__}")
        self._origins = frozenset(map(_parse, origins))

    def contain(self, url: str) -> bool:
        """Returns False for a URL with user info, or that two parsers might read differently.

        Raises ProxyError for a listed origin of plain http if the environment has a proxy for it, which could
        read the token.
        """
        return self._contain(_origin_of(url))

    def contain_parts(self, scheme: str, host: str | None, port: int | None) -> bool:
        """Does the same for the parts of a URL. A port of None means the default port of the scheme."""
        return self._contain(_origin(scheme, host, port))

    def _contain(self, origin: Origin | None) -> bool:
        if origin not in self._origins:
            return False
        scheme, host, _ = origin
        if scheme == "http" and _has_proxy(host):
            raise ProxyError(
                f"The environment has a proxy for http, which could read the token: add {host} to NO_PROXY.",
                code=_abi.CD_ERR_PROXY,
            )
        return True


def _has_proxy(host: str) -> bool:
    proxies = getproxies()
    return ("http" in proxies or "all" in proxies) and not proxy_bypass(host)


def _origin(scheme: str, host: str | None, port: int | None) -> Origin | None:
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS or not host:
        return None
    return scheme, host.lower(), _DEFAULT_PORTS[scheme] if port is None else port


def _origin_of(url: str) -> Origin | None:
    try:
        split = urlsplit(url)
        if not _AUTHORITY.fullmatch(split.netloc):
            return None
        return _origin(split.scheme, split.hostname, split.port)
    except ValueError:
        return None


def _parse(text: object) -> Origin:
    """Checks an origin. The error does not quote the text, which may contain a password before an @."""
    if not isinstance(text, str):
        raise TypeError(f"an origin must be str, not {type(text).__name__}")
    origin = _origin_of(text)
    if origin is None or not _BARE.fullmatch(text):
        raise ArgumentError(
            "an origin must be https://HOST[:PORT], without user info, path, query, fragment and wildcard",
            code=_abi.CD_ERR_INVALID_URL,
        )
    scheme, host, port = origin
    if port == 0:
        raise ArgumentError("the port of an origin must be 1 to 65535", code=_abi.CD_ERR_INVALID_URL)
    if scheme == "http" and not _is_loopback(host):
        raise ArgumentError(
            "an origin with plain http must be loopback, because the token is sent unencrypted",
            code=_abi.CD_ERR_INSECURE_URL,
        )
    return origin


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
