"""Shared fixtures of all tests: names, certificates, and the servers that several tests use."""

import atexit
import functools
import os
import subprocess
import threading
import unittest

import certificates
import network
import nginx
import peer
import probe

HOSTS = network.HOSTS + """127.0.0.1 localhost
::1 localhost
127.0.0.1 login.peers.test
127.0.0.1 here.peers.test
"""

# The SOCKS servers' replacement for it.
THEIR_HOSTS = """127.0.0.1 localhost
127.0.0.1 there.peers.test
"""


def run(*command):
    """Runs a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def with_files(files, *command):
    """`command` in its own mount namespace, in which other files replace these."""
    mounts = [part for path, other in files.items() for part in (other, path)]
    script = 'while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'
    return ["unshare", "--mount", "sh", "-euc", script, "sh", *mounts, "--", *command]


class World:
    """Everything that the tests share. It is started once, with the first test, and stopped at the end of the program."""

    def __init__(self):
        self.work = os.environ["PEERS_WORK"]
        self.program = os.path.join(self.work, "probe")
        self.isolation = os.environ["PEERS_ISOLATION"]
        self._peers = []
        self._lock = threading.Lock()
        self._count = 0
        atexit.register(self.stop)
        self._start()

    @property
    def is_root(self):
        """Root outside any user namespace: other users exist, and so do files that they may not read."""
        return os.geteuid() == 0 and self.isolation != "user"

    @property
    def is_isolated(self):
        """Network and mount namespace belong to this test."""
        return self.isolation != "none"

    def stop(self):
        """Stops all peers."""
        for running in reversed(self._peers):
            running.stop()

    def _start(self):
        if self.is_isolated:
            run("ip", "link", "set", "lo", "up")
            self.hosts = self.file("hosts", HOSTS)
            run("mount", "--bind", self.hosts, "/etc/hosts")
            # No other source of names is used, such as one on a socket of the file system.
            run("mount", "--bind", self.file("nsswitch.conf", "hosts: files dns\n"), "/etc/nsswitch.conf")
        self.rsa = certificates.make_chain(self.work, "rsa", "rsa")
        self.ecdsa = certificates.make_chain(self.work, "ecdsa", "ecdsa")
        # Signed by other CAs, for changes of trust.
        self.stranger = certificates.make_chain(self.work, "stranger", "ecdsa")
        self._start_nginx()
        self._start_proxies()
        self.network, self.no_network = None, None
        if self.is_isolated:
            try:
                self.network = self.keep(network.Network())
            except OSError as error:
                self.no_network = f"this machine allows no second network: {error}"
            else:
                self.keep(self.network.serve(self.work, self.ecdsa, self.is_root))

    def _start_nginx(self):
        close_each = "keepalive_timeout 0;"
        servers = {
            "service": nginx.Server(self.ecdsa),
            "service_on_v6": nginx.Server(self.ecdsa, address="::1"),
            "plain": nginx.Server(None),
            "of_stranger": nginx.Server(self.stranger, close_each),
            "close_each": nginx.Server(self.ecdsa, close_each),
            "rsa_tls12": nginx.Server(self.rsa, f"{close_each} ssl_protocols TLSv1.2;"),
            "rsa_tls13": nginx.Server(self.rsa, f"{close_each} ssl_protocols TLSv1.3;"),
            "ecdsa_tls12": nginx.Server(self.ecdsa, f"{close_each} ssl_protocols TLSv1.2;"),
            "ecdsa_tls13": nginx.Server(self.ecdsa, f"{close_each} ssl_protocols TLSv1.3;"),
            "impatient": nginx.Server(self.ecdsa, "keepalive_timeout 1s;"),
        }
        for name, server in servers.items():
            setattr(self, name, server)
        self.keep(nginx.start("nginx", self.work, servers.values(), self.is_root))

    def _start_proxies(self):
        allowed = "Allow 127.0.0.1"
        self.tinyproxy = start_tinyproxy(self, "tinyproxy", allowed)
        self.tinyproxy_from_anywhere = start_tinyproxy(self, "tinyproxy-from-anywhere", allowed, bind="")
        self.tinyproxy_for_users = start_tinyproxy(self, "tinyproxy-for-users", f"{allowed}\nBasicAuth user passage")
        self.microsocks = start_microsocks(self, "microsocks")
        self.microsocks_for_users = start_microsocks(self, "microsocks-for-users", "-u", "user", "-P", "passage")

    def keep(self, running):
        """Stops a peer together with all others."""
        with self._lock:
            self._peers.append(running)
        return running

    def unique(self, name):
        """A path that does not exist yet."""
        with self._lock:
            self._count += 1
            return os.path.join(self.work, f"{name}-{self._count}")

    def file(self, name, content):
        """A new file."""
        path = self.unique(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def probe(self, env=None, command=(), program=None, **settings):
        """The library, set up to wait no longer than a test needs."""
        settings = {"max_retries": 0, "timeout_ms": 10000, "logger": 4, **settings}
        return probe.Probe(program or self.program, env, command, **settings)

    def login(self, env=None, **settings):
        """A login in its own process."""
        with self.probe(env, **settings) as library:
            return library.login()


world = functools.lru_cache(maxsize=None)(World)


class Test(unittest.TestCase):
    """A test that uses the world."""

    longMessage = True

    @property
    def world(self):
        return world()

    def need(self, condition, reason):
        """Skips the test without it. With CI set the test fails."""
        if not condition and os.environ.get("CI"):
            self.fail(reason)
        if not condition:
            self.skipTest(reason)

    def need_isolation(self):
        self.need(self.world.is_isolated, "this machine allows no network and mount table of one's own (unshare)")

    def need_root(self):
        self.need_isolation()
        self.need(self.world.is_root, "needs root")

    def assert_login(self, result):
        self.assertEqual(result.code, "CD_OK", result)

    def assert_fails(self, result, code, *parts, status=0, attempts=None):
        """Checks that the login failed with this code, and that its message contains all of `parts`."""
        self.assertEqual((result.code, result.status), (code, status), result)
        for part in parts:
            self.assertIn(part, result.message)
        if attempts is not None:
            self.assertEqual(result.attempts, attempts, result)


def start_tinyproxy(world, name, directives, bind="Bind 127.0.0.9"):
    """An HTTP proxy; returns its port. Its source address identifies connections through it."""
    port = peer.reserve_port()
    user = "User nobody" if world.is_root else ""
    lines = [user, f"Port {port}", "Listen 127.0.0.1", bind, "Timeout 30", "LogLevel Connect", directives]
    config = world.file("tinyproxy", "\n".join(lines) + "\n")
    world.keep(peer.Peer(name, ["tinyproxy", "-d", "-c", config], world.work, [("127.0.0.1", port)]))
    return port


def start_microsocks(world, name, *arguments):
    """A SOCKS5 proxy with its own table of names; returns its port. It connects from 127.0.0.8."""
    port = peer.reserve_port()
    command = ["microsocks", "-i", "127.0.0.1", "-p", str(port), "-b", "127.0.0.8", *arguments]
    if world.is_isolated:
        command = with_files({"/etc/hosts": world.file("hosts", THEIR_HOSTS)}, *command)
    world.keep(peer.Peer(name, command, world.work, [("127.0.0.1", port)]))
    return port
