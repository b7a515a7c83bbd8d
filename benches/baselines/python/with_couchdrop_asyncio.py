"""Logs in with the library's Python package, from tasks of asyncio."""

import baseline
import couchdrop


def open_handle(base_url, ca_file):
    client = couchdrop.Client(base_url=base_url, ca_file=ca_file)

    async def log_in():
        return (await client.authenticate_async(baseline.USERNAME, baseline.PASSWORD)).value

    return log_in


baseline.main_asyncio(open_handle)
