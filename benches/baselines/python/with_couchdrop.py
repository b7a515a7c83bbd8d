"""Logs in with the library's Python package."""

import contender
import couchdrop


def open_handle(base_url, ca_file):
    client = couchdrop.Client(base_url=base_url, ca_file=ca_file)
    return lambda: client.authenticate(contender.USERNAME, contender.PASSWORD).value


contender.main(open_handle)
