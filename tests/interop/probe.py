"""The library in its own process: probe.c, which reads commands line by line."""

import collections
import os
import subprocess
import threading

Result = collections.namedtuple("Result", "code status attempts ms message")

# Longer than any test may take.
LONGEST = 50


def clean_environment(**variables):
    """This process's environment without the variables for proxies and certificates, and with `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("SSL_CERT_") and not name.startswith("CURL_")
    }
    return {**kept, **variables}


class Probe:
    """Use it as a context manager. `command` is a prefix for the program's name."""

    def __init__(self, program, env=None, command=(), **settings):
        self.log = []
        self._process = subprocess.Popen(
            [*command, program],
            env=clean_environment(**(env or {})),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._guard = threading.Timer(LONGEST, self._process.kill)
        self._guard.start()
        for name, value in settings.items():
            result = self.set(name, value)
            if result.code != "CD_OK":
                self.close()
                raise ValueError(f"{name}: {result}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._guard.cancel()
        # The program ends with its input, unless a call blocks it.
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def end(self):
        """Makes the program return from main(), and waits for it; returns its status."""
        self._process.stdin.close()
        return self._process.wait()

    def _tell(self, command, name=None, value=None):
        line = " ".join(str(part) for part in (command, name, value) if part is not None)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        for response in self._process.stdout:
            fields = response.rstrip("\n").split("\t")
            if fields[0] == "log":
                self.log.append((int(fields[1]), fields[2]))
            else:
                code, status, attempts, ms, message = fields
                return Result(code, int(status), int(attempts), int(ms), message)
        raise RuntimeError(f"the probe ended with {self._process.wait()} at: {line}")

    def set(self, name, value):
        """Calls the setter of an option; None is NULL."""
        return self._tell("set", name, value)

    def login(self):
        return self._tell("login")

    def connect(self):
        return self._tell("connect")

    def wait_closed(self):
        """Waits until the peer of every connection has closed it."""
        self._tell("wait_closed")

    def is_privileged(self):
        return self._tell("privileged").message == "yes"
