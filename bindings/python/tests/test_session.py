"""`couchdrop.Session`: one login for all threads and tasks, renewal, refusals, close, fork."""

import asyncio
import copy
import gc
import logging
import os
import pickle
import signal
import threading
import time
import unittest
import unittest.mock

import support
from support import PASSWORD, Silent, couchdrop
from test_signals import interrupt

import couchdrop.testing
from couchdrop._arguments import Text

MANY = 50
REJECTED = "a token that was rejected"


def logins(server):
    return [request for request in server.requests if request.path == "/authenticate"]


class WithServer(unittest.TestCase):
    def setUp(self):
        self.server = couchdrop.testing.FakeServer()
        self.addCleanup(self.server.close)
        self.client = couchdrop.Client(base_url=self.server.url)
        self.addCleanup(self.client.close)

    def session(self, username="ada@example.com", password=PASSWORD, **options):
        session = couchdrop.Session(username, password, **{"client": self.client, **options})
        self.addCleanup(session.close)
        return session

    def assert_logins(self, count):
        self.assertEqual(len(logins(self.server)), count)


class Tokens(WithServer):
    def test_session_sends_nothing_before_the_first_token(self):
        session = self.session()
        self.assertIsNone(session.peek())
        self.assert_logins(0)
        token = session.token()
        self.assertEqual(session.token(), token)
        self.assertEqual(session.peek(), token)
        self.assert_logins(1)

    def test_wiped_token_leaves_the_session_its_own(self):
        session = self.session()
        with session.token() as token:
            value = token.value
        self.assertEqual(session.token().value, value)
        self.assert_logins(1)

    def test_system_is_sent(self):
        with support.Recorder() as recorder, couchdrop.Client(base_url=recorder.base_url) as client:
            with couchdrop.Session("ada", PASSWORD, client=client, system="nightly") as session:
                session.token()
            self.assertIn(b"system=nightly", recorder.requests[0][1])

    def test_50_threads_share_one_login(self):
        session = self.session()
        barrier = threading.Barrier(MANY)
        values = []

        def run():
            barrier.wait()
            values.append(session.token().value)

        threads = [threading.Thread(target=run) for _ in range(MANY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(values), len(set(values))), (MANY, 1))
        self.assert_logins(1)

    def test_50_tasks_share_one_login(self):
        session = self.session()

        async def run():
            return await asyncio.gather(*(session.token_async() for _ in range(MANY)))

        self.assertEqual(len({token.value for token in asyncio.run(run())}), 1)
        self.assert_logins(1)

    def test_current_token_needs_no_thread(self):
        session = self.session()
        token = session.token()

        async def run():
            before = threading.active_count()
            self.assertEqual(await session.token_async(), token)
            self.assertEqual(await session.token_async(rejected="another"), token)
            self.assertEqual(threading.active_count(), before)

        asyncio.run(run())

    def test_old_token_is_replaced(self):
        started = time.monotonic()
        # Rounded up to a second.
        session = self.session(max_age=0.2)
        first = session.token()
        while session.peek() is not None:
            self.assertLess(time.monotonic() - started, support.SOON)
            time.sleep(0.01)
        self.assertGreaterEqual(time.monotonic() - started, 1.0)
        self.assertNotEqual(session.token(), first)
        self.assert_logins(2)


