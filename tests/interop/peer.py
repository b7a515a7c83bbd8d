"""A server on this machine. It is started in the foreground, waited for until it listens, and stopped."""

import os
import socket
import subprocess
import time

# A peer starts to listen within this time, or not at all.
MAX_START = 10

_reserved = []


def reserve_port(address="127.0.0.1"):
    """A port that is free and stays so for a server that sets SO_REUSEADDR, as all servers here do.

    It stays bound, without listening, so that no other test gets it and the kernel does not assign it to a client.
    """
    reservation = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((address, 0))
    _reserved.append(reservation)
    return reservation.getsockname()[1]


class Peer:
    """Runs `command` with its output in a file. `listens` contains the (address, port) pairs to wait for."""

    def __init__(self, name, command, folder, listens):
        self.name = name
        self.log_path = os.path.join(folder, f"{name}.log")
        with open(self.log_path, "wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for address in listens:
                self._wait_for(address)
        except Exception:
            self.stop()
            raise

    def _wait_for(self, address):
        until = time.monotonic() + MAX_START
        while True:
            try:
                socket.create_connection(address, 1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise RuntimeError(f"{self.name} does not listen on {address}: {self.log()}") from None
            try:
                # Until the next attempt, or its early exit.
                status = self._process.wait(0.01)
                raise RuntimeError(f"{self.name} ended with {status}: {self.log()}")
            except subprocess.TimeoutExpired:
                pass

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
