"""`couchdrop.auth` with the real requests and httpx: origins, redirects, renewal, bodies, concurrency."""

import asyncio
import concurrent.futures
import io
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import httpx
import requests
import support
from support import PASSWORD, Silent, couchdrop

import couchdrop.testing
from couchdrop import _origin, auth

MANY = 50
LS = "/file/ls?path=/"
UPLOAD = "/file/upload?path=/report.csv"
REDIRECTS = (301, 302, 303, 307, 308)


class Origin(couchdrop.testing.FakeServer):
    """A fake server that also records the path, the token and the body of each request, except logins."""

    def __init__(self):
        self.received = []
        # The paths for which every user lacks the permission.
        self.forbidden = set()
        super().__init__()

    def _respond(self, request, body):
        path = request.path.partition("?")[0]
        if path != "/authenticate":
            self.received.append((path, request.headers.get("token"), body))
        if path in self.forbidden:
            return couchdrop.testing._Response(401)
        return super()._respond(request, body)

    @property
    def logins(self):
        return sum(request.path == "/authenticate" for request in self.requests)

    @property
    def tokens(self):
        return [token for _, token, _ in self.received]

    @property
    def bodies(self):
        return [body for _, _, body in self.received]

    def redirect(self, path, location, status=302):
        self.add_response(path, status, headers={"Location": location})


class Unseekable(io.RawIOBase):
    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._content.readinto(buffer)


class WithThreads:
    """Sends with a client that threads can share."""

    def generated(self):
        return iter([b"a,b", b"\n"])

    def send_many(self, count):
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: self.send(LS), range(count)))

    def use(self, new):
        self.http.auth = new


class WithRequests(WithThreads):
    def setUp(self):
        super().setUp()
        self.http = requests.Session()
        self.http.trust_env = False
        # One connection for each thread.
        self.http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=MANY))
        self.http.auth = auth.RequestsAuth(self.session, [self.server.url])
        self.addCleanup(self.http.close)

    def send(self, path, body=None, **options):
        return self.http.post(self.server.url + path, data=body, timeout=support.SOON, **options)


class WithHttpx(WithThreads):
    def setUp(self):
        super().setUp()
        self.http = httpx.Client(
            auth=auth.HttpxAuth(self.session, [self.server.url]), follow_redirects=True, trust_env=False
        )
        self.addCleanup(self.http.close)

    def send(self, path, body=None, **options):
        return self.http.post(self.server.url + path, content=body, timeout=support.SOON, **options)


class WithAsyncHttpx:
    def setUp(self):
        super().setUp()
        self.use(auth.HttpxAuth(self.session, [self.server.url]))

    def use(self, new):
        self.auth = new

    def send(self, path, body=None, **options):
        return asyncio.run(self.send_in_loop(1, path, body, **options))[0]

    def send_many(self, count):
        return asyncio.run(self.send_in_loop(count, LS))

    async def send_in_loop(self, count, path, body=None, **options):
        async with httpx.AsyncClient(auth=self.auth, follow_redirects=True, trust_env=False) as http:
            url = self.server.url + path
            return await asyncio.gather(
                *(http.post(url, content=body, timeout=support.SOON, **options) for _ in range(count))
            )

    def generated(self):
        async def generate():
            yield b"a,b"
            yield b"\n"

        return generate()


