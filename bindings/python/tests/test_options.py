"""Each option has its documented effect."""

import logging
import os
import pathlib
import tempfile
import threading
import time
import unittest
from unittest import mock

import support
from support import PASSWORD, Recorder, Silent, couchdrop

from couchdrop._abi import library


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


def logger_with(handler, level=logging.DEBUG):
    logger = logging.Logger("couchdrop-test", level)
    logger.addHandler(handler)
    return logger


class Options(unittest.TestCase):
    def refused(self, code, **options):
        with self.assertRaises(couchdrop.ArgumentError) as caught:
            couchdrop.Client(**options)
        self.assertEqual(caught.exception.code_name, code)
        return str(caught.exception)

    def test_client_reuses_its_connection(self):
        with Recorder() as recorder, couchdrop.Client(base_url=recorder.base_url) as client:
            for _ in range(3):
                client.authenticate("ada", PASSWORD)
            self.assertEqual(recorder.connections, 1)

    def test_connect_prepares_the_next_logins_connection(self):
        with Recorder() as recorder, couchdrop.Client(base_url=recorder.base_url) as client:
            client.connect()
            self.assertEqual(recorder.requests, [])
            client.authenticate("ada", PASSWORD)
            self.assertEqual(recorder.connections, 1)

    def test_body_format_is_form_or_json(self):
        with Recorder() as recorder:
            for body_format, expected in [
                ("form", b"username=a%26b&password=p+w&system=nightly"),
                ("json", b'{"username":"a&b","password":"p w","system":"nightly"}'),
            ]:
                with couchdrop.Client(base_url=recorder.base_url, body_format=body_format) as client:
                    client.authenticate("a&b", "p w", system="nightly")
                self.assertEqual(recorder.requests.pop()[1], expected)
        message = self.refused("CD_ERR_OUT_OF_RANGE", body_format="xml")
        self.assertIn("auto, form, json", message)

    def test_user_agent_puts_the_product_first(self):
        with Recorder() as recorder:
            couchdrop.authenticate("ada", PASSWORD, base_url=recorder.base_url, user_agent="acme/2.1")
            self.assertRegex(recorder.requests[0][0]["User-Agent"], r"^acme/2\.1 libcouchdrop/1\.")

    def test_response_over_the_limit_is_refused(self):
        with Recorder(b'{"token":"%s"}' % (b"x" * 2000)) as recorder:
            couchdrop.authenticate("ada", PASSWORD, base_url=recorder.base_url)
            with self.assertRaises(couchdrop.ResponseTooLarge):
                couchdrop.authenticate("ada", PASSWORD, base_url=recorder.base_url, max_response_bytes=1024)

    def test_connect_timeout_ends_a_handshake(self):
        with Silent() as silent:
            started = time.monotonic()
            with self.assertRaises(couchdrop.Timeout):
                couchdrop.authenticate(
                    "ada", PASSWORD, base_url="https://" + silent.address, connect_timeout=0.1, max_retries=0
                )
            self.assertLess(time.monotonic() - started, 5.0)

    def test_timeout_of_the_client_applies_to_its_logins(self):
        with Silent() as silent, couchdrop.Client(base_url=silent.base_url, timeout=0.1) as client:
            with self.assertRaises(couchdrop.Timeout):
                client.authenticate("ada", PASSWORD)

    def through_proxy(self, proxy, **options):
        """Logs in through a proxy that never responds."""
        with couchdrop.Client(base_url="https://couchdrop.invalid", proxy=proxy, **options) as client:
            with self.assertRaises(couchdrop.Timeout):
                client.authenticate("ada", PASSWORD, timeout=0.3)

    def test_proxy_receives_a_connect_request(self):
        with Silent() as silent:
            self.through_proxy("http://user:hidden@" + silent.address)
            silent.wait_for_bytes(b"CONNECT couchdrop.invalid:443 ")
            silent.wait_for_bytes(b"Basic dXNlcjpoaWRkZW4=")

    def test_proxy_defaults_to_the_environment(self):
        with Silent() as silent, mock.patch.dict(os.environ, HTTPS_PROXY="http://" + silent.address):
            self.through_proxy(couchdrop.ENVIRONMENT)
            silent.wait_for_bytes(b"CONNECT couchdrop.invalid:443 ")

    def test_proxy_none_overrides_the_environment(self):
        with mock.patch.dict(os.environ, HTTPS_PROXY="ftp://127.0.0.1:1"):
            with couchdrop.Client(
                base_url="https://couchdrop.invalid", proxy=couchdrop.ENVIRONMENT
            ) as client:
                with self.assertRaises(couchdrop.ProxyError) as caught:
                    client.connect()
                self.assertIn("HTTPS_PROXY", str(caught.exception))
            with couchdrop.Client(base_url="https://couchdrop.invalid", proxy=None, max_retries=0) as client:
                with self.assertRaises(couchdrop.TransportError) as caught:
                    client.connect(timeout=1)
                self.assertNotIsInstance(caught.exception, couchdrop.ProxyError)

    def test_proxy_error_shows_no_password(self):
        message = self.refused("CD_ERR_INVALID_URL", proxy="ftp://user:hidden@127.0.0.1:1")
        self.assertNotIn("hidden", message)

    def test_ca_file_accepts_a_path(self):
        options = support.fake_server_options()
        options["ca_file"] = pathlib.Path(options["ca_file"])
        couchdrop.authenticate("ada@example.com", PASSWORD, **options)

    def test_unusable_ca_file_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            missing = os.path.join(folder, "none.pem")
            self.assertIn(missing, self.refused("CD_ERR_CA_FILE", ca_file=missing))
            empty = pathlib.Path(folder, "empty.pem")
            empty.touch()
            self.assertIn(str(empty), self.refused("CD_ERR_CA_FILE", ca_file=empty))

    def test_invalid_urls_are_refused(self):
        self.refused("CD_ERR_INVALID_URL", base_url="not a URL")
        self.refused("CD_ERR_INSECURE_URL", base_url="http://couchdrop.io")
        self.refused("CD_ERR_EMPTY_ARGUMENT", base_url="")
        self.refused("CD_ERR_INVALID_UTF8", base_url="https://localhost\0.example")
        self.refused("CD_ERR_INSECURE_URL", base_url="http://localhost", proxy="http://localhost:1")

    def test_numbers_out_of_range_are_refused(self):
        for options in [
            {"max_retries": 11},
            {"max_retries": -1},
            # ctypes would truncate these to 0 and 1024.
            {"max_retries": 2**32},
            {"max_response_bytes": 2**64 + 1024},
            {"max_response_bytes": 1},
            {"backoff": (2, 1)},
            {"backoff": (0, 3601)},
            {"connect_timeout": 0},
            {"timeout": -1},
        ]:
            with self.subTest(options):
                self.refused("CD_ERR_OUT_OF_RANGE", **options)

    def test_error_of_a_refused_number_has_the_range(self):
        for option, expected, refused in [
            ("max_retries", "max_retries must be from 0 to 10", [-1, 11, 2**32, 10**5000]),
            ("max_response_bytes", "max_response_bytes must be from 1024 to 16777216", [-1, 1023, 2**24 + 1]),
            (
                "backoff",
                "backoff must be two numbers of seconds, the first and the longest wait, not 3",
                [(1, 2, 3)],
            ),
            ("backoff", "backoff[1] must be 0 to 3600 seconds", [(0, 3601), [0, -1]]),
        ]:
            for value in refused:
                self.assertEqual(self.refused("CD_ERR_OUT_OF_RANGE", **{option: value}), expected)

    def test_ranges_match_the_library(self):
        for option, setter, lowest, highest in [
            ("max_retries", library.cd_options_set_max_retries, 0, 10),
            ("max_response_bytes", library.cd_options_set_max_response_bytes, 1024, 2**24),
        ]:
            for value in (lowest, highest):
                couchdrop.Client(**{option: value}).close()
            for value in (lowest - 1, highest + 1):
                if value >= 0:
                    code = setter(library.cd_options_new(), value, None)
                    self.assertEqual(code, couchdrop.Code.CD_ERR_OUT_OF_RANGE)

    def test_type_error_names_the_expected_type(self):
        waits = "backoff must be two numbers of seconds, the first and the longest wait, not "
        loggers = "logger must be logging.Logger or logging.LoggerAdapter, not "
        for options, expected in [
            ({"backoff": 1}, waits + "int"),
            ({"backoff": "12"}, waits + "str"),
            ({"backoff": (1, "8")}, "backoff[1] must be a number of seconds, not str"),
            ({"logger": print}, loggers + type(print).__name__),
            ({"logger": logging}, loggers + "module"),
            ({"logger": "couchdrop"}, loggers + "str"),
        ]:
            with self.subTest(options), self.assertRaises(TypeError) as caught:
                couchdrop.Client(**options)
            self.assertEqual(str(caught.exception), expected)

    def test_values_of_a_wrong_type_are_refused(self):
        for options in [
            {"max_retries": True},
            {"max_retries": 1.0},
            {"max_response_bytes": "4096"},
            {"timeout": "1"},
            {"timeout": True},
            {"base_url": b"https://localhost"},
            {"proxy": b"http://localhost"},
            {"ca_file": 7},
            {"backoff": 1},
        ]:
            with self.subTest(options), self.assertRaises(TypeError):
                couchdrop.Client(**options)

    def test_closed_client_refuses_logins(self):
        with couchdrop.Client(**support.fake_server_options()) as client:
            pass
        client.close()
        for use in [
            lambda: client.authenticate("ada@example.com", PASSWORD),
            client.connect,
            client.__enter__,
        ]:
            with self.assertRaisesRegex(RuntimeError, "closed"):
                use()


