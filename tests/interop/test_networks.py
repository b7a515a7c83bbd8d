"""Logins over networks that drop packets, and to a machine that fails, in a second network for these tests."""

import network
import world


class NetworkTest(world.Test):
    def setUp(self):
        self.need_isolation()
        self.need(self.world.network is not None, self.world.no_network)

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

    def test_connect_timeout_ends_an_unanswered_connect(self):
        with self.probe_for("black-hole", connect_timeout_ms=700) as library:
            result = library.login()
            self.assert_fails(result, "CD_ERR_TIMEOUT", "The connect timeout passed", ", connecting", attempts=0)
            self.assert_between(700, result.ms, 2000)
            result = library.connect()
            self.assert_fails(result, "CD_ERR_TIMEOUT", ", connecting", attempts=0)
            self.assert_between(700, result.ms, 2000)


class Lookup(NetworkTest):
    """A resolver in /etc/resolv.conf that never responds."""

    def test_connect_timeout_ends_an_unanswered_lookup(self):
        resolver = self.world.file("resolv.conf", f"nameserver {network.BLACK_HOLE}\n")
        settings = {"base_url": "https://unknown.peers.test", "connect_timeout_ms": 600}
        with self.world.probe(command=world.with_files({"/etc/resolv.conf": resolver}), **settings) as library:
            for call in (library.login, library.connect):
                result = call()
                self.assert_fails(result, "CD_ERR_TIMEOUT", ", looking up the host name", attempts=0)
                self.assert_between(600, result.ms, 2000)
            # A hanging lookup does not delay the end of the process.
            self.assertEqual(library.end(), 0)


class DeadHost(NetworkTest):
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
