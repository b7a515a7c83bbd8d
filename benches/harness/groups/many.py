"""many: logins at the same time over HTTPS: threads on one handle, goroutines, tasks of asyncio."""

from ..baselines import (
    CONTROL,
    LOWER_BOUND,
    HTTPX_ASYNCIO,
    LIBCURL,
    NETHTTP,
    OURS,
    OURS_ASYNCIO,
    OURS_GO,
    command,
)
from ..costs import timed
from ..rounds import interleave

THREADS = (1, 2, 8, 64)
# The logins in one round, divided among the threads.
LOGINS = 6400


def measure(service):
    def case(name, logins, callers):
        whole = [*command(name, service.url("rsa"), service.ca_file("rsa")), str(logins), str(callers)]
        return lambda: timed(whole)

    figures = {"threads": {}}
    for threads in THREADS:
        names = (OURS, LOWER_BOUND, CONTROL, LIBCURL, OURS_GO, NETHTTP)
        cases = {name: case(name, LOGINS // threads, threads) for name in names}
        figures["threads"][str(threads)] = interleave(9, cases)
    figures["goroutines"] = interleave(5, {name: case(name, 10, 1000) for name in (OURS_GO, NETHTTP)})
    figures["tasks"] = interleave(3, {name: case(name, 3, 1000) for name in (OURS_ASYNCIO, HTTPX_ASYNCIO)})
    return figures
