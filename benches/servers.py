"""The servers for all programs, with a fixed response, on free ports of loopback."""

import contextlib
import http.server
import os
import ssl
import sys
import threading

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "interop"))
import certificates  # noqa: E402
import peer  # noqa: E402

# Debian installs servers in folders that are not on every user's PATH.
os.environ["PATH"] += ":/usr/sbin:/sbin"

BODY = '{"token":"0b6e5ba1-7f2c-4b0a-9a3d-1c2d3e4f5a6b"}'


@contextlib.contextmanager
def nginx(work):
    """nginx with an ECDSA chain of three certificates. Gives the base URLs by kind of response, and the chain.

    A chunked response has no known length.
    """
    chain = certificates.make_chain(work, "ecdsa", "ecdsa")
    ports = {"HTTP": peer.reserve_port(), "HTTPS": peer.reserve_port()}
    folder = os.path.join(work, "nginx")
    os.mkdir(folder)
    config = os.path.join(folder, "nginx.conf")
    servers = "".join(
        f"""
            server {{
                # A separate queue for each worker, so that no worker gets all connections.
                listen 127.0.0.1:{port} {"ssl" if scheme == "HTTPS" else ""} reuseport;
                location = /length/authenticate {{ return 200 '{BODY}'; }}
                location = /chunked/authenticate {{
                    ssi on;
                    ssi_types application/json;
                    return 200 '{BODY}';
                }}
            }}"""
        for scheme, port in ports.items()
    )
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""
        {"user root root;" if os.geteuid() == 0 else ""}
        worker_processes auto;
        daemon off;
        pid {folder}/nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 8192; }}
        http {{
            access_log off;
            default_type application/json;
            # Connections stay open during a measurement.
            keepalive_requests 1000000000;
            keepalive_time 24h;
            keepalive_timeout 1h;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            ssl_certificate {chain.full};
            ssl_certificate_key {chain.key};
            {servers}
        }}
        """)
    command = ["nginx", "-e", "stderr", "-p", folder, "-c", config]
    running = peer.Peer("nginx", command, work, [("127.0.0.1", port) for port in ports.values()])
    try:
        urls = {scheme: f"{scheme.lower()}://127.0.0.1:{port}/" for scheme, port in ports.items()}
        kinds = {"": "length", ", chunked": "chunked"}
        yield {scheme + kind: url + path for scheme, url in urls.items() for kind, path in kinds.items()}, chain
    finally:
        running.stop()


class _NagleHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The default of http.server; the measurement depends on it.
    disable_nagle_algorithm = False

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY.encode())

    def log_message(self, *_):
        pass


class _NagleServer(http.server.ThreadingHTTPServer):
    tls = None

    def get_request(self):
        connection, address = super().get_request()
        if self.tls:
            # The first read performs the handshake, on the connection's own thread.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


@contextlib.contextmanager
def nagle(scheme, chain):
    """A server with Nagle's algorithm on that writes the head and the body of a response separately.

    The kernel delays the body until the client acknowledges the head. Linux delays that ACK by 40 ms or more,
    unless the client sets TCP_QUICKACK. TLS is version 1.3, with session tickets. Gives the base URL.
    """
    with _NagleServer(("127.0.0.1", 0), _NagleHandler) as server:
        if scheme == "HTTPS":
            server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.tls.minimum_version = ssl.TLSVersion.TLSv1_3
            server.tls.load_cert_chain(chain.full, chain.key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{scheme.lower()}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
