"""The result of a login to each account of the fake server, over TLS."""

import json
import pickle
import ssl
import time
import unittest
import urllib.request

import support
from support import PASSWORD, FakeServer, couchdrop


class Accounts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = couchdrop.Client(**support.fake_server_options())

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def fails_with(self, expected, username, password=PASSWORD, **options):
        with couchdrop.Client(**support.fake_server_options(), **options) as client:
            with self.assertRaises(expected) as caught:
                client.authenticate(username, password)
        self.assertIs(type(caught.exception), expected)
        self.assertNotIn(password, str(caught.exception))
        return caught.exception

    def test_login_returns_a_new_token_each_time(self):
        first = self.client.authenticate("ada@example.com", PASSWORD)
        second = self.client.authenticate("ada@example.com", PASSWORD)
        self.assertRegex(first.value, r"\A[0-9a-f-]{36}\Z")
        self.assertNotEqual(first, second)

    def test_token_gives_access_to_files(self):
        environment = FakeServer.environment()
        token = self.client.authenticate("ada@example.com", PASSWORD)
        request = urllib.request.Request(
            environment["COUCHDROP_FILES_URL"] + "/file/ls?path=/", method="POST", headers=token.headers()
        )
        context = ssl.create_default_context(cafile=environment["COUCHDROP_CA_FILE"])
        with urllib.request.urlopen(request, context=context) as response:
            self.assertIn("ls", json.load(response))

    def test_function_accepts_options(self):
        token = couchdrop.authenticate("ada@example.com", PASSWORD, **support.fake_server_options())
        self.assertEqual(len(token.value), 36)

    def test_non_ascii_credentials_are_accepted(self):
        self.client.authenticate("жук@example.com", 'пароль & 100% + "q"\\ é')

    def test_json_only_account_succeeds(self):
        self.client.authenticate("json@example.com", PASSWORD)

    def test_rate_limited_login_is_retried(self):
        started = time.monotonic()
        self.client.authenticate("busy@example.com", PASSWORD)
        self.assertGreaterEqual(time.monotonic() - started, 1.0)

    def test_wrong_password_is_access_denied(self):
        error = self.fails_with(couchdrop.AccessDenied, "ada@example.com", "not my password")
        self.assertIsInstance(error, couchdrop.AuthenticationError)
        self.assertEqual(error.code, couchdrop.Code.CD_ERR_ACCESS_DENIED)
        self.assertEqual(error.code_name, "CD_ERR_ACCESS_DENIED")
        self.assertEqual(error.http_status, 403)
        self.assertEqual(error.server_message, "Access denied")
        self.assertIsNone(error.retry_after)
        self.assertEqual(error.attempts, 1)
        self.assertFalse(error.retryable)

    def test_two_factor_account_is_refused(self):
        error = self.fails_with(couchdrop.TwoFactorRequired, "twofactor@example.com")
        self.assertIsInstance(error, couchdrop.AuthenticationError)
        self.assertEqual(error.http_status, 401)

    def test_rate_limited_has_retry_after(self):
        started = time.monotonic()
        error = self.fails_with(couchdrop.RateLimited, "limited@example.com")
        self.assertLess(time.monotonic() - started, 1.0)
        self.assertEqual(error.retry_after, 3600)
        self.assertEqual(error.server_message, "Too many requests")
        self.assertTrue(error.retryable)

    def test_status_503_is_retried_max_retries_times(self):
        error = self.fails_with(couchdrop.Unavailable, "down@example.com", max_retries=2, backoff=(0, 0.01))
        self.assertEqual((error.http_status, error.server_message, error.attempts), (503, None, 3))

    def test_status_500_is_a_server_error(self):
        error = self.fails_with(couchdrop.ServerError, "broken@example.com", max_retries=0)
        self.assertEqual((error.http_status, error.server_message), (500, "Internal error 7"))

    def test_captive_portal_is_a_malformed_response(self):
        error = self.fails_with(couchdrop.MalformedResponse, "portal@example.com")
        self.assertIsInstance(error, couchdrop.ResponseError)

    def test_redirect_is_not_followed(self):
        error = self.fails_with(couchdrop.UnexpectedStatus, "moved@example.com")
        self.assertEqual(error.http_status, 307)

    def test_missing_response_times_out(self):
        # Connect first: a handshake may take longer than the timeout of this login.
        self.client.connect()
        started = time.monotonic()
        with self.assertRaises(couchdrop.Timeout) as caught:
            self.client.authenticate("slow@example.com", PASSWORD, timeout=0.2)
        self.assertLess(time.monotonic() - started, 2.0)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertIsInstance(caught.exception, couchdrop.TransportError)
        self.assertIsNone(caught.exception.http_status)
        self.assertEqual(caught.exception.attempts, 1)

    def test_untrusted_server_is_refused(self):
        base_url = support.fake_server_options()["base_url"]
        with self.assertRaises(couchdrop.TLSError):
            couchdrop.authenticate("ada@example.com", PASSWORD, base_url=base_url)

    def test_proxy_error_503_is_retryable_and_403_is_not(self):
        for status, retryable in [(503, True), (403, False)]:
            with support.Refusing(status) as proxy:
                with couchdrop.Client(
                    base_url="https://couchdrop.invalid", proxy=proxy.url, max_retries=0
                ) as client:
                    with self.assertRaises(couchdrop.ProxyError) as caught:
                        client.connect()
            error = pickle.loads(pickle.dumps(caught.exception))
            self.assertEqual((error.http_status, error.retryable), (status, retryable))
        self.assertFalse(couchdrop.ProxyError("by hand").retryable)
        self.assertTrue(couchdrop.Timeout("by hand").retryable)

    def test_connect_reports_why_the_service_is_unreachable(self):
        self.client.connect()
        with couchdrop.Client(base_url=support.fake_server_options()["base_url"]) as client:
            with self.assertRaises(couchdrop.TLSError):
                client.connect()
        with support.Silent() as silent:
            address = silent.base_url
        with couchdrop.Client(base_url=address) as client:
            with self.assertRaises(couchdrop.ConnectError):
                client.connect()


if __name__ == "__main__":
    unittest.main()
