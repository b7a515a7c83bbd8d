"""Logs in with httpx, from tasks of asyncio, over as many connections as the library keeps."""

import ssl

import baseline
import httpx


def open_handle(base_url, ca_file):
    client = httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=ca_file),
        timeout=60,
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
    )

    async def log_in():
        answer = await client.post(base_url + "/authenticate", data=baseline.FORM)
        answer.raise_for_status()
        return answer.json()["token"]

    return log_in


baseline.main_asyncio(open_handle)
