"""nagle: a server with Nagle's algorithm on that writes a response in two segments."""

from .. import nagle
from ..baselines import LIBCURL, NETHTTP, OURS, REQUESTS, command
from ..costs import timed
from ..rounds import interleave

LOGINS = 10


def measure(service):
    def case(name, base_url, kind):
        whole = [*command(name, base_url, service.ca_file(kind)), str(LOGINS), "1"]
        return lambda: timed(whole)

    figures = {}
    for scheme, kind in (("HTTP", None), ("HTTPS", "rsa")):
        with nagle.serving(service.chains.get(kind)) as base_url:
            names = (OURS, LIBCURL, NETHTTP, REQUESTS)
            figures[scheme] = interleave(11, {name: case(name, base_url, kind) for name in names})
    return figures
