"""``python -m couchdrop``, and the example."""

import contextlib
import errno
import io
import os
import pty
import subprocess
import sys
import tempfile
import textwrap
import unittest
import unittest.mock

import support
from support import PASSWORD, FakeServer, couchdrop

from couchdrop import __main__ as program

TOKEN = r"\A[0-9a-f-]{36}\n\Z"


class Program(unittest.TestCase):
    def run_program(self, *arguments, redirection="", **options):
        """Runs the program in a shell with `redirection`."""
        return subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "couchdrop", *arguments],
            timeout=60,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def log_in(self, username, *arguments, password=PASSWORD, **options):
        """Logs in with the password, as str or bytes, on standard input."""
        if isinstance(password, str):
            password = password.encode()
        service = support.fake_server_options()
        where = ["--base-url", service["base_url"], "--ca-file", service["ca_file"]]
        done = self.run_program("login", username, *where, *arguments, input=password, **options)
        return done.returncode, (done.stdout or b"").decode(), done.stderr.decode()

    def test_password_is_read_from_standard_input(self):
        for end in (b"", b"\n", b"\r\n"):
            status, output, errors = self.log_in(
                "ada@example.com", "--password-stdin", password=PASSWORD.encode() + end
            )
            self.assertEqual((status, errors), (0, ""))
            self.assertRegex(output, TOKEN)

    def test_token_goes_to_a_redirected_standard_output(self):
        service = support.fake_server_options()
        arguments = ["login", "ada@example.com", "--password-stdin"]
        arguments += ["--base-url", service["base_url"], "--ca-file", service["ca_file"]]
        standard_input = io.TextIOWrapper(io.BytesIO(PASSWORD.encode()))
        with (
            unittest.mock.patch("sys.stdin", standard_input),
            contextlib.redirect_stdout(io.StringIO()) as output,
        ):
            self.assertEqual(program.main(arguments), 0)
        self.assertRegex(output.getvalue(), TOKEN)

    def test_non_ascii_password_succeeds_in_any_locale(self):
        password = 'пароль & 100% + "q"\\ é'.encode()
        environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "latin-1"}
        status, output, errors = self.log_in(
            "жук@example.com", "--password-stdin", password=password, env=environment
        )
        self.assertEqual((status, errors), (0, ""))
        status, _, errors = self.log_in("жук@example.com", "--password-stdin", password=b"\xff")
        self.assertEqual(status, 1)
        self.assertIn("not UTF-8", errors)

    def test_password_typed_at_the_prompt_is_not_shown(self):
        service = support.fake_server_options()
        where = ["--base-url", service["base_url"], "--ca-file", service["ca_file"]]
        child, terminal = pty.fork()
        if child == 0:
            os.execv(
                sys.executable,
                [sys.executable, "-m", "couchdrop", "login", "ada@example.com", *where],
            )
        shown = b""
        while b"Password of ada@example.com: " not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, PASSWORD.encode() + b"\n")
        try:
            while True:
                received = os.read(terminal, 1024)
                if not received:
                    break
                shown += received
        except OSError:
            # The other end is closed.
            pass
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        self.assertEqual(status, 0, shown)
        self.assertNotIn(PASSWORD.encode(), shown)
        self.assertRegex(shown.decode().replace("\r\n", "\n").splitlines(True)[-1], TOKEN)

    def test_prompt_needs_a_terminal(self):
        # A new session has no terminal.
        done = self.run_program("login", "ada@example.com", input=b"", start_new_session=True)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"no terminal to ask for the password on: see --password-stdin", done.stderr)
        self.assertNotIn(b"Warning", done.stderr)

    def test_unreadable_standard_input_is_an_error(self):
        self.assertEqual(
            self.log_in("ada@example.com", "--password-stdin", redirection="<&-"),
            (2, "", "couchdrop: standard input is closed: --password-stdin has nothing to read\n"),
        )
        self.assertEqual(
            self.log_in("ada@example.com", "--password-stdin", redirection="0>/dev/null"),
            (1, "", f"couchdrop: standard input could not be read: {os.strerror(errno.EBADF)}\n"),
        )

    def test_closed_standard_output_prevents_the_login(self):
        with support.Recorder() as recorder:
            self.assertEqual(
                self.log_in("ada", "--password-stdin", "--base-url", recorder.base_url, redirection=">&-"),
                (2, "", "couchdrop: standard output is closed: the token would be lost\n"),
            )
            self.assertEqual(recorder.connections, 0)

    def test_token_that_cannot_be_written_is_an_error(self):
        reader, gone = os.pipe()
        os.close(reader)
        try:
            for unbuffered in ("", "1"):
                for problem, options in [
                    (errno.ENOSPC, {"redirection": ">/dev/full"}),
                    (errno.EPIPE, {"stdout": gone}),
                ]:
                    with self.subTest(options, unbuffered=unbuffered):
                        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
                        done = self.log_in("ada@example.com", "--password-stdin", env=environment, **options)
                        why = f"the token could not be written to standard output: {os.strerror(problem)}"
                        self.assertEqual(done, (1, "", f"couchdrop: {why}\n"))
        finally:
            os.close(gone)

    def test_closed_standard_error_keeps_the_output_empty(self):
        status, output, _ = self.log_in(
            "ada@example.com", "--password-stdin", password="not my password", redirection="2>&-"
        )
        self.assertEqual((status, output), (1, ""))

    def test_password_is_read_from_a_keyring(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "keyring.py"), "w", encoding="utf-8") as file:
                file.write(
                    textwrap.dedent(f"""
                        def get_password(service, username):
                            return {{("couchdrop", "ada@example.com"): {PASSWORD!r}}}.get((service, username))
                    """)
                )
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support.PACKAGE, folder])}
            status, output, _ = self.log_in("ada@example.com", "--keyring", env=environment)
            self.assertEqual(status, 0)
            self.assertRegex(output, TOKEN)
            status, _, errors = self.log_in("nobody@example.com", "--keyring", env=environment)
            self.assertEqual(status, 1)
            self.assertIn("keyring set couchdrop nobody@example.com", errors)

    def test_missing_keyring_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "keyring.py"), "w", encoding="utf-8") as file:
                file.write("raise ImportError\n")
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support.PACKAGE, folder])}
            status, _, errors = self.log_in("ada@example.com", "--keyring", env=environment)
        self.assertEqual(status, 1)
        self.assertIn("needs the package keyring", errors)

    def test_refused_login_is_reported(self):
        status, output, errors = self.log_in(
            "ada@example.com", "--password-stdin", password="not my password"
        )
        self.assertEqual((status, output), (1, ""))
        self.assertIn("[CD_ERR_ACCESS_DENIED]", errors)
        self.assertIn("Access denied", errors)
        self.assertNotIn("not my password", errors)
        _, _, errors = self.log_in("limited@example.com", "--password-stdin")
        self.assertIn("Try again in 3600 seconds.", errors)

    def test_timeout_and_invalid_timeout_are_reported(self):
        status, _, errors = self.log_in("slow@example.com", "--password-stdin", "--timeout", "0.2")
        self.assertEqual(status, 1)
        self.assertIn("[CD_ERR_TIMEOUT]", errors)
        status, _, errors = self.log_in("ada@example.com", "--password-stdin", "--timeout", "nan")
        self.assertEqual(status, 1)
        self.assertIn("[CD_ERR_OUT_OF_RANGE]", errors)

    def test_password_argument_is_refused_and_not_repeated(self):
        for before in ("", "--password=", "--password-stdin=", "--keyring="):
            status, output, errors = self.log_in("ada@example.com", before + PASSWORD)
            self.assertEqual((status, output), (2, ""))
            self.assertNotIn(PASSWORD, errors)

    def test_version_is_printed(self):
        done = self.run_program("--version")
        self.assertEqual(done.returncode, 0)
        text = done.stdout.decode()
        self.assertIn(
            f"couchdrop {couchdrop.__version__}, libcouchdrop {couchdrop.library_version()} (ABI 1, ", text
        )

    def test_missing_command_prints_usage(self):
        done = self.run_program()
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"usage: python -m couchdrop", done.stderr)


class Example(unittest.TestCase):
    def run_example(self, **environment):
        done = subprocess.run(
            [sys.executable, os.path.join(support.ROOT, "examples", "python", "login.py")],
            env={**FakeServer.environment(), "PYTHONPATH": support.PACKAGE, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def test_example_logs_in_and_lists_the_root_folder(self):
        status, output, errors = self.run_example(
            COUCHDROP_USERNAME="ada@example.com", COUCHDROP_PASSWORD=PASSWORD
        )
        self.assertEqual((status, errors), (0, ""))
        # The output contains only the first characters of the token.
        self.assertRegex(output, r"(?m)^logged in: token [^ ]{4}\.\.\. \(36 characters\)$")
        self.assertIn('"ls"', output)

    def test_example_reports_why_a_login_failed(self):
        status, output, errors = self.run_example(
            COUCHDROP_USERNAME="ada@example.com", COUCHDROP_PASSWORD="not my password"
        )
        self.assertEqual((status, output), (1, ""))
        self.assertIn("CD_ERR_ACCESS_DENIED", errors)


if __name__ == "__main__":
    unittest.main()