class Cases:
    """The cases of every client."""

    def setUp(self):
        self.server, self.other = Origin(), Origin()
        self.addCleanup(self.server.close)
        self.addCleanup(self.other.close)
        self.client = couchdrop.Client(base_url=self.server.url)
        self.addCleanup(self.client.close)
        self.session = self.start_session(min_age=0)

    def start_session(self, **options):
        session = couchdrop.Session("ada@example.com", PASSWORD, client=self.client, **options)
        self.addCleanup(session.close)
        return session

    def use_session(self, session):
        kind = auth.RequestsAuth if isinstance(self, WithRequests) else auth.HttpxAuth
        self.use(kind(session, [self.server.url]))

    def test_requests_carry_the_current_token(self):
        for _ in range(3):
            self.assertEqual(self.send(LS).json(), {"ls": []})
        self.assertEqual(self.server.tokens, [self.session.peek().value] * 3)
        self.assertEqual(self.server.logins, 1)

    def test_other_origin_gets_no_token(self):
        self.server, listed = self.other, self.server
        self.assertEqual(self.send(LS).status_code, 403)
        self.assertEqual(self.server.tokens, [None])
        self.assertEqual(listed.logins, 0)

    def test_plain_http_through_a_proxy_sends_no_token(self):
        proxy = {"http_proxy": self.other.url, "no_proxy": ""}
        with unittest.mock.patch.dict(os.environ, proxy):
            with self.assertRaisesRegex(couchdrop.ProxyError, "NO_PROXY"):
                self.send(LS)
        self.assertEqual((self.server.received, self.other.received), ([], []))
        with unittest.mock.patch.dict(os.environ, {**proxy, "no_proxy": "127.0.0.1"}):
            self.assertEqual(self.send(LS).status_code, 200)

    def test_redirect_through_a_proxy_sends_no_token(self):
        # Both origins are listed, and only the first bypasses the proxy.
        port = self.other.url.rpartition(":")[2]
        redirected = f"http://localhost:{port}"
        kind = type(self.http.auth if hasattr(self, "http") else self.auth)
        self.use(kind(self.session, [self.server.url, redirected]))
        self.server.redirect("/file/ls", redirected + "/file/ls", status=307)
        proxy = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}
        with unittest.mock.patch.dict(os.environ, proxy):
            with self.assertRaisesRegex(couchdrop.ProxyError, "add localhost to NO_PROXY"):
                self.send(LS)
        self.assertEqual([token for token in self.other.tokens if token], [])

    def test_default_origins_are_those_of_the_service(self):
        self.use(type(self.http.auth if hasattr(self, "http") else self.auth)(self.session))
        self.send(LS)
        self.assertEqual(self.server.tokens, [None])

    def test_token_of_the_caller_is_replaced(self):
        self.assertEqual(self.send(LS, headers={"Token": "mine"}).status_code, 200)
        self.assertEqual(self.server.tokens, [self.session.peek().value])

    def test_expired_token_is_replaced_once(self):
        for body in (None, b"a,b\n", "a,b\n"):
            with self.subTest(body):
                self.server.received.clear()
                self.session.token()
                self.server.expire_tokens()
                logins = self.server.logins
                response = self.send(UPLOAD, body)
                self.assertEqual(response.status_code, 200)
                self.assertEqual([refused.status_code for refused in response.history], [403])
                self.assertEqual(self.server.logins, logins + 1)
                sent = b"" if body is None else b"a,b\n"
                self.assertEqual(self.server.bodies, [sent, sent])
                self.assertEqual(len(set(self.server.tokens)), 2)
        self.assertEqual(self.server.files, {"/report.csv": b"a,b\n"})

    def test_refusal_of_the_new_token_is_returned(self):
        self.server.forbidden.add("/file/ls")
        response = self.send(LS)
        self.assertEqual(response.status_code, 401)
        self.assertEqual(len(self.server.received), 2)
        self.assertEqual(self.server.logins, 2)

    def test_20_refused_permissions_cost_one_login(self):
        self.use_session(self.start_session())
        self.server.forbidden.add("/file/ls")
        for _ in range(20):
            self.assertEqual(self.send(LS).status_code, 401)
        self.assertEqual(len(self.server.received), 20)
        self.assertEqual(self.server.logins, 1)

    def test_generated_body_is_not_sent_again(self):
        self.session.token()
        self.server.expire_tokens()
        response = self.send(UPLOAD, self.generated())
        self.assertEqual(response.status_code, 403)
        self.assertEqual(self.server.bodies, [b"a,b\n"])
        # The next request has the new token.
        self.assertEqual(self.send(UPLOAD, self.generated()).status_code, 200)
        self.assertEqual(self.server.files, {"/report.csv": b"a,b\n"})
        self.assertEqual(self.server.logins, 2)

    def test_form_with_a_file_is_sent_again(self):
        self.session.token()
        self.server.expire_tokens()
        response = self.send(UPLOAD, files={"data": ("report.csv", io.BytesIO(b"a,b\n"))})
        self.assertEqual(response.status_code, 200)
        self.assertEqual(self.server.files, {"/report.csv": b"a,b\n"})

    def test_50_requests_at_once_share_a_login(self):
        for logins in (1, 2):
            responses = self.send_many(MANY)
            self.assertEqual({response.status_code for response in responses}, {200})
            self.assertEqual(self.server.logins, logins)
            self.server.expire_tokens()

    def test_redirect_to_another_origin_removes_the_token(self):
        for status in REDIRECTS:
            for path, target in (
                ("/file/ls", self.other.url),
                ("/file/ls", self.other.url.replace("http:", "")),
            ):
                with self.subTest(status, target=target):
                    self.other.received.clear()
                    self.server.redirect(path, target + "/elsewhere", status)
                    self.assertEqual(self.send(LS).status_code, 404)
                    self.assertEqual(self.other.tokens, [None])
        self.assertEqual(self.server.logins, 1)

    def test_redirect_removes_a_token_of_the_caller(self):
        self.server.redirect("/file/ls", self.other.url + "/elsewhere", 307)
        self.send(LS, headers={"Token": "mine"})
        self.assertEqual(self.other.tokens, [None])

    def test_redirect_back_carries_no_token(self):
        self.server.redirect("/file/ls", self.other.url + "/away", 307)
        self.other.redirect("/away", self.server.url + "/file/ls?path=/back", 307)
        self.assertEqual(self.send(LS).status_code, 403)
        self.assertEqual(self.other.tokens, [None])
        self.assertEqual(self.server.tokens, [self.session.peek().value, None])
        self.assertEqual(self.server.logins, 1)

    def test_redirect_of_a_repeated_request_removes_the_token(self):
        self.server.add_response("/file/ls", 403)
        self.server.redirect("/file/ls", self.other.url + "/elsewhere", 307)
        self.assertEqual(self.send(LS).status_code, 404)
        self.assertEqual(self.other.tokens, [None])
        self.assertEqual(self.server.logins, 2)

    def test_refusal_by_another_origin_renews_nothing(self):
        for status in (401, 403):
            self.server.redirect("/file/ls", self.other.url + "/elsewhere", 307)
            self.other.add_response("/elsewhere", status)
            self.assertEqual(self.send(LS).status_code, status)
        self.assertEqual(self.server.logins, 1)

    def test_redirect_within_the_origin_succeeds(self):
        for location in (LS, self.server.url + LS, self.server.url.replace("http:", "") + LS):
            self.server.redirect("/file/upload", location, 307)
            self.assertEqual(self.send(UPLOAD, b"x").json(), {"ls": []})
        self.assertEqual(self.server.logins, 1)

    def test_expired_token_is_replaced_after_a_redirect(self):
        self.session.token()
        self.server.redirect("/file/upload", LS, 307)
        self.server.expire_tokens()
        self.assertEqual(self.send(UPLOAD, b"x").status_code, 200)
        self.assertEqual(self.server.logins, 2)

    def test_redirect_loop_ends(self):
        for _ in range(100):
            self.server.redirect("/file/ls", LS)
        with self.assertRaises((requests.TooManyRedirects, httpx.TooManyRedirects)):
            self.send(LS)

    def test_failed_login_raises(self):
        self.use_session(couchdrop.Session("ada@example.com", "not my password", client=self.client))
        for _ in range(3):
            with self.assertRaises(couchdrop.AccessDenied):
                self.send(LS)
        self.assertEqual(self.server.received, [])
        self.assertEqual(self.server.logins, 1)

    def test_failed_renewal_raises(self):
        self.session.token()
        self.server.expire_tokens()
        self.server.add_response("/authenticate", 401)
        with self.assertRaises(couchdrop.TwoFactorRequired):
            self.send(LS)
        self.assertEqual(len(self.server.received), 1)


