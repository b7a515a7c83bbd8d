"""Logs in with requests."""

import baseline
import requests


def open_handle(base_url, ca_file):
    session = requests.Session()
    session.verify = ca_file

    def log_in():
        answer = session.post(
            base_url + "/authenticate", data=baseline.FORM, timeout=30, allow_redirects=False
        )
        answer.raise_for_status()
        return answer.json()["token"]

    return log_in


baseline.main(open_handle)
