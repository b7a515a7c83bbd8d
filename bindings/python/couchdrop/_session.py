"""Stays logged in: `Session` keeps the current token of an account, and logs in when a new one is needed."""

from __future__ import annotations

import os
from _thread import allocate_lock, get_ident
from _weakref import ref
from ctypes import byref

from . import _abi, _client
from ._abi import Error, SharedHandle, library
from ._arguments import Credentials, Text, age
from ._call import Call, closed
from ._errors import exception_from
from ._token import Token, token_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from typing_extensions import Self

    from ._client import Client, SharedOptions

# Looked up once: a current token is to cost a few microseconds.
_peek = library.cd_session_peek

# Keeps the options reachable until the handle of their session is finalized: the garbage collector would
# finalize both in any order. An entry is removed by C code: see `_abi._finalizer`.
_options_of: dict[ref[_abi.Session], _abi.Options] = {}


def _closed() -> RuntimeError:
    return RuntimeError("this couchdrop.Session is closed")


class Session:
    """Keeps one account logged in, for any number of threads and tasks.

        with couchdrop.Session("ada@example.com", password) as session:
            requests.post(url, headers=session.token().headers(), allow_redirects=False)

    It logs in when a token is first needed, when the token is older than `max_age`, and when the service has
    rejected the token. Only one login runs at a time: other callers wait for its result.

    After a status of 401 or 403 for a login, calls raise the same error for 60 s and send nothing, so that
    workers with a wrong password do not lock the account. After 429 or 503 with ``Retry-After`` no login is
    sent before that time. A child of fork begins with the parent's token.

    Args:
        client: logs in with its options and its timeout; close it after the session. None = the client of
            `couchdrop.authenticate`.
        system: the name of the program or system that logs in.
        max_age: replace a token that is older than this time in seconds, rounded up. None = no limit.
        min_age: return a rejected token again if it is younger than this time in seconds, rounded up. Such a
            refusal is about a permission.

    Raises:
        ArgumentError: an argument is invalid.
        ProxyError, TLSError: a variable of the environment can't be used.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        client: Client | None = None,
        system: str | None = None,
        max_age: float | None = None,
        min_age: float = 60,
    ) -> None:
        credentials = Credentials(username, password, system)
        del password
        try:
            credentials.check()
            oldest = 0 if max_age is None else age("max_age", max_age, 1)
            youngest = age("min_age", min_age, 0)
            self._client = _client._shared if client is None else client
            self._shared = _SharedSession(self._client._options, credentials)
            # Its own: calls that wait for this account do not delay those of another.
            self._executors = _client.Executors()
        finally:
            credentials.wipe()
        self._shared.set_ages(oldest, youngest)

    def token(self, rejected: Token | str | None = None, timeout: float | None = None) -> Token:
        """Returns the current token, after a login if necessary. In the main thread Ctrl-C stops the wait.

        Without a login it takes a few microseconds. Each call returns an object of its own, for the caller to
        wipe.

        Args:
            rejected: the token that the service has just refused in another request, with 401 or 403. If the
                same token is returned, the refusal is about a permission: do not repeat the request.
            timeout: the time limit of this call in seconds; None = the client's.

        Raises:
            AccessDenied, TwoFactorRequired, RateLimited, ...: all are a CouchdropError. `attempts` is 0 if
                this call sent nothing.
            Cancelled: the session was closed during the call.
            RuntimeError: the session or its client is closed.
        """
        limit = self._client._seconds(timeout)
        refused = _refused(rejected)
        del rejected
        return self._current(refused) or self._begin(refused).run(limit)

    async def token_async(self, rejected: Token | str | None = None, timeout: float | None = None) -> Token:
        """Returns the token as `token` does, without blocking the event loop of asyncio.

        Cancelling the task ends its wait. A login that it performs is then left to another waiting call.
        """
        limit = self._client._seconds(timeout)
        refused = _refused(rejected)
        del rejected
        token = self._current(refused)
        if token is not None:
            return token
        return await self._executors.own().run(self._begin(refused), limit)

    def peek(self) -> Token | None:
        """Returns the current token, or None if `token` would log in or wait. Never blocks."""
        return self._current(None)

    def close(self) -> None:
        """Wipes the credentials and the token. Cancels calls in progress, and waits until they have returned.

        Does not wait for a call on the same thread, which a signal handler or a logger can interrupt. May be
        called again.
        """
        self._shared.close()
        calls = self._shared.calls()
        for call in calls:
            call.stop()
        for call in calls:
            call.wait()

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a Session can't be pickled or copied: make one of your own in each process")

    def __enter__(self) -> Self:
        if self._shared.is_closed:
            raise _closed()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _current(self, rejected: Text | None) -> Token | None:
        """Wipes `rejected`, unless it returns None."""
        is_needed = False
        try:
            token = self._usable(rejected)
            is_needed = token is None
            return token
        finally:
            if rejected is not None and not is_needed:
                rejected.wipe()

    def _usable(self, rejected: Text | None) -> Token | None:
        shared, token = self._shared, _abi.Token()
        if self._client._options._closed:
            raise closed()
        if not shared.enter(token):
            raise _closed()
        try:
            # If it fails, the token is NULL, and the call that follows raises.
            _peek(shared.handle, byref(token), None)
        finally:
            shared.leave(token)
        if not token:
            return None
        if rejected is not None and rejected.holds(token.copy()):
            return None
        return token_from(token)

    def _begin(self, rejected: Text | None) -> _TokenCall:
        return _TokenCall(self._shared, Call(self._client._options, self._client._log), rejected)


class _SharedSession(SharedHandle):
    """The session's handle, shared by its calls."""

    __slots__ = ("_calls", "_options")

    def __init__(self, options: SharedOptions, credentials: Credentials) -> None:
        if not options.enter(self):
            raise closed()
        self._options = options
        # By process id: a child of fork does not have the parent's threads. By identity, and without a
        # reference, because an exception of a signal handler can prevent the removal.
        self._calls: dict[int, dict[int, ref[_TokenCall]]] = {}
        try:
            super().__init__(_new_session(options, credentials))
        except BaseException:
            options.leave(self)
            raise

    def set_ages(self, oldest: int, youngest: int) -> None:
        for setter, seconds in (
            (library.cd_session_set_max_age_seconds, oldest),
            (library.cd_session_set_min_age_seconds, youngest),
        ):
            error = Error()
            if setter(self.handle, seconds, byref(error)):
                raise exception_from(error)

    def begin(self, call: _TokenCall) -> None:
        """Raises RuntimeError if the session is closed."""
        self._own_calls()[id(call)] = ref(call)
        # In this order: `Session.close` closes the handle before it reads the calls.
        if not self.enter(call):
            self.end(call)
            raise _closed()

    def end(self, call: _TokenCall) -> None:
        """May be called again."""
        self._own_calls().pop(id(call), None)
        self.leave(call)

    def calls(self) -> list[_TokenCall]:
        """Returns the calls of this process that have begun and not ended."""
        calls = [reference() for reference in list(self._own_calls().values())]
        return [call for call in calls if call is not None]

    def _own_calls(self) -> dict[int, ref[_TokenCall]]:
        process = os.getpid()
        # setdefault is atomic: threads that call this at the same time get the same object.
        return self._calls.get(process) or self._calls.setdefault(process, {})

    def _free(self, handle: Any) -> None:
        super()._free(handle)
        self._options.leave(self)

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("an object of libcouchdrop can't be pickled or copied")


