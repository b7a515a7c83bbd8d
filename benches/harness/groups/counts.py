"""counts: instructions, heap allocations and system calls of a warm login, independent of the load of the machine."""

from ..baselines import LOWER_BOUND, LIBCURL, OURS, command
from ..costs import allocations_of_a_login, instructions_of_a_login, system_calls_of_a_login
from .warm import SERVERS


def measure(service):
    figures = {}
    for server, (kind, framing) in SERVERS.items():
        figures[server] = {}
        for name in (OURS, LOWER_BOUND, LIBCURL):
            whole = command(name, service.url(kind, framing), service.ca_file(kind))
            allocations, size = allocations_of_a_login(whole)
            figures[server][name] = {
                "instructions": instructions_of_a_login(whole),
                "allocations": allocations,
                "bytes": size,
                "calls": system_calls_of_a_login(whole),
            }
    return figures
