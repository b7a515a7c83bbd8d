"""Logins over networks that drop packets, and to a machine that fails, in a second network for these tests."""

import unittest

import network
import nginx
import world


class NetworkTest(world.Test):
    def setUp(self):
        self.need_isolation()
        if self.world.network is None:
            self.skipTest(self.world.no_network)

    def probe_for(self, name, **settings):
        return self.world.probe(base_url=network.url(name), ca_file=self.world.ecdsa.root, **settings)

    def assert_between(self, low, ms, high):
        self.assertTrue(low <= ms < high, f"{ms} ms is not from {low} to {high}")


class BlackHole(NetworkTest):
    def test_black_holed_ipv6_costs_200_ms(self):
        with self.probe_for("v6-black-hole") as library:
            result = library.login()
            self.assert_login(result)
            self.assert_between(200, result.ms, 2000)
            tried = [message for _, message in library.log if message.startswith("connecting to")]
            self.assertEqual(
                tried,
                [
                    f"connecting to [{network.BLACK_HOLE_V6}]:{network.PORT}",
                    f"connecting to {network.THERE}:{network.PORT}",
                ],
            )

    def test_refusing_ipv6_costs_no_time(self):
        with self.probe_for("v6-refused") as library:
            self.assert_login(library.login())
            self.assertIn((4, f"no connection to {network.THERE_V6}: connection refused"), library.log)

    def test_connect_timeout_ends_an_unanswered_connect(self):
        with self.probe_for("black-hole", connect_timeout_ms=700) as library:
            result = library.login()
            self.assert_fails(result, "CD_ERR_TIMEOUT", "The connect timeout passed", ", connecting", attempts=0)
            self.assert_between(700, result.ms, 2000)
            result = library.connect()
            self.assert_fails(result, "CD_ERR_TIMEOUT", ", connecting", attempts=0)
            self.assert_between(700, result.ms, 2000)

    def test_deadline_ends_an_unanswered_connect(self):
        with self.probe_for("black-hole", timeout_ms=700, max_retries=4) as library:
            result = library.login()
            self.assert_fails(result, "CD_ERR_TIMEOUT", "The deadline passed", ", connecting", attempts=0)
            self.assert_between(700, result.ms, 2000)

    def test_connect_timeout_is_retried(self):
        with self.probe_for("black-hole", timeout_ms=3000, connect_timeout_ms=300, max_retries=1) as library:
            result = library.login()
            self.assert_fails(result, "CD_ERR_TIMEOUT", ", connecting", attempts=0)
            self.assertEqual(sum(message.startswith("connecting to") for _, message in library.log), 2)

    def test_black_holed_proxy_is_named(self):
        proxy = f"http://{network.BLACK_HOLE}:3128"
        with self.probe_for("second", proxy=proxy, connect_timeout_ms=500) as library:
            self.assert_fails(library.login(), "CD_ERR_TIMEOUT", ", connecting", f"the proxy {proxy}", attempts=0)


class Lookup(NetworkTest):
    """Names, with a resolver in /etc/resolv.conf that never responds."""

    def mute(self, hosts="127.0.0.1 known.peers.test\n"):
        """A command prefix, and the table of names that precedes that resolver."""
        table = self.world.file("hosts", hosts)
        resolver = self.world.file("resolv.conf", f"nameserver {network.BLACK_HOLE}\n")
        return world.with_files({"/etc/hosts": table, "/etc/resolv.conf": resolver}), table

    def assert_ends(self, *parts, of="https://unknown.peers.test", **settings):
        command, _ = self.mute()
        with self.world.probe(command=command, base_url=of, **settings) as library:
            for ends in (library.login, library.connect):
                result = ends()
                self.assert_fails(result, "CD_ERR_TIMEOUT", *parts, attempts=0)
                self.assert_between(600, result.ms, 2000)
            # A hanging lookup does not delay the end of the process.
            self.assertEqual(library.end(), 0)

    def test_connect_timeout_ends_an_unanswered_lookup(self):
        self.assert_ends(", looking up the host name", connect_timeout_ms=600)

    def test_deadline_ends_an_unanswered_proxy_lookup(self):
        settings = {"timeout_ms": 600, "connect_timeout_ms": 600}
        self.assert_ends(", looking up the host name", proxy="http://unknown.peers.test", **settings)

    def test_timeout_of_a_lookup_for_a_socks_proxy_is_named(self):
        proxy = f"socks5://127.0.0.1:{self.world.microsocks}"
        self.assert_ends(", looking up the host name", proxy=proxy, connect_timeout_ms=600)

    def test_localhost_is_never_looked_up(self):
        command, _ = self.mute("198.51.100.9 localhost\n")
        settings = {"base_url": self.world.service.url("localhost"), "ca_file": self.world.ecdsa.root}
        with self.world.probe(command=command, **settings) as library:
            self.assert_login(library.login())

    def test_localhost_for_a_socks_proxy_is_never_looked_up(self):
        command, _ = self.mute("198.51.100.9 localhost\n")
        settings = {"base_url": self.world.service.url("localhost"), "ca_file": self.world.ecdsa.root}
        proxy = f"socks5://127.0.0.1:{self.world.microsocks}"
        with self.world.probe(command=command, proxy=proxy, **settings) as library:
            self.assert_login(library.login())

    def test_earlier_addresses_are_used_if_the_resolver_fails(self):
        command, table = self.mute()
        server = self.world.close_each
        settings = {"base_url": server.url("known.peers.test"), "ca_file": self.world.ecdsa.root}
        with self.world.probe(command=command, connect_timeout_ms=2000, **settings) as library:
            first = library.login()
            self.assert_login(first)
            with open(table, "w", encoding="utf-8"):
                pass
            result = library.login()
            self.assert_login(result)
            self.assertEqual(nginx.seen(result)["resumed"], "r")
            self.assert_between(500, result.ms, 2000)
            warned = [message for level, message in library.log if level == 2]
            self.assertEqual(len(warned), 1)
            self.assertIn("using the previous addresses: 127.0.0.1", warned[0])


class DeadHost(NetworkTest):
    SLOW = True

    def test_dead_host_is_replaced_after_5_seconds(self):
        with self.probe_for("moving", timeout_ms=20000) as library:
            self.assert_login(library.login())
            self.world.network.swallow(network.DYING)
            network.move(self.world.hosts, "moving", network.DYING, network.THERE)
            result = library.login()
            self.assert_login(result)
            self.assert_between(4500, result.ms, 9000)
            again = [message for _, message in library.log if "resending the login" in message]
            self.assertEqual(len(again), 1)
            self.assertIn("no longer responds", again[0])
            self.assertIn("logged in: 2 request(s)", library.log[-1][1])

    def test_pulled_cable_ends_a_login_before_its_deadline(self):
        settings = {"timeout_ms": 20000, "connect_timeout_ms": 2000}
        with self.probe_for("far", **settings) as library:
            self.assert_login(library.login())
            self.world.network.pull()
            result = library.login()
            self.assertIn(result.code, ("CD_ERR_TIMEOUT", "CD_ERR_CONNECT"), result)
            self.assertEqual(result.attempts, 1)
            self.assert_between(4500, result.ms, 12000)
            # The handle is still usable.
            self.world.network.plug()
            self.assert_login(library.login())
