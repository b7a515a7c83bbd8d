"""The garbage collector finalizes a cycle in any order, on any thread, at any time. The package must not use
an object of the library after it was freed, and must not wait for a lock that the same thread holds."""

import asyncio
import copy
import gc
import pickle
import traceback
import unittest

import support
from support import PASSWORD, Recorder, Silent, couchdrop

from couchdrop._arguments import Text


class InCycle:
    """An object whose finalizer uses another object in the same garbage cycle."""

    ends = []

    def __init__(self, held, use):
        self.held, self.use, self.itself = held, use, self

    def __del__(self):
        try:
            InCycle.ends.append(self.use(self.held))
        except Exception as error:
            InCycle.ends.append(error)


class Cycles(unittest.TestCase):
    def collect(self):
        InCycle.ends.clear()
        gc.collect()
        return InCycle.ends

    def test_finalizer_may_use_a_token(self):
        with couchdrop.Client(**support.fake_server_options()) as client:
            for use in (lambda token: token.value, lambda token: token == token, couchdrop.Token.headers):
                InCycle(client.authenticate("ada@example.com", PASSWORD), use)
                (end,) = self.collect()
                # The result depends on the order: before or after the token was wiped.
                self.assertIsInstance(end, (str, bool, dict, ValueError))

    def test_finalizer_may_use_a_client(self):
        def log_in(client):
            return client.authenticate("ada@example.com", PASSWORD).value

        for _ in range(5):
            InCycle(couchdrop.Client(**support.fake_server_options()), log_in)
            (end,) = self.collect()
            self.assertIsInstance(end, (str, RuntimeError))

    def test_login_abandoned_with_its_loop_is_collected(self):
        async def begin(client):
            task = asyncio.ensure_future(client.authenticate_async("ada", PASSWORD))
            # Moves the present objects to an older generation than those that the task creates.
            gc.collect(0)
            await asyncio.sleep(0)
            del task

        with Silent() as silent, couchdrop.Client(base_url=silent.base_url, max_retries=0) as client:
            for _ in range(10):
                loop = asyncio.new_event_loop()
                loop.set_exception_handler(lambda *_: None)
                loop.run_until_complete(begin(client))
                loop.close()
                del loop
                gc.collect()

    def test_job_withdrawal_with_the_lock_held_returns(self):
        program = """
            import faulthandler
            from couchdrop._executor import Executor

            faulthandler.dump_traceback_later(8, exit=True)
            executor = Executor()
            with executor._changed:
                executor._withdraw(object())
        """
        done = support.run_python(program)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_call_during_shutdown_is_refused(self):
        from couchdrop import _call, _client, _shutdown

        calls = _shutdown._Calls()
        options = _client.SharedOptions()
        first, second = (_call.Call(options, None) for _ in range(2))
        self.addCleanup(first.end)
        self.addCleanup(second.end)
        calls.enter(first)
        calls.leave(first)
        calls.end()
        with self.assertRaises(couchdrop.Cancelled):
            calls.enter(second)
        self.assertEqual(calls._under_way, {})

    def test_client_is_not_copyable(self):
        with couchdrop.Client(base_url="http://127.0.0.1:1") as client:
            for way in (copy.copy, copy.deepcopy, pickle.dumps):
                for thing in (client, client._options, client._options.handle):
                    with self.assertRaisesRegex(TypeError, "can't be pickled or copied"):
                        way(thing)


class Wiped(unittest.TestCase):
    def test_password_of_a_refused_call_is_wiped(self):
        closed = couchdrop.Client()
        closed.close()
        client = couchdrop.Client(base_url="http://127.0.0.1:1", max_retries=0)
        refused = [
            lambda: client.authenticate("ada", PASSWORD),
            lambda: client.authenticate("ada", PASSWORD, system="\0"),
            lambda: client.authenticate(None, PASSWORD),
            lambda: client.authenticate("ada", PASSWORD, timeout=float("nan")),
            lambda: closed.authenticate("ada", PASSWORD),
            lambda: couchdrop.authenticate("ada", PASSWORD, base_url="http://example.com"),
            lambda: couchdrop.Session("ada", PASSWORD, client=closed),
            lambda: couchdrop.Session("ada", PASSWORD, max_age=0),
            lambda: couchdrop.Session("ada\0", PASSWORD),
            lambda: couchdrop.Session("", PASSWORD),
            lambda: couchdrop.authenticate("ada", PASSWORD, no_such_option=1),
            lambda: couchdrop.Client(proxy=f"http://ada:{PASSWORD}@127.0.0.1:1", timeout=0),
            lambda: asyncio.run(client.authenticate_async("ada", PASSWORD, timeout=0)),
            lambda: asyncio.run(client.authenticate_async("ada", PASSWORD, system="\0")),
            lambda: asyncio.run(couchdrop.authenticate_async("ada", PASSWORD, base_url="x")),
        ]
        for number, call in enumerate(refused):
            with self.subTest(number):
                try:
                    call()
                    self.fail("it succeeded")
                except (couchdrop.CouchdropError, TypeError, RuntimeError) as error:
                    for frame, _ in traceback.walk_tb(error.__traceback__):
                        if frame.f_code.co_filename.startswith(support.PACKAGE + "/couchdrop"):
                            self.assert_no_password(frame.f_locals)

    def assert_no_password(self, names):
        for name, value in names.items():
            slots = ("_password", "_credentials", "_problem")
            texts = [value, *(getattr(value, slot, None) for slot in slots)]
            texts += [getattr(text, "_password", None) for text in texts]
            for text in texts:
                # In PyPy every ctypes object has a _buffer too.
                buffer = text._buffer if isinstance(text, Text) else None
                if buffer is not None:
                    self.assertNotIn(PASSWORD.encode(), buffer.raw, name)
                if isinstance(text, (str, dict)):
                    self.assertNotIn(PASSWORD, repr(text), name)

    def test_str_subclass_cannot_hide_a_nul(self):
        class Liar(str):
            def __contains__(self, _):
                return False

        with Recorder(b'{"token":"t"}') as recorder:
            with self.assertRaises(couchdrop.ArgumentError):
                couchdrop.authenticate("ada", Liar(PASSWORD + "\0more"), base_url=recorder.base_url)


class Beginnings(unittest.TestCase):
    def test_shutdown_waits_for_foreign_threads(self):
        program = """
            import _thread, sys, couchdrop

            assert "threading" not in sys.modules
            client = couchdrop.Client(base_url=sys.argv[1], timeout=8)

            def run():
                try:
                    client.authenticate("ada", "secret")
                except couchdrop.Cancelled:
                    print("cancelled")

            for _ in range(4):
                _thread.start_new_thread(run, ())
            sys.stdin.readline()
        """
        with Silent() as silent:
            # -S, because a .pth file of another package may import threading at startup.
            process = support.start_python(program, silent.base_url, flags=["-S"])
            silent.wait_for_requests(4)
            process.communicate("\n", timeout=support.SOON)
            self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