class Files:
    """The cases of the clients that send a file as the body."""

    def test_file_is_sent_again(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"a,b\n" * 100_000)
            file.seek(0)
            self.session.token()
            self.server.expire_tokens()
            self.assertEqual(self.send(UPLOAD, file).status_code, 200)
        self.assertEqual(self.server.files, {"/report.csv": b"a,b\n" * 100_000})

    def test_unseekable_body_is_not_sent_again(self):
        self.session.token()
        self.server.expire_tokens()
        response = self.send(UPLOAD, io.BufferedReader(Unseekable(b"a,b\n")))
        self.assertEqual(response.status_code, 403)
        self.assertEqual(self.server.bodies, [b"a,b\n"])


class Requests(WithRequests, Cases, Files, unittest.TestCase):
    def test_file_is_sent_again_from_its_position(self):
        file = io.BytesIO(b"header\na,b\n")
        file.seek(7)
        self.session.token()
        self.server.expire_tokens()
        self.assertEqual(self.send(UPLOAD, file).status_code, 200)
        self.assertEqual(self.server.bodies, [b"a,b\n", b"a,b\n"])

    def test_pipe_is_not_sent_again(self):
        reader, writer = os.pipe()
        os.write(writer, b"a,b\n")
        os.close(writer)
        self.session.token()
        self.server.expire_tokens()
        with open(reader, "rb") as file:
            self.assertEqual(self.send(UPLOAD, file).status_code, 403)
        self.assertEqual(len(self.server.received), 1)

    def test_prepared_request_can_be_sent_twice(self):
        request = self.http.prepare_request(requests.Request("POST", self.server.url + LS))
        for logins in (1, 2, 2):
            self.assertEqual(self.http.send(request).status_code, 200)
            self.assertEqual(self.server.logins, logins)
            if logins == 1:
                self.server.expire_tokens()

    def test_changed_url_of_a_prepared_request_renews_nothing(self):
        request = self.http.prepare_request(requests.Request("POST", self.server.url + LS))
        request.url = self.other.url + LS
        self.assertEqual(self.http.send(request).status_code, 403)
        self.assertEqual(len(self.other.received), 1)
        self.assertEqual(self.server.logins, 1)

    def test_next_request_of_a_redirect_has_no_token(self):
        self.server.redirect("/file/ls", self.other.url + "/elsewhere")
        response = self.send(LS, allow_redirects=False)
        self.assertNotIn("token", response.next.headers)

    def test_cookies_of_the_refusal_are_sent(self):
        self.server.add_response("/file/ls", 403, headers={"Set-Cookie": "a=b"})
        self.assertEqual(self.send(LS).request.headers["Cookie"], "a=b")


