"""Threads, fork, and the exit of the interpreter."""

import asyncio
import gc
import os
import signal
import socket
import threading
import traceback
import unittest

import support
from support import PASSWORD, Recorder, Silent, couchdrop


class Threads(unittest.TestCase):
    def test_client_serves_many_threads(self):
        tokens = []
        with couchdrop.Client(**support.fake_server_options()) as client:

            def log_in():
                for _ in range(5):
                    tokens.append(client.authenticate("ada@example.com", PASSWORD).value)

            threads = [threading.Thread(target=log_in) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(set(tokens)), 80)

    def test_closed_clients_leave_no_descriptor(self):
        with Recorder() as recorder:

            def log_in():
                client = couchdrop.Client(base_url=recorder.base_url)
                client.authenticate("ada", PASSWORD)
                client.close()
                couchdrop.authenticate("ada", PASSWORD, base_url=recorder.base_url)
                asyncio.run(couchdrop.authenticate_async("ada", PASSWORD, base_url=recorder.base_url))

            def own_descriptors():
                # The server may close its end of a connection later.
                peer = int(recorder.base_url.rpartition(":")[2])
                count = 0
                for number in os.listdir("/proc/self/fd"):
                    try:
                        with socket.socket(fileno=os.dup(int(number))) as found:
                            count += found.getpeername()[1] == peer
                    except OSError:
                        pass
                return count

            gc.disable()
            self.addCleanup(gc.enable)
            for _ in range(20):
                log_in()
            self.assertEqual(own_descriptors(), 0)

    def test_client_closed_by_another_thread_frees_once(self):
        """The last of the calls and threads that use the handle frees it, and frees it only once."""
        with Recorder() as recorder:
            for _ in range(30):
                client = couchdrop.Client(base_url=recorder.base_url)
                start = threading.Barrier(6)

                def log_in(client=client, start=start):
                    start.wait()
                    try:
                        client.authenticate("ada", PASSWORD)
                    except RuntimeError as error:
                        self.assertIn("closed", str(error))

                def close(client=client, start=start):
                    start.wait()
                    client.close()

                threads = [threading.Thread(target=work) for work in [log_in] * 4 + [close] * 2]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertIsNone(client._options.handle.value)

    def test_close_lets_running_logins_finish(self):
        caught = []
        with Silent() as silent:
            client = couchdrop.Client(base_url=silent.base_url, timeout=0.5)

            def log_in():
                try:
                    client.authenticate("ada", PASSWORD)
                except couchdrop.Timeout as error:
                    caught.append(error)

            thread = threading.Thread(target=log_in)
            thread.start()
            silent.wait_for_requests(1)
            client.close()
            thread.join()
        self.assertEqual(len(caught), 1)


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
class Fork(unittest.TestCase):
    def in_child(self, work):
        child = os.fork()
        if child == 0:
            # A child does not inherit alarms: its own alarm ends it if it hangs.
            signal.alarm(int(support.SOON))
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)

    def test_child_logs_in_with_its_parents_client(self):
        with couchdrop.Client(**support.fake_server_options()) as client:
            client.authenticate("ada@example.com", PASSWORD)
            self.in_child(lambda: client.authenticate("ada@example.com", PASSWORD))
            # The parent's connection still works.
            client.authenticate("ada@example.com", PASSWORD)

    def test_fork_while_threads_log_in_succeeds(self):
        with Silent() as silent, Recorder() as recorder:
            options = {"base_url": silent.base_url}
            with couchdrop.Client(**options) as busy, couchdrop.Client(base_url=recorder.base_url) as client:
                threads = [
                    threading.Thread(target=self.runs_out, args=(busy,), daemon=True) for _ in range(4)
                ]
                for thread in threads:
                    thread.start()
                silent.wait_for_requests(4)

                def log_in():
                    client.authenticate("ada", PASSWORD)
                    # Another thread of the child can log in too. Calls on such threads are tracked.
                    thread = threading.Thread(target=client.authenticate, args=("ada", PASSWORD))
                    thread.start()
                    thread.join()
                    asyncio.run(client.authenticate_async("ada", PASSWORD))

                for _ in range(5):
                    self.in_child(log_in)
                for thread in threads:
                    thread.join()
            self.assertEqual(len(recorder.requests), 15)

    def runs_out(self, client):
        with self.assertRaises(couchdrop.Timeout):
            client.authenticate("ada", PASSWORD, timeout=1)

    def test_fork_while_tasks_log_in_succeeds(self):
        async def log_in(client):
            await client.authenticate_async("ada@example.com", PASSWORD)

        with couchdrop.Client(**support.fake_server_options()) as client:
            asyncio.run(log_in(client))
            self.in_child(lambda: asyncio.run(log_in(client)))
            asyncio.run(log_in(client))


