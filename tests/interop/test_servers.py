"""Logins to nginx, with behaviours of real servers, and to OpenSSL's own server."""

import json
import subprocess

import nginx
import peer
import probe
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

    def test_ed25519_chain_is_accepted(self):
        self.assert_protocol(self.world.of_ed25519, self.world.ed25519, "TLSv1.3")

    def test_unrecognized_name_alert_is_reported(self):
        settings = {"base_url": self.world.rejects_names.url("localhost"), "ca_file": self.world.ecdsa.root}
        result = self.world.login(max_retries=4, **settings)
        self.assert_fails(result, "CD_ERR_TLS", "alert 112 (unrecognized_name)", attempts=0)

    def test_newest_tls_version_is_negotiated(self):
        self.assert_protocol(self.world.service, self.world.ecdsa, "TLSv1.3")

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

    def test_older_tls_version_is_refused(self):
        result = self.login(self.world.tls11, self.world.rsa, max_retries=4)
        self.assert_fails(result, "CD_ERR_TLS", "alert 70 (protocol_version)", attempts=0)

    def test_missing_intermediate_is_an_unknown_issuer(self):
        result = self.login(self.world.broken_chain, self.world.ecdsa, max_retries=4)
        self.assert_fails(result, "CD_ERR_TLS", "unknown issuer", attempts=0)

    def test_other_root_is_an_unknown_issuer(self):
        result = self.login(self.world.service, self.world.rsa, max_retries=4)
        self.assert_fails(result, "CD_ERR_TLS", "unknown issuer", attempts=0)

    def test_certificate_for_other_names_reports_both(self):
        self.need_isolation()
        settings = {"base_url": self.world.service.url("other.name.test"), "ca_file": self.world.ecdsa.root}
        result = self.world.login(max_retries=4, **settings)
        self.assert_fails(result, "CD_ERR_TLS", "other.name.test", "*.peers.test", attempts=0)

    def test_plain_http_on_the_https_port_is_not_tls(self):
        result = self.login(self.world.plain, self.world.ecdsa, max_retries=4)
        self.assert_fails(result, "CD_ERR_TLS", "not TLS", attempts=0)

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

    def test_other_handle_resumes_no_session(self):
        for _ in range(2):
            self.assertEqual(nginx.seen(self.login(self.world.ecdsa_tls13, self.world.ecdsa))["resumed"], ".")

    def test_nginx_that_requires_a_client_certificate_sends_400(self):
        # It completes the handshake, and accepts neither form nor JSON.
        result = self.login(self.world.client_certificate, self.world.ecdsa, max_retries=4)
        self.assert_fails(result, "CD_ERR_HTTP_STATUS", "400", status=400, attempts=2)

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

    def login(self, server, **settings):
        with self.probe_for(server, **settings) as library:
            return library.login()

    def test_warm_logins_share_one_connection(self):
        with self.probe_for(self.world.service) as library:
            seen = [nginx.seen(library.login()) for _ in range(5)]
            self.assertEqual([login["requests"] for login in seen], ["1", "2", "3", "4", "5"])
            self.assertEqual(len({login["connection"] for login in seen}), 1)

    def test_connection_made_by_connect_is_used(self):
        with self.probe_for(self.world.service) as library:
            self.assertEqual(library.connect().code, "CD_OK")
            self.assertEqual(library.connect().code, "CD_OK")
            self.assertEqual(nginx.seen(library.login())["requests"], "1")
            self.assertEqual(sum("TLS handshake with" in message for _, message in library.log), 1)

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

    def test_connection_closed_before_a_login_is_replaced(self):
        with self.probe_for(self.world.impatient) as library:
            self.assertEqual(library.connect().code, "CD_OK")
            library.wait_closed()
            self.assert_login(library.login())

    def test_server_that_closes_each_connection_works(self):
        with self.probe_for(self.world.close_each) as library:
            seen = [nginx.seen(library.login()) for _ in range(3)]
            self.assertEqual([login["requests"] for login in seen], ["1", "1", "1"])
            self.assertFalse([message for _, message in library.log if "dropped" in message or "again" in message])

    def test_chunked_response_keeps_the_connection(self):
        with self.probe_for(self.world.chunked) as library:
            seen = [nginx.seen(library.login()) for _ in range(3)]
            self.assertEqual([login["requests"] for login in seen], ["1", "2", "3"])
        self.assertIn("transfer-encoding: chunked", self.response_to_curl(self.world.chunked))

    def test_response_is_not_compressed(self):
        self.assert_login(self.login(self.world.gzip))
        self.assertIn("content-encoding: gzip", self.response_to_curl(self.world.gzip, "--compressed"))

    def response_to_curl(self, server, *options):
        """The head of its response to curl, in lower case, to check that the server behaves as the test needs."""
        command = ["curl", "-q", "-sS", "-D", "-", "-o", "/dev/null", "-d", "", "--cacert", self.world.ecdsa.root]
        command += [*options, f"{server.url()}/authenticate"]
        done = subprocess.run(command, env=probe.clean_environment(), capture_output=True, text=True, check=True)
        return done.stdout.lower()

    def test_too_large_login_returns_the_servers_413(self):
        result = self.login(self.world.small, max_retries=4)
        self.assert_fails(result, "CD_ERR_HTTP_STATUS", "413", status=413, attempts=1)

    def test_status_408_on_a_new_connection_is_a_response(self):
        result = self.login(self.world.slow_to_read, max_retries=4)
        self.assert_fails(result, "CD_ERR_HTTP_STATUS", "408", status=408, attempts=1)

    def assert_sent_again(self, server, why):
        with self.probe_for(server) as library:
            first = nginx.seen(library.login())
            result = library.login()
            self.assert_login(result)
            second = nginx.seen(result)
            self.assertNotEqual(first["connection"], second["connection"])
            self.assertEqual(second["requests"], "1")
            self.assertIn("logged in: 2 request(s)", library.log[-1][1])
            self.assertTrue([message for _, message in library.log if why in message and "resending the login" in message])

    def test_status_408_on_a_reused_connection_resends_the_login(self):
        self.assert_sent_again(self.world.tired, "was answered with status 408")

    def test_login_on_a_closed_reused_connection_is_resent(self):
        self.assert_sent_again(self.world.hangs_up_second, "ended")

    def test_new_connection_closed_without_a_response_is_lost(self):
        result = self.login(self.world.hangs_up, max_retries=4)
        self.assert_fails(result, "CD_ERR_CONNECTION_LOST", "waiting for the response", attempts=1)

    def test_status_503_is_retried(self):
        with self.probe_for(self.world.unavailable_at_first, max_retries=1) as library:
            result = library.login()
            self.assert_login(result)
            self.assertEqual(nginx.seen(result)["requests"], "2")
            self.assertIn("logged in: 2 request(s)", library.log[-1][1])

    def test_redirect_is_not_followed(self):
        result = self.login(self.world.moved, max_retries=4)
        self.assert_fails(result, "CD_ERR_HTTP_STATUS", "308", status=308, attempts=1)

    def test_html_error_page_is_not_a_server_message(self):
        result = self.login(self.world.small)
        self.assertNotIn("html", result.message)
        self.assertNotIn("nginx", result.message)

    def test_response_is_valid_json_for_other_parsers(self):
        # The tokens that the tests above read come from nginx itself.
        command = ["curl", "-q", "-sS", "-d", "", "--cacert", self.world.ecdsa.root]
        command += [f"{self.world.service.url()}/authenticate"]
        done = subprocess.run(command, env=probe.clean_environment(), capture_output=True, text=True, check=True)
        self.assertIn("requests=1", json.loads(done.stdout)["token"])