class Rejected(WithServer):
    def test_young_rejected_token_is_returned_again(self):
        session = self.session()
        token = session.token()
        for _ in range(20):
            self.assertEqual(session.token(rejected=token), token)
        self.assert_logins(1)

    def test_rejected_token_is_replaced_at_the_minimum_age(self):
        session = self.session(min_age=0)
        first = session.token()
        second = session.token(rejected=first.value)
        self.assertNotEqual(second, first)
        # Another thread refers to the first one.
        self.assertEqual(session.token(rejected=first), second)
        self.assert_logins(2)

    def test_rejected_token_is_replaced_in_a_task(self):
        session = self.session(min_age=0)

        async def run():
            first = await session.token_async()
            return first, await session.token_async(rejected=first)

        first, second = asyncio.run(run())
        self.assertNotEqual(first, second)
        self.assert_logins(2)

    def test_unknown_rejected_token_is_an_old_one(self):
        session = self.session(min_age=0)
        token = session.token()
        for rejected in ("", "жук", " ", "x" * 1000):
            self.assertEqual(session.token(rejected=rejected), token)
        self.assert_logins(1)

    def test_invalid_rejected_token_raises(self):
        session = self.session()
        wiped = session.token()
        wiped.wipe()
        for rejected, expected in [
            (b"x", TypeError),
            (1, TypeError),
            ("a\0", couchdrop.ArgumentError),
            ("\udcff", couchdrop.ArgumentError),
            ("x" * 65_537, couchdrop.ArgumentError),
            (wiped, ValueError),
        ]:
            with self.subTest(str(rejected)[:9]), self.assertRaises(expected):
                session.token(rejected=rejected)
        self.assertTrue(session.token(rejected="x" * 65_536))

    def test_rejected_text_is_wiped(self):
        session = self.session()
        rejected = session.token()
        wiped = []

        def wipe(text):
            wiped.append(text.holds(REJECTED.encode()))

        with unittest.mock.patch.object(Text, "wipe", wipe):
            self.assertEqual(session.token(rejected=REJECTED), rejected)
            session.close()
            with self.assertRaises(RuntimeError):
                session.token(rejected=REJECTED)
        self.assertEqual(wiped, [True, True])


class Refusals(WithServer):
    def test_refused_credentials_cause_one_request(self):
        session = self.session(password="not my password")
        attempts = []
        for _ in range(5):
            with self.assertRaises(couchdrop.AccessDenied) as caught:
                session.token()
            attempts.append(caught.exception.attempts)
        self.assertEqual(attempts, [1, 0, 0, 0, 0])
        self.assert_logins(1)

    def test_retry_after_blocks_further_logins(self):
        session = self.session("limited@example.com")
        for attempts in (1, 0):
            with self.assertRaises(couchdrop.RateLimited) as caught:
                session.token()
            self.assertEqual(caught.exception.attempts, attempts)
            self.assertLessEqual(abs(caught.exception.retry_after - 3600), 30)
        self.assert_logins(1)

    def test_invalid_arguments_raise(self):
        for options, expected in [
            ({"username": ""}, couchdrop.ArgumentError),
            ({"password": ""}, couchdrop.ArgumentError),
            ({"password": "a\0"}, couchdrop.ArgumentError),
            ({"password": b"a"}, TypeError),
            ({"system": 1}, TypeError),
            ({"max_age": 0}, couchdrop.ArgumentError),
            ({"max_age": -1}, couchdrop.ArgumentError),
            ({"max_age": float("nan")}, couchdrop.ArgumentError),
            ({"max_age": 2**32}, couchdrop.ArgumentError),
            ({"max_age": "60"}, TypeError),
            ({"max_age": True}, TypeError),
            ({"min_age": -0.5}, couchdrop.ArgumentError),
            ({"min_age": None}, TypeError),
            ({"min_age": float("inf")}, couchdrop.ArgumentError),
        ]:
            with self.subTest(options), self.assertRaises(expected):
                self.session(**options)
        self.session(max_age=2**32 - 1, min_age=0)
        session = self.session()
        for timeout in (0, float("nan"), 3601):
            with self.assertRaises(couchdrop.ArgumentError):
                session.token(timeout=timeout)
            with self.assertRaises(couchdrop.ArgumentError):
                asyncio.run(session.token_async(timeout=timeout))

    def test_session_of_a_closed_client_is_refused(self):
        session = self.session()
        session.token()
        self.client.close()
        for use in (session.token, session.peek, self.session):
            with self.assertRaisesRegex(RuntimeError, "this couchdrop.Client is closed"):
                use()
        # The session keeps the options, which its end frees.
        self.assertIsNotNone(self.client._options.handle.value)
        session.close()
        self.assertIsNone(self.client._options.handle.value)

    def test_session_cannot_be_copied_and_shows_no_secret(self):
        session = self.session()
        session.token()
        for way in (copy.copy, copy.deepcopy, pickle.dumps):
            for thing in (session, session._shared, session._shared.handle):
                with self.assertRaisesRegex(TypeError, "can't be pickled or copied"):
                    way(thing)
        shown = f"{session!r} {session} {vars(session)}"
        self.assertNotIn(PASSWORD, shown)
        self.assertNotIn(session.token().value, shown)


