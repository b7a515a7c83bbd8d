"""Logs in to Couchdrop, then uses the token: lists the root folder.

    COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... python3 login.py

COUCHDROP_BASE_URL, COUCHDROP_FILES_URL and COUCHDROP_CA_FILE say where the service is and which certificates to
trust, if it is not the real one.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request

import couchdrop

BASE_URL = os.environ.get("COUCHDROP_BASE_URL")
FILES_URL = os.environ.get("COUCHDROP_FILES_URL", "https://fileio.couchdrop.io")
CA_FILE = os.environ.get("COUCHDROP_CA_FILE")


def main() -> int:
    try:
        username, password = os.environ["COUCHDROP_USERNAME"], os.environ["COUCHDROP_PASSWORD"]
    except KeyError as missing:
        return fail(f"set {missing.args[0]}")

    with couchdrop.Client(base_url=BASE_URL, ca_file=CA_FILE) as client:
        try:
            token = client.authenticate(username, password, system="python-example")
        except couchdrop.RateLimited as error:
            return fail(f"{error.code_name}: try again in {error.retry_after} s")
        except couchdrop.CouchdropError as error:
            return fail(f"{error.code_name}: {error}")

    with token:
        print(f"logged in: {token}")
        try:
            print(f"files in /: {list_folder(token)}")
        except urllib.error.URLError as error:
            return fail(f"listing failed: {error}")
    return 0


def list_folder(token: couchdrop.Token) -> str:
    request = urllib.request.Request(f"{FILES_URL}/file/ls?path=/", method="POST", headers=token.headers())
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=CA_FILE))
    with urllib.request.build_opener(https, NoRedirects).open(request, timeout=30) as response:
        return response.read().decode()


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send the token on to another host."""

    def redirect_request(self, *_):
        return None


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
