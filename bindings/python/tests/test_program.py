"""``python -m couchdrop``, and the example."""

import os
import subprocess
import sys
import tempfile
import unittest

import support
from support import PASSWORD, FakeServer

INSTALLED = "COUCHDROP_TEST_INSTALLED" in os.environ
PYTHONPATH = "" if INSTALLED else support.PACKAGE


class Program(unittest.TestCase):
    def run_program(self, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "couchdrop", *arguments],
            env={**os.environ, "PYTHONPATH": PYTHONPATH, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @unittest.skipUnless(INSTALLED, "only a wheel has the program")
    def test_installed_program_logs_in(self):
        service = support.fake_server_options()
        where = ["--base-url", service["base_url"], "--ca-file", service["ca_file"]]
        account = {"COUCHDROP_USERNAME": "ada@example.com", "COUCHDROP_PASSWORD": PASSWORD}
        done = self.run_program("login", *where, **account)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\A[0-9a-f-]{36}\n\Z")
        # The exit status is the program's.
        done = self.run_program("login", *where, **{**account, "COUCHDROP_PASSWORD": "wrong"})
        self.assertEqual((done.returncode, done.stdout), (3, ""))

    @unittest.skipIf(INSTALLED, "a wheel has the program")
    def test_missing_program_is_an_error(self):
        done = self.run_program("--version")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("install this package from a wheel", done.stderr)

    @unittest.skipIf(INSTALLED, "a wheel has the program")
    def test_program_gets_the_arguments(self):
        with tempfile.TemporaryDirectory() as home:
            folder = os.path.join(home, "bin")
            os.mkdir(folder)
            program = os.path.join(folder, "couchdrop")
            with open(program, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\nprintf "%s\\n" "$@"\n')
            os.chmod(program, 0o755)
            done = self.run_program("login", "--json", PYTHONUSERBASE=home)
            self.assertEqual((done.returncode, done.stdout), (0, "login\n--json\n"), done.stderr)


class Example(unittest.TestCase):
    def run_example(self, **environment):
        done = subprocess.run(
            [sys.executable, os.path.join(support.ROOT, "examples", "python", "login.py")],
            env={**FakeServer.environment(), "PYTHONPATH": PYTHONPATH, **environment},
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