class Environment(unittest.TestCase):
    def test_environment_is_read_at_the_first_login(self):
        with Silent() as silent, couchdrop.Client(base_url="https://couchdrop.invalid") as client:
            proxy = "http://" + silent.address
            # A variable that can't be used does not freeze the options.
            with mock.patch.dict(os.environ, HTTPS_PROXY="ftp://127.0.0.1:1"):
                for _ in range(2):
                    with self.assertRaisesRegex(couchdrop.ProxyError, "HTTPS_PROXY"):
                        client.connect()
            with mock.patch.dict(os.environ, {"HTTPS_PROXY": "", "all_proxy": proxy}):
                with self.assertRaises(couchdrop.Timeout):
                    client.connect(timeout=0.2)
            silent.wait_for_bytes(b"CONNECT couchdrop.invalid:443 ")
            # The options are frozen now.
            with mock.patch.dict(os.environ, HTTPS_PROXY="ftp://127.0.0.1:1"):
                with self.assertRaises(couchdrop.Timeout):
                    client.connect(timeout=0.2)

    def test_variable_of_any_bytes_is_passed_on(self):
        with mock.patch.dict(os.environb, {b"SSL_CERT_FILE": b"/no/such/\xff"}):
            with couchdrop.Client(base_url="https://localhost:1", proxy=None) as client:
                with self.assertRaisesRegex(couchdrop.TLSError, "SSL_CERT_FILE"):
                    client.connect()

    def test_process_environment_is_not_read(self):
        """Neither a client nor the functions with the default options read it."""
        program = """
            import ctypes, os, couchdrop
            libc = ctypes.CDLL(None)
            # Nobody listens there.
            os.environ["all_proxy"] = "http://127.0.0.1:1"
            for name in (b"HTTPS_PROXY", b"https_proxy", b"ALL_PROXY", b"all_proxy"):
                libc.setenv(name, b"ftp://127.0.0.1:1", 1)
            libc.setenv(b"SSL_CERT_FILE", b"/no/such/file", 1)
            libc.setenv(b"SSL_CERT_DIR", b"/no/such/folder", 1)
            libc.setenv(b"NO_PROXY", b"*", 1)
            libc.setenv(b"no_proxy", b"*", 1)
            client = couchdrop.Client(base_url="https://couchdrop.invalid", max_retries=0)
            for log_in in (client.authenticate, couchdrop.authenticate):
                try:
                    log_in("ada", "secret", timeout=0.5)
                except (couchdrop.ConnectError, couchdrop.Timeout) as error:
                    print("127.0.0.1:1" in str(error))
        """
        names = {"HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
        environment = {name: value for name, value in os.environ.items() if name.upper() not in names}
        done = support.run_python(program, env=environment)
        self.assertEqual((done.stdout, done.stderr), ("True\nTrue\n", ""))

    @unittest.skipIf(support.PYPY, "takes a minute: threads of PyPy hand over its lock slowly")
    def test_environment_changed_by_threads_does_not_crash(self):
        program = """
            import os, threading, couchdrop

            os.environ["all_proxy"] = "http://127.0.0.1:1"
            # Makes the C library take long to search its table.
            for number in range(12_000):
                os.environ[f"OLD_{number}"] = "x"
            over = False

            def log_in():
                while not over:
                    with couchdrop.Client(base_url="https://couchdrop.invalid", max_retries=0) as client:
                        try:
                            client.connect()
                        except couchdrop.ConnectError:
                            pass

            threads = [threading.Thread(target=log_in) for _ in range(4)]
            for thread in threads:
                thread.start()
            # The table moves as it grows. A value of its size takes the memory of the old one.
            for number in range(900):
                os.environ[f"NEW_{number}"] = "x" * (8 * len(os.environ) - 100)
            over = True
            for thread in threads:
                thread.join()
            print("done")
        """
        done = support.run_python(program)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "done\n", ""))


