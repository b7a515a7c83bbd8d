"""Logs in with requests."""

import contender
import requests


def open_handle(base_url, ca_file):
    session = requests.Session()
    if ca_file:
        session.verify = ca_file

    def log_in():
        answer = session.post(
            base_url + "/authenticate", data=contender.FORM, timeout=30, allow_redirects=False
        )
        answer.raise_for_status()
        return answer.json()["token"]

    return log_in


contender.main(open_handle)
