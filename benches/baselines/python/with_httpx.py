"""Logs in with httpx."""

import ssl

import baseline
import httpx


def open_handle(base_url, ca_file):
    client = httpx.Client(verify=ssl.create_default_context(cafile=ca_file), timeout=30)

    def log_in():
        answer = client.post(base_url + "/authenticate", data=baseline.FORM)
        answer.raise_for_status()
        return answer.json()["token"]

    return log_in


baseline.main(open_handle)
