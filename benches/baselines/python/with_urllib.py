"""Logs in with urllib, which makes a connection for each login."""

import json
import ssl
import urllib.parse
import urllib.request

import baseline


def open_handle(base_url, ca_file):
    context = ssl.create_default_context(cafile=ca_file)
    body = urllib.parse.urlencode(baseline.FORM).encode()

    def log_in():
        request = urllib.request.Request(base_url + "/authenticate", data=body)
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)["token"]

    return log_in


baseline.main(open_handle)
