"""A server that sends a case's responses, and records the requests."""

import asyncio
import json
import socket
import struct
import urllib.parse


def text(value):
    """A text of the case file: a string, a list of strings, or a repeated string."""
    if isinstance(value, list):
        return "".join(map(text, value))
    if isinstance(value, dict):
        return value["repeat"] * value["count"]
    return value


def to_bytes(value):
    r"""Encodes a text. A lone surrogate means a byte that is not UTF-8: "\udcff" for FF."""
    return text(value).encode("utf-8", "surrogateescape")


def response(answer):
    """The bytes of a response that the case file gives in parts."""
    body = json.dumps(answer["json"]).encode() if "json" in answer else to_bytes(answer.get("body", ""))
    headers = {"Content-Length": len(body), **answer.get("headers", {})}
    lines = [f"HTTP/1.1 {answer['status']} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """A server for one run of a case. Use it as an asynchronous context manager.

    It sends one of `answers` for each request in order, and repeats the last one. Without any the port is bound, but
    nothing listens there.
    """

    def __init__(self, answers):
        self._answers = answers
        self._connections = set()
        self.requests = []
        self.connections = 0
        self.asked = asyncio.Event()

    async def __aenter__(self):
        # asyncio would listen at once.
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = None
        if self._answers:
            self._server = await asyncio.start_server(self._serve, sock=self._socket, limit=1 << 20)
        return self

    async def __aexit__(self, *_):
        if self._server is None:
            self._socket.close()
            return
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        self.connections += 1
        try:
            while await self._request(reader):
                answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
                if not await self._answer(answer, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has closed
        except asyncio.CancelledError:
            pass  # the case is over
        finally:
            self._connections.discard(task)
            writer.close()

    async def _request(self, reader):
        """Reads one request, or what else begins a connection; whether there was any."""
        first = await reader.read(1)
        if not first:
            return False
        if first.isalpha():
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.split("\r\n")[:-2]
            fields = {
                name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)
            }
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            self.requests.append(Request(line, fields, body))
        else:
            # TLS or SOCKS, whose remaining bytes do not matter here.
            await reader.read(1 << 16)
            self.requests.append(None)
        self.asked.set()
        return True

    async def _answer(self, answer, writer):
        """True if the connection stays open."""
        if answer == "silence":
            return True
        if answer == "close":
            return False
        if answer == "reset":
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()
            return False
        writer.write(to_bytes(answer["raw"]) if "raw" in answer else response(answer))
        await writer.drain()
        return answer.get("then") != "close"


class Request:
    """An HTTP request."""

    def __init__(self, line, fields, body):
        self.method, self.target, _ = line.split(" ")
        self.user_agent = fields.get("user-agent")
        self._type = fields.get("content-type", "").split(";")[0]
        self._body = body

    @property
    def name(self):
        """Its name in the case file: "form", "json", or "CONNECT host:port"."""
        names = {"application/x-www-form-urlencoded": "form", "application/json": "json"}
        return names.get(self._type, f"{self.method} {self.target}")

    def login(self):
        """The fields of a login."""
        if self.name == "json":
            return json.loads(self._body)
        return dict(urllib.parse.parse_qsl(self._body.decode(), keep_blank_values=True, strict_parsing=True))
