"""nginx in the service's place, with a server for each behaviour of real ones."""

import os

import peer

# nginx puts its view of the login into the token.
_SEEN = (
    "connection=$connection,requests=$connection_requests,"
    "protocol=$ssl_protocol,resumed=$ssl_session_reused,group=$ssl_curve"
)
RESPONSE = '{"token":"' + _SEEN + ',from=$remote_addr,host=$http_host"}'


def seen(result):
    """The fields in the token of a login."""
    return dict(part.split("=", 1) for part in result.message.split(","))


class Server:
    """One nginx server: a certificate chain (None: plain HTTP), and its own directives."""

    def __init__(self, chain, directives="", response="return 200 '" + RESPONSE + "';", address="127.0.0.1", port=None):
        self.chain, self.directives, self.response, self.address = chain, directives, response, address
        self.port = port or peer.reserve_port(address)

    @property
    def authority(self):
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def url(self, host=None):
        return f"https://{host}:{self.port}" if host else f"https://{self.authority}"

    def text(self):
        tls = ""
        if self.chain:
            tls = f"ssl_certificate {self.chain.full}; ssl_certificate_key {self.chain.key};"
        return f"""
            server {{
                listen {self.authority} {"ssl" if tls else ""};
                {tls}
                {self.directives}
                location = /authenticate {{
                    default_type application/json;
                    {self.response}
                }}
            }}"""


def start(name, work, servers, is_root, command=(), wait=True):
    """Runs nginx with these servers. `command` is a prefix for its own command."""
    folder = os.path.join(work, name)
    os.mkdir(folder)
    with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as config:
        config.write(f"""
            user {"nobody nogroup" if is_root else "root root"};
            worker_processes 1;
            daemon off;
            pid {folder}/nginx.pid;
            error_log stderr info;
            events {{ worker_connections 512; }}
            http {{
                access_log off;
                client_body_temp_path {folder}/body;
                proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi;
                uwsgi_temp_path {folder}/uwsgi;
                scgi_temp_path {folder}/scgi;
                ssl_protocols TLSv1.2 TLSv1.3;
                ssl_session_cache shared:sessions:1m;
                {"".join(server.text() for server in servers)}
            }}
        """)
    listens = [(server.address, server.port) for server in servers] if wait else []
    return peer.Peer(
        name, [*command, "nginx", "-e", "stderr", "-p", folder, "-c", os.path.join(folder, "nginx.conf")], work, listens
    )
