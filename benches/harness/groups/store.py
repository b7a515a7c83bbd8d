"""store: the first login with the system's trust store, and the share of the store in it."""

import os

from .. import places
from ..baselines import LOWER_BOUND, HTTPX, LIBCURL, NETHTTP, OURS, OURS_GO, OURS_PYTHON, REQUESTS, URLLIB, command
from ..costs import instructions, launch
from ..rounds import interleave

DEBIANS = "/etc/ssl/certs/ca-certificates.crt"

# These find the store through the environment; the others take its name as an argument.
FROM_ENVIRONMENT = (OURS, OURS_GO, OURS_PYTHON, NETHTTP)


def measure(service):
    store = os.path.join(places.BUILT, "store.pem")
    with open(store, "w", encoding="utf-8") as file:
        for path in (DEBIANS, service.ca_file("ecdsa")):
            with open(path, encoding="utf-8") as part:
                file.write(part.read())
    with open(store, encoding="utf-8") as file:
        roots = file.read().count("BEGIN CERTIFICATE")

    def whole(name, ca_file):
        return [*command(name, service.url("ecdsa"), ca_file), "1"]

    def case(name):
        if name in FROM_ENVIRONMENT:
            return lambda: launch(whole(name, "-"), {"SSL_CERT_FILE": store})
        return lambda: launch(whole(name, store))

    names = (OURS, LOWER_BOUND, LIBCURL, OURS_GO, NETHTTP, OURS_PYTHON, URLLIB, REQUESTS, HTTPX)
    cases = {name: case(name) for name in names}
    # The same login with one root, for comparison.
    cases["one root"] = lambda: launch(whole(OURS, service.ca_file("ecdsa")))
    with_store = instructions(whole(OURS, "-")[:-1], 1, {"SSL_CERT_FILE": store})
    with_one = instructions(whole(OURS, service.ca_file("ecdsa"))[:-1], 1)
    return {
        "roots": roots,
        "logins": interleave(21, cases),
        "instructions": {"store": with_store, "one root": with_one},
    }