class Httpx(WithHttpx, Cases, Files, unittest.TestCase):
    def test_form_with_a_pipe_is_not_sent_again(self):
        self.session.token()
        self.server.expire_tokens()
        response = self.send(UPLOAD, files={"data": ("report.csv", Unseekable(b"a,b\n"))})
        self.assertEqual(response.status_code, 403)
        self.assertEqual(len(self.server.received), 1)

    def test_next_request_of_a_redirect_has_no_token(self):
        self.server.redirect("/file/ls", self.other.url + "/elsewhere")
        response = self.send(LS, follow_redirects=False)
        self.assertNotIn("token", response.next_request.headers)

    def test_body_that_a_hook_replaced_is_not_sent_again(self):
        class Once(httpx.SyncByteStream):
            def __init__(self, stream):
                self._parts = iter(stream)

            def __iter__(self):
                return self._parts

        def replace(request):
            request.stream = Once(request.stream)

        self.session.token()
        self.server.expire_tokens()
        self.http.event_hooks = {"request": [replace]}
        with tempfile.TemporaryFile() as file:
            file.write(b"a,b\n")
            file.seek(0)
            self.assertEqual(self.send(UPLOAD, file).status_code, 403)
        self.assertEqual(self.server.bodies, [b"a,b\n"])

    def test_headers_show_the_token_by_name_only(self):
        seen = []
        self.http.event_hooks = {"request": [lambda request: seen.append(request.headers)]}
        self.send(LS)
        (headers,) = seen
        token = self.session.peek().value
        self.assertEqual(headers["Token"], token)
        self.assertIn("token", headers)
        self.assertEqual(headers.get("host"), self.server.url[7:])
        self.assertIn(("token", token), headers.multi_items())
        self.assertNotIn(token, repr(headers))


