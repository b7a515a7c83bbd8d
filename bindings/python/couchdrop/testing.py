"""A fake server of the service, for tests of programs that log in, upload and list files. Needs no network.

With pytest the fixture ``couchdrop_server`` is there as soon as this package is installed:

    def test_upload(couchdrop_server):
        client = couchdrop.Client(base_url=couchdrop_server.url)
        with couchdrop.Session("ada@example.com", couchdrop.testing.PASSWORD, client=client) as session:
            my_program.upload("report.csv", session, couchdrop_server.url)
            couchdrop_server.expire_tokens()
            my_program.upload("more.csv", session, couchdrop_server.url)
        assert set(couchdrop_server.files) == {"/report.csv", "/more.csv"}

Without pytest use ``with couchdrop.testing.FakeServer() as server:``. For `couchdrop.auth` the origins are
``[server.url]``.

The server has the accounts in `ACCOUNTS`. Any other user name, and any wrong password, gets 403.

Attributes:
    PASSWORD: the password of all accounts except the last one of `ACCOUNTS`.
    ACCOUNTS: the accounts: the user name, and the response to a login.
"""

from __future__ import annotations

import collections
import json
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

from ._abi import TOKEN_HEADER

__all__ = ["ACCOUNTS", "PASSWORD", "FakeServer", "Request"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

PASSWORD = "correct horse battery staple"
_OTHER_PASSWORDS = {"жук@example.com": 'пароль & 100% + "q"\\ é'}

ACCOUNTS: Mapping[str, str] = {
    "ada@example.com": "200 with a fresh token",
    "twofactor@example.com": "401: two-factor authentication is required",
    "busy@example.com": "429 with Retry-After: 1, then 200, by turns",
    "limited@example.com": "429 with Retry-After: 3600, always",
    "down@example.com": "503 with an empty body, always",
    "broken@example.com": "500, always",
    "json@example.com": "415 to a form, even with a wrong password; 200 to JSON",
    "portal@example.com": "200 with an HTML page, as from a captive portal",
    "moved@example.com": "307 to /elsewhere, where no password should ever arrive",
    "slow@example.com": "no response; the connection stays open",
    "жук@example.com": '200, with another password: пароль & 100% + "q"\\ é',
}

# The largest body of a login. A file has no limit.
_MAX_LOGIN_BYTES = 1024 * 1024
_FORM = "application/x-www-form-urlencoded"


class Request(NamedTuple):
    """A request that the server received. It has neither the password nor the token.

    Attributes:
        method: for instance ``"POST"``.
        path: the path with its query.
        username: for a login the user name, or None.
        status: the status of the response, or None if there was none.
    """

    method: str
    path: str
    username: str | None
    status: int | None


class _Response(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class FakeServer:
    """A server with plain http on a free port of 127.0.0.1.

    It runs until `close` or the end of a ``with`` block. A login is ``POST /authenticate``. With its token,
    ``POST /file/upload?path=/folder/name`` stores a file, raw or as the first part of a multipart form, and
    ``POST /file/ls?path=/folder`` lists a folder. A request without a current token gets 403.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tokens: set[str] = set()
        self._files: dict[str, tuple[bytes, int]] = {}
        self._requests: list[Request] = []
        self._prepared: dict[str, collections.deque[_Response]] = {}
        self._busy_logins = 0
        # `slow@example.com` waits for it.
        self._closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.01},
            name="couchdrop-fake-server",
            daemon=True,
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``: the base URL of a client, and the origin of the files."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their responses. It is complete before a response is sent."""
        with self._changed:
            return list(self._requests)

    @property
    def files(self) -> dict[str, bytes]:
        """The uploaded files: the path, and the content."""
        with self._changed:
            return {path: content for path, (content, _) in self._files.items()}

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> bool:
        """Waits until at least `count` requests have arrived, up to `timeout` seconds. Returns True if so."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._requests) >= count, timeout)

    def expire_tokens(self) -> None:
        """Makes all tokens so far invalid: requests with them get 403 until the next login."""
        with self._changed:
            self._tokens.clear()

    def add_response(
        self, path: str, status: int, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Prepares the response to the next request for `path`, in place of the server's own.

        Several prepared responses are sent in order.

        Args:
            path: without a query, for instance ``"/authenticate"`` or ``"/file/upload"``.
        """
        with self._changed:
            queue = self._prepared.setdefault(path, collections.deque())
            queue.append(_Response(status, body, dict(headers or {})))

    def close(self) -> None:
        """Stops the server, and closes all connections. May be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<couchdrop.testing.FakeServer at {self.url}>"

    def _respond(self, request: _Handler, body: bytes) -> _Response | None:
        """Returns the response; None means silence."""
        path = urlsplit(request.path).path
        username = None
        with self._changed:
            prepared = self._prepared.get(path)
            if prepared:
                response: _Response | None = prepared.popleft()
            elif not (path.endswith("/authenticate") or path in ("/file/ls", "/file/upload")):
                response = _error(404, "No such path")
            elif request.command != "POST":
                response = _error(405, "Use POST", Allow="POST")
            elif path.endswith("/authenticate"):
                username, response = self._log_in(request.headers.get_content_type(), body)
            elif request.headers.get(TOKEN_HEADER) not in self._tokens:
                response = _error(403, "Access denied")
            else:
                query = parse_qs(urlsplit(request.path).query)
                target = query.get("path", [""])[0]
                response = self._list(target) if path == "/file/ls" else self._upload(target, request, body)
            status = None if response is None else response.status
            self._requests.append(Request(request.command, request.path, username, status))
            self._changed.notify_all()
        return response

    def _log_in(self, media_type: str, body: bytes) -> tuple[str | None, _Response | None]:
        if len(body) > _MAX_LOGIN_BYTES:
            return None, _error(413, "The body is too large")
        if media_type not in (_FORM, "application/json"):
            return None, _error(415, "Send a form or JSON")
        try:
            fields = _fields(media_type, body)
        except ValueError:
            return None, _error(400, "The body is not JSON")
        username = fields.get("username")
        return username, self._answer(username, fields.get("password"), media_type)

    def _answer(self, username: str | None, password: str | None, media_type: str) -> _Response | None:
        if username == "json@example.com" and media_type == _FORM:
            return _error(415, "send JSON")
        if (
            username is None
            or username not in ACCOUNTS
            or password != _OTHER_PASSWORDS.get(username, PASSWORD)
        ):
            return _json(403, {"err": "Access denied"})
        account = username.partition("@")[0]
        if account == "busy":
            self._busy_logins += 1
        if account == "twofactor":
            return _json(401, {"err": "Two-factor authentication is required"})
        if account == "limited" or (account == "busy" and self._busy_logins % 2 == 1):
            seconds = "3600" if account == "limited" else "1"
            return _error(429, "Too many requests", **{"Retry-After": seconds})
        if account == "down":
            return _Response(503)
        if account == "broken":
            return _error(500, "Internal error 7")
        if account == "portal":
            page = "<!DOCTYPE html><title>Welcome</title><p>Accept the terms of this network.</p>\n"
            return _Response(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
        if account == "moved":
            return _Response(307, headers={"Location": "/elsewhere"})
        if account == "slow":
            return None
        token = str(uuid.uuid4())
        self._tokens.add(token)
        return _json(200, {"token": token})

    def _upload(self, path: str, request: _Handler, body: bytes) -> _Response:
        if not path.startswith("/") or path.endswith("/"):
            return _error(400, "path= must name a file: /folder/name")
        if request.headers.get_content_maintype() == "multipart":
            content = _first_part(body, str(request.headers.get_param("boundary")))
            if content is None:
                return _error(400, "The form has no part")
        else:
            content = body
        self._files[path] = content, int(time.time())
        return _json(200, {})

    def _list(self, path: str) -> _Response:
        folder = path if path.endswith("/") else path + "/"
        entries = list(_entries(self._files, folder))
        if not entries and folder != "/":
            return _error(404, "No such folder")
        return _json(200, {"ls": entries})


class _Server(ThreadingHTTPServer):
    # The default refuses connections of many clients that begin together.
    request_queue_size = 512

    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake
        # The connections with their threads.
        self.open: dict[socket.socket, threading.Thread] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # Not the one of HTTPServer, which looks up the name of this machine.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self.open[request] = thread
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self.open[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Not for a client that closed its connection early, or that broke off a request.
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        self.server_close()
        for connection, thread in list(self.open.items()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        fake = self.server.fake
        response = fake._respond(self, self._body())
        if response is None:
            fake._closing.wait()
            self.close_connection = True
            return
        self.send_response_only(response.status)
        headers = {"Date": self.date_time_string(), "Content-Length": str(len(response.body))}
        for name, value in {**headers, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else response.body)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_POST

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while True:
            size = int(self.rfile.readline().partition(b";")[0], 16)
            if size == 0:
                break
            body += self.rfile.read(size)
            self.rfile.readline()
        # The trailers.
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, format: str, *args: Any) -> None:
        """Does not log: a test reads `FakeServer.requests`."""


def _fields(media_type: str, body: bytes) -> dict[str, str]:
    """Returns the fields of a login. Raises ValueError for invalid JSON."""
    if media_type == _FORM:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        # The first field of a name counts.
        return dict(reversed(pairs))
    members = json.loads(body)
    if not isinstance(members, dict):
        return {}
    return {name: value for name, value in members.items() if isinstance(value, str)}


def _first_part(body: bytes, boundary: str) -> bytes | None:
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(delimiter)
    if len(parts) < 3:
        return None
    _, separator, content = parts[1].partition(b"\r\n\r\n")
    return content if separator else None


def _entries(files: Mapping[str, tuple[bytes, int]], folder: str) -> Iterator[dict[str, object]]:
    """Returns the files and the folders of a folder, whose path ends with a slash."""
    folders: set[str] = set()
    for path, (content, modtime) in sorted(files.items()):
        if not path.startswith(folder):
            continue
        name, slash, _ = path[len(folder) :].partition("/")
        if not slash:
            yield {"filename": name, "size": len(content), "modtime": modtime, "is_dir": False}
        elif name not in folders:
            folders.add(name)
            yield {"filename": name, "size": 0, "modtime": modtime, "is_dir": True}


def _json(status: int, value: Any, **headers: str) -> _Response:
    content = json.dumps(value, ensure_ascii=False).encode()
    return _Response(status, content, {"Content-Type": "application/json", **headers})


def _error(status: int, message: str, **headers: str) -> _Response:
    """The error format of all routes except the login."""
    return _json(status, {"error": message}, **headers)
