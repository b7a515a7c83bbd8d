"""`couchdrop.testing`: it responds as the fake server in Rust does, and pytest has its fixture."""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import urllib.parse

import support
from support import PASSWORD, couchdrop

import couchdrop.testing

CONFORMANCE = os.path.join(support.ROOT, "tests", "conformance")
FORM = "application/x-www-form-urlencoded"


def exchange(url, method="POST", path="/authenticate", body=b"", headers=None):
    """Returns the status, the headers that a client reads, and the body, in which tokens are equal."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=support.SOON)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        names = ("Content-Type", "Retry-After", "Location", "Allow")
        fields = {name: response.headers[name] for name in names}
    finally:
        connection.close()
    try:
        value = json.loads(content)
    except ValueError:
        value = content
    if isinstance(value, dict) and "token" in value:
        value = {**value, "token": re.sub("[0-9a-f]", "x", value["token"])}
    return response.status, fields, value


def form(**fields):
    return {
        "body": urllib.parse.urlencode(fields).encode(),
        "headers": {"Content-Type": FORM + "; charset=utf-8"},
    }


def as_json(value):
    return {"body": json.dumps(value).encode(), "headers": {"Content-Type": "application/json"}}


class WithServer(unittest.TestCase):
    def setUp(self):
        self.server = couchdrop.testing.FakeServer()
        self.addCleanup(self.server.close)

    def log_in(self):
        with couchdrop.Client(base_url=self.server.url) as client:
            return client.authenticate("ada@example.com", PASSWORD).headers()


class Accounts(WithServer):
    maxDiff = None

    def assert_same(self, **request):
        expected = exchange(support.FakeServer.environment()["COUCHDROP_HTTP_URL"], **request)
        self.assertEqual(exchange(self.server.url, **request), expected)

    def test_accounts_are_those_of_the_fake_server(self):
        with open(os.path.join(support.ROOT, "tests/fake_server/src/accounts.rs"), encoding="utf-8") as file:
            named = re.findall(r'account\(\s*"(\S+@\S+)"|username: "(\S+)"', file.read())
        self.assertGreater(len(named), 10)
        self.assertEqual(set(couchdrop.testing.ACCOUNTS), {first or second for first, second in named})

    def test_logins_get_the_fake_servers_responses(self):
        passwords = (PASSWORD, "wrong", 'пароль & 100% + "q"\\ é')
        for username in (*couchdrop.testing.ACCOUNTS, "nobody@example.com"):
            for password in passwords:
                if username == "slow@example.com" and password == PASSWORD:
                    continue
                login = {"username": username, "password": password}
                with self.subTest(username, password=password):
                    self.assert_same(**form(**login))
                    self.assert_same(**as_json(login))

    def test_odd_requests_get_the_fake_servers_responses(self):
        login = {"username": "ada@example.com", "password": PASSWORD}
        for request in [
            form(),
            form(username="ada@example.com"),
            as_json([]),
            as_json({**login, "password": 1}),
            as_json({**login, "system": None}),
            {"body": b"username=", "headers": {"Content-Type": "text/plain"}},
            {"body": b"username="},
            {"body": b"username=ada@example.com&username=x&password=y", "headers": {"Content-Type": FORM}},
            {"path": "/base/authenticate", **form(**login)},
            {"path": "/elsewhere"},
            {"method": "GET"},
            {"method": "PUT", "path": "/file/ls?path=/"},
            {"path": "/file/ls?path=/"},
            {"path": "/file/ls?path=/", "headers": {"token": "unknown"}},
        ]:
            with self.subTest(request):
                self.assert_same(**request)

    def test_invalid_json_is_refused(self):
        request = {"body": b"{", "headers": {"Content-Type": "application/json"}}
        self.assertEqual(exchange(self.server.url, **request)[0], 400)

    def test_account_without_a_response_stays_open(self):
        with couchdrop.Client(base_url=self.server.url) as client:
            with self.assertRaises(couchdrop.Timeout):
                client.authenticate("slow@example.com", PASSWORD, timeout=0.2)
        self.assertIsNone(self.server.requests[0].status)

    def test_requests_show_neither_password_nor_token(self):
        headers = self.log_in()
        exchange(self.server.url, path="/file/ls?path=/", headers=headers)
        self.assertEqual(
            self.server.requests,
            [
                couchdrop.testing.Request("POST", "/authenticate", "ada@example.com", 200),
                couchdrop.testing.Request("POST", "/file/ls?path=/", None, 200),
            ],
        )


class Files(WithServer):
    def upload(self, path, body, **headers):
        path = "/file/upload?" + urllib.parse.urlencode({"path": path})
        return exchange(self.server.url, path=path, body=body, headers={**self.log_in(), **headers})[0]

    def entries(self, path):
        path = "/file/ls?" + urllib.parse.urlencode({"path": path})
        status, _, value = exchange(self.server.url, path=path, headers=self.log_in())
        return status, {(entry["filename"], entry["size"], entry["is_dir"]) for entry in value.get("ls", [])}

    def test_uploaded_files_are_listed(self):
        self.assertEqual(self.entries("/"), (200, set()))
        for path, body in [
            ("/a.csv", b"a,b\n"),
            ("/x/b.csv", b""),
            ("/x/y/ü.csv", b"\0\xff"),
            ("/a.csv", b"new"),
        ]:
            self.assertEqual(self.upload(path, body), 200)
        self.assertEqual(self.entries("/"), (200, {("a.csv", 3, False), ("x", 0, True)}))
        self.assertEqual(self.entries("/x"), (200, {("b.csv", 0, False), ("y", 0, True)}))
        self.assertEqual(self.entries("/x/y/"), (200, {("ü.csv", 2, False)}))
        self.assertEqual(self.entries("/z"), (404, set()))
        self.assertEqual(self.server.files, {"/a.csv": b"new", "/x/b.csv": b"", "/x/y/ü.csv": b"\0\xff"})

    def test_first_part_of_a_form_is_stored(self):
        for content in (b"", b"a,b\n", b"\r\n--x\r\n\r", os.urandom(100_000)):
            body = b'--b"d\r\nContent-Disposition: form-data; name="data"; filename="f"\r\n\r\n' + content
            body += b'\r\n--b"d\r\nContent-Disposition: form-data; name="z"\r\n\r\nmore\r\n--b"d--\r\n'
            headers = {"Content-Type": 'multipart/form-data; boundary="b\\"d"'}
            self.assertEqual(self.upload("/f", body, **headers), 200)
            self.assertEqual(self.server.files, {"/f": content})
        self.assertEqual(self.upload("/f", b"", **headers), 400)

    def test_chunked_body_is_stored(self):
        # http.client sends chunks if the length is not known.
        self.assertEqual(self.upload("/f", iter([b"a,", b"b\n" * 50_000])), 200)
        self.assertEqual(self.server.files, {"/f": b"a," + b"b\n" * 50_000})

    def test_path_without_a_name_is_refused(self):
        for path in ("", "/", "/x/", "x"):
            self.assertEqual(self.upload(path, b"x"), 400)

    def test_expired_tokens_are_refused_until_the_next_login(self):
        old = self.log_in()
        self.server.expire_tokens()
        for path in ("/file/ls?path=/", "/file/upload?path=/f"):
            self.assertEqual(exchange(self.server.url, path=path, headers=old)[0], 403)
            self.assertEqual(exchange(self.server.url, path=path, headers=self.log_in())[0], 200)

    def test_prepared_responses_come_first(self):
        self.server.add_response("/file/ls", 500, body=b"no", headers={"Retry-After": "7"})
        self.server.add_response("/file/ls", 403)
        headers = self.log_in()
        got = [exchange(self.server.url, path="/file/ls?path=/", headers=headers) for _ in range(3)]
        self.assertEqual([status for status, _, _ in got], [500, 403, 200])
        self.assertEqual((got[0][1]["Retry-After"], got[0][2]), ("7", b"no"))


class Closing(WithServer):
    def test_close_ends_connections_and_threads(self):
        before = threading.active_count()
        raised = []
        with couchdrop.testing.FakeServer() as server:
            self.assertIn(server.url, repr(server))
            client = couchdrop.Client(base_url=server.url, max_retries=0)

            def run():
                try:
                    client.authenticate("slow@example.com", PASSWORD)
                except couchdrop.CouchdropError as error:
                    raised.append(error)

            client.authenticate("ada@example.com", PASSWORD)
            thread = threading.Thread(target=run)
            thread.start()
            self.assertTrue(server.wait_for_requests(2))
            self.assertFalse(server.wait_for_requests(3, 0.01))
        thread.join(support.SOON)
        self.assertEqual(list(map(type, raised)), [couchdrop.ConnectionLost])
        self.assertEqual(threading.active_count(), before)
        server.close()
        with self.assertRaises(couchdrop.ConnectError):
            client.authenticate("ada@example.com", PASSWORD)
        client.close()


def needs_more(case):
    """True for a case that needs TLS, raw bytes, or more than a server's responses."""
    answers = case.get("server", [])
    if any(name in case for name in ("cancel", "no_descriptors", "set_late")) or not answers:
        return True
    if "ca_file" in case.get("options", {}) or case.get("options", {}).get("base_url", "").startswith(
        "https:"
    ):
        return True
    return answers != "fake server" and any(
        not isinstance(answer, dict) or "raw" in answer for answer in answers
    )


