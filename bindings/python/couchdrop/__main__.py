"""``python -m couchdrop login USERNAME`` logs in and prints the token.

The program reads the password from a prompt, from standard input (``--password-stdin``) or from the
desktop's keyring (``--keyring``). It never reads it from the command line, which other users of the machine
can see.
"""

from __future__ import annotations

import argparse
import getpass
import importlib
import os
import re
import sys
import warnings
from typing import NoReturn

import couchdrop

from ._abi import ABI_VERSION, library_path

# The service name of the password in a keyring: `keyring set couchdrop USERNAME`.
KEYRING_SERVICE = "couchdrop"


# The exit status of a usage error, the same as argparse's.
USAGE = 2


class Failed(Exception):
    """Ends the program with a message and an exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends the program. Removes an argument that may be a password: `--password-stdin=...`."""
        super().error(re.sub(r"ignored explicit argument.*", "takes no value", message, flags=re.DOTALL))


def main(arguments: list[str] | None = None) -> int:
    """Runs the program and returns its exit status."""
    parser = _parser()
    # Not `parse_args`, which prints unknown arguments: one of them may be a password.
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error("too many arguments, or an unknown option (a password is never taken from here)")
    try:
        if sys.stdout is None:
            raise Failed("standard output is closed: the token would be lost", USAGE)
        _write(_log_in(options) + "\n")
    except couchdrop.CouchdropError as error:
        return _fail(_explain(error))
    except Failed as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        # The exit status that a shell reports for SIGINT.
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m couchdrop",
        description="Log in to Couchdrop.",
        allow_abbrev=False,
        # The default formatter wraps the version.
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"couchdrop {couchdrop.__version__}, libcouchdrop {couchdrop.library_version()} "
        f"(ABI {ABI_VERSION}, {library_path})",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    login = commands.add_parser(
        "login",
        help="log in and print the token",
        description="Logs in and prints the token.",
        allow_abbrev=False,
    )
    login.add_argument("username", metavar="USERNAME")
    source = login.add_mutually_exclusive_group()
    source.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input, not from a prompt",
    )
    source.add_argument(
        "--keyring",
        action="store_true",
        help=f"take the password that `keyring set {KEYRING_SERVICE} USERNAME` has stored (package keyring)",
    )
    login.add_argument("--system", metavar="NAME", help="the program or system that logs in")
    login.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="how long it may take, retries included (30)",
    )
    login.add_argument("--base-url", metavar="URL", help="where the service is, if not at Couchdrop")
    login.add_argument(
        "--ca-file", metavar="FILE", help="certificates to trust in place of the system's (PEM)"
    )
    return parser


def _log_in(options: argparse.Namespace) -> str:
    with (
        couchdrop.Client(
            timeout=options.timeout, base_url=options.base_url, ca_file=options.ca_file
        ) as client,
        client.authenticate(options.username, _password(options), system=options.system) as token,
    ):
        return token.value


def _password(options: argparse.Namespace) -> str:
    if options.password_stdin:
        return _password_from_stdin()
    if options.keyring:
        return _password_from_keyring(options.username)
    try:
        with warnings.catch_warnings():
            # Without a terminal, getpass would echo the input.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"Password of {options.username}: ")
    except getpass.GetPassWarning:
        raise Failed("there is no terminal to ask for the password on: see --password-stdin") from None
    except EOFError:
        raise Failed("no password was given") from None


def _password_from_stdin() -> str:
    """Returns standard input without its final line end."""
    if sys.stdin is None:
        raise Failed("standard input is closed: --password-stdin has nothing to read", USAGE)
    try:
        content = sys.stdin.buffer.read()
    except OSError as error:
        raise Failed(f"standard input could not be read: {error.strerror}") from None
    try:
        password = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Failed("the password on standard input is not UTF-8") from None
    for end in ("\r\n", "\n"):
        if password.endswith(end):
            return password[: -len(end)]
    return password


def _password_from_keyring(username: str) -> str:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise Failed("--keyring needs the package keyring") from None
    try:
        password: str | None = keyring.get_password(KEYRING_SERVICE, username)
    except Exception as error:
        raise Failed(f"the keyring could not be read: {error}") from None
    if password is None:
        store = f"keyring set {KEYRING_SERVICE} {username}"
        raise Failed(f"the keyring has no password of {username}: store it with `{store}`")
    return password


def _write(text: str) -> None:
    """Writes to standard output without a buffer, which Python would flush at exit."""
    content = text.encode()
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        # contextlib.redirect_stdout() replaced it.
        sys.stdout.write(text)
        return
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError as error:
        raise Failed(f"the token could not be written to standard output: {error.strerror}") from None


def _explain(error: couchdrop.CouchdropError) -> str:
    lines = [f"{error} [{error.code_name}]"]
    if error.server_message is not None:
        lines.append(f"The service says: {error.server_message}")
    if error.retry_after is not None:
        lines.append(f"Try again in {error.retry_after} seconds.")
    return "\n".join(lines)


def _fail(message: str, status: int = 1) -> int:
    # If sys.stderr is None, `print` writes to standard output.
    if sys.stderr is not None:
        print(f"couchdrop: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