def _new_session(options: SharedOptions, credentials: Credentials) -> _abi.Session:
    options.pass_environment()
    session, error = _abi.Session(), Error()
    session.options = options.handle
    _options_of[ref(session, _options_of.pop)] = options.handle
    if library.cd_session_new(options.handle, *credentials.pointers, byref(session), byref(error)):
        raise exception_from(error)
    return session


class _TokenCall:
    """A call that may wait or log in. Either `run` or `abandon` ends it."""

    __slots__ = ("__weakref__", "_call", "_rejected", "_returned", "_session", "_thread")

    def __init__(self, session: _SharedSession, call: Call, rejected: Text | None) -> None:
        self._session = session
        self._call = call
        self._rejected = rejected
        # Held while the call runs.
        self._returned = allocate_lock()
        self._thread = 0
        try:
            session.begin(self)
        except BaseException:
            self.abandon()
            raise

    def run(self, timeout: float) -> Token:
        self._thread = get_ident()
        # The end of the block releases the lock even if a signal handler raises.
        with self._returned:
            try:
                return self._call.session_token(self._session.handle, timeout, self._rejected)
            finally:
                self.abandon()

    def stop(self) -> None:
        """Stops the call. Any thread may call it, before and while the call runs."""
        self._call.stop()

    def wait(self) -> None:
        """Waits until the call returns if it runs on another thread."""
        if self._thread != get_ident():
            with self._returned:
                pass

    def abandon(self) -> None:
        if self._rejected is not None:
            self._rejected.wipe()
        self._call.end()
        self._session.end(self)


def _refused(rejected: object) -> Text | None:
    """Checks the argument `rejected`. An empty string means None."""
    if rejected is None or (isinstance(rejected, str) and not rejected):
        return None
    if not isinstance(rejected, (Token, str)):
        raise TypeError(f"rejected must be a Token or str, not {type(rejected).__name__}")
    text = Text("rejected", rejected.value if isinstance(rejected, Token) else rejected)
    del rejected
    text.check_length("rejected")
    return text
