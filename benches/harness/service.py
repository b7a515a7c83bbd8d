"""The service for all programs: nginx with a fixed response, on free ports of loopback."""

import os
import socket
import sys

from . import places

sys.path.append(os.path.join(places.ROOT, "tests", "interop"))
import certificates  # noqa: E402
import peer  # noqa: E402

# Debian installs servers in folders that are not on every user's PATH.
os.environ["PATH"] += ":/usr/sbin:/sbin"

TOKEN = "0b6e5ba1-7f2c-4b0a-9a3d-1c2d3e4f5a6b"

# A response with server-side includes has no known length.
_LOCATIONS = f"""
    location = /length/authenticate {{ return 200 '{{"token":"{TOKEN}"}}'; }}
    location = /chunked/authenticate {{
        ssi on;
        ssi_types application/json;
        return 200 '{{"token":"{TOKEN}"}}';
    }}
"""


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Service:
    """Starts when it is created. `chains` has the certificates by kind of key; `url` returns a base URL."""

    def __init__(self, work, host="localhost", addresses=None, port=None, command=()):
        self._host = host
        self._addresses = addresses or (["127.0.0.1", "[::1]"] if _has_ipv6() else ["127.0.0.1"])
        self.chains = {kind: certificates.make_chain(work, kind, kind) for kind in ("rsa", "ecdsa")}
        self._ports = {kind: port or peer.reserve_port() for kind in (None, *self.chains)}
        folder = os.path.join(work, "nginx")
        os.mkdir(folder)
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as config:
            config.write(self._config(folder, port is None))
        there = addresses[0] if addresses else "127.0.0.1"
        listens = [(there, number) for number in set(self._ports.values())]
        self._peer = peer.Peer(
            "nginx",
            [*command, "nginx", "-e", "stderr", "-p", folder, "-c", os.path.join(folder, "nginx.conf")],
            work,
            listens,
        )

    def _config(self, folder, all_servers):
        kinds = (None, *self.chains) if all_servers else ("ecdsa",)
        return f"""
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
                ssl_protocols TLSv1.2 TLSv1.3;
                {"".join(self._server(kind) for kind in kinds)}
            }}
        """

    def _server(self, kind):
        listens, tls = "", ""
        for address in self._addresses:
            # A separate queue for each worker, so that no worker gets all connections.
            listens += f"listen {address}:{self._ports[kind]} {'ssl' if kind else ''} reuseport;\n"
        if kind:
            chain = self.chains[kind]
            tls = f"ssl_certificate {chain.full}; ssl_certificate_key {chain.key};"
        return f"server {{ {listens} {tls} {_LOCATIONS} }}\n"

    def url(self, kind=None, framing="length", host=None):
        """The base URL of the server with that kind of key, None for plain HTTP."""
        return f"{'https' if kind else 'http'}://{host or self._host}:{self._ports[kind]}/{framing}"

    def ca_file(self, kind=None):
        return self.chains[kind or "rsa"].root

    def stop(self):
        self._peer.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