class AsyncHttpx(WithAsyncHttpx, Cases, unittest.TestCase):
    def test_login_does_not_block_the_loop(self):
        async def run(session):
            async with httpx.AsyncClient(auth=auth.HttpxAuth(session, [self.server.url])) as http:
                task = asyncio.ensure_future(http.post(self.server.url + LS))
                turns = 0
                while not task.done():
                    await asyncio.sleep(0)
                    turns += 1
                self.assertIsInstance(task.exception(), couchdrop.Timeout)
                return turns

        with Silent() as silent, couchdrop.Client(base_url=silent.base_url, timeout=0.3) as client:
            with couchdrop.Session("ada", PASSWORD, client=client) as session:
                self.assertGreater(asyncio.run(run(session)), 50)

    def test_cancelled_request_ends_its_wait(self):
        async def run(silent, session):
            async with httpx.AsyncClient(auth=auth.HttpxAuth(session, [self.server.url])) as http:
                task = asyncio.ensure_future(http.post(self.server.url + LS))
                wait = asyncio.get_running_loop().run_in_executor
                await wait(None, silent.wait_for_requests, 1)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                await wait(None, silent.wait_until_alone)

        with Silent() as silent, couchdrop.Client(base_url=silent.base_url) as client:
            with couchdrop.Session("ada", PASSWORD, client=client) as session:
                asyncio.run(run(silent, session))


class Origins(unittest.TestCase):
    def test_origins_are_compared_exactly(self):
        origins = _origin.Origins(
            ["https://API.couchdrop.io/", "http://127.0.0.1:8080", "https://[::1]:8443"]
        )
        for url in (
            "https://api.couchdrop.io",
            "HTTPS://Api.Couchdrop.IO:443/file?x#y",
            "http://127.0.0.1:8080/",
            "https://[::1]:8443/x",
        ):
            self.assertTrue(origins.contain(url), url)
        for url in (
            "http://api.couchdrop.io",
            "http://api.couchdrop.io:443",
            "https://api.couchdrop.io:8443",
            "https://api.couchdrop.io.",
            "https://api.couchdrop.io.example.com",
            "https://example.com/https://api.couchdrop.io",
            "https://example.com\\@api.couchdrop.io/",
            "https://api.couchdrop.io\\@example.com/",
            "https://user@api.couchdrop.io/",
            "https://api.couchdrop.io@example.com/",
            "https://api%2ecouchdrop.io/",
            "https://аpi.couchdrop.io/",
            "https://api.couchdrop.io:99999/",
            "https://[::1/",
            "http://127.0.0.1/",
            "//api.couchdrop.io/",
            "ftp://api.couchdrop.io/",
            "",
        ):
            self.assertFalse(origins.contain(url), url)

    def test_invalid_origin_raises(self):
        code = couchdrop.Code
        for origin, expected in [
            ("api.couchdrop.io", code.CD_ERR_INVALID_URL),
            ("https://", code.CD_ERR_INVALID_URL),
            ("https://api.couchdrop.io/file", code.CD_ERR_INVALID_URL),
            ("https://api.couchdrop.io?", code.CD_ERR_INVALID_URL),
            ("https://api.couchdrop.io#", code.CD_ERR_INVALID_URL),
            ("https://ada:secret@api.couchdrop.io", code.CD_ERR_INVALID_URL),
            ("https://*.couchdrop.io", code.CD_ERR_INVALID_URL),
            ("https://api.couchdrop.io:0", code.CD_ERR_INVALID_URL),
            ("https://api.couchdrop.io:65536", code.CD_ERR_INVALID_URL),
            (" https://api.couchdrop.io", code.CD_ERR_INVALID_URL),
            ("ftp://api.couchdrop.io", code.CD_ERR_INVALID_URL),
            ("http://api.couchdrop.io", code.CD_ERR_INSECURE_URL),
            ("http://127.0.0.1.example.com", code.CD_ERR_INSECURE_URL),
        ]:
            for kind in (auth.RequestsAuth, auth.HttpxAuth):
                with self.subTest(origin), self.assertRaises(couchdrop.ArgumentError) as caught:
                    kind(None, [origin])
                self.assertEqual(caught.exception.code, expected)
                self.assertNotIn("secret", str(caught.exception))
        for origins in ("https://api.couchdrop.io", [b"https://api.couchdrop.io"], [None]):
            with self.assertRaises(TypeError):
                _origin.Origins(origins)


