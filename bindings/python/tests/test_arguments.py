"""Python or the library rejects invalid arguments of a login, and nothing is sent."""

import unittest

from support import PASSWORD, Recorder, couchdrop


class Arguments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recorder = Recorder()
        cls.client = couchdrop.Client(base_url=cls.recorder.base_url)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.recorder.__exit__()

    def tearDown(self):
        self.recorder.requests.clear()

    def refused(self, code, *arguments, **options):
        with self.assertRaises(couchdrop.ArgumentError) as caught:
            self.client.authenticate(*arguments, **options)
        self.assertIsInstance(caught.exception, ValueError)
        self.assertEqual(caught.exception.code_name, code)
        self.assertEqual(caught.exception.attempts, 0)
        self.assertEqual(self.recorder.requests, [])
        return str(caught.exception)

    def test_string_with_nul_is_refused(self):
        self.assertIn("password", self.refused("CD_ERR_INVALID_UTF8", "ada", "pass\0word"))
        self.assertIn("username", self.refused("CD_ERR_INVALID_UTF8", "ada\0", PASSWORD))
        self.assertIn("system", self.refused("CD_ERR_INVALID_UTF8", "ada", PASSWORD, system="\0"))

    def test_lone_surrogate_is_refused(self):
        self.assertIn("password", self.refused("CD_ERR_INVALID_UTF8", "ada", "\udcff"))
        self.assertIn("username", self.refused("CD_ERR_INVALID_UTF8", "\ud800", PASSWORD))

    def test_empty_and_too_long_strings_are_refused(self):
        self.refused("CD_ERR_EMPTY_ARGUMENT", "", PASSWORD)
        self.refused("CD_ERR_EMPTY_ARGUMENT", "ada", "")
        self.refused("CD_ERR_OUT_OF_RANGE", "ada", "x" * 65537)

    def test_empty_system_is_omitted(self):
        self.client.authenticate("ada", PASSWORD, system="")
        self.assertNotIn(b"system", self.recorder.requests[0][1])

    def test_value_other_than_str_is_refused(self):
        for arguments in [
            ("ada", PASSWORD.encode()),
            (b"ada", PASSWORD),
            ("ada", None),
            (None, PASSWORD),
            ("ada", 7),
        ]:
            with self.subTest(arguments), self.assertRaises(TypeError) as caught:
                self.client.authenticate(*arguments)
            self.assertRegex(
                str(caught.exception), r"^(username|password) must be str, not (bytes|NoneType|int)$"
            )
        with self.assertRaises(TypeError):
            self.client.authenticate("ada", PASSWORD, system=b"nightly")
        self.assertEqual(self.recorder.requests, [])

    def test_timeout_out_of_range_is_refused(self):
        for timeout in [
            0,
            0.0,
            -1,
            -0.001,
            float("nan"),
            float("inf"),
            float("-inf"),
            3600.001,
            2**32,
            10**5000,
        ]:
            with self.subTest(str(timeout)[:20] if timeout != 10**5000 else "huge"):
                self.refused("CD_ERR_OUT_OF_RANGE", "ada", PASSWORD, timeout=timeout)
        for timeout in [True, "1", b"1", [], 1j]:
            with self.subTest(timeout), self.assertRaises(TypeError):
                self.client.authenticate("ada", PASSWORD, timeout=timeout)
        self.client.authenticate("ada", PASSWORD, timeout=3600)

    def test_tiny_timeout_is_not_rounded_to_zero(self):
        # In the library 0 means the default timeout, so the login would succeed.
        with couchdrop.Client(base_url="http://127.0.0.1:9", max_retries=10, backoff=(3600, 3600)) as client:
            with self.assertRaises(couchdrop.TransportError):
                client.authenticate("ada", PASSWORD, timeout=1e-9)

    def test_function_refuses_the_same_arguments(self):
        with self.assertRaises(couchdrop.ArgumentError):
            couchdrop.authenticate("ada", "pass\0word", base_url=self.recorder.base_url)
        with self.assertRaises(couchdrop.ArgumentError):
            couchdrop.authenticate("ada", PASSWORD, timeout=0, base_url=self.recorder.base_url)
        with self.assertRaises(TypeError):
            couchdrop.authenticate("ada", PASSWORD, base="x")
        self.assertEqual(self.recorder.requests, [])


if __name__ == "__main__":
    unittest.main()
