"""A proxy for four variables that refuses all requests, and records which variable led to which request."""

import base64
import select
import socket
import threading

VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Recorder:
    """Listens once for each of VARIABLES. `seen()` has a short description of each first message:

    `https_proxy CONNECT host:port`, with ` as user:password` if it has credentials, `all_proxy SOCKS5 host:port`,
    `https_proxy TLS`, `https_proxy SOCKS4`, `https_proxy GET`.

    It sends 502 to HTTP and `not allowed` to SOCKS5, and closes all other connections.
    """

    def __init__(self):
        self._listeners = {socket.create_server(("127.0.0.1", 0)): name for name in VARIABLES}
        self.ports = {name: listener.getsockname()[1] for listener, name in self._listeners.items()}
        self._seen = []
        self._stopped, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.close()
        self._thread.join()
        for listener in self._listeners:
            listener.close()
        self._stopped.close()

    def seen(self):
        """The messages since the last call."""
        seen, self._seen = self._seen, []
        return seen

    def _serve(self):
        while True:
            ready, _, _ = select.select([self._stopped, *self._listeners], [], [])
            if self._stopped in ready:
                return
            for listener in ready:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    try:
                        self._respond(self._listeners[listener], connection)
                    except (OSError, ValueError, IndexError) as error:
                        self._seen.append(f"{self._listeners[listener]} {error!r}")

    def _respond(self, name, connection):
        first = _exactly(connection, 1)
        if first == b"\x05":
            self._seen.append(f"{name} {_socks5(connection)}")
            # Connection not allowed by ruleset; bound to 0.0.0.0:0.
            connection.sendall(b"\x05\x02\x00\x01" + bytes(6))
        elif first == b"\x04":
            self._seen.append(f"{name} SOCKS4")
        elif first == b"\x16":
            self._seen.append(f"{name} TLS")
        else:
            self._seen.append(f"{name} {_http(connection, first)}")
            connection.sendall(b"HTTP/1.1 502 Nobody gets through\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        # Waits for the end of the client's data, because closing before it would reset the connection.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def _exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ValueError(f"closed after {data!r}")
        data += more
    return data


def _http(connection, data):
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            raise ValueError(f"closed after {data!r}")
        data += more
    request, *fields = data.split(b"\r\n\r\n")[0].decode().split("\r\n")
    method, target, _ = request.split(" ")
    if method != "CONNECT":
        return method
    for field in fields:
        field_name, value = field.split(":", 1)
        if field_name.lower() == "proxy-authorization":
            return f"CONNECT {target} as {base64.b64decode(value.split()[1]).decode()}"
    return f"CONNECT {target}"


def _socks5(connection):
    """The rest of a greeting, and a request. Requires credentials if the client offers them."""
    methods = _exactly(connection, _exactly(connection, 1)[0])
    who = ""
    if 2 in methods:
        connection.sendall(b"\x05\x02")
        _exactly(connection, 1)
        user = _exactly(connection, _exactly(connection, 1)[0]).decode()
        password = _exactly(connection, _exactly(connection, 1)[0]).decode()
        who = f" as {user}:{password}"
        connection.sendall(b"\x01\x00")
    else:
        connection.sendall(b"\x05\x00")
    kind = _exactly(connection, 4)[3]
    if kind == 3:
        host = _exactly(connection, _exactly(connection, 1)[0]).decode()
    elif kind == 1:
        host = socket.inet_ntop(socket.AF_INET, _exactly(connection, 4))
    else:
        host = f"[{socket.inet_ntop(socket.AF_INET6, _exactly(connection, 16))}]"
    port = int.from_bytes(_exactly(connection, 2), "big")
    return f"SOCKS5 {host}:{port}{who}"
