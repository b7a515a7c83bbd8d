"""Logins for asyncio: an executor with at most 64 threads.

A login without a free thread is queued, and the wait counts against its timeout. The executors of
`concurrent.futures` do not fit: Python joins their threads at exit before an exit handler could stop a login.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from typing import Any, Callable, Protocol

from ._errors import ResourcesError, Timeout
from ._token import Token

MAX_THREADS = 64
# A thread exits after this time without work.
IDLE_SECONDS = 5.0


class Login(Protocol):
    """A call that returns a token. Either `run` or `abandon` ends it."""

    def run(self, timeout: float) -> Token: ...

    def stop(self) -> None: ...

    def abandon(self) -> None: ...


class Executor:
    """Runs logins on threads that it starts as needed, and ends when they are idle."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        # In order of arrival. Removing a job is atomic and needs no lock: the garbage collector may close a
        # coroutine, which withdraws its job, on a thread that holds the lock.
        self._queue: OrderedDict[_Job, bool] = OrderedDict()
        self._threads = 0
        self._idle = 0

    async def run(self, login: Login, timeout: float) -> Token:
        """Runs a login on one of the threads, within `timeout`, which includes the wait in the queue.

        Stops it when the task is cancelled.
        """
        loop = asyncio.get_running_loop()
        job = _Job(login, loop, timeout)
        expiry = loop.call_later(timeout, self._expire, job)
        try:
            self._submit(job)
            return await job.future
        except BaseException:
            self._withdraw(job)
            login.stop()
            raise
        finally:
            expiry.cancel()
            # The traceback of its exception refers to this frame.
            del job

    def _submit(self, job: _Job) -> None:
        with self._changed:
            self._queue[job] = True
            if len(self._queue) > self._idle and self._threads < MAX_THREADS:
                self._start_thread()
            else:
                self._changed.notify()

    def _start_thread(self) -> None:
        self._threads += 1
        try:
            # A daemon: at exit Python joins other threads before an exit handler could stop their calls.
            threading.Thread(target=self._serve, name="couchdrop-login", daemon=True).start()
        except BaseException as error:
            self._threads -= 1
            if not isinstance(error, RuntimeError):
                raise
            if self._threads == 0:
                raise ResourcesError(f"No thread could be started for a login: {error}.") from None

    def _withdraw(self, job: _Job) -> bool:
        """Removes a job from the queue. Returns False if a thread has already taken it."""
        waiting = self._queue.pop(job, False)
        if waiting:
            job.login.abandon()
        return waiting

    def _expire(self, job: _Job) -> None:
        if self._withdraw(job):
            job.expire()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._queue, IDLE_SECONDS)
                self._idle -= 1
                if not self._queue:
                    self._threads -= 1
                    return
                try:
                    job, _ = self._queue.popitem(last=False)
                except KeyError:
                    # The job was withdrawn in the meantime.
                    continue
            job.run()
            del job


class _Job:
    """A login that waits for a thread and then passes its result to the event loop."""

    def __init__(self, login: Login, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self.login = login
        self.future: asyncio.Future[Token] = loop.create_future()
        self._loop = loop
        self._deadline = time.monotonic() + timeout

    def run(self) -> None:
        if self.future.done():
            # It was cancelled, but its task has not run since.
            self.login.abandon()
            return
        try:
            # At least 1 ms, because 0 would mean the options' timeout. A job that is still queued at its
            # deadline fails in `expire`.
            token = self.login.run(max(self._deadline - time.monotonic(), 0.001))
        except BaseException as error:
            self._complete(self.future.set_exception, error)
        else:
            self._complete(self.future.set_result, token)

    def expire(self) -> None:
        if not self.future.done():
            self.future.set_exception(Timeout("The time was over before a thread was free for this login."))

    def _complete(self, set_outcome: Callable[[Any], None], outcome: object) -> None:
        def complete() -> None:
            if not self.future.done():
                set_outcome(outcome)

        try:
            self._loop.call_soon_threadsafe(complete)
        except RuntimeError:
            # The loop is closed, so no task waits for the result.
            pass
