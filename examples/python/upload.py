"""Uploads a file to the root folder of Couchdrop, then lists that folder. Needs couchdrop[requests].

    COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... python3 upload.py report.csv

A session logs in before the first request. If the service refuses a token with 401 or 403, the session gives
a new one, and the request is repeated once. To use another server, set COUCHDROP_BASE_URL and
COUCHDROP_FILES_URL to its URLs, and COUCHDROP_CA_FILE to the certificates to trust.
"""

import os
import sys
from urllib.parse import quote

import requests

import couchdrop
import couchdrop.auth

# Unset or empty variables mean the real service and the system's certificates.
BASE_URL = os.environ.get("COUCHDROP_BASE_URL") or None
FILES_URL = os.environ.get("COUCHDROP_FILES_URL") or "https://fileio.couchdrop.io"
CA_FILE = os.environ.get("COUCHDROP_CA_FILE") or None


def main(path: str) -> int:
    username, password = os.environ.get("COUCHDROP_USERNAME", ""), os.environ.get("COUCHDROP_PASSWORD", "")
    try:
        with couchdrop.Client(base_url=BASE_URL, ca_file=CA_FILE) as client:
            with couchdrop.Session(username, password, client=client, system="upload-example") as session:
                upload(couchdrop.auth.RequestsAuth(session, [FILES_URL]), path)
    except couchdrop.CouchdropError as error:
        print(f"login failed: {error.code_name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # those of requests too
        print(f"upload failed: {error}", file=sys.stderr)
        return 1
    return 0


def upload(auth: couchdrop.auth.RequestsAuth, path: str) -> None:
    remote, verify = quote("/" + os.path.basename(path)), CA_FILE or True
    with requests.Session() as http, open(path, "rb") as file:
        http.auth = auth
        url = f"{FILES_URL}/file/upload?path={remote}"
        http.post(url, data=file, verify=verify, timeout=60).raise_for_status()
        print("uploaded", path)
        listing = http.post(f"{FILES_URL}/file/ls?path=/", verify=verify, timeout=30)
        listing.raise_for_status()
        print("files in /:", listing.text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: upload.py FILE")
    sys.exit(main(sys.argv[1]))
