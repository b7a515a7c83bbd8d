"""A session's current token: BASE_URL CA_FILE CALLS prints the nanoseconds of each call, on average."""

import sys

import baseline
import couchdrop

with (
    couchdrop.Client(base_url=sys.argv[1], ca_file=sys.argv[2]) as client,
    couchdrop.Session(baseline.USERNAME, baseline.PASSWORD, client=client) as session,
):
    baseline.repeat(session.token)
