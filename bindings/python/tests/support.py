"""Shared by the tests: the package and its library, the fake server of the service, and other servers."""

import atexit
import gc
import http.server
import json
import os
import selectors
import socket
import subprocess
import sys
import textwrap
import threading

PYPY = sys.implementation.name == "pypy"
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(PACKAGE))
HEADER = os.path.join(ROOT, "include", "couchdrop.h")

STAGED = os.path.join(ROOT, "target", "stage", "lib", "libcouchdrop.so.1")

# With COUCHDROP_TEST_INSTALLED set, the tests use the installed package and the library that it finds.
if "COUCHDROP_TEST_INSTALLED" not in os.environ:
    # Absolute, because a program that a test starts may have another working directory.
    os.environ["COUCHDROP_LIBRARY"] = os.path.abspath(os.environ.get("COUCHDROP_LIBRARY", STAGED))
    # The other folders have packages that tests use: scripts/test.d/python.
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([PACKAGE, *filter(None, others)])
    sys.path.insert(0, PACKAGE)

import couchdrop as couchdrop  # noqa: E402

PASSWORD = "correct horse battery staple"
# An upper limit in seconds for a login on loopback.
SOON = 10.0


def collect_garbage():
    # PyPy runs finalizers after a collection, and a later collection frees the objects that they used.
    for _ in range(4 if PYPY else 1):
        gc.collect()


class FakeServer:
    """The fake server that runs around the tests, or else one that runs as long as the tests."""

    _environment = None

    @classmethod
    def environment(cls):
        if cls._environment is None:
            cls._environment = os.environ if "COUCHDROP_HTTP_URL" in os.environ else cls._start()
        return cls._environment

    @staticmethod
    def _start():
        built = os.path.join(ROOT, "target", "debug", "fake_server")
        program = os.environ.get("COUCHDROP_FAKE_SERVER", built)
        # The server exits with its child program, which prints its environment and reads stdin to its end.
        tell = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
        process = subprocess.Popen(
            [program, "run", sys.executable, "-c", tell],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def stop():
            process.stdin.close()
            process.stdout.close()
            process.wait()

        atexit.register(stop)
        return json.loads(process.stdout.readline())


def fake_server_options():
    environment = FakeServer.environment()
    return {"base_url": environment["COUCHDROP_BASE_URL"], "ca_file": environment["COUCHDROP_CA_FILE"]}


class Silent:
    """A server that accepts connections, reads, and never responds."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.base_url = "http://" + self.address
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, wait = socket.socketpair()
        self._selector.register(wait, selectors.EVENT_READ)
        self._changed = threading.Condition()
        self.accepted = self.closed = 0
        # The first data on a connection counts as a request: the library sends a request in one write.
        self.requests = 0
        self.received = b""
        # Called for each request, on the server's thread.
        self.on_request = lambda: None
        self._seen = set()
        self._thread = threading.Thread(target=self._serve, args=(wait,))
        self._thread.start()

    def _serve(self, wait):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is wait:
                    return
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    self._selector.register(connection, selectors.EVENT_READ)
                    with self._changed:
                        self.accepted += 1
                        self._changed.notify_all()
                else:
                    self._receive(key.fileobj)

    def _receive(self, connection):
        try:
            received = connection.recv(65536)
        except ConnectionResetError:
            received = b""
        if not received:
            self._selector.unregister(connection)
            self._seen.discard(connection)
            connection.close()
            with self._changed:
                self.closed += 1
                self._changed.notify_all()
            return
        new = connection not in self._seen
        self._seen.add(connection)
        with self._changed:
            self.received += received
            self.requests += new
            self._changed.notify_all()
        if new:
            self.on_request()

    def wait_for_requests(self, count):
        with self._changed:
            if not self._changed.wait_for(lambda: self.requests >= count, SOON):
                raise AssertionError(f"only {self.requests} of {count} requests came")

    def wait_until_alone(self):
        """Waits until all accepted connections are closed."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.closed == self.accepted, SOON):
                raise AssertionError(f"{self.accepted - self.closed} connections stay open")

    def wait_for_bytes(self, expected):
        with self._changed:
            if not self._changed.wait_for(lambda: expected in self.received, SOON):
                raise AssertionError(f"{expected!r} did not come, but {self.received!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._wake.close()
        self._selector.close()


class Recorder:
    """A server that responds to each login with `status` and `body`, and records the requests."""

    def __init__(self, body=b'{"token":"00000000-0000-4000-8000-000000000000"}', status=200):
        recorder = self
        self.connections = 0
        self.requests = []
        self.body = body
        self.status = status

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                recorder.connections += 1
                super().setup()

            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                recorder.requests.append((self.headers, content))
                self.send_response(recorder.status)
                self.send_header("Content-Length", str(len(recorder.body)))
                self.end_headers()
                self.wfile.write(recorder.body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """Ignores the error of a client that closed its connection early."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Refusing:
    """A proxy that refuses each tunnel with `status`."""

    def __init__(self, status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def run_python(source, *arguments, flags=(), **options):
    """Runs a program in a new Python process."""
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", *flags, "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def start_python(source, *arguments, flags=(), **options):
    return subprocess.Popen(
        [sys.executable, *flags, "-c", textwrap.dedent(source), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