class Waiters(logging.Handler):
    """Counts the calls that wait for the login of another one, by their messages."""

    def __init__(self):
        super().__init__()
        self._changed = threading.Condition()
        self._count = 0

    def emit(self, record):
        with self._changed:
            self._count += "waiting for the login of another call" in record.getMessage()
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, support.SOON):
                raise AssertionError(f"only {self._count} of {count} calls wait")


class Waiting(unittest.TestCase):
    """Calls that wait for a server that never responds."""

    def setUp(self):
        self.silent = Silent()
        self.addCleanup(self.silent.__exit__)
        self.waiters = Waiters()
        logger = logging.Logger("couchdrop-test", logging.DEBUG)
        logger.addHandler(self.waiters)
        self.client = couchdrop.Client(base_url=self.silent.base_url, logger=logger)
        self.addCleanup(self.client.close)
        self.session = couchdrop.Session("ada", PASSWORD, client=self.client)
        self.addCleanup(self.session.close)

    def start(self, count):
        """Starts threads that wait for a token, and returns them with the list of their exceptions."""
        raised = []

        def run():
            try:
                self.session.token()
            except Exception as error:
                raised.append(error)

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        self.silent.wait_for_requests(1)
        self.waiters.wait_for(count - 1)
        return threads, raised

    def test_timeout_ends_the_wait(self):
        with self.assertRaises(couchdrop.Timeout) as caught:
            self.session.token(timeout=0.2)
        self.assertEqual(caught.exception.attempts, 1)

    def test_ctrl_c_ends_the_wait(self):
        self.silent.on_request = interrupt
        with self.assertRaises(KeyboardInterrupt):
            self.session.token()

    def test_ctrl_c_ends_the_wait_for_another_login(self):
        self.start(1)

        def interrupt_wait():
            self.waiters.wait_for(1)
            interrupt()

        thread = threading.Thread(target=interrupt_wait)
        with self.assertRaises(KeyboardInterrupt):
            thread.start()
            self.session.token()
        thread.join()

    def test_close_cancels_calls_and_waits_for_them(self):
        threads, raised = self.start(10)
        self.session.close()
        # The handle is freed, so no call uses it.
        self.assertIsNone(self.session._shared.handle.value)
        for thread in threads:
            thread.join(support.SOON)
        self.assertEqual(list(map(type, raised)), [couchdrop.Cancelled] * 10)
        self.silent.wait_until_alone()
        for use in (self.session.token, self.session.peek, self.session.__enter__):
            with self.assertRaisesRegex(RuntimeError, "this couchdrop.Session is closed"):
                use()
        self.session.close()

    def test_close_in_a_signal_handler_ends_the_interrupted_call(self):
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        signal.signal(signal.SIGUSR1, lambda *_: self.session.close())
        self.silent.on_request = lambda: interrupt(signal.SIGUSR1)
        with self.assertRaises(couchdrop.Cancelled):
            self.session.token()
        self.assertIsNone(self.session._shared.handle.value)

    def test_close_cancels_waiting_tasks(self):
        async def run():
            # More than there are threads.
            tasks = [asyncio.ensure_future(self.session.token_async()) for _ in range(100)]
            await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_for_requests, 1)
            self.session.close()
            return await asyncio.gather(*tasks, return_exceptions=True)

        outcomes = asyncio.run(run())
        self.assertEqual({type(outcome) for outcome in outcomes}, {couchdrop.Cancelled})

    def test_waiting_tasks_do_not_delay_another_session(self):
        async def run():
            # More than there are threads.
            tasks = [asyncio.ensure_future(self.session.token_async()) for _ in range(100)]
            await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_for_requests, 1)
            with couchdrop.Session("bob", PASSWORD, client=self.client) as other:
                task = asyncio.ensure_future(other.token_async())
                await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_for_requests, 2)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            self.session.close()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(run())

    def test_waiting_task_does_not_block_the_loop(self):
        async def run():
            task = asyncio.ensure_future(self.session.token_async(timeout=0.3))
            turns = 0
            while not task.done():
                await asyncio.sleep(0)
                turns += 1
            self.assertIsInstance(task.exception(), couchdrop.Timeout)
            return turns

        self.assertGreater(asyncio.run(run()), 50)

    def test_cancelled_task_hands_its_login_over(self):
        async def run():
            wait = asyncio.get_running_loop().run_in_executor
            tasks = [asyncio.ensure_future(self.session.token_async())]
            await wait(None, self.silent.wait_for_requests, 1)
            tasks.append(asyncio.ensure_future(self.session.token_async()))
            await asyncio.sleep(0)
            tasks[0].cancel()
            await wait(None, self.silent.wait_for_requests, 2)
            self.assertFalse(tasks[1].done())
            tasks[1].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        for outcome in asyncio.run(run()):
            self.assertIsInstance(outcome, asyncio.CancelledError)

    def test_exit_stops_waiting_threads(self):
        program = """
            import couchdrop, sys, threading

            client = couchdrop.Client(base_url=sys.argv[1])
            session = couchdrop.Session("ada", "secret", client=client)

            def run():
                # Python itself aborts if a daemon thread prints a traceback while the interpreter ends.
                try:
                    session.token()
                except couchdrop.Cancelled:
                    pass

            for _ in range(4):
                threading.Thread(target=run, daemon=True).start()
            sys.stdin.readline()
        """
        process = support.start_python(program, self.silent.base_url)
        self.silent.wait_for_requests(1)
        process.communicate("\n", timeout=support.SOON)
        self.assertEqual(process.returncode, 0)


@unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
class Fork(WithServer):
    def in_child(self, work):
        """Runs a function in a child of fork, and returns its exit status."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_child_begins_with_the_parents_token(self):
        session = self.session()
        token = session.token()

        def work():
            assert session.token() == token
            session.close()

        self.assertEqual(self.in_child(work), 0)
        self.assertEqual(session.token(), token)
        self.assert_logins(1)

    def test_close_in_a_child_leaves_the_parents_calls(self):
        with Silent() as silent, couchdrop.Client(base_url=silent.base_url, timeout=2) as client:
            session = couchdrop.Session("ada", PASSWORD, client=client)
            raised = []

            def run():
                try:
                    session.token()
                except couchdrop.CouchdropError as error:
                    raised.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            silent.wait_for_requests(1)
            self.assertEqual(self.in_child(session.close), 0)
            thread.join(support.SOON)
            self.assertEqual(list(map(type, raised)), [couchdrop.Timeout])
            session.close()


class Garbage(WithServer):
    def test_session_is_freed_before_its_options(self):
        """Also if both are in one garbage cycle, whose objects are finalized in any order."""
        from couchdrop import _abi

        finalized = []

        class Last:
            def __del__(self):
                finalized.append((_abi.is_finalized(self.options), _abi.is_finalized(self.session)))

        for _ in range(10):
            client = couchdrop.Client(base_url=self.server.url)
            session = couchdrop.Session("ada@example.com", PASSWORD, client=client)
            last = Last()
            last.options, last.session = client._options.handle, session._shared.handle
            last.itself = last
            session.itself = last
            last.owner = session
            del client, session, last
            gc.collect()
        self.assertEqual(len(finalized), 10)
        if not support.PYPY:
            # The session was finalized in this collection, and the options after it.
            self.assertEqual(set(finalized), {(False, True)})

    def test_finalizer_may_use_a_session(self):
        ends = []

        class InCycle:
            def __del__(self):
                try:
                    ends.append(self.session.token().value)
                except RuntimeError as error:
                    ends.append(str(error))

        for _ in range(5):
            thing = InCycle()
            client = couchdrop.Client(base_url=self.server.url)
            thing.session = couchdrop.Session("ada@example.com", PASSWORD, client=client)
            thing.itself = thing
            del thing, client
            support.collect_garbage()
        self.assertEqual(len(ends), 5)


if __name__ == "__main__":
    unittest.main()
