"""Logs in to Couchdrop, then uses the token: lists the root folder.

    COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... python3 login.py

COUCHDROP_BASE_URL, COUCHDROP_FILES_URL and COUCHDROP_CA_FILE say where the service is and which certificates
to trust, if it is not the real one.
"""

import http.client
import os
import ssl
import sys
import urllib.request

import couchdrop

# What is unset or empty means the real service, and the system's certificates.
BASE_URL = os.environ.get("COUCHDROP_BASE_URL") or None
FILES_URL = os.environ.get("COUCHDROP_FILES_URL") or "https://fileio.couchdrop.io"
CA_FILE = os.environ.get("COUCHDROP_CA_FILE") or None


def main() -> int:
    # Never from the command line: other users of the machine can read that.
    username, password = os.environ.get("COUCHDROP_USERNAME", ""), os.environ.get("COUCHDROP_PASSWORD", "")
    try:
        with couchdrop.Client(base_url=BASE_URL, ca_file=CA_FILE) as client:
            token = client.authenticate(username, password, system="login-example")
    except couchdrop.CouchdropError as error:
        report(error)
        return 1

    with token:
        # A token is a secret: show no more of it than tells two apart.
        print(f"logged in: token {token.value[:4]}... ({len(token.value)} characters)")
        try:
            print(f"files in /: {list_folder(token)}")
        except (OSError, http.client.HTTPException) as error:
            print(f"listing failed: {error}", file=sys.stderr)
            return 1
    return 0


def report(error: couchdrop.CouchdropError) -> None:
    """Prints all that is known about a failed login."""
    lines = [f"login failed: {error.code_name}: {error}"]
    if error.http_status is not None:
        lines.append(f"  HTTP status: {error.http_status}")
    if error.server_message is not None:
        lines.append(f"  the server says: {error.server_message}")
    if error.retry_after is not None:
        lines.append(f"  try again in: {error.retry_after} s")
    print("\n".join(lines), file=sys.stderr)


def list_folder(token: couchdrop.Token) -> str:
    """Sends the token in the header that the service reads it from; returns the answer, which is JSON."""
    request = urllib.request.Request(f"{FILES_URL}/file/ls?path=/", method="POST", headers=token.headers())
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=CA_FILE))
    with urllib.request.build_opener(https, NoRedirects).open(request, timeout=30) as response:
        answer: bytes = response.read()
    return answer.decode(errors="replace")


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send the token on to another host."""

    def redirect_request(self, *args: object, **keywords: object) -> None:
        return None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell says that Ctrl-C ended a program