END_WITH_LOGINS_UNDER_WAY = """
    import asyncio, logging, sys, threading
    import couchdrop

    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    client = couchdrop.Client(base_url=sys.argv[1], logger=logging.getLogger("login"))

    def log_in():
        # It logs lines until the last moment.
        while True:
            try:
                client.authenticate("ada", "secret")
            except couchdrop.Cancelled:
                pass

    for _ in range(8):
        threading.Thread(target=log_in, daemon=True).start()

    async def log_in_together():
        logins = [client.authenticate_async("ada", "secret") for _ in range(8)]
        await asyncio.gather(*logins, return_exceptions=True)

    threading.Thread(target=asyncio.run, args=(log_in_together(),), daemon=True).start()
    sys.stdin.readline()
"""

LOG_IN_AT_EXIT = """
    import atexit, sys

    # Runs after couchdrop's hook: last in, first out.
    atexit.register(lambda: print(len(client.authenticate("ada", "secret").value)))

    import couchdrop
    client = couchdrop.Client(base_url=sys.argv[1])
"""

TOO_LATE = """
    import atexit, sys, threading

    # Runs after couchdrop's hook, on a thread that was there before.
    go, done = threading.Event(), threading.Event()

    def log_in():
        go.wait()
        try:
            client.authenticate("ada", "secret")
        except couchdrop.Cancelled as error:
            print(error.code_name)
        done.set()

    threading.Thread(target=log_in, daemon=True).start()
    atexit.register(lambda: (go.set(), done.wait()))

    import couchdrop
    client = couchdrop.Client(base_url=sys.argv[1])
"""


JOINED = """
    import concurrent.futures, sys, threading
    import couchdrop

    client = couchdrop.Client(base_url=sys.argv[1], timeout=1)

    def log_in():
        try:
            client.authenticate("ada", "secret")
        except couchdrop.CouchdropError as error:
            # In one, as both may write at the same moment.
            sys.stdout.write(error.code_name + "\\n")

    threading.Thread(target=log_in).start()
    concurrent.futures.ThreadPoolExecutor().submit(log_in)
"""


class End(unittest.TestCase):
    def test_exit_during_logins_with_a_logger_is_clean(self):
        for _ in range(5):
            with Silent() as silent:
                program = support.start_python(END_WITH_LOGINS_UNDER_WAY, silent.base_url)
                silent.wait_for_requests(16)
                _, errors = program.communicate("\n", timeout=support.SOON)
                self.assertEqual((program.returncode, errors), (0, ""))

    def test_exit_waits_for_logins_of_non_daemon_threads(self):
        with Silent() as silent:
            done = support.run_python(JOINED, silent.base_url)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "CD_ERR_TIMEOUT\n" * 2, ""))

    def test_login_at_exit_in_the_main_thread_succeeds(self):
        with Recorder() as recorder:
            done = support.run_python(LOG_IN_AT_EXIT, recorder.base_url)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "36\n", ""))

    def test_login_on_a_thread_after_shutdown_is_refused(self):
        with Recorder() as recorder:
            done = support.run_python(TOO_LATE, recorder.base_url)
            self.assertEqual(recorder.requests, [])
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "CD_ERR_CANCELLED\n", ""))


if __name__ == "__main__":
    unittest.main()
