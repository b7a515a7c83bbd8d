"""A running runner."""

import asyncio
import contextlib
import json
import os
import resource

# Longer than any case takes on a busy machine.
LONGEST = 60


class Runner:
    """A program that runs cases one after the other in one language."""

    def __init__(self, language, command, environment):
        # The language is the part before a dash: `c-musl` is C.
        self.label, self.language = language, language.split("-")[0]
        self._command = command
        self._environment = environment
        self._process = None

    async def tell(self, lines):
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        self._process.stdin.write("".join(line + "\n" for line in lines).encode())
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()

    async def outcome(self):
        """The outcome of a case as the program reports it, or an error message if nothing arrives in time."""
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), LONGEST)
        except asyncio.TimeoutError:
            await self.stop(kill=True)
            return f"the program printed nothing for {LONGEST} s"
        if not line.endswith(b"\n"):
            return f"the program ended with {await self.stop()}"
        return json.loads(line)

    async def stop(self, *, kill=False):
        process, self._process = self._process, None
        if process is None:
            return 0
        if kill:
            process.kill()
        process.stdin.close()
        return await process.wait()

    @contextlib.asynccontextmanager
    async def no_descriptors(self):
        """Lets the program open no more descriptors than it has."""
        # A program opens further files just after its start, so run a call that is refused first.
        await self.tell(["max_retries 11", "run"])
        said = await self.outcome()
        if self._process is None:
            raise RuntimeError(said)
        pid = self._process.pid
        taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
        lowest = next(number for number in range(3, 1 << 16) if number not in taken)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
