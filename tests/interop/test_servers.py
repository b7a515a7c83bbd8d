"""Logins to nginx and to OpenSSL's own server. tests/tls.rs and tests/connections.rs have the cases that no real server
makes on request."""

import subprocess

import nginx
import peer
import world


class Tls(world.Test):
    def login(self, server, chain, **settings):
        return self.world.login(base_url=server.url(), ca_file=chain.root, **settings)

    def assert_protocol(self, server, chain, protocol):
        result = self.login(server, chain)
        self.assert_login(result)
        self.assertEqual(nginx.seen(result)["protocol"], protocol)

    def test_rsa_and_ecdsa_chains_work_with_both_versions(self):
        for chain, tls12, tls13 in (
            (self.world.rsa, self.world.rsa_tls12, self.world.rsa_tls13),
            (self.world.ecdsa, self.world.ecdsa_tls12, self.world.ecdsa_tls13),
        ):
            self.assert_protocol(tls12, chain, "TLSv1.2")
            self.assert_protocol(tls13, chain, "TLSv1.3")

    def test_key_exchange_is_the_servers_choice(self):
        groups = ["X25519", "prime256v1", "secp384r1"]
        # OpenSSL supports it since 3.5.
        listed = subprocess.run(["openssl", "list", "-kem-algorithms"], stdout=subprocess.PIPE, text=True, check=True)
        if "X25519MLKEM768" in listed.stdout:
            groups.append("X25519MLKEM768")
        servers = {group: nginx.Server(self.world.ecdsa, f"ssl_ecdh_curve {group};") for group in groups}
        running = nginx.start("nginx_groups", self.world.work, servers.values(), self.world.is_root)
        try:
            for group, server in servers.items():
                result = self.login(server, self.world.ecdsa)
                self.assert_login(result)
                # nginx logs a group without a name in its OpenSSL by its number.
                self.assertIn(nginx.seen(result)["group"], (group, "0x11ec" if group == "X25519MLKEM768" else group))
        finally:
            running.stop()

    def test_second_connection_of_a_handle_resumes_a_session(self):
        for server, chain, protocol in (
            (self.world.rsa_tls12, self.world.rsa, "TLSv1.2"),
            (self.world.ecdsa_tls13, self.world.ecdsa, "TLSv1.3"),
        ):
            with self.world.probe(base_url=server.url(), ca_file=chain.root) as library:
                seen = [nginx.seen(library.login()) for _ in range(3)]
                self.assertEqual([login["resumed"] for login in seen], [".", "r", "r"])
                self.assertEqual({login["protocol"] for login in seen}, {protocol})
                self.assertEqual(len({login["connection"] for login in seen}), 3)

    def test_alert_for_a_missing_client_certificate_is_reported(self):
        for version, alert, attempts in (("-tls1_2", "40 (handshake_failure)", 0), ("-tls1_3", "116 (certificate_required)", None)):
            port = peer.reserve_port()
            chain = self.world.rsa
            command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", version, "-quiet", "-www"]
            command += ["-cert", chain.leaf, "-cert_chain", chain.full, "-key", chain.key]
            command += ["-Verify", "1", "-verify_return_error"]
            running = peer.Peer(f"s_server{version}", command, self.world.work, [("127.0.0.1", port)])
            try:
                settings = {"base_url": f"https://127.0.0.1:{port}", "ca_file": chain.root}
                result = self.world.login(max_retries=4, **settings)
                self.assert_fails(result, "CD_ERR_TLS", f"alert {alert}", attempts=attempts)
            finally:
                running.stop()


class Http(world.Test):
    def probe_for(self, server, **settings):
        return self.world.probe(base_url=server.url(), ca_file=self.world.ecdsa.root, **settings)

    def test_warm_logins_share_one_connection(self):
        with self.probe_for(self.world.service) as library:
            seen = [nginx.seen(library.login()) for _ in range(5)]
            self.assertEqual([login["requests"] for login in seen], ["1", "2", "3", "4", "5"])
            self.assertEqual(len({login["connection"] for login in seen}), 1)

    def test_idle_connection_closed_by_the_server_is_replaced(self):
        """The login sends nothing on the closed connection."""
        with self.probe_for(self.world.impatient) as library:
            first = nginx.seen(library.login())
            library.wait_closed()
            result = library.login()
            self.assert_login(result)
            second = nginx.seen(result)
            self.assertNotEqual(first["connection"], second["connection"])
            self.assertEqual((second["requests"], second["resumed"]), ("1", "r"))
            self.assertIn((4, "dropped an idle connection: dead"), library.log)
            self.assertFalse([message for _, message in library.log if "resending the login" in message])
