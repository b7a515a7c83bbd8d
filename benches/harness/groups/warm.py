"""warm: the first and the next logins on one handle, one after another."""

from ..baselines import (
    CONTROL,
    LOWER_BOUND,
    HTTPX,
    LIBCURL,
    NETHTTP,
    OURS,
    OURS_GO,
    OURS_PYTHON,
    REQUESTS,
    URLLIB,
    command,
)
from ..costs import timed
from ..rounds import interleave

# The number of logins in each round.
BASELINES = {
    **dict.fromkeys((OURS, LOWER_BOUND, CONTROL, LIBCURL, OURS_GO, NETHTTP), 1000),
    **dict.fromkeys((OURS_PYTHON, REQUESTS, HTTPX, URLLIB), 150),
}

SERVERS = {
    "HTTP": (None, "length"),
    "HTTP, chunked": (None, "chunked"),
    "HTTPS": ("rsa", "length"),
    "HTTPS, chunked": ("rsa", "chunked"),
}


def _measure(service, kind, framing):
    def case(name, logins):
        whole = [*command(name, service.url(kind, framing), service.ca_file(kind)), str(logins), "1"]
        return lambda: timed(whole)

    return interleave(11, {name: case(name, logins) for name, logins in BASELINES.items()})


def measure(service):
    return {server: _measure(service, *which) for server, which in SERVERS.items()}