@unittest.skipUnless(os.path.exists(CONFORMANCE), "outside of the repository")
class Conformance(WithServer):
    maxDiff = None

    def test_server_passes_the_conformance_cases(self):
        sys.path.insert(0, CONFORMANCE)
        self.addCleanup(sys.path.remove, CONFORMANCE)
        import case_file
        import run
        import runner

        with open(os.path.join(CONFORMANCE, "cases.json"), encoding="utf-8") as file:
            cases = [case for case in json.load(file)["cases"] if not needs_more(case)]
        self.assertGreater(len(cases), 60)
        for case in cases:
            expected = case_file.expectation(case, "python")
            if expected is None:
                continue
            with self.subTest(case["name"]), couchdrop.testing.FakeServer() as fake:
                path = case.get("path", "") + "/authenticate"
                answers = case["server"] if isinstance(case["server"], list) else []
                # The last one is repeated.
                for answer in answers + answers[-1:] * 12:
                    body = json.dumps(answer["json"]).encode() if "json" in answer else b""
                    body = body or case_file.to_bytes(answer.get("body", ""))
                    fake.add_response(path, answer["status"], body=body, headers=answer.get("headers"))
                options = {"base_url": fake.url, **case.get("options", {})}
                names = {"{server}": fake.url, "{port}": fake.url.rpartition(":")[2]}
                named = {key: value for key, value in case.items() if key != "server"}
                lines = case_file.lines_of({**named, "options": options}, names)
                parts = [line.partition(" ") for line in lines]
                settings = {name: value if space else None for name, space, value in parts if name != "run"}
                got = runner.outcome(settings)
                received = [request.path for request in fake.requests]
                if expected["sent"] is not None:
                    self.assertEqual(received, [path] * len(expected["sent"]))
                    got["sent"] = expected["sent"]
                self.assertEqual(list(run.differences(case, expected, got)), [])


class Plugin(unittest.TestCase):
    def test_pytest_has_the_fixture(self):
        program = """
            import couchdrop

            def test_upload(couchdrop_server):
                '''The fixture of couchdrop.'''
                with couchdrop.Client(base_url=couchdrop_server.url) as client:
                    token = client.authenticate("ada@example.com", couchdrop.testing.PASSWORD)
                    assert len(token.value) == 36

            def test_next(couchdrop_server):
                assert couchdrop_server.requests == []
        """
        # The entry point loads it if the package is installed.
        plugin = [] if "COUCHDROP_TEST_INSTALLED" in os.environ else ["-p", "couchdrop._pytest_plugin"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "test_it.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(textwrap.dedent(program))
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, path]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertRegex(done.stdout + done.stderr, r"\b2 passed")

    def test_entry_point_names_the_plugin(self):
        with open(os.path.join(support.PACKAGE, "pyproject.toml"), encoding="utf-8") as file:
            self.assertIn(
                '[project.entry-points.pytest11]\ncouchdrop = "couchdrop._pytest_plugin"\n', file.read()
            )


if __name__ == "__main__":
    unittest.main()
