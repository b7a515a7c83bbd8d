"""profile: the instructions of a warm login over HTTPS by function, and those of the lower bound."""

import tempfile

from .. import profile
from ..baselines import LOWER_BOUND, OURS
from .warm import SERVERS

MOST = 20


def measure(service):
    kind, framing = SERVERS["HTTPS"]
    figures = {}
    for name, build in ((OURS, profile.ours), (LOWER_BOUND, profile.lower_bound)):
        command, env = build(service.url(kind, framing), service.ca_file(kind))
        with tempfile.TemporaryDirectory() as work:
            own = profile.of_a_login(command, env, work)["own"]
        ordered = sorted(own.items(), key=lambda item: -item[1])
        figures[name] = {"functions": ordered[:MOST], "all": sum(own.values())}
    return figures
