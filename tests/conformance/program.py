"""A running runner, and a running fault server."""

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
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


def build_fault_server():
    """Builds the fault server and returns its path."""
    cargo = os.environ.get("CARGO", "cargo")
    options = "--quiet --locked -p couchdrop-fault-server --message-format=json-render-diagnostics"
    command = [cargo, "build", *options.split()]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return next(filter(None, (json.loads(line).get("executable") for line in built.stdout.splitlines())))


class FaultServer:
    """A fault server for one run of a case. Use it as an asynchronous context manager.

    It plays one of `replies` for each request in order, and repeats the last one. Without any the port is
    bound, but nothing listens there. `requests` and `connections` are complete at the end of the context.
    """

    def __init__(self, program, replies):
        self._program = program
        connections = [[{"repeat": ["input", "reply"]}]] if replies else []
        self._plan = json.dumps({"connections": connections, "replies": replies})
        self.requests = []
        self.connections = 0
        self.asked = asyncio.Event()

    async def __aenter__(self):
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            self._program, stdin=pipe, stdout=pipe, limit=1 << 20
        )
        self._process.stdin.write(self._plan.encode() + b"\n")
        self.port = json.loads(await self._process.stdout.readline())["port"]
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_):
        self._process.stdin.close()
        await self._reading
        await self._process.wait()

    async def _read(self):
        async for line in self._process.stdout:
            event = json.loads(line)
            if "connections" in event:
                self.connections = event["connections"]
            else:
                self.requests.append(Request(event["head"], event["body"].encode("latin-1")))
                self.asked.set()


class Request:
    """A request, or anything else that a client sent first, such as TLS or SOCKS."""

    def __init__(self, head, body):
        line, *fields = head.split("\r\n")
        pairs = (field.split(":", 1) for field in fields)
        fields = {name.lower(): value.strip() for name, value in pairs}
        self.method, self.target = line.split(" ")[:2] if line else (None, None)
        self.user_agent = fields.get("user-agent")
        self._type = fields.get("content-type", "").split(";")[0]
        self._body = body

    @property
    def name(self):
        """Its name in the case file: "form", "json", "CONNECT host:port" or "other"."""
        if self.method is None:
            return "other"
        names = {"application/x-www-form-urlencoded": "form", "application/json": "json"}
        return names.get(self._type, f"{self.method} {self.target}")

    def login(self):
        """The fields of a login."""
        if self.name == "json":
            return json.loads(self._body)
        return dict(urllib.parse.parse_qsl(self._body.decode(), keep_blank_values=True, strict_parsing=True))
