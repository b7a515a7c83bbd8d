"""cold: from the start of a process to its token, over TLS."""

from ..baselines import (
    CONTROL,
    CURL,
    LOWER_BOUND,
    HTTPX,
    IMPORT_CTYPES,
    LIBCURL,
    NETHTTP,
    OURS,
    OURS_ARCHIVE,
    OURS_GO,
    OURS_PYTHON,
    REQUESTS,
    URLLIB,
    command,
)
from ..costs import instructions, launch, launch_without_login
from ..rounds import interleave

COMPILED = (OURS, OURS_ARCHIVE, LOWER_BOUND, CONTROL, LIBCURL, CURL, OURS_GO, NETHTTP)
PYTHON = (OURS_PYTHON, URLLIB, REQUESTS, HTTPX)


def measure(service):
    def case(name, kind):
        whole = command(name, service.url(kind), service.ca_file(kind))
        whole += [] if name == CURL else ["1"]
        return lambda: launch(whole)

    figures = {}
    for kind in service.chains:
        compiled = {name: case(name, kind) for name in COMPILED}
        interpreted = {name: case(name, kind) for name in PYTHON}
        interpreted[IMPORT_CTYPES] = lambda: launch_without_login(command(IMPORT_CTYPES, "", ""))
        figures[kind] = {**interleave(61, compiled), **interleave(21, interpreted)}
        for name in (OURS, OURS_ARCHIVE, LOWER_BOUND, LIBCURL):
            whole = command(name, service.url(kind), service.ca_file(kind))
            figures[kind][name]["instructions"] = [instructions(whole, 1)]
    return figures
