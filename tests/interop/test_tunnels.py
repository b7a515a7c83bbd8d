"""Logins through real proxies: tinyproxy for HTTP CONNECT, microsocks for SOCKS5."""

import nginx
import world

# The proxies accept `user` with `passage`.
USER = "us%65r:p%61ssage"
TINYPROXY_FROM = "127.0.0.9"
MICROSOCKS_FROM = "127.0.0.8"


class HttpConnect(world.Test):
    """nginx behind tinyproxy."""

    def login(self, proxy, base_url=None, **settings):
        return self.world.login(
            base_url=base_url or self.world.service.url(), ca_file=self.world.ecdsa.root, proxy=proxy, **settings
        )

    def test_login_uses_the_tunnel(self):
        result = self.login(f"http://127.0.0.1:{self.world.tinyproxy}")
        self.assert_login(result)
        self.assertEqual(nginx.seen(result)["from"], TINYPROXY_FROM)
        self.assertEqual(nginx.seen(result)["host"], self.world.service.authority)

    def test_proxy_receives_a_name_and_resolves_it(self):
        result = self.login(f"127.0.0.1:{self.world.tinyproxy}", self.world.service.url("localhost"))
        self.assert_login(result)
        self.assertEqual(nginx.seen(result)["from"], TINYPROXY_FROM)
        self.assertEqual(nginx.seen(result)["host"], f"localhost:{self.world.service.port}")

    def test_proxy_receives_an_ipv6_address(self):
        proxy = f"http://127.0.0.1:{self.world.tinyproxy_from_anywhere}"
        result = self.login(proxy, self.world.service_on_v6.url())
        self.assert_login(result)
        self.assertEqual(nginx.seen(result)["from"], "::1")

    def test_tunnel_is_reused(self):
        settings = {"base_url": self.world.service.url(), "ca_file": self.world.ecdsa.root}
        with self.world.probe(proxy=f"http://127.0.0.1:{self.world.tinyproxy}", **settings) as library:
            self.assertEqual(library.connect().code, "CD_OK")
            seen = [nginx.seen(library.login()) for _ in range(3)]
            self.assertEqual([login["requests"] for login in seen], ["1", "2", "3"])
            self.assertEqual(len({login["connection"] for login in seen}), 1)
            self.assertEqual(sum("tunnel through" in message for _, message in library.log), 1)

    def test_session_is_resumed_in_another_tunnel(self):
        settings = {"base_url": self.world.close_each.url(), "ca_file": self.world.ecdsa.root}
        with self.world.probe(proxy=f"http://127.0.0.1:{self.world.tinyproxy}", **settings) as library:
            seen = [nginx.seen(library.login()) for _ in range(2)]
            self.assertEqual([login["resumed"] for login in seen], [".", "r"])

    def test_credentials_are_accepted(self):
        result = self.login(f"http://{USER}@127.0.0.1:{self.world.tinyproxy_for_users}")
        self.assert_login(result)
        self.assertEqual(nginx.seen(result)["from"], TINYPROXY_FROM)

    def test_wrong_credentials_return_the_status(self):
        """The message does not contain them."""
        where = f"127.0.0.1:{self.world.tinyproxy_for_users}"
        result = self.login(f"http://user:hunter2@{where}", max_retries=4)
        # tinyproxy sends 401 instead of 407.
        self.assert_fails(result, "CD_ERR_PROXY", f"http://{where}", "401", status=401, attempts=0)
        self.assertNotIn("hunter2", result.message)
        self.assertNotIn("user:", result.message)

    def test_proxy_of_the_environment_is_used_for_a_name(self):
        self.need_isolation()
        settings = {"base_url": self.world.service.url("login.peers.test"), "ca_file": self.world.ecdsa.root}
        proxy = f"http://{USER}@127.0.0.1:{self.world.tinyproxy_for_users}"
        through = {"HTTPS_PROXY": proxy}
        self.assertEqual(nginx.seen(self.world.login(through, **settings))["from"], TINYPROXY_FROM)
        direct = {"HTTPS_PROXY": proxy, "NO_PROXY": "peers.test"}
        self.assertEqual(nginx.seen(self.world.login(direct, **settings))["from"], "127.0.0.1")


class Socks5(world.Test):
    """nginx behind microsocks, which has a different table of names."""

    def login(self, proxy, host=None, **settings):
        return self.world.login(
            base_url=self.world.service.url(host), ca_file=self.world.ecdsa.root, proxy=proxy, **settings
        )

    def assert_through(self, result):
        self.assert_login(result)
        self.assertEqual(nginx.seen(result)["from"], MICROSOCKS_FROM)

    def test_address_works_with_socks5_and_socks5h(self):
        for scheme in ("socks5", "socks5h"):
            self.assert_through(self.login(f"{scheme}://127.0.0.1:{self.world.microsocks}"))

    def test_socks5_resolves_names_and_socks5h_does_not(self):
        self.need_isolation()
        proxy = f"127.0.0.1:{self.world.microsocks}"
        self.assert_through(self.login(f"socks5://{proxy}", "here.peers.test"))
        self.assert_through(self.login(f"socks5h://{proxy}", "there.peers.test"))
        unknown_here = self.login(f"socks5://{proxy}", "there.peers.test")
        self.assert_fails(unknown_here, "CD_ERR_DNS", "there.peers.test", attempts=0)
        unknown_there = self.login(f"socks5h://{proxy}", "here.peers.test", max_retries=4)
        self.assert_fails(unknown_there, "CD_ERR_PROXY", "refused the tunnel", attempts=0)

    def test_credentials_are_accepted(self):
        for scheme in ("socks5", "socks5h"):
            self.assert_through(self.login(f"{scheme}://{USER}@127.0.0.1:{self.world.microsocks_for_users}"))

    def test_wrong_credentials_are_refused_and_not_shown(self):
        result = self.login(f"socks5h://user:hunter2@127.0.0.1:{self.world.microsocks_for_users}", max_retries=4)
        self.assert_fails(result, "CD_ERR_PROXY", "refused its user name or password", attempts=0)
        self.assertNotIn("hunter2", result.message)

    def test_proxy_of_the_environment_is_used_for_a_name(self):
        self.need_isolation()
        settings = {"base_url": self.world.service.url("there.peers.test"), "ca_file": self.world.ecdsa.root}
        proxy = {"all_proxy": f"socks5h://{USER}@127.0.0.1:{self.world.microsocks_for_users}"}
        self.assert_through(self.world.login(proxy, **settings))
