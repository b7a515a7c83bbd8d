"""Logs in to Couchdrop, then lists the root folder with the token.

    COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... python3 login.py

To use another server, set COUCHDROP_BASE_URL and COUCHDROP_FILES_URL to its URLs, and COUCHDROP_CA_FILE to
the certificates to trust.
"""

import http.client
import os
import ssl
import sys
import urllib.request

import couchdrop

# Unset or empty variables mean the real service and the system's certificates.
BASE_URL = os.environ.get("COUCHDROP_BASE_URL") or None
FILES_URL = os.environ.get("COUCHDROP_FILES_URL") or "https://fileio.couchdrop.io"
CA_FILE = os.environ.get("COUCHDROP_CA_FILE") or None


def main() -> int:
    # Do not pass a password on the command line: other users of the machine can read it.
    username, password = os.environ.get("COUCHDROP_USERNAME", ""), os.environ.get("COUCHDROP_PASSWORD", "")
    try:
        with couchdrop.Client(base_url=BASE_URL, ca_file=CA_FILE) as client:
            token = client.authenticate(username, password, system="login-example")
    except couchdrop.CouchdropError as error:
        report(error)
        return 1

    with token:
        # A token is a secret: print only enough to tell two tokens apart.
        print(f"logged in: token {token.value[:4]}... ({len(token.value)} characters)")
        try:
            print(f"files in /: {list_folder(token)}")
        except (OSError, http.client.HTTPException) as error:
            print(f"listing failed: {error}", file=sys.stderr)
            return 1
    return 0


def report(error: couchdrop.CouchdropError) -> None:
    """Prints all details of a failed login."""
    lines = [f"login failed: {error.code_name}: {error}"]
    if error.http_status is not None:
        lines.append(f"  HTTP status: {error.http_status}")
    if error.server_message is not None:
        lines.append(f"  the server says: {error.server_message}")
    if error.retry_after is not None:
        lines.append(f"  try again in: {error.retry_after} s")
    print("\n".join(lines), file=sys.stderr)


def list_folder(token: couchdrop.Token) -> str:
    """Sends the token in the request header and returns the response, which is JSON."""
    request = urllib.request.Request(f"{FILES_URL}/file/ls?path=/", method="POST", headers=token.headers())
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=CA_FILE))
    with urllib.request.build_opener(https, NoRedirects).open(request, timeout=30) as response:
        answer: bytes = response.read()
    return answer.decode(errors="replace")


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would send the token to another host."""

    def redirect_request(self, *args: object, **keywords: object) -> None:
        return None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the exit status that a shell reports for SIGINT
