"""A server with Nagle's algorithm on that writes the head and the body of a response separately.

The kernel delays the body until the client acknowledges the head. Linux delays that ACK by 40 ms or more, unless
the client sets TCP_QUICKACK.
"""

import contextlib
import http.server
import json
import socket
import ssl
import threading
import time

from .service import TOKEN

HOST = "127.0.0.1"
_BODY = json.dumps({"token": TOKEN}).encode()
_REQUEST = f"POST /authenticate HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode()
# Less than the shortest delay of an ACK, more than the server needs for a response.
_THRESHOLD = 0.02


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The default of http.server; the measurement depends on it.
    disable_nagle_algorithm = False

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    """`chain` is the server's certificate chain, None for plain HTTP. TLS is version 1.3, with session tickets."""

    def __init__(self, chain):
        super().__init__((HOST, 0), _Handler)
        self._tls = None
        if chain:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
            self._tls.load_cert_chain(chain.full, chain.key)

    def get_request(self):
        connection, address = super().get_request()
        if self._tls:
            # The first read performs the handshake, on the connection's own thread.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


def _exchange(connection, quickack):
    """The first piece of a response, and the seconds until its end."""
    start = time.monotonic()
    connection.sendall(_REQUEST)
    # Sending turns delayed ACKs on again.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, quickack)
    first = piece = connection.recv(65536)
    while not piece.endswith(_BODY):
        piece = connection.recv(65536)
        if not piece:
            raise RuntimeError("the server with Nagle on closed the connection")
    return first, time.monotonic() - start


def _check(port, chain):
    """Fails unless the body is a separate segment and waits for the ACK of the head."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((HOST, port)))
        if chain:
            trust = ssl.create_default_context(cafile=chain.root)
            connection = stack.enter_context(trust.wrap_socket(connection, server_hostname=HOST))
        # The session tickets come before the first response, and change its timing.
        _exchange(connection, 1)
        delayed = [_exchange(connection, 0) for _ in range(5)]
        quick = [_exchange(connection, 1) for _ in range(5)]
    if not all(first.endswith(b"\r\n\r\n") for first, _ in delayed):
        raise RuntimeError("the server with Nagle on sent the head and the body together")
    with_delay, without = (min(seconds for _, seconds in responses) for responses in (delayed, quick))
    if not without < _THRESHOLD < with_delay:
        raise RuntimeError(
            "the server with Nagle on does not wait for ACKs: "
            f"{1000 * with_delay:.1f} ms with delayed ACKs, {1000 * without:.1f} ms without"
        )


@contextlib.contextmanager
def serving(chain=None):
    """A server on a thread of this process. Gives its base URL."""
    with _Server(chain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            _check(server.server_port, chain)
            yield f"{'https' if chain else 'http'}://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
