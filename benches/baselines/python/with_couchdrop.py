"""Logs in with the library's Python package."""

import baseline
import couchdrop


def open_handle(base_url, ca_file):
    client = couchdrop.Client(base_url=base_url, ca_file=ca_file)
    return lambda: client.authenticate(baseline.USERNAME, baseline.PASSWORD).value


baseline.main(open_handle)
