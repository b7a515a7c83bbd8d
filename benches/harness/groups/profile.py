"""profile: where a warm login over HTTPS spends its instructions, by function."""

import tempfile

from .. import profile
from ..contenders import OURS, command
from .warm import SERVERS

MOST = 20


def measure(service):
    library = profile.build()
    kind, framing = SERVERS["HTTPS"]
    whole = command(OURS, service.url(kind, framing), service.ca_file(kind))
    with tempfile.TemporaryDirectory() as work:
        own = profile.of_a_login(whole, library, work)["own"]
    ordered = sorted(own.items(), key=lambda item: -item[1])
    return {"functions": ordered[:MOST], "all": sum(own.values())}
