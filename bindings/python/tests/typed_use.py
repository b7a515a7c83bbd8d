"""Uses of the package for type checkers. This file is checked, but never run.

Each `type: ignore` marks an error that they must find. A type checker that does not find it reports that the
comment is unnecessary.
"""

from __future__ import annotations

import logging
import pathlib
from typing import Any

import httpx
import requests
from typing_extensions import Unpack, assert_type

import couchdrop
from couchdrop.auth import HttpxAuth, RequestsAuth
from couchdrop.testing import FakeServer


def functions(password: str) -> None:
    token = couchdrop.authenticate("ada@example.com", password)
    assert_type(token, couchdrop.Token)
    assert_type(token.value, str)
    assert_type(token.headers(), dict[str, str])
    couchdrop.authenticate("ada", password, system="nightly", timeout=2.5, max_retries=0, proxy=None)
    couchdrop.authenticate("ada", password, timeout=2)
    with token as same:
        assert_type(same, couchdrop.Token)
    assert_type(couchdrop.library_version(), str)

    couchdrop.authenticate("ada")  # type: ignore
    couchdrop.authenticate("ada", b"password")  # type: ignore
    couchdrop.authenticate("ada", password, "nightly")  # type: ignore
    couchdrop.authenticate("ada", password, timeout="30")  # type: ignore
    couchdrop.authenticate("ada", password, retries=3)  # type: ignore
    couchdrop.authenticate("ada", password, body_format="xml")  # type: ignore


def clients(password: str, logger: logging.LoggerAdapter[Any]) -> None:
    with couchdrop.Client(
        timeout=10,
        base_url="https://api.couchdrop.io",
        ca_file=pathlib.Path("ca.pem"),
        proxy=couchdrop.ENVIRONMENT,
        body_format="form",
        connect_timeout=2.5,
        backoff=(0.5, 4),
        user_agent="acme/2.1",
        max_response_bytes=4096,
        logger=logger,
    ) as client:
        assert_type(client, couchdrop.Client)
        assert_type(client.authenticate("ada", password, timeout=None), couchdrop.Token)
        client.connect(timeout=1.5)
    couchdrop.Client(logger=logging.getLogger("couchdrop"))

    couchdrop.Client(10)  # type: ignore
    couchdrop.Client(proxy=7)  # type: ignore
    couchdrop.Client(backoff=1)  # type: ignore
    couchdrop.Token(7)  # type: ignore
    assert_type(couchdrop.Token("abc"), couchdrop.Token)
    assert_type(couchdrop.Token(b"abc"), couchdrop.Token)


def sessions(password: str, client: couchdrop.Client) -> None:
    with couchdrop.Session(
        "ada", password, client=client, system="nightly", max_age=3600, min_age=0.5
    ) as session:
        assert_type(session, couchdrop.Session)
        token = session.token()
        assert_type(token, couchdrop.Token)
        assert_type(session.token(rejected=token, timeout=2.5), couchdrop.Token)
        assert_type(session.token("abc"), couchdrop.Token)
        assert_type(session.peek(), "couchdrop.Token | None")
        session.token(rejected=b"abc")  # type: ignore
        session.token(timeout="30")  # type: ignore
    couchdrop.Session("ada", password, client)  # type: ignore
    couchdrop.Session("ada", password, min_age=None)  # type: ignore


def clients_of_http(session: couchdrop.Session, server: FakeServer) -> None:
    http = requests.Session()
    http.auth = RequestsAuth(session)
    requests.post(server.url, auth=RequestsAuth(session, origins=[server.url]), timeout=30)
    httpx.Client(auth=HttpxAuth(session))
    httpx.AsyncClient(auth=HttpxAuth(session, origins=("https://fileio.couchdrop.io",)))
    RequestsAuth(session, origins=7)  # type: ignore
    HttpxAuth("token")  # type: ignore


def fake_server() -> dict[str, bytes]:
    with FakeServer() as server:
        server.add_response("/file/ls", 500, headers={"Retry-After": "7"})
        server.expire_tokens()
        assert_type(server.requests[0].username, "str | None")
        assert_type(server.wait_for_requests(1), bool)
        return server.files


class Subclass(couchdrop.Client):
    def enter(self) -> None:
        with self as same:
            assert_type(same, Subclass)


async def renewed(session: couchdrop.Session, token: couchdrop.Token) -> couchdrop.Token:
    return await session.token_async(rejected=token, timeout=1.5)


async def tasks(password: str) -> couchdrop.Token:
    with couchdrop.Client() as client:
        assert_type(await client.authenticate_async("ada", password, timeout=1.5), couchdrop.Token)
    print(couchdrop.authenticate_async("ada", password).value)  # type: ignore
    return await couchdrop.authenticate_async("ada", password, user_agent="acme/2.1")


def handed_on(password: str, **options: Unpack[couchdrop.ClientOptions]) -> couchdrop.Token:
    return couchdrop.authenticate("ada", password, **options)


def errors(error: couchdrop.CouchdropError) -> float:
    assert_type(error.code, int)
    assert_type(error.code_name, str)
    assert_type(error.http_status, "int | None")
    assert_type(error.server_message, "str | None")
    assert_type(error.retry_after, "int | None")
    assert_type(error.attempts, int)
    assert_type(error.retryable, bool)
    timeouts: list[TimeoutError] = [couchdrop.Timeout("late", attempts=1)]
    values: list[ValueError] = [couchdrop.ArgumentError()]
    refused: list[couchdrop.AuthenticationError] = [couchdrop.AccessDenied(), couchdrop.TwoFactorRequired()]
    network: list[couchdrop.TransportError] = [
        couchdrop.DnsError(),
        couchdrop.ConnectError(),
        couchdrop.ProxyError(),
        couchdrop.TLSError(),
        couchdrop.Timeout(),
        couchdrop.ConnectionLost(),
    ]
    print(timeouts, values, refused, network)
    return error.retry_after  # type: ignore


def codes(error: couchdrop.CouchdropError) -> couchdrop.Code:
    if error.code == couchdrop.Code.CD_ERR_TIMEOUT:
        return couchdrop.Code.CD_ERR_TIMEOUT
    name: str = couchdrop.Code(error.code).name
    print(name)
    print(couchdrop.Code.CD_ERR_NONE)  # type: ignore
    return couchdrop.Code(error.code)
