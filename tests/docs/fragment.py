"""The names that a fragment in the documentation may use. It is compiled in place of the mark, and never run."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time

import couchdrop


async def fragment(
    username: str,
    password: str,
    client: couchdrop.Client,
    token: couchdrop.Token,
    error: couchdrop.CouchdropError,
):
    # FRAGMENT
    pass
