"""Logins from asyncio: cancellation, the limit of threads, the wait in the queue."""

import asyncio
import gc
import threading
import time
import unittest

import support
from support import PASSWORD, Recorder, Silent, couchdrop

MAX_THREADS = 64


def login_threads():
    return [thread for thread in threading.enumerate() if thread.name == "couchdrop-login"]


class Asyncio(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.silent = Silent()
        self.addCleanup(self.silent.__exit__)

    async def asyncSetUp(self):
        # The loop is in debug mode, which otherwise logs each delay on a busy machine.
        asyncio.get_running_loop().slow_callback_duration = support.SOON

    async def arrived(self, count):
        await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_for_requests, count)

    def start(self, client, count, **options):
        return [
            asyncio.ensure_future(client.authenticate_async(f"user{number}", PASSWORD, **options))
            for number in range(count)
        ]

    async def test_client_and_function_log_in(self):
        options = support.fake_server_options()
        with couchdrop.Client(**options) as client:
            first = await client.authenticate_async("ada@example.com", PASSWORD)
            second = await couchdrop.authenticate_async("ada@example.com", PASSWORD, **options)
        self.assertNotEqual(first, second)
        self.assertEqual(len(first.value), 36)

    async def test_refused_login_raises(self):
        with self.assertRaises(couchdrop.AccessDenied) as caught:
            await couchdrop.authenticate_async(
                "ada@example.com", "not my password", **support.fake_server_options()
            )
        self.assertEqual(caught.exception.attempts, 1)

    async def test_invalid_arguments_raise(self):
        for password, timeout, expected in [
            ("a\0b", 1, couchdrop.ArgumentError),
            (b"a", 1, TypeError),
            ("a", float("nan"), couchdrop.ArgumentError),
            ("", 1, couchdrop.ArgumentError),
        ]:
            with self.subTest(expected), self.assertRaises(expected):
                await couchdrop.authenticate_async("ada", password, timeout=timeout)

    async def test_login_does_not_block_the_loop(self):
        with couchdrop.Client(base_url=self.silent.base_url) as client:
            (task,) = self.start(client, 1, timeout=0.3)
            turns = 0
            while not task.done():
                await asyncio.sleep(0)
                turns += 1
            self.assertIsInstance(task.exception(), couchdrop.Timeout)
        self.assertGreater(turns, 50)

    async def test_cancelled_task_stops_its_login(self):
        with couchdrop.Client(base_url=self.silent.base_url) as client:
            (task,) = self.start(client, 1)
            await self.arrived(1)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            # The connection closes too, long before the timeout of the login.
            await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_until_alone)

    async def test_wait_for_timeout_stops_the_login(self):
        with couchdrop.Client(base_url=self.silent.base_url) as client:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(client.authenticate_async("ada", PASSWORD), 0.1)
            await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_until_alone)

    async def test_200_logins_take_at_most_64_threads(self):
        with couchdrop.Client(base_url=self.silent.base_url) as client:
            before = len(login_threads())
            tasks = self.start(client, 200)
            await self.arrived(MAX_THREADS)
            self.assertLessEqual(len(login_threads()) - before, MAX_THREADS)
            started = time.monotonic()
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self.assertLess(time.monotonic() - started, 2.0)
            self.assertTrue(all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes))
            await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_until_alone)
            self.assertEqual(self.silent.requests, MAX_THREADS)

    async def test_function_with_options_has_bounded_threads(self):
        before = len(login_threads())
        tasks = [
            asyncio.ensure_future(
                couchdrop.authenticate_async("ada", PASSWORD, base_url=self.silent.base_url)
            )
            for _ in range(MAX_THREADS + 10)
        ]
        await self.arrived(MAX_THREADS)
        self.assertLessEqual(len(login_threads()) - before, MAX_THREADS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.assertEqual(self.silent.requests, MAX_THREADS)

    async def test_200_logins_succeed_in_turn(self):
        with Recorder() as recorder, couchdrop.Client(base_url=recorder.base_url) as client:
            # One account, because a connection is reused only for the account that used it.
            logins = [client.authenticate_async("ada", PASSWORD) for _ in range(200)]
            tokens = await asyncio.gather(*logins)
            self.assertEqual(len(tokens), 200)
            self.assertLessEqual(recorder.connections, MAX_THREADS)

    async def test_queue_time_counts_against_the_timeout(self):
        with couchdrop.Client(base_url=self.silent.base_url) as client:
            tasks = self.start(client, MAX_THREADS)
            await self.arrived(MAX_THREADS)
            started = time.monotonic()
            with self.assertRaises(couchdrop.Timeout) as caught:
                await client.authenticate_async("late", PASSWORD, timeout=0.2)
            self.assertLess(time.monotonic() - started, 2.0)
            self.assertEqual(caught.exception.attempts, 0)
            self.assertIn("thread", str(caught.exception))
            # Another client has its own threads, so an unresponsive host does not block its logins.
            await couchdrop.authenticate_async("ada@example.com", PASSWORD, **support.fake_server_options())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def test_login_cancelled_in_the_queue_is_not_sent(self):
        with couchdrop.Client(base_url=self.silent.base_url) as client:
            first = self.start(client, MAX_THREADS)
            await self.arrived(MAX_THREADS)
            (waiting,) = self.start(client, 1)
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            for task in first:
                task.cancel()
            await asyncio.gather(*first, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(None, self.silent.wait_until_alone)
            self.assertEqual(self.silent.accepted, MAX_THREADS)

    @unittest.skipIf(support.PYPY, "PyPy frees by collection alone")
    async def test_failed_login_leaves_no_reference_cycle(self):
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        freed = threading.Event()

        class Watched(str):
            def __del__(self):
                freed.set()

        with self.assertRaises(couchdrop.AccessDenied):
            await couchdrop.authenticate_async(Watched("nobody"), PASSWORD, **support.fake_server_options())
        self.assertTrue(freed.is_set())


class Loops(unittest.TestCase):
    def test_client_works_with_consecutive_loops(self):
        with couchdrop.Client(**support.fake_server_options()) as client:
            tokens = [asyncio.run(client.authenticate_async("ada@example.com", PASSWORD)) for _ in range(3)]
        self.assertEqual(len({token.value for token in tokens}), 3)

    def test_login_ends_after_its_loop_is_closed(self):
        with Silent() as silent, couchdrop.Client(base_url=silent.base_url) as client:

            async def leave():
                asyncio.ensure_future(client.authenticate_async("ada", PASSWORD))
                await asyncio.get_running_loop().run_in_executor(None, silent.wait_for_requests, 1)

            asyncio.run(leave())
            silent.wait_until_alone()

    def test_idle_threads_end(self):
        from couchdrop import _executor

        idle, _executor.IDLE_SECONDS = _executor.IDLE_SECONDS, 0.05
        try:
            with couchdrop.Client(**support.fake_server_options()) as client:
                before = set(login_threads())
                asyncio.run(client.authenticate_async("ada@example.com", PASSWORD))
                for thread in set(login_threads()) - before:
                    thread.join(support.SOON)
                    self.assertFalse(thread.is_alive())
                # The next login starts another thread.
                asyncio.run(client.authenticate_async("ada@example.com", PASSWORD))
        finally:
            _executor.IDLE_SECONDS = idle


if __name__ == "__main__":
    unittest.main()