class Logging(unittest.TestCase):
    def test_logger_receives_messages_without_secrets(self):
        kept = Kept()
        with couchdrop.Client(**support.fake_server_options(), logger=logger_with(kept)) as client:
            token = client.authenticate("ada@example.com", PASSWORD)
            with self.assertRaises(couchdrop.AccessDenied):
                client.authenticate("ada@example.com", "not my password")
        levels = {record.levelno for record in kept.records}
        self.assertLessEqual({logging.DEBUG, logging.INFO, logging.ERROR}, levels)
        text = "\n".join(record.getMessage() for record in kept.records)
        for secret in (token.value, PASSWORD, "not my password", "ada@example.com"):
            self.assertNotIn(secret, text)

    def test_level_of_the_logger_is_respected(self):
        kept = Kept()
        with couchdrop.Client(
            **support.fake_server_options(), logger=logger_with(kept, logging.ERROR)
        ) as client:
            client.authenticate("ada@example.com", PASSWORD)
            self.assertEqual(kept.records, [])
            with self.assertRaises(couchdrop.AccessDenied):
                client.authenticate("ada@example.com", "not my password")
        self.assertEqual([record.levelname for record in kept.records], ["ERROR"])

    def test_logger_enabled_later_receives_messages(self):
        kept = Kept()
        # From `getLogger`: other loggers cache isEnabledFor and do not notice a change of their level.
        logger = logging.getLogger("couchdrop-test-enabled-later")
        logger.propagate = False
        logger.addHandler(kept)
        logger.setLevel(logging.CRITICAL)
        with couchdrop.Client(**support.fake_server_options(), logger=logger) as client:
            for level, expected in [
                (logging.CRITICAL, False),
                (logging.DEBUG, True),
                (logging.CRITICAL, False),
                (logging.INFO, True),
            ]:
                logger.setLevel(level)
                kept.records.clear()
                client.authenticate("ada@example.com", PASSWORD)
                self.assertEqual(bool(kept.records), expected, level)
                self.assertFalse([record for record in kept.records if record.levelno < level])

    def test_disabled_logger_of_a_nested_client_is_silent(self):
        kept, outer = Kept(), []
        silent = logger_with(kept, logging.CRITICAL)

        class Nested(logging.Handler):
            def emit(self, record):
                outer.append(record.levelno)
                if record.levelno == logging.INFO:
                    couchdrop.authenticate(
                        "ada@example.com", PASSWORD, **support.fake_server_options(), logger=silent
                    )

        with couchdrop.Client(**support.fake_server_options(), logger=logger_with(Nested())) as client:
            client.authenticate("ada@example.com", PASSWORD)
        self.assertEqual(kept.records, [])
        self.assertEqual(outer.count(logging.INFO), 1)

    def test_client_made_before_basic_config_logs(self):
        program = """
            import logging, sys, couchdrop
            logger = logging.getLogger("login")
            client = couchdrop.Client(base_url="http://127.0.0.1:1", max_retries=0, logger=logger)
            logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(levelname)s")
            try:
                client.authenticate("ada", "secret")
            except couchdrop.ConnectError:
                pass
        """
        done = support.run_python(program)
        self.assertIn("DEBUG", done.stdout.split())
        self.assertIn("ERROR", done.stdout.split())
        self.assertEqual(done.stderr, "")

    def test_logger_of_a_subinterpreter_receives_messages(self):
        program = """
            import sys
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters

            # Isolated ones of older versions have no threads or no ctypes.
            config = {"isolated": False} if sys.version_info < (3, 13) else {}
            inner = interpreters.create(**config)
            interpreters.run_string(inner, sys.argv[1])
        """
        inside = """
import logging, sys, threading
import couchdrop
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(levelname)s")
client = couchdrop.Client(base_url="http://127.0.0.1:1", max_retries=0, logger=logging.getLogger("login"))
def log_in():
    try:
        client.authenticate("ada", "secret")
    except couchdrop.ConnectError:
        print("refused")
log_in()
thread = threading.Thread(target=log_in)
thread.start()
thread.join()
logging.disable()
log_in()
"""
        done = support.run_python(program, inside)
        if "No module named '_xxsubinterpreters'" in done.stderr:
            self.skipTest("this Python has no sub-interpreters")
        lines = done.stdout.split()
        self.assertEqual(done.stderr, "")
        self.assertEqual(lines[-1], "refused")
        self.assertEqual((lines.count("refused"), lines.count("ERROR")), (3, 2), lines)
        self.assertGreaterEqual(lines.count("DEBUG"), 2)

    def test_silent_logger_and_adapter_are_accepted(self):
        kept = Kept()
        silent = logger_with(kept, logging.CRITICAL)
        couchdrop.authenticate("ada@example.com", PASSWORD, **support.fake_server_options(), logger=silent)
        self.assertEqual(kept.records, [])
        adapter = logging.LoggerAdapter(logger_with(kept), {"account": 7})
        couchdrop.authenticate("ada@example.com", PASSWORD, **support.fake_server_options(), logger=adapter)
        self.assertEqual({record.account for record in kept.records}, {7})

    def test_logger_runs_on_the_calling_thread(self):
        kept = Kept()
        options = {**support.fake_server_options(), "logger": logger_with(kept)}
        thread = threading.Thread(
            target=couchdrop.authenticate,
            args=("ada@example.com", PASSWORD),
            kwargs=options,
            name="one of mine",
        )
        thread.start()
        thread.join()
        self.assertEqual({record.threadName for record in kept.records}, {"one of mine"})

    def test_exception_of_a_handler_ends_the_login(self):
        class Refusing(logging.Handler):
            def emit(self, record):
                raise LookupError(record.getMessage())

        with Silent() as silent:
            with couchdrop.Client(base_url=silent.base_url, logger=logger_with(Refusing())) as client:
                with self.assertRaises(LookupError):
                    client.authenticate("ada", PASSWORD)
            self.assertEqual(silent.requests, 0)

    def test_handler_may_log_in(self):
        class Nested(logging.Handler):
            tokens = []

            def emit(self, record):
                if record.levelno == logging.INFO:
                    self.tokens.append(
                        couchdrop.authenticate("ada@example.com", PASSWORD, **support.fake_server_options())
                    )

        with couchdrop.Client(**support.fake_server_options(), logger=logger_with(Nested())) as client:
            client.authenticate("ada@example.com", PASSWORD)
        self.assertEqual(len(Nested.tokens), 1)


if __name__ == "__main__":
    unittest.main()
