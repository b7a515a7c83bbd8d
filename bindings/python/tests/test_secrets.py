"""Printing, copying and failing never show a password or a token."""

import copy
import logging
import pickle
import threading
import traceback
import unittest

import support
from support import Recorder, couchdrop

TOKEN = "3f2b8c1e-0000-4000-8000-123456789abc"


class Hidden:
    """The password of the tests, kept out of the variables of their own frames."""

    password = "pass-that-shows-nowhere"

    def __repr__(self):
        return "hidden"


HIDDEN = Hidden()


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recorder = Recorder(b'{"token":"%s"}' % TOKEN.encode())

    @classmethod
    def tearDownClass(cls):
        cls.recorder.__exit__()

    def log_in(self):
        return couchdrop.authenticate("ada", HIDDEN.password, base_url=self.recorder.base_url)

    def test_only_value_and_headers_show_the_token(self):
        token = self.log_in()
        self.assertEqual(token.value, TOKEN)
        self.assertEqual(token.headers(), {"token": TOKEN})
        formatted = "%s %r" % (token, token)  # noqa: UP031
        for text in [str(token), repr(token), f"{token}", formatted, repr([token]), repr({1: token})]:
            self.assertNotIn(TOKEN[:8], text)
            self.assertIn("masked", text)
        self.assertFalse(hasattr(token, "__dict__"))
        with self.assertRaises(TypeError):
            bytes(token)

    def test_token_is_not_picklable_or_copyable(self):
        token = self.log_in()
        for attempt in [copy.copy, copy.deepcopy, *(lambda t, p=p: pickle.dumps(t, p) for p in range(6))]:
            with self.assertRaisesRegex(TypeError, "can't be pickled or copied"):
                attempt(token)

    def test_token_made_by_hand_is_like_one_of_a_login(self):
        for value in (TOKEN, TOKEN.encode(), "!", "~" * 65_536):
            text = value if isinstance(value, str) else value.decode()
            with couchdrop.Token(value) as token:
                self.assertEqual((token.value, token.headers()), (text, {"token": text}))
                self.assertEqual(token, couchdrop.Token(text))
                self.assertNotIn(text, repr(token) + str(token))
            with self.assertRaisesRegex(ValueError, "wiped"):
                _ = token.value
        self.assertEqual(couchdrop.Token(TOKEN), self.log_in())

    def test_invalid_token_value_is_refused_and_not_shown(self):
        for value, code in [
            ("", "CD_ERR_EMPTY_ARGUMENT"),
            (b"", "CD_ERR_EMPTY_ARGUMENT"),
            ("q" * 65_537, "CD_ERR_OUT_OF_RANGE"),
            ("qqqq ", "CD_ERR_OUT_OF_RANGE"),
            ("qqqq\x7f", "CD_ERR_OUT_OF_RANGE"),
            ("qqqq\0", "CD_ERR_OUT_OF_RANGE"),
            ("qqqq\n", "CD_ERR_OUT_OF_RANGE"),
            ("qqqq\xe9", "CD_ERR_OUT_OF_RANGE"),
            (b"qqqq\xff", "CD_ERR_OUT_OF_RANGE"),
            ("qqqq\ud800", "CD_ERR_OUT_OF_RANGE"),
        ]:
            with self.subTest(value[:6]), self.assertRaises(couchdrop.ArgumentError) as caught:
                couchdrop.Token(value)
            self.assertEqual(caught.exception.code_name, code)
            self.assertNotIn("qqqq", str(caught.exception))
            for frame, _ in traceback.walk_tb(caught.exception.__traceback__):
                if frame.f_code.co_filename.startswith(support.PACKAGE + "/couchdrop"):
                    self.assertNotIn("qqqq", repr(frame.f_locals))
        for value in (None, 7, bytearray(b"qqqq"), ["q"]):
            with self.assertRaisesRegex(TypeError, "a Token is made of str or bytes, not "):
                couchdrop.Token(value)
        with self.assertRaises(TypeError):
            couchdrop.Token()

    def test_token_wiped_while_others_read_it_is_whole_or_wiped(self):
        for make in [self.log_in, lambda: couchdrop.Token(TOKEN)] * 20:
            token = make()
            start = threading.Barrier(5)
            read = []

            def use(token=token, start=start, read=read):
                start.wait()
                try:
                    while True:
                        read.append(token.value)
                except ValueError:
                    pass

            def wipe(token=token, start=start):
                start.wait()
                token.wipe()

            threads = [threading.Thread(target=work) for work in [use] * 3 + [wipe] * 2]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertLessEqual(set(read), {TOKEN})

    def test_wiped_tokens_are_gone_from_memory(self):
        program = """
            import gc, sys, couchdrop
            client = couchdrop.Client(base_url=sys.argv[1])
            tokens = [client.authenticate("ada", "secret") for _ in range(50)]
            print("made", flush=True)
            sys.stdin.readline()
            gc.disable()
            for token in tokens:
                token.wipe()
            print("wiped", flush=True)
            sys.stdin.readline()
        """
        with support.start_python(program, self.recorder.base_url) as process:
            self.assertEqual(process.stdout.readline(), "made\n")
            self.assertGreaterEqual(copies_in_memory(process.pid, TOKEN.encode()), 50)
            process.stdin.write("\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), "wiped\n")
            self.assertEqual(copies_in_memory(process.pid, TOKEN.encode()), 0)

    def test_token_equals_only_tokens(self):
        token, same = self.log_in(), self.log_in()
        with Recorder() as recorder:
            other = couchdrop.authenticate("ada", HIDDEN.password, base_url=recorder.base_url)
        self.assertTrue(token == same)
        self.assertTrue(token != other)
        self.assertFalse(token == TOKEN)
        with self.assertRaises(TypeError):
            hash(token)

    def test_wiped_token_refuses_access(self):
        token = self.log_in()
        with token as inside:
            self.assertIs(inside, token)
        token.wipe()
        for use in [lambda: token.value, token.headers]:
            with self.assertRaisesRegex(ValueError, "wiped"):
                use()
        self.assertIn("masked", repr(token))
        self.assertTrue(token == token)
        self.assertFalse(token == self.log_in())


def copies_in_memory(process, wanted):
    """Returns the number of copies in the writable memory of a child process."""
    found = 0
    with open(f"/proc/{process}/maps", encoding="utf-8") as maps:
        ranges = [line.split()[0].split("-") for line in maps if " rw" in line]
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        for start, end in ((int(start, 16), int(end, 16)) for start, end in ranges):
            memory.seek(start)
            try:
                found += memory.read(end - start).count(wanted)
            except OSError:
                # The kernel's special mappings can't be read.
                pass
    return found


class Tracebacks(unittest.TestCase):
    def shows_nothing(self, error):
        # The same as tools that show the variables of each frame.
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        self.assertNotIn(HIDDEN.password, text)
        self.assertNotIn(HIDDEN.password, repr(error) + repr(vars(error)) + repr(error.args))
        # The objects must not contain it behind a repr that hides it either.
        step = error.__traceback__
        while step:
            if "couchdrop/_" in step.tb_frame.f_code.co_filename:
                for value in step.tb_frame.f_locals.values():
                    self.assertNotEqual(value, HIDDEN.password)
                    self.assertNotIn(HIDDEN.password.encode(), bytes(getattr(value, "raw", b"")))
            step = step.tb_next
        if error.__context__ is not None:
            self.shows_nothing(error.__context__)

    def caught(self, expected, work):
        try:
            work()
        except expected as error:
            return error
        return self.fail("nothing was raised")

    def test_traceback_of_a_refused_login_has_no_secret(self):
        options = support.fake_server_options()
        self.shows_nothing(
            self.caught(
                couchdrop.AccessDenied, lambda: couchdrop.authenticate("ada", HIDDEN.password, **options)
            )
        )

    def test_traceback_from_asyncio_has_no_secret(self):
        import asyncio

        options = support.fake_server_options()
        self.shows_nothing(
            self.caught(
                couchdrop.AccessDenied,
                lambda: asyncio.run(couchdrop.authenticate_async("ada", HIDDEN.password, **options)),
            )
        )

    def test_traceback_of_invalid_arguments_has_no_secret(self):
        for work in [
            lambda: couchdrop.authenticate("ada", HIDDEN.password + "\0"),
            lambda: couchdrop.authenticate("ada", HIDDEN.password + "\ud800"),
            lambda: couchdrop.authenticate("ada", HIDDEN.password.encode()),
            lambda: couchdrop.authenticate("ada\0", HIDDEN.password),
            lambda: couchdrop.authenticate("ada", HIDDEN.password, timeout=-1),
            lambda: couchdrop.authenticate("ada", HIDDEN.password, ca_file="/none"),
            lambda: couchdrop.Client(proxy="ftp://ada:" + HIDDEN.password + "@localhost"),
            lambda: couchdrop.Client(proxy="http://ada:" + HIDDEN.password + "\0@localhost"),
            lambda: couchdrop.Client(proxy="http://ada:" + HIDDEN.password + "@localhost", max_retries=11),
        ]:
            self.shows_nothing(self.caught((couchdrop.ArgumentError, TypeError), work))

    def test_traceback_of_an_echoed_password_has_no_secret(self):
        with Recorder(b'{"err":"no %s here"}' % HIDDEN.password.encode(), status=403) as recorder:
            error = self.caught(
                couchdrop.AccessDenied,
                lambda: couchdrop.authenticate("ada", HIDDEN.password, base_url=recorder.base_url),
            )
        self.assertIsNone(error.server_message)
        self.shows_nothing(error)

    def test_traceback_of_a_raising_logger_has_no_secret(self):
        class Refusing(logging.Handler):
            def emit(self, record):
                raise LookupError

        logger = logging.Logger("couchdrop-test", logging.DEBUG)
        logger.addHandler(Refusing())
        options = support.fake_server_options()
        self.shows_nothing(
            self.caught(
                LookupError, lambda: couchdrop.authenticate("ada", HIDDEN.password, **options, logger=logger)
            )
        )


class Exceptions(unittest.TestCase):
    def test_exceptions_are_picklable(self):
        error = couchdrop.RateLimited("wait", http_status=429, retry_after=7, server_message="no", attempts=2)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(error, protocol))
            self.assertIs(type(again), couchdrop.RateLimited)
            self.assertEqual((str(again), vars(again)), (str(error), vars(error)))
        late = pickle.loads(pickle.dumps(couchdrop.Timeout("late", attempts=1)))
        self.assertEqual((str(late), late.attempts, late.code_name), ("late", 1, "CD_ERR_TIMEOUT"))

    def test_exception_has_a_default_code(self):
        self.assertEqual(couchdrop.AccessDenied().code_name, "CD_ERR_ACCESS_DENIED")
        self.assertEqual(couchdrop.Timeout().code_name, "CD_ERR_TIMEOUT")


if __name__ == "__main__":
    unittest.main()