class Example(unittest.TestCase):
    def run_example(self, path, password):
        account = {"COUCHDROP_USERNAME": "ada@example.com", "COUCHDROP_PASSWORD": password}
        paths = os.pathsep.join([support.PACKAGE, *sys.path])
        return subprocess.run(
            [sys.executable, os.path.join(support.ROOT, "examples", "python", "upload.py"), path],
            env={**support.FakeServer.environment(), "PYTHONPATH": paths, **account},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_example_uploads_and_lists(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a report.csv")
            with open(path, "w", encoding="utf-8") as file:
                file.write("a,b\n")
            done = self.run_example(path, PASSWORD)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn('"a report.csv"', done.stdout)
            done = self.run_example(path, "wrong")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("CD_ERR_ACCESS_DENIED", done.stderr)


class Imports(unittest.TestCase):
    def test_clients_are_imported_on_first_use(self):
        program = """
            import sys
            import couchdrop.auth
            assert {"requests", "httpx"}.isdisjoint(sys.modules)
            assert {"RequestsAuth", "HttpxAuth"} <= set(dir(couchdrop.auth))
            couchdrop.auth.RequestsAuth
            assert "httpx" not in sys.modules
            print(couchdrop.auth.HttpxAuth.__module__)
        """
        done = support.run_python(program)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "couchdrop.auth\n", ""))

    def test_missing_client_is_named(self):
        program = """
            import sys
            import couchdrop.auth
            for name, package in (("RequestsAuth", "requests"), ("HttpxAuth", "httpx")):
                sys.modules[package] = None
                try:
                    getattr(couchdrop.auth, name)
                except ImportError as error:
                    print(error)
        """
        done = support.run_python(program)
        self.assertEqual(done.stderr, "")
        self.assertRegex(done.stdout, r"RequestsAuth needs requests: pip install 'couchdrop\[requests\]'\n")
        self.assertRegex(done.stdout, r"HttpxAuth needs httpx: pip install 'couchdrop\[httpx\]'\n")

    def test_httpx_that_copies_the_token_is_refused(self):
        """A later httpx may copy headers in another way."""
        program = """
            import httpx

            def build(self, request, response):
                return httpx.Request("GET", response.headers["Location"], headers=request.headers.raw)

            httpx.Client._build_redirect_request = build
            import couchdrop.auth
            try:
                couchdrop.auth.HttpxAuth
            except ImportError as error:
                print(error)
        """
        done = support.run_python(program)
        self.assertRegex(done.stdout, "HttpxAuth can't be used with httpx")


if __name__ == "__main__":
    unittest.main()
