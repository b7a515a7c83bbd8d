"""Signals in the main thread while a login waits."""

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
import unittest

import support
from support import PASSWORD, Silent, couchdrop

from couchdrop import _abi

# The token that a Recorder issues each time.
TOKEN = "00000000-0000-4000-8000-000000000000"


def interrupt(number=signal.SIGINT):
    """Sends a signal to the thread that runs the handlers, as a terminal does."""
    signal.pthread_kill(threading.main_thread().ident, number)


class Unlucky(Exception):
    pass


def raising(*_):
    raise Unlucky


class Signals(unittest.TestCase):
    def setUp(self):
        self.silent = Silent()
        self.addCleanup(self.silent.__exit__)
        self.client = couchdrop.Client(base_url=self.silent.base_url)
        self.addCleanup(self.client.close)

    def handle(self, number, handler):
        self.addCleanup(signal.signal, number, signal.signal(number, handler))

    def test_ctrl_c_stops_a_waiting_login_at_once(self):
        sent = []

        def on_request():
            sent.append(time.monotonic())
            interrupt()

        self.silent.on_request = on_request
        with self.assertRaises(KeyboardInterrupt) as caught:
            self.client.authenticate("ada", PASSWORD)
        self.assertLess(time.monotonic() - sent[0], 0.5)
        self.assertIsNone(caught.exception.__context__)

    def test_ctrl_c_ends_a_program(self):
        program = support.start_python(
            "import couchdrop, sys; couchdrop.authenticate('ada', 'secret', base_url=sys.argv[1])",
            self.silent.base_url,
        )
        self.silent.wait_for_requests(1)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=support.SOON)
        self.assertEqual(program.returncode, -signal.SIGINT)
        self.assertRegex(errors, r"\nKeyboardInterrupt\n\Z")
        self.assertNotIn("secret'", errors.replace("couchdrop.authenticate('ada', 'secret'", ""))

    def test_ctrl_c_stops_connect(self):
        # The server never responds to the handshake.
        with couchdrop.Client(base_url="https://" + self.silent.address) as client:
            self.silent.on_request = interrupt
            with self.assertRaises(KeyboardInterrupt):
                client.connect()

    def test_exception_of_a_handler_keeps_its_traceback(self):
        self.handle(signal.SIGUSR1, raising)
        self.silent.on_request = lambda: interrupt(signal.SIGUSR1)
        try:
            self.client.authenticate("ada", PASSWORD)
        except Unlucky as error:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names[-1], raising.__name__)

    def test_two_signals_at_once_stop_a_login(self):
        def also_raising(*_):
            raise Unlucky

        self.handle(signal.SIGUSR1, raising)
        self.handle(signal.SIGUSR2, also_raising)

        sent = []

        def on_request():
            interrupt(signal.SIGUSR1)
            interrupt(signal.SIGUSR2)
            sent.append(True)

        # Python reports lost exceptions of callbacks here. The login would continue after one.
        lost = []
        self.addCleanup(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = lost.append
        self.silent.on_request = on_request
        for number in range(20):
            try:
                with self.assertRaises(Unlucky):
                    self.client.authenticate("ada", PASSWORD)
            except Unlucky:
                # The second signal may arrive a moment later.
                pass
            while len(sent) <= number:
                try:
                    time.sleep(0.001)
                except Unlucky:
                    pass
        self.assertEqual([str(problem) for problem in lost], [])

    def test_handler_that_returns_lets_the_login_continue(self):
        handled = threading.Event()
        self.handle(signal.SIGUSR1, lambda *_: handled.set())
        after = []

        def on_request():
            interrupt(signal.SIGUSR1)
            after.append(handled.wait(support.SOON))
            # Until this signal nothing ends the wait of the login.
            interrupt(signal.SIGINT)

        self.silent.on_request = on_request
        with self.assertRaises(KeyboardInterrupt):
            self.client.authenticate("ada", PASSWORD)
        self.assertEqual(after, [True])

    def test_handler_may_log_in(self):
        tokens = []

        def handler(*_):
            with support.Recorder() as recorder:
                tokens.append(couchdrop.authenticate("ada", PASSWORD, base_url=recorder.base_url))
            raise Unlucky

        self.handle(signal.SIGUSR1, handler)
        self.silent.on_request = lambda: interrupt(signal.SIGUSR1)
        with self.assertRaises(Unlucky):
            self.client.authenticate("ada", PASSWORD)
        self.assertEqual(len(tokens), 1)

    def test_ctrl_c_is_not_lost_with_a_logger(self):
        logger = logging.Logger("couchdrop-test", logging.DEBUG)
        logger.addHandler(logging.NullHandler())
        self.silent.on_request = interrupt
        with couchdrop.Client(base_url=self.silent.base_url, logger=logger) as client:
            for _ in range(30):
                with self.assertRaises(KeyboardInterrupt):
                    client.authenticate("ada", PASSWORD)

    def test_interrupted_logger_ends_the_login(self):
        class Interrupted(logging.Handler):
            def emit(self, record):
                signal.raise_signal(signal.SIGINT)

        logger = logging.Logger("couchdrop-test", logging.DEBUG)
        logger.addHandler(Interrupted())
        with couchdrop.Client(base_url=self.silent.base_url, logger=logger) as client:
            with self.assertRaises(KeyboardInterrupt):
                client.authenticate("ada", PASSWORD)

    def test_many_interrupts_lose_and_leak_nothing(self):
        def log_in():
            with self.assertRaises(KeyboardInterrupt):
                self.client.authenticate("ada", PASSWORD)

        self.silent.on_request = interrupt
        log_in()
        support.collect_garbage()
        descriptors, objects = open_descriptors(), handles()
        for _ in range(150):
            log_in()
        support.collect_garbage()
        self.assertEqual(handles(), objects)
        # The server may not have closed its sockets yet.
        self.silent.wait_until_alone()
        self.assertLessEqual(open_descriptors(), descriptors + 1)

    def test_interrupts_at_any_moment_leak_nothing(self):
        """Signals as from a timer arrive also between the creation of an object and the call that uses it."""
        self.assert_timer_interrupts_leave_nothing(2000)

    def test_interrupts_of_a_logger_at_any_moment_are_not_lost(self):
        logger = logging.Logger("couchdrop-test", logging.DEBUG)
        logger.addHandler(logging.NullHandler())
        # A thread may still refer to calls whose last lines were interrupted, in two places at most.
        self.assert_timer_interrupts_leave_nothing(1000, kept=2, logger=logger)

    def test_interrupts_of_a_session_at_any_moment_leak_nothing(self):
        def renewing(client):
            session = couchdrop.Session("ada", PASSWORD, client=client, min_age=0)
            self.addCleanup(session.close)
            session.token()
            return lambda: session.token(rejected=TOKEN)

        self.assert_timer_interrupts_leave_nothing(2000, use=renewing)

    def assert_timer_interrupts_leave_nothing(self, logins, kept=0, use=None, **options):
        # The handler raises once, and only inside `authenticate`: elsewhere it would end the test.
        armed = False

        def handler(*_):
            nonlocal armed
            if armed:
                armed = False
                raise Unlucky

        # Python reports here the exceptions that it drops in a callback or a finalizer.
        lost = []
        self.addCleanup(setattr, sys, "unraisablehook", sys.unraisablehook)
        # As text, because the exceptions refer to handles.
        sys.unraisablehook = lambda problem: lost.append(str(problem))
        self.handle(signal.SIGALRM, handler)
        recorder = support.Recorder()
        self.addCleanup(recorder.__exit__)
        client = couchdrop.Client(base_url=recorder.base_url, **options)
        self.addCleanup(client.close)
        log_in = use(client) if use else lambda: client.authenticate("ada", PASSWORD)
        log_in()
        support.collect_garbage()
        objects = handles()
        stopped = 0
        signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
        try:
            for _ in range(logins):
                try:
                    armed = True
                    log_in()
                    armed = False
                except Unlucky:
                    stopped += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        support.collect_garbage()
        self.assertGreater(stopped, 50)
        # PyPy's ctypes is written in Python: a handler can raise in its constructors and finalizers too. Some
        # interrupted objects then stay until the process ends.
        if support.PYPY:
            kept += 5
        else:
            self.assertEqual(lost, [])
        self.assertLessEqual(handles(), objects + kept)


class Leaks(unittest.TestCase):
    def test_every_object_of_the_library_is_released(self):
        if not hasattr(ctypes.CDLL(None), "mallinfo2"):
            self.skipTest("this C library has no mallinfo2")
        recorder = support.Recorder()
        self.addCleanup(recorder.__exit__)
        client = couchdrop.Client(base_url=recorder.base_url)
        self.addCleanup(client.close)

        def log_in():
            client.authenticate("ada", PASSWORD)
            recorder.requests.clear()

        def fail():
            with self.assertRaises(couchdrop.ArgumentError):
                client.authenticate("", PASSWORD)

        def make_client():
            couchdrop.Client(user_agent="acme/2.1", base_url=recorder.base_url)

        for use, times in [(log_in, 500), (fail, 5000), (make_client, 5000)]:
            with self.subTest(use.__name__):
                for _ in range(100):
                    use()
                support.collect_garbage()
                growth = []
                # PyPy's own memory grows and shrinks in large steps. A leak would be visible in each round.
                for _ in range(5 if support.PYPY else 1):
                    before = allocated()
                    for _ in range(times):
                        use()
                    support.collect_garbage()
                    growth.append(allocated() - before)
                # The smallest block has 32 bytes. Threads of the server start and end during the test.
                self.assertLess(min(growth), times * 24, growth)


def handles():
    return sum(isinstance(thing, _abi.Handle) for thing in gc.get_objects())


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def allocated():
    """Returns the bytes allocated by malloc, which excludes Python's small objects."""

    class Info(ctypes.Structure):
        _fields_ = [
            (name, ctypes.c_size_t)
            for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
        ]

    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Info
    return mallinfo2().uordblks


if __name__ == "__main__":
    unittest.main()
